"""What functions compute, as a digest that no file's name, line or process changes."""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import numbers
import os
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["digest_of"]

EMPTY = CellType()
PLAIN = (bool, numbers.Number, str, bytes, enum.Enum, type(None))
NAMED = (FunctionType, MethodType, BuiltinFunctionType, type)
VERSIONED = ("gamedyn", "torch")
"""Packages whose code counts by its name: a run's facts have their versions."""

MAKES = ("__init__", "__new__", "__post_init__")
"""Methods that may store attributes which are constants from then on."""


def digest_of(*values: Any) -> str:
    """Twelve digits that differ where functions do other things: by bytecode, constants, defaults and closures.

    Functions that they call from the same package or folder count, and constants that they read; a module
    (`torch.nn.Module`) by the code of its forwards, and the constants and functions that are its attributes. What may
    change while a run goes on does not: lists, tensors, names that the functions themselves write to (counters).
    """
    digest, seen, left = hashlib.sha256(), dict[int, Any](), [*values[::-1]]
    while left:
        value = left.pop()
        if isinstance(value, PLAIN):
            digest.update(f"{value!r}\n".encode())
            continue
        digest.update(f"{(value if isinstance(value, NAMED) else type(value)).__qualname__}\n".encode())
        if isinstance(value, tuple):
            left += [*value[::-1], len(value)]
        elif id(value) not in seen:
            seen[id(value)] = value  # kept, so that nothing else gets its id
            left += _inside(value)[::-1]
    return digest.hexdigest()[:12]


def _inside(value: Any) -> tuple[Any, ...]:
    """What a value is made of."""
    if isinstance(value, FunctionType):
        return _of_function(value)
    if isinstance(value, MethodType):
        return (value.__func__, *_constants(value.__self__))
    if isinstance(value, functools.partial):
        return (value.func, value.args, *value.keywords.items())
    if isinstance(value, (type, BuiltinFunctionType, ModuleType)):
        return ()
    if dataclasses.is_dataclass(value):
        return tuple(_attributes(value).get(field.name) for field in dataclasses.fields(value))
    if "_modules" in _attributes(value):
        return tuple(part for module in value.modules() for part in _of_module(module))
    wrapped = _attributes(value).get("__wrapped__")  # of functools.lru_cache
    call = inspect.getattr_static(type(value), "__call__", None)
    return (wrapped, call, *_constants(value)) if isinstance(call, FunctionType) or wrapped is not None else ()


def _of_module(module: Any) -> list[Any]:
    """How it is evaluated: its forward, and the constants and functions (`self.act = torch.relu`) that it keeps."""
    functions = [(k, v) for k, v in sorted(_attributes(module).items()) if isinstance(v, (*NAMED, functools.partial))]
    return [getattr(type(module), "forward", None), *_constants(module), *functions]


def _of_function(function: FunctionType) -> tuple[Any, ...]:
    codes, wrapped = _codes(function), getattr(function, "__wrapped__", None)  # by torch.compile, no_grad and others
    written = _stored(codes, ("STORE_DEREF",))
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    kept = (cell.cell_contents for name, cell in cells if name not in written and cell != EMPTY)
    own = () if _package(function) in VERSIONED else _own(function, codes)
    return (wrapped, function.__defaults__, *(function.__kwdefaults__ or {}).items(), *kept, *own)


def _own(function: FunctionType, codes: list[CodeType]) -> tuple[Any, ...]:
    """Bytecode, constants and names of a function and of those inside it, and what it reads of its module."""
    found: list[Any] = []
    for code in codes:
        constants = [c for c in code.co_consts if not isinstance(c, CodeType) and c != function.__doc__]
        found += [code.co_code, *(repr(sorted(map(repr, c)) if isinstance(c, frozenset) else c) for c in constants)]
        found += [*code.co_names, *code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]
    names = dict.fromkeys(n for code in codes for n in code.co_names)
    written = _stored(codes, ("STORE_GLOBAL",))
    for name in {i.argval: None for code in codes for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}:
        if name in written or name not in function.__globals__:
            continue
        used = function.__globals__[name]
        if isinstance(used, (*PLAIN, tuple)) or (dataclasses.is_dataclass(used) and not isinstance(used, type)):
            found.append(used)
        elif isinstance(used, (ModuleType, type)):
            found += [f for n in names if _near(f := _function(vars(used).get(n)), function)]
        elif _near(f := _function(used), function):
            found += [f, used] if isinstance(used, functools.partial) else [f]
    return tuple(found)


def _function(value: Any) -> Any:
    """The function inside of what wraps it."""
    if isinstance(value, functools.partial):
        return _function(value.func)
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    return inspect.unwrap(value) if callable(value) else value


def _near(used: Any, function: FunctionType) -> bool:
    """Whether a function belongs to the same package or folder."""
    if not isinstance(used, FunctionType):
        return False
    folders = {os.path.dirname(f.__code__.co_filename) for f in (used, function)}
    return _package(used) == _package(function) or len(folders) == 1


def _package(function: FunctionType) -> str:
    """Whose code a function is, whatever name a decorator has given it."""
    names = function.__globals__
    return str(names.get("__package__") or names.get("__name__", "")).partition(".")[0]


def _codes(function: FunctionType) -> list[CodeType]:
    """The code of a function and of those inside it."""
    codes = [function.__code__]
    for code in codes:  # grows
        codes += [c for c in code.co_consts if isinstance(c, CodeType)]
    return codes


def _stored(codes: Iterable[CodeType], how: tuple[str, ...]) -> set[str]:
    return {i.argval for code in codes for i in dis.get_instructions(code) if i.opname in how}


def _constants(value: Any) -> list[Any]:
    """Plain attributes of an object that no method of its class but its first ones writes to."""
    kind: Any = type(value)
    written = _written(kind)
    return [(k, v) for k, v in sorted(_attributes(value).items()) if isinstance(v, PLAIN) and k not in written]


@functools.lru_cache(maxsize=1024)
def _written(kind: Any) -> set[str]:
    """Attributes that methods of a class, but for its first ones, and what they call nearby write to."""
    methods = [f for base in kind.__mro__ for n, v in vars(base).items() if n not in MAKES for f in _functions(v)]
    reached = [(f, f.__globals__.get(n)) for f in methods for n in f.__code__.co_names]
    called = [g for f, g in reached if isinstance(g, FunctionType) and _near(g, f)]
    codes = [c for f in (*methods, *called) for c in _codes(f)]
    named = {x for c in codes if "setattr" in c.co_names for x in c.co_consts if isinstance(x, str)}
    return named | _stored(codes, ("STORE_ATTR",))


def _functions(value: Any) -> list[FunctionType]:
    """Those behind an attribute of a class: of a property all of them."""
    parts = (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value,)
    return [f for part in parts if isinstance(f := _function(part), FunctionType)]


def _attributes(value: Any) -> Mapping[str, Any]:
    try:
        return object.__getattribute__(value, "__dict__")  # type: ignore[no-any-return]
    except AttributeError:  # it has slots
        return {}
