"""The operations of a piece of code one by one: what runs, what waits for the device, what is made on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Operation", "Operations"]

READS = frozenset(
    [
        "_local_scalar_dense",
        "_linalg_check_errors",
        "linalg_matrix_exp",
        "equal",
        "is_nonzero",
        "nonzero",
        "nonzero_numpy",
        "masked_select",
        "_unique",
        "unique_dim",
        "unique_consecutive",
        "_unique2",
        "bincount",
        "repeat_interleave",
        "_linalg_svd",
        "_linalg_eigh",
        "linalg_eig",
        "linalg_lstsq",
        "linalg_qr",
    ]
)
"""Operations whose result, or its shape, the host waits for. Decompositions look at their status there."""
MASKED = frozenset(["index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"])
"""Operations that count the entries of a mask on the host, if one is given."""
COPIES = frozenset(("_to_copy", "copy_"))
MADE = frozenset(["lift_fresh", "lift_fresh_copy", "lift"])
"""Of a tensor that is made of Python's numbers."""
CALLS = {getattr(Tensor, name): name for name in ("tolist", "numpy", "__array__", "__dlpack__", "cpu")}
"""Methods that read on the host; on a CPU no operation shows it."""
EMPTY = frozenset(["empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"])


class Operation(NamedTuple):
    """One operation as it ran: function, arguments, result; tensors cut off from their graph."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any

    @property
    def name(self) -> str:
        """Its name without library and overload."""
        return str(self.function._schema.name).split("::")[-1]

    @property
    def tensors(self) -> list[Tensor]:
        """Those that it takes."""
        return [x for x in tree_leaves((self.args, self.kwargs)) if isinstance(x, Tensor)]

    @property
    def results(self) -> list[Tensor]:
        """Those that it returns."""
        return [x for x in tree_leaves(self.out) if isinstance(x, Tensor)]

    @property
    def writes(self) -> bool:
        """Whether it writes one of its arguments."""
        return bool(self.function._schema.is_mutable)

    @property
    def fresh(self) -> list[Tensor]:
        """Those of its results that lie in memory of their own."""
        taken = {x.untyped_storage()._cdata for x in self.tensors}
        return [x for x in self.results if x.untyped_storage()._cdata not in taken]

    @property
    def runs(self) -> bool:
        """Whether it computes: no view, no empty memory."""
        return self.name not in EMPTY and (self.writes or bool(self.fresh))

    @property
    def reads(self) -> str:
        """Why the host waits for the device, in words; "" if it does not."""
        if self.name in READS or (self.name in MASKED and _masked(self.args[1])):
            return f"{self.name} reads a tensor on the host (item(), float(), if, a mask, a decomposition)"
        if self.name in COPIES and {x.device.type for x in self.results} == {"cpu"} != self._devices:
            return f"{self.name} brings a tensor to the host"
        return ""

    @property
    def sends(self) -> str:
        """What of the host's goes to the device, in words; "" if nothing."""
        if self.name in MADE:
            return "a tensor is made of Python's numbers (torch.tensor(...)) where a tensor made once would do"
        if not self.reads and "cpu" in self._devices and len(self._devices) > 1:
            return f"{self.name} takes a tensor of the host's: put it on the device"
        return ""

    @property
    def _devices(self) -> set[str]:
        return {x.device.type for x in (*self.tensors, *self.results)}


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation that runs inside, those of backward passes included.

    Attributes:
        all: the operations in their order.
        calls: why the host waits within Python's calls that no operation shows.

    Example:
        >>> with Operations() as seen:
        ...     x = torch.ones(2).mul_(2).sum().item()
        >>> [o.name for o in seen if o.runs], len(seen.reads)
        (['ones', 'mul_', 'sum'], 1)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.all: list[Operation] = []
        self.calls: list[str] = []
        self._calls = _Calls(self.calls)

    def __enter__(self) -> Operations:
        self._calls.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._calls.__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation as it is."""
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        self.all.append(Operation(function, *tree_map(_cut, (tuple(args), dict(kwargs), out))))
        return out

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.all)

    @property
    def reads(self) -> list[str]:
        """Why the host waits for the device, once for each time."""
        return [why for o in self.all if (why := o.reads)] + self.calls

    @property
    def sends(self) -> list[str]:
        """What of the host's goes to the device, once for each time: a recording holds it for ever."""
        return [what for o in self.all if (what := o.sends)]


class _Calls(TorchFunctionMode):
    """Notes calls that read on the host."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The call as it is."""
        if function in CALLS:
            self._found.append(f"{CALLS[function]}() reads a tensor on the host")
        return function(*args, **(kwargs or {}))


def _cut(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _masked(indices: Any) -> bool:
    return any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in tree_leaves(indices))
