"""Two processes, each with a part of the data, against one that has all of it.

Run as a script this file is one of the two; the tests start them, with a limit on time, and compare what they wrote.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
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


def judged(flow, batch):
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
        "judged": judged(games["r1"], part),
        "judged, convex": judged(gd.flows.gradient(data_parallel(convex(), weight=weight)), part),
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


# --- the tests -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes saw; they are ended when their time is over."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    running = [subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], **pipes) for rank in range(2)]
    try:
        said = [process.communicate(timeout=200)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0, DEPARTED], "\n".join(said)
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2))
    return [{**first, "departed": torch.load(folder / "departed.pt", weights_only=False)}, second]


@pytest.fixture(scope="module")
def whole():
    """One process with all of the data."""
    return {name: observed(make(gan()), data()) for name, make in FLOWS.items()}


def gap(a, b):
    return float((a - b).norm() / b.norm().clamp_min(1.0))


@pytest.mark.parametrize("split", SHARDS)
@pytest.mark.parametrize("name", FLOWS)
class TestEqualities:
    def test_two_processes_equal_one(self, both, whole, split, name):
        # rejects: the mutants of TestMutants; J u of a shard; weights that are not the samples' shares
        for rank in range(2):
            for what, value in whole[name].items():
                assert gap(both[rank]["equalities"][split, name, what], value) < 1e-12, (rank, what)

    def test_ranks_agree_bit_for_bit(self, both, whole, split, name):
        # rejects: ranks that drift apart, and would take different branches one day
        for what in whole[name]:
            assert torch.equal(*[seen["equalities"][split, name, what] for seen in both]), what


class TestUsers:
    @pytest.mark.parametrize("name", ["gradient", "all"])
    def test_dense_jacobian(self, both, name):
        # rejects: rows of a batched backward that are reduced one for all, or not
        J = dense(FLOWS[name](gan()), data())
        assert all(gap(seen["users"]["dense", name], J) < 1e-12 for seen in both)

    @pytest.mark.parametrize("name", ["gradient", "r1"])
    def test_ensemble(self, both, name):
        # rejects: members mixed up in the flat buffer
        y = ensemble(FLOWS[name](gan()), data())
        assert all(gap(seen["users"]["ensemble", name], y) < 1e-12 for seen in both)

    @pytest.mark.parametrize("name", AHEAD)
    def test_sums_that_arrive_late(self, both, whole, name):
        # rejects: a gradient that is multiplied with a rate, or read, before all ranks' parts of it are there
        assert all(gap(seen["users"]["late"][name], whole[name]["field"]) < 1e-12 for seen in both)

    @pytest.mark.parametrize("method", SHARED)
    def test_stages_that_are_shared(self, both, method):
        # rejects: a share put in another place, a stage point of which others' shares are the last one's, a part of a
        # step that begins from what the step has reached
        saves = [0.05, 0.12] if method == "rk4" else ()
        run = solved(SHARED[method](gan()), data(), method, save_at=saves)
        whole = [run.state.y, *(s.y for s in run.saved.values())]
        for seen in both:
            states = seen["users"]["shared stages"][0][method]
            assert len(states) == len(whole)
            assert all(gap(a, b) < 1e-12 for a, b in zip(states, whole, strict=True))

    def test_shared_stages_take_a_share_of_the_memory(self, both):
        # rejects: whole stages, or a whole copy of y, kept by each: 5 registers are half as many; the point, the
        # gradients and what is sent of them, the last checked state and the players' own are whole
        for seen in both:
            full, shared = seen["users"]["shared stages"][1]
            assert shared <= 5 / 2 + 5 + 0.1
            assert full >= shared + 2.4

    def test_converged_spectral_norms(self, both):
        # rejects: the gradient in the vectors, which are functions of the leaves, added to one that is on its way
        flow = gradient(spectral())
        value = flow.field(data())(0.0, flow.game.state().y)
        J = dense(flow, data())
        for seen in both:
            assert gap(seen["users"]["late"]["spectral"], value) < 1e-12
            assert gap(seen["users"]["spectral"], J) < 1e-9

    @pytest.mark.parametrize("strategy", ["forward", "kept"])
    def test_operator(self, both, strategy):
        # rejects: tangents of a shard, in the strategy that has dual numbers
        product = operator(FLOWS["all"](gan()), data(), "kept")
        assert all(gap(seen["users"][strategy], product) < 1e-12 for seen in both)

    def test_what_is_compiled_or_chosen(self, both):
        # rejects: ranks that compile each by itself; a rank that has less memory choosing by itself
        for seen in both:
            kind, text = seen["users"]["compiled"]
            assert kind == "ArgumentError"
            assert "to be traced, got 2 ranks" in text
            assert seen["users"]["least"] == 2.0
        assert (gan().processes.alone, gan().processes.least(3.0)) == (True, 3.0)

    def test_a_flow_of_another_game(self, both):
        # rejects: losses that go past the ranks in the game that adam extends
        y = adam(gradient(gan()), data())
        assert all(gap(seen["users"]["adam"], y) < 1e-12 for seen in both)

    def test_optimizer(self, both):
        # rejects: a closure's losses that stay the shard's
        y = optimizer_steps(gan().players, data())
        assert all(gap(seen["users"]["optimizer"], y) < 1e-12 for seen in both)

    def test_implicit_and_adaptive(self, both):
        # rejects: ranks that iterate or reject differently; 1e-9: Newton's and the controller's own tolerances decide
        newton = solved(FLOWS["r1"](gan()), data(), "implicit_midpoint").state.y
        for what, value in (("implicit", newton), ("adaptive", adaptive(gradient(gan()), data()))):
            assert all(gap(seen["users"][what], value) < 1e-9 for seen in both)
            assert torch.equal(*[seen["users"][what] for seen in both])

    def test_verdict_confirmation_and_monitor(self, both):
        # rejects: the shard's second derivatives in the leader's Hessian, a start or a stop that differs by rank
        for what, flow in (("judged", FLOWS["r1"](gan())), ("judged, convex", gd.flows.gradient(convex()))):
            found = judged(flow, data())
            assert len(found) >= 12
            for seen in both:
                torch.testing.assert_close(seen["users"][what], found, rtol=1e-7, atol=1e-9, equal_nan=True)


class TestMutants:
    """The tests above reject each: by the quantity named, on a rank at least."""

    @pytest.mark.parametrize(
        ("label", "name", "what"),
        [
            ("no reduction backwards", "gradient", "field"),
            ("a reduction without a derivative", "squared_gradient", "field"),
            ("cotangents of gradients not reduced", "gradient", "J u"),
            ("cotangents of gradients not reduced", "squared_gradient", "J^T w"),
            ("a sum that is summed again backwards", "gradient", "J^T w"),
            ("a sum that is summed again backwards", "consensus", "field"),
            ("sums that are not waited for", "gradient", "field"),
            ("sums that are not waited for", "r1", "field"),
            ("sum instead of mean", "gradient", "field"),
            ("penalty of the shard", "squared_gradient", "field"),
        ],
    )
    def test_rejected(self, both, whole, label, name, what):
        assert max(gap(seen["mutants"][label, name, what], whole[name][what]) for seen in both) > 1e-4

    def test_states_that_come_apart_are_told_on_both(self, both):
        for seen in both:
            kind, text = seen["mutants"]["told"]
            assert kind == "ArgumentError"
            assert text.startswith("state: expected one state on all ranks, got another than rank 0's on rank 1")


def told(both, what):
    return [seen["failures"][what] for seen in both]


class TestFailures:
    def test_unequal_starts_are_refused_on_both(self, both):
        for kind, text in told(both, "unequal parameters"):
            assert kind == "ArgumentError"
            assert text.startswith("game: expected equal values on all ranks, got other than on rank 0: D.2.weight on")
        for what in ("unequal y0", "unequal state"):
            for kind, text in told(both, what):
                assert kind == "ArgumentError"
                assert text.startswith("state: expected equal values on all ranks, got other than on rank 0: G.")

    def test_other_arguments_are_refused_on_both(self, both):
        for what, start in {
            "another game": "game: expected one game on all ranks, got other players, shapes or dtype on rank 1",
            "weights": "weight: expected numbers above 0 that add up to 1 over the ranks, got [0.4, 0.4]",
            "one weight": "weight: expected numbers above 0 that add up to 1 over the ranks, got [None, 0.5]",
            "negative weight": "weight: expected numbers above 0 that add up to 1 over the ranks, got [-0.5, 1.5]",
            "twice": "game: expected a game of one process",
        }.items():
            for kind, text in told(both, what):
                assert kind == "ArgumentError", what
                assert text.startswith(start)

    def test_nan_on_one_rank_ends_both(self, both):
        # rejects: a rank that goes on with finite values while the other stops
        assert told(both, "nan") == [("non_finite", 0, True)] * 2
        for kind, text in told(both, "nan thrown"):
            assert kind == "SolveError"
            assert "not finite at the start" in text

    def test_a_batch_that_one_rank_refuses(self, both):
        (kind0, text0), (kind1, text1) = told(both, "batch of one rank")
        assert (kind0, kind1) == ("ArgumentError", "ArgumentError")
        assert text0.startswith("game: expected a game that every rank can evaluate, got on rank 1, ArgumentError")
        assert SEES in text0
        assert text1.startswith("losses: expected a function that takes the players and the batch")

    @pytest.mark.parametrize("name", ["gradient", "r1", "ensemble"])
    def test_a_loss_that_raises_on_one_rank_later(self, both, name):
        # rejects: the other rank waiting for a sum that never comes
        (kind0, text0), (kind1, text1) = told(both, ("breaks", name))
        assert kind0 == "ArgumentError"
        assert text0.startswith("losses: expected losses that every rank can evaluate, got an error on rank 1")
        assert kind1 == ("RuntimeError" if name == "ensemble" else "KeyError")
        assert SEES not in text1

    def test_a_compiled_step_falls_back_on_both(self, both):
        y = solved(gradient(gan()), data()).state.y
        for reason, found in told(both, "compiled"):
            assert reason.startswith("eager, not compiled: ranks wait for one another")
            assert gap(found, y) < 1e-12

    def test_losses_that_draw(self, both):
        # each rank draws its own; the solve is one all the same
        (first, y), (second, z) = told(both, "drawing")
        assert (first, second) == ("done", "done")
        assert torch.equal(y, z)

    def test_a_rank_that_ends_ends_the_other(self, both):
        # rejects: waiting until the group's timeout (the fixture asks for rank 1's exit code)
        kind, text, seconds = both[0]["departed"]
        assert kind.endswith("Error")
        assert text
        assert seconds < 30

    def test_without_a_process_group(self):
        with pytest.raises(gd.ArgumentError, match="init_process_group"):
            data_parallel(gan())


class TestNorms:
    def test_batch_norm_takes_the_shards_statistics(self, both):
        # what the docstring says: the mean of the shards' fields, each at its own statistics; their buffers differ
        fields = []
        for rank in range(2):
            game = gan(NORMS[0][1]())
            fields.append(gradient(game).field(shard(rank, SHARDS["equal"]))(0.0, game.state().y))
        for seen in both:
            assert gap(seen["norms"]["batch"][0], (fields[0] + fields[1]) / 2) < 1e-12
        assert not torch.equal(*[seen["norms"]["batch"][1][0] for seen in both])

    @pytest.mark.parametrize("at", [1, 2])
    def test_other_norms_are_exact(self, both, at):
        name, norm, train = NORMS[at]
        game = gan(norm())
        game.players["D"].train(train)
        value = gradient(game).field(data())(0.0, game.state().y)
        assert all(gap(seen["norms"][name][0], value) < 1e-12 for seen in both)


def test_the_page_runs(tmp_path):
    # rejects: a page whose script fails under torchrun, or whose two processes differ from one
    (script,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    two = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert two.returncode == 0, two.stderr
    alone = 'init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)'
    with contextlib.redirect_stdout(io.StringIO()) as one:
        exec(compile(script.replace('init_process_group("gloo")', alone), "data_parallel.md", "exec"), {})
    assert not dist.is_initialized()
    assert two.stdout == one.getvalue()
    assert re.search(r"done 40 \|v\| = \d", two.stdout)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2])
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # leave no process waiting in a destructor
