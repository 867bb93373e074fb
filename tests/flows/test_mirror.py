"""Mirror descent on the simplex: multiplicative weights, the replicator equation, and methods of high order on it."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn import flows
from gamedyn.optim import GameOptimizer

DOUBLE = torch.float64
RPS = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=DOUBLE)
P, Q = (torch.tensor(x, dtype=DOUBLE) for x in ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]))


def zero_sum(rates=None, A=RPS, p=P, q=Q):
    game = gd.Game({"p": p, "q": q}, lambda p, q: {"p": p @ A @ q, "q": -(p @ A @ q)})
    return flows.mirror_descent(flows.gradient(game, rates))


def weights(p, q, h, steps, *, alternating=False):
    """Multiplicative weights, simultaneous or alternating."""
    for _ in range(steps):
        new = p * (-h[0] * (RPS @ q)).exp()
        new = new / new.sum()
        seen = new if alternating else p
        q = q * (h[1] * (RPS.T @ seen)).exp()
        p, q = new, q / q.sum()
    return p, q


@pytest.mark.parametrize("method", ["euler", "alternating"])
def test_its_steps_are_multiplicative_weights(method):
    # rejects: a gradient through the softmax (the replicator's factor once more), rates left out
    flow = zero_sum({"p": 2.0})
    found = flow.inner_state(gd.solve(flow, method, h=0.1, steps=7))
    p, q = weights(P, Q, (0.2, 0.1), 7, alternating=method == "alternating")
    torch.testing.assert_close(found["p"], p, rtol=0, atol=1e-14)
    torch.testing.assert_close(found["q"], q, rtol=0, atol=1e-14)


def test_its_shares_follow_the_replicator_equation():
    # by unlike methods on unlike coordinates; source: Hofbauer, Sigmund 1998
    control = gd.steps.Adaptive(rtol=1e-11, atol=1e-13)
    flow = zero_sum()
    ours = flow.inner_state(gd.solve(flow, "dop853", h=control, t_span=(0.0, 10.0)))
    theirs = gd.solve(
        flows.replicator(-RPS, -(-RPS).T, initial=[P.tolist(), Q.tolist()]), "dopri5", h=control, t_span=(0.0, 10.0)
    )
    torch.testing.assert_close(torch.cat([ours["p"], ours["q"]]), theirs.state.y, rtol=0, atol=5e-8)


def test_what_the_flow_conserves():
    # of a zero-sum game with an inner equilibrium, the divergence from it: sum of -log p - log q at uniform shares
    flow = zero_sum()

    def divergence(state):
        own = flow.inner_state(state)
        return -float(own["p"].log().sum() + own["q"].log().sum())

    start = divergence(flow.initial_state())
    drift = {
        m: abs(divergence(gd.solve(flow, m, h=0.1, steps=200).state) - start)
        for m in ("euler", "gauss4", "alternating")
    }
    assert drift["gauss4"] < 1e-6
    assert drift["euler"] > 0.2
    assert drift["alternating"] < 0.1  # symplectic: bounded, not conserved


def test_order_and_positivity():
    flow = zero_sum()
    exact = gd.solve(flow, "dop853", h=0.01, t_span=(0.0, 2.0)).state.y
    errors = [float((gd.solve(flow, "rk4", h=h, t_span=(0.0, 2.0)).state.y - exact).norm()) for h in (0.2, 0.1)]
    assert 3.7 < math.log2(errors[0] / errors[1]) < 4.3
    far = flow.inner_state(gd.solve(flow, "euler", h=5.0, steps=50))
    for shares in (far["p"], far["q"]):
        assert bool((shares >= 0).all())
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-12)


def test_its_spectrum_is_the_replicators():
    uniform = torch.full((3,), 1 / 3, dtype=DOUBLE)
    flow = zero_sum(p=uniform, q=uniform.clone())
    found = gd.spectrum.linearise(flow, flow.initial_state()).eigenvalues.values
    expected = flows.replicator(-RPS, RPS.T).critical_points[0].eigenvalues
    key = lambda z: (round(z.imag, 9), round(z.real, 9))  # noqa: E731
    assert sorted(map(complex, found), key=key) == pytest.approx(sorted(expected, key=key), abs=1e-12)
    answer = gd.spectrum.verdict(flow, flow.initial_state())
    assert answer.stability.answer == "undecided"


def test_several_simplices_beside_other_players():
    # a policy by state, (2, 3), and a plain player; products are those of the field
    policy = torch.full((2, 3), 1 / 3, dtype=DOUBLE)
    game = gd.Game(
        {"policy": policy, "w": torch.ones(2, dtype=DOUBLE)},
        lambda policy, w: {
            "policy": (policy * torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], dtype=DOUBLE)).sum() * w.sum(),
            "w": (w.square() * policy[:, 0]).sum(),
        },
    )
    flow = flows.mirror_descent(flows.gradient(game), of="policy")
    held = flow.at(flow.initial_state())
    for u in torch.eye(8, dtype=DOUBLE):
        difference = (held(0.0, held.at.y + 1e-6 * u) - held(0.0, held.at.y - 1e-6 * u)) / 2e-6
        torch.testing.assert_close(held.jacobian() @ u, difference, rtol=0, atol=1e-8)
    assert flow.tangent.shape == (8, 6)
    for method in ("rk4", "implicit_euler", "alternating"):
        own = flow.inner_state(gd.solve(flow, method, h=0.1, steps=5))
        torch.testing.assert_close(own["policy"].sum(-1), torch.ones(2, dtype=DOUBLE), rtol=0, atol=1e-14)
    run = gd.solve_ensemble(flow, "rk4", h=[0.1, 0.2], steps=3)
    torch.testing.assert_close(run.state.y[1], gd.solve(flow, "rk4", h=0.2, steps=3).state.y, rtol=0, atol=1e-13)


def test_the_optimiser_moves_the_shares():
    p, q = P.clone(), Q.clone()
    optimizer = GameOptimizer({"p": p, "q": q}, "euler", lr={"p": 0.2, "q": 0.1}, flow=flows.mirror_descent)
    for _ in range(4):
        optimizer.step(lambda: {"p": p @ RPS @ q, "q": -(p @ RPS @ q)})
    expected = weights(P, Q, (0.2, 0.1), 4)
    torch.testing.assert_close((p, q), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "made",
    [
        lambda f: flows.mapped(flows.mirror_descent(f), lambda v: v),
        lambda f: flows.clipped(flows.mirror_descent(f), norm=1e3),
        lambda f: flows.consensus(flows.mirror_descent(f), 1e-13),
    ],
    ids=["mapped", "clipped", "consensus"],
)
def test_the_optimiser_knows_the_shares_of_what_is_made_of_it(made):
    # rejects: shares taken for logits
    p, q = P.clone(), Q.clone()
    optimizer = GameOptimizer({"p": p, "q": q}, "euler", lr={"p": 0.2, "q": 0.1}, flow=made)
    for _ in range(4):
        optimizer.step(lambda: {"p": p @ RPS @ q, "q": -(p @ RPS @ q)})
    torch.testing.assert_close((p, q), weights(P, Q, (0.2, 0.1), 4), rtol=0, atol=1e-10)


def test_a_learning_rate_of_0_holds_shares_to_the_bit():
    p, q = P.clone(), Q.clone()
    optimizer = GameOptimizer({"p": p, "q": q}, "euler", lr={"p": 0.0, "q": 0.1}, flow=flows.mirror_descent)
    for _ in range(20):
        optimizer.step(lambda: {"p": p @ RPS @ q, "q": -(p @ RPS @ q)})
    assert torch.equal(p, P)
    assert not torch.equal(q, Q)


def test_a_projected_flow_has_no_mirror():
    game = gd.Game({"p": P.clone()}, lambda p: {"p": p @ Q})
    with pytest.raises(gd.ArgumentError, match="put back into a set"):
        flows.mirror_descent(flows.projected(flows.gradient(game), flows.simplex(of="p")))


@pytest.mark.parametrize("p", [[0.5, 0.6, -0.1], [0.5, 0.5, 0.0], [0.5, 0.3, 0.3]])
def test_what_is_no_share_is_refused(p):
    with pytest.raises(gd.ArgumentError, match="positive shares"):
        zero_sum(p=torch.tensor(p, dtype=DOUBLE))
    with pytest.raises(gd.ArgumentError, match="a module"):
        flows.mirror_descent(flows.gradient(gd.Game({"m": torch.nn.Linear(1, 1)}, lambda m: {"m": m.weight.sum()})))
