"""Every study runs at smoke size to a report that needs nothing else; finished parts are kept."""

import html
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gamedyn as gd
from analysis.common import parts as parts_module
from analysis.common.check import wrong
from analysis.common.claims import Claim
from analysis.common.digits import digits, frechet_distance, reference_distances
from analysis.common.parts import Part, Result
from analysis.common.results import Results
from analysis.common.study import Findings, FromResults, Study, of_parts, redraw_study, run_study, writable
from analysis.studies import get, members
from gamedyn._lib.errors import ArgumentError


@pytest.fixture(scope="module", params=sorted(members()))
def finished(request, tmp_path_factory):
    study, out = get(request.param), tmp_path_factory.mktemp(request.param)
    page, found = run_study(study, out, scale="smoke", jobs=1, progress=False)
    return study, out, page, found


@pytest.mark.slow
def test_the_report_is_self_contained(finished):
    study, _, page, _ = finished
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', text)  # mutant: a figure left as a file beside the page
    assert study.name in text
    assert "<script" not in text


@pytest.mark.slow
def test_limits_measured_at_smoke_size_match_predictions(finished):
    study, out, page, _ = finished
    if study.name != "solver_limits":
        pytest.skip("about the study solver_limits")
    assert all(m in page.read_text() for m in study.scales["smoke"].methods)
    rows = json.loads((out / "summary.json").read_text())["limits"]
    assert rows
    for r in rows:  # mutant: any wrong R, block matrix, or tangent
        assert abs(r["ratio"] - 1) < 1e-4, r
    for r in json.loads((out / "summary.json").read_text())["independent"]:
        truth = next((x["predicted"] for x in rows if (x["point"], x["method"]) == (r["point"], r["method"])), None)
        assert truth is None or abs(r["measured"] / truth - 1) < 0.02


@pytest.mark.slow
def test_theorys_claims_hold_at_smoke_size(finished):
    # rejects: a claim that is no number, a study without claims, a prediction that its measurement does not bear out
    *_, found = finished
    assert found.claims
    assert wrong(found.claims) == []
    assert all(isinstance(c.value, (int, float)) for c in found.claims)


@pytest.mark.slow
def test_a_second_run_computes_nothing_anew(finished):
    study, out, _, first = finished
    before = {p: p.stat().st_mtime_ns for p in out.glob("**/records/*")}
    assert before
    _, again = run_study(study, out, scale="smoke", jobs=1, progress=False)
    assert {p: p.stat().st_mtime_ns for p in out.glob("**/records/*")} == before
    assert [repr(c) for c in again.claims] == [repr(c) for c in first.claims]  # timed ones too: nothing is computed


@pytest.mark.slow
def test_kept_results_give_the_same_report(finished, tmp_path):
    # rejects: a part or a table that is not kept, or not as it was; a study that runs beside its parts; a file left out
    study, out, page, found = finished
    again, drawn, work = redraw_study(study, Results.load(out / "results.zip"), tmp_path)
    assert not [*tmp_path.glob("**/records")]
    assert [repr(c) for c in drawn.claims] == [repr(c) for c in found.claims]
    for name in ("summary.json", "findings.json"):
        assert (tmp_path / name).read_text() == (out / name).read_text()
    assert {p.name for p in out.glob("*.png")} == {p.name for p, _ in work.pictures.values()}
    assert all(caption in html.unescape(page.read_text()) for _, caption in work.pictures.values())
    assert again.read_text() == page.read_text()


