"""The bridge to torchdiffeq: bit-equal to it over the whole grid, its traps guarded (methods.md)."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.rk_common import RKAdaptiveStepsizeODESolver as AdaptiveSolver
from torchdiffeq._impl.solvers import FixedGridODESolver

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.jacobian import FrozenField

DOUBLE = torch.float64
H, N = 1 / 32, 64  # a power of two: torchdiffeq's differences of grid points are then exactly h
FIXED = [f"torchdiffeq:{name}" for name, solver in SOLVERS.items() if issubclass(solver, FixedGridODESolver)]
PLAIN = sorted(m for m in FIXED if "adams" not in m)
ADAMS = sorted(m for m in FIXED if "adams" in m)
ADAPTIVE = sorted(f"torchdiffeq:{n}" for n, solver in SOLVERS.items() if issubclass(solver, AdaptiveSolver))


def forced():
    """A time-dependent, nonlinear field on the players x and y; and the same for torchdiffeq."""
    calls = [0]

    def fn(t, s, _):
        calls[0] += 1
        t = torch.as_tensor(t, dtype=DOUBLE)
        return {"x": torch.cos(t) - s["x"] * s["y"], "y": s["x"] * torch.cos(t) - 0.5 * s["y"]}

    def rhs(t, y):
        return torch.cat(list(fn(t, {"x": y[:1], "y": y[1:]}, None).values()))

    return gd.flows.custom(fn, like=gd.games.bilinear()), rhs, calls


def grid_of(run):
    return torch.stack([run.saved[t].y for t in sorted(run.saved)])


def ours(flow, method):
    return grid_of(gd.solve(flow, method, h=H, steps=N, save_at=[n * H for n in range(N + 1)]))


def theirs(rhs, method, **options):
    return odeint(
        rhs, torch.ones(2, dtype=DOUBLE), torch.arange(N + 1, dtype=DOUBLE) * H, method=method, options=options or None
    )


def test_methods_are_read_off_the_installed_version():
    # rejects: a hard-coded list; a kind of method left out
    assert {m.removeprefix("torchdiffeq:") for m in gd.integrators.torchdiffeq_methods()} == set(SOLVERS)
    assert {*FIXED, *ADAPTIVE, "torchdiffeq:scipy_solver"} == set(gd.integrators.torchdiffeq_methods())
    assert {"torchdiffeq:euler", "torchdiffeq:rk4", "torchdiffeq:explicit_adams"} <= set(FIXED)
    assert {"torchdiffeq:dopri5", "torchdiffeq:bosh3"} <= set(ADAPTIVE)


@pytest.mark.parametrize("method", PLAIN)
def test_fixed_grid_methods_are_bit_equal(method):
    # rejects: another tableau, time in float32, a stage at another time
    flow, rhs, _ = forced()
    assert torch.equal(ours(flow, method), theirs(rhs, method.removeprefix("torchdiffeq:")))


@pytest.mark.parametrize("order", [3, 4, 5, 8])
def test_explicit_adams_is_bit_equal_with_its_history(order):
    # rejects: a solver made anew each step (that is rk4), max_order off by one
    flow, rhs, _ = forced()
    method = gd.methods.get("torchdiffeq:explicit_adams", order=order)
    assert torch.equal(ours(flow, method), theirs(rhs, "explicit_adams", max_order=order + 1))
    assert not torch.equal(ours(flow, method), theirs(rhs, "rk4"))


@pytest.mark.parametrize("order", [4, 6])
def test_implicit_adams_is_bit_equal(order):
    flow, rhs, _ = forced()
    method = gd.methods.get("torchdiffeq:implicit_adams", order=order, max_iters=30)
    reference = theirs(rhs, "implicit_adams", max_order=order, max_iters=30)
    assert torch.equal(ours(flow, method), reference)


@pytest.mark.parametrize("method", PLAIN)
def test_bit_equal_on_a_gan(method, generator):
    game = gd.games.gan(
        gd.games.mlp((2, 4, 2), generator=generator, dtype=DOUBLE),
        gd.games.mlp((2, 4, 1), generator=generator, dtype=DOUBLE),
    )
    batch = tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
    flow = gd.flows.gradient(game)
    field = flow.field(batch)
    end = odeint(
        lambda t, y: field(float(t), y),
        game.state().y,
        torch.arange(9, dtype=DOUBLE) * H,
        method=method.removeprefix("torchdiffeq:"),
    )[-1]
    assert torch.equal(gd.solve(flow, method, h=H, steps=8, batch=batch).state.y, end)


def test_our_rk4_38_is_what_torchdiffeq_calls_rk4():
    flow, _, _ = forced()
    torch.testing.assert_close(ours(flow, "rk4_38"), ours(flow, "torchdiffeq:rk4"), rtol=0, atol=1e-13)
    assert float((ours(flow, "rk4") - ours(flow, "torchdiffeq:rk4")).abs().max()) > 1e-10


def test_explicit_adams_keeps_one_solver_alive_over_changing_batches():
    # usage.md section 2: odeint called once per step is rk4 with 800 evaluations; one living solver takes 206
    game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
    inner, calls = game.losses, [0]

    def losses(theta, psi, batch):
        calls[0] += 1
        return inner(theta * batch, psi)

    game.losses = losses
    counts = {}
    for method in ("torchdiffeq:explicit_adams", "torchdiffeq:rk4"):
        calls[0] = 0
        scales = iter(torch.linspace(0.9, 1.1, 201, dtype=DOUBLE))
        run = gd.solve(gd.flows.gradient(game), method, h=0.02, steps=200, batches=scales)
        counts[method] = run.stats["evaluations"]
        assert calls[0] == run.stats["evaluations"] + 3
    assert counts == {"torchdiffeq:explicit_adams": 206, "torchdiffeq:rk4": 800}


def test_the_default_order_of_adams_is_stable():
    # methods.md: torchdiffeq's own default ramps up to AB11 and ends at 5e59 on y' = -y, h = 0.02, 400 steps
    flow = gd.flows.custom(lambda t, s, _: {k: -v for k, v in s.items()}, like=gd.games.bilinear())
    run = gd.solve(flow, "torchdiffeq:explicit_adams", h=0.02, steps=400)
    torch.testing.assert_close(run.state.y, torch.full((2,), math.exp(-8), dtype=DOUBLE), rtol=1e-6, atol=0)
    grid = torch.arange(401, dtype=DOUBLE) * 0.02
    trap = odeint(lambda t, y: -y, torch.ones(1, dtype=DOUBLE), grid, method="explicit_adams")[-1]
    assert float(trap.abs()) > 1e50
    eleven = gd.methods.get("torchdiffeq:explicit_adams", order=11)
    assert float(gd.solve(flow, eleven, h=0.02, steps=400).state.y.abs().max()) > 1e50  # asked for: given


@pytest.mark.parametrize(
    ("method", "order"),
    [("euler", 1), ("midpoint", 2), ("heun2", 2), ("heun3", 3), ("rk4", 4), ("explicit_adams", 4)],
)
def test_observed_order(method, order):
    # rejects: explicit_adams restarting (order 4 still, but see the count) or ending at another order
    if method not in SOLVERS:
        pytest.skip("not in the installed torchdiffeq")
    flow, rhs, _ = forced()
    exact = odeint(rhs, torch.ones(2, dtype=DOUBLE), torch.tensor([0.0, 2.0], dtype=DOUBLE), rtol=1e-12, atol=1e-13)[-1]
    errors = []
    for n in (100, 200):
        run = gd.solve(flow, f"torchdiffeq:{method}", h=2 / n, steps=n)
        errors.append(float((run.state.y - exact).norm()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_a_corrector_that_does_not_converge_is_a_status():
    # torchdiffeq only warns, and returns the value all the same
    flow = gd.flows.gradient(gd.games.quadratic([[40.0, 3.0], [-3.0, 40.0]]))
    method = gd.methods.get("torchdiffeq:implicit_adams", max_iters=2)
    with pytest.raises(gd.SolveError, match="did not converge") as caught:
        gd.solve(flow, method, h=0.02, steps=50)
    assert caught.value.run.status == "not_converged"
    assert gd.solve(flow, method, h=0.02, steps=50, throw=False).status == "not_converged"


class TestRefusals:
    flow = gd.flows.gradient(gd.games.bilinear())

    def test_misspelt_option(self):
        # torchdiffeq only warns: stepsize=0.1 silently uses the output grid
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            odeint(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]), method="euler", options={"stepsize": 0.1})
        for method, option in (("euler", "stepsize"), ("explicit_adams", "odrer"), ("explicit_adams", "max_iters")):
            with pytest.raises(gd.ArgumentError, match=option):
                gd.solve(self.flow, gd.methods.get(f"torchdiffeq:{method}", **{option: 1}), h=0.1, steps=2)
        with pytest.raises(gd.ArgumentError, match="did you mean 'order'"):
            gd.solve(self.flow, gd.methods.get("torchdiffeq:explicit_adams", odrer=4), h=0.1, steps=2)

    @pytest.mark.parametrize("order", [0, 1, 2, 12, 2.5])
    def test_orders_that_torchdiffeq_turns_into_rk4_or_a_crash(self, order):
        with pytest.raises(gd.ArgumentError, match="order"):
            gd.solve(self.flow, gd.methods.get("torchdiffeq:explicit_adams", order=order), h=0.1, steps=2)

    @pytest.mark.parametrize("method", ADAMS)
    def test_changing_steps(self, method):
        # on alternating steps its AB4 converges at order 1
        with pytest.raises(gd.ArgumentError, match="equal"):
            gd.solve(self.flow, method, h=lambda n: 0.1, steps=2)
        with pytest.raises(gd.ArgumentError, match="equal"):
            gd.solve(self.flow, method, h=0.3, t_span=(0.0, 1.0))

    def test_unknown_methods(self):
        with pytest.raises(gd.ArgumentError, match="did you mean 'torchdiffeq:rk4'"):
            gd.solve(self.flow, "torchdiffeq:rk5", h=0.1, steps=2)
        with pytest.raises(gd.ArgumentError, match="torchdiffeq"):
            gd.solve(self.flow, "torchdifeq:rk4", h=0.1, steps=2)

    def test_theory_is_not_held_for_delegated_methods(self):
        with pytest.raises(gd.ArgumentError, match="coefficients"):
            gd.stability.stable_steps("torchdiffeq:rk4", [-1.0])


def test_tangent_of_an_adams_step_has_its_history():
    # rejects: the tangent of its rk4 start; AB4 on the rotation: limit 0.4300 (games.md b.3)
    game = gd.games.bilinear()
    flow = gd.flows.gradient(game)
    radius = lambda h: gd.spectrum.step_radius(flow, "torchdiffeq:explicit_adams", game.equilibrium_state(), h)  # noqa: E731
    assert radius(0.42) < 1 < radius(0.44)


class TestAdaptive:
    """Each step an integration of its own, from t to t + h."""

    def reference(self, rhs, method, h, steps, calls, **options):
        """One call of odeint a step, told to land on its end."""
        y, before = torch.ones(2, dtype=DOUBLE), calls[0]
        tolerances = {k: options.pop(k) for k in ("rtol", "atol") if k in options}
        for n in range(steps):
            grid = torch.tensor([n * h, (n + 1) * h], dtype=DOUBLE)
            how = {**options, "step_t": grid[1:]}
            y = odeint(rhs, y, grid, method=method.removeprefix("torchdiffeq:"), options=how, **tolerances)[-1]
        return y, calls[0] - before

    @pytest.mark.parametrize("method", ADAPTIVE)
    @pytest.mark.parametrize("tolerances", [{}, {"rtol": 1e-4, "atol": 1e-6}])
    def test_is_odeint(self, method, tolerances):
        # rejects: other tolerances, another first step, time in float32, a step beyond t + h; the values differ by
        # the rounding of odeint's interpolant at its end (sums of 16 y), the evaluations not at all
        flow, rhs, _ = forced()
        count = [0]

        def counted(t, y):
            count[0] += 1
            return rhs(t, y)

        run = gd.solve(flow, gd.methods.get(method, **tolerances), h=0.5, steps=4)
        y, calls = self.reference(counted, method, 0.5, 4, count, **tolerances)
        torch.testing.assert_close(run.state.y, y, rtol=0, atol=4e-14)
        assert run.stats["evaluations"] == calls

    @pytest.mark.parametrize(
        ("first", "options"),
        [
            (0.5, {"max_step": 0.1}),
            (0.5, {"min_step": 0.3}),
            (0.5, {"safety": 0.5}),
            (0.01, {"ifactor": 1.5}),  # from a small first step
            (0.5, {"dfactor": 0.5}),  # after a first step that is rejected
            (0.5, {"first_step": 0.01}),
        ],
    )
    def test_every_option_arrives(self, first, options):
        # rejects: an option dropped or renamed
        flow, rhs, _ = forced()
        count, base = [0], {"first_step": first}

        def counted(t, y):
            count[0] += 1
            return rhs(t, y)

        plain = gd.solve(flow, gd.methods.get("torchdiffeq:dopri5", **base), h=1.0, steps=2).stats["evaluations"]
        run = gd.solve(flow, gd.methods.get("torchdiffeq:dopri5", **{**base, **options}), h=1.0, steps=2)
        y, calls = self.reference(counted, "dopri5", 1.0, 2, count, **{**base, **options})
        torch.testing.assert_close(run.state.y, y, rtol=0, atol=4e-14)
        assert run.stats["evaluations"] == calls
        assert calls != plain

    def test_one_long_step_is_a_whole_integration(self):
        # rejects: an error per step of h instead of per inner step
        flow, rhs, _ = forced()
        one = gd.solve(flow, gd.methods.get("torchdiffeq:dopri5", rtol=1e-10, atol=1e-12), h=2.0, steps=1).state.y
        grid = torch.tensor([0.0, 2.0], dtype=DOUBLE)
        exact = odeint(rhs, torch.ones(2, dtype=DOUBLE), grid, rtol=1e-13, atol=1e-14)[-1]
        torch.testing.assert_close(one, exact, rtol=0, atol=1e-8)

    def test_inner_steps_are_counted(self):
        # rejects: rejections counted as steps; 7 stages of dopri5, the first one kept (FSAL), 2 for the first step
        flow, _, _ = forced()
        method = gd.methods.get("torchdiffeq:dopri5")
        integrator, field = stepper(method), FrozenField(flow)
        field.begin_step(None)
        _, _, info = integrator.step(field, 0.0, torch.ones(2, dtype=DOUBLE), 2.0, {})
        tried = info.counts["inner_steps"] + info.counts["inner_rejected"]
        assert info.status == "ok"
        assert field.work.evaluations == 2 + 6 * tried
        assert info.counts["inner_steps"] >= 5

    @pytest.mark.parametrize("method", ["torchdiffeq:bosh3", "torchdiffeq:dopri5", "torchdiffeq:dopri8"])
    def test_float32_lands_on_the_end_to_rounding(self, method):
        # rejects: odeint's interpolated value, off by 1e-5 (dopri8) after 20 steps; time in float32
        ends = []
        for dtype in (torch.float32, DOUBLE):
            flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5, dtype=dtype))
            ends.append(gd.solve(flow, method, h=0.1, steps=20).state.y.double())
        torch.testing.assert_close(*ends, rtol=0, atol=2e-6)

    def test_failures_are_a_status(self):
        # an AssertionError in torchdiffeq; rejects: it getting through, or a result that looks fine
        blow_up = gd.flows.custom(lambda t, s, _: {k: v * v for k, v in s.items()}, like=gd.games.bilinear())
        for options in ({}, {"max_num_steps": 3}):
            run = gd.solve(blow_up, gd.methods.get("torchdiffeq:dopri5", **options), h=1.5, steps=2, throw=False)
            assert run.status in ("not_converged", "non_finite")
            assert run.step == 0
        few = gd.solve(blow_up, gd.methods.get("torchdiffeq:dopri5", max_num_steps=3), h=0.5, steps=2, throw=False)
        assert few.status == "not_converged"

    def test_an_assertion_of_the_user_gets_through(self):
        def fn(t, s, _):
            if t > 0.3:
                raise AssertionError("mine")
            return s

        with pytest.raises(AssertionError, match="mine"):
            gd.solve(gd.flows.custom(fn, like=gd.games.bilinear()), "torchdiffeq:dopri5", h=0.1, steps=9)

    def test_scipy_solver(self):
        # rejects: its unchecked failure flag: a missing row read as the result
        flow, rhs, _ = forced()
        run = gd.solve(flow, gd.methods.get("torchdiffeq:scipy_solver", rtol=1e-8, atol=1e-10), h=0.5, steps=4)
        y = torch.ones(2, dtype=DOUBLE)
        for n in range(4):
            grid = torch.tensor([0.5 * n, 0.5 * (n + 1)], dtype=DOUBLE)
            y = odeint(rhs, y, grid, method="scipy_solver", rtol=1e-8, atol=1e-10)[-1]
        assert torch.equal(run.state.y, y)
        blow_up = gd.flows.custom(lambda t, s, _: {k: v * v for k, v in s.items()}, like=gd.games.bilinear())
        run = gd.solve(blow_up, "torchdiffeq:scipy_solver", h=1.5, steps=2, throw=False)  # it stands still at t = 1
        assert (run.step, run.status) in ((0, "not_converged"), (0, "non_finite"))

    def test_options_are_checked(self):
        flow, _, _ = forced()
        for option, value, match in (
            ("rtoll", 1e-3, "did you mean 'rtol'"),
            ("step_size", 0.1, "step_size"),
            ("order", 5, "order"),
            ("rtol", 0.0, "rtol"),
            ("atol", -1.0, "atol"),
            ("safety", 1.5, "between 0 and 1"),
            ("ifactor", 0.5, "between 1 and inf"),
            ("dfactor", 2.0, "between 0 and 1"),
            ("max_num_steps", 2.5, "max_num_steps"),
        ):
            with pytest.raises(gd.ArgumentError, match=match):
                gd.solve(flow, gd.methods.get("torchdiffeq:dopri5", **{option: value}), h=0.1, steps=1)
        with pytest.raises(gd.ArgumentError, match="at most max_step"):
            gd.solve(flow, gd.methods.get("torchdiffeq:bosh3", min_step=0.2, max_step=0.1), h=0.1, steps=1)
