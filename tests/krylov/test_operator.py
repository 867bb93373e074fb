"""Matrix-free maps: their algebra against matrices, NumPy's vectors, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.krylov import LinearOperator

DOUBLE = torch.float64
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)


def matrix(m, n, seed, dtype=DOUBLE):
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((m, n)), dtype=dtype)


def operator(A):
    return LinearOperator(tuple(A.shape), A.mv, A.T.mv, dtype=A.dtype)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, seeds, st.sampled_from([DOUBLE, torch.float32]))
@example(1, 2, 596773, torch.float32)  # A x cancels: the misfit is relative to |x| |A^T y| then
def test_products_and_transposes(m, n, seed, dtype):
    # rejects: the shape or the products of a transpose left as they are; columns taken for rows
    A = matrix(m, n, seed, dtype)
    op, tol = operator(A), {"rtol": 0, "atol": 1e-13 if dtype is DOUBLE else 1e-5}
    assert op.T.shape == (n, m)
    for mine, true in ((op, A), (op.T, A.T), (op.T.T, A)):
        X = matrix(true.shape[1], 3, seed + 1, dtype)
        torch.testing.assert_close(mine @ X[:, 0], true @ X[:, 0], **tol)
        torch.testing.assert_close(mine @ X, true @ X, **tol)
        torch.testing.assert_close(mine.to_dense(), true, **tol)
        torch.testing.assert_close(mine.rmatvec(true @ X[:, 1]), true.T @ (true @ X[:, 1]), rtol=0, atol=1e-3)
    assert op.adjoint_misfit(seed) < tol["atol"]


@settings(max_examples=40, deadline=None)
@given(sizes, seeds, st.floats(-3, 3))
def test_algebra(n, seed, factor):
    # rejects: skew as (A^T - A) / 2, a factor forgotten in the transpose, late-bound operands
    A, B = matrix(n, n, seed), matrix(n, n, seed + 1)
    a, b = operator(A), operator(B)
    pairs = {
        "symmetric": (a.symmetric, (A + A.T) / 2),
        "skew": (a.skew, (A - A.T) / 2),
        "sum": (a + b, A + B),
        "difference": (a - b, A - B),
        "multiple": (a * factor, A * factor),
        "from the left": (factor * a, A * factor),
        "minus": (-a, -A),
        "both parts": (a.symmetric + a.skew, A),
        "of a sum": ((a + factor * b.T).skew, (A + factor * B.T - A.T - factor * B) / 2),
    }
    for name, (mine, true) in pairs.items():
        torch.testing.assert_close(mine.to_dense(), true, rtol=0, atol=1e-13, msg=name)
        torch.testing.assert_close(mine.T.to_dense(), true.T, rtol=0, atol=1e-13, msg=name)


class TestSciPy:
    def test_the_same_map(self):
        A = matrix(5, 3, 1)
        op = operator(A).to_scipy()
        assert op.shape == (5, 3)
        assert op.dtype == np.float64
        X = np.random.default_rng(2).standard_normal((3, 4))
        np.testing.assert_allclose(op @ X, A.numpy() @ X, rtol=0, atol=1e-14)
        np.testing.assert_allclose(op.T @ (A.numpy() @ X), A.numpy().T @ A.numpy() @ X, rtol=0, atol=1e-13)
        assert operator(A.float()).to_scipy().dtype == np.float32

    def test_complex_vectors(self):
        # rejects: the imaginary part dropped, with which every residual of a complex eigenpair looks large
        A = matrix(6, 6, 3)
        op = operator(A).to_scipy()
        values, vectors = np.linalg.eig(A.numpy())
        assert np.abs(values.imag).max() > 0.1
        np.testing.assert_allclose(op @ vectors, vectors * values, rtol=0, atol=1e-13)
        np.testing.assert_allclose(op.rmatvec(vectors[:, 0]), A.numpy().T @ vectors[:, 0], rtol=0, atol=1e-13)

    def test_arrays_that_cannot_be_shared(self):
        # rejects: PyTorch's warning for arrays that are read-only, its error for negative strides
        A = matrix(4, 4, 4)
        op, x = operator(A).to_scipy(), np.arange(8.0)
        for array in (np.broadcast_to(1.0, 4), x[::-2], x[::2], np.arange(4)):
            np.testing.assert_allclose(op @ array, A.numpy() @ array, rtol=0, atol=1e-13)
        x.setflags(write=False)
        np.testing.assert_allclose(op @ x[:4], A.numpy() @ x[:4], rtol=0, atol=1e-13)

    def test_arpack_takes_it(self):
        A = matrix(40, 40, 5)
        found = scipy.sparse.linalg.eigs(operator(A).to_scipy(), k=4, which="LM", return_eigenvectors=False)
        true = np.linalg.eigvals(A.numpy())
        for z in found:
            assert np.abs(true - z).min() < 1e-10


def test_a_wrong_transpose_is_seen():
    # rejects: a misfit that compares A with itself
    A = matrix(6, 6, 6)
    mutant = LinearOperator((6, 6), A.mv, A.mv, dtype=DOUBLE)
    assert operator(A).adjoint_misfit() < 1e-14
    assert mutant.adjoint_misfit() > 1e-2


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (torch.ones(4, dtype=DOUBLE), r"a vector \(3,\)"),
        (torch.ones(4, 3, dtype=DOUBLE), "columns"),
        (torch.ones(1, 3, 3, dtype=DOUBLE), "columns"),
        (torch.ones(3), "float64"),
        (np.ones(3), "ndarray"),
    ],
)
def test_vectors_that_do_not_fit(x, match):
    with pytest.raises(ArgumentError, match=match):
        operator(matrix(2, 3, 0)) @ x


def test_operands_and_transposes_that_are_not_there():
    A = operator(matrix(3, 3, 0))
    with pytest.raises(ArgumentError, match=r"\(3, 3\)"):
        A + operator(matrix(2, 3, 0))
    with pytest.raises(ArgumentError, match="Tensor"):
        A + torch.eye(3)
    one_way = LinearOperator((3, 3), lambda x: x, dtype=DOUBLE)
    with pytest.raises(ArgumentError, match="transpose"):
        one_way.T @ torch.ones(3, dtype=DOUBLE)
    torch.testing.assert_close(one_way.to_dense(), torch.eye(3, dtype=DOUBLE))
    assert repr(one_way) == "LinearOperator(3 x 3, torch.float64, cpu)"


class TestEigenpairs:
    """The operator's own face of the searches; the searches themselves are tested in test_schur."""

    A = matrix(30, 30, 0) / 30**0.5 - 2 * torch.diag(torch.linspace(0, 5, 30, dtype=DOUBLE))

    def test_of_every_kind(self):
        exact = torch.linalg.eigvals(self.A).numpy()
        own = torch.linalg.eigvalsh((self.A + self.A.T) / 2).numpy()
        right = operator(self.A).eigenpairs(2, tol=1e-10)
        assert right.values[0].real == pytest.approx(exact.real.max(), abs=1e-8)
        near = operator(self.A).eigenpairs(1, "nearest", shift=-4.0, tol=1e-10)
        assert abs(near.values[0] - exact[np.abs(exact + 4.0).argmin()]) < 1e-7
        least = operator(self.A).symmetric.eigenpairs(2, "leftmost", symmetric=True, tol=1e-10)
        np.testing.assert_allclose(np.sort(least.values.real), own[:2], atol=1e-8)

    def test_what_they_return_goes_where_eigenvalues_go(self):
        # rejects: a part of the spectrum taken for all of it
        part = operator(self.A).eigenpairs(4, "leftmost")
        whole = operator(self.A).eigenpairs(30)
        assert not part.complete
        assert whole.complete
        steps = [gd.stability.stable_steps("rk4", found) for found in (part, whole)]
        assert [s.complete for s in steps] == [False, True]
        told = part.to_dict()
        assert json.loads(json.dumps(told)) == told
        assert len(told["eigenvalues"]) == len(part) == len(np.asarray(part))

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"maxiter": 3}, UnknownNameError, "option of eigenpairs"),
            ({"which": "nearest"}, ArgumentError, "shift"),
            ({"shift": 1.0}, ArgumentError, "shift"),
            ({"resume": 3}, ArgumentError, "RitzPairs of this operator"),
            ({"symmetric": True, "inner_rtol": 0.1}, UnknownNameError, "symmetric_eigenpairs"),
        ],
    )
    def test_refusals(self, options, error, match):
        with pytest.raises(error, match=match):
            operator(self.A).eigenpairs(2, **options)

    def test_pairs_of_another_operator_or_of_none(self):
        with pytest.raises(ArgumentError, match="a square one"):
            operator(matrix(2, 3, 0)).eigenpairs(1)
        small = operator(torch.eye(3, dtype=DOUBLE)).eigenpairs(1)
        with pytest.raises(ArgumentError, match="of dimension 30"):
            operator(self.A).eigenpairs(2, resume=small)

    def test_a_basis_that_does_not_fit(self):
        # rejects: an allocation that fails, or takes the machine with it
        huge = LinearOperator((10**7, 10**7), lambda x: x, dtype=DOUBLE)
        with pytest.raises(ArgumentError, match=r"GB are free"):
            huge.eigenpairs(50_000)

    def test_in_single_precision(self):
        # rejects: inner solves asked for more than the type has ("stagnated")
        A = self.A.float()
        found = LinearOperator((30, 30), A.mv, A.T.mv, dtype=A.dtype).eigenpairs(2, "nearest", shift=-4.0)
        assert found.status == "converged"
        assert (found.residuals < 1e-4 * found.norm).all()

    def test_a_map_that_is_not_the_same_each_time(self):
        # rejects: "converged" where the true residuals are large
        calls = [0]

        def drifting(x):
            calls[0] += 1
            return self.A @ x + (5.0 * x if calls[0] > 30 else 0.0)

        found = LinearOperator((30, 30), drifting, dtype=DOUBLE).eigenpairs(30)
        assert found.status == "inexact"
        assert not found.converged.all()


def test_matrices_that_are_known_are_not_multiplied_for():
    # rejects: products, and the transpose, a part or a multiple of something else
    A, B = matrix(4, 4, 0), matrix(4, 4, 1)

    def refuse(x):
        raise AssertionError

    a, b = (LinearOperator((4, 4), refuse, refuse, dtype=DOUBLE, matrix=m.clone) for m in (A, B))
    sum_ = A + 2 * B.T
    torch.testing.assert_close(((a + b.T * 2.0).symmetric - b.skew).to_dense(), (sum_ + sum_.T) / 2 - (B - B.T) / 2)
