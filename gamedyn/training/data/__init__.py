"""Data sets: digits, stacked digits, Fashion-MNIST, CIFAR-10, image folders, mixtures, tensors, by name."""

from __future__ import annotations

from typing import Any

from gamedyn._lib.border import border
from gamedyn._lib.checks import known_options
from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.functions import resolved
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["DataFamily", "DataSet", "get", "load", "members", "names", "options"]

_REGISTRY: Registry[DataFamily] = Registry("gamedyn.training.data", DataFamily, "data set")


def names() -> tuple[str, ...]:
    """Canonical names of the data sets, sorted.

    Example:
        >>> "digits" in names()
        True
    """
    return _REGISTRY.names()


def members() -> dict[str, DataFamily]:
    """All data sets by canonical name."""
    return dict(_REGISTRY.members())


def get(name: str | DataFamily) -> DataFamily:
    """The data set of a name or alias; a family is returned as it is.

    "file.py:function" and "module:function" name one of your own: `function(*, ...)` gives a DataSet.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
        ArgumentError: for a file or module without such a function.
    """
    if isinstance(name, DataFamily):
        return name
    if ":" in name:
        return DataFamily(name.rpartition(":")[2], resolved(name, "data"), source=name)
    return _REGISTRY.get(name)


def options(name: str | DataFamily) -> dict[str, Any]:
    """What a data set takes as options, with their defaults.

    Example:
        >>> options("digits")
        {}
    """
    return dict(getattr(get(name).load, "__kwdefaults__", None) or {})


def load(name: str | DataFamily, **chosen: Any) -> DataSet:
    """The samples of a data set.

    Args:
        name: a data set, its name, or one of your own (see `get`).
        **chosen: options of it; see `options`.

    Raises:
        UnknownNameError: for an unknown data set or option.
        ArgumentError: for files that are missing or damaged, with how to get them.

    Example:
        >>> load("digits")
        DataSet(digits, 1,797 samples (1, 8, 8), 10 classes)
    """
    family = get(name)
    known_options(family.name, chosen, options(family))
    found = family.load(**chosen)
    if not isinstance(found, DataSet):
        raise ArgumentError(
            "data", f"a DataSet (gamedyn.training.data.DataSet) from {family.name}", type(found).__name__
        )
    return found


border(globals())
