"""A- and L-stability, E-polynomials, R(inf), intervals and bands on the axes: methods.md b1, b5, b6."""

import math
from fractions import Fraction as F
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Lookahead, PredictorCorrector, RungeKutta, adams_moulton, bdf, get, members
from gamedyn.methods import theta as theta_method
from gamedyn.stability import amplification, imaginary_limit, real_limit, stability_function
from gamedyn.stability.regions.axis import (
    a_stable,
    axis_intervals,
    e_polynomial,
    l_stable,
    r_infinity,
    stiffly_accurate,
    unstable_bands,
)
from gamedyn.stability.regions.rays import ray_intervals
from gamedyn.stability.symbols.polynomial import gcd, trimmed

ALL = members()
MODES = sorted(n for n, m in ALL.items() if m.decouples)
BLOCKS = sorted(n for n, m in ALL.items() if not m.decouples)
L_STABLE = {
    "bdf2", "exponential_rosenbrock_euler", "exprb32", "implicit_euler", "kvaerno3", "kvaerno4", "kvaerno5",
    "radau_iia3", "radau_iia5", "rodas3", "ros2", "ros34pw2", "rosenbrock_euler", "sdirk2", "sdirk3", "tr_bdf2",
}  # fmt: skip
CONSERVING = {"gauss4", "gauss6", "implicit_midpoint", "trapezoid"}
ROOT3 = math.sqrt(3)


