"""Training at equal evaluations and integrated time, with the spectrum measured on the way."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import gamedyn as gd
from analysis.common.digits import digits, frechet_distance
from analysis.common.parts import Result
from gamedyn.spectrum.controller import SpectralController
from gamedyn.spectrum.monitor import SpectralMonitor

if TYPE_CHECKING:
    from gamedyn.core import State
    from gamedyn.methods import Method

__all__ = ["batch_sharpness", "control", "implicit", "method_of", "path", "train"]

LATENT = 16

KINDS = {"nonsaturating": ("leftmost",), "wasserstein": ("leftmost", "largest_imaginary")}
"""Eigenvalues computed: rotation decides, too, where the loss makes some."""

HALF = "heavy_ball_half"


def flow_of(case: Any, seed: int = 0, dtype: torch.dtype = torch.float32) -> gd.flows.GradientFlow:
    """The digits GAN of a case: generator 16-w-w-64 with tanh output, discriminator 64-w-w-1."""
    g, w = torch.Generator().manual_seed(1000 + seed), case.width
    G = gd.games.mlp((LATENT, w, w, 64), generator=g).append(nn.Tanh()).to(dtype)
    D = gd.games.mlp((64, w, w, 1), generator=g).to(dtype)
    flow = gd.flows.gradient(gd.games.gan(G, D, case.loss))
    if not case.penalty:
        return flow
    losses = gd.losses
    return flow.with_term(
        losses.squared_gradient(case.penalty) if case.loss == "nonsaturating" else losses.r1(case.penalty)
    )


def everything(settings: Any, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """All images and one latent each: the batch of the full-batch Jacobian."""
    images = torch.as_tensor(digits()[: settings.images])
    z = torch.randn(len(images), LATENT, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    return images.to(dtype), z.to(dtype)


def sources(settings: Any, case: Any, seeds: list[int]) -> dict[str, Any]:
    """What the steps see: a stream of batches a seed, or the same full batch for all."""
    if not case.batch:
        return {"batch": everything(settings, torch.float32)}
    data = torch.as_tensor(digits(), dtype=torch.float32)
    made = {s: gd.batches(data, latent=LATENT, seed=s, batch_size=case.batch) for s in set(seeds)}
    return {"batches": [made[s] for s in seeds]}


def one_source(settings: Any, case: Any, seed: int) -> dict[str, Any]:
    """The same for `solve`."""
    found = sources(settings, case, [seed])
    return {k: v[0] if k == "batches" else v for k, v in found.items()}


def method_of(settings: Any, name: str) -> Method:
    """A method of the study: registered, or made here."""
    if name == HALF:
        return gd.methods.heavy_ball("1/2")
    return tailored(settings) if name == "tailored" else gd.methods.get(name)


def tailored(settings: Any) -> Method:
    """The method with the longest step on the damped modes at an early point of Euler's training."""
    case, steps = settings.cases[0], settings.tailor_after
    flow = flow_of(case)
    run = gd.solve(flow, "euler", h=settings.tailor_tau, steps=steps, **one_source(settings, case, 0))
    monitor = monitor_of(settings, case, "euler", kinds=("leftmost", "largest_modulus"), k=6)
    found = monitor.measure(run.state, settings.tailor_tau)
    modes = found.eigenvalues[found.eigenvalues.real < -1e-3]
    return gd.stability.tailor(modes, settings.tailor_stages, damping=settings.tailor_damping).method


def evaluations_of(method: Method) -> float:
    """Field evaluations a step."""
    return float(getattr(method, "evaluations", None) or 1)


def step_of(method: Method, tau: float) -> float:
    """The step that goes tau of the flow's time with every evaluation."""
    return tau * evaluations_of(method) / float(getattr(method, "time_scale", None) or 1)


def monitor_of(settings: Any, case: Any, method: str | Method, **options: Any) -> SpectralMonitor:
    """A monitor of the full-batch Jacobian in float64."""
    given = {"kinds": KINDS[case.loss], "k": settings.k, **options}
    return SpectralMonitor(flow_of(case, 0, torch.float64), method, batch=everything(settings), **given)


def train(settings: Any, *, case: int, method: str) -> Result:
    """Every (seed, tau) of a case and method as one ensemble; spectra at some steps, distance at the end."""
    at, chosen = settings.cases[case], method_of(settings, method)
    cells = list(product(range(at.seeds), at.taus))
    steps = max(len(settings.measured), round(at.evaluations / evaluations_of(chosen)))
    kept: dict[int, torch.Tensor] = {}
    wanted = {max(1, round(share * steps)) for share in settings.measured}

    def keep(view: gd.integrators.View) -> None:
        if view.step in wanted:
            kept[view.step] = view.state.y

    flow = flow_of(at)
    run = gd.solve_ensemble(
        flow,
        chosen,
        h=[step_of(chosen, tau) for _, tau in cells],
        steps=steps,
        y0=[flow_of(at, seed).initial_state() for seed, _ in cells],
        observers=[keep],
        **sources(settings, at, [seed for seed, _ in cells]),
    )
    rows = []
    for i, (seed, tau) in enumerate(cells):
        monitor, h = monitor_of(settings, at, chosen), step_of(chosen, tau)
        for step, y in sorted(kept.items()):
            if bool(y[i].isfinite().all()):
                monitor.measure(y[i].double(), h, step=step, t=step * h)
        records = [r.to_dict() for r in monitor.records]
        distance = _distance(settings, flow, run.state.member(i))
        sharpness = batch_sharpness(settings, at, seed, run.state.y[i].double())
        row = {"seed": seed, "tau": tau, "h": h, "distance": distance, "records": records, "sharpness": sharpness}
        rows.append(row)
    told = {"real_interval": _plain(gd.stability.real_limit(chosen)), "evaluations_per_step": evaluations_of(chosen)}
    return Result({"case": at.name, "method": method, **told, "steps": steps, "cells": rows}, {})


