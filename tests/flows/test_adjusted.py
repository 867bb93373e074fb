"""Consensus, symplectic adjustment and drift cancellation against dense formulas and observed orders."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gamedyn as gd
from gamedyn.core import Point
from gamedyn.core.evaluation import Request

DOUBLE = torch.float64
F = gd.flows
MAKERS = {
    "consensus": lambda flow: F.consensus(flow, 0.3),
    "sga": lambda flow: F.symplectic_adjustment(flow, 0.7),
    "sga_aligned": lambda flow: F.symplectic_adjustment(flow, 0.7, align=True),
    "drift_full": lambda flow: F.drift_cancelled(flow, 0.05),
    "drift_cross": lambda flow: F.drift_cancelled(flow, 0.05, part="cross"),
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def cross_blocks(J, layout):
    W = J.clone()
    for own in layout.slices:
        W[own, own] = 0
    return W


def sga_weight(v, J, weight, epsilon=0.1):
    """The paper's rule, in its own signs: xi = -v, grad H = (dxi)^T xi, A^T xi."""
    xi, dxi = -v, -J
    slope, turned = dxi.T @ xi, (dxi - dxi.T).T @ xi / 2
    return weight * torch.sign((xi @ slope) * (turned @ slope) / len(v) + epsilon)


def corrected(name, v, J, layout):
    """What each adjusted flow must be, densely."""
    return {
        "consensus": v - 0.3 * J.T @ v,
        "sga": v + 0.7 / 2 * (J - J.T) @ v,
        "sga_aligned": v + sga_weight(v, J, 0.7) / 2 * (J - J.T) @ v,
        "drift_full": v + 0.025 * J @ v,
        "drift_cross": v + 0.025 * cross_blocks(J, layout) @ v,
    }[name]


def random_quadratic(seed, sizes, rates):
    g = torch.Generator().manual_seed(seed)
    H = torch.randn(sum(sizes), sum(sizes), generator=g, dtype=DOUBLE)
    at = 0
    for size in sizes:
        own = slice(at, at + size)
        H[own, own] = (H[own, own] + H[own, own].T) / 2
        H[own, own] = torch.tril(H[own, own]) + torch.tril(H[own, own], -1).T  # symmetric to the last bit
        at += size
    game = gd.games.quadratic(H, sizes)
    y = torch.randn(game.layout.n, generator=g, dtype=DOUBLE)
    return F.gradient(game, dict(zip(game.players, rates, strict=True))), y


def gan(norm=None, dtype=DOUBLE):
    g = torch.Generator().manual_seed(2)
    G = nn.Sequential(nn.Linear(3, 4), norm or nn.Identity(), nn.Tanh(), nn.Linear(4, 2))
    D = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for p in (*G.parameters(), *D.parameters()):
        p.data = torch.randn(p.shape, generator=g, dtype=DOUBLE).to(dtype)
    batch = tuple(torch.randn(9, k, generator=g, dtype=DOUBLE).to(dtype) for k in (2, 3))
    return gd.games.gan(G.to(dtype), D.to(dtype)), batch


def euler(flow, y, h, steps, t=0.0):
    field = flow.field()
    for k in range(steps):
        y = y + h * field(t + k * h, y)
    return y


def slopes(errors):
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


