"""Penalty terms: each joins one player's loss, under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.losses._types import GradientTerm, LossTerm, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["r1", "squared_gradient", "weight_decay"]


def r1(
    weight: float,
    *,
    into: str = "D",
    real: Callable[[Any], Any] | None = None,
    output: Callable[[Any], Tensor] | None = None,
    name: str = "r1",
) -> LossTerm:
    """R1: `weight/2 * E |grad_x D(x)|^2` at real samples x.

    Args:
        weight: gamma in the paper, at least 0; it has the 1/2: public codes that lack it halve their weight.
        into: the discriminator.
        real: takes the real samples out of a batch, or a tuple of all that the discriminator is called with, samples
            first: `lambda batch: (images, labels)`. None: `batch` is (item, noise) and the samples are the item, or
            the first entry of a tuple.
        output: takes the scores out of what the discriminator returns; None: that itself, or its first entry.
        name: of the term.

    Raises:
        ArgumentError: if the weight is negative or not finite.

    Source: Mescheder, Geiger, Nowozin 2018, eq. (9).

    Example:
        >>> r1(1.0).into
        'D'
    """
    take = real_samples if real is None else real

    def value(players: Mapping[str, Any], parameters: Mapping[str, Sequence[Tensor]], batch: Any) -> Tensor:
        given = take(batch)
        x, *more = given if isinstance(given, (tuple, list)) else (given,)

        def scores(inner: Tensor) -> Tensor:
            return _scores(players[into](inner, *more), output)

        slope = input_gradient(scores, x)
        return 0.5 * slope.square().sum() / len(x)

    source = "Mescheder, Geiger, Nowozin 2018, eq. (9)"
    return LossTerm(name, into, weight_of(weight), value, double_backward=True, source=source)


def input_gradient(scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of the summed scores in x, to be differentiated again; inside `vmap` too.

    Only a transform can differentiate inside `vmap`; outside, modules may write buffers, which a transform refuses.
    """
    if torch._C._functorch.maybe_current_level() is not None:
        value, pull, *_ = torch.func.vjp(scores, x)
        slope: Tensor = pull(torch.ones_like(value))[0]
        return slope
    inner = x.detach().requires_grad_() if not x.requires_grad else x
    with torch.enable_grad():
        return torch.autograd.grad(scores(inner).sum(), inner, create_graph=True)[0]


def _scores(found: Any, output: Callable[[Any], Tensor] | None) -> Tensor:
    if output is not None:
        found = output(found)
    elif isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        remedy = 'say which entry holds the scores: output=lambda out: out["scores"]'
        raise ArgumentError("output", "a discriminator that returns scores", type(found).__name__, remedy)
    return found


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


def real_samples(batch: Any) -> Tensor:
    """The real samples of a batch `(item, noise)`: the item, or the first entry of a tuple."""
    if not isinstance(batch, (tuple, list)) or not batch:
        remedy = "say where the samples are: real=lambda batch: ..."
        raise ArgumentError("batch", "(item, noise), the real samples being the item", type(batch).__name__, remedy)
    item = batch[0]
    return cast("Tensor", item[0] if isinstance(item, (tuple, list)) else item)
