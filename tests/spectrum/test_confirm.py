"""A limit from a part of the spectrum, confirmed or refuted by the real step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.spectrum import confirm
from gamedyn.stability import Eigenvalues

DOUBLE = torch.float64


@pytest.fixture
def affine(digits):
    game = gd.games.affine_quadratic_gan(digits, q=8, weight_decay=0.02, loss="nonsaturating")
    flow = gd.flows.gradient(game)
    return flow, game.equilibrium_state(), gd.spectrum.linearise(flow, game.equilibrium_state()).eigenvalues.values


@pytest.mark.parametrize("formed", [True, False])
@pytest.mark.parametrize("method", ["euler", "rk4", "ab2", "ab3", "optimistic", "extragradient", "heavy_ball"])
def test_the_rightmost_alone_are_refuted_and_the_whole_confirmed(affine, method, formed, monkeypatch):
    # numerics.md section 3: the 16 rightmost predict rk4 7.9 for 1.29, extragradient 3.14 for 0.46, euler 0.58 for 0.37
    from gamedyn.spectrum import tangent

    if not formed:
        monkeypatch.setattr(tangent, "FORMED_UP_TO", 0)
    flow, at, values = affine
    part = confirm(flow, method, at, Eigenvalues(values[:16], complete=False), max_products=2000)
    limits = [gd.stability.largest_stable_step(method, x) for x in (values[:16], values)]
    assert limits[0] > limits[1] * 1.001
    if formed or method != "heavy_ball":
        assert part.status == "refuted"
        assert part.radius - 1 > 1.02 * (part.predicted - 1)
    whole = confirm(flow, method, at, values, max_products=2000)
    assert whole.status == "confirmed" if formed else whole.status in ("confirmed", "undecided")
    if whole.status == "confirmed":
        assert whole.radius == pytest.approx(whole.predicted, rel=1e-3)
        assert whole.limit == pytest.approx(gd.stability.largest_stable_step(method, values), rel=1e-12)


def test_growing_modes_are_predicted_too():
    # rejects: 1 as the prediction where the flow itself grows
    game = gd.games.quadratic([[-0.3, 0.0], [0.0, 5.0]])
    found = confirm(gd.flows.gradient(game), "rk4", game.equilibrium_state(), [0.3, -5.0])
    assert found.status == "confirmed"
    assert found.predicted == pytest.approx(
        float(gd.stability.amplification("rk4", [0.3 * found.h, -5 * found.h]).max())
    )
    found = confirm(gd.flows.gradient(game), "rk4", game.equilibrium_state(), [-5.0])
    assert found.status in ("confirmed", "refuted")


def test_what_a_moving_jacobian_does_is_not_laid_to_an_unknown_eigenvalue():
    # rejects: "refuted" for a spectrum that is complete. x' = -x^3: J = -3 x^2; heun2's second stage sees another one.
    game = gd.Game({"x": torch.full((1,), 1.0, dtype=DOUBLE)}, lambda x: {"x": (x**4).sum() / 4})
    flow, state = gd.flows.gradient(game), game.state()
    values = gd.spectrum.linearise(flow, state).eigenvalues
    found = confirm(flow, "heun2", state, values)
    assert found.status == "undecided"
    assert found.speed == 1.0
    assert "|v| = 1" in found.reason
    assert confirm(flow, "euler", state, values).status == "confirmed"  # its one stage sees J


def test_the_eigenvalue_that_was_not_known_is_named(affine):
    flow, at, values = affine
    found = confirm(flow, "rk4", at, Eigenvalues(values[:16], complete=False))
    binding = gd.stability.stable_steps("rk4", values).binding
    growth = gd.stability.amplification("rk4", found.h * np.array([found.eigenvalue, binding]))
    assert np.abs(values - found.eigenvalue).min() < 1e-9 * abs(binding)
    assert growth[0] >= growth[1] * (1 - 1e-9)
    assert found.to_dict()["eigenvalue"] == [found.eigenvalue.real, found.eigenvalue.imag]


def test_optimiser_state_is_part_of_the_step(affine):
    # heavy ball's tangent has twice the dimension; its radius is that of the companion matrix
    flow, at, values = affine
    found = confirm(flow, "heavy_ball", at, values)
    assert np.isclose(found.radius, gd.stability.amplification("heavy_ball", found.h * values).max(), rtol=1e-9)


def test_refusals(affine):
    flow, at, values = affine
    with pytest.raises(ArgumentError, match="need all blocks"):
        confirm(flow, "alternating", at, values)
    with pytest.raises(ArgumentError, match="nothing to confirm"):
        confirm(flow, "implicit_midpoint", at, values)
    with pytest.raises(ArgumentError, match="margin"):
        confirm(flow, "euler", at, values, margin=0.0)


@pytest.mark.parametrize("method", ["euler", "ab2"])  # those whose growth is flat enough
def test_a_mode_that_has_long_been_unstable_does_not_hide_behind_a_stiff_one(method):
    """faults.md: Euler's limit 2.0 "confirmed" where 1.09 is right. Rejects: a look beyond the limit alone."""
    # known: -1; unknown: a rotation that grows at 0.95 of its limit, and less than the known mode at 1.05
    limit = gd.stability.real_limit(method)
    beyond = float(gd.stability.amplification(method, -1.05 * limit))
    z = (-np.geomspace(1e-2, 2, 200)[:, None] + 1j * np.geomspace(0.1, 4, 400)).ravel()
    grows = gd.stability.amplification(method, 0.95 * z) > 1.01
    hides = gd.stability.amplification(method, 1.05 * z) < beyond - 1e-3
    hidden = complex(z[np.flatnonzero(grows & hides)[0]]) / limit
    A = torch.zeros(3, 3, dtype=torch.float64)
    A[0, 0], A[1, 1], A[2, 2], A[1, 2], A[2, 1] = -1, hidden.real, hidden.real, -hidden.imag, hidden.imag
    flow = gd.flows.custom(
        lambda t, s, _: {"x": A @ s["x"]},
        like=gd.Game({"x": torch.zeros(3, dtype=torch.float64)}, lambda x: {"x": (x**2).sum()}),
    )
    found = gd.spectrum.confirm(flow, method, torch.zeros(3, dtype=torch.float64), [-1.0])
    assert found.status == "refuted"
    assert found.h < found.limit
    assert abs(found.eigenvalue.imag) == pytest.approx(hidden.imag, rel=1e-6)
    whole = [-1.0, hidden, hidden.conjugate()]
    assert gd.spectrum.confirm(flow, method, torch.zeros(3, dtype=torch.float64), whole).status == "confirmed"
