"""Contracts 2 and 3 on every method: purity, determinism, restart, precision, failure."""

from __future__ import annotations

import contextlib
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators._types import label
from gamedyn.jacobian import FrozenField as Field
from gamedyn.methods import (
    Delegated,
    LinearMultistep,
    Partitioned,
)
from tests.contracts.members import (
    DOUBLE,
    EVERY,
    OWN,
    assert_untouched,
    data,
    flow_of,
    inner_of,
    methods,
    remembers,
    small_gan,
    snapshot,
    solves,
    start_up,
    stream,
)


@methods
class TestPurity:
    def test_step_never_writes_y_nor_what_came_before(self, method):
        # rejects: y += h k in place; an output that shares memory with a work buffer of the next step; and of
        # steppers that advance in place, writing a y that is not the field's own point
        game = small_gan()
        field, integrator = Field(flow_of(game, method)), stepper(method)
        y = game.state().y
        memory = integrator.init(field, 0.0, y, 0.05)
        seen = [(y, y.clone())]
        for n in range(4):
            field.begin_step((data(), data()))
            y, memory, info = integrator.step(field, n * 0.05, y, 0.05, memory)
            assert info.status == "ok"
            if integrator.in_place:
                assert y is field.point
                y = y if n % 2 else y.clone()  # a y of the caller's own, and the point itself
            if y is not field.point:
                seen.append((y, y.clone()))
        assert all(torch.equal(now, then) for now, then in seen)
        assert float((seen[0][1] - seen[-1][1]).norm()) > 1e-3

    def test_modules_are_bit_identical_after_a_solve_and_after_an_exception(self, method):
        # rejects: stepping on the user's own parameters, .grad left behind, restoring only on success
        game, count, fail_at = small_gan(), [0], [0]
        inner = game.losses

        def failing(*args):
            count[0] += 1
            if count[0] == fail_at[0]:
                raise ZeroDivisionError("in the loss")
            return inner(*args)

        game.losses, before = failing, snapshot(game)
        gd.solve(flow_of(game, method), method, h=0.05, steps=3, batches=stream())
        assert_untouched(game, before)
        for fail_at[0] in (4, 6):  # call 1 is the check's, 2 and 3 the probe's
            count[0] = 0
            with pytest.raises(ZeroDivisionError):
                gd.solve(flow_of(game, method), method, h=0.05, steps=10, batches=stream())
            assert count[0] == fail_at[0]
            assert_untouched(game, before)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_modules_are_bit_identical_after_a_check_that_fails(calls):
    game, count = small_gan(), [0]
    inner = game.losses

    def failing(*args):
        count[0] += 1
        if count[0] == calls:
            raise ZeroDivisionError("in the loss")
        return inner(*args)

    game.losses, before = failing, snapshot(game)
    with pytest.raises((ZeroDivisionError, gd.ArgumentError)):
        gd.solve(flow_of(game, None), "rk4", h=0.05, steps=10, batches=stream())
    assert_untouched(game, before)


