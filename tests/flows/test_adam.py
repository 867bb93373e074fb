"""Adam's heavy-ball flow: what its maps approach, what its state holds, what its spectrum is with P frozen."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

import gamedyn as gd
from gamedyn.core import Point
from gamedyn.core.evaluation import Request

DOUBLE = torch.float64
F = gd.flows
A1, A2, RATE, EPSILON, END = 4.0, 1.5, 0.7, 1e-3, 2.0
RATES = {"G": 1.0, "D": 2.0}


def dirac():
    return F.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5, initial=(1.0, 0.5)), RATES)


def flow_of(base, **options):
    return F.adam(base, a1=A1, a2=A2, rate=RATE, epsilon=EPSILON, **options)


def gan(norm=None, dtype=DOUBLE):
    g = torch.Generator().manual_seed(2)
    G = nn.Sequential(nn.Linear(3, 4), norm or nn.Identity(), nn.Tanh(), nn.Linear(4, 2))
    D = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for p in (*G.parameters(), *D.parameters()):
        p.data = torch.randn(p.shape, generator=g, dtype=DOUBLE).to(dtype)
    batch = tuple(torch.randn(9, k, generator=g, dtype=DOUBLE).to(dtype) for k in (2, 3))
    return gd.games.gan(G.to(dtype), D.to(dtype)), batch


def warm(flow, batch=None, seed=7):
    """A state with positive second moments."""
    state = flow.initial_state()
    n, g = flow.inner.game.layout.n, torch.Generator().manual_seed(seed)
    m, s = torch.randn(n, generator=g, dtype=DOUBLE), 0.1 + torch.rand(n, generator=g, dtype=DOUBLE)
    return state.with_y(torch.cat([state.y[:n].double(), m, s]).to(state.y))


def plain_map(base, n):
    """Adam without bias correction, by hand, beta = 1 - h a."""
    h, field, theta, rates = END / n, base.field(), base.initial_state().y, torch.tensor([1.0, 2.0], dtype=DOUBLE)
    m = s = torch.zeros_like(theta)
    for _ in range(n):
        g = -field(0.0, theta) / rates
        m, s = m + h * A1 * (g - m), s + h * A2 * (g * g - s)
        theta = theta - h * RATE * rates * m / (s.sqrt() + EPSILON)
    return theta


def torch_map(base, n):
    """torch.optim.Adam with the same betas: it corrects the bias."""
    h, game = END / n, base.game
    players = {k: p.detach().clone() for k, p in base.initial_state().parts().items()}
    groups = [{"params": [p], "lr": h * RATE * RATES[k]} for k, p in players.items()]
    optimizer = torch.optim.Adam(groups, betas=(1 - h * A1, 1 - h * A2), eps=EPSILON)
    for _ in range(n):
        v = base.field()(0.0, torch.cat(list(players.values())))
        for p, rate, own in zip(players.values(), RATES.values(), game.layout.slices, strict=True):
            p.grad = -v[own] / rate
        optimizer.step()
    return torch.cat(list(players.values()))


def solved(flow):
    """The flow's own solution, by an integrator that is not ours."""
    field = flow.field()
    y0 = flow.initial_state().y.numpy()
    found = solve_ivp(
        lambda t, y: field(t, torch.as_tensor(y)).numpy(), (0, END), y0, method="DOP853", rtol=1e-11, atol=1e-12
    )
    return torch.as_tensor(found.y[: flow.inner.game.layout.n, -1])


