"""What a solve holds at its peak, in vectors of parameter size, beside the players' own parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn import methods
from gamedyn.core.living import Living

WIDTH = 128


def gan():
    widths = ((8, WIDTH, 8), (8, WIDTH, 1))
    G, D = (
        nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, b), nn.ReLU(), nn.Linear(b, c)) for a, b, c in widths
    )

    def losses(G, D, batch):
        fake = D(G(batch[1]))
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(batch[0])).mean()}

    return gd.flows.gradient(gd.Game({"G": G, "D": D}, losses))


def units(method):
    """Peaks up to the end of the first step, and in later ones."""
    flow, found = gan(), {}
    size = 4 * flow.game.layout.n
    stream = gd.batches(torch.randn(32, 8), latent=8, batch_size=4)
    with Living() as living:

        def look(view):
            if view.step == 1:
                found["start"] = living.peak / size
            if view.step == 2:
                living.peak = living.now
            if view.step == 9:
                found["steady"] = living.peak / size

        gd.solve(flow, method, h=0.01, steps=11, batches=stream, observers=[look], check_every=3)
    return found["start"], found["steady"]


@pytest.mark.parametrize("method", ["euler", "heun2", "rk4", "dopri5", "ck54", "alternating", "extragradient"])
def test_a_solve_holds_the_registers_and_three_more(method):
    # rejects: the first state held throughout (4 more), a checked state that is copied twice; a start above the steps,
    # but for two evaluations that are compared: y, its point, both values, the gradients and modules of one (7 where
    # the comparison makes vectors of its own)
    start, steady = units(method)
    assert steady <= methods.get(method).registers + 3
    assert start <= max(steady, 5.9) + 0.1


def test_a_resumed_run_is_let_go_of(tmp_path):
    # rejects: the state of the run gone on from, held while the solve goes on
    def stream():
        return gd.batches(torch.ones(32, 8), latent=8, batch_size=4)

    gd.solve(gan(), "rk4", h=0.01, steps=3, batches=stream()).save(tmp_path / "run")
    flow, peaks = gan(), []
    size = 4 * flow.game.layout.n
    with Living() as living:
        look = lambda view: peaks.append(living.now / size)  # noqa: E731
        gd.solve(flow, "rk4", h=0.01, steps=9, batches=stream(), resume=tmp_path / "run", observers=[look])
    fresh = []
    with Living() as living:
        look = lambda view: fresh.append(living.now / size)  # noqa: E731
        gd.solve(flow, "rk4", h=0.01, steps=9, batches=stream(), observers=[look])
    assert peaks[-1] <= fresh[-1] + 0.1
