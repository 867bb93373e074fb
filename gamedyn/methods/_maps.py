"""Discrete maps: steps that discretise no flow, so that they have neither R(z) nor an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._delegated import Delegated
from gamedyn.methods._method import Method
from gamedyn.methods.partitioned import alternating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AlternatingMap", "ExtrapolatedMap", "Grafted", "Map", "NormalisedDescent", "OptimisticMap"]

NORMS = ("euclidean", "maximum", "spectral")


class Map(Method):
    """A discrete map: no R(z), no order, no step limits.

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
        """Always: no equation is solved for one field."""
        return True

    @property
    def ensembles(self) -> bool:
        """Always: what a map is made of steps them too."""
        return True

    @property
    def evaluations(self) -> float:
        """Field evaluations of a step."""
        return 1

    @property
    def registers(self) -> int | None:
        """Vectors of parameter size that a step holds; None where another library's optimiser decides."""
        return None


class NormalisedDescent(Map):
    """Every player moves a fixed distance along its own velocity: `y_i+ = y_i + h rate_i d_i`.

    `d_i` is the steepest direction of length 1 in a norm: `v_i / |v_i|` in the Euclidean one; `sign(v_i)` in the
    maximum norm; in the spectral norm, tensor by tensor, `U V^T` of `v = U S V^T`, the tensor as a matrix of its first
    dimension by the others (a vector as one column), singular values that are rounding alone being left out.

    `v_i` carries rate_i, which the normalisation loses; it is put back, so that h * rate_i is the length of
    player i's step. A player (layer) whose velocity is zero stays. With a fixed h the iterates cannot settle:
    near an equilibrium they chatter at that distance.

    Args:
        layerwise: whether each parameter tensor is divided by its own norm (every layer then moves h rate_i),
            instead of the player's whole velocity by one. The spectral norm is layerwise; the signs are the same.
        norm: "euclidean", "maximum" or "spectral".
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.

    Raises:
        UnknownNameError: for another norm.
        ArgumentError: for a spectral norm that is not layerwise.

    Source: Jelassi, Dobre, Mensch, Li, Gidel 2022, arXiv:2210.04319 (nSGDA); Bernstein, Wang, Azizzadenesheli,
        Anandkumar 2018 (signs); Carlson, Cevher, Carin 2015 (spectral).

    Example:
        >>> NormalisedDescent(layerwise=True).order is None
        True
    """

    def __init__(
        self,
        layerwise: bool = False,
        *,
        norm: str = "euclidean",
        name: str = "",
        aliases: tuple[str, ...] = (),
        source: str = "user",
    ) -> None:
        self.layerwise, self.norm = _flag(layerwise), choice("norm", norm, NORMS)
        if norm == "spectral" and not layerwise:
            raise ArgumentError("layerwise", "True for the spectral norm, which matrices have", layerwise)
        self.name, self.aliases, self.source = name, aliases, source

    def __repr__(self) -> str:
        norm = "" if self.norm == "euclidean" else f", norm={self.norm!r}"
        return f"NormalisedDescent({self.name or 'user-made'}, layerwise={self.layerwise}{norm})"

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: how far a singular value decomposition goes."""
        return "singular values are decomposed" if self.norm == "spectral" else ""

    @property
    def registers(self) -> int | None:
        """The velocity, which becomes its direction, y, the field's point, the result, a checked state.

        None: a singular value decomposition decides.
        """
        return 5 if self.norm != "spectral" else None


class Grafted(Map):
    """One map's length on another's direction: `y_i+ = y_i + |m_i| d_i / |d_i|`, per player or per layer.

    m and d are the steps that the two maps would take from y with the same velocity and the same h; both
    keep their own memory. A player (layer) whose d_i is zero stays.

    Args:
        magnitude: whose length: a name ("torch.optim:Adam", "normalised", "euler") or a map object.
        direction: whose direction, likewise.
        layerwise: whether lengths are those of parameter tensors instead of per player.
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
    def host_decides(self) -> str:
        """What the host decides within a step: what a library's optimiser does."""
        return "another library steps"

    def __repr__(self) -> str:
        sides = f"magnitude={_label(self.magnitude)}, direction={_label(self.direction)}"
        return f"Grafted({self.name or 'user-made'}, {sides}, layerwise={self.layerwise})"


