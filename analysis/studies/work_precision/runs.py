"""The runs of the study: fixed steps, adaptive steps, and other people's solvers on the same field, timed in rounds."""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from scipy.integrate import solve_ivp
from torchdiffeq import odeint

import gamedyn as gd
from analysis.common.kinds import kind, solves
from analysis.common.parts import Result
from analysis.studies.work_precision.problems import R1_WEIGHT, STIFF, Problem, problem, weights

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["adaptive_part", "fixed_part", "missing_diffrax"]

GOOD_ENOUGH = 1e-11
"""Error at which a method's range of steps ends: beyond it the reference is seen, not the method."""

ONCE = 0.3
"""Seconds from which on a run is timed once and not in every round."""

LEAST_RTOL = 1e-13


@dataclass
class Job:
    """One run: who, how finely, and what makes it; its outcome is filled in."""

    label: str
    group: str
    level: float
    make: Callable[[], dict[str, float]]


def fixed_part(settings: Any, *, name: str, which: str) -> Result:
    """Members with fixed steps: those that solve equations, or those that do not."""
    p = problem(name, settings.reference_rtol)
    chosen = [m for m in settings.members[name] if solves(m) == (which == "implicit")]
    curves = [[_fixed(p, m, n, n0) for n, n0 in _step_counts(settings, p, m)] for m in chosen]
    return _measured(settings, p, curves)


