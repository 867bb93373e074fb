"""The command line: `gamedyn methods`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from gamedyn import methods

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="gamedyn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("methods", help="list the methods: family, order, work, registers, limits, support")
    listing.add_argument("--family", help="only those of a family, such as LinearMultistep")
    listing.add_argument("--json", action="store_true", help="as JSON")
    chosen = parser.parse_args(arguments)
    table = methods.Listing(r for r in methods.table() if chosen.family in (None, r.family))
    if not len(table):
        families = ", ".join(sorted({r.family for r in methods.table()}))
        parser.error(f"--family: no method of family {chosen.family!r}; families: {families}")
    return _printed(json.dumps(table.records(), indent=1) if chosen.json else str(table))


def _printed(text: str) -> int:
    """Print; a reader that has seen enough (`| head`) ends it without a traceback, with status 1."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # what is still buffered would be written at exit, and fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