class TestMaps:
    @pytest.mark.parametrize(("corrected", "steps"), [(False, plain_map), (True, torch_map)], ids=["plain", "torch"])
    def test_distance_is_of_first_order(self, corrected, steps):
        # rejects: rates inside g (they cancel), sqrt(s + eps), betas swapped, the other map's bias correction
        base = dirac()
        flow = flow_of(base, bias_correction=corrected)
        limit = solved(flow)
        errors = [float((steps(base, n) - limit).norm()) for n in (200, 400, 800)]
        orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
        assert errors[-1] < 0.005  # of a path of length 1: it is this flow that is approached, at order 1
        assert orders == pytest.approx([1, 1], abs=0.03)

    def test_the_maps_approach_different_flows(self):
        # rejects: a bias correction that is ignored
        base = dirac()
        gap = solved(flow_of(base, bias_correction=True)) - solved(flow_of(base))
        assert float(gap.norm()) > 0.05

    @pytest.mark.parametrize(("corrected", "order", "tolerance"), [(False, 1.5, 0.1), (True, 3.0, 0.1)])
    def test_our_own_steps_reach_it(self, corrected, order, tolerance):
        # rejects: a limit at t = 0 that is not the solution's (order 1); the orders are those the docstring states
        flow = flow_of(dirac(), bias_correction=corrected)
        limit = solved(flow)
        ends = [flow.inner_state(gd.solve(flow, "rk4", h=END / n, steps=n).state).y for n in (50, 100, 200)]
        errors = [float((y - limit).norm()) for y in ends]
        assert [math.log2(a / b) for a, b in itertools.pairwise(errors)] == pytest.approx([order] * 2, abs=tolerance)

    def test_full_order_from_positive_moments(self):
        # rejects: a field that is not smooth where s > 0
        flow = flow_of(dirac())
        y0 = flow.initial_state().with_y(torch.tensor([1.0, 0.5, 0.3, -0.2, 0.8, 0.5], dtype=DOUBLE))
        ends = [gd.solve(flow, "rk4", h=END / n, steps=n, y0=y0).state.y for n in (20, 40, 80, 640)]
        errors = [float((y - ends[-1]).norm()) for y in ends[:-1]]
        assert math.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.2)


