"""What the optimiser keeps: restarts, learning rates that may not change, failures that leave nothing behind."""

import io

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn.integrators import dispatch
from gamedyn.integrators.bridges.torch_optim import TorchOptimStepper
from gamedyn.optim import GameOptimizer

LR = {"G": 0.05, "D": 0.125}


def networks(seed=0, *, norm=False):
    g = torch.Generator().manual_seed(seed)
    G = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Linear(8, 2))
    D = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for p in [*G.double().parameters(), *D.double().parameters()]:
            p.copy_(0.5 * torch.randn(p.shape, generator=g))
    return G, D


def batches(count):
    g = torch.Generator().manual_seed(1)
    shapes = (16, 2), (16, 3)
    return [tuple(torch.randn(s, generator=g, dtype=torch.float64) for s in shapes) for _ in range(count)]


def losses(G, D, batch):
    real, z = batch
    fake = D(G(z))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}


def flat(*modules):
    return torch.cat([p.detach().flatten() for m in modules for p in m.parameters()])


def stepped(optimizer, G, D, given):
    for batch in given:
        optimizer.step(lambda batch=batch: losses(G, D, batch))


@pytest.fixture
def everything(monkeypatch):
    """torch.optim's classes as methods, whether or not they are stepped by name."""
    if TorchOptimStepper not in dispatch.STEPPERS:
        monkeypatch.setattr(dispatch, "STEPPERS", (*dispatch.STEPPERS, TorchOptimStepper))


METHODS = [
    "rk4", "alternating", "ab3", "heavy_ball", "optimistic", "bdf2", "implicit_midpoint", "pece_ab2_am2",
    "ck54", "cgd", "lookahead5", "torchdiffeq:explicit_adams", "torch.optim:Adam",
]  # fmt: skip


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [1, 4])
def test_a_restart_from_files_equals_the_uninterrupted_run_bit_for_bit(method, after, tmp_path):
    # rejects: memory, step count or rates left out; memory that later steps write into; buffers advanced by a trial
    given = batches(8)
    G, D = networks(norm=True)
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)
    stepped(optimizer, G, D, given[:after])
    kept = {"G": G.state_dict(), "D": D.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(kept, tmp_path / "kept.pt")
    alive = optimizer.state_dict()
    stepped(optimizer, G, D, given[after:])
    P, Q = networks(seed=9, norm=True)
    other = GameOptimizer({"G": P, "D": Q}, method, lr=1e-3)
    read = torch.load(tmp_path / "kept.pt", weights_only=True)
    P.load_state_dict(read["G"]), Q.load_state_dict(read["D"])
    other.load_state_dict(read["optimizer"])
    assert other.steps == after
    assert [group["lr"] for group in other.param_groups] == list(LR.values())
    stepped(other, P, Q, given[after:])
    assert torch.equal(flat(P, Q), flat(G, D))
    assert all(torch.equal(a, b) for a, b in zip(P.buffers(), G.buffers(), strict=True))
    P.load_state_dict(read["G"]), Q.load_state_dict(read["D"])
    other.load_state_dict(alive)  # back to an earlier state: it must not have been written to
    stepped(other, P, Q, given[after:])
    assert torch.equal(flat(P, Q), flat(G, D))


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("method", ["ab3", "torch.optim:Adam"])
def test_a_failed_step_after_a_restart_may_be_tried_again(method):
    # rejects: a memory that was read, and then written to by a step that failed
    given = batches(6)
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)
    stepped(optimizer, G, D, given[:4])
    P, Q = networks()
    P.load_state_dict(G.state_dict()), Q.load_state_dict(D.state_dict())
    other = GameOptimizer({"G": P, "D": Q}, method, lr=LR)
    other.load_state_dict(optimizer.state_dict())
    with pytest.raises(gd.SolveError):
        stepped(other, P, Q, [(given[4][0] * float("inf"), given[4][1])])
    stepped(other, P, Q, given[4:])
    stepped(optimizer, G, D, given[4:])
    assert torch.equal(flat(P, Q), flat(G, D))


