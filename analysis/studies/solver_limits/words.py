"""What the report says. Claims are worded from the numbers of the run; captions say only what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

import gamedyn as gd
from analysis.common.claims import Claim

__all__ = ["CAPTIONS", "LIMITATIONS", "QUESTION", "cell_values", "failing", "limits", "trained", "training"]


def prose(text: str) -> str:
    """Text with its line breaks taken out."""
    return " ".join(text.split())


QUESTION = prose("""
    Is GAN training helped by the accuracy of a higher-order method, by its absolute stability, or by the damping
    that a penalty adds to the flow? Eight methods train one GAN on 1,797 real 8x8 digit images at equal field
    evaluations and equal integrated time; at stationary points the largest stable step of each is predicted from
    the game's spectrum and then measured.
""")

CAPTIONS = {
    "distance": prose("""
        Frechet distance (64 pixels, 2,000 fixed latents) against tau = h per evaluation; points are seeds, lines
        their means. Dotted: real half against real half (the floor); dashed: the constant mean image, above which a
        run has failed. Methods are shifted sideways a little so that they can be distinguished.
    """),
    "samples": prose("""
        Sixteen samples of seed 0 for each method (rows) and tau (columns), with the penalty. Look for saturated
        black and white, or identical grey, tiles. A red frame marks a run that failed by its distance.
    """),
    "trained": prose("""
        h times the outer eigenvalues of the trained points (seed 0, full batch) on each method's own region. Points
        with positive real part are modes that the flow itself amplifies. Alternating play has no region in this
        plane. Points beyond the window are not drawn; the text gives the leftmost.
    """),
    "ratio": "How far the measured limit is from the predicted one, for every method at every point; the dashed "
    "line is 2 per cent.",
    "regions": prose("""
        h times the spectrum of the affine-quadratic digits GAN at rk4's limit, a panel for each game; a ring in a
        method's colour marks the eigenvalue that binds it: near the real axis the game is stiff, near the imaginary
        axis it rotates.
    """),
    "decay": prose("""
        Distance to the equilibrium after a kick of 1e-5, at 0.98, 1 and 1.02 of the predicted limit. S says how fast
        the three part: with large S a step beyond the limit breaks at once; where S is small the three cannot be told
        apart in so few steps, and a run beyond the limit would seem to work.
    """),
}

LIMITATIONS = tuple(
    prose(text)
    for text in (
        """Training is by mini-batches. A frozen mini-batch step of any method is first order against the full-batch
        ODE, so nothing here can credit the accuracy of a higher-order tableau, or deny it.""",
        """The spectrum of a trained point is not that of an equilibrium: it belongs to one point of one seed, it
        contains modes that the flow amplifies, and training adapts it to the step that is used. It is drawn, not used
        for a prediction.""",
        """The Frechet distance is between Gaussians fitted to 64 pixels: it ranks runs of one experiment and nothing
        else. Three seeds show a range, not a confidence interval.""",
        """The real limit per evaluation separates groups at one tau and one weight. It does not order the methods
        inside a group, it does not explain the Wasserstein ranking, and for alternating play it is that of players
        who do not interact.""",
        """Equal evaluations charge alternating play one evaluation a step, although it computes the losses once for
        each player: it does more work than its count says.""",
        """The limits are local: they hold for small perturbations of a stationary point of the full-batch flow.""",
    )
)


def cell_values(training: list[dict[str, Any]], case: str, method: str, tau: float, weight: float) -> list[float]:
    """Distances of the seeds of one cell; None (not finite) as inf."""
    for r in training:
        if r["case"] == case and r["method"] == method:
            pairs = zip(r["cells"], r["distances"], strict=True)
            return [float("inf") if d is None else d for c, d in pairs if c["tau"] == tau and c["weight"] == weight]
    return []


def failing(settings: Any, results: list[dict[str, Any]], references: dict[str, float]) -> Claim:
    """Whether the methods that fail at the largest step are those whose real limit per evaluation is below 1."""
    top, weight, bar = settings.tau_nonsaturating[-1], settings.penalties[-1], references["mean_image"]
    values = {m: cell_values(results, "nonsaturating", m, top, weight) for m in settings.methods}
    wrong = [m for m in settings.methods if any(v > bar for v in values[m]) != (_real_per_evaluation(m) < 1)]
    return Claim(
        f"""At tau {top:g} (non-saturating, penalty {weight:g}) a seed fails for those methods and no others whose real
        stability limit per evaluation is below 1 (methods of {len(values)} for which this is wrong).""",
        len(wrong),
        at_most=0,
    )


def training(settings: Any, results: list[dict[str, Any]], references: dict[str, float]) -> list[str]:
    """What the training figures show."""

    def cells(case: str, method: str, tau: float, weight: float) -> list[float]:
        return cell_values(results, case, method, tau, weight)

    bar, names = references["mean_image"], settings.methods
    top, weight = settings.tau_nonsaturating[-1], settings.penalties[-1]
    failing = [m for m in names if any(v > bar for v in cells("nonsaturating", m, top, weight))]
    below = [m for m in names if _real_per_evaluation(m) < 1]
    agree = "exactly the" if set(failing) == set(below) else "not exactly the"
    orders = gd.methods.members()
    each = "; ".join(f"{m} has order {orders[m].order} and limit {_real_per_evaluation(m):.2f}" for m in names)
    out = [
        f"References: real half against real half {references['floor']:.2f}, constant mean image {bar:.1f}.",
        prose(f"""Non-saturating, penalty {weight:g}, tau {top:g}: at least one seed fails for {_names(failing)}. These
            are {agree} methods whose real stability limit per evaluation is below 1 ({_names(below)}). Order does not
            separate them: {each}."""),
    ]
    ends = {m: float(np.mean(cells("nonsaturating", m, top, weight))) for m in names}
    worst = max((ends[m] for m in names if m not in below), default=float("nan"))
    mildest = min((ends[m] for m in below), default=float("nan"))
    out.append(
        prose(f"""Mean distances at that tau: {", ".join(f"{m} {ends[m]:.1f}" for m in _ranked(ends))}. The best method
            with a limit below 1 has {mildest:.1f}, the worst of the others {worst:.1f}: the limit
            {"separates" if mildest > worst else "does not separate"} them.""")
    )
    tau = settings.tau_nonsaturating[0]
    by = {m: float(np.mean(cells("nonsaturating", m, tau, weight))) for m in names}
    best = _ranked(by)[0]
    plain = float(np.mean(cells("nonsaturating", best, tau, settings.penalties[0])))
    out.append(
        prose(f"""At tau {tau:g} the best is {best} ({by[best]:.1f}); without the penalty it reaches {plain:.1f}. The
            penalty adds damping to the flow, which is a change of the equation and not of the solver.""")
    )
    bare = {m: float(np.mean(cells("nonsaturating", m, top, settings.penalties[0]))) for m in names}
    raised = ", ".join(f"{m} {bare[m]:.1f} to {ends[m]:.1f}" for m in names if ends[m] > bare[m])
    lowered = ", ".join(f"{m} {bare[m]:.1f} to {ends[m]:.1f}" for m in names if ends[m] <= bare[m])
    out.append(
        prose(f"""At tau {top:g} the penalty cuts both ways: it lowers the mean distance of {lowered or "none"}; it
            raises that of {raised or "none"}.""")
    )
    for tau in settings.tau_wasserstein:
        by = {m: float(np.mean(cells("wasserstein", m, tau, settings.r1))) for m in names}
        listed = ", ".join(f"{m} {by[m]:.1f}" for m in _ranked(by))
        out.append(f"Wasserstein, tau {tau:g}, best to worst: {listed}.")
    return out


def trained(settings: Any, eigenvalues: dict[tuple[str, str], Any]) -> list[str]:
    """Where the leftmost eigenvalue of each trained point lies against the method's real limit."""
    out = []
    for case in ("nonsaturating", "wasserstein"):
        parts = []
        for m in settings.methods:
            values, chosen = eigenvalues[case, m], gd.methods.members()[m]
            if len(values) and not isinstance(chosen, gd.methods.Partitioned):
                h = settings.trained_tau * chosen.evaluations
                share = h * float(-np.min(values.real)) / gd.stability.real_limit(chosen)
                parts.append(f"{m} {share:.2f} (rightmost h lambda {h * float(np.max(values.real)):+.2f})")
        if parts:
            out.append(f"{case}, tau {settings.trained_tau:g}, h |leftmost| over the real limit: {', '.join(parts)}.")
    return out


