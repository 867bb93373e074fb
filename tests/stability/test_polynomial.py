"""R(z), rho and sigma against the literature and against one step in numpy."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, RungeKutta, get
from gamedyn.stability import amplification, stability_function
from gamedyn.stability.symbols import RationalFunction, characteristic_polynomials

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
ENTRY = st.fractions(min_value=-2, max_value=2, max_denominator=12)


def nested(*a):
    """u_1 = y + a_1 h f(y), u_k = y + a_k h f(u_{k-1}); the result is the last."""
    return RungeKutta(A=[[], *([0] * i + [x] for i, x in enumerate(a[:-1]))], b=[0] * (len(a) - 1) + [a[-1]])


IMPLICIT = {
    "implicit_euler": ([[1]], [1], "1", "1 -1"),
    "trapezoid": ([[], ["1/2", "1/2"]], ["1/2", "1/2"], "1 1/2", "1 -1/2"),
    "implicit_midpoint": ([["1/2"]], [1], "1 1/2", "1 -1/2"),
    "radau_iia2": ([["5/12", "-1/12"], ["3/4", "1/4"]], ["3/4", "1/4"], "1 1/3", "1 -2/3 1/6"),
    "lobatto_iiic2": ([["1/2", "-1/2"], ["1/2", "1/2"]], ["1/2", "1/2"], "1", "1 -1 1/2"),
    "lobatto_iiia3": ([[], ["5/24", "1/3", "-1/24"], ["1/6", "2/3", "1/6"]], ["1/6", "2/3", "1/6"], "1 1/2 1/12",
                      "1 -1/2 1/12"),
    "lobatto_iiic3": ([["1/6", "-1/3", "1/6"], ["1/6", "5/12", "-1/12"], ["1/6", "2/3", "1/6"]], ["1/6", "2/3", "1/6"],
                      "1 1/4", "1 -3/4 1/4 -1/24"),
    "tr_bdf2_half": ([[], ["1/4", "1/4"], ["1/3", "1/3", "1/3"]], ["1/3", "1/3", "1/3"], "1 5/12", "1 -7/12 1/12"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPLICIT)
def test_rational_functions_in_lowest_terms(name):
    """methods.md b6; Lobatto IIIA has a common factor, which must go. Rejects: denominator of A^T or of -A."""
    A, b, top, bottom = IMPLICIT[name]
    R = stability_function(RungeKutta(A=A, b=b))
    assert (R.numerator, R.denominator) == (tuple(map(F, top.split())), tuple(map(F, bottom.split())))
    assert not R.is_polynomial


@pytest.mark.parametrize(
    ("alphas", "beyond"),
    [
        (("1/2", "1/2", 1), "1/4"),
        (("1/4", "1/6", "3/8", "1/2", 1), "3/16 1/32 1/128"),
        (("1/6", "1/12", "2/9", "4/19", "19/54", "1/2", 1), "19/108 1/27 2/243 1/1458 1/8748"),
    ],
    ids=["KG(3,2)", "KG(5,2)", "KG(7,2)"],
)
def test_kinnmark_gray(alphas, beyond):
    """methods.md b2."""
    R = stability_function(nested(*alphas))
    assert R.numerator == (1, 1, F(1, 2), *map(F, beyond.split()))


@pytest.mark.parametrize(("k", "alpha"), [(2, "1/2"), (3, "1/2"), (5, "1/2"), (5, "4/5")])
def test_lookahead_is_a_runge_kutta_method(k, alpha):
    """R = 1 - a + a (1 + z)^k is the tableau c_j = j / (a k), b_j = 1/k on the clock a k (methods.md b8)."""
    a = F(alpha)
    R = stability_function(RungeKutta(A=[[1 / (a * k)] * j for j in range(k)], b=[F(1, k)] * k))
    z = np.array([0.3 + 1j, -0.7, 2j])
    np.testing.assert_allclose(R(a * k * z), 1 - float(a) + float(a) * (1 + z) ** k, rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "p"), [("implicit_euler", 1), ("trapezoid", 2), ("radau_iia2", 3), ("lobatto_iiia3", 4)]
)
def test_linear_order_of_rational_functions(name, p):
    """Pade(j, k) has order j + k; trapezoid is not 3."""
    A, b, *_ = IMPLICIT[name]
    assert stability_function(RungeKutta(A=A, b=b)).linear_order() == p


def test_poles_are_infinite():
    """Rejects: a division warning, or an error from the eigenvalues of nan."""
    R = stability_function(RungeKutta(A=[[1]], b=[1]))
    assert np.isinf(R(1.0))
    as_multistep = LinearMultistep([-1, 1], [0, 1])
    np.testing.assert_array_equal(amplification(as_multistep, [1.0, 2.0]), [np.inf, 1.0])


def test_written_forms():
    assert repr(stability_function("kutta3")) == "RationalFunction(1 + z + 1/2 z^2 + 1/6 z^3)"
    assert repr(stability_function(RungeKutta(A=[[1]], b=[1]))) == "RationalFunction((1) / (1 - z))"
    assert repr(RationalFunction((F(-1), F(0), F(-2)))) == "RationalFunction(-1 - 2 z^2)"
    assert repr(RationalFunction((F(0),))) == "RationalFunction(0)"


def test_shapes_are_kept():
    z = np.zeros((2, 3)) - 1.0
    assert amplification("rk4", z).shape == amplification("ab3", z).shape == (2, 3)
    assert amplification("euler", -3.0).shape == ()
    assert amplification("rk4", z)[0, 0] == pytest.approx(0.375, rel=1e-15)  # 1 - 1 + 1/2 - 1/6 + 1/24


def test_characteristic_polynomials_are_oldest_first():
    """Consistency distinguishes the two orders of writing: rho'(1) = sigma(1)."""
    for name in ("ab2", "ab3", "optimistic"):
        rho, sigma = characteristic_polynomials(name)
        assert sum(rho) == 0
        assert sum(j * x for j, x in enumerate(rho)) == sum(sigma) == 1


