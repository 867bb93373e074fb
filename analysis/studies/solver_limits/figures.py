"""The figures of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import gamedyn as gd
from analysis.studies.solver_limits.words import CAPTIONS
from gamedyn.plot import COLOURS, image_grid, region

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["draw_limits", "draw_regions", "draw_training"]

MARKS = "os^vDPX*"


def draw_regions(settings: Any, results: dict[str, Result], work: Workplace) -> str:
    """The spectra over the regions, for the report: the first figure that there is."""
    return work.figure("regions", _regions(settings, results), CAPTIONS["regions"])


def draw_limits(settings: Any, results: dict[str, Result], work: Workplace) -> list[str]:
    """The figures about limits, for the report."""
    drawn = {
        "ratio": _ratio(settings, results),
        "decay": _decay(results),
    }
    shown = [work.figure(name, figure, CAPTIONS[name]) for name, figure in drawn.items()]
    return [shown[0], draw_regions(settings, results, work), *shown[1:]]


def draw_training(
    settings: Any, results: dict[str, Result], references: dict[str, float], work: Workplace
) -> list[str]:
    """The figures about training, likewise."""
    drawn = {
        "distance": _distance(settings, results, references),
        "samples": _samples(settings, results, references),
        "trained": _trained(settings, results),
    }
    return [work.figure(name, figure, CAPTIONS[name]) for name, figure in drawn.items()]


def _distance(settings: Any, results: dict[str, Result], references: dict[str, float]) -> Figure:
    panels = [("nonsaturating", w, f"non-saturating, penalty {w:g}") for w in settings.penalties]
    panels.append(("wasserstein", settings.r1, f"Wasserstein, R1 {settings.r1:g}"))
    fig, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.8), layout="constrained", sharey=True)
    for ax, (case, weight, title) in zip(axes, panels, strict=True):
        for i, method in enumerate(settings.methods):
            figures = results[f"train-{case}-{method}"].figures
            cells = [
                (c["tau"], d)
                for c, d in zip(figures["cells"], figures["distances"], strict=True)
                if c["weight"] == weight
            ]
            taus = sorted({t for t, _ in cells})
            shift = 1 + 0.03 * (i - len(settings.methods) / 2)
            finite = [(t * shift, min(d if d is not None else 200.0, 200.0)) for t, d in cells]
            ax.plot(*zip(*finite, strict=True), MARKS[i], color=COLOURS[i], ms=3, alpha=0.5)
            means = [np.mean([d if d is not None else 200.0 for t, d in cells if t == tau]) for tau in taus]
            ax.plot(np.array(taus) * shift, means, "-", marker=MARKS[i], ms=5, color=COLOURS[i], lw=1.2, label=method)
        ax.axhline(references["mean_image"], color="0.3", ls="--", lw=1)
        ax.axhline(references["floor"], color="0.3", ls=":", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="tau = h / evaluations per step", title=title)
        ax.set_xticks(taus, [f"{t:g}" for t in taus])
        ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes[0].set_ylabel("Frechet distance on pixels")
    axes[-1].legend(fontsize=7, ncols=2)
    return fig


def _samples(settings: Any, results: dict[str, Result], references: dict[str, float]) -> Figure:
    groups = [
        (c, t)
        for c in ("nonsaturating", "wasserstein")
        for t in results[f"train-{c}-{settings.methods[0]}"].figures["image_tau"]
    ]
    fig, axes = plt.subplots(
        len(settings.methods),
        len(groups),
        figsize=(1.7 * len(groups), 1.7 * len(settings.methods)),
        layout="constrained",
        squeeze=False,
    )
    for i, (row, method) in enumerate(zip(axes, settings.methods, strict=True)):
        for ax, (case, tau) in zip(row, groups, strict=True):
            r = results[f"train-{case}-{method}"]
            tiles = r.arrays["images"][r.figures["image_tau"].index(tau)]
            image_grid(np.nan_to_num(tiles, nan=0.0), columns=4, ax=ax)
            weight = settings.penalties[-1] if case == "nonsaturating" else settings.r1
            distance = r.figures["distances"][r.figures["cells"].index({"seed": 0, "tau": tau, "weight": weight})]
            if distance is None or distance > references["mean_image"]:
                frame = Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, ec="crimson", lw=4, clip_on=False)
                ax.add_patch(frame)
            if ax is row[0]:
                ax.text(-0.08, 0.5, method, rotation=90, va="center", ha="center", transform=ax.transAxes, fontsize=9)
            if i == 0:
                ax.set_title(f"{case}\ntau {tau:g}", fontsize=9)
    return fig


def _trained(settings: Any, results: dict[str, Result]) -> Figure:
    columns = (len(settings.methods) + 1) // 2
    fig, axes = plt.subplots(2, columns, figsize=(3.1 * columns, 6.8), layout="constrained", squeeze=False)
    for ax, method in zip(axes.flat, settings.methods, strict=False):
        chosen = gd.methods.members()[method]
        h = settings.trained_tau * chosen.evaluations
        has_region = not isinstance(chosen, gd.methods.Partitioned)
        region([method] if has_region else [], window=(-4.0, 1.5, -3.5, 3.5), ax=ax)
        for case, colour, mark in (("nonsaturating", COLOURS[1], "o"), ("wasserstein", COLOURS[2], "^")):
            z = h * results[f"train-{case}-{method}"].arrays["eigenvalues"]
            z = np.concatenate([z, z.conj()])
            ax.plot(z.real, z.imag, mark, color=colour, ms=3.5, alpha=0.8, label=case)
        note = "" if has_region else " (no region)"
        ax.set_title(f"{method}{note}, h = {h:g}", fontsize=9)
        ax.legend(fontsize=6, loc="upper left")
    for ax in axes.flat[len(settings.methods) :]:
        ax.set_axis_off()
    return fig


def _ratio(settings: Any, results: dict[str, Result]) -> Figure:
    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    names = settings.limit_methods
    ax.axhline(0.02, color="0.4", ls="--", lw=1)
    for i, point in enumerate(settings.points):
        rows = [results[f"limit-{point}-{m}"].figures for m in names]
        where = np.arange(len(names)) + 0.2 * (i - 1)
        ax.plot(
            where,
            [abs((r["ratio"] or np.nan) - 1) + 1e-16 for r in rows],
            MARKS[i],
            color=COLOURS[i],
            ms=5,
            label=point,
        )
    others = [r.figures for n, r in results.items() if n.startswith("independent-")]
    for j, r in enumerate(o for o in others if o["method"] in names):
        predicted = results[f"limit-{r['point']}-{r['method']}"].figures["predicted"]
        ax.plot(
            names.index(r["method"]),
            abs(r["measured"] / predicted - 1),
            "kx",
            ms=7,
            label=None if j else "independent code",
        )
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    ax.set(ylabel="|measured / predicted - 1|", yscale="log", ylim=(1e-14, 0.2))
    ax.legend(fontsize=8, ncols=2)
    return fig


def _regions(settings: Any, results: dict[str, Result]) -> Figure:
    points = [p for p in settings.points if p.startswith("affine")]
    fig, axes = plt.subplots(1, len(points), figsize=(3.9 * len(points), 4.2), layout="constrained", squeeze=False)
    methods = [m for m in ("euler", "heun2", "rk4", "extragradient", "ab3") if m in settings.limit_methods]
    for ax, point in zip(axes[0], points, strict=True):
        values = results[f"limit-{point}-{settings.limit_methods[0]}"].arrays["eigenvalues"]
        steps = gd.stability.stable_steps("rk4", values)
        h = steps.first[1] if steps.first else 1.0
        region(methods, eigenvalues=values, h=h, window=(-3.1, 2.3, -3.2, 3.2), ax=ax)
        ax.legend(loc="upper right", fontsize=7)
        ax.set_title(f"{point.replace('_', ', ')}: rk4's limit h = {h:.4g}", fontsize=9)
    return fig


def _decay(results: dict[str, Result]) -> Figure:
    parts = [r for n, r in results.items() if n.startswith("decay-")]
    fig, axes = plt.subplots(
        1, len(parts), figsize=(3.3 * len(parts), 3.3), layout="constrained", sharey=True, squeeze=False
    )
    for ax, r in zip(axes[0], parts, strict=True):
        for norms, factor, colour in zip(r.arrays["norms"], r.figures["factors"], COLOURS, strict=False):
            ax.semilogy(np.arange(1, len(norms) + 1), norms, color=colour, lw=1.2, label=f"{factor:g} of the limit")
        f = r.figures
        ax.set_title(
            f"{f['case'].replace('_', ' ')}: {f['method']}\nh = {f['limit']:.4g}, S = {f['sensitivity']:.2g}",
            fontsize=9,
        )
        ax.set(xlabel="step", ylim=(1e-12, 30))
    axes[0][0].set_ylabel("|y - y*|")
    axes[0][-1].legend(fontsize=7)
    return fig
