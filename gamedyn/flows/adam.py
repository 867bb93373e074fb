"""Adam's heavy-ball equation as a flow, its two moments in the state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game, State
from gamedyn.flows._types import Flow, FlowOfFlow, of_flow
from gamedyn.flows.adjusted import answered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request, Velocity

__all__ = ["AdamFlow", "adam"]


class AdamFlow(FlowOfFlow):
    """Adam in continuous time; see `adam`.

    Attributes:
        game: the extended game: the players of the inner one, then "m:NAME" and "s:NAME" for each, flat and 0 at first.
        inner: the flow whose gradients are averaged.
        rate: what every player's learning rate is multiplied with.
        a1: decay rate of the first moment.
        a2: decay rate of the second moment.
        epsilon: added to the root of the second moment.
        bias_correction: whether the moments are divided by `1 - exp(-a t)`.
    """

    source = "da Silva, Gazeau 2020; Barakat, Bianchi 2021"

    def __init__(
        self, flow: Flow, rate: float, a1: float, a2: float, epsilon: float, *, bias_correction: bool = False
    ) -> None:
        super().__init__(flow, _extended(of_flow(flow).game))
        if flow.module_rates:
            remedy = "give the rates by player"
            raise ArgumentError("flow", "a flow without rates of modules", dict(flow.module_rates), remedy)
        self.rate = positive("rate", rate)
        self.a1, self.a2, self.epsilon = positive("a1", a1), positive("a2", a2), positive("epsilon", epsilon)
        self.bias_correction = bool(bias_correction)

    def __repr__(self) -> str:
        corrected = ", bias_correction=True" if self.bias_correction else ""
        return f"AdamFlow({self.inner!r}, rate={self.rate:g}, a1={self.a1:g}, a2={self.a2:g}{corrected})"

    @property
    def autonomous(self) -> bool:
        """As the inner flow; never with bias correction."""
        return self.inner.autonomous and not self.bias_correction

    @property
    def rates(self) -> Mapping[str, float]:
        """By player: `rate` times its rate in the inner flow; 1 for the moments."""
        mine = {p: self.rate * r for p, r in self.inner.rates.items()}
        return {p: mine.get(p, 1.0) for p in self.game.players}

    def velocity(self, point: Point, request: Request) -> Velocity:
        """Parameters along the first moment, moments towards the gradient and its square; then the players asked for.

        Raises:
            ArgumentError: with bias correction, for a time before 0.
        """
        at, lead = self.inner.game.layout.leaf_slices, 0 if request.members is None else 1
        count, first = len(at), at[-1].stop
        t, leaves = point.t, point.leaves
        inner = self.inner.velocity(point._replace(leaves=leaves[:first]), request._replace(players=None, factors=None))
        moved: list[Tensor] = []
        means: list[Tensor] = []
        squares: list[Tensor] = []
        for i, (own, rate) in enumerate(zip(at, self.inner.rates.values(), strict=True)):
            m, s = leaves[first + i], leaves[first + count + i]
            g = self.inner.game.layout.flat(inner.leaves[own], lead) / -rate
            mean, square = self._unbiased(m, g, t, self.a1), self._unbiased(s, g * g, t, self.a2)
            step = mean / (square.abs().sqrt() + self.epsilon) * (-self.rate * rate)
            moved += self.inner.game.layout.views(step, i)
            means.append(self.a1 * (g - m))
            squares.append(self.a2 * (g * g - s))
        none = tuple([torch.zeros_like(x) for x in (*inner.losses, *inner.losses)])
        return answered([*moved, *means, *squares], (*inner.losses, *none), self.game, request)

    def _unbiased(self, moment: Tensor, limit: Tensor, t: float | Tensor, a: float) -> Tensor:
        """`moment / (1 - exp(-a t))`; at t = 0 its limit along the solution that begins with the moment 0."""
        if not self.bias_correction:
            return moment
        if isinstance(t, Tensor):  # compiled, or members with times of their own, (M, 1)
            factor = -torch.expm1(-a * t)
            begun = factor > 0
            return torch.where(begun, moment / torch.where(begun, factor, 1.0).to(moment), limit)
        if t < 0:
            raise ArgumentError("t", "a time from 0 on: bias correction counts from there", t)
        return moment / -math.expm1(-a * t) if t > 0 else limit

    def inner_state(self, state: Any) -> State:
        """The players' part of a state (or of a run's, or of an ensemble's): a state of the inner game.

        Raises:
            ArgumentError: if it is not a state of the extended game.
        """
        inner = self.inner.game.layout
        found = self._own(state)
        return State(inner, found.y[..., : inner.n], found.buffers)

    def preconditioner(self, state: Any, t: float | None = None) -> Tensor:
        """`P = (sqrt(s) + epsilon) / rate` at a state, (n,): for `gamedyn.flows.preconditioned(flow.inner, P)`.

        With s frozen there, every eigenvalue mu of `P^-1 J` (J that of the inner flow) gives two of Adam's:
        `lambda^2 + a1 lambda - a1 mu = 0`.

        Args:
            state: a state of the extended game, or a run.
            t: its time, needed with bias correction: s is then divided by `1 - exp(-a2 t)`.

        Raises:
            ArgumentError: if it is not a state of the extended game, or the time is missing.
        """
        n, found = self.inner.game.layout.n, self._own(state)
        s = found.y[..., 2 * n :]
        if self.bias_correction:
            s = s / -math.expm1(-self.a2 * positive("t", t, "the time of the state, for its bias correction"))
        return (s.sqrt() + self.epsilon) / self.rate

    def _own(self, state: Any) -> State:
        found = getattr(state, "state", state)
        if isinstance(found, State) and found.layout.signature == self.game.layout.signature:
            return found
        return self.game.own(state)


def adam(
    flow: Flow, *, a1: float, a2: float, rate: float = 1.0, epsilon: float = 1e-8, bias_correction: bool = False
) -> AdamFlow:
    """Adam as an ODE: the flow that its steps approach as `1 - beta = h a` with h -> 0.

    For every player i, with g its gradient (terms included) and squares, roots and quotients entry by entry,

        theta' = -rate rate_i m / (sqrt(s) + epsilon),    m' = a1 (g - m),    s' = a2 (g^2 - s).

    `g = -v_i / rate_i`: the rates of `flow` stay factors of the learning rates (inside g they would cancel, up to
    epsilon), so that steps of size h stand beside torch.optim.Adam with `lr_i = h rate rate_i`, `beta_k = 1 - h a_k`.
    That optimiser corrects the moments' bias, which is `bias_correction=True` here: m and s divided by `1 - exp(-a t)`,
    a flow that depends on time and begins at t = 0 with moments 0. Maps and flow differ by O(h).

    The state holds m and s, as players "m:NAME" and "s:NAME" of `flow.game`, an extended game whose own losses are
    those of the inner one, and 0. Where s = 0 the field has no derivative: at `initial_state()`, and at every
    stationary point. There `gamedyn.flows.preconditioned` with a frozen P is what has a spectrum; and methods of high
    order, begun with moments 0, lose some of it: the solution begins as `t^(3/2)` without bias correction (observed
    order 1.5), and at t = 0 the correction divides 0 by 0 (rk4: order 3). Stages may reach an s below 0, where no
    solution goes: the root is then that of |s|.

    Args:
        flow: the flow whose gradients are averaged.
        a1: decay rate of the first moment, above 0: `(1 - beta_1) / h`.
        a2: decay rate of the second moment, above 0: `(1 - beta_2) / h`.
        rate: multiplies every player's learning rate, above 0.
        epsilon: above 0.
        bias_correction: whether the moments are corrected.

    Raises:
        ArgumentError: if `flow` is not a flow, a number is not positive, or the game has players of these names.

    Source: da Silva, Gazeau 2020, *A general system of differential equations to model first-order adaptive
    algorithms*; Barakat, Bianchi 2021, *Convergence and dynamical behavior of the Adam algorithm*, eq. (ODE).

    Example:
        >>> import gamedyn as gd
        >>> flow = adam(gd.flows.gradient(gd.games.dirac_gan(penalty="r1", weight=1.0)), a1=5.0, a2=1.0)
        >>> run = gd.solve(flow, "rk4", h=0.01, steps=10)
        >>> flow.inner_state(run.state)
        State(G: 1, D: 1; (2,), torch.float64, cpu)
    """
    return AdamFlow(flow, rate, a1, a2, epsilon, bias_correction=bias_correction)


def _extended(game: Game) -> Game:
    """The game with two more players for each: flat moments, which the losses ignore."""
    count, players = len(game.players), dict(game.players)
    for sign in "ms":
        for name, at in zip(game.layout.players, game.layout.slices, strict=True):
            moment = f"{sign}:{name}"
            if moment in game.players:
                raise ArgumentError("flow", f"a game without a player {moment!r}", repr(game), "rename it")
            players[moment] = torch.zeros(at.stop - at.start, dtype=game.dtype, device=game.device)

    def losses(*args: Any) -> dict[str, Tensor]:
        values = game.losses(*args[:count], *args[3 * count :])
        nothing = args[count].new_zeros(())
        return {**values, **dict.fromkeys(list(players)[count:], nothing)}

    extended = Game(players, losses, name=f"{game.name or 'game'} with moments")
    extended.processes = game.processes
    return extended
