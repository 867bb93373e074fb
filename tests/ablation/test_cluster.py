"""A grid on a dask.distributed cluster of real processes, one of which is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gamedyn import ablation
from gamedyn.ablation import Grid

distributed = pytest.importorskip("distributed")
GAMES = Path(__file__).with_name("own_games.py")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dask's own shutdown
def test_three_workers_of_which_one_is_killed(tmp_path):
    # rejects: results that must be on a disk the workers share, cells lost with their worker
    factors = {"method": ["euler", "rk4"], "seed": range(6), "mark": str(tmp_path / "mark")}
    grid = Grid(f"{GAMES}:quadratic", factors, h=0.1, steps=5)
    options = {"members": 1, "progress": False}
    own = {"n_workers": 3, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**own, local_directory=str(tmp_path)) as cluster:
        measures = {"distance": f"{GAMES}:killed_once"}
        found = ablation.run(grid, measures, folder=tmp_path / "a", cluster=cluster.scheduler_address, **options)
    assert (tmp_path / "mark").exists()
    here = ablation.run(grid, {"distance": f"{GAMES}:distance"}, folder=tmp_path / "b", **options)
    assert set(found["status"]) == {"done"}
    assert list(found["distance"]) == list(here["distance"])
