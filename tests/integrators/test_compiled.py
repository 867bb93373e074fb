"""A compiled step is the eager step; few methods, since inductor takes seconds for each."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64


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
@pytest.mark.parametrize("method", ["rk4", "ab3", "alternating"])
def test_equals_the_eager_step_over_changing_batches(method):
    # rejects: a batch, h or memory burnt into the graph; work not counted when compiled
    flow = gd.flows.gradient(toy(), rates={"D": 2.0}).with_term(gd.losses.squared_gradient(0.1))
    eager, compiled = (gd.solve(flow, method, h=0.05, steps=8, batches=stream(), compile=c) for c in (False, True))
    assert compiled.stats["compiled"] == "yes"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-12)
    for key in ("evaluations", "player_gradients", "double_backward", "batches"):
        assert compiled.stats[key] == eager.stats[key]
    for p in "GD":
        torch.testing.assert_close(compiled.records.losses[p], eager.records.losses[p], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_batch_norm_advances_as_in_the_eager_step():
    flow = gd.flows.gradient(toy(normalised=True))
    eager, compiled = (gd.solve(flow, "euler", h=0.05, steps=4, batches=stream(), compile=c) for c in (False, True))
    assert compiled.stats["compiled"] == "yes"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-12)
    for a, b in zip(compiled.state.buffers, eager.state.buffers, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_ensemble_and_a_step_that_changes():
    # rejects: h or t burnt into the graph
    flow = gd.flows.custom(lambda t, s, _: {"x": -t * s["y"], "y": s["x"]}, like=gd.games.bilinear())
    shrinking = {"h": lambda step: 0.1 / (1 + step), "steps": 6}
    a, b = (gd.solve(flow, "euler", compile=c, **shrinking) for c in (False, True))
    assert b.stats["compiled"] == "yes"
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-13)
    a, b = (gd.solve_ensemble(flow, "euler", h=[0.1, 0.2], steps=6, compile=c) for c in (False, True))
    assert b.stats["compiled"] == "yes"
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
    eager, compiled = (gd.solve(flow, "euler", h=0.1, steps=4, batches=batches(), compile=c) for c in (False, True))
    assert compiled.stats["compiled"] == "yes"
    torch.testing.assert_close(compiled.state.y, eager.state.y, rtol=0, atol=1e-13)


def test_what_cannot_be_compiled_runs_eagerly_and_says_why():
    flow = gd.flows.gradient(gd.games.bilinear())
    run = gd.solve(flow, "torchdiffeq:rk4", h=0.1, steps=3, compile=True)
    assert "cannot be traced" in run.stats["compiled"]
    assert torch.equal(run.state.y, gd.solve(flow, "torchdiffeq:rk4", h=0.1, steps=3).state.y)

    x, y = torch.ones(1), torch.ones(1)

    def losses(x, y):
        if float(x.detach()) > 100:  # a graph cannot hold this branch
            return {"x": x.sum(), "y": y.sum()}
        return {"x": (x * y).sum(), "y": -(x * y).sum()}

    flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
    run = gd.solve(flow, "euler", h=0.1, steps=3, compile=True)
    assert run.stats["compiled"] not in ("yes", "no")
    assert torch.equal(run.state.y, gd.solve(flow, "euler", h=0.1, steps=3).state.y)
