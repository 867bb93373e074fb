"""The report: figures, tables and what they show, in one page that needs nothing else."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from analysis.common.digits import reference_distances
from analysis.common.page import figure, paragraph, table, write_page
from analysis.common.study import Result
from analysis.studies.solver_limits import figures, words
from gamedyn.core import SIGN_CONVENTION

__all__ = ["write_report"]


def write_report(settings: Any, results: dict[str, Result], out: Path) -> Path:
    """Figures as PNG, `summary.json` with every figure quoted, and report.html."""
    references = reference_distances()
    training = [r.figures for name, r in results.items() if name.startswith("train-")]
    limits = [r.figures for name, r in results.items() if name.startswith("limit-")]
    independent = [r.figures for name, r in results.items() if name.startswith("independent-")]
    wrong = results["wrong-theories"].figures["rows"]
    pictures = figures.draw_all(settings, results, references, out)
    body = [
        "<h1>Stable steps of GAN solvers: predicted, then measured</h1>",
        f"<p>{html.escape(words.QUESTION)}</p><p>Sign convention: <code>{html.escape(SIGN_CONVENTION)}</code>.</p>",
        "<h2>Training at equal evaluations and equal integrated time</h2>",
        *(paragraph(p) for p in words.training(settings, training, references)),
        *(_training_table(settings, training, case, references) for case in ("nonsaturating", "wasserstein")),
        *(figure(pictures[k], words.CAPTIONS[k]) for k in ("distance", "samples", "trained") if k in pictures),
        *(paragraph(p) for p in words.trained(settings, _trained_eigenvalues(settings, results))),
        "<h2>The largest stable step</h2>",
        *(paragraph(p) for p in words.limits(limits, independent, wrong)),
        *(_limit_table(limits, point) for point in settings.points),
        *(figure(pictures[k], words.CAPTIONS[k]) for k in ("ratio", "regions", "decay") if k in pictures),
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
        "<h2>What this does not show</h2>",
        *(paragraph(p) for p in words.LIMITATIONS),
    ]
    summary = {
        "references": references,
        "training": training,
        "limits": limits,
        "independent": independent,
        "wrong": wrong,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    return write_page(out / "report.html", "solver_limits", body)


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


def _against(row: dict[str, Any], limits: list[dict[str, Any]]) -> list[str]:
    for r in limits:
        if r["point"] == row["point"] and r["method"] == row["method"]:
            return [_n(r["predicted"]), _n(row["measured"]), f"{row['measured'] / r['predicted']:.6f}"]
    return ["", _n(row["measured"]), ""]


def _n(x: float) -> str:
    return f"{x:.5g}"
