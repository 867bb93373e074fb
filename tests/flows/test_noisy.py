"""Noise as a part of a flow: strong and weak orders, mean squares, the covariance at rest, paths that go on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn import flows, methods
from gamedyn.flows.noisy import NoisyFlow
from gamedyn.integrators import stepper
from gamedyn.optim import GameOptimizer
from gamedyn.stability.matrices import mean_square_growth, mean_square_limit, stationary_covariance

DOUBLE = torch.float64
LAM, MU, PATHS = -1.0, 0.8, 2000
H = [[1.0, -3.0], [3.0, 1.0]]
J = -np.array(H)
NAMES = ("euler_maruyama", "platen")


def along(fn, size=PATHS, start=1.0):
    """A flow x' = fn(x) on many copies at once."""
    like = gd.Game({"x": torch.full((size,), start, dtype=DOUBLE)}, lambda x: {"x": x.sum()})
    return flows.custom(lambda t, s, batch: {"x": fn(s["x"])}, like)


def geometric(**how):
    """dx = lam x dt + mu x dW, whose solution is exp((lam - mu^2 / 2) t + mu W)."""
    return flows.noisy(along(lambda x: LAM * x), lambda t, s: {"x": MU * s["x"]}, **how)


def brownian(flow, cells, size=PATHS):
    """W at the end of so many cells of the flow's grid."""
    like = torch.empty(size, dtype=DOUBLE)
    return sum(flow.noise.increment(0, k * flow.noise.grid, flow.noise.grid, like) for k in range(cells))


class TestOrders:
    @pytest.mark.parametrize(("method", "order"), [("euler_maruyama", 0.5), ("platen", 1.0)])
    def test_strong_order_for_noise_of_the_state(self, method, order):
        # exact solution of the same paths; rejects: squares left out (0.5), Stratonovich's drift (0)
        flow = geometric(seed=3, grid=2**-8)
        exact = ((LAM - MU**2 / 2) + MU * brownian(flow, 256)).exp()
        errors = [
            float((gd.solve(flow, method, h=2.0**-k, t_span=(0.0, 1.0)).state.y - exact).abs().mean()) for k in (4, 7)
        ]
        assert math.log2(errors[0] / errors[1]) / 3 == pytest.approx(order, abs=0.12)
        assert float(methods.get(method).strong_order) == order

    @pytest.mark.parametrize("method", NAMES)
    def test_strong_order_for_additive_noise_on_a_nonlinear_flow(self, method):
        # against the same paths at a step 64 times shorter
        flow = flows.noisy(along(lambda x: -x - x**3, start=0.5), 0.6, seed=1, grid=2**-9)
        fine = gd.solve(flow, method, h=2**-9, t_span=(0.0, 1.0)).state.y
        errors = [
            float((gd.solve(flow, method, h=2.0**-k, t_span=(0.0, 1.0)).state.y - fine).abs().mean()) for k in (3, 5)
        ]
        assert math.log2(errors[0] / errors[1]) / 2 == pytest.approx(1.0, abs=0.2)

    def test_strong_order_for_noise_that_depends_on_time(self):
        # dx = t dW: W-weighted sums; the variance at 1 is 1/3
        flow = flows.noisy(along(lambda x: 0 * x, start=0.0), lambda t, s: {"x": t * torch.ones_like(s["x"])}, seed=2)
        run = gd.solve(flow, "platen", h=0.01, steps=100)
        assert float(run.state.y.var()) == pytest.approx(1 / 3, rel=0.12)

    @pytest.mark.parametrize("method", NAMES)
    def test_weak_order(self, method):
        # E x(1) is (1 + h lam)^n exactly: order 1, to sampling error, which the same paths take away
        flow = geometric(seed=5, grid=2**-6)
        exact = ((LAM - MU**2 / 2) + MU * brownian(flow, 64)).exp()
        for k in (2, 3):
            run = gd.solve(flow, method, h=2.0**-k, t_span=(0.0, 1.0))
            bias = float((run.state.y - exact).mean())
            assert bias == pytest.approx((1 + LAM * 2.0**-k) ** 2**k - math.exp(LAM), abs=0.03)


