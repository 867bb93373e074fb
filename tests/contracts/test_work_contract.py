"""Work and registers of every method are what it declares."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.methods import (
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Partitioned,
    RungeKutta,
)
from tests.contracts.members import (
    DOUBLE,
    MADE,
    MAPS,
    OWN,
    data,
    inner_of,
    small_gan,
    start_up,
)

OURS = {**OWN, **MAPS, **MADE}


EXPLICIT = {name: m for name, m in OURS.items() if m.explicit}


SOLVED = {name: m for name, m in OURS.items() if not m.explicit}


def counted(monkeypatch, method, steps, flow=gd.flows.gradient):
    """A run; how often its losses were called; how many products were taken."""
    game, calls, products = small_gan(), [0], [0]
    inner = game.losses

    def counting(*args):
        calls[0] += 1
        return inner(*args)

    with monkeypatch.context() as patch:
        for name in ("jvp", "vjp"):
            original = getattr(KeptProducts, name)

            def wrapped(self, u, original=original):
                products[0] += 1 if u.dim() == 1 else len(u)
                return original(self, u)

            patch.setattr(KeptProducts, name, wrapped)
        game.losses = counting
        run = gd.solve(flow(game), method, h=0.05, steps=steps, batch=(data(), data()), check=False)
    return run, calls[0] - 3, products[0]  # one check, two probes


@pytest.mark.parametrize("method", list(EXPLICIT.values()), ids=list(EXPLICIT))
def test_work_of_explicit_methods_is_what_they_say(method, monkeypatch):
    # rejects: FSAL miscounts, a start-up step counted as one evaluation, an evaluation too many a move
    steps, starting = 12, start_up(method)
    run, calls, products = counted(monkeypatch, method, steps)
    expected = (steps - starting) * method.evaluations + starting * (method.start.evaluations if starting else 0)
    in_turn = isinstance(
        inner_of(method), (Partitioned, gd.methods.AlternatingMap)
    )  # a move calls the losses for one player's sake
    assert run.stats["evaluations"] == expected
    assert calls == expected * (2 if in_turn else 1)
    assert run.stats["player_gradients"] == 2 * expected
    assert run.stats["products"] == products
    assert run.stats["double_backward"] == 0
    coupled = getattr(method, "coupling", None) is not None
    assert products == (2 * steps if coupled else 0)  # a product for each player's influence on the other


def implicit_stages(method, newton, steps):
    """Evaluations of implicit Runge-Kutta steps: every Newton iterate is linearised, explicit stages evaluated."""
    if method.diagonally_implicit:
        return method.stages * steps + newton
    return steps + method.stages * newton  # at the first iterate all stages are one point


@pytest.mark.parametrize("method", list(SOLVED.values()), ids=list(SOLVED))
def test_work_of_methods_that_solve_is_all_counted(method, monkeypatch):
    # rejects: linearisations or products left out of the counts, iterations of one stage alone
    steps, starting = 9, start_up(inner_of(method))
    run, calls, products = counted(monkeypatch, method, steps)
    stats = run.stats
    assert calls == stats["evaluations"] == stats["player_gradients"] / 2
    assert products == stats["products"]
    if isinstance(method, RungeKutta):
        assert stats["linear_unsolved"] == 0
        assert stats["evaluations"] == implicit_stages(method, stats["newton_iterations"], steps)
        together = 1 if method.diagonally_implicit else method.stages  # a product with J for every stage
        assert products == together * stats["krylov_products"] > 0
    elif isinstance(method, LinearMultistep):
        first = counted(monkeypatch, method, starting)[0].stats
        own = {k: stats[k] - first.get(k, 0) for k in ("newton_iterations", "evaluations", "krylov_products")}
        assert own["evaluations"] == own["newton_iterations"] + steps - starting
        assert stats["products"] - first["products"] == own["krylov_products"] > 0
        if not method.start.explicit:
            assert first["evaluations"] == implicit_stages(method.start, first["newton_iterations"], starting)
    elif isinstance(method, LinearlyImplicit):
        assert stats["evaluations"] == method.evaluations * steps
        factor = {"full": 1, "cross": 2, "sym": 2, "skew": 2}[method.part]
        linear = sum(any(row[:i]) for i, row in enumerate(method.gamma)) * steps
        assert products == factor * (stats["krylov_products"] + linear)
    elif isinstance(method, ExponentialRosenbrock):
        assert stats["evaluations"] == method.evaluations * steps
        assert products == stats["krylov_products"] + len(method.c) * steps


@pytest.mark.parametrize(
    "method", [m for m in SOLVED.values() if isinstance(m, (RungeKutta, LinearMultistep))], ids=repr
)
def test_work_and_registers_that_a_solver_decides_are_not_declared(method):
    # rejects: the number of stages sold as the work of an implicit step
    row = next((r for r in gd.methods.table() if r.name == method.name), None)
    assert row is None or row.evaluations is row.registers is None


def test_double_backward_is_counted_apart():
    flow = gd.flows.gradient(small_gan()).with_term(gd.losses.squared_gradient(0.1))
    run = gd.solve(flow, "rk4", h=0.05, steps=3, batch=(data(), data()))
    assert run.stats["double_backward"] == run.stats["evaluations"] == 12


N = 6000  # entries of a register: weights, nodes and indices are nothing beside it


class Registers(TorchDispatchMode):
    """Counts the parameter-size memory that is alive after each operation, in registers; keeps the most."""

    def __init__(self):
        super().__init__()
        self.most, self._alive = 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self._alive = {  # before memory that has become free is given to another tensor
            key: (size, [r for r in tensors if r() is not None])
            for key, (size, tensors) in self._alive.items()
            if any(r() is not None for r in tensors)
        }
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage()
                self._alive.setdefault(storage._cdata, (storage.nbytes(), []))[1].append(weakref.ref(x))
        self.most = max(self.most, round(sum(size for size, _ in self._alive.values()) / (8 * N)))
        return out


SMALL = N // 100


class Bare:
    """A field v = -y that holds nothing but its point, and evaluates in place; one of its two players is nearly all."""

    parts = whole_parts = ("game", "penalty")
    autonomous, persistent, rates = True, True, {"x": 1.0, "y": 1.0}
    rated, noise = [("x", slice(0, 1)), ("y", slice(1, 2))], None
    work, batch_id, keeps_batch = None, 0, True
    layout = gd.Game({"x": torch.zeros(SMALL), "y": torch.zeros(N - SMALL)}, dict).layout
    names, players, members = ("x", "y"), (slice(0, SMALL), slice(SMALL, N)), None

    def __init__(self):
        self.point = torch.zeros(N, dtype=DOUBLE)
        self.shape = self.point.shape

    def __call__(self, t, y, out=None):
        if y is not self.point:
            self.point.copy_(y)
        out = torch.empty(N, dtype=DOUBLE) if out is None else out
        return torch.neg(self.point, out=out)

    def player(self, i, t, y, out=None):
        if y is not self.point:
            self.point.copy_(y)
        out = torch.empty_like(self.point[self.players[i]]) if out is None else out
        return torch.neg(self.point[self.players[i]], out=out)

    def weighted(self, factors, t, y, out=None):
        return self(t, y, out)

    def room(self, count, player=None):
        return self.stages(count, player)

    def release(self, rows):
        """Nothing is kept of them here."""

    def stages(self, count, player=None):
        at = slice(0, N) if player is None else self.players[player]
        return torch.empty(count, at.stop - at.start, dtype=DOUBLE)


COUNTED = {
    name: m
    for name, m in EXPLICIT.items()
    if m.registers is not None and getattr(m, "coupling", None) is None  # LEAD's products keep a graph besides
}


def held_by_a_step(method):
    """The most registers alive during steps once started, y included."""
    integrator = stepper(method)
    with torch.no_grad(), Registers() as registers:
        field = Bare()
        y = torch.ones(N, dtype=DOUBLE)
        memory = integrator.init(field, 0.0, y, 0.1)
        for n in range(method.steps + 3):
            if n == method.steps + 1:
                registers.most = 0
            y, memory, _ = integrator.step(field, 0.1 * n, y, 0.1, memory)
    assert bool(y.isfinite().all())
    return registers.most


@pytest.mark.parametrize("method", list(COUNTED.values()), ids=list(COUNTED))
def test_registers_are_those_that_the_method_declares(method):
    # rejects: a low-storage method run from its tableau, a temporary too many, history kept twice
    assert held_by_a_step(method) + 1 == method.registers  # the last checked state counts as one