def limits(rows: list[dict[str, Any]], independent: list[dict[str, Any]], wrong: list[dict[str, Any]]) -> list[str]:
    """What the limits show."""
    ratios = [r["ratio"] for r in rows if r["ratio"]]
    worst = max(ratios, key=lambda x: abs(x - 1))
    predicted = {(r["point"], r["method"]): r["predicted"] for r in rows}
    pairs = [(r["measured"], predicted.get((r["point"], r["method"]))) for r in independent]
    others = [abs(measured / p - 1) for measured, p in pairs if p]
    distinct = len({(r["point"], round(r["predicted"], 9)) for r in rows})
    out = [
        prose(f"""{len(ratios)} limits ({distinct} distinct: methods with one R share one) were predicted from a
            linearisation and measured on the tangent of the real nonlinear step, bracketing by doubling from
            h = 0.001. The ratio farthest from 1 is {worst:.8f}.""")
    ]
    if others:
        out.append(
            prose(f"""{len(others)} limits measured by code that shares none with this project (torch.optim.SGD,
                torchdiffeq, a plain loop; finite differences) differ from the predictions by at most
                {max(others):.2e}. They cover euler, the 3/8 rule and alternating play, no multistep method.""")
        )
    missed = [r for r in wrong if abs(r["ratio"] - 1) > 0.02]
    text = f"Of {len(wrong)} predictions by planted wrong theories {len(missed)} miss by more than 2 per cent."
    for r in wrong:
        if r not in missed:
            text += prose(f""" At {r["point"]}, the theory "{r["theory"]}" is off by only
                {100 * abs(r["ratio"] - 1):.1f} per cent: that point cannot tell it from the truth.""").join((" ", ""))
    return [*out, text]


def _real_per_evaluation(method: str) -> float:
    chosen = gd.methods.members()[method]
    return gd.stability.real_limit(chosen) / float(chosen.evaluations or 1)


def _ranked(by: dict[str, float]) -> list[str]:
    return sorted(by, key=lambda m: by[m])


def _names(methods: list[str]) -> str:
    return ", ".join(methods) if methods else "none"
