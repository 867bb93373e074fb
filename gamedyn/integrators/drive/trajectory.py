"""The saved states of a run as arrays: for plots, tables and analyses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gamedyn.core import State
    from gamedyn.core.state import Layout
    from gamedyn.flows import Flow

__all__ = ["Trajectory"]


@dataclass(frozen=True)
class Trajectory:
    """Times and states in order of time, as NumPy arrays on the host; `trajectory["x"]` is one player's part.

    Attributes:
        t: times, (k,).
        y: states, (k, n).
        losses: by player, (k,), where a flow was given.
        layout: how the players lie in y.
    """

    t: NDArray[np.float64]
    y: NDArray[np.floating[Any]]
    layout: Layout
    losses: dict[str, NDArray[np.floating[Any]]] = field(default_factory=dict)

    @staticmethod
    def of(saved: Mapping[float, State], layout: Layout, flow: Flow | None = None, batch: Any = None) -> Trajectory:
        """That of states by time.

        Raises:
            ArgumentError: if there are none.
        """
        if not saved:
            remedy = "save states: solve(..., save_at=times), or events"
            raise ArgumentError("saved", "a run with saved states", "none", remedy)
        times = sorted(saved)
        y = np.stack([saved[t].y.detach().cpu().numpy() for t in times])
        found: dict[str, list[float]] = {}
        for t in times if flow is not None else ():
            frozen = flow.at(saved[t], batch, t, check=False)  # type: ignore[union-attr]
            frozen(t, frozen.at.y)
            for name, loss in zip(frozen.names, frozen.losses, strict=False):  # a custom flow has none
                found.setdefault(name, []).append(float(loss))
        return Trajectory(np.array(times), y, layout, {k: np.array(v) for k, v in found.items()})

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, player: str) -> NDArray[np.floating[Any]]:
        """A player's part: (k, ...) of a tensor player's own shape, (k, n_i) of a module's parameters."""
        i = self.layout.place(player)
        own = self.y[:, self.layout.slices[i]]
        first = self.layout.leaves[self.layout.leaf_slices[i]][0]
        return own.reshape(len(self.t), *first.shape) if first.name == "" else own

    def to_pandas(self) -> Any:
        """A table with a row for each time: t, every entry of every player ("x", or "x 0", "x 1", ...), the losses."""
        import pandas as pd  # type: ignore[import-untyped]

        columns: dict[str, Any] = {"t": self.t}
        for name in self.layout.players:
            own = self[name].reshape(len(self.t), -1)
            entries = [name] if own.shape[1] == 1 else [f"{name} {j}" for j in range(own.shape[1])]
            _add(columns, dict(zip(entries, own.T, strict=True)))
        _add(columns, {f"loss {name}": values for name, values in self.losses.items()})
        return pd.DataFrame(columns)


def _add(columns: dict[str, Any], more: Mapping[str, Any]) -> None:
    """More columns; one whose name is in use is called "player NAME"."""
    for name, values in more.items():
        columns[f"player {name}" if name in columns else name] = values
