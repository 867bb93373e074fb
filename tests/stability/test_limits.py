"""Real and imaginary limits against methods.md b1, b2, b5, b7, b8."""

import math
from fractions import Fraction as F
from itertools import accumulate

import numpy as np
import pytest
from scipy.integrate import DOP853

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep, get, optimistic
from gamedyn.stability import amplification, imaginary_limit, real_limit

INF = math.inf


def nested(*a):
    return RungeKutta(A=[[], *([0] * i + [x] for i, x in enumerate(a[:-1]))], b=[0] * (len(a) - 1) + [a[-1]])


def ssp_s2(s):
    return RungeKutta(A=[[F(1, s - 1)] * i for i in range(s)], b=[F(1, s)] * s)


def lookahead(k, alpha):
    """Tableau of Lookahead over Euler; its z is alpha k times the inner step's."""
    a = F(alpha)
    return RungeKutta(A=[[1 / (a * k)] * j for j in range(k)], b=[F(1, k)] * k)


A_FEHLBERG = [
    [],
    ["1/4"],
    ["3/32", "9/32"],
    ["1932/2197", "-7200/2197", "7296/2197"],
    ["439/216", -8, "3680/513", "-845/4104"],
    ["-8/27", 2, "-3544/2565", "1859/4104", "-11/40"],
]
A_DOPRI5 = [
    [],
    ["1/5"],
    ["3/40", "9/40"],
    ["44/45", "-56/15", "32/9"],
    ["19372/6561", "-25360/2187", "64448/6561", "-212/729"],
    ["9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"],
    ["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84"],
]
A_CASH_KARP = [
    [],
    ["1/5"],
    ["3/40", "9/40"],
    ["3/10", "-9/10", "6/5"],
    ["-11/54", "5/2", "-70/27", "35/27"],
    ["1631/55296", "175/512", "575/13824", "44275/110592", "253/4096"],
]
A_MERSON = [[], ["1/3"], ["1/6", "1/6"], ["1/8", 0, "3/8"], ["1/2", 0, "-3/2", 2]]
A_SSP104 = [*(["1/6"] * i for i in range(5)), *(["1/15"] * 5 + ["1/6"] * i for i in range(5))]
G = math.sqrt(3) / 6

