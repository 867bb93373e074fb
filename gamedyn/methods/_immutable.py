"""Methods are data: once made, they do not change. And they are made of methods, not of names."""

from __future__ import annotations

from functools import cached_property

__all__ = ["Immutable", "by_name"]


class Immutable:
    """Attributes can be set until `source`, which constructors set last, is there; cached properties always."""

    source: str

    def __setattr__(self, key: str, value: object) -> None:
        if "source" in self.__dict__ and not isinstance(getattr(type(self), key, None), cached_property):
            raise AttributeError(f"a method is data and cannot be changed: {key}")
        object.__setattr__(self, key, value)


def by_name(given: object) -> str:
    """What to do where a method object is expected and a name came; nothing where none came.

    Example:
        >>> by_name("ab2")
        'give the object: gamedyn.methods.get("ab2")'
    """
    return f'give the object: gamedyn.methods.get("{given}")' if isinstance(given, str) else ""
