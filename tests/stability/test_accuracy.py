"""Stage order, leading error terms, damping, phase and noise: published figures, and independent measures."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from math import comb

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, PredictorCorrector, RungeKutta, get, nested
from gamedyn.stability import amplification, stability_function, symbol
from gamedyn.stability.properties.accuracy import error_constant, noise_gain, principal_error_norm, stage_order
from gamedyn.stability.properties.phase import Phase, dispersion, dissipation

OWN = gd.methods.members()


F = Fraction


CONSTANTS = {
    "ab2": "5/12",
    "ab3": "3/8",
    "ab4": "251/720",
    "ab5": "95/288",
    "ab6": "19087/60480",
    "am3": "-1/24",
    "am4": "-19/720",
    "am5": "-3/160",
    "am6": "-863/60480",
    "leapfrog_multistep": "1/6",
    "ebdf2": "2/3",
    "ebdf3": "3/4",
    "ebdf4": "4/5",
    "ebdf5": "5/6",
    "optimistic": "-1/2",
    **{f"bdf{k}": f"-1/{k + 1}" for k in range(2, 7)},
}


"""methods.md b5; BDF: Hairer, Norsett, Wanner I, III.2, -1/(k+1)."""


MILNE = LinearMultistep([-1, 0, 1], ["1/3", "4/3", "1/3"])


TRAPEZOID = LinearMultistep([-1, 1], ["1/2", "1/2"])


BACKWARD = LinearMultistep([-1, 1], [0, 1])


FORWARD = LinearMultistep([-1, 1], [1, 0])


def adams_gamma(j):
    """`gamma_j = 1 - sum_{i<j} gamma_i / (j - i + 1)`."""
    return 1 - sum((adams_gamma(i) / (j - i + 1) for i in range(j)), F(0))


class TestErrorConstant:
    @pytest.mark.parametrize("name", CONSTANTS)
    def test_published(self, name):
        # rejects: C_{p+1} itself (bdf2: -2/9), the other sign
        assert error_constant(name) == F(CONSTANTS[name])

    def test_published_user_made(self):
        assert [error_constant(m) for m in (BACKWARD, TRAPEZOID, MILNE)] == [F(-1, 2), F(-1, 12), F(-1, 180)]

    @pytest.mark.parametrize("a", ["3/5", "7/10", "4/5", "9/10", "3/2"])
    def test_optimistic_family(self, a):
        assert error_constant(gd.methods.optimistic(a)) == F(1, 2) - F(a)  # methods.md b5

    def test_adams_eleven(self):
        # gamma_11, Hairer, Norsett, Wanner I, III.1; rejects: a search that ends at the highest order of the trees
        beta = [F(0)] * 11
        for j in range(11):  # gamma_j times the j-th backward difference
            for i in range(j + 1):
                beta[10 - i] += adams_gamma(j) * comb(j, i) * (-1) ** i
        m = LinearMultistep([*[0] * 10, -1, 1], [*beta, 0])
        assert error_constant(m) == adams_gamma(11) == F(4777223, 17418240)
        assert error_constant(gd.methods.adams_bashforth(5)) == adams_gamma(5)

    def test_scaled_coefficients_and_floats(self):
        # rejects: dependence on the scaling of alpha; exact zeros asked of floats
        assert error_constant(LinearMultistep([0, -2, 2], [-1, 3, 0])) == F(5, 12)
        m = LinearMultistep([-1 / 3, 1 / 3], [1 / 6, 1 / 6])
        np.testing.assert_allclose(float(error_constant(m)), -1 / 12, rtol=1e-14)

    @pytest.mark.parametrize(
        "name", [n for n, m in OWN.items() if isinstance(m, (LinearMultistep, PredictorCorrector))]
    )
    def test_against_the_principal_root(self, name):
        # rejects: a constant without the clock, or of the predictor; log zeta/(s h) = lambda - C h^p lambda^(p+1)
        m = OWN[name]
        if not m.decouples:
            with pytest.raises(ArgumentError, match="decouple"):
                error_constant(m)
            return
        p, s = m.order, m.time_scale
        with mpmath.workdps(120):
            z = mpmath.mpf(10) ** -9  # next term over this one: about z (s times less of momentum)
            got = (1 - mpmath.log(_principal(m, z)) / (_mp(s) * z)) / z**p
        np.testing.assert_allclose(float(got), float(error_constant(m)), rtol=1e-5)

    def test_pece_is_its_corrector_where_the_predictor_is_good(self):
        # Hairer, Norsett, Wanner I, III.8; rejects: the predictor's
        assert error_constant("pece_ab4_am4") == error_constant("am4")
        assert error_constant("pecece_ab2_am3") == error_constant("am3")

    def test_pece_that_are_runge_kutta_methods(self):
        # AB1-AM1 is extragradient, AB1-AM2 Heun's: log R of b1
        eg, heun = (PredictorCorrector(FORWARD, c) for c in (BACKWARD, TRAPEZOID))
        assert (error_constant(eg), error_constant(heun)) == (F(-1, 2), F(1, 6))

    def test_pece_with_a_clock(self):
        # zeta = 1 + 2z + 4z^2: log zeta / (2 h) = lambda + h lambda^2; rejects: the clock left out
        rules = [LinearMultistep([-1, 1], beta, time_scale=2) for beta in ([2, 0], [0, 2])]
        assert error_constant(PredictorCorrector(*rules)) == F(-1)


def _mp(x):
    return mpmath.mpf(x.numerator) / x.denominator


def _principal(m, z):
    """The root nearest exp(s z), by Newton's method in mpmath."""
    r = symbol(m)

    def value(p):
        return sum(_mp(c) * z**i for i, c in enumerate(p))

    coefficients = [value(r.bottom), *(-value(p) for p in r.tops)]
    root = mpmath.exp(_mp(m.time_scale) * z)
    for _ in range(12):
        top, slope = mpmath.polyval(coefficients, root, derivative=1)
        root -= top / slope
    return root


