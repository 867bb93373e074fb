"""Claims, their verdicts, and the check that holds studies to them."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gamedyn as gd
from analysis.__main__ import main
from analysis.common.check import check, differing
from analysis.common.claims import Claim, claims_table, log_interval
from analysis.common.index import write_index
from analysis.common.study import Findings, Study, Workplace, run_study
from gamedyn.ablation import Grid


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (Claim("", 1.0, at_most=1.0), "holds"),
        (Claim("", 1.01, at_most=1.0), "fails"),
        (Claim("", 0.9, 0.8, 1.0, at_most=1.0), "holds"),
        (Claim("", 0.9, 0.8, 1.1, at_most=1.0), "undecided"),
        (Claim("", 1.2, 1.1, 1.3, at_most=1.0), "fails"),
        (Claim("", 1.2, 1.1, 1.3, at_least=1.0), "holds"),
        (Claim("", 0.9, 0.8, 1.1, at_least=1.0), "undecided"),
        (Claim("", 1.0, 0.95, 1.05, at_least=0.9, at_most=1.1), "holds"),
        (Claim("", 1.0, 0.5, 2.0, at_least=0.9, at_most=1.1), "undecided"),
        (Claim("", math.nan, at_most=1.0), "undecided"),
        (Claim("", 0.0, math.nan, math.nan, at_most=1.0), "undecided"),
        (Claim("", math.inf, at_most=1.0), "fails"),
    ],
)
def test_verdicts(claim, verdict):
    # rejects: the estimate alone deciding, "fails" where a part of the interval lies in the range, NaN that holds
    assert claim.verdict == verdict == claim.record()["verdict"]
    assert verdict in claims_table([claim])


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8))
def test_intervals_of_quotients_are_those_of_their_logarithms(values):
    # rejects: an arithmetic mean; an interval that is not that of the inverses, inverted
    mean, low, high = log_interval(values)
    assert low <= mean * (1 + 1e-12)
    assert mean <= high * (1 + 1e-12)
    inverse = log_interval([1 / v for v in values])
    assert inverse == pytest.approx((1 / mean, 1 / high, 1 / low), rel=1e-6)


def test_an_interval_with_a_known_answer():
    # t(0.975, 3) = 3.182446; logs 0, 1, 2, 3: mean 1.5, standard deviation 1.290994
    mean, low, high = log_interval([math.exp(x) for x in range(4)])
    assert math.log(mean) == pytest.approx(1.5)
    assert math.log(high) - 1.5 == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-6)
    assert 1.5 - math.log(low) == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-6)
    assert Claim("", *log_interval([2.0]), at_least=1.0).verdict == "undecided"  # one value knows no interval


@dataclass(frozen=True)
class Made:
    """Settings."""

    value: float = 0.0


def study_of(claims, name="made"):
    return Study(name, "?", {"smoke": Made(), "default": Made(1.0)}, lambda s, work: Findings("Made", claims(s), []))


def test_check_holds_theory_and_repetition(tmp_path, capsys):
    # rejects: a theory's claim that fails unseen, numbers that differ from run to run unseen, an error that ends it all
    def broken(settings):
        raise RuntimeError("broken on purpose")

    good = study_of(lambda s: [Claim("x", s.value, at_most=0.0, exact=True), Claim("y", 5.0, at_most=1.0)], "good")
    bad = study_of(lambda s: [Claim("x", 1.0, at_most=0.0, exact=True)], "bad")
    random_one = study_of(lambda s: [Claim("x", random.SystemRandom().random(), at_most=1.0)], "random")
    timed = study_of(lambda s: [Claim("x", random.SystemRandom().random(), at_most=1.0, timed=True)], "timed")
    assert check([good, timed], tmp_path, progress=False)
    assert (tmp_path / "good/report.html").exists()
    assert check([random_one], progress=False, twice=False)
    for study in (bad, random_one, study_of(broken, "broken")):
        assert not check([study, good], progress=False)
    assert "broken on purpose" in capsys.readouterr().out
    assert not check([good], scale="default", progress=False)
    assert differing([Claim("x", math.nan)], [Claim("x", math.nan)]) == []
    assert differing([Claim("x", 1.0)], []) != []


def test_a_report_says_with_what_it_was_made(tmp_path):
    # rejects: a report without command, code, versions or machine; verdicts that findings.json lacks
    page, _ = run_study(study_of(lambda s: [Claim("x <y>", 1.0, at_most=2.0)]), tmp_path / "made", progress=False)
    told = json.loads((tmp_path / "made/findings.json").read_text())
    assert told["claims"][0]["verdict"] == "holds"
    assert {"command", "code", "versions", "machine", "began", "seconds", "scale"} <= set(told["about"])
    text = page.read_text()
    for word in (told["about"]["code"], "torch ", "x &lt;y&gt;", "1 holds, 0 fail, 0 undecided"):
        assert word in text
    index = write_index(tmp_path).read_text()
    assert 'href="made/report.html"' in index
    assert "x &lt;y&gt;" in index


def test_unknown_scales_and_studies_are_named(capsys):
    assert main(["run", "verdicts", "--scale", "large"]) == 2
    assert "smoke, default, paper" in capsys.readouterr().err
    assert main(["check", "verdict"]) == 2
    assert "did you mean 'verdicts'" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert "solver_limits: " in capsys.readouterr().out


def broken_setup(seed):
    if seed == 1:
        raise RuntimeError("broken on purpose")
    return gd.flows.gradient(gd.games.bilinear())


def size_of(outcome):
    return outcome.state.y.norm()


def test_a_study_does_not_claim_from_broken_cells(tmp_path):
    # rejects: a cell that ended by an exception left out of a mean in silence
    work = Workplace("made", tmp_path)
    grid = Grid(broken_setup, {"seed": range(3)}, method="euler", h=0.1, steps=2)
    with pytest.warns(UserWarning, match="broken on purpose"), pytest.raises(gd.GamedynError, match="1 cells of x"):
        work.ablation("x", grid, {"size": size_of})
    assert (tmp_path / "x/table.csv").exists()
    assert len(work.ablation("y", Grid(broken_setup, seed=0, method="euler", h=0.1, steps=2), {"size": size_of})) == 1
