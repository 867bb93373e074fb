"""What happened, line by line: a JSONL file, and loggers beside it."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn.integrators import Every, Observer
from gamedyn.training.observers._disk import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gamedyn.integrators import View

__all__ = ["Logger", "Recorder", "TensorBoard", "read_records"]


class Logger(Protocol):
    """What rows go to besides the file: `wandb.init()` is one, and so is a Recorder."""

    def log(self, values: dict[str, Any], step: int) -> Any:
        """Take a row."""

    def finish(self) -> Any:
        """There will be no more."""


class Recorder(Observer):
    """A line of JSON for every recorded step, written at once: losses, figures, what it has cost.

    Keys: step, t, h, images, evaluations, seconds (of the whole run), loss.PLAYER, and the losses' own figures (as
    "figure.NAME" where they are called as one of these). A file with the lines of another run is put aside. Others
    (scores, spectra) add lines by `log`, with `kind`. What is not finite is null, with its name under "not_finite". A
    resumed run goes on with the line after its checkpoint: what was written later is cut off. On a full disk lines are
    lost with a warning, and the run goes on; likewise where a logger fails. `gamedyn train` calls `finish` at the end;
    after a `solve` of your own it is yours to call.

    Args:
        path: of the file, in a folder that exists.
        every: rhythm.
        loggers: what rows go to as well: objects with `log(values, step=...)` and `finish()`.

    Raises:
        ArgumentError: for a file that cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, every: int | Every = 50, loggers: Sequence[Logger] = ()
    ) -> None:
        self.path, self.every, self.loggers = Path(path), every, list(loggers)
        self.draws = bool(self.loggers)
        self._before = self._seconds = 0.0
        self._file = self._opened()
        self._others = self._file.tell() > 0

    def _opened(self) -> Any:
        try:
            return self.path.open("ab", buffering=0)
        except OSError as error:
            raise ArgumentError("path", "a file that can be written", f"{self.path}: {error.strerror}") from None

    def _put_aside(self) -> None:
        """Give the lines of another run, which this one does not go on with, a file of their own."""
        free = (self.path.with_name(f"{self.path.stem}-{n}{self.path.suffix}") for n in itertools.count(1))
        aside = next(p for p in free if not p.exists())
        self._file.close()
        self.path.rename(aside)
        self._file, self._others = self._opened(), False
        warn_caller(f"{self.path} had the records of another run: they are in {aside.name} now", UserWarning)

    def after_step(self, view: View) -> None:
        """Write a step's line."""
        if self._others:
            self._put_aside()
        self._seconds = self._before + view.seconds
        values = {"t": view.t, "h": view.h, "images": view.images, "evaluations": view.evaluations}
        losses = {f"loss.{k}": x for k, x in view.losses.items()}
        known = {"step", "seconds", "kind", "not_finite", *values, *losses} - {"h"}  # "h" is a figure, too
        figures = {f"figure.{k}" if k in known else k: x for k, x in view.figures.items()}
        self.log({"seconds": self._seconds, **values, **losses, **figures}, view.step)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Write a line, and give it to the loggers."""
        row = {k: _plain(v) for k, v in values.items()}
        lost = [k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)]
        line = {"step": step, **row, **dict.fromkeys(lost), **({"not_finite": lost} if lost else {})}
        with written(self.path):
            self._append((json.dumps(line) + "\n").encode())
        for logger in self.loggers:
            with _lasting(logger):
                logger.log(row, step=step)

    def _append(self, line: bytes) -> None:
        """A whole line, or none."""
        before = self._file.tell()
        try:
            done = 0
            while done < len(line):
                done += self._file.write(line[done:]) or 0
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
                self._file.seek(before)
            raise

    def finish(self) -> None:
        """Close the file, and the loggers."""
        self._file.close()
        for logger in self.loggers:
            with _lasting(logger):
                logger.finish()

    def state_dict(self) -> dict[str, Any]:
        """How far the file goes, and how long the run has lasted."""
        return {"bytes": self._file.tell(), "seconds": self._seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; later lines are cut off."""
        self._others = False
        self._before = self._seconds = float(state["seconds"])
        end = int(state["bytes"])
        if self.path.stat().st_size < end:  # somebody has cut it: whole lines are left
            end = self.path.read_bytes().rfind(b"\n") + 1
        os.truncate(self.path, end)
        self._file.seek(end)


@contextlib.contextmanager
def _lasting(logger: Logger) -> Iterator[None]:
    """Warn of a logger that fails (a network, a server): training is not to end by it."""
    try:
        yield
    except Exception as error:  # of anybody's code
        warn_caller(f"{type(logger).__name__} failed ({type(error).__name__}: {error}); the run goes on", UserWarning)


class TensorBoard:
    """Rows as TensorBoard's scalars; `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: of its files.

    Raises:
        ArgumentError: if tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ArgumentError("tensorboard", "it to be installed", "none", "pip install tensorboard") from None
        self._writer: Any = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Take a row's numbers."""
        kind = values.get("kind", "")
        for name, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self._writer.add_scalar(f"{kind}/{name}" if kind else name, value, step)

    def finish(self) -> None:
        """Close its files."""
        self._writer.close()


def read_records(path: str | os.PathLike[str], kind: str = "") -> list[dict[str, Any]]:
    """The rows of recorded steps, or those of a kind ("score", "stability"); a last line cut short is left out."""
    return [row for row in _rows(Path(path)) if str(row.get("kind", "")) == kind]


def record_kinds(path: Path) -> list[str]:
    """The kinds of rows in a file of records, "" for those of steps."""
    return [*dict.fromkeys(str(row.get("kind", "")) for row in _rows(path))]


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(row, dict):
            continue
        lost = row.pop("not_finite", ())
        rows.append(row | dict.fromkeys(lost if isinstance(lost, (list, tuple)) else (), math.inf))
    return rows


def _plain(value: Any) -> Any:
    """A value for JSON: numbers, text, lists of them."""
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else value.tolist()
    return float(value) if hasattr(value, "__float__") and not isinstance(value, (int, bool)) else value
