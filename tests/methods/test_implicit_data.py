"""Implicit Runge-Kutta data: collocation, Pade approximants, stability at infinity (methods.md b6)."""

import math
from fractions import Fraction as F

import numpy as np
import pytest

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import RungeKutta, get, members, theta
from gamedyn.stability import stability_function

IMPLICIT = {n: m for n, m in members().items() if isinstance(m, RungeKutta) and not m.explicit}
EPSILON = F(10) ** -45
ROOT2 = F(math.isqrt(2 * 10**120), 10**60)

# order, embedded order, stages, stage order (the largest q with C(q))
FACTS = {
    "implicit_euler": (1, None, 1, 1),
    "trapezoid": (2, None, 2, 2),
    "implicit_midpoint": (2, None, 1, 1),
    "sdirk2": (2, None, 2, 1),
    "sdirk3": (3, None, 3, 1),
    "tr_bdf2": (2, 3, 3, 2),
    "kvaerno3": (3, 2, 4, 2),
    "kvaerno4": (4, 3, 5, 2),
    "kvaerno5": (5, 4, 7, 2),
    "gauss4": (4, None, 2, 2),
    "gauss6": (6, None, 3, 3),
    "radau_iia3": (3, None, 2, 2),
    "radau_iia5": (5, None, 3, 3),
}


def tolerance(method):
    return F(10) ** (2 - method.digits) if method.digits else F(0)


def test_every_implicit_member_is_here():
    assert set(FACTS) == set(IMPLICIT)


@pytest.mark.parametrize("name", FACTS)
def test_orders_and_stage_orders(name):
    """sum_j a_ij c_j^(q-1) = c_i^q / q for every stage. Rejects: rows of A exchanged, names by stages."""
    method, (order, embedded, stages, stage_order) = IMPLICIT[name], FACTS[name]
    assert (method.order, method.embedded_order, method.stages) == (order, embedded, stages)

    def gap(q):
        rows = (
            sum((a * c ** (q - 1) for a, c in zip(row, method.c, strict=True)), F(0)) - node**q / q
            for row, node in zip(method.A, method.c, strict=True)
        )
        return max(map(abs, rows))

    assert all(gap(q) <= tolerance(method) for q in range(1, stage_order + 1))
    assert gap(stage_order + 1) > F(1, 1000)


@pytest.mark.parametrize(
    ("name", "roots"),
    [
        ("gauss4", np.polynomial.Legendre([0, 0, 1]).roots()),
        ("gauss6", np.polynomial.Legendre([0, 0, 0, 1]).roots()),
        ("radau_iia3", np.polynomial.Legendre([0, -1, 1]).roots()),
        ("radau_iia5", np.polynomial.Legendre([0, 0, -1, 1]).roots()),
    ],
)
def test_nodes_are_roots_of_legendre_polynomials(name, roots):
    """P_s for Gauss, P_s - P_(s-1) for Radau IIA, on [0, 1]. Rejects: Radau IA, Lobatto."""
    nodes = [float(c) for c in IMPLICIT[name].c]
    np.testing.assert_allclose(nodes, (np.sort(roots) + 1) / 2, rtol=0, atol=1e-14)


PADE = {
    "implicit_euler": ("1", "1 -1"),
    "trapezoid": ("1 1/2", "1 -1/2"),
    "implicit_midpoint": ("1 1/2", "1 -1/2"),
    "gauss4": ("1 1/2 1/12", "1 -1/2 1/12"),
    "gauss6": ("1 1/2 1/10 1/120", "1 -1/2 1/10 -1/120"),
    "radau_iia3": ("1 1/3", "1 -2/3 1/6"),
    "radau_iia5": ("1 2/5 1/20", "1 -3/5 3/20 -1/60"),
}


