"""What makes GAN training work: accuracy, absolute stability, or damping? A factorial ablation, and controls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.common.study import Findings, Study, Workplace

__all__ = ["STUDY", "Bench", "Settings"]


@dataclass(frozen=True)
class Bench:
    """A data set and the pair that learns it, for the cells that won and lost on the digits.

    Attributes:
        data_set: its name.
        model: name of the architecture; `options`: its own.
        batch: samples of a step.
        weights: of the penalties' terms.
        taus: steps per evaluation.
        methods: integrators; `losses`: losses.
        evaluations: of a cell.
        seeds: how many.
        measures: of the score, whose first number decides; `features`, `count`: likewise of the score.
    """

    data_set: str
    model: str
    options: tuple[tuple[str, object], ...]
    batch: int
    weights: tuple[tuple[str, float], ...]
    taus: tuple[float, ...]
    methods: tuple[str, ...]
    losses: tuple[str, ...]
    evaluations: int
    seeds: int
    measures: tuple[str, ...]
    features: str
    count: int


STACKED = Bench(
    "stacked_digits",
    "mlp",
    (("widths", (64, 64)), ("latent", 32), ("activation", "leaky_relu"), ("initial", "he")),
    64,
    (("squared_gradient", 0.1), ("r1", 1.0), ("r2", 1.0)),
    (0.03, 0.06, 0.12),
    ("euler", "alternating", "heun2", "optimistic", "rk4"),
    ("nonsaturating", "relativistic"),
    2000,
    3,
    ("frechet", "modes"),
    "classifier",
    4000,
)
FASHION = Bench(
    "fashion_mnist",
    "odegan",
    (("channels", 16), ("latent", 32)),
    32,
    (("squared_gradient", 0.1), ("r1", 0.1), ("r2", 0.1)),
    (0.02, 0.06),
    ("euler", "alternating", "rk4"),
    ("nonsaturating",),
    600,
    3,
    ("frechet",),
    "classifier",
    2000,
)


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes:
        methods: integrators of the factorial part; `few`: of the others.
        penalties: damping that is added to the flow.
        taus: by loss, steps per evaluation.
        evaluations: of every cell.
        seeds: how many.
        scales: other than raw; `ratios`: D's rate over G's; `batches`: other than 64.
        implicit_h: steps of the implicit midpoint rule, at equal time.
        toy_steps: steps of the toys' runs.
        images, pairs: of the spectra: images of the full batch, eigenvalues of a kind.
        benches: where the cells that won and lost are run again.
    """

    methods: tuple[str, ...] = ("euler", "alternating", "heun2", "ab2", "optimistic", "extragradient", "rk4")
    few: tuple[str, ...] = ("euler", "alternating", "heun2", "optimistic", "rk4")
    penalties: tuple[str, ...] = ("none", "squared_gradient", "r1", "r1_r2")
    taus: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("nonsaturating", (0.1, 0.2, 0.4)),
        ("relativistic", (0.1, 0.2, 0.4)),
        ("wasserstein", (0.025, 0.05, 0.1)),
    )
    evaluations: int = 1200
    seeds: int = 3
    scales: tuple[str, ...] = ("player", "layer", "frozen", "adam")
    ratios: tuple[float, ...] = (0.25, 4.0)
    batches: tuple[int, ...] = (16, 256)
    implicit_h: tuple[float, ...] = (0.4,)
    toy_steps: int = 2000
    images: int = 256
    pairs: int = 2
    benches: tuple[Bench, ...] = ()


SMOKE = replace(
    Settings(),
    methods=("euler", "rk4"),
    few=("euler",),
    penalties=("none", "r1_r2"),
    taus=(("nonsaturating", (0.1, 0.4)),),
    evaluations=24,
    seeds=2,
    scales=("player", "adam"),
    ratios=(4.0,),
    batches=(16,),
    implicit_h=(),
    toy_steps=400,
    images=64,
    pairs=1,
)


def run(settings: Settings, work: Workplace) -> Findings:
    """The toys, the factorial part, one factor at a time beside it, the controls, and where they are run again."""
    from analysis.studies.mechanisms.grids import tables
    from analysis.studies.mechanisms.report import write_report  # not what a cell's result depends on

    return write_report(settings, tables(settings, work), work)


STUDY = Study(
    name="mechanisms",
    question="What makes GAN training work: the accuracy of the integrator, its absolute stability, or damping, its "
    "own or the penalty's?",
    scales={"smoke": SMOKE, "default": Settings(), "paper": replace(Settings(), seeds=5, benches=(STACKED, FASHION))},
    run=run,
    source="A reviewer of ODE-GAN (Qin et al. 2020)",
)
