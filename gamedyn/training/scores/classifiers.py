"""A small classifier trained on the data set itself: features to compare by, and labels of modes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import files
from gamedyn.core.randomness import OwnRandomness
from gamedyn.training.scores._types import Features, in_blocks

if TYPE_CHECKING:
    from gamedyn.training.data import DataSet

__all__ = ["Classifier", "classifier", "kept_in"]

WIDTH = 16
FEATURES = 128
VERSION = 1
"""Of the network and its training: kept ones of another are trained anew."""


class Classifier(nn.Module):
    """Three 3x3 convolutions, halved twice, and 128 features, of which labels are a linear function.

    Args:
        shape: of a sample; what is no image goes through linear layers of 128.
        classes: labels.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(shape) == 3:
            body: list[nn.Module] = [nn.Conv2d(shape[0], WIDTH, 3, padding=1), nn.ReLU()]
            body += [nn.Conv2d(WIDTH, 2 * WIDTH, 3, 2, 1), nn.ReLU(), nn.BatchNorm2d(2 * WIDTH)]
            body += [nn.Conv2d(2 * WIDTH, 4 * WIDTH, 3, 2, 1), nn.ReLU(), nn.BatchNorm2d(4 * WIDTH)]
            body += [nn.Flatten(), nn.LazyLinear(FEATURES), nn.ReLU()]
        else:
            body = [nn.Flatten(), nn.LazyLinear(FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU()]
        self.features = nn.Sequential(*body)
        self.last = nn.Linear(FEATURES, classes)
        self.eval()
        with torch.no_grad():
            self.features(torch.zeros(1, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """Scores of labels, (n, classes)."""
        out: Tensor = self.last(self.features(x))
        return out


class _Planes(nn.Module):
    """Features of every plane of stacked digits, beside each other."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """(n, planes * 128)."""
        return torch.cat([self.inner(x[:, i : i + 1]) for i in range(x.shape[1])], 1)


def kept_in() -> Path:
    """The folder where classifiers are kept: GAMEDYN_CACHE, or the user's cache."""
    base = os.environ.get("GAMEDYN_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gamedyn" / "classifiers"


def classifier(
    data: DataSet, *, folder: str | Path | None = None, epochs: int | None = None, seed: int = 0, progress: bool = True
) -> Features:
    """A classifier of a labelled data set, kept in a folder and trained where there is none yet.

    Adam, learning rate 1e-3 to 0 by a cosine, batches of 128. Its accuracy is that on the test samples; where there are
    none, on a fifth of the samples that it is not trained on. Stacked digits have one classifier for a plane.

    Args:
        data: with labels.
        folder: where it is kept; None: `kept_in()`.
        epochs: None: as many as see about 300,000 samples, from 4 to 60.
        seed: of weights, order and the fifth.
        progress: whether to show a bar while it trains (never unless standard error is a terminal).

    Raises:
        ArgumentError: for a data set without labels.
    """
    if data.labels is None or data.classes < 2:
        remedy = 'features = "efficientnet_lite0" for images, "pixels" for small samples'
        raise ArgumentError("features", "a data set with labels for a classifier", data.name, remedy)
    planes = 3 if "planes" in data.facts else 1
    settings = (VERSION, data.digest(), epochs, seed, planes)
    key = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    path = (kept_in() if folder is None else Path(folder)) / f"{data.name}-{key}.pt"
    shape, classes = ((1, *data.shape[1:]), 10) if planes == 3 else (data.shape, data.classes)
    with OwnRandomness(seed).drawn_from():
        network = Classifier(shape, classes)
    content = _kept(path)
    if content is None:
        x, y, test = _split(data, planes, seed)
        _trained(network, x, y, epochs, seed, progress)
        content = {"weights": network.state_dict(), "accuracy": _accuracy(network, *test)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            got = f"{path.parent}: {error.strerror}"
            raise ArgumentError("GAMEDYN_CACHE", "a folder that can be made", got) from error
        files.write(path, content)
    network.load_state_dict(content["weights"])
    network.eval().requires_grad_(False)
    inner = _Planes(network.features) if planes == 3 else network.features
    labels = _Labels(network, planes)
    return Features("classifier", inner.eval(), FEATURES * planes, key, content["accuracy"], labels, data.classes)


class _Labels:
    """Samples to labels: of stacked digits, 100 a + 10 b + c."""

    def __init__(self, network: nn.Module, planes: int) -> None:
        self.network, self.planes = network, planes

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            if self.planes == 1:
                found: Tensor = self.network(x).argmax(1)
                return found
            digits = [self.network(x[:, i : i + 1]).argmax(1) for i in range(3)]
        stacked: Tensor = 100 * digits[0] + 10 * digits[1] + digits[2]
        return stacked


def _kept(path: Path) -> dict[str, Any] | None:
    """What is in a file; None where there is none, or it is damaged."""
    try:
        return files.read(path, torch.device("cpu")) if path.is_file() else None
    except ArgumentError:
        return None


def _split(data: DataSet, planes: int, seed: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Samples and labels to train on and to test on; of stacked digits those of the first plane."""
    if planes == 3:
        from gamedyn.training.data import load

        data = load(data.facts["planes"])
    x, y = data.take(len(data), seed), data.labels
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    y = y[order.to(y.device)].cpu()  # type: ignore[index, union-attr]
    if data.test is not None:
        return x, y, data.test
    apart = len(x) // 5
    if not apart:
        raise ArgumentError("features", "at least 5 samples for a classifier", f"{len(x)} of {data.name}")
    return x[apart:], y[apart:], (x[:apart], y[:apart])


def _trained(network: nn.Module, x: Tensor, y: Tensor, epochs: int | None, seed: int, progress: bool) -> None:
    times = min(60, max(4, 300_000 // len(x))) if epochs is None else positive_int("epochs", epochs)
    size = min(128, len(x))
    steps = times * (len(x) // size)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    draw = torch.Generator().manual_seed(seed)
    network.train()
    with tqdm(total=steps, desc="training the classifier", disable=None if progress else True, leave=False) as bar:
        for _ in range(times):
            order = torch.randperm(len(x), generator=draw)
            for at in order[: len(x) // size * size].reshape(-1, size):
                optimiser.zero_grad()
                cross_entropy(network(x[at]), y[at]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                cosine.step()
                bar.update()
    network.eval()


def _accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        right = sum(int((network(a).argmax(1) == b).sum()) for a, b in zip(in_blocks(x), in_blocks(y), strict=True))
    return right / len(x)
