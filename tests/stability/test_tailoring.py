"""Tailored methods: optima that are known, proofs by other means, and the stepper."""

import json
import math
from fractions import Fraction as F

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LowStorage, RungeKutta, get, members
from gamedyn.stability import BlockJacobian, Eigenvalues, largest_stable_step, stability_function
from gamedyn.stability.steps.first_steps import first_limit
from gamedyn.stability.steps.minimax import Basis, Bound, least_excess, polynomial_values, taylor
from gamedyn.stability.steps.tailoring import _chain, _method, tailor

AXIS = 1j * np.arange(1, 21) / 20
NEAR = 2e-5
"""What strictness costs: the polynomial is made at 1e-6 below the optimum, and 1e-5 below where that is not proved."""


def close_below(limit, optimum):
    return optimum * (1 - NEAR) <= limit <= optimum * (1 + 1e-6)


OPTIMA = [
    *((1, s, s - 1) for s in (2, 3, 4, 5, 6, 9)),
    *((2, s, s - 1 if s % 2 else math.sqrt((s - 1) ** 2 - 1)) for s in (3, 4, 5, 8)),
    (3, 3, math.sqrt(3)),
    (3, 4, 2.82842712),
    (3, 6, 4.89897949),
    (4, 4, 2.82842712),
    (4, 5, 2 * math.sqrt(3)),
    (4, 6, 4.89897949),
    (4, 8, 6.92820323),
]


@pytest.mark.parametrize(("order", "stages", "optimum"), OPTIMA)
def test_imaginary_axis(order, stages, optimum):
    # methods.md b2. rejects: a bound without its slack near z = 0 (limit 0), a start that stalls (1 % short)
    made = tailor(AXIS, stages, order)
    assert close_below(made.limit, optimum)
    assert close_below(gd.stability.imaginary_limit(made.method), optimum)
    assert made.linear_order >= order
    assert made.order == min(made.linear_order, 2)


@pytest.mark.parametrize(("order", "stages", "optimum"), [(3, 5, 3.9133), (4, 7, 5.6857)])
def test_imaginary_axis_to_the_digits_given(order, stages, optimum):
    # methods.md b2, rounded there. rejects: a sample of the ray too coarse (5.680, or 5.6859 that is not stable)
    assert tailor(AXIS, stages, order).limit == pytest.approx(optimum, rel=NEAR)


@pytest.mark.parametrize(
    ("order", "stages", "optimum"),
    [*((1, s, 2 * s**2) for s in (1, 2, 3, 5, 8)), (2, 2, 2.0), (2, 3, 6.26079087)],
)
def test_real_axis(order, stages, optimum):
    # methods.md b4, Chebyshev, and RKC2 at s = 3. rejects: a bracket of h that ends below 2 s^2
    assert close_below(tailor([-1.0, -0.3], stages, order).limit, optimum)


@pytest.mark.parametrize(("stages", "rkc2"), [(4, 10.0), (5, 16.89393641), (10, 66.0)])
def test_real_axis_beats_chebyshev_of_order_two(stages, rkc2):
    # methods.md b4: RKC2 is not optimal, some 0.82 s^2 is. rejects: RKC2 itself
    limit = tailor([-1.0], stages, 2).limit
    assert limit > 1.1 * rkc2
    assert limit < 0.83 * stages**2


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_disc(stages):
    """The disc |z + r| <= r: P = (1 + z/s)^s is the optimum, r = s (Jeltsch, Nevanlinna 1978).

    Rejects: eigenvalues whose conjugates are counted apart, points on the circle alone.
    """
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 81)[1:-1]) - 1
    made = tailor(circle, stages)
    assert close_below(made.limit, stages)
    expected = [math.comb(stages, k) / stages**k for k in range(stages + 1)]
    np.testing.assert_allclose([float(c) for c in made.polynomial], expected, atol=1e-5)


def test_extragradient_and_jameson_are_found():
    """methods.md b2: the optima at (1, 2), and at (2, 5), KG(5,2).

    The limit is flat there, (1 + 2d) / (1 + d)^2 for c_2 = 1 + d: coefficients come to the root of its accuracy.
    Rejects: 1/k! kept where it is free.
    """
    np.testing.assert_allclose([float(c) for c in tailor(AXIS, 2, 1).polynomial], [1, 1, 1], atol=1e-3)
    known = [1, 1, 1 / 2, 3 / 16, 1 / 32, 1 / 128]
    np.testing.assert_allclose([float(c) for c in tailor(AXIS, 5, 2).polynomial], known, atol=1e-3)


