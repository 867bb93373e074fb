"""Flows whose states are put back into a set after every step: clipped weights, norm balls, the simplex."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.flows._types import Flow, LeafwiseFlow, of_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request, Velocity

__all__ = ["ProjectedFlow", "ball", "clip", "projected", "simplex"]


class ProjectedFlow(LeafwiseFlow):
    """A flow whose states are put back into a set after every step; see `projected`."""

    def __init__(self, flow: Flow, fn: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> None:
        super().__init__(flow)
        self.fn = fn

    @property
    def projects(self) -> bool:
        """Always."""
        return True

    @property
    def law(self) -> str:
        """That of the inner flow, and what is done after every step."""
        return f"{self.inner.law}; after every step {getattr(self.fn, '__name__', 'fn')}"

    def velocity(self, point: Point, request: Request) -> Velocity:
        """That of the inner flow."""
        return self.inner.velocity(point, request)

    def project(self, y: Tensor) -> Tensor:
        """The point that stands for y, (n,) or (members, n).

        Raises:
            ArgumentError: if the function gives other players, or tensors of another size.
        """
        y = self.inner.project(y)
        return self._one(y) if y.dim() == 1 else torch.func.vmap(self._one)(y)

    def _one(self, y: Tensor) -> Tensor:
        parts = self.game.layout.parts(y)
        given = self.fn(parts)
        if not hasattr(given, "keys") or set(given) - set(parts):
            got = sorted(given) if hasattr(given, "keys") else type(given).__name__
            raise ArgumentError("fn", f"a function that gives some of the players {sorted(parts)}", got)
        return self.game.layout.joined({**parts, **given})


def projected(flow: Flow, fn: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> ProjectedFlow:
    """The flow, its state put back into a set after every step: `y_{n+1} = P(y_n + step)`.

    What the theory says of a method holds for steps that P leaves alone. Where it acts the order is 1 at most, limits
    and one-step matrices are those of the inner flow, and a point at which the iteration rests need not be a
    stationary point of v. Multistep methods keep field values of points before P.

    Args:
        flow: the flow.
        fn: takes one tensor per player (a tensor player's own shape, 1-D for a module), and gives those that it
            changes: `clip`, `ball`, `simplex`, or a function of one's own, which must survive vmap for ensembles.

    Raises:
        ArgumentError: if `fn` cannot be called, or (when stepping) gives other players or sizes.

    Source: Goldstein 1964, Bull. Amer. Math. Soc. 70, p. 709 (projected descent).

    Example:
        >>> from gamedyn import flows, games, solve
        >>> flow = flows.projected(flows.gradient(games.bilinear()), flows.clip(0.5, of="y"))
        >>> run = solve(flow, "euler", h=0.1, steps=20)
        >>> float(run.state["y"].abs().max())
        0.5
    """
    if not callable(fn):
        raise ArgumentError("fn", "a function of the state by player", fn, "for instance flows.clip(0.01, of='D')")
    return ProjectedFlow(of_flow(flow), fn)


def clip(bound: float, *, of: str) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """Weight clipping: every parameter of a player to [-bound, bound].

    Args:
        bound: positive.
        of: the player.

    Source: Arjovsky, Chintala, Bottou 2017, algorithm 1.

    Example:
        >>> clip(0.1, of="D")({"D": torch.tensor([-1.0, 0.05])})
        {'D': tensor([-0.1000,  0.0500])}
    """
    bound = positive("bound", bound)

    def clipping(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {of: _of(parts, of).clamp(-bound, bound)}

    return clipping


def ball(radius: float, *, of: str) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """The nearest point in a ball around 0: a player's parameters, all together, to a norm of at most the radius.

    Args:
        radius: positive.
        of: the player.

    Example:
        >>> ball(1.0, of="D")({"D": torch.tensor([3.0, 4.0])})
        {'D': tensor([0.6000, 0.8000])}
    """
    radius = positive("radius", radius)

    def shrinking(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = _of(parts, of)
        return {of: x * (radius / torch.linalg.vector_norm(x)).clamp_max(1.0)}

    return shrinking


def simplex(*, of: str) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """The nearest point of the simplex: a player's entries become shares, none negative, with sum 1.

    Args:
        of: the player.

    Source: Held, Wolfe, Crowder 1974, Math. Program. 6, p. 62.

    Example:
        >>> simplex(of="p")({"p": torch.tensor([0.8, 0.6, -0.5])})
        {'p': tensor([0.6000, 0.4000, 0.0000])}
    """

    def sharing(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = _of(parts, of)
        flat = x.reshape(-1)
        falling = flat.sort(descending=True).values
        excess = (falling.cumsum(0) - 1) / torch.arange(1, len(flat) + 1, dtype=x.dtype, device=x.device)
        kept = (falling > excess).sum() - 1
        level = excess.gather(0, kept[None])
        return {of: (flat - level).clamp_min(0).view_as(x)}

    return sharing


def _of(parts: Mapping[str, Tensor], player: str) -> Tensor:
    if player not in parts:
        raise ArgumentError("of", f"one of the players {sorted(parts)}", player)
    return parts[player]
