"""What an integrator is: a pair of pure functions, `init` and `step`."""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from gamedyn.methods import Delegated, Map, Method, get, maps, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    from gamedyn.core import VectorField

__all__ = ["OK", "Combination", "Integrator", "StepInfo", "Stepper", "label", "made_of"]


class StepInfo(NamedTuple):
    """How a step went.

    Attributes:
        status: "ok", or what the driver must handle: "not_converged" rejects the step.
        counts: what the step did besides evaluations ("newton_iterations", "rejected", ...); summed by the driver.
        h: the step that was taken, where it is not the one asked for.
        error: the embedded error estimate, shape of y, where the step makes one.
        figures: numbers about the step, to be recorded.
    """

    status: str = "ok"
    counts: Mapping[str, float] = {}
    h: float | None = None
    error: Tensor | None = None
    figures: Mapping[str, float] = {}


OK = StepInfo()


class Integrator(Protocol):
    """One stepper per family of methods; it sees a Field and coefficients, nothing else.

    `init(field, t, y, h) -> memory`; `step(field, t, y, h, memory) -> (y, memory, info)`. `step` never writes
    `y` (`in_place`: unless it is the field's own point); a memory is used once. `h` is a float, a 0-dim tensor
    (traced) or a tensor (members, 1).

    Attributes:
        takes: the type of method data it steps.
        options: names of the keyword arguments that its constructor takes besides the method.
        solvers: types of its `solver`.
        method: that data.
        host_decides: what the host decides within a step, in words; "" if nothing, so that it can be compiled or
            captured as a whole.
        ensembles: whether it steps many members at once.
        variational: whether a step on the rows (y, d), with `d' = J(y) d`, is the step and its derivative.
        resamples: whether every evaluation of a step may see a batch of its own.
        in_place: whether y is advanced in the field's own point: the only y that a step may write.
        changes_h: whether the step may change between steps.
        stochastic: whether it steps flows with noise.
        keeps_stages: whether its field values may be kept in another precision or memory: it reads them by
            `Combination` alone.
        entrywise: whether it moves every entry by the same combination of that entry's field values, and remembers
            nothing: processes can then share the entries.
        divides_rates: whether it takes a velocity apart into gradient and learning rate, which must not be 0.
    """

    takes: ClassVar[type]
    options: ClassVar[tuple[str, ...]]
    variational: ClassVar[bool]
    in_place: ClassVar[bool]
    stochastic: ClassVar[bool]
    keeps_stages: ClassVar[bool]
    entrywise: ClassVar[bool]
    divides_rates: ClassVar[bool]
    changes_h: bool
    method: Any

    @property
    def host_decides(self) -> str: ...
    @property
    def ensembles(self) -> bool: ...
    @property
    def resamples(self) -> bool: ...

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> Any:
        """The memory before the first step: a dict of tensors, lists of tensors and ints."""

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step."""

    def started(self, memory: Any) -> bool:
        """Whether the memory is full: from then on every step does the same work."""

    def moved(self, memory: Any) -> Any:
        """The memory, after the point that the step reached has been put elsewhere."""


class Stepper:
    """What most steppers are: pure, explicit, without memory; families override what differs."""

    options: ClassVar[tuple[str, ...]] = ()
    solvers: ClassVar[tuple[type, ...]] = ()
    variational: ClassVar[bool] = True
    in_place: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False
    keeps_stages: ClassVar[bool] = False
    entrywise: ClassVar[bool] = False
    divides_rates: ClassVar[bool] = False
    changes_h: bool = True
    method: Any

    @property
    def host_decides(self) -> str:
        """What the host decides within a step: the method says so."""
        return str(self.method.host_decides)

    @property
    def ensembles(self) -> bool:
        """Whether it steps many members at once: likewise."""
        return bool(self.method.ensembles)

    @property
    def resamples(self) -> bool:
        """Whether every evaluation may see a batch of its own: likewise."""
        return bool(self.method.resamples)

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Whether a method of the type it takes is one that it steps."""
        return True

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> Any:
        """No memory."""
        return {}

    def started(self, memory: Any) -> bool:
        """Always."""
        return True

    def moved(self, memory: Any) -> Any:
        """The memory, after the point that the step reached has been put elsewhere."""
        return memory