class TestFormulas:
    @settings(max_examples=15, deadline=None)
    @given(
        seed=st.integers(0, 10**6),
        sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        rates=st.lists(st.floats(0.1, 4.0), min_size=3, max_size=3),
    )
    def test_linear_games(self, seed, sizes, rates):
        # rejects: J for J^T, a half too much, rates outside, own blocks left in the cross part, the wrong sign of A
        flow, y = random_quadratic(seed, tuple(sizes), rates[: len(sizes)])
        J, v = flow.at(y).jacobian().to_dense(), flow.field()(0.0, y)
        for name, make in MAKERS.items():
            torch.testing.assert_close(make(flow).field()(0.0, y), corrected(name, v, J, flow.game.layout))

    @pytest.mark.parametrize("rates", [{}, {"p1": 3.0, "p2": 0.5}])
    def test_jacobians_on_linear_games(self, rates):
        # rejects: a correction whose own dependence on the point is cut
        flow, y = random_quadratic(5, (2, 1, 2), (rates.get("p1", 1.0), rates.get("p2", 1.0), 1.0))
        J, n = flow.at(y).jacobian().to_dense(), 5
        W, I = cross_blocks(J, flow.game.layout), torch.eye(n, dtype=DOUBLE)
        expected = {
            "consensus": J - 0.3 * J.T @ J,
            "sga": (I + 0.35 * (J - J.T)) @ J,
            "drift_full": J + 0.025 * J @ J,
            "drift_cross": J + 0.025 * W @ J,
        }
        for name, K in expected.items():
            torch.testing.assert_close(MAKERS[name](flow).at(y).jacobian().to_dense(), K)

    @pytest.mark.parametrize("name", MAKERS)
    @pytest.mark.parametrize("terms", [False, True])
    def test_nonlinear_dirac(self, name, terms):
        # rejects: the Hessian's change with the point left out of the Jacobian; terms left out of v
        flow = F.gradient(gd.games.dirac_gan("nonsaturating", initial=(0.7, -1.1)), {"D": 2.5})
        flow = flow.with_term(gd.losses.weight_decay(0.4, into="G")) if terms else flow

        def v(y):  # by hand: L_G = softplus(-psi theta), L_D = softplus(psi theta) + log 2
            theta, psi = y
            s = torch.sigmoid
            return torch.stack([psi * s(-psi * theta) - 0.4 * terms * theta, -2.5 * theta * s(psi * theta)])

        def total(y):
            return corrected(name, v(y), torch.func.jacrev(v)(y), flow.game.layout)

        y = flow.initial_state().y
        torch.testing.assert_close(MAKERS[name](flow).field()(0.0, y), total(y))
        torch.testing.assert_close(MAKERS[name](flow).at(y).jacobian().to_dense(), torch.func.jacrev(total)(y))

    def test_mescheder_consensus_field(self):
        # rejects: the factor 1/2 too much of the public notebook, which vanishes at the origin but not here
        flow = F.consensus(F.gradient(gd.games.dirac_gan("minimax", initial=(0.7, -1.1))), 0.3)
        penalised = F.gradient(gd.games.dirac_gan("minimax", "consensus", 0.3, initial=(0.7, -1.1)))
        y = flow.initial_state().y
        torch.testing.assert_close(flow.field()(0.0, y), penalised.field()(0.0, y))

    def test_known_spectra(self):
        # rejects: any change of sign or of factor; figures: |sigma| = 1, i -> i - w, and the 10:1 rotation
        at = gd.games.bilinear()
        for w in (0.0, 0.5, 2.0):
            for flow in (F.symplectic_adjustment(F.gradient(at), w), F.consensus(F.gradient(at), w)):
                found = gd.spectrum.linearise(flow, at.equilibrium_state()).eigenvalues.values
                torch.testing.assert_close(torch.as_tensor(found), torch.tensor([-w + 1j, -w - 1j], dtype=found_type))
        strong = gd.games.quadratic([[1.0, 10.0], [-10.0, 1.0]])
        J = F.symplectic_adjustment(F.gradient(strong)).at(strong.equilibrium_state()).jacobian().to_dense()
        torch.testing.assert_close(J, -101 * torch.eye(2, dtype=DOUBLE))

    def test_consensus_goes_to_maxima_and_sga_does_not(self):
        # rejects: consensus with the sign of SGA's weight; L1 = L2 = -(k/2)(x^2 + y^2): maximum at 0
        k, maximum = 2.0, gd.games.quadratic([[-2.0, 0.0], [0.0, -2.0]])
        base, at = F.gradient(maximum), maximum.equilibrium_state()
        for w, stable in ((0.4, False), (0.6, True)):  # the threshold is 1/k
            values = gd.spectrum.linearise(F.consensus(base, w), at).eigenvalues.values
            assert bool(values.real.max() < 0) is stable
            assert values.real.max() == pytest.approx(k * (1 - w * k), rel=1e-12)
        torch.testing.assert_close(
            F.symplectic_adjustment(base, 3.0).at(at).jacobian().to_dense(), base.at(at).jacobian().to_dense()
        )

    def test_players_that_are_numbers(self):
        # rejects: a shape that a tensor of none cannot have
        players = {name: torch.tensor(0.5, dtype=torch.float64) for name in "xy"}
        game = gd.Game(players, lambda x, y: {"x": x * y, "y": -x * y})
        flow = F.symplectic_adjustment(gd.flows.gradient(game), align=True)
        assert gd.solve(flow, "euler", h=0.1, steps=2).status == "done"

    def test_alignment_flips_where_the_paper_says(self):
        # rejects: a sign without the 1/n, with epsilon dropped, or aligned with v instead of J^T v
        # xi = ((-e, -1), (1, -e)) w: the product is -e (1 + e^2) ... |w|^4, so the sign is + near 0 and - far away
        e = 0.2
        flow = F.gradient(gd.games.quadratic([[-e, -1.0], [1.0, -e]]))
        # <xi, S xi> = -e |xi|^2, <A^T xi, grad H> = |xi|^2, |xi|^2 = (1 + e^2) |w|^2
        radius = (0.1 * 2 / e / (1 + e**2) ** 2) ** 0.25
        plus, minus = F.symplectic_adjustment(flow).field(), F.symplectic_adjustment(flow, align=True).field()
        for r, same in ((0.99 * radius, True), (1.01 * radius, False)):
            y = torch.tensor([0.6 * r, 0.8 * r], dtype=DOUBLE)
            assert torch.equal(plus(0.0, y), minus(0.0, y)) is same
        J = F.symplectic_adjustment(flow, align=True).at(y).jacobian().to_dense()
        turned = flow.game.jacobian.T - flow.game.jacobian
        torch.testing.assert_close(J, (torch.eye(2, dtype=DOUBLE) + turned / 2) @ flow.game.jacobian)


