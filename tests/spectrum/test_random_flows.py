"""What is claimed of a point, on random linear flows and games whose answers NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.spectrum import confirm, verdict
from gamedyn.stability import Eigenvalues, largest_stable_step

DOUBLE = torch.float64
METHODS = ("euler", "rk4", "ab2", "ab3", "optimistic", "extragradient", "heavy_ball", "heun2", "dopri5", "kg52")


def linear_flow(A):
    like = gd.Game({"x": torch.zeros(len(A), dtype=DOUBLE)}, lambda x: {"x": (x**2).sum()})
    matrix = torch.as_tensor(A)
    return gd.flows.custom(lambda t, s, b: {"x": matrix @ s["x"]}, like=like)


@pytest.mark.parametrize("method", METHODS)
def test_confirm_is_never_wrong(method):
    """Of all, or of a part of the eigenvalues. Rejects: "confirmed" where an unknown mode binds, or has for long."""
    seen = set()
    for seed in range(8):
        rng = np.random.default_rng([seed, len(method)])
        n = int(rng.integers(2, 9))
        A = rng.standard_normal((n, n)) * 10 ** rng.uniform(-1, 1)
        values = np.linalg.eigvals(A)
        A -= (values.real.max() + abs(values).max() * 10 ** rng.uniform(-2, 0)) * np.eye(n)
        values = np.linalg.eigvals(A)
        order = rng.permutation(n) if seed % 2 else np.argsort(-values.real)
        kept = values if seed % 4 == 0 else values[order[: int(rng.integers(1, n + 1))]]
        both = np.unique(np.round(np.concatenate([kept, kept.conj()]), 12))
        flow = linear_flow(A)
        found = confirm(flow, method, flow.game.state(), Eigenvalues(both, complete=len(both) == n))
        exact = largest_stable_step(method, values)
        seen.add(found.status)
        if found.status == "confirmed":
            assert found.limit == pytest.approx(exact, rel=1e-3), seed
        if found.status == "refuted":
            assert found.limit > exact * (1 + 1e-6), seed
    assert {"confirmed", "refuted"} <= seen


def test_a_step_that_is_no_late_one_confirms_nothing():
    flow = linear_flow(np.diag([-1.0, -2.0]))
    with pytest.raises(gd.ArgumentError, match="same coefficients at each step"):
        confirm(flow, "eag", flow.game.state(), [-1.0, -2.0])
    with pytest.raises(gd.ArgumentError, match="same coefficients at each step"):
        gd.spectrum.step_radius(flow, "eag", flow.game.state(), 0.1)


def random_game(seed):
    """H, the places of its players, and a flow with rates, in units of its own."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(x) for x in rng.integers(1, 4, int(rng.integers(2, 4))))
    n, ends = sum(sizes), np.cumsum(sizes)
    H = rng.standard_normal((n, n)) + rng.uniform(-1, 3) * np.eye(n)
    H = np.round(H) if rng.random() < 0.2 else H
    slices = [slice(e - s, e) for e, s in zip(ends, sizes, strict=True)]
    for s in slices:
        H[s, s] = (H[s, s] + H[s, s].T) / 2
    rates = 10.0 ** rng.uniform(-1, 1, len(sizes))
    game = gd.games.quadratic(torch.as_tensor(H * 10.0 ** rng.uniform(-6, 6)), sizes=sizes)
    flow = gd.flows.gradient(game, rates=dict(zip(game.players, rates.tolist(), strict=True)))
    return H, slices, np.repeat(rates, sizes), flow


def leaders_answer(H, slices, i):
    """Yes, no, or None where followers are degenerate: the Hessian along their response, -F^-1 D_l F."""
    if min(np.linalg.eigvalsh(H[s, s]).min() for j, s in enumerate(slices) if j != i) < -1e-9:
        return "no"
    own = np.arange(len(H))[slices[i]]
    others = np.setdiff1d(np.arange(len(H)), own)
    F = H[np.ix_(others, others)]
    follows = min(np.linalg.eigvalsh(H[s, s]).min() for j, s in enumerate(slices) if j != i) > 1e-9
    if not follows or abs(np.linalg.det(F)) < 1e-9:
        return None
    response = -np.linalg.solve(F, H[np.ix_(others, own)])
    cross = H[np.ix_(own, others)] @ response
    total = H[np.ix_(own, own)] + cross + cross.T
    least = np.linalg.eigvalsh(total).min()
    return None if abs(least) < 1e-7 else "yes" if least > 0 else "no"


@pytest.mark.parametrize("block", range(5))
def test_verdicts_contradict_nothing(block):
    """Stability, Nash, Stackelberg in any units and at any rates. Rejects: absolute tolerances, rates in Hessians."""
    for seed in range(16 * block, 16 * block + 16):
        H, slices, rates, flow = random_game(seed)
        found = verdict(flow, flow.game.equilibrium_state())
        rightmost = np.linalg.eigvals(-rates[:, None] * H).real.max()
        least = min(np.linalg.eigvalsh(H[s, s]).min() for s in slices)
        for answer, margin in ((found.stability, -rightmost), (found.nash, least)):
            exact = "undecided" if abs(margin) <= 1e-9 else "yes" if margin > 0 else "no"
            assert answer == exact, seed
        for i, p in enumerate(flow.game.players):
            expected = leaders_answer(H, slices, i)
            assert expected is None or found.stackelberg[p] == expected, (seed, p)
