"""Discrete maps of the GAN literature: normalised descent, and grafting of one optimiser onto another.

They take one evaluation a step and discretise no flow: no R(z), no order, no limits. torch.optim's own
classes are maps too, by their names with a prefix: `torch.optim:Adam`.
"""

from __future__ import annotations

from gamedyn.methods._maps import Grafted, NormalisedDescent

__all__ = [
    "GRAFTED_ADAM_ON_SGD",
    "GRAFTED_ADAM_ON_SGD_LAYERWISE",
    "GRAFTED_SGD_ON_ADAM",
    "NORMALISED",
    "NORMALISED_LAYERWISE",
]

_JELASSI = "Jelassi, Dobre, Mensch, Li, Gidel 2022, arXiv:2210.04319"
_AGARWAL = "Agarwal, Anil, Hazan, Koren, Zhang 2020, arXiv:2002.11803"

NORMALISED = NormalisedDescent(
    name="normalised",
    aliases=("nsgda", "normalised_descent", "normalized"),
    source=f"{_JELASSI}: nSGDA, one norm over each player",
)
NORMALISED_LAYERWISE = NormalisedDescent(
    layerwise=True,
    name="normalised_layerwise",
    aliases=("nsgda_layerwise", "normalized_layerwise"),
    source=f"{_JELASSI}: nSGDA, one norm for each layer",
)
GRAFTED_ADAM_ON_SGD = Grafted(
    "torch.optim:Adam",
    "euler",
    name="grafted_adam_on_sgd",
    aliases=("adalr",),
    source=f"{_AGARWAL}; Adam's length, the gradient's direction, per player: {_JELASSI}",
)
GRAFTED_ADAM_ON_SGD_LAYERWISE = Grafted(
    "torch.optim:Adam",
    "euler",
    layerwise=True,
    name="grafted_adam_on_sgd_layerwise",
    aliases=("adalr_layerwise",),
    source=f"{_AGARWAL}; Adam's length, the gradient's direction, per layer: {_JELASSI}",
)
GRAFTED_SGD_ON_ADAM = Grafted(
    "euler",
    "torch.optim:Adam",
    name="grafted_sgd_on_adam",
    aliases=("adadir",),
    source=f"{_AGARWAL}; the gradient's length, Adam's direction, per player: {_JELASSI}",
)
