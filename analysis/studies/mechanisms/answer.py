"""What the tables say: contrasts with intervals, claims about them, and the answer in ten sentences."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import gamedyn as gd
from analysis.common.claims import Claim
from analysis.common.digits import reference_distances
from analysis.studies.mechanisms.grids import BARE, DAMPED
from analysis.studies.mechanisms.regression import fitted, prepared
from gamedyn.ablation import differences, effects

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from analysis.studies.mechanisms.regression import Fit

__all__ = ["CAP", "Contrast", "answer", "claims", "contrasts", "failures", "fits", "shares"]

CAP = 100.0
"""The distance that a run without a finite state, or farther than this, counts as."""

Contrast = tuple[float, float, float]
"""A quotient of distances (geometric mean over pairs of cells that agree in all else), and its 95 % interval."""

UNKNOWN = (math.nan, math.nan, math.nan)


def quotient(table: pd.DataFrame, factor: str, one: Any, other: Any, by: tuple[str, ...]) -> Contrast:
    """Of one value of a factor over another, in pairs of cells that agree in `by` and the seed."""
    if not {one, other} <= set(table[factor]):
        return UNKNOWN
    capped = table.assign(distance=table["at_end.frechet"].fillna(CAP).clip(upper=CAP))
    pair = (*by, "seed")
    found = differences(capped, "distance", factor, one, other, pair=pair, log=True).iloc[0]
    return float(found["difference"]), float(found["low"]), float(found["high"])


def contrasts(settings: Any, tables: dict[str, pd.DataFrame]) -> dict[str, Contrast]:
    """The quotients that the answer rests on."""
    whole, controls = tables["factorial"], tables["controls"]
    whole = whole[whole["at"] == 1.0]
    work, steps = (controls[controls["part"] == p] for p in ("equal work", "equal steps"))
    top = {loss: taus[-1] for loss, taus in settings.taus}
    damped = work[(work["penalty"] == DAMPED) & (work["loss"] == settings.taus[0][0])]
    found = {
        "penalty": quotient(whole, "penalty", DAMPED, BARE, ("method", "loss", "h_per_evaluation")),
        "order at equal work": quotient(whole, "method", "rk4", "euler", ("penalty", "loss", "h_per_evaluation")),
        "alternating": quotient(whole, "method", "alternating", "euler", ("penalty", "loss", "h_per_evaluation")),
        "stability": quotient(
            damped[damped["h_per_evaluation"] == top[settings.taus[0][0]]], "method", "chebyshev4", "rk4", ()
        ),
        **{
            f"{m} at equal steps": quotient(steps, "method", m, "euler", ("penalty", "loss", "h"))
            for m in ("exact", "heun2", "chebyshev4")
        },
        "exact beside chebyshev4": quotient(steps, "method", "exact", "chebyshev4", ("penalty", "loss", "h")),
    }
    for loss, taus in settings.taus:
        mine = whole[whole["loss"] == loss]
        lowest = mine[mine["h_per_evaluation"] == taus[0]]
        found[f"order at equal work, smallest step, {loss}"] = quotient(lowest, "method", "rk4", "euler", ("penalty",))
        dial = work[work["loss"] == loss]
        if len(dial):
            for penalty in (BARE, DAMPED):
                name = f"dial, {loss}, {penalty}"
                found[name] = quotient(
                    dial[dial["penalty"] == penalty], "method", "dial 1", "dial 0", ("h_per_evaluation",)
                )
    return found


def shares(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """What share of the spread of log distances each factor of the factorial part explains, and each pair."""
    whole = tables["factorial"]
    whole = whole[whole["at"] == 1.0].copy()
    whole["distance"] = whole["at_end.frechet"].fillna(CAP).clip(upper=CAP)
    rank = whole.groupby("loss")["h_per_evaluation"].rank(method="dense").astype(int)
    whole["step"] = rank.map({1: "small", 2: "middle", 3: "large"})
    factors = [f for f in ("method", "penalty", "loss", "step") if whole[f].nunique() > 1]
    found = effects(whole, "distance", factors, order=2, log=True).drop_duplicates("term")
    return {str(t): float(s) for t, s in zip(found["term"], found["share"], strict=True)}


def fits(tables: dict[str, pd.DataFrame]) -> dict[str, Fit]:
    """The regressions: over all, and among the runs that did not fail; within a loss, and within loss and penalty."""
    rows = prepared(tables["factorial"], CAP)
    alive = rows[rows["at_end.frechet"] < reference_distances()["mean_image"]]
    found = {"all runs, within a loss": fitted(rows, ["loss"])}
    found["all runs, within loss and penalty"] = fitted(rows, ["loss", "penalty"])
    if len(alive) > 8:
        found["runs that did not fail, within a loss"] = fitted(alive, ["loss"])
    return found


def failures(tables: dict[str, pd.DataFrame]) -> dict[str, tuple[float, int]]:
    """The share of failed runs (farther than the constant mean image), and their number, by limit over step."""
    rows = prepared(tables["factorial"], CAP)
    failed = rows["distance"] > math.log(reference_distances()["mean_image"])
    margin = rows["at_end.margin"].fillna(0.0)
    bounds = (0.0, 0.5, 0.75, 1.0, 1.5, 3.0)
    found = {}
    for low, high in itertools.pairwise(bounds):
        mine = (margin >= low) & (margin < high)
        found[f"{low:g} to {high:g}"] = (float(failed[mine].mean()) if mine.any() else math.nan, int(mine.sum()))
    return found


def claims(settings: Any, tables: dict[str, pd.DataFrame]) -> list[Claim]:
    """The claims of the study, by number."""
    found, regression = contrasts(settings, tables), fits(tables)["all runs, within a loss"]
    toys = tables["toys"].dropna(subset=["shrank"])
    gaps = [max(abs(r.shrank / r.predicted - 1), abs(r.grew / r.predicted - 1)) for r in toys.itertuples()]
    nearest = max(gaps, default=math.nan)

    def claim(text: str, key: str, **how: Any) -> Claim:
        return Claim(text, *found[key], **how)

    out = [
        Claim(
            "Toys: runs begin to grow where theory says (largest relative difference from the predicted limit; runs "
            "are 1 % "
            "apart).",
            nearest,
            at_most=0.0101,
            exact=True,
        ),
        claim(
            "Damping by the penalty: with R1 + R2 distances are smaller than without (quotient over all cells).",
            "penalty",
            at_most=1.0,
        ),
        claim(
            "Accuracy: solved steps end closer than Euler's of the same size, on the same batches (quotient).",
            "exact at equal steps",
            at_most=1.0,
        ),
        claim(
            "Accuracy and not stability: solved steps end closer than stable first-order ones of the same size "
            "(quotient).",
            "exact beside chebyshev4",
            at_most=1.0,
        ),
        claim(
            "At equal evaluations rk4 ends closer than Euler (quotient over all cells).",
            "order at equal work",
            at_most=1.0,
            source="Qin et al. 2020",
        ),
        claim(
            "Stability: at the largest step, where rk4 fails, a first-order method of the same work with a longer real "
            "interval ends closer (quotient).",
            "stability",
            at_most=1.0,
        ),
        claim(
            "Play in turns ends closer than simultaneous play (quotient over all cells).", "alternating", at_most=1.0
        ),
    ]
    for key in found:
        if key.startswith("dial"):
            _, loss, penalty = key.split(", ")
            text = f"Numerical damping ({loss}, penalty {penalty}): more of it ends closer (dial 1 over dial 0)."
            out.append(claim(text, key, at_most=1.0))
    for i, name in enumerate(regression.names):
        text = (
            f"Regression: more {WORDS[name]} goes with a smaller distance (change of its logarithm with one deviation)."
        )
        out.append(Claim(text, regression.effect[i], regression.low[i], regression.high[i], at_most=0.0))
    return out


WORDS = {
    "accuracy": "accuracy of a step",
    "stability": "distance from the stability limit",
    "numerical": "numerical damping",
    "explicit": "damping by the penalty",
}


def answer(settings: Any, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Ten sentences, their numbers from the tables."""
    c, share, all_fits = contrasts(settings, tables), shares(tables), fits(tables)
    regression = all_fits["all runs, within a loss"]
    ranked = sorted(regression.names, key=lambda n: -regression.alone[regression.names.index(n)])
    rows = prepared(tables["factorial"], CAP)
    noise = float((rows["at_end.sampling"] / rows["at_end.error"]).median())
    failed = failures(tables)
    inside = [failed[k] for k in ("1 to 1.5", "1.5 to 3")]
    outside = failed["0 to 0.5"]
    loss, bare = settings.taus[0][0], settings.taus[-1][0]
    limit = gd.stability.real_limit
    cheap = {m: limit(gd.methods.get(m)) / gd.methods.get(m).evaluations for m in ("euler", "rk4")}
    share_in = float(np.average([s for s, _ in inside], weights=[max(n, 1e-9) for _, n in inside]))
    return [
        (
            f"Damping added by the penalty does most: with R1 + R2 the distance is {told(c['penalty'])} of that "
            "without, over all "
            "integrators, losses and steps."
        ),
        (
            f"Penalty, loss and their interaction explain {percent(share, 'penalty', 'loss')} of the spread of log "
            "distances, the "
            f"integrator with its interactions {percent(share, 'method')}."
        ),
        (
            "Accuracy helps if it is paid for: steps of the same size on the same batches, solved instead of taken by "
            "Euler's "
            f"method, end at {told(c['exact at equal steps'])} of its distance, for twelve times the evaluations."
        ),
        (
            "It is accuracy and not only stability: beside first-order steps that are stable there, solved ones end "
            "at "
            f"{told(c['exact beside chebyshev4'])}."
        ),
        (
            "It is not worth its price: at equal evaluations and time of the flow rk4 ends at "
            f"{told(c['order at equal work'])} of "
            "Euler's distance."
        ),
        (
            f"Its price is stability: an evaluation of rk4 covers {cheap['rk4']:.2f} of the real axis, one of Euler's "
            f"{cheap['euler']:.0f}; at the largest step, where rk4 fails, a first-order method of the same work and a "
            "longer real "
            f"interval ends at {told(c['stability'])} of rk4's distance."
        ),
        (
            "Runs whose method is less than half as stable as its step at the end have failed in "
            f"{100 * outside[0]:.0f} % of "
            f"{outside[1]} cases, those inside their limit in {100 * share_in:.0f} % of {sum(n for _, n in inside)}."
        ),
        (
            f"Numerical damping at one evaluation a step (optimistic weight 0 to 1): {bare} without a penalty "
            f"{told(c.get(f'dial, {bare}, {BARE}', UNKNOWN))}, with R1 + R2 "
            f"{told(c.get(f'dial, {bare}, {DAMPED}', UNKNOWN))}; {loss} "
            f"with R1 + R2 {told(c.get(f'dial, {loss}, {DAMPED}', UNKNOWN))}, where it costs real stability."
        ),
        (
            f"Of what steps do at the end, each alone explains of the variance: "
            f"{', '.join(f'{WORDS[n]} {100 * regression.alone[regression.names.index(n)]:.1f} %' for n in ranked)} "
            "(together "
            f"{100 * regression.explained:.0f} %)."
        ),
        (
            f"Limits: a batch's step is {noise:.0f} times as far from the full batch's flow as from its own (median): "
            "accuracy is accuracy on a batch; small networks, short runs, and a spectrum that training itself "
            "adapts to the step."
        ),
    ]


def told(x: Contrast) -> str:
    """A quotient with its interval."""
    return "unknown" if math.isnan(x[0]) else f"{x[0]:.2f} ({x[1]:.2f} to {x[2]:.2f})"


def percent(share: dict[str, float], *factors: str) -> str:
    """The share of the terms that are about these factors: alone, with one another; of one, with whatever."""
    mine = [
        s for t, s in share.items() if (set(t.split(" x ")) <= set(factors) if len(factors) > 1 else factors[0] in t)
    ]
    return f"{100 * sum(mine):.0f} %"
