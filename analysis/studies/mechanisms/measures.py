"""What a cell's step does where the cell has come to: accuracy, stability, numerical and explicit damping, spectrum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.linalg import qr

import gamedyn as gd
from analysis.common.gans import loaded, quality
from analysis.common.spectra import full_batch, outer, told
from analysis.studies.mechanisms.methods import repeated
from gamedyn.stability import BlockJacobian

if TYPE_CHECKING:
    from gamedyn.ablation import Outcome
    from gamedyn.core import State
    from gamedyn.flows import Flow

__all__ = ["local_error", "mechanism", "modes", "on_the_way"]

TOLERANCE = 1e-3
"""Relative residual of the eigenvalues: what is told of them has two digits."""

SEEDS = 2
"""Seeds whose mechanisms are measured."""

REFERENCE = 8
"""Steps of rk4 for one of the method's, in the reference of the local errors."""


def mechanism(outcome: Outcome, *, images: int = 256, k: int = 3, **score: Any) -> dict[str, float]:
    """The score at the end, and what its step does there.

    `limit`: the method's largest stable step on the outer eigenvalues that the flow damps; `margin`: over h.
    `numerical`: damping that the method adds to the mode of largest imaginary part, `explicit`: what the penalty
    adds to it (of u^H J u), `natural`: what the flow has in all; each over |Im lambda|. `error`: of two steps on one
    batch against that batch's flow, over the way gone; `sampling`: of one step against rk4's on the full batch.
    `leftmost`, `rightmost`, `turning`: real parts of the outer eigenvalues, and the largest imaginary part.
    """
    found = modes(outcome, images=images, k=k)
    errors = {"error": local_error(outcome), "sampling": sampling_error(outcome)}
    return {**quality(outcome, **score), **found, **errors}


def on_the_way(outcome: Outcome, *, images: int = 256, k: int = 3, **score: Any) -> dict[str, float]:
    """The score; of the first seeds, at the end, the mechanisms too; of seed 0, before, the spectrum."""
    if outcome.share == 1.0 and outcome.cell["seed"] < SEEDS:
        return mechanism(outcome, images=images, k=k, **score)
    spectrum = modes(outcome, images=images, k=k) if outcome.cell["seed"] == 0 else {}
    return {**quality(outcome, **score), **spectrum}


def modes(outcome: Outcome, *, images: int, k: int) -> dict[str, float]:
    """The outer eigenvalues of the full batch's Jacobian, and what method and penalty make of them."""
    flow, h = outcome.flow, outcome.h
    J, pairs, batch = outer(outcome, images, k, TOLERANCE)
    found = told(pairs)
    if not found:
        return {}
    values = np.concatenate([p.values for p in pairs.values()])
    turning = max(pairs["largest_imaginary"].values, key=lambda z: abs(z.imag), default=0j)
    size = abs(turning.imag)
    method = gd.methods.get(outcome.cell["method"]) if isinstance(outcome.cell["method"], str) else None
    method = outcome.cell["method"] if method is None else method
    if not hasattr(method, "decouples"):
        return found  # a map has no theory of its own: its flow is not raw
    spectrum: Any = values if method.decouples else reduced(J, pairs, flow)
    limit = _limit(method, values) if method.decouples else _block_limit(method, spectrum, h)
    found |= {"limit": limit, "margin": limit / h}
    if size > 1e-3 * float(np.abs(values).max()):
        rates = gd.stability.mode_rates(method, spectrum if not method.decouples else [turning], h)
        nearest = min(rates, key=lambda r: abs(r - turning))
        numerical = math.nan if math.isinf(nearest.real) else (turning.real - nearest.real) / size
        u = _vector(pairs["largest_imaginary"], turning)
        found |= {
            "numerical": numerical,
            "natural": -turning.real / size,
            "explicit": _explicit(flow, u, outcome, batch),
        }
        found["explicit"] /= size
    return {name: float(x) for name, x in found.items()}


def _limit(method: Any, values: np.ndarray) -> float:
    """The largest step up to which the modes that the flow damps stay damped."""
    inside = gd.stability.stable_steps(method, values).damped_intervals
    return float(inside[0][1]) if inside and inside[0][0] <= 1e-9 else 0.0


