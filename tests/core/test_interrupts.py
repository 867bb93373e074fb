"""The users' modules after a Ctrl-C at any bytecode, and under several threads and games."""

from __future__ import annotations

import contextlib
import random
import sys
import threading

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

import gamedyn as gd

DOUBLE = torch.float64
TIMES = 6
"""Interruptions of each call in the suite; 200 and more by hand."""


class Interrupted(BaseException):
    """Stands for KeyboardInterrupt, which a test runner would take for its own."""


def losses(G, D, batch):
    real, fake = D(batch[0]), D(G(batch[1]))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-real).mean()}


def players():
    G = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).double()
    D = nn.Sequential(spectral_norm(nn.Linear(3, 4)), nn.Dropout(0.2), nn.Tanh(), nn.Linear(4, 1)).double()
    D[3].eval()
    return G, D


def batch():
    g = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=g, dtype=DOUBLE), torch.randn(6, 2, generator=g, dtype=DOUBLE)


def inside(G, D, flow):
    with flow.game.at(flow.game.state()):
        G.eval()


CALLS = {
    "solve": lambda G, D, flow: gd.solve(flow, "heun2", h=0.1, steps=2, batch=batch()),
    "implicit": lambda G, D, flow: gd.solve(flow, "implicit_euler", h=0.1, steps=1, batch=batch()),
    "products": lambda G, D, flow: flow.at(flow.game.state(), batch()).jacobian() @ torch.ones(56, dtype=DOUBLE),
    "at": inside,
}


def snapshot(G, D):
    """Identity and content of everything that the modules hold."""
    out = []
    for m in (*G.modules(), *D.modules()):
        out += [(k, id(p), p.detach().clone()) for k, p in m._parameters.items() if p is not None]
        out += [(k, id(b), b.clone()) for k, b in m._buffers.items()]
        out += [("training", m.training, torch.zeros(0)), ("own", tuple(sorted(vars(m))), torch.zeros(0))]
    return out


def same(a, b):
    return len(a) == len(b) and all(x[:2] == y[:2] and torch.equal(x[2], y[2]) for x, y in zip(a, b, strict=True))


def opcodes(call, at=None):
    """Run a call, counting the package's bytecodes; raise before the one at this place."""
    count = 0

    def local(frame, event, arg):
        nonlocal count
        if event == "opcode":
            count += 1
            if at is not None and count == at:
                raise Interrupted
        return local

    def trace(frame, event, arg):
        name = frame.f_code.co_filename
        if "gamedyn" in name or name.endswith("contextlib.py"):
            frame.f_trace_opcodes = True
            return local
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", CALLS)
def test_modules_are_what_they_were_after_an_interrupt_anywhere(name):
    # rejects: flags set before the `try`, restoring loops that are cut in the middle (10 of 1,060 spoiled)
    G, D = players()
    flow = gd.flows.gradient(gd.Game({"G": G, "D": D}, losses))
    before, call = snapshot(G, D), lambda: CALLS[name](G, D, flow)
    call()
    whole, rng, spoiled = opcodes(call), random.Random(0), []
    for _ in range(TIMES):
        at = rng.randrange(1, whole)
        with contextlib.suppress(Interrupted):
            opcodes(call, at)
        if not same(before, snapshot(G, D)) or flow.game.binding.depth:
            spoiled.append(at)
            break
    assert not spoiled
    call()  # and nothing is locked
    assert same(before, snapshot(G, D))


def test_two_threads_on_one_game():
    # rejects: stages of one thread evaluated at the other's point
    G, D = players()
    D[1].eval()
    flow, b = gd.flows.gradient(gd.Game({"G": G, "D": D}, losses)), batch()
    alone = {h: gd.solve(flow, "rk4", h=h, steps=30, batch=b).state.y for h in (0.01, 0.02)}
    found, before = {}, snapshot(G, D)

    def work(h):
        found[h] = gd.solve(flow, "rk4", h=h, steps=30, batch=b, observers=[lambda v: None]).state.y

    threads = [threading.Thread(target=work, args=(h,)) for h in alone]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(torch.equal(found[h], alone[h]) for h in alone)
    assert same(before, snapshot(G, D))


def test_two_games_share_a_module():
    # rejects: a lock for each game, which lets both bind the discriminator that they share
    (G, D), (E, _) = players(), players()
    D[1].eval()
    flows, b = [gd.flows.gradient(gd.Game({"G": g, "D": D}, losses)) for g in (G, E)], batch()
    alone = [gd.solve(f, "rk4", h=0.02, steps=30, batch=b).state.y for f in flows]
    found: dict[int, torch.Tensor] = {}

    def work(i):
        found[i] = gd.solve(flows[i], "rk4", h=0.02, steps=30, batch=b, observers=[lambda v: None]).state.y

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(torch.equal(found[i], alone[i]) for i in (0, 1))
