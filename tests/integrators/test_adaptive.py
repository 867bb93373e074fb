"""Adaptive steps: tolerances, controllers, FSAL, norms, dense output, noise, failure, resuming; SciPy beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn.integrators import Adaptive, Krylov, NewtonKrylov, NoiseWarning
from gamedyn.jacobian import FrozenField as Field
from gamedyn.methods import ExponentialRosenbrock, LinearlyImplicit, RungeKutta

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
PAIRS = {n: m for n, m in OWN.items() if getattr(m, "embedded_order", None) is not None}
FSAL = [n for n, m in PAIRS.items() if getattr(m, "fsal", False)]
END = 4.0


def sigmoid(s):
    return 1 / (1 + math.exp(-s))


def dirac():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6, initial=(1.5, 1.0)))


def rhs(_, w):
    theta, psi = w
    return [psi * sigmoid(-theta * psi), -theta * sigmoid(theta * psi) - 0.6 * psi]


@pytest.fixture(scope="module")
def exact():
    return torch.as_tensor(solve_ivp(rhs, (0, END), [1.5, 1.0], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1])


def tight(method):
    """A solver that disturbs no error estimate."""
    if isinstance(method, (LinearlyImplicit, ExponentialRosenbrock)):
        return {"solver": Krylov(rtol=1e-11)}
    return {"solver": NewtonKrylov(rtol=1e-11)} if not method.explicit else {}


def rotation():
    return gd.flows.gradient(gd.games.bilinear())


def turned(t):
    return torch.tensor([math.cos(t) - math.sin(t), math.sin(t) + math.cos(t)], dtype=DOUBLE)


RANGES = {"heun2": (1e-2, 1e-4), "ros2": (1e-2, 1e-4), "dop853": (1e-3, 1e-9), "kvaerno5": (1e-7, 1e-9)}
"""Between them most steps are neither a handful nor thousands."""


@pytest.mark.parametrize("name", list(PAIRS))
def test_the_error_falls_with_the_tolerance(name, exact):
    # h^k = tol with k the estimate's order, error h^p: error ~ tol^(p/k); rejects: an estimate of another order, one
    # of the wrong sign or weights (no relation), a tolerance that is not used
    method = PAIRS[name]
    tolerances = RANGES.get(name, (1e-5, 1e-8) if method.explicit and method.order > 3 else (1e-4, 1e-6))
    errors = []
    for rtol in tolerances:
        control = Adaptive(rtol=rtol, atol=rtol, filter="I")
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=control, **tight(method))
        assert (run.status, run.t) == ("done", END)
        errors.append(float((run.state.y - exact).norm()))
        assert errors[-1] < 20 * rtol
    k = getattr(method, "estimate_order", None) or min(method.order, method.embedded_order) + 1
    slope = math.log(errors[0] / errors[1]) / math.log(tolerances[0] / tolerances[1])
    assert slope == pytest.approx(method.order / k, abs=0.25)


class TestCounts:
    def test_first_same_as_last(self):
        # 6 evaluations a try, 7 the first, 2 for the first step; rejects: FSAL not used, or used after a rejection
        control = Adaptive(rtol=1e-6, atol=1e-6)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        tries = run.stats["accepted"] + run.stats["rejected"]
        assert run.stats["accepted"] == run.step
        assert run.stats["evaluations"] == 2 + 1 + 6 * tries

    def test_rejected_steps_are_counted_and_their_work_too(self):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=gd.steps.Adaptive(first=4.0, rtol=1e-9, atol=1e-9))
        assert run.stats["rejected"] >= 2
        assert len(run.records.figures["h"]) == run.step == run.stats["accepted"]
        assert run.stats["evaluations"] >= 6 * (run.stats["accepted"] + run.stats["rejected"])

    @pytest.mark.parametrize(("name", "work"), [("merson43", 5), ("heun2", 2), ("kcl43", 4), ("dop853", 12)])
    def test_without_it_every_stage(self, name, work):
        control = Adaptive(rtol=1e-4, atol=1e-4)
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=replace(control, first=0.1))
        assert run.stats["evaluations"] == work * (run.stats["accepted"] + run.stats["rejected"])

    def test_extra_records(self):
        run = gd.solve(dirac(), "dopri5", t_span=(1.0, END), h=Adaptive(rtol=1e-6, atol=1e-6))
        t, h, e = run.records.t, *(run.records.figures[k] for k in ("h", "error"))
        torch.testing.assert_close(t, torch.cat([t[:1], t[:-1] + h[:-1]]), rtol=1e-12, atol=0)
        assert float(t[0]) == 1.0
        assert float(t[-1] + h[-1]) == pytest.approx(END, rel=1e-14)
        assert bool((e <= 1).all())

    def test_no_step_is_a_sliver_at_the_end(self):
        # the last two steps share what is left; rejects: a last step of 1e-12
        run = gd.solve(rotation(), "bosh3", t_span=(0.0, 1.0), h=gd.steps.Adaptive(first=0.3, rtol=1.0, h_max=0.3))
        assert [round(float(h), 12) for h in run.records.figures["h"]] == [0.3, 0.3, 0.2, 0.2]


FILTERS = {"I": (1.0,), "PI": (0.7, -0.4), "PID": (1 / 18, 1 / 9, 1 / 18)}


class TestControl:
    @pytest.mark.parametrize("name", ["dopri5", "bosh3", "kcl43", "merson43"])
    @pytest.mark.parametrize("filter", list(FILTERS))
    def test_the_next_step_is_the_filters(self, filter, name):
        # Soederlind 2003; rejects: exponents by the order p instead of k, errors oldest first
        control = Adaptive(rtol=1e-6, atol=1e-6, filter=filter, safety=0.6)
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=replace(control, first=0.01))
        h, e = (run.records.figures[x].tolist() for x in ("h", "error"))
        assert run.stats["rejected"] == 0
        k, weights = min(OWN[name].order, OWN[name].embedded_order) + 1, FILTERS[filter]
        assert len(h) > 15
        left = [END - t for t in run.records.t.tolist()]
        for n in range(4, next(i for i, x in enumerate(left) if h[i] > x / 2 * (1 - 1e-9)) - 1):  # then what is left
            factor = math.prod((0.6**k / e[n - i]) ** (w / k) for i, w in enumerate(weights))
            assert h[n + 1] / h[n] == pytest.approx(min(10.0, max(0.2, factor)), rel=1e-9)

    @pytest.mark.parametrize("filter", list(FILTERS))
    def test_all_meet_the_tolerance(self, filter, exact):
        control = Adaptive(rtol=1e-7, atol=1e-7, filter=filter)
        run = gd.solve(dirac(), "tsit5", t_span=(0.0, END), h=control)
        assert float((run.state.y - exact).norm()) < 5e-6

    def test_bounds(self):
        control = Adaptive(rtol=1e-3, atol=1e-3, h_max=0.07)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        assert float(run.records.figures["h"].max()) <= 0.07 * (1 + 1e-12)
        control = Adaptive(rtol=1e-6, atol=1e-6, grow=1.5)
        h = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=replace(control, first=1e-4)).records.figures["h"]
        assert float((h[1:] / h[:-1]).max()) <= 1.5 * (1 + 1e-12)

    def test_h_is_the_first_step(self):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=gd.steps.Adaptive(first=0.0123, rtol=1e-6, atol=1e-6))
        assert float(run.records.figures["h"][0]) == 0.0123

    def test_relative_and_absolute_parts(self):
        # a player near 0 beside one of 1e6; rejects: atol scaled by y, rtol by the norm of all
        game = gd.games.bilinear()
        flow = gd.flows.custom(lambda t, s, _: {"x": -s["x"], "y": s["x"] * 0 + math.cos(20 * t)}, like=game)
        y0 = {"x": torch.tensor([1e6], dtype=DOUBLE), "y": torch.zeros(1, dtype=DOUBLE)}
        run = gd.solve(flow, "dopri5", t_span=(0.0, 1.0), y0=y0, h=Adaptive(rtol=1e-6, atol=1e-8))
        assert abs(float(run.state["y"]) - math.sin(20) / 20) < 1e-6

    def test_a_large_player_hides_no_small_one(self):
        # 400 entries at rest, two that turn: by "rms" the estimate is sqrt(201) times smaller
        x, y = torch.ones(400, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)
        game = gd.Game({"x": x, "y": y}, lambda x, y: {"x": x.sum(), "y": y.sum()})
        turn = torch.tensor([[0.0, -20.0], [20.0, 0.0]], dtype=DOUBLE)
        flow = gd.flows.custom(lambda t, s, _: {"x": 0 * s["x"], "y": turn @ s["y"]}, like=game)
        end = torch.linalg.matrix_exp(turn) @ y
        errors = {}
        for norm in ("players", "rms"):
            control = Adaptive(rtol=1e-5, atol=1e-5, norm=norm)
            run = gd.solve(flow, "dopri5", t_span=(0.0, 1.0), h=control)
            errors[norm] = float((run.state["y"] - end).norm())
        assert errors["rms"] > 8 * errors["players"]
        assert errors["players"] < 1e-3


@pytest.mark.parametrize(("rtol", "atol"), [(1e-3, 1e-6), (1e-6, 1e-9), (1e-9, 1e-9)])
def test_beside_scipy(rtol, atol, exact):
    # the same pair at the same tolerance; rejects: a norm, a safety factor or an estimate of another size
    peer = solve_ivp(rhs, (0, END), [1.5, 1.0], method="RK45", rtol=rtol, atol=atol)
    like = Adaptive(rtol=rtol, atol=atol, filter="I", norm="rms", grow=10.0)
    for control, share in ((like, 0.1), (Adaptive(rtol=rtol, atol=atol), 0.3)):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        assert run.stats["evaluations"] == pytest.approx(peer.nfev, rel=share, abs=6)
        error = float((run.state.y - exact).norm())
        assert error < 5 * np.linalg.norm(peer.y[:, -1] - exact.numpy()) + 1e-12


def noisy(scale, count=40, seed=3):
    """Batches that pull theta by zero-mean amounts."""
    return gd.batches(
        scale * torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE), batch_size=4
    )


def pulled():
    inner = gd.games.dirac_gan("nonsaturating", "r1", 0.6, initial=(1.5, 1.0))

    def losses(theta, psi, batch):
        base = inner.losses(theta, psi)
        bump = batch.mean()
        return {"G": base["G"] + bump * theta.sum(), "D": base["D"] - bump * (psi * theta).sum() ** 2}

    return gd.flows.gradient(gd.Game(dict(inner.players), losses))


class TestBatches:
    CONTROL = Adaptive(rtol=1.0, atol=1.0, filter="I", h_max=0.1, noise_every=1000)  # all steps are 0.1

    @pytest.mark.parametrize("name", FSAL)
    def test_fsal_never_crosses_a_change_of_batch(self, name, monkeypatch):
        # numerics.md 8: an error of order h; rejects: the last stage's value on the old batch
        fixed = gd.solve(pulled(), name, h=0.1, steps=20, batches=noisy(1.0)).state.y
        how = {"t_span": (0.0, 2.0), "h": replace(self.CONTROL, first=0.1)}
        run = gd.solve(pulled(), name, batches=noisy(1.0), **how)
        assert run.step == 20
        torch.testing.assert_close(run.state.y, fixed, rtol=0, atol=1e-13)
        monkeypatch.setattr(Field, "keeps_batch", True)
        planted = gd.solve(pulled(), name, batches=noisy(1.0), **how)
        assert float((planted.state.y - fixed).norm()) > 1e-3

    def test_a_rejected_step_keeps_its_batch(self):
        # rejects: a new batch for every try, which picks lucky ones
        control = Adaptive(rtol=1e-4, atol=1e-4, noise_every=1000)
        run = gd.solve(pulled(), "bosh3", t_span=(0.0, 2.0), h=replace(control, first=1.0), batches=noisy(0.01))
        assert run.stats["rejected"] > 0
        assert run.stats["batches"] == run.stats["accepted"]

    def test_losses_that_draw_are_another_field_each_step(self):
        # one batch, but noise inside the losses: FSAL must not cross either
        x, y = torch.ones(1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE)

        def losses(x, y):
            bump = torch.randn((), dtype=DOUBLE)
            return {"x": (x * y).sum() + bump * x.sum(), "y": -(x * y).sum() + 0 * bump * y.sum()}

        flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
        drawn = torch.get_rng_state()
        a = gd.solve(flow, "dopri5", h=0.1, steps=10).state.y
        torch.set_rng_state(drawn)
        b = gd.solve(flow, "dopri5", t_span=(0.0, 1.0), h=replace(self.CONTROL, first=0.1)).state.y
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


class TestNoise:
    def solve(self, tolerance, scale):
        control = Adaptive(rtol=tolerance, atol=tolerance, h_max=0.2, noise_every=5)
        return gd.solve(pulled(), "dopri5", t_span=(0.0, 4.0), batches=noisy(scale), h=control)

    def test_a_tolerance_below_the_noise_warns_once(self):
        with pytest.warns(NoiseWarning, match="standard deviation between batches") as caught:
            run = self.solve(1e-7, 1.0)
        assert len(caught) == 1
        assert caught[0].filename == __file__  # rejects: a warning that points inside the package
        noise = run.stats["error_noise"]
        assert len(noise) >= 2
        assert max(n["std"] for n in noise) > 1
        assert all(set(n) == {"step", "h", "error", "std"} for n in noise)

    def test_a_loose_one_does_not(self):
        run = self.solve(0.1, 0.3)  # any warning is an error here
        assert run.stats["error_noise"]
        assert max(n["std"] for n in run.stats["error_noise"]) < 1

    def test_the_spread_is_that_of_the_estimate(self):
        # written out: the estimate of one step at one point on the last four batches; rejects: a spread of v, or 1/n
        control = Adaptive(rtol=1.0, atol=1e-3, h_max=0.1)
        batches = noisy(1.0).to(torch.device("cpu"), DOUBLE)
        drawn = [next(batches) for _ in range(4)]
        at = []
        run = gd.solve(
            pulled(),
            "bosh3",
            t_span=(0.0, 0.4),
            h=replace(control, first=0.1),
            batches=noisy(1.0),
            observers=[lambda v: at.append(v.state.y)],
        )
        y, (seen,) = at[2], run.stats["error_noise"]
        field, method, estimates = pulled().field(drawn[0]), OWN["bosh3"], []
        for batch in drawn:
            field.batch, K = batch, []
            for row in method.A:
                K.append(field(0.0, y + 0.1 * sum((float(a) * k for a, k in zip(row, K, strict=False)), 0 * y)).clone())
            gaps = [float(b - e) for b, e in zip(method.b, method.b_hat, strict=True)]
            estimates.append(0.1 * sum(g * k for g, k in zip(gaps, K, strict=True)))
        mean = torch.stack(estimates).mean(0)
        scaled = [((e - mean) / (y.abs() + 1e-3)).abs().max() ** 2 for e in estimates]
        assert seen["std"] == pytest.approx(math.sqrt(sum(scaled) / 3), rel=1e-9)
        assert seen["step"] == 3

    def test_one_batch_has_none(self):
        control = Adaptive(rtol=1e-6, atol=1e-6, noise_every=5)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        assert "error_noise" not in run.stats


class TestDense:
    def errors(self, h, save):
        control = Adaptive(rtol=10.0, atol=10.0, h_max=h)
        run = gd.solve(rotation(), "dopri5", t_span=(0.0, 2.4), h=replace(control, first=h), save_at=save, dense=True)
        assert run.step == round(2.4 / h)
        saved = max(float((run.saved[t].y - turned(t)).norm()) for t in save)
        dense = max(float((run.dense(t) - turned(t)).norm()) for t in save)
        return saved, dense

    def test_times_anywhere_have_the_error_of_the_solve(self):
        # rejects: Hermite interpolation, whose slope is 4 and whose error at 0.1 is 3.7e-7
        save = [0.05 + 0.1 * k for k in range(24)] + [0.11, 1.234567]
        coarse, fine = self.errors(0.2, save), self.errors(0.1, save)
        for a, b in zip(coarse, fine, strict=True):
            assert math.log2(a / b) == pytest.approx(5, abs=0.3)
        end = gd.solve(rotation(), "dopri5", h=0.1, t_span=(0.0, 2.4)).state.y
        assert max(fine) < 1.5 * float((end - turned(2.4)).norm())

    @pytest.mark.parametrize("name", ["dopri5", "merson43", "rdpk35", "kvaerno3", "rodas3"])
    def test_of_every_family(self, name):
        control = Adaptive(rtol=1e-6, atol=1e-6)
        save = [0.0, 0.333, 1.0, 2.0]
        run = gd.solve(rotation(), name, t_span=(0.0, 2.0), h=control, save_at=save, dense=True)
        assert sorted(run.saved) == save
        for t in save:
            torch.testing.assert_close(run.saved[t].y, turned(t), rtol=0, atol=1e-4)
            torch.testing.assert_close(run.dense(t), run.saved[t].y, rtol=0, atol=1e-14)
        assert torch.equal(run.saved[2.0].y, run.state.y)
        assert torch.equal(run.saved[0.0].y, torch.ones(2, dtype=DOUBLE))

    def test_costs_nothing_where_the_slopes_are_there(self):
        control = Adaptive(rtol=1e-6, atol=1e-6)
        a, b = (gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control, dense=d) for d in (False, True))
        assert a.stats["evaluations"] == b.stats["evaluations"]

    def test_does_not_change_the_run(self):
        control = Adaptive(rtol=1e-6, atol=1e-6)
        for name in ("dopri5", "kcl54", "merson43"):
            a = gd.solve(dirac(), name, t_span=(0.0, END), h=control)
            b = gd.solve(dirac(), name, t_span=(0.0, END), h=control, dense=True, save_at=[0.123, 1.5])
            assert torch.equal(a.state.y, b.state.y)

    def test_refusals(self):
        control = Adaptive(rtol=1e-6, atol=1e-6)
        run = gd.solve(rotation(), "dopri5", t_span=(0.0, 2.0), h=control, dense=True)
        for when in (-0.1, 2.1):
            with pytest.raises(gd.ArgumentError, match="when"):
                run.dense(when)
        with pytest.raises(gd.ArgumentError, match="save_at"):
            gd.solve(rotation(), "dopri5", t_span=(0.0, 2.0), h=control, save_at=[2.5])
        with pytest.raises(gd.ArgumentError, match="dense"):
            gd.solve(rotation(), "ab3", h=0.1, steps=3, dense=True)


class TestFailure:
    def exploding(self):
        """y' = y^2: 1/(1 - t)."""
        return gd.flows.custom(lambda t, s, _: {"x": s["x"] ** 2, "y": 0 * s["y"]}, like=gd.games.bilinear())

    @pytest.mark.parametrize("name", ["dopri5", "kcl54", "merson43"])
    def test_a_step_below_h_min(self, name):
        control = Adaptive(rtol=1e-6, h_min=1e-3)
        with pytest.raises(gd.SolveError, match="fell below h_min") as caught:
            gd.solve(self.exploding(), name, t_span=(0.0, 2.0), h=control)
        run = caught.value.run
        assert run.status == "step_too_small"
        assert 0.9 < run.t < 1
        assert float(run.state["x"]) == pytest.approx(1 / (1 - run.t), rel=1e-2)
        assert run.step == run.stats["accepted"]
        assert float(run.records.figures["h"].min()) >= 1e-3

    def test_too_many_steps(self):
        control = Adaptive(rtol=1e-8, atol=1e-8, max_steps=7)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control, throw=False)
        assert run.status == "too_many_steps"
        assert run.step <= 7
        assert run.t < END
        assert bool(run.state.y.isfinite().all())
        with pytest.raises(gd.SolveError, match="max_steps"):
            gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)

    def test_rejected_steps_count_too(self):
        # as Adaptive says; a field that jumps 30 times a unit of time rejects many
        flow = gd.flows.custom(
            lambda t, s, _: {"x": s["x"] * 0 + math.copysign(1.0, math.sin(100 * t)), "y": -s["y"]},
            like=gd.games.bilinear(),
        )
        control = Adaptive(rtol=1e-6, atol=1e-6, max_steps=60)
        run = gd.solve(flow, "dopri5", t_span=(0.0, 5.0), h=control, throw=False)
        assert run.status == "too_many_steps"
        assert run.stats["rejected"] > 5
        assert run.stats["accepted"] + run.stats["rejected"] <= 61

    def test_exactly_as_many_steps_as_allowed_is_done(self):
        # rejects: a failure at the end of the span
        needed = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=Adaptive(rtol=1e-6, atol=1e-6)).step
        control = Adaptive(rtol=1e-6, atol=1e-6, max_steps=needed)
        assert gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control, throw=False).status == "done"

    @pytest.mark.parametrize("name", ["dopri5", "rdpk35", "kvaerno3", "ros2", "exprb32"])
    def test_a_field_that_stops_being_finite(self, name):
        flow = gd.flows.custom(
            lambda t, s, _: {"x": -s["x"] * (float("nan") if float(t) > 0.5 else 1.0), "y": -s["y"]},
            like=gd.games.bilinear(),
        )
        control = Adaptive(rtol=1e-4, atol=1e-4)
        run = gd.solve(flow, name, t_span=(0.0, 2.0), h=control, throw=False)
        assert run.status in ("non_finite", "step_too_small")
        assert 0.1 < run.t <= 0.5 + float(run.records.figures["h"][-1])  # nodes may end before the step does
        assert float(run.state["x"]) == pytest.approx(math.exp(-run.t), abs=1e-3)

    def test_a_field_that_never_is_ends_soon(self):
        # rejects: a first step of nan, which no bound is below
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * float("nan"), "y": -s["y"]}, like=gd.games.bilinear())
        control = Adaptive(rtol=1e-4, atol=1e-4, max_steps=2000)
        run = gd.solve(flow, "dopri5", t_span=(0.0, 2.0), h=control, throw=False)
        assert run.status in ("non_finite", "step_too_small")
        assert (run.step, run.t) == (0, 0.0)
        assert run.stats["evaluations"] < 700

    def test_a_stage_that_does_not_converge_is_tried_with_a_smaller_step(self):
        # rejects: the run ended by the first one
        solver = gd.integrators.fixed_point(max_iterations=30, rtol=1e-8)
        control = Adaptive(rtol=1e-3, atol=1e-3)
        flow = gd.flows.gradient(gd.games.quadratic([[30.0, 10.0], [-10.0, 30.0]]))
        run = gd.solve(flow, "kvaerno3", t_span=(0.0, 1.0), h=replace(control, first=1.0), solver=solver)
        assert run.status == "done"
        assert run.stats["rejected"] > 0
        assert float(run.state.y.norm()) < 1e-2

    def test_a_non_finite_state_is_never_accepted(self):
        flow = gd.flows.custom(lambda t, s, _: {"x": torch.exp(s["x"] * 50), "y": -s["y"]}, like=gd.games.bilinear())
        control = Adaptive(rtol=1e-4, h_min=1e-30)
        run = gd.solve(flow, "dopri5", t_span=(0.0, 2.0), h=replace(control, first=1.0), throw=False)
        assert bool(run.state.y.isfinite().all())
        assert run.status != "done"


