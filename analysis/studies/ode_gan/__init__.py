"""ODE-GAN's 16 Gaussians: what its public code does, what its paper says, and which of it recovers the modes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        h, weight, batch: of the notebook: step, penalty, samples of a step.
        steps: of the runs that are compared at equal steps; Euler's at a quarter of rk4's marks at equal evaluations.
        seeds: how many; `count`: samples of a score.
        adam: learning rate beside.
        losses: besides the non-saturating one.
        widths: of the networks, the notebook's first.
        cost_steps: timed steps.
    """

    h: float = 0.1
    weight: float = 0.07
    batch: int = 512
    steps: int = 3000
    seeds: int = 3
    count: int = 5120
    adam: float = 0.001
    losses: tuple[str, ...] = ("wasserstein", "relativistic")
    widths: tuple[tuple[int, ...], ...] = ((25, 25), (64, 64, 64))
    cost_steps: int = 100


def run(settings: Settings, work: Workplace) -> Findings:
    """Orders of what the public codes do in closed form; then the mixture."""
    from analysis.studies.ode_gan.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="ode_gan",
    question="Does ODE-GAN recover its 16 Gaussians by higher order, by its penalty, or by what its public code does "
    "instead of the paper?",
    scales={
        "smoke": replace(
            Settings(), batch=64, steps=16, seeds=2, count=512, losses=(), widths=((25, 25),), cost_steps=4
        ),
        "default": Settings(),
        "paper": replace(Settings(), steps=30_000, seeds=5),
    },
    run=run,
    source="Qin, Wu, Springenberg, Brock, Donahue, Lillicrap, Kohli 2020",
)
