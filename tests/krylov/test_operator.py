"""Matrix-free maps: their algebra against matrices, NumPy's vectors, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
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
