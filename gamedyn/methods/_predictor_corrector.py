"""What a predictor-corrector method is: an explicit and an implicit multistep method, and how often it corrects."""

from __future__ import annotations

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Declared, fewest_digits
from gamedyn.methods._immutable import by_name
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods._method import Method

__all__ = ["PredictorCorrector"]


class PredictorCorrector(Method):
    """PE(CE)^m: predict by an explicit multistep method, then correct m times by an implicit one.

    `y^0 = predictor`, `y^{i+1} = -sum_{j<k} alpha_j y_{n+j} + h sum_{j<k} beta_j v_{n+j} + h beta_k v(y^i)`; the
    result is `y^m`. The field there is evaluated at the beginning of the next step, on that step's batch.

    Args:
        predictor: explicit multistep method.
        corrector: implicit multistep method; it also gives the starting rule.
        corrections: how often, m.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the method comes from.

    Raises:
        ArgumentError: if the predictor is implicit, the corrector explicit, or their clocks differ.

    Source: Hairer, Norsett, Wanner I, III.1, eq. (1.11) and V.1 of volume II.

    Example:
        >>> from gamedyn.methods.multistep import AB2, AM2
        >>> PredictorCorrector(AB2, AM2).order
        2
    """

    def __init__(
        self,
        predictor: LinearMultistep,
        corrector: LinearMultistep,
        corrections: int = 1,
        *,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        for argument, given, explicit in (("predictor", predictor, True), ("corrector", corrector, False)):
            fits = isinstance(given, LinearMultistep) and given.coupling is None and given.explicit is explicit
            if not fits:
                kind = "an explicit" if explicit else "an implicit"
                raise ArgumentError(argument, f"{kind} multistep method", given, by_name(given))
        if predictor.time_scale != corrector.time_scale:
            clocks = f"{predictor.time_scale} and {corrector.time_scale}"
            raise ArgumentError("corrector", "the predictor's time_scale", clocks)
        self.predictor, self.corrector = predictor, corrector
        self.corrections = positive_int("corrections", corrections)
        self.start, self.time_scale = corrector.start, corrector.time_scale
        self.digits = fewest_digits(predictor.digits, corrector.digits)
        self.name, self.aliases, self.declared, self.source = name, aliases, declared, source

    def __repr__(self) -> str:
        return f"PredictorCorrector({self.name or 'user-made'}, steps={self.steps}, order={self.order})"

    @property
    def kind(self) -> str:
        """The family in words."""
        return "predictor-corrector"

    @property
    def formulas(self) -> tuple[LinearMultistep, ...]:
        """The multistep formulas that a step applies: the predictor and the corrector."""
        return self.predictor, self.corrector

    @property
    def steps(self) -> int:
        """Number of steps k."""
        return max(self.predictor.steps, self.corrector.steps)

    @property
    def evaluations(self) -> int:
        """Field evaluations a step, once started: one for each prediction and correction."""
        return self.corrections + 1

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: history, field values, y, its point, a checked state."""
        keeps = any(any(m.alpha[:-2]) for m in (self.predictor, self.corrector))
        return self.steps + 2 + (self.steps - 1) * keeps + 5

    @property
    def order(self) -> int:
        """`min(order of the corrector, order of the predictor + m)`."""
        return min(self.corrector.order, self.predictor.order + self.corrections)
