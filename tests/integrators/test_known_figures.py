"""Figures of the literature and of public code: bilinear, 2x2 and Dirac games by the real steppers."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

import gamedyn as gd
from gamedyn.methods import RungeKutta

DOUBLE = torch.float64


def radius_after(method, h=0.1, steps=1000):
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), method, h=h, steps=steps)
    return float(run.state.y.norm()) / math.sqrt(2)


class TestFrozenOpponent:
    """games.md b.6.1: the ODE-GAN notebook integrates each player against a frozen opponent."""

    def notebook(self, h=0.1, steps=1000):
        """Its rk4, written out: every stage of a player sees the other where the step began."""
        y = torch.ones(2, dtype=DOUBLE)
        field = gd.flows.gradient(gd.games.bilinear()).field()
        for _ in range(steps):
            new = y.clone()
            for i in range(2):

                def own(w, i=i, y=y):
                    at = y.clone()
                    at[i] = w
                    return field.player(i, 0.0, at)[0].clone()

                k1 = own(y[i])
                k2 = own(y[i] + h / 2 * k1)
                k3 = own(y[i] + h / 2 * k2)
                k4 = own(y[i] + h * k3)
                new[i] = y[i] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            y = new
        return float(y.norm()) / math.sqrt(2)

    def test_on_the_bilinear_game_it_is_euler(self):
        frozen, euler = self.notebook(), radius_after("euler")
        assert frozen == pytest.approx(euler, rel=1e-12)
        assert euler == pytest.approx(144.77, abs=0.005)
        assert euler == pytest.approx(1.01**500, rel=1e-12)

    def test_coupled_rk4_is_not(self):
        # rho^2 = 1 - h^6/72 + h^8/576
        assert radius_after("rk4") == pytest.approx((1 - 1e-6 / 72 + 1e-8 / 576) ** 500, rel=1e-10)
        assert radius_after("rk4") == pytest.approx(0.99999, abs=5e-6)


@pytest.mark.parametrize(
    ("method", "h", "rho"),
    [
        # games.md b.3, factor of one step on the rotation
        ("euler", 0.5, math.sqrt(1.25)),
        ("heun2", 0.5, math.sqrt(1 + 0.5**4 / 4)),
        ("midpoint", 0.5, math.sqrt(1 + 0.5**4 / 4)),
        ("extragradient", 0.5, math.sqrt(1 - 0.25 + 0.5**4)),
        ("rk4", 0.5, math.sqrt(1 - 0.5**6 / 72 + 0.5**8 / 576)),
        ("ab2", 0.1, 1 + 2.55e-5),
    ],
)
def test_growth_on_the_bilinear_game(method, h, rho):
    # rejects: a step that damps or grows by another factor
    n = 200
    flow = gd.flows.gradient(gd.games.bilinear())
    a = gd.solve(flow, method, h=h, steps=n)
    b = gd.solve(flow, method, h=h, steps=2 * n)
    grown = float(b.state.y.norm() / a.state.y.norm()) ** (1 / n)
    assert grown == pytest.approx(rho, abs=1e-12 if method != "ab2" else 2e-7)


@pytest.mark.parametrize(
    ("method", "limit"),
    [("kutta3", math.sqrt(3)), ("rk4", 2 * math.sqrt(2)), ("ab3", 0.7236), ("extragradient", 1.0),
     ("optimistic", 1 / math.sqrt(3)), ("alternating", 2.0)],
)  # fmt: skip
def test_limits_on_the_bilinear_game(method, limit):
    # games.md b.3; measured on the real step
    game = gd.games.bilinear()
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    assert gd.spectrum.step_radius(flow, method, at, 0.999 * limit) <= 1 + 1e-7
    assert gd.spectrum.step_radius(flow, method, at, 1.001 * limit) > 1 + 1e-6


@pytest.mark.parametrize(
    ("method", "limit"),
    [("euler", 2 / 101), ("optimistic", 0.0600), ("heun2", 0.104246), ("extragradient", 0.1162), ("rk4", 0.2936)],
)
def test_limits_on_the_symplectic_adjustment_example(method, limit):
    # games.md b.4: H = I + A, eigenvalues 1 +- 10i; for heun2 it prints .1043, |1 + z + z^2/2| = 1 at .104246
    game = gd.games.quadratic([[1.0, 10.0], [-10.0, 1.0]])
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    predicted = gd.spectrum.stable_steps(method, gd.spectrum.linearise(flow, at)).first[1]
    assert predicted == pytest.approx(limit, abs=5.1e-5)
    assert gd.spectrum.step_radius(flow, method, at, predicted * 0.999) < 1
    assert gd.spectrum.step_radius(flow, method, at, predicted * 1.001) > 1


@pytest.mark.parametrize(
    ("table", "eigenvalues", "stable"),
    [
        # games.md b.4, eigenvalues of H = -J; None: a centre
        ((1, 2, 2, 1), (3, -1), False),
        ((-1, 3, -3, 3), (1 + 5**0.5 * 1j, 1 - 5**0.5 * 1j), True),
        ((1, 3, -3, 1), (1 + 3j, 1 - 3j), True),
        ((0, 1, -1, 0), (1j, -1j), None),
        ((-1, 1, -1, 0.5), (-0.25 + 0.6614378j, -0.25 - 0.6614378j), False),
    ],
)
def test_two_by_two_table(table, eigenvalues, stable):
    a, b, c, d = map(float, table)
    game = gd.games.quadratic([[a, b], [c, d]])
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
    got = sorted(-lin.eigenvalues.values, key=lambda z: (z.imag, z.real))
    assert got == pytest.approx(sorted(map(complex, eigenvalues), key=lambda z: (z.imag, z.real)), abs=1e-7)
    assert gd.spectrum.stable_steps("euler", lin).flow_stable is stable


def test_time_scale_threshold():
    # games.md b.4: (-1, 3, -3, 3) is stable exactly for tau > 1/3
    game = gd.games.quadratic()
    for tau, stable in ((0.33, False), (0.34, True)):
        flow = gd.flows.gradient(game, rates={"p2": tau})
        lin = gd.spectrum.linearise(flow, game.equilibrium_state())
        assert gd.spectrum.stable_steps("rk4", lin).flow_stable is stable


def test_n_player_rotation():
    # games.md b.4: eps +- 2.41421i, +- 0.41421i; Euler limit 0.0034314 for eps = 0.01
    game = gd.games.rotation(4, 0.01)
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
    assert sorted(lin.eigenvalues.values.imag) == pytest.approx([-2.414214, -0.414214, 0.414214, 2.414214], abs=1e-6)
    assert lin.eigenvalues.values.real == pytest.approx([-0.01] * 4, abs=1e-12)
    assert gd.spectrum.stable_steps("euler", lin).first[1] == pytest.approx(0.0034314, abs=5e-8)


def test_the_broken_heun_of_the_notebook_is_another_method():
    broken = RungeKutta(A=[[], ["1/2"]], b=["1/2", "1/2"])
    assert broken.order == 1
    assert radius_after(broken) > 10 * radius_after("heun2")


IMAGINARY = {
    # methods.md b1 to b3, b5, b7, b8: the largest stable step on the rotation, whose eigenvalues are +- i
    "ruth3": 2.507481171,
    "forest_ruth": 1.573401947,
    "strang": 2.0,
    "merson43": 2 * math.sqrt(3),
    "ssp43": 2.1561796402,
    "ssp54": 3.2783556,
    "ssp104": 4.9214530707,
    "dop853": 5.96035981,
    "kg52": 4.0,
    "kg64": math.sqrt(24),
    "kg72": 6.0,
    "ck54": 3.340718,
    "ndb124": 10.953794,
    "kcl43": 2.8284271,
    "kcl54": 3.3239301,
    "rdpk35": 2.73934,
    "ab4": 0.429987079909,
    "leapfrog_multistep": 1.0,
    "ebdf3": 0.633865691046,
    "ebdf4": 0.544331053952,
    "am5": 1.21193059422,
    "am6": 1.37635786656,
    "bdf5": 0.710807671,
    "bdf6": 0.843138162,
    "pece_ab2_am2": 1.2871885058,
    "pece_ab2_am3": 1.2,
    "lookahead5": 0.7425797524,
}


@pytest.mark.parametrize("method", list(IMAGINARY))
def test_imaginary_limits_of_the_real_step(method):
    # rejects: a coefficient wrong in the fifth digit, a step of another method than the theory's
    game, limit = gd.games.bilinear(), IMAGINARY[method]
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    inside, outside = (gd.spectrum.step_radius(flow, method, at, f * limit) for f in (0.9995, 1.0005))
    assert inside <= 1 + 1e-9
    assert outside > 1 + 1e-5


REAL = {
    # the same tables, on the real axis: J = -1
    "bosh3": 2.5127453266,
    "merson43": 3.5483223442,
    "ssp43": 5.1494861478,
    "ssp54": 5.3314726,
    "ssp104": 13.917047465,
    "dopri5": 3.3065678926,
    "tsit5": 3.5068469938,
    "dop853": 6.39365152,
    "kg52": 2.5911955,
    "ck54": 4.6567571,
    "ndb124": 4.0465,
    "rdpk35": 4.92828,
    "ab4": 0.3,
    "ab5": 90 / 551,
    "ab6": 5 / 57,
    "am3": 6.0,
    "am4": 3.0,
    "am5": 90 / 49,
    "am6": 45 / 38,
    "ebdf2": 4 / 3,
    "ebdf5": 0.550537634,
    "heavy_ball": 3.8,
    "negative_momentum": 1.0,
    "pece_ab2_am3": 2.4,
    "lookahead5": 2.2457309,
}


@pytest.mark.parametrize("method", list(REAL))
def test_real_limits_of_the_real_step(method):
    game, limit = gd.games.quadratic([[1.0, 0.0], [0.0, 1.0]]), REAL[method]
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    inside, outside = (gd.spectrum.step_radius(flow, method, at, f * limit) for f in (0.9995, 1.0005))
    assert inside <= 1 + 1e-9
    assert outside > 1 + 1e-5


GAMMA2, GAMMA3 = 1 - 1 / math.sqrt(2), 0.43586652150845899942
R = {
    # methods.md b6; of SDIRK3 and Rosenbrock methods by their diagonals
    "implicit_euler": lambda z: 1 / (1 - z),
    "rosenbrock_euler": lambda z: 1 / (1 - z),
    "cgd": lambda z: 1 / (1 - z),
    "imex_skew": lambda z: 1 / (1 - z),
    "imex_sym": lambda z: 1 + z,
    "trapezoid": lambda z: (1 + z / 2) / (1 - z / 2),
    "implicit_midpoint": lambda z: (1 + z / 2) / (1 - z / 2),
    "gauss4": lambda z: (1 + z / 2 + z**2 / 12) / (1 - z / 2 + z**2 / 12),
    "gauss6": lambda z: (1 + z / 2 + z**2 / 10 + z**3 / 120) / (1 - z / 2 + z**2 / 10 - z**3 / 120),
    "radau_iia3": lambda z: (1 + z / 3) / (1 - 2 * z / 3 + z**2 / 6),
    "radau_iia5": lambda z: (1 + 2 * z / 5 + z**2 / 20) / (1 - 3 * z / 5 + 3 * z**2 / 20 - z**3 / 60),
    "sdirk2": lambda z: (1 + 0.41421356237309515 * z) / (1 - GAMMA2 * z) ** 2,
    "tr_bdf2": lambda z: (1 + 0.41421356237309515 * z) / (1 - GAMMA2 * z) ** 2,
    "sdirk3": lambda z: (
        1 + (1 - 3 * GAMMA3) * z + (1 / 2 - 3 * GAMMA3 + 3 * GAMMA3**2) * z**2
    ) / (1 - GAMMA3 * z) ** 3,
    "exponential_rosenbrock_euler": lambda z: cmath.exp(z),
    "exprb32": lambda z: cmath.exp(z),
}  # fmt: skip


@pytest.mark.parametrize("method", list(R))
@pytest.mark.parametrize("h", [0.3, 2.0, 30.0])
def test_implicit_steps_are_their_rational_functions(method, h):
    # x' = -y, y' = x is z' = i z: one step is R(ih); rejects: R(-ih), |R| right and its angle wrong
    kind = gd.integrators.NewtonKrylov if isinstance(gd.methods.get(method), RungeKutta) else gd.integrators.Krylov
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), method, h=h, steps=1, solver=kind(rtol=1e-13))
    expected = (1 + 1j) * R[method](1j * h)
    assert complex(*run.state.y.tolist()) == pytest.approx(expected, abs=1e-11 * max(1, abs(expected)))


@pytest.mark.parametrize(
    ("sigma", "weight", "limits"), [(10.0, 0.02, (0.294, 0.234, 0.220)), (1.0, 0.3, (2.84, 2.17, 2.05))]
)
def test_limits_of_the_published_penalty_placements(sigma, weight, limits):
    # numerics.md 7; rejects: R(h lambda) of the penalised flow for all three (26 % and 34 % too large at sigma 10)
    flow = gd.flows.gradient(gd.games.bilinear([[sigma]]))
    flow = flow.with_term(gd.losses.squared_gradient(weight, of="x", into="y"))
    at = flow.game.equilibrium_state()
    for placement, limit in zip(("every_stage", "first_stage", "after_step"), limits, strict=True):
        radii = [gd.spectrum.step_radius(flow, f"rk4_penalty_{placement}", at, f * limit) for f in (0.996, 1.004)]
        assert radii[0] < 1 < radii[1], placement


@pytest.mark.parametrize(
    ("real", "squared", "h", "rho"),
    [
        # games.md b.3: 0.8i, and 0.9 exp(i pi/8) at two steps
        (0.0, 0.64, 0.05, 0.999739),
        (0.9 * math.cos(math.pi / 8), 0.81, 0.05, 0.985690),
        (0.9 * math.cos(math.pi / 8), 0.81, 0.1, 1.052984),
    ],
)
def test_complex_momentum_on_the_bilinear_game(real, squared, h, rho):
    game = gd.games.bilinear()
    method = gd.methods.complex_momentum(real, squared)
    radius = gd.spectrum.step_radius(gd.flows.gradient(game), method, game.equilibrium_state(), h)
    assert radius == pytest.approx(rho, abs=6e-7)


def test_lookahead_contracts_on_the_bilinear_game_where_alpha_allows():
    # games.md b.3: (5, 0.5) rho(0.1) = 0.98133; (5, 0.8) is the borderline and expands, 1.00040
    game = gd.games.bilinear()
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    wide = gd.methods.game.lookahead(gd.methods.get("euler"), 5, "4/5")
    assert gd.spectrum.step_radius(flow, "lookahead5", at, 0.1) == pytest.approx(0.98133, abs=6e-6)
    assert gd.spectrum.step_radius(flow, wide, at, 0.1) == pytest.approx(1.00040, abs=6e-6)


def test_lead_without_momentum_is_optimistic_on_the_bilinear_game():
    # games.md b.3: coupling = h; v = J y there, so v - v_ = W (y - y_)
    flow = gd.flows.gradient(gd.games.bilinear([[1.0, 2.0], [0.5, -1.0]]))
    a, b = (gd.solve(flow, m, h=0.2, steps=30).state.y for m in (gd.methods.lead(0, 1), "optimistic"))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("name", "band"), [("bdf3", math.sqrt(15) / 2), ("bdf4", 10 * math.sqrt(2) / 3)])
def test_unstable_bands_of_bdf(name, band):
    # methods.md b5: unstable on the imaginary axis between, stable beyond; rejects: "stiffly stable, so fine"
    game = gd.games.bilinear()
    flow, at = gd.flows.gradient(game), game.equilibrium_state()
    assert gd.spectrum.step_radius(flow, name, at, 0.5 * band) > 1 + 1e-4
    assert gd.spectrum.step_radius(flow, name, at, 0.999 * band) > 1 + 1e-6
    assert gd.spectrum.step_radius(flow, name, at, 1.001 * band) < 1 - 1e-6


def test_cgd_on_the_bilinear_game():
    # games.md b.3: [[1, -h], [h, 1]] / (1 + h^2)
    run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "cgd", h=0.5, steps=1)
    assert run.state.y.tolist() == pytest.approx([0.5 / 1.25, 1.5 / 1.25], abs=1e-8)
