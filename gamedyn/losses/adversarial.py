"""Adversarial losses: minimax, non-saturating, Wasserstein, least squares, hinge."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from gamedyn.losses._types import AdversarialLoss

__all__ = ["HINGE", "LEAST_SQUARES", "MINIMAX", "NONSATURATING", "WASSERSTEIN"]


def _logistic_real(s: Tensor) -> Tensor:
    return softplus(-s)


def _logistic_fake(s: Tensor) -> Tensor:
    return softplus(s)


MINIMAX = AdversarialLoss(
    name="minimax",
    real=_logistic_real,
    fake=_logistic_fake,
    generator=lambda s: -softplus(s),
    zero_sum=True,
    source="Goodfellow et al. 2014, eq. (1): the generator maximises the discriminator's cross-entropy",
    aliases=("saturating", "jensen_shannon"),
)
NONSATURATING = AdversarialLoss(
    name="nonsaturating",
    real=_logistic_real,
    fake=_logistic_fake,
    generator=lambda s: softplus(-s),
    zero_sum=False,
    source="Goodfellow et al. 2014, section 3",
    aliases=("non_saturating", "ns"),
)
WASSERSTEIN = AdversarialLoss(
    name="wasserstein",
    real=torch.neg,
    fake=lambda s: s,
    generator=torch.neg,
    zero_sum=True,
    source="Arjovsky, Chintala, Bottou 2017, eq. (2), without the Lipschitz constraint: add a penalty term",
    aliases=("wgan",),
)
LEAST_SQUARES = AdversarialLoss(
    name="least_squares",
    real=lambda s: 0.5 * (s - 1) ** 2,
    fake=lambda s: 0.5 * (s + 1) ** 2,
    generator=lambda s: 0.5 * (s - 1) ** 2,
    zero_sum=False,
    source="Mao et al. 2017, eq. (2), labels -1 and 1, generator's target 1: an output of 0 is undecided, as in "
    "every loss here (labels 0 and 1 are the same game at a quarter of the scale, shifted)",
    aliases=("lsgan",),
)
HINGE = AdversarialLoss(
    name="hinge",
    real=lambda s: relu(1 - s),
    fake=lambda s: relu(1 + s),
    generator=torch.neg,
    zero_sum=False,
    source="Lim, Ye 2017; Miyato et al. 2018, eqs. (16), (17)",
)
