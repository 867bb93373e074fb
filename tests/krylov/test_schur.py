"""Krylov-Schur and thick-restart Lanczos: exact spectra, true residuals, multiplicities, what ARPACK finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator as SciPyOperator
from scipy.sparse.linalg import eigs

from gamedyn._lib.errors import ArgumentError, SolveError, UnknownNameError
from gamedyn.krylov import eigenpairs, nearest_eigenpairs, symmetric_eigenpairs
from gamedyn.krylov._decomposition import Decomposition
from gamedyn.krylov._projected import WANTED, ordered, wanted_first

DOUBLE = torch.float64


def tensor(A):
    return torch.as_tensor(np.asarray(A), dtype=DOUBLE)


def start(n, seed=3):
    return torch.randn(n, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def wanted(A, which, k):
    values = np.linalg.eigvals(np.asarray(A))
    return values[wanted_first(values, which)][:k]


def matched(found, exact, tol):
    """Each exact value is found once, within tol."""
    left = list(found)
    for value in exact:
        i = int(np.argmin([abs(x - value) for x in left]))
        assert abs(left.pop(i) - value) <= tol
    return True


@pytest.fixture
def separated(rng):
    """Eigenvalues on a half disc and a real tail, well apart at every boundary; not normal."""
    n = 300
    D = np.zeros((n, n))
    D[np.arange(n), np.arange(n)] = -np.linspace(0.5, 4, n)
    for i, (x, y) in enumerate([(0.3, 0.5), (0.1, 2.0), (-0.2, 6.0), (-1, 9.0), (-3, 3.0), (-8, 2.0), (-12, 1.0)]):
        D[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[x, y], [-y, x]]
    Q = np.eye(n) + 0.3 * rng.standard_normal((n, n)) / n**0.5
    return Q @ D @ np.linalg.inv(Q)


class TestFinds:
    @pytest.mark.parametrize("which", sorted(WANTED))
    def test_the_most_wanted_of_a_non_symmetric_matrix(self, separated, which):
        # rejects: another order, a transposed operator's vectors, a pair cut in two
        A = tensor(separated)
        found = eigenpairs(lambda x: A @ x, start(300), 4, which, tol=1e-10, max_products=3000)
        assert found.status == "converged"
        assert found.converged.all()
        assert len(found.values) in (4, 5)
        matched(found.values, wanted(separated, which, 4), 1e-7)
        for i, value in enumerate(found.values):
            x = found.vector(i)
            assert float(x.norm()) == pytest.approx(1, abs=1e-12)
            residual = float((A.to(x.dtype) @ x - complex(value) * x).norm())
            assert residual == pytest.approx(found.residuals[i], rel=1e-6, abs=1e-13 * found.norm)
            assert residual <= 1.01e-10 * found.norm
        conjugates = sorted(found.values, key=lambda z: (round(z.real, 9), z.imag))
        assert np.isclose(sum(z.imag for z in conjugates), 0, atol=1e-9)

    @pytest.mark.parametrize("which", ["rightmost", "leftmost", "largest_modulus"])
    def test_the_most_wanted_of_a_symmetric_matrix(self, rng, which):
        B = rng.standard_normal((200, 200))
        S = tensor(B + B.T)
        found = symmetric_eigenpairs(lambda x: S @ x, start(200), 5, which, tol=1e-10, max_products=3000)
        exact = wanted(S.numpy(), which, 5).real
        # Weinstein's bound: an exact eigenvalue within the residual of each value
        every = np.linalg.eigvalsh(S.numpy())
        assert not found.values.imag.any()
        assert np.allclose(found.values.real, exact, atol=1e-8)
        assert all(
            np.abs(every - v).min() <= r + 1e-12 * found.norm
            for v, r in zip(found.values.real, found.residuals, strict=True)
        )

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 25), st.integers(1, 6), st.sampled_from(sorted(WANTED)), st.integers(0, 10**6))
    def test_small_matrices_whole(self, n, k, which, seed):
        # the space is exhausted: exact, whatever the basis
        A = np.random.default_rng(seed).standard_normal((n, n))
        B = tensor(A)
        k = min(k, n)
        found = eigenpairs(lambda x: B @ x, start(n, seed), k, which, basis=max(n, k + 3), max_products=2000)
        assert found.status == "converged"
        if n < 4 and which != "largest_imaginary":  # of which all real eigenvalues have as much: any is right
            matched(found.values[:k], wanted(A, which, k), 1e-6 * max(1.0, np.abs(A).max()))
        every = np.linalg.eigvals(A)
        assert max(np.abs(every - v).min() for v in found.values) < 1e-6
        key = WANTED[which]
        assert key(found.values[:1])[0] == pytest.approx(key(every).max(), abs=1e-6)

    def test_the_rightmost_sees_the_instability_that_the_largest_modulus_misses(self, rng):
        # games.md, what a product costs: 400 x 400, not normal, one unstable eigenvalue, 0.3204
        A = np.diag(-np.linspace(1, 30, 400)) + np.triu(rng.standard_normal((400, 400)), 1) * 0.3
        A[0, 0] = 0.3204
        B = tensor(A)
        found = eigenpairs(lambda x: B @ x, start(400), 1, "rightmost", tol=1e-10)
        assert found.values[0] == pytest.approx(0.3204, abs=1e-6)
        assert found.products < 300  # ARPACK took 128 in the reference
        assert eigenpairs(lambda x: B @ x, start(400), 20, max_products=4000).values.real.max() < 0

    def test_residuals_bound_the_distance_to_the_pseudospectrum(self, rng):
        # rejects: residuals taken from the recurrence of a basis that has lost orthogonality, residuals of 0
        A = rng.standard_normal((200, 200)) / 14 - np.eye(200)
        B, single = tensor(A), torch.as_tensor(A, dtype=torch.float32)
        rough = eigenpairs(lambda x: B @ x, start(200), 3, "rightmost", tol=1e-2)
        rounded = eigenpairs(lambda x: (single @ x.float()).double(), start(200), 3, "rightmost", tol=1e-5)
        for found, slack in ((rough, 0.0), (rounded, 1e-6)):
            for z, r in zip(found.values, found.residuals, strict=True):
                assert np.linalg.svd(A - z * np.eye(200), compute_uv=False)[-1] <= r + slack
            assert found.residuals.max() > 1e-9


class TestRounding:
    @pytest.mark.parametrize("size", [1e-1, 1e-3])
    def test_an_operator_near_the_identity(self, rng, size):
        # rejects: Gram-Schmidt once (a value of 14 was "found", |A| = 1.3, when AGAIN was 0.1)
        A = tensor(np.eye(178) + size * rng.standard_normal((178, 178)) / 178**0.5)
        found = eigenpairs(lambda x: A @ x, start(178), 2, tol=1e-7, max_products=400)
        assert np.abs(found.values).max() <= 1 + 1.3 * size
        gram = found.basis @ found.basis.T
        assert float((gram - torch.eye(len(gram), dtype=DOUBLE)).abs().max()) < 1e-13

    def test_one_pass_would_not_do(self, rng, monkeypatch):
        # the planted mutant of the test above
        from gamedyn.krylov import _decomposition

        monkeypatch.setattr(_decomposition, "AGAIN", 1.0)
        A = tensor(np.eye(178) + 0.1 * rng.standard_normal((178, 178)) / 178**0.5)
        found = eigenpairs(lambda x: A @ x, start(178), 2, tol=1e-7, max_products=400)
        gram = found.basis @ found.basis.T
        assert float((gram - torch.eye(len(gram), dtype=DOUBLE)).abs().max()) > 1e-10

    def test_the_decomposition_holds(self, rng):
        # A V = V S + v b^T through growth, rotation and a cut: the recurrence that all else rests on
        A = tensor(rng.standard_normal((60, 60)))
        at = Decomposition(lambda x: A @ x, start(60), 12)

        def gap():
            V, out = at.rows[: at.size], at.rows[at.size]
            left = A @ V.T
            right = V.T @ tensor(at.square) + out[:, None] * tensor(at.out)[None]
            return float((left - right).abs().max())

        for _ in range(12):
            assert at.expand()
        assert gap() < 1e-12
        form = ordered(at.square, "rightmost", 5, symmetric=False)
        at.rotate(form.Q, form.T, 0, form.first)
        assert gap() < 1e-12
        while at.size < at.limit:
            at.expand()
        assert gap() < 1e-12

    @pytest.mark.parametrize("solve", [eigenpairs, symmetric_eigenpairs])
    @pytest.mark.parametrize("tol", [1e-5, 1e-9])
    def test_single_precision_below_its_rounding(self, solve, tol):
        # rejects: vectors made of rounding, whose Ritz values lie outside the spectrum
        for seed in range(8):
            B = torch.randn(50, 50, generator=torch.Generator().manual_seed(seed))
            S = (B + B.T) / 14
            S[:, 30:] = S[30:] = 0  # an invariant subspace is reached
            found = solve(lambda x, S=S: S @ x, start(50, seed).float(), 3, "rightmost", tol=tol)
            assert found.values.real.max() <= float(torch.linalg.eigvalsh(S.double()).max()) + 1e-5
            gram = found.basis @ found.basis.T
            assert float((gram - torch.eye(len(gram))).abs().max()) < 1e-5

    def test_single_precision(self, separated):
        A = torch.as_tensor(separated, dtype=torch.float32)
        found = eigenpairs(lambda x: A @ x, start(300).float(), 3, "leftmost", tol=1e-5)
        assert found.schur.dtype == torch.float32
        matched(found.values, wanted(separated, "leftmost", 3), 2e-3)


class TestMultiplicity:
    """The collapsed digits point: seven copies of -0.0036 in front (numerics.md section 1)."""

    @pytest.fixture
    def collapsed(self, rng):
        Q = np.linalg.qr(rng.standard_normal((300, 300)))[0]
        values = -np.linspace(0.1, 9, 300)
        values[:7] = -0.0036
        return tensor(Q @ np.diag(values) @ Q.T), np.sort(values)[::-1]

    @pytest.mark.parametrize("solve", [eigenpairs, symmetric_eigenpairs])
    def test_all_seven_are_found(self, collapsed, solve):
        # rejects: one vector for an eigenspace
        A, exact = collapsed
        found = solve(lambda x: A @ x, start(300), 8, "rightmost", max_products=5000, multiple=True)
        assert found.status == "converged"
        assert np.allclose(found.values.real, exact[:8], atol=1e-6)
        X = torch.stack([found.vector(i).real for i in range(7)])
        assert np.linalg.matrix_rank(X.numpy(), tol=1e-6) == 7

    @pytest.mark.parametrize("n", [40, 41])
    @pytest.mark.parametrize("k", [1, 2])
    def test_only_what_has_converged_is_locked(self, n, k):
        # rejects: Ritz values as good by their real parts (all are 0 here) locked in the place of the converged
        for seed in range(6):
            B = np.random.default_rng(seed).standard_normal((n, n))
            A = tensor(B - B.T)
            found = eigenpairs(lambda x, A=A: A @ x, start(n), k, "rightmost", multiple=True, max_products=800)
            assert found.converged.all() or found.status == "budget"

    def test_fewer_are_seen_without(self, collapsed):
        A, exact = collapsed
        found = symmetric_eigenpairs(lambda x: A @ x, start(300), 8, "rightmost", max_products=5000)
        assert found.status == "converged"
        assert (np.abs(found.values.real - exact[0]) < 1e-6).sum() < 7

    @pytest.mark.parametrize("multiple", [False, True])
    def test_the_identity_and_zero(self, multiple):
        for A in (torch.eye(40, dtype=DOUBLE), torch.zeros(40, 40, dtype=DOUBLE)):
            found = eigenpairs(lambda x, A=A: A @ x, start(40), 3, "rightmost", multiple=multiple, max_products=400)
            assert found.status == "converged"
            assert np.allclose(found.values, A[0, 0].item())

    def test_a_defective_eigenvalue(self):
        # a Jordan block of size 3: rounding^(1/3) is what any method can give (games.md b.2, critical weights)
        A = torch.diag(-torch.linspace(1, 3, 60, dtype=DOUBLE))
        A[:3, :3] = torch.tensor([[0.5, 1, 0], [0, 0.5, 1], [0, 0, 0.5]], dtype=DOUBLE)
        found = eigenpairs(lambda x: A @ x, start(60), 3, "rightmost", tol=1e-12, max_products=600)
        assert np.abs(found.values - 0.5).max() < 1e-3
        assert found.residuals.max() < 1e-9


class TestWork:
    @pytest.mark.parametrize("which", ["rightmost", "leftmost", "largest_modulus"])
    def test_no_more_products_than_arpack(self, separated, which):
        # same basis, same start; ARPACK at the loosest tolerance whose true residuals are as small
        A, counts = tensor(separated), []
        found = eigenpairs(lambda x: A @ x, start(300), 4, which, tol=1e-8, basis=20, max_products=3000)
        name = {"rightmost": "LR", "leftmost": "SR", "largest_modulus": "LM"}[which]
        for tol in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
            count = [0]

            def matvec(x, count=count):
                count[0] += 1
                return separated @ x

            operator = SciPyOperator((300, 300), matvec=matvec, dtype=float)
            values, vectors = eigs(operator, k=4, which=name, ncv=20, tol=tol, v0=start(300).numpy(), maxiter=300)
            residuals = np.linalg.norm(separated @ vectors - vectors * values, axis=0)
            if residuals.max() <= 1e-8 * found.norm:
                counts.append(count[0])
        assert found.products <= 1.1 * min(counts)

    def test_the_bound_on_products_is_kept(self, separated):
        A, count = tensor(separated), [0]

        def matvec(x):
            count[0] += 1
            return A @ x

        found = eigenpairs(matvec, start(300), 4, "largest_imaginary", tol=1e-14, max_products=31)
        assert found.status == "budget"
        assert found.products == 31
        assert count[0] == found.products + found.residual_products

    def test_resumed_is_gone_on_with(self, separated):
        # rejects: a resume that begins anew
        A = tensor(separated)
        whole = eigenpairs(lambda x: A @ x, start(300), 4, "rightmost", tol=1e-10, max_products=3000)
        first = eigenpairs(lambda x: A @ x, start(300), 4, "rightmost", tol=1e-10, max_products=30)
        assert first.status == "budget"
        rest = eigenpairs(lambda x: A @ x, start(300), 4, "rightmost", tol=1e-10, max_products=3000, resume=first)
        assert rest.status == "converged"
        assert 30 + rest.products <= 1.25 * whole.products + 20
        matched(rest.values, wanted(separated, "rightmost", 4), 1e-7)

    @pytest.mark.parametrize("basis", [8, 20, 40])
    def test_resumed_with_another_basis(self, separated, basis):
        # rejects: a pair cut in two, or the row that leads out forgotten, where the old basis does not fit
        A = tensor(separated)
        first = eigenpairs(lambda x: A @ x, start(300), 5, "rightmost", tol=1e-10, basis=30, max_products=45)
        rest = eigenpairs(
            lambda x: A @ x, start(300), 4, "rightmost", tol=1e-10, basis=basis, max_products=4000, resume=first
        )
        assert rest.status == "converged"
        matched(rest.values, wanted(separated, "rightmost", 4), 1e-7)

    def test_warm_start_on_a_near_operator(self, separated):
        A = tensor(separated)
        known = eigenpairs(lambda x: A @ x, start(300), 1, "leftmost", tol=1e-8)
        near = A * 1.001
        warm = eigenpairs(lambda x: near @ x, known.start(), 1, "leftmost", tol=1e-8)
        cold = eigenpairs(lambda x: near @ x, start(300), 1, "leftmost", tol=1e-8)
        assert warm.products < cold.products

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("which", sorted(WANTED))
    @pytest.mark.parametrize("k", [1, 2, 5, 6])
    @pytest.mark.parametrize("multiple", [False, True])
    def test_the_smallest_basis_comes_to_an_end(self, rng, which, k, multiple):
        # rejects: a restart that keeps the whole basis, a pair whole, and takes no product ever again
        C = np.eye(40, k=-1)
        C[0] = rng.standard_normal(40)
        A, count = tensor(C), [0]

        def matvec(x):
            count[0] += 1
            return A @ x

        found = eigenpairs(matvec, start(40), k, which, basis=k + 3, max_products=600, multiple=multiple)
        assert found.status in ("converged", "budget")
        assert found.products <= 600
        assert count[0] == found.products + found.residual_products

    def test_one_output_tensor_again_and_again(self, separated):
        # rejects: residuals from rows that are all the last product
        A, out = tensor(separated), torch.empty(300, dtype=DOUBLE)
        found = eigenpairs(lambda x: torch.mv(A, x, out=out), start(300), 4, "rightmost", max_products=3000)
        assert found.converged.all()
        near = nearest_eigenpairs(lambda x: torch.mv(A, x, out=out), start(300), 2, 0.35, inner_restart=600)
        assert near.converged.all()

    @pytest.mark.parametrize("basis", [7, 9, 12])
    def test_resumed_with_a_smaller_basis(self, separated, basis):
        # rejects: what leads out of the basis forgotten ("converged", residuals 0.1), a pair cut in two
        A = tensor(separated)
        first = eigenpairs(lambda x: A @ x, start(300), 4, "rightmost", max_products=30)
        assert not first.converged.any()
        rest = eigenpairs(
            lambda x: A @ x, start(300), 4, "rightmost", tol=1e-6, basis=basis, max_products=3000, resume=first
        )
        assert rest.converged.all() == (rest.status == "converged")
        assert rest.products > 1
        if basis == 12:  # a fresh search with fewer misses the rightmost pair too
            assert rest.status == "converged"
            matched(rest.values, wanted(separated, "rightmost", 4), 1e-3)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_start_from_the_generator_that_draws_beside_it(self, seed):
        # rejects: the start drawn once more as the vector beside an invariant subspace (0 / 0, "non_finite")
        found = eigenpairs(lambda x: -2 * x, start(60, seed), 4, "leftmost")
        assert found.status == "converged"
        np.testing.assert_allclose(found.values, -2.0, rtol=1e-14)

    def test_a_cut_basis_is_still_a_decomposition(self, rng):
        # rejects: a cut through a pair of conjugates; the row that leads out dropped
        A = tensor(rng.standard_normal((60, 60)))
        for seed in range(6):
            whole = eigenpairs(lambda x: A @ x, start(60, seed), 6, "rightmost", max_products=15)
            for limit in range(4, 16):
                at = Decomposition(lambda x: A @ x, start(60), limit)
                at.restore(whole.basis, whole.projected, whole.norm)
                V = at.rows[: at.size]
                right = V.T @ tensor(at.square) + at.rows[at.size][:, None] * tensor(at.out)[None]
                assert float((A @ V.T - right).abs().max()) < 1e-11
                gram = at.rows[: at.size + 1] @ at.rows[: at.size + 1].T
                assert float((gram - torch.eye(len(gram), dtype=DOUBLE)).abs().max()) < 1e-12

    def test_what_was_found_near_a_shift_is_gone_on_from(self, separated):
        # rejects: rows that are no Krylov decomposition of A taken for one (residuals of 0.05, "converged")
        A = tensor(separated)
        part = nearest_eigenpairs(lambda x: A @ x, start(300), 2, 0.35, max_products=150)
        assert part.status == "budget"
        found = eigenpairs(lambda x: A @ x, start(300), 3, "rightmost", max_products=3000, resume=part)
        assert found.status == "converged"
        assert found.converged.all()

    def test_memory_is_the_basis(self):
        d = -(torch.linspace(0, 1, 50_000, dtype=DOUBLE) ** 3)
        found = eigenpairs(lambda x: d * x, start(50_000), 2, "leftmost", basis=9, max_products=40, tol=1e-3)
        assert found.memory == 10 * 50_000 * 8


class TestNearest:
    @pytest.mark.parametrize("shift", [0.35, -0.2 + 5.5j, -7.0])
    def test_those_nearest_a_shift(self, separated, shift):
        # rejects: values of the inverse, the shift added twice, a complex shift's real part alone
        A = tensor(separated)
        found = nearest_eigenpairs(lambda x: A @ x, start(300), 2, shift, tol=1e-9, inner_restart=600)
        every = np.linalg.eigvals(separated)
        order = np.argsort(np.minimum(abs(every - shift), abs(every - np.conj(shift))))
        matched(found.values[:2], every[order][:2], 1e-6)
        assert found.converged.all()

    @pytest.mark.parametrize(("n", "k", "shift"), [(2, 2, 2.4 + 1.1j), (6, 4, -1 + 0.92j), (3, 3, 2 + 1j), (4, 4, 2.0)])
    def test_defective_operators_have_all_their_values(self, n, k, shift):
        # rejects: the span of eigenvectors alone, one for a whole Jordan block
        A = torch.diag(torch.ones(n - 1, dtype=DOUBLE), 1) + 0.5 * torch.eye(n, dtype=DOUBLE)
        found = nearest_eigenpairs(lambda x: A @ x, start(n), k, shift)
        assert len(found) >= k
        assert np.abs(found.values - 0.5).max() < 1e-8 ** (1 / n) * 2

    def test_an_eigenvalue_as_shift(self):
        A = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], dtype=DOUBLE))
        with pytest.raises(SolveError, match="move the shift"):
            nearest_eigenpairs(lambda x: A @ x, torch.ones(8, dtype=DOUBLE), 1, 3.0)

    def test_the_bound_on_products_is_kept(self, separated):
        A, count = tensor(separated), [0]

        def matvec(x):
            count[0] += 1
            return A @ x

        found = nearest_eigenpairs(matvec, start(300), 2, 0.35, max_products=200)
        assert found.status == "budget"
        assert count[0] <= 200 + found.residual_products


class TestRefusals:
    def test_arguments(self):
        A = torch.eye(10, dtype=DOUBLE)
        cases = [
            ({"k": 11}, "k: expected at most 10"),
            ({"k": 0}, "k"),
            ({"k": 3, "basis": 4}, r"at least k \+ 3"),
            ({"tol": 0.0}, "tol"),
            ({"max_products": 0}, "max_products"),
        ]
        for arguments, message in cases:
            with pytest.raises(ArgumentError, match=message):
                eigenpairs(lambda x: A @ x, torch.ones(10, dtype=DOUBLE), **arguments)
        with pytest.raises(UnknownNameError, match="rightmost"):
            eigenpairs(lambda x: A @ x, torch.ones(10, dtype=DOUBLE), 1, "righmost")
        with pytest.raises(ArgumentError, match="start"):
            eigenpairs(lambda x: A @ x, torch.ones(10, dtype=torch.int64), 1)
        with pytest.raises(ArgumentError, match="which"):
            symmetric_eigenpairs(lambda x: A @ x, torch.ones(10, dtype=DOUBLE), 1, "largest_imaginary")

    @pytest.mark.parametrize("after", [0, 7])
    def test_products_that_are_not_finite(self, after):
        A, count = torch.diag(torch.arange(1.0, 31.0, dtype=DOUBLE)), [0]

        def matvec(x):
            count[0] += 1
            return A @ x if count[0] <= after else x * torch.nan

        found = eigenpairs(matvec, start(30), 2)
        assert found.status == "non_finite"
        assert not found.converged.any()
