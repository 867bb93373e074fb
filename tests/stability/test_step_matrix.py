"""One step on a linear game, against products and recurrences written out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep, alternating, get, members
from gamedyn.stability import BlockJacobian, Eigenvalues, amplification, spectral_radius, step_matrix

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
IMPLICIT = {
    "radau_iia2": RungeKutta(A=[["5/12", "-1/12"], ["3/4", "1/4"]], b=["3/4", "1/4"]),
    "bdf2": LinearMultistep(["1/3", "-4/3", 1], [0, 0, "2/3"]),
}
ALL = {n: m for n, m in {**members(), **IMPLICIT}.items() if m.decouples}
ONE_STEP = {n: m for n, m in ALL.items() if isinstance(m, RungeKutta)}
MULTISTEP = {n: m for n, m in ALL.items() if isinstance(m, LinearMultistep)}
MATRIX = np.array([[-0.4, -1.2, 0.3], [0.9, -0.1, 0.5], [-0.2, 0.7, -0.8]])


def sorted_moduli(values):
    return np.sort(np.abs(values))


@PROPERTY
@given(st.lists(st.floats(-2, 2), min_size=9, max_size=9), st.floats(0.05, 1.5))
def test_alternating_is_the_product_of_moves(entries, h):
    """(I + h P2 J)(I + h P1 J): the second player sees the first's new place. Rejects the reversed product."""
    J = np.array(entries).reshape(3, 3)
    P1, P2, eye = np.diag([1.0, 1, 0]), np.diag([0.0, 0, 1]), np.eye(3)
    game = BlockJacobian(J, (2, 1), ("G", "D"))
    first = (eye + h * P2 @ J) @ (eye + h * P1 @ J)
    np.testing.assert_allclose(step_matrix("alternating", game, h), first, rtol=0, atol=1e-13)
    second = (eye + h * P1 @ J) @ (eye + h * P2 @ J)
    np.testing.assert_allclose(step_matrix(alternating(("D", "G")), game, h), second, rtol=0, atol=1e-13)


def test_compositions_are_products_of_moves():
    """Strang and five updates to one; the nested products are written out."""
    game, h, eye = BlockJacobian(MATRIX, (1, 2)), 0.6, np.eye(3)
    P1, P2 = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1.0])

    def move(P, length):
        return eye + h * length * P @ MATRIX

    strang = Partitioned([Sweep("1/2"), Sweep("1/2", backward=True)])
    hand = move(P1, 0.5) @ move(P2, 1) @ move(P1, 0.5)  # the second player's halves are one move
    np.testing.assert_allclose(step_matrix(strang, game, h), hand, rtol=0, atol=1e-14)
    five = alternating(cycles={0: 1, 1: 5})
    hand = np.linalg.matrix_power(move(P2, 0.2), 5) @ move(P1, 1)
    np.testing.assert_allclose(step_matrix(five, game, h), hand, rtol=0, atol=1e-14)


def test_exact_substeps_of_high_order_approach_the_splitting():
    """rk4 sub-steps: each move is exp(h P J) to h^5. Rejects: sub-step stages that move the opponent."""
    game, h = BlockJacobian(MATRIX, (1, 2)), 0.05
    P1, P2 = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1.0])
    M = step_matrix(Partitioned([Sweep()], get("rk4")), game, h)
    np.testing.assert_allclose(M, expm(h * P2 @ MATRIX) @ expm(h * P1 @ MATRIX), rtol=0, atol=3e-8)


