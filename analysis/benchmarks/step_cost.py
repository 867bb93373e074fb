"""What a step costs over the field evaluations it must make: `python -m analysis.benchmarks.step_cost`.

"Bare" is a hand-written evaluation: the modules called directly, one shared forward, one pruned
`torch.autograd.grad` per player on their own parameters, nothing flattened. Where players move in turn it is
that of the one player; where products are computed, hand-written kept graphs and products are added. Every
variant is run ten times a round, in random order of the variants, in CPU time: steps in one session, as `solve`
takes them. The figure is the median over rounds divided by that of the bare work in the same run.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torchdiffeq import odeint
from tqdm.auto import tqdm

import gamedyn as gd
from gamedyn.core import Work
from gamedyn.core.evaluation import Members
from gamedyn.integrators import stepper
from gamedyn.integrators.execution.compiled import CompiledStep
from gamedyn.jacobian import FrozenField as Field

if TYPE_CHECKING:
    from collections.abc import Callable

H = 0.01

STEPS = 10
"""Steps, evaluations or products that are measured together."""

COMPILED = ["euler", "heun2", "rk4", "ab2", "ab3", "optimistic", "alternating", "ndb124"]
"""Compiled unless asked otherwise: every compilation takes seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("out/step_cost.json"))
    parser.add_argument("--eager-only", action="store_true", help="skip compilation (it takes a minute)")
    parser.add_argument("--methods", nargs="+", default=list(gd.methods.names()))
    parser.add_argument("--compiled", nargs="*", default=COMPILED, help="methods that are compiled too")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"torch": torch.__version__, "rounds": chosen.rounds}
    for name, sizes in {"16 Gaussians, 32-25-25-2, batch 512": (32, 25, 25, 2), "8-32-8, batch 64": (8, 32, 8)}.items():
        batch = 512 if len(sizes) == 4 else 64
        compiled = [] if chosen.eager_only else [m for m in chosen.compiled if m in chosen.methods]
        found[name] = step_costs(sizes, batch, chosen.methods, chosen.rounds, compiled)
        show(name, found[name])
    found["ensemble"] = ensemble_cost(compiled=not chosen.eager_only)
    print("\n256 Dirac-GAN cells, rk4: a loop of torchdiffeq solves over one ensemble")
    for key, value in found["ensemble"].items():
        print(f"  {key:28s} {value:12.6g}")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1))
    print(f"\nwritten: {chosen.out}")
    return 0


