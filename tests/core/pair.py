"""What two processes do, each with a part of the data: a script that `test_parallel` starts twice, and reads.

What one process does with all of the data, to compare, is made of the same functions.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

import gamedyn as gd
from gamedyn import optim
from gamedyn.core.collectives import Copied, Ranks, Reduced
from gamedyn.core.living import Living
from gamedyn.core.parallel import data_parallel
from gamedyn.core.processes import Alone
from gamedyn.games.adversarial import mlp

DOUBLE = torch.float64
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "processes.md"
SAMPLES, SHARDS = 40, {"equal": (20, 20), "unequal": (15, 25)}
DEPARTED = 3
SEES = "its own error says more"


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def gan(norm=None):
    g = seeded(3)
    G, D = (mlp(widths, generator=g, dtype=DOUBLE) for widths in ((2, 12, 2), (2, 12, 12, 1)))
    if norm is not None:
        D = nn.Sequential(D[0], norm, *D[1:])
    return gd.games.gan(G, D)


def spectral():
    game = gan()
    with torch.random.fork_rng():
        torch.set_rng_state(seeded(1).get_state())  # the vectors it begins with are drawn
        nn.utils.parametrizations.spectral_norm(game.players["D"][2])
    return gd.games.gan(*game.players.values())


def data():
    """Samples of 16 Gaussians on a grid, and noise."""
    g = seeded(4)
    modes = torch.cartesian_prod(*[torch.linspace(-1.5, 1.5, 4, dtype=DOUBLE)] * 2)
    real = modes[torch.randint(16, (SAMPLES,), generator=g)]
    return real + 0.1 * torch.randn(SAMPLES, 2, generator=g, dtype=DOUBLE), torch.randn(
        SAMPLES, 2, generator=g, dtype=DOUBLE
    )


def shard(rank, sizes):
    start = sum(sizes[:rank])
    return tuple(x[start : start + sizes[rank]] for x in data())


def gradient(game):
    return gd.flows.gradient(game, rates={"D": 2.0})


FLOWS = {
    "gradient": gradient,
    "module_rates": lambda game: gd.flows.gradient(game, rates={"D": 2.0, "D.0": 0.5}),
    "r1": lambda game: gradient(game).with_term(gd.losses.r1(0.7)),
    "weight_decay": lambda game: gradient(game).with_term(gd.losses.weight_decay(0.3, into="D")),
    "squared_gradient": lambda game: gradient(game).with_term(gd.losses.squared_gradient(0.5)),
    "consensus": lambda game: gd.flows.consensus(gradient(game), 0.4),
    "sga": lambda game: gd.flows.symplectic_adjustment(gradient(game), align=True),
    "drift_cancelled": lambda game: gd.flows.drift_cancelled(gradient(game), h=0.05, part="cross"),
    "all": lambda game: gd.flows.consensus(
        gradient(game).with_term(gd.losses.r1(0.7)).with_term(gd.losses.squared_gradient(0.5)), 0.4
    ),
}


def vectors(n):
    return torch.randn(2, n, generator=seeded(5), dtype=DOUBLE)


def solved(flow, batch, method="rk4", **kwargs):
    kwargs = {"h": 0.05, "steps": 4, **kwargs}
    return gd.solve(flow, method, batch=batch, **kwargs)


def observed(flow, batch, check=True):
    """What is compared: a field, its derivatives, a trajectory."""
    state = flow.game.state()
    field = flow.at(state, batch, check=check)
    value = field(0.0, state.y).clone()
    products = field.jacobian()
    u, w = vectors(len(state.y))
    run = solved(flow, batch, check=check)
    return {
        "field": value,
        "losses": torch.stack(field.losses),
        "player": field.player(1, 0.0, state.y).clone(),
        "J u": products.jvp(u),
        "J^T w": products.vjp(w),
        "J of rows": products.jvp(torch.stack([u, w])),
        "cross": field.linearise(0.0, state.y).cross(u),
        "trajectory": run.state.y,
        "recorded": torch.stack([run.records.losses[p] for p in "GD"]),
        "asymmetry": w @ products.jvp(u) - u @ products.vjp(w),
    }


def dense(flow, batch):
    return flow.at(flow.game.state(), batch).jacobian().to_dense()


def adaptive(flow, batch):
    control = gd.steps.Adaptive(1e-8, 1e-8)
    return gd.solve(flow, "dopri5", t_span=(0.0, 0.3), batch=batch, h=control).state.y


def adam(flow, batch):
    return solved(gd.flows.adam(flow, a1=5.0, a2=1.0), batch, "euler").state.y


def ensemble(flow, batch):
    run = gd.solve_ensemble(flow, "heun2", h=[0.02, 0.05], steps=3, batches=iter([batch] * 4))
    return run.state.y


def operator(flow, batch, strategy):
    """J u, J^T u and a block's product."""
    J = gd.spectrum.GameJacobian(flow, flow.game.state(), batch, strategy=strategy)
    u, _ = vectors(flow.game.layout.n)
    return torch.cat([J @ u, J.T @ u, J.block("D", "G") @ u[flow.game.layout.slices[0]]])


