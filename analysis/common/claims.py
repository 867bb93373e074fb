"""Claims as numbers: an estimate with its interval, checked against the range in which the claim holds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scipy.stats import t as student

from analysis.common.page import prose, table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEAD", "VERDICTS", "Claim", "claims_table", "log_interval"]

VERDICTS = ("holds", "fails", "undecided")
HEAD = ("claim", "verdict", "measured", "95 % interval", "holds if", "whose")


@dataclass(frozen=True)
class Claim:
    """A statement that a number decides.

    It holds if the whole interval lies in `at_least..at_most`, fails if none of it does, and is undecided if a part
    does, or if the value is not known (NaN).

    Attributes:
        text: the statement, in a sentence.
        value: the estimate.
        low: lower end of its interval; None: the value itself, which then has no chance in it.
        high: upper end, likewise.
        at_least: the claim holds from here on.
        at_most: the claim holds up to here.
        source: whose claim it is; "" for our own.
        exact: whether theory says so, so that it must hold at every scale.
        timed: whether it is about seconds, which differ from run to run.
    """

    text: str
    value: float
    low: float | None = None
    high: float | None = None
    at_least: float = -math.inf
    at_most: float = math.inf
    source: str = ""
    exact: bool = False
    timed: bool = False

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end."""
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        low, high = self.interval
        if math.isnan(self.value) or math.isnan(low) or math.isnan(high):
            return "undecided"
        if self.at_least <= low and high <= self.at_most:
            return "holds"
        return "fails" if high < self.at_least or low > self.at_most else "undecided"

    @property
    def condition(self) -> str:
        """The range in words."""
        if math.isinf(self.at_least):
            return f"at most {self.at_most:.4g}"
        return f"at least {self.at_least:.4g}" + ("" if math.isinf(self.at_most) else f", at most {self.at_most:.4g}")

    def row(self) -> tuple[str, ...]:
        """For a table under `HEAD`; of a number with no chance in it no interval."""
        low, high = self.interval
        interval = "" if low == self.value == high or math.isnan(self.value) else f"{low:.4g} to {high:.4g}"
        measured = "unknown" if math.isnan(self.value) else f"{self.value:.4g}"
        source = self.source or ("theory" if self.exact else "")
        return prose(self.text), self.verdict, measured, interval, self.condition, source

    def record(self) -> dict[str, Any]:
        """For JSON, the verdict with it."""
        low, high = self.interval
        return {**asdict(self), "text": prose(self.text), "low": low, "high": high, "verdict": self.verdict}


def log_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of independent positive values, and its 95 % interval from the t distribution of their logarithms.

    Of no value NaN, of one no interval is known: from 0 to infinity.
    """
    if not values:
        return math.nan, math.nan, math.nan
    logs = [math.log(v) for v in values]
    middle = sum(logs) / len(logs)
    if len(logs) == 1:
        return math.exp(middle), 0.0, math.inf
    spread = math.sqrt(sum((x - middle) ** 2 for x in logs) / (len(logs) - 1) / len(logs))
    half = float(student.ppf(0.975, len(logs) - 1)) * spread
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def claims_table(claims: Sequence[Claim]) -> str:
    """Every claim with its verdict, number, interval and condition."""
    return table([*HEAD], [[*c.row()] for c in claims])
