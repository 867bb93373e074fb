"""A user's script, as a type checker sees it: `make types` holds it to mypy --strict, and pyright accepts it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import gamedyn as gd


def losses(G: nn.Module, D: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Non-saturating losses."""
    real, z = batch
    fake, softplus = D(G(z)), nn.functional.softplus
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}


def main() -> None:
    """Train, look at the point, and step by hand."""
    G = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 2))
    D = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
    game = gd.Game({"G": G, "D": D}, losses)
    flow = gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.r1(0.5))
    stream = gd.batches(torch.randn(512, 2), latent=8, batch_size=64)
    run = gd.solve(flow, "rk4", h=0.02, steps=10, batches=stream, stages="bfloat16")
    print(run.records.losses["G"][-1], run.status, run.stats["seconds"])
    lin = gd.spectrum.linearise(flow, run, next(stream))
    print(gd.spectrum.stable_steps("alternating", lin).limit, lin.eigenvalues.rightmost)
    held = flow.at(run, next(stream))
    print((held.jacobian() @ run.state.y).norm(), gd.stability.sheet("rk4")["order"])
    game.write(run.state)
    optimizer = gd.optim.GameOptimizer({"G": G, "D": D}, "rk4", lr=0.01)
    batch = next(stream)
    print(optimizer.step(lambda: losses(G, D, batch))["D"])
    print(gd.solve_ensemble(flow, "heun2", h=[0.01, 0.02], steps=3, batches=stream).status)


if __name__ == "__main__":
    main()
