"""Zero-stability and where exact roots lie, against polynomials made from known roots."""

from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, PredictorCorrector, get, heavy_ball, members
from gamedyn.stability.regions.zero_stability import strongly_stable, zero_stable
from gamedyn.stability.symbols.polynomial import multiplied
from gamedyn.stability.symbols.root_location import hurwitz, nonnegative, root_condition, schur

small = st.fractions(-3, 3, max_denominator=8)


def product(factors):
    out = (F(1),)
    for p in factors:
        out = multiplied(out, tuple(map(F, p)))
    return out


def pair(cosine, square=1):
    """Roots sqrt(square) exp(+-i t)."""
    return (F(square), -2 * F(cosine), F(1))


def method(rho, **facts):
    """An explicit method with this rho, rho(1) = 0, made consistent by beta_0 = rho'(1)."""
    slope = sum(j * x for j, x in enumerate(rho))
    return LinearMultistep(rho, [slope, *[0] * (len(rho) - 1)], **facts)


ONE = (-1, 1)


class TestKnown:
    def test_members(self):
        # rejects: the root condition made strict (leapfrog), or the clock of momentum methods taken for a root
        assert all(zero_stable(m) for m in members().values())
        weak = {n for n, m in members().items() if not strongly_stable(m)}
        assert weak == {"leapfrog_multistep"}

    @pytest.mark.parametrize("k", range(1, 10))
    def test_bdf_is_stable_to_six_steps(self, k):
        # HNW I, III.3, theorem 3.4 (Cryer 1972); rejects: |root| < 1 + 0.1, which lets bdf7 pass (1.0222)
        rho = [F(0)] * (k + 1)
        for m in range(1, k + 1):
            for j, c in enumerate(product([ONE] * m)):
                rho[k - m + j] += c / m
        lead = rho[-1]
        bdf = LinearMultistep(rho, [*[0] * k, 1])
        assert zero_stable(bdf) == (k <= 6)
        assert zero_stable(LinearMultistep([float(x / lead) for x in rho], [*[0.0] * k, float(1 / lead)])) == (k <= 6)

    def test_the_predictor_does_not_matter(self):
        # HNW I, III.8; rejects: the predictor's rho
        bad = LinearMultistep(alpha=[-5, 4, 1], beta=[2, 4, 0])
        assert not zero_stable(bad)
        assert zero_stable(PredictorCorrector(bad, get("am3")))

    def test_what_has_no_rho_is_refused(self):
        for name in ("normalised", "torchdiffeq:rk4"):
            for function in (zero_stable, strongly_stable):
                with pytest.raises(ArgumentError, match="coefficients gamedyn holds"):
                    function(name)


class TestExact:
    @pytest.mark.parametrize("gap", [F(1, 10**6), F(1, 10**40)])
    def test_near_roots_are_told_from_double_ones(self, gap):
        # rejects: floating-point roots, for which both are double (they part by sqrt(gap) ~ 1e-20)
        near = product([ONE, pair(F(3, 5)), pair(F(3, 5) + gap)])
        double = product([ONE, pair(F(3, 5)), pair(F(3, 5))])
        assert zero_stable(method(near))
        assert not zero_stable(method(double))
        assert zero_stable(method(product([ONE, (-1 + gap, 1)])))
        assert not zero_stable(method(product([ONE, (-1 - gap, 1)])))
        assert strongly_stable(method(product([ONE, (-1 + gap, 1)])))
        assert not strongly_stable(method(near))

    def test_a_float_root_beside_one_is_not_double(self):
        # heavy ball with beta = 1 - 1e-9; rejects: a tolerance of sqrt(eps) on the distance of roots
        assert zero_stable(heavy_ball(1 - 1e-9))

    @pytest.mark.parametrize("c", [0.3, -0.9])
    def test_float_double_roots(self, c):
        # rejects: exact arithmetic on rounded numbers, where a double pair parts at random
        rho = [float(x) for x in product([ONE, pair(F(c)), pair(F(c))])]
        assert not zero_stable(method(rho))
        assert zero_stable(method([float(x) for x in product([ONE, pair(F(c)), pair(F(1, 2))])]))

    @given(
        inside=st.lists(st.fractions(F(-9, 10), F(9, 10), max_denominator=20), max_size=3),
        circle=st.lists(st.fractions(F(-9, 10), F(9, 10), max_denominator=20), max_size=2),
        outside=st.lists(st.fractions(F(11, 10), 3, max_denominator=20), max_size=1),
        minus=st.integers(0, 2),
    )
    def test_made_from_roots(self, inside, circle, outside, minus):
        """Rejects: Schur's test alone (roots on the circle), Cohn's g' left out (multiplicity), sign slips."""
        factors = [ONE, *((-x, 1) for x in inside), *map(pair, circle), *((x, 1) for x in outside), *[(1, 1)] * minus]
        expected = not outside and minus < 2 and len(set(circle)) == len(circle)
        assert zero_stable(method(product(factors))) == expected
        assert strongly_stable(method(product(factors))) == (not outside and not minus and not circle)


class TestLocation:
    @given(st.lists(small, min_size=1, max_size=5), st.lists(st.tuples(small, small), max_size=2))
    def test_schur_and_hurwitz(self, real, pairs):
        """Rejects: Routh rows shifted by one, the reflection with the wrong sign."""
        factors = [(-x, 1) for x in real] + [(a * a + b * b, -2 * a, 1) for a, b in pairs]
        roots = [complex(x) for x in real] + [complex(a, b) for a, b in pairs]
        p = product(factors)
        squares = [x * x for x in real] + [a * a + b * b for a, b in pairs]
        assert schur(p) == (max(squares) < 1)
        assert hurwitz(p) == (max(z.real for z in roots) < 0)
        assert hurwitz(tuple(-x for x in p)) == hurwitz(p)

    def test_root_condition_of_mirrored_pairs(self):
        # 2 and 1/2: gcd(p, p*) is not all on the circle; rejects: g taken as the circle's roots
        assert not root_condition(product([(-2, 1), (F(-1, 2), 1)]))
        assert root_condition((F(0), F(0), F(1)))

    @given(st.lists(small, max_size=5), small, st.fractions(F(1, 8), 4, max_denominator=8), st.booleans())
    def test_nonnegative(self, roots, low, width, infinite):
        """Against signs between the roots. Rejects: touches taken for crossings, roots at an end counted."""
        high = None if infinite else low + width
        for sign in (1, -1):
            p = tuple(sign * x for x in product([(-x, 1) for x in roots]))
            ends = sorted({low, *(x for x in roots if x > low and (infinite or x < high)), F(9) if infinite else high})
            middles = [(a + b) / 2 for a, b in pairwise(ends)]
            values = [sum(c * x**k for k, c in enumerate(p)) for x in middles]
            assert nonnegative(p, low, high) == all(v >= 0 for v in values)

    def test_a_long_polynomial_with_double_roots(self):
        # (x - 1)^2 ... (x - 6)^2 is nonnegative, 1e-30 less is not; rejects: a square-free test that is wrong mod p
        p = product([(-k, 1) for k in range(1, 7)] * 2)
        assert nonnegative(p, F(0), None)
        assert not nonnegative((p[0] - F(1, 10**30), *p[1:]), F(0), None)
        assert np.all(np.array(p, dtype=float)[::2] > 0)
