"""The command line: methods, sheets, checks, rankings, the explorer; training runs and ablations from files."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamedyn import __version__, methods
from gamedyn._lib.allocator import keep_freed_memory
from gamedyn._lib.errors import ArgumentError, GamedynError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["command_parser", "main"]


INSTALL = {
    "torchmetrics": "'gamedyn[train]'",
    "PIL": "'gamedyn[train]'",
    "sklearn": "'gamedyn[data]'",
    "torch": "torch",
    "torchdiffeq": "torchdiffeq",
    "matplotlib": "'gamedyn[plot]'",
    "joblib": "'gamedyn[ablation]'",
    "pandas": "'gamedyn[ablation]'",
}
"""What a command may lack, and what installs it."""


METHODS = 'names of methods (also "torchdiffeq:dopri5"), or JSON files with A and b'
"""What a method is called on the command line."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 where a check failed or nobody reads, 2 for bad input."""
    chosen = command_parser().parse_args(arguments)
    try:
        text, status = chosen.run(chosen)
    except GamedynError as error:
        print(f"gamedyn {chosen.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in INSTALL:
            raise
        print(f"gamedyn {chosen.command}: needs {missing}: pip install {INSTALL[missing]}", file=sys.stderr)
        return 2
    return _printed(text) or status


def command_parser() -> argparse.ArgumentParser:
    """What the command line takes; the documentation prints its help."""
    parser = argparse.ArgumentParser(prog="gamedyn", description=__doc__)
    parser.add_argument("--version", action="version", version=f"gamedyn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (
        *(_add_methods, _add_stability, _add_verify, _add_rank, _add_tailor, _add_explore),
        *(_add_train, _add_compare, _add_classifier, _add_ablate),
    ):
        add(commands)
    return parser


def _command(commands: Any, name: str, text: str, run: Callable[[Any], tuple[str, int]]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_methods(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        table = methods.Listing(r for r in methods.table() if chosen.family in (None, r.family))
        if not len(table):
            families = ", ".join(sorted({r.family for r in methods.table()}))
            parser.error(f"--family: no method of family {chosen.family!r}; families: {families}")
        if chosen.json:
            return json.dumps(_finite(table.records()), indent=1), 0
        return str(table) if chosen.wide else table.narrow(), 0

    text = "list the methods: family, order, work, registers, limits, support"
    parser = _command(commands, "methods", text, run)
    parser.add_argument("--family", help="only those of a family, such as LinearMultistep")
    parser.add_argument("--wide", action="store_true", help="all columns, whatever the terminal's width")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_stability(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.stability import sheet, stable_steps

        spectrum, records, texts = _spectrum(chosen), [], []
        for method in map(_method, chosen.name):
            facts = sheet(method)
            record, text = json.loads(facts.json()), str(facts)
            if spectrum is not None:
                try:
                    steps = stable_steps(method, spectrum)
                    record["steps"] = _finite(steps.rows_as_dicts())
                    text = f"{text}\nstable steps on the spectrum:\n{steps}"
                except ArgumentError as error:  # of this method alone
                    record["steps"], record["why"] = None, str(error)
                    text = f"{text}\nstable steps on the spectrum: none said: {error}"
            records.append(record)
            texts.append(text)
        return json.dumps(records, indent=1) if chosen.json else "\n\n".join(texts), 0

    parser = _command(commands, "stability", "what the coefficients of methods imply: property sheets", run)
    parser.add_argument("name", nargs="+", help=METHODS)
    _add_spectrum_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_verify(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.spectrum import verify

        spectrum = _spectrum(chosen)
        reports = [verify(_subject(name), order=chosen.order, spectrum=spectrum) for name in chosen.subject]
        status = 0 if all(r.sound for r in reports) else 1
        if chosen.json:
            return json.dumps([r.records() for r in reports], indent=1), status
        return "\n\n".join(map(str, reports)), status

    text = "check methods by proof and by steps; the exit status is 1 where one has a fault"
    parser = _command(commands, "verify", text, run)
    parser.add_argument("subject", nargs="+", help=METHODS)
    parser.add_argument("--order", type=int, help="to hold them to, where they do not say")
    _add_spectrum_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_train(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.training import plan, train

        if chosen.plan:
            return str(plan(chosen.config, over=chosen.set)), 0
        if not chosen.out:
            parser.error("one of --out FOLDER and --plan")
        keep_freed_memory()
        try:
            how = {"over": chosen.set, "resume": chosen.resume, "allow": chosen.allow, "progress": not chosen.quiet}
            ended = train(chosen.config, chosen.out, **how)
        except KeyboardInterrupt:
            return f"interrupted; go on with: gamedyn train {chosen.config} --out {chosen.out} --resume", 130
        if os.environ.get("RANK", "0") != "0":  # the first of several processes tells
            return "", 0
        return f"{ended!r}\nreport: {Path(chosen.out) / 'report.html'}", 0

    text = "train a GAN as a TOML file says, in a folder of its own: records, samples, checkpoints, a report"
    parser = _command(commands, "train", text, run)
    parser.add_argument("config", help="the configuration, a TOML file")
    parser.add_argument("--out", help="the run's folder")
    parser.add_argument("--plan", action="store_true", help="train nothing: print what memory the run takes, by method")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    text = "what may differ from the run that --resume goes on with: code, data"
    parser.add_argument("--allow", action="append", default=[], metavar="FACT", help=text)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as solve.steps=400")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_compare(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.training import compare

        return str(compare(chosen.runs, chosen.out)), 0

    parser = _command(commands, "compare", "put training runs side by side on a page", run)
    parser.add_argument("runs", nargs="+", help="folders of runs")
    parser.add_argument("--out", default="compare.html", help="the page (compare.html)")


def _add_classifier(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.training import data, read_config, scores

        keep_freed_memory()
        sections = {"data": {"name": chosen.data}, "models": {"name": "mlp"}, "solve": {"method": "euler", "steps": 1}}
        section = read_config(sections, [f"data.{s}" for s in chosen.set]).data
        found = scores.classifier(data.load(section.name, **section.options), progress=not chosen.quiet)
        return f"{found.name}, {found.classes} classes, accuracy {found.accuracy:.4f}, {found.size} features", 0

    parser = _command(commands, "classifier", "train the classifier of a data set that scores use, and keep it", run)
    parser.add_argument("data", help="the data set, such as fashion_mnist")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="such as folder=FOLDER")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_ablate(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.ablation import ablate

        keep_freed_memory()
        options = {"jobs": chosen.jobs, "cluster": chosen.cluster, "progress": not chosen.quiet}
        try:
            table, text = ablate(chosen.config, chosen.out, over=chosen.set, **options)
        except KeyboardInterrupt:
            return "interrupted; what is finished is kept: the same command goes on", 130
        failed = int(table["status"].isin(["error", "killed"]).sum())
        about = json.loads((Path(chosen.out) / "ablation.json").read_text(encoding="utf-8"))
        cells = int((table["at"] == 1).sum())
        computed = f"{cells} cells, {cells - about['computed_cells']} of them kept from before"
        paths = f"table: {Path(chosen.out) / 'table.csv'}\nreport: {Path(chosen.out) / 'report.html'}"
        return f"{text}\n{computed}\n{paths}", 1 if failed else 0

    text = "run a grid of methods, steps and whatever else on a game of your own; a table with intervals"
    parser = _command(commands, "ablate", text, run)
    parser.add_argument("config", help="the ablation, a TOML file")
    parser.add_argument("--out", required=True, help="folder of the table and of what is kept")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes (%(default)s)")
    parser.add_argument("--cluster", default="", metavar="ADDRESS", help="of a dask.distributed scheduler instead")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as factors.seed=3")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _subject(name: str) -> Any:
    """A tableau from a file, or the name itself."""
    if not name.endswith(".json"):
        return name
    try:
        found = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError("subject", "a JSON file with a tableau", name, str(error)) from None
    if not isinstance(found, dict):
        raise ArgumentError("subject", "a JSON object with A and b", type(found).__name__)
    return {"name": Path(name).stem, **found}


def _method(name: str) -> Any:
    """A method by name, from a file, or of another library that shows its tableau."""
    from gamedyn.stability.properties import read_tableau

    if name.startswith("torchdiffeq:"):
        from gamedyn.integrators.bridges.torchdiffeq import tableau_of

        found = tableau_of(name.partition(":")[2])
        return name if found is None else read_tableau(found).method(name)
    subject = _subject(name)
    return subject if isinstance(subject, str) else read_tableau(subject).method(subject["name"])


def _spectrum(chosen: argparse.Namespace) -> Any:
    """The eigenvalues or the Jacobian that was named, or None."""
    from gamedyn.stability import load_jacobian, load_spectrum

    if chosen.spectrum is not None and chosen.jacobian is not None:
        raise ArgumentError("--spectrum, --jacobian", "one of the two", "both")
    if chosen.jacobian is not None:
        return load_jacobian(chosen.jacobian, None if chosen.players is None else _players(chosen.players))
    if chosen.players is not None:
        raise ArgumentError("--players", "a Jacobian beside it", chosen.players, "--jacobian FILE")
    return None if chosen.spectrum is None else load_spectrum(chosen.spectrum)


def _add_spectrum_options(parser: argparse.ArgumentParser) -> None:
    text = "eigenvalues of J: JSON as gamedyn.stability.save_spectrum writes it, .npy or .npz"
    parser.add_argument("--spectrum", metavar="FILE", help=text)
    text = "instead, J itself, for methods that treat players apart: .npy, or .npz (scipy.sparse.save_npz, too)"
    parser.add_argument("--jacobian", metavar="FILE", help=text)
    text = "parameters of each player, in the order of J's rows; without it J's eigenvalues are used"
    parser.add_argument("--players", metavar="G=6,D=6", help=text)


def _add_rank(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.stability import rank_methods

        spectrum = _spectrum(chosen)
        if spectrum is None:
            parser.error("one of --spectrum and --jacobian")
        named = [_method(name) for name in chosen.method] or None
        ranking = rank_methods(spectrum, chosen.cost, named, products=chosen.products, least_order=chosen.least_order)
        if chosen.top is not None:
            ranking = ranking.top(chosen.top)
        if chosen.csv:
            return ranking.to_csv().rstrip("\n"), 0
        return json.dumps(ranking.records(), indent=1) if chosen.json else str(ranking), 0

    parser = _command(
        commands, "rank", "rank methods by their largest stable step on a spectrum, per unit of cost", run
    )
    _add_spectrum_options(parser)
    parser.add_argument("--cost", default="work", choices=("work", "memory", "time"), help="of a step (%(default)s)")
    parser.add_argument("--products", type=float, help="products with J a linear solve takes, to rank implicit methods")
    parser.add_argument("--least-order", type=int, default=1, help="skip methods of lower order")
    parser.add_argument("--top", type=int, metavar="N", help="the first N alone, and those stable at every step")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--csv", action="store_true", help="as CSV")
    parser.add_argument("method", nargs="*", help=f"{METHODS} (default: all)")


def _add_tailor(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.stability import tailor

        spectrum = _spectrum(chosen)
        if spectrum is None:
            parser.error("one of --spectrum and --jacobian")
        made = [tailor(spectrum, stages, chosen.order, damping=chosen.damping) for stages in chosen.stages]
        if chosen.json:
            best = max(made, key=lambda m: m.per_evaluation).method
            written = {"A": [[str(a) for a in row] for row in best.A], "b": [str(b) for b in best.b]}
            return json.dumps(written, indent=1), 0
        return "\n".join(map(str, made)), 0

    text = "make the explicit method of so many stages that takes the longest stable step on a spectrum"
    parser = _command(commands, "tailor", text, run)
    _add_spectrum_options(parser)
    parser.add_argument("--stages", type=int, nargs="+", default=[3, 4, 5, 6, 8], help="how many (%(default)s)")
    parser.add_argument("--order", type=int, default=1, help="at least (%(default)s)")
    parser.add_argument("--damping", type=float, default=0.0, help="share of the flow's damping to keep (%(default)s)")
    parser.add_argument("--json", action="store_true", help="the one that goes furthest, as A and b for `verify`")


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with None for infinite numbers, which JSON lacks."""
    return [{k: None if v in (math.inf, -math.inf) else v for k, v in row.items()} for row in rows]


def _players(text: str | None) -> dict[str, int]:
    """Counts by name."""
    found = {}
    for part in (text or "").split(","):
        name, _, count = part.partition("=")
        if not name or not count.isdigit():
            raise ArgumentError("--players", "names and counts, such as G=6,D=6", text)
        if name in found:
            raise ArgumentError("--players", "every player once", text)
        found[name] = int(count)
    return found


def _add_explore(commands: Any) -> None:
    def run(chosen: argparse.Namespace) -> tuple[str, int]:
        from gamedyn.plot import write_explorer

        named = [_method(name) for name in chosen.method] or None
        how = {"h": chosen.h, "methods": named, "progress": not chosen.json}
        path = write_explorer(chosen.out, spectrum=_spectrum(chosen), **how)
        return json.dumps({"page": str(path)}) if chosen.json else f"page: {path}", 0

    text = "write one page to explore regions and a spectrum in a browser, without a network"
    parser = _command(commands, "explore", text, run)
    parser.add_argument("method", nargs="*", help=f"{METHODS}; ticked when the page opens (default: a few)")
    _add_spectrum_options(parser)
    parser.add_argument("-o", "--out", default="explorer.html", help="file to write (%(default)s)")
    parser.add_argument("--h", type=float, help="first step")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _printed(text: str) -> int:
    """Print; a reader that has seen enough (`| head`) ends it without a traceback, with status 1."""
    try:
        print(text, flush=True, end="\n" if text else "")
    except BrokenPipeError:  # what is still buffered would be written at exit, and fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
