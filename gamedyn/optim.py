"""The face for existing training loops: a game's integrator as a `torch.optim.Optimizer`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from gamedyn._lib.border import border
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core import Game
from gamedyn.core.ambient import sheltered, shielded
from gamedyn.core.randomness import RandomState
from gamedyn.flows import Flow, GradientFlow
from gamedyn.flows._types import of_flow
from gamedyn.integrators import stepper
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.solve import refuse_noise
from gamedyn.jacobian import FrozenField

if TYPE_CHECKING:
    from gamedyn.losses import Term
    from gamedyn.methods import Method

__all__ = ["GameOptimizer"]

Closure = Callable[[], Mapping[str, Tensor]]
EXTRA = "game"  # where a state_dict keeps what torch's own optimisers do not have
KEPT = ("state", "param_groups", "method", "layout", "steps", "batch_id", "rates", "memory")


class GameOptimizer(torch.optim.Optimizer):
    """Steps `v_i = -lr_i grad_i loss_i` by an integrator, with h = 1, on the user's own modules.

    One parameter group per player, with "name" and "lr", so that torch's schedulers apply. A method that
    remembers field values needs equal steps: it refuses learning rates that change after its first step.
    The first step evaluates the closure three times more, to check it.

    Args:
        players: modules or floating-point tensors by name; of a module, the parameters that require grad.
        method: a name, or any method object.
        lr: learning rate, one for all or by player; 0 holds a player still.
        terms: penalty terms (`gamedyn.losses`). They get no batch: `r1(weight, real=lambda batch: x)`.
        flow: what is stepped, a function of the gradient flow: `lambda f: flows.clipped(f, norm=1.0)`, or `projected`,
            `mirror_descent`, `f.with_intervals(r1=16)`, one in the other; None: the gradient flow itself.
        parallel: for several processes: `gamedyn.data_parallel`, which makes the game's losses the means over ranks.
        options: of the method's stepper, such as `solver`.

    Raises:
        ArgumentError: for players that are no game, a learning rate below 0, something that is no term.
        UnknownNameError: for an unknown method, or a player that is not there.

    Source: Qin et al. 2020 (ODE-GAN), algorithm 1, for Runge-Kutta steps in place of an optimiser's.

    Example:
        >>> x, y = torch.ones(1), torch.ones(1)
        >>> optimizer = GameOptimizer({"x": x, "y": y}, "rk4", lr=0.1)
        >>> losses = optimizer.step(lambda: {"x": (x * y).sum(), "y": -(x * y).sum()})
        >>> x, y
        (tensor([0.8952]), tensor([1.0948]))
    """

    _step_supports_amp_scaling = True  # so that GradScaler calls `step`, which refuses it by name

    @shielded
    def __init__(
        self,
        players: Mapping[str, nn.Module | Tensor],
        method: str | Method,
        *,
        lr: float | Mapping[str, float],
        terms: Sequence[Term] = (),
        flow: Callable[[GradientFlow], Flow] | None = None,
        parallel: Callable[[Game], Game] | None = None,
        **options: Any,
    ) -> None:
        self._made = False
        if not hasattr(players, "keys"):
            got = type(players).__name__
            raise ArgumentError("players", "a dict of modules or tensors by player", got, 'such as {"G": G, "D": D}')
        game = Game(players, self._losses)
        self._game = game = game if parallel is None else parallel(game)
        self._integrator = stepper(method, **options)
        rates = _by_player(game, lr)
        mine = [
            [p] if isinstance(p, Tensor) else [q for q in p.parameters() if q.requires_grad]
            for p in game.players.values()
        ]
        groups = [{"params": own, "name": n, "lr": r} for own, n, r in zip(mine, game.players, rates, strict=True)]
        super().__init__(groups, {})
        self._flow = _rated(game, rates, terms)
        self._stepped: Flow = self._flow if flow is None else _made_of(self._flow, flow)
        refuse_noise(self._stepped, self._integrator)
        self._field = FrozenField(self._stepped, game.state().buffers)
        self._own: list[Tensor] = [q for own in mine for q in own]
        self._tensors = [(i, p) for i, p in enumerate(game.players.values()) if isinstance(p, Tensor)]
        self._modes: list[bool] = []
        self._closure: Closure | None = None
        self._autocast: torch.dtype | None = None
        self._memory: Any = None
        self._given: Any = None
        self._tried = False
        self._made = True
        self.steps = 0
        """Steps done."""

    def step(self, closure: Closure | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        """One step of the method.

        Args:
            closure: a function without arguments that calls the players' modules and returns the dict of losses
                by player, without calling `backward`. It is called at every stage, on the batch that it closes
                over; what it draws from torch's default generators is the same each time.

        Returns:
            The losses at the first evaluation, detached.

        Raises:
            ArgumentError: if the closure is not that, `GradScaler` makes the call, the modules are no longer what
                the optimiser was made with, or a learning rate cannot be read.
            SolveError: if the result is not finite or a stage does not converge. Parameters and buffers are then
                as before, and the method starts anew.
        """
        self._refuse_scaler()
        if not callable(closure):
            remedy = "optimizer.step(closure), where closure() returns the dict of losses; do not call backward"
            raise ArgumentError("closure", "a function without arguments", closure, remedy)
        self._refuse_changed_players()
        kind = self._game.device.type
        inside = torch.is_autocast_enabled(kind)
        self._closure, self._autocast = closure, torch.get_autocast_dtype(kind) if inside else None
        try:
            with sheltered(), torch.no_grad():  # the closure alone is autocast: sums of stages need their own precision
                return self._advanced()
        finally:
            self._closure = None
            if inside:
                torch.clear_autocast_cache()  # the parameters have other values now

    def restart(self) -> None:
        """Forget what the method remembers: the next step is its first, and may have other learning rates."""
        self._memory = self._given = None

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, but the modules' own state_dict: the method's memory is copied."""
        memory = self._given if self._memory is None else self._memory
        own = {
            "method": self._method(),
            "layout": self._game.layout.signature,
            "steps": self.steps,
            "batch_id": self._field.batch_id,
            "rates": list(self._flow.rates.values()),
            "memory": _copied(memory),
        }
        return {**super().state_dict(), EXTRA: own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()` of the same method and players.

        Raises:
            ArgumentError: if it is of another optimiser, method or game.
        """
        own = state_dict.get(EXTRA) if isinstance(state_dict, Mapping) else None
        if not isinstance(own, Mapping) or not {*KEPT} <= {*own, *state_dict}:
            got = f"one with {[*state_dict]}" if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ArgumentError("state_dict", "one that a GameOptimizer gave", got, "optimizer.state_dict() gives one")
        if own["method"] != self._method():
            raise ArgumentError("state_dict", f"one of the same method ({self._method()})", own["method"])
        if [tuple(x) for x in own["layout"]] != [tuple(x) for x in self._game.layout.signature]:
            raise ArgumentError("state_dict", f"one of the same players, {self._game!r}", "one of another game")
        super().load_state_dict({k: v for k, v in state_dict.items() if k != EXTRA})
        self.steps, self._field.batch_id = own["steps"], own["batch_id"]
        self._flow.take(own["rates"])
        self._memory, self._given = None, _copied(own["memory"], self._game.device)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused: the players are given when the optimiser is made.

        Raises:
            ArgumentError: always.
        """
        if self._made:
            raise ArgumentError("param_group", "none", "another one", "make a new optimiser, with all players")
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        raise ArgumentError("optimizer", "its state_dict, to be kept or copied", "the object itself")

    def _advanced(self) -> dict[str, Tensor]:
        field = self._field
        self._follow_modes()
        point: Any = field.point
        torch._foreach_copy_(field.leaves, self._own)  # views of the point
        point.copy_(self._stepped.coordinates_of(point))
        y = point if self._integrator.in_place else point.clone()
        buffers = [b for _, _, b in self._game.binding.own_buffers()]
        field.buffers = tuple([b.detach().clone() for b in buffers])
        try:
            if not self._tried:
                self._try(y)
            h = self._take_rates()
            memory = self._first_memory(y, h) if self._memory is None else self._memory
            self._memory = None  # a memory is used once: whatever fails now, the method starts anew
            field.begin_step(None, self.steps)
            with field.session():
                y, memory, info = self._integrator.step(field, float(self.steps), y, h, memory)
            self._refuse_backward()
            self._refuse_failure(y, info.status)
            if self._stepped.projects:
                y, memory = self._stepped.project(y), self._integrator.moved(memory)
        except BaseException as error:
            if isinstance(error, Exception):
                self._refuse_backward(error)
            raise
        point.copy_(self._stepped.point_of(y))
        self._write(field.leaves)
        for own, value in zip(buffers, field.buffers, strict=True):
            own.copy_(value)
        self._memory, self._given = memory, None
        self.steps += 1
        return dict(zip(field.names, field.losses, strict=True))

    def _write(self, leaves: Sequence[Tensor]) -> None:
        """Put the players where the step has led; those with the learning rate 0 stay, to the bit."""
        moved = [bool(rate) for rate in self._flow.rates.values()]
        pairs = [
            pair
            for own, at in zip(moved, self._game.layout.leaf_slices, strict=True)
            if own
            for pair in zip(self._own[at], leaves[at], strict=True)
        ]
        if pairs:
            torch._foreach_copy_([own for own, _ in pairs], [leaf for _, leaf in pairs])

    def _losses(self, *players: Any) -> Mapping[str, Tensor]:
        """What the game calls its losses: the closure, while the modules hold a stage's parameters."""
        call: Any = self._closure
        if self._autocast is None and not self._tensors:
            values = call()
        else:
            with self._around(players):
                values = call()
        if not isinstance(values, Mapping) or values.keys() != self._game.players.keys():
            got = str(list(values)) if isinstance(values, Mapping) else type(values).__name__
            raise ArgumentError("closure", f"a dict with one loss for each of {list(self._game.players)}", got)
        for name, x in values.items():
            if not isinstance(x, Tensor) or x.dim():
                got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
                raise ArgumentError("closure", f"a scalar tensor as loss of {name!r}", got, "take a mean or a sum")
        return values

    def _around(self, players: Sequence[Any]) -> contextlib.ExitStack:
        """What the closure is called in: the caller's autocast, and tensor players at a stage's values."""
        stack = contextlib.ExitStack()
        if self._autocast is not None:
            stack.enter_context(torch.autocast(self._game.device.type, dtype=self._autocast))
        if self._tensors:
            stack.enter_context(_Standing([(own, players[i]) for i, own in self._tensors]))
        return stack

    def _try(self, y: Tensor) -> None:
        """Evaluate three times before the first step: what the closure returns, and whether it is a function."""
        field, random = self._field, RandomState(self._game.device)
        try:
            field.open(y, None, float(self.steps))
            self._refuse_backward()
        except ArgumentError as error:
            if error.expected.startswith("a function that takes") and error.__cause__ is not None:
                raise error.__cause__  # noqa: B904
            if error.argument.startswith("losses"):
                remedy = error.remedy
                if str(error.got).startswith("two evaluations"):
                    remedy = "draw the batch before the closure; noise too, unless it comes from a default generator"
                raise ArgumentError("closure", error.expected, error.got, remedy) from error
            if error.argument.startswith("term "):
                remedy = "terms get no batch here; let them close over it: r1(weight, real=lambda batch: x)"
                raise ArgumentError("terms", f"{error.argument}: {error.expected}", error.got, remedy) from error
            raise
        finally:
            random.restore()
        field.randomness = random.kinds  # a later closure may draw where this one does not: always replay
        self._tried = True

    def _take_rates(self) -> float:
        """The step h, with the flow's rates set so that `h rate_i` is player i's learning rate."""
        now = list(self._flow.rates.values())
        lr = [_rate(f"lr of {group['name']!r}", group["lr"]) for group in self.param_groups]
        divides = self._integrator.divides_rates
        if divides and not all(lr):
            remedy = "let a warm-up start above 0"
            raise ArgumentError("lr", f"learning rates above 0 for {self._method()}", self._shown(lr), remedy)
        if lr == now:
            return 1.0
        memory = self._given if self._memory is None else self._memory
        if divides or not any(isinstance(x, Tensor) for x in tree_leaves(memory)):
            self._flow.take(lr)
            return 1.0
        ratios = [b / a if a else math.nan for a, b in zip(now, lr, strict=True) if a or b]
        equal = all(math.isclose(r, ratios[0], rel_tol=1e-9) for r in ratios)
        if self._integrator.changes_h and equal and ratios[0] > 0:
            return ratios[0]
        what = "all changed by one factor" if self._integrator.changes_h else "its steps must be equal"
        remedy = f"{self._method()} remembers earlier steps: forget them with restart(), or use a one-step method"
        raise ArgumentError(
            "lr", f"the learning rates it began with, {self._shown(now)} ({what})", self._shown(lr), remedy
        )

    def _first_memory(self, y: Tensor, h: float) -> Any:
        random = RandomState(self._game.device)
        memory = self._integrator.init(self._field, float(self.steps), y, h)
        random.restore()
        return memory if self._given is None else _copied(self._given)

    def _follow_modes(self) -> None:
        """Notice `train()` and `eval()` between steps."""
        self._field.follow_modes()

    def _refuse_scaler(self) -> None:
        left = [self.__dict__.pop(name, None) for name in ("grad_scale", "found_inf")]
        if any(x is not None for x in left):
            remedy = "gradients are taken inside the step; use bfloat16, which needs no loss scaling"
            raise ArgumentError("scaler", "no loss scaling: optimizer.step(closure)", "a torch.amp.GradScaler", remedy)

    def _refuse_changed_players(self) -> None:
        point, remedy = (
            self._field.point,
            "make a new optimiser, which remembers nothing of earlier steps",
        )
        own = self._own[0]
        if own.device != point.device or own.dtype != point.dtype:
            got = f"{own.dtype} on {own.device}"
            raise ArgumentError("players", f"parameters in {point.dtype} on {point.device}, as before", got, remedy)
        try:
            self._game.refuse_changes(quick=True)
        except ArgumentError as error:
            raise ArgumentError(error.argument, error.expected, error.got, remedy) from error

    def _refuse_backward(self, cause: BaseException | None = None) -> None:
        leaves = self._field.leaves
        if any(x.grad is not None for x in leaves):
            for x in leaves:
                x.grad = None
            remedy = "return the losses; the step takes the gradients that its method needs"
            raise ArgumentError("closure", "a function that does not call backward", "one that does", remedy) from cause

    def _refuse_failure(self, y: Tensor, status: str) -> None:
        finite = math.isfinite(float(torch.linalg.vector_norm(y, math.inf)))
        if status == "ok" and finite:
            return
        what = f"a stage failed: {status}" if finite else "the result is not finite"
        losses = ", ".join(f"{n}: {float(x):g}" for n, x in zip(self._field.names, self._field.losses, strict=False))
        lr = self._shown([group["lr"] for group in self.param_groups])
        raise SolveError(
            f"step {self.steps + 1} of {self._method()}: {what} (losses at its first evaluation {losses}; lr {lr}). "
            "Parameters and buffers are as before the step. A finite loss points to a learning rate beyond the "
            "method's stability limit: see gamedyn.spectrum.stable_steps"
        )

    def _method(self) -> str:
        return label(self._integrator.method)

    def _shown(self, lr: Sequence[float]) -> str:
        return "{" + ", ".join(f"{n}: {float(r):g}" for n, r in zip(self._game.players, lr, strict=True)) + "}"


class _RatedFlow(GradientFlow):
    """A gradient flow whose rates are set from outside, step by step."""

    def take(self, rates: Sequence[float]) -> None:
        self._rates.update(zip(self.game.players, rates, strict=True))
        for player, rate in self._rates.items():
            self._factors[player].fill_(-rate)


class _Standing(TorchFunctionMode):
    """Puts tensors in others' place in every operation: a tensor player has no slot that could be swapped."""

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._by_id = {id(old): new for old, new in pairs}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(lambda x: self._by_id.get(id(x), x), (args, kwargs or {}))
        return func(*args, **kwargs)


def _rated(game: Game, rates: Sequence[float], terms: Sequence[Term]) -> _RatedFlow:
    by_player = dict(zip(game.players, rates, strict=True))
    if not isinstance(terms, Sequence):
        raise ArgumentError("terms", "a sequence of terms", terms, "terms=(gamedyn.losses.squared_gradient(0.02),)")
    flow = GradientFlow(game, by_player, {})
    for term in terms:
        flow = flow.with_term(term)
    return _RatedFlow(game, by_player, flow.terms)


def _made_of(base: GradientFlow, made: Callable[[GradientFlow], Flow]) -> Flow:
    """The flow that a user makes of the gradient flow."""
    flow: Flow = of_flow(made(base))
    root: Any = flow
    while hasattr(root, "inner"):
        root = root.inner
    if getattr(root, "_factors", None) is not base._factors:
        remedy = "learning rates are the optimiser's: lr={'G': 0.1, ...}; rates of modules are for gamedyn.solve"
        raise ArgumentError("flow", "a flow made of the one it is given, at its rates", repr(flow), remedy)
    if flow.game.layout.signature != base.game.layout.signature or flow.declared_h not in (None, 1.0):
        remedy = "a flow with a state of its own, or with a step of its own, is stepped by gamedyn.solve"
        raise ArgumentError("flow", "a flow of the same players", repr(flow), remedy)
    return flow


def _by_player(game: Game, lr: float | Mapping[str, float]) -> list[float]:
    given = dict(lr) if isinstance(lr, Mapping) else dict.fromkeys(game.players, lr)
    for name in given:
        game.layout.place(name)
    missing = [name for name in game.players if name not in given]
    if missing:
        raise ArgumentError("lr", f"a learning rate for each of {list(game.players)}", f"none for {missing}")
    return [_rate(f"lr of {name!r}", given[name]) for name in game.players]


def _rate(argument: str, value: Any) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(rate := float(value)) and rate >= 0:
            return rate
    raise ArgumentError(argument, "a finite number of at least 0", value)


def _copied(memory: Any, device: torch.device | None = None) -> Any:
    return tree_map(lambda x: x.detach().to(device, copy=True) if isinstance(x, Tensor) else x, memory)


border(globals())
