"""Does a limit from a part of the spectrum hold? The dominant multiplier of one real step says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn import stability
from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import get
from gamedyn.spectrum.tangent import StepTangent
from gamedyn.stability import Eigenvalues, needs_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.methods import Method

__all__ = ["Confirmation", "confirm"]

ROUNDING = 1e-11
"""Of a multiplier near 1, about."""


@dataclass(frozen=True)
class Confirmation:
    """What one real step says of a predicted limit.

    Attributes:
        status: "confirmed", at `h` no mode grows more than the known ones do; "refuted", one does: the limit is an
            upper bound, and no more; "undecided", the dominant multiplier did not converge.
        h: the step tried, a margin beyond the limit.
        limit: the predicted one.
        predicted: largest growth of a known mode at h.
        radius: the spectral radius of the step's tangent at h, memory included; nan where it did not converge.
        multiplier: the dominant multiplier itself.
        residual: its residual.
        products: with the tangent.
    """

    status: str
    h: float
    limit: float
    predicted: float
    radius: float
    multiplier: complex
    residual: float
    products: int


def confirm(
    flow: Flow,
    method: str | Method,
    state: State | Tensor | Run,
    eigenvalues: Eigenvalues | ArrayLike,
    batch: Any = None,
    *,
    margin: float = 0.05,
    tol: float = 0.02,
    max_products: int = 500,
    **options: Any,
) -> Confirmation:
    """Go a little beyond the largest stable step of a partial spectrum, and see which mode the step amplifies most.

    Beyond the limit the binding mode grows, and stands out from all that the step damps: largest-modulus Arnoldi on
    the tangent of the real step finds it in tens of products. If its growth is the predicted one, no unknown
    eigenvalue is amplified more; if it is larger, an unknown eigenvalue binds. Modes that the flow itself amplifies
    grow too, and are predicted as well.

    Args:
        flow: the flow.
        method: one whose limits eigenvalues determine.
        state: the point, or a Run, whose memory is then used.
        eigenvalues: the known ones, of the Jacobian on the same batch.
        batch: what the losses take, or None.
        margin: how far beyond the limit, relative to it.
        tol: by how much the growths beyond 1 may differ, relative.
        max_products: bound on products with the tangent (each costs as many J v as the method has stages).
        **options: of the method's stepper.

    Raises:
        ArgumentError: for a method that needs blocks, or whose limit on this spectrum is zero or infinite.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.quadratic([[1.0, 0.0], [0.0, 10.0]])
        >>> confirm(flows.gradient(game), "euler", game.equilibrium_state(), [-1.0]).status  # -10 is not known
        'refuted'
    """
    chosen = get(method)
    if needs_blocks(chosen):
        remedy = "its limits need all blocks; measure with step_radius on both sides of a step"
        raise ArgumentError("method", "one whose limits eigenvalues determine", chosen.name, remedy)
    values = eigenvalues.values if isinstance(eigenvalues, Eigenvalues) else np.asarray(eigenvalues, dtype=complex)
    steps = stability.stable_steps(chosen, Eigenvalues(values, complete=False))
    intervals = steps.intervals if steps.first is not None else steps.damped_intervals
    limit = intervals[0][1] if intervals and intervals[0][0] == 0 else 0.0
    if not 0 < limit < float("inf"):
        remedy = "there is nothing to confirm: no step, or every step, is stable for the modes that the flow damps"
        raise ArgumentError("eigenvalues", "a spectrum on which the method has a positive, finite limit", limit, remedy)
    h = (1 + positive("margin", margin)) * limit
    predicted = max(1.0, float(np.max(stability.amplification(chosen, h * values))))
    tangent = StepTangent(flow, chosen, state, h, batch, **options)
    excess = positive("tol", tol) * (predicted - 1) + ROUNDING  # growth near 1 is small where rotation binds
    found, residuals = tangent.multipliers(1, tol=excess / 10, max_products=max_products)
    radius = float(np.abs(found[0])) if len(found) else float("nan")
    status = "undecided" if not len(found) else "confirmed" if radius <= predicted + excess else "refuted"
    return Confirmation(
        status=status,
        h=h,
        limit=limit,
        predicted=predicted,
        radius=radius,
        multiplier=complex(found[0]) if len(found) else complex("nan"),
        residual=float(residuals[0]) if len(found) else float("nan"),
        products=tangent.field.work.products,
    )
