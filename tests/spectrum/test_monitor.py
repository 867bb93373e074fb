"""The monitor against games whose spectrum is known, its side effects, and the controller's rules."""

import itertools
import json
import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn.plot.monitor import monitor_path, monitor_ratios
from gamedyn.spectrum.controller import SpectralController
from gamedyn.spectrum.monitor import SpectralMonitor

REAL_INTERVALS = {"euler": 2.0, "rk4": 2.785293563405282, "ab2": 1.0, "extragradient": 1.0, "optimistic": 2 / 3}


def scalar_game(rates=(3.0, 0.5)):
    """Uncoupled linear players: J = -diag(rates)."""
    players = {f"p{i}": torch.ones(1, dtype=torch.float64) for i in range(len(rates))}

    def losses(*xs):
        return {f"p{i}": 0.5 * r * (x**2).sum() for i, (r, x) in enumerate(zip(rates, xs, strict=True))}

    return gd.flows.gradient(gd.Game(players, losses))


def linear_game(n=40, seed=0):
    """Two players of n numbers, coupled; and its Jacobian, by hand."""
    g = torch.Generator().manual_seed(seed)
    A, B, C = (torch.randn(n, n, generator=g, dtype=torch.float64) for _ in range(3))
    A, B, C = A @ A.T / n, B @ B.T / n + torch.eye(n), C / n**0.5

    def losses(x, y):
        turn = x @ C @ y
        return {"x": 0.5 * x @ A @ x + turn, "y": 0.5 * y @ B @ y - turn}

    J = torch.cat([torch.cat([-A, -C], 1), torch.cat([C.T, -B], 1)])
    start = torch.randn(2, n, generator=g, dtype=torch.float64)
    return gd.flows.gradient(gd.Game({"x": start[0], "y": start[1]}, losses)), J.numpy()


def quartic_game():
    """loss x^4/4: J = -3 x^2, so that the eigenvalue tells the state."""
    return gd.flows.gradient(
        gd.Game({"x": torch.full((1,), 2.0, dtype=torch.float64)}, lambda x: {"x": (x**4).sum() / 4})
    )


@pytest.mark.parametrize("method", sorted(REAL_INTERVALS))
def test_the_ratio_is_exact_on_a_linear_game(method):
    # rejects: another method's region (each has its own interval); h of another step; a ratio upside down.
    # Everything is closed form in float64: 1e-9 leaves room for the boundary's root finding alone.
    flow, h = scalar_game(), 0.1
    monitor = SpectralMonitor(flow, method, every=5)
    gd.solve(flow, method, h=h, steps=10, observers=[monitor])
    assert [r.step for r in monitor.records] == [5, 10]
    for r in monitor.records:
        assert r.h == pytest.approx(h, rel=1e-12)
        for name in ("real", "leading", "damped"):
            assert r.ratios[name] == pytest.approx(3 * h / REAL_INTERVALS[method], rel=1e-9)
        assert r.binding == pytest.approx(-3.0)
        assert r.complete


def test_amplification_and_limits_over_a_region_that_curves():
    # rejects: the real interval taken for the ray's end; |R| of the wrong mode, or at lambda instead of h lambda.
    flow = gd.flows.gradient(gd.games.dirac_gan("wasserstein", "r1", 1.0))  # J = [[0, -1], [1, -1]]
    h = 0.5
    r = SpectralMonitor(flow, "euler").measure(flow.initial_state(), h)
    lam = complex(-0.5, math.sqrt(0.75))
    assert r.limits["leading"] == pytest.approx(2 * 0.5 / abs(lam) ** 2, rel=1e-9)  # of |1 + h lambda| = 1
    assert r.limits["real"] == pytest.approx(2 / 0.5, rel=1e-9)
    assert r.amplification == pytest.approx(abs(1 + h * lam), rel=1e-12)


def test_krylov_path_agrees_with_the_dense_matrix():
    # rejects: J transposed is caught elsewhere; here a wrong kind, a missing conjugate, residuals not of these pairs.
    # Residuals are at most 1e-5 |J|, and the outer eigenvalues of this J are well conditioned: 1e-4 is ten times that.
    flow, J = linear_game()
    exact = np.linalg.eigvals(J)
    monitor = SpectralMonitor(flow, "rk4", k=3, kinds=("leftmost", "rightmost", "largest_imaginary"))
    r = monitor.measure(flow.initial_state(), 0.1)
    assert not r.complete
    assert r.eigenvalues[0].real == pytest.approx(exact.real.min(), abs=1e-4)
    assert r.eigenvalues.real.max() == pytest.approx(exact.real.max(), abs=1e-4)
    assert r.eigenvalues.imag.max() == pytest.approx(exact.imag.max(), abs=1e-4)
    assert np.allclose(np.sort(r.eigenvalues.imag), np.sort(-r.eigenvalues.imag), atol=1e-12)
    for x, off in zip(r.eigenvalues, r.residuals, strict=True):
        assert np.abs(exact - x).min() <= 100 * off + 1e-9
    assert r.ratios["real"] == pytest.approx(0.1 * -exact.real.min() / REAL_INTERVALS["rk4"], rel=1e-4)
    assert r.products > 10
    again = monitor.measure(flow.initial_state(), 0.1)  # from its own eigenvectors
    assert again.products <= r.products


