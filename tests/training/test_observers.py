"""Observers of training: what they write and keep, and that they go on where a run does."""

from __future__ import annotations

import itertools
import json
import math
import os

import numpy as np
import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn.training import Sampler, data, models, scores
from gamedyn.training.observers import EMA, Best, Budget, Recorder, Samples, Score, Stability, grid, read_records


class Setting:
    """A small GAN on a mixture, with batch norm in its generator."""

    def __init__(self):
        self.data = data.load("mixture", count=640)
        self.pair = models.build("mlp", (2,), latent=3, widths=(8,))
        body = self.pair.generator.body
        self.pair.generator.body = nn.Sequential(*body, nn.BatchNorm1d(8))
        self.game = gd.games.gan(self.pair.generator, self.pair.discriminator)
        self.flow = gd.flows.gradient(self.game)
        self.sampler = Sampler(self.game, 3)

    def solve(self, observers, steps=20, **more):
        stream = self.data.batches(32, latent=3)
        return gd.solve(self.flow, "heun2", h=0.05, steps=steps, batches=stream, observers=observers, **more)


@pytest.fixture
def setting():
    return Setting()


def states(setting, steps=20):
    seen = []
    setting.solve([lambda view: seen.append(view.state)], steps)
    return seen


class TestEMA:
    def test_is_the_recursion(self, setting):
        # rejects: 2^(1/half_life), an average that begins at 0, buffers of the last step
        average = EMA(half_life=4)
        setting.solve([average])
        seen = states(setting)
        y, buffers = seen[0].y, list(seen[0].buffers)
        for state in seen[1:]:
            y = y + (1 - 2**-0.25) * (state.y - y)
            buffers = [
                b + (1 - 2**-0.25) * (x - b) if b.is_floating_point() else x
                for b, x in zip(buffers, state.buffers, strict=True)
            ]
        torch.testing.assert_close(average.state.y, y, rtol=1e-6, atol=1e-7)
        for a, b in zip(average.state.buffers, buffers, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
        assert any(not b.is_floating_point() for b in buffers)

    def test_half_lives_in_images_and_rare_looks_are_the_same_average_of_a_line(self):
        # after d half-lives the first state has the weight 2^-d, however often it is looked at
        game = gd.Game({"x": torch.zeros(1, dtype=torch.float64)}, lambda x, batch: {"x": -x.sum()})
        for every, half in ((1, 8), (4, 8), (1, gd.Every(images=40))):
            average = EMA(half, every=every, start=4)
            stream = gd.batches(torch.zeros(10, 1), batch_size=5)
            gd.solve(gd.flows.gradient(game), "euler", h=1.0, steps=4, batches=stream, observers=[average])
            assert float(average.state.y) == 4.0  # the state itself, until step 4
            stream = gd.batches(torch.zeros(10, 1), batch_size=5)
            gd.solve(gd.flows.gradient(game), "euler", h=1.0, steps=12, batches=stream, observers=[average])
            if every == 4:
                expected = 4.0
                for step in (8, 12):
                    expected += (1 - 2**-0.5) * (step - expected)
                assert float(average.state.y) == pytest.approx(expected)

    def test_goes_on_with_a_resumed_run(self, setting, tmp_path):
        whole, first, second = EMA(5), EMA(5), EMA(5)
        setting.solve([whole], checkpoint=tmp_path / "a")
        setting.solve([first], 9, checkpoint=tmp_path / "b")
        setting.solve([second], resume=tmp_path / "b")
        assert torch.equal(whole.state.y, second.state.y)
        assert all(torch.equal(a, b) for a, b in zip(whole.state.buffers, second.state.buffers, strict=True))

    def test_a_half_life_in_seconds_is_refused(self):
        # rejects: an average that explodes where a resumed run's clock begins again
        with pytest.raises(gd.ArgumentError, match="half_life: expected steps, images"):
            EMA(gd.Every(seconds=1.0))
        with pytest.raises(gd.ArgumentError, match="start"):
            EMA(4, start=-1)

    def test_is_there_after_a_solve_with_no_step_left(self, setting, tmp_path):
        first, again = EMA(half_life=4), EMA(half_life=4)
        setting.solve([first], checkpoint=tmp_path)
        setting.solve([again], resume=tmp_path)
        assert torch.equal(first.state.y, again.state.y)
        assert all(torch.equal(a, b) for a, b in zip(first.state.buffers, again.state.buffers, strict=True))

    def test_its_state_is_the_game_s(self, setting):
        average = EMA(5)
        run = setting.solve([average])
        assert not torch.equal(setting.sampler(average.state, 4), setting.sampler(run.state, 4))


class Ledger:
    """A logger in the manner of wandb's run."""

    def __init__(self):
        self.rows, self.ended = [], False

    def log(self, values, step):
        self.rows.append((step, values))

    def finish(self):
        self.ended = True


class Down:
    """A logger whose server does not answer."""

    def log(self, values, step):
        raise ConnectionError("no answer")

    def finish(self):
        raise ConnectionError("no answer")


class TestRecorder:
    def test_a_logger_that_fails_does_not_end_the_run(self, setting, tmp_path):
        # rejects: a run lost by a network; other loggers and the file left without the row
        ledger = Ledger()
        recorder = Recorder(tmp_path / "r.jsonl", every=10, loggers=[Down(), ledger])
        with pytest.warns(UserWarning, match="Down failed .*no answer"):
            run = setting.solve([recorder], 20)
        with pytest.warns(UserWarning, match="Down failed"):
            recorder.finish()
        assert (run.status, len(ledger.rows), ledger.ended) == ("done", 2, True)
        assert len(read_records(tmp_path / "r.jsonl")) == 2

    def test_writes_a_line_at_once(self, setting, tmp_path):
        recorder, ledger = Recorder(tmp_path / "r.jsonl", every=5), Ledger()
        recorder.loggers.append(ledger)
        lengths = []
        look = gd.Every(steps=5)(lambda _: lengths.append(len(read_records(tmp_path / "r.jsonl"))))
        run = setting.solve([recorder, look])
        assert lengths == [1, 2, 3, 4]
        rows = read_records(tmp_path / "r.jsonl")
        assert [r["step"] for r in rows] == [5, 10, 15, 20]
        assert rows[-1]["images"] == 640
        assert rows[-1]["evaluations"] == run.stats["evaluations"]
        assert rows[0]["loss.G"] == pytest.approx(run.records.losses["G"][4])
        recorder.finish()
        assert ledger.ended
        assert [step for step, _ in ledger.rows] == [5, 10, 15, 20]

    def test_what_was_written_after_the_checkpoint_is_cut_off(self, setting, tmp_path):
        # rejects: rows twice, the clock beginning anew
        path = tmp_path / "r.jsonl"
        first = Recorder(path, every=2)
        setting.solve([first], 9, checkpoint=gd.Checkpoints(tmp_path / "c", every_steps=4), check_every=4)
        first.finish()
        (tmp_path / "c" / "step-000000000009.run").unlink()  # as if killed after the one before
        second = Recorder(path, every=2)
        setting.solve([second], 14, resume=tmp_path / "c")
        second.finish()
        rows = read_records(path)
        assert [r["step"] for r in rows] == [2, 4, 6, 8, 10, 12, 14]
        assert all(a["seconds"] < b["seconds"] for a, b in itertools.pairwise(rows))

    def test_what_is_not_finite_is_valid_json(self, tmp_path):
        recorder = Recorder(tmp_path / "r.jsonl")
        recorder.log({"a": math.inf, "b": torch.tensor(2.0), "c": np.float32(3)}, 7)
        recorder.log({"kind": "score", "d": 1}, 8)
        recorder.finish()
        text = (tmp_path / "r.jsonl").read_text()
        assert json.loads(text.splitlines()[0]) == {"step": 7, "a": None, "b": 2.0, "c": 3.0, "not_finite": ["a"]}
        assert read_records(tmp_path / "r.jsonl")[0]["a"] == math.inf
        assert [r["d"] for r in read_records(tmp_path / "r.jsonl", "score")] == [1]
        (tmp_path / "r.jsonl").write_text(text[:-5])  # a last line cut short
        assert read_records(tmp_path / "r.jsonl", "score") == []

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that takes nothing")
    def test_a_full_disk_warns_and_the_run_goes_on(self, setting):
        recorder, ledger = Recorder("/dev/full", every=10), Ledger()
        recorder.loggers.append(ledger)
        with pytest.warns(UserWarning, match="could not be written"):
            run = setting.solve([recorder])
        recorder.finish()
        assert run.step == 20
        assert len(ledger.rows) == 2

    def test_a_line_is_whole_or_not_there(self, tmp_path, monkeypatch):
        # a disk that fills in the middle of a line; rejects: half a line, with which the next is glued together
        recorder = Recorder(tmp_path / "r.jsonl")
        recorder.log({"a": 1}, 1)
        real = recorder._file

        class Filling:
            def __getattr__(self, name):
                return getattr(real, name)

            def write(self, line):
                if len(line) > 3:
                    return real.write(line[:3])
                raise OSError(28, "No space left on device")

        for step in (20, 21):  # twice: the file goes on where it ends
            recorder._file = Filling()
            with pytest.warns(UserWarning, match="No space left"):
                recorder.log({"a": step}, step)
            recorder._file = real
            assert recorder.state_dict()["bytes"] == (tmp_path / "r.jsonl").stat().st_size
        recorder.log({"a": 3}, 3)
        recorder.finish()
        assert [r["step"] for r in read_records(tmp_path / "r.jsonl")] == [1, 3]

    def test_a_file_that_was_cut_goes_on_with_a_whole_line(self, tmp_path):
        # rejects: the next line glued to half of one
        recorder = Recorder(tmp_path / "r.jsonl")
        for step in (1, 2):
            recorder.log({"a": 1.0}, step)
        place = recorder.state_dict()
        recorder.finish()
        os.truncate(tmp_path / "r.jsonl", place["bytes"] - 4)
        again = Recorder(tmp_path / "r.jsonl")
        again.load_state_dict(place)
        again.log({"a": 3.0}, 3)
        again.finish()
        assert [r["step"] for r in read_records(tmp_path / "r.jsonl")] == [1, 3]

    def test_a_file_that_cannot_be_written(self, tmp_path):
        with pytest.raises(gd.ArgumentError, match="can be written"):
            Recorder(tmp_path / "none" / "r.jsonl")

    def test_tensorboard(self, tmp_path):
        pytest.importorskip("tensorboard")
        board = gd.training.observers.TensorBoard(tmp_path)
        board.log({"loss.G": 1.5, "name": "x"}, 3)
        board.log({"kind": "score", "frechet": 2.5}, 3)
        board.finish()
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path))
        events.Reload()
        assert events.Scalars("score/frechet")[0].value == 2.5
        assert events.Scalars("loss.G")[0].step == 3


