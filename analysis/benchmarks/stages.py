"""What stages in bfloat16 cost and save: `python -m analysis.benchmarks.stages`.

Three GANs in float32, each solved on one batch with whole stages and with rounded ones. The difference that rounding
makes is set beside the method's own error, that against rk4 at an eighth of the step, both as shares of the way that
the parameters went; and the times of both runs, taken in turns.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

import gamedyn as gd
from gamedyn._lib.tables import aligned
from gamedyn.games.adversarial import mlp
from gamedyn.training import build, read_config

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.flows import Flow

__all__ = ["main"]

METHODS = ("euler", "alternating", "heun2", "ab2", "rk4", "dopri5")
TANH = {"name": "mlp", "widths": [256, 256], "latent": 16, "activation": "tanh"}
RELU = {"name": "dcgan", "channels": 16, "latent": 16, "batch_norm": False}


def main() -> int:
    """Solve, compare and print."""
    rows = [("game", "method", "rounding", "method's own error", "seconds, of whole ones'")]
    problems = {
        "16 Gaussians, MLP": (*gaussians(), 0.02, 200),
        "digits, MLP": (*digits(TANH), 0.005, 100),
        "digits, DCGAN of ReLUs": (*digits(RELU), 0.0002, 100),
    }
    with tqdm(total=len(problems) * len(METHODS), disable=None) as bar:
        for name, (flow, batch, h, steps) in problems.items():
            fine = solved(flow, batch, "rk4", h / 8, 8 * steps, "full")[0]
            for method in METHODS:
                rows.append((name, method, *compared(flow, batch, method, h, steps, fine)))
                bar.update()
    print(aligned(rows))
    return 0


def compared(flow: Flow, batch: Any, method: str, h: float, steps: int, fine: Tensor) -> tuple[str, str, str]:
    """Both differences, and the quotient of times."""
    runs: dict[str, list[tuple[Tensor, float]]] = {"full": [], "bfloat16": []}
    for _ in range(3):
        for stages, found in runs.items():
            found.append(solved(flow, batch, method, h, steps, stages))
    whole, rounded = (runs[stages][0][0] for stages in runs)
    way = (whole - flow.game.state().y).norm()
    quick, slow = (min(seconds for _, seconds in found) for found in runs.values())
    return f"{(rounded - whole).norm() / way:.1e}", f"{(whole - fine).norm() / way:.1e}", f"{slow / quick:.2f}"


def solved(flow: Flow, batch: Any, method: str, h: float, steps: int, stages: str) -> tuple[Tensor, float]:
    """The last state, and the seconds that it took."""
    began = time.perf_counter()
    run = gd.solve(flow, method, h=h, steps=steps, batch=batch, stages=stages, check=False)
    return run.state.y, time.perf_counter() - began


def gaussians() -> tuple[Flow, Any]:
    """16 Gaussians on a grid, generator and discriminator of 128 hidden units."""
    g = torch.Generator().manual_seed(0)
    game = gd.games.gan(mlp((2, 128, 128, 2), generator=g), mlp((2, 128, 128, 1), generator=g))
    modes = torch.cartesian_prod(*[torch.linspace(-1.5, 1.5, 4)] * 2)
    real = modes.repeat(16, 1) + 0.1 * torch.randn(256, 2, generator=g)
    return gd.flows.gradient(game), (real, torch.randn(256, 2, generator=g))


def digits(models: dict[str, Any]) -> tuple[Flow, Any]:
    """Handwritten digits, and networks of a configuration."""
    data, solve = {"name": "digits", "batch_size": 64}, {"method": "rk4", "h": 1.0, "steps": 1}
    made = build(read_config({"data": data, "models": models, "solve": solve}))
    return made.flow, next(made.stream())


if __name__ == "__main__":
    sys.exit(main())