@pytest.mark.parametrize("name", PADE)
def test_stability_functions_are_pade_approximants(name):
    """Exactly, although the tableaus of gauss4, gauss6 and radau_iia5 are irrational."""
    R = stability_function(name)
    assert (R.numerator, R.denominator) == tuple(tuple(map(F, p.split())) for p in PADE[name])


def test_sdirk2_and_tr_bdf2_have_one_function():
    """methods.md b6: TR-BDF2 of gamma 2 - sqrt 2. Rejects: the variant of gamma 1/2, nodepy's."""
    expected = ([1, ROOT2 - 1], [1, ROOT2 - 2, (1 - ROOT2 / 2) ** 2])
    for name in ("sdirk2", "tr_bdf2"):
        R = stability_function(name)
        for mine, other in zip((R.numerator, R.denominator), expected, strict=True):
            assert len(mine) == len(other)
            assert all(abs(x - y) < EPSILON for x, y in zip(mine, other, strict=True))
    half = stability_function(RungeKutta([[], ["1/4", "1/4"], ["1/3"] * 3], ["1/3"] * 3))
    assert (half.numerator, half.denominator) == ((1, F(5, 12)), (1, F(-7, 12), F(1, 12)))


def at_infinity(method):
    R = stability_function(method)
    return float(abs(R.numerator[-1] / R.denominator[-1])) if len(R.numerator) == len(R.denominator) else 0.0


@pytest.mark.parametrize("name", FACTS)
def test_value_at_infinity(name):
    """1 for the symmetric ones, 0 for all others, which are L-stable. Rejects: b that is not A's last row."""
    symmetric = name in ("trapezoid", "implicit_midpoint", "gauss4", "gauss6")
    inexact = 1e-10 if name == "kvaerno4" else 0.0  # its gamma is published to ten digits
    assert at_infinity(name) == pytest.approx(1.0 if symmetric else 0.0, rel=0, abs=inexact)
    method = IMPLICIT[name]
    assert (method.A[-1] == method.b) == (not symmetric or name == "trapezoid")


def test_value_at_infinity_of_methods_that_users_write():
    """methods.md b6: theta methods (1 - theta)/theta; SDIRK23 sqrt 3 - 1; SDIRK34 0.630415 (there 0.6304148)."""
    for t in ("1/2", "2/3", "3/4", "9/10"):
        assert at_infinity(theta(t)) == pytest.approx(float((1 - F(t)) / F(t)), rel=1e-14)
    g = (3 + math.sqrt(3)) / 6
    assert at_infinity(RungeKutta([[g], [1 - 2 * g, g]], ["1/2", "1/2"])) == pytest.approx(0.7320508, abs=5e-8)
    g = math.cos(math.pi / 18) / math.sqrt(3) + 0.5
    d = 1 / (6 * (2 * g - 1) ** 2)
    sdirk34 = RungeKutta([[g], [0.5 - g, g], [2 * g, 1 - 4 * g, g]], [d, 1 - 2 * d, d])
    assert sdirk34.order == 4
    assert at_infinity(sdirk34) == pytest.approx(0.630414938192, abs=1e-11)


