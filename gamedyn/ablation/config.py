"""Ablations in TOML: `gamedyn ablate my.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn import methods
from gamedyn._lib.checks import choice, finite, positive_int
from gamedyn._lib.errors import ArgumentError, GamedynError, UnknownNameError
from gamedyn._lib.functions import resolved, with_whole_path
from gamedyn._lib.toml import Source, parsed, set_over, unknown
from gamedyn.ablation.grid import BUDGETS, Grid

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["Ablation", "read_ablation"]

SECTIONS: dict[str, tuple[str, ...] | None] = {
    "setup": ("function",),
    "factors": None,
    "beside": None,
    "measures": None,
    "run": ("marks", "members", "ensembles", "check_every", "execution"),
    "summary": ("measure", "by", "failed", "log"),
}
"""Sections, and their keys; None: names of one's own."""

RANGE = ("from", "to", "count", "spacing")
"""Keys of a range of values."""

INSTEAD = (("h", "h_per_evaluation"), BUDGETS)
"""Factors of which a cell has one: one of a grid beside takes the place of another."""


@dataclass(frozen=True)
class Ablation:
    """What a file asks for.

    Attributes:
        grid: the cells, those of `[factors]` first.
        own: how many those are; the others are of grids beside.
        text: of the file, with what was set over it.
        measures: by name, text as `Grid`'s set-up is.
        options: of `run`.
        summary: what is shown at the end: measure (a list), by, failed, log.
    """

    grid: Grid
    measures: dict[str, str]
    own: int
    text: str
    options: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


def read_ablation(path: str | os.PathLike[str], over: Iterable[str] = ()) -> Ablation:
    """The ablation that a TOML file describes.

    Sections: `[setup]`, `function = "my_gan.py:setup"` (from the file's own folder, or "module:function");
    `[factors]`, values by name, lists or single ones, or `{from = 0.01, to = 1, count = 5, spacing = "log"}`, and
    `{count = 5}` for 0 to 4; a method with options is `{name = "torch.optim:Adam", betas = [0.5, 0.9]}`; any number of
    `[[beside]]`, whose factors take the place of those for a grid beside, such as a baseline with steps of its own;
    `[measures]`, functions by name; `[run]`, options of `run`; `[summary]`, the `measure` whose means are shown, or a
    list of them (all, where none is named), `by` which factors, `failed` (the value of cells without one), `log`.

    Args:
        path: of the file.
        over: "section.key=value", set over it.

    Raises:
        ArgumentError: for a file that cannot be read, an unknown section or key, a factor or function that is wrong;
            file, line and key are named.
    """
    file = Path(path)
    table, source = parsed(file)
    settings = list(over)
    for setting in settings:
        set_over(table, setting)
    source = Source(source.name, source.text, tuple(s.partition("=")[0].strip() for s in settings))
    for name, section in table.items():
        if name not in SECTIONS:
            raise unknown(source, "section", name, SECTIONS, name, "")
        if name == "beside":
            if not isinstance(section, list) or not all(isinstance(g, dict) and g for g in section):
                raise ArgumentError(source.where(name), "tables of factors", section, "[[beside]]")
            continue
        if not isinstance(section, dict):
            raise ArgumentError(source.where(name), "a section", section, f"[{name}]")
        for key in section:
            if (known := SECTIONS[name]) is not None and key not in known:
                raise unknown(source, "key", key, known, name, key)
    for name in ("setup", "factors", "measures"):
        if not table.get(name):
            raise ArgumentError(source.where(name), f"a section [{name}]", "none")
    setup = _function(source, file, "setup", "function", table["setup"].get("function"))
    measures = {k: _function(source, file, "measures", k, v) for k, v in table["measures"].items()}
    factors = _factors(source, "factors", table["factors"])
    beside = [_instead(factors, _factors(source, "beside", given)) for given in table.get("beside", ())]
    grid = _grid(source, setup, "factors", factors)
    own = len(grid)
    for other in beside:
        grid = grid + _grid(source, setup, "beside", other)
    options = _options(source, table.get("run", {}))
    text = "".join(f"# set over the file: {setting}\n" for setting in settings) + source.text
    return Ablation(grid, measures, own, text, options, _summary(source, table, [factors, *beside]))


def _factors(source: Source, section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _values(source, section, k, v) for k, v in _flat(given).items()}


