"""The steps at which a single mode decays: intervals along a ray, from its boundary crossings.

Along `z = r u` a multiplier crosses the circle of radius 1 (or 1 + tolerance) only at the roots of one exact polynomial
(`gamedyn.stability.symbols.boundary`), which are isolated without rounding. Between two of them one point decides, by
exact arithmetic where doubles do not. So no interval is missed, and none is invented.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from gamedyn.methods import Method

__all__ = ["Interval", "first_end", "ray_intervals"]

Interval = tuple[float, float]


def ray_intervals(method: str | Method, direction: complex, tolerance: float = 0.0) -> list[Interval]:
    """Sorted, disjoint intervals of r in which the mode `z = r direction` does not grow.

    A point at which the boundary is touched from inside does not split an interval.

    Args:
        method: a method whose modes decouple: no blocks needed.
        direction: of modulus 1.
        tolerance: growth up to `1 + tolerance` a step counts as none.

    Raises:
        ArgumentError: for a partitioned method, or another whose modes do not decouple.

    Example:
        >>> ray_intervals("euler", -1.0)
        [(0.0, 2.0)]
    """
    chosen, level = symbol(method), 1 + tolerance
    ends = [0.0, *chosen.crossings(complex(direction), level), float("inf")]
    out: list[Interval] = []
    for low, high in pairwise(ends):
        inside = 0.5 * (low + high) if high < float("inf") else 2 * low + 1
        if chosen.sign(inside, complex(direction), level) > 0:
            continue
        if out and out[-1][1] == low:
            out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return out


def first_end(method: str | Method, direction: complex) -> float:
    """End of the interval that begins at 0; 0 where none does.

    Example:
        >>> first_end("euler", -1.0), first_end("euler", 1j)
        (2.0, 0.0)
    """
    found = ray_intervals(method, direction)
    return found[0][1] if found and found[0][0] == 0 else 0.0