class TestRestart:
    def check(self, method, make, stream, firsts, path, steps):
        def part(steps, **how):
            return gd.solve(make(), method, h=0.05, steps=steps, batches=stream(), every=2, **how)

        whole = part(steps)
        for first in firsts:
            part(first).save(path)
            torch.rand(3)  # the default generator stands elsewhere after a restart
            resumed = part(steps, resume=path)
            assert torch.equal(whole.state.y, resumed.state.y)
            assert (whole.t, whole.step) == (resumed.t, resumed.step)
            assert torch.equal(whole.records.step, resumed.records.step)
            assert all(torch.equal(whole.records.losses[p], resumed.records.losses[p]) for p in "GD")
            for key, count in whole.stats.items():
                if isinstance(count, (int, float)) and key not in ("seconds", "start"):
                    assert resumed.stats[key] == pytest.approx(count, rel=1e-14), key

    @methods
    def test_a_restart_is_the_uninterrupted_run_bit_for_bit(self, method, tmp_path):
        # rejects: uninitialised memory, a global generator, history forgotten, a batch skipped or drawn anew
        several = start_up(inner_of(method))
        firsts = (several // 2 + 1, several + 2)  # among the first steps, and after them
        firsts = firsts if several or remembers(method) else firsts[1:]
        self.check(method, lambda: gd.flows.gradient(small_gan()), stream, firsts, tmp_path / "run.pt", several + 4)

    @pytest.mark.parametrize("method", ["rk4", "ab3", "bdf3", "ck54", "strang"])
    def test_with_a_loader_that_shuffles(self, method, tmp_path):
        # rejects: the order of the epoch drawn anew
        def loader():
            return gd.batches(DataLoader(TensorDataset(data()), batch_size=4, shuffle=True), latent=2, seed=3)

        def make():
            game = small_gan()
            return gd.flows.gradient(gd.games.gan(game.players["G"], game.players["D"], real=lambda batch: batch[0][0]))

        self.check(method, make, loader, (1, 2, 6), tmp_path / "run.pt", steps=11)


@methods
def test_a_method_is_called_the_same_whatever_is_known_of_it(method):
    # rejects: properties that somebody has asked for in the digest of its coefficients: a run that went on was refused
    # in a process that had computed fewer; a member that came from another process taken for a user's own
    copy = pickle.loads(pickle.dumps(method))
    before = label(copy)
    for name in dir(copy):
        with contextlib.suppress(Exception):
            getattr(copy, name)
    assert label(copy) == before == label(method)


class TestPrecision:
    TOLERANCE, STEPS, H = 1e-5, 10, 0.1

    @methods
    def test_float32_follows_float64(self, method):
        # rejects: coefficients or K rows left in another dtype, h rounded to float16
        ends = {}
        for dtype in (torch.float32, DOUBLE):
            game = gd.games.dirac_gan("nonsaturating", "r1", 0.5, dtype=dtype)
            run = gd.solve(gd.flows.gradient(game), method, h=self.H, steps=self.STEPS)
            assert run.state.y.dtype == dtype
            ends[dtype] = run.state.y.double()
        torch.testing.assert_close(ends[torch.float32], ends[DOUBLE], rtol=0, atol=self.bound(method))

    def bound(self, method):
        """Rounding of every step, and a solver's tolerance in its field values (of size up to 1.5), both carried on.

        A step rounds y (of size up to 1.5), its terms and its sum: 4 times half of eps, if |alpha| adds up to 2.
        """
        rounding = 4 * 1.5 * 2**-24
        if solves(method) or isinstance(method, Delegated):
            rounding += self.H * self.TOLERANCE * 1.5
        return 1.5 * self.STEPS * rounding * self.carried(inner_of(method)) + 1e-7

    def carried(self, method):
        """How much an error of one step becomes: the impulse response of rho, times the size of alpha."""
        if not isinstance(method, LinearMultistep):
            return 5.0 if isinstance(method, Partitioned) else 1.0  # of moves, a step makes up to 7
        alpha = [float(a) for a in method.alpha]
        response = [1.0]
        for _ in range(self.STEPS):
            past = zip(reversed(alpha[:-1]), reversed(response), strict=False)
            response.append(-sum(a * r for a, r in past))
        return max(map(abs, response)) * sum(map(abs, alpha)) / 2


NOTICING = {name: m for name, m in EVERY.items() if name != "torch.optim:Rprop"}  # takes signs, and that of nan is 0


notices = pytest.mark.parametrize("method", list(NOTICING.values()), ids=list(NOTICING))


class TestFailure:
    def flow(self, spoilt=True):
        """Finite until t = 0.5, nan from there on."""
        game = gd.games.bilinear()

        def fn(t, state, batch):
            return {"x": -state["x"] * (float("nan") if spoilt and float(t) > 0.5 else 1.0), "y": -state["y"]}

        return gd.flows.custom(fn, like=game)

    @notices
    def test_a_field_that_is_nan_ends_the_run_with_the_last_finite_state(self, method):
        # rejects: returning nan, losing the state, a status "done", a state that is not that of its step
        with pytest.raises(gd.SolveError, match=r"stopped being finite|did not converge") as caught:
            gd.solve(self.flow(), method, h=0.1, steps=50, check_every=1)
        run = caught.value.run
        bridged = isinstance(method, Delegated)
        if not bridged:
            assert run.status == ("not_converged" if solves(method) else "non_finite")
        assert bool(run.state.y.isfinite().all())
        assert 4 <= run.step <= 7
        assert run.t == pytest.approx(0.1 * run.step)
        good = gd.solve(self.flow(spoilt=False), method, h=0.1, steps=run.step).state.y
        torch.testing.assert_close(run.state.y, good, rtol=1e-14, atol=0)
        assert "h = 0.1" in str(caught.value)
        assert f"step {run.step}" in str(caught.value)

    @notices
    def test_without_throw_the_status_tells(self, method):
        run = gd.solve(self.flow(), method, h=0.1, steps=50, check_every=7, throw=False)
        assert run.status in ("non_finite", "not_converged")
        assert bool(run.state.y.isfinite().all())
        # a rejected step keeps the state before it; one that is not looked at goes back to the last check
        assert 4 <= run.step <= 7 if run.status == "not_converged" else run.step % 7 == 0 or run.step == 5


def test_first_step_of_optimistic_is_eulers():
    # Daskalakis et al. 2018: v_{-1} = v_0; rejects: a start by Heun or by a zero history
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    a, b = (gd.solve(flow, m, h=0.3, steps=1) for m in ("optimistic", "euler"))
    assert torch.equal(a.state.y, b.state.y)
    second = gd.solve(flow, "optimistic", h=0.3, steps=2).state.y
    v0, v1 = (flow.field()(0.0, y) for y in (flow.initial_state().y, a.state.y))
    torch.testing.assert_close(second, a.state.y + 0.3 * (2 * v1 - v0), rtol=1e-15, atol=1e-15)


STARTED = {n: m for n, m in OWN.items() if start_up(m) and m.time_scale == 1}


@pytest.mark.parametrize("method", list(STARTED.values()), ids=list(STARTED))
def test_multistep_methods_start_with_their_own_rule(method):
    # rejects: a start by Euler's method, or one step too many of it
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    first = method.steps - 1
    a, b = (gd.solve(flow, m, h=0.3, steps=first) for m in (method, method.start))
    assert torch.equal(a.state.y, b.state.y)
    a, b = (gd.solve(flow, m, h=0.3, steps=first + 1).state.y for m in (method, method.start))
    assert float((a - b).norm()) > 1e-8


ANALYSES = {
    "dense": lambda f, s, b: f.at(s, b).jacobian().to_dense(),
    "linearise": lambda f, s, b: gd.spectrum.linearise(f, s, b),
    "linearise outer": lambda f, s, b: gd.spectrum.linearise(f, s, b, form=False, k=2),
    "tangent rk4": lambda f, s, b: gd.spectrum.step_radius(f, "rk4", s, 0.1, b),
    "tangent ab3": lambda f, s, b: gd.spectrum.step_radius(f, "ab3", s, 0.1, b),
    "tangent alternating": lambda f, s, b: gd.spectrum.StepTangent(f, "alternating", s, 0.1, b) @ s.y,
    "equilibrium": lambda f, s, b: gd.spectrum.find_equilibrium(f, s, b, max_iterations=2, throw=False),
    "field": lambda f, s, b: f.field(b)(0.0, s.y),
}


@pytest.mark.parametrize("analysis", list(ANALYSES))
def test_modules_are_bit_identical_after_every_analysis(analysis):
    # rejects: leaving modules bound to clones, advancing batch norm or spectral norm while looking
    g = torch.Generator().manual_seed(4)
    D = torch.nn.Sequential(
        torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(2, 4, dtype=DOUBLE)),
        torch.nn.BatchNorm1d(4, dtype=DOUBLE),
        torch.nn.Tanh(),
        torch.nn.Linear(4, 1, dtype=DOUBLE),
    )
    game = gd.games.gan(gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), D)
    before, state = snapshot(game), game.state()
    kept = [x.clone() for x in (state.y, *state.buffers)]
    ANALYSES[analysis](gd.flows.gradient(game), state, (data(), data()))
    assert_untouched(game, before)
    assert all(torch.equal(a, b) for a, b in zip(kept, (state.y, *state.buffers), strict=True))
