"""Streams of batches: the order and the noise both go on where they stood."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import gamedyn as gd

DATA = torch.arange(14.0).reshape(7, 2)


def stream(source, size):
    return gd.batches(source, latent=3, seed=5, batch_size=size)


@pytest.mark.parametrize("drawn", [0, 1, 3, 4])
@pytest.mark.parametrize("loader", [False, True])
def test_a_resumed_stream_draws_the_same_items_and_noise(drawn, loader):
    # rejects: a resumed order with noise that begins again
    source, size = (DATA.split(2), None) if loader else (DATA, 2)
    going = stream(source, size)
    for _ in range(drawn):
        next(going)
    standing = going.state_dict()
    fresh = stream(source, size)
    fresh.load_state_dict(standing)
    for _ in range(5):
        (item, noise), (again, same) = next(going), next(fresh)
        assert torch.equal(item, again)
        assert torch.equal(noise, same)


class Shaken(Dataset):
    """Samples that are augmented by a default generator of each kind, and by one of the data set's own."""

    def __init__(self):
        self.own = np.random.default_rng(3)

    def __len__(self):
        return 20

    def __getitem__(self, i):
        parts = [torch.randn(1).item(), random.random(), np.random.random(), self.own.random()]  # noqa: NPY002
        return torch.tensor([float(i), *parts])


class Sampler(torch.utils.data.Sampler):
    """A sampler with a generator of its own."""

    def __init__(self, kind):
        make = {"numpy": np.random.default_rng, "python": random.Random, "legacy": np.random.RandomState}
        self.kind, self.own = kind, make[kind](5)

    def __iter__(self):
        if self.kind == "python":
            return iter(self.own.sample(range(20), 20))
        return iter(self.own.permutation(20).tolist())

    def __len__(self):
        return 20


def random_sampler():
    return torch.utils.data.RandomSampler(Shaken(), generator=torch.Generator().manual_seed(8))


LOADERS = {
    "shuffled": lambda: DataLoader(Shaken(), batch_size=4, shuffle=True),
    "a generator": lambda: DataLoader(Shaken(), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(2)),
    "a sampler's generator": lambda: DataLoader(Shaken(), batch_size=4, sampler=random_sampler()),
    "a batch sampler's": lambda: DataLoader(
        Shaken(), batch_sampler=torch.utils.data.BatchSampler(random_sampler(), 4, drop_last=False)
    ),
    "NumPy's": lambda: DataLoader(Shaken(), batch_size=4, sampler=Sampler("numpy")),
    "NumPy's old": lambda: DataLoader(Shaken(), batch_size=4, sampler=Sampler("legacy")),
    "Python's": lambda: DataLoader(Shaken(), batch_size=4, sampler=Sampler("python")),
}


class TestAllRandomnessIsTheStreams:
    """A stream resumed in another process, whose generators stand elsewhere, gives what would have come."""

    def drawn(self, make, count, before=0, state=None):
        torch.randn(before + 1), random.random(), np.random.random()  # noqa: NPY002
        stream = gd.batches(make(), latent=2, seed=4)
        if state is not None:
            stream.load_state_dict(state)
        found = []
        for _ in range(count):
            found.append(next(stream))
            torch.randn(1), random.random()  # the caller draws, too
        return found, stream.state_dict()

    @pytest.mark.parametrize("name", LOADERS)
    def test_it_goes_on(self, name):
        # rejects: samplers that go on where another process left them, augmentation from the caller's generators
        whole, _ = self.drawn(LOADERS[name], 17)
        _, state = self.drawn(LOADERS[name], 8, before=3)
        rest, _ = self.drawn(LOADERS[name], 9, before=40, state=state)
        for (a, z), (b, w) in zip(whole[8:], rest, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(z, w)
        items = torch.cat([x for x, _ in whole[:5]])
        assert items[:, 0].sort().values.tolist() == list(range(20))
        assert len(items[:, 1:].flatten().unique()) > 40  # augmented anew for every sample

    @pytest.mark.slow
    def test_with_workers(self):
        make = lambda: DataLoader(Shaken(), batch_size=4, shuffle=True, num_workers=2)  # noqa: E731
        whole, _ = self.drawn(make, 7)
        _, state = self.drawn(make, 3)
        rest, _ = self.drawn(make, 4, before=9, state=state)
        for (a, _), (b, _) in zip(whole[3:], rest, strict=True):
            assert torch.equal(a, b)

    def test_the_callers_generators_stand_still(self):
        stream = gd.batches(LOADERS["shuffled"](), seed=1)
        torch.default_generator.manual_seed(1)
        random.seed(1)
        expected = torch.randn(1), random.random()
        torch.default_generator.manual_seed(1)
        random.seed(1)
        for _ in range(7):
            next(stream)
        assert torch.equal(torch.randn(1), expected[0])
        assert random.random() == expected[1]

    def test_what_cannot_be_owned_is_said(self):
        loader = DataLoader(Shaken(), batch_size=4, num_workers=1, persistent_workers=True)
        assert "persistent workers" in gd.batches(loader).unowned
        assert not gd.batches(LOADERS["shuffled"]()).unowned
