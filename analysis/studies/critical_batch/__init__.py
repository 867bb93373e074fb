"""The critical batch: steps and samples to a target distance over the batch size, fitted, predicted, measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        batches: sizes.
        targets: distances to be reached, the laxer first.
        methods: with the step of each.
        steps: at most; `images`: at most, which bounds the steps of large batches.
        marks: how often a run is scored, at shares that grow geometrically from `first`.
        seeds: how many; `count`: samples of a score.
    """

    batches: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512)
    targets: tuple[float, ...] = (7.0, 5.0)
    methods: tuple[tuple[str, float], ...] = (
        ("alternating", 0.1),
        ("heun2", 0.1),
        ("adam_in_turn", 0.002),
        ("torch.optim:RMSprop", 0.0005),
    )
    steps: int = 4000
    images: int = 300_000
    marks: int = 48
    first: float = 0.01
    seeds: int = 3
    count: int = 2000


def run(settings: Settings, work: Workplace) -> Findings:
    """An ablation for every batch, and the fits."""
    from analysis.studies.critical_batch.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="critical_batch",
    question="How many steps and samples does a GAN take to a target distance at each batch size, is there a critical "
    "batch, and is it where the fit says?",
    scales={
        "smoke": replace(
            Settings(),
            batches=(8, 32),
            targets=(40.0, 30.0),
            methods=(("alternating", 0.1), ("heun2", 0.1)),
            steps=60,
            marks=8,
            first=0.1,
            seeds=2,
            count=300,
        ),
        "default": Settings(),
        "paper": replace(Settings(), steps=20_000, images=2_000_000, marks=200, seeds=8, targets=(5.0, 3.5)),
    },
    run=run,
    source="Sato, Iiduka 2023",
)