# Recomputed with 30 digits: fehlberg4 (real), dopri5_embedded, and kutta3 at 1e-3.
RK = {  # method, order, real, imaginary, imaginary with a growth of 1e-3 a step; digits as in the source
    "euler": (get("euler"), 1, "2", "0", "0.0447"),
    "extragradient": (get("extragradient"), 1, "1", "1", "1.001"),
    "heun2": (get("heun2"), 2, "2", "0", "0.2991"),
    "ralston2": (get("ralston2"), 2, "2", "0", "0.2991"),
    "kutta3": (get("kutta3"), 3, "2.5127453266", "1.7320508076", "1.73434763"),
    "ssp33": (RungeKutta([[], [1], ["1/4", "1/4"]], ["1/6", "1/6", "2/3"]), 3, "2.5127453266", "1.7320508076", None),
    "rk4": (get("rk4"), 4, "2.7852935634", "2.8284271247", "2.8288"),
    "rk4_38": (get("rk4_38"), 4, "2.7852935634", "2.8284271247", "2.8288"),
    "merson": (RungeKutta(A_MERSON, ["1/6", 0, 0, "2/3", "1/6"]), 4, "3.5483223442", "3.4641016151", "3.4644"),
    "ssp43": (RungeKutta([[], ["1/2"], ["1/2"] * 2, ["1/6"] * 3], ["1/6", "1/6", "1/6", "1/2"]), 3, "5.1494861478",
              "2.1561796402", "2.1581"),
    "ssp104": (RungeKutta(A_SSP104, ["1/10"] * 10), 4, "13.917047465", "4.9214530707", "4.9219"),
    "ssp32": (ssp_s2(3), 2, "4.5198421", "0", None),
    "ssp52": (ssp_s2(5), 2, "8.3378871", "0", None),
    "ssp10_2": (ssp_s2(10), 2, "18.0000000000", "0", None),
    "fehlberg5": (RungeKutta(A_FEHLBERG, ["16/135", 0, "6656/12825", "28561/56430", "-9/50", "2/55"]), 5,
                  "3.6777066213", "0", "1.0903"),
    "fehlberg4": (RungeKutta(A_FEHLBERG, ["25/216", 0, "1408/2565", "2197/4104", "-1/5", 0]), 4,
                  "3.0200175440", "0", None),
    "cash_karp": (RungeKutta(A_CASH_KARP, ["37/378", 0, "250/621", "125/594", 0, "512/1771"]), 5, "3.7343596", "0",
                  "1.2500"),
    "dopri5": (RungeKutta(A_DOPRI5[:6], A_DOPRI5[6]), 5, "3.3065678926", "0.9971890086", "1.3350"),
    "dopri5_embedded": (RungeKutta(A_DOPRI5, ["5179/57600", 0, "7571/16695", "393/640", "-92097/339200", "187/2100",
                                              "1/40"]), 4, "4.3849863208", "0", "1.0338"),
    "dop853": (RungeKutta([list(map(float, r[:i])) for i, r in enumerate(DOP853.A)], list(map(float, DOP853.B))), 8,
               "6.39365152", "5.96035981", "5.9609"),
    "kg32": (nested("1/2", "1/2", 1), 2, "2.0000000000", "2.0000000000", None),
    "kg52": (nested("1/4", "1/6", "3/8", "1/2", 1), 2, "2.5911955", "4.0000000000", None),  # touches 1 at sqrt 8
    "kg72": (nested("1/6", "1/12", "2/9", "4/19", "19/54", "1/2", 1), 2, "3.0000000000", "6.0000000000", None),
    "implicit_euler": (RungeKutta([[1]], [1]), 1, "inf", "inf", "inf"),
    "trapezoid": (RungeKutta([[], ["1/2", "1/2"]], ["1/2", "1/2"]), 2, "inf", "inf", "inf"),
    "gauss2": (RungeKutta([[0.25, 0.25 - G], [0.25 + G, 0.25]], [0.5, 0.5]), 4, "inf", "inf", "inf"),
    "radau_iia2": (RungeKutta([["5/12", "-1/12"], ["3/4", "1/4"]], ["3/4", "1/4"]), 3, "inf", "inf", "inf"),
}  # fmt: skip


def agrees(value, text):
    """Equal to the digits written, half a unit in the last place."""
    if text in ("inf", "0"):
        return value == float(text)
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) <= (0.51 * 10.0**-digits if digits else 1e-12)


@pytest.mark.parametrize("name", RK)
def test_runge_kutta_limits(name):
    """methods.md b1, b2, b6. Rejects: order slips, noise in E's lowest term (nodepy: 0 for dopri5), 0 for A-stable."""
    method, order, real, imaginary, tolerant = RK[name]
    assert method.order == order
    assert agrees(real_limit(method), real)
    assert agrees(imaginary_limit(method), imaginary)
    if tolerant is not None:
        assert agrees(imaginary_limit(method, tolerance=1e-3), tolerant)


@pytest.mark.parametrize(
    ("k", "alpha", "real", "imaginary"),
    [(5, "1/2", "2.2457309", "0.7425797524"), (3, "1/2", None, "0.8895436175"), (10, "1/2", None, "0.4360023744"),
     (2, "1/2", None, "0"), (5, "4/5", None, "0")],
)  # fmt: skip
def test_lookahead(k, alpha, real, imaginary):
    """methods.md b8; limits are for the inner step, hence the clock."""
    clock = float(F(alpha) * k)
    assert agrees(imaginary_limit(lookahead(k, alpha)) / clock, imaginary)
    assert real is None or agrees(real_limit(lookahead(k, alpha)) / clock, real)


@pytest.mark.parametrize("a", ["3/5", "3/4", "1", "2"])
def test_extrapolation_ratio(a):
    """R = 1 + z + a z^2: imag sqrt(2a - 1)/a (methods.md b8)."""
    method = RungeKutta([[], [a]], [0, 1])
    assert imaginary_limit(method) == pytest.approx(math.sqrt(2 * float(F(a)) - 1) / float(F(a)), rel=1e-12)


