"""The set of stable steps: numerics.md sections 3 to 5, and properties on random spectra."""

import math
from fractions import Fraction as F

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gamedyn import methods
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta, Sweep, alternating, get
from gamedyn.stability import (
    BlockJacobian,
    Eigenvalues,
    StabilityWarning,
    largest_stable_step,
    rank_methods,
    spectral_radius,
    stable_steps,
    step_matrix,
)

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
BDF3 = LinearMultistep(["-2/11", "9/11", "-18/11", 1], [0, 0, 0, "6/11"])
LOOKAHEAD5 = RungeKutta(A=[["2/5"] * j for j in range(5)], b=["1/5"] * 5)
KG52 = RungeKutta(A=[[], ["1/4"], [0, "1/6"], [0, 0, "3/8"], [0, 0, 0, "1/2"]], b=[0, 0, 0, 0, 1])
RUTH3 = Partitioned([Sweep(("7/24", "2/3")), Sweep(("3/4", "-2/3")), Sweep(("-1/24", 1))])
TH = 1 / (2 - 2 ** (1 / 3))
FR = ((TH / 2, TH), ((1 - TH) / 2, 1 - 2 * TH), ((1 - TH) / 2, TH), (TH / 2, 0))
FOREST_RUTH = Partitioned([Sweep(lengths) for lengths in FR])
INF = math.inf


def blocks(*rows):
    return BlockJacobian(np.array(rows, dtype=float), (1,) * len(rows))


def same(intervals, expected, digits):
    np.testing.assert_allclose(np.array(intervals), np.array(expected), rtol=0, atol=0.51 * 10**-digits)


@pytest.mark.parametrize(
    ("method", "clock", "expected", "digits"),
    [
        ("kutta3", 1, (0.66, 1.65), 2),
        ("rk4", 1, (1.10, 2.81), 2),
        ("extragradient", 1, (0.02, 0.98), 2),
        ("optimistic", 1, (0.02, 0.574), 3),
        ("ab3", 1, (0.30, 0.73), 2),
        (LOOKAHEAD5, 0.4, (0.013, 0.733), 3),
        (BDF3, 1, (2.0, INF), 1),
    ],
    ids=["kutta3", "rk4", "extragradient", "optimistic", "ab3", "lookahead5", "bdf3"],
)
def test_unstable_spiral_is_stabilised(method, clock, expected, digits):
    """numerics.md section 4, lambda = 0.01 + i. Rejects: "no step is stable if Re > 0"."""
    steps = stable_steps(method, [0.01 + 1j, 0.01 - 1j])
    same(np.array(steps.intervals) * clock, [expected], digits)
    assert steps.first is None
    assert largest_stable_step(method, [0.01 + 1j]) == 0.0
    assert steps.flow_stable is False
    assert steps.growing == (0.01 + 1j, 0.01 - 1j)
    assert steps.stabilised == (0.01 + 1j, 0.01 - 1j)
    assert steps.damped_intervals == ((0.0, INF),)  # no mode left


@pytest.mark.parametrize("method", ["euler", "heun2", "midpoint", "ab2"])
def test_unstable_spiral_that_no_step_damps(method):
    steps = stable_steps(method, [0.01 + 1j, 0.01 - 1j, -1])
    assert steps.intervals == steps.stabilised == ()
    assert steps.binding == 0.01 + 1j
    assert steps.multiplier is None
    assert math.isnan(steps.sensitivity)
    assert steps.damped_intervals == stable_steps(method, [-1]).intervals
    assert 0.5 not in steps


def test_extragradient_on_an_unstable_spiral_in_closed_form():
    """|1 + z + z^2| = 1 along z = r u: 2 cos t + r (1 + 2 cos 2t) + 2 r^2 cos t + r^3 = 0."""
    lam = 0.01 + 1j
    u = lam / abs(lam)
    roots = np.roots([1, 2 * u.real, 1 + 2 * (2 * u.real**2 - 1), 2 * u.real])
    crossings = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
    np.testing.assert_allclose(
        stable_steps("extragradient", [lam]).intervals[0], crossings[crossings > 0] / abs(lam), rtol=1e-10
    )


