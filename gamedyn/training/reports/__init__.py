"""Reports of runs that open in a browser: of one, and of several side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.page import figure, number, page, picture, table, text
from gamedyn.training.reports.curves import axes_of, courses, loss_names, own_names, score_curves, stability
from gamedyn.training.reports.folder import RunFolder, score_names, write_summary

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from gamedyn.integrators import Run

__all__ = ["compare", "write_report"]


def write_report(folder: str | os.PathLike[str], run: Run | None = None, *, about: str = "") -> Path:
    """`report.html` of a run's folder: samples, scores with floors, losses, stability, what it cost, configuration.

    Of a `solve` of your own, the folder is where its observers wrote: a Recorder's `records.jsonl`, the `samples` of
    Samples; whatever is there is shown.

    Args:
        folder: that `gamedyn train` wrote, or that of your observers.
        run: a run of your own; None: one of `gamedyn train`.
        about: what it was trained on, in a line, for a run of your own.

    Returns:
        Path of the report.

    Raises:
        ArgumentError: for a folder without a run, an ensemble.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from gamedyn import flows, games, solve
        >>> from gamedyn.training import observers, write_report
        >>> game = games.dirac_gan()
        >>> with TemporaryDirectory() as folder:
        ...     record = observers.Recorder(Path(folder) / "records.jsonl", every=1)
        ...     run = solve(flows.gradient(game), "rk4", h=0.1, steps=20, observers=[record])
        ...     record.finish()
        ...     path = write_report(folder, run, about="one point, at 0")
        >>> path.name
        'report.html'
    """
    if run is not None:
        _summarised(Path(folder), run, about)
    return _written(RunFolder(Path(folder)))


def _summarised(folder: Path, run: Run, about: str) -> None:
    """Write what is known of a run that `gamedyn train` did not make."""
    if not isinstance(run.status, str):
        raise ArgumentError("run", "the run of a solve", f"an ensemble of {len(run.status)} members")
    if (folder / "config.toml").is_file():
        raise ArgumentError("run", f"none for {folder}, which gamedyn train wrote", "a run", "write_report(folder)")
    if not folder.is_dir():
        raise ArgumentError("folder", "the folder that the run's observers wrote to", f"{folder}, which is not there")
    write_summary(folder, run, data={"about": about})


def _written(run: RunFolder) -> Path:
    facts = run.facts()
    parts = [f"<h1>{text(run.name)}</h1>", f"<p>{text(run.line())}</p>"]
    parts += _samples(run)
    parts += _score_section([run])
    parts += _courses([run])
    parts += ["<h2>What it cost</h2>", table(("", ""), facts)]
    if run.text:
        parts += ["<h2>Configuration</h2>", f"<pre>{text(run.text)}</pre>"]
    else:
        parts += ["<h2>How it was made</h2>", table(("", ""), [(k, str(v)) for k, v in run.settings().items()])]
    path = run.folder / "report.html"
    path.write_text(page(run.name, parts), encoding="utf-8", errors="replace")
    return path


def compare(folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """A page with several runs side by side: scores at equal images, evaluations and seconds, samples, differences.

    Args:
        folders: of runs.
        out: the page.

    Raises:
        ArgumentError: for fewer than two runs, a folder without one, a page that cannot be written.
    """
    runs = [RunFolder(p) for p in dict.fromkeys(Path(f).resolve() for f in folders)]
    if len(runs) < 2:
        raise ArgumentError("runs", "at least two", len(runs))
    names = [r.name for r in runs]
    for run in runs:  # folders of one name in different places
        if names.count(run.name) > 1:
            run.name = str(run.folder)
    parts = [f"<h1>{len(runs)} runs</h1>"]
    parts += _unlike(runs)
    parts += ["<h2>In numbers</h2>", _overview(runs)]
    parts += _score_section(runs)
    if shown := [picture(last, f"{r.name}, step {r.step:,}") for r in runs if (last := r.last()) is not None]:
        parts += ["<h2>Samples</h2>", '<div class="side">', *shown, "</div>"]
    parts += ["<h2>What differs</h2>", _differences(runs)]
    parts += _courses(runs)
    path = Path(out)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page("runs side by side", parts), encoding="utf-8", errors="replace")
    except OSError as error:
        raise ArgumentError("--out", "a page that can be written", f"{path}: {error.strerror}") from None
    return path


def _unlike(runs: list[RunFolder]) -> list[str]:
    """What keeps scores from being compared: other data, another number of samples, other features."""
    lasts = [r.scores()[-1] for r in runs if r.scores()]
    kinds = {
        "data": {r.data for r in runs if r.data},
        "samples of a score": {str(row["n"]) for row in lasts},
        "features": {str(row["features"]) for row in lasts if "features" in row},
    }
    found = [f"{kind}: {', '.join(sorted(values))}" for kind, values in kinds.items() if len(values) > 1]
    return [f"<p><strong>Not comparable by their scores</strong> ({text('; '.join(found))}).</p>"] if found else []


def _score_section(runs: list[RunFolder]) -> list[str]:
    parts: list[str] = []
    names = score_names(runs)
    if not names:
        return parts
    parts.append("<h2>Scores</h2>")
    said: dict[str, list[str]] = {}
    for run in runs:
        rows = run.scores()
        if not rows:
            continue
        last = rows[-1]
        accuracy = f", accuracy {last['accuracy']:.3f}" if "accuracy" in last else ""
        features = str(last.get("features", ""))
        label = f"distances are on features of {features}{accuracy}"
        label += ", the FID" if features == "inception" else ", which is no FID"
        said.setdefault(f"{last['n']:,} samples a score; {label}.", []).append(run.name)
    parts += [f"<p>{text(', '.join(names))}: {text(words)}</p>" for words, names in said.items()]
    parts += figure(score_curves(runs, names), _score_caption(runs), "")
    if len(runs) == 1:
        parts.append(_score_table(runs[0], names))
    return parts


def _courses(runs: list[RunFolder]) -> list[str]:
    """Losses, stability, and what observers and flows of one's own have recorded."""
    parts: list[str] = []

    def against(kind: str = "") -> str:
        return f"against {', '.join(axes_of(runs, kind).values())}."

    if names := loss_names(runs):
        parts += figure(courses(runs, names), f"Losses of the players at the recorded steps, {against()}", "Losses")
    if any(r.rows("stability") for r in runs):
        words = (
            "The step over the largest one that is stable for the modes which the flow damps: at 1 the leading mode "
            "lies on the boundary of the method's own region, beyond it that mode grows by the method."
        )
        parts += figure(stability(runs), f"{words} {_lasts(runs)}", "Stability")
    for kind in dict.fromkeys(["", *(k for r in runs for k in r.kinds())]):
        if names := own_names(runs, kind):
            title = f"Figures: {kind}" if kind else "Figures"
            parts += figure(courses(runs, names, kind), f"What was recorded besides, {against(kind)}", title)
    return parts


