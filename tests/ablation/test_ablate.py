"""`gamedyn ablate`: a user's files in a folder of their own, and what is said of wrong ones."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gamedyn as gd
from gamedyn.ablation import read_ablation
from gamedyn.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ablation"
FEW = ["--set", "factors.evaluations=8", "--set", "factors.seed={count=2}"]


def test_the_example_by_its_command(tmp_path, capsys):
    # rejects: a file that is looked for in the present folder
    out = tmp_path / "out"
    assert main(["ablate", str(EXAMPLE / "ring.toml"), "--out", str(out), "--quiet", "--jobs", "1", *FEW]) == 0
    told = capsys.readouterr().out
    assert told.startswith("off_circle: mean of n cells, 95 % interval\nmethod")
    assert f"table: {out / 'table.csv'}" in told
    table, means = pd.read_csv(out / "table.csv"), pd.read_csv(out / "means.csv")
    assert (len(table), len(means)) == (64, 16)
    assert set(table["status"]) == {"done"}
    assert set(table["together"]) == {8}
    assert main(["ablate", str(EXAMPLE / "ring.toml"), "--out", str(out), "--quiet", "--jobs", "1", *FEW]) == 0
    assert json.loads((out / "ablation.json").read_text())["computed_cells"] == 0


def test_in_an_empty_folder_by_a_process_of_its_own(tmp_path):
    for name in ("ring.toml", "ring_gan.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    command = [sys.executable, "-m", "gamedyn", "ablate", "ring.toml", "--out", "out", "--jobs", "2", *FEW]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "out" / "table.parquet").exists()
    about = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert about["command"] == f"python -m gamedyn {shlex.join(command[3:])}"


@pytest.fixture
def written(tmp_path):
    """A file of one's own with a set-up beside it."""
    shutil.copy(EXAMPLE / "ring_gan.py", tmp_path)
    plain = (EXAMPLE / "ring.toml").read_text()

    def write(before="", after="", more=""):
        assert before in plain
        (tmp_path / "my.toml").write_text(plain.replace(before, after, 1) + more)
        return tmp_path / "my.toml"

    return write


def test_ranges(written):
    grid = read_ablation(written("{from = 0.08, to = 0.32, count = 2", "{from = 0.01, to = 1, count = 3")).grid
    assert grid.factors["h_per_evaluation"] == [0.01, 0.1, 1.0]
    assert grid.factors["seed"] == [0, 1, 2]
    line = read_ablation(
        written('{from = 0.08, to = 0.32, count = 2, spacing = "log"}', "{from = 1, to = 2, count = 5}")
    )
    assert line.grid.factors["h_per_evaluation"] == list(np.linspace(1, 2, 5))


def test_tables_of_factors(written):
    # rejects: [factors.weights] taken for a factor
    assert read_ablation(written('"weights.r1" = [0.0, 0.1]', "weights.r1 = [0.0, 0.1]")).grid.cells[0].weights == {
        "r1": 0.0
    }


def test_a_baseline_with_steps_of_its_own(written):
    # rejects: a grid beside that keeps the other's steps or budget, an option of a method that is lost
    beside = (
        '\n[[beside]]\nmethod = {name = "torch.optim:Adam", betas = [0.5, 0.9]}\nh = [0.002, 0.008]\nsteps = 50\n'
        '[[beside]]\nmethod = "alternating_adam"\nh_per_evaluation = 0.002\n'
    )
    with pytest.raises(gd.ArgumentError, match=r"\[summary\] by: expected factors that every grid has.*h_per_eval"):
        read_ablation(written(more=beside))  # what has no value in a row cannot be a level there
    asked = read_ablation(written("by = [", "# by = [", beside))
    cells = asked.grid.cells[48:]
    assert len(cells) == 2 * 2 * 3 + 2 * 3
    assert {(c.h, c.steps) for c in cells[:12]} == {(0.002, 50), (0.008, 50)}
    assert cells[0].method.options["betas"] == [0.5, 0.9]
    assert cells[0].shown["method"] == "torch.optim:Adam(betas=[0.5, 0.9])"
    assert {c.shown["method"] for c in cells[12:]} == {"alternating_adam"}
    assert asked.summary["by"] == ["method", "weights.r1"]
    assert asked.own == 48
    told = read_ablation(written("by = [", "# by = [", beside), ["run.marks=[1.0]"]).text
    assert told.startswith("# set over the file: run.marks=[1.0]\n# Does order help")


