"""The report of `cycles`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from analysis.common.claims import Claim
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part
from analysis.common.study import Findings
from analysis.studies.cycles import games

if TYPE_CHECKING:
    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["write_report"]

LIMITATIONS = (
    """Two games of one parameter a player. That large games have such cycles is not shown; where one is suspected,
    `gamedyn.spectrum.find_limit_cycle` finds it and its multipliers.""",
    """The predicted step is first order in h and averages over a turn: both want h times the rotation to be small.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, the two games, and the steps that leave the cycle."""
    parts = [Part("verdicts", games.verdicts, {}), Part("letcher", games.letcher, {})]
    parts += [Part("nested", games.nested_cycles, {}), Part("ends", games.ends, {})]
    results = work.parts(
        [*parts, *(Part(f"saved-{m}", games.saved, {"method": m}) for m in settings.methods)], settings
    )
    told = results["verdicts"].figures["rows"]
    nested, letcher = results["nested"].figures, results["letcher"].figures
    saved = {m: results[f"saved-{m}"].figures for m in settings.methods}
    predicted = {m: games.predicted_step(settings, m) for m in settings.methods}
    body = [
        paragraph(f"""Letcher's game has one stationary point, which is unstable and the worst for both; the game of
            the figure
            has one too, a strict Nash equilibrium and stable (damping {settings.damping:g}, rotation
            {settings.turning:g}), but
            around it, at radii near {settings.inner:g} and {settings.outer:g}, an unstable and a stable cycle."""),
        table(
            ["game", "largest real part", "imaginary part", "stable", "Nash"],
            [[k, number(r["abscissa"]), number(r["imaginary"]), r["stable"], r["nash"]] for k, r in told.items()],
        ),
        work.figure("nested", _draw(settings, results), NESTED),
        table(
            ["cycle", "least radius", "largest", "period", "Floquet multiplier"],
            [
                [n, *(number(c[k]) for k in ("least", "largest", "period", "multiplier"))]
                for n, c in {
                    "Letcher's, near start": letcher["near"],
                    "Letcher's, far start": letcher["far"],
                    **nested,
                }.items()
                if isinstance(c, dict)
            ],
        ),
        "<h2>Steps that leave the stable cycle for the equilibrium</h2>",
        paragraph("""The step of an optimistic, extragradient or implicit Euler step adds damping h w^2 / 2 to the
            rotation. Where
            it makes up what the game lacks the two cycles meet and vanish, and every run ends at the equilibrium: the
            method's error does what no eigenvalue at the equilibrium tells."""),
        table(
            ["method", "stable at the equilibrium up to", "predicted step", "measured step"],
            [[m, number(f["limit"]), number(predicted[m]), number(f["measured"])] for m, f in saved.items()],
        ),
    ]
    data = {"verdicts": told, "nested": nested, "letcher": letcher, "saved": saved}
    return Findings(
        "Cycles that local eigenvalues miss", _claims(settings, results, predicted), body, data, LIMITATIONS
    )


NESTED = """Starts in a disc, by where the flow takes them: blue to the equilibrium in the middle, orange to the
    outer cycle. The
    eigenvalues at the equilibrium know nothing of the border between them, the dashed unstable cycle."""


def _claims(settings: Any, results: dict[str, Result], predicted: dict[str, float]) -> list[Claim]:
    return [
        *_of_letcher(results),
        *_of_nested(settings, results),
        *(_of_method(m, h, results[f"saved-{m}"].figures) for m, h in predicted.items()),
    ]


def _of_letcher(results: dict[str, Result]) -> list[Claim]:
    told = results["verdicts"].figures["rows"]
    near, far = (results["letcher"].figures[k] for k in ("near", "far"))
    letchers: dict[str, Any] = {"exact": True, "source": "Letcher 2021"}
    return [
        Claim(
            "Letcher's game: its only stationary point is unstable (largest real part).",
            told["letcher"]["abscissa"],
            at_least=1e-6,
            **letchers,
        ),
        Claim(
            "Two starts of it come to one cycle (difference of their periods).",
            abs(near["period"] - far["period"]),
            at_most=1e-6,
            **letchers,
        ),
        Claim(
            "Its radius stays within 1.0695 and 1.2483 (largest distance of the two ends from these).",
            max(abs(near["least"] - 1.06954), abs(near["largest"] - 1.24832)),
            at_most=2e-3,
            **letchers,
        ),
        Claim("The cycle is stable (Floquet multiplier).", near["multiplier"], at_most=1.0, **letchers),
    ]


def _of_nested(settings: Any, results: dict[str, Result]) -> list[Claim]:
    told = results["verdicts"].figures["rows"]
    nested, share = results["nested"].figures, results["ends"].figures["share"]
    expected = 1 - (settings.inner / settings.disc) ** 2
    spread = 1.96 * math.sqrt(max(share * (1 - share), 1e-4) / settings.starts)
    return [
        Claim(
            "The nested game: the eigenvalues at its only stationary point say stable (largest real part).",
            told["nested"]["abscissa"],
            at_most=-1e-6,
            exact=True,
        ),
        Claim(
            "It is a Nash equilibrium (1: the verdict says yes).",
            float(told["nested"]["nash"] == "yes"),
            at_least=1.0,
            exact=True,
        ),
        Claim(
            "Around it is a stable cycle (Floquet multiplier).", nested["outer"]["multiplier"], at_most=1.0, exact=True
        ),
        Claim(
            "Both cycles are where averaging says (largest relative difference of the mean radii).",
            max(abs(nested[n]["mean"] / getattr(settings, n) - 1) for n in ("inner", "outer")),
            at_most=0.02,
            exact=True,
        ),
        Claim(
            f"Of starts in a disc of radius {settings.disc:g} those outside the inner cycle never reach the "
            "equilibrium (their "
            "share, less the disc's share of the area).",
            share - expected,
            share - expected - spread,
            share - expected + spread,
            at_least=-0.15,
            at_most=0.15,
        ),
    ]


def _of_method(method: str, h: float, found: Any) -> Claim:
    if math.isfinite(h):
        text = f"{method} leaves the cycle for the equilibrium from the predicted step on (measured over predicted)."
        return Claim(text, found["measured"] / h, at_least=0.85, at_most=1.15)
    text = f"{method} does not leave the cycle at any stable step that was tried (of {len(found['tried'])})."
    return Claim(text, sum(bool(home) for _, home in found["tried"]), at_most=0)


def _draw(settings: Any, results: dict[str, Result]) -> Figure:
    fig = Figure(figsize=(5.0, 5.0), layout="constrained")
    ax = fig.subplots()
    starts, last = (results["ends"].arrays[k] for k in ("starts", "ends"))
    lost = last > 0.5 * settings.inner
    ax.plot(*starts[~lost].T, "o", color="C0", ms=3, label="to the equilibrium")
    ax.plot(*starts[lost].T, "o", color="C1", ms=3, label="to the outer cycle")
    for name, style in (("outer", "-"), ("inner", "--")):
        orbit = results["nested"].arrays[name]
        ax.plot(*np.concatenate([orbit, orbit[:1]]).T, style, color="black", lw=1.2, label=f"{name} cycle")
    ax.plot(0, 0, "k+", ms=10)
    ax.set(xlabel="x", ylabel="y", aspect="equal")
    ax.legend(fontsize=7, loc="upper right")
    return fig
