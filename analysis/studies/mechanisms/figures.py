"""The figures of `mechanisms`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from analysis.common.axes import plain_log
from analysis.common.claims import log_interval
from analysis.studies.mechanisms.answer import CAP, WORDS, failures, fits
from analysis.studies.mechanisms.grids import BARE, DAMPED

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

__all__ = ["TITLES", "controls", "factorial", "regressions"]

TITLES = {BARE: "no penalty", "squared_gradient": "squared gradient", "r1": "R1", DAMPED: "R1 + R2"}


def factorial(settings: Any, table: pd.DataFrame) -> Figure:
    """Mean distances: a panel for each loss, methods down, penalties and steps across."""
    table = table[table["at"] == 1.0]
    losses = [loss for loss, _ in settings.taus]
    widest = max(len(taus) for _, taus in settings.taus) * len(settings.penalties)
    size = (2.4 + 0.55 * widest, (1.0 + 0.3 * len(settings.methods)) * len(losses))
    fig = Figure(figsize=size, layout="constrained")
    axes = fig.subplots(len(losses), 1, squeeze=False)[:, 0]
    image: Any = None
    for ax, (loss, taus) in zip(axes, settings.taus, strict=True):
        mine = table[table["loss"] == loss]
        across = [(p, t) for p in settings.penalties for t in taus]
        values = np.array([[_mean(mine, m, p, t) for p, t in across] for m in settings.methods])
        image = ax.imshow(values, cmap="viridis", norm=LogNorm(1.5, CAP), aspect="auto")
        for (i, j), v in np.ndenumerate(values):
            bright = float(np.asarray(image.norm(v))) > 0.5
            ax.text(j, i, f"{v:.2g}", ha="center", va="center", fontsize=7, color="black" if bright else "white")
        ax.set_xticks(range(len(across)), [f"{t:g}" for _, t in across], fontsize=7)
        for k, p in enumerate(settings.penalties):
            ax.text((k + 0.5) * len(taus) - 0.5, -0.62, TITLES[p], ha="center", va="bottom", fontsize=7)
            ax.axvline((k + 1) * len(taus) - 0.5, color="white", lw=1.5)
        ax.set_xlabel("h per evaluation", fontsize=8)
        ax.set_title(f"{loss}\n", fontsize=9)
        ax.set_yticks(range(len(settings.methods)), settings.methods, fontsize=8)
    fig.colorbar(image, ax=axes, label="Frechet distance on pixels", format="{x:g}", aspect=40)
    return fig


def _mean(table: pd.DataFrame, method: str, penalty: str, tau: float) -> float:
    rows = table[(table["method"] == method) & (table["penalty"] == penalty) & (table["h_per_evaluation"] == tau)]
    return log_interval([*rows["at_end.frechet"].fillna(CAP).clip(upper=CAP)])[0]


def controls(table: pd.DataFrame) -> Figure:
    """Above steps of one size on the same batches, below the dial of numerical damping, a column for each loss."""
    losses = list(dict.fromkeys(table["loss"]))
    fig = Figure(figsize=(5.2 * len(losses), 6.6), layout="constrained")
    axes = fig.subplots(2, len(losses), squeeze=False)
    for column, loss in enumerate(losses):
        mine = table[table["loss"] == loss]
        _equal_steps(axes[0, column], mine[mine["part"] == "equal steps"])
        _dial(axes[1, column], mine[mine["part"] == "equal work"])
        axes[0, column].set_title(f"{loss}: the same steps, on the same batches", fontsize=9)
        axes[1, column].set_title(f"{loss}: numerical damping at one evaluation a step", fontsize=9)
    return fig


def _equal_steps(ax: Any, table: pd.DataFrame) -> None:
    methods = [m for m in ("euler", "chebyshev4", "heun2", "exact") if m in set(table["method"])]
    for i, penalty in enumerate((BARE, DAMPED)):
        for k, h in enumerate(sorted(table["h"].unique())):
            rows = [table[(table["method"] == m) & (table["penalty"] == penalty) & (table["h"] == h)] for m in methods]
            style: dict[str, Any] = {"color": f"C{i}", "marker": "os"[k], "linestyle": ("-", "--")[k]}
            _drawn(ax, np.arange(len(methods)) + 0.06 * (2 * i + k - 1.5), rows, f"{TITLES[penalty]}, h = {h:g}", style)
    ax.set_xticks(range(len(methods)), methods)
    plain_log(ax)
    ax.set(ylabel="Frechet distance on pixels")
    ax.legend(fontsize=7)


def _dial(ax: Any, table: pd.DataFrame) -> None:
    marks = [m for m in dict.fromkeys(table["method"]) if m.startswith("dial")]
    at = np.array([float(m.split()[1]) for m in marks])
    taus = sorted(table["h_per_evaluation"].unique())
    for i, penalty in enumerate((BARE, DAMPED)):
        for k, tau in enumerate(taus):
            mine = table[(table["penalty"] == penalty) & (table["h_per_evaluation"] == tau)]
            rows = [mine[mine["method"] == m] for m in marks]
            style: dict[str, Any] = {"color": f"C{i}", "marker": "os^"[k % 3], "linestyle": ("-", "--", ":")[k % 3]}
            _drawn(ax, at + 0.01 * (3 * i + k - 2.5), rows, f"{TITLES[penalty]}, h = {tau:g}", style)
    ax.axvline(0.5, color="0.7", lw=0.8)
    ax.set(
        xlabel="weight a of the difference (Euler 0, AB2 1/2, optimistic 1)",
        ylabel="Frechet distance on pixels",
    )
    plain_log(ax)
    ax.legend(fontsize=6, ncols=2)


def _drawn(ax: Any, at: np.ndarray, rows: list[pd.DataFrame], label: str, style: dict[str, Any]) -> None:
    """Geometric means, and the range of the seeds."""
    values = [r["at_end.frechet"].fillna(CAP).clip(upper=CAP).to_numpy() for r in rows]
    middle = np.array([np.exp(np.log(v).mean()) if len(v) else np.nan for v in values])
    ends = np.array([[m - v.min(), v.max() - m] if len(v) else [0, 0] for m, v in zip(middle, values, strict=True)]).T
    ax.errorbar(at, middle, np.abs(ends), ms=4, lw=1, capsize=2, label=label, **style)


def regressions(tables: dict[str, pd.DataFrame]) -> Figure:
    """Left the coefficients with their intervals, right the share of failed runs by limit over step."""
    fig = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(3, 2))
    for i, (name, fit) in enumerate(fits(tables).items()):
        at = np.arange(len(fit.names)) + 0.15 * (i - 1)
        middle = np.array(fit.effect)
        ends = np.abs(np.stack([middle - fit.low, np.array(fit.high) - middle]))
        left.errorbar(
            middle, -at, xerr=ends, fmt="os^"[i], color=f"C{i}", ms=4, capsize=2, label=f"{name} (n = {fit.count})"
        )
        known = fit.names
    left.axvline(0, color="0.5", lw=0.8)
    left.set_yticks(-np.arange(len(known)), [WORDS[n] for n in known])
    left.set_xlabel("change of log distance with one standard deviation")
    fig.legend(fontsize=7, loc="outside lower center", ncols=3)
    found = failures(tables)
    right.bar(range(len(found)), [s for s, _ in found.values()], color="C3")
    for i, (share, count) in enumerate(found.values()):
        right.text(i, np.nan_to_num(share) + 0.01, f"{count}", ha="center", fontsize=7)
    right.set_xticks(range(len(found)), [k.replace(" to ", "\nto ") for k in found], fontsize=7)
    right.set(xlabel="method's limit over its step, at the end", ylabel="share of failed runs", ylim=(0, 1))
    return fig
