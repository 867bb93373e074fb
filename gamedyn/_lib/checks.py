"""Argument checks with one message form, in plain Python."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["choice", "finite", "known_options", "positive", "positive_int", "quoted"]


def finite(argument: str, value: object, expected: str = "a finite number", remedy: str = "") -> float:
    """Return `value` as a float if it is one finite number: no text, no sequence, no tensor of several.

    Raises:
        ArgumentError: otherwise.

    Example:
        >>> finite("t", 2)
        2.0
    """
    try:
        number = math.nan if isinstance(value, (str, bytes)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last one is PyTorch's, for several numbers
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentError(argument, expected, quoted(value), remedy)
    return number


def quoted(value: object) -> object:
    """A value for a message: text in quotes, so that "0.1" is not read as a number."""
    return f"the text {value!r}" if isinstance(value, (str, bytes)) else value


def positive(argument: str, value: object, remedy: str = "") -> float:
    """Return `value` as a float if it is finite and above 0.

    Raises:
        ArgumentError: otherwise.

    Example:
        >>> positive("h", 0.5)
        0.5
    """
    number = finite(argument, value, "a positive, finite number", remedy)
    if not number > 0:
        raise ArgumentError(argument, "a positive, finite number", value, remedy)
    return number


def positive_int(argument: str, value: object, *, least: int = 1) -> int:
    """Return `value` as an int if it is a whole number (NumPy's too) of at least `least`.

    Raises:
        ArgumentError: otherwise.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least:
        raise ArgumentError(argument, f"a whole number of at least {least}", value)
    return number


def choice(argument: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        UnknownNameError: otherwise, with the nearest allowed value.
    """
    options = tuple(allowed)
    if not isinstance(value, str) or value not in options:
        raise UnknownNameError(argument, value, options)
    return value


def known_options(owner: str, options: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse an option that `owner` does not have.

    Raises:
        UnknownNameError: with the nearest option that exists.
    """
    known = tuple(allowed)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of {owner}", option, known or ("none",))
