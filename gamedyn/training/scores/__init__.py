"""Scores of generated samples: distances, precision and recall, modes, each with what real samples get."""

from __future__ import annotations

from gamedyn._lib.border import border
from gamedyn._lib.discover import Registry
from gamedyn.training.scores._types import Account, Features, Measure, Reference
from gamedyn.training.scores.classifiers import classifier
from gamedyn.training.scores.networks import efficientnet_lite0, inception, pixels
from gamedyn.training.scores.scorer import Scorer, features

__all__ = [
    "Account",
    "Features",
    "Measure",
    "Reference",
    "Scorer",
    "classifier",
    "efficientnet_lite0",
    "features",
    "get",
    "inception",
    "members",
    "names",
    "pixels",
]

_REGISTRY: Registry[Measure] = Registry("gamedyn.training.scores", Measure, "score")


def names() -> tuple[str, ...]:
    """Canonical names of the measures, sorted.

    Example:
        >>> names()
        ('density_coverage', 'frechet', 'kernel', 'modes', 'precision_recall', 'within')
    """
    return _REGISTRY.names()


def members() -> dict[str, Measure]:
    """All measures by canonical name."""
    return dict(_REGISTRY.members())


def get(measure: str | Measure) -> Measure:
    """The measure of a name or alias; a measure is returned as it is.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
    """
    return measure if isinstance(measure, Measure) else _REGISTRY.get(measure)


border(globals())
