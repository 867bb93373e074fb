"""Implicit methods against Newton's method with exact dense Jacobians in NumPy; solvers, rejected steps, counters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import Anderson, Krylov, NewtonKrylov, fixed_point
from gamedyn.methods import LinearMultistep, RungeKutta

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
ONE_STEP = {n: m for n, m in OWN.items() if isinstance(m, RungeKutta) and not m.explicit}
SEVERAL = {n: m for n, m in OWN.items() if isinstance(m, LinearMultistep) and not m.explicit}
IMPLICIT = {**ONE_STEP, **SEVERAL, "theta 2/3": gd.methods.theta("2/3")}
implicit = pytest.mark.parametrize("method", list(IMPLICIT.values()), ids=list(IMPLICIT))
EXACT = NewtonKrylov(rtol=1e-13)


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


class Dirac:
    """Dirac-GAN, non-saturating loss, R1 of weight 0.6, written out; f(t) = -log(1 + exp(-t))."""

    flow = staticmethod(lambda: gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6)))
    batch = None

    def __call__(self, w):
        theta, psi = w
        s = theta * psi
        return np.array([psi * sigmoid(-s), -theta * sigmoid(s) - 0.6 * psi])

    def jacobian(self, w):
        theta, psi = w
        s = theta * psi
        q = sigmoid(s) * sigmoid(-s)
        return np.array(
            [[-psi * psi * q, sigmoid(-s) - s * q], [-sigmoid(s) - s * q, -theta * theta * q - 0.6]],
        )


class Gan:
    """A GAN of two perceptrons: gradients by plain autograd on the modules' functions, J by differentiating again."""

    def __init__(self):
        g = torch.Generator().manual_seed(4)
        self.players = [gd.games.mlp(w, generator=g, dtype=DOUBLE) for w in ((2, 2, 2), (2, 2, 1))]
        self.batch = tuple(torch.randn(6, 2, generator=g, dtype=DOUBLE) for _ in range(2))
        self.rates = (1.0, 2.0)

    def flow(self):
        return gd.flows.gradient(gd.games.gan(*self.players), rates={"D": 2.0})

    def _velocity(self, y):
        split = [list(m.named_parameters()) for m in self.players]
        at, named = 0, []
        for player in split:
            parts = {}
            for name, p in player:
                parts[name] = y[at : at + p.numel()].view(p.shape)
                at += p.numel()
            named.append(parts)
        real, z = self.batch
        G, D = self.players
        fake = torch.func.functional_call(D, named[1], torch.func.functional_call(G, named[0], z))
        truth = torch.func.functional_call(D, named[1], real)
        soft = torch.nn.functional.softplus
        losses = (soft(-fake).mean(), soft(fake).mean() + soft(-truth).mean())
        out = []
        for loss, parts, rate in zip(losses, named, self.rates, strict=True):
            out += [-rate * x.reshape(-1) for x in torch.autograd.grad(loss, list(parts.values()), create_graph=True)]
        return torch.cat(out)

    def __call__(self, w):
        return self._velocity(torch.tensor(w, requires_grad=True)).detach().numpy()

    def jacobian(self, w):
        return torch.autograd.functional.jacobian(self._velocity, torch.tensor(w), vectorize=True).numpy()


PROBLEMS = {"dirac": Dirac(), "gan": Gan()}
on_both = pytest.mark.parametrize("problem", list(PROBLEMS.values()), ids=list(PROBLEMS))


def dense_newton(residual, derivative, x):
    for _ in range(30):
        change = np.linalg.solve(derivative(x), residual(x))
        x = x - change
        if np.linalg.norm(change) <= 1e-14 * (1 + np.linalg.norm(x)):
            return x
    raise AssertionError("the reference did not converge")


