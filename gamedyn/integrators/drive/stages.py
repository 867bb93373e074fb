"""Where a step keeps its field values: as they are, in bfloat16, in the host's memory, or shared by processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.adaptive import Adaptive
from gamedyn.integrators.steppers.sharded import ShardedStepper

if TYPE_CHECKING:
    from gamedyn.core.field import Field
    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.step_sizes import StepSize

__all__ = ["STAGES", "staged"]

STAGES = ("full", "bfloat16", "host", "sharded")


def staged(integrator: Integrator, field: Field, stages: str, size: StepSize, execution: str) -> Integrator:
    """The stepper that keeps its stages on a field so.

    Raises:
        ArgumentError: for a method whose stepper cannot, an adaptive step, or a step that is compiled or captured.
    """
    if choice("stages", stages, STAGES) == "full":
        return integrator
    if isinstance(size, Adaptive):
        raise ArgumentError("stages", '"full" for an adaptive step', stages, "an error is estimated from whole stages")
    if execution != "eager":
        raise ArgumentError("stages", f'"full" for a step that is {execution}', stages, 'take execution="eager"')
    if stages == "sharded":
        return ShardedStepper(integrator)
    if not integrator.keeps_stages:
        remedy = "explicit Runge-Kutta methods, multistep, partitioned and additive ones keep stages elsewhere"
        raise ArgumentError("stages", f'"full" for {label(integrator.method)}', stages, remedy)
    field.keep_stages(stages)
    return integrator
