"""Run the blocks of pages: `python docs/execute.py [PAGE ...]` writes what they print, tests compare it.

The Python blocks of a page run from top to bottom in one namespace, in an empty folder; a `console` block runs its
lines `$ gamedyn ...`. What a Python block prints stands in the `text` block right after it, what a command prints below
it. In shown output `...` stands for anything; numbers agree that differ in the last two digits shown, or past the tenth
digit, where iterations stop and other kernels round.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import itertools
import os
import platform
import re
import shlex
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Block", "agree", "blocks", "executed", "pages", "provenance", "run"]

DOCS = Path(__file__).resolve().parent
APART = {"howto/processes.md"}
"""Pages whose script needs a process group: tests/core/test_parallel.py runs them, by one process and by two."""

FENCE = re.compile(
    r"^```(?P<language>python|console)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
FOOT = re.compile(r"\n---\n\n\*Run in [^\n]*\*\n\Z")
NUMBER = r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?"


class Block(NamedTuple):
    """What runs, and what its page shows of it; None: nothing."""

    language: str
    code: str
    shown: str | None
    place: re.Match[str]


def pages() -> list[Path]:
    """Every page with a block that runs."""
    found = (p for p in DOCS.rglob("*.md") if not p.relative_to(DOCS).parts[0].startswith("_"))
    return sorted(p for p in found if p.relative_to(DOCS).as_posix() not in APART and blocks(p.read_text("utf-8")))


def blocks(text: str) -> list[Block]:
    """The blocks of a page that run; a console block's code are its commands, what it shows is all of it."""
    found = []
    for m in FENCE.finditer(text):
        if m["language"] == "console":
            commands = "".join(line + "\n" for line in m["code"].splitlines() if line.startswith("$ "))
            found.append(Block("console", commands, m["code"], m))
        else:
            found.append(Block("python", m["code"], m["shown"], m))
    return found


def run(found: list[Block], name: str) -> tuple[list[str], dict[str, Any]]:
    """What each block prints, and the names that the page has made; in the current folder."""
    names: dict[str, Any] = {"__name__": "page"}
    outputs = []
    for block in found:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if block.language == "console":
                _commands(block.code)
            elif block.code.lstrip().startswith(">>>"):
                _examples(block.code, names, name)
            else:
                exec(compile(block.code, name, "exec"), names)
        outputs.append(out.getvalue())
    return outputs, names


def _commands(code: str) -> None:
    from gamedyn.cli import main

    for line in code.splitlines():
        print(line)
        program, *arguments = shlex.split(line.removeprefix("$ "))
        if program != "gamedyn":
            raise ValueError(f"a console block runs gamedyn alone, not {line!r}: make it a block of sh")
        main(arguments)


def _examples(code: str, names: dict[str, Any], name: str) -> None:
    test = doctest.DocTestParser().get_doctest(code, names, name, name, 0)
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=sys.stderr.write, clear_globs=False)
    names.update(test.globs)
    if result.failed:
        raise AssertionError(f"{name}: {result.failed} examples print something else than they show")


def agree(shown: str, printed: str) -> bool:
    """Whether an output is the one shown: `...` stands for anything, last digits and spaces may differ."""
    pieces = [re.split(f"({NUMBER})", piece) for piece in shown.strip().split("...")]  # numbers at odd places
    pattern = ".*".join("".join(map(_pattern, piece, itertools.cycle((False, True)))) for piece in pieces)
    found = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    numbers = [number for piece in pieces for number in piece[1::2]]
    return found is not None and all(map(_close, numbers, found.groups()))


def _pattern(token: str, number: bool) -> str:
    """What matches a number, whichever, or the words of a text, however they are spaced."""
    return r"\s*+" + (f"((?>{NUMBER}))" if number else r"\s++".join(map(re.escape, token.split())))


def _close(shown: str, printed: str) -> bool:
    """Whole numbers are equal; others agree to twenty units of the last digit shown, at most 1 %, or to ten digits."""
    if not (set(".e") & set(shown.lower())):
        return shown == printed
    digits, _, exponent = shown.lower().partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    a, b = float(shown), float(printed)
    allowed = max(min(20 * unit, max(0.01 * abs(a), 1.5 * unit)), 1e-10 * abs(a))
    return abs(a - b) <= allowed or max(abs(a), abs(b)) < 1e-12


def executed(page: Path, *, write: bool = False) -> dict[str, Any]:
    """Run a page in an empty folder; compare what it prints with what it shows, or write it; gives the page's names.

    Raises:
        AssertionError: if a block prints something else than the page shows.
    """
    text, here, began = page.read_text("utf-8"), Path.cwd(), time.perf_counter()
    found = blocks(text)
    with tempfile.TemporaryDirectory() as folder, _drawing(), _environment(COLUMNS="120"):
        os.chdir(folder)
        try:
            outputs, names = run(found, page.name)
        finally:
            os.chdir(here)
    differ = [(b, o) for b, o in zip(found, outputs, strict=True) if not agree(b.shown or "", o)]
    if write:
        for block, output in reversed(differ):
            text = text[: block.place.start()] + _written(block, output) + text[block.place.end() :]
        text = FOOT.sub("", text).rstrip("\n") + "\n" + _foot(time.perf_counter() - began)
        page.write_text(text, "utf-8")
    elif differ:
        block, output = differ[0]
        raise AssertionError(f"{page}:\n{block.code}shows\n{block.shown or 'nothing'}\nand prints\n{output}")
    return names


def _written(block: Block, output: str) -> str:
    if block.language == "console":
        return f"```console\n{output}```\n"
    return f"```python\n{block.code}```\n" + (f"\n```text\n{output}```\n" if output else "")


def provenance() -> str:
    """With what output is made."""
    import torch

    import gamedyn

    made = f"gamedyn {gamedyn.__version__}, PyTorch {torch.__version__.partition('+')[0]}"
    return f"{made}, Python {platform.python_version()} on {platform.machine()}, one thread"


def _foot(seconds: float) -> str:
    return f"\n---\n\n*Run in {max(seconds, 1):.0f} s with {provenance()}. The tests run it, and compare.*\n"


@contextlib.contextmanager
def _drawing() -> Any:
    """Figures are drawn without a screen, and forgotten after the page."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    try:
        yield
    finally:
        plt.close("all")


@contextlib.contextmanager
def _environment(**values: str) -> Any:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for path in [Path(p).resolve() for p in sys.argv[1:]] or pages():
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            executed(path, write=True)
        print(path.relative_to(DOCS))
