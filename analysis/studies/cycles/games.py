"""A zero-sum game whose only stationary point is a strict Nash equilibrium and stable, inside two cycles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.parts import Result

__all__ = ["critical_damping", "ends", "letcher", "nested", "nested_cycles", "predicted_step", "saved", "verdicts"]


def coefficients(settings: Any) -> tuple[float, float, float]:
    """Of `p(x) = a x^2 / 2 - b x^4 / 4 + c x^6 / 6`, so that the averaged radius stands still at the two radii.

    Averaged over a turn, `r' = -(a r - (3/4) b r^3 + (5/8) c r^5)`: its roots in r^2 are `inner^2` and `outer^2`.
    """
    a, u, v = settings.damping, settings.inner**2, settings.outer**2
    c = a / (0.625 * u * v)
    return a, 0.625 * c * (u + v) / 0.75, c


def nested(settings: Any) -> gd.flows.GradientFlow:
    """`L_x = w x y + p(x)`, `L_y = -w x y + p(y)`."""
    a, b, c = coefficients(settings)
    w = settings.turning

    def p(x: torch.Tensor) -> torch.Tensor:
        return a * x**2 / 2 - b * x**4 / 4 + c * x**6 / 6

    def losses(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": (w * x * y + p(x)).sum(), "y": (-w * x * y + p(y)).sum()}

    zero = torch.zeros(1, dtype=torch.float64)
    return gd.flows.gradient(gd.Game({"x": zero.clone(), "y": zero.clone()}, losses))


def critical_damping(settings: Any) -> float:
    """The damping a at which the two cycles meet and vanish: `(3 b / 4)^2 = 4 a (5 c / 8)`."""
    _, b, c = coefficients(settings)
    return (0.75 * b) ** 2 / (2.5 * c)


def predicted_step(settings: Any, method: str) -> float:
    """The step whose numerical damping of the rotation, `h g w^2`, makes up what is missing; NaN where it makes none.

    g: 1/2 for optimistic, extragradient and implicit Euler steps (modified equation `v + (h / 2) J v`), -1/2 for
    Euler's,
    0 to this order for the others.
    """
    g = {"optimistic": 0.5, "extragradient": 0.5, "implicit_euler": 0.5}.get(method, 0.0)
    return (critical_damping(settings) - settings.damping) / (g * settings.turning**2) if g else math.nan


def _at(flow: Any, x: float, y: float) -> Any:
    return flow.initial_state().with_y(torch.tensor([x, y], dtype=torch.float64))


def verdicts(settings: Any) -> Result:
    """What the eigenvalues say of the only stationary point of both games."""
    rows = {}
    cyclic = gd.flows.gradient(gd.games.cyclic())
    for name, flow in {"letcher": cyclic, "nested": nested(settings)}.items():
        origin = _at(flow, 0.0, 0.0)
        values = gd.spectrum.linearise(flow, origin).eigenvalues.values
        told = gd.spectrum.verdict(flow, origin)
        rows[name] = {
            "abscissa": float(values.real.max()),
            "imaginary": float(values.imag.max()),
            "stable": str(told.stability.answer),
            "nash": str(told.nash.answer),
        }
    return Result({"rows": rows})


def letcher(settings: Any) -> Result:
    """The cycle that two starts of Letcher's game come to."""
    flow = gd.flows.gradient(gd.games.cyclic())
    found = {}
    for name, start in {"near": (0.01, 0.0), "far": (2.0, 2.0)}.items():
        cycle = gd.spectrum.find_limit_cycle(flow, _at(flow, *start))
        found[name] = _cycle(cycle)
    return Result(found)


def nested_cycles(settings: Any) -> Result:
    """Both cycles: the outer one from outside, the inner one as a stable cycle of the reversed flow."""
    flow = nested(settings)
    back = gd.flows.mapped(flow, lambda v: {k: -x for k, x in v.items()})
    outer = gd.spectrum.find_limit_cycle(flow, _at(flow, 1.1 * settings.outer, 0.0))
    inner = gd.spectrum.find_limit_cycle(back, _at(back, 1.02 * settings.inner, 0.0))
    found = {}
    for name, cycle in {"outer": outer, "inner": inner}.items():
        found[name] = _cycle(cycle)
    return Result(found, {n: np.asarray(c.orbit) for n, c in {"outer": outer, "inner": inner}.items()})


def _cycle(cycle: Any) -> dict[str, float]:
    radii = cycle.orbit.norm(dim=-1)
    return {
        "least": float(radii.min()),
        "largest": float(radii.max()),
        "mean": float(radii.mean()),
        "period": float(cycle.period),
        "multiplier": float(np.abs(np.asarray(cycle.multipliers)).max()),
    }


def ends(settings: Any) -> Result:
    """How many starts in the disc end at the equilibrium, and how many on the cycle, by the flow itself."""
    g = np.random.default_rng(0)
    radius = settings.disc * np.sqrt(g.random(settings.starts))
    angle = 2 * np.pi * g.random(settings.starts)
    starts = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    flow = nested(settings)
    states = [_at(flow, *map(float, s)) for s in starts]
    h = 0.2 / settings.turning
    run = gd.solve_ensemble(flow, "rk4", h=[h] * len(states), steps=round(settings.time / h), y0=states)
    last = run.state.y.norm(dim=1).numpy()
    return Result({"share": float((last > 0.5 * settings.inner).mean())}, {"starts": starts, "ends": last})


def saved(settings: Any, *, method: str) -> Result:
    """The least of a range of steps at which a run from the outer cycle ends at the equilibrium; inf: at none.

    The range is about the step that numerical damping h w^2 / 2 would need, as far as the equilibrium is stable. The
    measured step is the middle of the two between which the end changes.
    """
    flow = nested(settings)
    first = gd.spectrum.stable_steps(method, gd.spectrum.linearise(flow, _at(flow, 0.0, 0.0))).first
    limit = first[1] if first else 0.0
    scale = 2 * (critical_damping(settings) - settings.damping) / settings.turning**2
    tried = [h for h in scale * np.geomspace(settings.span[0], settings.span[1], settings.steps_tried) if h < limit]
    starts = [_at(flow, settings.outer, 0.0)] * len(tried)
    steps = round(settings.time / tried[0])
    if gd.integrators.stepper(method).ensembles:
        last = gd.solve_ensemble(flow, method, h=tried, steps=steps, y0=starts).state.y
    else:
        runs = [gd.solve(flow, method, h=h, steps=round(settings.time / h), y0=starts[0], throw=False) for h in tried]
        last = torch.stack([r.state.y for r in runs])
    home = [bool(r < 0.5 * settings.inner) for r in last.norm(dim=1)]
    figures = {"method": method, "limit": limit, "tried": list(zip(tried, home, strict=True)), "measured": math.inf}
    if True in home:
        k = home.index(True)
        figures["measured"] = math.sqrt(tried[k] * tried[k - 1]) if k else tried[0]
    return Result(figures)
