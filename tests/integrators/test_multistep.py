"""Multistep methods: users' own, momentum as what it is, history on changing batches, steps that must be equal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.methods import LinearMultistep, PredictorCorrector

DOUBLE = torch.float64
OWN = dict(gd.methods.members())

# consistent: rho(1) = 0, sigma(1) = rho'(1) = 3 - 2 * 3/4 = 3/2; zero-stable: the other roots have modulus 1/2
OLDEST = gd.methods.LinearMultistep(alpha=["-1/4", 0, "-3/4", 1], beta=[0, 0, "3/2", 0])
# rho'(1) = 3 - 2 * 1/2 - 1/3 = 5/3; unequal weights everywhere
ALL = gd.methods.LinearMultistep(alpha=["-1/6", "-1/3", "-1/2", 1], beta=["1/6", "-1/2", 2, 0])


@pytest.mark.parametrize("method", [OLDEST, ALL])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_user_made_method_is_its_recurrence(method, ensemble):
    # rejects: the history of points (or of field values) oldest first, or one step late
    h, steps = 0.1, 9
    z = [1 + 1j]  # the rotation x' = -y, y' = x is z' = i z; the first two steps are classical Runge-Kutta's
    for _ in range(2):
        z.append(z[-1] * sum((1j * h) ** k / f for k, f in enumerate((1, 1, 2, 6, 24))))
    while len(z) <= steps:
        past = z[-3:]
        z.append(
            sum((-float(a) + 1j * h * float(b)) * x for a, b, x in zip(method.alpha, method.beta, past, strict=False))
        )
    flow = gd.flows.gradient(gd.games.bilinear())
    if ensemble:
        y = gd.solve_ensemble(flow, method, h=[h, 2 * h], steps=steps).state.y[0]
    else:
        y = gd.solve(flow, method, h=h, steps=steps).state.y
    expected = torch.tensor([z[-1].real, z[-1].imag], dtype=torch.float64)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-13)


PECE = {n: m for n, m in OWN.items() if isinstance(m, PredictorCorrector)}


@pytest.mark.parametrize("method", list(PECE.values()), ids=list(PECE))
def test_a_predictor_corrector_is_its_ten_lines(method):
    # rejects: a predictor's value kept in the history, a correction too few, times of the corrector at t
    h, steps = 0.2, method.steps + 5
    v = lambda t, w: np.array([math.cos(t) - w[0] * w[1], w[0] * math.sin(t) - 0.5 * w[1]])  # noqa: E731
    flow = gd.flows.custom(
        lambda t, s, _: {
            "x": math.cos(t) - s["x"] * s["y"],
            "y": s["x"] * math.sin(t) - 0.5 * s["y"],
        },
        like=gd.games.bilinear(),
    )
    values = [np.ones(2)]
    A, b = np.array(method.start.A, float), np.array(method.start.b, float)
    for n in range(method.steps - 1):
        K = []
        for row in A:
            K.append(v(h * (n + row.sum()), values[-1] + h * sum(a * k for a, k in zip(row, K, strict=False))))
        values.append(values[-1] + h * sum(w * k for w, k in zip(b, K, strict=True)))

    def known(rule, n):
        past = range(n - rule.steps + 1, n + 1)
        return sum(
            -float(a) * values[m] + h * float(w) * v(m * h, values[m])
            for a, w, m in zip(rule.alpha, rule.beta, past, strict=False)
        )

    while len(values) <= steps:
        n = len(values) - 1
        new = known(method.predictor, n)
        for _ in range(method.corrections):
            new = known(method.corrector, n) + h * float(method.corrector.beta[-1]) * v((n + 1) * h, new)
        values.append(new)
    run = gd.solve(flow, method, h=h, steps=steps)
    np.testing.assert_allclose(run.state.y.numpy(), values[-1], rtol=0, atol=1e-13)


def gan():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def samples(seed=5):
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(8, 2, generator=g, dtype=DOUBLE) for _ in "ab")


def dirac():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6))


def dirac_field(w):
    """v and J, written out; f(t) = -log(1 + exp(-t))."""
    theta, psi = w
    s = theta * psi
    up, down = 1 / (1 + math.exp(-s)), 1 / (1 + math.exp(s))
    v = np.array([psi * down, -theta * up - 0.6 * psi])
    J = np.array([[-psi * psi * up * down, down - s * up * down], [-up - s * up * down, -(theta**2) * up * down - 0.6]])
    return v, J


class TestMomentum:
    def test_heavy_ball_is_torch_optim_sgd_with_momentum(self):
        # rejects: Nesterov's form, dampening, a first step from v_{-1} = v_0, learning rates without h
        game, batch, h, rates = gan(), samples(), 0.05, {"G": 1.0, "D": 2.0}
        run = gd.solve(gd.flows.gradient(game, rates=rates), "heavy_ball", h=h, steps=20, batch=batch)
        groups = [{"params": list(game.players[p].parameters()), "lr": h * rates[p]} for p in "GD"]
        optimiser = torch.optim.SGD(groups, momentum=0.9)
        for _ in range(20):
            losses = game.losses(game.players["G"], game.players["D"], batch)
            for p in "GD":
                mine = list(game.players[p].parameters())
                for leaf, grad in zip(mine, torch.autograd.grad(losses[p], mine, retain_graph=True), strict=True):
                    leaf.grad = grad
            optimiser.step()
        ulp = 20 * 10 * 2**-52  # one a step, carried on by 1/(1 - beta)
        torch.testing.assert_close(run.state.y, game.state().y, rtol=0, atol=ulp)

    @pytest.mark.parametrize("beta", [0.9, -0.5, 0.3])
    def test_heavy_ball_is_its_two_lines(self, beta):
        y, m, h = np.ones(2), np.zeros(2), 0.1
        for _ in range(30):
            m = beta * m + dirac_field(y)[0]
            y = y + h * m
        run = gd.solve(dirac(), gd.methods.heavy_ball(beta), h=h, steps=30)
        np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=2e-14)

    def test_complex_momentum_is_the_loop_with_complex_numbers(self):
        # Lorraine et al. 2022; rejects: |beta| for Re beta, the imaginary part of m in y
        beta = 0.8 * np.exp(1j * np.pi / 8)
        y, m, h = np.ones(2), np.zeros(2, complex), 0.1
        for _ in range(40):
            m = beta * m + dirac_field(y)[0]
            y = y + h * m.real
        run = gd.solve(dirac(), "complex_momentum", h=h, steps=40)
        np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=1e-13)

    def test_past_extragradient_is_optimistic_on_its_leading_points(self):
        # Popov 1980: w = y + h v(w_-), y+ = y + h v(w); rejects: a - sign, or the roles of w and y exchanged
        h, w, v = 0.3, np.ones(2), lambda x: dirac_field(x)[0]
        y = w - h * v(w)  # v(w_-) = v(w) at first
        leading = [w]
        for _ in range(20):
            y = y + h * v(w)
            w = y + h * v(w)
            leading.append(w)
        for n in (1, 2, 7, 20):
            run = gd.solve(dirac(), "optimistic", h=h, steps=n)
            np.testing.assert_allclose(run.state.y.numpy(), leading[n], rtol=0, atol=1e-14)

    def test_extragradient_of_two_steps(self):
        # Hsieh et al. 2020: extrapolate by gamma, update by eta; rejects: the two exchanged
        gamma, eta, y = 0.4, 0.1, np.ones(2)
        for _ in range(20):
            y = y + eta * dirac_field(y + gamma * dirac_field(y)[0])[0]
        method = gd.methods.double_step_extragradient("4/10", "1/10")
        run = gd.solve(dirac(), method, h=eta, steps=20)
        np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=1e-14)

    @pytest.mark.parametrize(("beta", "coupling"), [("1/2", 1), (0.3, 0.7), (0, "1/2")])
    def test_lead_is_its_loop(self, beta, coupling):
        # Hemmat et al. 2020, eq. (7)-(8); rejects: own blocks in W, W at the old point, W^T, a - sign
        y, before, h, steps = np.ones(2), np.ones(2), 0.1, 25
        factor = float(gd.methods.heavy_ball(beta).alpha[0]), float(coupling if coupling != "1/2" else 0.5)
        for _ in range(steps):
            v, J = dirac_field(y)
            d = y - before
            W = np.array([[0, J[0, 1]], [J[1, 0], 0]])
            y, before = y + factor[0] * d + h * v + h * factor[1] * W @ d, y
        run = gd.solve(dirac(), gd.methods.lead(beta, coupling), h=h, steps=steps)
        np.testing.assert_allclose(run.state.y.numpy(), y, rtol=0, atol=1e-13)


class TestHistory:
    """On a batch that changes, past values are those of their own batches, or are taken anew."""

    def batches(self):
        return [samples(seed) for seed in range(9)]

    def loop(self, method, refresh, steps=8, h=0.1):
        """Explicit Adams methods, written out."""
        game, batches = gan(), self.batches()
        flow, k = gd.flows.gradient(game), method.steps
        v = lambda y, n: flow.field(batches[n])(0.0, y)  # noqa: E731
        y = [game.state().y]
        for n in range(k - 1):
            y.append(
                gd.solve(flow, method.start, h=h, steps=1, y0=game.state().with_y(y[-1]), batch=batches[n]).state.y
            )
        for n in range(k - 1, steps):
            on = [n if refresh else n - j for j in range(k)]
            slopes = [v(y[n - j], on[j]) for j in range(k)]
            y.append(y[n] + h * sum(float(b) * s for b, s in zip(method.beta[:k][::-1], slopes, strict=True)))
        return y[-1]

    @pytest.mark.parametrize("history", ["stale", "refresh"])
    @pytest.mark.parametrize("name", ["ab2", "ab3", "ab5", "optimistic"])
    def test_is_the_loop(self, name, history):
        # rejects: the present batch for one of the old points, or an old batch for the present one
        method, steps = OWN[name], 8
        run = gd.solve(
            gd.flows.gradient(gan()), name, h=0.1, steps=steps, batches=iter(self.batches()), history=history
        )
        expected = self.loop(method, history == "refresh")
        torch.testing.assert_close(run.state.y, expected, rtol=0, atol=1e-14)
        assert run.stats["history"] == history
        k = method.steps
        own = (k if history == "refresh" else 1) * (steps - k + 1)
        assert run.stats["evaluations"] == own + (k - 1) * method.start.evaluations
        assert float((self.loop(method, True) - self.loop(method, False)).norm()) > 1e-5

    @pytest.mark.parametrize("name", ["ab4", "am4", "ebdf3", "leapfrog_multistep"])
    def test_on_one_batch_both_are_the_same(self, name):
        how = {"h": 0.1, "steps": 9, "batch": samples()}
        if name == "am4":
            how["solver"] = gd.integrators.NewtonKrylov(rtol=1e-13)
        a, b = (gd.solve(gd.flows.gradient(gan()), name, history=x, **how).state.y for x in ("stale", "refresh"))
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11 if name == "am4" else 1e-14)

    @pytest.mark.parametrize("name", ["ab3", "ebdf3"])
    def test_the_old_points_have_their_own_times(self, name):
        # rejects: refreshed slopes taken at the present time, at those of other steps
        forced = gd.flows.custom(
            lambda t, s, _: {"x": -s["x"] * torch.sin(s["y"] + 2 * t), "y": s["x"] + math.cos(3 * t) - s["y"]},
            like=gd.games.bilinear(),
        )
        a, b = (gd.solve(forced, name, history=x, h=0.1, steps=12).state.y for x in ("stale", "refresh"))
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)

    def test_implicit_adams_takes_the_old_points_on_the_present_batch(self):
        # the last step's equation, with its history refreshed: y+ - h beta_k v(y+) = known
        method, h, steps = OWN["am3"], 0.1, 6
        flow, batches = gd.flows.gradient(gan()), self.batches()
        solver = gd.integrators.NewtonKrylov(rtol=1e-13)
        how = {"h": h, "history": "refresh", "solver": solver}
        y = [gd.solve(flow, method, steps=n, batches=iter(batches), **how).state.y for n in range(steps - 2, steps + 1)]
        v = [flow.field(batches[steps - 1])(0.0, x) for x in y]
        known = y[1] + h * sum(float(b) * s for b, s in zip(method.beta, v, strict=True))
        torch.testing.assert_close(y[2], known, rtol=0, atol=1e-12)

    def test_a_run_can_be_gone_on_from(self):
        flow = dirac()
        whole = gd.solve(flow, "ab3", h=0.1, steps=9, history="refresh")
        part = gd.solve(flow, "ab3", h=0.1, steps=5, history="refresh")
        assert torch.equal(gd.solve(flow, "ab3", h=0.1, steps=9, history="refresh", resume=part).state.y, whole.state.y)

    def test_an_unknown_policy_and_a_method_without_history(self):
        with pytest.raises(gd.ArgumentError, match="history"):
            gd.solve(dirac(), "ab3", h=0.1, steps=9, history="fresh")
        with pytest.raises(gd.ArgumentError, match="history"):
            gd.solve(dirac(), "rk4", h=0.1, steps=9, history="refresh")


class TestZeroStability:
    def test_a_root_outside_the_unit_circle_is_refused(self):
        # HNW I, III.3, eq. (3.1): order 3, roots 1 and -5; rejects: "small steps will do"
        method = LinearMultistep(alpha=[-5, 4, 1], beta=[2, 4, 0])
        assert method.order == 3
        with pytest.raises(gd.ArgumentError, match=r"zero-stable.*5"):
            stepper(method)
        with pytest.raises(gd.ArgumentError, match="zero-stable"):
            gd.solve(dirac(), method, h=1e-3, steps=10)

    def test_a_double_root_on_the_circle_is_refused(self):
        # (zeta - 1)(zeta + 1)^2: a double root -1
        method = LinearMultistep(alpha=[-1, -1, 1, 1], beta=[0, 0, 4, 0])
        with pytest.raises(gd.ArgumentError, match="zero-stable"):
            stepper(method)

    def test_simple_roots_on_the_circle_are_not(self):
        # leapfrog: 1 and -1; and all members
        for method in OWN.values():
            if isinstance(method, LinearMultistep):
                stepper(method)
        assert stepper("leapfrog_multistep").method.steps == 2

    def test_the_unstable_pair_of_a_predictor_corrector_is_harmless_as_predictor(self):
        # PECE with an unstable predictor is zero-stable: the corrector's rho decides (HNW I, III.8)
        pair = PredictorCorrector(LinearMultistep(alpha=[-5, 4, 1], beta=[2, 4, 0]), OWN["am3"])
        run = gd.solve(gd.flows.gradient(gd.games.bilinear()), pair, h=0.01, steps=500)
        assert float(run.state.y.norm()) == pytest.approx(math.sqrt(2), rel=1e-5)


EQUAL = [n for n, m in OWN.items() if isinstance(m, (LinearMultistep, PredictorCorrector))]


@pytest.mark.parametrize("method", EQUAL)
class TestEqualSteps:
    def test_a_step_that_changes_is_refused(self, method):
        # rejects: equal-step coefficients on unequal steps: order 1 without a word (methods.md)
        with pytest.raises(gd.ArgumentError, match="equal"):
            gd.solve(dirac(), method, h=lambda step: 0.1, steps=3)

    def test_a_span_that_does_not_divide_is_refused(self, method):
        with pytest.raises(gd.ArgumentError, match="whole number of steps"):
            gd.solve(dirac(), method, h=0.03, t_span=(0.0, 1.0))

    def test_another_step_after_a_restart_is_refused(self, method):
        part = gd.solve(dirac(), method, h=0.05, steps=7)
        with pytest.raises(gd.ArgumentError, match="equal"):
            gd.solve(dirac(), method, h=0.1, steps=9, resume=part)
