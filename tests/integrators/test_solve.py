"""The driving loop: spans, saves, callbacks, records, resume, interrupts, sampling."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64


def rotation():
    return gd.flows.gradient(gd.games.bilinear())


def exact(t):
    """(1, 1) rotated: J = [[0, -1], [1, 0]]."""
    return torch.tensor([math.cos(t) - math.sin(t), math.sin(t) + math.cos(t)], dtype=DOUBLE)


class TestSpan:
    def test_span_is_divided_into_steps(self):
        run = gd.solve(rotation(), "rk4", h=0.01, t_span=(0.0, 1.0))
        assert (run.step, run.t, run.status) == (100, pytest.approx(1.0, abs=1e-14), "done")
        torch.testing.assert_close(run.state.y, exact(1.0), rtol=0, atol=1e-9)

    def test_a_last_step_that_does_not_fit_is_shortened(self):
        # rejects: a full step beyond the end, a dropped rest
        run = gd.solve(rotation(), "rk4", h=0.03, t_span=(2.0, 3.0))
        assert run.step == 34
        assert run.t == pytest.approx(3.0, abs=1e-13)
        torch.testing.assert_close(run.state.y, exact(1.0), rtol=0, atol=1e-6)

    def test_time_starts_where_the_span_does(self):
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0 + t, "y": s["y"] * 0}, like=gd.games.bilinear())
        run = gd.solve(flow, "midpoint", h=0.1, t_span=(2.0, 3.0))
        assert float(run.state.y[0]) == pytest.approx(1 + (9 - 4) / 2, abs=1e-13)

    def test_resume_keeps_the_clock_of_a_span(self, tmp_path):
        # rejects: a start recomputed as t - n h, which is off by rounding
        flow = gd.flows.custom(lambda t, s, _: {"x": -s["y"] * math.cos(t), "y": s["x"]}, like=gd.games.bilinear())
        whole = gd.solve(flow, "ab3", h=0.1, t_span=(1.0, 3.0))
        gd.solve(flow, "ab3", h=0.1, t_span=(1.0, 1.7)).save(tmp_path / "r.pt")
        resumed = gd.solve(flow, "ab3", h=0.1, steps=20, resume=tmp_path / "r.pt")
        assert torch.equal(whole.state.y, resumed.state.y)
        assert whole.t == resumed.t
        assert resumed.stats["integrated_time"] == pytest.approx(2.0)

    @pytest.mark.parametrize("start", [0.0, 0.1, 1.0, -0.7])
    @pytest.mark.parametrize("by", ["steps", "t_span"])
    def test_a_resumed_clock_is_the_same_to_the_bit_wherever_it_is_cut(self, start, by):
        # rejects: a start taken back from the run's time, t - n h, which is off by rounding at some n
        flow, end = rotation(), start + 40 * 0.1
        whole = gd.solve(flow, "euler", h=0.1, t_span=(start, end))
        assert whole.step == 40
        for cut in range(1, 40):
            part = gd.solve(flow, "euler", h=0.1, t_span=(start, start + cut * 0.1))
            assert part.step == cut
            goal = {"steps": 40} if by == "steps" else {"t_span": (start, end)}
            resumed = gd.solve(flow, "euler", h=0.1, resume=part, **goal)
            assert resumed.t == whole.t
            assert torch.equal(resumed.records.t, whole.records.t)

    @pytest.mark.parametrize("how", [{}, {"steps": 3, "t_span": (0, 1)}, {"t_span": (1.0, 1.0)}, {"steps": 0}])
    def test_refusals(self, how):
        with pytest.raises(gd.ArgumentError, match=r"steps|t_span"):
            gd.solve(rotation(), "rk4", h=0.1, **how)


ONE_STEP = [
    *("rk4", "ck54", "strang_midpoint", "rk4_penalty_every_stage", "gauss4", "kvaerno3", "rodas3", "exprb32"),
    *("implicit_midpoint", "cgd", "torchdiffeq:rk4", "scipy:RK45"),
]


class TestEveryFamily:
    @pytest.mark.parametrize("method", ONE_STEP)
    def test_one_step_methods_shorten_the_last_step(self, method):
        # rejects: a full step beyond the end, h kept by the stepper
        run = gd.solve(rotation(), method, h=0.03, t_span=(2.0, 2.1))
        assert (run.step, run.t) == (4, pytest.approx(2.1, abs=1e-14))
        rest = gd.solve(rotation(), method, h=lambda step: (0.03, 0.03, 0.03, 0.01)[step], steps=4)
        torch.testing.assert_close(run.state.y, rest.state.y, rtol=0, atol=1e-9)

    @pytest.mark.parametrize("method", [*ONE_STEP, "bdf2", "am4", "pece_ab2_am3", "heavy_ball", "lookahead_optimistic"])
    def test_saved_states_callbacks_and_records(self, method):
        seen = []
        run = gd.solve(
            rotation(),
            method,
            h=0.1,
            steps=6,
            save_at=[0.2, 0.6],
            observers=[lambda v: seen.append((v.step, v.t, v.state.y, v.losses))],
        )
        assert [s[0] for s in seen] == [1, 2, 3, 4, 5, 6]
        assert [s[1] for s in seen] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        assert torch.equal(seen[1][2], run.saved[0.2].y)
        assert torch.equal(run.saved[0.6].y, run.state.y)
        for n in range(1, 6):  # losses at the step's first evaluation: where the step before ended
            x, y = seen[n - 1][2]
            if method not in ("bdf2", "am4"):  # whose first iterate is the formula's known part
                assert float(run.records.losses["x"][n]) == pytest.approx(float(x * y), rel=1e-12)
            assert seen[n][3]["x"] == run.records.losses["x"][n]

    def test_counts_of_implicit_runs_are_summed_over_a_restart(self):
        whole = gd.solve(rotation(), "gauss4", h=0.3, steps=6)
        part = gd.solve(rotation(), "gauss4", h=0.3, steps=2)
        resumed = gd.solve(rotation(), "gauss4", h=0.3, steps=6, resume=part)
        for key in ("newton_iterations", "krylov_products", "products", "evaluations"):
            assert whole.stats[key] == resumed.stats[key] > 0

    @pytest.mark.parametrize(
        ("method", "shown"), [("ab3", "stale"), ("bdf2", "stale"), ("rk4", "none"), ("gauss4", "none")]
    )
    def test_the_run_tells_its_history(self, method, shown):
        assert gd.solve(rotation(), method, h=0.1, steps=4).stats["history"] == shown


class TestSaves:
    def test_states_at_the_times_asked_for(self):
        run = gd.solve(rotation(), "rk4", h=0.01, t_span=(0.0, 1.0), save_at=[0.0, 0.25, 1.0])
        assert sorted(run.saved) == [0.0, 0.25, 1.0]
        for t, state in run.saved.items():
            torch.testing.assert_close(state.y, exact(t), rtol=0, atol=1e-9)
        assert torch.equal(run.saved[1.0].y, run.state.y)

    def test_the_end_of_a_shortened_step(self):
        run = gd.solve(rotation(), "rk4", h=0.03, t_span=(0.0, 1.0), save_at=[0.99, 1.0])
        torch.testing.assert_close(run.saved[0.99].y, exact(0.99), rtol=0, atol=1e-6)
        torch.testing.assert_close(run.saved[1.0].y, exact(1.0), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("times", [[1.5], [-0.1]])
    def test_other_times_are_refused(self, times):
        with pytest.raises(gd.ArgumentError, match="save_at"):
            gd.solve(rotation(), "rk4", h=0.01, steps=100, save_at=times)


class TestCallback:
    def test_sees_states_and_stops(self):
        seen = []

        def on_step(view):
            seen.append((view.step, view.t, float(view.state["x"]), sorted(view.losses)))
            return view.step == 6

        run = gd.solve(rotation(), "euler", h=0.5, steps=50, observers=[gd.Every(steps=2)(on_step)])
        assert [s[0] for s in seen] == [2, 4, 6]
        assert [s[1] for s in seen] == [1.0, 2.0, 3.0]
        assert seen[-1][2] == float(run.state["x"])
        assert seen[0][3] == ["x", "y"]
        assert (run.status, run.step) == ("stopped", 6)

    def test_what_it_does_to_the_state_is_its_own_affair_only(self):
        kept = []
        run = gd.solve(rotation(), "rk4", h=0.1, steps=5, observers=[lambda v: kept.append(v.state)])
        assert not torch.equal(kept[0].y, kept[-1].y)
        assert torch.equal(kept[-1].y, run.state.y)


def test_records_are_the_losses_before_each_recorded_step():
    # rejects: losses of the last stage, or after the step; every ignored
    run = gd.solve(rotation(), "rk4", h=0.1, steps=7, every=3, save_at=[0.0, 0.3, 0.6])
    assert run.records.step.tolist() == [0, 3, 6]
    torch.testing.assert_close(run.records.t, torch.tensor([0.0, 0.3, 0.6], dtype=DOUBLE))
    for i, t in enumerate((0.0, 0.3, 0.6)):
        x, y = run.saved[t].y
        assert float(run.records.losses["x"][i]) == float(x * y)
        assert float(run.records.losses["y"][i]) == -float(x * y)


def test_progress_is_silent_when_not_on_a_terminal(capsys):
    gd.solve(rotation(), "rk4", h=0.1, steps=3, progress=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_h_as_a_function_of_the_step():
    sizes = [0.1, 0.3, 0.2, 0.05]
    run = gd.solve(rotation(), "heun2", h=sizes.__getitem__, steps=4)
    y = torch.ones(2, dtype=DOUBLE)
    J = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=DOUBLE)
    for h in sizes:
        y = y + h * J @ y + h * h / 2 * J @ (J @ y)
    torch.testing.assert_close(run.state.y, y, rtol=0, atol=1e-15)
    assert run.t == pytest.approx(sum(sizes))
    part = gd.solve(rotation(), "heun2", h=sizes.__getitem__, steps=2)
    whole = gd.solve(rotation(), "heun2", h=sizes.__getitem__, steps=4, resume=part)
    assert torch.equal(whole.state.y, run.state.y)
    assert whole.stats["integrated_time"] == pytest.approx(sum(sizes))


class TestResume:
    def test_steps_count_those_already_done(self):
        first = gd.solve(rotation(), "ab2", h=0.1, steps=4)
        assert gd.solve(rotation(), "ab2", h=0.1, steps=9, resume=first).step == 9
        assert first.step == 4
        with pytest.raises(gd.ArgumentError, match="already done"):
            gd.solve(rotation(), "ab2", h=0.1, steps=3, resume=first)

    def test_a_run_can_be_gone_on_from_twice(self):
        # rejects: the resumed solve writing into the run it came from
        first = gd.solve(rotation(), "ab3", h=0.1, steps=5)
        a, b = (gd.solve(rotation(), "ab3", h=0.1, steps=9, resume=first).state.y for _ in range(2))
        assert torch.equal(a, b)

    def test_refusals(self, tmp_path):
        first = gd.solve(rotation(), "ab3", h=0.1, steps=4)
        with pytest.raises(gd.ArgumentError, match="method: ab2, got method: ab3"):
            gd.solve(rotation(), "ab2", h=0.1, steps=9, resume=first)
        ab2 = gd.solve(rotation(), "ab2", h=0.1, steps=4)
        for past, method in ((first, "ab2"), (ab2, "optimistic")):
            with pytest.raises(gd.ArgumentError, match="same method"):
                gd.solve(rotation(), method, h=0.1, steps=9, resume=past, allow=["method"])
        with pytest.raises(gd.ArgumentError, match="y0"):
            gd.solve(rotation(), "ab3", h=0.1, steps=9, resume=first, y0={"x": torch.ones(1), "y": torch.ones(1)})
        first.save(tmp_path / "r.pt")
        other = gd.flows.gradient(gd.games.rotation(3))
        with pytest.raises(gd.ArgumentError, match="at place 1"):
            gd.solve(other, "ab3", h=0.1, steps=9, resume=tmp_path / "r.pt")
        with pytest.raises(gd.ArgumentError, match="path"):
            gd.solve(rotation(), "ab3", h=0.1, steps=9, resume=tmp_path / "none.pt")
        (tmp_path / "junk.pt").write_text("not a run")
        with pytest.raises(gd.ArgumentError, match="path"):
            gd.solve(rotation(), "ab3", h=0.1, steps=9, resume=tmp_path / "junk.pt")
        with pytest.raises(gd.ArgumentError, match="folder"):
            first.save(tmp_path / "no" / "such" / "folder.pt")


SCRIPT = """
import time, torch, gamedyn as gd
torch.set_num_threads(1)
game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
inner = game.losses
game.losses = lambda theta, psi, batch: (time.sleep(0.0005), inner(theta * batch.mean(), psi))[1]
stream = gd.batches(torch.linspace(0.5, 1.5, 10, dtype=torch.float64)[:, None], batch_size=3, seed=1)
tell = lambda view: print("going", flush=True) if view.step == 20 else None
how = dict(h=0.05, batches=stream, check_every=10, checkpoint="run", observers=[tell])
gd.solve(gd.flows.gradient(game), "ab3", steps=10**7, **how)
"""


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_goes_on_bit_for_bit(tmp_path):
    """A real process, a real SIGINT: what it leaves is resumed and equals the uninterrupted run."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # whatever started the tests ignores
    )
    try:
        assert process.stdout.readline().strip() == b"going"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert b"KeyboardInterrupt" in err
    game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
    inner = game.losses
    game.losses = lambda theta, psi, batch: inner(theta * batch.mean(), psi)
    flow = gd.flows.gradient(game)
    left = gd.Run.load(tmp_path / "run", flow)
    assert left.status == "interrupted"
    assert left.step > 0
    assert left.step % 10 == 0

    def stream():
        return gd.batches(torch.linspace(0.5, 1.5, 10, dtype=DOUBLE)[:, None], batch_size=3, seed=1)

    # rejects: batches standing where the process was, not where the kept state was; the losses here are other code
    steps = left.step + 25
    resumed = gd.solve(flow, "ab3", h=0.05, steps=steps, batches=stream(), resume=tmp_path / "run", allow=["code"])
    whole = gd.solve(flow, "ab3", h=0.05, steps=steps, batches=stream())
    assert torch.equal(resumed.state.y, whole.state.y)
    assert torch.equal(resumed.records.step, whole.records.step)
    assert torch.equal(resumed.records.losses["D"], whole.records.losses["D"])