def e_polynomial(method):
    """|Q(iy)|^2 - |P(iy)|^2 by powers of y^2."""

    def squared(p):
        even = [c * (-1) ** (k // 2) if k % 2 == 0 else F(0) for k, c in enumerate(p)]
        odd = [c * (-1) ** (k // 2) if k % 2 else F(0) for k, c in enumerate(p)]
        return [
            sum(
                (q[i] * q[k - i] for q in (even, odd) for i in range(max(0, k - len(p) + 1), min(k, len(p) - 1) + 1)),
                F(0),
            )
            for k in range(0, 2 * len(p) - 1, 2)
        ]

    R = stability_function(method)
    top, bottom = squared(R.numerator), squared(R.denominator)
    return [b - (top[k] if k < len(top) else 0) for k, b in enumerate(bottom)]


LOBATTO_IIIC2 = RungeKutta([["1/2", "-1/2"], ["1/2", "1/2"]], ["1/2", "1/2"])
TR_BDF2_HALF = RungeKutta([[], ["1/4", "1/4"], ["1/3"] * 3], ["1/3"] * 3)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("gauss4", "0 0 0"),
        ("gauss6", "0 0 0 0"),
        ("radau_iia3", "0 0 1/36"),
        ("implicit_euler", "0 1"),
        (LOBATTO_IIIC2, "0 0 1/4"),
        (TR_BDF2_HALF, "0 0 1/144"),
    ],
    ids=["gauss4", "gauss6", "radau_iia3", "implicit_euler", "lobatto_iiic2", "tr_bdf2_half"],
)
def test_e_polynomials(method, expected):
    """methods.md b6: what is lost on the imaginary axis."""
    assert e_polynomial(method) == [F(x) for x in expected.split()]


@pytest.mark.parametrize("name", FACTS)
def test_a_stability(name):
    """No pole in the left half-plane and E >= 0 on the axis. Rejects: sdirk3 of another root of its cubic."""
    method = IMPLICIT[name]
    R = stability_function(method)
    assert np.all(np.roots([float(q) for q in R.denominator[::-1]]).real > 0)
    E = e_polynomial(method)
    assert all(abs(c) <= tolerance(method) for c in E[: method.order // 2 + 1])
    y = np.geomspace(1e-2, 1e3, 400)
    assert np.all(np.abs(R(1j * y)) <= 1 + 1e-13)


def test_sdirk3_takes_the_root_that_is_l_stable():
    g = IMPLICIT["sdirk3"].A[0][0]
    assert abs(6 * g**3 - 18 * g**2 + 9 * g - 1) < EPSILON
    assert abs(g - F("0.43586652150845899942")) < F(1, 10**20)
    assert {float(x) for x in (IMPLICIT["kvaerno3"].A[i][i] for i in (1, 2, 3))} == {float(g)}


@pytest.mark.parametrize("name", ["sdirk2", "sdirk3", "tr_bdf2", "kvaerno3", "kvaerno4", "kvaerno5"])
def test_diagonally_implicit_members(name):
    """One gamma on the diagonal; an explicit first stage where the first node is 0."""
    method = IMPLICIT[name]
    assert method.diagonally_implicit
    diagonal = [row[i] for i, row in enumerate(method.A)]
    assert len(set(diagonal) - {0}) == 1
    assert diagonal.count(0) == (0 if name.startswith("sdirk") else 1)


def slipped(values, place):
    return [v + F(1, 1000) * (j == place) for j, v in enumerate(values)]


@pytest.mark.parametrize("name", [n for n in FACTS if IMPLICIT[n].order > 1])
def test_every_slip_of_a_tableau_is_rejected(name):
    """One coefficient off by 1/1000, the nodes following: an order falls, or R is no longer 0 or 1 at infinity."""
    method = IMPLICIT[name]
    facts = (method.order, method.embedded_order, at_infinity(method))
    for i in range(method.stages):
        wrong = RungeKutta(method.A, slipped(method.b, i), method.b_hat, digits=method.digits)
        assert wrong.order < method.order
        for j in range(method.stages):
            A = [slipped(row, j) if r == i else row for r, row in enumerate(method.A)]
            mutant = RungeKutta(A, method.b, method.b_hat, digits=method.digits)
            assert (mutant.order, mutant.embedded_order, at_infinity(mutant)) != facts


def test_theta_joins_the_named_methods():
    assert theta(0).explicit
    assert stability_function(theta(1)) == stability_function("implicit_euler")
    assert (theta("1/2").A, theta("1/2").b) == (get("trapezoid").A, get("trapezoid").b)
    assert theta(0.5).order == 2
    for wrong in (-1, "3/2"):
        with pytest.raises(ArgumentError, match=r"value: expected theta in \[0, 1\]"):
            theta(wrong)
