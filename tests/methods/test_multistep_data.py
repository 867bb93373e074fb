"""Multistep data: coefficients, error constants, limits and angles (methods.md b5, b8); momentum as multistep."""

import math
from fractions import Fraction as F

import numpy as np
import pytest

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import (
    LinearMultistep,
    PredictorCorrector,
    RungeKutta,
    adams_bashforth,
    adams_moulton,
    bdf,
    complex_momentum,
    explicit_bdf,
    get,
    heavy_ball,
    lead,
    members,
    optimistic,
)
from gamedyn.stability import BlockJacobian, amplification, imaginary_limit, real_limit, step_matrix
from gamedyn.stability.regions.rays import ray_intervals

INF = math.inf
ALL = {n: m for n, m in members().items() if isinstance(m, (LinearMultistep, PredictorCorrector))}

# order, steps, error constant C_(p+1)/sigma(1), real, imaginary: as methods.md b5 prints them, "" where it has none
ADAMS = {
    "ab2": (2, 2, "5/12", "1.000000000000", "0"),
    "ab3": (3, 3, "3/8", "0.545454545455", "0.723627226987"),
    "ab4": (4, 4, "251/720", "0.300000000000", "0.429987079909"),
    "ab5": (5, 5, "95/288", "0.16333938294", "0"),
    "ab6": (6, 6, "19087/60480", "0.0877192982", "0"),
    "am3": (3, 2, "-1/24", "6.000000000000", "0"),
    "am4": (4, 3, "-19/720", "3.000000000000", "0"),
    "am5": (5, 4, "-3/160", "1.836734693878", "1.21193059422"),
    "am6": (6, 5, "-863/60480", "1.184210526316", "1.37635786656"),
    "bdf2": (2, 2, "-1/3", "inf", "inf"),
    "bdf3": (3, 3, "-1/4", "inf", "0"),
    "bdf4": (4, 4, "-1/5", "inf", "0"),
    "bdf5": (5, 5, "-1/6", "inf", "0.710807671"),
    "bdf6": (6, 6, "-1/7", "inf", "0.843138162"),
    "ebdf2": (2, 2, "2/3", "1.333333333333", "0"),
    "ebdf3": (3, 3, "3/4", "0.952380952", "0.633865691046"),
    "ebdf4": (4, 4, "4/5", "0.711111111", "0.544331053952"),
    "ebdf5": (5, 5, "5/6", "0.550537634", "0"),
    "leapfrog_multistep": (2, 2, "1/6", "0", "1.000000000000"),
    "optimistic": (1, 2, "-1/2", "0.666666666667", "0.57735026919"),
}
PAIRS = {  # order, steps, evaluations, real, imaginary
    "pece_ab2_am2": (2, 2, 2, "2.000000000000", "1.2871885058"),
    "pece_ab2_am3": (3, 2, 2, "2.400000000000", "1.200000000000"),
    "pece_ab3_am4": (4, 3, 2, "", ""),
    "pece_ab4_am4": (4, 4, 2, "", ""),
    "pecece_ab2_am3": (3, 2, 3, "", ""),
}
MOMENTUM = ("heavy_ball", "negative_momentum", "complex_momentum", "lead")


def agrees(value, text):
    """Equal to the digits printed: half a unit in the last place."""
    if text in ("inf", "0"):
        return value == float(text)
    return not text or abs(value - float(text)) <= 0.51 * 10.0 ** -len(text.partition(".")[2])


def test_every_multistep_member_is_here():
    assert {*ADAMS, *PAIRS, *MOMENTUM} == set(ALL)


@pytest.mark.parametrize("name", ADAMS)
def test_orders_and_error_constants(name):
    """Rejects: names by steps (nodepy's Adams-Moulton), constants divided by rho'(1) of another scaling."""
    method, (order, steps, constant, *_) = ALL[name], ADAMS[name]
    assert (method.order, method.steps) == (order, steps)
    assert method.defect(order + 1) / sum(method.beta) == F(constant)


