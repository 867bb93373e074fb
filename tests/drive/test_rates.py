"""What changes from step to step in the flow: rates, weights, parts of a player that rest, terms at intervals."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn import methods, steps

DOUBLE = torch.float64


class TestRatesAndWeights:
    def penalised(self, rates=None, weight=0.1):
        game = gd.games.dirac_gan("nonsaturating")
        return gd.flows.gradient(game, rates=rates).with_term(gd.losses.squared_gradient(weight))

    def test_a_schedule_is_the_flow_with_that_rate_and_weight(self):
        # rejects: a rate that multiplies the flow's own, a weight one step late
        rate, weight = (lambda n: 1.0 + 0.5 * n), (lambda n: 0.3 / (1 + n))
        run = gd.solve(
            self.penalised({"G": 2.0, "D": 1.0}),
            "rk4",
            h=0.1,
            steps=5,
            rates={"D": rate},
            weights={"squared_gradient": weight},
        )
        y = self.penalised().initial_state()
        for n in range(5):
            now = self.penalised({"G": 2.0, "D": rate(n)}, weight(n))
            y = gd.solve(now, "rk4", h=0.1, steps=1, y0=y).state
        torch.testing.assert_close(run.state.y, y.y, rtol=0, atol=1e-14)
        assert run.records.figures["rate D"].tolist() == [rate(n) for n in range(5)]
        assert run.records.figures["weight squared_gradient"].tolist() == [weight(n) for n in range(5)]

    def test_it_goes_on_where_it_was(self):
        how = {"h": 0.1, "rates": {"D": lambda n: 1.0 + n}}
        whole = gd.solve(self.penalised(), "rk4", steps=9, **how)
        on = gd.solve(self.penalised(), "rk4", steps=9, resume=gd.solve(self.penalised(), "rk4", steps=4, **how), **how)
        assert torch.equal(whole.state.y, on.state.y)

    @pytest.mark.parametrize("name", methods.names())
    def test_every_method_sees_them(self, name):
        # rejects: products with the Jacobian of the flow's own rates (implicit, linearly implicit, exponential methods)
        how: dict = {"h": 0.1, "steps": 3}
        changing = gd.solve(
            self.penalised({"D": 2.0}, 0.1),
            name,
            rates={"D": lambda n: 3.0},
            weights={"squared_gradient": lambda n: 0.4},
            **how,
        )
        fixed = gd.solve(self.penalised({"D": 3.0}, 0.4), name, **how)
        torch.testing.assert_close(changing.state.y, fixed.state.y, rtol=0, atol=1e-9)

    def test_a_slope_is_not_kept_across_a_change(self):
        # rejects: the last stage's field value as the next step's first (FSAL), though the rate has changed
        control = steps.Adaptive(rtol=1e-8, atol=1e-10, first=0.05, grow=1.0001, shrink=0.9999)
        how = {"h": control, "steps": 12}
        run = gd.solve(self.penalised(), "dopri5", rates={"D": lambda n: 1.0 + (n % 2)}, dense=True, **how)
        before = y = self.penalised().initial_state()
        t = 0.0
        for n, h in enumerate(run.records.figures["h"].tolist()):
            y = gd.solve(self.penalised({"D": 1.0 + (n % 2)}), "dopri5", h=h, steps=1, y0=y).state
            middle = run.dense(t + h / 2)
            t += h
            if n == 4:  # dense output takes the step's own rate, not the last
                again = gd.solve(self.penalised({"D": 1.0}), "dopri5", h=h / 2, steps=1, y0=before).state
                torch.testing.assert_close(middle, again.y, rtol=0, atol=1e-13)
            before = y
        torch.testing.assert_close(run.state.y, y.y, rtol=0, atol=1e-12)

    def test_bad_names_and_numbers(self):
        for how in (
            {"rates": {"X": lambda n: 1.0}},
            {"rates": {"D.layer": lambda n: 1.0}},
            {"rates": {"D": 2.0}},
            {"weights": {"nothing": lambda n: 1.0}},
            {"rates": {"D": lambda n: math.nan}},
            {"rates": {"D": lambda n: 1.0 if n == 0 else math.inf}},
        ):
            with pytest.raises(gd.GamedynError):
                gd.solve(self.penalised(), "rk4", h=0.1, steps=2, **how)


class TestPartsOfAPlayer:
    """Rates of modules, frozen and thawed."""

    def flow(self, rates=None):
        torch.default_generator.manual_seed(0)
        G = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
        D = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()
        z = torch.linspace(-1, 1, 12, dtype=DOUBLE).view(6, 2)

        def losses(G, D):
            out = D(G(z)).mean()
            return {"G": -out, "D": out + 0.1 * sum(p.square().sum() for p in D.parameters())}

        return gd.flows.gradient(gd.Game({"G": G, "D": D}, losses), rates)

    def test_a_part_has_its_own_rate(self):
        # rejects: a prefix of a name taken for the module; a rate relative to the player's; the shorter name's rate
        plain, own = self.flow(), self.flow({"G": 2.0, "G.0": 3.0, "G.0.bias": 5.0})
        assert own.rates == {"G": 2.0, "D": 1.0}
        state = plain.initial_state()
        v, w = plain.at(state).value, own.at(state).value
        factors = {"G": {"0.weight": 3.0, "0.bias": 5.0, "2.weight": 2.0, "2.bias": 2.0}}
        expected = state.with_y(v)
        for player in "GD":
            for name, part in expected[player].items():
                found = state.with_y(w)[player][name]
                torch.testing.assert_close(found, factors.get(player, {}).get(name, 1.0) * part, rtol=1e-12, atol=0)

    def test_the_jacobian_has_them(self):
        flow = self.flow({"G.0": 3.0})
        held = flow.at(flow.initial_state())
        J, e = held.jacobian().to_dense(), torch.eye(held.layout.n, dtype=DOUBLE)
        for u in e:
            difference = (held(0.0, held.at.y + 1e-6 * u) - held(0.0, held.at.y - 1e-6 * u)) / 2e-6
            torch.testing.assert_close(J @ u, difference, rtol=0, atol=1e-8)

    @pytest.mark.parametrize(
        "method", ["euler", "rk4", "ab3", "bdf2", "heavy_ball", "ck54", "torch.optim:Adam", "radau_iia3"]
    )
    def test_a_frozen_part_stays_to_the_bit_and_thaws(self, method):
        # rejects: momentum or past field values that move it; memory that begins anew
        seen = []
        run = gd.solve(
            self.flow(),
            method,
            h=0.05,
            steps=9,
            rates={"G.0": lambda n: 0.0 if 3 <= n < 6 else 1.0},
            observers=[lambda view: seen.append((view.state["G"]["0.weight"], view.state["G"]["2.weight"]))],
        )
        moved = [not torch.equal(a[0], b[0]) for a, b in itertools.pairwise(seen)]
        assert moved == [True, True, False, False, False, True, True, True]
        assert all(not torch.equal(a[1], b[1]) for a, b in itertools.pairwise(seen))
        assert run.step == 9
        half = gd.solve(self.flow(), method, h=0.05, steps=5, rates={"G.0": lambda n: 0.0 if 3 <= n < 6 else 1.0})
        on = gd.solve(
            self.flow(), method, h=0.05, steps=9, rates={"G.0": lambda n: 0.0 if 3 <= n < 6 else 1.0}, resume=half
        )
        assert torch.equal(on.state.y, run.state.y)

    def test_adam_takes_a_learning_rate_for_each(self):
        # rejects: a rate that the second moment divides out again; beside torch's own groups
        flow = self.flow({"G": 0.01, "G.0": 0.02, "D": 0.03})
        run = gd.solve(flow, "torch.optim:Adam", h=1.0, steps=4)
        other = self.flow()
        G, D = other.game.players["G"], other.game.players["D"]
        groups = [(G[0], 0.02), (G[2], 0.01), (D, 0.03)]
        adam = torch.optim.Adam([{"params": list(m.parameters()), "lr": lr} for m, lr in groups])
        for _ in range(4):
            losses = other.game.losses(G, D)
            for player, m in (("G", G), ("D", D)):
                own = list(m.parameters())
                for p, g in zip(own, torch.autograd.grad(losses[player], own, retain_graph=True), strict=True):
                    p.grad = g
            adam.step()
        torch.testing.assert_close(run.state.y, other.initial_state().y, rtol=0, atol=1e-12)

    def test_verdicts_do_not_take_them_for_curvature(self):
        # rejects: curvature 2 + 0.2 (of the penalty) taken as J over the player's rate, 4 times as much
        def losses(a):
            return {"a": a.w.square().sum()}

        flow = gd.flows.gradient(gd.Game({"a": _Holding(2)}, losses), {"a": 1.0, "a.w": 4.0})
        decaying = flow.with_term(gd.losses.weight_decay(0.2, into="a"))
        found = gd.spectrum.verdict(decaying, torch.zeros(2, dtype=DOUBLE))
        assert (found.nash.answer, found.nash_penalised.answer, found.stability.answer) == ("yes", "yes", "yes")
        assert found.own["a"].largest == pytest.approx((2.0, 2.0))
        assert found.own_penalised["a"].largest == pytest.approx((2.2, 2.2))
        assert found.flow.eigenvalues.values.real.tolist() == pytest.approx([-8.8, -8.8])

    @pytest.mark.parametrize("key", ["G.1", "G.0.w", "G.", "X.0", "0.weight"])
    def test_names_of_nothing(self, key):
        with pytest.raises(gd.GamedynError):
            self.flow({key: 1.0})
        with pytest.raises(gd.GamedynError):
            gd.solve(self.flow(), "euler", h=0.1, steps=1, rates={key: lambda n: 1.0})


class _Holding(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n, dtype=DOUBLE))


class TestIntervals:
    """Penalties that act every k-th step, with k times their weight."""

    def lazy(self, k=4):
        flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
        return flow.with_term(gd.losses.squared_gradient(0.1)).with_intervals(squared_gradient=k)

    @pytest.mark.parametrize("method", ["euler", "rk4", "alternating", "ck54", "implicit_euler", "rodas3"])
    def test_a_step_is_that_of_the_flow_of_the_moment(self, method):
        # rejects: the weight itself, not k times; acting one step late; products of the mean flow
        run = gd.solve(self.lazy(), method, h=0.1, steps=6)
        plain = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
        heavy = plain.with_term(gd.losses.squared_gradient(0.4))
        y = plain.initial_state()
        for n in range(6):
            y = gd.solve(heavy if n % 4 == 0 else plain, method, h=0.1, steps=1, y0=y).state
        torch.testing.assert_close(run.state.y, y.y, rtol=0, atol=1e-10)

    def test_it_costs_nothing_between(self):
        run = gd.solve(self.lazy(8), "rk4", h=0.01, steps=20)
        assert (run.stats["evaluations"], run.stats["double_backward"]) == (80, 12)

    def test_a_term_evaluated_with_the_losses(self):
        # rejects: intervals of penalties on gradients alone
        flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
        calls = []
        term = gd.losses.LossTerm("seen", "D", 0.1, lambda p, own, b: (calls.append(1), own["D"][0].square().sum())[1])
        lazy = flow.with_term(term).with_intervals(seen=5)
        run = gd.solve(lazy, "euler", h=0.1, steps=10, check=False)
        before = len(calls)
        on = gd.solve(lazy, "euler", h=0.1, steps=15, resume=run, check=False)
        assert before - (len(calls) - before) == 1  # two acting steps against one, and as many looks at the start
        assert on.step == 15

    def test_analyses_are_of_the_mean(self):
        mean = gd.flows.gradient(gd.games.dirac_gan("nonsaturating")).with_term(gd.losses.squared_gradient(0.1))
        y = mean.initial_state()
        assert torch.equal(self.lazy().at(y).jacobian().to_dense(), mean.at(y).jacobian().to_dense())
        assert "every 4 steps" in self.lazy().law

    def test_resume_goes_on_in_the_rhythm_and_is_held_against_it(self):
        whole = gd.solve(self.lazy(), "rk4", h=0.1, steps=11)
        half = gd.solve(self.lazy(), "rk4", h=0.1, steps=6)
        assert torch.equal(gd.solve(self.lazy(), "rk4", h=0.1, steps=11, resume=half).state.y, whole.state.y)
        with pytest.raises(gd.ArgumentError, match="every 4 steps"):
            gd.solve(self.lazy(5), "rk4", h=0.1, steps=11, resume=half)

    def test_dense_output_and_compiling(self):
        run = gd.solve(self.lazy(), "rk4", h=0.1, steps=6, dense=True)
        assert torch.equal(run.dense(0.4), gd.solve(self.lazy(), "rk4", h=0.1, steps=4).state.y)
        part = gd.solve(self.lazy(), "rk4", h=0.1, steps=6, save_at=[0.45]).saved[0.45].y
        torch.testing.assert_close(run.dense(0.45), part, rtol=0, atol=1e-15)
        with pytest.warns(UserWarning, match="not compiled: .*intervals"):
            run = gd.solve(self.lazy(), "rk4", h=0.1, steps=2, execution="compiled")
        assert "intervals" in run.stats["execution"]

    def test_refused(self):
        with pytest.raises(gd.UnknownNameError):
            self.lazy().with_intervals(nothing=2)
        for k in (0, 1.5, -1):
            with pytest.raises(gd.ArgumentError, match="intervals"):
                self.lazy(k)
