"""What changes when a game is merely evaluated, and must not inside a step.

Batch norm writes running statistics, spectral norm its power-iteration vectors, other modules whatever they please, in
place or by putting another tensor in a buffer's place. Nothing of this is known by class: an evaluation is given copies
of the buffers, so that every stage of a step begins from the same ones; those that the step's first evaluation leaves
are the next step's. What lies outside the buffers (a plain attribute of a module, a tensor that the losses have
captured) is seen when the field is opened, and put back after all evaluations of a step but the first.

One class is known: PyTorch's own spectral norm, which is iterated once a step, before its first evaluation, and then
frozen, so that the field is differentiated as it is evaluated. Of a field that is looked at its vectors are functions
of the weight (`spectral_norm`).
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Effects", "Observed", "storage"]

SIMPLE = (int, float, complex, str, type(None))
BATCH_NORMS = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
"""Operations that write their fourth and fifth argument without saying so."""


class Effects:
    """What evaluating a game changes: spectral norms are known; the rest as far as `observed` has seen it.

    Attributes:
        buffers: whether buffers may be written.
        modes: whether the losses leave modules in other modes than they found them in.
        spectral: PyTorch's spectral norms in training mode.
        owners: the modules that these belong to, and their weight's name.
        tensors: tensors outside the game that are written.
        slots: (holder, key) of plain attributes of modules that are replaced.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modes = False
        self.spectral = [m for m in modules if isinstance(m, _SpectralNorm) and m.training]
        ids = {id(m) for m in self.spectral}
        self.owners = [
            (m, name)
            for m in modules
            if is_parametrized(m)
            for name, chain in cast("nn.ModuleDict", m.parametrizations).items()
            if any(id(p) in ids for p in cast("nn.ModuleList", chain))
        ]
        self.buffers = any(m.training and any(b is not None for b in m._buffers.values()) for m in modules)
        self.tensors: list[Tensor] = []
        self.slots: list[tuple[dict[str, Any], str]] = []

    def __bool__(self) -> bool:
        return self.buffers or bool(self.tensors or self.slots)

    @property
    def outside(self) -> str:
        """What is frozen within steps but belongs to no state, in words; "" if nothing."""
        named = [f"attribute {key!r} of a module" for _, key in self.slots]
        return ", ".join(named + [f"a tensor of shape {tuple(x.shape)}" for x in self.tensors])

    def iterate_spectral(self) -> None:
        """One power iteration of every spectral norm, at the parameters that the modules hold."""
        if self.spectral:
            with torch.no_grad():
                for module, name in self.owners:
                    getattr(module, name)

    @contextlib.contextmanager
    def outside_held(self, *, advance: bool) -> Iterator[None]:
        """Put back what is no buffer, unless this evaluation is to advance it."""
        if advance or not (self.tensors or self.slots):
            yield
            return
        values, attributes = [x.clone() for x in self.tensors], [d[k] for d, k in self.slots]
        try:
            yield
        finally:
            with torch.no_grad():
                for x, value in zip(self.tensors, values, strict=True):
                    x.copy_(value)
            for (d, k), value in zip(self.slots, attributes, strict=True):
                d[k] = value


class Observed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what one evaluation writes: tensors that were there before, and plain attributes of modules.

    Attributes:
        buffers: the modules' buffers when the losses had been evaluated.

    Args:
        modules: whose attributes are watched.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._modules = modules
        self._attributes = [_plain(m) for m in modules]
        self._made: set[int] = set()
        self._written: dict[int, Tensor] = {}
        self.buffers: list[Tensor] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation as it is; what it writes and makes is noted."""
        out = function(*args, **(kwargs or {}))
        writes, fresh = _facts(function)
        for place, name in writes:
            self._note(args[place] if place < len(args) else (kwargs or {}).get(name))
        if fresh:
            for x in (out,) if isinstance(out, Tensor) else out if isinstance(out, (tuple, list)) else ():
                if isinstance(x, Tensor):
                    self._made.add(storage(x))
        return out

    def lent(self, tensors: Sequence[Tensor]) -> None:
        """These are the evaluation's own, to be written."""
        self._made.update(map(storage, tensors))

    def _note(self, x: Any) -> None:
        for tensor in torch.utils._pytree.tree_leaves(x):
            if isinstance(tensor, Tensor) and storage(tensor) not in self._made:
                self._written.setdefault(storage(tensor), tensor.detach())

    def ended(self, buffers: Sequence[Tensor]) -> None:
        """Take note of the buffers at the end of the losses."""
        self.buffers = list(buffers)

    def written(self, tensors: Sequence[Tensor]) -> bool:
        """Whether one of these tensors, or another view of what it views, has been written."""
        return any(storage(x) in self._written for x in tensors)

    def tensors(self, known: Sequence[Tensor]) -> list[Tensor]:
        """Tensors written that are none of the known ones."""
        inside = {storage(x) for x in known}
        return [x for storage, x in self._written.items() if storage not in inside]

    def slots(self) -> list[tuple[dict[str, Any], str]]:
        """Plain attributes that are others now."""
        found = []
        for m, before in zip(self._modules, self._attributes, strict=True):
            now = _plain(m)
            found += [(m.__dict__, k) for k, v in before.items() if k in now and _other(v, now[k])]
        return found


@functools.cache
def _facts(function: Any) -> tuple[tuple[tuple[int, str], ...], bool]:
    """Of an operation: the arguments that it writes, by place and name; whether it returns memory of its own."""
    schema = function._schema
    writes = [(i, a.name) for i, a in enumerate(schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    if any(name in schema.name for name in BATCH_NORMS):
        writes += [(3, "running_mean"), (4, "running_var")]
    return tuple(writes), all(r.alias_info is None for r in schema.returns)


def _plain(m: nn.Module) -> dict[str, Any]:
    return {k: v for k, v in vars(m).items() if isinstance(v, (*SIMPLE, Tensor)) and k != "training"}


def _other(a: Any, b: Any) -> bool:
    same = a is b or (not isinstance(a, Tensor) and not isinstance(b, Tensor) and (a == b or (a != a and b != b)))
    return not same


def storage(x: Tensor) -> int:
    """What identifies the memory of a tensor; of one without any, the tensor."""
    try:
        return int(x.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse, zero and wrapped tensors
        return id(x)
