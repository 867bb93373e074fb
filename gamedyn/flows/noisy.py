"""Noise as a part of a flow: `dy = v dt + sigma dW`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.flows._types import Flow, LeafwiseFlow, of_flow

if TYPE_CHECKING:
    from gamedyn.core import Point
    from gamedyn.core.evaluation import Request, Velocity
    from gamedyn.core.state import Layout

__all__ = ["Noise", "NoisyFlow", "noisy"]

Diffusion = Callable[[float, Mapping[str, Tensor]], Mapping[str, Tensor]]

NEAR = 1e-9
"""Share of a cell by which a time may miss the grid."""


class Noise:
    """Independent Wiener processes, one for each entry of the state, and what they are multiplied with.

    Args:
        layout: of the players.
        sigma: by player, its share in every entry; or a function of the time and the players' parts.
        seed: of the path.
        grid: length of the cells on which the path is drawn, or None: of a step each.
    """

    def __init__(self, layout: Layout, sigma: Mapping[str, float] | Diffusion, seed: int, grid: float | None) -> None:
        self._layout, self._sigma, self.seed, self.grid = layout, sigma, seed, grid

    def increment(self, step: int, t: float | Tensor, h: float | Tensor, like: Tensor) -> Tensor:
        """`W(t + h) - W(t)`, of the shape of `like`: with a grid a function of the times alone, else of the step."""
        if self.grid is None:
            drawn = self._normal(step, like)
            return drawn * (h.sqrt() if isinstance(h, Tensor) else h**0.5)
        first, count = _one("t", t) / self.grid, _one("h", h) / self.grid
        if max(abs(first - round(first)), abs(count - round(count))) > NEAR * max(1.0, abs(first)) or round(count) < 1:
            raise ArgumentError("h", f"times that are multiples of the noise's grid, {self.grid:g}", (t, h))
        total = torch.zeros_like(like)
        for cell in range(round(first), round(first) + round(count)):
            total += self._normal(cell, like)
        return total.mul_(self.grid**0.5)

    def diffusion(self, t: float | Tensor, y: Tensor) -> Tensor:
        """Sigma at a point, (n,) or (members, n)."""
        if not callable(self._sigma):
            return self._constant(y)
        return self._at(t, y) if y.dim() == 1 else torch.stack([self._at(t, x) for x in y])

    @property
    def shown(self) -> str:
        """What it is, in words."""
        sigma = self._sigma
        what = getattr(sigma, "__name__", "fn") if callable(sigma) else f"{ {k: float(s) for k, s in sigma.items()} }"
        return f"sigma {what}, seed {self.seed}" + ("" if self.grid is None else f", grid {self.grid:g}")

    def _constant(self, y: Tensor) -> Tensor:
        sigma: Any = self._sigma
        out = torch.empty_like(y)
        for name, at in zip(self._layout.players, self._layout.slices, strict=True):
            out[..., at] = sigma[name]
        return out

    def _at(self, t: float | Tensor, y: Tensor) -> Tensor:
        parts = self._layout.parts(y)
        sigma: Any = self._sigma
        given = sigma(t, parts)
        if not hasattr(given, "keys") or set(given) - set(parts):
            got = sorted(given) if hasattr(given, "keys") else type(given).__name__
            raise ArgumentError("sigma", f"a function that gives some of the players {sorted(parts)}", got)
        full = {}
        for k, x in parts.items():
            own = torch.as_tensor(given.get(k, 0.0)).to(x)
            if own.dim() and own.shape != x.shape:
                raise ArgumentError("sigma", f"{k!r} as a number, or {tuple(x.shape)}", f"shape {tuple(own.shape)}")
            full[k] = own.expand_as(x)
        return self._layout.joined(full)

    def _normal(self, number: int, like: Tensor) -> Tensor:
        """Standard normal numbers that belong to a number: nothing needs to be kept to go on."""
        mixed = np.random.SeedSequence([self.seed % 2**32, number % 2**32, number < 0]).generate_state(1, np.uint64)
        generator = torch.Generator(like.device).manual_seed(int(mixed[0] >> np.uint64(1)))
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def _one(name: str, value: float | Tensor) -> float:
    """A number, also where every member of an ensemble has the same."""
    if not isinstance(value, Tensor):
        return float(value)
    if not bool((value == value.reshape(-1)[0]).all()):
        raise ArgumentError(name, "one for all members: the noise is drawn on a grid", value.flatten().tolist())
    return float(value.reshape(-1)[0])


class NoisyFlow(LeafwiseFlow):
    """A flow with noise; see `noisy`. Everything deterministic that is asked of it is that of its drift.

    Attributes:
        noise: its noise.
    """

    source = "Kloeden, Platen 1992"

    def __init__(self, flow: Flow, noise: Noise) -> None:
        super().__init__(flow)
        self._own = noise

    def __repr__(self) -> str:
        return f"NoisyFlow({self.inner!r}, {self._own.shown})"

    @property
    def noise(self) -> Noise:
        """What is added to the drift."""
        return self._own

    @property
    def law(self) -> str:
        """That of the inner flow, and the noise."""
        return f"dy = v dt + sigma dW (Ito), {self._own.shown}; {self.inner.law}"

    @property
    def tangent(self) -> Tensor | None:
        """That of the inner flow."""
        return self.inner.tangent

    def admits(self, parts: Mapping[str, Tensor]) -> bool:
        """As the inner flow."""
        return self.inner.admits(parts)

    def velocity(self, point: Point, request: Request) -> Velocity:
        """The drift: that of the inner flow."""
        return self.inner.velocity(point, request)


def noisy(
    flow: Flow, sigma: float | Mapping[str, float] | Diffusion, *, seed: int = 0, grid: float | None = None
) -> NoisyFlow:
    """The flow with noise, `dy = v dt + sigma(t, y) dW` in Ito's sense, W a Wiener process for each entry of y.

    Stochastic methods step it ("euler_maruyama", "platen", or `gamedyn.methods.StochasticRungeKutta`), others are
    refused. Spectra, verdicts and limits are those of the drift; what the noise makes of a stable point is in
    `gamedyn.stability.stationary_covariance`, of noise that grows with the state in `mean_square_growth`.

    A run goes on bit for bit. Its path belongs to the seed and the steps' numbers; with a grid, to the seed and the
    times, so that runs of any step that is a multiple of the grid see one and the same path.

    Args:
        flow: the drift.
        sigma: one number, or by player (0 for those not named), or a function `sigma(t, parts)` of one tensor per
            player that gives such tensors: diagonal noise.
        seed: of the path.
        grid: length of the cells on which the path is drawn: a step h costs h / grid draws.

    Raises:
        ArgumentError: for a sigma that is none of these, or a grid that is not positive.
        UnknownNameError: for a player that the game lacks.

    Source: Kloeden, Platen 1992, *Numerical solution of stochastic differential equations*.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.quadratic([[1.0, -3.0], [3.0, 1.0]]))
        >>> run = gd.solve(gd.flows.noisy(flow, 0.1), "platen", h=0.1, steps=1000)
        >>> bool(run.state.y.norm() < 1)
        True
    """
    layout = of_flow(flow).game.layout
    share: Any = sigma
    if not callable(sigma):
        given = dict(sigma) if isinstance(sigma, Mapping) else dict.fromkeys(layout.players, sigma)
        for name in given:
            layout.place(name)
        share = {p: finite(f"sigma[{p!r}]", given.get(p, 0.0)) for p in layout.players}
    if flow.noise is not None:
        raise ArgumentError("flow", "one without noise", repr(flow), "add the variances")
    if not isinstance(seed, (int, np.integer)):
        raise ArgumentError("seed", "a whole number", seed)
    cells = None if grid is None else positive("grid", grid)
    return NoisyFlow(flow, Noise(layout, share, int(seed), cells))
