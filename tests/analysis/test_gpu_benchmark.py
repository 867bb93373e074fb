"""The command that proves what takes a GPU: tried on a CPU, and what it says without one."""

from __future__ import annotations

import json

import pytest
import torch

from analysis.benchmarks.gpu import correctness, times
from analysis.benchmarks.gpu.__main__ import main


@pytest.mark.slow
def test_it_runs_whole_on_a_cpu(tmp_path, capsys):
    # rejects: a command that nobody could try before a GPU was at hand
    assert main(["--device", "cpu", "--brief", "--out", str(tmp_path / "gpu.json")]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["checks"]) == correctness.COUNT
    assert all(c["passed"] for c in found["checks"])
    assert "0 of" in capsys.readouterr().out
    assert found["times"]["16 Gaussians, MLP"]["rk4, captured"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    assert main([]) == 2
    assert "no GPU here: nothing was run" in capsys.readouterr().err


def test_a_wrong_result_fails(monkeypatch):
    # rejects: checks that cannot fail: a step that is off by 1e-6 on "the device"
    cpu = torch.device("cpu")
    real = correctness.state

    def off(method, device, dtype, execution="eager"):
        y, run = real(method, device, dtype, execution)
        return (y + 1e-6 if execution == "captured" else y), run

    monkeypatch.setattr(correctness, "state", off)
    check = correctness._tried("captured", 1e-12, correctness._captured, "rk4", cpu)
    assert not check.passed
    broken = correctness._tried("broken", 1.0, lambda: 1 / 0)
    assert not broken.passed
    assert "ZeroDivisionError" in broken.measured


def test_every_family_is_checked():
    import gamedyn as gd

    kinds = {type(gd.integrators.stepper(m)).__name__ for m in gd.methods.members().values()}
    assert kinds <= set(correctness.families())


def test_goals_fail_where_nothing_was_measured():
    row = {"four bare fields": 1.0, "rk4, torchdiffeq": 6.0, "rk4, eager": 1.5}
    failed = times.goals({"16 Gaussians, MLP": row, "DCGAN 32": row})
    assert [c.passed for c in failed] == [False, False]
    good = row | {"rk4, captured": 1.0}
    assert [c.passed for c in times.goals({"16 Gaussians, MLP": good, "DCGAN 32": good})] == [True, True]
