"""Logarithmic axes whose labels are plain numbers that do not overlap."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import LogLocator

__all__ = ["plain_log"]


def plain_log(ax: Any, axis: str = "y") -> None:
    """Make an axis logarithmic, with labels at 1, 2 and 5 times the powers of ten."""
    getattr(ax, f"set_{axis}scale")("log")
    mine = getattr(ax, f"{axis}axis")
    mine.set_major_formatter("{x:g}")
    mine.set_minor_locator(LogLocator(subs=(2, 5)))
    mine.set_minor_formatter("{x:g}")
    ax.tick_params(axis=axis, which="both", labelsize=8)
