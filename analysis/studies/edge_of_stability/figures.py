"""The figures of `edge_of_stability`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from analysis.studies.edge_of_stability.summary import BAND, of_case, over_seeds
from analysis.studies.edge_of_stability.training import method_of
from gamedyn.plot import COLOURS
from gamedyn.plot.monitor import monitor_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_all"]

MARKS = "os^vDPX*"
LAMBDA = "\N{GREEK SMALL LETTER LAMDA}"


def draw_all(
    settings: Any, training: list[Any], paths: list[Any], implicit: list[Any], control: list[Any]
) -> dict[str, Figure]:
    """Every figure by name."""
    return {
        "ratio": _ratio(settings, training),
        "boundary": _boundary(settings, training),
        "paths": _paths(settings, paths),
        "implicit": _implicit(settings, training, implicit),
        "control": _control(settings, control),
    }


def _grid(count: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    columns = min(4, count)
    rows = -(-count // columns)
    size = (width * columns, height * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return fig, list(axes.flat[:count])


def _ratio(settings: Any, training: list[Any]) -> Figure:
    fig, axes = _grid(len(settings.methods), 2.9, 2.4)
    taus = sorted({tau for case in settings.cases for tau in case.taus})
    for ax, method in zip(axes, settings.methods, strict=True):
        ax.axhspan(*BAND, color="0.88", zorder=0)
        ax.axhline(1, color="0.4", lw=0.8, ls=":")
        for i, case in enumerate(settings.cases):
            part = of_case(training, case.name, method)
            found = [(tau, e) for tau in case.taus if (e := over_seeds(part, tau)) is not None]
            at = np.array([tau for tau, _ in found]) * 1.05 ** (i - (len(settings.cases) - 1) / 2)
            mean = np.array([e.mean for _, e in found])
            ends = [[e.mean - (e.low or e.mean), (e.high or e.mean) - e.mean] for _, e in found]
            style: dict[str, Any] = {"ls": "" if i else "-", "lw": 1.1, "ms": 3.5 if i else 4.5, "elinewidth": 0.9}
            if found:
                ax.errorbar(
                    at,
                    mean,
                    np.transpose(ends),
                    marker=MARKS[i],
                    color=COLOURS[i],
                    capsize=1.5,
                    label=case.name,
                    **style,
                )
        means = [e.mean for case in settings.cases if (e := over_seeds(of_case(training, case.name, method)))]
        near = all(0.15 < x < 1.8 for x in means)
        ax.set(xscale="log", yscale="log", ylim=(0.12, 3.2) if near else (0.02, 50))
        ticks = (0.2, 0.5, 1, 2) if near else (0.1, 1, 10)
        ax.set_title(method, fontsize=9)
        ax.set_xticks(taus, [f"{tau:g}" for tau in taus], fontsize=7)
        ax.set_yticks(ticks, [f"{x:g}" for x in ticks])
        ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes[0].legend(fontsize=6, loc="upper left", ncols=2, columnspacing=0.8, handletextpad=0.3)
    fig.supxlabel("tau = h per evaluation", fontsize=9)
    fig.supylabel("h over the largest stable step of the leftmost mode", fontsize=9)
    return fig


def _boundary(settings: Any, training: list[Any]) -> Figure:
    fig, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    ends = []
    for i, method in enumerate(settings.methods):
        part = of_case(training, settings.cases[0].name, method)
        points = [
            (part["real_interval"] / c["h"], abs(c["records"][-1]["eigenvalues"][0][0]))
            for c in part["cells"]
            if c["records"] and part["real_interval"]
        ]
        ends += [x for x, _ in points]
        colour = COLOURS[i % len(COLOURS)]
        style: dict[str, Any] = {"ls": "", "ms": 5, "mfc": "none" if i >= len(MARKS) else colour, "color": colour}
        ax.plot(*np.transpose(points), marker=MARKS[i % len(MARKS)], label=method, alpha=0.8, **style)
    line = np.array([min(ends), max(ends)])
    ax.plot(line, line, color="0.4", ls=":", lw=1)
    ax.set(
        xscale="log", yscale="log", xlabel="real interval of the method / h", ylabel=f"|Re {LAMBDA}| of the leftmost"
    )
    ax.set_ylim(0.5 * line[0], 3 * line[1])
    ax.legend(fontsize=7, ncols=2)
    return fig


def _paths(settings: Any, paths: list[Any]) -> Figure:
    fig, axes = plt.subplots(
        -(-len(paths) // 3), min(3, len(paths)), figsize=(3.6 * min(3, len(paths)), 3.4 * -(-len(paths) // 3)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax in axes.flat[len(paths) :]:
        ax.set_axis_off()
    for ax, told in zip(axes.flat, paths, strict=False):
        monitor_path(told, method=method_of(settings, told["method_name"]), ax=ax)
        ax.set_title(f"{told['method_name']}, h = {told['h']:.3g}", fontsize=9)
        if ax.get_legend():
            ax.get_legend().remove()
    return fig


def _implicit(settings: Any, training: list[Any], rows: list[Any]) -> Figure:
    fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for i, method in enumerate(settings.implicit_methods):
        for j, h in enumerate(settings.implicit_h):
            for k, r in enumerate(x for x in rows if x["method"] == method and x["h"] == h):
                points = [(s["t"], h * abs(s["eigenvalues"][0][0])) for s in r["records"]]
                label = None if k else f"{method}, h = {h:g}"
                ax.plot(*np.transpose(points), marker=MARKS[j], color=COLOURS[i], ls="-", lw=1, ms=5, label=label)
    case, name = settings.cases[0], settings.methods[0]
    for j, tau in enumerate(case.taus[-2:]):
        for k, c in enumerate(c for c in of_case(training, case.name, name)["cells"] if c["tau"] == tau):
            points = [(s["t"], s["h"] * abs(s["eigenvalues"][0][0])) for s in c["records"]]
            label = None if k else f"{name}, h = {c['h']:g}"
            ax.plot(*np.transpose(points), marker=MARKS[j], color="0.5", ls="-", lw=1, ms=4, label=label)
    ax.axhline(2, color="0.4", ls=":", lw=1)
    ax.set(yscale="log", xlabel="time t", ylabel=f"h |Re {LAMBDA}| of the leftmost")
    ax.legend(fontsize=7)
    return fig


def _control(settings: Any, rows: list[Any]) -> Figure:
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.3), layout="constrained")
    for i, method in enumerate(settings.control_methods):
        for k, r in enumerate(x for x in rows if x["method"] == method):
            style: dict[str, Any] = {"color": COLOURS[i], "lw": 1.1, "label": None if k else method}
            steps, taus = np.transpose([*r["history"], [r["evaluations"], r["last_tau"]]])
            axes[0].step(steps, taus, where="post", **style)
            axes[1].plot(*np.abs(np.transpose(r["leftmost"])), marker="o", ms=2.5, **style)
            if r["distance"] is not None:
                axes[2].plot(r["last_tau"], r["distance"], "*", ms=11, color=COLOURS[i], mec="white", mew=0.6)
            known = [(float(tau), d) for tau, d in r["fixed"].items() if d is not None]
            axes[2].plot(
                *np.transpose(known), MARKS[i], ms=4, color=COLOURS[i], label=None if k else f"{method}, fixed"
            )
    axes[2].plot([], [], "*", color="0.4", ms=9, ls="", label="controlled, at its last h")
    axes[0].set(yscale="log", xlabel="evaluations", ylabel="h per evaluation")
    axes[1].set(yscale="log", xlabel="evaluations", ylabel=f"|Re {LAMBDA}| of the leftmost")
    axes[2].set(xscale="log", xlabel="h per evaluation", ylabel="Frechet distance on pixels")
    ticks = [tau for tau in (0.01, 0.02, 0.05, 0.1, 0.2) if tau >= 0.5 * min(r["last_tau"] for r in rows)]
    axes[2].set_xticks(ticks, [f"{tau:g}" for tau in ticks])
    axes[2].xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    low, high = axes[2].get_ylim()
    axes[2].set_ylim(low, high + 0.35 * (high - low))
    for ax in axes:
        ax.legend(fontsize=7)
    return fig
