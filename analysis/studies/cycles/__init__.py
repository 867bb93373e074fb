"""Cycles: what the eigenvalues at the stationary points do not say, and what the step of a method does to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        damping, turning: of the game with a Nash equilibrium inside two cycles; `inner`, `outer`: their radii where
            the rotation is fast.
        starts: drawn in a disc of radius `disc`.
        methods: whose step is sought at which no run stays on the outer cycle.
        span, steps_tried: the range of these steps, over the predicted one, and how many.
        time: of a run.
    """

    damping: float = 0.2
    turning: float = 4.0
    inner: float = 1.0
    outer: float = 2.0
    starts: int = 200
    disc: float = 3.0
    methods: tuple[str, ...] = ("optimistic", "extragradient", "euler", "alternating", "heun2", "rk4")
    span: tuple[float, float] = (0.4, 4.0)
    steps_tried: int = 32
    time: float = 100.0


def run(settings: Settings, work: Workplace) -> Findings:
    """Letcher's game, the game with a Nash equilibrium inside two cycles, and the steps that leave them."""
    from analysis.studies.cycles.report import write_report

    return write_report(settings, work)


STUDY = Study(
    name="cycles",
    question="Where does play end when the eigenvalues at every stationary point say something else, and does the step "
    "of a method change it?",
    scales={
        "smoke": replace(Settings(), starts=24, methods=("optimistic", "euler", "rk4"), steps_tried=8, time=40.0),
        "default": Settings(),
        "paper": replace(
            Settings(),
            methods=(*Settings().methods, "implicit_euler"),
            starts=2000,
            steps_tried=100,
            time=400.0,
        ),
    },
    run=run,
    source="Letcher 2021; Hsieh, Mertikopoulos, Cevher 2021",
)
