"""The report of `ttur`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure

import gamedyn as gd
from analysis.common.axes import plain_log
from analysis.common.claims import Claim, log_interval
from analysis.common.gans import CAP, quality
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part
from analysis.common.study import Findings
from analysis.studies.ttur import scales
from gamedyn.ablation import Grid, means

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

HEUSEL = "Heusel et al. 2017"
FIEZ = "Fiez, Ratliff 2021"
ADAM = {"betas": (0.0, 0.99)}

LIMITATIONS = (
    """On the digits the best of few rates is taken for each ratio, on the runs that are shown; where it is the least
    or the
    largest that was tried a claim is left undecided. Networks are small and of like size; a ratio that helps elsewhere
    need not be this one.""",
    """Updates of D within a step see one batch, and at equal evaluations there are fewer steps, images and less time
    of the
    flow with them than without.""",
    """Equal evaluations count a player's evaluation as a part of the whole game's; D's updates cost about as much as
    G's
    here.""",
    """The theorem of two time scales is about decreasing rates; every experiment of the paper, and here, has constant
    ones.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, the saddle, Adam's equations, thresholds, the digits."""
    values = scales.saddle_spectrum()
    parts = work.parts(
        [
            Part("saddle", scales.saddle_limit, {}),
            Part("adam", scales.adam_part, {}),
            Part("thresholds", scales.thresholds, {}),
        ],
        settings,
    )
    limit = parts["saddle"].figures["limit"]
    runs = {n: scales.noisy(r, settings.runs, settings.iterations) for n, r in scales.PAIRS.items()}
    balls = {a: scales.heavy_ball(a) for a in settings.frictions}
    errors = parts["adam"].figures
    thresholds = parts["thresholds"].figures["rows"]
    found = _digits(settings, work)
    claims = [
        *_of_saddle(values, limit, runs),
        *_of_adam(settings, balls, errors),
        *(
            Claim(
                f"{r['point']}: stable exactly from the predicted finite ratio on (measured over predicted).",
                r["measured"] / r["predicted"],
                at_least=0.98,
                at_most=1.02,
                exact=True,
                source=FIEZ,
            )
            for r in thresholds
        ),
        *_of_digits(settings, found),
    ]
    body = [
        *_saddle_section(settings, values, runs, work),
        "<h2>Adam and the heavy ball</h2>",
        table(
            ["friction", "largest real part on a bowl", "on a rotation"],
            [[f"{a:g}", number(b["bowl"]), number(b["rotation"])] for a, b in balls.items()],
        ),
        table(
            ["Adam's steps against", *(f"h = {h:g}" for h in settings.adam_hs)],
            [[n, *(number(e) for e in errors[n])] for n in ("Adam's flow", "heavy ball")],
        ),
        "<h2>Finite ratios</h2>",
        table(
            ["point", "predicted ratio", "measured"],
            [[r["point"], number(r["predicted"]), number(r["measured"])] for r in thresholds],
        ),
        "<h2>Digits: which player should be faster?</h2>",
        work.figure("digits", _ratios(settings, found), DIGITS),
        _table(found),
    ]
    data = {"thresholds": thresholds, "heavy_ball": balls, "adam": errors, "digits": found.to_dict("records")}
    return Findings("Two time scales", claims, body, data, LIMITATIONS)


def _saddle_section(settings: Any, values: Any, runs: dict[str, Any], work: Workplace) -> list[str]:
    rows = [
        [
            n,
            number(np.median(late)),
            f"{np.percentile(late, 5):.3g} to {np.percentile(late, 95):.3g}",
            f"{(largest > 10).mean():.0%}",
        ]
        for n, (late, largest) in runs.items()
    ]
    return [
        "<h2>The saddle (1 + x^2)(100 - y^2)</h2>",
        paragraph(f"""Its eigenvalues are {", ".join(f"{v:.4g}" for v in values)}: no rotation. Steps of x are stable
            up to 2 / 200; the rate that the paper shows to diverge is that limit. Noise of deviation 1, {settings.runs}
            runs of {settings.iterations:,} iterations."""),
        work.figure("saddle", _saddle(runs), _saddle_caption(runs)),
        table(["rates (x, y)", "late distance, median", "5 % to 95 %", "runs that went beyond 10"], rows),
    ]


DIGITS = """Frechet distance over the ratio of D's rate to G's (geometric mean kept), at the best of the tried rates.
    Squares: D
    updated so many times for one of G's, each update a share of its step, so that both players' flows go on for as
    long, at
    equal evaluations. Means and 95 % intervals over the seeds."""


def _saddle_caption(runs: dict[str, Any]) -> str:
    medians = {n: float(np.median(late)) for n, (late, _) in runs.items()}
    ranked = ", ".join(f"{n} {number(medians[n])}" for n in sorted(medians, key=lambda n: medians[n]))
    return f"""Mean distance from the saddle over the last fifth of a run, each point a run (above 1,000: drawn there).
        Medians, nearest first: {ranked}."""


