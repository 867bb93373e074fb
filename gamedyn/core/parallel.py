"""One game on several processes: every rank has a shard of the data, all have the field of the whole.

With leaves that all ranks hold alike and losses L_r of their shards, the game's losses are

    L(x) = sum_r w_r L_r(x),    sum_r w_r = 1.

`gamedyn.core.collectives` says how their derivatives, of any order, become those of L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.collectives import Ranks, copied, digest, named, reduced, replaced
from gamedyn.core.game import Game

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gamedyn.core.evaluation import Point

__all__ = ["DataParallelGame", "data_parallel"]

Losses = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


class DataParallelGame(Game):
    """A game whose losses are the weighted mean over ranks; see `data_parallel`."""

    def __init__(self, game: Game, ranks: Ranks) -> None:
        vars(self).update(vars(game))  # the same players, with everything that is declared of them
        self.processes: Ranks = ranks
        self._verified = False
        self._ill: Tensor | None = None
        self._well = torch.zeros(ranks.count, dtype=self.dtype, device=self.device)
        self._agree(_refused(ranks.sum_, self._well))

    def evaluate(self, point: Point, terms: Sequence[Callable[..., Tensor]] = (), ahead: Sequence[int] = ()) -> Losses:
        """The losses and terms of all ranks' batches together; see `Game.evaluate`.

        Raises:
            ArgumentError: if another rank failed to evaluate its own (with `ahead`: `settle` does).
        """
        if get_proxy_mode() is not None:
            remedy = "ranks compile each by itself, and would wait for one another: a shared game is stepped eagerly"
            raise ArgumentError(
                "game", "one on a single process, to be traced", f"{self.processes.count} ranks", remedy
            )
        self.settle()  # what an error has left
        if not self._verified:
            self._verify(point.leaves)
        ahead = ahead if _plain(point) else ()
        try:
            return self._joined(point, terms, ahead)
        except _Failed as failed:
            self._own_part_fails(point.leaves[0], len(self.layout.players) + len(terms), ahead)
            raise failed.error from failed.error.__cause__

    def settle(self) -> None:
        """Wait for the sums that are on their way.

        Raises:
            ArgumentError: if another rank failed to evaluate its losses.
        """
        ill, self._ill = self._ill, None
        if ill is None:
            return
        self.processes.arrived()
        failed = [r for r, x in enumerate(ill.tolist()) if x]
        if failed:
            raise ArgumentError("losses", "losses that every rank can evaluate", f"an error on {named(failed)}", SEE)

    def check(self, batch: Any = None, terms: Sequence[Any] = ()) -> None:
        """As `Game.check` on this rank's batch, in agreement: if one rank refuses, all do.

        Raises:
            ArgumentError: as `Game.check`; or if another rank refused.
        """
        self._verified = False
        self._agree(_refused(super().check, batch, terms))

    def _joined(self, point: Point, terms: Sequence[Callable[..., Tensor]], ahead: Sequence[int]) -> Losses:
        """The ranks' losses, summed: at once, or begun to be."""
        ranks, leaves = self.processes, point.leaves
        copies: list[Tensor] = []
        for at in self.layout.leaf_slices:  # by player: one player's gradient is one collective, and leaves others out
            copies += copied(ranks, *leaves[at])
        try:
            losses, inside = super().evaluate(point._replace(leaves=copies), terms)
            shares = [x.to(leaves[0].dtype) * ranks.weight for x in (*losses, *inside)]
        except Exception as error:
            raise _Failed(error) from error
        sent = [*(x.detach() for x in shares), self._well.to(leaves[0].dtype)]
        ranks.ahead = bool(ahead)
        *totals, self._ill = ranks.send(sent) if ahead else reduced(ranks, *sent)
        if not ahead:
            self.settle()
        whole = [replaced(ranks, x, total) for x, total in zip(shares, totals, strict=True)]
        return tuple(whole[: len(losses)]), tuple(whole[len(losses) :])

    def _own_part_fails(self, like: Tensor, values: int, ahead: Sequence[int]) -> None:
        """Take part in the sums that the others have begun, with nothing but the word that this rank has failed."""
        ranks = self.processes
        nothing = torch.zeros_like(like.detach().reshape(-1)[0])  # of an ensemble, for each member
        ill = torch.nn.functional.one_hot(torch.tensor(ranks.rank), ranks.count).to(nothing)
        reduced(ranks, *[nothing] * values, ill)
        for player in ahead:
            at = self.layout.slices[player]
            ranks.sum_(like.detach().new_zeros(at.stop - at.start))

    def _verify(self, leaves: Sequence[Tensor]) -> None:
        """At the first evaluation: all ranks are at one point (of an ensemble, whose leaves are wrapped, unchecked)."""
        if any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in leaves):
            return
        names = [f"{self.layout.players[leaf.player]}.{leaf.name}".rstrip(".") for leaf in self.layout.leaves]
        _same_on_all(self.processes, dict(zip(names, leaves, strict=True)), "state", "start all ranks from one state")
        self._verified = True

    def _agree(self, error: Exception | None) -> None:
        """Raise on all ranks if one has an error: its own there, its words elsewhere."""
        words = self.processes.told(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        failed = [r for r, text in enumerate(words) if text is not None]
        if failed:
            got = f"on {named(failed)}, {words[failed[0]]}"
            raise ArgumentError("game", "a game that every rank can evaluate", got, SEE)


class _Failed(Exception):
    """This rank's losses raised an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


SEE = "its own error says more"


def data_parallel(game: Game, group: Any = None, weight: float | None = None) -> DataParallelGame:
    """The game whose losses are the means over all ranks' batches; to be made, and used alike, in every process.

        L_i(y) = sum_r weight_r L_i(y; batch of rank r)

    Field, penalties, J u and J^T u are those of one process that has all the data, to rounding, and equal on all ranks:
    flows, `solve` and `linearise` take the game like any other, each rank its own batches. A term is evaluated of the
    whole: `r1` is averaged like a loss, `squared_gradient` is that of the mean's gradient, not a mean of shards'.

    What the ranks must do:

    - Losses are means over samples. What is no mean (a loss of a batch's own statistics) is averaged over shards.
      Figures that they return beside are not: each rank has those of its own shard.
    - Norms that use batch statistics in training take a shard's; running statistics differ by rank (those of `write`
      too). `nn.SyncBatchNorm` is no way out: it wants a GPU, and its gradient cannot be differentiated. Instance,
      layer and group norms, and batch norm in `eval` mode, are exact.
    - A penalty on a gradient in the parameters must be a term (`gamedyn.losses`): inside a loss it is the shard's.
    - All ranks run the same calls in the same order, from one state, which is checked at the first evaluation. Each has
      its own stream of batches (another seed) and its own checkpoint file, since a run holds where its stream stands.
    - A step is not compiled: `solve(execution="compiled")` goes on eagerly and says so in `run.stats["execution"]`.

    A loss that raises on one rank raises on all; NaN on one is NaN on all. For the former each evaluation reads one
    number, which on a GPU waits for the losses. A process that fails elsewhere must end: gloo then fails in the others,
    other backends after the group's timeout.

    Args:
        game: the game; parameters and buffers must be equal on all ranks, on a device that the group's backend serves.
        group: of torch.distributed; None: all processes.
        weight: this rank's share of the samples, where shards are unequal: its samples over all samples; None, then on
            all ranks: 1 / ranks.

    Raises:
        ArgumentError: on all ranks, if there is no process group, games or starting values differ, or weights do not
            add up to 1.

    Source: the conjugate pair of Shoeybi et al. 2019, *Megatron-LM*, section 3, there over a model, here over data.

    Example:
        >>> import torch.distributed as dist
        >>> from gamedyn import games
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> data_parallel(games.bilinear())
        bilinear(x: 1, y: 1)
        >>> dist.destroy_process_group()
    """
    if not isinstance(game, Game) or isinstance(game, DataParallelGame):
        raise ArgumentError("game", "a game of one process", repr(game), "make one: gamedyn.Game(players, losses)")
    ranks = Ranks(group, weight)
    kinds = ranks.told((game.layout.signature, str(game.dtype)))
    odd = [r for r, kind in enumerate(kinds) if kind != kinds[0]]
    if odd:
        raise ArgumentError("game", "one game on all ranks", f"other players, shapes or dtype on {named(odd)}")
    remedy = "seed the modules alike, load one file, or torch.distributed.broadcast every parameter and buffer"
    _same_on_all(ranks, _tensors(game), "game", remedy)
    return DataParallelGame(game, ranks)


def _plain(point: Point) -> bool:
    """Whether gradients there are those of tensors: no duals, no rows of a map, no buffers that lead to leaves."""
    if torch.autograd.forward_ad._current_level >= 0 or any(b.requires_grad for b in point.buffers):
        return False
    return not any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in point.leaves)


def _tensors(game: Game) -> dict[str, Tensor]:
    """Everything that the losses may read of the players, trained or not."""
    found: dict[str, Tensor] = {}
    for name, player in game.players.items():
        if isinstance(player, nn.Module):
            found |= {f"{name}.{k}": v for k, v in (*player.named_parameters(), *player.named_buffers())}
        else:
            found[name] = player
    return found


def _same_on_all(ranks: Ranks, tensors: dict[str, Tensor], argument: str, remedy: str) -> None:
    """Refuse on all ranks what is not equal, bit for bit, on all ranks."""
    heard = ranks.told({name: digest(x) for name, x in tensors.items()})
    names = dict.fromkeys(name for told in heard for name in told)
    odd = ((name, [r for r, x in enumerate(heard) if x.get(name) != heard[0].get(name)]) for name in names)
    found = [f"{name} on {named(where)}" for name, where in odd if where]
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        got = f"other than on rank 0: {', '.join(found[:3])}{more}"
        raise ArgumentError(argument, "equal values on all ranks", got, remedy)


def _refused(call: Callable[..., Any], *args: Any) -> Exception | None:
    """The error of a call, if it raises one."""
    try:
        call(*args)
    except Exception as error:
        return error
    return None
