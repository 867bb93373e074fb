"""Limit cycles with known periods and multipliers, and everything that is not one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.spectrum.diagnostics.cycles import find_limit_cycle

DOUBLE = torch.float64
PLANE = gd.games.bilinear()


def plane(fn):
    """The flow of x' = f(x, y), y' = g(x, y)."""
    return gd.flows.custom(lambda t, s, b: dict(zip("xy", fn(s["x"], s["y"]), strict=True)), like=PLANE)


def hopf(mu, omega=1.0, sign=1.0):
    """Radius sqrt(mu), period 2 pi / omega, multiplier exp(-2 sign mu T)."""

    def field(x, y):
        grow = sign * (mu - x * x - y * y)
        return grow * x - omega * y, grow * y + omega * x

    return plane(field)


def at(*y):
    return torch.tensor(y, dtype=DOUBLE)


@pytest.mark.parametrize(
    ("mu", "omega", "start"), [(0.25, 1.0, (0.01, 0.0)), (0.25, 2.0, (1.6, 0.3)), (0.05, 2.0, (0.3, 0.1))]
)
def test_hopf_normal_form_is_exact(mu, omega, start):
    # rejects: M^T's eigenvector for the trivial one, half the period, exp(-mu T), the multiplier of the discrete map
    # of another tolerance, samples at the ends of steps
    found = find_limit_cycle(hopf(mu, omega), at(*start))
    T = 2 * math.pi / omega
    assert (found.status, found.kind) == ("cycle", "stable")
    # errors: the integrator's 1e-10, over 1 - multiplier for the radius
    expected = math.exp(-2 * mu * T)
    slack = 1e-9 / (1 - expected)
    assert found.period == pytest.approx(T, rel=1e-9)
    assert float(found.state.y.norm()) == pytest.approx(math.sqrt(mu), rel=slack)
    assert found.multipliers[0] == pytest.approx(expected, abs=1e-8)
    assert abs(found.multipliers[0] - expected) <= found.uncertainty[0]
    assert found.trivial == pytest.approx(1.0, abs=1e-8)
    assert found.trivial_error <= 1e-8
    assert found.residual <= 1e-8
    assert found.size == pytest.approx(2 * math.sqrt(mu), rel=0.02)
    assert found.exponents[0].real == pytest.approx(-2 * mu, abs=1e-6)
    assert found.complete
    x, y = found.state.y.tolist()
    phase = math.atan2(y, x) + omega * found.t
    circle = math.sqrt(mu) * np.stack([np.cos(phase), np.sin(phase)], 1)
    np.testing.assert_allclose(found.orbit.numpy(), circle, atol=10 * slack * math.sqrt(mu))


def test_van_der_pol_against_scipy():
    # rejects: a Hermite crossing taken for the orbit (1e-6), a multiplier from differences (1e-7)
    found = find_limit_cycle(plane(lambda x, y: (y, (1 - x * x) * y - x)), at(2.0, 0.0))
    assert (found.status, found.kind) == ("cycle", "stable")
    assert found.period == pytest.approx(6.6632868593231302, abs=1e-9)  # literature, 16 digits

    def with_divergence(t, w):
        x, y, _ = w
        return [y, (1 - x * x) * y - x, 1 - x * x]

    start = [*found.state.y.tolist(), 0.0]
    run = solve_ivp(with_divergence, (0, found.period), start, method="DOP853", rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(run.y[:2, -1], start[:2], atol=1e-9)
    # Liouville: det M = exp(integral of tr J), and one of its eigenvalues is 1
    assert found.multipliers[0].real == pytest.approx(math.exp(run.y[2, -1]), rel=1e-7)


def vertex(r, i):
    """The extremum of the parabola through three neighbouring samples."""
    before, here, after = r[i - 1], r[i], r[(i + 1) % len(r)]
    return here - (after - before) ** 2 / (8 * (after - 2 * here + before))


@pytest.mark.parametrize(("start", "horizon"), [((0.01, 0.0), 40.0), ((2.0, 2.0), 12.0)])
def test_the_game_without_an_equilibrium_has_one_stable_cycle(start, horizon):
    # rejects: the point of the first crossing (radius), the gradient's sign (a point that attracts), a section at the
    # start alone or so late that the orbit does not come round to it within the horizon
    # games.md b.5: radius in [1.0695393, 1.2483173], period 6.851346, the same cycle from both starts
    def losses(x, y):
        f = (x * y - x**2 / 2 + y**2 / 2 + x**4 / 4 - y**4 / 4).sum()
        return {"x": f, "y": -f}

    flow = gd.flows.gradient(gd.Game({"x": torch.ones(1, dtype=DOUBLE), "y": torch.ones(1, dtype=DOUBLE)}, losses))
    found = find_limit_cycle(flow, at(*start), horizon=horizon, samples=513)
    assert (found.status, found.kind) == ("cycle", "stable")
    assert found.period == pytest.approx(6.851346054, abs=1e-8)
    radius = found.orbit.norm(dim=1).numpy()[:-1]
    # parabolas through three samples, T/512 apart: off by their fourth power, 1e-7 or so; the literature's seven digits
    assert vertex(radius, int(radius.argmin())) == pytest.approx(1.0695393, abs=1e-6)
    assert vertex(radius, int(radius.argmax())) == pytest.approx(1.2483173, abs=1e-6)
    assert abs(found.multipliers[0]) < 1e-5
    origin = np.linalg.eigvals(flow.at(torch.zeros(2)).jacobian().to_dense().numpy())
    np.testing.assert_allclose(np.sort_complex(origin), [1 - 1j, 1 + 1j], atol=1e-14)


def test_centres_are_neutral_never_stable():
    # rejects: a multiplier of 1 - 1e-12 called stable, eigenvalues of a Jordan block trusted to rounding
    found = find_limit_cycle(gd.flows.gradient(PLANE), at(1.0, 0.5), horizon=20.0)
    assert (found.status, found.kind) == ("cycle", "neutral")
    assert found.period == pytest.approx(2 * math.pi, rel=1e-10)
    np.testing.assert_allclose(found.multipliers, [1.0], atol=1e-9)
    # period depends on amplitude: M is a Jordan block, whose eigenvalues are good to the root of its error
    jordan = find_limit_cycle(plane(lambda x, y: (y, -x - x**3)), at(1.0, 0.0), horizon=20.0)
    assert jordan.kind == "neutral"
    assert 1e-12 < abs(jordan.multipliers[0] - 1) <= jordan.uncertainty[0] < 1e-4
    period = solve_ivp(
        lambda t, w: [w[1], -w[0] - w[0] ** 3], (0, 10), [1.0, 0.0], rtol=1e-12, atol=1e-13, method="DOP853",
        events=lambda t, w: w[1],
    ).t_events[0]  # fmt: skip
    assert jordan.period == pytest.approx(period[period > 4][0], abs=1e-8)


@pytest.mark.parametrize("start", [1.01, 1.05, 1.2])
def test_a_cycle_where_a_stable_and_an_unstable_one_meet_is_undecided(start):
    # rejects: uncertainties of multipliers without the error of the orbit, at which the multiplier is below 1
    def semistable(t, s, batch):
        x, y = s["x"], s["y"]
        grow = -((x * x + y * y - 1) ** 2)
        return {"x": grow * x - y, "y": grow * y + x}

    flow = gd.flows.custom(semistable, like=gd.games.bilinear())
    found = find_limit_cycle(flow, torch.tensor([start, 0.0], dtype=torch.float64))
    assert (found.status, found.kind) in {("cycle", "undecided"), ("cycle", "neutral")}
    assert abs(found.multipliers[0] - 1) <= found.uncertainty[0]


def test_an_orbit_that_crosses_its_section_more_than_once_per_period():
    # rejects: the time between neighbouring crossings for the period
    flow = gd.flows.gradient(gd.games.bilinear([[1.0, 0.0], [0.0, 2.0]]))  # frequencies 1 and 2
    found = find_limit_cycle(flow, at(0.2, 0.5, 0.0, 0.7), horizon=20.0)
    assert (found.status, found.kind) == ("cycle", "neutral")
    assert len(found.returns) >= 2
    assert found.returns[0] > 0.1
    assert found.period == pytest.approx(2 * math.pi, rel=1e-9)
    np.testing.assert_allclose(found.multipliers, np.ones(3), atol=1e-6)


def test_an_unstable_cycle_and_the_reversed_flow():
    # rejects: the later crossing alone as a guess, multipliers of M^T J, 1 / multiplier; the first guess, whose
    # solution ends at t = 6.149, followed in steps that no longer move t
    flow = hopf(0.25, sign=-1.0)
    found = find_limit_cycle(flow, at(0.5005, 0.0), horizon=20.0)
    assert (found.status, found.kind) == ("cycle", "unstable")
    assert found.evaluations < 20_000
    assert found.multipliers[0].real == pytest.approx(math.exp(math.pi), rel=1e-8)
    assert float(found.state.y.norm()) == pytest.approx(0.5, rel=1e-9)
    back = gd.flows.mapped(flow, lambda v: {k: -2 * x for k, x in v.items()})  # backwards, and twice as fast
    found = find_limit_cycle(back, at(0.51, 0.0), horizon=20.0)
    assert (found.status, found.kind) == ("cycle", "stable")
    assert found.period == pytest.approx(math.pi, rel=1e-9)
    assert found.multipliers[0].real == pytest.approx(math.exp(-math.pi), rel=1e-7)


class TestNoCycle:
    def test_a_point_that_attracts(self):
        # rejects: Newton's collapse to the point taken for an orbit
        found = find_limit_cycle(gd.flows.gradient(gd.games.rotation(3, 0.5)), at(1.0, 0.5, -0.3))
        assert (found.status, found.kind) == ("point", None)
        assert float(found.state.y.norm()) < 1e-6
        assert math.isnan(found.period)
        assert found.orbit is None
        still = find_limit_cycle(gd.flows.gradient(PLANE), at(0.0, 0.0))
        assert (still.status, still.reason) == ("point", "it starts at a stationary point")

    def test_a_spiral_that_has_not_arrived(self):
        # rejects: a return within near, or a residual below a loose tol, called a cycle
        flow = gd.flows.gradient(gd.games.rotation(3, 0.001))
        found = find_limit_cycle(flow, at(1.0, 0.5, -0.3), horizon=10.0)
        assert found.status == "no_return"
        assert 1e-4 < min(found.returns) < 0.05
        assert "shooting led away" in found.reason

    def test_a_budget_is_kept(self):
        # rejects: a search that goes on for as long as the horizon lasts
        flow = gd.flows.gradient(gd.games.rotation(4))
        found = find_limit_cycle(flow, at(1.0, 0.5, -0.3, 0.7), horizon=1e4, max_evaluations=500)
        assert found.status == "budget"
        assert 500 < found.evaluations < 600
        assert found.reason.startswith("max_evaluations = 500 were spent")

    def test_a_decay_slower_than_exponential(self):
        # rejects: linearised theory (the NS Dirac-GAN's eigenvalues are +- i/2: a centre)
        found = find_limit_cycle(gd.flows.gradient(gd.games.dirac_gan("nonsaturating")), at(1.0, 0.5), horizon=40.0)
        assert found.status == "no_return"
        wasserstein = find_limit_cycle(gd.flows.gradient(gd.games.dirac_gan("wasserstein")), at(1.0, 0.5), horizon=20.0)
        assert wasserstein.kind == "neutral"

    def test_incommensurable_frequencies_do_not_return(self):
        # rejects: the stationary point that shooting collapses to, which solves its equations, taken for an orbit
        flow = gd.flows.gradient(gd.games.rotation(4))  # cot(pi/8) = 1 + sqrt 2 and its inverse
        found = find_limit_cycle(flow, at(1.0, 0.5, -0.3, 0.7), horizon=17.0, near=0.3, rtol=1e-7)
        assert (found.status, found.kind) == ("no_return", None)
        assert 0.1 < min(found.returns) < 0.3
        assert "shooting led away" in found.reason

    @pytest.mark.parametrize(
        ("flow", "reason"),
        [
            (gd.flows.gradient(gd.games.rotation(2, -0.6)), "from its start"),
            (plane(lambda x, y: (x**2, -y)), "from its start"),
            (plane(lambda x, y: (x, -y)), "from its start"),
        ],
    )
    def test_what_diverges(self, flow, reason):
        # rejects: an exception, or a horizon waited for, where the flow is gone
        found = find_limit_cycle(flow, at(1.0, 1.0))
        assert found.status == "diverged"
        assert reason in found.reason
        assert found.state.y.isfinite().all()


def coupled(n):
    """A normal form that drives n - 2 decaying directions: multipliers exp(-2 pi / 2) and exp(-2 pi rate)."""
    rates = torch.linspace(0.05, 2.0, n - 2, dtype=DOUBLE)
    push = torch.linspace(-1.0, 1.0, n - 2, dtype=DOUBLE)

    def fn(t, s, batch):
        x, y, w = s["x"], s["y"][:1], s["y"][1:]
        grow = 0.25 - x * x - y * y
        scale = 1.0 if batch is None else batch
        return {"x": scale * (grow * x - y), "y": scale * torch.cat([grow * y + x, -rates * w + 0.3 * push * x * x])}

    flow = gd.flows.custom(fn, like=gd.games.bilinear(torch.zeros(1, n - 1)))
    values = np.sort(np.r_[math.exp(-math.pi), np.exp(-2 * math.pi * rates.numpy())])[::-1]
    return flow, values


def test_products_with_the_monodromy_give_the_same_as_its_matrix():
    # rejects: J^T products, k values of least modulus, a bordered system without its phase condition
    flow, expected = coupled(6)
    start = torch.zeros(6, dtype=DOUBLE)
    start[0] = 0.5
    start[2:] = 0.2
    dense = find_limit_cycle(flow, start, horizon=60.0)
    np.testing.assert_allclose(dense.multipliers.real, expected, atol=1e-8)
    assert dense.kind == "stable"
    products = find_limit_cycle(flow, dense.state.y + 0.005, formed_up_to=5, k=3, rtol=1e-7, tol=1e-5)
    assert not products.complete
    assert products.period == pytest.approx(2 * math.pi, rel=1e-6)
    np.testing.assert_allclose(products.multipliers[:2].real, expected[:2], atol=1e-5)
    assert products.trivial == pytest.approx(1.0, abs=1e-5)
    assert products.kind == "stable"


def test_batch_time_and_precision():
    # rejects: a batch left out, tolerances below single precision
    flow, expected = coupled(4)
    found = find_limit_cycle(flow, at(0.55, 0.0, 0.1, 0.0), torch.tensor(2.0), horizon=40.0)
    assert found.period == pytest.approx(math.pi, rel=1e-9)
    np.testing.assert_allclose(found.multipliers.real, expected, atol=1e-8)
    single = gd.flows.custom(
        lambda t, s, b: {"x": s["y"], "y": (1 - s["x"] ** 2) * s["y"] - s["x"]},
        like=gd.games.bilinear(dtype=torch.float32),
    )
    found = find_limit_cycle(single, torch.tensor([2.0, 0.0]), horizon=20.0)
    assert (found.status, found.kind) == ("cycle", "stable")
    assert found.period == pytest.approx(6.66328686, abs=1e-3)
    assert found.state.y.dtype is torch.float32


def test_bad_arguments():
    flow, y = hopf(0.25), at(0.6, 0.0)
    forced = gd.flows.custom(lambda t, s, b: {"x": s["y"], "y": -s["x"] + math.sin(t)}, like=PLANE)
    with pytest.raises(ArgumentError, match="autonomous"):
        find_limit_cycle(forced, y)
    for wrong in ({"method": "euler"}, {"horizon": 0.0}, {"samples": 1}, {"tol": -1.0}, {"near": math.nan}, {"k": 0}):
        with pytest.raises(ArgumentError):
            find_limit_cycle(flow, y, **wrong)
    with pytest.raises(ArgumentError, match="finite state"):
        find_limit_cycle(flow, at(math.nan, 0.0))


def test_a_cycle_of_shares_stays_on_the_simplex():
    """Period and multiplier by SciPy's DOP853 on the simplex: 1.45296033, 0.42001. Rejects: shares of sum 1.015."""
    payoffs = [[0.0, -2.0, 1.0], [1.0, 0.0, -2.0], [-2.0, 1.0, 0.0]]
    flow = gd.flows.replicator(payoffs, temperature=0.1, initial=[[0.5, 0.3, 0.2]])
    found = gd.spectrum.find_limit_cycle(flow, flow.initial_state())
    assert found.kind == "stable"
    assert found.period == pytest.approx(1.45296033, rel=1e-7)
    assert found.multipliers.real.tolist() == pytest.approx([0.42001], rel=1e-4)
    assert float(found.state.y.sum()) == pytest.approx(1.0, abs=1e-9)
