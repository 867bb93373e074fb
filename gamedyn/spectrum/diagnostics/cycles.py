"""Periodic orbits of a game's flow: found by returns, refined by shooting, classified by their Floquet multipliers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn._lib.checks import positive, positive_int
from gamedyn.core import State
from gamedyn.core.point import point
from gamedyn.krylov import eigenpairs, gmres
from gamedyn.spectrum.diagnostics._orbit import Failure, Orbit, Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.methods import Method

__all__ = ["LimitCycle", "find_limit_cycle"]

NEWTON = 12
"""Shooting iterations."""

AGAIN = 1 / 3
"""A further attempt is made once returns are so much closer than at the last one."""

AT_REST = 1e-7
"""Share of the largest speed met below which the flow has come to a point."""

BOUND = 1e6
"""Distance from the start, in units of 1 + |start|, beyond which the flow has diverged."""

SAFETY = 10.0
"""The error of the monodromy in any direction, over the one measured along the orbit."""

ON_CIRCLE = 1e-3
"""Uncertainty up to which a multiplier that may have modulus 1 is called neutral; above it is undecided."""


@dataclass(frozen=True, eq=False)
class LimitCycle:
    """What the flow does from a point on: a periodic orbit with its multipliers, or why there is none.

    Attributes:
        status: "cycle"; "point", it comes to rest; "diverged"; "no_return", the horizon ended without an orbit
            that closes; "budget", the evaluations ran out; "failed", the integration broke off.
        kind: of a cycle: "stable", "unstable", "neutral" (a multiplier on the unit circle, as far as can be computed,
            and none outside: orbits beside it close too, or leave slower than any exponential), or "undecided", the
            multipliers are not accurate enough. None without a cycle.
        state: a point of the orbit, or where the search ended.
        period: T; nan without a cycle.
        multipliers: of the return map: eigenvalues of `M = d y(T) / d y(0)` without the trivial one, largest first.
        uncertainty: of each multiplier: its condition times the error of M, and what the error of the orbit may add.
        trivial: the eigenvalue that belongs to the direction of the flow: 1 but for errors.
        trivial_error: `|M v - v| / |v|`, v the field on the orbit: how accurate M is.
        complete: whether the multipliers are all; if not, those of largest modulus.
        residual: `|y(T) - y(0)|` over `size`.
        size: largest distance of the orbit from `state`.
        t: times of the samples, (m,), from 0 to T.
        orbit: points there, (m, n).
        returns: relative distances of the successive returns that the search looked at.
        evaluations: of the field; of its linearisation where M was computed.
        reason: in words.
    """

    status: str
    kind: str | None
    state: State
    period: float = math.nan
    multipliers: NDArray[np.complex128] = field(default_factory=lambda: np.empty(0, dtype=np.complex128))
    uncertainty: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    trivial: complex = complex(math.nan)
    trivial_error: float = math.nan
    complete: bool = True
    residual: float = math.nan
    size: float = math.nan
    t: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False)
    orbit: Tensor | None = field(default=None, repr=False)
    returns: tuple[float, ...] = field(default=(), repr=False)
    evaluations: float = 0.0
    reason: str = ""

    @property
    def exponents(self) -> NDArray[np.complex128]:
        """Floquet exponents `log(multiplier) / T`, imaginary parts up to multiples of 2 pi / T."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.multipliers) / self.period)


class _Closed(NamedTuple):
    """A shooting solution."""

    y: Tensor
    period: float
    residual: float
    size: float
    before: Tensor | None = None
    """The matrix of the round where Newton's last step began, if it was formed."""
    parts: int = 1
    """Rounds of the cycle in that one."""


