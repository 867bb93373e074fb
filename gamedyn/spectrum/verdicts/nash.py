"""Is the point a differential Nash equilibrium? The players' own Hessians, between bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn.spectrum.verdicts.answers import Answer
from gamedyn.spectrum.verdicts.extent import Extent, extent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.jacobian import GameJacobian

__all__ = ["nash", "own_extents"]


def own_extents(
    J: GameJacobian,
    rates: Mapping[str, float],
    *,
    formed: bool,
    basis: int,
    risk: float,
    scale: float,
    error: float = 0.0,
) -> dict[str, Extent]:
    """By player, between which numbers the eigenvalues of its own Hessian `D_ii L_i = -J_ii / rate_i` lie."""
    how: dict[str, Any] = {"formed": formed, "basis": basis, "risk": risk}
    return {
        p: extent(J.block(p, p).symmetric * (-1.0 / rate), scale=scale / rate, error=error / rate, **how)
        for p, rate in rates.items()
    }


def nash(own: Mapping[str, Extent]) -> Answer:
    """Yes if every own Hessian is positive definite (sufficient), no if one has a negative eigenvalue (necessary).

    Between the two, an own Hessian that is semi-definite to rounding: then only higher derivatives decide.

    Source: Ratliff, Burden, Sastry 2016, IEEE Trans. Automat. Contr. 61, p. 2301, definition 4 and proposition 2.
    """
    bounds = {f"least eigenvalue of D_ii L_i, {p}": e.least for p, e in own.items()}
    risk = max(e.risk for e in own.values())
    bad = [p for p, e in own.items() if e.least[1] < 0]
    if bad:
        figures = ", ".join(f"{p}'s own Hessian has an eigenvalue of at most {own[p].least[1]:.3g}" for p in bad)
        return Answer("no", f"{figures}: not even the necessary condition holds", bounds, risk)
    open_ = [p for p, e in own.items() if not e.least[0] > 0]
    if not open_:
        least = min(e.least[0] for e in own.values())
        return Answer(
            "yes", f"every own Hessian is positive definite, least eigenvalue {least:.3g} or more", bounds, risk
        )
    return Answer("undecided", "; ".join(_why(p, own[p]) for p in open_), bounds, risk)


def _why(player: str, e: Extent) -> str:
    if e.sign == "zero":
        return f"{player}'s own Hessian is zero (a generator's is, where the discriminator is flat)"
    if e.null:
        return f"{player}'s own Hessian has {e.null} zero eigenvalues of {e.size}, none negative: semi-definite"
    return f"{player}'s own Hessian has a least eigenvalue between {e.least[0]:.3g} and {e.least[1]:.3g}"
