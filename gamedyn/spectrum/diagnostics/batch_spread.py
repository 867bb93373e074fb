"""What one mini-batch's spectrum says of all: the spread of eigenvalues between batches, and confidence bands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from gamedyn import stability
from gamedyn._lib.checks import finite, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.point import point
from gamedyn.jacobian import GameJacobian
from gamedyn.krylov import LinearOperator
from gamedyn.methods import get
from gamedyn.spectrum.outer import outer_eigenvalues, outer_pairs
from gamedyn.stability import Eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.jacobian import FrozenField
    from gamedyn.methods import Method

__all__ = ["Band", "BatchSpread", "batch_spread"]

FORMED_UP_TO = 300
"""Parameters up to which the batches' matrices are formed unless asked otherwise."""

RESAMPLES = 2000
"""Of the bootstrap."""

ZERO = 1e-9
"""Share of the largest modulus below which a real part is zero."""

MATCHED = 1e-5
"""Share of the largest modulus within which an eigenvalue of J and one of its transpose are the same."""


@dataclass(frozen=True)
class Band:
    """An estimate from batches, and where the quantity lies that it estimates.

    Attributes:
        value: the estimate.
        std: its standard deviation if it came from one batch instead.
        low: lower end of the Student t band.
        high: its upper end.
        bootstrap: the percentile band over resampled batches; from few batches too narrow (of six, 0.84 for 0.95).
        confidence: of both bands, each on its own.
    """

    value: float
    std: float
    low: float
    high: float
    bootstrap: tuple[float, float]
    confidence: float

    @property
    def zero_inside(self) -> bool:
        """Whether the band leaves the sign open."""
        return self.low <= 0 <= self.high

    def __contains__(self, x: float) -> bool:
        return self.low <= x <= self.high


@dataclass(frozen=True, eq=False)
class BatchSpread:
    """The spectra of several batches' Jacobians J_b at one point, and that of their mean.

    Two questions have two answers. What does a batch show: the mean of the abscissas of the J_b (`of_batches`). Is the
    flow of all data stable: the abscissa of the mean of the J_b (`of_mean`), which is smaller as a rule, since a
    largest eigenvalue is raised by any noise: averaging abscissas does not remove that bias, whatever their number.

    Attributes:
        eigenvalues: of each batch.
        mean: of the mean Jacobian.
        full: of the full batch's, if it was given.
        tracked: the eigenvalues of the mean whose movement is known, upper half plane, (m,).
        shifts: their first-order shifts on each batch, `y* (J_b - J) x / (y* x)`, (batches, m).
        conditions: `|y| |x| / |y* x|` of each: where it is large, first order is a poor guide, (m,).
        abscissa_of_batches: mean of the rightmost real part on a batch.
        abscissa_of_mean: rightmost real part of the mean Jacobian.
        step_of_batches: mean of a batch's largest stable step, over the modes that the flow damps; None where one of
            them is infinite.
        step_of_mean: that of the mean Jacobian.
        growing: on each batch, how many of the eigenvalues found have positive real part.
        method: the method of the steps.
    """

    eigenvalues: tuple[Eigenvalues, ...] = field(repr=False)
    mean: Eigenvalues = field(repr=False)
    full: Eigenvalues | None = field(repr=False)
    tracked: NDArray[np.complex128] = field(repr=False)
    shifts: NDArray[np.complex128] = field(repr=False)
    conditions: NDArray[np.float64] = field(repr=False)
    abscissa_of_batches: Band
    abscissa_of_mean: Band
    step_of_batches: Band | None
    step_of_mean: Band | None
    growing: tuple[int, ...]
    method: str

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation between batches of each tracked eigenvalue: of its real and imaginary part, (m, 2)."""
        parts = (self.shifts.real.std(axis=0, ddof=1), self.shifts.imag.std(axis=0, ddof=1))
        return np.stack(parts, 1)

    @property
    def stable(self) -> str:
        """Whether the flow of the mean is stable: "yes" or "no" where its band excludes zero, else "undecided"."""
        band = self.abscissa_of_mean
        return "undecided" if band.zero_inside or math.isnan(band.low) else "yes" if band.high < 0 else "no"

    @property
    def full_inside(self) -> bool | None:
        """Whether the full batch's abscissa lies in the band of the mean; None without a full batch."""
        return None if self.full is None else self.full.rightmost.real in self.abscissa_of_mean


