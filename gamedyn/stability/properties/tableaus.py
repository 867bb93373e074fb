"""Tableaus of any origin as exact data, with what they say of themselves: to be checked, not believed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import RungeKutta
from gamedyn.methods._coefficients import fewest_digits, float_digits, row, table

__all__ = ["Tableau", "read_tableau"]

Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Tableau:
    """A Runge-Kutta tableau as its author gives it, nodes and declared facts included.

    Attributes:
        A: stage coefficients, (s, s).
        b: weights, (s,).
        c: nodes, (s,), as given: they need not be the row sums.
        b_hat: weights of the embedded method, or None.
        order: order that is declared, or None.
        embedded_order: that of the embedded method.
        fsal: whether it is declared that the last stage is the next step's first; None: not said.
        digits: decimals that the coefficients are trusted to; None: exact.
        time_scale: the clock, what the weights add up to.
        name: what it is called.
    """

    A: tuple[Vector, ...]
    b: Vector
    c: Vector
    b_hat: Vector | None = None
    order: int | None = None
    embedded_order: int | None = None
    fsal: bool | None = None
    digits: int | None = None
    time_scale: Fraction = Fraction(1)
    name: str = "tableau"

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.b)

    def method(self, name: str = "") -> RungeKutta:
        """The method of these coefficients, its nodes made the row sums."""
        return RungeKutta(self.A, self.b, self.b_hat, time_scale=self.time_scale, digits=self.digits, name=name)


def read_tableau(subject: Any, *, order: int | None = None, embedded_order: int | None = None) -> Tableau:
    """The tableau that an object holds.

    Args:
        subject: a Runge-Kutta method of ours; a mapping with A and b, and c, b_hat, order, embedded_order, fsal where
            there are any; or a tableau or solver of torchdiffeq (`alpha, beta, c_sol, c_error`), SciPy (`A, B, C, E`
            of a RungeKutta class; Radau), diffrax (`a_lower, a_diagonal, b_sol, b_error, c`) or nodepy (`A, b, c`, and
            `bhat`). No such package is imported: an object is known by what it holds.
        order: order to hold it to, where it does not say.
        embedded_order: that of its embedded method.

    Raises:
        ArgumentError: for an object without a tableau, or one whose shapes do not match.

    Example:
        >>> kutta = read_tableau({"A": [[], ["1/2"], [-1, 2]], "b": ["1/6", "2/3", "1/6"], "c": [0, 0.5, 1]})
        >>> kutta.c, kutta.digits
        ((Fraction(0, 1), Fraction(1, 2), Fraction(1, 1)), 15)
    """
    holder = getattr(subject, "tableau", subject)
    for known, reader in READERS:
        if known(holder):
            found: Tableau = reader(holder)
            break
    else:
        remedy = "give a mapping with A and b (and c, b_hat, order, fsal), or an object with a Butcher tableau"
        raise ArgumentError("subject", "a Runge-Kutta tableau", repr(subject)[:80], remedy)
    own = getattr(subject, "name", "") or getattr(subject, "__name__", "") or type(subject).__name__
    embedded = _whole(getattr(subject, "error_estimator_order", None))
    return replace(
        found,
        order=order or _said_order(subject) or found.order,
        embedded_order=embedded_order or embedded or found.embedded_order,
        name=str(own) if found.name == "tableau" else found.name,
    )


def _said_order(subject: Any) -> int | None:
    """The attribute `order`, or what diffrax's solvers answer."""
    said = getattr(subject, "order", None)
    if callable(said) and not isinstance(subject, type) and type(subject).__module__.startswith("diffrax"):
        said = said(None)
    return _whole(said)


def _whole(x: Any) -> int | None:
    """An order that is said as a plain number; methods that compute theirs say none."""
    return int(x) if isinstance(x, (int, np.integer)) and not isinstance(x, bool) and x > 0 else None


def _floats(x: Any) -> list[Any]:
    """Entries of a tensor, an array or a list, which stay what they are where they are exact."""
    plain = x.tolist() if hasattr(x, "tolist") else list(x)
    return [_number(v) for v in plain]


def _number(v: Any) -> Any:
    """SymPy's rationals are exact; its other numbers, and NumPy's, are floats."""
    if hasattr(v, "is_Rational"):
        return Fraction(int(v.p), int(v.q)) if v.is_Rational else float(v)
    return float(v) if isinstance(v, np.floating) else v


def _made(A: Any, b: Any, c: Any, b_hat: Any = None, name: str = "tableau", **facts: Any) -> Tableau:
    weights, rows = _floats(b), [_floats(r) for r in A]
    s = len(weights)
    exact_rows = table("A", rows, s)
    if exact_rows and any(not np.isfinite(float(x)) for r in exact_rows for x in r):
        raise ArgumentError("A", "finite entries", "nan or inf")
    sums = tuple(sum(r, Fraction(0)) for r in exact_rows)
    nodes = sums if c is None else row("c", _floats(c))
    hat = None if b_hat is None else row("b_hat", _floats(b_hat))
    for label, entries in (("c", nodes), ("b_hat", hat)):
        if entries is not None and len(entries) != s:
            raise ArgumentError(label, f"{s} entries, as b has", f"{len(entries)}")
    optional = [_floats(x) for x in (c, b_hat) if x is not None]
    digits = float_digits(weights, *optional, *rows)
    return Tableau(exact_rows, row("b", weights), nodes, hat, digits=digits, name=name, **facts)


