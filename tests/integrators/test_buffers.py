"""Batch norm's statistics advance once a step, whatever the family evaluates, linearises or solves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gamedyn as gd

DOUBLE = torch.float64
FAMILIES = ("rk4", "ndb124", "radau_iia3", "trapezoid", "bdf3", "am3", "lead", "pece_ab2_am3", "strang", "cgd")
FAMILIES += ("rodas3", "exprb32", "lookahead_alternating", "rk4_penalty_every_stage")
TERMS = {"plain": None, "penalty": gd.losses.squared_gradient(0.01)}


def normed_gan():
    G = nn.Sequential(
        nn.Linear(2, 4, dtype=DOUBLE), nn.BatchNorm1d(4, dtype=DOUBLE), nn.Tanh(), nn.Linear(4, 2, dtype=DOUBLE)
    )
    return gd.games.gan(G, gd.games.mlp((2, 4, 1), generator=torch.Generator().manual_seed(2), dtype=DOUBLE))


def tracked(buffers):
    return [int(b) for b in buffers if b.dtype == torch.int64]


@pytest.mark.parametrize("term", list(TERMS))
@pytest.mark.parametrize("method", FAMILIES)
def test_statistics_advance_once_a_step(method, term, generator):
    # rejects: statistics gathered in a kept graph's own buffers and lost with it, one advance per stage
    flow = gd.flows.gradient(normed_gan())
    flow = flow if TERMS[term] is None else flow.with_term(TERMS[term])
    data = torch.randn(32, 2, generator=generator, dtype=DOUBLE)
    run = gd.solve(flow, method, h=0.01, steps=4, batches=gd.batches(data, latent=2, batch_size=8, seed=1))
    assert tracked(run.state.buffers) == [4]


@pytest.mark.parametrize("term", list(TERMS))
@pytest.mark.parametrize("method", ["rk4", "radau_iia3", "cgd"])
def test_and_in_ones_own_loop(method, term, generator):
    game = normed_gan()
    G, D = game.players["G"], game.players["D"]
    terms = [] if TERMS[term] is None else [TERMS[term]]
    optimiser = gd.optim.GameOptimizer({"G": G, "D": D}, method, lr=0.01, terms=terms)
    for _ in range(3):
        batch = tuple(torch.randn(8, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
        optimiser.step(lambda batch=batch: game.losses(G, D, batch))
    assert tracked(G.buffers()) == [3]
