"""Methods, penalties and losses at equal images, each learning rate tuned on one grid, Adam beside."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from analysis.common.study import Findings, Study, Workplace
from analysis.studies.training_methods import cells
from analysis.studies.training_methods.report import write_report

__all__ = ["STUDY", "Bench", "Settings"]

PLAIN = ("euler", "alternating", "heun2", "ab2", "optimistic", "extragradient", "rk4")
MAPS = ("nsgda", "extra_adam", "adam", "adam_in_turn")
RATES = tuple(0.001 * 2**k for k in range(10))
LONG = ("alternating", "adam", "adam_in_turn")


@dataclass(frozen=True)
class Bench:
    """A data set, the pair that learns it, the budget, and what is compared on it.

    Attributes:
        data: name of the data set.
        model: name of the architecture; `options`: its own.
        batch: samples of a step.
        weights: of the terms that the penalties are made of.
        methods, penalties, losses: what is crossed.
        rates: steps or learning rates that are tried.
        tune_steps: of the runs that choose a rate, from a start of their own.
        steps: of the runs that are shown; scored at the shares `marks` of them.
        seeds: of those.
        measures: of the score, whose first number decides; `features`, `count`: likewise of the score.
        refine: factors of the chosen rate that are tried at full length too.
    """

    data: str
    model: str = "mlp"
    options: tuple[tuple[str, object], ...] = (("widths", (32, 32)), ("latent", 16))
    batch: int = 64
    weights: tuple[tuple[str, float], ...] = (("squared_gradient", 0.1), ("r1", 0.1), ("r2", 0.1))
    methods: tuple[str, ...] = PLAIN + MAPS
    penalties: tuple[str, ...] = ("none", "squared_gradient", "r1", "r1_r2")
    losses: tuple[str, ...] = ("nonsaturating", "relativistic")
    rates: tuple[float, ...] = RATES
    tune_steps: int = 1000
    steps: int = 2000
    marks: tuple[float, ...] = (0.25, 0.5, 1.0)
    seeds: int = 5
    measures: tuple[str, ...] = ("frechet",)
    features: str = "pixels"
    count: int = 2000
    refine: tuple[float, ...] = (1.0,)


DIGITS = Bench("digits")
STACKED = Bench(
    "stacked_digits",
    options=(("widths", (64, 64)), ("latent", 32), ("activation", "leaky_relu"), ("initial", "he")),
    weights=(("squared_gradient", 0.1), ("r1", 1.0), ("r2", 1.0)),
    measures=("frechet", "modes"),  # untrained generators hit some 500 modes: their number must not choose a rate
    features="classifier",
    rates=RATES[::2],
    count=4000,
)
FASHION = Bench(
    "fashion_mnist",
    model="odegan",
    options=(("channels", 16), ("latent", 32)),
    batch=32,
    penalties=("none", "r1"),
    losses=("nonsaturating",),
    rates=RATES[::2],
    tune_steps=150,
    steps=600,
    seeds=3,
    measures=("frechet", "precision_recall"),
    features="classifier",
)


@dataclass(frozen=True)
class Settings:
    """What the results depend on."""

    benches: tuple[tuple[str, Bench], ...] = field(
        default=(
            ("digits", DIGITS),
            (
                "digits, implicit midpoint",
                replace(
                    DIGITS,
                    methods=("implicit_midpoint",),
                    penalties=("none", "squared_gradient"),
                    losses=("nonsaturating",),
                    rates=RATES[5:],
                    tune_steps=200,
                    seeds=2,
                ),
            ),
            (
                "digits, ten times the steps",
                replace(DIGITS, methods=LONG, losses=("nonsaturating",), steps=20_000, refine=(1.0, 0.25)),
            ),
            ("stacked digits", STACKED),
            ("Fashion-MNIST", FASHION),
        )
    )


BRIEF = Settings(
    (
        (
            "digits",
            replace(
                DIGITS,
                methods=("euler", "alternating", "heun2", "optimistic", "rk4", "extra_adam", "adam", "adam_in_turn"),
                penalties=("none", "r1_r2"),
                rates=RATES[3:],
                tune_steps=400,
                steps=1000,
                seeds=3,
            ),
        ),
    )
)
SMOKE = Settings(
    (
        (
            "digits",
            replace(
                DIGITS,
                methods=("alternating", "adam"),
                penalties=("none", "r1"),
                losses=("nonsaturating",),
                rates=(0.01, 0.1),
                tune_steps=10,
                steps=20,
                seeds=2,
                count=200,
            ),
        ),
    )
)


def run(settings: Settings, work: Workplace) -> Findings:
    """Two ablations for every bench, then the report."""
    figures = [f for label, bench in settings.benches for f in cells.run(bench, label, work)]
    return write_report(settings, figures, work)


STUDY = Study(
    name="training_methods",
    question="At equal images, each learning rate tuned on one grid: which method, penalty and loss trains a GAN "
    "furthest, Adam beside?",
    scales={"smoke": SMOKE, "default": BRIEF, "paper": Settings()},
    run=run,
)
