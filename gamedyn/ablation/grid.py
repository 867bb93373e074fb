"""Grids: every combination of factors, and what each of them means for a run."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gamedyn import methods
from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn._lib.functions import resolved
from gamedyn.ablation.setups import hashed

if TYPE_CHECKING:
    from gamedyn.core import State
    from gamedyn.flows import Flow

__all__ = ["BUDGETS", "Cell", "Grid", "Setup"]

BUDGETS = ("steps", "evaluations", "images", "time")
"""What says how long a cell runs: one of them."""

OWN = ("method", "h", "h_per_evaluation", "seed", *BUDGETS)
"""Factors that a cell's run is made of; `rates.PLAYER` and `weights.TERM` besides; all others go to the set-up."""


@dataclass
class Setup:
    """What a cell solves: made anew for every cell, or once for those that run together.

    Attributes:
        flow: with every term whose weight is a factor.
        batches: a stream of its own (`gamedyn.batches`), or None.
        batch: one batch for every step instead.
        y0: the first state; None: the players' present parameters.
        options: further arguments of `gamedyn.solve` (`sampling`, `solver`): such cells run by themselves.
        extras: what measures want to know besides.
    """

    flow: Flow
    batches: Any = None
    batch: Any = None
    y0: State | None = None
    options: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


class Grid:
    """Every combination of factors: `Grid(setup, {"method": [...], "h": [...], "seed": range(5)}, evaluations=2000)`.

    `setup(**factors)` gives a flow, or a `Setup`. It is called with the factors that it has parameters for, `seed`
    among them where it takes it; it may be text, "module:function" or "file.py:function". The other factors are

    - `method`: names or method objects;
    - `h`, or `h_per_evaluation`: the step, or what it is for each evaluation that the method makes in it;
    - `rates.PLAYER`, `weights.TERM`: in the place of the flow's own;
    - `steps`, `evaluations`, `images` or `time`: how long it runs.

    Cells that differ in `h`, `rates`, `weights`, `seed` alone run as one ensemble where method and flow allow it.

    Args:
        setup: what makes the flow.
        factors: by name, the values, or a dict of values by the names that the table shows; one that is no list, tuple,
            range, array or dict stands for itself.
        where: which cells are wanted, given each as a dict, named values by their names; None: all.
        fixed: factors with one value each.

    Raises:
        ArgumentError: for factors without values, or with one twice; no method, step or budget, or two.
        UnknownNameError: for a factor that the set-up has no parameter for, or an unknown method.

    Example:
        >>> from gamedyn import flows, games
        >>> from gamedyn.ablation import Grid
        >>> def setup(coupling):
        ...     return flows.gradient(games.bilinear([[coupling]]))
        >>> grid = Grid(setup, {"method": ["euler", "rk4"], "coupling": [1.0, 2.0]}, h=0.1, evaluations=40)
        >>> len(grid)
        4
        >>> [cell.steps for cell in grid.cells]
        [40, 40, 10, 10]
    """

    def __init__(
        self,
        setup: Callable[..., Any] | str,
        factors: Mapping[str, Any] | None = None,
        *,
        where: Callable[[dict[str, Any]], Any] | None = None,
        **fixed: Any,
    ) -> None:
        self.setup = setup
        given = {name: _values(name, v) for name, v in {**(factors or {}), **fixed}.items()}
        accepted = _parameters(setup)
        names, found = list(given), []
        for combination in itertools.product(*given.values()):
            values = {n: value for n, (_, value) in zip(names, combination, strict=True)}
            named = {n: name for n, (name, _) in zip(names, combination, strict=True) if name is not None}
            if where is None or where({**values, **named}):
                found.append(Cell.of(values, accepted, named))
        if not found:
            raise ArgumentError("where", "at least one cell", "none of them")
        self.cells = found

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __add__(self, other: Grid) -> Grid:
        """The cells of both, of one set-up; those in both once.

        Raises:
            ArgumentError: for another set-up; for cells that a table would show alike and that are not.
        """
        if other.setup != self.setup:
            raise ArgumentError("grid", "one of the same set-up", other.setup)
        both = object.__new__(Grid)
        both.setup = self.setup
        known = {str(c.shown): hashed(c.values) for c in self.cells}
        for cell in other.cells:
            if known.get(str(cell.shown), same := hashed(cell.values)) != same:
                remedy = "distinguish values that a table shows alike by a dict: {name: value}"
                raise ArgumentError("grid", "cells that a table can distinguish", cell.shown, remedy)
        both.cells = [*self.cells, *(c for c in other.cells if str(c.shown) not in known)]
        return both

    @property
    def factors(self) -> dict[str, list[Any]]:
        """By name, the values as the table shows them, in order."""
        found: dict[str, list[Any]] = {}
        for cell in self.cells:
            for name, value in cell.shown.items():
                if value not in found.setdefault(name, []):
                    found[name].append(value)
        return found


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        values: by factor, as given.
        method: what steps it.
        h: the step.
        unit: of what says how long it runs.
        amount: how much of it.
        seed: of start and batches, or None.
        rates: by player, in the place of the flow's own.
        weights: by term, likewise.
        arguments: of the set-up, the seed included where it takes it.
        named: by factor, what the table shows in the place of the value.
    """

    values: dict[str, Any]
    method: Any
    h: float
    unit: str
    amount: float
    seed: Any
    rates: dict[str, float]
    weights: dict[str, float]
    arguments: dict[str, Any]
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: dict[str, Any], accepted: tuple[str, ...] | None, named: dict[str, str]) -> Cell:
        """What the values mean; `accepted`: the set-up's parameters, None: any; `named`: names of values."""
        budget = [u for u in BUDGETS if u in values]
        if len(budget) != 1:
            raise ArgumentError("budget", f"one of {', '.join(BUDGETS)}", ", ".join(budget) or "none")
        if "method" not in values:
            raise ArgumentError("method", "one, or several", "none", 'factors={"method": ["euler", "rk4"]}')
        arguments: dict[str, Any] = {}
        scaled: dict[str, dict[str, float]] = {"rates": {}, "weights": {}}
        for name, value in values.items():
            kind, _, of = name.partition(".")
            if kind in scaled and of:
                scaled[kind][of] = float(value)
            elif accepted is None or name in accepted:
                if name not in OWN or name == "seed":
                    arguments[name] = value
            elif name not in OWN:
                raise UnknownNameError("factor", name, (*OWN, *accepted, "rates.PLAYER", "weights.TERM"))
        method = methods.get(values["method"]) if isinstance(values["method"], str) else values["method"]
        amount = positive(budget[0], values[budget[0]])
        h = _step(values, method)
        return cls(values, method, h, budget[0], amount, values.get("seed"), **scaled, arguments=arguments, named=named)

    @property
    def shown(self) -> dict[str, Any]:
        """The values as a table can hold them."""
        return {k: self.named.get(k, shown(v)) for k, v in self.values.items()}

    @property
    def work(self) -> float | None:
        """Evaluations of a step; None where they vary."""
        return _work(self.method)

    @property
    def steps(self) -> int | None:
        """Steps of the whole; None where that is not known beforehand."""
        return self.steps_at(1.0)

    def steps_at(self, share: float, batch_size: int | None = None) -> int | None:
        """Steps until a share of the budget is spent; None where that is not known beforehand."""
        amount = self.amount * share
        if self.unit == "steps":
            return max(1, round(amount))
        if self.unit == "time":
            return max(1, round(amount / self.h))
        per = self.work if self.unit == "evaluations" else batch_size
        return None if per is None else max(1, math.floor(amount / per * (1 + 1e-12)))


