"""Where set-ups and measures come from, and the source files that a cell's result depends on."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import joblib

from gamedyn.integrators._types import made_of
from gamedyn.methods import Map, Method

__all__ = ["digest", "hashed", "identity", "root_of", "sources", "versions"]


def root_of(function: Callable[..., Any]) -> Path | None:
    """The folder of the sources that belong to a function: its package's, or its file's; None: of no file."""
    inner = _unwrapped(function)
    name = getattr(inner, "__module__", None) or type(inner).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    code = getattr(inner, "__code__", None)
    if file is None or (code is not None and not Path(code.co_filename).is_file()):
        return None
    top = name.partition(".")[0]
    package = getattr(sys.modules.get(top), "__path__", None)
    return Path(next(iter(package))).resolve() if package else Path(file).resolve().parent


def identity(function: Callable[..., Any]) -> list[str]:
    """What distinguishes a function: its place, defaults and closure; of one that is in no file, its text."""
    inner = _unwrapped(function)
    parts: list[Any] = [getattr(inner, "__defaults__", None), getattr(inner, "__kwdefaults__", None)]
    parts += [c.cell_contents for c in getattr(inner, "__closure__", None) or ()]
    if isinstance(function, partial):
        parts += [function.args, function.keywords]
    if not inspect.isfunction(inner):
        parts.append(getattr(function, "__self__", function))
    kind = inner if hasattr(inner, "__qualname__") else type(inner)
    return [kind.__module__, kind.__qualname__, _text(inner) if root_of(function) is None else "", *map(_hash, parts)]


def hashed(value: Any) -> str:
    """A digest of a factor's value: of a method what it is made of, whatever has been asked of it before."""
    if isinstance(value, (Method, Map)):
        return str(joblib.hash((type(value).__qualname__, made_of(value))))
    if isinstance(value, dict):
        return str(joblib.hash(sorted((str(k), hashed(v)) for k, v in value.items())))
    return str(joblib.hash(value))


def _unwrapped(function: Any) -> Any:
    return _unwrapped(function.func) if isinstance(function, partial) else function


def _hash(parts: Any) -> str:
    if callable(parts) and hasattr(parts, "__qualname__"):
        return "/".join(identity(parts))
    try:
        return str(joblib.hash(parts))
    except Exception:  # what cannot be pickled, whatever it raises
        return repr(type(parts))


def _text(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(type(function)) if code is None else f"{code.co_code.hex()} {code.co_consts} {code.co_names}"


IMPORTED: dict[str, str] = {}
"""By path, the digests of sources when they were first seen here: what has changed since is not what is running."""


def sources(roots: tuple[Path, ...]) -> dict[str, str]:
    """By path, the digests of all modules that have been imported from gamedyn and from these folders, as imported."""
    own = (Path(__file__).parents[1].resolve(), *roots)
    found = {}
    for module in [*sys.modules.values()]:
        file = getattr(module, "__file__", None)
        if not file or not str(file).endswith(".py"):
            continue
        path = _located(file)
        root = next((r for r in own if path.is_relative_to(r)), None)
        if root is not None and "site-packages" not in path.relative_to(root).parts:
            found[str(path)] = IMPORTED.setdefault(str(path), digest(path))
    return found


@lru_cache(maxsize=100_000)
def _located(file: str) -> Path:
    return Path(file).resolve()  # some thousand modules, asked several times a run


def digest(path: Path) -> str:
    """Of a file's content; "" where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=10_000)
def _digest(path: Path, modified: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """Of Python and of the distributions that have been imported."""
    top = {name.partition(".")[0] for name in sys.modules}
    known = _distributions()
    named = sorted({d for t in top for d in known.get(t, ())})
    return {"python": sys.version.split()[0], **{d: importlib.metadata.version(d) for d in named}}


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
