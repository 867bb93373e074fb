"""A training run's configuration: TOML in sections, validated, frozen; errors name line and key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from gamedyn._lib.checks import quoted
from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.functions import with_whole_path
from gamedyn._lib.toml import Source, parsed, set_over, unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["Config", "Data", "Flow", "GameSection", "Models", "Observers", "Solve", "differences", "read_config"]


@dataclass(frozen=True)
class Data:
    """`[data]`: the data set, its options, and its batches.

    Attributes:
        name: of the data set.
        batch_size: samples of a step's batch.
        device: "auto" (the players' device where the samples fit into a quarter of its memory), "cpu", "cuda".
        workers: processes that read samples that are not in memory.
        options: of the data set; any other key of the section.
    """

    name: str
    batch_size: int = 64
    device: str = "auto"
    workers: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Models:
    """`[models]`: the architecture and its options.

    Attributes:
        name: of the architecture.
        seed: of the weights.
        conditional: whether both players take the data's labels.
        channels_last: whether convolutions work on channels-last images (for GPUs with half precision).
        options: of the architecture; any other key of the section.
    """

    name: str
    seed: int = 0
    conditional: bool = False
    channels_last: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GameSection:
    """`[game]`: the loss.

    Attributes:
        loss: its name.
        autocast: "bfloat16": networks run in it, and the state keeps its type; "": all in one.
        dtype: of the state, "float32" or "float64".
    """

    loss: str = "nonsaturating"
    autocast: str = ""
    dtype: str = "float32"


@dataclass(frozen=True)
class Flow:
    """`[flow]`: rates, and penalty terms by name: `[flow.r1]` with `weight`, `every` and the term's own arguments.

    Attributes:
        rates: by player, or "player.module".
        clip_norm: largest norm of a player's gradient; None: as it is.
        terms: by name of the term's function.
    """

    rates: dict[str, float] = field(default_factory=dict)
    clip_norm: float | None = None
    terms: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Solve:
    """`[solve]`: the method, the step, how far.

    Attributes:
        method: name.
        h: step: a number, or a table: `{kind = "warmup" | "cosine" | "piecewise", ...}`.
        options: of the method, such as betas of torch.optim:Adam.
        steps: in all; or one of the next two.
        images: samples in all.
        evaluations: field evaluations in all.
        sampling: "frozen", or "fresh".
        seed: of order and noise.
        execution: "eager", "compiled" or "captured": see `gamedyn.solve`.
        stages: "full", "bfloat16", "host" or "sharded": see `gamedyn.solve`.
        check: whether derivatives are checked against differences of the field once.
        check_every: steps between looks whether the state is finite.
    """

    method: str
    h: float | dict[str, Any] = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    images: int | None = None
    evaluations: float | None = None
    sampling: str = "frozen"
    seed: int = 0
    execution: str = "eager"
    stages: str = "full"
    check: bool = True
    check_every: int = 50


@dataclass(frozen=True)
class Observers:
    """`[observers]`: a table each, or false; a rhythm is a number of steps, or `{images = 50_000}`, `{seconds = 60}`.

    Attributes:
        record: every, tensorboard.
        ema: half_life, every, start.
        samples: every, count.
        score: every, measures, features, features_file, count, background.
        best: number.
        stability: every, k, kinds, batch.
        budget: evaluations, images, seconds.
        checkpoint: every_seconds, every_steps, keep.
    """

    record: dict[str, Any] = field(default_factory=dict)
    ema: dict[str, Any] | None = None
    samples: dict[str, Any] | None = None
    score: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    stability: dict[str, Any] | None = None
    budget: dict[str, Any] | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)


KEYS = {  # of the observers' tables
    "record": ("every", "tensorboard"),
    "ema": ("half_life", "every", "start"),
    "samples": ("every", "count"),
    "score": ("every", "measures", "features", "features_file", "count", "background"),
    "best": ("number",),
    "stability": ("every", "k", "kinds", "batch"),
    "budget": ("evaluations", "images", "seconds"),
    "checkpoint": ("every_seconds", "every_steps", "keep"),
}
SECTIONS = {
    "data": Data,
    "models": Models,
    "game": GameSection,
    "flow": Flow,
    "solve": Solve,
    "observers": Observers,
}
OPEN = {"data": "options", "models": "options", "flow": "terms"}
"""Sections whose other keys are somebody else's: a data set's, an architecture's, the terms'."""


@dataclass(frozen=True)
class Config:
    """A whole configuration. See `read_config`.

    Attributes:
        data: the data set and its batches.
        models: the architecture.
        game: the loss.
        flow: rates and penalties.
        solve: method, step, how far.
        observers: what sees it.
        source: where it was read, for messages.
    """

    data: Data
    models: Models
    solve: Solve
    game: GameSection = GameSection()
    flow: Flow = Flow()
    observers: Observers = Observers()
    source: Source = field(default_factory=lambda: Source("", ""), compare=False, repr=False)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Every section as a table, defaults included; what is None is left out."""
        return {name: _table(name, getattr(self, name)) for name in SECTIONS}

    def to_toml(self) -> str:
        """The resolved configuration as a file that `read_config` reads to the same."""
        blocks = []
        for name, table in self.tables().items():
            lines = [f"{_key(k)} = {_value(v)}" for k, v in table.items()]
            blocks.append("\n".join([f"[{name}]", *lines]))
        return "\n\n".join(blocks) + "\n"


def read_config(path: str | os.PathLike[str] | Mapping[str, Any], over: Iterable[str] = ()) -> Config:
    """The configuration in a TOML file, or in a mapping of sections.

    Args:
        path: of the file; or the sections.
        over: "section.key=value", set over it: `solve.steps=400`, `flow.r1.weight=0.1`.

    Raises:
        ArgumentError: for a file that cannot be read, an unknown section or key (with the nearest one), a value of
            another type; file, line and key are named.

    Example:
        >>> config = read_config({"data": {"name": "digits"}, "models": {"name": "mlp"},
        ...     "solve": {"method": "rk4", "h": 0.1, "steps": 10}}, ["solve.steps=20"])
        >>> config.solve.steps, config.data.batch_size
        (20, 64)
    """
    if isinstance(path, Mapping):
        table, source = _plain(path), Source("", "")
    else:
        table, source = parsed(Path(path))
    settings = list(over)
    for setting in settings:
        set_over(table, setting)
    source = replace(source, over=tuple(s.partition("=")[0].strip() for s in settings))
    for section in ("data", "models"):  # a function in a file beside this one
        named = table.get(section)
        if isinstance(named, dict) and isinstance(named.get("name"), str) and not isinstance(path, Mapping):
            named["name"] = with_whole_path(named["name"], Path(path).parent)
    for name in table:
        if name not in SECTIONS:
            raise unknown(source, "section", name, SECTIONS, name, "")
    parts = {}
    for name, kind in SECTIONS.items():
        given = table.get(name, {})
        if not isinstance(given, dict):
            raise ArgumentError(source.where(name), "a section", given, f"[{name}]")
        parts[name] = _section(kind, name, given, source)
    config = Config(**parts, source=source)
    limits = [k for k in ("steps", "images", "evaluations") if getattr(config.solve, k) is not None]
    if len(limits) != 1:
        where = source.where("solve", limits[-1] if limits else "")
        raise ArgumentError(where, "one of steps, images, evaluations", ", ".join(limits) or "none")
    return config


def differences(a: Config, b: Config) -> list[str]:
    """What differs between two configurations, a line each: `solve.h: 0.1 -> 0.2`."""
    first, second = a.tables(), b.tables()
    lines = []
    for section in SECTIONS:
        for key in {**first[section], **second[section]}:
            one, two = (t[section].get(key) for t in (first, second))
            if one != two:
                lines.append(f"{section}.{key}: {_value(one)} -> {_value(two)}")
    return lines


def _plain(value: Any, where: str = "") -> Any:
    """A copy of sections of what TOML can hold.

    Raises:
        ArgumentError: for anything else.
    """
    if isinstance(value, Mapping):
        return {k: _plain(v, f"{where}.{k}".lstrip(".")) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, where) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    remedy = "what a file can hold; samples of your own: data.file = ..., or build the parts in Python"
    raise ArgumentError(where or "config", "text, numbers, lists and tables", type(value).__name__, remedy)


def _section(kind: type, name: str, given: Mapping[str, Any], source: Source) -> Any:
    known = {f.name: f for f in fields(kind)}
    rest = OPEN.get(name, "")
    types, own, others = get_type_hints(kind), {}, {}
    for key, value in given.items():
        if name == "observers" and value is False and known.get(key):  # switched off
            continue
        if key in known and key != (rest if name in ("data", "models") else ""):
            own[key] = _checked(source, name, key, value, types[key])
        elif rest:
            if near := difflib.get_close_matches(key, known, n=1, cutoff=0.85):  # no set or network has such an option
                raise ArgumentError(source.where(name, key), "a known key", key, f"did you mean {near[0]!r}?")
            others[key] = value
        else:
            raise unknown(source, "key", key, known, name, key)
    if name == "observers":
        for key, value in own.items():
            for inner in value or {}:
                if inner not in KEYS[key]:
                    raise unknown(source, "key", inner, KEYS[key], name, key)
    for needed in ("name", "method"):
        if needed in known and needed not in own:
            raise ArgumentError(source.where(name), f"a {needed}", "none", f"[{name}] {needed} = ...")
    if rest:
        own[rest] = {**own.get(rest, {}), **others}
    return kind(**own)


def _checked(source: Source, section: str, key: str, value: Any, hint: Any) -> Any:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    plain = tuple(get_origin(k) or k for k in kinds)
    if float in plain and isinstance(value, int) and not isinstance(value, bool) and int not in plain:
        return float(value)
    if isinstance(value, plain) and (bool in plain or not isinstance(value, bool)):
        return value
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "a table"}
    expected = " or ".join(words[k] for k in plain if k in words)
    raise ArgumentError(source.where(section, key), expected, quoted(value))


def _table(name: str, section: Any) -> dict[str, Any]:
    values = {f.name: getattr(section, f.name) for f in fields(section)}
    rest = OPEN.get(name)
    others = values.pop(rest) if rest else {}
    unset = {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields(section)}
    return {k: v for k, v in {**values, **others}.items() if v is not None and not (v == {} == unset.get(k))}


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
