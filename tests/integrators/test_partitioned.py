"""Partitioned methods against loops that play the moves: sub-cycling, any order, any number of players."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn.methods import Partitioned, Sweep

DOUBLE = torch.float64
OWN = {n: m for n, m in gd.methods.members().items() if isinstance(m, Partitioned)}


def gan():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def samples():
    g = torch.Generator().manual_seed(5)
    return tuple(torch.randn(8, 2, generator=g, dtype=DOUBLE) for _ in "ab")


def descend(game, batch, player, lr):
    """One step of gradient descent of one player, on the user's own modules."""
    loss = game.losses(game.players["G"], game.players["D"], batch)[player]
    mine = list(game.players[player].parameters())
    with torch.no_grad():
        for p, g in zip(mine, torch.autograd.grad(loss, mine), strict=True):
            p.sub_(lr * g)


class TestSubCycling:
    """numerics.md 5: five updates for one, and a rate of five, agree on the bilinear game and nowhere else."""

    def test_five_steps_of_a_fifth(self):
        # rejects: steps of full length, G before D, the fields of all five at one point
        game, batch, h = gan(), samples(), 0.1
        run = gd.solve(
            gd.flows.gradient(game), gd.methods.alternating(cycles={"D": 5, "G": 1}), h=h, steps=6, batch=batch
        )
        for _ in range(6):
            for _ in range(5):
                descend(game, batch, "D", h / 5)
            descend(game, batch, "G", h)
        torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=1e-14)
        assert run.stats["player_gradients"] == 6 * 6
        assert run.stats["evaluations"] == 18.0

    def test_with_the_rate_five_it_is_n_critic_training(self):
        game, batch, h = gan(), samples(), 0.1
        flow = gd.flows.gradient(game, rates={"D": 5.0})
        run = gd.solve(flow, gd.methods.alternating(cycles={"D": 5, "G": 1}), h=h, steps=6, batch=batch)
        for _ in range(6):
            for _ in range(5):
                descend(game, batch, "D", h)
            descend(game, batch, "G", h)
        torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=1e-14)

    def test_it_is_not_the_rate_alone(self):
        # rejects: sub-cycling replaced by a rate ratio
        batch = samples()
        fast = gd.flows.gradient(gan(), rates={"D": 5.0})
        a = gd.solve(fast, gd.methods.alternating(cycles={"D": 5, "G": 1}), h=0.1, steps=6, batch=batch).state.y
        b = gd.solve(fast, gd.methods.alternating(("D", "G")), h=0.1, steps=6, batch=batch).state.y
        assert float((a - b).norm()) > 1e-3

    def test_on_the_bilinear_game_the_moves_of_a_player_add_up(self):
        # the opponent stands still, so five steps of h/5 are one of h
        flow = gd.flows.gradient(gd.games.bilinear())
        a = gd.solve(flow, gd.methods.alternating(cycles={"x": 5, "y": 1}), h=0.3, steps=20).state.y
        b = gd.solve(flow, "alternating", h=0.3, steps=20).state.y
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)

    def test_in_a_strang_step(self):
        # moves half D (3 thirds), G (whole; joined), half D
        game, batch, h = gan(), samples(), 0.1
        method = gd.methods.strang(cycles={"D": 3, "G": 2})
        run = gd.solve(gd.flows.gradient(game), method, h=h, steps=4, batch=batch)
        for _ in range(4):
            for player, times, lr in (("D", 3, h / 6), ("G", 2, h / 2), ("D", 3, h / 6)):
                for _ in range(times):
                    descend(game, batch, player, lr)
        torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=1e-14)

    def test_runge_kutta_moves(self):
        # every one of the five moves a midpoint step; rejects: a field value of the old point
        game, batch, h = gan(), samples(), 0.2
        flow = gd.flows.gradient(game)
        method = gd.methods.alternating(cycles={"D": 2, "G": 1}, substep=gd.methods.get("midpoint"))
        run = gd.solve(flow, method, h=h, steps=3, batch=batch)
        field, y = flow.field(batch), game.state().y
        for _ in range(3):
            for i, length in ((1, h / 2), (1, h / 2), (0, h)):
                at = flow.game.layout.slices[i]
                half = y.clone()
                half[at] = y[at] + length / 2 * field(0.0, y)[at]
                y = y.clone()
                y[at] = y[at] + length * field(0.0, half)[at]
        torch.testing.assert_close(run.state.y, y, rtol=0, atol=1e-14)

    @pytest.mark.parametrize(
        ("cycles", "said"),
        [({"D": 5}, "a count for every player: G, D, .*missing: G"), ({"D": 5, "G": 1, "C": 1}, "2 players")],
    )
    def test_cycles_that_do_not_fit_the_players(self, cycles, said):
        with pytest.raises(gd.ArgumentError, match=said):
            gd.solve(gd.flows.gradient(gan()), gd.methods.alternating(cycles=cycles), h=0.1, steps=2, batch=samples())

    def test_cycles_that_do_not_name_every_player_in_the_order(self):
        with pytest.raises(gd.ArgumentError, match="every player"):
            gd.methods.alternating(("D", "G"), cycles={"D": 5})
        with pytest.raises(gd.ArgumentError, match="every player"):
            gd.methods.strang((0, 1), cycles={0: 1, 2: 3})

    @pytest.mark.parametrize("count", [0, -1, 2.5, True, "five"])
    def test_counts_that_are_not_positive_whole_numbers(self, count):
        with pytest.raises(gd.ArgumentError, match="cycles"):
            gd.methods.alternating(cycles={"D": count, "G": 1})

    def test_a_stranger_among_the_cycles(self):
        with pytest.raises(gd.UnknownNameError, match="player"):
            gd.solve(
                gd.flows.gradient(gan()),
                gd.methods.alternating(cycles={"D": 5, "E": 1}),
                h=0.1,
                steps=2,
                batch=samples(),
            )


