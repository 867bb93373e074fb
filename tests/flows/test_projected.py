"""Projection after every step: what it is, that it is done everywhere, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn import flows

DOUBLE = torch.float64


def gan():
    torch.default_generator.manual_seed(0)
    G, D = nn.Linear(2, 2, dtype=DOUBLE), nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()

    def losses(G, D, batch):
        fake = D(G(batch[1]))
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(batch[0])).mean()}

    return gd.flows.gradient(gd.Game({"G": G, "D": D}, losses))


BATCH = tuple(torch.randn(8, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(i)) for i in (1, 2))


class TestProjections:
    @given(st.lists(st.floats(-3, 3), min_size=1, max_size=5))
    def test_the_simplex(self, x):
        # the nearest point, by an optimiser; rejects: clipping and dividing by the sum
        p = flows.simplex(of="p")({"p": torch.tensor(x, dtype=DOUBLE)})["p"]
        assert float(p.min()) >= 0
        assert float(p.sum()) == pytest.approx(1, abs=1e-12)
        near = minimize(
            lambda q: ((q - np.array(x)) ** 2).sum(),
            np.full(len(x), 1 / len(x)),
            bounds=[(0, 1)] * len(x),
            constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        own = float(((p - torch.tensor(x, dtype=DOUBLE)) ** 2).sum())
        assert own <= near.fun + 1e-8

    def test_balls_and_boxes(self):
        x = torch.tensor([3.0, -4.0], dtype=DOUBLE)
        assert flows.ball(10.0, of="x")({"x": x})["x"].tolist() == [3.0, -4.0]
        assert flows.ball(1.0, of="x")({"x": x})["x"].tolist() == pytest.approx([0.6, -0.8])
        assert flows.ball(1.0, of="x")({"x": 0 * x})["x"].tolist() == [0.0, 0.0]
        assert flows.clip(3.5, of="x")({"x": x})["x"].tolist() == [3.0, -3.5]


class TestSteps:
    @pytest.mark.parametrize("method", ["euler", "rk4", "alternating", "ck54", "implicit_euler", "rosenbrock_euler"])
    def test_it_is_a_step_and_a_clamp(self, method):
        # rejects: a projection before the step, of the gradient, or of the first step alone
        inner = gan()
        flow = flows.projected(inner, flows.clip(0.3, of="D"))
        run = gd.solve(flow, method, h=0.2, steps=5, batch=BATCH)
        y, D = inner.initial_state(), inner.game.layout.slices[1]
        for _ in range(5):
            y = gd.solve(inner, method, h=0.2, steps=1, batch=BATCH, y0=y).state
            y.y[D].clamp_(-0.3, 0.3)
        torch.testing.assert_close(run.state.y, y.y, rtol=0, atol=1e-10)
        assert float(run.state.parts()["D"].abs().max()) == 0.3
        assert float(run.state.parts()["G"].abs().max()) > 0.3

    @pytest.mark.parametrize("method", ["ab3", "optimistic", "bdf2", "torch.optim:Adam", "eag", "heavy_ball"])
    def test_methods_that_remember(self, method):
        flow = flows.projected(gan(), flows.clip(0.3, of="D"))
        seen = []
        gd.solve(
            flow,
            method,
            h=0.1,
            steps=6,
            batch=BATCH,
            observers=[lambda v: seen.append(float(v.state.parts()["D"].abs().max()))],
        )
        assert max(seen) <= 0.3

    def test_adaptive_steps_saved_states_and_dense_output(self):
        # rejects: a slope of the point before the projection used as that after it
        flow = flows.projected(gd.flows.gradient(gd.games.bilinear()), flows.clip(0.5, of="y"))
        control = gd.steps.Adaptive(rtol=1e-6, atol=1e-6, h_max=0.01)
        start = {"x": torch.ones(1, dtype=DOUBLE), "y": torch.full((1,), 0.5, dtype=DOUBLE)}
        run = gd.solve(flow, "dopri5", h=control, t_span=(0.0, 1.5), save_at=[0.7], dense=True, y0=start)
        y = {"x": run.state["x"], "y": run.state["y"]}
        assert float(y["y"]) == 0.5
        assert float(run.saved[0.7]["y"]) == 0.5
        assert float(run.dense(1.3)[1]) == 0.5
        assert float(y["x"]) == pytest.approx(0.25, abs=0.01)  # x' = -y = -1/2 from x = 1, to O(h)
        assert run.stats["evaluations"] >= 7 * run.stats["accepted"]  # of dopri5, which without takes 6

    def test_ensembles(self):
        inner = gan()
        flow = flows.projected(inner, flows.ball(0.4, of="D"))
        run = gd.solve_ensemble(flow, "rk4", h=[0.1, 0.3], steps=4, batch=BATCH)
        for m, h in enumerate((0.1, 0.3)):
            alone = gd.solve(flow, "rk4", h=h, steps=4, batch=BATCH)
            torch.testing.assert_close(run.state.y[m], alone.state.y, rtol=0, atol=1e-12)

    def test_a_shares_player(self):
        # two shares that descend a linear loss end at the better vertex
        game = gd.Game(
            {"p": torch.tensor([0.5, 0.3, 0.2], dtype=DOUBLE)},
            lambda p: {"p": (p * torch.tensor([2.0, 1.0, 3.0])).sum()},
        )
        run = gd.solve(flows.projected(gd.flows.gradient(game), flows.simplex(of="p")), "euler", h=0.1, steps=50)
        assert run.state["p"].tolist() == pytest.approx([0.0, 1.0, 0.0])

    def test_in_an_optimizer(self):
        flow, (G, D) = gan(), gan().game.players.values()
        run = gd.solve(flows.projected(flow, flows.clip(0.3, of="D")), "rk4", h=0.2, steps=4, batch=BATCH)
        optimizer = gd.optim.GameOptimizer(
            {"G": G, "D": D}, "rk4", lr=0.2, flow=lambda f: flows.projected(f, flows.clip(0.3, of="D"))
        )
        for _ in range(4):
            optimizer.step(lambda: flow.game.losses(G, D, BATCH))
        own = torch.cat([p.detach().reshape(-1) for m in (G, D) for p in m.parameters()])
        torch.testing.assert_close(own, run.state.y, rtol=0, atol=1e-14)

    def test_it_goes_on_bit_for_bit(self):
        flow = flows.projected(gan(), flows.clip(0.3, of="D"))
        whole = gd.solve(flow, "ab3", h=0.1, steps=9, batch=BATCH)
        on = gd.solve(
            flow, "ab3", h=0.1, steps=9, batch=BATCH, resume=gd.solve(flow, "ab3", h=0.1, steps=4, batch=BATCH)
        )
        assert torch.equal(whole.state.y, on.state.y)


def test_what_it_says_and_refuses():
    flow = flows.projected(gan(), flows.clip(0.3, of="D"))
    assert "after every step clipping" in flow.law
    assert "after every step clipping" in str(gd.spectrum.verdict(flow, flow.initial_state(), BATCH))
    for make in (
        lambda: flows.projected(gan(), 3),
        lambda: flows.clip(0.0, of="D"),
        lambda: flows.ball(-1.0, of="D"),
        lambda: gd.solve(flows.projected(gan(), flows.clip(0.1, of="X")), "euler", h=0.1, steps=1, batch=BATCH),
        lambda: gd.solve(flows.projected(gan(), lambda p: {"X": p["D"]}), "euler", h=0.1, steps=1, batch=BATCH),
        lambda: gd.solve(flows.projected(gan(), lambda p: {"D": p["D"][1:]}), "euler", h=0.1, steps=1, batch=BATCH),
    ):
        with pytest.raises(gd.ArgumentError):
            make()


class TestInOthers:
    """What is made of a projected flow is projected."""

    def game(self):
        one = lambda: torch.ones(1, dtype=DOUBLE)  # noqa: E731
        return gd.Game({"x": one(), "y": one()}, lambda x, y: {"x": (x * y).sum(), "y": -(x * y).sum()})

    @pytest.mark.parametrize(
        "made",
        [
            lambda f: flows.clipped(f, norm=100.0),
            lambda f: flows.preconditioned(f, torch.ones(2, dtype=DOUBLE)),
            lambda f: flows.consensus(f, 1e-9),
            lambda f: flows.mapped(f, lambda v: v),
            lambda f: flows.noisy(f, 1e-9),
            lambda f: flows.projected(f, flows.clip(2.0, of="y")),
        ],
        ids=["clipped", "preconditioned", "consensus", "mapped", "noisy", "projected"],
    )
    def test_a_flow_of_it_keeps_the_set(self, made):
        flow = made(flows.projected(gd.flows.gradient(self.game()), flows.clip(1.05, of="y")))
        method = "euler" if flow.noise is None else "euler_maruyama"
        assert float(gd.solve(flow, method, h=0.1, steps=10).state["y"]) == pytest.approx(1.05, abs=1e-12)

    def test_adams_flow_too(self):
        flow = flows.adam(flows.projected(gd.flows.gradient(self.game()), flows.clip(1.05, of="y")), a1=5.0, a2=1.0)
        run = gd.solve(flow, "euler", h=0.02, steps=100)
        assert float(run.state["y"].abs()) <= 1.05

    def test_what_rests_stays_whatever_the_projection(self):
        # rejects: a ball that moves a player whose rate is 0
        flow = flows.projected(gd.flows.gradient(self.game()), flows.ball(0.5, of="x"))
        run = gd.solve(flow, "euler", h=0.1, steps=5, rates={"x": lambda n: 0.0})
        assert float(run.state["x"]) == 1.0
