"""A method made to measure: the polynomial with the largest stable step on a given spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.checks import finite, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, RungeKutta, get, nested
from gamedyn.stability.matrices.eigenvalues import Spectrum, eigenvalue_array, is_complete
from gamedyn.stability.steps.first_steps import first_limit, outermost
from gamedyn.stability.steps.optimal import Rays
from gamedyn.stability.steps.step_sets import ZERO, StepSet, sorted_modes, stable_steps
from gamedyn.stability.symbols import stability_function

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.stability.symbols.polynomial import Polynomial

    Real = NDArray[np.float64]
    Complex = NDArray[np.complex128]

__all__ = ["Tailored", "tailor"]

MOST_STAGES, MOST_ORDER = 15, 4
"""Beyond 15 stages double precision does not resolve the polynomial; beyond order 4 none is offered."""

PERTURBED = 0.01
"""Relative change of the eigenvalues that `Tailored.perturbed` allows."""

STRICT = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
"""Shares of the step given up, in turn, until the polynomial stays strictly inside the unit circle."""

MOST_INTERNAL = 1e7
"""Magnification of stage errors beyond which double precision does not resolve where |P| is 1."""

ROUNDS = 12
"""How often points at which the polynomial was found too large are added."""

SMALLEST, LARGEST = Fraction(1, 10**4), Fraction(10)
"""Between these the coefficients of a nested method must lie; a chain of stages takes over where they do not."""


@dataclass(frozen=True)
class Tailored:
    """A method for one spectrum, and what is proved of it.

    Attributes:
        method: the method, unregistered; `solve` takes it as it is.
        steps: its stable steps, computed from its coefficients as for any method, on the outermost eigenvalue of
            each direction: these decide the first interval.
        designed: the step that the optimisation was asked to reach; `limit` is what was reached.
        order: order on nonlinear games: 2 at most, whatever the polynomial's.
        linear_order: order on linear games, that of the polynomial.
        polynomial: its coefficients, exactly, constant term first.
        largest: the largest |P(h lambda)| at the limit h.
        perturbed: the same when every eigenvalue may be off by one per cent, in any direction. Above 1, a step
            of that size is not safe while the spectrum moves.
        internal: the largest factor `|c_k (h lambda)^k|` by which an error in a stage enters the result; rounding is
            magnified so.
        damping: share of the flow's damping that was asked for.
    """

    method: RungeKutta
    steps: StepSet
    designed: float
    order: int
    linear_order: int
    polynomial: Polynomial
    largest: float
    perturbed: float
    internal: float
    damping: float
    _modes: Complex = field(repr=False, compare=False)

    @property
    def limit(self) -> float:
        """Largest stable step: all smaller ones are stable, too."""
        return self.steps.limit

    @property
    def stages(self) -> int:
        """Field evaluations a step."""
        return self.method.evaluations

    @property
    def per_evaluation(self) -> float:
        """Largest stable step over evaluations."""
        return self.limit / self.stages

    def gain(self, method: str | Method = "rk4") -> float:
        """How much further an evaluation goes than with another explicit method: inf where that has no stable step.

        Args:
            method: an explicit method whose modes decouple, or its name.

        Raises:
            ArgumentError: for an implicit method, one that needs blocks, or one without coefficients here.
        """
        other: Any = get(method)
        if not (other.has_theory and other.explicit and other.decouples):
            remedy = "see rank_methods for the others"
            raise ArgumentError("method", "an explicit method whose modes decouple", method, remedy)
        advance = first_limit(other, self._modes)[0] * float(other.time_scale)
        return self.per_evaluation * float(other.evaluations) / advance if advance else math.inf

    def __str__(self) -> str:
        orders = f"order {self.order}" + (f" ({self.linear_order} on linear games)" * (self.order != self.linear_order))
        form = getattr(self.method, "form", "tableau")
        gains = ", ".join(f"{self.gain(m):.4g} times {m}'s" for m in ("rk4", "euler"))
        return (
            f"{form}, {self.stages} stages, {orders}: stable up to h = {self.limit:.6g}, "
            f"{self.per_evaluation:.6g} per evaluation ({gains}); growth there {self.largest:.6g}, "
            f"{self.perturbed:.6g} if eigenvalues move by 1 %; stage errors enter {self.internal:.3g} times"
        )

    def records(self) -> dict[str, Any]:
        """What is proved, for JSON; coefficients as fractions in text."""
        plain = ("designed", "order", "linear_order", "largest", "perturbed", "internal", "damping")
        out: dict[str, Any] = {key: getattr(self, key) for key in (*plain, "limit", "stages", "per_evaluation")}
        gains = {m: None if math.isinf(g := self.gain(m)) else g for m in ("rk4", "euler")}
        texts = {"polynomial": [str(c) for c in self.polynomial], "b": [str(w) for w in self.method.b]}
        return out | texts | {"A": [[str(a) for a in r] for r in self.method.A], "gain": gains}


def tailor(spectrum: Spectrum, stages: int, order: int = 1, *, damping: float = 0.0) -> Tailored:
    """The explicit method of so many stages with the largest stable step on a spectrum.

    `P(z) = sum_{k <= order} z^k / k! + sum_{k > order} c_k z^k` with the largest h such that `|P(r lambda)| <= 1` for
    every eigenvalue and every r in [0, h]: smaller steps are stable, too. At a given h the smallest bound on |P| is a
    convex problem; h is found by bisection. The bound demanded is `1 - damping (1 - exp(Re z))`: the share `damping`
    of what the flow takes from each mode.

    Without zero coefficients P is stepped as a nested method `u_k = y + a_k h v(u_{k-1})`, which stores y and u
    whatever its stages; else as a Runge-Kutta method whose stages form a chain. Both are of order 2 at most on
    nonlinear games; orders 3 and 4 are reached on linear ones only (`linear_order`).

    The step is proved for this spectrum, not for another: as training moves the eigenvalues, tailor anew, or take
    a part of the step (see `perturbed`). Eigenvalues that are left out are not proved anything of.

    Args:
        spectrum: eigenvalues of `J = dv/dy`: an array, Eigenvalues or a BlockJacobian; of a conjugate pair one
            is enough.
        stages: at most 15.
        order: 1 to 4, at most `stages`; the order on linear games.
        damping: in [0, 1).

    Raises:
        ArgumentError: for an empty or infinite spectrum, one without a nonzero eigenvalue, one that the flow
            amplifies (near h = 0 no method damps it), stages or an order out of range, or where no step is stable.

    Source: Ketcheson, Ahmadia 2012, Commun. Appl. Math. Comput. Sci. 7, p. 247, algorithm 1.

    Example:
        >>> made = tailor([-1.0], stages=2)
        >>> round(made.limit, 4), made.order, made.method.registers_used
        (8.0, 1, 2)
        >>> round(tailor([1j], stages=3, order=2).limit, 4)
        2.0
    """
    stages, order = _counts(stages, order)
    damping = finite("damping", damping)
    if not 0 <= damping < 1:
        raise ArgumentError("damping", "a number of at least 0 and below 1", damping)
    modes = _damped(spectrum)
    complete = is_complete(spectrum)
    c, designed = _best(Rays(modes, stages, order, damping))
    method = _method(c)
    steps = stable_steps(method, outermost(modes), complete=complete)
    if not steps.limit:
        remedy = "take more stages, a lower order, or a spectrum that the flow damps more"
        raise ArgumentError("stages", "enough of them for some stable step on this spectrum", stages, remedy)
    _confirmed(method, steps.limit, outermost(modes))
    R = stability_function(method)
    z = steps.limit * modes
    turns = 1 + PERTURBED * np.exp(2j * np.pi * np.arange(16) / 16)
    sizes = [abs(float(x)) * np.abs(z).max() ** k for k, x in enumerate(R.numerator)]
    return Tailored(
        method=method,
        steps=steps,
        designed=designed,
        order=method.order,
        linear_order=R.linear_order(),
        polynomial=R.numerator,
        largest=float(np.abs(R(z)).max()),
        perturbed=float(np.abs(R(np.outer(z, turns))).max()),
        internal=float(max(sizes)),
        damping=damping,
        _modes=modes,
    )


def _counts(stages: int, order: int) -> tuple[int, int]:
    if positive_int("order", order) > MOST_ORDER:
        remedy = "nested methods have order 2 on nonlinear games however high the polynomial's"
        raise ArgumentError("order", f"a whole number from 1 to {MOST_ORDER}", order, remedy)
    if positive_int("stages", stages, least=order) > MOST_STAGES:
        raise ArgumentError("stages", f"at most {MOST_STAGES}", stages, "double precision resolves no longer ones")
    return stages, order


def _damped(spectrum: Spectrum) -> Complex:
    """One mode per conjugate pair, none of them 0."""
    modes, facts = sorted_modes(eigenvalue_array(spectrum), ZERO)
    if facts["growing"]:
        worst = max(facts["growing"], key=lambda lam: lam.real)
        remedy = "near h = 0 every method follows the flow; leave the growing modes out to bound the others"
        raise ArgumentError("spectrum", "eigenvalues that the flow does not amplify", f"{worst:.6g}", remedy)
    if not modes:
        raise ArgumentError("spectrum", "an eigenvalue that is not 0", "zeros", "every step is stable")
    return np.array(modes, dtype=np.complex128)


def _confirmed(method: RungeKutta, limit: float, rays: Complex) -> None:
    """Refuse a limit that sampling contradicts: an interval from roots that rounding has moved."""
    shares = np.arange(1, 401) / 400
    worst = max(float(np.abs(stability_function(method)(limit * share * rays)).max()) for share in shares)
    if worst > 1 + 1e-6:
        got = f"{method.stages}, whose polynomial reaches {worst:.6g} below the step h = {limit:.6g} that was computed"
        raise ArgumentError("stages", "a polynomial that double precision resolves", got, "take fewer stages")


def _best(rays: Rays) -> tuple[list[Fraction], float]:
    """The exact coefficients of the polynomial whose proved limit is largest, and the step it was designed for."""
    exact = [Fraction(1, math.factorial(k)) for k in range(rays.order + 1)]
    if rays.stages == rays.order:
        return exact, first_limit(_method(exact), rays.modes)[0]
    reach, a = rays.largest_reach(2.0 * rays.stages**2)
    for _ in range(ROUNDS):
        if not reach or not len(worst := rays.offenders(rays.coefficients(a, reach), reach, rays.modes, rays.fine)):
            break
        rays.add(worst)
        reach, a = rays.largest_reach(reach)
    _refuse_rounding(rays, reach, a)
    best, found, designed = exact, 0.0, reach / rays.scale
    for given_up in STRICT if reach else ():
        aim = reach * (1 - given_up)
        for _ in range(ROUNDS):
            a, excess = rays.solved(aim, settle=False)
            if excess > 0:
                break
            c = rays.coefficients(a, aim)
            proved = exact + [Fraction(float(x)) for x in c[rays.order + 1 :]]
            limit, binding = first_limit(_method(proved), rays.modes)
            if limit > found:
                best, found, designed = proved, limit, aim / rays.scale
            if binding is None or limit >= (1 - 1e-9) * aim / rays.scale:
                return best, designed
            worst = rays.offenders(c, aim, np.array([binding]), 4000)
            if not len(worst):
                break
            rays.add(worst)
        if found * rays.scale >= reach * (1 - 3 * given_up):
            break
    return best, designed


def _refuse_rounding(rays: Rays, reach: float, a: Real) -> None:
    """Refuse a polynomial so sensitive to its coefficients that floats do not tell where it is 1 in modulus."""
    terms = np.abs(rays.coefficients(a, reach or 1.0)) * reach ** np.arange(rays.order + a.size + 1)
    if terms.max() > MOST_INTERNAL:
        text = f"{rays.stages}, whose polynomial magnifies the errors of its stages {terms.max():.2g} times"
        raise ArgumentError("stages", "a polynomial that double precision resolves", text, "take fewer stages")


def _method(c: list[Fraction]) -> RungeKutta:
    """A method whose stability function has these coefficients, constant term first."""
    c = c[: max(k for k, x in enumerate(c) if x) + 1]
    ratios = [b / a if a else Fraction(0) for a, b in pairwise(c[1:])]
    if all(SMALLEST <= abs(r) <= LARGEST for r in ratios):
        return nested([*reversed(ratios), Fraction(1)], source="tailored")
    return _chain(c, "tailored")


def _chain(c: list[Fraction], source: str) -> RungeKutta:
    """Stages `u_i = y + a_i h v(u_{i-1})` with the nodes of exp's nested form; weights by elimination.

    `h k_i = z + a_{i-1} z^2 + a_{i-1} a_{i-2} z^3 + ...`: triangular, whatever coefficients are 0.
    """
    s = len(c) - 1
    a = [Fraction(1, s - i) for i in range(s - 1)]  # node of stage i + 2
    powers = []
    for i in range(s):
        column, product = [Fraction(1)], Fraction(1)
        for j in range(i - 1, -1, -1):
            product *= a[j]
            column.append(product)
        powers.append(column + [Fraction(0)] * (s - 1 - i))
    rest, b = list(c[1:]), [Fraction(0)] * s
    for i in range(s - 1, -1, -1):
        b[i] = rest[i] / powers[i][i]
        rest = [r - b[i] * p for r, p in zip(rest, powers[i], strict=True)]
    A = [[Fraction(0)] * (i - 1) + [a[i - 1]] if i else [] for i in range(s)]
    return RungeKutta(A, b, source=source)
