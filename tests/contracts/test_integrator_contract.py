"""Contracts 2 and 3 on every method: purity, determinism, restart, work, precision, failure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import gamedyn as gd
from gamedyn.core import Field
from gamedyn.integrators import stepper
from gamedyn.methods import LinearMultistep, Partitioned, RungeKutta

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
IMPLICIT = ("torchdiffeq:implicit_adams", "torchdiffeq:fixed_adams")  # two names of one method
BRIDGED = {
    name: gd.methods.get(name, **({"max_iters": 40} if name in IMPLICIT else {}))  # 4 miss the tolerance here
    for name in gd.integrators.torchdiffeq_methods()
}
MADE = {
    "user: leapfrog": LinearMultistep(alpha=[-1, 0, 1], beta=[0, 2, 0]),  # keeps points as well as fields
    "user: strang": Partitioned(
        [gd.methods.Sweep(1 / 2), gd.methods.Sweep(1 / 2, backward=True)], substep=OWN["heun2"]
    ),
    "user: third order": RungeKutta(A=[[], ["1/3"], [0, "2/3"]], b=["1/4", 0, "3/4"]),
}
EVERY = {**OWN, **BRIDGED, **MADE}
methods = pytest.mark.parametrize("method", list(EVERY.values()), ids=list(EVERY))


def small_gan(loss="nonsaturating", dtype=DOUBLE):
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=dtype), gd.games.mlp((2, 3, 1), generator=g, dtype=dtype), loss
    )


def flow_of(game):
    return gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.r1(0.1))


def data(n=10):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)


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
        # rejects: y += h k in place; an output that shares memory with a work buffer of the next step
        game = small_gan()
        batch = (data(), data())
        field, integrator = Field(flow_of(game)), stepper(method)
        y = game.state().y
        memory = integrator.init(field, 0.0, y, 0.05)
        seen = [(y, y.clone())]
        for n in range(5):
            field.begin_step(batch)
            y, memory, _ = integrator.step(field, n * 0.05, y, 0.05, memory)
            seen.append((y, y.clone()))
        assert all(torch.equal(now, then) for now, then in seen)
        assert float((seen[0][1] - seen[-1][1]).norm()) > 1e-3

    def test_modules_are_bit_identical_after_a_solve(self, method):
        # rejects: stepping on the user's own parameters, .grad left behind, requires_grad changed
        game = small_gan()
        before = snapshot(game)
        gd.solve(flow_of(game), method, h=0.05, steps=6, batches=gd.batches(data(), latent=2, batch_size=4))
        assert_untouched(game, before)

    @pytest.mark.parametrize("calls", [1, 3, 4, 9])
    def test_modules_are_bit_identical_after_an_exception(self, method, calls):
        # rejects: restoring only on success; call 1 is the check's, 2 and 3 the probe's
        game, count = small_gan(), [0]
        inner = game.losses

        def failing(*args):
            count[0] += 1
            if count[0] == calls:
                raise ZeroDivisionError("in the loss")
            return inner(*args)

        game.losses = failing
        before = snapshot(game)
        with pytest.raises((ZeroDivisionError, gd.ArgumentError)):
            gd.solve(flow_of(game), method, h=0.05, steps=10, batches=gd.batches(data(), latent=2, batch_size=4))
        assert count[0] == calls
        assert_untouched(game, before)


@methods
class TestDeterminism:
    def test_two_solves_agree_bit_for_bit(self, method):
        # rejects: uninitialised memory that enters, a global generator
        runs = []
        for _ in range(2):
            stream = gd.batches(data(), latent=2, batch_size=4, seed=3)
            runs.append(gd.solve(flow_of(small_gan()), method, h=0.05, steps=7, batches=stream))
        assert torch.equal(runs[0].state.y, runs[1].state.y)
        assert all(torch.equal(runs[0].records.losses[p], runs[1].records.losses[p]) for p in "GD")

    @pytest.mark.parametrize("source", ["tensor", "loader"])
    @pytest.mark.parametrize("first", [1, 2, 6])
    def test_restart_is_the_uninterrupted_run_bit_for_bit(self, method, source, first, tmp_path):
        # rejects: multistep history forgotten, noise or order of the epoch drawn anew, a batch skipped
        def stream():
            if source == "tensor":
                return gd.batches(data(), latent=2, batch_size=4, seed=3)
            return gd.batches(DataLoader(TensorDataset(data()), batch_size=4, shuffle=True), latent=2, seed=3)

        def part(steps, **how):
            game = small_gan()
            flow = gd.flows.gradient(game)
            if source == "loader":
                game = gd.games.gan(game.players["G"], game.players["D"], real=lambda batch: batch[0][0])
                flow = gd.flows.gradient(game)
            return gd.solve(flow, method, h=0.05, steps=steps, batches=stream(), every=2, **how)

        whole = part(11)
        part(first).save(tmp_path / "run.pt")
        torch.rand(3)  # the default generator stands elsewhere after a restart
        resumed = part(11, resume=tmp_path / "run.pt")
        assert torch.equal(whole.state.y, resumed.state.y)
        assert (whole.t, whole.step) == (resumed.t, resumed.step)
        assert torch.equal(whole.records.step, resumed.records.step)
        assert all(torch.equal(whole.records.losses[p], resumed.records.losses[p]) for p in "GD")
        assert whole.stats["evaluations"] == resumed.stats["evaluations"]
        assert whole.stats["batches"] == resumed.stats["batches"]


OURS = {**OWN, **MADE}


@pytest.mark.parametrize("method", list(OURS.values()), ids=list(OURS))
def test_work_is_counted_and_is_what_the_method_says(method):
    # rejects: FSAL miscounts, a start-up step counted as one evaluation, an evaluation too many a move
    game, calls = small_gan(), [0]
    inner = game.losses

    def counting(*args):
        calls[0] += 1
        return inner(*args)

    game.losses, steps = counting, 12
    run = gd.solve(gd.flows.gradient(game), method, h=0.05, steps=steps, batch=(data(), data()))
    starting = method.steps - 1 if isinstance(method, LinearMultistep) else 0
    expected = (steps - starting) * method.evaluations + starting * (method.start.evaluations if starting else 0)
    assert run.stats["evaluations"] == expected
    players = 2 if isinstance(method, Partitioned) else 1  # a move calls the losses for one player's sake
    assert calls[0] - 3 == expected * players  # one check, two probes
    assert run.stats["player_gradients"] == 2 * expected
    assert run.stats["double_backward"] == 0


def test_double_backward_is_counted_apart():
    flow = gd.flows.gradient(small_gan()).with_term(gd.losses.squared_gradient(0.1))
    run = gd.solve(flow, "rk4", h=0.05, steps=3, batch=(data(), data()))
    assert run.stats["double_backward"] == run.stats["evaluations"] == 12


@methods
class TestPrecision:
    def test_float32_follows_float64(self, method):
        # rejects: coefficients or K rows left in another dtype, h rounded to float16
        ends = {}
        for dtype in (torch.float32, DOUBLE):
            game = gd.games.dirac_gan("nonsaturating", "r1", 0.5, dtype=dtype)
            run = gd.solve(gd.flows.gradient(game), method, h=0.1, steps=20)
            assert run.state.y.dtype == dtype
            ends[dtype] = run.state.y.double()
        torch.testing.assert_close(ends[torch.float32], ends[DOUBLE], rtol=0, atol=3e-6)


@methods
class TestFailure:
    def flow(self):
        """Finite until t = 0.5, nan from there on."""
        game = gd.games.bilinear()

        def fn(t, state, batch):
            return {"x": -state["x"] * (float("nan") if float(t) > 0.5 else 1.0), "y": -state["y"]}

        return gd.flows.custom(fn, like=game)

    def test_nan_raises_with_the_last_finite_state(self, method):
        # rejects: returning nan, losing the state, a status "done"
        with pytest.raises(gd.SolveError, match="stopped being finite") as caught:
            gd.solve(self.flow(), method, h=0.1, steps=50, check_every=1)
        run = caught.value.run
        assert run.status == "non_finite"
        assert bool(run.state.y.isfinite().all())
        assert 4 <= run.step <= 6
        assert run.t == pytest.approx(0.1 * run.step)
        assert float(run.state.y[0]) == pytest.approx(np.exp(-run.t), abs=0.1)
        assert "h = 0.1" in str(caught.value)

    def test_without_throw_the_status_tells(self, method):
        run = gd.solve(self.flow(), method, h=0.1, steps=50, check_every=7, throw=False)
        assert run.status == "non_finite"
        assert run.step == 0 or run.step % 7 == 0
        assert bool(run.state.y.isfinite().all())


def test_first_step_of_optimistic_is_eulers():
    # Daskalakis et al. 2018: v_{-1} = v_0; rejects: a start by Heun or by a zero history
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    a, b = (gd.solve(flow, m, h=0.3, steps=1) for m in ("optimistic", "euler"))
    assert torch.equal(a.state.y, b.state.y)
    second = gd.solve(flow, "optimistic", h=0.3, steps=2).state.y
    v0, v1 = (flow.field()(0.0, y) for y in (flow.initial_state().y, a.state.y))
    torch.testing.assert_close(second, a.state.y + 0.3 * (2 * v1 - v0), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(("name", "start"), [("ab2", "heun2"), ("ab3", "kutta3")])
def test_multistep_methods_start_with_their_own_rule(name, start):
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    first = OWN[name].steps - 1
    a, b = (gd.solve(flow, m, h=0.3, steps=first) for m in (name, start))
    assert torch.equal(a.state.y, b.state.y)
    assert not torch.equal(*(gd.solve(flow, m, h=0.3, steps=first + 1).state.y for m in (name, start)))


ANALYSES = {
    "dense": lambda f, s, b: gd.spectrum.dense(f, s, b),
    "linearise": lambda f, s, b: gd.spectrum.linearise(f, s, b),
    "linearise outer": lambda f, s, b: gd.spectrum.linearise(f, s, b, dense=False, k=2),
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
