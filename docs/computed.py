"""What takes time in the pages of methods, by several processes: property sheets, limits, regions, places on games."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np

from gamedyn import flows, games, methods, spectrum, stability

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PROCESSES", "TOLERANCE", "Facts", "compute", "facts"]

PROCESSES = min(4, os.cpu_count() or 1)
TOLERANCE = 1e-3
"""Growth a step that the tolerant limits allow."""


class Facts(NamedTuple):
    """Of one method: its property sheet; strict and tolerant limit, real and imaginary; whether a region is drawn."""

    sheet: Any
    limits: tuple[float | None, ...]
    drawn: bool


def compute(folder: Path) -> tuple[dict[str, Facts], dict[str, Any]]:
    """The facts of every method, by name, whose regions are drawn into a folder; the rankings on five games."""
    folder.mkdir(parents=True, exist_ok=True)
    members, leading = methods.members(), _games()
    with joblib.Parallel(n_jobs=PROCESSES, batch_size=1) as pool:
        places = pool(joblib.delayed(_ranking)(blocks) for blocks in leading.values())
        found = pool(joblib.delayed(facts)(name, folder) for name in members)
    return dict(zip(members, found, strict=True)), dict(zip(leading, places, strict=True))


def facts(name: str, folder: Path) -> Facts:
    """The facts of a method, whose region is drawn into a folder unless it is there."""
    method, sheet, limits = methods.get(name), stability.sheet(name), []
    for axis, limit in (("real", stability.real_limit), ("imaginary", stability.imaginary_limit)):
        strict, tolerant = sheet[f"{axis} limit"], sheet.facts.get(f"{axis} limit, |R| <= {1 + TOLERANCE:g}")
        if method.decouples and tolerant is None:
            tolerant = limit(method, tolerance=TOLERANCE)
        limits += [limit(method) if strict is None else strict, tolerant if method.decouples else None]
    target = folder / f"{name}.svg"
    return Facts(sheet, tuple(limits), target.exists() or _draw(method, target))


def _draw(method: Any, target: Path) -> bool:
    """The region of absolute stability, where the method has one in the plane of h lambda."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "gamedyn"
    import matplotlib.pyplot as plt

    from gamedyn import plot

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stability.StabilityWarning)
            axes = plot.partitioned_region(method, points=45) if method.kind == "partitioned" else plot.region(method)
    except ValueError:  # of this method no region is drawn, and why is said on its page
        return False
    axes.figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None}, transparent=False)
    plt.close(axes.figure)
    return True


def _games() -> dict[str, Any]:
    """The blocks of J at the equilibria of five games, by what each of these games is."""
    draws = np.random.default_rng(0).standard_normal((200, 6)) * [3, 2, 1, 0.5, 0.5, 0.5]
    dirac = games.dirac_gan("nonsaturating", "r1", 0.3)
    members = {
        "[bilinear game](../games.md#bilinear): rotation alone": games.bilinear(),
        "[Dirac-GAN](../games.md#dirac-gan), R1 of weight 0.3: rotation, damped in D": dirac,
        "[affine-quadratic GAN](../games.md#affine-quadratic-gan), Wasserstein: many rotations, little damping": (
            games.affine_quadratic_gan(draws, q=3, loss="wasserstein")
        ),
        "[affine-quadratic GAN](../games.md#affine-quadratic-gan), non-saturating: stiff": (
            games.affine_quadratic_gan(draws, q=3, loss="nonsaturating")
        ),
        "[rotation](../games.md#rotation) of three players": games.rotation(),
    }
    points = {what: (flows.gradient(game), game.equilibrium_state()) for what, game in members.items()}
    return {what: spectrum.linearise(*point).blocks for what, point in points.items()}


def _ranking(blocks: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stability.StabilityWarning)
        return stability.rank_methods(blocks)
