"""Broken methods that the exact conditions must reject, each by name."""

from fractions import Fraction as F

import numpy as np
import pytest

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep, alternating, get
from gamedyn.stability import BlockJacobian, imaginary_limit, real_limit, stability_function, step_matrix
from gamedyn.stability.properties import order_residuals

SLIP = F(1, 1000)
RK4 = get("rk4")
ENTRIES = [("A", i, j) for i in range(4) for j in range(i)] + [("b", i, 0) for i in range(4)]
GAME = BlockJacobian(np.array([[-0.5, -1.0], [2.0, -0.25]]), (1, 1), ("G", "D"))


def slipped(values, place):
    return [v + SLIP * (j == place) for j, v in enumerate(values)]


@pytest.mark.parametrize(("which", "i", "j"), ENTRIES)
def test_every_slip_of_rk4_is_rejected(which, i, j):
    A = [slipped(row, j) if which == "A" and r == i else list(row) for r, row in enumerate(RK4.A)]
    b = slipped(RK4.b, i) if which == "b" else RK4.b
    mutant = RungeKutta(A=A, b=b)
    assert mutant.c == tuple(sum(row) for row in A)  # the node follows: only the conditions can see it
    assert mutant.order < 4
    assert any(order_residuals(mutant, 4).values())


def test_there_are_as_many_slips_as_entries():
    assert len(ENTRIES) == 10


@pytest.mark.parametrize("name", ["ab2", "ab3", "optimistic"])
def test_every_slip_of_a_multistep_method_is_rejected(name):
    """A single slip breaks consistency, so the type itself refuses."""
    method = get(name)
    for j in range(method.steps + 1):
        with pytest.raises(ArgumentError, match="consistency"):
            LinearMultistep(slipped(method.alpha, j), method.beta)
        with pytest.raises(ArgumentError, match="consistency"):
            LinearMultistep(method.alpha, slipped(method.beta, j))


@pytest.mark.parametrize("name", ["ab2", "ab3", "optimistic"])
def test_slips_that_stay_consistent_are_rejected(name):
    """Two betas slip by opposite amounts: order, or a declared limit, falls."""
    method = get(name)
    for i in range(method.steps):
        for j in range(i):
            mutant = LinearMultistep(method.alpha, slipped([b - SLIP * (q == i) for q, b in enumerate(method.beta)], j))
            facts = (mutant.order, round(real_limit(mutant), 6), round(imaginary_limit(mutant), 6))
            declared = method.declared
            assert facts != (declared.order, round(declared.real, 6), round(declared.imaginary, 6))
            assert name == "optimistic" or mutant.order < method.order


@pytest.mark.parametrize(
    "sweeps",
    [
        [],
        [Sweep("1/2")],
        [Sweep(2)],
        [Sweep(), Sweep()],
        [Sweep((1, "1/2"))],
        [Sweep("1/2"), Sweep("499/1000", backward=True)],
        [Sweep((0.5, 0.5)), Sweep((0.5, 0.4999999))],
    ],
)
def test_lengths_that_do_not_add_up_are_rejected(sweeps):
    with pytest.raises(ArgumentError, match="add up to 1 for every player"):
        Partitioned(sweeps)


@pytest.mark.parametrize(
    "mutant",
    [
        alternating(("D", "G")),  # players exchanged
        Partitioned([Sweep(backward=True)]),  # reverse order
        alternating(cycles={"G": 1, "D": 2}),  # second player in two halves
        Partitioned([Sweep()], RK4),  # another sub-step
    ],
)
def test_mutants_of_alternating_change_the_step(mutant):
    right = step_matrix("alternating", GAME, 0.5)
    assert np.abs(step_matrix(mutant, GAME, 0.5) - right).max() > 1e-3
    J, eye = GAME.matrix, np.eye(2)
    hand = (eye + 0.5 * np.array([[0, 0], J[1]])) @ (eye + 0.5 * np.array([J[0], [0, 0]]))
    np.testing.assert_allclose(right, hand, rtol=0, atol=1e-15)


def test_the_public_euler_heun_tableau_has_order_1():
    """A public ODE-GAN notebook: stage at 1/2 with Heun's weights 1/2, 1/2. R = 1 + z + z^2/4."""
    broken = RungeKutta(A=[[], ["1/2"]], b=["1/2", "1/2"])
    assert broken.order == 1
    assert stability_function(broken).numerator == (1, 1, F(1, 4))
    assert stability_function(broken).linear_order() == 1
    assert stability_function("heun2").numerator == (1, 1, F(1, 2))


def test_linear_order_4_does_not_make_order_4():
    """Stages 1/4, 1/3, 1/2 and all weight on the last: slope 4 on bilinear games, order 2."""
    scheme = RungeKutta(A=[[], ["1/4"], [0, "1/3"], [0, 0, "1/2"]], b=[0, 0, 0, 1])
    assert stability_function(scheme) == stability_function("rk4")
    assert stability_function(scheme).linear_order() == 4
    assert scheme.order == 2
    broken = [tree for tree, r in order_residuals(scheme, 3).items() if r]
    assert broken == [(0, ((0, ()), (0, ())))]  # the bushy tree: sum b c^2 = 1/4, not 1/3


def test_same_polynomial_is_not_the_same_method():
    """torchdiffeq's rk4 is the 3/8 rule: equal R, other coefficients."""
    assert stability_function("rk4") == stability_function("rk4_38")
    assert get("rk4").b != get("rk4_38").b
    assert any(
        a != b for a, b in zip(order_residuals("rk4", 5).values(), order_residuals("rk4_38", 5).values(), strict=True)
    )


def test_true_weights_and_embedded_ones_exchanged_are_rejected():
    """As torchdiffeq's tsit5 does: order falls by one."""
    heun = get("heun2")
    assert RungeKutta(A=heun.A, b=heun.b_hat).order == 1
