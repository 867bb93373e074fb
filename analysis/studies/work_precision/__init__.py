"""Error against work and time of every family on three games, with other packages' solvers in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.common.parts import Part
from analysis.common.study import Study, of_parts
from analysis.studies.work_precision import problems, runs
from analysis.studies.work_precision.report import write_report

__all__ = ["STUDY"]

EXPLICIT = ("euler", "heun2", "bosh3", "ssp33", "rk4", "kg64", "tsit5", "dop853")
LOW_STORAGE = ("kg32", "kg52", "kcl43", "ck54", "kcl54", "rdpk35", "ndb124")
MULTISTEP = ("ab2", "ab3", "ab4", "ab6", "ebdf3", "pece_ab2_am3", "pece_ab4_am4", "pecece_ab2_am3")
PARTITIONED = ("alternating", "strang", "strang_midpoint", "ruth3_kutta3", "forest_ruth_rk4")
GAME = ("extragradient", "optimistic", "negative_momentum", "lookahead5", "lookahead_alternating")
IMPLICIT = (
    "implicit_euler",
    "implicit_midpoint",
    "tr_bdf2",
    "kvaerno5",
    "gauss4",
    "gauss6",
    "radau_iia3",
    "radau_iia5",
)
SOLVED_MULTISTEP = ("am4", "am6", "bdf2", "bdf4", "bdf6")
LINEAR = ("rosenbrock_euler", "cgd", "ros2", "rodas3", "ros34pw2", "exponential_rosenbrock_euler", "exprb32")
SMALL = (*EXPLICIT, *LOW_STORAGE, *MULTISTEP, *PARTITIONED, *GAME, *IMPLICIT, *SOLVED_MULTISTEP, *LINEAR)
LARGE = tuple(m for m in SMALL if m not in ("heun2", "kg32", "ssp33", "kcl43", "pecece_ab2_am3", "ab2", "am6"))
PLACED = ("rk4_penalty_first_stage", "rk4_penalty_after_step")


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    problems: tuple[str, ...] = problems.NAMES
    members: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"dirac": SMALL, "stiff": SMALL, "network": (*LARGE, *PLACED)}
    )
    evaluations: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "dirac": (32, 64, 128, 256, 512, 1024),
            "stiff": (256, 512, 1024, 2048, 4096),
            "network": (96, 192, 384, 768),
        }
    )
    steps: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "dirac": (8, 16, 32, 64, 128),
            "stiff": (16, 32, 64, 128, 256),
            "network": (8, 16, 32, 64),
        }
    )
    adaptive: tuple[str, ...] = ("bosh3", "dopri5", "tsit5", "bs5", "dop853", "kvaerno5", "rodas3", "exprb32")
    scipy: tuple[str, ...] = ("RK45", "DOP853", "Radau", "NDF", "LSODA")
    ranges: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: {
            "bosh3": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9),
            "rodas3": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
            "exprb32": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
            "network kvaerno5": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
            "network rodas3": (1e-3, 1e-4, 1e-5, 1e-6),
            "network exprb32": (1e-3, 1e-4, 1e-5, 1e-6),
            "network Radau": (),
            "network NDF": (1e-3, 1e-6),
        }
    )
    """Tolerances of a solver, or of one on a problem, where they are not all: those that are slow at fine ones."""
    diffrax: tuple[str, ...] = ("Dopri5", "Tsit5", "Kvaerno5")
    tolerances: tuple[float, ...] = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
    accuracies: tuple[float, ...] = (1e-3, 1e-6, 1e-9)
    reference_rtol: float = 1e-13
    checks: Mapping[str, tuple[tuple[str, float], ...]] = field(
        default_factory=lambda: {
            "dirac": (("Radau", 1e-12), ("LSODA", 1e-12)),
            "stiff": (("Radau", 1e-10), ("LSODA", 1e-12)),
            "network": (("RK45", 1e-12), ("LSODA", 1e-12)),
        }
    )
    rounds: int = 3


FEW = ("rk4", "dop853", "ck54", "ab4", "extragradient", "gauss4", "bdf2", "rodas3", "exprb32")
SMOKE = Settings(
    problems=("dirac", "stiff"),
    members={"dirac": FEW, "stiff": ("rk4", "dop853", "gauss4", "exprb32")},
    evaluations={"dirac": (64, 128), "stiff": (384,)},
    steps={"dirac": (8, 16), "stiff": (16,)},
    adaptive=("dopri5",),
    scipy=("RK45",),
    diffrax=(),
    tolerances=(1e-3, 1e-5),
    accuracies=(1e-2, 1e-3, 1e-6),
    reference_rtol=1e-12,
    checks={"dirac": (("LSODA", 1e-10),), "stiff": (("LSODA", 1e-7),)},
    rounds=1,
)


def parts(settings: Settings) -> list[Part]:
    """The longest first, so that two processes end together."""
    names = sorted(settings.problems, key=lambda n: n != "network")
    out = [Part(f"implicit-{n}", runs.fixed_part, {"name": n, "which": "implicit"}) for n in names]
    out += [Part(f"adaptive-{n}", runs.adaptive_part, {"name": n}) for n in names]
    out += [Part(f"explicit-{n}", runs.fixed_part, {"name": n, "which": "explicit"}) for n in names]
    return out + [Part(f"check-{n}", problems.check, {"name": n}) for n in names]


STUDY = Study(
    name="work_precision",
    question="What accuracy does a given amount of work buy on a game, for each family of methods?",
    scales={"smoke": SMOKE, "default": Settings()},
    run=of_parts(parts, write_report),
)