def _digits(settings: Any, work: Workplace) -> pd.DataFrame:
    """Ratios of rates by play in turns and by Adam in turn; numbers of updates by both."""
    parts = []
    for kind, hs in (("alternating", settings.hs), ("adam", settings.adam)):
        ratio = _grid(settings, {_name(kind, 1): _method(kind, 1)}, hs, settings.ratios)
        parts.append(work.ablation(f"{kind}_ratio", ratio, {"end": quality}).assign(part="ratio", updates=1, kind=kind))
        for k in settings.updates[1:]:
            own = _grid(settings, {_name(kind, k): _method(kind, k)}, hs, (1.0,))
            found = work.ablation(f"{kind}_updates_{k}", own, {"end": quality})
            parts.append(found.assign(part="updates", updates=k, kind=kind))
    return pd.concat(parts, ignore_index=True)


def _grid(settings: Any, methods: dict[str, Any], hs: Any, ratios: Any) -> Grid:
    return Grid(
        scales.digits,
        {"method": methods, "ratio": ratios, "h": hs, "seed": range(settings.seeds)},
        evaluations=settings.evaluations,
    )


def _name(kind: str, updates: int) -> str:
    return f"{kind}, {updates} of D"


def _method(kind: str, updates: int) -> Any:
    cycles = {"D": updates, "G": 1}
    name = "alternating" if kind == "alternating" else "alternating_adam"
    return gd.methods.get(name, players=("D", "G"), cycles=cycles, **({} if kind == "alternating" else ADAM))


def _best(found: pd.DataFrame, **chosen: Any) -> pd.DataFrame:
    """The rows of the rate with the least mean distance, of the cells with these values; failed runs count as CAP.

    `attrs["edge"]`: whether that is the least or the largest rate that was tried, so that a better one may lie beyond.
    """
    for column, value in chosen.items():
        found = found[found[column] == value]
    found = found.assign(**{"end.frechet": found["end.frechet"].fillna(CAP).clip(upper=CAP)})
    if not len(found):
        return found
    by = found.groupby("h")["end.frechet"].mean()
    rows = found[found["h"] == by.idxmin()].sort_values("seed")
    rows.attrs["edge"] = by.idxmin() in (by.index.min(), by.index.max())
    return rows


def _of_saddle(values: np.ndarray, limit: float, runs: dict[str, Any]) -> list[Claim]:
    late = {n: np.log(r[0]) for n, r in runs.items()}
    blown = float((runs["one rate, 0.01"][1] > 10).mean())
    count = len(runs["one rate, 0.01"][1])
    half = 1.96 * math.sqrt(max(blown * (1 - blown), 1 / count) / count)
    two = late["TTUR (0.0001, 0.01)"]

    def beside(one: str) -> tuple[float, float, float]:
        gaps = two - late[one]
        error = 1.96 * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
        return tuple(math.exp(x) for x in (gaps.mean(), gaps.mean() - error, gaps.mean() + error))  # type: ignore[return-value]

    return [
        Claim(
            "The saddle has no rotation (largest imaginary part of an eigenvalue).",
            float(np.abs(values.imag).max()),
            at_most=0.0,
            exact=True,
        ),
        Claim(
            "Without noise runs stay up to 0.01 = 2 / 200, the stability limit of x alone (measured limit).",
            limit,
            at_least=0.00999,
            at_most=0.01001,
            exact=True,
        ),
        Claim(
            "With noise the rate 0.01 diverges (share of the runs that went beyond a distance of 10).",
            blown,
            blown - half,
            blown + half,
            at_least=0.5,
            source=HEUSEL,
        ),
        Claim(
            "Two time scales end nearer than one rate of 0.005 (quotient of late distances).",
            *beside("one rate, 0.005"),
            at_most=1.0,
            source=HEUSEL,
        ),
        Claim(
            "Two time scales end nearer than one rate of 0.001 (likewise).",
            *beside("one rate, 0.001"),
            at_most=1.0,
            source=HEUSEL,
        ),
    ]


def _of_adam(settings: Any, balls: dict[float, Any], errors: dict[str, list[float]]) -> list[Claim]:
    damped = [b for a, b in balls.items() if a > 0]
    slope = float(np.polyfit(np.log(settings.adam_hs), np.log(errors["Adam's flow"]), 1)[0])
    return [
        Claim(
            "A heavy ball with friction is stable on a bowl (largest real part over all frictions).",
            max(b["bowl"] for b in damped),
            at_most=0.0,
            exact=True,
            source=HEUSEL,
        ),
        Claim(
            "On a rotation it is unstable whatever the friction (least of the largest real parts).",
            min(b["rotation"] for b in balls.values()),
            at_least=1e-12,
            exact=True,
        ),
        Claim(
            "Adam's steps approach Adam's own flow with order 1 (slope).", slope, at_least=0.7, at_most=1.3, exact=True
        ),
        Claim(
            "With a second moment that moves they approach the heavy ball all the same (distance at the smallest "
            "step over "
            "that at the largest).",
            errors["heavy ball"][-1] / errors["heavy ball"][0],
            at_most=0.7,
        ),
    ]


