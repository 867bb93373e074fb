"""Bad input to the families: every refusal names the argument, what was expected, what came, and a way out."""

from __future__ import annotations

import contextlib
import inspect

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Adaptive, Anderson, Krylov, NewtonKrylov, stepper
from gamedyn.methods import (
    AdditiveRungeKutta,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Partitioned,
    PredictorCorrector,
    RungeKutta,
)

OWN = dict(gd.methods.members())


def flow():
    return gd.flows.gradient(gd.games.bilinear())


class TestInconsistentCoefficients:
    """Residuals are shown: the reader sees which sum is off, and by how much."""

    def test_runge_kutta(self):
        with pytest.raises(gd.ArgumentError, match=r"add up to 1.*0\.75"):
            gd.solve(flow(), RungeKutta(A=[[], [1]], b=["1/2", "1/4"]), h=0.1, steps=1)

    @pytest.mark.parametrize(
        ("alpha", "beta"),
        [([-1, 1], ["1/2", "1/4"]), ([-2, 1], [1, 0]), ([0, -1, 1], ["-1/2", 1, 0])],
    )
    def test_multistep(self, alpha, beta):
        with pytest.raises(gd.ArgumentError, match=r"rho\(1\) = .*sigma\(1\) = .*rho'\(1\) = "):
            LinearMultistep(alpha, beta)

    def test_a_clock_that_is_not_declared(self):
        # heavy ball without its time scale; rejects: a rescaled clock taken for order 1
        with pytest.raises(gd.ArgumentError, match="time_scale"):
            LinearMultistep(alpha=["9/10", "-19/10", 1], beta=[0, 1, 0], start="rest")

    def test_additive(self):
        with pytest.raises(gd.ArgumentError, match=r"off by.*rest: -0\.5"):
            AdditiveRungeKutta({"game": ([[]], [1]), "rest": ([[]], ["1/2"])})

    def test_linearly_implicit(self):
        with pytest.raises(gd.ArgumentError, match=r"add up to 1.*0\.9"):
            LinearlyImplicit([[]], [[1]], ["9/10"])

    def test_partitioned(self):
        with pytest.raises(gd.ArgumentError, match=r"add up to 1.*3/4"):
            Partitioned([gd.methods.Sweep("1/4"), gd.methods.Sweep("1/2")])


class TestImpossibleData:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: RungeKutta(A=[[], [1]], b=[1]),
            lambda: RungeKutta(A=[[]], b=[]),
            lambda: RungeKutta(A=[["one"]], b=[1]),
            lambda: RungeKutta(A=[[float("nan")]], b=[1]),
            lambda: LinearMultistep(alpha=[-1, 0], beta=[1, 0]),
            lambda: LinearMultistep(alpha=[-1, 1], beta=[1]),
            lambda: LinearMultistep(alpha=[1], beta=[1]),
            lambda: LinearMultistep(alpha=[-1, 1], beta=[1, 0], start="zero"),
            lambda: LinearMultistep(alpha=["1/2", "-3/2", 1], beta=[0, "1/2", 0], coupling=[1, 1]),
            lambda: PredictorCorrector(OWN["am3"], OWN["am3"]),
            lambda: PredictorCorrector(OWN["ab2"], OWN["ab2"]),
            lambda: PredictorCorrector(OWN["ab2"], OWN["am3"], 0),
            lambda: PredictorCorrector(OWN["heavy_ball"], OWN["am3"]),
            lambda: LinearlyImplicit([[], [0, 1]], [[1], [0, 1]], ["1/2", "1/2"]),
            lambda: LinearlyImplicit([[], [1]], [[1, 1], [0, 1]], ["1/2", "1/2"]),
            lambda: LinearlyImplicit([[]], [[1]], [1], part="diagonal"),
            lambda: LinearlyImplicit([[]], [[1]], [1], b_hat=[1, 0]),
            lambda: AdditiveRungeKutta({"game": ([[1]], [1])}),
            lambda: gd.methods.heavy_ball(1),
            lambda: gd.methods.complex_momentum("1/2", "1/8"),
            lambda: gd.methods.lead(-1, 1),
            lambda: gd.methods.theta(1.5),
            lambda: gd.methods.adams_bashforth(7),
            lambda: gd.methods.bdf(7),
            lambda: gd.methods.adams_moulton(0),
            lambda: gd.methods.explicit_bdf("2"),
            lambda: gd.methods.nested_imaginary(4),
            lambda: gd.methods.two_n([0, 1], [1]),
            lambda: gd.methods.two_n([1, 1], [1, 1]),
            lambda: gd.methods.double_step_extragradient(1, 0),
            lambda: gd.methods.penalty_placed(OWN["gauss4"], "after_step"),
            lambda: gd.methods.penalty_placed(OWN["rk4"], "last_stage"),
            lambda: gd.methods.penalty_placed(OWN["midpoint"], "first_stage"),
            lambda: ExponentialRosenbrock(c=[2], b=[{3: 2}]),
        ],
    )
    def test_is_refused_when_it_is_made(self, make):
        with pytest.raises(gd.ArgumentError) as caught:
            make()
        assert "expected" in str(caught.value)
        assert "got" in str(caught.value)


