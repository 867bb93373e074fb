"""The report of `ode_gan`."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure

import gamedyn as gd
from analysis.common.claims import Claim
from analysis.common.gans import METHODS
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part, Result
from analysis.common.study import Findings
from analysis.studies.ode_gan import variants
from analysis.studies.ode_gan.variants import PLACED, VARIANTS, modes, setup
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

QIN = "Qin et al. 2020"
MARKS = (0.25, 0.5, 1.0)

LIMITATIONS = (
    """A tenth of the notebook's 30,001 steps at default scale (all of them at paper scale). Fresh-batch variants see
    four
    times the samples of the others at equal steps.""",
    """The penalty of the frozen variant is inside its field; the notebook has it after the step, at the old point.""",
    """The CIFAR-10 settings are a configuration, `examples/ode_gan_cifar10.toml`, for a machine with a GPU: nothing
    here
    speaks of its FID.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, orders, the mixture, the cost of a step."""
    orders = {s: variants.order(s) for s in ("rk4", "heun2", "notebook's Heun", "frozen rk4", "euler")}
    norms = {s: variants.norms(s) for s in ("rk4", "frozen rk4", "euler")}
    found = _table(settings, work)
    cost = _cost(settings, work)
    body = [
        "<h2>What the public code integrates</h2>",
        table(
            ["step", "order on a damped rotation", "norm after 2,000 undamped steps of 0.1"],
            [[s, f"{p:.3f}", number(norms.get(s, math.nan)) if s in norms else ""] for s, p in orders.items()],
        ),
        f"<h2>16 Gaussians, h = {settings.h:g}, batches of {settings.batch}</h2>",
        paragraph(f"""Modes hit of 16 and the share of {settings.count:,} samples within three deviations of a mode,
            mean
            (range) of {settings.seeds} seeds. {settings.steps:,} steps; a quarter of them is what rk4 has at the
            evaluations of
            all of Euler's."""),
        work.figure("modes", _draw(settings, found), MODES),
        _shown_table(found),
        "<h2>The cost of a step</h2>",
        table(
            ["step", "ms", "over Euler's"], [[m, f"{1e3 * s:.2f}", f"{s / cost['euler']:.2f}"] for m, s in cost.items()]
        ),
    ]
    data = {"orders": orders, "norms": norms, "rows": found.to_dict("records"), "cost": cost}
    return Findings("ODE-GAN", _claims(settings, orders, norms, found, cost), body, data, LIMITATIONS)


MODES = """Share of samples within three deviations of a mode, after all steps: filled with the penalty, hollow
    without; each
    mark a seed. Left to right: joint steps, the public codes' variants, Adam. If order made the modes, rk4 would
    stand above
    the steps of order 1."""


def _table(settings: Any, work: Workplace) -> pd.DataFrame:
    """All variants: rows of (variant, weight, loss, widths, seed, at)."""
    measure = {"end": partial(modes, count=settings.count)}
    weights = (0.0, settings.weight)
    same: dict[str, Any] = {"batch": settings.batch, "steps": settings.steps, "h": settings.h}
    seeds = {"seed": range(settings.seeds)}
    name, options = METHODS["adam_in_turn"]
    placed = {m: gd.methods.get(m) for m in PLACED}
    grids = {
        "joint": Grid(setup, {"method": VARIANTS, "weight": weights, **seeds}, **same),
        "placed": Grid(setup, {"method": placed, **seeds}, weight=settings.weight, **same),
        "fresh": Grid(
            setup, {"method": {"rk4, fresh batches": "rk4"}, "weight": weights, **seeds}, sampling="fresh", **same
        ),
        "adam": Grid(
            setup,
            {"method": {"Adam in turn": gd.methods.get(name, **options)}, "weight": weights, **seeds},
            **{**same, "h": settings.adam},
        ),
    }
    few = {k: VARIANTS[k] for k in ("euler", "rk4")}
    for loss in settings.losses:
        grids[f"loss_{loss}"] = Grid(setup, {"method": few, "weight": weights, **seeds}, loss=loss, **same)
    for widths in settings.widths[1:]:
        key = "widths_" + "_".join(map(str, widths))
        grids[key] = Grid(setup, {"method": few, "weight": weights, **seeds}, widths=[widths], **same)
    parts = [work.ablation(k, grid, measure, marks=MARKS) for k, grid in grids.items()]
    found = pd.concat(parts, ignore_index=True)
    if "widths" not in found:
        found["widths"] = None
    if "loss" not in found:
        found["loss"] = None
    found = found.fillna({"loss": "nonsaturating", "widths": str(settings.widths[0])})
    return pd.concat([found, _frozen(settings, work, weights)], ignore_index=True)