def _of_digits(settings: Any, found: pd.DataFrame) -> list[Claim]:
    out = []
    for kind in ("alternating", "adam"):
        one = _best(found, kind=kind, part="ratio", ratio=1.0)
        for ratio in settings.ratios:
            if ratio != 1:
                who = f"D {ratio:g} times as fast as G" if ratio > 1 else f"G {1 / ratio:g} times as fast as D"
                mine = _best(found, kind=kind, part="ratio", ratio=ratio)
                out.append(
                    Claim(
                        f"Digits, {kind}: {who} ends nearer than equal rates (quotient).",
                        *_over(mine, one),
                        at_most=1.0,
                        source=HEUSEL,
                    )
                )
        for k in settings.updates[1:]:
            mine = _best(found, kind=kind, part="updates", updates=k)
            out.append(
                Claim(
                    f"Digits, {kind}: {k} updates of D in its step for one of G end nearer than one, at equal "
                    "evaluations "
                    "(quotient).",
                    *_over(mine, one),
                    at_most=1.0,
                )
            )
    return out


def _over(mine: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float, float]:
    """Quotients by seed, their geometric mean and interval; unknown where a best rate is at the edge of those tried."""
    if mine.attrs.get("edge", True) or other.attrs.get("edge", True):
        return math.nan, math.nan, math.nan
    return log_interval([a / b for a, b in zip(mine["end.frechet"], other["end.frechet"], strict=True)])


def _table(found: pd.DataFrame) -> str:
    told = means(found.assign(at=1.0), "end.frechet", ["kind", "updates", "ratio", "h"], log=True)
    rows = [
        [
            r["kind"],
            str(r["updates"]),
            f"{r['ratio']:.4g}",
            f"{r['h']:g}",
            f"{r['mean']:.2f} ({r['low']:.2f} to {r['high']:.2f})",
            str(r["failed"]),
        ]
        for _, r in told.iterrows()
    ]
    return table(["play in turns by", "updates of D", "rate of D / G", "h", "distance, 95 % interval", "failed"], rows)


def _saddle(runs: dict[str, Any]) -> Figure:
    fig = Figure(figsize=(7.6, 3.2), layout="constrained")
    ax = fig.subplots()
    draw = np.random.default_rng(1)
    for i, late in enumerate(r[0] for r in runs.values()):
        shown = np.minimum(late, 1e3)
        ax.plot(i + draw.uniform(-0.25, 0.25, len(shown)), shown, ".", color=f"C{i}", ms=3)
    ax.set_xticks(range(len(runs)), [n.replace(" (", "\n(").replace(", ", ",\n", 1) for n in runs], fontsize=7)
    ax.set(yscale="log", ylabel="late distance from the saddle")
    return fig


def _ratios(settings: Any, found: pd.DataFrame) -> Figure:
    fig = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = fig.subplots()
    for i, kind in enumerate(("alternating", "adam")):
        points = [
            log_interval([*_best(found, kind=kind, part="ratio", ratio=r)["end.frechet"].dropna()])
            for r in settings.ratios
        ]
        _bars(ax, np.array(settings.ratios) * (1 + 0.04 * i), points, f"C{i}", "o-", f"{kind}: ratio of rates")
        counts = settings.updates[1:]
        points = [
            log_interval([*_best(found, kind=kind, part="updates", updates=k)["end.frechet"].dropna()]) for k in counts
        ]
        _bars(
            ax, np.array(counts, float) * (1.06 + 0.04 * i), points, f"C{i}", "s", f"{kind}: updates of D for one of G"
        )
    ax.set(xscale="log", yscale="log", xlabel="D over G", ylabel="Frechet distance on pixels")
    ax.set_xticks(settings.ratios, [f"{r:.3g}" for r in settings.ratios])
    plain_log(ax)
    ax.legend(fontsize=7)
    return fig


def _bars(ax: Any, at: np.ndarray, points: list[Any], colour: str, style: str, label: str) -> None:
    middle = np.array([p[0] for p in points])
    ends = np.array([[p[0] - p[1], p[2] - p[0]] for p in points]).T if points else np.zeros((2, 0))
    ends = np.where(np.isfinite(ends), np.abs(ends), 0.0)
    ax.errorbar(at, middle, ends, fmt=style, color=colour, ms=5, capsize=2, label=label)
