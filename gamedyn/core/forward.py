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
from gamedyn.core.composed import composed_norms
from gamedyn.core.field import Request
from gamedyn.core.products import twice_differentiable, written_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gamedyn.core.field import Field, FlowLike

__all__ = ["ForwardProducts", "asks_for_graph", "embedded_block"]


class ForwardProducts:
    """`J u` by dual numbers through the gradients, `J^T u` through a graph made and dropped; as `Products` otherwise.

    Every product evaluates the field anew: about three fields each, and nothing is held between them.

    Args:
        flow: the flow.
        t: time.
        y: flat point, (n,).
        batch: batch the losses take, or None.
        field: counts the work and holds the modules' side effects; its buffers are used.
        factors: by part, what it is multiplied with; None: the whole field.
    """

    def __init__(
        self,
        flow: FlowLike,
        t: float | Tensor,
        y: Tensor,
        batch: Any,
        field: Field,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.flow, self.layout, self.work, self.n = flow, flow.game.layout, field.work, flow.game.layout.n
        self._t, self._y, self._batch, self._field, self._factors = t, y.detach().clone(), batch, field, factors
        self._buffers = tuple(b.clone() for b in field.buffers)
        self._first: tuple[Tensor, tuple[Tensor, ...]] | None = None

    @property
    def value(self) -> Tensor:
        """v, (n,): evaluated when first asked for."""
        return self._evaluated()[0]

    @property
    def losses(self) -> tuple[Tensor, ...]:
        """Losses of all players."""
        return self._evaluated()[1]

    def _evaluated(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self._first is None:
            leaves = self._leaves()
            with torch.enable_grad(), self._field.held(leaves):
                request = Request(factors=self._factors)
                velocity = self.flow.velocity(self._t, leaves, self._buffers, self._batch, request)
            self.work.player_gradients += self.work.players
            value = self.layout.flat([x.detach() for x in velocity.leaves])
            self._first = value, tuple([x.detach() for x in velocity.losses])
        return self._first

    def _leaves(self) -> list[Tensor]:
        return [v.clone().requires_grad_() for v in self.layout.views(self._y)]

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        if u.dim() == 2:
            return torch.stack([self.jvp(row) for row in u])
        self.work.products += 1
        leaves, request = self._leaves(), Request(factors=self._factors, create_graph=asks_for_graph(self.flow))
        norms = composed_norms(self.flow.game.modules)
        _registered()
        with torch.enable_grad(), forward_ad.dual_level(), norms, _forward_differentiable():
            pairs = zip(leaves, self.layout.views(u.detach()), strict=True)
            duals = [forward_ad.make_dual(x, d) for x, d in pairs]  # type: ignore[no-untyped-call]
            with self._field.held(duals):
                out = self.flow.velocity(self._t, duals, self._buffers, self._batch, request).leaves
            tangents = [forward_ad.unpack_dual(x).tangent for x in out]  # type: ignore[no-untyped-call]
            filled = [torch.zeros_like(x) if d is None else d.detach() for x, d in zip(leaves, tangents, strict=True)]
        return self.layout.flat(filled)

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        if u.dim() == 2:
            return torch.stack([self.vjp(row) for row in u])
        self.work.products += 1
        leaves, request = self._leaves(), Request(factors=self._factors, create_graph=True)
        with torch.enable_grad(), self._field.held(leaves), written_out(self.flow), twice_differentiable():
            out = self.flow.velocity(self._t, leaves, self._buffers, self._batch, request).leaves
            live = [(x, w) for x, w in zip(out, self.layout.views(u), strict=True) if x.requires_grad]
            if not live:
                return torch.zeros_like(u)
            outputs, cotangents = zip(*live, strict=True)
            pulled = torch.autograd.grad(outputs, leaves, cotangents, materialize_grads=True, allow_unused=True)
        return self.layout.flat([x.detach() for x in pulled])

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`. Costs a whole product."""
        return embedded_block(self, i, j, u, transposed=transposed)

    def dense(self) -> Tensor:
        """J, (n, n), a column at a time."""
        return self.jvp(torch.eye(self.n, dtype=self._y.dtype, device=self._y.device)).T


def asks_for_graph(flow: FlowLike) -> bool:
    """Whether a forward product must ask for a graph that it does not use.

    A flow may detach its velocity where none is asked for, which drops the dual too: J u would be 0. Only a plain
    gradient is known not to.
    """
    return flow.double_backward or not getattr(flow, "linear_in_losses", False)


def embedded_block(products: Any, i: int, j: int, u: Tensor, *, transposed: bool) -> Tensor:
    """A block's product as a part of a whole one."""
    players = products.layout.slices
    given, wanted = (i, j) if transposed else (j, i)
    whole = u.new_zeros(*u.shape[:-1], products.n)
    whole[..., players[given]] = u
    image: Tensor = (products.vjp if transposed else products.jvp)(whole)
    return image[..., players[wanted]]


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
        if "forward" not in text.lower():
            raise
        remedy = 'take strategy="kept", which needs reverse derivatives only'
        raise ArgumentError("losses", "functions with forward derivatives", text.splitlines()[0], remedy) from error
