"""Runs by adaptive steps: dense output, failure, going on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Adaptive
from tests.integrators.adapted import DOUBLE, END, FILTERS, dirac, noisy, pulled, rotation, turned


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
