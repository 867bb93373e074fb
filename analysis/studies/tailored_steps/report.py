"""The report of `tailored_steps`: step per evaluation against stages, the regions, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from analysis.common.claims import Claim
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

CAPTIONS = {
    "steps": """The largest stable step over the evaluations it costs. Lines: methods made for the spectrum,
        predicted; crosses on them: measured on the real step. Grey: members. A panel for each
        loss.""",
    "regions": """Where the method with the largest step per evaluation (order 1) is stable, and the spectrum at its
        limit: look where the region reaches around the eigenvalues, and what it leaves out.""",
}

LIMITATIONS = (
    """A method made for a spectrum is proved for that spectrum alone. The column "moved by 1 %" is the growth of a
        step of this size when an eigenvalue is off by one per cent: above 1 the step must be smaller while the
        spectrum moves.""",
    """All methods here are of order 2 at most on nonlinear games. What they buy is stability; nothing here says that
        training is helped by it.""",
    """The equilibrium is that of a full-batch flow of an affine generator and a quadratic discriminator.""",
)


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, two figures and a table."""
    rows = [r.figures for r in results.values()]
    pictures = {"steps": _draw_steps(settings, rows), "regions": _draw_regions(settings, results)}
    body = [
        paragraph(f"""At the equilibrium of the affine-quadratic GAN on 1,797 digit images (q = {settings.q}, weight
            decay {settings.decay:g} of the discriminator) explicit methods are made whose stability polynomial
            has the largest stable step on the GAN's eigenvalues, and measured as every member is: by the spectral
            radius of the real step's tangent. Sign convention: {SIGN_CONVENTION}."""),
        *(paragraph(prose(text)) for text in _claims(settings, rows)),
        *(work.figure(name, drawn, CAPTIONS[name]) for name, drawn in pictures.items()),
        "<h2>All methods</h2>",
        _table(rows),
    ]
    claims = [
        Claim(
            "Every predicted limit is the measured one: the largest relative difference.",
            max(abs((r["measured"] or 0) / r["predicted"] - 1) for r in rows if r["predicted"]),
            at_most=1e-3,
            exact=True,
        ),
        *(
            Claim(
                f"{loss}: the best tailored method has a larger step per evaluation than the best member (quotient).",
                max(r["per_evaluation"] for r in made) / max(r["per_evaluation"] for r in known.values()),
                at_least=1.0,
            )
            for loss in settings.losses
            for made, known in [_of(rows, loss)]
        ),
    ]
    return Findings("Methods made for the spectrum of a GAN", claims, body, rows, LIMITATIONS)


