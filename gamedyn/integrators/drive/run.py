"""What a solve leaves behind: the last finite state, the records, and how to go on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import State

if TYPE_CHECKING:
    from gamedyn.flows import Flow
    from gamedyn.integrators.drive.dense import DenseOutput

__all__ = ["Records", "Run", "writable"]

FORMAT = 1


@dataclass
class Records:
    """What was recorded on the way, at every `every`-th step.

    Attributes:
        step: number of steps done before the losses were taken, (r,).
        t: time there, (r,); of an ensemble, whose members have times of their own, the step's number.
        losses: by player, (r,), or (r, members): at the first evaluation of the step.
        extra: of adaptive runs, for every accepted step: its "t", "h" and "error" (in tolerances).
    """

    step: Tensor
    t: Tensor
    losses: dict[str, Tensor]
    extra: dict[str, Tensor] = field(default_factory=dict)

    def until(self, step: int) -> Records:
        """The records of the first steps."""
        kept = self.step < step
        losses = {k: v[kept] for k, v in self.losses.items()}
        return Records(self.step[kept], self.t[kept], losses, {k: v[:step] for k, v in self.extra.items()})


@dataclass
class Run:
    """The result of `solve`.

    Attributes:
        state: last state; after a failure, the last one that was checked and finite.
        memory: what the method remembers, to go on with.
        t: time of `state`; of an ensemble, whose members may differ in h, the number of steps.
        step: steps done, in all.
        status: "done", "stopped" (by on_step), "non_finite", "not_converged", "krylov_breakdown", "step_too_small",
            "too_many_steps" or "interrupted"; of an ensemble one for each member.
        stats: what it cost: evaluations, player_gradients, double_backward, products, batches, seconds,
            integrated_time, and what the method counts (newton_iterations, krylov_products, accepted, rejected);
            and how: start, method, h, sampling, history, compiled.
        records: what was recorded.
        saved: states at the times asked for.
        batches: where the stream of batches stands.
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
    batches: dict[str, Any] | None = None
    dense: DenseOutput | None = None

    def __repr__(self) -> str:
        status = (
            self.status if isinstance(self.status, str) else f"{self.status.count('done')} of {len(self.status)} done"
        )
        return f"Run({status}, step={self.step}, t={self.t:g}, evaluations={self.stats['evaluations']:g})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything needed to go on, and the records, atomically.

        Raises:
            ArgumentError: if the folder cannot be written.
        """
        target = Path(path)
        content = {
            "format": FORMAT,
            "layout": self.state.layout.signature,
            "y": self.state.y,
            "buffers": list(self.state.buffers),
            "memory": self.memory,
            "t": self.t,
            "step": self.step,
            "status": self.status if isinstance(self.status, str) else list(self.status),
            "stats": self.stats,
            "records": {
                "step": self.records.step,
                "t": self.records.t,
                "losses": self.records.losses,
                "extra": self.records.extra,
            },
            "saved": {t: (s.y, list(s.buffers)) for t, s in self.saved.items()},
            "batches": self.batches,
        }
        partial = target.with_name(target.name + ".partial")
        try:
            torch.save(content, partial)
            os.replace(partial, target)
        except (OSError, RuntimeError) as error:
            raise ArgumentError("path", "a file in a folder that can be written", str(target), str(error)) from error

    @staticmethod
    def load(path: str | os.PathLike[str], flow: Flow) -> Run:
        """Read a run of this flow.

        Raises:
            ArgumentError: if the file is missing, is not a run, or belongs to a game of another size.
        """
        game = flow.game
        try:
            content = torch.load(path, map_location=game.device, weights_only=True)
            known = content["format"] == FORMAT
        except Exception as error:
            raise ArgumentError("path", "a file written by Run.save", str(path), f"{type(error).__name__}") from error
        if not known or [tuple(x) for x in content["layout"]] != [tuple(x) for x in game.layout.signature]:
            expected = f"a run of a game of {game.layout.n} parameters, {game!r}"
            raise ArgumentError("path", expected, "a run of another game")
        status = content["status"]
        return Run(
            state=State(game.layout, content["y"], tuple(content["buffers"])),
            memory=content["memory"],
            t=content["t"],
            step=content["step"],
            status=status if isinstance(status, str) else tuple(status),
            stats=content["stats"],
            records=Records(**content["records"]),
            saved={t: State(game.layout, y, tuple(b)) for t, (y, b) in content["saved"].items()},
            batches=content["batches"],
        )


def writable(path: str | os.PathLike[str]) -> None:
    """Check, before work is done, that a run can be written there.

    Raises:
        ArgumentError: if not.
    """
    target = Path(path)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        got = f"{target} ({error.strerror})"
        raise ArgumentError("checkpoint", "a file in a folder that can be written", got) from error