def _instead(factors: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The factors of a grid beside: its own in the place of the same, or of what says the same in another way."""
    gone = {name for group in INSTEAD if set(group) & set(own) for name in group}
    return {**{k: v for k, v in factors.items() if k not in gone}, **own}


def _flat(section: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """`[factors.weights] r1 = ...` as `weights.r1`."""
    out: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping) and not set(value) <= set(RANGE) and before + key != "method":
            out |= _flat(value, f"{before}{key}.")
        else:
            out[before + key] = value
    return out


def _values(source: Source, section: str, name: str, given: Any) -> Any:
    where = source.where(section, name)
    if name == "method":
        several = given if isinstance(given, list) else [given]
        pairs = [_method(where, x) if isinstance(x, Mapping) else (x, x) for x in several]
        distinct = len(dict(pairs)) == len(pairs)  # else the grid refuses them
        return dict(pairs) if distinct and any(isinstance(x, Mapping) for x in several) else [m for _, m in pairs]
    if not isinstance(given, Mapping):
        return given
    count = positive_int(f"{where} count", given.get("count"))
    if "from" not in given and "to" not in given:
        return range(count)
    first, last = (finite(f"{where} {k}", given.get(k)) for k in ("from", "to"))
    spacing = choice(f"{where} spacing", given.get("spacing", "linear"), ("linear", "log"))
    if spacing == "log" and not min(first, last) > 0:
        raise ArgumentError(where, "positive ends, for log spacing", f"{first} to {last}")
    found = np.geomspace(first, last, count) if spacing == "log" else np.linspace(first, last, count)
    return [float(f"{x:.12g}") for x in found]


def _method(where: str, given: Mapping[str, Any]) -> tuple[str, Any]:
    """A method with options of its own, and a name with which a table can distinguish it from others."""
    options = dict(given)
    if not isinstance(name := options.pop("name", None), str):
        raise ArgumentError(where, 'a method\'s name, or {name = "torch.optim:Adam", betas = [0.5, 0.9]}', dict(given))
    shown = f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})" if options else name
    try:
        return shown, methods.get(name, **options)
    except (ArgumentError, UnknownNameError) as error:
        raise ArgumentError(where, error.expected, error.got, error.remedy) from error


def _function(source: Source, file: Path, section: str, key: str, given: Any) -> str:
    """The text that names a function, its file's path made absolute."""
    where = source.where(section, key)
    if not isinstance(given, str):
        raise ArgumentError(where, '"module:function" or "file.py:function"', given)
    full = with_whole_path(given, file.parent)
    try:
        resolved(full)
    except ArgumentError as error:
        raise ArgumentError(where, error.expected, error.got, error.remedy) from error
    return full


def _options(source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"marks": list, "ensembles": bool, "execution": str, "members": int, "check_every": int}
    for key, value in given.items():
        if not isinstance(value, kinds[key]) or (kinds[key] is int and isinstance(value, bool)):
            words = {list: "a list of shares", bool: "true or false", str: "a name", int: "a whole number"}
            raise ArgumentError(source.where("run", key), words[kinds[key]], value)
    return dict(given)


def _grid(source: Source, setup: str, section: str, factors: dict[str, Any]) -> Grid:
    try:
        return Grid(setup, factors)
    except GamedynError as error:
        told = f"{getattr(error, 'argument', '')} {getattr(error, 'got', '')}"
        key = next((k for k in factors if k in told), "")
        if isinstance(error, (ArgumentError, UnknownNameError)):
            raise ArgumentError(source.where(section, key), error.expected, error.got, error.remedy) from error
        raise


def _summary(source: Source, table: Mapping[str, Any], grids: list[dict[str, Any]]) -> dict[str, Any]:
    """What is shown: all measures, by the factors that differ in every grid, unless the file says otherwise."""
    given = dict(table.get("summary", {}))
    measures = given.get("measure") or list(table["measures"])
    given["measure"] = [measures] if isinstance(measures, str) else measures
    for name in given["measure"]:
        if str(name).partition(".")[0] not in {k.partition(".")[0] for k in table["measures"]}:
            raise unknown(source, "measure", str(name), table["measures"], "summary", "measure")
    values = {k: [x for grid in grids for x in _listed(grid[k])] for k in grids[0] if all(k in grid for grid in grids)}
    given.setdefault("by", [k for k, found in values.items() if k != "seed" and any(x != found[0] for x in found)])
    factors = [*values, "at"]
    for name in given["by"]:
        if any(name in grid for grid in grids) and name not in factors:
            where, expected = source.where("summary", "by"), "factors that every grid has, those beside too"
            raise ArgumentError(where, expected, name, f"of {', '.join(factors)}")
        if name not in factors:
            raise unknown(source, "factor", name, factors, "summary", "by")
    return given


def _listed(value: Any) -> list[Any]:
    return [*value] if isinstance(value, (list, range, dict)) else [value]
