"""Which steps are stable on a spectrum: a set of intervals, and what binds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, TypedDict

import numpy as np

from gamedyn._lib.checks import finite
from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn._lib.tables import Tabular, aligned
from gamedyn.methods import Method, get
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, Spectrum, as_blocks, eigenvalue_array, is_complete
from gamedyn.stability.matrices.step_matrix import step_matrix
from gamedyn.stability.regions.rays import Interval, ray_intervals
from gamedyn.stability.steps.first_steps import AT_ONCE, extremes
from gamedyn.stability.steps.scans import UNIT, first_steps, scanned_intervals
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["StabilityWarning", "StepSet", "largest_stable_step", "sorted_modes", "stable_steps"]

ZERO = 1e-10
"""Share of an eigenvalue's modulus below which its real part counts as zero."""

SMALL = 0.01
"""Of that share: eigenvalues below so much of the largest count as zero; a slow mode beside a stiff one does not."""

ROUNDING = 16 * np.finfo(float).eps
"""Share of the largest modulus that an eigensolver's rounding may put into any real part."""

FEW = 32
"""Modes up to which each is computed."""


class StabilityWarning(UserWarning):
    """A spectrum meets a gap in the stability region of a method that is otherwise stable at every step."""


class _Facts(TypedDict):
    """What the flow does to the modes: attributes of every StepSet."""

    neutral: tuple[complex, ...]
    growing: tuple[complex, ...]
    flow_stable: bool | None


@dataclass(frozen=True)
class StepSet(Tabular):
    """The stable steps of a method on a spectrum.

    A step is stable when no mode grows under it; neutral modes may stay neutral.

    Attributes:
        intervals: sorted, disjoint (low, high) of h; high may be infinite.
        first: the interval that starts at 0, or None.
        binding: the eigenvalue of J that ends the first interval (where there is none, the first
            interval of all); None for partitioned methods, and where nothing binds.
        multiplier: the eigenvalue of the step that reaches the unit circle there; None where nothing binds.
        sensitivity: `S = d ln rho / d ln h` there: how abruptly a step beyond it breaks; nan where nothing binds,
            inf where two eigenvalues of the step meet and part (alternating or leapfrog on a bare rotation).
        flow_stable: whether the flow damps every mode that is not neutral; None where some eigenvalue is
            imaginary, or all are neutral.
        growing: eigenvalues that the flow amplifies.
        stabilised: those of `growing` that the method damps at some step (partitioned methods: all, where some
            step is stable).
        damped_intervals: the set for the modes that the flow does not amplify, alone; for partitioned methods,
            whose modes do not decouple, only where the flow amplifies none.
        neutral: eigenvalues counted as zero.
        complete: False if the spectrum is a part: the set is then an upper bound, to be confirmed by the
            spectral radius of the step's tangent.
        tolerance: share of an eigenvalue's modulus below which its real part was counted as zero.

    Example:
        >>> steps = stable_steps("rk4", [0.01 + 1j, 0.01 - 1j])
        >>> steps.first, [tuple(round(x, 2) for x in i) for i in steps.intervals]
        (None, [(1.1, 2.81)])
    """

    columns: ClassVar[tuple[str, ...]] = ("from", "to")

    intervals: tuple[Interval, ...]
    binding: complex | None
    multiplier: complex | None
    sensitivity: float
    flow_stable: bool | None
    growing: tuple[complex, ...] = ()
    stabilised: tuple[complex, ...] = ()
    damped_intervals: tuple[Interval, ...] = ()
    neutral: tuple[complex, ...] = ()
    complete: bool = True
    tolerance: float = field(default=ZERO, repr=False)

    @property
    def first(self) -> Interval | None:
        """The interval that starts at 0, or None."""
        return self.intervals[0] if self.intervals and self.intervals[0][0] == 0 else None

    @property
    def limit(self) -> float:
        """End of the first interval: the largest stable step; 0.0 where no interval starts at 0."""
        return self.first[1] if self.first else 0.0

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def __getitem__(self, i: int) -> Interval:
        return self.intervals[i]

    def rows_as_dicts(self) -> list[dict[str, float]]:
        """The intervals, from and to which step."""
        return [{"from": low, "to": high} for low, high in self.intervals]

    def __str__(self) -> str:
        rows = [("from", "to"), *((f"{low:.10g}", f"{high:.10g}") for low, high in self.intervals)]
        lines = [aligned(rows) if self.intervals else "no stable step"]
        if self.binding is not None:
            lines.append(f"bound by the eigenvalue {self.binding:.6g}")
        if self.growing:
            kept = f"{len(self.stabilised)} of them damped by these steps" if self.intervals else "no step damps all"
            lines.append(f"eigenvalues that grow in the flow: {len(self.growing)}; {kept}")
        if not self.complete:
            lines.append("a part of the spectrum: these are upper bounds")
        return "\n".join(lines)

    def __contains__(self, h: object) -> bool:
        return isinstance(h, Real) and any(low <= float(h) <= high for low, high in self.intervals)