@pytest.mark.parametrize("name", [*ADAMS, *PAIRS])
def test_limits(name):
    *_, real, imaginary = {**ADAMS, **PAIRS}[name]
    assert agrees(real_limit(name), real)
    assert agrees(imaginary_limit(name), imaginary)


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    """Rejects: the order of the corrector where the predictor's is two lower."""
    method, (order, steps, evaluations, *_) = ALL[name], PAIRS[name]
    assert (method.order, method.steps, method.evaluations) == (order, steps, evaluations)
    assert PredictorCorrector(ALL["ab2"], ALL["am5"]).order == 3
    assert PredictorCorrector(ALL["ab2"], ALL["am5"], 2).order == 4


def lagrange_integrals(nodes, low, high):
    """Weights of the interpolating quadrature on `nodes`, exactly."""
    out = []
    for j in nodes:
        p = [F(1)]
        for i in nodes:
            if i != j:
                p = [(x - i * y) / (j - i) for x, y in zip([F(0), *p], [*p, F(0)], strict=True)]
        out.append(sum(c * (F(high) ** (n + 1) - F(low) ** (n + 1)) / (n + 1) for n, c in enumerate(p)))
    return tuple(out)


@pytest.mark.parametrize("p", range(1, 7))
def test_adams_weights_integrate_interpolants(p):
    """HNW III.1, eqs. (1.5), (1.9). Rejects: weights newest first."""
    explicit, implicit = adams_bashforth(p), adams_moulton(p)
    assert explicit.beta == (*lagrange_integrals(range(p), p - 1, p), 0)
    k = max(1, p - 1)
    nodes = [1] if p == 1 else range(p)
    assert implicit.beta == ((0,) if p == 1 else ()) + lagrange_integrals(nodes, k - 1, k)
    assert (explicit.order, explicit.steps, implicit.order, implicit.steps) == (p, p, p, k)
    assert {*explicit.alpha[:-2], *implicit.alpha[:-2]} <= {0}


@pytest.mark.parametrize("p", range(1, 7))
def test_bdf_differentiates_interpolants(p):
    """alpha_j / beta = l_j'(k), the derivative of the Lagrange polynomial at the newest node; ebdf extrapolates."""
    k, method = p, bdf(p)

    def slope(j):
        return sum(
            F(
                math.prod(k - m for m in range(k + 1) if m not in (i, j)),
                math.prod(j - m for m in range(k + 1) if m != j),
            )
            for i in range(k + 1)
            if i != j
        )

    assert [a / method.beta[-1] for a in method.alpha] == [slope(j) for j in range(k + 1)]
    extrapolated = explicit_bdf(p)
    assert extrapolated.alpha == method.alpha
    weights = [
        F(math.prod(k - m for m in range(k) if m != j), math.prod(j - m for m in range(k) if m != j)) for j in range(k)
    ]
    assert [b / method.beta[-1] for b in extrapolated.beta[:-1]] == weights


def test_published_coefficients():
    """HNW III.1, tables 1.1 and 1.2; BDF2 and BDF3 as in table 1.3."""
    assert [str(b) for b in adams_bashforth(4).beta] == ["-3/8", "37/24", "-59/24", "55/24", "0"]
    assert [str(b) for b in adams_moulton(4).beta] == ["1/24", "-5/24", "19/24", "3/8"]
    assert [str(a) for a in bdf(3).alpha] == ["-2/11", "9/11", "-18/11", "1"]
    assert get("bdf1") is get("am1") is get("implicit_euler")
    assert get("am2") is get("trapezoid")


def test_families_end_at_six():
    """BDF7 is not zero-stable (its limits: tests of stability)."""
    for family in (adams_bashforth, adams_moulton, bdf, explicit_bdf):
        for wrong in (0, 7, 2.0):
            with pytest.raises(ArgumentError, match="order: expected 1 to 6"):
                family(wrong)


@pytest.mark.parametrize("name", ALL)
def test_starting_rules_do_not_lower_the_order(name):
    """k - 1 steps of a method of order p - 1 at least: their error is made only once."""
    method = ALL[name]
    if method.start == "rest":
        assert method.order == 1
    else:
        assert method.start.order >= method.order - 1
        assert method.start.explicit or not method.explicit


