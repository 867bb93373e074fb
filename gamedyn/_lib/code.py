"""What a function computes, as a digest that no file's name, line or process changes."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
from types import CellType, CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["digest_of"]

EMPTY = CellType()
PLAIN = (bool, int, float, complex, str, bytes, type(None))
VERSIONED = ("gamedyn", "torch")
"""Packages whose code counts by its name: a run's facts have their versions."""


def digest_of(*functions: Any) -> str:
    """Twelve digits that differ where functions do other things: by bytecode, constants, defaults and closures.

    Functions of the same package that they call count, and plain constants that they read. What may change while a
    run goes on (lists, tensors, modules) counts by its type alone.
    """
    digest = hashlib.sha256()
    for part in _parts(functions, {}):
        digest.update(part.encode() + b"\n")
    return digest.hexdigest()[:12]


def _parts(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """What distinguishes a value from others, depth first; what was met before is not entered again."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    yield getattr(value, "__qualname__", type(value).__qualname__)
    if id(value) not in seen:
        seen[id(value)] = value  # kept, so that nothing else gets its id
        for inner in _inside(value):
            yield from _parts(inner, seen)


def _inside(value: Any) -> tuple[Any, ...]:
    """What a value is made of."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, MethodType):
        return (value.__func__,)
    if isinstance(value, functools.partial):
        return (value.func, value.args, *value.keywords.items())
    if isinstance(value, FunctionType):
        cells = tuple(cell.cell_contents for cell in value.__closure__ or () if cell != EMPTY)
        own = () if _package(value) in VERSIONED else _code(value)
        wrapped = getattr(value, "__wrapped__", None)  # by torch.compile, no_grad and others
        return (wrapped, value.__defaults__, *(value.__kwdefaults__ or {}).items(), *cells, *own)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    call = getattr(type(value), "__call__", None)  # noqa: B004
    if isinstance(call, FunctionType):
        return (call, *(v for v in vars(value).values() if isinstance(v, PLAIN)))
    return ()


def _code(function: FunctionType) -> tuple[Any, ...]:
    """Bytecode, constants and names of a function and of those inside it, and what it reads of its module."""
    codes, found = [function.__code__], list[Any]()
    for code in codes:  # grows by the functions inside
        codes += [c for c in code.co_consts if isinstance(c, CodeType)]
        constants = [c for c in code.co_consts if not isinstance(c, CodeType) and c != function.__doc__]
        found += [
            code.co_code,
            *(repr(sorted(map(repr, c))) if isinstance(c, frozenset) else repr(c) for c in constants),
        ]
        found += code.co_names
    for name in {i.argval: None for code in codes for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}:
        used = function.__globals__.get(name)
        if isinstance(used, PLAIN) or (isinstance(used, FunctionType) and _package(used) == _package(function)):
            found.append(used)
    return tuple(found)


def _package(function: FunctionType) -> str:
    """Whose code a function is, whatever name a decorator has given it."""
    return str(function.__globals__.get("__name__", "")).partition(".")[0]
