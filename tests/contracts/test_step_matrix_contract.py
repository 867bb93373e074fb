"""Contract 8: on linear games one step of the stepper is the matrix that stability/ computes, to rounding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.core import Field
from gamedyn.integrators import stepper
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep
from gamedyn.stability import BlockJacobian, step_matrix

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
MADE = {
    "user: leapfrog": LinearMultistep(alpha=[-1, 0, 1], beta=[0, 2, 0]),
    "user: damped two step": LinearMultistep(alpha=["1/2", "-3/2", 1], beta=["-1/4", "3/4", 0]),
    "user: three step": LinearMultistep(alpha=["-1/4", "1/4", -1, 1], beta=[0, 0, "5/4", 0]),
    "user: strang of heun": Partitioned([Sweep(1 / 2), Sweep(1 / 2, backward=True)], substep=OWN["heun2"]),
    "user: third order": RungeKutta(A=[[], ["1/3"], [0, "2/3"]], b=["1/4", 0, "3/4"]),
}
EVERY = {**OWN, **MADE}
SIZES = (2, 1, 3)


def linear_game(rng, sizes=SIZES):
    """A quadratic game with full blocks, its J from the numbers themselves."""
    n = sum(sizes)
    H = rng.standard_normal((n, n))
    ends = np.cumsum(sizes)
    for end, size in zip(ends, sizes, strict=True):
        own = slice(end - size, end)
        H[own, own] = (H[own, own] + H[own, own].T) / 2
    return gd.games.quadratic(torch.as_tensor(H), sizes=sizes), -H


def one_step(game, method, h, history):
    """The stepper's new point from points `history`, newest first, on y' = J y: memory is made by hand."""
    J = game.jacobian
    field, integrator = Field(gd.flows.gradient(game)), stepper(method)
    memory = integrator.init(field, 0.0, history[0], h)
    if isinstance(method, LinearMultistep):
        back = history[1:]
        memory = {
            "fields": [J @ y for y in back],
            "values": [y.clone() for y in back] if memory["values"] else [],
            "filled": method.steps - 1,
        }
    field.begin_step(None)
    return integrator.step(field, 0.0, history[0], h, memory)[0]


@pytest.mark.parametrize("h", [0.05, 0.7])
@pytest.mark.parametrize("method", list(EVERY.values()), ids=list(EVERY))
def test_one_step_is_the_matrix(method, h, rng):
    # rejects: any wrong coefficient, transposed blocks, histories in the wrong order
    game, J = linear_game(rng)
    blocks = BlockJacobian(J, SIZES, game.layout.players)
    M = step_matrix(method, blocks, h)
    steps = method.steps if isinstance(method, LinearMultistep) else 1
    history = [torch.as_tensor(rng.standard_normal(len(J))) for _ in range(steps)]
    new = one_step(game, method, h, history)
    expected = M[: len(J)] @ torch.cat(history).numpy()
    scale = np.abs(M).sum(1).max() * max(float(y.abs().max()) for y in history)
    np.testing.assert_allclose(new.numpy(), expected, rtol=0, atol=1e-14 * scale)


@pytest.mark.parametrize("order", list(itertools.permutations(("p1", "p2", "p3"))))
def test_alternating_in_every_order_of_play(order, rng):
    # rejects: the order of the game taken for the order of play; cyclic orders matter with three players
    game, J = linear_game(rng)
    method = gd.methods.alternating(order)
    M = step_matrix(method, BlockJacobian(J, SIZES, game.layout.players), 0.4)
    eye = torch.eye(len(J), dtype=DOUBLE)
    new = torch.stack([one_step(game, method, 0.4, [e]) for e in eye], 1)
    np.testing.assert_allclose(new.numpy(), M, rtol=0, atol=1e-13)
    others = [p for p in itertools.permutations(("p1", "p2", "p3")) if p != order]
    for other in others:
        wrong = step_matrix(gd.methods.alternating(other), BlockJacobian(J, SIZES, game.layout.players), 0.4)
        assert np.abs(new.numpy() - wrong).max() > 1e-2


def test_ten_line_alternating_loop(rng):
    """An implementation that shares nothing: each player's loss, one after the other, by autograd."""
    game, _ = linear_game(rng)
    parts = {k: torch.as_tensor(rng.standard_normal(v.shape)) for k, v in game.state().parts().items()}
    state = game.state_of(parts)
    for _ in range(3):
        for name in game.players:
            mine = parts[name].clone().requires_grad_()
            losses = game.losses(*[mine if k == name else v for k, v in parts.items()])
            parts[name] = parts[name] - 0.1 * torch.autograd.grad(losses[name], mine)[0]
    run = gd.solve(gd.flows.gradient(game), "alternating", h=0.1, steps=3, y0=state)
    torch.testing.assert_close(run.state.y, torch.cat(list(parts.values())), rtol=0, atol=1e-13)


