"""Contracts 2 and 3 on every method: purity, determinism, restart, work, registers, precision, failure."""

from __future__ import annotations

import contextlib
import pickle
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators._types import label
from gamedyn.integrators.bridges.scipy import scipy_methods
from gamedyn.integrators.bridges.torch_optim import torch_optim_methods
from gamedyn.jacobian import FrozenField as Field
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.methods import (
    Delegated,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Partitioned,
    PredictorCorrector,
    RungeKutta,
)

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
MAPS = {row.name: gd.methods.get(row.name) for row in gd.methods.table() if row.order is None}
IMPLICIT = ("torchdiffeq:implicit_adams", "torchdiffeq:fixed_adams")  # two names of one method
NAMES = {*gd.integrators.torchdiffeq_methods(), *scipy_methods(), *torch_optim_methods()}
NAMES -= {"torch.optim:Muon"}  # takes matrices alone
SECOND_ORDER = ("torchdiffeq:adaptive_heun", "torchdiffeq:fehlberg2")  # at 1e-7 they take a thousand steps for one
OPTIONS = {
    **{name: {"max_iters": 40} for name in IMPLICIT},  # 4 miss the tolerance here
    **{name: {"rtol": 1e-5, "atol": 1e-7} for name in SECOND_ORDER},
}
BRIDGED = {name: gd.methods.get(name, **OPTIONS.get(name, {})) for name in sorted(NAMES)}
MADE = {
    "user: leapfrog": LinearMultistep(alpha=[-1, 0, 1], beta=[0, 2, 0]),  # keeps points as well as fields
    "user: strang": Partitioned(
        [gd.methods.Sweep(1 / 2), gd.methods.Sweep(1 / 2, backward=True)], substep=OWN["heun2"]
    ),
    "user: third order": RungeKutta(A=[[], ["1/3"], [0, "2/3"]], b=["1/4", 0, "3/4"]),
    "user: five to one": gd.methods.alternating(cycles={1: 5, 0: 1}),
    "user: theta": gd.methods.theta("2/3"),
    "user: fifth extragradient": gd.methods.extragradient("1/5"),
    "user: lookahead of bdf2": Lookahead(OWN["bdf2"], 3, "1/2"),
}
EVERY = {**OWN, **MAPS, **BRIDGED, **MADE}
methods = pytest.mark.parametrize("method", list(EVERY.values()), ids=list(EVERY))


def solves(method):
    """Whether a step solves equations to a tolerance, or hands the step to another library's solver."""
    return not isinstance(method, Delegated) and not method.explicit


def inner_of(method):
    return method.inner if isinstance(method, Lookahead) else method


def start_up(method):
    """Steps that the starting rule makes."""
    several = isinstance(method, (LinearMultistep, PredictorCorrector))
    return method.steps - 1 if several and method.start != "rest" else 0


def remembers(method):
    """Whether a step takes more than the point from the step before."""
    field = Field(gd.flows.gradient(gd.games.bilinear()))
    return bool(stepper(method).init(field, 0.0, field.point, 0.1))


def small_gan(loss="nonsaturating", dtype=DOUBLE):
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 2), generator=g, dtype=dtype), gd.games.mlp((2, 3, 1), generator=g, dtype=dtype), loss
    )


def flow_of(game, method):
    flow = gd.flows.gradient(game, rates={"D": 2.0})
    return flow.with_term(gd.losses.r1(0.1)) if hasattr(method, "parts") else flow


def data(n=10):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)


def stream():
    return gd.batches(data(), latent=2, batch_size=4, seed=3)


def snapshot(game):
    """Everything of the user's modules: which tensors they hold, their bits, their modes."""
    seen = []
    for player in game.players.values():
        if isinstance(player, torch.Tensor):
            seen.append(("", id(player), player.detach().clone(), player.requires_grad))
            continue
        for name, m in player.named_modules():
            mode = (m.training, getattr(m, "track_running_stats", None), getattr(m, "momentum", None))
            for key, x in (*m._parameters.items(), *m._buffers.items()):
                if x is not None:
                    seen.append((f"{name}.{key}", id(x), x.detach().clone(), x.requires_grad, x.grad is None, *mode))
    return seen


