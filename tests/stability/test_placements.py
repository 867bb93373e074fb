"""Penalty placements (numerics.md section 7), compositions (methods.md b7), growth on the rotation (games.md b.3)."""

import math
from fractions import Fraction as F

import numpy as np
import pytest
from scipy.linalg import expm

from gamedyn.methods import AdditiveRungeKutta, Partitioned, RungeKutta, Sweep, get, lookahead, members, penalty_placed
from gamedyn.stability import (
    BlockJacobian,
    amplification,
    imaginary_limit,
    largest_stable_step,
    spectral_radius,
    stable_steps,
    step_matrix,
)

PLACEMENTS = ("every_stage", "first_stage", "after_step")


def game(sigma, weight, *, split=True):
    """The squared-gradient penalty at the equilibrium of a two-player game: block -2 sigma^2 lambda of the second."""
    J = np.array([[0.0, -sigma], [sigma, 0.0]])
    penalty = np.diag([0.0, -2 * sigma**2 * weight])
    return BlockJacobian(J + penalty, (1, 1), ("G", "D"), {"game": J, "squared_gradient": penalty} if split else {})


@pytest.mark.parametrize(
    ("sigma", "weight", "limits"), [(10.0, 0.02, (0.294, 0.234, 0.220)), (1.0, 0.3, (2.84, 2.17, 2.05))]
)
def test_limits_of_the_three_placements(sigma, weight, limits):
    """numerics.md section 7. Rejects: one R(h lambda) for all: 26 % and 34 % too large for the other two."""
    blocks, digits = game(sigma, weight), 3 if sigma == 10 else 2
    for placement, limit in zip(PLACEMENTS, limits, strict=True):
        steps = stable_steps(f"rk4_penalty_{placement}", blocks)
        assert round(steps.limit, digits) == limit
        assert spectral_radius(f"rk4_penalty_{placement}", blocks, steps.limit * (1 - 1e-6)) < 1
        assert spectral_radius(f"rk4_penalty_{placement}", blocks, steps.limit * (1 + 1e-6)) > 1
    plain = largest_stable_step("rk4", np.linalg.eigvals(blocks.matrix))
    assert stable_steps("rk4_penalty_every_stage", blocks).limit == pytest.approx(plain, rel=1e-9)
    if sigma == 10:
        others = [stable_steps(f"rk4_penalty_{p}", blocks).limit for p in PLACEMENTS[1:]]
        assert [round(100 * (plain / x - 1)) for x in others] == [26, 34]


def test_sliver_of_the_placement_after_the_step():
    """numerics.md section 4: a second interval, 0.2683 to 0.2706. Rejects: bisection on h."""
    steps = stable_steps("rk4_penalty_after_step", game(10.0, 0.02))
    assert [tuple(round(x, 4) for x in i) for i in steps.intervals] == [(0.0, 0.2201), (0.2683, 0.2706)]


def test_parts_are_needed_to_tell_them_apart():
    """The whole J as "game" is rk4 for all three."""
    blocks = game(10.0, 0.02, split=False)
    limits = {round(stable_steps(f"rk4_penalty_{p}", blocks).limit, 9) for p in PLACEMENTS}
    assert limits == {round(largest_stable_step("rk4", np.linalg.eigvals(blocks.matrix)), 9)}


