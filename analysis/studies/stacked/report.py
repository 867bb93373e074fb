"""The report of `stacked`."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import gamedyn as gd
from analysis.common.claims import Claim, log_interval
from analysis.common.gans import METHODS, quality, scorer, setup
from analysis.common.page import paragraph, table
from analysis.common.spectra import outer, told
from analysis.common.study import Findings
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from analysis.common.study import Workplace
    from gamedyn.ablation import Outcome

__all__ = ["write_report"]

HUANG = "Huang et al. 2024"
TITLES = {"none": "no penalty", "r1": "R1", "r2": "R2", "r1_r2": "R1 + R2"}
MEASURES = ("modes", "frechet")
NUMBERS = ("modes", "modes_kl", "frechet", "leftmost", "rightmost", "turning")

LIMITATIONS = (
    """The 8x8 twin of the benchmark: three digits of scikit-learn in the three colours, networks of two hidden
    layers, three
    thousand steps. The published runs are of convolutional networks on 28x28 MNIST, trained for far longer.""",
    """Each combination has the best of few rates, by the modes of the runs that are shown. One weight of both
    penalties: R1 +
    R2 has twice the penalty of either.""",
    """The classifier that counts the modes errs: its accuracy, and what real samples get, stand beside.""",
)


def measured(outcome: Outcome, *, images: int, k: int, count: int) -> dict[str, float]:
    """Modes, KL and distance; the outer eigenvalues of the full batch."""
    _, pairs, _ = outer(outcome, images, k)
    return {**quality(outcome, measures=MEASURES, features="classifier", count=count), **told(pairs)}


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, two figures, a table."""
    found = _table(settings, work)
    best = {(loss, p): _best(found, loss, p) for loss in settings.losses for p in settings.penalties}
    known = scorer("stacked_digits", MEASURES, "classifier", settings.count)
    floor = {k.removeprefix("floor."): v for k, v in known.floor.items()}
    body = [
        paragraph(f"""Stacked digits, 1,000 classes; Adam in turn, betas 0 and 0.99, weights {settings.weight:g},
            {settings.steps:,} steps of {settings.batch}, {settings.seeds} seeds, {settings.count:,} samples. The
            classifier has
            accuracy {known.features.accuracy:.3f}; as many real samples hit {floor.get("modes", math.nan):.0f} modes
            with a KL of
            {floor.get("modes_kl", math.nan):.3f}."""),
        work.figure("modes", _modes(settings, floor.get("modes", math.nan), best), MODES),
        work.figure("spectrum", _spectrum(settings, found, best), SPECTRUM),
        table(
            ["loss", "penalty", "rate", *NUMBERS, "failed"],
            [
                [loss, TITLES[p], f"{_rate(rows):g}", *(_shown(rows, n) for n in NUMBERS), str(_failed(rows))]
                for (loss, p), rows in best.items()
            ],
        ),
    ]
    data = {"rows": found.to_dict("records"), "floor": known.floor, "accuracy": known.features.accuracy}
    return Findings("A thousand modes", _claims(settings, best, floor), body, data, LIMITATIONS)


MODES = """Modes hit over the course of training, mean over the seeds and their range, at the best rate of each
    combination.
    Solid: relativistic, dashed: non-saturating. The dotted line is what real samples hit."""
SPECTRUM = """Outer eigenvalues of the game over the course of training: least real part (the stiffness that limits
    explicit
    steps), largest real part (growth) and largest imaginary part (rotation). What a penalty adds to the stiffness is
    its
    price."""


def _table(settings: Any, work: Workplace) -> pd.DataFrame:
    name, options = METHODS["adam_in_turn"]
    grid = Grid(
        setup,
        {"loss": settings.losses, "penalty": settings.penalties, "h": settings.hs, "seed": range(settings.seeds)},
        method={"Adam in turn": gd.methods.get(name, **options)},
        steps=settings.steps,
        data_set="stacked_digits",
        batch=settings.batch,
        options=[settings.options],
        weights=[(("r1", settings.weight), ("r2", settings.weight))],
    )
    measure = partial(measured, images=settings.images, k=settings.pairs, count=settings.count)
    return work.ablation("cells", grid, {"end": measure}, marks=settings.marks)


def _best(found: pd.DataFrame, loss: str, penalty: str) -> pd.DataFrame:
    """All marks of the rate with most modes at the end; a run that failed has none."""
    mine = found[(found["loss"] == loss) & (found["penalty"] == penalty)]
    ends = mine[mine["at"] == 1.0]
    by = ends.assign(modes=ends["end.modes"].fillna(0.0)).groupby("h")["modes"].mean()
    return mine[mine["h"] == by.idxmax()].sort_values("seed")