def stable_steps(
    method: str | Method, spectrum: Spectrum, *, complete: bool | None = None, tolerance: float = ZERO
) -> StepSet:
    """The set of stable steps of `method` on a spectrum.

    For Runge-Kutta and multistep methods the intervals of every mode, from its boundary crossings along
    the ray of its eigenvalue, are intersected. For partitioned methods the spectral radius of the step's
    block matrix is scanned and its crossings of 1 refined.

    Args:
        method: one of our methods, or its name.
        spectrum: eigenvalues of `J = dv/dy` (array or Eigenvalues), or a BlockJacobian, which partitioned
            methods need; these also take the bare pair +-i w.
        complete: whether the eigenvalues are all there are; None: as the Eigenvalues say, else True.
        tolerance: share of an eigenvalue's modulus below which its real part is zero; eigenvalues below a hundredth
            of it, relative to the largest, are zero themselves.

    Raises:
        ArgumentError: if the spectrum is empty, not finite, or lacks the blocks a method needs.

    Example:
        >>> stable_steps("euler", [-1 + 1j, -1 - 1j, -4]).intervals
        ((0.0, 0.5),)
    """
    method = get(method)
    if not 0 <= finite("tolerance", tolerance) < 1:
        raise ArgumentError("tolerance", "a share, from 0 to below 1", tolerance)
    if complete is None:
        complete = is_complete(spectrum)
    if method.has_theory and not method.decouples:
        return _scanned_steps(method, as_blocks(method, spectrum), tolerance)
    factors = symbol(method)
    values = eigenvalue_array(spectrum)
    modes, facts = sorted_modes(values, tolerance)
    sets = _mode_intervals(method, modes)
    intervals = _intersection(list(sets.values()))
    if facts["neutral"] and abs(factors.factor(0.0)) > 1 + UNIT:  # not zero-stable: parasitic modes grow at any step
        intervals = ()
    _warn_of_bands(method, sets)
    binding = _binding(sets, intervals)
    multiplier, slope = None, float("nan")
    if binding is not None and intervals:
        z = _ending(intervals) * binding
        slope, multiplier = factors.slope(z), complex(factors.factor(z))
    growing = {lam: s for lam, s in sets.items() if lam.real > 0}
    return StepSet(
        intervals=intervals,
        binding=binding,
        multiplier=multiplier,
        sensitivity=slope,
        stabilised=tuple(lam for lam in facts["growing"] if growing[complex(lam.real, abs(lam.imag))]),
        damped_intervals=_intersection([s for lam, s in sets.items() if lam.real <= 0]),
        complete=complete,
        tolerance=tolerance,
        **facts,
    )


def _warn_of_bands(method: Method, sets: dict[complex, list[Interval]]) -> None:
    """Implicit multistep methods that are stable for all large steps but not for some between: BDF3 to BDF6."""
    if not method.formulas or method.explicit:
        return
    for lam, intervals in sets.items():
        if lam.real <= 0 and intervals and np.isinf(intervals[-1][1]) and intervals != [(0.0, np.inf)]:
            low = intervals[0][1] if intervals[0][0] == 0 and len(intervals) > 1 else 0.0
            text = f"{method.name or 'the method'} amplifies the damped mode {lam:.4g} for h in ({low:.4g}, "
            text += f"{intervals[-1][0]:.4g}): its unstable band near the imaginary axis"
            if (most := max(s[-1][0] for s in sets.values() if s and np.isinf(s[-1][1]))) > intervals[-1][0]:
                text += f" (of other modes up to {most:.4g})"
            warn_caller(f"{text}; bdf2 and the L-stable one-step methods have none", StabilityWarning)
            return


def largest_stable_step(method: str | Method, spectrum: Spectrum) -> float:
    """End of the first interval of stable steps: 0.0 where none starts at 0, inf where it never ends.

    Example:
        >>> round(largest_stable_step("rk4", [1j, -1j]) ** 2, 12)
        8.0
    """
    return stable_steps(method, spectrum).limit


def sorted_modes(values: NDArray[np.complex128], tolerance: float) -> tuple[list[complex], _Facts]:
    """One mode per conjugate pair with rounding in the real part removed; what the flow does to them."""
    scale = float(np.abs(values).max())
    zero = np.abs(values) <= SMALL * tolerance * scale
    neutral, rest = values[zero], values[~zero]
    imaginary = np.abs(rest.real) <= np.maximum(tolerance * np.abs(rest), ROUNDING * scale)
    rest = np.where(imaginary, 1j * rest.imag, rest)
    modes = list(dict.fromkeys(complex(x.real, abs(x.imag)) for x in rest))
    growing = tuple(complex(x) for x in rest[rest.real > 0])
    stable = False if growing else None if imaginary.any() or not len(rest) else True
    facts: _Facts = {"neutral": tuple(map(complex, neutral)), "growing": growing, "flow_stable": stable}
    return modes, facts


