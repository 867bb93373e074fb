"""What a question about a point is answered with: yes, no or undecided, the bounds behind it, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gamedyn._lib.checks import choice

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANSWERS", "Answer"]

ANSWERS = ("yes", "no", "undecided")


@dataclass(frozen=True)
class Answer:
    """One of three values, never more than is known.

    Attributes:
        answer: "yes", "no" or "undecided".
        reason: in words, with the figures that decide.
        bounds: by name, (lower, upper) of the quantities that decide.
        risk: probability that a bound is wrong; 0 where the matrix was formed.

    `answer == "yes"` compares the value; as a condition it raises, since "undecided" is neither.
    """

    answer: str
    reason: str
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    risk: float = 0.0

    def __post_init__(self) -> None:
        choice("answer", self.answer, ANSWERS)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.answer == other
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError('an answer has three values: compare it, answer == "yes"')

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason}"
