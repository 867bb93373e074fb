"""`python -m analysis list` and `python -m analysis run NAME`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the studies and their questions")
    run = commands.add_parser("run", help="run a study; finished parts are kept")
    run.add_argument("name")
    run.add_argument("--out", type=Path, help="folder (default: out/NAME)")
    run.add_argument("--smoke", action="store_true", help="small settings, for a quick look")
    run.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    chosen = parser.parse_args(arguments)
    from analysis.studies import get, members

    if chosen.command == "list":
        for name, study in members().items():
            print(f"{name}: {study.question}")
        return 0
    from analysis.common.study import run_study
    from gamedyn._lib.errors import GamedynError

    try:
        study = get(chosen.name)
        out = chosen.out or Path("out") / (study.name + ("-smoke" if chosen.smoke else ""))
        page = run_study(study, out, smoke=chosen.smoke, jobs=chosen.jobs, progress=not chosen.quiet)
    except GamedynError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished parts are kept, run the same command to go on", file=sys.stderr)
        return 130
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
