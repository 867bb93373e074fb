"""The report of `method_limits`: a table of all members, two figures, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from analysis.common.claims import Claim
from analysis.common.kinds import KINDS, kind
from analysis.common.page import number, paragraph, prose, table
from analysis.common.study import Findings
from gamedyn.core import SIGN_CONVENTION
from gamedyn.plot import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["write_report"]

FLOOR = 1e-12
"""Differences below it are drawn there: rounding."""

MARKS = {"nonsaturating": ("o", COLOURS[0]), "wasserstein": ("^", COLOURS[1])}

CAPTIONS = {
    "limits": """The end of the first interval of stable steps: predicted (bar) and measured on the real step (mark).
        Members without an entry at a loss have no finite limit there: see the second table. Blue circles:
        non-saturating loss. Orange triangles: Wasserstein.""",
    "ratio": """|measured / predicted - 1|. Dashed: 2 per cent. Dotted: the root finder's tolerance, 1e-4 of a bracket's
        upper end; differences below 1e-12 are drawn at 1e-12.""",
}

LIMITATIONS = (
    """The limits are local: they hold for small perturbations of the equilibrium of a full-batch flow, of a generator
    that is affine and a discriminator that is quadratic in 8 (or 4) principal components. Nothing here says what a
    network in training does.""",
    """Members with one stability function, such as all of order 3 with three stages, share one prediction. They are
    measured apart, to check each stepper, but they are not independent evidence for the theory.""",
    """Prediction and measurement share the linearisation of the game and the coefficients. A wrong coefficient that
    keeps the order conditions would be found by neither; the figures of the literature are in the tests.""",
    """Where the prediction is that every step is stable, a few large steps are looked at, no more. Krylov solvers
    reach their limits there before stability does: the table says how a real step ended.""",
    """Doubling from a small step finds the first end. An unstable band that lies between two of its steps would be
    missed by it; the further ends of each predicted set are looked at from both sides, one per cent away.""",
)


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, two figures and tables."""
    rows = [r.figures for name, r in results.items() if name.startswith("limit-")]
    strong = [r.figures for name, r in results.items() if name.startswith("strong-")]
    rows.sort(key=lambda r: (KINDS.index(kind(r["method"])), r["method"]))
    pictures = {"limits": _draw(settings, rows, _limit_marks), "ratio": _draw(settings, rows, _ratio_marks)}
    body = [
        paragraph(f"""At the equilibrium of the affine-quadratic GAN on 1,797 digit images (q = {settings.q} principal
            components; weight decay {settings.decay:g} of the discriminator as a term of its own) the set of stable
            steps of every member is predicted from the Jacobian's eigenvalues, from its players' blocks, or from its
            parts, as the method needs. The measurement is the spectral radius of the tangent of the real step,
            doubling from h = 0.05 (or 0.001, or 0.00001) and a root finder; no prediction enters."""),
        paragraph(f"""Members whose step uses the Jacobian itself have a tangent by central differences of the step,
            every column two steps with their linear solves: they are measured at q = {settings.q_differenced}. Sign
            convention: {SIGN_CONVENTION}."""),
        *(paragraph(p) for p in _claims(settings, rows + strong)),
        *(work.figure(name, drawn, CAPTIONS[name]) for name, drawn in pictures.items()),
        "<h2>Finite limits</h2>",
        _finite_table([r for r in rows if r["kind"] == "finite"]),
        f"<h3>The penalty's placement with a weight decay of {settings.strong_decay:g}</h3>",
        _finite_table([r for r in strong if r["kind"] == "finite"]),
        "<h2>Every step stable, or none</h2>",
        _other_table([r for r in rows + strong if r["kind"] != "finite"]),
    ]
    known = [r for r in rows + strong if r["kind"] == "finite"]
    claims = [
        Claim(
            f"""Members whose measured limit is not the predicted one within {100 * settings.tolerance:g} %, or whose
            step is not stable where all or none should be (of {len(rows + strong)}).""",
            sum(not r["agrees"] for r in rows + strong),
            at_most=0,
            exact=True,
        ),
        Claim(
            "Largest relative difference of measured and predicted limit where the tangent is exact.",
            max((abs((r["ratio"] or 0) - 1) for r in known if not r["differenced"]), default=0.0),
            at_most=2e-4,
            exact=True,
        ),
    ]
    title = "The largest stable step of every member: predicted, then measured"
    return Findings(title, claims, body, {"limits": rows, "strong": strong}, LIMITATIONS)


