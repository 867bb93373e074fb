"""Rooted trees, their densities, and the orders of partitioned compositions."""

from fractions import Fraction as F

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm

from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep, get
from gamedyn.stability import BlockJacobian, order, step_matrix
from gamedyn.stability.properties import embedded_order, order_residuals, rooted_trees, sheet
from gamedyn.stability.properties.orders import density, tree_order

DOT = (0, ())
CHERRY = (0, (DOT, DOT))
CHAIN2, CHAIN3 = (0, (DOT,)), (0, ((0, (DOT,)),))

RUTH3 = Partitioned([Sweep(("7/24", "2/3")), Sweep(("3/4", "-2/3")), Sweep(("-1/24", 1))])
STRANG = Partitioned([Sweep("1/2"), Sweep("1/2", backward=True)])
THETA = 1 / (2 - 2 ** (1 / 3))
FOREST_RUTH = Partitioned(
    [
        Sweep((THETA / 2, THETA)),
        Sweep(((1 - THETA) / 2, 1 - 2 * THETA)),
        Sweep(((1 - THETA) / 2, THETA)),
        Sweep((THETA / 2, 0)),
    ]
)


def test_counts():
    """OEIS A000081 and methods.md b9. Rejects: multisets counted as sequences."""
    assert [len(rooted_trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    assert [len(rooted_trees(n, colours=2)) for n in range(1, 6)] == [2, 4, 14, 52, 214]


@pytest.mark.parametrize("colours", [1, 2])
def test_trees_are_distinct_and_of_their_order(colours):
    for n in range(1, 6):
        trees = rooted_trees(n, colours)
        assert len(set(trees)) == len(trees)
        assert all(tree_order(t) == n for t in trees)


@pytest.mark.parametrize(
    ("tree", "gamma"),
    [
        (DOT, 1),
        (CHAIN2, 2),
        (CHERRY, 3),
        (CHAIN3, 6),
        ((0, (DOT, DOT, DOT)), 4),
        ((0, (CHAIN2, DOT)), 8),
        ((0, (CHERRY,)), 12),
        ((0, (CHAIN3,)), 24),
        ((0, (CHERRY, CHAIN2)), 36),
    ],
)
def test_densities(tree, gamma):
    """HNW I, table II.2.1; the last by hand: 6 * 3 * 2."""
    assert density(tree) == gamma


def test_residual_of_every_condition_of_euler():
    """sum b Phi = 0 beyond the first tree, so the residual is -1/gamma."""
    residuals = order_residuals("euler", 4)
    assert all(r == (-F(1, density(t)) if t != DOT else 0) for t, r in residuals.items())
    assert len(residuals) == 8


def test_residuals_are_taken_on_the_methods_clock():
    """Lookahead solves y' = s v: its conditions are those of A/s and b/s. Rejects: a sum of weights compared with 1."""
    residuals = order_residuals("lookahead5", 2)
    assert residuals[DOT] == 0
    assert residuals[CHAIN2] == F(0 + 1 + 2 + 3 + 4, 2) / F(5, 2) ** 2 - F(1, 2)


@pytest.mark.parametrize(
    ("A", "b", "p"),
    [
        ([["1/2"]], [1], 2),  # implicit midpoint
        ([["5/12", "-1/12"], ["3/4", "1/4"]], ["3/4", "1/4"], 3),  # Radau IIA
        ([["1/2", "-1/2"], ["1/2", "1/2"]], ["1/2", "1/2"], 2),  # Lobatto IIIC
        ([[], ["1/3"], ["1/6", "1/6"], ["1/8", 0, "3/8"], ["1/2", 0, "-3/2", 2]], ["1/6", 0, 0, "2/3", "1/6"], 4),
    ],
)
def test_orders_of_known_tableaus(A, b, p):
    method = RungeKutta(A=A, b=b)
    assert order(method) == p
    assert not any(order_residuals(method, p).values())
    assert any(order_residuals(method, p + 1).values())


def test_gauss3_in_floats_has_order_6():
    r = 15**0.5
    A = [
        [5 / 36, 2 / 9 - r / 15, 5 / 36 - r / 30],
        [5 / 36 + r / 24, 2 / 9, 5 / 36 - r / 24],
        [5 / 36 + r / 30, 2 / 9 + r / 15, 5 / 36],
    ]
    assert RungeKutta(A=A, b=[5 / 18, 4 / 9, 5 / 18]).order == 6
    A[0][0] += 1e-9  # a slip in the tenth digit
    assert RungeKutta(A=A, b=[5 / 18, 4 / 9, 5 / 18]).order == 1


@pytest.mark.parametrize(
    ("method", "separable", "general"),
    [(get("alternating"), 1, 1), (STRANG, 2, 1), (RUTH3, 3, 1), (FOREST_RUTH, 4, 1)],
    ids=["alternating", "strang", "ruth3", "forest_ruth"],
)
def test_compositions_lose_their_order_with_own_curvature(method, separable, general):
    """numerics.md section 5; slopes of the local error on linear games say the same, without trees."""
    assert (method.order_separable, method.order_general, method.order) == (separable, general, general)
    for J, p in (([[0, -1], [1, 0]], separable), ([[-0.3, -1], [1, -0.5]], general)):
        game = BlockJacobian(np.array(J, dtype=float), (1, 1))
        errors = [np.abs(step_matrix(method, game, h) - expm(h * game.matrix)).max() for h in (0.04, 0.02)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(p + 1, abs=0.06)


def test_substeps_restore_the_order():
    """numerics.md section 5: Strang with midpoint, and Ruth3 and Forest-Ruth with rk4 sub-steps."""
    assert Partitioned(STRANG.sweeps, get("midpoint")).order_general == 2
    assert Partitioned(RUTH3.sweeps, get("rk4")).order_general == 3


def test_a_slip_in_ruth3_is_seen():
    slip = F(1, 1000)
    mutant = Partitioned([Sweep((F(7, 24) + slip, "2/3")), Sweep((F(3, 4) - slip, "-2/3")), Sweep(("-1/24", 1))])
    assert mutant.order_separable == 1


def test_float_lengths_are_held_to_their_digits():
    """Rejects: exact comparison (order 2), and a slip of 1e-11 forgiven."""
    assert FOREST_RUTH.digits == 15
    a = THETA + 1e-11
    mutant = Partitioned(
        [Sweep((a / 2, a)), Sweep(((1 - a) / 2, 1 - 2 * a)), Sweep(((1 - a) / 2, a)), Sweep((a / 2, 0))]
    )
    assert mutant.order_separable == 2


def test_error_constants_of_multistep_methods():
    """methods.md b5: C_{p+1} / sigma(1)."""
    known = {
        F(5, 12): get("ab2"),
        F(3, 8): get("ab3"),
        F(-1, 2): get("optimistic"),
        F(-1, 12): LinearMultistep([-1, 1], ["1/2", "1/2"]),
        F(-1, 24): LinearMultistep([0, -1, 1], ["-1/12", "8/12", "5/12"]),
        F(-1, 180): LinearMultistep([-1, 0, 1], ["1/3", "4/3", "1/3"]),
        F(1, 6): LinearMultistep([-1, 0, 1], [0, 2, 0]),
    }
    for constant, method in known.items():
        assert method.defect(method.order + 1) / sum(method.beta) == constant


def test_embedded_order_of_methods_without_weights():
    assert embedded_order("heun2") == 1
    assert embedded_order("rk4") is None
    assert embedded_order("ab2") is None


def gauss(stages):
    """The Gauss method by collocation, to 50 digits."""
    with mpmath.workdps(70):
        series = mpmath.taylor(lambda x: mpmath.legendre(stages, x), 0, stages)[::-1]
        c = [(1 + x) / 2 for x in mpmath.polyroots(series, maxsteps=500, extraprec=400)]
        V = mpmath.matrix([[x**q for x in c] for q in range(stages)])
        b = mpmath.lu_solve(V, mpmath.matrix([mpmath.mpf(1) / (q + 1) for q in range(stages)]))
        A = [mpmath.lu_solve(V, mpmath.matrix([x ** (q + 1) / (q + 1) for q in range(stages)])) for x in c]
        exact = [[F(mpmath.nstr(a, 50)) for a in row] for row in [*A, b]]
    return RungeKutta(exact[:-1], exact[-1], digits=45)


@pytest.mark.parametrize("stages", [5, 6, 7])
def test_orders_beyond_the_trees(stages):
    """Order 2 s: Butcher 1964. Rejects: 10 reported where counting stops, with the error constant of what holds."""
    method = gauss(stages)
    assert method.order == 2 * stages
    assert not method.order_is_bound
    assert "at least" not in str(sheet(method))


def test_an_order_that_is_a_bound():
    """A stage that the result does not use meets no simplifying assumption: only what trees show is claimed."""
    inner = gauss(6)
    spare = RungeKutta([*([*row, 0] for row in inner.A), [1, 2, 0, 0, 0, 0, 1]], [*inner.b, 0], digits=45)
    assert spare.order == 10
    assert spare.order_is_bound
    assert "at least 10" in str(sheet(spare))
