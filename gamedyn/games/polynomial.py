"""Two players with one number each, and losses that are not quadratic, or not zero-sum: what each of them teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gamedyn._lib.checks import finite, positive
from gamedyn.core import Game
from gamedyn.core.critical import CriticalPoint
from gamedyn.games._critical import scalar_pair
from gamedyn.games._types import GameFamily, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CONSENSUS_COUNTEREXAMPLE", "CYCLIC", "STACKELBERG_POLYNOMIAL", "TANDEM"]

Row = tuple[float, float, float, float, str, str, str]

# x, y, mean of the two eigenvalues of J, (half of their difference)^2; Nash, Stackelberg led by x, by y.
# Newton's method and derivatives in 30 decimals; stable where both eigenvalues lie to the left.
KNOWN: dict[tuple[float, float], tuple[Row, ...]] = {
    (0.15, 0.25): (
        (-13.33918039568395044, -9.9916983855931213135, -1.0079107206077558, -4.2429898851631954, "no", "yes", "no"),
        (-2.5015087156827262707, -2.3398614944218361651, -0.5869803533168502, -5.1864056967761444, "no", "yes", "no"),
        (-10.416623295113827639, 8.4805488537267822366, -1.5591076308484335, -17.877277327447391, "yes", "yes", "yes"),
        (12.188575649030787247, -5.4231677618448476949, -2.4575832496182141, -10.815948887516983, "yes", "yes", "yes"),
        (0.0, 0.0, 0.0, 4.0, "no", "no", "no"),
        (-5.6228844353449949523, -4.742524405986750408, -1.6167544125776133, 14.812865735972402, "no", "no", "no"),
        (-13.184298234997784934, 1.7996943880204506221, -0.39958536671410437, 27.46838475902968, "no", "no", "no"),
        (1.6604182274798214548, -13.669210739431286895, 2.7017869314303955, 129.75237459235942, "no", "no", "no"),
        (2.3119380499637219479, 13.509334611272065646, 3.646085599407656, 100.8357195077459, "no", "no", "no"),
    ),
    (0.3, 0.5): (
        (-1.3165279824134077298, -1.2242747225581981879, -0.70716563349564452, -6.112894030062411, "no", "yes", "no"),
        (-12.47660403304449115, -8.6779255959460284578, -5.4660542107069739, -128.85459460281909, "yes", "yes", "yes"),
        (-11.426652020836207915, 8.0042953452482450352, -6.3704392578019467, -200.16320620361826, "yes", "yes", "yes"),
        (12.395007146418770928, -6.3728313184442345159, -7.7417156539414936, -151.09679202801311, "yes", "yes", "yes"),
        (0.0, 0.0, 0.0, 4.0, "no", "no", "no"),
        (-2.8114422176724974762, -2.371262202993375204, -2.4259748509223546, 33.352129264848887, "no", "no", "no"),
        (-13.842761708081046817, 1.1904648457814670966, -3.1383534758459592, 288.3239854835733, "no", "no", "no"),
        (1.0829595985292567484, 13.991007028925848347, 14.431838282123573, 1596.5984858933239, "no", "no", "no"),
        (0.91470934767350385723, -14.011803466518631088, 12.232863976883938, 1794.5499722404736, "no", "no", "no"),
    ),
}


def _stackelberg_polynomial(
    a: float = 0.15,
    b: float = 0.25,
    *,
    initial: Sequence[float] = (1.0, 1.0),
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The zero-sum game `f = -((a x^2 + y)^2 + (b y^2 + x)^2) exp(-(x^2 + y^2) / 100)`: stable is not Nash.

    x minimises f, y maximises it. With a = 0.15, b = 0.25 (Stackelberg learning) and a = 0.3, b = 0.5 (local
    symplectic surgery) nine critical points are declared, the only ones that a search from 9,409 starts in [-60, 60]^2
    found: four attract; of these, two or one are no Nash equilibria but Stackelberg led by x. For other a and b only
    the origin is declared, a saddle.

    Args:
        a: factor of x^2.
        b: factor of y^2.
        initial: first x and y.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if a or b is not a finite number.

    Source: Fiez, Chasnov, Ratliff 2020, *Implicit learning dynamics in Stackelberg games*; Mazumdar, Jordan, Sastry
    2019, *On finding local Nash equilibria (and only local Nash equilibria) in zero-sum games*.

    Example:
        >>> from gamedyn import games
        >>> points = games.stackelberg_polynomial().critical_points
        >>> len(points), points[0]
        (9, CriticalPoint(x: [-13.3392], y: [-9.9917], eigenvalues -1.0079-2.0599j, -1.0079+2.0599j; stability yes,
        nash no, stackelberg x: yes, y: no))
    """
    a, b = finite("a", a), finite("b", b)

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        square = (a * x * x + y) ** 2 + (b * y * y + x) ** 2
        value = -(square * torch.exp(-0.01 * (x * x + y * y))).sum()
        return {"x": value, "y": -value}

    rows = KNOWN.get((a, b), ((0.0, 0.0, 0.0, 4.0, "no", "no", "no"),))
    at = _placed(dtype, device)
    return Game(
        {"x": start(initial[:1], 1, dtype, device), "y": start(initial[1:], 1, dtype, device)},
        losses,
        name="stackelberg_polynomial",
        zero_sum=True,
        critical_points=[_from_row(row, at(row[0], row[1])) for row in rows],
    )


