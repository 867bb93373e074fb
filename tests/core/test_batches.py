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


class Kept:
    """A loader that keeps its own place, as torchdata's StatefulDataLoader does; it counts what it reads."""

    num_workers, batch_size = 0, 4

    def __init__(self):
        self.generator, self.data, self.read = torch.Generator(), Shaken(), 0
        self.place, self.start, self.standing = 0, None, None

    def __iter__(self):
        torch.randn(1)  # to begin an epoch draws from the default generator, as a DataLoader's base seed does
        if self.standing is not None:
            (self.place, self.start), self.standing = self.standing, None
            self.generator.set_state(self.start)
        else:
            self.place, self.start = 0, self.generator.get_state()
        return self._rest(torch.randperm(20, generator=self.generator).tolist())

    def _rest(self, order):
        while self.place < 5:
            at = order[4 * self.place : 4 * self.place + 4]
            self.place += 1
            self.read += 4
            yield torch.stack([self.data[i][:4] for i in at])

    def state_dict(self):
        return {"place": self.place, "start": self.start}

    def load_state_dict(self, state):
        self.standing = (state["place"], state["start"])


class TestPlaces:
    @pytest.mark.parametrize("drawn", [1, 3, 5, 8])
    def test_a_loader_that_keeps_its_own_place_is_not_read_up_to_it(self, drawn):
        # rejects: an epoch read again; random numbers of the data set that begin anew
        going = gd.batches(Kept(), latent=2, seed=3)
        for _ in range(drawn):
            next(going)
        state = going.state_dict()
        torch.randn(3)
        fresh = gd.batches(Kept(), latent=2, seed=3)
        fresh.load_state_dict(state)
        assert fresh.source.read == 0
        for _ in range(9):
            assert all(torch.equal(a, b) for a, b in zip(next(going), next(fresh), strict=True))

    @pytest.mark.parametrize("kind", ["memory", "loader"])
    def test_batches_of_another_size_go_on_after_as_many_samples(self, kind):
        # rejects: so many batches passed over, whatever their size
        data = torch.arange(24.0)[:, None]

        def make(size):
            if kind == "memory":
                return gd.batches(data, seed=1, batch_size=size)
            return gd.batches(DataLoader(data, batch_size=size, shuffle=True), seed=1)

        going, seen = make(4), []
        for _ in range(3):
            seen += next(going).flatten().tolist()
        other = make(6)
        other.load_state_dict(going.state_dict())
        for _ in range(2):
            seen += next(other).flatten().tolist()
        assert sorted(seen) == list(range(24))

    @pytest.mark.parametrize(("first", "then"), [(3, 4), (4, 3), (5, 10)])
    def test_an_epoch_of_other_batches_may_be_shorter(self, first, then):
        # rejects: a loader that drops its last batch, read for ever in search of a place beyond its end
        data = torch.arange(10.0)[:, None]
        make = lambda size: gd.batches(DataLoader(data, batch_size=size, drop_last=True, shuffle=True))  # noqa: E731
        going = make(first)
        for _ in range(len(going.source)):
            next(going)
        other = make(then)
        other.load_state_dict(going.state_dict())
        assert len(next(other)) == then

    def test_a_run_says_that_the_size_differs(self):
        game = gd.Game({"x": torch.ones(1)}, lambda x, batch: {"x": (x * batch).mean()})
        flow, data = gd.flows.gradient(game), torch.arange(24.0)[:, None]
        run = gd.solve(flow, "euler", h=1e-3, steps=3, batches=gd.batches(data, batch_size=4))
        with pytest.raises(gd.ArgumentError, match="batch_size"):
            gd.solve(flow, "euler", h=1e-3, steps=5, batches=gd.batches(data, batch_size=6), resume=run)
        on = gd.solve(
            flow, "euler", h=1e-3, steps=5, batches=gd.batches(data, batch_size=6), resume=run, allow=["data"]
        )
        assert on.stats["images"] == 3 * 4 + 2 * 6


class TestKindsOfData:
    def test_a_dict_in_memory(self):
        # rejects: an order of its own for each entry
        source = {"x": np.arange(10), "y": torch.arange(10.0)[:, None]}
        stream = gd.batches(source, batch_size=4, latent=2)
        item, noise = next(stream)
        assert item["x"].tolist() == item["y"].flatten().tolist()
        assert noise.shape == (4, 2)
        for wrong in ({}, {"x": torch.ones(3), "y": torch.ones(2)}, {"x": 3}):
            with pytest.raises(gd.ArgumentError, match="source"):
                gd.batches(wrong)

    def test_loaders_of_arrays(self):
        # items of NumPy as they come: dicts, lists, text beside them
        items = [{"image": np.full((3, 2), i, dtype=np.float64), "label": np.arange(3), "name": "a"} for i in range(2)]
        stream = gd.batches(items)
        game = gd.Game(
            {"w": torch.ones(2)}, lambda w, batch: {"w": (batch["image"] @ w).mean() + 0 * batch["label"].sum()}
        )
        run = gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=3, batches=stream)
        assert run.stats["images"] == 9
        assert next(gd.batches(items))["label"].dtype == torch.int64