def adams_bashforth(k):
    """Exact weights of order k: integrals of the Lagrange polynomials on nodes 0..k-1 over [k-1, k]."""
    weights = []
    for j in range(k):
        p = [F(1)]
        for i in range(k):
            if i != j:
                p = [(x - i * y) / (j - i) for x, y in zip([F(0), *p], [*p, F(0)], strict=True)]
        weights.append(sum(c * (F(k) ** (n + 1) - F(k - 1) ** (n + 1)) / (n + 1) for n, c in enumerate(p)))
    return LinearMultistep([0] * (k - 1) + [-1, 1], [*weights, 0])


def bdf(k, explicit=False):
    """sum_j (1/j) nabla^j y = h v_n, or extrapolated v."""
    alpha = [sum(F((-1) ** i * math.comb(j, i), j) for j in range(max(i, 1), k + 1)) for i in range(k, -1, -1)]
    new = [F((-1) ** (k - 1 - j) * math.comb(k, j)) for j in range(k)]
    return LinearMultistep(alpha, [*new, 0] if explicit else [0] * k + [1])


AM = {3: "-1/12 8/12 5/12", 4: "1/24 -5/24 19/24 9/24", 5: "-19/720 106/720 -264/720 646/720 251/720",
      6: "27/1440 -173/1440 482/1440 -798/1440 1427/1440 475/1440"}  # fmt: skip
LMM = {
    "ab4": (adams_bashforth(4), 4, "0.3000000000", "0.429987079909"),
    "ab5": (adams_bashforth(5), 5, "0.16333938294", "0"),
    "ab6": (adams_bashforth(6), 6, "0.0877192982", "0"),
    "ab9": (adams_bashforth(9), 9, None, "0"),  # imag is 0 for orders 1, 2 mod 4 (Ghrist, Fornberg, Reeger)
    "ab11": (adams_bashforth(11), 11, "0.00338254709", "0.00384513690"),
    "am2": (LinearMultistep([-1, 1], ["1/2", "1/2"]), 2, "inf", "inf"),
    "am3": (LinearMultistep([0, -1, 1], AM[3].split()), 3, "6.0000000000", "0"),
    "am4": (LinearMultistep([0, 0, -1, 1], AM[4].split()), 4, "3.0000000000", "0"),
    "am5": (LinearMultistep([0, 0, 0, -1, 1], AM[5].split()), 5, "1.8367346939", "1.21193059422"),
    "am6": (LinearMultistep([0, 0, 0, 0, -1, 1], AM[6].split()), 6, "1.1842105263", "1.37635786656"),
    "implicit_euler": (bdf(1), 1, "inf", "inf"),
    "bdf2": (bdf(2), 2, "inf", "inf"),
    "bdf3": (bdf(3), 3, "inf", "0"),
    "bdf4": (bdf(4), 4, "inf", "0"),
    "bdf5": (bdf(5), 5, "inf", "0.710807671"),
    "bdf6": (bdf(6), 6, "inf", "0.843138162"),
    "bdf7": (bdf(7), 7, "0", "0"),  # not zero-stable
    "ebdf2": (bdf(2, explicit=True), 2, "1.3333333333", "0"),
    "ebdf3": (bdf(3, explicit=True), 3, "0.952380952", "0.633865691046"),
    "ebdf4": (bdf(4, explicit=True), 4, "0.711111111", "0.544331053952"),
    "ebdf5": (bdf(5, explicit=True), 5, "0.550537634", "0"),
    "leapfrog": (LinearMultistep([-1, 0, 1], [0, 2, 0]), 2, "0", "1.0000000000"),
    "milne": (LinearMultistep([-1, 0, 1], ["1/3", "4/3", "1/3"]), 4, "0", "1.7320508076"),
    "optimistic(.6)": (optimistic("3/5"), 1, "0.909", "0.502519"),
    "optimistic(.7)": (optimistic("7/10"), 1, "0.833", "0.583212"),
    "optimistic(.8)": (optimistic("4/5"), 1, "0.769231", "0.600480576769"),
    "optimistic(.9)": (optimistic("9/10"), 1, "0.714", "0.593914"),
    "optimistic(1.5)": (optimistic("3/2"), 1, "0.5000000000", "0.471405"),
}


