"""The report of `verdicts`: every declared point beside its answers, and the trained GANs in full."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from analysis.common.claims import Claim
from analysis.common.page import paragraph, table
from analysis.common.study import Findings
from gamedyn.core import SIGN_CONVENTION

if TYPE_CHECKING:
    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["agreement", "write_report"]


def write_report(settings: Any, results: dict[str, Result], _: Workplace) -> Findings:
    """The claims and a table of all points."""
    rows = [row for r in results.values() if r.figures["kind"] == "declared" for row in r.figures["rows"]]
    gans = [r.figures for r in results.values() if r.figures["kind"] == "trained"]
    counts = agreement(rows)
    body = [
        paragraph(f"""{counts["points"]} stationary points of games whose classes are declared: {counts["declared"]}
            answers. With the Jacobian formed {counts["formed"]} agree; from products alone {counts["not formed"]}
            agree, {counts["undecided"]} are undecided and {counts["contradicted"]} contradict. Sign convention:
            {SIGN_CONVENTION}."""),
        "<h2>Trained GANs, from products</h2>",
        paragraph(f"""After {settings.steps} steps of Euler's method on the full batch. A point of training is not
            stationary, so no answer can be yes; a no is certified by residuals and bounds."""),
        *(f"<h3>{escape(g['name'])}</h3><pre>{escape(g['text'])}</pre>" for g in gans),
        "<h2>Declared points</h2>",
        _table(rows),
    ]
    claims = [
        Claim(
            "Declared answers that the formed Jacobian does not give.",
            counts["declared"] - counts["formed"],
            at_most=0,
            exact=True,
        ),
        Claim("Answers from products alone that contradict.", counts["contradicted"], at_most=0, exact=True),
        Claim(
            "Share of the declared answers that products alone give.",
            counts["not formed"] / max(counts["declared"], 1),
            at_least=0.9,
        ),
    ]
    return Findings("What kind of point is it?", claims, body, {**counts, "rows": rows, "trained": gans})


def agreement(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many declared answers are given."""
    pairs = [(r, q, told) for r in rows for q, told in r["declared"].items() if told is not None]
    searched = [(told, r["not formed"][q]) for r, q, told in pairs]
    return {
        "points": len(rows),
        "declared": len(pairs),
        "formed": sum(r["formed"][q] == told for r, q, told in pairs),
        "not formed": sum(a == b for a, b in searched),
        "undecided": sum(a != b == "undecided" for a, b in searched),
        "contradicted": sum(b not in (a, "undecided") for a, b in searched),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    head = ["game", "point", "stability", "nash", "stackelberg", "why (stability)"]
    cells = []
    for r in rows:
        leaders = [f"{q.split(', ')[1]}: {a}" for q, a in r["formed"].items() if q.startswith("stackelberg")]
        answers = [r["formed"]["stability"], r["formed"]["nash"], ", ".join(leaders)]
        cells.append([r["game"], r["point"], *answers, r["reason"]])
    return table(head, cells)
