"""What a run leaves that a signal ends: written, whole, and gone on from bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import gamedyn as gd
from tests.drive.test_checkpoints import flow, same, solve, stream

SCRIPT = """
import sys, time, torch, gamedyn as gd
sys.path.insert(0, {tests!r})
from drive.test_checkpoints import flow, stream
torch.set_num_threads(1)
tell = lambda view: (time.sleep(2e-4), print("going", flush=True) if view.step == 20 else None)[1]
to = gd.Checkpoints("run", every_steps=7, keep=2)
gd.solve(flow(), {method!r}, h=0.05, steps=10**7, batches=stream(), checkpoint=to, check_every=5, observers=[tell])
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("method", ["ab3", "rk4"])
def test_a_real_signal(tmp_path, number, method):
    """What a real process leaves is whole, and goes on bit for bit; all but SIGKILL write before they leave."""
    script = SCRIPT.format(tests=os.path.dirname(os.path.dirname(__file__)), method=method)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    )
    try:
        assert process.stdout.readline().strip() == b"going"
        time.sleep(random.Random(number).uniform(0.05, 0.4))
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    left = gd.Run.load(tmp_path / "run", flow())
    if number == signal.SIGKILL:
        assert (left.status, left.step % 7) == ("running", 0)
    else:
        assert left.status == "interrupted", err
        assert process.returncode != 0
    steps = left.step + 25
    same(solve(method, steps=steps, resume=tmp_path / "run"), solve(method, steps=steps))


SWALLOWED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import gamedyn as gd
from drive.test_checkpoints import flow, stream

class Last:
    def __del__(self):  # what is raised here is ignored
        os.kill(os.getpid(), {number})

def look(view):
    if view.step == 5:
        del view
        Last()

gd.solve(flow(), "rk4", h=0.05, steps={steps}, batches=stream(), checkpoint="run", observers=[look], check_every=1)
"""


@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGTERM, {128 + signal.SIGTERM}), (signal.SIGINT, {1, -signal.SIGINT})]
)
@pytest.mark.parametrize(("steps", "status"), [(300, "interrupted"), (5, "done")])
def test_a_signal_that_arrives_where_exceptions_are_ignored(tmp_path, steps, status, number, codes):
    # rejects: an exception raised by the handler, there and then: the run goes on to its end; one that is heard in the
    # last step and forgotten
    script = SWALLOWED.format(tests=os.path.dirname(os.path.dirname(__file__)), steps=steps, number=int(number))
    default = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, preexec_fn=default, capture_output=True)
    assert done.returncode in codes, done.stderr
    left = gd.Run.load(tmp_path / "run", flow())
    assert (left.status, left.step) == (status, 5)


def test_what_a_signal_leads_to_is_an_interruption(tmp_path):
    # rejects: workers of a loader that end by Ctrl-C, as a failure of the run; a handler that stays behind
    def look(view):
        if view.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("DataLoader worker exited")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that started this may ignore it
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            gd.solve(flow(), "rk4", h=0.05, steps=9, batches=stream(), checkpoint=tmp_path / "run", observers=[look])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert str(caught.value.__cause__) == "DataLoader worker exited"
    assert caught.value.run.status == "interrupted"
