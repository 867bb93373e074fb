"""One game on several processes: every rank has a shard of the data, all have the field of the whole.

With leaves that all ranks hold alike and losses L_r of their shards, the game's losses are

    L(x) = sum_r w_r L_r(x),    sum_r w_r = 1.

Two functions make every derivative of L right, of any order, and equal on all ranks. `Copied` takes what all hold
alike into a rank's own work: the identity, whose cotangents are summed over ranks. `Reduced` takes the ranks' shares
out of it: a sum over ranks, whose cotangent is handed on as it is. Each is the other's backward, so that the backward
of the backward is reduced in its turn, where a penalty on a gradient or a product with J needs it.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.game import Game

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.core.evaluation import Point

__all__ = ["Copied", "DataParallelGame", "Ranks", "Reduced", "data_parallel"]

Losses = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


class Ranks:
    """The processes that share a game, seen from one of them.

    Attributes:
        group: of torch.distributed; None: all processes.
        count: how many there are.
        rank: this one's place.
        weight: its share of the samples.
    """

    def __init__(self, group: Any, weight: float | None) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            remedy = "call torch.distributed.init_process_group first, in every process"
            raise ArgumentError("group", "processes that know of one another", "no process group", remedy)
        self.group, self.count, self.rank = group, dist.get_world_size(group), dist.get_rank(group)
        if self.rank < 0:
            raise ArgumentError("group", "a group that this process belongs to", group)
        self.weight = self._share(weight)

    def told(self, mine: Any) -> list[Any]:
        """What every rank tells, by rank (pickled: for borders, not for the hot path)."""
        heard: list[Any] = [None] * self.count
        dist.all_gather_object(heard, mine, group=self.group)
        return heard

    def sum_(self, x: Tensor) -> Tensor:
        """The sum over ranks, in place, equal on all of them."""
        try:
            if self.count > 1:
                dist.all_reduce(x, group=self.group)
        except RuntimeError as error:
            error.add_note("A rank may have ended, or be doing something else: look for the first error of any rank.")
            raise
        return x

    def _share(self, weight: float | None) -> float:
        """This rank's weight, once all ranks' add up."""
        given = self.told(weight)
        if all(w is None for w in given):
            return 1.0 / self.count
        known = [float(w) if isinstance(w, (int, float)) and math.isfinite(w) and w > 0 else math.nan for w in given]
        if not abs(sum(known) - 1.0) <= 1e-9:
            remedy = "a rank's weight is its samples over all samples; or give none, for equal shards"
            raise ArgumentError("weight", "numbers above 0 that add up to 1 over the ranks", given, remedy)
        return known[self.rank]


class _OfRanks(torch.autograd.Function):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep who takes part, and the shapes of what may get no cotangent."""
        ctx.set_materialize_grads(False)
        ctx.ranks, ctx.like = inputs[0], [(x.shape, x.dtype, x.device) for x in inputs[1:]]


class Copied(_OfRanks):
    """What all ranks hold alike, for a rank's own use; backwards, the ranks' cotangents are summed.

    `Copied.apply(ranks, *tensors)`. One collective for all of them; a tensor without a cotangent counts as zero.
    """

    @staticmethod
    def forward(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors themselves."""
        return tuple([x.view_as(x) for x in tensors])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Their sum over ranks."""
        return None, *_reduced(ctx.ranks, *_filled(ctx.like, cotangents))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Any, ...]:
        """The tangents themselves."""
        return _copied(ctx.ranks, *_filled(ctx.like, tangents))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, *tensors: Tensor) -> tuple[Any, Any]:
        """Rows together."""
        moved, dims = _rows_first(in_dims[1:], tensors)
        return _copied(ranks, *moved), dims


class Reduced(_OfRanks):
    """Sums over ranks, equal on all of them; backwards, a cotangent is handed to every rank as it is.

    `Reduced.apply(ranks, *tensors)`. The tensors travel in one buffer.
    """

    @staticmethod
    def forward(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The sums."""
        flat = _summed(ranks, torch.cat([x.reshape(-1) for x in tensors]))
        pieces = torch.split(flat, [x.numel() for x in tensors])
        return tuple([piece.view(x.shape) for piece, x in zip(pieces, tensors, strict=True)])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """The cotangents, each rank's to use."""
        copies = iter(_copied(ctx.ranks, *[g for g in cotangents if g is not None]))
        return None, *[None if g is None else next(copies) for g in cotangents]

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Any, ...]:
        """Sums of the tangents."""
        return _reduced(ctx.ranks, *_filled(ctx.like, tangents))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, *tensors: Tensor) -> tuple[Any, Any]:
        """All rows in one sum."""
        moved, dims = _rows_first(in_dims[1:], tensors)
        return _reduced(ranks, *moved), dims


