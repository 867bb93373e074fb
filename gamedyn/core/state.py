"""Named players <-> one flat vector. The only place that flattens."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.core import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Layout", "Leaf", "State", "refuse_another_layout"]


@dataclass(frozen=True)
class Leaf:
    """One trainable tensor: its player's place, its name there ("" for a tensor player), its shape."""

    player: int
    name: str
    shape: torch.Size

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.shape.numel()


class Laid(Protocol):
    """A game, as far as reading a state goes."""

    layout: Layout

    @property
    def device(self) -> torch.device:
        """Of its players."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its players."""


class Layout:
    """Where each trainable tensor of each player lies in the flat vector (length n).

    Attributes:
        players: names, in the game's order.
        leaves: every trainable tensor, in the order of the vector.
        slices: entries of each player.
        leaf_slices: leaves of each player.
        buffers: names of the modules' buffers, "player.module.buffer", in the order of a state's.
    """

    def __init__(self, players: Sequence[str], leaves: Sequence[Leaf], buffers: Sequence[str] = ()) -> None:
        self.players, self.leaves, self.buffers = tuple(players), tuple(leaves), tuple(buffers)
        self.sizes = [leaf.size for leaf in self.leaves]
        self.shapes = [leaf.shape for leaf in self.leaves]
        self.n = sum(self.sizes)
        self.slices: list[slice] = []
        self.leaf_slices: list[slice] = []
        at = first = 0
        for i in range(len(self.players)):
            mine = [leaf for leaf in self.leaves if leaf.player == i]
            size = sum(leaf.size for leaf in mine)
            self.slices.append(slice(at, at + size))
            self.leaf_slices.append(slice(first, first + len(mine)))
            at, first = at + size, first + len(mine)

    @property
    def signature(self) -> list[tuple[str, str, list[int]]]:
        """Player, name and shape of every leaf: equal for states that can stand for one another."""
        return [(self.players[leaf.player], leaf.name, list(leaf.shape)) for leaf in self.leaves]

    def place(self, player: str) -> int:
        """Place of a player in the game's order.

        Raises:
            UnknownNameError: if there is no such player.
        """
        if player not in self.players:
            raise UnknownNameError("player", player, self.players)
        return self.players.index(player)

    def entries(self, leaves: slice) -> slice:
        """Where leaves that follow one another lie in the vector."""
        start = sum(self.sizes[: leaves.start])
        return slice(start, start + sum(self.sizes[leaves]))

    def views(self, flat: Tensor, player: int | None = None) -> list[Tensor]:
        """The leaves as views of `flat`, shape (..., n), or (..., n_i) of one player."""
        which = slice(None) if player is None else self.leaf_slices[player]
        lead = flat.shape[:-1]
        pieces = torch.split(flat, self.sizes[which], -1)
        return [p.view((*lead, *s)) for p, s in zip(pieces, self.shapes[which], strict=True)]

    def flat(self, leaves: Sequence[Tensor], lead: int = 0) -> Tensor:
        """The flat vector of leaves with `lead` leading batch dimensions."""
        return torch.cat([x.reshape(*x.shape[:lead], -1) for x in leaves], -1)

    def parts(self, flat: Tensor) -> dict[str, Tensor]:
        """One tensor per player: of its own shape for a tensor player, 1-D for a module's parameters."""
        out = {}
        for i, (name, at) in enumerate(zip(self.players, self.slices, strict=True)):
            mine = self.leaves[self.leaf_slices[i]]
            piece = flat[..., at]
            out[name] = piece.view((*flat.shape[:-1], *mine[0].shape)) if mine[0].name == "" else piece
        return out

    def joined(self, parts: Mapping[str, Tensor], lead: int = 0) -> Tensor:
        """The flat vector of one tensor per player.

        Raises:
            ArgumentError: if a player is missing or of another size.
        """
        if set(parts) != set(self.players):
            raise ArgumentError("parts", f"one tensor for each of {list(self.players)}", f"{sorted(parts)}")
        rows = [parts[name].reshape(*parts[name].shape[:lead], -1) for name in self.players]
        for name, at, row in zip(self.players, self.slices, rows, strict=True):
            if row.shape[-1] != at.stop - at.start:
                raise ArgumentError(f"parts[{name!r}]", f"{at.stop - at.start} entries", f"{row.shape[-1]}")
        return torch.cat(rows, -1)


