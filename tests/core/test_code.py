"""Digests of code: equal for what computes the same, whatever process it runs in; other for what does not."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gamedyn._lib.code import digest_of

SOURCE = """
WEIGHT = {weight}
def near(x):
    '''{doc}'''
    return x * {factor} if x in {{"a", "b", "c", "d"}} else WEIGHT
def made(k):
    def losses(x, y, batch=None):
        return {{"x": near(x) + k, "y": [y{sign}i for i in range(3)]}}
    return losses
"""
SAME = {"weight": 0.1, "doc": "one", "factor": 2, "sign": "+"}


def made(k=1.0, **changed):
    names = {"__name__": "script"}
    exec(compile(SOURCE.format(**{**SAME, **changed}), "script.py", "exec"), names)
    return names["made"](k)


@pytest.mark.parametrize("changed", [{"weight": 0.2}, {"factor": 3}, {"sign": "-"}, {"k": 2.0}], ids=str)
def test_other_code_has_another_digest(changed):
    # rejects: a digest of the outer bytecode alone (constants, closures, inner functions, functions called)
    assert digest_of(made(**changed)) != digest_of(made())


def test_lines_and_docstrings_do_not_count():
    assert digest_of(made(doc="two\n\nlines")) == digest_of(made())


def test_it_is_that_of_another_process():
    # rejects: ids, addresses, and the order of a frozen set, which a process draws
    text = "from test_code import made, digest_of; print(digest_of(made()))"
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", text],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
        assert out.stdout.strip() == digest_of(made()), out.stderr


def test_partials_methods_and_objects_with_a_call():
    # rejects: two of them that are one by type
    class Scaled:
        def __init__(self, k):
            self.k, self.log = k, []

        def __call__(self, x):
            return self.k * x

        def other(self, x):
            return x

    def power(x, p):
        return x**p

    assert digest_of(partial(power, p=2)) != digest_of(partial(power, p=3))
    assert digest_of(Scaled(1)) != digest_of(Scaled(2))
    assert digest_of(Scaled(1)) == digest_of(Scaled(1))
    assert digest_of(Scaled(1).other) != digest_of(Scaled(1).__call__)
    calls = Scaled(1)
    before = digest_of(calls)
    calls.log.append(1)  # what changes while a run goes on
    assert digest_of(calls) == before


def test_what_modules_keep_counts():
    # rejects: networks that differ in an activation or a slope alone, as one; training, a counter, that count
    class Net(nn.Module):
        def __init__(self, act, scale=1.0):
            super().__init__()
            self.act, self.scale, self.calls = act, scale, 0
            self.body = nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(scale))

        def forward(self, x):
            self.calls += 1
            return self.act(self.body(x))

    net = Net(torch.relu)
    before = digest_of(net)
    assert digest_of(Net(torch.relu)) == before
    two = [nn.Sequential(nn.LeakyReLU(0.1), nn.LeakyReLU(s)) for s in (0.1, 0.2)]
    assert digest_of(two[0]) != digest_of(two[1])  # the second of one type
    others = [Net(torch.tanh), Net(F.relu), Net(partial(F.leaky_relu, negative_slope=0.1)), Net(torch.relu, 2.0)]
    assert len({before, *map(digest_of, others)}) == 5
    slopes = [partial(F.leaky_relu, negative_slope=s) for s in (0.1, 0.2)]
    assert digest_of(Net(slopes[0])) != digest_of(Net(slopes[1]))
    slopes = [nn.Sequential(nn.LeakyReLU(s)) for s in (0.1, 0.2)]
    assert digest_of(slopes[0]) != digest_of(slopes[1])
    net.eval()(torch.ones(1, 2))
    nn.init.zeros_(net.body[0].weight)
    assert digest_of(net) == before


def counting(module):
    module.helped += 1


class Counting(nn.Module):
    """Every way to count that a method has: through a helper, a decorator, a property, `setattr`."""

    def __init__(self):
        super().__init__()
        self.helped = self.decorated = self._kept = self.named = 0

    @torch.no_grad()
    def under(self):
        self.decorated += 1

    @property
    def kept(self):
        return self._kept

    @kept.setter
    def kept(self, value):
        self._kept = value

    def forward(self, x):
        counting(self)
        self.under()
        self.kept = self.kept + 1
        setattr(self, "named", self.named + 1)  # noqa: B010
        return x


def test_counters_of_modules_are_no_code():
    # rejects: a rightful resume refused, since a forward counts its calls by other means than `self.n += 1`
    module = Counting()
    before = digest_of(module)
    module(torch.ones(1))
    assert (module.helped, module.decorated, module._kept, module.named) == (1, 1, 1, 1)
    assert digest_of(module) == before


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # as PyTorch imports its compiler
def test_what_torch_has_wrapped_counts_as_what_is_inside():
    # rejects: a digest of torch's wrapper, which is alike for all
    one, two = (torch.no_grad()(scaled_by(k)) for k in (1, 2))
    assert digest_of(one) != digest_of(two)
    compiled = [torch.compile(scaled_by(k), backend="eager") for k in (1, 2, 2)]
    assert digest_of(compiled[0]) != digest_of(compiled[1]) == digest_of(compiled[2])


def scaled_by(k):
    def scaled(x):
        return k * x

    return scaled


def test_functions_that_call_each_other_end():
    def first(n):
        return second(n - 1) if n else 0

    def second(n):
        return first(n - 1) if n else 1

    assert len(digest_of(first)) == 12


TOP = """
import enum, fractions, functools, types
from dataclasses import dataclass
import numpy as np
import torch
{before}
class Level(enum.Enum):
    LOW = 1
    HIGH = 2
