"""A GAN on real images solved by eight methods; their stable steps predicted, then measured."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.common.study import Part, Study
from analysis.studies.solver_limits import decay, independent, limits, training
from analysis.studies.solver_limits.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    methods: tuple[str, ...] = ("euler", "heun2", "rk4", "extragradient", "ab2", "ab3", "optimistic", "alternating")
    evaluations: int = 2000
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
    points: tuple[str, ...] = ("affine_nonsaturating", "affine_wasserstein", "mlp_wasserstein")
    q: int = 8
    decay_weight: float = 0.02
    mlp_steps: int = 1000
    mlp_samples: int = 512
    decay_steps: int = 800


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


def parts(settings: Settings) -> list[Part]:
    """The longest first, so that two processes end together."""
    out = []
    if "mlp_wasserstein" in settings.points:
        out.append(Part("point-mlp_wasserstein", limits.mlp_point, {}))
    for case in ("nonsaturating", "wasserstein"):
        out += [Part(f"train-{case}-{m}", training.train, {"case": case, "method": m}) for m in settings.methods]
    for point in settings.points:
        out += [Part(f"limit-{point}-{m}", limits.limit, {"point": point, "method": m}) for m in settings.limit_methods]
    out += [
        Part(f"independent-{point}-{row}", independent.row, {"point": point, "which": row})
        for point, row in independent.rows(settings.points)
    ]
    out.append(Part("wrong-theories", limits.wrong_theories, {}))
    out += [Part(f"decay-{case}", decay.run, {"case": case}) for case in decay.cases(settings.points)]
    return out


STUDY = Study(
    name="solver_limits",
    question="Does the spectrum predict the largest stable step of each method on a real-image GAN, and do the "
    "methods that fail in training fail by stability rather than by order?",
    settings=Settings(),
    smoke=SMOKE,
    parts=parts,
    report=write_report,
)
