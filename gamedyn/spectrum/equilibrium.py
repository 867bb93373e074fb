"""Stationary points: pseudo-transient continuation, which becomes Newton's method."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError, SolveError
from gamedyn.core.ambient import shielded
from gamedyn.core.point import length_scale, point
from gamedyn.core.protocols import of_flow
from gamedyn.krylov import gmres
from gamedyn.spectrum.linearise import FORMED_UP_TO

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run
    from gamedyn.jacobian.products import Products

__all__ = ["Equilibrium", "find_equilibrium"]

NEWTON = 1e12
"""Pseudo-time step, in first ones, at which `I/delta - J` is -J: larger ones would only risk a singular matrix."""

SHARE = 1e-12
"""Of |J| and of the size of the parameters, what |v| must fall to; in single precision of what it can fall to."""

POWERS = 4
"""Products with J from which its size is estimated."""

PATIENCE = 10
"""Iterations without a better point after which Newton's method is tried from the best one."""


@dataclass(frozen=True)
class Equilibrium:
    """Where the search ended.

    Attributes:
        state: the point.
        norm: |v| there.
        status: "converged" or "stalled".
        iterations: linear systems solved.
        norms: |v| after every iteration, the start included.
    """

    state: State
    norm: float
    status: str
    iterations: int
    norms: list[float] = field(repr=False)


@shielded
def find_equilibrium(
    flow: Flow,
    state: State | Tensor | Run | None = None,
    batch: Any = None,
    *,
    tol: float | None = None,
    delta: float | None = None,
    max_iterations: int = 100,
    throw: bool = True,
    progress: bool = False,
) -> Equilibrium:
    """A point with |v| <= tol, from a start near enough.

    Each iteration solves `(I/delta - J) s = v` and steps by s; delta grows as the norm falls (switched
    evolution relaxation), so the search begins along the flow and ends as Newton's method. Where the flow leads
    away from the point, Newton's method is tried from the best one so far: the search may end at an unstable
    stationary point. Linearise there.

    Args:
        flow: the flow, penalty terms included.
        state: where to start; None: where the players stand.
        batch: the full batch the losses take, or None.
        tol: on |v|, the 2-norm; None: 1e-12 |J| |y| in double precision, 1e-5 of it in single, |J| as some products
            show it and |y| the size of the point or of the players as they stand, whichever is larger. So a game in
            other units of time or of parameters has the same equilibrium.
        delta: first pseudo-time step; None: 1/|J|.
        max_iterations: bound on linear systems.
        throw: whether to raise if it stalls.
        progress: whether to show a progress bar.

    Raises:
        SolveError: if the norm does not reach tol; `error.run` is the Equilibrium with the best point.
        ArgumentError: for a bad argument; for shares of strategies that are not on the simplex.

    Source: Kelley, Keyes 1998, SIAM J. Numer. Anal. 35, p. 508.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.dirac_gan("nonsaturating", "r1", 1.0)
        >>> find_equilibrium(flows.gradient(game), game.state()).status
        'converged'
    """
    positive_int("max_iterations", max_iterations)
    own = of_flow(flow)
    frozen = own.at(admitted(own, own.initial_state() if state is None else state), batch)
    at, tangent = frozen.at, own.tangent
    products = frozen.linearise(0.0, at.y)
    norm, stiffness = float(products.value.norm()), _stiffness(products)
    first = 1 / stiffness if delta is None else positive("delta", delta)
    share = SHARE if at.y.dtype == torch.float64 else 1e2 * torch.finfo(at.y.dtype).eps
    tol = share * stiffness * length_scale(frozen.flow.game, at.y) if tol is None else positive("tol", tol)
    size = first
    best, norms, done, improved = (at, norm), [norm], 0, 0
    with tqdm(total=max_iterations, disable=None if progress else True, unit="solve") as bar:
        while norm > tol and done < max_iterations:
            step = _shifted_solve(products, size)
            if step is not None and tangent is not None:
                step = tangent @ (tangent.T @ step)  # a zero eigenvalue across lets rounding grow
            trial = None if step is None else at.with_y(at.y + step)
            if trial is not None and not (bool(trial.y.isfinite().all()) and own.admits(trial.parts())):
                trial = None
            after = None if trial is None else frozen.linearise(0.0, trial.y)
            done += 1
            bar.update()
            if trial is None or after is None or not float(after.value.norm()) < 10 * norm:
                size /= 10
                if size < first / NEWTON:
                    break
                continue
            new = float(after.value.norm())
            size = min(size * norm / max(new, 1e-300), NEWTON * first)
            at, norm, products = trial, new, after
            norms.append(norm)
            if norm < best[1]:
                best, improved = (at, norm), done
            elif done - improved >= PATIENCE:  # the flow leads away: Newton's method from the best point
                (at, norm), size, improved = best, NEWTON * first, done
                products = frozen.linearise(0.0, at.y)
            bar.set_postfix_str(f"|v| = {norm:.1e}")
    found = Equilibrium(best[0], best[1], "converged" if best[1] <= tol else "stalled", done, norms)
    if throw and found.status == "stalled":
        raise SolveError(
            f"|v| reached {found.norm:.2e} in {done} iterations, not {tol:.0e}; start nearer, or follow the flow first",
            found,
        )
    return found


def admitted(flow: Any, state: Any) -> State:
    """The state, if it is one that the flow is made for.

    Raises:
        ArgumentError: as `point`; for shares of strategies that are not on the simplex.
    """
    found = point(flow, state)
    if not flow.admits(found.parts()):
        got = ", ".join(f"{n}: least {float(p.min()):.4g}, sum {float(p.sum()):.6g}" for n, p in found.parts().items())
        raise ArgumentError("state", "shares of strategies, none negative, with sum 1", got, "a point of the simplex")
    return found


def _stiffness(products: Products) -> float:
    """|J| as a few steps of the power method show it, from v; 1 where they show none."""
    found, u = 0.0, products.value
    for _ in range(POWERS):
        length = float(u.norm())
        if not 0 < length < math.inf:
            break
        u = products.jvp(u / length)
        found = max(found, float(u.norm()))
    return found if 0 < found < math.inf else 1.0


def _shifted_solve(products: Products, delta: float) -> Tensor | None:
    """The step s with `(I/delta - J) s = v`: dense where small, else GMRES; None where the matrix is singular."""
    v = products.value
    if products.n <= FORMED_UP_TO:
        eye = torch.eye(products.n, dtype=v.dtype, device=v.device)
        shift, failed = torch.linalg.solve_ex(eye / delta - products.to_dense(), v)
        return None if bool(failed) else shift
    return gmres(lambda x: x / delta - products.jvp(x), v, rtol=1e-3).x
