"""`train`: a configuration, a run folder; what is in it can be gone on from, looked at and compared."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gamedyn._lib.errors import ArgumentError, SolveError, warn_caller
from gamedyn.core.randomness import OwnRandomness
from gamedyn.integrators import Run, solve
from gamedyn.integrators.drive.checkpoints import locked
from gamedyn.training.config import Config, differences, read_config
from gamedyn.training.experiment import Experiment, build, memory_of, resolved, section_of
from gamedyn.training.observers import EMA
from gamedyn.training.observers._disk import written
from gamedyn.training.ranks import code_digest, joined
from gamedyn.training.reports import write_report
from gamedyn.training.reports.folder import SUMMARY, write_summary

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

__all__ = ["train"]

CONFIG = "config.toml"
FREE = (
    "solve.steps",
    "solve.images",
    "solve.evaluations",
    "solve.check_every",
    "observers.",
    "data.device",
    "data.workers",
)
"""Keys in which a run that goes on may differ from what it was."""


def train(
    config: Config | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    over: Iterable[str] = (),
    resume: bool = False,
    allow: Iterable[str] = (),
    observers: Sequence[Any] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Run:
    """Train a GAN as a configuration says, in a folder of its own.

    The folder holds `config.toml` (resolved), `checkpoints/`, `records.jsonl`, `samples/`, the states `last.state`,
    `average.state` and `best.state`, `summary.json` and `report.html`, which opens in a browser. Whatever ends the run,
    it can be gone on from; a configuration that it had before is kept as `config-until-STEP.toml`.

    Started by torchrun, all processes train one game: each has its share of every batch, the first one writes for all,
    and any number of them can go on.

    Args:
        config: a Config, or a TOML file.
        out: the folder; made if it is missing.
        over: "section.key=value", set over the file.
        resume: whether to go on with the run in the folder, bit for bit; its length and observers may differ.
        allow: facts in which a run gone on from may differ, as `gamedyn.solve` names them: "code", "data".
        observers: more observers than the configuration's.
        device: of the players; None: a GPU if there is one.
        progress: whether to show bars (never unless standard error is a terminal).

    Returns:
        The run.

    Raises:
        ArgumentError: for a bad configuration (file, line and key are named), a folder with another run, a run gone on
            from that differs.
        SolveError: if the run fails; its last finite state and its records are in the folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from gamedyn.training import read_config, train
        >>> config = read_config({"data": {"name": "mixture", "count": 512}, "models": {"name": "mlp"},
        ...     "solve": {"method": "heun2", "h": 0.1, "steps": 5}})
        >>> with TemporaryDirectory() as folder:
        ...     run = train(config, folder, progress=False)
        >>> run.step, run.status
        (5, 'done')
    """
    settings = list(over)
    if isinstance(config, Config) and settings:
        raise ArgumentError("over", "none for a Config, which is read already", settings, "read_config(path, over)")
    chosen = config if isinstance(config, Config) else read_config(config, settings)
    folder = Path(out)
    with joined(device) as (place, where), contextlib.ExitStack() as stack:

        def begin() -> None:
            if not folder.exists():
                stack.callback(_withdrawn, folder)
            _made(folder)
            stack.enter_context(locked(folder))
            _own_folder(folder, chosen, resume=resume)

        place.first_does(begin)
        parts = build(chosen, device=where, place=place)
        parts.game.processes.agree_on(
            {"configuration": chosen.to_toml(), "code": code_digest(), "torch": torch.__version__}
        )
        return _run(parts, folder, list(observers), resume=resume, allow=list(allow), progress=progress and place.first)


def _run(parts: Experiment, folder: Path, more: list[Any], *, resume: bool, allow: list[str], progress: bool) -> Run:
    config = parts.config
    stages = getattr(parts.method, "evaluations", 1)
    lower = f"data.batch_size ({config.data.batch_size}), models.channels, or take fewer stages than {stages}"
    watching: list[Any] = []
    run: Run | None = None

    def observe() -> None:
        watching.extend(parts.observers(folder, progress=progress))
        _configured(folder, config, resume=resume)

    try:
        with memory_of("scores and observers", "observers.score.count"):
            parts.place.first_does(observe)
            if not parts.place.first:
                watching += parts.observers(folder, progress=progress)
        with section_of(config, "data"):
            stream = parts.stream()
        draws = OwnRandomness(config.solve.seed)  # of losses and penalties that draw
        with section_of(config, "solve"), memory_of("the step", lower), draws.drawn_from():
            run = solve(
                parts.flow,
                parts.method,
                h=parts.h,
                **parts.limits,
                batches=stream,
                sampling=config.solve.sampling,
                observers=[*watching, *more],
                every=10,
                checkpoint=parts.checkpoints(folder) if parts.place.first else None,
                resume=folder / "checkpoints" if resume else None,
                allow=["versions", "observers", *allow],
                check_every=config.solve.check_every,
                execution=config.solve.execution,
                stages=config.solve.stages,
                check=config.solve.check,
                progress=progress,
            )
    except SolveError as error:
        run = error.run if isinstance(error.run, Run) else run
        error.add_note(f"the run is in {folder}: gamedyn train ... --out {folder} --resume goes on")
        raise
    except BaseException as error:
        run = getattr(error, "run", None) or run
        raise
    finally:
        with contextlib.suppress(Exception) if run is None else contextlib.nullcontext():
            _finished(parts, folder, watching, more, run)
    return run


def _configured(folder: Path, config: Config, *, resume: bool) -> None:
    """Write the configuration; the one that a run gone on from had stays beside it."""
    kept = folder / CONFIG
    if resume and (changed := [x for x in differences(read_config(kept), config) if x.startswith("observers.")]):
        newest = max(int(p.stem.partition("-")[2]) for p in (folder / "checkpoints").glob("step-*.run"))
        kept.rename(folder / f"config-until-{newest}.toml")
        warn_caller(f"the run goes on with other observers: {'; '.join(changed)}", UserWarning)
    kept.write_text(resolved(config).to_toml(), encoding="utf-8")


def _finished(parts: Experiment, folder: Path, watching: list[Any], more: list[Any], run: Run | None) -> None:
    """Close the observers, write what the run came to and the report."""
    for observer in reversed([*watching, *more]):  # those that others write to last
        getattr(observer, "finish", lambda: None)()
    if run is None or not parts.place.first:
        return
    averages = [o.state for o in watching if isinstance(o, EMA) and o.state is not None]
    for name, state in [("last", run.state), *(("average", a) for a in averages)]:
        with written(path := folder / f"{name}.state"):
            state.save(path)
    with written(folder / SUMMARY):  # a full disk must not hide what ended the run
        data = {"name": parts.data.name, "samples": len(parts.data), "about": parts.data.about}
        write_summary(folder, run, data=data)
        write_report(folder)


def _withdrawn(folder: Path) -> None:
    """Remove a folder in which a run that could not begin has left its configuration and its lock alone."""
    if all(p.is_dir() or p.name in (CONFIG, "lock") or not p.stat().st_size for p in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError("--out", "a folder that can be made", f"{folder}: {error.strerror}") from None


def _own_folder(folder: Path, config: Config, *, resume: bool) -> None:
    """Refuse a folder with another run, or without one where one is to go on.

    Raises:
        ArgumentError: with what differs.
    """
    kept = folder / CONFIG
    if not resume:
        if any((folder / "checkpoints").glob("step-*.run")):
            raise ArgumentError("--out", "a folder without a run", f"{folder}", "--resume, or another folder")
        (folder / "records.jsonl").unlink(missing_ok=True)
        return
    if not kept.is_file() or not any((folder / "checkpoints").glob("step-*.run")):
        raise ArgumentError("--resume", "a folder with a run", f"{folder}, which has no checkpoint", "start without it")
    before, now = resolved(read_config(kept)), resolved(config)
    lines = [line for line in differences(before, now) if not line.startswith(FREE)]
    if lines:
        raise ArgumentError(
            "--resume", "the configuration of the run in the folder", "; ".join(lines), f"{kept}, or another folder"
        )