def shown(value: Any) -> Any:
    """A value as a table can hold it: what is no number, text or truth value by its name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "name", None) or getattr(value, "__name__", None) or str(value)


def _work(method: Any) -> float | None:
    """Evaluations of a step, of players with several moves no whole number; None where they vary."""
    if getattr(method, "explicit", True) is False or getattr(method, "library", "") in ("torchdiffeq", "scipy"):
        return None
    return float(getattr(method, "evaluations", None) or 1)  # an optimiser makes one


def _step(values: dict[str, Any], method: Any) -> float:
    given = [n for n in ("h", "h_per_evaluation") if n in values]
    if len(given) != 1:
        raise ArgumentError("h", "one of h and h_per_evaluation", ", ".join(given) or "none")
    step = positive(given[0], values[given[0]])
    if given[0] == "h":
        return step
    work = _work(method)
    if work is None:
        raise ArgumentError("h_per_evaluation", "a method of a fixed number of evaluations", str(method), "give h")
    return step * work


def _values(name: str, given: Any) -> list[tuple[str | None, Any]]:
    """The values, each with the name that it was given."""
    names = [str(n) for n in given] if isinstance(given, Mapping) else None
    given = [*given.values()] if isinstance(given, Mapping) else given
    many = isinstance(given, Iterable) and not isinstance(given, (str, bytes)) and not hasattr(given, "order")
    values = [v.item() if hasattr(v, "item") else v for v in given] if many else [given]
    if not values:
        raise ArgumentError(name, "at least one value", "none")
    told = [repr(v) for v in (names or map(shown, values))]  # as a table would have it
    if len(set(told)) < len(told):
        remedy = "values that a table would show alike are distinguished by a dict: {name: value}"
        raise ArgumentError(name, "every value once", next(v for v in told if told.count(v) > 1), remedy)
    return [*zip(names or itertools.repeat(None, len(values)), values, strict=True)]


def _parameters(setup: Callable[..., Any] | str) -> tuple[str, ...] | None:
    """The factors that a set-up takes; None where it takes any."""
    found = inspect.signature(resolved(setup, "setup")).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(p.name for p in found if p.kind in named)
