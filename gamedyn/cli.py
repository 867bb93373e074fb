"""The command line: `gamedyn methods`."""

from __future__ import annotations

import argparse

from gamedyn import methods, stability

__all__ = ["main"]

HEADER = ("method", "family", "order", "evaluations", "real limit", "imaginary limit", "aliases")


def rows() -> list[tuple[str, ...]]:
    """One row of text per method, as in HEADER; everything is computed from the coefficients."""
    out = []
    for name, method in methods.members().items():
        limits = (stability.real_limit(method), stability.imaginary_limit(method))
        shown = [f"{x:.6g}" for x in limits]
        aliases = ", ".join(method.aliases)
        out.append((name, type(method).__name__, str(method.order), str(method.evaluations), *shown, aliases))
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="gamedyn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("methods", help="list the methods and what their coefficients imply")
    parser.parse_args(arguments)
    table = [HEADER, *rows()]
    widths = [max(len(r[i]) for r in table) for i in range(len(HEADER))]
    for r in table:
        print("  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip())
    return 0
