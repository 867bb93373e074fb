"""Modified equations on linear games, and the rates of single modes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

import gamedyn as gd
from gamedyn.methods import LinearMultistep, PredictorCorrector
from gamedyn.stability import BlockJacobian, amplification, step_matrix
from gamedyn.stability.matrices.modified import mode_rates, modified_equation

OWN = dict(gd.methods.members())
ROTATION = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))
SLOW = {n: 0.004 if n in ("heavy_ball", "complex_momentum", "negative_momentum") else 0.04 for n in OWN}
"""Largest step: momentum's series converges for h |J| well below (1 - sqrt(beta))^2 only."""


def game(rng):
    J = rng.standard_normal((4, 4))
    decay = np.diag([0.0, 0.0, -0.3, -0.3])
    return BlockJacobian(J + decay, (2, 2), ("G", "D"), {"game": J, "decay": decay})


@pytest.mark.parametrize("name", OWN)
def test_the_step_is_the_exponential_of_its_generator(name, rng):
    # h log M(h) cut after h^4: the gap falls as h^5; rejects: a term lost, blocks or the shift transposed
    method, J = OWN[name], game(rng)
    equation, gaps = modified_equation(method, J, 4), []
    for h in (SLOW[name], SLOW[name] / 2):
        E = expm(h * equation.at(h))
        if isinstance(method, (LinearMultistep, PredictorCorrector)):
            k = method.steps
            powers = [np.linalg.matrix_power(E, k - 1 - j) for j in range(k)]
            gap = (step_matrix(method, J, h) @ np.vstack(powers))[:4] - np.linalg.matrix_power(E, k)
        else:
            gap = step_matrix(method, J, h) - E
        gaps.append(np.abs(gap).max())
    assert gaps[1] < 1e-13 or np.log2(gaps[0] / gaps[1]) > 4.6
    clock = float(getattr(method, "time_scale", 1))
    np.testing.assert_allclose(equation.terms[0], clock * J.matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n, m in OWN.items() if m.decouples])
def test_terms_below_the_order_vanish(name):
    # on linear problems the order is that of R, at least the method's
    method = OWN[name]
    terms = modified_equation(method, [[0.7]], 6).terms[:, 0, 0]
    order = min(method.order, 6)
    assert np.abs(terms[1:order]).max(initial=0.0) <= 1e-11


class TestKnown:
    def test_alternating_on_the_rotation(self):
        # sin(theta / 2) = h / 2, exactly symplectic: log M / h = theta / (h cos(theta/2)) [[h/2, -1], [1, -h/2]]
        h = 0.3
        theta = 2 * np.arcsin(h / 2)
        exact = theta / h / np.cos(theta / 2) * np.array([[h / 2, -1], [1, -h / 2]])
        # M = [[1, -h], [h, 1 - h^2]]
        np.testing.assert_allclose(expm(h * exact), step_matrix("alternating", ROTATION, h), rtol=0, atol=1e-14)
        np.testing.assert_allclose(modified_equation("alternating", ROTATION, 20).at(h), exact, rtol=0, atol=1e-13)

    def test_extragradient_damps_what_euler_amplifies(self):
        # log |R(iy)|: +y^2/2 and -y^2/2 (methods.md b1)
        for name, sign in (("euler", 1), ("extragradient", -1)):
            G = modified_equation(name, ROTATION, 2).terms
            np.testing.assert_allclose(G[1], sign * np.eye(2) / 2, rtol=0, atol=1e-14)

    def test_rk4s_leading_terms(self):
        # log R(z) = z - z^5/120 + z^6/144 - ...: dispersion -y^5/120, dissipation -y^6/144
        terms = modified_equation("rk4", [[1.0]], 6).terms[:, 0, 0]
        expected = [1, 0, 0, 0, Fraction(-1, 120), Fraction(1, 144)]
        np.testing.assert_allclose(terms, [float(x) for x in expected], rtol=0, atol=1e-14)

    def test_ab2s_error_constant(self):
        # log of the principal root: z - 5/12 z^3 (methods.md b5)
        terms = modified_equation("ab2", [[1.0]], 3).terms[:, 0, 0]
        np.testing.assert_allclose(terms, [1, 0, -5 / 12], rtol=0, atol=1e-14)


class TestModes:
    @given(st.floats(-2, 0.5), st.floats(-8, 8), st.sampled_from(["rk4", "gauss4", "heun2", "radau_iia3", "dopri5"]))
    def test_growth_is_the_amplification(self, re, im, name):
        z = complex(re, im)
        rate = mode_rates(name, [z], 0.5)[0]
        growth = float(amplification(name, 0.5 * z))
        if growth > 1e-8:
            assert rate.real == pytest.approx(np.log(growth) / 0.5, abs=1e-9)
            assert abs(rate.imag - im) <= np.pi / 0.5 + 1e-9  # the nearest branch

    def test_frequency_beyond_half_a_turn(self):
        # rejects: the principal branch of the logarithm where a step turns further
        rate = mode_rates("gauss6", [40j], 0.1)[0]
        assert abs(rate.real) < 1e-12
        assert 30 < rate.imag < 40

    def test_multistep_follow_the_principal_root(self):
        # leapfrog: 2i arcsin(h w) / (2h) without damping; rejects: the parasitic root, as large
        rate = mode_rates("leapfrog_multistep", [1j], 0.3)[0]
        assert rate.imag == pytest.approx(np.arcsin(0.3) / 0.3, abs=1e-12)
        assert abs(rate.real) < 1e-13

    def test_partitioned_from_blocks(self):
        rates = mode_rates("alternating", ROTATION, 0.5)
        np.testing.assert_allclose(sorted(rates.imag), np.array([-4, 4]) * np.arcsin(0.25), atol=1e-12)
        with pytest.raises(gd.ArgumentError, match="BlockJacobian"):
            mode_rates("alternating", [1j, -1j], 0.5)


def test_bad_input():
    with pytest.raises(gd.ArgumentError, match="J: expected a square matrix"):
        modified_equation("rk4", [[1.0, 2.0]])
    with pytest.raises(gd.ArgumentError, match="J: expected a BlockJacobian"):
        modified_equation("alternating", [[0.0, 1.0], [-1.0, 0.0]])
    with pytest.raises(gd.ArgumentError, match="terms"):
        modified_equation("rk4", [[1.0]], 0)
