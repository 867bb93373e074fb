"""The derivative of one step of any method, memory included, and its spectral radius.

A step and its derivative are one step of the same method on the variational system `y' = v(t, y)`,
`d' = J(t, y) d`, so the actual stepper, run on both at once, differentiates itself: nothing of a method's
theory enters. (Integration methods commute with linearisation: Hairer, Lubich, Wanner, VI.4, lemma 4.1.)
Methods that use the Jacobian itself would need its derivative, and maps have no variational system: their
tangent is a central difference of the step, good to seven digits or so in float64.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import State
from gamedyn.core.ambient import shielded
from gamedyn.core.point import length_scale, point
from gamedyn.integrators import StepInfo, stepper
from gamedyn.integrators._types import label
from gamedyn.jacobian.check import refuse_non_finite
from gamedyn.jacobian.kept import KeptProducts
from gamedyn.krylov import eigenpairs
from gamedyn.stability.symbols.anchored import same_each_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.jacobian import FrozenField
    from gamedyn.methods import Method

__all__ = ["StepTangent", "step_radius"]

KEPT = 64
"""Linearisations kept: those of a few implicit steps."""

KINK = 0.02
"""Share by which differences of a step of two lengths may differ."""

ROUNDED = 1e3
"""And what they may differ by where a step takes the direction to nearly 0, in eps^(2/3) of the direction's length."""

FORMED_UP_TO = 600
"""Dimension of (state, memory) up to which the tangent is formed to find its radius."""


