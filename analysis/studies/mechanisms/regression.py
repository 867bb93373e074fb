"""Quality on what the steps do: least squares on standardised regressors, with intervals and explained shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd  # type: ignore[import-untyped]

__all__ = ["REGRESSORS", "Fit", "fitted", "prepared"]

REGRESSORS = ("accuracy", "stability", "numerical", "explicit")
"""-log10 of the local error; log2 of limit over h; the method's damping of the turning mode; the penalty's."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Fit:
    """Of each regressor: the change of log distance with one standard deviation, its interval, what it alone explains.

    Attributes:
        names: of the regressors.
        effect, low, high: coefficients and 95 % intervals.
        alone: the share of the variance that is lost without it.
        explained: the share that all explain.
        count: rows.
    """

    names: tuple[str, ...]
    effect: list[float]
    low: list[float]
    high: list[float]
    alone: list[float]
    explained: float
    count: int


def prepared(table: pd.DataFrame, cap: float) -> pd.DataFrame:
    """Rows at the end whose mechanisms are known (finite states, first seeds): regressors, log distance, cell."""
    rows = table[(table["at"] == 1.0) & table["at_end.error"].notna()].copy()
    rows["distance"] = np.log(rows["at_end.frechet"].fillna(cap).clip(upper=cap))
    rows["accuracy"] = -np.log10(rows["at_end.error"].clip(1e-3, 10.0))
    rows["stability"] = np.log2(rows["at_end.margin"].fillna(0.0).clip(0.125, 8.0))
    rows["numerical"] = rows["at_end.numerical"].clip(-1.0, 1.0).fillna(0.0)
    rows["explicit"] = rows["at_end.explicit"].clip(-1.0, 1.0).fillna(0.0)
    rows["cell"] = rows.groupby(["method", "penalty", "loss", "h_per_evaluation"]).ngroup()
    return rows


def fitted(rows: pd.DataFrame, within: Sequence[str]) -> Fit:
    """Least squares after taking off the means within groups; intervals by drawing cells, seeds together."""
    names = list(REGRESSORS)
    centred = rows[[*names, "distance"]] - rows.groupby(list(within))[[*names, "distance"]].transform("mean")
    X, y = centred[names].to_numpy(float), centred["distance"].to_numpy(float)
    spread = X.std(0)
    spread[spread == 0] = 1.0
    X = X / spread
    whole, effect = _explained(X, y)
    alone = [whole - _explained(np.delete(X, i, 1), y)[0] for i in range(len(names))]
    cells = [np.flatnonzero(rows["cell"].to_numpy() == c) for c in rows["cell"].unique()]
    draw, drawn = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([cells[i] for i in draw.integers(0, len(cells), len(cells))])
        drawn.append(_explained(X[chosen], y[chosen])[1])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return Fit(tuple(names), [*effect], [*low], [*high], alone, whole, len(rows))


def _explained(X: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of the variance that least squares explain, and the coefficients."""
    found = np.linalg.lstsq(X, y, rcond=None)[0]
    return 1 - float(((y - X @ found) ** 2).sum() / max(float((y**2).sum()), 1e-300)), found
