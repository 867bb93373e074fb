"""Does a limit from a part of the spectrum hold? The dominant multiplier of one real step says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gamedyn import stability
from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.point import point
from gamedyn.spectrum.tangent import StepTangent
from gamedyn.stability import Eigenvalues
from gamedyn.stability.matrices.eigenvalues import eigenvalue_array
from gamedyn.stability.symbols.anchored import same_each_step

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.methods import Method
    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["Confirmation", "confirm"]

HALF = 0.5
"""Share of the limit at which it is looked first: an unknown mode far beyond its own limit grows fast there."""

STANDS_OUT = 1e-3
"""Growth a step that counts below the limit, and the residual asked for there: multipliers crowd around 1."""

EIGENVECTOR = 0.02
"""Residual, relative to the eigenvalue, up to which a mode of the step is one of J."""


@dataclass(frozen=True)
class Confirmation:
    """What one real step says of a predicted limit.

    Attributes:
        status: "confirmed", below the limit no mode grows (by more than 0.2 % a step), and beyond it none more than the
            known ones do; "refuted", one does, and it is one of J: the limit is an upper bound, and no more;
            "undecided", see the reason.
        reason: in words.
        h: the step that decided: a margin beyond the limit where it is confirmed.
        limit: the predicted one.
        predicted: largest growth of a known mode at h.
        radius: the spectral radius of the step's tangent at h, memory included; nan where it did not converge.
        multiplier: the dominant multiplier itself.
        residual: its residual.
        eigenvalue: of J, not known before, that the dominant mode belongs to, where it is an eigenvector of J to 2 %;
            else nan.
        speed: |v| at the state.
        products: with J.
    """

    status: str
    reason: str
    h: float
    limit: float
    predicted: float
    radius: float
    multiplier: complex
    residual: float
    eigenvalue: complex
    speed: float
    products: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON: complex numbers as pairs."""
        pairs = {k: [getattr(self, k).real, getattr(self, k).imag] for k in ("multiplier", "eigenvalue")}
        return {**asdict(self), **pairs}


