"""PyTorch's spectral norm as a function of the weight alone: for looking at a field, where no power iteration goes on.

In training u and v follow the weight, an iteration a step; frozen at a point they would be constants, and the Jacobian,
and Newton's method, those of another game. Here they are the top singular vectors of the weight that is evaluated, and
differentiable: `sigma = u^T W v` has the right derivatives up to the third.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.parametrizations import _SpectralNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from gamedyn.core.binding import Binding

__all__ = ["SpectralVectors"]


class _Norm(NamedTuple):
    """One spectral norm: the module, its weight's place among the leaves, and its vectors' places among the buffers."""

    module: _SpectralNorm
    chain: Any
    weight: int | None
    u: int
    v: int


class SpectralVectors:
    """The vectors of all spectral norms in training mode that stand first in their weight's chain of parametrisations.

    Args:
        owners: modules with a parametrised weight, and its name.
        binding: where leaves and buffers are.
    """

    def __init__(self, owners: Sequence[tuple[nn.Module, str]], binding: Binding) -> None:
        self._norms = []
        for owner, name in owners:
            chain: Any = owner.parametrizations[name]  # type: ignore[index]
            norm = chain[0]
            if isinstance(norm, _SpectralNorm) and "_u" in norm._buffers:
                u, v = (binding.buffer_place(norm._buffers, key) for key in ("_u", "_v"))
                self._norms.append(_Norm(norm, chain, binding.leaf_place(chain._parameters, "original"), u, v))

    def converged(self, leaves: Sequence[Tensor], buffers: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The buffers with the singular vectors of the leaves in their places, as functions of these."""
        out = list(buffers)
        for norm in self._norms:
            weight = norm.chain.original if norm.weight is None else leaves[norm.weight]
            out[norm.u], out[norm.v] = _top(norm.module._reshape_weight_to_matrix(weight))
        return tuple(out)


def _top(W: Tensor) -> tuple[Tensor, Tensor]:
    """The top singular vectors of W, with their first derivative.

    One step of Newton's method on `M u = lambda u, |u| = 1`, M the smaller of `W W^T` and `W^T W`, from the eigenvector
    itself: what it has of a change of W is right to first order, so `u^T W v` is to third.
    """
    wide = W.shape[0] <= W.shape[1]
    A = W if wide else W.mT
    M = A @ A.mT
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(M.detach())
        value, start = values[-1], vectors[:, -1]
    n = len(M)
    eye = torch.eye(n, dtype=M.dtype, device=M.device)
    top = torch.cat([M - value * eye, -start[:, None]], 1)
    bottom = torch.cat([-start, start.new_zeros(1)])[None]
    rest = torch.cat([M @ start - value * start, start.new_zeros(1)])
    move = torch.linalg.solve_ex(torch.cat([top, bottom]), -rest)[0][:n]  # a double value: not finite, no error
    u = start + move
    u = u / torch.linalg.vector_norm(u)
    v = A.mT @ u
    v = v / torch.linalg.vector_norm(v)
    return (u, v) if wide else (v, u)
