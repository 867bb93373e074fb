"""Modes: how many are hit, how evenly, and of mixtures, how near the samples are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.training.scores._types import Account, Measure, Reference, in_blocks

__all__ = ["MODES", "WITHIN"]


class _Modes(Account):
    """Counts of samples by mode: a classifier's labels, or a mixture's nearest centres.

    `modes` is the number of modes with at least one sample (of a mixture: one within 3 sigma of the centre);
    `modes_kl` the divergence of the counts from the real samples', `sum q log(q / p)`; `modes_kl_floor` its mean for
    as many samples of the real distribution, about `(K - 1) / (2 n)`.
    """

    def __init__(self, reference: Reference) -> None:
        self.centres, self.sigma = reference.centres, reference.sigma
        self.labels = reference.features.labels
        if self.centres is None and self.labels is None:
            remedy = 'features = "classifier", on data with labels'
            raise ArgumentError("scores", "a classifier, or a mixture, to count modes", reference.features.name, remedy)
        count = reference.features.classes if self.centres is None else len(self.centres)
        real = reference.labels
        if real is None:
            real = torch.cat([self._of(x) for x in in_blocks(reference.samples)])
        self.real = torch.bincount(real.cpu(), minlength=count).double()
        self.made, self.near = torch.zeros(count, dtype=torch.double), torch.zeros(count, dtype=torch.double)
        self.finite = True

    def _of(self, samples: Tensor) -> Tensor:
        if self.centres is None:
            return self.labels(samples)  # type: ignore[misc]
        return torch.cdist(samples, self.centres).argmin(1)

    def add(self, samples: Tensor, features: Tensor) -> None:
        self.finite = self.finite and bool(samples.isfinite().all())
        if not self.finite:
            return
        found = self._of(samples)
        near = torch.ones(len(samples), dtype=torch.bool)
        if self.centres is not None:
            near = (samples - self.centres[found]).norm(dim=1) <= 3 * self.sigma
        size = len(self.made)
        self.made += torch.bincount(found, minlength=size)
        self.near += torch.bincount(found[near], minlength=size)

    def result(self) -> dict[str, float]:
        n, p = float(self.made.sum()), self.real / self.real.sum()
        floor = (int((p > 0).sum()) - 1) / (2 * n) if n else math.inf
        if not self.finite or not n:
            return {"modes": 0.0, "modes_kl": math.inf, "modes_kl_floor": floor}
        q = self.made / n
        hit = q > 0
        ratio = torch.where(hit, q / p, torch.ones_like(q))
        return {
            "modes": float((self.near > 0).sum()),
            "modes_kl": float((q * ratio.log()).sum()),
            "modes_kl_floor": floor,
        }


class _Within(Account):
    """The share of samples within 3 sigma of a mixture's centre (real ones in the plane: `1 - exp(-9/2)`, .989)."""

    def __init__(self, reference: Reference) -> None:
        if reference.centres is None:
            raise ArgumentError("scores", "a mixture, whose centres are known", "other data", 'data.name = "mixture"')
        self.centres, self.sigma = reference.centres, reference.sigma
        self.inside = self.count = 0

    def add(self, samples: Tensor, features: Tensor) -> None:
        self.inside += int((torch.cdist(samples, self.centres).min(1).values <= 3 * self.sigma).sum())
        self.count += len(samples)

    def result(self) -> dict[str, float]:
        return {"within": self.inside / max(1, self.count)}


MODES = Measure(
    name="modes",
    begin=_Modes,
    source="Metz et al. 2017, section 3.3; Lin et al. 2018 (PacGAN)",
    numbers=("modes", "modes_kl", "modes_kl_floor"),
    better="larger",
)
WITHIN = Measure(
    name="within", begin=_Within, source="Srivastava et al. 2017 (VEEGAN)", numbers=("within",), better="larger"
)
