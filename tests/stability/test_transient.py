"""Transient growth and pseudospectra: known matrices, and definitions evaluated by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.stability import BlockJacobian, step_matrix
from gamedyn.stability.matrices import transient
from gamedyn.stability.matrices.transient import (
    Pseudospectrum,
    numerical_abscissa,
    pseudospectral_abscissa,
    pseudospectrum,
    transient_growth,
)

SHEAR = [[-1.0, 200.0], [0.0, -2.0]]


def grcar(n):
    """Grcar's matrix, a standard of non-normality."""
    return np.triu(np.tril(np.ones((n, n)), 3)) - np.diag(np.ones(n - 1), -1)


def smallest(J, z):
    """sigma_min by full singular value decompositions."""
    z = np.asarray(z, dtype=complex)
    return np.linalg.svd(z[..., None, None] * np.eye(len(J)) - np.asarray(J), compute_uv=False)[..., -1]


class TestTransientGrowth:
    def test_euler_on_a_shear(self):
        # numerics.md 11: radius 0.8, growth 180; rejects: the radius, a Frobenius norm at other digits, powers of J
        found = transient_growth("euler", SHEAR, 0.9)
        np.testing.assert_allclose(found.radius, 0.8, rtol=1e-14)
        M = np.array([[0.1, 180.0], [0.0, -0.8]])
        assert found.step == 1
        np.testing.assert_allclose(found.peak, np.linalg.norm(M, 2), rtol=1e-14)
        assert round(found.peak) == 180

    @pytest.mark.parametrize("name", ["rk4", "heun2", "ab3", "bdf2", "gauss4", "alternating", "lookahead5"])
    def test_against_all_powers(self, name, rng):
        # rejects: an end that comes too early; 400 powers decide
        J = BlockJacobian(np.triu(5 * rng.standard_normal((6, 6)), 1) - np.diag(np.linspace(0.5, 2, 6)), (3, 3))
        h = 0.15
        M, power, norms = step_matrix(name, J, h), 1.0, []
        for _ in range(400):
            power = power @ M if norms else M
            norms.append(np.linalg.norm(power, 2))
        found = transient_growth(name, J, h)
        assert norms[-1] < 1
        np.testing.assert_allclose(found.peak, max(1.0, *norms), rtol=1e-12)
        assert found.step == (np.argmax(norms) + 1 if max(norms) > 1 else 0)

    def test_normal_matrices_do_not_grow(self):
        assert transient_growth("euler", np.diag([-1.0, -0.5]), 0.5) == (1.0, 0, 0.75)

    def test_given_steps(self):
        # growth without end is followed as far as asked; rejects: an early end where steps are given
        found = transient_growth("euler", [[0, -1], [1, 0]], 1.0, steps=10)
        np.testing.assert_allclose(found.peak, 2.0**5, rtol=1e-14)
        assert found.step == 10
        assert transient_growth("euler", SHEAR, 0.9, steps=1).step == 1
        late = transient_growth("euler", np.eye(12, k=1) * 2 - np.eye(12), 0.9, steps=3)
        assert late.step == 3
        assert late.peak < transient_growth("euler", np.eye(12, k=1) * 2 - np.eye(12), 0.9).peak
        assert transient_growth("euler", [[50.0]], 1e6, steps=1000).peak == np.inf

    def test_no_decay_without_steps(self, monkeypatch):
        # rejects: the largest power so far given out as the largest of all
        with pytest.raises(ArgumentError, match="steps="):
            transient_growth("euler", np.diag([-1.0, -0.5]), 2.5)
        with pytest.raises(ArgumentError, match="steps="):
            transient_growth("alternating", BlockJacobian(np.array([[0.0, -1], [1, 0]]), (1, 1)), 0.5)
        monkeypatch.setattr(transient, "MOST_STEPS", 1000)
        with pytest.raises(ArgumentError, match="after 1000 steps"):
            transient_growth("euler", [[-1e-9, 1.0], [0.0, -1e-9]], 1.0)

    def test_bad_input(self):
        for J in ([[1, 2]], [[np.nan]]):
            with pytest.raises(ArgumentError, match="J"):
                transient_growth("rk4", J, 0.1)
        with pytest.raises(ArgumentError, match="steps"):
            transient_growth("rk4", SHEAR, 0.1, steps=0)
        with pytest.raises(ArgumentError):
            transient_growth("torchdiffeq:rk4", SHEAR, 0.1)


