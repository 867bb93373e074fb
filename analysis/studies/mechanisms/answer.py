"""What the tables say: contrasts with intervals, claims about them, and the answer in ten sentences."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

import gamedyn as gd
from analysis.common.claims import Claim, log_interval
from analysis.common.digits import reference_distances
from analysis.common.gans import CAP
from analysis.studies.mechanisms.grids import BARE, DAMPED
from analysis.studies.mechanisms.regression import fitted, prepared
from gamedyn.ablation import effects

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from analysis.studies.mechanisms.regression import Fit

__all__ = ["CAP", "Contrast", "answer", "claims", "contrasts", "failures", "fits", "shares"]

Contrast = tuple[float, float, float]
"""A quotient of distances (geometric mean over pairs of cells that agree in all else), and its 95 % interval."""

UNKNOWN = (math.nan, math.nan, math.nan)


def quotient(table: pd.DataFrame, factor: str, one: Any, other: Any, by: tuple[str, ...], cap: float = CAP) -> Contrast:
    """Of one value of a factor over another, in pairs that agree in `by` and the seed; t interval over seeds."""
    if not {one, other} <= set(table[factor]):
        return UNKNOWN
    logs = table.assign(log=np.log(table["at_end.frechet"].fillna(cap).clip(upper=cap)))
    wide = logs.pivot_table(index=["seed", *by], columns=factor, values="log", sort=False)
    gaps = (wide[one] - wide[other]).groupby(level="seed").mean()
    return log_interval([*np.exp(gaps)])


def contrasts(settings: Any, tables: dict[str, pd.DataFrame]) -> dict[str, Contrast]:
    """The quotients that the answer rests on, over all losses and for each."""
    whole, controls = tables["factorial"], tables["controls"]
    whole = whole[whole["at"] == 1.0]
    work, steps = (controls[controls["part"] == p] for p in ("equal work", "equal steps"))
    loss, taus = settings.taus[0]
    failing = work[(work["penalty"] == DAMPED) & (work["loss"] == loss) & (work["h_per_evaluation"] == taus[-1])]
    found = {"stability": quotient(failing, "method", "chebyshev4", "rk4", ())}
    for name in ("all", *(loss for loss, _ in settings.taus)):
        mine, own, solved = (t if name == "all" else t[t["loss"] == name] for t in (whole, work, steps))
        cell = ("loss", "h_per_evaluation")
        found |= {
            f"penalty, {name}": quotient(mine, "penalty", DAMPED, BARE, ("method", *cell)),
            f"order at equal work, {name}": quotient(mine, "method", "rk4", "euler", ("penalty", *cell)),
            f"turns, {name}": quotient(mine, "method", "alternating", "euler", ("penalty", *cell)),
        }
        if len(solved):
            at = ("penalty", "loss", "h")
            found |= {
                f"{m}, {name}": quotient(solved, "method", m, "euler", at) for m in ("exact", "heun2", "chebyshev4")
            }
            found[f"exact beside chebyshev4, {name}"] = quotient(solved, "method", "exact", "chebyshev4", at)
        if len(own) and name != "all":
            for penalty in (BARE, DAMPED):
                dial = own[own["penalty"] == penalty]
                found[f"dial, {name}, {penalty}"] = quotient(dial, "method", "dial 1", "dial 0", ("h_per_evaluation",))
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


def part(share: tuple[float, int]) -> str:
    """A share of so many, in words."""
    return f"{100 * share[0]:.0f} % of {share[1]}" if share[1] else "none of 0"


def failures(tables: dict[str, pd.DataFrame]) -> dict[str, tuple[float, int]]:
    """The share of failed runs (farther than the constant mean image), and their number, by limit over step."""
    rows = prepared(tables["factorial"], CAP)
    failed = rows["distance"] > math.log(reference_distances()["mean_image"])
    margin = rows["at_end.margin"]
    bounds = (0.0, 0.5, 0.75, 1.0, 1.5, 3.0, math.inf)
    found = {}
    for low, high in itertools.pairwise(bounds):
        mine = (margin >= low) & (margin < high)
        found[f"{low:g} to {high:g}"] = (float(failed[mine].mean()) if mine.any() else math.nan, int(mine.sum()))
    return found


def claims(settings: Any, tables: dict[str, pd.DataFrame]) -> list[Claim]:
    """The claims of the study, by number."""
    found, regression = contrasts(settings, tables), fits(tables)["all runs, within a loss"]
    toys = tables["toys"]
    finite = toys[(toys["predicted"] > 0) & np.isfinite(toys["predicted"])].fillna({"shrank": 0.0, "grew": math.inf})
    gaps = [max(abs(r.shrank / r.predicted - 1), abs(r.grew / r.predicted - 1)) for r in finite.itertuples()]

    def claim(text: str, key: str, **how: Any) -> Claim:
        return Claim(text, *found.get(key, UNKNOWN), **how)

    out = [
        Claim(
            f"Toys: runs begin to grow where theory says (largest relative difference from the {len(gaps)} finite "
            "limits; "
            "runs are 1 % apart).",
            max(gaps, default=math.nan),
            at_most=0.0101,
            exact=True,
        ),
        claim(
            f"Stability: with the {settings.taus[0][0]} loss, a penalty and the largest step, where rk4 fails, a "
            "first-order method of the same work with a longer real interval ends closer (quotient).",
            "stability",
            at_most=1.0,
        ),
    ]
    for name in ("all", *(loss for loss, _ in settings.taus)):
        where = "all losses" if name == "all" else name
        out += [
            claim(
                f"Damping by the penalty ({where}): with R1 + R2 runs end closer than without.",
                f"penalty, {name}",
                at_most=1,
            ),
            claim(
                f"At equal evaluations ({where}) rk4 ends closer than Euler.", f"order at equal work, {name}", at_most=1
            ),
            claim(f"Play in turns ({where}) ends closer than simultaneous play.", f"turns, {name}", at_most=1),
        ]
        if f"exact, {name}" in found:
            text = f"Accuracy ({where}): solved steps end closer than Euler's of the same size, on the same batches."
            out.append(claim(text, f"exact, {name}", at_most=1, source="Qin et al. 2020"))
            text = f"Solved steps ({where}) end closer than first-order ones stable on the real axis, of the same size."
            out.append(claim(text, f"exact beside chebyshev4, {name}", at_most=1))
    for key in found:
        if key.startswith("dial"):
            _, loss, penalty = key.split(", ")
            text = f"Numerical damping ({loss}, penalty {penalty}): more of it ends closer (dial 1 over dial 0)."
            out.append(claim(text, key, at_most=1.0))
    for i, name in enumerate(regression.names):
        text = (
            f"Regression: more {WORDS[name]} goes with a smaller distance (change of its logarithm with a deviation)."
        )
        out.append(Claim(text, regression.effect[i], regression.low[i], regression.high[i], at_most=0.0))
    for bench in settings.benches:
        out += _confirmed(bench, tables[bench.data_set])
    return out


def _confirmed(bench: Any, table: pd.DataFrame) -> list[Claim]:
    """What won and lost on the digits, on other data: failures count as the farthest run that did not fail."""
    cap, cell = float(table["at_end.frechet"].max()), ("loss", "h_per_evaluation")
    longest = table[table["h_per_evaluation"] == bench.taus[-1]]
    asked = {
        "with R1 + R2 runs end closer than without": (table, "penalty", DAMPED, BARE),
        "with R1 + R2 runs end closer than without at the longest step": (longest, "penalty", DAMPED, BARE),
        "at equal evaluations rk4 ends closer than Euler": (table, "method", "rk4", "euler"),
        "play in turns ends closer than simultaneous play": (table, "method", "alternating", "euler"),
    }
    out = []
    for text, (rows, factor, one, other) in asked.items():
        by = ("method" if factor == "penalty" else "penalty", *cell)
        out.append(Claim(f"On {bench.data_set} {text}.", *quotient(rows, factor, one, other, by, cap), at_most=1.0))
    return out


WORDS = {
    "accuracy": "accuracy of a step",
    "stability": "distance from the stability limit",
    "numerical": "numerical damping",
    "explicit": "damping by the penalty",
}


def answer(settings: Any, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Ten sentences, their numbers from the tables."""
    c, share = contrasts(settings, tables), shares(tables)
    stiff, turning = settings.taus[0][0], settings.taus[-1][0]
    limit = gd.stability.real_limit
    each = {m: limit(gd.methods.get(m)) / gd.methods.get(m).evaluations for m in ("euler", "rk4")}
    failed = failures(tables)
    middle = [failed[k] for k in failed if k not in ("0 to 0.5", "3 to inf")]
    count = sum(n for _, n in middle)
    rate = sum(s * n for s, n in middle if n) / max(count, 1)

    def by_loss(key: str) -> str:
        return ", ".join(f"{loss} {told(c.get(f'{key}, {loss}', UNKNOWN))}" for loss, _ in settings.taus)

    def of(key: str) -> str:
        return told(c.get(key, UNKNOWN))

    return [
        (
            f"Damping by the penalty: with R1 + R2 runs end at {of('penalty, all')} of the distance without "
            f"({by_loss('penalty')})."
        ),
        (
            "Of the spread of log distances the penalty with its interactions explains "
            f"{percent(share, 'penalty')}, the "
            f"integrator with its own {percent(share, 'method')}, the loss {percent(share, 'loss')}."
        ),
        (
            "Accuracy helps if it is paid for: on the same batches and steps, solved ones end at "
            f"{of('exact, all')} of "
            "Euler's "
            f"distance for twelve times the evaluations, heun2's at {of('heun2, all')} for twice."
        ),
        (
            f"Where stiffness binds ({stiff}) stable steps of order 1 end at {of(f'chebyshev4, {stiff}')} of Euler's "
            "distance, and "
            f"solved ones at {of(f'exact beside chebyshev4, {stiff}')} of theirs. Where rotation binds ({turning}) "
            f"those steps amplify it as Euler's do, and end at {of(f'chebyshev4, {turning}')} of its distance; solved "
            f"ones end at {of(f'exact beside chebyshev4, {turning}')} of theirs, by accuracy and the missing "
            "amplification."
        ),
        (
            f"It is not worth its price: at equal evaluations and time rk4 ends at {of('order at equal work, all')} of "
            "Euler's "
            f"distance ({by_loss('order at equal work')}), on a quarter of the images."
        ),
        (
            f"Its price is stability: an evaluation of rk4 covers {each['rk4']:.2f} of the real axis, one of Euler's "
            f"{each['euler']:.0f}; with the {stiff} loss, a penalty and the largest step, where rk4 fails, order "
            f"1 with the same work and a longer real interval ends at {of('stability')} of its distance."
        ),
        (
            f"Where a method's limit at the end is below half its step {part(failed['0 to 0.5'])} runs have failed, up "
            f"to three times its step {part((rate, count))}, and beyond {part(failed['3 to inf'])}: runs that have "
            "blown up to where the game is flat."
        ),
        (
            f"Numerical damping at one evaluation a step (optimistic weight 0 to 1) helps rotation, {turning} "
            "without a "
            "penalty "
            f"{of(f'dial, {turning}, {BARE}')}, with R1 + R2 {of(f'dial, {turning}, {DAMPED}')}, and costs real "
            f"stability, {stiff} "
            f"{of(f'dial, {stiff}, {BARE}')} and {of(f'dial, {stiff}, {DAMPED}')}."
        ),
        _of_regression(fits(tables)["all runs, within a loss"]),
        _limits(tables),
    ]


