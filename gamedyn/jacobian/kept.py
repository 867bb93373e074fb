"""Products with the game's Jacobian at one point: `J u` and `J^T u` from one kept graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn.jacobian.differentiation import differentiable, written_out
from gamedyn.jacobian.products import Products

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.jacobian.evaluated import Evaluated

__all__ = ["KeptProducts"]


class KeptProducts(Products):
    """`J u`, `J^T u` and the dense J of a flow at one point, batch and set of buffers.

    The graph owns its tensors: clones, never a workspace, since writing a buffer under a kept graph gives
    wrong products without an error. `J u` is the derivative of `J^T w` in w (double VJP), so any flow whose
    losses can be differentiated twice has it, three times where a term penalises a gradient. The players' modules hold
    the point again while a product is formed: their code may run in a backward pass.

    Args:
        field: evaluates, with every side effect frozen.
        t: time.
        y: flat point, (n,).
        batch: batch the losses take; ...: the field's.
        factors: by part, what it is multiplied with; None: the whole field.
    """

    def __init__(
        self,
        field: Evaluated,
        t: float | Tensor,
        y: Tensor,
        batch: Any = ...,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.layout, self.work, self._field = field.layout, field.work, field
        self.leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
        request = field.asked(factors=factors, create_graph=True)
        with field.session(), written_out(third=field.third), differentiable():
            velocity = field.velocity(t, self.leaves, request, batch)
            self._buffers = tuple(field.flow.game.binding.buffers())
        self._v, self.graph_losses = velocity.leaves, velocity.losses
        self.work.player_gradients += self.work.players
        self.work.linearisations += 1
        losses = tuple([x.detach() for x in velocity.losses])
        self._evaluated = self.layout.flat([x.detach() for x in self._v]), losses
        self._double: tuple[Sequence[Tensor], Sequence[Tensor]] | None = None

    @property
    def velocity(self) -> Sequence[Tensor]:
        """v, leaf by leaf, with its graph."""
        return self._v

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        inputs, outputs = self._second
        return self._pulled(outputs, inputs, u)

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        return self._pulled(self._v, self.leaves, u)

    def block(self, i: int, j: int, u: Tensor, *, transposed: bool = False) -> Tensor:
        """`J_ij u`, players i and j by their places, (n_j,) to (n_i,); or `J_ij^T u`. Costs what the block costs."""
        rows, columns = self.layout.leaf_slices[i], self.layout.leaf_slices[j]
        if transposed:
            return self._pulled(self._v[rows], self.leaves[columns], u, i)
        inputs, outputs = self._second
        return self._pulled(outputs[columns], inputs[rows], u, j)

    @property
    def _second(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Cotangents w, and `J^T w` as a graph that can be differentiated in them; made when first asked for."""
        if self._double is None:
            w = [torch.zeros_like(x, requires_grad=True) for x in self._v]
            graph: Sequence[Tensor] = [torch.zeros_like(x) for x in self.leaves]
            live = [(x, u) for x, u in zip(self._v, w, strict=True) if x.requires_grad]
            if live:
                outputs, cotangents = zip(*live, strict=True)
                graph = self._grad(outputs, self.leaves, cotangents, create_graph=True, materialize_grads=True)
            self._double = (w, graph)
            self.work.second_graphs += 1
        return self._double

    def _grad(self, outputs: Any, inputs: Any, cotangents: Any, **options: Any) -> Sequence[Any]:
        with self._field.session(), torch.enable_grad(), differentiable():
            self._field.flow.game.binding.put(self.leaves, self._buffers)
            found: Sequence[Any] = torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True, **options)
        return found

    def _pulled(
        self,
        outputs: Sequence[Tensor],
        inputs: Sequence[Tensor],
        u: Tensor,
        given: int | None = None,
    ) -> Tensor:
        """Cotangents u of the outputs, those of player `given` or of all, pulled back to the inputs."""
        self.work.products += 1 if u.dim() == 1 else len(u)
        live = [i for i, x in enumerate(outputs) if x.requires_grad]
        lead, cotangents = u.shape[:-1], self.layout.views(u.detach(), given)
        out: Sequence[Any] = [None] * len(inputs)
        if live:
            which, weights = [outputs[i] for i in live], [cotangents[i] for i in live]
            out = self._grad(which, inputs, weights, retain_graph=True, is_grads_batched=u.dim() == 2)
        filled = [x.new_zeros(*lead, *x.shape) if g is None else g for g, x in zip(out, inputs, strict=True)]
        return self.layout.flat(filled, len(lead)).detach()
