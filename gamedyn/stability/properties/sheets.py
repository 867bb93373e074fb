"""Everything that the coefficients of a method imply, on one sheet."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods import Method, get
from gamedyn.stability.properties.accuracy import error_constant, noise_gain, principal_error_norm, stage_order
from gamedyn.stability.properties.phase import dispersion, dissipation
from gamedyn.stability.properties.structure import algebraically_stable, symmetric, symplectic
from gamedyn.stability.regions.angles import a_alpha, disc_radius
from gamedyn.stability.regions.axis import (
    a_stable,
    axis_intervals,
    l_stable,
    r_infinity,
    stiffly_accurate,
    unstable_bands,
)
from gamedyn.stability.regions.zero_stability import zero_stable
from gamedyn.stability.steps.limits import imaginary_limit, real_limit
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Sheet", "sheet"]

TOLERANT = 1e-3
"""Growth a step that the tolerant interval allows: what a few hundred steps would show."""


@dataclass(frozen=True)
class Sheet:
    """The property sheet of a method; prints as a table.

    Attributes:
        name: the method.
        family: type of its data.
        facts: by name; None where a property does not apply to the family.
    """

    name: str
    family: str
    facts: Mapping[str, Any]

    def __getitem__(self, fact: str) -> Any:
        """One property.

        Raises:
            UnknownNameError: for one that this family has not, with the nearest.
        """
        if fact not in self.facts:
            raise UnknownNameError("property", fact, self.facts)
        return self.facts[fact]

    def __str__(self) -> str:
        width = max(map(len, self.facts))
        rows = [f"{k.ljust(width)}  {_written(v)}" for k, v in self.facts.items() if v is not None]
        return "\n".join([f"{self.name} ({self.family})", *rows])

    def json(self) -> str:
        """The sheet as JSON: fractions as strings, infinities as "inf"."""
        facts = {k: _plain(v) for k, v in self.facts.items()}
        return json.dumps({"name": self.name, "family": self.family, **facts}, indent=1)


def sheet(method: str | Method) -> Sheet:
    """The property sheet of a method: order and error, stability on axes, sectors and discs, structure, cost.

    Sheet that a family does not have (an R(z) of a partitioned method, a stage order of a multistep one) are
    None and not printed; each is explained by the function of its name.

    Args:
        method: one of our methods, registered or not, or its name.

    Raises:
        ArgumentError: for a map, or another library's method: see gamedyn.spectrum.verify.

    Example:
        >>> facts = sheet("bdf3")
        >>> facts["order"], facts["A-stable"], round(facts["A(alpha), degrees"], 4)
        (3, False, 86.0324)
        >>> str(sheet("rk4")).splitlines()[0]
        'rk4 (RungeKutta)'
    """
    chosen = get(method)
    if not chosen.has_theory:
        raise ArgumentError("method", "a method whose coefficients gamedyn holds", chosen.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = {name: _value(rule, chosen) for name, rule in RULES.items()}
    return Sheet(chosen.shown, type(chosen).__name__, facts)


def _value(rule: Callable[[Any], Any], method: Any) -> Any:
    """The property, or None where the family does not have it."""
    try:
        return rule(method)
    except ArgumentError:
        return None


def _stability_function(method: Any) -> str | None:
    text = repr(symbol(method).rational or "").removeprefix("RationalFunction(").removesuffix(")")
    return text if 2 < len(text) <= 100 else None


def _or_same(x: Any, other: Any) -> Any:
    return None if x == other else x


RULES: Mapping[str, Callable[[Any], Any]] = {
    "order": lambda m: f"at least {m.order}" if m.order_is_bound else m.order,
    "order on separable games": lambda m: _or_same(m.order_separable, m.order),
    "embedded order": lambda m: m.embedded_order,
    "strong order, noise of the state": lambda m: m.strong_order,
    "stage order": stage_order,
    "steps": lambda m: None if m.steps == 1 else m.steps,
    "evaluations a step": lambda m: m.evaluations if m.explicit else None,
    "registers": lambda m: m.registers if m.explicit else None,
    "clock": lambda m: None if m.time_scale == 1 else m.time_scale,
    "R(z)": _stability_function,
    "principal error norm": principal_error_norm,
    "error constant": error_constant,
    "log |R(iy)|, leading": dissipation,
    "arg R(iy) - y, leading": dispersion,
    "noise gain": noise_gain,
    "zero-stable": zero_stable,
    "A-stable": a_stable,
    "A(alpha), degrees": a_alpha,
    "|R(inf)|": r_infinity,
    "L-stable": l_stable,
    "stiffly accurate": stiffly_accurate,
    "real limit": real_limit,
    "imaginary limit": imaginary_limit,
    "imaginary limit, |R| <= 1.001": lambda m: imaginary_limit(m, tolerance=TOLERANT),
    "real intervals": lambda m: _later(axis_intervals(m, "real")),
    "imaginary intervals": lambda m: _later(axis_intervals(m, "imaginary")),
    "unstable bands": lambda m: unstable_bands(m) or None,
    "disc radius": disc_radius,
    "algebraically stable": algebraically_stable,
    "symplectic": symplectic,
    "symmetric": symmetric,
    "source": lambda m: m.source,
}
"""Every property, in the order of the sheet."""


def _later(intervals: tuple[tuple[float, float], ...]) -> Any:
    """All intervals, where there is more than the first."""
    return intervals if len(intervals) > 1 or (intervals and intervals[0][0] > 0) else None


def _written(x: Any) -> str:
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, float):
        return f"{x:.10g}"
    if isinstance(x, Fraction):
        return str(x) if x.denominator < 10**6 else f"{float(x):.10g}"
    if isinstance(x, tuple) and hasattr(x, "order"):
        return _leading(x)
    if isinstance(x, tuple):
        return ", ".join(f"({a:.10g}, {b:.10g})" for a, b in x)
    return str(x)


def _leading(x: Any) -> str:
    """A leading term c y^p."""
    return "none" if x.order is None else f"{_written(x.coefficient)} y^{x.order}"


def _plain(x: Any) -> Any:
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, Fraction):
        return str(x)
    if isinstance(x, tuple) and hasattr(x, "_asdict"):
        return {k: _plain(v) for k, v in x._asdict().items()}
    if isinstance(x, (tuple, list)):
        return [_plain(v) for v in x]
    return x