def verdicts(flow, batch):
    """Bounds of a verdict's answers, Stackelberg's second derivatives among them; a limit confirmed; a monitor's."""
    state = flow.game.state()
    found = gd.spectrum.verdict(flow, state, batch)
    bounds = [x for a in found.answers().values() for pair in a.bounds.values() for x in pair]
    values = gd.spectrum.linearise(flow, state, batch).eigenvalues
    tried = gd.spectrum.confirm(flow, "rk4", state, values, batch)
    seen = gd.spectrum.SpectralMonitor(flow, "rk4", batch=batch).measure(state, 0.1)
    return torch.tensor([*bounds, tried.radius, tried.predicted, *seen.ratios.values()], dtype=DOUBLE)


def convex():
    """Two players of three numbers, each in a bowl of its own: all of a verdict's questions are gone into."""

    def losses(x, y, batch):
        real, z = batch
        turn = ((real @ x[:2]) * (z @ y[:2])).mean()
        own = {"x": (real @ x[:2] + x[2]).square().mean(), "y": 2 * (z @ y[:2] + y[2]).square().mean()}
        return {"x": own["x"] + turn + 0.1 * (real @ x[:2]).pow(3).mean(), "y": own["y"] - turn}

    zero = torch.zeros(3, dtype=DOUBLE)
    return gd.Game({"x": zero, "y": zero.clone()}, losses)


def optimizer_steps(players, batch, made=None):
    """The parameters after two steps of the optimiser's face, whose game is made by `made`."""
    real, z = batch
    G, D = players["G"], players["D"]

    def closure():
        fake = D(G(z))
        softplus = nn.functional.softplus
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}

    optimizer = optim.GameOptimizer(players, "rk4", lr=0.05, parallel=made)
    for _ in range(2):
        optimizer.step(closure)
    return torch.cat([p.detach().reshape(-1) for m in (G, D) for p in m.parameters()])


# --- what the two processes do -------------------------------------------------------------------------------------


def raised(call):
    """The class and words of the error, or what came instead."""
    try:
        return "none", repr(call())
    except Exception as error:
        return type(error).__name__, str(error)


def equalities(rank):
    out = {}
    for split, sizes in SHARDS.items():
        part, weight = shard(rank, sizes), None if split == "equal" else sizes[rank] / SAMPLES
        for name, make in FLOWS.items():
            seen = observed(make(data_parallel(gan(), weight=weight)), part)
            out |= {(split, name, what): value for what, value in seen.items()}
    return out


def users(rank):
    """Everything else that is made of a game, on unequal shards."""
    part, weight = shard(rank, SHARDS["unequal"]), SHARDS["unequal"][rank] / SAMPLES
    games = {name: make(data_parallel(gan(), weight=weight)) for name, make in FLOWS.items()}
    return {
        ("dense", "gradient"): dense(games["gradient"], part),
        ("dense", "all"): dense(games["all"], part),
        ("ensemble", "gradient"): ensemble(games["gradient"], part),
        ("ensemble", "r1"): ensemble(games["r1"], part),
        "forward": operator(games["all"], part, "forward"),
        "kept": operator(games["all"], part, "kept"),
        "compiled": raised(lambda: operator(games["gradient"], part, "compiled")),
        "least": games["gradient"].game.processes.least(3.0 - rank),
        "late": late(part, weight),
        "shared stages": shared_stages(rank, part, weight),
        "spectral": dense(gradient(data_parallel(spectral(), weight=weight)), part),
        "adam": adam(games["gradient"], part),
        "optimizer": optimizer_steps(gan().players, part, lambda game: data_parallel(game, weight=weight)),
        "implicit": solved(games["r1"], part, "implicit_midpoint").state.y,
        "adaptive": adaptive(games["gradient"], part),
        "verdicts": verdicts(games["r1"], part),
        "verdicts, convex": verdicts(gd.flows.gradient(data_parallel(convex(), weight=weight)), part),
    }


