"""Spread between batches: bands against textbook intervals, the exact jackknife, and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.spectrum.diagnostics.batch_spread import batch_spread

DOUBLE = torch.float64


def linear(n):
    """The flow y' = (batch) y, the batch a matrix (n, n)."""
    game = gd.games.bilinear(torch.zeros(1, n - 1))

    def fn(t, s, J):
        v = J @ torch.cat([s["x"], s["y"]])
        return {"x": v[:1], "y": v[1:]}

    return gd.flows.custom(fn, like=game), torch.ones(n, dtype=DOUBLE)


def noisy(J, rng, count, size):
    return [torch.as_tensor(J + size * rng.standard_normal(J.shape)) for _ in range(count)]


def toy_gan(generator, count=12, size=64):
    game = gd.games.gan(
        gd.games.mlp((2, 4, 2), generator=generator, dtype=DOUBLE),
        gd.games.mlp((2, 5, 1), generator=generator, dtype=DOUBLE),
        "nonsaturating",
    )
    flow = gd.flows.gradient(game).with_term(gd.losses.r1(0.3))
    data = torch.randn(count * size, 2, generator=generator, dtype=DOUBLE)
    noise = torch.randn(count * size, 2, generator=generator, dtype=DOUBLE)
    batches = list(zip(data.split(size), noise.split(size), strict=True))
    return flow, flow.initial_state(), batches, (data, noise)


def test_diagonal_batches_have_the_textbook_interval(rng):
    # rejects: z for t, n for n - 1, one batch's interval for the mean's, a shift of J_b and not of J_b - J
    flow, y = linear(3)
    leading = -1.0 + 0.1 * rng.standard_normal(8)
    batches = [torch.diag(torch.tensor([-9.0, a, -4.0], dtype=DOUBLE)) for a in leading]
    found = batch_spread(flow, y, batches, count=8, full=torch.diag(torch.tensor([-9.0, -1.0, -4.0], dtype=DOUBLE)))
    low, high = scipy.stats.t.interval(0.95, 7, leading.mean(), scipy.stats.sem(leading))
    for band in (found.abscissa_of_mean, found.abscissa_of_batches):  # alike, since nothing competes
        assert (band.low, band.high) == pytest.approx((low, high), rel=1e-12)
        assert band.value == pytest.approx(leading.mean(), rel=1e-12)
        assert band.std == pytest.approx(leading.std(ddof=1), rel=1e-12)
        boot = scipy.stats.bootstrap((leading,), np.mean, method="percentile", random_state=1).confidence_interval
        assert band.bootstrap == pytest.approx(tuple(boot), abs=0.1 * (high - low))
        assert not band.zero_inside
        assert -1.0 in band
    assert found.stable == "yes"
    assert found.full_inside is True
    assert found.full.rightmost == pytest.approx(-1.0)
    # the step: 2/9 for euler, whatever the leading one does
    assert found.step_of_mean.value == pytest.approx(2 / 9)
    assert found.step_of_batches.std == pytest.approx(0.0, abs=1e-15)
    at = int(np.argmax(found.tracked.real))
    np.testing.assert_allclose(found.shifts[:, at], leading - leading.mean(), atol=1e-14)
    np.testing.assert_allclose(found.std[at], [leading.std(ddof=1), 0.0], atol=1e-14)
    narrow = batch_spread(flow, y, batches, count=8, confidence=0.5).abscissa_of_mean
    ratio = scipy.stats.t.ppf(0.75, 7) / scipy.stats.t.ppf(0.975, 7)
    assert (narrow.high - narrow.low) == pytest.approx(ratio * (high - low), rel=1e-12)


def test_abscissas_of_batches_are_biased_that_of_the_mean_is_not():
    # rejects: the mean of maxima for the maximum of the mean (a verdict of "no" on a stable flow); the jackknife of
    # the maximum (a verdict of "yes": leaving one out does not change the lead of two that compete)
    flow, y = linear(2)
    d = np.array([[-0.1 + s, -0.1 - s] for s in (0.5, -0.5, 0.4, -0.4, 0.6, -0.6)])
    found = batch_spread(flow, y, [torch.diag(torch.as_tensor(row)) for row in d], count=6)
    assert found.abscissa_of_batches.value == pytest.approx(0.4)
    assert found.abscissa_of_batches.low > 0
    assert found.abscissa_of_mean.value == pytest.approx(-0.1)
    low, high = scipy.stats.t.interval(0.95, 5, -0.1, scipy.stats.sem(d[:, 0]))
    assert (found.abscissa_of_mean.low, found.abscissa_of_mean.high) == pytest.approx((low, high))
    assert found.abscissa_of_mean.zero_inside
    assert found.stable == "undecided"
    assert found.growing == (1,) * 6


def test_signs_of_the_verdict(rng):
    # rejects: stability for instability, an undecided band read as "yes"
    J = np.array([[-1.0, 4.0, 0.5], [-4.0, -1.0, 0.0], [0.0, 0.3, -2.0]])
    J -= np.linalg.eigvals(J).real.max() * np.eye(3)
    flow, y = linear(3)
    for shift, verdict in ((-1.0, "yes"), (1.0, "no"), (0.0, "undecided")):
        batches = noisy(J + shift * np.eye(3), np.random.default_rng(3), 10, 0.05)
        found = batch_spread(flow, y, batches, count=10)
        assert found.stable == verdict
        assert found.abscissa_of_mean.zero_inside == (verdict == "undecided")


