"""The sources of what was used, as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gamedyn import __version__
from gamedyn._lib.border import border
from gamedyn._lib.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Reference", "citation", "mentions", "references"]

TITLE = "gamedyn: differentiable games as ordinary differential equations"

SURNAME = r"(?:de |da |von )?[A-Z][\w'-]+"
MENTION = re.compile(rf"({SURNAME})(?:(?:, {SURNAME})*| et al\.) (1[5-9]\d\d|20\d\d)\b")
"""A source in words: surnames, or the first and "et al.", then the year."""

FIELD = re.compile(r"(\w+)=\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")


@dataclass(frozen=True)
class Reference:
    """One entry of `gamedyn/references.bib`.

    Attributes:
        key: of the entry.
        kind: "article", "book", ...
        fields: author, title, year and the rest, as BibTeX has them.
    """

    key: str
    kind: str
    fields: dict[str, str]

    @property
    def surname(self) -> str:
        """The first author's, in plain letters: what sources are written with."""
        return _plain(self.fields["author"].split(" and ")[0].partition(",")[0])

    def named_in(self, text: str) -> bool:
        """Whether a source in words means this entry: by a pattern of its own, or by first author and year."""
        pattern = self.fields.get("gamedyn")
        if pattern is not None and not re.search(pattern, text):
            return False
        if (pattern is not None and self.kind == "book") or pattern in ("torchdiffeq", "scipy", r"torch\.optim"):
            return True
        first = (pattern or self.surname).partition(" ")[0].rstrip(",")  # a pattern may name co-authors, too
        return any(re.match(first, name) and year == self.fields["year"] for name, year in mentions(text))

    def __str__(self) -> str:
        shown = {k: v for k, v in self.fields.items() if k != "gamedyn"}
        width = max(map(len, shown))
        lines = [f"  {k.ljust(width)} = {{{v}}}," for k, v in shown.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def citation(*used: Any) -> str:
    """BibTeX of where methods, losses, penalties, flows and games come from, gamedyn's own entry first.

    Args:
        used: names (of a method, a loss, a family of games, "torchdiffeq:dopri5"), or the objects: methods, losses,
            penalty terms, flows (with what they are made of, their terms and their game), games, functions of
            gamedyn whose documentation names a source.

    Returns:
        The entries, each once, in the order of what was given. What has no published source adds none.

    Raises:
        UnknownNameError: for a name that no method, loss or game has.
        ArgumentError: for something that carries no source.

    Example:
        >>> text = citation("ogda", "nonsaturating")
        >>> [line for line in text.splitlines() if line.startswith("@")][1:]
        ['@article{popov1980,', '@inproceedings{daskalakis2018,', '@inproceedings{goodfellow2014,']
    """
    found: dict[str, Reference] = {}
    for thing in used:
        for text in _sources(thing):
            for entry in _meant(text):
                found.setdefault(entry.key, entry)
    own = Reference("gamedyn", "software", {"title": TITLE, "version": __version__})
    return "\n\n".join(map(str, (own, *found.values())))


@cache
def references() -> dict[str, Reference]:
    """All entries, by key."""
    text = files("gamedyn").joinpath("references.bib").read_text(encoding="utf-8")
    out = {}
    for line in text.splitlines():
        kind, _, rest = line.removeprefix("@").partition("{")
        key = rest.partition(",")[0]
        out[key] = Reference(key, kind, dict(FIELD.findall(rest)))
    return out


def mentions(text: str) -> list[tuple[str, str]]:
    """The sources that a text names: first author's surname and year."""
    return [(first, year) for first, year in MENTION.findall(text)]


def _meant(text: str) -> list[Reference]:
    """The entries that a text names, in its order; of two of one author and year that whose title or page it has."""
    named = [e for e in references().values() if e.named_in(text)]
    out = []
    for entry in named:
        rivals = [e for e in named if (e.surname, e.fields["year"]) == (entry.surname, entry.fields["year"])]
        if len(rivals) == 1 or _singled_out(entry, text) or not any(_singled_out(e, text) for e in rivals):
            out.append(entry)
    return sorted(out, key=lambda e: _place(e, text))


def _singled_out(entry: Reference, text: str) -> bool:
    title = _plain(entry.fields["title"]).lower()
    page = entry.fields.get("pages", "").partition("-")[0]
    return title in " ".join(text.lower().split()) or bool(page and re.search(rf"p\. {page}\b", text))


def _place(entry: Reference, text: str) -> int:
    found = re.search(entry.fields.get("gamedyn") or rf"{entry.surname}[^;]*?{entry.fields['year']}", text)
    return found.start() if found else len(text)


def _sources(thing: Any) -> Iterator[str]:
    """What a thing, and what it is made of, say of where they come from."""
    if isinstance(thing, str):
        thing = _named(thing)
    yield _own(thing)
    parts = (getattr(thing, "inner", None), *dict(getattr(thing, "terms", {})).values(), getattr(thing, "game", None))
    for part in parts:
        if part is not None:
            yield from _sources(part)


def _own(thing: Any) -> str:
    if hasattr(thing, "library"):
        return str(thing.name)
    if hasattr(thing, "source"):
        return str(thing.source)
    if hasattr(thing, "layout") and hasattr(thing, "name"):  # a game: the family that it is called after, if any
        from gamedyn import games

        family = games.members().get(thing.name or "")
        return "" if family is None else family.source
    found = re.search(r"Source: (.*?)(?:\n\s*\n|\Z)", getattr(thing, "__doc__", None) or "", flags=re.DOTALL)
    if found is None or not callable(thing):
        expected = "a name, or a method, loss, penalty, flow, game, or a function whose documentation names its source"
        raise ArgumentError("used", expected, thing)
    return found[1]


def _named(name: str) -> Any:
    """The method, loss or family of games of a name."""
    from gamedyn import methods

    if ":" in name:
        from gamedyn import integrators

        return integrators.stepper(name).method  # looked up where the library is, which alone knows its names
    known: dict[str, Any] = {}
    for m in (*methods.members().values(), *methods.maps().values()):
        known |= dict.fromkeys((m.name, *m.aliases), m)
    if name in known:  # without torch, which losses and games need
        return known[name]
    from gamedyn import games, losses

    others: tuple[Any, ...] = (*losses.members().values(), *games.members().values())
    for member in others:
        known |= dict.fromkeys((member.name, *member.aliases), member)
    if name not in known:
        raise UnknownNameError("method, loss or game", name, known)
    return known[name]


def _plain(text: str) -> str:
    """BibTeX without braces and accents."""
    bare = re.sub(r"\\(?:['\"`^~]|c )\s?|[{}]", "", text)
    return bare.replace("\\ae", "ae").replace("\\o", "o").replace("--", "-")


border(globals())
