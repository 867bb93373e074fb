"""The game of a cell: a GAN with a penalty, its clock changed by a scale and by the players' rates."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

import gamedyn as gd
from analysis.common import gans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from gamedyn.ablation import Setup
    from gamedyn.flows import Flow

__all__ = ["SCALES", "setup"]

SCALES = ("raw", "player", "layer", "frozen", "adam")
"""The velocity as it is; each player's, or each parameter tensor's, of constant length; divided by Adam's second moment
at the start; raw, with rates for Adam's own steps."""

MOMENTS = 32
"""Batches whose squared gradients make the frozen second moment."""


def setup(
    data_set: str,
    seed: int,
    *,
    loss: str = "nonsaturating",
    penalty: str = "none",
    ratio: float = 1.0,
    scale: str = "raw",
    batch: int = 64,
    weights: Sequence[tuple[str, float]] = (("squared_gradient", 0.1), ("r1", 0.1), ("r2", 0.1)),
    model: str = "mlp",
    options: Sequence[tuple[str, Any]] = (("widths", (32, 32)), ("latent", 16)),
) -> Setup:
    """A GAN begun by a seed.

    Every scale is made as long as the raw velocity is where seed 0 begins, so that one step of one h goes equally far
    there.

    Args:
        data_set: a name of `gamedyn.training.data`.
        seed: of networks and batches.
        loss: a name of `gamedyn.losses`.
        penalty: one of `analysis.common.gans.PENALTIES`.
        ratio: D's rate over G's; their geometric mean is 1.
        scale: one of `SCALES`.
        batch: samples of a step.
        weights: of the penalties' terms.
        model: an architecture.
        options: its own.
    """
    chosen: dict[str, Any] = {"loss": loss, "penalty": penalty, "weights": weights, "batch": batch, "model": model}
    made = gans.setup(data_set, seed, options=options, **chosen)
    if ratio != 1.0:
        made.flow = made.flow.with_rates({"G": ratio**-0.5, "D": ratio**0.5})  # type: ignore[attr-defined]
    if scale != "raw":
        begin = seed if scale == "frozen" else 0  # a second moment is that of one start; lengths are alike for all
        made.flow = _scaled(made.flow, scale, *_start(begin, data_set, ratio, _frozen({**chosen, "options": options})))
    return made


def _frozen(chosen: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in chosen.items())


@lru_cache(maxsize=64)
def _start(seed: int, data_set: str, ratio: float, chosen: tuple[tuple[str, Any], ...]) -> tuple[Tensor, Tensor]:
    """The velocities of some batches where a seed begins, (batches, n), and the root of their mean square."""
    made = setup(data_set, seed, ratio=ratio, **dict(chosen))
    y = made.flow.initial_state().y
    v = torch.stack([made.flow.field(next(made.batches))(0.0, y) for _ in range(MOMENTS)])
    return v, v.square().mean(0).sqrt()


def _scaled(flow: Flow, scale: str, v: Tensor, root: Tensor) -> Flow:
    """The flow in another metric, as long at the start as the raw one."""
    length = float(v.norm(dim=1).mean())
    if scale in ("player", "layer"):
        sizes = {k: _sizes(p) if scale == "layer" else None for k, p in flow.game.players.items()}
        count = sum(1 if s is None else len(s) for s in sizes.values())
        return gd.flows.mapped(flow, _unit(sizes, length / count**0.5))
    if scale == "frozen":
        safe = root.clamp(min=1e-3 * float(root.mean()))
        return gd.flows.preconditioned(flow, safe * (float((v / safe).norm(dim=1).mean()) / length))
    rate = length / len(root) ** 0.5  # Adam's first step has every entry 1
    slow: Flow = flow.with_rates({k: rate * r for k, r in flow.rates.items()})  # type: ignore[attr-defined]
    return slow


def _sizes(player: Any) -> list[int]:
    return [p.numel() for p in player.parameters() if p.requires_grad]


def _unit(
    sizes: Mapping[str, list[int] | None], length: float
) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """A map that makes each player's velocity, or each of its tensors', of one length."""

    def unit(v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {k: torch.cat([_of_length(x, length) for x in _split(v[k], sizes[k])]) for k in v}

    return unit


def _split(v: Tensor, sizes: list[int] | None) -> tuple[Tensor, ...]:
    return (v,) if sizes is None else torch.split(v, sizes)


def _of_length(v: Tensor, length: float) -> Tensor:
    return v * (length / v.square().sum().clamp(min=1e-24).sqrt())
