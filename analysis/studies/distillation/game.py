"""The game: a one-step generator against the scores of a teacher and of its own samples, and a discriminator.

Flow matching: `x_t = (1 - t) x + t e`, a denoiser gives E[x | x_t]. The generator descends
`<g, x>` with `g = (fake(x_t) - real(x_t)) / mean |x - real(x_t)|` frozen, so that its velocity is no gradient.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import softplus

import gamedyn as gd
from analysis.common.gans import loaded
from gamedyn.ablation import Setup

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CENTRES", "SIGMA", "WEIGHTS", "Denoiser", "exact", "image_setup", "mixture_setup", "posterior"]

CENTRES = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, -2.0]])
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1])
SIGMA = 0.3
"""The mixture: four modes in the plane."""

SPLIT = 0.5
"""Noise level above which the generator has the teacher's gradient alone, and below which the discriminator's."""

PREFERRED = 3
"""The mode that the reward prefers: the rarest."""

SAMPLES = 8192


class Denoiser(nn.Module):
    """E[x | x_t] as a network of (x_t, t): teacher, generator (at t = 1) and fake score are of this kind."""

    def __init__(self, size: int, width: int, out: int, generator: torch.Generator) -> None:
        super().__init__()
        self.body = gd.games.mlp((size + 3, width, width, out), generator=generator)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Of noised samples (batch, size) and noise levels (batch, 1)."""
        angle = torch.pi * t
        made: torch.Tensor = self.body(torch.cat([x, t, angle.sin(), angle.cos()], -1))
        return made


