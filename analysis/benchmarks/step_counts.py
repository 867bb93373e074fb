"""What a step of every method asks of a GPU, counted on a CPU: `python -m analysis.benchmarks.step_counts`.

Waits of the host, numbers sent, kernels beyond those of as many hand-written field evaluations, and vectors of
parameter size moved, on the GAN of 16 Gaussians (float32, non-saturating, 2,278 parameters).
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn._lib.tables import aligned
from gamedyn.integrators.execution.operations import Operations

__all__ = ["main", "rows"]


def rows(look_every: int) -> list[list[str]]:
    """A row a method.

    Args:
        look_every: products between two looks at a Krylov space, as on a GPU.
    """
    g = torch.Generator().manual_seed(0)
    G, D = gd.games.mlp((32, 25, 25, 2), generator=g), gd.games.mlp((2, 25, 25, 1), generator=g)
    batch = torch.randn(512, 2, generator=g), torch.randn(512, 32, generator=g)
    flow = gd.flows.gradient(gd.games.gan(G, D))
    with Operations() as seen:
        fake = D(G(batch[1]))
        torch.autograd.grad(softplus(-fake).mean(), list(G.parameters()), retain_graph=True)
        torch.autograd.grad(softplus(fake).mean() + softplus(-D(batch[0])).mean(), list(D.parameters()))
    bare = sum(o.runs for o in seen)
    krylov = gd.integrators.Krylov(look_every=look_every)
    solvers = (krylov, gd.integrators.NewtonKrylov(krylov=krylov))
    out = [["method", "family", "evaluations", "waits", "sent", "kernels", "beyond the bare field", "vectors moved"]]
    for name, method in gd.methods.members().items():
        if name.startswith("rk4_penalty"):  # of flows with penalties
            continue
        stepper: Any = gd.integrators.stepper(method)
        kinds = stepper.solvers
        chosen = next((s for s in solvers if isinstance(s, kinds)), None) if kinds and not method.explicit else None
        found = gd.integrators.step_counts(flow, method, batch, h=0.05, solver=chosen)
        beyond = found.kernels - found.evaluations * bare
        counts = (found.waits, found.sent, found.kernels, beyond, found.moved)
        out.append([name, method.kind, f"{found.evaluations:g}", *(f"{x:g}" for x in counts)])
    return out


def main() -> None:
    """Print the table."""
    print(aligned(rows(int(sys.argv[1]) if len(sys.argv) > 1 else 4)))


if __name__ == "__main__":
    main()
