"""`python -m analysis list | run NAME | redraw RESULTS | check`: the studies."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    from analysis.studies import members
    from gamedyn._lib.errors import GamedynError

    try:
        if chosen.command == "list":
            for name, study in members().items():
                print(f"{name}: {study.question}")
            return 0
        return {"run": _run, "redraw": _redraw, "check": _check}[chosen.command](chosen)
    except GamedynError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the studies and their questions")
    run = commands.add_parser("run", help="run a study; what is finished is kept")
    run.add_argument("name")
    run.add_argument("--out", type=Path, help="folder (default: out/NAME)")
    run.add_argument("--scale", default="default", help="smoke, default or paper")
    run.add_argument("--cluster", default="", help="address of a dask.distributed scheduler, for ablations")
    redraw = commands.add_parser("redraw", help="make claims, figures and tables anew from a run's results.zip")
    redraw.add_argument("results", type=Path, help="of a run: out/NAME/results.zip")
    redraw.add_argument("--out", type=Path, help="folder (default: the one of the results)")
    check = commands.add_parser("check", help="run studies anew and hold their claims against theory")
    check.add_argument("names", nargs="*", help="of studies (default: all)")
    check.add_argument("--scale", default="smoke", help="smoke, default or paper")
    check.add_argument("--once", action="store_true", help="not a second time, to see that the numbers are the same")
    check.add_argument("--out", type=Path, help="folder to keep the reports in (default: none is kept)")
    for command in (run, check):
        command.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
        command.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _run(chosen: Any) -> int:
    from analysis.common.index import write_index
    from analysis.common.study import run_study, tally
    from analysis.studies import get

    study = get(chosen.name)
    out = chosen.out or Path("out") / (study.name + ("" if chosen.scale == "default" else f"-{chosen.scale}"))
    how = {"scale": chosen.scale, "jobs": chosen.jobs, "progress": not chosen.quiet, "cluster": chosen.cluster}
    page, found = run_study(study, out, **how)
    print(f"claims: {tally(found.claims)}\nreport: {page}")
    if chosen.out is None:
        print(f"all studies: {write_index(out.parent)}")
    return 0


def _redraw(chosen: Any) -> int:
    from analysis.common.results import Results
    from analysis.common.study import redraw_study, tally
    from analysis.studies import get

    results = Results.load(chosen.results)
    page, found, _ = redraw_study(get(results.about["study"]), results, chosen.out or chosen.results.parent)
    print(f"claims: {tally(found.claims)}\nreport: {page}")
    return 0


def _check(chosen: Any) -> int:
    from analysis.common.check import check
    from analysis.studies import get, members

    studies = [get(n) for n in chosen.names] or [*members().values()]
    how = {"scale": chosen.scale, "jobs": chosen.jobs, "progress": not chosen.quiet, "twice": not chosen.once}
    return 0 if check(studies, chosen.out, **how) else 1


if __name__ == "__main__":
    sys.exit(main())