class TestOptions:
    @pytest.mark.parametrize("method", ["rk4", "ck54", "ab3", "alternating", "pece_ab2_am2", "lookahead5", "lead"])
    def test_a_solver_for_a_method_that_solves_nothing(self, method):
        with pytest.raises(gd.ArgumentError, match="solver"):
            stepper(method, solver=NewtonKrylov())

    @pytest.mark.parametrize("method", ["implicit_euler", "gauss4", "bdf2", "am4"])
    def test_a_linear_solver_for_nonlinear_equations(self, method):
        # rejects: an AttributeError in the first step
        with pytest.raises(gd.ArgumentError, match="solver"):
            gd.solve(flow(), method, h=0.1, steps=3, solver=Krylov())

    @pytest.mark.parametrize("method", ["rosenbrock_euler", "cgd", "exprb32"])
    @pytest.mark.parametrize("solver", [NewtonKrylov(), Anderson()])
    def test_a_nonlinear_solver_for_linear_equations(self, method, solver):
        with pytest.raises(gd.ArgumentError, match="solver"):
            gd.solve(flow(), method, h=0.1, steps=3, solver=solver)

    @pytest.mark.parametrize("method", ["implicit_euler", "rosenbrock_euler", "bdf2"])
    @pytest.mark.parametrize("solver", ["newton", 1e-8, NewtonKrylov])
    def test_no_solver_at_all(self, method, solver):
        with pytest.raises(gd.ArgumentError, match="solver"):
            gd.solve(flow(), method, h=0.1, steps=3, solver=solver)

    def test_says_who_takes_the_option(self):
        with pytest.raises(gd.ArgumentError, match="MultistepStepper"):
            stepper("rk4", history="refresh")

    def test_an_unknown_option(self):
        with pytest.raises(gd.ArgumentError, match="tolerance"):
            stepper("implicit_euler", tolerance=1e-8)

    @pytest.mark.parametrize("method", [n for n, m in OWN.items() if not m.explicit])
    def test_a_fresh_batch_for_each_evaluation_of_an_equation(self, method):
        # rejects: a solver that chases noise
        with pytest.raises(gd.ArgumentError, match="sampling"):
            gd.solve(flow(), method, h=0.1, steps=3, sampling="fresh")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "near"),
        [("dopri", "dopri5"), ("radau_iia", "radau_iia3"), ("heavyball", "heavy_ball"), ("strange", "strang")],
    )
    def test_the_nearest_are_offered(self, name, near):
        with pytest.raises(gd.UnknownNameError, match=near):
            gd.solve(flow(), name, h=0.1, steps=1)

    def test_every_alias_finds_its_member_and_no_two_share_one(self):
        seen = {}
        for name, method in OWN.items():
            for alias in (name, *method.aliases):
                assert alias not in seen, (alias, name, seen.get(alias))
                seen[alias] = name
                assert gd.methods.get(alias) is method

    def test_finding_the_members_hides_no_function(self):
        # rejects: a module that is imported late and takes a function's name in the package
        gd.methods.names()
        for name in gd.methods.__all__:
            assert not inspect.ismodule(getattr(gd.methods, name)), name


