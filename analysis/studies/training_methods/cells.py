"""A bench: the rate of every cell chosen by a short run of another seed, then every seed at it, as two ablations."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import gamedyn as gd
from analysis.common.gans import METHODS, quality, scorer, setup
from gamedyn import ablation

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from analysis.common.study import Workplace
    from analysis.studies.training_methods import Bench

__all__ = ["TUNING", "chosen", "evaluations", "method_of", "run"]

TUNING = 1000
"""The seed of the start and the batches that choose a rate; the runs that are shown have 0, 1, 2..."""

CELL = ["method", "loss", "penalty"]


def run(bench: Bench, label: str, work: Workplace) -> list[dict[str, Any]]:
    """For every method and loss: the rates tried and chosen for each penalty, and the seeds' scores at each mark."""
    name = label.replace(" ", "_").replace(",", "")
    score = {"score": partial(quality, measures=bench.measures, features=bench.features, count=bench.count)}
    tuned = work.ablation(f"{name}-rates", grid(bench, bench.rates, [TUNING], bench.tune_steps), score, check_every=100)
    best = chosen(bench, tuned)
    rates = {key: [r * f for f in bench.refine] for key, r in best.items()}
    every = sorted({r for found in rates.values() for r in found})
    wanted = grid(
        bench, every, range(bench.seeds), bench.steps, lambda c: c["h"] in rates[c["method"], c["loss"], c["penalty"]]
    )
    table = work.ablation(name, wanted, score, marks=bench.marks, check_every=100)
    return [_figures(bench, label, m, loss, best, tuned, table) for m in bench.methods for loss in bench.losses]


def grid(bench: Bench, rates: Any, seeds: Any, steps: int, where: Any = None) -> ablation.Grid:
    """The bench's methods, losses and penalties at these rates."""
    factors = {
        "method": {m: method_of(m) for m in bench.methods},
        "loss": bench.losses,
        "penalty": bench.penalties,
        "h": list(rates),
        "seed": list(seeds),
    }
    same = {"data_set": bench.data, "model": bench.model, "batch": bench.batch}
    return ablation.Grid(
        setup, factors, where=where, steps=steps, weights=[bench.weights], options=[bench.options], **same
    )


def chosen(bench: Bench, tuned: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """By method, loss and penalty the rate with the best score: failed runs come last, of equals the first wins."""
    return {
        key: min(zip(rows["h"], rows[_decides(bench)], strict=True), key=lambda x: _order(bench, x[1]))[0]
        for key, rows in tuned.groupby(CELL, sort=False)
    }


def method_of(label: str) -> Any:
    """The method of a row's name."""
    name, options = METHODS.get(label, (label, {}))
    return gd.methods.get(name, **options)


def evaluations(label: str) -> int | None:
    """Of the field in a step; None for implicit methods, whose number varies."""
    found = method_of(label)
    if hasattr(found, "explicit") and not found.explicit:
        return None
    return int(getattr(found, "evaluations", None) or 1)  # an optimiser of torch's makes one


def _scorer(bench: Bench) -> Any:
    return scorer(bench.data, bench.measures, bench.features, bench.count)


def _decides(bench: Bench) -> str:
    return f"score.{_scorer(bench).best}"


def _order(bench: Bench, value: float) -> float:
    """Smaller for a better score; a run that failed comes last."""
    more = _scorer(bench).better(_scorer(bench).best) == "larger"
    return math.inf if math.isnan(value) else -value if more else value


def _figures(
    bench: Bench,
    label: str,
    method: str,
    loss: str,
    best: dict[tuple[str, str, str], float],
    tuned: pd.DataFrame,
    table: pd.DataFrame,
) -> dict[str, Any]:
    known = _scorer(bench)
    more = known.better(known.best) == "larger"

    def mine(t: pd.DataFrame) -> pd.DataFrame:
        return t[(t["method"] == method) & (t["loss"] == loss)]

    def score(row: Any) -> dict[str, float]:
        failed = -math.inf if more else math.inf
        found = {n: float(row[f"score.{n}"]) for m in known.measures for n in m.numbers}
        return {n: failed if n == known.best and math.isnan(v) else v for n, v in found.items()}

    rows = [
        {
            "penalty": r["penalty"],
            "rate": r["h"],
            "seed": r["seed"],
            "steps": round(r["at"] * bench.steps),
            **score(r),
        }
        for _, r in mine(table).iterrows()
    ]
    tries: dict[str, dict[str, float]] = {p: {} for p in bench.penalties}
    for _, r in mine(tuned).iterrows():
        tries[r["penalty"]][f"{r['h']:g}"] = score(r)[known.best]
    return {
        "label": label,
        "method": method,
        "loss": loss,
        "evaluations": evaluations(method),
        "parameters": setup(bench.data, 0, model=bench.model, options=bench.options).flow.game.layout.n,
        "measure": known.best,
        "more": more,
        "tuned": tries,
        "chosen": {p: best[method, loss, p] for p in bench.penalties},
        "rows": rows,
        "floor": known.floor,
        "accuracy": known.features.accuracy,
    }