def adaptive_part(settings: Any, *, name: str) -> Result:
    """Members with adaptive steps, SciPy, torchdiffeq and diffrax: in one process, side by side."""
    p = problem(name, settings.reference_rtol)
    curves = [[_adaptive(p, m, tol) for tol in _range(settings, p, m)] for m in settings.adaptive]
    curves.append([_adaptive(p, "dopri5", tol, "rms") for tol in settings.tolerances])
    curves += [[_scipy(p, m, tol) for tol in _range(settings, p, m)] for m in settings.scipy]
    curves.append([_torchdiffeq(p, "dopri5", tol) for tol in settings.tolerances])
    ladder = [n // 4 for n in settings.evaluations[name]]
    curves.append([_torchdiffeq(p, "rk4", n) for n in ladder])
    curves += [[_fixed(p, m, n, ladder[0], f"{m}, fixed", "compared only") for n in ladder] for m in ("rk4_38",)]
    result = _measured(settings, p, curves)
    result.figures["diffrax"] = _diffrax(settings, p)
    return result


def _range(settings: Any, p: Problem, method: str) -> tuple[float, ...]:
    """The tolerances of a solver on a problem."""
    found: tuple[float, ...] = settings.ranges.get(f"{p.name} {method}", settings.ranges.get(method, ()))
    named = method in settings.ranges or f"{p.name} {method}" in settings.ranges
    return tuple(t for t in found if t in settings.tolerances) if named else settings.tolerances


def _step_counts(settings: Any, p: Problem, method: str) -> list[tuple[int, int]]:
    """Numbers of steps, from few to many, each with the least."""
    if solves(method):
        counts = list(settings.steps[p.name])
    else:
        cost = float(gd.methods.get(method).evaluations or 1)
        counts = [max(1, round(e / cost)) for e in settings.evaluations[p.name]]
    least = getattr(gd.methods.get(method), "steps", 1) + 1
    counts = [n for n in dict.fromkeys(counts) if n >= least]
    return [(n, counts[0]) for n in counts]


def _fixed(p: Problem, method: str, steps: int, least: int, label: str = "", group: str = "") -> Job:
    """A run of equal steps; a clock other than 1 is divided out, so that all end at the same time."""
    chosen = gd.methods.get(method)
    h = p.end / (steps * float(getattr(chosen, "time_scale", 1)))
    options: dict[str, Any] = {"h": h, "steps": steps}
    if solves(method):
        rtol = max(1e-4 * (least / steps) ** chosen.order, LEAST_RTOL)
        options["solver"] = _solver(method, rtol)
    return Job(label or method, group or kind(method), steps, lambda: _solve(p, method, options))


def _adaptive(p: Problem, method: str, tol: float, norm: str = "players") -> Job:
    control = gd.steps.Adaptive(rtol=tol, atol=tol, norm=norm)
    options: dict[str, Any] = {"t_span": (0.0, p.end), "h": control}
    if solves(method):
        options["solver"] = _solver(method, max(0.05 * tol, LEAST_RTOL))
    label, group = (", adaptive", "adaptive members") if norm == "players" else (f", {norm} norm", "compared only")
    return Job(method + label, group, tol, lambda: _solve(p, method, options))


def _solver(method: str, rtol: float) -> Any:
    if kind(method) in ("linearly implicit", "exponential"):
        return gd.integrators.Krylov(rtol=rtol)
    return gd.integrators.NewtonKrylov(rtol=rtol)


def _solve(p: Problem, method: str, options: dict[str, Any]) -> dict[str, float]:
    run = gd.solve(p.flow, method, batch=p.batch, throw=False, every=1 << 30, check_every=1 << 30, **options)
    error = p.error(run.state.y.numpy()) if run.status == "done" else math.inf
    counted = {k: run.stats.get(k, 0.0) for k in ("evaluations", "products", "accepted", "rejected")}
    return {"error": error, **counted}


def _scipy(p: Problem, method: str, tol: float) -> Job:
    named = {"NDF": "BDF"}.get(method, method)

    def make() -> dict[str, float]:
        field = p.field()
        run = solve_ivp(p.function(field), (0.0, p.end), p.y0, method=named, rtol=tol, atol=tol)
        error = p.error(run.y[:, -1]) if run.success else math.inf
        return {"error": error, "evaluations": field.work.evaluations, "products": 0.0, "accepted": len(run.t) - 1.0}

    return Job(f"SciPy {method}", "SciPy", tol, make)


def _torchdiffeq(p: Problem, method: str, level: float) -> Job:
    fixed = method == "rk4"
    options: dict[str, Any] = {"options": {"step_size": p.end / level}} if fixed else {"rtol": level, "atol": level}
    y0, span = torch.as_tensor(p.y0), torch.tensor([0.0, p.end], dtype=torch.float64)

    def make() -> dict[str, float]:
        field = p.field()
        with torch.no_grad():
            path = odeint(lambda t, y: field(t, y), y0, span, method=method, **options)
        return {"error": p.error(path[-1].numpy()), "evaluations": field.work.evaluations, "products": 0.0}

    return Job(f"torchdiffeq {method}", "torchdiffeq", level, make)


def _measured(settings: Any, p: Problem, curves: list[list[Job]]) -> Result:
    """Every run once, from coarse to fine until it is good enough; then all short ones again in shuffled rounds."""
    started = time.process_time()
    rows: list[dict[str, Any]] = []
    again: list[tuple[Job, dict[str, Any]]] = []
    for curve in curves:
        for job in curve:
            row, seconds = _timed(job)
            row |= {"label": job.label, "group": job.group, "level": job.level, "times": [seconds]}
            rows.append(row)
            if seconds < ONCE:
                again.append((job, row))
            if row["error"] is not None and row["error"] < GOOD_ENOUGH:
                break
    shuffle = random.Random(0)
    for _ in range(settings.rounds - 1):
        shuffle.shuffle(again)
        for job, row in again:
            row["times"].append(_timed(job)[1])
    for row in rows:
        row["seconds"] = statistics.median(row["times"])
    costs, spent = weights(p, 10 * settings.rounds), time.process_time() - started
    return Result({"problem": p.name, "runs": rows, "weights": costs, "cpu_seconds": spent}, {})


def _timed(job: Job) -> tuple[dict[str, Any], float]:
    """One run, and its CPU seconds."""
    began = time.process_time()
    outcome: dict[str, Any] = job.make()
    seconds = time.process_time() - began
    if not outcome["error"] < 1e6:
        outcome["error"] = None
    return outcome, seconds


def _diffrax(settings: Any, p: Problem) -> dict[str, Any]:
    """The same problem in JAX, solved by diffrax in a process of its own: JAX's threads and settings stay there."""
    if p.name == "network" or not settings.diffrax:
        return {"runs": []}
    asked = {
        "problem": p.name,
        "end": p.end,
        "y0": p.y0.tolist(),
        "matrix": STIFF.tolist(),
        "weight": R1_WEIGHT,
        "reference": p.reference.tolist(),
        "field": p.function(p.field())(0.0, p.y0).tolist(),
        "solvers": list(settings.diffrax),
        "tolerances": list(settings.tolerances),
        "rounds": settings.rounds,
    }
    command = [sys.executable, "-m", "analysis.studies.work_precision.jax_peer"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, cwd=root, check=False)
    if done.returncode:
        return {"runs": [], "missing": f"diffrax could not be run: {done.stderr.strip().splitlines()[-1:]}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def missing_diffrax(results: dict[str, Result]) -> str:
    """What the report says where diffrax was not run; nothing where it was."""
    said = [r.figures.get("diffrax", {}).get("missing", "") for r in results.values()]
    return next((text for text in said if text), "")
