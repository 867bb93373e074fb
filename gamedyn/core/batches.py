"""Batches: the loader's item and noise, on the players' device, without end, resumable."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import TensorDataset

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.randomness import OwnRandomness, reseeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamedyn.core.game import Game

__all__ = ["Batches", "batches", "checksum", "in_memory", "moved", "moved_to", "stacked"]

END = object()
"""What an iterator that has ended gives."""

CHECKED = 2**16
"""Entries of the samples that say whether they are those of the run that is gone on from."""


class Batches:
    """A stream of batches that does not end, made by `batches`: `next` gives one, `state_dict` says where it stands.

    `load_state_dict` goes on from there, exactly.
    """

    def __init__(
        self,
        source: Any,
        latent: tuple[int, ...] | None,
        seed: int,
        batch_size: int | None,
        shard: tuple[int, int] | None = None,
    ) -> None:
        self.source, self.seed, self.batch_size = source, seed, batch_size
        self.latent, self.shard = latent, shard
        self.device: torch.device | None = None
        self.dtype: torch.dtype | None = None
        self._noise = torch.Generator().manual_seed(seed)
        self._order = torch.Generator().manual_seed(seed + 1)
        self._epoch_start = self._order.get_state()
        self._position = self._samples = 0
        self._own: OwnRandomness | None = None
        self._items = self._epoch()

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        item = self._next_item()
        count, device = _counted(item)
        if self.shard is not None:
            item = tree_map(lambda x: self._own_share(x, count), item)
        item = moved(item, self.device, self.dtype)
        if self.latent is None:
            return item
        noise = torch.randn(count, *self.latent, generator=self._noise, dtype=self.dtype or torch.get_default_dtype())
        return item, self._own_share(noise, count).to(self.device or device)

    def _own_share(self, x: Any, samples: int) -> Any:
        """Of a batch's tensor of samples this rank's; what has none stays whole.

        Raises:
            ArgumentError: for samples that cannot be shared evenly, and text, which may be of single samples.
        """
        if self.shard is None or (isinstance(x, Tensor) and (not x.dim() or len(x) != samples)):
            return x
        rank, count = self.shard
        if isinstance(x, (str, bytes)):
            raise ArgumentError(
                "batches", "tensors, to be shared by ranks", f"text: {x!r}", "leave it out of the batch"
            )
        if samples % count:
            remedy = "batch sizes that are multiples of the number of ranks"
            raise ArgumentError("batches", f"batches that {count} ranks can share evenly", f"{samples} samples", remedy)
        return x[rank::count] if isinstance(x, Tensor) else x

    def to(self, device: torch.device, dtype: torch.dtype) -> Batches:
        """Yield batches on this device; floating tensors in this dtype."""
        self.device, self.dtype = device, dtype
        return self

    def described(self) -> dict[str, Any]:
        """What it draws from, for a run that goes on to be checked against."""
        source = self.source
        length = len(source) if hasattr(source, "__len__") else None
        samples: Any = getattr(source, "dataset", None)
        return {
            "source": type(source).__name__,
            "length": length,
            "samples": len(samples) if hasattr(samples, "__len__") else None,
            "batch_size": self.batch_size or getattr(source, "batch_size", None),
            "latent": self.latent,
            "seed": self.seed,
            "content": _content(source if samples is None else getattr(samples, "tensors", None)),
        }

    @property
    def unowned(self) -> str:
        """Why a run on it may not go on bit for bit; "" where it does."""
        source: Any = self.source
        if getattr(source, "persistent_workers", False):
            return "persistent workers keep their random numbers from epoch to epoch: persistent_workers=False"
        if self._stateful and bool(getattr(source, "num_workers", False)):
            return "what workers draw begins anew where a loader that keeps its own place goes on: a plain DataLoader"
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        place: dict[str, Any] = {"noise": self._noise.get_state(), "epoch": self._epoch_start}
        place |= {"position": self._position, "samples": self._samples, "size": self._size}
        if self._stateful and self._own is not None:
            place |= {"loader": self.source.state_dict(), "own": self._own.state_dict()}
        return place

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where a stream of the same source and seed stood.

        A loader that keeps its own place (`torchdata`'s StatefulDataLoader) is set to it; of any other the batches of
        the epoch are read again up to that place. If batches have another size now, it goes on after the same number
        of samples; a loader goes on with the first batch that begins after them.
        """
        self._order.set_state(state["epoch"].cpu())  # a run is read onto the players' device
        if self._stateful and "loader" in state:
            self.source.load_state_dict(state["loader"])
            self._items = self._epoch(state["own"])
            self._position, self._samples = state["position"], state["samples"]
        elif in_memory(self.source) is not None:
            self._items = self._epoch(state["samples"])
            self._samples = state["samples"]
        else:
            self._items, self._position, self._samples = self._epoch(), 0, 0
            counted = "position" if self._size == state["size"] else "samples"
            while vars(self)[f"_{counted}"] < state[counted]:
                item = next(self._items, END)
                if item is END:  # an epoch of other batches may be shorter: the next one begins
                    self._items, self._position, self._samples = self._epoch(), 0, 0
                    break
                self._position += 1
                self._samples += _counted(tree_map(_tensor, item))[0]
        self._noise.set_state(state["noise"].cpu())

    @property
    def _size(self) -> int | None:
        """Samples of a batch, where they are known."""
        source: Any = self.source
        size: int | None = self.batch_size or getattr(source, "batch_size", None)
        return size

    @property
    def _stateful(self) -> bool:
        """Whether the loader keeps its own place."""
        return hasattr(self.source, "state_dict") and hasattr(self.source, "load_state_dict")

    def _next_item(self) -> Any:
        for _ in range(2):
            try:
                item = next(self._items)
            except StopIteration:
                self._items, self._position, self._samples = self._epoch(), 0, 0
                continue
            item = tree_map(_tensor, item)
            self._position += 1
            self._samples += _counted(item)[0]
            return item
        raise ArgumentError("batches", "a loader that yields at least one item", "none", "is its data set empty?")

    def _epoch(self, place: Any = None) -> Iterator[Any]:
        """An epoch, from a place: of data in memory a sample, of a loader that keeps its own the generators' states."""
        self._epoch_start = self._order.get_state()
        data = in_memory(self.source)
        return self._loaded(place) if data is None else self._slices(data, place or 0)

    def _slices(self, data: Any, first: int) -> Iterator[Any]:
        count = len(tree_leaves(data)[0])
        order = torch.randperm(count, generator=self._order)
        size = self.batch_size or count
        for start in range(first, count - size + 1, size):
            at = order[start : start + size]
            yield tree_map(lambda x, at=at: x[at.to(x.device)], data)

    def _loaded(self, own_state: Any = None) -> Iterator[Any]:
        """The loader's epoch, its randomness seeded from this stream's: its own generators, and the default ones.

        Those of the loader, its samplers and its data set are seeded; the default generators, which samplers, workers'
        seeds and augmentation in `__getitem__` draw from, are this epoch's own while an item is fetched.
        """
        seed = int(torch.randint(2**62, (1,), generator=self._order))
        source: Any = self.source
        samplers = [getattr(source, n, None) for n in ("sampler", "batch_sampler", "dataset", "collate_fn")]
        samplers.append(getattr(samplers[1], "sampler", None))
        reseeded([source, *samplers], seed)
        own = self._own = OwnRandomness(seed)
        with own.drawn_from():
            items = iter(source)
        if own_state is not None:  # to begin an epoch draws, too
            own.load_state_dict(own_state)
        while True:
            with own.drawn_from():
                item = next(items, END)
            if item is END:
                return
            yield item


