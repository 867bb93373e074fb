"""Methods on the imaginary axis and at the boundary: damping, phase, the locus of the roots of modulus one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method
from gamedyn.plot.palette import COLOURS, LAMBDA, STYLES, several
from gamedyn.plot.regions import new_axes
from gamedyn.stability import mode_rates, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["boundary_locus", "damping_and_phase"]


def damping_and_phase(
    methods: Sequence[str | Method] | str | Method,
    *,
    to: float = 3.0,
    axes: Sequence[Axes] | None = None,
) -> tuple[Axes, Axes]:
    """What a step makes of a pure rotation `z = iy`: its growth `log |R(iy)|`, and its phase error `arg R(iy) / y - 1`.

    Above 0 on the left a rotation grows; above 0 on the right it runs ahead. Of multistep methods the principal root.

    Args:
        methods: methods whose modes decouple, or their names.
        to: largest y = h omega (times the method's clock).
        axes: two axes to draw on; None: a new figure.

    Returns:
        Both axes.

    Raises:
        ArgumentError: for a partitioned method.

    Example:
        >>> left, right = damping_and_phase(["rk4", "extragradient", "gauss4"])
        >>> plt.close(left.figure)
    """
    y = np.linspace(0, positive("to", to), 601)[1:]
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(7.0, 2.8), layout="constrained")
    left, right = axes
    for i, method in enumerate(several(methods)):
        clock = float(getattr(method, "time_scale", 1))
        rates = mode_rates(method, 1j * y / clock, 1.0) * clock
        style: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "lw": 1.4}
        left.plot(y, rates.real, label=method.name or "user-made", **style)
        right.plot(y, rates.imag / y - 1, **style)
    for ax, label in ((left, "log |R(iy)|  (above 0: grows)"), (right, "phase error  arg R(iy) / y - 1")):
        ax.axhline(0, color="0.7", lw=0.8, zorder=0)
        ax.set(xlim=(0, to), xlabel="y = h \N{GREEK SMALL LETTER OMEGA}", ylabel=label)
    left.set_ylim(max(left.get_ylim()[0], -1.5), min(left.get_ylim()[1], 1.0))
    right.set_ylim(max(right.get_ylim()[0], -1.0), min(right.get_ylim()[1], 1.0))
    left.legend(fontsize=7, framealpha=0.9)
    return left, right


def boundary_locus(methods: Sequence[str | Method] | str | Method, *, ax: Axes | None = None) -> Axes:
    """The boundary locus of multistep methods: where a characteristic root lies on the unit circle.

    `z = rho(e^{it}) / sigma(e^{it})`; the region of absolute stability is bounded by arcs of it, not by all of it.

    Args:
        methods: linear multistep methods, or their names.
        ax: where to draw; None: a new figure.

    Raises:
        ArgumentError: for methods of another family, or with a coupling.

    Source: Hairer, Wanner, Solving ODEs II, V.1, eq. (1.7).

    Example:
        >>> ax = boundary_locus(["ab2", "ab3"])
        >>> plt.close(ax.figure)
    """
    if ax is None:
        ax = new_axes()
    zeta = np.exp(1j * np.linspace(0, 2 * np.pi, 1441))
    size = 1.0
    for i, method in enumerate(several(methods)):
        curve = symbol(method).linear if method.has_theory and method.decouples else None
        if curve is None:
            remedy = "methods of other families have regions: plot.region"
            raise ArgumentError("methods", "linear multistep methods", method, remedy)
        alpha, beta = (np.array([float(x) for x in p[::-1]]) for p in curve)
        sigma = np.polyval(beta, zeta)
        z = np.where(np.abs(sigma) < 1e-9, np.nan, np.polyval(alpha, zeta) / np.where(sigma == 0, 1, sigma))
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        ax.plot(z.real, z.imag, color=colour, linestyle=style, lw=1.2, label=f"{method.name or 'user-made'}")
        size = max(size, float(np.nanpercentile(np.abs(z), 90)))
    size = min(size, 30.0)
    ax.axhline(0, color="0.8", lw=0.6, zorder=0)
    ax.axvline(0, color="0.8", lw=0.6, zorder=0)
    ax.set(xlabel=f"Re h{LAMBDA}", ylabel=f"Im h{LAMBDA}", aspect="equal", xlim=(-size, size), ylim=(-size, size))
    ax.legend(fontsize=7, framealpha=0.9)
    return ax
