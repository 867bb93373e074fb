"""The studies of all families: known figures at small size, and what their tables are made of."""

import importlib.util
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gamedyn as gd
from analysis.common.kinds import KINDS, kind
from analysis.common.study import run_study
from analysis.studies import get
from analysis.studies.implicit_training import training
from analysis.studies.method_limits import limits
from analysis.studies.work_precision import jax_peer, runs
from analysis.studies.work_precision.curves import Curve, cheapest, price
from analysis.studies.work_precision.problems import STIFF, flow_and_batch, problem


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    study, out = get("work_precision"), tmp_path_factory.mktemp("work_precision")
    run_study(study, out, scale="smoke", jobs=1, progress=False)
    return json.loads((out / "summary.json").read_text())["problems"]


def curve(summary, name, label):
    return next(Curve(*c.values()) for c in summary[name]["curves"] if c["label"] == label)


def test_the_stiff_game_has_its_eigenvalues_and_its_matrix():
    # rejects: a mirror that is not orthogonal, H with the wrong sign, a transposed J
    assert np.sort_complex(np.linalg.eigvals(STIFF)) == pytest.approx([-100, -0.01 - 10j, -0.01 + 10j], abs=1e-11)
    flow, _ = flow_and_batch("stiff")
    y = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    assert flow.field()(0.0, y).numpy() == pytest.approx(STIFF @ y.numpy(), abs=1e-11)


def test_the_dirac_reference_is_that_of_another_solver():
    # rejects: a reference at another end, or of another penalty weight
    p = problem("dirac", 1e-12)
    run = gd.solve(p.flow, "gauss6", h=0.25, steps=40, solver=gd.integrators.NewtonKrylov(rtol=1e-12))
    assert p.error(run.state.y.numpy()) < 1e-9  # measured 5.3e-10: its own error at this step


@pytest.mark.slow
def test_halving_the_step_of_rk4_divides_its_error_by_about_sixteen(summary):
    # rejects: work counted in steps, h that does not end at the problem's end
    rk4 = curve(summary, "dirac", "rk4")
    assert list(rk4.work) == [64, 128]
    assert 13 < rk4.error[0] / rk4.error[1] < 20


@pytest.mark.slow
def test_the_exponential_method_is_exact_on_the_linear_game_and_torchdiffeq_agrees(summary):
    # rejects: a reference off by more than rounding; a peer on another field, or another end
    assert curve(summary, "stiff", "exprb32").error[-1] < 1e-11
    rows = {(r["label"], r["level"]): r for r in summary["dirac"]["peers"]}
    for steps in (16, 32):
        ours, theirs = rows["rk4_38, fixed", steps], rows["torchdiffeq rk4", steps]
        assert ours["evaluations"] == theirs["evaluations"] == 4 * steps
        assert ours["error"] == pytest.approx(theirs["error"], rel=1e-6)


def test_prices_are_read_off_between_two_runs():
    # rejects: interpolation on linear scales, the coarser run's price, a price where nothing is as accurate
    made = Curve("m", "g", (1e-4, 1e-8, 1e-9), (10.0, 1000.0, 2000.0), (0.1, 0.4, 0.5))
    found = price(made, 1e-6)
    assert found.work == pytest.approx(100)
    assert found.seconds == pytest.approx(0.2)
    assert price(made, 1e-3).work == 10
    assert price(made, 1e-10) is None
    other = Curve("n", "g", (1e-7,), (99.0,), (9.0,))
    assert cheapest([made, other], "g", 1e-6).label == "n"
    assert cheapest([made, other], "h", 1e-6) is None


def test_every_member_has_a_kind_and_a_place_in_a_panel():
    # rejects: a family that no panel shows
    from analysis.studies.work_precision.figures import PANELS

    assert {kind(m) for m in gd.methods.names()} == set(KINDS)
    assert set(KINDS) <= {group for panel in PANELS for group in panel}
    settings = get("work_precision").settings("default")
    assert {kind(m) for m in settings.members["network"]} == set(KINDS)


def test_without_diffrax_the_answer_says_so(monkeypatch, capsys):
    # rejects: a traceback, or an empty answer that looks like a result
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(jax_peer, "importlib", SimpleNamespace(import_module=refuse))
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    assert jax_peer.main() == 0
    assert json.loads(capsys.readouterr().out) == {"runs": [], "missing": "diffrax is not installed"}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("diffrax") is None, reason="diffrax is not installed")
@pytest.mark.parametrize("name", ["dirac", "stiff"])
def test_diffrax_solves_the_same_game(name):
    # rejects: a game written with another sign or weight; evaluations not counted as they happen
    settings = replace(get("work_precision").scales["smoke"], diffrax=("Dopri5",), tolerances=(1e-6,))
    found = runs._diffrax(settings, problem(name, 1e-12))
    (row,) = found["runs"]
    assert found["field_gap"] < 1e-12
    assert row["error"] < 1e-4
    assert 1 <= row["evaluations"] - 6 * row["attempts"] <= 4  # six a try, one at the start, a few more


@pytest.mark.parametrize(("method", "known"), [("cgd", 100.0), ("imex_sym", 0.005)])
def test_limits_of_the_wasserstein_point_in_closed_form(method, known):
    """Modes -c/2 +- i s, c = 0.02: cgd 2/c; the split that treats only damping c/4 of the fastest pair, s = 2."""
    # rejects: blocks of the wrong player, the tangent of another step
    settings = replace(get("method_limits").scales["smoke"], q_differenced=1)
    figures = limits.limit(settings, loss="wasserstein", method=method, decay=0.02).figures
    assert figures["predicted"] == pytest.approx(known, rel=1e-6)
    assert figures["ratio"] == pytest.approx(1, abs=0.01)


def test_penalties_placed_differently_have_limits_of_their_own():
    # rejects: parts that are swapped, or not handed to additive methods
    settings = get("method_limits").scales["smoke"]
    found = {}
    for placement in ("every_stage", "first_stage", "after_step"):
        name = f"rk4_penalty_{placement}"
        figures = limits.limit(settings, loss="nonsaturating", method=name, decay=0.5).figures
        assert figures["ratio"] == pytest.approx(1, abs=1e-4)
        found[placement] = figures["predicted"]
    assert found["first_stage"] < 0.95 * found["every_stage"] < found["after_step"]


def test_a_rejected_step_is_counted_and_the_next_batch_tried(monkeypatch):
    # rejects: a run that ends at its first failure, a state that moves by an unsolved step
    settings = replace(get("implicit_training").scales["smoke"], steps=3)
    hopeless = gd.integrators.NewtonKrylov(rtol=1e-6, max_iterations=1)
    monkeypatch.setattr(training, "solver", lambda *_: hopeless)
    flow = training.flow_of("nonsaturating", settings)
    state, statuses, work = training.stepped(settings, flow, "implicit_midpoint", training.stream(settings, 0), 0.2)
    assert dict(statuses) == {"ok": 0, "not_converged": 3}
    assert torch.equal(state.y, flow.initial_state().y)
    assert work["newton_iterations"] == 3