def _claims(settings: Any, rows: list[dict[str, Any]]) -> list[str]:
    known = [r for r in rows if r["kind"] == "finite"]
    missed = [f"{r['method']} ({r['loss']})" for r in rows if not r["agrees"]]
    out = []
    if known:
        worst = max(known, key=lambda r: abs((r["ratio"] or 0) - 1))
        exact = [r for r in known if not r["differenced"]]
        within = max((abs((r["ratio"] or 0) - 1) for r in exact), default=float("nan"))
        distinct = len({(r["loss"], r["decay"], r["parameters"], round(r["predicted"], 9)) for r in known})
        out.append(f"""{len(known)} finite limits ({distinct} distinct) of {len({r["method"] for r in known})} members.
            The ratio of measured to predicted farthest from 1 is {worst["ratio"]:.7f} ({worst["method"]},
            {worst["loss"]}); of those with an exact tangent none is off by more than {within:.1e}.""")
    steady = [r for r in rows if r["kind"] == "infinite"]
    if steady:
        looked = [(r, h) for r in steady for h in r["radii"]]
        solved = [(r, h) for r, h in looked if r["statuses"][h].startswith("done")]
        gap = max((abs(r["radii"][h] - r["predicted_radii"][h]) for r, h in solved), default=float("nan"))
        failed = [f"{r['method']} ({r['loss']}, h = {h})" for r, h in looked if (r, h) not in solved]
        out.append(f"""{len(steady)} sets have no end: at h = {", ".join(f"{h:g}" for h in settings.large)} the real
            step's radius is below 1 in {sum(all(x < 1 for x in r["radii"].values()) for r in steady)} of them; where
            its equations are solved it differs from the predicted radius by at most {gap:.1e}. Not solved within the
            solver's default bounds, so that the radius is not the method's: {", ".join(failed) or "none"}.""")
    never = [r for r in rows if r["kind"] == "none"]
    if never:
        names = ", ".join(sorted({r["method"] for r in never}))
        out.append(f"No step is stable for {names}, and none of those looked at was.")
    further = [e for r in rows for e in r["further"]]
    if further:
        out.append(f"""{len(further)} further ends of step sets (unstable bands of higher BDF and others):
            {sum(e["agrees"] for e in further)} separate stable from unstable, seen one per cent to either side.""")
    share = 100 * settings.tolerance
    out.append(f"Off by more than {share:g} per cent, or on the wrong side of 1: {', '.join(missed) or 'none'}.")
    return [prose(text) for text in out]


def _finite_table(rows: list[dict[str, Any]]) -> str:
    heads = [
        "member",
        "kind",
        "loss",
        "parameters",
        "predicted h",
        "measured h",
        "measured / predicted",
        "S",
        "tangent",
    ]
    cells = [
        [
            r["method"],
            kind(r["method"]),
            r["loss"],
            str(r["parameters"]),
            number(r["predicted"], 6),
            number(r["measured"], 6),
            "" if r["ratio"] is None else f"{r['ratio']:.7f}",
            number(r["sensitivity"], 3),
            "differences" if r["differenced"] else "exact",
        ]
        for r in rows
    ]
    return table(heads, cells)


def _other_table(rows: list[dict[str, Any]]) -> str:
    heads = ["member", "kind", "loss", "stable", "h", "radius", "predicted radius", "how a real step ended"]
    cells = []
    for r in rows:
        for h, radius in r["radii"].items():
            said = "every step" if r["kind"] == "infinite" else "none"
            of = [r["method"], kind(r["method"]), r["loss"], said, h]
            cells.append([*of, f"{radius:.7g}", f"{r['predicted_radii'][h]:.7g}", r["statuses"][h]])
    return table(heads, cells)


def _draw(settings: Any, rows: list[dict[str, Any]], marks: Any) -> Figure:
    """Members from top to bottom in two columns, grouped by kind."""
    names = list(dict.fromkeys(r["method"] for r in rows if r["kind"] == "finite"))
    half = -(-len(names) // 2)
    columns = [names[:half], names[half:]] if len(names) > 12 else [names]
    height = 1.4 + 0.19 * max(len(c) for c in columns)
    fig, axes = plt.subplots(1, len(columns), figsize=(6.2 * len(columns), height), layout="constrained", squeeze=False)
    for ax, shown in zip(axes[0], columns, strict=True):
        _lanes(ax, shown)
        marks(ax, shown, [r for r in rows if r["kind"] == "finite"])
    fig.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="outside upper center", ncols=2)
    low = min(ax.get_xlim()[0] for ax in axes[0])
    high = max(ax.get_xlim()[1] for ax in axes[0])
    for ax in axes[0]:
        ax.set_xlim(low, high)
    return fig


def _lanes(ax: Axes, names: list[str]) -> None:
    """A row for each member, with a pale band behind every other kind."""
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.tick_params(axis="x", labelsize=8)
    kinds = [kind(n) for n in names]
    for place, name in enumerate(dict.fromkeys(kinds)):
        first, last = kinds.index(name), len(kinds) - 1 - kinds[::-1].index(name)
        if place % 2:
            ax.axhspan(first - 0.5, last + 0.5, color="0.93", lw=0, zorder=0)
        ax.text(1.01, (first + last) / 2, name, transform=ax.get_yaxis_transform(), fontsize=7, va="center")


def _limit_marks(ax: Axes, names: list[str], rows: list[dict[str, Any]]) -> None:
    for loss, (mark, colour) in MARKS.items():
        mine = [r for r in rows if r["loss"] == loss and r["method"] in names and r["measured"]]
        at = np.array([names.index(r["method"]) for r in mine]) + (0.16 if loss == "wasserstein" else -0.16)
        if mine:
            ax.plot([r["predicted"] for r in mine], at, "|", color="k", ms=9, mew=1.2)
            ax.plot([r["measured"] for r in mine], at, mark, color=colour, ms=3.5, label=loss)
    ax.set_xlabel("largest stable step h")


def _ratio_marks(ax: Axes, names: list[str], rows: list[dict[str, Any]]) -> None:
    ax.axvline(0.02, color="0.3", ls="--", lw=1)
    ax.axvline(1e-4, color="0.3", ls=":", lw=1)
    for loss, (mark, colour) in MARKS.items():
        mine = [r for r in rows if r["loss"] == loss and r["method"] in names and r["ratio"]]
        off = [max(abs(r["ratio"] - 1), FLOOR) for r in mine]
        ax.plot(off, [names.index(r["method"]) for r in mine], mark, color=colour, ms=4, label=loss)
    ax.set_xlabel("|measured / predicted - 1|")
