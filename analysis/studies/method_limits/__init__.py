"""Every member's largest stable step on a GAN on real digits, predicted from the spectrum, then measured."""

from __future__ import annotations

from dataclasses import dataclass

import gamedyn as gd
from analysis.common.equilibria import LOSSES
from analysis.common.kinds import KINDS, kind
from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.method_limits import limits
from analysis.studies.method_limits.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    methods: tuple[str, ...] = gd.methods.names()
    losses: tuple[str, ...] = LOSSES
    q: int = 8
    q_differenced: int = 4
    decay: float = 0.02
    strong_decay: float = 0.5
    large: tuple[float, ...] = (10.0, 1000.0)
    small: tuple[float, ...] = (0.01, 0.1, 1.0)
    tolerance: float = 0.02


SMOKE = Settings(
    methods=(
        "euler",
        "rk4",
        "ck54",
        "ab2",
        "bdf2",
        "alternating",
        "rk4_penalty_after_step",
        "cgd",
        "implicit_midpoint",
    ),
    losses=("nonsaturating",),
    q=3,
    q_differenced=2,
)


def parts(settings: Settings) -> list[Part]:
    """One for every member, loss and weight decay; the dear ones first, so that two processes end together."""
    names = sorted(settings.methods, key=lambda m: KINDS.index(kind(m)), reverse=True)
    out = [
        Part(f"limit-{loss}-{m}", limits.limit, {"loss": loss, "method": m, "decay": settings.decay})
        for m in names
        for loss in settings.losses
    ]
    out += [
        Part(f"strong-{loss}-{m}", limits.limit, {"loss": loss, "method": m, "decay": settings.strong_decay})
        for m in names
        if isinstance(gd.methods.get(m), gd.methods.AdditiveRungeKutta)
        for loss in settings.losses
    ]
    return out


STUDY = Study(
    name="method_limits",
    question="Does the spectrum predict the largest stable step of every member of every family on a real-image GAN?",
    scales={"smoke": SMOKE, "default": Settings()},
    run=of_parts(parts, write_report),
)
