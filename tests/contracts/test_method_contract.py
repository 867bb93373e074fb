"""What every discovered method must satisfy; a new member is tested without a new test."""

import math
from fractions import Fraction

import numpy as np
import pytest

from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import GamedynError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, get, members
from gamedyn.stability import (
    BlockJacobian,
    amplification,
    imaginary_limit,
    order,
    order_residuals,
    real_limit,
    stability_function,
    step_matrix,
)

ALL = members()
RK = [n for n, m in ALL.items() if isinstance(m, RungeKutta)]
LMM = [n for n, m in ALL.items() if isinstance(m, LinearMultistep)]
TURNS = [n for n, m in ALL.items() if isinstance(m, Partitioned)]
RNG = np.random.default_rng(20240607)
POINTS = RNG.uniform(-4, 1, 40) + 1j * RNG.uniform(-4, 4, 40)


def runge_kutta_step(A, b, z):
    """One step on y' = lambda y from y = 1, stage by stage; no R(z) involved."""
    A, b = np.array(A, dtype=float), np.array(b, dtype=float)
    if np.any(np.triu(A)):
        return 1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * A, np.ones(len(b)))
    k = np.zeros(len(b), dtype=complex)
    for i in range(len(b)):
        k[i] = z * (1 + A[i, :i] @ k[:i])
    return 1 + b @ k


def test_members_are_found():
    assert {"euler", "rk4", "ab2", "optimistic", "alternating"} <= set(ALL)
    assert set(RK) | set(LMM) | set(TURNS) == set(ALL)


def test_names_and_aliases_are_unique():
    labels = [label for m in ALL.values() for label in (m.name, *m.aliases)]
    assert len(labels) == len(set(labels))
    for name, method in ALL.items():
        assert method.name == name == name.lower()
        assert all(get(label) is method for label in (name, *method.aliases))


def test_registry_refuses_a_second_owner_of_a_name():
    """Rejects: a member that takes another's alias."""
    registry = Registry("gamedyn.methods", RungeKutta, "method")
    found, aliases = {}, {}
    registry._add(found, aliases, get("rk4"), "here")
    thief = RungeKutta(A=[[]], b=[1], name="other", aliases=("rk4",))
    with pytest.raises(GamedynError, match="'rk4' is empty or taken"):
        registry._add(found, aliases, thief, "here")


@pytest.mark.parametrize("name", ALL)
def test_source_and_declaration_are_given(name):
    method = ALL[name]
    assert len(method.source) > 8
    assert method.source != "user"
    assert method.declared is not None


@pytest.mark.parametrize("name", ALL)
def test_methods_are_immutable(name):
    for attribute in ("name", "declared", "b", "alpha", "sweeps", "new"):
        with pytest.raises(AttributeError, match="a method is data"):
            setattr(ALL[name], attribute, 0)


@pytest.mark.parametrize("name", RK)
def test_nodes_are_row_sums(name):
    """Rejects: the second node of torchdiffeq's gl4, a copy of the first."""
    method = ALL[name]
    assert all(c == sum(map(Fraction, row)) for c, row in zip(method.c, method.A, strict=True))
    assert len(method.c) == method.stages == len(method.A) == len(method.b)


@pytest.mark.parametrize("name", RK)
def test_order_holds_and_the_next_fails(name):
    """Rejects: an order declared one too high or too low."""
    method = ALL[name]
    held = order_residuals(method, method.order)
    beyond = order_residuals(method, method.order + 1)
    assert all(r == 0 for r in held.values())
    assert any(r != 0 for t, r in beyond.items() if t not in held)


@pytest.mark.parametrize("name", [n for n in RK if ALL[n].b_hat is not None])
def test_embedded_order_holds_and_the_next_fails(name):
    """Rejects: weights and embedded weights exchanged (torchdiffeq's tsit5)."""
    method = ALL[name]
    p = method.embedded_order
    assert p != method.order
    assert all(r == 0 for r in order_residuals(method, p, embedded=True).values())
    assert any(order_residuals(method, p + 1, embedded=True).values())


def test_embedded_order_of_heun2():
    assert get("heun2").embedded_order == 1


