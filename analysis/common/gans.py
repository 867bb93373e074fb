"""GANs on real data as the set-up of an ablation, and their quality as its measure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import gamedyn as gd
from gamedyn.ablation import Outcome, Setup
from gamedyn.training import Sampler, data, models, scores

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CAP", "METHODS", "PENALTIES", "quality", "scorer", "setup"]

PENALTIES: dict[str, tuple[str, ...]] = {
    "none": (),
    "squared_gradient": ("squared_gradient",),
    "r1": ("r1",),
    "r2": ("r2",),
    "r1_r2": ("r1", "r2"),
}
"""Penalties by the terms that they are made of."""

CAP = 100.0
"""Distance that a run without a finite state, or farther than this, counts as."""

METHODS = {
    "adam": ("torch.optim:Adam", {"betas": (0.0, 0.99)}),
    "adam_in_turn": ("alternating_adam", {"betas": (0.0, 0.99)}),
    "extra_adam": ("extra_adam", {"betas": (0.0, 0.99)}),
}
"""Methods by other names than their own, with R3GAN's and StyleGAN2's betas; the usual loop is Adam in turn."""


def setup(
    data_set: str,
    seed: int,
    *,
    loss: str = "nonsaturating",
    penalty: str = "none",
    weights: Sequence[tuple[str, float]] = (("squared_gradient", 0.1), ("r1", 0.1), ("r2", 0.1)),
    batch: int = 64,
    model: str = "mlp",
    options: Sequence[tuple[str, Any]] = (("widths", (32, 32)), ("latent", 16)),
) -> Setup:
    """The flow of a GAN with its penalty, begun and fed by a seed.

    Args:
        data_set: a name of `gamedyn.training.data`.
        seed: of the networks and the batches.
        loss: a name of `gamedyn.losses`.
        penalty: one of `PENALTIES`.
        weights: of the terms.
        batch: samples of a step.
        model: an architecture of `gamedyn.training.models`.
        options: its own.
    """
    samples = loaded(data_set)
    pair = models.build(model, samples.shape, seed=seed, **dict(options))
    flow = gd.flows.gradient(gd.games.gan(pair.generator, pair.discriminator, loss))
    for term in PENALTIES[penalty]:
        flow = flow.with_term(getattr(gd.losses, term)(dict(weights)[term]))
    stream = samples.batches(batch, latent=pair.latent, seed=seed)
    return Setup(flow, batches=stream, extras={"latent": pair.latent, "data": data_set})


@lru_cache(maxsize=4)
def loaded(data_set: str) -> Any:
    """A data set, once per process."""
    return data.load(data_set)


@lru_cache(maxsize=4)
def scorer(data_set: str, measures: tuple[str, ...], features: str, count: int) -> scores.Scorer:
    """What scores samples, once per process: its features may be those of a classifier that is trained for it."""
    return scores.Scorer(loaded(data_set), measures, features=features, count=count, progress=False)


def quality(
    outcome: Outcome, *, measures: tuple[str, ...] = ("frechet",), features: str = "pixels", count: int = 2000
) -> dict[str, float]:
    """The scores of what the generator makes of `count` noises, by name."""
    known = scorer(outcome.setup.extras["data"], measures, features, count)
    found = known(Sampler(outcome.flow.game, outcome.setup.extras["latent"]).blocks(outcome.state, count))
    wanted = (n for m in known.measures for n in m.numbers)
    return {n: float(found[n]) for n in wanted}
