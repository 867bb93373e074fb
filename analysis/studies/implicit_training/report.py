"""The report of `implicit_training`: a table, a figure, and what they show."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from analysis.common.claims import Claim
from analysis.common.digits import reference_distances
from analysis.common.page import number, paragraph, table
from analysis.common.study import Findings
from gamedyn.plot import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["write_report"]

MARKS = "os^vDPX*"

SUMS = ("evaluations", "products", "newton_iterations", "krylov_products", "linear_unsolved", "work")

CAPTION = """Frechet distance after the run against its work (evaluations, products at their measured cost). Filled: the
    method; hollow, joined to it: rk4 from the same start given the same work. The crosses at the left are rk4 after
    as many steps. Dashed: the constant mean image, above which a run has failed; dotted: real half against real
    half."""

LIMITATIONS = (
    """One game, one step size, one weight of the penalty, few seeds and early training: after so many steps no run is
    near the floor, and equal work compares a short time of the flow with a longer one. It does not say which
    method ends best.""",
    """The step is one at which rk4 works. At longer ones Newton's method, which starts from slopes of zero and takes
    full steps, fails more often (second table): what is seen there is the solver and not the method's stability.""",
    """Mini-batches: each step solves the frozen batch's equations. The order of a method is void against the full-batch
    flow, so that what is seen is stability and cost, no accuracy.""",
    """The weight of a product is measured on this machine with these networks. The graph that products share is counted
    as one evaluation; its measured cost is given above.""",
    """The solver's tolerance is a choice; no other was tried.""",
)


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, a figure and tables."""
    rows = [r.figures for name, r in results.items() if name.startswith("train-")]
    hard = [r.figures for name, r in results.items() if name.startswith("hard-")]
    references = reference_distances()
    cost = {k: sum(r["cost"][k] for r in rows) / len(rows) for k in ("evaluation", "product", "graph")}
    body = [
        paragraph(f"""The digits GAN of the study solver_limits (1,797 images, 6,881 parameters, float32, non-saturating
            loss, squared-gradient penalty {settings.penalties[-1]:g}, batches of {settings.batch}) is trained for
            {settings.steps} steps of h = {settings.h:g} from {settings.seeds} starts. Nonlinear and linear equations
            are solved to a relative tolerance of {settings.rtol:g}. A step whose equations are not solved is rejected
            and counted, and the next batch tried. rk4 then gets the same work at the same h, so more steps."""),
        paragraph(f"""An evaluation takes {1e3 * cost["evaluation"]:.2f} ms; a product costs {cost["product"]:.2f}, the
            graph that products share {cost["graph"]:.2f} evaluations."""),
        *(paragraph(text) for text in _claims(settings, rows, references)),
        "<h2>Statuses, work and distance</h2>",
        _table(settings, rows),
        work.figure("distance", _draw(settings, rows, references), CAPTION),
        *_hard(settings, hard),
    ]
    summary = {"references": references, "cost": cost, "runs": rows, "hard": hard}
    title = "Implicit methods training a GAN on real images"
    return Findings(title, _decided(settings, rows), body, summary, LIMITATIONS)


def _decided(settings: Any, rows: list[dict[str, Any]]) -> list[Claim]:
    implicit = [r for r in rows if r["method"] != settings.reference]
    counts = _statuses(implicit)
    claims = [
        Claim(
            f"Share of the implicit steps at h = {settings.h:g} whose equations are solved.",
            counts.get("ok", 0) / max(sum(counts.values()), 1),
            at_least=0.99,
        )
    ]
    for m in settings.methods:
        pairs = [(r["distance"], r["reference"]["distance"]) for r in _of(rows, m) if "reference" in r]
        if pairs:
            share = [a / b if a is not None and b else math.nan for a, b in pairs]
            text = f"At equal work {m} ends at a smaller distance than rk4 (quotient; interval: the starts' range)."
            claims.append(Claim(text, sum(share) / len(share), min(share), max(share), at_most=1.0, timed=True))
    return claims


def _hard(settings: Any, rows: list[dict[str, Any]]) -> list[str]:
    """What happens at the longer step."""
    if not rows:
        return []
    cells = [
        [
            r["method"],
            ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in r["statuses"].items()),
            *(number(r[k], 5) for k in SUMS),
            number(r["distance"], 4),
        ]
        for r in rows
    ]
    heads = ["method", "statuses", "evaluations", "products", "Newton", "Krylov", "unsolved", "work", "distance"]
    return [f"<h2>The same at h = {settings.hard_h:g}, from one start</h2>", table(heads, cells)]


def _of(rows: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [r for r in rows if r["method"] == method]


def _statuses(rows: list[dict[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for r in rows:
        total.update(r["statuses"])
    return dict(total)


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if len(known) == len(values) and known else None


def _claims(settings: Any, rows: list[dict[str, Any]], references: dict[str, float]) -> list[str]:
    implicit = [r for r in rows if r["method"] != settings.reference]
    counts = _statuses(implicit)
    failed = {k: v for k, v in counts.items() if k != "ok"}
    shown = ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in failed.items()) or "none"
    own = {m: _mean([r["distance"] for r in _of(rows, m)]) for m in settings.methods}
    steps = ", ".join(f"{m} {number(own[m], 3) or 'not finite'}" for m in sorted(own, key=lambda m: own[m] or 1e9))
    behind = [m for m in settings.methods if m != settings.reference and _behind(_of(rows, m))]
    ahead = [m for m in settings.methods if m not in (*behind, settings.reference)]
    return [
        f"""Of {sum(counts.values())} implicit steps {counts.get("ok", 0)} were solved; failed: {shown}. The
            constant mean image has distance {references["mean_image"]:.1f}, real half against real half
            {references["floor"]:.2f}.""",
        f"""Mean distances after {settings.steps} steps, which is equal time of the flow: {steps}.""",
        f"""At equal work rk4 is closer to the data than {", ".join(behind) or "none"}, and farther from it than
            {", ".join(ahead) or "none"}.""",
    ]


def _behind(rows: list[dict[str, Any]]) -> bool:
    own = _mean([r["distance"] for r in rows])
    other = _mean([r["reference"]["distance"] for r in rows])
    return own is None or (other is not None and other < own)


def _table(settings: Any, rows: list[dict[str, Any]]) -> str:
    heads = ["method", "statuses, all starts", "evaluations", "products", "Newton", "Krylov", "unsolved", "work"]
    heads += ["seconds", "distance", "rk4: steps", "rk4: seconds", "rk4: distance"]
    cells = []
    for m in settings.methods:
        mine = _of(rows, m)
        ended = ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in _statuses(mine).items())
        row = [m, ended, *(number(sum(r[k] for r in mine) / len(mine), 5) for k in SUMS)]
        row += [number(sum(r["seconds"] for r in mine) / len(mine), 3), _shown([r["distance"] for r in mine])]
        other = [r["reference"] for r in mine if "reference" in r]
        if other:
            row += [number(sum(o["steps"] for o in other) / len(other), 5)]
            row += [number(sum(o["seconds"] for o in other) / len(other), 3), _shown([o["distance"] for o in other])]
        cells.append(row + [""] * (len(heads) - len(row)))
    return "<p>Work and seconds: means over the starts. Distance: mean (range).</p>" + table(heads, cells)


def _shown(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        return f"{len(values) - len(known)} of {len(values)} not finite"
    return f"{sum(known) / len(known):.2f} ({min(known):.2f} to {max(known):.2f})"


def _draw(settings: Any, rows: list[dict[str, Any]], references: dict[str, float]) -> Figure:
    fig, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    for i, m in enumerate(settings.methods):
        for j, r in enumerate(_of(rows, m)):
            if r["distance"] is None:
                continue
            style = {"marker": MARKS[i], "color": COLOURS[i], "ms": 7}
            ax.plot(r["work"], r["distance"], ls="", label=None if j else m, **style)  # type: ignore[arg-type]
            other = r.get("reference")
            if other and other["distance"] is not None:
                ax.plot([r["work"]] * 2, [r["distance"], other["distance"]], color=COLOURS[i], lw=0.8, alpha=0.6)
                ax.plot(r["work"], other["distance"], mfc="white", ls="", **style)  # type: ignore[arg-type]
    ax.axhline(references["mean_image"], color="0.3", ls="--", lw=1)
    ax.axhline(references["floor"], color="0.3", ls=":", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="work, in evaluations", ylabel="Frechet distance on pixels")
    ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.legend(fontsize=8)
    return fig
