"""The report of `nsgda`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from scipy.stats import binomtest

from analysis.common import gans
from analysis.common.axes import plain_log
from analysis.common.claims import Claim, log_interval
from analysis.common.gans import CAP, quality
from analysis.common.page import paragraph, table
from analysis.common.study import Findings
from analysis.studies.nsgda.modes import FACTORS, METHODS, OWN_LENGTH, alignment, setup
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

JELASSI = "Jelassi et al. 2022"
CASES = (("nonsaturating", "none"), ("wasserstein", "r1"))

LIMITATIONS = (
    """The setting of two modes follows the description of the paper's theory from memory of its text: dimension, width,
    start and threshold are ours, and its theorems are about a limit of large dimension.""",
    """A column has found a mode by its cosine; that the samples have the data's weights is not asked.""",
    """On the digits each method has the best of few steps, chosen on the runs that are shown, both players at one
    step; ! marks
    one at the end of its grid, beyond which a better one may lie, and leaves the claims about it undecided. The best
    pair of rates of the two modes is chosen on the starts that are shown. The paper's networks and data are larger.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, the maps over rates, the digits."""
    toy, real = _toy(settings, work), _digits(settings, work)
    best = {m: _best_pair(toy, m) for m in METHODS}
    tuned = {(m, loss): _tuned(real, m, loss) for m in METHODS for loss, _ in CASES}
    body = [
        paragraph(f"""Two modes of correlation {settings.correlation:g} in {settings.dimension} dimensions, a linear
            generator of
            {settings.columns} columns, a discriminator of {settings.width} cubic units, non-saturating loss; all
            {len(settings.rates) ** 2} pairs of rates, {settings.seeds} starts, {settings.steps:,} steps of 64
                samples."""),
        work.figure("modes", _maps(settings, toy), MODES),
        table(
            [
                "method",
                "most modes found (mean over starts)",
                "range",
                "at rates of (G, D)",
                "pairs with both modes in every start",
            ],
            [
                [m, f"{np.mean(v):.2f}", f"{min(v):g} to {max(v):g}", f"{g:g}, {d:g}", str(_whole(toy, m))]
                for m, (g, d, v) in best.items()
            ],
        ),
        "<h2>Digits</h2>",
        work.figure("digits", _draw(tuned), DIGITS),
        table(
            ["method", *(f"{loss}, penalty {p}" for loss, p in CASES)],
            [[m, *(_shown(*tuned[m, loss]) for loss, _ in CASES)] for m in METHODS],
        ),
    ]
    data = {
        "best": {m: [g, d, [*v]] for m, (g, d, v) in best.items()},
        "digits": {f"{m}, {k}": v for (m, k), v in tuned.items()},
    }
    return Findings("Normalised descent and ascent", _claims(best, tuned), body, data, LIMITATIONS)


MODES = """Modes found (0 to 2, mean over starts) over the rates of both players, a panel for each method. Plain
    descent and
    ascent finds modes where its panel is bright; the claim is that it is dark everywhere."""
DIGITS = """Frechet distance at each method's best step: mean and 95 % interval of the seeds."""


def _kinds(settings: Any, values: tuple[float, ...]) -> list[tuple[dict[str, Any], list[float]]]:
    """The methods whose steps have the gradient's length, and those whose steps have one of their own; their rates."""
    own = {m: METHODS[m] for m in OWN_LENGTH}
    return [({m: METHODS[m] for m in METHODS if m not in own}, [*values]), (own, [v / settings.scale for v in values])]


def _toy(settings: Any, work: Workplace) -> pd.DataFrame:
    parts = []
    for i, (methods, rates) in enumerate(_kinds(settings, settings.rates)):
        grid = Grid(
            setup,
            {"method": methods, "rates.G": rates, "rates.D": rates, "seed": range(settings.seeds)},
            h=1.0,
            steps=settings.steps,
            dimension=settings.dimension,
            columns=settings.columns,
            width=settings.width,
            correlation=settings.correlation,
        )
        parts.append(work.ablation(f"modes_{i}", grid, {"modes": alignment}))
    return pd.concat(parts, ignore_index=True)


def _digits(settings: Any, work: Workplace) -> pd.DataFrame:
    cases = {"loss": [c[0] for c in CASES], "penalty": [c[1] for c in CASES]}
    hs = {m: [f * h for h in settings.hs] for m, f in FACTORS.items()}
    grid = Grid(
        gans.setup,
        {
            "method": METHODS,
            "h": sorted({h for v in hs.values() for h in v}),
            "seed": range(settings.digit_seeds),
            **cases,
        },
        where=lambda c: (c["loss"], c["penalty"]) in CASES and c["h"] in hs[c["method"]],
        evaluations=settings.evaluations,
        data_set="digits",
    )
    return work.ablation("digits", grid, {"end": quality})


def _best_pair(toy: pd.DataFrame, method: str) -> tuple[float, float, list[float]]:
    """The rates at which most modes are found, and how many in every start; a run that failed has found none."""
    mine = toy[toy["method"] == method].assign(found=lambda t: t["modes.found"].fillna(0.0))
    means = mine.groupby(["rates.G", "rates.D"])["found"].mean()
    g, d = means.idxmax()
    rows = mine[(mine["rates.G"] == g) & (mine["rates.D"] == d)].sort_values("seed")
    return float(g), float(d), [*rows["found"]]


def _whole(toy: pd.DataFrame, method: str) -> int:
    """Pairs of rates at which every start finds both modes."""
    mine = toy[toy["method"] == method].assign(found=lambda t: t["modes.found"].fillna(0.0))
    return int((mine.groupby(["rates.G", "rates.D"])["found"].min() == 2).sum())


