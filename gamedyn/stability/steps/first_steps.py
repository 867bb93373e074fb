"""The largest stable step on many eigenvalues, exactly but quickly: most modes are proved harmless together.

The first interval of stable steps ends where that of some mode ends first. A few outer modes give an upper bound h;
every other mode is shown, in arrays, to be stable on all of (0, h], or else its own interval is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn.stability.regions.rays import first_end
from gamedyn.stability.symbols import symbol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.methods import Method

    Complex = NDArray[np.complex128]

__all__ = ["extremes", "first_limit", "outermost"]

OUTER, AT_ONCE = 12, 16
"""Directions whose outermost modes are computed first; modes computed before the rest is looked at again."""


def first_limit(method: Method, modes: Complex) -> tuple[float, complex | None]:
    """End of the first interval of stable steps, and the mode that ends it: as `stable_steps` finds them.

    Args:
        method: a method whose modes decouple.
        modes: eigenvalues that are not 0, in the left half-plane, one of each conjugate pair.

    Returns:
        The limit (0 where no interval starts at 0, inf where none ends) and the mode, None for inf.

    Raises:
        ArgumentError: as `ray_intervals`.

    Example:
        >>> from gamedyn.methods import get
        >>> first_limit(get("euler"), np.array([-4 + 0j, -1 + 1j]))
        (0.5, (-4+0j))
    """
    if not len(modes):
        return float("inf"), None
    rays = outermost(modes)
    limit, binding = float("inf"), None
    waiting = extremes(rays)
    left = np.ones(len(rays), dtype=bool)
    while waiting.size and limit > 0:
        for i in waiting:
            end = _own_limit(method, complex(rays[i]))
            if end < limit:
                limit, binding = end, complex(rays[i])
        left[waiting] = False
        rest = np.flatnonzero(left)
        left[rest[_harmless(method, rays[rest], limit)]] = False
        rest = np.flatnonzero(left)
        waiting = rest[np.argsort(-np.abs(rays[rest]))[:AT_ONCE]]
    return limit, binding


def outermost(modes: Complex) -> Complex:
    """Of the modes in one direction, the one of largest modulus."""
    size = np.abs(modes)
    order = np.argsort(-size, kind="stable")
    _, first = np.unique(modes[order] / size[order], return_index=True)
    return np.asarray(modes[order][np.sort(first)])


def extremes(rays: Complex) -> NDArray[np.intp]:
    """The modes furthest out in a few directions, and the one closest to the imaginary axis."""
    turns = np.exp(1j * np.linspace(np.pi / 2, np.pi, OUTER))
    found = [int(np.argmax((rays * np.conj(turn)).real)) for turn in turns]
    return np.unique([*found, int(np.argmax(rays.real / np.abs(rays)))])


def _own_limit(method: Method, lam: complex) -> float:
    size = abs(lam)
    return first_end(method, complex(lam.real / size, lam.imag / size)) / size


def _harmless(method: Method, rays: Complex, limit: float) -> NDArray[np.bool_]:
    """For which modes no growth on (0, limit] is proved; False says nothing."""
    if not len(rays) or not limit:
        return np.ones(len(rays), dtype=bool)
    return symbol(method).decays(rays, 0.0, limit)