@torch.no_grad()
def find_limit_cycle(
    flow: Flow,
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    horizon: float = 200.0,
    method: str | Method = "dop853",
    rtol: float = 1e-10,
    tol: float = 1e-8,
    near: float = 0.05,
    formed_up_to: int = 100,
    k: int = 4,
    samples: int = 64,
    max_evaluations: int = 200_000,
    progress: bool = False,
) -> LimitCycle:
    """Follow the flow until it returns; refine the periodic orbit and find its Floquet multipliers.

    The flow is followed through sections, planes across its path placed at its start and at later times. Where a
    crossing comes back within `near` of an earlier one (up to the eighth, so orbits may cross several times), Newton's
    method solves `y(T) - y(0) = 0`, with y(0) kept on its section, for y(0) and T. The derivative is that of the very
    steps taken (the variational equation through the same steps). An attempt that leaves its neighbourhood is
    dropped, and the flow followed further. A stable cycle is found from its basin; a neutral or an unstable one from
    a start near it, the latter also as a stable cycle of the reversed flow, `flows.mapped(flow, ...)` with -v.

    Args:
        flow: an autonomous flow.
        state: where to start.
        batch: what the losses take, or None: one batch for all of it, as are the state's buffers and the losses'
            randomness.
        horizon: for how long to follow the flow, in its time.
        method: one-step method with an embedded one.
        rtol: its tolerance, relative to the state and, once it is known, to the orbit's size; in float32 1e-5 at least.
        tol: on the residual, relative to the orbit's size; in float32 1e-4 at least.
        near: relative distance of a return at which shooting is first tried.
        formed_up_to: dimension up to which M is formed; above, GMRES and Arnoldi use products with it.
        k: multipliers where it is not formed.
        samples: points of the orbit, at least 2.
        max_evaluations: bound on evaluations of the field and products with its Jacobian, until an orbit has closed;
            its multipliers cost a few periods more.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: for a flow that depends on time, a method without an embedded one, a bad number or state.

    Source: Guckenheimer, Holmes 1983, section 1.5; Kuznetsov 2004, *Elements of Applied Bifurcation Theory*,
        section 10.2; derivative of the steps taken: Bock 1981.

    Example:
        >>> from gamedyn import flows, games
        >>> def normal_form(t, s, batch):  # radius sqrt(1/4), period 2 pi
        ...     x, y = s["x"], s["y"]
        ...     grow = 0.25 - x * x - y * y
        ...     return {"x": grow * x - y, "y": grow * y + x}
        >>> found = find_limit_cycle(flows.custom(normal_form, like=games.bilinear()), torch.tensor([0.6, 0.0]))
        >>> found.status, found.kind, round(found.period, 6), round(float(found.multipliers[0].real), 6)
        ('cycle', 'stable', 6.283185, 0.043214)
    """
    horizon, near = positive("horizon", horizon), positive("near", near)
    for name, value, least in (("formed_up_to", formed_up_to, 1), ("k", k, 1), ("samples", samples, 2)):
        positive_int(name, value, least=least)
    budget = positive_int("max_evaluations", max_evaluations)
    at = point(flow, state)
    eps = float(torch.finfo(at.y.dtype).eps)
    rtol, tol = max(positive("rtol", rtol), 100 * eps), max(positive("tol", tol), 1000 * eps)
    orbit = Orbit(flow, at, batch, method, rtol, formed_up_to, budget)
    search = _Search(orbit, horizon, near, tol)
    with tqdm(total=horizon, disable=None if progress else True, unit="t") as bar:
        status, reason, closed = search.run(at.y, bar)
    returns, work = tuple(search.distances), orbit.work
    if closed is None:
        return LimitCycle(status, None, at.with_y(search.y), returns=returns, evaluations=work(), reason=reason)
    orbit.budget = math.inf
    values, bars, trivial, error = _multipliers(orbit, closed, k)
    kind = _kind(values, bars)
    times = np.linspace(0.0, closed.period, samples)
    complete = at.layout.n <= formed_up_to
    return LimitCycle(
        status, kind, at.with_y(closed.y), closed.period, values, bars, trivial, error, complete, closed.residual,
        closed.size, times, orbit.at_times(closed.y, times), returns, work(), reason,
    )  # fmt: skip


