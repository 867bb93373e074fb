"""A page for every method, drawn from its coefficients. Called by conf.py."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from catalogue import TOLERANCE, code, sheet, table

from gamedyn import methods, stability

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write"]

CALLED = {
    "partitioned": "for any number of players, who move in turn",
    "additive Runge-Kutta": "for flows whose penalties are terms",
}


def write(folder: Path) -> None:
    """Write NAME.md and the figure NAME.svg for every method; a figure that is there is kept, its page too."""
    folder.mkdir(parents=True, exist_ok=True)
    members = methods.members()
    sheets = {name: sheet(name) for name in members}
    advance = {name: _advance(m, sheets[name]) for name, m in members.items()}
    for name, method in members.items():
        figure = folder / f"{name}.svg"
        drawn = figure.exists() or _draw(method, figure)
        text = _page(name, method, sheets[name], advance, drawn=drawn)
        target = folder / f"{name}.md"
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def _draw(method: Any, target: Path) -> bool:
    """The region of absolute stability, where the method has one in the plane of h lambda."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "gamedyn"
    import matplotlib.pyplot as plt

    from gamedyn import plot

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stability.StabilityWarning)
            axes = plot.partitioned_region(method) if method.kind == "partitioned" else plot.region(method)
    except ValueError:  # of this method no region is drawn, and why is said on its page
        return False
    axes.figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None}, transparent=False)
    plt.close(axes.figure)
    return True


def _advance(method: Any, facts: Any) -> tuple[float, float] | None:
    """How far a step may go on the negative real and on the imaginary axis, per evaluation; None where solved."""
    if method.solver_decides or not method.explicit:
        return None
    real, imaginary = (facts[f"{axis} limit"] for axis in ("real", "imaginary"))
    return None if real is None else (real / float(method.evaluations), imaginary / float(method.evaluations))


def _page(name: str, method: Any, facts: Any, advance: dict[str, Any], *, drawn: bool) -> str:
    shown = str(facts).splitlines()[1:]
    width = max(map(len, facts.facts))
    rows = [(line[:width].strip(), line[width:].strip()) for line in shown if not line.startswith("source")]
    how = CALLED.get(method.kind, "")
    alias = f" Also called {code(method.aliases)}." if method.aliases else ""
    kind = f"{method.kind[0].upper()}{method.kind[1:]}{f', {how}' if how else ''}"
    tolerated = f"growth of {TOLERANCE:g} a step is allowed where a limit says so"
    parts = [
        f"---\norphan: true\n---\n\n# {name}\n\n{kind}. Source: {method.source}.{alias}\n",
        f'```python\ngd.solve(flow, "{name}", h=..., steps=...)\ngd.spectrum.stable_steps("{name}", lin)\n```\n',
        _region(name, method, drawn=drawn),
        f"## Properties\n\nComputed from the coefficients; {tolerated}.\n\n{table(('property', 'value'), rows)}",
        _places(name, advance),
        _coefficients(method),
    ]
    return "\n".join(p for p in parts if p)


def _region(name: str, method: Any, *, drawn: bool) -> str:
    if not drawn:
        return "No region is drawn: its stability is no function of $h\\lambda$ (`gamedyn.stability.step_matrix`).\n"
    if method.kind == "partitioned":
        what = "Where a step contracts the canonical game: rotation to the right, damping of the second player up."
    else:
        what = "Region of absolute stability: the shaded set of $h\\lambda$ on which no mode of a linear game grows."
    return f"```{{figure}} {name}.svg\n:alt: stability region of {name}\n\n{what}\n```\n"


def _places(name: str, advance: dict[str, Any]) -> str:
    """Where it stands among explicit methods, on the two axes that games live on."""
    mine = advance[name]
    if mine is None:
        return ""
    rows = []
    for axis, what in enumerate(("negative real: dissipation, penalties", "imaginary: rotation")):
        others = [a[axis] for a in advance.values() if a is not None]
        better = sum(x > mine[axis] * (1 + 1e-9) for x in others)
        rows.append((what, f"{mine[axis]:.4g}", f"{better + 1} of {len(others)}"))
    header = ("eigenvalues of J", "largest stable step per evaluation, times |lambda|", "place")
    return f"## Where it leads\n\n{table(header, rows)}"


def _coefficients(method: Any) -> str:
    """The tableau, or the weights of a multistep formula, exact where they are."""
    written = lambda x: str(x) if len(str(x)) < 16 else f"{float(x):.10g}"  # noqa: E731
    if hasattr(method, "A") and hasattr(method, "c") and isinstance(method.b, tuple) and len(method.b) <= 8:
        rows = [(written(c), *map(written, row)) for c, row in zip(method.c, method.A, strict=True)]
        rows.append(("b", *map(written, method.b)))
        if getattr(method, "b_hat", None) is not None:
            rows.append(("b, embedded", *map(written, method.b_hat)))
        header = ("c", *(f"a({j + 1})" for j in range(len(method.b))))
    elif hasattr(method, "alpha") and hasattr(method, "beta") and isinstance(method.beta, tuple):
        rows = [("alpha", *map(written, method.alpha)), ("beta", *map(written, method.beta))]
        header = ("", *(f"step {j}" for j in range(len(method.alpha))))
    else:
        return ""
    return f"## Coefficients\n\n{table(header, rows)}"