def test_schedulers_and_the_state_go_on_together():
    given = batches(6)
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "heun2", lr=LR)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for batch in given[:3]:
        stepped(optimizer, G, D, [batch])
        schedule.step()
    file = io.BytesIO()
    torch.save([G.state_dict(), D.state_dict(), optimizer.state_dict(), schedule.state_dict()], file)
    for batch in given[3:]:
        stepped(optimizer, G, D, [batch])
        schedule.step()
    file.seek(0)
    read = torch.load(file, weights_only=True)
    P, Q = networks(seed=9)
    other = GameOptimizer({"G": P, "D": Q}, "heun2", lr=LR)
    again = torch.optim.lr_scheduler.ExponentialLR(other, 0.9)
    for target, state in zip((P, Q, other, again), read, strict=True):
        target.load_state_dict(state)
    for batch in given[3:]:
        stepped(other, P, Q, [batch])
        again.step()
    assert torch.equal(flat(P, Q), flat(G, D))


def test_states_of_others_are_refused():
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "ab2", lr=LR)
    stepped(optimizer, G, D, batches(2))
    state = optimizer.state_dict()
    with pytest.raises(gd.ArgumentError, match=r"same method \(rk4\), got ab2"):
        GameOptimizer({"G": G, "D": D}, "rk4", lr=LR).load_state_dict(state)
    with pytest.raises(gd.ArgumentError, match="one of another game"):
        GameOptimizer({"G": G, "C": D}, "ab2", lr=0.1).load_state_dict(state)
    adam = torch.optim.Adam([*G.parameters(), *D.parameters()])
    with pytest.raises(gd.ArgumentError, match="one that a GameOptimizer gave"):
        optimizer.load_state_dict(adam.state_dict())


@pytest.mark.parametrize("method", ["ab2", "optimistic", "heavy_ball", "bdf2", "pece_ab2_am2"])
def test_methods_that_remember_refuse_changed_rates(method):
    # rejects: a step of another length combined with field values of the old one
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)
    one, two, three = batches(3)
    optimizer.param_groups[0]["lr"] = 0.025  # before the first step they are free
    stepped(optimizer, G, D, [one])
    before = flat(G, D)
    optimizer.param_groups[1]["lr"] = 0.0625
    with pytest.raises(gd.ArgumentError, match=r"G: 0.025, D: 0.125.*steps must be equal.*got .*D: 0.0625.*restart"):
        stepped(optimizer, G, D, [two])
    assert torch.equal(flat(G, D), before)
    optimizer.restart()
    P, Q = networks()
    P.load_state_dict(G.state_dict()), Q.load_state_dict(D.state_dict())
    stepped(optimizer, G, D, [two, three])
    stepped(GameOptimizer({"G": P, "D": Q}, method, lr={"G": 0.025, "D": 0.0625}), P, Q, [two, three])
    assert torch.equal(flat(G, D), flat(P, Q))


def test_a_refused_rate_leaves_the_history():
    # rejects: a memory given up by an error that comes before the step
    G, D = networks()
    P, Q = networks()
    optimizer, other = (GameOptimizer({"G": m, "D": n}, "ab3", lr=LR) for m, n in ((G, D), (P, Q)))
    given = batches(6)
    stepped(optimizer, G, D, given[:4])
    optimizer.param_groups[0]["lr"] = 1.0
    with pytest.raises(gd.ArgumentError, match="steps must be equal"):
        stepped(optimizer, G, D, given[4:])
    optimizer.param_groups[0]["lr"] = LR["G"]
    stepped(optimizer, G, D, given[4:])
    stepped(other, P, Q, given)
    assert torch.equal(flat(G, D), flat(P, Q))


class Remembering(gd.integrators._types.Stepper):
    """Heavy ball by the last displacement: a memory, and steps that may change by one factor for all."""

    method = gd.methods.get("euler")

    def __init__(self):
        self.taken = []

    def init(self, field, t, y, h):
        return {"last": torch.zeros_like(y), "h": h}

    def step(self, field, t, y, h, memory):
        self.taken.append(h)
        move = h * field(t, y) + 0.5 * (h / memory["h"]) * memory["last"]
        return y + move, {"last": move, "h": h}, gd.integrators._types.OK


