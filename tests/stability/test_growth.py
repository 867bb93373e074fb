"""R(z), characteristic roots and Lookahead of every member, against one step taken stage by stage in NumPy."""

import math
from fractions import Fraction

import numpy as np
import pytest

from gamedyn.methods import (
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    LowStorage,
    PredictorCorrector,
    RungeKutta,
    members,
)
from gamedyn.methods._low_storage import Evaluate
from gamedyn.stability import BlockJacobian, amplification, spectral_radius, stability_function

ALL = members()


def of(*families):
    return [n for n, m in ALL.items() if isinstance(m, families)]


RK, LOW = of(RungeKutta), of(LowStorage)
RECURRENCES = [n for n in of(LinearMultistep, PredictorCorrector) if ALL[n].decouples]
ROSENBROCK = [n for n in of(LinearlyImplicit) if ALL[n].part == "full"]
RATIONAL = [*RK, *ROSENBROCK]
RNG = np.random.default_rng(20240607)
POINTS = RNG.uniform(-4, 1, 40) + 1j * RNG.uniform(-4, 4, 40)
NEAR = 0.2 * POINTS[:12]


def runge_kutta_step(A, b, z):
    """One step from y = 1, stage by stage; no R(z) involved."""
    A, b = np.array(A, dtype=float), np.array(b, dtype=float)
    if np.any(np.triu(A)):
        return 1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * A, np.ones(len(b)))
    k = np.zeros(len(b), dtype=complex)
    for i in range(len(b)):
        k[i] = z * (1 + A[i, :i] @ k[:i])
    return 1 + b @ k


def rosenbrock_step(method, z):
    """(1 - z gamma_ii) k_i = z (1 + sum A_ij k_j) + z sum gamma_ij k_j."""
    k = []
    for row, linear in zip(method.A, method.gamma, strict=True):
        known = z * (1 + sum(float(a) * x for a, x in zip(row, k, strict=False)))
        known += z * sum(float(g) * x for g, x in zip(linear, k, strict=False))
        k.append(known / (1 - z * float(linear[len(k)])))
    return 1 + sum(float(w) * x for w, x in zip(method.b, k, strict=True))


def program_step(method, z):
    """The program on one-dimensional registers."""
    registers = [1.0 + 0j if starts else 0j for starts in method.initial]
    slope = 0j
    for step in method.program:
        if isinstance(step, Evaluate):
            slope = z * registers[0]
        else:
            registers[step.target] = sum(float(w) * registers[j] for j, w in step.weights) + float(step.slope) * slope
    return registers[0]


@pytest.mark.parametrize("name", RATIONAL)
def test_stability_function_starts_as_exp(name):
    """P - Q exp(s z) vanishes through z^p. Rejects: a determinant with a sign or a transposition wrong."""
    method = ALL[name]
    R, s = stability_function(method), getattr(method, "time_scale", 1)
    zero = 0 if method.digits is None else Fraction(10) ** (2 - method.digits)

    def remainder(k):
        terms = (q * s ** (k - j) / math.factorial(k - j) for j, q in enumerate(R.denominator[: k + 1]))
        return (R.numerator[k] if k < len(R.numerator) else 0) - sum(terms, Fraction(0))

    assert all(abs(remainder(k)) <= zero for k in range(method.order + 1))
    top = len(R.numerator) + len(R.denominator)
    assert any(abs(remainder(k)) > max(zero, Fraction(1, 10**8)) for k in range(method.order + 1, top + 1))
    assert R.is_polynomial == method.explicit


HIGHER_ON_LINEAR = {"kcl43": 4}
"""Members whose linear order is above their order: R is that of rk4."""


@pytest.mark.parametrize("name", RATIONAL)
def test_linear_order_is_the_order(name):
    """Rejects: irrational coefficients compared exactly (1 for sdirk2), exp(z) on another clock (lookahead5)."""
    assert stability_function(name).linear_order() == HIGHER_ON_LINEAR.get(name, ALL[name].order)


