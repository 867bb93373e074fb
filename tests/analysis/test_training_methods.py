"""The study `training_methods`: its cells are the games that they say, its tables say which of known scores is best."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

import gamedyn as gd
from analysis.common.gans import PENALTIES, setup
from analysis.common.study import Workplace
from analysis.studies.training_methods import DIGITS, cells, report
from gamedyn.training import data, models

BENCH = replace(DIGITS, methods=("alternating",), steps=8, count=100)


@pytest.mark.parametrize("penalty", list(PENALTIES))
def test_a_set_up_is_the_game_of_its_seed(penalty):
    # rejects: another seed's start or batches, a term of another penalty, the weight of another data set
    made = setup("digits", 3, penalty=penalty, weights=(("r1", 0.5), ("r2", 0.25), ("squared_gradient", 0.1)))
    pair = models.build("mlp", (1, 8, 8), seed=3, widths=(32, 32), latent=16)
    own = gd.flows.gradient(gd.games.gan(pair.generator, pair.discriminator))
    for term, weight in {"r1": 0.5, "r2": 0.25, "squared_gradient": 0.1}.items():
        if term in PENALTIES[penalty]:
            own = own.with_term(getattr(gd.losses, term)(weight))
    stream = data.load("digits").batches(64, latent=16, seed=3)
    one = gd.solve(made.flow, "heun2", h=0.02, steps=4, batches=made.batches)
    other = gd.solve(own, "heun2", h=0.02, steps=4, batches=stream)
    assert torch.equal(one.state.y, other.state.y)
    assert setup("digits", 4).flow.initial_state().y.ne(setup("digits", 3).flow.initial_state().y).any()


def test_the_rate_with_the_best_score_is_chosen():
    # rejects: a failed run that wins, the largest score, a rate of another cell
    rows = [("euler", "none", 0.1, 3.0), ("euler", "none", 0.2, 1.0), ("euler", "none", 0.4, math.nan)]
    rows += [("rk4", "none", 0.1, 0.5), ("rk4", "none", 0.2, 0.5), ("ab2", "none", 0.1, math.nan)]
    tuned = pd.DataFrame(rows, columns=["method", "penalty", "h", "score.frechet"]).assign(loss="nonsaturating")
    assert {key[0]: rate for key, rate in cells.chosen(BENCH, tuned).items()} == {"euler": 0.2, "rk4": 0.1, "ab2": 0.1}


def test_a_bench_runs_to_its_figures(tmp_path):
    # rejects: a failed run that is scored, marks mixed up, labels that the table does not know
    bench = replace(
        BENCH, methods=("euler", "adam"), penalties=("none",), losses=("wasserstein",), tune_steps=4, seeds=2
    )
    bench = replace(bench, rates=(0.01, 1e12), options=(("widths", (8,)), ("latent", 4), ("activation", "leaky_relu")))
    figures = cells.run(bench, "digits", Workplace("test", tmp_path))
    assert [(f["method"], f["evaluations"]) for f in figures] == [("euler", 1), ("adam", 1)]
    assert figures[0]["tuned"]["none"]["1e+12"] == math.inf
    assert [(r["steps"], r["seed"], r["rate"]) for r in figures[0]["rows"]] == [
        (s, seed, 0.01) for seed in (0, 1) for s in (2, 4, 8)
    ]


def figures(**chosen):
    rows = [
        {"penalty": "none", "rate": rate, "seed": seed, "steps": steps, "frechet": value}
        for rate, values in {0.1: (3.0, 5.0), 0.4: (math.inf, 1.0)}.items()
        for steps in (4, 8)
        for seed, value in enumerate(values)
    ]
    common = {"label": "digits", "method": "euler", "loss": "nonsaturating", "evaluations": 1, "measure": "frechet"}
    tuned = {"none": {"0.1": 1.0, "0.4": 2.0}}
    return {**common, "more": False, "floor": {}, "chosen": {"none": 0.1}, "tuned": tuned, "rows": rows, **chosen}


def test_of_two_rates_the_one_without_a_failed_seed_is_shown():
    (cell,) = report._cells(figures())
    assert (cell["rate"], cell["edge"], cell["scores"][8]) == (0.1, True, [3.0, 5.0])
    assert report._shown(cell["scores"][8]) == "4.00 (3.00 to 5.00)"
    assert report._shown([math.inf, 1.0]) == "1 of 2 failed"


def test_more_modes_are_better():
    more = figures(more=True, measure="frechet")
    (cell,) = report._cells(more)
    assert cell["rate"] == 0.1  # a failed seed is no success, whichever way is better


@pytest.mark.parametrize(("evaluations", "share"), [(1, 8), (2, 4), (4, None), (None, None)])
def test_equal_evaluations_are_those_of_eulers_steps(evaluations, share):
    # rejects: scores of a mark with more or fewer evaluations
    (cell,) = report._cells(figures(evaluations=evaluations))
    found = report._at(BENCH, cell, None)
    assert found == (None if share is None else cell["scores"][share])


def test_a_table_of_failures_alone_is_drawn():
    # rejects: a logarithmic scale of nothing, which is refused
    rows = [{**r, "frechet": math.inf} for r in figures()["rows"]]
    bench = replace(BENCH, methods=("euler",), penalties=("none",), losses=("nonsaturating",))
    drawn = report._draw(bench, list(report._cells(figures(rows=rows))))
    drawn.canvas.draw()
    assert not drawn.axes[0].texts