def relu_mlp(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """A ReLU perceptron."""
    layers = [nn.ReLU() if isinstance(m, nn.Tanh) else m for m in gd.games.mlp(widths, generator=generator)]
    return nn.Sequential(*layers)


class Setting:
    """Two networks, a batch, the game on them, and its bare evaluation."""

    def __init__(self, sizes: tuple[int, ...], batch: int) -> None:
        g = torch.Generator().manual_seed(0)
        self.G, self.D = relu_mlp(sizes, g), relu_mlp((sizes[-1], *sizes[1:-1], 1), g)
        self.batch = (torch.randn(batch, sizes[-1], generator=g), torch.randn(batch, sizes[0], generator=g))
        self.flow = gd.flows.gradient(gd.Game({"G": self.G, "D": self.D}, losses))
        self._own = [list(self.G.parameters()), list(self.D.parameters())]

    def bare(self) -> tuple[Tensor, ...]:
        """A hand-written field evaluation."""
        x, z = self.batch
        fake = self.D(self.G(z))
        loss_g = softplus(-fake).mean()
        loss_d = softplus(fake).mean() + softplus(-self.D(x)).mean()
        return torch.autograd.grad(loss_g, self._own[0], retain_graph=True) + torch.autograd.grad(loss_d, self._own[1])

    def bare_player(self, i: int) -> Callable[[], Any]:
        """The losses and one player's gradient, written by hand: a move of a method whose players move in turn."""
        names = ("G", "D")

        def once() -> Any:
            return torch.autograd.grad(losses(self.G, self.D, self.batch)[names[i]], self._own[i])

        return once

    def _kept(self) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        x, z = self.batch
        fake = self.D(self.G(z))
        loss_g = softplus(-fake).mean()
        loss_d = softplus(fake).mean() + softplus(-self.D(x)).mean()
        parameters: list[Tensor] = [*self._own[0], *self._own[1]]
        gradients = [
            torch.autograd.grad(v, p, create_graph=True) for v, p in zip((loss_g, loss_d), self._own, strict=True)
        ]
        return parameters, sum(gradients, ())

    def bare_linearisation(self) -> Any:
        """An evaluation whose graph is kept."""
        return self._kept()

    def bare_second_graph(self) -> Callable[[], Any]:
        """J^T w with its own graph."""
        parameters, gradients = self._kept()

        def once() -> Any:
            w = [torch.zeros_like(g, requires_grad=True) for g in gradients]
            return w, torch.autograd.grad(gradients, parameters, w, create_graph=True, retain_graph=True)

        return once

    def bare_product(self) -> Callable[[], Any]:
        """J u from kept graphs."""
        w, graph = self.bare_second_graph()()
        u = [torch.randn_like(x) for x in w]
        return lambda: torch.autograd.grad(graph, w, u, retain_graph=True, allow_unused=True)

    def step(self, method: str, *, compiled: bool = False) -> tuple[Callable[[], None], str, Work]:
        """One step of a method on this batch, from one place; why it is not compiled, if not; and its work."""
        field, integrator = Field(self.flow), stepper(method, solver=solver_of(method))
        stepping: Any = CompiledStep(integrator) if compiled else integrator
        now = {"y": self.flow.initial_state().y}
        with torch.no_grad():
            now["memory"] = integrator.init(field, 0.0, now["y"], H)

        def once(steps: int = STEPS) -> None:
            with torch.no_grad(), field.session():
                for _ in range(steps):
                    field.begin_step(self.batch)
                    _, now["memory"], _ = stepping.step(field, 0.0, now["y"], H, now["memory"])

        once()
        field.work = Work(2)
        once(1)
        return once, stepping.reason if compiled else "", replace(field.work)

    def odeint_step(self) -> Callable[[], None]:
        """One step of torchdiffeq's rk4 by its own driver, on this project's field."""
        field, y = Field(self.flow), self.flow.initial_state().y
        field.begin_step(self.batch)
        t = torch.tensor([0.0, H], dtype=torch.float64)

        def once() -> None:
            with torch.no_grad(), field.session():
                for _ in range(STEPS):
                    odeint(lambda when, at: field(0.0, at), y, t, method="rk4")

        return once


def solver_of(method: str) -> Any:
    """Tolerances above the jumps of the field: its networks are of ReLUs."""
    chosen = gd.methods.get(method)
    if isinstance(chosen, (gd.methods.LinearlyImplicit, gd.methods.ExponentialRosenbrock)):
        return gd.integrators.Krylov(rtol=1e-3)
    return None if getattr(chosen, "explicit", True) else gd.integrators.NewtonKrylov(rtol=1e-3)


def losses(G: Any, D: Any, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """The non-saturating losses."""
    x, z = batch
    fake = D(G(z))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(x)).mean()}


def step_costs(
    sizes: tuple[int, ...], batch: int, methods: list[str], rounds: int, compiled: list[str]
) -> dict[str, Any]:
    """Cost of a step over the bare cost of its work, and over torchdiffeq's rk4, for every method."""
    setting = Setting(sizes, batch)
    runs: dict[str, Callable[[], Any]] = {
        "bare": repeated(setting.bare),
        "player 0": repeated(setting.bare_player(0)),
        "player 1": repeated(setting.bare_player(1)),
        "linearisation": repeated(setting.bare_linearisation),
        "second graph": repeated(setting.bare_second_graph()),
        "product": repeated(setting.bare_product()),
        "torchdiffeq rk4": setting.odeint_step(),
    }
    reasons, works = {}, {}
    for m in tqdm(methods, desc="preparing", disable=None):
        runs[f"{m} eager"], _, works[m] = setting.step(m)
        if m in compiled:
            runs[f"{m} compiled"], reasons[m], _ = setting.step(m, compiled=True)
    times = measured(runs, rounds)
    rows: dict[str, dict[str, Any]] = {}
    for m in methods:
        work, chosen = works[m], gd.methods.get(m)
        expected = bare_cost(chosen, work, times)
        rows[m] = {"evaluations": work.evaluations, "products": work.products, "registers": chosen.registers}
        rows[m]["family"] = type(chosen).__name__
        for kind in ("eager", "compiled") if m in compiled else ("eager",):
            rows[m][kind] = times[f"{m} {kind}"] / expected
            rows[m][f"{kind} over torchdiffeq rk4"] = times[f"{m} {kind}"] / times["torchdiffeq rk4"]
    kinds = ("player 0", "player 1", "linearisation", "second graph", "product")
    return {
        "bare_us": 1e6 * times["bare"],
        "over bare": {k: times[k] / times["bare"] for k in kinds},
        "torchdiffeq rk4 over 4 bare": times["torchdiffeq rk4"] / (4 * times["bare"]),
        "methods": rows,
        "not compiled": {m: r for m, r in reasons.items() if r},
    }


