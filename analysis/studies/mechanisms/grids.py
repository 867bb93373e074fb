"""The ablations of the study: which cells, measured how."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd  # type: ignore[import-untyped]

import gamedyn as gd
from analysis.common.gans import quality
from analysis.studies.mechanisms import toys
from analysis.studies.mechanisms.measures import on_the_way
from analysis.studies.mechanisms.methods import CONTROLS
from analysis.studies.mechanisms.setups import setup
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["tables"]

DAMPED, BARE = "r1_r2", "none"
"""The penalty, and its absence, of the parts that have not all of them."""

ADAM = {
    "euler": "torch.optim:Adam",
    "alternating": "alternating_adam",
    "extragradient": "extra_adam",
    "optimistic": "optimistic_adam",
}
"""What an integrator is where the velocity is Adam's."""


def tables(settings: Any, work: Workplace) -> dict[str, pd.DataFrame]:
    """Every table by name."""
    found = {"toys": toys.table(settings, work), "factorial": factorial(settings, work)}
    found |= {"beside": beside(settings, work), "controls": controls(settings, work)}
    if settings.implicit_h:
        found["implicit"] = implicit(settings, work)
    for bench in settings.benches:
        found[bench.data_set] = again(bench, work)
    return found


def factorial(settings: Any, work: Workplace) -> pd.DataFrame:
    """Integrator x damping x loss x step, at equal evaluations, images of a step, and time of the flow."""
    measure = {"at_end": partial(on_the_way, images=settings.images, k=settings.pairs)}
    parts = []
    for loss, taus in settings.taus:
        grid = Grid(
            setup,
            {"method": settings.methods, "penalty": settings.penalties, "h_per_evaluation": taus, **_seeds(settings)},
            data_set="digits",
            loss=loss,
            evaluations=settings.evaluations,
        )
        parts.append(work.ablation(f"factorial_{loss}", grid, measure, marks=(0.5, 1.0)))
    return pd.concat(parts, ignore_index=True)


def beside(settings: Any, work: Workplace) -> pd.DataFrame:
    """One further factor at a time: the velocity's scale, the ratio of rates, the batch."""
    loss, taus = settings.taus[0]
    same: dict[str, Any] = {"data_set": "digits", "loss": loss, "evaluations": settings.evaluations}
    factors = {"penalty": (BARE, DAMPED), "h_per_evaluation": taus[:2], **_seeds(settings)}
    scales = [s for s in settings.scales if s != "adam"]
    asked: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "scale": ({"method": settings.few, "scale": ["raw", *scales]}, {}),
        "ratio": ({"method": settings.few, "ratio": settings.ratios}, {}),
        "batch": ({"method": settings.few, "batch": settings.batches}, {}),
    }
    if "adam" in settings.scales:
        maps = {m: gd.methods.get(ADAM[m], betas=(0.0, 0.99)) for m in settings.few if m in ADAM}
        asked["adam"] = ({"method": maps}, {"scale": "adam"})
    parts = []
    for name, (own, fixed) in asked.items():
        grid = Grid(setup, {**own, **factors}, **same, **fixed)
        parts.append(work.ablation(f"beside_{name}", grid, {"at_end": quality}).assign(part=name))
    found = pd.concat(parts, ignore_index=True)
    return found.fillna({"scale": "raw", "ratio": 1.0, "batch": 64})


def controls(settings: Any, work: Workplace) -> pd.DataFrame:
    """The mechanisms apart: steps that are solved, order 1 with a long real interval, a dial of numerical damping."""
    parts = []
    for loss, taus in settings.taus:
        if loss == "relativistic":
            continue
        same: dict[str, Any] = {"data_set": "digits", "loss": loss}
        common = {"penalty": (BARE, DAMPED), **_seeds(settings)}
        dials = {k: m for k, m in CONTROLS.items() if k.startswith("dial")}
        equal = {"euler": gd.methods.get("euler"), "rk4": gd.methods.get("rk4"), "chebyshev4": CONTROLS["chebyshev4"]}
        grid = Grid(
            setup,
            {"method": {**equal, **dials}, "h_per_evaluation": taus, **common},
            evaluations=settings.evaluations,
            **same,
        )
        parts.append(work.ablation(f"controls_{loss}", grid, {"at_end": quality}).assign(part="equal work"))
        solved = {"euler": "euler", "chebyshev4": CONTROLS["chebyshev4"], "heun2": "heun2", "exact": CONTROLS["exact"]}
        grid = Grid(setup, {"method": solved, "h": taus[:2], **common}, steps=settings.evaluations, **same)
        parts.append(work.ablation(f"solved_{loss}", grid, {"at_end": quality}).assign(part="equal steps"))
    return pd.concat(parts, ignore_index=True)


def implicit(settings: Any, work: Workplace) -> pd.DataFrame:
    """The implicit midpoint rule, neutral on every rotation, for as much time of the flow."""
    loss, taus = settings.taus[0]
    grid = Grid(
        setup,
        {"penalty": (BARE, DAMPED), "h": settings.implicit_h, "seed": range(min(2, settings.seeds))},
        method="implicit_midpoint",
        data_set="digits",
        loss=loss,
        time=settings.evaluations * taus[0],
    )
    return work.ablation("implicit", grid, {"at_end": quality})


def again(bench: Any, work: Workplace) -> pd.DataFrame:
    """The cells that won and lost on the digits, on other data."""
    grid = Grid(
        setup,
        {
            "method": bench.methods,
            "penalty": (BARE, DAMPED),
            "loss": bench.losses,
            "h_per_evaluation": bench.taus,
            "seed": range(bench.seeds),
        },
        data_set=bench.data_set,
        evaluations=bench.evaluations,
        batch=bench.batch,
        model=bench.model,
        options=[bench.options],
        weights=[bench.weights],
    )
    score = partial(quality, measures=bench.measures, features=bench.features, count=bench.count)
    return work.ablation(bench.data_set, grid, {"at_end": score})


def _seeds(settings: Any) -> dict[str, Any]:
    return {"seed": range(settings.seeds)}