def exact(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The mixture's own E[x | x_t]."""
    centres, weights = CENTRES.to(x), WEIGHTS.to(x)
    scale = 1 - t
    spread = scale**2 * SIGMA**2 + t**2  # variance of x_t about each mode
    gaps = x[..., None, :] - scale[..., None] * centres
    log = weights.log() - gaps.square().sum(-1) / (2 * spread)
    share = log.softmax(-1)
    within = centres + (scale * SIGMA**2 / spread)[..., None] * gaps
    return (share[..., None] * within).sum(-2)


def posterior(x: torch.Tensor) -> torch.Tensor:
    """The probability of each mode given a sample, (batch, modes)."""
    gaps = (x[..., None, :] - CENTRES.to(x)).square().sum(-1)
    return (WEIGHTS.to(x).log() - gaps / (2 * SIGMA**2)).softmax(-1)


def game_of(
    teacher: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    players: dict[str, nn.Module],
    size: int,
    *,
    split: bool,
    adversarial: float,
    pull: float,
    preference: float,
) -> gd.Game:
    """The three players' losses; a batch is (real, noise) with `3 size + 2` normal numbers a sample."""

    def losses(G: Any, F: Any, D: Any, batch: Any) -> dict[str, torch.Tensor]:
        real, noise = batch
        real = real.flatten(1)
        z, e, f = noise[:, :size], noise[:, size : 2 * size], noise[:, 2 * size : 3 * size]
        t, s = (torch.special.ndtr(noise[:, 3 * size + i : 3 * size + i + 1]) * 0.96 + 0.02 for i in (0, 1))
        x = G(z, torch.ones_like(t))
        x_t = (1 - t) * x + t * e
        high, low = (t > SPLIT, s <= SPLIT) if split else (t > 0, s > 0)
        with torch.no_grad():
            truth = teacher(x_t, t)
            step = (F(x_t, t) - truth) / (x - truth).abs().mean(-1, keepdim=True).clamp(min=1e-3)
        matching = (step * x * high).sum(-1).mean()
        x_s, real_s = (1 - s) * x + s * f, (1 - s) * real + s * f
        fooling = (softplus(-D(x_s, s)) * low).mean()
        loss = {"G": matching + adversarial * fooling, "F": (F(x_t, t) - x).square().sum(-1).mean()}
        loss["D"] = (softplus(D(x_s, s)) + softplus(-D(real_s, s))).mean()
        if pull:
            pairs = zip(F.parameters(), G.parameters(), strict=True)
            loss["F"] = loss["F"] + pull / 2 * sum((p - q).square().sum() for p, q in pairs)
        if preference:
            loss["G"] = loss["G"] - preference * (posterior(x)[:, PREFERRED] + 1e-6).log().mean()
        return loss

    return gd.Game(players, losses)


def mixture_setup(
    seed: int,
    width: int,
    batch: int,
    adversarial: float,
    ratio: float = 1.0,
    split: bool = False,
    pull: float = 0.0,
    preference: float = 0.0,
) -> Setup:
    """The game on the mixture with its exact scores; fake score and discriminator `ratio` times as fast."""
    g = torch.Generator().manual_seed(3000 + seed)
    players: dict[str, nn.Module] = {n: Denoiser(2, width, 1 if n == "D" else 2, g) for n in ("G", "F", "D")}
    players["F"].load_state_dict(players["G"].state_dict())  # as both begin from the teacher
    how: dict[str, Any] = {"split": split, "adversarial": adversarial, "pull": pull, "preference": preference}
    flow = gd.flows.gradient(game_of(exact, players, 2, **how)).with_rates({"G": 1.0, "F": ratio, "D": ratio})
    stream = gd.batches(_samples(), latent=8, seed=seed, batch_size=batch)
    return Setup(flow, batches=stream, extras={"size": 2})


@lru_cache(maxsize=1)
def _samples() -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    modes = torch.multinomial(WEIGHTS, SAMPLES, replacement=True, generator=g)
    return CENTRES[modes] + SIGMA * torch.randn(SAMPLES, 2, generator=g)


@lru_cache(maxsize=4)
def taught(data_set: str, width: int, steps: int, h: float) -> Denoiser:
    """A teacher that has learned to denoise a data set by flow matching."""
    samples = loaded(data_set).samples.flatten(1)
    size = samples.shape[1]
    teacher = Denoiser(size, width, size, torch.Generator().manual_seed(0))

    def losses(T: Any, batch: Any) -> dict[str, torch.Tensor]:
        real, noise = batch
        t = torch.special.ndtr(noise[:, size:]) * 0.96 + 0.02
        x_t = (1 - t) * real + t * noise[:, :size]
        return {"T": (T(x_t, t) - real).square().sum(-1).mean()}

    game = gd.Game({"T": teacher}, losses)
    stream = gd.batches(torch.as_tensor(samples), latent=size + 1, seed=0, batch_size=128)
    adam = gd.methods.get("torch.optim:Adam")
    schedule = gd.steps.Schedule(lambda n: h * min(1.0, 2.0 * (1 - n / steps) + 1e-3))
    run = gd.solve(gd.flows.gradient(game), adam, h=schedule, steps=steps, batches=stream, progress=False)
    game.write(run.state)
    return teacher


def image_setup(
    seed: int,
    data_set: str,
    width: int,
    teacher_steps: int,
    teacher_h: float,
    batch: int,
    adversarial: float,
    ratio: float = 1.0,
    split: bool = False,
    pull: float = 0.0,
) -> Setup:
    """The game on images; generator and fake score begin as the learned teacher."""
    samples = torch.as_tensor(loaded(data_set).samples)
    size = samples[0].numel()
    teacher = taught(data_set, width, teacher_steps, teacher_h)
    g = torch.Generator().manual_seed(4000 + seed)
    players: dict[str, nn.Module] = {n: Denoiser(size, width, 1 if n == "D" else size, g) for n in ("G", "F", "D")}
    for n in ("G", "F"):
        players[n].load_state_dict(teacher.state_dict())
    frozen = Denoiser(size, width, size, torch.Generator().manual_seed(0))
    frozen.load_state_dict(teacher.state_dict())
    how: dict[str, Any] = {"split": split, "adversarial": adversarial, "pull": pull, "preference": 0.0}
    flow = gd.flows.gradient(game_of(frozen.requires_grad_(False), players, size, **how))
    flow = flow.with_rates({"G": 1.0, "F": ratio, "D": ratio})
    stream = gd.batches(samples, latent=3 * size + 2, seed=seed, batch_size=batch)
    return Setup(flow, batches=stream, extras={"size": size, "data": data_set})
