"""Is what is differentiated what is stepped? Products checked against differences of the field itself.

`J u` by a strategy is compared, player by player, with `(v(y + e u) - v(y - e u)) / 2e`, and `<w, J u>` with
`<J^T w, u>`. Losses may be written so that a gradient is right and its derivative is not: a `detach`, a parameter whose
`requires_grad` is off for a moment, a kernel with a wrong second derivative. No identity between J u and J^T u sees
that.

A difference has errors of its own: rounding, and in networks of ReLUs the kinks between its two ends. It is formed so
short that kinks are rare, in float64, which float32 modules are given for so long where they can be; and a disagreement
counts only where a difference of another length says the same.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Point, Work
from gamedyn.core.evaluation import Request, Velocity
from gamedyn.core.randomness import RandomState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedyn.jacobian.evaluated import Evaluated
    from gamedyn.jacobian.products import Products

__all__ = ["check_products", "check_terms", "outcome", "refuse_non_finite"]

TOLERANCE = 1e-4
"""Share of |J u| of a player by which a product may differ from a difference in float64."""

COARSE = 0.05
"""The same where the field is known in float32 only."""

CHECKED: WeakKeyDictionary[Any, dict[str, tuple[str, ...]]] = WeakKeyDictionary()
"""By flow, what has been checked (once is enough), and the players of which differences did not decide."""

CAUSES = (
    "likely causes: detach(), no_grad or .item() in a loss, requires_grad turned off for a while, a hook on a tensor, "
    "a custom or fused operation with a wrong second derivative (power iterations of one's own, scripted modules, an "
    "embedding's padding_idx or scale_grad_by_freq), or a point on a kink (a ReLU whose weights are all 0)"
)


@dataclass(frozen=True)
class _Direction:
    """A direction, the lengths at which the field is differenced along it, and what it may be off by."""

    u: Tensor
    lengths: tuple[float, ...]
    tolerance: float


def outcome(flow: Any) -> str:
    """What the checks of a flow's derivatives have said: "not differentiated", "agrees", or "undecided: ..."."""
    known = CHECKED.get(flow, {})
    open_ones = [f"{', '.join(players)} in {what}" for what, players in known.items() if players]
    return f"undecided: {'; '.join(open_ones)}" if open_ones else "agrees" if known else "not differentiated"


def check_products(
    field: Evaluated,
    products: Products,
    name: str,
    t: float,
    y: Tensor,
    batch: Any,
    factors: Mapping[str, float] | None = None,
) -> None:
    """Hold the products of a strategy against differences of the field, once for a flow.

    Costs two evaluations of the field, a product each way; more only where they disagree.

    Raises:
        ArgumentError: if they disagree, with the blocks that do; if a product is not finite.
    """
    known = CHECKED.setdefault(field.flow, {})
    key = " ".join([name, "products", *(f"of {part}" for part in factors or ())])
    if key in known:
        return
    spent = Work(**vars(field.work))
    try:
        undecided = _check(products, name, _Line(field, t, y, batch, factors=factors), y)
    finally:
        for what, count in vars(spent).items():
            setattr(field.work, what, count)
    known[key] = undecided


def _check(products: Products, name: str, velocity: _Line, y: Tensor) -> tuple[str, ...]:
    """The players of which differences do not decide; raises where they disagree."""
    field = velocity.field
    u, w = _random(y, 0), _random(y, 1)
    image, pulled = products.jvp(u), products.vjp(w)
    refuse_non_finite(field, products.value, image, pulled)
    along = velocity.direction(u)
    wrong, undecided = _disagreeing(velocity, along, image.to(velocity.y))
    if wrong:
        blocks = _blocks(field, velocity, products)
        text = "; ".join(blocks) or f"the velocity of {', '.join(wrong)}"
        got = f"{text}, in {name} products against differences of the field"
        raise ArgumentError("losses", "a field whose derivative is that of its gradients", got, CAUSES)
    scale = float(image.norm() * w.norm() + pulled.norm() * u.norm())
    scale += float(products.value.norm() * u.norm() * w.norm()) / (float(y.norm()) or 1.0)  # where J u is rounding
    gap = abs(float(w @ image) - float(pulled @ u))
    if gap > 10 * math.sqrt(torch.finfo(y.dtype).eps) * scale:
        got = f"<w, J u> and <J^T w, u> that differ by {gap / scale:.2g} of their size, in {name} products"
        raise ArgumentError("losses", "a field whose two products are each other's transposes", got, CAUSES)
    return undecided


