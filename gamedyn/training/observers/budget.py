"""How much a run may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.integrators import View

__all__ = ["Budget"]


class Budget(Observer):
    """Stops a run that has spent so many evaluations, images or seconds; seconds of a resumed run count too.

    Args:
        evaluations: of the field.
        images: samples seen.
        seconds: of the wall clock, in all.

    Raises:
        ArgumentError: for no limit, or one that is not positive.
    """

    draws = False

    def __init__(
        self, *, evaluations: float | None = None, images: int | None = None, seconds: float | None = None
    ) -> None:
        given = {"evaluations": evaluations, "images": images, "seconds": seconds}
        self.limits = {k: positive(k, x) for k, x in given.items() if x is not None}
        if not self.limits:
            raise ArgumentError("evaluations, images, seconds", "at least one of them", "none")
        self._before = self._spent = 0.0

    def after_step(self, view: View) -> bool:
        """Whether one is spent."""
        self._spent = self._before + view.seconds
        spent = {"evaluations": view.evaluations, "images": view.images, "seconds": self._spent}
        return any(spent[k] >= limit for k, limit in self.limits.items())

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self._spent}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._before = self._spent = float(state["seconds"])
