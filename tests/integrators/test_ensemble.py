"""An ensemble is a loop of single solves, whatever differs between its members."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64
METHODS = [
    *("euler", "rk4", "ck54", "ab3", "optimistic", "heavy_ball", "pece_ab2_am3", "alternating", "strang_midpoint"),
    *("rk4_penalty_first_stage", "lookahead_alternating", "lookahead_optimistic", "normalised"),
    *("torch.optim:Adam", "torch.optim:RMSprop", "torch.optim:SGD", "torch.optim:Rprop", "torch.optim:Adafactor"),
    *("sign", "spectral", "extra_adam", "optimistic_adam", gd.methods.Grafted("torch.optim:Adam", "normalised")),
]


def toy():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def data():
    return torch.randn(12, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)


def stream(seed):
    return gd.batches(data(), latent=2, batch_size=4, seed=seed)


@pytest.mark.parametrize("method", METHODS)
class TestLoop:
    def test_h_rates_weights_and_seeds(self, method):
        # rejects: a rate or weight of another member, one shared batch, h of the first member for all
        hs, rates, weights, seeds = [0.02, 0.05, 0.1], [1.0, 2.0, 4.0], [0.0, 0.3, 0.1], [3, 4, 3]
        flow = gd.flows.gradient(toy()).with_term(gd.losses.r1(0.2))
        flow = flow.with_term(gd.losses.squared_gradient(0.1))
        streams = {s: stream(s) for s in seeds}
        run = gd.solve_ensemble(
            flow,
            method,
            h=hs,
            steps=6,
            rates={"D": rates},
            weights={"squared_gradient": weights},
            batches=[streams[s] for s in seeds],
        )
        assert run.status == ("done",) * 3
        for i in range(3):
            single = gd.flows.gradient(toy(), rates={"D": rates[i]}).with_term(gd.losses.r1(0.2))
            single = single.with_term(gd.losses.squared_gradient(weights[i]))
            alone = gd.solve(single, method, h=hs[i], steps=6, batches=stream(seeds[i]))
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-12)
            for p in "GD":
                torch.testing.assert_close(run.records.losses[p][:, i], alone.records.losses[p], rtol=0, atol=1e-12)

    def test_first_points_and_a_shared_stream(self, method, generator):
        flow = gd.flows.gradient(toy())
        y0 = flow.initial_state().y + 0.1 * torch.randn(4, flow.game.layout.n, generator=generator, dtype=DOUBLE)
        run = gd.solve_ensemble(flow, method, h=0.05, steps=5, y0=y0, batches=stream(0))
        for i in range(4):
            start = flow.initial_state().with_y(y0[i])
            alone = gd.solve(flow, method, h=0.05, steps=5, y0=start, batches=stream(0))
            torch.testing.assert_close(run.state.member(i).y, alone.state.y, rtol=0, atol=1e-12)

    def test_time_dependent_flow(self, method):
        # rejects: one clock for members whose steps differ
        flow = gd.flows.custom(
            lambda t, s, _: {"x": torch.cos(torch.as_tensor(t)) - s["y"], "y": s["x"] * torch.as_tensor(t)},
            like=gd.games.bilinear(),
        )
        hs = [0.1, 0.25]
        run = gd.solve_ensemble(flow, method, h=hs, steps=8)
        for i, h in enumerate(hs):
            alone = gd.solve(flow, method, h=h, steps=8)
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-7)

    def test_mapped_flow(self, method):
        flow = gd.flows.mapped(gd.flows.gradient(gd.games.bilinear()), lambda v: {k: x / 2 for k, x in v.items()})
        run = gd.solve_ensemble(flow, method, h=[0.1, 0.2], steps=4)
        alone = gd.solve(flow, method, h=0.2, steps=4)
        torch.testing.assert_close(run.state.y[1], alone.state.y, rtol=0, atol=1e-14)

    def test_restart_bit_for_bit(self, method, tmp_path):
        flow = gd.flows.gradient(toy())
        how = {"h": [0.02, 0.05], "rates": {"D": [1.0, 3.0]}}
        whole = gd.solve_ensemble(flow, method, steps=9, batches=[stream(1), stream(2)], **how)
        gd.solve_ensemble(flow, method, steps=4, batches=[stream(1), stream(2)], **how).save(tmp_path / "run.pt")
        resumed = gd.solve_ensemble(
            flow, method, steps=9, batches=[stream(1), stream(2)], resume=tmp_path / "run.pt", **how
        )
        assert torch.equal(whole.state.y, resumed.state.y)


def test_weights_of_terms_in_the_loss():
    # rejects: the flow's own weight for every member, one term's weights for another's
    flow = gd.flows.gradient(toy()).with_term(gd.losses.r1(0.2)).with_term(gd.losses.weight_decay(0.1, into="G"))
    weights = {"r1": [0.0, 0.5, 1.5], "weight_decay_G": [0.3, 0.0, 0.7]}
    run = gd.solve_ensemble(flow, "rk4", h=0.1, steps=5, weights=weights, batches=stream(1))
    for i in range(3):
        single = flow.with_weights(**{name: w[i] for name, w in weights.items()})
        alone = gd.solve(single, "rk4", h=0.1, steps=5, batches=stream(1))
        torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-12)


def test_a_gradient_used_again_keeps_its_players_rate():
    # G's gradient is made for D's penalty and used again: rejects: without its rate, or with another member's
    term, batch = gd.losses.squared_gradient(0.3, of="G", into="D"), next(stream(2).to(torch.device("cpu"), DOUBLE))
    plain, rates = gd.flows.gradient(toy()), [0.5, 2.0, 3.0]
    g, d = plain.game.layout.slices
    y = plain.initial_state().y
    for rate in rates:
        v = gd.flows.gradient(toy(), rates={"G": rate}).with_term(term).field(batch)(0.0, y)
        torch.testing.assert_close(v[g], rate * plain.field(batch)(0.0, y)[g], rtol=0, atol=1e-14)
        torch.testing.assert_close(v[d], plain.with_term(term).field(batch)(0.0, y)[d], rtol=0, atol=1e-14)
    run = gd.solve_ensemble(plain.with_term(term), "euler", h=0.1, steps=4, rates={"G": rates}, batch=batch)
    for i, rate in enumerate(rates):
        single = gd.flows.gradient(toy(), rates={"G": rate}).with_term(term)
        alone = gd.solve(single, "euler", h=0.1, steps=4, batch=batch)
        torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-12)


def test_a_member_that_fails_does_not_disturb_the_others():
    # Euler on the rotation at h = 1e80 overflows; its neighbour goes on
    flow = gd.flows.gradient(gd.games.bilinear())
    run = gd.solve_ensemble(flow, "euler", h=[0.1, 1e80], steps=20, check_every=2)
    assert run.status == ("done", "non_finite")
    assert bool(run.state.y.isfinite().all())
    assert float(run.state.y[0].norm()) == pytest.approx(math.sqrt(2) * 1.01**10, rel=1e-12)  # sqrt(1 + h^2) a step
    assert run.step == 20


def test_integrated_time_is_each_members_own():
    run = gd.solve_ensemble(gd.flows.gradient(gd.games.bilinear()), "euler", h=[0.1, 0.25], steps=8)
    assert run.stats["integrated_time"] == pytest.approx([0.8, 2.0])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"h": [0.1, 0.2], "rates": {"x": [1.0, 2.0, 3.0]}}, "members"),
        ({"h": [0.1, -0.2]}, "positive"),
        ({"h": [0.1, float("nan")]}, "finite"),
        ({"h": 0.1, "rates": {"z": [1.0]}}, "player"),
        ({"h": 0.1, "weights": {"r1": [1.0]}}, "term"),
        ({"h": 0.1, "y0": torch.ones(3, 5)}, "members, 2"),
    ],
)
def test_bad_members(how, message):
    with pytest.raises(gd.ArgumentError, match=message):
        gd.solve_ensemble(gd.flows.gradient(gd.games.bilinear()), "euler", steps=3, **how)


ALONE = [n for n, m in gd.methods.members().items() if not gd.integrators.stepper(m).ensembles]


def test_which_methods_take_no_ensembles():
    # rejects: a family that would share one Newton iteration, or one Krylov space, between members
    solving = {n for n, m in gd.methods.members().items() if not m.explicit}
    assert set(ALONE) == solving | {"lead"}


@pytest.mark.parametrize("method", [*ALONE, "torchdiffeq:rk4", "scipy:RK45"])
def test_methods_that_take_no_ensembles_say_so(method):
    flow = gd.flows.gradient(gd.games.bilinear())
    with pytest.raises(gd.ArgumentError, match="loop over solve") as caught:
        gd.solve_ensemble(flow, method, h=0.1, steps=3)
    assert method in str(caught.value)


MEMBERS = [n for n in gd.methods.members() if n not in ALONE]


@pytest.mark.parametrize("method", MEMBERS)
def test_every_method_that_takes_them_is_a_loop_of_single_solves(method):
    # on a field that depends on time, each member with a step and a point of its own; rejects: one clock for all
    flow = gd.flows.custom(
        lambda t, s, _: {
            "x": torch.cos(torch.as_tensor(t, dtype=DOUBLE)) - s["x"] * s["y"],
            "y": s["x"] - 0.5 * s["y"] * t,
        },
        like=gd.games.bilinear(),
    )
    hs, y0 = [0.05, 0.2], torch.tensor([[1.0, 0.5], [-0.3, 0.8]], dtype=DOUBLE)
    run = gd.solve_ensemble(flow, method, h=hs, steps=7, y0=y0)
    for i, h in enumerate(hs):
        alone = gd.solve(flow, method, h=h, steps=7, y0=flow.initial_state().with_y(y0[i]))
        torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-13)
