"""The Dirac-GAN's table of eigenvalues (games.md b.2) by its formulas, and the critical weights."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch

import gamedyn as gd


def J_of(loss, penalty, weight, tau=1.0):
    game = gd.games.dirac_gan(loss, penalty, weight)
    flow = gd.flows.gradient(game, rates={"G": 1.0, "D": tau})
    return flow.at(game.equilibrium_state()).jacobian().to_dense().numpy(), game.critical_points[0]


def roots(mean, under):
    return [mean + cmath.sqrt(under), mean - cmath.sqrt(under)]


TABLE = [
    ("nonsaturating", "none", 0.0, roots(0, -0.25)),
    ("minimax", "none", 0.0, roots(0, -0.25)),
    ("wasserstein", "none", 0.0, roots(0, -1)),
    ("nonsaturating", "r1", 0.4, roots(-0.2, 0.04 - 0.25)),
    ("minimax", "r2", 1.7, roots(-0.85, 0.85**2 - 0.25)),
    ("nonsaturating", "instance_noise", 0.6, roots(-0.25 * 0.36, (0.25 * 0.36) ** 2 - 0.25)),
    ("nonsaturating", "consensus", 0.8, roots(-0.8 * 0.25, -0.25)),
    ("nonsaturating", "squared_gradient", 0.9, roots(-0.225, 0.225**2 - 0.25)),  # r1 with g = 2 lam f'(0)^2 = 0.45
]


@pytest.mark.parametrize(("loss", "penalty", "weight", "expected"), TABLE)
def test_declared_eigenvalues_are_the_tables(loss, penalty, weight, expected):
    # rejects: r1 without its 1/2, ODE-GAN's penalty with one, noise's variance for its standard deviation
    _, point = J_of(loss, penalty, weight)
    order = lambda z: (round(z.real, 9), z.imag)  # noqa: E731
    assert sorted(point.eigenvalues, key=order) == pytest.approx(sorted(expected, key=order), abs=1e-14)


@pytest.mark.parametrize(
    ("loss", "penalty", "critical"),
    [
        ("nonsaturating", "r1", 1.0),
        ("wasserstein", "r1", 2.0),
        ("minimax", "r2", 1.0),
        ("minimax", "instance_noise", math.sqrt(2)),
        ("nonsaturating", "squared_gradient", 2.0),
    ],
)
def test_rotation_ends_at_the_critical_weight_where_J_is_defective(loss, penalty, critical):
    # rejects: a critical weight off by a factor 2; a defect declared beside it, or not at it
    for factor, turns in ((0.99, True), (1.01, False)):
        J, point = J_of(loss, penalty, factor * critical)
        assert (np.abs(np.linalg.eigvals(J).imag).max() > 1e-3) == turns
        assert not point.defective
    J, point = J_of(loss, penalty, critical)
    assert point.defective
    mean = point.eigenvalues[0].real
    shifted = J - mean * np.eye(2)
    assert np.abs(shifted @ shifted).max() < 1e-14  # nilpotent: one Jordan block
    assert np.abs(shifted).max() > 0.1
    assert np.abs(np.linalg.eigvals(J) - mean).max() < 1e-7  # what eigenvalue solvers make of it


@pytest.mark.parametrize("tau", [0.25, 1.0, 4.0])
def test_critical_penalty_with_two_time_scales(tau):
    # rejects: 2 f'(0) sqrt(tau) for 2 f'(0) / sqrt(tau)
    critical = 2 * 0.5 / math.sqrt(tau)
    below, above = (np.linalg.eigvals(J_of("nonsaturating", "r1", f * critical, tau)[0]) for f in (0.99, 1.01))
    assert np.abs(below.imag).max() > 1e-3
    assert np.abs(above.imag).max() == 0
    g = 0.4
    J, _ = J_of("nonsaturating", "r1", g, tau)
    expected = roots(-tau * g / 2, (tau * g / 2) ** 2 - tau * 0.25)
    assert sorted(np.linalg.eigvals(J), key=lambda z: z.imag) == pytest.approx(
        sorted(expected, key=lambda z: z.imag), abs=1e-13
    )


def test_wgan_gp_declares_no_point():
    assert gd.games.dirac_gan("wasserstein", "gradient_penalty", 0.3).critical_points == ()


def test_nonsaturating_radius_decreases_away_from_the_origin():
    # rejects: the saturating game, whose radius is conserved
    y = torch.tensor([0.7, -1.1], dtype=torch.float64)
    v = gd.flows.gradient(gd.games.dirac_gan("nonsaturating")).field()(0.0, y)
    t = float(y.prod())
    slope = lambda s: 1 / (1 + math.exp(s))  # noqa: E731  f'(s) for f = -log(1 + exp(-s))
    assert float(v @ y) == pytest.approx(t * (slope(t) - slope(-t)), rel=1e-12)
    assert float(v @ y) < -0.1
    flat = gd.flows.gradient(gd.games.dirac_gan("minimax")).field()(0.0, y)
    assert float(flat @ y) == pytest.approx(0, abs=1e-15)
