"""A run on disk: checkpoints that are whole, records that are appended, one writer."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn.core import files
from gamedyn.integrators.drive.records import Records
from gamedyn.integrators.drive.run import Run, restored

try:
    import fcntl
except ImportError:  # Windows: a folder is then not locked
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamedyn.flows import Flow
    from gamedyn.integrators.drive.records import RecordLog

__all__ = ["CheckpointWarning", "Checkpoints", "Signals", "Writer", "latest"]

RECORDS, LOCK = "records.bin", "lock"
HEADER = struct.Struct("<4sIII")
"""Of a block of records: a mark, rows, bytes, checksum."""
MARK = b"gdrc"


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; the run goes on, and the last good one is kept."""


class Checkpoints:
    """Where a run is kept on disk, and how often: `solve(..., checkpoint=Checkpoints("out"))`.

    The folder holds the newest `keep` checkpoints (`step-000001000.run`), each whole or absent and with a digest; what
    was recorded, appended (`records.bin`), so that writing costs the state's size and not the run's length; saved
    states, each written once; and a lock, as two runs cannot share it. The run is written on every exit too, failures,
    SIGINT, SIGTERM and SIGHUP included. A checkpoint that cannot be written warns, and the run goes on. `resume="out"`
    goes on from the newest whole one.

    Args:
        folder: made if it is missing.
        every_seconds: of the wall clock, between two; None: no such rhythm. States are looked at every `check_every`
            steps of `solve`, so an interval may be longer by so many.
        every_steps: steps between two; None: no such rhythm.
        keep: checkpoints kept, the newest ones.

    Raises:
        ArgumentError: for a number out of its range, no rhythm, or a folder that cannot be made or written.

    Example:
        >>> import gamedyn as gd
        >>> from tempfile import TemporaryDirectory
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> with TemporaryDirectory() as folder:
        ...     run = gd.solve(flow, "rk4", h=0.1, steps=50, checkpoint=gd.Checkpoints(folder, every_steps=20))
        ...     on = gd.solve(flow, "rk4", h=0.1, steps=100, resume=folder)
        >>> on.step
        100
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_seconds: float | None = 60.0,
        every_steps: int | None = None,
        keep: int = 2,
    ) -> None:
        self.folder = Path(folder)
        self.every_seconds = None if every_seconds is None else positive("every_seconds", every_seconds)
        self.every_steps = None if every_steps is None else positive_int("every_steps", every_steps)
        self.keep = positive_int("keep", keep)
        if self.every_seconds is None and self.every_steps is None:
            raise ArgumentError("every_seconds, every_steps", "at least one rhythm", "none")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError("folder", "a folder that can be made", f"{self.folder}: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.folder)!r}, keep={self.keep})"


class Writer:
    """What writes one run's checkpoints, while it holds the folder's lock.

    Args:
        to: where and how often.
        past: the run gone on from, whose records are the first.
    """

    def __init__(self, to: Checkpoints, past: Run | None) -> None:
        self.to, self.problem = to, ""
        self._lock = _locked(to.folder)
        self._noted, self._written = time.monotonic(), 0
        self._asked = 0 if past is None else past.step
        self._states: dict[float, str] = {}
        self._refuse_another(past)
        for stale in to.folder.glob(f"{files.PARTIAL}*"):  # of a writer that was killed: we hold the lock
            stale.unlink(missing_ok=True)
        try:
            before = None if past is None else past.records.until(past.step)  # a failure's go beyond its state
            self._before = 0 if before is None else len(before)
            self._records(before)
            for t, state in past.saved.items() if past is not None else ():
                self._state(t, state)
        except OSError as error:
            self.close()
            got = f"{to.folder}: {error.strerror or error}"
            raise ArgumentError("checkpoint", "a folder that can be written", got) from error

    def due(self, step: int) -> bool:
        """Whether one is to be written after a step, as far as steps tell: a multiple was met since that was asked."""
        every, before, self._asked = self.to.every_steps, self._asked, step
        return every is not None and step // every > before // every

    def late(self) -> bool:
        """Whether the wall clock asks for one."""
        return self.to.every_seconds is not None and time.monotonic() - self._noted >= self.to.every_seconds

    def write(self, run: Run, log: RecordLog) -> None:
        """Write a run; one that cannot be written warns, and leaves the last good one.

        Args:
            run: the run; its records come from the log.
            log: what this solve recorded: what is not on disk is appended.
        """
        self._noted = time.monotonic()
        folder, path = self.to.folder, self.to.folder / f"step-{run.step:012d}.run"
        try:
            fresh = log.records(self._written)
            if len(fresh):
                _append(folder / RECORDS, fresh)
                self._written = len(log)
            names = {t: self._state(t, s) for t, s in run.saved.items()}
            content = {**run.content(), "saved": names, "recorded": self._before + log.count(run.step)}
            files.write(path, content)
        except OSError as error:
            self.problem = f"not written at step {run.step}: {error.strerror or error}"
            warn_caller(f"checkpoint {path.name} {self.problem}; the last good one is kept", CheckpointWarning)
            return
        self.problem = ""
        for old in _checkpoints(folder)[self.to.keep :]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)

    def _refuse_another(self, past: Run | None) -> None:
        """Refuse a folder that holds another run.

        Raises:
            ArgumentError: with a remedy.
        """
        for path in _checkpoints(self.to.folder):
            try:
                there = files.read(path, "cpu")["facts"].get("run")
            except ArgumentError:
                continue
            if past is None or there != past.facts.get("run"):
                self.close()
                remedy = f"go on with it, resume={str(self.to.folder)!r}, or give a new folder"
                raise ArgumentError("checkpoint", "a folder without another run", f"{path}", remedy)
            return

    def _records(self, before: Records | None) -> None:
        """Begin the file of records: with those of the run gone on from."""
        target = self.to.folder / RECORDS
        handle = target.with_name(f"{files.PARTIAL}records")
        handle.write_bytes(b"")
        if before is not None and len(before):
            _append(handle, before)
        os.replace(handle, target)

    def _state(self, t: float, state: Any) -> str:
        """The file of a saved state, written once."""
        if t not in self._states:
            name = f"saved-{len(self._states):06d}.state"
            files.write(self.to.folder / name, {"y": state.y, "buffers": list(state.buffers)})
            self._states[t] = name
        return self._states[t]


def latest(folder: Path, flow: Flow) -> Run:
    """The newest whole checkpoint in a folder; one that is damaged is passed over with a warning.

    Raises:
        ArgumentError: if there is none, or it belongs to another game.
    """
    found, problems = _checkpoints(folder), []
    for path in found:
        try:
            content = files.read(path, flow.game.device)
            recorded = _read_records(folder / RECORDS, content["recorded"])
            states = {t: files.read(folder / name, flow.game.device) for t, name in content["saved"].items()}
        except ArgumentError as error:
            problems.append(f"{path.name}: {error}")
            continue
        if problems:
            warn_caller(f"damaged, and passed over: {'; '.join(problems)}", CheckpointWarning)
        content["saved"] = {t: (s["y"], s["buffers"]) for t, s in states.items()}
        return restored(content, recorded, flow)
    got = "; ".join(problems) or f"{folder}, with none"
    raise ArgumentError("resume", "a folder with a whole checkpoint", got)


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("step-*.run"), reverse=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have a folder to oneself.

    Raises:
        ArgumentError: if another process has it.
    """
    handle = _locked(folder)
    try:
        yield
    finally:
        os.close(handle)


