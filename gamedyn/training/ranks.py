"""Several processes on one run: those that torchrun starts, joined."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from gamedyn._lib.errors import ArgumentError, warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamedyn.core import Game

__all__ = ["Place", "code_digest", "joined", "warn_of_shards"]


class Place(NamedTuple):
    """Where this process stands among those that share a run.

    Attributes:
        rank: its number.
        ranks: how many there are.
    """

    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def shard(self) -> tuple[int, int] | None:
        """Its share of every batch; None: all of it."""
        return None if self.ranks == 1 else (self.rank, self.ranks)

    def first_does(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Let the first process do something before any goes on; its error is everybody's.

        Raises:
            Exception: that of the call, on the first process.
            ArgumentError: on the others, with its words.
        """
        if self.ranks == 1:
            call(*arguments, **options)
            return
        error: Exception | None = None
        if self.first:
            try:
                call(*arguments, **options)
            except Exception as raised:
                error = raised
        words = [None if error is None else str(error)]
        dist.broadcast_object_list(words, src=0)
        if error is not None:
            raise error
        if words[0] is not None:
            raise ArgumentError("the run", "a first process that can begin it", words[0], "its own error says more")


@contextlib.contextmanager
def joined(device: torch.device | str | None) -> Iterator[tuple[Place, torch.device | str | None]]:
    """This process's place among those that torchrun started, and its device; alone where there are none.

    A process group that is there already is used, and left; else one is made, gloo's on CPUs, nccl's on GPUs, where
    each process takes the GPU of its local rank.
    """
    if dist.is_available() and dist.is_initialized():
        yield Place(dist.get_rank(), dist.get_world_size()), device
        return
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Place(), device
        return
    kind = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type
    if kind == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Place(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()


def code_digest() -> str:
    """A name for the source of this package, for processes to compare."""
    folder = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def warn_of_shards(game: Game) -> None:
    """Warn of modules with which the run of several processes is not that of one: batch statistics, dropout."""
    kinds: dict[str, Any] = {
        "batch norm takes its shard's statistics (group, layer and instance norms do not)": _BatchNorm,
        "dropout draws the same for every shard": _DropoutNd,
    }
    for what, kind in kinds.items():
        named = [
            f"{player}.{name}"
            for player, module in game.players.items()
            if isinstance(module, torch.nn.Module)
            for name, m in module.named_modules()
            if isinstance(m, kind) and m.training
        ]
        if named:
            some = f"{', '.join(named[:3])}{', ...' if len(named) > 3 else ''}"
            warn_caller(f"{what}: {some}; the run is not that of one process", UserWarning)