def assert_untouched(game, before):
    after = snapshot(game)
    assert len(after) == len(before)
    for a, b in zip(after, before, strict=True):
        assert a[:2] == b[:2]
        assert torch.equal(a[2], b[2]), a[0]
        assert a[3:] == b[3:], a[0]


@methods
class TestPurity:
    def test_step_never_writes_y_nor_what_came_before(self, method):
        # rejects: y += h k in place; an output that shares memory with a work buffer of the next step; and of
        # steppers that advance in place, writing a y that is not the field's own point
        game = small_gan()
        field, integrator = Field(flow_of(game, method)), stepper(method)
        y = game.state().y
        memory = integrator.init(field, 0.0, y, 0.05)
        seen = [(y, y.clone())]
        for n in range(4):
            field.begin_step((data(), data()))
            y, memory, info = integrator.step(field, n * 0.05, y, 0.05, memory)
            assert info.status == "ok"
            if integrator.in_place:
                assert y is field.point
                y = y if n % 2 else y.clone()  # a y of the caller's own, and the point itself
            if y is not field.point:
                seen.append((y, y.clone()))
        assert all(torch.equal(now, then) for now, then in seen)
        assert float((seen[0][1] - seen[-1][1]).norm()) > 1e-3

    def test_modules_are_bit_identical_after_a_solve_and_after_an_exception(self, method):
        # rejects: stepping on the user's own parameters, .grad left behind, restoring only on success
        game, count, fail_at = small_gan(), [0], [0]
        inner = game.losses

        def failing(*args):
            count[0] += 1
            if count[0] == fail_at[0]:
                raise ZeroDivisionError("in the loss")
            return inner(*args)

        game.losses, before = failing, snapshot(game)
        gd.solve(flow_of(game, method), method, h=0.05, steps=3, batches=stream())
        assert_untouched(game, before)
        for fail_at[0] in (4, 6):  # call 1 is the check's, 2 and 3 the probe's
            count[0] = 0
            with pytest.raises(ZeroDivisionError):
                gd.solve(flow_of(game, method), method, h=0.05, steps=10, batches=stream())
            assert count[0] == fail_at[0]
            assert_untouched(game, before)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_modules_are_bit_identical_after_a_check_that_fails(calls):
    game, count = small_gan(), [0]
    inner = game.losses

    def failing(*args):
        count[0] += 1
        if count[0] == calls:
            raise ZeroDivisionError("in the loss")
        return inner(*args)

    game.losses, before = failing, snapshot(game)
    with pytest.raises((ZeroDivisionError, gd.ArgumentError)):
        gd.solve(flow_of(game, None), "rk4", h=0.05, steps=10, batches=stream())
    assert_untouched(game, before)


