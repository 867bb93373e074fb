"""Quadratic games: linear fields with every spectrum one could ask for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.core.critical import CriticalPoint
from gamedyn.games._critical import above_zero, scalar_pair
from gamedyn.games._types import GameFamily, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BILINEAR", "QUADRATIC", "ROTATION"]

Matrix = "Tensor | Sequence[Sequence[float]]"


def _bilinear(
    matrix: Tensor | Sequence[Sequence[float]] = ((1.0,),),
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The bilinear zero-sum game `L_x = x^T A y`, `L_y = -x^T A y`.

    `J = [[0, -A], [A^T, 0]]`, eigenvalues +- i times the singular values of A, and 0 once for every row or column
    too many; `|x|^2 + |y|^2` is conserved. No verdict of second order decides: all own blocks are zero.

    Args:
        matrix: A, (n, m).
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if A is not a matrix.

    Example:
        >>> from gamedyn import games
        >>> games.bilinear([[2.0]]).jacobian
        tensor([[ 0., -2.],
                [ 2.,  0.]], dtype=torch.float64)
    """
    A = torch.as_tensor(matrix, dtype=dtype, device=device)
    if A.dim() != 2 or not A.numel():
        raise ArgumentError("matrix", "an (n, m) matrix", f"shape {tuple(A.shape)}")
    n, m = A.shape

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        value = x @ A @ y
        return {"x": value, "y": -value}

    top = torch.cat([A.new_zeros(n, n), -A], 1)
    bottom = torch.cat([A.T, A.new_zeros(m, m)], 1)
    origin = {"x": A.new_zeros(n), "y": A.new_zeros(m)}
    turns = [complex(0, s) for s in torch.linalg.svdvals(A.double()).tolist()]
    centre = CriticalPoint(
        origin,
        eigenvalues=(*turns, *(z.conjugate() for z in turns), *[0j] * abs(n - m)),
        stability="undecided",
        nash="undecided",
        stackelberg={"x": "undecided", "y": "undecided"},
        name="origin",
    )
    return Game(
        {"x": start(None, n, dtype, device), "y": start(None, m, dtype, device)},
        losses,
        name="bilinear",
        equilibrium=origin,
        jacobian=torch.cat([top, bottom]),
        invariant=lambda x, y: x.square().sum() + y.square().sum(),
        zero_sum=True,
        critical_points=[centre],
    )