H3 = [[0.5, 2.0, -1.0], [-3.0, 1.0, 0.7], [1.5, -0.4, 0.2]]


def played(order, lengths, h, steps=5):
    """The moves, one entry at a time, on the linear game of three."""
    y = [1.0, 1.0, 1.0]
    for _ in range(steps):
        for sweep in lengths:
            for place in range(3) if sweep[1] > 0 else reversed(range(3)):
                i = order[place]
                y[i] -= sweep[0] * h * sum(a * x for a, x in zip(H3[i], y, strict=True))
    return torch.tensor(y, dtype=DOUBLE)


ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


class TestThreePlayers:
    def flow(self):
        return gd.flows.gradient(gd.games.quadratic(H3))

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("named", [False, True])
    def test_alternating_in_any_order(self, order, named):
        # rejects: cyclic shifts only, the order's inverse
        players = [f"p{i + 1}" for i in order] if named else order
        run = gd.solve(self.flow(), gd.methods.alternating(players), h=0.1, steps=5)
        torch.testing.assert_close(run.state.y, played(order, [(1.0, 1)], 0.1), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
    def test_compositions(self, order):
        # a move of Euler's of 1/2 + 1/2 joined differs from two on own curvature: the joined player moves once
        run = gd.solve(self.flow(), gd.methods.strang(order), h=0.1, steps=5)
        y = [1.0, 1.0, 1.0]
        for _ in range(5):
            for place, length in ((0, 0.5), (1, 0.5), (2, 1.0), (1, 0.5), (0, 0.5)):
                i = order[place]
                y[i] -= length * 0.1 * sum(a * x for a, x in zip(H3[i], y, strict=True))
        torch.testing.assert_close(run.state.y, torch.tensor(y, dtype=DOUBLE), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("name", ["strang_midpoint", "ruth3_kutta3", "forest_ruth_rk4"])
    @pytest.mark.parametrize("order", [None, (2, 0, 1)])
    def test_members_keep_their_order(self, name, order):
        # rejects: compositions that are right for two players only
        make = {"strang": gd.methods.strang, "ruth3": gd.methods.ruth3, "forest_ruth": gd.methods.forest_ruth}
        head = name.rsplit("_", 1)[0]
        method = make[head](order, substep=OWN[name].substep)
        exact = torch.linalg.matrix_exp(-torch.tensor(H3, dtype=DOUBLE)) @ torch.ones(3, dtype=DOUBLE)
        errors = [float((gd.solve(self.flow(), method, h=1 / n, steps=n).state.y - exact).norm()) for n in (24, 48)]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(OWN[name].order_general, abs=0.12)

    def test_the_cyclic_order_matters(self):
        # numerics.md 5: limits 0.128 and 0.120 there
        a, b = (gd.solve(self.flow(), gd.methods.alternating(o), h=0.1, steps=5).state.y for o in ORDERS[:2])
        assert float((a - b).norm()) > 1e-2

    def test_cycles_of_three(self):
        method = gd.methods.alternating(cycles={"p2": 3, "p3": 2, "p1": 1})
        run = gd.solve(self.flow(), method, h=0.1, steps=5)
        y = [1.0, 1.0, 1.0]
        for _ in range(5):
            for i, k in ((1, 3), (2, 2), (0, 1)):
                for _ in range(k):
                    y[i] -= 0.1 / k * sum(a * x for a, x in zip(H3[i], y, strict=True))
        torch.testing.assert_close(run.state.y, torch.tensor(y, dtype=DOUBLE), rtol=0, atol=1e-14)
        assert run.stats["player_gradients"] == 5 * 6

    @pytest.mark.parametrize("order", [(0, 1), (0, 1, 2, 3)])
    def test_an_order_of_other_players_is_refused(self, order):
        with pytest.raises(gd.ArgumentError, match="players"):
            gd.solve(self.flow(), gd.methods.alternating(order), h=0.1, steps=1)

    @pytest.mark.parametrize("order", [(0, 1, 1), "abc", (0, "p1", 2)])
    def test_an_order_that_names_one_twice_is_refused(self, order):
        with pytest.raises(gd.ArgumentError, match="player"):
            gd.solve(self.flow(), gd.methods.alternating(order), h=0.1, steps=1)


@pytest.mark.parametrize("name", list(OWN))
def test_the_written_out_stages_are_the_step(name):
    # the data that order and theory read, stepped literally; rejects: theory of one method, step of another
    method, h = OWN[name], 0.2
    flow = gd.flows.custom(
        lambda t, s, _: {
            "x": torch.cos(torch.as_tensor(t, dtype=DOUBLE)) - s["x"] * s["y"],
            "y": s["x"] * t - 0.5 * s["y"] ** 2,
        },
        like=gd.games.bilinear(),
    )
    field, table = flow.field(), method.stages(2)
    y = torch.tensor([1.0, 0.5], dtype=DOUBLE)
    K = torch.zeros(len(table.b), 2, dtype=DOUBLE)
    for s, player in enumerate(table.player):
        point = y + h * torch.tensor([float(a) for a in table.A[s]], dtype=DOUBLE) @ K
        K[s, player] = field(0.3 + h * float(table.node[s]), point)[player]
    expected = y + h * torch.tensor([float(b) for b in table.b], dtype=DOUBLE) @ K
    start = flow.initial_state().with_y(y)
    run = gd.solve(flow, method, h=h, t_span=(0.3, 0.3 + h), y0=start)
    torch.testing.assert_close(run.state.y, expected, rtol=0, atol=2e-14)


def test_a_player_with_an_implicit_substep_is_refused():
    with pytest.raises(gd.ArgumentError, match="explicit"):
        gd.methods.alternating(substep=gd.methods.get("implicit_euler"))


def test_lengths_that_do_not_add_up():
    with pytest.raises(gd.ArgumentError, match="add up to 1"):
        Partitioned([Sweep("1/2"), Sweep("1/3", backward=True)])
