"""The errors that gamedyn raises at its public borders."""

from __future__ import annotations

import difflib
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ArgumentError", "GamedynError", "SolveError", "UnknownNameError", "warn_caller"]


class GamedynError(Exception):
    """Root of every error that gamedyn raises on purpose."""


class ArgumentError(GamedynError, ValueError):
    """A bad argument: which one, what was expected, what came, what to do.

    Example:
        >>> print(ArgumentError("h", "a positive float", -1, "steps go forward in time"))
        h: expected a positive float, got -1; steps go forward in time
    """

    def __init__(self, argument: str, expected: str, got: object, remedy: str = "") -> None:
        shown = got if isinstance(got, str) else repr(got)
        text = f"{argument}: expected {expected}, got {shown}"
        super().__init__(f"{text}; {remedy}" if remedy else text)
        self.argument, self.expected, self.got, self.remedy = argument, expected, got, remedy


class UnknownNameError(ArgumentError, LookupError):
    """A name that nothing carries; the message offers the nearest ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        folded = {known.lower(): known for known in names}
        near = [folded[n] for n in difflib.get_close_matches(str(name).lower(), folded, n=3, cutoff=0.5)]
        remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
        super().__init__(kind, f"the name of a known {kind}", name, remedy)
        self.near = near


class SolveError(GamedynError, RuntimeError):
    """A solve that did not reach its end; `run` holds the last finite state and the records."""

    def __init__(self, message: str, run: Any = None) -> None:
        super().__init__(message)
        self.run = run


def warn_caller(text: str, category: type[Warning]) -> None:
    """Warn at the line that called the package, however deep inside it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("gamedyn", "torch"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
