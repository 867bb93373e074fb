"""The report of `discretisation_drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.common.axes import plain_log
from analysis.common.claims import Claim, log_interval
from analysis.common.gans import CAP, quality
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part
from analysis.common.study import Findings
from analysis.studies.discretisation_drift import drift
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

LIMITATIONS = (
    """One small GAN with R1, tanh and 1,500 steps. The arm "cancelled" costs a product with the Jacobian a step besides
    its evaluation, "heun2" a second evaluation: the arms see equal images, not equal work.""",
    """A modified equation of two terms says what a step does where h times the Jacobian is small. Where training
    sits at
    the edge of stability, h |lambda| is about 2 and the series says nothing.""",
    """Batches differ from step to step: the drift of a batch's step is not the full batch's drift.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, slopes, limits and the digits."""
    parts = [Part(f"slopes-{r:g}", drift.slopes, {"ratio": r}) for r in settings.ratios]
    slopes = [row for r in work.parts(parts, settings).values() for row in r.figures["rows"]]
    limits = {(s, w): drift.penalised_limits(s, w) for s in settings.sigmas for w in settings.weights}
    toy = {e: drift.eps_limits(e) for e in (0.2, 0.09)}
    found = _digits(settings, work)
    ratios = _ratios(found)
    rows = [[r["method"], f"{r['ratio']:g}", r["against"], f"{r['slope']:.3f}"] for r in slopes]
    body = [
        "<h2>One step against the flow and its modified equation</h2>",
        work.figure("slopes", _slopes(settings, slopes), _slopes_caption(slopes)),
        table(["play", "ratio of rates", "against", "order"], rows),
        "<h2>What the penalty of ODE-GAN does to Euler's drift</h2>",
        paragraph("""On a mode of coupling sigma the penalty of weight w adds damping w sigma^2 and Euler's step adds
            growth h sigma^2 / 2: Euler's method is stable up to h = 2 w whatever sigma is (while w sigma < 1)."""),
        table(
            ["sigma", "weight", "euler", "heun2", "rk4"],
            [[f"{s:g}", f"{w:g}", *(number(v) for v in x.values())] for (s, w), x in limits.items()],
        ),
        table(
            ["eps", "euler", "alternating", "Euler's modified equation"],
            [[f"{e:g}", *(number(v) for v in x.values())] for e, x in toy.items()],
        ),
        "<h2>A digits GAN without the drift</h2>",
        work.figure("digits", _draw(found), DIGITS),
        table(
            ["arm over euler", "h", "quotient of distances", "95 % interval"],
            [[a, f"{t:g}", number(m), f"{lo:.3g} to {hi:.3g}"] for (a, t), (m, lo, hi) in ratios.items()],
        ),
    ]
    claims = [*_exact(settings, slopes, limits, toy), *_measured(settings, ratios)]
    data = {"slopes": slopes, "limits": [[*k, v] for k, v in limits.items()], "digits": found.to_dict("records")}
    return Findings("Discretisation drift", claims, body, data, LIMITATIONS)


DIGITS = """Frechet distance after the last step over h, mean and 95 % interval of the seeds. All arms see the same
    batches:
    where an arm without drift is not below euler, the drift does not hurt."""


def _slopes_caption(slopes: Any) -> str:
    orders: dict[tuple[str, float], list[float]] = {}
    for r in slopes:
        orders.setdefault((r["against"], r["ratio"]), []).append(r["slope"])
    said = ", ".join(
        f"{against} at ratio {ratio:g}: {min(x):.2f} to {max(x):.2f}" for (against, ratio), x in sorted(orders.items())
    )
    return f"""Error of one step over h, a panel for each ratio of rates: dotted against the flow, solid against the
        modified equation, dashed against one with the players' own rates in the interaction terms. Orders measured:
        {said}."""


def _digits(settings: Any, work: Workplace) -> pd.DataFrame:
    parts = []
    for name in drift.ARMS:
        for tau in settings.taus:
            grid = Grid(
                drift.arm,
                {"seed": range(settings.seeds)},
                name=name,
                tau=tau,
                h=tau,
                method=drift.method_of(name),
                steps=settings.steps,
            )
            parts.append(work.ablation(f"digits/{name}_{tau:g}", grid, {"quality": quality}))
    return pd.concat(parts, ignore_index=True)


def _ratios(found: pd.DataFrame) -> dict[tuple[str, float], tuple[float, float, float]]:
    """By arm and step the quotient of its distance and Euler's, by seed."""
    wide = found.pivot_table(index=["tau", "seed"], columns="name", values="quality.frechet", dropna=False)
    out = {}
    for name in drift.ARMS[1:]:
        for tau, mine in wide.groupby(level=0):
            held = mine.fillna(CAP).clip(upper=CAP)  # a run that failed is far, not absent
            out[name, float(tau)] = log_interval([*(held[name] / held["euler"])])
    return out


