"""PyTorch's spectral norm where a field is looked at: its vectors follow the weight, as they do in training.

Mutants rejected: u and v constant in J (the rightmost eigenvalue -1.88 for -0.74, an "equilibrium" with |v| of 0.99);
first-order vectors without Newton's correction; the wide case alone; the vectors' graph lost under no_grad (tangents).
"""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import gamedyn as gd


def regression(shape=(3, 3), seed=3, weight=1.0):
    """A normed linear map fitted to data, and the same loss with sigma from torch.linalg: (game, exact loss)."""
    draw = torch.Generator().manual_seed(seed)
    x, t = (torch.randn(20, n, generator=draw, dtype=torch.float64) for n in (shape[1], shape[0]))
    layer = nn.Linear(shape[1], shape[0], bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(shape, generator=draw, dtype=torch.float64) / 2)
    D = spectral_norm(layer)

    def losses(D):
        W = D.parametrizations.weight.original
        return {"D": 4 * ((D(x) - 2 * t) ** 2).mean() + weight * ((W**2).sum() - 1) ** 2}

    def exact(y):
        W = y.view(shape)
        return 4 * ((x @ (W / torch.linalg.matrix_norm(W, 2)).T - 2 * t) ** 2).mean() + weight * ((W**2).sum() - 1) ** 2

    return gd.Game({"D": D}, losses), exact


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (1, 4)])
def test_the_field_and_its_jacobian_are_those_of_the_exact_norm(shape):
    game, exact = regression(shape)
    held = gd.flows.gradient(game).at(game.state())
    y = held.at.y.clone().requires_grad_()
    torch.testing.assert_close(held.value, -torch.autograd.grad(exact(y), y)[0], rtol=1e-12, atol=1e-12)
    H = torch.autograd.functional.hessian(exact, held.at.y)
    for strategy in ("kept", "forward", "formed"):
        J = held.jacobian(strategy=strategy)
        torch.testing.assert_close(J.to_dense(), -H, rtol=1e-9, atol=1e-9)
    if shape == (2, 5):
        compiled = held.jacobian(strategy="compiled", check=False)
        torch.testing.assert_close(compiled @ held.value, -H @ held.value, rtol=1e-9, atol=1e-9)
    assert held.checked == "agrees"


def test_penalties_take_third_derivatives_of_it():
    game, exact = regression((2, 4))
    flow = gd.flows.gradient(game).with_term(gd.losses.squared_gradient(0.1, of="D", into="D"))

    def velocity(y):
        y = y.clone().requires_grad_()
        (g,) = torch.autograd.grad(exact(y), y, create_graph=True)
        return -torch.autograd.grad(exact(y) + 0.1 * (g**2).sum(), y)[0]

    held, y = flow.at(game.state()), game.state().y
    torch.testing.assert_close(held.value, velocity(y), rtol=1e-10, atol=1e-10)
    d, e = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1e-6
    torch.testing.assert_close(
        held.jacobian() @ d, (velocity(y + e * d) - velocity(y - e * d)) / (2 * e), rtol=1e-7, atol=1e-7
    )


def test_the_spectrum_is_that_of_training():
    game, exact = regression()
    flow = gd.flows.gradient(game)
    run = gd.solve(flow, "euler", h=0.02, steps=3000)
    values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(exact, run.state.y))
    lin, h, n = gd.spectrum.linearise(flow, run.state), 0.01, 400
    assert lin.norm < 1e-10
    assert lin.eigenvalues.rightmost == pytest.approx(-float(values[0]), rel=1e-9)
    assert (gd.spectrum.step_radius(flow, "euler", run.state, h) - 1) / h == pytest.approx(-float(values[0]), rel=1e-7)
    moved = run.state.with_y(run.state.y + 1e-5 * vectors[:, 0])
    ends = [gd.solve(flow, "euler", h=h, steps=k, y0=moved).state.y - run.state.y for k in (n, 2 * n)]
    rate = math.log(float(ends[1].norm() / ends[0].norm())) / (h * n)
    assert rate == pytest.approx(-float(values[0]), rel=2e-2)  # the solve's own vectors lag an iteration behind


def test_an_equilibrium_is_one_of_the_solve():
    game, exact = regression(weight=0.5)
    flow = gd.flows.gradient(game)
    found = gd.spectrum.find_equilibrium(flow, game.state())
    y = found.state.y.clone().requires_grad_()
    assert found.status == "converged"
    assert float(torch.autograd.grad(exact(y), y)[0].norm()) < 1e-10  # 0.99 with held vectors
    settled = gd.solve(flow, "euler", h=1e-6, steps=200, y0=found.state)  # 200 power iterations
    after = gd.solve(flow, "euler", h=1e-3, steps=100, y0=settled.state)
    assert float((after.state.y - settled.state.y).norm()) < 1e-6  # 1.25 with held vectors


def test_steps_and_buffers_are_as_before():
    # one power iteration a step, before its first evaluation
    game, _ = regression()
    run = gd.solve(gd.flows.gradient(game), "rk4", h=0.05, steps=3)
    assert len(run.state.buffers) == 2
    assert not any(b.requires_grad for b in run.state.buffers)
    held = gd.flows.gradient(game).at(run.state)
    held.jacobian()
    assert all(torch.equal(a, b) for a, b in zip(held.at.buffers, run.state.buffers, strict=True))
