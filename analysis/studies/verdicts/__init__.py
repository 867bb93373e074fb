"""Are points of known games given their class, and what can be said of a trained GAN?"""

from __future__ import annotations

from dataclasses import dataclass

import gamedyn as gd
from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.verdicts import points
from analysis.studies.verdicts.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    families: tuple[str, ...] = tuple(n for n in gd.games.names() if n != "gan")
    gans: tuple[str, ...] = ("digits", "16 Gaussians")
    steps: int = 2000
    k: int = 8
    basis: int = 80


def parts(settings: Settings) -> list[Part]:
    """One for every family and every GAN."""
    gans = [Part(f"trained-{n.replace(' ', '-')}", points.trained, {"name": n}) for n in settings.gans]
    return gans + [Part(f"declared-{f}", points.declared, {"family": f}) for f in settings.families]


STUDY = Study(
    name="verdicts",
    question="Are the stationary points of games with known answers given their class, and what can be said of the "
    "points where GANs end?",
    scales={
        "smoke": Settings(families=("quadratic",), gans=("16 Gaussians",), steps=4, k=2, basis=12),
        "default": Settings(),
    },
    run=of_parts(parts, write_report),
)
