"""Generated samples of a state: from fixed noise, in evaluation mode, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamedyn.core import Game, State

__all__ = ["Sampler"]


class Sampler:
    """Samples that a game's generator makes of noise drawn from a seed: the same noise every time.

    Args:
        game: with a module as its generator.
        latent: size of the noise of a sample.
        labels: labels that are drawn from, (n,), of a conditional generator; None: it takes none.
        player: the generator.
        seed: of noise and labels.

    Raises:
        ArgumentError: if the game has no such player.

    Example:
        >>> import gamedyn as gd
        >>> from gamedyn.training import Sampler, models
        >>> pair = models.build("mlp", (2,), latent=4)
        >>> game = gd.games.gan(pair.generator, pair.discriminator)
        >>> Sampler(game, 4)(game.state(), 10).shape
        torch.Size([10, 2])
    """

    def __init__(
        self, game: Game, latent: int, *, labels: Tensor | None = None, player: str = "G", seed: int = 0
    ) -> None:
        if player not in game.players or not isinstance(game.players[player], torch.nn.Module):
            raise ArgumentError("player", f"a module among the players {list(game.players)}", repr(player))
        self.game, self.player = game, player
        self.latent, self.seed = positive_int("latent", latent), seed
        self.labels = None if labels is None else labels.cpu()

    def __call__(self, state: State, count: int) -> Tensor:
        """So many samples of a state, on the CPU."""
        return torch.cat(list(self.blocks(state, count)))

    def given(self, count: int, block: int = 256) -> Iterator[tuple[Tensor, ...]]:
        """Noise, and labels, block by block."""
        draw = torch.Generator().manual_seed(self.seed)
        for i in range(0, positive_int("count", count), block):
            n = min(block, count - i)
            noise = torch.randn(n, self.latent, generator=draw)
            if self.labels is None:
                yield (noise,)
            else:
                yield noise, self.labels[torch.randint(len(self.labels), (n,), generator=draw)]

    def blocks(self, state: State, count: int, block: int = 256) -> Iterator[Tensor]:
        """The samples, block by block; the players are in evaluation mode, and as they were afterwards."""
        for given in self.given(count, block):
            with self.game.at(state) as players:
                yield generate(players[self.player], given, self.game.dtype)


def generate(generator: Any, given: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """A module's samples of noise (and labels), in evaluation mode, on the CPU, float32."""
    where = next(generator.parameters()).device
    noise, *labels = given
    with torch.no_grad():
        made: Tensor = generator.eval()(noise.to(where, dtype), *[x.to(where) for x in labels])
    return made.to("cpu", torch.float32)
