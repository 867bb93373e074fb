"""A game in other units of time, or of its parameters, gets the same answers."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn.spectrum import find_equilibrium, step_radius, verdict

DOUBLE = torch.float64
UNITS = pytest.mark.parametrize(("faster", "longer"), [(1e-9, 1.0), (1e9, 1.0), (1.0, 1e-8), (1.0, 1e8), (1e-6, 1e5)])


def scaled(faster, longer):
    """A nonlinear game whose time runs `faster`, its parameters `longer` times as large: v = faster L w(y / L)."""
    a, b = torch.tensor([1.0, 0.4], dtype=DOUBLE), torch.tensor([-0.5], dtype=DOUBLE)

    def losses(x, y):
        u, w = x / longer, y / longer
        f = (u**2).sum() * 0.5 + (u.sum() - 0.3) * (w - 0.2).sum() + 0.1 * (u**4).sum()
        g = -(u.sum() - 0.3) * (w - 0.2).sum() + 0.35 * ((w - 0.2) ** 2).sum()
        return {"x": faster * longer**2 * f, "y": faster * longer**2 * g}

    return gd.Game({"x": a * longer, "y": b * longer}, losses)


def of_one():
    game = scaled(1.0, 1.0)
    return gd.flows.gradient(game), find_equilibrium(gd.flows.gradient(game), game.state())


@UNITS
def test_find_equilibrium(faster, longer):
    """Rejects: a first pseudo-time step of 1, a tolerance of 1e-12, a least step of 1e-12."""
    flow, game = of_one(), scaled(faster, longer)
    found = find_equilibrium(gd.flows.gradient(game), game.state())
    assert found.status == "converged"
    assert found.iterations == flow[1].iterations
    assert torch.allclose(found.state.y / longer, flow[1].state.y, rtol=1e-9, atol=1e-12)


@UNITS
def test_verdict(faster, longer):
    """Rejects: |v| below 1e-7 as stationary: losses times 1e-9 make every point an equilibrium."""
    reference, game = of_one(), scaled(faster, longer)
    flow = gd.flows.gradient(game)
    for point, exact in (
        (find_equilibrium(flow, game.state()).state, reference[1].state),
        (game.state(), scaled(1.0, 1.0).state()),
    ):
        found, expected = verdict(flow, point), verdict(reference[0], exact)
        assert {k: a.answer for k, a in found.answers().items()} == {k: a.answer for k, a in expected.answers().items()}
        assert found.stationary == expected.stationary
        exact = [faster * bound for bound in expected.flow.abscissa]
        assert list(found.flow.abscissa) == pytest.approx(exact, rel=1e-9)
    assert verdict(flow, find_equilibrium(flow, game.state()).state).nash == "yes"


@UNITS
@pytest.mark.parametrize("method", ["rk4", "lead"])
def test_step_radius(faster, longer, method):
    """Rejects: differences of eps^(1/3) max(1, |y|) where a step has no tangent of its own (LEAD)."""
    reference, game = of_one(), scaled(faster, longer)
    at = gd.core.State(game.layout, reference[1].state.y * longer, ())
    expected = step_radius(reference[0], method, reference[1].state, 0.3)
    assert step_radius(gd.flows.gradient(game), method, at, 0.3 / faster) == pytest.approx(expected, rel=1e-7)


def pushed(t0):
    """A pendulum, pushed; time counts from t0. The exact field is the same at every t0."""

    def fn(t, state, batch):
        s = t - t0
        return {"x": -torch.sin(state["y"]) + 0.5 * math.sin(2 * s), "y": torch.sin(state["x"]) + math.cos(s)}

    return gd.flows.custom(fn, like=gd.games.bilinear())


@pytest.mark.parametrize("method", ["rosenbrock_euler", "rodas3", "exprb32"])
@pytest.mark.parametrize(("t0", "worst"), [(1e3, 1e-9), (1e6, 1e-7), (-1e8, 1e-5)])
def test_steps_far_from_time_zero(method, t0, worst):
    """Rejects: a difference in time divided by the distance that was asked for, not the one between rounded times."""
    y0 = torch.tensor([1.0, 0.5], dtype=DOUBLE)
    near = gd.solve(pushed(0.0), method, h=1e-2, t_span=(0.0, 1.0), y0=y0).state.y
    far = gd.solve(pushed(t0), method, h=1e-2, t_span=(t0, t0 + 1.0), y0=y0).state.y
    assert float((near - far).norm()) < worst
