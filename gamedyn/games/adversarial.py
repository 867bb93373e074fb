"""The GAN game: two modules, an adversarial loss, batches of real samples and noise."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.games._types import GameFamily
from gamedyn.losses import AdversarialLoss, get, labelled_fakes, labelled_samples, real_samples

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GAN"]


def _gan(
    generator: nn.Module,
    discriminator: nn.Module,
    loss: str | AdversarialLoss = "nonsaturating",
    *,
    real: Callable[[Any], Tensor] | None = None,
    conditional: bool = False,
    autocast: torch.dtype | None = None,
) -> Game:
    """Players G and D; batches `(item, noise)`; losses of the discriminator's outputs `D(x)` and `D(G(z))`.

    Args:
        generator: takes noise.
        discriminator: takes samples; any output shape, the losses average.
        loss: an adversarial loss, or its name.
        real: takes the real samples out of a batch; None: the item, or the first entry of a tuple.
        conditional: whether the item is (samples, labels), the generator takes (noise, labels) and the discriminator
            (samples, labels).
        autocast: a half-precision type, torch.bfloat16 or torch.float16, that the networks run in (`torch.autocast`);
            their outputs, the losses and the state keep theirs, and penalty terms are computed without it. Spectra then
            have some 1 % of noise.

    Raises:
        ArgumentError: if a player is not a module with something to train, they share a parameter, or autocast is no
            half-precision type.

    Example:
        >>> from gamedyn import games
        >>> games.gan(nn.Linear(2, 3), nn.Linear(3, 1), "wasserstein")
        gan(G: 9, D: 4)
    """
    chosen = get(loss)
    if conditional and real is not None:
        raise ArgumentError("real", "none with conditional=True: the item is (samples, labels)", real)
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise ArgumentError("autocast", "torch.bfloat16, torch.float16 or None", autocast)
    take = real_samples if real is None else real

    def losses(G: Any, D: Any, batch: Any) -> dict[str, Tensor]:
        with torch.autocast(batch[1].device.type, autocast, enabled=autocast is not None):
            if conditional:
                scores = D(*labelled_samples(batch)), D(*labelled_fakes({"G": G}, batch))
            else:
                scores = D(take(batch)), D(G(batch[1]))
        loss_g, loss_d = chosen(*(scores if autocast is None else [s.to(batch[1]) for s in scores]))
        return {"G": loss_g, "D": loss_d}

    return Game({"G": generator, "D": discriminator}, losses, name="gan", zero_sum=chosen.zero_sum)


def mlp(widths: tuple[int, ...], *, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A tanh perceptron with weights N(0, 1/fan-in) and zero biases."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=dtype)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            linear.weight.copy_(torch.randn(fan_out, fan_in, generator=generator, dtype=dtype) / fan_in**0.5)
            linear.bias.zero_()
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _example(loss: str) -> tuple[Game, Any]:
    g = torch.Generator().manual_seed(3)
    double = torch.float64
    game = _gan(mlp((2, 4, 3), generator=g, dtype=double), mlp((3, 4, 1), generator=g, dtype=double), loss)
    samples = torch.randn(8, 3, generator=g, dtype=double)
    return game, (samples, torch.randn(8, 2, generator=g, dtype=double))


GAN = GameFamily(
    name="gan",
    make=_gan,
    examples=tuple(partial(_example, loss) for loss in ("nonsaturating", "wasserstein", "minimax")),
    source="Goodfellow et al. 2014",
)
