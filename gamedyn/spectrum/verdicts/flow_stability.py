"""Is the linearised flow stable? Eigenvalues with their errors, the numerical abscissa, and what they settle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
import torch

from gamedyn.krylov import eigenpairs
from gamedyn.spectrum.verdicts.answers import Answer
from gamedyn.spectrum.verdicts.extent import Extent, extent
from gamedyn.stability import Eigenvalues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gamedyn.krylov import LinearOperator, RitzPairs

__all__ = ["FlowStability", "flow_stability"]

BISECTED = 300
"""Parameters up to which the distance to the imaginary axis is found: each try costs eigenvalues of twice the size."""


TOUCHING = 1e-7
"""Share of |J| by which rounding parts two eigenvalues that meet on the axis: sqrt(eps), and some."""


@dataclass(frozen=True)
class FlowStability:
    """What is known of `dy' = J dy`.

    Attributes:
        answer: whether every eigenvalue has a negative real part.
        eigenvalues: all, or the rightmost, with true residuals.
        abscissa: bounds of the largest real part; the upper one is infinite where an eigenvalue may be missing.
        numerical_abscissa: bounds of the largest eigenvalue of `(J + J^T) / 2`: no perturbation grows faster.
        axis_distance: least |E| such that J + E has an eigenvalue on the imaginary axis: (lower, upper) bound.
        conditions: by eigenvalue, 1 / |y^H x| of its unit left and right vectors: what changes of J are multiplied
            with; nan where the left vector was not found.
        null: eigenvalues that are zero to rounding; None where not all are known.
    """

    answer: Answer
    eigenvalues: Eigenvalues
    abscissa: tuple[float, float]
    numerical_abscissa: tuple[float, float]
    axis_distance: tuple[float, float]
    conditions: NDArray[np.float64]
    null: int | None


def flow_stability(
    J: LinearOperator, *, formed: bool, k: int, tol: float, basis: int, risk: float, error: float = 0.0
) -> FlowStability:
    """Stability of the linearisation: to rounding and to `error` in J when formed, else as far as it can be known."""
    skirt = extent(J.symmetric, formed=formed, basis=basis, risk=risk, error=error)
    return _formed(J, skirt, error) if formed else _searched(J, skirt, k, tol, basis)


def _formed(J: LinearOperator, skirt: Extent, off: float) -> FlowStability:
    A = J.to_dense().double().cpu().numpy()
    n, eps = len(A), torch.finfo(J.dtype).eps
    values, left, right = scipy.linalg.eig(A, left=True, right=True)
    residuals = np.linalg.norm(A @ right - right * values, axis=0)
    with np.errstate(divide="ignore"):
        conditions = 1 / np.abs(np.sum(left.conj() * right, axis=0))
    size = float(np.linalg.norm(A, 2)) if n else 0.0
    error = n * eps * size + off
    order = np.lexsort((-values.imag, -values.real))
    values, conditions, residuals = values[order], conditions[order], residuals[order]
    margins = _margins(values, conditions, error, size)
    low, high = float((values.real - margins).max()), float((values.real + margins).max())
    null = int((np.abs(values) <= np.minimum(margins, 4 * math.sqrt(error * size))).sum())
    reached, distance = _axis_distance(A, values, error)
    if high < 0 or (values.real.max() < 0 and distance > error):
        answer, why = "yes", f"the rightmost of all {n} eigenvalues is {_text(values[0])}"
        high = min(high, 0.0)
    elif low > 0 or (values.real.max() > 0 and distance > error):
        count = int((values.real > (0.0 if distance > error else margins)).sum())
        low = max(low, 0.0)
        answer, why = "no", f"{count} of {n} eigenvalues have positive real parts, the rightmost is {_text(values[0])}"
    else:
        on_axis = int(((np.abs(values.real) <= margins) & (np.abs(values) > margins)).sum())
        kinds = [f"{null} zero" * bool(null), f"{on_axis} imaginary" * bool(on_axis)]
        answer, why = "undecided", f"of {n} eigenvalues, to rounding, {' and '.join(x for x in kinds if x) or 'some'}"
        why += ": the linearisation does not decide" if null or on_axis else " cannot be distinguished from 0"
    verdict = Answer(answer, why, {"abscissa": (low, high)})
    spectrum = Eigenvalues(values, True, residuals)
    axis = (max(0.0, distance - error), reached)
    return FlowStability(verdict, spectrum, (low, high), skirt.largest, axis, conditions, null)


def _margins(
    values: NDArray[np.complex128], conditions: NDArray[np.float64], error: float, size: float
) -> NDArray[np.float64]:
    """By how much the eigenvalues may be wrong: to first order, or by Elsner's bound where that is less.

    Of an m-fold eigenvalue that rounding has split, the first-order bound is an m-th: neighbours within it tell.
    Elsner 1985, Linear Algebra Appl. 71, p. 77, for any eigenvalue: `(2 |A|)^(1 - 1/n) error^(1/n)`.
    """
    n, first = len(values), conditions * error
    gaps = np.abs(values[:, None] - values)
    np.fill_diagonal(gaps, np.inf)
    first = np.where(4 * first < gaps.min(axis=1, initial=np.inf), first, n * first)
    margins: NDArray[np.float64] = np.minimum(first, (2 * size) ** (1 - 1 / n) * error ** (1 / n))
    return margins


def _axis_distance(A: NDArray[np.float64], values: NDArray[np.complex128], error: float) -> tuple[float, float]:
    """(upper, lower) bound of min over w of the least singular value of A - i w."""
    n = len(A)
    upper = float(np.abs(values.real).min(initial=np.inf))  # |Re| x x^H moves an eigenvalue onto the axis
    if n > BISECTED:
        return upper, 0.0
    nearest = sorted(np.unique(np.abs(values.imag)), key=lambda w: min(abs(values - 1j * w)))[:8]
    low, high = 0.0, min(upper, _least_singular(A, [0.0, *nearest]))
    while high - low > 1e-3 * high + error:  # Byers' bisection: SIAM J. Sci. Stat. Comput. 9 (1988), p. 875
        middle = (low + high) / 2
        crossings = _crossings(A, middle)
        reached = _least_singular(A, crossings) if len(crossings) else math.inf
        if not len(crossings):
            low = middle
        elif reached < high:
            high = reached
        else:  # near the axis to rounding, but none that an upper bound shows: no more is known
            break
    return high, low


def _crossings(A: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """The w >= 0 where A - i w may have the singular value sigma: where the Hamiltonian matrix meets the axis."""
    eye = sigma * np.eye(len(A))
    values = np.linalg.eigvals(np.block([[A, -eye], [eye, -A.T]]))
    near = np.abs(values.real) <= TOUCHING * np.abs(values).max()
    crossings: NDArray[np.float64] = values.imag[near & (values.imag >= 0)]
    return crossings


def _least_singular(A: NDArray[np.float64], at: Iterable[float]) -> float:
    """Of A - i w for all those w."""
    eye = np.eye(len(A))
    return min(float(np.linalg.svd(A - 1j * w * eye, compute_uv=False)[-1]) for w in at)


def _searched(J: LinearOperator, skirt: Extent, k: int, tol: float, basis: int) -> FlowStability:
    n = J.shape[0]
    options: dict[str, Any] = {"tol": tol, "basis": max(basis, 2 * k + 4)}
    found = J.eigenpairs(min(k, n), "rightmost", **options)
    conditions = _conditions(J, found, k, options)
    rounding = math.sqrt(n) * torch.finfo(J.dtype).eps * found.norm
    margins = np.where(np.isnan(conditions), np.inf, conditions) * (found.residuals + rounding)
    lower = float(np.max(found.values.real - margins, initial=-np.inf))
    high = skirt.largest[1]
    if len(found.values) == n and found.converged.all():  # none is missing
        high = min(high, float((found.values.real + margins).max()))
    growing = int((found.values.real - margins > 0).sum())
    seen = found.values[found.converged]
    first = f"the rightmost found is {_text(seen[0])}" if len(seen) else f"none converged ({found.status})"
    if growing:
        answer, why = "no", f"{growing} of the {len(found.values)} eigenvalues found have positive real parts, {first}"
    elif high < 0:
        answer, why = "yes", f"no real part exceeds {high:.3g}, by the symmetric part or by all {n} eigenvalues"
    else:
        hidden = f"the numerical abscissa, up to {high:.3g}, excludes none further right"
        answer, why = "undecided", f"{first}; {len(seen)} of {n} eigenvalues are known, and {hidden}"
    verdict = Answer(answer, why, {"abscissa": (lower, high)}, skirt.risk)
    spectrum = Eigenvalues(found.values, False, found.residuals)
    reach = float(np.min(np.abs(found.values.real[found.converged]), initial=np.inf))
    return FlowStability(verdict, spectrum, (lower, high), skirt.largest, (0.0, reach), conditions, None)


def _conditions(J: LinearOperator, found: RitzPairs, k: int, options: dict[str, Any]) -> NDArray[np.float64]:
    """1 / |y^H x| with left vectors from a search on the transpose; nan where none has the same eigenvalue."""
    out = np.full(len(found.values), np.nan)
    left = eigenpairs(J.rmatvec, found.start(), min(k, J.shape[0]), "rightmost", **options)
    for i, value in enumerate(found.values):
        j = int(np.argmin(np.abs(left.values - np.conj(value)))) if len(left.values) else -1
        near = 1e-4 * abs(value) + 10 * options["tol"] * left.norm
        if j >= 0 and left.converged[j] and abs(left.values[j] - np.conj(value)) <= near:
            product = abs(complex(torch.vdot(left.vector(j), found.vector(i))))
            out[i] = 1 / product if product else np.inf
    return out


def _text(z: complex) -> str:
    return f"{z.real:.4g}" if not z.imag else f"{z.real:.4g} +- {abs(z.imag):.4g}i"
