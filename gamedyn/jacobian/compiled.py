"""Products with the game's Jacobian as compiled code: for small nets, and for many points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Point
from gamedyn.core.compile import compiled
from gamedyn.jacobian.differentiation import differentiable, written_out
from gamedyn.jacobian.products import Products

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.jacobian.evaluated import Evaluated

__all__ = ["Code", "CompiledProducts"]

BLOCK = 8
"""Rows that one compiled call multiplies: blocks cost half as much a product."""


class Code:
    """Compiled products of one flow, at any point: by kind of product and kind of batch."""

    def __init__(self) -> None:
        self._known: dict[Any, Callable[..., Any]] = {}

    def get(self, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """The code of a key, compiled at its first use."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


class CompiledProducts(Products):
    """`J u` and `J^T u` as functions of (y, u, batch), compiled once: another point compiles nothing.

    Arguments as for `ForwardProducts`, and `code`, shared by the objects of one flow.

    Raises:
        ArgumentError: where the flow cannot be traced or compiled, or draws random numbers.
    """

    def __init__(
        self,
        field: Evaluated,
        t: float | Tensor,
        y: Tensor,
        batch: Any,
        factors: Mapping[str, float] | None = None,
        code: Code | None = None,
    ) -> None:
        self.layout, self.work, self._field = field.layout, field.work, field
        self._t, self._y, self._factors = float(t), y.detach().clone(), factors
        self._code = Code() if code is None else code
        if field.draws_randomness:
            remedy = 'pass the noise in the batch, or take strategy="kept"'
            raise ArgumentError(
                "losses", "functions that draw no random numbers, to be compiled", "some that do", remedy
            )
        self._items, self._spec = tree_flatten((batch, tuple(b.clone() for b in field.standing)))
        self._moving = [i for i, x in enumerate(self._items) if isinstance(x, Tensor)]
        self._modes = tuple([m.training for m in field.flow.game.modules])
        value, *losses = self._run("value", None)
        self._evaluated = value, tuple(losses)
        self.work.player_gradients += self.work.players

    def jvp(self, u: Tensor) -> Tensor:
        """`J u`, shape (n,) or, for rows of vectors, (k, n)."""
        return self._rows("jvp", u)

    def vjp(self, u: Tensor) -> Tensor:
        """`J^T u`, shape (n,) or, for rows of vectors, (k, n)."""
        return self._rows("vjp", u)

    def _rows(self, kind: str, u: Tensor) -> Tensor:
        self.work.products += 1 if u.dim() == 1 else len(u)
        if u.dim() == 1:
            return self._run(kind, u)[0]
        whole = len(u) - len(u) % BLOCK
        blocks = [self._run(kind, part)[0] for part in torch.split(u[:whole], BLOCK)] if whole else []
        rest = [self._run(kind, row)[0][None] for row in u[whole:]]
        return torch.cat([*blocks, *rest])

    def _run(self, kind: str, u: Tensor | None) -> Sequence[Tensor]:
        arguments = [self._y, *([] if u is None else [u.detach().contiguous()])]
        arguments += [self._items[i] for i in self._moving]
        constants = tuple(_constant(x) for x in self._items if not isinstance(x, Tensor))
        shapes = tuple((x.shape, x.stride(), x.dtype, x.device) for x in arguments)
        factors = None if self._factors is None else tuple(self._factors.items())
        code = self._code.get(
            (kind, self._t, factors, self._spec, constants, shapes, self._modes), lambda: self._compile(kind, arguments)
        )
        out = code(*arguments)
        return [out] if isinstance(out, Tensor) else list(out)

    def _compile(self, kind: str, examples: list[Tensor]) -> Callable[..., Any]:
        def function(y: Tensor, *rest: Tensor) -> list[Tensor]:
            u, moving = (None, rest) if kind == "value" else (rest[0], rest[1:])
            items = list(self._items)
            for i, x in zip(self._moving, moving, strict=True):
                items[i] = x
            batch, buffers = tree_unflatten(items, self._spec)
            leaves = [v.detach().clone().requires_grad_() for v in self.layout.views(y)]
            request = self._field.asked(factors=self._factors, create_graph=u is not None)
            if self._field.effects.buffers:
                buffers = tuple([b.clone() for b in buffers])
            buffers = self._field.at_leaves(leaves, buffers)
            velocity = self._field.flow.velocity(Point(self._t, leaves, buffers, batch), request)
            if u is None:
                return [self.layout.flat([x.detach() for x in velocity.leaves]), *[x.detach() for x in velocity.losses]]
            return [_product(self.layout, velocity.leaves, leaves, u, transposed=kind == "vjp")]

        try:
            with self._field.session(), written_out(third=self._field.third), differentiable():
                return compiled(function, examples)
        except ArgumentError:
            raise
        except Exception as error:  # whatever the compiler says has one answer
            text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            raise ArgumentError("strategy", "one that this flow has", text, 'use "kept" or "forward"') from error


def _constant(x: Any) -> Any:
    """What distinguishes a batch's constant, which is compiled in, from others (an array's repr leaves entries out)."""
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype, x.tobytes()
    return type(x), repr(x)


def _product(layout: Any, v: Sequence[Tensor], leaves: Sequence[Tensor], u: Tensor, *, transposed: bool) -> Tensor:
    """`J^T u`, or `J u` as the derivative of `J^T w` in w; u of shape (n,) or (k, n)."""
    rows = u.dim() == 2
    options: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
    inputs, outputs = leaves, [x for x in v if x.requires_grad]
    live = [i for i, x in enumerate(v) if x.requires_grad]
    if not live:
        return torch.zeros_like(u)
    cotangents = [layout.views(u)[i] for i in live]
    if not transposed:
        w = [torch.zeros_like(x, requires_grad=True) for x in v]
        graph = torch.autograd.grad(outputs, leaves, [w[i] for i in live], create_graph=True, **options)
        at = [i for i, x in enumerate(graph) if x.requires_grad]
        inputs, outputs, cotangents = w, [graph[i] for i in at], [layout.views(u)[i] for i in at]
    pulled = torch.autograd.grad(outputs, inputs, cotangents, is_grads_batched=rows, allow_unused=True)
    shape = u.shape[:-1]
    filled = [u.new_zeros(*shape, *x.shape) if g is None else g for g, x in zip(pulled, inputs, strict=True)]
    image: Tensor = layout.flat(filled, len(shape)).detach()
    return image
