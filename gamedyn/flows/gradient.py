"""The gradient flow of a game, with rates and penalty terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.core import Game, Point, Velocity
from gamedyn.flows._types import Flow
from gamedyn.losses import GradientTerm, LossTerm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core import Request
    from gamedyn.losses import Term

__all__ = ["GradientFlow", "gradient"]


class GradientFlow(Flow):
    """`v_i = -rate_i grad_i (loss_i + terms of i)`. Immutable; see `gradient`.

    Attributes:
        rates: by player, in the game's order.
        terms: by name, in the order in which they joined.
    """

    def __init__(self, game: Game, rates: Mapping[str, float], terms: Mapping[str, Term]) -> None:
        super().__init__(game)
        self._rates, self.terms = dict(rates), dict(terms)
        place = game.layout.place
        self._inside = [(t, place(t.into)) for t in terms.values() if isinstance(t, LossTerm)]
        self._outside = [(t, place(t.of), place(t.into)) for t in terms.values() if isinstance(t, GradientTerm)]
        self._everyone = tuple(range(len(game.players)))
        self._factors = [torch.tensor(-float(rates[p]), dtype=game.dtype, device=game.device) for p in game.players]

    def __repr__(self) -> str:
        terms = "".join(f" + {t.weight:g} {name} into {t.into}" for name, t in self.terms.items())
        return f"GradientFlow({self.game!r}, rates={self.rates}{terms})"

    @property
    def rates(self) -> dict[str, float]:
        """By player, in the game's order."""
        return self._rates

    @property
    def law(self) -> str:
        """The gradient of each player's own loss, with its penalties."""
        penalties = f", loss_i with {', '.join(self.terms)}" if self.terms else ""
        return f"v_i = -rate_i grad_i loss_i{penalties}"

    @property
    def descends_losses(self) -> bool:
        """Each player its own."""
        return True

    @property
    def double_backward(self) -> bool:
        """Whether an evaluation differentiates a gradient."""
        return any(t.double_backward for t in self.terms.values())

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
            ArgumentError: if it is not a term, or its name is taken.
            UnknownNameError: if it names a player that the game lacks.
        """
        if not isinstance(term, (LossTerm, GradientTerm)):
            raise ArgumentError("term", "a term, such as gamedyn.losses.r1(1.0)", term)
        if term.name in self.parts:
            raise ArgumentError("term", f"a name other than {sorted(self.parts)}", term.name, "give it a name=")
        return GradientFlow(self.game, self.rates, {**self.terms, term.name: term})

    def with_weights(self, **weights: float) -> GradientFlow:
        """This flow with other weights for terms it has.

        Raises:
            UnknownNameError: for a term that it lacks.
        """
        for name in weights:
            if name not in self.terms:
                raise UnknownNameError("term", name, self.terms or ("none",))
        terms = {n: t.scaled(float(weights[n])) if n in weights else t for n, t in self.terms.items()}
        return GradientFlow(self.game, self.rates, terms)

    @property
    def parts(self) -> tuple[str, ...]:
        """The game itself, and every term by its name."""
        return ("game", *self.terms)

    def velocity(self, point: Point, request: Request) -> Velocity:
        """One shared forward, one pruned backward per player; a gradient that a term has made is used again."""
        if not self.terms and request.members is None and request.factors is None:
            return self._answered(point, request, self.game.evaluate(point)[0])
        layout, leaves = self.game.layout, point.leaves
        losses, inside = self._values(point, request)
        share = 1.0 if request.factors is None else request.factors.get("game", 0.0)
        totals = list(losses) if share == 1 else [x * share for x in losses]
        for (term, into), value in zip(self._inside, inside, strict=True):
            totals[into] = totals[into] + self._weight(term, request) * value
        made: dict[int, Sequence[Tensor]] = {}
        for rule, of, into in self._outside:
            unwanted = request.players is not None and into not in request.players
            if unwanted or (request.factors is not None and not request.factors.get(rule.name)):
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
        wanted = self._everyone if request.players is None else request.players
        out: list[Tensor] = []
        for i in wanted:
            factor = self._factor(i, request, totals[i])
            if made and i in made:
                own = made[i] if create_graph else [g.detach() for g in made[i]]
                out += [g * factor.reshape(-1, *[1] * (g.dim() - 1)) if factor.dim() else g * factor for g in own]
                continue
            keep = create_graph or i != wanted[-1]
            out += torch.autograd.grad(
                totals[i], point.leaves[at[i]], factor, retain_graph=keep, create_graph=create_graph,
                materialize_grads=True,
            )  # fmt: skip
        return Velocity(out, totals if losses is None else losses)

    def _factor(self, i: int, request: Request, like: Tensor) -> Tensor:
        """The cotangent of player i's loss: -rate, so that its gradient comes out as its velocity."""
        rate = request.rates.get(self.game.layout.players[i]) if request.rates else None
        factor = self._factors[i] if rate is None else -rate
        factor = factor if factor.dtype == like.dtype else factor.to(like.dtype)
        return factor if request.members is None else factor.expand(request.members.count)

    def _weight(self, term: Term, request: Request) -> float | Tensor:
        weight = request.weights.get(term.name, term.weight)
        return weight if request.factors is None else weight * request.factors.get(term.name, 0.0)

    def _values(self, point: Point, request: Request) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Losses and the terms evaluated with them; of shape (M,) each for an ensemble."""
        terms, members = [term.value for term, _ in self._inside], request.members
        if members is None:
            return self.game.evaluate(point, terms)

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
        rates: by player; 1 where none is given. A player's learning rate is h * rate (two time scales).

    Raises:
        UnknownNameError: for a rate of a player that the game lacks.
        ArgumentError: for a rate that is not positive and finite.

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
    given = dict(rates or {})
    for name in given:
        game.layout.place(name)
    return GradientFlow(game, {p: positive(f"rates[{p!r}]", given.get(p, 1.0)) for p in game.players}, {})
