"""Does GAN training sharpen until the leading eigenvalue sits on the boundary of the method's own stability region?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.edge_of_stability import training
from analysis.studies.edge_of_stability.report import write_report

__all__ = ["STUDY"]


@dataclass(frozen=True)
class Case:
    """One game and way of training; `batch` 0: the full batch; `methods`: those that take part, () for all."""

    name: str
    loss: str = "nonsaturating"
    penalty: float = 0.1
    batch: int = 64
    width: int = 32
    taus: tuple[float, ...] = (0.05, 0.2)
    seeds: int = 3
    evaluations: int = 1200
    methods: tuple[str, ...] = ()


CASES = (
    Case("base", taus=(0.025, 0.05, 0.1, 0.2), seeds=6),
    Case("no penalty", penalty=0.0),
    Case("batch 8", batch=8),
    Case("batch 256", batch=256),
    Case("full batch", batch=0, evaluations=500),
    Case("full batch, as long", batch=0, taus=(0.1,), seeds=4, methods=("euler", "heavy_ball_half", "heavy_ball")),
    Case("width 16", width=16),
    Case("Wasserstein, R1", loss="wasserstein", penalty=0.05, taus=(0.05,)),
)


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    methods: tuple[str, ...] = (
        "euler",
        "heun2",
        "rk4",
        "rdpk35",
        "ab2",
        "ab3",
        "optimistic",
        "alternating",
        "extragradient",
        "lookahead5",
        "heavy_ball_half",
        "heavy_ball",
        "tailored",
    )
    cases: tuple[Case, ...] = CASES
    measured: tuple[float, ...] = (0.6, 0.8, 1.0)
    k: int = 2
    images: int = 1797
    sharpness_batches: int = 8
    latents: int = 2000
    tailor_after: int = 400
    tailor_tau: float = 0.1
    tailor_stages: int = 3
    tailor_damping: float = 0.05
    path_methods: tuple[str, ...] = ("euler", "rk4", "ab2", "extragradient", "heavy_ball", "tailored")
    path_tau: float = 0.1
    path_every: int = 50
    path_evaluations: int = 1000
    implicit_methods: tuple[str, ...] = ("implicit_midpoint", "bdf2")
    implicit_h: tuple[float, ...] = (0.2, 0.4)
    implicit_time: float = 60.0
    implicit_seeds: int = 2
    rtol: float = 1e-3
    control_methods: tuple[str, ...] = ("euler", "rk4")
    control_seeds: int = 3
    control_first: float = 0.2
    control_every: int = 200
    control_evaluations: int = 2400
    control_fixed: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2)
    safety: float = 0.8

    def methods_of(self, case: Case) -> tuple[str, ...]:
        """Those that take part in a case."""
        return tuple(m for m in self.methods if m in (case.methods or self.methods))


BRIEF = replace(
    Settings(),
    methods=(
        "euler",
        "heun2",
        "rk4",
        "ab2",
        "optimistic",
        "alternating",
        "extragradient",
        "heavy_ball_half",
        "heavy_ball",
    ),
    cases=tuple(replace(c, seeds=min(c.seeds, 4)) for c in CASES if c.name not in ("no penalty", "width 16")),
    measured=(0.8, 1.0),
    path_methods=("euler", "rk4", "heavy_ball"),
    implicit_seeds=1,
    control_seeds=1,
)
SMOKE = Settings(
    methods=("euler", "alternating"),
    cases=(replace(CASES[0], taus=(0.1, 0.2), seeds=2, evaluations=16, width=8),),
    measured=(0.5, 1.0),
    k=1,
    images=64,
    sharpness_batches=2,
    latents=100,
    tailor_after=8,
    path_methods=("euler",),
    path_every=8,
    path_evaluations=16,
    implicit_methods=("implicit_midpoint",),
    implicit_h=(0.2,),
    implicit_time=0.8,
    implicit_seeds=1,
    control_methods=("euler",),
    control_seeds=1,
    control_every=8,
    control_evaluations=24,
    control_fixed=(0.1,),
)


def parts(settings: Settings) -> list[Part]:
    """Training, then what stands beside it; the shortest last, so that two processes end together."""
    out = []
    for i in range(len(settings.cases)):
        out += [
            Part(f"train-{i}-{m}", training.train, {"case": i, "method": m})
            for m in settings.methods_of(settings.cases[i])
        ]
    for m in settings.implicit_methods:
        for h in settings.implicit_h:
            seeds = range(settings.implicit_seeds)
            out += [Part(f"implicit-{m}-{h:g}-{s}", training.implicit, {"method": m, "seed": s, "h": h}) for s in seeds]
    for m in settings.control_methods:
        out += [
            Part(f"control-{m}-{s}", training.control, {"method": m, "seed": s}) for s in range(settings.control_seeds)
        ]
    out += [Part(f"path-{m}", training.path, {"method": m}) for m in settings.path_methods]
    return out


STUDY = Study(
    name="edge_of_stability",
    question="For every method family, does GAN training sharpen until the leading eigenvalue sits on the boundary of "
    "that method's own stability region, and what does a step controller that keeps away from it do?",
    scales={"smoke": SMOKE, "default": BRIEF, "paper": Settings()},
    run=of_parts(parts, write_report),
)
