"""Matrix games with differentiable strategies, played once or again and again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.core.critical import CriticalPoint
from gamedyn.games._critical import scalar_pair
from gamedyn.games._types import GameFamily, start

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BIMATRIX", "ITERATED_PRISONERS_DILEMMA", "MATCHING_PENNIES", "ROCK_PAPER_SCISSORS"]

ROCK_PAPER_SCISSORS_LOSSES = ((0.0, 1.0, -1.0), (-1.0, 0.0, 1.0), (1.0, -1.0, 0.0))


def _bimatrix(
    losses_x: Tensor | Sequence[Sequence[float]],
    losses_y: Tensor | Sequence[Sequence[float]] | None = None,
    *,
    initial: tuple[Sequence[float] | Tensor, Sequence[float] | Tensor] | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """A game played once, strategies by softmax: `L_x = p^T A q`, `L_y = p^T B q`, p = softmax(x), q = softmax(y).

    The sums of x and of y are conserved: a softmax does not see them.

    Args:
        losses_x: A, (n, m): what x loses if it plays the row and y the column.
        losses_y: B, (n, m); None: -A, the zero-sum game.
        initial: first logits x (n,) and y (m,); None: 1, 2, ..., n divided by n, and zeros.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if A is not a matrix, or B of another shape.

    Example:
        >>> from gamedyn import games
        >>> games.bimatrix([[1.0, 3.0, 0.0], [0.0, 2.0, 1.0]])
        bimatrix(x: 2, y: 3)
    """
    A = torch.as_tensor(losses_x, dtype=dtype, device=device)
    if A.dim() != 2 or not A.numel():
        raise ArgumentError("losses_x", "an (n, m) matrix", f"shape {tuple(A.shape)}")
    B = -A if losses_y is None else torch.as_tensor(losses_y, dtype=dtype, device=device)
    if B.shape != A.shape:
        raise ArgumentError("losses_y", f"a matrix of shape {tuple(A.shape)}", f"shape {tuple(B.shape)}")
    n, m = A.shape
    x, y = (torch.arange(1, n + 1) / n, torch.zeros(m)) if initial is None else initial

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        p, q = x.softmax(0), y.softmax(0)
        return {"x": p @ A @ q, "y": p @ B @ q}

    return Game(
        {"x": start(x, n, dtype, device), "y": start(y, m, dtype, device)},
        losses,
        name="bimatrix",
        invariant=lambda x, y: x.sum() - y.sum(),
        zero_sum=losses_y is None,
    )


def _rock_paper_scissors(*, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None) -> Game:
    """Rock, paper, scissors with softmax strategies: the uniform ones are a centre, `+- i / (3 sqrt 3)` twice.

    The two zero eigenvalues are the softmaxes' invariance to a common shift of the logits: equilibria are a plane.

    Args:
        dtype: of the players.
        device: of the players.

    Source: Hennes et al. 2020, *Neural replicator dynamics*: softmax policy gradient on this game.

    Example:
        >>> from gamedyn import games
        >>> games.rock_paper_scissors().critical_points[0].stability
        'undecided'
    """
    game = _bimatrix(ROCK_PAPER_SCISSORS_LOSSES, dtype=dtype, device=device)
    zero = torch.zeros(3, dtype=dtype, device=device)
    A = torch.tensor(ROCK_PAPER_SCISSORS_LOSSES, dtype=dtype, device=device) / 9
    turn = complex(0.0, 1 / (3 * math.sqrt(3)))
    game.name, game.equilibrium = "rock_paper_scissors", {"x": zero, "y": zero}
    game.jacobian = torch.cat([torch.cat([A * 0, -A], 1), torch.cat([A.T, A * 0], 1)])
    open_question = {"x": "undecided", "y": "undecided"}
    spectrum = (turn, turn, -turn, -turn, 0j, 0j)
    game.critical_points = tuple(
        CriticalPoint({"x": zero + s, "y": zero + t}, spectrum, "undecided", "undecided", open_question)
        for s, t in ((0.0, 0.0), (2.0, -1.0))
    )
    return game


def _matching_pennies(
    *,
    initial: Sequence[float] = (1.0, 0.5),
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """Matching pennies, heads with probabilities sigmoid(x) and sigmoid(y): `L_x = (2p - 1)(2q - 1) = -L_y`.

    Its one critical point is (0, 0), with eigenvalues of J `+- i/4`; `cosh x + cosh y`, which is
    `(1 / (p(1-p)) + 1 / (q(1-q))) / 2 - 2`, is conserved.

    Args:
        initial: first x and y.
        dtype: of the players.
        device: of the players.

    Source: Letcher et al. 2019, *Stable opponent shaping in differentiable games*; the conserved quantity is algebra.

    Example:
        >>> from gamedyn import games
        >>> games.matching_pennies().jacobian
        tensor([[ 0.0000, -0.2500],
                [ 0.2500,  0.0000]], dtype=torch.float64)
    """

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        value = ((2 * x.sigmoid() - 1) * (2 * y.sigmoid() - 1)).sum()
        return {"x": value, "y": -value}

    zero = torch.zeros(1, dtype=dtype, device=device)
    origin = {"x": zero, "y": zero}
    return Game(
        {"x": start(initial[:1], 1, dtype, device), "y": start(initial[1:], 1, dtype, device)},
        losses,
        name="matching_pennies",
        equilibrium=origin,
        jacobian=torch.tensor([[0.0, -0.25], [0.25, 0.0]], dtype=dtype, device=device),
        invariant=lambda x, y: (x.cosh() + y.cosh()).sum(),
        zero_sum=True,
        critical_points=[scalar_pair(origin, [[0.0, 0.25], [-0.25, 0.0]])],
    )


def _iterated_prisoners_dilemma(
    discount: float = 0.96,
    *,
    initial: tuple[Sequence[float] | Tensor, Sequence[float] | Tensor] | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The prisoner's dilemma again and again, players remembering one round; losses exact, by a linear system.

    Each player's five logits are of cooperating first, and after CC, CD, DC, DD, the own action first. With the 4x4
    matrix M of the rounds' transitions and p_0 the first round's distribution,

        L = (1 - gamma) p_0^T (I - gamma M)^-1 c,    c = 1 (CC), 3 (CD), 0 (DC), 2 (DD), the own action first.

    Both always defecting lose 2, both cooperating 1, both playing tit for tat (logits `inf * (1, 1, -1, 1, -1)`) 1,
    all logits zero 1.5. No finite point is known to be stationary.

    Args:
        discount: gamma, in [0, 1).
        initial: first logits of x and of y, (5,); None: ones.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: for another discount.

    Source: Foerster et al. 2018, *Learning with opponent-learning awareness* (payoffs -1, -3, 0, -2).

    Example:
        >>> from gamedyn import games
        >>> game = games.iterated_prisoners_dilemma()
        >>> zero = torch.zeros(5, dtype=game.dtype)
        >>> game.losses(zero, zero)["x"]
        tensor(1.5000, dtype=torch.float64)
    """
    if not 0 <= discount < 1:
        raise ArgumentError("discount", "a number in [0, 1)", discount)
    gamma = float(discount)
    first, second = (None, None) if initial is None else initial
    swap = torch.tensor([0, 1, 3, 2, 4], device=device)  # the rounds CD and DC, as the other sees them
    one = torch.eye(4, dtype=dtype, device=device)
    cost_x, cost_y = (torch.tensor(c, dtype=dtype, device=device) for c in ((1.0, 3.0, 0.0, 2.0), (1.0, 0.0, 3.0, 2.0)))

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        p, q = x.sigmoid(), y.sigmoid().index_select(0, swap)
        rounds = torch.stack([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)], -1)  # (5, 4): CC, CD, DC, DD
        # never singular for gamma < 1, so that no status is looked at
        visits = (1 - gamma) * torch.linalg.solve_ex((one - gamma * rounds[1:]).T, rounds[0])[0]
        return {"x": visits @ cost_x, "y": visits @ cost_y}

    return Game(
        {"x": start(first, 5, dtype, device), "y": start(second, 5, dtype, device)},
        losses,
        name="iterated_prisoners_dilemma",
    )