def test_what_is_returned_holds_of_the_method():
    rng = np.random.default_rng(2)
    spectrum = np.concatenate([-rng.uniform(0, 2, 20), -0.05 + 1j * rng.uniform(-0.6, 0.6, 20)])
    made = tailor(spectrum, 6, 2)
    method = made.method
    assert isinstance(method, LowStorage)
    assert (method.form, method.registers_used, method.evaluations, method.digits) == ("nested", 2, 6, None)
    assert method not in members().values()
    assert get(method) is method
    assert stability_function(method).numerator == made.polynomial
    assert made.polynomial[:3] == (1, 1, F(1, 2))  # rejects: rounded leading coefficients
    assert (made.order, made.linear_order, made.stages) == (2, 2, 6)
    assert made.limit == largest_stable_step(method, spectrum)
    assert made.limit == pytest.approx(made.designed, rel=1e-4)
    assert made.largest == pytest.approx(1.0, abs=1e-9)
    z = made.limit * spectrum
    turned = np.outer(z, 1 + 0.01 * np.exp(2j * np.pi * np.arange(16) / 16))
    assert made.perturbed == pytest.approx(np.abs(stability_function(method)(turned)).max(), rel=1e-9)
    terms = [abs(float(c)) * np.abs(z).max() ** k for k, c in enumerate(made.polynomial)]
    assert made.internal == pytest.approx(max(terms), rel=1e-12)
    assert made.gain("rk4") == pytest.approx(made.limit / 6 * 4 / largest_stable_step("rk4", spectrum), rel=1e-12)
    assert made.gain("rk4") > 1.5
    assert json.loads(json.dumps(made.records()))["limit"] == made.limit
    assert "nested, 6 stages, order 2: stable up to" in str(made)


def test_high_linear_orders_say_what_they_are_not():
    # rejects: the linear order passed off as the order
    made = tailor(AXIS, 6, 4)
    assert (made.order, made.linear_order) == (2, 4)
    assert "order 2 (4 on linear games)" in str(made)


def test_gain_is_infinite_where_the_other_has_no_step():
    made = tailor(AXIS, 3, 1)
    assert made.gain("euler") == math.inf
    assert made.records()["gain"]["euler"] is None
    with pytest.raises(ArgumentError, match="explicit method whose modes decouple"):
        made.gain("bdf2")
    with pytest.raises(ArgumentError, match="see rank_methods"):
        made.gain("alternating")


@pytest.mark.parametrize("damping", [0.2, 0.6])
def test_damping_is_kept(damping):
    # rejects: damping of |P| alone, which no polynomial has near 0
    spectrum = np.array([-2.0, -1.0, -0.3 + 0.8j, -0.01 + 0.4j])
    made = tailor(spectrum, 5, 2, damping=damping)
    R = stability_function(made.method)
    for share in np.linspace(0.05, 1, 40):
        z = share * made.designed * spectrum
        assert (np.abs(R(z)) <= 1 - damping * (1 - np.exp(z.real)) + 1e-7).all()
    assert made.limit < tailor(spectrum, 5, 2).limit


complexes = st.builds(
    lambda r, angle: r * np.exp(1j * np.radians(angle)),
    st.floats(0.05, 4),
    st.floats(91, 180),
)
SPECTRA = st.lists(complexes, min_size=1, max_size=6)
PROPERTY = settings(derandomize=True, deadline=None, max_examples=12)


