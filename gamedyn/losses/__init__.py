"""Adversarial losses and penalty terms."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import ArgumentError
from gamedyn.losses._types import AdversarialLoss, GradientTerm, LossTerm, Term
from gamedyn.losses.gradient_penalties import (
    gradient_penalty,
    labelled_fakes,
    labelled_samples,
    r1,
    r2,
    real_samples,
)
from gamedyn.losses.penalties import squared_gradient, weight_decay
from gamedyn.losses.relative import relativistic

__all__ = [
    "AdversarialLoss",
    "GradientTerm",
    "LossTerm",
    "Term",
    "get",
    "gradient_penalty",
    "labelled_fakes",
    "labelled_samples",
    "members",
    "names",
    "r1",
    "r2",
    "real_samples",
    "relativistic",
    "squared_gradient",
    "weight_decay",
]

_REGISTRY: Registry[AdversarialLoss] = Registry("gamedyn.losses", AdversarialLoss, "loss")


def names() -> tuple[str, ...]:
    """Canonical names of the adversarial losses, sorted.

    Example:
        >>> names()
        ('hinge', 'kl', 'least_squares', 'minimax', 'neyman', 'nonsaturating', 'pearson', 'relativistic',
         'relativistic_average', 'reverse_kl', 'squared_hellinger', 'total_variation', 'wasserstein')
    """
    return _REGISTRY.names()


def members() -> dict[str, AdversarialLoss]:
    """All adversarial losses by canonical name."""
    return dict(_REGISTRY.members())


def get(loss: str | AdversarialLoss) -> AdversarialLoss:
    """The loss of a name or alias; a loss object is returned as it is.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
        ArgumentError: if it is neither.
    """
    if isinstance(loss, str):
        return _REGISTRY.get(loss)
    if not isinstance(loss, AdversarialLoss):
        raise ArgumentError("loss", "a name or an AdversarialLoss", loss)
    return loss


border(globals())
