"""Penalties on the discriminator's gradient in its input: R1, R2, WGAN-GP's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.losses._types import LossTerm, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["gradient_penalty", "r1", "r2"]


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
            first: `gamedyn.losses.labelled_samples`. None: `batch` is (item, noise) and the samples are the item, or
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
        slope = _slope(players[into], take(batch), output)
        return 0.5 * slope.square().sum() / len(slope)

    source = "Mescheder, Geiger, Nowozin 2018, eq. (9)"
    return LossTerm(name, into, weight_of(weight), value, double_backward=True, source=source)


def r2(
    weight: float,
    *,
    of: str = "G",
    into: str = "D",
    fake: Callable[[Mapping[str, Any], Any], Any] | None = None,
    output: Callable[[Any], Tensor] | None = None,
    name: str = "r2",
) -> LossTerm:
    """R2: `weight/2 * E |grad_x D(x)|^2` at generated samples `x = G(z)`.

    The samples are made anew, at one more forward pass of the generator. The generator's gradient does not see the
    penalty; J does, since the discriminator's velocity depends on the generator through it.

    Args:
        weight: gamma in the paper, at least 0; it has the 1/2.
        of: the generator.
        into: the discriminator.
        fake: `fake(players, batch)` makes the samples, or a tuple of all that the discriminator is called with, samples
            first: `gamedyn.losses.labelled_fakes`. None: the generator's answer to `batch[1]`.
        output: takes the scores out of what the discriminator returns; None: that itself, or its first entry.
        name: of the term.

    Raises:
        ArgumentError: if the weight is negative or not finite.

    Source: Mescheder, Geiger, Nowozin 2018, eq. (10).

    Example:
        >>> r2(1.0).name
        'r2'
    """
    make = _made(of) if fake is None else fake

    def value(players: Mapping[str, Any], parameters: Mapping[str, Sequence[Tensor]], batch: Any) -> Tensor:
        slope = _slope(players[into], make(players, batch), output)
        return 0.5 * slope.square().sum() / len(slope)

    source = "Mescheder, Geiger, Nowozin 2018, eq. (10)"
    return LossTerm(name, into, weight_of(weight), value, double_backward=True, source=source)


def gradient_penalty(
    weight: float,
    *,
    of: str = "G",
    into: str = "D",
    target: float = 1.0,
    one_sided: bool = False,
    shares: str = "even",
    shard: tuple[int, int] | None = None,
    real: Callable[[Any], Any] | None = None,
    fake: Callable[[Mapping[str, Any], Any], Any] | None = None,
    output: Callable[[Any], Tensor] | None = None,
    name: str = "gradient_penalty",
) -> LossTerm:
    """WGAN-GP's penalty: `weight * E (|grad_x D(x)| - target)^2` between real and generated samples.

    `x_i = s_i real_i + (1 - s_i) fake_i`, one norm for each sample, no 1/2. Where D is flat the norm has no derivative;
    the subgradient 0 is used.

    Args:
        weight: lambda in the paper (10 there), at least 0.
        of: the generator.
        into: the discriminator.
        target: the norm of the gradient that costs nothing, at least 0. With 0 it is R1 at points between the samples,
            where R1's weight gamma is a weight of gamma/2 here.
        one_sided: whether norms below the target go free.
        shares: "even", `s_i = (i + 1/2) / n` over the batch: nothing is drawn, so steps compile, and the mean is that
            of uniform shares up to O(1/n^2); or "random", uniform and independent, as published.
        shard: (rank, ranks) of `gamedyn.batches`, where a process has every ranks-th sample of a batch: the even shares
            are those of the whole batch.
        real: as of `r1`; where it gives more than samples, the discriminator gets these with the mixed samples.
        fake: as of `r2`.
        output: takes the scores out of what the discriminator returns; None: that itself, or its first entry.
        name: of the term.

    Raises:
        ArgumentError: if the weight or the target is negative or not finite, or samples differ in number.
        UnknownNameError: for other shares.

    Source: Gulrajani et al. 2017, eq. (3), algorithm 1; one-sided: section 4.

    Example:
        >>> gradient_penalty(10.0).weight
        10.0
    """
    take = real_samples if real is None else real
    make = _made(of) if fake is None else fake
    if not isinstance(one_sided, bool):
        raise ArgumentError("one_sided", "True or False", one_sided)
    goal, drawn = weight_of(target, "target"), choice("shares", shares, ("even", "random")) == "random"

    def value(players: Mapping[str, Any], parameters: Mapping[str, Sequence[Tensor]], batch: Any) -> Tensor:
        x, more = _given(take(batch))
        made = _given(make(players, batch))[0]
        if x.shape != made.shape:
            remedy = "one generated sample for each real one, of its shape"
            raise ArgumentError("batch", f"generated samples {tuple(x.shape)}", tuple(made.shape), remedy)
        n = len(x)
        share = torch.rand(n, dtype=x.dtype, device=x.device) if drawn else _even(n, x, *(shard or (0, 1)))
        share = share.reshape(-1, *[1] * (x.dim() - 1))
        slope = _slope(players[into], (share * x + (1 - share) * made, *more), output)
        above = torch.linalg.vector_norm(slope.reshape(n, -1), dim=1) - goal
        penalty: Tensor = (above.relu() if one_sided else above).square().mean()
        return penalty

    source = "Gulrajani et al. 2017, eq. (3)"
    return LossTerm(name, into, weight_of(weight), value, double_backward=True, source=source)


def _even(n: int, like: Tensor, rank: int, ranks: int) -> Tensor:
    place = torch.arange(rank, n * ranks, ranks, dtype=like.dtype, device=like.device)
    return (place + 0.5) / (n * ranks)


def _made(of: str) -> Callable[[Mapping[str, Any], Any], Any]:
    """The generator's answer to a batch's noise."""
    return lambda players, batch: players[of](batch[1])


def _given(found: Any) -> tuple[Tensor, Sequence[Any]]:
    """Samples, and what else the discriminator is called with."""
    return (found[0], found[1:]) if isinstance(found, (tuple, list)) else (found, ())


def _slope(discriminator: Any, given: Any, output: Callable[[Any], Tensor] | None) -> Tensor:
    """The gradient of every sample's score in the sample."""
    x, more = _given(given)
    return input_gradient(lambda inner: _scores(discriminator(inner, *more), output), x)


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


def real_samples(batch: Any) -> Tensor:
    """The real samples of a batch `(item, noise)`: the item, or the first entry of a tuple."""
    if not isinstance(batch, (tuple, list)) or not batch:
        remedy = "say where the samples are: real=lambda batch: ..."
        raise ArgumentError("batch", "(item, noise), the real samples being the item", type(batch).__name__, remedy)
    item = batch[0]
    return cast("Tensor", item[0] if isinstance(item, (tuple, list)) else item)


def labelled_samples(batch: Any) -> Any:
    """What a discriminator of samples and labels is called with: a batch's item, `(samples, labels)`."""
    return batch[0]


def labelled_fakes(players: Mapping[str, Any], batch: Any) -> Any:
    """Generated samples for a batch's labels, and the labels: `(G(noise, labels), labels)`."""
    (_, labels), noise = batch
    return players["G"](noise, labels), labels
