"""Captured steps as CUDA graphs; run where there is a GPU, and by `python -m analysis.benchmarks.gpu`."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.execution.captured import CapturedStep
from gamedyn.integrators.execution.recorders import CudaGraphs, recorder
from gamedyn.jacobian import FrozenField

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

CAPTURES = [n for n, m in gd.methods.members().items() if not m.host_decides and not n.startswith("rk4_penalty")]


def pair(dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    nets = [gd.games.mlp(w, generator=g, dtype=dtype).cuda() for w in ((4, 8, 2), (2, 8, 1))]
    batches = [tuple(torch.randn(16, n, generator=g, dtype=dtype).cuda() for n in (2, 4)) for _ in range(3)]
    return gd.flows.gradient(gd.games.gan(*nets)).with_term(gd.losses.squared_gradient(0.1)), batches


def test_the_recorder_of_a_gpu():
    assert isinstance(recorder(torch.device("cuda")), CudaGraphs)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_graph_is_the_eager_step_over_changing_batches_and_steps(name):
    # rejects: an address, h or t frozen in; a graph replayed before its input has arrived
    flow, batches = pair()
    method, ends = gd.methods.get(name), []
    for make in (lambda s: s, CapturedStep):
        field, own = FrozenField(flow), stepper(method)
        y = flow.initial_state().y
        field.open(y, batches[0])
        by, memory = make(own), own.init(field, 0.0, y, 0.02)
        for n in range(method.steps + 6):
            h = 0.02 * (1 + 0.1 * n if own.changes_h else 1)
            field.begin_step(batches[n % 3], n)
            with field.session(), torch.no_grad():
                t, span = (torch.tensor(x, dtype=torch.float64, device="cuda") for x in (0.02 * n, h))
                y, memory, _ = by.step(field, t, y, span, memory)
        ends.append(y.clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-12)


def test_a_captured_run_waits_only_where_it_looks():
    flow, batches = pair(torch.float32)
    watched = []

    def strict(view):
        watched.append(view.step)
        torch.cuda.set_sync_debug_mode("error" if 3 < view.step < 28 else "default")

    try:
        run = gd.solve(
            flow, "rk4", h=0.01, steps=30, batch=batches[0], observers=[strict], every=100, check_every=100,
            execution="captured",
        )  # fmt: skip
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert run.stats["execution"] == "captured"
    assert len(watched) == 30


def test_a_loss_that_waits_falls_back():
    x, y = torch.ones(2, device="cuda"), torch.ones(2, device="cuda")

    def losses(x, y):
        value = (x * y).sum() * float(x.detach().sum() > -100)
        return {"x": value, "y": -value}

    with pytest.warns(UserWarning, match="steps run eagerly, not captured"):
        run = gd.solve(
            gd.flows.gradient(gd.Game({"x": x, "y": y}, losses)), "rk4", h=0.1, steps=4, execution="captured"
        )
    assert run.state.y.isfinite().all()
