"""Normalisation written out, for derivatives of the second and third order.

The Jacobian of a flow takes second derivatives of its losses, with a penalty on a gradient third ones. PyTorch's fused
kernels have wrong ones, without an error: weight norm's second, batch, instance and layer norm's third (their double
backward holds the batch's statistics constant); group norm's fails on some shapes. While a graph for products is built
they are evaluated from elementary operations, as functions and as layers, which call the functions: the same values to
rounding, and the right derivatives of every order. Running statistics are not updated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["composed"]


def composed(*, third: bool) -> TorchFunctionMode:
    """A context in which norms are elementary operations: those whose third derivatives are wrong, or second."""
    return _Functions(THIRD if third else SECOND)


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    out = _standardised(x, range(-len(shape), 0), eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _rms_norm(x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    floor = torch.finfo(x.dtype).eps if eps is None else eps
    out = x * torch.rsqrt(x.square().mean(tuple(range(-len(shape), 0)), keepdim=True) + floor)
    return out if weight is None else out * weight


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return _scaled(_standardised(x.reshape(len(x), groups, -1), (2,), eps).view(x.shape), weight, bias)


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """`g v / |v|`, the norm over all dimensions but one; over all where that is -1."""
    over = [i for i in range(v.dim()) if i != dim]
    out: Tensor = v * (g / torch.linalg.vector_norm(v, dim=over, keepdim=True))
    return out


def _by_channel(x: Tensor, dims: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Statistics over some dimensions, one weight for each channel, which is dimension 1."""
    return _scaled(_standardised(x, dims, eps), weight, bias)


def _standardised(x: Tensor, dims: Sequence[int], eps: float) -> Tensor:
    centred = x - x.mean(tuple(dims), keepdim=True)
    return centred / torch.sqrt(centred.square().mean(tuple(dims), keepdim=True) + eps)


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = (-1, *[1] * (x.dim() - 2))
    out = x if weight is None else x * weight.view(shape)
    return out if bias is None else out + bias.view(shape)


def _batch_norm(
    x: Tensor, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    if training:
        return _by_channel(x, (0, *range(2, x.dim())), weight, bias, eps)
    return functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)


def _instance_norm(
    x: Tensor, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    if use_input_stats:
        return _by_channel(x, range(2, x.dim()), weight, bias, eps)
    return functional.instance_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)


SECOND = {functional.group_norm: _group_norm, functional.rms_norm: _rms_norm, torch._weight_norm: _weight_norm}
THIRD = {
    **SECOND,
    functional.layer_norm: _layer_norm,
    functional.batch_norm: _batch_norm,
    functional.instance_norm: _instance_norm,
}


class _Functions(TorchFunctionMode):
    """Norms called as functions."""

    def __init__(self, written: dict[Any, Any]) -> None:
        super().__init__()
        self._written = written

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The written out norm in the place of PyTorch's; anything else as it is."""
        return self._written.get(function, function)(*args, **(kwargs or {}))
