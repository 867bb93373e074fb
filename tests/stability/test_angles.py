"""Sectors and discs in stability regions: known angles (methods.md b5) and brute force around every answer."""

import math
from fractions import Fraction as F
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Lookahead, RungeKutta, bdf, get, heavy_ball, members, optimistic
from gamedyn.stability import amplification, is_stable, real_limit
from gamedyn.stability.regions.angles import a_alpha, disc_radius, sector_radius
from gamedyn.stability.regions.axis import a_stable, e_polynomial, r_infinity
from gamedyn.stability.regions.locus import Locus
from gamedyn.stability.regions.zero_stability import zero_stable

ALL = members()
MODES = sorted(n for n, m in ALL.items() if m.decouples)
BOUNDED = [n for n in MODES if not a_stable(n)]
ROUNDING = 1e-9
"""Growth that a computed root may show on the boundary."""


def ndf(k, kappa):
    """BDF with `kappa gamma_k nabla^(k+1)` added: Shampine, Reichelt 1997."""
    rho, gamma = [F(0)] * (k + 2), sum(F(1, j) for j in range(1, k + 1))
    for m in range(1, k + 2):
        weight = F(1, m) if m <= k else -F(kappa) * gamma
        for j in range(m + 1):
            rho[k + 1 - j] += weight * (-1) ** j * comb(m, j)
    return LinearMultistep(rho, [*[0] * (k + 1), 1])


def rational(top, bottom):
    """A Runge-Kutta method with R = P/Q, P(0) = Q(0) = 1: its companion form, with e_1 turned into all ones."""
    s = len(bottom) - 1
    p, q = ([F(x) for x in c] + [F(0)] * (s + 1 - len(c)) for c in (top, bottom))
    series = []  # R = 1 + c_1 z + c_2 z^2 + ...
    for k in range(s + 1):
        series.append(p[k] - sum(q[j] * series[k - j] for j in range(1, k + 1)))
    companion = [[F(i == j + 1) - (q[s - i] if j == s - 1 else 0) for j in range(s)] for i in range(s)]
    rows = [[sum(companion[a][b] for a in range(i + 1)) for b in range(s)] for i in range(s)]  # T C, T_ij = [j <= i]
    A = [[r[j] - (r[j + 1] if j + 1 < s else 0) for j in range(s)] for r in rows]  # T C T^-1
    b = [series[j + 1] - (series[j + 2] if j + 1 < s else 0) for j in range(s)]  # (c_1 ... c_s) T^-1
    return RungeKutta(A, b, time_scale=series[1])


def growth(method, z):
    return np.nan_to_num(amplification(method, z), nan=np.inf)