def test_the_present_state_is_seen():
    # rejects: a stale state (the first, or that before the step): x moves by more than a per cent a step.
    flow = quartic_game()
    seen = []

    class Both(SpectralMonitor):
        def after_step(self, view):
            seen.append(float(view.state.y))
            super().after_step(view)

    monitor = Both(flow, "euler", every=1)
    gd.solve(flow, "euler", h=0.02, steps=8, observers=[monitor])
    assert [float(r.eigenvalues[0].real) for r in monitor.records] == pytest.approx([-3 * x**2 for x in seen])
    assert all(abs(a / b - 1) > 0.01 for a, b in itertools.pairwise(seen))


def test_growing_modes_are_kept_apart():
    # rejects: the limit over all modes, which is 0 whenever one grows.
    flow = scalar_game((-0.5, 4.0))
    r = SpectralMonitor(flow, "euler").measure(flow.initial_state(), 0.25)
    assert r.growing == (0.5,)
    assert r.ratios["damped"] == pytest.approx(0.5, rel=1e-12)
    alone = SpectralMonitor(scalar_game((-0.5,)), "euler").measure(torch.ones(1, dtype=torch.float64), 0.25)
    assert alone.limits == {"real": math.inf, "leading": math.inf, "damped": math.inf}
    assert alone.amplification is None


def test_implicit_methods_have_no_boundary_and_partitioned_ones_no_ray():
    flow = scalar_game()
    r = SpectralMonitor(flow, "implicit_midpoint").measure(flow.initial_state(), 10.0)
    assert r.ratios == {"real": 0.0, "leading": 0.0, "damped": 0.0}
    r = SpectralMonitor(flow, "alternating").measure(flow.initial_state(), 0.5)
    assert r.ratios["real"] == pytest.approx(0.75)
    assert r.limits["leading"] is None
    assert r.amplification is None


class Noisy(nn.Module):
    """Batch norm and dropout: a buffer and a generator that a careless look would move."""

    def __init__(self, n_in, n_out):
        super().__init__()
        g = torch.Generator().manual_seed(n_in)
        self.first, self.norm, self.drop, self.last = (
            nn.utils.skip_init(nn.Linear, n_in, 8),
            nn.BatchNorm1d(8),
            nn.Dropout(0.2),
            nn.utils.skip_init(nn.Linear, 8, n_out),
        )
        with torch.no_grad():
            for layer in (self.first, self.last):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=g) / 3)
                layer.bias.zero_()

    def forward(self, x):
        return self.last(self.drop(torch.tanh(self.norm(self.first(x)))))


@pytest.mark.parametrize("method", ["rk4", "ab2", "rdpk35"])
def test_a_monitored_run_is_bit_identical(method):
    # rejects: the default generator left where the look drew from it, buffers advanced, a workspace written.
    def run(monitored):
        G, D = Noisy(3, 4), Noisy(4, 1)
        flow = gd.flows.gradient(gd.games.gan(G, D)).with_term(gd.losses.squared_gradient(0.1))
        data = torch.randn(64, 4, generator=torch.Generator().manual_seed(5))
        before = [x.clone() for m in (G, D) for x in m.state_dict().values()]
        full = (data, torch.randn(64, 3, generator=torch.Generator().manual_seed(6)))
        monitor = SpectralMonitor(flow, method, batch=full, every=2, k=2, kinds=("leftmost",)) if monitored else None
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(1)
            stream, seen = gd.batches(data, latent=3, batch_size=16), [monitor] if monitored else []
            out = gd.solve(flow, method, h=0.05, steps=6, batches=stream, observers=seen)
            drawn = torch.rand(1)
        after = [x for m in (G, D) for x in m.state_dict().values()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        return out.state, drawn, monitor

    (plain, drawn, _), (watched, drawn_too, monitor) = run(False), run(True)
    assert len(monitor.records) == 3
    assert torch.equal(plain.y, watched.y)
    assert torch.equal(drawn, drawn_too)
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers, watched.buffers, strict=True))


