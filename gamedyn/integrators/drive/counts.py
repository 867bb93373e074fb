"""What a step asks of a device, counted without one: waits of the host, kernels, vectors of parameter size moved."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gamedyn.flows._types import of_flow
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.execution.operations import Operation, Operations
from gamedyn.jacobian import FrozenField

if TYPE_CHECKING:
    from gamedyn.flows import Flow
    from gamedyn.methods import Method

__all__ = ["StepCounts", "step_counts"]

OVERWRITE = ("copy_", "fill_", "zero_", "_foreach_copy_")
"""Operations that do not read what they write."""


class StepCounts(NamedTuple):
    """What one step of a method, once started, asks of a device.

    Attributes:
        evaluations: field evaluations.
        waits: times the host waits for the device.
        sent: times that numbers of the host's are sent there; nothing need wait for it.
        kernels: operations that compute, a fused or multi-tensor one counted once: about as many launches of kernels.
        moved: vectors of the state's size that operations read and write: its own, those of single players, and the
            gradients as they are put into their row; not those of exponential methods, a few entries longer.
        why: what the host waits for, and how often.
    """

    evaluations: float
    waits: int
    sent: int
    kernels: int
    moved: float
    why: Counter[str]


def step_counts(flow: Flow, method: str | Method, batch: Any = None, *, h: float = 0.01, **options: Any) -> StepCounts:
    """Count what one step of a method, once started, asks of a device.

    The operations are seen below autograd, so they are those that a GPU would be asked for; on a CPU nothing waits, and
    a wait is an operation whose result the host reads.

    Args:
        flow: what is stepped, from where its players stand.
        method: a name or a method object.
        batch: what the losses take.
        h: step.
        options: of the method's stepper: `solver`, `history`.

    Raises:
        ArgumentError: as `gamedyn.solve`.

    Example:
        >>> from gamedyn import flows, games
        >>> counts = step_counts(flows.gradient(games.bilinear()), "rk4")
        >>> counts.evaluations, counts.waits
        (4.0, 0)
    """
    integrator = stepper(method, **options)
    field = FrozenField(of_flow(flow), flow.initial_state().buffers, check=False)
    y = flow.initial_state().y
    with torch.no_grad():
        field.open(y, batch)
        memory, n = integrator.init(field, 0.0, y, h), 0
        if integrator.in_place:
            y = field.point.copy_(y)
        for n in range(integrator.method.steps + 2):  # what is made once is made in the first ones
            field.begin_step(batch, n)
            with field.session():
                y, memory, _ = integrator.step(field, n * h, y, h, memory)
        field.begin_step(batch, n + 1)
        before = field.work.evaluations
        with field.session(), Operations() as seen:
            integrator.step(field, (n + 1) * h, y, h, memory)
    runs = [o for o in seen if o.runs]
    why = Counter(seen.reads)
    spent = field.work.evaluations - before
    sizes = [at.stop - at.start for at in field.players]
    moved = sum(map(partial(_moved, sizes=sizes), runs)) / y.numel()
    return StepCounts(spent, sum(why.values()), len(seen.sends), len(runs), moved, why)


def _moved(o: Operation, sizes: list[int]) -> int:
    """Entries of states, of one player, or of all leaves at once, that an operation reads and writes."""
    first, *others = o.args or (None,)
    reads = tree_leaves([others if o.name in OVERWRITE else o.args, {k: v for k, v in o.kwargs.items() if k != "out"}])
    writes = tree_leaves(o.out if o.results else first if o.writes else None)
    touched = [x for x in (*reads, *writes) if isinstance(x, Tensor)]
    if o.name.startswith("_foreach"):
        return sum(x.numel() for x in touched)
    return sum(x.numel() for x in touched if any(d in sizes or (d and d % sum(sizes) == 0) for d in x.shape))
