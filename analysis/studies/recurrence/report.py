"""The report of `recurrence`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from analysis.common.claims import Claim
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part
from analysis.common.study import Findings
from analysis.studies.recurrence import orbits

if TYPE_CHECKING:
    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["write_report"]

METHODS = (
    "euler",
    "alternating",
    "forest_ruth",
    "forest_ruth_rk4",
    "rk4",
    "extragradient",
    "implicit_midpoint",
    "heun2",
)
SOURCE = "Bailey, Gidel, Piliouras 2020"

LIMITATIONS = (
    """Bilinear games and the Dirac-GAN without a penalty. Neither has damping of its own: with any, or with a penalty,
    nothing recurs, and with batches that change from step to step no orbit is that of one map.""",
    """The nearest return is that of a run of finite length: recurrence says that there is one, not when.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, the runs, the orders."""
    parts = [Part(f"kept-{s}", orbits.kept, {"seed": s}) for s in range(settings.games)]
    parts += [Part(f"threshold-{s}", orbits.threshold, {"seed": s}) for s in range(settings.games)]
    parts += [Part(f"orbit-{m}", orbits.orbit, {"method": m}) for m in METHODS]
    results = work.parts([*parts, Part("orders", orbits.orders, {})], settings)
    long = [r.figures for n, r in results.items() if n.startswith("kept")]
    about = [r.figures for n, r in results.items() if n.startswith("threshold")]
    rows = results["orders"].figures["rows"]
    dirac = {m: results[f"orbit-{m}"].figures for m in METHODS}
    body = [
        paragraph(f"""{settings.games} bilinear games of random coupling, {settings.d} parameters a player, the second
            player's rate {settings.ratio:g} times the first's, h = {settings.h:g}, {settings.steps:,} steps."""),
        work.figure("bounded", _long(settings, results), _long_caption(settings, results, long)),
        "<h2>The Dirac-GAN without a penalty</h2>",
        work.figure("orbits", _orbits(results), _orbits_caption(dirac)),
        table(
            ["method", "largest distance", "last", "nearest return", "determinant of a step at the start"],
            [[m, *(number(f[k]) for k in ("largest", "last", "return", "determinant"))] for m, f in dirac.items()],
        ),
        "<h2>Higher order in turns</h2>",
        table(
            ["method", "order of the orbit", "order of |y|^2", "limit on a rotation"],
            [[r["method"], f"{r['slope']:.2f}", f"{r['energy']:.2f}", number(r["limit"])] for r in rows],
        ),
    ]
    data = {"long": long, "threshold": about, "orders": rows, "dirac": dirac}
    return Findings(
        "Recurrence of alternating play", _claims(settings, long, about, rows, dirac), body, data, LIMITATIONS
    )


def _long_caption(settings: Any, results: dict[str, Result], long: Any) -> str:
    spread = max(
        float(x.max() / x.min()) for x in (results[f"kept-{i}"].arrays["norms"] for i in range(settings.games))
    )
    return f"""Left: distance from the equilibrium along runs in turns, one line a game; the largest is at most
        {spread:.3g} times the least of its line. Right: the absolute regret of the first player beside a fixed point,
        over its bound; at most {max(f["regret"] / f["bound"] for f in long):.3g}."""


def _orbits_caption(dirac: dict[str, Any]) -> str:
    distances = ", ".join(f"{m} {number(f['largest'])} and {number(f['last'])}" for m, f in dirac.items())
    return f"""Points of runs of the Dirac-GAN (logistic loss, no penalty) from (1, 0), dark to bright, each method at
        the same h; the exact orbit is a circle. Largest and last distance: {distances}. Here players have curvature of
        their own, so that a splitting whose moves are Euler's is another method than one with moves by rk4."""


def _claims(settings: Any, long: Any, about: Any, rows: Any, dirac: Any) -> list[Claim]:
    return [*_of_bilinear(settings, long, about), *_of_dirac(rows, dirac)]


