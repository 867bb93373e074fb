"""What steps, products and ensembles cost on a device, beside torchdiffeq and a hand-written loop of Adam."""

from __future__ import annotations

import statistics
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import softplus
from torchdiffeq import odeint
from tqdm.auto import tqdm

import gamedyn as gd
from analysis.benchmarks.gpu.correctness import Check
from gamedyn.integrators import stepper
from gamedyn.integrators.execution import executed
from gamedyn.jacobian import FrozenField
from gamedyn.training import models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["goals", "shown", "tables"]

H = 0.01
ROUNDS, REPEATS = 7, 20


class Setting:
    """Two networks on a device, a batch, the game on them, and what is written by hand beside it."""

    def __init__(self, G: Any, D: Any, batch: tuple[Tensor, Tensor], device: torch.device) -> None:
        self.device, self.G, self.D = device, G.to(device), D.to(device)
        self.batch = tuple(x.to(device) for x in batch)
        self.flow = gd.flows.gradient(gd.Game({"G": self.G, "D": self.D}, losses))
        self._own = [list(self.G.parameters()), list(self.D.parameters())]

    def bare(self) -> None:
        """Four hand-written field evaluations."""
        for _ in range(4):
            found = losses(self.G, self.D, self.batch)
            torch.autograd.grad(found["G"], self._own[0], retain_graph=True)
            torch.autograd.grad(found["D"], self._own[1])

    def ours(self, execution: str) -> Callable[[], None]:
        """A step of rk4."""
        field, integrator = FrozenField(self.flow, self.flow.initial_state().buffers, check=False), stepper("rk4")
        now: dict[str, Any] = {"y": self.flow.initial_state().y, "memory": {}}
        with torch.no_grad():
            field.open(now["y"], self.batch)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of steps that run eagerly
            stepping = executed(integrator, execution)

        def once() -> None:
            with torch.no_grad(), field.session():
                field.begin_step(self.batch)
                now["y"], now["memory"], _ = stepping.step(field, 0.0, now["y"], H, now["memory"])

        return once

    def torchdiffeq(self) -> Callable[[], None]:
        """A step of torchdiffeq's rk4 on a field written by hand: `functional_call` on views of the flat vector."""
        names = [[k for k, _ in m.named_parameters()] for m in (self.G, self.D)]
        shapes = [p.shape for own in self._own for p in own]
        sizes = [s.numel() for s in shapes]
        y = torch.cat([p.detach().reshape(-1) for own in self._own for p in own])
        t = torch.tensor([0.0, H], device=self.device)

        def field(_: Tensor, at: Tensor) -> Tensor:
            with torch.enable_grad():
                views = [
                    v.view(s).requires_grad_() for v, s in zip(torch.split(at.detach(), sizes), shapes, strict=True)
                ]
                cut = len(names[0])
                own = [dict(zip(names[0], views[:cut], strict=True)), dict(zip(names[1], views[cut:], strict=True))]
                found = losses(
                    lambda z: functional_call(self.G, own[0], (z,)),
                    lambda x: functional_call(self.D, own[1], (x,)),
                    self.batch,
                )
                grads = torch.autograd.grad(found["G"], views[:cut], retain_graph=True)
                grads += torch.autograd.grad(found["D"], views[cut:])
            return -torch.cat([g.reshape(-1) for g in grads])

        def once() -> None:
            with torch.no_grad():
                odeint(field, y, t, method="rk4")

        return once

    def adam(self) -> Callable[[], None]:
        """A step of the usual loop: Adam for each player, losses evaluated once."""
        optimisers = [torch.optim.Adam(own, lr=1e-4) for own in self._own]

        def once() -> None:
            found = losses(self.G, self.D, self.batch)
            grads = torch.autograd.grad(found["G"], self._own[0], retain_graph=True)
            grads += torch.autograd.grad(found["D"], self._own[1])
            for p, g in zip([*self._own[0], *self._own[1]], grads, strict=True):
                p.grad = g
            for optimiser in optimisers:
                optimiser.step()

        return once


def losses(G: Any, D: Any, batch: Any) -> dict[str, Tensor]:
    """Non-saturating."""
    fake = D(G(batch[1]))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(batch[0])).mean()}


def settings(device: torch.device, *, brief: bool) -> dict[str, Setting]:
    """The networks that are measured."""
    g = torch.Generator().manual_seed(0)

    def images(name: str, size: int, **how: Any) -> Setting:
        pair = models.build(name, (3, 32, 32), seed=0, **how)
        batch = (torch.randn(size, 3, 32, 32, generator=g), torch.randn(size, pair.latent, generator=g))
        return Setting(pair.generator, pair.discriminator, batch, device)

    G, D = gd.games.mlp((32, 25, 25, 2), generator=g), gd.games.mlp((2, 25, 25, 1), generator=g)
    rows = 64 if brief else 512
    batch = (torch.randn(rows, 2, generator=g), torch.randn(rows, 32, generator=g))
    found = {"16 Gaussians, MLP": Setting(G, D, batch, device)}
    found["DCGAN 32"] = images("dcgan", 8 if brief else 64, channels=8 if brief else 64)
    if not brief:
        found["ResNet 32"] = images("resnet", 64)
    return found


