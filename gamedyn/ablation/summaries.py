"""What a table says: means over seeds, paired differences, effects and interactions, each with its interval."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from numpy.typing import NDArray

__all__ = ["differences", "effects", "means", "varying"]

SEPARATE = "a lower order=, fewer factors, each grid's rows apart, or failed="
"""What to do where effects cannot be separated."""


def means(
    table: pd.DataFrame,
    measure: str,
    by: Sequence[str],
    *,
    failed: float | None = None,
    level: float = 0.95,
    log: bool = False,
) -> pd.DataFrame:
    """The mean of a measure for each combination of factors, over whatever else differs (seeds), with its interval.

    Intervals are from the t distribution, of logarithms where means are geometric: they cover a normal distribution's
    mean as often as they say, with few values too. Of a single value there is none. Values of a cell are independent if
    they differ in the seed; what is pooled besides (a factor not in `by`) widens the interval by its own effect.

    Args:
        table: as `run` gives it; rows before the end (`at` below 1) are left out unless `at` is in `by`.
        measure: its column.
        by: factors.
        failed: value of cells without a measure; None: they are left out, and counted.
        level: of the intervals.
        log: whether means are geometric ones.

    Returns:
        Columns: the factors, n (values), failed, mean, low, high.

    Raises:
        UnknownNameError: for a column that the table lacks.
        ArgumentError: for geometric means of values that are not positive.

    Source: Student 1908, Biometrika 6, p. 1.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"method": ["euler", "euler", "rk4"], "at": 1.0, "error": [1.0, 3.0, 0.5]})
        >>> means(table, "error", ["method"])[["method", "n", "mean"]].values.tolist()
        [['euler', 2, 2.0], ['rk4', 1, 0.5]]
    """
    import pandas as pd

    values, by = _ends(table, measure, by, failed=failed, log=log), list(by)
    rows = []
    for key, group in values.groupby(by, sort=False, dropna=False):
        known = group[measure].dropna().to_numpy()
        low, middle, high = _interval(known, level, log=log)
        rows.append((*key, len(known), len(group) - len(known), middle, low, high))
    return pd.DataFrame(rows, columns=[*by, "n", "failed", "mean", "low", "high"])


def differences(
    table: pd.DataFrame,
    measure: str,
    factor: str,
    one: Any,
    other: Any,
    *,
    by: Sequence[str] = (),
    pair: Sequence[str] = ("seed",),
    failed: float | None = None,
    level: float = 0.95,
    log: bool = False,
) -> pd.DataFrame:
    """The difference one - other of two values of a factor, in pairs of cells that agree in `by` and `pair`.

    Args:
        table: as `run` gives it.
        measure: its column.
        factor: in which the pairs differ.
        one: its value in one cell of a pair.
        other: that in the other.
        by: factors for each of whose combinations a difference is given.
        pair: factors whose values are the same in both cells of a pair, besides `by`.
        failed: value of cells without a measure; None: their pairs are left out, and counted.
        level: of the intervals.
        log: whether ratios are given in the place of differences.

    Returns:
        Columns: `by`, n (pairs), failed, difference (mean of one - other; of logarithms, as a ratio one / other), low,
        high, below (pairs in which `one` is smaller).

    Raises:
        UnknownNameError: for a column or value that the table lacks.
        ArgumentError: for cells that occur twice in a pair; for logarithms of values that are not positive.
    """
    import pandas as pd

    values = _ends(table, measure, [factor, *by, *pair], failed=failed, log=log)
    keys = [*by, *pair]
    sides = []
    for value in (one, other):
        side = values[values[factor].isna() if value is None else values[factor] == value]
        if side.empty:
            raise UnknownNameError(factor, str(value), [str(v) for v in values[factor].unique()])
        if keys and side.duplicated(keys).any():
            left = [c for c in varying(side) if c not in keys and c != factor]
            remedy = f"by=[{', '.join(map(repr, left))}]" if left else ""
            expected = f"factors that single out a cell, with {', '.join(keys)}"
            raise ArgumentError("pair", expected, "several cells in one", remedy)
        sides.append(side[[*keys, measure]])
    how: dict[str, Any] = {"on": keys} if keys else {"how": "cross"}
    both = sides[0].merge(sides[1], **how, suffixes=(".one", ".other"))
    rows = []
    groups = both.groupby(list(by), sort=False, dropna=False) if by else [((), both)]
    for key, group in groups:
        a, b = (group[f"{measure}.{s}"].to_numpy(dtype=float) for s in ("one", "other"))
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = np.log(a) - np.log(b) if log else a - b
        known = gaps[np.isfinite(gaps)]
        low, middle, high = _interval(known, level)
        told = [math.exp(x) if log else x for x in (middle, low, high)]
        rows.append((*key, len(known), len(gaps) - len(known), *told, int((known < 0).sum())))
    return pd.DataFrame(rows, columns=[*by, "n", "failed", "difference", "low", "high", "below"])


def effects(
    table: pd.DataFrame,
    measure: str,
    factors: Sequence[str],
    *,
    order: int = 2,
    over: str = "seed",
    failed: float | None = None,
    level: float = 0.95,
    resamples: int = 500,
    log: bool = False,
) -> pd.DataFrame:
    """Main effects and interactions: what a level, or a combination of levels, adds to the mean of all.

    By least squares on contrasts that add up to 0 over each factor's levels: of a full grid the deviations of its
    means. Intervals by resampling what `over` names (seeds are drawn with all their cells), percentiles.

    Args:
        table: as `run` gives it.
        measure: its column.
        factors: of which effects are wanted; over all others the table is averaged.
        order: 1, main effects; 2, interactions of two; and so on.
        over: factor that is resampled.
        failed: value of cells without a measure; None: they are left out.
        level: of the intervals.
        resamples: of the bootstrap.
        log: whether the logarithm of the measure is meant: effects are then factors.

    Returns:
        Columns: term (factors joined by " x "), level (values likewise), effect, low, high, share (the whole term's, of
        the sum of squares about the mean: what it explains after the terms before it).

    Raises:
        ArgumentError: if no cell, or one level of a factor alone, is left; if so many combinations have no result that
            effects cannot be separated; for logarithms of values that are not positive.

    Source: Box, Hunter, Hunter 2005, *Statistics for Experimenters*, chapter 5.
    """
    import pandas as pd

    order = positive_int("order", order)
    values = _ends(table, measure, [*factors, over], failed=failed, log=log).dropna(subset=[measure])
    levels = {f: list(dict.fromkeys(values[f])) for f in factors}
    for f, known in levels.items():
        if len(known) < 2:
            raise ArgumentError("factors", "factors with two levels that have results", f"{f} with {known}")
    y = values[measure].to_numpy(dtype=float)
    y = np.log(y) if log else y
    places = {f: values[f].map(known.index).to_numpy() for f, known in levels.items()}
    terms = [t for k in range(1, order + 1) for t in itertools.combinations(factors, k)]
    design, spans = _design(places, levels, terms)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        here = set(values[list(factors)].itertuples(index=False, name=None))
        absent = next(c for c in itertools.product(*levels.values()) if c not in here)
        lacking = f"none at {', '.join(f'{f} {v}' for f, v in zip(factors, absent, strict=True))}"
        raise ArgumentError(
            "factors", "results at so many combinations that effects can be separated", lacking, SEPARATE
        )
    seeds = values[over].to_numpy()
    found, shares = _fitted(design, y, spans, terms, levels)
    draws = _resampled(design, y, seeds, spans, terms, levels, resamples)
    tail = 100 * (1 - level) / 2
    lows, highs = (
        np.nanpercentile(draws, [tail, 100 - tail], axis=0) if len(draws) else (found * np.nan, found * np.nan)
    )
    names = [(t, c) for t in terms for c in itertools.product(*(levels[f] for f in t))]
    rows = [
        (" x ".join(t), " x ".join(map(str, c)), *(math.exp(v) if log else v for v in (e, lo, hi)), shares[t])
        for (t, c), e, lo, hi in zip(names, found, lows, highs, strict=True)
    ]
    return pd.DataFrame(rows, columns=["term", "level", "effect", "low", "high", "share"])


def _ends(table: pd.DataFrame, measure: str, by: Sequence[str], *, failed: float | None, log: bool) -> pd.DataFrame:
    """The rows that count: of each cell the last one.

    Raises:
        UnknownNameError: for a column that the table lacks.
        ArgumentError: for logarithms of values that are not positive.
    """
    for name in (measure, *by):
        if name not in table.columns:
            raise UnknownNameError("column", name, [str(c) for c in table.columns])
    values = table if "at" in by or "at" not in table.columns else table[table["at"] == 1]
    values = values.copy()
    values[measure] = values[measure].where(np.isfinite(values[measure].astype(float)))
    values = values if failed is None else values.fillna({measure: failed})
    if log and (below := int((values[measure] <= 0).sum())):
        raise ArgumentError(measure, "positive values: log is on", f"{below} of {len(values)} at or below 0", "no log")
    return values


def _interval(values: NDArray[np.float64], level: float, *, log: bool = False) -> tuple[float, float, float]:
    """Lower end, mean, upper end."""
    if not len(values):
        return math.nan, math.nan, math.nan
    if log:
        low, middle, high = _interval(np.log(values), level)
        return math.exp(low), math.exp(middle), math.exp(high)
    middle = float(values.mean())
    if len(values) == 1:
        return math.nan, middle, math.nan
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return middle - half, middle, middle + half


def varying(cells: pd.DataFrame) -> list[str]:
    """The factors that differ among cells: columns before those of what came out."""
    names = [*itertools.takewhile(lambda c: c not in ("at", "status"), cells.columns)]
    return [c for c in names if cells[c].map(str).nunique() > 1]


def _design(
    places: dict[str, NDArray[Any]], levels: dict[str, list[Any]], terms: Sequence[tuple[str, ...]]
) -> tuple[NDArray[np.float64], dict[tuple[str, ...], slice]]:
    """A column of ones, and for each term the products of its factors' contrasts."""
    contrasts = {f: _contrast(len(levels[f]))[places[f]] for f in places}
    columns, spans, at = [np.ones((len(next(iter(places.values()))), 1))], {}, 1
    for term in terms:
        block = contrasts[term[0]]
        for f in term[1:]:
            block = (block[:, :, None] * contrasts[f][:, None, :]).reshape(len(block), -1)
        columns.append(block)
        spans[term] = slice(at, at + block.shape[1])
        at += block.shape[1]
    return np.concatenate(columns, axis=1), spans


