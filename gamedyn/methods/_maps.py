"""Discrete maps: steps that discretise no flow, so that they have neither R(z) nor an order."""

from __future__ import annotations

from typing import ClassVar

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._delegated import Delegated
from gamedyn.methods._method import Method

__all__ = ["Grafted", "Map", "NormalisedDescent"]


class Map(Method):
    """A discrete map: no R(z), no order, no step limits; each step takes one evaluation of the field.

    Attributes:
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.
        order: None: a map approximates no flow.
    """

    has_theory: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The family in words."""
        return "map"

    @property
    def resamples(self) -> bool:
        """Always: there is one evaluation a step."""
        return True

    @property
    def evaluations(self) -> int:
        """Field evaluations of a step."""
        return 1

    @property
    def registers(self) -> int | None:
        """Vectors of parameter size that a step holds; None where another library's optimiser decides."""
        return None


class NormalisedDescent(Map):
    """Every player moves a fixed distance along its own velocity: `y_i+ = y_i + h rate_i v_i / |v_i|`.

    `v_i` carries rate_i, which the normalisation loses; it is put back, so that h * rate_i is the length of
    player i's step. A player (layer) whose velocity is zero stays. With a fixed h the iterates cannot settle:
    near an equilibrium they chatter at that distance.

    Args:
        layerwise: whether each parameter tensor is divided by its own norm (every layer then moves h rate_i),
            instead of the player's whole velocity by one.
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.

    Source: Jelassi, Dobre, Mensch, Li, Gidel 2022, arXiv:2210.04319 (nSGDA).

    Example:
        >>> NormalisedDescent(layerwise=True).order is None
        True
    """

    def __init__(
        self, layerwise: bool = False, *, name: str = "", aliases: tuple[str, ...] = (), source: str = "user"
    ) -> None:
        self.layerwise = _flag(layerwise)
        self.name, self.aliases, self.source = name, aliases, source

    def __repr__(self) -> str:
        return f"NormalisedDescent({self.name or 'user-made'}, layerwise={self.layerwise})"

    @property
    def registers(self) -> int:
        """The velocity, which becomes its direction, y, the field's point, the result, a checked state."""
        return 5


class Grafted(Map):
    """One map's length on another's direction: `y_i+ = y_i + |m_i| d_i / |d_i|`, per player or per layer.

    m and d are the steps that the two maps would take from y with the same velocity and the same h; both
    keep their own memory. A player (layer) whose d_i is zero stays.

    Args:
        magnitude: whose length: a name ("torch.optim:Adam", "normalised", "euler") or a map object.
        direction: whose direction, likewise.
        layerwise: whether lengths are taken per parameter tensor instead of per player.
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.

    Raises:
        ArgumentError: if a side is neither a name nor a method object. Names are looked up when it is stepped.

    Source: Agarwal, Anil, Hazan, Koren, Zhang 2020, arXiv:2002.11803, section 3.

    Example:
        >>> Grafted("torch.optim:Adam", "euler").evaluations
        1
    """

    def __init__(
        self,
        magnitude: str | Delegated | Map,
        direction: str | Delegated | Map,
        *,
        layerwise: bool = False,
        name: str = "",
        aliases: tuple[str, ...] = (),
        source: str = "user",
    ) -> None:
        for argument, side in (("magnitude", magnitude), ("direction", direction)):
            if not side or not (isinstance(side, str) or hasattr(side, "name")):
                raise ArgumentError(argument, "the name of a map or of one of torch.optim's, or such an object", side)
        self.magnitude, self.direction = magnitude, direction
        self.layerwise = _flag(layerwise)
        self.name, self.aliases, self.source = name, aliases, source

    @property
    def straight_line(self) -> bool:
        """Whether a step is a fixed sequence of evaluations and sums: not where a library's optimiser steps."""
        return False

    def __repr__(self) -> str:
        sides = f"magnitude={_label(self.magnitude)}, direction={_label(self.direction)}"
        return f"Grafted({self.name or 'user-made'}, {sides}, layerwise={self.layerwise})"


def _label(side: str | Delegated | Map) -> str:
    return side if isinstance(side, str) else side.name or repr(side)


def _flag(layerwise: object) -> bool:
    if not isinstance(layerwise, bool):
        raise ArgumentError("layerwise", "True or False", layerwise)
    return layerwise