@pytest.mark.parametrize("name", LMM)
def test_multistep_is_exact_on_polynomials_up_to_its_order(name):
    """Exact on (t - k)^q iff q <= order. Rejects: an origin-dependent or off-by-one C_q."""
    method = ALL[name]
    k, s = method.steps, method.time_scale

    def defect(q):
        t = [s * (j - k) for j in range(k + 1)]
        slopes = [q * x ** (q - 1) if q else 0 for x in t]
        return sum(a * x**q for a, x in zip(method.alpha, t, strict=True)) - sum(
            b * v for b, v in zip(method.beta, slopes, strict=True)
        )

    assert all(defect(q) == 0 for q in range(method.order + 1))
    assert defect(method.order + 1) != 0


@pytest.mark.parametrize("name", LMM)
def test_multistep_is_zero_stable(name):
    """Rejects: BDF7-like polynomials, consistent but useless."""
    roots = np.roots([float(a) for a in reversed(ALL[name].alpha)])
    assert np.sort(np.abs(roots))[-1] == pytest.approx(1, abs=1e-12)
    assert np.all(np.sort(np.abs(roots))[:-1] < 1 - 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_declared_facts_are_the_computed_ones(name):
    method = ALL[name]
    computed = method.order_separable if isinstance(method, Partitioned) else method.order
    assert computed == method.declared.order
    assert order(name) <= method.declared.order
    for limit, value in ((real_limit, method.declared.real), (imaginary_limit, method.declared.imaginary)):
        assert limit(method) == pytest.approx(value, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", RK)
def test_stability_function_starts_as_exp(name):
    """Rejects: a determinant with a sign or a transposition wrong."""
    method = ALL[name]
    R = stability_function(method)
    p = R.linear_order()
    assert p >= method.order

    # P - Q exp vanishes through z^p, coefficient by coefficient, and not at p + 1
    def remainder(k):
        series = sum((q / math.factorial(k - j) for j, q in enumerate(R.denominator[: k + 1])), Fraction(0))
        return (R.numerator[k] if k < len(R.numerator) else 0) - series

    assert all(remainder(k) == 0 for k in range(p + 1))
    assert remainder(p + 1) != 0
    assert R.is_polynomial == method.explicit


@pytest.mark.parametrize("name", RK)
def test_amplification_is_that_of_a_step(name):
    """Rejects: any tableau whose R comes from elsewhere (heun2's for extragradient)."""
    method = ALL[name]
    mine = [runge_kutta_step(method.A, method.b, z) for z in POINTS]
    np.testing.assert_allclose(stability_function(method)(POINTS), mine, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(amplification(method, POINTS), np.abs(mine), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LMM)
def test_amplification_is_the_growth_of_the_recurrence(name):
    """Rejects: coefficients read newest first."""
    method = ALL[name]
    alpha, beta = np.array(method.alpha, dtype=float), np.array(method.beta, dtype=float)
    for z in POINTS[:12]:
        p = alpha - z * beta
        C = np.eye(method.steps, k=1, dtype=complex)
        C[-1] = -p[:-1] / p[-1]
        assert amplification(method, z) == pytest.approx(np.abs(np.linalg.eigvals(C)).max(), rel=1e-10)
        y = np.ones(method.steps, dtype=complex)  # power iteration with the formula itself
        for _ in range(3):
            y = np.append(y[1:], -(p[:-1] @ y) / p[-1])
        np.testing.assert_allclose(y, np.linalg.matrix_power(C, 3) @ np.ones(method.steps), rtol=1e-12)


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (2, 1, 2)])
def test_partitioned_step_is_the_product_of_its_moves(name, sizes):
    """Rejects: simultaneous play, reversed play, a transposed block."""
    method = ALL[name]
    J = np.random.default_rng(3).normal(size=(sum(sizes), sum(sizes)))
    game, h = BlockJacobian(J, sizes), 0.37
    substep = method.substep
    M = np.eye(len(J))
    for move in method.moves(len(sizes)):
        own = np.zeros_like(J)
        own[game.slices[move.place]] = J[game.slices[move.place]]
        k = []
        for row in substep.A:
            y = np.eye(len(J)) + h * float(move.length) * sum(
                (float(a) * q for a, q in zip(row, k, strict=False)), 0 * J
            )
            k.append(own @ y)
        M = (np.eye(len(J)) + h * float(move.length) * sum(float(b) * q for b, q in zip(substep.b, k, strict=True))) @ M
    np.testing.assert_allclose(step_matrix(method, game, h), M, rtol=1e-12, atol=1e-13)
    simultaneous = np.eye(len(J)) + h * J
    assert np.abs(M - simultaneous).max() > 1e-3
