"""From runs to curves: work in evaluations, and what an accuracy costs."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from analysis.common.parts import Result

__all__ = ["Curve", "Price", "cheapest", "curves_of", "price", "weights_of"]

FLOOR = 1e-14
"""Errors below it count as it."""


class Curve(NamedTuple):
    """The runs of one label, from coarse to fine: error, work in evaluations (None: not counted) and seconds."""

    label: str
    group: str
    error: tuple[float, ...]
    work: tuple[float | None, ...]
    seconds: tuple[float, ...]


class Price(NamedTuple):
    """What an accuracy costs."""

    label: str
    work: float | None
    seconds: float


def weights_of(results: dict[str, Result], name: str) -> dict[str, float]:
    """Seconds of an evaluation, and of a product and a graph in evaluations: medians over a problem's parts."""
    found = [r.figures["weights"] for r in results.values() if r.figures.get("problem") == name]
    evaluation = statistics.median(w["evaluation"] for w in found)
    ratios = {k: statistics.median(w[k] / w["evaluation"] for w in found) for k in ("product", "graph")}
    return {"evaluation": evaluation, **ratios}


def curves_of(results: dict[str, Result], name: str) -> list[Curve]:
    """All curves of a problem; runs that failed, or ended far from the solution, are left out."""
    product = weights_of(results, name)["product"]
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for part in results.values():
        if part.figures.get("problem") == name:
            peers = part.figures.get("diffrax", {}).get("runs", [])
            for row in [*part.figures["runs"], *peers]:
                rows.setdefault((row["group"], row["label"]), []).append(row)
    out = []
    for (group, label), mine in rows.items():
        good = [r for r in mine if r["error"] is not None and r["error"] < 1]
        work = [None if r["evaluations"] is None else r["evaluations"] + product * r["products"] for r in good]
        error = [max(r["error"], FLOOR) for r in good]
        out.append(Curve(label, group, tuple(error), tuple(work), tuple(r["seconds"] for r in good)))
    return out


def price(curve: Curve, accuracy: float) -> Price | None:
    """Work and time at an accuracy, interpolated on logarithmic scales between the two runs around it.

    None where no run is as accurate. A first run that is accurate enough is taken as it is.
    """
    for i, error in enumerate(curve.error):
        if error > accuracy:
            continue
        if i == 0 or curve.error[i - 1] <= error:
            return Price(curve.label, curve.work[i], curve.seconds[i])
        share = math.log(curve.error[i - 1] / accuracy) / math.log(curve.error[i - 1] / error)

        def between(low: float | None, high: float | None, share: float = share) -> float | None:
            return None if low is None or high is None else low ** (1 - share) * high**share

        seconds = between(curve.seconds[i - 1], curve.seconds[i])
        return Price(curve.label, between(curve.work[i - 1], curve.work[i]), float(seconds or 0.0))
    return None


def cheapest(curves: list[Curve], group: str, accuracy: float) -> Price | None:
    """The member of a group that reaches an accuracy with least work; with least time where work is not counted."""
    found = [p for c in curves if c.group == group and (p := price(c, accuracy)) is not None]
    counted = [p for p in found if p.work is not None]
    if counted:
        return min(counted, key=lambda p: p.work or 0.0)
    return min(found, key=lambda p: p.seconds, default=None)
