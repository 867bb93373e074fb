"""Streams of batches: the order and the noise both go on where they stood."""

from __future__ import annotations

import pytest
import torch

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
