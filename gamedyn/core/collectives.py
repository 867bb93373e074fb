"""What travels between the processes that share a game: sums over ranks, in the graph of autograd and beside it.

Two functions make every derivative of a mean over ranks right, of any order, and equal on all of them. `Copied` takes
what all hold alike into a rank's own work: the identity, whose cotangents are summed over ranks. `Reduced` takes the
ranks' shares out of it: a sum over ranks, whose cotangent is handed on as it is. Each is the other's backward, so that
the backward of the backward is reduced in its turn, where a penalty on a gradient or a product with J needs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.processes import Alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Copied", "Ranks", "Reduced", "copied", "digest", "named", "reduced", "replaced"]

ROWS_LEVEL = 1  # of the older vmap (`_summed`): nothing but is_grads_batched uses it, so it is never nested


class Ranks(Alone):
    """The processes that share a game, seen from one of them.

    Attributes:
        group: of torch.distributed; None: all processes.
        count: how many there are.
        rank: this one's place.
        weight: its share of a batch's samples.
        ahead: whether a gradient's sum is begun when the gradient is there, and used after `arrived`.
    """

    alone = False

    def __init__(self, group: Any, weight: float | None) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            remedy = "call torch.distributed.init_process_group first, in every process"
            raise ArgumentError("group", "processes that know of one another", "no process group", remedy)
        self.group, self.count, self.rank = group, dist.get_world_size(group), dist.get_rank(group)
        if self.rank < 0:
            raise ArgumentError("group", "a group that this process belongs to", group)
        self.weight, self.ahead = self._share(weight), False
        self._sent: list[tuple[Any, Tensor]] = []

    def told(self, mine: Any) -> list[Any]:
        """What every rank sends, by rank (pickled: for borders, not for the hot path)."""
        heard: list[Any] = [None] * self.count
        dist.all_gather_object(heard, mine, group=self.group)
        return heard

    def least(self, number: float) -> float:
        """The least over ranks, for choices that must be one on all of them."""
        return float(min(self.told(number)))

    def agreed(self, y: Tensor, *, stop: bool) -> bool:
        """Whether any rank wants to stop at y, where all must be at one point.

        Raises:
            ArgumentError: on all ranks, if they are not.
        """
        heard = self.told((digest(y), stop))
        if odd := [r for r, (own, _) in enumerate(heard) if own != heard[0][0]]:
            remedy = (
                "a rank's memory, an observer that writes, or another library has changed it: go on from a checkpoint"
            )
            raise ArgumentError("state", "one state on all ranks", f"another than rank 0's on {named(odd)}", remedy)
        return any(wish for _, wish in heard)

    def agree_on(self, facts: Mapping[str, Any]) -> None:
        """Refuse on all ranks what is not the same on all.

        Raises:
            ArgumentError: with what differs, and where.
        """
        heard = self.told({k: repr(v) for k, v in facts.items()})
        for name in dict.fromkeys(k for told in heard for k in told):
            odd = [r for r, told in enumerate(heard) if told.get(name) != heard[0].get(name)]
            if odd:
                got = f"{str(heard[odd[0]].get(name))[:80]} on {named(odd)}, {str(heard[0].get(name))[:80]} on rank 0"
                raise ArgumentError(name, "the same on all ranks", got, "start all ranks with one program and one file")

    def sum_(self, x: Tensor) -> Tensor:
        """The sum over ranks, in place, equal on all of them."""
        with _explained():
            if self.count > 1:
                dist.all_reduce(x, group=self.group)
        return x

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Begin the sums of tensors over ranks, in one buffer; what is returned holds them after `arrived`."""
        flat = torch.cat([x.detach().reshape(-1) for x in tensors])
        with _explained():
            if self.count > 1:
                self._sent.append((dist.all_reduce(flat, group=self.group, async_op=True), flat))
        return _cut(flat, tensors)

    def arrived(self) -> None:
        """Wait for all that has been sent."""
        self.ahead, sent, self._sent = False, self._sent, []
        with _explained():
            for work, _ in sent:
                work.wait()

    def share(self, n: int) -> slice:
        """Which of n entries of the state are this rank's, where each keeps its own: as many, or one more."""
        return self._of(n, self.rank)

    def _of(self, n: int, rank: int) -> slice:
        return slice(n * rank // self.count, n * (rank + 1) // self.count)

    def gather_(self, y: Tensor) -> Tensor:
        """Every rank's share of y, (n,), put into all ranks' y."""
        with _explained():
            shares = [y[self._of(len(y), r)] for r in range(self.count if self.count > 1 else 0)]
            works = [
                dist.broadcast(x, group=self.group, group_src=r, async_op=True) for r, x in enumerate(shares) if len(x)
            ]
            for work in works:
                work.wait()
        return y

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


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        error.add_note("A rank may have ended, or be doing something else: look for the first error of any rank.")
        raise


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
        """Their sum over ranks; where it is not to be differentiated and may come later, only begun."""
        filled = _filled(ctx.like, cotangents)
        if ctx.ranks.ahead and not torch.is_grad_enabled():
            return None, *ctx.ranks.send(filled)
        return None, *reduced(ctx.ranks, *filled)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Any, ...]:
        """The tangents themselves."""
        return copied(ctx.ranks, *_filled(ctx.like, tangents))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, *tensors: Tensor) -> tuple[Any, Any]:
        """Rows together."""
        moved, dims = _rows_first(in_dims[1:], tensors)
        return copied(ranks, *moved), dims