def _from_row(row: Row, point: dict[str, Tensor]) -> CriticalPoint:
    _, _, mean, square, nash, by_x, by_y = row
    root = complex(square) ** 0.5 if square > 0 else complex(0.0, (-square) ** 0.5)
    values = (mean - root, mean + root)
    stability = "yes" if max(z.real for z in values) < 0 else "no"
    return CriticalPoint(point, values, stability, nash, {"x": by_x, "y": by_y})


def _placed(dtype: torch.dtype, device: torch.device | str | None) -> Callable[[float, float], dict[str, Tensor]]:
    def at(x: float, y: float) -> dict[str, Tensor]:
        return {k: torch.tensor([v], dtype=dtype, device=device) for k, v in (("x", x), ("y", y))}

    return at


def _cyclic(
    *,
    initial: Sequence[float] = (2.0, 2.0),
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """The zero-sum game `f = xy - x^2/2 + y^2/2 + x^4/4 - y^4/4`, in which no point attracts.

    The origin is its only critical point, and the worst for both players: eigenvalues of J `1 +- i`. From (0.01, 0)
    and from (2, 2) the flow goes to one limit cycle, of period 6.851346, with radii between 1.0695393 and 1.2483173.

    Args:
        initial: first x and y.
        dtype: of the players.
        device: of the players.

    Source: Letcher 2021, *On the impossibility of global convergence in multi-loss optimization*.

    Example:
        >>> from gamedyn import games
        >>> games.cyclic().critical_points[0].stability
        'no'
    """

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        value = (x * y - x**2 / 2 + y**2 / 2 + x**4 / 4 - y**4 / 4).sum()
        return {"x": value, "y": -value}

    origin = _placed(dtype, device)(0.0, 0.0)
    return Game(
        {"x": start(initial[:1], 1, dtype, device), "y": start(initial[1:], 1, dtype, device)},
        losses,
        name="cyclic",
        equilibrium=origin,
        jacobian=torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=dtype, device=device),
        zero_sum=True,
        critical_points=[scalar_pair(origin, [[-1.0, 1.0], [-1.0, -1.0]], (1.0, 1.0))],
    )