def _mode_intervals(method: Method, modes: list[complex]) -> dict[complex, list[Interval]]:
    """The stable steps of the modes that decide; the others are shown, in arrays, to decay wherever these do.

    Modes that the flow amplifies are computed one by one; of the others first the outermost.
    """
    all_modes = np.array(modes, dtype=np.complex128)
    waiting, rest = all_modes[all_modes.real > 0], all_modes[all_modes.real <= 0]
    if len(rest) <= FEW:
        waiting, rest = all_modes, rest[:0]
    else:
        first = extremes(rest)
        waiting, rest = np.concatenate([waiting, rest[first]]), np.delete(rest, first)
    out: dict[complex, list[Interval]] = {}
    rays: dict[complex, list[Interval]] = {}
    while len(waiting):
        for lam in map(complex, waiting):
            size = abs(lam)
            u = complex(lam.real / size, lam.imag / size)
            if u not in rays:
                rays[u] = ray_intervals(method, u)
            out[lam] = [(low / size, high / size) for low, high in rays[u]]
        damped = _intersection([s for lam, s in out.items() if lam.real <= 0])
        proved = np.ones(len(rest), dtype=bool)
        for low, high in damped:  # where there is none, no mode can take anything away
            proved &= symbol(method).decays(rest, low, high)
        rest = rest[~proved]
        order = np.argsort(-np.abs(rest), kind="stable")
        waiting, rest = rest[order[:AT_ONCE]], rest[order[AT_ONCE:]]
    return out


def _intersection(sets: list[list[Interval]]) -> tuple[Interval, ...]:
    out: list[Interval] = [(0.0, float("inf"))]
    for intervals in sets:
        out = [(max(a, c), min(b, d)) for a, b in out for c, d in intervals if max(a, c) < min(b, d)]
        if not out:
            return ()
    return tuple(out)


def _ending(intervals: tuple[Interval, ...]) -> float:
    return intervals[0][1]


def _binding(sets: dict[complex, list[Interval]], intervals: tuple[Interval, ...]) -> complex | None:
    """The mode whose own set ends where the intersection does; without one, a mode that no step damps."""
    if not sets:
        return None
    if not intervals:
        return next((lam for lam, s in sets.items() if not s), None)
    end = _ending(intervals)
    if np.isinf(end):
        return None
    return min(sets, key=lambda lam: min((abs(high - end) for _, high in sets[lam]), default=np.inf))


def _scanned_steps(method: Method, J: BlockJacobian, tolerance: float) -> StepSet:
    values = eigenvalue_array(J)
    _, facts = sorted_modes(values, tolerance)
    if not np.abs(values).max() and not np.abs(J.matrix).max():
        everywhere = ((0.0, float("inf")),)
        return StepSet(everywhere, None, None, float("nan"), damped_intervals=everywhere, **facts)

    def radius(h: float) -> float:
        return float(np.abs(np.linalg.eigvals(step_matrix(method, J, h))).max())

    fastest = max((lam.real for lam in facts["growing"]), default=0.0)

    def level_at(h: float) -> float:
        """What counts as no growth: rounding, but never the growth of a mode that the flow amplifies."""
        return 1 + (min(UNIT, 0.1 * fastest * h) if fastest else UNIT)

    slow = np.abs(values)[np.abs(values) > SMALL * tolerance * np.abs(values).max()]
    slowest = float(slow.min()) if len(slow) else float(np.abs(J.matrix).max())
    xtol = 1e-13 if len(values) <= 256 else 1e-8
    grid = first_steps(J, values)
    intervals = tuple(scanned_intervals(radius, level_at, grid, slowest, explicit=method.explicit, xtol=xtol))
    multiplier, slope = None, float("nan")
    if intervals and np.isfinite(end := _ending(intervals)):
        roots = np.linalg.eigvals(step_matrix(method, J, end))
        multiplier = complex(roots[np.abs(roots).argmax()])
        coarse, fine = (np.log(radius(end * (1 + d)) / radius(end)) / d for d in (1e-4, 1e-5))
        slope = np.log(radius(end * (1 + 1e-5)) / radius(end * (1 - 1e-5))) / 2e-5
        if fine > 2 * coarse:  # two eigenvalues part like a square root: no slope exists
            slope = float("inf")
    growing = facts["growing"]
    return StepSet(
        intervals,
        None,
        multiplier,
        float(slope),
        stabilised=growing if intervals else (),
        damped_intervals=intervals if not growing else (),
        tolerance=tolerance,
        **facts,
    )
