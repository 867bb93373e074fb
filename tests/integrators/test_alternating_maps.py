"""Players that move in turn by a map: Euler's moves are alternating play, Adam's the usual loop of a GAN."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn.methods import AlternatingMap

DOUBLE, H = torch.float64, 0.05


def players():
    g = torch.Generator().manual_seed(4)
    return [gd.games.mlp(widths, generator=g, dtype=DOUBLE) for widths in ((2, 5, 2), (2, 5, 1))]


def gan():
    return gd.games.gan(*players())


def stream():
    data = torch.randn(12, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)
    return gd.batches(data, latent=2, batch_size=4, seed=3)


@pytest.mark.parametrize("turns", [{}, {"players": ("D", "G")}, {"cycles": {"D": 3, "G": 1}}])
def test_alternation_of_euler_is_alternating(turns):
    # rejects: moves that see the old others, a move of full length in a cycle, another order of play
    flow = gd.flows.gradient(gan(), rates={"G": 0.5, "D": 4.0})
    mine, theirs = AlternatingMap("euler", **turns), gd.methods.alternating(**turns)
    a, b = (gd.solve(flow, m, h=H, steps=4, batches=stream()) for m in (mine, theirs))
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)
    assert a.stats["evaluations"] == b.stats["evaluations"] == 4 * mine.evaluations


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_alternating_adam_is_the_usual_loop(weight_decay):
    # rejects: moments or decay of a player that does not move, one count of updates for both, a stale opponent
    G, D = copies = [copy.deepcopy(m) for m in players()]
    flow = gd.flows.gradient(gd.games.gan(*players()), rates={"G": 1.0, "D": 2.0})
    method = gd.methods.alternating_adam(cycles={"D": 2, "G": 1}, betas=(0.5, 0.9), weight_decay=weight_decay)
    drawn = stream().to(torch.device("cpu"), DOUBLE)
    run = gd.solve(flow, method, h=H, steps=4, batches=stream(), sampling="fresh")
    judge, maker = (torch.optim.Adam(m.parameters(), lr=H, betas=(0.5, 0.9), weight_decay=weight_decay) for m in (D, G))
    for _ in range(4):
        for _ in range(2):
            x, z = next(drawn)
            judge.zero_grad()
            (softplus(D(G(z))).mean() + softplus(-D(x)).mean()).backward()
            judge.step()
        _, z = next(drawn)
        maker.zero_grad()
        softplus(-D(G(z))).mean().backward()
        maker.step()
    by_hand = torch.cat([p.detach().reshape(-1) for m in copies for p in m.parameters()])
    torch.testing.assert_close(run.state.y, by_hand, rtol=0, atol=1e-12)
    assert run.stats["batches"] == 12


@pytest.mark.parametrize("pair", [("extragradient", "ExtrapolatedMap"), ("alternating", "AlternatingMap")])
def test_the_time_of_an_evaluation_is_that_of_the_method(pair):
    # rejects: the second evaluation at the time of the first; opponents' time lost
    name, kind = pair
    flow = gd.flows.custom(
        lambda t, s, _: {"x": torch.cos(torch.as_tensor(t)) - s["y"], "y": s["x"] * (1 + t)}, like=gd.games.bilinear()
    )
    ours, theirs = (gd.solve(flow, m, h=0.3, steps=5) for m in (getattr(gd.methods, kind)("euler"), name))
    torch.testing.assert_close(ours.state.y, theirs.state.y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("optimiser", ["torch.optim:Adafactor", "torch.optim:ASGD"])
def test_lengths_of_optimisers_whose_step_depends_on_the_place(optimiser):
    # rejects: their step taken from 0
    flow = gd.flows.gradient(gan())
    far = flow.initial_state().with_y(flow.initial_state().y * 10)
    grafted = gd.methods.Grafted(optimiser, "euler")
    own, made = (
        gd.solve(flow, m, h=H, steps=1, y0=far, batches=stream()).state.y - far.y for m in (optimiser, grafted)
    )
    for at in flow.game.layout.slices:
        torch.testing.assert_close(made[at].norm(), own[at].norm(), rtol=1e-9, atol=0)


def test_options_reach_families_by_name():
    # rejects: options that are dropped, a name that is no family
    assert gd.methods.get("alternating", cycles={"D": 5, "G": 1}).evaluations == 3
    assert gd.methods.get("extra_adam", betas=(0.5, 0.9)).inner.options == {"betas": (0.5, 0.9)}
    assert gd.methods.get("theta", value="1/2").order == 2
    with pytest.raises(gd.ArgumentError, match="players, cycles, substep"):
        gd.methods.get("alternating", cycle={"D": 5})
    for name in ("rk4", "table", "get", "RungeKutta"):
        with pytest.raises(gd.ArgumentError, match="none for"):
            gd.methods.get(name, order=3)


def test_bad_turns_are_named():
    with pytest.raises(gd.UnknownNameError, match="player"):
        gd.solve(gd.flows.gradient(gan()), AlternatingMap("euler", ("A", "G")), h=H, steps=1, batches=stream())
    with pytest.raises(gd.ArgumentError, match="cycles"):
        AlternatingMap("euler", cycles={"D": 0, "G": 1})
