"""`check`: studies run anew, their exact claims checked, their numbers compared with those of a second run."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.common.claims import VERDICTS
from analysis.common.index import write_index
from analysis.common.study import run_study
from gamedyn._lib.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.common.claims import Claim
    from analysis.common.study import Study

__all__ = ["check", "differing", "wrong"]


def check(
    studies: Sequence[Study],
    out: Path | None = None,
    *,
    scale: str = "smoke",
    jobs: int = 2,
    progress: bool = True,
    twice: bool = True,
) -> bool:
    """Run studies with nothing kept; print a line for each; whether all is well.

    It is if no study fails, every claim that theory makes holds, and a second run gives the same numbers bit for bit
    (but for those that are seconds).

    Args:
        studies: which.
        out: folder for the reports and their index; None: none is kept.
        scale: one of `SCALES`.
        jobs: processes.
        progress: whether to show bars.
        twice: whether to run each again.
    """
    rows, well, failed = [["study", "seconds", *VERDICTS, "wrong"]], True, []
    for study in studies:
        with tempfile.TemporaryDirectory() as fresh:
            began = time.perf_counter()
            try:
                _, found = run_study(study, Path(fresh) / "1", scale=scale, jobs=jobs, progress=progress)
                seconds = time.perf_counter() - began
                bad = wrong(found.claims)
                if twice:
                    _, again = run_study(study, Path(fresh) / "2", scale=scale, jobs=jobs, progress=progress)
                    bad += differing(found.claims, again.claims)
                if out is not None:
                    shutil.rmtree(out / study.name, ignore_errors=True)
                    shutil.copytree(Path(fresh) / "1", out / study.name)
            except Exception as error:
                rows.append([study.name, "", *("" for _ in VERDICTS), f"{type(error).__name__}, see below"])
                failed.append(f"{study.name}\n{traceback.format_exc(limit=-4)}")
                continue
        counts = [str(sum(c.verdict == v for c in found.claims)) for v in VERDICTS]
        rows.append([study.name, f"{seconds:.0f}", *counts, "; ".join(bad)])
        well = well and not bad
    print("\n\n".join([aligned(rows), *failed]))
    if out is not None:
        print(f"all studies: {write_index(out)}")
    return well and not failed


def wrong(claims: Sequence[Claim]) -> list[str]:
    """The claims that theory makes and that do not hold."""
    return [f"{c.verdict}: {c.text}" for c in claims if c.exact and c.verdict != "holds"]


def differing(first: Sequence[Claim], second: Sequence[Claim]) -> list[str]:
    """What two runs of a study say differently."""
    if [c.text for c in first] != [c.text for c in second]:
        return ["two runs made different claims"]
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not a.timed]
    return [
        f"differs: {a.text} ({a.value!r}, {b.value!r})"
        for a, b in pairs
        if repr((a.value, a.interval)) != repr((b.value, b.interval))
    ]