class _Search:
    """Follow the flow through sections until an orbit closes."""

    def __init__(self, orbit: Orbit, horizon: float, near: float, tol: float) -> None:
        self.orbit, self.horizon, self.near, self.tol = orbit, horizon, near, tol
        self.sections: list[Section] = []
        self.places = [horizon / 2**i for i in (1, 2, 3, 4, 5)]  # the next one last
        self.distances: list[float] = []
        self.tried = math.inf
        self.refused, self.reached = "", 0.0
        self.y: Tensor

    def run(self, y: Tensor, bar: Any) -> tuple[str, str, _Closed | None]:
        """Status, reason and, of a cycle, the shooting solution."""
        orbit, self.y = self.orbit, y
        speed = fastest = float(orbit.v(y).norm())
        if not math.isfinite(speed):
            return "failed", "the field is not finite at the start", None
        if not speed:
            return "point", "it starts at a stationary point", None
        start, far = y, BOUND * (1 + float(y.norm()))
        self.sections.append(Section(y, orbit.v(y)))
        try:
            for step in orbit.steps(y, self.horizon):
                self.y = step.new
                bar.update(step.h)
                self.reached = step.t + step.h
                speed = float(step.first.norm())
                fastest = max(fastest, speed)
                if speed <= AT_REST * fastest:
                    return "point", f"|v| has fallen to {speed:.2g}, from {fastest:.2g}", None
                if not float((step.new - start).norm()) <= far:
                    return "diverged", f"it is {far:.2g} from its start at t = {step.t + step.h:g}", None
                closed = self._crossed(step)
                if closed is not None:
                    return "cycle", f"closed after t = {step.t + step.h:g}", closed
                if self.places and step.t + step.h >= self.places[-1]:
                    while self.places and step.t + step.h >= self.places[-1]:
                        self.places.pop()
                    self.sections.append(Section(step.new, orbit.v(step.new)))
        except Failure as failure:
            if failure.status == "budget":
                return "budget", f"max_evaluations = {orbit.budget} were spent; {self._why()}", None
            grown = float((self.y - start).norm()) > 1e3 * (1 + float(start.norm()))
            blown = failure.status == "non_finite" or grown
            return "diverged" if blown else "failed", f"the integration ended: {failure.status}", None
        return "no_return", self._why(), None

    def _why(self) -> str:
        if not self.distances:
            return f"no crossing of a section within t = {self.reached:g} came near an earlier one: raise horizon"
        last = f"after t = {self.reached:g} the closest return was {min(self.distances):.2g} of the orbit's size"
        return f"{last}; {self.refused or 'shooting starts below near'}"

    def _crossed(self, step: Any) -> _Closed | None:
        """The cycle, if this step crosses a section close to where an earlier one did, and shooting closes it."""
        for section in self.sections:
            found = section.passed(step, self.orbit)
            if found is None:
                continue
            self.distances.append(found.distance)
            if found.distance > min(self.near, AGAIN * self.tried):
                continue
            self.tried = found.distance
            for guess in (found.y, found.earlier):  # the later is nearer to a cycle that attracts
                closed = self._shoot(guess, found.period, found.size)
                if closed is not None:
                    return self._shortest(closed, found.turns)
        return None

    def _shoot(self, y: Tensor, period: float, size: float) -> _Closed | None:
        """Newton's method for y(T) = y(0), as long as it stays near the guess."""
        orbit, guess, first = self.orbit.scaled(size), y, period
        section, before = Section(y, orbit.v(y)), None
        limit = 1e-3 * self.tol  # at first, and once within tol one step more: Newton's last one costs little
        try:
            for iteration in range(NEWTON + 1):
                end, steps = orbit.advance(y, period)
                residual = float((end - y).norm()) / size
                if residual <= limit:
                    reach = orbit.size(y, period)
                    if reach < 0.1 * size:
                        break
                    return _Closed(y, period, residual, reach, before)
                limit = self.tol if residual <= self.tol or iteration == NEWTON - 1 else limit
                shift, late, before = self._newton_step(y, end, steps, section)
                y, period = y + shift, period + late
                if not float((y - guess).norm()) <= size / 2 or not 0.5 * first <= period <= 1.5 * first:
                    break
        except Failure as failure:
            if failure.status == "budget":
                raise
            self.refused = "shooting left the region where the flow can be integrated"
            return None
        self.refused = "shooting led away from it, as to a point or an orbit that it only spirals to"
        return None

    def _newton_step(
        self, y: Tensor, end: Tensor, steps: list[float], section: Section
    ) -> tuple[Tensor, float, Tensor | None]:
        """Solve `(M - I) dy + v dT = y - end`, dy within the section; dy, dT, and M where it is formed."""
        orbit, n = self.orbit, len(y)
        v = orbit.v(end)
        speed = float(v.norm())
        along, normal, gap = v / speed, section.normal, section.height(y)
        right, M = torch.cat([y - end, -gap[None]]), None
        if orbit.form:
            eye = torch.eye(n, dtype=y.dtype, device=y.device)
            Q = eye if orbit.tangent is None else orbit.tangent  # the directions that stay in the states of the flow
            M = orbit.images(y, steps, eye).T
            top = torch.cat([(M - eye) @ Q, along[:, None]], 1)
            bottom = torch.cat([normal @ Q, normal.new_zeros(1)])[None]
            system = torch.cat([top, bottom]).double().cpu().numpy()
            found = np.linalg.lstsq(system, right.double().cpu().numpy(), rcond=max(1e-9, orbit.rtol))[0]
            x = torch.as_tensor(found).to(y)
            x = torch.cat([Q @ x[:-1], x[-1:]])
        else:

            def bordered(x: Tensor) -> Tensor:
                d = x[:-1].clone()
                return torch.cat([orbit.images(y, steps, d[None])[0] - d + x[-1] * along, (normal @ d)[None]])

            x = gmres(bordered, right, rtol=1e-4, max_products=60, check=False).x
            if orbit.tangent is not None:
                x = torch.cat([orbit.tangent @ (orbit.tangent.T @ x[:-1]), x[-1:]])
        return x[:-1], float(x[-1]) / speed, M

    def _shortest(self, closed: _Closed, turns: int) -> _Closed:
        """The same orbit with its least period, where it was found as several rounds."""
        for parts in range(turns, 1, -1):
            end, _ = self.orbit.advance(closed.y, closed.period / parts)
            if float((end - closed.y).norm()) <= 100 * self.tol * closed.size:
                return closed._replace(period=closed.period / parts, parts=parts)
        return closed


