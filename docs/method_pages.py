"""A page for every method, drawn from its coefficients. Called by conf.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalogue import code, table
from computed import TOLERANCE

from gamedyn import methods

if TYPE_CHECKING:
    from pathlib import Path

    from computed import Facts

__all__ = ["write"]

CALLED = {
    "partitioned": "for any number of players, who move in turn, in the order in which the game names them",
    "additive Runge-Kutta": "for flows whose penalties are terms",
}

USE = """```python
import gamedyn as gd

game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
flow = gd.flows.gradient(game)
run = gd.solve(flow, "{name}", h=0.1, steps=20)
limits = gd.spectrum.stable_steps("{name}", gd.spectrum.linearise(flow, game.equilibrium_state()))
```
"""
"""How a method is used, on a game of two parameters; the tests run it for every method."""


def write(folder: Path, facts: dict[str, Facts], places: dict[str, Any]) -> None:
    """Write NAME.md for every method, beside its figure; a page that is as it would be is left alone."""
    for name, method in methods.members().items():
        text = _page(name, method, facts[name], places)
        target = folder / f"{name}.md"
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


def _page(name: str, method: Any, facts: Facts, places: dict[str, Any]) -> str:
    shown = str(facts.sheet).splitlines()[1:]
    width = max(map(len, facts.sheet.facts))
    rows = [(line[:width].strip(), line[width:].strip()) for line in shown if not line.startswith("source")]
    how = CALLED.get(method.kind, "")
    alias = f" Also called {code(method.aliases)}." if method.aliases else ""
    kind = f"{method.kind[0].upper()}{method.kind[1:]}{f', {how}' if how else ''}"
    tolerated = f"growth of {TOLERANCE:g} a step is allowed where a limit says so"
    parts = [
        f"---\norphan: true\n---\n\n# {name}\n\n{kind}. Source: {method.source}.{alias}\n",
        USE.format(name=name),
        _region(name, method, drawn=facts.drawn),
        f"## Properties\n\nComputed from the coefficients; {tolerated}.\n\n{table(('property', 'value'), rows)}",
        _places(name, places),
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


def _places(name: str, places: dict[str, Any]) -> str:
    """Its place on five games, by the time of the flow that an evaluation covers at the largest stable step."""
    rows = []
    for what, ranking in places.items():
        if name in ranking.skipped:
            rows.append((what, "", "", ranking.skipped[name]))
        elif ranking[name].implicit and ranking[name].limit == float("inf"):
            rows.append((what, "unbounded", "", "accuracy decides, and what its solver costs"))
        else:
            rate, first = ranking[name].rate, ranking[0]
            place = f"{sum(r.rate > rate * (1 + 1e-6) for r in ranking) + 1} of {len(ranking)}"
            best = "it leads" if place.startswith("1 ") else f"`{first.name}` leads with {first.rate:.3g}"
            stable = rate > 0
            rows.append((what, f"{rate:.3g}" if stable else "none", place if stable else "", best))
    header = ("game, at its equilibrium", "time of the flow per evaluation, at the largest stable step", "place", "")
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
