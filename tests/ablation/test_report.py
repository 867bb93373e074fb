"""Figures and the report of a table."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot as plt

import gamedyn as gd
from gamedyn import ablation

GAMES = Path(__file__).with_name("own_games.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table with two factors, marks, and cells that diverge."""
    folder = tmp_path_factory.mktemp("made")
    factors = {"method": ["euler", "rk4"], "h": [0.1, 0.2, 60.0], "seed": range(3)}
    grid = ablation.Grid(f"{GAMES}:quadratic", factors, steps=300, coupling=2.0)
    measures = {"distance": f"{GAMES}:distance"}
    return folder, ablation.run(grid, measures, folder=folder, marks=[0.5, 1], progress=False)


class TestFigures:
    def test_a_heat_map_says_what_its_cells_are(self, made):
        # rejects: rows and columns exchanged, means of the half way in the end's
        table = made[1]
        ax = ablation.heat_map(table, "distance", ["method"], ["h"], log=True)
        texts = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
        assert len(texts) == 6
        known = ablation.means(table, "distance", ["method", "h"], log=True).set_index(["method", "h"])
        assert texts[0, 1].startswith(f"{known.loc[('euler', 0.2), 'mean']:.3g}\n")
        assert texts[1, 2] == "3 failed"
        assert [t.get_text() for t in ax.get_yticklabels()] == ["euler", "rk4"]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("h", "method")

    @pytest.mark.parametrize("columns", [["h"], ["h", "seed"]])
    def test_no_text_of_a_heat_map_meets_another(self, made, columns):
        # rejects: columns of one width whatever is written in them, labels with all digits of a number
        h = {0.1: 0.126992084157, 0.2: 0.201587367983}
        rows = made[1].replace({"method": {"euler": "torch.optim:Adam(betas=[0.0, 0.9])"}, "h": h})
        ax = ablation.heat_map(rows, "distance", ["method"], columns, log=True)
        ax.figure.draw_without_rendering()
        assert ax.get_xticklabels()[0].get_text().startswith("0.127")
        for texts in (ax.texts, ax.get_xticklabels(), ax.get_yticklabels()):
            boxes = [t.get_window_extent() for t in texts]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    def test_curves(self, made):
        table = made[1]
        finite = table[table["h"] < 1]
        ax = ablation.curves(finite, "distance", "at", ["method", "h"], log=True)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == [
            "euler, 0.1",
            "euler, 0.2",
            "rk4, 0.1",
            "rk4, 0.2",
        ]
        assert ax.get_ylabel() == "distance"
        lines = [c.lines[0].get_ydata() for c in ax.containers]
        known = ablation.means(finite, "distance", ["method", "h", "at"], log=True)["mean"]
        assert [y for line in lines for y in line] == pytest.approx(list(known))
        own = plt.figure().subplots()
        assert ablation.curves(finite, "distance", "h", ax=own) is own
        plt.close("all")

    def test_effects(self, made):
        table = made[1]
        found = ablation.effects(table[table["h"] < 1], "distance", ["method", "h"], log=True)
        ax = ablation.effect_bars(found, term="method", log=True)
        assert [t.get_text() for t in ax.get_yticklabels()] == ["method: euler", "method: rk4"]
        with pytest.raises(gd.ArgumentError, match="term"):
            ablation.effect_bars(found, term="loss")


def test_the_report_stands_alone(made):
    # rejects: a page that asks a network, failures left out, a mean that is not the table's
    folder, table = made
    page = ablation.write_report(folder, table, "distance", ["method", "h"], log=True).read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png") == 3
    for word in ("18 cells, 6 of them without a result", "non_finite", "Effects", "How it was made", "torch"):
        assert word in page
    mean = ablation.means(table, "distance", ["method", "h"], log=True)["mean"].iloc[0]
    assert f"{mean:.4g}" in page


def test_several_measures_one_after_the_other(made):
    # rejects: a report of the first alone; figures of one measure under the name of another
    folder, table = made
    page = ablation.write_report(folder, table.assign(double=2 * table["distance"]), ["distance", "double"], ["method"])
    first, second = page.read_text().split("<h1>double</h1>")
    assert "<h1>distance</h1>" in first
    for part, factor in ((first, 1), (second, 2)):
        mean = factor * ablation.means(table, "distance", ["method"])["mean"].iloc[0]
        assert f"{mean:.4g}" in part
    drawn = [set(re.findall(r"base64,([^\"]+)", part)) for part in (first, second)]
    assert len(drawn[0]) == len(drawn[1]) == 3  # no picture of one serves for the other
    assert not drawn[0] & drawn[1]


