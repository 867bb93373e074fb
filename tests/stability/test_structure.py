"""Algebraic stability, symplecticity, symmetry; adjoints and compositions of random tableaus."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep
from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, irrational
from gamedyn.stability import BlockJacobian, stability_function, step_matrix
from gamedyn.stability.properties.structure import (
    adjoint,
    algebraic_matrix,
    algebraically_stable,
    compose,
    symmetric,
    symplectic,
)

OWN = gd.methods.members()
F = Fraction

LOBATTO_IIIC = RungeKutta(
    [["1/6", "-1/3", "1/6"], ["1/6", "5/12", "-1/12"], ["1/6", "2/3", "1/6"]], ["1/6", "2/3", "1/6"]
)
LOBATTO_IIIA = RungeKutta([[0, 0, 0], ["5/24", "1/3", "-1/24"], ["1/6", "2/3", "1/6"]], ["1/6", "2/3", "1/6"])
RADAU_IA = RungeKutta([["1/4", "-1/4"], ["1/4", "5/12"]], ["1/4", "3/4"])


def sdirk(gamma):
    """Two stages, order 2 (3 for gamma = (3 + sqrt 3)/6), algebraically stable iff gamma >= 1/4."""
    return RungeKutta([[gamma], [1 - 2 * gamma, gamma]], ["1/2", "1/2"])


def theta(t):
    """Algebraically stable in one stage iff theta >= 1/2."""
    return RungeKutta([[t]], [1])


entries = st.fractions(-2, 2, max_denominator=6)


@st.composite
def tableaus(draw, most=3):
    """Any tableau with weights that add up to 1."""
    s = draw(st.integers(1, most))
    A = [[draw(entries) for _ in range(s)] for _ in range(s)]
    b = [draw(entries) for _ in range(s - 1)]
    return RungeKutta(A, [*b, 1 - sum(b, F(0))])


class TestAlgebraicStability:
    def test_published(self):
        # Hairer, Wanner II, IV.12; rejects: A-stability in its place (trapezoid, sdirk2, kvaerno3)
        yes = ["gauss4", "gauss6", "implicit_euler", "implicit_midpoint", "radau_iia3", "radau_iia5"]
        assert [n for n, m in OWN.items() if isinstance(m, RungeKutta) and algebraically_stable(m)] == yes

    def test_published_user_made(self):
        assert algebraically_stable(LOBATTO_IIIC)
        assert algebraically_stable(RADAU_IA)
        assert not algebraically_stable(LOBATTO_IIIA)  # IIIA, IIIB are not

    def test_the_threshold_is_exact(self):
        # rejects: a tolerance on exact data, eigenvalues in double precision
        tiny = F(1, 10**30)
        assert [algebraically_stable(sdirk(g)) for g in (F(1, 4), F(1, 4) - tiny, F(1))] == [True, False, True]
        assert [algebraically_stable(theta(t)) for t in (F(1, 2), F(1, 2) - tiny)] == [True, False]

    def test_to_digits(self):
        # gamma = (3 + sqrt 3)/6 to 50 digits, and in floats
        root = irrational(lambda D: (3 + D(3).sqrt()) / 6)
        exact = RungeKutta([[root], [1 - 2 * root, root]], ["1/2", "1/2"], digits=IRRATIONAL_DIGITS)
        assert exact.order == 3
        assert algebraically_stable(exact)
        for name in ("gauss6", "radau_iia5", "sdirk3"):
            m = OWN[name]
            rounded = RungeKutta([[float(a) for a in r] for r in m.A], [float(w) for w in m.b])
            assert algebraically_stable(rounded) == algebraically_stable(m)

    def test_negative_weights(self):
        # M = 0 alone is not enough; rejects: b >= 0 forgotten: midpoint by 2, -1 of its steps is symplectic
        m = compose("implicit_midpoint", "implicit_midpoint", (2, -1))
        assert symplectic(m)
        assert not algebraically_stable(m)

    def test_matrix_and_the_quadratic_identity(self, rng):
        # |y+|^2 = |y|^2 + 2 h b.<Y, f> - h^2 f^T M f on y' = J y; rejects: a sign or transpose in M
        m, h = OWN["radau_iia5"], 0.3
        J = rng.standard_normal((2, 2))
        A, b = np.array(m.A, dtype=float), np.array(m.b, dtype=float)
        y = rng.standard_normal(2)
        Y = np.linalg.solve(np.eye(6) - h * np.kron(A, J), np.kron(np.ones(3), y)).reshape(3, 2)
        f = Y @ J.T
        new = y + h * b @ f
        M = np.array(algebraic_matrix(m), dtype=float)
        right = y @ y + 2 * h * b @ (Y * f).sum(1) - h**2 * np.einsum("ij,id,jd", M, f, f)
        np.testing.assert_allclose(new @ new, right, rtol=1e-14)

    @given(tableaus())
    @settings(max_examples=150, deadline=None)
    def test_rational_elimination_against_eigenvalues(self, m):
        # rejects: wrong pivots, a zero diagonal with entries beside it let through; reducible tableaus aside
        M = np.array(algebraic_matrix(m), dtype=float)
        least = min(np.linalg.eigvalsh(M).min(), float(min(m.b)))
        if abs(least) > 1e-9 and all(m.b) and len({tuple(r) for r in m.A}) == m.stages:
            distinct = len({sum(r) for r in m.A}) == m.stages
            if distinct:
                assert algebraically_stable(m) == (least > 0)

    def test_idle_and_equal_stages(self):
        # rejects: the definition applied to reducible tableaus
        idle = RungeKutta([["1/2", 0], [3, -1]], [1, 0])
        twins = RungeKutta([["1/2", 0], [0, "1/2"]], ["1/2", "1/2"])
        for m in (idle, twins):
            assert algebraically_stable(m)
            assert symplectic(m)
            assert symmetric(m)
        assert not symplectic(RungeKutta([["1/2", 0], [0, 1]], ["1/2", "1/2"]))

    def test_other_families(self):
        for name in ("ab2", "alternating", "rodas3", "rk4_penalty_every_stage", "exprb32", "lookahead_optimistic"):
            with pytest.raises(ArgumentError, match="Runge-Kutta"):
                algebraically_stable(name)


def separable_game(rng, n=3):
    """q' = T p, p' = -V q with symmetric T, V: H = (p T p + q V q) / 2."""
    T, V = (X + X.T for X in rng.standard_normal((2, n, n)))
    J = np.zeros((2 * n, 2 * n))
    J[:n, n:], J[n:, :n] = T, -V
    K = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    return BlockJacobian(J, (n, n)), K


class TestSymplectic:
    @pytest.mark.parametrize("name", [n for n, m in OWN.items() if isinstance(m, (RungeKutta, Partitioned))])
    def test_against_the_step(self, name, rng):
        # S^T K S = K on a separable Hamiltonian, both ways; rejects: compositions taken for not symplectic,
        # trapezoid for symplectic (it is so on linear games alone, hence left out)
        m = OWN[name]
        game, K = separable_game(rng)
        S = step_matrix(m, game, 0.5)
        gap = np.abs(S.T @ K @ S - K).max()
        if symplectic(m):
            assert gap < 1e-12  # rounding: |S| is about 10
        elif name != "trapezoid":
            assert gap > 1e-9

    def test_not_beyond_separable_games(self, rng):
        # what the docstring says of own curvature
        game, K = separable_game(rng)
        game = BlockJacobian(game.matrix + np.diag([1, 1, 1, -1, -1, -1.0]), game.sizes)  # H + q p
        assert np.abs(K @ game.matrix - (K @ game.matrix).T).max() == 0  # still Hamiltonian
        S = step_matrix("forest_ruth", game, 0.2)
        assert np.abs(S.T @ K @ S - K).max() > 1e-3
        S = step_matrix("gauss4", game, 0.2)
        assert np.abs(S.T @ K @ S - K).max() < 1e-13

    def test_quadratic_invariants_of_a_field_that_is_not_linear(self):
        # rigid body: |y|^2 is kept by Gauss 2 and not by the trapezoidal rule; rejects: |R(iy)| = 1 as the criterion
        def field(y):
            return np.array([-y[1] * y[2], y[0] * y[2] * 2, -y[0] * y[1]])

        for name, kept in (("gauss4", True), ("implicit_midpoint", True), ("trapezoid", False)):
            m = OWN[name]
            A, b = np.array(m.A, dtype=float), np.array(m.b, dtype=float)
            y = np.array([1.0, 0.5, -0.3])
            k = np.zeros((m.stages, 3))
            for _ in range(200):
                k = np.array([field(y + 0.3 * A[i] @ k) for i in range(m.stages)])
            new = y + 0.3 * b @ k
            change = abs(new @ new - y @ y)
            assert symplectic(m) is kept
            assert bool(change < 1e-14) is kept

    def test_three_players(self):
        three = Partitioned([Sweep()], players=["A", "B", "C"])
        with pytest.raises(ArgumentError, match="two players"):
            symplectic(three)


class TestSymmetric:
    def test_published(self):
        # Hairer, Lubich, Wanner, V.2; rejects: |R(iy)| = 1 alone (sdirk with Pade-like R), nodes alone
        yes = ["gauss4", "gauss6", "implicit_midpoint", "trapezoid", "leapfrog_multistep"]
        assert [n for n in OWN if _answers(n) and symmetric(n)] == sorted(yes)
        assert symmetric(LOBATTO_IIIA)
        assert not symmetric(LOBATTO_IIIC)
        assert symmetric(LinearMultistep([-1, 0, 1], ["1/3", "4/3", "1/3"]))

    def test_the_order_of_stages_does_not_matter(self):
        # rejects: A compared with its mirror image in place
        m = OWN["gauss6"]
        p = [2, 0, 1]
        shuffled = RungeKutta([[m.A[i][j] for j in p] for i in p], [m.b[i] for i in p], digits=50)
        assert symmetric(shuffled)

    @given(tableaus())
    @settings(max_examples=60, deadline=None)
    def test_a_method_after_its_adjoint(self, m):
        # HNW II.8: Phi* o Phi of half steps is symmetric, hence of even order; rejects: a wrong adjoint or composition
        both = compose(adjoint(m), m)
        assert symmetric(both)
        assert both.order % 2 == 0 or both.order >= 10

    def test_other_families(self):
        for name in ("strang", "lead", "cgd", "pece_ab2_am2"):
            with pytest.raises(ArgumentError):
                symmetric(name)


def _answers(name):
    try:
        symmetric(name)
    except ArgumentError:
        return False
    return True


def _at(R, z):
    return sum((c * z**k for k, c in enumerate(R.numerator)), F(0)), sum(
        (c * z**k for k, c in enumerate(R.denominator)), F(0)
    )


class TestAdjointAndComposition:
    @given(tableaus(), st.sampled_from([F(1, 7), F(-2, 5), F(3)]))
    @settings(max_examples=80, deadline=None)
    def test_r_of_the_adjoint(self, m, z):
        # exactly 1 / R(-z); rejects: A^T, stages not reversed in step with b
        top, bottom = _at(stability_function(adjoint(m)), z)
        over, under = _at(stability_function(m), -z)
        assert top * over == bottom * under

    @given(tableaus())
    @settings(max_examples=40, deadline=None)
    def test_adjoint_twice(self, m):
        again = adjoint(adjoint(m))
        assert (again.A, again.b, adjoint(m).order) == (m.A, m.b, m.order)

    def test_published_adjoints(self):
        # HNW II.8; Radau IIA and IA change places with Radau's left rules: order kept, R mirrored
        assert adjoint("implicit_midpoint").A == OWN["implicit_midpoint"].A
        assert (adjoint("implicit_euler").A, adjoint("implicit_euler").b) == (OWN["euler"].A, OWN["euler"].b)
        assert adjoint("lookahead5").time_scale == F(5, 2)
        assert adjoint("lookahead5").c == tuple(1 - c for c in OWN["lookahead5"].c[::-1])

    @given(tableaus(), tableaus(), st.sampled_from([F(1, 2), F(1, 3), F(2), F(-1, 4)]))
    @settings(max_examples=80, deadline=None)
    def test_r_of_a_composition(self, one, two, share):
        # exactly R_2(w_2 z) R_1(w_1 z); rejects: shares swapped or left out, b_1 not passed on
        z = F(2, 7)
        top, bottom = _at(stability_function(compose(one, two, (share, 1 - share))), z)
        (a, b), (c, d) = _at(stability_function(one), share * z), _at(stability_function(two), (1 - share) * z)
        assert top * b * d == a * c * bottom

    def test_which_goes_first(self):
        # on a field that is not linear the order matters: y' = y^2; rejects: second before first
        m = compose("euler", "midpoint", ("1/4", "3/4"))

        def step(method, y, h):
            k = []
            for r in method.A:
                k.append((y + h * sum(a * x for a, x in zip(r, k, strict=False))) ** 2)
            return y + h * sum(w * x for w, x in zip(method.b, k, strict=True))

        h, y = F(1, 5), F(1)
        assert step(m, y, h) == step(OWN["midpoint"], step(OWN["euler"], y, h / 4), 3 * h / 4)
        assert m.c == (0, F(1, 4), F(5, 8))

    def test_published_compositions(self):
        # explicit then implicit Euler: trapezoidal rule; the other way: midpoint
        trapezoid = compose("euler", "implicit_euler")
        assert (trapezoid.order, symmetric(trapezoid), symplectic(trapezoid)) == (2, True, False)
        # Yoshida's triple jump of the midpoint rule has order 4; rejects: shares taken as thirds
        w = irrational(lambda D: 1 / (2 - D(2) ** (1 / D(3))))
        pair = compose("implicit_midpoint", "implicit_midpoint", (w / (1 - w), (1 - 2 * w) / (1 - w)))
        triple = compose(pair, "implicit_midpoint", (1 - w, w))
        triple = RungeKutta(triple.A, triple.b, digits=40)
        assert triple.order == 4
        assert symmetric(triple)
        assert symplectic(triple)

    def test_refusals(self):
        with pytest.raises(ArgumentError, match="clock"):
            compose("euler", "lookahead5")
        for weights in (("1/2", "1/3"), (1,), (0.1, 0.2, 0.7)):
            with pytest.raises(ArgumentError, match="add up to 1"):
                compose("euler", "euler", weights)
        for name in ("ab2", "strang", "rodas3"):
            with pytest.raises(ArgumentError, match="Runge-Kutta"):
                adjoint(name)
            with pytest.raises(ArgumentError, match="second"):
                compose("euler", name)