def _tuned(real: pd.DataFrame, method: str, loss: str) -> tuple[list[float], bool]:
    """The seeds' distances at the step with the least mean, failures as CAP; whether that is an end of the grid."""
    mine = real[(real["method"] == method) & (real["loss"] == loss)]
    mine = mine.assign(end=mine["end.frechet"].fillna(CAP).clip(upper=CAP))
    means = mine.groupby("h")["end"].mean()
    best = means.idxmin()
    return [*mine[mine["h"] == best].sort_values("seed")["end"]], best in (means.index.min(), means.index.max())


def _claims(best: dict[str, Any], tuned: dict[Any, tuple[list[float], bool]]) -> list[Claim]:
    return [*_of_modes(best), *(claim for loss, _ in CASES for claim in _of_digits(tuned, loss))]


def _of_modes(best: dict[str, Any]) -> list[Claim]:
    def modes(m: str) -> tuple[float, float, float]:
        v = np.asarray(best[m][2])
        half = 1.96 * float(v.std(ddof=1)) / math.sqrt(len(v)) if len(v) > 1 else math.inf
        return float(v.mean()), float(v.mean()) - half, float(v.mean()) + half

    def share(m: str) -> tuple[float, float, float]:
        found = np.asarray(best[m][2]) == 2
        known = binomtest(int(found.sum()), len(found)).proportion_ci(method="wilson")
        return float(found.mean()), float(known.low), float(known.high)

    return [
        Claim(
            "Two modes: plain descent and ascent finds both at no pair of rates (share of the starts at its best "
            "pair).",
            *share("sgda"),
            at_most=0.5,
            source=JELASSI,
        ),
        Claim(
            "Two modes: normalised steps find both at some pair of rates (share of the starts at their best pair).",
            *share("nsgda"),
            at_least=0.5,
            source=JELASSI,
        ),
        Claim(
            "Two modes: at its best rates nSGDA finds as many modes as Adam (its mean).",
            *modes("nsgda"),
            at_least=float(np.mean(best["adam"][2])),
            source=JELASSI,
        ),
    ]


def _of_digits(tuned: dict[Any, tuple[list[float], bool]], loss: str) -> list[Claim]:
    def over(one: str, other: str) -> tuple[float, float, float]:
        (a, edge), (b, other_edge) = tuned[one, loss], tuned[other, loss]
        if edge or other_edge:  # a better step may lie beyond
            return math.nan, math.nan, math.nan
        return log_interval([x / y for x, y in zip(a, b, strict=True)])

    return [
        Claim(
            f"Digits, {loss}: plain descent and ascent ends farther than Adam (quotient).",
            *over("sgda", "adam"),
            at_least=1.0,
            source=JELASSI,
        ),
        Claim(
            f"Digits, {loss}: nSGDA ends within 20 % of Adam or nearer (quotient).",
            *over("nsgda", "adam"),
            at_most=1.2,
            source=JELASSI,
        ),
        Claim(
            f"Digits, {loss}: Adam's length on the gradient's direction ends nearer than Adam's direction with the "
            "gradient's length (quotient).",
            *over("Adam's length", "Adam's direction"),
            at_most=1.0,
            source=JELASSI,
        ),
        Claim(
            f"Digits, {loss}: spectral steps end nearer than nSGDA (quotient).",
            *over("spectral", "nsgda"),
            at_most=1.0,
        ),
        Claim(
            f"Digits, {loss}: sign steps end nearer than nSGDA (quotient).",
            *over("sign", "nsgda"),
            at_most=1.0,
        ),
    ]


def _shown(values: list[float], edge: bool) -> str:
    known = [v for v in values if math.isfinite(v)]
    if len(known) < len(values):
        return f"{len(values) - len(known)} of {len(values)} failed"
    return f"{np.mean(known):.2f} ({min(known):.2f} to {max(known):.2f})" + (" !" if edge else "")


def _maps(settings: Any, toy: pd.DataFrame) -> Figure:
    columns = 5
    rows = -(-len(METHODS) // columns)
    fig = Figure(figsize=(2.4 * columns, 2.6 * rows), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    image: Any = None
    for ax, m in zip(axes, METHODS, strict=False):
        mine = toy[toy["method"] == m].assign(found=lambda t: t["modes.found"].fillna(0.0))
        grid = mine.pivot_table(index="rates.D", columns="rates.G", values="found")
        image = ax.imshow(grid.to_numpy(), vmin=0, vmax=2, origin="lower", cmap="viridis")
        ax.set_xticks(range(len(grid.columns)), [f"{v:g}" for v in grid.columns], fontsize=6, rotation=45)
        ax.set_yticks(range(len(grid.index)), [f"{v:g}" for v in grid.index], fontsize=6)
        ax.set_title(m, fontsize=8)
        ax.set(xlabel="rate of G", ylabel="rate of D")
    for ax in axes[len(METHODS) :]:
        ax.set_axis_off()
    fig.colorbar(image, ax=axes, label="modes found")
    return fig


def _draw(tuned: dict[Any, tuple[list[float], bool]]) -> Figure:
    fig = Figure(figsize=(8.4, 3.8), layout="constrained")
    axes = fig.subplots(1, len(CASES))
    for ax, (loss, penalty) in zip(axes, CASES, strict=True):
        for i, m in enumerate(METHODS):
            mean, low, high = log_interval(tuned[m, loss][0])
            ends = [[0.0], [0.0]] if not math.isfinite(high) else [[mean - low], [high - mean]]
            ax.errorbar([mean], [-i], xerr=ends, fmt="o", color=f"C{i}", capsize=2, ms=5)
        ax.set_yticks(-np.arange(len(METHODS)), METHODS, fontsize=8)
        ax.set(xscale="log", xlabel="Frechet distance on pixels", title=f"{loss}, penalty {penalty}")
        plain_log(ax, "x")
    return fig