def runge_kutta_step(f, A, b, y, h):
    """All stages at once, whatever their structure."""
    A, b, s, n = np.array(A, float), np.array(b, float), len(b), len(y)

    def residual(K):
        K = K.reshape(s, n)
        return (K - np.stack([f(y + h * a @ K) for a in A])).ravel()

    def derivative(K):
        J = [f.jacobian(y + h * a @ K.reshape(s, n)) for a in A]
        return np.eye(s * n) - h * np.block([[A[i, j] * J[i] for j in range(s)] for i in range(s)])

    K = dense_newton(residual, derivative, np.tile(f(y), s)).reshape(s, n)
    return y + h * b @ K


def reference(f, method, y, h, steps):
    if isinstance(method, RungeKutta):
        for _ in range(steps):
            y = runge_kutta_step(f, method.A, method.b, y, h)
        return y
    values = [y]
    for _ in range(method.steps - 1):
        values.append(runge_kutta_step(f, method.start.A, method.start.b, values[-1], h))
    alpha, beta = [float(a) for a in method.alpha], [float(b) for b in method.beta]
    while len(values) <= steps:
        past = values[-method.steps :]
        known = sum(h * b * f(v) - a * v for a, b, v in zip(alpha, beta, past, strict=False))
        values.append(
            dense_newton(
                lambda x, k=known: x - k - h * beta[-1] * f(x),
                lambda x: np.eye(len(x)) - h * beta[-1] * f.jacobian(x),
                past[-1],
            )
        )
    return values[-1]


def test_the_reference_has_the_flows_field_and_jacobian():
    for f in PROBLEMS.values():
        flow = f.flow()
        state = flow.initial_state()
        y = state.y.numpy()
        np.testing.assert_allclose(flow.field(f.batch)(0.0, state.y).numpy(), f(y), rtol=1e-13, atol=1e-15)
        J = flow.at(state, f.batch).jacobian().to_dense().numpy()
        np.testing.assert_allclose(J, f.jacobian(y), rtol=1e-11, atol=1e-13)


class TestNewtonKrylov:
    @on_both
    @implicit
    def test_is_dense_newton(self, method, problem):
        # rejects: a stage off by one, a diagonal forgotten, Newton with J at the wrong point, an unconverged stage
        h, flow = 0.5, problem.flow()
        steps = 2 if isinstance(method, RungeKutta) else method.steps + 1
        run = gd.solve(flow, method, h=h, steps=steps, batch=problem.batch, solver=EXACT)
        expected = reference(problem, method, flow.initial_state().y.numpy(), h, steps)
        np.testing.assert_allclose(run.state.y.numpy(), expected, rtol=0, atol=1e-10)

    def test_solves_what_is_stiff(self):
        # hJ from -1000 to -0.01 and a rotation of 10: implicit Euler is (I - hJ)^-1 y; rejects: GMRES without end
        H = torch.diag(torch.tensor([1000.0, 50.0, 1.0, 0.01], dtype=DOUBLE))
        H[1, 2], H[2, 1] = 10.0, -10.0
        flow = gd.flows.gradient(gd.games.quadratic(H))
        run = gd.solve(flow, "implicit_euler", h=1.0, steps=1, solver=NewtonKrylov(rtol=1e-12))
        expected = torch.linalg.solve(torch.eye(4, dtype=DOUBLE) + H, torch.ones(4, dtype=DOUBLE))
        torch.testing.assert_close(run.state.y, expected, rtol=1e-11, atol=1e-13)

    def test_a_linear_system_takes_one_iteration_where_it_is_solved_exactly(self):
        flow = gd.flows.gradient(gd.games.bilinear([[1.0, 2.0], [3.0, -1.0]]))
        run = gd.solve(flow, "implicit_midpoint", h=0.5, steps=5, solver=NewtonKrylov(rtol=1e-10, forcing=1e-12))
        assert run.stats["newton_iterations"] == 5
        assert run.stats["krylov_products"] <= 5 * 4

    def test_a_looser_first_forcing_takes_more_iterations_and_fewer_products(self):
        # Eisenstat, Walker 1996: oversolving far from the solution is waste; rejects: a forcing that is not used
        problem, stats = Gan(), {}
        for forcing in (0.5, 1e-10):
            solver = NewtonKrylov(rtol=1e-6, forcing=forcing)
            run = gd.solve(problem.flow(), "implicit_euler", h=1.0, steps=10, batch=problem.batch, solver=solver)
            stats[forcing] = run.stats
        assert stats[0.5]["newton_iterations"] > stats[1e-10]["newton_iterations"]
        assert stats[0.5]["krylov_products"] < stats[1e-10]["krylov_products"]

    def test_a_step_that_newton_solves_in_nine_iterations_is_solved(self):
        # rejects: giving up because the first three did not halve the residual
        problem = PROBLEMS["gan"]
        flow = problem.flow()
        run = gd.solve(flow, "implicit_euler", h=4.0, steps=1, batch=problem.batch, solver=NewtonKrylov(rtol=1e-12))
        y = flow.initial_state().y.numpy()
        end = run.state.y.numpy()
        np.testing.assert_allclose(end, y + 4.0 * problem(end), rtol=0, atol=1e-10)

    @pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
    def test_the_error_is_within_the_tolerance(self, rtol):
        # |F| <= rtol |K| and |(I - hJ)^-1| of order 1; rejects: an absolute test, or one on the step
        problem = Gan()
        y = problem.flow().initial_state().y
        exact = gd.solve(problem.flow(), "implicit_euler", h=1.0, steps=1, batch=problem.batch, solver=EXACT).state.y
        solver = NewtonKrylov(rtol=rtol)
        run = gd.solve(problem.flow(), "implicit_euler", h=1.0, steps=1, batch=problem.batch, solver=solver)
        assert float((run.state.y - exact).norm()) <= 5 * rtol * float((exact - y).norm())


