"""Matching pennies, rock-paper-scissors, the iterated prisoner's dilemma: values that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64
SURE = 60.0
COOPERATE, DEFECT = [SURE] * 5, [-SURE] * 5
TIT_FOR_TAT = [SURE, SURE, -SURE, SURE, -SURE]  # first, then after CC, CD, DC, DD: what the other did (second letter)


def dilemma(x, y, discount=0.96):
    losses = gd.games.iterated_prisoners_dilemma(discount).losses
    values = losses(torch.tensor(x, dtype=DOUBLE), torch.tensor(y, dtype=DOUBLE))
    return float(values["x"]), float(values["y"])


def played(x, y, discount, rounds):
    """Both normalised losses by the rounds' distribution, one after the other."""
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    history, now = {}, {"": 1.0}
    losses = np.zeros(2)
    cost = {"CC": (1, 1), "CD": (3, 0), "DC": (0, 3), "DD": (2, 2)}
    place = {"": 0, "CC": 1, "CD": 2, "DC": 3, "DD": 4}
    for k in range(rounds):
        history = dict.fromkeys(cost, 0.0)
        for last, mass in now.items():
            p, q = sigmoid(x[place[last]]), sigmoid(y[place[last[::-1]]])
            for pair in cost:
                history[pair] += mass * (p if pair[0] == "C" else 1 - p) * (q if pair[1] == "C" else 1 - q)
        losses += (1 - discount) * discount**k * sum(m * np.array(cost[pair]) for pair, m in history.items())
        now = history
    return tuple(losses)


class TestIteratedPrisonersDilemma:
    def test_known_values(self):
        # rejects: payoffs of CD and DC swapped, losses not normalised by 1 - gamma
        assert dilemma(DEFECT, DEFECT) == pytest.approx((2, 2), abs=1e-12)
        assert dilemma(COOPERATE, COOPERATE) == pytest.approx((1, 1), abs=1e-12)
        assert dilemma(TIT_FOR_TAT, TIT_FOR_TAT) == pytest.approx((1, 1), abs=1e-12)
        assert dilemma([0.0] * 5, [0.0] * 5) == pytest.approx((1.5, 1.5), abs=1e-12)
        assert dilemma(COOPERATE, DEFECT) == pytest.approx((3, 0), abs=1e-12)
        # cheated once, then both defect: 3 (1 - g) + 2 g
        assert dilemma(TIT_FOR_TAT, DEFECT) == pytest.approx((2 + 0.04, 2 - 2 * 0.04), abs=1e-12)

    def test_an_exploiter_is_answered_in_the_next_round(self):
        # rejects: the second player's CD and DC not exchanged, which symmetric pairs of strategies do not see
        suspicious = [-SURE, *TIT_FOR_TAT[1:]]
        g = 0.96
        alternating = (3 / (1 + g), 3 * g / (1 + g))  # CD, DC, CD, ...
        assert dilemma(TIT_FOR_TAT, suspicious) == pytest.approx(alternating, abs=1e-12)

    @pytest.mark.parametrize("discount", [0.0, 0.5, 0.96])
    def test_the_linear_system_is_the_sum_over_rounds(self, rng, discount):
        # rejects: a transposed transition matrix
        x, y = rng.normal(size=(2, 5)).tolist()
        assert dilemma(x, y, discount) == pytest.approx(played(x, y, discount, 800), abs=1e-12)

    def test_swapping_the_players_swaps_the_losses(self, rng):
        x, y = rng.normal(size=(2, 5)).tolist()
        assert dilemma(x, y) == pytest.approx(dilemma(y, x)[::-1], abs=1e-13)

    def test_gradient_play_learns_to_defect(self):
        # naive learners end near mutual defection: Foerster et al. 2018
        game = gd.games.iterated_prisoners_dilemma(initial=([0.0] * 5, [0.0] * 5))
        end = gd.solve(gd.flows.gradient(game), "rk4", h=1.0, steps=600)
        assert dilemma(end.state["x"].tolist(), end.state["y"].tolist())[0] > 1.9

    def test_ensembles_agree_with_single_runs(self, generator):
        # rejects: a loss that vmap cannot take
        flow = gd.flows.gradient(gd.games.iterated_prisoners_dilemma())
        y0 = torch.randn(3, 10, generator=generator, dtype=DOUBLE)
        together = gd.solve_ensemble(flow, "rk4", h=[0.5, 0.5, 0.5], steps=3, y0=y0).state.y
        for i in range(3):
            alone = gd.solve(flow, "rk4", h=0.5, steps=3, y0=flow.initial_state().with_y(y0[i])).state.y
            torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-13)

    @pytest.mark.parametrize("discount", [1.0, -0.1, float("nan")])
    def test_bad_discount(self, discount):
        with pytest.raises(gd.ArgumentError, match="discount"):
            gd.games.iterated_prisoners_dilemma(discount)


