"""How a field turns: the path angle along a straight line, and the share of the Jacobian that rotates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn._lib.checks import finite, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.point import point
from gamedyn.spectrum.linearise import linearise

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.jacobian import GameJacobian
    from gamedyn.stability import Eigenvalues

__all__ = ["PathAngle", "RotationIndex", "path_angle", "planar_path_angle", "rotation_index"]

ZERO = 1e-12
"""Share of the largest norm below which a vector has no direction that could be trusted."""


@dataclass(frozen=True, eq=False)
class PathAngle:
    """The field along a straight line, seen from that line.

    Attributes:
        alpha: places on the line, 0 its start and 1 its end, (m,).
        cosine: `<d, v> / (|d| |v|)` there, d = end - start: 1 where the field goes along the line, 0 where it crosses
            it; nan where v vanishes, (m,).
        norm: |v|, (m,).
        by_player: the same cosine of every player's own parts of d and v; nan where one of them vanishes.
        distance: |d|.
    """

    alpha: NDArray[np.float64] = field(repr=False)
    cosine: NDArray[np.float64] = field(repr=False)
    norm: NDArray[np.float64] = field(repr=False)
    by_player: dict[str, NDArray[np.float64]] = field(repr=False)
    distance: float

    @property
    def nearest(self) -> float:
        """The place of least |v|."""
        return float(self.alpha[int(np.argmin(self.norm))])

    @property
    def switch(self) -> float:
        """Half the fall of the cosine over the line: 1 for attraction to a point between, 0 for rotation alone.

        On a linear game it tends to `-<d, J d> / (|d| |J d|)` as the line is prolonged.
        """
        return float(self.cosine[0] - self.cosine[-1]) / 2

    @property
    def bump(self) -> float:
        """|cosine| at the place of least |v|: 0 for attraction alone, 1 for rotation alone.

        A line that hits the stationary point exactly has no bump: nan, or rounding.
        """
        return float(abs(self.cosine[int(np.argmin(self.norm))]))


@torch.no_grad()
def path_angle(
    flow: Flow,
    start: State | Tensor | Run,
    end: State | Tensor | Run,
    batch: Any = None,
    *,
    span: tuple[float, float] = (-0.5, 1.5),
    points: int = 101,
    t: float = 0.0,
    progress: bool = False,
) -> PathAngle:
    """The angle between the field and a straight line, from before its start to beyond its end.

    `c(alpha) = <d, v(start + alpha d)> / (|d| |v(start + alpha d)|)`, d = end - start. With `end` next to a
    stationary point: attraction alone switches the sign of c there, from + to -; rotation alone has a bump, and is 0
    on both sides; a spiral has both. Berard et al. plot it for the stacked gradients -v, which turns every sign over.

    Args:
        flow: the flow, penalty terms included.
        start: where alpha = 0, such as a run's first state.
        end: where alpha = 1, such as its last; its buffers are used all along, unchanged.
        batch: what the losses take, or None; a mini-batch shows the mini-batch's field.
        span: the range of alpha.
        points: how many places, equally spaced.
        t: time.
        progress: whether to show a progress bar.

    Raises:
        ArgumentError: if the two states are one, or losses are not deterministic; for a span or number that is none.

    Source: Berard et al. 2020, *A Closer Look at the Optimization Landscapes of GANs*, section 4.

    Example:
        >>> from gamedyn import flows, games
        >>> flow = flows.gradient(games.quadratic([[1.0, 0.0], [0.0, 1.0]]))
        >>> line = path_angle(flow, torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0]), points=5)
        >>> [round(float(c), 6) for c in line.cosine]  # attraction alone
        [1.0, 1.0, 1.0, nan, -1.0]
    """
    first, last = point(flow, start), point(flow, end)
    low, high = _span(span)
    positive_int("points", points, least=2)
    d = last.y - first.y
    distance = float(d.norm())
    if not distance:
        raise ArgumentError("start, end", "two different points", "one", "the line between them has no direction")
    velocity = flow.at(last, batch, t)
    alpha = np.linspace(low, high, points)
    names, places = last.layout.players, tuple(last.layout.slices)
    inner, squares = np.empty((points, len(places))), np.empty((points, len(places)))
    for i in tqdm(range(points), disable=None if progress else True, unit="point"):
        v = velocity(t, first.y + float(alpha[i]) * d)
        pairs = [(v[at] @ d[at], v[at] @ v[at]) for at in places]
        inner[i], squares[i] = (torch.stack(x).double().cpu().numpy() for x in zip(*pairs, strict=True))
    own = {name: _cosine(inner[:, j], squares[:, j], float(d[places[j]].norm())) for j, name in enumerate(names)}
    total = squares.sum(1)
    return PathAngle(alpha, _cosine(inner.sum(1), total, distance), np.sqrt(total), own, distance)


def planar_path_angle(attraction: float, rotation: float, offset: float, alpha: ArrayLike) -> NDArray[np.float64]:
    """The path angle of `v = (-a I + w R) (y - y*)` in the plane, R a quarter turn, exactly.

    `c(alpha) = -(a s + w rho) / (sqrt(a^2 + w^2) sqrt(s^2 + rho^2))`, `s = alpha - 1`: the eigenvalues are -a +- i w,
    and the line's end misses y* by `rho R d`, d = end - start.

    Args:
        attraction: a; negative for repulsion.
        rotation: w.
        offset: rho, the miss in units of |d|, to the left of the line.
        alpha: places, any shape.

    Raises:
        ArgumentError: if attraction and rotation are both 0.

    Example:
        >>> planar_path_angle(0.0, 1.0, 0.5, [-9.0, 1.0, 11.0]).round(3) + 0.0  # rotation alone: a bump
        array([-0.05, -1.  , -0.05])
        >>> planar_path_angle(3.0, 4.0, 1e-9, [0.0, 1.0, 2.0]).round(3)  # both: a switch, and a bump
        array([ 0.6, -0.8, -0.6])
    """
    a, w, rho = (
        finite(name, x) for name, x in (("attraction", attraction), ("rotation", rotation), ("offset", offset))
    )
    if a == w == 0:
        raise ArgumentError("attraction, rotation", "at least one that is not 0", "both 0")
    s = np.asarray(alpha, dtype=np.float64) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(-(a * s + w * rho) / (math.hypot(a, w) * np.hypot(s, rho)))


@dataclass(frozen=True, eq=False)
class RotationIndex:
    """What share of a Jacobian J = S + A turns; S its symmetric part, A its skew part.

    Attributes:
        share: `|A| / (|S| + |A|)` in the Frobenius norm: 0 for a potential game, 1/2 for a shear, 1 for a
            Hamiltonian one.
        share_error: standard error of `share`; 0 where J was formed.
        along: `|A f| / (|S f| + |A f|)` in the direction f of the field at the point; nan at a stationary point.
        turning: `|P J f| / |J f|`, P the projection across f: the share of the acceleration J v that bends the path,
            whichever part it comes from; nan at a stationary point.
        eigenvalues: all of them, or the outer ones.
        modal: `|Im lambda| / |lambda|` of each; nan for those that are 0.
        probes: random vectors that `share` was estimated from; 0 where J was formed.
    """

    share: float
    share_error: float
    along: float
    turning: float
    eigenvalues: Eigenvalues
    modal: NDArray[np.float64]
    probes: int

    @property
    def of_rightmost(self) -> float:
        """The modal index of the eigenvalue that decides whether the flow is stable."""
        return float(self.modal[int(np.argmax(self.eigenvalues.values.real))])


def rotation_index(
    flow: Flow,
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    t: float = 0.0,
    form: bool | None = None,
    probes: int = 16,
    k: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> RotationIndex:
    """How much of the field's linearisation turns: of J as a whole, along the field, and mode by mode.

    The whole: `|A|_F / (|S|_F + |A|_F)`, from `|S|_F^2 = E |S u|^2` over random signs u where J is too large. It
    depends on the players' scaling: `[[0, -a], [b, 0]]` turns at every point, yet has a strain unless a = b. The
    modes do not depend on it: `|Im lambda| / |lambda|` is 1 for a centre, 0 for a node, whatever the coordinates.

    Args:
        flow: the flow, penalty terms included.
        state: the point.
        batch: what the losses take, or None.
        t: time.
        form: whether to form the matrix; None: as `linearise` does.
        probes: random vectors (two products each) where it is not formed, at least 2.
        k: outer eigenvalues of each kind where it is not formed.
        seed: of the random vectors.
        progress: whether to show progress bars.

    Raises:
        ArgumentError: for a state of another size, or losses that are not deterministic.

    Source: Astarita 1979, J. Non-Newton. Fluid Mech. 6, p. 69, and Truesdell 1954, *The Kinematics of Vorticity*: with
        their flow type `L = (|S| - |A|) / (|S| + |A|)` and vorticity number `W = |A| / |S|`, share = (1 - L) / 2 =
        W / (1 + W); S and A of a game: Letcher et al. 2019, JMLR 20, section 2; the estimate: Hutchinson 1990.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.quadratic([[1.0, 3.0], [-3.0, 1.0]])
        >>> index = rotation_index(flows.gradient(game), game.equilibrium_state())
        >>> index.share, round(index.of_rightmost, 6)  # |A| = 3 |S|; 3 / sqrt(10)
        (0.75, 0.948683)
    """
    positive_int("probes", probes, least=2)
    lin = linearise(flow, state, batch, t=t, form=form, k=k, progress=progress)
    if lin.matrix is not None:
        J = lin.matrix.double()
        sizes = float(((J + J.T) / 2).norm()), float(((J - J.T) / 2).norm())
        share, error, used = _share(*sizes), 0.0, 0
    else:
        share, error = _estimated(lin.J, probes, seed)
        used = probes
    values = lin.eigenvalues.values
    alive = np.abs(values) > ZERO * max(float(np.abs(values).max(initial=0.0)), np.finfo(np.float64).tiny)
    modal = np.full(len(values), math.nan)
    modal[alive] = np.abs(values[alive].imag) / np.abs(values[alive])
    return RotationIndex(share, error, *_of_direction(lin.J), lin.eigenvalues, modal, used)


def _share(symmetric: float, skew: float) -> float:
    total = symmetric + skew
    return skew / total if total else math.nan


def _estimated(J: GameJacobian, probes: int, seed: int) -> tuple[float, float]:
    """The share from random signs, and its jackknife error."""
    generator = torch.Generator().manual_seed(seed)
    squares = np.empty((probes, 2))
    for row in squares:
        signs = torch.randint(0, 2, (J.shape[0],), generator=generator) * 2 - 1
        u = signs.to(J.value)
        forward, back = J.jvp(u).double(), J.vjp(u).double()
        row[:] = float((forward + back).square().sum()) / 4, float((forward - back).square().sum()) / 4
    without = (squares.sum(0) - squares) / (probes - 1)
    left_out = np.array([_share(*np.sqrt(pair)) for pair in without])
    error = math.sqrt((probes - 1) * float(left_out.var()))
    return _share(*np.sqrt(squares.mean(0))), error


def _of_direction(J: GameJacobian) -> tuple[float, float]:
    """Along the field: the skew share, and the share of the acceleration that bends the path."""
    size = J.value.norm()
    if not float(size):
        return math.nan, math.nan
    f = J.value / size
    forward, back = J.jvp(f), J.vjp(f)
    share = _share(float((forward + back).norm()) / 2, float((forward - back).norm()) / 2)
    total = float(forward.norm())
    across = float((forward - (forward @ f) * f).norm())
    return share, across / total if total else math.nan


def _cosine(inner: NDArray[np.float64], squares: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """`inner / (length sqrt(squares))`; nan where the vector, or the length, vanishes."""
    norms = np.sqrt(squares)
    out = np.full(len(norms), math.nan)
    alive = norms > ZERO * norms.max(initial=0.0)
    if length:
        out[alive] = np.clip(inner[alive] / (length * norms[alive]), -1.0, 1.0)
    return out


def _span(span: Any) -> tuple[float, float]:
    try:
        low, high = (finite("span", x) for x in span)
    except (TypeError, ValueError):
        raise ArgumentError("span", "(low, high), two finite numbers", span) from None
    if not low < high:
        raise ArgumentError("span", "an end above the start", span)
    return low, high
