"""Products with the game's Jacobian at one point: `J u` and `J^T u` from one kept graph."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.composed import composed_group_norms, composed_norms
from gamedyn.core.field import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gamedyn.core.field import Field, FlowLike, Velocity

__all__ = ["Products", "examined", "judged", "twice_differentiable", "written_out"]


class Products:
    """`J u`, `J^T u` and the dense J of a flow at one point, batch and set of buffers.

    The graph owns its tensors: clones, never a workspace, since writing a buffer under a kept graph gives
    wrong products without an error. `J u` is the derivative of `J^T w` in w (double VJP), so any flow whose
    losses can be differentiated twice has it, three times where a term penalises a gradient; normalisation
    layers are then written out (see `composed`), since PyTorch's fused ones have wrong third derivatives, and
    group normalisation no batched ones.

    Attributes:
        value: v, (n,).
        losses: of all players.

    Args:
        flow: the flow.
        t: time.
        y: flat point, (n,).
        batch: batch the losses take, or None.
        field: counts the work and holds the modules' side effects; its buffers are used.
        factors: by part, what it is multiplied with; None: the whole field.
        examine: whether to look at the graph: `taken` is then the flow as it must be differentiated (see `examined`).
    """

    def __init__(
        self,
        flow: FlowLike,
        t: float | Tensor,
        y: Tensor,
        batch: Any,
        field: Field,
        factors: Mapping[str, float] | None = None,
        *,
        examine: bool = False,
    ) -> None:
        self.flow, self.layout, self.work = flow, flow.game.layout, field.work
        self.leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
        buffers = tuple(b.clone() for b in field.buffers)
        with torch.enable_grad(), field.held(self.leaves), written_out(flow), twice_differentiable():
            velocity = flow.velocity(t, self.leaves, buffers, batch, Request(factors=factors, create_graph=True))
        self.taken = judged(flow, velocity) if examine else flow
        self._v = velocity.leaves
        self.losses = tuple([x.detach() for x in velocity.losses])
        self.work.player_gradients += self.work.players
        self.work.linearisations += 1
        self.value = self.layout.flat([x.detach() for x in self._v])
        self.n = self.layout.n
        self._double: tuple[Sequence[Tensor], Sequence[Tensor]] | None = None

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
            live = [(x, u) for x, u in zip(self._v, w, strict=True) if x.requires_grad]
            graph: Sequence[Tensor] = [torch.zeros_like(x) for x in self.leaves]
            if live:
                with torch.enable_grad(), twice_differentiable():
                    graph = torch.autograd.grad(
                        [x for x, _ in live],
                        self.leaves,
                        [u for _, u in live],
                        create_graph=True,
                        materialize_grads=True,
                        allow_unused=True,
                    )
            self._double = (w, graph)
            self.work.second_graphs += 1
        return self._double

    def cross(self, u: Tensor) -> Tensor:
        """`W u`, W the cross-player blocks of J: each player's part of u, seen by the others; (n,)."""
        players = tuple(self.layout.slices)
        parts = u.new_zeros(len(players), self.n)
        for row, at in zip(parts, players, strict=True):
            row[at] = u[at]
        images = self.jvp(parts)
        out = images.sum(0)
        for row, at in zip(images, players, strict=True):
            out[at] -= row[at]
        return out

    def dense(self, block: int = 64) -> Tensor:
        """J, (n, n), a block of rows at a time."""
        eye = torch.eye(self.n, dtype=self.value.dtype, device=self.value.device)
        return torch.cat([self.vjp(rows) for rows in torch.split(eye, block)])

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
        if not live:
            return u.new_zeros(*u.shape[:-1], sum(x.numel() for x in inputs))
        cotangents = self.layout.views(u, given)
        with twice_differentiable():
            out = torch.autograd.grad(
                [outputs[i] for i in live],
                inputs,
                [cotangents[i] for i in live],
                retain_graph=True,
                allow_unused=True,
                is_grads_batched=u.dim() == 2,
            )
        lead = u.shape[:-1]
        filled = [
            torch.zeros(*lead, *x.shape, dtype=x.dtype, device=x.device) if g is None else g
            for g, x in zip(out, inputs, strict=True)
        ]
        return self.layout.flat(filled, len(lead))


class _Differentiating:
    """A flow whose losses differentiate inside, saying so."""

    double_backward = True

    def __init__(self, flow: FlowLike) -> None:
        self._flow = flow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flow, name)


def examined(flow: Any, t: float | Tensor, y: Tensor, batch: Any, field: Field) -> Any:
    """The flow, or one that says `double_backward` where a loss differentiates a norm inside (a user's penalty).

    Products then take third derivatives, which PyTorch's fused batch and layer norms have wrong (see `composed`).
    Such a loss has a norm's double backward in its graph.

    Args:
        flow: the flow.
        t: time.
        y: flat point, (n,).
        batch: batch the losses take, or None.
        field: holds the modules' side effects; its buffers are used.

    Raises:
        ArgumentError: for an operation marked as differentiable once: PyTorch takes its derivative to be 0.
    """
    leaves = [v.clone().requires_grad_() for v in flow.game.layout.views(y.detach())]
    with torch.enable_grad(), field.held(leaves), written_out(flow), twice_differentiable():
        velocity = flow.velocity(t, leaves, field.buffers, batch, Request(create_graph=True))
    return judged(flow, velocity)


def judged(flow: Any, velocity: Velocity) -> Any:
    """As `examined`, from a velocity with its graph."""
    if any(name.endswith("Error") for name in _operations(velocity.leaves)):
        remedy = "this needs the game's Jacobian: replace the operation"
        expected, got = "functions that can be differentiated twice", "an operation that is once_differentiable"
        raise ArgumentError("losses", expected, got, remedy)
    inside = not flow.double_backward and any("NormBackwardBackward" in x for x in _operations(velocity.losses))
    return _Differentiating(flow) if inside else flow


def _operations(results: Sequence[Tensor]) -> Iterator[str]:
    """Names of the operations in the graph of some results."""
    waiting, seen = [x.grad_fn for x in results], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            yield node.name()


def written_out(flow: FlowLike) -> contextlib.AbstractContextManager[None]:
    """Normalisation from elementary operations, where PyTorch's own has wrong or no derivatives of the order needed."""
    return composed_norms(flow.game.modules) if flow.double_backward else composed_group_norms()


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """PyTorch's error for operations without a second derivative, as one of ours."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not any(mark in text for mark in ("once_differentiable", "differentiate twice", "is not implemented")):
            raise
        raise ArgumentError(
            "losses",
            "functions that can be differentiated twice",
            text.splitlines()[0],
            "this needs the game's Jacobian: replace the operation, or choose an explicit method",
        ) from error