class _Replaced(_OfRanks):
    """A known sum in the place of this rank's share: `Reduced` of one tensor without its collective.

    The losses are summed together, and are then differentiated one by one: each has a node of its own, so that one
    player's gradient does not go through another player's loss.
    """

    @staticmethod
    def forward(ranks: Ranks, share: Tensor, total: Tensor) -> Tensor:
        return total.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Any, ...]:
        return None, None if cotangent is None else _copied(ctx.ranks, cotangent)[0], None

    @staticmethod
    def jvp(ctx: Any, _: None, share: Tensor, total: Any) -> Tensor:
        return _reduced(ctx.ranks, share)[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, share: Tensor, total: Tensor) -> tuple[Any, Any]:
        moved, dims = _rows_first(in_dims[1:], (share, total))
        return _replaced(ranks, *moved), dims[1]


class DataParallelGame(Game):
    """A game whose losses are the weighted mean over ranks; see `data_parallel`."""

    traces, alone = False, False

    def __init__(self, game: Game, ranks: Ranks) -> None:
        vars(self).update(vars(game))  # the same players, with everything that is declared of them
        self.ranks, self.weight = ranks, ranks.weight
        self._verified = False
        self._well = torch.zeros(ranks.count, dtype=self.dtype, device=self.device)
        self._agree(_refused(ranks.sum_, self._well))

    def evaluate(self, point: Point, terms: Sequence[Callable[..., Tensor]] = ()) -> Losses:
        """The losses and terms of all ranks' batches together; see `Game.evaluate`.

        Raises:
            ArgumentError: if another rank failed to evaluate its own.
        """
        plain = super().evaluate
        return self._joined(point.leaves, len(terms), lambda copies: plain(point._replace(leaves=copies), terms))

    def least(self, number: float) -> float:
        """The least over ranks, for choices that must be one on all of them."""
        return float(min(self.ranks.told(number)))

    def agreed(self, y: Tensor, *, stop: bool) -> bool:
        """Whether any rank wants to stop at y, where all must be at one point.

        Raises:
            ArgumentError: on all ranks, if they are not.
        """
        heard = self.ranks.told((_digest(y), stop))
        if odd := [r for r, (digest, _) in enumerate(heard) if digest != heard[0][0]]:
            remedy = (
                "a rank's memory, an observer that writes, or another library has changed it: go on from a checkpoint"
            )
            raise ArgumentError("state", "one state on all ranks", f"another than rank 0's on {_ranks(odd)}", remedy)
        return any(wish for _, wish in heard)

    def agree_on(self, facts: Mapping[str, Any]) -> None:
        """Refuse on all ranks what is not the same on all.

        Raises:
            ArgumentError: with what differs, and where.
        """
        heard = self.ranks.told({k: repr(v) for k, v in facts.items()})
        for name in dict.fromkeys(k for told in heard for k in told):
            odd = [r for r, told in enumerate(heard) if told.get(name) != heard[0].get(name)]
            if odd:
                got = f"{str(heard[odd[0]].get(name))[:80]} on {_ranks(odd)}, {str(heard[0].get(name))[:80]} on rank 0"
                raise ArgumentError(name, "the same on all ranks", got, "start all ranks with one program and one file")

    def check(self, batch: Any = None, terms: Sequence[Any] = ()) -> None:
        """As `Game.check` on this rank's batch, in agreement: if one rank refuses, all do.

        Raises:
            ArgumentError: as `Game.check`; or if another rank refused.
        """
        self._verified = False
        self._agree(_refused(super().check, batch, terms))

    def _joined(self, leaves: Sequence[Tensor], terms: int, evaluate: Callable[[list[Tensor]], Losses]) -> Losses:
        if get_proxy_mode() is not None:
            remedy = "ranks compile each by itself, and would wait for one another: a shared game is stepped eagerly"
            raise ArgumentError("game", "one on a single process, to be traced", f"{self.ranks.count} ranks", remedy)
        if not self._verified:
            self._verify(leaves)
        ranks, names = self.ranks, self.layout.players
        copies: list[Tensor] = []
        for at in self.layout.leaf_slices:  # by player: one player's gradient is one collective, and leaves others out
            copies += _copied(ranks, *leaves[at])
        try:
            losses, inside = evaluate(copies)
            shares = [x.to(leaves[0].dtype) * ranks.weight for x in (*losses, *inside)]
        except Exception:
            nothing = torch.zeros_like(leaves[0].detach().reshape(-1)[0])
            ill = torch.nn.functional.one_hot(torch.tensor(ranks.rank), ranks.count).to(nothing)
            _reduced(ranks, *[nothing] * (len(names) + terms), ill)  # the others are waiting for this one
            raise
        *totals, ill = _reduced(ranks, *[x.detach() for x in shares], self._well.to(leaves[0].dtype))
        failed = [r for r, x in enumerate(ill.tolist()) if x]
        if failed:
            raise ArgumentError("losses", "losses that every rank can evaluate", f"an error on {_ranks(failed)}", SEE)
        whole = [_replaced(ranks, x, total) for x, total in zip(shares, totals, strict=True)]
        return tuple(whole[: len(names)]), tuple(whole[len(names) :])

    def _verify(self, leaves: Sequence[Tensor]) -> None:
        """At the first evaluation: all ranks are at one point (of an ensemble, whose leaves are wrapped, unchecked)."""
        if any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in leaves):
            return
        names = [f"{self.layout.players[leaf.player]}.{leaf.name}".rstrip(".") for leaf in self.layout.leaves]
        _same_on_all(self.ranks, dict(zip(names, leaves, strict=True)), "state", "start all ranks from one state")
        self._verified = True

    def _agree(self, error: Exception | None) -> None:
        """Raise on all ranks if one has an error: its own there, its words elsewhere."""
        words = self.ranks.told(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        failed = [r for r, text in enumerate(words) if text is not None]
        if failed:
            got = f"on {_ranks(failed)}, {words[failed[0]]}"
            raise ArgumentError("game", "a game that every rank can evaluate", got, SEE)


SEE = "its own error says more"
ROWS_LEVEL = 1  # of the older vmap (`_summed`): nothing but is_grads_batched uses it, so it is never nested


def data_parallel(game: Game, group: Any = None, weight: float | None = None) -> DataParallelGame:
    """The game whose losses are the means over all ranks' batches; to be made, and used alike, in every process.

        L_i(y) = sum_r weight_r L_i(y; batch of rank r)

    Field, penalties, J u and J^T u are those of one process that has all the data, to rounding, and equal on all ranks:
    flows, `solve` and `linearise` take the game like any other, each rank its own batches. A term is evaluated of the
    whole: `r1` is averaged like a loss, `squared_gradient` is that of the mean's gradient, not a mean of shards'.

    What the ranks must do:

    - Losses are means over samples. What is no mean (a loss of a batch's own statistics) is averaged over shards.
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
        raise ArgumentError("game", "one game on all ranks", f"other players, shapes or dtype on {_ranks(odd)}")
    remedy = "seed the modules alike, load one file, or torch.distributed.broadcast every parameter and buffer"
    _same_on_all(ranks, _tensors(game), "game", remedy)
    return DataParallelGame(game, ranks)


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
    heard = ranks.told({name: _digest(x) for name, x in tensors.items()})
    names = dict.fromkeys(name for told in heard for name in told)
    odd = ((name, [r for r, x in enumerate(heard) if x.get(name) != heard[0].get(name)]) for name in names)
    found = [f"{name} on {_ranks(where)}" for name, where in odd if where]
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        got = f"other than on rank 0: {', '.join(found[:3])}{more}"
        raise ArgumentError(argument, "equal values on all ranks", got, remedy)


def _digest(x: Tensor) -> str:
    raw: Any = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{tuple(x.shape)} {hashlib.sha256(raw).hexdigest()}"


def _ranks(which: Sequence[int]) -> str:
    return f"rank{'s' if len(which) > 1 else ''} {', '.join(map(str, which))}"


def _refused(call: Callable[..., Any], *args: Any) -> Exception | None:
    """The error of a call, if it raises one."""
    try:
        call(*args)
    except Exception as error:
        return error
    return None


def _copied(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
    return Copied.apply(ranks, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def _reduced(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
    return Reduced.apply(ranks, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def _replaced(ranks: Ranks, share: Tensor, total: Tensor) -> Tensor:
    return _Replaced.apply(ranks, share, total)  # type: ignore[no-untyped-call, no-any-return]


def _summed(ranks: Ranks, flat: Tensor) -> Tensor:
    """The sum over ranks of a tensor that may be thrown away.

    The rows of `torch.autograd.grad(..., is_grads_batched=True)` come as tensors of PyTorch's older vmap, which asks no
    function for its rule: they are unpacked here, so that all rows travel at once.
    """
    if not torch._C._functorch.is_legacy_batchedtensor(flat):
        return ranks.sum_(flat)
    rows = torch._remove_batch_dim(flat, ROWS_LEVEL, 1, 0)
    return torch._add_batch_dim(ranks.sum_(rows.contiguous()), 0, ROWS_LEVEL)


def _filled(like: Sequence[Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """Zeros where there is nothing: ranks must agree on how much travels."""
    return [
        torch.zeros(shape, dtype=dtype, device=device) if x is None else x
        for (shape, dtype, device), x in zip(like, tensors, strict=True)
    ]


def _rows_first(in_dims: Sequence[Any], tensors: Sequence[Tensor]) -> tuple[list[Tensor], tuple[Any, ...]]:
    """Tensors with the mapped dimension in front, and where it is in each now."""
    moved = [x if d is None else x.movedim(d, 0) for d, x in zip(in_dims, tensors, strict=True)]
    return moved, tuple([None if d is None else 0 for d in in_dims])
