"""The report of `work_precision`: two figures and a table for every problem, and the peers side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analysis.common.claims import Claim
from analysis.common.kinds import KINDS
from analysis.common.page import number, paragraph, table
from analysis.common.study import Findings
from analysis.studies.work_precision.curves import cheapest, curves_of, price, weights_of
from analysis.studies.work_precision.figures import TITLES, drawn
from analysis.studies.work_precision.problems import STIFF
from analysis.studies.work_precision.runs import missing_diffrax

if TYPE_CHECKING:
    from analysis.common.parts import Result
    from analysis.common.study import Workplace
    from analysis.studies.work_precision.curves import Curve

__all__ = ["write_report"]

GROUPS = (*KINDS, "adaptive members", "SciPy", "torchdiffeq", "diffrax")

WHAT = """Three full-batch problems in float64 are solved to a fixed time by methods of every family, with fixed steps
    over a range of h and, where there is an embedded estimate, with adaptive steps over a range of tolerances (rtol =
    atol). SciPy and torchdiffeq run in the same process on the same field, wrapped; diffrax runs on the same game
    written in JAX, jitted, in a process of its own. The error is |y - y(end)| / |y(end)|."""

HOW = """Work is field evaluations plus products with J, a product counted at its measured cost in evaluations. The
    graph that an implicit method's products share is counted as the one evaluation that it contains; what more it costs
    is in the time. Time is CPU time of one thread, of the whole call, its start included: the median of several rounds
    in random order, or a single run where it takes more than 0.3 s. The equations of implicit steps are solved to a
    relative tolerance that falls with h^order from 1e-4 at the longest step; in adaptive solves to 1/20 of the
    tolerance. A range of steps ends once the error is below 1e-11; pairs of low order, whose work grows fast, end at a
    coarser tolerance. On the network SciPy's Radau is left out and its NDF run at two tolerances: each of their
    Jacobians by differences costs 597 evaluations."""

CLOCK = """Methods with a clock s other than 1 (momentum, Lookahead) solve y' = s v; their h is divided by s, so that
    all end at the same time. Left out: discrete maps (normalised and grafted steps, torch.optim), which have no order;
    positive heavy ball, complex momentum and LEAD, whose imaginary limit is 0 or nearly so; and members close to one
    that is drawn, so that a panel can be read."""

CAPTIONS = {
    "work": """Error against work. The wide grey line is rk4 in every panel. Runs that failed or ended with an error
        above 1 are not drawn.""",
    "seconds": """Error against time in milliseconds; diffrax is compiled, which took seconds and is not counted.""",
}

LIMITATIONS = (
    """Three problems, of 2, 3 and 597 parameters. On the two small ones the time is that of the machinery: an
    evaluation through PyTorch's autograd takes a fifth of a millisecond whatever it computes, compiled JAX about a
    microsecond. Nothing there says how the packages compare on a network.""",
    """Full batch. With mini-batches a step of any method is of order 1 against the full-batch flow, and nothing here
    says which method to train with.""",
    """The error is taken at one time, along one path. A method may be better on the way, or on another path.""",
    """Interpolated prices lie between two runs a factor of two apart in work; differences of some ten per cent between
    families mean nothing. Times are of one machine and one thread.""",
    """The weight of a product depends on the problem and the machine. SciPy's implicit solvers take no products: their
    Jacobians by differences are evaluations, as many as there are parameters each time.""",
    """Tolerances mean different things in different packages: norms, first steps and controllers differ. Compare at
    equal error, not at equal tolerance, except where evaluations at one tolerance are the question.""",
)


def write_report(settings: Any, results: dict[str, Result], work: Workplace) -> Findings:
    """The claims, two figures and a table for every problem, and the peers."""
    body = [paragraph(t) for t in (WHAT, HOW, CLOCK)]
    missing = missing_diffrax(results)
    if missing:
        body.append(paragraph(f"{missing}: its curves are absent."))
    summary: dict[str, Any] = {"missing": missing, "problems": {}}
    for name in settings.problems:
        curves, costs = curves_of(results, name), weights_of(results, name)
        facts = results[f"check-{name}"].figures
        body += [f"<h2>{TITLES[name]}</h2>", paragraph(_facts(facts, costs))]
        if name == "stiff":
            rows = [[f"v of player {i + 1}", *(f"{x:.6g}" for x in row)] for i, row in enumerate(STIFF)]
            body += [table(["J", "player 1", "player 2", "player 3"], rows)]
        for against in ("work", "seconds"):
            body.append(work.figure(f"{name}-{against}", drawn(name, curves, against), CAPTIONS[against]))
        body += [f"<h3>The cheapest of each kind at {_list(settings.accuracies)}</h3>", _prices(settings, curves)]
        body += ["<h3>dopri5 and rk4 beside other packages'</h3>", _peers(settings, results, name)]
        summary["problems"][name] = _summary(settings, results, name, curves, costs, facts)
    body += [paragraph(PEERS), *_versions(results)]
    title = "What accuracy a given amount of work buys on a game"
    return Findings(title, _decided(settings, results), body, summary, LIMITATIONS)


def _decided(settings: Any, results: dict[str, Result]) -> list[Claim]:
    claims = []
    for name in settings.problems:
        gaps = [g["gap"] for g in results[f"check-{name}"].figures["gaps"]]
        text = f"{TITLES[name]}: the reference agrees with other solvers' solutions (largest relative difference)."
        claims.append(Claim(text, max(gaps), at_most=1e-5, exact=True))
        groups = [g for g in KINDS if any(c.group == g for c in curves_of(results, name))]
        best = {g: cheapest(curves_of(results, name), g, settings.accuracies[1]) for g in groups}
        costs = {g: c.work for g, c in best.items() if c is not None and c.work is not None}
        plain = costs.pop("explicit Runge-Kutta", math.nan)
        text = f"""{TITLES[name]}: to a relative error of {settings.accuracies[1]:g} no other kind of fixed steps is
            cheaper than explicit Runge-Kutta (work of the cheapest other over its own)."""
        claims.append(Claim(text, min(costs.values(), default=math.nan) / plain, at_least=1.0, timed=True))
    return claims


PEERS = """The tables of peers compare adaptive runs at one tolerance, and fixed runs at one number of steps:
    torchdiffeq's rk4 is the 3/8 rule, rk4_38 here. The default norm of gamedyn is the largest over the players, which
    is stricter than the root mean square over all parameters that the others take: both are shown. torchdiffeq
    and diffrax control by the last error alone (I), gamedyn by the last two (PI), whose steps settle at a smaller
    share of the tolerance: at one tolerance it takes more steps and errs less. torchdiffeq ends an adaptive solve
    beyond the last time and interpolates, gamedyn and SciPy shorten the last step."""


def _facts(facts: dict[str, Any], costs: dict[str, float]) -> str:
    gaps = ", ".join(f"{g['method']} at {g['rtol']:g} differs by {g['gap']:.1e}" for g in facts["gaps"])
    left, turning = (complex(*facts["spectrum"][k]) for k in ("leftmost", "largest_imaginary"))
    return f"""{facts["parameters"]} parameters, from time 0 to {facts["end"]:g}. At the end the leftmost eigenvalue of
        J is {left:.4g}, that of largest imaginary part {turning:.4g}. Reference: {gaps}. An evaluation takes
        {1e3 * costs["evaluation"]:.3g} ms; a product {costs["product"]:.2f}, the graph for products
        {costs["graph"]:.2f} evaluations."""


def _list(values: Any) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _prices(settings: Any, curves: list[Curve]) -> str:
    heads = ["kind"] + [f"{what} at {a:g}" for a in settings.accuracies for what in ("member", "work", "ms")]
    rows = []
    for group in GROUPS:
        if not any(c.group == group for c in curves):
            continue
        row = [group]
        for accuracy in settings.accuracies:
            best = cheapest(curves, group, accuracy)
            named = "-" if best is None else best.label.replace(", adaptive", "")
            row += [named, "" if best is None else number(best.work, 4), "" if best is None else _ms(best.seconds)]
        rows.append(row)
    return table(heads, rows)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"


def _runs(results: dict[str, Result], name: str) -> list[dict[str, Any]]:
    figures = results[f"adaptive-{name}"].figures
    return [*figures["runs"], *figures["diffrax"].get("runs", [])]


def compared(settings: Any, results: dict[str, Result], name: str) -> list[dict[str, Any]]:
    """The runs of dopri5 and of the 3/8 rule, ours and others'."""
    pairs = ("dopri5, adaptive", "dopri5, rms norm", "torchdiffeq dopri5", "SciPy RK45", "diffrax Dopri5, jitted")
    rows = [
        r for p in pairs for r in _runs(results, name) if r["label"] == p and r["level"] in settings.tolerances[::3]
    ]
    fixed = ("rk4_38, fixed", "torchdiffeq rk4")
    return rows + [r for p in fixed for r in _runs(results, name) if r["label"] == p]


