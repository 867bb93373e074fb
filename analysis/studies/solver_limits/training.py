"""Training at equal evaluations and equal integrated time: seeds, steps and penalties of a method as one ensemble."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.digits import digits, frechet_distance
from analysis.common.digits_gan import LATENT, flow_of, samples
from analysis.common.parts import Result

if TYPE_CHECKING:
    from gamedyn.core import State

__all__ = ["train"]


def train(settings: Any, *, case: str, method: str) -> Result:
    """Every (seed, tau, weight) of one method and case; distances, samples, and the spectrum of one trained point."""
    taus = settings.tau_nonsaturating if case == "nonsaturating" else settings.tau_wasserstein
    weights = settings.penalties if case == "nonsaturating" else (settings.r1,)
    cells = list(product(range(settings.seeds), taus, weights))
    evaluations = gd.methods.members()[method].evaluations
    flow = flow_of(case, settings)
    term = next(iter(flow.terms))
    data = torch.as_tensor(digits(), dtype=torch.float32)
    streams = [gd.batches(data, latent=LATENT, seed=s, batch_size=settings.batch) for s in range(settings.seeds)]
    starts = [flow_of(case, settings, seed).initial_state() for seed in range(settings.seeds)]
    run = gd.solve_ensemble(
        flow,
        method,
        h=[tau * evaluations for _, tau, _ in cells],
        steps=settings.evaluations // evaluations,
        y0=[starts[s] for s, _, _ in cells],
        weights={term: [w for _, _, w in cells]},
        batches=[streams[s] for s, _, _ in cells],
    )
    z = torch.randn(settings.latents, LATENT, generator=torch.Generator().manual_seed(7))
    made = [samples(flow, run.state.member(i), z) for i in range(len(cells))]
    distances = [frechet_distance(digits(), m) if run.status[i] == "done" else float("inf") for i, m in enumerate(made)]
    picked = [i for i, (s, _, w) in enumerate(cells) if s == 0 and w == weights[-1]]
    spectrum = _trained_spectrum(settings, case, run.state, cells, weights[-1])
    return Result(
        {
            "method": method,
            "case": case,
            "evaluations_per_step": evaluations,
            "cells": [{"seed": s, "tau": t, "weight": w} for s, t, w in cells],
            "distances": [d if np.isfinite(d) else None for d in distances],
            "status": list(run.status),
            "evaluations": run.stats["evaluations"],
            "image_tau": [cells[i][1] for i in picked],
        },
        {"images": np.stack([made[i][:16] for i in picked]), **spectrum},
    )


def _trained_spectrum(settings: Any, case: str, state: State, cells: list[Any], weight: float) -> dict[str, np.ndarray]:
    """Outer eigenvalues of the full-batch flow at the trained point of seed 0, in float64."""
    tau = settings.trained_tau
    if (0, tau, weight) not in cells:
        return {"eigenvalues": np.zeros(0, complex), "residuals": np.zeros(0)}
    flow = flow_of(case, settings, dtype=torch.float64)
    y = state.y[cells.index((0, tau, weight))].double()
    if not bool(y.isfinite().all()):
        return {"eigenvalues": np.zeros(0, complex), "residuals": np.zeros(0)}
    images = torch.as_tensor(digits()[: settings.trained_images])
    z = torch.randn(len(images), LATENT, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    lin = gd.spectrum.linearise(flow, y, (images, z), form=False, k=4)
    return {"eigenvalues": lin.eigenvalues.values, "residuals": np.asarray(lin.eigenvalues.residuals)}
