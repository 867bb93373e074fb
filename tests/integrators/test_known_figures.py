"""Figures of the literature and of public code: bilinear, 2x2 and Dirac games by the real steppers."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn.methods import RungeKutta

DOUBLE = torch.float64


def radius_after(method, h=0.1, steps=1000):
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), method, h=h, steps=steps)
    return float(run.state.y.norm()) / math.sqrt(2)


class TestFrozenOpponent:
    """games.md b.6.1: the ODE-GAN notebook integrates each player against a frozen opponent."""

    def notebook(self, h=0.1, steps=1000):
        """Its rk4, written out: every stage of a player sees the other where the step began."""
        y = torch.ones(2, dtype=DOUBLE)
        field = gd.flows.gradient(gd.games.bilinear()).field()
        for _ in range(steps):
            new = y.clone()
            for i in range(2):

                def own(w, i=i, y=y):
                    at = y.clone()
                    at[i] = w
                    return field.player(i, 0.0, at)[0].clone()

                k1 = own(y[i])
                k2 = own(y[i] + h / 2 * k1)
                k3 = own(y[i] + h / 2 * k2)
                k4 = own(y[i] + h * k3)
                new[i] = y[i] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            y = new
        return float(y.norm()) / math.sqrt(2)

    def test_on_the_bilinear_game_it_is_euler(self):
        frozen, euler = self.notebook(), radius_after("euler")
        assert frozen == pytest.approx(euler, rel=1e-12)
        assert euler == pytest.approx(144.77, abs=0.005)
        assert euler == pytest.approx(1.01**500, rel=1e-12)

    def test_coupled_rk4_is_not(self):
        # rho^2 = 1 - h^6/72 + h^8/576
        assert radius_after("rk4") == pytest.approx((1 - 1e-6 / 72 + 1e-8 / 576) ** 500, rel=1e-10)
        assert radius_after("rk4") == pytest.approx(0.99999, abs=5e-6)


@pytest.mark.parametrize(
    ("method", "h", "rho"),
    [
        # games.md b.3, factor of one step on the rotation
        ("euler", 0.5, math.sqrt(1.25)),
        ("heun2", 0.5, math.sqrt(1 + 0.5**4 / 4)),
        ("midpoint", 0.5, math.sqrt(1 + 0.5**4 / 4)),
        ("extragradient", 0.5, math.sqrt(1 - 0.25 + 0.5**4)),
        ("rk4", 0.5, math.sqrt(1 - 0.5**6 / 72 + 0.5**8 / 576)),
        ("ab2", 0.1, 1 + 2.55e-5),
    ],
)
def test_growth_on_the_bilinear_game(method, h, rho):
    # rejects: a step that damps or grows by another factor
    n = 200
    flow = gd.flows.gradient(gd.games.bilinear())
    a = gd.solve(flow, method, h=h, steps=n)
    b = gd.solve(flow, method, h=h, steps=2 * n)
    grown = float(b.state.y.norm() / a.state.y.norm()) ** (1 / n)
    assert grown == pytest.approx(rho, abs=1e-12 if method != "ab2" else 2e-7)


@pytest.mark.parametrize(
    ("method", "limit"),
    [("kutta3", math.sqrt(3)), ("rk4", 2 * math.sqrt(2)), ("ab3", 0.7236), ("extragradient", 1.0),
     ("optimistic", 1 / math.sqrt(3)), ("alternating", 2.0)],
)  # fmt: skip
def test_limits_on_the_bilinear_game(method, limit):
    # games.md b.3; measured on the real step
    game = gd.games.bilinear()
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    assert gd.spectrum.step_radius(flow, method, at, 0.999 * limit) <= 1 + 1e-7
    assert gd.spectrum.step_radius(flow, method, at, 1.001 * limit) > 1 + 1e-6


@pytest.mark.parametrize(
    ("method", "limit"),
    [("euler", 2 / 101), ("optimistic", 0.0600), ("heun2", 0.104246), ("extragradient", 0.1162), ("rk4", 0.2936)],
)
def test_limits_on_the_symplectic_adjustment_example(method, limit):
    # games.md b.4: H = I + A, eigenvalues 1 +- 10i; for heun2 it prints .1043, |1 + z + z^2/2| = 1 at .104246
    game = gd.games.quadratic([[1.0, 10.0], [-10.0, 1.0]])
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    predicted = gd.spectrum.stable_steps(method, gd.spectrum.linearise(flow, at)).first[1]
    assert predicted == pytest.approx(limit, abs=5.1e-5)
    assert gd.spectrum.step_radius(flow, method, at, predicted * 0.999) < 1
    assert gd.spectrum.step_radius(flow, method, at, predicted * 1.001) > 1


@pytest.mark.parametrize(
    ("table", "eigenvalues", "stable"),
    [
        # games.md b.4, eigenvalues of H = -J; None: a centre
        ((1, 2, 2, 1), (3, -1), False),
        ((-1, 3, -3, 3), (1 + 5**0.5 * 1j, 1 - 5**0.5 * 1j), True),
        ((1, 3, -3, 1), (1 + 3j, 1 - 3j), True),
        ((0, 1, -1, 0), (1j, -1j), None),
        ((-1, 1, -1, 0.5), (-0.25 + 0.6614378j, -0.25 - 0.6614378j), False),
    ],
)
def test_two_by_two_table(table, eigenvalues, stable):
    a, b, c, d = map(float, table)
    game = gd.games.quadratic([[a, b], [c, d]])
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
    got = sorted(-lin.eigenvalues.values, key=lambda z: (z.imag, z.real))
    assert got == pytest.approx(sorted(map(complex, eigenvalues), key=lambda z: (z.imag, z.real)), abs=1e-7)
    assert gd.spectrum.stable_steps("euler", lin).flow_stable is stable


def test_time_scale_threshold():
    # games.md b.4: (-1, 3, -3, 3) is stable exactly for tau > 1/3
    game = gd.games.quadratic()
    for tau, stable in ((0.33, False), (0.34, True)):
        flow = gd.flows.gradient(game, rates={"p2": tau})
        lin = gd.spectrum.linearise(flow, game.equilibrium_state())
        assert gd.spectrum.stable_steps("rk4", lin).flow_stable is stable


def test_n_player_rotation():
    # games.md b.4: eps +- 2.41421i, +- 0.41421i; Euler limit 0.0034314 for eps = 0.01
    game = gd.games.rotation(4, 0.01)
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
    assert sorted(lin.eigenvalues.values.imag) == pytest.approx([-2.414214, -0.414214, 0.414214, 2.414214], abs=1e-6)
    assert lin.eigenvalues.values.real == pytest.approx([-0.01] * 4, abs=1e-12)
    assert gd.spectrum.stable_steps("euler", lin).first[1] == pytest.approx(0.0034314, abs=5e-8)


def test_the_broken_heun_of_the_notebook_is_another_method():
    broken = RungeKutta(A=[[], ["1/2"]], b=["1/2", "1/2"])
    assert broken.order == 1
    assert radius_after(broken) > 10 * radius_after("heun2")
