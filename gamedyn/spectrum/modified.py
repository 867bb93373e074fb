"""Backward error on real games: the vector field that a step pattern follows, by nested derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.ambient import shielded
from gamedyn.core.protocols import of_flow
from gamedyn.jacobian.differentiation import differentiable, written_out
from gamedyn.methods import Partitioned, RungeKutta, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.methods import Method

    VectorField = Callable[[Tensor], Tensor]

__all__ = ["modified_field"]

MOST_TERMS = 4


@shielded
def modified_field(
    flow: Flow, method: str | Method, state: State | Tensor | Run, batch: Any = None, *, terms: int = 3
) -> Tensor:
    """The modified field `v + h v_2 + h^2 v_3 + ...` of a step pattern, at one point, term by term.

    The method's step of size h on the game is, to one order more with every term, the exact flow of that field:
    what simultaneous, alternating, sub-cycled play and unequal rates (which are the flow's) do to the game itself.
    With `Phi_h(y) = y + h d_1 + h^2 d_2 + ...` the step and `D_k g = g' v_k`:
    `v_k = d_k - sum_{m >= 2} (1/m!) sum_{k_1 + ... + k_m = k} D_{k_1} ... D_{k_{m-1}} v_{k_m}`, all derivatives
    by differentiating losses again, none by differences.

    Args:
        flow: an autonomous flow, smooth at the point; losses of ReLUs have no second term.
        method: an explicit Runge-Kutta or a partitioned method, or its name.
        state: where.
        batch: what the losses take, or None.
        terms: how many, at most 4: each differentiates the losses once more.

    Returns:
        v_1 = v (times the method's clock), v_2, v_3, ... as rows, (terms, n).

    Raises:
        ArgumentError: for a method of another family, a flow that depends on time, too many terms.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, IX.1, eq. (1.4), IX.9.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> y = torch.tensor([1.0, 0.0], dtype=torch.float64)
        >>> modified_field(flows.gradient(game), "euler", y).abs()  # J y, -J^2 y / 2, J^3 y / 3
        tensor([[0.0000, 1.0000],
                [0.5000, 0.0000],
                [0.0000, 0.3333]], dtype=torch.float64)
    """
    chosen, count = get(method), positive_int("terms", terms)
    if not (isinstance(chosen, RungeKutta) and chosen.explicit) and not isinstance(chosen, Partitioned):
        raise ArgumentError("method", "an explicit Runge-Kutta or a partitioned method", chosen)
    if count > MOST_TERMS:
        raise ArgumentError("terms", f"at most {MOST_TERMS}", count, "every term differentiates the losses once more")
    if not of_flow(flow).autonomous:
        raise ArgumentError("flow", "one that does not depend on time", flow)
    frozen = flow.at(state, batch)
    frozen.linearise(0.0, frozen.at.y)  # looked at, and checked against differences

    def v(y: Tensor) -> Tensor:
        value = frozen.velocity(0.0, frozen.layout.views(y), frozen.asked(create_graph=True))
        return frozen.layout.flat(value.leaves)

    step = _runge_kutta(chosen, v) if isinstance(chosen, RungeKutta) else _partitioned(chosen, flow, v)
    with frozen.looking(), torch.enable_grad(), written_out(third=True), differentiable():
        y = frozen.at.y.detach().clone().requires_grad_()
        return torch.stack([f(y).detach() for f in _fields(step, count)])


def _runge_kutta(method: RungeKutta, v: VectorField) -> Callable[[Tensor, Tensor], Tensor]:
    def step(y: Tensor, h: Tensor) -> Tensor:
        slopes: list[Tensor] = []
        for row in method.A[: method.needed]:
            slopes.append(v(_moved(y, h, row, slopes)))
        return _moved(y, h, method.b, slopes)

    return step


def _moved(y: Tensor, h: Tensor, weights: Any, slopes: list[Tensor]) -> Tensor:
    for w, k in zip(weights, slopes, strict=False):
        if w:
            y = y + float(w) * h * k
    return y


def _partitioned(method: Partitioned, flow: Flow, v: Any) -> Callable[[Tensor, Tensor], Tensor]:
    layout = flow.game.layout
    order = method.order_of_play(layout.players)
    stages = method.stages(len(order))
    players = [order[p] for p in stages.player]
    masks = []
    for p in players:
        mask = torch.zeros(layout.n, dtype=flow.game.dtype, device=flow.game.device)
        mask[layout.slices[p]] = 1.0
        masks.append(mask)

    def step(y: Tensor, h: Tensor) -> Tensor:
        slopes: list[Tensor] = []
        for mask, weights in zip(masks, stages.A, strict=True):
            slopes.append(mask * v(_moved(y, h, weights, slopes)))
        return _moved(y, h, stages.b, slopes)

    return step


def _fields(step: Callable[[Tensor, Tensor], Tensor], count: int) -> list[VectorField]:
    """v_1, ..., v_count as functions of y that can be differentiated again."""
    fields: list[VectorField] = []
    for k in range(1, count + 1):
        fields.append(_term(k, step, tuple(fields)))
    return fields


def _term(k: int, step: Callable[[Tensor, Tensor], Tensor], known: tuple[VectorField, ...]) -> VectorField:
    def field(y: Tensor) -> Tensor:
        out, factor = _taylor(step, y, k), 1.0
        for m in range(2, k + 1):
            factor /= m
            for parts in _compositions(k, m):
                g = known[parts[-1] - 1]
                for j in reversed(parts[:-1]):
                    g = _along(g, known[j - 1])
                out = out - factor * g(y)
        return out

    return field


def _compositions(total: int, count: int) -> list[tuple[int, ...]]:
    """Ordered sums of `count` positive numbers."""
    if count == 1:
        return [(total,)]
    return [(i, *rest) for i in range(1, total - count + 2) for rest in _compositions(total - i, count - 1)]


def _along(g: VectorField, u: VectorField) -> VectorField:
    """Y -> g'(y) u(y): a product with the derivative, that can be differentiated once more."""

    def derivative(y: Tensor) -> Tensor:
        direction = u(y)
        value = g(y)
        w = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, y, w, create_graph=True, materialize_grads=True)
        if not pulled.requires_grad:
            return torch.zeros_like(value)
        (out,) = torch.autograd.grad(pulled, w, direction, create_graph=True, materialize_grads=True)
        return out

    return derivative


def _taylor(step: Callable[[Tensor, Tensor], Tensor], y: Tensor, k: int) -> Tensor:
    """The k-th Taylor coefficient of the step in h, at 0."""
    h = torch.zeros((), dtype=y.dtype, device=y.device, requires_grad=True)
    value, factorial = step(y, h), 1.0
    for i in range(1, k + 1):
        w = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, h, w, create_graph=True, materialize_grads=True)
        if not pulled.requires_grad:
            return torch.zeros_like(value)
        (value,) = torch.autograd.grad(pulled, w, torch.ones_like(pulled), create_graph=True, materialize_grads=True)
        factorial *= i
    return value / factorial
