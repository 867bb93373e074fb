"""Step sets of methods that need blocks: against brute force, and to an end that is one."""

from __future__ import annotations

import numpy as np
import pytest

from gamedyn import methods
from gamedyn.stability import BlockJacobian, spectral_radius, stable_steps
from gamedyn.stability.steps import mean_square_steps
from gamedyn.stability.steps.scans import scanned_intervals

BLOCKS = [n for n, m in methods.members().items() if not m.decouples and not m.named_parts]


def stiff_beside_slow():
    J = np.diag([-1e5, -0.1, -0.1])
    J[1:, 1:] += [[0.0, -1.0], [1.0, 0.0]]
    return J


class TestTheEnd:
    def test_a_slow_mode_beside_a_stiff_one(self):
        """Rejects: a scan that ends at 8192 times the fastest mode; the slow rotation bounds h."""
        steps = stable_steps("imex_sym", BlockJacobian(stiff_beside_slow(), (2, 1)))
        assert steps.intervals == ((0.0, pytest.approx(0.2 / 0.99, rel=1e-9)),)

    def test_mean_square_too(self):
        steps = mean_square_steps("imex_sym", [BlockJacobian(stiff_beside_slow(), (2, 1))])
        assert steps.limit == pytest.approx(0.2 / 0.99, rel=1e-9)

    def test_an_infinite_limit_is_one(self):
        """cgd on a bilinear game is stable at every step; a millionth of own curvature against it bounds it late."""
        K = np.array([[0.0, -1.0], [1.0, 0.0]])
        assert stable_steps("cgd", BlockJacobian(K - 1e-9 * np.eye(2), (1, 1))).limit == np.inf
        late = stable_steps("imex_skew", BlockJacobian(np.diag([-1e-4, -1e-4]) + K, (1, 1)))
        for h in np.geomspace(1e-3, 1e9, 200):
            assert (
                spectral_radius("imex_skew", BlockJacobian(np.diag([-1e-4, -1e-4]) + K, (1, 1)), h) <= 1 + 1e-10
            ) == (h in late)


class TestTurns:
    def test_a_gap_and_an_island_narrower_than_the_grid(self):
        """Rejects: membership read off the grid's points alone."""
        grid = np.linspace(0.1, 8.0, 80)

        def radius(h):
            gap = 0.2 * np.exp(-(((h - 3.055) / 0.03) ** 2))
            island = -0.7 * np.exp(-(((h - 6.045) / 0.03) ** 2))
            return float(0.9 + gap + island + (0.5 if h > 5 else 0.0))

        found = scanned_intervals(radius, lambda h: 1 + 1e-10, grid, 1e9, explicit=True, xtol=1e-12)
        assert len(found) == 3
        for low, high in found[1:]:
            assert radius(low * (1 + 1e-9)) <= 1.0001
            assert radius(high * (1 - 1e-9)) <= 1.0001
        assert found[0][1] == pytest.approx(3.055 - 0.03 * np.log(2) ** 0.5, abs=1e-9)


@pytest.mark.parametrize("name", [n for n in BLOCKS if n not in ("forest_ruth_rk4", "ruth3_kutta3")])
def test_random_games_by_brute_force(name):
    """600 steps a game, from 1e-5 to 1e5 of the fastest: none that grows is in the set, none that decays is out."""
    rng = np.random.default_rng(len(name))
    for k in range(6):
        n = int(rng.integers(2, 7))
        B = rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-1, 1)
        own = np.diag(10.0 ** rng.uniform(-3, 1.5, n)) if k % 2 else 0.3 * np.eye(n)
        J = (B - B.T) - own
        game = BlockJacobian(J, (n - 1, 1))
        steps, fastest = stable_steps(name, game), np.abs(np.linalg.eigvals(J)).max()
        for h in np.concatenate([np.geomspace(1e-5, 1e5, 400), np.linspace(0.02, 4, 200)]) / fastest:
            radius = spectral_radius(name, game, h)
            if radius > 1 + 1e-6:
                assert h not in steps, (k, h, radius)
            elif radius < 1 - 1e-6:
                assert h in steps, (k, h, radius)