class TestFixedPoint:
    @pytest.mark.parametrize("solver", [Anderson(rtol=1e-13), fixed_point(rtol=1e-13)], ids=["anderson", "plain"])
    @implicit
    def test_gives_the_same_step_where_it_converges(self, method, solver):
        # rejects: a mixing that converges to something else
        problem, h = PROBLEMS["gan"], 0.1
        steps = 1 if isinstance(method, RungeKutta) else method.steps
        how = {"h": h, "steps": steps, "batch": problem.batch}
        a, b = (gd.solve(problem.flow(), method, solver=s, **how) for s in (solver, EXACT))
        torch.testing.assert_close(a.state.y, b.state.y, rtol=0, atol=1e-11)
        assert a.stats["products"] == 0
        assert a.stats["fixed_point_iterations"] > 0

    @pytest.mark.parametrize("solver", [Anderson(max_iterations=40), fixed_point(max_iterations=40)], ids=["a", "p"])
    @pytest.mark.parametrize("method", ["implicit_euler", "gauss4", "bdf2", "kvaerno3"])
    def test_says_so_where_it_does_not(self, method, solver):
        # h |J| = 1000 on 40 unknowns; rejects: the last iterate taken for a solution
        H = torch.diag(torch.logspace(0, 3, 40, dtype=DOUBLE))
        flow = gd.flows.gradient(gd.games.quadratic(H, sizes=(20, 20)))
        run = gd.solve(flow, method, h=1.0, steps=3, solver=solver, throw=False)
        assert (run.status, run.step, run.t) == ("not_converged", 0, 0.0)
        assert torch.equal(run.state.y, torch.ones(40, dtype=DOUBLE))
        assert gd.solve(flow, method, h=1.0, steps=3).status == "done"

    def test_anderson_takes_fewer_evaluations(self):
        # h |J| = 0.9: the plain iteration gains a factor 0.9 a time
        flow = gd.flows.gradient(gd.games.bilinear(torch.diag(torch.linspace(0.1, 0.9, 6, dtype=DOUBLE))))
        runs = [
            gd.solve(flow, "implicit_euler", h=1.0, steps=3, solver=s)
            for s in (Anderson(depth=8), fixed_point(max_iterations=400))
        ]
        assert runs[0].stats["evaluations"] < 0.3 * runs[1].stats["evaluations"]
        torch.testing.assert_close(runs[0].state.y, runs[1].state.y, rtol=0, atol=1e-6)


