"""What a tableau says of itself, checked against what its coefficients imply: findings, not opinions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.tables import aligned
from gamedyn.methods import LowStorage, RungeKutta, members
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.methods._trees import rooted_trees, tree_residual
from gamedyn.stability.properties.tableaus import Tableau, read_tableau
from gamedyn.stability.steps.limits import imaginary_limit, real_limit
from gamedyn.stability.symbols import stability_function
from gamedyn.stability.symbols.polynomial import written

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "Report", "prove"]

CLEAR, LARGE = 10**5, Fraction(1, 1000)
"""A residual so many times the tolerance, or so large, is a failure; between that and it nothing is decided."""

HIGHEST = 8
"""Order up to which residuals are reported where none is declared: 200 conditions."""


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        check: what was checked.
        holds: yes, no, or None: undecided, or nothing declared to hold it to.
        expected: what was declared, or must be.
        got: what was found.
        residual: how far off, where that is a number.
        tolerance: what counts as zero.
    """

    check: str
    holds: bool | None
    expected: str
    got: str
    residual: float | None = None
    tolerance: float | None = None

    @property
    def mark(self) -> str:
        """Whether it holds: ok, FAULT, ? where something declared could not be decided, - where nothing is declared."""
        if self.holds is None:
            return "-" if self.expected in ("", "not said") else "?"
        return "ok" if self.holds else "FAULT"


class Report:
    """The findings on one method; prints as a table, faults first.

    Attributes:
        subject: what was checked.
        findings: all of them, in the order of the checks.
    """

    def __init__(self, subject: str, findings: list[Finding]) -> None:
        self.subject, self.findings = subject, tuple(findings)

    def __repr__(self) -> str:
        return f"Report({self.subject}: {len(self.findings)} checks, {len(self.faults)} faults)"

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(f for f in self.findings if f.holds is False)

    @property
    def undecided(self) -> tuple[Finding, ...]:
        """The checks that could not be decided."""
        return tuple(f for f in self.findings if f.holds is None)

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return not self.faults

    def __str__(self) -> str:
        ordered = sorted(self.findings, key=lambda f: f.holds is not False)
        rows: list[tuple[str, ...]] = [("", "check", "expected", "found", "residual", "tolerance")]
        for f in ordered:
            sizes = ["" if x is None else f"{x:.2e}" for x in (f.residual, f.tolerance)]
            rows.append((f.mark, f.check, f.expected, f.got, *sizes))
        verdict = "no fault" if self.sound else f"{len(self.faults)} fault{'s' * (len(self.faults) > 1)}"
        return f"{self.subject}: {verdict} in {len(self.findings)} checks\n{aligned(rows)}"

    def records(self) -> dict[str, Any]:
        """The report for JSON."""
        return {"subject": self.subject, "sound": self.sound, "findings": [asdict(f) for f in self.findings]}

    def json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.records(), indent=1)


def prove(tableau: Any, *, tolerance: float | None = None) -> Report:
    """Check a tableau by its coefficients alone: nodes, weights, order, embedded order, FSAL, R(z), resemblance.

    A condition holds where its residual is at most the tolerance, fails where it is clearly above, and is
    undecided in between: coefficients of few digits nearly satisfy conditions, and are not given the benefit.

    Args:
        tableau: a Tableau, or anything that `read_tableau` takes.
        tolerance: size below which a residual counts as zero; None: 0 for exact coefficients, else what their
            digits allow (1e-13 for floats).

    Raises:
        ArgumentError: for a negative tolerance.

    Source: Hairer, Norsett, Wanner I, II.1, eq. (1.9) (nodes); II.2, theorem 2.13 (order).

    Example:
        >>> from gamedyn.stability.properties.tableaus import read_tableau
        >>> wrong = {"A": [[], [1]], "b": ["1/2", "1/2"], "c": [0, "1/2"], "order": 2}
        >>> [f.check for f in prove(read_tableau(wrong)).faults]
        ['nodes', 'order of the quadrature']
    """
    if not isinstance(tableau, Tableau):
        tableau = read_tableau(tableau)
    if tolerance is not None and not tolerance >= 0:
        raise ArgumentError("tolerance", "a number of at least 0", tolerance)
    allowed = tolerance_of(tableau.digits) if tolerance is None else Fraction(tolerance)
    findings = [_nodes(tableau, allowed), _weights(tableau, allowed)]
    findings += _orders(tableau, tableau.b, tableau.order, "order", allowed)
    findings.append(_quadrature(tableau, allowed))
    if tableau.b_hat is not None:
        findings += _orders(tableau, tableau.b_hat, tableau.embedded_order, "embedded order", allowed)
        apart = max(abs(x - y) for x, y in zip(tableau.b, tableau.b_hat, strict=True))
        findings.append(
            Finding("error weights", apart > allowed, "b - b_hat, not all zero", f"largest {float(apart):.3g}")
        )
    findings += [_fsal(tableau, allowed), *_stability(tableau), *_resemblances(tableau)]
    return Report(tableau.name, findings)


def _decided(residual: Fraction, allowed: Fraction) -> bool | None:
    if residual <= allowed:
        return True
    return False if residual > max(10 * allowed, min(CLEAR * allowed, LARGE)) else None


def _nodes(t: Tableau, allowed: Fraction) -> Finding:
    sums = [sum(r, Fraction(0)) / t.time_scale for r in t.A]
    gaps = [abs(c - x) for c, x in zip(t.c, sums, strict=True)]
    worst = max(range(t.stages), key=gaps.__getitem__)
    got = "as expected" if gaps[worst] <= allowed else f"c_{worst + 1} = {_n(t.c[worst])}, row sum {_n(sums[worst])}"
    return Finding(
        "nodes", _decided(gaps[worst], allowed), "c = A 1 (row sums)", got, float(gaps[worst]), float(allowed)
    )


