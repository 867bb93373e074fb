"""A compiled step is the eager step; few methods, since inductor takes seconds for each."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64
pytestmark = pytest.mark.filterwarnings("ignore:steps run eagerly, not compiled")


def toy(normalised=False):
    """A GAN of two tiny modules: the smaller the graph, the fewer seconds its compiler takes."""
    g = torch.Generator().manual_seed(4)
    D = gd.games.mlp((2, 1), generator=g, dtype=DOUBLE)
    if normalised:
        D = torch.nn.Sequential(torch.nn.BatchNorm1d(2, dtype=DOUBLE), *D)
    return gd.games.gan(gd.games.mlp((2, 2), generator=g, dtype=DOUBLE), D, "least_squares")


def stream():
    data = torch.randn(12, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)
    return gd.batches(data, latent=2, batch_size=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["heun2", "ab3", "alternating"])
def test_equals_the_eager_step_over_changing_batches(method):
    # rejects: a batch, h or memory burnt into the graph; work not counted when compiled
    flow = gd.flows.gradient(toy(), rates={"D": 2.0}).with_term(gd.losses.squared_gradient(0.1))
    eager, compiled = (
        gd.solve(flow, method, h=0.05, steps=8, batches=stream(), execution=e) for e in ("eager", "compiled")
    )
    assert compiled.stats["execution"] == "compiled"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-12)
    for key in ("evaluations", "player_gradients", "double_backward", "batches"):
        assert compiled.stats[key] == eager.stats[key]
    for p in "GD":
        torch.testing.assert_close(compiled.records.losses[p], eager.records.losses[p], rtol=0, atol=1e-12)


FAMILIES = ["kg32", "pece_ab2_am2", "heavy_ball", "rk4_penalty_first_stage", "lookahead_alternating", "normalised"]


@pytest.mark.slow
@pytest.mark.parametrize("method", FAMILIES)
def test_every_family_that_traces(method):
    # rejects: a register, a room or a factor of the eager step burnt into the graph
    flow = gd.flows.gradient(gd.games.bilinear())
    if "penalty" in method:
        flow = flow.with_term(gd.losses.squared_gradient(0.1, of="x", into="y"))
    assert not gd.integrators.stepper(method).host_decides
    eager, compiled = (gd.solve(flow, method, h=0.05, steps=6, execution=e) for e in ("eager", "compiled"))
    assert compiled.stats["execution"] == "compiled"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-12)
    assert compiled.stats["evaluations"] == eager.stats["evaluations"]


@pytest.mark.slow
def test_in_single_precision():
    game = gd.games.dirac_gan("least_squares", "r1", 0.3, dtype=torch.float32)
    a, b = (gd.solve(gd.flows.gradient(game), "midpoint", h=0.05, steps=6, execution=e) for e in ("eager", "compiled"))
    assert b.stats["execution"] == "compiled"
    assert b.state.y.dtype == torch.float32
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-6)


UNTRACED = ["gauss4", "bdf2", "lead", "cgd", "exprb32", "platen"]
UNTRACED += ["grafted_adam_on_sgd", "extra_adam", "optimistic_adam", "scipy:RK45", "torch.optim:Adam"]


@pytest.mark.parametrize("method", UNTRACED)
def test_every_family_that_does_not_says_so_and_steps_as_ever(method):
    # rejects: Newton's iterations, or an optimiser's state, frozen into a graph
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
    eager, compiled = (gd.solve(flow, method, h=0.05, steps=4, execution=e) for e in ("eager", "compiled"))
    assert "no fixed sequence" in compiled.stats["execution"]
    assert torch.equal(eager.state.y, compiled.state.y)


def test_adaptive_steps_are_not_compiled_and_say_so():
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
    how = {"t_span": (0.0, 1.0), "h": gd.steps.Adaptive(rtol=1e-4)}
    eager, compiled = (gd.solve(flow, "dopri5", execution=e, **how) for e in ("eager", "compiled"))
    assert "no fixed sequence" in compiled.stats["execution"]
    assert torch.equal(eager.state.y, compiled.state.y)


def test_every_member_is_among_these_families():
    # a family added later must be added here, or say that it does not trace
    covered = {type(gd.integrators.stepper(m)) for m in (*FAMILIES, *UNTRACED, "rk4", "ab3", "alternating")}
    assert {type(gd.integrators.stepper(m)) for m in gd.methods.members().values()} <= covered


@pytest.mark.slow
def test_batch_norm_advances_as_in_the_eager_step():
    flow = gd.flows.gradient(toy(normalised=True))
    eager, compiled = (
        gd.solve(flow, "euler", h=0.05, steps=4, batches=stream(), execution=e) for e in ("eager", "compiled")
    )
    assert compiled.stats["execution"] == "compiled"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-12)
    for a, b in zip(compiled.state.buffers, eager.state.buffers, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_ensemble_and_a_step_that_changes():
    # rejects: h or t burnt into the graph
    flow = gd.flows.custom(lambda t, s, _: {"x": -t * s["y"], "y": s["x"]}, like=gd.games.bilinear())
    shrinking = {"h": lambda step: 0.1 / (1 + step), "steps": 6}
    a, b = (gd.solve(flow, "euler", execution=e, **shrinking) for e in ("eager", "compiled"))
    assert b.stats["execution"] == "compiled"
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)
    a, b = (gd.solve_ensemble(flow, "euler", h=[0.1, 0.2], steps=6, execution=e) for e in ("eager", "compiled"))
    assert b.stats["execution"] == "compiled"
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)


@pytest.mark.slow
def test_a_python_number_in_the_batch_is_not_burnt_in():
    # rejects: a graph kept for another number's batch
    x, y = torch.ones(2, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)

    def losses(x, y, batch):
        a, scale = batch
        value = scale * (a * x * y).sum()
        return {"x": value, "y": -value}

    def batches():
        a = torch.tensor([1.0, 2.0], dtype=DOUBLE)
        return iter([(a * (i + 1), scale) for i, scale in enumerate((0.5, 2.0, 0.5, 2.0))])

    flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
    eager, compiled = (
        gd.solve(flow, "euler", h=0.1, steps=4, batches=batches(), execution=e) for e in ("eager", "compiled")
    )
    assert compiled.stats["execution"] == "compiled"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-13)


def test_what_cannot_be_compiled_runs_eagerly_and_says_why():
    flow = gd.flows.gradient(gd.games.bilinear())
    run = gd.solve(flow, "torchdiffeq:rk4", h=0.1, steps=3, execution="compiled")
    assert "no fixed sequence" in run.stats["execution"]
    assert torch.equal(run.state.y, gd.solve(flow, "torchdiffeq:rk4", h=0.1, steps=3).state.y)

    x, y = torch.ones(1), torch.ones(1)

    def losses(x, y):
        if float(x.detach()) > 100:  # a graph cannot hold this branch
            return {"x": x.sum(), "y": y.sum()}
        return {"x": (x * y).sum(), "y": -(x * y).sum()}

    flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
    run = gd.solve(flow, "euler", h=0.1, steps=3, execution="compiled")
    assert run.stats["execution"].startswith("eager, not compiled")
    assert torch.equal(run.state.y, gd.solve(flow, "euler", h=0.1, steps=3).state.y)