def label(method: Any) -> str:
    """A member's name; of a user-made method what it is, with a digest of its coefficients."""
    name = getattr(method, "name", "")
    if isinstance(method, Delegated) or (
        name and name in {*names(), *maps()} and made_of(get(name)) == made_of(method)
    ):
        return str(name)
    return f"{method!r} {zlib.crc32(repr(made_of(method)).encode()):08x}"


def made_of(method: Any) -> list[tuple[str, str]]:
    """What a method is made of: no cached properties, which are there once somebody has asked for them."""
    own = {k: v for k, v in vars(method).items() if not k.startswith("_")}
    kept = [k for k in own if not isinstance(getattr(type(method), k, None), cached_property)]
    return sorted((k, repr(made_of(own[k]) if isinstance(own[k], (Method, Map)) else own[k])) for k in kept)


def _elsewhere(row: Tensor, y: Tensor) -> bool:
    """Whether a field value is kept in another precision, or in another memory, than the point that it moves."""
    return row.dtype != y.dtype or row.device != y.device


class Combination:
    """`y + h sum_j w_j K_j` with fixed weights, in one fused operation."""

    def __init__(self, weights: Sequence[Fraction]) -> None:
        self.count = len(weights)
        self.values = [float(w) for w in weights]
        self.used = [j for j, w in enumerate(weights) if w]
        self.last = self.used[-1] + 1 if self.used else 0
        self._rows: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __call__(self, y: Tensor, K: Tensor | Sequence[Tensor], h: float | Tensor, out: Tensor | None = None) -> Tensor:
        """The combination, into `out` if given.

        Args:
            y: base point, any shape.
            K: field values, stacked on the first dimension, or a list of them.
            h: float, 0-dim tensor, or (members, 1).
            out: where to write; never an entry of K.
        """
        if not self.used:
            return y.clone() if out is None else out.copy_(y)
        if len(self.used) == 1 or not isinstance(K, Tensor) or _elsewhere(K, y):
            return self._added(y, K, h, out)
        flat = K[: self.last].reshape(self.last, -1)
        row = self._row(K)
        if isinstance(h, Tensor):
            if h.dim():
                return torch.addcmul(y, h, (row @ flat).view_as(y), out=out)
            row, h = row * h, 1.0
        into = None if out is None else out.view(-1)
        return torch.addmv(y.reshape(-1), flat.t(), row, alpha=h, out=into).view_as(y)

    def on(self, K: Tensor) -> Callable[[Tensor, float | Tensor, Tensor | None], Tensor]:
        """This combination of the rows of one K that is filled again and again: its views made once."""
        if not self.used:
            return lambda y, h, out: y.clone() if out is None else out.copy_(y)
        if len(self.used) == 1:
            row, weight = K[self.used[0]], self.values[self.used[0]]
            rows: Tensor | list[Tensor] = [row] * self.count

            def single(y: Tensor, h: float | Tensor, out: Tensor | None) -> Tensor:
                if isinstance(h, Tensor) or _elsewhere(row, y):
                    return self._added(y, rows, h, out)
                return torch.add(y, row, alpha=h * weight, out=out)

            return single
        matrix, weights = K[: self.last].reshape(self.last, -1).t(), self._row(K)

        def several(y: Tensor, h: float | Tensor, out: Tensor | None) -> Tensor:
            if isinstance(h, Tensor) or y.dim() != 1 or _elsewhere(K, y):
                return self(y, K, h, out)
            return torch.addmv(y, matrix, weights, alpha=h, out=out)

        return several

    def _added(self, y: Tensor, K: Tensor | Sequence[Tensor], h: float | Tensor, out: Tensor | None) -> Tensor:
        for j in self.used:
            row = K[j] if K[j].device == y.device else K[j].to(y)
            if isinstance(h, Tensor):
                y = torch.addcmul(y, h, row, value=self.values[j], out=out)
            else:
                y = torch.add(y, row, alpha=h * self.values[j], out=out)
            out = y
        return y

    def _row(self, like: Tensor) -> Tensor:
        key = (like.dtype, like.device)
        if key not in self._rows:
            self._rows[key] = torch.tensor(self.values[: self.last], dtype=like.dtype, device=like.device)
        return self._rows[key]
