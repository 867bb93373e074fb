"""Architectures: generators and discriminators as published, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gamedyn._lib.border import border
from gamedyn._lib.checks import known_options, positive_int
from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.functions import resolved
from gamedyn.core.randomness import OwnRandomness
from gamedyn.training.models._types import ModelFamily, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ModelFamily", "Pair", "build", "channels_last", "get", "members", "names", "options"]

_REGISTRY: Registry[ModelFamily] = Registry("gamedyn.training.models", ModelFamily, "model")


def names() -> tuple[str, ...]:
    """Canonical names of the architectures, sorted.

    Example:
        >>> names()
        ('dcgan', 'mlp', 'odegan', 'r3gan', 'resnet')
    """
    return _REGISTRY.names()


def members() -> dict[str, ModelFamily]:
    """All architectures by canonical name."""
    return dict(_REGISTRY.members())


def get(model: str | ModelFamily) -> ModelFamily:
    """The architecture of a name or alias; a family is returned as it is.

    "file.py:function" and "module:function" name one of your own: `function(shape, classes, *, ...)` gives a Pair.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
        ArgumentError: for a file or module without such a function.
    """
    if isinstance(model, ModelFamily):
        return model
    if ":" in model:
        return ModelFamily(model.rpartition(":")[2], resolved(model, "model"), source=model, example=())
    return _REGISTRY.get(model)


def options(model: str | ModelFamily) -> dict[str, Any]:
    """What an architecture takes as options, with their defaults.

    Example:
        >>> sorted(options("dcgan"))
        ['batch_norm', 'channels', 'latent', 'spectral_norm']
    """
    return dict(getattr(get(model).make, "__kwdefaults__", None) or {})


def build(model: str | ModelFamily, shape: Sequence[int], *, classes: int = 0, seed: int = 0, **chosen: Any) -> Pair:
    """A pair for samples of a shape, initialised from a seed; the default generators are left where they are.

    Args:
        model: an architecture, its name, or one of your own (see `get`).
        shape: of one sample: (channels, side, side), or (features,).
        classes: labels that both players are conditioned on; 0: none.
        seed: of all that is drawn.
        **chosen: options of the architecture; see `options`.

    Raises:
        UnknownNameError: for an unknown architecture or option.
        ArgumentError: for a shape that it cannot make, or labels that it cannot take.

    Example:
        >>> build("mlp", (64,), widths=(32, 32), latent=16)
        Pair(G: 3,712, D: 3,169 parameters, 16 latents, samples (64,))
    """
    family = get(model)
    known_options(family.name, chosen, options(family))
    sizes = tuple(positive_int("shape", n) for n in shape)
    labels = positive_int("classes", classes, least=0)
    if labels == 1 or (labels and not family.labels):
        expected = "0, or at least 2" if family.labels else f"0 for {family.name}, which takes no labels"
        raise ArgumentError("classes", expected, classes)
    with OwnRandomness(positive_int("seed", seed, least=0)).drawn_from():
        made = family.make(sizes, labels, **chosen)
    if not isinstance(made, Pair):
        raise ArgumentError("model", f"a Pair (gamedyn.training.models.Pair) from {family.name}", type(made).__name__)
    return made


def channels_last(pair: Pair) -> Pair:
    """The same pair, whose convolutions work on channels-last images; parameters stay as they are.

    Example:
        >>> channels_last(build("dcgan", (1, 8, 8), channels=16)).shape
        (1, 8, 8)
    """
    for module in (pair.generator, pair.discriminator):
        first = next((m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))), None)
        if first is not None:
            first.register_forward_pre_hook(_reordered)
    return pair


def _reordered(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (given[0].contiguous(memory_format=torch.channels_last), *given[1:])


border(globals())
