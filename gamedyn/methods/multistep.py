"""Linear multistep methods: Adams, BDF, leapfrog, and predictor-corrector pairs of them.

Coefficients are derived here, exactly: those of Adams methods from their order conditions, those of BDF from
backward differences. Names give the order, not the steps: `am3` has two.
"""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Declared
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods._predictor_corrector import PredictorCorrector
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods.embedded import DOPRI5
from gamedyn.methods.explicit import EULER, HEUN2, KUTTA3, RK4
from gamedyn.methods.implicit import IMPLICIT_EULER, RADAU_IIA3, RADAU_IIA5, SDIRK2

__all__ = [
    "AB2",
    "AB3",
    "AB4",
    "AB5",
    "AB6",
    "AM3",
    "AM4",
    "AM5",
    "AM6",
    "BDF2",
    "BDF3",
    "BDF4",
    "BDF5",
    "BDF6",
    "EBDF2",
    "EBDF3",
    "EBDF4",
    "EBDF5",
    "LEAPFROG",
    "PECECE_AB2_AM3",
    "PECE_AB2_AM2",
    "PECE_AB2_AM3",
    "PECE_AB3_AM4",
    "PECE_AB4_AM4",
    "adams_bashforth",
    "adams_moulton",
    "bdf",
    "explicit_bdf",
]

Row = tuple[Fraction, ...]

_EXPLICIT_START = (EULER, HEUN2, KUTTA3, RK4, DOPRI5, DOPRI5)
_IMPLICIT_START = (IMPLICIT_EULER, SDIRK2, RADAU_IIA3, RADAU_IIA5, RADAU_IIA5, RADAU_IIA5)


def adams_bashforth(order: int, **facts: object) -> LinearMultistep:
    """The explicit Adams method: `y_{n+1} = y_n + h sum_{j<p} beta_j v_{n-j}`, of order p = steps.

    Args:
        order: 1 to 6.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: for another order.

    Source: Bashforth, Adams 1883; Hairer, Norsett, Wanner I, III.1, eq. (1.5).

    Example:
        >>> [str(b) for b in adams_bashforth(3).beta]
        ['5/12', '-4/3', '23/12', '0']
    """
    alpha = (*[Fraction(0)] * (_known(order) - 1), Fraction(-1), Fraction(1))
    beta = (*_slopes(alpha, order), Fraction(0))
    return LinearMultistep(alpha, beta, _EXPLICIT_START[order - 1], **facts)  # type: ignore[arg-type]


def adams_moulton(order: int, **facts: object) -> LinearMultistep:
    """The implicit Adams method of order p: p - 1 steps (one for p = 1).

    Args:
        order: 1 (implicit Euler) to 6; 2 is the trapezoidal rule.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: for another order.

    Source: Hairer, Norsett, Wanner I, III.1, eq. (1.9).

    Example:
        >>> [str(b) for b in adams_moulton(3).beta]
        ['-1/12', '2/3', '5/12']
    """
    steps = max(1, _known(order) - 1)
    alpha = (*[Fraction(0)] * (steps - 1), Fraction(-1), Fraction(1))
    beta = (Fraction(0), Fraction(1)) if order == 1 else _slopes(alpha, order)
    return LinearMultistep(alpha, beta, _EXPLICIT_START[order - 1], **facts)  # type: ignore[arg-type]


def bdf(order: int, **facts: object) -> LinearMultistep:
    """The backward differentiation formula: `sum_{m=1..p} (1/m) nabla^m y_{n+p} = h v_{n+p}`.

    Args:
        order: 1 to 6; from 7 on it is not zero-stable.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: for another order.

    Source: Curtiss, Hirschfelder 1952; Gear 1971; Hairer, Norsett, Wanner I, III.1, eq. (1.22).

    Example:
        >>> [str(a) for a in bdf(2).alpha], str(bdf(2).beta[-1])
        (['1/3', '-4/3', '1'], '2/3')
    """
    alpha = _backward_differences(_known(order))
    return LinearMultistep(alpha, (*[Fraction(0)] * order, Fraction(1)), _IMPLICIT_START[order - 1], **facts)  # type: ignore[arg-type]


