"""What it takes to differentiate a gradient: norms written out, and PyTorch's errors as ours."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.jacobian.composed import composed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

__all__ = ["differentiable", "differentiates_norms", "refuse_once", "written_out"]

EXPLICIT = "choose an explicit method where only steps are wanted"

KNOWN = {
    "scaled_dot_product": (
        "attention that can be differentiated twice",
        "its fused kernels cannot: call it inside torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)",
    ),
    "aot_autograd": ("players that are not compiled", f"torch.compile gives no second derivative: {EXPLICIT}"),
    "cudnn_rnn": (
        "a recurrent network that can be differentiated twice",
        "with torch.backends.cudnn.flags(enabled=False): around the call in the losses",
    ),
    "once_differentiable": ("functions that can be differentiated twice", f"replace the operation, or {EXPLICIT}"),
    "differentiate twice": ("functions that can be differentiated twice", f"replace the operation, or {EXPLICIT}"),
    "is not implemented": ("functions that can be differentiated twice", f"replace the operation, or {EXPLICIT}"),
    "Batching rule": ("functions whose derivatives can be batched", "multiply one vector at a time"),
    "saved tensor hooks": ("functions without hooks on saved tensors", "take saved_tensors_hooks or save_on_cpu off"),
}
"""By what an error of PyTorch's says: what was expected, and what to do."""


@contextlib.contextmanager
def differentiable() -> Iterator[None]:
    """PyTorch's errors for what cannot be differentiated again, as ours, with what to do."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = str(error)
        for mark, (expected, remedy) in KNOWN.items():
            if mark in text:
                raise ArgumentError("losses", expected, text.splitlines()[0], remedy) from error
        raise


def written_out(*, third: bool) -> contextlib.AbstractContextManager[Any]:
    """Normalisation from elementary operations, where PyTorch's own has wrong or no derivatives of the order needed."""
    return composed(third=third)


def refuse_once(results: Sequence[Tensor]) -> None:
    """Refuse a graph with an operation marked as differentiable once: PyTorch takes its derivative to be 0.

    Raises:
        ArgumentError: for such an operation.
    """
    if any(name.endswith("Error") for name in _operations(results)):
        expected, got = "functions that can be differentiated twice", "an operation that is once_differentiable"
        raise ArgumentError("losses", expected, got, f"replace the operation, or {EXPLICIT}")


def differentiates_norms(losses: Sequence[Tensor]) -> bool:
    """Whether a loss differentiates a norm inside (a user's penalty): J then takes its third derivatives."""
    return any("NormBackwardBackward" in x for x in _operations(losses))


def _operations(results: Sequence[Tensor]) -> Iterator[str]:
    """Names of the operations in the graph of some results."""
    waiting, seen = [x.grad_fn for x in results], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            yield node.name()
