"""`gamedyn train`: configurations, run folders, what ends a run and how it goes on, reports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn import cli
from gamedyn.training import build, compare, models, read_config, train
from gamedyn.training.experiment import resolved
from gamedyn.training.observers import read_records

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.toml"))
SMALL = """\
[data]
name = "digits"
batch_size = 32

[models]
name = "mlp"
widths = [8]
latent = 4

[flow.r1]
weight = 0.5
every = 2

[solve]
method = "heun2"
h = 0.05
steps = 30
check_every = 10

[observers]
record = {every = 5}
ema = {half_life = 8}
samples = {every = 15, count = 4}
score = {every = 15, features = "pixels", count = 200}
best = {}
checkpoint = {every_steps = 10}
"""


FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(st.text(), st.booleans(), st.integers(-9, 9), FINITE, st.lists(st.integers()))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


class TestConfig:
    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
    def test_examples_are_read_and_their_resolved_form_reads_to_the_same(self, path, tmp_path):
        config = read_config(path)
        (tmp_path / "again.toml").write_text(config.to_toml())
        assert read_config(tmp_path / "again.toml") == config

    @given(st.dictionaries(st.sampled_from(["a", "b-c", "d e", "0", "\u03b1"]), VALUES, max_size=3))
    def test_any_options_survive_the_resolved_form(self, options):
        sections = {"models": {"name": "m"}, "solve": {"method": "euler", "steps": 1}}
        config = read_config({"data": {"name": "x", **options}, **sections})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.toml"
            path.write_text(config.to_toml(), encoding="utf-8")
            assert read_config(path) == config

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ('name = "digits"', 'nam = "digits"', r"line 2, \[data\] nam: .* did you mean 'name'"),
            ("batch_size = 32", 'batch_size = "32"', r"line 3, \[data\] batch_size: expected a whole number"),
            ("[solve]", "[sovle]", r"line 14, \[sovle\]: .* did you mean 'solve'"),
            ("check_every", "chek_every", r"line 18, \[solve\] chek_every: .* did you mean 'check_every'"),
            ("half_life", "halflife", r"line 22, \[observers\] ema: .* did you mean 'half_life'"),
            ("steps = 30", "", r"\[solve\]: expected one of steps, images, evaluations"),
            ("steps = 30", "steps = 30\nimages = 5", "one of steps, images, evaluations"),
            ("steps = 30", "steps = true", r"line 17, \[solve\] steps: expected a whole number"),
            ("[flow.r1]", "[flow.r1", "config: expected a TOML file"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(self, file, old, new, match):
        file.write_text(SMALL.replace(old, new))
        with pytest.raises(gd.ArgumentError, match=match):
            read_config(file)

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ('"digits"', '"digit"', r"line 2, \[data\] name: .* did you mean 'digits'"),
            ('"digits"', '"fashion"\nfolder = "none"', r"line 3, \[data\] folder: .*apt-get install"),
            ("batch_size = 32", "batch_size = 3200", r"line 3, \[data\] batch_size: .*at most the 1797"),
            ('"mlp"', '"mpl"', r"line 6, \[models\] name: .* did you mean 'mlp'"),
            ('"mlp"', '"dcgan"', r"line 7, \[models\] widths"),
            ("latent = 4", "latent = 0", r"line 8, \[models\] latent: .*at least 1"),
            ("latent = 4", "latents = 4", r"line 8, \[models\] .*did you mean 'latent'"),
            ("[flow.r1]", '[game]\nloss = "hing"\n\n[flow.r1]', r"line 11, \[game\] loss: .* did you mean 'hinge'"),
            ("[flow.r1]", "[flow.r3]", r"\[flow\].*'r1'"),
            ("weight = 0.5", "weight = -1", r"\[flow\] weight: .*at least 0"),
            ("weight = 0.5", "", r"\[flow\] r1: .*a weight"),
            ("weight = 0.5", "wieght = 0.5\nweight = 1", "wieght"),
            ('"heun2"', '"heun3000"', r"line 15, \[solve\] method: .* did you mean"),
            ("h = 0.05", 'h = {kind = "cosin"}', r"line 16, \[solve\] h: .* did you mean 'cosine'"),
            ("h = 0.05", 'h = {kind = "cosine", hh = 1}', r"line 16, \[solve\] h"),
        ],
    )
    def test_what_does_not_fit_is_named_with_its_line(self, file, old, new, match):
        file.write_text(SMALL.replace(old, new))
        with pytest.raises(gd.ArgumentError, match=match):
            build(read_config(file))

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ("half_life = 8", "half_life = -3", r"line 22, \[observers\] half_life: .*at least 1"),
            ('features = "pixels"', 'features = "pixel"', r"line 24, \[observers\] features: .* did you mean 'pixels'"),
            (
                'features = "pixels"',
                'features = "pixels", measures = ["fid"]',
                r"line 24, \[observers\] measures: .*Inception",
            ),
            ("count = 200", "count = 1", r"line 20, \[observers\] count: .*at least 2"),
        ],
    )
    def test_a_key_inside_a_table_is_named_with_its_line(self, file, tmp_path, old, new, match):
        # rejects: the line of the section's head; the name of another argument; one of two tables with such a key
        file.write_text(SMALL.replace(old, new))
        with pytest.raises(gd.ArgumentError, match=match):
            train(file, tmp_path / "out", progress=False)

    def test_keys_set_over_it(self, file):
        config = read_config(file, ["solve.steps=7", "solve.method=rk4", "flow.r1.weight=2.5", "observers.score=false"])
        assert (config.solve.steps, config.solve.method, config.flow.terms["r1"]["weight"]) == (7, "rk4", 2.5)
        assert config.observers.score is None
        with pytest.raises(gd.ArgumentError, match=r"--set solve\.stepss"):
            read_config(file, ["solve.stepss=7"])
        with pytest.raises(gd.ArgumentError, match=r"section\.key=value"):
            read_config(file, ["steps"])
        with pytest.raises(gd.ArgumentError, match="can be read"):
            read_config(file.parent / "none.toml")

    def test_what_it_builds(self, file):
        parts = build(read_config(file, ['game.dtype="float64"', "flow.rates={G=2.0}", "flow.clip_norm=1.0"]))
        assert parts.game.dtype == torch.float64
        assert dict(parts.flow.rates) == {"G": 2.0, "D": 1.0}
        assert dict(parts.flow.intervals) == {"r1": 2}
        schedule = build(read_config(file, ['solve.h={kind="piecewise", sizes={0=0.1, 5=0.2}}'])).h
        assert (schedule.size(4, 0.0), schedule.size(5, 0.0)) == (0.1, 0.2)

    def test_labels_reach_both_players_and_the_penalties(self, file):
        over = ["models.conditional=true", "flow.gradient_penalty.weight=1.0", "flow.r2.weight=0.1"]
        parts = build(read_config(file, over))
        assert parts.pair.classes == 10
        run = gd.solve(parts.flow, "euler", h=0.01, steps=2, batches=parts.stream())
        assert run.stats["check"] in ("agrees", "not differentiated") or run.stats["check"].startswith("undecided")

    def test_half_precision_networks_have_a_float32_state(self, file):
        # usage.md: bfloat16 autocast inside losses, 1.4 % of the field
        parts = build(read_config(file, ['game.autocast="bfloat16"']))
        batch = next(parts.stream())
        exact = build(read_config(file)).flow.field(batch)
        y = exact.flow.game.state().y
        a, b = parts.flow.field(batch)(0.0, y), exact(0.0, y)
        assert a.dtype == torch.float32
        assert 1e-5 < float((a - b).norm() / b.norm()) < 0.1


def rows(folder):
    """What was recorded, without the clock."""
    every = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in every]


class TestFolder:
    def test_what_is_in_it(self, file, tmp_path):
        run = train(file, tmp_path / "a", progress=False)
        folder = tmp_path / "a"
        assert {p.name for p in folder.iterdir()} == {
            *("lock", "config.toml", "checkpoints", "records.jsonl", "samples"),
            *("best.state", "last.state", "average.state", "summary.json", "report.html"),
        }
        kept = read_config(folder / "config.toml")
        assert kept == resolved(read_config(file)) == resolved(kept)
        defaults = {k: v for k, v in models.options("mlp").items() if v is not None}  # which no file can say
        assert kept.models.options == {**defaults, **read_config(file).models.options}
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["status"], summary["step"], summary["parameters"]["G"]) == ("done", 30, 616)
        assert run.stats["images"] == summary["stats"]["images"] == 960
        assert [r["step"] for r in read_records(folder / "records.jsonl", "score")] == [15, 30]
        page = (folder / "report.html").read_text()
        for word in ("Samples", "Scores", "Losses", "What it cost", "Configuration", "data:image/png", "animation.gif"):
            assert word in page
        assert "http" not in page.replace("http-equiv", "")

    def test_a_run_that_cannot_begin_leaves_none(self, file, tmp_path):
        # rejects: a configuration, kept before the observers are made, by which a run that never was is compared
        with pytest.raises(gd.ArgumentError, match=r"observers.stability: .*; stability = false with this method"):
            train(file, tmp_path / "a", over=["solve.method=torch.optim:Adam", "observers.stability.every=5"])
        train(file, tmp_path / "b", progress=False)
        assert not (tmp_path / "a").exists()
        with pytest.raises(gd.ArgumentError, match="expected a folder that gamedyn train wrote"):
            compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html")
        assert train(file, tmp_path / "a", progress=False).status == "done"

    def test_going_on_is_the_uninterrupted_run(self, file, tmp_path):
        # with EMA, scores, records and the best state
        whole = train(file, tmp_path / "a", progress=False)
        train(file, tmp_path / "b", over=["solve.steps=13"], progress=False)
        on = train(file, tmp_path / "b", resume=True, progress=False)
        assert torch.equal(whole.state.y, on.state.y)
        assert rows(tmp_path / "a") == rows(tmp_path / "b")
        best = [gd.State.load(tmp_path / f / "best.state", build(read_config(file)).game).y for f in "ab"]
        assert torch.equal(*best)

    def test_other_observers_are_said_and_the_old_configuration_stays(self, file, tmp_path):
        # rejects: a file that says of all steps what held for the last ones
        train(file, tmp_path / "run", over=["solve.steps=20"], progress=False)
        with pytest.warns(UserWarning, match="observers.ema: .*8.* -> .*4"):
            train(file, tmp_path / "run", over=["observers.ema.half_life=4"], resume=True, progress=False)
        assert read_config(tmp_path / "run" / "config-until-20.toml").observers.ema == {"half_life": 8}
        assert read_config(tmp_path / "run" / "config.toml").observers.ema == {"half_life": 4}

    def test_its_states_are_the_run_s_and_the_average_s(self, file, tmp_path):
        # rejects: an average that a finished run cannot be asked for
        run = train(file, tmp_path / "run", progress=False)
        game = build(read_config(file)).game
        assert torch.equal(gd.State.load(tmp_path / "run" / "last.state", game).y, run.state.y)
        average = gd.State.load(tmp_path / "run" / "average.state", game).y
        assert not torch.equal(average, run.state.y)
        (tmp_path / "run" / "average.state").unlink()
        train(file, tmp_path / "run", resume=True, progress=False)  # no step is left
        assert torch.equal(gd.State.load(tmp_path / "run" / "average.state", game).y, average)

    def test_a_step_that_cannot_be_compiled_is_said(self, file, tmp_path):
        with pytest.warns(UserWarning, match="steps run eagerly, not compiled: .*another library"):
            train(
                file,
                tmp_path / "run",
                over=["solve.execution='compiled'", "solve.method=torch.optim:Adam", "solve.steps=2"],
                progress=False,
            )

    @pytest.mark.parametrize("wish", ["cudas", "cuda:99"])
    def test_a_device_that_is_not_there_is_named(self, file, wish):
        with pytest.raises(gd.ArgumentError, match=r"--set data\.device"):
            build(read_config(file, [f'data.device="{wish}"']))

    def test_refusals(self, file, tmp_path):
        train(file, tmp_path / "a", progress=False)
        with pytest.raises(gd.ArgumentError, match="a folder without a run"):
            train(file, tmp_path / "a", progress=False)
        with pytest.raises(gd.ArgumentError, match=r"solve\.h: 0\.05 -> 0\.1"):
            train(file, tmp_path / "a", over=["solve.h=0.1"], resume=True, progress=False)
        with pytest.raises(gd.ArgumentError, match="which has no checkpoint"):
            train(file, tmp_path / "none", resume=True, progress=False)
        with pytest.raises(gd.ArgumentError, match="none for a Config"):  # rejects: dropped in silence
            train(read_config(file), tmp_path / "b", over=["solve.h=0.1"], progress=False)
        (tmp_path / "plain").write_text("")
        with pytest.raises(gd.ArgumentError, match="can be made"):
            train(file, tmp_path / "plain" / "x", progress=False)

    def test_two_runs_at_once_in_one_folder(self, file, tmp_path):
        def intruder(view):
            if view.step == 20:
                train(file, tmp_path / "a", resume=True, progress=False)

        with pytest.raises(gd.ArgumentError, match="no other run writes to"):
            train(file, tmp_path / "a", observers=[intruder], progress=False)

    def test_a_second_start_leaves_the_first_run_as_it_is(self, file, tmp_path):
        # before there is a checkpoint; rejects: records taken away, and another configuration, before it is refused
        def intruder(view):
            if view.step == 7:
                with pytest.raises(gd.ArgumentError, match="no other run writes to"):
                    train(file, tmp_path / "a", over=["solve.h=0.5"], progress=False)

        train(file, tmp_path / "a", observers=[intruder], progress=False)
        assert read_config(tmp_path / "a" / "config.toml").solve.h == 0.05
        assert [r["step"] for r in read_records(tmp_path / "a" / "records.jsonl")] == [5, 10, 15, 20, 25, 30]

    def test_penalties_that_draw_do_so_from_the_seed(self, file, tmp_path):
        # rejects: a run that no seed repeats; the caller's generators moved on
        over = ["flow.gradient_penalty={weight=1.0, shares='random'}", "observers.score=false", "observers.best=false"]
        ends = []
        for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
            before = torch.get_rng_state()
            ends.append(train(file, tmp_path / name, over=[*over, f"solve.seed={seed}"], progress=False).state.y)
            assert torch.equal(torch.get_rng_state(), before)
            torch.rand(len(ends))
        assert torch.equal(ends[0], ends[1])
        assert not torch.equal(ends[0], ends[2])

    def test_the_seed_orders_the_batches_and_the_flow_is_clipped(self, file):
        # rejects: seed 0 whatever is asked for, a clip_norm that nobody reads
        first, same, other = (build(read_config(file, [f"solve.seed={s}"])).stream() for s in (1, 1, 2))
        a, b, c = (next(s) for s in (first, same, other))
        assert torch.equal(a[0], b[0])
        assert not torch.equal(a[0], c[0])
        assert not torch.equal(a[1], c[1])
        plain, clipped = (build(read_config(file, more)) for more in ([], ["flow.clip_norm=0.01"]))
        norms = [p.flow.field(a)(0.0, p.flow.initial_state().y).norm() for p in (plain, clipped)]
        assert norms[1] <= 0.01 * 2**0.5 * 1.001 < norms[0]

    @pytest.mark.parametrize(
        ("over", "place"),
        [
            ("solve.seed=99999999999999999999999", "solve"),
            ("solve.h={kind='piecewise', sizes=3}", "solve.h"),
            ("solve.h={kind='piecewise', sizes={a=1}}", "solve"),
            ("observers.stability={every=2, batch='x'}", "observers"),
            ("observers.record.every=0", "observers"),
            ("observers.best.number=ema.modes", "observers"),
            ("observers.ema.half_life={seconds=3}", "[observers] half_life"),
            ("data.batch_size=0", "data.batch_size"),
            ("data.workers=-1", "data.workers"),
            ("observers.score.background=maybe", "[observers] background"),
        ],
    )
    def test_values_that_cannot_be_used_are_named_with_their_place(self, file, tmp_path, over, place):
        # rejects: a traceback of what was made of them
        with pytest.raises(gd.ArgumentError, match=re.escape(place)):
            train(file, tmp_path / "a", over=[over], progress=False)

    def test_sections_are_what_a_file_can_hold(self):
        # rejects: a run whose configuration cannot be read again; the caller's sections changed
        given = {"data": {"name": "tensors", "samples": torch.zeros(9, 2)}, "models": {}, "solve": {}}
        with pytest.raises(gd.ArgumentError, match=r"data\.samples: expected text, numbers"):
            read_config(given)
        with pytest.raises(gd.ArgumentError):
            read_config({"data": 3})
        flow = {"r1": {"weight": 1.0}}
        sections = {"data": {"name": "digits"}, "models": {"name": "mlp"}, "flow": flow}
        read_config({**sections, "solve": {"method": "euler", "h": 0.1, "steps": 1}}, ["flow.r1.weight=0.1"])
        assert flow == {"r1": {"weight": 1.0}}

    def test_a_run_that_fails_is_in_its_folder(self, file, tmp_path):
        # rejects: records and state lost, no word on how to go on
        over = ["solve.h=1e20", "models.activation=leaky_relu", "observers.score=false", "observers.best=false"]
        with pytest.raises(gd.SolveError) as told:
            train(file, tmp_path / "a", over=over, progress=False)
        assert any("--resume goes on" in note for note in told.value.__notes__)
        summary = json.loads((tmp_path / "a" / "summary.json").read_text())
        assert summary["status"] == "non_finite"
        assert (tmp_path / "a" / "report.html").is_file()

    def test_out_of_memory_says_which_part_and_what_to_lower(self, file, tmp_path):
        def greedy(view):
            if view.step == 12:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

        with pytest.raises(gd.SolveError, match=r"the step ran out of memory; lower data\.batch_size \(32\)"):
            train(file, tmp_path / "a", observers=[greedy], progress=False)
        on = train(file, tmp_path / "a", resume=True, progress=False)
        assert on.step == 30
        assert torch.equal(on.state.y, train(file, tmp_path / "b", progress=False).state.y)


SCRIPT = "import sys; from gamedyn.cli import main; sys.exit(main(sys.argv[1:]))"


def started(file, out, *more):
    command = [sys.executable, "-c", SCRIPT, "train", str(file), "--out", str(out), "--set", "solve.steps=400", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def newest_in(out):
    return max((p.name for p in (out / "checkpoints").glob("step-*.run")), default="")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_bits(file, tmp_path, how):
    # a real process and a real signal; rejects: rows twice or lost, an average that begins anew
    out, killed = tmp_path / "a", 0
    for _ in range(3):
        more = ["--resume"] if any((out / "checkpoints").glob("step-*.run")) else []
        process = started(file, out, *more)
        before = newest_in(out)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if newest_in(out) != before:
                process.send_signal(how)
                killed += 1
                break
            time.sleep(0.01)
        process.communicate(timeout=60)
    assert killed >= 2
    last = started(file, out, "--resume")
    _, told = last.communicate(timeout=120)
    assert last.returncode == 0, told.decode()
    whole = train(file, tmp_path / "b", over=["solve.steps=400"], progress=False)
    game = build(read_config(file)).game
    assert torch.equal(gd.Run.load(out / "checkpoints", gd.flows.gradient(game)).state.y, whole.state.y)
    assert newest_in(out) == "step-000000000400.run"
    # the killed runs ran on one thread; scores are the same to rounding
    for a, b in zip(rows(out), rows(tmp_path / "b"), strict=True):
        assert a["step"] == b["step"]
        assert a.get("loss.G", 0.0) == pytest.approx(b.get("loss.G", 0.0), rel=1e-5)


@pytest.mark.slow
def test_scores_in_a_process_of_their_own_end_with_a_killed_run(file, tmp_path):
    # rejects: a process that waits for ever, and holds the killed run's pipes open
    out = tmp_path / "a"
    process = started(file, out, "--set", "observers.score.background=true", "--set", "solve.steps=100000")
    records, deadline = out / "records.jsonl", time.monotonic() + 120
    while time.monotonic() < deadline and not (records.exists() and read_records(records, "score")):
        time.sleep(0.2)
    process.kill()
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL


class TestCommand:
    def test_train_compare_and_their_exit_status(self, file, tmp_path, capsys):
        assert cli.main(["train", str(file), "--out", str(tmp_path / "a"), "--quiet"]) == 0
        assert "report:" in capsys.readouterr().out
        more = ["--set", "solve.method=alternating", "--quiet"]
        assert cli.main(["train", str(file), "--out", str(tmp_path / "b"), *more]) == 0
        assert cli.main(["train", str(file), "--out", str(tmp_path / "a"), "--quiet"]) == 2
        assert "a folder without a run" in capsys.readouterr().err
        page = tmp_path / "c.html"
        assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(page)]) == 0
        text = page.read_text()
        assert "solve.method" in text
        assert text.count("<figure") >= 4
        assert cli.main(["compare", str(tmp_path / "a")]) == 2
        assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path)]) == 2

    def test_classifier(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("GAMEDYN_CACHE", str(tmp_path))
        assert cli.main(["classifier", "digits", "--quiet"]) == 0
        assert "accuracy 0.9" in capsys.readouterr().out
        assert cli.main(["classifier", "digit", "--quiet"]) == 2

    def test_a_comparison_of_unlike_runs_says_so(self, file, tmp_path):
        # rejects: one table of distances on different data; a run beside itself
        train(file, tmp_path / "a", progress=False)
        train(file, tmp_path / "b", over=["observers.score.count=100"], progress=False)
        text = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html").read_text()
        assert "Not comparable by their scores" in text
        assert "samples of a score: 100, 200" in text
        with pytest.raises(gd.ArgumentError, match="at least two"):
            compare([tmp_path / "a", tmp_path / "b" / ".." / "a"], tmp_path / "page.html")

    def test_a_comparison_of_a_run_without_scores(self, file, tmp_path):
        over = ["observers.score=false", "observers.best=false", "observers.samples=false", "solve.steps=5"]
        for name in "ab":
            train(file, tmp_path / name, over=over, progress=False)
        assert compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html").is_file()


def test_a_hand_written_run_is_the_same(file, tmp_path):
    # what the command does, by the library's own words
    config = read_config(file)
    parts = build(config)
    run = gd.solve(parts.flow, parts.method, h=parts.h, steps=30, batches=parts.stream())
    assert torch.equal(run.state.y, train(file, tmp_path / "a", progress=False).state.y)