def test_a_float64_copy_watches_a_float32_run():
    # rejects: products in the run's precision (residuals of float32 are about 1e-6).
    def flow(dtype):
        g = torch.Generator().manual_seed(2)
        G, D = (gd.games.mlp(w, generator=g).to(dtype) for w in ((2, 8, 4), (4, 8, 1)))
        return gd.flows.gradient(gd.games.gan(G, D))

    g = torch.Generator().manual_seed(3)
    batch = (torch.randn(32, 4, generator=g), torch.randn(32, 2, generator=g))
    monitor = SpectralMonitor(flow(torch.float64), "euler", batch=batch, every=5, k=3, kinds=("leftmost",), tol=1e-12)
    gd.solve(flow(torch.float32), "euler", h=0.1, steps=5, batch=batch, observers=[monitor])
    assert monitor.records[0].residuals.max() < 1e-10


def test_rhythm_and_step_of_the_run():
    # rejects: every counted in calls; h from the time since the run began when h changes.
    flow = scalar_game()
    monitor = SpectralMonitor(flow, "euler", every=4)
    gd.solve(flow, "euler", h=lambda step: 0.1 if step < 6 else 0.2, steps=12, observers=[monitor])
    assert [r.step for r in monitor.records] == [4, 8, 12]
    assert [r.h for r in monitor.records] == pytest.approx([0.1, 0.2, 0.2], rel=1e-9)
    assert monitor.records[0].share is not None
    assert 0 < monitor.records[-1].share <= 1


def test_a_state_that_is_not_finite_is_passed_over():
    flow = scalar_game()
    monitor = SpectralMonitor(flow, "euler", every=1)
    state = flow.initial_state()
    seen = SimpleNamespace(step=1, t=0.1, h=0.1, seconds=0.0, state=state.with_y(state.y * float("nan")))
    monitor.after_step(seen)
    assert not monitor.records


@pytest.mark.parametrize("n", [2, 60])
def test_products_that_are_not_finite_are_said_to_be(n):
    # rejects: no eigenvalues taken for "nothing binds" (limits inf, and a controller that doubles h)
    players = {"x": torch.ones(n, dtype=torch.float64)}
    flow = gd.flows.gradient(gd.Game(players, lambda x, scale: {"x": (scale * x**2).sum() / 2}))
    bad, good = torch.tensor(float("nan"), dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    monitor = SpectralMonitor(flow, "euler", batch=bad)
    record = monitor.measure(flow.initial_state(), 0.1)
    assert record.status == "non_finite"
    assert set(record.limits.values()) == {None}
    assert set(record.ratios.values()) == {None}
    with pytest.raises(gd.ArgumentError, match="no product was finite"):
        monitor_path(monitor)
    monitor.batch = good
    assert monitor.measure(flow.initial_state(), 0.1).limits["leading"] == pytest.approx(1.0)
    monitor.batch = bad
    monitor.every = 1
    control = SpectralController(monitor, first=0.2, h_min=0.1, h_max=1.0)
    gd.solve(flow, "euler", h=control, steps=3, batch=good)
    assert control.history == [(0, 0.2)]


def test_a_run_in_single_precision_is_seen_in_double():
    # rejects: buffers left in the run's precision
    def gan(dtype):
        norm = nn.BatchNorm1d(3, dtype=dtype)
        return gd.games.gan(nn.Linear(2, 3, dtype=dtype), nn.Sequential(norm, nn.Linear(3, 1, dtype=dtype)))

    batch = (torch.randn(8, 3), torch.randn(8, 2))
    run = gd.solve(gd.flows.gradient(gan(torch.float32)), "euler", h=0.1, steps=2, batch=batch)
    flow = gd.flows.gradient(gan(torch.float64))
    J = gd.spectrum.GameJacobian(flow, run, batch)
    assert {b.dtype for b in J.state.buffers if b.is_floating_point()} == {torch.float64}
    assert float((J.state.y - run.state.y).abs().max()) == 0.0


def test_bad_arguments_are_named():
    flow = scalar_game()
    with pytest.raises(gd.ArgumentError, match="kinds: expected at least one"):
        SpectralMonitor(flow, "euler", kinds=())
    with pytest.raises(gd.ArgumentError, match="did you mean 'leftmost'"):
        SpectralMonitor(flow, "euler", kinds=("leftmos",))
    with pytest.raises(gd.ArgumentError, match="every"):
        SpectralMonitor(flow, "euler", every=0)
    with pytest.raises(gd.ArgumentError, match="coefficients gamedyn holds"):
        SpectralMonitor(flow, "torchdiffeq:rk4")
    monitor = SpectralMonitor(flow, "alternating")
    with pytest.raises(gd.ArgumentError, match='"real" for a method that needs blocks'):
        SpectralController(monitor, h_min=0.1, h_max=1.0)
    with pytest.raises(gd.ArgumentError, match="h_min, h_max"):
        SpectralController(SpectralMonitor(flow, "euler"), h_min=1.0, h_max=0.1)
    with pytest.raises(gd.ArgumentError, match="first"):
        SpectralController(SpectralMonitor(flow, "euler"), h_min=0.1, h_max=1.0, first=2.0)
    with pytest.raises(gd.ArgumentError, match="safety, most"):
        SpectralController(SpectralMonitor(flow, "euler"), h_min=0.1, h_max=1.0, safety=1.5)


def test_where_a_controller_goes():
    # rejects: a controller that is asked and never shown the run, or shown it and never asked
    flow = scalar_game()
    control = SpectralController(SpectralMonitor(flow, "euler", every=1), h_min=0.1, h_max=1.0)
    with pytest.raises(gd.ArgumentError, match="h=controller"):
        gd.solve(flow, "euler", h=0.1, steps=1, observers=[control])
    seen = []
    gd.solve(flow, "euler", h=control, steps=3, observers=[lambda v: seen.append(v.step)])
    assert (seen, len(control.monitor.records)) == ([1, 2, 3], 3)
    for wrong in (print, [3], [gd.Observer]):
        with pytest.raises(gd.ArgumentError, match="observers"):
            gd.solve(flow, "euler", h=0.1, steps=1, observers=wrong)
    with pytest.raises(gd.ArgumentError, match="must be equal"):
        SpectralController(SpectralMonitor(flow, "ab2"), h_min=0.1, h_max=1.0)


def controlled(flow, steps=12, method="euler", **options):
    control = SpectralController(SpectralMonitor(flow, method, every=1), **options)
    gd.solve(flow, method, h=control, steps=steps)
    return control, [r.h for r in control.monitor.records]  # `every` is 1


def test_the_controller_settles_at_its_share_of_the_limit():
    # rejects: the euler limit for rk4, safety applied twice, growth in one jump.
    control, used = controlled(scalar_game(), method="rk4", first=0.1, h_min=0.01, h_max=5.0, hysteresis=0.0)
    assert used[-1] == pytest.approx(0.8 * REAL_INTERVALS["rk4"] / 3, rel=1e-9)
    assert used[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8 * REAL_INTERVALS["rk4"] / 3], rel=1e-9)
    assert [h for _, h in control.history] == pytest.approx(used[:4], rel=1e-12)