class Reduced(_OfRanks):
    """Sums over ranks, equal on all of them; backwards, a cotangent is handed to every rank as it is.

    `Reduced.apply(ranks, *tensors)`. The tensors travel in one buffer.
    """

    @staticmethod
    def forward(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The sums."""
        return tuple(_cut(_summed(ranks, torch.cat([x.reshape(-1) for x in tensors])), tensors))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """The cotangents, each rank's to use."""
        copies = iter(copied(ctx.ranks, *[g for g in cotangents if g is not None]))
        return None, *[None if g is None else next(copies) for g in cotangents]

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Any, ...]:
        """Sums of the tangents."""
        return reduced(ctx.ranks, *_filled(ctx.like, tangents))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, *tensors: Tensor) -> tuple[Any, Any]:
        """All rows in one sum."""
        moved, dims = _rows_first(in_dims[1:], tensors)
        return reduced(ranks, *moved), dims


class _Replaced(_OfRanks):
    """A known sum in the place of this rank's share, or one on its way: `Reduced` of one tensor without its collective.

    The losses are summed together, and are then differentiated one by one: each has a node of its own, so that one
    player's gradient does not go through another player's loss.
    """

    @staticmethod
    def forward(ranks: Ranks, share: Tensor, total: Tensor) -> Tensor:
        return total.view_as(total) if ranks.ahead else total.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Any, ...]:
        return None, None if cotangent is None else copied(ctx.ranks, cotangent)[0], None

    @staticmethod
    def jvp(ctx: Any, _: None, share: Tensor, total: Any) -> Tensor:
        return reduced(ctx.ranks, share)[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], ranks: Ranks, share: Tensor, total: Tensor) -> tuple[Any, Any]:
        moved, dims = _rows_first(in_dims[1:], (share, total))
        return replaced(ranks, *moved), dims[1]


def digest(x: Tensor) -> str:
    """A name for a tensor's bits, and its shape."""
    raw: Any = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{tuple(x.shape)} {hashlib.sha256(raw).hexdigest()}"


def named(which: Sequence[int]) -> str:
    """Ranks, in words."""
    return f"rank{'s' if len(which) > 1 else ''} {', '.join(map(str, which))}"


def copied(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`Copied` of tensors."""
    return Copied.apply(ranks, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def reduced(ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`Reduced` of tensors."""
    return Reduced.apply(ranks, *tensors)  # type: ignore[no-untyped-call, no-any-return]


def replaced(ranks: Ranks, share: Tensor, total: Tensor) -> Tensor:
    """A share with its total in its place."""
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


def _cut(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of a vector, one after the other, in the shapes of tensors."""
    pieces = torch.split(flat, [x.numel() for x in like])
    return [piece.view(x.shape) for piece, x in zip(pieces, like, strict=True)]


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
