"""Write the method, loss and game catalogue and the reference, as MyST pages. Called by conf.py."""

from __future__ import annotations

import argparse
import functools
import inspect
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reference
import torch
from computed import TOLERANCE

from gamedyn import cli, games, losses, methods, stability
from gamedyn.losses import gradient_penalties, penalties
from gamedyn.stability.symbols.polynomial import written

if TYPE_CHECKING:
    from computed import Facts

__all__ = ["code", "plain", "table", "write"]


def write(folder: Path, facts: dict[str, Facts]) -> None:
    """Write methods.md, losses.md, games.md, options.md and the reference; unchanged files are left alone."""
    folder.mkdir(exist_ok=True)
    (folder / "api").mkdir(exist_ok=True)
    pages = {
        "methods": _methods(facts),
        "losses": _losses(),
        "games": _games(),
        "options": _options(),
        **reference.pages(),
    }
    for name, text in pages.items():
        target = folder / f"{name}.md"
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def plain(line: str) -> str:
    """Escape what reStructuredText would read as markup outside of backticks: |v|, 2 * x, y_."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(p if p.startswith("`") else re.sub(r"([|*])|(?<=\w)_(?=\W|$)", r"\\\g<0>", p) for p in parts)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def code(names: tuple[str, ...]) -> str:
    """Names as code, one after the other."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def _number(x: float) -> str:
    return "unbounded" if x == float("inf") else f"{x + 0.0:.6g}"


def _methods(facts: dict[str, Facts]) -> str:
    rows, functions, polynomials = [], [], []
    for name, method in methods.members().items():
        apart = not method.decouples
        both = method.kind == "partitioned" or method.order_separable != method.order
        order = f"{method.order_separable} / {method.order}" if both else str(method.order)
        limits = ("" if limit is None else _number(limit) for limit in facts[name].limits)
        family = type(method).__name__
        called = f"[`{name}`](methods/{name}.md)" + (f" {code(method.aliases)}" if method.aliases else "")
        rows.append((called, family, order, _work(method), *limits))
        factors = None if apart else stability.symbol(method)
        if factors is not None and (R := factors.rational) is not None:
            bottom = "" if R.is_polynomial else f" / ({_rational(R.denominator)})"
            top = _rational(R.numerator)
            functions.append((f"`{name}`", f"`{top if R.is_polynomial else f'({top}){bottom}'}`"))
        elif factors is not None and factors.linear is not None:
            rho, sigma = factors.linear
            start = method.start if isinstance(method.start, str) else f"`{method.start.name}`"
            polynomials.append((f"`{name}`", _coefficients(rho), _coefficients(sigma), start))
    maps = [(f"`{n}`", type(m).__name__, code(m.aliases), m.source) for n, m in methods.maps().items()]
    header = ("name", "family", "order", "evaluations", "real", "real, tolerant")
    header += ("imaginary", "imaginary, tolerant")
    return f"""# Methods

Written from the registry when these pages are built: every figure is computed from the coefficients. A method's name
leads to its page, with its region, properties, coefficients and source; aliases stand beside it.

- *order* is proved by exact order conditions; where two are given, it is that on separable games / on every game.
- *evaluations* of the field a step, once started; a player's move counts as its share of one; "solver" where the
  solver of implicit equations decides.
- *real* and *imaginary* are the strict limits of $h|\\lambda|$ on the negative real and on the imaginary axis;
  *tolerant* ones allow growth by {TOLERANCE:g} a step. For methods that treat players or parts of J apart the
  real limit is that of two uncoupled players, the imaginary one that of the canonical rotation.

{table(header, rows)}
## Discrete maps

Steps that discretise no flow: no order, no stability function, no limits. torch.optim's classes are maps too, as
`torch.optim:Adam`.

{table(("name", "family", "aliases", "source"), maps)}
## Stability functions of the Runge-Kutta methods

{table(("name", "R(z)"), functions)}
## Characteristic polynomials of the multistep methods

Coefficients, constant term first; a mode decays at $z$ if all roots of $\\rho - z \\sigma$ lie inside the unit circle.

{table(("name", "rho", "sigma", "started by"), polynomials)}
"""


