"""The report of `edge_of_stability`: figures, tables, and what they show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.common.claims import Claim
from analysis.common.digits import reference_distances
from analysis.common.page import number, paragraph, table
from analysis.common.study import Findings
from analysis.studies.edge_of_stability import figures, summary

if TYPE_CHECKING:
    from analysis.common.parts import Result
    from analysis.common.study import Workplace

__all__ = ["write_report"]

CAPTIONS = {
    "ratio": """Step over the largest stable step of the leftmost eigenvalue of the full-batch Jacobian, along its ray
        (alternating: real interval), against h per evaluation. Geometric means with 95 % intervals over starts;
        joined: the base case. Grey: 0.9 to 1.1. Scales differ.""",
    "boundary": """Base case, every run: the leftmost eigenvalue at the end against where the method's real interval
        ends. On the dotted line it sits on the boundary. Hollow: the last methods of the legend.""",
    "paths": """h lambda of the leftmost and largest eigenvalues during one run each, pale to dark, over the method's
        region; the line follows the leftmost.""",
    "implicit": """h times the leftmost eigenvalue while implicit methods train; grey: Euler, whose boundary is the
        dotted line.""",
    "control": """The controller's step, the leftmost eigenvalue, and the distance at the end beside fixed steps given
        as many evaluations.""",
}

LIMITATIONS = (
    """One data set of small images and networks of some thousand parameters with tanh, trained for some thousand
        evaluations. Larger games, and longer training, may differ.""",
    """The ratio is that of the leftmost eigenvalue. Where the loss makes rotation, other modes may bind: the ratio over
        all damped modes found is given for the Wasserstein loss. Few outer eigenvalues are computed: other damped modes
        may lie outside the region.""",
    """Intervals are over few starts, one value each, and assume that logarithms of ratios are normal.""",
    """With mini-batches, the step sees another Jacobian than the full batch's; noise may hold the eigenvalue away from
        the boundary. Alternating play is not a function of eigenvalues: its ratio is by the real interval, right for a
        real mode of one player.""",
    """That the eigenvalue sits at the boundary does not say which causes which; the step is what was varied.""",
)


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, figures and tables."""

    def of(prefix: str) -> list[dict[str, Any]]:
        return [r.figures for name, r in results.items() if name.startswith(prefix)]

    training, implicit, control = of("train-"), of("implicit-"), of("control-")
    paths = [{**r, "method_name": name.removeprefix("path-")} for name, r in _named(results, "path-")]
    references = reference_distances()
    pictures = {
        name: work.figure(name, drawn, CAPTIONS[name])
        for name, drawn in figures.draw_all(settings, training, paths, implicit, control).items()
    }
    said = summary.claims(settings, training, implicit, control)
    case = settings.cases[0]
    body = [
        paragraph(f"""Digits GANs (tanh, float32) are trained by explicit methods at equal evaluations and equal time of
            the flow: tau = h per evaluation, in units of the method's clock. Base case: non-saturating loss,
            squared-gradient penalty {case.penalty:g}, batches of {case.batch}, width {case.width}, {case.seeds} starts,
            {case.evaluations} evaluations. At {", ".join(f"{100 * x:g} %" for x in settings.measured)} of a run the
            leftmost eigenvalues of the Jacobian on {settings.images} images are computed in float64 with their
            residuals; a run's ratio is the geometric mean over these."""),
        *(paragraph(text) for text in said),
        pictures["ratio"],
        "<h2>Base case</h2>",
        _base_table(settings, training),
        pictures["boundary"],
        pictures["paths"],
        "<h2>Other losses, penalties, batches and widths</h2>",
        _case_table(settings, training),
        paragraph("""Batch sharpness, the mean of -v' J v / |v|^2 over batches of a case's size, over the end of the
            real
            interval: what descent of one loss is said to hold at 1 (2412.20553)."""),
        _sharpness_table(settings, training),
        *_damped(settings, training),
        "<h2>Distances</h2>",
        paragraph(f"""Mean Frechet distance on pixels at the end. The constant mean image has
            {references["mean_image"]:.1f}, real half against real half {references["floor"]:.2f}."""),
        _distance_table(settings, training),
        "<h2>Implicit methods</h2>",
        _implicit_table(implicit),
        pictures["implicit"],
        "<h2>A controller that keeps away from the boundary</h2>",
        _control_table(settings, control),
        pictures["control"],
    ]
    estimates = {
        p["case"] + ", " + p["method"]: e.records() for p in training if (e := summary.over_seeds(p)) is not None
    }
    told = {"claims": [" ".join(text.split()) for text in said], "ratios": estimates, "references": references}
    everything = {**told, "training": training, "implicit": implicit, "control": control}
    title = "The edge of stability, for every method"
    return Findings(title, _decided(settings, training), body, everything, LIMITATIONS)