def batches(
    source: Any,
    *,
    latent: int | tuple[int, ...] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    shard: tuple[int, int] | None = None,
) -> Batches:
    """An endless stream of `(item, noise)`, or of items where `latent` is None.

    Args:
        source: a DataLoader (anything that can be iterated again and again), whose items are passed on as
            they come, arrays as tensors; or a tensor or array of samples, a dict of such, or a TensorDataset, whose
            items are tuples, drawn in shuffled batches of `batch_size`, the last incomplete one of an epoch being
            dropped.
        latent: size or shape of the standard normal noise for one sample.
        seed: of the noise and of the order.
        batch_size: for data in memory; None: all of it.
        shard: (rank, ranks): every batch, noise included, is drawn as one process would, and this rank has every
            ranks-th sample of it, from its own number on. Ranks with the same seed then have the run of one process,
            and stand at the same place: one may write it down for all, and another number of ranks go on.

    All randomness is the stream's own, so that a run goes on bit for bit: the order, that of samplers with generators
    of their own (PyTorch's, NumPy's, Python's), workers' seeds, augmentation in `__getitem__` with or without workers.
    The caller's default generators are left where they are. What cannot be owned (persistent workers) the run says:
    `run.stats["stream"]`.

    `solve` moves batches to the players' device, floating tensors to their dtype; noise is drawn on the CPU, so it is
    the same on every device. Integers stay integers. To read ahead is the loader's business (`num_workers`,
    `prefetch_factor`); copies to a GPU do not wait where it pins its memory.

    Raises:
        ArgumentError: if the source cannot be iterated again, is empty, or sizes are wrong.

    Example:
        >>> stream = batches(torch.arange(6.0).reshape(6, 1), latent=2, batch_size=3)
        >>> item, noise = next(stream)
        >>> item.shape, noise.shape
        (torch.Size([3, 1]), torch.Size([3, 2]))
    """
    if hasattr(source, "__array__") or isinstance(source, dict):
        source = tree_map(lambda x: torch.as_tensor(x) if hasattr(x, "__array__") else x, source)
    if (data := in_memory(source)) is not None:
        count = _samples_of(data)
        if batch_size is not None and positive_int("batch_size", batch_size) > count:
            raise ArgumentError("batch_size", f"at most the {count} samples there are", batch_size)
    elif batch_size is not None:
        raise ArgumentError("batch_size", "none for a loader, which has its own", batch_size)
    elif not hasattr(source, "__iter__") or hasattr(source, "__next__"):
        raise ArgumentError("source", "a tensor, or a loader that can be iterated again", type(source).__name__)
    sizes = None if latent is None else tuple(latent) if isinstance(latent, (tuple, list)) else (latent,)
    shape = None if sizes is None else tuple(positive_int("latent", size) for size in sizes)
    if shard is not None and not (positive_int("shard", shard[1]) > shard[0] >= 0):
        raise ArgumentError("shard", "(rank, ranks) with 0 <= rank < ranks", shard)
    return Batches(source, shape, seed, batch_size, shard)


