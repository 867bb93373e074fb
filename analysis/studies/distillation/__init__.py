"""Distribution matching as a game of three players: generator, fake score, discriminator."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY", "Images", "Settings"]


@dataclass(frozen=True)
class Images:
    """Images whose teacher is learned.

    Attributes:
        data_set: its name.
        width: of the networks' two hidden layers.
        teacher_steps: of the teacher's own training; its rate `teacher_h`.
        evaluations: of the distillation.
        batch: samples of a step.
        arms: (ratio, split, pull) of each.
    """

    data_set: str = "digits"
    width: int = 128
    teacher_steps: int = 4000
    teacher_h: float = 0.001
    evaluations: int = 3000
    batch: int = 128
    arms: tuple[tuple[int, bool, float], ...] = ((1, False, 0.0), (5, False, 0.0), (1, True, 0.0), (1, True, 0.01))


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        width: of all networks on the mixture.
        ratios: of fake score and discriminator to the generator, as updates and as rates.
        h: Adam's rate; `batch`: samples of a step; `evaluations`: of a cell.
        adversarial: weight of the generator's adversarial loss.
        pulls: of the fake score's parameters to the generator's.
        preferences: weights of the reward of one mode, the term "k : 1" of the preference.
        seeds: how many; `count`: samples of a measure.
        spectrum_width, spectrum_steps: of the game whose spectrum is formed.
        images: data sets with a learned teacher.
    """

    width: int = 32
    ratios: tuple[int, ...] = (1, 2, 5)
    h: float = 0.002
    batch: int = 128
    evaluations: int = 3000
    adversarial: float = 0.1
    pulls: tuple[float, ...] = (0.0, 0.01, 0.1)
    preferences: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0)
    seeds: int = 4
    count: int = 1500
    spectrum_width: int = 12
    spectrum_steps: int = 400
    images: tuple[Images, ...] = (Images(),)


def run(settings: Settings, work: Workplace) -> Findings:
    """The mixture, whose scores are known, then learned teachers."""
    from analysis.studies.distillation.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="distillation",
    question="In distribution matching distillation, what do update ratio, rate ratio, the split by noise level, the "
    "pull of the fake score and a preference do to modes, to the reverse KL and to the fake score's lag?",
    scales={
        "smoke": replace(
            Settings(),
            width=8,
            ratios=(1, 5),
            batch=32,
            evaluations=24,
            pulls=(0.0, 0.1),
            preferences=(0.0, 1.0),
            seeds=2,
            count=200,
            spectrum_width=4,
            spectrum_steps=20,
            images=(),
        ),
        "default": Settings(),
        "paper": replace(
            Settings(),
            ratios=(1, 2, 5, 10),
            evaluations=40_000,
            seeds=8,
            images=(
                replace(Images(), evaluations=20_000, teacher_steps=20_000),
                Images("fashion_mnist", evaluations=2000, batch=64),
            ),
        ),
    },
    run=run,
    source="Yin et al. 2024 (DMD2); Chen et al. 2025 (Flash-DMD)",
)
