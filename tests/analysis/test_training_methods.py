"""The study `training_methods`: its ensembles are single runs, and its tables say which of known scores is best."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import gamedyn as gd
from analysis.studies.training_methods import DIGITS, cells, report

BENCH = replace(DIGITS, methods=("alternating",), steps=8, count=100)


@pytest.mark.parametrize("method", ["alternating", "adam", "extra_adam"])
@pytest.mark.parametrize("penalty", ["none", "squared_gradient", "r1", "r1_r2"])
def test_a_member_of_a_cell_is_a_single_run(method, penalty):
    # rejects: another member's penalty, rate, start or batches; a term of weight 0 that acts
    setting = cells.Setting(BENCH, "nonsaturating")
    members = [cells.Member(p, rate, seed) for p, rate, seed in [("none", 0.01, 0), (penalty, 0.02, 1)]]
    marks = list(cells.integrated(setting, method, members, [4, 8]))
    flow = setting.flow([penalty])
    assert set(flow.terms) == set(cells.TERMS[penalty])
    for n, states in marks:
        alone = gd.solve(
            flow, cells.made(method), h=0.02, steps=n, y0=setting.start(1), batches=setting.stream(1), progress=False
        )
        # float32, and Adam divides by moments near 0; a step of another member is 1e-2
        torch.testing.assert_close(states[1].y, alone.state.y, rtol=0, atol=1e-3)


def test_a_member_that_fails_has_no_state_from_then_on():
    # rejects: its last finite state scored as if it had arrived
    options = (*BENCH.options, ("activation", "leaky_relu"))
    setting = cells.Setting(replace(BENCH, batch=64, options=options), "wasserstein")
    members = [cells.Member("none", 1e-3, 0), cells.Member("none", 1e10, 0)]
    marks = dict(cells.integrated(setting, "euler", members, [60, 120]))
    assert [[s is None for s in states] for states in marks.values()] == [[False, True]] * 2
    assert setting.score(None)[setting.decides] == math.inf


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