class TestResume:
    @pytest.mark.parametrize(
        ("name", "filter"),
        [
            *(("dopri5", filter) for filter in FILTERS),
            *(("merson43", "PID"), ("rdpk35", "PI"), ("kvaerno3", "PI"), ("exprb32", "I")),
        ],
    )
    def test_goes_on_bit_for_bit(self, name, filter, tmp_path):
        # rejects: a first step chosen anew, errors of the filter forgotten, the FSAL slope lost
        how = {"t_span": (0.0, END), "h": Adaptive(rtol=1e-5, atol=1e-5, filter=filter)}
        whole = gd.solve(dirac(), name, **how)
        stop_at = max(2, whole.step // 2)
        part = gd.solve(dirac(), name, observers=[lambda v: v.step == stop_at], **how)
        assert (part.status, part.step) == ("stopped", stop_at)
        part.save(tmp_path / "run.pt")
        resumed = gd.solve(dirac(), name, resume=tmp_path / "run.pt", **how)
        assert torch.equal(resumed.state.y, whole.state.y)
        assert (resumed.step, resumed.t) == (whole.step, whole.t)
        for key in ("h", "error"):
            assert torch.equal(resumed.records.figures[key], whole.records.figures[key])
        assert torch.equal(resumed.records.losses["D"], whole.records.losses["D"])
        assert resumed.stats["accepted"] == whole.stats["accepted"]

    @pytest.mark.parametrize("h", [None, 0.05])
    def test_and_does_no_work_twice(self, h):
        # rejects: a first step chosen again, at two evaluations
        how = {"t_span": (0.0, END), "h": Adaptive(rtol=1e-5, atol=1e-5, first=h)}
        whole = gd.solve(dirac(), "dopri5", **how)
        part = gd.solve(dirac(), "dopri5", observers=[lambda v: v.step == 5], **how)
        assert gd.solve(dirac(), "dopri5", resume=part, **how).stats["evaluations"] == whole.stats["evaluations"]

    @pytest.mark.parametrize("name", ["dopri5", "bosh3"])
    def test_on_another_batch_begins_with_its_own_slope(self, name):
        # rejects: the FSAL slope of the old batch as the first stage on the new one
        how = {"t_span": (0.0, 1.0), "h": Adaptive(rtol=1e-4, atol=1e-4)}
        first, second = (torch.full((4, 1), x, dtype=torch.float64) for x in (1.0, 3.0))
        part = gd.solve(pulled(), name, batch=first, observers=[lambda v: v.step == 2], **how)
        on = gd.solve(pulled(), name, batch=second, resume=part, observers=[lambda v: v.step == 3], **how)
        h = on.t - part.t
        fresh = gd.solve(pulled(), name, batch=second, y0=part.state, h=h, steps=1)
        torch.testing.assert_close(on.state.y, fresh.state.y, rtol=0, atol=1e-13)

    def test_attempts_are_counted_anew(self):
        # rejects: max_steps of a resumed run used up by the steps before
        part = gd.solve(
            dirac(), "dopri5", t_span=(0.0, END), h=Adaptive(rtol=1e-5, atol=1e-5, max_steps=6), throw=False
        )
        assert part.status == "too_many_steps"
        on = gd.solve(
            dirac(),
            "dopri5",
            t_span=(0.0, END),
            h=Adaptive(rtol=1e-5, atol=1e-5, max_steps=6),
            throw=False,
            resume=part,
        )
        assert on.step > part.step

    def test_saves_and_dense_output_reach_back(self):
        # rejects: dense output from the resumption only, times already saved refused
        how = {
            "t_span": (0.0, END),
            "h": Adaptive(rtol=1e-6, atol=1e-6),
            "dense": True,
            "save_at": (0.0, 0.4, END),
        }
        whole = gd.solve(dirac(), "dopri5", **how)
        part = gd.solve(dirac(), "dopri5", observers=[lambda v: v.step == whole.step // 2], **how)
        on = gd.solve(dirac(), "dopri5", resume=part, **how)
        assert torch.equal(on.dense.t, whole.dense.t)
        for when in np.linspace(0.0, END, 13).tolist():
            assert torch.equal(on.dense(when), whole.dense(when))
        assert set(on.saved) == set(whole.saved) == {0.0, 0.4, END}
        with pytest.raises(gd.ArgumentError, match=r"save_at: expected times .*0\.1"):
            gd.solve(dirac(), "dopri5", resume=part, **{**how, "save_at": (0.1,)})

    def test_on_batches(self):
        control = Adaptive(rtol=1e-2, atol=1e-2, noise_every=1000)
        how = {"t_span": (0.0, 2.0), "h": control}
        whole = gd.solve(pulled(), "bosh3", batches=noisy(0.1), **how)
        part = gd.solve(pulled(), "bosh3", batches=noisy(0.1), observers=[lambda v: v.step == 3], **how)
        resumed = gd.solve(pulled(), "bosh3", batches=noisy(0.1), resume=part, **how)
        assert torch.equal(resumed.state.y, whole.state.y)
        assert resumed.stats["batches"] == whole.stats["batches"]

    def test_a_finished_run_goes_further(self):
        control = Adaptive(rtol=1e-8, atol=1e-8)
        part = gd.solve(rotation(), "dopri5", t_span=(0.0, 1.0), h=control)
        run = gd.solve(rotation(), "dopri5", t_span=(0.0, 3.0), h=control, resume=part)
        assert run.t == 3.0
        torch.testing.assert_close(run.state.y, turned(3.0), rtol=0, atol=1e-6)
        assert run.stats["integrated_time"] == pytest.approx(3.0)


WITHOUT = [n for n, m in OWN.items() if getattr(m, "embedded_order", None) is None]


@pytest.mark.parametrize("name", WITHOUT)
def test_methods_without_an_embedded_one_are_refused(name):
    # rejects: an estimate made of nothing
    with pytest.raises(gd.ArgumentError, match="embedded"):
        gd.solve(dirac(), name, t_span=(0.0, 1.0), h=Adaptive(rtol=1e-3))


@pytest.mark.parametrize("name", ["torchdiffeq:dopri5", "scipy:RK45", "normalised", "torch.optim:Adam"])
def test_so_are_bridges_and_maps(name):
    with pytest.raises(gd.ArgumentError, match="embedded"):
        gd.solve(dirac(), name, t_span=(0.0, 1.0), h=Adaptive(rtol=1e-3))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"rtol": 0.0}, "at least one above 0"),
        ({"rtol": -1e-3}, "rtol"),
        ({"rtol": 1e-3, "atol": float("nan")}, "atol"),
        ({"rtol": float("inf")}, "rtol"),
        ({"rtol": 1e-3, "filter": "pi"}, "filter"),
        ({"rtol": 1e-3, "norm": "max"}, "norm"),
        ({"rtol": 1e-3, "safety": 0.0}, "safety"),
        ({"rtol": 1e-3, "grow": 0.9}, "grow"),
        ({"rtol": 1e-3, "shrink": 1.5}, "shrink"),
        ({"rtol": 1e-3, "h_min": 1.0, "h_max": 0.5}, "h_max"),
        ({"rtol": 1e-3, "max_steps": 0}, "max_steps"),
        ({"rtol": 1e-3, "noise_every": 0}, "noise_every"),
    ],
)
def test_bad_settings(how, match):
    with pytest.raises(gd.ArgumentError, match=match):
        Adaptive(**how)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"steps": 10, "t_span": (0.0, 1.0)}, "t_span"),
        ({}, "t_span"),
        ({"t_span": (1.0, 1.0)}, "t_span"),
        ({"t_span": (0.0, 1.0), "h": -0.1}, "h"),
        ({"t_span": (0.0, 1.0), "h": None}, "Adaptive"),
        ({"t_span": (0.0, 1.0), "sampling": "fresh"}, "sampling"),
    ],
)
def test_bad_arguments(how, match):
    given = {"h": Adaptive(rtol=1e-3), **how}
    with pytest.raises(gd.ArgumentError, match=match):
        gd.solve(dirac(), "dopri5", **given)


