"""What a method is: frozen, validated coefficients. Reads nothing, knows no stepper, never imports torch."""

from __future__ import annotations

from typing import Union

from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods._coefficients import Declared
from gamedyn.methods._delegated import Delegated
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods._partitioned import Partitioned, Stages, Sweep
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods.multistep import optimistic
from gamedyn.methods.partitioned import alternating

__all__ = [
    "Declared",
    "Delegated",
    "LinearMultistep",
    "Method",
    "Partitioned",
    "RungeKutta",
    "Stages",
    "Sweep",
    "alternating",
    "get",
    "members",
    "names",
    "optimistic",
]

Method = Union[RungeKutta, LinearMultistep, Partitioned, Delegated]

LIBRARIES = ("torchdiffeq",)
"""Libraries a name may be prefixed with."""

_REGISTRY: Registry[RungeKutta | LinearMultistep | Partitioned] = Registry(
    "gamedyn.methods", (RungeKutta, LinearMultistep, Partitioned), "method"
)


def names() -> tuple[str, ...]:
    """Canonical names of all members, sorted.

    Example:
        >>> "rk4" in names()
        True
    """
    return _REGISTRY.names()


def members() -> dict[str, RungeKutta | LinearMultistep | Partitioned]:
    """All members by canonical name."""
    return dict(_REGISTRY.members())


def get(method: str | Method, **options: object) -> Method:
    """The method of a name or alias; a method object is returned as it is.

    Args:
        method: a name ("rk4"), a name with a library's prefix ("torchdiffeq:rk4"), or a method object.
        options: options of the library's method; only names with a prefix take any.

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
        ArgumentError: if it is neither a name nor a method, or options are given where none exist.

    Example:
        >>> get("ogda").name
        'optimistic'
    """
    if isinstance(method, str) and ":" in method:
        library, _, inner = method.partition(":")
        if library not in LIBRARIES:
            raise UnknownNameError("library", library, LIBRARIES)
        return Delegated(library, inner, dict(options))
    if options:
        remedy = "options belong to methods of other libraries; families are functions, such as optimistic(a)"
        raise ArgumentError("options", f"none for {method!r}", ", ".join(options), remedy)
    if isinstance(method, str):
        return _REGISTRY.get(method)
    if not isinstance(method, (RungeKutta, LinearMultistep, Partitioned, Delegated)):
        raise ArgumentError("method", "a name or a method object", method, f"names: {', '.join(names())}")
    return method
