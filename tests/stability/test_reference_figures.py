"""Figures computed once with mpmath to 40 digits from published coefficients, held to the digits they are given to.

Real and imaginary limits (strict, and with a growth of 1e-3 a step), angles, error norms: of members, of families at
other parameters, and of methods that are no members, built here from their coefficients or polynomials. Low-storage
tables that are members nowhere are left out. `test_worst_error` asserts the count and the worst relative error.
"""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest

from gamedyn.methods import LinearMultistep, RungeKutta, extragradient, get, heavy_ball, lookahead
from gamedyn.stability import imaginary_limit, real_limit
from gamedyn.stability.properties import principal_error_norm, rooted_trees
from gamedyn.stability.regions import a_alpha, r_infinity, unstable_bands

EXPLICIT = """
euler 2 0 0.0447
extragradient 1 1 1.001
midpoint 2 0 0.2991
heun2 2 0 0.2991
ralston2 2 0 0.2991
kutta3 2.5127453266 1.7320508076 1.7344
heun3 2.5127453266 1.7320508076 1.7344
ralston3 2.5127453266 1.7320508076 1.7344
ssp33 2.5127453266 1.7320508076 1.7344
bosh3 2.5127453266 1.7320508076 1.7344
rk4 2.7852935634 2.8284271247 2.8288
rk4_38 2.7852935634 2.8284271247 2.8288
merson43 3.5483223442 3.4641016151 3.4644
ssp43 5.1494861478 2.1561796402 2.1581
ssp54 5.3314726 3.2783556 3.2787
ssp104 13.917047465 4.9214530707 4.9219
dopri5 3.3065678926 0.9971890086 1.3350
tsit5 3.5068469938 0.477978869 1.2899
dop853 6.39365152 5.96035981 5.9609
fehlberg5 3.6777066213 0 1.0903
fehlberg4 3.0200175440 0 -
cash_karp 3.7343596 0 1.2500
tsit5_embedded 4.0560361 0 1.1037
kg32 2 2 -
kg52 2.5911955 4 -
kg72 3.0 6 -
kg64 - 4.8989795 -
ndb124 4.0465 10.953794 -
ck54 4.6567571 3.340718 -
kcl43 2.7852936 2.8284271 -
kcl54 4.816957 3.3239301 -
rdpk35 4.92828 2.73934 -
"""

# The table of figures has 3.0200177 for Fehlberg's order-4 weights: R(-x) = -1 at 3.02001754397 (mpmath, 40 digits).

MULTISTEP = """
ab2 1 0
ab3 0.545454545455 0.723627226987
ab4 0.3 0.429987079909
ab5 0.16333938294 0
ab6 0.0877192982 0
ab11 0.00338254709 0.00384513690
am3 6 0
am4 3 0
am5 1.83673469388 1.21193059422
am6 1.18421052632 1.37635786656
leapfrog_multistep 0 1
ebdf2 1.33333333333 0
ebdf3 .952380952 0.633865691046
ebdf4 .711111111 0.544331053952
ebdf5 .550537634 0
optimistic 0.666666666667 0.57735026919
predicted.6 .909 .502519
predicted.7 .833 .583212
predicted.8 .769231 .600480576769
predicted.9 .714 .593914
predicted1.5 .5 .471405
pece_ab2_am2 2 1.2871885058
pece_ab2_am3 2.4 1.2
bdf1 inf inf
bdf2 inf inf
"""

STABILISED = """
rkc1-2 8
rkc1-3 18
rkc1-4 32
rkc1-5 50
rkc1-10 200
rkc1d-2 7.80839036
rkc1d-3 17.48800378
rkc1d-4 31.03932404
rkc1d-5 48.46241195
rkc1d-10 193.6546607
rkc2-2 2
rkc2-3 6.26079087
rkc2-4 10
rkc2-5 16.89389641
rkc2-10 66
rkc2d-2 2.0
rkc2d-3 6.180236814
rkc2d-4 9.851166103
rkc2d-5 16.60279907
rkc2d-10 64.73812367
rkl1-3 12
rkl1-5 30
rkl2-2 2
rkl2-3 5.80648628
rkl2-4 9
rkl2-5 14.74623396
rkl2-10 54
ssp2-2 2
ssp2-3 4.5198421
ssp2-4 6
ssp2-5 8.3378871
ssp2-10 18
"""

ANGLES = """
bdf3 86.0323668602
bdf4 73.3516704746
bdf5 51.8397558360
bdf6 17.8397777922
ndf3 80.4153676
ndf4 66.1817611
"""

NORMS = """
euler .5
heun2 .186338998
midpoint .171796068
ralston2 .166666667
kutta3 .058925565
heun3 .046296296
ralston3 .041811092
ssp33 .072168784
rk4 .0145045823
rk4_38 .0126693677
merson43 .005705443
dopri5 .000399080161
bogacki_shampine5 2.21693e-5
cash_karp .000948288618
ssp104 .00221122375
ssp43 .0360843918
kg32 .0931694991
kg52 .0465847495
gauss4 .00433062198
gauss6 .000165046691
radau_iia3 .0244976973
radau_iia5 .000989528507
"""