class _MadeOfMap(Map):
    """A map made of another one's steps from given velocities.

    Args:
        inner: a name ("torch.optim:Adam", "normalised", "euler") or a map object.
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.

    Raises:
        ArgumentError: if it is neither a name nor a method object. Names are looked up when it is stepped.
    """

    def __init__(
        self, inner: str | Delegated | Map, *, name: str = "", aliases: tuple[str, ...] = (), source: str = "user"
    ) -> None:
        if not inner or not (isinstance(inner, str) or hasattr(inner, "name")):
            raise ArgumentError("inner", "the name of a map or of one of torch.optim's, or such an object", inner)
        self.inner = inner
        self.name, self.aliases, self.source = name, aliases, source

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name or 'user-made'}, inner={_label(self.inner)})"

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: what a library's optimiser does."""
        return "another library steps"


class ExtrapolatedMap(_MadeOfMap):
    """A map's step with the velocity that it would arrive at: `y+ = y + d(v(y + d(v(y))))`.

    d is the inner map's step; both go from y, and what it remembers goes on with both. Of Euler's method this is
    extragradient, of Adam ExtraAdam, whose moments and counters advance twice a step.

    Source: Gidel, Berard, Vignoud, Vincent, Lacoste-Julien 2019, arXiv:1802.10551, algorithm 4.

    Example:
        >>> ExtrapolatedMap("torch.optim:Adam").evaluations
        2
    """

    @property
    def evaluations(self) -> int:
        """Field evaluations of a step."""
        return 2


class OptimisticMap(_MadeOfMap):
    """Twice a map's step less the last one's: `y+ = y + 2 d_n - d_(n-1)`; the first step is the map's own.

    d_n is the inner map's step; where h has changed, the last one counts with the present h. Of Euler's method this is
    optimistic descent, of Adam OptimisticAdam. The paper's moments before the first step are 0, which would double it.

    Source: Daskalakis, Ilyas, Syrgkanis, Zeng 2018, arXiv:1711.00141, algorithm 1.

    Example:
        >>> OptimisticMap("torch.optim:Adam").evaluations
        1
    """


class AlternatingMap(_MadeOfMap):
    """Players move in turn, each by the inner map's step on its own, the others fixed: of Adam, the usual GAN loop.

    `y_i+ = y_i + d_i(v_i(y))` with the others where they have got to; what the map remembers of a player goes on when
    that player moves. Of Euler's method this is alternating gradient descent. A player of several moves (`cycles`)
    moves by so many shares of h, as in `alternating`: for moves of full length its rate is that number.

    Args:
        inner: a name ("torch.optim:Adam", "normalised", "euler") or a map object.
        players: the order of play, by name or place; None: the game's own order, or that of `cycles`.
        cycles: moves of each player in a step: `{"D": 5, "G": 1}`.
        name: canonical name; user-made maps need none.
        aliases: other names.
        source: where it comes from.

    Raises:
        ArgumentError: for an inner that is neither a name nor a method object, or counts that are none.

    Source: Goodfellow et al. 2014, algorithm 1 (k discriminator steps for one of the generator).

    Example:
        >>> AlternatingMap("torch.optim:Adam", cycles={"D": 5, "G": 1}).evaluations
        3
    """

    def __init__(
        self,
        inner: str | Delegated | Map,
        players: Sequence[str | int] | None = None,
        *,
        cycles: Mapping[str | int, int] | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        source: str = "user",
    ) -> None:
        self.turns = alternating(players, cycles=cycles)
        super().__init__(inner, name=name, aliases=aliases, source=source)

    @property
    def evaluations(self) -> float:
        """Field evaluations of a step: every move costs one player's share."""
        return self.turns.evaluations


def _label(side: str | Delegated | Map) -> str:
    return side if isinstance(side, str) else side.name or repr(side)


def _flag(layerwise: object) -> bool:
    if not isinstance(layerwise, bool):
        raise ArgumentError("layerwise", "True or False", layerwise)
    return layerwise
