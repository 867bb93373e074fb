"""Grids: which cells there are, what their factors mean, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gamedyn as gd
from gamedyn.ablation import Grid


def setup(seed=0, width=8, coupling=1.0):
    return gd.flows.gradient(gd.games.bilinear([[coupling]]))


def any_setup(**factors):
    return gd.flows.gradient(gd.games.bilinear())


class TestCells:
    def test_every_combination_in_order(self):
        # rejects: the first factor varying fastest, a value left out
        grid = Grid(setup, {"method": ["euler", "rk4"], "seed": range(2)}, h=0.1, steps=10)
        assert [(c.values["method"], c.seed) for c in grid] == [("euler", 0), ("euler", 1), ("rk4", 0), ("rk4", 1)]
        assert grid.factors == {"method": ["euler", "rk4"], "seed": [0, 1], "h": [0.1], "steps": [10]}

    def test_where_and_sums(self):
        # rejects: cells of both counted twice, a predicate that may change the cells
        grid = Grid(
            setup, {"method": ["euler", "rk4"], "seed": range(3)}, h=0.1, steps=10, where=lambda c: c.pop("seed") < 2
        )
        assert len(grid) == 4
        assert all("seed" in c.values for c in grid)
        more = Grid(setup, {"method": ["rk4", "heun2"], "seed": [1]}, h=0.1, steps=10)
        assert len(grid + more) == 5

    def test_numpy_values_are_numbers(self):
        grid = Grid(setup, {"h": np.array([0.1, 0.2]), "coupling": np.linspace(1, 2, 2)}, method="euler", steps=3)
        assert [type(c.values["h"]) for c in grid] == [float] * 4
        assert [c.arguments["coupling"] for c in grid] == [1.0, 2.0, 1.0, 2.0]

    def test_budgets_in_steps(self):
        # rejects: rk4's steps for as many evaluations as Euler's; rounding up over the budget; time without h
        def steps(method, h=0.1, share=1.0, **budget):
            return Grid(setup, method=method, h=h, **budget).cells[0].steps_at(share)

        assert steps("euler", evaluations=403) == 403
        assert steps("rk4", evaluations=403) == 100
        assert steps("rk4", evaluations=400, share=0.5) == 50
        assert steps("alternating", evaluations=7) == 7
        assert steps("implicit_midpoint", evaluations=400) is None
        assert steps("rk4", h=0.25, time=10.0) == 40
        assert steps("euler", images=100) is None

    def test_a_step_for_each_evaluation(self):
        grid = Grid(setup, {"method": ["euler", "heun2", "rk4", "alternating"]}, h_per_evaluation=0.1, evaluations=40)
        assert [c.h for c in grid] == pytest.approx([0.1, 0.2, 0.4, 0.1])

    def test_methods_as_objects(self):
        mine = gd.methods.RungeKutta(A=[[], ["2/3"]], b=["1/4", "3/4"])
        grid = Grid(setup, {"method": [mine, "euler"]}, h=0.1, steps=3)
        assert grid.cells[0].method is mine
        assert grid.factors["method"][1] == "euler"

    def test_a_set_up_that_takes_any_factor(self):
        grid = Grid(any_setup, {"loss": ["a", "b"]}, method="euler", h=0.1, steps=1)
        assert [c.arguments for c in grid] == [{"loss": "a"}, {"loss": "b"}]

    def test_rates_and_weights(self):
        grid = Grid(setup, {"rates.x": [1, 2]}, method="euler", h=0.1, steps=1, **{"weights.r1": 0.5})
        assert [c.rates for c in grid] == [{"x": 1.0}, {"x": 2.0}]
        assert [c.weights for c in grid] == [{"r1": 0.5}] * 2
        assert [c.arguments for c in grid] == [{}, {}]


class TestRefusals:
    @pytest.mark.parametrize(
        ("factors", "told"),
        [
            ({"method": "euler", "h": 0.1}, "budget"),
            ({"method": "euler", "h": 0.1, "steps": 1, "time": 2.0}, "budget"),
            ({"h": 0.1, "steps": 1}, "method"),
            ({"method": "euler", "steps": 1}, "h_per_evaluation"),
            ({"method": "euler", "h": 0.1, "h_per_evaluation": 0.1, "steps": 1}, "h_per_evaluation"),
            ({"method": "implicit_midpoint", "h_per_evaluation": 0.1, "steps": 1}, "fixed number of evaluations"),
            ({"method": "oiler", "h": 0.1, "steps": 1}, "euler"),
            ({"method": "euler", "h": 0.1, "steps": 1, "widht": 3}, "width"),
            ({"method": "euler", "h": [], "steps": 1}, "at least one value"),
            ({"method": ["euler", "euler"], "h": 0.1, "steps": 1}, "once"),
            ({"method": "euler", "h": -0.1, "steps": 1}, "positive"),
            ({"method": "euler", "h": 0.1, "steps": 0}, "positive"),
        ],
    )
    def test_say_what_is_wrong(self, factors, told):
        with pytest.raises(gd.GamedynError, match=told):
            Grid(setup, factors)

    def test_no_cell_is_wanted(self):
        with pytest.raises(gd.ArgumentError, match="at least one cell"):
            Grid(setup, method="euler", h=0.1, steps=1, where=lambda c: False)

    @pytest.mark.parametrize("given", ["nowhere", "no_such_module:f", "nothing.py:f", "math:no_such", 3])
    def test_set_ups_that_are_none(self, given):
        with pytest.raises(gd.ArgumentError, match="setup"):
            Grid(given, method="euler", h=0.1, steps=1)


def test_values_may_be_named():
    # rejects: a dict taken for one value; a name that the table does not show, or that is stepped in its value's place
    methods = {"plain": "euler", "of two": gd.methods.get("heun2")}
    grid = Grid(setup, {"method": methods, "h": [0.1, 0.2]}, steps=2, where=lambda c: c["method"] == "of two")
    assert [c.shown["method"] for c in grid] == ["of two"] * 2
    assert [c.method.name for c in grid] == ["heun2"] * 2
    assert Grid(setup, {"method": methods}, h=0.1, steps=2).factors["method"] == ["plain", "of two"]


def test_values_that_a_table_would_show_alike_are_refused():
    # rejects: two methods of one's own merged into one row of a summary
    mine = [gd.methods.optimistic(a) for a in ("1/4", "3/4")]
    with pytest.raises(gd.ArgumentError, match=r"every value once.*distinguished by a dict"):
        Grid(setup, {"method": mine}, h=0.1, steps=1)
    grid = Grid(setup, {"method": {"low": mine[0], "high": mine[1]}}, h=0.1, steps=1)
    assert grid.factors["method"] == ["low", "high"]


def test_an_optimiser_makes_one_evaluation():
    # rejects: a step per evaluation refused for what has no tableau
    adam = gd.methods.get("torch.optim:Adam", betas=(0.0, 0.99))
    assert [c.h for c in Grid(setup, {"method": [adam, "rk4"]}, h_per_evaluation=0.1, evaluations=8)] == [0.1, 0.4]


def test_players_with_several_moves_make_no_whole_number_of_evaluations():
    # rejects: 1.5 evaluations counted as 1, which gives half as much work again for the same budget
    twice = gd.methods.get("alternating", cycles={"x": 2, "y": 1})
    cells = Grid(setup, {"method": [twice, "euler"]}, h_per_evaluation=0.1, evaluations=300).cells
    assert [c.steps for c in cells] == [200, 300]
    assert [c.h for c in cells] == pytest.approx([0.15, 0.1])


@pytest.mark.parametrize("method", ["torchdiffeq:rk4", "torchdiffeq:dopri5", "scipy:RK45"])
def test_the_work_of_another_library_s_step_is_not_known_beforehand(method):
    # rejects: one evaluation a step, with which a budget of 200 evaluations spent 800
    (cell,) = Grid(setup, {"method": [method], "h": [0.1]}, evaluations=40)
    assert (cell.work, cell.steps) == (None, None)
    with pytest.raises(gd.ArgumentError, match="fixed number of evaluations"):
        list(Grid(setup, {"method": [method], "h_per_evaluation": [0.1]}, evaluations=40))
