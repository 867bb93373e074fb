"""Additive methods: the three published placements of the ODE-GAN penalty, written out."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn.methods import AdditiveRungeKutta

DOUBLE = torch.float64
PLACEMENTS = ("every_stage", "first_stage", "after_step")
A = [[], [0.5], [0, 0.5], [0, 0, 1.0]]
B = [1 / 6, 1 / 3, 1 / 3, 1 / 6]


def gan():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def samples():
    g = torch.Generator().manual_seed(5)
    return tuple(torch.randn(8, 2, generator=g, dtype=DOUBLE) for _ in "ab")


TERMS = (gd.losses.squared_gradient(0.3), gd.losses.r1(0.5), gd.losses.weight_decay(0.2, into="G"))


def both(terms=TERMS):
    """The game's flow, and that with its penalties."""
    plain = gd.flows.gradient(gan(), rates={"D": 2.0})
    full = plain
    for term in terms:
        full = full.with_term(term)
    return plain, full


def published(placement, v, p, y, h):
    """One step of classical Runge-Kutta, the penalty where the public codes have it (numerics.md 7)."""
    K = []
    for i, row in enumerate(A):
        point = y + h * sum((a * k for a, k in zip(row, K, strict=True)), torch.zeros_like(y))
        slope = v(point)
        if placement == "every_stage":
            slope = slope + p(point)
        elif placement == "first_stage" and i == 0:
            slope = slope + p(y) / B[0]
        K.append(slope)
    new = y + h * sum(b * k for b, k in zip(B, K, strict=True))
    return new + h * p(y) if placement == "after_step" else new


@pytest.mark.parametrize("placement", PLACEMENTS)
class TestPublishedPlacements:
    def test_is_the_code_written_out(self, placement):
        # rejects: the penalty in stage one without 1/b1, at the new point, or at the first stage's rates
        plain, full = both()
        batch, h = samples(), 0.2
        v = lambda y: plain.field(batch)(0.0, y)  # noqa: E731
        p = lambda y: full.field(batch)(0.0, y) - v(y)  # noqa: E731
        y = plain.initial_state().y
        assert float(p(y).norm()) > 0.1 * float(v(y).norm())
        for _ in range(4):
            y = published(placement, v, p, y, h)
        run = gd.solve(full, f"rk4_penalty_{placement}", h=h, steps=4, batch=batch)
        torch.testing.assert_close(run.state.y, y, rtol=0, atol=1e-13)

    def test_work(self, placement):
        _, full = both()
        run = gd.solve(full, f"rk4_penalty_{placement}", h=0.1, steps=5, batch=samples())
        assert run.stats["evaluations"] == 5 * (5 if placement == "after_step" else 4)

    def test_without_a_penalty_it_is_rk4(self, placement):
        plain, _ = both()
        a, b = (gd.solve(plain, m, h=0.2, steps=4, batch=samples()) for m in (f"rk4_penalty_{placement}", "rk4"))
        torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-14)

    def test_ensembles_of_weights(self, placement):
        _, full = both()
        weights, batch = {"squared_gradient": [0.0, 0.3], "r1": [0.5, 0.1]}, samples()
        run = gd.solve_ensemble(full, f"rk4_penalty_{placement}", h=0.2, steps=3, weights=weights, batch=batch)
        for i in range(2):
            single = full.with_weights(**{k: w[i] for k, w in weights.items()})
            alone = gd.solve(single, f"rk4_penalty_{placement}", h=0.2, steps=3, batch=batch)
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-13)


def test_every_stage_is_rk4_of_the_whole_flow():
    _, full = both()
    a, b = (gd.solve(full, m, h=0.2, steps=4, batch=samples()) for m in ("rk4_penalty_every_stage", "rk4"))
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("placement", "slope"), [("every_stage", 4.0), ("first_stage", 1.0), ("after_step", 1.0)])
def test_observed_orders(placement, slope):
    # numerics.md 7: 4.01, 1.01, 1.00 on the Dirac-GAN
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating")).with_term(gd.losses.squared_gradient(0.3))
    exact = gd.solve(flow, "dop853", h=0.02, steps=100).state.y
    errors = []
    for n in (32, 64):
        run = gd.solve(flow, f"rk4_penalty_{placement}", h=2 / n, steps=n)
        errors.append(float((run.state.y - exact).norm()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(slope, abs=0.08)


def test_terms_named_apart():
    # R1 by Euler, the rest by Heun's method; rejects: factors of one term given to another
    _, full = both()
    heun, euler = ([[], [1]], ["1/2", "1/2"]), ([[], []], [1, 0])
    method = AdditiveRungeKutta({"r1": euler, "rest": heun})
    batch, h = samples(), 0.2
    field = full.field(batch)
    parts = ("game", "squared_gradient", "r1", "weight_decay_G")
    assert set(full.parts) == set(parts)
    f = lambda y, *names: field.weighted(dict.fromkeys(names, 1.0), 0.0, y).clone()  # noqa: E731
    y = full.initial_state().y
    for _ in range(3):
        rest, penalty = f(y, "game", "squared_gradient", "weight_decay_G"), f(y, "r1")
        inner = y + h * rest
        y = y + h * (rest + f(inner, "game", "squared_gradient", "weight_decay_G")) / 2 + h * penalty
    run = gd.solve(full, method, h=h, steps=3, batch=batch)
    torch.testing.assert_close(run.state.y, y, rtol=0, atol=1e-13)


def test_a_part_that_the_flow_lacks():
    plain, _ = both()
    method = AdditiveRungeKutta({"r1": ([[]], [1]), "rest": ([[]], [1])})
    with pytest.raises(gd.UnknownNameError, match="r1"):
        gd.solve(plain, method, h=0.1, steps=1, batch=samples())


def test_penalties_hidden_in_another_flow_are_refused():
    # rejects: a placement that silently is rk4, as the wrapped flow is one part
    _, full = both()
    hidden = gd.flows.mapped(full, lambda v, *_: v)
    with pytest.raises(gd.ArgumentError, match=r"flow: expected a flow that has its parts apart.*squared_gradient"):
        gd.solve(hidden, "rk4_penalty_first_stage", h=0.1, steps=1, batch=samples())
    gd.solve(hidden, "rk4", h=0.1, steps=1, batch=samples())
