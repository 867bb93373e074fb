"""Implicit Runge-Kutta methods.

Tableaus: Hairer, Wanner, Solving ODEs II, IV.5 and IV.6, unless a member says otherwise. Names give the order.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, Coefficient, Declared, irrational, rational
from gamedyn.methods._runge_kutta import RungeKutta

__all__ = [
    "GAUSS4",
    "GAUSS6",
    "IMPLICIT_EULER",
    "IMPLICIT_MIDPOINT",
    "KVAERNO3",
    "KVAERNO4",
    "KVAERNO5",
    "RADAU_IIA3",
    "RADAU_IIA5",
    "SDIRK2",
    "SDIRK3",
    "TRAPEZOID",
    "TR_BDF2",
    "theta",
]


def theta(value: Coefficient) -> RungeKutta:
    """The theta method: `y+ = y + h ((1 - theta) v_n + theta v_{n+1})`.

    Args:
        value: theta in [0, 1]: 0 is Euler, 1/2 the trapezoidal rule, 1 implicit Euler; A-stable from 1/2 on,
            `|R(inf)| = (1 - theta)/theta`.

    Raises:
        ArgumentError: if theta is not in [0, 1].

    Source: Hairer, Wanner II, IV.3.

    Example:
        >>> theta("1/2").order, theta("2/3").order
        (2, 1)
    """
    t = rational("value", value)
    if not 0 <= t <= 1:
        raise ArgumentError("value", "theta in [0, 1]", value)
    if t == 1:
        return RungeKutta(A=[[1]], b=[1])
    rows: list[list[Coefficient]] = [[0, 0], [1 - t, t]]
    return RungeKutta(A=rows, b=[1 - t, t], digits=15 if isinstance(value, float) else None)


IMPLICIT_EULER = RungeKutta(
    A=[[1]],
    b=[1],
    name="implicit_euler",
    aliases=("backward_euler", "proximal_point", "bdf1", "am1"),
    declared=Declared.a_stable(1),
    source="Euler; in games: the proximal point method, Martinet 1970, Rockafellar 1976",
)
TRAPEZOID = RungeKutta(
    A=[[0, 0], ["1/2", "1/2"]],
    b=["1/2", "1/2"],
    name="trapezoid",
    aliases=("crank_nicolson", "am2", "lobatto_iiia2"),
    declared=Declared.a_stable(2),
    source="Crank, Nicolson 1947; HW II, IV.3",
)
IMPLICIT_MIDPOINT = RungeKutta(
    A=[["1/2"]],
    b=[1],
    name="implicit_midpoint",
    aliases=("gauss2",),
    declared=Declared.a_stable(2),
    source="HW II, IV.3; the Gauss method of one stage; symplectic",
)

_ROOT2 = irrational(lambda D: D(2).sqrt())
_ROOT3 = irrational(lambda D: D(3).sqrt())
_ROOT6 = irrational(lambda D: D(6).sqrt())
_ROOT15 = irrational(lambda D: D(15).sqrt())


def _cubic_root() -> Fraction:
    """The root near 0.4359 of `6 x^3 - 18 x^2 + 9 x - 1`: L-stability of a three-stage SDIRK method of order 3."""

    def newton(number: type[Decimal]) -> Decimal:
        x = number("0.4358665215")
        for _ in range(6):
            x -= (((6 * x - 18) * x + 9) * x - 1) / ((18 * x - 36) * x + 9)
        return x

    return irrational(newton)


_G2 = 1 - _ROOT2 / 2
SDIRK2 = RungeKutta(
    A=[[_G2], [1 - _G2, _G2]],
    b=[1 - _G2, _G2],
    digits=IRRATIONAL_DIGITS,
    name="sdirk2",
    declared=Declared.a_stable(2),
    source="Alexander 1977, gamma = 1 - 1/sqrt(2); L-stable",
)
_G3 = _cubic_root()
SDIRK3 = RungeKutta(
    A=[
        [_G3],
        [(1 - _G3) / 2, _G3],
        [-(6 * _G3**2 - 16 * _G3 + 1) / 4, (6 * _G3**2 - 20 * _G3 + 5) / 4, _G3],
    ],
    b=[-(6 * _G3**2 - 16 * _G3 + 1) / 4, (6 * _G3**2 - 20 * _G3 + 5) / 4, _G3],
    digits=IRRATIONAL_DIGITS,
    name="sdirk3",
    declared=Declared.a_stable(3),
    source="Alexander 1977, gamma = 0.43586652; L-stable",
)
_W, _D = _ROOT2 / 4, 1 - _ROOT2 / 2
TR_BDF2 = RungeKutta(
    A=[[0], [_D, _D], [_W, _W, _D]],
    b=[_W, _W, _D],
    b_hat=[(1 - _W) / 3, (3 * _W + 1) / 3, _D / 3],
    digits=IRRATIONAL_DIGITS,
    name="tr_bdf2",
    aliases=("trbdf2",),
    declared=Declared.a_stable(2),
    source="Bank et al. 1985, gamma = 2 - sqrt(2); embedded: Hosea, Shampine 1996",
)
KVAERNO3 = RungeKutta(
    A=[
        [0],
        [_G3, _G3],
        [(-4 * _G3**2 + 6 * _G3 - 1) / (4 * _G3), (1 - 2 * _G3) / (4 * _G3), _G3],
        [
            (6 * _G3 - 1) / (12 * _G3),
            -1 / ((24 * _G3 - 12) * _G3),
            (-6 * _G3**2 + 6 * _G3 - 1) / (6 * _G3 - 3),
            _G3,
        ],
    ],
    b=[
        (6 * _G3 - 1) / (12 * _G3),
        -1 / ((24 * _G3 - 12) * _G3),
        (-6 * _G3**2 + 6 * _G3 - 1) / (6 * _G3 - 3),
        _G3,
    ],
    b_hat=[(-4 * _G3**2 + 6 * _G3 - 1) / (4 * _G3), (1 - 2 * _G3) / (4 * _G3), _G3, 0],
    digits=IRRATIONAL_DIGITS,
    name="kvaerno3",
    declared=Declared.a_stable(3),
    source="Kvaerno 2004, BIT 44, ESDIRK 3/2",
)
_K4, _K4_ROW = (
    "0.5728160625",
    ["0.1972165483210286", "0.1768437839066134", "0.8154421814035516", "-0.762318576131193", "0.5728160625"],
)
KVAERNO4 = RungeKutta(
    A=[
        [0],
        [_K4, _K4],
        ["0.16723546204189954", "-0.14294653686128728", _K4],
        ["0.26260329027397794", "-0.3119043274147849", "0.4764849746408077", _K4],
        _K4_ROW,
    ],
    b=_K4_ROW,
    b_hat=["0.26260329027397794", "-0.3119043274147849", "0.4764849746408077", _K4, 0],
    digits=15,
    name="kvaerno4",
    declared=Declared.a_stable(4),
    source="Kvaerno 2004, BIT 44, ESDIRK 4/3",
)
_K5_ROW: list[Coefficient] = [
    "0.13659751177640291",
    0,
    "-0.05496908796538376",
    "-0.04118626728321046",
    "0.62993304899016403",
    "0.06962479448202728",
    "0.26",
]
KVAERNO5 = RungeKutta(
    A=[
        [0],
        ["0.26", "0.26"],
        ["0.13", "0.84033320996790809", "0.26"],
        ["0.22371961478320505", "0.47675532319799699", "-0.06470895363112615", "0.26"],
        ["0.16648564323248321", "0.10450018841591720", "0.03631482272098715", "-0.13090704451073998", "0.26"],
        ["0.13855640231268224", 0, "-0.04245337201752043", "0.02446657898003141", "0.61943039072480676", "0.26"],
        _K5_ROW,
    ],
    b=_K5_ROW,
    b_hat=["0.13855640231268224", 0, "-0.04245337201752043", "0.02446657898003141", "0.61943039072480676", "0.26", 0],
    digits=16,
    name="kvaerno5",
    declared=Declared.a_stable(5),
    source="Kvaerno 2004, BIT 44, ESDIRK 5/4",
)
GAUSS4 = RungeKutta(
    A=[["1/4", Fraction(1, 4) - _ROOT3 / 6], [Fraction(1, 4) + _ROOT3 / 6, "1/4"]],
    b=["1/2", "1/2"],
    digits=IRRATIONAL_DIGITS,
    name="gauss4",
    aliases=("gauss_legendre4", "gl4"),
    declared=Declared.a_stable(4),
    source="Kuntzmann 1961, Butcher 1964; HW II, IV.5, table 5.1; two stages",
)
GAUSS6 = RungeKutta(
    A=[
        ["5/36", Fraction(2, 9) - _ROOT15 / 15, Fraction(5, 36) - _ROOT15 / 30],
        [Fraction(5, 36) + _ROOT15 / 24, "2/9", Fraction(5, 36) - _ROOT15 / 24],
        [Fraction(5, 36) + _ROOT15 / 30, Fraction(2, 9) + _ROOT15 / 15, "5/36"],
    ],
    b=["5/18", "4/9", "5/18"],
    digits=IRRATIONAL_DIGITS,
    name="gauss6",
    aliases=("gauss_legendre6", "gl6"),
    declared=Declared.a_stable(6),
    source="Kuntzmann 1961, Butcher 1964; HW II, IV.5, table 5.2; three stages",
)
RADAU_IIA3 = RungeKutta(
    A=[["5/12", "-1/12"], ["3/4", "1/4"]],
    b=["3/4", "1/4"],
    name="radau_iia3",
    aliases=("radau3",),
    declared=Declared.a_stable(3),
    source="Ehle 1969; HW II, IV.5, table 5.5; two stages",
)
RADAU_IIA5 = RungeKutta(
    A=[
        [(88 - 7 * _ROOT6) / 360, (296 - 169 * _ROOT6) / 1800, (-2 + 3 * _ROOT6) / 225],
        [(296 + 169 * _ROOT6) / 1800, (88 + 7 * _ROOT6) / 360, (-2 - 3 * _ROOT6) / 225],
        [(16 - _ROOT6) / 36, (16 + _ROOT6) / 36, "1/9"],
    ],
    b=[(16 - _ROOT6) / 36, (16 + _ROOT6) / 36, "1/9"],
    digits=IRRATIONAL_DIGITS,
    name="radau_iia5",
    aliases=("radau5",),
    declared=Declared.a_stable(5),
    source="Ehle 1969; HW II, IV.5, table 5.6; three stages",
)