def batch_spread(
    flow: Flow,
    state: State | Tensor | Run,
    batches: Iterable[Any],
    count: int = 8,
    k: int = 4,
    *,
    full: Any = None,
    method: str | Method = "euler",
    confidence: float = 0.95,
    form: bool | None = None,
    keep: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> BatchSpread:
    """Outer eigenvalues of the Jacobian on several batches, beside their mean's and the full batch's, with bands.

    A simple eigenvalue of the mean Jacobian J, with right and left vectors x and y, moves on batch b by
    `y* (J_b - J) x / (y* x)` to first order: one product for each eigenvalue and batch. Leaving batch b out moves it by
    `-1 / (count - 1)` of that, so the jackknife of any function of an eigenvalue costs no further products. Student's t
    with count - 1 degrees of freedom gives every eigenvalue's band; those of the abscissa (the largest real part) and
    of the step (the smallest limit) have as ends the largest, or smallest, ends of all. With many eigenvalues in
    competition the confidence is that of each, not of all at once.

    Args:
        flow: the flow, penalty terms included.
        state: the point.
        batches: a list of batches, or a stream that `count` are drawn from; equal in size, independent, at least 2.
            Drawn without replacement from a small data set they scatter less about the full batch than the bands say.
        count: how many of them.
        k: outer eigenvalues of each kind.
        full: the full batch, or None. Of a flow whose terms are no means over samples (products of gradients), J
            differs from the full batch's Jacobian however many batches there are.
        method: whose largest stable step is asked for: one that needs no blocks.
        confidence: of the bands.
        form: whether to form the matrices; None: up to 300 parameters.
        keep: whether to keep all batches' graphs for the mean's products; if not they are made anew for each.
        seed: of the bootstrap.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for fewer than 2 batches, batches of unequal size, a method that needs blocks, or losses that
            are not deterministic.

    Source: Stewart, Sun 1990, *Matrix Perturbation Theory*, IV.2.3 (first order); Efron, Tibshirani 1993, *An
        Introduction to the Bootstrap*, chapters 11 and 13.

    Example:
        >>> from gamedyn import flows, games
        >>> flow = flows.custom(lambda t, s, b: {"x": b * s["x"], "y": -3 * s["y"]}, like=games.bilinear())
        >>> slopes = [torch.tensor(x, dtype=torch.float64) for x in (-1.2, -0.9, -1.0, -0.9)]
        >>> found = batch_spread(flow, torch.ones(2), slopes, count=4)
        >>> band = found.abscissa_of_mean
        >>> round(band.value, 3), round(band.low, 3), round(band.high, 3), found.stable
        (-1.0, -1.225, -0.775, 'yes')
    """
    positive_int("count", count, least=2)
    positive_int("k", k)
    level = finite("confidence", confidence)
    if not 0 < level < 1:
        raise ArgumentError("confidence", "a number between 0 and 1", confidence)
    chosen = get(method)
    if not chosen.decouples:
        remedy = "the step's tangent on each batch: spectrum.step_radius"
        raise ArgumentError("method", "one whose stability eigenvalues decide", chosen.name, remedy)
    at = point(flow, state)
    drawn = _drawn(batches, count)
    form = form if form is not None else at.layout.n <= FORMED_UP_TO
    mean = _Mean([flow.at(at, b) for b in drawn], at.y, keep=keep)
    bar = tqdm(mean.each(), total=count, disable=None if progress else True, unit="batch")
    found = tuple([_spectrum(one, k, form=form) for one in bar])
    of_mean, (tracked, right, left) = _decomposed(mean, k, form=form)
    shifts = _shifts(mean, right, left)
    conditions = 1 / np.maximum(np.abs((left.conj() * right).sum(0)), np.finfo(np.float64).tiny)
    zero, rng = ZERO * float(np.abs(of_mean.values).max()), np.random.default_rng(seed)

    def step(value: complex) -> float:
        return stability.largest_stable_step(chosen, [value])

    def own_step(values: NDArray[np.complex128]) -> float:
        damped = values[values.real < -zero]
        return stability.largest_stable_step(chosen, damped) if len(damped) else math.inf

    abscissas, steps = ([of(e.values) for e in found] for of in (lambda x: float(x.real.max()), own_step))
    a, h = _band(np.array(abscissas), level, rng), _band(np.array(steps), level, rng)
    a_mean = _outermost(tracked, shifts, lambda x: x.real, 1, level, rng)
    damped = tracked.real < -zero
    h_mean = _outermost(tracked[damped], shifts[:, damped], step, -1, level, rng)
    on_all = None if full is None else _spectrum(GameJacobian(flow, at, full), k, form=form)
    growing = tuple(int((e.values.real > zero).sum()) for e in found)
    return BatchSpread(
        found, of_mean, on_all, tracked, shifts, conditions, _known(a), _known(a_mean), h, h_mean, growing, chosen.name
    )


def _outermost(
    mean: NDArray[np.complex128],
    shifts: NDArray[np.complex128],
    of: Callable[[complex], float],
    sign: int,
    level: float,
    rng: np.random.Generator,
) -> Band | None:
    """The band of the largest (sign 1) or smallest value over modes: their own jackknife bands, end by end.

    The jackknife of the maximum itself would be wrong where two modes compete: leaving one batch out hardly ever
    changes which of them leads, the next sample does.
    """
    others, bands = len(shifts) - 1, []
    for value, moves in zip(mean, shifts.T, strict=True):
        whole = of(complex(value))
        with np.errstate(invalid="ignore"):
            pseudo = whole + others * (whole - np.array([of(complex(value - x / others)) for x in moves]))
        band = _band(pseudo, level, rng, whole)
        if band is not None:
            bands.append(band)
    if not bands:
        return None
    leading = max(bands, key=lambda band: sign * band.value)

    def end(read: Callable[[Band], float]) -> float:
        return sign * max(sign * read(band) for band in bands)

    bootstrap = end(lambda band: band.bootstrap[0]), end(lambda band: band.bootstrap[1])
    return Band(leading.value, leading.std, end(lambda band: band.low), end(lambda band: band.high), bootstrap, level)


class _Mean(LinearOperator):
    """The mean of the batches' Jacobians: kept, or made anew."""

    def __init__(self, fields: list[FrozenField], like: Tensor, *, keep: bool) -> None:
        self._fields = fields
        self._kept = [field.jacobian() for field in fields] if keep else None
        n = len(like)

        def along(u: Tensor) -> Tensor:
            return self.averaged(lambda J: J.jvp(u))

        def back(u: Tensor) -> Tensor:
            return self.averaged(lambda J: J.vjp(u))

        super().__init__((n, n), along, back, dtype=like.dtype, device=like.device)

    def each(self) -> Any:
        """One batch's after another."""
        return iter(self._kept) if self._kept is not None else (field.jacobian() for field in self._fields)

    def averaged(self, of: Callable[[GameJacobian], Tensor]) -> Tensor:
        """The mean of a function of the batches' Jacobians."""
        total: Any = 0
        for J in self.each():
            total = total + of(J)
        out: Tensor = total / len(self._fields)
        return out


def _drawn(batches: Any, count: int) -> list[Any]:
    if not hasattr(batches, "__iter__") or isinstance(batches, Tensor):
        raise ArgumentError("batches", "a list of batches, or gamedyn.batches(...)", type(batches).__name__)
    source = iter(batches)
    out = []
    for _ in range(count):
        try:
            out.append(next(source))
        except StopIteration:
            remedy = "give more, or a smaller count"
            raise ArgumentError("batches", f"{count} of them", f"{len(out)}", remedy) from None
    sizes = {tuple(x.shape for x in tree_leaves(b) if isinstance(x, Tensor)) for b in out}
    if len(sizes) > 1:
        raise ArgumentError("batches", "batches of equal size", f"{len(sizes)} sizes", "leave the odd one out")
    return out


def _spectrum(J: GameJacobian, k: int, *, form: bool) -> Eigenvalues:
    if not form:
        return outer_eigenvalues(J, k)
    matrix = J.to_dense().double().cpu().numpy()
    values, vectors = np.linalg.eig(matrix)
    residuals = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    return Eigenvalues(values.astype(np.complex128), True, residuals)


Vectors = tuple["NDArray[np.complex128]", "NDArray[np.complex128]", "NDArray[np.complex128]"]


def _decomposed(mean: _Mean, k: int, *, form: bool) -> tuple[Eigenvalues, Vectors]:
    """The mean's eigenvalues; those of the upper half plane with right and left vectors of length 1, (n, m)."""
    if form:
        matrix = mean.averaged(lambda J: J.to_dense()).double().cpu().numpy()
        values, left, right = scipy.linalg.eig(matrix, left=True, right=True)
        residuals = np.linalg.norm(matrix @ right - right * values, axis=0)
        kept = _outer(values, k)
        spectrum = Eigenvalues(values.astype(np.complex128), True, residuals)
        return spectrum, (values[kept], right[:, kept], left[:, kept])
    of_J, of_transpose = outer_pairs(mean, k), outer_pairs(mean.T, k)
    spectrum = outer_eigenvalues(mean, k)
    rows: list[tuple[complex, Any, Any]] = []
    scale = float(np.abs(spectrum.values).max())
    for kind, pairs in of_J.items():
        others = of_transpose[kind]
        for i in np.flatnonzero(pairs.converged & (pairs.values.imag >= 0)):
            value = complex(pairs.values[i])
            gaps = np.where(others.converged, np.abs(others.values - value.conjugate()), math.inf)
            j = int(np.argmin(gaps))
            new = all(abs(value - old) > MATCHED * scale for old, _, _ in rows)
            if gaps[j] <= MATCHED * scale and new:
                x, y = pairs.vector(int(i)), others.vector(j)
                rows.append((value, x.to(torch.complex128).cpu().numpy(), y.to(torch.complex128).cpu().numpy()))
    if not rows:
        remedy = "a larger k, or form=True"
        raise ArgumentError("k", "eigenvalues of the mean that converge on both sides", "none did", remedy)
    values, right, left = (np.array([row[i] for row in rows]) for i in range(3))
    return spectrum, (values.astype(np.complex128), right.T, left.T)


def _outer(values: NDArray[np.complex128], k: int) -> NDArray[np.int64]:
    """Places of the k outermost of each kind, upper half plane."""
    upper = np.flatnonzero(values.imag >= 0)
    keys = (-values.real, values.real, -np.abs(values), -values.imag)
    return np.unique(np.concatenate([upper[np.argsort(key[upper], kind="stable")[:k]] for key in keys]))


def _shifts(mean: _Mean, right: NDArray[np.complex128], left: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """First-order shifts on every batch, (batches, m); they add up to 0."""
    overlap = (left.conj() * right).sum(0)
    out = []
    for J in mean.each():
        columns = []
        for x in right.T:
            parts = [J.jvp(torch.as_tensor(p.copy()).to(J.value)) for p in (x.real, x.imag)]
            columns.append(parts[0].double().cpu().numpy() + 1j * parts[1].double().cpu().numpy())
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append((left.conj() * np.stack(columns, 1)).sum(0) / overlap)
    shifts = np.array(out)
    return np.asarray(shifts - shifts.mean(0))


def _band(
    pseudo: NDArray[np.float64], level: float, rng: np.random.Generator, value: float | None = None
) -> Band | None:
    """The bands of a mean from its (pseudo-)values, about `value` or their mean; None where one is infinite."""
    if not np.isfinite(pseudo).all():
        return None
    value = float(pseudo.mean()) if value is None else value
    count, std = len(pseudo), float(pseudo.std(ddof=1))
    half = float(scipy.stats.t.ppf((1 + level) / 2, count - 1)) * std / math.sqrt(count)
    means = pseudo[rng.integers(0, count, (RESAMPLES, count))].mean(1) - pseudo.mean()
    low, high = (value + float(np.quantile(means, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    return Band(value, std, value - half, value + half, (low, high), level)


def _known(band: Band | None) -> Band:
    nan = math.nan
    return Band(nan, nan, nan, nan, (nan, nan), nan) if band is None else band
