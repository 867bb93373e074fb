"""Products with the game's Jacobian that keep no graph: forward over reverse, at the memory of one field."""

from __future__ import annotations

import contextlib
import functools
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gamedyn._lib.errors import ArgumentError
from gamedyn.jacobian.differentiation import differentiable, written_out
from gamedyn.jacobian.products import Products

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gamedyn.jacobian.evaluated import Evaluated

__all__ = ["ForwardProducts", "asks_for_graph"]


class ForwardProducts(Products):
    """`J u` by dual numbers through the gradients, `J^T u` through a graph made and dropped; as `KeptProducts` else.

    Every product evaluates the field anew: about three fields each, and nothing is frozen between them.

    Args:
        field: evaluates, with every side effect frozen.
        t: time.
        y: flat point, (n,).
        batch: batch the losses take.
        factors: by part, what it is multiplied with; None: the whole field.
    """

    def __init__(
        self, field: Evaluated, t: float | Tensor, y: Tensor, batch: Any, factors: Mapping[str, float] | None = None
    ) -> None:
        self.layout, self.work, self._field = field.layout, field.work, field
        self._t, self._y, self._batch, self._factors = t, y.detach().clone(), batch, factors

    @functools.cached_property
    def _evaluated(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The value and the losses, when first asked for."""
        with self._field.session():
            found = self._field.velocity(self._t, self._leaves(), self._field.asked(factors=self._factors), self._batch)
        self.work.player_gradients += self.work.players
        return self.layout.flat([x.detach() for x in found.leaves]), tuple([x.detach() for x in found.losses])

    def _leaves(self) -> list[Tensor]:
        return [v.clone().requires_grad_() for v in self.layout.views(self._y)]

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        if u.dim() == 2:
            return torch.stack([self.jvp(row) for row in u])
        self.work.products += 1
        leaves, request = (
            self._leaves(),
            self._field.asked(factors=self._factors, create_graph=asks_for_graph(self._field)),
        )
        _registered()
        with self._field.session(), torch.enable_grad(), forward_ad.dual_level(), _forward_differentiable():
            pairs = zip(leaves, self.layout.views(u.detach()), strict=True)
            duals = [forward_ad.make_dual(x, d) for x, d in pairs]  # type: ignore[no-untyped-call]
            with written_out(third=True):
                out = self._field.velocity(self._t, duals, request, self._batch).leaves
            tangents = [forward_ad.unpack_dual(x).tangent for x in out]  # type: ignore[no-untyped-call]
            filled = [torch.zeros_like(x) if d is None else d.detach() for x, d in zip(leaves, tangents, strict=True)]
        return self.layout.flat(filled)

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        if u.dim() == 2:
            return torch.stack([self.vjp(row) for row in u])
        self.work.products += 1
        leaves, request = self._leaves(), self._field.asked(factors=self._factors, create_graph=True)
        with self._field.session(), torch.enable_grad(), differentiable():
            with written_out(third=self._field.third):
                out = self._field.velocity(self._t, leaves, request, self._batch).leaves
            live = [(x, w) for x, w in zip(out, self.layout.views(u.detach()), strict=True) if x.requires_grad]
            if not live:
                return torch.zeros_like(u)
            outputs, cotangents = zip(*live, strict=True)
            pulled = torch.autograd.grad(outputs, leaves, cotangents, materialize_grads=True, allow_unused=True)
        return self.layout.flat([x.detach() for x in pulled])

    def to_dense(self) -> Tensor:
        """J, (n, n), a column at a time."""
        return self.jvp(torch.eye(self.n, dtype=self._y.dtype, device=self._y.device)).T


def asks_for_graph(field: Evaluated) -> bool:
    """Whether a forward product must ask for a graph that it does not use.

    A flow may detach its velocity where none is asked for, which drops the dual too: J u would be 0. Only a plain
    gradient is known not to.
    """
    return field.third or not field.flow.linear_in_losses


@functools.cache
def _registered() -> None:
    """Load PyTorch's rules for forward derivatives, which its first dual number does with warnings of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("torch._decomp.decompositions_for_jvp")


@contextlib.contextmanager
def _forward_differentiable() -> Iterator[None]:
    """PyTorch's error for operations without a forward derivative, as one of ours."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = str(error)
        if not any(mark in text.lower() for mark in ("forward", "jvp", "requires_grad flags")):
            raise
        remedy = 'take strategy="kept", which needs reverse derivatives only'
        raise ArgumentError("losses", "functions with forward derivatives", text.splitlines()[0], remedy) from error
