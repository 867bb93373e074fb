"""A grid of images with a gap between the tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["image_grid"]


def image_grid(
    images: ArrayLike, *, columns: int = 4, gap: int = 1, low: float = -1.0, high: float = 1.0, ax: Axes | None = None
) -> Axes:
    """Grey images in rows, a light gap between the tiles.

    Args:
        images: (k, height, width), or (k, pixels) of square images.
        columns: images a row.
        gap: pixels between tiles.
        low: value drawn white.
        high: value drawn black.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: if there is none, or (k, pixels) are not those of squares.

    Example:
        >>> ax = image_grid(np.zeros((4, 64)), columns=2)
        >>> plt.close(ax.figure)
    """
    try:
        tiles = np.asarray(images, dtype=float)
    except (TypeError, ValueError):
        raise ArgumentError("images", "an array of real numbers", type(images).__name__) from None
    if not tiles.size:
        raise ArgumentError("images", "at least one image", f"shape {tiles.shape}")
    if tiles.ndim == 2:
        side = round(tiles.shape[1] ** 0.5)
        if side * side != tiles.shape[1]:
            raise ArgumentError("images", "(k, height, width), or square images (k, pixels)", f"shape {tiles.shape}")
        tiles = tiles.reshape(-1, side, side)
    if tiles.ndim != 3 or not len(tiles):
        raise ArgumentError("images", "(k, height, width), at least one", f"shape {tiles.shape}")
    across = positive_int("columns", columns)
    k, height, width = tiles.shape
    down = -(-k // across)
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        r, c = divmod(i, across)
        sheet[r * (height + gap) : r * (height + gap) + height, c * (width + gap) : c * (width + gap) + width] = tile
    if ax is None:
        _, ax = plt.subplots(figsize=(across * 0.5, down * 0.5), layout="constrained")
    colours = plt.get_cmap("gray_r").with_extremes(bad="#cfe3f2")
    ax.imshow(sheet, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    return ax
