"""Odd arguments to every public callable end in an error of gamedyn's own, or in a result; hardly ever in another's.

Every function, class and game family of the packages' `__all__` is called with arguments that suit its parameters'
names and annotations, one of them replaced by something odd. Rejects: a border that lets PyTorch's or NumPy's
tracebacks through (20 per cent of such calls before there was one).
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import inspect
import io
import warnings

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn._lib.border import bordered
from gamedyn._lib.errors import GamedynError

PACKAGES = ("core", "flows", "games", "integrators", "jacobian", "krylov", "losses", "methods", "optim", "spectrum")
THEORY = ("stability",)
ODD = {
    "None": lambda: None,
    "text": lambda: "x",
    "empty text": lambda: "",
    "-1": lambda: -1,
    "0": lambda: 0,
    "2.5": lambda: 2.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "10^400": lambda: 10**400,
    "1j": lambda: 1j,
    "True": lambda: True,
    "[]": list,
    "{}": dict,
    "[None]": lambda: [None],
    "object": object,
    "a class": lambda: int,
    "a function": lambda: len,
    "an empty tensor": lambda: torch.empty(0),
    "a tensor of nan": lambda: torch.full((2,), float("nan")),
    "a wrong shape": lambda: torch.ones(3, 1, 2),
    "integers": lambda: torch.arange(3),
    "an array": lambda: np.ones((2, 3)),
    "bytes": lambda: b"x",
}
SLOW = {"find_limit_cycle", "verify", "tailor", "batch_spread", "data_parallel", "write_explorer", "optimal_imaginary"}
MOST = 0.02
"""Share of calls that may end in another's error."""


def flow():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 1.0))


def suited():
    """By a parameter's name, something that suits it."""
    game = gd.games.dirac_gan("nonsaturating", "r1", 1.0)
    v = torch.ones(2, dtype=torch.float64)
    A = torch.tensor([[-1.0, -2.0], [2.0, -1.0]], dtype=torch.float64)
    op = gd.krylov.LinearOperator((2, 2), A.mv, A.T.mv, dtype=A.dtype)
    return {
        "flow": flow(), "game": game, "like": game, "state": game.state(), "start": v, "b": v, "y": v, "v": v, "x": v,
        "method": "rk4", "h": 0.1, "steps": 2, "t": 0.0, "k": 1, "matvec": A.mv, "rmatvec": A.T.mv, "matrix": A, "A": A,
        "J": op, "operator": op, "eigenvalues": [-1.0], "spectrum": [-1.0 + 1j, -1.0 - 1j], "players": {"x": v.clone()},
        "losses": lambda x: {"x": x.square().sum()}, "lr": 0.1, "weight": 0.5, "name": "x", "source": torch.ones(4, 2),
        "into": "D", "of": "G", "fn": lambda v: v, "shape": (2, 2), "dtype": torch.float64,
        "payoffs": [[0.0, 1.0], [-1.0, 0.0]],
        "term": gd.losses.r1(1.0), "run": gd.solve(flow(), "euler", h=0.1, steps=2), "z": 0.1, "blocks": None, "P": v,
        "layout": game.layout, "linearisation": gd.spectrum.linearise(flow(), game.state()), "g": lambda x: 0.5 * x,
    }  # fmt: skip


def callables(package):
    module = importlib.import_module(f"gamedyn.{package}")
    for name in module.__all__:
        found = getattr(module, name)
        if callable(found) and name not in SLOW and not (inspect.isclass(found) and issubclass(found, BaseException)):
            yield name, found


def parameters(found):
    target = getattr(found, "make", found)  # of a family of games
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return []
    return [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def tried(found, given):
    """Whether a call ends as it should: in a result or an error of ours; else what it ends in."""
    silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), silent[0], silent[1]:
        warnings.simplefilter("ignore")
        try:
            found(**given)
        except GamedynError:
            return ""
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:80]}"
    return ""


def calls(package, suit):
    for name, found in callables(package):
        known = parameters(found)
        if inspect.isabstract(found) or any(p.default is p.empty and p.name not in suit for p in known):
            continue
        base = {p.name: suit[p.name] for p in known if p.default is p.empty and p.name in suit}
        for p in known:
            for label, make in ODD.items():
                if p.name == "execution" or (label == "10^400" and "int" in str(p.annotation)):  # minutes, or for ever
                    continue
                yield name, p.name, label, found, {**base, p.name: make()}


@pytest.mark.parametrize("package", [*PACKAGES, *THEORY])
def test_few_end_in_anothers_error(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "x" is a file's name, too
    suit, count, raw = suited(), 0, collections.Counter()
    for name, argument, label, found, given in calls(package, suit):
        count += 1
        if ending := tried(found, given):
            raw[f"{name}({argument}={label}): {ending}"] += 1
    assert count > 20
    assert sum(raw.values()) <= MOST * count, (f"{sum(raw.values())} of {count}", sorted(raw)[:20])


def test_an_error_that_no_argument_explains_comes_through():
    # rejects: naming `method`, which is text as its annotation asks, or an argument of some function on the way
    game = gd.games.gan(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    batches = iter([(torch.ones(4, 2), torch.ones(4, 2)), (torch.ones(4, 1), torch.ones(4, 2))])
    with pytest.raises(RuntimeError, match="size"):
        gd.solve_ensemble(gd.flows.gradient(game), "euler", h=[0.1, 0.2], steps=2, batches=batches)


def test_text_is_named_where_the_error_speaks_of_it():
    with pytest.raises(gd.ArgumentError, match="device: expected"):
        gd.games.bilinear(device="x")


def test_a_value_that_cannot_be_looked_at_hides_no_error():
    # rejects: NotImplementedError from the length of a scripted module in the place of what went wrong
    class Unlooked:
        def __len__(self):
            raise NotImplementedError

    def failing(x):
        raise KeyError("the cause")

    with pytest.raises(KeyError, match="the cause"):
        bordered(failing)(Unlooked())


def test_methods_of_flows_that_functions_return_explain_themselves_too():
    # rejects: a border around the public base class alone, whose subclasses' own methods stay outside of it
    hot = {"velocity", "penalties", "project", "point_of", "coordinates_of"}
    made = [
        gd.flows.clipped(flow(), norm=1.0),
        gd.flows.projected(flow(), gd.flows.clip(1.0, of="D")),
        gd.flows.adam(flow(), a1=0.1, a2=0.01),
        gd.flows.noisy(flow(), 0.1),
        gd.flows.replicator([[0.0, -1.0], [1.0, 0.0]]),
    ]
    own = {
        f"{type(f).__name__}.{name}": method
        for f in made
        for name, method in vars(type(f)).items()
        if inspect.isfunction(method) and not name.startswith("_") and name not in hot
    }
    assert len(own) >= 5
    assert [name for name, method in own.items() if not hasattr(method, "__bordered__")] == []
