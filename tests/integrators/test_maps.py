"""Normalised descent and grafting against their formulas."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn.integrators.steppers.maps import GraftedStepper
from gamedyn.methods._maps import ExtrapolatedMap, Grafted, Map, NormalisedDescent, OptimisticMap

DOUBLE = torch.float64
H, RATES = 0.05, {"G": 0.5, "D": 4.0}
MODULE = importlib.import_module("gamedyn.methods.discrete_maps")
MEMBERS = [getattr(MODULE, name) for name in MODULE.__all__ if name.isupper()]


def small_gan(dtype=DOUBLE):
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 5, 2), generator=g, dtype=dtype), gd.games.mlp((2, 5, 1), generator=g, dtype=dtype)
    )


def data(dtype=DOUBLE):
    g = torch.Generator().manual_seed(5)
    return tuple(torch.randn(7, 2, generator=g, dtype=DOUBLE).to(dtype) for _ in range(2))


def pieces(flow, layerwise):
    """Entries, and rate, of every player or parameter tensor."""
    at, out = 0, []
    for leaf in flow.game.layout.leaves:
        name = flow.game.layout.players[leaf.player]
        if layerwise or not out or out[-1][1] != name:
            out.append([[], name])
        out[-1][0] += range(at, at + leaf.size)
        at += leaf.size
    return [(entries, flow.rates[name]) for entries, name in out]


def gradient_flow():
    return gd.flows.gradient(small_gan(), rates=RATES)


def test_members_are_maps_without_theory():
    # rejects: an order or limits declared for a map
    assert {"normalised", "normalised_layerwise", "grafted_adam_on_sgd"} <= {m.name for m in MEMBERS}
    assert gd.methods.get("nsgda") is gd.methods.get("normalised")
    for m in MEMBERS:
        assert isinstance(m, Map)
        assert m.name not in gd.methods.members()
        each = 2 if m.name == "extra_adam" else 1
        assert (m.steps, m.explicit, m.evaluations, m.order, m.declared) == (1, True, each, None, None)
        with pytest.raises(AttributeError, match="a method is data"):
            m.layerwise = True
    for method in ("normalised", "grafted_adam_on_sgd", Grafted("normalised", "euler")):
        with pytest.raises(gd.ArgumentError):
            gd.stability.stable_steps(method, [-1.0])


class TestNormalised:
    @pytest.mark.parametrize("layerwise", [False, True])
    def test_formula(self, layerwise):
        # rejects: a norm over all players, the rate lost or squared, one norm for all layers (or one per layer)
        flow = gradient_flow()
        name = "normalised_layerwise" if layerwise else "normalised"
        y, field = flow.initial_state().y, flow.field(data())
        v, expected = field(0.0, y), y.clone()
        for at, rate in pieces(flow, layerwise):
            expected[at] += H * rate * v[at] / math.sqrt(math.fsum((v[at] ** 2).tolist()))
        run = gd.solve(flow, name, h=H, steps=1, batch=data())
        torch.testing.assert_close(run.state.y, expected, rtol=0, atol=1e-16 * 4)
        assert run.stats["evaluations"] == 1
        for at, rate in pieces(flow, layerwise):
            assert float((run.state.y - y)[at].norm()) == pytest.approx(H * rate, rel=1e-13)

    def test_constant_steps_on_the_bilinear_game_neither_grow_nor_settle(self):
        # systems.md section 4.1: steps of constant length; with one entry each it is sign descent
        game = gd.games.bilinear()
        run = gd.solve(gd.flows.gradient(game), "normalised", h=0.01, steps=4000)
        assert 0.005 < float(run.state.y.norm()) < 3
        euler = gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=4000, throw=False)
        assert float(euler.state.y.norm()) > 1e3

    def test_zero_velocity_stays(self):
        # rejects: 0 / 0
        flow = gd.flows.custom(lambda t, s, _: {"x": 0 * s["x"], "y": -s["y"]}, like=gd.games.bilinear())
        run = gd.solve(flow, "normalised", h=0.1, steps=3)
        start = flow.initial_state()
        assert torch.equal(run.state["x"], start["x"])
        torch.testing.assert_close(run.state["y"], start["y"] - 0.3, rtol=0, atol=1e-15)

    @given(st.integers(-150, 150), st.floats(0.1, 10), st.floats(1e-3, 10))
    def test_any_scale_of_the_velocity_gives_the_same_step(self, power, a, b):
        # rejects: a norm by squares, which under- and overflows: 1e150^2; an epsilon in the denominator
        scale = 10.0**power
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0 + a * scale, "y": s["y"] * 0 + b * scale}, like=pair())
        y0 = flow.initial_state().y
        step = gd.solve(flow, "normalised", h=0.5, steps=1).state.y - y0
        one = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0 + a, "y": s["y"] * 0 + b}, like=pair())
        expected = gd.solve(one, "normalised", h=0.5, steps=1).state.y - y0
        torch.testing.assert_close(step, expected, rtol=0, atol=1e-15)

    @pytest.mark.parametrize("name", ["normalised", "normalised_layerwise"])
    def test_ensemble_is_its_members(self, name):
        # rejects: a norm over members, a member's rate lost
        game = small_gan()
        many = gd.solve_ensemble(
            gd.flows.gradient(game), name, h=[0.02, 0.05], steps=5, rates={"D": [1.0, 3.0]}, batch=data()
        )
        for i, (h, rate) in enumerate(((0.02, 1.0), (0.05, 3.0))):
            one = gd.solve(gd.flows.gradient(game, rates={"D": rate}), name, h=h, steps=5, batch=data())
            torch.testing.assert_close(many.state.y[i], one.state.y, rtol=0, atol=1e-12)

    def test_layerwise_compiled_is_eager(self):
        flow = gradient_flow()
        a, b = (
            gd.solve(flow, "normalised_layerwise", h=H, steps=6, batch=data(), execution=e)
            for e in ("eager", "compiled")
        )
        assert b.stats["execution"] == "compiled"
        torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)


class TestOtherNorms:
    def test_signs(self):
        # rejects: a rate lost, a norm per layer
        flow = gradient_flow()
        y, v = flow.initial_state().y, flow.field(data())(0.0, flow.initial_state().y)
        expected = y.clone()
        for at, rate in pieces(flow, False):
            expected[at] += H * rate * v[at].sign()
        torch.testing.assert_close(gd.solve(flow, "sign", h=H, steps=1, batch=data()).state.y, expected)

    def test_spectral_is_the_polar_factor_by_another_way(self):
        # rejects: transposed factors, one matrix a player, vectors by signs; the polar factor is v (v^T v)^(-1/2)
        flow = gradient_flow()
        y, v = flow.initial_state().y, flow.field(data())(0.0, flow.initial_state().y)
        step = gd.solve(flow, "spectral", h=H, steps=1, batch=data()).state.y - y
        at = 0
        for leaf in flow.game.layout.leaves:
            rate = flow.rates[flow.game.layout.players[leaf.player]]
            a = v[at : at + leaf.size].reshape(leaf.shape[0] if len(leaf.shape) > 1 else leaf.size, -1)
            wide = a.shape[0] < a.shape[1]
            a = a.T if wide else a
            values, vectors = torch.linalg.eigh(a.T @ a)
            polar = a @ (vectors / values.sqrt()) @ vectors.T
            expected = H * rate * (polar.T if wide else polar).reshape(-1)
            torch.testing.assert_close(step[at : at + leaf.size], expected, rtol=1e-7, atol=1e-9)
            at += leaf.size

    def test_of_rank_one_the_spectral_step_is_the_normalised_one(self):
        # rejects: singular vectors of singular values that are rounding alone, which would be noise of size h
        a = torch.outer(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0, 2.0])).double()
        like = gd.Game({"x": torch.zeros(2, 3, dtype=DOUBLE)}, lambda x: {"x": x.sum()})
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0 + a}, like=like)
        step = gd.solve(flow, "spectral", h=0.5, steps=1).state["x"].reshape(2, 3)
        torch.testing.assert_close(step, 0.5 * a / 15, rtol=1e-14, atol=1e-16)
        still = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0}, like=like)
        assert not bool(gd.solve(still, "spectral", h=0.5, steps=1).state.y.any())

    @pytest.mark.parametrize("name", ["sign", "spectral", "normalised_layerwise"])
    def test_nan_is_told(self, name):
        # rejects: a sign of nan that is 0, LAPACK's own error
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * math.nan, "y": -s["y"]}, like=pair())
        with pytest.raises(gd.SolveError, match="finite"):
            gd.solve(flow, name, h=0.1, steps=3)

    def test_modules_rates(self):
        # rejects: a layer's length by its player's rate where the layer has one
        flow = gd.flows.gradient(small_gan(), rates={"G": 1.0, "G.0": 0.25})
        step = gd.solve(flow, "normalised_layerwise", h=H, steps=1, batch=data()).state.y - flow.initial_state().y
        lengths = [x.norm().item() for x in flow.game.layout.views(step)]
        assert lengths[:4] == pytest.approx([H / 4, H / 4, H, H], rel=1e-12)

    def test_refusals(self):
        with pytest.raises(gd.ArgumentError, match="matrices"):
            NormalisedDescent(norm="spectral")
        with pytest.raises(gd.ArgumentError, match="did you mean 'maximum'"):
            NormalisedDescent(norm="maximun")


class TestAroundMaps:
    def test_of_euler_they_are_extragradient_and_optimistic(self):
        # rejects: an inner step from the extrapolated point, 3/2 and 1/2, a doubled first step
        flow = gradient_flow()
        for mine, name in ((ExtrapolatedMap("euler"), "extragradient"), (OptimisticMap("euler"), "optimistic")):
            a, b = (gd.solve(flow, m, h=H, steps=6, batch=data()) for m in (mine, name))
            torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)
            assert a.stats["evaluations"] == b.stats["evaluations"]

    def test_extra_adam_is_adam_stepped_twice_from_one_point(self):
        # rejects: moments of the extrapolation thrown away, bias corrected by steps and not by updates
        flow, name = gradient_flow(), "extra_adam"
        field, y = flow.field(data()), flow.initial_state().y
        layout, moments = flow.game.layout, [torch.zeros_like(y), torch.zeros_like(y)]
        sizes = [at.stop - at.start for at in layout.slices]
        rate = torch.cat([torch.full((n,), r, dtype=DOUBLE) for n, r in zip(sizes, (0.5, 4.0), strict=True)])

        def update(v, k):
            g = -v / rate
            moments[0] = 0.9 * moments[0] + 0.1 * g
            moments[1] = 0.999 * moments[1] + 0.001 * g * g
            m, s = moments[0] / (1 - 0.9**k), moments[1] / (1 - 0.999**k)
            return -H * rate * m / (s.sqrt() + 1e-8)

        for n in range(4):
            ahead = y + update(field(0.0, y), 2 * n + 1)
            y = y + update(field(0.0, ahead), 2 * n + 2)
        run = gd.solve(flow, name, h=H, steps=4, batch=data())
        torch.testing.assert_close(run.state.y, y, rtol=0, atol=1e-12)
        assert run.stats["evaluations"] == 8

    def test_optimistic_adam_by_hand(self):
        # rejects: Adam of the optimistic gradient, a first step of twice the length
        flow = gradient_flow()
        points, velocities = trajectory(flow, "optimistic_adam", 5)
        steps = optimiser_steps(flow, "Adam", points[:-1], velocities, {})
        torch.testing.assert_close(points[1], points[0] + steps[0], rtol=0, atol=1e-14)
        for n in range(1, 5):
            torch.testing.assert_close(points[n + 1], points[n] + 2 * steps[n] - steps[n - 1], rtol=0, atol=1e-13)

    def test_a_changed_step_scales_the_last_one(self):
        flow = gd.flows.custom(lambda t, s, _: {"x": s["x"] * 0 + 1.0, "y": s["y"] * 0}, like=pair())
        run = gd.solve(flow, "optimistic_adam", h=lambda n: 0.1 if n < 1 else 0.3, steps=2)
        torch.testing.assert_close(run.state["x"], flow.initial_state()["x"] + 0.4, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("name", ["extra_adam", "optimistic_adam", "alternating_adam"])
    def test_they_step_in_an_optimiser_too(self, name):
        layer = torch.nn.Linear(1, 1, dtype=DOUBLE)
        before = torch.cat([p.detach().reshape(-1).clone() for p in layer.parameters()])

        def closure():
            return {"x": sum(p.square().sum() for p in layer.parameters())}

        opt = gd.optim.GameOptimizer({"x": layer}, name, lr={"x": 0.1})
        opt.step(closure)
        after = torch.cat([p.detach().reshape(-1) for p in layer.parameters()])
        torch.testing.assert_close(after, before - 0.1 * before.sign(), rtol=0, atol=0.02)
        opt.param_groups[0]["lr"] = 0.0
        with pytest.raises(gd.ArgumentError, match="learning rates above 0"):
            opt.step(closure)

    def test_refusals(self):
        with pytest.raises(gd.ArgumentError, match="velocity at y alone"):
            gd.solve(gradient_flow(), ExtrapolatedMap("rk4"), h=H, steps=1, batch=data())
        with pytest.raises(gd.ArgumentError, match="inner"):
            OptimisticMap(3)


def pair():
    x, y = torch.ones(2, dtype=DOUBLE), torch.ones(3, dtype=DOUBLE)
    losses = lambda x, y: {"x": (x.sum() * y.sum()), "y": -(x.sum() * y.sum())}  # noqa: E731
    return gd.Game({"x": x, "y": y}, losses)


def optimiser_steps(flow, name, points, velocities, options):
    """The steps that a torch.optim class takes at given points on given velocities, on its own parameters."""
    layout = flow.game.layout
    leaves = [torch.nn.Parameter(x.clone()) for x in layout.views(points[0])]
    owner = [layout.players[leaf.player] for leaf in layout.leaves]
    groups = [{"params": [p], "lr": H * flow.rates[o]} for p, o in zip(leaves, owner, strict=True)]
    optimiser, out = getattr(torch.optim, name)(groups, **options), []
    for y, v in zip(points, velocities, strict=True):
        with torch.no_grad():
            for p, x, g, o in zip(leaves, layout.views(y), layout.views(v), owner, strict=True):
                p.copy_(x)
                p.grad = -g / flow.rates[o]
        optimiser.step()
        out.append(layout.flat([p.detach() for p in leaves]) - y)
    return out


class TestGrafted:
    @pytest.mark.parametrize("layerwise", [False, True])
    @pytest.mark.parametrize("turned", [False, True])
    def test_formula_of_adam_and_sgd(self, layerwise, turned):
        # rejects: the two sides swapped, a norm over all players, Adam fed with the grafted iterates' differences
        flow = gradient_flow()
        sides = ("euler", "torch.optim:Adam") if turned else ("torch.optim:Adam", "euler")
        method = Grafted(*sides, layerwise=layerwise)
        points, velocities = trajectory(flow, method, 6)
        adam = optimiser_steps(flow, "Adam", points[:-1], velocities, {})
        for n, (y, v) in enumerate(zip(points[:-1], velocities, strict=True)):
            m, d = (H * v, adam[n]) if turned else (adam[n], H * v)
            expected = y.clone()
            for at, _ in pieces(flow, layerwise):
                expected[at] += m[at].norm() * d[at] / d[at].norm()
            torch.testing.assert_close(points[n + 1], expected, rtol=0, atol=1e-13)

    def test_decoupled_weight_decay_enters_the_step(self):
        # rejects: AdamW's step taken from 0 where its decay looks at y
        flow = gradient_flow()
        side = gd.methods.get("torch.optim:AdamW", weight_decay=0.5)
        points, velocities = trajectory(flow, Grafted(side, "euler"), 3)
        steps = optimiser_steps(flow, "AdamW", points[:-1], velocities, {"weight_decay": 0.5})
        for n, (y, v) in enumerate(zip(points[:-1], velocities, strict=True)):
            expected = y.clone()
            for at, _ in pieces(flow, False):
                expected[at] += steps[n][at].norm() * v[at] / v[at].norm()
            torch.testing.assert_close(points[n + 1], expected, rtol=0, atol=1e-13)

    def test_a_method_grafted_on_itself_is_that_method(self):
        # two steps: RMSprop's first ones are 2 long here and turn rounding into more; rejects: |m| for a squared one
        flow = gradient_flow()
        for name in ("euler", "torch.optim:Adam", "torch.optim:RMSprop", "normalised_layerwise"):
            a, b = (gd.solve(flow, m, h=H, steps=2, batch=data()).state.y for m in (name, Grafted(name, name)))
            torch.testing.assert_close(a, b, rtol=0, atol=2e-14)

    def test_normalised_length_on_the_gradient_is_normalised(self):
        flow = gradient_flow()
        a = gd.solve(flow, "normalised", h=H, steps=10, batch=data()).state.y
        b = gd.solve(flow, Grafted("normalised", "euler"), h=H, steps=10, batch=data()).state.y
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)

    def test_length_does_not_cancel_in_float32(self):
        # rejects: (y + d) - y, which loses d: entries of 1e3 and steps of 1e-4 in float32
        flow = gd.flows.gradient(gd.games.bilinear(dtype=torch.float32))
        y0 = flow.game.own(torch.tensor([1e3, 1e3]))
        field = flow.field()
        integrator = GraftedStepper(gd.methods.get("grafted_adam_on_sgd"))
        memory = integrator.init(field, 0.0, y0.y, 1e-4)
        d, _ = integrator.displacement(field, y0.y, field(0.0, y0.y), 1e-4, memory)
        torch.testing.assert_close(d.abs(), torch.full((2,), 1e-4), rtol=1e-6, atol=0)

    @pytest.mark.parametrize("name", [m.name for m in MEMBERS])
    def test_restart_is_the_uninterrupted_run(self, name, tmp_path):
        # rejects: a side's moments forgotten
        flow = gradient_flow()
        whole = gd.solve(flow, name, h=H, steps=9, batch=data())
        gd.solve(flow, name, h=H, steps=4, batch=data()).save(tmp_path / "run.pt")
        resumed = gd.solve(flow, name, h=H, steps=9, batch=data(), resume=tmp_path / "run.pt")
        assert torch.equal(whole.state.y, resumed.state.y)
        assert whole.stats["evaluations"] == 9 * gd.methods.get(name).evaluations

    def test_refusals(self):
        flow = gradient_flow()
        for side, match in (
            ("rk4", "velocity at y alone"),
            ("torch.optim:Adm", "did you mean"),
            ("normalisd", "did you mean 'normalised"),
            ("torchdiffeq:rk4", "velocity at y alone"),
        ):
            for sides in ((side, "euler"), ("euler", side)):
                with pytest.raises(gd.ArgumentError, match=match):
                    gd.solve(flow, Grafted(*sides), h=H, steps=1, batch=data())
        with pytest.raises(gd.ArgumentError, match="magnitude"):
            Grafted(3, "euler")
        with pytest.raises(gd.ArgumentError, match="layerwise"):
            NormalisedDescent("global")


def trajectory(flow, method, steps):
    """The points of a run on one batch, and the velocity at each but the last."""
    points = [flow.initial_state().y]
    gd.solve(flow, method, h=H, steps=steps, batch=data(), observers=[lambda v: points.append(v.state.y)])
    field = flow.field(data())
    return points, [field(0.0, y).clone() for y in points[:-1]]
