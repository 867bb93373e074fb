"""Anchored and periodic methods: products of finitely many steps, their limits, published rates and counterexamples."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Anchored, Periodic, anchored_gradient, feg, get
from gamedyn.stability import BlockJacobian, modified_equation, order, rank_methods, stable_steps, step_matrix
from gamedyn.stability.matrices import transient_growth
from gamedyn.stability.properties import dispersion
from gamedyn.stability.symbols import products, symbol

ANCHORED = [m for m in gd.methods.maps().values() if isinstance(m, Anchored)]
ids = [m.name for m in ANCHORED]
RUNAWAY = 0.4 - 1j * np.sqrt(0.84)
"""|lambda| = 1 and Re lambda = .4: a game that is -.4 comonotone, whose flow leaves its equilibrium."""


def published(name, F, y0, h, steps):
    """Iterates as the papers write them, F = -v."""
    y, out = y0, [y0]
    for k in range(steps):
        if name == "halpern":
            y = y0 / (k + 2) + (1 - 1 / (k + 2)) * (y - h * F(y))
        elif name == "anchored_gradient":
            y = y - h / (k + 1) ** 0.75 * F(y) + 0.25 * 2 / (k + 1) * (y0 - y)
        elif name == "eag":
            half = y + (y0 - y) / (k + 2) - h * F(y)
            y = y + (y0 - y) / (k + 2) - h * F(half)
        else:
            beta, rho = 1 / (k + 1), 0.0 if name == "feg" else -0.4 * h
            half = y + beta * (y0 - y) - (1 - beta) * (h + 2 * rho) * F(y)
            y = y + beta * (y0 - y) - h * F(half) - (1 - beta) * 2 * rho * F(y)
        out.append(y)
    return out


NAMED = {**{m.name: m for m in ANCHORED}, "feg, -2/5": feg("-2/5")}


@pytest.mark.parametrize("name", NAMED)
def test_products_are_the_published_iterates(name):
    """Rejects: k off by one, an anchor in the first stage, h where h_k belongs, FEG's correction left out."""
    J, h = np.random.default_rng(5).normal(size=(4, 4)), 0.3
    iterates = published(name, lambda y: -J @ y, np.eye(4), h, 7)
    for k, expected in enumerate(iterates):
        np.testing.assert_allclose(products(NAMED[name]).matrix(k, h * J), expected, rtol=0, atol=1e-13)
    lam, V = np.linalg.eig(J)
    np.testing.assert_allclose(
        products(NAMED[name]).after(7, h * lam), np.diag(np.linalg.inv(V) @ iterates[7] @ V), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("name", NAMED)
def test_runs_are_the_published_iterates_on_a_nonlinear_game(name):
    """Rejects: an anchor that moves, a count that does not, players updated in turn."""
    flow = gd.flows.custom(
        lambda t, s, _: {"x": -torch.sin(s["y"]) - 0.1 * s["x"], "y": torch.sin(s["x"])}, like=gd.games.bilinear()
    )
    y0 = np.array([1.0, 0.5])

    def F(y):
        return -np.array([-np.sin(y[1]) - 0.1 * y[0], np.sin(y[0])])

    run = gd.solve(flow, NAMED[name], h=0.3, steps=40, y0=torch.as_tensor(y0))
    np.testing.assert_allclose(run.state.y.numpy(), published(name, F, y0, 0.3, 40)[-1], rtol=0, atol=1e-13)


@given(st.floats(-1.2, 0.4), st.floats(-1.2, 1.2), st.integers(1, 60))
def test_fast_extragradient_in_closed_form(x, y, k):
    """`P_k = (1 + z)(1 - R^k) / (k (1 - R))`, R the limit symbol: Q_k is (1 - beta_k) R."""
    z = complex(x, y)
    R = 1 + z + z * z
    total = sum(R**j for j in range(k))
    assert abs(products("feg").after(k, z) - (1 + z) * total / k) <= 1e-12 * (1 + sum(abs(R) ** j for j in range(k)))


def test_exact_products():
    P = products("eag").polynomial(2)
    beta0, beta1 = Fraction(1, 2), Fraction(1, 3)
    # EAG: y_1 = (1 + z) beta + (1 - beta + z (1 - beta) + z^2) y_0 in all, twice
    first = [Fraction(1), Fraction(1), Fraction(1)]
    Q = [1 - beta1, 1 - beta1, Fraction(1)]
    expected = [sum(Q[i] * first[n - i] for i in range(3) if 0 <= n - i < 3) for n in range(5)]
    expected[0] += beta1
    expected[1] += beta1
    assert beta0 == get("eag").at(0).beta
    assert list(P.numerator) == expected
    with pytest.raises(ArgumentError, match="steps of one size"):
        products("anchored_gradient").polynomial(2)


class TestRates:
    def test_fast_extragradient(self):
        """`|F(y_k)|^2 <= 4 L^2 |y_0 - y*|^2 / ((1 + 2r)^2 k^2)`, h = 1/L: Lee, Kim 2021, theorem 4.1; and no better."""
        z = np.exp(1j * np.linspace(np.pi / 2, np.pi, 50))[:, None] * np.linspace(
            0.05, 1, 20
        )  # monotone, |lambda| <= L
        for k in (1, 2, 5, 30, 200):
            assert np.all(np.abs(z * products("feg").after(k, z)) <= 2 / k * (1 + 1e-12))
        for k in (10, 50, 400):  # the bound is met where R^k = -1
            bound = 2 / (0.2 * k)
            assert abs(products(NAMED["feg, -2/5"]).after(k, RUNAWAY)) <= bound * (1 + 1e-12)
        worst = max(abs(products(NAMED["feg, -2/5"]).after(k, RUNAWAY)) * k * 0.2 / 2 for k in range(1, 60))
        assert worst > 0.99

    def test_extra_anchored_gradient(self):
        """`|F(y_k)|^2 <= 260 L^2 |y_0 - y*|^2 / (k + 1)^2`, h = 1/(8L): Yoon, Ryu 2021, corollary 1."""
        game = gd.games.bilinear()  # L = 1, equilibrium 0, |F(y)| = |y|
        start = torch.tensor([1.0, 1.0], dtype=torch.float64)
        flow, norms = gd.flows.gradient(game), [float(start.norm())]
        gd.solve(flow, "eag", h=1 / 8, steps=400, y0=start, observers=[lambda v: norms.append(float(v.state.y.norm()))])
        k = np.arange(401)
        assert np.all(np.array(norms) ** 2 <= 260 * 2 / (k + 1) ** 2)
        scaled = norms[-1] * 400 / 2**0.5
        assert scaled == pytest.approx(400 * abs(complex(products("eag").after(400, 1j / 8))), rel=1e-9)
        assert scaled == pytest.approx(abs(complex(products("eag").tail(1j / 8))), rel=0.05)

    def test_halpern_on_a_nonexpansive_map(self):
        """`|y_k - T y_k| <= 2 |y_0 - y*| / (k + 1)`, T = y + h v: Lieder 2021, theorem 2.1; |1 + z| <= 1."""
        angle = np.linspace(0, np.pi, 200)
        z = np.exp(1j * angle) - 1
        for k in (1, 3, 10, 100):
            assert np.all(np.abs(z * products("halpern").after(k, z)) <= 2 / (k + 1) * (1 + 1e-12))

    def test_anchored_gradient(self):
        """`|F(y_k)|^2 = O(k^(2p - 2))` on the bilinear game, where gradient descent-ascent diverges: p = 3/4."""
        size = [abs(complex(products("anchored_gradient").after(k, 0.25j))) for k in (1000, 16000)]
        assert np.log(size[1] / size[0]) / np.log(16) == pytest.approx(-0.25, abs=0.03)
        assert stable_steps("euler", [1j, -1j]).limit == 0


class TestLimits:
    def test_the_symbol_is_a_late_step(self):
        assert symbol("feg").rational == symbol("eag").rational == symbol("extragradient").rational
        assert symbol("halpern").rational == symbol("euler").rational
        J = np.random.default_rng(2).normal(size=(3, 3))
        np.testing.assert_allclose(step_matrix("eag", J, 0.2), np.eye(3) + 0.2 * J + 0.04 * J @ J, atol=1e-15)

    @pytest.mark.parametrize("name", ["eag", "feg", "halpern"])
    def test_inside_the_region_the_anchor_decides(self, name):
        """k P_k -> weight S / (1 - R): no geometric decay. Rejects: a limit without the anchor's own slope."""
        z = np.array([-0.5, -0.2 + 0.4j, -0.9 - 0.1j])
        assert np.all(np.abs(symbol(name).factor(z)) < 1)
        k = 20_000
        gap = np.abs(k * products(name).after(k, z) - products(name).tail(z))
        assert np.all(gap < 40 / k * (1 + np.abs(products(name).tail(z))))

    def test_outside_it_products_grow_like_powers(self):
        z, k = 0.3 + 1.1j, 200
        assert np.isinf(products("eag").tail(z))
        ratio = abs(complex(products("eag").after(k + 1, z) / products("eag").after(k, z)))
        assert ratio == pytest.approx(abs(complex(symbol("eag").factor(z))), rel=0.02)
        assert np.isnan(products("feg").tail(1j))  # |R| = 1: the anchor alone decides

    def test_a_runaway_game(self):
        """Extragradient leaves by 1.8 a step where FEG converges: Lee, Kim 2021, example 1."""
        assert abs(complex(symbol("extragradient").factor(RUNAWAY))) == pytest.approx(np.sqrt(3.24), abs=0.01)
        assert abs(complex(symbol(NAMED["feg, -2/5"]).factor(RUNAWAY))) == pytest.approx(1, abs=1e-12)
        J = np.array([[0.4, -np.sqrt(0.84)], [np.sqrt(0.84), 0.4]])
        flow = gd.flows.gradient(gd.games.quadratic(torch.as_tensor(-J), sizes=(1, 1)))
        y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
        last = {m: gd.solve(flow, g, h=1.0, steps=50, y0=y0).state.y.norm() for m, g in
                (("eg", "extragradient"), ("feg", feg("-2/5")), ("feg 0", "feg"))}  # fmt: skip
        assert last["feg"] < 2 / (0.2 * 50)
        assert last["eg"] > 1e10
        assert last["feg 0"] > 1e3  # told of no lack of monotony, it diverges as well

    @pytest.mark.parametrize("refusing", [order, dispersion, lambda m: modified_equation(m, [[1.0]])])
    def test_what_speaks_of_a_flow_is_refused(self, refusing):
        with pytest.raises(ArgumentError, match=r"approximates|same coefficients"):
            refusing("eag")

    def test_powers_of_a_late_step_are_refused(self):
        with pytest.raises(ArgumentError, match="finite steps are in"):
            transient_growth("eag", [[-1.0]], 0.1)
        with pytest.raises(ArgumentError, match="keep their size"):
            symbol("anchored_gradient")
        assert "approximates no flow" in rank_methods([-1.0], methods=["eag", "euler"]).skipped["eag"]


class TestSlingshot:
    TURN = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))

    def test_monodromy_of_the_bilinear_game(self):
        """`(1 - h^2) I`: Shugart, Altschuler 2025, section 1.1. Rejects: moves in turn, equal signs."""
        np.testing.assert_allclose(step_matrix("slingshot", self.TURN, 0.5), 0.75 * np.eye(2), atol=1e-15)
        assert stable_steps("slingshot", self.TURN).intervals == ((0.0, pytest.approx(np.sqrt(2), rel=1e-12)),)
        run = gd.solve(gd.flows.gradient(gd.games.bilinear()), "slingshot", h=0.5, steps=10)
        assert float(run.state.y.norm()) == pytest.approx(2**0.5 * 0.75**10, rel=1e-12)

    def test_it_descends_the_squared_gradient_so_any_critical_point_will_do(self):
        """`prod = I - h^2 H^2`, H the Hessian of a zero-sum game: it stays at an equilibrium that the flow leaves."""
        H = np.array([[-1.0, 0.4, 0.3], [0.4, -0.5, 0.2], [0.3, 0.2, 0.8]])
        J = np.diag([-1.0, -1.0, 1.0]) @ H
        game = BlockJacobian(J, (2, 1))
        np.testing.assert_allclose(step_matrix("slingshot", game, 0.3), np.eye(3) - 0.09 * H @ H, atol=1e-15)
        assert max(np.linalg.eigvals(J).real) > 0
        assert stable_steps("slingshot", game).limit == pytest.approx(np.sqrt(2) / np.abs(np.linalg.eigvalsh(H)).max())

    def test_all_three_properties_are_needed(self):
        """Positive, symmetric or constant lengths do not make it converge: theorem 1.2 of the same."""
        for lengths in ([(1, 1), (-1, -1)], [(1, -1)], [(1, "1/2"), ("1/2", 1)]):
            assert stable_steps(Periodic(lengths), self.TURN).limit == 0

    def test_bad_lengths(self):
        for lengths in ([], [(1, 2), (1,)], "ab", [()], 3):
            with pytest.raises(ArgumentError, match="lengths"):
                Periodic(lengths)
        with pytest.raises(ArgumentError, match="a game of 2 players"):
            step_matrix("slingshot", BlockJacobian(np.eye(3), (1, 1, 1)), 0.1)
        with pytest.raises(ArgumentError, match="a game of 2 players"):
            gd.solve(gd.flows.gradient(gd.games.quadratic(torch.eye(3), sizes=(1, 1, 1))), "slingshot", h=0.1, steps=1)