class TestKnownAngles:
    @pytest.mark.parametrize(
        ("method", "degrees", "tolerance"),
        [
            ("bdf3", 86.0323668602, 6e-11),
            ("bdf4", 73.3516704746, 6e-11),
            ("bdf5", 51.8397558360, 6e-11),
            ("bdf6", 17.8397777922, 6e-11),
            (ndf(3, "-0.0823"), 80.4153676, 6e-8),
            (ndf(4, "-0.0415"), 66.1817611, 6e-8),
            (ndf(5, 0), 51.8397558360, 6e-11),
        ],
    )
    def test_multistep(self, method, degrees, tolerance):
        """methods.md b5. Rejects: a scan of the locus (1e-4 degrees), radians, the angle from the imaginary axis."""
        assert a_alpha(method) == pytest.approx(degrees, abs=tolerance)

    def test_bdf3_from_its_differences(self):
        # the locus from backward differences, finely sampled; rejects: a locus of the wrong branch or in wrong order
        t = np.linspace(0.1, np.pi, 400001)
        z = sum((1 - np.exp(-1j * t)) ** m / m for m in (1, 2, 3))
        assert a_alpha("bdf3") == pytest.approx(np.degrees(np.arctan2(abs(z.imag), -z.real).min()), abs=1e-8)

    def test_a_stable_ones_are_at_ninety(self):
        for method in ("gauss6", "radau_iia5", "bdf2", "exprb32", "ros2", ndf(1, "-0.185"), ndf(2, "-1/9")):
            assert a_alpha(method) == 90
            assert disc_radius(method) == sector_radius(method, 90) == math.inf

    def test_bounded_regions_have_none(self):
        # rejects: the least angle of the locus of rk4, whose region ends on the real axis
        for name in BOUNDED:
            assert (a_alpha(name) > 0) == name.startswith("bdf")

    def test_a_rosenbrock_method(self):
        """GRK4T: 89.3 degrees, HW II, IV.7, table 7.2 (R of four stages, order 4, gamma = 0.231)."""
        g = F("0.231")
        bottom = [comb(4, k) * (-g) ** k for k in range(5)]
        top = [sum(bottom[j] / math.factorial(k - j) for j in range(k + 1)) for k in range(5)]
        method = rational(top, bottom)
        assert r_infinity(method) == pytest.approx(0.454, abs=5e-4)
        alpha = a_alpha(method)
        assert alpha == pytest.approx(89.35, abs=0.051)
        assert_sector(method, alpha)

    def test_a_touch_of_the_imaginary_axis(self):
        """R = (1 - 2z + 2z^2 + z^3/2) / (1 - z)^3: E = (3/4) y^2 (y^2 - 2)^2, |R| = 1 at y = sqrt 2.

        Rejects: floating-point roots of E; for rounded coefficients, E without the error of its coefficients.
        """
        bottom = [1, -3, 3, -1]
        touching = rational([1, -2, 2, F(1, 2)], bottom)
        assert e_polynomial(touching) == (0, 0, 3, 0, -3, 0, F(3, 4))
        assert a_stable(touching)
        for gap in (F(1, 10**6), F(1, 10**15)):
            crossing = rational([1, -2, 2 + gap, F(1, 2)], bottom)
            assert not a_stable(crossing)
            if gap > F(1, 10**10):  # the bulge is 1e-3 wide, 1e-6 high
                assert 89.9 < a_alpha(crossing) < 90
        for seed in range(6):
            shake = 1 + 3e-16 * np.random.default_rng(seed).standard_normal((4, 3))
            A, b = np.array(touching.A, dtype=float) * shake[:3], np.array(touching.b, dtype=float) * shake[3]
            rounded = RungeKutta(A.tolist(), b.tolist())
            assert a_stable(rounded)
            assert a_alpha(rounded) == 90

    def test_the_locus_at_infinity(self):
        # R = (1 + z/2 - z^2) / (1 - z/2 + z^2): |R| - 1 ~ -2 Re(1/z^2), so 45 degrees are not reached: the infimum
        method = rational([1, F(1, 2), -1], [1, F(-1, 2), 1])
        assert r_infinity(method) == 1
        assert a_alpha(method) == pytest.approx(45, abs=1e-8)
        assert a_alpha(LinearMultistep([-1, 1], [F(1, 2), F(1, 2)])) == 90

    def test_the_locus_at_zero(self):
        """A weakly stable method with `zeta = i exp(mu z)`, mu complex: 90 - |arg mu| degrees, and no disc at all.

        Rejects: the least angle among samples, which does not reach z = 0; the disc of the principal root.
        """
        sigma = [0, F(1, 2), -1, F(5, 3)]
        method = LinearMultistep([-1, 1, -1, 1], sigma, time_scale=F(7, 12))
        at = 1j * (3 * 1j**2 - 2 * 1j + 1)  # zeta rho'(zeta)
        mu = sum(float(c) * 1j**k for k, c in enumerate(sigma)) / at
        assert a_alpha(method) == pytest.approx(90 - abs(np.degrees(np.angle(mu))), abs=1e-12)
        assert disc_radius(method) == 0

    def test_unstable_at_infinity_or_at_zero(self):
        assert a_alpha("am3") == 0
        assert a_alpha(LinearMultistep([-5, 4, 1], [0, 0, 6])) == 0  # not zero-stable
        assert disc_radius(LinearMultistep([-5, 4, 1], [0, 0, 6])) == 0
        assert sector_radius(LinearMultistep([-5, 4, 1], [0, 0, 6]), 10) == 0


def assert_sector(method, alpha):
    """No growth just inside, growth just outside, along rays."""
    r = np.geomspace(1e-6, 1e4, 3001)  # weakly stable methods fail next to 0
    inside = -r * np.exp(-1j * np.radians(alpha * (1 - 1e-6)))
    outside = -r * np.exp(-1j * np.radians(alpha + 1e-2 * (90 - alpha) + 1e-3))
    assert growth(method, inside).max() <= 1 + ROUNDING
    assert growth(method, outside).max() > 1 + 1e-12