def test_a_baseline_beside_has_no_effects_that_nobody_measured(made):
    # rejects: effects of methods at steps that no cell has
    folder, table = made
    beside = table[(table["method"] == "euler") == (table["h"] == table["h"].min())]
    page = ablation.write_report(folder, beside, "distance", ["method", "h"]).read_text()
    assert "Effects are not shown: none at method" in page


def test_the_effects_of_a_grid_with_others_beside(made):
    # rejects: no effects of a grid that is complete, since another beside it is not; effects of both together
    folder, table = made
    whole = table[table["h"] < 1]
    beside = whole[whole["method"] == "euler"].assign(method="adam", h=0.01, distance=1e6)
    both = pd.concat([whole, beside], ignore_index=True)
    pages = [
        ablation.write_report(folder, found, "distance", ["method", "h"], own=own).read_text()
        for found, own in ((whole, None), (both, 12), (both, None))
    ]
    shares = [re.findall(r"<td>(method|h|method x h)</td><td class=.number.>([\d.]+)", page) for page in pages]
    assert shares[0] == shares[1]
    assert len(shares[0]) == 3
    assert shares[2] != shares[0]
    early = whole[whole["at"] == 1].head(3).assign(status="error", distance=math.nan)  # of such cells no mark is kept
    some = pd.concat([whole[~whole.index.isin(early.index - 1)], beside], ignore_index=True)
    some.loc[some.index.isin(range(3)), "distance"] = math.nan
    own = ablation.write_report(folder, some, "distance", ["method", "h"], own=12).read_text()
    assert "Share of the spread" in own
    assert "Effects are not shown" not in own
    assert "The grids beside are left out" in pages[1]
    assert "adam" in pages[1]  # of means and pictures they are no less


def test_a_report_says_what_was_asked_and_what_it_cost(made):
    # rejects: factors with one level left out; the seconds of a run that computed nothing as those of its cells
    folder, table = made
    ablation.run(
        ablation.Grid(
            f"{GAMES}:quadratic",
            {"method": ["euler", "rk4"], "h": [0.1, 0.2, 60.0], "seed": range(3)},
            steps=300,
            coupling=2.0,
        ),
        {"distance": f"{GAMES}:distance"},
        folder=folder,
        marks=[0.5, 1],
        progress=False,
    )
    page = ablation.write_report(folder, table, "distance", ["method"], asked="[setup] <mine>").read_text()
    for key, levels in (("h", "0.1, 0.2, 60"), ("steps", "300"), ("coupling", "2"), ("measured at", "0.5, 1")):
        assert f"<td>{key}</td><td>{levels}</td>" in page
    assert "[setup] &lt;mine&gt;" in page
    assert "<td>18: 0 computed by this run, 18 kept from before</td>" in page
    seconds = table[table["at"] == 1]["spent.seconds"].sum()
    assert f"<td>seconds of all cells</td><td>{seconds:.1f}</td>" in page


def test_levels_that_are_alike_to_four_digits(made):
    # rejects: two columns, or lines, of one name
    rows = made[1].replace({"h": {0.1: 0.10001, 0.2: 0.10002}})
    ticks = [t.get_text() for t in ablation.heat_map(rows, "distance", ["method"], ["h"]).get_xticklabels()]
    assert ticks == ["0.10001", "0.10002", "60"]
    names = [t.get_text() for t in ablation.curves(rows, "distance", "at", ["h"]).get_legend().get_texts()]
    assert names == ticks


@pytest.mark.parametrize("value", [2.0, math.nan])
def test_a_report_of_one_value_everywhere(made, value):
    # rejects: a logarithmic scale without a length
    page = ablation.write_report(made[0], made[1].assign(distance=value), "distance", ["method", "h"], log=True)
    assert "Where it ends" in page.read_text()


def test_a_report_of_failures_alone(made, tmp_path):
    table = made[1].assign(distance=math.nan, status="non_finite")
    (tmp_path / "ablation.json").write_text((made[0] / "ablation.json").read_text())
    page = ablation.write_report(tmp_path, table, "distance", ["method"]).read_text()
    assert "18 of them without a result" in page
    assert isinstance(table, pd.DataFrame)
