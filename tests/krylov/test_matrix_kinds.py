"""Eigenpairs of nineteen kinds of matrices: every pair is what its residual says, and the wanted ones come first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import circulant, companion, hadamard, hilbert, qr, toeplitz

from gamedyn.krylov import eigenpairs, nearest_eigenpairs

N = 32
KINDS = ("rightmost", "leftmost", "largest_modulus", "largest_imaginary")


def orthogonal(rng):
    return qr(rng.standard_normal((N, N)))[0]


def rotations(rng):
    out = np.zeros((N, N))
    for i, w in enumerate(np.linspace(0.2, 6, N // 2)):
        out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[-0.05 * i, -w], [w, -0.05 * i]]
    return out


def similar(rng, D):
    V = rng.standard_normal((N, N)) + 3 * np.eye(N)
    return V @ D @ np.linalg.inv(V)


def game(rng, scale=1.0):
    B, own = rng.standard_normal((N // 2, N // 2)), np.diag(rng.uniform(0, 1, N))
    return scale * (np.block([[np.zeros_like(B), -B], [B.T, np.zeros_like(B)]]) - own)


MATRICES = {
    "gaussian": lambda r: r.standard_normal((N, N)),
    "symmetric": lambda r: (lambda A: A + A.T)(r.standard_normal((N, N))),
    "skew": lambda r: (lambda A: A - A.T)(r.standard_normal((N, N))),
    "orthogonal": orthogonal,
    "diagonal": lambda r: np.diag(r.uniform(-5, 1, N)),
    "stiff diagonal": lambda r: np.diag(-np.geomspace(1e-4, 1e4, N)),
    "rotations": rotations,
    "rotations in another basis": lambda r: similar(r, rotations(r)),
    "zero-sum game": game,
    "game in small units": lambda r: game(r, 1e-9),
    "game in large units": lambda r: game(r, 1e9),
    "jordan block": lambda r: np.diag(np.full(N, -1.0)) + np.diag(np.ones(N - 1), 1),
    "grcar": lambda r: toeplitz([1.0, -1.0] + [0.0] * (N - 2), [1.0, 1.0, 1.0, 1.0] + [0.0] * (N - 4)),
    "companion": lambda r: companion(np.append(1.0, r.uniform(-1, 1, N))),
    "circulant": lambda r: circulant(r.standard_normal(N)),
    "low rank": lambda r: r.standard_normal((N, 4)) @ r.standard_normal((4, N)),
    "multiple": lambda r: similar(r, np.diag(np.repeat([-3.0, -2.0, -1.0, 0.5], N // 4))),
    "hilbert": lambda r: hilbert(N),
    "hadamard": lambda r: hadamard(N).astype(float),
}
SENSITIVE = {"jordan block", "grcar"}
"""Eigenvalues that move by far more than the residual: pairs are judged by backward error alone."""


def sought(A, which, k, shift, tol):
    start, T = torch.as_tensor(np.random.default_rng(1).standard_normal(N)), torch.as_tensor(A)
    if which == "nearest":
        return nearest_eigenpairs(lambda x: T @ x, start, k, shift, tol=tol, multiple=True, inner_restart=2 * N)
    return eigenpairs(lambda x: T @ x, start, k, which, tol=tol, multiple=True)


def key(values, which, shift):
    by = {
        "rightmost": lambda x: -x.real,
        "leftmost": lambda x: x.real,
        "largest_modulus": lambda x: -abs(x),
        "largest_imaginary": lambda x: -abs(x.imag),
        "nearest": lambda x: np.minimum(abs(x - shift), abs(x - np.conj(shift))),
    }
    return np.sort(by[which](np.asarray(values)))


@pytest.mark.parametrize("which", [*KINDS, "nearest", "nearest, complex"])
@pytest.mark.parametrize("kind", MATRICES)
def test_pairs_are_what_they_say(kind, which):
    """Rejects: a residual of the inverse, Re (A - s)^-1 for distances, tolerances that are no share of |A|."""
    A = MATRICES[kind](np.random.default_rng(11))
    norm, exact = np.linalg.norm(A, 2), np.linalg.eigvals(A)
    shift = 0.31 * norm * (1 + 0.4j if which.endswith("complex") else 1)
    which = which.split(",")[0]
    k, tol = 4, 1e-9
    found = sought(A, which, k, shift, tol)
    assert len(found) >= k or found.status != "converged" or kind in ("low rank", "multiple", "hadamard")
    for i, value in enumerate(found.values):
        x = found.vector(i).numpy()
        assert np.linalg.norm(x) == pytest.approx(1, abs=1e-8)
        residual = np.linalg.norm(A @ x - value * x)
        assert residual == pytest.approx(found.residuals[i], rel=1e-4, abs=1e-13 * norm)
        assert found.converged[i] == (residual <= 1e-9 * norm) or residual <= 3e-9 * norm
    if kind not in SENSITIVE and found.converged.all() and found.status == "converged":
        got = key(found.values, which, shift)[:k]
        np.testing.assert_allclose(got, key(exact, which, shift)[: len(got)], rtol=1e-6, atol=2e-7 * norm)
