"""Linearising somewhere else: at another time, with other buffers, from a run's memory, without touching anything."""

from __future__ import annotations

import copy

import pytest
import torch

import gamedyn as gd
from gamedyn.core import State
from gamedyn.integrators import stepper
from gamedyn.jacobian import FrozenField as Field

DOUBLE = torch.float64


def clocked():
    """A nonlinear field that is another one at every time."""
    return gd.flows.custom(
        lambda t, s, _: {"x": -t * s["x"] ** 3 - t**2 * s["y"], "y": torch.sin(t * s["x"]) - s["y"]},
        like=gd.games.bilinear(),
    )


def central(step, y, e=1e-5):
    return torch.stack([(step(y + e * d) - step(y - e * d)) / (2 * e) for d in torch.eye(len(y), dtype=y.dtype)], 1)


class TestTime:
    @pytest.mark.parametrize("t", [0.0, 1.0, 2.5])
    def test_jacobian(self, t):
        # rejects: the Jacobian of the field at time 0
        flow, y = clocked(), torch.tensor([0.7, -0.4], dtype=DOUBLE)
        field = flow.field()
        expected = central(lambda x: field(t, x), y)
        lin = gd.spectrum.linearise(flow, y, t=t)
        torch.testing.assert_close(flow.at(y, t=t).jacobian().to_dense(), expected, rtol=0, atol=1e-9)
        torch.testing.assert_close(lin.matrix, expected, rtol=0, atol=1e-9)
        torch.testing.assert_close(lin.value, field(t, y))

    @pytest.mark.parametrize("method", ["euler", "rk4", "alternating"])
    def test_tangent(self, method):
        # rejects: a step taken at time 0, stages that all see the step's first time
        flow, y, h = clocked(), torch.tensor([0.7, -0.4], dtype=DOUBLE), 0.2

        def step(x):
            start = flow.initial_state().with_y(x)
            return gd.solve(flow, method, h=h, t_span=(1.0, 1.0 + h), y0=start).state.y

        M = gd.spectrum.StepTangent(flow, method, y, h, t=1.0).matrix()
        torch.testing.assert_close(M, central(step, y), rtol=0, atol=1e-9)

    def test_a_run_brings_its_time(self):
        # v = -t x: 1 - h t is 0.9 at t = 1, and 1 at t = 0
        flow = gd.flows.custom(lambda t, s, _: {k: -t * x for k, x in s.items()}, like=gd.games.bilinear())
        run = gd.solve(flow, "euler", h=0.1, steps=10)
        assert run.t == 1.0
        assert gd.spectrum.StepTangent(flow, "euler", run, 0.1).radius() == pytest.approx(0.9, rel=1e-14)
        assert gd.spectrum.step_radius(flow, "euler", run, 0.1) == pytest.approx(0.9, rel=1e-14)
        assert gd.spectrum.step_radius(flow, "euler", run, 0.1, t=2.0) == pytest.approx(0.8, rel=1e-14)
        assert gd.spectrum.step_radius(flow, "euler", run.state, 0.1) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_a_run_brings_its_memory(steps):
    # ab3's first two steps are its starting method's: rejects: a full history where the run's has yet to fill
    flow, h = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3)), 0.4
    run = gd.solve(flow, "ab3", h=h, steps=steps)
    known = [x.nan_to_num() for x in run.memory["fields"]]  # room that is not filled yet holds anything
    full = torch.cat([run.state.y, *known])

    def step(x):
        field, integrator = Field(flow), stepper("ab3")
        integrator.init(field, 0.0, x[:2], h)
        field.begin_step(None)
        memory = {**run.memory, "fields": [part.clone() for part in x[2:].split(2)]}
        y, after, _ = integrator.step(field, 0.0, x[:2].clone(), h, memory)
        return torch.cat([y, *after["fields"]])

    tangent = gd.spectrum.StepTangent(flow, "ab3", run, h)
    torch.testing.assert_close(tangent.matrix(), central(step, full), rtol=0, atol=1e-8)


def test_the_states_buffers_are_those_linearised_with(generator):
    # rejects: the module's own running statistics in place of the state's
    G = gd.games.mlp((2, 3, 2), generator=generator, dtype=DOUBLE)
    D = torch.nn.Sequential(
        torch.nn.BatchNorm1d(2, dtype=DOUBLE), *gd.games.mlp((2, 4, 1), generator=generator, dtype=DOUBLE)
    ).eval()
    batch = tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
    flow = gd.flows.gradient(gd.games.gan(G, D))
    own = flow.initial_state()
    mean, var, count = own.buffers
    other = State(own.layout, own.y, (mean + 0.5, var * 3, count))
    moved = copy.deepcopy(D)
    moved[0].running_mean += 0.5
    moved[0].running_var *= 3
    there = gd.flows.gradient(gd.games.gan(G, moved))
    expected = gd.spectrum.linearise(there, there.initial_state(), batch)
    lin = gd.spectrum.linearise(flow, other, batch)
    torch.testing.assert_close(lin.matrix, expected.matrix, rtol=0, atol=1e-14)
    torch.testing.assert_close(lin.value, expected.value, rtol=0, atol=1e-14)
    assert float((lin.matrix - gd.spectrum.linearise(flow, own, batch).matrix).abs().max()) > 1e-2
    M = gd.spectrum.StepTangent(flow, "euler", other, 0.1, batch).matrix()
    torch.testing.assert_close(M, torch.eye(len(M), dtype=DOUBLE) + 0.1 * expected.matrix, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ["euler", "rk4", "ab2", "alternating"])
def test_a_tangent_advances_nothing(method, generator):
    # rejects: a power iteration of spectral norm between one look and the next, or in the user's module
    D = gd.games.mlp((2, 5, 1), generator=generator, dtype=DOUBLE)
    torch.nn.utils.parametrizations.spectral_norm(D[0])
    flow = gd.flows.gradient(gd.games.gan(gd.games.mlp((2, 3, 2), generator=generator, dtype=DOUBLE), D))
    vectors = D[0].parametrizations.weight[0]
    before = [vectors._u.clone(), vectors._v.clone()]
    batch = tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2))
    state = flow.initial_state()
    state = state.with_y(state.y + torch.randn(state.y.shape, generator=generator, dtype=DOUBLE))  # not converged there
    tangent = gd.spectrum.StepTangent(flow, method, state, 0.3, batch)
    radius = tangent.radius()
    M = tangent.matrix()
    d = torch.randn(len(M), generator=generator, dtype=DOUBLE)
    torch.testing.assert_close(tangent @ d, M @ d, rtol=0, atol=1e-12)
    assert tangent.radius() == radius
    assert gd.spectrum.step_radius(flow, method, state, 0.3, batch) == radius
    if method == "euler":
        J = flow.at(state, batch).jacobian().to_dense()
        torch.testing.assert_close(M, torch.eye(len(M), dtype=DOUBLE) + 0.3 * J, rtol=0, atol=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(before, [vectors._u, vectors._v], strict=True))
    assert D.training
