"""How the equations of implicit methods are solved: Newton-Krylov, Anderson acceleration, fixed-point iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

import torch
from torch import Tensor

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov import gmres
from gamedyn.krylov._basis import norms, sent
from gamedyn.krylov.anderson import anderson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.core import VectorField

__all__ = [
    "Anderson",
    "Krylov",
    "NewtonKrylov",
    "Outcome",
    "Solver",
    "StageEquation",
    "default_rtol",
    "fixed_point",
]


def default_rtol(dtype: torch.dtype) -> float:
    """1e-8 in float64, 1e-5 in float32: far below any step's own error, above rounding."""
    return 1e-8 if dtype == torch.float64 else 1e-5


STALLED = 6
"""Newton steps in which the residual must fall by a tenth, once twice as many have been made."""


class Outcome(NamedTuple):
    """What a solver gives.

    Attributes:
        x: the solution, or the last iterate.
        status: "ok", "not_converged" (the iterations ran out, or stalled) or "krylov_breakdown" (the linear system
            is singular).
        counts: iterations, products and unsolved linear systems.
    """

    x: Tensor
    status: str
    counts: Mapping[str, float]


class Equation(Protocol):
    """`x = g(x)` with a derivative; a vector (m,)."""

    def value(self, x: Tensor) -> Tensor:
        """g(x)."""

    def linearised(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """g(x), and u -> (I - g'(x)) u."""

    def rounding(self, x: Tensor) -> Tensor:
        """The residual below which all is rounding, (1,)."""


def _checked(rtol: float | None, atol: float) -> None:
    if rtol is not None:
        positive("rtol", rtol, "leave it out for the default")
    if not 0 <= atol < float("inf"):
        raise ArgumentError("atol", "a finite number of at least 0", atol)


@dataclass(frozen=True)
class Krylov:
    """How a linear system, or an exponential, is solved by products alone.

    Attributes:
        rtol: of the residual (the error of exponentials), relative; None: 1e-8 in float64, 1e-5 in float32.
        dimension: largest Krylov space before a restart.
        max_products: bound on the work of one system.
        look_every: products between two looks at the residual, or the space, each a wait for the device; None: 1 on a
            CPU, where looking is free, 4 elsewhere.
    """

    rtol: float | None = None
    dimension: int = 60
    max_products: int = 600
    look_every: int | None = None

    def __post_init__(self) -> None:
        _checked(self.rtol, 0.0)
        positive_int("dimension", self.dimension)
        positive_int("max_products", self.max_products)
        if self.look_every is not None:
            positive_int("look_every", self.look_every)


@dataclass(frozen=True)
class NewtonKrylov:
    """Inexact Newton's method, its linear systems solved by GMRES as exactly as they need to be.

    Eisenstat-Walker forcing: `eta = 0.9 (|F| / |F_before|)^2`, never below half the tolerance; the iteration ends
    when `|F| <= rtol |K| + atol sqrt(m)`, K being the stages' field values, or at rounding. It is given up early
    where six steps have not made F smaller by a tenth. (A field with jumps, such as that of a network of ReLUs,
    lets no residual fall below a jump: such games want a tolerance above theirs, 1e-3 or so.)

    Attributes:
        rtol: relative tolerance; None: 1e-8 in float64, 1e-5 in float32.
        atol: absolute tolerance, per root of the number of unknowns.
        max_iterations: Newton steps before a stage counts as not converged.
        forcing: eta of the first linear system.
        krylov: dimension and bound of the linear systems; its rtol is not used.

    Raises:
        ArgumentError: for tolerances that are zero or below (atol may be 0).

    Source: Eisenstat, Walker 1996, SIAM J. Sci. Comput. 17, choice 2; Knoll, Keyes 2004.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> solver = gd.integrators.NewtonKrylov(rtol=1e-12)
        >>> run = gd.solve(flow, "implicit_midpoint", h=0.5, steps=10, solver=solver)
        >>> round(float(run.state.y.norm()) ** 2, 10)
        2.0
    """

    rtol: float | None = None
    atol: float = 0.0
    max_iterations: int = 20
    forcing: float = 0.1
    krylov: Krylov = Krylov()

    def __post_init__(self) -> None:
        _checked(self.rtol, self.atol)
        positive_int("max_iterations", self.max_iterations)
        if not 0 < self.forcing < 1:
            raise ArgumentError("forcing", "a number between 0 and 1", self.forcing)

    def solve(self, equation: Equation, guess: Tensor) -> Outcome:
        """Solve `x = g(x)` from a guess."""
        x, eta, before, sizes = guess, self.forcing, 0.0, list[float]()
        counts = {"newton_iterations": 0.0, "krylov_products": 0.0, "linear_unsolved": 0.0}
        rtol = self.rtol or default_rtol(guess.dtype)
        for iteration in range(self.max_iterations + 1):
            value, apply = equation.linearised(x)
            F = value - x
            size, scale, rounding = norms(F, value, equation.rounding(x))  # the one look at an iterate
            if not size < float("inf"):
                return Outcome(x, "not_converged", counts)
            tolerance = max(rtol * scale + self.atol * len(x) ** 0.5, rounding)
            if size <= tolerance:
                return Outcome(x, "ok", counts)
            sizes.append(size)
            if iteration == self.max_iterations or (len(sizes) > 2 * STALLED and size > 0.9 * sizes[-1 - STALLED]):
                break
            if before:
                safe = 0.9 * eta**2
                eta = min(0.9, max(0.9 * (size / before) ** 2, safe if safe > 0.1 else 0.0))
            eta, before = max(eta, 0.5 * tolerance / size), size
            solution = gmres(
                apply,
                F,
                rtol=min(eta, 0.9),
                restart=self.krylov.dimension,
                max_products=self.krylov.max_products,
                check=False,
                size=size,
                look_every=self.krylov.look_every,
            )
            counts["newton_iterations"] += 1
            counts["krylov_products"] += solution.products
            if solution.status in ("breakdown", "non_finite"):
                return Outcome(x, "krylov_breakdown" if solution.status == "breakdown" else "not_converged", counts)
            counts["linear_unsolved"] += not solution.converged
            x = x + solution.x
        return Outcome(x, "not_converged", counts)


@dataclass(frozen=True)
class Anderson:
    """Anderson acceleration of the fixed-point iteration `K <- v(stage points of K)`: no derivatives.

    It converges where the plain iteration nearly does: for h |J| not far above 1.

    Attributes:
        depth: differences kept; 0 is the plain fixed-point iteration.
        rtol: of the residual, relative to the field values; None: 1e-8 in float64, 1e-5 in float32.
        atol: absolute tolerance, per root of the number of unknowns.
        max_iterations: evaluations of the stages before they count as not converged.
        damping: the share of the residual that is used.

    Raises:
        ArgumentError: for tolerances that are zero or below (atol may be 0).

    Source: Walker, Ni 2011, SIAM J. Numer. Anal. 49, p. 1715.

    Example:
        >>> Anderson(depth=3).max_iterations
        100
    """

    depth: int = 5
    rtol: float | None = None
    atol: float = 0.0
    max_iterations: int = 100
    damping: float = 1.0

    def __post_init__(self) -> None:
        _checked(self.rtol, self.atol)
        positive_int("depth", self.depth, least=0)
        positive_int("max_iterations", self.max_iterations)
        positive("damping", self.damping)

    def solve(self, equation: Equation, guess: Tensor) -> Outcome:
        """Solve `x = g(x)` from a guess."""
        found = anderson(
            equation.value,
            guess,
            depth=self.depth,
            rtol=self.rtol or default_rtol(guess.dtype),
            atol=self.atol,
            max_iterations=self.max_iterations,
            damping=self.damping,
            floor=equation.rounding,
        )
        counts = {"fixed_point_iterations": float(found.evaluations)}
        return Outcome(found.x, "ok" if found.converged else "not_converged", counts)


def fixed_point(**options: Any) -> Anderson:
    """Plain fixed-point iteration: Anderson acceleration of depth 0.

    Example:
        >>> fixed_point(max_iterations=7).depth
        0
    """
    return Anderson(depth=0, **options)


Solver = Union[NewtonKrylov, Anderson]


class StageEquation:
    """`K_i = v(t_i, base + h sum_j a_ij K_j)`: s stages at once, unknowns K flattened.

    Args:
        field: the field.
        times: t_i.
        base: point that all stages start from.
        weights: a_ij.
        h: step.

    Attributes:
        start: K = 0, where the field at all stages is that at the base.
    """

    def __init__(
        self, field: VectorField, times: Sequence[Any], base: Tensor, weights: Sequence[Sequence[float]], h: float
    ) -> None:
        self.field, self.times, self.base, self.h = field, times, base, float(h)
        self._single = weights[0][0] if len(times) == 1 else 0.0
        self.weights = sent([x for row in weights for x in row], base).view(len(times), len(times))
        self.start = base.new_zeros(len(times) * base.numel())
        self._all_alike = len(set(map(float, times))) == 1 or field.autonomous
        self._stiffness = base.new_zeros(())
        largest = torch.linalg.vector_norm(base, ord=float("inf"))  # squares of the entries may be lost
        unit = torch.where(largest > 0, largest, 1.0)
        self._base = unit * torch.linalg.vector_norm(base / unit) * len(times) ** 0.5

    def points(self, K: Tensor) -> Tensor:
        """The stage points, (s, *shape)."""
        stages = self.weights @ K.view(len(self.times), -1)
        return torch.add(self.base.reshape(1, -1), stages, alpha=self.h).view(len(self.times), *self.base.shape)

    def value(self, K: Tensor) -> Tensor:
        """The field at the stage points."""
        return torch.stack([self.field(t, y) for t, y in zip(self.times, self.points(K), strict=True)]).view(-1)

    def linearised(self, K: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The field at the stage points, and the derivative of the residual there."""
        points, s = self.points(K), len(self.times)
        if s > 1 and self._all_alike and K is self.start:  # all stages at one point: linearise once
            at = [self.field.linearise(self.times[0], points[0])] * s
        else:
            at = [self.field.linearise(t, y) for t, y in zip(self.times, points, strict=True)]

        def apply(u: Tensor) -> Tensor:
            if s == 1:
                image = at[0].jvp(u.view(self.base.shape)).reshape(-1)
                self._note(image, u)
                return torch.sub(u, image, alpha=self.h * self._single)
            inner = (self.weights @ u.view(s, -1)).view(s, *self.base.shape)
            image = torch.stack([a.jvp(x) for a, x in zip(at, inner, strict=True)]).view(-1)
            self._note(image, inner)
            return torch.sub(u, image, alpha=self.h)

        return torch.stack([a.value for a in at]).reshape(-1), apply

    def rounding(self, x: Tensor) -> Tensor:
        """Rounding of a step, `eps |y| / h`, and of the field, `eps |J| |y|`, (1,)."""
        eps = torch.finfo(x.dtype).eps
        least: Tensor = 4 * eps * self._base * (1 / self.h + self._stiffness)
        return least.to(x.dtype).view(1)

    def _note(self, image: Tensor, u: Tensor) -> None:
        """The largest |J u| / |u| so far: Krylov spaces soon hold the stiff directions."""
        ratio = image.norm() / u.norm().clamp_min(torch.finfo(u.dtype).tiny)
        self._stiffness = torch.maximum(self._stiffness, ratio)