def _bimatrix_example() -> tuple[Game, None]:
    return _bimatrix([[1.0, 3.0, -1.0], [0.0, 2.0, 1.0]], [[1.0, 0.0, 2.0], [3.0, 2.0, -1.0]]), None


def _dilemma_example() -> tuple[Game, None]:
    return _iterated_prisoners_dilemma(initial=([0.5, -0.3, 0.2, 1.0, -0.7], [-0.4, 0.6, 0.9, -0.8, 0.1])), None


BIMATRIX = GameFamily(
    name="bimatrix",
    make=_bimatrix,
    examples=(_bimatrix_example, lambda: (_bimatrix([[1.0, 3.0, 0.0], [0.0, 2.0, 1.0]]), None)),
    source="von Neumann 1928; softmax strategies",
)
ROCK_PAPER_SCISSORS = GameFamily(
    name="rock_paper_scissors",
    make=_rock_paper_scissors,
    examples=(lambda: (_rock_paper_scissors(), None),),
    source="Hennes et al. 2020",
    aliases=("rps",),
)
MATCHING_PENNIES = GameFamily(
    name="matching_pennies",
    make=_matching_pennies,
    examples=(lambda: (_matching_pennies(), None),),
    source="Letcher et al. 2019, Stable opponent shaping in differentiable games",
)
ITERATED_PRISONERS_DILEMMA = GameFamily(
    name="iterated_prisoners_dilemma",
    make=_iterated_prisoners_dilemma,
    examples=(_dilemma_example,),
    source="Foerster et al. 2018",
    aliases=("ipd",),
)