def in_memory(source: Any) -> Any:
    """The tensors of a source that is sliced: one, a dict of them, a tuple of a TensorDataset's; None for loaders."""
    if isinstance(source, TensorDataset):
        return tuple(source.tensors)
    return source if isinstance(source, (Tensor, dict)) else None


def _samples_of(data: Any) -> int:
    """How many samples data in memory have.

    Raises:
        ArgumentError: for none, or tensors that differ in number.
    """
    leaves = tree_leaves(data)
    if not leaves or not all(isinstance(x, Tensor) and x.dim() and len(x) for x in leaves):
        shapes = [f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__ for x in leaves]
        empty = any(isinstance(x, Tensor) and not x.numel() for x in leaves)
        remedy = "an empty batch" if empty else ""
        raise ArgumentError("source", "tensors of samples", ", ".join(shapes) or "none", remedy)
    if len({len(x) for x in leaves}) > 1:
        raise ArgumentError("source", "tensors with as many samples", f"{[len(x) for x in leaves]}")
    return len(leaves[0])


def _tensor(x: Any) -> Any:
    """An array as a tensor; one whose kind no tensor has (text) as it is."""
    return torch.as_tensor(x) if isinstance(x, np.ndarray) and x.dtype.kind in "biuf" else x


def _counted(item: Any) -> tuple[int, torch.device]:
    """How many samples a batch has, and where its first tensor is.

    Raises:
        ArgumentError: for a batch without a tensor of samples, or with none in it.
    """
    first = next((x for x in tree_leaves(item) if isinstance(x, Tensor) and x.dim()), None)
    if first is None:
        kinds = ", ".join(sorted({type(x).__name__ for x in tree_leaves(item)})) or "nothing"
        remedy = "let the loader collate tensors: torch.as_tensor(array), or its default collate_fn"
        raise ArgumentError("batches", "batches with a tensor of samples", f"one of {kinds}", remedy)
    if not len(first):
        raise ArgumentError("batches", "batches with at least one sample", "an empty batch", "check the loader")
    return len(first), first.device


def moved(batch: Any, device: torch.device | None, dtype: torch.dtype | None) -> Any:
    """A batch on a device; its floating tensors in a dtype."""

    def move(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        x = x.clone() if x.is_inference() and not torch.is_inference_mode_enabled() else x  # else not differentiable
        return x.to(device, dtype if x.is_floating_point() else None, non_blocking=True)

    return tree_map(move, batch)


def moved_to(game: Game, batch: Any) -> Any:
    """A batch on the device of a game's players, floating tensors in their dtype."""
    return None if batch is None else moved(batch, game.device, game.dtype)


def stacked(streams: list[Any]) -> tuple[Callable[[], Any], int | None]:
    """One batch for an ensemble from a stream per member, and its batch dimension; a shared stream is drawn once."""
    unique = list({id(s): s for s in streams}.values())
    if len(unique) == 1:
        return lambda: next(unique[0]), None
    index = torch.tensor([next(i for i, u in enumerate(unique) if u is s) for s in streams])

    def draw() -> Any:
        drawn = [next(s) for s in unique]
        return tree_map(lambda *xs: torch.stack(xs)[index.to(xs[0].device)], drawn[0], *drawn[1:])

    return draw, 0


def checksum(tensor: Tensor, before: int = 0) -> int:
    """The CRC-32 of a tensor's bits, after that of another."""
    raw: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return zlib.crc32(raw, before)


def _content(source: Any) -> int | None:
    """Of tensors in memory: of a small one whole, of a large one at entries drawn with a fixed seed; None of others."""
    several = source if isinstance(source, tuple) else (source,)
    tensors = [x for x in several if isinstance(x, Tensor)]
    found = None
    for x in tensors:
        flat = x.detach().reshape(-1)
        if len(flat) > CHECKED:
            drawn = torch.randint(len(flat), (CHECKED,), generator=torch.Generator().manual_seed(0))
            flat = flat[drawn.to(flat.device)]
        found = checksum(flat, found or 0)
    return found
