"""What a data set is: samples in memory or read as they are needed, and what is known of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Batches, batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.utils.data import Dataset as TorchDataset

__all__ = ["DataFamily", "DataSet"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples to learn, with labels where they have them.

    Attributes:
        name: of the data set.
        samples: (n, *shape), float32, images in [-1, 1]; or a torch data set of such samples (with labels: pairs),
            read as they are needed.
        labels: (n,), whole numbers, or None.
        classes: number of labels; 0: none.
        test: samples and labels that are not trained on, or None.
        centres: of a mixture's modes, (modes, dimensions), or None.
        sigma: standard deviation of a mixture's modes.
        about: where they come from, and what was done to them.
    """

    name: str
    samples: Tensor | TorchDataset[Any]
    labels: Tensor | None = None
    classes: int = 0
    test: tuple[Tensor, Tensor] | None = None
    centres: Tensor | None = None
    sigma: float = 0.0
    about: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        labels = f", {self.classes} classes" if self.classes else ""
        where = "" if self.in_memory else ", read as needed"
        return f"DataSet({self.name}, {len(self):,} samples {self.shape}{labels}{where})"

    @property
    def in_memory(self) -> bool:
        """Whether the samples are one tensor."""
        return isinstance(self.samples, Tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.samples.shape[1:] if isinstance(self.samples, Tensor) else self._first().shape)

    @property
    def is_images(self) -> bool:
        """Whether samples are (channels, height, width)."""
        return len(self.shape) == 3

    def digest(self) -> str:
        """A name for what is in it: of samples in memory their bits, of others what they are read from."""
        found = hashlib.sha256(repr((self.name, len(self), self.shape, self.facts)).encode())
        for part in (self.samples, self.labels):
            if isinstance(part, Tensor):
                found.update(part.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def take(self, count: int, seed: int = 0) -> Tensor:
        """So many different samples, chosen by a seed, in memory.

        Raises:
            ArgumentError: for more than there are.
        """
        if positive_int("count", count) > len(self):
            raise ArgumentError("count", f"at most the {len(self)} samples there are", count)
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count]
        if isinstance(self.samples, Tensor):
            return self.samples[order.to(self.samples.device)].cpu()
        return torch.stack([_sample(self.samples[int(i)]) for i in order])

    def shard(self, rank: int, world: int) -> DataSet:
        """Every `world`-th sample from `rank` on: disjoint parts whose sizes differ by 1 at most.

        Raises:
            ArgumentError: for a rank outside of the world, or a part without samples.
        """
        world, rank = positive_int("world", world), positive_int("rank", rank, least=0)
        if rank >= world:
            raise ArgumentError("rank", f"one below the {world} there are", rank)
        if len(self) < world:
            raise ArgumentError("world", f"at most {len(self)}, one sample each", world)
        labels = None if self.labels is None else self.labels[rank::world]
        if isinstance(self.samples, Tensor):
            return replace(self, samples=self.samples[rank::world], labels=labels)
        part = torch.utils.data.Subset(self.samples, range(rank, len(self), world))
        return replace(self, samples=part, labels=labels)

    def to(self, device: torch.device | str) -> DataSet:
        """The same, samples and labels in memory on a device."""
        if not isinstance(self.samples, Tensor):
            return self
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, samples=self.samples.to(device), labels=labels)

    def batches(
        self,
        batch_size: int,
        *,
        latent: int | None = None,
        seed: int = 0,
        labels: bool = False,
        workers: int = 0,
        shard: tuple[int, int] | None = None,
    ) -> Batches:
        """The stream `gamedyn.solve` takes: `(samples, noise)`, or `((samples, labels), noise)`.

        Args:
            batch_size: at most the number of samples; the last incomplete batch of an epoch is dropped.
            latent: size of the noise of a sample; None: no noise, items alone.
            seed: of order and noise.
            labels: whether labels come with the samples.
            workers: processes that read samples that are not in memory.
            shard: (rank, ranks), as `gamedyn.batches` takes it.

        Raises:
            ArgumentError: for a batch larger than the data, or labels that there are not.

        Example:
            >>> from gamedyn.training import data
            >>> stream = data.load("mixture").batches(64, latent=2)
            >>> [x.shape for x in next(stream)]
            [torch.Size([64, 2]), torch.Size([64, 2])]
        """
        if positive_int("batch_size", batch_size) > len(self):
            raise ArgumentError("batch_size", f"at most the {len(self)} samples of {self.name}", batch_size)
        workers = positive_int("workers", workers, least=0)
        if labels and self.labels is None:
            raise ArgumentError("labels", f"False: {self.name} has none", labels)
        if not isinstance(self.samples, Tensor):
            source: Any = self.samples if labels else _Unlabelled(self.samples)
            pinned = torch.cuda.is_available()
            loader = DataLoader(
                source, batch_size, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pinned
            )
            return batches(loader, latent=latent, seed=seed, shard=shard)
        both = TensorDataset(self.samples, self.labels) if labels and self.labels is not None else self.samples
        return batches(both, latent=latent, seed=seed, batch_size=batch_size, shard=shard)

    def _first(self) -> Tensor:
        return _sample(self.samples[0])


class _Unlabelled(torch.utils.data.Dataset[Tensor]):
    """A data set's samples without their labels."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Tensor:
        return _sample(self.inner[index])


def _sample(item: Any) -> Tensor:
    """The sample of an item, which may be (sample, label)."""
    found: Tensor = item[0] if isinstance(item, (tuple, list)) else item
    return found


@dataclass(frozen=True)
class DataFamily:
    """A named source of samples.

    Attributes:
        name: canonical name.
        load: `load(**options)` gives a DataSet.
        source: where the samples come from.
        offline: whether it needs no file that has to be fetched.
        aliases: other names.
        shape: `shape(**options)` gives the shape of a sample and the number of classes before anything is read; None:
            known once it is.
    """

    name: str
    load: Callable[..., DataSet]
    source: str
    offline: bool = True
    aliases: tuple[str, ...] = ()
    shape: Callable[..., tuple[tuple[int, ...], int]] | None = None
