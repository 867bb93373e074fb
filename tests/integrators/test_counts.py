"""What a step asks of a GPU, counted on a CPU: waits, kernels beside the bare field's, vectors moved."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn.integrators import step_counts, stepper
from gamedyn.integrators.equations import newton
from gamedyn.integrators.execution.operations import Operations
from gamedyn.jacobian import FrozenField
from gamedyn.krylov import gmres, phi_combination
from tests.contracts.members import OWN

DOUBLE = torch.float64


def pair():
    g = torch.Generator().manual_seed(0)
    G, D = gd.games.mlp((8, 9, 9, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 9, 9, 1), generator=g, dtype=DOUBLE)
    return G, D, (torch.randn(16, 2, generator=g, dtype=DOUBLE), torch.randn(16, 8, generator=g, dtype=DOUBLE))


def bare(G, D, batch):
    """Operations of a hand-written field evaluation."""
    with Operations() as seen:
        fake = D(G(batch[1]))
        torch.autograd.grad(softplus(-fake).mean(), list(G.parameters()), retain_graph=True)
        torch.autograd.grad(softplus(fake).mean() + softplus(-D(batch[0])).mean(), list(D.parameters()))
    return sum(o.runs for o in seen)


def counts(method, **options):
    G, D, batch = pair()
    return step_counts(gd.flows.gradient(gd.games.gan(G, D)), method, batch, **options)


WHOLE = {name: m for name, m in OWN.items() if not m.host_decides and not name.startswith("rk4_penalty")}


@pytest.mark.parametrize("name", list(WHOLE))
def test_explicit_steps_never_wait_and_send_nothing(name):
    # rejects: a norm or a flag read on the host; weights made anew in every step
    found = counts(WHOLE[name])
    assert (found.waits, found.sent) == (0, 0), found.why


@pytest.mark.parametrize(("name", "extra"), [("euler", 1), ("heun2", 2), ("rk4", 4), ("ab3", 3), ("optimistic", 2)])
def test_kernels_of_a_step_are_those_of_its_fields_and_few_more(name, extra):
    # rejects: stage sums operation by operation, gradients copied leaf by leaf, leaves made anew
    G, D, batch = pair()
    found = counts(name)
    assert found.kernels <= found.evaluations * (bare(G, D, batch) + 1) + extra


def test_vectors_moved_are_those_of_the_stage_sums():
    # Euler's: y to the point (2), the gradients to their row (2), y + h v (3); a stage more of extragradient: the same,
    # its sum written where it is evaluated
    assert counts("euler").moved == 7
    assert counts("extragradient").moved == 12


# waits: one look for every iterate of Newton's method, one for every product of the linear systems between them
@pytest.mark.parametrize("name", ["implicit_midpoint", "bdf2", "gauss4", "trapezoid"])
@pytest.mark.parametrize("every", [1, 3, 12])
def test_newton_waits_once_an_iterate_and_once_a_look_at_its_system(name, every):
    # rejects: the residual, its scale and what rounding hides read apart; |b| of a system read once more
    solver = gd.integrators.NewtonKrylov(krylov=gd.integrators.Krylov(look_every=every))
    waits, floor = waits_of_a_step(name, solver, every)
    assert waits == floor


def waits_of_a_step(name, solver, every):
    """Waits of one step, and the floor: its iterates and the looks at its systems."""
    looks = 0

    def counting(apply, b, **how):
        nonlocal looks
        found = gmres(apply, b, **how)
        looks += -(-found.products // every)
        return found

    G, D, batch = pair()
    flow, h = gd.flows.gradient(gd.games.gan(G, D)), 0.3
    integrator, field = stepper(name, solver=solver), FrozenField(flow, check=False)
    y = flow.initial_state().y
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(newton, "gmres", counting)
        field.open(y, batch)
        memory = integrator.init(field, 0.0, y, h)
        for n in range(3):
            field.begin_step(batch, n)
            looks = 0
            with field.session(), Operations() as seen:
                y, memory, info = integrator.step(field, n * h, y, h, memory)
    return len(seen.reads), looks + info.counts["newton_iterations"] + 1


def test_looking_rarely_solves_the_same_system_with_products_to_spare():
    # rejects: columns beyond the one that converged used, or lost; a breakdown within a block missed
    g = torch.Generator().manual_seed(1)
    A = torch.eye(30, dtype=DOUBLE) + 0.1 * torch.randn(30, 30, generator=g, dtype=DOUBLE)
    b = torch.randn(30, generator=g, dtype=DOUBLE)
    one = gmres(lambda x: A @ x, b, rtol=1e-10, check=False)
    for every in (2, 4, 7, 100):
        found = gmres(lambda x: A @ x, b, rtol=1e-10, check=False, look_every=every)
        assert found.converged
        assert one.products <= found.products < one.products + every
        torch.testing.assert_close(found.x, one.x, rtol=0, atol=1e-12)
    B = torch.zeros(6, 6, dtype=DOUBLE)
    B[0, 1] = 1.0  # singular: the space is invariant after two products
    for every in (1, 4):
        assert gmres(lambda x: B @ x, torch.eye(6, dtype=DOUBLE)[1], look_every=every).status == "breakdown"


def test_a_look_at_what_is_not_finite_within_a_block():
    calls = 0

    def product(x):
        nonlocal calls
        calls += 1
        return x * float("nan") if calls == 3 else torch.arange(1.0, 7.0, dtype=DOUBLE) * x

    assert gmres(product, torch.ones(6, dtype=DOUBLE), look_every=5).status == "non_finite"


@pytest.mark.parametrize("name", ["ros2", "rosenbrock_euler", "exponential_rosenbrock_euler"])
def test_one_system_or_one_exponential_waits_a_few_times(name):
    solver = gd.integrators.Krylov(look_every=8)
    # rejects: |b| read twice, a look at every product; the floor is 2 a system, and with two looks 5 an exponential
    assert counts(name, solver=solver).waits == {"ros2": 4, "rosenbrock_euler": 2}.get(name, 5)


def test_an_exponential_that_is_solved_when_the_products_run_out():
    # rejects: "budget" said of columns that have been computed and not looked at
    A, e = 0.3 * torch.eye(15, dtype=DOUBLE), torch.eye(15, dtype=DOUBLE)[0]
    for every in (1, 4):
        found = phi_combination(lambda v: A @ v, [None, e], max_products=1, look_every=every)
        assert (found.products, found.status) == (1, "converged")
    torch.testing.assert_close(found.value, e * (math.exp(0.3) - 1) / 0.3, rtol=1e-12, atol=0)


def test_waits_are_named():
    found = counts("bdf2")
    assert sum(found.why.values()) == found.waits > 0
