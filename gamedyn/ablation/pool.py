"""Groups of cells in processes of their own, here or on a cluster; a worker that is killed costs its cells alone."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib

from gamedyn._lib.errors import ArgumentError

__all__ = ["KILLED", "end_with_parent", "leaner_workers", "pooled"]

ATTEMPTS = 3
"""How often a group is begun whose worker is killed every time."""

KILLED = "the worker was killed"
"""What is said of cells whose worker died."""


def pooled(
    work: Callable[..., Any], groups: Mapping[int, Sequence[Any]], folder: Path, *, jobs: int, cluster: str = ""
) -> Iterator[tuple[int, Any]]:
    """By group, what `work(*arguments)` gives, as it comes; KILLED for one whose worker died again and again.

    Args:
        work: a function that can be sent to a process.
        groups: by number, its arguments.
        folder: where a group that has begun is marked, to tell whose worker was killed.
        jobs: processes; 1: this one.
        cluster: address of a dask.distributed scheduler, which then gives the processes.

    Raises:
        ArgumentError: where there is no such cluster.
    """
    left, suspects = dict(groups), list[int]()
    while len(left) > len(suspects):
        try:
            for n, found in _parallel(work, {n: left[n] for n in left if n not in suspects}, folder, jobs, cluster):
                del left[n]
                yield n, found
        except _lost():  # the pool ends with a worker, and all that was begun: whose fault it was is not known yet
            begun = [n for n in left if (folder / f"{n}.begun").exists()]
            suspects += [n for n in begun or left if n not in suspects]
    for n in suspects:  # one at a time
        for attempt in range(2, ATTEMPTS + 1):
            try:
                yield from _parallel(work, {n: left[n]}, folder, 2, cluster)
                break
            except _lost() as error:
                if attempt == ATTEMPTS:
                    yield n, f"{KILLED} {ATTEMPTS} times ({type(error).__name__})"
        (folder / f"{n}.begun").unlink(missing_ok=True)


def _parallel(
    work: Callable[..., Any], groups: Mapping[int, Sequence[Any]], folder: Path, jobs: int, cluster: str
) -> Iterator[tuple[int, Any]]:
    with _backend(cluster), leaner_workers():
        pool = joblib.Parallel(n_jobs=-1 if cluster else jobs, return_as="generator_unordered", batch_size=1)
        yield from pool(joblib.delayed(_marked)(work, n, groups[n], folder / f"{n}.begun") for n in groups)


def _marked(work: Callable[..., Any], number: int, arguments: Sequence[Any], mark: Path) -> tuple[int, Any]:
    """Do a group's work; a file says so meanwhile, where the folder is here."""
    end_with_parent()
    with contextlib.suppress(OSError):
        mark.write_text(str(os.getpid()))
    found = work(*arguments)
    with contextlib.suppress(OSError):
        mark.unlink()
    return number, found


@functools.cache
def end_with_parent() -> None:
    """In a worker of joblib: end as soon as the process is gone that started it, killed by whatever signal.

    Without it a worker works on, and then waits minutes for more, while nobody is left to read what it finds.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end_with_parent").start()


@contextlib.contextmanager
def leaner_workers() -> Iterator[None]:
    """Without joblib's warning when it replaces a worker whose memory has grown: torch keeps what it was once given."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        yield


@contextlib.contextmanager
def _backend(cluster: str) -> Iterator[None]:
    if not cluster:
        yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        remedy = "pip install 'gamedyn[cluster]'"
        raise ArgumentError("cluster", "dask.distributed", "it is not installed", remedy) from None
    try:
        client = Client(cluster, timeout="20s")  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ArgumentError("cluster", "the address of a scheduler that answers", f"{cluster} ({error})") from error
    with client, joblib.parallel_config("dask", client=client, wait_for_workers_timeout=60):
        yield


def _lost() -> tuple[type[BaseException], ...]:
    """What is raised where a worker dies."""
    from concurrent.futures.process import BrokenProcessPool

    from joblib.externals.loky.process_executor import TerminatedWorkerError

    lost: tuple[type[BaseException], ...] = (TerminatedWorkerError, BrokenProcessPool)
    with contextlib.suppress(ModuleNotFoundError):
        from distributed.scheduler import KilledWorker

        lost = (*lost, KilledWorker)
    return lost
