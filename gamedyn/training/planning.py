"""What a configuration takes of memory, part by part and for every method, before anything is trained."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from gamedyn import methods
from gamedyn._lib.errors import ArgumentError
from gamedyn._lib.tables import aligned
from gamedyn.core.living import Living
from gamedyn.integrators._types import label
from gamedyn.integrators.dispatch import stepper
from gamedyn.integrators.drive.stages import staged
from gamedyn.jacobian import FrozenField
from gamedyn.training import data as data_sets
from gamedyn.training.config import Config, read_config
from gamedyn.training.data import DataSet
from gamedyn.training.experiment import build, section_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from gamedyn.training.experiment import Experiment

__all__ = ["Plan", "plan"]

MIB = 2**20
STARTED = 8
"""Steps after which the longest history of the library is full."""


@dataclass(frozen=True)
class Plan:
    """The memory of a training run, in bytes.

    Attributes:
        method: the configured one.
        parameters: entries of the players' parameters.
        parts: by part; "registers" are the configured method's, None where a solver decides.
        registers: of every explicit method, vectors of parameter size that a step holds with whole stages, without the
            copy of what it remembers that goes with the last checked state.
        vector: bytes of one of them.
    """

    method: str
    parameters: int
    parts: Mapping[str, int | None]
    registers: Mapping[str, int]
    vector: int

    @property
    def total(self) -> int:
        """Of all parts that are known."""
        return sum(x for x in self.parts.values() if x is not None)

    def with_method(self, name: str) -> Plan:
        """The same run by another explicit method."""
        return replace(self, method=name, parts={**self.parts, "registers": self.registers[name] * self.vector})

    def __str__(self) -> str:
        shown = [("part", "MiB")]
        for name, size in self.parts.items():
            shown.append((name, "not known here" if size is None else f"{size / MIB:,.1f}"))
        shown.append(
            ("together" + (", without these" if None in self.parts.values() else ""), f"{self.total / MIB:,.1f}")
        )
        by_count: dict[int, list[str]] = {}
        for name, count in self.registers.items():
            by_count.setdefault(count, []).append(name)
        others = [("registers", "MiB together", "methods")]
        for count, names in sorted(by_count.items()):
            others.append((str(count), f"{self.with_method(names[0]).total / MIB:,.1f}", ", ".join(sorted(names))))
        return f"{self.method}, {self.parameters:,} parameters\n\n{aligned(shown)}\n\n{aligned(others)}"


def plan(config: str | os.PathLike[str] | Config, *, over: Iterable[str] = ()) -> Plan:
    """The memory that a run takes, from a dry run: shapes alone are computed, no sample is read.

    One field evaluation, its backward passes and its penalties' included, is run on tensors without values, and the
    most that is alive at once is noted. Not counted: what libraries take for themselves (workspaces of cuDNN, PyTorch's
    CUDA context), the data set, scores.

    Args:
        config: the configuration, or its file.
        over: settings to change, as in `train`.

    Raises:
        ArgumentError: as `train`; for data whose shape is not known before it is read, if it cannot be read.

    Example:
        >>> from gamedyn.training import read_config
        >>> config = read_config({"data": {"name": "digits"}, "models": {"name": "mlp"},
        ...     "solve": {"method": "rk4", "h": 0.1, "steps": 10}})
        >>> found = plan(config)
        >>> found.method, found.parts["registers"] > found.registers["rk4"] * found.vector
        ('rk4', True)
    """
    chosen = config if isinstance(config, Config) else read_config(config, over)
    made = build(chosen, device="cpu", data=_like(chosen))
    registers = {name: m.registers for name, m in methods.members().items() if m.explicit and m.registers is not None}
    n, size = made.game.layout.n, made.game.dtype.itemsize
    modules = [x for m in made.game.modules for x in (*m._parameters.values(), *m._buffers.values()) if x is not None]
    parts: dict[str, int | None] = {
        "the models themselves": sum(x.numel() * x.element_size() for x in {id(x): x for x in modules}.values()),
        "registers": _registers(made),
        "one evaluation": _evaluation(made),
    }
    if chosen.observers.ema is not None:
        parts["the average (ema)"] = n * size
    return Plan(label(made.method), n, parts, registers, n * size)


def _like(config: Config) -> DataSet:
    """A data set of the shape of the configured one, which is read only where its shape is not known without."""
    family = data_sets.get(config.data.name)
    if family.shape is None:
        with section_of(config, "data"):
            return data_sets.load(config.data.name, **config.data.options)
    shape, classes = family.shape(**config.data.options)
    size = config.data.batch_size
    labels = torch.zeros(size, dtype=torch.long) if classes else None
    return DataSet(family.name, torch.zeros(1, *shape).expand(size, *shape), labels, classes)


def _registers(made: Experiment) -> int | None:
    """What a step's stages, its memory, and what a failure must not lose take; None where values decide.

    After the steps in which a method starts, by a dry run: what its stepper and its memory hold; beside it y, the point
    where the field is evaluated, and a copy of y and memory as they were last checked.
    """
    integrator, field = stepper(made.method), FrozenField(made.flow, made.game.state().buffers, check=False)
    try:
        integrator = staged(integrator, field, made.config.solve.stages, made.h, "eager")
        with _dry(made, field) as living:
            y = field.point if integrator.in_place else field.point.clone()
            memory = integrator.init(field, 0.0, y, 1.0)
            for _ in range(STARTED):
                y, memory, _ = integrator.step(field, 0.0, y, 1.0, memory)
            resident = living.now
    except DataDependentOutputException:
        return None
    kept = [x for x in tree_leaves(memory) if isinstance(x, torch.Tensor)]
    vector = field.point.numel() * field.point.element_size()
    return resident + vector * (2 if integrator.in_place else 3) + sum(x.numel() * x.element_size() for x in kept)


@contextlib.contextmanager
def _dry(made: Experiment, field: FrozenField) -> Iterator[Living]:
    """A session on shapes alone, a step begun on a batch, with an account of what is alive."""
    shapes = FakeTensorMode(allow_non_fake_inputs=True)
    batch = tree_map(lambda x: shapes.from_tensor(x) if isinstance(x, torch.Tensor) else x, next(made.stream()))
    field.begin_step(batch)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")  # rows are distinguished by it
        with torch.no_grad(), shapes, Living() as living, field.session():
            yield living


def _evaluation(made: Experiment) -> int:
    """The most bytes that are alive at once within an evaluation of the field."""
    field = FrozenField(made.flow, made.game.state().buffers, check=False)
    row = field.stages(1)[0]
    try:
        with _dry(made, field) as living:
            field(0.0, field.point, row)
    except Exception as error:
        got = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ArgumentError("losses", "ones that can be evaluated on shapes alone", got) from error
    return int(living.peak)