class TestNumericalAbscissa:
    def test_it_is_the_growth_at_the_start(self, rng):
        # rejects: the spectral abscissa, (J - J^T)/2, the norm
        for J in (np.array(SHEAR), rng.standard_normal((5, 5)), rng.standard_normal((4, 4)) + 1j * np.eye(4, k=1)):
            t = 1e-6
            rate = (np.linalg.norm(expm(t * J), 2) - 1) / t
            np.testing.assert_allclose(numerical_abscissa(J), rate, rtol=1e-3)  # O(t |J|^2)

    def test_closed_form(self):
        np.testing.assert_allclose(numerical_abscissa(SHEAR), -1.5 + np.sqrt(0.25 + 100**2), rtol=1e-14)

    def test_blocks_and_bad_input(self):
        assert numerical_abscissa(BlockJacobian(np.diag([1.0, 2.0]), (1, 1))) == 2.0
        for J in ([[1, 2]], [["a"]], [[np.inf]], []):
            with pytest.raises(ArgumentError, match="square"):
                numerical_abscissa(J)


class TestPseudospectrum:
    @pytest.mark.parametrize("n", [3, 16, 17, 40])
    def test_against_singular_values(self, n, rng):
        # both ways of computing, either side of the threshold; rejects: sigma_max, a transposed grid, T not conjugated
        J = rng.standard_normal((n, n)) / np.sqrt(n)
        found = pseudospectrum(J, 12, real=(-1.5, 1.0), imaginary=(-0.3, 1.4))
        assert isinstance(found, Pseudospectrum)
        z = found.real[None, :] + 1j * found.imaginary[:, None]
        np.testing.assert_allclose(found.sigma, smallest(J, z), rtol=1e-9)

    def test_grcar(self):
        # far from normal: sigma down to 1e-7 with |z - lambda| of order 1; rejects: the distance to the spectrum
        J = grcar(32)
        found = pseudospectrum(J, 15)
        z = found.real[None, :] + 1j * found.imaginary[:, None]
        np.testing.assert_allclose(found.sigma, smallest(J, z), rtol=1e-7)  # the SVD's own error at sigma 1e-7
        away = np.abs(z[..., None] - np.linalg.eigvals(J)).min(-1)
        assert (found.sigma / away).min() < 1e-4
        assert (found.sigma <= away * (1 + 1e-12)).all()

    @pytest.mark.parametrize("n", [2, 30])
    def test_normal_is_the_distance_to_the_spectrum(self, n):
        # n equal eigenvalues end Lanczos at once; rejects: division by the zero that is then left
        for J in (-np.eye(n), np.diag(np.linspace(-2, 0, n)), np.zeros((n, n))):
            found = pseudospectrum(J, 9, real=(-2.0, 1.0), imaginary=(-1.0, 1.0))
            z = found.real[None, :] + 1j * found.imaginary[:, None]
            away = np.abs(z[..., None] - np.diag(J)).min(-1)
            np.testing.assert_allclose(found.sigma, away, rtol=1e-12, atol=1e-15)
            assert (found.sigma == 0).any() or not (away == 0).any()

    def test_default_window_holds_the_field_of_values(self):
        J = grcar(20)
        found = pseudospectrum(J, 5)
        values = np.linalg.eigvals(J)
        assert found.real[0] < values.real.min()
        assert found.real[-1] > numerical_abscissa(J) > values.real.max()
        assert found.imaginary[0] < values.imag.min() < values.imag.max() < found.imaginary[-1]
        assert np.isfinite(pseudospectrum(np.eye(3), 3).sigma).all()  # a box that is a point

    def test_bad_input(self):
        for given_, name in (((1, 1), "real"), ((2, 1), "real"), ((0, np.nan), "real"), ([0, 1], "real"), (3, "real")):
            with pytest.raises(ArgumentError, match=name):
                pseudospectrum(SHEAR, 5, real=given_)
        with pytest.raises(ArgumentError, match="points"):
            pseudospectrum(SHEAR, 1)


