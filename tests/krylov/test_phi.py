"""Phi-functions against the dense exponential of the larger matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov import phi_combination

DOUBLE = torch.float64
EPS = torch.finfo(DOUBLE).eps
seeds = st.integers(0, 2**32 - 1)


def dense(A, vectors):
    """sum_k phi_k(A) b_k, each phi_k by the exponential of its own block matrix (Higham 2008, eq. 10.40)."""
    A, n, total = A.double().numpy(), len(A), 0
    for k, b in enumerate(vectors):
        if b is not None:
            block = np.zeros((n + k, n + k))
            block[:n, :n] = A
            if k:
                block[:n, n] = b.double().numpy()
                block[range(n, n + k - 1), range(n + 1, n + k)] = 1
            E = scipy.linalg.expm(block)
            total = total + (E[:n, -1] if k else E @ b.double().numpy())
    return torch.as_tensor(total)


def scalar(z, k):
    """phi_k(z): by its recurrence, or its series near 0."""
    if abs(z) < 1:
        return sum(z**i / math.factorial(i + k) for i in range(25))
    value = np.exp(z)
    for i in range(k):
        value = (value - 1 / math.factorial(i)) / z
    return value


def problem(n, p, seed, size=1.0, dtype=DOUBLE):
    rng = np.random.default_rng(seed)
    A = torch.as_tensor(size * rng.standard_normal((n, n)) / math.sqrt(n), dtype=dtype)
    return A, [torch.as_tensor(rng.standard_normal(n), dtype=dtype) for _ in range(p + 1)]


def largest(exact, vectors):
    """What errors are relative to: the sum may cancel."""
    return float(max(exact.norm(), *(b.norm() for b in vectors if b is not None), 0))


def close(result, exact, bound, scale=None):
    assert result.status == "converged"
    assert result.converged
    assert float((result.value.double() - exact).norm()) <= bound * (scale or float(exact.norm()))


class TestAgainstDense:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 60), st.integers(0, 3), seeds, st.sampled_from([0.01, 1.0, 5.0]), st.integers(0, 15))
    def test_random(self, n, p, seed, size, gaps):
        # rejects: phi_k for phi_{k+1}, b in the wrong order, factorials left out, a None taken for its neighbour
        A, vectors = problem(n, p, seed, size)
        vectors = [None if gaps >> k & 1 and k < p else b for k, b in enumerate(vectors)]
        matvec = Counted(A)
        result = phi_combination(matvec, vectors, rtol=1e-11)
        exact = dense(A, vectors)
        close(result, exact, 2e-11, largest(exact, vectors))
        assert result.products == matvec.products

    @pytest.mark.parametrize("k", [0, 1, 2, 3])
    @pytest.mark.parametrize("z", [0.0, 1e-9, -0.04, 0.5, -3.0, 20.0, -1e3])
    def test_scalar(self, z, k):
        # rejects: a phi_k that loses its digits near 0, products beyond the k + 1 unknowns;
        # at -0.04, torch's matrix_exp of a matrix so small (8e-11 off)
        vectors = [None] * k + [torch.ones(1, dtype=DOUBLE)]
        result = phi_combination(lambda x: z * x, vectors)
        assert result.products <= 1 + k
        assert result.substeps == 1
        bound = 100 * EPS * (1 + abs(z))
        assert result.value.item() == pytest.approx(scalar(z, k), rel=bound, abs=bound if k == 0 else 0)

    @pytest.mark.parametrize("p", [0, 1, 2, 3])
    @pytest.mark.parametrize("dimension", [10, 30])
    def test_stiff(self, p, dimension):
        # rejects: one step of length 1 whatever the error; the estimate that |A| does not enter
        rng = np.random.default_rng(p)
        n = 60
        S = np.eye(n) + 0.3 * rng.standard_normal((n, n)) / math.sqrt(n)
        A = torch.as_tensor(S @ np.diag(-np.geomspace(1e-2, 1e3, n)) @ np.linalg.inv(S))
        vectors = problem(n, p, 7)[1]
        result = phi_combination(lambda x: A @ x, vectors, rtol=1e-9, dimension=dimension)
        exact = dense(A, vectors)
        close(result, exact, 1e-9, largest(exact, vectors))
        assert result.substeps > 1

    @pytest.mark.parametrize("p", [0, 1, 2, 3])
    def test_rotation(self, p):
        # rejects: an estimate that vanishes where a rotation passes through a multiple of its period
        n = 50
        w = torch.linspace(1, 30, n, dtype=DOUBLE)
        A = torch.zeros(2 * n, 2 * n, dtype=DOUBLE)
        A[range(n), range(n, 2 * n)], A[range(n, 2 * n), range(n)] = -w, w
        vectors = problem(2 * n, p, 8)[1]
        result = phi_combination(lambda x: A @ x, vectors, rtol=1e-10)
        close(result, dense(A, vectors), 1e-9)
        if p == 0:
            assert float(result.value.norm()) == pytest.approx(float(vectors[0].norm()), rel=1e-9)

    def test_stiff_and_rotating(self):
        # the work-precision study's game, -0.01 +- 10i and -100, times a step of 3
        A = 3 * torch.tensor([[-0.01, -10, 0], [10, -0.01, 0], [5, 0, -100]], dtype=DOUBLE)
        vectors = [None, torch.tensor([1.0, 2, 3], dtype=DOUBLE)]
        result = phi_combination(lambda x: A @ x, vectors)
        close(result, dense(A, vectors), 1e-13)
        assert (result.products, result.substeps, result.error) == (3, 1, 0.0)

    @pytest.mark.parametrize("p", [0, 1, 2, 3])
    def test_zero_matrix(self, p):
        # sum of b_k / k!; rejects: phi_k(0) = 1
        vectors = problem(40, p, 9)[1]
        result = phi_combination(torch.zeros_like, vectors)
        close(result, sum(b / math.factorial(k) for k, b in enumerate(vectors)), 10 * EPS)
        assert result.substeps == 1

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 60), st.integers(0, 3), seeds)
    def test_float32(self, n, p, seed):
        # rejects: small matrices in float32; a tolerance below rounding pursued for ever
        A, vectors = problem(n, p, seed, 2.0, torch.float32)
        result = phi_combination(lambda x: A @ x, vectors)
        assert result.value.dtype is torch.float32
        exact = dense(A, vectors)
        close(result, exact, 5e-6, largest(exact, vectors))


class Counted:
    def __init__(self, A):
        self.A, self.products = A, 0

    def __call__(self, x):
        self.products += 1
        return self.A @ x


class TestProperties:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(5, 50), seeds, st.floats(0.1, 0.9))
    def test_semigroup(self, n, seed, s):
        # rejects: time that does not add up over sub-steps
        A, (b,) = problem(n, 0, seed, 4.0)
        first = phi_combination(lambda x: s * (A @ x), [b], rtol=1e-12).value
        second = phi_combination(lambda x: (1 - s) * (A @ x), [first], rtol=1e-12)
        whole = phi_combination(lambda x: A @ x, [b], rtol=1e-12, dimension=8)
        close(second, whole.value, 1e-10, largest(whole.value, [b, first]))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 50), st.integers(1, 4), seeds)
    def test_recurrence(self, n, k, seed):
        # A phi_k(A) b = phi_{k-1}(A) b - b / (k-1)!; rejects: 1/k!
        A, (b,) = problem(n, 0, seed, 3.0)
        phi = [phi_combination(lambda x: A @ x, [None] * i + [b], rtol=1e-12).value for i in (k - 1, k)]
        torch.testing.assert_close(A @ phi[1], phi[0] - b / math.factorial(k - 1), rtol=0, atol=1e-10 * float(b.norm()))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 40), st.integers(0, 3), seeds, st.floats(-12, 12))
    def test_homogeneous(self, n, p, seed, power):
        # rejects: an absolute tolerance, the larger matrix without its scaling
        A, vectors = problem(n, p, seed, 2.0)
        plain, scaled = (
            phi_combination(lambda x: A @ x, [c * b for b in vectors], rtol=1e-11) for c in (1.0, 10.0**power)
        )
        exact = plain.value * 10.0**power
        close(scaled, exact, 4e-11, largest(exact, [10.0**power * b for b in vectors]))

    @pytest.mark.parametrize("small", [1e-8, 1e8])
    def test_unequal_vectors(self, small):
        # rejects: b_1 drowned by b_0, or its digits lost
        A, (b0, b1) = problem(40, 1, 10, 3.0)
        both = phi_combination(lambda x: A @ x, [b0, small * b1], rtol=1e-13).value
        exact = dense(A, [b0, small * b1])
        assert float((both - exact).norm()) <= 1e-11 * float(exact.norm())


class TestWork:
    def test_substeps(self):
        # rejects: sub-steps that forget the polynomial's time
        A, vectors = problem(60, 3, 11, 10.0)
        exact = dense(A, vectors)
        short = phi_combination(lambda x: A @ x, vectors, dimension=8)
        long = phi_combination(lambda x: A @ x, vectors, dimension=63)
        assert short.substeps > 5
        assert long.substeps == 1
        close(short, exact, 1e-9)
        close(long, exact, 1e-9)

    @pytest.mark.parametrize("distinct", [1, 3, 6])
    @pytest.mark.parametrize("p", [0, 1, 2])
    def test_invariant_space(self, distinct, p):
        # rejects: sub-steps, or an estimate, where there is nothing left to estimate
        values = torch.linspace(-40, 1, distinct, dtype=DOUBLE).repeat(10)
        vectors = [None] * p + [torch.linspace(1, 2, len(values), dtype=DOUBLE)]
        result = phi_combination(lambda x: values * x, vectors)
        exact = torch.tensor([scalar(v, p) for v in values.tolist()], dtype=DOUBLE) * vectors[-1]
        close(result, exact, 200 * EPS)
        assert (result.substeps, result.error) == (1, 0.0)
        assert result.products <= distinct + p

    @pytest.mark.parametrize("size", [1.0, 5.0])
    def test_correction(self, size):
        # rejects: the plain scheme, whose error is the estimate
        A, vectors = problem(100, 2, 13, size)
        exact = dense(A, vectors)
        for rtol in (1e-3, 1e-6, 1e-9):
            result = phi_combination(lambda x: A @ x, vectors, rtol=rtol)
            assert result.substeps == 1
            assert float((result.value - exact).norm()) < 0.5 * result.error

    def test_first_estimate_may_vanish(self):
        # e_2 after a whole turn is 0, and so is its integral: what feeds on that is not
        # rejects: the first omitted term alone as estimate
        A = torch.zeros(4, 4, dtype=DOUBLE)
        A[0, 1], A[1, 0], A[2, 1], A[3, 2] = -2 * math.pi, 2 * math.pi, 1, 5
        b = torch.tensor([1.0, 0, 0, 0], dtype=DOUBLE)
        result = phi_combination(lambda x: A @ x, [b], dimension=2, rtol=1e-1)
        close(result, dense(A, [b]), 1e-2)
        assert result.value[3].item() == pytest.approx(5 / (2 * math.pi), rel=1e-2)

    def test_relative_to_the_solution(self):
        # rejects: errors relative to b_1, a thousand times the solution
        d = -torch.linspace(1e3, 2e3, 80, dtype=DOUBLE)
        b = problem(80, 0, 18)[1][0]
        for rtol in (1e-2, 1e-4):
            result = phi_combination(lambda x: d * x, [None, b], rtol=rtol, dimension=20)
            close(result, torch.special.expm1(d) / d * b, rtol)
            assert result.error <= rtol * float(result.value.norm()) * 1.01

    def test_easy_ones_are_cheap(self):
        # rejects: the whole Krylov space built before the first estimate
        A, vectors = problem(200, 1, 12, 1e-3)
        assert phi_combination(lambda x: A @ x, vectors).products <= 8

    def test_tolerance_buys_accuracy(self):
        # rejects: a tolerance that nothing reads
        A, vectors = problem(100, 2, 13, 20.0)
        exact, products = dense(A, vectors), []
        for rtol in (1e-3, 1e-6, 1e-9, 1e-12):
            result = phi_combination(lambda x: A @ x, vectors, rtol=rtol)
            close(result, exact, 10 * rtol + 1e-13)
            products.append(result.products)
        assert products == sorted(set(products))

    def test_absolute_tolerance(self):
        # rejects: atol that nothing reads
        A, vectors = problem(100, 1, 14, 10.0)
        loose = phi_combination(lambda x: A @ x, vectors, rtol=1e-14, atol=1.0)
        assert loose.products < phi_combination(lambda x: A @ x, vectors, rtol=1e-14).products

    def test_zero_vectors(self):
        result = phi_combination(lambda x: x, [torch.zeros(3)])
        assert result[1:] == (0.0, 0, 0, True, "converged")
        result = phi_combination(lambda x: x, [None, torch.zeros(3), None])
        assert result.converged
        assert torch.equal(result.value, torch.zeros(3))

    def test_budget(self):
        # rejects: a value that was not reached called converged
        A, vectors = problem(100, 1, 15, 50.0)
        matvec = Counted(A)
        result = phi_combination(matvec, vectors, max_products=40)
        assert result[1:] == (math.inf, matvec.products, result.substeps, False, "budget")
        assert result.products <= 40

    @pytest.mark.parametrize("at", [1, 3, 35])
    def test_non_finite(self, at):
        # rejects: NaN called converged
        A, vectors = problem(100, 1, 16, 30.0)
        calls = 0

        def matvec(x):
            nonlocal calls
            calls += 1
            return A @ x * (math.nan if calls == at else 1)

        result = phi_combination(matvec, vectors)
        assert (result.converged, result.status, result.error) == (False, "non_finite", math.inf)
        assert bool(result.value.isfinite().all())

    def test_overflow(self):
        result = phi_combination(lambda x: 1e4 * x, [torch.ones(2, dtype=DOUBLE)])
        assert result.status == "non_finite"

    def test_inputs_are_kept(self):
        # rejects: a b_0 that is written, products kept by reference
        A, vectors = problem(20, 2, 17, 3.0)
        A.requires_grad_()
        copies, buffer = [b.clone() for b in vectors], torch.empty(20, dtype=DOUBLE)
        with torch.no_grad():
            reused = phi_combination(lambda x: torch.mv(A, x, out=buffer), vectors, dimension=6)
        plain = phi_combination(lambda x: A @ x, vectors, dimension=6)
        assert torch.equal(plain.value, reused.value)
        assert not plain.value.requires_grad
        assert all(torch.equal(a, b) for a, b in zip(copies, vectors, strict=True))

    @pytest.mark.parametrize(
        ("name", "vectors", "options"),
        [
            ("rtol", [torch.ones(2)], {"rtol": 0.0}),
            ("atol", [torch.ones(2)], {"atol": -1.0}),
            ("dimension", [torch.ones(2)], {"dimension": 0}),
            ("max_products", [torch.ones(2)], {"max_products": 0}),
            ("vectors", [], {}),
            ("vectors", [None, None], {}),
            ("vectors", [torch.ones(2), torch.ones(3)], {}),
            ("vectors", [torch.ones(2), torch.ones(2, dtype=DOUBLE)], {}),
            ("vectors", [torch.ones(2, 2)], {}),
        ],
    )
    def test_arguments(self, name, vectors, options):
        with pytest.raises(ArgumentError) as error:
            phi_combination(lambda x: x, vectors, **options)
        assert error.value.argument == name
