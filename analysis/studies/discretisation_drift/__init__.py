"""What a step of size h adds to the flow, and whether a GAN is better without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        hs: steps of the slopes.
        ratios: of the players' rates.
        sigmas, weights: of the Dirac-like mode and of the penalty on it.
        taus: steps on the digits, `steps` of them, `seeds` runs.
    """

    hs: tuple[float, ...] = (0.1, 0.05, 0.025, 0.0125)
    ratios: tuple[float, ...] = (1.0, 4.0)
    sigmas: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    weights: tuple[float, ...] = (0.02, 0.3)
    taus: tuple[float, ...] = (0.05, 0.1, 0.2)
    steps: int = 1500
    seeds: int = 5


def run(settings: Settings, work: Workplace) -> Findings:
    """Slopes and limits in closed form, then the digits."""
    from analysis.studies.discretisation_drift.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="discretisation_drift",
    question="What does a step of simultaneous or alternating play add to the flow, does a penalty cancel it, and is "
    "a GAN better without it?",
    scales={
        "smoke": replace(Settings(), taus=(0.1,), steps=12, seeds=2),
        "default": Settings(),
        "paper": replace(Settings(), steps=6000, seeds=10),
    },
    run=run,
    source="Rosca, Wu, Dherin, Barrett 2021; Qin et al. 2020",
)
