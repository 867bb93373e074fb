"""The report of `critical_batch`."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from scipy.stats import spearmanr

import gamedyn as gd
from analysis.common.claims import Claim, log_interval
from analysis.common.gans import METHODS, quality, setup
from analysis.common.page import number, paragraph, table
from analysis.common.study import Findings
from analysis.studies.critical_batch.fits import fitted, steps_to
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

SATO = "Sato, Iiduka 2023"

LIMITATIONS = (
    """One step for each method, the same at all batch sizes, as the theory has it: a step that grows with the batch
    would
    move the curve.""",
    """The fit has two numbers, its form is the papers' bound and not a law; the paper's own prediction takes
    constants of
    the optimiser and of the gradient's variance, which are not measured here.""",
    """Digits of 8x8 pixels with R1 and the non-saturating loss; a distance of pixels. Batches that do not reach the
    target within the bounds
    on steps and images are left out of fits and correlations; the fitted critical batch is at most twice the smallest
    batch that does.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, two figures, a table."""
    found = _table(settings, work)
    reached = _reached(settings, found)
    fits = {
        key: fitted([*rows["batch"]], [*rows["steps_to"]])
        for key, rows in reached.groupby(["method", "target", "seed"], sort=False)
    }
    body = [
        paragraph(f"""Digits, non-saturating, R1; steps to a Frechet distance of
            {" and ".join(f"{t:g}" for t in settings.targets)},
            scored {settings.marks} times a run, so that the steps are known to a few per cent; {settings.seeds}
                seeds."""),
        work.figure("steps", _draw(settings, reached, samples=False), STEPS),
        work.figure("samples", _draw(settings, reached, samples=True), SAMPLES),
        table(
            ["method", "target", *(f"K at b = {b}" for b in settings.batches)],
            [
                [m, f"{t:g}", *(_shown(reached, m, t, b) for b in settings.batches)]
                for m, _ in settings.methods
                for t in settings.targets
            ],
        ),
        table(
            [
                "method",
                "target",
                "seed",
                "K without bound",
                "b_0",
                "critical batch by the fit",
                "measured",
                "error of log K",
            ],
            [
                [
                    m,
                    f"{t:g}",
                    str(s),
                    *_of_fit(f),
                    number(_measured(reached, m, t, s)),
                    "" if f is None else f"{f.error:.2f}",
                ]
                for (m, t, s), f in fits.items()
            ],
        ),
    ]
    return Findings(
        "The critical batch", _claims(settings, reached, fits), body, reached.to_dict("records"), LIMITATIONS
    )


STEPS = """Steps to the target over the batch size, mean and range of the seeds; lines are the fits K = K_inf b / (b
    - b_0). Where
    a curve is flat larger batches buy nothing."""
SAMPLES = """Samples to the target, K b, over the batch size. A star marks the fit's least value, the critical batch."""


