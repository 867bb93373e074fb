"""Pictures on the way: grids of images, or points in the plane, and an animation of them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Every, Observer
from gamedyn.training.observers._disk import written

if TYPE_CHECKING:
    from gamedyn.integrators import View
    from gamedyn.training.observers.ema import EMA
    from gamedyn.training.sampler import Sampler

__all__ = ["Samples", "grid", "write_animation", "write_picture"]

GAP, LIGHT = 2, 255


class Samples(Observer):
    """A picture of samples of fixed noise, `step-000001000.png`, and at the end `animation.gif`.

    Images are tiles of a grid, with a gap between; samples of two numbers are points, the data's behind them in grey.

    Args:
        folder: made if it is missing.
        sampler: what makes them.
        every: rhythm.
        count: samples in a picture.
        ema: whose average is shown in the place of the state.
        real: samples of the data, for points.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        sampler: Sampler,
        *,
        every: int | Every = 1000,
        count: int = 64,
        ema: EMA | None = None,
        real: Tensor | None = None,
    ) -> None:
        self.folder, self.sampler, self.every = Path(folder), sampler, every
        self.count, self.ema, self.real = positive_int("count", count), ema, real
        self.folder.mkdir(parents=True, exist_ok=True)

    def after_step(self, view: View) -> None:
        """Draw a picture; samples that are not finite are left black."""
        state = self.ema.state if self.ema is not None and self.ema.state is not None else view.state
        made = self.sampler(state, self.count)
        path = self.folder / f"step-{view.step:09d}.png"
        with written(path):
            write_picture(path, made, self.real, f"step {view.step:,}")

    def finish(self) -> None:
        """Make the animation of all pictures in the folder."""
        with written(self.folder / "animation.gif"):
            write_animation(self.folder)


def grid(images: Tensor, columns: int | None = None, scale: int | None = None) -> np.ndarray:
    """Images (n, channels, side, side) in [-1, 1] as one array of bytes (height, width, 3), a white gap between tiles.

    Args:
        images: with 1 or 3 channels.
        columns: None: as many as rows, or one more.
        scale: pixels of a pixel; None: so many that a tile has some 48.

    Raises:
        ArgumentError: for other channels.

    Example:
        >>> grid(torch.zeros(5, 1, 8, 8), scale=1).shape
        (22, 32, 3)
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ArgumentError("images", "(n, 1 or 3, height, width)", f"shape {tuple(images.shape)}")
    columns = columns or math.ceil(math.sqrt(len(images)))
    scale = scale or max(1, 48 // images.shape[-1])
    pixels = torch.nan_to_num(images.float(), nan=-1.0).add(1).mul(127.5).round().clamp(0, 255).byte()
    pixels = pixels.expand(-1, 3, -1, -1).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    n, _, height, width = pixels.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), LIGHT, np.uint8)
    for i, tile in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        y, x = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def write_picture(path: Path, samples: Tensor, real: Tensor | None = None, title: str = "") -> None:
    """A PNG of samples: tiles of images, points of the plane, or lines of other samples' numbers."""
    if samples.dim() == 4 and samples.shape[1] in (1, 3):
        from PIL import Image

        Image.fromarray(grid(samples)).save(path)
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    if samples.flatten(1).shape[1] == 2:
        if real is not None:
            axes.scatter(real[:2000, 0], real[:2000, 1], s=4, c="0.8", label="data", linewidths=0)
            low, high = real.min(0).values, real.max(0).values
            room = 0.25 * (high - low)
            axes.set(xlim=_ends(low - room, high + room, 0), ylim=_ends(low - room, high + room, 1), aspect="equal")
        points = torch.nan_to_num(samples)
        axes.scatter(points[:, 0], points[:, 1], s=4, c="C0", label="generated", linewidths=0)
        axes.set(xlabel="$x_1$", ylabel="$x_2$", title=title)
        axes.legend(loc="upper right", markerscale=3)
    else:
        axes.plot(samples.flatten(1)[:32].T.numpy(), lw=0.8)
        axes.set(xlabel="number of the sample", ylabel="value", title=title)
    figure.savefig(path)


def _ends(low: Tensor, high: Tensor, i: int) -> tuple[float, float]:
    return float(low[i]), float(high[i])


def write_animation(folder: Path, *, most: int = 200, seconds: float = 12.0) -> Path | None:
    """`animation.gif` of a folder's pictures, at most so many of them; None where there are fewer than two."""
    from PIL import Image

    paths = sorted(folder.glob("step-*.png"))
    if len(paths) < 2:
        return None
    paths = paths[:: -(-len(paths) // most)]
    frames: list[Any] = []
    for path in paths:
        with Image.open(path) as picture:
            frames.append(picture.convert("P", palette=Image.Palette.ADAPTIVE))
    each = int(max(60, min(500, 1000 * seconds / len(frames))))
    target = folder / "animation.gif"
    frames[0].save(
        target, save_all=True, append_images=frames[1:], duration=[each] * (len(frames) - 1) + [2000], loop=0
    )
    return target
