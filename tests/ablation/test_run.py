"""Runs of grids: the same as solves, kept and computed again, failures told, workers killed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gamedyn as gd
from gamedyn import ablation
from gamedyn.ablation import Grid
from gamedyn.ablation.records import key_of

GAMES = Path(__file__).with_name("own_games.py")


def own(name):
    return f"{GAMES}:{name}"


DISTANCE = {"distance": own("distance")}


def within(seconds, what):
    """Wait until something is so, and fail after so many seconds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)


def running(pid):
    """Whether a process is there and is no zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def run(grid, folder, measures=DISTANCE, **options):
    return ablation.run(grid, measures, folder=folder, progress=False, **options)


class TestSameAsSolves:
    @pytest.mark.parametrize("method", ["euler", "rk4", "alternating", "ab2", "optimistic", "torch.optim:Adam"])
    def test_an_ensemble_is_its_members(self, tmp_path, method):
        # rejects: members that share a start, a stream, a step or a weight; a weight of 0 forgotten; another order
        factors = {"h": [0.02, 0.05], "weights.r1": [0.0, 0.5], "seed": [0, 1]}
        grid = Grid(own("gan"), factors, method=method, steps=12)
        together = run(grid, tmp_path / "a", marks=[0.5, 1])
        alone = run(grid, tmp_path / "b", marks=[0.5, 1], ensembles=False)
        assert set(together["together"]) == {8}
        assert set(alone["together"]) == {1}
        np.testing.assert_allclose(together["distance"], alone["distance"], rtol=2e-5)
        assert len(set(together["distance"])) == len(together)
        for name in ("at", "status", "spent.steps", "spent.evaluations", "spent.images"):
            assert list(together[name]) == list(alone[name]), name
        np.testing.assert_allclose(together["spent.time"], alone["spent.time"])

    def test_a_cell_is_a_solve(self, tmp_path):
        grid = Grid(own("quadratic"), {"rates.y": [2.0]}, method="heun2", h=0.1, steps=20, seed=3)
        found = run(grid, tmp_path, {"y": own("entries")})
        flow = gd.flows.gradient(gd.games.bilinear(), rates={"x": 1.0, "y": 2.0})
        flow = flow.with_term(gd.losses.squared_gradient(0.1, of="x", into="y"))
        start = torch.randn(2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        solved = gd.solve(flow, "heun2", h=0.1, steps=20, y0=start)
        np.testing.assert_allclose(found[["y.first", "y.last"]].to_numpy()[0], solved.state.y.numpy(), rtol=1e-12)

    def test_set_ups_whose_seed_changes_the_game_run_alone(self, tmp_path):
        # rejects: the first seed's losses for all
        grid = Grid(own("another_game"), {"seed": range(3)}, method="rk4", h=0.1, steps=10)
        found = run(grid, tmp_path)
        assert list(found["together"]) == [1] * 3
        assert set(found["alone"]) == {"set-ups whose flows differ"}
        expected = [
            run(Grid(own("another_game"), seed=s, method="rk4", h=0.1, steps=10), tmp_path / str(s)) for s in range(3)
        ]
        assert list(found["distance"]) == [float(t["distance"].iloc[0]) for t in expected]

    def test_players_with_buffers_run_alone(self, tmp_path):
        grid = Grid(own("gan"), {"seed": range(2), "norm": [False, True]}, method="euler", h=0.05, steps=4)
        found = run(grid, tmp_path)
        assert list(found["together"]) == [2, 1, 2, 1]
        assert set(found["status"]) == {"done"}

    def test_budgets(self, tmp_path):
        # rejects: an implicit method that is not stopped, images counted in batches
        factors = {"method": ["euler", "rk4", "implicit_midpoint"]}
        found = run(Grid(own("gan"), factors, h=0.05, evaluations=40, seed=0), tmp_path / "a").set_index("method")
        assert list(found["spent.evaluations"])[:2] == [40, 40]
        assert 40 <= found.loc["implicit_midpoint", "spent.evaluations"] < 60
        images = run(Grid(own("gan"), factors, h=0.05, images=160, seed=0), tmp_path / "b")
        assert list(images["spent.images"]) == [160] * 3
        times = run(Grid(own("quadratic"), {"h": [0.1, 0.25]}, method="rk4", time=5.0, seed=0), tmp_path / "c")
        assert list(times["spent.steps"]) == [50, 20]
        assert list(times["spent.time"]) == pytest.approx([5.0, 5.0])

    def test_a_member_that_diverges_leaves_the_others(self, tmp_path):
        grid = Grid(own("quadratic"), {"h": [0.1, 60.0]}, method="rk4", steps=300, seed=0, coupling=3.0)
        found = run(grid, tmp_path, marks=[0.5, 1])
        assert list(found["status"]) == ["done", "done", "non_finite", "non_finite"]
        assert found["distance"].isna().tolist() == [False, False, True, True]

    def test_jobs_and_reruns_give_the_same_bits(self, tmp_path):
        grid = Grid(own("gan"), {"method": ["euler", "rk4"], "seed": range(3)}, h=0.05, steps=5)
        tables = [run(grid, tmp_path / str(i), jobs=jobs, members=3) for i, jobs in enumerate((1, 1, 2))]
        assert list(tables[0]["distance"]) == list(tables[1]["distance"]) == list(tables[2]["distance"])

    def test_whatever_is_drawn_is_the_same_again(self, tmp_path):
        # rejects: default generators left where the last cell, or the caller, left them; and drawn from
        before = torch.default_generator.get_state()
        grid = Grid(own("unseeded"), {"method": ["euler", "rk4"], "seed": range(3)}, h=0.05, steps=5)
        first = run(grid, tmp_path / "a", {"it": own("with_noise")}, ensembles=False)
        assert torch.equal(torch.default_generator.get_state(), before)
        torch.randn(3)
        only = Grid(own("unseeded"), {"method": ["rk4"], "seed": [2]}, h=0.05, steps=5)
        again = run(only, tmp_path / "b", {"it": own("with_noise")}, ensembles=False)
        assert again["it"].iloc[0] == first["it"].iloc[-1]
        assert len(set(first["it"])) == 6


class TestKept:
    @pytest.fixture
    def mine(self, tmp_path):
        """A user's folder: a set-up that imports a module beside it."""
        folder = tmp_path / "mine"
        folder.mkdir()
        name = f"game_{os.getpid()}_{time.time_ns()}"
        (folder / f"{name}_part.py").write_text("COUPLING = 1.0\n")
        text = f"import gamedyn as gd\nimport {name}_part as part\n"
        text += "def setup():\n    return gd.flows.gradient(gd.games.bilinear([[part.COUPLING]]))\n"
        text += "def distance(outcome):\n    return outcome.state.y.norm()\n"
        (folder / f"{name}.py").write_text(text)
        yield folder / f"{name}.py"
        sys.path.remove(str(folder))

    def grid(self, mine, **factors):
        return Grid(f"{mine}:setup", {"method": ["euler", "rk4"], **factors}, h=0.1, steps=5)

    def measured(self, mine, folder, **factors):
        return run(self.grid(mine, **factors), folder, {"distance": f"{mine}:distance"})

    def computed(self, folder):
        return json.loads((folder / "ablation.json").read_text())["computed_cells"]

    def test_cells_are_computed_once(self, mine, tmp_path):
        first = self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 2
        again = self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 0
        pd.testing.assert_frame_equal(first, again)

    def test_what_changes_the_result_is_computed_again(self, mine, tmp_path):
        # rejects: a name in the place of the source, the set-up's own file alone, settings left out of the key
        first = self.measured(mine, tmp_path)
        part = mine.with_name(f"{mine.stem}_part.py")
        before = part.read_text()
        part.write_text("COUPLING = 2.0\n")
        for _ in range(2):  # this process has imported what was there before: what it computes never counts
            self.measured(mine, tmp_path)
            assert self.computed(tmp_path) == 2
        part.write_text(before)
        self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 0
        text = mine.read_text()
        mine.write_text(text.replace("y.norm()", "y.norm() * 2"))
        again = self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 2
        assert list(again["distance"]) == [2 * d for d in first["distance"]]
        mine.write_text(text)
        run(Grid(f"{mine}:setup", method="euler", h=0.2, steps=5), tmp_path, {"distance": f"{mine}:distance"})
        assert self.computed(tmp_path) == 1

    def test_a_fix_in_gamedyn_counts(self, mine, tmp_path, monkeypatch):
        self.measured(mine, tmp_path)
        records = [json.loads(p.read_text())["record"] for p in (tmp_path / "records").glob("*.json")]
        known = {Path(f).name for r in records for f in r["sources"]}
        assert {"runge_kutta.py", "gradient.py", "loop.py", mine.name, f"{mine.stem}_part.py"} <= known
        assert all({"torch", "numpy", "python"} <= set(r["versions"]) for r in records)
        own_version = "gamedyn.ablation.records._version"
        monkeypatch.setattr(own_version, lambda name: "0.0.0")
        self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 2

    @pytest.mark.parametrize("damage", ["cut", "digit", "empty", "other json"])
    def test_a_damaged_record_is_computed_again(self, mine, tmp_path, damage):
        first = self.measured(mine, tmp_path)
        path = min((tmp_path / "records").glob("*.json"))
        text = path.read_text()
        digit = re.sub(r'("distance": \d\.\d*)(\d)', lambda m: f"{m[1]}{(int(m[2]) + 1) % 10}", text)
        path.write_text({"cut": text[: len(text) // 2], "digit": digit, "empty": "", "other json": "[1]"}[damage])
        assert path.read_text() != text
        again = self.measured(mine, tmp_path)
        assert self.computed(tmp_path) == 1
        assert "damaged" in json.loads((tmp_path / "ablation.json").read_text())["computed_again"][0]
        assert list(first["distance"]) == list(again["distance"])

    def test_files(self, mine, tmp_path):
        table = self.measured(mine, tmp_path)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)
        assert list(pd.read_csv(tmp_path / "table.csv").columns) == list(table.columns)
        about = json.loads((tmp_path / "ablation.json").read_text())
        assert {"command", "began", "seconds", "machine", "versions"} <= set(about)

    def test_a_factor_of_several_kinds(self, tmp_path):
        # rejects: a table that is lost at the end because one of its formats takes one type a column
        grid = Grid(own("quadratic"), {"mark": ["a", 1, 2.5, None]}, method="euler", h=0.1, steps=2, seed=0)
        run(grid, tmp_path)
        assert list(pd.read_parquet(tmp_path / "table.parquet")["mark"])[:2] == ["a", "1"]


@pytest.mark.parametrize("name", ["h", "seed", "status", "at", "method"])
def test_a_measure_may_not_be_called_as_another_column(tmp_path, name):
    # rejects: a column of the table that a measure replaces
    grid = Grid(own("quadratic"), {"method": ["euler"], "h": [0.1], "seed": [0]}, steps=2)
    with pytest.raises(gd.ArgumentError, match="no other column"):
        run(grid, tmp_path, {name: own("distance")})


class TestFailures:
    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
    def test_workers_end_with_the_process_that_started_them(self, tmp_path):
        # rejects: workers that work on, and then wait minutes for more, after the main process was killed
        script = tmp_path / "main.py"
        script.write_text(
            "import os, pathlib, sys, time\n"
            "from gamedyn.ablation.pool import pooled\n"
            "def work(folder, n):\n"
            "    (pathlib.Path(folder) / f'pid{n}').write_text(str(os.getpid()))\n"
            "    time.sleep(600)\n"
            "if __name__ == '__main__':\n"
            "    here = pathlib.Path(sys.argv[1])\n"
            "    list(pooled(work, {n: (str(here), n) for n in range(2)}, here, jobs=2))\n"
        )
        main = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
        within(60, lambda: all((tmp_path / f"pid{n}").exists() for n in range(2)))
        workers = [int((tmp_path / f"pid{n}").read_text()) for n in range(2)]
        main.kill()
        main.wait()
        within(10, lambda: not any(running(pid) for pid in workers))

    def test_a_measure_that_fails_keeps_the_others(self, tmp_path):
        # rejects: an exception that ends the run, a failed cell that is kept
        grid = Grid(own("quadratic"), {"seed": range(4)}, method="euler", h=0.1, steps=3)
        with pytest.warns(UserWarning, match="1 of 4 rows have no result"):
            found = run(grid, tmp_path, {"it": own("refused_at_two")})
        assert list(found["status"]) == ["done", "done", "error", "done"]
        assert "not this one" in found["error"].iloc[2]
        assert "own_games.py" in found["error"].iloc[2]
        assert len([*(tmp_path / "records").glob("*.json")]) == 3

    def test_a_set_up_that_fails_says_so_in_its_own_row(self, tmp_path):
        grid = Grid(own("gan"), {"width": [8, -1], "seed": range(2)}, method="euler", h=0.1, steps=3)
        with pytest.warns(UserWarning, match="2 of 4 rows"):
            found = run(grid, tmp_path)
        assert list(found["status"]) == ["done", "done", "error", "error"]
        assert "During handling" not in found["error"].iloc[2]

    def test_a_worker_killed_once_costs_nothing(self, tmp_path):
        # rejects: a pool that ends the run, cells of others computed again from the beginning and lost
        factors = {"method": ["euler", "rk4"], "seed": range(4), "mark": str(tmp_path / "mark")}
        grid = Grid(own("quadratic"), factors, h=0.1, steps=3)
        found = run(grid, tmp_path / "a", {"distance": own("killed_once")}, jobs=2, members=1)
        assert (tmp_path / "mark").exists()
        assert set(found["status"]) == {"done"}
        expected = run(grid, tmp_path / "b", members=1)
        assert list(found["distance"]) == list(expected["distance"])

    def test_a_cell_that_kills_its_worker_every_time_is_told(self, tmp_path):
        grid = Grid(own("quadratic"), {"method": ["euler"], "seed": range(3)}, h=0.1, steps=3)
        with pytest.warns(UserWarning, match="killed 3 times"):
            found = run(grid, tmp_path, {"distance": own("killed_always")}, jobs=2, members=1)
        assert list(found["status"]) == ["done", "killed", "done"]

    @pytest.mark.parametrize("marks", [(), (0.5,), (1.0, 0.5), (0.0, 1.0), (0.5, 0.5, 1.0)])
    def test_marks(self, tmp_path, marks):
        with pytest.raises(gd.ArgumentError, match="marks"):
            run(Grid(own("quadratic"), method="euler", h=0.1, steps=3, seed=0), tmp_path, marks=marks)

    @pytest.mark.parametrize("measures", [{}, None, [lambda outcome: 1.0]])
    def test_measures(self, tmp_path, measures):
        with pytest.raises(gd.ArgumentError, match="measures"):
            run(Grid(own("quadratic"), method="euler", h=0.1, steps=3, seed=0), tmp_path, measures)

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(gd.ArgumentError, match="folder"):
            run(Grid(own("quadratic"), method="euler", h=0.1, steps=3, seed=0), tmp_path / "file")

    def test_no_cluster(self, tmp_path):
        pytest.importorskip("distributed")
        grid = Grid(own("quadratic"), method="euler", h=0.1, steps=3, seed=0)
        with pytest.raises(gd.ArgumentError, match="scheduler"):
            run(grid, tmp_path, cluster="tcp://127.0.0.1:9")


def coupled(coupling):
    def setup():
        return gd.flows.gradient(gd.games.bilinear([[coupling]]))

    return setup


def test_functions_of_one_name_are_told_apart_by_what_they_hold(tmp_path):
    # rejects: a key of names and sources alone
    found = []
    for setup in (coupled(1.0), coupled(2.0), functools.partial(coupled(1.0)), functools.partial(scaled, factor=3.0)):
        found.append(run(Grid(setup, method="euler", h=0.1, steps=3), tmp_path)["distance"].iloc[0])
    measures = [{"distance": functools.partial(times, factor=f)} for f in (1.0, 2.0)]
    found += [
        run(Grid(coupled(1.0), method="euler", h=0.1, steps=3), tmp_path, m)["distance"].iloc[0] for m in measures
    ]
    assert found[0] == found[2] == found[4]
    assert len(set(found)) == 4


def scaled(factor):
    return gd.flows.gradient(gd.games.bilinear([[factor]]))


def times(outcome, factor):
    return factor * outcome.state.y.norm()


def test_functions_of_a_notebook(tmp_path):
    # rejects: a function of no file whose text is not part of the key
    tables = []
    for factor in (1.0, 2.0):
        space = {"gd": gd, "factor": factor, "__name__": "__main__"}
        exec(f"def setup():\n    return gd.flows.gradient(gd.games.bilinear([[{factor}]]))\n", space)
        grid = Grid(space["setup"], method="euler", h=0.1, steps=3)
        tables.append(run(grid, tmp_path))
    assert tables[0]["distance"].iloc[0] != tables[1]["distance"].iloc[0]
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("name", [*gd.methods.names(), "torch.optim:Adam", "alternating_adam", "spectral", "nsgda"])
def test_a_methods_key_does_not_depend_on_what_it_was_asked(name):
    # rejects: caches in the key, which make every record stale after a run in the same process
    def key(method):
        grid = ablation.Grid(one_flow, {"method": {"m": method}}, h=0.1, steps=1)
        return key_of(grid.setup, grid.cells[0], {"size": size_of}, (1.0,), {})

    def made():
        return gd.methods.get(name, betas=(0.5, 0.9)) if "dam" in name and name != "spectral" else gd.methods.get(name)

    method = made()
    before = key(method)
    for ask in ("evaluations", "order", "explicit", "c", "stages", "decouples"):
        with contextlib.suppress(Exception):
            getattr(method, ask)
    gd.solve(one_flow(), method, h=1e-3, steps=1, throw=False)
    assert key(method) == before == key(made())
    if "dam" in name:
        assert key(gd.methods.get(name, betas=(0.6, 0.9))) != before


def one_flow():
    return gd.flows.gradient(gd.games.bilinear())


def size_of(outcome):
    return outcome.state.y.norm()