class TestMeanSquares:
    @pytest.mark.parametrize("method", NAMES)
    def test_growth_is_that_of_a_step(self, method):
        # by Gauss-Hermite in the increment, exactly; rejects: E xi^4 for E (xi^2 - 1)^2, |Q_2|^2 without its half
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        h, lam, mu = 0.3, -1.3, 0.7

        class Fixed:
            def increment(self, step, t, h, like):
                return torch.tensor(nodes) * math.sqrt(h)

            def diffusion(self, t, y):
                return mu * y

        flow = along(lambda x: lam * x, size=20)
        flow = type("Noisy", (NoisyFlow,), {})(flow, Fixed())
        Fixed.shown = "fixed"
        end = gd.solve(flow, method, h=h, steps=1).state.y.numpy()
        found = float((weights / weights.sum() * end**2).sum())
        assert mean_square_growth(method, lam, mu, h) == pytest.approx(found, rel=1e-12)

    @given(st.floats(0.05, 20.0), st.floats(-10.0, 10.0), st.floats(0.0, 4.0))
    def test_eulers_limit_is_the_formula(self, decay, turn, mu):
        # Higham 2000, eq. (3.4)
        lam = complex(-decay, turn)
        expected = max(0.0, (2 * decay - mu**2) / abs(lam) ** 2)
        assert mean_square_limit("euler_maruyama", lam, mu) == pytest.approx(expected, rel=1e-9, abs=1e-12)

    @pytest.mark.parametrize(("lam", "mu"), [(-1e-6 + 1j, 0.0), (-1e-9 + 1j, 0.0), (-1.0, (2 - 1e-8) ** 0.5)])
    def test_a_limit_near_0_is_none_of_infinity(self, lam, mu):
        # rejects: a crossing confirmed by a growth whose excess over 1 is lost to rounding
        expected = -(2 * complex(lam).real + mu**2) / abs(lam) ** 2
        assert mean_square_limit("euler_maruyama", lam, mu) == pytest.approx(expected, rel=1e-6)
        assert 0 < mean_square_limit("platen", lam, mu) < 1e-4

    @given(st.floats(0.5, 5.0), st.floats(0.05, 0.9))
    def test_platens_limit_is_a_crossing(self, decay, share):
        mu = share * math.sqrt(2 * decay)
        limit = mean_square_limit("platen", -decay, mu)
        assert mean_square_growth("platen", -decay, mu, limit) == pytest.approx(1.0, abs=1e-9)
        assert all(mean_square_growth("platen", -decay, mu, limit * s) < 1 for s in (0.1, 0.5, 0.9, 0.999))
        assert limit < mean_square_limit("euler_maruyama", -decay, mu) * (1 + 1e-12)  # the squares add variance

    @pytest.mark.parametrize("method", NAMES)
    def test_covariance_at_rest(self, method):
        # a game that turns; 2,000 members of an ensemble after 100 steps, each with a path of its own
        flow = flows.noisy(flows.gradient(gd.games.quadratic(H)), {"p1": 0.5, "p2": 1.0}, seed=7)
        run = gd.solve_ensemble(flow, method, h=0.1, steps=100, y0=torch.zeros(PATHS, 2, dtype=DOUBLE))
        found = np.cov(run.state.y.numpy().T)
        of_steps, true = (stationary_covariance(m, J, [0.5, 1.0], h) for m, h in ((method, 0.1), (None, None)))
        assert np.abs(found - of_steps).max() < 0.06
        assert np.abs(found - true).max() > 0.2
        assert np.abs(J @ true + true @ J.T + np.diag([0.25, 1.0])).max() < 1e-14

    def test_refused(self):
        for call in (
            lambda: stationary_covariance(None, [[1.0]], 1.0),
            lambda: stationary_covariance("euler_maruyama", J, 1.0, 0.5),
            lambda: stationary_covariance("euler_maruyama", J, 1.0),
            lambda: stationary_covariance("rk4", J, 1.0, 0.1),
            lambda: stationary_covariance(None, J, [1.0, 2.0, 3.0]),
            lambda: mean_square_growth("rk4", -1.0, 1.0, 0.1),
        ):
            with pytest.raises(gd.ArgumentError):
                call()


class TestPaths:
    def test_one_path_for_every_step(self):
        # rejects: increments by the number of the step
        flow = geometric(seed=4, grid=0.01)
        like = torch.empty(PATHS, dtype=DOUBLE)
        whole = flow.noise.increment(0, 0.0, 0.1, like)
        halves = [flow.noise.increment(9, t, 0.05, like) for t in (0.0, 0.05)]
        torch.testing.assert_close(whole, halves[0] + halves[1], rtol=0, atol=1e-15)
        assert float(whole.var()) == pytest.approx(0.1, rel=0.15)
        with pytest.raises(gd.ArgumentError, match="multiples of the noise's grid"):
            gd.solve(flow, "platen", h=0.015, steps=2)

    def test_entries_steps_and_seeds_are_independent(self):
        flow = geometric(seed=4)
        like = torch.empty(PATHS, dtype=DOUBLE)
        draws = [flow.noise.increment(k, 0.0, 1.0, like) for k in range(3)]
        draws.append(geometric(seed=5).noise.increment(0, 0.0, 1.0, like))
        correlation = np.corrcoef(torch.stack(draws).numpy())
        assert np.abs(correlation - np.eye(4)).max() < 0.1
        assert abs(np.corrcoef(draws[0][:-1], draws[0][1:])[0, 1]) < 0.1

    @pytest.mark.parametrize("method", NAMES)
    @pytest.mark.parametrize("grid", [None, 0.05])
    def test_it_goes_on_bit_for_bit(self, method, grid, tmp_path):
        flow = geometric(seed=6, grid=grid)
        whole = gd.solve(flow, method, h=0.1, steps=9)
        gd.solve(flow, method, h=0.1, steps=4).save(tmp_path / "run")
        on = gd.solve(geometric(seed=6, grid=grid), method, h=0.1, steps=9, resume=tmp_path / "run")
        assert torch.equal(on.state.y, whole.state.y)
        with pytest.raises(gd.ArgumentError, match="seed 7"):
            gd.solve(geometric(seed=7, grid=grid), method, h=0.1, steps=9, resume=tmp_path / "run")

    def test_an_ensemble_on_a_grid(self):
        flow = geometric(seed=4, grid=0.05)
        start = torch.ones(2, PATHS, dtype=DOUBLE)
        run = gd.solve_ensemble(flow, "platen", h=0.1, steps=3, y0=start)
        assert not torch.equal(run.state.y[0], run.state.y[1])
        with pytest.raises(gd.ArgumentError, match="one for all members"):
            gd.solve_ensemble(flow, "platen", h=[0.1, 0.2], steps=3, y0=start)

    def test_the_callers_generators_stand_still(self):
        before = torch.get_rng_state()
        gd.solve(geometric(), "platen", h=0.1, steps=3)
        assert torch.equal(before, torch.get_rng_state())