def _of_bilinear(settings: Any, long: Any, about: Any) -> list[Claim]:
    def all_of(key: str, of: Any) -> float:
        return float(max(f[key] for f in of))

    exact: dict[str, Any] = {"exact": True, "source": SOURCE}
    inside = max(f["ends"]["0.99"] for f in about)
    outside = min(f["ends"]["1.01"] for f in about)
    growth = min((f["simultaneous"]) ** (1 / f["simultaneous_steps"]) for f in long)
    return [
        Claim(
            f"In {settings.steps:,} steps of play in turns the invariant is kept (largest relative change).",
            all_of("drift", long),
            at_most=1e-9,
            **exact,
        ),
        Claim(
            "A step of play in turns, of any order, keeps the volume (largest determinant less 1).",
            all_of("volume", about),
            at_most=1e-10,
            **exact,
        ),
        Claim(
            "It is bounded up to 2 / (sqrt(ratio) sigma_max): the limit from the blocks over that.",
            max(abs(f["predicted"] / f["theory"] - 1) for f in about),
            at_most=1e-6,
            **exact,
        ),
        Claim(
            "Runs at 0.99 of the limit stay (largest distance after 2,000 steps, from 1).",
            inside,
            at_most=50.0,
            **exact,
        ),
        Claim("Runs at 1.01 of it leave (least distance).", outside, at_least=1e6, **exact),
        Claim(
            "The regret stays below its bound, which does not depend on the number of steps (largest quotient).",
            max(f["regret"] / f["bound"] for f in long),
            at_most=1.0,
            **exact,
        ),
        Claim("Simultaneous play grows in every game (least growth of a step).", growth, at_least=1.0, **exact),
    ]


def _of_dirac(rows: Any, dirac: Any) -> list[Claim]:
    order = {r["method"]: r["slope"] for r in rows}
    return [
        Claim(
            "On the Dirac-GAN, which is not bilinear, a step of play in turns does not keep the volume "
            "(determinant, at the "
            "start).",
            dirac["alternating"]["determinant"],
            at_most=0.999,
            exact=True,
        ),
        Claim(
            "Even so it comes back to its start (nearest return over the distance of the start).",
            dirac["alternating"]["return"],
            at_most=0.05,
        ),
        Claim(
            "It stays in a band about the exact orbit (largest over least distance of all steps).",
            dirac["alternating"]["largest"] / dirac["alternating"]["least"],
            at_most=1.5,
        ),
        Claim(
            "There the fourth-order splitting with Euler's moves keeps the orbit (its largest distance).",
            dirac["forest_ruth"]["largest"],
            at_most=1.05,
        ),
        Claim(
            "With moves by rk4 it does (likewise).",
            dirac["forest_ruth_rk4"]["largest"],
            at_most=1.05,
        ),
        *(
            Claim(f"{m} follows the exact orbit to order {p}.", order[m], at_least=p - 0.25, exact=True)
            for m, p in orbits.SYMPLECTIC.items()
        ),
        Claim(
            "rk4 at the same step loses the orbit by damping (its distance at the end over that at the start).",
            dirac["rk4"]["last"],
            at_most=1.0,
        ),
    ]


def _long(settings: Any, results: dict[str, Result]) -> Figure:
    fig = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = fig.subplots(1, 2)
    for i in range(settings.games):
        r = results[f"kept-{i}"]
        at = np.linspace(0, settings.steps, len(r.arrays["norms"]))
        left.plot(at, r.arrays["norms"], lw=0.5, color=f"C{i % 10}")
        right.plot(
            at[: len(r.arrays["regret"])], np.abs(r.arrays["regret"]) / r.figures["bound"], lw=0.5, color=f"C{i % 10}"
        )
    left.set(xlabel="step", ylabel="distance from the equilibrium", ylim=(0, None))
    right.set(xlabel="step", ylabel="|regret| over its bound", ylim=(0, 1.05))
    return fig


def _orbits(results: dict[str, Result]) -> Figure:
    columns = 4
    rows = -(-len(METHODS) // columns)
    fig = Figure(figsize=(2.6 * columns, 2.7 * rows), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, m in zip(axes, METHODS, strict=False):
        P = results[f"orbit-{m}"].arrays["points"]
        ax.scatter(P[:, 0], P[:, 1], s=1.5, c=np.arange(len(P)), cmap="viridis")
        ax.set(title=m, xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="theta", ylabel="psi")
    for ax in axes[len(METHODS) :]:
        ax.set_axis_off()
    return fig
