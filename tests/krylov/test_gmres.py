"""GMRES against dense solves, and what it says of systems that it cannot solve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov import gmres

DOUBLE = torch.float64
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([torch.float32, torch.float64])


def matrix(n, seed, dtype=DOUBLE):
    """Nonsymmetric, diagonal about 2 and the rest within the unit disc: condition below 50."""
    rng = np.random.default_rng(seed)
    A = 2 * np.eye(n) + rng.standard_normal((n, n)) / (1.2 * math.sqrt(n))
    return torch.as_tensor(A, dtype=dtype), torch.as_tensor(rng.standard_normal(n), dtype=dtype)


class Counted:
    def __init__(self, A):
        self.A, self.products = A, 0

    def __call__(self, x):
        self.products += 1
        return self.A @ x


class TestAgainstDense:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 80), seeds, dtypes, st.integers(3, 90), st.booleans(), st.booleans())
    def test_random(self, n, seed, dtype, restart, check, start):
        # rejects: a residual or count that is not the true one, a restart that forgets x, an x0 that is ignored
        A, b = matrix(n, seed, dtype)
        rtol = 50 * torch.finfo(dtype).eps
        matvec = Counted(A)
        x0 = torch.linalg.solve(A, b) + 1e-3 if start else None
        found = gmres(matvec, b, rtol=rtol, restart=restart, x0=x0, check=check)
        assert found.status == "converged"
        assert found.converged
        assert found.products == matvec.products <= 600
        true = float((b - A @ found.x).norm() / b.norm())
        assert true <= (rtol if check else 3 * rtol)  # the recurrence drifts by rounding
        assert found.residual == pytest.approx(true, abs=1e-12 if check else 2 * rtol)
        condition = float(torch.linalg.cond(A))
        exact = torch.linalg.solve(A.double(), b.double())
        assert float((found.x - exact).norm() / exact.norm()) <= 4 * condition * rtol

    def test_x0_saves_work(self):
        # rejects: x0 taken as the solution of another system (its residual not formed)
        A, b = matrix(60, 1)
        x0 = torch.linalg.solve(A, b) * (1 + 1e-6)
        far, near = gmres(lambda x: A @ x, b), gmres(lambda x: A @ x, b, x0=x0)
        assert near.products < far.products / 2
        assert gmres(lambda x: A @ x, b, x0=far.x)[2:] == (1, True, "converged")

    def test_optimal_at_every_dimension(self):
        # rejects: Arnoldi's Galerkin solution (FOM), whose residual is larger; a rotation with the wrong sign
        A, b = matrix(20, 2)
        Q = b[:, None] / b.norm()
        for k in range(1, 21):
            best = float((b - A @ (Q @ torch.linalg.lstsq(A @ Q, b[:, None]).solution[:, 0])).norm() / b.norm())
            found = gmres(lambda x: A @ x, b, rtol=1e-15, max_products=k, check=False)
            assert found.residual == pytest.approx(best, rel=1e-8, abs=1e-14)
            Q = torch.linalg.qr(torch.cat((Q, A @ Q[:, -1:]), 1)).Q  # Householder's, not Gram-Schmidt's


class TestTermination:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 12), st.integers(0, 40), seeds, dtypes)
    def test_distinct_eigenvalues(self, distinct, extra, seed, dtype):
        # rejects: a space that goes on after it is invariant; a product more than there are eigenvalues
        rng = np.random.default_rng(seed)
        values = np.linspace(1, 2, distinct)
        D = torch.as_tensor(np.concatenate([values, rng.choice(values, extra)]), dtype=dtype)
        b = torch.as_tensor(rng.uniform(1, 2, distinct + extra), dtype=dtype)
        found = gmres(lambda x: D * x, b, rtol=20 * torch.finfo(dtype).eps, check=False)
        assert found.status == "converged"
        assert found.products <= distinct

    def test_growth_of_the_basis_keeps_what_is_there(self):
        # rejects: rows lost when the basis grows past 8, 16 and 32
        n = 40
        b = torch.zeros(n, dtype=DOUBLE)
        b[0] = 1
        found = gmres(lambda x: torch.roll(x, 1), b, check=False)  # a cyclic shift: nothing is gained before n
        assert found.products == n
        assert torch.equal(found.x, torch.roll(b, -1))

    def test_restart(self):
        # rejects: a restart that keeps the old residual, or never happens
        A, b = matrix(80, 3)
        whole, parts = (gmres(lambda x: A @ x, b, restart=m, rtol=1e-12) for m in (80, 5))
        assert whole.converged
        assert parts.converged
        assert parts.products > whole.products
        torch.testing.assert_close(whole.x, parts.x, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize("restart", [4, 60])
    @pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 6, 7, 11])
    def test_budget_is_a_bound(self, most, restart, check):
        # rejects: the check taken on top of the budget
        A, b = matrix(80, 4)
        matvec = Counted(A)
        found = gmres(matvec, b, rtol=1e-14, restart=restart, max_products=most, check=check)
        assert found.status == "budget"
        assert not found.converged
        assert found.products == matvec.products <= most
        assert found.residual < 1
        assert found.residual == pytest.approx(float((b - A @ found.x).norm() / b.norm()), rel=1e-10)
        if check and 1 < most <= restart:
            assert torch.equal(found.x, gmres(matvec, b, max_products=most - 1, check=False).x)

    def test_the_check_is_one_product(self):
        # rejects: check=False that checks
        A, b = matrix(30, 5)
        checked, plain = (gmres(lambda x: A @ x, b, check=c) for c in (True, False))
        assert checked.products == plain.products + 1
        assert torch.equal(checked.x, plain.x)

    def test_zero(self):
        found = gmres(lambda x: x, torch.zeros(3))
        assert found[1:] == (0.0, 0, True, "converged")
        assert torch.equal(found.x, torch.zeros(3))

    def test_tiny_right_hand_side(self):
        # rejects: |b| = 0 because its squares underflow
        b = torch.full((4,), 1e-30)
        torch.testing.assert_close(gmres(lambda x: 2 * x, b, rtol=1e-6).x, b / 2, rtol=1e-6, atol=0)


class TestFailure:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(2, 40), seeds, dtypes, st.booleans(), st.booleans())
    def test_singular(self, n, seed, dtype, check, symmetric):
        # rejects: a division by the vanishing pivot (a huge x), a budget spent on rounding, "converged"
        rng = np.random.default_rng(seed)
        d = rng.uniform(1, 2, n)
        d[-1] = 0
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = torch.as_tensor(Q @ np.diag(d) @ Q.T if symmetric else np.diag(d) @ Q, dtype=dtype)
        A = A if symmetric else A.clone()
        b = torch.as_tensor(Q[:, -1] if symmetric else np.eye(n)[-1], dtype=dtype)
        b = b + A @ torch.as_tensor(rng.standard_normal(n), dtype=dtype)
        found = gmres(lambda x: A @ x, b, rtol=50 * torch.finfo(dtype).eps, check=check)
        assert found.status == "breakdown"
        assert not found.converged
        assert found.products <= n + 2
        assert float(found.x.norm()) < 1e4 * float(b.norm())

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_zero_operator(self, n):
        found = gmres(torch.zeros_like, torch.ones(n, dtype=DOUBLE))
        assert found[1:] == (1.0, found.products, False, "breakdown")
        assert torch.equal(found.x, torch.zeros(n, dtype=DOUBLE))

    def test_singular_but_consistent(self):
        # rejects: every singular operator called a breakdown
        D = torch.tensor([1.0, 2.0, 0.0], dtype=DOUBLE)
        found = gmres(lambda x: D * x, torch.tensor([1.0, 1.0, 0.0], dtype=DOUBLE))
        assert found.status == "converged"
        torch.testing.assert_close(found.x, torch.tensor([1.0, 0.5, 0.0], dtype=DOUBLE))

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("at", [1, 2, 5, 9])
    def test_non_finite(self, bad, at):
        # rejects: an x with NaN, the steps before it thrown away
        A, b = matrix(30, 6)
        taken = 0

        def matvec(x):
            nonlocal taken
            taken += 1
            return A @ x if taken < at else torch.full_like(x, bad)

        found = gmres(matvec, b, rtol=1e-12)
        assert found.status == "non_finite"
        assert found.products == at
        assert bool(found.x.isfinite().all())
        before = gmres(lambda x: A @ x, b, rtol=1e-12, max_products=max(at - 1, 1), check=False)
        torch.testing.assert_close(found.x, before.x if at > 1 else torch.zeros_like(b))
        assert found.residual == pytest.approx(before.residual if at > 1 else 1.0)

    def test_non_finite_elsewhere(self):
        b = torch.tensor([1.0, math.nan])
        assert gmres(lambda x: x, b).status == "non_finite"
        found = gmres(lambda x: x / 0, torch.ones(2), x0=torch.ones(2))
        assert found.status == "non_finite"
        assert torch.equal(found.x, torch.ones(2))

    def test_beyond_rounding(self):
        # rejects: a budget spent on a residual that float32 cannot reach; the worse of two points returned
        A, b = matrix(40, 7, torch.float32)
        found = gmres(lambda x: A @ x, b, rtol=1e-12)
        assert found.status == "stagnated"
        assert found.products < 150
        assert found.residual < 1e-6
        assert found.residual == pytest.approx(float((b - A @ found.x).norm() / b.norm()), rel=1e-6)

    def test_never_worse(self):
        # rejects: the point of a cycle that gained nothing
        for seed in range(20):
            A, b = matrix(40, seed, torch.float32)
            first = gmres(Counted(A), b, rtol=1e-12)
            assert gmres(Counted(A), b, rtol=1e-12, x0=first.x).residual <= first.residual

    def test_restart_too_short(self):
        b = torch.tensor([1.0, 0, 0, 0], dtype=DOUBLE)
        assert gmres(lambda x: torch.roll(x, 1), b, restart=3).status == "stagnated"
        assert gmres(lambda x: torch.roll(x, 1), b, restart=4).status == "converged"

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("rtol", {"rtol": 0.0}),
            ("rtol", {"rtol": math.nan}),
            ("restart", {"restart": 0}),
            ("max_products", {"max_products": 0}),
            ("max_products", {"max_products": True}),
            ("b", {}),
        ],
    )
    def test_arguments(self, name, options):
        with pytest.raises(ArgumentError) as error:
            gmres(lambda x: x, torch.ones(2, 2) if name == "b" else torch.ones(2), **options)
        assert error.value.argument == name


class TestOwnership:
    def test_inputs_are_kept(self):
        # rejects: a basis written through a matvec that returns its argument, a b or x0 that is overwritten
        b, x0 = torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0])
        found = gmres(lambda x: x, b, x0=x0, rtol=1e-6)
        torch.testing.assert_close(found.x, torch.tensor([3.0, 4.0]))
        assert b.tolist() == [3.0, 4.0]
        assert x0.tolist() == [1.0, 1.0]

    def test_a_result_that_is_reused(self):
        # rejects: products kept by reference
        A, b = matrix(12, 8)
        buffer = torch.empty_like(b)
        found = gmres(lambda x: torch.mv(A, x, out=buffer), b, rtol=1e-12)
        torch.testing.assert_close(found.x, torch.linalg.solve(A, b), rtol=0, atol=1e-10)

    def test_graphs_stay_outside(self):
        # rejects: a solution that carries the graph of its products
        A, b = matrix(6, 9)
        A.requires_grad_()
        found = gmres(lambda x: A @ x, b.clone().requires_grad_(), rtol=1e-12)
        assert found.converged
        assert not found.x.requires_grad