@pytest.mark.parametrize("name", RATIONAL)
def test_amplification_is_that_of_a_step(name):
    """Rejects: any tableau whose R comes from elsewhere (heun2's for extragradient); gamma's sign."""
    method = ALL[name]
    one = rosenbrock_step if isinstance(method, LinearlyImplicit) else lambda m, z: runge_kutta_step(m.A, m.b, z)
    mine = np.array([one(method, z) for z in POINTS])
    np.testing.assert_allclose(stability_function(method)(POINTS), mine, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(amplification(method, POINTS), np.abs(mine), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOW)
def test_programs_amplify_as_their_stability_function(name):
    """Rejects: a program that is not its tableau."""
    method = ALL[name]
    mine = [program_step(method, z) for z in POINTS]
    np.testing.assert_allclose(stability_function(method)(POINTS), mine, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ROSENBROCK)
def test_rosenbrock_has_the_function_of_its_dirk(name):
    """methods.md b6: with the exact Jacobian, R is that of the DIRK method with table A + gamma."""
    method = ALL[name]
    both = [[a + g for a, g in zip(r, s, strict=True)] for r, s in zip(method.A, method.gamma, strict=True)]
    dirk = stability_function(RungeKutta(both, method.b, digits=method.digits))
    np.testing.assert_allclose(stability_function(method)(POINTS), dirk(POINTS), rtol=1e-12)


def next_value(method, y, f, z):
    """The newest value from old ones, oldest first: the formula, solved for it."""
    if isinstance(method, PredictorCorrector):
        known = formula(method.corrector, y, f)
        new = formula(method.predictor, y, f)
        for _ in range(method.corrections):
            new = known + float(method.corrector.beta[-1]) * z * new
        return new
    return formula(method, y, f) / (1 - float(method.beta[-1]) * z)


def formula(method, y, f):
    k = method.steps
    old = zip(method.alpha[:-1], method.beta[:-1], y[-k:], f[-k:], strict=True)
    return sum(float(b) * slope - float(a) * value for a, b, value, slope in old)


def companion(method, z):
    """The recurrence on unit histories, oldest first."""
    k = method.steps
    C = np.eye(k, k=1, dtype=complex)
    for j in range(k):
        y = np.eye(k)[j]
        C[-1, j] = next_value(method, y, z * y, z)
    return C


@pytest.mark.parametrize("name", RECURRENCES)
def test_amplification_is_the_growth_of_the_recurrence(name):
    """Rejects: coefficients read newest first, one correction too few, the corrector's own roots for PECE."""
    method = ALL[name]
    for z in NEAR:
        growth = np.abs(np.linalg.eigvals(companion(method, z))).max()
        assert amplification(method, z) == pytest.approx(growth, rel=1e-10)
    J, h = np.array([[-0.4, -1.2], [0.9, -0.1]]), 0.3
    radius = max(np.abs(np.linalg.eigvals(companion(method, h * lam))).max() for lam in np.linalg.eigvals(J))
    assert spectral_radius(method, BlockJacobian(J, (1, 1)), h) == pytest.approx(radius, rel=1e-10)


def inner_steps(method, z, count):
    """y after `count` steps of a multistep or predictor-corrector method from y = 1, started by its own rule."""
    y, f, k = [1.0 + 0j], [z], method.steps
    if method.start == "rest":
        y, f = [1.0] * k, [0.0] * (k - 1) + [z]
    else:
        for _ in range(min(k - 1, count)):
            y.append(y[-1] * runge_kutta_step(method.start.A, method.start.b, z * float(method.time_scale)))
            f.append(z * y[-1])
    begun = 1 if method.start != "rest" else k
    while len(y) - begun < count:
        y.append(next_value(method, y, f, z))
        f.append(z * y[-1])
    return y[begun - 1 + count]


OVER = [n for n in of(Lookahead) if ALL[n].decouples]
MADE_AHEAD = {
    "ab4": Lookahead(ALL["ab4"], 5, "1/2"),
    "ab4, k below its steps": Lookahead(ALL["ab4"], 2, "3/4"),
    "heavy_ball": Lookahead(ALL["heavy_ball"], 3, "1/2"),
    "pece_ab2_am3": Lookahead(ALL["pece_ab2_am3"], 4, "1/3"),
    "bdf2": Lookahead(ALL["bdf2"], 3, "1/2"),
    "all of the way": Lookahead(ALL["optimistic"], 3, 1),
}


@pytest.mark.parametrize("method", [*(ALL[n] for n in OVER), *MADE_AHEAD.values()], ids=[*OVER, *MADE_AHEAD])
def test_lookahead_is_its_inner_steps(method):
    """Rejects: memory carried over the outer step, a start counted twice, alpha for 1 - alpha."""
    a = float(method.alpha)
    mine = [1 - a + a * inner_steps(method.inner, z, method.k) for z in NEAR]
    np.testing.assert_allclose(amplification(method, NEAR), np.abs(mine), rtol=1e-11)
