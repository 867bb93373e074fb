"""The largest stable step on many eigenvalues, exactly but quickly: most modes are proved harmless together.

The first interval of stable steps ends where that of some mode ends first. A few outer modes give an upper bound h;
every other mode is shown, in arrays, to be stable on all of (0, h], or else its own interval is computed. Only
predictor-corrector methods are sampled, as they are in `ray_intervals`.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from gamedyn.methods import ExponentialRosenbrock, LinearMultistep, Method, PredictorCorrector
from gamedyn.stability.amplification import rational_function
from gamedyn.stability.membership import roots_in_disc
from gamedyn.stability.polynomial import evaluate
from gamedyn.stability.rays import ray_intervals
from gamedyn.stability.recurrence import recurrence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.stability.polynomial import Polynomial

    Real = NDArray[np.float64]
    Complex = NDArray[np.complex128]

__all__ = ["first_limit", "outermost"]

PIECES = 16
"""Parts that a ray is cut into before its polynomial's sign is read off."""

SURE = 1e-12
"""Share of the sum of its terms that a polynomial must be below 0 by."""

SCANNED = 600
"""Points on the longest ray of a predictor-corrector method, whose boundary `ray_intervals` scans for, too."""

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
    waiting = _extremes(rays)
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


def _extremes(rays: Complex) -> NDArray[np.intp]:
    """The modes furthest out in a few directions, and the one closest to the imaginary axis."""
    turns = np.exp(1j * np.linspace(np.pi / 2, np.pi, OUTER))
    found = [int(np.argmax((rays * np.conj(turn)).real)) for turn in turns]
    return np.unique([*found, int(np.argmax(rays.real / np.abs(rays)))])


def _own_limit(method: Method, lam: complex) -> float:
    size = abs(lam)
    intervals = ray_intervals(method, complex(lam.real / size, lam.imag / size))
    return intervals[0][1] / size if intervals and intervals[0][0] == 0 else 0.0


def _harmless(method: Method, rays: Complex, limit: float) -> NDArray[np.bool_]:
    """For which modes no growth on (0, limit] is proved; False says nothing."""
    if not len(rays) or not limit:
        return np.ones(len(rays), dtype=bool)
    reach, u = limit * np.abs(rays), rays / np.abs(rays)
    if isinstance(method, ExponentialRosenbrock):
        return np.ones(len(rays), dtype=bool)
    if isinstance(method, LinearMultistep):
        return _no_crossing(method, u, reach)
    if isinstance(method, PredictorCorrector):
        return _roots_inside(method, u, reach)
    R = rational_function(method)
    return _never_positive(_boundary(R.numerator, R.denominator, u), reach)


def _boundary(top: Polynomial, bottom: Polynomial, u: Complex) -> Real:
    """Coefficients of `(|P(r u)|^2 - |Q(r u)|^2) / r` in r, (modes, degree)."""
    n = max(len(top), len(bottom))
    cosines = np.cos(np.outer(np.angle(u), np.arange(n)))
    cosines[:, 1:2] = u.real[:, None]
    out = np.zeros((len(u), 2 * n - 1))
    for p, sign in ((top, 1.0), (bottom, -1.0)):
        c = [float(x) for x in p]
        for i, a in enumerate(c):
            for j, b in enumerate(c):
                out[:, i + j] += sign * a * b * cosines[:, abs(i - j)]
    return out[:, 1:]


@lru_cache(maxsize=64)
def _bernstein(degree: int) -> Real:
    """From powers on [0, 1] to the Bernstein coefficients on each of the pieces, (pieces, degree + 1, degree + 1)."""
    out = np.zeros((PIECES, degree + 1, degree + 1))
    width = 1 / PIECES
    for piece in range(PIECES):
        for k in range(degree + 1):  # t^k with t = (piece + s) / PIECES
            shifted = [comb(k, m) * (piece * width) ** (k - m) * width**m for m in range(k + 1)]
            for i in range(degree + 1):
                out[piece, i, k] = sum(comb(i, m) / comb(degree, m) * shifted[m] for m in range(min(i, k) + 1))
    return out


def _never_positive(E: Real, reach: Real) -> NDArray[np.bool_]:
    """Whether polynomials are negative on (0, reach]: their Bernstein coefficients on every piece are."""
    if np.isinf(reach[0]):  # r in (0, inf): both E(t) and its mirror image on (0, 1]
        return _never_positive(E, np.ones(len(E))) & _never_positive(E[:, ::-1], np.ones(len(E)))
    scaled = E * reach[:, None] ** np.arange(E.shape[1])
    size = np.abs(scaled).sum(1)
    coefficients = np.einsum("pik,nk->npi", _bernstein(E.shape[1] - 1), scaled)
    return np.asarray((coefficients <= -SURE * size[:, None, None]).all((1, 2)))


def _no_crossing(method: LinearMultistep, u: Complex, reach: Real) -> NDArray[np.bool_]:
    """Whether no root meets the unit circle before `reach`, from all points at which one may (see `rays`)."""
    alpha, beta = (np.array([float(x) for x in c]) for c in (method.alpha, method.beta))
    parasitic = np.roots(np.cumsum(alpha[::-1])[:-1])
    if np.any(np.abs(parasitic) > 1 - 1e-6):
        return np.zeros(len(u), dtype=bool)
    F = np.outer(np.conj(u), np.convolve(alpha, beta[::-1])) - np.outer(u, np.convolve(alpha[::-1], beta))
    F = F[:, ::-1]  # leading coefficient first
    lead = np.abs(F[:, 0]) > 1e-8 * np.abs(F).max(1)
    n = F.shape[1] - 1
    companion = np.zeros((len(u), n, n), dtype=np.complex128)
    companion[:, 0, :] = -F[:, 1:] / np.where(lead, F[:, 0], 1)[:, None]
    companion[:, np.arange(1, n), np.arange(n - 1)] = 1
    steps = np.arange(len(alpha))
    critical = np.convolve((alpha * steps)[1:], beta) - np.convolve(alpha, (beta * steps)[1:])
    fixed = np.roots(np.trim_zeros(critical[::-1]))
    zeta = np.hstack([np.linalg.eigvals(companion), np.tile(fixed, (len(u), 1))])
    near = np.abs(np.abs(zeta) - 1) < 1e-4
    zeta = np.where(near, zeta / np.where(near, np.abs(zeta), 1), 0.5)
    sigma = evaluate(method.beta, zeta)
    z = evaluate(method.alpha, zeta) / np.where(sigma == 0, 1e-300, sigma) * np.conj(u)[:, None]
    met = near & (z.real > 1e-5) & (z.real <= 1.001 * reach[:, None]) & (np.abs(z.imag) <= 1e-3 * np.abs(z))
    return np.asarray(lead & ~met.any(1) & (u.real < -1e-3))


def _roots_inside(method: PredictorCorrector, u: Complex, reach: Real) -> NDArray[np.bool_]:
    """Whether all roots lie inside the unit circle at evenly spaced points up to just beyond `reach`."""
    if np.isinf(reach).any():
        return np.zeros(len(u), dtype=bool)
    spacing = reach.max() / SCANNED
    counts = np.ceil(reach / spacing).astype(int) + 1
    starts = np.cumsum(counts) - counts
    mode = np.repeat(np.arange(len(u)), counts)
    r = (np.arange(counts.sum()) - starts[mode] + 1) * spacing
    row = recurrence(method).row(r * u[mode])
    inside = roots_in_disc(np.concatenate([np.ones((1, len(r))), -row.T]), margin=1e-12)
    return np.asarray(np.logical_and.reduceat(inside, starts))
