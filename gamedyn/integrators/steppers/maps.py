"""The steppers of the discrete maps: normalised descent and grafting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.integrators.bridges.torch_optim import TorchOptimStepper
from gamedyn.methods import Delegated, RungeKutta, get
from gamedyn.methods._maps import Grafted, NormalisedDescent

if TYPE_CHECKING:
    from gamedyn.core import VectorField

__all__ = ["GraftedStepper", "NormalisedStepper"]


class NormalisedStepper(Stepper):
    """`y_i+ = y_i + h rate_i v_i / |v_i|`, per player or per parameter tensor; what is zero stays.

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
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """The step's vector `y+ - y` for a velocity that is already known, and the memory."""
        return self._direction(field, v.clone()).mul_(h), {}

    def _direction(self, field: VectorField, v: Tensor) -> Tensor:
        """`rate_i v_i / |v_i|`, piece by piece, in the place of v."""
        rates = _rates(field)
        if self.method.layerwise:
            factors = [rates[leaf.player] for leaf in field.layout.leaves]
        else:
            factors = rates
        for piece, factor in zip(torch.split(v, _sizes(field, self.method.layerwise), -1), factors, strict=True):
            _to_unit(piece).mul_(factor)
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
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """The step's vector `y+ - y` for a velocity that is already known, and the memory."""
        lengths, first = self._magnitude.displacement(field, y, v, h, memory["magnitude"])
        ways, second = self._direction.displacement(field, y, v, h, memory["direction"])
        sizes = _sizes(field, self.method.layerwise)
        for length, way in zip(torch.split(lengths, sizes, -1), torch.split(ways, sizes, -1), strict=True):
            _to_unit(way).mul_(_norm(length))
        return ways, {"magnitude": first, "direction": second}


class _Euler(Stepper):
    """`h v`, the step of Euler's method, of which gradient descent is one."""

    def displacement(
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any
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


def _rates(field: VectorField) -> list[Any]:
    """By player: its rate, a number, or (members, 1)."""
    return [field.rates[name] for name in field.names]


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


def _largest(v: Tensor) -> Tensor:
    largest = torch.linalg.vector_norm(v, ord=float("inf"), dim=-1, keepdim=True)
    return torch.where(largest == 0, torch.ones_like(largest), largest)


def _moved(y: Tensor, d: Tensor, h: float | Tensor) -> Tensor:
    return torch.addcmul(y, d, h) if isinstance(h, Tensor) else torch.add(y, d, alpha=h)