def _locked(folder: Path) -> int:
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        got = f"{folder}: {error.strerror}"
        raise ArgumentError("checkpoint", "a folder that can be written", got) from None
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        remedy = "give each run a folder of its own"
        raise ArgumentError("checkpoint", "a folder that no other run writes to", str(folder), remedy) from None
    return handle


def _append(path: Path, records: Records) -> None:
    """Add a block of records; of one that fails nothing is left."""
    stored = io.BytesIO()
    torch.save(vars(records), stored)
    data = stored.getvalue()
    size = path.stat().st_size
    try:
        with path.open("ab") as file:
            file.write(HEADER.pack(MARK, len(records), len(data), zlib.crc32(data)))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        raise


def _read_records(path: Path, count: int) -> Records:
    """The first records of a file.

    Raises:
        ArgumentError: if there are fewer, or a block is damaged.
    """
    found, have = [Records(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64), {})], 0
    try:
        with path.open("rb") as file:
            while have < count:
                head = file.read(HEADER.size)
                mark, rows, size, checksum = HEADER.unpack(head) if len(head) == HEADER.size else (b"", 0, 0, 0)
                data = file.read(size) if mark == MARK else b""
                if mark != MARK or len(data) != size or zlib.crc32(data) != checksum:
                    raise ArgumentError("path", f"{count} records in {path.name}", f"{have}, then damage")
                found.append(Records(**torch.load(io.BytesIO(data), weights_only=True)))
                have += rows
    except OSError as error:
        raise ArgumentError("path", f"the records, {path.name}", error.strerror) from None
    whole = found[0].joined(*found[1:])
    return whole.until(int(whole.step[count - 1]) + 1) if count else whole.until(0)


class Signals:
    """Hear Ctrl-C, SIGTERM and SIGHUP while a run is written: it leaves after the present step, by an exception.

    A second one leaves at once. An exception raised where the first one happens to arrive, in a callback of the
    collector, say, would be ignored. Only in the main thread, and only where the signal's handling is the system's own,
    or Python's.
    """

    def __init__(self, *, on: bool) -> None:
        self._on = on and threading.current_thread() is threading.main_thread()
        self._heard = 0

    def __enter__(self) -> Signals:
        names = ("SIGINT", "SIGTERM", "SIGHUP") if self._on else ()
        known = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
        before = {s: signal.getsignal(s) for s in known}
        self._before = {s: h for s, h in before.items() if h in (signal.SIG_DFL, signal.default_int_handler)}
        for s in self._before:
            signal.signal(s, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)

    def _hear(self, number: int, frame: Any) -> None:
        if self._heard:
            raise _leaving(number)
        self._heard = number
        if number == signal.SIGINT and sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\nleaving after the present step; Ctrl-C again: at once\n")

    def obeyed(self) -> None:
        """Leave, if one has been heard."""
        if self._heard:
            raise _leaving(self._heard)

    def behind(self, error: BaseException) -> BaseException:
        """What ends the run: a signal that was heard, not what it led to (a loader's workers hear Ctrl-C, too)."""
        known = not self._heard or isinstance(error, (KeyboardInterrupt, SystemExit))
        return error if known else _leaving(self._heard)


def _leaving(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