@pytest.mark.parametrize("call", [stable_steps, largest_stable_step])
def test_the_warning_points_at_the_caller(call):
    # rejects: a stack level counted for one of the two
    with pytest.warns(StabilityWarning) as caught:
        call(BDF3, [np.exp(1j * np.radians(92))])
    assert [w.filename for w in caught] == [__file__]


def test_bdf3_at_92_degrees_has_two_intervals():
    """numerics.md section 4: (0, 0.59) and (1.66, inf); 0.5971 to four digits. Rejects: bisection on h."""
    with pytest.warns(StabilityWarning, match=r"for h in \(0.5971, 1.658\): its unstable band"):
        steps = stable_steps(BDF3, [np.exp(1j * np.radians(92))])
    same(steps.intervals[0], (0, 0.5971), 4)
    same(steps.intervals[1][:1], (1.66,), 2)
    assert steps.intervals[1][1] == INF
    assert steps.flow_stable
    assert steps.first == steps.intervals[0]
    assert 0.5 in steps
    assert 1.0 not in steps
    assert 100.0 in steps


@pytest.mark.parametrize(
    ("method", "expected"),
    [(RUTH3, [(0, 2.03), (2.67, 3.28)]), (FOREST_RUTH, [(0, 1.33), (2.55, 2.65)])],
    ids=["ruth3", "forest_ruth"],
)
def test_disjoint_sets_of_compositions(method, expected):
    """numerics.md section 4, on -0.2 +- i; a sliver of ruth3 near 6.53 lies beyond its scan."""
    steps = stable_steps(method, blocks([-0.2, -1], [1, -0.2]))
    same(steps.intervals[:2], expected, 2)
    for low, high in steps.intervals:
        assert spectral_radius(method, blocks([-0.2, -1], [1, -0.2]), (low + high) / 2) < 1
    for (_, a), (b, _) in zip(steps.intervals, steps.intervals[1:], strict=False):
        assert spectral_radius(method, blocks([-0.2, -1], [1, -0.2]), (a + b) / 2) > 1


FOUR = [
    ([[-0.5, -math.sqrt(0.75)], [math.sqrt(0.75), -0.5]], -2 + math.sqrt(12)),
    ([[0, -1], [1, -1]], -1 + math.sqrt(5)),
    ([[1, -math.sqrt(3)], [math.sqrt(3), -2]], (-1 + math.sqrt(21)) / 5),
    ([[3, -math.sqrt(13)], [math.sqrt(13), -4]], (-1 + math.sqrt(101)) / 25),
]


@pytest.mark.parametrize(("J", "limit"), FOUR)
def test_four_games_of_one_spectrum(J, limit):
    """numerics.md section 5 (1.464, 1.236, 0.716, 0.361, truncated); from 4 + 2h tr + h^2 (ad + bc) = 0.

    Rejects: a prediction of alternating play from eigenvalues, and the transposed blocks.
    """
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(np.array(J))), np.array([-0.5 - 0.75**0.5 * 1j, -0.5 + 0.75**0.5 * 1j])
    )
    steps = stable_steps("alternating", blocks(*J))
    assert steps.intervals == ((0.0, pytest.approx(limit, rel=1e-10)),)
    assert steps.multiplier == pytest.approx(-1, abs=1e-9)
    assert (steps.flow_stable, steps.binding, steps.complete) == (True, None, True)
    h, d = limit, 1e-6
    slope = np.log(spectral_radius("alternating", blocks(*J), h * (1 + d)) / 1.0) / d
    assert steps.sensitivity == pytest.approx(slope, rel=1e-3)


def test_a_neutral_pair_may_contract_under_alternation():
    """numerics.md section 5: eigenvalues +-i, rho 0.866 at h = 0.5, limit 2/sqrt 3."""
    game = blocks([1, -math.sqrt(2)], [math.sqrt(2), -1])
    assert spectral_radius("alternating", game, 0.5) == pytest.approx(math.sqrt(0.75), rel=1e-12)
    assert largest_stable_step("alternating", game) == pytest.approx(2 / math.sqrt(3), rel=1e-10)