PHASES = {
    "euler": ((2, "1/2"), (3, "-1/3")),
    "extragradient": ((2, "-1/2"), (3, "2/3")),
    "heun2": ((4, "1/8"), (3, "1/6")),
    "midpoint": ((4, "1/8"), (3, "1/6")),
    **dict.fromkeys(("kutta3", "heun3", "ralston3", "ssp33", "bosh3"), ((4, "-1/24"), (5, "1/30"))),
    **dict.fromkeys(("rk4", "rk4_38"), ((6, "-1/144"), (5, "-1/120"))),
    "dopri5": ((6, "-1/3600"), (7, "1/2100")),
    "merson43": ((8, "-1/3456"), (5, "-1/720")),
    "ssp43": ((4, "-1/48"), (5, "1/80")),
    "kg32": ((4, "-1/8"), (3, "-1/12")),
    "kg52": ((4, "-1/32"), (3, "-1/48")),
    "kg64": ((6, "-1/432"), (5, "-1/360")),
    "implicit_euler": ((2, "-1/2"), (3, "-1/3")),
    **dict.fromkeys(("trapezoid", "implicit_midpoint"), ((None, "0"), (3, "-1/12"))),
    "gauss4": ((None, "0"), (5, "-1/720")),
    "radau_iia3": ((4, "-1/72"), (5, "-1/270")),
}


"""methods.md b1."""


