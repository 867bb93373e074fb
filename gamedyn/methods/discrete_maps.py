"""Discrete maps of the GAN literature: normalised descent, grafting, and extragradient and optimism around Adam.

They discretise no flow: no R(z), no order, no limits. torch.optim's own
classes are maps too, by their names with a prefix: `torch.optim:Adam`.
"""

from __future__ import annotations

from gamedyn.methods._maps import ExtrapolatedMap, Grafted, NormalisedDescent, OptimisticMap

__all__ = [
    "EXTRA_ADAM",
    "GRAFTED_ADAM_ON_SGD",
    "GRAFTED_ADAM_ON_SGD_LAYERWISE",
    "GRAFTED_SGD_ON_ADAM",
    "NORMALISED",
    "NORMALISED_LAYERWISE",
    "OPTIMISTIC_ADAM",
    "SIGN",
    "SPECTRAL",
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
SIGN = NormalisedDescent(
    norm="maximum",
    name="sign",
    aliases=("signsgd", "sign_descent"),
    source="Bernstein, Wang, Azizzadenesheli, Anandkumar 2018, arXiv:1802.04434: every entry moves h rate_i",
)
SPECTRAL = NormalisedDescent(
    layerwise=True,
    norm="spectral",
    name="spectral",
    aliases=("orthogonalised", "spectral_descent"),
    source="Carlson, Cevher, Carin 2015: every layer's step is h rate_i times an orthogonal matrix; what Muon does, "
    "without its momentum and scale",
)
EXTRA_ADAM = ExtrapolatedMap(
    "torch.optim:Adam",
    name="extra_adam",
    aliases=("extraadam",),
    source="Gidel, Berard, Vignoud, Vincent, Lacoste-Julien 2019, arXiv:1802.10551, algorithm 4",
)
OPTIMISTIC_ADAM = OptimisticMap(
    "torch.optim:Adam",
    name="optimistic_adam",
    aliases=("oadam",),
    source="Daskalakis, Ilyas, Syrgkanis, Zeng 2018, arXiv:1711.00141, algorithm 1",
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
