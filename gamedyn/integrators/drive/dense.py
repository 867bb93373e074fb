"""The solution between steps: parts of steps, by the method itself."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import finite
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core.randomness import RandomState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.core.evaluation import Request
    from gamedyn.integrators._types import Integrator, StepInfo
    from gamedyn.jacobian import FrozenField

__all__ = ["DenseOutput", "Node", "part"]


@dataclass(frozen=True)
class Node:
    """An end of a step, and the rates, weights and batch of the step that begins there.

    Attributes:
        t: time.
        y: the point, (n,).
        batch: of the step from here.
        buffers: that its evaluations begin from.
        memory: of the stepper.
        random: the default generators, where the losses draw.
        request: what its field is asked with.
    """

    t: float
    y: Tensor
    batch: Any = None
    buffers: tuple[Tensor, ...] = ()
    memory: Any = None
    random: RandomState | None = None
    request: Request | None = None

    def stepped(self, field: FrozenField, memory: Any) -> Node:
        """With the rates, weights and batch of the field's present step, which begins here."""
        asked = field.asked()
        rates, weights = ({k: x.clone() for k, x in entries.items()} for entries in (asked.rates, asked.weights))
        return replace(
            self,
            batch=field.batch,
            buffers=field.standing,
            memory=memory,
            random=field.replayed,
            request=asked._replace(rates=rates, weights=weights),  # schedules write the field's own
        )


class DenseOutput:
    """The solution at every time of a solve: `run.dense(t)` steps from the last node before t, with that step's batch.

    So its error is that of the solve, whatever the method, and it is continuous; it costs the evaluations of one step.
    It holds the solve's points, its batches and its game's modules.

    Args:
        nodes: ends of the steps, in order.
        field: that was stepped.
        integrator: its stepper.
        earlier: that of the run gone on from.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> control = gd.steps.Adaptive(rtol=1e-9, atol=1e-9)
        >>> run = gd.solve(flow, "dopri5", h=control, t_span=(0.0, 2.0), dense=True)
        >>> [round(float(x), 8) for x in run.dense(1.0)]  # (cos - sin, cos + sin)
        [-0.30116868, 1.38177329]
    """

    def __init__(
        self, nodes: Sequence[Node], field: FrozenField, integrator: Integrator, earlier: DenseOutput | None = None
    ) -> None:
        self._nodes, self._field, self._integrator, self._earlier = list(nodes), field, integrator, earlier

    @property
    def t(self) -> Tensor:
        """Ends of the steps, (k + 1,)."""
        own = [n.t for n in self._nodes]
        before = [] if self._earlier is None else [x for x in self._earlier.t.tolist() if x < own[0]]
        return torch.tensor([*before, *own], dtype=torch.float64)

    @torch.no_grad()
    def __call__(self, when: float) -> Tensor:
        """The state at a time, (n,).

        Raises:
            ArgumentError: outside the solve, or for anything but one number.
            SolveError: where the equations of an implicit step are not solved.
        """
        first, last = float(self.t[0]), self._nodes[-1].t
        expected = f"a time from {first:g} to {last:g}"
        when = finite("when", when, expected, "one at a time: torch.stack([run.dense(t) for t in times])")
        if not first <= when <= last:
            raise ArgumentError("when", expected, when)
        if when < self._nodes[0].t:
            return self._earlier(when)  # type: ignore[misc]
        node = self._nodes[bisect.bisect_right([n.t for n in self._nodes], when) - 1]
        return node.y.clone() if node.t == when else self._stepped(node, when - node.t)

    def _stepped(self, node: Node, h: float) -> Tensor:
        field = self._field
        field.stand_at(node.batch, node.buffers, node.random, node.request)
        with field.session():
            new, info = part(self._integrator, field, node.t, node.y.clone(), h, node.memory)
        if info.status != "ok":
            raise SolveError(f"the part of a step from t = {node.t:g}, {h:g} long: {info.status}")
        return new

    def until(self, end: float) -> DenseOutput:
        """The part up to a node."""
        kept = [n for n in self._nodes if n.t <= end]
        return DenseOutput(kept, self._field, self._integrator, self._earlier)


def part(
    integrator: Integrator, field: FrozenField, t: float, y: Tensor, h: float, memory: Any
) -> tuple[Tensor, StepInfo]:
    """The state part of a step on, by a step of the method that ends there: its error is no larger than the step's."""
    own = getattr(integrator, "part", None)
    if own is not None:
        new, info = own(field, t, y, h, memory)
    else:
        new, _, info = integrator.step(field, t, y, h, memory)
    return field.flow.project(new.clone()), info
