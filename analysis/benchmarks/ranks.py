"""One run on several processes: `python -m analysis.benchmarks.ranks [--kills 100] [--counts 1 2 4]`.

Two and four processes against one: the largest difference of the last state, images a second, memory of a process;
and the vectors of parameter size that a solve by rk4 holds in each, with whole stages and with shared ones. Then a run
of two whose processes are killed, one at random at a random time, and gone on with, so many times; its last state is
checked against that of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

import gamedyn as gd
from gamedyn._lib.tables import aligned
from gamedyn.core.living import Living
from gamedyn.games.adversarial import mlp
from gamedyn.training import build, read_config
from gamedyn.training.ranks import joined

__all__ = ["main"]

CONFIG = """
[data]
name = "digits"
batch_size = 64
[models]
name = "dcgan"
channels = {channels}
latent = 16
batch_norm = false
[game]
dtype = "float64"
[solve]
method = "rk4"
h = 0.02
steps = {steps}
check_every = 5
[observers]
record = {{every = 10}}
checkpoint = {{every_steps = 5}}
"""
GRACE = 10.0
"""Seconds that the others have, once one has ended, before they are ended too: as torchrun does."""


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a run that was killed and gone on with is another one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--channels", type=int, default=32)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        compared(where, chosen.counts, chosen.channels)
        return 0 if not chosen.kills or killed(where, chosen.kills) else 1


def compared(where: Path, counts: list[int], channels: int) -> None:
    """Each number of processes on one run."""
    config = where / "speed.toml"
    config.write_text(CONFIG.format(channels=channels, steps=20), encoding="utf-8")
    game, rows, first = build(read_config(config)).game, [], None
    for count in tqdm(counts, desc="processes", disable=None):
        told = _told(started(config, where / f"speed-{count}", count, worker="--worker"))
        state = gd.State.load(where / f"speed-{count}" / "last.state", game).y
        first = state if first is None else first
        seconds, memory = (max(float(t[i]) for t in told) for i in (0, 1))
        gap = float((state - first).abs().max())
        rows.append((str(count), f"{gap:.2g}", f"{20 * 64 / seconds:.0f}", f"{memory:.0f}"))
    heads = ("processes", "largest difference", "images a second", "MiB of a process, at most")
    print(aligned([heads, *rows]))
    held = [(str(count), *_told(started(config, where / "held", count, worker="--held"))[0]) for count in counts]
    print(aligned([("processes", "vectors held, stages whole", "shared", "of these, what is shared"), *held]))


def _told(running: list[Any]) -> list[list[str]]:
    """What processes tell, a line each, once they have ended."""
    lines = [line for text in ended(running) for line in text.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith("told ")]


def killed(where: Path, kills: int) -> bool:
    """Kill and go on; whether the end is that of a run that was left alone."""
    config = where / "kills.toml"
    config.write_text(CONFIG.format(channels=4, steps=10 * kills + 50), encoding="utf-8")
    ended(started(config, where / "alone", 2))
    draw, done, began = random.Random(0), 0, time.perf_counter()
    checkpoints = where / "killed" / "checkpoints"
    with tqdm(total=kills, desc="kills", disable=None) as bar:
        while done < kills:
            before = set(checkpoints.glob("step-*.run"))
            running = started(config, where / "killed", 2, resume=bool(before))
            while set(checkpoints.glob("step-*.run")) == before and all(p.poll() is None for p in running):
                time.sleep(0.005)
            time.sleep(draw.uniform(0.0, 0.1))
            running[draw.randrange(2)].send_signal(signal.SIGKILL)
            ended(running)
            if -signal.SIGKILL not in [p.returncode for p in running]:
                print("the run was over before it could be killed so often", file=sys.stderr)
                break
            done += 1
            bar.update()
    ended(started(config, where / "killed", 2, resume=True))
    game = build(read_config(config)).game
    ends = [gd.State.load(where / name / "last.state", game).y for name in ("alone", "killed")]
    same = torch.equal(*ends)
    print(f"{done} kills, {done} resumes, {time.perf_counter() - began:.0f} s; the end is the same to the bit: {same}")
    return same


def started(config: Path, out: Path, count: int, *, resume: bool = False, worker: str = "") -> list[Any]:
    """So many processes on a run, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [str(config), "--out", str(out), "--quiet", *(["--resume"] if resume else [])]
    module = ["-m", "analysis.benchmarks.ranks", worker] if worker else ["-m", "gamedyn", "train"]
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return [
        subprocess.Popen([sys.executable, *module, *command], env={**os.environ, **shared, "RANK": str(r)}, **how)
        for r in range(count)
    ]


def ended(running: list[Any]) -> list[str]:
    """Wait for all; where one dies the others are ended."""
    dying = 0.0
    while any(p.poll() is None for p in running):
        if any(p.poll() not in (None, 0) for p in running):
            dying = dying or time.monotonic()
            if time.monotonic() - dying > GRACE:
                for p in running:
                    p.kill()
        time.sleep(0.02)
    return [p.communicate()[0] for p in running]


def worker(arguments: list[str]) -> int:
    """A process of a run that tells how long its steps took, and the most memory it had."""
    config, _, out, *_ = arguments
    run = gd.training.train(config, out, progress=False)
    print(
        f"told {run.stats['seconds']:.6f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}", flush=True
    )
    return 0


def holder(arguments: list[str]) -> int:
    """A process that tells what a solve holds, after its first steps, in vectors of parameter size."""
    generator, found = torch.Generator().manual_seed(0), []
    networks = (mlp(w, generator=generator) for w in ((2, 500, 500, 2), (2, 500, 500, 1)))
    batch = tuple(torch.randn(8, 2, generator=generator) for _ in range(2))
    with joined("cpu") as (place, _):
        game = gd.games.gan(*networks)
        flow = gd.flows.gradient(game if place.ranks == 1 else gd.data_parallel(game))
        size = flow.game.layout.n * flow.game.dtype.itemsize
        for stages in ("full", "sharded"):
            with Living() as living:

                def look(view: gd.View, living: Living = living) -> None:
                    living.peak = living.now if view.step == 2 else living.peak

                gd.solve(flow, "rk4", h=0.05, steps=9, batch=batch, stages=stages, check_every=3, observers=[look])
            found.append(living.peak / size)
        share = 5 / place.ranks
        if place.first:
            print(f"told {found[0]:.2f} {found[1]:.2f} {share:.2f}", flush=True)
    return 0


WORKERS = {"--worker": worker, "--held": holder}

if __name__ == "__main__":
    sys.exit(WORKERS[sys.argv[1]](sys.argv[2:]) if sys.argv[1:2] and sys.argv[1] in WORKERS else main())
