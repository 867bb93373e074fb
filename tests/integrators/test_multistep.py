"""Multistep methods that users make: every coefficient meets its own point of the past."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd

# consistent: rho(1) = 0, sigma(1) = rho'(1) = 3 - 2 * 3/4 = 3/2; zero-stable: the other roots have modulus 1/2
OLDEST = gd.methods.LinearMultistep(alpha=["-1/4", 0, "-3/4", 1], beta=[0, 0, "3/2", 0])
# rho'(1) = 3 - 2 * 1/2 - 1/3 = 5/3; unequal weights everywhere
ALL = gd.methods.LinearMultistep(alpha=["-1/6", "-1/3", "-1/2", 1], beta=["1/6", "-1/2", 2, 0])


@pytest.mark.parametrize("method", [OLDEST, ALL])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_user_made_method_is_its_recurrence(method, ensemble):
    # rejects: the history of points (or of field values) oldest first, or one step late
    h, steps = 0.1, 9
    z = [1 + 1j]  # the rotation x' = -y, y' = x is z' = i z; the first two steps are classical Runge-Kutta's
    for _ in range(2):
        z.append(z[-1] * sum((1j * h) ** k / f for k, f in enumerate((1, 1, 2, 6, 24))))
    while len(z) <= steps:
        past = z[-3:]
        z.append(
            sum((-float(a) + 1j * h * float(b)) * x for a, b, x in zip(method.alpha, method.beta, past, strict=False))
        )
    flow = gd.flows.gradient(gd.games.bilinear())
    if ensemble:
        y = gd.solve_ensemble(flow, method, h=[h, 2 * h], steps=steps).state.y[0]
    else:
        y = gd.solve(flow, method, h=h, steps=steps).state.y
    expected = torch.tensor([z[-1].real, z[-1].imag], dtype=torch.float64)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-13)
