"""Equilibria of small digits GANs, and stable steps measured there: no prediction enters."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

import gamedyn as gd
from analysis.common.digits import digits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOSSES", "finite", "linearisation", "measured_limit", "stationary", "tangent_radius"]

LOSSES = ("nonsaturating", "wasserstein")

FIRST = (0.05, 1e-3, 1e-5)
"""First steps of a measurement: a smaller one only where the larger is already beyond the limit."""

ROOT = 1e-4
"""Relative tolerance of the root finder."""


@lru_cache(maxsize=8)
def stationary(loss: str, q: int, decay: float) -> tuple[Any, Any]:
    """Flow and equilibrium.

    The decay is a named term and not a part of the losses, so that additive methods can treat it apart.
    """
    game = gd.games.affine_quadratic_gan(digits(), q, 0.0, loss)
    flow = gd.flows.gradient(game).with_term(gd.losses.weight_decay(decay, into="D"))
    return flow, game.equilibrium_state()


@lru_cache(maxsize=8)
def linearisation(loss: str, q: int, decay: float) -> Any:
    """The linearisation there, once per process."""
    return gd.spectrum.linearise(*stationary(loss, q, decay))


def tangent_radius(flow: Any, state: Any, method: Any) -> tuple[Callable[[float], float], dict[float, float]]:
    """The spectral radius of the tangent of the real step as a function of h, and what it has been asked."""
    radii: dict[float, float] = {}

    def radius(h: float) -> float:
        if h not in radii:
            M = gd.spectrum.StepTangent(flow, method, state, h).matrix().numpy()
            radii[h] = float(np.abs(np.linalg.eigvals(M)).max()) if np.isfinite(M).all() else float("inf")
        return radii[h]

    return radius, radii


def finite(x: float) -> float | None:
    """JSON's own word for what is not finite."""
    return float(x) if np.isfinite(x) else None


def measured_limit(radius: Callable[[float], float], top: float = 1e3) -> float:
    """Where the radius passes 1: doubling from a small step, then a root finder; no prediction enters.

    Returns 0 where the smallest first step is already beyond, inf where nothing is up to `top`.
    """

    def beyond(h: float) -> float:
        return float(np.log(radius(h)))

    low = next((h for h in FIRST if beyond(h) <= 0), 0.0)
    if not low:
        return 0.0
    high = 2 * low
    while beyond(high) <= 0:
        low, high = high, 2 * high
        if high > top:
            return float("inf")
    return float(brentq(beyond, low, high, xtol=ROOT * high, rtol=ROOT))
