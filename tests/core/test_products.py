"""Products with the game's Jacobian, every strategy and dtype, against fields written by hand without the package."""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

import gamedyn as gd
from gamedyn.jacobian import compiled as traced
from gamedyn.spectrum import GameJacobian

DOUBLE = torch.float64
DTYPES = (DOUBLE, torch.float32)
jacobian = torch.autograd.functional.jacobian


class Case(NamedTuple):
    """A flow, where it is looked at, and its velocity in float64 by hand; `seed` of the draws inside the losses."""

    flow: Any
    state: Any
    batch: Any
    velocity: Any
    exact: bool = True
    seed: int | None = None


def linear(i, o, generator):
    layer = nn.Linear(i, o, dtype=DOUBLE)
    for p in layer.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=DOUBLE) / 1.5
    return layer


def by_hand(modules, objective, rates, batch):
    """v(y) = -rate grad loss, from functional calls of copies of the modules."""
    modules = {k: copy.deepcopy(m).double() for k, m in modules.items()}
    shapes = {k: {name: x.shape for name, x in m.named_parameters()} for k, m in modules.items()}
    batch = tuple(x.double() for x in batch)

    def velocity(y):
        at, p = 0, {k: {} for k in modules}
        for k, own in shapes.items():
            for name, shape in own.items():
                p[k][name] = y[at : at + shape.numel()].view(shape)
                at += shape.numel()
        call = {k: lambda x, k=k: functional_call(modules[k], p[k], (x,)) for k in modules}
        losses = objective(call, p, batch)
        return torch.cat(
            [
                -rates.get(k, 1.0) * g.reshape(-1)
                for k in modules
                for g in torch.autograd.grad(losses[k], list(p[k].values()), create_graph=True)
            ]
        )

    return velocity


def nonsaturating(call, p, batch):
    real, fake = call["D"](batch[0]), call["D"](call["G"](batch[1]))
    return {"G": softplus(-fake).mean(), "D": softplus(-real).mean() + softplus(fake).mean()}