def test_kept_results_of_others_are_refused(tmp_path):
    # rejects: results of other settings or another study that are drawn all the same; a damaged file that is read
    def study(x, name="made"):
        settings = {"smoke": Made(x), "default": Made(x)}
        return Study(name, "?", settings, lambda s, work: Findings("made", [Claim("x", s.x)], []))

    run_study(study(1), tmp_path, scale="smoke", progress=False)
    kept = Results.load(tmp_path / "results.zip")
    assert redraw_study(study(1), kept, tmp_path / "again")[1].claims[0].value == 1
    with pytest.raises(ArgumentError, match="the settings that made has now, got others: x"):
        redraw_study(study(2), kept, tmp_path)
    with pytest.raises(ArgumentError, match="results of other, got results of made"):
        redraw_study(study(1, "other"), kept, tmp_path)
    with pytest.raises(ArgumentError, match="all results of made, got none of digits"):
        FromResults("made", tmp_path, results=kept).ablation("digits", None, {})
    kept.settings["gone"] = 3  # one that the study no longer has
    with pytest.raises(ArgumentError, match="got others: gone"):
        redraw_study(study(1), kept, tmp_path)
    del kept.about["scale"]
    with pytest.raises(ArgumentError, match=r"a whole results\.zip.*scale"):
        Results.load(kept.save(tmp_path / "less.zip"))
    whole = (tmp_path / "results.zip").read_bytes()
    (tmp_path / "results.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArgumentError, match=r"a whole results\.zip"):
        Results.load(tmp_path / "results.zip")


def test_results_come_back_as_they_were(tmp_path):
    # rejects: names that meet in the file, numbers of NumPy as text, a table that is changed by who reads it
    arrays = {"p": {"q/a": np.arange(3)}, "p/q": {"a": np.ones(2)}}
    parts = {name: Result({"n": np.int64(3), "x": np.ones(2)}, found) for name, found in arrays.items()}
    about = dict.fromkeys(("study", "scale", "command", "began", "seconds", "code", "machine", "versions"), "")
    table = pd.DataFrame({"x": [1, 2], "y": [0.1, float("nan")], "z": ["a", None]})
    path = Results(about, {"k": float("inf")}, parts, {"t": table}).save(tmp_path / "results.zip")
    kept = Results.load(path)
    assert {n: {k: a.tolist() for k, a in r.arrays.items()} for n, r in kept.parts.items()} == {
        "p": {"q/a": [0, 1, 2]},
        "p/q": {"a": [1, 1]},
    }
    assert kept.parts["p"].figures == {"n": 3, "x": [1, 1]}
    assert kept.settings == {"k": float("inf")}
    pd.testing.assert_frame_equal(kept.tables["t"], table)
    desk = FromResults("made", tmp_path, results=kept)
    desk.ablation("t", None, {})["x"] = 0
    assert desk.ablation("t", None, {})["x"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="Object arrays"):
        Results(about, {}, {"p": Result({}, {"a": np.array([{}])})}).save(tmp_path / "odd.zip")
    assert {p.name for p in tmp_path.iterdir()} == {"results.zip"}


def test_parts_are_made_again_after_a_change(tmp_path, monkeypatch):
    # rejects: parts kept by their settings alone; a damaged record, or arrays, that are read all the same
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "made_by_test.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(mine))
    monkeypatch.setattr(parts_module, "ROOTS", (mine,))
    importlib.import_module("made_by_test")
    ran = []

    def part(settings):
        ran.append(settings.x)
        return Result({"x": settings.x, 3: float("inf"), 12: 1}, {"a": np.arange(3.0)})

    def report(settings, results, work):
        assert results["part"].figures["x"] == settings.x
        assert results["part"].figures["3"] == float("inf")
        assert results["part"].arrays["a"].tolist() == [0, 1, 2]
        return Findings("made", [], [])

    run = of_parts(lambda s: [Part("part", part, {})], report)
    study = Study("made", "?", {"smoke": Made(2), "default": Made(1)}, run)

    def again(**options):
        run_study(study, tmp_path / "out", jobs=1, progress=False, **options)
        return len(ran)

    assert again() == again() == 1
    assert again(scale="smoke") == 2
    for path in (tmp_path / "out/records").glob("*.json"):
        path.write_text(path.read_text().replace('"x": 1', '"x": 7'))
    assert (again(), again(scale="smoke")) == (3, 3)
    for path in (tmp_path / "out/records").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-3])
    assert (again(), again(scale="smoke")) == (4, 5)
    (mine / "made_by_test.py").write_text("VALUE = 2\n")
    assert (again(), again()) == (6, 7)  # this process has the old source still: what it makes does not last


@dataclass(frozen=True)
class Made:
    """Settings."""

    x: int


@pytest.mark.slow
def test_an_interrupted_study_keeps_its_finished_parts(tmp_path):
    command = [
        sys.executable,
        "-m",
        "analysis",
        "run",
        "solver_limits",
        "--scale",
        "smoke",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # whatever started the tests ignores
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path.cwd(), preexec_fn=heard
    )
    records, deadline = tmp_path / "records", time.monotonic() + 120
    while time.monotonic() < deadline and not list(records.glob("*.json")):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"interrupted" in error
    kept = list(records.glob("*.json"))
    assert kept
    assert all(json.loads(p.read_text()) for p in kept)  # mutant: half-written records


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(gd.ArgumentError, match=r"out: expected a folder that can be written, got .*file.*--out"):
        writable(tmp_path / "file" / "inside")


def test_an_unknown_study_offers_the_nearest():
    with pytest.raises(gd.GamedynError, match="did you mean 'solver_limits'"):
        get("solver_limit")


def test_digits_are_the_real_images():
    assert digits().shape == (1797, 64)
    assert digits().min() == -1
    assert digits().max() == 1


def test_frechet_distance_of_gaussians_known_in_closed_form():
    """Diagonal covariances: |m - n|^2 + sum (s - t)^2. Mutant: the cross term without its factor 2."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400_000, 2)) * [1, 2], rng.standard_normal((400_000, 2)) * [3, 1] + [2, 0]
    assert frechet_distance(a, b) == pytest.approx(4 + 4 + 1, rel=0.01)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, np.full((10, 2), np.nan)) == float("inf")


def test_reference_distances_are_those_of_the_prototype():
    found = reference_distances()
    assert found["mean_image"] == pytest.approx(18.8, abs=0.05)
    assert 0.2 < found["floor"] < 0.3
