"""Low-storage methods: the program on registers is the tableau's step, in place, and spares the caller's y."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.jacobian import FrozenField as Field
from gamedyn.methods import LowStorage, RungeKutta
from gamedyn.methods._low_storage import Combine, Evaluate

DOUBLE = torch.float64
OWN = {n: m for n, m in gd.methods.members().items() if isinstance(m, LowStorage)}
# three registers of unlike roles: the stage point, the sum, and y; consistent, of order 1
SUMMED = LowStorage(
    [
        Evaluate(),
        Combine(1, ((1, Fraction(1)),), Fraction(1, 6)),
        Combine(0, ((2, Fraction(1)),), Fraction(1, 2)),
        Evaluate(),
        Combine(1, ((1, Fraction(1)),), Fraction(5, 6)),
        Combine(0, ((1, Fraction(1)),), Fraction(0)),
    ],
    (True, True, True),
)
EVERY = {
    **OWN,
    "user: heun": gd.methods.two_n([0, -1], [1, "1/2"]),
    "user: kg92": gd.methods.nested_imaginary(9),
    "user: program": SUMMED,
}
members = pytest.mark.parametrize("method", list(EVERY.values()), ids=list(EVERY))


def gan():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def data(n=12):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)


def stream():
    return gd.batches(data(), latent=2, batch_size=4, seed=1)


def tableau(method):
    """The same method without its program."""
    return RungeKutta(method.A, method.b, method.b_hat, digits=method.digits)


def forced():
    """Time in both players: nodes matter."""
    return gd.flows.custom(
        lambda t, s, _: {
            "x": torch.cos(torch.as_tensor(t, dtype=DOUBLE)) - s["x"] * s["y"],
            "y": s["x"] * t - 0.5 * s["y"],
        },
        like=gd.games.bilinear(),
    )


@members
class TestProgram:
    def test_is_the_step_of_its_tableau(self, method):
        # rejects: a register that is not reset, the target's own share after the others, a node forgotten
        for flow, how in ((gd.flows.gradient(gan()), {"batches": stream()}), (forced(), {})):
            a = gd.solve(flow, method, h=0.1, steps=7, **how)
            if how:
                how = {"batches": stream()}
            b = gd.solve(flow, tableau(method), h=0.1, steps=7, **how)
            torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=5e-14)
            assert a.stats["evaluations"] == b.stats["evaluations"] == 7 * method.evaluations

    def test_ensembles_too(self, method):
        flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5))
        run = gd.solve_ensemble(flow, method, h=[0.1, 0.3], steps=5)
        for i, h in enumerate((0.1, 0.3)):
            alone = gd.solve(flow, tableau(method), h=h, steps=5)
            torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-13)

    def test_advances_in_the_fields_point_and_spares_a_y_of_the_callers(self, method):
        # rejects: y0 overwritten by the first step, a copy for every step
        field, integrator = Field(gd.flows.gradient(gan())), stepper(method)
        assert integrator.in_place
        y = gan().state().y
        kept = y.clone()
        field.begin_step((data(), data()))
        first, memory, _ = integrator.step(field, 0.0, y, 0.1, integrator.init(field, 0.0, y, 0.1))
        assert first is field.point
        assert torch.equal(y, kept)
        after = first.clone()
        field.begin_step((data(), data()))
        second, _, _ = integrator.step(field, 0.1, first, 0.1, memory)
        assert second is field.point
        assert not torch.equal(second, after)

    def test_a_failure_keeps_the_last_checked_state(self, method):
        # numerics.md 9: "the state is gone after an in-place step"
        flow = gd.flows.custom(
            lambda t, s, _: {"x": -s["x"] * (float("nan") if float(t) > 0.5 else 1.0), "y": -s["y"]},
            like=gd.games.bilinear(),
        )
        run = gd.solve(flow, method, h=0.1, steps=50, check_every=2, throw=False)
        assert (run.status, run.step) == ("non_finite", 4)
        torch.testing.assert_close(run.state.y, torch.full((2,), 0.67032, dtype=DOUBLE), rtol=0, atol=5e-3)

    def test_callbacks_and_saved_states_are_copies(self, method):
        # rejects: states that all share the register and end up alike
        seen = []
        run = gd.solve(
            gd.flows.gradient(gd.games.bilinear()),
            method,
            h=0.1,
            steps=4,
            observers=[lambda v: seen.append(v.state.y)],
            save_at=[0.1, 0.2],
        )
        every = [*seen, run.saved[0.1].y, run.saved[0.2].y]
        assert len({tuple(y.tolist()) for y in every}) == 4
        assert torch.equal(seen[0], run.saved[0.1].y)
        assert torch.equal(seen[-1], run.state.y)


EMBEDDED = {n: m for n, m in EVERY.items() if m.embedded_order is not None}


@pytest.mark.parametrize("method", list(EMBEDDED.values()), ids=list(EMBEDDED))
def test_the_error_estimate_is_the_tableaus(method):
    # rejects: y - y_hat of another stage, or of the register before its last addition
    flow, h = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5)), 0.3
    control = gd.steps.Adaptive(rtol=1e-5, atol=1e-7)
    a, b = (gd.solve(flow, m, t_span=(0.0, 5.0), h=replace(control, first=h)) for m in (method, tableau(method)))
    assert a.step == b.step
    torch.testing.assert_close(a.records.figures["h"], b.records.figures["h"], rtol=1e-7, atol=0)
    torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-12)


def test_registers_start_as_they_say_at_every_step():
    # rejects: a register that starts as zero and keeps what the last step left in it
    program = [
        Evaluate(),
        Combine(1, ((1, Fraction(1)),), Fraction(1)),  # zero, plus the slope
        Combine(0, ((0, Fraction(1)), (1, Fraction(1))), Fraction(0)),
    ]
    method = LowStorage(program, (True, False))
    flow = gd.flows.gradient(gd.games.bilinear())
    a, b = (gd.solve(flow, m, h=0.1, steps=3).state.y for m in (method, "euler"))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-15)
