"""The bridge to SciPy: what solve_ivp gives over each step, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.bridges.scipy import scipy_methods
from gamedyn.jacobian import FrozenField as Field

DOUBLE = torch.float64
THEIRS = {m: m.removeprefix("scipy:").replace("NDF", "BDF") for m in scipy_methods()}
STIFF = ("scipy:Radau", "scipy:NDF", "scipy:LSODA")
methods = pytest.mark.parametrize("method", scipy_methods())


def dirac():
    """The Dirac-GAN of Mescheder et al. 2018 with R1, weight 0.5; and its field, written out."""
    game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
    y0 = game.state().y.numpy()
    calls = [0]

    def rhs(t, y):
        calls[0] += 1
        theta, psi = y
        fake = 1 / (1 + np.exp(theta * psi))
        return np.array([psi * fake, -theta * (1 - fake) - 0.5 * psi])

    return gd.flows.gradient(game), rhs, y0, calls


def chained(rhs, y, method, h, steps, **options):
    for n in range(steps):
        y = scipy.integrate.solve_ivp(rhs, (n * h, n * h + h), y, method=THEIRS[method], **options).y[:, -1]
    return y


def field_of(flow, batch=None):
    field = flow.field(batch)
    return lambda t, y: field(float(t), torch.tensor(y)).numpy()


def test_methods():
    assert set(scipy_methods()) == {f"scipy:{m}" for m in ("RK23", "RK45", "DOP853", "Radau", "LSODA", "NDF")}


@methods
@pytest.mark.parametrize("options", [{}, {"rtol": 1e-6, "atol": 1e-9}, {"first_step": 0.05, "max_step": 0.2}])
def test_is_solve_ivp_bit_for_bit(method, options):
    # rejects: other tolerances, an interpolated end, time or state in float32, another method
    flow, _, y0, _ = dirac()
    run = gd.solve(flow, gd.methods.get(method, **options), h=0.5, steps=6)
    assert np.array_equal(run.state.y.numpy(), chained(field_of(flow), y0, method, 0.5, 6, **options))


@methods
def test_on_the_written_out_field(method):
    # the same numbers from a field that gamedyn has no part in; and the same number of evaluations
    flow, rhs, y0, calls = dirac()
    run = gd.solve(flow, gd.methods.get(method, rtol=1e-8, atol=1e-10), h=2.0, steps=1)
    y = chained(rhs, y0, method, 2.0, 1, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=1e-12)
    assert run.stats["evaluations"] == calls[0]


@methods
def test_tolerances_are_kept(method):
    # rejects: tolerances that do not arrive
    flow, rhs, y0, _ = dirac()
    exact = scipy.integrate.solve_ivp(rhs, (0, 6), y0, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    errors = []
    for rtol in (1e-4, 1e-9):
        run = gd.solve(flow, gd.methods.get(method, rtol=rtol, atol=rtol / 100), h=3.0, steps=2)
        errors.append(float(np.abs(run.state.y.numpy() - exact).max()))
    assert errors[1] < 2e-7
    assert errors[0] > 10 * errors[1]


@methods
def test_on_a_gan_with_batches(method, generator):
    # rejects: a batch that changes inside a step; a solver that goes on over the change of the batch
    game = gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=generator, dtype=DOUBLE),
        gd.games.mlp((2, 3, 1), generator=generator, dtype=DOUBLE),
    )
    flow = gd.flows.gradient(game, rates={"D": 2.0})
    pairs = [tuple(torch.randn(6, 2, generator=generator, dtype=DOUBLE) for _ in range(2)) for _ in range(3)]
    run = gd.solve(flow, method, h=0.3, steps=3, batches=iter([*pairs, *pairs]))
    y = game.state().y.numpy()
    for n, batch in enumerate(pairs):
        span = (n * 0.3, n * 0.3 + 0.3)
        y = scipy.integrate.solve_ivp(field_of(flow, batch), span, y, method=THEIRS[method]).y[:, -1]
    assert np.array_equal(run.state.y.numpy(), y)


@pytest.mark.parametrize("method", STIFF)
class TestJacobian:
    def stiff(self, dtype=DOUBLE):
        return gd.flows.gradient(gd.games.quadratic([[0.01, 10.0], [-10.0, 200.0]], dtype=dtype))

    def test_exact_is_what_solve_ivp_does_with_it(self, method):
        # rejects: the transpose, the Jacobian of the losses without rates
        game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
        flow = gd.flows.gradient(game, rates={"psi": 3.0} if "psi" in game.players else None)
        run = gd.solve(flow, gd.methods.get(method, jac="exact", rtol=1e-6), h=1.0, steps=3)
        jac = lambda t, y: flow.at(torch.tensor(y)).jacobian().to_dense().numpy()  # noqa: E731
        y = chained(field_of(flow), game.state().y.numpy(), method, 1.0, 3, jac=jac, rtol=1e-6)
        np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=1e-13)

    def test_exact_saves_the_differences(self, method):
        # rejects: an option that does nothing, the transpose (NDF then takes 1900 evaluations), products not counted
        flow = self.stiff()
        runs = {}
        for jac in ("differences", "exact"):
            field, integrator = Field(flow), stepper(gd.methods.get(method, jac=jac))
            field.begin_step(None)
            y, _, info = integrator.step(field, 0.0, flow.initial_state().y, 5.0, {})
            runs[jac] = (field.work.evaluations - field.work.products / 2, field.work.products, y)
            assert info.status == "ok"
            assert info.counts["inner_steps"] > 5
        assert runs["differences"][1] == 0 < runs["exact"][1]
        if method == "scipy:LSODA":  # which takes other steps with it
            assert runs["exact"][0] < 1.1 * runs["differences"][0]
        else:
            assert runs["exact"][0] < runs["differences"][0]
        torch.testing.assert_close(runs["exact"][2], runs["differences"][2], rtol=0, atol=1e-3)

    def test_float32_players_get_the_exact_one(self, method):
        # SciPy differences at 1e-8: rounding noise of a float32 field; rejects: differences there
        flow = self.stiff(torch.float32)
        field, integrator = Field(flow), stepper(gd.methods.get(method))
        field.begin_step(None)
        y, _, info = integrator.step(field, 0.0, flow.initial_state().y, 5.0, {})
        assert (info.status, y.dtype) == ("ok", torch.float32)
        assert field.work.products > 0
        double = gd.solve(self.stiff(), method, h=5.0, steps=1).state.y
        torch.testing.assert_close(y.double(), double, rtol=0, atol=1e-3)


@methods
class TestFailure:
    def test_a_blow_up_is_a_status(self, method):
        # y' = y^2 from 1 ends at t = 1; rejects: the last point reached taken for the result
        flow = gd.flows.custom(lambda t, s, _: {k: v * v for k, v in s.items()}, like=gd.games.bilinear())
        run = gd.solve(flow, method, h=1.5, steps=2, throw=False)
        assert run.status in ("not_converged", "non_finite")
        assert run.step == 0
        with pytest.raises(gd.SolveError):
            gd.solve(flow, method, h=1.5, steps=2)

    @pytest.mark.parametrize("until", [-1.0, 0.5])
    @pytest.mark.parametrize("check_every", [1, 7])
    def test_a_field_that_is_not_finite_ends_the_run(self, method, until, check_every):
        # rejects: SciPy's endless loop on a first step of nan, an error of its linear algebra or of its own checks
        def fn(t, s, _):
            return {k: -v * (float("nan") if float(t) > until else 1.0) for k, v in s.items()}

        flow = gd.flows.custom(fn, like=gd.games.bilinear())
        run = gd.solve(flow, method, h=0.1, steps=20, throw=False, check_every=check_every)
        assert run.status == "non_finite"
        assert run.step == (0 if until < 0 or check_every > 1 else 5)
        assert bool(run.state.y.isfinite().all())

    def test_errors_of_the_losses_get_through(self, method):
        def fn(t, s, _):
            if t > 0.3:
                raise ValueError("mine")
            return s

        with pytest.raises(ValueError, match="mine"):
            gd.solve(gd.flows.custom(fn, like=gd.games.bilinear()), method, h=0.1, steps=9)


class TestRefusals:
    flow = gd.flows.gradient(gd.games.bilinear())

    def solve(self, name, **options):
        return gd.solve(self.flow, gd.methods.get(f"scipy:{name}", **options), h=0.1, steps=2)

    def test_bdf_is_not_what_scipy_runs(self):
        with pytest.raises(gd.ArgumentError, match=r"'scipy:NDF', or gamedyn's own 'bdf2'"):
            self.solve("BDF")

    def test_unknown_methods(self):
        for name, near in (("RK54", "RK45"), ("radau", "Radau"), ("lsoda", "LSODA")):
            with pytest.raises(gd.ArgumentError, match=f"did you mean .*'scipy:{near}'"):
                self.solve(name)

    def test_options(self):
        for name, option, value, match in (
            ("RK45", "rtoll", 1e-3, "did you mean 'rtol'"),
            ("RK45", "jac", "exact", "jac"),
            ("RK45", "min_step", 0.1, "min_step"),
            ("Radau", "jac", "dense", "did you mean 'differences'"),
            ("RK45", "rtol", 0.0, "rtol"),
            ("RK45", "rtol", 1e-15, "at least 2.22e-14"),
            ("RK45", "atol", float("nan"), "atol"),
        ):
            with pytest.raises(gd.ArgumentError, match=match):
                self.solve(name, **{option: value})

    def test_first_step_longer_than_the_step(self):
        # SciPy raises; a shortened last step of t_span must not
        run = gd.solve(self.flow, gd.methods.get("scipy:RK45", first_step=0.4), h=0.5, t_span=(0.0, 1.2))
        assert run.t == pytest.approx(1.2)
