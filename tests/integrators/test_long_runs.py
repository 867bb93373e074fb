"""Long-run invariants: symplectic members keep the energy of a separable game for 3e4 steps, others drift.

The game is L_x = x sin y, L_y = -x y: x' = -sin y, y' = x, a pendulum of energy x^2/2 + 1 - cos y; neither loss bends
in its own player. The real steppers step a field that is written out: autograd would take minutes.
"""

from __future__ import annotations

import math
from collections import deque

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Anderson, stepper

DOUBLE = torch.float64
START = (0.0, 1.2)


class Pendulum:
    """The field, written out."""

    names, players = ("x", "y"), (slice(0, 1), slice(1, 2))

    autonomous, parts, persistent = True, ("game",), True

    def __init__(self):
        self.point, self.members = torch.zeros(2, dtype=DOUBLE), None

    def __call__(self, t, y, out=None):
        out = torch.empty_like(y) if out is None else out
        self.player(0, t, y, out[:1])
        self.player(1, t, y, out[1:])
        return out

    def player(self, i, t, y, out):
        return torch.sin(y[1:], out=out).neg_() if i == 0 else out.copy_(y[:1])

    def stages(self, count, player=None):
        return torch.empty(count, 2 if player is None else 1, dtype=DOUBLE)


def energy(y):
    return y[..., 0] ** 2 / 2 + 1 - torch.cos(y[..., 1])


def largest_errors(integrator, h, steps, window=1000):
    """max |H - H_0| over the first steps, and over the last."""
    field, y = Pendulum(), torch.tensor(START, dtype=DOUBLE)
    start, memory, seen = energy(y), integrator.init(field, 0.0, y, h), deque(maxlen=window)
    first = None
    with torch.no_grad():
        for n in range(steps):
            y, memory, info = integrator.step(field, 0.0, y, h, memory)
            assert info.status == "ok"
            if n < window or n >= steps - window:
                seen.append(y.clone())
            if n == window - 1:
                first = (energy(torch.stack(list(seen))) - start).abs().amax(0)
    return first, (energy(torch.stack(list(seen))) - start).abs().amax(0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "order"), [("alternating", 1), ("strang", 2), ("ruth3", 3), ("forest_ruth", 4)])
def test_energy_stays_within_what_the_first_turns_show(name, order):
    # rejects: a player that moves by the old opponent (drift), lengths that do not add up, a lost order
    first, last = largest_errors(stepper(name), 0.2, 30_000)
    assert float(last) < 1.1 * float(first)
    finer, _ = largest_errors(stepper(name), 0.1, 1000)
    assert math.log2(first / finer) == pytest.approx(order, abs=0.3)
    assert float(finer) > 1e-8  # not beneath rounding


@pytest.mark.slow
@pytest.mark.parametrize(("name", "order"), [("implicit_midpoint", 2), ("gauss4", 4)])
def test_implicit_symplectic_methods(name, order):
    # a twentieth of the steps: every one is a nonlinear system; an error of 1e-13 each would show as 2e-10
    integrator = stepper(name, solver=Anderson(depth=2, rtol=1e-13))
    first, last = largest_errors(integrator, 0.2, 1500, window=300)
    assert float(last) < 1.1 * float(first)
    finer, _ = largest_errors(integrator, 0.1, 600, window=300)
    assert math.log2(first / finer) == pytest.approx(order, abs=0.3)


@pytest.mark.slow
def test_the_same_measurement_finds_the_drift_of_a_method_that_is_not_symplectic():
    # rejects: a measurement that calls anything bounded
    for name, h in (("rk4", 0.2), ("euler", 0.001)):
        first, last = largest_errors(stepper(name), h, 15_000)
        assert float(last) > 8 * float(first)


def test_on_the_real_flow_too():
    # the written-out field is the game's; rejects: a test of a field that no game has
    x, y = (torch.tensor([v], dtype=DOUBLE) for v in START)
    game = gd.Game({"x": x, "y": y}, lambda x, y: {"x": (x * torch.sin(y)).sum(), "y": -(x * y).sum()})
    for name in ("alternating", "strang", "ruth3", "forest_ruth", "rk4"):
        run = gd.solve(gd.flows.gradient(game), name, h=0.2, steps=50)
        field, integrator = Pendulum(), stepper(name)
        at, memory = torch.tensor(START, dtype=DOUBLE), {}
        for _ in range(50):
            at, memory, _ = integrator.step(field, 0.0, at, 0.2, memory)
        torch.testing.assert_close(run.state.y, at, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["implicit_midpoint", "gauss4", "gauss6", "trapezoid"])
def test_quadratic_invariants_on_the_bilinear_game(name):
    # |R(iy)| = 1: |x|^2 + |y|^2 is kept to the solver's tolerance; rejects: any damping
    flow = gd.flows.gradient(gd.games.bilinear([[1.0, 2.0], [0.5, -1.0]]))
    run = gd.solve(flow, name, h=0.7, steps=100, solver=gd.integrators.NewtonKrylov(rtol=1e-13))
    assert float(run.state.y.square().sum()) == pytest.approx(4.0, abs=1e-9)


def test_modified_energy_of_alternating_play():
    # bilinear: x^2 + y^2 - h x y is kept exactly by "x, then y" (symplectic Euler); rejects: the other order
    flow, h = gd.flows.gradient(gd.games.bilinear()), 0.5
    run = gd.solve(flow, "alternating", h=h, steps=5000)
    x, y = run.state.y.tolist()
    assert x * x + y * y - h * x * y == pytest.approx(2 - h, abs=1e-10)
