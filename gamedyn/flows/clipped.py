"""Gradient clipping as a change of the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow, LeafwiseFlow, of_flow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request

__all__ = ["ClippedFlow", "clipped"]


class ClippedFlow(LeafwiseFlow):
    """A flow whose gradients are no larger than a bound; see `clipped`.

    Attributes:
        norm: bound of the norm of a player's gradient, or None.
        value: bound of every entry, or None.
        of: places of the players that are clipped.
    """

    source = "Pascanu, Mikolov, Bengio 2013, ICML, algorithm 1"

    def __init__(self, flow: Flow, norm: float | None, value: float | None, of: Sequence[int]) -> None:
        super().__init__(flow)
        self.norm, self.value, self.of = norm, value, frozenset(of)

    def __repr__(self) -> str:
        return f"ClippedFlow({self.inner!r}, {self._bound})"

    @property
    def _bound(self) -> str:
        return f"norm {self.norm:g}" if self.norm is not None else f"entries {self.value:g}"

    @property
    def law(self) -> str:
        """That of the inner flow, with what bounds its gradients."""
        names = ", ".join(self.game.layout.players[i] for i in sorted(self.of))
        return f"{self.inner.law}; gradients of {names} clipped: {self._bound}"

    @property
    def linear_in_losses(self) -> bool:
        """Never: the clipped mean is no mean of clipped fields."""
        return False

    @property
    def parts(self) -> tuple[str, ...]:
        """One: what is clipped is the sum."""
        return ("game",)

    @property
    def whole_parts(self) -> tuple[str, ...]:
        """Those of the inner flow."""
        return self.inner.whole_parts

    @property
    def tangent(self) -> Tensor | None:
        """That of the inner flow; of entries that are cut one by one none."""
        return self.inner.tangent if self.value is None else None

    def admits(self, parts: Mapping[str, Tensor]) -> bool:
        """As the inner flow."""
        return self.inner.admits(parts)

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The inner velocity, cut player by player; then the players asked for."""
        share = 1.0 if request.factors is None else request.factors.get("game", 0.0)
        inner = self.inner.velocity(point, request._replace(factors=None))
        at, lead = self.game.layout.leaf_slices, 0 if request.members is None else 1
        rates = {**self.rates, **self.module_rates, **request.rates}
        of_leaf = [rates[key] for key, run in self.rated for _ in range(run.stop - run.start)]
        wanted = range(len(at)) if request.players is None else request.players
        out: list[Tensor] = []
        start = 0
        for i in wanted:
            size = at[i].stop - at[i].start
            own = inner.leaves[start : start + size]
            start += size
            rated = [_spread(r, x) for r, x in zip(of_leaf[at[i]], own, strict=True)]
            out += self._cut(own, rated, lead) if i in self.of else own
        return Velocity(out if share == 1 else [share * x for x in out], inner.losses)

    def _cut(self, v: Sequence[Tensor], rates: Sequence[Any], lead: int) -> list[Tensor]:
        """A player's velocity, whose gradient `-v / rate` is bounded."""
        if self.value is not None:
            bounds = [self.value * abs(r) for r in rates]
            return [torch.maximum(torch.minimum(x, b + 0 * x), -b + 0 * x) for x, b in zip(v, bounds, strict=True)]
        squares = sum(_over(x, r).square().flatten(lead).sum(-1) for x, r in zip(v, rates, strict=True))
        limit = v[0].new_full((), self.norm or 0.0).square()
        beyond = squares > limit
        factor = torch.where(beyond, (limit / torch.where(beyond, squares, limit)).sqrt(), torch.ones_like(limit))
        return [x * factor.reshape(factor.shape + (1,) * (x.dim() - lead)) for x in v]


def _spread(rate: Any, like: Tensor) -> Any:
    """A rate, of an ensemble one for each member, to multiply a leaf with."""
    if isinstance(rate, Tensor) and rate.dim():
        return rate.reshape(-1, *[1] * (like.dim() - 1))
    return rate


def _over(v: Tensor, rate: Any) -> Tensor:
    """`v / rate`; 0 where the rate is: what does not move has no length."""
    if isinstance(rate, Tensor):
        return v / torch.where(rate == 0, torch.ones_like(rate), rate)
    return v / rate if rate else v


def clipped(
    flow: Flow, *, norm: float | None = None, value: float | None = None, of: str | Sequence[str] | None = None
) -> ClippedFlow:
    """The flow with clipped gradients: `v_i min(1, norm / |g_i|)`, g_i = -v_i / rate_i, or with cut entries.

    What `torch.nn.utils.clip_grad_norm_` (over one player's parameters) and `clip_grad_value_` do before a step, at
    every stage of every method. Stationary points stay, and their spectrum; where a gradient is clipped the field has
    another Jacobian, and a kink at the bound, so that no order beyond 1 is promised across it.

    Args:
        flow: the flow.
        norm: bound of each player's gradient, positive. One of the two.
        value: bound of every entry, positive.
        of: the players; None: all.

    Raises:
        ArgumentError: for none or both of the bounds, or one that is not positive.
        UnknownNameError: for a player that the game lacks.

    Source: Pascanu, Mikolov, Bengio 2013, ICML, algorithm 1.

    Example:
        >>> import torch
        >>> from gamedyn import flows, games
        >>> flow = flows.clipped(flows.gradient(games.bilinear()), norm=1.0)
        >>> flow.field()(0.0, torch.tensor([0.5, 4.0], dtype=torch.float64))
        tensor([-1.0000,  0.5000], dtype=torch.float64)
    """
    if (norm is None) == (value is None):
        raise ArgumentError("norm, value", "one of the two", "both" if norm is not None else "none")
    names = of_flow(flow).game.layout.players if of is None else (of,) if isinstance(of, str) else tuple(of)
    places = [flow.game.layout.place(name) for name in names]
    if norm is not None:
        return ClippedFlow(flow, positive("norm", norm), None, places)
    return ClippedFlow(flow, None, positive("value", value), places)