class TestPhase:
    @pytest.mark.parametrize("name", PHASES)
    def test_published(self, name):
        # rejects: i^m with the wrong sign, log R confused with R, s y not taken off
        damping, phase = PHASES[name]
        assert dissipation(name) == Phase(damping[0], F(damping[1]))
        assert dispersion(name) == Phase(phase[0], F(phase[1]))

    @pytest.mark.parametrize("name", [n for n, m in OWN.items() if m.decouples])
    def test_against_the_factor_itself(self, name):
        # every member, at y small in 60 digits; rejects: the clock forgotten, a parasitic root, digits taken for exact
        m = OWN[name]
        damping, phase = dissipation(m), dispersion(m)
        if name.startswith("exp"):
            assert damping == phase == Phase(None, F(0))
            return
        with mpmath.workdps(80):
            few = (m.digits or 99) < 20  # conditions met to 1e-14 only: they show below y = 1e-2
            y = mpmath.mpf(10) ** (-2 if few else -4 if m.digits else -6)
            factor = _factor(m, mpmath.mpc(0, y))
            got = mpmath.log(abs(factor)), mpmath.arg(factor) - y * _mp(getattr(m, "time_scale", F(1)))
            for found, value in zip((damping, phase), got, strict=True):
                if found.order is None:
                    assert abs(value) < 1e-45
                else:
                    np.testing.assert_allclose(
                        float(value / y**found.order), float(found.coefficient), rtol=2e-3 if few else 2e-4
                    )
        assert phase.order % 2 == 1
        assert damping.order is None or damping.order % 2 == 0
        # an order p method errs first at y^(p+1)
        assert min(phase.order, damping.order or 99) >= m.order + 1

    def test_symmetric_multistep(self):
        # |zeta_1| = 1 on the axis; rejects: a search that ends early and one that never ends
        for m in (OWN["leapfrog_multistep"], MILNE, TRAPEZOID):
            assert dissipation(m) == Phase(None, F(0))
        assert dispersion(MILNE) == Phase(5, F(1, 180))  # -C i^5

    @given(st.lists(st.integers(-8, 8).filter(bool), min_size=1, max_size=5), st.integers(1, 4))
    @settings(max_examples=60, deadline=None)
    def test_nested_by_sampling(self, alphas, denominator):
        # user-made polynomials; log|R(iy)| and arg at y = 1e-5; rejects: a bound on the terms that is too low
        m = nested([*(F(a, 8 * denominator) for a in alphas), 1])
        damping, phase = dissipation(m), dispersion(m)
        with mpmath.workdps(120):
            y = mpmath.mpf(10) ** -7
            factor = _factor(m, mpmath.mpc(0, y))
            # the next term is smaller by y^2 times a number that grows with 1/coefficient
            got = mpmath.log(abs(factor)) / y**damping.order, (mpmath.arg(factor) - y) / y**phase.order
        np.testing.assert_allclose(
            [float(x) for x in got], [float(damping.coefficient), float(phase.coefficient)], rtol=1e-5
        )

    def test_zero_damping_with_equal_parts(self):
        # E-polynomial 0 though R is not Pade's: (1 + z/2 + z^2/8)/(1 - z/2 + z^2/8)
        m = gd.methods.RungeKutta([["1/4", 0], ["1/2", "1/4"]], ["1/2", "1/2"])  # midpoint twice
        assert dissipation(m) == Phase(None, F(0))
        assert dispersion(m) == Phase(3, F(-1, 48))

    def test_inconsistent_methods_err_at_once(self):
        # half a step, and one step by a clock of two; rejects: s y of another clock taken off
        assert dispersion(RungeKutta([[]], ["1/2"])) == Phase(1, F(-1, 2))
        assert dispersion(RungeKutta([[]], [1], time_scale=2)) == Phase(1, F(-1))

    def test_refusals(self):
        for name in ("alternating", "rk4_penalty_first_stage", "cgd", "lead", "lookahead_alternating"):
            with pytest.raises(ArgumentError):
                dissipation(name)
        for m in ("torchdiffeq:rk4", "normalised"):
            with pytest.raises(ArgumentError, match="holds"):
                dispersion(m)
        double = LinearMultistep([1, -2, 1], [0, 0, 0], time_scale=1, digits=15)
        with pytest.raises(ArgumentError, match="double"):
            dispersion(double)


def _factor(m, z):
    if isinstance(m, (LinearMultistep, PredictorCorrector)):
        return _principal(m, z)
    R = stability_function(m)
    return mpmath.polyval([_mp(c) for c in R.numerator[::-1]], z) / mpmath.polyval(
        [_mp(c) for c in R.denominator[::-1]], z
    )


