"""Kinds of methods, read off their data."""

from __future__ import annotations

import gamedyn as gd

__all__ = ["KINDS", "kind", "solves"]

KINDS = (
    "explicit Runge-Kutta",
    "low storage",
    "multistep",
    "predictor-corrector",
    "partitioned",
    "additive",
    "game method",
    "implicit Runge-Kutta",
    "implicit multistep",
    "linearly implicit",
    "exponential",
)


def kind(method: str) -> str:
    """The kind of a member: the type of its data, whether it solves equations, and its order.

    Game methods are explicit ones of order 1 with more than one stage or step: extragradient, optimistic, momentum,
    Lookahead.
    """
    chosen = gd.methods.get(method)
    by_type = {
        gd.methods.LowStorage: "low storage",
        gd.methods.PredictorCorrector: "predictor-corrector",
        gd.methods.Partitioned: "partitioned",
        gd.methods.AdditiveRungeKutta: "additive",
        gd.methods.Lookahead: "game method",
        gd.methods.LinearlyImplicit: "linearly implicit",
        gd.methods.ExponentialRosenbrock: "exponential",
    }
    if type(chosen) in by_type:
        return by_type[type(chosen)]
    multistep = isinstance(chosen, gd.methods.LinearMultistep)
    if not chosen.explicit:
        return "implicit multistep" if multistep else "implicit Runge-Kutta"
    several = multistep or getattr(chosen, "stages", 1) > 1
    if chosen.order == 1 and several:
        return "game method"
    return "multistep" if multistep else "explicit Runge-Kutta"


def solves(method: str) -> bool:
    """Whether a step solves equations or applies functions of J, so that it takes a solver."""
    return kind(method) in KINDS[7:]