def rejecting(step):
    """Steps that the plain iteration can take, then one that it cannot."""
    return 0.1 if step < 3 else 50.0


class TestRejectedSteps:
    def flow(self):
        return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6))

    @pytest.mark.parametrize("check_every", [1, 50])
    def test_the_state_before_the_step_is_kept(self, check_every):
        # rejects: the unconverged stage in the state, a step counted that was not taken, an older state
        how = {"solver": fixed_point(max_iterations=30), "check_every": check_every}
        run = gd.solve(self.flow(), "implicit_euler", h=rejecting, steps=9, throw=False, **how)
        good = gd.solve(self.flow(), "implicit_euler", h=rejecting, steps=3, **how)
        assert (run.status, run.step) == ("not_converged", 3)
        assert run.t == pytest.approx(0.3)
        assert torch.equal(run.state.y, good.state.y)
        with pytest.raises(gd.SolveError, match="a stage did not converge after step 3") as caught:
            gd.solve(self.flow(), "implicit_euler", h=rejecting, steps=9, **how)
        assert "step 3, error.run.state" in str(caught.value)
        assert torch.equal(caught.value.run.state.y, good.state.y)

    def test_it_can_be_gone_on_from_with_another_solver(self):
        how = {"h": rejecting, "steps": 5}
        stuck = gd.solve(self.flow(), "implicit_euler", solver=fixed_point(max_iterations=30), throw=False, **how)
        run = gd.solve(self.flow(), "implicit_euler", resume=stuck, **how)
        assert (run.status, run.step) == ("done", 5)

    def test_iterations_that_run_out(self):
        solver = NewtonKrylov(max_iterations=1, forcing=0.9, rtol=1e-12)
        run = gd.solve(self.flow(), "gauss4", h=1.0, steps=3, solver=solver, throw=False)
        assert (run.status, run.step) == ("not_converged", 0)
        assert run.stats["newton_iterations"] == 1

    @pytest.mark.parametrize("method", ["implicit_euler", "rosenbrock_euler", "bdf2"])
    def test_a_singular_system_is_a_breakdown(self, method):
        # rejects: a least-squares answer taken for a solution; J has the eigenvalue 1/h, or 3/(2h) for bdf2
        growth = {"bdf2": 1.5}.get(method, 1.0) / 0.5
        flow = gd.flows.gradient(gd.games.quadratic(torch.diag(torch.tensor([-growth, 1.0, 3.0], dtype=DOUBLE))))
        run = gd.solve(flow, method, h=0.5, steps=4, throw=False)
        assert run.status == "krylov_breakdown"
        assert run.step == (1 if method == "bdf2" else 0)
        assert bool(run.state.y.isfinite().all())
        with pytest.raises(gd.SolveError, match="a linear system was singular"):
            gd.solve(flow, method, h=0.5, steps=4)


