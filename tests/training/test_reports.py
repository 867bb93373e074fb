"""Reports of runs that no configuration describes: what a user's own observers left."""

import json

import pytest
import torch

import gamedyn as gd
from gamedyn import ArgumentError, cli
from gamedyn.training import compare, observers, write_report


def trained(folder, *, method="rk4", h=0.1, batches=None):
    """A run whose records are in a folder."""
    folder.mkdir()
    inner = game = gd.games.bilinear()
    if batches is not None:
        game = gd.Game(dict(inner.players), lambda x, y, batch: inner.losses(x * batch.mean(), y))
    record = observers.Recorder(folder / "records.jsonl", every=1)
    run = gd.solve(gd.flows.gradient(game), method, h=h, steps=12, batches=batches, observers=[record])
    record.finish()
    return run


def test_a_report_of_what_a_users_observers_wrote(tmp_path):
    # rejects: a report that needs a configuration, players called G and D, or images; numbers of another run
    run = trained(tmp_path / "own", h=0.05)
    page = write_report(tmp_path / "own", run, about="one point").read_text("utf-8")
    for words in ("rk4 on x and y; one point", ">0.05</td>", "the steps done", "field evaluations"):
        assert words in page, words
    summary = json.loads((tmp_path / "own" / "summary.json").read_text("utf-8"))
    assert (summary["step"], summary["stats"]["evaluations"]) == (run.step, run.stats["evaluations"]) == (12, 48)
    assert summary["parameters"] == {"x": 1, "y": 1}


def test_losses_stand_against_images_where_there_are_any(tmp_path):
    # rejects: images of 0 as the axis of a run without batches, steps as that of one with
    data = torch.ones(8, 1, dtype=torch.float64)
    run = trained(tmp_path / "a", batches=gd.batches(data, batch_size=4))
    assert "the images seen" in write_report(tmp_path / "a", run).read_text("utf-8")


def test_own_runs_are_compared(tmp_path, capsys):
    # rejects: a comparison that reads configurations alone; one that lists what is alike
    for name, h in (("a", 0.05), ("b", 0.1)):
        write_report(tmp_path / name, trained(tmp_path / name, h=h))
    page = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html").read_text("utf-8")
    differing = page.partition("What differs")[2].partition("<h2>")[0]
    assert "solve.h" in differing
    assert "solve.method" not in differing
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "d.html")]) == 0


def test_what_has_no_report_is_refused(tmp_path):
    # rejects: a report of nothing; one over a configured run's own
    run = trained(tmp_path / "own")
    with pytest.raises(ArgumentError, match="write_report\\(folder, run\\)"):
        write_report(tmp_path / "own")
    with pytest.raises(ArgumentError, match="not there"):
        write_report(tmp_path / "nowhere", run)
    (tmp_path / "own" / "config.toml").write_text("")
    with pytest.raises(ArgumentError, match="which gamedyn train wrote"):
        write_report(tmp_path / "own", run)
    many = gd.solve_ensemble(gd.flows.gradient(gd.games.dirac_gan()), "rk4", h=[0.1, 0.2], steps=2)
    with pytest.raises(ArgumentError, match="ensemble of 2"):
        write_report(tmp_path / "nowhere", many)
