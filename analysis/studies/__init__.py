"""One package per question."""

from __future__ import annotations

from analysis.common.study import Study
from gamedyn._lib.discover import Registry

__all__ = ["get", "members"]

_REGISTRY: Registry[Study] = Registry("analysis.studies", Study, "study")


def members() -> dict[str, Study]:
    """All studies by name."""
    return dict(_REGISTRY.members())


def get(name: str) -> Study:
    """The study of a name.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
    """
    return _REGISTRY.get(name)
