"""What a run takes of memory: the dry run against real evaluations, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gamedyn.cli import main
from gamedyn.core.living import Living
from gamedyn.jacobian import FrozenField
from gamedyn.training import build, plan, read_config

EXAMPLES = Path(__file__).parents[2] / "examples"


def configured(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return read_config(file)


RUNS = {
    "mlp": '[models]\nname = "mlp"\nwidths = [64, 64]\nlatent = 8\n',
    "dcgan": '[models]\nname = "dcgan"\nchannels = 16\nlatent = 8\n',
    "penalties": '[models]\nname = "dcgan"\nchannels = 16\nlatent = 8\n[flow.r1]\nweight = 1.0\n'
    "[flow.r2]\nweight = 1.0\n"
    "[flow.squared_gradient]\nweight = 0.1\n",
}


@pytest.mark.parametrize("name", list(RUNS))
def test_an_evaluation_on_shapes_takes_what_a_real_one_takes(name, tmp_path):
    # rejects: a penalty's second backward pass left out; sizes of tensors without memory taken for 0
    text = '[data]\nname = "digits"\nbatch_size = 64\n' + RUNS[name] + '[solve]\nmethod = "rk4"\nh = 0.02\nsteps = 4\n'
    config = configured(tmp_path, text)
    made = build(config, device="cpu")
    field = FrozenField(made.flow, made.game.state().buffers, check=False)
    row = field.stages(1)[0]
    field.begin_step(next(made.stream()))
    with torch.no_grad(), Living() as living, field.session():
        field(0.0, field.point, row)
    found = plan(config)
    assert found.parts["one evaluation"] == pytest.approx(living.peak, rel=0.05)
    assert found.parts["registers"] == pytest.approx(made.method.registers * made.game.layout.n * 4, rel=0.1)
    assert found.total == sum(found.parts.values())


def test_other_methods_differ_by_their_registers_alone(tmp_path):
    found = plan(
        configured(
            tmp_path, '[data]\nname = "digits"\n[models]\nname = "mlp"\n[solve]\nmethod = "rk4"\nh = 0.02\nsteps = 4\n'
        )
    )
    more = found.with_method("dop853").total - found.with_method("rk4").total
    assert more == (found.registers["dop853"] - found.registers["rk4"]) * found.vector > 0


WIDE = '[data]\nname = "digits"\n[models]\nname = "mlp"\nwidths = [200, 200]\n'


def vectors(tmp_path, method, stages="full"):
    solve = f'[solve]\nmethod = "{method}"\nh = 0.001\nsteps = 4\nstages = "{stages}"\n'
    found = plan(configured(tmp_path, WIDE + solve))
    return found.parts["registers"] and found.parts["registers"] / found.vector


@pytest.mark.parametrize(
    ("method", "count"),
    [
        ("rk4", 8),  # four stages, y, the result, the point, the last checked state
        ("alternating", 3),  # both players' field values, the point, the last checked state
        ("ab3", 9),  # field values of three steps, the copies of two that are remembered, and as rk4
        ("torch.optim:Adam", 10),  # gradient, two moments and their copies, a copy of the point, and as rk4
    ],
)
def test_registers_are_what_a_step_holds(tmp_path, method, count):
    # rejects: what a library or an optimiser remembers left out, or its copy beside the last checked state
    assert vectors(tmp_path, method) == pytest.approx(count, abs=0.05)


def test_stages_in_half_of_float32(tmp_path):
    # rejects: an option that the plan does not know of
    assert vectors(tmp_path, "rk4", "bfloat16") == pytest.approx(8 - 4 / 2, abs=0.05)


def test_what_values_decide_is_said(tmp_path):
    text = WIDE + '[solve]\nmethod = "implicit_midpoint"\nh = 0.001\nsteps = 4\n'
    found = plan(configured(tmp_path, text))
    assert found.parts["registers"] is None
    assert "not known here" in str(found)


@pytest.mark.parametrize("name", ["ode_gan_cifar10", "sngan_cifar10", "r3gan_small"])
def test_the_command_needs_no_data(name, capsys, monkeypatch, tmp_path):
    # rejects: a plan that reads, or trains
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--plan", str(EXAMPLES / f"{name}.toml")]) == 0
    said = capsys.readouterr().out
    assert "one evaluation" in said
    assert "alternating, forest_ruth" in said
    assert not list(tmp_path.iterdir())


def test_a_run_needs_a_folder(capsys):
    with pytest.raises(SystemExit):
        main(["train", str(EXAMPLES / "digits.toml")])
    assert "one of --out FOLDER and --plan" in capsys.readouterr().err


def test_a_flow_that_clips_is_planned(tmp_path):
    # rejects: a flow that looks at numbers when it is evaluated
    text = '[data]\nname = "digits"\n[models]\nname = "mlp"\n[flow]\nclip_norm = 1.0\n'
    text += '[solve]\nmethod = "rk4"\nh = 0.02\nsteps = 4\n'
    assert plan(configured(tmp_path, text)).total > 0
