"""How a step is executed: eager, compiled, captured. One stepper, one result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn._lib.checks import choice
from gamedyn.integrators.execution.captured import CapturedStep
from gamedyn.integrators.execution.compiled import CompiledStep
from gamedyn.integrators.execution.whole import EagerStep

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator

__all__ = ["EXECUTIONS", "executed"]

EXECUTIONS = {"eager": EagerStep, "compiled": CompiledStep, "captured": CapturedStep}


def executed(stepper: Integrator, execution: str) -> Any:
    """A stepper's `step`, executed in a way of a name.

    Raises:
        ArgumentError: for an unknown name.
    """
    return EXECUTIONS[choice("execution", execution, tuple(EXECUTIONS))](stepper)
