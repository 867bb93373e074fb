"""diffrax on the same problems: reads a JSON object on standard input, writes one on standard output.

A program of its own, so that JAX is imported nowhere else: give it `asked.json` as standard input,
`python -m analysis.studies.work_precision.jax_peer`.
"""

from __future__ import annotations

import importlib
import json
import math
import statistics
import sys
import time
import warnings
from typing import Any

import numpy as np

__all__ = ["main"]

IMPLICIT = ("Kvaerno3", "Kvaerno4", "Kvaerno5")
"""Solvers whose Newton iterations evaluate the field and its derivatives under transformations: not counted."""


def main() -> int:
    """Answer one question; returns the exit status."""
    asked = json.load(sys.stdin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            diffrax: Any = importlib.import_module("diffrax")
            jax: Any = importlib.import_module("jax")
        except ImportError:
            print(json.dumps({"runs": [], "missing": "diffrax is not installed"}))
            return 0
        jax.config.update("jax_enable_x64", True)
        print(json.dumps(answered(asked, jax, diffrax)))
    return 0


def answered(asked: dict[str, Any], jax: Any, diffrax: Any) -> dict[str, Any]:
    """Every solver at every tolerance; compiled first, which is timed apart."""
    field, y0 = field_of(asked, jax), jax.numpy.asarray(asked["y0"])
    gap = float(np.abs(np.asarray(field(0.0, y0, None)) - np.asarray(asked["field"])).max())
    reference = np.asarray(asked["reference"])
    rows = []
    for name in asked["solvers"]:
        solve = jax.jit(solver_of(name, field, asked["end"], diffrax))
        seen: list[float] = [0.0]
        counting = None if name in IMPLICIT else counted(name, asked, seen, jax, diffrax)
        for tol in asked["tolerances"]:
            began = time.perf_counter()
            y, steps, ok = jax.block_until_ready(solve(y0, tol))
            first = time.perf_counter() - began
            times = []
            for _ in range(10 * asked["rounds"]):
                began = time.process_time()
                jax.block_until_ready(solve(y0, tol))
                times.append(time.process_time() - began)
            error = float(np.linalg.norm(np.asarray(y) - reference) / np.linalg.norm(reference))
            if counting is not None:
                seen[0] = 0.0
                jax.block_until_ready(counting(y0, tol))
                jax.effects_barrier()
            rows.append(
                {
                    "label": f"diffrax {name}, jitted",
                    "group": "diffrax",
                    "level": tol,
                    "error": error if bool(ok) and math.isfinite(error) else None,
                    "evaluations": None if counting is None else seen[0],
                    "products": 0.0,
                    "attempts": int(steps),
                    "seconds": statistics.median(times),
                    "first_call": first,
                }
            )
    versions = {"jax": jax.__version__, "diffrax": diffrax.__version__}
    return {"runs": rows, "field_gap": gap, "versions": versions}


def field_of(asked: dict[str, Any], jax: Any, noted: Any = None) -> Any:
    """The field as minus the gradients of the players' losses, as ours is."""
    jnp = jax.numpy
    if asked["problem"] == "stiff":
        H = -jnp.asarray(asked["matrix"])

        def loss(i: int, own: Any, y: Any) -> Any:
            return own * (H[i] @ y.at[i].set(0.0)) + 0.5 * H[i, i] * own**2

    else:

        def loss(i: int, own: Any, y: Any) -> Any:
            theta, psi = (own, y[1]) if i == 0 else (y[0], own)
            if i == 0:
                return jax.nn.softplus(-psi * theta)
            return jax.nn.softplus(psi * theta) + 0.5 * asked["weight"] * psi**2

    slopes = [jax.grad(lambda own, y, i=i: loss(i, own, y)) for i in range(len(asked["y0"]))]

    def field(t: Any, y: Any, args: Any) -> Any:
        if noted is not None:
            jax.debug.callback(noted)
        return -jnp.stack([g(y[i], y) for i, g in enumerate(slopes)])

    return field


def solver_of(name: str, field: Any, end: float, diffrax: Any) -> Any:
    """A solve as a function of the start and the tolerance: end point, attempted steps, whether it was done."""

    def solve(y0: Any, tol: Any) -> Any:
        chosen = getattr(diffrax, name)()  # an implicit one's Newton tolerances are those of the controller
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            chosen,
            0.0,
            end,
            None,
            y0,
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol),
            max_steps=200_000,
            throw=False,
        )
        return found.ys[-1], found.stats["num_steps"], found.result == diffrax.RESULTS.successful

    return solve


def counted(name: str, asked: dict[str, Any], seen: list[float], jax: Any, diffrax: Any) -> Any:
    """A solve of its own that counts evaluations as they happen; never timed."""

    def note() -> None:
        seen[0] += 1

    return jax.jit(solver_of(name, field_of(asked, jax, note), asked["end"], diffrax))


if __name__ == "__main__":
    sys.exit(main())
