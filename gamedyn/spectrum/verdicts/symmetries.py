"""Directions along which networks do not change: their Jacobian is singular there, whatever the game."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamedyn.core import Game, State

__all__ = ["Symmetry", "scaling_symmetries"]

AFFINE = (nn.Linear, nn.modules.conv._ConvNd)
HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity)


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Directions along which a player's function stays as it is.

    Attributes:
        player: whose.
        name: in words.
        directions: how many.
        direction: a random one of them at the state, (n,).
    """

    player: str
    name: str
    directions: int
    direction: Tensor


def scaling_symmetries(game: Game, state: State, seed: int = 0) -> list[Symmetry]:
    """The scaling symmetries of layers in sequence.

    A unit of a layer followed by a positively homogeneous activation (ReLU) can be scaled, and the next layer's
    weights of it divided: the function stays. So does it where a layer's weights are scaled before a norm over the
    batch. Along such directions every loss of the players is constant, unless a penalty sees the weights.

    Args:
        game: whose modules are searched for `nn.Sequential`.
        state: the point.
        seed: of the random directions.

    Source: Dinh, Pascanu, Bengio, Bengio 2017, ICML, section 3 (the symmetry of rectified networks).

    Example:
        >>> from gamedyn import games
        >>> net = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
        >>> game = games.gan(nn.Linear(3, 2), net)
        >>> [(s.player, s.name, s.directions) for s in scaling_symmetries(game, game.state())]
        [('D', 'units of 0 scaled, inputs of 2 divided', 5)]
    """
    g = torch.Generator().manual_seed(seed)
    return [
        Symmetry(player, name, len(first), direction)
        for player, module in game.players.items()
        if isinstance(module, nn.Module)
        for name, first, direction in _of_module(module, player, state, g)
    ]


def _of_module(
    module: nn.Module, player: str, state: State, g: torch.Generator
) -> Iterator[tuple[str, Tensor, Tensor]]:
    for prefix, part in module.named_modules():
        if not isinstance(part, nn.Sequential):
            continue
        children = [(f"{prefix}.{k}" if prefix else k, m) for k, m in part.named_children()]
        for (first, layer), (_, between), (second, after) in zip(children, children[1:], children[2:], strict=False):
            if _plain(layer) and isinstance(between, HOMOGENEOUS) and _plain(after) and _meets(layer, after):
                scale = _factors(layer, g)
                moves = {f"{first}.weight": (scale, 0), f"{first}.bias": (scale, 0), f"{second}.weight": (-scale, 1)}
                yield f"units of {first} scaled, inputs of {second} divided", scale, _moved(state, player, moves)
        for (first, layer), (_, norm) in itertools.pairwise(children):
            if _plain(layer) and isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.training:
                scale = _factors(layer, g)
                moves = {f"{first}.weight": (scale, 0), f"{first}.bias": (scale, 0)}
                yield f"units of {first} scaled before a norm", scale, _moved(state, player, moves)


def _factors(layer: Any, g: torch.Generator) -> Tensor:
    """A random factor for every unit."""
    return torch.randn(int(layer.weight.shape[0]), generator=g)


def _plain(layer: Any) -> bool:
    """An affine layer whose weight is its parameter, its units along the first dimension."""
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    return isinstance(layer, AFFINE) and not transposed and not nn.utils.parametrize.is_parametrized(layer)


def _meets(layer: Any, after: Any) -> bool:
    """Whether the units of one are the inputs of the other."""
    return type(layer) is type(after) and after.weight.shape[1] == layer.weight.shape[0]


def _moved(state: State, player: str, moves: dict[str, tuple[Tensor, int]]) -> Tensor:
    """The vector of each named tensor times its factors along a dimension; zero elsewhere."""
    out = torch.zeros_like(state.y)
    pieces = zip(state.layout.leaves, state.layout.views(out), state.layout.views(state.y), strict=True)
    for leaf, piece, value in pieces:
        if state.layout.players[leaf.player] == player and leaf.name in moves:
            factors, dim = moves[leaf.name]
            shape = [1] * value.dim()
            shape[dim] = -1
            piece.copy_(value * factors.to(value).reshape(shape))
    return out
