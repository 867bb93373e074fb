"""Bad input to `solve` and its results: an ArgumentError that names the argument, never an error from inside."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Adaptive, Anderson, stepper
from gamedyn.methods import Partitioned, RungeKutta, Sweep

CONTROL = Adaptive(rtol=1e-4)
HOW = [{"h": 0.1}, {"h": CONTROL}]


def flow():
    return gd.flows.gradient(gd.games.bilinear())


def refusal(call):
    with pytest.raises(gd.ArgumentError) as caught:
        call()
    assert str(caught.value).startswith(f"{caught.value.argument}: expected ")
    return caught.value


class TestTimes:
    @pytest.mark.parametrize("how", HOW, ids=["fixed", "adaptive"])
    @pytest.mark.parametrize(
        "t_span",
        [
            *(1, (1,), (0, 1, 2), (0, math.inf), (-math.inf, 0), (math.nan, 1), (0, math.nan), (None, 1), ("0", "1")),
            *("01", ("a", "b"), torch.tensor(1.0), torch.ones(2, 2), (1, 0), (1, 1)),
        ],
        ids=str,
    )
    def test_spans(self, how, t_span):
        # rejects: TypeError, OverflowError from inside; text taken for numbers; an endless adaptive solve
        assert refusal(lambda: gd.solve(flow(), "dopri5", t_span=t_span, **how)).argument == "t_span"

    @pytest.mark.parametrize("how", HOW, ids=["fixed", "adaptive"])
    @pytest.mark.parametrize(
        "save_at",
        [0.1, None, "0.1", ["a"], [None], [math.nan], [math.inf], [[0.1]], torch.tensor(0.1), torch.ones(1, 2)],
        ids=str,
    )
    def test_times_to_save_at(self, how, save_at):
        error = refusal(lambda: gd.solve(flow(), "dopri5", t_span=(0, 1), save_at=save_at, **how))
        assert error.argument == "save_at"
        assert "save_at=[t]" in error.remedy

    @pytest.mark.parametrize("how", HOW, ids=["fixed", "adaptive"])
    @pytest.mark.parametrize("kind", [list, tuple, iter, np.array, lambda x: torch.tensor(x, dtype=torch.float64)])
    def test_sequences_of_any_kind_are_taken(self, how, kind):
        # rejects: a tensor's entries rounded by Python
        run = gd.solve(flow(), "dopri5", t_span=kind([0.0, 1.0]), save_at=kind([0.5, 1.0]), **how)
        assert list(run.saved) == [0.5, 1.0]
        assert torch.equal(run.saved[1.0].y, run.state.y)


class TestDenseOutput:
    @pytest.mark.parametrize(
        "when",
        [[0.1, 0.2], (0.5,), torch.tensor([0.1, 0.2]), np.array([0.1, 0.2]), None, "0.5", 1j, math.nan, 2.0, -0.1],
        ids=str,
    )
    def test_takes_one_time(self, when):
        run = gd.solve(flow(), "dopri5", t_span=(0.0, 1.0), h=CONTROL, dense=True)
        error = refusal(lambda: run.dense(when))
        assert (error.argument, error.expected) == ("when", "a time from 0 to 1")

    def test_of_any_type(self):
        run = gd.solve(flow(), "dopri5", t_span=(0.0, 1.0), h=CONTROL, dense=True)
        for when in (torch.tensor(0.5), np.float64(0.5), torch.tensor([0.5])):
            assert torch.equal(run.dense(when), run.dense(0.5))


class TestWeights:
    """As data such tableaus are what they are (order 0); no stepper takes them."""

    @pytest.mark.parametrize("A", [[[], [1]], [[], ["1/2", "1/2"]]], ids=["explicit", "implicit"])
    @pytest.mark.parametrize(
        ("b", "b_hat", "said"),
        [
            (["1/2", "1/4"], None, r"weights b that add up to 1, .*sum is 0\.75, off by -0\.25"),
            (["1/2", "1/2"], ["1/2", "1/4"], r"weights b_hat that add up to 1, .*sum is 0\.75, off by -0\.25"),
            (["1/2", "1/2"], ["1/2", "1/2"], "b_hat that differ from b, .*always 0; leave b_hat out"),
        ],
        ids=["b", "b_hat", "equal"],
    )
    @pytest.mark.parametrize("how", [{"h": 0.1, "steps": 1}, {"t_span": (0, 1), "h": CONTROL}])
    def test_runge_kutta(self, A, b, b_hat, said, how):
        # rejects: implicit steps of 3/4 h; an error estimate with a term of order h, or of 0: every step accepted
        method = RungeKutta(A, b, b_hat)
        with pytest.raises(gd.ArgumentError, match=f"method: expected .*{said}"):
            gd.solve(flow(), method, **how)

    @pytest.mark.parametrize(
        ("b", "b_hat", "said"),
        [
            (["1/2", "1/4"], None, r"weights b that add up to 1, .*off by -0\.25"),
            (["1/2", "1/2"], [1, "1/4"], r"weights b_hat that add up to 1, .*off by 0\.25"),
            (["1/2", "1/2"], ["1/2", "1/2"], "b_hat that differ from b"),
        ],
    )
    def test_low_storage(self, b, b_hat, said):
        # rejects: programs that are run without a look at what they add up to
        with pytest.raises(gd.ArgumentError, match=said):
            stepper(gd.methods.two_r([1], b, b_hat))

    def test_another_clock_is_consistent(self):
        # rejects: 1 in place of the method's time_scale
        assert stepper(gd.methods.lookahead(gd.methods.get("gauss4"), 2, "1/2")).method.time_scale == 1
        assert stepper(gd.methods.get("lookahead5")).method.time_scale == 2.5

    def test_rounded_weights_say_so(self):
        third = RungeKutta([[], ["1/2"], [0, "3/4"]], ["0.2222", "0.3333", "0.4444"])
        with pytest.raises(gd.ArgumentError, match=r"off by -0\.0001; .*digits="):
            stepper(third)
        stepper(RungeKutta(third.A, third.b, digits=5))  # conditions are then met to 10^-3

    def test_sub_steps(self):
        # rejects: moves of 3/4, or of 5/2, of a player's length
        for substep in (RungeKutta([[], [1]], ["1/2", "1/4"]), gd.methods.get("lookahead5")):
            with pytest.raises(gd.ArgumentError, match="substep: expected a method whose weights add up to 1"):
                Partitioned([Sweep()], substep)


class TestPlayers:
    def test_cycles_that_leave_players_out(self):
        error = refusal(lambda: gd.solve(flow(), gd.methods.alternating(cycles={"D": 5}), h=0.1, steps=1))
        assert (error.argument, error.expected) == ("cycles", "a count for every player: x, y")
        assert "missing: x, y" in error.remedy
        error = refusal(lambda: gd.solve(flow(), gd.methods.alternating(cycles={"x": 5}), h=0.1, steps=1))
        assert "missing: y;" in error.remedy

    def test_an_order_of_play_that_leaves_players_out(self):
        error = refusal(lambda: gd.solve(flow(), gd.methods.alternating(("y",)), h=0.1, steps=1))
        assert error.remedy == "missing: x"

    def test_cycles_of_the_moments(self):
        # the moments are players of Adam's game, and have to be counted too
        adam = gd.flows.adam(flow(), a1=5.0, a2=1.0)
        error = refusal(lambda: gd.solve(adam, gd.methods.alternating(cycles={"x": 5, "y": 1}), h=0.1, steps=1))
        assert error.argument == "cycles"
        assert "missing: m:x, m:y, s:x, s:y" in error.remedy
        every = {**dict.fromkeys(adam.game.players, 1), "x": 5}
        assert gd.solve(adam, gd.methods.alternating(cycles=every), h=0.1, steps=1).status == "done"


class TestFieldsWithoutADerivative:
    @pytest.fixture
    def adam(self):
        return gd.flows.adam(flow(), a1=5.0, a2=1.0)

    @pytest.mark.parametrize(
        "method", ["implicit_euler", "gauss4", "bdf2", "rosenbrock_euler", "exprb32", "cgd", "lead"]
    )
    def test_methods_that_need_it(self, adam, method):
        # rejects: a SolveError that blames the step
        error = refusal(lambda: gd.solve(adam, method, h=0.01, steps=3))
        assert error.argument == "flow"
        assert error.got == "the velocity of x, y, whose derivative is not finite there"

    @pytest.mark.parametrize("method", ["implicit_euler", "gauss4", "rosenbrock_euler", "exprb32", "cgd"])
    def test_what_it_advises(self, adam, method):
        begun = gd.solve(adam, "rk4", h=0.01, steps=3)
        assert gd.solve(adam, method, h=0.01, steps=6, resume=begun, allow=["method"]).status == "done"
        assert gd.solve(adam, method, h=0.01, steps=3, y0=begun.state).status == "done"

    def test_a_solver_that_needs_none(self, adam):
        assert gd.solve(adam, "gauss4", h=0.01, steps=3, solver=Anderson()).status == "done"

    def test_a_field_that_is_not_finite_itself_is_a_failure_of_the_solve(self):
        # rejects: a derivative blamed for losses that are nan
        broken = gd.flows.custom(lambda t, s, _: {"x": s["x"] * math.nan, "y": s["y"]}, like=gd.games.bilinear())
        with pytest.raises(gd.SolveError, match="not finite at the start"):
            gd.solve(broken, "implicit_euler", h=0.1, steps=1)