class TestSamples:
    def test_a_grid_by_hand(self):
        images = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 2, 2)
        sheet = grid(images, columns=2, scale=1)
        assert sheet.shape == (10, 10, 3)
        assert (sheet[2:4, 2:4] == 0).all()
        assert (sheet[2:4, 6:8] == 128).all()
        assert (sheet[6:8, 2:4] == 255).all()
        assert (sheet[:2] == 255).all()  # the gap
        assert (grid(torch.full((1, 3, 2, 2), math.nan), scale=1)[2:4, 2:4] == 0).all()
        with pytest.raises(gd.ArgumentError, match="1 or 3"):
            grid(torch.zeros(1, 2, 4, 4))

    @pytest.mark.parametrize("shape", [(1, 4, 4), (2,), (5,)])
    def test_pictures_and_an_animation(self, tmp_path, shape):
        from PIL import Image

        pair = models.build("mlp", shape, latent=2, widths=(4,))
        game = gd.games.gan(pair.generator, pair.discriminator)
        real = torch.randn(16, *shape)
        shown = Samples(tmp_path / "s", Sampler(game, 2), every=2, count=6, real=real)
        stream = gd.batches(real, latent=2, batch_size=8)
        gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=6, batches=stream, observers=[shown])
        shown.finish()
        assert len(list((tmp_path / "s").glob("step-*.png"))) == 3
        with Image.open(tmp_path / "s" / "animation.gif") as moving:
            assert moving.n_frames == 3

    def test_labels_are_drawn_as_the_data_have_them(self, setting):
        # rejects: one label for all
        pair = models.build("mlp", (2,), latent=3, widths=(8,), classes=4)
        game = gd.games.gan(pair.generator, pair.discriminator, conditional=True)
        labels = torch.tensor([0, 1, 1, 3])
        given = torch.cat([labels for _, labels in Sampler(game, 3, labels=labels).given(4000)])
        shares = torch.bincount(given, minlength=4) / 4000
        torch.testing.assert_close(shares, torch.tensor([0.25, 0.5, 0.0, 0.25]), rtol=0, atol=0.03)

    def test_noise_is_the_same_and_the_players_as_they_were(self, setting):
        run, modes = setting.solve([]), [m.training for m in setting.pair.generator.modules()]
        before = setting.game.state()
        assert torch.equal(setting.sampler(run.state, 5), setting.sampler(run.state, 5))
        assert torch.equal(setting.game.state().y, before.y)
        assert [m.training for m in setting.pair.generator.modules()] == modes
        with pytest.raises(gd.ArgumentError, match="'H'"):
            Sampler(setting.game, 3, player="H")


