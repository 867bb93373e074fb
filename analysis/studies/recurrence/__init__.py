"""Alternating play as a symplectic integrator: what it keeps, when it comes back, what of it a damped game keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        d: dimension of each player; `games` of random coupling, of largest singular value 1.
        h: the step; `ratio`: of the second player's rate to the first's.
        steps: of the long runs; `orbit_steps`: of those whose returns are looked for.
        orders: steps of the slopes.
    """

    d: int = 4
    games: int = 4
    h: float = 0.3
    ratio: float = 2.0
    steps: int = 30_000
    orbit_steps: int = 10_000
    orders: tuple[float, ...] = (0.2, 0.1, 0.05)


def run(settings: Settings, work: Workplace) -> Findings:
    """Runs of the package's own steppers, and the claims about them."""
    from analysis.studies.recurrence.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="recurrence",
    question="Is alternating play symplectic in practice: does it keep its invariant and its volume, stay bounded "
    "exactly up to its limit, come back, and keep its regret bounded?",
    scales={
        "smoke": replace(Settings(), games=1, steps=800, orbit_steps=800),
        "default": Settings(),
        "paper": replace(Settings(), games=32, steps=1_000_000, orbit_steps=100_000),
    },
    run=run,
    source="Bailey, Gidel, Piliouras 2020",
)