def test_euler_is_torch_optims_sgd(generator):
    # rejects: a sign, a rate forgotten; torch.optim.SGD on the user's own modules
    G = gd.games.mlp((2, 4, 2), generator=generator, dtype=DOUBLE)
    D = gd.games.mlp((2, 4, 1), generator=generator, dtype=DOUBLE)
    game = gd.games.gan(G, D)
    batch = tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
    run = gd.solve(gd.flows.gradient(game, rates={"D": 4.0}), "euler", h=0.02, steps=5, batch=batch)
    optimisers = [torch.optim.SGD(G.parameters(), lr=0.02), torch.optim.SGD(D.parameters(), lr=0.08)]
    for _ in range(5):
        loss = game.losses(G, D, batch)
        grads = [torch.autograd.grad(loss[k], list(m.parameters()), retain_graph=True) for k, m in (("G", G), ("D", D))]
        for optimiser, module, own in zip(optimisers, (G, D), grads, strict=True):
            for p, g in zip(module.parameters(), own, strict=True):
                p.grad = g
            optimiser.step()
    torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=1e-14)


class TestMutants:
    """The comparison above is able to fail."""

    @pytest.mark.parametrize(("name", "wrong"), [("rk4", "kutta3"), ("heun2", "extragradient"), ("ab2", "optimistic")])
    def test_another_methods_matrix(self, name, wrong, rng):
        game, J = linear_game(rng)
        method, h = OWN[name], 0.4
        steps = getattr(method, "steps", 1)
        history = [torch.as_tensor(rng.standard_normal(len(J))) for _ in range(steps)]
        new = one_step(game, method, h, history).numpy()
        other = step_matrix(OWN[wrong], J, h)[: len(J)] @ torch.cat(history).numpy()
        assert np.abs(new - other).max() > 1e-3

    def test_transposed_blocks(self, rng):
        game, J = linear_game(rng)
        y = torch.as_tensor(rng.standard_normal(len(J)))
        new = one_step(game, OWN["alternating"], 0.4, [y]).numpy()
        wrong = step_matrix("alternating", BlockJacobian(J.T, SIZES, game.layout.players), 0.4) @ y.numpy()
        assert np.abs(new - wrong).max() > 1e-2

    def test_one_player_sees_the_old_others(self, rng):
        # simultaneous play is not alternating play
        game, J = linear_game(rng)
        y = torch.as_tensor(rng.standard_normal(len(J)))
        new = one_step(game, OWN["alternating"], 0.4, [y]).numpy()
        assert np.abs(new - (y.numpy() + 0.4 * J @ y.numpy())).max() > 1e-2


def test_alternating_conserves_the_modified_energy():
    # games.md b.3: x^2 + y^2 - h x y (x first), exactly, for h <= 2
    h = 0.8
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "alternating", h=h, steps=500)
    x, y = run.state.y.tolist()
    assert x * x + y * y - h * x * y == pytest.approx(2 - h, rel=1e-12)
    other = gd.solve(gd.flows.gradient(gd.games.bilinear()), gd.methods.alternating(("y", "x")), h=h, steps=500)
    x, y = other.state.y.tolist()
    assert x * x + y * y + h * x * y == pytest.approx(2 + h, rel=1e-12)
