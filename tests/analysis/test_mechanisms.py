"""The study `mechanisms`: its controls are the methods they say; known answers of its measures and regression."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

import gamedyn as gd
from analysis.studies.mechanisms import answer, measures
from analysis.studies.mechanisms.methods import CONTROLS, chebyshev, repeated
from analysis.studies.mechanisms.regression import fitted, prepared
from analysis.studies.mechanisms.setups import setup
from gamedyn.ablation import Outcome, Setup

OPTIONS = (("widths", (8,)), ("latent", 4))


@pytest.mark.parametrize("stages", [2, 3, 4, 6])
def test_chebyshev_methods_have_the_longest_real_interval(stages):
    # rejects: a damped polynomial, the scaling s in the place of s^2, a recursion that is off by a stage
    method = chebyshev(stages)
    assert method.order == 1
    assert gd.stability.real_limit(method) == pytest.approx(2 * stages**2, rel=1e-6)
    z = np.linspace(-2 * stages**2, 0, 31)
    expected = np.polynomial.chebyshev.Chebyshev.basis(stages)(1 + z / stages**2)
    np.testing.assert_allclose(gd.stability.stability_function(method)(z).real, expected, atol=1e-9)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_repeated_steps_are_steps_one_after_another(times):
    # rejects: stages that begin at the step's start again, steps of h each
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
    y0 = flow.initial_state().with_y(torch.tensor([0.7, -1.1], dtype=torch.float64))
    one = gd.solve(flow, repeated("rk4", times), h=0.3, steps=1, y0=y0).state.y
    many = gd.solve(flow, "rk4", h=0.3 / times, steps=times, y0=y0).state.y
    torch.testing.assert_close(one, many, rtol=1e-13, atol=1e-14)
    assert repeated("rk4", times).order == 4


def test_the_dial_goes_from_euler_over_ab2_to_optimistic():
    # rejects: a dial whose damping is not linear in its weight
    rates = [gd.stability.mode_rates(CONTROLS[f"dial {k / 4:g}"], [1j], 0.01)[0].real for k in range(5)]
    np.testing.assert_allclose(rates, [-(k / 4 - 0.5) * 0.01 for k in range(5)], atol=2e-5)
    assert [CONTROLS[f"dial {k / 4:g}"].order for k in range(5)] == [1, 1, 2, 1, 1]
    assert gd.methods.optimistic(Fraction(1, 2)).order == 2


@pytest.mark.parametrize("scale", ["player", "layer", "frozen"])
def test_scales_begin_as_long_as_the_raw_velocity(scale):
    # rejects: a normalised flow of another speed, one norm for both players
    raw, scaled = (setup("digits", 0, scale=s, penalty="r1", options=OPTIONS) for s in ("raw", scale))
    y, lengths = raw.flow.initial_state().y, []
    for made in (raw, scaled):
        found = [made.flow.field(next(made.batches))(0.0, y).norm() for _ in range(32)]
        lengths.append(float(torch.stack(found).mean()))
    assert lengths[1] == pytest.approx(lengths[0], rel=0.02)
    v = scaled.flow.field(next(scaled.batches))(0.0, y)
    layout = scaled.flow.game.layout
    players = [float(v[s].norm()) for s in layout.slices]
    tensors = [float(x.norm()) for x in layout.views(v)]
    assert (max(players) / min(players) < 1.001) == (scale in ("player", "layer"))
    assert (max(tensors) / min(tensors) < 1.001) == (scale == "layer")


def test_ratios_of_rates_keep_their_geometric_mean():
    made = setup("digits", 0, ratio=4.0, options=OPTIONS)
    assert made.flow.rates == {"G": 0.5, "D": 2.0}


def quadratic(e, a, method, h):
    """An outcome on a quadratic game with eigenvalues -e +- i a, and two faster, damped ones."""
    flow = gd.flows.gradient(gd.games.quadratic([[e, a], [-a, e]], (1, 1)))
    state = flow.initial_state().with_y(torch.tensor([1.0, 0.5], dtype=torch.float64))

    class Stream:
        def __next__(self):
            return None

    cell = {"method": method, "seed": 0}
    return Outcome(cell, Setup(flow, batches=Stream(), extras={}), flow, state, 1.0, h, 1, 1.0, 1, 1.0)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun2", 2), ("rk4", 4), ("alternating", 1)])
def test_local_errors_have_the_methods_order(method, order):
    # rejects: an error against the method's own steps, a reference of the same accuracy
    found = [measures.local_error(quadratic(0.3, 1.0, method, h)) for h in (0.4, 0.2)]
    assert np.log2(found[0] / found[1]) == pytest.approx(order, abs=0.35)


def test_block_limits_count_the_modes_that_grow_anyway():
    # rejects: a limit of 0 where one mode grows; eigenvalues alone, which give 2 for this game
    turn = np.array([[-0.5, -1.0], [1.0, -0.5]])
    J = np.zeros((4, 4))
    J[np.ix_([0, 2], [0, 2])] = turn  # the first coordinates of both players turn
    J[1, 1], J[3, 3] = 0.1, -0.2  # one mode grows whatever the step
    blocks = gd.stability.BlockJacobian(J, (2, 2))
    limit = measures._block_limit(gd.methods.get("alternating"), blocks, 1.0)
    assert limit == pytest.approx(1.3333, rel=0.06)


def table_of(rng, effects, count=400):
    rows = pd.DataFrame(
        {
            "accuracy": rng.uniform(0, 3, count),
            "stability": rng.uniform(-2, 2, count),
            "numerical": rng.uniform(-0.5, 0.5, count),
            "explicit": rng.uniform(0, 0.5, count),
        }
    )
    noise = rng.standard_normal(count) * 0.05
    distance = np.exp(2 + rows @ np.array(effects) + noise)
    return pd.DataFrame(
        {
            "at": 1.0,
            "seed": 0,
            "method": [f"m{i % 20}" for i in range(count)],
            "penalty": [f"p{i // 20 % 20}" for i in range(count)],
            "loss": "one",
            "h_per_evaluation": 0.1,
            "at_end.frechet": distance,
            "at_end.error": 10 ** -rows["accuracy"],
            "at_end.margin": 2 ** rows["stability"],
            "at_end.numerical": rows["numerical"],
            "at_end.explicit": rows["explicit"],
            "at_end.sampling": 1.0,
        }
    )


def test_the_regression_finds_planted_effects():
    # rejects: raw regressors, intervals that miss the truth, shares given to the wrong regressor
    planted = (0.0, -0.1, 0.0, -1.0)
    rows = prepared(table_of(np.random.default_rng(1), planted), cap=1e6)
    fit = fitted(rows, ["loss"])
    spread = rows[list(fit.names)].std(ddof=0).to_numpy()
    np.testing.assert_allclose(fit.effect, np.array(planted) * spread, atol=0.01)
    inside = [low <= p * s <= high for low, high, p, s in zip(fit.low, fit.high, planted, spread, strict=True)]
    assert sum(inside) >= 3
    assert fit.explained > 0.9
    assert np.argsort(fit.alone)[-2:].tolist() in ([1, 3], [3, 1])


def test_failures_are_counted_by_margin():
    table = table_of(np.random.default_rng(2), (0.0, 0.0, 0.0, 0.0), 40)
    table["at_end.margin"] = [0.3, 1.2] * 20
    table["at_end.frechet"] = [50.0, 5.0] * 20
    found = answer.failures({"factorial": table})
    assert found["0 to 0.5"] == (1.0, 20)
    assert found["1 to 1.5"] == (0.0, 20)
    assert np.isnan(found["1.5 to 3"][0])
    table["at_end.margin"] = [0.3, 7.0] * 20
    assert answer.failures({"factorial": table})["3 to inf"] == (0.0, 20)  # mutant: large margins left out


def test_contrasts_pair_cells_that_agree_in_all_else():
    # rejects: means over unlike cells, a failed run left out in the place of counting as far
    rows = [
        {"method": m, "penalty": p, "loss": "a", "h_per_evaluation": t, "seed": s, "at": 1.0, "at_end.frechet": d}
        for p, scale in (("none", 4.0), ("r1_r2", 1.0))
        for t in (0.1, 0.2)
        for s in range(3)
        for m, d in (("euler", scale), ("rk4", 2 * scale))
    ]
    table = pd.DataFrame(rows)
    by = ("penalty", "loss", "h_per_evaluation")
    assert answer.quotient(table, "method", "rk4", "euler", by)[0] == pytest.approx(2.0)
    other = answer.quotient(table, "penalty", "r1_r2", "none", ("method", "loss", "h_per_evaluation"))
    assert other == pytest.approx((0.25, 0.25, 0.25))
    assert answer.percent({"penalty": 0.2, "penalty x loss": 0.1, "loss": 0.3}, "penalty") == "30 %"
    assert all(np.isnan(answer.quotient(table, "method", "none such", "euler", by)))
    table.loc[table["method"] == "rk4", "at_end.frechet"] = np.nan
    assert answer.quotient(table, "method", "rk4", "euler", by)[0] == pytest.approx(answer.CAP / 2.0)


def test_the_settings_name_what_there_is():
    from analysis.studies.mechanisms import STUDY

    for scale in ("smoke", "default", "paper"):
        settings = STUDY.settings(scale)
        assert set(settings.few) <= set(settings.methods)
        assert all(gd.methods.get(m) for m in settings.methods)