def confirm(
    flow: Flow,
    method: str | Method,
    state: State | Tensor | Run,
    eigenvalues: Spectrum,
    batch: Any = None,
    *,
    margin: float = 0.05,
    tol: float = 0.02,
    max_products: int = 500,
    progress: bool = False,
    **options: Any,
) -> Confirmation:
    """Step a little below and a little beyond the largest stable step of a partial spectrum: which mode grows most?

    Below the limit (at 0.95 and at half of it) no known mode grows but those that the flow amplifies: one that does is
    of an unknown eigenvalue, and the limit is too large. Beyond it the binding mode grows, and stands out from all that
    the step damps: largest-modulus Arnoldi on the tangent of the real step finds it in tens of products. If its growth
    is the predicted one, no unknown eigenvalue is amplified more; if it is larger, an unknown eigenvalue binds. Beyond
    alone is not enough: there a stiff known mode grows faster than an unknown one that has long been unstable.

    At a point that is not stationary, the stages of a step see different Jacobians, and its tangent is no function of
    J alone. A growth that the eigenvalues do not predict refutes them only if its mode is an eigenvector of J.

    Args:
        flow: the flow.
        method: one whose limits eigenvalues determine.
        state: the point, or a Run, whose memory is then used.
        eigenvalues: the known ones, of the Jacobian on the same batch.
        batch: what the losses take, or None.
        margin: how far beyond the limit, relative to it.
        tol: by how much the growths beyond 1 may differ, relative.
        max_products: bound on products with the tangent (each costs as many J v as the method has stages).
        progress: whether to show a progress bar.
        **options: of the method's stepper.

    Raises:
        ArgumentError: for a method that needs blocks, or whose limit on this spectrum is zero or infinite.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.quadratic([[1.0, 0.0], [0.0, 10.0]])
        >>> confirm(flows.gradient(game), "euler", game.equilibrium_state(), [-1.0]).status  # -10 is not known
        'refuted'
    """
    chosen = same_each_step(method)
    if not chosen.decouples:
        remedy = "its limits need all blocks; measure with step_radius on both sides of a step"
        raise ArgumentError("method", "one whose limits eigenvalues determine", chosen.name, remedy)
    values = eigenvalue_array(eigenvalues)
    steps = stability.stable_steps(chosen, Eigenvalues(values, complete=False))
    intervals = steps.intervals if steps.first is not None else steps.damped_intervals
    limit = intervals[0][1] if intervals and intervals[0][0] == 0 else 0.0
    if not 0 < limit < float("inf"):
        remedy = "there is nothing to confirm: no step, or every step, is stable for the modes that the flow damps"
        raise ArgumentError("eigenvalues", "a spectrum on which the method has a positive, finite limit", limit, remedy)
    if positive("margin", margin) >= 1:
        raise ArgumentError("margin", "a share of the limit, below 1", margin)
    positive("tol", tol)
    rounding = max(1e-11, 100 * torch.finfo(flow.game.dtype).eps)
    products = 0
    for share in (HALF, 1 - margin, 1 + margin):
        h = share * limit
        predicted = max(1.0, float(np.max(stability.amplification(chosen, h * values))))
        tangent = StepTangent(flow, chosen, state, h, batch, **options)
        excess = tol * (predicted - 1) + rounding  # growth near 1 is small where rotation binds
        allowed = excess / 10 if share > 1 else max(excess / 10, STANDS_OUT)
        found, residuals, vectors = tangent.multiplier_pairs(1, allowed, max_products, progress=progress)
        radius, value = (float(np.abs(found[0])) if len(found) else float("nan")), complex("nan")
        with torch.no_grad():
            speed = float(tangent.field(tangent.t, point(flow, state).y).norm())
        products += tangent.field.work.products
        if radius > predicted + excess:
            value = _unknown(tangent, point(flow, state), vectors[0], values)
        if share < 1 and radius <= predicted + 2 * allowed:
            continue
        status, reason = _judged(radius, predicted, excess, value, speed, below=share < 1)
        break
    return Confirmation(
        status=status,
        reason=reason,
        h=h,
        limit=limit,
        predicted=predicted,
        radius=radius,
        multiplier=complex(found[0]) if len(found) else complex("nan"),
        residual=float(residuals[0]) if len(found) else float("nan"),
        eigenvalue=value,
        speed=speed,
        products=products,
    )


def _judged(
    radius: float, predicted: float, excess: float, value: complex, speed: float, *, below: bool
) -> tuple[str, str]:
    """The status and its reason."""
    if np.isnan(radius):
        where = "below the limit" if below else "beyond the limit"
        return "undecided", f"the dominant multiplier {where} did not converge within max_products"
    if abs(radius - predicted) <= excess:
        return "confirmed", "no mode of the step grows more than the known ones, below the limit and beyond it"
    if radius > predicted and not np.isnan(value):
        return "refuted", f"an eigenvalue that was not known, {value:.6g}, grows more"
    which = (
        "a mode that is of no unknown eigenvalue grows more"
        if radius > predicted
        else "the known modes grow less than predicted"
    )
    return "undecided", f"{which}: |v| = {speed:.3g}, and away from stationary points the step sees J change"


def _unknown(tangent: StepTangent, at: State, vector: NDArray[np.complex128], known: NDArray[np.complex128]) -> complex:
    """The eigenvalue of J, none of the known, that the state's part of a mode is an eigenvector of; or nan."""
    x, nothing = vector[: at.layout.n], complex("nan")
    length = np.linalg.norm(x)
    if length <= 1e-6 * np.linalg.norm(vector):
        return nothing
    field, x = tangent.field, x / length
    products = field.linearise(tangent.t, at.y)
    real, imaginary = (
        products.jvp(torch.as_tensor(part.copy()).to(at.y)).double().cpu().numpy() for part in (x.real, x.imag)
    )
    image = real + 1j * imaginary
    value = complex(np.vdot(x, image))
    near = EIGENVECTOR * abs(value)
    new = min(np.abs(known - value).min(), np.abs(known.conj() - value).min()) > near
    return value if new and np.linalg.norm(image - value * x) <= near else nothing
