"""The 2x2 classification, time scales, and n-player rotations: games.md b.4, by printed figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64


def eigenvalues(game, rates=None):
    flow = gd.flows.gradient(game, **({} if rates is None else {"rates": rates}))
    return np.linalg.eigvals(flow.at(game.equilibrium_state()).jacobian().to_dense().numpy())


@pytest.mark.parametrize(
    ("row", "printed", "stable", "nash", "leader"),
    [
        ((1, 2, 2, 1), (3, -1), "no", "yes", "no"),
        ((-1, 3, -3, 3), (1 + 2.2360680j, 1 - 2.2360680j), "yes", "no", "yes"),
        ((1, 3, -3, 1), (1 + 3j, 1 - 3j), "yes", "yes", "yes"),
        ((0, 1, -1, 0), (1j, -1j), "undecided", "undecided", "undecided"),
        ((-1, 1, -1, 0.5), (-0.25 + 0.66143783j, -0.25 - 0.66143783j), "no", "no", "yes"),
    ],
)
def test_the_table_of_two_by_two_games(row, printed, stable, nash, leader):
    # rejects: eigenvalues of H taken for those of J; the Nash verdict read off the symmetric part, which row 2 passes
    a, b, c, d = map(float, row)
    [point] = gd.games.quadratic([[a, b], [c, d]], zero_sum=c == -b).critical_points
    assert (point.stability, point.nash, point.stackelberg["p1"]) == (stable, nash, leader)
    assert sorted(map(complex, printed), key=lambda z: (z.real, z.imag)) == pytest.approx(
        sorted((-z for z in point.eigenvalues), key=lambda z: (z.real, z.imag)), abs=5e-8
    )


def test_a_general_leader_is_not_judged_by_the_schur_complement():
    # rejects: a - bc/d = 1/2 for a - 2bc/d = -1/2, by the leader's own loss along the best response y = -x
    game = gd.games.quadratic([[1.5, 1.0], [1.0, 1.0]])
    xs = [torch.tensor([x], dtype=DOUBLE) for x in (-1.0, 0.0, 1.0)]
    along = [float(game.losses(x, -x)["p1"]) for x in xs]
    assert along[0] - 2 * along[1] + along[2] == pytest.approx(-0.5, abs=1e-14)
    [point] = game.critical_points
    assert (point.stability, point.nash, point.stackelberg) == ("yes", "yes", {"p1": "no", "p2": "no"})


def test_zero_sum_keeps_the_field_and_adds_up():
    # rejects: the opponent's own term with the wrong sign
    H = [[2.0, 0.5, 1.0], [0.5, 1.0, -2.0], [-1.0, 2.0, 0.3]]
    y = torch.tensor([0.3, -1.2, 0.7], dtype=DOUBLE)
    one, two = (gd.games.quadratic(H, (2, 1), zero_sum=z) for z in (False, True))
    torch.testing.assert_close(gd.flows.gradient(one).field()(0.0, y), gd.flows.gradient(two).field()(0.0, y))
    assert sum(two.losses(y[:2], y[2:]).values()) == 0
    with pytest.raises(gd.ArgumentError, match="H_21"):
        gd.games.quadratic([[1.0, 2.0], [2.0, 1.0]], zero_sum=True)
    with pytest.raises(gd.ArgumentError, match="3 players"):
        gd.games.quadratic(np.zeros((3, 3)).tolist(), zero_sum=True)


def test_time_scale_threshold():
    # rejects: the rate on the wrong player (threshold 3)
    def abscissa(tau):
        return eigenvalues(gd.games.quadratic([[-1.0, 3.0], [-3.0, 3.0]]), {"p1": 1.0, "p2": tau}).real.max()

    assert abscissa(1 / 3 + 1e-6) < 0 < abscissa(1 / 3 - 1e-6)


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_rotation_spectrum(n):
    # rejects: tan for cot, k pi / n for (2k + 1) pi / (2n)
    values = sorted(eigenvalues(gd.games.rotation(n, 0.01)).imag)
    expected = sorted(1 / math.tan((2 * k + 1) * math.pi / (2 * n)) for k in range(n))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_rotation_of_four_has_the_printed_figures():
    values = np.array(gd.games.rotation(4, 0.01).critical_points[0].eigenvalues)
    assert sorted(values.imag) == pytest.approx([-2.41421, -0.41421, 0.41421, 2.41421], abs=5e-6)
    euler = min(-2 * values.real / np.abs(values) ** 2)
    assert euler == pytest.approx(0.0034314, abs=5e-8)


def test_sga_example():
    # rejects: I + A for I - A = I + A^T, whose product with H is not 101 I
    game = gd.games.quadratic([[1.0, 10.0], [-10.0, 1.0]])
    flow = gd.flows.symplectic_adjustment(gd.flows.gradient(game), weight=1.0)
    J = flow.at(game.equilibrium_state()).jacobian().to_dense()
    torch.testing.assert_close(J, -101 * torch.eye(2, dtype=DOUBLE), rtol=0, atol=1e-12)
    assert sorted(z.imag for z in game.critical_points[0].eigenvalues) == [-10, 10]
