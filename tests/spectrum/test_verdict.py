"""Verdicts against every declared class, and against what is certain where the matrix is not formed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn.spectrum import Degeneracy, find_equilibrium, scaling_symmetries, verdict

DOUBLE = torch.float64


DECLARED = [
    pytest.param(example, point, id=f"{name}-{i}-{j}")
    for name, family in gd.games.members().items()
    for i, example in enumerate(family.examples)
    for j, point in enumerate(range(len(example()[0].critical_points)))
]


def classes(found):
    leaders = {f"stackelberg {p}": a.answer for p, a in found.stackelberg.items()}
    return {"stability": found.stability.answer, "nash": found.nash.answer, **leaders}


def declared(point):
    given = {"stability": point.stability, "nash": point.nash}
    given |= {f"stackelberg {p}": a for p, a in point.stackelberg.items()}
    return {k: v for k, v in given.items() if v is not None}


class TestDeclaredGames:
    """games.md b.2-b.5: 82 points of games with known classes."""

    @pytest.mark.parametrize(("example", "j"), DECLARED)
    def test_formed(self, example, j):
        # rejects: a transposed block, a follower's curvature of the wrong sign, "yes" for a centre or a zero block
        game, batch = example()
        point = game.critical_points[j]
        found = verdict(gd.flows.gradient(game), game.state_of(point.point), batch)
        assert found.stationary
        got, expected = classes(found), declared(point)
        assert {k: got[k] for k in expected} == expected
        low, high = found.flow.abscissa
        if point.eigenvalues:
            assert low - 1e-7 <= point.abscissa <= high + 1e-7

    @pytest.mark.parametrize(("example", "j"), DECLARED)
    def test_not_formed_is_never_contradicted(self, example, j):
        # rejects: claims beyond what products show
        game, batch = example()
        point = game.critical_points[j]
        found = verdict(gd.flows.gradient(game), game.state_of(point.point), batch, form=False)
        got = classes(found)
        for name, answer in declared(point).items():
            assert got[name] in (answer, "undecided"), name

    def test_three_answers_disagree_where_they_should(self):
        # (-1, 3, -3, 3): stable, not Nash, Stackelberg; (1, 2, 2, 1): Nash, not stable (games.md b.4)
        game = gd.games.quadratic([[-1.0, 3.0], [-3.0, 3.0]], zero_sum=True)
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        assert (found.stability, found.nash, found.stackelberg["p1"]) == ("yes", "no", "yes")
        game = gd.games.quadratic([[1.0, 2.0], [2.0, 1.0]])
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        assert (found.stability, found.nash) == ("no", "yes")

    def test_rates_move_stability_alone(self):
        # scaling player 2 by tau makes (-1, 3, -3, .5) stable exactly for tau > -a/d = 2
        game = gd.games.quadratic([[-1.0, 3.0], [-3.0, 0.5]], zero_sum=True)
        answers = {}
        for tau in (1.99, 2.01):
            found = verdict(gd.flows.gradient(game, rates={"p2": tau}), game.equilibrium_state())
            answers[tau] = (found.stability.answer, found.nash.answer, found.stackelberg["p1"].answer)
        assert answers == {1.99: ("no", "no", "yes"), 2.01: ("yes", "no", "yes")}

    def test_penalties_have_a_nash_answer_of_their_own(self):
        # Dirac-GAN + R1: D's own Hessian is 0 in the game and g in what it descends; G's is 0 in both
        game = gd.games.dirac_gan("nonsaturating")
        flow = gd.flows.gradient(game).with_term(
            gd.losses.squared_gradient(of=next(iter(game.players)), into=tuple(game.players)[1], weight=0.5)
        )
        found = verdict(flow, game.equilibrium_state())
        assert found.stability == "yes"
        assert found.nash == "undecided"
        assert found.nash_penalised == "undecided"
        psi = tuple(game.players)[1]
        assert found.own[psi].sign == "zero"
        assert found.own_penalised[psi].least[0] == pytest.approx(2 * 0.5 * 0.25, rel=1e-9)  # g = 2 lam f'(0)^2
        assert verdict(gd.flows.gradient(game), game.equilibrium_state()).nash_penalised is None

    def test_three_players(self):
        # followers of p1: p2 and p3 at a Nash of their own; Schur complement by hand
        H = torch.tensor([[-1.0, 2, 1], [-2, 3, 0.5], [-1, -0.5, 2]], dtype=DOUBLE)
        game = gd.games.quadratic(H)
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        assert set(found.stackelberg) == {"p1", "p2", "p3"}
        assert found.nash == "no"
        # leader's loss: -x^2/2 + x (2 y + z) (quadratic game); best response of (y, z): -M^-1 (-2, -1) x
        M, c = H[1:, 1:].numpy(), H[1:, 0].numpy()
        slope = -np.linalg.solve(M, c)
        total = -1 + 2 * (np.array([2.0, 1.0]) @ slope)
        expected = "yes" if total > 0 else "no"
        assert found.stackelberg["p1"].answer == expected
        bound = found.stackelberg["p1"].bounds["least eigenvalue of the leader's total Hessian"]
        assert bound[0] == pytest.approx(total, rel=1e-9)

    @pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
    def test_one_no_is_enough_in_any_order_of_the_players(self, order):
        # a follower whose Hessian is 0, and one at a maximum; rejects: the answer of whoever comes first
        H = torch.diag(torch.tensor([1.0, 0.0, -1.0], dtype=DOUBLE)[list(order)])
        game = gd.games.quadratic(H)
        assert verdict(gd.flows.gradient(game), game.equilibrium_state()).stackelberg["p1"] == "no"


class TestResponses:
    """Followers whose best response is badly determined."""

    @pytest.mark.parametrize("dense", [True, False])
    def test_claims_allow_for_the_error_of_the_response(self, dense):
        # the total Hessian in exact rational arithmetic, made nearly 0; rejects: rounding and GMRES residuals that
        # the followers' inverse amplifies left out (31 of 150 wrong formed, 6 not formed)
        rng = np.random.default_rng(11)

        def exact(H):
            X = [[Fraction(float(x)) for x in row] for row in H]
            rows = [[*X[i][1:], X[i][0]] for i in range(1, 4)]
            for i in range(3):  # Gauss-Jordan
                rows[i] = [x / rows[i][i] for x in rows[i]]
                for j in range(3):
                    if j != i:
                        rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
            return X[0][0] - 2 * sum(X[0][i + 1] * rows[i][3] for i in range(3))

        for _ in range(60):
            Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
            H = rng.standard_normal((4, 4))
            H[1:, 1:] = Q @ np.diag([1.0, 0.5, 10.0 ** -rng.integers(4, 14)]) @ Q.T
            H[0, 0] = float(Fraction(H[0, 0]) - exact(H)) * (1 + rng.choice([-1, 1]) * 10.0 ** -rng.integers(3, 14))
            game = gd.games.quadratic(torch.as_tensor(H))
            found = verdict(gd.flows.gradient(game), game.equilibrium_state(), form=dense).stackelberg["p1"]
            assert found.answer in ("yes" if exact(H) > 0 else "no", "undecided")

    def test_singular_followers(self):
        # rejects: an error of LAPACK's factorisation instead of an answer
        game = gd.games.quadratic(torch.ones(3, 3, dtype=DOUBLE))
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        assert all(a == "undecided" for a in found.stackelberg.values())

    def test_a_weak_follower_does_not_make_a_stationary_point_none(self):
        # |v| = 1e-8 counts as 0; a follower's curvature of 1e-6 makes 0.01 of it in the total gradient
        # rejects: the same tolerance for both ("no"); no tolerance for neither, where the leader does gain
        game = gd.games.quadratic([[1.0, 1.0], [-1.0, 1e-6]], zero_sum=True)
        y = game.equilibrium_state().y + torch.tensor([1e-8, 0.0], dtype=DOUBLE)
        assert verdict(gd.flows.gradient(game), y).stackelberg["p1"] == "yes"

        def losses(x, y):
            return {"x": x.square().sum() / 2 + (3 * y).sum(), "y": ((y - x).square() / 2).sum()}

        one = torch.zeros(1, dtype=DOUBLE)  # x's total gradient is 3 where v is 0
        game = gd.Game({"x": one, "y": one.clone()}, losses)
        found = verdict(gd.flows.gradient(game), game.state())
        assert found.stationary
        assert found.stackelberg["x"] == "no"


class TestGan:
    def test_the_affine_quadratic_digits_gan(self, digits):
        # numerics.md 1 and 6: exponentially stable, the generator's own block exactly zero: no Nash claim
        game = gd.games.affine_quadratic_gan(digits, q=8, weight_decay=0.02, loss="nonsaturating")
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        assert found.stability == "yes"
        assert found.nash == "undecided"
        assert "zero" in found.nash.reason
        names = [d.name for d in found.degenerate]
        assert any(name.startswith("G's own Hessian is zero") for name in names)
        assert found.flow.numerical_abscissa[0] > found.flow.abscissa[1]

    def test_scaling_symmetries_are_named(self):
        # a game whose losses see a rectified net's function alone, at a point made stationary in that net
        g = torch.Generator().manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1)).double()
        x, w = torch.randn(20, 2, dtype=DOUBLE, generator=g), torch.zeros(3, dtype=DOUBLE)
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, dtype=DOUBLE, generator=g))
            target = net(x)

        def losses(net, w):
            return {"net": ((net(x) - target) ** 2).mean(), "w": w.square().sum()}

        game = gd.Game({"net": net, "w": w}, losses)
        flow = gd.flows.gradient(game)
        found = verdict(flow, game.state())
        assert found.stationary
        assert Degeneracy("scaling symmetry of net: units of 0 scaled, inputs of 2 divided", 5) in found.degenerate
        assert found.stability == "undecided"
        # rejects: both layers scaled up
        [symmetry] = scaling_symmetries(game, game.state())
        J = gd.spectrum.GameJacobian(flow, game.state())
        assert float((J @ symmetry.direction).norm()) < 1e-12
        assert float((J @ symmetry.direction.abs()).norm()) > 1e-3

    def test_a_point_that_is_not_stationary_is_never_yes(self):
        game = gd.games.quadratic([[1.0, 3.0], [-3.0, 1.0]], zero_sum=True)
        found = verdict(gd.flows.gradient(game), game.state())
        assert not found.stationary
        assert all(a != "yes" for a in found.answers().values())
        assert "find_equilibrium" in found.stability.reason

    @pytest.mark.slow
    def test_large_is_consistent_with_small(self):
        # a trained GAN, formed and not: the same "no", from certified eigenvalues
        g = torch.Generator().manual_seed(0)
        game = gd.games.gan(
            gd.games.mlp((3, 8, 4), generator=g, dtype=DOUBLE), gd.games.mlp((4, 8, 1), generator=g, dtype=DOUBLE)
        )
        batch = tuple(torch.randn(64, n, generator=g, dtype=DOUBLE) for n in (4, 3))
        flow = gd.flows.gradient(game)
        run = gd.solve(flow, "rk4", h=0.2, steps=400, batch=batch)
        formed, searched = (verdict(flow, run, batch, form=dense, basis=40) for dense in (True, False))
        for name, answer in searched.answers().items():
            assert answer.answer in (formed.answers()[name].answer, "undecided")
        assert searched.flow.abscissa[0] <= formed.flow.abscissa[1]
        assert searched.flow.numerical_abscissa[0] <= formed.flow.numerical_abscissa[1] + 1e-9
        assert searched.flow.numerical_abscissa[1] >= formed.flow.numerical_abscissa[0]


class TestFlowsWithoutLosses:
    """What moves the flow is judged, or nothing is said. Rejects: the losses of a game that moves nothing."""

    DILEMMA = ((3.0, 0.0), (5.0, 1.0))  # to defect is strict
    RPS = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))

    def at(self, flow, **shares):
        return verdict(flow, flow.game.state_of({k: torch.tensor(v, dtype=DOUBLE) for k, v in shares.items()}))

    def test_a_strict_equilibrium_of_a_population(self):
        flow = gd.flows.replicator(self.DILEMMA)
        found = self.at(flow, p=[0.0, 1.0])
        assert found.nash == "yes"
        assert "a strict equilibrium" in found.nash.reason
        assert found.stability == "yes"
        assert found.own == {}
        assert "u the payoffs" in str(found)
        assert self.at(flow, p=[1.0, 0.0]).nash == "no"
        assert self.at(flow, p=[0.5, 0.5]).nash == "undecided"  # not stationary, so never yes

    def test_a_mixed_equilibrium_is_one_but_not_strict(self):
        found = self.at(gd.flows.replicator(self.RPS), p=[1 / 3] * 3)
        assert found.nash == "yes"
        assert "not strict" in found.nash.reason
        assert self.at(gd.flows.replicator(self.RPS), p=[1.0, 0.0, 0.0]).nash == "no"
        assert (
            "strict equilibrium" in self.at(gd.flows.replicator(self.RPS, temperature=0.5), p=[1 / 3] * 3).nash.reason
        )

    def test_two_populations(self):
        battle = gd.flows.replicator([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]])
        assert self.at(battle, p=[1.0, 0.0], q=[1.0, 0.0]).nash == "yes"
        assert self.at(battle, p=[1.0, 0.0], q=[0.0, 1.0]).nash == "no"
        assert self.at(battle, p=[2 / 3, 1 / 3], q=[1 / 3, 2 / 3]).nash == "yes"
        tied = gd.flows.replicator([[1.0, 1.0], [1.0, 0.0]])
        assert self.at(tied, p=[1.0, 0.0]).nash == "undecided"

    @pytest.mark.parametrize("constant", [-1e6, -3.0, 0.0, 1e4, 1e6])
    def test_a_constant_payoff_changes_no_answer(self, constant):
        # rejects: |J| with its eigenvalue across the simplex, beside which every field is small; a search begun at it
        swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE) + constant
        flow = gd.flows.replicator(swap)
        away = self.at(flow, p=[0.6, 0.4])
        assert not away.stationary
        assert (away.nash.answer, away.stability.answer) == ("undecided", "undecided")
        found = find_equilibrium(flow, torch.tensor([0.6, 0.4], dtype=DOUBLE))
        assert found.state.y.tolist() == pytest.approx([0.5, 0.5], abs=1e-9)
        assert verdict(flow, found.state).nash == "yes"
        assert verdict(flow, found.state).stability == "yes"  # of J in all coordinates: 0 across
        assert verdict(flow, found.state, form=False).flow.eigenvalues.values == pytest.approx([-0.5], abs=1e-9)

    def test_shares_off_the_simplex_are_refused(self):
        # rejects: a "yes" at twice or minus some share, or a search that ends there
        flow = gd.flows.replicator([[2.0, 1.0], [1.0, -1.0]])
        for shares in ([3.0, 3.0], [2.0, -1.0], [0.0, 0.0], [0.5, 0.499]):
            y = torch.tensor(shares, dtype=DOUBLE)
            for ask in (verdict, find_equilibrium):
                with pytest.raises(gd.ArgumentError, match="shares of strategies"):
                    ask(flow, y)
        near = find_equilibrium(flow, torch.tensor([0.97, 0.03], dtype=DOUBLE), throw=False).state.y
        assert float(near.min()) >= -1e-7
        saturated = gd.flows.policy_gradient([[1.0, 2.0], [0.0, 1.0]])
        assert verdict(saturated, torch.tensor([3.0, 3.0], dtype=DOUBLE)).nash == "undecided"  # logits: no simplex

    @given(st.lists(st.floats(-1, 1), min_size=9, max_size=9), st.integers(0, 2))
    @settings(max_examples=25, deadline=None)
    def test_pure_points_of_random_games(self, payoffs, i):
        A = np.round(np.array(payoffs).reshape(3, 3), 3)
        gains = np.delete(A[:, i] - A[i, i], i)
        share = np.zeros(3)
        share[i] = 1.0
        answer = self.at(gd.flows.replicator(A.tolist()), p=share.tolist()).nash.answer
        assert answer == ("yes" if gains.max() < 0 else "no" if gains.max() > 0 else "undecided")

    def test_custom_and_mapped_flows_decline(self):
        game = gd.games.quadratic([[1.0, 0.0], [0.0, 1.0]])
        gradient = gd.flows.gradient(game)
        away = gd.flows.mapped(gradient, lambda v: {k: -x for k, x in v.items()})
        custom = gd.flows.custom(lambda t, s, b: {k: x * 1.0 for k, x in s.items()}, like=game)
        for flow in (away, custom):
            found = verdict(flow, game.equilibrium_state())
            assert found.stability == "no"
            assert found.nash == "undecided"
            assert "not what moves this flow" in found.nash.reason
            assert not found.stackelberg
        assert "flow.inner" in verdict(away, game.equilibrium_state()).nash.reason
        assert verdict(gradient, game.equilibrium_state()).nash == "yes"


class TestNearlyStationaryPoints:
    """What lies within the error of the point is not said. Rejects: signs that rounding of the point has made."""

    @pytest.mark.parametrize("place", [[0.0, 1e-8], [-1e-8, 0.0], [3e-9, -5e-9], [0.0, 0.0]])
    def test_a_centre_is_undecided_beside_itself_too(self, place):
        def losses(x, y):
            f = x * y + x**3 / 3 - y**3 / 6 + 0.2 * x**2 * y
            return {"x": f, "y": -f}

        players = {name: torch.tensor(0.3, dtype=torch.float64) for name in "xy"}  # what is small is measured by them
        flow = gd.flows.gradient(gd.Game(players, losses))
        found = verdict(flow, torch.tensor(place, dtype=torch.float64))
        assert found.stationary
        assert (found.stability.answer, found.nash.answer) == ("undecided", "undecided")

    @pytest.mark.parametrize("seed", range(12))
    def test_the_centre_of_two_populations_is_undecided_where_newton_found_it(self, seed):
        draw = torch.Generator().manual_seed(seed)
        A = torch.rand(2, 2, generator=draw, dtype=torch.float64) + 2 * torch.eye(2, dtype=torch.float64)
        flow = gd.flows.replicator(A, -2 * A.T)  # interior rest, conserved: a centre
        found = gd.spectrum.find_equilibrium(flow, flow.game.state_of({"p": torch.ones(2) / 2, "q": torch.ones(2) / 2}))
        assert verdict(flow, found.state).stability.answer == "undecided"

    @pytest.mark.parametrize("curvature", [-1.0, -0.3, 0.3, 1.0])
    def test_a_double_root_is_undecided(self, curvature):
        # rejects: an error of the point from half of Newton's way, which at a double root is as long as what is left;
        # answers of a leader without it
        def losses(x, y):
            return {"x": x**3 / 3 + curvature * x**4 / 4, "y": y * y / 2}

        players = {"x": torch.tensor(0.3, dtype=torch.float64), "y": torch.tensor(0.5, dtype=torch.float64)}
        flow = gd.flows.gradient(gd.Game(players, losses))
        found = verdict(flow, gd.spectrum.find_equilibrium(flow).state)
        assert found.stationary
        answers = [found.stability, found.nash, *found.stackelberg.values()]
        assert {a.answer for a in answers} == {"undecided"}

    def test_what_is_clear_is_still_said(self):
        game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
        flow = gd.flows.gradient(game)
        for off in (0.0, 1e-9):
            assert verdict(flow, torch.tensor([off, -off], dtype=torch.float64)).stability.answer == "yes"


def test_a_nash_equilibrium_with_entropy_says_so():
    # rejects: "no strategy would gain: strict" where the payoffs alone say that one would
    flow = gd.flows.replicator([[0.0, -2.0, 1.0], [1.0, 0.0, -2.0], [-2.0, 1.5, 0.0]], temperature=0.5)
    rest = gd.spectrum.find_equilibrium(flow)
    answer = verdict(flow, rest.state).nash
    assert answer.answer == "yes"
    assert "0.5 times the entropy" in answer.reason