def _n(x: Fraction) -> str:
    return str(x) if x.denominator < 10**4 else f"{float(x):.10g}"


def _weights(t: Tableau, allowed: Fraction) -> Finding:
    total = sum(t.b, Fraction(0))
    gap = abs(total - t.time_scale)
    expected = f"sum b = {_n(t.time_scale)}"
    return Finding("weights", _decided(gap, allowed), expected, f"sum b = {_n(total)}", float(gap), float(allowed))


def _residual(t: Tableau, weights: tuple[Fraction, ...], order: int) -> Fraction:
    """Largest residual of the conditions of one order; nodes are row sums."""
    s = t.time_scale
    A, b = tuple(tuple(a / s for a in r) for r in t.A), tuple(w / s for w in weights)
    return max(abs(tree_residual(x, [A], [b])) for x in rooted_trees(order))


def _orders(
    t: Tableau, weights: tuple[Fraction, ...], declared: int | None, check: str, allowed: Fraction
) -> list[Finding]:
    """The order, by residuals that are shown; where it is decided by them."""
    up_to = HIGHEST if declared is None else declared + 1
    sizes: list[Fraction] = []
    while len(sizes) < up_to and not (sizes and _decided(sizes[-1], allowed) is False):
        sizes.append(_residual(t, weights, len(sizes) + 1))
    kinds = [_decided(x, allowed) for x in sizes]
    proved = next((i for i, k in enumerate(kinds) if k is not True), len(kinds))
    shown = sizes[min(proved, len(sizes) - 1)]
    doubt = f"at least {proved}, order {proved + 1} undecided" if None in kinds[: proved + 1] else str(proved)
    if proved == len(kinds) and declared is None:
        doubt = f"at least {proved}"
    found = f"{doubt} (residual {float(shown):.2e} at order {min(proved + 1, len(sizes))})"
    expected = "not said" if declared is None else str(declared)
    if declared is None:
        holds = None
    elif proved == declared:
        holds = None if kinds[proved : proved + 1] == [None] else True
    else:
        holds = None if proved < declared and kinds[proved] is None else False
    largest = max(sizes[: proved or 1])
    return [Finding(check, holds, expected, found, float(largest), float(allowed))]


def _quadrature(t: Tableau, allowed: Fraction) -> Finding:
    """`sum_i b_i c_i^(q-1) = 1/q` with the nodes as given: what a field of time alone sees."""
    q, residual = 0, Fraction(0)
    b = [w / t.time_scale for w in t.b]
    for k in range(1, HIGHEST + 3):
        gap = abs(sum((w * c ** (k - 1) for w, c in zip(b, t.c, strict=True)), Fraction(0)) - Fraction(1, k))
        if gap > allowed and _decided(gap, allowed) is not None:
            residual = gap
            break
        q = k
    holds = None if t.order is None else q >= t.order
    expected = "not said" if t.order is None else f"at least {t.order}"
    return Finding("order of the quadrature", holds, expected, str(q), float(residual), float(allowed))


def _fsal(t: Tableau, allowed: Fraction) -> Finding:
    gap = max(abs(a - w) for a, w in zip(t.A[-1], t.b, strict=True))
    is_one = gap <= allowed and t.stages > 1
    expected = {True: "last row of A = b", False: "not FSAL", None: "not said"}[t.fsal]
    got = "last row of A = b" if is_one else "not FSAL"
    holds = None if t.fsal is None else is_one or not t.fsal
    size = None if holds is None else float(gap)
    return Finding("first same as last", holds, expected, got, size, None if holds is None else float(allowed))


def _stability(t: Tableau) -> list[Finding]:
    method = t.method()
    R = stability_function(method)
    linear = R.linear_order()
    text = written(R.numerator) if R.is_polynomial and all(c.denominator < 10**6 for c in R.numerator) else repr(R)
    short = text if len(text) <= 60 else f"degrees {len(R.numerator) - 1} / {len(R.denominator) - 1}"
    holds = None if t.order is None else linear >= t.order
    expected = "not said" if t.order is None else f"exp(z) to order {t.order}"
    limits = f"{real_limit(method):.10g} and {imaginary_limit(method):.10g}"
    return [
        Finding("R(z)", holds, expected, f"{short}, exp(z) to order {linear}"),
        Finding("real and imaginary limit", None, "", limits),
    ]


def _resemblances(t: Tableau) -> list[Finding]:
    """Members with the same stages: which of their weights these are."""
    out = []
    for name, m in members().items():
        if not isinstance(m, RungeKutta) or isinstance(m, LowStorage) or m.b_hat is None or m.stages != t.stages:
            continue
        if _apart(sum(m.A, ()), sum(t.A, ())) > 1e-9:
            continue
        if _apart(m.b, t.b) <= 1e-9:
            out.append(Finding("known method", True, "", f"the weights of {name}"))
        elif _apart(m.b_hat, t.b) <= 1e-9:
            exchanged = t.b_hat is not None and _apart(m.b, t.b_hat) <= 1e-9
            claimed = exchanged or t.order == m.order or t.name in (name, *m.aliases)
            expected = f"the weights of {name}" if claimed else ""
            out.append(Finding("known method", False if claimed else None, expected, f"the embedded weights of {name}"))
    return out[:1]


def _apart(x: tuple[Fraction, ...], y: tuple[Fraction, ...]) -> float:
    return max(abs(float(a - b)) for a, b in zip(x, y, strict=True))