found_type = torch.complex128


class TestDrift:
    @pytest.mark.parametrize("rates", [{}, {"D": 4.0}])
    def test_order_two_with_its_own_h(self, rates):
        # rejects: each player's own rate in the opponent's columns (order 1 at ratio 4), h for h/2
        base = F.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3, initial=(1.0, 0.5)), rates)
        y0 = base.initial_state().y
        exact = gd.solve(base, "rk4", h=1 / 512, steps=512).state.y
        right, wrong, cross = [], [], []
        for n in (16, 32, 64, 128):
            right.append(float((euler(F.drift_cancelled(base, 1 / n), y0, 1 / n, n) - exact).norm()))
            wrong.append(float((euler(F.drift_cancelled(base, 0.5 / n), y0, 1 / n, n) - exact).norm()))
            part = F.drift_cancelled(base, 1 / n, part="cross")
            cross.append(float((euler(part, y0, 1 / n, n) - exact).norm()))
        assert slopes(right)[-1] == pytest.approx(2, abs=0.05)
        assert slopes(cross)[-1] == pytest.approx(1, abs=0.05)  # each one's own drift stays
        assert slopes(wrong)[-1] == pytest.approx(1, abs=0.05)  # the planted fault is seen

    def test_time_dependence_is_in_the_full_part(self):
        # rejects: J v without the explicit derivative in time, which is of order 1
        base = F.custom(
            lambda t, s, _: {"x": torch.cos(3 * torch.as_tensor(t)) - s["y"], "y": s["x"] * torch.as_tensor(t)},
            like=gd.games.bilinear(),
        )
        y0 = base.initial_state().y
        exact = gd.solve(base, "rk4", h=1 / 1024, steps=1024).state.y
        errors = [float((euler(F.drift_cancelled(base, 1 / n), y0, 1 / n, n) - exact).norm()) for n in (32, 64, 128)]
        assert slopes(errors)[-1] == pytest.approx(2, abs=0.05)

    def test_euler_is_the_taylor_method(self):
        # rejects: any factor other than h/2; R = 1 + z + z^2/2 is also that of every 2-stage method of order 2
        flow, y = random_quadratic(3, (2, 2), (1.0, 2.0))
        z, h = 0.1 * flow.at(y).jacobian().to_dense(), 0.1
        step = euler(F.drift_cancelled(flow, h), y, h, 1)
        torch.testing.assert_close(step, y + z @ y + z @ z @ y / 2)

    def test_cross_is_full_where_players_have_no_drift_of_their_own(self):
        # rejects: own blocks doubled or left in
        base = F.gradient(gd.games.bilinear([[1.0, 2.0], [0.5, -1.0]]), {"y": 3.0})
        y = base.initial_state().y
        full, cross = F.drift_cancelled(base, 0.2), F.drift_cancelled(base, 0.2, part="cross")
        torch.testing.assert_close(full.field()(0.0, y), cross.field()(0.0, y))

    def test_declares_its_step(self):
        base = F.gradient(gd.games.bilinear())
        flow = F.drift_cancelled(base, 0.2)
        assert flow.declared_h == flow.h == 0.2
        assert F.consensus(flow, 0.1).declared_h == 0.2
        assert F.preconditioned(flow, torch.ones(2)).declared_h == 0.2
        assert F.adam(flow, a1=1.0, a2=1.0).declared_h == 0.2
        assert F.consensus(base, 0.1).declared_h is None
        with pytest.raises(
            gd.ArgumentError, match=r"h: expected the step that the inner flow declares, 0\.2, got 0\.1"
        ):
            F.drift_cancelled(flow, 0.1)