def _ours(m: RungeKutta) -> Tableau:
    said = m.declared.order if m.declared else None  # what is computed from the coefficients would agree with itself
    facts = {"order": said, "embedded_order": m.embedded_order, "fsal": m.fsal, "time_scale": m.time_scale}
    return Tableau(m.A, m.b, m.c, m.b_hat, digits=m.digits, name=m.name or "user-made", **facts)


def _mapping(m: Mapping[str, Any]) -> Tableau:
    allowed = {"A", "b", "c", "b_hat", "order", "embedded_order", "fsal", "name", "digits"}
    if not {"A", "b"} <= set(m) <= allowed:
        raise ArgumentError(
            "subject",
            f"the keys A and b; others may be {', '.join(sorted(allowed - {'A', 'b'}))}",
            ", ".join(sorted(map(str, m))) or "none",
        )
    for key in ("A", "b"):
        if not hasattr(m[key], "__len__") or isinstance(m[key], str) or not len(m[key]):
            raise ArgumentError(key, "coefficients of at least one stage", m[key])
    for key in ("order", "embedded_order", "digits"):
        if m.get(key) is not None and _whole(m[key]) is None:
            raise ArgumentError(key, "a positive whole number, or none", m[key])
    facts = {k: m[k] for k in ("order", "embedded_order", "fsal", "name") if k in m}
    made = _made(m["A"], m["b"], m.get("c"), m.get("b_hat"), **facts)
    return replace(made, digits=fewest_digits(m.get("digits"), made.digits))


def _torchdiffeq(t: Any) -> Tableau:
    """`alpha` and `beta` begin at the second stage; its solver takes the last stage for v at the step's end."""
    b, error = np.array(_floats(t.c_sol)), np.array(_floats(t.c_error))
    return _made([[], *t.beta], b, [0.0, *_floats(t.alpha)], b - error, fsal=True)


def _scipy(t: Any) -> Tableau:
    """The estimate of an explicit pair also has v at the end of the step: one stage more."""
    s = len(t.B)
    A, b, c = np.zeros((s, s)), np.array(t.B, dtype=float), np.array(t.C[:s], dtype=float)
    A[:, : t.A[:s, :s].shape[1]] = t.A[:s, :s]
    E = getattr(t, "E", None)
    if not isinstance(E, np.ndarray):  # DOP853 has two estimates and no embedded method
        return _made(A, b, c)
    A, b, c = np.pad(np.vstack([A, b]), ((0, 0), (0, 1))), np.append(b, 0.0), np.append(c, 1.0)
    return _made(A, b, c, b - E)


def _radau(t: Any) -> Tableau:
    """SciPy's Radau holds the factors of the inverse of A."""
    constants = vars(sys.modules[t.__module__])
    T, TI, real, pair = constants["T"], constants["TI"], constants["MU_REAL"], constants["MU_COMPLEX"]
    inverse = T @ np.array([[real, 0, 0], [0, pair.real, -pair.imag], [0, pair.imag, pair.real]]) @ TI
    A = np.linalg.inv(inverse)
    found = _made(A, A[-1], constants["C"])
    return replace(found, digits=12, order=5)  # the factors are given to 14 digits


def _diffrax(t: Any) -> Tableau:
    b, error = np.array(t.b_sol, dtype=float), np.array(t.b_error, dtype=float)
    A = np.zeros((len(b), len(b)))
    for i, lower in enumerate(t.a_lower):
        A[i + 1, : len(lower)] = np.asarray(lower)
    if t.a_diagonal is not None:
        A[np.arange(len(b)), np.arange(len(b))] = np.asarray(t.a_diagonal)
    return _made(A, b, np.append(float(t.c1), np.asarray(t.c)), b - error, fsal=bool(t.fsal))


def _nodepy(t: Any) -> Tableau:
    return _made(np.asarray(t.A), t.b, t.c, getattr(t, "bhat", None))


READERS: tuple[tuple[Any, Any], ...] = (
    (lambda t: isinstance(t, Tableau), lambda t: t),
    (lambda t: isinstance(t, RungeKutta), _ours),
    (lambda t: isinstance(t, Mapping), _mapping),
    (lambda t: all(hasattr(t, k) for k in ("alpha", "beta", "c_sol", "c_error")), _torchdiffeq),
    (lambda t: all(hasattr(t, k) for k in ("a_lower", "b_sol", "b_error", "c1")), _diffrax),
    (lambda t: all(isinstance(getattr(t, k, None), np.ndarray) for k in "ABC"), _scipy),
    (lambda t: getattr(t, "__module__", "").startswith("scipy.") and getattr(t, "__name__", "") == "Radau", _radau),
    (lambda t: all(hasattr(t, k) for k in ("A", "b", "c")), _nodepy),
)