def _contrast(levels: int) -> NDArray[np.float64]:
    """Each level's row: a unit vector; of the last level -1 throughout, so that effects add up to 0."""
    return np.concatenate([np.eye(levels - 1), np.full((1, levels - 1), -1.0)])


def _fitted(
    design: NDArray[np.float64], y: NDArray[np.float64], spans: dict[Any, slice], terms: Any, levels: Any
) -> tuple[NDArray[np.float64], dict[Any, float]]:
    """The effect of every combination of levels of each term; the share of the sum of squares of each term."""
    found = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
    out, total = [], float(np.square(y - y.mean()).sum())
    for term in terms:
        table = found[spans[term]]
        for_levels = _contrast(len(levels[term[0]]))
        for f in term[1:]:
            for_levels = np.asarray(np.kron(for_levels, _contrast(len(levels[f]))), dtype=np.float64)
        out.append(for_levels @ table)
    along = np.square(np.linalg.qr(design).Q.T @ y)  # by each column what those before it leave unexplained
    return np.concatenate(out), {t: float(along[spans[t]].sum()) / total if total else 0.0 for t in terms}


def _resampled(
    design: NDArray[np.float64], y: NDArray[np.float64], seeds: Any, spans: Any, terms: Any, levels: Any, count: int
) -> NDArray[np.float64]:
    """Effects with seeds drawn again, each with all its rows; none where most draws leave out a combination."""
    rows = [np.flatnonzero(seeds == s) for s in dict.fromkeys(seeds)]
    if len(rows) < 2:
        return np.empty((0, 0))
    draw = np.random.default_rng(0)

    @functools.cache  # few seeds have few draws that differ: of three seeds ten
    def fitted(drawn: tuple[int, ...]) -> NDArray[np.float64] | None:
        chosen = np.concatenate([rows[i] for i in drawn])
        if np.linalg.matrix_rank(design[chosen]) < design.shape[1]:  # it tells effects apart no more
            return None
        return _fitted(design[chosen], y[chosen], spans, terms, levels)[0]

    draws = (fitted(tuple(sorted(draw.integers(len(rows), size=len(rows)).tolist()))) for _ in range(count))
    out = [found for found in draws if found is not None]
    return np.array(out) if len(out) > count / 2 else np.empty((0, 0))
