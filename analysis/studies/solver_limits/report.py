"""The report: figures, tables and what they show, in one page that needs nothing else."""

from __future__ import annotations

import html
import math
from typing import Any

from analysis.common.claims import Claim
from analysis.common.digits import reference_distances
from analysis.common.page import paragraph, table
from analysis.common.parts import Result
from analysis.common.study import Findings, Workplace
from analysis.studies.solver_limits import figures, words
from gamedyn.core import SIGN_CONVENTION

__all__ = ["write_report"]


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, figures and tables."""
    references = reference_distances()
    training = [r.figures for name, r in results.items() if name.startswith("train-")]
    limits = [r.figures for name, r in results.items() if name.startswith("limit-")]
    independent = [r.figures for name, r in results.items() if name.startswith("independent-")]
    wrong = results["wrong-theories"].figures["rows"]
    body = [
        f"<p>{html.escape(words.QUESTION)}</p><p>Sign convention: <code>{html.escape(SIGN_CONVENTION)}</code>.</p>",
        "<h2>Training at equal evaluations and equal integrated time</h2>",
        *(paragraph(p) for p in words.training(settings, training, references)),
        *(_training_table(settings, training, case, references) for case in ("nonsaturating", "wasserstein")),
        *figures.draw_training(settings, results, references, work),
        *(paragraph(p) for p in words.trained(settings, _trained_eigenvalues(settings, results))),
        "<h2>The largest stable step</h2>",
        *(paragraph(p) for p in words.limits(limits, independent, wrong)),
        *(_limit_table(limits, point) for point in settings.points),
        *figures.draw_limits(settings, results, work),
        "<h3>Measured by code that shares none with this project</h3>",
        table(
            ["point, stepper", "method", "predicted", "measured", "measured / predicted"],
            [[f"{r['point']}, {r['stepper']}", r["method"], *_against(r, limits)] for r in independent],
        ),
        "<h3>Planted wrong theories</h3>",
        table(
            ["theory, point", "says", "right", "ratio"],
            [[f"{r['theory']}, {r['point']}", _n(r["says"]), _n(r["truth"]), _n(r["ratio"])] for r in wrong],
        ),
    ]
    summary = {
        "references": references,
        "training": training,
        "limits": limits,
        "independent": independent,
        "wrong": wrong,
    }
    claims = [
        Claim(
            "Every predicted limit is the one measured on the real step (largest relative difference).",
            max(abs((r["ratio"] or math.nan) - 1) for r in limits),
            at_most=1e-4,
            exact=True,
        ),
        Claim(
            "Limits measured by code that shares none with this project are the predicted ones, likewise.",
            max(abs(r["measured"] / p - 1) for r in independent if (p := _predicted(r, limits))),
            at_most=0.02,
            exact=True,
        ),
        words.failing(settings, training, references),
    ]
    return Findings("Stable steps of GAN solvers: predicted, then measured", claims, body, summary, words.LIMITATIONS)


def _trained_eigenvalues(settings: Any, results: dict[str, Result]) -> dict[tuple[str, str], Any]:
    cases = ("nonsaturating", "wasserstein")
    return {(c, m): results[f"train-{c}-{m}"].arrays["eigenvalues"] for c in cases for m in settings.methods}


def _training_table(settings: Any, training: list[dict[str, Any]], case: str, references: dict[str, float]) -> str:
    taus = settings.tau_nonsaturating if case == "nonsaturating" else settings.tau_wasserstein
    weights = settings.penalties if case == "nonsaturating" else (settings.r1,)
    heads = ["method"] + [f"weight {w:g}, tau {t:g}" for w in weights for t in taus]
    rows = []
    for m in settings.methods:
        row = [m]
        for w in weights:
            for t in taus:
                values = words.cell_values(training, case, m, t, w)
                failed = sum(v > references["mean_image"] for v in values)
                shown = f"{sum(values) / len(values):.1f} ({min(values):.1f}-{max(values):.1f})"
                row.append(f"{shown}, {failed} of {len(values)} failed" if failed else shown)
        rows.append(row)
    title = "A: non-saturating, squared-gradient penalty" if case == "nonsaturating" else "B: Wasserstein, R1"
    return f"<h3>{title}: Frechet distance, mean (range) over seeds</h3>" + table(heads, rows)


def _limit_table(limits: list[dict[str, Any]], point: str) -> str:
    rows = []
    for r in limits:
        if r["point"] == point:
            re, im = r["binding"] or (float("nan"),) * 2
            where = f"{re:.4g} ± {abs(im):.4g}i" + ("" if r["binding_kind"].startswith("eigen") else " (multiplier)")
            ratio = "" if r["ratio"] is None else f"{r['ratio']:.7f}"
            rows.append([r["method"], _n(r["predicted"]), _n(r["measured"]), ratio, where, f"{r['sensitivity']:.3g}"])
    heads = ["method", "predicted h", "measured h", "measured / predicted", "bound by", "S = d ln ρ / d ln h"]
    return f"<h3>{point}</h3>" + table(heads, rows)


def _predicted(row: dict[str, Any], limits: list[dict[str, Any]]) -> float | None:
    """The limit predicted for a measurement of independent code."""
    found = (r["predicted"] for r in limits if (r["point"], r["method"]) == (row["point"], row["method"]))
    return next(found, None)


def _against(row: dict[str, Any], limits: list[dict[str, Any]]) -> list[str]:
    predicted = _predicted(row, limits)
    if not predicted:
        return ["", _n(row["measured"]), ""]
    return [_n(predicted), _n(row["measured"]), f"{row['measured'] / predicted:.6f}"]


def _n(x: float) -> str:
    return f"{x:.5g}"
