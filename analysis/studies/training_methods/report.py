"""The report of `training_methods`: tables at equal images and at equal evaluations, heat maps, claims with seeds."""

from __future__ import annotations

import math
from statistics import mean
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from analysis.common.claims import Claim, log_interval
from analysis.common.page import paragraph, table
from analysis.common.study import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from analysis.common.study import Workplace

__all__ = ["write_report"]

ADAMS = ("adam", "adam_in_turn", "extra_adam")
WORDS = {"frechet": "Frechet distance", "modes": "modes hit", "modes_kl": "KL of the mode counts"}
TITLES = {"none": "no penalty", "squared_gradient": "squared gradient", "r1": "R1", "r1_r2": "R1 + R2"}

LIMITATIONS = (
    """Small networks and short budgets: what wins early in training need not win late, which the part with ten times
    the steps tries for a few methods.""",
    """The rate is chosen by one run of another seed, half as long or shorter; its grid doubles from one entry to the
    next (on Fashion-MNIST: quadruples). A rate at an end of the grid is marked with !: a better one may lie beyond.""",
    """The weights of the penalties are fixed, one for each data set; each method may like another one.""",
    """Weights as they are, no running average. Adam's betas are 0 and 0.99 and are not tuned; "adam" steps both players
    from one point, "adam_in_turn" is the usual loop.""",
    """No schedule of rates, and the same rate for both players.""",
)


def write_report(settings: Any, figures: list[dict[str, Any]], work: Workplace) -> Findings:
    """The figures as PNG, `summary.json` with every cell, and report.html."""
    cells = [c for f in figures for c in _cells(f)]
    body = [
        paragraph("""Every method takes as many steps, of one batch each, so that all see as many images. A method of
            several evaluations a step works more: the second table of each part compares at equal evaluations, where
            a step of rk4 counts as four. Each learning rate (step h) is chosen on one grid, for each method, penalty
            and loss by itself, by a run from a start that is not used again."""),
    ]
    for label, bench in settings.benches:
        mine = [c for c in cells if c["label"] == label]
        name = f"{label.replace(' ', '_').replace(',', '')}_table"
        body += [
            f"<h2>{label}</h2>",
            paragraph(_setting(bench, next(f for f in figures if f["label"] == label))),
            *(paragraph(text) for text in _claims(bench, mine)),
            work.figure(name, _draw(bench, mine), _caption(bench, mine)),
            paragraph(f"At equal images: mean over {bench.seeds} seeds (least to largest), and the rate."),
            _table(bench, mine, 1.0),
        ]
        for name in sorted({k for c in mine for k in c["others"]}):
            body += [paragraph(f"{WORDS.get(name, name)} at equal images, mean over the seeds:")]
            body += [_other(bench, mine, name)]
        if any((c["evaluations"] or 1) > 1 for c in mine):
            body += [paragraph("At equal evaluations, as many as Euler's method makes in those steps.")]
            body += [_table(bench, mine, None)]
    claims = [c for label, bench in settings.benches for c in _decided(label, bench, cells)]
    title = "Methods, penalties and losses at equal images"
    return Findings(title, claims, body, {"cells": cells}, LIMITATIONS)


def _decided(label: str, bench: Any, cells: list[dict[str, Any]]) -> list[Claim]:
    """Whether the best method without Adam is ahead of the best with it, and whether penalties help, over the seeds."""
    mine = [c for c in cells if c["label"] == label]
    plain, adams = ([c for c in mine if (c["method"] in ADAMS) == a] for a in (False, True))
    pairs = []
    if plain and adams:
        text = f"{label}: the best cell without Adam is ahead of the best with it (quotient of their scores by seed)."
        pairs.append((text, _best(plain), _best(adams)))
    with_penalty = [c for c in mine if c["penalty"] != "none"]
    if with_penalty and len(with_penalty) < len(mine):
        text = f"{label}: the best cell with a penalty is ahead of the best without one (likewise)."
        pairs.append((text, _best(with_penalty), _best(c for c in mine if c["penalty"] == "none")))
    return [_ahead(text, a, b) for text, a, b in pairs]


def _ahead(text: str, one: dict[str, Any], other: dict[str, Any]) -> Claim:
    """That one cell's scores are better than another's: quotients by seed, their geometric mean and t interval."""
    quotients = [x / y for x, y in zip(_last(one), _last(other), strict=True) if math.isfinite(x) and math.isfinite(y)]
    found = log_interval([1 / q for q in quotients] if one["more"] else quotients)
    return Claim(text, *found, at_most=1.0)