def explicit_bdf(order: int, **facts: object) -> LinearMultistep:
    """BDF with the newest field value extrapolated from the p before it.

    Args:
        order: 1 (Euler) to 6.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: for another order.

    Source: Crouzeix 1980; Hundsdorfer, Verwer, IV.4.2 (extrapolated BDF).

    Example:
        >>> [str(b) for b in explicit_bdf(2).beta]
        ['-2/3', '4/3', '0']
    """
    p = _known(order)
    beta = [Fraction((-1) ** (p - 1 - j) * comb(p, j)) for j in range(p)]
    return LinearMultistep(_backward_differences(p), (*beta, Fraction(0)), _EXPLICIT_START[p - 1], **facts)  # type: ignore[arg-type]


def _known(order: int) -> int:
    if not isinstance(order, int) or not 1 <= order <= 6:
        raise ArgumentError("order", "1 to 6", order)
    return order


def _backward_differences(p: int) -> Row:
    """Coefficients of `sum_m (1/m) nabla^m`, oldest first."""
    newest_first = [
        sum((Fraction((-1) ** j * comb(m, j), m) for m in range(max(1, j), p + 1)), Fraction(0)) for j in range(p + 1)
    ]
    return tuple(reversed(newest_first))


def _slopes(alpha: Row, count: int) -> Row:
    """The first `count` of beta, from `C_1 = ... = C_count = 0`: a Vandermonde system, solved exactly."""
    rows = []
    for q in range(1, count + 1):
        right = sum((a * Fraction(j) ** q for j, a in enumerate(alpha)), Fraction(0)) / q
        rows.append([*(Fraction(j) ** (q - 1) for j in range(count)), right])
    for i in range(count):
        pivot = next(r for r in range(i, count) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(count):
            if r != i:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return tuple(r[-1] for r in rows)


def _start_from(method: RungeKutta, like: LinearMultistep, **facts: object) -> LinearMultistep:
    return LinearMultistep(like.alpha, like.beta, method, **facts)  # type: ignore[arg-type]


_ADAMS = "Bashforth, Adams 1883; HNW I, III.1, eq. (1.5)"
_MOULTON = "Moulton 1926; HNW I, III.1, eq. (1.9)"
_GEAR = "Curtiss, Hirschfelder 1952; Gear 1971; HNW I, III.1, eq. (1.22)"
_EXTRAPOLATED = "Crouzeix 1980; BDF with extrapolated field"
_INF = math.inf

AB2 = adams_bashforth(
    2, name="ab2", aliases=("adams_bashforth2",), source=_ADAMS, declared=Declared(order=2, real=1.0, imaginary=0.0)
)
AB3 = adams_bashforth(
    3,
    name="ab3",
    aliases=("adams_bashforth3",),
    source=_ADAMS,
    declared=Declared(order=3, real=6 / 11, imaginary=12 / (5 * math.sqrt(11))),
)
AB4 = adams_bashforth(
    4,
    name="ab4",
    aliases=("adams_bashforth4",),
    source=_ADAMS,
    declared=Declared(order=4, real=0.3, imaginary=0.429987079909),
)
AB5 = adams_bashforth(
    5,
    name="ab5",
    aliases=("adams_bashforth5",),
    source=_ADAMS,
    declared=Declared(order=5, real=90 / 551, imaginary=0.0),
)
AB6 = adams_bashforth(
    6, name="ab6", aliases=("adams_bashforth6",), source=_ADAMS, declared=Declared(order=6, real=5 / 57, imaginary=0.0)
)
AM1, AM2 = adams_moulton(1), adams_moulton(2)
AM3 = adams_moulton(
    3, name="am3", aliases=("adams_moulton3",), source=_MOULTON, declared=Declared(order=3, real=6.0, imaginary=0.0)
)
AM4 = adams_moulton(
    4, name="am4", aliases=("adams_moulton4",), source=_MOULTON, declared=Declared(order=4, real=3.0, imaginary=0.0)
)
AM5 = adams_moulton(
    5,
    name="am5",
    aliases=("adams_moulton5",),
    source=_MOULTON,
    declared=Declared(order=5, real=90 / 49, imaginary=1.21193059422),
)
AM6 = adams_moulton(
    6,
    name="am6",
    aliases=("adams_moulton6",),
    source=_MOULTON,
    declared=Declared(order=6, real=45 / 38, imaginary=1.37635786656),
)
BDF2 = bdf(2, name="bdf2", source=_GEAR, declared=Declared.a_stable(2))
BDF3 = bdf(3, name="bdf3", source=_GEAR, declared=Declared(order=3, real=_INF, imaginary=0.0))
BDF4 = bdf(4, name="bdf4", source=_GEAR, declared=Declared(order=4, real=_INF, imaginary=0.0))
BDF5 = bdf(5, name="bdf5", source=_GEAR, declared=Declared(order=5, real=_INF, imaginary=0.710807671, digits=9))
BDF6 = bdf(6, name="bdf6", source=_GEAR, declared=Declared(order=6, real=_INF, imaginary=0.843138162, digits=9))
EBDF2 = explicit_bdf(2, name="ebdf2", source=_EXTRAPOLATED, declared=Declared(order=2, real=4 / 3, imaginary=0.0))
EBDF3 = explicit_bdf(
    3,
    name="ebdf3",
    source=_EXTRAPOLATED,
    declared=Declared(order=3, real=0.952380952, imaginary=0.633865691046, digits=9),
)
EBDF4 = explicit_bdf(
    4,
    name="ebdf4",
    source=_EXTRAPOLATED,
    declared=Declared(order=4, real=0.711111111, imaginary=0.544331053952, digits=9),
)
EBDF5 = explicit_bdf(
    5, name="ebdf5", source=_EXTRAPOLATED, declared=Declared(order=5, real=0.550537634, imaginary=0.0, digits=9)
)
LEAPFROG = LinearMultistep(
    alpha=[-1, 0, 1],
    beta=[0, 2, 0],
    start=HEUN2,
    name="leapfrog_multistep",
    aliases=("nystrom2", "two_step_midpoint"),
    declared=Declared(order=2, real=0.0, imaginary=1.0),
    source="Nystrom 1925; HNW I, III.1, eq. (1.13'): weakly unstable for any damping",
)

_PAIR = "Milne 1926; HNW I, III.1 (PECE); limits computed here where HW II, V.1 gives none"
PECE_AB2_AM2 = PredictorCorrector(
    AB2,
    _start_from(HEUN2, AM2),
    name="pece_ab2_am2",
    declared=Declared(order=2, real=2.0, imaginary=1.2871885058),
    source=_PAIR,
)
PECE_AB2_AM3 = PredictorCorrector(
    AB2, AM3, name="pece_ab2_am3", declared=Declared(order=3, real=2.4, imaginary=1.2), source=_PAIR
)
PECE_AB3_AM4 = PredictorCorrector(
    AB3, AM4, name="pece_ab3_am4", declared=Declared(order=4, real=1.93460842116, imaginary=1.17847173060), source=_PAIR
)
PECE_AB4_AM4 = PredictorCorrector(
    AB4, AM4, name="pece_ab4_am4", declared=Declared(order=4, real=1.28481626311, imaginary=0.0), source=_PAIR
)
PECECE_AB2_AM3 = PredictorCorrector(
    AB2, AM3, 2, name="pecece_ab2_am3", declared=Declared(order=3, real=1.58028757451, imaginary=0.0), source=_PAIR
)