def _exact(settings: Any, slopes: Any, limits: Any, toy: Any) -> list[Claim]:
    of = {(r["method"], r["ratio"], r["against"]): r["slope"] for r in slopes}
    modified = [s for (_, _, against), s in of.items() if against == "modified"]
    plain = [s for (_, _, against), s in of.items() if against == "flow"]
    own = [s for (_, ratio, against), s in of.items() if against == "own rates" and ratio != 1]
    rule = max(abs(x["euler"] / (2 * w) - 1) for (s, w), x in limits.items() if w * s < 1)
    J = [
        np.array([[0, -s], [s, -settings.weights[0] * 2 * s**2]])
        for s in settings.sigmas
        if settings.weights[0] * s < 1
    ]
    radius = max(abs(max(abs(np.linalg.eigvals(np.eye(2) + 2 * settings.weights[0] * j))) - 1) for j in J)
    return [
        Claim("One step against the flow: least order.", min(plain), at_least=1.9, at_most=2.1, exact=True),
        Claim(
            "Against its modified equation: least order, both kinds of play, all ratios of rates.",
            min(modified),
            at_least=2.9,
            exact=True,
        ),
        Claim(
            "With own rates in the interaction terms, rates unequal: least order.",
            min(own),
            at_least=1.8,
            at_most=2.2,
            exact=True,
        ),
        Claim(
            "With the penalty of weight w, Euler's limit is 2 w (largest relative difference).",
            rule,
            at_most=1e-8,
            exact=True,
        ),
        Claim("At h = 2 w Euler's step is neutral (its spectral radius less 1).", radius, at_most=1e-12, exact=True),
        Claim(
            "At eps = 0.09 the limit of simultaneous play is below the step 0.2 of the toy.",
            toy[0.09]["euler"],
            at_most=0.2,
            exact=True,
            source="Rosca et al. 2021",
        ),
        Claim(
            "There alternating play is stable at 0.2 (its limit).",
            toy[0.09]["alternating"],
            at_least=0.2,
            exact=True,
            source="Rosca et al. 2021",
        ),
        Claim(
            "The modified equation of two terms predicts Euler's limit there (relative difference).",
            abs(toy[0.09]["modified"] / toy[0.09]["euler"] - 1),
            at_most=0.02,
            exact=True,
            source="Rosca et al. 2021",
        ),
    ]


def _measured(settings: Any, ratios: dict[tuple[str, float], tuple[float, float, float]]) -> list[Claim]:
    words = {
        "heun2": "without Euler's drift (heun2, two evaluations)",
        "cancelled": "without it by the explicit term",
        "cross": "without what players do to one another",
        "neutral": "with ODE-GAN's penalty of weight h / 2",
        "alternating": "with players in turn",
    }
    source = {"cross": "Rosca et al. 2021", "alternating": "Rosca et al. 2021", "neutral": "Qin et al. 2020"}
    return [
        Claim(
            f"On the digits at h = {tau:g}, {words[name]}, a GAN ends closer to the data than by Euler's steps "
            "(quotient of the distances).",
            *found,
            at_most=1.0,
            source=source.get(name, ""),
        )
        for (name, tau), found in ratios.items()
    ]


def _slopes(settings: Any, slopes: Any) -> Figure:
    fig = Figure(figsize=(4.2 * len(settings.ratios), 3.8), layout="constrained")
    axes = fig.subplots(1, len(settings.ratios), sharey=True, squeeze=False)[0]
    for ax, ratio in zip(axes, settings.ratios, strict=True):
        for i, r in enumerate(x for x in slopes if x["ratio"] == ratio):
            style = {"flow": ":", "modified": "-", "own rates": "--"}[r["against"]]
            colour = f"C{drift.METHODS.index(r['method'])}"
            ax.loglog(
                settings.hs, r["errors"], "os^vD*"[i] + style, color=colour, label=f"{r['method']}, {r['against']}"
            )
        ax.set(xlabel="h", title=f"rate of D over rate of G: {ratio:g}")
        ax.set_xticks(settings.hs, [f"{h:g}" for h in settings.hs])
        ax.xaxis.set_minor_locator(NullLocator())
    axes[0].set_ylabel("error of one step")
    axes[0].legend(fontsize=7)
    return fig


def _draw(found: pd.DataFrame) -> Figure:
    fig = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = fig.subplots()
    for i, name in enumerate(drift.ARMS):
        mine = found[found["name"] == name]
        taus = sorted(mine["tau"].unique())
        points = [log_interval([*mine[mine["tau"] == t]["quality.frechet"].dropna()]) for t in taus]
        at = np.array(taus) * (1 + 0.02 * (i - 2.5))
        middle = np.array([p[0] for p in points])
        ends = np.nan_to_num(np.abs([[p[0] - p[1], p[2] - p[0]] for p in points]).T, posinf=0)
        ax.errorbar(at, middle, ends, fmt="osv^D*"[i] + "-", color=f"C{i}", ms=4, capsize=2, label=name)
    ax.set(xscale="log", yscale="log", xlabel="h", ylabel="Frechet distance on pixels")
    ax.set_xticks(taus, [f"{t:g}" for t in taus])
    plain_log(ax)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(fontsize=7)
    return fig
