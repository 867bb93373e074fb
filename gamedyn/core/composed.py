"""Normalisation written out, for derivatives of the third order.

The Jacobian of a flow with a penalty on a gradient takes a third derivative of the modules. PyTorch's fused
batch, instance and layer norms give a wrong one without an error (their double backward holds the batch's
statistics constant), group norm's fails on some shapes: a term such as squared_gradient then has a Jacobian
that is off by per cents, or by a factor. While a graph for products is built, they are therefore evaluated from
elementary operations, layers and functions alike: the same values to rounding, and the right derivatives of every
order.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["composed_group_norms", "composed_norms"]


SPATIAL = {nn.InstanceNorm1d: 1, nn.InstanceNorm2d: 2, nn.InstanceNorm3d: 3}


@contextlib.contextmanager
def composed_norms(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let batch, instance, group and layer norms be evaluated from elementary operations; layers track nothing."""
    norms = [m for m in modules if isinstance(m, (nn.LayerNorm, nn.GroupNorm)) or _uses_batch(m)]
    swapped = [m for m in norms if "forward" not in vars(m)]  # a user's own, or already swapped
    for m in swapped:
        m.forward = partial(_normalised, m)  # shadows the class's forward on this object alone
    try:
        with _Functions(WRITTEN):
            yield
    finally:
        for m in swapped:
            del m.__dict__["forward"]


def composed_group_norms() -> contextlib.AbstractContextManager[Any]:
    """Let group norms alone be: what PyTorch's own gives has no batched second derivative."""
    return _Functions({functional.group_norm: _group_norm})


def _uses_batch(m: nn.Module) -> bool:
    """Whether a norm takes its statistics from the batch, not from its buffers."""
    known = isinstance(m, _BatchNorm) or type(m) in SPATIAL
    return known and (m.training or m.running_mean is None)


def _normalised(m: nn.Module, x: Tensor) -> Tensor:
    """What the layer gives."""
    affine: tuple[Any, Any] = m.weight, m.bias
    if isinstance(m, nn.LayerNorm):
        return _layer_norm(x, m.normalized_shape, *affine, m.eps)
    if isinstance(m, nn.GroupNorm):
        return _group_norm(x, m.num_groups, *affine, m.eps)
    eps: Any = m.eps
    if isinstance(m, _InstanceNorm) and x.dim() == SPATIAL[type(m)] + 1:  # without a batch
        return _by_channel(x[None], range(2, x.dim() + 1), *affine, eps)[0]
    return _by_channel(x, range(2, x.dim()) if isinstance(m, _InstanceNorm) else (0, *range(2, x.dim())), *affine, eps)


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    out = _standardised(x, range(-len(shape), 0), eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return _scaled(_standardised(x.reshape(len(x), groups, -1), (2,), eps).view(x.shape), weight, bias)


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


WRITTEN = {
    functional.layer_norm: _layer_norm,
    functional.group_norm: _group_norm,
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
