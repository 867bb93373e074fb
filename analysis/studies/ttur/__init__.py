"""Two time scales: what the saddle of the paper shows, where a ratio of rates matters, and what of it helps a GAN."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        runs: of the noisy saddle, `iterations` each.
        threshold_steps: of the runs about the finite ratios.
        frictions: of the heavy ball on a rotation; `adam_hs`: steps at which Adam is checked against its two equations.
        ratios: of D's rate over G's on the digits; `updates`: of D's steps for one of G's.
        hs: geometric means of the rates, of play in turns; `adam`: of Adam's.
        evaluations: of a run; `seeds`: how many.
    """

    runs: int = 200
    iterations: int = 5000
    frictions: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
    threshold_steps: int = 6000
    adam_hs: tuple[float, ...] = (0.02, 0.01, 0.005)
    ratios: tuple[float, ...] = (1 / 16, 1 / 4, 1.0, 4.0, 16.0)
    updates: tuple[int, ...] = (1, 2, 5)
    hs: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    adam: tuple[float, ...] = (0.002, 0.004, 0.008, 0.016)
    evaluations: int = 1500
    seeds: int = 5


SMOKE = replace(
    Settings(),
    runs=20,
    iterations=1500,
    threshold_steps=3000,
    adam_hs=(0.02, 0.01),
    ratios=(1.0, 4.0),
    updates=(1, 2),
    hs=(0.1,),
    adam=(0.002,),
    evaluations=24,
    seeds=2,
)


def run(settings: Settings, work: Workplace) -> Findings:
    """The saddle, Adam's equations and the finite threshold in closed form; then the digits."""
    from analysis.studies.ttur.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="ttur",
    question="Does a GAN need two time scales: what does the saddle show, from which finite ratio on is a point "
    "stable, and which player should be faster, by its rate or by its updates?",
    scales={
        "smoke": SMOKE,
        "default": Settings(),
        "paper": replace(Settings(), evaluations=8000, seeds=10),
    },
    run=run,
    source="Heusel et al. 2017; Fiez, Ratliff 2021",
)