def test_bare_pair_is_the_rotation():
    steps = stable_steps("alternating", [2j, -2j])
    assert steps.intervals == ((0.0, pytest.approx(1.0, rel=1e-9)),)
    assert steps.flow_stable is None
    assert steps.sensitivity == INF  # two eigenvalues meet at -1 and part like a square root
    assert largest_stable_step("alternating", Eigenvalues(np.array([1j, -1j]))) == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize("values", [[-1.0], [-0.5 + 1j, -0.5 - 1j], [1j, -2j], [1j, -1j, 0], [0j, 0j]])
def test_eigenvalues_alone_raise(values):
    with pytest.raises(ArgumentError, match="spectrum: expected a BlockJacobian for the method alternating"):
        stable_steps("alternating", values)


def test_updates_against_rates():
    """numerics.md section 5: five updates and a five-fold rate agree on a bilinear game (0.894) only."""
    five = alternating(cycles={0: 1, 1: 5})
    bilinear = blocks([0, -1], [5, 0])
    assert largest_stable_step("alternating", bilinear) == pytest.approx(2 / math.sqrt(5), rel=1e-9)
    assert largest_stable_step(five, bilinear) == pytest.approx(2 / math.sqrt(5), rel=1e-9)
    penalised = blocks([0, -1], [5, -10])
    assert largest_stable_step("alternating", penalised) == pytest.approx(-2 + math.sqrt(4.8), rel=1e-9)
    h = largest_stable_step(five, penalised)  # beyond 8 / |lambda|, where a shorter scan would say inf
    q = (1 - 2 * h) ** 5  # 1 + trace + determinant = 0 for the step with q
    assert 2 + 2 * q - h * (1 - q) / 2 == pytest.approx(0, abs=1e-9)
    assert h == pytest.approx(0.95367, abs=5.1e-6)


def test_order_of_play_matters_for_three():
    J = np.array([[-0.9, -1, 0.7], [1.5, -1.2, -1], [-0.4, 2, -1.3]])
    game = BlockJacobian(J, (1, 1, 1), ("a", "b", "c"))
    by_order = {}
    for order in ((0, 1, 2), (1, 2, 0), (0, 2, 1)):
        steps, E = stable_steps(alternating(order), game), [np.diag(np.eye(3)[p]) @ J for p in order]
        by_order[order] = end = steps.intervals[0][1]

        def radius(h, E=E):
            I = np.eye(3)
            return np.abs(np.linalg.eigvals((I + h * E[2]) @ (I + h * E[1]) @ (I + h * E[0]))).max()

        assert radius(end) == pytest.approx(1, abs=1e-9)
    assert by_order[0, 1, 2] == pytest.approx(by_order[1, 2, 0], rel=1e-9)  # cyclic: the same spectrum
    assert abs(by_order[0, 1, 2] - by_order[0, 2, 1]) > 0.01


def test_zero_eigenvalues_are_neutral_and_listed():
    steps = stable_steps("rk4", [-1, 0, 1e-13])
    assert steps.neutral == (0, 1e-13)
    assert (steps.flow_stable, steps.growing) == (True, ())
    assert steps.intervals == stable_steps("rk4", [-1]).intervals
    assert stable_steps("rk4", [-1, 1e-13], tolerance=0).intervals == ()  # the growing mode counts
    assert stable_steps("euler", [0, 0]).intervals == ((0.0, INF),)
    assert stable_steps("alternating", blocks([0, 0], [0, 0])).intervals == ((0.0, INF),)


def test_rounding_of_an_imaginary_pair_is_removed():
    assert largest_stable_step("rk4", [1e-13 + 1j]) == pytest.approx(math.sqrt(8), rel=1e-12)
    assert stable_steps("rk4", [1e-13 + 1j]).flow_stable is None


@pytest.mark.parametrize(("values", "stable"), [([1j, -1], None), ([-1, -0.1 + 3j], True), ([1j, 0.1], False)])
def test_flow_stable(values, stable):
    assert stable_steps("extragradient", values).flow_stable is stable


def test_damped_intervals_leave_the_growing_out():
    steps = stable_steps("extragradient", [0.1 + 1j, -4])
    assert steps.damped_intervals == ((0.0, pytest.approx(0.25)),)
    assert steps.stabilised == (0.1 + 1j,)
    assert steps.intervals[0][0] > 0.1
    assert steps.intervals[0][1] == pytest.approx(0.25)