def batch_sharpness(settings: Any, case: Any, seed: int, y: torch.Tensor) -> float | None:
    """The mean of `-v' J v / |v|^2` over batches, v and J of each batch: of descent, the batch sharpness.

    Source: Andreyev, Beneventano 2024, arXiv:2412.20553, there for gradients of one loss.
    """
    if not case.batch or not bool(y.isfinite().all()):
        return None
    flow, stream = flow_of(case, 0, torch.float64), one_source(settings, case, seed)["batches"]
    found = []
    for _ in range(settings.sharpness_batches):
        batch = tuple(x.double() for x in next(stream))
        J = flow.at(y, batch).jacobian()
        v = J.value
        found.append(-float(v @ (J @ v)) / max(float(v @ v), 1e-300))
    return sum(found) / len(found)


def path(settings: Any, *, method: str) -> Result:
    """One run of the base case with the monitor in the loop."""
    case, chosen = settings.cases[0], method_of(settings, method)
    h, each = step_of(chosen, settings.path_tau), evaluations_of(chosen)
    every = max(1, round(settings.path_every / each))
    kinds = ("leftmost", "largest_modulus")
    monitor = monitor_of(settings, case, chosen, kinds=kinds, every=every, h=h)
    steps = max(every, round(settings.path_evaluations / each))
    run = gd.solve(
        flow_of(case), chosen, h=h, steps=steps, observers=[monitor], throw=False, **one_source(settings, case, 0)
    )
    return Result({"method": method, "h": h, "status": run.status, "evaluations": each, **monitor.to_dict()}, {})


def implicit(settings: Any, *, method: str, seed: int, h: float) -> Result:
    """An implicit method, which has no boundary, for a given time; a step that is not solved is counted and skipped."""
    case, left, rejected = settings.cases[0], max(1, round(settings.implicit_time / h)), 0
    flow, solver = flow_of(case), gd.integrators.NewtonKrylov(rtol=settings.rtol)
    state, source = flow_of(case, seed).initial_state(), one_source(settings, case, seed)
    monitor = monitor_of(settings, case, method, h=h)
    marks, done, status = {max(1, round(share * left)) for share in settings.measured}, 0, "done"

    def look(view: gd.integrators.View) -> None:
        if done + view.step in marks:
            monitor.measure(view.state, h, step=done + view.step, t=(done + view.step) * h)

    while left > 0:
        options: dict[str, Any] = {"throw": False, "check_every": 1, "observers": [look], "solver": solver}
        run = gd.solve(flow, method, h=h, steps=left, y0=state, **options, **source)
        done, state, left, status = done + run.step, run.state, left - run.step, str(run.status)
        if status in ("done", "non_finite"):
            break
        rejected, left, done = rejected + 1, left - 1, done + 1
    if not monitor.records:
        monitor.measure(state, h, step=done, t=done * h)
    told = {"distance": _distance(settings, flow, state), "rejected": rejected, "status": status}
    records = [r.to_dict() for r in monitor.records]
    return Result({"method": method, "seed": seed, "h": h, **told, "records": records}, {})


def control(settings: Any, *, method: str, seed: int) -> Result:
    """The spectral controller from one start; beside it fixed steps at as many evaluations."""
    case, chosen = settings.cases[0], method_of(settings, method)
    each, flow = evaluations_of(chosen), flow_of(case)
    every, steps = (max(1, round(n / each)) for n in (settings.control_every, settings.control_evaluations))
    first = step_of(chosen, settings.control_first)
    monitor = monitor_of(settings, case, chosen, every=every)
    controller = SpectralController(monitor, first=first, h_min=first / 1000, h_max=first, safety=settings.safety)
    start = flow_of(case, seed).initial_state()
    run = gd.solve(flow, chosen, h=controller, steps=steps, y0=start, **one_source(settings, case, seed))
    fixed = gd.solve_ensemble(
        flow,
        chosen,
        h=[step_of(chosen, tau) for tau in settings.control_fixed],
        steps=steps,
        y0=[start] * len(settings.control_fixed),
        **sources(settings, case, [seed] * len(settings.control_fixed)),
    )
    others = [_distance(settings, flow, fixed.state.member(i)) for i in range(len(settings.control_fixed))]
    scale = 1 / step_of(chosen, 1.0)
    return Result(
        {
            "method": method,
            "seed": seed,
            "history": [[step * each, h * scale] for step, h in controller.history],
            "leftmost": [[r.step * each, float(r.eigenvalues[0].real)] for r in monitor.records if len(r.eigenvalues)],
            "ratios": [[r.step * each, _plain(r.ratios["leading"] or r.ratios["real"])] for r in monitor.records],
            "last_tau": controller.h * scale,
            "distance": _distance(settings, flow, run.state),
            "fixed": dict(zip(map(str, settings.control_fixed), others, strict=True)),
            "evaluations": steps * each,
            "monitor_share": monitor.records[-1].share,
        },
        {},
    )


@torch.no_grad()
def _distance(settings: Any, flow: gd.flows.Flow, state: State) -> float | None:
    """Frechet distance on pixels of generated images; None where they are not finite."""
    z = torch.randn(settings.latents, LATENT, generator=torch.Generator().manual_seed(7))
    with flow.game.at(state) as players:
        made = np.asarray(players["G"](z).double())
    return _plain(frechet_distance(digits(), made))


def _plain(x: float | None) -> float | None:
    return None if x is None or not np.isfinite(x) else float(x)
