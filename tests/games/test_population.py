"""Flows of populations: spectra at the uniform shares, conserved products, time averages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import linear_sum_assignment

import gamedyn as gd
from gamedyn.flows.replicator import policy_gradient, replicator

DOUBLE = torch.float64
RPS = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]  # payoffs
FOUR = [[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0], [-1.0, 0.0, 1.0, 0.0]]
FIVE = [[((j - i) % 5 in (1, 2)) * 1.0 - ((j - i) % 5 in (3, 4)) * 1.0 for j in range(5)] for i in range(5)]
WIDE = [[1.0, -2.0, 1.0], [-1.0, 2.0, -1.0]]
PENNIES = [[1.0, -1.0], [-1.0, 1.0]]


def against(A):
    return (-torch.tensor(A, dtype=DOUBLE).T).tolist()


FLOWS = {
    "rock-paper-scissors": lambda: replicator(RPS),
    "four": lambda: replicator(FOUR),
    "five": lambda: replicator(FIVE),
    "pennies": lambda: replicator(PENNIES, against(PENNIES)),
    "rock-paper-scissors for two": lambda: replicator(RPS, against(RPS)),
    "wide": lambda: replicator(WIDE, against(WIDE)),
    "warm": lambda: replicator(RPS, temperature=0.5),
    "warm five": lambda: replicator(FIVE, temperature=2.0),
    "warm pennies": lambda: replicator(PENNIES, against(PENNIES), temperature=0.3),
    "warm wide": lambda: replicator(WIDE, against(WIDE), temperature=0.7),
    "policy gradient": lambda: policy_gradient(RPS),
    "policy gradient five": lambda: policy_gradient(FIVE),
}


@pytest.fixture(params=FLOWS)
def flow(request):
    return FLOWS[request.param]()


def spectrum_at(flow, point):
    return np.linalg.eigvals(flow.at(flow.game.state_of(point.point)).jacobian().to_dense().numpy())


def check_point(flow, point):
    state = flow.game.state_of(point.point)
    assert float(flow.field()(0.0, state.y).norm()) <= 1e-15
    found, declared = spectrum_at(flow, point), np.array(point.eigenvalues)
    assert found.shape == declared.shape
    distance = np.abs(found[:, None] - declared[None])
    assert distance[linear_sum_assignment(distance)].max() <= 1e-12
    right = found.real.max()
    assert point.stability == ("yes" if right < -1e-9 else "no" if right > 1e-9 else "undecided")


def slope_along(flow, y):
    """Rate of the invariant's logarithm along the flow, and what it could be."""
    point = y.clone().requires_grad_()
    (slope,) = torch.autograd.grad(flow.invariant(*flow.game.layout.parts(point).values()).log(), point)
    v = flow.field()(0.0, y)
    return float(slope @ v), float(slope.norm() * v.norm())


def test_declared_points(flow):
    # rejects: eigenvalues without the factor 1/n, a missing eigenvalue across the simplex
    assert len(flow.critical_points) == 1
    check_point(flow, flow.critical_points[0])


def test_invariant(flow):
    # rejects: the sum of squares, a product declared under a temperature
    if flow.invariant is None:
        pytest.skip("declares none")
    along, size = slope_along(flow, flow.initial_state().y)
    assert size > 0.1
    assert abs(along) <= 1e-13 * size


def test_who_declares_an_invariant():
    declared = {name for name, make in FLOWS.items() if make().invariant is not None}
    assert declared == {name for name in FLOWS if "warm" not in name and name != "wide"}


def test_the_simplex_is_kept(flow):
    # rejects: the mean payoff left out
    v = flow.game.layout.parts(flow.field()(0.0, flow.initial_state().y))
    for part in v.values():
        assert abs(float(part.sum())) <= 1e-15


def test_a_constant_payoff_changes_nothing():
    # rejects: p (u - p.u), whose eigenvalue across the simplex is minus the mean payoff
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE)
    for constant in (-1e6, 1e6):
        plain, raised = replicator(swap), replicator(swap + constant)
        y = torch.tensor([0.6, 0.4], dtype=DOUBLE)
        assert torch.allclose(plain.field()(0.0, y), raised.field()(0.0, y), rtol=0, atol=1e-10)
        J, K = (f.at(y).jacobian().to_dense() for f in (plain, raised))
        assert torch.allclose(J, K, rtol=0, atol=1e-9)
        assert float(J.sum(0).abs().max()) <= 1e-15  # off the simplex too, the sum is kept


def test_payoffs_of_a_saturated_policy_keep_their_digits():
    # rejects: a gain as the difference of two numbers near 1
    y = torch.tensor([20.0, -20.0], dtype=DOUBLE)
    p = y.softmax(0)
    v = policy_gradient([[1.0, 2.0], [0.0, 1.0]]).field()(0.0, y)
    assert v.tolist() == pytest.approx([float(p[0] * p[1]), -float(p[0] * p[1])], rel=1e-14)


