"""Membership of grids in stability regions, without roots, against the growth with them."""

from __future__ import annotations

import numpy as np
import pytest

import gamedyn as gd
from gamedyn.stability import amplification
from gamedyn.stability.regions.membership import is_stable

OWN = {n: m for n, m in gd.methods.members().items() if m.decouples}


@pytest.mark.parametrize("name", OWN)
def test_is_growth_of_at_most_one(name, rng):
    # rejects: the reversed polynomial not conjugated, one reduction too few, the boundary of another method
    z = rng.uniform(-8, 4, 500) + 1j * rng.uniform(-8, 8, 500)
    growth = amplification(name, z)
    clear = np.abs(growth - 1) > 1e-9
    np.testing.assert_array_equal(is_stable(name, z)[clear], growth[clear] <= 1)


def test_shapes_and_chunks():
    z = np.linspace(-3, 1, 90_000).reshape(300, 300)  # more than a chunk
    inside = is_stable("rk4", z)
    assert inside.shape == z.shape
    assert inside.sum() == ((z >= -gd.stability.real_limit("rk4")) & (z <= 0)).sum()
    assert is_stable("euler", []).shape == (0,)


def test_partitioned_methods_are_refused():
    with pytest.raises(gd.ArgumentError, match="step_matrix"):
        is_stable("alternating", [-1.0])