@pytest.mark.parametrize("method", ["euler", "rk4", "kutta3", "extragradient", "ab2", "ab3", "optimistic", BDF3])
@pytest.mark.parametrize("lam", [-1 + 0.3j, -0.2 + 1j, -2.0])
def test_binding_multiplier_and_sensitivity(method, lam):
    """S against central differences of ln rho. Rejects: d rho/dh without h, and the wrong root's slope."""
    spectrum = [lam, lam.conjugate() / 3]
    steps = stable_steps(method, spectrum)
    if steps.first is None or steps.first[1] == INF:
        assert method is BDF3
        assert (steps.binding, steps.multiplier) == (None, None)
        return
    h, d = steps.first[1], 1e-6
    assert steps.binding == complex(lam.real, abs(lam.imag))
    assert abs(steps.multiplier) == pytest.approx(1, abs=1e-10)
    rho = [spectral_radius(method, spectrum, h * x) for x in (1 + d, 1 - d)]
    assert steps.sensitivity == pytest.approx(np.log(rho[0] / rho[1]) / (2 * d), rel=1e-5)


def test_sensitivity_of_euler_in_closed_form():
    """S = 2 eps^2 / |lambda|^2 at -eps +- i w (numerics.md section 2): 5e-5 for -0.01 +- 2i."""
    steps = stable_steps("euler", [-0.01 + 2j])
    assert steps.sensitivity == pytest.approx(2 * 1e-4 / 4.0001, rel=1e-8)
    assert steps.first[1] == pytest.approx(0.02 / 4.0001, rel=1e-12)


@pytest.mark.parametrize(
    ("method", "h"),
    [("euler", 0.0050), ("heun2", 0.1743), ("kutta3", 0.8828), ("rk4", 1.4194), ("extragradient", 0.5050),
     ("ab2", 0.1333), ("ab3", 0.3610), ("optimistic", 0.2895)],
)  # fmt: skip
def test_wasserstein_column(method, h):
    """numerics.md section 1: all bound by the roots of x^2 + 0.02 x + 4, -0.01 +- 2.000i."""
    lam = complex(-0.01, math.sqrt(4 - 1e-4))
    assert largest_stable_step(method, [lam, lam.conjugate()]) == pytest.approx(h, abs=5.1e-5)


def test_partial_spectrum_is_marked_and_larger():
    """numerics.md section 3: rightmost eigenvalues alone overestimate the step."""
    values = np.concatenate([-np.linspace(0.004, 0.1, 16), [-9.0]])
    whole, part = Eigenvalues(values), Eigenvalues(values[:16], complete=False)
    assert stable_steps("rk4", whole).complete
    assert not stable_steps("rk4", part).complete
    assert not stable_steps("rk4", values, complete=False).complete
    assert stable_steps("rk4", part, complete=True).complete
    assert stable_steps("rk4", part).first[1] == pytest.approx(90 * stable_steps("rk4", whole).first[1])


@pytest.mark.parametrize(
    ("values", "got"), [([], "none"), ([math.nan], "nan or inf"), ([-1, complex(0, math.inf)], "nan or inf")]
)
def test_bad_spectra(values, got):
    with pytest.raises(ArgumentError, match=f"eigenvalues: expected at least one, all finite, got {got}"):
        stable_steps("rk4", values)


def test_other_libraries_methods_have_no_set():
    with pytest.raises(ArgumentError, match="coefficients gamedyn holds, got torchdiffeq:rk4"):
        stable_steps("torchdiffeq:rk4", [-1])


def test_tangency_does_not_split_an_interval():
    """KG(5,2) touches |R| = 1 at y = 2 sqrt 2 of 4 (numerics.md section 4)."""
    assert abs(spectral_radius(KG52, [1j], math.sqrt(8)) - 1) < 1e-13
    assert stable_steps(KG52, [1j]).intervals == ((0.0, pytest.approx(4, rel=1e-10)),)


MODE = st.builds(lambda r, t: complex(-r * math.cos(t), r * math.sin(t)), st.floats(0.1, 10), st.floats(0, 1.5))