@contextlib.contextmanager
def delayed(*, forever=False):
    """Sums that are begun in no hurry: nothing has arrived before it is waited for."""
    send, arrived, waiting = Ranks.send, Ranks.arrived, []

    def put_off(self, tensors):
        flat = torch.cat([x.detach().reshape(-1) for x in tensors])
        waiting.append(flat)
        return [p.view(x.shape) for p, x in zip(flat.split([x.numel() for x in tensors]), tensors, strict=True)]

    def waited_for(self):
        self.ahead, sums = False, list(waiting)
        waiting.clear()
        for flat in () if forever else sums:
            self.sum_(flat)

    Ranks.send, Ranks.arrived = put_off, waited_for
    try:
        yield
    finally:
        Ranks.send, Ranks.arrived = send, arrived


def late(part, weight):
    """Fields whose sums arrive late, by flow."""
    with delayed():
        flows = {name: FLOWS[name](data_parallel(gan(), weight=weight)) for name in AHEAD}
        flows["spectral"] = gradient(data_parallel(spectral(), weight=weight))
        return {name: flow.at(flow.game.state(), part)(0.0, flow.game.state().y) for name, flow in flows.items()}


SHARED = {
    "rk4": gradient,
    "heun2": lambda game: gd.flows.adam(gradient(game), a1=5.0, a2=1.0),
    "rdpk35": gradient,
    "rk4_penalty_first_stage": lambda game: gradient(game).with_term(gd.losses.squared_gradient(0.5)),
}


def shared_stages(rank, part, weight):
    """States of solves whose stages the ranks share; and what a step holds with and without, in vectors."""
    states = {}
    for method, make in SHARED.items():
        flow = make(data_parallel(gan(), weight=weight))
        run = solved(flow, part, method, stages="sharded", save_at=[0.05, 0.12] if method == "rk4" else ())
        states[method] = [run.state.y, *(s.y for s in run.saved.values())]
    return states, [held(stages) for stages in ("full", "sharded")]


def held(stages):
    """The most that is held after the first steps, in vectors of parameter size, the players' own one included."""
    g = seeded(0)
    wide = gd.games.gan(*(mlp(widths, generator=g) for widths in ((2, 200, 200, 2), (2, 200, 200, 1))))
    flow, found = gd.flows.gradient(data_parallel(wide)), []

    def look(view):
        living.peak = living.now if view.step == 2 else living.peak
        found.append(living.peak / 4 / flow.game.layout.n)

    batch = tuple(torch.randn(4, 2, generator=g) for _ in range(2))
    with Living() as living:
        gd.solve(flow, "rk4", h=0.05, steps=7, batch=batch, stages=stages, check=False, observers=[look])
    return found[-1]


AHEAD = ("gradient", "module_rates", "r1", "weight_decay")


@contextlib.contextmanager
def mutant(cls, name, replacement):
    good = cls.__dict__[name]
    setattr(cls, name, staticmethod(replacement))
    try:
        yield
    finally:
        setattr(cls, name, good)


class SumOnly(torch.autograd.Function):
    """The sum over ranks, which says nothing of its derivative but the identity's."""

    @staticmethod
    def forward(ctx, ranks, *tensors):
        return tuple(ranks.sum_(x.clone()) for x in tensors)

    @staticmethod
    def backward(ctx, *cotangents):
        return None, *cotangents


def mutants(rank):
    """The same observations, with a mistake in each, and nobody who compares the ranks' states: that would tell."""
    part, out = shard(rank, SHARDS["equal"]), {}
    with mutant(Copied, "backward", lambda ctx, *g: (None, *g)):
        out["told"] = raised(lambda: solved(FLOWS["gradient"](data_parallel(gan())), part, check=False))
    compares, Ranks.agreed = Ranks.agreed, Alone.agreed

    def observe(label, *names, weight=None):
        for name in names:
            seen = observed(FLOWS[name](data_parallel(gan(), weight=weight)), part, check=False)  # it would tell
            out.update({(label, name, k): v for k, v in seen.items()})

    with mutant(Copied, "backward", lambda ctx, *g: (None, *g)):
        observe("no reduction backwards", "gradient")
    with mutant(Copied, "backward", lambda ctx, *g: (None, *[x.detach() for x in Reduced.apply(ctx.ranks, *g)])):
        observe("a reduction without a derivative", "squared_gradient")
    with mutant(Copied, "backward", lambda ctx, *g: (None, *SumOnly.apply(ctx.ranks, *g))):
        observe("cotangents of gradients not reduced", "gradient", "squared_gradient")
    with mutant(Reduced, "backward", lambda ctx, *g: (None, *Reduced.apply(ctx.ranks, *g))):
        observe("a sum that is summed again backwards", "gradient", "consensus")
    with delayed(forever=True):
        observe("sums that are not waited for", "gradient", "r1")
    share = Ranks._share
    Ranks._share = lambda self, weight: 1.0
    try:
        observe("sum instead of mean", "gradient")
    finally:
        Ranks._share = share
    seen = observed(FLOWS["squared_gradient"](gan()), part)
    game = data_parallel(gan())
    out["penalty of the shard", "squared_gradient", "field"] = game.processes.sum_(seen["field"].clone()) / 2
    Ranks.agreed = compares
    return out