def test_bands_cover_what_they_claim_to(rng):
    # rejects: a band of one batch (covers always), of half the width (covers 0.7), of the wrong eigenvector's shifts
    J = np.array([[-1.0, 5.0, 0.5], [-2.0, -1.0, 0.0], [0.0, 0.3, -3.0]])
    values = np.linalg.eigvals(J)
    step = gd.stability.largest_stable_step("rk4", values)
    flow, y = linear(3)
    inside, widths = np.zeros(2), []
    for _ in range(60):
        found = batch_spread(flow, y, noisy(J, rng, 6, 0.1), count=6, method="rk4")
        inside += [values.real.max() in found.abscissa_of_mean, step in found.step_of_mean]
        widths.append(found.abscissa_of_mean.high - found.abscissa_of_mean.low)
    # binomial(60, 0.95): 5 sigma below is 0.81
    assert (inside / 60 >= 0.82).all()
    assert 0.09 < np.median(widths) < 0.2  # 0.13; that of one batch is sqrt(6) times as wide


def test_first_order_jackknife_against_the_exact_one(generator):
    # rejects: left vectors of J for those of J^T, conjugates mixed up, division by |y* x|
    flow, state, batches, _ = toy_gan(generator, size=512)
    found = batch_spread(flow, state, batches, count=12, method="rk4")
    matrices = np.stack([flow.at(state, b).jacobian().to_dense().numpy() for b in batches])
    whole = np.linalg.eigvals(matrices.mean(0))
    left_out = [np.linalg.eigvals(np.delete(matrices, i, 0).mean(0)) for i in range(12)]
    exact = np.array([v.real.max() for v in left_out])
    error = math.sqrt(11 / 12 * ((exact - exact.mean()) ** 2).sum())
    band = found.abscissa_of_mean
    assert band.value == pytest.approx(whole.real.max(), abs=1e-10)
    # of second order in the deviations, which are a tenth or so of the eigenvalues' distances
    assert band.std / math.sqrt(12) == pytest.approx(error, rel=0.1)
    assert band.low < band.value < band.high
    np.testing.assert_allclose(found.shifts.sum(0), 0, atol=1e-10)
    # each shift against a difference quotient along J_b - J
    e = 1e-6
    for b in (0, 7):
        moved = np.linalg.eigvals(matrices.mean(0) + e * (matrices[b] - matrices.mean(0)))
        for value, shift, condition in zip(found.tracked, found.shifts[b], found.conditions, strict=True):
            if condition < 100:
                assert np.abs(moved - (value + e * shift)).min() <= 1e-8


def test_products_and_matrices_agree_and_a_stream_serves(generator):
    # rejects: the transpose's vectors matched to the wrong eigenvalue, graphs of one batch for all
    flow, state, batches, full = toy_gan(generator, count=4, size=64)
    dense = batch_spread(flow, state, batches, count=4, k=2, full=full)
    found = batch_spread(flow, state, batches, count=4, k=2, full=full, form=False)
    assert found.abscissa_of_mean.low == pytest.approx(dense.abscissa_of_mean.low, abs=1e-4)
    assert found.abscissa_of_batches.high == pytest.approx(dense.abscissa_of_batches.high, abs=1e-6)
    assert found.step_of_mean.value == pytest.approx(dense.step_of_mean.value, rel=1e-6)
    assert found.full.rightmost.real == pytest.approx(dense.full.rightmost.real, abs=1e-6)
    kept, anew = (
        batch_spread(flow, state, batches, count=2, k=1, form=False, keep=keep).abscissa_of_mean
        for keep in (True, False)
    )
    assert (anew.low, anew.high) == pytest.approx((kept.low, kept.high), abs=1e-9)
    # batches that partition the data: their mean is the full batch's Jacobian
    assert dense.abscissa_of_mean.value == pytest.approx(dense.full.rightmost.real, abs=1e-10)
    assert dense.full_inside is True
    stream = gd.batches(full[0], latent=2, batch_size=64, seed=1)
    found = batch_spread(flow, state, stream, count=3)
    assert len(found.eigenvalues) == 3
    assert found.abscissa_of_mean.std > 0


def test_bad_arguments(rng):
    flow, y = linear(2)
    batches = [torch.eye(2, dtype=DOUBLE)] * 3
    for change in (
        {"count": 1},
        {"count": 4},
        {"k": 0},
        {"confidence": 1.0},
        {"method": "alternating"},
        {"batches": torch.eye(2)},
        {"batches": 3},
        {"batches": [torch.eye(2, dtype=DOUBLE), torch.ones(2, 1, dtype=DOUBLE)], "count": 2},
    ):
        with pytest.raises(ArgumentError):
            batch_spread(flow, y, **{"batches": batches, "count": 3, **change})
    same = batch_spread(flow, y, batches, count=3)
    assert same.abscissa_of_mean.std == 0.0
    assert (same.stable, same.step_of_mean) == ("no", None)  # nothing is damped: no step to speak of