def _frozen(settings: Any, work: Workplace, weights: tuple[float, ...]) -> pd.DataFrame:
    parts = [
        Part(f"frozen-{w:g}-{s}", variants.frozen, {"weight": w, "seed": s})
        for w in weights
        for s in range(settings.seeds)
    ]
    results = work.parts(parts, settings)
    rows = [
        {
            "method": "rk4, opponent frozen",
            "weight": f["weight"],
            "seed": f["seed"],
            "loss": "nonsaturating",
            "widths": str(settings.widths[0]),
            **row,
        }
        for f in (r.figures for r in results.values())
        for row in f["rows"]
    ]
    return pd.DataFrame(rows)


def _cost(settings: Any, work: Workplace) -> dict[str, float]:
    """Seconds of a step of each joint variant, with the penalty: medians."""
    results = work.parts([Part("cost", timed, {})], settings)
    found: dict[str, float] = results["cost"].figures["cost"]
    return found


def timed(settings: Any) -> Result:
    """Steps of each variant in turn, so that all see the same machine."""
    made = setup(0, settings.batch, settings.weight)
    batch, seconds = next(made.batches), dict[str, list[float]]()
    for _ in range(5):
        for name, method in VARIANTS.items():
            began = time.perf_counter()
            gd.solve(made.flow, method, h=1e-3, steps=settings.cost_steps, batch=batch, progress=False)
            seconds.setdefault(name, []).append((time.perf_counter() - began) / settings.cost_steps)
    return Result({"cost": {n: float(np.median(s)) for n, s in seconds.items()}})


def _of(
    found: pd.DataFrame,
    method: str,
    weight: float,
    name: str,
    at: float = 1.0,
    loss: str = "nonsaturating",
    widths: str | None = None,
) -> list[float]:
    """A measure of the seeds of a variant; 0 for a run that failed; the notebook's loss and networks unless said."""
    rows = found[(found["method"] == method) & (found["weight"] == weight) & (found["at"] == at)]
    rows = rows[(rows["loss"] == loss) & (rows["widths"] == (widths or found["widths"].iloc[0]))]
    return [*rows.sort_values("seed")[f"end.{name}"].fillna(0.0)]


def _gap(one: list[float], other: list[float]) -> tuple[float, float, float]:
    """Mean of differences by seed and its t interval."""
    from scipy.stats import t as student

    gaps = np.array(one) - np.array(other)
    if not gaps.any():  # nothing tells them apart
        return math.nan, math.nan, math.nan
    if len(gaps) < 2:
        return float(gaps.mean()), -math.inf, math.inf
    half = float(student.ppf(0.975, len(gaps) - 1)) * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    return float(gaps.mean()), float(gaps.mean()) - half, float(gaps.mean()) + half


def _claims(settings: Any, orders: Any, norms: Any, found: pd.DataFrame, cost: dict[str, float]) -> list[Claim]:
    ratio = cost["rk4"] / cost["euler"]
    price = Claim(
        "A step of rk4 costs four of Euler's (quotient of times).", ratio, at_least=3.4, at_most=4.6, timed=True
    )
    return [*_of_orders(orders, norms), *_of_shares(settings, found), *_of_modes(settings, found), price]


def _beside(found: pd.DataFrame, text: str, one: Any, other: Any, **how: Any) -> Claim:
    """Whether one variant has more than another, by seed."""
    return Claim(text, *_gap(_of(found, *one), _of(found, *other)), at_least=0.0, **how)


def _of_orders(orders: Any, norms: Any) -> list[Claim]:
    exact: dict[str, Any] = {"exact": True}
    return [
        Claim("rk4 with both players moved in every stage has order 4.", orders["rk4"], at_least=3.8, **exact),
        Claim(
            "Against a frozen opponent its order is 1, whatever the tableau.",
            orders["frozen rk4"],
            at_least=0.9,
            at_most=1.1,
            **exact,
        ),
        Claim("The notebook's Heun has order 1.", orders["notebook's Heun"], at_least=0.9, at_most=1.1, **exact),
        Claim(
            "Without damping the frozen rk4 is Euler's method (relative difference of the norms after 2,000 steps).",
            abs(norms["frozen rk4"] / norms["euler"] - 1),
            at_most=1e-9,
            **exact,
        ),
    ]


