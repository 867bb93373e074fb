"""Step sets against 50-digit arithmetic: no step in a set grows, no step that decays is left out.

Mutants rejected: growth between crossings read off expanded powers in double precision; crossings that a companion
matrix loses; a multistep method's first gap decided by a double; an isolation that stops at the first root of several.
"""

from fractions import Fraction as F

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn.methods import LinearMultistep, Lookahead, RungeKutta, get, heavy_ball, lookahead
from gamedyn.stability import real_limit, spectral_radius, stable_steps, symbol
from gamedyn.stability.regions import ray_intervals
from gamedyn.stability.symbols.boundary import Boundary, circle_test
from gamedyn.stability.symbols.factored import accurately, complex_roots
from gamedyn.stability.symbols.real_roots import positive_roots

ON_AND_OFF = (-1, 1j, -1 + 1e-3j, -1e-6 + 1j, -0.6 + 0.8j, -0.05 + 1j, 1e-3 + 1j)


def chebyshev(stages, damping=F(0)):
    """The Runge-Kutta-Chebyshev polynomial of order 1 as a method: `T_s(w0 + w1 z) / T_s(w0)`, w0 = 1 + damping / s^2.

    Source: van der Houwen, Sommeijer 1980, ZAMM 60. Its A is a chain: stage i + 1 follows stage i alone.
    """
    w0 = 1 + damping / stages**2
    T, dT = [F(1), w0], [F(0), F(1)]
    for _ in range(stages - 1):
        dT.append(2 * T[-1] + 2 * w0 * dT[-1] - dT[-2])
        T.append(2 * w0 * T[-1] - T[-2])
    w1 = T[-1] / dT[-1]
    p, q = [F(1)], [w0, w1]
    for _ in range(stages - 1):
        r = [2 * w0 * x for x in q] + [F(0)]
        for i, x in enumerate(q):
            r[i + 1] += 2 * w1 * x
        for i, x in enumerate(p):
            r[i] -= x
        p, q = q, r
    c = [x / T[-1] for x in q]  # P = 1 + z + c_2 z^2 + ...: y+ = y + h k_s with a_{i+1,i} = c_{s-i+1} / c_{s-i}
    links = [c[k + 1] / c[k] for k in range(1, stages)][::-1]
    A = [[]] + [[F(0)] * i + [a] for i, a in enumerate(links)]
    return RungeKutta(A, [F(0)] * (stages - 1) + [c[1]])


def growth(method, z):
    """The largest multiplier in 50 digits, from the symbol's exact coefficients."""
    with mpmath.workdps(60):
        at = mpmath.mpc(z)
        rows = [
            mpmath.polyval([mpmath.mpf(x.numerator) / x.denominator for x in reversed(p)], at)
            for p in symbol(method).rows
        ]
        if len(rows) == 2:
            return abs(rows[0] / rows[1]) if rows[1] else mpmath.inf
        roots = mpmath.polyroots(rows[::-1], maxsteps=400, extraprec=400)
        return max(map(abs, roots))


def by_stages(method, z):
    """R(z) of an explicit tableau, stage by stage, in 50 digits: shares nothing with the symbol."""
    with mpmath.workdps(60):
        slopes = []
        for row in method.A:
            inner = sum((mpmath.mpf(a.numerator) / a.denominator * k for a, k in zip(row, slopes, strict=False)), 0)
            slopes.append(mpmath.mpc(z) * (1 + inner))
        return abs(1 + sum(mpmath.mpf(w.numerator) / w.denominator * k for w, k in zip(method.b, slopes, strict=True)))


def holds(method, direction, grown=growth, count=120):
    """Sampled radii, the ends' neighbours among them, on the right side of every end."""
    u = complex(direction) / abs(direction)
    found = ray_intervals(method, u)
    ends = sorted({x for pair in found for x in pair if 0 < x < np.inf})
    far = 1.5 * ends[-1] if ends else 10.0
    near = [x * (1 + d) for x in ends for d in (-1e-6, 1e-6)]
    for r in [*np.linspace(0, far, count + 2)[1:-1], *np.geomspace(1e-3, 1e4, 30), *near]:
        size = grown(method, r * u)
        inside = any(low <= r <= high for low, high in found)
        assert not (inside and size > 1 + 1e-9), (r * u, size)
        assert inside or size > 1 - 1e-9, (r * u, size)