@pytest.mark.parametrize("name", LMM)
def test_multistep_limits(name):
    """methods.md b5. Rejects: signs read from rounding near 0 (AB9 and AB11), BDF7 called stable."""
    method, order, real, imaginary = LMM[name]
    assert method.order == order
    assert real is None or agrees(real_limit(method), real)
    assert agrees(imaginary_limit(method), imaginary)


@pytest.mark.parametrize("beta", ["-9/10", "-1/2", "1/2", "9/10"])
def test_heavy_ball(beta):
    """Real 2(1 + beta), imaginary 0 for every beta (methods.md b8)."""
    b = F(beta)
    method = LinearMultistep([b, -1 - b, 1], [0, 1, 0], time_scale=1 / (1 - b))
    assert real_limit(method) == pytest.approx(2 * float(1 + b), rel=1e-12)
    assert imaginary_limit(method) == 0


def test_ab3_in_closed_form():
    assert real_limit("ab3") == pytest.approx(6 / 11, rel=1e-13)
    assert imaginary_limit("ab3") == pytest.approx(12 / (5 * math.sqrt(11)), rel=1e-13)


TH = 1 / (2 - 2 ** (1 / 3))
FR = ((TH / 2, TH), ((1 - TH) / 2, 1 - 2 * TH), ((1 - TH) / 2, TH), (TH / 2, 0))
COMPOSITIONS = {
    "alternating": (get("alternating"), "2.00000000"),
    "stormer_verlet": (Partitioned([Sweep("1/2"), Sweep("1/2", backward=True)]), "2.00000000"),
    "ruth3": (Partitioned([Sweep(("7/24", "2/3")), Sweep(("3/4", "-2/3")), Sweep(("-1/24", 1))]), "2.507481171"),
    "forest_ruth": (
        Partitioned([Sweep((c, d)) for c, d in FR]),
        "1.573401947",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_partitioned_limits_on_the_rotation(name):
    """methods.md b7. Rejects: signs of negative lengths lost, players' lengths exchanged."""
    method, imaginary = COMPOSITIONS[name]
    assert agrees(imaginary_limit(method), imaginary)


def test_players_named_in_the_method_are_found():
    assert imaginary_limit(Partitioned([Sweep()], players=("D", "G"))) == pytest.approx(2, rel=1e-12)


def test_tolerances():
    """Growth of 1e-3 a step: |R(iy)|^2 = 1 + y^2 for Euler; leapfrog's roots leave at once."""
    assert imaginary_limit("euler", tolerance=1e-3) == pytest.approx(math.sqrt(1.001**2 - 1), rel=1e-12)
    assert real_limit("euler", tolerance=1e-3) == pytest.approx(2.001, rel=1e-12)
    limits = list(accumulate((imaginary_limit("heun2", tolerance=t) for t in (0, 1e-4, 1e-3, 1e-2)), max))
    assert limits == sorted(set(limits))
    with pytest.raises(ArgumentError, match="tolerance: expected a number of at least 0, got -1"):
        real_limit("rk4", tolerance=-1)
    with pytest.raises(ArgumentError, match="tolerance: expected 0 for a method that needs blocks"):
        imaginary_limit("alternating", tolerance=0.1)


@pytest.mark.parametrize("name", ["rk4", "kutta3", "extragradient", "ab3", "optimistic"])
def test_limits_are_where_the_growth_passes_one(name):
    for limit, u in ((real_limit(name), -1), (imaginary_limit(name), 1j)):
        inside = np.linspace(0.01, 1, 200) * limit * (1 - 1e-9)
        assert amplification(name, inside * u).max() <= 1 + 1e-12
        assert amplification(name, limit * (1 + 1e-6) * u) > 1 + 1e-8
