"""A training run made of its configuration: data, models, game, flow, method, observers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gamedyn import core, flows, games, losses, methods
from gamedyn._lib.errors import ArgumentError, SolveError, UnknownNameError
from gamedyn.integrators import Checkpoints, Every, steps
from gamedyn.integrators.drive.observers import every as rhythm
from gamedyn.training import data as data_sets
from gamedyn.training import models, scores
from gamedyn.training.models import Pair
from gamedyn.training.observers import EMA, Best, Budget, Recorder, Samples, Score, Stability, TensorBoard
from gamedyn.training.ranks import Place, warn_of_shards
from gamedyn.training.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamedyn.training.config import Config
    from gamedyn.training.data import DataSet

__all__ = ["Experiment", "build", "resolved"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}
AUTOCAST = {"": None, "bfloat16": torch.bfloat16}
TERMS = ("squared_gradient", "r1", "r2", "gradient_penalty", "weight_decay")
SCHEDULES = {"warmup": steps.warmup, "cosine": steps.cosine, "piecewise": steps.piecewise}


@dataclass(frozen=True, eq=False)
class Experiment:
    """What a configuration stands for.

    Attributes:
        config: the configuration.
        data: the data set.
        pair: the models.
        game: the game.
        flow: the flow.
        method: the method.
        h: step, a number or a step size.
        device: of the players.
        place: of this process among those that share the run.
    """

    config: Config
    data: DataSet
    pair: Pair
    game: core.Game
    flow: flows.Flow
    method: methods.Method
    h: Any
    device: torch.device
    place: Place = field(default_factory=Place)

    @property
    def limits(self) -> dict[str, Any]:
        """How far: steps, images or evaluations."""
        solve = self.config.solve
        given = {"steps": solve.steps, "images": solve.images, "evaluations": solve.evaluations}
        return {k: v for k, v in given.items() if v is not None}

    def stream(self) -> core.Batches:
        """The batches."""
        section = self.config.data
        return self.data.batches(
            section.batch_size,
            latent=self.pair.latent,
            seed=self.config.solve.seed,
            labels=self.config.models.conditional,
            workers=section.workers,
            shard=self.place.shard,
        )

    def sampler(self) -> Sampler:
        """What makes samples of a state."""
        labels = self.data.labels if self.config.models.conditional else None
        return Sampler(self.game, self.pair.latent, labels=labels)

    def observers(self, out: Path, *, progress: bool = True) -> list[Any]:
        """The observers, those before whom others use them first.

        Raises:
            ArgumentError: for an option of an observer that it does not take, or that does not fit.
        """
        made: list[Any] = []
        try:
            with self._at("observers"):
                if self.place.first:
                    self._observe(made, out, progress)
                elif self.config.observers.stability is not None:  # it evaluates the game, which all do together
                    made.append(self._stability([]))
        except BaseException:
            for observer in made:
                getattr(observer, "finish", lambda: None)()
            raise
        return made

    def _observe(self, made: list[Any], out: Path, progress: bool) -> None:
        asked = self.config.observers
        options = dict(asked.record)
        loggers = [TensorBoard(out / "tensorboard")] if options.pop("tensorboard", False) else []
        recorder = Recorder(out / "records.jsonl", loggers=loggers, **_rhythmic(options))
        made.append(recorder)
        sampler, average = self.sampler(), None
        if asked.ema is not None:
            average = EMA(**_rhythmic(asked.ema, "every", "half_life"))
            made.insert(0, average)
        if asked.samples is not None:
            real = None if self.data.is_images else self.data.take(min(2000, len(self.data)))
            how = _rhythmic(asked.samples)
            made.append(Samples(out / "samples", sampler, ema=average, real=real, **how))
        if asked.score is not None:
            made.append(self._score(dict(asked.score), sampler, average, recorder, progress))
        if asked.best is not None:
            if not isinstance(made[-1], Score):
                raise ArgumentError("best", "a score that decides", "none", "[observers] score = {...}")
            made.append(Best(made[-1], out, **asked.best))
        if asked.stability is not None:
            made.append(self._stability([recorder]))
        if asked.budget is not None:
            made.append(Budget(**asked.budget))

    def _stability(self, to: list[Any]) -> Stability:
        options = _rhythmic(dict(self.config.observers.stability or {}))
        every = options.get("every")
        if self.place.ranks > 1 and isinstance(every, Every) and every.seconds is not None:
            remedy = "steps, images, evaluations or time: seconds are another number of steps on every process"
            raise ArgumentError("stability", "a rhythm that all processes share", every, remedy)
        batch = self._batch(int(options.pop("batch", 1024)))
        try:
            return Stability(self.flow, self.method, batch, to=to, **options)
        except ArgumentError as error:
            if error.argument != "method":
                raise
            remedy = f"stability = false with this method; {error.remedy}"
            raise ArgumentError("stability", error.expected, error.got, remedy) from error

    def _score(self, options: dict[str, Any], sampler: Sampler, average: Any, recorder: Any, progress: bool) -> Score:
        measures = options.pop("measures", ["frechet"])
        measures = [measures] if isinstance(measures, str) else measures
        known = "classifier" if self.data.classes > 1 and self.data.is_images else "pixels"
        how = {"features": options.pop("features", known), "file": options.pop("features_file", None)}
        count = options.pop("count", min(10_000, max(1000, len(self.data))))
        scorer = scores.Scorer(self.data, measures, count=count, progress=progress, **how)
        return Score(scorer, sampler, ema=average, to=[recorder], **_rhythmic(options))

    def _batch(self, size: int) -> Any:
        """A fixed batch to linearise on."""
        size, count = min(size, len(self.data)), self.place.ranks
        how: dict[str, Any] = {"labels": self.config.models.conditional, "shard": self.place.shard}
        return next(self.data.batches(max(1, size // count) * count, latent=self.pair.latent, seed=12345, **how))

    def checkpoints(self, out: Path) -> Checkpoints:
        """Where the run is kept."""
        with self._at("observers"):
            return Checkpoints(out / "checkpoints", **self.config.observers.checkpoint)

    def _at(self, section: str) -> contextlib.AbstractContextManager[None]:
        return section_of(self.config, section)


def resolved(config: Config) -> Config:
    """The same configuration with the options of its data and architecture that it leaves at their defaults.

    For files to say, not to build from: a default is written as TOML has it, a tuple as a list.

    Raises:
        ArgumentError: for parts that do not exist; file, line and key are named.
    """
    parts: dict[str, Any] = {}
    for section, registry in (("data", data_sets), ("models", models)):
        with section_of(config, section):
            chosen = getattr(config, section)
            own = {f.name for f in fields(chosen)}
            known = {k: _written(v) for k, v in registry.options(chosen.name).items() if k not in own}
            defaults = {k: v for k, v in known.items() if v is not None}
            parts[section] = replace(chosen, options={**defaults, **chosen.options})
    return replace(config, **parts)


def _written(value: Any) -> Any:
    """A default as a file has it; None for what none can have."""
    if isinstance(value, (list, tuple)):
        found = [_written(v) for v in value]
        return None if None in found else found
    plain = type(value) in (bool, int, float, str) and value == value  # NaN differs from itself, and would for ever
    return value if plain else None


def build(
    config: Config,
    *,
    device: torch.device | str | None = None,
    data: DataSet | None = None,
    place: Place = Place(),  # noqa: B008
) -> Experiment:
    """The parts of a training run.

    Args:
        config: the configuration.
        device: of the players; None: a GPU if there is one.
        data: in the place of the configured data set.
        place: of this process among those that share the run; batches are then shared evenly.

    Raises:
        ArgumentError: for parts that do not exist or do not fit; file, line and key are named.
    """
    where = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with section_of(config, "data"), memory_of("the data set", 'data.device = "cpu", a smaller data.size'):
        found = data_sets.load(config.data.name, **config.data.options) if data is None else data
        found = _placed(found, config.data.device, where)
        if config.data.batch_size > len(found):
            raise ArgumentError(
                "batch_size", f"at most the {len(found)} samples of {found.name}", config.data.batch_size
            )
    with section_of(config, "models"), memory_of("the models", "models.channels"):
        if config.models.conditional and not found.classes:
            raise ArgumentError("conditional", f"false: {found.name} has no labels", True)
        classes = found.classes if config.models.conditional else 0
        chosen = config.models
        pair = models.build(chosen.name, found.shape, classes=classes, seed=chosen.seed, **chosen.options)
        if chosen.channels_last:
            pair = models.channels_last(pair)
    with section_of(config, "game"):
        dtype = DTYPES[_choice("dtype", config.game.dtype, DTYPES)]
        cast = AUTOCAST[_choice("autocast", config.game.autocast, AUTOCAST)]
        for module in (pair.generator, pair.discriminator):
            module.to(where, dtype)
        game = games.gan(
            pair.generator, pair.discriminator, config.game.loss, conditional=chosen.conditional, autocast=cast
        )
        if place.ranks > 1:
            game = _shared(game, config, place)
    with section_of(config, "flow"):
        flow = _flow(config, game, place)
    with section_of(config, "solve"):
        if not 0 <= config.solve.seed < 2**63:
            raise ArgumentError("seed", "a whole number from 0 to 2^63 - 1", config.solve.seed)
        method = methods.get(config.solve.method, **config.solve.options)
        h = _step(config.solve.h)
    return Experiment(config, found, pair, game, flow, method, h, where, place)


def _shared(game: core.Game, config: Config, place: Place) -> core.Game:
    """The game of all processes together."""
    if config.data.batch_size % place.ranks:
        expected = f"a multiple of the {place.ranks} processes that share a batch"
        raise ArgumentError("data.batch_size", expected, config.data.batch_size)
    if place.first:
        warn_of_shards(game)
    return core.data_parallel(game)


def _flow(config: Config, game: core.Game, place: Place) -> flows.Flow:
    section = config.flow
    flow = flows.gradient(game, rates=section.rates or None)
    every = {}
    for name, given in section.terms.items():
        options = dict(given) if isinstance(given, dict) else {"weight": given}
        kind = _choice("term", str(options.pop("term", name)), TERMS)
        each = options.pop("every", 1)
        if "weight" not in options:
            given_keys = ", ".join(map(str, options)) or "nothing"
            raise ArgumentError(name, "a weight", given_keys, f"[flow.{name}] weight = ...")
        if config.models.conditional:
            labelled = {"real": losses.labelled_samples, "fake": losses.labelled_fakes}
            takes = {"r1": ("real",), "r2": ("fake",), "gradient_penalty": ("real", "fake")}.get(kind, ())
            options |= {k: labelled[k] for k in takes}
        if kind == "gradient_penalty" and place.shard is not None:
            options["shard"] = place.shard
        try:
            flow = flow.with_term(getattr(losses, kind)(**({"name": name} | options)))
        except TypeError as error:
            raise ArgumentError(name, f"arguments of gamedyn.losses.{kind}", f"{sorted(options)}", str(error)) from None
        every[name] = each
    flow = flow.with_intervals(**{k: n for k, n in every.items() if n != 1})
    return flow if section.clip_norm is None else flows.clipped(flow, norm=section.clip_norm)


def _step(h: Any) -> Any:
    """A number, or a schedule of a table."""
    if not isinstance(h, dict):
        return h
    options = dict(h)
    kind = _choice("h", str(options.pop("kind", "")), SCHEDULES)
    try:
        if kind == "piecewise":
            options = {"sizes": {int(k): float(v) for k, v in options.get("sizes", options).items()}}
        return SCHEDULES[kind](**options)  # type: ignore[operator]
    except (TypeError, AttributeError) as error:
        raise ArgumentError("h", f"arguments of gamedyn.steps.{kind}", f"{options}", str(error)) from None


def _device(wish: torch.device | str) -> torch.device:
    """A device that is there.

    Raises:
        ArgumentError: if it is not.
    """
    try:
        return torch.empty(0, device=wish).device
    except (RuntimeError, AssertionError, TypeError) as error:
        known = '"auto", "cpu"' + (', "cuda"' if torch.cuda.is_available() else "; there is no GPU here")
        raise ArgumentError("device", known, wish, str(error).splitlines()[0]) from error


def _placed(found: DataSet, wish: str, where: torch.device) -> DataSet:
    """The data on the device that is wished for; "auto": the players', if a quarter of its memory suffices."""
    if wish != "auto":
        return found.to(_device(wish))
    if where.type != "cuda" or not found.in_memory:
        return found
    free, _ = torch.cuda.mem_get_info(where)
    size = found.samples.numel() * found.samples.element_size()  # type: ignore[union-attr]
    return found.to(where) if size < free / 4 else found