@pytest.mark.parametrize("name", ONE_STEP)
def test_runge_kutta_matrix_is_the_step(name):
    """Stages solved as one linear system, columns at once. Rejects: R evaluated at J^T or at J."""
    method, h = ONE_STEP[name], 0.7
    A, b, s = np.array(method.A, dtype=float), np.array(method.b, dtype=float), method.stages
    stages = np.linalg.solve(np.eye(3 * s) - h * np.kron(A, MATRIX), np.kron(np.ones((s, 1)), MATRIX))
    hand = np.eye(3) + h * np.kron(b[None], np.eye(3)) @ stages
    np.testing.assert_allclose(step_matrix(method, MATRIX, h), hand, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", MULTISTEP)
def test_multistep_matrix_is_the_recurrence(name):
    """(y_{n+k-1}, ..., y_n) one step on, newest first."""
    method, h, k = MULTISTEP[name], 0.3, MULTISTEP[name].steps
    y = np.random.default_rng(1).normal(size=(k, 3))  # oldest first
    known = sum(
        (float(b) * h * MATRIX - float(a) * np.eye(3)) @ q
        for a, b, q in zip(method.alpha[:-1], method.beta[:-1], y, strict=True)
    )
    new = np.linalg.solve(np.eye(3) - float(method.beta[-1]) * h * MATRIX, known)
    moved = step_matrix(method, MATRIX, h) @ y[::-1].ravel()
    np.testing.assert_allclose(moved, np.concatenate([new, y[:0:-1].ravel()]), rtol=0, atol=1e-13)


@PROPERTY
@given(st.lists(st.floats(-2, 2), min_size=9, max_size=9), st.sampled_from(sorted({**ONE_STEP, **MULTISTEP})))
def test_radius_of_the_matrix_is_the_largest_amplification(entries, name):
    """Contract: one step is R(hJ). Rejects: amplification of lambda instead of h lambda."""
    J, h = np.array(entries).reshape(3, 3), 0.4
    method = {**ONE_STEP, **MULTISTEP}[name]
    radius = np.abs(np.linalg.eigvals(step_matrix(method, J, h))).max()
    lam = np.linalg.eigvals(J)
    assert radius == pytest.approx(amplification(method, h * lam).max(), rel=1e-4, abs=1e-4)  # J may be defective
    assert spectral_radius(method, lam, h) == amplification(method, h * lam).max()


@pytest.mark.parametrize("name", ONE_STEP)
def test_eigenvalues_of_the_matrix_are_the_amplifications(name):
    lam = np.linalg.eigvals(MATRIX)
    moduli = sorted_moduli(np.linalg.eigvals(step_matrix(ONE_STEP[name], MATRIX, 0.9)))
    np.testing.assert_allclose(moduli, sorted_moduli(amplification(ONE_STEP[name], 0.9 * lam)), rtol=1e-12)


@pytest.mark.parametrize("name", MULTISTEP)
def test_eigenvalues_of_the_companion_are_the_roots(name):
    method, lam, h = MULTISTEP[name], np.linalg.eigvals(MATRIX), 0.9
    roots = []
    for z in h * lam:
        p = np.array(method.alpha, dtype=float) - z * np.array(method.beta, dtype=float)
        found = np.roots(p[::-1])
        roots += [*found, *[0] * (method.steps - len(found))]
    moduli = sorted_moduli(np.linalg.eigvals(step_matrix(method, MATRIX, h)))
    np.testing.assert_allclose(moduli, sorted_moduli(roots), rtol=1e-9, atol=1e-9)


def test_block_jacobian_knows_its_players():
    game = BlockJacobian(MATRIX, (1, 2))
    assert game.players == ("0", "1")
    assert game.slices == (slice(0, 1), slice(1, 3))
    np.testing.assert_array_equal(step_matrix("rk4", game, 0.5), step_matrix("rk4", MATRIX, 0.5))
    assert spectral_radius("rk4", game, 0.5) == spectral_radius("rk4", np.linalg.eigvals(MATRIX), 0.5)


def test_eigenvalues_are_an_array():
    values = Eigenvalues(np.array([1j, -1j]))
    assert len(values) == 2
    assert values[0] == 1j
    assert spectral_radius("euler", values, 1.0) == pytest.approx(np.sqrt(2), rel=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BlockJacobian(MATRIX, (1, 1)), "sizes: expected numbers of parameters that add up"),
        (lambda: BlockJacobian(MATRIX, ()), "sizes: expected at least one parameter"),
        (lambda: BlockJacobian(MATRIX * np.nan, (1, 2)), "matrix: expected a square matrix of finite numbers, got nan"),
        (lambda: BlockJacobian(MATRIX, (1, 2), ("G",)), "players: expected 2 different names"),
        (lambda: BlockJacobian(MATRIX, (1, 2), ("G", "G")), "players: expected 2 different names"),
        (lambda: step_matrix("rk4", [1.0, 2.0], 0.1), "J: expected a square matrix of finite numbers"),
        (lambda: step_matrix("rk4", [[1.0, 2.0]], 0.1), "J: expected a square matrix of finite numbers"),
        (lambda: step_matrix("ab2", [[np.nan]], 0.1), "J: expected a square matrix of finite numbers"),
        (lambda: step_matrix("rk4", MATRIX, 0.0), "h: expected a positive, finite number, got 0.0"),
        (lambda: step_matrix("rk4", MATRIX, -1), "h: expected a positive, finite number, got -1"),
        (lambda: step_matrix("alternating", MATRIX, 0.1), "spectrum: expected a BlockJacobian"),
        (lambda: step_matrix("torchdiffeq:rk4", MATRIX, 0.1), "method: expected a method whose coefficients"),
        (lambda: step_matrix(alternating((1, 0, 2)), BlockJacobian(MATRIX, (1, 2)), 0.1), "a game of 3 players"),
        (lambda: spectral_radius("rk4", [], 0.1), "eigenvalues: expected at least one, all finite, got none"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