def _block_limit(method: Any, J: BlockJacobian, h: float) -> float:
    """Likewise from blocks: up to which no more multipliers are outside the unit circle than modes grow."""
    growing = int((np.linalg.eigvals(J.matrix).real > 0).sum())

    def within(step: float) -> bool:
        sizes = np.abs(np.linalg.eigvals(gd.stability.step_matrix(method, J, step)))
        return int((sizes > 1 + 1e-9).sum()) <= growing

    tried = h * np.geomspace(0.02, 50.0, 160)
    beyond = next((i for i, step in enumerate(tried) if not within(step)), None)
    return float(tried[-1] if beyond is None else tried[max(beyond - 1, 0)])


def _explicit(flow: Flow, u: np.ndarray, outcome: Outcome, batch: Any) -> float:
    """What the penalties take off `Re u^H J u`."""
    if not flow.terms:
        return 0.0
    parts = torch.as_tensor(np.stack([u.real, u.imag]), dtype=outcome.state.y.dtype)

    def quotient(of: Flow) -> float:
        J = of.at(outcome.state, batch).jacobian()
        return float(sum(p @ (J @ p) for p in parts))

    bare = flow.with_weights(**dict.fromkeys(flow.terms, 0.0))  # type: ignore[attr-defined]
    return quotient(bare) - quotient(flow)


def _vector(pairs: Any, value: complex) -> np.ndarray:
    """The eigenvector of a value, of length 1."""
    index = int(np.argmin(np.abs(pairs.values - value)))
    u = np.asarray(pairs.vector(index))
    unit: np.ndarray = u / np.linalg.norm(u)
    return unit


def reduced(J: Any, pairs: Any, flow: Flow) -> BlockJacobian:
    """J on the players' parts of its outer eigenvectors: the same outer eigenvalues, and the players' blocks."""
    vectors = np.stack([np.asarray(p.vector(i)) for p in pairs.values() for i in range(len(p.values))], 1)
    real = np.concatenate([vectors.real, vectors.imag], 1)
    blocks, sizes = [], []
    for at in flow.game.layout.slices:
        q, r, _ = qr(real[at], mode="economic", pivoting=True)
        size = np.abs(np.diag(r))
        blocks.append(np.zeros((len(real), int((size > 1e-4 * max(size[0], 1e-30)).sum()))))
        blocks[-1][at] = q[:, : blocks[-1].shape[1]]
        sizes.append(blocks[-1].shape[1])
    Q = torch.as_tensor(np.concatenate(blocks, 1), dtype=J.dtype)
    small = torch.stack([Q.T @ (J @ q) for q in Q.T], 1)
    return BlockJacobian(small.double().numpy(), tuple(sizes), flow.game.layout.players)


def local_error(outcome: Outcome, steps: int = 2) -> float:
    """Of so many steps on one batch against that batch's flow, over the way gone: methods with a memory begin anew."""
    batch = next(outcome.setup.batches)
    ours, truth = (
        _ended(outcome, batch, method, n)
        for method, n in ((outcome.cell["method"], steps), (repeated("rk4", REFERENCE), steps))
    )
    if ours is None or truth is None:
        return math.nan
    way = float((truth.y - outcome.state.y).norm())
    return float((ours.y - truth.y).norm()) / max(way, 1e-30)


def sampling_error(outcome: Outcome) -> float:
    """Of one step on one batch against an rk4 step of the same size on the full batch, over the way gone.

    At these steps the difference is that of the batches; rk4's own error is left in it.
    """
    extras = outcome.setup.extras
    everything = full_batch(extras["data"], len(loaded(extras["data"]).samples), extras["latent"])
    ours = _ended(outcome, next(outcome.setup.batches), outcome.cell["method"], 1)
    truth = _ended(outcome, everything, "rk4", 1)
    if ours is None or truth is None:
        return math.nan
    return float((ours.y - truth.y).norm()) / max(float((truth.y - outcome.state.y).norm()), 1e-30)


def _ended(outcome: Outcome, batch: Any, method: Any, steps: int) -> State | None:
    run = gd.solve(
        outcome.flow, method, h=outcome.h, steps=steps, y0=outcome.state, batch=batch, throw=False, progress=False
    )
    return run.state if run.status == "done" else None