def slope_penalty(D, x):
    (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return slope.square().sum() / (2 * len(x))


def with_r1(call, p, batch):
    losses = nonsaturating(call, p, batch)
    return {**losses, "D": losses["D"] + 0.7 * slope_penalty(call["D"], batch[0].clone().requires_grad_())}


def with_r2(call, p, batch):
    losses = nonsaturating(call, p, batch)
    return {**losses, "D": losses["D"] + 0.7 * slope_penalty(call["D"], call["G"](batch[1]))}


def with_squared_gradient(call, p, batch):
    losses = nonsaturating(call, p, batch)
    grads = torch.autograd.grad(losses["G"], list(p["G"].values()), create_graph=True)
    return {**losses, "D": losses["D"] + 0.3 * sum(g.square().sum() for g in grads)}


def spectral():
    def objective(call, p, batch):
        W1, d = p["D"]["0.parametrizations.weight.original"], p["D"]

        def D(x):
            h = torch.tanh(x @ (W1 / torch.linalg.matrix_norm(W1, 2)).T + d["0.bias"])
            return h @ d["2.weight"].T + d["2.bias"]

        return nonsaturating({**call, "D": D}, p, batch)

    return objective


def gan_case(objective=nonsaturating, *terms, rates=None, G=None, D=None, losses=None, shapes=((7, 2), (7, 2)), **kw):
    """A maker of a GAN's case in a dtype; G and D take the generator."""

    def make(dtype):
        g = torch.Generator().manual_seed(5)
        nets = {
            "G": nn.Sequential(linear(2, 3, g), nn.Tanh(), linear(3, 2, g)) if G is None else G(g),
            "D": nn.Sequential(linear(2, 4, g), nn.Tanh(), linear(4, 1, g)) if D is None else D(g),
        }
        nets = {k: m.to(dtype) for k, m in nets.items()}
        batch = tuple(torch.randn(s, generator=g, dtype=DOUBLE).to(dtype) for s in shapes)
        game = gd.games.gan(*nets.values()) if losses is None else gd.Game(nets, losses)
        flow = gd.flows.gradient(game, rates=rates)
        for term in terms:
            flow = flow.with_term(term)
        hand = objective(nets) if kw.get("of_nets") else objective
        velocity = by_hand(nets, hand, rates or {}, batch)
        return Case(flow, game.state(), batch, velocity, kw.get("exact", True), kw.get("seed"))

    return make


def own_r1(G, D, batch):
    """A user's losses, their gradient penalty inside."""
    return with_r1({"G": G, "D": D}, None, batch)


def r2_value(players, parameters, batch):
    return slope_penalty(players["D"], players["G"](batch[1]))


def normed(norm, out=1):
    return lambda g: nn.Sequential(linear(2, 4, g), norm(), nn.Tanh(), linear(4, out, g))


def dcgan_parts():
    def G(g):
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(3)
            up = nn.ConvTranspose2d(2, 2, 2), nn.BatchNorm2d(2), nn.Tanh(), nn.ConvTranspose2d(2, 1, 2, stride=2)
            return nn.Sequential(*up, nn.Tanh()).double()

    def D(g):
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(4)
            body = nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(2, 1, 2)
            return nn.Sequential(*body, nn.Flatten()).double()

    return {"G": G, "D": D, "shapes": ((5, 1, 4, 4), (5, 2, 1, 1))}


SHAPES = {"a": (2,), "b": (2, 2), "c": (1,)}


def polynomial(a, b, c):
    pull = a @ b @ a
    return {
        "a": pull + c[0] * a[0] ** 2 + a.pow(4).sum(),
        "b": b.square().sum() - c[0] * pull + b.sin().sum(),
        "c": c[0] ** 2 * a[1] + (b * c).sum() / 2 + c.exp().sum(),
    }


RATES = {"a": 1.0, "b": 2.5, "c": 0.5}


def polynomial_velocity(y, rates=RATES):
    leaves = [x.view(s) for x, s in zip(torch.split(y, [2, 4, 1]), SHAPES.values(), strict=True)]
    losses = polynomial(*leaves)
    grads = [torch.autograd.grad(losses[k], x, create_graph=True)[0] for k, x in zip("abc", leaves, strict=True)]
    return torch.cat([-rates[k] * g.reshape(-1) for k, g in zip("abc", grads, strict=True)])


def tensor_case(wrapped, of, extra=0):
    """A maker of a case of three tensor players: a flow around the gradient flow, and its velocity around v."""

    def make(dtype):
        g = torch.Generator().manual_seed(8)
        game = gd.Game({k: torch.zeros(s, dtype=dtype) for k, s in SHAPES.items()}, polynomial)
        flow = wrapped(gd.flows.gradient(game, rates=RATES))
        y = torch.rand(7 * (1 + extra), generator=g, dtype=DOUBLE) + 0.2
        return Case(flow, y.to(dtype), None, of)

    return make


def consensus(y):
    v = polynomial_velocity(y)
    return v - 0.3 * torch.autograd.grad(v, y, v, create_graph=True)[0]


def sga(y):
    v, J = polynomial_velocity(y), jacobian(polynomial_velocity, y, create_graph=True)
    return v + 0.4 * (J - J.T) @ v


def adam(y):
    theta, m, s = y.split(7)
    rates = torch.tensor([1.0] * 2 + [2.5] * 4 + [0.5], dtype=DOUBLE)
    grad = -polynomial_velocity(theta) / rates
    return torch.cat([-0.5 * rates * m / (s.sqrt() + 1e-3), 3 * (grad - m), 2 * (grad**2 - s)])


def swapped(t, s, batch):
    return {"a": s["a"].sin() * s["c"], "b": -s["b"] @ s["b"], "c": s["a"].sum()[None] - s["c"]}


def swapped_by_hand(y):
    a, b, c = y[:2], y[2:6].view(2, 2), y[6:]
    return torch.cat([a.sin() * c, -(b @ b).reshape(-1), a.sum()[None] - c])


CASES = {
    "mlp": gan_case(),
    "rates": gan_case(rates={"D": 2.5}),
    "r1": gan_case(with_r1, gd.losses.r1(0.7), rates={"D": 2.5}),
    "r2": gan_case(with_r2, gd.losses.LossTerm("r2", "D", 0.7, r2_value, double_backward=True)),
    "squared_gradient": gan_case(with_squared_gradient, gd.losses.squared_gradient(0.3), rates={"G": 0.5}),
    "own_r1": gan_case(with_r1, losses=own_r1),
    "own_r1_batch_norm": gan_case(with_r1, losses=own_r1, D=normed(lambda: nn.BatchNorm1d(4)), exact=False),
    "own_r1_layer_norm": gan_case(with_r1, losses=own_r1, D=normed(lambda: nn.LayerNorm(4)), exact=False),
    "r1_batch_norm": gan_case(with_r1, gd.losses.r1(0.7), D=normed(lambda: nn.BatchNorm1d(4)), exact=False),
    "batch_norm": gan_case(D=normed(lambda: nn.BatchNorm1d(4)), G=normed(lambda: nn.BatchNorm1d(4), 2)),
    "layer_norm": gan_case(D=normed(lambda: nn.LayerNorm(4))),
    "group_norm": gan_case(D=normed(lambda: nn.GroupNorm(1, 4))),
    "spectral_norm": gan_case(
        lambda nets: spectral(),
        D=lambda g: nn.Sequential(spectral_norm(linear(2, 4, g)), nn.Tanh(), linear(4, 1, g)),
        of_nets=True,
    ),
    "dcgan": gan_case(with_r1, gd.losses.r1(0.7), **dcgan_parts()),
    "dropout": gan_case(D=normed(lambda: nn.Dropout(0.5)), seed=11),
    "three_tensors": tensor_case(lambda flow: flow, polynomial_velocity),
    "consensus": tensor_case(lambda flow: gd.flows.consensus(flow, 0.3), consensus),
    "sga": tensor_case(lambda flow: gd.flows.symplectic_adjustment(flow, 0.8), sga),
    "adam": tensor_case(lambda flow: gd.flows.adam(flow, a1=3.0, a2=2.0, rate=0.5, epsilon=1e-3), adam, extra=2),
    "mapped": tensor_case(
        lambda flow: gd.flows.mapped(flow, lambda v: {k: x.tanh() for k, x in v.items()}),
        lambda y: polynomial_velocity(y).tanh(),
    ),
    "custom": tensor_case(lambda flow: gd.flows.custom(swapped, like=flow.game), swapped_by_hand),
    "preconditioned": tensor_case(
        lambda flow: gd.flows.preconditioned(flow, torch.arange(1.0, 8.0)),
        lambda y: polynomial_velocity(y) / torch.arange(1.0, 8.0, dtype=DOUBLE),
    ),
}


@functools.cache
def prepared(name, dtype):
    """A case, its matrix and value: derived exactly, or by differences where PyTorch's third derivatives are wrong."""
    case = CASES[name](dtype)
    case = case if case.seed is None else replayed(case)
    y = (case.state if isinstance(case.state, torch.Tensor) else case.state.y).double()
    if case.exact:
        return case, jacobian(case.velocity, y), case.velocity(y.requires_grad_()).detach()
    e, v = 1e-4, lambda x: case.velocity(x.requires_grad_()).detach()
    rows = [
        (8 * (v(y + d) - v(y - d)) - v(y + 2 * d) + v(y - 2 * d)) / (12 * e)
        for d in e * torch.eye(len(y), dtype=DOUBLE)
    ]
    return case, torch.stack(rows, 1), v(y)


def replayed(case):
    """The case as its Jacobian sees it: the draws are those that come next when it is made."""
    torch.default_generator.manual_seed(case.seed)
    start, velocity = torch.get_rng_state(), case.velocity

    def again(y):
        torch.set_rng_state(start)
        return velocity(y)

    return case._replace(velocity=again)


@pytest.fixture
def tracing(monkeypatch):
    """The compiled strategy without its compiler: the traced graph itself; the list of its traces."""
    traces = []

    def traced_only(function, examples):
        traces.append(examples)
        with torch.enable_grad():
            return make_fx(function)(*examples)

    monkeypatch.setattr(traced, "compiled", traced_only)
    return traces


def misfit(product, matrix, u):
    """Of a product, relative to the matrix: rounding in float64 is 1e-14, in float32 1e-6."""
    return float((product.double() - matrix @ u.double()).norm() / (matrix.abs().max() * u.norm()))


TRACED = (
    *("rates", "squared_gradient", "own_r1", "own_r1_batch_norm", "spectral_norm", "dcgan", "dropout"),
    *("three_tensors", "adam", "custom", "preconditioned"),
)
"""Cases traced here: a second or two each. The compiler itself is tested in tests/spectrum/test_jacobian.py."""


@pytest.mark.parametrize(
    ("name", "strategy", "dtype"),
    [
        *((name, strategy, dtype) for name in CASES for strategy in ("kept", "forward") for dtype in DTYPES),
        *((name, "compiled", DOUBLE) for name in TRACED),
    ],
)
def test_every_strategy_and_dtype(name, strategy, dtype, tracing):
    """Rejects: J^T for J, a rate on the wrong side, a penalty left out, duals dropped by detach (J u = 0 in "forward"

    for flows that are no gradients), fused norms' third derivatives (8 and 29 per cent off), a power iteration or a
    draw inside a product.
    """
    with torch.random.fork_rng():
        case, matrix, value = prepared(name, dtype)
        torch.default_generator.manual_seed(case.seed or 0)
        if (name, strategy) == ("dropout", "compiled"):
            with pytest.raises(gd.ArgumentError, match="pass the noise in the batch"):
                GameJacobian(case.flow, case.state, case.batch, strategy=strategy)
            return
        J = GameJacobian(case.flow, case.state, case.batch, strategy=strategy)
        tol = 1e-13 if case.exact else 1e-10
        tol = 1e-5 if dtype is torch.float32 else tol
        torch.testing.assert_close(J.value.double(), value, rtol=0, atol=tol * float(value.abs().max()) * 10)
        g = torch.Generator().manual_seed(1)
        for _ in range(3):
            u = torch.randn(len(value), generator=g, dtype=dtype)
            assert misfit(J @ u, matrix, u) < tol
            assert misfit(J.T @ u, matrix.T, u) < tol
        if strategy != "compiled":
            torch.testing.assert_close(J.to_dense().double(), matrix, rtol=0, atol=tol * float(matrix.abs().max()))
        assert J.adjoint_misfit() < tol


def test_the_measure_rejects_mutants():
    """Transposed, stale, moved, unscaled and incomplete operators are all far from the matrix: none can pass."""
    case, matrix, _ = prepared("r1", DOUBLE)
    u = torch.randn(len(matrix), generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    stale = case._replace(batch=tuple(x.flip(0) * 1.5 for x in case.batch))
    moved = case._replace(state=case.state.with_y(case.state.y + 0.1))
    mutants = {
        "transposed": GameJacobian(case.flow, case.state, case.batch).T,
        "another batch": GameJacobian(case.flow, case.state, stale.batch),
        "another point": GameJacobian(case.flow, moved.state, case.batch),
        "no penalty": GameJacobian(case.flow, case.state, case.batch, part="game"),
        "no rates": GameJacobian(gd.flows.gradient(case.flow.game), case.state, case.batch),
    }
    for name, mutant in mutants.items():
        assert misfit(mutant @ u, matrix, u) > 1e-2, name


class OnlyReverse(torch.autograd.Function):
    """A square without a forward derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class Once(OnlyReverse):
    """A square without a second derivative."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def square_game(function):
    return gd.Game({"x": torch.tensor([0.5, 2.0])}, lambda x: {"x": function.apply(x).square().sum()})


def test_operations_without_the_derivatives_needed():
    # rejects: PyTorch's bare error; a tangent that is silently 0
    flow, y = gd.flows.gradient(square_game(OnlyReverse)), torch.tensor([0.5, 2.0])
    torch.testing.assert_close(GameJacobian(flow, y, strategy="kept").to_dense(), torch.diag(-12 * y**2))
    with pytest.raises(gd.ArgumentError, match="kept"):
        GameJacobian(flow, y, strategy="forward")
    forward = GameJacobian(flow, y, strategy="forward", check=False)
    torch.testing.assert_close(forward.T @ torch.ones(2), -12 * y**2)
    with pytest.raises(gd.ArgumentError, match="kept"):
        forward @ torch.ones(2)
    once = gd.flows.gradient(square_game(Once))
    for strategy in ("kept", "forward"):
        with pytest.raises(gd.ArgumentError, match="differentiated twice"):
            GameJacobian(once, y, strategy=strategy).T @ torch.ones(2)


def test_what_cannot_be_traced_is_refused_by_name(tracing):
    game = gd.Game({"x": torch.ones(2)}, lambda x: {"x": x.square().sum() * (2 if x.sum() > 0 else 1)})
    with pytest.raises(gd.ArgumentError, match="strategy: expected one that this flow has"):
        GameJacobian(gd.flows.gradient(game), game.state(), strategy="compiled")


def test_code_knows_the_constants_of_a_batch(tracing):
    # rejects: arrays distinguished by their repr, which leaves out the middle of 2000 entries: the second batch ignored
    def losses(x, batch):
        data, weights = batch
        return {"x": ((data @ x) ** 4 * torch.tensor(weights[900:903])).mean()}

    g = torch.Generator().manual_seed(0)
    game = gd.Game({"x": torch.ones(2, dtype=DOUBLE)}, losses)
    weights = [np.zeros(2000), np.zeros(2000)]
    weights[0][900:903], weights[1][900:903] = 1.0, 3.0
    batches = [(torch.randn(3, 2, generator=g, dtype=DOUBLE), w) for w in weights]
    flow = gd.flows.gradient(game)
    J, K = (GameJacobian(flow, game.state(), batches=batches, strategy=s) for s in ("compiled", "kept"))
    torch.testing.assert_close(J @ torch.ones(2, dtype=DOUBLE), K @ torch.ones(2, dtype=DOUBLE), rtol=1e-13, atol=0)


def test_a_kept_graph_owns_its_point():
    # rejects: leaves that are views of the caller's workspace; the field's own buffer under the graph
    case, matrix, _ = prepared("r1", DOUBLE)
    workspace, u = case.state.y.clone(), torch.ones(len(matrix), dtype=DOUBLE)
    field = case.flow.field(case.batch)
    products = field.linearise(0.0, workspace)
    pulled = products.vjp(u)
    workspace.add_(1.0)
    field(0.0, workspace)
    assert torch.equal(products.vjp(u), pulled)
    assert misfit(products.jvp(u), matrix, u) < 1e-13  # its second graph is made only now