def _of_shares(settings: Any, found: pd.DataFrame) -> list[Claim]:
    w, beside = settings.weight, partial(_beside, found)
    return [
        beside(
            "Within three deviations: rk4 more than Euler at equal steps, with the penalty (difference of shares).",
            ("rk4", w, "within"),
            ("euler", w, "within"),
            source=QIN,
        ),
        beside("The same at equal evaluations.", ("rk4", w, "within", 0.25), ("euler", w, "within"), source=QIN),
        beside(
            "The same at equal steps, without the penalty.",
            ("rk4", 0.0, "within"),
            ("euler", 0.0, "within"),
            source=QIN,
        ),
        beside("rk4: more with the penalty than without.", ("rk4", w, "within"), ("rk4", 0.0, "within"), source=QIN),
        beside(
            "rk4 with the penalty: more than Adam in turn without, at equal steps.",
            ("rk4", w, "within"),
            ("Adam in turn", 0.0, "within"),
            source=QIN,
        ),
        beside(
            "rk4: more modes with both players moved than against a frozen opponent, with the penalty.",
            ("rk4", w, "modes"),
            ("rk4, opponent frozen", w, "modes"),
        ),
        beside(
            "rk4: more on fresh batches in every stage than on one batch a step, with the penalty.",
            ("rk4, fresh batches", w, "within"),
            ("rk4", w, "within"),
        ),
        beside(
            "Penalty in the first stage alone: more than in every stage.",
            ("rk4_penalty_first_stage", w, "within"),
            ("rk4_penalty_every_stage", w, "within"),
        ),
        beside(
            "Penalty after the step: more than in every stage.",
            ("rk4_penalty_after_step", w, "within"),
            ("rk4_penalty_every_stage", w, "within"),
        ),
    ]


def _of_modes(settings: Any, found: pd.DataFrame) -> list[Claim]:
    w, beside = settings.weight, partial(_beside, found)
    return [
        *(
            beside(
                f"{loss} loss, networks {widths}: rk4 hits more modes than Euler at equal steps, with the penalty "
                "(difference).",
                ("rk4", w, "modes", 1.0, loss, widths),
                ("euler", w, "modes", 1.0, loss, widths),
                source=QIN,
            )
            for loss, widths in [
                *((loss, str(settings.widths[0])) for loss in settings.losses),
                *(("nonsaturating", str(widths)) for widths in settings.widths[1:]),
            ]
        ),
        beside(
            "rk4: more modes with the penalty than without (difference).", ("rk4", w, "modes"), ("rk4", 0.0, "modes")
        ),
        beside(
            "Euler: more modes with the penalty than without (difference).",
            ("euler", w, "modes"),
            ("euler", 0.0, "modes"),
        ),
    ]


def _shown_table(found: pd.DataFrame) -> str:
    heads = ["step", "loss", "widths", "penalty"]
    heads += [f"{n} at {m:g}" for m in MARKS for n in ("modes", "within")]
    rows = []
    for key, mine in found.groupby(["method", "loss", "widths", "weight"], sort=False):
        row = [str(key[0]), str(key[1]), str(key[2]), f"{key[3]:g}"]
        for m in MARKS:
            for n in ("modes", "within"):
                values = [*mine[mine["at"] == m][f"end.{n}"].fillna(0.0)]
                row.append(f"{np.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else "")
        rows.append(row)
    return table(heads, rows)


def _draw(settings: Any, found: pd.DataFrame) -> Figure:
    names = [*VARIANTS, "rk4, opponent frozen", "rk4, fresh batches", *PLACED, "Adam in turn"]
    fig = Figure(figsize=(9.0, 4.4), layout="constrained")
    ax = fig.subplots()
    for i, name in enumerate(names):
        for weight, face in ((settings.weight, f"C{i % 10}"), (0.0, "none")):
            values = _of(found, name, weight, "within")
            shift = 0.12 if weight else -0.12
            ax.plot([i + shift] * len(values), values, "o", color=f"C{i % 10}", ms=6, mfc=face)
    ax.set_xticks(
        range(len(names)),
        [n.replace(", ", ",\n").replace("_penalty_", "\npenalty ").replace("_", " ") for n in names],
        rotation=40,
        ha="right",
        fontsize=8,
    )
    ax.set(ylabel="share within three deviations", ylim=(0, None))
    return fig