class TestWhoStepsIt:
    @pytest.mark.parametrize("method", [n for n in methods.names() if n not in NAMES])
    def test_methods_that_would_leave_the_noise_out_are_refused(self, method):
        assert stepper(method).stochastic is False
        with pytest.raises(gd.ArgumentError, match="a stochastic one for a flow with noise"):
            gd.solve(geometric(), method, h=0.1, steps=1)

    def test_ensembles_and_the_optimiser_likewise(self):
        with pytest.raises(gd.ArgumentError, match="stochastic"):
            gd.solve_ensemble(geometric(), "rk4", h=0.1, steps=1)
        x = torch.ones(3)
        with pytest.raises(gd.ArgumentError, match="stochastic"):
            GameOptimizer({"x": x}, "rk4", lr=0.1, flow=lambda f: flows.noisy(f, 0.1))
        optimizer = GameOptimizer({"x": x}, "euler_maruyama", lr=0.1, flow=lambda f: flows.noisy(f, 0.1))
        optimizer.step(lambda: {"x": x.square().sum()})
        assert float((x - 0.8).abs().max()) > 1e-3
        still = x.clone()
        optimizer.param_groups[0]["lr"] = 0.0
        optimizer.restart()
        optimizer.step(lambda: {"x": x.square().sum()})
        assert torch.equal(x, still)

    @pytest.mark.parametrize("method", NAMES)
    def test_without_noise_they_are_eulers(self, method):
        flow = flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
        ours, plain = (gd.solve(flow, m, h=0.1, steps=5) for m in (method, "euler"))
        assert torch.equal(ours.state.y, plain.state.y)
        quiet = gd.solve(flows.noisy(flow, {"G": 0.0}), method, h=0.1, steps=5)
        assert torch.equal(quiet.state.y, plain.state.y)

    def test_analyses_are_of_the_drift(self):
        inner = flows.gradient(gd.games.quadratic(H))
        flow = flows.noisy(inner, 0.3)
        y = inner.initial_state()
        assert torch.equal(flow.at(y).jacobian().to_dense(), inner.at(y).jacobian().to_dense())
        assert "sigma" in flow.law

    @pytest.mark.parametrize(
        "sigma", [math.nan, {"X": 1.0}, lambda t, s: 3.0, lambda t, s: {"X": 1.0}, lambda t, s: {"x": torch.ones(7)}]
    )
    def test_no_sigma(self, sigma):
        with pytest.raises(gd.GamedynError):
            gd.solve(flows.noisy(along(lambda x: -x), sigma), "platen", h=0.1, steps=1)

    def test_a_users_method(self):
        # Heun's drift with Platen's noise: weak and strong order as Platen's, the drift's order 2
        heun = methods.StochasticRungeKutta(
            A=[[], [1]], b=["1/2", "1/2"], drift=[[], [1]], noise=[[], [1]], weights=[1, 0], squares=[-1, 1]
        )
        assert (heun.order, heun.strong_order) == (2, 1)
        flow = geometric(seed=3, grid=2**-8)
        exact = ((LAM - MU**2 / 2) + MU * brownian(flow, 256)).exp()
        errors = [
            float((gd.solve(flow, heun, h=2.0**-k, t_span=(0.0, 1.0)).state.y - exact).abs().mean()) for k in (4, 7)
        ]
        assert math.log2(errors[0] / errors[1]) / 3 == pytest.approx(1.0, abs=0.12)
        for wrong in (
            {"weights": [1, 1]},
            {"squares": [1, 1]},
            {"noise": [[1], [1]]},
            {"drift": [[]]},
            {"A": [[1], [1]]},
        ):
            how = {"A": [[], [1]], "drift": [[], [1]], "noise": [[], [1]], "weights": [1, 0], "squares": [-1, 1]}
            with pytest.raises(gd.ArgumentError):
                methods.StochasticRungeKutta(b=["1/2", "1/2"], **{**how, **wrong})