class VariationalField:
    """A field on rows (y, d_1, ..., d_m): v(y) for the first, J(y) d for the others.

    Linearisations are kept by the point of the base trajectory, which is the same for every d.
    """

    point, persistent, batch_id, keeps_batch = None, False, 0, True

    def __init__(self, field: FrozenField, rows: int, kept: list[tuple[Any, Tensor, _At]], *, form: bool) -> None:
        self._field, self._kept, self._form = field, kept, form
        self.layout, self.names, self.players = field.layout, field.names, field.players
        self.parts, self.whole_parts = field.parts, field.whole_parts
        self.rates, self.rated, self.noise = field.rates, field.rated, None
        self.shape, self.work = torch.Size((rows, field.layout.n)), field.work

    @property
    def autonomous(self) -> bool:
        """Whether the field does not depend on time."""
        return self._field.autonomous

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """The variational field, shape of y."""
        value = self._linearised(t, y[0]).value_and_images(y)
        return value if out is None else out.copy_(value)

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """One player's part."""
        value = self(t, y)[..., self.players[i]]
        return value if out is None else out.copy_(value)

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """A weighted sum of parts."""
        value = self._linearised(t, y[0], factors).value_and_images(y)
        return value if out is None else out.copy_(value)

    def linearise(self, t: float | Tensor, y: Tensor) -> _At:
        """The variational field with the derivative of its first factor: J on every row.

        What is left out, the derivative of `J(y) d` in y, Newton's method does not need to converge.
        """
        return self._linearised(t, y[0]).on(y)

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Room for field values."""
        width = self.layout.n if player is None else self.players[player].stop - self.players[player].start
        return self._field.point.new_empty(count, self.shape[0], width)

    def room(self, count: int, player: int | None = None) -> Tensor:
        """The same."""
        return self.stages(count, player)

    def release(self, rows: Sequence[Tensor]) -> None:
        """Nothing is kept."""

    def _linearised(self, t: float | Tensor, y: Tensor, factors: Mapping[str, float] | None = None) -> _At:
        key = (float(t), None if factors is None else tuple(factors.items()))
        for known, base, at in self._kept:
            if known == key and torch.equal(base, y):
                return at
        products = KeptProducts(self._field, float(t), y, factors=factors)
        self._kept.append((key, y.clone(), _At(products, form=self._form)))
        del self._kept[:-KEPT]
        return self._kept[-1][2]


class _At:
    """A linearisation, dense or as products, applied to rows."""

    def __init__(self, products: KeptProducts, *, form: bool) -> None:
        self.products, self.matrix = products, products.to_dense() if form else None
        self.value = products.value

    def on(self, y: Tensor) -> _At:
        """The same, as what steppers take for a linearised field, its value that of rows."""
        out = copy.copy(self)
        out.value = self.value_and_images(y)
        return out

    def jvp(self, d: Tensor) -> Tensor:
        """J on every row."""
        if self.matrix is not None:
            return d @ self.matrix.T
        return torch.stack([self.products.jvp(x) for x in d])

    def value_and_images(self, y: Tensor) -> Tensor:
        """V for the first row, J d for the others."""
        return torch.cat([self.products.value[None], self.jvp(y[1:])])


class StepTangent:
    """The tangent of one step at a state: a linear map of (state, memory).

    Args:
        flow: the flow.
        method: a name or a method object.
        state: where the step starts: a State, a flat vector, or a Run, whose memory and time are then used too.
        h: step.
        batch: what the losses take, or None.
        t: time; None: the run's, or 0.
        options: of the method's stepper: `solver`, `history`.

    A multistep method's memory, unless a run gives it, is filled with v at the state itself: exact at a
    stationary point.

    Raises:
        ArgumentError: for a bad state or step.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> StepTangent(flows.gradient(game), "euler", game.equilibrium_state(), 0.5).matrix()
        tensor([[ 1.0000, -0.5000],
                [ 0.5000,  1.0000]], dtype=torch.float64)
    """

    def __init__(
        self,
        flow: Flow,
        method: str | Method,
        state: State | Tensor | Run,
        h: float,
        batch: Any = None,
        *,
        t: float | None = None,
        **options: Any,
    ) -> None:
        run = None if isinstance(state, (State, Tensor)) else state
        self.h = positive("h", h)
        self.t = t if t is not None else run.t if run is not None else 0.0
        at = point(flow, state)
        self._stepper = stepper(method, **options)
        self.field = flow.at(at, batch, self.t)
        if self._stepper.variational:
            self.field.linearise(self.t, at.y)  # looked at, and checked against differences
        self._y, self._length = at.y, length_scale(flow.game, at.y)
        if run is not None and run.memory and run.stats.get("method") != label(self._stepper.method):
            expected = f"a run of {label(self._stepper.method)}, whose memory is used"
            raise ArgumentError("state", expected, f"one of {run.stats.get('method')}", "give run.state instead")
        memory = run.memory if run is not None else self._filled(at.y)
        leaves, self._spec = tree_flatten(memory)
        self._memory = leaves
        self._moving = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dim() and x.is_floating_point()]
        self._sizes = [at.layout.n, *(leaves[i].numel() for i in self._moving)]
        self.n = sum(self._sizes)
        self._kept: dict[bool, list[Any]] = {True: [], False: []}
        self._smooth = False

    def __matmul__(self, d: Tensor) -> Tensor:
        """The tangent times one vector (n,) or columns (n, m)."""
        columns = d.reshape(self.n, -1)
        return self._apply(columns.T, form=False).T.reshape(d.shape)

    def matrix(self) -> Tensor:
        """The tangent, (n, n), n counting the memory."""
        eye = torch.eye(self.n, dtype=self._y.dtype, device=self._y.device)
        return self._apply(eye, form=True).T

    def multipliers(
        self, k: int = 2, tol: float = 1e-7, max_products: int = 500
    ) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
        """Eigenvalues of the tangent, largest modulus first, and their true residuals.

        All if the tangent is small; else the k dominant ones, as far as they converge within so many products: at
        steps so small that all multipliers crowd around 1, perhaps none.
        """
        values, residuals, _ = self.multiplier_pairs(k, tol, max_products)
        return values, residuals

    def multiplier_pairs(
        self, k: int = 2, tol: float = 1e-7, max_products: int = 500, *, progress: bool = False
    ) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.complex128]]:
        """As `multipliers`, and the eigenvectors as rows, (k, n): the state's part comes first."""
        if self.n <= FORMED_UP_TO:
            matrix = self.matrix()
            refuse_non_finite(self.field, self.field.value, matrix[: self._y.numel(), : self._y.numel()].T)
            M = matrix.double().cpu().numpy()
            values, vectors = np.linalg.eig(M)
            residuals = np.linalg.norm(M @ vectors - vectors * values, axis=0)
        else:
            g = torch.Generator(device=self._y.device).manual_seed(0)
            start = torch.randn(self.n, dtype=self._y.dtype, device=self._y.device, generator=g)
            given: dict[str, Any] = {"tol": tol, "basis": min(48, self.n), "max_products": max_products}
            found = eigenpairs(self.__matmul__, start, k, progress=progress, **given)
            which = np.flatnonzero(found.converged)
            values, residuals = found.values[which], found.residuals[which]
            rows = [found.vector(int(i)) for i in which]
            vectors = torch.stack(rows, 1).cpu().numpy() if rows else np.zeros((self.n, 0))
        order = np.argsort(-np.abs(values), kind="stable")
        return values[order].astype(np.complex128), residuals[order], vectors.T[order]

    def radius(self) -> float:
        """Spectral radius: below 1, perturbations of the step decay; nan where no dominant multiplier converged."""
        values, _ = self.multipliers()
        return float(np.abs(values).max()) if len(values) else float("nan")

    def _filled(self, y: Tensor) -> Any:
        with torch.no_grad():
            memory = self._stepper.init(self.field, self.t, y, self.h)
            info = StepInfo()
            while info.status == "ok" and not self._stepper.started(memory):
                _, memory, info = self._stepper.step(self.field, self.t, y, self.h, memory)
        return memory

    @torch.no_grad()
    def _apply(self, directions: Tensor, *, form: bool) -> Tensor:
        """Rows (m, n) of directions to rows of images."""
        parts = torch.split(directions, self._sizes, dim=1)
        if not self._stepper.variational:
            self._refuse_kinks()
            return torch.stack([self._difference(row) for row in zip(*parts, strict=True)])
        y = torch.cat([self._y[None], parts[0]])
        leaves = list(self._memory)
        for i, part in zip(self._moving, parts[1:], strict=True):
            leaves[i] = torch.cat([self._memory[i][None], part])
        rows = VariationalField(self.field, len(y), self._kept[form], form=form)
        with self.field.looking():
            new, memory, _ = self._stepper.step(rows, self.t, y, self.h, tree_unflatten(leaves, self._spec))
        after, _ = tree_flatten(memory)
        return torch.cat([new[1:], *(after[i][1:] for i in self._moving)], dim=1)

    def _refuse_kinks(self) -> None:
        """Refuse a step without a derivative there, of which differences of two lengths tell different things.

        Raises:
            ArgumentError: with what they say.
        """
        if self._smooth:
            return
        g = torch.Generator().manual_seed(0)
        direction = torch.split(torch.randn(self.n, generator=g, dtype=torch.float64).to(self._y), self._sizes)
        images = [self._difference(direction, share) for share in (1.0, 0.125)]
        sizes = [float(image.norm()) for image in images]
        rounding = ROUNDED * torch.finfo(self._y.dtype).eps ** (2 / 3) * float(torch.cat(list(direction)).norm())
        apart = float((images[0] - images[1]).norm())
        if not all(map(math.isfinite, sizes)) or apart > KINK * max(sizes) + rounding:
            expected = "a point at which the step of this method has a derivative"
            got = f"differences of it with sizes {sizes[0]:.3g} and {sizes[1]:.3g} an eighth as far"
            remedy = "second moments of 0 or signs of vanishing gradients? Give a run, whose memory is then used"
            raise ArgumentError("state", expected, got, remedy)
        self._smooth = True

    def _difference(self, direction: Sequence[Tensor], share: float = 1.0) -> Tensor:
        """The image of one direction by a central difference of the step itself, of a share of the usual length."""
        size = float(torch.cat(list(direction)).norm())
        if not size:
            return torch.zeros(self.n, dtype=self._y.dtype, device=self._y.device)
        scale = share * torch.finfo(self._y.dtype).eps ** (1 / 3) * self._length / size
        ends = []
        for sign in (scale, -scale):
            leaves = list(self._memory)
            leaves = [x.clone() if isinstance(x, Tensor) else x for x in leaves]  # a step may write its memory
            for i, part in zip(self._moving, direction[1:], strict=True):
                leaves[i] = self._memory[i] + sign * part.view_as(self._memory[i])
            y = self._y + sign * direction[0]
            with self.field.looking():
                new, memory, _ = self._stepper.step(self.field, self.t, y, self.h, tree_unflatten(leaves, self._spec))
            after, _ = tree_flatten(memory)
            ends.append(torch.cat([new, *(after[i].reshape(-1) for i in self._moving)]))
        image: Tensor = (ends[0] - ends[1]) / (2 * scale)
        return image


@shielded
def step_radius(
    flow: Flow,
    method: str | Method,
    state: State | Tensor | Run,
    h: float,
    batch: Any = None,
    *,
    t: float | None = None,
    **options: Any,
) -> float:
    """Spectral radius of the tangent of one real step: the measurement beside every prediction.

    Arguments as for StepTangent.

    Raises:
        ArgumentError: for a bad state or step, or a method whose coefficients change from step to step.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.bilinear()
        >>> round(step_radius(flows.gradient(game), "rk4", game.equilibrium_state(), 8**0.5), 9)
        1.0
    """
    return StepTangent(flow, same_each_step(method), state, h, batch, t=t, **options).radius()
