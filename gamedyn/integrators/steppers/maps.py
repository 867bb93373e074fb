"""The steppers of the discrete maps: normalised descent, grafting; turns, extragradient and optimism with a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.integrators.bridges.torch_optim import TorchOptimStepper
from gamedyn.methods import Delegated, RungeKutta, get
from gamedyn.methods._maps import AlternatingMap, ExtrapolatedMap, Grafted, NormalisedDescent, OptimisticMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.core import VectorField

__all__ = ["AlternatingMapStepper", "ExtrapolatedStepper", "GraftedStepper", "NormalisedStepper", "OptimisticStepper"]


class NormalisedStepper(Stepper):
    """`y_i+ = y_i + h rate_i d_i`, d_i steepest in a norm, per player or per parameter tensor; what is zero stays.

    The derivative of a step is not a step on (y, d): `variational` is off.
    """

    takes: ClassVar[type] = NormalisedDescent
    variational: ClassVar[bool] = False

    def __init__(self, method: NormalisedDescent) -> None:
        self.method = method

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation."""
        return _moved(y, self._direction(field, field(t, y)), h), {}, OK

    def displacement(
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any, player: int | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The step's vector `y+ - y` for a known velocity (of one player: 0 elsewhere), and the memory."""
        return self._direction(field, v.clone()).mul_(h), {}

    def _direction(self, field: VectorField, v: Tensor) -> Tensor:
        """`rate_i d_i`, piece by piece, in the place of v."""
        layerwise, norm = self.method.layerwise, self.method.norm
        if norm == "maximum":
            torch.add(v.sign(), v, alpha=0, out=v)  # 0 * nan is nan
        pieces = torch.split(v, _sizes(field, layerwise), -1)
        for i, (piece, factor) in enumerate(zip(pieces, _factors(field, layerwise), strict=True)):
            if norm == "spectral":
                _orthogonalise(piece, field.layout.leaves[i].shape)
            elif norm == "euclidean":
                _to_unit(piece)
            piece.mul_(factor)
        return v


class GraftedStepper(Stepper):
    """`y_i+ = y_i + |m_i| d_i / |d_i|`: m and d are two maps' steps from the same y, v and h.

    Memory: that of both.

    Raises:
        ArgumentError: if a side is no map and not Euler's method: its step needs more than the velocity at y.
        UnknownNameError: if nothing is called as a side is.
    """

    takes: ClassVar[type] = Grafted
    variational: ClassVar[bool] = False
    divides_rates: ClassVar[bool] = True

    def __init__(self, method: Grafted) -> None:
        self.method = method
        self._magnitude = _side("magnitude", method.magnitude)
        self._direction = _side("direction", method.direction)

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """The memories of the two."""
        return {"magnitude": self._magnitude.init(field, t, y, h), "direction": self._direction.init(field, t, y, h)}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation, which both use."""
        d, memory = self.displacement(field, y, field(t, y), h, memory)
        return y + d, memory, OK

    def displacement(
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any, player: int | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The step's vector `y+ - y` for a known velocity (of one player: 0 elsewhere), and the memory."""
        lengths, first = self._magnitude.displacement(field, y, v, h, memory["magnitude"], player)
        ways, second = self._direction.displacement(field, y, v, h, memory["direction"], player)
        sizes = _sizes(field, self.method.layerwise)
        for length, way in zip(torch.split(lengths, sizes, -1), torch.split(ways, sizes, -1), strict=True):
            _to_unit(way).mul_(_norm(length))
        return ways, {"magnitude": first, "direction": second}


class _AroundMap(Stepper):
    """What steps by another map's steps. Memory: that map's.

    Raises:
        ArgumentError: if the inner one is no map and not Euler's method: its step needs more than the velocity at y.
        UnknownNameError: if nothing is called so.
    """

    variational: ClassVar[bool] = False
    divides_rates: ClassVar[bool] = True

    def __init__(self, method: Any) -> None:
        self.method, self._inner = method, _side("inner", method.inner)

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """The inner map's memory."""
        return {"inner": self._inner.init(field, t, y, h), "last": []}


class ExtrapolatedStepper(_AroundMap):
    """`y+ = y + d(v(y + d(v(y))))`, d the inner map's step from y."""

    takes: ClassVar[type] = ExtrapolatedMap

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: two evaluations."""
        ahead, inner = self._inner.displacement(field, y, field(t, y), h, memory["inner"])
        d, inner = self._inner.displacement(field, y, field(t + h, ahead.add_(y)), h, inner)
        return y + d, {"inner": inner, "last": []}, OK


class OptimisticStepper(_AroundMap):
    """`y+ = y + 2 d_n - d_(n-1)`. Memory: the inner map's, and the last step for h = 1."""

    takes: ClassVar[type] = OptimisticMap

    def started(self, memory: Any) -> bool:
        """Whether there has been a step."""
        return bool(memory["last"])

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation."""
        d, inner = self._inner.displacement(field, y, field(t, y), h, memory["inner"])
        before = memory["last"][0] * h if memory["last"] else d
        return y + 2 * d - before, {"inner": inner, "last": [d / h]}, OK


class AlternatingMapStepper(_AroundMap):
    """`y_i+ = y_i + d_i(v_i(y))`, player after player, d the inner map's step of that player alone."""

    takes: ClassVar[type] = AlternatingMap

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """The inner map's memory; checks that the order of play fits the game."""
        self.method.turns.order_of_play(field.names)
        return super().init(field, t, y, h)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step; one player's share of an evaluation for every move."""
        order, inner = self.method.turns.order_of_play(field.names), memory["inner"]
        work = y.clone() if field.point is None else field.point.copy_(y)
        for move in self.method.turns.moves(len(order)):
            i = order[move.place]
            at, v = field.players[i], torch.zeros_like(work)
            when = t + float(move.node) * h if move.node else t
            v[..., at] = field.player(i, when, work)
            d, inner = self._inner.displacement(field, work, v, h * float(move.length), inner, i)
            work[..., at] += d[..., at]
        return work.clone(), {"inner": inner, "last": []}, OK


class _Euler(Stepper):
    """`h v`, the step of Euler's method, of which gradient descent is one."""

    def displacement(
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any, player: int | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        return v * h, {}


def _side(argument: str, side: Any) -> Any:
    chosen: Any = get(side)
    if isinstance(chosen, NormalisedDescent):
        return NormalisedStepper(chosen)
    if isinstance(chosen, Grafted):
        return GraftedStepper(chosen)
    if isinstance(chosen, Delegated) and TorchOptimStepper.accepts(chosen):
        return TorchOptimStepper(chosen)
    if isinstance(chosen, RungeKutta) and chosen.explicit and chosen.stages == 1 and chosen.order >= 1:
        return _Euler()
    remedy = 'such as "torch.optim:Adam", "normalised" or "euler"'
    raise ArgumentError(argument, "a map whose step follows from the velocity at y alone", f"{chosen!r}", remedy)


def _factors(field: VectorField, layerwise: bool) -> list[Any]:
    """The rate of every player, or of every parameter tensor: a number, or (members, 1)."""
    if not layerwise:
        return [field.rates[name] for name in field.names]
    return [field.rates[name] for name, at in field.rated for _ in range(at.start, at.stop)]


def _sizes(field: VectorField, layerwise: bool) -> list[int]:
    return list(field.layout.sizes) if layerwise else [at.stop - at.start for at in field.players]


def _norm(v: Tensor) -> Tensor:
    """|v| over the last dimension, which stays; scaled, so that nothing over- or underflows."""
    largest = _largest(v)
    scaled: Tensor = torch.linalg.vector_norm(v / largest, dim=-1, keepdim=True)
    return scaled * largest


def _to_unit(v: Tensor) -> Tensor:
    """Turn v into v / |v|, over the last dimension and in its place; 0 stays."""
    v.div_(_largest(v))
    length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v.div_(torch.where(length == 0, torch.ones_like(length), length))


def _orthogonalise(v: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn v, entries of a tensor of this shape, into the polar factor of its matrix, in its place; 0 stays."""
    rows = shape[0] if len(shape) > 1 else v.shape[-1]
    matrix = (v / _largest(v)).reshape(*v.shape[:-1], rows, -1)
    finite = matrix.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)  # of others LAPACK would raise
    U, S, V = torch.linalg.svd(torch.where(finite, matrix, 0.0), full_matrices=False)
    kept = max(matrix.shape[-2:]) * torch.finfo(v.dtype).eps * S[..., :1]
    U = U * (kept < S).to(U)[..., None, :]
    return v.copy_(torch.where(finite, U @ V, float("nan")).reshape(v.shape))


def _largest(v: Tensor) -> Tensor:
    largest = torch.linalg.vector_norm(v, ord=float("inf"), dim=-1, keepdim=True)
    return torch.where(largest == 0, torch.ones_like(largest), largest)


def _moved(y: Tensor, d: Tensor, h: float | Tensor) -> Tensor:
    return torch.addcmul(y, d, h) if isinstance(h, Tensor) else torch.add(y, d, alpha=h)