@PROPERTY
@given(SPECTRA, st.sampled_from([(2, 1), (4, 2), (5, 1), (5, 4), (6, 2)]))
def test_never_beaten_by_a_known_method_and_stable_below(spectrum, size):
    # rejects: any optimum that is not one; a hole below the limit; stability at h alone
    stages, order = size
    made = tailor(spectrum, stages, order)
    for other in ("euler", "extragradient", "heun2", "kutta3", "rk4", "merson43", "ssp43", "ssp54", "kg32", "kg52"):
        method = get(other)
        R = stability_function(method)
        if len(R.numerator) - 1 <= stages and R.linear_order() >= order:
            assert made.limit >= largest_stable_step(method, spectrum) * (1 - 1e-4)
    R = stability_function(made.method)
    z = np.outer(np.linspace(0.01, 1, 300) * made.limit, spectrum)
    assert np.abs(R(z)).max() <= 1 + 1e-9
    assert np.abs(R(1.001 * made.limit * np.array(spectrum))).max() > 1


@settings(PROPERTY, max_examples=5)
@given(SPECTRA, st.floats(0.1, 50))
def test_scaling(spectrum, factor):
    # rejects: coefficients in units of the spectrum
    made, scaled = tailor(spectrum, 4, 1), tailor(factor * np.array(spectrum), 4, 1)
    assert scaled.limit * factor == pytest.approx(made.limit, rel=1e-4)


def test_one_dimension_against_brute_force():
    """Order 2, three stages: one free coefficient, searched on a grid. Rejects: a local optimum."""
    spectrum = np.array([-1.0, -0.2 + 1.5j])
    rays = np.outer(spectrum, np.linspace(0, 1, 400))

    def limit(c):
        for h in np.linspace(0.2, 4, 381):
            if np.abs(polynomial_values(np.array([1, 1, 0.5, c]), h * rays)).max() > 1 + 1e-12:
                return h - 0.01
        return 4.0

    best = max(limit(c) for c in np.linspace(0.05, 0.4, 141))
    assert tailor(spectrum, 3, 2).limit == pytest.approx(best, abs=0.02)


def test_least_excess_of_one_coefficient():
    """P = 1 - x + c x^2 on 0.5 <= x <= 4: |P| is largest at an end or at x = 1/(2c). Rejects: an early stop."""
    x = np.linspace(0.5, 4, 701)
    z = -x.astype(complex)
    basis = Basis.on(z / 4, 1, 1)
    flat = Bound(np.zeros_like(x), np.ones_like(x))
    a, t = least_excess(taylor(z, 1), basis.at(z / 4), flat, gap=1e-10, settle=False)
    c = float(basis.powers(a)[0]) / 16
    grid = np.linspace(0, 0.5, 50001)
    sizes = np.maximum(np.abs(1 - 0.5 + 0.25 * grid), np.abs(1 - 4 + 16 * grid))
    inner = np.where((grid > 0.125) & (grid < 1), np.abs(1 - 0.25 / np.maximum(grid, 1e-9)), 0)
    best = np.maximum(sizes, inner)
    assert t == pytest.approx(best.min(), abs=1e-4)
    assert c == pytest.approx(grid[best.argmin()], abs=2e-4)


def test_basis_is_orthonormal_and_converts():
    # rejects: powers (condition 1e9 here), a recurrence read along the wrong axis
    x = -np.linspace(0.01, 1, 200).astype(complex)
    basis = Basis.on(x, 2, 8)
    Q = basis.at(x)
    np.testing.assert_allclose((Q.conj().T @ Q).real / len(x), np.eye(8), atol=1e-9)
    a = np.arange(1.0, 9.0)
    powers = np.concatenate([np.zeros(3), basis.powers(a)])
    np.testing.assert_allclose(polynomial_values(powers, x), Q @ a, atol=1e-6 * np.abs(powers).max() * 1e-3)


@pytest.mark.parametrize("c", [[1, 1, F(1, 2), 0, F(1, 20)], [1, 1, 0, 0, F(1, 7), F(1, 90)], [1, 1, F(1, 2), 0]])
def test_zero_coefficients_need_a_chain_of_stages(c):
    # rejects: a division by the zero coefficient
    exact = [F(x) for x in c]
    method = _method(exact)
    trimmed = tuple(exact[: max(k for k, x in enumerate(exact) if x) + 1])
    assert stability_function(method).numerator == trimmed
    assert isinstance(method, LowStorage) == (0 not in trimmed)
    assert method.order == (2 if trimmed[2] == F(1, 2) else 1)
    chain = _chain(list(trimmed), "test")
    assert stability_function(chain).numerator == trimmed


