"""What training costs over the evaluations that it must make: `python -m analysis.benchmarks.training_cost`.

The 28-pixel convolutional pair. "Bare" is a hand-written evaluation on the same modules: one shared forward, one pruned
`torch.autograd.grad` for each player; where players move in turn, one gradient each. A run is `solve` with what
`examples/fashion_dcgan.toml` gives it: batches of 64, the average of the parameters, a record every 20 steps, a look at
the state every 50. After each step as much bare work is done, so that both meet the same machine; the figure is the
median over the steps of the one over the other, with its quartiles. CPU time, one thread, methods in random order,
round after round. Beside it a hand-written loop with `torch.optim.Adam`. Then the most memory that a run holds at a
time, over what one bare evaluation holds, in vectors as long as the parameters, beside the method's registers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import softplus
from tqdm.auto import tqdm

import gamedyn as gd
from gamedyn._lib.allocator import keep_freed_memory
from gamedyn.core.living import Living
from gamedyn.integrators import Observer
from gamedyn.training import models
from gamedyn.training.observers import EMA, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = {"euler": 1, "alternating": 1, "heun2": 2, "rk4": 4}
"""And how often a step makes the bare work: of alternating play one gradient of each player."""
H = 1e-3


class Setting:
    """The pair, its samples, and hand-written evaluations and loops."""

    def __init__(self, batch: int, channels: int) -> None:
        draw = torch.Generator().manual_seed(0)
        self.pair = models.build("odegan", (1, 28, 28), channels=channels, latent=64)
        self.data = torch.rand(256, 1, 28, 28, generator=draw) * 2 - 1
        self.batch = batch
        self.players = (self.pair.generator, self.pair.discriminator)
        self.own = [list(m.parameters()) for m in self.players]
        self.flow = gd.flows.gradient(gd.games.gan(*self.players))
        self.fixed = self.data[:batch], torch.randn(batch, 64, generator=draw)

    def losses(self) -> tuple[Tensor, Tensor]:
        """The non-saturating losses, by hand."""
        x, z = self.fixed
        G, D = self.players
        fake = D(G(z))
        return softplus(-fake).mean(), softplus(fake).mean() + softplus(-D(x)).mean()

    def bare(self) -> None:
        """An evaluation of the field."""
        loss_g, loss_d = self.losses()
        torch.autograd.grad(loss_g, self.own[0], retain_graph=True)
        torch.autograd.grad(loss_d, self.own[1])

    def bare_in_turn(self) -> None:
        """The losses and one gradient, for one player after the other."""
        for i in range(2):
            torch.autograd.grad(self.losses()[i], self.own[i])

    def run(self, method: str, steps: int, *observers: Observer) -> None:
        """A run as `gamedyn train` makes it."""
        stream = gd.batches(self.data, latent=64, batch_size=self.batch)
        with tempfile.TemporaryDirectory() as folder:
            recorder = Recorder(Path(folder) / "records.jsonl", every=20)
            watching = [EMA(half_life=100), recorder, *observers]
            gd.solve(self.flow, method, h=H, steps=steps, batches=stream, observers=watching, every=10, check_every=50)
            recorder.finish()

    def adam(self, steps: int, beside: Beside) -> None:
        """The usual loop: the discriminator's step, then the generator's, fresh noise for each."""
        G, D = self.players
        made, judged = torch.optim.Adam(G.parameters(), lr=H), torch.optim.Adam(D.parameters(), lr=H)
        draw = torch.Generator().manual_seed(0)
        for _ in range(steps):
            x = self.data[torch.randint(len(self.data), (self.batch,), generator=draw)]
            judged.zero_grad()
            fake = G(torch.randn(self.batch, 64, generator=draw)).detach()
            (softplus(D(fake)).mean() + softplus(-D(x)).mean()).backward()  # type: ignore[no-untyped-call]
            judged.step()
            made.zero_grad()
            softplus(-D(G(torch.randn(self.batch, 64, generator=draw)))).mean().backward()  # type: ignore[no-untyped-call]
            made.step()
            beside.step()


class Beside(Observer):
    """After every step, as much bare work.

    Attributes:
        pairs: CPU seconds of each step, and of the bare work after it, without the first two steps, which warm up.
    """

    def __init__(self, bare: Callable[[], None], count: int) -> None:
        self.bare, self.count = bare, count
        self.pairs: list[tuple[float, float]] = []
        self._seen, self._since = 0, 0.0

    def after_step(self, view: object) -> None:
        """Measure."""
        self.step()

    def step(self) -> None:
        """A step has ended."""
        now = time.process_time()
        for _ in range(self.count):
            self.bare()
        then = time.process_time()
        if self._seen >= 2:
            self.pairs.append((now - self._since, then - now))
        self._seen, self._since = self._seen + 1, time.process_time()


def pairs(setting: Setting, name: str, steps: int) -> list[tuple[float, float]]:
    """Seconds of each step, and of its bare work."""
    in_turn = name not in METHODS or name == "alternating"
    beside = Beside(setting.bare_in_turn if in_turn else setting.bare, METHODS.get(name, 1))
    if name in METHODS:
        setting.run(name, steps + 2, beside)
    else:
        setting.adam(steps + 2, beside)
    return beside.pairs


def held(setting: Setting, work: Callable[[], Any]) -> float:
    """The most that a piece of work holds at a time, in vectors of the parameters' size."""
    with Living() as living:
        work()
    parameters: int = sum(setting.pair.sizes.values())
    return float(living.peak) / (4 * parameters)


def memory(setting: Setting) -> dict[str, dict[str, float]]:
    """By method: registers, and what a run (with the average of the parameters) holds over a bare evaluation."""
    bare, rows = held(setting, setting.bare), {}
    for name in METHODS:
        most = held(setting, partial(setting.run, name, 5))
        rows[name] = {"registers": gd.methods.get(name).registers, "run": most, "bare": bare, "over": most - bare}
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10, help="steps of a method in a round")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("out/training_cost.json"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()  # as `gamedyn train` does
    setting = Setting(chosen.batch, chosen.channels)
    print(setting.pair)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*METHODS, "Adam by hand")}
    shuffled = random.Random(0)
    for _ in tqdm(range(chosen.rounds), desc="measuring", disable=None):
        for name in shuffled.sample([*found], len(found)):
            found[name] += pairs(setting, name, chosen.steps)
    print(f"\nbatch {chosen.batch}, one thread: a step over its bare work, median over steps (quartiles)")
    rows = {}
    for name, measured in found.items():
        low, middle, high = statistics.quantiles([step / bare for step, bare in measured], n=4)
        step, bare = (statistics.median(x) for x in zip(*measured, strict=True))
        rows[name] = {"step": step, "bare": bare, "over": middle, "quartiles": (low, high)}
        print(f"  {name:14s}  step {step:7.4f} s  bare {bare:7.4f} s  over {middle:.3f} ({low:.3f} to {high:.3f})")
    print("\nthe most memory at a time, in vectors of the parameters' size")
    for name, row in (holds := memory(setting)).items():
        print(f"  {name:14s}" + "".join(f"  {k} {v:6.2f}" for k, v in row.items()))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    figures = {"pairs": found, "rows": rows, "memory": holds, "torch": torch.__version__}
    chosen.out.write_text(json.dumps(figures, indent=1))
    print(f"\nwritten: {chosen.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
