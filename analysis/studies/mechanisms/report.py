"""The report of `mechanisms`."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from analysis.common.digits import reference_distances
from analysis.common.page import number, paragraph, table
from analysis.common.study import Findings
from analysis.studies.mechanisms import answer as said
from analysis.studies.mechanisms import figures
from analysis.studies.mechanisms.grids import BARE, DAMPED
from gamedyn.ablation import means

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from analysis.common.study import Workplace

__all__ = ["write_report"]

LIMITATIONS = (
    """Networks of some thousand parameters on 8x8 digits, 1,200 evaluations: early training. Equal evaluations
    charge play
    in turns one evaluation a step, although it computes the losses once for each player.""",
    """Margin, local error and damping are those of the point where a run ends. Training adapts the spectrum to the step
    (study edge_of_stability), and a run that has failed ends where nothing is stable: the regression tells what goes
    together, the controls what causes what.""",
    """The scales are made as long as the raw velocity where a run begins, and no rate is tuned for them; that they lose
    here at equal first steps says nothing of each at its best (study training_methods).""",
    """Local errors of multistep methods are those of two steps after a start; Adam's maps have no theory here and no
    mechanisms beside their scores.""",
    """For play in turns the limit and the damping come from the players' parts of the outer eigenvectors, which is
    exact
    for the eigenvalues and approximate for the blocks.""",
)

CAPTIONS = {
    "factorial": """Geometric mean of the Frechet distance over the seeds, failures counted as 100, at equal
        evaluations and equal
        time of the flow along each column. Look across a panel for what the penalty does, down a column for what the
        integrator does.""",
    "controls": """Above: steps of one size on the same batches by Euler, by Chebyshev's method of order 1, stable on
        the real axis
        and not on the imaginary one, by heun2, and solved (rk4 three times): from left to right they see the same
        images.
        Below: one evaluation a step, numerical damping of a rotation growing with a, order 2 at the grey line alone: a
        dip at the line would be accuracy, a slope is damping. Bars: range of the seeds.""",
    "regression": """Left: what one standard deviation of each mechanism at the end goes with, bars 95 % intervals
        over cells; left
        of the line is closer to the data. Right: how many runs failed, by the largest stable step over the step that
        was
        used; numbers of runs above the bars.""",
}


def write_report(settings: Any, tables: dict[str, pd.DataFrame], work: Workplace) -> Findings:
    """The answer, its three figures, then every table."""
    references = reference_distances()
    sentences = said.answer(settings, tables)
    drawn = {
        "factorial": figures.factorial(settings, tables["factorial"]),
        "controls": figures.controls(tables["controls"]),
        "regression": figures.regressions(tables),
    }
    most = sorted(said.shares(tables).items(), key=lambda pair: -pair[1])[:4]
    explained = ", ".join(f"{term} {share:.0%}" for term, share in most)
    captions = {
        **CAPTIONS,
        "factorial": f"{CAPTIONS['factorial']} Of the spread of log distances these explain most: {explained}.",
    }
    body = [
        "<h2>The answer</h2>",
        *(paragraph(sentence) for sentence in sentences),
        *(work.figure(name, picture, captions[name]) for name, picture in drawn.items()),
        "<h2>Contrasts</h2>",
        table(
            ["quotient of distances", "mean", "95 % interval"],
            [[k, number(m), f"{lo:.3g} to {hi:.3g}"] for k, (m, lo, hi) in said.contrasts(settings, tables).items()],
        ),
        paragraph("Shares of the spread of log distances in the factorial part:"),
        table(["term", "share"], [[k, f"{v:.3f}"] for k, v in said.shares(tables).items()]),
        "<h2>Scales, ratios of rates, batches</h2>",
        paragraph(f"""Digits, {settings.taus[0][0]}; distance after {settings.evaluations:,} evaluations. The
            constant mean image has
            {references["mean_image"]:.1f}, real half against real half {references["floor"]:.2f}."""),
        _beside(tables["beside"]),
        *_implicit(tables),
        "<h2>What the steps do at the end</h2>",
        _mechanisms(tables["factorial"]),
        "<h2>Toys</h2>",
        table(
            ["game", "method", "predicted limit", "largest step that keeps", "smallest that grows"],
            [
                [r["game"], r["method"], *(_shown(r.get(k)) for k in ("predicted", "shrank", "grew"))]
                for r in _toys(tables)
            ],
        ),
        *_again(settings, tables),
    ]
    data = {
        "answer": sentences,
        "contrasts": said.contrasts(settings, tables),
        "shares": said.shares(tables),
        "fits": {k: asdict(f) for k, f in said.fits(tables).items()},
        "failures": said.failures(tables),
    }
    title = "What makes GAN training work: accuracy, stability or damping?"
    return Findings(title, said.claims(settings, tables), body, data, LIMITATIONS)


def _toys(tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tables["toys"].to_dict("records")
    return found


def _beside(found: pd.DataFrame) -> str:
    by = ["scale", "ratio", "batch", "method", "penalty", "h_per_evaluation"]
    told = means(found.assign(at=1.0), "at_end.frechet", by, log=True)
    steps = sorted(told["h_per_evaluation"].unique())
    heads = ["scale", "rate of D / G", "batch", "method"]
    heads += [f"{figures.TITLES[p]}, {t:g}" for p in (BARE, DAMPED) for t in steps]
    rows = []
    for key, mine in told.groupby(by[:4], sort=False):
        cells = {(r["penalty"], r["h_per_evaluation"]): r for _, r in mine.iterrows()}
        row = [str(key[0]), f"{key[1]:g}", f"{key[2]:g}", str(key[3])]
        rows.append([*row, *(_interval(cells.get((p, t))) for p in (BARE, DAMPED) for t in steps)])
    return table(heads, rows)


def _interval(row: Any) -> str:
    return "" if row is None else f"{row['mean']:.1f} ({row['low']:.1f} to {row['high']:.1f})"


def _implicit(tables: dict[str, pd.DataFrame]) -> list[str]:
    if "implicit" not in tables:
        return []
    rows = [
        [
            figures.TITLES[r["penalty"]],
            f"{r['h']:g}",
            str(r["seed"]),
            r["status"],
            f"{r['spent.steps']:g}",
            f"{r['spent.evaluations']:g}",
            _shown(r.get("at_end.frechet")),
        ]
        for _, r in tables["implicit"].iterrows()
    ]
    heads = ["penalty", "h", "seed", "status", "steps", "evaluations", "distance"]
    return ["<h2>The implicit midpoint rule, for equal time of the flow</h2>", table(heads, rows)]


def _mechanisms(found: pd.DataFrame) -> str:
    """Medians by method and penalty, over losses, steps and seeds."""
    names = (
        "frechet",
        "error",
        "sampling",
        "limit",
        "margin",
        "numerical",
        "explicit",
        "natural",
        "leftmost",
        "turning",
    )
    ends = found[found["at"] == 1.0]
    rows = []
    for (method, penalty), mine in ends.groupby(["method", "penalty"], sort=False):
        rows.append([method, figures.TITLES[penalty], *(_shown(mine[f"at_end.{n}"].median()) for n in names)])
    return table(["method", "penalty", *names], rows)


def _again(settings: Any, tables: dict[str, pd.DataFrame]) -> list[str]:
    parts = []
    for bench in settings.benches:
        found = tables[bench.data_set]
        numbers = [c for c in found.columns if c.startswith("at_end.")]
        heads = [
            "method",
            "loss",
            "penalty",
            "h per evaluation",
            *(c.removeprefix("at_end.") for c in numbers),
            "failed",
        ]
        rows = []
        for key, mine in found.groupby(["method", "loss", "penalty", "h_per_evaluation"], sort=False):
            rows.append(
                [*map(str, key), *(_shown(mine[c].mean()) for c in numbers), str(int(mine[numbers[0]].isna().sum()))]
            )
        parts += [f"<h2>Again on {bench.data_set}</h2>", table(heads, rows)]
    return parts


def _shown(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else number(float(value))
