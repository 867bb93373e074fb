"""Adaptive steps on batches: FSAL and rejected steps keep to their batch; noise that no tolerance removes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Adaptive, NoiseWarning
from gamedyn.jacobian import FrozenField as Field
from tests.integrators.adapted import DOUBLE, END, FSAL, OWN, dirac, noisy, pulled


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