def test_user_made_pairs_adapt_too(exact):
    # an embedded method on one's own coefficients: Heun-Euler with fractions
    pair = RungeKutta(A=[[], [1]], b=["1/2", "1/2"], b_hat=[1, 0])
    run = gd.solve(dirac(), pair, t_span=(0.0, END), h=Adaptive(rtol=1e-5, atol=1e-5))
    assert float((run.state.y - exact).norm()) < 1e-3


@pytest.mark.parametrize("start", [(0.0, 1.0), (0.0, 0.0)])
def test_a_first_step_where_components_begin_at_zero(start):
    # rejects: |v_i| / (rtol |y_i|) of a component that is 0, which makes the first step 0 (and divides by it)
    like = gd.games.bilinear()
    flow = gd.flows.custom(lambda t, s, b: {"x": 1 - s["x"], "y": -s["y"]}, like=like)
    y0 = torch.tensor(start, dtype=torch.float64)
    run = gd.solve(flow, "dopri5", y0=y0, t_span=(0.0, 1.0), h=gd.steps.Adaptive(rtol=1e-6))
    exact = torch.tensor([1 - math.exp(-1), start[1] * math.exp(-1)], dtype=torch.float64)
    torch.testing.assert_close(run.state.y, exact, rtol=0, atol=1e-5)