def test_families_are_not_mixed():
    with pytest.raises(ArgumentError, match="multistep methods have characteristic_polynomials"):
        stability_function("ab2")
    with pytest.raises(ArgumentError, match="a linear multistep method"):
        characteristic_polynomials("rk4")
    with pytest.raises(ArgumentError, match="a method whose modes decouple"):
        amplification("alternating", 1j)


@PROPERTY
@given(st.integers(1, 5).flatmap(lambda s: st.tuples(*[st.lists(ENTRY, min_size=s, max_size=s)] * (s + 1))))
def test_determinant_equals_the_step_of_any_explicit_tableau(rows):
    """Rejects: Faddeev-LeVerrier with a sign slip, and R from a truncated exponential."""
    *A, b = rows
    method = RungeKutta(A=[r[:i] for i, r in enumerate(A)], b=b)
    for z in (0.7 - 0.4j, -1.3 + 0.2j):
        k = []
        for row in method.A:
            k.append(z * (1 + sum(float(a) * x for a, x in zip(row, k, strict=False))))
        step = 1 + sum(float(w) * x for w, x in zip(b, k, strict=True))
        size = 1 + sum(abs(float(w)) * abs(x) for w, x in zip(b, k, strict=True))
        assert abs(stability_function(method)(z) - step) <= 1e-13 * size * 20


@PROPERTY
@given(st.lists(ENTRY, min_size=6, max_size=6))
def test_determinant_equals_the_step_of_any_implicit_tableau(x):
    A, b = [x[:2], x[2:4]], x[4:]
    Af, bf, z = np.array(A, dtype=float), np.array(b, dtype=float), 0.31 + 0.47j
    M = np.eye(2) - z * Af
    assume(abs(np.linalg.det(M)) > 1e-2)
    step = 1 + z * bf @ np.linalg.solve(M, np.ones(2))
    assert stability_function(RungeKutta(A=A, b=b))(z) == pytest.approx(step, rel=1e-9, abs=1e-9)


def test_the_same_polynomial_for_all_second_order_pairs():
    assert len({stability_function(n) for n in ("heun2", "midpoint", "ralston2")}) == 1
    assert stability_function("extragradient") != stability_function(get("heun2"))
