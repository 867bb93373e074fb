"""Densities of the parts against the dense ones, Ritz values against eigenvalues, the numerical range against both."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.spectrum.diagnostics.density import part_density, plane_density
from gamedyn.spectrum.diagnostics.field_of_values import numerical_range

DOUBLE = torch.float64


def non_normal(rng, n):
    """Triangular plus rotation: S, A and the eigenvalues all differ."""
    J = np.diag(-np.linspace(0.2, 3, n)) + np.triu(rng.standard_normal((n, n)), 1) / math.sqrt(n)
    rotation = np.diag(np.linspace(1, 2, n - 1), 1)
    return torch.as_tensor(J + rotation - rotation.T)


def toy_gan(generator):
    game = gd.games.gan(
        gd.games.mlp((3, 10, 6), generator=generator, dtype=DOUBLE),
        gd.games.mlp((6, 20, 3, 1), generator=generator, dtype=DOUBLE),
        "nonsaturating",
    )
    batch = tuple(torch.randn(16, k, generator=generator, dtype=DOUBLE) for k in (6, 3))
    flow = gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.r1(0.1))
    return flow, batch


@pytest.mark.parametrize("part", ["symmetric", "skew"])
def test_quadrature_is_exact_to_degree_2m_minus_1(part):
    # rejects: squared weights of the last row, Gauss-Radau, a diagonal added to the skew recurrence
    m = 5
    if part == "symmetric":  # signs see powers of a diagonal exactly: u^T D^k u = tr D^k
        values = np.linspace(-1.0, 0.7, 40) ** 3
        J = torch.diag(torch.as_tensor(values))
    else:  # and even powers of blocks [[0, -w], [w, 0]]; the odd ones are 0
        omega = np.linspace(0.1, 2.0, 20)
        values = np.r_[-omega, omega]
        J = torch.block_diag(*(torch.tensor([[0.0, -w], [w, 0.0]], dtype=DOUBLE) for w in omega))
    found = part_density(J, part, steps=m, probes=3, formed_up_to=0)
    assert found.products == 2 * m * 3
    assert not found.exact
    for k in range(2 * m):
        mean, error = found.mean(lambda x, k=k: x**k)
        exact = np.mean(values**k)
        assert mean == pytest.approx(exact, abs=1e-13 * np.abs(values).max() ** k)
        assert error <= 1e-13 * np.abs(values).max() ** k
    beyond = found.mean(lambda x: x ** (2 * m))[0]
    assert abs(beyond - np.mean(values ** (2 * m))) > 1e-6 * np.abs(values).max() ** (2 * m)


@pytest.mark.parametrize("part", ["symmetric", "skew"])
def test_stochastic_density_is_the_dense_one(part, rng):
    # rejects: S for A, J u alone, eigenvalues of J, probes not normalised, an error that is not one
    J = non_normal(rng, 600)
    exact = part_density(J, part)
    half = (J - J.T).numpy() / 2j if part == "skew" else (J + J.T).numpy() / 2
    assert exact.exact
    np.testing.assert_allclose(np.sort(exact.nodes[0]), np.linalg.eigvalsh(half), atol=1e-12)
    found = part_density(J, part, steps=60, probes=24, formed_up_to=0)  # 24: an error from few has tails
    low, high = exact.ends
    scale = max(abs(low), abs(high))
    for fn in (lambda x: x**2, lambda x: np.exp(x / scale), lambda x: np.abs(x) ** 3, lambda x: np.cos(x)):
        mean, error = found.mean(fn)
        assert abs(mean - exact.mean(fn)[0]) <= 5 * error + 1e-9
        assert error <= 0.05 * np.abs(fn(exact.nodes[0])).max()
    width = 0.05 * scale
    x = np.linspace(low - 5 * width, high + 5 * width, 400)
    curves = [d(x, width) for d in (exact, found)]
    assert np.trapezoid(curves[1], x) == pytest.approx(1.0, abs=1e-3)
    # total variation; the wrong part's density is at 0.3
    assert np.trapezoid(np.abs(curves[0] - curves[1]), x) < 0.06
    other = part_density(J, "symmetric" if part == "skew" else "skew")
    assert np.trapezoid(np.abs(curves[0] - other(x, width)), x) > 0.2
    # Lanczos finds the ends, never beyond them
    assert low - 1e-9 <= found.ends[0] <= low + 0.02 * scale
    assert high - 0.02 * scale <= found.ends[1] <= high + 1e-9
    share, error = found.share(0.0)
    assert abs(share - exact.share(0.0)[0]) <= 5 * error + 1 / 60
    assert found.n == 600


def test_density_of_a_gan_from_its_products(generator):
    # rejects: the game without its penalty, J for J^T in one of the parts (the other's moments)
    flow, batch = toy_gan(generator)
    products = flow.at(flow.initial_state(), batch).jacobian()
    J = products.to_dense()
    for part, half in (("symmetric", (J + J.T) / 2), ("skew", (J - J.T) / 2)):
        found = part_density(products, part, steps=20, probes=6, formed_up_to=100)
        mean, error = found.mean(np.square)
        assert abs(mean - float(half.square().sum()) / len(J)) <= 4 * error
        assert error < 0.5 * mean
    exact = part_density(gd.spectrum.linearise(flow, flow.initial_state(), batch), "skew")
    assert exact.mean(np.square)[0] == pytest.approx(float((J - J.T).square().sum()) / 4 / len(J), rel=1e-12)


def test_a_basis_stays_orthogonal_to_the_end():
    # rejects: orthogonalising once (1e-5), or not at all (copies of what has converged)
    values = 0.9 ** np.arange(80)
    values[0] = 5.0
    found = part_density(torch.diag(torch.as_tensor(values)), steps=80, probes=1, formed_up_to=0)
    np.testing.assert_allclose(found.nodes[0], np.sort(values), atol=1e-13)


def test_invariant_spaces_end_early():
    # rejects: a division by a vanishing beta, nodes with rounding for weights
    J = torch.diag(torch.tensor([-1.0] * 30 + [2.0] * 10, dtype=DOUBLE))
    found = part_density(J, steps=20, probes=2, formed_up_to=0)
    assert [len(x) for x in found.nodes] == [2, 2]
    np.testing.assert_allclose(found.nodes[0], [-1.0, 2.0], atol=1e-14)
    np.testing.assert_allclose(found.weights[1], [0.75, 0.25], atol=1e-14)
    zero = part_density(torch.zeros(30, 30), "skew", steps=20, probes=2, formed_up_to=0)
    np.testing.assert_array_equal(zero.nodes[0], [0.0])
    plane = plane_density(J, steps=20, starts=2, formed_up_to=0)
    np.testing.assert_allclose(np.sort(plane.values.real), [-1.0, -1.0, 2.0, 2.0], atol=1e-13)
    assert plane.converged(1e-12).all()


def test_ritz_values_show_the_outer_part_and_say_what_they_do_not_know(rng):
    # rejects: Ritz values sold as eigenvalues, residuals of another vector, moments of J^T J
    n = 500
    J = torch.as_tensor(rng.standard_normal((n, n)) / math.sqrt(n))  # the unit disc
    J[0, 0], J[:2, 1] = 4.0, torch.tensor([0.0, -3.0])  # and two outliers
    J[1:, 0] = J[0, 1:] = J[1, 2:] = 0.0
    J[2:, 1] = 0.0
    exact = plane_density(J)
    found = plane_density(J, steps=40, starts=4, formed_up_to=0)
    assert exact.exact
    assert exact.converged(1e-10).all()
    assert found.products == 160
    known = found.values[found.converged(1e-8)]
    for z in (4.0, -3.0):
        assert (np.abs(known - z) < 1e-8).sum() == 4  # by every start
    # those that claim to be eigenvalues are: the smallest singular value of J - z is below the residual
    for z, claimed in list(zip(found.values, found.residuals, strict=True))[::7]:
        smallest = np.linalg.svd(J.numpy() - z * np.eye(n), compute_uv=False)[-1]
        assert smallest <= claimed + 1e-12
    assert not found.converged(1e-8).all()
    # holomorphic moments: exact in expectation up to degree `steps`
    for k in (1, 2, 3):
        each = np.array([found.moment_weights[i : i + 40] @ found.values[i : i + 40] ** k for i in range(0, 160, 40)])
        error = np.std(4 * each.real, ddof=1) / 2
        assert abs(found.moment(k) - exact.moment(k)) <= 5 * error
        assert abs(found.moment(k).imag) < 1e-10
    assert exact.moment(2) == pytest.approx(complex(torch.trace(J @ J)) / n, abs=1e-10)
    x = np.linspace(-5, 5, 81)
    grid = x[:, None] + 1j * x
    assert exact(grid, 0.3).sum() * (x[1] - x[0]) ** 2 == pytest.approx(1.0, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(2, 20))
def test_arnoldi_moments_are_those_that_the_start_sees(seed, n):
    # rejects: |weights|, weights of the left vectors alone
    J = torch.as_tensor(np.random.default_rng(seed).standard_normal((n, n)))
    found = plane_density(J, steps=4, starts=1, formed_up_to=0, seed=seed % 100)
    u = (torch.randint(0, 2, (n,), generator=torch.Generator().manual_seed(seed % 100)) * 2.0 - 1).double()
    size, power = float(torch.linalg.matrix_norm(J, 2)), u.clone()
    for k in range(min(4, n) + 1):
        # defective H would spoil it: eigenvector conditions of random ones stay below 1e4
        assert abs(found.moment(k) - float(u @ power) / n) <= 1e-9 * size**k
        power = J @ power


class TestNumericalRange:
    def test_of_a_two_by_two_matrix_is_an_ellipse(self):
        # rejects: the transposed rotation (a mirrored set), eigenvalues for x* J x, half the minor axis
        J = torch.tensor([[-1.0, 20.0], [0.0, -2.0]], dtype=DOUBLE)
        found = numerical_range(J, angles=25)
        assert found.abscissa == pytest.approx(-1.5 + math.sqrt(401) / 2, abs=1e-9)  # games.md b.4
        # foci at the eigenvalues, minor axis |J_12|
        sums = np.abs(found.points + 1) + np.abs(found.points + 2)
        np.testing.assert_allclose(sums, math.hypot(20.0, 1.0), atol=1e-7)
        assert len(found.points) == 48
        np.testing.assert_allclose(
            np.unwrap(np.angle(found.points + 1.5)), np.unwrap(np.angle(found.directions)), atol=0.1
        )  # anticlockwise, from the right

    def test_of_a_normal_matrix_is_the_hull_of_its_eigenvalues(self):
        # rejects: points outside the hull, supports of the wrong half plane
        blocks = [torch.tensor([[a, -w], [w, a]], dtype=DOUBLE) for a, w in ((-1.0, 2.0), (-3.0, 0.5), (0.5, 0.2))]
        Q = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=DOUBLE))[0]
        J = Q @ torch.block_diag(*blocks) @ Q.T
        found = numerical_range(J, angles=21, tol=1e-10)
        values = np.linalg.eigvals(J.numpy())
        expected = np.array([(values * d.conjugate()).real.max() for d in found.directions])
        np.testing.assert_allclose(found.supports, expected, atol=1e-9)
        assert not found.excludes(values * (1 - 1e-6)).any()
        np.testing.assert_array_equal(found.excludes([0.6, -1 + 2.1j, -3.2, 3j]), True)

    def test_of_a_gan_holds_its_eigenvalues_and_meets_the_dense_supports(self, generator):
        # rejects: S alone in every direction, J^T products taken for J's, residuals that are not true
        flow, batch = toy_gan(generator)
        lin = gd.spectrum.linearise(flow, flow.initial_state(), batch)
        found = numerical_range(lin.J, angles=7, tol=1e-9)
        J = lin.matrix.numpy()
        scale = np.linalg.norm(J, 2)
        for d, support, z, residual in zip(
            found.directions, found.supports, found.points, found.residuals, strict=True
        ):
            H = (d.conjugate() * J + d * J.T) / 2
            assert support == pytest.approx(np.linalg.eigvalsh(H)[-1], abs=1e-9 * scale)
            assert (z * d.conjugate()).real == pytest.approx(support, abs=1e-9 * scale)
            assert residual <= 2e-9 * scale
        assert not found.excludes(lin.eigenvalues.values).any()
        assert found.abscissa > lin.eigenvalues.rightmost.real
        assert found.products > 7 * 4

    def test_single_precision_is_as_good_as_it_can_be(self, rng):
        J = non_normal(rng, 50)
        found = numerical_range(J.float(), angles=5)
        exact = numerical_range(J, angles=5)
        np.testing.assert_allclose(found.supports, exact.supports, rtol=3e-5)


def test_bad_arguments():
    J = torch.eye(3)
    for wrong in (torch.ones(2, 3), torch.full((2, 2), math.nan), torch.eye(2, dtype=torch.complex64), [[1.0]], None):
        with pytest.raises(ArgumentError, match="J"):
            part_density(wrong)
    for call in (
        lambda: part_density(J, "sym"),
        lambda: part_density(J, steps=1),
        lambda: part_density(J, probes=0),
        lambda: plane_density(J, starts=0),
        lambda: numerical_range(J, angles=1),
        lambda: numerical_range(J, tol=0.0),
        lambda: numerical_range(J, max_products=0),
        lambda: part_density(J)(0.0, 0.0),
    ):
        with pytest.raises(ArgumentError):
            call()