def _rhythmic(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Options whose rhythms are tables as `Every`."""
    out = dict(options)
    for name in names or ("every",):
        if name in out:
            out[name] = Every(**out[name]) if isinstance(out[name], dict) else rhythm(out[name], name)
    return out


def _choice(argument: str, value: str, known: Any) -> str:
    from gamedyn._lib.checks import choice

    return choice(argument, value, known)


@contextlib.contextmanager
def section_of(config: Config, section: str) -> Iterator[None]:
    """Name the line and key of the configuration in errors of what is made of a section."""
    try:
        yield
    except SolveError:
        raise
    except ArgumentError as error:
        if error.argument.startswith((config.source.name or "config", "--set")):
            raise
        key = error.argument.partition("[")[0].rpartition(".")[2].split(",")[0]
        if isinstance(error, UnknownNameError) and key.startswith("option of"):
            key = str(error.got)
        known = {"data set": "name", "model": "name", "loss": "loss", "method": "method"}
        if key in ("checkpoint", "observers"):  # of a solve
            section = "observers"
        where = config.source.where(section, known.get(key, key))
        raise ArgumentError(where, error.expected, error.got, error.remedy) from error
    except (TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        got = f"{type(error).__name__}: {error}"
        raise ArgumentError(config.source.where(section), "options that fit", got) from error


@contextlib.contextmanager
def memory_of(part: str, lower: str) -> Iterator[None]:
    """Say which part ran out of memory, and what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise SolveError(f"{part} ran out of memory; lower {lower}", getattr(error, "run", None)) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise SolveError(f"{part} ran out of memory; lower {lower}", getattr(error, "run", None)) from error
