"""A study: one question, frozen settings at three scales, claims that numbers decide, a report."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.common.claims import VERDICTS, Claim, claims_table
from analysis.common.page import figure, paragraph, prose, write_page
from analysis.common.parts import ROOTS, Part, Result, run_parts
from analysis.common.results import Results, kept_settings
from gamedyn import ablation
from gamedyn._lib.errors import ArgumentError, GamedynError
from gamedyn.ablation.provenance import provenance, provenance_table

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from matplotlib.figure import Figure

__all__ = ["SCALES", "Findings", "Study", "Workplace", "of_parts", "redraw_study", "run_study"]

SCALES = ("smoke", "default", "paper")
"""Small settings for tests; what a reader reruns in minutes; what takes hours."""


@dataclass
class Findings:
    """What a study has found.

    Attributes:
        title: of its report.
        claims: what it set out to decide, each with its number.
        body: the report's paragraphs, tables and figures, as HTML.
        data: everything that is quoted, for `summary.json`.
        limitations: what it does not show.
    """

    title: str
    claims: list[Claim]
    body: list[str]
    data: Any = None
    limitations: Sequence[str] = ()


@dataclass(frozen=True)
class Study:
    """One question.

    Attributes:
        name: of the study.
        question: in a sentence.
        scales: by name (`SCALES`; "smoke" and "default" at least), a frozen dataclass: all that the results depend on.
        run: finds the answer at given settings.
        source: whose claims it is about; "" for our own.
    """

    name: str
    question: str
    scales: Mapping[str, Any]
    run: Callable[[Any, Workplace], Findings]
    source: str = ""

    def settings(self, scale: str) -> Any:
        """The settings of a scale; a study without one of "paper" has no more to show there.

        Raises:
            ArgumentError: for an unknown scale.
        """
        if scale not in SCALES:
            raise ArgumentError("scale", f"one of {', '.join(SCALES)}", scale)
        return self.scales.get(scale, self.scales["default"])


@dataclass
class Workplace:
    """Where a study runs: its folder, its processes, what it may keep.

    Attributes:
        study: its name.
        out: the folder of everything.
        jobs: processes.
        progress: whether to show bars (never unless standard error is a terminal).
        cluster: address of a dask.distributed scheduler for ablations, in the place of processes.
        results: of the parts and ablations so far.
        pictures: by name, the paths of the figures so far, with their captions.
    """

    study: str
    out: Path
    jobs: int = 1
    progress: bool = False
    cluster: str = ""
    results: Results = field(default_factory=Results)
    pictures: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def parts(self, parts: Sequence[Part], settings: Any) -> dict[str, Result]:
        """Run what is not kept yet; the results by name."""
        how: dict[str, Any] = {"jobs": self.jobs, "progress": self.progress, "title": self.study}
        found = run_parts(parts, settings, self.out / "records", **how)
        self.results.parts.update(found)
        return found

    def ablation(self, name: str, grid: ablation.Grid, measures: Mapping[str, Any], **how: Any) -> pd.DataFrame:
        """Run a grid, in a folder of its own; `how` as `gamedyn.ablation.run` takes it.

        Raises:
            GamedynError: if a cell ended by an exception, or its worker was killed: nothing may be claimed of the rest.
        """
        how = {"jobs": self.jobs, "cluster": self.cluster, "progress": self.progress, **how}
        table = ablation.run(grid, measures, folder=self.out / name, **how)
        broken = table[table["status"].isin(["error", "killed"])]
        if len(broken):
            raise GamedynError(
                f"{self.study}: {len(broken)} cells of {name} have no result; see the table in {self.out / name}"
            )
        self.results.tables[name] = table.copy()
        return table

    def figure(self, name: str, drawn: Figure, caption: str) -> str:
        """Keep a figure as PNG; it and its caption for the report."""
        import matplotlib.pyplot as plt

        path = self.out / f"{name}.png"
        drawn.savefig(path, dpi=150, bbox_inches="tight")  # no label is cut off, however small the panels
        plt.close(drawn)
        self.pictures[name] = path, prose(caption)
        return figure(path, caption)


@dataclass
class FromResults(Workplace):
    """Where a study is drawn again: what its parts and ablations gave is in `results`, nothing runs."""

    def parts(self, parts: Sequence[Part], settings: Any) -> dict[str, Result]:
        """What the parts gave."""
        return {p.name: self._kept(self.results.parts, p.name) for p in parts}

    def ablation(self, name: str, grid: ablation.Grid, measures: Mapping[str, Any], **how: Any) -> pd.DataFrame:
        """What the ablation gave."""
        return self._kept(self.results.tables, name).copy()

    def _kept(self, kept: Mapping[str, Any], name: str) -> Any:
        if name not in kept:
            raise ArgumentError("results", f"all results of {self.study}", f"none of {name}", "run the study again")
        return kept[name]


def of_parts(
    parts: Callable[[Any], list[Part]], report: Callable[[Any, dict[str, Result], Workplace], Findings]
) -> Callable[[Any, Workplace], Findings]:
    """What runs a study that is a list of parts and a report of their results."""

    def run(settings: Any, work: Workplace) -> Findings:
        return report(settings, work.parts(parts(settings), settings), work)

    return run


def run_study(
    study: Study, out: Path, *, scale: str = "default", jobs: int = 2, progress: bool = True, cluster: str = ""
) -> tuple[Path, Findings]:
    """Run what is not finished yet, then write `report.html`, `summary.json`, `findings.json` and `results.zip`.

    Args:
        study: the study.
        out: folder for everything; what was finished with the same settings, sources and versions is reused.
        scale: one of `SCALES`.
        jobs: processes.
        progress: whether to show bars (never unless standard error is a terminal).
        cluster: address of a dask.distributed scheduler for the study's ablations.

    Returns:
        Path of report.html, and what was found.

    Raises:
        ArgumentError: for an unknown scale, or if the folder cannot be written.
        GamedynError: if a record is damaged meanwhile.
    """
    settings, began = study.settings(scale), time.time()
    writable(out)
    work = Workplace(study.name, out, jobs, progress, cluster)
    found = study.run(settings, work)
    about = {"study": study.name, "scale": scale, **provenance(began, ROOTS)}
    Results(about, kept_settings(settings), work.results.parts, work.results.tables).save(out / "results.zip")
    return _written(study, out, found, about), found


def redraw_study(study: Study, results: Results, out: Path) -> tuple[Path, Findings, Workplace]:
    """Write the same files from kept results, by the claims and figures as they are now; nothing runs.

    Args:
        study: the study.
        results: of a run of it.
        out: folder for everything.

    Returns:
        Path of report.html, what was found, and the workplace with its pictures.

    Raises:
        ArgumentError: for results of another study, of settings that the study no longer has, or without a part that
            it has now; or if the folder cannot be written.
    """
    about = results.about
    if about.get("study") != study.name:
        raise ArgumentError("results", f"results of {study.name}", f"results of {about.get('study')}")
    settings = study.settings(about["scale"])
    now, before = kept_settings(settings), results.settings
    if differ := [k for k in {**now, **before} if now.get(k) != before.get(k)]:
        found = f"others: {', '.join(differ)}"
        raise ArgumentError("results", f"the settings that {study.name} has now", found, "run the study again")
    writable(out)
    kept = FromResults(study.name, out, results=results)
    drawn = study.run(settings, kept)
    return _written(study, out, drawn, about), drawn, kept


def _written(study: Study, out: Path, found: Findings, about: Mapping[str, Any]) -> Path:
    """The report, and what was found as JSON."""
    told = {
        "question": study.question,
        "claims": [c.record() for c in found.claims],
        "about": about,
    }
    (out / "summary.json").write_text(json.dumps(found.data, indent=1, default=str), encoding="utf-8")
    (out / "findings.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    body = [
        f"<h1>{found.title}</h1>",
        paragraph(study.question),
        "<h2>Claims</h2>",
        paragraph(tally(found.claims)),
        claims_table(found.claims),
        *found.body,
        *(["<h2>What this does not show</h2>"] if found.limitations else []),
        *(paragraph(text) for text in found.limitations),
        "<h2>How it was made</h2>",
        provenance_table(about, {"study": study.name, "scale": about["scale"]}),
    ]
    return write_page(out / "report.html", found.title, body)


def tally(claims: Sequence[Claim]) -> str:
    """How many claims hold, fail and are undecided."""
    counts = {v: sum(c.verdict == v for c in claims) for v in VERDICTS}
    return ", ".join(f"{n} {v if n == 1 else v.removesuffix('s')}" for v, n in counts.items())


def writable(folder: Path) -> None:
    """Make a folder, and check that a file can be written into it.

    Raises:
        ArgumentError: if not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "give another one with --out"
        raise ArgumentError("out", "a folder that can be written", f"{folder} ({error.strerror})", remedy) from error
