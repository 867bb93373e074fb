"""Penalty terms: each joins one player's loss, under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn.losses._types import GradientTerm, LossTerm, weight_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["squared_gradient", "weight_decay"]


def weight_decay(weight: float, *, into: str, name: str = "") -> LossTerm:
    """Weight decay: `weight/2 * |theta|^2` over all parameters of a player.

    Args:
        weight: of the term, at least 0.
        into: the player.
        name: of the term (default "weight_decay_<player>").

    Raises:
        ArgumentError: if the weight is negative or not finite.

    Example:
        >>> weight_decay(0.1, into="G").name
        'weight_decay_G'
    """

    def value(players: Mapping[str, Any], parameters: Mapping[str, Sequence[Tensor]], batch: Any) -> Tensor:
        return 0.5 * torch.stack([p.square().sum() for p in parameters[into]]).sum()

    return LossTerm(name or f"weight_decay_{into}", into, weight_of(weight), value)


def squared_gradient(weight: float, *, of: str = "G", into: str = "D", name: str = "squared_gradient") -> GradientTerm:
    """The ODE-GAN penalty: `weight * |grad_of L_of|^2`, a sum of squares without 1/2, seen by `into` alone.

    Args:
        weight: lambda in the paper, at least 0.
        of: the player whose gradient is penalised.
        into: the player whose loss it joins; it is differentiated in that player only.
        name: of the term.

    Raises:
        ArgumentError: if the weight is negative or not finite.

    Source: Qin et al. 2020 (ODE-GAN), section 3.3 and the published code.

    Example:
        >>> squared_gradient(0.02).of
        'G'
    """

    def value(gradient: Sequence[Tensor], lead: int) -> Tensor:
        squares = [g.reshape(*g.shape[:lead], -1).square().sum(-1) for g in gradient]
        total: Tensor = torch.stack(squares).sum(0)
        return total

    return GradientTerm(name, of, into, weight_of(weight), value, source="Qin et al. 2020 (ODE-GAN), section 3.3")
