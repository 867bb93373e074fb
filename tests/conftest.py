"""Fixtures that every test may use: explicit generators, one thread, nothing process-wide but that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

settings.register_profile("gamedyn", deadline=None)  # no test fails because a machine is busy
settings.load_profile("gamedyn")


SLOW = tuple((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").splitlines())
"""Beginnings of the names of tests that take over half a second on two quiet cores; of files, all of their tests."""


def pytest_collection_modifyitems(items):
    """Mark what is slow: `make test` leaves it out, `.ci/run` does not."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    with threadpool_limits(1):  # NumPy's and SciPy's linear algebra too
        yield


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded torch generator."""
    return torch.Generator().manual_seed(20)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded NumPy generator."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def digits() -> torch.Tensor:
    """The 1,797 digit images of scikit-learn, scaled to [-1, 1], float64."""
    from sklearn.datasets import load_digits

    return torch.as_tensor(load_digits().data / 8 - 1, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _no_global_changes():
    """No test and nothing in the package may leave process-wide settings changed; modules begin alike every time."""
    torch.manual_seed(0)  # noqa: TID251 (modules are initialised from the default generator)
    yield
    assert torch.get_default_dtype() is torch.float32
    assert torch.is_grad_enabled()