def refuse_non_finite(field: Evaluated, value: Tensor, *images: Tensor) -> None:
    """Refuse products that are not finite where the field is.

    Raises:
        ArgumentError: with the players whose derivative it is.
    """
    if all(bool(x.isfinite().all()) for x in images) or not bool(value.isfinite().all()):
        return
    first = next(x for x in images if not bool(x.isfinite().all()))  # J u before J^T w: rows before columns
    broken = [n for n, own in zip(field.names, field.players, strict=True) if not bool(first[own].isfinite().all())]
    got = f"the velocity of {', '.join(broken)}, whose derivative is not finite there"
    remedy = "a norm, root or absolute value at its kink? Add a small number under the root, begin at another point; "
    remedy += "Adam's flow has no derivative where a second moment is 0; steps without J: an explicit method, or "
    remedy += "solver=Anderson()"
    raise ArgumentError("flow", "a field with a finite Jacobian", got, remedy)


class _Line:
    """A function of the point, evaluated along lines: in float64 where the modules can be.

    Attributes:
        y: the point, in the precision in which the function is known.
    """

    def __init__(
        self,
        field: Evaluated,
        t: float,
        y: Tensor,
        batch: Any,
        flow: Any = None,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.field, self._t, self._batch, self._flow = field, t, batch, flow
        self._request = field.asked(factors=factors)
        y = y.detach()
        self.y, self.noise = y, 0.0
        if y.dtype != torch.float64:
            self.y = y.double()
            try:
                self.noise = self._rounding(y)
            except Exception:  # whatever the losses say to double precision: they are used as they are
                self.y = y

    def __call__(self, y: Tensor) -> Tensor:
        """The function's value, flat."""
        field, batch, double = self.field, self._batch, y.dtype != self.field.flow.game.dtype
        leaves = [v.clone().requires_grad_() for v in field.layout.views(y.detach())]
        with field.session(), field.doubled() if double else contextlib.nullcontext():
            batch = tree_map(_doubled, batch) if double else batch
            with _InDouble() if double else contextlib.nullcontext():
                value = field.velocity(self._t, leaves, self._request, batch, flow=self._flow)
        return field.layout.flat([x.detach() for x in value.leaves])

    def _rounding(self, y: Tensor) -> float:
        """By how much the function is another in float64 (autocast in the losses?), away from where it may vanish."""
        u = _random(y, 3)
        at = y + 0.05 * (float(y.norm()) or 1.0) / float(u.norm()) * u
        own, exact = self(at).double(), self(at.double())
        return float((own - exact).norm() / exact.norm().clamp_min(1e-300))

    def direction(self, u: Tensor) -> _Direction:
        """Lengths at which rounding, and the field's curvature, are small beside the tolerance."""
        eps, u = torch.finfo(self.y.dtype).eps, u.to(self.y)
        size = (float(self.y.norm()) or 1.0) / float(u.norm())
        if self.y.dtype != torch.float64:
            return _Direction(u, (size * eps ** (1 / 3), 0.1 * size * eps ** (1 / 3)), COARSE)
        fine = size * eps**0.5
        return _Direction(u, (fine, 1e-2 * fine, 1e-4 * fine), max(TOLERANCE, 20 * self.noise))

    def difference(self, u: Tensor, length: float) -> Tensor:
        """`(v(y + e u) - v(y - e u)) / 2e`."""
        return (self(self.y + length * u) - self(self.y - length * u)) / (2 * length)

    def uncertainty(self, u: Tensor, length: float) -> list[float]:
        """By player, how far rounding may take such a difference from the derivative.

        What second differences show, `|v(y + e u) - 2 v(y) + v(y - e u)| / 2e`: at this length a smooth field's own
        are below rounding. The largest of several, as a field that is known to a few units may repeat itself.
        """
        middle, found = self(self.y), [0.0] * len(self.field.players)
        for e in (length, 1.7 * length, 2.3 * length, 3.1 * length):
            bend = self(self.y + e * u) - 2 * middle + self(self.y - e * u)
            found = [max(x, float(bend[own].norm())) for x, own in zip(found, self.field.players, strict=True)]
        return [x / (2 * length) for x in found]


def _disagreeing(velocity: _Line, along: _Direction, image: Tensor) -> tuple[list[str], tuple[str, ...]]:
    """Players whose part of J u is another than differences of two neighbouring lengths say; and those left undecided.

    A difference across kinks is no derivative: shorter ones are tried, until one agrees with J u, or none is left.
    """
    field, differences = velocity.field, [velocity.difference(along.u, along.lengths[0])]
    suspects = [i for i, own in enumerate(field.players) if _differs(image[own], differences[0][own], image, along)]
    for length in along.lengths[1:] if suspects else ():
        differences.append(velocity.difference(along.u, length))
        suspects = [
            i for i in suspects if _differs(image[(own := field.players[i])], differences[-1][own], image, along, 10)
        ]
    wrong, unsure = [], velocity.uncertainty(along.u, along.lengths[0]) if suspects else []
    for i in suspects:
        own = field.players[i]
        for (a, b), length in zip(itertools.pairwise(differences), along.lengths[1:], strict=True):
            moved = bool(a[own].any()) or bool(b[own].any()) or not bool(differences[0][own].any())
            off = float((image[own] - b[own]).norm())
            rounding = 4 * unsure[i] * along.lengths[0] / length
            if moved and float((a[own] - b[own]).norm()) <= 0.25 * off and rounding < off:
                wrong.append(field.names[i])
                break
    return wrong, tuple(field.names[i] for i in suspects if field.names[i] not in wrong)


def _differs(a: Tensor, b: Tensor, whole: Tensor, along: _Direction, times: float = 1.0) -> bool:
    size = max(float(a.norm()), float(b.norm()), 1e-6 * float(whole.norm()))
    return float((a - b).norm()) > times * along.tolerance * size


def _blocks(field: Evaluated, velocity: _Line, products: Products) -> list[str]:
    """Which blocks `d v_i / d y_j` disagree, and by how much, in words."""
    found = []
    for j, columns in enumerate(field.players):
        u = torch.zeros_like(velocity.y)
        u[columns] = _random(velocity.y, 2 + j)[columns]
        along = velocity.direction(u)
        image, right = products.jvp(u.to(products.value)).to(u), velocity.difference(u, along.lengths[0])
        for i, rows in enumerate(field.players):
            if _differs(image[rows], right[rows], right, along):
                size = max(float(right[rows].norm()), float(image[rows].norm()))
                off = float((image[rows] - right[rows]).norm()) / size
                found.append(f"d v_{field.names[i]} / d {field.names[j]} off by {off:.0%}")
    return found


def check_terms(field: Evaluated, t: float, y: Tensor, batch: Any) -> None:
    """Hold the gradient of every penalty on a gradient against differences of the penalty, once for a flow.

    Raises:
        ArgumentError: if a term's own gradient is another, as where a loss cuts its graph.
    """
    known = CHECKED.setdefault(field.flow, {})
    if "terms" in known or not field.flow.penalised:
        return
    before = RandomState(y.device)  # what losses draw here is not the run's
    try:
        known["terms"] = _check_terms(field, t, y, batch)
    finally:
        before.restore()


def _check_terms(field: Evaluated, t: float, y: Tensor, batch: Any) -> tuple[str, ...]:
    """The penalties that differences do not decide; raises where they disagree."""
    penalties = _Penalties(field.flow)
    line, undecided = _Line(field, t, y, batch, penalties), []
    for k, (name, into) in enumerate(penalties.found):
        u = torch.zeros_like(y)
        u[field.players[into]] = _random(y, 7)[field.players[into]]
        slope, along = penalties.slope(field, t, y, batch, k, u), line.direction(u)
        first, second = (float(line.difference(along.u, e)[k]) for e in along.lengths[:2])
        size = max(abs(slope), abs(first))
        agree = abs(first - second) <= 0.25 * abs(first - slope)
        if abs(first - slope) > max(along.tolerance, 1e-3) * size:
            who = field.names[into]
            undecided.append(f"{who}'s {name}")
            if not agree:
                continue
            got = f"that of {name!r} in {who}, off by {abs(first - slope) / size:.0%} from differences of the term"
            raise ArgumentError("term", "a penalty whose own gradient is right", got, CAUSES)
    return tuple(undecided)


class _Penalties:
    """A flow whose velocity is the values of another's penalties on gradients.

    Attributes:
        found: name of each, and the place of the player that sees it; known once it has been evaluated.
    """

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self.found: list[tuple[str, int]] = [(name, into) for name, into in flow.penalised]

    def velocity(self, point: Point, request: Request) -> Velocity:
        return Velocity(self._flow.penalties(point), ())

    def slope(self, field: Evaluated, t: float, y: Tensor, batch: Any, k: int, u: Tensor) -> float:
        """The derivative of penalty k along u, by its own gradient."""
        leaves = [v.clone().requires_grad_() for v in field.layout.views(y.detach())]
        with field.session(), torch.enable_grad():
            value = field.velocity(t, leaves, field.asked(create_graph=True), batch, flow=self).leaves[k]
            if not value.requires_grad:
                return 0.0
            gradient = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        return float(field.layout.flat([g.detach() for g in gradient]) @ u)


class _InDouble(TorchFunctionMode):
    """Operations on float64 where they would have been on float32: what the losses have captured goes with it."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation on the same numbers in float64."""
        args, kwargs = tree_map(_doubled, (args, kwargs or {}))
        return function(*args, **kwargs)


def _doubled(x: Any) -> Any:
    return x.double() if isinstance(x, Tensor) and x.dtype == torch.float32 else x


def _random(y: Tensor, seed: int) -> Tensor:
    g = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(y.shape, generator=g, dtype=torch.float64, device="cpu").to(y)
