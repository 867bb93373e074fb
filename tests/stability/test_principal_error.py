"""Stage order and principal error norm: by hand, by trees, and in the papers."""

from __future__ import annotations

from math import sqrt

import mpmath
import numpy as np
import pytest

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import RungeKutta
from gamedyn.stability.properties import order_residuals
from gamedyn.stability.properties.accuracy import principal_error_norm, stage_order

OWN = gd.methods.members()


def gauss(stages):
    """Collocation at the roots of the shifted Legendre polynomial, in floats."""
    c = (np.polynomial.legendre.leggauss(stages)[0] + 1) / 2
    V = c[:, None] ** np.arange(stages)
    k = np.arange(1, stages + 1)
    return RungeKutta((c[:, None] ** k / k) @ np.linalg.inv(V), (1 / k) @ np.linalg.inv(V))


def lobatto_iii(kind):
    """Lobatto IIIA and IIIC of three stages (Hairer, Wanner II, tables 5.7 and 5.11)."""
    A = {
        "A": [[0, 0, 0], ["5/24", "1/3", "-1/24"], ["1/6", "2/3", "1/6"]],
        "C": [["1/6", "-1/3", "1/6"], ["1/6", "5/12", "-1/12"], ["1/6", "2/3", "1/6"]],
    }
    return RungeKutta(A[kind], ["1/6", "2/3", "1/6"])


class TestStageOrder:
    @pytest.mark.parametrize(
        ("name", "q"),
        [
            ("gauss4", 2),
            ("gauss6", 3),
            ("rk4", 1),
            ("radau_iia3", 2),
            ("radau_iia5", 3),
            ("trapezoid", 2),
            ("implicit_midpoint", 1),
            ("implicit_euler", 1),
            ("euler", 1),
            ("tr_bdf2", 2),
            ("ck54", 1),
            ("dop853", 1),
        ],
    )
    def test_published(self, name, q):
        # methods.md b6, b9; an explicit first stage (trapezoid, tr_bdf2) is C(q) for all q
        # rejects: B(q) alone (rk4: 4), C(q) alone (euler: unbounded)
        assert stage_order(name) == q

    def test_lobatto(self):
        # IIIA s, IIIC s - 1 (methods.md b6); rejects: the order of the quadrature
        assert [stage_order(lobatto_iii(kind)) for kind in "AC"] == [3, 2]

    @pytest.mark.parametrize("stages", [2, 3, 4, 5])
    def test_floats_to_their_digits(self, stages):
        # rejects: exact comparison of rounded coefficients (order 0 or 1)
        assert stage_order(gauss(stages)) == stages

    def test_a_clock_and_an_idle_stage_change_nothing(self):
        # rejects: A not divided by the clock; stages that only serve the error estimate counted
        gauss4 = OWN["gauss4"]
        twice = [[2 * a for a in r] for r in gauss4.A], [2 * w for w in gauss4.b]
        assert stage_order(RungeKutta(*twice, time_scale=2, digits=50)) == 2
        idle = RungeKutta([["5/12", "-1/12"], ["3/4", "1/4"], ["1/2", 0, 0]], ["3/4", "1/4", 0])
        assert stage_order(idle) == stage_order("radau_iia3") == 2

    def test_inconsistent(self):
        assert stage_order(RungeKutta([[]], ["1/2"])) == 0


NORMS = {
    "euler": ".5",
    "heun2": ".186338998",
    "midpoint": ".171796068",
    "ralston2": ".166666667",
    "dopri5": ".000399080161",
    "kutta3": ".058925565",
    "heun3": ".046296296",
    "ralston3": ".041811092",
    "bosh3": ".041811092",
    "ssp33": ".072168784",
    "rk4": ".0145045823",
    "rk4_38": ".0126693677",
    "merson43": ".005705443",
    "bogacki_shampine5": "2.21693e-5",
    "ssp104": ".00221122375",
    "ssp43": ".0360843918",
    "kg32": ".0931694991",
    "kg52": ".0465847495",
    "gauss4": ".00433062198",
    "gauss6": ".000165046691",
    "radau_iia3": ".0244976973",
    "radau_iia5": ".000989528507",
}


"""methods.md b1."""


CASH_KARP = RungeKutta(
    [
        [],
        ["1/5"],
        ["3/40", "9/40"],
        ["3/10", "-9/10", "6/5"],
        ["-11/54", "5/2", "-70/27", "35/27"],
        ["1631/55296", "175/512", "575/13824", "44275/110592", "253/4096"],
    ],
    ["37/378", 0, "250/621", "125/594", 0, "512/1771"],
    ["2825/27648", 0, "18575/48384", "13525/55296", "277/14336", "1/4"],
)


FEHLBERG = RungeKutta(
    [
        [],
        ["1/4"],
        ["3/32", "9/32"],
        ["1932/2197", "-7200/2197", "7296/2197"],
        ["439/216", -8, "3680/513", "-845/4104"],
        ["-8/27", 2, "-3544/2565", "1859/4104", "-11/40"],
    ],
    ["16/135", 0, "6656/12825", "28561/56430", "-9/50", "2/55"],
    ["25/216", 0, "1408/2565", "2197/4104", "-1/5", 0],
)


