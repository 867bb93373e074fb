"""Normalisation layers written out, for derivatives of the third order.

The Jacobian of a flow with a penalty on a gradient takes a third derivative of the modules. PyTorch's fused
batch, instance and layer norms give a wrong one without an error (their double backward holds the batch's
statistics constant), group norm's fails on some shapes: a term such as squared_gradient then has a Jacobian
that is off by per cents. While a graph for products is built, these layers are therefore evaluated from
elementary operations: the same values to rounding, and the right derivatives of every order. Only modules are
seen: norms called as functions inside a user's forward are not.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["composed_norms"]


SPATIAL = {nn.InstanceNorm1d: 1, nn.InstanceNorm2d: 2, nn.InstanceNorm3d: 3}


@contextlib.contextmanager
def composed_norms(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Let batch, instance, group and layer norms be evaluated from elementary operations; nothing is tracked."""
    norms = [m for m in modules if isinstance(m, (nn.LayerNorm, nn.GroupNorm)) or _uses_batch(m)]
    swapped = [m for m in norms if "forward" not in vars(m)]  # a user's own, or already swapped
    for m in swapped:
        m.forward = partial(_normalised, m)  # shadows the class's forward on this object alone
    try:
        yield
    finally:
        for m in swapped:
            del m.__dict__["forward"]


def _uses_batch(m: nn.Module) -> bool:
    """Whether a norm takes its statistics from the batch, not from its buffers."""
    known = isinstance(m, _BatchNorm) or type(m) in SPATIAL
    return known and (m.training or m.running_mean is None)


def _normalised(m: nn.Module, x: Tensor) -> Tensor:
    dims, shape = _statistics(m, x)
    grouped = x.reshape(len(x), m.num_groups, -1) if isinstance(m, nn.GroupNorm) else x
    centred = grouped - grouped.mean(dims, keepdim=True)
    out = centred / torch.sqrt(centred.square().mean(dims, keepdim=True) + m.eps)  # type: ignore[operator]
    out = out.view(x.shape)
    if m.weight is not None:
        out = out * m.weight.view(shape)  # type: ignore[operator]
    return out if m.bias is None else out + m.bias.view(shape)  # type: ignore[operator]


def _statistics(m: nn.Module, x: Tensor) -> tuple[list[int], tuple[int, ...]]:
    """Dimensions that statistics are taken over, and the shape of weight and bias against x."""
    if isinstance(m, nn.LayerNorm):
        return list(range(-len(m.normalized_shape), 0)), tuple(m.normalized_shape)
    if isinstance(m, nn.GroupNorm):
        return [2], (-1, *[1] * (x.dim() - 2))
    if isinstance(m, _InstanceNorm):
        channel = x.dim() - SPATIAL[type(m)] - 1
        return list(range(channel + 1, x.dim())), (-1, *[1] * (x.dim() - channel - 1))
    return [0, *range(2, x.dim())], (-1, *[1] * (x.dim() - 2))