def _decided(settings: Any, training: list[dict[str, Any]]) -> list[Claim]:
    """For every method of the base case, whether its leading eigenvalue ends on the boundary of its own region."""
    out = []
    for m in settings.methods:
        found = summary.over_seeds(summary.of_case(training, settings.cases[0].name, m))
        text = f"{summary.FAMILIES[m]} ({m}): training ends where the step is the largest stable one (their quotient)."
        ends = {"value": math.nan} if found is None else {"value": found.mean, "low": found.low, "high": found.high}
        low, high = summary.BAND
        out.append(Claim(text, **ends, at_least=low, at_most=high))
    return [*out, *_rivals(settings, training)]


def _rivals(settings: Any, training: list[dict[str, Any]]) -> list[Claim]:
    """What is said of descent of one loss, asked of this game."""
    names = {c.name for c in settings.cases}
    batched, momentum = "arXiv:2412.20553 (SGD)", "arXiv:2604.14108 (momentum)"
    low, high = summary.BAND

    def claim(text: str, found: Any, **how: Any) -> Claim:
        ends = {"value": math.nan} if found is None else {"value": found.mean, "low": found.low, "high": found.high}
        return Claim(text, **ends, **how)

    out = []
    for name in sorted(names & {"batch 8", settings.cases[0].name}):
        part = summary.of_case(training, name, "euler")
        out += [
            claim(
                f"{name}: Euler's batch sharpness is on the boundary (quotient).",
                summary.sharpness_ratio(part),
                at_least=low,
                at_most=high,
                source=batched,
            ),
            claim(
                f"{name}: the full batch's eigenvalue stays below it (quotient).",
                summary.over_seeds(part),
                at_most=low,
                source=batched,
            ),
        ]
    for m, beta in (("heavy_ball", 0.9), ("heavy_ball_half", 0.5)):
        plateau = (1 - beta) / (1 + beta)
        if m in settings.methods:
            found = summary.over_seeds(summary.of_case(training, settings.cases[0].name, m))
            out.append(
                claim(
                    f"{m}: in small batches the eigenvalue stands at 2 (1 - beta) / h, {plateau:.3f} of the boundary "
                    "(quotient over that).",
                    _scaled(found, plateau),
                    at_least=0.8,
                    at_most=1.25,
                    source=momentum,
                )
            )
        if m in settings.methods and "full batch, as long" in names:
            found = summary.over_seeds(summary.of_case(training, "full batch, as long", m))
            out.append(
                claim(
                    f"{m}: on the full batch it reaches the boundary 2 (1 + beta) / h in as many evaluations "
                    "(quotient).",
                    found,
                    at_least=low,
                    at_most=high,
                    source=momentum,
                )
            )
    return out


def _scaled(found: Any, by: float) -> Any:
    if found is None:
        return None
    low, high = (None if x is None else x / by for x in (found.low, found.high))
    return summary.Estimate(found.mean / by, low, high, found.count)


def _named(results: dict[str, Result], prefix: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, r.figures) for name, r in results.items() if name.startswith(prefix)]


def _base_table(settings: Any, training: list[dict[str, Any]]) -> str:
    case, rows = settings.cases[0], []
    for m in settings.methods:
        part = summary.of_case(training, case.name, m)
        sizes = summary.leftmost(part)
        off = max((max(r["residuals"]) for c in part["cells"] for r in c["records"]), default=None)
        each = [str(summary.over_seeds(part, tau) or "") for tau in case.taus]
        span = f"{-max(sizes):.3g} to {-min(sizes):.3g}" if sizes else ""
        family = summary.FAMILIES.get(m, "")
        real = number(part["real_interval"])
        growth = [r["amplification"] for c in part["cells"] for r in c["records"] if r["amplification"] is not None]
        middle = number(float(np.median(growth)), 3) if growth else ""
        rows.append([m, family, real, *each, str(summary.over_seeds(part) or ""), middle, span, number(off, 2)])
    heads = ["method", "family", "real interval", *(f"tau {tau:g}" for tau in case.taus), "all"]
    heads += ["median |R|", "leftmost, last", "worst residual"]
    text = "Mean ratio [95 % interval]. |R|: the growth of the leftmost modes by a step."
    return paragraph(text) + table(heads, rows)


