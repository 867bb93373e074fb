"""Non-linear games with known answers: games.md b.5, and what the flows do on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd

DOUBLE = torch.float64

# games.md b.5: point, eigenvalues of H, D11 f, -D22 f, Schur complement for the leader x
PRINTED = [
    ((-13.3392, -9.9917), 1.00791, 2.05985, -0.39271, 2.40854, 2.18343),
    ((-2.5015, -2.3399), 0.58698, 2.27737, -1.96762, 3.14158, 1.76056),
    ((-10.4166, 8.4805), 1.55911, 4.22815, 1.00405, 2.11416, 9.60574),
    ((12.1886, -5.4232), 2.45758, 3.28876, 2.37027, 2.54490, 6.62332),
]
UNSTABLE = [(0, 0), (-5.6229, -4.7425), (-13.1843, 1.7997), (1.6604, -13.6692), (2.3119, 13.5093)]


def right_hand_side(flow):
    field = flow.field()
    return lambda t, y: field(t, torch.as_tensor(y)).detach().numpy()


def place(point):
    return torch.cat(list(point.point.values())).numpy()


class TestStackelbergPolynomial:
    def test_nine_points_and_their_printed_figures(self):
        # rejects: a and b swapped, the factor 0.01 of the exponential read as 0.1, leader and follower swapped
        game = gd.games.stackelberg_polynomial()
        points = {tuple(np.round(place(p), 4) + 0.0): p for p in game.critical_points}
        assert set(points) == {p for p, *_ in PRINTED} | set(UNSTABLE)
        for where, real, imag, own_x, own_y, schur in PRINTED:
            point = points[where]
            assert max(z.imag for z in point.eigenvalues) == pytest.approx(imag, abs=5.1e-6)
            assert -point.eigenvalues[0].real == pytest.approx(real, abs=5.1e-6)
            H = -gd.flows.gradient(game).at(game.state_of(point.point)).jacobian().to_dense().numpy()
            found = H[0, 0], H[1, 1], H[0, 0] - H[0, 1] * H[1, 0] / H[1, 1]
            assert found == pytest.approx((own_x, own_y, schur), abs=5.1e-6)
            classes = point.stability, point.nash, point.stackelberg["x"]
            assert classes == ("yes", "yes" if own_x > 0 else "no", "yes")
        for where in UNSTABLE:
            low, high = points[where].eigenvalues
            assert low.imag == high.imag == 0
            assert low.real < 0 < high.real
            assert points[where].stability == "no"

    @pytest.mark.parametrize("pair", [(0.15, 0.25), (0.3, 0.5)])
    def test_no_other_point_within_25(self, pair):
        # rejects: a table with a point left out
        a, b = pair
        known = np.array([place(p) for p in gd.games.stackelberg_polynomial(a, b).critical_points])
        x, y = np.meshgrid(np.linspace(-25, 25, 81), np.linspace(-25, 25, 81))
        z = np.stack([x.ravel(), y.ravel()])
        for _ in range(60):  # Newton from every start, on the gradient divided by the exponential
            z = newton(z, a, b)
        residual, size = np.abs(reduced(z, a, b)[0]).max(0), np.abs(z).max(0)
        ended = z[:, (residual < 1e-8 * (1 + size**4)) & (np.hypot(*z) < 25)].T
        distance = np.linalg.norm(ended[:, None] - known[None], axis=-1)
        assert len(ended) > 3000
        assert distance.min(1).max() < 1e-5
        assert set(distance.argmin(1)) == set(range(len(known)))

    def test_the_flow_goes_to_a_point_that_is_no_nash_equilibrium(self):
        # rejects: a stable point declared where the flow leaves it
        game = gd.games.stackelberg_polynomial()
        for point in game.critical_points:
            near = place(point) + 1e-3
            end = solve_ivp(right_hand_side(gd.flows.gradient(game)), (0, 8), near, rtol=1e-9, atol=1e-12).y[:, -1]
            went = np.linalg.norm(end - place(point))
            assert (went < 2e-4) == (point.stability == "yes"), point

    def test_other_parameters_declare_the_origin_alone(self):
        [origin] = gd.games.stackelberg_polynomial(0.2, 0.4).critical_points
        assert origin.eigenvalues == (-2, 2)
        with pytest.raises(gd.ArgumentError, match="finite"):
            gd.games.stackelberg_polynomial(float("nan"))


def reduced(z, a, b):
    """The gradient of N = (a x^2 + y)^2 + (b y^2 + x)^2 minus 0.02 N (x, y), and its derivative."""
    x, y = z
    u, w = a * x * x + y, b * y * y + x
    N, Nx, Ny = u * u + w * w, 4 * a * x * u + 2 * w, 2 * u + 4 * b * y * w
    Nxx, Nxy, Nyy = 4 * a * u + 8 * a * a * x * x + 2, 4 * a * x + 4 * b * y, 2 + 4 * b * w + 8 * b * b * y * y
    value = np.stack([Nx - 0.02 * x * N, Ny - 0.02 * y * N])
    slope = (Nxx - 0.02 * (N + x * Nx), Nxy - 0.02 * x * Ny, Nxy - 0.02 * y * Nx, Nyy - 0.02 * (N + y * Ny))
    return value, slope


def newton(z, a, b):
    (f, g), (p, q, r, s) = reduced(z, a, b)
    determinant = p * s - q * r
    determinant = np.where(np.abs(determinant) < 1e-12, 1e-12, determinant)
    step = np.stack([s * f - q * g, p * g - r * f]) / determinant
    return z - step / np.maximum(1, np.linalg.norm(step, axis=0) / 2)


class TestCyclic:
    @pytest.mark.parametrize("start", [(0.01, 0.0), (2.0, 2.0)])
    def test_both_starts_reach_one_cycle(self, start):
        # rejects: a point that attracts, a factor in the quartic terms (the radii scale), a reversed sign of xy
        rhs = right_hand_side(gd.flows.gradient(gd.games.cyclic()))

        def crossing(t, y):
            return y[1]

        crossing.direction = 1.0
        run = solve_ivp(rhs, (0, 60), start, "DOP853", rtol=1e-10, atol=1e-12, events=crossing, dense_output=True)
        times = run.t_events[0][-4:]
        assert np.diff(times) == pytest.approx([6.851346] * 3, abs=1e-6)
        radius = np.hypot(*run.sol(np.linspace(times[-2], times[-1], 20001)))
        assert radius.min() == pytest.approx(1.06954, abs=5e-6)
        assert radius.max() == pytest.approx(1.24832, abs=5e-6)

    def test_the_origin_is_its_only_critical_point(self):
        # y = x - x^3 in x + y - y^3 = 0 leaves x times a polynomial without real roots
        # rejects: another sign of a quartic term, which gives further roots
        x = np.polynomial.Polynomial([0, 1])
        y = x - x**3
        roots = (x + y - y**3).roots()
        assert sum(abs(z.imag) < 1e-6 for z in roots) == 1
        for z in roots:
            if abs(z.imag) < 1e-6:
                assert abs(z) < 1e-12
        field = gd.flows.gradient(gd.games.cyclic()).field()
        v = field(0.0, torch.tensor([0.6, 0.6 - 0.6**3], dtype=DOUBLE))
        assert float(v[0]) == pytest.approx(0, abs=1e-15)
        assert float(v[1]) == pytest.approx(float((x + y - y**3)(0.6)), rel=1e-13)


class TestTandem:
    def rest(self, opponent, s=None):
        """x + y where player x, shaping y's step, stands still (the game is symmetric), by bisection in float64."""
        low, high = 0.0, 4.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.shaped(opponent, middle) < 0 else (low, middle)
        return low

    def shaped(self, opponent, s, a=0.1):
        """d/dx of L_x + step . grad_y L_x, the step -a grad_y L_y seen to depend on x (LOLA) or not (LookAhead)."""
        game = gd.games.tandem()
        x, y = (torch.tensor([v], dtype=DOUBLE, requires_grad=True) for v in (0.25 * s, 0.75 * s))
        losses = game.losses(x, y)
        (forward,) = torch.autograd.grad(losses["y"], y, create_graph=True)
        (across,) = torch.autograd.grad(losses["x"], y, create_graph=True)
        step = -a * (forward if opponent == "lola" else forward.detach())
        (total,) = torch.autograd.grad(losses["x"] + (step * across).sum(), x)
        return float(total)

    def test_lola_rests_off_the_line_and_lookahead_on_it(self):
        # rejects: L = (x + y)^2 - x, a missing factor 2
        assert self.rest("lola") == pytest.approx((1 - 0.2) / (1 - 0.4), abs=1e-12)
        assert self.rest("lookahead") == pytest.approx(1.0, abs=1e-12)

    def test_the_flow_ends_on_the_line_and_keeps_the_difference(self):
        # rejects: a line that repels
        game = gd.games.tandem(initial=(3.0, 1.5))
        end = gd.solve(gd.flows.gradient(game), "rk4", h=0.05, steps=200).state.y
        assert end.tolist() == pytest.approx([1.25, -0.25], abs=1e-12)


class TestConsensusCounterexample:
    @pytest.mark.parametrize("k", [1.0, 2.5])
    def test_consensus_makes_the_maximum_attract_beyond_its_threshold(self, k):
        # rejects: a threshold k for 1/k
        game = gd.games.consensus_counterexample(k)
        inner, at = gd.flows.gradient(game), game.equilibrium_state()

        def J(weight):
            return gd.flows.consensus(inner, weight=weight).at(at).jacobian().to_dense()

        for weight, sign in ((0.9 / k, 1), (1.1 / k, -1)):
            expected = k * (1 - weight * k) * torch.eye(2, dtype=DOUBLE)
            torch.testing.assert_close(J(weight), expected, rtol=0, atol=1e-13)
            assert float(torch.sign(expected[0, 0])) == sign

    def test_symplectic_adjustment_leaves_it_alone(self):
        game = gd.games.consensus_counterexample()
        y = torch.tensor([0.3, -0.4], dtype=DOUBLE)
        adjusted = gd.flows.symplectic_adjustment(gd.flows.gradient(game), weight=5.0).field()(0.0, y)
        assert torch.equal(adjusted, y)
