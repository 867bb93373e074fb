"""What an adversarial loss and a penalty term are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

from torch import Tensor

from gamedyn._lib.checks import finite
from gamedyn._lib.errors import ArgumentError

__all__ = ["AdversarialLoss", "GradientTerm", "LossTerm", "Term"]


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of a generator and a discriminator as functions of the discriminator's outputs.

    `L_D = mean real(D(x)) + mean fake(D(G(z)))`; `L_G = mean generator(D(G(z)))`, or `-L_D` if zero-sum.

    A relativistic loss compares scores first: "paired", `L_D = mean real(D(x_i) - D(G(z_i)))`; "average", with
    `a = D(x) - mean D(G(z))` and `b = D(G(z)) - mean D(x)`, `L_D = mean real(a) + mean fake(b)`. There `L_G` is `L_D`
    with real and generated samples exchanged.

    Attributes:
        name: canonical name.
        real: the discriminator's loss on its output for a real sample.
        fake: the discriminator's loss on its output for a generated sample.
        generator: the generator's loss on that output; for a zero-sum loss this is `-fake`.
        zero_sum: whether `L_G = -L_D`.
        source: paper.
        aliases: other names.
        relative: "" for scores as they are, "paired" or "average".
        finite_to: largest score in size for which its parts are finite in float32.
    """

    name: str
    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    zero_sum: bool
    source: str
    aliases: tuple[str, ...] = ()
    relative: str = ""
    finite_to: float = math.inf

    def __call__(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """(L_G, L_D), scalars, from outputs of any shape.

        Raises:
            ArgumentError: of a paired loss, for scores that cannot be paired.
        """
        if self.relative == "paired":
            if real.shape != fake.shape:
                remedy = "generate as many samples as there are real ones"
                raise ArgumentError("fake", f"scores of the real ones' shape {tuple(real.shape)}", fake.shape, remedy)
            return self.real(fake - real).mean(), self.real(real - fake).mean()
        if self.relative:
            a, b = real - fake.mean(), fake - real.mean()
            loss_g = self.real(b).mean() + self.fake(a).mean()
            return loss_g, self.real(a).mean() + self.fake(b).mean()
        loss_d = self.real(real).mean() + self.fake(fake).mean()
        return (-loss_d if self.zero_sum else self.generator(fake).mean()), loss_d


@dataclass(frozen=True)
class LossTerm:
    """A penalty that is a function of players and batch: `weight * value(players, parameters, batch)`.

    Attributes:
        name: of the term, unique in a flow.
        into: the player whose loss it joins; only that player's gradient sees it.
        weight: of the term, finite; scaled by the player's rate like its loss.
        value: `value(players, parameters, batch) -> scalar`; `players` and `parameters` (lists of tensors) by
            name. It must survive vmap: differentiate inside with torch.func.
        double_backward: whether it differentiates inside.
        source: paper.
    """

    name: str
    into: str
    weight: float
    value: Callable[[Mapping[str, Any], Mapping[str, Sequence[Tensor]], Any], Tensor]
    double_backward: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        finite("weight", self.weight)

    def scaled(self, weight: float) -> LossTerm:
        """The same term with another weight."""
        return replace(self, weight=weight)


@dataclass(frozen=True)
class GradientTerm:
    """A penalty on a player's own gradient: `weight * value(grad_of loss_of)`.

    Attributes:
        name: of the term, unique in a flow.
        of: the player whose gradient of its own loss (without terms) is penalised.
        into: the player whose loss it joins; only that player's gradient sees it.
        weight: of the term, finite; scaled by the player's rate like its loss.
        value: function of the gradient, a list of tensors with `lead` leading ensemble dimensions, to a
            tensor of those dimensions alone.
        source: paper.
    """

    name: str
    of: str
    into: str
    weight: float
    value: Callable[[Sequence[Tensor], int], Tensor]
    double_backward: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        finite("weight", self.weight)

    def scaled(self, weight: float) -> GradientTerm:
        """The same term with another weight."""
        return replace(self, weight=weight)


Term = Union[LossTerm, GradientTerm]


def weight_of(weight: object, argument: str = "weight") -> float:
    """The weight of a penalty that is 0 at best, as a float.

    Raises:
        ArgumentError: if it is negative or not finite.
    """
    remedy = "the term is added to a loss that is minimised: below 0 it would reward what it measures"
    value = finite(argument, weight, "a finite number of at least 0")
    if value < 0:
        raise ArgumentError(argument, "a finite number of at least 0", weight, remedy)
    return value
