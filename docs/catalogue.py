"""Write the method, loss and game catalogue and the reference, as MyST pages. Called by conf.py."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch

import gamedyn
from gamedyn import games, losses, methods, stability
from gamedyn.losses import gradient_penalties, penalties
from gamedyn.stability.symbols.polynomial import written

__all__ = ["plain", "write"]

TOLERANCE = 1e-3
"""Growth a step that the tolerant limits allow."""


def write(folder: Path) -> None:
    """Write methods.md, losses.md, games.md and a page per package; unchanged files are left alone."""
    folder.mkdir(exist_ok=True)
    pages = {"methods": _methods(), "losses": _losses(), "games": _games()}
    pages |= {f"api_{package}": _reference(package) for package in _packages()}
    for name, text in pages.items():
        target = folder / f"{name}.md"
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def plain(line: str) -> str:
    """Escape what reStructuredText would read as markup outside of backticks: |v|, 2 * x, y_."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(p if p.startswith("`") else re.sub(r"([|*])|(?<=\w)_(?=\W|$)", r"\\\g<0>", p) for p in parts)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _number(x: float) -> str:
    return "unbounded" if x == float("inf") else f"{x + 0.0:.6g}"


def _methods() -> str:
    rows, functions, polynomials = [], [], []
    for name, method in methods.members().items():
        apart = not method.decouples
        both = method.kind == "partitioned" or method.order_separable != method.order
        order = f"{method.order_separable} / {method.order}" if both else str(method.order)
        limits = []
        for limit in (stability.real_limit, stability.imaginary_limit):
            tolerant = "" if apart else _number(limit(method, tolerance=TOLERANCE))
            limits += [_number(limit(method)), tolerant]
        family = type(method).__name__
        rows.append((f"`{name}`", family, order, _work(method), *limits, _code(method.aliases), method.source))
        factors = None if apart else stability.symbol(method)
        if factors is not None and (R := factors.rational) is not None:
            bottom = "" if R.is_polynomial else f" / ({_rational(R.denominator)})"
            top = _rational(R.numerator)
            functions.append((f"`{name}`", f"`{top if R.is_polynomial else f'({top}){bottom}'}`"))
        elif factors is not None and factors.linear is not None:
            rho, sigma = factors.linear
            start = method.start if isinstance(method.start, str) else f"`{method.start.name}`"
            polynomials.append((f"`{name}`", _coefficients(rho), _coefficients(sigma), start))
    maps = [(f"`{n}`", type(m).__name__, _code(m.aliases), m.source) for n, m in methods.maps().items()]
    header = ("name", "family", "order", "evaluations", "real", "real, tolerant")
    header += ("imaginary", "imaginary, tolerant", "aliases", "source")
    return f"""# Methods

Written from the registry when these pages are built: every figure is computed from the coefficients.

- *order* is proved by exact order conditions; where two are given, it is that on separable games / on every game.
- *evaluations* of the field a step, once started; a player's move counts as its share of one; "solver" where the
  solver of implicit equations decides.
- *real* and *imaginary* are the strict limits of $h|\\lambda|$ on the negative real and on the imaginary axis;
  *tolerant* ones allow growth by {TOLERANCE:g} a step. For methods that treat players or parts of J apart the
  real limit is that of two uncoupled players, the imaginary one that of the canonical rotation.

{_table(header, rows)}
## Discrete maps

Steps that discretise no flow: no order, no stability function, no limits. torch.optim's classes are maps too, as
`torch.optim:Adam`.

{_table(("name", "family", "aliases", "source"), maps)}
## Stability functions of the Runge-Kutta methods

{_table(("name", "R(z)"), functions)}
## Characteristic polynomials of the multistep methods

Coefficients, constant term first; a mode decays at $z$ if all roots of $\\rho - z \\sigma$ lie inside the unit circle.

{_table(("name", "rho", "sigma", "started by"), polynomials)}
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
        rows.append((f"`{name}`", zero_sum, *slopes, curvature, _code(loss.aliases), loss.source))
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

{_table(header, rows)}
## Penalty terms

A term joins one player's loss under a name: `flow.with_term(gamedyn.losses.r1(0.5))`. Conventions:
[penalties](../theory/penalties.md).

{_table(("function", "what it adds"), terms)}
"""


def _slope(f: Any, times: int) -> float:
    s = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = f(s)
    for _ in range(times):
        if not value.requires_grad:
            return 0.0
        (value,) = torch.autograd.grad(value, s, create_graph=True, materialize_grads=True)
    return float(value.detach())


def _packages() -> list[str]:
    root = Path(gamedyn.__file__).parent
    inside = [p for house in ("stability", "training") for p in root.glob(f"{house}/[a-z]*/__init__.py")]
    rooms = [f"{p.parts[-3]}.{p.parts[-2]}" for p in inside]
    return sorted([*(p.parent.name for p in root.glob("[a-z]*/__init__.py")), *rooms])


def _reference(package: str) -> str:
    about, options = "", ""
    if package == "games":
        about = "The families themselves are in the [catalogue](games.md).\n\n"
        options = "   :members: GameFamily, get, members, names, mlp\n"
    if package == "spectrum":
        about = "`GameJacobian` has its page with [gamedyn.jacobian](api_jacobian.md).\n\n"
        options = "   :exclude-members: GameJacobian\n"
    if package in ("stability", "training"):
        about = "What is asked for most; the rest lives in the rooms, each with its page.\n\n"
        options = "   :members: \n   :no-index:\n"
    return f"# gamedyn.{package}\n\n{about}```{{eval-rst}}\n.. automodule:: gamedyn.{package}\n{options}```\n"


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
            f"## {name}\n\nSource: {family.source}. Aliases: {_code(family.aliases)}.\n\n"
            f"```{{eval-rst}}\n.. py:function:: gamedyn.games.{name}{signature}\n   :no-index:\n\n{indented}\n```\n"
        )
    return (
        "# Games\n\nWritten from the registry when these pages are built. A family is called for a member: "
        "`gamedyn.games.bilinear([[2.0]])`, or `gamedyn.games.get(name)(...)`.\n\n" + "\n".join(sections)
    )
