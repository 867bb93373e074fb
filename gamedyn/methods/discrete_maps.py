"""Discrete maps of the GAN literature: normalised descent, grafting, and turns, extragradient and optimism with Adam.

They discretise no flow: no R(z), no order, no limits. torch.optim's own
classes are maps too, by their names with a prefix: `torch.optim:Adam`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn.methods._delegated import Delegated
from gamedyn.methods._maps import AlternatingMap, ExtrapolatedMap, Grafted, NormalisedDescent, OptimisticMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ALTERNATING_ADAM",
    "EXTRA_ADAM",
    "GRAFTED_ADAM_ON_SGD",
    "GRAFTED_ADAM_ON_SGD_LAYERWISE",
    "GRAFTED_SGD_ON_ADAM",
    "NORMALISED",
    "NORMALISED_LAYERWISE",
    "OPTIMISTIC_ADAM",
    "SIGN",
    "SPECTRAL",
    "alternating_adam",
    "extra_adam",
    "optimistic_adam",
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


def alternating_adam(
    players: Sequence[str | int] | None = None, *, cycles: Mapping[str | int, int] | None = None, **options: object
) -> AlternatingMap:
    """Players take Adam's steps in turn, in the game's order: the usual GAN loop where D is named before G.

    Args:
        players: the order of play, by name or place; None: the game's own order, or that of `cycles`.
        cycles: moves of each player in a step; SN-GAN's five of D for one of G are `{"D": 5, "G": 1}` and the rate 5.
        options: of torch.optim.Adam.

    Source: Goodfellow et al. 2014, algorithm 1; Radford, Metz, Chintala 2016 (with Adam).

    Example:
        >>> alternating_adam(("D", "G"), betas=(0.5, 0.999)).evaluations
        1
    """
    plain = players is None and cycles is None and not options
    name, aliases = ("alternating_adam", ("altadam",)) if plain else ("", ())
    source = "Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Radford, Metz, Chintala 2016, arXiv:1511.06434"
    return AlternatingMap(_adam(options), players, cycles=cycles, name=name, aliases=aliases, source=source)


def extra_adam(**options: object) -> ExtrapolatedMap:
    """Extragradient around Adam, whose moments advance twice a step.

    Args:
        options: of torch.optim.Adam.

    Source: Gidel, Berard, Vignoud, Vincent, Lacoste-Julien 2019, arXiv:1802.10551, algorithm 4.

    Example:
        >>> extra_adam(betas=(0.5, 0.9)).evaluations
        2
    """
    name, aliases = ("", ()) if options else ("extra_adam", ("extraadam",))
    source = "Gidel, Berard, Vignoud, Vincent, Lacoste-Julien 2019, arXiv:1802.10551, algorithm 4"
    return ExtrapolatedMap(_adam(options), name=name, aliases=aliases, source=source)


def optimistic_adam(**options: object) -> OptimisticMap:
    """Twice Adam's step less its last one.

    Args:
        options: of torch.optim.Adam.

    Source: Daskalakis, Ilyas, Syrgkanis, Zeng 2018, arXiv:1711.00141, algorithm 1.

    Example:
        >>> optimistic_adam(betas=(0.5, 0.9)).evaluations
        1
    """
    name, aliases = ("", ()) if options else ("optimistic_adam", ("oadam",))
    source = "Daskalakis, Ilyas, Syrgkanis, Zeng 2018, arXiv:1711.00141, algorithm 1"
    return OptimisticMap(_adam(options), name=name, aliases=aliases, source=source)


def _adam(options: Mapping[str, object]) -> Delegated:
    return Delegated("torch.optim", "Adam", dict(options))


ALTERNATING_ADAM = alternating_adam()
EXTRA_ADAM = extra_adam()
OPTIMISTIC_ADAM = optimistic_adam()