ANGLES = {"bdf2": 90.0, "bdf3": 86.0323668602, "bdf4": 73.3516704746, "bdf5": 51.8397558360, "bdf6": 17.8397777922}


@pytest.mark.parametrize("name", ANGLES)
def test_a_alpha_angles(name):
    """methods.md b5, to 1e-9 degrees: stable on every ray inside the wedge, not on one just outside."""

    def intervals(degrees):
        t = math.radians(180 - degrees)
        return ray_intervals(get(name), complex(math.cos(t), math.sin(t)))

    for inside in (0.0, 0.3, 0.9, 1 - 2e-9 / ANGLES[name]):
        assert intervals(inside * ANGLES[name]) == [(0.0, INF)]
    assert intervals(ANGLES[name] + 1e-6) != [(0.0, INF)]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("bdf3", "0", "1.9364916731"),
        ("bdf4", "0", "4.7140452079"),
        ("bdf5", "0.710807671", "9.4"),
        ("bdf6", "0.843138162", "17.6"),
    ],
)
def test_unstable_bands_on_the_imaginary_axis(name, low, high):
    """methods.md b5: sqrt(15)/2 and 10 sqrt(2)/3 in closed form. Rejects: A-stable for all large h."""
    intervals = ray_intervals(get(name), 1j)
    assert intervals[-1][1] == INF
    assert agrees(intervals[-1][0], high)
    assert (len(intervals) == 1) == (low == "0")
    assert low == "0" or (intervals[0][0] == 0 and agrees(intervals[0][1], low))
    inside = np.linspace(float(low) + 0.05, intervals[-1][0] - 1e-3, 50)
    assert np.all(amplification(name, 1j * inside) > 1)


@pytest.mark.parametrize(
    ("predictor", "corrector", "real", "imaginary", "same_as"),
    [
        (1, 1, "1.000000000000", "1.000000000000", "extragradient"),
        (1, 2, "2.000000000000", "0", "heun2"),
        (2, 2, "2.000000000000", "1.2871885058", None),
        (2, 3, "2.400000000000", "1.200000000000", None),
    ],
)
def test_pece_of_adams_pairs(predictor, corrector, real, imaginary, same_as):
    """methods.md b5; extragradient is PECE of the two Euler methods, Heun's of Euler and the trapezoidal rule."""
    method = PredictorCorrector(adams_bashforth(predictor), adams_moulton(corrector))
    assert agrees(real_limit(method), real)
    assert agrees(imaginary_limit(method), imaginary)
    if same_as:
        z = np.array([-0.3 + 0.8j, 1.1j, -2.2, 0.4 - 0.1j])
        np.testing.assert_allclose(amplification(method, z), amplification(same_as, z), rtol=1e-13)


def slipped(values, i, j):
    return [v + F(1, 1000) * ((q == i) - (q == j)) for q, v in enumerate(values)]


@pytest.mark.parametrize("name", [n for n in ADAMS if ADAMS[n][0] > 1])
def test_consistent_slips_lower_the_order(name):
    """Two betas off by opposite amounts: order 1 or 2, whatever it was."""
    method = ALL[name]
    for i in range(method.steps + 1):
        for j in range(i):
            assert LinearMultistep(method.alpha, slipped(method.beta, i, j)).order < method.order


# --- momentum, as it is published, against the multistep formula


J = np.array([[-0.2, 0.1, -1.0], [0.1, -0.4, 0.5], [0.9, -0.6, -0.1]])
GAME = BlockJacobian(J, (2, 1))
Y0 = np.array([0.7, -0.4, 1.1])


def by_matrix(method, h, count, history):
    """Points by the companion matrix, from a history (newest first)."""
    M, out = step_matrix(method, GAME, h), []
    y = np.concatenate(history)
    for _ in range(count):
        y = M @ y
        out.append(y[:3])
    return np.array(out)


