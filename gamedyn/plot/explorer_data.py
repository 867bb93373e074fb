"""What the explorer's page knows of a method: the coefficients that |R(z)| or the dominant root is made of."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, RungeKutta
from gamedyn.stability import BlockJacobian, spectral_radius, stable_steps, symbol
from gamedyn.stability.regions.rays import first_end

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedyn.stability import StepSet

__all__ = ["FAMILIES", "block_data", "family", "method_data"]

FAMILIES = (
    "Explicit Runge-Kutta",
    "Low storage",
    "Explicit multistep",
    "Predictor-corrector",
    "Game methods",
    "Partitioned",
    "Additive",
    "Implicit Runge-Kutta",
    "Implicit multistep",
    "Linearly implicit",
    "Exponential",
    "Anchored",
    "Periodic",
    "Stochastic Runge-Kutta",
)
"""Headings of the page's list, in its order; those of other families follow."""

GAME_KINDS = ("explicit Runge-Kutta", "explicit multistep")
"""Kinds whose members of order 1 with several stages or steps are game methods."""

LONG = 15
"""Stages above which the page runs the stages: the powers of a polynomial of high degree cancel."""

CURVE = 160
"""Steps at which the growth of a method that needs blocks is sampled."""


def family(method: Method) -> str:
    """The heading under which the page lists a method; game methods are of order 1 with several stages or steps.

    Example:
        >>> from gamedyn.methods import get
        >>> [family(get(m)) for m in ("rk4", "extragradient", "bdf2")]
        ['Explicit Runge-Kutta', 'Game methods', 'Implicit multistep']
    """
    if method.kind == "lookahead":
        return "Game methods"
    if method.kind in GAME_KINDS and method.order == 1 and max(method.steps, getattr(method, "stages", 1)) > 1:
        return "Game methods"
    return method.kind[0].upper() + method.kind[1:]


def method_data(method: Method, name: str) -> dict[str, Any]:
    """A method as the page takes it: JSON of plain numbers, each coefficient rounded once.

    `kind` says how a step's factor is found: "rational" (`numerator`, `denominator`, constant term first), "stages"
    (`A` as rows of [column, entry], `b`: explicit methods of many stages), "recurrence" (`tops`, newest first, and
    `bottom`), "exponential", or "blocks" (no factor: modes do not decouple).

    Args:
        method: one of ours, or user-made.
        name: what the page calls it.

    Raises:
        ArgumentError: for a map or another library's method, whose coefficients gamedyn does not hold.

    Source: Hairer, Wanner, Solving ODEs II, IV.3 and V.1: the stability function and the root condition.

    Example:
        >>> from gamedyn.methods import get
        >>> data = method_data(get("ab2"), "ab2")
        >>> data["kind"], data["tops"], data["bottom"]
        ('recurrence', [[1.0, 1.5], [0.0, -0.5]], [1.0])
    """
    if not method.has_theory:
        remedy = "maps and other libraries' methods have no theory here"
        raise ArgumentError("methods", "methods whose coefficients gamedyn holds", name, remedy)
    orders = {method.order, method.order_separable}
    out: dict[str, Any] = {
        "name": name,
        "aliases": list(method.aliases),
        "family": family(method),
        "order": "/".join(str(p) for p in sorted(orders, reverse=True)),
        "work": None if method.work is None else float(method.work),
        "solves": not method.explicit,
    }
    return out | (_factor(method) if method.decouples else {"kind": "blocks"})


def _factor(method: Method) -> dict[str, Any]:
    factors = symbol(method)
    out, axis = factors.plain(), -1 if first_end(method, 1j) else 1
    if out["kind"] == "recurrence":
        return out | {"scanned": factors.linear is None, "axis": axis}
    if isinstance(method, RungeKutta) and method.explicit and method.needed > LONG:
        s = method.needed
        rows = [[[j, float(a)] for j, a in enumerate(r[:s]) if a] for r in method.A[:s]]
        return {"kind": "stages", "A": rows, "b": _floats(method.b[:s]), "axis": axis}
    return out


def _floats(coefficients: Iterable[Any]) -> list[float]:
    return [float(c) for c in coefficients]


def block_data(method: Method, blocks: BlockJacobian | None = None) -> dict[str, Any]:
    """What the page cannot compute of a method that needs blocks: its stable steps and the growth of one step.

    Args:
        method: a method that needs blocks.
        blocks: the Jacobian with its players; None: the bare rotation with eigenvalues +-i.

    Returns:
        `intervals` of h (None: no end), the growth `radius` at steps `h`.

    Raises:
        ArgumentError: if the blocks lack players or parts that the method needs.

    Source: spectral radius of the one-step matrix, `gamedyn.stability.step_matrix`.

    Example:
        >>> from gamedyn.methods import get
        >>> [[round(x, 9) for x in pair] for pair in block_data(get("alternating"))["intervals"]]
        [[0.0, 2.0]]
    """
    return _rotation(method) if blocks is None else _sampled(method, blocks)


@lru_cache(maxsize=256)
def _rotation(method: Method) -> dict[str, Any]:
    return _sampled(method, None)


def _sampled(method: Method, blocks: BlockJacobian | None) -> dict[str, Any]:
    game: Any = [1j, -1j] if blocks is None else blocks
    size = 1.0 if blocks is None else float(np.abs(np.linalg.eigvals(blocks.matrix)).max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps: StepSet = stable_steps(method, game)
    h = np.geomspace(1e-3, 40.0, CURVE) / (size or 1.0)
    near = [x * f for pair in steps.intervals for x in pair for f in (0.999, 1.0, 1.001) if 0 < x < np.inf]
    grid = np.unique(np.concatenate([h, near]))
    radius = [min(spectral_radius(method, game, float(x)), 1e6) for x in grid]
    return {
        "intervals": [[a, None if np.isinf(b) else b] for a, b in steps.intervals],
        "h": [float(f"{x:.9g}") for x in grid],
        "radius": [float(f"{x:.12g}") for x in radius],
    }
