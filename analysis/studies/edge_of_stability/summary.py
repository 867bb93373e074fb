"""What the runs add up to: geometric means with intervals over seeds, and sentences made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FAMILIES",
    "Estimate",
    "cell_ratio",
    "claims",
    "estimate",
    "inside",
    "of_case",
    "over_seeds",
    "sharpness_ratio",
]

BAND = (0.9, 1.1)
"""Ratios that count as on the boundary."""

FAR = 2.0
"""Ratio above which a run is far outside its method's region."""

FAMILIES = {
    "euler": "Euler",
    "heun2": "Runge-Kutta, order 2",
    "rk4": "Runge-Kutta, order 4",
    "rdpk35": "low storage, order 3",
    "ab2": "Adams-Bashforth 2",
    "ab3": "Adams-Bashforth 3",
    "optimistic": "optimistic",
    "alternating": "alternating",
    "extragradient": "extragradient",
    "lookahead5": "lookahead",
    "heavy_ball_half": "heavy ball, 1/2",
    "heavy_ball": "heavy ball, 9/10",
    "tailored": "tailored, 3 stages",
}


@dataclass(frozen=True)
class Estimate:
    """A geometric mean, its 95 % interval (None for one value), and of how many values."""

    mean: float
    low: float | None
    high: float | None
    count: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def records(self) -> dict[str, Any]:
        """For JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "count": self.count}


def estimate(values: list[float]) -> Estimate | None:
    """Geometric mean and its interval from the t distribution, over independent values."""
    if not values:
        return None
    logs = np.log(values)
    if len(logs) == 1:
        return Estimate(values[0], None, None, 1)
    half = float(student.ppf(0.975, len(logs) - 1)) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    mean = float(logs.mean())
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))


def record_ratio(record: dict[str, Any]) -> float | None:
    """Step over the largest stable one of the leftmost mode; of partitioned methods by the real interval."""
    ratios = record["ratios"]
    found = ratios["leading"] if ratios["leading"] is not None else ratios["real"]
    return found if found else None


def cell_ratio(cell: dict[str, Any]) -> float | None:
    """Of one run: geometric mean over its records."""
    found = [x for r in cell["records"] if (x := record_ratio(r))]
    return math.exp(sum(map(math.log, found)) / len(found)) if found else None


def over_seeds(part: dict[str, Any], tau: float | None = None) -> Estimate | None:
    """Of one method and case: one value a seed, over all its steps tau or at one of them."""
    by_seed: dict[int, list[float]] = {}
    for cell in part["cells"]:
        ratio = cell_ratio(cell)
        if ratio and (tau is None or cell["tau"] == tau):
            by_seed.setdefault(cell["seed"], []).append(math.log(ratio))
    return estimate([math.exp(sum(x) / len(x)) for x in by_seed.values()])


def of_case(training: list[dict[str, Any]], case: str, method: str) -> dict[str, Any]:
    """The part of a case and method; one without cells where the method did not take part."""
    nothing: dict[str, Any] = {"case": case, "method": method, "cells": [], "real_interval": None}
    return next((p for p in training if (p["case"], p["method"]) == (case, method)), nothing)


def sharpness_ratio(part: dict[str, Any]) -> Estimate | None:
    """The mean batch sharpness over the end of the method's real interval, one value a seed."""
    by_seed: dict[int, list[float]] = {}
    for cell in part["cells"]:
        if part["real_interval"] and cell.get("sharpness") and cell["sharpness"] > 0:
            by_seed.setdefault(cell["seed"], []).append(math.log(cell["h"] * cell["sharpness"] / part["real_interval"]))
    return estimate([math.exp(sum(x) / len(x)) for x in by_seed.values()])


def inside(found: Estimate | None, *, mean_only: bool = False) -> bool:
    """Whether the interval (or the mean) lies in the band."""
    if found is None:
        return False
    ends = (found.mean,) if mean_only or found.low is None or found.high is None else (found.low, found.high)
    return all(BAND[0] <= x <= BAND[1] for x in ends)


def leftmost(part: dict[str, Any]) -> list[float]:
    """Size of the smallest real part at the end of every run."""
    return [abs(c["records"][-1]["eigenvalues"][0][0]) for c in part["cells"] if c["records"]]


def claims(settings: Any, training: list[dict[str, Any]], implicit: list[Any], control: list[Any]) -> list[str]:
    """The answer, computed."""
    out = [*_base(settings, training), *_cases(settings, training)]
    if implicit:
        out.append(_implicit(implicit))
    return [*out, *_control(settings, control)] if control else out


def _base(settings: Any, training: list[dict[str, Any]]) -> list[str]:
    case = settings.cases[0]
    found = {m: over_seeds(of_case(training, case.name, m)) for m in settings.methods}
    held = [m for m in settings.methods if inside(found[m])]
    near = [m for m in settings.methods if m not in held and inside(found[m], mean_only=True)]
    others = [m for m in settings.methods if m not in held and m not in near]
    spread = max(case.taus) / min(case.taus)
    on = held + near
    sizes = [x for m in on or settings.methods for x in leftmost(of_case(training, case.name, m))]

    def listed(names: list[str]) -> str:
        return ", ".join(f"{m} {found[m]}" for m in names) or "none"

    return [
        f"""Base case, steps varied {spread:g}-fold. Of {len(found)} explicit methods {len(held)} have the 95 % interval
            of the mean ratio within [{BAND[0]}, {BAND[1]}]: {listed(held)}. In {len(near)} more the mean lies there,
            the interval not: {listed(near)}. Elsewhere: {listed(others)}.""",
        _by_step(settings, training),
        _away(settings, training),
        f"""The leading eigenvalue itself lies anywhere from -{min(sizes):.3g} to -{max(sizes):.3g} in the runs of
            {"the methods just named" if on else "all methods"}; |lambda| grows as the boundary (real interval over h)
            to the power {_slope(settings, training, on or settings.methods):.2f}, 1 being the law in question.""",
    ]


