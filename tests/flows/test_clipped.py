"""Gradient clipping as a flow: what torch does before a step, at every stage of any method."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn import flows
from gamedyn.optim import GameOptimizer

DOUBLE = torch.float64
BOUNDS = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}


def modules():
    torch.default_generator.manual_seed(0)
    return nn.Linear(2, 2).double(), nn.Linear(2, 1).double()


def losses(G, D):
    x = torch.linspace(-1.0, 2.0, 10, dtype=DOUBLE).view(5, 2)
    fake = D(G(x)).square().mean()
    return {"G": -fake, "D": fake + D(x).mean()}


def gradient(rates=None):
    return flows.gradient(gd.Game(dict(zip("GD", modules(), strict=True)), losses), rates)


def torch_loop(optimiser, kind, bound, steps=3):
    """The players' parameters after a loop of torch's own."""
    G, D = modules()
    both = optimiser([{"params": G.parameters(), "lr": 0.2}, {"params": D.parameters(), "lr": 0.05}])
    for _ in range(steps):
        values = losses(G, D)
        for player, module in (("G", G), ("D", D)):
            own = list(module.parameters())
            for p, g in zip(own, torch.autograd.grad(values[player], own, retain_graph=True), strict=True):
                p.grad = g
            BOUNDS[kind](own, bound)
        both.step()
    return torch.cat([p.detach().flatten() for m in (G, D) for p in m.parameters()])


@pytest.mark.parametrize(("kind", "bound"), [("norm", 0.3), ("value", 0.1), ("norm", 1e3), ("value", 1e3)])
@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_a_step_is_torchs(kind, bound, optimiser):
    # rejects: a bound of the velocity, rate included; one norm over all players; a factor on what is within the bound
    flow = flows.clipped(gradient({"G": 0.2, "D": 0.05}), **{kind: bound})
    run = gd.solve(flow, "euler" if optimiser == "SGD" else "torch.optim:Adam", h=1.0, steps=3)
    expected = torch_loop(getattr(torch.optim, optimiser), kind, bound)
    torch.testing.assert_close(run.state.y, expected, rtol=0, atol=2e-6)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_the_optimiser_takes_it(kind):
    G, D = modules()
    lr = {"G": 0.2, "D": 0.05}
    optimizer = GameOptimizer({"G": G, "D": D}, "euler", lr=lr, flow=lambda f: flows.clipped(f, **{kind: 0.2}))
    for _ in range(3):
        optimizer.step(lambda: losses(G, D))
    own = torch.cat([p.detach().flatten() for m in (G, D) for p in m.parameters()])
    torch.testing.assert_close(own, torch_loop(torch.optim.SGD, kind, 0.2), rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_its_derivative_is_its_own(kind):
    flow = flows.clipped(gradient({"G": 2.0, "D": 0.5, "G.bias": 3.0}), **{kind: 0.3})
    held = flow.at(flow.initial_state())
    J, eye = held.jacobian(), torch.eye(held.layout.n, dtype=DOUBLE)
    for u in eye:
        difference = (held(0.0, held.at.y + 1e-6 * u) - held(0.0, held.at.y - 1e-6 * u)) / 2e-6
        torch.testing.assert_close(J @ u, difference, rtol=0, atol=1e-7)
    assert held.checked == "agrees"


def test_at_rest_it_is_the_inner_flow():
    # rejects: nan from the norm of a gradient that is 0
    game = gd.games.quadratic([[-1.0, 3.0], [-3.0, -2.0]])
    inner, flow = flows.gradient(game), flows.clipped(flows.gradient(game), norm=0.1)
    point = game.equilibrium_state()
    assert torch.equal(flow.at(point).jacobian().to_dense(), inner.at(point).jacobian().to_dense())
    assert gd.spectrum.verdict(flow, point).stability.answer == gd.spectrum.verdict(inner, point).stability.answer


def test_one_player_and_terms_and_ensembles():
    penalised = gradient().with_term(gd.losses.weight_decay(0.5, into="D"))
    flow = flows.clipped(penalised, norm=0.2, of="D")
    inner, v = penalised.at(penalised.initial_state()).value, flow.at(flow.initial_state()).value
    at = flow.game.layout.slices
    assert torch.equal(v[at[0]], inner[at[0]])
    assert float(v[at[1]].norm()) == pytest.approx(0.2, rel=1e-12)
    torch.testing.assert_close(v[at[1]] / 0.2, inner[at[1]] / inner[at[1]].norm(), rtol=1e-12, atol=1e-14)
    run = gd.solve_ensemble(flow, "rk4", h=[0.1, 0.2], steps=3, rates={"D": [1.0, 2.0]})
    for m, (h, rate) in enumerate(((0.1, 1.0), (0.2, 2.0))):
        own = flows.clipped(gradient({"D": rate}).with_term(gd.losses.weight_decay(0.5, into="D")), norm=0.2, of="D")
        torch.testing.assert_close(run.state.y[m], gd.solve(own, "rk4", h=h, steps=3).state.y, rtol=0, atol=1e-12)


def test_the_optimisers_learning_rates_hold_for_what_is_made_of_its_flow():
    # rejects: rates of the made flow's own, which no learning rate reaches
    G, D = modules()
    for made in (lambda f: f.with_rates({"D": 2.0}), lambda f: flows.gradient(f.game, {"D": 3.0})):
        with pytest.raises(gd.ArgumentError, match="at its rates"):
            GameOptimizer({"G": G, "D": D}, "euler", lr=0.1, flow=made)
    optimizer = GameOptimizer(
        {"G": G, "D": D}, "euler", lr={"G": 0.0, "D": 0.1}, flow=lambda f: flows.clipped(f, norm=1.0)
    )
    before = [p.detach().clone() for p in G.parameters()]
    optimizer.step(lambda: losses(G, D))
    assert all(torch.equal(a, b) for a, b in zip(before, G.parameters(), strict=True))


def test_a_part_must_be_declared_before():
    with pytest.raises(gd.ArgumentError, match="declare it"):
        gd.solve(flows.clipped(gradient(), norm=1.0), "euler", h=0.1, steps=1, rates={"G.bias": lambda n: 1.0})


def test_a_schedule_reaches_through_it():
    changing = gd.solve(flows.clipped(gradient(), norm=0.2), "rk4", h=0.1, steps=3, rates={"D": lambda n: 3.0})
    fixed = gd.solve(flows.clipped(gradient({"D": 3.0}), norm=0.2), "rk4", h=0.1, steps=3)
    torch.testing.assert_close(changing.state.y, fixed.state.y, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "how", [{}, {"norm": 1.0, "value": 1.0}, {"norm": 0.0}, {"value": -1.0}, {"norm": 1.0, "of": "X"}]
)
def test_refused(how):
    with pytest.raises(gd.GamedynError):
        flows.clipped(gradient(), **how)