def unit(text):
    """Half a unit of the last digit given."""
    mantissa, _, exponent = text.partition("e")
    return 0.5000001 * 10.0 ** (int(exponent or 0) - len(mantissa.split(".")[1]))


class TestPrincipalErrorNorm:
    @pytest.mark.parametrize("name", NORMS)
    def test_published(self, name):
        # rejects: residuals unweighted (heun2: .2357), weighted by alpha(t) or by 1/(p+1)!, or the largest instead
        assert abs(principal_error_norm(name) - float(NORMS[name])) <= unit(NORMS[name])

    def test_published_pairs(self):
        # Cash-Karp 5, and Fehlberg 4(5), for which the list gives the weights of order 4
        assert abs(principal_error_norm(CASH_KARP) - 0.000948288618) <= 5e-13
        assert FEHLBERG.order == 5
        assert abs(principal_error_norm(FEHLBERG) - 0.00335574469) <= 5e-12

    def test_closed_forms(self):
        # exact: sqrt 5 / 12 and, of midpoint, sqrt(1/24^2 + 1/6^2); tolerance: rounding
        np.testing.assert_allclose(principal_error_norm("heun2"), sqrt(5) / 12, rtol=1e-15)
        np.testing.assert_allclose(principal_error_norm("midpoint"), sqrt(17) / 24, rtol=1e-15)

    def test_embedded_weights(self):
        # rejects: the main weights' order or residuals; euler is what heun2 embeds
        assert principal_error_norm("heun2", embedded=True) == principal_error_norm("euler")
        b4 = RungeKutta(OWN["dopri5"].A, OWN["dopri5"].b_hat)
        assert principal_error_norm("dopri5", embedded=True) == principal_error_norm(b4)
        with pytest.raises(ArgumentError, match="embedded weights"):
            principal_error_norm("rk4", embedded=True)

    def test_it_is_the_leading_term_of_a_scalar_error(self):
        # on y' = y^2 the local error over h^(p+1) tends to sum_t e(t) F(t), F(t) a product of 1, 2, 2
        # rejects: a tree or a symmetry lost
        for name in ("rk4", "kutta3", "merson43"):
            m = OWN[name]
            trees = [t for t in order_residuals(m, m.order + 1) if _vertices(t) == m.order + 1]
            residuals = order_residuals(m, m.order + 1)
            predicted = sum(float(residuals[t]) / _symmetries(t) * _square_field(t) for t in trees)
            with mpmath.workdps(60):
                h = mpmath.mpf(10) ** -8
                error = (_step(m, h) - 1 / (1 - h)) / h ** (m.order + 1)
            np.testing.assert_allclose(float(error), predicted, rtol=1e-6)  # next term: O(h)

    def test_clocks(self):
        # Lookahead over Euler, A and b over its clock 5/2; rejects: undivided coefficients
        m = OWN["lookahead5"]
        s = m.time_scale
        scaled = RungeKutta([[a / s for a in r] for r in m.A], [w / s for w in m.b])
        assert principal_error_norm(m) == principal_error_norm(scaled) == pytest.approx(0.3, rel=1e-15)

    def test_rosenbrock(self):
        # linearly implicit Euler: b (A + Gamma) 1 - 1/2 = 1/2
        assert principal_error_norm("rosenbrock_euler") == 0.5
        # order 2; bushy: b (A 1)^2 - 1/3, tall: b (A + Gamma)^2 1 - 1/6
        # rejects: Gamma left out, or put in the bushy tree
        half = gd.methods.LinearlyImplicit(A=[[]], gamma=[["1/2"]], b=[1])
        np.testing.assert_allclose(
            principal_error_norm(half), sqrt((1 / 3 / 2) ** 2 + (1 / 4 - 1 / 6) ** 2), rtol=1e-15
        )

    def test_order_above_ten_is_refused(self):
        with pytest.raises(ArgumentError, match="below 10"):
            principal_error_norm(gauss(5))


def _vertices(tree):
    return 1 + sum(map(_vertices, tree[1]))


def _symmetries(tree):
    out = 1
    for child in set(tree[1]):
        out *= _symmetries(child) ** tree[1].count(child) * int(mpmath.factorial(tree[1].count(child)))
    return out


def _square_field(tree):
    """F(t) of y^2 at 1: derivatives 1, 2, 2, 0."""
    out = (1, 2, 2, 0, 0, 0, 0)[len(tree[1])]
    for child in tree[1]:
        out *= _square_field(child)
    return out


def _step(m, h):
    k = []
    for row in m.A:
        k.append((1 + h * sum(mpmath.mpf(a.numerator) / a.denominator * x for a, x in zip(row, k, strict=False))) ** 2)
    return 1 + h * sum(mpmath.mpf(w.numerator) / w.denominator * x for w, x in zip(m.b, k, strict=True))
