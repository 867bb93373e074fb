"""torch.optim's classes as steppers: discrete maps with one evaluation a step, no R(z) and no order.

The optimiser gets what it would get in a loop of its own: the gradient of each player's loss, and the
player's learning rate h * rate_i. So a rate stays a factor of the learning rate for the adaptive ones too,
which would divide it out of a gradient that carried it. What it remembers is the method's memory.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gamedyn._lib.checks import known_options
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Delegated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.core import VectorField
    from gamedyn.integrators.drive.run import Run

__all__ = ["TorchOptimStepper", "preconditioner", "torch_optim_methods"]

LIBRARY = "torch.optim"
REFUSED = {
    "LBFGS": "it evaluates the losses itself, many times a step, through a closure",
    "SparseAdam": "it takes sparse gradients alone, and a game's are dense",
}
NOT_OPTIONS = ("self", "params", "lr", "maximize", "differentiable", "capturable")
PLACE_DEPENDENT = ("ASGD", "Adafactor")
"""Classes whose step depends on the parameters themselves, even without weight decay."""
SIGN_ALONE = ("Rprop",)
"""Classes that look at signs alone: a gradient that is nan has none, and they would go on as if it were 0."""


def torch_optim_methods() -> tuple[str, ...]:
    """The classes of the installed torch.optim that can be stepped, with their prefix.

    Example:
        >>> "torch.optim:Adam" in torch_optim_methods()
        True
    """
    return tuple(sorted(f"{LIBRARY}:{name}" for name in _classes() if name not in REFUSED))


def _classes() -> dict[str, type[torch.optim.Optimizer]]:
    base = torch.optim.Optimizer
    found = {name: getattr(torch.optim, name) for name in dir(torch.optim)}
    return {k: c for k, c in found.items() if isinstance(c, type) and issubclass(c, base) and c is not base}


class TorchOptimStepper(Stepper):
    """Steps `torch.optim:<Class>`: learning rate `h rate_i`, gradient `-v_i / rate_i`; one group per player.

    Options are the keyword arguments of the class, without those that the solve decides (lr, maximize,
    differentiable, capturable). All players' gradients are evaluated at the same point. Of an ensemble every member
    has groups, and a state, of its own. Memory: the optimiser's own state, parameter tensor by parameter tensor, and
    its options.

    Raises:
        UnknownNameError: if torch.optim has no such class, or the class no such option.
        ArgumentError: for a class that cannot be stepped so, or an option with a bad value.
    """

    takes: ClassVar[type] = Delegated
    variational: ClassVar[bool] = False
    divides_rates: ClassVar[bool] = True

    def __init__(self, method: Delegated) -> None:
        if method.method in REFUSED:
            remedy = f"known: {', '.join(torch_optim_methods())}"
            raise ArgumentError(
                "method", f"a class that can be stepped ({REFUSED[method.method]})", method.name, remedy
            )
        if method.name not in torch_optim_methods():
            raise UnknownNameError("method", method.name, torch_optim_methods())
        self.method, self._class = method, _classes()[method.method]
        if "lr" in method.options:
            remedy = "player i's learning rate is h * rate_i: gamedyn.solve(..., h=...), gradient(game, rates={...})"
            raise ArgumentError("lr", f"no lr for {method.name}", method.options["lr"], remedy)
        taken = [name for name in inspect.signature(self._class).parameters if name not in NOT_OPTIONS]
        known_options(method.name, method.options, taken)
        defaults = self._made([{"params": [torch.zeros(1, 1)], "lr": 1.0}]).defaults
        self._kept = {k: _plain(v) for k, v in defaults.items() if k not in (*NOT_OPTIONS, "foreach", "fused")}
        self._owner: VectorField | None = None

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Whether it belongs to torch.optim."""
        return bool(method.library == LIBRARY)

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """The optimiser's state before its first step."""
        self._bound(field)
        self._point.copy_(y)
        fresh = self._made(self._groups(field))  # some classes fill their state when they are made
        return {"state": [dict(fresh.state.get(p, {})) for p in self._leaves], "options": self._kept, "begun": False}

    def started(self, memory: Any) -> bool:
        """Whether a step has made the state whole."""
        return bool(memory["begun"])

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation."""
        self._bound(field)
        memory = self._advance(field, y, field(t, y, self._gradient), h, memory)
        return self._point.clone(), memory, OK

    def displacement(
        self, field: VectorField, y: Tensor, v: Tensor, h: float | Tensor, memory: Any, player: int | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The step's vector `y+ - y` for a velocity that is already known, (n,), and the memory.

        Of one player alone, by its place, the others have no gradient: neither they nor what is remembered of them
        change. Where the step does not depend on y it starts from 0, so that nothing cancels.
        """
        self._bound(field)
        placed = self.method.method in PLACE_DEPENDENT or self._optimiser.defaults.get("weight_decay")
        base = y if placed else torch.zeros_like(y)
        memory = self._advance(field, base, v, h, memory, player)
        return self._point - base, memory

    def _advance(
        self, field: VectorField, base: Tensor, v: Tensor, h: float | Tensor, memory: Any, player: int | None = None
    ) -> dict[str, Any]:
        """Let the optimiser step from `base`; the result lies in `_point`."""
        optimiser, keep = self._optimiser, self.method.options.get("fused")
        if memory["options"] != self._kept:
            raise ArgumentError("resume", f"a run with the options {self._kept}", f"{memory['options']}")
        self._point.copy_(base)
        groups = iter(optimiser.param_groups)
        for name, at in self._entries:
            rate = field.rates[name]
            for lr in self._each(h * rate):
                next(groups)["lr"] = lr
            part = self._gradient[..., at]
            if isinstance(rate, Tensor):  # of a schedule, where 0 holds still, or of every member
                part.copy_(torch.where(rate == 0, 0.0, v[..., at] / -rate).view_as(part))
            elif rate:
                torch.div(v[..., at], -rate, out=part)
            else:
                part.zero_()
        for leaf, gradient, state, i in zip(self._leaves, self._gradients, memory["state"], self._whose, strict=True):
            leaf.grad = gradient if player in (None, i) else None
            if isinstance(state.get("step"), Tensor) and not keep:
                state["step"] = state["step"].cpu()  # where torch.optim keeps it; loading may have moved it
            optimiser.state[leaf] = state
        optimiser.step()
        if self.method.method in SIGN_ALONE:
            self._point.add_(self._gradient, alpha=0)  # 0 * nan is nan
        return {"state": [dict(optimiser.state[p]) for p in self._leaves], "options": memory["options"], "begun": True}

    def _bound(self, field: VectorField) -> torch.optim.Optimizer:
        """The optimiser on a vector of this stepper's own, made once per field."""
        if self._owner is not field:
            self._point, self._gradient = torch.zeros_like(room := field.stages(1)[0]), room
            n = field.layout.n
            self._members = [field.layout.views(row) for row in self._point.view(-1, n)]
            self._leaves = [leaf for member in self._members for leaf in member]
            self._whose = [leaf.player for leaf in field.layout.leaves] * len(self._members)
            self._gradients = [g for row in self._gradient.view(-1, n) for g in field.layout.views(row)]
            self._entries = [(name, field.layout.entries(at)) for name, at in field.rated]
            self._optimiser = self._made(self._groups(field))
            self._owner = field
        return self._optimiser

    def _groups(self, field: VectorField) -> list[dict[str, Any]]:
        """Of every player, one for each member."""
        return [{"params": member[at], "lr": 1.0} for _, at in field.rated for member in self._members]

    def _each(self, lr: float | Tensor) -> list[float]:
        """A learning rate of every member."""
        if isinstance(lr, Tensor):
            return [float(x) for x in lr.expand(len(self._members), 1).flatten().tolist()]
        return [float(lr)] * len(self._members)

    def _made(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        try:
            return self._class(groups, **self.method.options)
        except (TypeError, ValueError, RuntimeError) as error:
            got = ", ".join(f"{k}={v!r}" for k, v in self.method.options.items()) or "its defaults"
            raise ArgumentError(
                "options", f"options and players that {self.method.name} takes", got, str(error)
            ) from error


def _plain(value: Any) -> Any:
    """An option as a number, a word or a tuple of them, to be kept in a file."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return tuple(_plain(v) for v in value) if isinstance(value, (tuple, list)) else value


def preconditioner(run: Run) -> Tensor:
    """The diagonal P that an adaptive optimiser has arrived at: frozen, its step is one of `y' = P^-1 v(y)`.

    `P = sqrt(s) + eps` with s the optimiser's second moment: of Adam and AdamW divided by `1 - beta2^step`
    (AMSGrad: the largest so far), of RMSprop the running mean of the squared gradient (centred: less the
    squared mean), of Adagrad the sum. The spectrum of `P^-1 J` is the theory that such a map has: against
    Euler's region for RMSprop and Adagrad, against that of heavy ball with friction beta1 for Adam. It holds
    where P changes slowly; at an exact stationary point s decays to 0 and no linearisation exists.

    Args:
        run: a run of torch.optim:Adam, AdamW, RMSprop or Adagrad, of at least one step.

    Returns:
        P, positive, in the order of the state, (n,).

    Raises:
        ArgumentError: for a run of another method, or of no step.

    Source: Kingma, Ba 2015, algorithm 1; Cohen et al. 2022, arXiv:2207.14484, section 2 (frozen preconditioner).

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> run = gd.solve(flow, "torch.optim:RMSprop", h=0.1, steps=1)
        >>> preconditioner(run)  # sqrt(0.01 * 1^2)
        tensor([0.1000, 0.1000], dtype=torch.float64)
    """
    library, _, name = str(run.stats.get("method", "")).partition(":")
    if library != LIBRARY or name not in _MOMENTS:
        expected = "a run of " + ", ".join(f"{LIBRARY}:{n}" for n in _MOMENTS)
        raise ArgumentError("run", expected, run.stats.get("method"))
    options, states = run.memory["options"], run.memory["state"]
    if not all(states) or run.step == 0:
        raise ArgumentError("run", "a run of at least one step", f"{run.step} steps")
    leaves = [_MOMENTS[name](state, options).sqrt().add(options["eps"]) for state in states]
    return run.state.layout.flat(leaves)


def _adam(state: Mapping[str, Any], options: Mapping[str, Any]) -> Tensor:
    moment: Tensor = state["max_exp_avg_sq" if options["amsgrad"] else "exp_avg_sq"]
    correction: float = 1 - options["betas"][1] ** float(state["step"])
    return moment / correction


def _rmsprop(state: Mapping[str, Any], options: Mapping[str, Any]) -> Tensor:
    moment: Tensor = state["square_avg"]
    return moment - state["grad_avg"] ** 2 if options["centered"] else moment


def _adagrad(state: Mapping[str, Any], options: Mapping[str, Any]) -> Tensor:
    total: Tensor = state["sum"]
    return total


_MOMENTS = {"Adam": _adam, "AdamW": _adam, "RMSprop": _rmsprop, "Adagrad": _adagrad}
