"""What a game may declare about a point where its field vanishes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gamedyn._lib.checks import choice, positive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["VERDICTS", "CriticalPoint"]

VERDICTS = ("yes", "no", "undecided")


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A declared stationary point of `v = -grad_i loss_i` (rates 1), and its class.

    Every verdict is "yes", "no" or "undecided", or None where nothing is declared. All are of second order:

    - `stability`: yes if every eigenvalue of J has a negative real part, no if one has a positive one.
    - `nash`: of every player's own Hessian block `D_ii L_i`: yes if all are positive definite, no if one has a
      negative eigenvalue.
    - `stackelberg`, by leader, with two players: yes if the follower's own block is positive definite and, along the
      follower's best response r with `Dr = -(D_ff L_f)^-1 D_fl L_f`, the leader's total gradient `D_l L_l + Dr^T D_f
      L_l` is zero and its total second derivative positive definite (the Schur complement `D_ll L_l - D_lf L_l (D_ff
      L_l)^-1 D_fl L_l` of a zero-sum game); no if the follower's block or the total one has a negative eigenvalue, or
      the total gradient is not zero, which a general-sum game's stationary points allow.

    What is left, a semi-definite block or an eigenvalue on the imaginary axis with none to its right, is undecided.

    Args:
        point: one tensor per player.
        eigenvalues: all eigenvalues of J there, each as often as it occurs, or None.
        stability: verdict.
        nash: verdict.
        stackelberg: verdict by leader.
        defective: J has no basis of eigenvectors there; numerical eigenvalues are then good to about sqrt(eps).
        tolerance: error of the declared eigenvalues: 1e-10, or what printed digits leave.
        name: for reports.

    Raises:
        UnknownNameError: for another verdict.
        ArgumentError: for a tolerance that is not positive.

    Source: Fiez, Chasnov, Ratliff 2020, *Implicit learning dynamics in Stackelberg games*: differential Nash and
    Stackelberg equilibria.

    Example:
        >>> import torch
        >>> from gamedyn import games
        >>> [origin] = games.cyclic().critical_points
        >>> origin
        CriticalPoint(origin, eigenvalues 1-1j, 1+1j; stability no, nash no, stackelberg x: no, y: no)
    """

    point: Mapping[str, Tensor]
    eigenvalues: tuple[complex, ...] | None = None
    stability: str | None = None
    nash: str | None = None
    stackelberg: Mapping[str, str] = field(default_factory=dict)
    defective: bool = False
    tolerance: float = 1e-10
    name: str = ""

    def __post_init__(self) -> None:
        verdicts = {"stability": self.stability, "nash": self.nash}
        verdicts |= {f"stackelberg[{leader!r}]": verdict for leader, verdict in self.stackelberg.items()}
        for argument, verdict in verdicts.items():
            if verdict is not None:
                choice(argument, verdict, VERDICTS)
        positive("tolerance", self.tolerance)

    @property
    def abscissa(self) -> float:
        """Largest real part of the declared eigenvalues; NaN without any."""
        return max((z.real for z in self.eigenvalues), default=math.nan) if self.eigenvalues else math.nan

    def __repr__(self) -> str:
        place = self.name or ", ".join(f"{k}: {[round(float(x), 4) for x in v]}" for k, v in self.point.items())
        shown = ", ".join(_text(z) for z in self.eigenvalues or ()) or "not declared"
        leaders = ", ".join(f"{k}: {v}" for k, v in self.stackelberg.items()) or "not declared"
        classes = f"stability {self.stability}, nash {self.nash}, stackelberg {leaders}"
        return f"CriticalPoint({place}, eigenvalues {shown}{', defective' * self.defective}; {classes})"


def _text(z: complex) -> str:
    return f"{z.real:.5g}{z.imag:+.5g}j" if z.imag else f"{z.real:.5g}"