def test_known_figures():
    # rejects: any factor in the payoffs or the field
    root = math.sqrt(3)
    largest = lambda flow: max(z.imag for z in spectrum_at(flow, flow.critical_points[0]))  # noqa: E731
    assert largest(replicator(RPS)) == pytest.approx(1 / root, abs=1e-14)
    assert largest(replicator(PENNIES, against(PENNIES))) == pytest.approx(1, abs=1e-14)
    assert largest(policy_gradient(RPS)) == pytest.approx(1 / (3 * root), abs=1e-14)
    warm = spectrum_at(replicator(RPS, temperature=0.5), replicator(RPS, temperature=0.5).critical_points[0])
    inside = warm[np.abs(warm.imag) > 0.1]
    assert sorted(inside, key=lambda z: z.imag) == pytest.approx([-1 - 2j / root, -1 + 2j / root], abs=1e-13)


def test_two_strategies_are_the_scalar_equations():
    # p' = 2 p (1 - p) (2 q - 1), q' = -2 q (1 - q) (2 p - 1), which conserve p(1-p) q(1-q)
    # rejects: populations swapped
    p, q = 0.8, 0.3
    flow = replicator(PENNIES, against(PENNIES))
    y = torch.tensor([p, 1 - p, q, 1 - q], dtype=DOUBLE)
    v = flow.field()(0.0, y)
    assert float(v[0]) == pytest.approx(2 * p * (1 - p) * (2 * q - 1), abs=1e-15)
    assert float(v[2]) == pytest.approx(-2 * q * (1 - q) * (2 * p - 1), abs=1e-15)
    assert float(flow.invariant(y[:2], y[2:])) == pytest.approx(p * (1 - p) * q * (1 - q), rel=1e-14)


def along(flow, seconds, **options):
    field = flow.field()
    rhs = lambda t, y: field(t, torch.as_tensor(y)).detach().numpy()  # noqa: E731
    start = flow.initial_state().y.numpy()
    return solve_ivp(rhs, (0, seconds), start, "DOP853", rtol=1e-10, atol=1e-12, **options)


@pytest.mark.parametrize("name", ["rock-paper-scissors", "pennies"])
def test_time_averages_tend_to_the_uniform_shares_like_one_over_time(name):
    # rejects: an orbit that goes to the boundary; and the shares themselves, which do not converge
    flow = FLOWS[name]()
    run = along(flow, 200, dense_output=True)
    uniform = np.concatenate([np.full(len(p), 1 / len(p)) for p in flow.critical_points[0].point.values()])
    errors = []
    for seconds in (20.0, 200.0):
        t = np.linspace(0, seconds, 20001)
        shares = run.sol(t)
        errors.append(np.abs(np.trapezoid(shares, t, axis=1) / seconds - uniform).max())
        assert np.abs(shares[:, -4000:] - uniform[:, None]).max() > 0.1
    assert errors[1] < 0.02
    assert errors[1] * 200 < 3  # the deviation from a whole number of turns is bounded
    product = [float(flow.invariant(torch.as_tensor(run.y[:, i]))) for i in (0, -1)]
    assert product[1] == pytest.approx(product[0], rel=1e-7)


def test_a_temperature_makes_the_uniform_shares_attract():
    # rejects: the entropy's sign
    end = along(FLOWS["warm"](), 30).y[:, -1]
    assert end == pytest.approx(np.full(3, 1 / 3), abs=1e-9)


def test_gamedyn_solvers_take_it():
    # rejects: a flow that says it depends on time, which implicit methods then refuse or mistreat
    flow = FLOWS["rock-paper-scissors"]()
    assert flow.autonomous
    run = gd.solve(flow, "rk4", h=0.05, steps=400)
    start, end = (float(flow.invariant(s["p"])) for s in (flow.initial_state(), run.state))
    assert end == pytest.approx(start, rel=1e-7)
    assert float(run.state["p"].sum()) == pytest.approx(1, abs=1e-13)


def test_nothing_is_declared_where_nothing_is_known():
    # rejects: the uniform shares declared for payoffs under which they move
    flow = replicator([[0.0, 2.0], [1.0, 0.0]])
    assert flow.critical_points == ()
    assert flow.invariant is None
    same = replicator(PENNIES, PENNIES)  # a common interest: in equilibrium, but no centre
    assert same.critical_points == ()
    assert same.invariant is None


def test_mutants_are_rejected():
    """A payoff's sign, and eigenvalues that are not those of the flow."""
    good = replicator(RPS)
    wrong = replicator([[0.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    with pytest.raises(AssertionError):
        check_point(wrong, good.critical_points[0])
    with pytest.raises(AssertionError):
        check_point(replicator((2 * torch.tensor(RPS)).tolist()), good.critical_points[0])
    wrong.invariant = good.invariant
    along, size = slope_along(wrong, wrong.initial_state().y)
    assert abs(along) > 1e-3 * size


def test_bad_arguments():
    with pytest.raises(gd.ArgumentError, match="square"):
        replicator(WIDE)
    with pytest.raises(gd.ArgumentError, match="opponents"):
        replicator(WIDE, WIDE)
    with pytest.raises(gd.ArgumentError, match="temperature"):
        replicator(RPS, temperature=0.0)
    for initial in ([[1.0, 0.0, 1.0]], [[1.0, 1.0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]):
        with pytest.raises(gd.ArgumentError, match="initial"):
            replicator(RPS, initial=initial)
    with pytest.raises(gd.ArgumentError, match="initial"):
        policy_gradient(RPS, initial=[0.0, 1.0])