@pytest.mark.parametrize("name", ["euler", "heun2", "kutta3", "rk4", "dopri5", "ssp104"])
def test_placements_are_the_published_codes(name):
    """Inside stage one: the penalty's gradient is added to k_1 / b_1's; after the step: at the old point."""
    method, h, blocks = get(name), 0.13, game(2.0, 0.3)
    s, J, P = method.needed, blocks.parts["game"], blocks.parts["squared_gradient"]
    A, b, eye = np.array(method.A, dtype=float)[:s, :s], np.array(method.b, dtype=float)[:s], np.eye(2)

    def run(field):
        k = []
        for i in range(s):
            k.append(field(i) @ (eye + h * sum((A[i, j] * k[j] for j in range(i)), 0 * eye)))
        return eye + h * sum(w * x for w, x in zip(b, k, strict=True))

    hand = {
        "every_stage": run(lambda i: J + P),
        "first_stage": run(lambda i: J + P / b[0] if i == 0 else J),
        "after_step": run(lambda i: J) + h * P,
    }
    for placement, M in hand.items():
        np.testing.assert_allclose(step_matrix(penalty_placed(method, placement), blocks, h), M, rtol=0, atol=1e-14)
    if s > 1:
        assert [penalty_placed(method, p).order for p in PLACEMENTS] == [method.order, 1, 1]


def test_evaluations_of_the_placements():
    """Parts with proportional columns are one evaluation: four, four, and five. Rejects: one for every part."""
    assert [get(f"rk4_penalty_{p}").evaluations for p in PLACEMENTS] == [4, 4, 5]
    both = AdditiveRungeKutta({"game": ([[], [1]], ["1/2", "1/2"]), "rest": ([[], [0]], [1, 0])})
    assert both.evaluations == 3


# --- compositions: methods.md b7


def composed(weights):
    """Verlet steps of the given lengths one after another."""
    sweeps = []
    for w in weights:
        sweeps += [Sweep(F(w) / 2), Sweep(F(w) / 2, backward=True)]
    return Partitioned(sweeps, digits=13)


def symmetric(outer):
    outer = [F(w) for w in outer]
    return composed([*outer, 1 - 2 * sum(outer), *outer[::-1]])


def two_lists(first, second):
    """Moves first[0], second[0], first[1], ... of the two players."""
    second = [*second, *[0] * (len(first) - len(second))]
    return Partitioned([Sweep(pair) for pair in zip(first, second, strict=True)], digits=13)


XI, LAMBDA, CHI = F("0.1786178958448091"), F("-0.2123418310626054"), F("-0.06626458266981849")
A6 = [F(x) for x in ("0.0792036964311957", "0.353172906049774", "-0.0420650803577195")]
B6 = [F(x) for x in ("0.209515106613362", "-0.143851773179818")]
COMPOSITIONS = {  # order on separable games, limit on the rotation, moves
    "pefrl": (
        two_lists(
            [XI, CHI, 1 - 2 * (CHI + XI), CHI, XI], [(1 - 2 * LAMBDA) / 2, LAMBDA, LAMBDA, (1 - 2 * LAMBDA) / 2]
        ), 4, "2.989449546", 9),
    "blanes_moan6": (
        two_lists(
            [*A6, 1 - 2 * sum(A6), *A6[::-1]], [*B6, *[F(1, 2) - sum(B6)] * 2, *B6[::-1]]
        ), 4, "3.132823398", 13),
    "yoshida6": (
        symmetric(["0.784513610477560", "0.235573213359357", "-1.17767998417887"]), 6, "2.269057996", 15),
    "kahan_li6": (
        symmetric(["0.39216144400731413928", "0.33259913678935943860", "-0.70624617255763935981",
                   "0.082213596293550800230"]), 6, "2.532627388", 19),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_that_users_write(name):
    """methods.md b7. Rejects: adjacent moves of one player counted twice, lengths of the two players exchanged."""
    method, order, limit, moves = COMPOSITIONS[name]
    assert len(method.moves(2)) == moves
    if order == 4:
        assert (method.order_separable, method.order_general) == (4, 1)
    J = np.array([[0.0, -1.0], [1.0, 0.0]])
    errors = [np.abs(step_matrix(method, BlockJacobian(J, (1, 1)), h) - expm(h * J)).max() for h in (0.6, 0.3)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.3)
    assert imaginary_limit(method) == pytest.approx(float(limit), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "limit", "moves"),
    [
        ("alternating", "2.0000000000", 2), ("strang", "2.0000000000", 3), ("ruth3", "2.507481171", 6),
        ("forest_ruth", "1.573401947", 7), ("strang_midpoint", "2.0000000000", 3),
        ("ruth3_kutta3", "2.507481171", 6), ("forest_ruth_rk4", "1.573401947", 7),
    ],
)  # fmt: skip
def test_limits_of_the_members_on_the_rotation(name, limit, moves):
    """Own blocks zero: sub-steps of any order are Euler's. That what is declared holds, the contract says."""
    method = get(name)
    assert method.declared.imaginary == pytest.approx(float(limit), rel=1e-9)
    assert len(method.moves(2)) == moves
    blocks = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))
    growth = [spectral_radius(method, blocks, float(limit) * x) for x in (1 - 1e-6, 1 + 1e-6)]
    assert growth[0] == pytest.approx(1, abs=1e-9)
    assert growth[1] > 1 + 1e-4


