"""One method on one digits GAN: its largest stable step, predicted from coefficients, measured on the real step."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import gamedyn as gd
from analysis.common.equilibria import finite, linearisation, measured_limit, stationary, tangent_radius
from analysis.common.parts import Result

__all__ = ["beside", "made_for"]


def made_for(settings: Any, *, loss: str, stages: int, order: int) -> Result:
    """A method of so many stages, made for the spectrum at the equilibrium."""
    values, began = linearisation(loss, settings.q, settings.decay).eigenvalues.values, time.process_time()
    made: Any = gd.stability.tailor(values, stages, order)
    seconds = time.process_time() - began
    figures: dict[str, Any] = {"stages": stages, "order": order, "internal": made.internal, "perturbed": made.perturbed}
    figures |= {"form": getattr(made.method, "form", "chain"), "seconds to make": seconds}
    coefficients = np.array([float(c) for c in made.polynomial])
    return _limits(settings, loss, made.method, f"tailored, {stages} stages, order {order}", figures, coefficients)


def beside(settings: Any, *, loss: str, method: str) -> Result:
    """A member."""
    chosen: Any = gd.methods.get(method)
    return _limits(settings, loss, chosen, method, {"stages": int(chosen.evaluations), "order": chosen.order}, None)


def _limits(settings: Any, loss: str, method: Any, label: str, figures: dict[str, Any], made: Any) -> Result:
    lin = linearisation(loss, settings.q, settings.decay)
    predicted = gd.spectrum.stable_steps(method, lin)
    radius, _ = tangent_radius(*stationary(loss, settings.q, settings.decay), method)
    measured = measured_limit(radius)
    figures |= {
        "label": label,
        "loss": loss,
        "predicted": predicted.limit,
        "measured": finite(measured),
        "per_evaluation": predicted.limit / figures["stages"],
        "binding": [predicted.binding.real, predicted.binding.imag] if predicted.binding is not None else None,
    }
    arrays = {"eigenvalues": lin.eigenvalues.values}
    return Result(figures, arrays if made is None else arrays | {"polynomial": made})