@pytest.mark.parametrize("stages", [5, 9, 14, 20, 40])
@pytest.mark.parametrize("damping", [F(0), F(1, 20)])
def test_stabilised_methods_of_many_stages(stages, damping):
    method = chebyshev(stages, damping)
    for direction in ON_AND_OFF[:5] if stages < 40 else ON_AND_OFF[:3]:
        holds(method, direction, by_stages, 60)


def test_the_undamped_polynomial_touches_the_boundary_and_no_more():
    # faults.md: -1 + .001i, 14 stages: steps with growth of up to 1.05 lay in the set
    assert real_limit(chebyshev(14)) == pytest.approx(2 * 14**2, rel=1e-12)
    assert len(ray_intervals(chebyshev(14), -1.0)) == 1
    off = ray_intervals(chebyshev(14), (-1 + 1e-3j) / abs(-1 + 1e-3j))
    assert len(off) > 2  # between its touching points it grows a little
    u = (-1 + 1e-3j) / abs(-1 + 1e-3j)
    worst = max(float(by_stages(chebyshev(14), r * u)) for low, high in off for r in np.linspace(low, high, 40))
    assert worst <= 1 + 1e-9


@pytest.mark.parametrize("k", [10, 25, 40, 60])
def test_lookahead_over_one_step_methods(k):
    # faults.md: an explicit method "stable at every step"
    for inner in ("euler", "heun2") if k < 60 else ("euler",):
        method = lookahead(get(inner), k, "1/2")
        for direction in (-1, -0.6 + 0.8j, 1j):
            holds(method, direction, count=30)
    limit = 2.0 if k % 2 == 0 else 1 + 3 ** (1 / k)  # (1 + z)^k lies in [-3, 1]
    assert real_limit(lookahead(get("euler"), k, "1/2")) == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize("k", [10, 30, 60])
def test_lookahead_over_multistep_methods(k):
    method = Lookahead(get("optimistic"), k, "1/2")
    for direction in (-1, -0.6 + 0.8j, 1j):
        holds(method, direction, count=30)
    if k == 30:
        assert real_limit(method) == pytest.approx(0.696, abs=5e-4)  # faults.md; 0 before


@pytest.mark.parametrize("beta", ["9/10", "99/100", "999/1000", "9999/10000"])
def test_heavy_ball_near_its_double_root(beta):
    # Polyak: the real limit is 2 (1 + beta); faults.md: 0 before
    method = heavy_ball(beta)
    assert real_limit(method) == pytest.approx(float(2 * (1 + F(beta))), rel=1e-12)
    for direction in (-1, -1 + 1e-2j, -0.6 + 0.8j):
        holds(method, direction, count=40)


@pytest.mark.parametrize("name", ["ab3", "bdf3", "bdf6", "am4", "leapfrog_multistep", "optimistic", "pece_ab4_am4"])
def test_members_of_several_steps(name):
    for direction in ON_AND_OFF:
        holds(get(name), direction, count=40)


@given(
    st.lists(st.integers(-3, 3), min_size=2, max_size=3),
    st.lists(st.integers(-4, 4), min_size=3, max_size=4),
    st.sampled_from(ON_AND_OFF[:5]),
)
@settings(max_examples=12, deadline=None)
def test_random_multistep_data(rest, sigma, direction):
    """rho = (zeta - 1) q: consistent by its clock. Rejects: a boundary that sees some of the roots."""
    q = [F(x, 4) for x in rest] + [F(1)]
    alpha = [(q[i - 1] if i else F(0)) - (q[i] if i < len(q) else F(0)) for i in range(len(q) + 1)]
    beta = [F(x, 3) for x in (*sigma, *[0] * 9)][: len(alpha)]
    slope, total = sum(i * a for i, a in enumerate(alpha)), sum(beta)
    if not slope or not total:
        return
    holds(LinearMultistep(alpha, beta, time_scale=total / slope), direction, count=25)


