"""Methods are data: once made, they do not change."""

from __future__ import annotations

from functools import cached_property

__all__ = ["Immutable"]


class Immutable:
    """Attributes can be set until `source`, which constructors set last, is there; cached properties always."""

    source: str

    def __setattr__(self, key: str, value: object) -> None:
        if "source" in self.__dict__ and not isinstance(getattr(type(self), key, None), cached_property):
            raise AttributeError(f"a method is data and cannot be changed: {key}")
        object.__setattr__(self, key, value)
