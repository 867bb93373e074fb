"""Known answers of the studies about other people's claims: fits, games and measures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from analysis.studies.critical_batch.fits import fitted, steps_to
from analysis.studies.cycles import STUDY as CYCLES
from analysis.studies.cycles import games
from analysis.studies.discretisation_drift import drift
from analysis.studies.distillation import game, measures
from analysis.studies.nsgda import modes
from analysis.studies.ode_gan import variants
from analysis.studies.ttur import scales


class TestCriticalBatch:
    def test_steps_to_a_target(self):
        # rejects: the mark itself in the place of the crossing, a straight line of steps, a target taken from below
        assert steps_to([10, 100], [8.0, 2.0], 4.0) == pytest.approx(math.sqrt(1000))
        assert steps_to([10, 100], [3.0, 2.0], 4.0) == 10
        assert steps_to([10, 100], [8.0, 5.0], 4.0) == math.inf
        assert steps_to([10, 100, 1000], [8.0, math.nan, 2.0], 4.0) == 1000

    @given(st.floats(10, 1e4), st.floats(0.5, 3.9))
    def test_the_fit_finds_its_own_law(self, steps, least):
        batches = [4, 8, 16, 64, 256]
        found = fitted(batches, [steps * b / (b - least) for b in batches])
        assert found.critical == pytest.approx(2 * least, rel=1e-3)
        assert found.steps == pytest.approx(steps, rel=1e-3)
        curve = [b * found.at(b) for b in np.geomspace(4, 256, 2000)]
        best = np.geomspace(4, 256, 2000)[int(np.argmin(curve))]
        assert best == pytest.approx(max(found.critical, 4), rel=0.01)  # mutant: b_0 for the critical batch

    def test_too_few_batches_give_no_fit(self):
        assert fitted([4, 8, 16], [100, 50, math.inf]) is None


class TestCycles:
    def test_the_averaged_radius_stands_still_at_the_two_radii(self):
        # rejects: coefficients of another average: the radial velocity, averaged over a turn by numbers
        settings = CYCLES.settings("default")
        a, b, c = games.coefficients(settings)
        angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)

        def radial(r, a=a):
            x, y = r * np.cos(angle), r * np.sin(angle)
            slope = [a * u - b * u**3 + c * u**5 for u in (x, y)]
            return float(-(x * slope[0] + y * slope[1]).mean() / r)

        assert radial(settings.inner) == pytest.approx(0, abs=1e-12)
        assert radial(settings.outer) == pytest.approx(0, abs=1e-12)
        assert radial(0.5 * (settings.inner + settings.outer)) > 0
        critical = games.critical_damping(settings)
        radii = np.linspace(0.1, 3, 500)
        assert max(radial(r, critical) for r in radii) == pytest.approx(0, abs=1e-4)  # the cycles meet, and vanish


class TestDrift:
    def test_the_penalised_limits_of_the_literature(self):
        # usage.md: with lambda = 0.02 Euler 0.04, Heun 0.57, RK4 2.87 at sigma = 1; 0.04, 0.14, 0.295 at sigma = 10
        assert drift.penalised_limits(1.0, 0.02) == pytest.approx({"euler": 0.04, "heun2": 0.57, "rk4": 2.87}, rel=0.01)
        assert drift.penalised_limits(10.0, 0.02) == pytest.approx(
            {"euler": 0.04, "heun2": 0.14, "rk4": 0.295}, rel=0.04
        )
        stiff = drift.penalised_limits(10.0, 0.3)
        assert stiff == pytest.approx({"euler": 0.035, "heun2": 0.035, "rk4": 0.048}, rel=0.03)


class TestDistillation:
    def test_the_teacher_is_the_mixtures_posterior_mean(self):
        # rejects: a spread without the noise, weights left out: against 200,000 samples, weighted
        g = torch.Generator().manual_seed(0)
        picked = torch.multinomial(game.WEIGHTS, 200_000, replacement=True, generator=g)
        x = game.CENTRES[picked] + game.SIGMA * torch.randn(200_000, 2, generator=g)
        for level in (0.3, 0.6, 0.9):
            at = torch.tensor([[0.4, 0.2], [-0.7, 0.1], [0.1, -0.5]])
            share = (-((at[:, None] - (1 - level) * x) ** 2).sum(-1) / (2 * level**2)).softmax(-1)
            told = game.exact(at, torch.full((3, 1), level))
            torch.testing.assert_close(told, share @ x, atol=0.02, rtol=0)

    def test_reverse_kl_of_known_laws(self):
        # a single Gaussian on the first mode: log(1 / 0.4); the mixture itself: 0
        g = torch.Generator().manual_seed(1)
        one = game.CENTRES[0] + game.SIGMA * torch.randn(4000, 2, generator=g)
        assert measures.reverse_kl(one) == pytest.approx(math.log(1 / 0.4), abs=0.05)
        assert measures.reverse_kl(game._samples()[:4000]) == pytest.approx(0, abs=0.06)
        wide = game.CENTRES[0] + 2 * game.SIGMA * torch.randn(4000, 2, generator=g)
        expected = math.log(1 / 0.4) + 4 - 1 - math.log(4)  # KL of N(0, 4 s^2) from N(0, s^2), were it alone
        assert expected - 0.2 < measures.reverse_kl(wide) < expected  # its tails reach other modes

    def test_the_best_fake_score_has_no_lag(self):
        # rejects: a lag against the teacher, a noise level mixed up
        g = torch.Generator().manual_seed(2)
        x = torch.randn(600, 2, generator=g)
        told = []
        for level in measures.LEVELS:
            noised = (1 - level) * x + level * torch.randn(600, 2, generator=g)
            best = (-torch.cdist(noised, (1 - level) * x).square() / (2 * level**2)).softmax(-1) @ x
            told.append((level, noised, best))
        assert measures.lag(x, told) == pytest.approx(0, abs=1e-10)
        assert measures.lag(x, [(a, b, c + 1.0) for a, b, c in told]) == pytest.approx(
            2 / float(x.var(0).sum()), rel=1e-3
        )

    def test_the_generator_moves_toward_the_teacher_and_away_from_its_own_score(self):
        # rejects: the opposite sign; a gradient that passes through the scores
        made = game.mixture_setup(0, 8, 256, adversarial=0.0)
        batch, y = next(made.batches), made.flow.initial_state()
        v = made.flow.field(batch)(0.0, y.y)
        before, after = (_gap(made, y.with_y(y.y + s * v), batch) for s in (0.0, 1e-2))
        assert after < before


def _gap(made, state, batch):
    """Mean of `|x|^2`: samples of an untrained generator sit at 0, the modes at distance 2 from it."""
    noise = batch[1]
    with torch.no_grad(), made.flow.game.at(state) as players:
        x = players["G"](noise[:, :2], torch.ones(len(noise), 1))
    return -float(x.square().sum(-1).mean())


class TestNsgda:
    def test_alignment_counts_columns_on_a_mode(self):
        # rejects: the mean of the modes counted as one of them, a negative column
        made = modes.setup(0, 8, 4, 2, 0.3)
        u = made.extras["modes"]
        assert u.norm(dim=1).tolist() == pytest.approx([1, 1])
        assert float(u[0] @ u[1]) == pytest.approx(0.3)
        for columns, found in (((u[0], u[1]), 2), ((u[0], -u[1]), 1), ((u.sum(0), u.sum(0)), 0)):
            V = torch.stack([*columns, *columns], 1) * 3.0
            state = made.flow.initial_state()
            y = state.y.clone()
            y[: V.numel()] = V.flatten()
            outcome = type("O", (), {"flow": made.flow, "state": state.with_y(y), "setup": made})()
            assert modes.alignment(outcome)["found"] == found


class TestOdeGan:
    def test_a_frozen_step_is_each_players_own_runge_kutta_step(self):
        # rejects: players moved within a stage, the second begun where the first has got to
        J = torch.tensor([[-0.3, -1.0], [0.7, -0.2]], dtype=torch.float64)
        y, h = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.4
        moved = variants.frozen_step(lambda at: J @ at, y, h, [slice(0, 1), slice(1, 2)], gd.methods.get("rk4"))
        for i, j in ((0, 1), (1, 0)):
            a, b = float(J[i, i]), float(J[i, j] * y[j])
            exact = math.exp(a * h) * float(y[i]) + b * math.expm1(a * h) / a
            assert float(moved[i]) == pytest.approx(exact, abs=2e-5)


class TestTtur:
    def test_the_threshold_of_the_quadratic_game(self):
        J = np.array([[1.0, -3.0], [3.0, -3.0]])  # (-1, 3, -3, 3): stable from a ratio of 1/3 on
        assert scales._predicted(J) == pytest.approx(1 / 3)
        assert np.linalg.eigvals(J * np.array([[1.0], [0.34]])).real.max() < 0
        assert np.linalg.eigvals(J * np.array([[1.0], [0.32]])).real.max() > 0

    def test_a_heavy_ball_on_a_rotation(self):
        # s^2 + a s = i w: the larger root has real part about w^2 / a^3 for large a
        assert scales.heavy_ball(100.0)["rotation"] == pytest.approx(1e-6, rel=1e-2)
        assert scales.heavy_ball(1.0)["bowl"] == pytest.approx(-0.5)
