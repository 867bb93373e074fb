"""Step sizes, schedules of rates and weights, budgets: what the loop asks, and what it records."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn import steps

DOUBLE = torch.float64


def flow():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))


class TestSchedules:
    def test_a_run_is_that_of_its_steps_one_after_the_other(self):
        # rejects: the next step's size, a time that is the number of steps times the first size
        sizes = steps.cosine(0.2, 6, end=0.1)
        run = gd.solve(flow(), "rk4", h=sizes, steps=8)
        y, t = flow().initial_state(), 0.0
        for n in range(8):
            h = sizes.size(n, t)
            y, t = gd.solve(flow(), "rk4", h=h, steps=1, y0=y).state, t + h
        assert torch.equal(run.state.y, y.y)
        assert run.t == pytest.approx(t, abs=1e-15)
        assert run.records.figures["h"].tolist() == [sizes.size(n, 0.0) for n in range(8)]

    @given(st.integers(1, 50), st.floats(0.01, 1.0), st.floats(0.01, 2.0))
    def test_ends_of_the_shapes(self, n, share, h):
        up, down = steps.warmup(h, n, start=share), steps.cosine(h, n, end=share)
        for shape, first, last in ((up, share * h, h), (down, h, share * h)):
            assert shape.size(0, 0.0) == pytest.approx(first, rel=1e-12)
            assert shape.size(n, 0.0) == shape.size(n + 7, 0.0) == pytest.approx(last, rel=1e-12)
            sizes = [shape.size(k, 0.0) for k in range(n + 1)]
            assert sizes in (sorted(sizes), sorted(sizes, reverse=True))

    def test_a_schedule_meets_the_end_of_a_span_to_the_bit(self):
        # rejects: a whole last step, an end that is off by rounding
        for h in (steps.warmup(0.1, 5), lambda n: 0.07, steps.piecewise({0: 0.3, 2: 0.01})):
            run = gd.solve(flow(), "rk4", h=h, t_span=(0.3, 1.1))
            assert run.t == 1.1
            assert float(run.records.t[-1] + run.records.figures["h"][-1]) == pytest.approx(1.1, abs=1e-15)

    def test_multistep_methods_refuse_steps_that_change(self):
        for h in (steps.warmup(0.1, 3), lambda n: 0.1):
            with pytest.raises(gd.ArgumentError, match="steps must be equal"):
                gd.solve(flow(), "bdf2", h=h, steps=3)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: steps.warmup(0.1, 0),
            lambda: steps.warmup(-0.1, 3),
            lambda: steps.warmup(0.1, 3, start=0.0),
            lambda: steps.cosine(0.1, 3, end=1.5),
            lambda: steps.piecewise({1: 0.1}),
            lambda: steps.piecewise({0: 0.0}),
            lambda: steps.piecewise([0.1]),
            lambda: steps.Schedule(0.1),
            lambda: gd.solve(flow(), "rk4", h=None, steps=1),
            lambda: gd.solve(flow(), "rk4", h="0.1", steps=1),
        ],
    )
    def test_bad_arguments(self, make):
        with pytest.raises(gd.ArgumentError):
            make()

    def test_one_of_your_own_is_saved_and_goes_on(self, tmp_path):
        class Halving(steps.StepSize):
            """Halves the step each time the state has grown."""

            def __init__(self):
                self.h, self.before = 0.2, math.inf

            def size(self, step, t):
                return self.h

            def after_step(self, view):
                now = float(view.state.y.norm())
                self.h, self.before = self.h / (2 if now > self.before else 1), now

            def state_dict(self):
                return {"h": self.h, "before": self.before}

            def load_state_dict(self, state):
                self.h, self.before = state["h"], state["before"]

        whole = gd.solve(flow(), "euler", h=Halving(), steps=40)
        gd.solve(flow(), "euler", h=Halving(), steps=17).save(tmp_path / "run")
        on = gd.solve(flow(), "euler", h=Halving(), steps=40, resume=tmp_path / "run", allow=["h"])
        assert len(set(whole.records.figures["h"].tolist())) > 1
        assert torch.equal(on.state.y, whole.state.y)


class TestBudgets:
    def test_evaluations(self):
        run = gd.solve(flow(), "rk4", h=0.1, evaluations=42)
        assert (run.step, run.stats["evaluations"]) == (11, 44)
        on = gd.solve(flow(), "rk4", h=0.1, evaluations=84, resume=run)
        assert on.stats["evaluations"] == 84

    def test_images(self):
        data = torch.linspace(0.5, 1.5, 12, dtype=DOUBLE)[:, None]
        game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
        inner = game.losses
        game.losses = lambda theta, psi, batch: inner(theta * batch.mean(), psi)
        seen = []
        run = gd.solve(
            gd.flows.gradient(game),
            "rk4",
            h=0.1,
            images=50,
            batches=gd.batches(data, batch_size=4),
            observers=[lambda v: seen.append(v.images)],
        )
        assert (run.step, run.stats["images"]) == (13, 52)
        assert seen == [4 * n for n in range(1, 14)]

    def test_start_up_is_counted_and_said(self):
        # ab3 begins with two steps of order 3 and three stages; rejects: the starting rule's work left out
        for name, startup in (("rk4", 0), ("ab3", 6), ("optimistic", 1)):
            run = gd.solve(flow(), name, h=0.1, steps=5)
            assert run.stats["startup_evaluations"] == startup, name
        assert gd.solve(flow(), "ab3", h=0.1, steps=5).stats["evaluations"] == 6 + 3
        on = gd.solve(flow(), "ab3", h=0.1, steps=9, resume=gd.solve(flow(), "ab3", h=0.1, steps=5))
        assert on.stats["startup_evaluations"] == 6

    def test_the_methods_clock_is_integrated_time(self):
        # heavy ball's clock is 1 / (1 - beta), lookahead's alpha k; rejects: h n for all
        for name in ("heavy_ball", "lookahead5", "rk4"):
            run = gd.solve(flow(), name, h=0.01, steps=20)
            scale = float(gd.methods.get(name).time_scale)
            assert run.stats["integrated_time"] == pytest.approx(0.2 * scale, rel=1e-12)

    def test_exactly_one(self):
        for limits in ({}, {"steps": 3, "images": 4}, {"evaluations": 3, "t_span": (0.0, 1.0)}):
            with pytest.raises(gd.ArgumentError, match="one of them"):
                gd.solve(flow(), "rk4", h=0.1, **limits)


class TestTime:
    """Times within steps, and late starts."""

    PAIRS = ("heun2", "bosh3", "merson43", "dopri5", "tsit5", "dop853", "rdpk35", "kvaerno3", "rodas3", "exprb32")

    def turning(self):
        return gd.flows.gradient(gd.games.rotation(2))

    @pytest.mark.parametrize("name", PAIRS)
    def test_saved_states_have_the_error_of_the_solve(self, name):
        # rejects: interpolation of order 3, 10^2 to 10^8 times the error of the solve
        pairs = []
        for rtol in (1e-4, 1e-8) if name != "heun2" else (1e-3, 1e-5):
            times = [0.137 * k for k in range(1, 15)]
            how = {"h": steps.Adaptive(rtol=rtol, atol=rtol), "t_span": (0.0, 2.0)}
            if not gd.methods.get(name).explicit:
                how["solver"] = (
                    gd.integrators.Krylov(rtol=1e-12)
                    if gd.methods.get(name).kind in ("linearly implicit", "exponential")
                    else gd.integrators.NewtonKrylov(rtol=1e-12)
                )
            run = gd.solve(self.turning(), name, save_at=times, **how)
            exact = gd.solve(self.turning(), "dop853", h=2.0 / 400, t_span=(0.0, 2.0), save_at=times)
            at_ends = float((run.state.y - exact.state.y).norm())
            within = max(float((run.saved[t].y - exact.saved[t].y).norm()) for t in times)
            assert within <= 3 * at_ends + 3 * rtol
            pairs.append(within)
        assert pairs[1] < pairs[0]

    @pytest.mark.parametrize("start", [1e6, 1e9, 1e12, 1e14])
    def test_a_late_start_integrates_the_length_it_reports(self, start):
        # rejects: t + h rounded while y is advanced by h: 2.4e-4 too much at 1e12
        one = gd.flows.custom(lambda t, s, b: {"x": torch.ones_like(s["x"])}, like=self.one_player())
        run = gd.solve(one, "dopri5", h=steps.Adaptive(rtol=1e-6), t_span=(start, start + 1.0))
        assert run.t == start + 1.0
        assert float(run.state.y[0]) == pytest.approx(1.0, abs=1e-9)

    def one_player(self):
        return gd.Game({"x": torch.zeros(1, dtype=DOUBLE)}, lambda x: {"x": (x * x).sum()})

    def test_the_shortest_step_is_relative_to_the_time(self):
        # rejects: an absolute 1e-12, below the spacing of numbers at 1e9 and far above what 1e-20 needs
        control = steps.Adaptive(rtol=1e-6)
        assert control.shortest(1e9) == math.ulp(1e9) > 1e-7
        assert control.shortest(0.0) < 1e-290
        assert steps.Adaptive(rtol=1e-6, h_min=1e-30).shortest(1.0) == math.ulp(1.0)  # one that does not move t
        fast = gd.flows.custom(
            lambda t, s, b: {"x": -1e15 * s["x"]},
            like=gd.Game({"x": torch.ones(1, dtype=DOUBLE)}, lambda x: {"x": (x * x).sum()}),
        )
        run = gd.solve(fast, "dopri5", h=steps.Adaptive(rtol=1e-6, atol=1e-9), t_span=(0.0, 1e-14))
        assert float(run.state.y[0]) == pytest.approx(math.exp(-10), rel=1e-3)

    @pytest.mark.parametrize(("ours", "theirs"), [("dop853", "DOP853"), ("dopri5", "RK45"), ("bosh3", "RK23")])
    @pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
    def test_no_more_evaluations_than_scipy(self, ours, theirs, tol):
        # van der Pol; rejects: the estimate of order 5 alone for dop853, up to 2.5 times SciPy's evaluations
        rhs = lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]]  # noqa: E731
        start = {"x": torch.tensor([2.0, 0.0], dtype=DOUBLE)}
        game = gd.Game(start, lambda x: {"x": (x * x).sum()})
        oscillator = gd.flows.custom(lambda t, s, b: {"x": torch.stack(rhs(t, s["x"]))}, like=game)
        control = steps.Adaptive(rtol=tol, atol=tol, filter="I", norm="rms")
        run = gd.solve(oscillator, ours, h=control, t_span=(0.0, 10.0))
        peer = solve_ivp(rhs, (0.0, 10.0), [2.0, 0.0], theirs, rtol=tol, atol=tol)
        assert 0.85 <= run.stats["evaluations"] / peer.nfev <= 1.05
        exact = solve_ivp(rhs, (0.0, 10.0), [2.0, 0.0], "DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
        ours_off, theirs_off = (abs(y - exact).max() for y in (run.state.y.numpy(), peer.y[:, -1]))
        assert ours_off <= 12 * theirs_off


def test_the_two_part_estimate():
    # dop853's second weights are of order 3, and e5^2 / e3 falls like h^8; rejects: weights with a wrong digit
    method = gd.methods.get("dop853")
    assert (method.order, method.embedded_order, method.estimate_order) == (8, 5, 8)
    assert gd.methods.get("dopri5").estimate_order == 5
    wrong = [w * 2 if i == 0 else w for i, w in enumerate(method.b_low)]
    mutant = gd.methods.RungeKutta(method.A, method.b, method.b_hat, b_low=wrong, digits=28)
    assert mutant.estimate_order != 8
    with pytest.raises(gd.ArgumentError, match="b_low"):
        gd.methods.RungeKutta([[], [1]], ["1/2", "1/2"], b_low=[1, 0])