def _cells(figures: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """For every penalty and factor of its rate: the scores of the seeds at each mark; of two factors the better."""
    measure, more = figures["measure"], figures["more"]
    for penalty, rate in figures["chosen"].items():
        rows = [r for r in figures["rows"] if r["penalty"] == penalty]
        last = max(r["steps"] for r in rows)
        rates = sorted({r["rate"] for r in rows})
        ends = {x: [r[measure] for r in rows if r["rate"] == x and r["steps"] == last] for x in rates}
        best = min(rates, key=lambda x: _order(mean(ends[x]), more))
        tried = [float(x) for x in figures["tuned"][penalty]]
        yield {
            **{k: figures[k] for k in ("label", "method", "loss", "evaluations", "measure", "more", "floor")},
            "penalty": penalty,
            "rate": best,
            "edge": rate in (min(tried), max(tried)) and best == rate,
            "scores": {
                r: [x[measure] for x in rows if x["rate"] == best and x["steps"] == r]
                for r in sorted({x["steps"] for x in rows})
            },
            "others": {
                k: mean(x[k] for x in rows if x["rate"] == best and x["steps"] == last)
                for k in rows[-1]
                if k not in ("penalty", "rate", "seed", "steps", measure)
                and not k.startswith("floor")
                and all(k in x for x in rows if x["rate"] == best and x["steps"] == last)
            },
        }


def _order(value: float, more: bool) -> float:
    return math.inf if not math.isfinite(value) else -value if more else value


def _at(bench: Any, cell: dict[str, Any], share: float | None) -> list[float] | None:
    """The seeds' scores after this share of the steps; None: after as many evaluations as Euler's method makes."""
    if share is None:
        share = 1 / (cell["evaluations"] or math.nan)
    found: list[float] | None = cell["scores"].get(round(bench.steps * share) if math.isfinite(share) else None)
    return found


def _best(cells: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return min(cells, key=lambda c: _order(mean(_last(c)), c["more"]))


def _last(cell: dict[str, Any]) -> list[float]:
    values: list[float] = cell["scores"][max(cell["scores"])]
    return values


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['method']}, {cell['loss']} loss, {TITLES[cell['penalty']]} (h = {cell['rate']:.3g})"


def _shown(values: Sequence[float]) -> str:
    known = [v for v in values if math.isfinite(v)]
    if len(known) < len(values):
        return f"{len(values) - len(known)} of {len(values)} failed"
    digits = 0 if mean(known) >= 100 else 1 if mean(known) >= 20 else 2
    return f"{mean(known):.{digits}f} ({min(known):.{digits}f} to {max(known):.{digits}f})"


def _setting(bench: Any, figures: dict[str, Any]) -> str:
    weights = ", ".join(f"{TITLES.get(k, k.upper())} {w:g}" for k, w in bench.weights)
    floor = {k.removeprefix("floor."): v for k, v in figures["floor"].items()}
    known = ", ".join(f"{k} {v:.3g}" for k, v in floor.items() if k != "n")
    accuracy = "" if figures["accuracy"] is None else f" of a classifier (accuracy {figures['accuracy']:.3f})"
    return (
        f"{figures['parameters']:,} parameters ({bench.model}, {', '.join(f'{k} {v}' for k, v in bench.options)}), "
        f"batches of {bench.batch}, {bench.steps:,} steps = {bench.steps * bench.batch:,} images; weights: {weights}. "
        f"{bench.count:,} samples on {bench.features}{accuracy}; {int(floor['n']):,} real samples get: {known}."
    )


def _claims(bench: Any, cells: list[dict[str, Any]]) -> list[str]:
    """The best cell, the best of Adam's, and the seeds in which one is ahead; the best of each penalty."""
    best, word = _best(cells), WORDS.get(cells[0]["measure"], cells[0]["measure"])
    claims = [f"Best {word}: {_shown(_last(best))}, {_name(best)}."]
    plain = [c for c in cells if c["method"] not in ADAMS]
    adams = [c for c in cells if c["method"] in ADAMS]
    if plain and adams:
        a, b = _best(plain), _best(adams)
        ahead = sum((x > y) if a["more"] else (x < y) for x, y in zip(_last(a), _last(b), strict=True))
        claims.append(
            f"Best without Adam: {_shown(_last(a))}, {_name(a)}. Best with Adam: {_shown(_last(b))}, {_name(b)}. "
            f"The first is ahead in {ahead} of {bench.seeds} seeds."
        )
    claims += _duel(bench, cells, "alternating", "adam_in_turn")
    groups = [(TITLES[p], _best(c for c in cells if c["penalty"] == p)) for p in bench.penalties]
    claims.append(
        "Best by penalty: "
        + "; ".join(f"{title} {_shown(_last(c))} by {c['method']}, {c['loss']}" for title, c in groups)
        + "."
    )
    return claims


def _duel(bench: Any, cells: list[dict[str, Any]], one: str, other: str) -> list[str]:
    """Two methods with the same penalty and loss: whose mean is better, and in how many seeds."""
    if not {one, other} <= set(bench.methods):
        return []
    told = []
    for loss, penalty in _columns(bench):
        a, b = (_of(cells, m, loss, penalty) for m in (one, other))
        ahead = sum(_order(x, a["more"]) < _order(y, a["more"]) for x, y in zip(_last(a), _last(b), strict=True))
        told.append(f"{loss}, {TITLES[penalty]} {_shown(_last(a))} beside {_shown(_last(b))}, ahead in {ahead}")
    return [f"{one} beside {other} (seeds of {bench.seeds} in which the first is ahead): {'; '.join(told)}."]


def _columns(bench: Any) -> list[tuple[str, str]]:
    return [(loss, p) for loss in bench.losses for p in bench.penalties]


def _of(cells: list[dict[str, Any]], method: str, loss: str, penalty: str) -> dict[str, Any]:
    return next(c for c in cells if (c["method"], c["loss"], c["penalty"]) == (method, loss, penalty))


def _table(bench: Any, cells: list[dict[str, Any]], share: float | None) -> str:
    heads = ["method", "evaluations", *(f"{loss}, {TITLES[p]}" for loss, p in _columns(bench))]
    rows = []
    for m in bench.methods:
        mine = [_of(cells, m, *column) for column in _columns(bench)]
        row = [m, str(mine[0]["evaluations"] or "varies")]
        for c in mine:
            values = _at(bench, c, share)
            rate = f" h {c['rate']:.3g}{'!' if c['edge'] else ''}"
            row.append("" if values is None else _shown(values) + rate)
        rows.append(row)
    return table(heads, rows)


def _other(bench: Any, cells: list[dict[str, Any]], name: str) -> str:
    """A number of the score that does not decide."""
    columns = _columns(bench)
    rows = []
    for m in bench.methods:
        found = [_of(cells, m, *column)["others"].get(name) for column in columns]
        rows.append([m, *("" if v is None else f"{v:.4g}" for v in found)])
    return table(["method", *(f"{loss}, {TITLES[p]}" for loss, p in columns)], rows)


def _caption(bench: Any, cells: list[dict[str, Any]]) -> str:
    better = "more" if cells[0]["more"] else "less"
    return f"""{WORDS.get(cells[0]["measure"], cells[0]["measure"])} after {bench.steps:,} steps, mean over
        {bench.seeds} seeds, each cell at the rate chosen for it; {better} is better, and dark is better. Grey: a seed
        failed. Look along a row for what the penalty does to a method, down a column for what the method does."""


def _draw(bench: Any, cells: list[dict[str, Any]]) -> Figure:
    columns = _columns(bench)
    values = np.array([[mean(_last(_of(cells, m, *c))) for c in columns] for m in bench.methods])
    values[~np.isfinite(values)] = np.nan
    more = cells[0]["more"]
    size = (2.6 + 1.15 * len(columns), 1.6 + 0.36 * len(bench.methods))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    colours = plt.get_cmap("viridis" if not more else "viridis_r").with_extremes(bad="0.8")
    known = np.isfinite(values).any()  # a scale of nothing is refused
    image = ax.imshow(values, cmap=colours, norm=None if more or not known else LogNorm(), aspect="auto")
    for (i, j), v in np.ndenumerate(values):
        if np.isfinite(v):
            dark = (float(np.asarray(image.norm(v))) < 0.5) != more
            ax.text(j, i, f"{v:.3g}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.set_xticks(range(len(columns)), [f"{loss}\n{TITLES[p]}" for loss, p in columns], fontsize=7)
    ax.set_yticks(range(len(bench.methods)), bench.methods, fontsize=8)
    word = WORDS.get(cells[0]["measure"], cells[0]["measure"])
    bar = fig.colorbar(image, ax=ax, label=word, format="{x:g}")
    bar.ax.yaxis.set_minor_formatter("{x:g}")
    return fig