@PROPERTY
@given(
    st.lists(MODE, min_size=1, max_size=4), st.sampled_from(["euler", "rk4", "ab2", "ab3", "optimistic", KG52, BDF3])
)
def test_inside_nothing_grows_and_outside_something_does(values, method):
    """Rejects: the union for the intersection, a lost interval, a limit off by 1e-6."""
    steps = stable_steps(method, values)
    for low, high in steps.intervals:
        top = min(high, 50.0)
        for x in (1e-9, 0.2, 0.5, 0.9, 1 - 1e-9):
            assert spectral_radius(method, values, low + x * (top - low)) <= 1 + 1e-9
    scan = np.geomspace(1e-3, 40, 60)
    for h in scan:
        if h not in steps:
            assert spectral_radius(method, values, h) > 1 - 1e-12
    assume(steps.first is not None and steps.first[1] < INF and abs(steps.sensitivity) > 1e-2)
    assert spectral_radius(method, values, steps.first[1] * (1 + 1e-5)) > 1


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.lists(st.floats(-2, 2), min_size=9, max_size=9))
def test_partitioned_sets_on_random_games(entries):
    """Three players; damped by a shift. Rejects: an interval from the scan with its ends exchanged."""
    J = np.array(entries).reshape(3, 3)
    J = np.round(J - (np.linalg.eigvals(J).real.max() + 0.3) * np.eye(3), 6)
    game = BlockJacobian(J, (1, 1, 1))
    steps = stable_steps("alternating", game)
    assert steps.first is not None
    for low, high in steps.intervals:
        for x in (0.01, 0.5, 0.99):
            M = step_matrix("alternating", game, low + x * (high - low))
            assert np.abs(np.linalg.eigvals(M)).max() <= 1 + 1e-9
    assert spectral_radius("alternating", game, steps.first[1] * (1 + 1e-4)) > 1


def test_get_is_not_needed_for_objects():
    assert stable_steps(get("rk4"), [-F(1)]).intervals == stable_steps("rk4", [-1]).intervals


@pytest.mark.parametrize("stages", [8, 12, 14])
def test_chebyshevs_polynomials_keep_their_limit(stages):
    # T_s(1 + z / s^2): real limit 2 s^2, touched s - 1 times before; rejects: roots that double precision loses
    from gamedyn.stability import stability_function
    from gamedyn.stability.regions.rays import ray_intervals

    previous, current = [F(1)], [F(1), F(1, stages**2)]
    for _ in range(stages - 1):
        doubled = [2 * c for c in current] + [F(0)]
        for k, c in enumerate(current):
            doubled[k + 1] += 2 * c / stages**2
        previous, current = current, [a - b for a, b in zip(doubled, [*previous, 0, 0], strict=False)]
    coefficients = [current[k] for k in range(stages + 1)]
    weights = [coefficients[k + 1] / coefficients[k] for k in range(stages)]  # nested: a_{s-k} = c_{k+1} / c_k
    A = [[F(0)] * stages for _ in range(stages)]
    for i in range(1, stages):
        A[i][i - 1] = weights[stages - i]
    method = RungeKutta(A, [F(0)] * (stages - 1) + [F(1)])
    assert stability_function(method).numerator == tuple(coefficients)
    ((low, high),) = ray_intervals(method, -1.0)
    assert low == 0
    assert high == pytest.approx(2 * stages**2, rel=1e-12)


@pytest.mark.parametrize("tolerance", [math.nan, math.inf, -1e-3, 1.0])
def test_tolerances_that_are_no_share_are_refused(tolerance):
    # rejects: every mode taken for zero, and every step for stable
    with pytest.raises(ArgumentError, match="tolerance"):
        stable_steps("rk4", [-1.0], tolerance=tolerance)


def test_names_for_sizes_are_told_where_they_belong():
    with pytest.raises(ArgumentError, match="players="):
        BlockJacobian(np.eye(2), ("G", "D"))


def test_a_slow_mode_that_grows_is_seen_beside_a_stiff_one():
    # faults.md: -1e6 beside 1e-5: "neutral", every step stable; rejects: zero as 1e-10 of the largest
    steps = stable_steps("euler", [-1e6, 1e-5])
    assert steps.growing == (1e-5,)
    assert steps.first is None
    assert stable_steps("euler", [-1e6, 1e-7]).neutral == (1e-7,)  # a share of 1e-13: rounding


