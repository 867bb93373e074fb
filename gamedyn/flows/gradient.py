"""The gradient flow of a game, with rates and penalty terms."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.core import Game, Point
from gamedyn.core.evaluation import Velocity
from gamedyn.flows._types import Flow
from gamedyn.losses import GradientTerm, LossTerm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gamedyn.core.evaluation import Request
    from gamedyn.core.state import Layout, Leaf
    from gamedyn.losses import Term

__all__ = ["GradientFlow", "gradient", "refuse_unrated"]


class GradientFlow(Flow):
    """`v_i = -rate_i grad_i (loss_i + terms of i)`. Immutable; see `gradient`.

    Attributes:
        rates: by player, in the game's order.
        module_rates: by "player.module", where modules have a rate of their own.
        terms: by name, in the order in which they joined.
        intervals: by term, for those that act at intervals.
    """

    def __init__(
        self,
        game: Game,
        rates: Mapping[str, float],
        terms: Mapping[str, Term],
        intervals: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(game)
        self._rates = {p: float(rates[p]) for p in game.players}
        self._module_rates = {k: float(r) for k, r in rates.items() if k not in game.players}
        self._terms, self._intervals = dict(terms), dict(intervals or {})
        self._rated = _runs(game.layout, self._module_rates)
        place = game.layout.place
        self._inside = [(t, place(t.into)) for t in terms.values() if isinstance(t, LossTerm)]
        self._outside = [(t, place(t.of), place(t.into)) for t in terms.values() if isinstance(t, GradientTerm)]
        self._everyone = tuple(range(len(game.players)))
        all_rates = {**self._rates, **self._module_rates}
        self._factors = {k: torch.tensor(-r, dtype=game.dtype, device=game.device) for k, r in all_rates.items()}
        at = [next(i for i, own in enumerate(game.layout.leaf_slices) if x.start < own.stop) for _, x in self._rated]
        self._pieces = [[(k, x) for i, (k, x) in zip(at, self._rated, strict=True) if i == p] for p in self._everyone]

    def __repr__(self) -> str:
        each = {k: f" every {n} steps" for k, n in self._intervals.items()}
        terms = "".join(f" + {t.weight:g} {name}{each.get(name, '')} into {t.into}" for name, t in self.terms.items())
        return f"GradientFlow({self.game!r}, rates={ {**self.rates, **self.module_rates} }{terms})"

    @property
    def rates(self) -> dict[str, float]:
        """By player, in the game's order."""
        return self._rates

    @property
    def module_rates(self) -> dict[str, float]:
        """By "player.module", of modules with a rate of their own."""
        return self._module_rates

    @property
    def rated(self) -> list[tuple[str, slice]]:
        """Runs of leaves that have one rate, in the order of the leaves."""
        return self._rated

    @property
    def terms(self) -> dict[str, Term]:
        """By name, in the order in which they joined."""
        return self._terms

    @property
    def intervals(self) -> dict[str, int]:
        """By term, of those that act every so many steps alone."""
        return self._intervals

    @property
    def law(self) -> str:
        """The gradient of each player's own loss, with its penalties."""
        each = {k: f" (every {n} steps, {n} times)" for k, n in self._intervals.items()}
        penalties = f", loss_i with {', '.join(k + each.get(k, '') for k in self.terms)}" if self.terms else ""
        return f"v_i = -rate_i grad_i loss_i{penalties}"

    @property
    def descends_losses(self) -> bool:
        """Each player its own."""
        return True

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""
        return self.double_backward_in(None)

    def double_backward_in(self, step: int | None) -> bool:
        """Whether an evaluation in a step does."""
        return any(t.double_backward and self._times(name, step) for name, t in self.terms.items())

    @property
    def separates_players(self) -> bool:
        """Whether one player's part costs that player's gradient alone."""
        return True

    @property
    def scales(self) -> bool:
        """Always: every player's gradient is multiplied with its rate."""
        return True

    @property
    def linear_in_losses(self) -> bool:
        """Whether no term is a function of a whole gradient."""
        return not self._outside

    def with_term(self, term: Term) -> GradientFlow:
        """This flow with one more penalty term.

        Raises:
            ArgumentError: if it is not a term, or its name is in use.
            UnknownNameError: if it names a player that the game lacks.
        """
        if not isinstance(term, (LossTerm, GradientTerm)):
            raise ArgumentError("term", "a term, such as gamedyn.losses.r1(1.0)", term)
        if term.name in self.parts:
            raise ArgumentError("term", f"a name other than {sorted(self.parts)}", term.name, "give it a name=")
        return self._with({**self.terms, term.name: term}, self._intervals)

    def with_weights(self, **weights: float) -> GradientFlow:
        """This flow with other weights for terms it has.

        Raises:
            UnknownNameError: for a term that it lacks.
        """
        self._refuse_others(weights)
        terms = {n: t.scaled(float(weights[n])) if n in weights else t for n, t in self.terms.items()}
        return self._with(terms, self._intervals)

    def with_rates(self, rates: Mapping[str, float]) -> GradientFlow:
        """This flow with other rates, by player and "player.module"; 1 for players that are not named.

        Raises:
            UnknownNameError: for a player that the game lacks.
            ArgumentError: as `gradient`.
        """
        plain = gradient(self.game, rates)
        return GradientFlow(self.game, {**plain.rates, **plain.module_rates}, self.terms, self._intervals)

    def with_intervals(self, **intervals: int) -> GradientFlow:
        """This flow with terms that act every so many steps alone, with their weight as many times.

        Between they cost nothing. The flow that is solved changes from step to step; its mean over steps, which spectra
        and verdicts use, is that of the flow without intervals. A step in which a term acts sees k times its
        weight: a step size that is stable for the mean may not be for that step.

        Args:
            **intervals: by term, steps between; it acts in steps 0, k, 2k, ...; 1: in every step.

        Raises:
            UnknownNameError: for a term that it lacks.
            ArgumentError: for what is no positive whole number.

        Source: Karras et al. 2020, CVPR, appendix B (lazy regularisation).

        Example:
            >>> import gamedyn as gd
            >>> flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating"))
            >>> flow = flow.with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
            >>> lazy = flow.with_intervals(squared_gradient=16)
            >>> gd.solve(lazy, "euler", h=0.1, steps=32).stats["double_backward"]
            2
        """
        self._refuse_others(intervals)
        given = {**self._intervals, **{n: positive_int(f"intervals[{n!r}]", k) for n, k in intervals.items()}}
        return self._with(self.terms, {n: k for n, k in given.items() if k > 1})

    def _refuse_others(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.terms:
                raise UnknownNameError("term", name, self.terms or ("none",))

    def _with(self, terms: Mapping[str, Term], intervals: Mapping[str, int]) -> GradientFlow:
        made = type(self)(self.game, {**self._rates, **self._module_rates}, terms, intervals)
        made._rates, made._factors = self._rates, self._factors  # of an optimiser, which writes them
        return made

    def _times(self, name: str, step: int | None) -> int:
        """How often a term counts in a step: once, or as often as its interval is long, or not at all."""
        each = self._intervals.get(name, 1)
        return 1 if step is None or each == 1 else each if step % each == 0 else 0

    @property
    def parts(self) -> tuple[str, ...]:
        """The game itself, and every term by its name."""
        return ("game", *self.terms)

    def velocity(self, point: Point, request: Request) -> Velocity:
        """One shared forward, one pruned backward per player; a gradient that a term has made is used again."""
        ahead = () if request.create_graph or self._outside else self._wanted(request)
        if not self.terms and request.members is None and request.factors is None:
            return self._answered(point, request, self.game.evaluate(point, (), ahead)[0])
        layout, leaves = self.game.layout, point.leaves
        acting = [(term, into) for term, into in self._inside if self._times(term.name, request.step)]
        losses, inside = self._values(point, request, [term.value for term, _ in acting], ahead)
        share = 1.0 if request.factors is None else request.factors.get("game", 0.0)
        totals = list(losses) if share == 1 else [x * share for x in losses]
        for (term, into), value in zip(acting, inside, strict=True):
            totals[into] = totals[into] + self._weight(term, request) * value
        made: dict[int, Sequence[Tensor]] = {}
        for rule, of, into in self._outside:
            unwanted = request.players is not None and into not in request.players
            if unwanted or (request.factors is not None and not request.factors.get(rule.name)):
                continue
            if not self._times(rule.name, request.step):
                continue
            if of not in made:
                made[of] = _slope(losses[of], leaves[layout.leaf_slices[of]])
            penalty = rule.value(made[of], 0 if request.members is None else 1)
            totals[into] = totals[into] + self._weight(rule, request) * penalty
        made = {i: g for i, g in made.items() if totals[i] is losses[i]}
        return self._answered(point, request, tuple(totals), losses, made)

    def _answered(
        self,
        point: Point,
        request: Request,
        totals: tuple[Tensor, ...],
        losses: tuple[Tensor, ...] | None = None,
        made: Mapping[int, Sequence[Tensor]] | None = None,
    ) -> Velocity:
        """The velocities of the players asked for: one backward each, where their gradient has not been made."""
        at, create_graph = self.game.layout.leaf_slices, request.create_graph
        wanted, known = self._wanted(request), made or {}
        found: list[Sequence[Tensor]] = []
        for i in wanted:
            if i in known:
                found.append(known[i] if create_graph else [g.detach() for g in known[i]])
                continue
            total, rated = totals[i], len(self._pieces[i]) == 1
            # of one rate it is the cotangent of the loss: the gradient comes out as the velocity
            cotangent = self._factor(self._pieces[i][0][0], request, total) if rated else torch.ones_like(total)
            keep = create_graph or i != wanted[-1]
            found.append(torch.autograd.grad(
                total, point.leaves[at[i]], cotangent, retain_graph=keep, create_graph=create_graph,
                materialize_grads=True,
            ))  # fmt: skip
        self.game.settle()
        out: list[Tensor] = []
        for i, own in zip(wanted, found, strict=True):
            if len(self._pieces[i]) == 1 and i not in known:
                out += own
                continue
            for key, run in self._pieces[i]:
                factor = self._factor(key, request, totals[i])
                part = own[run.start - at[i].start : run.stop - at[i].start]
                out += [g * factor.reshape(-1, *[1] * (g.dim() - 1)) if factor.dim() else g * factor for g in part]
        return Velocity(out, totals if losses is None else losses)

    def _wanted(self, request: Request) -> tuple[int, ...]:
        return self._everyone if request.players is None else request.players

    def _factor(self, key: str, request: Request, like: Tensor) -> Tensor:
        """-rate, of a player or a module, so that a gradient comes out as a velocity."""
        rate = request.rates.get(key) if request.rates else None
        factor = self._factors[key] if rate is None else -rate
        factor = factor if factor.dtype == like.dtype else factor.to(like.dtype)
        return factor if request.members is None else factor.expand(request.members.count)

    def _weight(self, term: Term, request: Request) -> float | Tensor:
        weight = request.weights.get(term.name, term.weight)
        if self._intervals:
            weight = weight * self._times(term.name, request.step)
        return weight if request.factors is None else weight * request.factors.get(term.name, 0.0)

    def _values(
        self, point: Point, request: Request, terms: Sequence[Callable[..., Tensor]], ahead: Sequence[int]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Losses and the terms evaluated with them; of shape (M,) each for an ensemble."""
        members = request.members
        if members is None:
            return self.game.evaluate(point, terms, ahead)

        def once(leaves: list[Tensor], buffers: tuple[Tensor, ...], batch: Any) -> Any:
            return self.game.evaluate(Point(point.t, leaves, buffers, batch), terms)

        over = torch.func.vmap(once, in_dims=(0, 0, members.batch_dim), randomness="different")
        found: Any = over(list(point.leaves), tuple(point.buffers), point.batch)
        return found[0], found[1]

    @property
    def penalised(self) -> tuple[tuple[str, int], ...]:
        """Name of every penalty on a gradient, and the place of the player that sees it."""
        return tuple((rule.name, into) for rule, _, into in self._outside)

    def penalties(self, point: Point) -> list[Tensor]:
        """The values of the penalties on gradients, without weights, with their graphs."""
        losses, at = self.game.evaluate(point)[0], self.game.layout.leaf_slices
        return [rule.value(_slope(losses[of], point.leaves[at[of]]), 0) for rule, of, _ in self._outside]

    def check(self, batch: Any = None) -> None:
        """As `Flow.check`; the terms' values too.

        Raises:
            ArgumentError: as there, or for a term that cannot be evaluated or is not scalar.
        """
        self.game.check(batch, [term for term, _ in self._inside])


def _slope(loss: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
    """The gradient of a loss, to be differentiated again."""
    slope: Sequence[Tensor] = torch.autograd.grad(loss.sum(), leaves, create_graph=True, materialize_grads=True)
    return slope


def gradient(game: Game, rates: Mapping[str, float] | None = None) -> GradientFlow:
    """The flow in which every player descends its own loss: `v_i = -rate_i grad_i loss_i`.

    Args:
        game: the game.
        rates: by player; 1 where none is given. A player's learning rate is h * rate (two time scales). Parts of a
            module may have their own, by "player.module" with the module's name in the player ("G.encoder",
            "D.conv1.weight"): of two that apply the longer name holds.

    Raises:
        UnknownNameError: for a rate of a player that the game lacks.
        ArgumentError: for a rate that is not positive and finite, or of a part that no trainable parameter has.

    Example:
        >>> from gamedyn import games
        >>> flow = gradient(games.bilinear(), rates={"y": 4.0})
        >>> flow.rates
        {'x': 1.0, 'y': 4.0}
    """
    if not isinstance(game, Game):
        raise ArgumentError("game", "a Game", type(game).__name__, "make one: gamedyn.Game(players, losses)")
    if rates is not None and not hasattr(rates, "keys"):
        raise ArgumentError("rates", "a dict of rates by player", rates)
    given = {k: positive(f"rates[{k!r}]", r) for k, r in (rates or {}).items()}
    for key in given:
        refuse_unrated(game.layout, key)
    return GradientFlow(game, {**dict.fromkeys(game.players, 1.0), **given}, {})


def refuse_unrated(layout: Layout, key: str) -> None:
    """Refuse a name in rates that is neither a player's nor that of a part of one.

    Raises:
        UnknownNameError: for a player that the game lacks.
        ArgumentError: for a part without trainable parameters.
    """
    player = _player_of(layout, key)
    if player is None:
        layout.place(key)
    elif key != player and not any(_within(leaf, layout, key) for leaf in layout.leaves):
        own = sorted({leaf.name for leaf in layout.leaves if layout.players[leaf.player] == player})
        raise ArgumentError(f"rates[{key!r}]", f"a part of {player!r} with parameters, of {own}", key)


def _player_of(layout: Layout, key: str) -> str | None:
    """The player that a name in rates belongs to."""
    return max((p for p in layout.players if key == p or key.startswith(p + ".")), key=len, default=None)


def _within(leaf: Leaf, layout: Layout, key: str) -> bool:
    whole = f"{layout.players[leaf.player]}.{leaf.name}"
    return whole == key or whole.startswith(key + ".")


def _runs(layout: Layout, parts: Iterable[str]) -> list[tuple[str, slice]]:
    """Runs of leaves with one rate: its name, and their places."""
    longest = sorted(parts, key=len, reverse=True)
    named = [
        (leaf.player, next((k for k in longest if _within(leaf, layout, k)), layout.players[leaf.player]))
        for leaf in layout.leaves
    ]
    runs: list[tuple[str, slice]] = []
    for key, group in itertools.groupby(range(len(named)), key=lambda j: named[j]):
        places = list(group)
        runs.append((key[1], slice(places[0], places[-1] + 1)))
    return runs
