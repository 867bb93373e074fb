"""Lookahead: k steps ahead and part of the way back, over every kind of inner method; its clock."""

from __future__ import annotations

import math

import pytest
import torch

import gamedyn as gd
from gamedyn.methods import Lookahead
from gamedyn.methods.game import lookahead

DOUBLE = torch.float64
OWN = dict(gd.methods.members())


def gan():
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )


def stream():
    return gd.batches(torch.linspace(-1, 1, 24, dtype=DOUBLE).view(12, 2), latent=2, batch_size=4, seed=1)


def loop(flow, inner, k, alpha, h, steps, make):
    """Every outer step a fresh inner run of k steps on the step's batch."""
    y, batches = flow.initial_state(), make().to(torch.device("cpu"), DOUBLE)
    for _ in range(steps):
        ahead = gd.solve(flow, inner, h=h, steps=k, y0=y, batch=next(batches)).state.y
        y = y.with_y(y.y + alpha * (ahead - y.y))
    return y.y


CASES = {
    "alternating": (Lookahead(OWN["alternating"], 5, "1/2"), OWN["alternating"], 5, 0.5),
    "optimistic": (Lookahead(OWN["optimistic"], 5, "1/2"), OWN["optimistic"], 5, 0.5),
    "ab3": (Lookahead(OWN["ab3"], 4, 0.3), OWN["ab3"], 4, 0.3),
    "ab3, start-up only": (Lookahead(OWN["ab3"], 2, 0.3), OWN["ab3"], 2, 0.3),
    "pece_ab2_am3": (Lookahead(OWN["pece_ab2_am3"], 3, "3/4"), OWN["pece_ab2_am3"], 3, 0.75),
    "heavy_ball": (Lookahead(OWN["heavy_ball"], 3, "1/2"), OWN["heavy_ball"], 3, 0.5),
    "strang": (Lookahead(OWN["strang"], 2, "4/5"), OWN["strang"], 2, 0.8),
    "bdf2": (Lookahead(OWN["bdf2"], 3, "1/2"), OWN["bdf2"], 3, 0.5),
    "euler": (OWN["lookahead5"], OWN["euler"], 5, 0.5),
    "rk4": (lookahead(OWN["rk4"], 2, "1/3"), OWN["rk4"], 2, 1 / 3),
    "extragradient": (lookahead(OWN["extragradient"], 2, 0.5), OWN["extragradient"], 2, 0.5),
}


@pytest.mark.parametrize("case", list(CASES))
def test_is_k_steps_and_part_of_the_way_back(case):
    # rejects: an inner memory that outlives the outer step, alpha on the wrong side, a step too few
    method, inner, k, alpha = CASES[case]
    flow = gd.flows.gradient(gan(), rates={"D": 2.0})
    run = gd.solve(flow, method, h=0.1, steps=5, batches=stream())
    expected = loop(flow, inner, k, alpha, 0.1, 5, stream)
    torch.testing.assert_close(run.state.y, expected, rtol=0, atol=1e-13)


def test_the_members_are_those_cases():
    for name, case in (("lookahead_alternating", "alternating"), ("lookahead_optimistic", "optimistic")):
        flow = gd.flows.gradient(gan())
        a, b = (gd.solve(flow, m, h=0.1, steps=3, batches=stream()) for m in (name, CASES[case][0]))
        assert torch.equal(a.state.y, b.state.y)


@pytest.mark.parametrize("case", ["alternating", "optimistic", "ab3", "strang", "euler", "rk4"])
def test_the_clock_is_that_of_the_limit(case):
    # y' = s v, s = alpha k: at time T the solution of y' = s v(t, y); rejects: time of the inner steps in the field
    method, _, k, alpha = CASES[case]
    scale = alpha * k
    assert float(method.time_scale) == pytest.approx(scale)

    def scaled(by):
        return gd.flows.custom(
            lambda t, s, _: {
                "x": by * (torch.cos(3 * torch.as_tensor(t, dtype=DOUBLE)) - s["y"]),
                "y": by * (s["x"] * t - 0.5 * s["y"]),
            },
            like=gd.games.bilinear(),
        )

    exact = gd.solve(scaled(scale), "rk4", h=0.02, steps=50).state.y
    errors = [float((gd.solve(scaled(1.0), method, h=1 / n, steps=n).state.y - exact).norm()) for n in (100, 200)]
    assert errors[1] < 0.1
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.1)  # order 1 for alpha < 1


@pytest.mark.parametrize("name", ["ab3", "strang_midpoint", "pece_ab2_am2"])
def test_all_the_way_keeps_the_order(name):
    # alpha = 1: k steps begun anew; rejects: an inner start of too low an order
    method = Lookahead(OWN[name], 4, 1)
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6))
    a = gd.solve(flow, method, h=0.1, steps=1).state.y
    b = gd.solve(flow, OWN[name], h=0.1, steps=4).state.y
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_a_rejected_inner_step_rejects_the_outer_one():
    flow = gd.flows.gradient(gd.games.quadratic([[-10.0, 0.0], [0.0, 1.0]]))  # I - hJ is singular at h = 0.1
    method = Lookahead(gd.methods.LinearMultistep([-1, 1], [0, 1]), 3, "1/2")  # implicit Euler
    run = gd.solve(flow, method, h=0.1, steps=5, throw=False)
    assert (run.status, run.step) == ("krylov_breakdown", 0)
    assert torch.equal(run.state.y, flow.initial_state().y)


def test_counts_of_the_inner_solves_are_kept():
    # rejects: Newton iterations of inner steps lost
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6))
    run = gd.solve(flow, CASES["bdf2"][0], h=0.2, steps=4)
    assert run.stats["newton_iterations"] >= 4 * 3


@pytest.mark.parametrize(
    ("how", "match"), [((0, "1/2"), "k"), ((5, 0), "alpha"), ((5, "3/2"), "alpha"), ((2.5, "1/2"), "k")]
)
def test_bad_arguments(how, match):
    with pytest.raises(gd.ArgumentError, match=match):
        Lookahead(OWN["ab2"], *how)
    with pytest.raises(gd.ArgumentError, match="inner"):
        Lookahead(OWN["rk4"], 5, "1/2")
