"""Normalised descent and ascent: does the length of the steps, and not their direction, make Adam work?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        dimension, columns, width: of the data, of the generator, of the discriminator, in the setting of two modes.
        correlation: of the modes.
        rates: of each player there, all pairs; for methods whose steps have the gradient's length these, over `scale`
            for those whose steps have a length of their own.
        steps, seeds: of its runs.
        hs: steps tried on the digits, times each method's own factor (`modes.FACTORS`).
        evaluations, digit_seeds: of those runs.
    """

    dimension: int = 32
    columns: int = 8
    width: int = 4
    correlation: float = 0.3
    rates: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    scale: float = 100.0
    steps: int = 3000
    seeds: int = 5
    hs: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
    evaluations: int = 1500
    digit_seeds: int = 3


def run(settings: Settings, work: Workplace) -> Findings:
    """The setting of two modes over all pairs of rates, then the digits."""
    from analysis.studies.nsgda.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="nsgda",
    question="Do normalised steps recover modes that plain descent and ascent loses whatever its rates, and is it the "
    "length of Adam's steps or their direction that helps?",
    scales={
        "smoke": replace(Settings(), rates=(0.1, 1.0), steps=60, seeds=2, hs=(0.1,), evaluations=24, digit_seeds=2),
        "default": Settings(),
        "paper": replace(Settings(), rates=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), seeds=10, evaluations=8000),
    },
    run=run,
    source="Jelassi, Dobre, Mensch, Li, Gidel 2022",
)