@pytest.mark.parametrize("beta", ["-1/2", "0", "9/10"])
def test_heavy_ball_is_momentum(beta):
    """m+ = beta m + v, y+ = y + h m+ from m = 0; limits 2 (1 + beta) and 0 (methods.md b8)."""
    h, b = 0.1, float(F(beta))
    y, m, points = Y0, np.zeros(3), []
    for _ in range(8):
        m = b * m + J @ y
        y = y + h * m
        points.append(y)
    np.testing.assert_allclose(by_matrix(heavy_ball(beta), h, 8, [Y0, Y0]), points, rtol=1e-12)
    assert real_limit(heavy_ball(beta)) == pytest.approx(2 * (1 + b), rel=1e-12)
    assert imaginary_limit(heavy_ball(beta)) == 0


@pytest.mark.parametrize(("modulus", "angle"), [(0.8, math.pi / 8), (0.8, math.pi / 2), (0.9, math.pi / 8), (0.6, 0.0)])
def test_complex_momentum_is_the_real_part_of_a_complex_buffer(modulus, angle):
    """m+ = beta m + v, y+ = y + h Re m+: the real three-step method of numerics.md section 7."""
    h, beta = 0.1, modulus * complex(math.cos(angle), math.sin(angle))
    y, m, points = Y0, np.zeros(3, dtype=complex), []
    for _ in range(10):
        m = beta * m + J @ y
        y = y + h * m.real
        points.append(y)
    method = complex_momentum(beta.real, max(modulus**2, beta.real**2))
    # at rest: y_{-1} = y_{-2} = y_0, v_{-1} = v_{-2} = 0; the formula takes v from points, so it begins two steps on
    history = [points[1], points[0], Y0]
    np.testing.assert_allclose(by_matrix(method, h, 8, history), points[2:], rtol=1e-12)


def test_complex_momentum_figures():
    """numerics.md section 7 and games.md b.3, on the rotation: beta = 0.8 i, and 0.9 exp(i pi/8) at two steps."""
    tilted = complex_momentum(0.9 * math.cos(math.pi / 8), 0.81)
    assert float(amplification(complex_momentum(0, "16/25"), 0.05j)) == pytest.approx(0.999739, abs=5e-7)
    assert float(amplification(tilted, 0.05j)) == pytest.approx(0.985690, abs=5e-7)
    assert float(amplification(tilted, 0.1j)) == pytest.approx(1.052984, abs=5e-7)


def test_clocks():
    """What a long run of constant v travels a step: 1/(1 - beta), and its real part's for complex beta."""
    for method, beta in (
        (heavy_ball("9/10"), 0.9),
        (heavy_ball("-1/2"), -0.5),
        (lead("1/2", 1), 0.5),
        (complex_momentum(0, "16/25"), 0.8j),
    ):
        m = 0j
        for _ in range(600):
            m = beta * m + 1
        assert float(method.time_scale) == pytest.approx(m.real, rel=1e-12)
        assert method.order == 1


def test_lead_is_published_step():
    """y+ = y + beta d + h v + h alpha W d. Rejects: W with the own blocks; the sign of the coupling."""
    h, beta, alpha = 0.1, 0.5, 1.5
    before, y, points = Y0, Y0 + np.array([0.01, -0.02, 0.03]), []
    history = [y, before]
    for _ in range(6):
        d = y - before
        before, y = y, y + beta * d + h * J @ y + h * alpha * GAME.cross @ d
        points.append(y)
    np.testing.assert_allclose(by_matrix(lead("1/2", "3/2"), h, 6, history), points, rtol=1e-12)
    for wrong, message in ((1, "a momentum in"), (-1, "a momentum in")):
        with pytest.raises(ArgumentError, match=message):
            lead(wrong, 1)


@pytest.mark.parametrize("h", [0.2, 0.5])
def test_lead_without_momentum_is_optimistic_on_bilinear_games(h):
    """games.md b.3: coupling = h. With own curvature they differ."""
    A = np.array([[0.3, -1.0], [0.7, 0.4]])
    bilinear = BlockJacobian(np.block([[np.zeros((2, 2)), -A], [A.T, np.zeros((2, 2))]]), (2, 2))
    np.testing.assert_allclose(step_matrix(lead(0, 1), bilinear, h), step_matrix("optimistic", bilinear, h), atol=1e-15)
    assert np.abs(step_matrix(lead(0, 1), GAME, h) - step_matrix("optimistic", GAME, h)).max() > 1e-2