def _multipliers(
    orbit: Orbit, closed: _Closed, k: int
) -> tuple[NDArray[np.complex128], NDArray[np.float64], complex, float]:
    """Multipliers without the trivial one, their uncertainties, the trivial one and its error."""
    y, n = closed.y, len(closed.y)
    _, steps = orbit.advance(y, closed.period)
    v = orbit.v(y)
    f = v / v.norm()
    moved = 0.0
    if orbit.form:
        M = orbit.images(y, steps, torch.eye(n, dtype=y.dtype, device=y.device)).T.double()
        error = float((M.to(f) @ f - f).norm())
        moved = _moved(M, closed)
        if orbit.tangent is not None:
            M = orbit.tangent.T.to(M) @ M @ orbit.tangent.to(M)
        values, left, right = scipy.linalg.eig(M.cpu().numpy(), left=True, right=True)
        condition = 1 / np.maximum(np.abs((left.conj() * right).sum(0)), np.finfo(np.float64).tiny)
        floor, residuals = float(torch.linalg.matrix_norm(M)), np.zeros(len(values))
    else:
        error = float((orbit.images(y, steps, f[None])[0] - f).norm())

        found = eigenpairs(lambda d: orbit.images(y, steps, d[None].clone())[0], f + _spread(y), min(k, n), tol=1e-8)
        values, residuals = found.values, found.residuals
        condition, floor = np.ones(len(values)), 1.0
    rounding = 100 * float(torch.finfo(y.dtype).eps) * floor
    bars = condition * (SAFETY * max(error, closed.residual, rounding) + residuals + moved)
    trivial = int(np.argmin(np.abs(values - 1)))
    rest = [i for i in np.argsort(-np.abs(values), kind="stable") if i != trivial]
    return values[rest].astype(np.complex128), bars[rest], complex(values[trivial]), error


def _moved(M: Tensor, closed: _Closed) -> float:
    """By how much M may be another on the cycle itself: four times its change over Newton's last step.

    Where a cycle is double, as when a stable and an unstable one meet, each step goes half the way: what is left is as
    long as the last one.
    """
    if closed.before is None:
        return 0.0
    return 4 * float(torch.linalg.matrix_norm(closed.before.double() - torch.linalg.matrix_power(M, closed.parts), 2))


def _kind(values: NDArray[np.complex128], bars: NDArray[np.float64]) -> str:
    if not len(values):
        return "undecided"
    sizes = np.abs(values)
    if (sizes - bars > 1).any():
        return "unstable"
    if (sizes + bars < 1).all():
        return "stable"
    return "neutral" if bars[sizes + bars >= 1].max() <= ON_CIRCLE else "undecided"


def _spread(y: Tensor) -> Tensor:
    """A vector of length 1 in which every direction takes part."""
    x = torch.randn(len(y), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(y)
    out: Tensor = x / x.norm()
    return out