class TestKnownDiscs:
    @pytest.mark.parametrize(
        ("method", "radius"),
        [
            ("euler", 1),
            ("heun2", 1),
            ("kutta3", 2.5127453266183286 / 2),
            ("rk4", 2.7852935634052822 / 2),
            ("ssp104", 6),  # R is an absolutely monotonic average on the disc of its SSP coefficient: it is not larger
            ("lookahead5", 1),  # a mean of 1 and (1 + z)^5
            ("ssp43", 2),
            ("extragradient", 0.5),
            ("optimistic", 1 / 3),
            ("negative_momentum", 0.5),
            ("leapfrog_multistep", 0),
            ("ab2", 0.5),
            (RungeKutta([[], ["1/2"]], ["1/2", "1/2"]), 2),  # (1 + z/2)^2: the bound s is attained
        ],
    )
    def test_radii(self, method, radius):
        """Jeltsch, Nevanlinna: at most the number of stages. Rejects: half the real interval (ssp104: 6.96)."""
        assert disc_radius(method) == pytest.approx(float(radius), rel=1e-10, abs=0)

    @pytest.mark.parametrize("beta", [F(1, 2), F(9, 10), F(-1, 3)])
    def test_heavy_ball(self, beta):
        """`y+ = y + beta (y - y-) + h f`: the disc that osculates the locus at 0, or the real interval.

        log zeta = z/(1-beta) - (1 + beta) z^2 / (2 (1-beta)^3) + ..., hence r = (1-beta)^2/(1+beta) where that
        binds. Rejects: the curvature left out, which 10^-4 away from 0 the samples do not show exactly.
        """
        expected = min((1 - beta) ** 2 / (1 + beta), 1 + beta)
        assert disc_radius(heavy_ball(beta)) == pytest.approx(float(expected), rel=1e-12)

    def test_euler_sectors(self):
        # |1 + z| <= 1: r = 2 cos(angle); rejects: |z| of the touching point, degrees as radians
        for angle in (0, 10, 45, 60, 89):
            assert sector_radius("euler", angle) == pytest.approx(2 * math.cos(math.radians(angle)), rel=1e-9)
        assert sector_radius("euler", 90) == 0
        assert sector_radius("rk4", 0) == real_limit("rk4")

    def test_a_notch_inside_the_sector_counts(self):
        # rk4: both edges of the quadrant are longer than the least |z| on the boundary between them
        assert sector_radius("rk4", 90) == pytest.approx(2.615587688, abs=1e-9)
        assert sector_radius("rk4", 90) < min(real_limit("rk4"), 2.8284)

    @pytest.mark.parametrize("angle", [-1, 91, math.nan, "45", True, None])
    def test_angles_out_of_range(self, angle):
        with pytest.raises(ArgumentError, match="angle"):
            sector_radius("rk4", angle)


def circle(r):
    """Points of |z + r| = r in the upper half, dense towards 0."""
    t = np.concatenate([np.geomspace(1e-4, 0.1, 300), np.linspace(0.1, np.pi, 1500)])
    return r * (np.exp(1j * t) - 1)


def assert_disc(method, r):
    inner = circle(r * (1 - 1e-7))
    assert growth(method, inner).max() <= 1 + ROUNDING
    outer = np.concatenate([circle(r * x) for x in (1 + 1e-3, 1 + 1e-2)])
    assert growth(method, outer).max() > 1 + 1e-12


def assert_piece(method, angle, r):
    """The arc of radius r, and both edges, from angle 0 to `angle`."""
    turn = np.exp(1j * np.radians(np.linspace(0, angle, 800)))
    assert growth(method, -r * (1 - 1e-7) * turn).max() <= 1 + ROUNDING
    assert growth(method, -r * np.linspace(1e-3, 1 - 1e-7, 800) * turn[-1]).max() <= 1 + ROUNDING
    outer = [growth(method, -r * x * turn).max() for x in np.geomspace(1 + 1e-6, 1.01, 12)]
    assert max(outer) > 1 + 1e-12


def test_a_double_multiplier_at_infinity():
    # sigma = (zeta + 1)^2 / 4, rho = (zeta - 1) zeta: the axis alone is stable far out; rejects: a division by 0
    method = LinearMultistep([0, -1, 1], ["1/4", "1/2", "1/4"])
    assert a_alpha(method) == 0.0
    far = 1e6 * np.exp(1j * np.pi * np.array([1.0, 1 - 1e-2, 1 - 1e-3]))
    assert is_stable(method, far).tolist() == [True, False, False]


