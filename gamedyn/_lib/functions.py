"""Functions named by text: "module:function", "file.py:function"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["resolved", "with_whole_path"]


def resolved(given: Callable[..., Any] | str, argument: str = "function") -> Callable[..., Any]:
    """The function that "module:function" or "file.py:function" names; a function is itself.

    Raises:
        ArgumentError: for what cannot be imported, or is no function.
    """
    if callable(given):
        return given
    if not isinstance(given, str) or ":" not in given:
        raise ArgumentError(argument, 'a function, "module:function" or "file.py:function"', given)
    where, _, name = given.rpartition(":")
    try:
        module = _of_file(Path(where), argument) if where.endswith(".py") else importlib.import_module(where)
    except (ImportError, OSError) as error:
        raise ArgumentError(argument, "a module that can be imported", f"{where} ({error})") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ArgumentError(argument, f"a function of {where}", name)
    return found  # type: ignore[no-any-return]


def with_whole_path(given: str, folder: Path) -> str:
    """The text with its file, which is relative to a folder, as an absolute path; other text as it is."""
    place, colon, name = given.rpartition(":")
    return f"{(folder / place).resolve()}{colon}{name}" if place.endswith(".py") else given


def _of_file(path: Path, argument: str) -> Any:
    """The module of a file, with its folder in the search path, as if the file were run."""
    path = path.resolve()
    if not path.is_file():
        raise ArgumentError(argument, "a file that is there", str(path))
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{content[:8]}"
    if name not in sys.modules:  # of this file, as it is now
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ArgumentError(argument, "a Python file", str(path))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
