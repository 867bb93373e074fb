"""What studies found: `python docs/findings.py OUT/NAME` keeps a run's results, the build draws and tabulates them."""

from __future__ import annotations

import multiprocessing
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogue import table
from computed import PROCESSES

from analysis.common.claims import HEAD, Claim
from analysis.common.results import Results
from analysis.common.study import redraw_study
from analysis.studies import get

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["draw", "keep"]

KEPT = Path(__file__).parent / "findings"
VERSIONS = ("gamedyn", "torch", "numpy", "scipy", "python")


def keep(folder: Path) -> Path:
    """Copy a run's `results.zip`, without what is of the machine that ran it alone."""
    results = Results.load(folder / "results.zip")
    about, machine = results.about, results.about["machine"]
    about["command"] = re.sub(r" --(out|jobs)[ =]('[^']*'|\S+)| --quiet", "", about["command"])
    about["machine"] = {"system": machine["processor"], "cores": machine["cores"]}
    about["versions"] = {k: v for k, v in about["versions"].items() if k in VERSIONS}
    return results.save(KEPT / f"{about['study']}.zip")


def draw(folder: Path, reports: Path) -> Callable[[], None]:
    """Begin to draw every study whose results are kept; what is given back waits for the end.

    Args:
        folder: gets NAME/FIGURE.png, NAME/FIGURE.md, the figure with its caption, and NAME/claims.md, a table.
        reports: gets NAME.html, the whole report.
    """
    reports.mkdir(parents=True, exist_ok=True)
    pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"))
    pending = [pool.submit(_drawn, path, folder / path.stem, reports) for path in sorted(KEPT.glob("*.zip"))]

    def wait() -> None:
        for drawn in pending:
            drawn.result()
        pool.shutdown()

    return wait


def _drawn(path: Path, folder: Path, reports: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    results = Results.load(path)
    page, found, work = redraw_study(get(path.stem), results, folder)
    _put(reports / f"{path.stem}.html", page.read_text("utf-8"))
    _put(folder / "claims.md", _claims(path.stem, found.claims, results.about))
    for name, (picture, caption) in work.pictures.items():
        first = re.split(r"(?<=\.) ", caption)[0].rstrip(".")
        lines = (f"```{{figure}} /_generated/studies/{path.stem}/{picture.name}", f":alt: {first}", "", caption, "```")
        _put(folder / f"{name}.md", "\n".join(lines) + "\n")


def _put(path: Path, text: str) -> None:
    """Write a file, unless it says so already: Sphinx reads again what is newer than it was."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _claims(name: str, claims: list[Claim], about: dict[str, Any]) -> str:
    made = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    took = f"{about['seconds'] / 60:.0f} minutes" if about["seconds"] > 90 else f"{about['seconds']:.0f} seconds"
    foot = f"*{about['began'][:10]}, scale {about['scale']}, {took} on {about['machine']['cores']} cores ({made}).*"
    report = f'<a href="studies/{name}.html">The whole report</a>'
    return f"{table(HEAD, [c.row() for c in claims])}\n{report}. {foot}\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(keep(Path(name)))