class TestField:
    @pytest.mark.parametrize("t", [0.0, 0.4, torch.tensor(0.4)])
    @pytest.mark.parametrize("corrected", [False, True])
    def test_formula_on_a_gan_with_terms(self, t, corrected):
        # rejects: moments of the loss without its terms, moments in another order than the parameters'
        game, batch = gan(nn.BatchNorm1d(4))
        base = F.gradient(game, {"D": 3.0}).with_term(gd.losses.r1(0.5))
        flow = flow_of(base, bias_correction=corrected)
        at, n = warm(flow), game.layout.n
        theta, m, s = at.y[:n], at.y[n : 2 * n], at.y[2 * n :]
        rate = torch.ones(n, dtype=DOUBLE)
        rate[game.layout.slices[1]] = 3.0
        g = -base.field(batch)(0.0, theta) / rate
        f1, f2 = (1 - math.exp(-a * float(t)) if corrected else 1.0 for a in (A1, A2))
        mean, square = (m / f1, s / f2) if f1 else (g, g * g)
        step = -RATE * rate * mean / (square.sqrt() + EPSILON)
        expected = torch.cat([step, A1 * (g - m), A2 * (g * g - s)])
        torch.testing.assert_close(flow.field(batch)(t, at.y), expected, rtol=1e-6, atol=1e-8)

    def test_players_and_states(self):
        game, batch = gan()
        flow = flow_of(F.gradient(game, {"D": 3.0}))
        assert list(flow.game.players) == ["G", "D", "m:G", "m:D", "s:G", "s:D"]
        state, n = flow.initial_state(), game.layout.n
        assert torch.equal(state.y, torch.cat([game.state().y, torch.zeros(2 * n, dtype=DOUBLE)]))
        inner = flow.inner_state(state)
        assert inner.layout is game.layout
        assert torch.equal(inner.y, game.state().y)
        assert game.own(inner) is not None
        assert flow.rates == {"G": RATE, "D": 3 * RATE, "m:G": 1.0, "m:D": 1.0, "s:G": 1.0, "s:D": 1.0}
        losses = dict(
            zip(
                flow.game.players,
                flow.velocity(
                    Point(0.0, [x.requires_grad_() for x in flow.game.layout.views(state.y)], (), batch), Request()
                ).losses,
                strict=True,
            )
        )
        assert [float(losses[k]) for k in list(losses)[2:]] == [0.0] * 4
        run = gd.solve(flow, "euler", h=0.01, steps=2, batch=batch)
        assert torch.equal(flow.inner_state(run).y, run.state.y[:n])
        assert run.stats["evaluations"] == 2
        torch.testing.assert_close(run.records.losses["G"][0], losses["G"].detach())

    def test_requests(self):
        # rejects: a selection by the inner game's places
        flow = flow_of(F.gradient(gan()[0]))
        batch, y = gan()[1], warm(flow).y
        field = flow.field(batch)
        whole = field(0.0, y)
        for i, own in enumerate(flow.game.layout.slices):
            torch.testing.assert_close(field.player(i, 0.0, y), whole[own])
        torch.testing.assert_close(field.weighted({"game": 0.5}, 0.0, y), whole / 2)

    def test_stages_may_reach_negative_second_moments(self):
        # rejects: a root that is not a number there, which stops ordinary steps that begin with s = 0
        flow = flow_of(dirac())
        y = torch.tensor([1.0, 0.5, 0.3, -0.2, -0.04, 0.5], dtype=DOUBLE)
        mirrored = y * torch.tensor([1.0, 1, 1, 1, -1, 1], dtype=DOUBLE)
        torch.testing.assert_close(flow.field()(0.0, y)[:4], flow.field()(0.0, mirrored)[:4])

    def test_modules_untouched_and_buffers_advance(self):
        # rejects: an extended game that holds copies of the modules, or another order of buffers
        game, batch = gan(nn.BatchNorm1d(4))
        before = [copy.deepcopy(m.state_dict()) for m in game.players.values()]
        run = gd.solve(flow_of(F.gradient(game)), "euler", h=0.01, steps=1, batch=batch)
        plain = gd.solve(F.gradient(game), "euler", h=0.01, steps=1, batch=batch)
        assert len(run.state.buffers) == 3
        assert all(torch.equal(a, b) for a, b in zip(run.state.buffers, plain.state.buffers, strict=True))
        for module, old in zip(game.players.values(), before, strict=True):
            assert all(torch.equal(x, old[k]) for k, x in module.state_dict().items())

    def test_float32(self):
        # rejects: moments in another type; 1e-4: rounding. A bias before a norm has no gradient but rounding, over
        # epsilon: 1e-3 at t = 0
        values = []
        for dtype in (DOUBLE, torch.float32):
            game, batch = gan(nn.BatchNorm1d(4), dtype)
            flow = flow_of(F.gradient(game), bias_correction=True)
            values += [flow.field(batch)(t, warm(flow).y) for t in (0.0, 0.3)]
        assert values[2].dtype is values[3].dtype is torch.float32
        torch.testing.assert_close(values[2].double(), values[0], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(values[3].double(), values[1], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("corrected", [False, True])
    def test_ensembles_are_single_runs(self, corrected):
        # rejects: one clock for members whose steps differ
        game, batch = gan()
        flow = flow_of(F.gradient(game, {"D": 3.0}).with_term(gd.losses.r1(0.2)), bias_correction=corrected)
        hs = (0.02, 0.05, 0.1)
        run = gd.solve_ensemble(flow, "rk4", h=hs, steps=4, batch=batch)
        for i, h in enumerate(hs):
            alone = gd.solve(flow, "rk4", h=h, steps=4, batch=batch)
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-11)
        assert flow.inner_state(run.state).y.shape == (3, game.layout.n)

    def test_a_run_goes_on_from_its_file(self, tmp_path):
        # rejects: moments that are not in the state
        flow = flow_of(dirac(), bias_correction=True)
        whole = gd.solve(flow, "rk4", h=0.05, steps=20)
        gd.solve(flow, "rk4", h=0.05, steps=10, checkpoint=tmp_path / "half")
        assert torch.equal(gd.solve(flow, "rk4", h=0.05, steps=20, resume=tmp_path / "half").state.y, whole.state.y)


class TestSpectrum:
    def test_jacobian_where_s_is_positive(self):
        # rejects: a step that is cut from m or s
        game, batch = gan()
        flow = flow_of(F.gradient(game), bias_correction=True)
        at, field = warm(flow), flow.field(batch)
        eye = torch.eye(len(at.y), dtype=DOUBLE)
        rows = [(field(0.4, at.y + 1e-6 * e) - field(0.4, at.y - 1e-6 * e)) / 2e-6 for e in eye]
        J = flow.at(at, batch, t=0.4).jacobian().to_dense()
        assert float((J - torch.stack(rows, 1)).abs().max() / J.abs().max()) < 1e-8

    def test_frozen_preconditioner_gives_the_heavy_ball(self):
        # rejects: P without the rate, with the rates of the players twice, J P^-1 of the wrong flow
        game, batch = gan()
        base = F.gradient(game, {"D": 3.0})
        flow, n = flow_of(base), game.layout.n
        at = warm(flow)
        at = at.with_y(torch.cat([at.y[:n], torch.zeros(n, dtype=DOUBLE), at.y[2 * n :]]))  # m = 0: s has no effect
        behind = F.preconditioned(base, flow.preconditioner(at))
        mu = gd.spectrum.linearise(behind, flow.inner_state(at), batch).eigenvalues.values
        root = np.sqrt(A1**2 / 4 + A1 * mu)
        expected = np.concatenate([-A1 / 2 + root, -A1 / 2 - root, np.full(n, -A2)])
        found = gd.spectrum.linearise(flow, at, batch).eigenvalues.values
        gaps = np.abs(found[:, None] - expected[None])  # double eigenvalues are good to about sqrt(rounding)
        assert max(gaps.min(0).max(), gaps.min(1).max()) < 1e-6

    def test_preconditioner_with_bias_correction(self):
        flow = flow_of(dirac(), bias_correction=True)
        at = warm(flow)
        expected = ((at.y[4:] / (1 - math.exp(-A2 * 0.3))).sqrt() + EPSILON) / RATE
        torch.testing.assert_close(flow.preconditioner(at, t=0.3), expected)
        with pytest.raises(gd.ArgumentError, match="t: expected a positive, finite number, got None; the time of"):
            flow.preconditioner(at)


class TestBadInput:
    @pytest.mark.parametrize("name", ["a1", "a2", "rate", "epsilon"])
    @pytest.mark.parametrize("value", [0.0, -1.0, math.nan, "fast"])
    def test_numbers(self, name, value):
        with pytest.raises(gd.ArgumentError, match=f"{name}: expected a positive, finite number"):
            F.adam(dirac(), **{"a1": 1.0, "a2": 1.0, name: value})

    def test_flows_and_states(self):
        with pytest.raises(gd.ArgumentError, match="flow: expected a flow, got Game"):
            F.adam(gd.games.bilinear(), a1=1.0, a2=1.0)
        flow = flow_of(dirac())
        with pytest.raises(gd.ArgumentError, match="state: expected a state of"):
            flow.inner_state(flow.inner.initial_state())
        again = F.custom(lambda t, s, _: s, like=flow.game)
        with pytest.raises(gd.ArgumentError, match="flow: expected a game without a player 'm:G'"):
            F.adam(again, a1=1.0, a2=1.0)

    def test_time_before_zero(self):
        flow = flow_of(dirac(), bias_correction=True)
        with pytest.raises(gd.ArgumentError, match="t: expected a time from 0 on"):
            gd.solve(flow, "euler", h=0.1, t_span=(-1.0, 0.0))

    def test_losses_are_checked(self):
        # rejects: a check of the extended game's losses, which do not depend on the moments
        game = gd.Game({"x": torch.ones(2)}, lambda x: {"x": x.square()})
        with pytest.raises(gd.ArgumentError, match="expected a scalar tensor"):
            gd.solve(F.adam(F.gradient(game), a1=1.0, a2=1.0), "euler", h=0.1, steps=1)
