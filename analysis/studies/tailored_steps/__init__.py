"""How far an evaluation goes with a method made for the digits GAN's own spectrum, beside rk4 and the nested family."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.tailored_steps import tailored
from analysis.studies.tailored_steps.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    losses: tuple[str, ...] = ("nonsaturating", "wasserstein")
    stages: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 10, 12)
    orders: tuple[int, ...] = (1, 2)
    beside: tuple[str, ...] = ("euler", "extragradient", "rk4", "kg32", "kg52", "kg72", "ck54", "ndb124")
    q: int = 8
    decay: float = 0.02


def parts(settings: Settings) -> list[Part]:
    """One for every method."""
    out = [
        Part(f"tailored-{loss}-{s}-{p}", tailored.made_for, {"loss": loss, "stages": s, "order": p})
        for loss in settings.losses
        for s in settings.stages
        for p in settings.orders
    ]
    return out + [
        Part(f"beside-{loss}-{m}", tailored.beside, {"loss": loss, "method": m})
        for loss in settings.losses
        for m in settings.beside
    ]


STUDY = Study(
    name="tailored_steps",
    question="How much further does an evaluation go with a method that is made for the spectrum?",
    scales={
        "smoke": Settings(losses=("wasserstein",), stages=(2, 4), orders=(1,), beside=("rk4", "kg32"), q=3),
        "default": Settings(),
    },
    run=of_parts(parts, write_report),
)