def test_one_stage_and_no_freedom():
    assert tailor([-2.0], 1).limit == 1.0
    assert tailor([-1.0], 4, 4).limit == pytest.approx(2.7852935634, abs=1e-9)


def test_kinds_of_spectrum():
    J = np.array([[-1.0, -2.0], [2.0, -0.5]])
    values = np.linalg.eigvals(J)
    made = tailor(BlockJacobian(J, (1, 1)), 3)
    assert made.limit == pytest.approx(tailor(values, 3).limit, rel=1e-9)
    assert made.limit == pytest.approx(tailor(values[:1], 3).limit, rel=1e-9)  # conjugates folded
    assert tailor(Eigenvalues(values, complete=False), 3).steps.complete is False
    assert made.steps.complete


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([], 3), "eigenvalues: expected at least one"),
        (([np.nan], 3), "eigenvalues: expected at least one, all finite"),
        (([0.0], 3), "expected an eigenvalue that is not 0"),
        (([0.1 + 1j, -1], 3), r"the flow does not amplify, got 0.1\+1j"),
        (([-1.0], 2, 3), "stages: expected a whole number of at least 3"),
        (([-1.0], 6, 5), "order: expected a whole number from 1 to 4"),
        (([-1.0], 16, 2), "stages: expected at most 15"),
        (([-1.0], 15, 1), "magnifies the errors of its stages"),
        (([1j], 2, 2), "for some stable step"),
        (([-1.0], 2.0), "stages"),
    ],
)
def test_refusals(arguments, match):
    with pytest.raises(ArgumentError, match=match):
        tailor(*arguments)
    with pytest.raises(ArgumentError, match="damping"):
        tailor([-1.0], 3, damping=1.0)


def test_solve_takes_it_and_breaks_where_it_says():
    # rejects: alphas in reverse order, which have another stability function
    game = gd.games.quadratic([[0.2, 1.5], [-1.5, 0.4]])
    flow = gd.flows.gradient(game)
    at = game.equilibrium_state()
    made = tailor(gd.spectrum.linearise(flow, at).eigenvalues, 5, 2)
    y0 = torch.tensor([1.0, -0.5], dtype=torch.float64)
    ends = [
        float(gd.solve(flow, made.method, h=share * made.limit, steps=400, y0=y0).state.y.norm())
        for share in (0.98, 1.02)
    ]
    assert ends[0] < 1e-2
    assert ends[1] > 1e2
    assert gd.spectrum.step_radius(flow, made.method, at, 0.999 * made.limit) <= 1 + 1e-12
    assert gd.spectrum.step_radius(flow, made.method, at, 1.001 * made.limit) > 1


@pytest.mark.parametrize("seed", range(8))
def test_no_method_of_its_class_goes_further(seed):
    """Members, and tailored polynomials of higher order. Rejects: a search given up undecided."""
    rng = np.random.default_rng(seed)
    m, spread = int(rng.integers(1, 30)), (0.05, 1, 5)[seed % 3]
    modes = -rng.exponential(1, m) * 10.0 ** rng.uniform(-3, 0) + 1j * spread * rng.normal(size=m)
    stages = int(rng.integers(2, 5))
    made = tailor(modes, stages)
    rays = np.array([complex(z.real, abs(z.imag)) for z in modes])
    for m in members().values():
        if isinstance(m, RungeKutta) and m.explicit and m.evaluations <= stages and m.time_scale == 1:
            assert first_limit(m, rays)[0] <= made.limit * (1 + 1e-5), m
    for order in range(2, min(4, stages) + 1):
        assert tailor(modes, stages, order).limit <= made.limit * (1 + 1e-5)


def test_a_search_that_crept_along_the_boundary():
    """A weakly damped spectrum, two stages: 0.0993092 by brute force, where 0.0987387 had been called the largest."""
    modes = np.array(
        [-0.0100511 + 8.4528432j, -0.0011502 + 1.8960053j, -0.0020978 + 3.8243698j, -0.0007198 + 1.837013j]
    )
    limit = tailor(modes, 2).limit
    best = max(first_limit(RungeKutta([[], [c]], [0, 1]), modes)[0] for c in np.linspace(0.9, 1.1, 81))
    assert limit >= best * (1 - 1e-6)