@dataclass(frozen=True)
class Settings:
    k: float = {k}
PAIR, SETTINGS = (1.0, {k}), Settings()
def plain(a, b=0.0):
    return {k} * a - b
class Kind:
    @staticmethod
    def scaled(x):
        return {k} * x
@torch.no_grad()
def graded(x):
    return {k} * x
@functools.lru_cache
def cached(x):
    return {k} * x
part = functools.partial(plain, b={k})
class Own:
    def __init__(self, k):
        self.k, self.calls = k, 0
    def losses(self, x):
        self.calls += 1
        return self.k * x
def losses(x):
    return {body}
"""


def defined(body="x", k=1.0, name="losses", before=""):
    names = {"__name__": "script"}
    exec(compile(TOP.format(body=body, k=k, before=before), "script.py", "exec"), names)
    return names[name]


@pytest.mark.parametrize(
    "body", ["plain(x)", "Kind.scaled(x)", "graded(x)", "cached(x)", "part(x)", "PAIR[1] * x", "SETTINGS.k * x"]
)
def test_what_a_function_uses_counts(body):
    # rejects: helpers that a decorator, a class, a partial or a table hides
    assert digest_of(defined(body, 1.0)) != digest_of(defined(body, 2.0))
    assert digest_of(defined(body, 1.0)) == digest_of(defined(body, 1.0))


def test_parameters_that_change_places_count():
    # rejects: bytecode alone, which is the same for a helper that is called by keywords
    a, b = (defined("two(a=x, b=1.0)", before=f"def two({p}):\n    return a - 2 * b") for p in ("a, b", "b, a"))
    assert digest_of(a) != digest_of(b)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Level.LOW", "Level.HIGH"),
        ("fractions.Fraction(1, 2)", "fractions.Fraction(1, 3)"),
        ("np.float32(1)", "np.float32(2)"),
    ],
)
def test_numbers_of_other_kinds_count(first, second):
    names = defined().__globals__
    assert digest_of(scaled_by(eval(first, names))) != digest_of(scaled_by(eval(second, names)))
    assert digest_of(scaled_by(eval(first, names))) == digest_of(scaled_by(eval(first, names)))


def test_counters_and_modules_in_training_do_not_count():
    # rejects: a run that cannot go on in the same process, because something was counted or put to eval()
    own = defined(name="Own")(2.0)
    before = digest_of(own.losses)
    own.losses(1.0)
    assert digest_of(own.losses) == before
    assert digest_of(defined(name="Own")(3.0).losses) != before
    names = {"__name__": "script"}
    exec("calls = 0\ndef losses(x):\n    global calls\n    calls += 1\n    return x\n", names)
    before = digest_of(names["losses"])
    names["losses"](1.0)
    assert digest_of(names["losses"]) == before
    net = torch.nn.Linear(1, 1)
    inside, alone = scaled_by(net), digest_of(net)
    before = digest_of(inside)
    net.eval()
    assert (digest_of(inside), digest_of(net)) == (before, alone)


def test_odd_objects_have_one():
    # rejects: an error of a user's own attribute access; a recursion of depth 1000
    class Open(dict):
        __getattr__ = dict.get

    class Closed(dict):
        __getattr__ = dict.__getitem__

    class Slots:
        __slots__ = ("k",)

        def __call__(self, x):
            return x

    chain = ()
    for _ in range(3000):
        chain = (chain,)
    for value in (Open(), Closed(), Slots(), chain):
        assert len(digest_of(scaled_by(value), value)) == 12
