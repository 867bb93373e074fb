"""A method and a loss on a data set: penalties, rates and seeds as the members of ensembles."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gamedyn as gd
from analysis.common.study import Result
from gamedyn.training import Sampler, data, models, scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analysis.studies.training_methods import Bench
    from gamedyn.core import State
    from gamedyn.flows import Flow

__all__ = ["Member", "integrated", "run"]

METHODS = {
    "adam": ("torch.optim:Adam", {"betas": (0.0, 0.99)}),
    "adam_in_turn": ("alternating_adam", {"betas": (0.0, 0.99)}),
    "extra_adam": ("extra_adam", {"betas": (0.0, 0.99)}),
}
"""Methods by other names than their own, with R3GAN's and StyleGAN2's betas; the usual loop is Adam in turn."""
TERMS = {"none": (), "squared_gradient": ("squared_gradient",), "r1": ("r1",), "r1_r2": ("r1", "r2")}
TUNING = 1000
"""The seed of the start and the batches that choose a rate; the runs that are shown have 0, 1, 2..."""


@dataclass(frozen=True)
class Member:
    """One run of an ensemble."""

    penalty: str
    rate: float
    seed: int


class Setting:
    """What the runs of a bench share: data, flow, starts, batches, and the score of a state."""

    def __init__(self, bench: Bench, loss: str) -> None:
        self.bench, self.data = bench, data.load(bench.data)
        self._options: dict[str, Any] = dict(bench.options)
        pair = models.build(bench.model, self.data.shape, seed=0, **self._options)
        self.latent = pair.latent
        self.game = gd.games.gan(pair.generator, pair.discriminator, loss)
        self._sampler = Sampler(self.game, pair.latent)
        self.scorer = scores.Scorer(
            self.data, bench.measures, features=bench.features, count=bench.count, progress=False
        )

    def flow(self, penalties: Sequence[str]) -> Flow:
        """With the terms that any of the penalties has."""
        flow, weights = gd.flows.gradient(self.game), dict(self.bench.weights)
        for name in sorted({t for p in penalties for t in TERMS[p]}):
            flow = flow.with_term(getattr(gd.losses, name)(weights[name]))
        return flow

    def start(self, seed: int) -> State:
        """The pair of a seed."""
        pair = models.build(self.bench.model, self.data.shape, seed=seed, **self._options)
        return gd.games.gan(pair.generator, pair.discriminator).state()

    def stream(self, seed: int) -> Any:
        """The batches of a seed."""
        return self.data.batches(self.bench.batch, latent=self.latent, seed=seed)

    def score(self, state: State | None) -> dict[str, float]:
        """Of a run that is finite still."""
        if state is None:
            return {self.decides: -math.inf if self.more else math.inf}
        found = self.scorer(self._sampler.blocks(state, self.bench.count))
        return {k: v for k, v in found.items() if isinstance(v, float) and k not in ("seconds", "accuracy")}

    @property
    def decides(self) -> str:
        """The number that decides."""
        return self.scorer.best

    @property
    def more(self) -> bool:
        """Whether more of it is better."""
        return self.scorer.better(self.decides) == "larger"

    def order(self, score: dict[str, float]) -> float:
        """Smaller for a better score; a run that failed comes last."""
        value = score[self.decides]
        return math.inf if math.isnan(value) else -value if self.more else value


def run(settings: Any, *, bench: Bench, method: str, loss: str, label: str) -> Result:
    """Choose a rate for each penalty by a short run, then run every seed at it; scores at each mark."""
    setting = Setting(bench, loss)
    tuning = [Member(p, r, TUNING) for p in bench.penalties for r in bench.rates]
    *_, (_, states) = integrated(setting, method, tuning, [bench.tune_steps])
    tuned: dict[str, dict[float, dict[str, float]]] = {p: {} for p in bench.penalties}
    for m, state in zip(tuning, states, strict=True):
        tuned[m.penalty][m.rate] = setting.score(state)
    chosen = {p: min(found, key=lambda r: setting.order(found[r])) for p, found in tuned.items()}
    members = [Member(p, chosen[p] * f, s) for p in bench.penalties for f in bench.refine for s in range(bench.seeds)]
    began, rows = time.process_time(), []
    for steps, states in integrated(setting, method, members, [round(bench.steps * m) for m in bench.marks]):
        for m, state in zip(members, states, strict=True):
            rows.append({"penalty": m.penalty, "rate": m.rate, "seed": m.seed, "steps": steps, **setting.score(state)})
    figures = {
        "label": label,
        "method": method,
        "loss": loss,
        "evaluations": evaluations(method),
        "parameters": setting.game.layout.n,
        "measure": setting.decides,
        "more": setting.more,
        "tuned": {p: {f"{r:g}": s[setting.decides] for r, s in found.items()} for p, found in tuned.items()},
        "chosen": chosen,
        "rows": rows,
        "floor": setting.scorer.floor,
        "accuracy": setting.scorer.features.accuracy,
        "cpu_seconds": time.process_time() - began,
    }
    return Result(figures, {})


def made(method: str) -> Any:
    """The method of a row's name."""
    name, options = METHODS.get(method, (method, {}))
    return gd.methods.get(name, **options)


def evaluations(method: str) -> int | None:
    """Of the field in a step; None for implicit methods, whose number varies."""
    found = made(method)
    if hasattr(found, "explicit") and not found.explicit:
        return None
    return int(getattr(found, "evaluations", None) or 1)  # an optimiser of torch's makes one


def integrated(
    setting: Setting, method: str, members: Sequence[Member], marks: Sequence[int]
) -> Iterator[tuple[int, list[State | None]]]:
    """The states of the members at each mark; None for one that has failed."""
    if gd.integrators.stepper(made(method)).ensembles:
        yield from _together(setting, made(method), members, marks)
    else:
        runs = [list(_alone(setting, made(method), m, marks)) for m in members]
        yield from ((n, [states[i] for states in runs]) for i, n in enumerate(marks))


def _together(
    setting: Setting, method: Any, members: Sequence[Member], marks: Sequence[int]
) -> Iterator[tuple[int, list[State | None]]]:
    flow = setting.flow(setting.bench.penalties)
    known = dict(setting.bench.weights)
    weights = {t: [known[t] * (t in TERMS[m.penalty]) for m in members] for t in flow.terms}
    starts = {s: setting.start(s) for s in {m.seed for m in members}}
    streams = {s: setting.stream(s) for s in starts}
    run, alive = None, [True] * len(members)
    for n in marks:
        run = gd.solve_ensemble(
            flow,
            method,
            h=[m.rate for m in members],
            steps=n,
            weights=weights,
            batches=[streams[m.seed] for m in members],
            resume=run,
            y0=[starts[m.seed] for m in members] if run is None else None,
            check_every=100,
        )
        alive = [a and status == "done" for a, status in zip(alive, run.status, strict=True)]
        yield n, [run.state.member(i) if a else None for i, a in enumerate(alive)]


def _alone(setting: Setting, method: Any, member: Member, marks: Sequence[int]) -> Iterator[State | None]:
    flow, stream = setting.flow([member.penalty]), setting.stream(member.seed)
    run = None
    for n in marks:
        if run is not None and run.status != "done":
            yield None
            continue
        first = setting.start(member.seed) if run is None else None
        run = gd.solve(flow, method, h=member.rate, steps=n, y0=first, resume=run, batches=stream, throw=False)
        yield run.state if run.status == "done" else None