@dataclass(frozen=True, eq=False)
class State:
    """A point of the game: every player's parameters, and the buffers that go with them.

    Attributes:
        layout: how the players lie in the vector.
        y: flat vector, shape (n,), or (members, n) of an ensemble.
        buffers: buffers of the modules (batch-norm statistics, spectral-norm vectors), in the game's order.

    `state["G"]` is a tensor for a tensor player and a dictionary of tensors for a module; `state.parts()`
    has one tensor per player.
    """

    layout: Layout
    y: Tensor
    buffers: tuple[Tensor, ...] = field(default=())

    def __getitem__(self, player: str) -> Any:
        i = self.layout.place(player)
        mine = self.layout.leaves[self.layout.leaf_slices[i]]
        views = self.layout.views(self.y[..., self.layout.slices[i]], i)
        if mine[0].name == "":
            return views[0]
        return {leaf.name: view for leaf, view in zip(mine, views, strict=True)}

    def parts(self) -> dict[str, Tensor]:
        """One tensor per player: of its own shape for a tensor player, 1-D for a module's parameters."""
        return self.layout.parts(self.y)

    def named_buffers(self) -> dict[str, Tensor]:
        """The modules' buffers by name, "player.module.buffer"."""
        return dict(zip(self.layout.buffers, self.buffers, strict=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it: whole or not at all, with a digest.

        Raises:
            ArgumentError: if the file cannot be written.

        Example:
            >>> import gamedyn as gd
            >>> from tempfile import TemporaryDirectory
            >>> game = gd.games.bilinear()
            >>> with TemporaryDirectory() as folder:
            ...     game.state().save(f"{folder}/start.state")
            ...     gd.State.load(f"{folder}/start.state", game)
            State(x: 1, y: 1; (2,), torch.float64, cpu)
        """
        try:
            files.write(Path(path), {"layout": self.layout.signature, "y": self.y, "buffers": self.named_buffers()})
        except OSError as error:
            got = f"{path}: {error.strerror or error}"
            raise ArgumentError("path", "a file in a folder that can be written", got) from error

    @staticmethod
    def load(path: str | os.PathLike[str], game: Laid) -> State:
        """Read a state of this game, onto its players' device and in their floating-point type.

        Raises:
            ArgumentError: if the file is missing, damaged, or of other players, parameters or buffers.
        """
        content = files.read(Path(path), game.device)
        if "layout" not in content or "recorded" in content:
            raise ArgumentError("path", "a file that State.save wrote", str(path), "a run's: gamedyn.Run.load")
        layout = game.layout
        refuse_another_layout("path", content["layout"], list(content["buffers"]), layout)
        state = State(layout, content["y"], tuple(content["buffers"][name] for name in layout.buffers))
        return state.to(game.device, game.dtype)

    def member(self, index: int) -> State:
        """One member of an ensemble's state."""
        return State(self.layout, self.y[index], self.buffers)

    def with_y(self, y: Tensor) -> State:
        """The same players and buffers at another point."""
        return State(self.layout, y, self.buffers)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> State:
        """The same on another device, in another floating-point type; buffers of integers keep theirs."""
        kinds = [dtype if b.is_floating_point() else b.dtype for b in self.buffers]
        moved = tuple(b.to(device, kind) for b, kind in zip(self.buffers, kinds, strict=True))
        return State(self.layout, self.y.to(device, dtype), moved)

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{p}: {s.stop - s.start}" for p, s in zip(self.layout.players, self.layout.slices, strict=True)
        )
        return f"State({sizes}; {tuple(self.y.shape)}, {self.y.dtype}, {self.y.device})"


def refuse_another_layout(argument: str, leaves: Any, buffers: Sequence[str], layout: Layout) -> None:
    """Refuse what is of other players, parameters or buffers, naming the first that differs.

    Args:
        argument: what brought it.
        leaves: the signature of its layout, as read from a file or not.
        buffers: names of its buffers.
        layout: what is expected.

    Raises:
        ArgumentError: with what it has, and what is expected.
    """
    there, here = ([tuple(map(_plain, x)) for x in held] for held in (leaves, layout.signature))
    if there != here:
        at = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), min(len(there), len(here)))
        expected, got = (_described(held, at) for held in (here, there))
        players = ", ".join(layout.players)
        raise ArgumentError(argument, f"one of the players {players}; at place {at + 1} {expected}", got)
    if set(buffers) != set(layout.buffers):
        got = f"one with {sorted(buffers) or 'none'}"
        raise ArgumentError(argument, f"one with the buffers {sorted(layout.buffers) or 'none'}", got)


def _plain(x: Any) -> Any:
    return tuple(x) if isinstance(x, (list, tuple)) else x


def _described(held: Any, at: int) -> str:
    if at >= len(held):
        return "no more parameters"
    player, name, shape = held[at]
    return f"{player}{'.' if name else ''}{name} of shape {tuple(shape)}"
