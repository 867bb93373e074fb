"""Anchored methods: every step also pulls back to where the run began, with a weight of about 1/k."""

from __future__ import annotations

from fractions import Fraction

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._anchored import Anchored
from gamedyn.methods._coefficients import Coefficient, rational

__all__ = ["ANCHORED_GRADIENT", "EAG", "FEG", "HALPERN", "anchored_gradient", "feg"]


def anchored_gradient(p: Coefficient = "3/4", gamma: Coefficient = 2, **facts: object) -> Anchored:
    """Anchored gradient: `y+ = y + h (k + 1)^-p v(y) + (1 - p) gamma / (k + 1) (y_0 - y)`, k steps before.

    `|F(y_k)|^2 = O(k^(2p - 2))` on smooth convex-concave games, h = 1 - p as published.

    Args:
        p: power with which steps shrink, in (1/2, 1).
        gamma: weight of the anchor, at least 2.
        facts: `name`, `aliases`, `source` of a member.

    Raises:
        ArgumentError: if p or gamma is out of its range.

    Source: Ryu, Yuan, Yin 2019, arXiv:1905.10899, SimGD-A.

    Example:
        >>> anchored_gradient("2/3").decay
        Fraction(2, 3)
    """
    power, pull = rational("p", p), rational("gamma", gamma)
    if not Fraction(1, 2) < power < 1:
        raise ArgumentError("p", "a power in (1/2, 1)", float(power))
    if pull < 2:
        raise ArgumentError("gamma", "a weight of at least 2", float(pull))
    facts = {"source": "Ryu, Yuan, Yin 2019, arXiv:1905.10899, SimGD-A", **facts}
    return Anchored([[]], [1], pulls=[0], weight=(1 - power) * pull, decay=power, **facts)  # type: ignore[arg-type]


def feg(comonotonicity: Coefficient = 0, **facts: object) -> Anchored:
    """Fast extragradient, `beta = 1/(k + 1)`, r = comonotonicity: anchored half steps that match a lack of monotony.

    `w = y + beta (y_0 - y) + (1 - beta)(1 + 2r) h v(y)`, `y+ = y + beta (y_0 - y) + h v(w) + (1 - beta) 2r h v(y)`.
    For h = 1/L: `|F(y_k)|^2 <= 4 L^2 |y_0 - y*|^2 / ((1 + 2r)^2 k^2)` where `<F x - F y, x - y> >= rho |F x - F y|^2`,
    r = rho / h; rho < 0 allows games whose flow runs away.

    Args:
        comonotonicity: rho in units of the step, above -1/2; 0: monotone games.
        facts: `name`, `aliases`, `source` of a member.

    Raises:
        ArgumentError: if it is not above -1/2.

    Source: Lee, Kim 2021, arXiv:2106.02326, algorithm 1 and theorem 4.1.

    Example:
        >>> [str(a) for a in feg("-2/5").at(1).A[1]]
        ['1/10', '0']
    """
    r = rational("comonotonicity", comonotonicity)
    if r <= Fraction(-1, 2):
        raise ArgumentError("comonotonicity", "a number above -1/2", float(r))
    facts = {"source": "Lee, Kim 2021, arXiv:2106.02326, FEG", **facts}
    return Anchored(
        A=[[], [1 + 2 * r]],
        A_change=[[], [-1 - 2 * r]],
        b=[2 * r, 1],
        b_change=[-2 * r, 0],
        pulls=[0, 1],
        **facts,  # type: ignore[arg-type]
    )


ANCHORED_GRADIENT = anchored_gradient(name="anchored_gradient", aliases=("simgd_a", "anchored_gda"))
HALPERN = Anchored(
    A=[[]],
    b=[1],
    b_change=[-1],
    pulls=[0],
    shift=2,
    name="halpern",
    source="Halpern 1967, Bull. AMS 73; Lieder 2021: |y - T y| <= 2 |y_0 - y*| / (k + 1), T = y + h v(y)",
)
EAG = Anchored(
    A=[[], [1]],
    b=[0, 1],
    pulls=[0, 1],
    shift=2,
    name="eag",
    aliases=("extra_anchored_gradient", "eag_c"),
    source="Yoon, Ryu 2021, arXiv:2102.07922, EAG-C: |F(y_k)|^2 <= 260 L^2 |y_0 - y*|^2 / (k + 1)^2 for h = 1/(8L)",
)
FEG = feg(name="feg", aliases=("fast_extragradient",))