class TestNoiseGain:
    @pytest.mark.parametrize(
        ("name", "gain"),
        [
            ("euler", 1),
            ("extragradient", 1),
            ("kg32", 1),
            ("kg52", 1),
            ("kg72", 1),
            ("heun2", "1/2"),
            ("kutta3", "1/2"),
            ("ssp33", "1/2"),
            ("ralston2", "5/8"),
            ("ralston3", "29/81"),
            ("rk4", "10/36"),
            ("rk4_38", "5/16"),
            ("lookahead5", "1/5"),
            ("ab3", 1),
            ("bdf4", 1),
            ("optimistic", 1),
            ("heavy_ball", 1),
        ],
    )
    def test_published(self, name, gain):
        # methods.md b8; Lookahead over Euler: five equal weights; rejects: sum |b|, no division by the clock
        assert noise_gain(name) == F(gain)

    @pytest.mark.parametrize("m", [get("ab3"), get("ebdf3"), get("heavy_ball"), get("leapfrog_multistep"), MILNE])
    def test_multistep_by_its_impulse_response(self, m):
        # variance of y_N / (N s^2) for unit noise in every field value; rejects: sum beta^2, the root -1 forgotten
        N = 40000
        g = np.zeros(N)
        k = m.steps
        alpha, beta = [float(a) for a in m.alpha], [float(b) for b in m.beta]
        for n in range(N):
            g[n] = -sum(alpha[j] * g[n - k + j] for j in range(k) if n - k + j >= 0)
            g[n] += beta[k - n] if n <= k else 0.0
        measured = (g**2).mean() / float(m.time_scale) ** 2
        np.testing.assert_allclose(measured, float(noise_gain(m)), rtol=1e-3)  # the transient's share is O(1/N)

    def test_predictor_correctors_that_are_runge_kutta_methods(self):
        # rejects: the noise of the prediction forgotten, or that of the corrector's own evaluation
        pairs = [(BACKWARD, "extragradient"), (TRAPEZOID, "heun2")]
        assert [noise_gain(PredictorCorrector(FORWARD, c)) for c, _ in pairs] == [noise_gain(n) for _, n in pairs]

    def test_milne(self):
        assert noise_gain(MILNE) == F(10, 9)
        assert noise_gain("leapfrog_multistep") == 2

    def test_refusals(self):
        for name in ("alternating", "rk4_penalty_every_stage", "cgd", "exprb32", "lead", "lookahead_optimistic"):
            with pytest.raises(ArgumentError, match="Runge-Kutta or multistep"):
                noise_gain(name)
        # rho = (zeta - 1)(zeta^2 + 1): i and -i on the circle
        quarter = LinearMultistep([-1, 1, -1, 1], [0, 2, 0, 0])
        with pytest.raises(ArgumentError, match="unit circle"):
            noise_gain(quarter)
        with pytest.raises(ArgumentError, match="not 0"):
            noise_gain(RungeKutta([[], [1]], [1, -1]))


def test_every_member_gets_an_answer_or_a_clear_refusal():
    # rejects: AttributeError and the like from a family that was not thought of; refusing everything
    methods = (*OWN.values(), *gd.methods.maps().values(), get("scipy:RK45"))
    for f in (stage_order, principal_error_norm, error_constant, noise_gain, dissipation, dispersion):
        answered = set()
        for m in methods:
            with suppress(ArgumentError):
                assert f(m) is not None
                answered.add(m.name)
        assert answered & {"rk4", "ab3"}, f.__name__
        assert len(answered) < len(methods)  # a map has no order


def test_amplification_agrees():
    # the sign says whether small rotations grow; rejects: opposite signs
    for name in ("euler", "heun2", "rk4", "ab2", "ab3", "bdf3", "optimistic"):
        y = 0.02
        assert np.sign(float(amplification(name, 1j * y)) - 1) == np.sign(dissipation(name).coefficient)
