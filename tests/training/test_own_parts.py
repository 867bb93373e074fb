"""Networks and data of a user's own file, named in a configuration."""

from pathlib import Path

import pytest
import torch

import gamedyn as gd
from gamedyn import cli
from gamedyn.training import build, data, models, read_config, train

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own"
SOURCE = """
import torch
from torch import nn
from gamedyn.training.models import Pair

class Scaled(nn.Linear):
    def forward(self, x):
        return {factor} * super().forward(x)

def pair(shape, classes, *, latent=2):
    return Pair(nn.Linear(latent, 2), Scaled(2, 1), latent, shape, classes)

def tuple_of_two(shape, classes):
    return nn.Linear(2, 2), nn.Linear(2, 1)
"""


@pytest.fixture
def written(tmp_path):
    """A configuration, and the file beside it; the examples' spiral as data."""
    for name in ("nets.py", "nets.toml"):
        (tmp_path / name).write_text((EXAMPLE / name).read_text("utf-8"), "utf-8")

    def write(before="", after="", factor=1.0):
        text = (EXAMPLE / "nets.toml").read_text("utf-8").replace("steps = 2000", "steps = 4")
        assert before in text
        (tmp_path / "mine.py").write_text(SOURCE.format(factor=factor), "utf-8")
        (tmp_path / "nets.toml").write_text(text.replace(before, after, 1), "utf-8")
        return tmp_path / "nets.toml"

    return write


def test_a_run_of_own_networks_and_data(written, tmp_path, monkeypatch):
    # rejects: files looked for in the present folder; a resolved configuration that another folder cannot read
    monkeypatch.chdir(tmp_path.parent)
    run = train(written(), tmp_path / "out", progress=False)
    assert (run.status, run.step) == ("done", 4)
    kept = read_config(tmp_path / "out" / "config.toml")
    assert build(kept).pair.sizes == {
        "G": 8 * 128 + 128 + 128 * 128 + 128 + 128 * 2 + 2,
        "D": 2 * 128 + 128 + 128 * 128 + 128 + 128 + 1,
    }
    longer = train(written(), tmp_path / "out", over=["solve.steps=6"], resume=True, progress=False)
    whole = train(written(), tmp_path / "whole", over=["solve.steps=6"], progress=False)
    assert torch.equal(longer.state.y, whole.state.y)


def test_they_are_drawn_from_the_seed(written):
    # rejects: initial weights from PyTorch's default generator
    first, again, other = (
        build(read_config(written(), [f"models.seed={s}"])).flow.initial_state().y for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_edited_network_does_not_go_on(written, tmp_path):
    # rejects: a run gone on from with another forward of the same layout
    def trained(factor, steps, **options):
        file = written('nets.py:pair"\nwidth = 128', 'mine.py:pair"', factor)
        return train(file, tmp_path / "out", over=[f"solve.steps={steps}"], progress=False, **options)

    trained(1.0, 4)
    assert trained(1.0, 5, resume=True).step == 5
    with pytest.raises(gd.ArgumentError, match="code"):
        trained(2.0, 6, resume=True)


ODD = """
import enum, math
from torch import nn
from gamedyn.training.models import Pair
class Kind(enum.IntEnum):
    PLAIN = 1
def pair(
    shape, classes, *, widths=(8, 8), table=((1, 2),), kind=Kind.PLAIN, rate=math.nan, seed=3, act=nn.Tanh, none=None
):
    assert isinstance(widths, tuple) and isinstance(kind, Kind) and {row: 0 for row in table} and seed == 3
    return Pair(nn.Linear(2, 2), nn.Linear(2, 1), 2, shape, classes)
"""


def test_defaults_that_no_file_can_say(written, tmp_path):
    # rejects: a tuple that arrives as a list since it was written so; a configuration that cannot be read again
    file = written('nets.py:pair"\nwidth = 128', 'odd.py:pair"')
    (tmp_path / "odd.py").write_text(ODD, "utf-8")
    train(file, tmp_path / "out", progress=False)
    kept = read_config(tmp_path / "out" / "config.toml")
    assert kept.models.options == {"widths": [8, 8], "table": [[1, 2]]}
    assert (kept.models.seed, kept.models.name.rpartition(":")[2]) == (0, "pair")
    train(file, tmp_path / "out", over=["solve.steps=5"], resume=True, progress=False)


def test_a_folder_without_defaults_goes_on(written, tmp_path):
    # rejects: a configuration compared as it is written: one with, one without its defaults
    file = written()
    train(file, tmp_path / "out", progress=False)
    (tmp_path / "out" / "config.toml").write_text(read_config(file).to_toml(), "utf-8")
    assert train(file, tmp_path / "out", over=["solve.steps=5"], resume=True, progress=False).step == 5


def test_other_data_of_the_same_function_do_not_go_on(written, tmp_path):
    # rejects: samples compared by their number alone; a remedy that the command line has not
    file, out = written(), tmp_path / "out"
    train(file, out, progress=False)
    nets = file.parent / "nets.py"
    nets.write_text(nets.read_text("utf-8").replace("turns * t).cos()", "turns * t).cos() * 100"), "utf-8")
    command = ["train", str(file), "--out", str(out), "--resume", "--quiet", "--set", "solve.steps=5"]
    with pytest.raises(gd.ArgumentError, match=r"'content': .* allow=\['data'\]"):
        train(file, out, over=["solve.steps=5"], resume=True, progress=False)
    assert cli.main(command) == 2
    assert cli.main([*command, "--allow", "data"]) == 0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("width = 128", "widht = 128", r"nets.toml, line 10, \[models\] .*widht.*width"),
        ("turns = 1.5", "turn = 1.5", r"nets.toml, line 5, \[data\] .*turn.*turns"),
        ("nets.py:pair", "net.py:pair", r"nets.toml, line 9, \[models\] .*a file that is there"),
        ("nets.py:pair", "nets.py:piar", r"nets.toml, line 9, \[models\] .*a function of .*piar"),
        ("nets.py:pair", "nets.py:spiral", r"nets.toml, line .*\[models\]"),
        ('nets.py:pair"\nwidth = 128', 'mine.py:tuple_of_two"', r"\[models\] .*a Pair .* tuple"),
        ("nets.py:spiral", "nets.py:pair", r"nets.toml, line .*\[data\]"),
    ],
)
def test_errors_name_the_line(written, before, after, told):
    with pytest.raises(gd.ArgumentError, match=told):
        build(read_config(written(before, after)))


def test_a_module_by_its_name(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    assert models.build("nets:pair", (2,), width=4).sizes == {"G": 8 * 4 + 4 + 20 + 10, "D": 2 * 4 + 4 + 20 + 5}
    assert data.load("nets:spiral", count=7).samples.shape == (7, 2)