# --- the rotation: games.md b.3


def rotation(h):
    return BlockJacobian(np.array([[0.0, -h], [h, 0.0]]), (1, 1))


@pytest.mark.parametrize("h", [0.1, 0.5, 1.3])
@pytest.mark.parametrize(
    ("name", "squared"),
    [
        ("euler", lambda h: 1 + h**2),
        ("extragradient", lambda h: 1 - h**2 + h**4),
        ("heun2", lambda h: 1 + h**4 / 4),
        ("kutta3", lambda h: 1 - h**4 / 12 + h**6 / 36),
        ("rk4", lambda h: 1 - h**6 / 72 + h**8 / 576),
        ("implicit_euler", lambda h: 1 / (1 + h**2)),
        ("implicit_midpoint", lambda h: 1.0),
        ("trapezoid", lambda h: 1.0),
        ("gauss4", lambda h: 1.0),
        ("gauss6", lambda h: 1.0),
        ("alternating", lambda h: 1.0),
        ("strang", lambda h: 1.0),
        ("cgd", lambda h: 1 / (1 + h**2)),
        ("exprb32", lambda h: 1.0),
    ],
)
def test_growth_on_the_rotation(name, squared, h):
    assert spectral_radius(name, rotation(1.0), h) ** 2 == pytest.approx(squared(h), rel=1e-12)


def test_figures_on_the_rotation():
    """games.md b.3, to the digits printed there."""
    euler = get("euler")
    assert float(amplification("ab2", 0.1j)) - 1 == pytest.approx(2.55e-5, abs=5e-8)
    assert float(amplification(lookahead(euler, 5, "1/2"), 0.1j)) == pytest.approx(0.98133, abs=5e-6)
    assert float(amplification(lookahead(euler, 5, "4/5"), 0.1j)) == pytest.approx(1.00040, abs=5e-6)
    assert imaginary_limit(lookahead(euler, 10, "1/2")) == pytest.approx(0.4360023744, abs=5e-11)


@pytest.mark.parametrize(("k", "alpha"), [(3, "1/3"), (5, "1/2"), (10, "1/2"), (5, "4/5"), (2, "1/2")])
def test_lookahead_over_euler_for_small_steps(k, alpha):
    """rho^2 = 1 + alpha k h^2 (alpha k - k + 1) + O(h^4): contracts iff alpha < 1 - 1/k."""
    h, a = 1e-3, float(F(alpha))
    excess = float(amplification(lookahead(get("euler"), k, alpha), 1j * h)) ** 2 - 1
    assert excess == pytest.approx(a * k * h**2 * (a * k - k + 1), abs=200 * h**4)


@pytest.mark.parametrize("name", [n for n, m in members().items() if isinstance(m, RungeKutta) and m.explicit])
def test_no_explicit_method_exceeds_its_stages(name):
    """methods.md b2: the imaginary limit of s stages is at most s - 1 (Vichnevetsky), in time gone through."""
    method = get(name)
    assert imaginary_limit(name) * method.time_scale <= method.needed - 1 + 1e-9
    assert math.isfinite(imaginary_limit(name))