def test_sets_rankings_and_listings_are_tables(tmp_path):
    """Rows as sequences, text, CSV and pandas, with the same figures in each."""
    steps = stable_steps("rk4", [1.0, -3 + 2j, -3 - 2j])  # a growing mode beside: two tables' worth of facts
    assert list(steps) == list(steps.intervals)
    assert len(steps) == len(steps.intervals)
    assert len(stable_steps("euler", [1j, -1j])) == 0
    assert "no stable step" in str(stable_steps("euler", [1j, -1j]))
    found = stable_steps("bdf3", [0.05 + 1j, 0.05 - 1j])
    assert found.to_pandas()["to"].tolist() == [high for _, high in found]
    text = found.to_csv(tmp_path / "steps.csv")
    assert (tmp_path / "steps.csv").read_text() == text
    assert text.splitlines()[0] == "from,to"
    ranking = rank_methods([-1.0], methods=["euler", "rk4", "gauss4"])
    frame = ranking.to_pandas()
    assert frame["name"].tolist() == [*(r.name for r in ranking), "gauss4"]
    assert frame["limit"].tolist()[:2] == [r.limit for r in ranking]
    listing = methods.table()
    assert len(listing.to_pandas()) == len(listing) == len(listing.to_csv().splitlines()) - 1
    with pytest.raises(ArgumentError, match="can be written"):
        found.to_csv(tmp_path / "nowhere" / "steps.csv")


def test_what_a_set_says_of_growing_modes():
    """Rejects: the damped counted as not damped."""
    damped = stable_steps("optimistic", [0.01 + 1j, 0.01 - 1j])
    assert damped.intervals
    assert "eigenvalues that grow in the flow: 2; 2 of them damped by these steps" in str(damped)
    assert "no step damps all" in str(stable_steps("euler", [0.01 + 1j, 0.01 - 1j]))
    assert list(stable_steps("euler", [1j, -1j]).to_pandas().columns) == ["from", "to"]
    assert stable_steps("euler", [1j, -1j]).to_csv() == "from,to\n"


def test_sparse_jacobians():
    """Rejects: an error of NumPy's; imaginary parts dropped with a warning."""
    J = np.array([[-0.1, -1.0], [1.0, -0.2]])
    for sparse in (scipy.sparse.csr_matrix(J), scipy.sparse.coo_array(J), scipy.sparse.lil_matrix(J)):
        assert stable_steps("alternating", BlockJacobian(sparse, (1, 1))).limit == pytest.approx(
            stable_steps("alternating", BlockJacobian(J, (1, 1))).limit
        )
        np.testing.assert_array_equal(step_matrix("rk4", sparse, 0.1), step_matrix("rk4", J, 0.1))
        with pytest.raises(ArgumentError, match="sparse"):
            stable_steps("rk4", sparse)
    with pytest.raises(ArgumentError, match="complex"):
        BlockJacobian(J + 1j, (1, 1))
    for sizes in ((2, 0), (3, -1), ()):
        with pytest.raises(ArgumentError, match="sizes"):
            BlockJacobian(J, sizes)


@pytest.mark.parametrize("name", ["alternating", "strang"])
def test_the_sensitivity_of_scanned_methods_is_a_derivative(name):
    """S = d ln rho / d ln h by left and right eigenvectors of the step matrix; rejects a one-sided difference."""
    draw = np.random.default_rng(0)
    A = draw.standard_normal((6, 6))
    blocks = BlockJacobian(A - A.T - 0.3 * np.eye(6) + 0.1 * np.tril(A), (3, 3), ("x", "y"))
    steps = stable_steps(name, blocks)
    h = steps.limit
    M = step_matrix(name, blocks, h)
    values, left, right = scipy.linalg.eig(M, left=True, right=True)
    k = np.abs(values).argmax()
    slope = (step_matrix(name, blocks, h * (1 + 1e-6)) - step_matrix(name, blocks, h * (1 - 1e-6))) / 2e-6
    moved = left[:, k].conj() @ slope @ right[:, k] / (left[:, k].conj() @ right[:, k])
    assert steps.sensitivity == pytest.approx((moved / values[k]).real, rel=1e-6)