def failures(rank):
    """Every one ends on both ranks; what each says."""
    out, part = {}, shard(rank, SHARDS["equal"])

    unequal = gan()
    with torch.no_grad():
        unequal.players["D"][2].weight[0, 0] += rank
    out["unequal parameters"] = raised(lambda: data_parallel(unequal))

    game = data_parallel(gan())
    shifted = game.state().y + 1e-15 * rank
    out["unequal y0"] = raised(lambda: solved(gradient(game), part, y0=shifted))
    out["unequal state"] = raised(lambda: gradient(game).at(game.own(shifted), part).jacobian())
    out["another game"] = raised(lambda: data_parallel(gd.games.bilinear() if rank else gan()))
    out["weights"] = raised(lambda: data_parallel(gan(), weight=0.4))
    out["one weight"] = raised(lambda: data_parallel(gan(), weight=0.5 if rank else None))
    out["negative weight"] = raised(lambda: data_parallel(gan(), weight=1.5 if rank else -0.5))
    out["twice"] = raised(lambda: data_parallel(game))

    bad = (torch.full_like(part[0], torch.nan), part[1]) if rank == 1 else part
    run = solved(gradient(game), bad, throw=False)
    out["nan"] = run.status, run.step, bool(run.state.y.isfinite().all())
    out["nan thrown"] = raised(lambda: solved(gradient(game), bad))

    wrong = (part[0][:, :1], part[1]) if rank == 1 else part
    out["batch of one rank"] = raised(lambda: solved(gradient(game), wrong))

    for name in ("gradient", "r1"):
        calls = []

        def breaking(batch, calls=calls):
            calls.append(1)
            if rank == 1 and len(calls) == 9:
                raise KeyError("a sample is gone")
            return batch[0]

        flow = FLOWS[name](data_parallel(gd.games.gan(*gan().players.values(), real=breaking)))
        out["breaks", name] = raised(lambda flow=flow: solved(flow, part, steps=50))
    many = iter([part, part, wrong, part, part])
    flow = gradient(data_parallel(gan()))
    out["breaks", "ensemble"] = raised(lambda: gd.solve_ensemble(flow, "euler", h=[0.02, 0.05], steps=4, batches=many))

    plain = data_parallel(gan())
    run = solved(gradient(plain), part, execution="compiled")
    out["compiled"] = run.stats["execution"], run.state.y
    drawing = nn.Sequential(nn.Dropout(0.3), gan().players["D"])
    flow = gradient(data_parallel(gd.games.gan(gan().players["G"], drawing)))
    with torch.random.fork_rng():
        torch.set_rng_state(seeded(rank).get_state())
        run = solved(flow, part)
    out["drawing"] = run.status, run.state.y
    return out


def norms(rank):
    """Batch norm takes its shard's statistics in training; in eval mode, and other norms, nothing differs."""
    out, part = {}, shard(rank, SHARDS["equal"])
    for name, norm, train in NORMS:
        game = gan(norm())
        game.players["D"].train(train)
        flow = gradient(data_parallel(game))
        out[name] = flow.field(part)(0.0, game.state().y), solved(flow, part, steps=2).state.buffers
    return out


NORMS = (
    ("batch", lambda: nn.BatchNorm1d(12, dtype=DOUBLE), True),
    ("batch, eval", lambda: nn.BatchNorm1d(12, dtype=DOUBLE), False),
    ("layer", lambda: nn.LayerNorm(12, dtype=DOUBLE), True),
)


def departed(rank):
    """Rank 1 ends in the middle of a solve, outside the losses: what rank 0 sees, and when."""
    began = time.monotonic()

    def leave(view):
        if rank == 1 and view.step == 3:
            os._exit(DEPARTED)

    flow = gradient(data_parallel(gan()))
    seen = raised(lambda: solved(flow, shard(rank, SHARDS["equal"]), steps=9, observers=[leave]))
    return *seen, time.monotonic() - began


def main(rank, folder):
    torch.set_num_threads(1)
    init = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    seen = {f.__name__: f(rank) for f in (equalities, users, mutants, failures, norms)}
    torch.save(seen, Path(folder) / f"{rank}.pt")
    torch.save(departed(rank), Path(folder) / "departed.pt")  # rank 1 does not come here
    os._exit(0)  # gloo's own threads, their peer gone, may abort an interpreter that ends in the usual way


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2])
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # leave no process waiting in a destructor