def _tandem(
    *,
    initial: Sequence[float] = (1.0, 1.0),
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """Two riders: `L_x = (x + y)^2 - 2x`, `L_y = (x + y)^2 - 2y`; every point with `x + y = 1` is stationary.

    The line attracts, along it nothing moves: eigenvalues of J -4 and 0, and `x - y` is conserved. Every point of it
    is a Nash equilibrium, none is Stackelberg: a leader would lean on the other. LOLA with rate a rests elsewhere, at
    `x + y = (1 - 2a) / (1 - 4a)`.

    Args:
        initial: first x and y.
        dtype: of the players.
        device: of the players.

    Source: Letcher, Foerster, Balduzzi, Rocktäschel, Whiteson 2019, *Stable opponent shaping in differentiable games*.

    Example:
        >>> from gamedyn import games
        >>> games.tandem().critical_points[0]
        CriticalPoint(x: [0.5], y: [0.5], eigenvalues -4, 0; stability undecided, nash yes, stackelberg x: no, y: no)
    """

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        lean = (x + y).square().sum()
        return {"x": lean - 2 * x.sum(), "y": lean - 2 * y.sum()}

    at = _placed(dtype, device)
    points = [at(x, 1 - x) for x in (0.5, 0.0, 3.0, -40.0)]
    alone = {"x": "no", "y": "no"}
    return Game(
        {"x": start(initial[:1], 1, dtype, device), "y": start(initial[1:], 1, dtype, device)},
        losses,
        name="tandem",
        equilibrium=points[0],
        jacobian=torch.full((2, 2), -2.0, dtype=dtype, device=device),
        invariant=lambda x, y: (x - y).sum(),
        critical_points=[CriticalPoint(p, (-4 + 0j, 0j), "undecided", "yes", alone) for p in points],
    )


def _consensus_counterexample(
    curvature: float = 1.0,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """Both players on one hill, `L_x = L_y = -k/2 (x^2 + y^2)`: its top repels, and consensus makes it attract.

    `J = k I`; `gamedyn.flows.consensus` with weight g has `k (1 - g k) I`, stable for `g > 1/k`: it then converges to
    the maximum of both losses. Symplectic adjustment changes nothing here.

    Args:
        curvature: k, above 0.
        dtype: of the players.
        device: of the players.

    Raises:
        ArgumentError: if k is not positive.

    Source: Balduzzi et al. 2018, *The mechanics of n-player differentiable games*, on consensus optimization.

    Example:
        >>> from gamedyn import games
        >>> games.consensus_counterexample(2.0).critical_points[0].eigenvalues
        ((2+0j), (2+0j))
    """
    k = positive("curvature", curvature)

    def losses(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        value = -0.5 * k * (x.square() + y.square()).sum()
        return {"x": value, "y": value}

    origin = _placed(dtype, device)(0.0, 0.0)
    return Game(
        {"x": start(None, 1, dtype, device), "y": start(None, 1, dtype, device)},
        losses,
        name="consensus_counterexample",
        equilibrium=origin,
        jacobian=k * torch.eye(2, dtype=dtype, device=device),
        critical_points=[scalar_pair(origin, [[-k, 0.0], [0.0, -k]], (-k, -k))],
    )


STACKELBERG_POLYNOMIAL = GameFamily(
    name="stackelberg_polynomial",
    make=_stackelberg_polynomial,
    examples=(
        lambda: (_stackelberg_polynomial(), None),
        lambda: (_stackelberg_polynomial(0.3, 0.5), None),
        lambda: (_stackelberg_polynomial(0.2, 0.4), None),
    ),
    source="Fiez, Chasnov, Ratliff 2020; Mazumdar, Jordan, Sastry 2019",
)
CYCLIC = GameFamily(
    name="cyclic",
    make=_cyclic,
    examples=(lambda: (_cyclic(), None),),
    source="Letcher 2021",
)
TANDEM = GameFamily(
    name="tandem",
    make=_tandem,
    examples=(lambda: (_tandem(), None),),
    source="Letcher et al. 2019, Stable opponent shaping in differentiable games",
)
CONSENSUS_COUNTEREXAMPLE = GameFamily(
    name="consensus_counterexample",
    make=_consensus_counterexample,
    examples=(lambda: (_consensus_counterexample(), None), lambda: (_consensus_counterexample(2.5), None)),
    source="Balduzzi et al. 2018",
)