def bare_cost(method: Any, work: Work, times: dict[str, float]) -> float:
    """What the step's own work costs when written by hand: evaluations (moves: of their player), graphs, products."""
    inner = getattr(method, "inner", method)
    if isinstance(inner, gd.methods.Partitioned):
        repeats = getattr(method, "k", 1) * inner.substep.evaluations
        return sum(times[f"player {m.place}"] for m in inner.moves(2)) * repeats
    plain = work.evaluations - work.linearisations
    graphs = work.linearisations * times["linearisation"] + work.second_graphs * times["second graph"]
    return plain * times["bare"] + graphs + work.products * times["product"]


def repeated(once: Callable[[], Any]) -> Callable[[], None]:
    """It, `STEPS` times."""

    def many() -> None:
        for _ in range(STEPS):
            once()

    return many


def measured(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of one of each, all run once a round (`STEPS` of them) in random order."""
    times: dict[str, list[float]] = {k: [] for k in runs}
    order, shuffle = list(runs), random.Random(0)
    for _ in tqdm(range(rounds), desc="measuring", disable=None):
        shuffle.shuffle(order)
        for k in order:
            began = time.process_time()
            runs[k]()
            times[k].append(time.process_time() - began)
    return {k: statistics.median(v) / STEPS for k, v in times.items()}


def ensemble_cost(cells: int = 256, rounds: int = 60, *, compiled: bool = True) -> dict[str, float]:
    """A step of an ensemble of Dirac-GANs over torchdiffeq's rk4 on one cell after another."""
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
    h = torch.linspace(0.01, 0.5, cells, dtype=torch.float64)
    y0 = torch.randn(cells, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single = Field(flow)
    single.begin_step(None)

    def one_cell() -> None:
        t = torch.tensor([0.0, float(h[0])], dtype=torch.float64)
        with torch.no_grad(), single.session():
            for _ in range(STEPS):
                odeint(lambda when, at: single(0.0, at), y0[0], t, method="rk4")

    runs = {"torchdiffeq": one_cell}
    for kind in ("eager", "compiled") if compiled else ("eager",):
        field, integrator = Field(flow, members=Members(cells)), stepper("rk4")
        stepping: Any = CompiledStep(integrator) if kind == "compiled" else integrator
        runs[kind] = ensemble_step(field, stepping, y0, h[:, None])
    times = measured(runs, rounds)
    out = {"torchdiffeq, us a cell-step": 1e6 * times["torchdiffeq"]}
    for kind in list(runs)[1:]:
        out[f"{kind}, us a step of all"] = 1e6 * times[kind]
        out[f"ratio, {kind}"] = cells * times["torchdiffeq"] / times[kind]
    return out


def ensemble_step(field: Field, stepping: Any, y0: Tensor, h: Tensor) -> Callable[[], None]:
    """One step of all members, from the same place each time."""

    def once() -> None:
        with torch.no_grad(), field.session():
            for _ in range(STEPS):
                field.begin_step(None)
                stepping.step(field, 0.0, y0, h, {})

    once()
    return once


def show(name: str, result: dict[str, Any]) -> None:
    """Print one table."""
    peer = result["torchdiffeq rk4 over 4 bare"]
    print(f"\n{name}: bare {result['bare_us']:.0f} us; torchdiffeq rk4 over 4 bare: {peer:.3f}")
    print("  over bare: " + ", ".join(f"{k} {v:.2f}" for k, v in result["over bare"].items()))
    columns = ("eager", "eager over torchdiffeq rk4", "compiled", "compiled over torchdiffeq rk4")
    print(f"  {'method':29s} {'family':21s} {'evals':>6s} {'prods':>6s} {'regs':>5s}", end="")
    print("".join(f"{c:>14s}" for c in ("eager / bare", "/ tde rk4", "compiled/bare", "/ tde rk4")))
    for m, row in result["methods"].items():
        registers = "-" if row["registers"] is None else str(row["registers"])
        cells = "".join(f"{row[c]:14.3f}" if c in row else " " * 14 for c in columns)
        work = f"{row['evaluations']:6.1f} {row['products']:6d} {registers:>5s}"
        print(f"  {m:29s} {row['family']:21s} {work}{cells}")
    for m, reason in result["not compiled"].items():
        print(f"  {m} ran eagerly: {reason}")


if __name__ == "__main__":
    sys.exit(main())