def test_an_exception_leaves_a_checkpoint_too(tmp_path):
    flow, path = rotation(), tmp_path / "run"

    def on_step(view):
        if view.step == 27:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gd.solve(flow, "ab3", h=0.1, steps=100, observers=[on_step], checkpoint=path, check_every=5)
    left = gd.Run.load(path, flow)
    assert (left.status, left.step) == ("interrupted", 25)
    resumed = gd.solve(flow, "ab3", h=0.1, steps=40, resume=path)
    assert torch.equal(resumed.state.y, gd.solve(flow, "ab3", h=0.1, steps=40).state.y)


class TestSampling:
    """numerics.md section 8: cyclic batches against the mean-field ODE."""

    def flow(self):
        inner = gd.games.dirac_gan("nonsaturating", "r1", 0.5)

        def losses(theta, psi, batch):
            base = inner.losses(theta, psi)
            return {"G": base["G"] + batch * theta.sum(), "D": base["D"] - batch * (psi * theta).sum()}

        return gd.flows.gradient(gd.Game(dict(inner.players), losses))

    def cyclic(self):
        step = 0
        while True:
            yield torch.tensor(0.7 if step % 2 == 0 else -0.3, dtype=DOUBLE)
            step += 1

    def slope(self, method, sampling="frozen", end=4.0):
        mean = torch.tensor(0.2, dtype=DOUBLE)
        exact = gd.solve(self.flow(), "rk4", h=end / 400, steps=400, batch=mean).state.y
        errors = []
        for n in (256, 512):
            run = gd.solve(self.flow(), method, h=end / n, steps=n, batches=self.cyclic(), sampling=sampling)
            errors.append(float((run.state.y - exact).norm()))
        return math.log2(errors[0] / errors[1])

    @pytest.mark.parametrize("method", ["euler", "heun2", "rk4", "ab2"])
    def test_a_frozen_step_is_first_order_against_the_mean_field(self, method):
        # rejects: the claim that rk4 is more accurate than Euler on mini-batches
        assert self.slope(method) == pytest.approx(1.0, abs=0.05)

    def test_full_batch_rk4_keeps_its_order(self):
        mean = torch.tensor(0.2, dtype=DOUBLE)
        exact = gd.solve(self.flow(), "rk4", h=4 / 1000, steps=1000, batch=mean).state.y
        errors = [
            float((gd.solve(self.flow(), "rk4", h=4 / n, steps=n, batch=mean).state.y - exact).norm()) for n in (32, 64)
        ]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.2)

    def test_fresh_draws_one_batch_an_evaluation_and_says_so(self):
        drawn = []

        def batches():
            for b in self.cyclic():
                drawn.append(float(b))
                yield b

        run = gd.solve(self.flow(), "rk4", h=0.1, steps=5, batches=batches(), sampling="fresh")
        assert len(drawn) == run.stats["batches"] == run.stats["evaluations"] == 20
        assert "voids the order" in run.stats["sampling"]
        assert drawn[:4] == [0.7, -0.3, 0.7, -0.3]

    def test_fresh_euler_is_frozen_euler(self):
        # rejects: a batch drawn for the step and thrown away (of two batches, Euler would see one only)
        a, b = (
            gd.solve(self.flow(), "euler", h=0.1, steps=6, batches=self.cyclic(), sampling=s).state.y
            for s in ("fresh", "frozen")
        )
        assert torch.equal(a, b)


@pytest.mark.parametrize("saved", [False, True])
def test_a_run_of_another_game_or_precision_is_not_resumed(saved, tmp_path):
    # rejects: a Run object taken for its numbers alone; memory in float32 beside a field in float64
    def flow(names, dtype):
        made = [torch.nn.Linear(2, 2, dtype=dtype) for _ in names]
        players = dict(zip(names, made, strict=True))
        losses = lambda *modules: {n: m.weight.square().sum() for n, m in zip(names, modules, strict=True)}  # noqa: E731
        return gd.flows.gradient(gd.Game(players, losses))

    run = gd.solve(flow("GD", torch.float32), "rk4", h=0.1, steps=1)
    run.save(tmp_path / "run.pt")
    given = tmp_path / "run.pt" if saved else run
    with pytest.raises(gd.ArgumentError, match="at place 1"):
        gd.solve(flow("DG", torch.float32), "rk4", h=0.1, steps=2, resume=given)
    with pytest.raises(gd.ArgumentError, match=r"float32.*allow"):
        gd.solve(flow("GD", torch.float64), "rk4", h=0.1, steps=2, resume=given)
