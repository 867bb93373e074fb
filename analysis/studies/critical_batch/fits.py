"""Steps to a target from a run's scores, and the fit of their dependence on the batch size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fit", "fitted", "steps_to"]


def steps_to(steps: Sequence[float], distances: Sequence[float], target: float) -> float:
    """The step at which a distance first reaches the target, between two scores by their logarithms; inf: at none.

    Example:
        >>> steps_to([10, 100], [8.0, 2.0], 4.0)  # half the way of both logarithms
        31.622776601683793
    """
    for i, d in enumerate(distances):
        if not math.isnan(d) and d <= target:
            if i == 0 or math.isnan(distances[i - 1]):
                return float(steps[i])
            share = math.log(distances[i - 1] / target) / math.log(distances[i - 1] / d)
            return math.exp(math.log(steps[i - 1]) + share * math.log(steps[i] / steps[i - 1]))
    return math.inf


@dataclass(frozen=True)
class Fit:
    """`K(b) = K_inf b / (b - b_0)`: Sato and Iiduka's form, with `K_inf = A / (eps^2 - C)`, `b_0 = B / (eps^2 - C)`.

    The samples `K b` are least at `2 b_0`, the critical batch.

    Attributes:
        steps: K_inf, for batches without bound.
        least: b_0, below which the target is not reached.
        error: root mean square of the logarithms' errors.
    """

    steps: float
    least: float
    error: float

    @property
    def critical(self) -> float:
        """Where the samples are least."""
        return 2 * self.least

    def at(self, b: float) -> float:
        """Steps at a batch size."""
        return self.steps * b / (b - self.least) if b > self.least else math.inf


def fitted(batches: Sequence[float], steps: Sequence[float]) -> Fit | None:
    """Least squares on the logarithms of the batches that reached the target; None: of fewer than three.

    Example:
        >>> found = fitted([4, 8, 16, 64], [100 * b / (b - 3) for b in (4, 8, 16, 64)])
        >>> round(found.critical, 6), round(found.steps, 6)
        (6.0, 100.0)
    """
    known = [(b, k) for b, k in zip(batches, steps, strict=True) if math.isfinite(k)]
    if len(known) < 3:
        return None
    b, k = np.array(known).T

    def gaps(p: np.ndarray) -> np.ndarray:
        least = b.min() / (1 + math.exp(-p[1]))  # below the smallest batch that reached the target
        found: np.ndarray = p[0] + np.log(b / (b - least)) - np.log(k)
        return found

    starts = [least_squares(gaps, [math.log(k.min()), s]) for s in (-4.0, -1.0, 1.0, 4.0)]
    best = min(starts, key=lambda r: r.cost)
    least = float(b.min() / (1 + math.exp(-best.x[1])))
    return Fit(math.exp(best.x[0]), least, math.sqrt(2 * best.cost / len(b)))
