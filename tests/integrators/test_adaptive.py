"""Adaptive steps: tolerances, counts, controllers, norms, settings; SciPy beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn.integrators import Adaptive, Krylov, NewtonKrylov
from gamedyn.methods import ExponentialRosenbrock, LinearlyImplicit, RungeKutta
from tests.integrators.adapted import DOUBLE, END, FILTERS, OWN, PAIRS, dirac, rotation


def sigmoid(s):
    return 1 / (1 + math.exp(-s))


def rhs(_, w):
    theta, psi = w
    return [psi * sigmoid(-theta * psi), -theta * sigmoid(theta * psi) - 0.6 * psi]


@pytest.fixture(scope="module")
def exact():
    return torch.as_tensor(solve_ivp(rhs, (0, END), [1.5, 1.0], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1])


def tight(method):
    """A solver that disturbs no error estimate."""
    if isinstance(method, (LinearlyImplicit, ExponentialRosenbrock)):
        return {"solver": Krylov(rtol=1e-11)}
    return {"solver": NewtonKrylov(rtol=1e-11)} if not method.explicit else {}


RANGES = {"heun2": (1e-2, 1e-4), "ros2": (1e-2, 1e-4), "dop853": (1e-3, 1e-9), "kvaerno5": (1e-7, 1e-9)}


"""Between them most steps are neither a handful nor thousands."""


@pytest.mark.parametrize("name", list(PAIRS))
def test_the_error_falls_with_the_tolerance(name, exact):
    # h^k = tol with k the estimate's order, error h^p: error ~ tol^(p/k); rejects: an estimate of another order, one
    # of the wrong sign or weights (no relation), a tolerance that is not used
    method = PAIRS[name]
    tolerances = RANGES.get(name, (1e-5, 1e-8) if method.explicit and method.order > 3 else (1e-4, 1e-6))
    errors = []
    for rtol in tolerances:
        control = Adaptive(rtol=rtol, atol=rtol, filter="I")
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=control, **tight(method))
        assert (run.status, run.t) == ("done", END)
        errors.append(float((run.state.y - exact).norm()))
        assert errors[-1] < 20 * rtol
    k = getattr(method, "estimate_order", None) or min(method.order, method.embedded_order) + 1
    slope = math.log(errors[0] / errors[1]) / math.log(tolerances[0] / tolerances[1])
    assert slope == pytest.approx(method.order / k, abs=0.25)


class TestCounts:
    def test_first_same_as_last(self):
        # 6 evaluations a try, 7 the first, 2 for the first step; rejects: FSAL not used, or used after a rejection
        control = Adaptive(rtol=1e-6, atol=1e-6)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        tries = run.stats["accepted"] + run.stats["rejected"]
        assert run.stats["accepted"] == run.step
        assert run.stats["evaluations"] == 2 + 1 + 6 * tries

    def test_rejected_steps_are_counted_and_their_work_too(self):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=gd.steps.Adaptive(first=4.0, rtol=1e-9, atol=1e-9))
        assert run.stats["rejected"] >= 2
        assert len(run.records.figures["h"]) == run.step == run.stats["accepted"]
        assert run.stats["evaluations"] >= 6 * (run.stats["accepted"] + run.stats["rejected"])

    @pytest.mark.parametrize(("name", "work"), [("merson43", 5), ("heun2", 2), ("kcl43", 4), ("dop853", 12)])
    def test_without_it_every_stage(self, name, work):
        control = Adaptive(rtol=1e-4, atol=1e-4)
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=replace(control, first=0.1))
        assert run.stats["evaluations"] == work * (run.stats["accepted"] + run.stats["rejected"])

    def test_extra_records(self):
        run = gd.solve(dirac(), "dopri5", t_span=(1.0, END), h=Adaptive(rtol=1e-6, atol=1e-6))
        t, h, e = run.records.t, *(run.records.figures[k] for k in ("h", "error"))
        torch.testing.assert_close(t, torch.cat([t[:1], t[:-1] + h[:-1]]), rtol=1e-12, atol=0)
        assert float(t[0]) == 1.0
        assert float(t[-1] + h[-1]) == pytest.approx(END, rel=1e-14)
        assert bool((e <= 1).all())

    def test_no_step_is_a_sliver_at_the_end(self):
        # the last two steps share what is left; rejects: a last step of 1e-12
        run = gd.solve(rotation(), "bosh3", t_span=(0.0, 1.0), h=gd.steps.Adaptive(first=0.3, rtol=1.0, h_max=0.3))
        assert [round(float(h), 12) for h in run.records.figures["h"]] == [0.3, 0.3, 0.2, 0.2]


class TestControl:
    @pytest.mark.parametrize("name", ["dopri5", "bosh3", "kcl43", "merson43"])
    @pytest.mark.parametrize("filter", list(FILTERS))
    def test_the_next_step_is_the_filters(self, filter, name):
        # Soederlind 2003; rejects: exponents by the order p instead of k, errors oldest first
        control = Adaptive(rtol=1e-6, atol=1e-6, filter=filter, safety=0.6)
        run = gd.solve(dirac(), name, t_span=(0.0, END), h=replace(control, first=0.01))
        h, e = (run.records.figures[x].tolist() for x in ("h", "error"))
        assert run.stats["rejected"] == 0
        k, weights = min(OWN[name].order, OWN[name].embedded_order) + 1, FILTERS[filter]
        assert len(h) > 15
        left = [END - t for t in run.records.t.tolist()]
        for n in range(4, next(i for i, x in enumerate(left) if h[i] > x / 2 * (1 - 1e-9)) - 1):  # then what is left
            factor = math.prod((0.6**k / e[n - i]) ** (w / k) for i, w in enumerate(weights))
            assert h[n + 1] / h[n] == pytest.approx(min(10.0, max(0.2, factor)), rel=1e-9)

    @pytest.mark.parametrize("filter", list(FILTERS))
    def test_all_meet_the_tolerance(self, filter, exact):
        control = Adaptive(rtol=1e-7, atol=1e-7, filter=filter)
        run = gd.solve(dirac(), "tsit5", t_span=(0.0, END), h=control)
        assert float((run.state.y - exact).norm()) < 5e-6

    def test_bounds(self):
        control = Adaptive(rtol=1e-3, atol=1e-3, h_max=0.07)
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        assert float(run.records.figures["h"].max()) <= 0.07 * (1 + 1e-12)
        control = Adaptive(rtol=1e-6, atol=1e-6, grow=1.5)
        h = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=replace(control, first=1e-4)).records.figures["h"]
        assert float((h[1:] / h[:-1]).max()) <= 1.5 * (1 + 1e-12)

    def test_h_is_the_first_step(self):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=gd.steps.Adaptive(first=0.0123, rtol=1e-6, atol=1e-6))
        assert float(run.records.figures["h"][0]) == 0.0123

    def test_relative_and_absolute_parts(self):
        # a player near 0 beside one of 1e6; rejects: atol scaled by y, rtol by the norm of all
        game = gd.games.bilinear()
        flow = gd.flows.custom(lambda t, s, _: {"x": -s["x"], "y": s["x"] * 0 + math.cos(20 * t)}, like=game)
        y0 = {"x": torch.tensor([1e6], dtype=DOUBLE), "y": torch.zeros(1, dtype=DOUBLE)}
        run = gd.solve(flow, "dopri5", t_span=(0.0, 1.0), y0=y0, h=Adaptive(rtol=1e-6, atol=1e-8))
        assert abs(float(run.state["y"]) - math.sin(20) / 20) < 1e-6

    def test_a_large_player_hides_no_small_one(self):
        # 400 entries at rest, two that turn: by "rms" the estimate is sqrt(201) times smaller
        x, y = torch.ones(400, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)
        game = gd.Game({"x": x, "y": y}, lambda x, y: {"x": x.sum(), "y": y.sum()})
        turn = torch.tensor([[0.0, -20.0], [20.0, 0.0]], dtype=DOUBLE)
        flow = gd.flows.custom(lambda t, s, _: {"x": 0 * s["x"], "y": turn @ s["y"]}, like=game)
        end = torch.linalg.matrix_exp(turn) @ y
        errors = {}
        for norm in ("players", "rms"):
            control = Adaptive(rtol=1e-5, atol=1e-5, norm=norm)
            run = gd.solve(flow, "dopri5", t_span=(0.0, 1.0), h=control)
            errors[norm] = float((run.state["y"] - end).norm())
        assert errors["rms"] > 8 * errors["players"]
        assert errors["players"] < 1e-3


@pytest.mark.parametrize(("rtol", "atol"), [(1e-3, 1e-6), (1e-6, 1e-9), (1e-9, 1e-9)])
def test_beside_scipy(rtol, atol, exact):
    # the same pair at the same tolerance; rejects: a norm, a safety factor or an estimate of another size
    peer = solve_ivp(rhs, (0, END), [1.5, 1.0], method="RK45", rtol=rtol, atol=atol)
    like = Adaptive(rtol=rtol, atol=atol, filter="I", norm="rms", grow=10.0)
    for control, share in ((like, 0.1), (Adaptive(rtol=rtol, atol=atol), 0.3)):
        run = gd.solve(dirac(), "dopri5", t_span=(0.0, END), h=control)
        assert run.stats["evaluations"] == pytest.approx(peer.nfev, rel=share, abs=6)
        error = float((run.state.y - exact).norm())
        assert error < 5 * np.linalg.norm(peer.y[:, -1] - exact.numpy()) + 1e-12


WITHOUT = [n for n, m in OWN.items() if getattr(m, "embedded_order", None) is None]


@pytest.mark.parametrize("name", WITHOUT)
def test_methods_without_an_embedded_one_are_refused(name):
    # rejects: an estimate made of nothing
    with pytest.raises(gd.ArgumentError, match="embedded"):
        gd.solve(dirac(), name, t_span=(0.0, 1.0), h=Adaptive(rtol=1e-3))


@pytest.mark.parametrize("name", ["torchdiffeq:dopri5", "scipy:RK45", "normalised", "torch.optim:Adam"])
def test_so_are_bridges_and_maps(name):
    with pytest.raises(gd.ArgumentError, match="embedded"):
        gd.solve(dirac(), name, t_span=(0.0, 1.0), h=Adaptive(rtol=1e-3))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"rtol": 0.0}, "at least one above 0"),
        ({"rtol": -1e-3}, "rtol"),
        ({"rtol": 1e-3, "atol": float("nan")}, "atol"),
        ({"rtol": float("inf")}, "rtol"),
        ({"rtol": 1e-3, "filter": "pi"}, "filter"),
        ({"rtol": 1e-3, "norm": "max"}, "norm"),
        ({"rtol": 1e-3, "safety": 0.0}, "safety"),
        ({"rtol": 1e-3, "grow": 0.9}, "grow"),
        ({"rtol": 1e-3, "shrink": 1.5}, "shrink"),
        ({"rtol": 1e-3, "h_min": 1.0, "h_max": 0.5}, "h_max"),
        ({"rtol": 1e-3, "max_steps": 0}, "max_steps"),
        ({"rtol": 1e-3, "noise_every": 0}, "noise_every"),
    ],
)
def test_bad_settings(how, match):
    with pytest.raises(gd.ArgumentError, match=match):
        Adaptive(**how)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"steps": 10, "t_span": (0.0, 1.0)}, "t_span"),
        ({}, "t_span"),
        ({"t_span": (1.0, 1.0)}, "t_span"),
        ({"t_span": (0.0, 1.0), "h": -0.1}, "h"),
        ({"t_span": (0.0, 1.0), "h": None}, "Adaptive"),
        ({"t_span": (0.0, 1.0), "sampling": "fresh"}, "sampling"),
    ],
)
def test_bad_arguments(how, match):
    given = {"h": Adaptive(rtol=1e-3), **how}
    with pytest.raises(gd.ArgumentError, match=match):
        gd.solve(dirac(), "dopri5", **given)


def test_user_made_pairs_adapt_too(exact):
    # an embedded method on one's own coefficients: Heun-Euler with fractions
    pair = RungeKutta(A=[[], [1]], b=["1/2", "1/2"], b_hat=[1, 0])
    run = gd.solve(dirac(), pair, t_span=(0.0, END), h=Adaptive(rtol=1e-5, atol=1e-5))
    assert float((run.state.y - exact).norm()) < 1e-3


@pytest.mark.parametrize("start", [(0.0, 1.0), (0.0, 0.0)])
def test_a_first_step_where_components_begin_at_zero(start):
    # rejects: |v_i| / (rtol |y_i|) of a component that is 0, which makes the first step 0 (and divides by it)
    like = gd.games.bilinear()
    flow = gd.flows.custom(lambda t, s, b: {"x": 1 - s["x"], "y": -s["y"]}, like=like)
    y0 = torch.tensor(start, dtype=torch.float64)
    run = gd.solve(flow, "dopri5", y0=y0, t_span=(0.0, 1.0), h=gd.steps.Adaptive(rtol=1e-6))
    exact = torch.tensor([1 - math.exp(-1), start[1] * math.exp(-1)], dtype=torch.float64)
    torch.testing.assert_close(run.state.y, exact, rtol=0, atol=1e-5)
