"""What a solve leaves behind: the last finite state, the records, and how to go on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._pytree import tree_map

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import State, files
from gamedyn.core.state import refuse_another_layout
from gamedyn.integrators.drive.records import Records
from gamedyn.integrators.drive.trajectory import Trajectory

if TYPE_CHECKING:
    import os

    import torch

    from gamedyn.flows import Flow
    from gamedyn.integrators.drive.dense import DenseOutput

__all__ = ["Run"]


@dataclass
class Run:
    """The result of `solve`.

    Attributes:
        state: last state; after a failure, the last one that was checked and finite.
        memory: what the method remembers, to go on with.
        t: time of `state`; of an ensemble, whose members may differ in h, the number of steps.
        step: steps done, in all.
        status: "done", "stopped" (by an observer or an event), "non_finite", "not_converged", "krylov_breakdown",
            "step_too_small", "too_many_steps", "stream_ended", "interrupted", or "running" (read from the checkpoint of
            a run that was killed); of an ensemble one for each member.
        stats: what it cost: evaluations, startup_evaluations (of them, those until a multistep method was started),
            player_gradients, double_backward, products, batches, images, seconds,
            integrated_time, and what the method counts (newton_iterations, krylov_products, accepted, rejected);
            and how: start, method, h, sampling, history, execution.
        records: what was recorded.
        saved: states at the times asked for, and at those of the events.
        events: by name, the times at which one was met.
        place: what going on takes besides: where the stream of batches, observers, step sizes and default generators
            stand.
        facts: what was solved, by what, on what: a run that goes on is checked against it.
        dense: the solution at every time, of an adaptive solve that was asked for it, and of the run it went on
            from; not saved.
    """

    state: State
    memory: Any
    t: float
    step: int
    status: str | tuple[str, ...]
    stats: dict[str, Any]
    records: Records
    saved: dict[float, State] = field(default_factory=dict)
    events: dict[str, list[float]] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    dense: DenseOutput | None = None

    def __repr__(self) -> str:
        status = (
            self.status if isinstance(self.status, str) else f"{self.status.count('done')} of {len(self.status)} done"
        )
        return f"Run({status}, step={self.step}, t={self.t:g}, evaluations={self.stats['evaluations']:g})"

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Run:
        """The same on another device, in another floating-point type: states and what the method remembers."""

        def moved(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return x.to(device, dtype if x.is_floating_point() and x.dtype == self.state.y.dtype else x.dtype)

        saved = {t: s.to(device, dtype) for t, s in self.saved.items()}
        return replace(
            self, state=self.state.to(device, dtype), memory=tree_map(moved, self.memory), saved=saved, dense=self.dense
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything needed to go on, and the records: whole or not at all, with a digest.

        Raises:
            ArgumentError: if the file cannot be written.
        """
        target = Path(path)
        if target.is_dir():
            raise ArgumentError("path", "a file", f"{target}, a folder", "name a file in it")
        try:
            files.write(target, {**self.content(), "records": vars(self.records)})
        except OSError as error:
            got = f"{target}: {error.strerror or error}"
            raise ArgumentError("path", "a file in a folder that can be written", got) from error

    def content(self) -> dict[str, Any]:
        """What its file holds, records apart."""
        return {
            "facts": self.facts,
            "y": self.state.y,
            "buffers": list(self.state.buffers),
            "memory": self.memory,
            "t": self.t,
            "step": self.step,
            "status": self.status if isinstance(self.status, str) else list(self.status),
            "stats": self.stats,
            "saved": {t: (s.y, list(s.buffers)) for t, s in self.saved.items()},
            "events": self.events,
            "place": self.place,
        }

    def trajectory(self, flow: Flow | None = None, batch: Any = None) -> Trajectory:
        """The saved states in order of time, as NumPy arrays; with a flow, the losses at them on one batch.

        Example:
            >>> import gamedyn as gd
            >>> flow = gd.flows.gradient(gd.games.bilinear())
            >>> run = gd.solve(flow, "rk4", h=0.1, steps=20, save_at=[0.0, 1.0, 2.0])
            >>> found = run.trajectory(flow)
            >>> found.t, found["x"].round(2), found.losses["x"].round(2)
            (array([0., 1., 2.]), array([[ 1.  ],
                   [-0.3 ],
                   [-1.33]]), array([ 1.  , -0.42, -0.65]))
        """
        return Trajectory.of(self.saved, self.state.layout, flow, batch)

    @staticmethod
    def load(path: str | os.PathLike[str], flow: Flow) -> Run:
        """Read a run of this flow: a file that `save` wrote, or the newest whole checkpoint in a folder.

        Raises:
            ArgumentError: if there is none, it is damaged, or belongs to a game of other players or parameters.
        """
        if Path(path).is_dir():
            from gamedyn.integrators.drive.checkpoints import latest

            return latest(Path(path), flow)
        content = files.read(Path(path), flow.game.device)
        if "records" not in content:
            raise ArgumentError("path", "a file with its records", str(path), "give its folder")
        return restored(content, Records(**content["records"]), flow)


def restored(content: dict[str, Any], records: Records, flow: Flow) -> Run:
    """A run of a file's content.

    Raises:
        ArgumentError: if it is of other players or parameters.
    """
    layout, status = flow.game.layout, content["status"]
    refuse_another_layout("resume", content["facts"]["layout"], content["facts"]["buffers"], layout)
    return Run(
        state=State(layout, content["y"], tuple(content["buffers"])),
        memory=content["memory"],
        t=content["t"],
        step=content["step"],
        status=status if isinstance(status, str) else tuple(status),
        stats=content["stats"],
        records=records,
        saved={t: State(layout, y, tuple(b)) for t, (y, b) in content["saved"].items()},
        events=content["events"],
        place=content["place"],
        facts=content["facts"],
    )
