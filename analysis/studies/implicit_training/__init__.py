"""Do implicit methods train a GAN on real images, and what do they buy for their work?"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.implicit_training import training
from analysis.studies.implicit_training.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    methods: tuple[str, ...] = ("gauss4", "radau_iia3", "implicit_midpoint", "bdf2", "cgd", "rk4")
    reference: str = "rk4"
    seeds: int = 2
    steps: int = 300
    h: float = 0.2
    hard_h: float = 0.4
    hard_methods: tuple[str, ...] = ("gauss4",)
    rtol: float = 1e-3
    batch: int = 64
    latents: int = 2000
    penalties: tuple[float, ...] = (0.1,)
    cost_rounds: int = 40


SMOKE = Settings(
    methods=("implicit_midpoint", "cgd", "rk4"), seeds=1, steps=6, hard_methods=(), latents=200, cost_rounds=5
)


def parts(settings: Settings) -> list[Part]:
    """One for every method and seed; the longer step from one start, with no comparison."""
    out = [
        Part(f"hard-{m}", training.train, {"method": m, "seed": 0, "h": settings.hard_h, "compare": False})
        for m in settings.hard_methods
    ]
    for m in settings.methods:
        chosen = {"method": m, "h": settings.h, "compare": m != settings.reference}
        out += [Part(f"train-{m}-{seed}", training.train, {**chosen, "seed": seed}) for seed in range(settings.seeds)]
    return out


STUDY = Study(
    name="implicit_training",
    question="Do implicit methods and competitive gradient descent train a GAN on real images without failed steps, "
    "and how far do they come beside rk4 at equal work?",
    scales={"smoke": SMOKE, "default": Settings()},
    run=of_parts(parts, write_report),
)
