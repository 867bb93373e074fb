"""Points whose class is declared, and points of training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import gamedyn as gd
from analysis.common.digits import digits
from analysis.common.parts import Result

__all__ = ["declared", "trained"]

LATENT = 16


def declared(settings: Any, *, family: str) -> Result:
    """Every declared critical point of a family's examples: what is declared, and what is answered, formed and not."""
    rows = []
    for example in gd.games.get(family).examples:
        game, batch = example()
        for point in game.critical_points:
            flow, state = gd.flows.gradient(game), game.state_of(point.point)
            formed, searched = (gd.spectrum.verdict(flow, state, batch, form=d) for d in (True, False))
            rows.append(
                {
                    "game": repr(game),
                    "point": point.name or repr({k: [round(float(x), 3) for x in v] for k, v in point.point.items()}),
                    "declared": {"stability": point.stability, "nash": point.nash}
                    | {f"stackelberg, {p} leads": a for p, a in point.stackelberg.items()},
                    "formed": {k: a.answer for k, a in formed.answers().items()},
                    "not formed": {k: a.answer for k, a in searched.answers().items()},
                    "reason": formed.stability.reason,
                }
            )
    return Result({"kind": "declared", "family": family, "rows": rows}, {})


def trained(settings: Any, *, name: str) -> Result:
    """A GAN after training, and what can be said of the point."""
    flow, batch = _digits_gan() if name == "digits" else _gaussians_gan()
    run = gd.solve(flow, "euler", h=0.1, steps=settings.steps, batch=batch)
    found = gd.spectrum.verdict(flow, run, batch, form=False, k=settings.k, basis=settings.basis)
    values = found.flow.eigenvalues.values
    return Result({"kind": "trained", "name": name, "text": str(found), **found.to_dict()}, {"eigenvalues": values})


def _digits_gan() -> tuple[gd.flows.GradientFlow, Any]:
    g, double = torch.Generator().manual_seed(0), torch.float64
    G = gd.games.mlp((LATENT, 32, 32, 64), generator=g, dtype=double)
    D = gd.games.mlp((64, 32, 32, 1), generator=g, dtype=double)
    flow = gd.flows.gradient(gd.games.gan(G, D))
    images = torch.as_tensor(digits())
    noise = torch.randn(len(images), LATENT, generator=g, dtype=double)
    return flow.with_term(gd.losses.squared_gradient(of="G", into="D", weight=0.1)), (images, noise)


def _gaussians_gan() -> tuple[gd.flows.GradientFlow, Any]:
    """The 16-Gaussian GAN: rectified, so that it has scaling symmetries."""
    g, double = torch.Generator().manual_seed(0), torch.float64

    def net(*widths: int) -> nn.Sequential:
        layers = gd.games.mlp(widths, generator=g, dtype=double)
        return nn.Sequential(*[nn.ReLU() if isinstance(m, nn.Tanh) else m for m in layers])

    modes = torch.cartesian_prod(*[torch.linspace(-1.5, 1.5, 4, dtype=double)] * 2)
    real = modes.repeat(32, 1) + 0.05 * torch.randn(512, 2, generator=g, dtype=double)
    flow = gd.flows.gradient(gd.games.gan(net(32, 25, 25, 2), net(2, 25, 25, 1)))
    return flow, (real, torch.randn(512, 32, generator=g, dtype=double))