def _peers(settings: Any, results: dict[str, Result], name: str) -> str:
    rows = []
    for r in sorted(compared(settings, results, name), key=lambda r: (r["level"] > 1, r["level"] > 1 or -r["level"])):
        level = f"tolerance {r['level']:g}" if r["level"] < 1 else f"{r['level']:g} steps"
        tried = f"{r['accepted']:g} + {r['rejected']:g}" if r.get("accepted") and "rejected" in r else ""
        evaluations = number(r["evaluations"], 6)
        rows.append([r["label"], level, tried, evaluations, number(r["error"], 3), _ms(r["seconds"])])
    return table(["solver", "at", "accepted + rejected", "evaluations", "error", "ms"], rows)


def _versions(results: dict[str, Result]) -> list[str]:
    for r in results.values():
        found = r.figures.get("diffrax", {})
        if found.get("versions"):
            gap = max(x.figures["diffrax"].get("field_gap", 0.0) for x in results.values() if "diffrax" in x.figures)
            first = max(run["first_call"] for run in found["runs"])
            text = f"""diffrax {found["versions"]["diffrax"]} on JAX {found["versions"]["jax"]}: the fields of the two
                packages differ by at most {gap:.1e} at the start; the first call, which compiles, took up to
                {first:.1f} s. Its evaluations are counted in a run of its own; an implicit solver's are not."""
            return [paragraph(text)]
    return []


def _summary(
    settings: Any,
    results: dict[str, Result],
    name: str,
    curves: list[Curve],
    costs: dict[str, float],
    facts: dict[str, Any],
) -> dict[str, Any]:
    prices = {
        c.label: {f"{a:g}": found._asdict() for a in settings.accuracies if (found := price(c, a)) is not None}
        for c in curves
    }
    groups = {c.label: c.group for c in curves}
    peers = [
        {k: r.get(k) for k in ("label", "level", "evaluations", "error", "seconds")}
        for r in compared(settings, results, name)
    ]
    return {
        "weights": costs,
        "facts": facts,
        "groups": groups,
        "prices": prices,
        "peers": peers,
        "curves": [c._asdict() for c in curves],
    }
