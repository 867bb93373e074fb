"""A scorer: measures of generated samples against a data set, with what real samples get."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.training.scores._types import Features, Reference, in_blocks
from gamedyn.training.scores.classifiers import classifier
from gamedyn.training.scores.networks import efficientnet_lite0, inception, pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gamedyn.training.data import DataSet
    from gamedyn.training.scores._types import Measure

__all__ = ["FEATURES", "Scorer", "features"]

FEATURES = ("pixels", "classifier", "efficientnet_lite0", "inception")
MOST_REAL = 50_000


def features(name: str, data: DataSet, *, file: str | None = None, progress: bool = True) -> Features:
    """What samples of a data set are compared by.

    Args:
        name: "pixels", "classifier" (trained on the data set and kept), "efficientnet_lite0", or "inception".
        data: the data set.
        file: Inception's.
        progress: whether to show a bar while a classifier is trained.

    Raises:
        UnknownNameError: for another name.
        ArgumentError: for a network that is missing, or that does not take these samples.
    """
    if name not in FEATURES:
        raise UnknownNameError("features", name, FEATURES)
    if name in ("efficientnet_lite0", "inception") and not (data.is_images and data.shape[0] in (1, 3)):
        raise ArgumentError("features", f"images for {name}", f"samples {data.shape}", 'features = "pixels"')
    if name == "pixels":
        return pixels(data.shape)
    if name == "classifier":
        return classifier(data, progress=progress)
    if name == "efficientnet_lite0":
        return efficientnet_lite0()
    if not file:
        remedy = "features_file = a TorchScript Inception; its distance alone is called FID"
        raise ArgumentError("features", "a file for inception", "none", remedy)
    return inception(file)


ON_INCEPTION = {"fid": "frechet", "kid": "kernel"}
"""Names that mean a distance on the features of Inception and on no others."""


class Scorer:
    """Measures of generated samples against real ones.

    Every result has the number of samples, the features and, for a classifier, its accuracy; and beside it what real
    samples get at the same number (`floor.*`): test samples against the others, or where there are none, one half of
    the real samples against the other half, which `floor.n` says.

    Args:
        data: the real samples; of more than 50,000 so many, chosen by a seed.
        measures: names, or measures.
        features: as of `features(name, data)`, or the name.
        count: generated samples of a score.
        file: of Inception.
        progress: whether to show a bar while a classifier is trained.

    Raises:
        UnknownNameError: for an unknown measure or features.
        ArgumentError: for a measure that needs what there is not, such as "fid" or "kid" other features than
            Inception's.

    Example:
        >>> from gamedyn.training import data, scores
        >>> digits = data.load("digits")
        >>> score = scores.Scorer(digits, ["frechet"], features="pixels", count=500)
        >>> found = score(digits.samples[:500])
        >>> found["n"], round(found["frechet"]), score.floor["floor.n"]
        (500, 1, 500)
    """

    def __init__(
        self,
        data: DataSet,
        measures: Sequence[str | Measure] = ("frechet",),
        *,
        features: str | Features = "pixels",
        count: int = 10_000,
        file: str | None = None,
        progress: bool = True,
    ) -> None:
        from gamedyn.training.scores import get

        self.measures = [get(m) for m in measures]
        if not self.measures:
            raise ArgumentError("measures", "at least one", "none")
        self.count = positive_int("count", count, least=2)
        if isinstance(features, str):
            features = _features(features, data, file=file, progress=progress)
        self.features = features
        for name in measures:
            if isinstance(name, str) and name in ON_INCEPTION and features.name != "inception":
                remedy = (
                    f'"{ON_INCEPTION[name]}" is the same distance on any features; or features="inception", file=...'
                )
                raise ArgumentError("measures", f'"{name}" with the features of Inception', features.name, remedy)
        real = data.take(min(len(data), MOST_REAL))
        self._real, self._known = real, self._of(real)
        labels = None if data.labels is None else data.labels.cpu()
        self._data = (labels, None if data.centres is None else data.centres.cpu(), data.sigma)
        self.reference = self._against(self._real, self._known)
        for measure in self.measures:
            measure.begin(self.reference)  # refuses what does not apply
        self.floor = self._floor(data)

    def __call__(self, samples: Tensor | Iterable[Tensor]) -> dict[str, Any]:
        """The measures of samples, or of blocks of them, on any device."""
        began = time.perf_counter()
        found = self._measured(self.reference, [samples] if isinstance(samples, Tensor) else samples)
        accuracy = {} if self.features.accuracy is None else {"accuracy": self.features.accuracy}
        about = {"features": self.features.name, **accuracy, "seconds": time.perf_counter() - began}
        return {**found, **self.floor, **about}

    def of(self, make: Callable[[int], Tensor], *, block: int = 256) -> dict[str, Any]:
        """The measures of `count` samples that `make(n)` makes, n at a time."""
        sizes = [min(block, self.count - i) for i in range(0, self.count, block)]
        return self(make(n) for n in sizes)

    @property
    def best(self) -> str:
        """The number that says which of two is better: the first measure's first."""
        return self.measures[0].numbers[0]

    def better(self, number: str) -> str:
        """Whether "smaller" or "larger" is better.

        Raises:
            UnknownNameError: for a number that no measure gives.
        """
        known = {n: m.better for m in self.measures for n in m.numbers}
        known |= {n: "smaller" for n in known if n.startswith("modes_kl")}
        if number not in known:
            raise UnknownNameError("score", number, known)
        return known[number]

    def _of(self, samples: Tensor) -> Tensor:
        return torch.cat([self.features(x) for x in in_blocks(samples)])

    def _against(self, samples: Tensor, known: Tensor) -> Reference:
        return Reference(self.features, samples, known, *self._data, count=self.count)

    def _measured(self, reference: Reference, blocks: Iterable[Tensor]) -> dict[str, Any]:
        accounts, seen = [m.begin(reference) for m in self.measures], 0
        for block in blocks:
            for part in in_blocks(block.detach().to("cpu", torch.float32)):
                known = self.features(part)
                seen += len(part)
                for account in accounts:
                    account.add(part, known)
        found: dict[str, Any] = {}
        for account in accounts:
            found |= account.result()
        return {**found, "n": seen}

    def _floor(self, data: DataSet) -> dict[str, float]:
        """What real samples get."""
        if data.test is not None and len(data.test[0]) >= min(self.count, len(self._real) // 2):
            unseen, reference = data.test[0][: self.count], self.reference
        else:
            half = min(self.count, len(self._real) // 2)
            unseen = self._real[:half]
            reference = self._against(self._real[half:], self._known[half:])
        return {f"floor.{k}": v for k, v in self._measured(reference, [unseen]).items()}


_features = features
