"""The command line, run as such."""

import json
import os
import subprocess
import sys

import pytest

from gamedyn import methods
from gamedyn.cli import main


def started(*arguments, **how):
    return subprocess.Popen(
        [sys.executable, "-m", "gamedyn", *arguments], stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **how}
    )


def test_the_table(capsys):
    assert main(["methods"]) == 0
    assert capsys.readouterr().out == f"{methods.table()}\n"


def test_json_of_a_family(capsys):
    assert main(["methods", "--json", "--family", "ExponentialRosenbrock"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["name"]: r["embedded"] for r in rows} == {"exponential_rosenbrock_euler": None, "exprb32": 2}


def test_an_unknown_family(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["methods", "--family", "rk"])
    assert caught.value.code == 2
    assert "families: AdditiveRungeKutta, " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("methods",), ("methods", "--json")])
def test_nobody_reads(arguments):
    # rejects: a traceback, or "Exception ignored" at exit, for a pipe whose reader has gone before
    reader, writer = os.pipe()
    os.close(reader)
    run = started(*arguments, stdout=writer)
    os.close(writer)
    assert run.communicate(timeout=60)[1] == b""
    assert run.returncode == 1


def test_a_reader_that_has_seen_enough():
    # more than a pipe holds: the writer is still at it when the reader leaves; rejects: the same as above
    run = started("methods", "--json")
    assert run.stdout.readline() == b"[\n"
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(timeout=60) in (0, 1)  # 0 where the pipe held it all