def _slope(settings: Any, training: list[dict[str, Any]], methods: Sequence[str]) -> float:
    """Of log |leftmost| against log (real interval / h), least squares over all runs of these methods."""
    points: list[tuple[float, float]] = [
        (part["real_interval"] / c["h"], abs(c["records"][-1]["eigenvalues"][0][0]))
        for m in methods
        for part in [of_case(training, settings.cases[0].name, m)]
        for c in part["cells"]
        if c["records"]
    ]
    x, y = np.log(np.transpose(points))
    return float(np.polyfit(x, y, 1)[0])


def _by_step(settings: Any, training: list[dict[str, Any]]) -> str:
    """How many methods are on the boundary at each step."""
    case, out = settings.cases[0], []
    for tau in case.taus:
        found = [over_seeds(of_case(training, case.name, m), tau) for m in settings.methods]
        whole, means = sum(map(inside, found)), sum(inside(e, mean_only=True) for e in found)
        out.append(f"tau {tau:g}: interval {whole}, mean {means}")
    return f"By step, methods in the band: {'; '.join(out)}, of {len(settings.methods)}."


def _away(settings: Any, training: list[dict[str, Any]]) -> str:
    """Runs far outside, by method and step."""
    case, out = settings.cases[0], []
    for m in settings.methods:
        cells = of_case(training, case.name, m)["cells"]
        for tau in case.taus:
            ratios = [cell_ratio(c) or 0.0 for c in cells if c["tau"] == tau]
            if sum(x > FAR for x in ratios):
                out.append(f"{m} at tau {tau:g}: {sum(x > FAR for x in ratios)} of {len(ratios)}")
    return f"Runs whose ratio is above {FAR:g}, which have left the boundary behind: {'; '.join(out) or 'none'}."


def _cases(settings: Any, training: list[dict[str, Any]]) -> list[str]:
    out = []
    for case in settings.cases[1:]:
        names = settings.methods_of(case)
        found = {m: over_seeds(of_case(training, case.name, m)) for m in names}
        held = [m for m in names if inside(found[m])]
        near = [m for m in names if m not in held and _touches(found[m])]
        rest = [f"{m} {found[m]}" for m in names if m not in held and m not in near]
        out.append(
            f"""{case.name}, {case.seeds} starts: the interval lies within the band for {len(held)} of {len(found)}
            methods ({", ".join(held) or "none"}), meets it for {len(near)} ({", ".join(near) or "none"}), and misses
            it for {len(rest)} ({", ".join(rest) or "none"})."""
        )
    return out


def _touches(found: Estimate | None) -> bool:
    if found is None or found.low is None or found.high is None:
        return False
    return found.low <= BAND[1] and found.high >= BAND[0]


def _implicit(rows: list[dict[str, Any]]) -> str:
    sizes: dict[tuple[str, float], list[float]] = {}
    for r in rows:
        sizes.setdefault((r["method"], r["h"]), []).append(abs(r["records"][-1]["eigenvalues"][0][0]))
    shown = "; ".join(
        f"{m} at h = {h:g}: |lambda| {min(x):.3g} to {max(x):.3g}, h |lambda| {h * min(x):.3g} to {h * max(x):.3g}"
        for (m, h), x in sizes.items()
    )
    least = min(h * min(x) for (_, h), x in sizes.items())
    verdict = "goes on beyond every explicit method's boundary" if least > 5 else "was not seen to go far"
    return f"Implicit methods have no boundary on the real axis, and the sharpening {verdict}: {shown}."


def _control(settings: Any, rows: list[dict[str, Any]]) -> list[str]:
    out = []
    for m in settings.control_methods:
        mine = [r for r in rows if r["method"] == m]
        last = [r["last_tau"] for r in mine]
        own = [r["distance"] for r in mine if r["distance"] is not None]
        fixed = {
            tau: [r["fixed"][str(tau)] for r in mine if r["fixed"][str(tau)] is not None]
            for tau in settings.control_fixed
        }
        best = min((x for x in fixed if fixed[x]), key=lambda x: float(np.mean(fixed[x])))
        out.append(
            f"""Controller with {m}: h per evaluation goes from {settings.control_first:g} to between
            {min(last):.3g} and {max(last):.3g} in {mine[0]["evaluations"]:.0f} evaluations while |lambda| goes from
            about {np.mean([abs(r["leftmost"][0][1]) for r in mine]):.3g} to
            {np.mean([abs(r["leftmost"][-1][1]) for r in mine]):.3g};
            distance {np.mean(own):.2f} ({min(own):.2f} to {max(own):.2f}), with the best fixed step, {best:g},
            {np.mean(fixed[best]):.2f} ({min(fixed[best]):.2f} to {max(fixed[best]):.2f})."""
        )
    return out
