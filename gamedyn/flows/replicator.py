"""Dynamics of populations: flows on the simplex that are no player's gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.core.critical import CriticalPoint
from gamedyn.flows.custom import CustomFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PopulationFlow", "policy_gradient", "replicator"]


class PopulationFlow(CustomFlow):
    """A flow on shares of strategies, or their logits, with what is known of it; see `replicator`.

    Attributes:
        game: the populations as players; their losses are minus the mean payoffs, and not what moves them.
        critical_points: declared stationary points of the flow. Eigenvalues are those of the flow in all coordinates:
            of the shares, a 0 across each simplex is among them.
        invariant: declared conserved quantity, a function of the players' tensors, or None.
        payoffs: from the players' tensors, by population its shares and what each strategy earns against them; None:
            not known.
        temperature: weight of the entropy that payoffs carry, or None.
        shares: whether the players are the shares themselves, which only mean something on the simplex.
        formula: what moves the shares, as text.
        source: paper.
    """

    def __init__(
        self,
        fn: Callable[..., Mapping[str, Tensor]],
        like: Game,
        critical_points: Sequence[CriticalPoint] = (),
        invariant: Callable[..., Tensor] | None = None,
        *,
        payoffs: Callable[[Mapping[str, Tensor]], dict[str, tuple[Tensor, Tensor]]] | None = None,
        temperature: float | None = None,
        shares: bool = False,
        formula: str = "a flow on shares of strategies",
        source: str = "",
    ) -> None:
        super().__init__(fn, like)
        self.payoffs, self.temperature, self.shares, self.formula = payoffs, temperature, shares, formula
        self.source = source
        self.critical_points, self.invariant = tuple(critical_points), invariant

    def __repr__(self) -> str:
        return f"PopulationFlow({self.game!r})"

    @property
    def law(self) -> str:
        """The formula of the shares."""
        return self.formula

    @property
    def autonomous(self) -> bool:
        """Always."""
        return True

    @property
    def tangent(self) -> Tensor | None:
        """Of shares: vectors whose entries sum to 0 in every population; of logits: None, all directions."""
        if not self.shares:
            return None
        parts = self.game.state().parts().values()
        basis: Tensor = torch.block_diag(*(_zero_sums(x.numel(), self.game) for x in parts))  # type: ignore[no-untyped-call]
        return basis

    def admits(self, parts: Mapping[str, Tensor]) -> bool:
        """Of shares: whether they are on the simplex, to the square root of rounding."""
        slack = max(torch.finfo(p.dtype).eps for p in parts.values()) ** 0.5
        on = (bool((p >= -slack).all()) and abs(float(p.sum()) - 1) <= slack for p in parts.values())
        return not self.shares or all(on)


def _zero_sums(n: int, game: Game) -> Tensor:
    """An orthonormal basis (n, n - 1) of the vectors whose entries sum to 0."""
    columns = torch.eye(n, dtype=game.dtype, device=game.device)
    columns[:, 0] = 1.0
    basis: Tensor = torch.linalg.qr(columns).Q[:, 1:]
    return basis


def _centred(A: Tensor) -> Tensor:
    """Payoffs ahead of the mean of their column: their differences are the same."""
    return A - A.mean(0)


def _gains(p: Tensor, u: Tensor) -> Tensor:
    """`sum_j p_j (u_i - u_j)`, (n,): in differences, so that a constant added to all payoffs costs no digit."""
    return (u[:, None] - u[None, :]) @ p


def replicator(
    payoffs: Tensor | Sequence[Sequence[float]],
    opponents: Tensor | Sequence[Sequence[float]] | None = None,
    *,
    temperature: float | None = None,
    initial: Sequence[Sequence[float]] | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> PopulationFlow:
    """The replicator flow of one population against itself, or of two; with a temperature, Boltzmann Q-learning's.

    With payoffs A of a population p and u = A p, or u = A q against a population q with payoffs B, v = B p,

        p_i' = p_i sum_j p_j (u_i - u_j),

    on the simplex the same as `p_i (u_i - p.u)`; with temperature T, `u_i / T - log p_i` stands for u_i; likewise q
    with v. The sum of the shares is kept, on the simplex and off it, and a constant added to a column of A changes
    nothing.

    Where A has zero row and column sums and is skew (one population), or `B = -A^T`, the uniform shares are declared
    as a critical point: eigenvalues `mu / n` for mu of A, or `+- i sigma / sqrt(nm)` for the singular values sigma of
    A, with T `-1 + mu / (nT)` or `-1 +- i sigma / (T sqrt(nm))`; and in both cases 0 across each simplex.
    Without T the product of all shares is conserved (for two populations: if n = m), and the time averages tend to the
    uniform shares. Rock, paper, scissors: `+- i / sqrt 3`; matching pennies: `+- i`.

    It is not the gradient flow of a game whose players are the populations: J's own blocks need not be symmetric.
    The game `like` it carries its players' names, p and q.

    Args:
        payoffs: A, (n, n) for one population or (n, m) for two.
        opponents: B, (m, n); None: one population.
        temperature: T, above 0, or None.
        initial: first shares of every population, positive, up to a factor; None: proportional to n, n - 1, ..., 1.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if the matrices do not fit, T is not positive, or a first share is not.

    Source: Hofbauer, Sigmund 1998, *Evolutionary games and population dynamics*; Tuyls, Verbeeck, Lenaerts 2003, *A
    selection-mutation model for Q-learning*.

    Example:
        >>> flow = replicator([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
        >>> flow.critical_points[0].eigenvalues
        (0.577...j, -0.577...j, 0j)
    """
    A, B = _matrices(payoffs, opponents, dtype, device)
    T = None if temperature is None else positive("temperature", temperature)
    ahead, ahead_of_q = _centred(A), A if B is None else _centred(B)
    names = ("p",) if B is None else ("p", "q")
    shares = _shares(initial, A.shape[: len(names)], A)

    def moved(p: Tensor, u: Tensor) -> Tensor:
        return p * _gains(p, u if T is None else u / T - p.log())

    def fn(t: Any, state: Mapping[str, Tensor], batch: Any) -> dict[str, Tensor]:
        p = state["p"]
        if B is None:
            return {"p": moved(p, ahead @ p)}
        return {"p": moved(p, ahead @ state["q"]), "q": moved(state["q"], ahead_of_q @ p)}

    def payoffs_at(state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        p, q = state["p"], state.get("q", state["p"])
        earned = {"p": (p, A @ q)}
        return earned if B is None else {**earned, "q": (q, B @ p)}

    like = _population_game(dict(zip(names, shares, strict=True)), A, B)
    formula = f"p_i' = p_i sum_j p_j (f_i - f_j), f = {'u' if T is None else 'u / T - log p'}"
    source = "Hofbauer, Sigmund 1998" + ("" if T is None else "; Tuyls, Verbeeck, Lenaerts 2003")
    known: dict[str, Any] = {"payoffs": payoffs_at, "temperature": T, "shares": True, "source": source}
    known["formula"] = f"{formula}, u the payoffs, on the simplex"
    if not _balanced(A, B):
        return PopulationFlow(fn, like, **known)
    uniform = {name: torch.full_like(s, 1 / len(s)) for name, s in zip(names, shares, strict=True)}
    spectrum = _uniform_spectrum(A, B is None, T)
    stability = "yes" if max(z.real for z in spectrum) < 0 else "undecided"
    point = CriticalPoint(uniform, spectrum, stability, name="uniform")
    conserved = T is None and (B is None or A.shape[0] == A.shape[1])
    invariant = (lambda *shares: torch.cat(shares).prod()) if conserved else None
    return PopulationFlow(fn, like, [point], invariant, **known)


def policy_gradient(
    payoffs: Tensor | Sequence[Sequence[float]],
    *,
    initial: Sequence[float] | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> PopulationFlow:
    """Softmax policy gradient of a population against itself: `y_i' = p_i sum_j p_j (u_i - u_j)`, p = softmax(y).

    u = A p are the payoffs. The replicator flow's shares move with one factor p more. Where A is skew with zero row
    sums, equal logits are declared as a critical point, with eigenvalues `mu / n^2` for mu of A, and `sum exp(-y_i)`
    is conserved. Rock, paper, scissors: `+- i / (3 sqrt 3)`.

    Args:
        payoffs: A, (n, n).
        initial: first logits, (n,); None: n, n - 1, ..., 1.
        dtype: of the player p.
        device: of the player.

    Raises:
        ArgumentError: if A is not square, or the logits are not n numbers.

    Source: Hennes et al. 2020, *Neural replicator dynamics*.

    Example:
        >>> policy_gradient([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
        PopulationFlow(population(p: 3))
    """
    A, _ = _matrices(payoffs, None, dtype, device)
    n, ahead = len(A), _centred(A)
    logits = torch.arange(n, 0, -1) if initial is None else torch.as_tensor(initial)
    if logits.shape != (n,):
        raise ArgumentError("initial", f"{n} logits", f"shape {tuple(logits.shape)}")

    def fn(t: Any, state: Mapping[str, Tensor], batch: Any) -> dict[str, Tensor]:
        p = state["p"].softmax(0)
        return {"p": p * _gains(p, ahead @ p)}

    def losses(y: Tensor) -> dict[str, Tensor]:
        return {"p": -(y.softmax(0) @ A @ y.softmax(0))}

    def payoffs_at(state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        p = state["p"].softmax(0)
        return {"p": (p, A @ p)}

    like = Game({"p": logits.to(A)}, losses, name="population")
    known: dict[str, Any] = {"payoffs": payoffs_at, "source": "Hennes et al. 2020"}
    known["formula"] = "y_i' = p_i sum_j p_j (u_i - u_j), p = softmax(y), u = A p"
    if not _balanced(A, None):
        return PopulationFlow(fn, like, **known)
    spectrum = tuple(z / n for z in _uniform_spectrum(A, True, None))
    point = CriticalPoint({"p": A.new_zeros(n)}, spectrum, "undecided", name="uniform")
    return PopulationFlow(fn, like, [point], lambda y: (-y).exp().sum(), **known)


def _matrices(
    payoffs: Tensor | Sequence[Sequence[float]],
    opponents: Tensor | Sequence[Sequence[float]] | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> tuple[Tensor, Tensor | None]:
    A = torch.as_tensor(payoffs, dtype=dtype, device=device)
    if A.dim() != 2 or not A.numel() or (opponents is None and A.shape[0] != A.shape[1]):
        expected = "a square matrix, or opponents=" if opponents is None else "an (n, m) matrix"
        raise ArgumentError("payoffs", expected, f"shape {tuple(A.shape)}")
    if opponents is None:
        return A, None
    B = torch.as_tensor(opponents, dtype=dtype, device=device)
    if B.shape != A.T.shape:
        raise ArgumentError("opponents", f"a matrix of shape {tuple(A.T.shape)}", f"shape {tuple(B.shape)}")
    return A, B


def _shares(initial: Sequence[Sequence[float]] | None, sizes: Sequence[int], like: Tensor) -> list[Tensor]:
    given = [range(n, 0, -1) for n in sizes] if initial is None else initial
    shares = [torch.as_tensor(list(w)).to(like) for w in given]
    if [tuple(w.shape) for w in shares] != [(n,) for n in sizes] or not all(bool((w > 0).all()) for w in shares):
        raise ArgumentError("initial", f"positive shares of {' and '.join(map(str, sizes))} strategies", initial)
    return [w / w.sum() for w in shares]


def _population_game(players: dict[str, Tensor], A: Tensor, B: Tensor | None) -> Game:
    def losses(p: Tensor, q: Tensor | None = None) -> dict[str, Tensor]:
        return {"p": -(p @ A @ p)} if q is None or B is None else {"p": -(p @ A @ q), "q": -(q @ B @ p)}

    return Game(players, losses, name="population")


def _balanced(A: Tensor, B: Tensor | None) -> bool:
    """Zero-sum with zero row and column sums, exactly: the uniform shares are in equilibrium."""
    other = A if B is None else B
    return torch.equal(other, -A.T) and not bool(A.sum(0).any()) and not bool(A.sum(1).any())


def _uniform_spectrum(A: Tensor, alone: bool, T: float | None) -> tuple[complex, ...]:
    """Eigenvalues at the uniform shares, those across the simplex last."""
    n, m = A.shape
    scale = (n if alone else math.sqrt(n * m)) * (T or 1.0)
    sizes = torch.linalg.svdvals(A.double()).tolist()[: min(n, m) - 1]  # without the 0 across the simplex
    if alone:  # a skew matrix has +- i sigma for each of its pairs of singular values, and 0
        pairs = sizes[: len(sizes) // 2 * 2 : 2]
        extra = len(sizes) % 2
    else:
        pairs, extra = sizes, abs(n - m)
    shift = 0.0 if T is None else -1.0
    inside = [complex(shift, sign * s / scale) for s in pairs for sign in (1, -1)] + [complex(shift)] * extra
    return (*inside, *[0j] * (1 if alone else 2))