SPLIT = """
alternating 2
strang 2
ruth3 2.507481171
forest_ruth 1.573401947
"""

GAMES = """
lookahead-5-.5 2.2457309 .7425797524
lookahead-3-.5 - .8895436175
lookahead-10-.5 - .4360023744
lookahead-2-.5 - 0
lookahead-5-.8 - 0
lookahead_eg-2-.5 - 1.323696256
heavy.5 3.0 0
heavy.9 3.8 0
heavy-.5 1.0 0
"""


def chain(p):
    """A Runge-Kutta method whose stability polynomial is p: every stage uses the one before."""
    s = len(p) - 1
    weights = [p[k + 1] / p[k] for k in range(s)]  # weights[0] is the last
    A = [[F(0)] * s for _ in range(s)]
    for i in range(1, s):
        A[i][i - 1] = weights[s - i]
    return RungeKutta(A, [F(0)] * (s - 1) + [weights[0]], time_scale=weights[0])


def recursed(first, factors, s):
    """Polynomials p_k = (a_k + b_k z) p_{k-1} - c_k p_{k-2}, p_0 = 1; `factors(k) -> (a, b, c)`."""
    previous, current = [F(1)], first
    for k in range(2, s + 1):
        a, b, c = factors(k)
        grown = [a * x for x in current] + [F(0)]
        for i, x in enumerate(current):
            grown[i + 1] += b * x
        previous, current = current, [x - c * y for x, y in zip(grown, [*previous, F(0), F(0)], strict=False)]
    return current


def chebyshev_at(s, w):
    """T_s, T_s' and T_s'' at w."""
    T, d, dd = [F(1), w], [F(0), F(1)], [F(0), F(0)]
    for k in range(2, s + 1):
        T.append(2 * w * T[-1] - T[k - 2])
        d.append(2 * T[k - 1] + 2 * w * d[-1] - d[k - 2])
        dd.append(4 * d[k - 1] + 2 * w * dd[-1] - dd[k - 2])
    return T[s], d[s], dd[s]


def stabilised(name):
    kind, s = name.split("-")
    s = int(s)
    if kind.startswith("rkc"):
        eps = (F(1, 20) if kind == "rkc1d" else F(2, 13) if kind == "rkc2d" else F(0)) / s**2
        w0 = 1 + eps
        T, d, dd = chebyshev_at(s, w0)
        w1 = T / d if kind.startswith("rkc1") else d / dd
        p = recursed([w0, w1], lambda k: (2 * w0, 2 * w1, F(1)), s)
        if kind.startswith("rkc1"):
            return chain([x / T for x in p])
        b = dd / d**2
        return chain([1 - b * T + b * p[0], *(b * x for x in p[1:])])
    if kind in ("rkl1", "rkl2"):
        w = F(2, s * s + s) if kind == "rkl1" else F(4, s * s + s - 2)
        p = recursed([F(1), w], lambda k: (F(2 * k - 1, k), F(2 * k - 1, k) * w, F(k - 1, k)), s)
        if kind == "rkl1":
            return chain(p)
        b = F(s * s + s - 2, 2 * s * (s + 1))
        return chain([1 - b + b * p[0], *(b * x for x in p[1:])])
    r = F(1, s - 1)  # SSP(s, 2): ((s - 1) (1 + z / (s - 1))^s + 1) / s
    power = [math.comb(s, k) * r**k for k in range(s + 1)]
    return chain([F(s - 1, s) * x + (F(1, s) if k == 0 else 0) for k, x in enumerate(power)])


def adams(k):
    """Adams-Bashforth of order k: `sum_j gamma_j nabla^j v`, `sum_i gamma_{j-i} / (i + 1) = 1`."""
    gamma = []
    for j in range(k):
        gamma.append(1 - sum((gamma[j - i] * F(1, i + 1) for i in range(1, j + 1)), F(0)))
    beta = [F(0)] * (k + 1)
    for j, g in enumerate(gamma):
        for i in range(j + 1):
            beta[k - 1 - i] += g * (-1) ** i * math.comb(j, i)
    return LinearMultistep([F(0)] * (k - 1) + [F(-1), F(1)], beta)