def tables(device: torch.device, *, brief: bool) -> dict[str, dict[str, float]]:
    """Milliseconds, by what is measured; ratios to four bare fields."""
    out = {}
    for name, setting in tqdm(settings(device, brief=brief).items(), desc="networks", disable=None):
        calls: dict[str, Callable[[], None]] = {
            "four bare fields": setting.bare,
            "rk4, torchdiffeq": setting.torchdiffeq(),
        }
        out[name] = row = measured(calls, device, brief=brief)
        for execution in ("eager", "compiled", "captured"):
            if brief and execution == "compiled":
                continue
            try:
                row |= measured({f"rk4, {execution}": setting.ours(execution)}, device, brief=brief)
            except Exception as error:  # what does not run is shown as such, and fails the goals
                row[f"rk4, {execution}: {type(error).__name__} {str(error)[:60]}"] = float("nan")
        row |= measured({"Adam by hand": setting.adam()}, device, brief=brief)
    out |= products(device, brief=brief)
    out["256 Dirac-GANs, rk4"] = ensembles(device, brief=brief)
    return out


def products(device: torch.device, *, brief: bool) -> dict[str, dict[str, float]]:
    """J u, and eight eigenpairs, of perceptrons of 1 and 10 million parameters."""
    out = {}
    for name, width in (("0.02 M", 64),) if brief else (("1 M", 480), ("10 M", 1550)):
        g = torch.Generator().manual_seed(0)
        nets = [gd.games.mlp(w, generator=g).to(device) for w in ((64, width, width, 64), (64, width, width, 1))]
        batch = tuple(torch.randn(64, 64, generator=g).to(device) for _ in range(2))
        flow = gd.flows.gradient(gd.games.gan(*nets))
        J = flow.at(flow.initial_state(), batch).jacobian()
        u = torch.randn(J.shape[0], generator=g).to(device)
        row = measured({"J u": partial(J.jvp, u), "J^T u": partial(J.vjp, u)}, device, brief=brief)
        once = {"eight eigenpairs": partial(gd.spectrum.outer_pairs, J, 8, tol=1e-4)}
        out[f"J, {name} parameters"] = row | measured(once, device, brief=brief, repeats=1, rounds=1)
    return out


def ensembles(device: torch.device, *, brief: bool) -> dict[str, float]:
    """A step of all members at once."""
    game = gd.games.dirac_gan("nonsaturating", "r1", 0.3)
    flow = gd.flows.gradient(game.to(device) if hasattr(game, "to") else game)
    h = torch.linspace(0.01, 0.5, 256).tolist()
    row = {}
    for execution in ("eager", "captured"):
        began = time.perf_counter()
        run = gd.solve_ensemble(flow, "rk4", h=h, steps=50 if brief else 500, execution=execution)
        row[f"a step, {execution} (the start included)"] = 1e3 * (time.perf_counter() - began) / run.step
    return row


def measured(
    calls: Mapping[str, Callable[[], Any]],
    device: torch.device,
    *,
    brief: bool,
    repeats: int = REPEATS,
    rounds: int = ROUNDS,
) -> dict[str, float]:
    """Milliseconds a call: medians of rounds, each of several calls, by device events."""
    repeats, rounds = (min(repeats, 3), min(rounds, 2)) if brief else (repeats, rounds)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(3 if repeats > 1 else 0):
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(_elapsed(call, repeats, device) / repeats)
    return {name: statistics.median(x) for name, x in found.items()}


def _elapsed(call: Callable[[], Any], repeats: int, device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        return 1e3 * (time.perf_counter() - began)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize(device)
    return float(start.elapsed_time(end))


def shown(row: dict[str, float]) -> list[tuple[str, ...]]:
    """A table: milliseconds, and over four bare fields where those were measured."""
    bare = row.get("four bare fields")
    heads = ("", "ms", *(("over four bare fields",) if bare else ()))
    return [heads, *((k, f"{v:.4g}", *((f"{v / bare:.3f}",) if bare else ())) for k, v in row.items())]


def goals(found: dict[str, dict[str, float]]) -> list[Check]:
    """What the captured step is to reach."""
    small, images = found["16 Gaussians, MLP"], found["DCGAN 32"]
    nan = float("nan")
    times_faster = small["rk4, torchdiffeq"] / small.get("rk4, captured", nan)
    over = min(images.get(f"rk4, {e}", nan) for e in ("eager", "captured")) / images["four bare fields"]
    return [
        Check(
            "captured rk4 on 16 Gaussians, times faster than torchdiffeq",
            times_faster >= 5,
            f"{times_faster:.2f}",
            ">= 5",
        ),
        Check("DCGAN rk4 over four bare fields", over <= 1.02, f"{over:.3f}", "<= 1.02"),
    ]