def _work(method: Any) -> str:
    solved = method.solver_decides
    return "solver" if solved else f"{method.evaluations:g}"


def _rational(p: tuple[Any, ...]) -> str:
    """A polynomial, exact where its coefficients are short, else to ten digits."""
    short = all(len(str(c)) < 24 for c in p)
    return written(p) if short else written(tuple(Decimal(f"{float(c):.10g}") for c in p))


def _coefficients(p: Any) -> str:
    return "`" + ", ".join(str(c) if len(str(c)) < 24 else f"{float(c):.10g}" for c in p) + "`"


def _losses() -> str:
    rows = []
    for name, loss in losses.members().items():
        slopes = [_number(_slope(f, 1)) for f in (loss.real, loss.fake, loss.generator)]
        curvature = _number(_slope(loss.real, 2) + _slope(loss.fake, 2))
        zero_sum = "yes" if loss.zero_sum else "no"
        rows.append((f"`{name}`", zero_sum, *slopes, curvature, code(loss.aliases), loss.source))
    header = ("name", "zero-sum", "r'(0)", "f'(0)", "g'(0)", "r''(0) + f''(0)", "aliases", "source")
    terms = []
    for name in (*gradient_penalties.__all__, *penalties.__all__):
        first = inspect.cleandoc(getattr(losses, name).__doc__ or "").splitlines()[0]
        terms.append((f"`{name}`", first))
    return f"""# Losses and penalties

Written from the registry when these pages are built.

With $s = D(x)$ at real and at generated samples, $L_D = E\\, r(s_\\mathrm{{real}}) + E\\, f(s_\\mathrm{{fake}})$ and
$L_G = E\\, g(s_\\mathrm{{fake}})$, or $L_G = -L_D$ if zero-sum; relativistic losses compare real and generated scores
first, and `gamedyn.losses.relativistic` makes one of any other. The slopes and curvatures at an undecided output,
$s = 0$, decide the Jacobian at the equilibrium of a [GAN that can match the data](../theory/affine_quadratic.md).

{table(header, rows)}
## Penalty terms

A term joins one player's loss under a name: `flow.with_term(gamedyn.losses.r1(0.5))`. Conventions:
[penalties](../theory/penalties.md).

{table(("function", "what it adds"), terms)}
"""


def _slope(f: Any, times: int) -> float:
    s = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = f(s)
    for _ in range(times):
        if not value.requires_grad:
            return 0.0
        (value,) = torch.autograd.grad(value, s, create_graph=True, materialize_grads=True)
    return float(value.detach())


def _options() -> str:
    """The command line's help, command by command."""
    parser = cli.command_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = []
    for name, command in commands.choices.items():
        command.formatter_class = functools.partial(argparse.HelpFormatter, width=100)
        parts.append(f"### gamedyn {name}\n\n```text\n{command.format_help()}```\n")
    return "\n".join(parts)


def _games() -> str:
    from sphinx.ext.napoleon import Config, GoogleDocstring

    sections = []
    for name, family in games.members().items():
        parameters = inspect.signature(family.make).parameters.values()
        signature = inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in parameters])
        text = inspect.cleandoc(family.__doc__ or "")
        text, _, example = text.partition("\nExample:\n")
        lines = [plain(line) for line in text.splitlines()]
        lines += ["", "Example:", *example.splitlines()] if example else []
        config = Config(napoleon_use_param=True, napoleon_custom_sections=[("Source", "notes_style")])
        body = str(GoogleDocstring("\n".join(lines), config))
        indented = "\n".join("   " + line if line else "" for line in body.splitlines())
        sections.append(
            f"## {name}\n\nSource: {family.source}. Aliases: {code(family.aliases)}.\n\n"
            f"```{{eval-rst}}\n.. py:function:: gamedyn.games.{name}{signature}\n   :no-index:\n\n{indented}\n```\n"
        )
    return (
        "# Games\n\nWritten from the registry when these pages are built. A family is called for a member: "
        "`gamedyn.games.bilinear([[2.0]])`, or `gamedyn.games.get(name)(...)`.\n\n" + "\n".join(sections)
    )
