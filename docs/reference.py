"""The reference: a page for every public name, and one that lists them for every package. Called by conf.py.

The pages of names are in no table of contents: every page of the theme carries all of it, five hundred times.
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from typing import Any, NamedTuple

import gamedyn

__all__ = ["pages", "public"]

USERS = (
    *("", "flows", "games", "losses", "methods", "steps", "spectrum", "stability", "plot", "ablation", "training"),
    *("integrators", "optim"),
)
"""Packages in the order in which users meet them."""

DEVELOPERS = ("krylov", "core")
"""What the house is built of: for those who write flows, fields and analyses of their own."""


class Name(NamedTuple):
    """A public name: where it is reached, and what it is."""

    package: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """As it is written by a user."""
        return f"{self.package}.{self.name}"

    @property
    def summary(self) -> str:
        """Its first line."""
        if args := typing.get_args(self.value):
            return f"Either of {', '.join(f'`{a.__name__}`' for a in args)}."
        if not (inspect.isclass(self.value) or callable(self.value) or inspect.ismodule(self.value)):
            return f"A constant: `{str(self.value)[:60]}`."
        return (inspect.getdoc(self.value) or "").split("\n\n")[0].replace("\n", " ")


def packages() -> list[str]:
    """Dotted names of all packages with a page, users' first, a package's rooms after it."""
    found = []
    for name in (*USERS, *DEVELOPERS):
        found.append(f"gamedyn.{name}".rstrip("."))
        if name == "training":
            rooms = vars(importlib.import_module(f"gamedyn.{name}"))
            found += [f"gamedyn.{name}.{r}" for r in rooms["__all__"] if isinstance(rooms[r], types.ModuleType)]
    return found


def public() -> dict[str, list[Name]]:
    """The names of every package; what several packages name has its page where users meet it first."""
    out: dict[str, list[Name]] = {}
    for package in packages():
        module = gamedyn.steps if package == "gamedyn.steps" else importlib.import_module(package)
        values = [Name(package, n, getattr(module, n)) for n in module.__all__]
        out[package] = [x for x in values if not isinstance(x.value, types.ModuleType)]
    return out


def pages() -> dict[str, str]:
    """Texts by file name: api/PACKAGE for a package, api/PACKAGE.NAME for a name."""
    owners: dict[int, Name] = {}
    out: dict[str, str] = {}
    for package, names in public().items():
        rows = []
        for x in names:
            shared = inspect.isclass(x.value) or isinstance(x.value, types.FunctionType)
            owner = owners.setdefault(id(x.value), x) if shared else x
            if owner is x:
                out[f"api/{x.path}"] = _page(x)
            rows.append(f"| [`{x.name}`]({owner.path}.md) | {x.summary.replace('|', chr(92) + '|')} |")
        table = "| name | what it is |\n| --- | --- |\n" + "\n".join(rows)
        about = (inspect.getdoc(_module(package)) or "").split("\n\n")[0].replace("\n", " ")
        out[f"api/{package}"] = f"# {package}\n\n{about}\n\n{table}\n"
    return out


def _module(package: str) -> Any:
    return gamedyn.steps if package == "gamedyn.steps" else importlib.import_module(package)


def _page(x: Name) -> str:
    if inspect.isclass(x.value):
        text = f".. autoclass:: {x.path}\n   :members:\n"
    elif callable(x.value) and not typing.get_args(x.value):
        text = f".. autofunction:: {x.path}\n"
    else:
        text = f".. autodata:: {x.path}\n"
    text += f"\n.. minigallery:: {x.path}\n"
    return f"---\norphan: true\n---\n\n# {x.name}\n\n[{x.package}]({x.package}.md)\n\n```{{eval-rst}}\n{text}```\n"