def test_the_controller_keeps_within_its_bounds():
    # rejects: a floor or a ceiling that is not there.
    assert controlled(scalar_game((1e6,)), first=0.1, h_min=0.05, h_max=0.2, steps=4)[1][-1] == 0.05
    assert controlled(scalar_game((1e-6,)), first=0.1, h_min=0.05, h_max=0.2, steps=4)[1][-1] == 0.2
    assert controlled(scalar_game((-1.0,)), first=0.1, h_min=0.05, h_max=0.2, steps=4)[1][-1] == 0.2


@pytest.mark.parametrize(("hysteresis", "changes"), [(0.1, 0), (0.01, 1)])
def test_hysteresis_keeps_small_changes_out(hysteresis, changes):
    # rejects: hysteresis ignored, or absolute (the change, 5 %, is 0.025 in absolute terms).
    first = 0.8 * 2 / 3 / 1.05
    control, _ = controlled(scalar_game(), first=first, h_min=0.01, h_max=5.0, hysteresis=hysteresis)
    assert len(control.history) == 1 + changes


def test_records_go_to_json_and_to_pictures():
    flow = scalar_game((-0.5, 4.0))
    for method in ("euler", "alternating", "implicit_midpoint"):
        monitor = SpectralMonitor(flow, method, every=2)
        gd.solve(flow, method, h=0.1, steps=6, observers=[monitor])
        told = json.loads(monitor.to_json())
        assert told["method"] == method
        assert [r["step"] for r in told["records"]] == [2, 4, 6]
        assert told["records"][0]["growing"] == [[0.5, 0.0]]
        for report in (monitor, told):
            ax = monitor_path(report)
            points = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 2])
            assert sorted(points[:2, 0]) == pytest.approx([-0.4, 0.05])
            plt.close(ax.figure)
    ax = monitor_ratios(_one_record(flow), by="leading")
    assert ax.lines[1].get_ydata() == pytest.approx([0.2])  # 0.1 * 4 / 2
    plt.close(ax.figure)
    with pytest.raises(gd.ArgumentError, match="at least one record"):
        monitor_ratios(SpectralMonitor(flow, "euler"))


def _one_record(flow):
    monitor = SpectralMonitor(flow, "euler")
    monitor.measure(flow.initial_state(), 0.1)
    return monitor
