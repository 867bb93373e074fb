"""A thousand modes: what the second penalty and the relativistic loss do to coverage, and to the spectrum."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        losses, penalties: crossed; `weight`: of R1 and of R2.
        hs: Adam's learning rates; each combination has the one with most modes.
        steps, batch, seeds: of the runs; `marks`: shares of the steps at which they are scored, by `count` samples.
        images, pairs: of the spectra: images, eigenvalues of a kind.
        options: of the networks.
    """

    losses: tuple[str, ...] = ("nonsaturating", "relativistic")
    penalties: tuple[str, ...] = ("none", "r1", "r2", "r1_r2")
    weight: float = 1.0
    hs: tuple[float, ...] = (0.001, 0.002, 0.004)
    steps: int = 3000
    batch: int = 64
    seeds: int = 3
    marks: tuple[float, ...] = (0.25, 0.5, 1.0)
    count: int = 10_000
    images: int = 256
    pairs: int = 2
    options: tuple[tuple[str, object], ...] = (
        ("widths", (64, 64)),
        ("latent", 32),
        ("activation", "leaky_relu"),
        ("initial", "he"),
    )


def run(settings: Settings, work: Workplace) -> Findings:
    """One ablation, and what it says."""
    from analysis.studies.stacked.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="stacked",
    question="What do R2 and the relativistic loss do to the coverage of a thousand modes, and to the spectrum of the "
    "game, and does R1 alone fail?",
    scales={
        "smoke": replace(
            Settings(),
            penalties=("r1", "r1_r2"),
            hs=(0.002,),
            steps=20,
            marks=(1.0,),
            seeds=1,
            count=500,
            images=64,
            pairs=1,
        ),
        "default": Settings(),
        "paper": replace(Settings(), steps=30_000, seeds=5, count=26_000),
    },
    run=run,
    source="Huang, Gokaslan, Kuleshov, Tompkin 2024 (R3GAN)",
)