def _table(settings: Any, work: Workplace) -> pd.DataFrame:
    """An ablation for every batch, of as many steps as it may take."""
    marks = [float(x) for x in np.geomspace(settings.first, 1.0, settings.marks)]
    marks[-1] = 1.0
    hs, parts = dict(settings.methods), []
    methods = {
        label: gd.methods.get(name, **options) for label in hs for name, options in [METHODS.get(label, (label, {}))]
    }
    for b in settings.batches:
        grid = Grid(
            setup,
            {"method": methods, "h": sorted(set(hs.values())), "seed": range(settings.seeds)},
            where=lambda c: c["h"] == hs[c["method"]],
            steps=min(settings.steps, settings.images // b),
            data_set="digits",
            batch=b,
            penalty="r1",
        )
        measure = {"end": partial(quality, count=settings.count)}
        parts.append(work.ablation(f"batch_{b}", grid, measure, marks=marks))
    return pd.concat(parts, ignore_index=True)


def _reached(settings: Any, found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (m, b, seed), mine in found.groupby(["method", "batch", "seed"], sort=False):
        mine = mine.sort_values("at")
        for t in settings.targets:
            k = steps_to([*mine["spent.steps"]], [*mine["end.frechet"]], t)
            rows.append({"method": m, "batch": b, "seed": seed, "target": t, "steps_to": k})
    return pd.DataFrame(rows)


def _measured(reached: pd.DataFrame, method: str, target: float, seed: Any) -> float:
    """The batch at which the samples were least; NaN where the target was reached at none."""
    rows = reached[(reached["method"] == method) & (reached["target"] == target) & (reached["seed"] == seed)]
    samples = rows["steps_to"] * rows["batch"]
    return float(rows["batch"].loc[samples.idxmin()]) if np.isfinite(samples).any() else math.nan


def _of_fit(fit: Any) -> list[str]:
    return ["", "", ""] if fit is None else [number(fit.steps), number(fit.least), number(fit.critical)]


def _shown(reached: pd.DataFrame, method: str, target: float, batch: int) -> str:
    rows = reached[(reached["method"] == method) & (reached["target"] == target) & (reached["batch"] == batch)]
    known = [v for v in rows["steps_to"] if math.isfinite(v)]
    if len(known) < len(rows):
        return f"{len(known)} of {len(rows)} reached it"
    return f"{np.mean(known):.0f} ({min(known):.0f} to {max(known):.0f})"


def _claims(settings: Any, reached: pd.DataFrame, fits: dict[Any, Any]) -> list[Claim]:
    out = []
    top, strict = settings.targets[0], settings.targets[-1]
    for m, _ in settings.methods:
        rows = reached[(reached["method"] == m) & (reached["target"] == top)]
        rows = rows[np.isfinite(rows["steps_to"])]
        several = rows["batch"].nunique() > 1
        fall = float(spearmanr(rows["batch"], rows["steps_to"]).statistic) if several else math.nan
        mine = [f for (method, t, _), f in fits.items() if method == m and t == top and f is not None]
        seeds = [
            (f, _measured(reached, m, top, s)) for (method, t, s), f in fits.items() if method == m and t == top and f
        ]
        quotients = [f.critical / measured for f, measured in seeds if measured > 0]
        edges = (min(settings.batches), max(settings.batches))
        least = [_measured(reached, m, top, s) for s in range(settings.seeds)]
        inner = [math.isfinite(b) and b not in edges for b in least]
        stricter = [
            fits[m, strict, s].critical / fits[m, top, s].critical
            for s in range(settings.seeds)
            if fits.get((m, strict, s)) and fits.get((m, top, s))
        ]
        error = max((f.error for f in mine), default=math.nan)
        out += [
            Claim(f"{m}: steps to the target fall with the batch (rank correlation).", fall, at_most=-0.8, source=SATO),
            Claim(
                f"{m}: there is a critical batch, inside the sizes tried (share of the seeds).",
                float(np.mean(inner)),
                at_least=0.99,
                source=SATO,
            ),
            Claim(f"{m}: K = K_inf b / (b - b_0) fits (largest error of log K).", error, at_most=0.25, source=SATO),
            Claim(
                f"{m}: the fit's critical batch is the measured one within a factor of 2 (quotient).",
                *log_interval(quotients),
                at_least=0.5,
                at_most=2.0,
                source=SATO,
            ),
            Claim(
                f"{m}: a stricter target has a larger critical batch (quotient).",
                *log_interval(stricter),
                at_least=1.0,
                source=SATO,
            ),
        ]
    return out


def _draw(settings: Any, reached: pd.DataFrame, *, samples: bool) -> Figure:
    fig = Figure(figsize=(4.6 * len(settings.targets), 3.8), layout="constrained")
    axes = fig.subplots(1, len(settings.targets), sharey=True, squeeze=False)[0]
    fine = np.geomspace(min(settings.batches), max(settings.batches), 200)
    for ax, t in zip(axes, settings.targets, strict=True):
        for i, (m, _) in enumerate(settings.methods):
            rows = reached[(reached["method"] == m) & (reached["target"] == t) & np.isfinite(reached["steps_to"])]
            values = rows["steps_to"] * (rows["batch"] if samples else 1)
            groups = values.groupby(rows["batch"])
            middle = groups.mean()
            ends = [middle - groups.min(), groups.max() - middle]
            ax.errorbar(middle.index, middle, ends, fmt="os^D"[i % 4], color=f"C{i}", ms=4, capsize=2, label=m)
            whole = np.exp(np.log(rows["steps_to"]).groupby(rows["batch"]).mean())
            fit = fitted([*whole.index], [*whole])
            if fit is not None:
                at = fine[fine > 1.02 * fit.least]
                curve = np.array([fit.at(b) * (b if samples else 1) for b in at])
                ax.plot(at, curve, color=f"C{i}", lw=1)
                if samples and fit.critical > fine[0]:
                    ax.plot(fit.critical, fit.critical * fit.at(fit.critical), "*", color=f"C{i}", ms=12, mec="black")
        ax.set(xscale="log", yscale="log", xlabel="batch size", title=f"to a distance of {t:g}")
        ax.set_xticks(settings.batches, [str(b) for b in settings.batches], fontsize=7)
        ax.minorticks_off()
    axes[0].set_ylabel("samples to the target" if samples else "steps to the target")
    axes[0].legend(fontsize=7)
    return fig