def sdirk(gamma, s):
    """A diagonally implicit method with `R = P / (1 - gamma z)^s` of linear order s."""
    g = F(gamma)
    A = [[F(j == i - 1) + g * (j == i) for j in range(s)] for i in range(s)]
    rows, v = [], [F(1)] * s
    for k in range(1, s + 1):
        rows.append([*v, F(1, factorial(k))])
        v = [sum(a * x for a, x in zip(r, v, strict=True)) for r in A]
    for i in range(s):  # b^T A^(k-1) 1 = 1/k!, k = 1..s
        pivot = next(r for r in range(i, s) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        rows = [r if r is rows[i] else [x - r[i] * y for x, y in zip(r, rows[i], strict=True)] for r in rows]
    return RungeKutta(A, [r[-1] for r in rows])


def floats(method, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)

    def moved(x):
        return float(x) * (1 + noise * rng.standard_normal())

    return RungeKutta([[moved(a) for a in r] for r in method.A], [moved(w) for w in method.b])


class TestEPolynomial:
    @pytest.mark.parametrize(
        ("method", "power", "leading"),
        [
            ("radau_iia3", 4, F(1, 36)),
            ("radau_iia5", 6, F(1, 3600)),
            (RungeKutta([["1/2", "-1/2"], ["1/2", "1/2"]], ["1/2", "1/2"]), 4, F(1, 4)),  # Lobatto IIIC, two stages
            (RungeKutta([[], ["1/4", "1/4"], ["1/3", "1/3", "1/3"]], ["1/3", "1/3", "1/3"]), 4, F(1, 144)),  # TR-BDF2
            ("implicit_euler", 2, F(1)),
            ("rodas3", 4, F(1, 24)),
        ],
    )
    def test_leading_terms(self, method, power, leading):
        """methods.md b6, exact. Rejects: the sign of `|P|^2 - |Q|^2`, R with a common factor left in."""
        E = e_polynomial(method)
        assert E[:power] == (0,) * power
        assert E[power] == leading

    @pytest.mark.parametrize("name", sorted(CONSERVING))
    def test_gauss_is_zero(self, name):
        """|R| = 1 on the axis, identically, of 50-digit and of float coefficients. Rejects: noise kept as a term."""
        assert e_polynomial(name) == (0,)
        assert e_polynomial(floats(get(name))) == (0,)
        assert a_stable(floats(get(name)))

    def test_irrational_coefficients(self):
        # L-stable SDIRK: P of degree 1, E = gamma^4 y^4; rejects: y^2 left at 1e-51, P_2 left at 1e-51
        E = e_polynomial("sdirk2")
        assert E[:4] == (0,) * 4
        assert len(E) == 5
        assert float(E[4]) == pytest.approx((1 - 1 / math.sqrt(2)) ** 4, rel=1e-15)
        assert e_polynomial("tr_bdf2")[4] == pytest.approx(float(E[4]), rel=1e-15)  # the same R

    @pytest.mark.parametrize(
        "name", [n for n in MODES if not isinstance(ALL[n], (LinearMultistep, PredictorCorrector))]
    )
    def test_against_values(self, name):
        """E(y) = |Q|^2 - |P|^2 at a few y, and no term below the order. Rejects: odd powers, signs of i^k."""
        method = ALL[name]
        if name.startswith("exp"):
            with pytest.raises(ArgumentError, match="rational"):
                e_polynomial(name)
            return
        E = e_polynomial(name)
        order = 1 if isinstance(method, Lookahead) else stability_function(name).linear_order()
        assert not any(E[: order + 1])
        assert not any(E[1::2])
        R = None if isinstance(method, Lookahead) else stability_function(name)
        for y in (0.4, 1.3):
            value = sum(float(c) * y**k for k, c in enumerate(E))
            Q = 1.0 if R is None else abs(sum(float(c) * (1j * y) ** k for k, c in enumerate(R.denominator)))
            expected = Q**2 * (1 - float(amplification(name, 1j * y)) ** 2)
            assert value == pytest.approx(expected, abs=1e-11)  # |R|^2 loses 1e-16 x |Q|^2, coefficients 1e-13

    def test_a_multistep_method_has_none(self):
        with pytest.raises(ArgumentError, match="characteristic_polynomials"):
            e_polynomial("bdf3")


class TestAStability:
    @pytest.mark.parametrize("name", MODES)
    def test_members(self, name):
        """Rejects: A-stability from the axes alone of what has poles, BDF3 to BDF6, explicit methods."""
        assert a_stable(name) == (name in L_STABLE | CONSERVING)
        if name != "kvaerno4":  # |R(inf)| = 6.9e-11 for gamma of ten decimals: see below
            assert l_stable(name) == (name in L_STABLE)

    @pytest.mark.parametrize(
        ("stages", "gamma", "expected"),
        [
            (2, F(1, 4), True),
            (2, F(1, 4) - F(1, 10**30), False),
            (3, F(1, 3), True),
            (3, F(1, 3) - F(1, 10**30), False),
            (3, "1.0685790", True),
            (3, "1.0685791", False),
            (4, "0.3943375672", False),
            (4, "0.3943375673", True),
            (4, "1.2805797612", True),
            (4, "1.2805797613", False),
            (5, "0.2465051930", False),
            (5, "0.2465051932", True),
            (5, "0.3618033", True),
            (5, "0.3618035", False),
            (5, "0.4207825", False),
            (5, "0.4207826", True),
            (5, "0.4732683", True),
            (5, "0.4732684", False),
        ],
    )
    def test_diagonally_implicit_intervals(self, stages, gamma, expected):
        """HW II, IV.6, table 6.3: where a method of s stages and order s is A-stable, decided at its very end.

        Rejects: floating-point roots (1e-30), E tested at sampled y, R(inf) alone.
        """
        assert a_stable(sdirk(gamma, stages)) is expected

    def test_a_pole_on_the_left(self):
        # R = 1/(1 + z): |R| <= 1 on the imaginary axis, a pole at -1; rejects: E alone
        method = RungeKutta([[-1]], [-1], time_scale=-1)
        assert not any(x < 0 for x in e_polynomial(method))
        assert not a_stable(method)
        assert r_infinity(method) == 0

    @pytest.mark.parametrize("noise", [0.0, 3e-16])
    def test_rounded_coefficients(self, noise):
        """Borderline gamma = 1/3 and TR-BDF2 as floats. Rejects: exact arithmetic on rounded numbers."""
        for method in (sdirk("1/3", 3), get("tr_bdf2"), get("radau_iia5"), get("kvaerno5")):
            assert a_stable(floats(method, noise))
        assert not a_stable(floats(sdirk(F(1, 3) - F(1, 10**9), 3), noise))
        for k in (1, 2):
            exact = bdf(k)
            assert a_stable(LinearMultistep([float(a) for a in exact.alpha], [float(b) for b in exact.beta]))

    def test_multistep(self):
        """Dahlquist 1963. Rejects: order 3 and up, explicit methods, theta beyond its limit."""
        for method, expected in (
            (adams_moulton(2), True),
            (adams_moulton(3), False),
            (bdf(2), True),
            (LinearMultistep([-1, 1], [F(1, 2) + F(1, 10**20), F(1, 2) - F(1, 10**20)]), False),
            (LinearMultistep([-1, 1], [F(1, 2) - F(1, 10**20), F(1, 2) + F(1, 10**20)]), True),
            (LinearMultistep([-1, 1], [2, -1]), False),  # a pole at z = -1
            (LinearMultistep([0, -1, 1], [0, 0, 1]), True),  # implicit Euler times zeta
            (LinearMultistep([-1, 0, 1], [0, 0, 2]), True),  # implicit Euler over two steps
            (LinearMultistep([-1, 0, 1], [0, 2, 0]), False),
            (LinearMultistep([1, -2, 1], [0, -1, 1]), False),  # implicit Euler times zeta - 1: double root at z = 0
        ):
            assert a_stable(method) is expected, method

    def test_a_common_factor_decides_too(self):
        # implicit Euler times (zeta + 1)^2: a double root -1 whatever z is; rejects: reduced polynomials alone
        assert a_stable(LinearMultistep([-1, 0, 1], [0, 1, 1]))
        assert not a_stable(LinearMultistep([-1, -1, 1, 1], [0, 1, 2, 1]))
        assert not a_stable(LinearMultistep([2, -3, 1], [0, -2, 1]))  # times (zeta - 2)
        # the trapezoidal rule times zeta^2 + 1 has the double root i at z = 2i, times zeta + 1 only at infinity
        half = F(1, 2)
        assert not a_stable(LinearMultistep([-1, 1, -1, 1], [half, half, half, half]))
        assert a_stable(LinearMultistep([-1, 0, 1], [half, 1, half]))

    @given(
        alpha=st.lists(st.fractions(-2, 2, max_denominator=6), min_size=1, max_size=2),
        beta=st.lists(st.fractions(-1, 2, max_denominator=6), min_size=1, max_size=2),
        newest=st.fractions(F(1, 6), 2, max_denominator=6),
    )
    def test_multistep_against_its_locus(self, alpha, beta, newest):
        """Sampled locus and dominant roots. Rejects: the sign of Re(rho conj(sigma)), z = +1 for z = -1."""
        beta = (beta * 2)[: len(alpha)]
        rho = [*alpha, F(1)]
        rho[0] -= sum(rho)
        clock = sum(beta) + newest
        slope = sum(j * a for j, a in enumerate(rho))
        if not slope or clock / slope <= 0:
            return
        method = LinearMultistep(rho, [*beta, newest], time_scale=clock / slope)
        zeta = np.exp(1j * np.linspace(1e-3, np.pi, 4000))
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.polyval([float(x) for x in reversed(rho)], zeta)
            z = z / np.polyval([float(x) for x in [newest, *reversed(beta)]], zeta)
        left = z[np.isfinite(z) & (z.real < -1e-9 * np.abs(z)) & (np.abs(z) < 1e6)]
        if a_stable(method):
            assert not left.size  # the locus stays out of the left half-plane
            assert float(amplification(method, -1.0)) < 1 + 1e-12
        elif left.size:  # where it comes in, some root leaves the unit disc on one side of it
            around = left * (1 + 1e-2 * np.exp(2j * np.pi * np.arange(12) / 12))[:, None]
            assert float(amplification(method, around[around.real < 0]).max()) > 1
        else:
            reducible = len(gcd(method.alpha, trimmed(method.beta))) > 1
            assert reducible or float(amplification(method, -1.0)) >= 1 - 1e-12


class TestInfinity:
    @pytest.mark.parametrize(
        ("method", "value", "tolerance"),
        [
            (sdirk(F((3 + ROOT3) / 6), 2), ROOT3 - 1, 1e-14),  # b6: .7320508
            (sdirk("1.06857902130162881", 3), 0.630414938191810, 1e-13),  # b6 gives .6304148
            (sdirk("0.231", 4), 0.454, 5e-4),  # GRK4T: HW II, IV.7, table 7.2
            (theta_method("3/4"), 1 / 3, 1e-15),
            (theta_method(0.6), 2 / 3, 1e-14),
            ("trapezoid", 1.0, 0),
            ("gauss4", 1.0, 0),
            ("gauss6", 1.0, 0),
            ("radau_iia5", 0.0, 0),
            ("kvaerno3", 0.0, 0),
            ("kvaerno5", 0.0, 0),
            ("ros34pw2", 0.0, 0),
            ("bdf6", 0.0, 0),
            ("am3", (8 + math.sqrt(84)) / 10, 1e-15),  # 5 x^2 + 8 x - 1
            (adams_moulton(2), 1.0, 0),
            ("rk4", math.inf, 0),
            ("ab3", math.inf, 0),
            ("pece_ab2_am3", math.inf, 0),
            ("exprb32", 0.0, 0),
        ],
    )
    def test_known(self, method, value, tolerance):
        """methods.md b6. Rejects: the ratio of coefficients of unequal degree, rho's roots for sigma's."""
        got = r_infinity(method)
        assert got == value or abs(got - value) <= tolerance

    def test_a_rounded_gamma(self):
        """kvaerno4 has gamma to ten decimals: |R(inf)| = 6.9e-11, which 12 trusted digits do not tell from 0.

        Rejects: a tolerance on P's coefficient that forgets what the other factors multiply it by.
        """
        member = get("kvaerno4")
        assert r_infinity(RungeKutta(member.A, member.b)) == pytest.approx(6.892791e-11, rel=1e-6)
        trusted = RungeKutta(member.A, member.b, digits=12)
        assert r_infinity(trusted) == 0
        assert l_stable(trusted)
        assert stiffly_accurate(trusted)

    def test_stiffly_accurate(self):
        """HW II, IV.3 and IV.7. Rejects: FSAL for it (dopri5), rosenbrock_euler's missing alpha_s = 1."""
        yes = {n for n in MODES if hasattr(ALL[n], "A") and stiffly_accurate(n)}
        assert yes == {
            "implicit_euler", "kvaerno3", "kvaerno4", "kvaerno5", "radau_iia3", "radau_iia5", "rodas3", "ros34pw2",
            "sdirk2", "sdirk3", "tr_bdf2", "trapezoid",
        }  # fmt: skip
        for name in ("bdf2", "cgd", "exprb32", "alternating", "pece_ab2_am2", "normalised"):
            with pytest.raises(ArgumentError, match="Runge-Kutta or Rosenbrock"):
                stiffly_accurate(name)


class TestIntervals:
    @pytest.mark.parametrize("name", MODES)
    def test_start_with_the_limits(self, name):
        # rejects: directions exchanged
        for axis, limit in (("real", real_limit), ("imaginary", imaginary_limit)):
            for tolerance in (0.0, 1e-3):
                found = axis_intervals(name, axis, tolerance=tolerance)
                first = found[0][1] if found and found[0][0] == 0 else 0.0
                assert first == limit(name, tolerance=tolerance)

    @pytest.mark.parametrize(
        ("name", "low", "high", "digits"),
        [
            ("bdf3", 0, math.sqrt(15) / 2, 12),
            ("bdf4", 0, 10 * math.sqrt(2) / 3, 12),
            ("bdf5", 0.710807671, 9.4, 9),
            ("bdf6", 0.843138162, 17.6, 9),
        ],
    )
    def test_unstable_bands(self, name, low, high, digits):
        """methods.md b5. Rejects: the first interval alone, a band from the locus' other crossings."""
        ((start, end),) = unstable_bands(name)
        assert start == pytest.approx(low, abs=0.51 * 10.0**-digits)
        assert end == pytest.approx(high, abs=0.05 if digits == 9 else 1e-12)
        for y in (end * (1 + 1e-7), 3 * end, 1e4):
            assert float(amplification(name, 1j * y)) <= 1
        assert float(amplification(name, 1j * end * (1 - 1e-7))) > 1
        assert float(amplification(name, 1j * (start + end) / 2)) > 1

    def test_bands_are_bounded(self):
        # no band of a method that is unstable from some y on; a later interval makes one
        assert unstable_bands("rk4") == unstable_bands("euler") == unstable_bands("trapezoid") == ()
        ((low, high),) = unstable_bands("pecece_ab2_am3")
        assert low == 0
        y = np.linspace(0.05, high * 0.999, 50)
        assert np.all(amplification("pecece_ab2_am3", 1j * y) > 1)
        assert float(amplification("pecece_ab2_am3", 1.001j * high)) < 1
        assert unstable_bands("bdf3", tolerance=1.0) == ()

    @pytest.mark.parametrize("clock", [F(1), F(1, 10), F(1, 1000), F(10)])
    def test_predictor_corrector_of_any_clock(self, clock):
        """Heun's method in other units of time. Rejects: a scan that ends at 12 whatever the method is."""
        ab1 = LinearMultistep([-1, 1], [clock, 0], time_scale=clock)
        am2 = LinearMultistep([-1, 1], [clock / 2, clock / 2], time_scale=clock)
        pair = PredictorCorrector(ab1, am2)
        ((low, high),) = ray_intervals(pair, -1.0)
        assert (low, high) == (0, pytest.approx(float(2 / clock), rel=1e-12))
        assert ray_intervals(pair, 1j) == []
        limit = imaginary_limit("heun2", tolerance=1e-3)
        assert imaginary_limit(pair, tolerance=1e-3) == pytest.approx(limit / float(clock), rel=1e-9)


class TestBadInput:
    @pytest.mark.parametrize("function", [a_stable, l_stable, r_infinity, e_polynomial, axis_intervals, unstable_bands])
    def test_what_has_no_modes_is_refused(self, function):
        for name in BLOCKS:
            with pytest.raises(ArgumentError, match="modes decouple"):
                function(name)
        for name in ("normalised", "scipy:RK45"):
            with pytest.raises(ArgumentError, match="coefficients gamedyn holds"):
                function(name)

    def test_arguments(self):
        with pytest.raises(ArgumentError, match="axis"):
            axis_intervals("rk4", "vertical")
        for tolerance in (-1e-3, math.nan, math.inf, True):
            with pytest.raises(ArgumentError, match="tolerance"):
                axis_intervals("rk4", "real", tolerance=tolerance)