def _case_table(settings: Any, training: list[dict[str, Any]]) -> str:
    rows = []
    for m in settings.methods:
        found = [summary.over_seeds(summary.of_case(training, case.name, m)) for case in settings.cases]
        rows.append([m, *(str(e or "") for e in found)])
    return table(["method", *(case.name for case in settings.cases)], rows)


def _sharpness_table(settings: Any, training: list[dict[str, Any]]) -> str:
    cases = [c for c in settings.cases if c.batch]
    rows = []
    for m in settings.methods:
        found = [summary.sharpness_ratio(summary.of_case(training, c.name, m)) for c in cases]
        rows.append([m, *(str(e or "") for e in found)])
    return table(["method", *(c.name for c in cases)], rows)


def _damped(settings: Any, training: list[dict[str, Any]]) -> list[str]:
    """The ratio over all damped modes found, and |R|, where rotation was looked for."""
    out = []
    for case in (c for c in settings.cases if c.loss == "wasserstein"):
        rows = []
        for m in settings.methods:
            records = [r for c in summary.of_case(training, case.name, m)["cells"] for r in c["records"]]
            by = [[x for r in records if (x := r["ratios"][k])] for k in ("real", "damped")]
            growth = [r["amplification"] for r in records if r["amplification"] is not None]
            turning = [max((abs(y) * r["h"] for _, y in r["eigenvalues"]), default=0.0) for r in records]
            spans = [f"{np.median(x):.2f} ({min(x):.2f} to {max(x):.2f})" if x else "" for x in (*by, growth, turning)]
            rows.append([m, *spans])
        heads = ["method", "ratio, leftmost real part", "ratio, all damped found", "|R|, largest", "h |Im|, largest"]
        text = f"{case.name}: medians and ranges over all records, the largest imaginary parts included."
        out += [paragraph(text), table(heads, rows)]
    return out


def _distance_table(settings: Any, training: list[dict[str, Any]]) -> str:
    rows = []
    for m in settings.methods:
        row = [m]
        for case in settings.cases:
            for tau in case.taus:
                cells = [c for c in summary.of_case(training, case.name, m)["cells"] if c["tau"] == tau]
                known = [c["distance"] for c in cells if c["distance"] is not None]
                mean = f"{sum(known) / len(known):.1f}" if len(known) == len(cells) and cells else "not finite"
                row.append(mean if cells else "")
        rows.append(row)
    return table(["method", *(f"{case.name}, {tau:g}" for case in settings.cases for tau in case.taus)], rows)


def _implicit_table(rows: list[dict[str, Any]]) -> str:
    cells = []
    for r in rows:
        sizes = [abs(s["eigenvalues"][0][0]) for s in r["records"]]
        shown = ", ".join(f"{x:.3g}" for x in sizes)
        last = number(r["h"] * sizes[-1], 3)
        cells.append(
            [r["method"], f"{r['h']:g}", str(r["seed"]), shown, last, str(r["rejected"]), number(r["distance"])]
        )
    heads = ["method", "h", "start", "|leftmost| on the way", "h |leftmost|, last", "steps not solved", "distance"]
    return table(heads, cells)


def _control_table(settings: Any, rows: list[dict[str, Any]]) -> str:
    cells = [
        [
            r["method"],
            str(r["seed"]),
            number(r["last_tau"], 3),
            number(r["leftmost"][-1][1], 3),
            number(r["distance"], 3),
            *(number(r["fixed"][str(tau)], 3) for tau in settings.control_fixed),
            number(r["monitor_share"], 2),
        ]
        for r in rows
    ]
    heads = ["method", "start", "last h per evaluation", "leftmost", "distance"]
    heads += [f"fixed {tau:g}" for tau in settings.control_fixed]
    return table([*heads, "monitor's share of time"], cells)