def _end(rows: pd.DataFrame, name: str) -> list[float]:
    return [*rows[rows["at"] == 1.0][f"end.{name}"]]


def _rate(rows: pd.DataFrame) -> float:
    return float(rows["h"].iloc[0])


def _failed(rows: pd.DataFrame) -> int:
    return sum(math.isnan(v) for v in _end(rows, "modes"))


def _shown(rows: pd.DataFrame, name: str) -> str:
    known = [v for v in _end(rows, name) if math.isfinite(v)]
    return f"{np.mean(known):.4g} ({min(known):.4g} to {max(known):.4g})" if known else ""


def _claims(settings: Any, best: dict[Any, pd.DataFrame], floor: dict[str, float]) -> list[Claim]:
    def over(one: Any, other: Any, name: str = "modes", sign: float = 1.0) -> tuple[float, float, float]:
        pairs = zip(_end(best[one], name), _end(best[other], name), strict=True)
        if name == "modes":  # a run that failed has hit none
            return log_interval([max(np.nan_to_num(a), 1.0) / max(np.nan_to_num(b), 1.0) for a, b in pairs])
        return log_interval([(sign * a) / (sign * b) for a, b in pairs if sign * a > 0 and sign * b > 0])

    out = []
    for loss in settings.losses:
        both, r1 = (loss, "r1_r2"), (loss, "r1")
        out += [
            Claim(
                f"{loss}: R1 alone fails (its modes over those of R1 + R2).", *over(r1, both), at_most=0.5, source=HUANG
            ),
            Claim(
                f"{loss}: R1 + R2 hits more modes than R1 alone (quotient).",
                *over(both, r1),
                at_least=1.0,
                source=HUANG,
            ),
            Claim(
                f"{loss}: R2 makes the game stiffer (leftmost eigenvalue with R1 + R2 over that with R1).",
                *over(both, r1, "leftmost", -1.0),
                at_least=1.0,
            ),
            Claim(
                f"{loss}: R2 takes rotation away (largest imaginary part, likewise).",
                *over(both, r1, "turning"),
                at_most=1.0,
            ),
        ]
    if set(settings.losses) >= {"relativistic", "nonsaturating"}:
        one, other = ("relativistic", "r1_r2"), ("nonsaturating", "r1_r2")
        out.append(
            Claim(
                "With R1 + R2 the relativistic loss hits more modes than the non-saturating one (quotient).",
                *over(one, other),
                at_least=1.0,
                source=HUANG,
            )
        )
        modes = np.array(_end(best[one], "modes")) / floor["modes"]
        half = 1.96 * float(modes.std(ddof=1)) / math.sqrt(len(modes)) if len(modes) > 1 else math.inf
        mean = float(modes.mean())
        out.append(
            Claim(
                "The relativistic loss with R1 + R2 hits as many modes as real samples do (share).",
                mean,
                mean - half,
                mean + half,
                at_least=0.99,
                source=HUANG,
            )
        )
    return out


def _modes(settings: Any, floor: float, best: dict[Any, pd.DataFrame]) -> Figure:
    fig = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = fig.subplots()
    _courses(settings, ax, best, "modes")
    ax.set(xlabel="share of the steps", ylabel="modes hit", ylim=(0, 1020))
    ax.axhline(floor, color="0.5", lw=0.8, ls=":")
    ax.legend(fontsize=7)
    return fig


def _spectrum(settings: Any, found: pd.DataFrame, best: dict[Any, pd.DataFrame]) -> Figure:
    fig = Figure(figsize=(10.5, 3.6), layout="constrained")
    for ax, name in zip(fig.subplots(1, 3), ("leftmost", "rightmost", "turning"), strict=True):
        _courses(settings, ax, best, name)
        ax.set(xlabel="share of the steps", yscale="log")
        ax.set_ylabel(
            {"leftmost": "|least real part|", "rightmost": "largest real part", "turning": "largest imaginary part"}[
                name
            ]
        )
    fig.axes[0].legend(fontsize=6)
    return fig


def _courses(settings: Any, ax: Any, best: dict[Any, pd.DataFrame], name: str) -> None:
    for (loss, penalty), rows in best.items():
        marks = sorted(rows["at"].unique())
        values = [rows[rows["at"] == m][f"end.{name}"].abs().dropna() for m in marks]
        middle = np.array([v.mean() if len(v) else np.nan for v in values])
        ends = np.array(
            [[m - v.min(), v.max() - m] if len(v) else [0, 0] for m, v in zip(middle, values, strict=True)]
        ).T
        style = {"color": f"C{settings.penalties.index(penalty)}", "ls": "-" if loss == "relativistic" else "--"}
        ax.errorbar(marks, middle, np.abs(ends), capsize=2, lw=1.2, label=f"{loss}, {TITLES[penalty]}", **style)
