"""The f-GAN family: `-L_D`, maximised over all discriminators, is an f-divergence of data p and generated q.

`L_D = -E_p T(D(x)) + E_q f*(T(D(x)))`, f* the conjugate of f, T an increasing function chosen so that the best score is
`log p/q` (0: undecided), or as said. The generator ascends `L_D`. Jensen and Shannon's divergence gives the minimax
loss, shifted by a constant, and has its name as an alias there.
"""

from __future__ import annotations

import torch

from gamedyn.losses._types import AdversarialLoss

__all__ = ["KULLBACK_LEIBLER", "NEYMAN", "PEARSON", "REVERSE_KULLBACK_LEIBLER", "SQUARED_HELLINGER", "TOTAL_VARIATION"]

_NOWOZIN = "Nowozin, Cseke, Tomioka 2016, tables 1, 2"

KULLBACK_LEIBLER = AdversarialLoss(
    name="kl",
    real=lambda s: -1 - s,
    fake=torch.exp,
    generator=lambda s: -torch.exp(s),
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = u log u, T = 1 + s",
    aliases=("kullback_leibler",),
    finite_to=80.0,
)
REVERSE_KULLBACK_LEIBLER = AdversarialLoss(
    name="reverse_kl",
    real=lambda s: torch.exp(-s),
    fake=lambda s: s - 1,
    generator=lambda s: 1 - s,
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = -log u, T = -exp(-s)",
    finite_to=80.0,
)
PEARSON = AdversarialLoss(
    name="pearson",
    real=lambda s: -2 * s,
    fake=lambda s: s**2 + 2 * s,
    generator=lambda s: -(s**2) - 2 * s,
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = (u - 1)^2, T = 2 s, best score p/q - 1",
    aliases=("pearson_chi2",),
)
NEYMAN = AdversarialLoss(
    name="neyman",
    real=lambda s: torch.exp(-2 * s) - 1,
    fake=lambda s: 2 - 2 * torch.exp(-s),
    generator=lambda s: 2 * torch.exp(-s) - 2,
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = (1 - u)^2 / u, T = 1 - exp(-2 s)",
    aliases=("neyman_chi2",),
    finite_to=40.0,
)
SQUARED_HELLINGER = AdversarialLoss(
    name="squared_hellinger",
    real=lambda s: torch.exp(-s / 2) - 1,
    fake=lambda s: torch.exp(s / 2) - 1,
    generator=lambda s: 1 - torch.exp(s / 2),
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = (sqrt(u) - 1)^2, T = 1 - exp(-s/2)",
    finite_to=160.0,
)
TOTAL_VARIATION = AdversarialLoss(
    name="total_variation",
    real=lambda s: -torch.tanh(s) / 2,
    fake=lambda s: torch.tanh(s) / 2,
    generator=lambda s: -torch.tanh(s) / 2,
    zero_sum=True,
    source=f"{_NOWOZIN}: f(u) = |u - 1| / 2, T = tanh(s) / 2, best score +-infinity",
)
