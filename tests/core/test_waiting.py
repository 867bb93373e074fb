"""Signs of life: on a real terminal after two seconds, nowhere else."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

SLOW = """
import time
from gamedyn._lib.waiting import waiting
with waiting("compiling", shown={shown}):
    time.sleep({seconds})
print("done")
"""


def on_a_terminal(code, **env):
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, **env}
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux's word for the end
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert run.wait() == 0
    return seen.decode()


def test_it_shows_what_is_done_and_for_how_long():
    seen = on_a_terminal(SLOW.format(shown=True, seconds=3.3))
    assert "compiling [00:02]" in seen or "compiling [00:03]" in seen
    assert seen.rstrip().endswith("done")


@pytest.mark.parametrize(
    ("shown", "seconds", "env"), [(True, 0.7, {}), (False, 2.8, {}), (True, 2.8, {"TQDM_DISABLE": "1"})]
)
def test_it_is_silent_where_it_is_quick_or_told_so(shown, seconds, env):
    assert on_a_terminal(SLOW.format(shown=shown, seconds=seconds), **env).strip() == "done"


def test_it_is_silent_without_a_terminal():
    code = SLOW.format(shown=True, seconds=2.8)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("done\n", "")
