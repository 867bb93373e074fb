"""Implicit methods training the digits GAN of `solver_limits`, and rk4 given the same work."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.digits import digits, frechet_distance
from analysis.common.digits_gan import LATENT, flow_of, samples
from analysis.common.parts import Result
from gamedyn.jacobian import FrozenField as Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.core import State

__all__ = ["costs", "stream", "train"]

WORK = ("evaluations", "products", "newton_iterations", "krylov_products", "linear_unsolved")


def stream(settings: Any, seed: int) -> Any:
    """The batches of a seed."""
    data = torch.as_tensor(digits(), dtype=torch.float32)
    return gd.batches(data, latent=LATENT, seed=seed, batch_size=settings.batch)


def train(settings: Any, *, method: str, seed: int, h: float, compare: bool) -> Result:
    """One method from one start: every step's status, its work, the distance at the end; rk4's at equal work."""
    flow = flow_of("nonsaturating", settings, seed)
    began = time.process_time()
    state, statuses, work = stepped(settings, flow, method, stream(settings, seed), h)
    seconds = time.process_time() - began
    cost = costs(flow, next(stream(settings, seed)), settings.cost_rounds)
    total = work["evaluations"] + cost["product"] * work["products"]
    figures: dict[str, Any] = {
        "method": method,
        "seed": seed,
        "h": h,
        "statuses": dict(statuses),
        **work,
        "work": total,
        "cost": cost,
        "seconds": seconds,
        "distance": distance(settings, flow, state),
    }
    if not compare:
        return Result(figures, {})
    steps = max(1, round(total / 4))
    began = time.process_time()
    state, statuses, _ = stepped(settings, flow, settings.reference, stream(settings, seed), h, steps)
    figures["reference"] = {
        "steps": steps,
        "statuses": dict(statuses),
        "seconds": time.process_time() - began,
        "distance": distance(settings, flow, state),
    }
    return Result(figures, {})


def stepped(
    settings: Any, flow: Any, method: str, batches: Any, h: float, steps: int | None = None
) -> tuple[State, Counter[str], dict[str, float]]:
    """So many steps, whatever happens: a rejected step is counted, and the next batch is tried from the same state."""
    state, statuses, left = flow.initial_state(), Counter[str](), steps or settings.steps
    work = dict.fromkeys(WORK, 0.0)
    options = {} if gd.methods.get(method).explicit else {"solver": solver(settings, method)}
    while left > 0:
        run = gd.solve(
            flow,
            method,
            h=h,
            steps=left,
            y0=state,
            batches=batches,
            throw=False,
            check_every=1,
            every=left,
            **options,
        )
        for name in work:
            work[name] += float(run.stats.get(name, 0.0))
        statuses["ok"] += run.step
        state, left = run.state, left - run.step
        if run.status == "done":
            break
        statuses[str(run.status)] += 1
        left -= 1
        if run.status == "non_finite":
            break
    return state, statuses, work


def solver(settings: Any, method: str) -> Any:
    """Newton-Krylov with the study's tolerance, or the linear solver of linearly implicit methods."""
    if isinstance(gd.methods.get(method), gd.methods.LinearlyImplicit):
        return gd.integrators.Krylov(rtol=settings.rtol)
    return gd.integrators.NewtonKrylov(rtol=settings.rtol)


def costs(flow: Any, batch: Any, rounds: int) -> dict[str, float]:
    """CPU seconds of an evaluation; a product and the graph of products in evaluations. Medians, side by side."""
    field, y = Field(flow), flow.initial_state().y
    field.begin_step(batch)
    at, u = field.linearise(0.0, y), torch.ones_like(y)
    at.jvp(u)

    def evaluate() -> None:
        with torch.no_grad():
            field(0.0, y)

    jobs: dict[str, Callable[[], Any]] = {
        "evaluation": evaluate,
        "product": lambda: at.jvp(u),
        "graph": lambda: field.linearise(0.0, y),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.process_time()
            job()
            times[name].append(time.process_time() - began)
    each = {name: statistics.median(t) for name, t in times.items()}
    ratios = {name: each[name] / each["evaluation"] for name in ("product", "graph")}
    return {"evaluation": each["evaluation"], **ratios}


def distance(settings: Any, flow: Any, state: State) -> float | None:
    """Frechet distance on pixels of generated images; None where the state is not finite."""
    z = torch.randn(settings.latents, LATENT, generator=torch.Generator().manual_seed(7))
    found = frechet_distance(digits(), samples(flow, state, z))
    return float(found) if np.isfinite(found) else None
