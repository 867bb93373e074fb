"""Contract 8: on linear games a step of the stepper is the matrix that stability/ computes.

Every member runs from its own start; the step after it is compared: to rounding where nothing is solved, else to the
solver's tolerance. Implicit members solve to 1e-13, which is what the comparison can then ask for.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.equations.newton import Krylov, NewtonKrylov
from gamedyn.jacobian import FrozenField as Field
from gamedyn.methods import (
    AdditiveRungeKutta,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Partitioned,
    RungeKutta,
    Sweep,
)
from gamedyn.stability import BlockJacobian, step_matrix

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
MADE = {
    "user: damped two step": LinearMultistep(alpha=["1/2", "-3/2", 1], beta=["-1/4", "3/4", 0]),
    "user: three step": LinearMultistep(alpha=["-1/4", "1/4", -1, 1], beta=[0, 0, "5/4", 0]),
    "user: strang of heun": Partitioned([Sweep(1 / 2), Sweep(1 / 2, backward=True)], substep=OWN["heun2"]),
    "user: third order": RungeKutta(A=[[], ["1/3"], [0, "2/3"]], b=["1/4", 0, "3/4"]),
    "user: theta": gd.methods.theta("2/3"),
    "user: cycles": gd.methods.alternating(cycles={"p2": 3, "p1": 1, "p3": 2}),
    "user: strang, cycles": gd.methods.strang(("p3", "p1", "p2"), cycles={"p2": 1, "p1": 2, "p3": 1}),
    "user: imex of two stages": LinearlyImplicit([[], [1]], [["1/2"], ["-1", "1/2"]], ["1/2", "1/2"], part="sym"),
    "user: lead of another coupling": gd.methods.lead("1/3", "3/2"),
    "user: lookahead of bdf3": Lookahead(OWN["bdf3"], 4, "1/2"),
    "user: lookahead of pece": Lookahead(OWN["pece_ab3_am4"], 3, "2/3"),
    "user: lookahead of strang": Lookahead(OWN["strang"], 3, "1/2"),
    "user: heun, penalty inside stage one": gd.methods.penalty_placed(OWN["heun3"], "first_stage"),
    "user: a tableau for one penalty": AdditiveRungeKutta(
        {
            "game": ([[], ["1/2"], [0, "3/4"]], ["2/9", "1/3", "4/9"]),
            "squared_gradient": ([[], ["1/2"], ["3/4"]], ["1/3", 0, "2/3"]),
            "rest": ([[], [0], [1]], [0, 1, 0]),
        }
    ),
}
PARTS = ("game", "squared_gradient", "weight_decay_p3")
EVERY = {**OWN, **MADE}
NEEDS_PARTS = [n for n, m in EVERY.items() if not set(getattr(m, "parts", ())) <= {"game", "rest"}]
SIZES = (2, 1, 3)


def linear_game(rng, sizes=SIZES):
    """A quadratic game with full blocks, its J from the numbers themselves."""
    n = sum(sizes)
    H = rng.standard_normal((n, n))
    for own in slices(sizes):
        H[own, own] = (H[own, own] + H[own, own].T) / 2
    return gd.games.quadratic(torch.as_tensor(H), sizes=sizes), -H


def slices(sizes=SIZES):
    return [slice(end - size, end) for end, size in zip(np.cumsum(sizes), sizes, strict=True)]


def penalised(game, J):
    """The flow with two penalties, and the Jacobian of each part, written out.

    p2 sees `0.15 |grad_1 L_1|^2`, whose gradient in p2 is `0.3 H_12^T (H y)_1`; p3 decays by 0.4.
    """
    first, second, third = slices()
    flow = gd.flows.gradient(game).with_term(gd.losses.squared_gradient(0.15, of="p1", into="p2"))
    flow = flow.with_term(gd.losses.weight_decay(0.4, into="p3"))
    squared, decay = np.zeros_like(J), np.zeros_like(J)
    squared[second] = -0.3 * J[first, second].T @ J[first]
    decay[third, third] = -0.4 * np.eye(SIZES[2])
    return flow, dict(zip(PARTS, (J, squared, decay), strict=True))


def exactly(method):
    """The stepper, solving to 1e-13 where it solves."""
    if isinstance(method, (LinearlyImplicit, ExponentialRosenbrock)):
        return stepper(method, solver=Krylov(rtol=1e-13))
    if method.explicit:
        return stepper(method)
    if isinstance(method, Lookahead):
        integrator = stepper(method)
        integrator.inner = exactly(method.inner)
        return integrator
    return stepper(method, solver=NewtonKrylov(rtol=1e-13))


def after_start(flow, method, h, rng):
    """The step after start-up: its result, and the points before it, newest first."""
    field, integrator = Field(flow), exactly(method)
    y = torch.as_tensor(rng.standard_normal(flow.game.layout.n))
    memory, points = integrator.init(field, 0.0, y, h), [y.clone()]
    steps = getattr(method, "steps", 1)
    for n in range(steps + 1):
        field.begin_step(None)
        y, memory, info = integrator.step(field, n * h, y, h, memory)
        assert info.status == "ok"
        points.append(y.clone())
    assert integrator.started(memory)
    new, *history = points[: -steps - 2 : -1]
    return new.numpy(), torch.cat(history).numpy()


def assert_is_the_matrix(method, flow, blocks, h, rng):
    new, history = after_start(flow, method, h, rng)
    M = step_matrix(method, blocks, h)[: len(new)]
    scale = (np.abs(M) @ np.abs(history)).max()
    # nothing solved: rounding of some hundred operations; solved: to 1e-13, times the condition of I - h gamma J
    tolerance = 2e-14 if method.explicit else 2e-12
    np.testing.assert_allclose(new, M @ history, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("h", [0.05, 0.45])
@pytest.mark.parametrize("name", [n for n in EVERY if n not in NEEDS_PARTS])
def test_one_step_is_the_matrix(name, h, rng):
    # rejects: any wrong coefficient, transposed blocks, histories in the wrong order, a start that is taken for more
    game, J = linear_game(rng)
    assert_is_the_matrix(EVERY[name], gd.flows.gradient(game), BlockJacobian(J, SIZES, game.layout.players), h, rng)


@pytest.mark.parametrize("name", EVERY)
def test_one_step_with_penalties_is_the_matrix(name, rng):
    # rejects: parts exchanged, a penalty forgotten or taken for the game's, the "rest" of what is not named
    game, J = linear_game(rng)
    flow, parts = penalised(game, J)
    blocks = BlockJacobian(sum(parts.values()), SIZES, game.layout.players, parts=parts)
    assert_is_the_matrix(EVERY[name], flow, blocks, 0.2, rng)


@pytest.mark.parametrize("name", [n for n, m in EVERY.items() if isinstance(m, AdditiveRungeKutta)])
def test_parts_decide_what_an_additive_step_is(name, rng):
    # rejects: one tableau for all parts; every stage alike is the only placement that the sum decides
    game, J = linear_game(rng)
    flow, parts = penalised(game, J)
    total = sum(parts.values())
    new, history = after_start(flow, EVERY[name], 0.2, rng)
    whole = step_matrix(EVERY[name], BlockJacobian(total, SIZES, game.layout.players, parts={"game": total}), 0.2)
    apart = np.abs(new - whole @ history).max()
    assert apart < 1e-12 if name == "rk4_penalty_every_stage" else apart > 1e-3


@pytest.mark.parametrize("order", list(itertools.permutations(("p1", "p2", "p3"))))
def test_alternating_in_every_order_of_play(order, rng):
    # rejects: the order of the game taken for the order of play; cyclic orders matter with three players
    game, J = linear_game(rng)
    method = gd.methods.alternating(order)
    M = step_matrix(method, BlockJacobian(J, SIZES, game.layout.players), 0.4)
    new, y = after_start(gd.flows.gradient(game), method, 0.4, rng)
    np.testing.assert_allclose(new, M @ y, rtol=0, atol=1e-13)
    others = [p for p in itertools.permutations(("p1", "p2", "p3")) if p != order]
    for other in others:
        wrong = step_matrix(gd.methods.alternating(other), BlockJacobian(J, SIZES, game.layout.players), 0.4)
        assert np.abs(new - wrong @ y).max() > 1e-2


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

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("rk4", "kutta3"),
            ("heun2", "extragradient"),
            ("ab2", "optimistic"),
            ("bdf3", "am4"),
            ("pece_ab2_am2", "pece_ab2_am3"),
            ("pece_ab2_am3", "pecece_ab2_am3"),
            ("gauss4", "radau_iia3"),
            ("cgd", "imex_skew"),
            ("imex_sym", "rosenbrock_euler"),
            ("heavy_ball", "lead"),
            ("ruth3", "ruth3_kutta3"),
            ("lookahead_alternating", "alternating"),
            ("exprb32", "ros2"),
        ],
    )
    def test_another_methods_matrix(self, name, wrong, rng):
        game, J = linear_game(rng)
        new, history = after_start(gd.flows.gradient(game), OWN[name], 0.4, rng)
        other = step_matrix(OWN[wrong], BlockJacobian(J, SIZES, game.layout.players), 0.4)[: len(J)]
        count = min(other.shape[1], len(history))
        assert np.abs(new - other[:, :count] @ history[:count]).max() > 1e-3

    @pytest.mark.parametrize("name", ["alternating", "strang", "cgd", "lead"])
    def test_transposed_blocks(self, name, rng):
        game, J = linear_game(rng)
        new, y = after_start(gd.flows.gradient(game), OWN[name], 0.4, rng)
        wrong = step_matrix(OWN[name], BlockJacobian(J.T, SIZES, game.layout.players), 0.4)[: len(J)] @ y
        assert np.abs(new - wrong).max() > 1e-2

    @pytest.mark.parametrize("name", ["cgd", "lead", "alternating"])
    def test_other_players(self, name, rng):
        # the same J, cut differently
        game, J = linear_game(rng)
        new, y = after_start(gd.flows.gradient(game), OWN[name], 0.4, rng)
        wrong = step_matrix(OWN[name], BlockJacobian(J, (3, 1, 2), game.layout.players), 0.4)[: len(J)] @ y
        assert np.abs(new - wrong).max() > 1e-2

    def test_one_player_sees_the_old_others(self, rng):
        # simultaneous play is not alternating play
        game, J = linear_game(rng)
        new, y = after_start(gd.flows.gradient(game), OWN["alternating"], 0.4, rng)
        assert np.abs(new - (y + 0.4 * J @ y)).max() > 1e-2

    @pytest.mark.parametrize("name", ["rk4_penalty_first_stage", "rk4_penalty_after_step"])
    def test_parts_exchanged(self, name, rng):
        game, J = linear_game(rng)
        flow, parts = penalised(game, J)
        new, y = after_start(flow, OWN[name], 0.2, rng)
        swapped = {
            "game": parts["squared_gradient"],
            "squared_gradient": J,
            "weight_decay_p3": parts["weight_decay_p3"],
        }
        blocks = BlockJacobian(sum(parts.values()), SIZES, game.layout.players, parts=swapped)
        assert np.abs(new - step_matrix(OWN[name], blocks, 0.2) @ y).max() > 1e-3


def test_alternating_conserves_the_modified_energy():
    # games.md b.3: x^2 + y^2 - h x y (x first), exactly, for h <= 2
    h = 0.8
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "alternating", h=h, steps=500)
    x, y = run.state.y.tolist()
    assert x * x + y * y - h * x * y == pytest.approx(2 - h, rel=1e-12)
    other = gd.solve(gd.flows.gradient(gd.games.bilinear()), gd.methods.alternating(("y", "x")), h=h, steps=500)
    x, y = other.state.y.tolist()
    assert x * x + y * y + h * x * y == pytest.approx(2 + h, rel=1e-12)
