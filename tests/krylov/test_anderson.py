"""Anderson acceleration: what it is on linear maps, and what it says of maps that it cannot solve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov import gmres
from gamedyn.krylov.anderson import anderson

DOUBLE = torch.float64
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([torch.float32, torch.float64])


def linear(n, seed, dtype=DOUBLE, radius=0.5):
    """x -> M x + a, M nonsymmetric of norm below 2 radius."""
    rng = np.random.default_rng(seed)
    M = radius * rng.standard_normal((n, n)) / math.sqrt(n)
    return torch.as_tensor(M, dtype=dtype), torch.as_tensor(rng.standard_normal(n), dtype=dtype)


ROTATION = 1.5 * torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=DOUBLE)


class TestLinear:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 8), st.integers(0, 3), seeds, dtypes)
    def test_ends_in_n_plus_2_evaluations(self, n, extra, seed, dtype):
        # rejects: a depth one short, differences paired with the wrong residuals, an evaluation that is not used
        M, a = linear(n, seed, dtype)
        exact = torch.linalg.solve(torch.eye(n, dtype=dtype) - M, a)
        rtol = 1e-8 if dtype is DOUBLE else 1e-4
        found = anderson(lambda x: M @ x + a, torch.zeros_like(a), depth=n + extra, rtol=rtol)
        assert found.status == "converged"
        assert found.evaluations <= n + 2
        condition = float(torch.linalg.cond(torch.eye(n, dtype=dtype) - M))
        assert float((found.x - exact).norm()) <= 5 * condition * rtol * float(exact.norm())

    @settings(max_examples=40, deadline=None)
    @given(seeds)
    def test_is_gmres(self, seed):
        # rejects: type I (Broyden's good update), which is Arnoldi's Galerkin method; a step without g's own
        n = 12
        M, a = linear(n, seed)
        x0 = torch.as_tensor(np.random.default_rng(seed).standard_normal(n))
        for k in range(1, 7):
            best = gmres(lambda x: x - M @ x, a, x0=x0, rtol=1e-15, max_products=k + 1, check=False)
            found = anderson(lambda x: M @ x + a, x0, depth=n, rtol=1e-15, max_iterations=k + 2)
            torch.testing.assert_close(found.x, M @ best.x + a, rtol=0, atol=1e-9)  # Walker, Ni, Theorem 2.2

    def test_rotation_that_diverges(self):
        # rejects: depth ignored: the plain iteration grows by 1.5 an evaluation
        a = torch.ones(2, dtype=DOUBLE)
        plain = anderson(lambda x: ROTATION @ x + a, torch.zeros_like(a), depth=0, max_iterations=30)
        assert plain.status == "budget"
        assert plain.residual == pytest.approx(1.5**29 * math.sqrt(2), rel=1e-12)
        found = anderson(lambda x: ROTATION @ x + a, torch.zeros_like(a), depth=2, rtol=1e-12)
        assert found.status == "converged"
        assert found.evaluations <= 4

    @pytest.mark.parametrize("damping", [1.0, 0.3])
    def test_depth_zero_is_plain(self, damping):
        # rejects: damping applied to g instead of f
        M, a = linear(5, 1)
        x = torch.zeros_like(a)
        for _ in range(9):
            x = x + damping * (M @ x + a - x)
        found = anderson(lambda x: M @ x + a, torch.zeros_like(a), depth=0, damping=damping, max_iterations=10)
        torch.testing.assert_close(found.x, x, rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(found.value, M @ x + a)
        assert found.residual == pytest.approx(float((M @ x + a - x).norm()), rel=1e-9)

    def test_damping_keeps_the_solution(self):
        # rejects: differences of x damped too
        M, a = linear(6, 2)
        found = anderson(lambda x: M @ x + a, torch.zeros_like(a), depth=6, damping=0.4, rtol=1e-10)
        assert found.evaluations <= 8
        torch.testing.assert_close(found.x, torch.linalg.solve(torch.eye(6, dtype=DOUBLE) - M, a), rtol=0, atol=1e-8)

    def test_dependent_differences(self):
        # rejects: a least-squares solve with dependent columns (NaN, or steps of any size)
        d = torch.tensor([0.5] * 5 + [-0.3] * 5, dtype=DOUBLE)  # two eigenvalues: the third difference depends
        a = torch.arange(1.0, 11, dtype=DOUBLE)
        found = anderson(lambda x: d * x + a, torch.zeros_like(a), depth=8, rtol=1e-15, max_iterations=40)
        torch.testing.assert_close(found.x, a / (1 - d), rtol=1e-14, atol=0)

    def test_constant(self):
        a = torch.tensor([2.0, 3.0])
        found = anderson(lambda x: a.clone(), torch.zeros(2))
        assert (found.residual, found.evaluations, found.status) == (0.0, 2, "converged")
        assert torch.equal(found.x, a)

    def test_residual_that_does_not_change(self):
        # rejects: a division by the length of a difference that is zero
        found = anderson(lambda x: x + 1, torch.zeros(3), max_iterations=6)
        assert found.status == "budget"
        assert torch.equal(found.x, torch.full((3,), 5.0))


class TestNonlinear:
    @pytest.mark.parametrize("depth", [1, 2, 5])
    def test_faster_than_plain(self, depth):
        # rejects: acceleration that does not: an implicit Euler step, h L = 0.8
        rng = np.random.default_rng(3)
        W = torch.as_tensor(rng.standard_normal((50, 50)) / math.sqrt(50) * 0.4)
        start = torch.as_tensor(rng.standard_normal(50))
        runs = [
            anderson(lambda x: start + torch.tanh(W @ x), start, depth=d, rtol=1e-10, max_iterations=200)
            for d in (0, depth)
        ]
        assert all(run.converged for run in runs)
        torch.testing.assert_close(runs[0].x, runs[1].x, rtol=0, atol=1e-8)
        assert runs[1].evaluations < runs[0].evaluations

    def test_tolerances(self):
        # rejects: atol not per root of n, rtol relative to something else
        g = lambda x: 0.5 * x  # noqa: E731
        x = torch.ones(100, dtype=DOUBLE)  # |f| = 10 / 2^k, |g| the same
        assert anderson(g, x, depth=0, rtol=1e-9, atol=0.126).evaluations == 3
        assert anderson(g, x, depth=0, rtol=1e-9, atol=0.124).evaluations == 4
        assert anderson(g, x, depth=0, rtol=1.001).evaluations == 1
        assert anderson(g, x, depth=0, rtol=0.999).evaluations == 50

    def test_a_floor_below_which_nothing_can_be_told(self):
        # rejects: a floor that is not looked at, or looked at alone; one that is taken at another point
        seen = []

        def floor(x):
            seen.append(x.clone())
            return torch.full((1,), 0.3 if len(seen) >= 3 else 0.0)

        found = anderson(torch.cos, torch.ones(1), depth=0, rtol=1e-12, floor=floor)
        assert (found.evaluations, found.status) == (3, "converged")
        assert torch.equal(seen[-1], torch.cos(torch.cos(torch.ones(1))))
        assert anderson(torch.cos, torch.ones(1), depth=0, rtol=0.9, floor=torch.zeros_like).evaluations == 1

    @pytest.mark.parametrize("at", [1, 2, 4])
    def test_non_finite(self, at):
        # rejects: NaN called an answer, the last good point lost
        M, a = linear(10, 4)
        calls = 0

        def g(x):
            nonlocal calls
            calls += 1
            return (M @ x + a) * (math.nan if calls == at else 1)

        found = anderson(g, torch.zeros_like(a), rtol=1e-14)
        assert (found.status, found.converged, found.evaluations) == ("non_finite", False, at)
        assert bool(found.x.isfinite().all())
        if at > 1:
            before = anderson(lambda x: M @ x + a, torch.zeros_like(a), rtol=1e-14, max_iterations=at - 1)
            assert torch.equal(found.x, before.x)
            torch.testing.assert_close(found.value, before.value)
            assert found.residual == before.residual

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("rtol", {"rtol": 0.0}),
            ("atol", {"atol": -1.0}),
            ("atol", {"atol": math.nan}),
            ("depth", {"depth": -1}),
            ("damping", {"damping": 0.0}),
            ("max_iterations", {"max_iterations": 0}),
            ("x", {}),
        ],
    )
    def test_arguments(self, name, options):
        with pytest.raises(ArgumentError) as error:
            anderson(lambda x: x, torch.ones(2, 2) if name == "x" else torch.ones(2), **options)
        assert error.value.argument == name

    def test_inputs_are_kept(self):
        # rejects: a start that is written, values kept by reference where g reuses its result
        M, a = linear(5, 5)
        buffer, start = torch.empty_like(a), torch.zeros_like(a)
        found = anderson(lambda x: torch.add(M @ x, a, out=buffer), start, rtol=1e-12)
        assert torch.equal(start, torch.zeros_like(a))
        torch.testing.assert_close(found.x, torch.linalg.solve(torch.eye(5, dtype=DOUBLE) - M, a))