def _of_regression(fit: Fit) -> str:
    ranked = sorted(range(len(fit.names)), key=lambda i: -fit.alone[i])
    each = ", ".join(f"{WORDS[fit.names[i]]} {100 * fit.alone[i]:.1f} %" for i in ranked)
    return (
        f"Of what steps do at the end each alone explains of the variance within a loss: {each} (together "
        f"{100 * fit.explained:.0f} %)."
    )


def _limits(tables: dict[str, pd.DataFrame]) -> str:
    rows = prepared(tables["factorial"], CAP)
    noise = (rows["at_end.sampling"] / rows["at_end.error"]).groupby(rows["method"]).median()
    return (
        f"Limits: a batch's step is {noise.min():.0f} to {noise.max():.0f} times (medians by integrator) as far "
        "from the full "
        "batch's as from its own flow's, so that accuracy is accuracy on a batch; small networks, short runs, few "
        "seeds, and "
        "a spectrum that training itself adapts to the step."
    )


def told(x: Contrast) -> str:
    """A quotient with its interval."""
    return "unknown" if math.isnan(x[0]) else f"{x[0]:.2f} ({x[1]:.2f} to {x[2]:.2f})"


def percent(share: dict[str, float], factor: str) -> str:
    """The share of the terms that a factor is in."""
    return f"{100 * sum(s for t, s in share.items() if factor in t.split(' x ')):.0f} %"