FEHLBERG = [
    [],
    ["1/4"],
    ["3/32", "9/32"],
    ["1932/2197", "-7200/2197", "7296/2197"],
    ["439/216", -8, "3680/513", "-845/4104"],
    ["-8/27", 2, "-3544/2565", "1859/4104", "-11/40"],
]
CASH_KARP = [
    [],
    ["1/5"],
    ["3/40", "9/40"],
    ["3/10", "-9/10", "6/5"],
    ["-11/54", "5/2", "-70/27", "35/27"],
    ["1631/55296", "175/512", "575/13824", "44275/110592", "253/4096"],
]
OTHERS = {
    "fehlberg5": RungeKutta(FEHLBERG, ["16/135", 0, "6656/12825", "28561/56430", "-9/50", "2/55"]),
    "fehlberg4": RungeKutta(FEHLBERG, ["25/216", 0, "1408/2565", "2197/4104", "-1/5", 0]),
    "cash_karp": RungeKutta(CASH_KARP, ["37/378", 0, "250/621", "125/594", 0, "512/1771"]),
    "tsit5_embedded": RungeKutta(get("tsit5").A, get("tsit5").b_hat, digits=15),
    "ab11": adams(11),
    "bdf1": get("implicit_euler"),
}


def ndf(k):
    """Klopfenstein's and Shampine's modification: `sum_{m<=k} nabla^m y / m = h f + kappa gamma_k (y - predicted)`."""
    kappa = {3: F(-823, 10000), 4: F(-415, 10000)}[k]
    gamma = sum(F(1, m) for m in range(1, k + 1))
    alpha = [F(0)] * (k + 2)

    def nabla(m, factor):
        for i in range(m + 1):
            alpha[k + 1 - i] += factor * (-1) ** i * math.comb(m, i)

    for m in range(1, k + 1):
        nabla(m, F(1, m))
    nabla(k + 1, -kappa * gamma)
    lead = alpha[-1]
    return LinearMultistep([a / lead for a in alpha], [F(0)] * (k + 1) + [1 / lead])


def method(name):
    if name in OTHERS:
        return OTHERS[name]
    if name.startswith("predicted"):
        a = F(name.removeprefix("predicted"))
        return LinearMultistep([0, -1, 1], [-a, 1 + a, 0])
    if name.startswith("heavy"):
        return heavy_ball(F(name.removeprefix("heavy").replace("ball", "")) if "." in name else F(9, 10))
    if name.startswith("lookahead"):
        inner, k, alpha = name.split("-")
        return lookahead(get("extragradient" if inner.endswith("eg") else "euler"), int(k), F(alpha))
    if name.startswith("ndf"):
        return ndf(int(name[3:]))
    return stabilised(name) if "-" in name else get(name)


def rows(text, *quantities):
    for line in text.split("\n"):
        if line:
            name, *values = line.split()
            for quantity, value in zip(quantities, values, strict=True):
                if value != "-":
                    yield name, quantity, value


def tolerant(m):
    return imaginary_limit(m, tolerance=1e-3)


FIGURES = [
    *rows(EXPLICIT, real_limit, imaginary_limit, tolerant),
    *rows(MULTISTEP, real_limit, imaginary_limit),
    *rows(STABILISED, real_limit),
    *rows(ANGLES, a_alpha),
    *rows(NORMS, principal_error_norm),
    *rows(SPLIT, imaginary_limit),
    *rows(GAMES, real_limit, imaginary_limit),
]


def unit(text):
    """One unit in the last digit given."""
    mantissa, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])) if "." in mantissa else 1e-9


@pytest.mark.parametrize(("name", "quantity", "text"), FIGURES, ids=[f"{n}-{q.__name__}" for n, q, _ in FIGURES])
def test_figure(name, quantity, text):
    # rejects: any wrong coefficient, a crossing missed or invented, another normalisation
    found = quantity(method(name))
    assert found == float(text) or abs(found - float(text)) <= unit(text)


def test_bands_and_other_figures():
    # methods.md b5, b6, b8, b9
    for name, band in (("bdf3", (0, 15**0.5 / 2)), ("bdf4", (0, 10 * 2**0.5 / 3))):
        np.testing.assert_allclose(unstable_bands(name)[0], band, rtol=1e-9, atol=1e-12)
    for name, low in (("bdf5", 0.710807671), ("bdf6", 0.843138162)):
        assert unstable_bands(name)[0][0] == pytest.approx(low, abs=1e-9)
    assert r_infinity(RungeKutta([["2/3", 0], [0, "2/3"]], ["1/2", "1/2"])) == pytest.approx(
        0.5
    )  # theta-like: (1 - t) / t
    for ratio in (F(3, 4), F(1), F(3, 2)):  # z: sqrt(2a - 1) / a, with the step scaled to 1
        assert imaginary_limit(extragradient(ratio)) == pytest.approx(math.sqrt(2 * ratio - 1) / ratio, rel=1e-9)
    assert [len(rooted_trees(n)) for n in range(1, 11)] == [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]
    assert [len(rooted_trees(n, colours=2)) for n in range(1, 7)] == [2, 4, 14, 52, 214, 916]


def test_worst_error():
    """Of figures given to nine digits or more: what rounding to nine digits leaves."""
    assert len(FIGURES) == 212
    long = [f for f in FIGURES if len(f[2].partition("e")[0].replace(".", "").lstrip("0")) >= 9]
    worst = max(abs(q(method(n)) / float(text) - 1) for n, q, text in long)
    assert len(long) == 89
    assert worst < 4e-9
