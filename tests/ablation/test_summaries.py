"""Means, differences and effects: by hand, on planted effects, and how often their intervals hold the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import gamedyn as gd
from gamedyn.ablation import differences, effects, means


def table(fn, seeds=5, **levels):
    """A full grid: `fn(values, seed)`."""
    rows = []
    for values in itertools.product(*levels.values()):
        own = dict(zip(levels, values, strict=True))
        rows += [{**own, "seed": s, "at": 1.0, "status": "done", "score": fn(own, s)} for s in range(seeds)]
    return pd.DataFrame(rows)


class TestMeans:
    def test_by_hand(self):
        # rejects: rows of earlier marks in the mean, groups in another order, a failed cell counted as 0
        values = table(lambda own, s: own["x"] + s, x=[30, 10, 20], seeds=3)
        early = values.assign(at=0.5, score=1e9)
        values.loc[0, "score"] = math.nan
        found = means(pd.concat([early, values]), "score", ["x"])
        assert found["x"].tolist() == [30, 10, 20]
        assert found["mean"].tolist() == [31.5, 11.0, 21.0]
        assert found["n"].tolist() == [2, 3, 3]
        assert found["failed"].tolist() == [1, 0, 0]
        assert means(values, "score", ["x"], failed=-1.0)["mean"].tolist()[0] == pytest.approx((-1 + 31 + 32) / 3)
        assert means(pd.concat([early, values]), "score", ["x", "at"])["mean"].max() == 1e9

    def test_infinite_scores_have_failed(self):
        found = means(table(lambda own, s: math.inf if s == 0 else 2.0, x=[1]), "score", ["x"])
        assert (found.loc[0, "mean"], found.loc[0, "failed"], found.loc[0, "low"]) == (2.0, 1, 2.0)

    def test_logarithms(self):
        found = means(table(lambda own, s: 10.0 ** (s - 1), x=[1], seeds=3), "score", ["x"], log=True)
        assert found.loc[0, "mean"] == pytest.approx(1.0)
        assert found.loc[0, "high"] == pytest.approx(10 ** (4.302653 / 3**0.5))  # t of two degrees of freedom
        assert found.loc[0, "low"] * found.loc[0, "high"] == pytest.approx(1.0)

    def test_one_value_has_no_interval(self):
        found = means(table(lambda own, s: 1.0, x=[1], seeds=1), "score", ["x"])
        assert found[["low", "high"]].isna().all().all()

    def test_intervals_hold_the_truth_as_often_as_they_say(self, rng):
        # rejects: standard deviations in the place of errors, one-sided ends, the level's complement
        held = {0.95: 0, 0.5: 0}
        for _ in range(150):
            values = table(lambda own, s: float(rng.exponential()), x=[1], seeds=25)
            for level in held:
                found = means(values, "score", ["x"], level=level).iloc[0]
                held[level] += found["low"] <= 1.0 <= found["high"]
        assert 0.88 <= held[0.95] / 150 <= 0.99
        assert 0.38 <= held[0.5] / 150 <= 0.62

    @pytest.mark.parametrize("seeds", [3, 5])
    def test_intervals_of_few_seeds_hold_the_truth_as_often(self, rng, seeds):
        # rejects: a bootstrap of three values, whose 95 % interval holds the mean in 73 % of cases
        held = 0
        for _ in range(400):
            found = means(table(lambda own, s: float(rng.normal()), x=[1], seeds=seeds), "score", ["x"]).iloc[0]
            held += found["low"] <= 0.0 <= found["high"]
        assert 0.915 <= held / 400 <= 0.985

    def test_the_same_table_gives_the_same_interval(self, rng):
        values = table(lambda own, s: float(rng.normal()), x=[1, 2])
        pd.testing.assert_frame_equal(means(values, "score", ["x"]), means(values, "score", ["x"]))

    def test_unknown_columns(self):
        with pytest.raises(gd.UnknownNameError, match="score"):
            means(table(lambda own, s: 1.0, x=[1]), "skore", ["x"])


class TestDifferences:
    def test_pairs_see_what_means_do_not(self, rng):
        # rejects: differences of means with the seeds' spread, pairs of different seeds, the other sign
        level = rng.normal(size=8) * 100
        values = table(
            lambda own, s: level[s] + (1.0 if own["method"] == "rk4" else 0.0), method=["euler", "rk4"], seeds=8
        )
        shuffled = values.sample(frac=1, random_state=3)
        found = differences(shuffled, "score", "method", "rk4", "euler").iloc[0]
        assert found["difference"] == pytest.approx(1.0)
        assert found["low"] == pytest.approx(1.0)
        assert (found["n"], found["below"]) == (8, 0)

    def test_for_each_of_something_else(self):
        def score(own, seed):
            return (2.0 if own["method"] == "rk4" else 1.0) ** (1 if own["loss"] == "a" else -1) * 10.0**seed

        values = table(score, method=["euler", "rk4"], loss=["a", "b"])
        found = differences(values, "score", "method", "rk4", "euler", by=["loss"], log=True)
        assert found["loss"].tolist() == ["a", "b"]
        assert found["difference"].tolist() == pytest.approx([2.0, 0.5])
        assert found["below"].tolist() == [0, 5]

    def test_none_is_a_level_and_no_pair_is_all(self):
        # rejects: a level of None that nothing equals; pairs of all cells whose columns have lost their names
        values = table(lambda own, s: s + (2.0 if own["clip"] is None else 0.5), clip=[None, 0.5], seeds=3)
        assert differences(values, "score", "clip", None, 0.5)["difference"].tolist() == [1.5]
        single = table(lambda own, s: float(own["x"]), x=[1, 3], seeds=1)
        assert differences(single, "score", "x", 3, 1, pair=())["difference"].tolist() == [2.0]

    def test_failed_cells_leave_their_pair(self):
        values = table(
            lambda own, s: math.nan if own["method"] == "rk4" and s == 1 else float(s), method=["euler", "rk4"]
        )
        found = differences(values, "score", "method", "rk4", "euler").iloc[0]
        assert (found["n"], found["failed"]) == (4, 1)

    def test_refusals(self):
        values = table(lambda own, s: 1.0, method=["euler", "rk4"], loss=["a", "b"])
        with pytest.raises(gd.UnknownNameError, match="rk4"):
            differences(values, "score", "method", "rk5", "euler")
        with pytest.raises(gd.ArgumentError, match="several cells"):
            differences(values, "score", "method", "rk4", "euler")


class TestEffects:
    def test_planted_effects_are_found(self):
        # rejects: effects against a first level, interactions that hold main effects, levels in another order
        main = {"euler": -1.0, "heun2": 0.0, "rk4": 1.0}
        loss = {"a": 0.5, "b": -0.5}
        both = {("euler", "a"): 0.3, ("euler", "b"): -0.3, ("rk4", "a"): -0.3, ("rk4", "b"): 0.3}

        def score(own, seed):
            return 7 + main[own["method"]] + loss[own["loss"]] + both.get((own["method"], own["loss"]), 0.0)

        values = table(score, method=["heun2", "rk4", "euler"], loss=["a", "b"])
        found = effects(values, "score", ["method", "loss"]).set_index(["term", "level"])["effect"]
        for level, effect in main.items():
            assert found["method", level] == pytest.approx(effect)
        for level, effect in loss.items():
            assert found["loss", level] == pytest.approx(effect)
        for levels, effect in both.items():
            assert found["method x loss", " x ".join(levels)] == pytest.approx(effect)
        assert found["method x loss", "heun2 x a"] == pytest.approx(0.0, abs=1e-12)

    def test_shares_add_up_and_intervals_hold(self, rng):
        noise = rng.normal(size=(2, 6)) * 0.1

        def score(own, seed):
            return 3.0 * own["x"] + noise[own["x"], seed]

        found = effects(table(score, x=[0, 1], seeds=6), "score", ["x"], order=1)
        assert found["effect"].tolist() == pytest.approx([-1.5, 1.5], abs=0.1)
        assert (found["low"] <= found["effect"]).all()
        assert (found["effect"] <= found["high"]).all()
        assert ((found["high"] - found["low"]) < 0.2).all()
        assert 0.99 < found["share"].iloc[0] <= 1

    def test_seeds_are_drawn_whole(self, rng):
        # rejects: rows drawn one by one, whose intervals would hold the seeds' own spread
        own_level = rng.normal(size=10) * 50
        values = table(lambda own, s: own_level[s] + own["x"], x=[0, 1], seeds=10)
        found = effects(values, "score", ["x"], order=1)
        assert (found["high"] - found["low"]).max() < 1e-9

    def test_missing_cells(self):
        # rejects: means of what is there, which holds the other factor's effect
        values = table(lambda own, s: own["x"] + 10.0 * own["y"], x=[0, 1], y=[0, 1, 2])
        values = values[~((values["x"] == 1) & (values["y"] == 2))]
        found = effects(values, "score", ["x", "y"], order=1).set_index(["term", "level"])["effect"]
        assert found["x", "1"] - found["x", "0"] == pytest.approx(1.0)
        assert found["y", "2"] - found["y", "0"] == pytest.approx(20.0)

    def test_what_the_cells_do_not_tell_is_refused(self):
        # rejects: least squares of smallest norm, which gives effects to combinations that never ran
        values = table(lambda own, s: own["x"] + 10.0 * own["y"], x=[0, 1], y=[0, 1, 2])
        values = values[~((values["x"] == 1) & (values["y"] == 2))]
        with pytest.raises(gd.ArgumentError, match=r"none at x 1, y 2.*lower order="):
            effects(values, "score", ["x", "y"])
        apart = values[(values["x"] == 0) == (values["y"] == 0)]  # no level of y with both of x
        with pytest.raises(gd.ArgumentError, match="separated"):
            effects(apart, "score", ["x", "y"], order=1)

    def test_shares_of_an_unbalanced_table_are_shares(self):
        # rejects: sums of squares of correlated columns, which add up to more than there is
        values = table(lambda own, s: 5.0 * own["x"] - 4.9 * own["y"] + 0.01 * s, x=[0, 1], y=[0, 1], seeds=6)
        rare = (values["x"] != values["y"]) & (values["seed"] > 0)
        found = effects(values[~rare], "score", ["x", "y"], order=1).drop_duplicates("term")
        assert found["share"].min() >= 0
        assert found["share"].sum() <= 1 + 1e-12

    def test_draws_that_leave_out_a_combination_are_no_draws(self):
        # rejects: fits of smallest norm among the resamples
        values = table(lambda own, s: float(own["x"] == 2) * 3.0, x=[0, 1, 2], seeds=6)
        values = values[(values["x"] != 2) | (values["seed"] < 3)]
        found = effects(values, "score", ["x"]).set_index("level")
        assert found.loc["2", "low"] > 1.5
        alone = values[(values["x"] != 2) | (values["seed"] < 1)]
        assert effects(alone, "score", ["x"]).set_index("level").loc["2", "low"] > 1.5

    def test_as_factors(self):
        values = table(lambda own, s: 5.0 * 4.0 ** own["x"], x=[0, 1])
        assert effects(values, "score", ["x"], log=True)["effect"].tolist() == pytest.approx([0.5, 2.0])

    def test_one_level(self):
        with pytest.raises(gd.ArgumentError, match="two levels"):
            effects(table(lambda own, s: 1.0, x=[1], y=[0, 1]), "score", ["x", "y"])


def test_signs_of_random_tables_agree_with_least_squares(rng):
    values = table(lambda own, s: float(rng.normal()), a=[0, 1, 2], b=["u", "v"], seeds=4)
    found = effects(values, "score", ["a", "b"]).set_index(["term", "level"])["effect"]
    grand = values["score"].mean()
    for a in (0, 1, 2):
        assert found["a", str(a)] == pytest.approx(values[values["a"] == a]["score"].mean() - grand)
    cell = values[(values["a"] == 1) & (values["b"] == "v")]["score"].mean()
    expected = cell - found["a", "1"] - found["b", "v"] - grand
    assert found["a x b", "1 x v"] == pytest.approx(expected)
    assert np.isfinite(found).all()


def test_values_that_are_equal_but_for_rounding_have_an_interval_of_a_point():
    # rejects: a bootstrap that divides 0 by 0, a warning and NaN in the place of what is known
    rows = [
        {"m": m, "seed": s, "at": 1.0, "d": (0.1 + 0.2 * s) * k} for s in range(4) for m, k in (("a", 1.0), ("b", 3.0))
    ]
    found = differences(pd.DataFrame(rows), "d", "m", "b", "a", log=True).iloc[0]
    assert found["low"] == pytest.approx(3.0)
    assert found["high"] == pytest.approx(3.0)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_logarithms_of_what_is_not_positive_are_refused(value):
    # rejects: a geometric mean of 0 or NaN without a word; a pair dropped since one of its values has no logarithm
    values = table(lambda own, s: value if s == own["x"] == 1 else 2.0, x=[1, 2])
    for of in (
        lambda: means(values, "score", ["x"], log=True),
        lambda: differences(values, "score", "x", 1, 2, log=True),
        lambda: effects(values, "score", ["x"], log=True),
    ):
        with pytest.raises(gd.ArgumentError, match="score: expected positive values: log is on, got 1 of 10"):
            of()


def test_intervals_are_those_of_seeds_drawn_with_repetition(rng):
    # rejects: a seed that is drawn twice and counts once; draws other than as many seeds as there are
    own = rng.standard_normal((4, 2))
    values = table(lambda cell, s: own[s, cell["x"]], seeds=4, x=[0, 1])
    found = effects(values, "score", ["x"], resamples=400).iloc[0]
    draw = np.random.default_rng(0)
    drawn = [own[draw.integers(4, size=4)] for _ in range(400)]
    half = [(d[:, 0].mean() - d[:, 1].mean()) / 2 for d in drawn]
    assert found["effect"] == pytest.approx((own[:, 0].mean() - own[:, 1].mean()) / 2)
    assert [found["low"], found["high"]] == pytest.approx([*np.percentile(half, [2.5, 97.5])])