class TestBruteForce:
    @pytest.mark.parametrize("name", BOUNDED)
    def test_discs_and_sectors_of_members(self, name):
        """Just inside nothing grows, just outside something does. Rejects: a locus point of a harmless branch, a
        branch left out (z != 0 with multiplier 1), samples for minima (1e-7)."""
        r = disc_radius(name)
        if r:
            assert_disc(name, r)
        for angle in (35.0, 80.0):
            r = sector_radius(name, angle)
            if 0 < r < math.inf:
                assert_piece(name, angle, r)
            elif r:
                assert a_alpha(name) >= angle

    @settings(max_examples=40, deadline=None)
    @given(
        inner=st.sampled_from([bdf(3), bdf(4), bdf(5)]),
        k=st.integers(1, 3),
        alpha=st.fractions(F(1, 4), 1, max_denominator=8),
    )
    def test_lookahead_over_implicit_methods(self, inner, k, alpha):
        method = Lookahead(inner, k, alpha)
        angle = a_alpha(method)
        if 0 < angle < 90:
            assert_sector(method, angle)

    @settings(max_examples=40, deadline=None)
    @given(
        roots=st.lists(st.fractions(-1, F(4, 5), max_denominator=5), min_size=1, max_size=2),
        turned=st.booleans(),
        beta=st.lists(st.fractions(-1, 1, max_denominator=5), min_size=3, max_size=3),
        newest=st.fractions(0, 2, max_denominator=5),
    )
    def test_random_multistep_methods(self, roots, turned, beta, newest):
        """Rejects: minima on the locus where the region is not (parasitic branches), 0 for a stable start."""
        rho = np.array([F(-1), F(1)], dtype=object)
        for x in [] if turned and len(roots) == 2 else roots:
            rho = np.convolve(rho, [-x, F(1)])
        if len(rho) == 2:  # a complex pair
            rho = np.convolve(rho, [abs(roots[1]), roots[0], F(1)])
        sigma = [*beta[: len(rho) - 1], newest]
        slope = sum(j * x for j, x in enumerate(rho))
        assume(slope and sum(sigma) > 0)
        method = LinearMultistep(list(rho), sigma, time_scale=sum(sigma) / slope)
        assume(zero_stable(method) and not a_stable(method))
        r, angle = disc_radius(method), a_alpha(method)
        if 1e-3 < r < 1e3:
            assert_disc(method, r)
        if 0.5 < angle < 89.5:
            assert_sector(method, angle)
        r = sector_radius(method, 50.0)
        if 1e-3 < r < 1e3:
            assert_piece(method, 50.0, r)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.fractions(-1, 1, max_denominator=6), min_size=1, max_size=4))
    def test_random_polynomials(self, tail):
        """R = 1 + z + ...: at most s. Rejects: a missing osculating disc at 0 (order 1)."""
        s = 1 + len(tail)
        # nested: u_k = y + a_k h f(u_{k-1}) has R = 1 + z + a_{s-1} z^2 + a_{s-1} a_{s-2} z^3 + ...
        method = RungeKutta([[], *([0] * i + [x] for i, x in enumerate(tail))], [0] * len(tail) + [1])
        r = disc_radius(method)
        assert r <= s * (1 + 1e-9)
        if r > 1e-3:
            assert_disc(method, r)
        r = sector_radius(method, 60)
        if r > 1e-3:
            assert_piece(method, 60, r)


class TestLocus:
    @pytest.mark.parametrize("name", ["rk4", "bdf4", "pece_ab3_am4", "radau_iia5", "lookahead_optimistic"])
    def test_points_have_a_multiplier_on_the_circle(self, name):
        """The multiplier at the points is exp(i t). Rejects: powers of zeta for those of zeta - 1."""
        locus = Locus(get(name))
        z = locus.points[::37]
        good = np.isfinite(z) & (np.abs(z) < 1e3)
        assert good.mean() > 0.9
        rows = np.where(good, z, 0)
        size = growth(name, rows)
        assert np.all(size[good] >= 1 - 1e-9)  # the dominant one is at least that

    def test_tangents(self):
        """log(1 + z) = z - z^2/2; +-exp(+-z) of leapfrog. Rejects: second derivatives of zeta, not of its log."""
        (euler,) = Locus(get("euler")).tangents()
        assert euler.slope == pytest.approx(1, abs=1e-15)
        assert euler.curvature == pytest.approx(-0.5, abs=1e-15)
        assert sorted(t.slope.real for t in Locus(get("leapfrog_multistep")).tangents()) == pytest.approx([-1, 1])
        (midpoint,) = Locus(get("implicit_midpoint")).tangents(at_infinity=True)
        assert midpoint.slope == pytest.approx(4, abs=1e-14)  # -(1 + 2w)/(1 - 2w)
        assert midpoint.curvature == pytest.approx(0, abs=1e-14)
        assert Locus(get("bdf3")).tangents(at_infinity=True) == ()

    def test_refused(self):
        for function in (a_alpha, disc_radius, lambda m: sector_radius(m, 45)):
            with pytest.raises(ArgumentError, match="modes decouple"):
                function("alternating")
            with pytest.raises(ArgumentError, match="coefficients gamedyn holds"):
                function("normalised")

    def test_optimistic_family(self):
        # y+ = y + h((1+a) f_n - a f_{n-1}): real interval 2/(1+2a), and the disc on it
        for a in (F(3, 5), F(1), F(3, 2)):
            assert disc_radius(optimistic(a)) == pytest.approx(float(1 / (1 + 2 * a)), rel=1e-12)
