"""What a grid costs: `python -m analysis.benchmarks.ablation_cost`.

256 cells of the Dirac-GAN, 16 steps by 16 first states, 500 steps each of the 3/8 rule, which is what torchdiffeq calls
rk4: as `gamedyn.ablation` runs them (ensembles of 64), cell by cell in processes of its pool, and as a loop of
`torchdiffeq.odeint` on the hand-written field. Wall-clock seconds of each, in random order, median of the rounds; the
largest difference of the end points.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchdiffeq import odeint
from tqdm.auto import tqdm

import gamedyn as gd
from gamedyn import ablation

STEPS = 500
SIZES = tuple(float(h) for h in np.geomspace(0.01, 0.5, 16).round(6))


def start(seed: int) -> torch.Tensor:
    """The first state of a seed."""
    return torch.randn(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def setup(seed: int) -> ablation.Setup:
    """The Dirac-GAN from there."""
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
    return ablation.Setup(flow, y0=flow.initial_state().with_y(start(seed)))


def ends(outcome: ablation.Outcome) -> dict[str, float]:
    """Where it ends."""
    return {"x": float(outcome.state.y[0]), "y": float(outcome.state.y[1])}


def of_grid(**options: Any) -> np.ndarray:
    """By gamedyn.ablation."""
    grid = ablation.Grid(setup, {"h": SIZES, "seed": range(16)}, method="rk4_38", steps=STEPS)
    with tempfile.TemporaryDirectory() as folder:
        table = ablation.run(grid, {"end": ends}, folder=folder, progress=False, **options)
    return np.asarray(table[["end.x", "end.y"]], dtype=float)


def of_loop() -> np.ndarray:
    """By torchdiffeq, a cell at a time: both losses by hand."""

    def field(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        slope = torch.sigmoid(-y[0] * y[1])  # the generator's loss is softplus(-x y), the discriminator's softplus(x y)
        return torch.stack([slope * y[1], -torch.sigmoid(y[0] * y[1]) * y[0]])

    found = []
    for h in SIZES:
        times = torch.arange(STEPS + 1, dtype=torch.float64) * h
        found += [odeint(field, start(seed), times, method="rk4")[-1].numpy() for seed in range(16)]
    return np.array(found)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/ablation_cost.json"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    works = {
        "ensembles": of_grid,
        "a cell at a time, in processes": lambda: of_grid(ensembles=False, jobs=chosen.jobs),
        "loop of torchdiffeq": of_loop,
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    found: dict[str, np.ndarray] = {}
    shuffled = random.Random(0)
    for _ in tqdm(range(chosen.rounds), desc="measuring", disable=None):
        for name in shuffled.sample([*works], len(works)):
            began = time.perf_counter()
            found[name] = works[name]()
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    for name, s in median.items():
        gap = float(np.abs(found[name] - found["ensembles"]).max())
        print(f"  {name:32s} {s:8.2f} s   {s / median['ensembles']:7.1f} times ensembles   apart {gap:.1e}")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"seconds": seconds, "median": median}, indent=1))
    print(f"written: {chosen.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