@pytest.mark.parametrize(
    "bad",
    [
        {"A": [[1]], "b": [1], "pulls": [0]},
        {"A": [[]], "b": [1], "pulls": [0, 1]},
        {"A": [[]], "b": [1], "pulls": [0], "b_change": [1, 2]},
        {"A": [[]], "b": [1], "pulls": [0], "weight": 0},
        {"A": [[]], "b": [1], "pulls": [0], "shift": -1},
        {"A": [[]], "b": [1], "pulls": [0], "decay": "1/2"},
        {"A": [[], [1]], "b": [1], "pulls": [0]},
        {"A": [], "b": [], "pulls": []},
    ],
)
def test_bad_anchored_data(bad):
    with pytest.raises(ArgumentError):
        Anchored(**bad)


@pytest.mark.parametrize("Z", [[[1.0, 2.0]], [1.0, 2.0], [[np.nan]], [[1j]], "ab"])
def test_products_of_what_is_no_matrix(Z):
    with pytest.raises(ArgumentError, match="square matrix"):
        products("eag").matrix(3, Z)
    with pytest.raises(ArgumentError, match="finite numbers"):
        products("eag").after(3, np.nan)
    with pytest.raises(ArgumentError, match="complex numbers"):
        products("eag").after(3, [[1], [1, 2]])
    with pytest.raises(ArgumentError, match="taken"):
        get("eag").at(-2)


def test_bad_members_of_families():
    for make in (lambda: feg("-1/2"), lambda: anchored_gradient("1/2"), lambda: anchored_gradient("3/4", 1)):
        with pytest.raises(ArgumentError):
            make()
