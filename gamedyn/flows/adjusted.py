"""Flows that add products with their own Jacobian: consensus, symplectic adjustment, drift cancellation.

Every one is `v + correction`, the correction built from `J^T v` and `J v` of an inner flow at the point. Both come
from one graph: `J^T w` is a vector-Jacobian product, and `J u` its derivative in w along u (double VJP).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gamedyn._lib.checks import choice, positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow, FlowOfFlow
from gamedyn.jacobian.composed import composed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.core import Game, Point
    from gamedyn.core.evaluation import Request

__all__ = [
    "AdjustedFlow",
    "ConsensusFlow",
    "DriftCancelledFlow",
    "SymplecticFlow",
    "answered",
    "consensus",
    "drift_cancelled",
    "symplectic_adjustment",
]

DRIFTS = ("full", "cross")


class AdjustedFlow(FlowOfFlow):
    """A flow that adds something to another's velocity, made of products with its Jacobian (rates included)."""

    @property
    def double_backward(self) -> bool:
        """Always: the correction differentiates the inner velocity."""
        return True

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The inner velocity and the correction, for all players; then those asked for.

        Raises:
            ArgumentError: if the inner velocity cannot be differentiated.
        """
        t, clock = self._clock(point.t)
        asked, leaves = request._replace(players=None, factors=None, create_graph=True), point.leaves
        with composed(third=self.inner.double_backward):
            inner = self.inner.velocity(point._replace(t=t), asked)
        if not any(x.requires_grad for x in inner.leaves):
            got = "one without a graph: it is constant, or detach(), no_grad or NumPy has cut it"
            raise ArgumentError("flow", "a velocity that can be differentiated in the players", got)
        try:
            extra = self._correction(inner.leaves, leaves, clock, request)
        except RuntimeError as error:
            if "differentiat" not in str(error) and "derivative" not in str(error):
                raise
            remedy = "write that operation out of differentiable ones"
            raise ArgumentError("flow", "losses that can be differentiated twice", str(error), remedy) from error
        total = [a + b for a, b in zip(inner.leaves, extra, strict=True)]
        return answered(total, inner.losses, self.game, request)

    def _clock(self, t: float | Tensor) -> tuple[float | Tensor, Tensor | None]:
        """The time for the inner flow; as a tensor to differentiate in, where that is needed."""
        return t, None

    @abstractmethod
    def _correction(
        self, v: Sequence[Tensor], leaves: Sequence[Tensor], clock: Tensor | None, request: Request
    ) -> list[Tensor]:
        """What is added to the inner velocity v, leaf by leaf."""


class ConsensusFlow(AdjustedFlow):
    """`v - weight J^T v`; see `consensus`."""

    source = "Mescheder, Nowozin, Geiger 2017, section 4"

    def __init__(self, flow: Flow, weight: float) -> None:
        super().__init__(flow)
        self.weight = _weight(weight)

    def __repr__(self) -> str:
        return f"ConsensusFlow({self.inner!r}, weight={self.weight:g})"

    def _correction(
        self, v: Sequence[Tensor], leaves: Sequence[Tensor], clock: Tensor | None, request: Request
    ) -> list[Tensor]:
        live = [x for x in v if x.requires_grad]
        slope = torch.autograd.grad(
            live,
            list(leaves),
            live if request.create_graph else [x.detach() for x in live],
            create_graph=request.create_graph,
            materialize_grads=True,
        )
        return [-self.weight * g for g in slope]


class SymplecticFlow(AdjustedFlow):
    """`v + weight (J - J^T) v / 2`; see `symplectic_adjustment`."""

    source = "Balduzzi et al. 2018; Letcher et al. 2019, Differentiable game mechanics, Algorithm 1"

    def __init__(self, flow: Flow, weight: float, align: bool, epsilon: float) -> None:
        super().__init__(flow)
        self.weight, self.align, self.epsilon = _weight(weight), bool(align), positive("epsilon", epsilon)

    def __repr__(self) -> str:
        align = f", align=True, epsilon={self.epsilon:g}" if self.align else ""
        return f"SymplecticFlow({self.inner!r}, weight={self.weight:g}{align})"

    def _correction(
        self, v: Sequence[Tensor], leaves: Sequence[Tensor], clock: Tensor | None, request: Request
    ) -> list[Tensor]:
        pushed, pulled = _products(v, leaves, v, request.create_graph)
        skew = [(a - b) / 2 for a, b in zip(pushed, pulled, strict=True)]
        if not self.align:
            return [self.weight * a for a in skew]
        lead = 0 if request.members is None else 1
        criterion = _dot(v, pulled, lead) * _dot(skew, pulled, lead) / self.game.layout.n + self.epsilon
        signed = self.weight * torch.where(criterion >= 0, 1.0, -1.0).to(self.game.dtype)
        return [signed.reshape((*signed.shape, *[1] * (a.dim() - lead))) * a for a in skew]


class DriftCancelledFlow(AdjustedFlow):
    """`v + (h / 2) W v`, W the Jacobian or its cross-player blocks; see `drift_cancelled`."""

    source = "Rosca, Wu, Dherin, Barrett 2021"

    def __init__(self, flow: Flow, h: float, part: str) -> None:
        super().__init__(flow)
        inner, self.part = self.declared_h, choice("part", part, DRIFTS)
        self.declared_h = self.h = positive("h", h)
        if inner not in (None, self.h):
            raise ArgumentError("h", f"the step that the inner flow declares, {inner:g}", f"{self.h:g}")

    def __repr__(self) -> str:
        return f"DriftCancelledFlow({self.inner!r}, h={self.h:g}, part={self.part!r})"

    def _clock(self, t: float | Tensor) -> tuple[float | Tensor, Tensor | None]:
        if self.inner.autonomous or self.part == "cross":
            return t, None
        known = t.detach() if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64, device=self.game.device)
        clock = known.clone().requires_grad_()
        return clock, clock

    def _correction(
        self, v: Sequence[Tensor], leaves: Sequence[Tensor], clock: Tensor | None, request: Request
    ) -> list[Tensor]:
        if self.part == "full":
            inputs = leaves if clock is None else [*leaves, clock]
            direction = v if clock is None else [*v, torch.ones_like(clock)]
            return [self.h / 2 * x for x in _products(v, inputs, direction, request.create_graph)[0]]
        out: list[Tensor] = []
        for own in self.game.layout.leaf_slices:
            others = [i for i in range(len(leaves)) if not own.start <= i < own.stop]
            theirs, direction = [leaves[i] for i in others], [v[i] for i in others]
            out += [self.h / 2 * x for x in _products(v[own], theirs, direction, request.create_graph)[0]]
        return out


def answered(leaves: Sequence[Tensor], losses: tuple[Tensor, ...], game: Game, request: Request) -> Velocity:
    """A velocity of all players, as a request wants it: scaled (its only part is "game"), selected, detached or not."""
    if request.factors is not None:
        share = request.factors.get("game", 0.0)
        leaves = [share * x for x in leaves]
    if request.players is not None:
        leaves = [x for i in request.players for x in leaves[game.layout.leaf_slices[i]]]
    if request.create_graph:
        return Velocity(list(leaves), losses)
    return Velocity([x.detach() for x in leaves], tuple([x.detach() for x in losses]))


def consensus(flow: Flow, weight: float) -> ConsensusFlow:
    """Consensus optimisation: the flow also descends its own speed, `v - weight grad(|v|^2 / 2) = v - weight J^T v`.

    v is the whole velocity of `flow`, rates and terms included. On a linear game the new Jacobian is
    `J - weight J^T J`; stationary points stay, and where J is regular a large weight attracts to all of them, stable
    or not.

    Args:
        flow: the flow that is adjusted; its velocity must be differentiable.
        weight: at least 0.

    Raises:
        ArgumentError: if `flow` is not a flow or the weight is negative; when stepping, if the velocity cannot be
            differentiated.

    Source: Mescheder, Nowozin, Geiger 2017, *The numerics of GANs*, section 4.

    Example:
        >>> import torch
        >>> from gamedyn import flows, games
        >>> flow = consensus(flows.gradient(games.bilinear()), weight=0.5)
        >>> flow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
        tensor([-2.5000,  0.0000], dtype=torch.float64)
    """
    return ConsensusFlow(flow, weight)


def symplectic_adjustment(flow: Flow, weight: float = 1.0, align: bool = False, epsilon: float = 0.1) -> SymplecticFlow:
    """Symplectic gradient adjustment (SGA): `v + weight (J - J^T) v / 2`.

    With gradients `xi = -v` and their Jacobian `-J` this is `-(xi + weight A^T xi)`, A the antisymmetric part of -J.
    With `align` the weight takes the sign of `<v, J^T v> <a, J^T v> / n + epsilon`, `a = (J - J^T) v / 2`, n the number
    of parameters: away from unstable points, towards stable ones. The field is then discontinuous where the sign
    changes, which voids the order of any method there; its Jacobian is that of the side it is on. Near a stationary
    point epsilon decides: the sign is +.

    Rates of `flow` are inside v and J. To adjust the game first and let the rates act afterwards, adjust a flow
    without rates and scale it by `gamedyn.flows.mapped`.

    Args:
        flow: the flow that is adjusted; its velocity must be differentiable.
        weight: at least 0.
        align: whether the sign is chosen at every point (for each member of an ensemble by itself).
        epsilon: above 0; the bias of that choice.

    Raises:
        ArgumentError: if `flow` is not a flow, the weight is negative or epsilon not positive; when stepping, if the
            velocity cannot be differentiated.

    Source: Balduzzi et al. 2018, *The mechanics of n-player differentiable games*; Letcher et al. 2019, *Differentiable
    game mechanics*, Algorithm 1.

    Example:
        >>> import torch
        >>> from gamedyn import flows, games
        >>> flow = symplectic_adjustment(flows.gradient(games.bilinear()))
        >>> flow.field()(0.0, torch.tensor([1.0, 2.0], dtype=torch.float64))
        tensor([-3., -1.], dtype=torch.float64)
    """
    return SymplecticFlow(flow, weight, align, epsilon)


def drift_cancelled(flow: Flow, h: float, part: str = "full") -> DriftCancelledFlow:
    """The flow whose Euler steps of size h follow `flow` without their leading drift: `v + (h / 2) W v`.

    Euler's steps on v follow `v - (h / 2) J v + O(h^2)`. With part "full", `W = J` (and the explicit `dv/dt` joins, if
    `flow` depends on time): an Euler step is the second-order Taylor method, order 2, `R = 1 + z + z^2 / 2`. With part
    "cross", W holds the cross-player blocks of J only: what players do to one another is cancelled, each one's own
    drift stays; order 1. Rates are inside v and J, the opponents' rate in their own columns, as they must be.

    The field contains h: with steps of another size, or another method, it means something else. `declared_h` says so.

    Args:
        flow: the flow that is adjusted; its velocity must be differentiable (in a tensor t too, if it depends on time).
        h: the step, above 0.
        part: "full" or "cross".

    Raises:
        ArgumentError: if `flow` is not a flow, h is not positive, or `flow` declares another h; when stepping, if the
            velocity cannot be differentiated.
        UnknownNameError: for another part.

    Source: Rosca, Wu, Dherin, Barrett 2021, *Discretization drift in two-player games*; the rates as backward error
    analysis has them (Hairer, Lubich, Wanner, *Geometric numerical integration*, IX.1).

    Example:
        >>> import gamedyn as gd
        >>> flow = drift_cancelled(gd.flows.gradient(gd.games.bilinear()), h=0.1)
        >>> run = gd.solve(flow, "euler", h=0.1, steps=10)
        >>> heun = gd.solve(flow.inner, "heun2", h=0.1, steps=10)
        >>> bool((run.state.y - heun.state.y).norm() < 1e-14)
        True
    """
    return DriftCancelledFlow(flow, h, part)


def _weight(weight: float) -> float:
    try:
        value = float(weight)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ArgumentError("weight", "a finite number, at least 0", weight)
    return value


def _products(
    v: Sequence[Tensor], inputs: Sequence[Tensor], direction: Sequence[Tensor], create_graph: bool
) -> tuple[list[Tensor], Sequence[Tensor]]:
    """`J u` and `J^T v`, J the derivative of v in the inputs, u the direction (one tensor per input).

    `J^T w` is formed at w = v, w being a copy of v's values with v's own graph: its value is `J^T v`, whose derivative
    in the point is right, and its derivative in w along u is `J u`.
    """
    live = [i for i, x in enumerate(v) if x.requires_grad]
    rows = [torch.zeros_like(x) for x in v]
    if not live or not inputs:
        return rows, [torch.zeros_like(x) for x in inputs]
    w = [v[i].clone() for i in live]
    pulled = torch.autograd.grad([v[i] for i in live], inputs, w, create_graph=True, materialize_grads=True)
    moved = [i for i, x in enumerate(pulled) if x.requires_grad]
    if moved:
        pushed = torch.autograd.grad(
            [pulled[i] for i in moved],
            w,
            [direction[i] if create_graph else direction[i].detach() for i in moved],
            create_graph=create_graph,
            materialize_grads=True,
        )
        for i, x in zip(live, pushed, strict=True):
            rows[i] = x
    return rows, pulled


def _dot(a: Sequence[Tensor], b: Sequence[Tensor], lead: int) -> Tensor:
    """The inner product of two lists of leaves: a scalar, or one for each member."""
    return torch.stack([(x * y).reshape(*x.shape[:lead], -1).sum(-1) for x, y in zip(a, b, strict=True)]).sum(0)
