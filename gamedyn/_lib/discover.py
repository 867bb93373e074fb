"""Find the members of a package: what its public modules name in `__all__`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Generic, TypeVar

from gamedyn._lib.errors import GamedynError, UnknownNameError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Members of one type, discovered on first use; a name or an alias finds one.

    A member is an object of type `kind` that a public module of `package` lists in
    `__all__`; it carries `name` and may carry `aliases`. Reading `__all__` rather than
    module variables keeps an imported object from counting twice.
    """

    def __init__(self, package: str, kind: type[T] | tuple[type[T], ...], what: str) -> None:
        self._package, self._kind, self._what = package, kind, what
        self._found: dict[str, T] | None = None
        self._aliases: dict[str, str] = {}

    def members(self) -> dict[str, T]:
        """Every member by its canonical name, sorted.

        Raises:
            GamedynError: if two members claim one name or alias.
        """
        if self._found is None:
            found: dict[str, T] = {}
            aliases: dict[str, str] = {}
            package = importlib.import_module(self._package)
            for info in pkgutil.iter_modules(package.__path__):
                if info.name.startswith("_"):
                    continue
                module = importlib.import_module(f"{self._package}.{info.name}")
                for public in module.__all__:
                    member = getattr(module, public)
                    if isinstance(member, self._kind):
                        self._add(found, aliases, member, module.__name__)
            self._found, self._aliases = dict(sorted(found.items())), aliases
        return self._found

    def _add(self, found: dict[str, T], aliases: dict[str, str], member: T, where: str) -> None:
        name: str = member.name  # type: ignore[attr-defined]
        for label in (name, *getattr(member, "aliases", ())):
            if label in aliases or not label:
                raise GamedynError(f"{where}: the {self._what} name {label!r} is empty or taken")
            aliases[label] = name
        found[name] = member

    def get(self, name: str) -> T:
        """The member called `name`, or whose alias it is.

        Raises:
            UnknownNameError: with the nearest names.
        """
        members = self.members()
        if name not in self._aliases:
            raise UnknownNameError(self._what, name, self._aliases)
        return members[self._aliases[name]]

    def names(self) -> tuple[str, ...]:
        """Canonical names, sorted."""
        return tuple(self.members())
