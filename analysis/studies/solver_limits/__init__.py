"""A GAN on real images solved by eight methods; their stable steps predicted, then measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.parts import Part
from analysis.common.study import Findings, Study, Workplace
from analysis.studies.solver_limits import decay, figures, independent, limits, training
from analysis.studies.solver_limits.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    methods: tuple[str, ...] = ("euler", "heun2", "rk4", "extragradient", "ab2", "ab3", "optimistic", "alternating")
    evaluations: int = 1500
    seeds: int = 3
    batch: int = 64
    latents: int = 2000
    penalties: tuple[float, ...] = (0.0, 0.1)
    tau_nonsaturating: tuple[float, ...] = (0.1, 0.2, 0.4)
    tau_wasserstein: tuple[float, ...] = (0.05, 0.1)
    r1: float = 0.05
    trained_tau: float = 0.1
    trained_images: int = 1797
    limit_methods: tuple[str, ...] = (
        "euler",
        "midpoint",
        "heun2",
        "ralston2",
        "kutta3",
        "rk4",
        "rk4_38",
        "extragradient",
        "ab2",
        "ab3",
        "optimistic",
        "alternating",
        "alternating_D_first",
    )
    points: tuple[str, ...] = ("affine_nonsaturating", "affine_wasserstein")
    q: int = 8
    decay_weight: float = 0.02
    mlp_steps: int = 1000
    mlp_samples: int = 512
    decay_steps: int = 800


PAPER = replace(Settings(), evaluations=3000, points=(*Settings().points, "mlp_wasserstein"))
SMOKE = Settings(
    methods=("euler", "rk4", "ab2", "alternating"),
    evaluations=40,
    seeds=1,
    latents=200,
    trained_images=200,
    limit_methods=("euler", "rk4", "ab2", "alternating"),
    points=("affine_nonsaturating",),
    q=3,
    decay_steps=200,
)


def run(settings: Settings, work: Workplace) -> Findings:
    """The spectra first, whose figure is there within seconds, then all limits, then training, the longest part."""
    parts = limit_parts(settings)
    spectra = [p for p in parts if p.name in {f"limit-{x}-{settings.limit_methods[0]}" for x in settings.points}]
    figures.draw_regions(settings, work.parts(spectra, settings), work)
    limits_of = work.parts(parts, settings)
    figures.draw_limits(settings, limits_of, work)
    return write_report(settings, {**limits_of, **work.parts(training_parts(settings), settings)}, work)


def limit_parts(settings: Settings) -> list[Part]:
    """What is predicted and measured at equilibria; the longest first, so that two processes end together."""
    out = []
    if "mlp_wasserstein" in settings.points:
        out.append(Part("point-mlp_wasserstein", limits.mlp_point, {}))
    out += [
        Part(f"independent-{point}-{row}", independent.row, {"point": point, "which": row})
        for point, row in independent.rows(settings.points)
    ]
    out += [Part(f"decay-{case}", decay.run, {"case": case}) for case in decay.cases(settings.points)]
    for point in settings.points:
        names = settings.limit_methods
        out += [Part(f"limit-{point}-{m}", limits.limit, {"point": point, "method": m}) for m in names]
    return [*out, Part("wrong-theories", limits.wrong_theories, {})]


def training_parts(settings: Settings) -> list[Part]:
    """One for every loss and method; the longest, which stand last among the methods, first."""
    return [
        Part(f"train-{case}-{m}", training.train, {"case": case, "method": m})
        for case in ("nonsaturating", "wasserstein")
        for m in reversed(settings.methods)
    ]


STUDY = Study(
    name="solver_limits",
    question="Does the spectrum predict the largest stable step of each method on a real-image GAN, and do the "
    "methods that fail in training fail by stability rather than by order?",
    scales={"smoke": SMOKE, "default": Settings(), "paper": PAPER},
    run=run,
)
