"""How far a solve goes and what it talks to; what ends it early, and how its progress is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.integrators.drive.checkpoints import Checkpoints
    from gamedyn.integrators.drive.events import Event
    from gamedyn.integrators.drive.observers import Every, Watch

__all__ = ["FAILURES", "NEAR", "Around", "PartFailed", "Plan", "Progress", "StreamEnded", "copied", "samples"]

FAILURES = {
    "non_finite": (
        "the state stopped being finite",
        "h = {h} may be beyond the method's stability limit: see gamedyn.spectrum.stable_steps",
    ),
    "not_converged": (
        "a stage did not converge",
        "h = {h}: take shorter steps, or a solver with a looser rtol (1e-3 for networks of ReLUs) or more iterations",
    ),
    "krylov_breakdown": ("a linear system was singular", "h = {h} meets an eigenvalue of J: take another step"),
    "step_too_small": (
        "the step fell below h_min",
        "the tolerances ask for shorter ones: a fast field (give a smaller h_min), one that is not smooth, or noise",
    ),
    "too_many_steps": ("max_steps was reached", "raise Adaptive's max_steps, or loosen its tolerances"),
    "stream_ended": (
        "the batches ended",
        "gamedyn.batches(loader) begins again when the loader ends; what was done is kept",
    ),
}
"""Statuses that end a run before its end, in words, and what may be done."""


NEAR = 1e-9
"""Share of a step by which a time may miss its end and be that end."""


class StreamEnded(Exception):
    """An iterator of batches that has no more."""


class PartFailed(Exception):
    """A part of a step that is rejected; its text is the status."""


@dataclass(frozen=True)
class Plan:
    """How far to go, and what to keep on the way.

    Attributes:
        start: time of step 0.
        steps: in all, or None.
        end: time of the end, or None.
        last: a shortened last step of `steps` equal ones, or None.
        evaluations: in all, start-up included, or None.
        images: in all, or None.
        saves: times to save, sorted, each in or at the end of a step.
        every: rhythm of the records.
        check_every: steps between looks whether the state is finite.
        dense: whether to keep the nodes of dense output.
    """

    start: float
    steps: int | None = None
    end: float | None = None
    last: float | None = None
    evaluations: float | None = None
    images: int | None = None
    saves: tuple[float, ...] = ()
    every: Every = None  # type: ignore[assignment]
    check_every: int = 50
    dense: bool = False


@dataclass
class Around:
    """What a loop talks to besides its field and its stepper.

    Attributes:
        draw: gives a batch, or None.
        streams: those whose place is kept.
        watching: observers.
        checkpoint: where the run is kept on disk.
        execution: how a step is executed.
        facts: what is solved, by what, on what.
        events: by name.
        others: whether observers may be others than those of the run gone on from.
        schedules: by what is multiplied ("rate G", "weight r1") a tensor of the field, its function of the step, and
            the entries of the state that it moves.
    """

    draw: Callable[[], Any] | None = None
    streams: list[Any] | None = None
    watching: Sequence[Watch] = ()
    checkpoint: Checkpoints | None = None
    execution: str = "eager"
    facts: dict[str, Any] = field(default_factory=dict)
    events: Mapping[str, Event] = field(default_factory=dict)
    others: bool = False
    schedules: Mapping[str, tuple[Tensor, Callable[[int], float], list[slice]]] = field(default_factory=dict)


class Progress:
    """A bar for what the plan counts: steps, evaluations, images or time.

    Args:
        plan: the plan.
        done: steps done before.
        t: time at the start.
        shown: whether there is a bar (never unless standard error is a terminal).
    """

    def __init__(self, plan: Plan, done: int, t: float, *, shown: bool) -> None:
        self._plan, self._from, off = plan, t, None if shown else True
        if plan.steps is not None:
            self._bar: Any = tqdm(total=plan.steps, initial=done, disable=off, unit="step")
            return
        span = None if plan.end is None else plan.end - t
        totals = {"evaluations": plan.evaluations, "images": plan.images, "of time": span}
        unit, total = next((u, float(x)) for u, x in totals.items() if x is not None)
        text = f"{{l_bar}}{{bar}}| {{n:.4g}}/{{total:.4g}} {unit} [{{elapsed}}<{{remaining}}]"
        self._bar = tqdm(total=total, disable=off, bar_format=text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def step(self, evaluations: float, images: int, t: float) -> None:
        """A step more, at these counts."""
        plan = self._plan
        if plan.steps is not None:
            self._bar.update()
        elif not self._bar.disable:
            done = evaluations if plan.evaluations else images if plan.images else t - self._from
            self._bar.update(done - self._bar.n)


def samples(batch: Any, lead: int = 0) -> int:
    """How many samples a batch has: the length of its first tensor, after `lead` dimensions of members."""
    first = next((x for x in tree_leaves(batch) if isinstance(x, Tensor) and x.dim() > lead), None)
    return 0 if first is None else first.shape[lead]


def copied(memory: Any) -> Any:
    """A copy of all tensors in it."""
    return torch.utils._pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, memory)