class TestParts:
    @given(st.lists(st.fractions(F(1, 50), F(100), max_denominator=50), min_size=1, max_size=6), st.integers(0, 3))
    @settings(max_examples=60, deadline=None)
    def test_all_positive_roots_are_found(self, roots, negative):
        p = (F(3),)
        for x in [*roots, *[F(-k - 1) for k in range(negative)]]:
            p = tuple((p[i - 1] if i else F(0)) - x * (p[i] if i < len(p) else F(0)) for i in range(len(p) + 1))
        assert positive_roots(p) == pytest.approx(sorted({float(x) for x in roots}), rel=1e-14)

    def test_roots_that_doubles_lose(self):
        # Wilkinson's polynomial, and roots that differ by 1e-9
        p = (F(1),)
        for x in [*map(F, range(1, 21)), F(7) + F(1, 10**9)]:
            p = tuple((p[i - 1] if i else F(0)) - x * (p[i] if i < len(p) else F(0)) for i in range(len(p) + 1))
        assert positive_roots(p) == pytest.approx(sorted([*range(1, 21), 7 + 1e-9]), rel=1e-15)

    def test_values_without_cancellation(self):
        # the powers of 30 stages cancel 20 digits
        method = chebyshev(30)
        for z in (-1700.0, -900 + 3j, -33.3 + 1j):
            assert abs(complex(accurately(symbol(method).tops[0], z))) == pytest.approx(by_stages(method, z), rel=1e-9)
        roots, _ = complex_roots(symbol(chebyshev(30)).tops[0])
        assert np.abs(roots.imag).max() <= 1e-12 * np.abs(roots).max()
        exact = [900 * (np.cos((2 * i - 1) * np.pi / 60) - 1) for i in range(1, 31)]
        assert np.sort(roots.real) == pytest.approx(np.sort(exact), rel=1e-12)

    @given(st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=2, max_size=6))
    @settings(max_examples=80, deadline=None)
    def test_the_circle_test_counts_as_the_roots_do(self, coefficients):
        rows = [(F(a), F(b)) for a, b in coefficients]
        z = (F(1, 3), F(-2, 5))
        p = [complex(float(a + b * z[0]), float(b * z[1])) for a, b in rows]
        if abs(p[-1]) < 1e-9:
            return
        sizes = np.abs(np.roots(p[::-1]))
        if np.any(np.abs(sizes - 1) < 1e-6):
            return
        assert circle_test(rows, z, F(1)) == (1 if sizes.max(initial=0) > 1 else -1)

    def test_a_root_on_the_circle_is_told_from_one_beside_it(self):
        one = F(1)
        assert circle_test([(-one,), (F(0),), (one,)], (one, one), one) == 0
        beside = one + F(1, 10**30)
        assert circle_test([(-beside,), (F(0),), (one,)], (one, one), one) == 1
        assert circle_test([(-1 / beside,), (F(0),), (one,)], (one, one), one) == -1

    def test_the_boundary_of_one_step_is_that_of_its_modulus(self):
        R = symbol("radau_iia3")
        D = Boundary.of(R.rows, F(1)).along(0.6 + 0.8j)
        for r in (0.3, 2.0, 7.0):
            z = r * (0.6 + 0.8j)
            q, p = (abs(complex(accurately(x, z))) ** 2 for x in (R.bottom, R.tops[0]))
            assert float(sum(c * F(r) ** k for k, c in enumerate(D))) == pytest.approx(q - p, rel=1e-12)


def test_long_cycles_have_the_spectral_radius_of_their_steps():
    # faults.md: 15.7 for .507
    method = lookahead(get("rk4"), 30, "1/2")
    z = -0.9 + 1.2j
    assert spectral_radius(method, [z, z.conjugate()], 1.0) == pytest.approx(
        abs(0.5 + 0.5 * complex(symbol("rk4").factor(z)) ** 30), rel=1e-10
    )


@pytest.mark.filterwarnings("ignore::gamedyn.stability.StabilityWarning")
def test_sets_of_many_modes_are_those_of_each():
    # what is proved in arrays takes nothing away; rejects: intervals of the outermost modes alone
    rng = np.random.default_rng(5)
    values = -np.abs(rng.standard_normal(200)) * 3 + 1j * rng.standard_normal(200) * 4
    for name in ("rk4", "bdf3", "bdf6", "ab3", "pece_ab2_am3", "gauss4"):
        together = stable_steps(name, values).intervals
        each = [stable_steps(name, [lam]).intervals for lam in values]
        for h in np.geomspace(1e-3, 1e3, 300):
            assert any(a <= h <= b for a, b in together) == all(any(a <= h <= b for a, b in s) for s in each), (name, h)
