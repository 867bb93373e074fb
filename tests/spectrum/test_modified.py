"""Modified fields of real games: the step is their flow, to one order more with every term."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn.methods import alternating
from gamedyn.spectrum import modified_field
from gamedyn.stability import BlockJacobian
from gamedyn.stability.matrices.modified import modified_equation

DOUBLE = torch.float64
PATTERNS = {
    "simultaneous": "euler",
    "heun2": "heun2",
    "alternating": "alternating",
    "strang": "strang",
    "sub-cycled": alternating(cycles={"D": 3, "G": 1}),
    "extragradient": "extragradient",
}


def dirac(rates=None):
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6), rates=rates)


def players(flow):
    return flow.game.layout.players


class TestTheStepIsItsFlow:
    @pytest.mark.parametrize(("name", "terms"), [*((n, k) for n in PATTERNS for k in (1, 2, 3)), ("simultaneous", 4)])
    def test_to_one_order_more_with_every_term(self, name, terms):
        # rejects: a term of wrong sign or factor, an order of play reversed, rates or cycles left out
        flow, y, pattern = dirac({"D": 3.0}), torch.tensor([1.0, 0.7], dtype=DOUBLE), PATTERNS[name]
        gaps = []
        for h in (0.06, 0.03):

            def rhs(t, w, h=h):
                return (
                    h ** np.arange(terms)
                    @ modified_field(flow, PATTERNS[name], torch.as_tensor(w), terms=terms).numpy()
                )

            exact = solve_ivp(rhs, (0, h), y.numpy(), method="DOP853", rtol=1e-9, atol=1e-12, first_step=h).y[:, -1]
            step = gd.solve(flow, pattern, h=h, steps=1, y0=y).state.y.numpy()
            gaps.append(np.abs(step - exact).max())
        assert math.log2(gaps[0] / gaps[1]) > terms + 1 - 0.3

    def test_on_a_network_eulers_second_term_is_half_jv(self):
        # IX.1, example 1.1: f_2 = -f' f / 2; J v by the spectrum's own product
        g = torch.Generator().manual_seed(1)
        nets = gd.games.mlp((2, 4, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 4, 1), generator=g, dtype=DOUBLE)
        flow = gd.flows.gradient(gd.games.gan(*nets))
        batch = tuple(torch.randn(8, 2, generator=g, dtype=DOUBLE) for _ in "ab")
        y = flow.initial_state().y
        v, second = modified_field(flow, "euler", y, batch, terms=2)
        J = flow.at(y, batch).jacobian().to_dense()
        torch.testing.assert_close(second, -J @ v / 2, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(v, flow.field(batch)(0.0, y), rtol=0, atol=1e-15)
        assert torch.equal(flow.initial_state().y, y)  # the modules are as they were


class TestLinearGames:
    @pytest.mark.parametrize("name", [*PATTERNS, "forest_ruth", "lookahead5", "kg32"])
    def test_both_roads_agree(self, name, rng):
        # rejects: cross terms of the logarithm in the wrong order
        H = rng.standard_normal((4, 4))
        H[:2, :2] += H[:2, :2].T.copy()
        H[2:, 2:] += H[2:, 2:].T.copy()
        game = gd.games.quadratic(torch.as_tensor(H), sizes=(2, 2))
        flow = gd.flows.gradient(game, rates={game.layout.players[1]: 2.5})
        method = PATTERNS.get(name, name)
        if name == "sub-cycled":
            method = alternating(cycles=dict(zip(game.layout.players, (1, 3), strict=True)))
        y = torch.as_tensor(rng.standard_normal(4))
        J = flow.at(y).jacobian().to_dense().numpy()
        G = modified_equation(method, BlockJacobian(J, (2, 2), game.layout.players), 4).terms
        found = modified_field(flow, method, y, terms=4).numpy()
        size = np.linalg.norm(J, 2) ** np.arange(1, 5)[:, None] * float(y.norm())
        assert np.abs(found - G @ y.numpy()).max() <= 1e-12 * size.max()
        assert (np.abs(found - G @ y.numpy()) <= 1e-12 * size).all()


class TestBadInput:
    def test_methods_flows_and_terms(self):
        flow, y = dirac(), torch.tensor([1.0, 0.7], dtype=DOUBLE)
        for method in ("ab2", "gauss4", "normalised", "cgd"):
            with pytest.raises(gd.ArgumentError, match="method: expected an explicit Runge-Kutta or a partitioned"):
                modified_field(flow, method, y)
        with pytest.raises(gd.ArgumentError, match="terms: expected at most 4"):
            modified_field(flow, "euler", y, terms=5)
        forced = gd.flows.custom(lambda t, s, _: {"x": s["x"] * t, "y": s["y"]}, like=gd.games.bilinear())
        with pytest.raises(gd.ArgumentError, match="flow: expected one that does not depend on time"):
            modified_field(forced, "euler", torch.ones(2, dtype=DOUBLE))
