"""Which method carries a game furthest at what cost: all members laid over one spectrum."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn._lib.tables import Tabular, aligned
from gamedyn.methods import Method, get, members
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, Spectrum, eigenvalue_array, is_complete
from gamedyn.stability.steps.first_steps import first_limit
from gamedyn.stability.steps.scans import UNIT
from gamedyn.stability.steps.step_sets import ZERO, sorted_modes, stable_steps
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Ranked", "Ranking", "rank_methods"]

COSTS = ("work", "memory", "time")


@dataclass(frozen=True)
class Ranked:
    """One method on one spectrum.

    Attributes:
        name: canonical name, or what a user-made method shows itself as.
        order: on every game.
        limit: largest stable step h, the end of the interval that starts at 0.
        advance: time of the flow that a step of this size covers: h times the method's clock.
        evaluations: field evaluations a step.
        products: products with J a step; 0 for explicit methods.
        registers: vectors of parameter size that a step holds; None where a Krylov space decides.
        rate: advance per unit of cost, the figure that ranks; per evaluation and product where cost is
            "work" or "memory".
        binding: the eigenvalue that ends the interval; None for methods that need blocks.
        implicit: whether a step solves equations.
    """

    name: str
    order: int | None
    limit: float
    advance: float
    evaluations: float
    products: float
    registers: int | None
    rate: float
    binding: complex | None
    implicit: bool


class Ranking(Tabular):
    """Methods in their order, the best first; prints as a table.

    Attributes:
        cost: what was ranked by.
        rows: the methods with a finite largest step, best first.
        unbounded: those stable at every step, which accuracy bounds instead: cheapest step first.
        skipped: why each of the other methods is not here.
        complete: False if the spectrum is a part: the limits are then upper bounds.
    """

    def __init__(
        self,
        cost: str,
        rows: Iterable[Ranked],
        unbounded: Iterable[Ranked],
        skipped: dict[str, str],
        *,
        complete: bool = True,
    ) -> None:
        self.cost, self.rows, self.unbounded = cost, tuple(rows), tuple(unbounded)
        self.skipped, self.complete = dict(skipped), complete

    def __iter__(self) -> Iterator[Ranked]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: str | int | slice) -> Any:
        """The row at a place, or of a name or alias; of a slice, a tuple of rows.

        Raises:
            UnknownNameError: if no row here is called so.
        """
        if isinstance(key, (int, slice)):
            return self.rows[key]
        found = {r.name: r for r in (*self.rows, *self.unbounded)}
        aliases = {alias: n for n, m in members().items() if n in found for alias in m.aliases}
        if aliases.get(key, key) not in found:
            raise UnknownNameError("method", key, found)
        return found[aliases.get(key, key)]

    @property
    def front(self) -> tuple[Ranked, ...]:
        """The methods that none beats in both memory and advance per evaluation: fewest registers first."""
        out: list[Ranked] = []
        lean = sorted((r for r in self.rows if r.registers and r.limit), key=lambda r: (r.registers, -_per_call(r)))
        for r in lean:
            if not out or _per_call(r) > _per_call(out[-1]):
                out.append(r)
        return tuple(out)

    def top(self, count: int) -> Ranking:
        """The ranking without what comes after its first methods, and without those that are not ranked."""
        rows = self.rows[: positive_int("count", count)]
        return Ranking(self.cost, rows, self.unbounded, {}, complete=self.complete)

    def __str__(self) -> str:
        table = [tuple(f.name for f in fields(Ranked)), *map(_cells, (*self.rows, *self.unbounded))]
        lines = aligned(table).splitlines()
        reasons: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(name)
        lines += [f"not ranked: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
        return "\n".join(lines if self.complete else [*lines, "a part of the spectrum: limits are upper bounds"])

    def rows_as_dicts(self) -> list[dict[str, Any]]:
        """The ranked methods, then those stable at every step, by column."""
        return [asdict(r) for r in (*self.rows, *self.unbounded)]

    def records(self) -> dict[str, Any]:
        """The ranking for JSON: infinite numbers as None, eigenvalues as pairs."""

        def plain(r: Ranked) -> dict[str, Any]:
            out = asdict(r)
            finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in out.items()}
            return finite | {"binding": None if r.binding is None else [r.binding.real, r.binding.imag]}

        groups = {"rows": [plain(r) for r in self.rows], "unbounded": [plain(r) for r in self.unbounded]}
        return {"cost": self.cost, "complete": self.complete, **groups, "skipped": self.skipped}


def rank_methods(
    spectrum: Spectrum,
    cost: str = "work",
    methods: Iterable[str | Method] | None = None,
    *,
    products: float | None = None,
    product_cost: float = 2.0,
    least_order: int = 1,
) -> Ranking:
    """Rank methods by how much of the flow's time they cover per unit of cost, at their largest stable step.

    `rate = s h / cost of a step`, h the end of the first interval of stable steps, s the method's clock. With
    cost "work" a step costs its evaluations plus its products with J. With "time" a product counts as `product_cost`
    evaluations. With "memory" the methods that hold the fewest vectors come first, those of equal memory by
    their work; `front` lists the methods that none beats in both. Methods without any stable step come last.
    Methods that are stable at every step are listed apart: there accuracy decides, which nothing here looks at.

    Args:
        spectrum: eigenvalues of `J = dv/dy` (array or Eigenvalues), or a BlockJacobian; without the latter,
            methods that treat players or parts apart are skipped. With it each of them scans its step matrix, some
            hundred eigenvalue problems of the size of J: name the methods where J is large.
        cost: "work", "memory" or "time".
        methods: names or method objects; None: all members.
        products: products with J that one linear solve or one phi-function takes; None: implicit methods, whose
            work then is unknown, are skipped unless they are stable at every step.
        product_cost: cost of a product in evaluations; about 2 for reverse-mode fields.
        least_order: methods of lower order are skipped.

    Raises:
        ArgumentError: if the spectrum is empty, not finite, or holds an eigenvalue that the flow amplifies.

    Source: step over evaluations as the measure of a scheme: Ketcheson, Ahmadia 2012, Commun. Appl. Math. Comput.
        Sci. 7, p. 247.

    Example:
        >>> ranking = rank_methods([-0.01 + 2j, -0.01 - 2j], methods=["euler", "rk4", "kg52", "alternating"])
        >>> [(r.name, round(r.rate, 4)) for r in ranking]
        [('kg52', 0.4009), ('rk4', 0.3548), ('euler', 0.005)]
        >>> list(ranking.skipped)
        ['alternating']
    """
    choice("cost", cost, COSTS)
    product_cost = positive("product_cost", product_cost)
    per_solve = None if products is None else positive("products", products)
    positive_int("least_order", least_order)
    modes, neutral = _damped_modes(spectrum)
    rows, skipped = [], {}
    for method in _chosen(methods):
        label = method.shown
        try:
            reason = _unfit(method, spectrum, least_order)
            found = None if reason else _judged(method, label, spectrum, modes, neutral, per_solve, cost, product_cost)
        except ArgumentError as error:
            reason, found = str(error), None
        if found is None:
            skipped[label] = (
                reason
                or "its products with J per step are unknown: pass products= (--products); stable_steps has its limit"
            )
        else:
            rows.append(found)
    unbounded = sorted(
        (r for r in rows if math.isinf(r.limit)), key=lambda r: (_step_cost(r, cost, product_cost), r.name)
    )
    finite = sorted((r for r in rows if math.isfinite(r.limit)), key=lambda r: _key(r, cost))
    complete = is_complete(spectrum)
    return Ranking(cost, finite, unbounded, skipped, complete=complete)


def _chosen(methods: Iterable[str | Method] | None) -> list[Method]:
    if methods is None:
        return list(members().values())
    if isinstance(methods, str):
        raise ArgumentError("methods", "a sequence of names or method objects", methods, f'give ["{methods}"]')
    if not hasattr(methods, "__iter__"):
        raise ArgumentError("methods", "a sequence of names or method objects", methods)
    found: list[Method] = []
    for method in map(get, methods):
        if not any(method is other for other in found):
            found.append(method)
    return found


def _damped_modes(spectrum: Spectrum) -> tuple[NDArray[np.complex128], bool]:
    """One mode per conjugate pair, none of them 0; whether there were zeros."""
    modes, facts = sorted_modes(eigenvalue_array(spectrum), ZERO)
    if facts["growing"]:
        worst = max(facts["growing"], key=lambda lam: lam.real)
        remedy = "no method has stable steps from 0 on; see stable_steps for the later ones of each method"
        raise ArgumentError("spectrum", "eigenvalues that the flow does not amplify", f"{worst:.6g}", remedy)
    return np.array(modes, dtype=np.complex128), bool(facts["neutral"])


def _unfit(method: Method, spectrum: Spectrum, least_order: int) -> str:
    """Why a method cannot be ranked, or nothing."""
    if not method.has_theory:
        return "a map or another library's method: no coefficients to judge by"
    if method.order is None:
        return "approximates no flow: what it gains a step is no time of the flow"
    if method.order < least_order:
        return f"of order {method.order}"
    if method.decouples:
        return ""
    if not isinstance(spectrum, BlockJacobian):
        return "needs a BlockJacobian: eigenvalues do not determine it"
    missing = [p for p in method.named_parts if p not in spectrum.parts]
    return f"needs the Jacobian of the part {missing[0]!r}" if missing else ""


def _judged(
    method: Method,
    label: str,
    spectrum: Spectrum,
    modes: NDArray[np.complex128],
    neutral: bool,
    per_solve: float | None,
    cost: str,
    product_cost: float,
) -> Ranked | None:
    """The row of a method; None where its work is unknown and its step is bounded."""
    binding = None
    if not method.decouples:
        limit = stable_steps(method, spectrum).limit
    elif neutral and abs(symbol(method).factor(0.0)) > 1 + UNIT:  # not zero-stable
        limit = 0.0
    else:
        limit, binding = first_limit(method, modes)
    solves, evaluations = method.solves, float(method.evaluations)
    if solves and per_solve is None and math.isfinite(limit):
        return None
    products = solves * (per_solve or math.nan) if solves else 0.0
    advance = limit * float(method.time_scale)
    row = Ranked(
        label,
        method.order,
        limit,
        advance,
        evaluations,
        products,
        None if solves else method.registers,
        math.inf,
        binding,
        not method.explicit,
    )
    step = _step_cost(row, cost, product_cost)
    return Ranked(**{**vars(row), "rate": advance / step if math.isfinite(limit) else math.inf})


def _step_cost(row: Ranked, cost: str, product_cost: float) -> float:
    products = 0.0 if math.isnan(row.products) else row.products
    return row.evaluations + products * (product_cost if cost == "time" else 1.0)


def _per_call(row: Ranked) -> float:
    return row.advance / (row.evaluations + row.products)


def _key(row: Ranked, cost: str) -> tuple[Any, ...]:
    """Without a stable step last; then memory if that is the cost; then the rate; ties by order and name.

    Rates that agree to ten digits are ties: limits are computed to rounding.
    """
    registers = math.inf if row.registers is None else row.registers
    return (
        not row.limit,
        registers if cost == "memory" else 0,
        -float(f"{row.rate:.10g}"),
        -(row.order or 0),
        row.name,
    )


def _cells(r: Ranked) -> tuple[str, ...]:
    numbers = [f"{x:.6g}" for x in (r.limit, r.advance)]
    counts = [f"{r.evaluations:g}", "-" if math.isnan(r.products) else f"{r.products:g}"]
    registers = "-" if r.registers is None else str(r.registers)
    binding = "-" if r.binding is None else f"{r.binding:.4g}"
    flags = (f"{r.rate:.6g}", binding, "yes" if r.implicit else "no")
    return (r.name, str(r.order), *numbers, *counts, registers, *flags)