def _of(rows: list[dict[str, Any]], loss: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The made ones, and the members by name, of one GAN."""
    mine = [r for r in rows if r["loss"] == loss]
    return [r for r in mine if "form" in r], {r["label"]: r for r in mine if "form" not in r}


def _claims(settings: Any, rows: list[dict[str, Any]]) -> list[str]:
    out = []
    for loss in settings.losses:
        made, known = _of(rows, loss)
        best = max(made, key=lambda r: r["per_evaluation"])
        nested = max((r for n, r in known.items() if n.startswith("kg")), key=lambda r: r["per_evaluation"])
        rest = max(known.values(), key=lambda r: r["per_evaluation"])
        out.append(f"""{loss}: {best["label"]} has the largest step per evaluation, {best["per_evaluation"]:.4g}: that
            is {best["per_evaluation"] / known["rk4"]["per_evaluation"]:.3g} times rk4's,
            {best["per_evaluation"] / nested["per_evaluation"]:.3g} times that of the best nested member
            ({nested["label"]}) and {best["per_evaluation"] / rest["per_evaluation"]:.3g} times that of the best
            member beside it ({rest["label"]}).""")
    worst = max(rows, key=lambda r: abs((r["measured"] or 0) / r["predicted"] - 1) if r["predicted"] else 0.0)
    out.append(f"""Of all {len(rows)} the ratio of measured to predicted step farthest from 1 is
        {worst["measured"] / worst["predicted"]:.6f} ({worst["label"]}, {worst["loss"]}).""")
    return out


def _table(rows: list[dict[str, Any]]) -> str:
    heads = [
        "method",
        "loss",
        "evaluations",
        "predicted h",
        "measured h",
        "h per evaluation",
        "moved by 1 %",
        "stage errors",
    ]
    return table(
        heads,
        [
            [
                r["label"],
                r["loss"],
                str(r["stages"]),
                number(r["predicted"], 6),
                number(r["measured"], 6),
                number(r["per_evaluation"], 5),
                number(r.get("perturbed"), 4),
                number(r.get("internal"), 3),
            ]
            for r in sorted(rows, key=lambda r: (r["loss"], -r["per_evaluation"]))
        ],
    )


def _draw_steps(settings: Any, rows: list[dict[str, Any]]) -> Figure:
    fig, axes = plt.subplots(
        1, len(settings.losses), figsize=(5.4 * len(settings.losses), 3.9), layout="constrained", squeeze=False
    )
    for ax, loss in zip(axes[0], settings.losses, strict=True):
        made, known = _of(rows, loss)
        for i, order in enumerate(settings.orders):
            mine = sorted((r for r in made if r["order"] == order), key=lambda r: r["stages"])
            stages = [r["stages"] for r in mine]
            ax.plot(
                stages,
                [r["per_evaluation"] for r in mine],
                "-o",
                ms=4,
                color=COLOURS[i],
                label=f"tailored, order {order}",
            )
            ax.plot(stages, [(r["measured"] or np.nan) / r["stages"] for r in mine], "kx", ms=7, mew=1)
        _members(ax, known)
        ax.plot([], [], "kx", ms=7, mew=1, label="measured")
        ax.margins(x=0.12)
        ax.set(xlabel="evaluations a step", ylabel="largest stable h per evaluation", title=loss, ylim=(0, None))
        ax.legend(fontsize=8)
    return fig


def _members(ax: Axes, known: dict[str, dict[str, Any]]) -> None:
    for name, r in known.items():
        ax.plot(r["stages"], r["per_evaluation"], "s", ms=4, color="0.45")
        ax.plot(r["stages"], (r["measured"] or np.nan) / r["stages"], "kx", ms=7, mew=1)
        ax.annotate(name, (r["stages"], r["per_evaluation"]), xytext=(4, -9), textcoords="offset points", fontsize=7)


def _draw_regions(settings: Any, results: dict[str, Result]) -> Figure:
    fig, axes = plt.subplots(
        1, len(settings.losses), figsize=(5.4 * len(settings.losses), 3.9), layout="constrained", squeeze=False
    )
    for ax, loss in zip(axes[0], settings.losses, strict=True):
        made = [
            r
            for r in results.values()
            if r.figures["loss"] == loss and r.figures.get("order") == 1 and "form" in r.figures
        ]
        best = max(made, key=lambda r: r.figures["per_evaluation"])
        points = best.figures["predicted"] * best.arrays["eigenvalues"]
        left, top = 1.15 * points.real.min(), 1.25 * max(np.abs(points.imag).max(), 0.2 * abs(points.real.min()))
        x, y = np.linspace(left, -0.15 * left, 601), np.linspace(-top, top, 601)
        growth = np.abs(np.polynomial.polynomial.polyval(x + 1j * y[:, None], best.arrays["polynomial"]))
        ax.contourf(x, y, growth, levels=[0, 1], colors=[COLOURS[0]], alpha=0.15)
        ax.contour(x, y, growth, levels=[1], colors=[COLOURS[0]], linewidths=1.2)
        ax.plot(points.real, points.imag, "o", ms=3, color="k", alpha=0.6)
        ax.axhline(0, color="0.8", lw=0.6, zorder=0)
        ax.axvline(0, color="0.8", lw=0.6, zorder=0)
        title = f"{loss}: {best.figures['label']}, h = {best.figures['predicted']:.4g}"
        ax.set(xlabel="Re h\N{GREEK SMALL LETTER LAMDA}", ylabel="Im h\N{GREEK SMALL LETTER LAMDA}")
        ax.set_title(title, fontsize=9)
    return fig
