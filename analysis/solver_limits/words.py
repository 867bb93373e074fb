"""What the report says. Every claim is worded from the numbers of the run; none is fixed in advance."""

from __future__ import annotations

from typing import Any

import numpy as np

import gamedyn as gd

__all__ = ["CAPTIONS", "LIMITATIONS", "QUESTION", "limits", "training"]

QUESTION = (
    "Is GAN training helped by the accuracy of a higher-order method, by its absolute stability, or by the damping that a "
    "penalty adds to the flow? Eight methods train one GAN on 1,797 real 8x8 digit images at equal field evaluations and equal "
    "integrated time; at stationary points the largest stable step of each is predicted from the game's spectrum and then measured."
)

CAPTIONS = {
    "distance": "Frechet distance (64 pixels, 2,000 fixed latents) against tau = h per evaluation; points are seeds, lines their "
    "means. Dotted: real half against real half (the floor); dashed: the constant mean image, above which a run has failed.",
    "samples": "Sixteen samples of seed 0 for each method (rows) and tau (columns), with the penalty. Look for saturated black and "
    "white tiles: those runs failed.",
    "trained": "h times the outer eigenvalues of the trained points (seed 0, full batch) on each method's own region. Points with "
    "positive real part are modes that the flow itself amplifies. Alternating play has no region in this plane.",
    "ratio": "Measured over predicted limit for every method at every point; the grey band is 2 per cent.",
    "regions": "h times the spectrum of the affine-quadratic digits GAN at rk4's limit: left the non-saturating game, bound on the "
    "real axis (stiff), right the Wasserstein game, bound near the imaginary axis (rotation).",
    "decay": "Distance to the equilibrium after a kick of 1e-5, at 0.98, 1 and 1.02 of the predicted limit. S says how fast the three "
    "part: with large S a step beyond the limit breaks at once, with small S it drifts off over many thousands of steps.",
}

LIMITATIONS = (
    "Training is by mini-batches. A frozen mini-batch step of any method is first order against the full-batch ODE, so nothing here "
    "can credit the accuracy of a higher-order tableau, or deny it.",
    "The spectrum of a trained point is not that of an equilibrium: it belongs to one point of one seed, it contains modes that the "
    "flow amplifies, and training adapts it to the step that is used. It is drawn, not used for a prediction.",
    "The Frechet distance is between Gaussians fitted to 64 pixels: it ranks runs of one experiment and nothing else. Three seeds "
    "show a range, not a confidence interval.",
    "The limits are local: they hold for small perturbations of a stationary point of the full-batch flow.",
)


def training(settings: Any, results: list[dict[str, Any]], references: dict[str, float]) -> list[str]:
    """What the training figures show."""
    from analysis.solver_limits.report import cell_values

    bar = references["mean_image"]
    top, weight = settings.tau_nonsaturating[-1], settings.penalties[-1]
    failing = [
        m for m in settings.methods if any(v > bar for v in cell_values(results, "nonsaturating", m, top, weight))
    ]
    below = [m for m in settings.methods if _real_per_evaluation(m) < 1]
    agree = "exactly the" if set(failing) == set(below) else "not exactly the"
    out = [
        f"References: real half against real half {references['floor']:.2f}, constant mean image {bar:.1f}.",
        f"Non-saturating, penalty {weight:g}, tau {top:g}: at least one seed fails for {_names(failing)}. These are {agree} methods "
        f"whose real stability limit per evaluation is below 1 ({_names(below)}). Order does not separate them: "
        + "; ".join(
            f"{m} has order {gd.methods.get(m).order} and limit {_real_per_evaluation(m):.2f}" for m in settings.methods
        )
        + ".",
    ]
    means = {
        tau: {m: float(np.mean(cell_values(results, "nonsaturating", m, tau, weight))) for m in settings.methods}
        for tau in settings.tau_nonsaturating[:1]
    }
    for tau, by in means.items():
        best = min(by, key=by.get)  # type: ignore[arg-type]
        plain = float(np.mean(cell_values(results, "nonsaturating", best, tau, settings.penalties[0])))
        out.append(
            f"At tau {tau:g} the best is {best} ({by[best]:.1f}); without the penalty it reaches {plain:.1f}. The penalty adds "
            "damping to the flow, which is a change of the equation and not of the solver."
        )
    for tau in settings.tau_wasserstein:
        by = {m: float(np.mean(cell_values(results, "wasserstein", m, tau, settings.r1))) for m in settings.methods}
        ranked = sorted(by, key=by.get)  # type: ignore[arg-type]
        out.append(f"Wasserstein, tau {tau:g}, best to worst: " + ", ".join(f"{m} {by[m]:.1f}" for m in ranked) + ".")
    return out


def limits(rows: list[dict[str, Any]], independent: list[dict[str, Any]], wrong: list[dict[str, Any]]) -> list[str]:
    """What the limits show."""
    ratios = [r["ratio"] for r in rows if r["ratio"]]
    worst = max(ratios, key=lambda x: abs(x - 1))
    predicted = {(r["point"], r["method"]): r["predicted"] for r in rows}
    others = [
        r["measured"] / predicted[r["point"], r["method"]]
        for r in independent
        if (r["point"], r["method"]) in predicted
    ]
    out = [
        f"{len(ratios)} limits were predicted from a linearisation and measured on the tangent of the real nonlinear step, "
        f"bracketing by doubling from h = 0.001. The ratio farthest from 1 is {worst:.8f}.",
    ]
    if others:
        out.append(
            f"{len(others)} limits measured by code that shares none with this project (torch.optim.SGD, torchdiffeq, a plain loop; "
            f"finite differences) differ from the predictions by at most {max(abs(x - 1) for x in others):.2e}."
        )
    missed = [r for r in wrong if abs(r["ratio"] - 1) > 0.02]
    close = [r for r in wrong if abs(r["ratio"] - 1) <= 0.02]
    text = f"Of {len(wrong)} predictions by planted wrong theories {len(missed)} miss by more than 2 per cent."
    for r in close:
        text += f" At {r['point']}, {r['theory']} is off by {100 * abs(r['ratio'] - 1):.1f} per cent only: there this point cannot tell it from the truth."
    return [*out, text]


def _real_per_evaluation(method: str) -> float:
    chosen = gd.methods.get(method)
    return gd.stability.real_limit(chosen) / chosen.evaluations


def _names(methods: list[str]) -> str:
    return ", ".join(methods) if methods else "none"
