"""Reports of runs that no configuration describes: what a user's own observers left."""

import json

import pytest
import torch

import gamedyn as gd
from gamedyn import ArgumentError, cli
from gamedyn.training import compare, observers, reports, write_report


def trained(folder, *, method="rk4", h=0.1, batches=None):
    """A run whose records are in a folder."""
    folder.mkdir(exist_ok=True)
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


def drawn(monkeypatch):
    """The axes of every figure of a page, as they come."""
    found = []
    monkeypatch.setattr(
        reports, "figure", lambda draw, caption, title: found.append((title, draw().axes, caption)) or []
    )
    return found


def test_several_runs_are_compared_by_work_and_spectrum_too(tmp_path, monkeypatch):
    # rejects: losses against images alone; a spectrum that a run's own report shows and a comparison does not
    for name, h in (("a", 0.05), ("b", 0.1)):
        record = observers.Recorder((tmp_path / name).mkdir() or tmp_path / name / "records.jsonl", every=2)
        flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
        watch = observers.Stability(flow, "rk4", None, every=4, k=1, to=[record])
        write_report(tmp_path / name, gd.solve(flow, "rk4", h=h, steps=8, observers=[record, watch]))
        record.finish()
    found = drawn(monkeypatch)
    compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html")
    kinds = {title: axes for title, axes, _ in found}
    assert [*kinds] == ["Losses", "Stability"]
    assert [(a.get_xlabel(), a.get_ylabel()) for a in kinds["Losses"]] == [
        (across, f"loss of {player}") for player in ("G", "D") for across in ("step", "evaluations", "seconds")
    ]
    work = [line.get_xdata().tolist() for line in kinds["Losses"][1].lines]
    assert work == [[8.0, 16.0, 24.0, 32.0]] * 2
    assert [len(line.get_xdata()) for line in kinds["Stability"][0].lines[:2]] == [2, 2]
    assert kinds["Stability"][0].lines[0].get_xdata().tolist() == [4, 8]


def test_own_figures_are_in_the_report(tmp_path, monkeypatch):
    # rejects: what a loss or an observer of one's own has recorded left out; rows of one kind in the figure of another
    class Norm:
        every = 3

        def after_step(self, view):
            record.log({"kind": "norms", "length": view.state.y.norm(), "word": "text"}, step=view.step)

    def losses(x, y):
        return {"x": (x * y).sum(), "y": -(x * y).sum(), "product": (x * y).sum()}

    record = observers.Recorder(tmp_path / "records.jsonl", every=2)
    game = gd.Game({"x": torch.ones(1), "y": torch.ones(1)}, losses)
    run = gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=6, observers=[record, Norm()])
    record.finish()
    found = drawn(monkeypatch)
    write_report(tmp_path, run)
    assert [(title, [a.get_ylabel() for a in axes], caption) for title, axes, caption in found] == [
        ("Losses", ["loss of x", "loss of y"], "Losses of the players at the recorded steps, against the steps done."),
        ("Figures", ["product"], "What was recorded besides, against the steps done."),
        ("Figures: norms", ["length"], "What was recorded besides, against the steps done."),
    ]
    assert found[1][1][0].lines[0].get_xdata().tolist() == [2, 4, 6]
    assert found[2][1][0].lines[0].get_xdata().tolist() == [3, 6]


def test_rows_that_nobody_expects(tmp_path, monkeypatch):
    # rejects: a report that fails by a row of one's own; a column left out since its first rows have no number, or the
    # first run has none
    rows = [
        {"step": 1, "seconds": 1.0, "images": 0, "loss.x": 1.0, "$\\frac{$": 1.0, "not_finite": 3, "late": "text"},
        {"step": 2, "seconds": 2.0, "loss.x": 10**400, "late": 2.0},
        {"step": 2, "kind": 3, "of three": 1.0},
        {"step": 2, "kind": "own \ud800 <b>", "loss.extra": 1.0},
    ]
    for name in ("a", "b"):
        run = trained(tmp_path / name)
        (tmp_path / name / "records.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in rows[: 2 if name == "a" else 4])
        )
        write_report(tmp_path / name, run)
    found = drawn(monkeypatch)
    page = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html")
    assert page.read_text("utf-8")
    assert [title for title, *_ in found] == ["Losses", "Figures", "Figures: 3", "Figures: own \ud800 <b>"]
    assert [a.get_ylabel() for a in found[1][1] if a.get_xlabel() == "step"] == [r"\$\frac{\$", "late"]
    assert found[3][1][0].get_ylabel() == "loss of extra"


def test_what_a_flow_is_made_of_differs_too(tmp_path):
    # rejects: "the configurations are the same" of runs with other rates, or of another flow
    for name, rate in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        flow = gd.flows.gradient(gd.games.bilinear(), rates={"x": rate})
        flow = gd.flows.consensus(flow, 0.1) if name == "b" else flow
        write_report(tmp_path / name, gd.solve(flow, "rk4", h=0.1, steps=3))
    page = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html").read_text("utf-8")
    differing = page.partition("What differs")[2].partition("<h2>")[0]
    assert "rates.x" in differing
    assert ">flow<" in differing


def test_a_second_run_into_the_same_folder(tmp_path):
    # rejects: one report of both runs' rows; records of the first that are gone
    trained(tmp_path / "own")
    with pytest.warns(UserWarning, match=r"they are in records-1\.jsonl now"):
        trained(tmp_path / "own", h=0.05)
    rows = [observers.read_records(tmp_path / "own" / f"records{n}.jsonl") for n in ("", "-1")]
    assert [[r["step"] for r in x] for x in rows] == [list(range(1, 13))] * 2
    assert [x[0]["h"] for x in rows] == [0.05, 0.1]


def test_figures_that_are_called_as_a_column(tmp_path):
    # rejects: a loss's own figure in the place of the step, or of the kind by which rows are found
    game = gd.games.bilinear()

    def losses(x, y):
        return {**game.losses(x, y), "kind": 7 * x.sum(), "images": x.sum(), "own": y.sum()}

    record = observers.Recorder(tmp_path / "records.jsonl", every=1)
    gd.solve(gd.flows.gradient(gd.Game(dict(game.players), losses)), "rk4", h=0.1, steps=3, observers=[record])
    record.finish()
    rows = observers.read_records(tmp_path / "records.jsonl")
    assert [r["images"] for r in rows] == [0, 0, 0]
    assert all({"figure.kind", "figure.images", "own"} <= set(r) for r in rows)


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