def test_past_extragradient_leads_with_the_optimistic_points():
    """w = y + h v(w_-), y+ = y + h v(w): the leading points w obey w+ = w + 2 h v(w) - h v(w_-). Popov 1980."""
    h, y, w, leading = 0.3, Y0, Y0, []
    for _ in range(7):
        w = y + h * J @ w
        y = y + h * J @ w
        leading.append(w)
    np.testing.assert_allclose(by_matrix("optimistic", h, 5, leading[1::-1]), leading[2:], rtol=1e-12)
    assert get("past_extragradient") is get("optimistic")


@pytest.mark.parametrize(
    ("a", "real", "imaginary"),
    [("3/5", "0.909", "0.502519"), ("7/10", "0.833", "0.583212"), ("4/5", "0.769231", "0.600480576769"),
     ("9/10", "0.714", "0.593914"), ("3/2", "0.500000000000", "0.471405")],
)  # fmt: skip
def test_optimistic_family(a, real, imaginary):
    """methods.md b5: C = 1/2 - a, real 2/(1 + 2a); 0.8 is the best on the rotation."""
    method = optimistic(a)
    assert agrees(real_limit(method), real)
    assert agrees(imaginary_limit(method), imaginary)
    assert method.defect(2) == F(1, 2) - F(a)
    assert real_limit(method) == pytest.approx(2 / (1 + 2 * float(F(a))), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: heavy_ball(1), r"beta: expected a momentum in \(-1, 1\)"),
        (lambda: complex_momentum(1, "1/2"), r"squared: expected \|beta\|\^2"),
        (lambda: complex_momentum(0, 1), r"squared: expected \|beta\|\^2"),
        (
            lambda: LinearMultistep([0, -1, 1], ["-1/2", "3/2", 0], coupling=[1, 1]),
            "coupling: expected 2 coefficients that",
        ),
        (lambda: LinearMultistep([0, -1, 1], ["-1/2", "3/2", 0], coupling=[0]), "coupling: expected 2 coefficients"),
        (lambda: LinearMultistep([-1, 1], [1, 0], "ab2"), 'start: expected a Runge-Kutta method or "rest"'),
        (lambda: PredictorCorrector(ALL["am3"], ALL["am3"]), "predictor: expected an explicit"),
        (lambda: PredictorCorrector(ALL["ab2"], ALL["ab2"]), "corrector: expected an implicit"),
        (lambda: PredictorCorrector(ALL["lead"], ALL["am3"]), "predictor: expected an explicit"),
        (lambda: PredictorCorrector(ALL["ab2"], ALL["am3"], 0), "corrections: expected a whole number of at least 1"),
        (lambda: PredictorCorrector(ALL["heavy_ball"], ALL["am3"]), "corrector: expected the predictor's time_scale"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_starting_rule_may_be_any_runge_kutta_method():
    assert isinstance(LinearMultistep([0, -1, 1], ["-1/2", "3/2", 0]).start, RungeKutta)
    assert LinearMultistep([0, -1, 1], ["-1/2", "3/2", 0], get("gauss4")).start.order == 4


@pytest.mark.parametrize("k", [9, 11, 14])
def test_orders_beyond_the_trees(k):
    """Adams-Bashforth of k steps is of order k, whatever k. Rejects: 11 steps of order 10 (the trees' end)."""
    beta = []
    for j in range(k):  # integrals over [k - 1, k] of Lagrange's polynomials
        p = [F(1)]
        for i in range(k):
            if i != j:
                scaled = [c / (j - i) for c in p]
                p = [(scaled[m - 1] if m else 0) - i * (scaled[m] if m < len(scaled) else 0) for m in range(len(p) + 1)]
        beta.append(sum(c * (F(k) ** (m + 1) - F(k - 1) ** (m + 1)) / (m + 1) for m, c in enumerate(p)))
    method = LinearMultistep([0] * (k - 1) + [-1, 1], [*beta, 0])
    assert method.order == k
    assert method.defect(k + 1) != 0