class TestPseudospectralAbscissa:
    def test_normal_matrices(self, rng):
        # abscissa + eps; rejects: eps taken twice, the square of sigma
        Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        skew = rng.standard_normal((5, 5))
        skew = skew - skew.T
        for eps in (1e-6, 0.1, 10.0):
            symmetric = Q @ np.diag([1, 2, -3, -0.5, 0, 0.2]) @ Q.T
            np.testing.assert_allclose(pseudospectral_abscissa(symmetric, eps), 2 + eps, rtol=1e-13)
            np.testing.assert_allclose(pseudospectral_abscissa(skew, eps), eps, rtol=1e-8, atol=1e-13)

    def test_one_eigenvalue(self):
        assert pseudospectral_abscissa([[3.0]], 0.5) == pytest.approx(3.5, rel=1e-15)

    def test_nilpotent_in_closed_form(self):
        # [[0, 1], [0, 0]]: sigma_min(x) = (sqrt(4x^2 + 1) - 1)/2, so x^2 = eps (1 + eps); the set is a disc
        for eps in (1e-8, 1e-2, 2.0):
            np.testing.assert_allclose(
                pseudospectral_abscissa([[0, 1], [0, 0]], eps), np.sqrt(eps * (1 + eps)), rtol=1e-10
            )

    @given(st.integers(0, 10**6), st.integers(2, 8), st.floats(-8, 0.5), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_nothing_lies_further_right(self, seed, n, exponent, triangular):
        # on the line just beyond, sigma_min > eps; at the point itself it is eps; rejects: a local maximum
        J = np.random.default_rng(seed).standard_normal((n, n))
        J = np.triu(J) if triangular else J
        eps = 10.0**exponent
        x = pseudospectral_abscissa(J, eps)
        scale = np.linalg.norm(J, 2) + eps
        y = np.linspace(-scale, scale, 1501)
        assert smallest(J, x + 1e-8 * scale + 1j * y).min() > eps * (1 - 1e-6)
        low, high = np.linalg.eigvals(J).real.max(), numerical_abscissa(J)
        assert low + eps <= x + 1e-7 * scale  # the eigenvalues of a defective J are no better known
        assert x <= high + eps + 1e-12 * scale

    def test_it_reaches_the_boundary(self):
        # a perturbation of size eps that moves an eigenvalue there exists: sigma_min = eps somewhere on the line
        for J, eps in ((np.array(SHEAR), 0.1), (grcar(20), 1e-3), (np.eye(10, k=1), 1e-5)):
            x = pseudospectral_abscissa(J, eps)
            scale = np.linalg.norm(J, 2)
            y = np.linspace(-scale, scale, 4001)
            sigma = smallest(J, x + 1j * y)
            at = y[sigma.argmin()]
            fine = smallest(J, x + 1j * np.linspace(at - 6e-4 * scale, at + 6e-4 * scale, 4001))
            np.testing.assert_allclose(fine.min(), eps, rtol=1e-6)

    def test_shear(self):
        # 3.0011387446331317 by a scan of the plane with bisection
        np.testing.assert_allclose(pseudospectral_abscissa(SHEAR, 0.1), 3.0011387446331317, rtol=1e-12)

    def test_large_perturbations(self):
        # alpha_eps - eps -> the numerical abscissa, from below, as 1/eps
        J = np.array(SHEAR)
        for eps in (1e5, 1e6):
            gap = numerical_abscissa(J) - (pseudospectral_abscissa(J, eps) - eps)
            assert 0 < gap < 1e4 / eps

    def test_bad_input(self):
        for eps in (0, -1, np.nan):
            with pytest.raises(ArgumentError, match="eps"):
                pseudospectral_abscissa(SHEAR, eps)


def test_growth_is_bounded_below_by_the_pseudospectrum():
    # Kreiss: peak >= (|z| - 1) / sigma_min(z I - M) for |z| > 1; rejects: norms of the wrong matrix
    J, h = np.array(SHEAR), 0.9
    M = step_matrix(gd.methods.get("heun2"), J, h)
    peak = transient_growth("heun2", J, h).peak
    z = (1 + np.geomspace(1e-3, 10, 200))[:, None] * np.exp(1j * np.linspace(0, 2 * np.pi, 100))
    kreiss = ((np.abs(z) - 1) / smallest(M, z)).max()
    assert 10 < kreiss <= peak <= np.e * 2 * kreiss
