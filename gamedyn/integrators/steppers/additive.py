"""The stepper of additive Runge-Kutta methods: a tableau for every part of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.methods import AdditiveRungeKutta
from gamedyn.methods._additive import REST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["AdditiveStepper"]


class AdditiveStepper(Stepper):
    """`Y_i = y + h sum_p sum_j A^p_ij v_p(Y_j)`, `y+ = y + h sum_p sum_i b^p_i v_p(Y_i)`.

    Parts whose columns are proportional at a stage are one evaluation of their weighted sum.
    """

    takes: ClassVar[type] = AdditiveRungeKutta
    keeps_stages: ClassVar[bool] = True
    entrywise: ClassVar[bool] = True

    def __init__(self, method: AdditiveRungeKutta) -> None:
        self.method = method
        self._points = [Combination([method.weights(e, row.stage) for e in method.plan]) for row in method.plan]
        self._final = Combination([method.weights(e, None) for e in method.plan])
        self._nodes = [float(method.c[e.stage]) for e in method.plan]
        self._made: tuple[Any, list[Any]] | None = None
        self._owner: VectorField | None = None

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """No memory; checks that the flow has the parts that the method treats apart.

        Raises:
            UnknownNameError: if it lacks one that is named.
            ArgumentError: if its penalties are hidden in a flow made of another one.
        """
        parts = field.parts
        for part in self.method.parts:
            if part not in (REST, *parts):
                raise UnknownNameError("part of the flow", part, parts)
        if len(parts) < len(field.whole_parts):
            got = f"one part made of {', '.join(field.whole_parts)}"
            raise ArgumentError("flow", f"a flow that has its parts apart, for {self.method}", got)
        return {}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step."""
        K, factors = self._bound(field)
        for combine, node, factor, row in zip(self._points, self._nodes, factors, K, strict=True):
            point = combine(y, K, h, field.point) if combine.used else y
            when = t + node * h if node else t
            if factor is None:
                field(when, point, row)
            else:
                field.weighted(factor, when, point, row)
        return self._final(y, K, h), {}, OK

    def _bound(self, field: VectorField) -> tuple[Any, list[Any]]:
        """Room for the evaluations and their factors, None for the whole field: made once per field."""
        if self._owner is not field or self._made is None:
            parts = field.parts
            factors = [self._factors(e.factors, parts) for e in self.method.plan]
            whole = [None if all(f == 1 for f in named.values()) else named for named in factors]
            made = field.stages(len(factors)), whole
            if not field.persistent:
                return made
            self._made, self._owner = made, field
        return self._made

    def _factors(self, named: Mapping[str, Fraction], parts: tuple[str, ...]) -> dict[str, float]:
        """Factors of the flow's own parts; "rest" goes to those that no tableau names."""
        rest = named.get(REST, 0)
        return {p: float(named.get(p, 0) if p in self.method.parts else rest) for p in parts}