class TestMatchingPennies:
    def test_eigenvalues_and_conserved_quantity(self):
        # rejects: 1/16 (payoffs 0 and 1), the product of p(1-p) for the sum of their inverses
        game = gd.games.matching_pennies()
        assert {z.imag for z in game.critical_points[0].eigenvalues} == {0.25, -0.25}
        y = torch.tensor([0.8, -1.3], dtype=DOUBLE)
        p = y.sigmoid()
        by_shares = 0.5 * (1 / (p * (1 - p))).sum() - 2
        assert float(game.invariant(*y)) == pytest.approx(float(by_shares), rel=1e-14)

    def test_conserved_over_a_long_run_by_the_flow_not_by_euler(self):
        # rejects: an invariant conserved to first order only
        game = gd.games.matching_pennies()
        start = float(game.invariant(*game.state().y))
        ends = {}
        for method in ("rk4", "euler"):
            y = gd.solve(gd.flows.gradient(game), method, h=0.1, steps=1000).state.y
            ends[method] = abs(float(game.invariant(*y)) - start)
        assert ends["rk4"] < 1e-6
        assert ends["euler"] > 0.1


class TestBimatrix:
    def test_losses_are_the_expected_ones(self, rng):
        # rejects: p and q swapped, B transposed
        A, B = rng.normal(size=(2, 2, 3))
        x, y = rng.normal(size=2), rng.normal(size=3)
        p, q = np.exp(x) / np.exp(x).sum(), np.exp(y) / np.exp(y).sum()
        values = gd.games.bimatrix(A, B).losses(torch.as_tensor(x), torch.as_tensor(y))
        assert float(values["x"]) == pytest.approx(p @ A @ q, abs=1e-14)
        assert float(values["y"]) == pytest.approx(p @ B @ q, abs=1e-14)

    def test_two_actions_are_matching_pennies_by_the_difference_of_logits(self):
        # rejects: a softmax over the wrong axis
        pennies, softmax = gd.games.matching_pennies(), gd.games.bimatrix([[1.0, -1.0], [-1.0, 1.0]])
        zero = torch.zeros(1, dtype=DOUBLE)
        x, y = torch.tensor([0.7], dtype=DOUBLE), torch.tensor([-0.2], dtype=DOUBLE)
        one = softmax.losses(torch.cat([x, zero]), torch.cat([y, zero]))["x"]
        torch.testing.assert_close(one, pennies.losses(x, y)["x"], rtol=0, atol=1e-15)

    def test_rock_paper_scissors_values(self):
        # rejects: a draw that pays, paper losing to rock
        game = gd.games.rock_paper_scissors()
        pure = 200 * torch.eye(3, dtype=DOUBLE)
        value = lambda i, j: float(game.losses(pure[i], pure[j])["x"])  # noqa: E731
        assert [value(0, j) for j in range(3)] == [0, 1, -1]  # rock loses to paper and beats scissors
        turn = 1 / (3 * math.sqrt(3))
        assert sorted(z.imag for z in game.critical_points[0].eigenvalues) == pytest.approx(
            [-turn, -turn, 0, 0, turn, turn], abs=1e-15
        )

    def test_matrices_that_do_not_fit(self):
        with pytest.raises(gd.ArgumentError, match="losses_x"):
            gd.games.bimatrix([1.0, 2.0])
        with pytest.raises(gd.ArgumentError, match="losses_y"):
            gd.games.bimatrix([[1.0, 2.0]], [[1.0], [2.0]])
