"""What kind of point is it? Stability, Nash and Stackelberg, each yes, no or undecided, with bounds and reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from gamedyn._lib.checks import positive, positive_int
from gamedyn.core.ambient import shielded
from gamedyn.core.point import length_scale
from gamedyn.flows import GradientFlow, gradient
from gamedyn.flows._types import FlowOfFlow
from gamedyn.flows.replicator import PopulationFlow
from gamedyn.jacobian import GameJacobian
from gamedyn.krylov import LinearOperator
from gamedyn.spectrum.equilibrium import admitted
from gamedyn.spectrum.linearise import FORMED_UP_TO
from gamedyn.spectrum.verdicts.answers import Answer
from gamedyn.spectrum.verdicts.flow_stability import FlowStability, flow_stability
from gamedyn.spectrum.verdicts.nash import nash, own_extents
from gamedyn.spectrum.verdicts.populations import population_nash
from gamedyn.spectrum.verdicts.stackelberg import stackelberg
from gamedyn.spectrum.verdicts.symmetries import scaling_symmetries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.spectrum.verdicts.extent import Extent

__all__ = ["Degeneracy", "Verdict", "verdict"]


@dataclass(frozen=True)
class Degeneracy:
    """Directions in which the linearisation says nothing.

    Attributes:
        name: in words.
        directions: how many.
    """

    name: str
    directions: int


@dataclass(frozen=True)
class Verdict:
    """Three independent answers about one point, and what they rest on.

    Attributes:
        stability: is every eigenvalue of the flow's J in the left half-plane? Of shares of strategies: of J on the
            simplex.
        nash: do all players' own Hessians, of their losses as the game gives them, make it a strict differential Nash
            equilibrium? Of a flow of populations: would no strategy gain? Undecided where no losses move the flow.
        nash_penalised: the same of the losses with the flow's penalties, which the players in fact descend; None
            where the flow has none or is no gradient flow.
        stackelberg: by leader: is it a strict differential Stackelberg equilibrium (of the game's losses)?
        stationary: whether |v| is below the tolerance. Where it is not, no answer is "yes".
        norm: |v|.
        flow: the evidence on stability: eigenvalues, abscissae, distance to the imaginary axis, condition numbers.
        law: what v is.
        own: by player, bounds of its own Hessian's eigenvalues; empty where no losses move the flow.
        own_penalised: the same with penalties.
        degenerate: directions in which nothing is decided, by name.
        n: parameters.
        formed: whether matrices were formed, and everything is known to rounding.
        products: Jacobian products used.
    """

    stability: Answer
    nash: Answer
    nash_penalised: Answer | None
    stackelberg: Mapping[str, Answer]
    stationary: bool
    norm: float
    law: str
    flow: FlowStability
    own: Mapping[str, Extent]
    own_penalised: Mapping[str, Extent] | None
    degenerate: tuple[Degeneracy, ...]
    n: int
    formed: bool
    products: int

    def answers(self) -> dict[str, Answer]:
        """All answers by name."""
        penalised = {} if self.nash_penalised is None else {"nash, with penalties": self.nash_penalised}
        leaders = {f"stackelberg, {p} leads": answer for p, answer in self.stackelberg.items()}
        return {"stability": self.stability, "nash": self.nash, **penalised, **leaders}

    def __str__(self) -> str:
        answers = self.answers()
        width = max(len(name) for name in answers)
        low, high = self.flow.numerical_abscissa
        near, far = self.flow.axis_distance
        worst = self.flow.conditions[0] if len(self.flow.conditions) else float("nan")
        lines = [
            f"J = dv/dy, {self.law}; stable: eigenvalues left of the imaginary axis",
            f"|v| = {self.norm:.3g} ({'stationary' if self.stationary else 'not stationary'}), {self.n} parameters",
            *[f"{name:<{width}}  {a.answer:<9}  {a.reason}" for name, a in answers.items()],
            f"numerical abscissa {_between(low, high)}",
            f"distance to the imaginary axis {_between(near, far)}",
            f"condition of the rightmost eigenvalue {worst:.3g}",
            *[f"degenerate: {d.name} ({d.directions})" for d in self.degenerate],
        ]
        risk = max(a.risk for a in answers.values())
        if risk:
            lines.append(f"bounds from random Lanczos starts: wrong with a probability of at most {risk:.0e} each")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the eigenvectors, for JSON."""
        values, residuals = self.flow.eigenvalues.values, self.flow.eigenvalues.residuals
        return {
            "answers": {
                k: {"answer": a.answer, "reason": a.reason, "bounds": dict(a.bounds), "risk": a.risk}
                for k, a in self.answers().items()
            },
            "law": self.law,
            "stationary": self.stationary,
            "norm": self.norm,
            "parameters": self.n,
            "formed": self.formed,
            "products": self.products,
            "abscissa": self.flow.abscissa,
            "numerical_abscissa": self.flow.numerical_abscissa,
            "axis_distance": self.flow.axis_distance,
            "eigenvalues": [[float(z.real), float(z.imag)] for z in values],
            "residuals": [] if residuals is None else [float(r) for r in residuals],
            "conditions": [float(c) for c in self.flow.conditions],
            "degenerate": [[d.name, d.directions] for d in self.degenerate],
        }


@shielded
def verdict(
    flow: Flow,
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    batches: Iterable[Any] | None = None,
    form: bool | None = None,
    stationary: float | None = None,
    k: int = 8,
    tol: float = 1e-6,
    basis: int = 80,
    risk: float = 1e-9,
    progress: bool = False,
    **options: Any,
) -> Verdict:
    """Whether a point is stable for its flow, a Nash equilibrium, a Stackelberg equilibrium: independent questions.

    Small problems are decided from the matrix, to rounding. Large ones as far as products can: growing eigenvalues and
    negative curvature are found and certified by their residuals; that there are none is claimed only where a
    definite symmetric part or Hessian excludes them; all else is "undecided", with what is known.

    Args:
        flow: the flow, penalties and rates included.
        state: a State, a Run (its state), or a flat vector (n,).
        batch: what the losses take, or None. Ask about the full batch: a mini-batch's field has other equilibria.
        batches: instead, the data in several batches (Stackelberg is then not asked).
        form: whether to form matrices; None: up to FORMED_UP_TO parameters.
        stationary: |v| up to which the point counts as stationary; None: 1e-7 (in single precision 1e-3) of |J| |y|, y
            the point, or the players as they stand, whichever is larger.
        k: rightmost eigenvalues looked for where J is not formed.
        tol: of their residuals, relative to |J|.
        basis: Lanczos steps for the bounds of symmetric parts and Hessians; as many vectors are kept.
        risk: probability with which such a bound may be wrong.
        progress: whether to show which question is being worked on.
        **options: of GameJacobian: strategy, memory.

    Raises:
        ArgumentError: as GameJacobian does; for shares of strategies that are not on the simplex.

    Source: the questions: Fiez, Chasnov, Ratliff 2020, ICML; that they differ: Mazumdar, Ratliff, Sastry 2020, SIAM J.
        Math. Data Sci. 2, p. 103.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.quadratic([[-1.0, 3.0], [-3.0, 3.0]], zero_sum=True)  # stable, not Nash, Stackelberg
        >>> found = verdict(flows.gradient(game), game.equilibrium_state())
        >>> found.stability.answer, found.nash.answer, found.stackelberg["p1"].answer
        ('yes', 'no', 'yes')
    """
    at = admitted(flow, state)
    n, single = at.layout.n, at.y.dtype != torch.float64
    formed = n <= FORMED_UP_TO if form is None else bool(form)
    positive_int("k", k)
    if formed:
        options = {"strategy": "formed", **options}
    settings: dict[str, Any] = {"formed": formed, "basis": basis, "risk": positive("risk", risk)}
    leading = tuple(flow.game.players) if batches is None and flow.descends_losses else ()
    asked = 2 + len(leading)
    bar = tqdm(total=asked, desc="stability", unit="question", disable=None if progress else True)
    J = GameJacobian(flow, at, batch, batches=batches, **options)
    inside = _within(J, flow.tangent)
    found = flow_stability(inside, k=k, tol=positive("tol", tol), **settings)
    _next(bar, "nash")
    reach = float(abs(found.eigenvalues.values).max(initial=0.0)) + max(map(abs, found.numerical_abscissa))
    share = 1e-3 if single else 1e-7
    relative = share * reach * length_scale(flow.game, at.y)
    limit = relative if stationary is None else positive("stationary", stationary)
    sizes: dict[str, Any] = {**settings, "scale": reach}
    norm = float(J.value.norm())
    to_rest = _newton(J) if formed and batches is None and norm <= limit else None
    off = _moved(J, to_rest)
    if off:
        found = flow_stability(inside, k=k, tol=tol, error=off, **settings)
    facts: dict[str, Any] = {"n": n, "formed": formed, "norm": norm, "stationary": norm <= limit, "law": flow.law}
    if not flow.descends_losses:
        bar.close()
        facts |= {"products": J.work.products, "degenerate": tuple(_degenerate(J, found, {}))}
        return _told(found, _of_no_losses(flow, at), {}, None, {}, **facts)
    unrated = not flow.module_rates
    plain = isinstance(flow, GradientFlow) and not flow.terms and unrated and set(flow.rates.values()) == {1.0}
    game = J if plain else GameJacobian(gradient(flow.game), at, batch, batches=batches, **options)
    moved = off if game is J else _moved(game, to_rest)
    own = own_extents(game, dict.fromkeys(flow.game.players, 1.0), error=moved, **sizes)
    penalised = None
    if isinstance(flow, GradientFlow) and flow.terms:
        own_rates = J if unrated else GameJacobian(flow.with_rates(flow.rates), at, batch, batches=batches, **options)
        penalised = own_extents(own_rates, flow.rates, error=off, **sizes)
    leaders = {}
    slowest = min({**flow.rates, **flow.module_rates}.values())
    for p in leading:
        _next(bar, f"{p} leads")
        leaders[p] = stackelberg(game, p, own, stationary=limit / slowest, error=moved, **sizes)
    _next(bar, "done")
    bar.close()
    products = J.work.products + (0 if game is J else game.work.products)
    facts |= {"products": products, "degenerate": tuple(_degenerate(J, found, own))}
    return _told(found, nash(own), own, penalised, leaders, **facts)


def _told(
    found: FlowStability,
    equilibrium: Answer,
    own: Mapping[str, Extent],
    penalised: Mapping[str, Extent] | None,
    leaders: Mapping[str, Answer],
    *,
    norm: float,
    stationary: bool,
    **facts: Any,
) -> Verdict:
    """The answers, as far as they hold at a point that may not be stationary."""

    def told(answer: Answer) -> Answer:
        return answer if stationary else _not_stationary(answer, norm)

    return Verdict(
        stability=told(found.answer),
        nash=told(equilibrium),
        nash_penalised=None if penalised is None else told(nash(penalised)),
        stackelberg={p: told(a) for p, a in leaders.items()},
        stationary=stationary,
        norm=norm,
        flow=found,
        own=own,
        own_penalised=penalised,
        **facts,
    )


def _newton(J: GameJacobian) -> Tensor | None:
    """Newton's step from a point to the stationary one near it, no longer than the players; None where v is 0."""
    v = J.value.double()
    if not float(v.norm()):
        return None
    step = torch.linalg.pinv(J.to_dense().double(), rtol=1e-10) @ -v
    most = length_scale(J.flow.game, J.state.y)
    moved: Tensor = (step * min(1.0, most / max(float(step.norm()), most))).to(J.state.y)
    return moved


def _moved(J: GameJacobian, step: Tensor | None) -> float:
    """By how much J may be another at the stationary point itself, `4 |J(y + d) - J(y)|`: eigenvalues are not surer.

    At a double root Newton's step d goes half the way, and J, which falls to 0 there, changes by half of itself.
    """
    if step is None:
        return 0.0
    there = J.at(J.state.with_y(J.state.y + step))
    return 4 * float(torch.linalg.matrix_norm((there.to_dense() - J.to_dense()).double(), 2))


def _of_no_losses(flow: Flow, at: State) -> Answer:
    """Nash of a flow that the losses of its game do not move: by the payoffs of a population, else not said."""
    answer = population_nash(flow, at.parts()) if isinstance(flow, PopulationFlow) else None
    if answer is not None:
        return answer
    remedy = "; ask about the flow it is made of, flow.inner" if isinstance(flow, FlowOfFlow) else ""
    return Answer("undecided", f"the losses of the game are not what moves this flow{remedy}")


def _within(J: GameJacobian, tangent: Tensor | None) -> LinearOperator:
    """J among the directions that stay in the states of its flow, `Q^T J Q`; J itself where all do."""
    if tangent is None:
        return J
    Q = tangent
    return LinearOperator(
        (Q.shape[1], Q.shape[1]),
        lambda x: Q.T @ J.matvec(Q @ x),
        lambda y: Q.T @ J.rmatvec(Q @ y),
        dtype=J.dtype,
        device=J.device,
        matrix=lambda: Q.T @ J.to_dense() @ Q,
    )


def _next(bar: Any, question: str) -> None:
    bar.update()
    bar.set_description(question)


def _not_stationary(answer: Answer, norm: float) -> Answer:
    """Conditions that hold where v is not zero make no equilibrium; those that fail would fail for any near one."""
    if answer.answer != "yes":
        return answer
    why = f"{answer.reason}; but |v| = {norm:.3g}: no stationary point (see find_equilibrium)"
    return Answer("undecided", why, answer.bounds, answer.risk)


def _degenerate(J: GameJacobian, found: FlowStability, own: Mapping[str, Extent]) -> list[Degeneracy]:
    out = [Degeneracy("eigenvalues of J that are zero to rounding", found.null)] if found.null else []
    for player, e in own.items():
        if e.sign == "zero":
            out.append(Degeneracy(f"{player}'s own Hessian is zero", e.size))
        elif e.null:
            out.append(Degeneracy(f"null directions of {player}'s own Hessian", e.null))
    scale = float(abs(found.eigenvalues.values).max(initial=0.0)) or 1.0
    small = 1e3 * torch.finfo(J.dtype).eps * scale + 10 * float(J.value.norm())
    symmetries = scaling_symmetries(J.flow.game, J.state)
    null = [s for s in symmetries if float((J @ s.direction).norm()) <= small * float(s.direction.norm())]
    return out + [Degeneracy(f"scaling symmetry of {s.player}: {s.name}", s.directions) for s in null]


def _between(low: float, high: float) -> str:
    if high == float("inf"):
        return "unknown"
    return f"{high:.4g}" if high - low <= 1e-3 * abs(high) else f"{low:.4g} to {high:.4g}"