class TestRestart:
    def check(self, method, make, stream, firsts, path, steps):
        def part(steps, **how):
            return gd.solve(make(), method, h=0.05, steps=steps, batches=stream(), every=2, **how)

        whole = part(steps)
        for first in firsts:
            part(first).save(path)
            torch.rand(3)  # the default generator stands elsewhere after a restart
            resumed = part(steps, resume=path)
            assert torch.equal(whole.state.y, resumed.state.y)
            assert (whole.t, whole.step) == (resumed.t, resumed.step)
            assert torch.equal(whole.records.step, resumed.records.step)
            assert all(torch.equal(whole.records.losses[p], resumed.records.losses[p]) for p in "GD")
            for key, count in whole.stats.items():
                if isinstance(count, (int, float)) and key not in ("seconds", "start"):
                    assert resumed.stats[key] == pytest.approx(count, rel=1e-14), key

    @methods
    def test_a_restart_is_the_uninterrupted_run_bit_for_bit(self, method, tmp_path):
        # rejects: uninitialised memory, a global generator, history forgotten, a batch skipped or drawn anew
        several = start_up(inner_of(method))
        firsts = (several // 2 + 1, several + 2)  # among the first steps, and after them
        firsts = firsts if several or remembers(method) else firsts[1:]
        self.check(method, lambda: gd.flows.gradient(small_gan()), stream, firsts, tmp_path / "run.pt", several + 4)

    @pytest.mark.parametrize("method", ["rk4", "ab3", "bdf3", "ck54", "strang"])
    def test_with_a_loader_that_shuffles(self, method, tmp_path):
        # rejects: the order of the epoch drawn anew
        def loader():
            return gd.batches(DataLoader(TensorDataset(data()), batch_size=4, shuffle=True), latent=2, seed=3)

        def make():
            game = small_gan()
            return gd.flows.gradient(gd.games.gan(game.players["G"], game.players["D"], real=lambda batch: batch[0][0]))

        self.check(method, make, loader, (1, 2, 6), tmp_path / "run.pt", steps=11)


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


@methods
def test_a_method_is_called_the_same_whatever_is_known_of_it(method):
    # rejects: properties that somebody has asked for in the digest of its coefficients: a run that went on was refused
    # in a process that had computed fewer; a member that came from another process taken for a user's own
    copy = pickle.loads(pickle.dumps(method))
    before = label(copy)
    for name in dir(copy):
        with contextlib.suppress(Exception):
            getattr(copy, name)
    assert label(copy) == before == label(method)


class TestPrecision:
    TOLERANCE, STEPS, H = 1e-5, 10, 0.1

    @methods
    def test_float32_follows_float64(self, method):
        # rejects: coefficients or K rows left in another dtype, h rounded to float16
        ends = {}
        for dtype in (torch.float32, DOUBLE):
            game = gd.games.dirac_gan("nonsaturating", "r1", 0.5, dtype=dtype)
            run = gd.solve(gd.flows.gradient(game), method, h=self.H, steps=self.STEPS)
            assert run.state.y.dtype == dtype
            ends[dtype] = run.state.y.double()
        torch.testing.assert_close(ends[torch.float32], ends[DOUBLE], rtol=0, atol=self.bound(method))

    def bound(self, method):
        """Rounding of every step, and a solver's tolerance in its field values (of size up to 1.5), both carried on.

        A step rounds y (of size up to 1.5), its terms and its sum: 4 times half of eps, if |alpha| adds up to 2.
        """
        rounding = 4 * 1.5 * 2**-24
        if solves(method) or isinstance(method, Delegated):
            rounding += self.H * self.TOLERANCE * 1.5
        return 1.5 * self.STEPS * rounding * self.carried(inner_of(method)) + 1e-7

    def carried(self, method):
        """How much an error of one step becomes: the impulse response of rho, times the size of alpha."""
        if not isinstance(method, LinearMultistep):
            return 5.0 if isinstance(method, Partitioned) else 1.0  # of moves, a step makes up to 7
        alpha = [float(a) for a in method.alpha]
        response = [1.0]
        for _ in range(self.STEPS):
            past = zip(reversed(alpha[:-1]), reversed(response), strict=False)
            response.append(-sum(a * r for a, r in past))
        return max(map(abs, response)) * sum(map(abs, alpha)) / 2


NOTICING = {name: m for name, m in EVERY.items() if name != "torch.optim:Rprop"}  # takes signs, and that of nan is 0
notices = pytest.mark.parametrize("method", list(NOTICING.values()), ids=list(NOTICING))


class TestFailure:
    def flow(self, spoilt=True):
        """Finite until t = 0.5, nan from there on."""
        game = gd.games.bilinear()

        def fn(t, state, batch):
            return {"x": -state["x"] * (float("nan") if spoilt and float(t) > 0.5 else 1.0), "y": -state["y"]}

        return gd.flows.custom(fn, like=game)

    @notices
    def test_a_field_that_is_nan_ends_the_run_with_the_last_finite_state(self, method):
        # rejects: returning nan, losing the state, a status "done", a state that is not that of its step
        with pytest.raises(gd.SolveError, match=r"stopped being finite|did not converge") as caught:
            gd.solve(self.flow(), method, h=0.1, steps=50, check_every=1)
        run = caught.value.run
        bridged = isinstance(method, Delegated)
        if not bridged:
            assert run.status == ("not_converged" if solves(method) else "non_finite")
        assert bool(run.state.y.isfinite().all())
        assert 4 <= run.step <= 7
        assert run.t == pytest.approx(0.1 * run.step)
        good = gd.solve(self.flow(spoilt=False), method, h=0.1, steps=run.step).state.y
        torch.testing.assert_close(run.state.y, good, rtol=1e-14, atol=0)
        assert "h = 0.1" in str(caught.value)
        assert f"step {run.step}" in str(caught.value)

    @notices
    def test_without_throw_the_status_tells(self, method):
        run = gd.solve(self.flow(), method, h=0.1, steps=50, check_every=7, throw=False)
        assert run.status in ("non_finite", "not_converged")
        assert bool(run.state.y.isfinite().all())
        # a rejected step keeps the state before it; one that is not looked at goes back to the last check
        assert 4 <= run.step <= 7 if run.status == "not_converged" else run.step % 7 == 0 or run.step == 5


def test_first_step_of_optimistic_is_eulers():
    # Daskalakis et al. 2018: v_{-1} = v_0; rejects: a start by Heun or by a zero history
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    a, b = (gd.solve(flow, m, h=0.3, steps=1) for m in ("optimistic", "euler"))
    assert torch.equal(a.state.y, b.state.y)
    second = gd.solve(flow, "optimistic", h=0.3, steps=2).state.y
    v0, v1 = (flow.field()(0.0, y) for y in (flow.initial_state().y, a.state.y))
    torch.testing.assert_close(second, a.state.y + 0.3 * (2 * v1 - v0), rtol=1e-15, atol=1e-15)


STARTED = {n: m for n, m in OWN.items() if start_up(m) and m.time_scale == 1}


@pytest.mark.parametrize("method", list(STARTED.values()), ids=list(STARTED))
def test_multistep_methods_start_with_their_own_rule(method):
    # rejects: a start by Euler's method, or one step too many of it
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    first = method.steps - 1
    a, b = (gd.solve(flow, m, h=0.3, steps=first) for m in (method, method.start))
    assert torch.equal(a.state.y, b.state.y)
    a, b = (gd.solve(flow, m, h=0.3, steps=first + 1).state.y for m in (method, method.start))
    assert float((a - b).norm()) > 1e-8


ANALYSES = {
    "dense": lambda f, s, b: f.at(s, b).jacobian().to_dense(),
    "linearise": lambda f, s, b: gd.spectrum.linearise(f, s, b),
    "linearise outer": lambda f, s, b: gd.spectrum.linearise(f, s, b, form=False, k=2),
    "tangent rk4": lambda f, s, b: gd.spectrum.step_radius(f, "rk4", s, 0.1, b),
    "tangent ab3": lambda f, s, b: gd.spectrum.step_radius(f, "ab3", s, 0.1, b),
    "tangent alternating": lambda f, s, b: gd.spectrum.StepTangent(f, "alternating", s, 0.1, b) @ s.y,
    "equilibrium": lambda f, s, b: gd.spectrum.find_equilibrium(f, s, b, max_iterations=2, throw=False),
    "field": lambda f, s, b: f.field(b)(0.0, s.y),
}


@pytest.mark.parametrize("analysis", list(ANALYSES))
def test_modules_are_bit_identical_after_every_analysis(analysis):
    # rejects: leaving modules bound to clones, advancing batch norm or spectral norm while looking
    g = torch.Generator().manual_seed(4)
    D = torch.nn.Sequential(
        torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(2, 4, dtype=DOUBLE)),
        torch.nn.BatchNorm1d(4, dtype=DOUBLE),
        torch.nn.Tanh(),
        torch.nn.Linear(4, 1, dtype=DOUBLE),
    )
    game = gd.games.gan(gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), D)
    before, state = snapshot(game), game.state()
    kept = [x.clone() for x in (state.y, *state.buffers)]
    ANALYSES[analysis](gd.flows.gradient(game), state, (data(), data()))
    assert_untouched(game, before)
    assert all(torch.equal(a, b) for a, b in zip(kept, (state.y, *state.buffers), strict=True))
