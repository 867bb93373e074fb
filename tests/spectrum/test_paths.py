"""Path angles and rotation indices against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.spectrum.diagnostics.paths import path_angle, planar_path_angle, rotation_index

DOUBLE = torch.float64


def spiral(a, w):
    """V = (-a I + w R) y, as a quadratic game: H = -J."""
    return gd.flows.gradient(gd.games.quadratic([[a, w], [-w, a]]))


@pytest.mark.parametrize(("a", "w"), [(1.0, 0.0), (0.0, 1.0), (0.6, -1.7), (-0.4, 2.0)])
def test_the_three_archetypes_are_exact(a, w):
    # rejects: the cosine with the field of the gradients (sign), with end for d, alpha from the end
    rho = 0.3
    start = torch.tensor([1.5, -0.4], dtype=DOUBLE)
    # end = rho R d and end = start + d, so (I - rho R) d = -start
    R = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=DOUBLE)
    d = torch.linalg.solve(torch.eye(2, dtype=DOUBLE) - rho * R, -start)
    line = path_angle(spiral(a, w), start, start + d, span=(-3.0, 5.0), points=81)
    # rounding of a handful of products at 1 + rho^2: 1e-13
    np.testing.assert_allclose(line.cosine, planar_path_angle(a, w, rho, line.alpha), atol=1e-13)
    size = math.hypot(a, w) * np.hypot(line.alpha - 1, rho) * line.distance
    np.testing.assert_allclose(line.norm, size, rtol=1e-13)
    assert line.nearest == pytest.approx(1.0)
    assert line.bump == pytest.approx(abs(w) / math.hypot(a, w), abs=1e-13)
    assert line.switch == pytest.approx(4 * a / math.hypot(a, w) / math.hypot(4, rho), abs=1e-13)


def test_bilinear_through_the_equilibrium_never_leaves_zero():
    # rejects: |cosine|, a norm in place of the inner product, nan put to 0 where the field vanishes
    flow = gd.flows.gradient(gd.games.bilinear([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]))
    start = torch.arange(1.0, 6.0, dtype=DOUBLE)
    line = path_angle(flow, start, torch.zeros(5), span=(0.0, 2.0), points=21)
    assert np.isnan(line.cosine[10])
    assert line.norm[10] == 0.0
    assert np.abs(np.delete(line.cosine, 10)).max() <= 1e-15
    # but each player alone does not cross its line: x moves by -A y, and <x, A y> is not 0
    own = line.by_player
    x, y = start[:2], start[2:]
    A = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]], dtype=DOUBLE)
    expected = float(x @ A @ y / (x.norm() * (A @ y).norm()))
    assert own["x"][0] == pytest.approx(expected, abs=1e-14)
    assert own["y"][0] == pytest.approx(-float(x @ A @ y / (y.norm() * (A.T @ x).norm())), abs=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_linear_games_have_their_path_angle_in_closed_form(seed):
    # rejects: J^T for J, the equilibrium taken for the line's end, rates left out
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((4, 4))
    H[:2, :2] = H[:2, :2] + H[:2, :2].T
    H[2:, 2:] = H[2:, 2:] + H[2:, 2:].T
    game = gd.games.quadratic(torch.as_tensor(H), sizes=(2, 2))
    flow = gd.flows.gradient(game, rates={"p1": 1.0, "p2": 3.0})
    J = -np.diag([1.0, 1.0, 3.0, 3.0]) @ H
    start, end = rng.standard_normal((2, 4))
    line = path_angle(flow, torch.as_tensor(start), torch.as_tensor(end), span=(-1.0, 2.0), points=13)
    d = end - start
    v = (J @ (start[:, None] + np.outer(d, line.alpha))).T
    norms = np.linalg.norm(v, axis=1)
    np.testing.assert_allclose(line.norm, norms, rtol=1e-12, atol=1e-12)
    # the field is a sum of 4 products: its rounding, relative to the smallest norm on the line
    slack = 1e-14 * norms.max() / norms.min() + 1e-14
    np.testing.assert_allclose(line.cosine, v @ d / norms / np.linalg.norm(d), atol=slack)


def test_path_angle_of_a_gan_is_its_fields(generator):
    # rejects: a field at another place of the line, buffers or modules that move
    game = gd.games.gan(
        gd.games.mlp((2, 4, 2), generator=generator, dtype=DOUBLE),
        gd.games.mlp((2, 4, 1), generator=generator, dtype=DOUBLE),
        "nonsaturating",
    )
    batch = tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
    flow = gd.flows.gradient(game).with_term(gd.losses.r1(0.3))
    before = game.state().y.clone()
    run = gd.solve(flow, "rk4", h=0.1, steps=20, batch=batch)
    line = path_angle(flow, before, run, batch, span=(0.0, 1.0), points=3)
    d, field = run.state.y - before, flow.field(batch)
    for alpha, c in zip(line.alpha, line.cosine, strict=True):
        v = field(0.0, before + alpha * d)
        assert c == pytest.approx(float(d @ v / d.norm() / v.norm()), abs=1e-12)
    assert torch.equal(game.state().y, before)


@pytest.mark.parametrize(("a", "w"), [(1.0, 3.0), (0.0, 1.0), (2.0, 0.0), (-1.0, 1.0)])
def test_indices_of_a_normal_matrix(a, w):
    # rejects: |A|^2 / |J|^2 for the share, Re for Im, the sign of a unstable spiral
    index = rotation_index(spiral(a, w), torch.tensor([0.3, 0.4]))
    expected = abs(w) / (abs(a) + abs(w))
    assert index.share == pytest.approx(expected, abs=1e-15)
    assert index.along == pytest.approx(expected, abs=1e-15)  # normal: both parts act on every direction alike
    assert index.of_rightmost == pytest.approx(abs(w) / math.hypot(a, w), abs=1e-15)
    assert index.turning == pytest.approx(abs(w) / math.hypot(a, w), abs=1e-14)
    assert (index.share_error, index.probes) == (0.0, 0)


def test_the_modal_index_alone_does_not_depend_on_the_coordinates():
    # rejects: a share that is read off eigenvalues, and a modal index that is read off the parts
    flow = gd.flows.gradient(gd.games.bilinear(), rates={"y": 4.0})  # [[0, -1], [4, 0]]: a centre with a strain
    index = rotation_index(flow, torch.tensor([0.0, 0.0]))
    assert index.share == pytest.approx(2.5 / (2.5 + 1.5), abs=1e-15)
    np.testing.assert_allclose(index.modal, 1.0)
    assert math.isnan(index.along)
    assert math.isnan(index.turning)
    shear = gd.flows.custom(lambda t, s, b: {"x": s["y"], "y": 0 * s["y"]}, like=gd.games.bilinear())
    index = rotation_index(shear, torch.tensor([0.0, 1.0]))  # [[0, 1], [0, 0]]
    assert index.share == 0.5
    assert np.isnan(index.modal).all()


def test_the_estimate_covers_the_dense_share(generator):
    # rejects: J u alone for both parts, a mean of ratios, an error of the mean's square root
    K = torch.randn(60, 60, generator=generator, dtype=DOUBLE)
    H = 2 * (K - K.T) + 0.5 * (K + K.T)
    H[:30, :30], H[30:, 30:] = (x + x.T for x in (K[:30, :30], K[30:, 30:]))
    game = gd.games.quadratic(H, sizes=(30, 30))
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    exact = rotation_index(flow, at)
    errors = []
    for seed in range(6):
        found = rotation_index(flow, at, form=False, probes=24, k=2, seed=seed)
        assert found.probes == 24
        assert abs(found.share - exact.share) <= 4 * found.share_error
        errors.append((found.share - exact.share) / found.share_error)
    assert found.share_error < 0.01
    assert 0.2 < np.std(errors) < 3  # the error is one: neither far too large nor far too small
    assert exact.share == pytest.approx(float((H - H.T).norm() / ((H - H.T).norm() + (H + H.T).norm())), abs=1e-14)


def test_bad_arguments():
    flow, y = spiral(1.0, 1.0), torch.ones(2)
    for change in ({"span": (1.0, 0.0)}, {"span": 3}, {"points": 1}, {"end": y}):
        with pytest.raises(ArgumentError):
            path_angle(flow, y, **{"end": torch.zeros(2), **change})
    with pytest.raises(ArgumentError, match="finite state"):
        path_angle(flow, y, torch.full((2,), math.nan))
    with pytest.raises(ArgumentError, match="both 0"):
        planar_path_angle(0.0, 0.0, 1.0, [0.0])
    with pytest.raises(ArgumentError, match="probes"):
        rotation_index(flow, y, probes=1)