class TestGamesThatDoNotFit:
    def test_a_method_for_other_players(self):
        with pytest.raises(gd.UnknownNameError, match="player"):
            gd.solve(flow(), gd.methods.alternating(("G", "D")), h=0.1, steps=1)

    def test_more_players_than_the_order_of_play(self):
        with pytest.raises(gd.ArgumentError, match="2 players"):
            gd.solve(gd.flows.gradient(gd.games.rotation(3)), gd.methods.alternating((1, 0)), h=0.1, steps=1)

    def test_lengths_for_two_in_a_game_of_three(self):
        sweeps = [gd.methods.Sweep(("1/2", 1)), gd.methods.Sweep(("1/2", 0), backward=True)]
        with pytest.raises(gd.ArgumentError, match="2 players"):
            gd.solve(gd.flows.gradient(gd.games.rotation(3)), Partitioned(sweeps), h=0.1, steps=1)


@pytest.mark.parametrize("h", [0.0, -0.1, float("nan"), float("inf"), "small", None])
@pytest.mark.parametrize("method", ["implicit_euler", "bdf2", "cgd", "exprb32", "ck54", "strang", "pece_ab2_am2"])
def test_steps_that_are_no_steps(method, h):
    with pytest.raises(gd.ArgumentError, match="h:"):
        gd.solve(flow(), method, h=h, steps=3)


def test_a_step_function_that_gives_nonsense():
    with pytest.raises(gd.ArgumentError, match=r"h\(2\)"):
        gd.solve(flow(), "gauss4", h=[0.1, 0.1, -0.1].__getitem__, steps=3)


def test_adaptive_options_without_adaptive_steps():
    with pytest.raises(gd.ArgumentError, match="dense"):
        gd.solve(flow(), "ab3", h=0.1, steps=3, dense=True)
    with pytest.raises(gd.ArgumentError, match=r"h: .*Adaptive\(rtol"):
        gd.solve(flow(), "dopri5", t_span=(0.0, 1.0))
    with pytest.raises(gd.ArgumentError, match="Adaptive"):
        gd.solve(flow(), "dopri5", t_span=(0.0, 1.0), h={"rtol": 1e-3})


def test_a_run_of_a_low_storage_method_goes_on_with_its_own_kind_only():
    # one-step methods without memory may change; a memory is another method's
    part = gd.solve(flow(), "ck54", h=0.1, steps=3)
    with pytest.raises(gd.ArgumentError, match="allow=\\['method'\\]"):
        gd.solve(flow(), "rk4", h=0.1, steps=5, resume=part)
    assert gd.solve(flow(), "rk4", h=0.1, steps=5, resume=part, allow=["method"]).step == 5
    part = gd.solve(flow(), "bdf3", h=0.1, steps=4)
    with pytest.raises(gd.ArgumentError, match="same method"):
        gd.solve(flow(), "am4", h=0.1, steps=6, resume=part, allow=["method"])


def test_adaptive_runs_and_fixed_ones_do_not_share_memories():
    control = Adaptive(rtol=1e-4)
    part = gd.solve(flow(), "dopri5", t_span=(0.0, 1.0), h=control)
    other = gd.solve(flow(), "bosh3", t_span=(0.0, 1.0), h=control)
    assert torch.isfinite(other.state.y).all()
    with pytest.raises(gd.ArgumentError, match="same method"):
        gd.solve(flow(), "bosh3", t_span=(0.0, 2.0), h=control, resume=part, allow=["method"])
    fixed = gd.solve(flow(), "dopri5", h=0.1, steps=10)
    with contextlib.suppress(gd.ArgumentError):  # refused, or gone on from: never a KeyError
        assert gd.solve(flow(), "dopri5", t_span=(0.0, 2.0), h=control, resume=fixed, allow=["h"]).t == 2.0