class OnceDifferentiable(torch.autograd.Function):
    """A cube, whose derivative has no derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 3 * ctx.saved_tensors[0] ** 2 * grad


NEEDS_J = ["implicit_euler", "gauss4", "bdf2", "am3", "kvaerno3", "rosenbrock_euler", "cgd", "imex_sym", "exprb32"]


@pytest.mark.parametrize("method", NEEDS_J)
class TestFieldsWithoutDerivatives:
    def game(self):
        return gd.games.bilinear()

    @pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda x: torch.from_numpy(x.detach().numpy().copy())])
    def test_a_field_cut_from_its_graph_is_refused(self, method, cut):
        # rejects: J = 0 taken for the truth, which makes implicit Euler explicit without a word
        flow = gd.flows.custom(lambda t, s, _: {"x": -cut(s["y"]), "y": cut(s["x"])}, like=self.game())
        with pytest.raises(gd.ArgumentError, match=r"derivative is that of its gradients.*detach"):
            gd.solve(flow, method, h=0.1, steps=3)

    def test_one_player_that_is_cut_is_enough(self, method):
        flow = gd.flows.custom(lambda t, s, _: {"x": -s["y"].detach(), "y": s["x"]}, like=self.game())
        with pytest.raises(gd.ArgumentError, match=r"d v_x / d y off by 100%"):
            gd.solve(flow, method, h=0.1, steps=3)

    def test_a_constant_field_is_no_such_field(self, method):
        flow = gd.flows.custom(lambda t, s, _: {"x": torch.ones_like(s["x"]), "y": s["x"]}, like=self.game())
        run = gd.solve(flow, method, h=0.1, steps=5)
        if method != "imex_sym":  # whose W = (J + J^T)/2 moves x too
            assert float(run.state["x"]) == pytest.approx(1.5, abs=1e-6)

    def test_a_loss_that_can_be_differentiated_once_is_refused(self, method):
        x, y = torch.ones(2, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)

        def losses(x, y):
            value = (OnceDifferentiable.apply(x) * y).sum()
            return {"x": value, "y": -value}

        with pytest.raises(gd.ArgumentError, match="differentiated twice"):
            gd.solve(gd.flows.gradient(gd.Game({"x": x, "y": y}, losses)), method, h=0.1, steps=3)


def test_a_cut_field_can_be_solved_by_fixed_point_iteration():
    cut = torch.Tensor.detach
    flow = gd.flows.custom(lambda t, s, _: {"x": -cut(s["y"]), "y": cut(s["x"])}, like=gd.games.bilinear())
    run = gd.solve(flow, "implicit_midpoint", h=0.1, steps=10, solver=Anderson(rtol=1e-13))
    assert float(run.state.y.norm()) ** 2 == pytest.approx(2.0, abs=1e-12)


@pytest.mark.parametrize("make", [NewtonKrylov, Anderson, Krylov, fixed_point])
@pytest.mark.parametrize("rtol", [0.0, -1e-8, float("nan"), float("inf")])
def test_a_tolerance_of_zero_is_refused(make, rtol):
    with pytest.raises(gd.ArgumentError, match="rtol"):
        make(rtol=rtol)


@pytest.mark.parametrize(
    "how", [{"atol": -1.0}, {"max_iterations": 0}, {"forcing": 0.0}, {"forcing": 1.0}, {"atol": float("nan")}]
)
def test_bad_settings_of_newton(how):
    with pytest.raises(gd.ArgumentError, match=next(iter(how))):
        NewtonKrylov(**how)


def test_restart_with_a_time_dependent_field_is_exact():
    # t - n h would not be: the times of stages are those of the uninterrupted run
    flow = gd.flows.custom(lambda t, s, _: {"x": -s["y"] * np.cos(t), "y": s["x"] * s["y"]}, like=gd.games.bilinear())
    for method in ("am4", "bdf3", "radau_iia5"):
        whole = gd.solve(flow, method, h=0.1, steps=9)
        part = gd.solve(flow, method, h=0.1, steps=4)
        assert torch.equal(gd.solve(flow, method, h=0.1, steps=9, resume=part).state.y, whole.state.y)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float64, 1e-165), (torch.float32, 1e-23), (torch.float64, 1e160)])
@pytest.mark.parametrize("method", ["implicit_euler", "gauss4", "bdf2"])
@pytest.mark.parametrize("solver", [gd.integrators.NewtonKrylov, gd.integrators.Anderson])
def test_states_whose_squares_are_lost(dtype, scale, method, solver):
    # rejects: norms that underflow, so that a stage is taken for solved and y for at rest
    def run(size):
        game = gd.Game({"a": size * torch.tensor([1.0, 2.0], dtype=dtype)}, lambda a: {"a": (a * 0).sum()})
        flow = gd.flows.custom(lambda t, s, b: {"a": -s["a"]}, like=game)
        return gd.solve(flow, method, h=0.5, steps=4, solver=solver()).state.y / size

    torch.testing.assert_close(run(scale), run(1.0), rtol=1e-3 if dtype == torch.float32 else 1e-5, atol=0)