class TestScore:
    def scorer(self, setting):
        return scores.Scorer(setting.data, ["frechet", "modes"], count=200)

    def test_of_the_weights_and_of_their_average(self, setting, tmp_path):
        average, ledger = EMA(4), Ledger()
        score = Score(self.scorer(setting), setting.sampler, every=10, ema=average, to=[ledger])
        run = setting.solve([average, score])
        assert [r["step"] for r in score.results] == [10, 20]
        found = score.scorer(setting.sampler(run.state, 200))
        assert score.results[-1]["frechet"] == pytest.approx(found["frechet"], rel=1e-12)
        mean = score.scorer(setting.sampler(average.state, 200))
        assert score.results[-1]["ema.frechet"] == pytest.approx(mean["frechet"], rel=1e-12)
        assert "ema.floor.frechet" not in score.results[-1]
        assert ledger.rows[0][1]["kind"] == "score"

    def test_does_not_change_the_run(self, setting):
        plain = setting.solve([])
        watched = setting.solve([Score(self.scorer(setting), setting.sampler, every=5)])
        assert torch.equal(plain.state.y, watched.state.y)
        assert all(torch.equal(a, b) for a, b in zip(plain.state.buffers, watched.state.buffers, strict=True))

    @pytest.mark.slow
    def test_in_a_process_of_its_own_it_is_the_same(self, setting, tmp_path):
        # rejects: the weights of a later step, an average that has gone on
        average, other = EMA(4), EMA(4)
        here = Score(self.scorer(setting), setting.sampler, every=10, ema=average)
        setting.solve([average, here])
        there = Score(self.scorer(setting), setting.sampler, every=10, ema=other, background=True)
        best = Best(there, tmp_path)
        seen = {}
        keep = gd.Every(steps=10)(lambda view: seen.update({view.step: [b.clone() for b in other.state.buffers]}))
        setting.solve([other, there, best, keep])
        assert there.state_dict()["pending"] or there.results
        there.finish()
        kept = gd.State.load(tmp_path / "best.state", setting.game)
        for b, x in zip(kept.buffers, seen[best.step], strict=True):
            assert torch.equal(b, x)
        for a, b in zip(here.results, there.results, strict=True):
            assert a["step"] == b["step"]
            assert a["ema.frechet"] == pytest.approx(b["ema.frechet"], rel=1e-4)  # one thread there
        assert best.step in (10, 20)

    @pytest.mark.slow
    def test_what_was_being_taken_when_a_run_ended_is_taken_again(self, setting, tmp_path):
        # rejects: a score that is lost, or of another step's weights; one forgotten by a second end before it is taken
        average, here, there = EMA(4), Score(self.scorer(setting), setting.sampler, every=10), Ledger()
        background = Score(self.scorer(setting), setting.sampler, every=10, ema=average, background=True)
        setting.solve([average, here, background], 10)
        left = background.state_dict()
        background.finish()
        assert [p["row"]["step"] for p in left["pending"]] == [10]
        twice = Score(self.scorer(setting), setting.sampler)
        twice.load_state_dict(left)
        again = Score(self.scorer(setting), setting.sampler, to=[there])
        again.load_state_dict(twice.state_dict())
        again.finish()
        assert again.results[0]["frechet"] == pytest.approx(here.results[0]["frechet"], rel=1e-4)  # one thread there
        assert again.results[0]["ema.frechet"] == pytest.approx(background.results[0]["ema.frechet"], rel=1e-4)
        assert (there.rows[0][0], there.rows[0][1]["kind"]) == (10, "score")

    def test_best_waits_for_an_average_and_refuses_one_that_never_comes(self, setting, tmp_path):
        # rejects: a KeyError in the middle of a run
        average = EMA(4, every=15)
        score = Score(self.scorer(setting), setting.sampler, every=10, ema=average)
        best = Best(score, tmp_path)
        setting.solve([average, score, best], 30)
        assert best.step in (20, 30)
        with pytest.raises(gd.ArgumentError, match="there is no average"):
            Best(Score(self.scorer(setting), setting.sampler), tmp_path, "ema.frechet")

    def test_best_keeps_the_best_state(self, setting, tmp_path):
        # rejects: the last one, the largest distance
        score = Score(self.scorer(setting), setting.sampler, every=5)
        best = Best(score, tmp_path)
        run = setting.solve([score, best], 40)
        values = [r["frechet"] for r in score.results]
        assert best.value == min(values)
        kept = gd.State.load(tmp_path / "best.state", setting.game)
        again = score.scorer(setting.sampler(kept, 200))["frechet"]
        assert again == pytest.approx(min(values), rel=1e-12)
        assert run.step == 40
        with pytest.raises(gd.ArgumentError, match="did you mean 'frechet'"):
            Best(score, tmp_path, "frechett")
        modes = Best(score, tmp_path, "modes")
        modes.hear({"modes": 3, "step": 1}, run.state, None)
        modes.hear({"modes": 5, "step": 2}, run.state, None)
        assert modes.value == 5