def _lasts(runs: list[RunFolder]) -> str:
    """How far the runs were from their limits when they were last looked at."""
    lasts = [(r.name, rows[-1].get("ratio")) for r in runs if (rows := r.rows("stability"))]
    said = [f"{name} {ratio:.3g}{' (beyond it)' if ratio > 1 else ''}" for name, ratio in lasts if ratio is not None]
    return f"At the last look: {', '.join(said)}." if said else ""


def _score_caption(runs: list[RunFolder]) -> str:
    lasts = [k for r in runs for row in r.scores()[-1:] for k in row]
    words = "Scores at equal images, evaluations and seconds"
    if any(k.startswith("ema.") for k in lasts):
        words += ": full lines of the averaged weights where there are any, dashed of the weights themselves"
    return words + ("; dotted what real samples get." if any(k.startswith("floor.") for k in lasts) else ".")


def _samples(run: RunFolder) -> list[str]:
    last = run.last()
    if last is None:
        return []
    whose = ""
    if run.config:
        whose = " by the weights" if run.config.observers.ema is None else " by the averaged weights"
    at = int(last.stem.partition("-")[2])
    parts = ["<h2>Samples</h2>", picture(last, f"Samples of fixed noise{whose} at step {at:,}.")]
    if (run.folder / "samples" / "animation.gif").is_file():
        parts.append('<p><a href="samples/animation.gif">How they came about</a> (animation).</p>')
    return parts


def _score_table(run: RunFolder, names: list[str]) -> str:
    rows = run.scores()
    keys = [k for n in names for k in (f"ema.{n}", n) if any(k in r for r in rows)]
    floors = {k: rows[-1].get(f"floor.{k.removeprefix('ema.')}") for k in keys}
    body = [(f"{r['step']:,}", f"{r['images']:,}", *[number(r.get(k)) for k in keys]) for r in rows]
    body.append(("real samples", "", *[number(floors[k]) for k in keys]))
    return table(("step", "images", *keys), body)


def _overview(runs: list[RunFolder]) -> str:
    names = score_names(runs)
    keys = [k for n in names for k in (f"ema.{n}", n) if any(k in r for run in runs for r in run.scores())]
    body = []
    for run in runs:
        last = run.scores()[-1] if run.scores() else {}
        facts = dict(run.facts())
        cost = [facts[k] for k in ("steps", "images", "field evaluations", "seconds", "images a second", "status")]
        body.append((run.name, run.method, *cost, *[number(last.get(k)) for k in keys]))
    head = ("run", "method", "steps", "images", "evaluations", "seconds", "images/s", "status")
    return table((*head, *[f"last {k}" for k in keys]), body)


def _differences(runs: list[RunFolder]) -> str:
    settings = [run.settings() for run in runs]
    rows = {key: [json.dumps(s.get(key)) for s in settings] for key in dict.fromkeys(k for s in settings for k in s)}
    body = [(key, *values) for key, values in rows.items() if len(set(values)) > 1]
    if not body:
        return "<p>Nothing: the configurations are the same.</p>"
    return table(("key", *[r.name for r in runs]), body)
