"""Stationary points: pseudo-transient continuation, which becomes Newton's method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import SolveError
from gamedyn.core import of_flow
from gamedyn.core.ambient import shielded
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
"""Pseudo-time step at which `I/delta - J` is -J: larger ones would only risk a singular matrix."""


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
    state: State | Tensor | Run,
    batch: Any = None,
    *,
    tol: float = 1e-12,
    delta: float = 1.0,
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
        state: where to start.
        batch: the full batch the losses take, or None.
        tol: on |v|, the 2-norm, in the flow's dtype: below about 1e-6 in float32 is out of reach.
        delta: first pseudo-time step.
        max_iterations: bound on linear systems.
        throw: whether to raise if it stalls.
        progress: whether to show a progress bar.

    Raises:
        SolveError: if the norm does not reach tol; `error.run` is the Equilibrium with the best point.
        ArgumentError: for a bad argument.

    Source: Kelley, Keyes 1998, SIAM J. Numer. Anal. 35, p. 508.

    Example:
        >>> from gamedyn import flows, games
        >>> game = games.dirac_gan("nonsaturating", "r1", 1.0)
        >>> find_equilibrium(flows.gradient(game), game.state()).status
        'converged'
    """
    positive("tol", tol)
    positive_int("max_iterations", max_iterations)
    held, size = of_flow(flow).at(state, batch), positive("delta", delta)
    at = held.at
    products = held.linearise(0.0, at.y)
    norm = float(products.value.norm())
    best, norms, done, improved = (at, norm), [norm], 0, 0
    with tqdm(total=max_iterations, disable=None if progress else True, unit="solve") as bar:
        while norm > tol and done < max_iterations:
            step = _shifted_solve(products, size)
            trial = None if step is None else at.with_y(at.y + step)
            after = None if trial is None or not bool(trial.y.isfinite().all()) else held.linearise(0.0, trial.y)
            done += 1
            bar.update()
            if trial is None or after is None or not float(after.value.norm()) < 10 * norm:
                size /= 10
                if size < 1e-12:
                    break
                continue
            new = float(after.value.norm())
            size = min(size * norm / max(new, 1e-300), NEWTON)
            at, norm, products = trial, new, after
            norms.append(norm)
            if norm < best[1]:
                best, improved = (at, norm), done
            elif done - improved >= PATIENCE:  # the flow leads away: Newton's method from the best point
                (at, norm), size, improved = best, NEWTON, done
                products = held.linearise(0.0, at.y)
            bar.set_postfix_str(f"|v| = {norm:.1e}")
    found = Equilibrium(best[0], best[1], "converged" if best[1] <= tol else "stalled", done, norms)
    if throw and found.status == "stalled":
        raise SolveError(
            f"|v| reached {found.norm:.2e} in {done} iterations, not {tol:.0e}; start nearer, or follow the flow first",
            found,
        )
    return found


def _shifted_solve(products: Products, delta: float) -> Tensor | None:
    """The step s with `(I/delta - J) s = v`: dense where small, else GMRES; None where the matrix is singular."""
    v = products.value
    if products.n <= FORMED_UP_TO:
        eye = torch.eye(products.n, dtype=v.dtype, device=v.device)
        shift, failed = torch.linalg.solve_ex(eye / delta - products.to_dense(), v)
        return None if bool(failed) else shift
    return gmres(lambda x: x / delta - products.jvp(x), v, rtol=1e-3).x