def _quadratic(
    matrix: Tensor | Sequence[Sequence[float]] = ((-1.0, 3.0), (-3.0, 3.0)),
    sizes: Sequence[int] | None = None,
    *,
    zero_sum: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The quadratic game whose stacked loss gradients are `H y`: `J = -H`.

    `L_i = y_i^T H_ii y_i / 2 + y_i^T sum_{j != i} H_ij y_j`; of a zero-sum game of two, with `H_21 = -H_12^T`,
    `L_1 = -L_2 = y_1^T H_11 y_1 / 2 + y_1^T H_12 y_2 - y_2^T H_22 y_2 / 2`. The field is the same; what a leader makes
    of its follower is not. For two players with one entry each, `H = [[a, b], [c, d]]`, the origin is declared with
    its class: stable if `a + d > 0` and `ad > bc`, Nash if `a > 0` and `d > 0`, Stackelberg with leader 1 if `d > 0`
    and `a - bc/d > 0` (zero-sum), or `a - 2bc/d > 0`.

    Args:
        matrix: H, (n, n), diagonal blocks symmetric. The default is stable but not a Nash equilibrium.
        sizes: entries of each player; None: one each. Players are named p1, p2, ...
        zero_sum: whether the losses add up to zero.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if H is not square, sizes do not add up, an own block is not symmetric, or `zero_sum` is
            asked of other than two players with `H_21 = -H_12^T`.

    Example:
        >>> from gamedyn import games
        >>> games.quadratic([[1.0, 3.0], [-3.0, 1.0]])
        quadratic(p1: 1, p2: 1)
    """
    H = torch.as_tensor(matrix, dtype=dtype, device=device)
    if H.dim() != 2 or H.shape[0] != H.shape[1]:
        raise ArgumentError("matrix", "a square matrix", f"shape {tuple(H.shape)}")
    parts = tuple(sizes) if sizes is not None else (1,) * len(H)
    if sum(parts) != len(H) or min(parts) < 1:
        raise ArgumentError("sizes", f"positive sizes that add up to {len(H)}", parts)
    ends = torch.tensor(parts).cumsum(0).tolist()
    at = [slice(e - s, e) for e, s in zip(ends, parts, strict=True)]
    for i, own in enumerate(at):
        if not torch.equal(H[own, own], H[own, own].T):
            raise ArgumentError("matrix", "symmetric diagonal blocks: they are Hessians", f"block {i} is not")
    if zero_sum and (len(parts) != 2 or not torch.equal(H[at[1], at[0]], -H[at[0], at[1]].T)):
        raise ArgumentError("zero_sum", "two players with H_21 = -H_12^T", f"{len(parts)} players, H = {H.tolist()}")
    names = [f"p{i + 1}" for i in range(len(parts))]
    origin = {name: H.new_zeros(s) for name, s in zip(names, parts, strict=True)}
    return Game(
        {name: start(None, s, dtype, device) for name, s in zip(names, parts, strict=True)},
        _opposed(H, parts[0]) if zero_sum else _stacked(H, names, at),
        name="quadratic",
        equilibrium=origin,
        jacobian=-H,
        zero_sum=bool(zero_sum),
        critical_points=[_scalar_origin(H, origin, zero_sum)] if parts == (1, 1) else (),
    )


def _stacked(H: Tensor, names: Sequence[str], at: Sequence[slice]) -> Callable[..., dict[str, Tensor]]:
    """Losses of the own entries and the products with the others'."""

    def losses(*players: Tensor) -> dict[str, Tensor]:
        out = {}
        for name, mine, own in zip(names, at, players, strict=True):
            forces = [
                H[mine, theirs] @ y * (0.5 if mine is theirs else 1.0) for theirs, y in zip(at, players, strict=True)
            ]
            out[name] = own @ torch.stack(forces).sum(0)
        return out

    return losses


def _opposed(H: Tensor, n: int) -> Callable[..., dict[str, Tensor]]:
    """One loss, and its negative."""

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        value = 0.5 * x @ H[:n, :n] @ x + x @ H[:n, n:] @ y - 0.5 * y @ H[n:, n:] @ y
        return {"p1": value, "p2": -value}

    return losses


def _scalar_origin(H: Tensor, origin: dict[str, Tensor], zero_sum: bool) -> CriticalPoint:
    rows = H.tolist()
    return scalar_pair(origin, rows, (-rows[1][1], -rows[0][0]) if zero_sum else (0.0, 0.0))


def _rotation(
    players: int = 3,
    damping: float = 0.0,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The n-player rotation `L_i = eps/2 w_i^2 + w_i (sum_{j>i} w_j - sum_{j<i} w_j)`.

    Eigenvalues of J: `-eps +- i cot((2k + 1) pi / (2n))`; without damping `|w|^2` is conserved.

    Args:
        players: n, at least 2.
        damping: eps.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: for fewer than two players, or a damping that is no number.

    Source: Balduzzi et al. 2018, a polymatrix game.

    Example:
        >>> from gamedyn import games
        >>> games.rotation(4)
        rotation(p1: 1, p2: 1, p3: 1, p4: 1)
    """
    n = positive_int("players", players, least=2)
    H = torch.triu(torch.ones(n, n, dtype=dtype), 1)
    damping = finite("damping", damping)
    game = _quadratic(H - H.T + damping * torch.eye(n, dtype=dtype), dtype=dtype, device=device)
    game.name = "rotation"
    if damping == 0:
        game.invariant = lambda *w: torch.cat(w).square().sum()
        game.zero_sum = True
    if n > 2:
        angles = [(2 * k + 1) * math.pi / (2 * n) for k in range(n)]
        spectrum = tuple(complex(0.0 - damping, math.cos(x) / math.sin(x)) for x in angles)
        verdict = above_zero(damping)
        zero = torch.zeros(1, dtype=dtype, device=device)
        game.critical_points = (
            CriticalPoint(dict.fromkeys(game.players, zero), spectrum, verdict, verdict, name="origin"),
        )
    return game


BILINEAR = GameFamily(
    name="bilinear",
    make=_bilinear,
    examples=(
        lambda: (_bilinear(), None),
        lambda: (_bilinear([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]), None),
    ),
    source="the canonical rotation of game optimisation",
)
QUADRATIC = GameFamily(
    name="quadratic",
    make=_quadratic,
    examples=(
        lambda: (_quadratic(), None),
        lambda: (_quadratic([[1.0, 2.0], [2.0, 1.0]]), None),
        lambda: (_quadratic([[-1.0, 3.0], [-3.0, 3.0]], zero_sum=True), None),
        lambda: (_quadratic([[1.0, 3.0], [-3.0, 1.0]], zero_sum=True), None),
        lambda: (_quadratic([[0.0, 1.0], [-1.0, 0.0]], zero_sum=True), None),
        lambda: (_quadratic([[-1.0, 1.0], [-1.0, 0.5]], zero_sum=True), None),
        lambda: (_quadratic([[-1.5, 1.0], [-1.0, 1.0]], zero_sum=True), None),  # Schur complement -1/2
        lambda: (_quadratic([[1.0, 10.0], [-10.0, 1.0]]), None),  # Balduzzi et al. 2018, where SGA is 101 I
        lambda: (_quadratic([[1.0, 1.0], [-1.0, 3.0]]), None),  # defective
        lambda: (_quadratic([[1.5, 1.0], [1.0, 1.0]]), None),  # stable and Nash; a leader leaves
        lambda: (_quadratic([[2.0, 0.5, 1.0], [0.5, 1.0, -2.0], [-1.0, 2.0, 0.3]], sizes=(2, 1)), None),
    ),
    source="the 2x2 classification of stable, Nash and Stackelberg points",
)
ROTATION = GameFamily(
    name="rotation",
    make=_rotation,
    examples=(
        lambda: (_rotation(), None),
        lambda: (_rotation(2), None),
        lambda: (_rotation(3, 0.2), None),
        lambda: (_rotation(4, 0.01), None),
        lambda: (_rotation(5), None),
        lambda: (_rotation(5, -0.1), None),
    ),
    source="Balduzzi et al. 2018",
)
