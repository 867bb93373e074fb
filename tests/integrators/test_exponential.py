"""Exponential Rosenbrock methods: exact on linear games at any step, dense phi-functions elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

import gamedyn as gd
from gamedyn.integrators import Krylov

DOUBLE = torch.float64
METHODS = ["exponential_rosenbrock_euler", "exprb32"]
methods = pytest.mark.parametrize("method", METHODS)


def phi(k, Z):
    """phi_k of a matrix, from one exponential of an augmented matrix."""
    n = len(Z)
    big = np.zeros((n * (k + 1), n * (k + 1)))
    big[:n, :n] = Z
    for j in range(k):
        big[j * n : (j + 1) * n, (j + 1) * n : (j + 2) * n] = np.eye(n)
    return expm(big)[:n, k * n :]


def test_the_reference_phi():
    for k in range(4):
        assert phi(k, np.zeros((1, 1)))[0, 0] == pytest.approx(1 / math.factorial(k))
    assert phi(1, np.array([[2.0]]))[0, 0] == pytest.approx((math.exp(2) - 1) / 2)


def rotating(rng):
    """A stable 12 x 12 J with rotation up to 10 and nothing symmetric."""
    S = rng.standard_normal((12, 12)) * 3
    return (S - S.T) / 2 - np.diag(rng.uniform(0.01, 2, 12))


def stiff(rng):
    """-0.01 +- 10i, and -1000."""
    J = np.diag([-0.01, -0.01, -1000.0, -1.0])
    J[0, 1], J[1, 0] = -10.0, 10.0
    J[0, 2], J[2, 3] = 5.0, -3.0
    return J


@methods
@pytest.mark.parametrize("h", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("make", [rotating, stiff])
@pytest.mark.parametrize("rtol", [None, 1e-12])
def test_linear_games_are_solved_exactly_at_any_step(method, h, make, rtol, rng):
    # rejects: a time step limit, a Krylov space cut too early, phi_0 for phi_1
    J = make(rng)
    n = len(J)
    flow = gd.flows.gradient(gd.games.quadratic(-J, sizes=(1,) * n))
    steps = 2
    run = gd.solve(flow, method, h=h, steps=steps, solver=Krylov(rtol=rtol, max_products=4000))
    exact = expm(steps * h * J) @ np.ones(n)
    error = np.linalg.norm(run.state.y.numpy() - exact) / np.linalg.norm(np.ones(n))
    assert error < 10 * steps * (rtol or 1e-8)


@methods
def test_a_forced_linear_game_is_exact_in_a_linear_force(method):
    # y' = J y + a + b t, by phi_1 and phi_2; rejects: dv/dt forgotten. Exact: one matrix exponential
    J = np.array([[-0.5, -3.0], [3.0, -0.2]])
    a, b = np.array([1.0, -2.0]), np.array([0.5, 4.0])
    Jt, at, bt = (torch.tensor(x) for x in (J, a, b))

    def fn(t, s, _):
        w = torch.stack([s["x"][0], s["y"][0]])
        v = Jt @ w + at + bt * t
        return {"x": v[:1], "y": v[1:]}

    flow = gd.flows.custom(fn, like=gd.games.bilinear())
    run = gd.solve(flow, method, h=0.7, steps=3, solver=Krylov(rtol=1e-13))
    big = np.zeros((4, 4))
    big[:2, :2], big[:2, 2], big[:2, 3], big[3, 2] = J, a, b, 1.0  # w' = J w + a 1 + b t, 1' = 0, t' = 1
    exact = (expm(2.1 * big) @ np.array([1.0, 1.0, 1.0, 0.0]))[:2]
    np.testing.assert_allclose(run.state.y.numpy(), exact, rtol=0, atol=2e-9)  # dv/dt by differences, to 4e-11


@methods
def test_a_nonlinear_step_is_the_dense_one(method):
    # rejects: J at another point, a correction without its factor, phi_2 for phi_3
    g = torch.Generator().manual_seed(4)
    game = gd.games.gan(
        gd.games.mlp((2, 2, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 2, 1), generator=g, dtype=DOUBLE)
    )
    batch = tuple(torch.randn(6, 2, generator=g, dtype=DOUBLE) for _ in "ab")
    flow, h = gd.flows.gradient(game, rates={"D": 2.0}), 0.8
    state, field = flow.initial_state(), flow.field(batch)
    y, v = state.y.numpy(), field(0.0, state.y).numpy().copy()
    J = flow.at(state, batch).jacobian().to_dense().numpy()
    expected = y + h * phi(1, h * J) @ v
    if method == "exprb32":
        gap = field(0.0, torch.tensor(expected)).numpy() - v - J @ (expected - y)
        expected = expected + 2 * h * phi(3, h * J) @ gap
    run = gd.solve(flow, method, h=h, steps=1, batch=batch, solver=Krylov(rtol=1e-13))
    np.testing.assert_allclose(run.state.y.numpy(), expected, rtol=0, atol=1e-11)


def test_a_space_too_small_rejects_the_step():
    flow = gd.flows.gradient(gd.games.bilinear(torch.diag(torch.logspace(0, 3, 12, dtype=DOUBLE))))
    run = gd.solve(flow, METHODS[0], h=1.0, steps=2, solver=Krylov(rtol=1e-10, max_products=5), throw=False)
    assert (run.status, run.step) == ("not_converged", 0)
    assert torch.equal(run.state.y, flow.initial_state().y)
