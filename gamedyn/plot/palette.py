"""What all pictures share: colours, line styles, and which methods are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, get

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLOURS", "LAMBDA", "STYLES", "several"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; grey for its yellow, too faint on white."""

STYLES = ("-", "--", "-.", ":")

LAMBDA = "\N{GREEK SMALL LETTER LAMDA}"


def several(methods: Sequence[str | Method] | str | Method) -> list[Method]:
    """One or several methods, as methods."""
    single = isinstance(methods, str) or not hasattr(methods, "__iter__")
    chosen = [get(m) for m in cast("Sequence[str | Method]", [methods] if single else methods)]
    if not chosen:
        raise ArgumentError("methods", "at least one method", "none")
    return chosen