class TestModules:
    @every
    @pytest.mark.parametrize("norm", [None, nn.BatchNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4)], ids=str)
    @pytest.mark.parametrize("third", [False, True])
    def test_values_and_jacobians_of_a_gan(self, make, norm, third):
        # rejects: fused norms where third (values) or fourth (Jacobians) derivatives are taken: per cents off
        name = next(k for k, m in MAKERS.items() if m is make)
        game, batch = gan(copy.deepcopy(norm))
        base = F.gradient(game, {"D": 2.0})
        base = base.with_term(gd.losses.squared_gradient(0.5)) if third else base
        y, flow = game.state().y, make(base)

        def differences(f, eps=1e-6):
            field = f.field(batch)
            field.hold()
            rows = [(field(0.0, y + eps * e) - field(0.0, y - eps * e)) / (2 * eps) for e in torch.eye(len(y)).double()]
            return torch.stack(rows, 1)

        J, v = differences(base), base.field(batch)(0.0, y)
        expected = corrected(name, v, J, game.layout)
        assert float((flow.field(batch)(0.0, y) - expected).abs().max() / expected.abs().max()) < 1e-8
        K = flow.at(game.state(), batch).jacobian().to_dense()
        assert float((K - differences(flow)).abs().max() / K.abs().max()) < 1e-7
        assert all("forward" not in vars(m) for m in game.modules)

    @every
    def test_modules_are_untouched_and_statistics_advance_once_a_step(self, make):
        # rejects: a second forward for the products, which would advance the running statistics twice
        game, batch = gan(nn.BatchNorm1d(4))
        before = [copy.deepcopy(m.state_dict()) for m in game.players.values()]
        base = F.gradient(game)
        run, plain = (gd.solve(f, "euler", h=0.05, steps=1, batch=batch) for f in (make(base), base))
        for a, b in zip(run.state.buffers, plain.state.buffers, strict=True):
            assert torch.equal(a, b)
        gd.solve(
            make(base), "rk4" if "drift" not in repr(make(base)).lower() else "euler", h=0.05, steps=3, batch=batch
        )
        for module, old in zip(game.players.values(), before, strict=True):
            assert all(torch.equal(x, old[k]) for k, x in module.state_dict().items())

    @every
    def test_float32(self, make):
        # rejects: a correction computed or returned in another type; 1e-4: rounding, through two derivatives
        double, single = (gan(nn.BatchNorm1d(4), dtype) for dtype in (DOUBLE, torch.float32))
        values = [make(F.gradient(game)).field(batch)(0.0, game.state().y) for game, batch in (double, single)]
        assert values[1].dtype is torch.float32
        torch.testing.assert_close(values[1].double(), values[0], rtol=1e-4, atol=1e-4)


class TestEnsembles:
    @every
    def test_members_are_single_runs(self, make, generator):
        # rejects: sums over members, one member's sign for all
        game, batch = gan()
        flow = make(F.gradient(game, {"D": 2.0}).with_term(gd.losses.r1(0.2)))
        y0 = game.state().y + 0.5 * torch.randn(4, game.layout.n, generator=generator, dtype=DOUBLE)
        run = gd.solve_ensemble(flow, "euler", h=0.05, steps=4, y0=y0, batch=batch)
        for i in range(4):
            alone = gd.solve(flow, "euler", h=0.05, steps=4, y0=game.state().with_y(y0[i]), batch=batch)
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-12)

    def test_members_on_both_sides_of_the_sign(self):
        # rejects: the alignment taken over all members together
        flow = F.symplectic_adjustment(F.gradient(gd.games.quadratic([[-0.2, -1.0], [1.0, -0.2]])), align=True)
        y0 = torch.tensor([[0.1, 0.1], [3.0, 4.0]], dtype=DOUBLE)
        run = gd.solve_ensemble(flow, "euler", h=0.1, steps=1, y0=y0)
        for i in range(2):
            torch.testing.assert_close(run.state.y[i], euler(flow, y0[i], 0.1, 1), rtol=0, atol=1e-14)

    def test_members_have_their_own_time(self):
        # rejects: the derivative in time at another member's time
        base = F.custom(
            lambda t, s, _: {"x": torch.cos(torch.as_tensor(t)) - s["y"], "y": s["x"] * torch.as_tensor(t) ** 2},
            like=gd.games.bilinear(),
        )
        flow = F.drift_cancelled(base, 0.1)
        flow.declared_h = None  # members differ in theirs
        run = gd.solve_ensemble(flow, "euler", h=[0.1, 0.25], steps=8)
        for i, h in enumerate((0.1, 0.25)):
            torch.testing.assert_close(run.state.y[i], euler(flow, flow.initial_state().y, h, 8), rtol=0, atol=1e-7)


