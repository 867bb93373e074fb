"""The script that is held to the type checkers runs, too."""

from pathlib import Path
from runpy import run_path


def test_it_runs(capsys):
    # rejects: types that are right for a call that is not
    run_path(str(Path(__file__).with_name("user_script.py")))["main"]()
    assert "done" in capsys.readouterr().out
