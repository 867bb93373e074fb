"""Linearly implicit methods against dense linear algebra: competitive gradient descent, splits, Rosenbrock."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.core import Point
from gamedyn.integrators import Krylov
from gamedyn.methods import LinearlyImplicit

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
MEMBERS = {n: m for n, m in OWN.items() if isinstance(m, LinearlyImplicit)}
members = pytest.mark.parametrize("method", list(MEMBERS.values()), ids=list(MEMBERS))
EXACT = Krylov(rtol=1e-13)


def gan():
    g = torch.Generator().manual_seed(4)
    game = gd.games.gan(
        gd.games.mlp((2, 2, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 2, 1), generator=g, dtype=DOUBLE)
    )
    return gd.flows.gradient(game, rates={"D": 2.0}), tuple(torch.randn(6, 2, generator=g, dtype=DOUBLE) for _ in "ab")


def dirac():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6, initial=(1.3, 0.8))), None


def three():
    """Three players, sizes 2, 1 and 2, nothing symmetric between them, and cubes."""
    players = {p: torch.tensor(x, dtype=DOUBLE) for p, x in (("a", [0.3, -1.0]), ("b", [0.7]), ("c", [1.1, 0.4]))}

    def losses(a, b, c):
        return {
            "a": (a**4).sum() / 4 + (a * c).sum() * b.sum() + a[0] * a[1],
            "b": (b**2).sum() - 2 * (b * a[0] * c[1] ** 2).sum(),
            "c": (c**2).sum() + (c[0] * a[1] * b**2).sum() + c[0] * c[1],
        }

    return gd.flows.gradient(gd.Game(players, losses), rates={"b": 3.0}), None


PROBLEMS = {"gan": gan, "dirac": dirac, "three players": three}
everywhere = pytest.mark.parametrize("make", list(PROBLEMS.values()), ids=list(PROBLEMS))


def dense(flow, batch):
    """y, v, J and the part of J that each method treats, as NumPy arrays."""
    state = flow.initial_state()
    v = flow.field(batch)(0.0, state.y).numpy()
    leaves = [p.clone().requires_grad_() for p in flow.game.layout.views(state.y)]

    def velocity(*leaves):
        with flow.game.binding.borrowed():
            values = flow.game.evaluate(Point(0.0, leaves, (), batch))[0]
            losses = dict(zip(flow.game.players, values, strict=True))
        out = []
        for name, at in zip(flow.game.players, flow.game.layout.leaf_slices, strict=True):
            out += torch.autograd.grad(losses[name], leaves[at], create_graph=True, materialize_grads=True)
        return tuple(out)

    blocks = torch.autograd.functional.jacobian(velocity, tuple(leaves))
    rows = [
        torch.cat([b.reshape(x.numel(), -1) for b in row], 1) for row, x in zip(blocks, leaves, strict=True)
    ]  # of the stacked gradients
    J = -torch.cat(rows).numpy()
    for name, at in zip(flow.game.players, flow.game.layout.slices, strict=True):
        J[at] *= flow.rates[name]
    cross = J.copy()
    for at in flow.game.layout.slices:
        cross[at, at] = 0
    parts = {"full": J, "cross": cross, "sym": (J + J.T) / 2, "skew": (J - J.T) / 2}
    return state.y.numpy(), v, parts


@everywhere
class TestOneStage:
    @pytest.mark.parametrize("name", ["rosenbrock_euler", "cgd", "imex_sym", "imex_skew"])
    def test_is_h_times_the_inverse_times_v(self, make, name):
        # rejects: own blocks in W, W transposed, J for its symmetric part, rates left out
        flow, batch = make()
        y, v, parts = dense(flow, batch)
        h, W = 0.7, parts[OWN[name].part]
        run = gd.solve(flow, name, h=h, steps=1, batch=batch, solver=EXACT)
        expected = y + h * np.linalg.solve(np.eye(len(y)) - h * W, v)
        np.testing.assert_allclose(run.state.y.numpy(), expected, rtol=0, atol=1e-10)

    def test_the_parts_are_told_apart(self, make):
        flow, batch = make()
        _, _, parts = dense(flow, batch)
        scale = np.abs(parts["full"]).max()
        assert all(np.abs(parts["full"] - parts[p]).max() > 0.05 * scale for p in ("cross", "sym", "skew"))
        assert np.abs(parts["cross"] - parts["cross"].T).max() > 0.05 * scale


@everywhere
@members
def test_a_step_is_the_dense_one(make, method):
    # rejects: Gamma's row sums, products with W of the wrong stages, a stage at the wrong point
    flow, batch = make()
    y, v, parts = dense(flow, batch)
    field, h = flow.field(batch), 0.4
    W, eye, K = parts[method.part], np.eye(len(y)), []
    A, gamma = np.array(method.A, float), np.array(method.gamma, float)
    for i in range(method.stages):
        point = y + h * sum((A[i, j] * K[j] for j in range(i)), np.zeros_like(y))
        right = field(0.0, torch.tensor(point)).numpy().copy()
        right = right + h * W @ sum((gamma[i, j] * K[j] for j in range(i)), np.zeros_like(y))
        K.append(np.linalg.solve(eye - h * gamma[i, i] * W, right))
    expected = y + h * sum(float(b) * k for b, k in zip(method.b, K, strict=True))
    run = gd.solve(flow, method, h=h, steps=1, batch=batch, solver=EXACT)
    np.testing.assert_allclose(run.state.y.numpy(), expected, rtol=0, atol=1e-10)
    assert float(np.abs(v).max()) > 0.05


@pytest.mark.parametrize("name", ["rosenbrock_euler", "ros2", "rodas3", "ros34pw2"])
def test_rosenbrock_on_a_field_that_depends_on_time(name):
    # HW II, eq. (7.4a): alpha_i h in the time, gamma_i h dv/dt; rejects: either forgotten. x' = cos(3t) - x y, ...
    method, h, t0 = OWN[name], 0.3, 0.5

    def fn(t, s, _):
        t = torch.as_tensor(t, dtype=DOUBLE)
        return {"x": torch.cos(3 * t) - s["x"] * s["y"], "y": s["x"] * torch.sin(t) - 0.5 * s["y"]}

    flow = gd.flows.custom(fn, like=gd.games.bilinear())
    v = lambda t, w: np.array([math.cos(3 * t) - w[0] * w[1], w[0] * math.sin(t) - 0.5 * w[1]])  # noqa: E731
    y = np.array([1.0, 1.0])
    J = np.array([[-y[1], -y[0]], [math.sin(t0), -0.5]])
    drift = np.array([-3 * math.sin(3 * t0), y[0] * math.cos(t0)])
    A, gamma, K = np.array(method.A, float), np.array(method.gamma, float), []
    for i in range(method.stages):
        point = y + h * sum((A[i, j] * K[j] for j in range(i)), np.zeros(2))
        right = v(t0 + h * A[i].sum(), point) + h * gamma[i].sum() * drift
        right = right + h * J @ sum((gamma[i, j] * K[j] for j in range(i)), np.zeros(2))
        K.append(np.linalg.solve(np.eye(2) - h * gamma[i, i] * J, right))
    expected = y + h * sum(float(b) * k for b, k in zip(method.b, K, strict=True))
    run = gd.solve(flow, method, h=h, t_span=(t0, t0 + h), solver=EXACT)
    np.testing.assert_allclose(run.state.y.numpy(), expected, rtol=0, atol=1e-9)  # dv/dt to 4e-11, by differences


def test_cgd_on_the_bilinear_game_is_implicit_euler():
    # W = J there; proximal point, Schaefer, Anandkumar 2019, section 2.4
    flow = gd.flows.gradient(gd.games.bilinear([[1.0, 2.0], [0.5, -1.0]]))
    solvers = Krylov(rtol=1e-13), gd.integrators.NewtonKrylov(rtol=1e-13)
    a, b = (
        gd.solve(flow, m, h=0.7, steps=5, solver=s).state.y
        for m, s in zip(("cgd", "implicit_euler"), solvers, strict=True)
    )
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_a_system_that_runs_out_of_products_rejects_the_step():
    flow, batch = gan()
    run = gd.solve(flow, "ros2", h=5.0, steps=3, batch=batch, solver=Krylov(rtol=1e-12, max_products=2), throw=False)
    assert (run.status, run.step) == ("not_converged", 0)
    assert torch.equal(run.state.y, flow.initial_state().y)


def test_the_tolerance_is_that_of_the_linear_systems():
    flow, batch = gan()
    how = {"h": 1.0, "steps": 1, "batch": batch}
    exact = gd.solve(flow, "rosenbrock_euler", solver=EXACT, **how).state.y
    products = []
    for rtol in (1e-2, 1e-5, 1e-8):
        run = gd.solve(flow, "rosenbrock_euler", solver=Krylov(rtol=rtol), **how)
        assert 0 < float((run.state.y - exact).norm()) < 5 * rtol * float((exact - flow.initial_state().y).norm())
        products.append(run.stats["krylov_products"])
    assert products == sorted(products)
    assert products[0] < products[-1]
