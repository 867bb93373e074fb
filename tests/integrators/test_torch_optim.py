"""torch.optim's classes as maps: bit for bit what they do in a loop of their own."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.bridges.torch_optim import preconditioner, torch_optim_methods
from gamedyn.jacobian import FrozenField as Field

DOUBLE = torch.float64
RATES = {"G": 0.5, "D": 4.0}  # powers of two: multiplying a gradient by them and dividing again is exact
H, STEPS = 0.02, 20
MATRICES_ONLY = "torch.optim:Muon"
CLASSES = [name for name in torch_optim_methods() if name != MATRICES_ONLY]
OPTIONS = [
    ("Adam", {"betas": (0.5, 0.9)}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"weight_decay": 0.3}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"centered": True, "momentum": 0.3}),
    ("Adagrad", {"initial_accumulator_value": 0.2, "lr_decay": 0.1}),
]
EVERY = [(name.removeprefix("torch.optim:"), {}) for name in CLASSES] + OPTIONS


def small_gan(dtype=DOUBLE):
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 5, 2), generator=g, dtype=dtype), gd.games.mlp((2, 5, 1), generator=g, dtype=dtype)
    )


def data(dtype=DOUBLE):
    g = torch.Generator().manual_seed(5)
    return tuple(torch.randn(7, 2, generator=g, dtype=DOUBLE).to(dtype) for _ in range(2))


def loop(game, name, options, steps=STEPS, batch=None, rates=RATES):
    """The user's own loop on the user's own modules; all gradients at one point. Returns the optimisers."""
    players = list(game.players.items())
    made = [
        getattr(torch.optim, name)(list(player.parameters()), lr=H * rates[key], **options) for key, player in players
    ]
    for _ in range(steps):
        losses = game.losses(*game.players.values(), data() if batch is None else batch)
        for key, player in players:
            gradients = torch.autograd.grad(losses[key], list(player.parameters()), retain_graph=True)
            for p, g in zip(player.parameters(), gradients, strict=True):
                p.grad = g
        for optimiser in made:
            optimiser.step()
    return made


def solved(game, name, options, steps=STEPS, rates=RATES, **how):
    flow = gd.flows.gradient(game, rates=rates)
    return gd.solve(flow, gd.methods.get(f"torch.optim:{name}", **options), h=H, steps=steps, batch=data(), **how)


@pytest.mark.parametrize(("name", "options"), EVERY, ids=[f"{n}-{i}" for i, (n, _) in enumerate(EVERY)])
class TestAgainstItsOwnLoop:
    def test_bit_for_bit(self, name, options):
        # rejects: a gradient that carries the rate (Adam divides it out), lr = h, a flat parameter, alternating play
        game = small_gan()
        run = solved(game, name, options)
        loop(game, name, options)
        assert torch.equal(run.state.y, game.state().y)
        assert run.stats["evaluations"] == STEPS

    def test_restart_is_the_uninterrupted_run(self, name, options, tmp_path):
        # rejects: moments forgotten, the bias correction begun anew, Adagrad's first sum added twice
        game = small_gan()
        whole = solved(game, name, options, 13)
        solved(game, name, options, 6).save(tmp_path / "run.pt")
        resumed = solved(game, name, options, 13, resume=tmp_path / "run.pt")
        assert torch.equal(whole.state.y, resumed.state.y)


@pytest.mark.parametrize("method", CLASSES)
def test_steps_write_neither_y_nor_what_came_before(method):
    # rejects: the optimiser's own parameters handed out as the result
    game = small_gan()
    field, integrator = Field(gd.flows.gradient(game)), stepper(method)
    y = game.state().y
    memory, seen = integrator.init(field, 0.0, y, H), []
    for n in range(4):
        seen.append((y, y.clone()))
        field.begin_step(data())
        y, memory, _ = integrator.step(field, n * H, y, H, memory)
    assert all(torch.equal(now, then) for now, then in seen)
    assert float((y - seen[0][1]).norm()) > 0


@pytest.mark.parametrize("method", CLASSES)
def test_a_gradient_that_is_nan_ends_the_run(method):
    # rejects: Rprop's own treatment, for which nan has no sign: a run that is done, and has not moved since
    def fn(t, s, _):
        return {"x": -s["x"] * (float("nan") if t > 0.3 else 1.0), "y": -s["y"]}

    flow = gd.flows.custom(fn, like=gd.games.bilinear())
    run = gd.solve(flow, method, h=0.1, steps=20, throw=False, check_every=1)
    assert run.status == "non_finite"
    assert 3 <= run.step <= 5
    assert bool(run.state.y.isfinite().all())


def test_rates_that_are_not_powers_of_two_agree_to_rounding():
    # -v / rate is the gradient to one rounding; Adam's first steps are g / |g| and turn 1 ulp into 1 ulp
    rates = {"G": 0.3, "D": 1.7}
    game = small_gan()
    run = solved(game, "Adam", {}, rates=rates)
    loop(game, "Adam", {}, rates=rates)
    torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=1e-13)


def test_sgd_is_euler():
    # rejects: lr = rate, the sign of v
    flow = gd.flows.gradient(small_gan(), rates=RATES)
    a, b = (gd.solve(flow, m, h=H, steps=STEPS, batch=data()).state.y for m in ("euler", "torch.optim:SGD"))
    assert torch.equal(a, b)


def test_sgd_with_momentum_is_heavy_ball():
    # rejects: a memory that is not carried from step to step; y+ = y + h v + beta (y - y-)
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
    ours = gd.solve(flow, gd.methods.get("torch.optim:SGD", momentum=0.4), h=0.1, steps=30).state.y
    field, before = flow.field(), flow.initial_state().y
    y = before.clone()
    for _ in range(30):
        y, before = y + 0.1 * field(0.0, y) + 0.4 * (y - before), y
    torch.testing.assert_close(ours, y, rtol=0, atol=1e-14)


def test_muon_on_matrices():
    # rejects: parameters handed over flat, which Muon refuses; weights of its orthogonalisation
    if MATRICES_ONLY not in torch_optim_methods():
        pytest.skip("not in the installed torch")
    g = torch.Generator().manual_seed(4)
    layers = [torch.nn.utils.skip_init(torch.nn.Linear, 2, k, bias=False, dtype=DOUBLE) for k in (2, 1)]
    for layer in layers:
        torch.nn.init.normal_(layer.weight, generator=g)
    game = gd.games.gan(*layers)
    run = solved(game, "Muon", {})
    loop(game, "Muon", {})
    assert torch.equal(run.state.y, game.state().y)


def test_a_step_that_changes():
    # rejects: lr fixed when the optimiser was made
    game = small_gan()
    flow = gd.flows.gradient(game)
    sizes = [0.01, 0.03, 0.002]
    run = gd.solve(flow, "torch.optim:Adam", h=lambda n: sizes[n], steps=3, batch=data())
    made = [torch.optim.Adam(list(p.parameters())) for p in game.players.values()]
    for size in sizes:
        losses = game.losses(*game.players.values(), data())
        for optimiser, loss in zip(made, ("G", "D"), strict=True):
            mine = optimiser.param_groups[0]["params"]
            for p, g in zip(mine, torch.autograd.grad(losses[loss], mine, retain_graph=True), strict=True):
                p.grad = g
            optimiser.param_groups[0]["lr"] = size
        for optimiser in made:
            optimiser.step()
    assert torch.equal(run.state.y, game.state().y)


def test_float32():
    game = small_gan(torch.float32)
    flow = gd.flows.gradient(game, rates=RATES)
    run = gd.solve(flow, "torch.optim:Adam", h=H, steps=STEPS, batch=data(torch.float32))
    assert run.state.y.dtype == torch.float32
    loop(game, "Adam", {}, batch=data(torch.float32))
    assert torch.equal(run.state.y, game.state().y)


class TestPreconditioner:
    CASES = (
        ("Adam", {"betas": (0.5, 0.9), "eps": 1e-3}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {}),
        ("RMSprop", {"alpha": 0.9}),
        ("RMSprop", {"centered": True, "eps": 1e-2}),
        ("Adagrad", {"initial_accumulator_value": 0.2}),
    )

    @pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
    def test_is_what_the_optimiser_holds(self, name, options, tmp_path):
        # rejects: no bias correction, eps under the root, the sum for the mean, players in another order
        game = small_gan()
        run = solved(game, name, options)
        run.save(tmp_path / "run.pt")
        expected = []
        for optimiser in loop(game, name, options):
            settings = optimiser.defaults
            for p in optimiser.param_groups[0]["params"]:
                s = optimiser.state[p]
                if name.startswith("Adam"):
                    second = s["max_exp_avg_sq" if settings["amsgrad"] else "exp_avg_sq"]
                    second = second / (1 - settings["betas"][1] ** STEPS)
                elif name == "RMSprop":
                    second = s["square_avg"] - (s["grad_avg"] ** 2 if settings["centered"] else 0)
                else:
                    second = s["sum"]
                expected.append((second**0.5 + settings["eps"]).flatten())
        P = preconditioner(run)
        torch.testing.assert_close(P, torch.cat(expected).detach(), rtol=1e-15, atol=0)
        assert torch.equal(P, preconditioner(gd.integrators.Run.load(tmp_path / "run.pt", gd.flows.gradient(game))))

    @pytest.mark.parametrize("name", ["RMSprop", "Adagrad"])
    def test_a_step_without_momentum_is_eulers_on_the_preconditioned_field(self, name):
        # y_{n+1} - y_n = h P_{n+1}^-1 v(y_n), exactly; rejects: a rate counted twice, or divided out of P^-1 v
        rates = {"p1": 1.0, "p2": 3.0}
        flow = gd.flows.gradient(gd.games.quadratic([[2.0, 1.0], [-1.0, 0.5]]), rates=rates)
        a, b = (gd.solve(flow, f"torch.optim:{name}", h=H, steps=n) for n in (8, 9))
        step = H * flow.field()(0.0, a.state.y) / preconditioner(b)
        torch.testing.assert_close(b.state.y - a.state.y, step, rtol=1e-12, atol=0)

    def test_the_frozen_spectrum_predicts_where_rmsprop_diverges(self):
        # rejects: P J for P^-1 J, P for its square: with alpha near 1, P stands and Euler's limit is 2 / |lambda|;
        # one step where the gradient is large gives P its two different entries
        J = torch.tensor([[-3.0, 0.4], [-0.4, -2.0]], dtype=DOUBLE)
        flow = gd.flows.gradient(gd.games.quadratic(-J))
        method = gd.methods.get("torch.optim:RMSprop", alpha=1 - 1e-9)
        far, near = (flow.game.own(torch.tensor(y, dtype=DOUBLE)) for y in ([4e4, 4e3], [1e-3, 1e-3]))
        first = gd.solve(flow, method, h=1e-9, steps=1, y0=far)
        P = preconditioner(first)
        assert float(P[0] / P[1]) > 3
        limit = float(2 / torch.linalg.eigvals(J / P[:, None]).abs().max())
        growth = []
        for factor in (0.99, 1.01):
            run = gd.solve(
                flow, method, h=factor * limit, steps=401, resume=dataclasses.replace(first, state=near), allow=["h"]
            )
            torch.testing.assert_close(preconditioner(run), P, rtol=1e-6, atol=0)
            growth.append(float(run.state.y.norm() / near.y.norm()))
        assert growth[0] < 1e-2
        assert growth[1] > 1e2

    def test_other_runs_are_refused(self):
        flow = gd.flows.gradient(gd.games.bilinear())
        for method in ("euler", "torch.optim:SGD", "torch.optim:Adamax"):
            with pytest.raises(gd.ArgumentError, match=r"a run of torch\.optim:Adam"):
                preconditioner(gd.solve(flow, method, h=0.1, steps=1))


class TestRefusals:
    flow = gd.flows.gradient(gd.games.bilinear())

    def solve(self, name, **options):
        return gd.solve(self.flow, gd.methods.get(f"torch.optim:{name}", **options), h=0.1, steps=2)

    def test_unknown_class(self):
        for name, near in (("adam", "torch.optim:Adam"), ("RMSProp", "torch.optim:RMSprop")):
            with pytest.raises(gd.ArgumentError, match=f"did you mean .*'{near}'"):
                self.solve(name)
        with pytest.raises(gd.ArgumentError, match="known"):
            self.solve("Optimizer_")

    def test_classes_that_cannot_be_stepped(self):
        with pytest.raises(gd.ArgumentError, match="closure"):
            self.solve("LBFGS")
        with pytest.raises(gd.ArgumentError, match="sparse"):
            self.solve("SparseAdam")
        assert not {"torch.optim:LBFGS", "torch.optim:SparseAdam", "torch.optim:Optimizer"} & set(torch_optim_methods())

    def test_unknown_and_reserved_options(self):
        with pytest.raises(gd.ArgumentError, match="did you mean 'betas'"):
            self.solve("Adam", beta=(0.5, 0.9))
        with pytest.raises(gd.ArgumentError, match=r"h \* rate_i"):
            self.solve("Adam", lr=1e-3)
        for option in ("maximize", "differentiable", "capturable", "momentum"):
            with pytest.raises(gd.ArgumentError, match=option):
                self.solve("Adam", **{option: True})

    def test_bad_values(self):
        with pytest.raises(gd.ArgumentError, match="beta"):
            self.solve("Adam", betas=(2.0, 0.9))

    def test_players_that_the_class_does_not_take(self):
        # Muon takes matrices alone
        if MATRICES_ONLY not in torch_optim_methods():
            pytest.skip("not in the installed torch")
        with pytest.raises(gd.ArgumentError, match="2D"):
            self.solve("Muon")

    def test_resuming_with_another_optimiser(self):
        run = self.solve("Adam")
        with pytest.raises(gd.ArgumentError, match="same method"):
            gd.solve(self.flow, "torch.optim:RMSprop", h=0.1, steps=4, resume=run, allow=["method"])
        with pytest.raises(gd.ArgumentError, match="betas"):
            gd.solve(self.flow, gd.methods.get("torch.optim:Adam", betas=(0.1, 0.9)), h=0.1, steps=4, resume=run)
