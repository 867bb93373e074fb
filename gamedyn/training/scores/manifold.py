"""Precision, recall, density and coverage: neighbourhoods of samples in the space of features."""

from __future__ import annotations

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.training.scores._types import Account, Measure, Reference

__all__ = ["DENSITY_COVERAGE", "PRECISION_RECALL"]

BLOCK = 1024
MOST = 10_000
"""Samples of either kind that are looked at: distances are quadratic in their number."""


class _Neighbours(Account):
    """Keeps generated features, to be checked against the real ones' balls.

    Args:
        reference: the real samples.
        k: the ball of a sample reaches to its k-th neighbour of its own kind.
    """

    def __init__(self, reference: Reference, k: int) -> None:
        if len(reference.known) <= k:
            raise ArgumentError("scores", f"more than {k} real samples", len(reference.known))
        known = reference.known[:MOST].double()
        self._centre = known.mean(0)  # squares of an offset would swallow the distances
        self.real, self.k = known - self._centre, k
        self.kept: list[Tensor] = []
        self.count = 0

    def add(self, samples: Tensor, features: Tensor) -> None:
        if self.count < MOST:
            self.kept.append(features[: MOST - self.count].double() - self._centre)
            self.count += len(self.kept[-1])

    def made(self) -> Tensor | None:
        """Generated features; None where one is not finite."""
        made = torch.cat(self.kept)
        return made if bool(made.isfinite().all()) else None


def _radii(x: Tensor, k: int) -> Tensor:
    """Distance of every row to its k-th nearest other row."""
    return torch.cat([torch.cdist(part, x).topk(k + 1, largest=False).values[:, -1] for part in torch.split(x, BLOCK)])


class _PrecisionRecall(_Neighbours):
    def __init__(self, reference: Reference) -> None:
        super().__init__(reference, 3)

    def result(self) -> dict[str, float]:
        made = self.made()
        if made is None or len(made) <= self.k:
            return {"precision": 0.0, "recall": 0.0}
        real, made_radii = _radii(self.real, self.k), _radii(made, self.k)
        inside = covered = 0
        for part in torch.split(made, BLOCK):
            inside += int((torch.cdist(part, self.real) <= real).any(1).sum())
        for part in torch.split(self.real, BLOCK):
            covered += int((torch.cdist(part, made) <= made_radii).any(1).sum())
        return {"precision": inside / len(made), "recall": covered / len(self.real)}


class _DensityCoverage(_Neighbours):
    def __init__(self, reference: Reference) -> None:
        super().__init__(reference, 5)

    def result(self) -> dict[str, float]:
        made = self.made()
        if made is None:
            return {"density": 0.0, "coverage": 0.0}
        radii, inside, nearest = _radii(self.real, self.k), 0, []
        for part in torch.split(made, BLOCK):
            distances = torch.cdist(part, self.real)
            inside += int((distances <= radii).sum())
            nearest.append(distances.min(0).values)
        covered = (torch.stack(nearest).min(0).values <= radii).double().mean()
        return {"density": inside / (self.k * len(made)), "coverage": float(covered)}


PRECISION_RECALL = Measure(
    name="precision_recall",
    begin=_PrecisionRecall,
    source="Kynkaanniemi et al. 2019, k = 3",
    numbers=("precision", "recall"),
    better="larger",
)
DENSITY_COVERAGE = Measure(
    name="density_coverage",
    begin=_DensityCoverage,
    source="Naeem et al. 2020, eqs. (2), (3), k = 5",
    numbers=("coverage", "density"),
    better="larger",
)