def test_stability_is_the_monitor_s(setting):
    ledger = Ledger()
    batch = next(setting.data.batches(64, latent=3))
    seen = Stability(setting.flow, "heun2", batch, every=10, k=2, to=[ledger])
    setting.solve([seen])
    assert [step for step, _ in ledger.rows] == [10, 20]
    record = seen.monitor.records[-1]
    assert ledger.rows[-1][1]["ratio"] == record.ratios["damped"]
    assert ledger.rows[-1][1]["leftmost"] == pytest.approx(record.eigenvalues.real.min())


@pytest.mark.parametrize("kinds", [("leftmost", "largest_modulus"), ("leftmost", "rightmost", "largest_imaginary")])
def test_stability_says_nothing_of_what_was_not_looked_for(setting, kinds):
    # rejects: 0 growing modes where the rightmost eigenvalues were never asked for
    ledger, batch = Ledger(), next(setting.data.batches(64, latent=3))
    seen = Stability(setting.flow, "heun2", batch, every=20, k=2, kinds=kinds, to=[ledger])
    setting.solve([seen])
    ((_, row),) = ledger.rows
    if "rightmost" in kinds:
        assert row["growing"] == len(seen.monitor.records[-1].growing)
        assert row["largest_imaginary"] == pytest.approx(np.abs(seen.monitor.records[-1].eigenvalues.imag).max())
    else:
        assert row["growing"] is None
        assert "largest_imaginary" not in row


class TestBudget:
    def test_stops(self, setting):
        assert setting.solve([Budget(images=160)]).step == 5
        run = setting.solve([Budget(evaluations=11)])
        assert (run.status, run.stats["evaluations"]) == ("stopped", 12)

    def test_seconds_of_a_resumed_run_count(self):
        budget = Budget(seconds=10.0)
        budget.load_state_dict({"seconds": 9.5})

        class View:
            evaluations = images = 0
            seconds = 0.6

        assert budget.after_step(View())
        assert budget.state_dict()["seconds"] == pytest.approx(10.1)

    def test_refusals(self):
        with pytest.raises(gd.ArgumentError, match="at least one"):
            Budget()
        with pytest.raises(gd.ArgumentError, match="positive"):
            Budget(images=0)