class TestRequests:
    @every
    def test_players_parts_and_graphs(self, make):
        # rejects: a selection before the products, a part that is not scaled, a graph that is kept
        game, batch = gan()
        flow = make(F.gradient(game))
        leaves = [x.clone().requires_grad_() for x in game.layout.views(game.state().y)]

        def asked(**request):
            return flow.velocity(Point(0.0, leaves, (), batch), Request(**request)).leaves

        whole = asked()
        assert flow.parts == ("game",)
        assert not any(x.requires_grad for x in whole)
        assert all(x.requires_grad for x in asked(create_graph=True))
        for i, own in enumerate(game.layout.leaf_slices):
            for a, b in zip(asked(players=(i,)), whole[own], strict=True):
                torch.testing.assert_close(a, b)
        for a, b in zip(asked(factors={"game": 0.25}), whole, strict=True):
            torch.testing.assert_close(a, b / 4)
        assert not any(x.any() for x in asked(factors={"another": 1.0}))

    def test_flows_can_be_nested(self):
        # rejects: an outer product that sees only the innermost field
        flow, y = random_quadratic(9, (2, 1), (1.0, 2.0))
        J = flow.at(y).jacobian().to_dense()
        inner = J - 0.3 * J.T @ J
        K = F.symplectic_adjustment(F.consensus(flow, 0.3), 0.5).at(y).jacobian().to_dense()
        torch.testing.assert_close(K, inner + 0.25 * (inner - inner.T) @ inner)


class TestBadInput:
    @pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, "much", None])
    @pytest.mark.parametrize("make", [F.consensus, F.symplectic_adjustment])
    def test_weight(self, make, weight):
        with pytest.raises(gd.ArgumentError, match="weight: expected a finite number, at least 0"):
            make(F.gradient(gd.games.bilinear()), weight)

    @every
    def test_not_a_flow(self, make):
        with pytest.raises(gd.ArgumentError, match="flow: expected a flow, got Game"):
            make(gd.games.bilinear())

    @pytest.mark.parametrize("h", [0, -0.1, math.nan, "small"])
    def test_step(self, h):
        with pytest.raises(gd.ArgumentError, match="h: expected a positive, finite number"):
            F.drift_cancelled(F.gradient(gd.games.bilinear()), h)

    def test_names_and_epsilon(self):
        flow = F.gradient(gd.games.bilinear())
        with pytest.raises(gd.UnknownNameError, match="did you mean 'cross'"):
            F.drift_cancelled(flow, 0.1, part="crss")
        with pytest.raises(gd.ArgumentError, match="epsilon: expected a positive, finite number"):
            F.symplectic_adjustment(flow, align=True, epsilon=0.0)

    @every
    def test_a_custom_flow_without_a_graph(self, make):
        # rejects: a correction that is silently 0
        cut = F.custom(lambda t, s, _: {k: x.detach() for k, x in s.items()}, like=gd.games.bilinear())
        with pytest.raises(gd.ArgumentError, match="flow: expected a velocity that can be differentiated"):
            gd.solve(make(cut), "euler", h=0.05, steps=1)

    @every
    def test_losses_that_cannot_be_differentiated_twice(self, make):
        def losses(x, y):  # the derivative of cdist has none itself
            value = torch.cdist(x.view(2, 2), y.view(2, 2)).sum()
            return {"x": value, "y": -value}

        game = gd.Game({"x": torch.arange(4.0), "y": torch.tensor([0.3, 0.1, 0.7, 0.2])}, losses)
        with pytest.raises(gd.ArgumentError, match="flow: expected losses that can be differentiated twice"):
            make(F.gradient(game)).field()(0.0, game.state().y)

    @every
    def test_custom_flows_with_a_graph_are_adjusted(self, make):
        name = next(k for k, m in MAKERS.items() if m is make)
        A = torch.tensor([[0.3, -1.0], [2.0, -0.5]], dtype=DOUBLE)

        def turned(t, s, _):
            x, y = A @ torch.cat([s["x"], s["y"]])
            return {"x": x, "y": y}

        flow = F.custom(turned, like=gd.games.bilinear())
        y = torch.tensor([1.0, 2.0], dtype=DOUBLE)
        torch.testing.assert_close(make(flow).field()(0.0, y), corrected(name, A @ y, A, flow.game.layout))
