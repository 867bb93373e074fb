"""Mean-square stability under batch noise in J: closed forms, Kronecker products, the memory of multistep methods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, PredictorCorrector
from gamedyn.stability import BlockJacobian, largest_stable_step, mean_square_steps, step_matrix
from gamedyn.stability.matrices.mean_square import mean_square_radius, memory_matrix

OWN = gd.methods.members()
MULTISTEP = [n for n, m in OWN.items() if isinstance(m, (LinearMultistep, PredictorCorrector))]
ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])


def noisy(lam, sigma):
    """Two batches of mean lambda and standard deviation sigma."""
    return [[[lam + sigma]], [[lam - sigma]]]


def games(rng, count=4, noise=0.2):
    """Damped rotations with noise in every entry, as two players."""
    mean = np.array([[-0.3, -1.0], [1.0, -0.4]])
    return [BlockJacobian(mean + noise * rng.standard_normal((2, 2)), (1, 1)) for _ in range(count)]


def centred(rng, mean, noise):
    """Batches around a mean that is exactly the given one."""
    deviations = noise * rng.standard_normal((2, 2, 2))
    return [BlockJacobian(mean.matrix + s * D, (1, 1)) for D in deviations for s in (1, -1)]


class TestClosedForms:
    @given(st.floats(-3, -0.1), st.floats(0, 3), st.floats(0.01, 2))
    @settings(max_examples=50, deadline=None)
    def test_euler(self, lam, sigma, h):
        # (1 + h lambda)^2 + h^2 sigma^2; rejects: h sigma^2 (an SDE's), the root of it
        expected = (1 + h * lam) ** 2 + h**2 * sigma**2
        np.testing.assert_allclose(mean_square_radius("euler", noisy(lam, sigma), h), expected, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize(("lam", "sigma"), [(-1.0, 0.0), (-1.0, 0.5), (-1.0, 2.0), (-0.2, 3.0), (-5.0, 0.1)])
    def test_eulers_limit(self, lam, sigma):
        # h < -2 lambda / (lambda^2 + sigma^2); rejects: the limit of the mean, -2 / lambda
        found = mean_square_steps("euler", noisy(lam, sigma))
        assert len(found.intervals) == 1
        np.testing.assert_allclose(found.limit, -2 * lam / (lam**2 + sigma**2), rtol=1e-11)
        # S = d ln rho / d ln h / 2 there: (h lambda + h^2 (lambda^2 + sigma^2)) / 1 = -h lambda
        np.testing.assert_allclose(found.sensitivity, -found.limit * lam, rtol=1e-4)

    def test_implicit_euler(self):
        # E (1 - h J)^-2 for J = -1 +- s: with s = 1.5 one batch grows; limit by hand
        def radius(h):
            return ((1 - 0.5 * h) ** -2 + (1 + 2.5 * h) ** -2) / 2

        for h in (0.1, 1.0, 1.9):
            np.testing.assert_allclose(mean_square_radius("implicit_euler", noisy(-1, 1.5), h), radius(h), rtol=1e-12)

    def test_ab2_on_a_scalar(self):
        # y+ = y + h (3/2 a y - 1/2 f), f+ = a y: moments (y^2, y f, f^2), a of mean m and mean square q
        # rejects: (y_n, y_{n-1}) for the state, which forgets the batch of the past field value
        m, q, h = -1.0, 1.0 + 0.7**2, 0.6
        T = np.array(
            [
                [1 + 3 * h * m + 2.25 * h**2 * q, -h - 1.5 * h**2 * m, 0.25 * h**2],
                [m + 1.5 * h * q, -0.5 * h * m, 0.0],
                [q, 0.0, 0.0],
            ]
        )
        expected = np.abs(np.linalg.eigvals(T)).max()
        np.testing.assert_allclose(mean_square_radius("ab2", noisy(-1.0, 0.7), h), expected, rtol=1e-12)

    @pytest.mark.parametrize("name", ["ab2", "ab3", "am3", "bdf3", "ebdf3", "optimistic", "heavy_ball"])
    def test_refreshed_history_is_no_better(self, name, rng):
        # Dahlquist's one-leg twin: P+ = ... h J_b sum beta P gives y = sum beta P with history kept
        # rejects: past field values lost or mixed up between batches
        chosen = games(rng, noise=0.8)
        steps = [step_matrix(name, J, 0.3) for J in chosen]  # all field values on the present batch
        kron = sum(np.kron(M, M) for M in steps) / len(steps)
        expected = np.abs(np.linalg.eigvals(kron)).max()
        np.testing.assert_allclose(mean_square_radius(name, chosen, 0.3), expected, rtol=1e-10)


class TestDefinition:
    @pytest.mark.parametrize(
        "name", ["euler", "rk4", "gauss4", "alternating", "cgd", "lookahead_alternating", "rodas3"]
    )
    def test_against_kronecker_products(self, name, rng):
        # rho(E[M (x) M]) of all n^2 dimensions; rejects: rho of E[M], E[rho(M)^2], weights ignored
        chosen, w = games(rng), [0.1, 0.2, 0.3, 0.4]
        steps = [step_matrix(name, J, 0.7) for J in chosen]
        kron = sum(x * np.kron(M, M) for x, M in zip(w, steps, strict=True))
        expected = np.abs(np.linalg.eigvals(kron)).max()
        np.testing.assert_allclose(mean_square_radius(name, chosen, 0.7, w), expected, rtol=1e-12)
        mean = sum(x * M for x, M in zip(w, steps, strict=True))
        assert expected >= np.abs(np.linalg.eigvals(mean)).max() ** 2 - 1e-12

    @pytest.mark.parametrize("name", OWN)
    def test_without_noise_it_is_the_radius_squared(self, name, rng):
        # every member; of multistep methods with their memory; rejects: a state that adds modes of its own
        J = games(rng)[0]
        expected = np.abs(np.linalg.eigvals(step_matrix(name, J, 0.05))).max() ** 2
        np.testing.assert_allclose(mean_square_radius(name, [J], 0.05), expected, rtol=1e-10)
        np.testing.assert_allclose(mean_square_radius(name, [J, J], 0.05, [0.3, 0.7]), expected, rtol=1e-9)

    def test_large_states(self, rng):
        # Arnoldi against the dense operator, n = 17 > 16; rejects: the operator not symmetrised, weights lost
        n = 17
        chosen = [-np.eye(n) + 0.3 * rng.standard_normal((n, n)) for _ in range(3)]
        w = np.array([0.5, 0.25, 0.25])
        steps = [step_matrix("heun2", J, 0.8) for J in chosen]
        kron = sum(x * np.kron(M, M) for x, M in zip(w, steps, strict=True))
        expected = np.abs(np.linalg.eigvals(kron)).max()
        np.testing.assert_allclose(mean_square_radius("heun2", chosen, 0.8, w), expected, rtol=1e-10)
        scalar = [c * np.eye(n) for c in (-1.0, -2.0)]  # every X is an eigenvector
        np.testing.assert_allclose(mean_square_radius("euler", scalar, 0.5), (0.25 + 0.0) / 2, rtol=1e-10)

    def test_it_is_what_second_moments_do(self, rng):
        # the moments themselves, from X = I, step by step; rejects: a growth that no X shows
        chosen = games(rng)
        steps = [step_matrix("strang", J, 0.9) for J in chosen]
        X, size = np.eye(2), 0.0
        for _ in range(4000):
            X = sum(M @ X @ M.T for M in steps) / len(steps)
            size, X = np.trace(X), X / np.trace(X)
        np.testing.assert_allclose(mean_square_radius("strang", chosen, 0.9), size, rtol=1e-10)


class TestMemory:
    @pytest.mark.parametrize("name", MULTISTEP)
    def test_against_the_recurrence_itself(self, name, rng):
        # two batches in turn, the formula written out with the field values kept; rejects: field values of the present
        # batch, an implicit method's newest value evaluated anew, alpha or beta in the wrong order
        m, h, n = OWN[name], 0.05, 2
        chosen = games(rng, 2)
        k = m.steps
        rules = [m] if isinstance(m, LinearMultistep) else [m.predictor, m.corrector]
        implicit = isinstance(m, LinearMultistep) and not m.explicit
        y = [rng.standard_normal(n) for _ in range(k)]  # newest first
        f = [rng.standard_normal(n) for _ in range(k if implicit else k - 1)]  # of y[0] if implicit, else of y[1]
        size = len(memory_matrix(m, chosen[0], h)) // n
        reach = max([0, *(j + 1 for r in rules for j, b in enumerate(r.beta[-2::-1]) if b)])
        kept = reach if implicit else max(0, reach - 1)
        values = size - kept

        def known(r, values, slopes):
            a = sum(-float(x) * v for x, v in zip(r.alpha[-2::-1], values, strict=False))
            return a + h * sum(float(x) * v for x, v in zip(r.beta[-2::-1], slopes, strict=False))

        for step in range(5):
            J = chosen[step % 2]
            before = np.concatenate([*y[:values], *f[:kept]])
            slopes = f if implicit else [J.matrix @ y[0], *f]
            new = known(rules[0], y, slopes)
            if getattr(m, "coupling", None):
                new = new + h * J.cross @ sum(float(x) * v for x, v in zip(m.coupling[::-1], y, strict=True))
            if implicit:
                slope = np.linalg.solve(np.eye(n) - h * float(m.beta[-1]) * J.matrix, J.matrix @ new)
                new = new + h * float(m.beta[-1]) * slope
                slopes = [slope, *f]
            elif isinstance(m, PredictorCorrector):
                for _ in range(m.corrections):
                    new = known(m.corrector, y, slopes) + h * float(m.corrector.beta[-1]) * J.matrix @ new
            y, f = [new, *y][:k], slopes[: len(f)]
            after = np.concatenate([*y[:values], *f[:kept]])
            np.testing.assert_allclose(memory_matrix(m, J, h) @ before, after, rtol=1e-12, atol=1e-13)

    def test_small_state(self):
        # Adams methods keep one value; rejects: k values where one will do
        J = -np.eye(3)
        assert [memory_matrix(OWN[n], J, 0.1).shape[0] // 3 for n in ("ab4", "bdf3", "am3", "optimistic")] == [
            4,
            3,
            3,
            2,
        ]


class TestSteps:
    @pytest.mark.parametrize("name", ["euler", "heun2", "kutta3", "ab2", "optimistic", "alternating", "strang", "bdf2"])
    def test_near_the_set_of_the_mean(self, name, rng):
        # for little noise its limit, less what the noise takes, of its square; rejects: a noise that counts once
        mean = games(rng, 1, noise=0)[0]
        limit = largest_stable_step(name, mean)
        gaps = []
        for size in (0.02, 0.01):
            found = mean_square_steps(name, centred(np.random.default_rng(3), mean, size))
            gaps.append(limit - found.limit)
            if np.isinf(limit):
                assert found.intervals == ((0.0, np.inf),)
        if np.isfinite(limit):
            np.testing.assert_allclose(gaps[0] / gaps[1], 4, rtol=0.05)
            assert gaps[1] > 0 or name != "euler"

    @pytest.mark.parametrize("name", ["rk4", "extragradient", "ab3", "alternating", "lookahead5"])
    def test_ends_are_crossings(self, name):
        # rejects: ends at points of the scan
        chosen = games(np.random.default_rng(5))
        found = mean_square_steps(name, chosen)
        for h in (x for pair in found.intervals for x in pair if 0 < x < np.inf):
            np.testing.assert_allclose(mean_square_radius(name, chosen, h), 1, rtol=1e-10)
            assert mean_square_radius(name, chosen, 0.99 * h) < 1 < mean_square_radius(name, chosen, 1.01 * h)
        d = 1e-4
        slope = np.log(mean_square_radius(name, chosen, found.limit * (1 + d))) / d / 2
        np.testing.assert_allclose(found.sensitivity, slope, rtol=1e-2)

    def test_later_intervals_of_implicit_methods(self):
        # bdf5's unstable band, a little widened; rejects: a scan that ends at the first unstable step
        chosen = [c * (ROTATION - 0.3 * np.eye(2)) for c in (0.98, 1.02)]
        found = mean_square_steps("bdf6", chosen)
        assert len(found.intervals) == 2
        assert found.intervals[1][1] == np.inf
        sure = gd.stability.regions.ray_intervals(OWN["bdf6"], (-0.3 + 1j) / abs(-0.3 + 1j))
        assert found.intervals[0][1] < sure[0][1] / abs(-0.3 + 1j)
        assert found.intervals[1][0] > sure[1][0] / abs(-0.3 + 1j)

    def test_noise_on_a_bare_rotation(self):
        # noise in the damping takes away rk4's small steps: |R|^2 = 1 - h^6/72, and the noise adds 2 h^2 s^2
        # rejects: rounding near 0 taken for stability
        s = 0.01
        chosen = [ROTATION + x * np.diag([1.0, -1.0]) for x in (s, -s)]
        found = mean_square_steps("rk4", chosen)
        assert found.first is None
        assert found.flow_stable is None
        np.testing.assert_allclose(found.intervals[0][0], (144 * s**2) ** 0.25, rtol=0.01)
        blocks = [BlockJacobian(J, (1, 1)) for J in chosen]
        assert mean_square_steps("alternating", blocks).intervals == ()

    def test_noise_in_the_speed_of_a_rotation(self):
        # commuting rotations: E|R(i h w)|^2 <= 1; rejects: any noise taken for harmful near 0
        found = mean_square_steps("rk4", [0.9 * ROTATION, 1.1 * ROTATION])
        R = gd.stability.stability_function("rk4")
        h = found.limit
        assert found.first is not None
        np.testing.assert_allclose((abs(R(0.9j * h)) ** 2 + abs(R(1.1j * h)) ** 2) / 2, 1, rtol=1e-10)

    def test_neutral_and_growing(self):
        same = [BlockJacobian(ROTATION, (1, 1))] * 3
        np.testing.assert_allclose(mean_square_steps("alternating", same).limit, 2, rtol=1e-4)
        grows = [0.1 * np.eye(2) + x * ROTATION for x in (1, -1)]
        found = mean_square_steps("euler", grows)
        assert found.intervals == ()
        assert found.flow_stable is False
        assert mean_square_steps("euler", [np.zeros((2, 2))] * 2).intervals == ((0.0, np.inf),)

    def test_deviations_as_batches(self, rng):
        # the docstring's J +- sqrt(r) F_k: E[dJ (x) dJ] = sum F (x) F, all that Euler sees
        J, Fs = -np.eye(2) + 0.5 * ROTATION, 0.3 * rng.standard_normal((3, 2, 2))
        batches = [J + s * np.sqrt(3) * F for F in Fs for s in (1, -1)]
        h, M = 0.7, np.eye(2) + 0.7 * J
        kron = np.kron(M, M) + h**2 * sum(np.kron(F, F) for F in Fs)
        expected = np.abs(np.linalg.eigvals(kron)).max()
        np.testing.assert_allclose(mean_square_radius("euler", batches, h), expected, rtol=1e-12)


class TestRefusals:
    def test_batches(self):
        for bad in ([], np.float64(1), BlockJacobian(ROTATION, (1, 1)), [np.eye(2), np.eye(3)], [[[1, 2]]]):
            with pytest.raises(ArgumentError, match="jacobians"):
                mean_square_radius("euler", bad, 0.1)
        with pytest.raises(ArgumentError, match="finite"):
            mean_square_steps("euler", [[[np.nan]]])

    def test_weights(self):
        for w in ([0.5], [0.5, 0.6], [1.5, -0.5], [np.nan, 1]):
            with pytest.raises(ArgumentError, match="weights"):
                mean_square_radius("euler", noisy(-1, 1), 0.1, w)

    def test_methods(self):
        with pytest.raises(ArgumentError, match="BlockJacobian"):
            mean_square_radius("alternating", [-np.eye(2), -2 * np.eye(2)], 0.1)
        for name in ("torchdiffeq:rk4", "normalised"):
            with pytest.raises(ArgumentError, match="holds"):
                mean_square_steps(name, noisy(-1, 1))