def test_methods_with_a_memory_that_take_other_steps_get_the_factor(monkeypatch):
    # rejects: rates changed under a memory that was made with the old ones
    own = Remembering()
    monkeypatch.setattr("gamedyn.optim.stepper", lambda method: own)
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "euler", lr=LR)
    (batch,) = batches(1)
    stepped(optimizer, G, D, [batch])
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    stepped(optimizer, G, D, [batch])
    assert own.taken == [1.0, 0.5]
    optimizer.param_groups[0]["lr"] *= 0.9
    with pytest.raises(gd.ArgumentError, match="all changed by one factor"):
        stepped(optimizer, G, D, [batch])


@pytest.mark.usefixtures("everything")
def test_adam_takes_changed_rates_and_refuses_zero():
    # rejects: rates locked although no field value is kept; a division by a rate of 0
    lr = {"G": 0.0625, "D": 0.25}
    G, D = networks()
    P, Q = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "torch.optim:Adam", lr=lr)
    adam = torch.optim.Adam([{"params": P.parameters(), "lr": lr["G"]}, {"params": Q.parameters(), "lr": lr["D"]}])
    for i, batch in enumerate(batches(4)):
        stepped(optimizer, G, D, [batch])
        values = losses(P, Q, batch)
        own = [list(P.parameters()), list(Q.parameters())]
        grads = [torch.autograd.grad(values[n], x, retain_graph=True) for n, x in zip("GD", own, strict=True)]
        for p, g in zip(own[0] + own[1], grads[0] + grads[1], strict=True):
            p.grad = g
        adam.step()
        for groups in (optimizer.param_groups, adam.param_groups):
            groups[i % 2]["lr"] *= 0.5
    assert torch.equal(flat(G, D), flat(P, Q))
    optimizer.param_groups[0]["lr"] = 0.0
    with pytest.raises(gd.ArgumentError, match=r"above 0 for torch\.optim:Adam"):
        stepped(optimizer, G, D, batches(1))


@pytest.mark.parametrize("method", ["rk4", "ab2", "ck54"])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(method):
    # rejects: parameters or buffers of a failed step; a history that a failed step has touched
    G, D = networks(norm=True)
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)
    given = batches(5)
    stepped(optimizer, G, D, given[:3])
    before, held = flat(G, D), [b.clone() for b in G.buffers()]
    poisoned = (given[3][0] * float("nan"), given[3][1])
    with pytest.raises(gd.SolveError, match=rf"step 4 of {method}: the result is not finite.*D: nan"):
        stepped(optimizer, G, D, [poisoned])
    assert torch.equal(flat(G, D), before)
    assert all(torch.equal(a, b) for a, b in zip(G.buffers(), held, strict=True))
    assert optimizer.steps == 3
    P, Q = networks(seed=9, norm=True)
    P.load_state_dict(G.state_dict()), Q.load_state_dict(D.state_dict())
    stepped(optimizer, G, D, given[3:])
    stepped(GameOptimizer({"G": P, "D": Q}, method, lr=LR), P, Q, given[3:])
    assert torch.equal(flat(G, D), flat(P, Q))


def test_an_exception_in_a_later_stage_leaves_everything_as_it_was():
    G, D = networks(norm=True)
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=LR)
    one, two = batches(2)
    stepped(optimizer, G, D, [one])
    before, held, calls = flat(G, D), [b.clone() for b in G.buffers()], []

    def closure():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return losses(G, D, two)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert torch.equal(flat(G, D), before)
    assert all(torch.equal(a, b) for a, b in zip(G.buffers(), held, strict=True))
    assert all(isinstance(p, nn.Parameter) for m in (G, D) for p in m.parameters())


def test_a_stage_that_does_not_converge_is_an_error():
    G, D = networks()
    solver = gd.integrators.NewtonKrylov(rtol=1e-14, atol=1e-16, max_iterations=1)
    optimizer = GameOptimizer({"G": G, "D": D}, "implicit_midpoint", lr=50.0, solver=solver)
    before = flat(G, D)
    with pytest.raises(gd.SolveError, match="implicit_midpoint: a stage failed: not_converged"):
        stepped(optimizer, G, D, batches(1))
    assert torch.equal(flat(G, D), before)