def test_two_of_one_method_with_other_options(written):
    # rejects: the second grid's cells dropped as the first's, since a table would show them alike
    with_betas = 'method = {{name = "torch.optim:Adam", betas = [0.5, {}]}}\nh_per_evaluation = 0.01\n'
    both = "".join(f"[[beside]]\n{with_betas.format(b)}" for b in (0.9, 0.99))
    assert len(read_ablation(written(more=both)).grid.cells) == 48 + 2 * 2 * 3
    one, two = (gd.methods.get("torch.optim:Adam", betas=(0.5, b)) for b in (0.9, 0.99))
    grids = [gd.ablation.Grid(lambda: None, {"method": m}, h=0.1, steps=1) for m in (one, one, two)]
    grids[1].setup = grids[2].setup = grids[0].setup
    assert len(grids[0] + grids[1]) == 1
    with pytest.raises(gd.ArgumentError, match="a table can distinguish"):
        grids[0] + grids[2]


def test_all_measures_are_shown_unless_some_are_named(written):
    more = 'second = "ring_gan.py:off_circle"\n'
    text = '[measures]\noff_circle = "ring_gan.py:off_circle"\n'
    assert read_ablation(written('measure = "off_circle"', "")).summary["measure"] == ["off_circle"]
    path = written(text, text + more)
    assert read_ablation(path).summary["measure"] == ["off_circle"]
    path.write_text(path.read_text().replace('measure = "off_circle"', ""))
    assert read_ablation(path).summary["measure"] == ["off_circle", "second"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[measures]", "[mesures]", r"my.toml, line 13, \[mesures\]: expected a known section.*measures"),
        ("marks =", "mark =", r"my.toml, line 17, \[run\] mark: expected a known key.*marks"),
        ('"euler",', '"oiler",', r"my.toml, line 7, \[factors\] method: .*oiler.*euler"),
        ("seed =", "sead =", r"my.toml, line 10, \[factors\] sead: .*seed"),
        ("evaluations = 400", "", r"my.toml.*\[factors\].*: expected one of steps"),
        ("ring_gan.py:setup", "ring.py:setup", r"my.toml, line 4, \[setup\] function: expected a file that is there"),
        (":off_circle", ":of_circle", r"my.toml, line 14, \[measures\] off_circle: expected a function"),
        ("[0.5, 1.0]", "1.0", r"my.toml, line 17, \[run\] marks: expected a list of shares"),
        ('"method", "h_per', '"metod", "h_per', r"my.toml, line 21, \[summary\] by: expected a known factor.*method"),
        ('"weights.r1"]', '"weights.r1", "steps"]', r"line 21, \[summary\] by: expected a known factor"),
        ('measure = "off', 'measure = "of', r"line 20, \[summary\] measure: expected a known measure.*off_circle"),
        ("from = 0.08", "from = -1", r"line 8, \[factors\] h_per_evaluation: expected positive ends"),
        ("count = 3", "count = 0", r"line 10, \[factors\] seed count: expected a whole number"),
        ("[run]", "[beside]\nh = 0.1\n[run]", r"line 16, \[beside\]: expected tables of factors"),
        ("[run]", "[[beside]]\nmetod = 'rk4'\n[run]", r"line 17, \[beside\] metod: .*metod"),
        ("[run]", "[[beside]]\nmethod = {betas = 1}\n[run]", r"line 17, \[beside\] method: expected a method's name"),
        ("[setup]", "x = 1\n[setup]", r"line 3, \[x\]: expected a known section"),
    ],
)
def test_errors_name_line_and_key(written, before, after, told):
    with pytest.raises(gd.ArgumentError, match=told):
        read_ablation(written(before, after))


def test_a_failed_cell_is_the_exit_status(written, tmp_path, capsys):
    path = written('method = ["euler", "alternating", "heun2", "rk4"]', 'method = "euler"\nwidth = [-1, 8]')
    with pytest.warns(UserWarning, match="rows have no result"):
        status = main(["ablate", str(path), "--out", str(tmp_path / "out"), "--quiet", "--jobs", "1", *FEW])
    assert status == 1
    assert "failed" in capsys.readouterr().out
