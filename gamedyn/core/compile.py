"""The one door to PyTorch's compiler: a function of tensors, traced with make_fx and compiled by inductor."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from gamedyn._lib.waiting import waiting
from gamedyn.core.checkpointing import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = ["compiled"]


def compiled(function: Callable[..., Any], examples: Sequence[Tensor]) -> Callable[..., Any]:
    """A function of tensors that differentiates inside, as code for tensors like the examples.

    Everything but its arguments is burnt in. It is run once, so that the first call afterwards is a fast one. On a
    terminal it shows that it lives.
    """
    with warnings.catch_warnings(), waiting("compiling"):
        warnings.simplefilter("ignore")  # the compiler's remarks on itself
        evaluating(plain=True)
        with torch.enable_grad():
            graph = make_fx(function)(*examples)
        with torch.no_grad():
            code: Callable[..., Any] = torch._inductor.compile(graph, list(examples))
            code(*examples)
    return code
