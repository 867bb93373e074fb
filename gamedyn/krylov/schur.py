"""Eigenvalues of an operator on torch vectors: Krylov-Schur, which is Arnoldi (or Lanczos) restarted stably."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov._basis import rounding
from gamedyn.krylov._decomposition import Decomposition
from gamedyn.krylov._projected import WANTED, Ordered, eigen, extended, ordered, wanted_first
from gamedyn.krylov.ritz import RitzPairs, borne_out, images_of, with_residuals
from gamedyn.krylov.room import check_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["eigenpairs", "symmetric_eigenpairs"]

CHECK_EVERY = 4
"""Products between looks at what has converged, within one basis."""

KEEP = 0.3
"""Of what is not wanted, the part that a restart keeps at least."""


def eigenpairs(
    matvec: Callable[[Tensor], Tensor],
    start: Tensor,
    k: int = 6,
    which: str = "largest_modulus",
    *,
    tol: float = 1e-8,
    basis: int | None = None,
    max_products: int | None = None,
    multiple: bool = False,
    resume: RitzPairs | None = None,
    on_restart: Callable[[int, int], object] | None = None,
    progress: bool = False,
) -> RitzPairs:
    """The k most wanted eigenvalues of a real operator, each with its true residual `|A x - lambda x| / |x|`.

    Real arithmetic throughout; pairs of conjugates are never cut in two, so there may be k + 1 values. A
    Krylov space sees one vector of an eigenspace: copies of a multiple eigenvalue appear with rounding, or not
    at all. `multiple=True` looks for them: what has been found is locked and the search begins anew beside it, until
    what it finds is no longer wanted.

    Args:
        matvec: x -> A x, (n,) to (n,), linear; what it is given must not be kept or written.
        start: first vector, (n,), in the precision to work in. A sum of wanted eigenvectors is a warm start.
        k: how many.
        which: "rightmost", "leftmost", "largest_modulus" or "largest_imaginary" (of the imaginary part's size).
            The unstable eigenvalues of a stiff operator are not among those of largest modulus: ask for "rightmost".
        tol: residual, relative to |A|, at which a pair counts as converged.
        basis: vectors kept, at least k + 3; None: max(2 k + 4, 20). Memory is (basis + 1 + a few) n numbers.
        max_products: bound on the products, those of the residuals not counted; None: 100 (k + 2).
        multiple: whether to look for further copies of what has been found.
        resume: what an earlier call on the same operator returned: its basis is gone on from; `start` gives the
            precision only.
        on_restart: called with products so far and the number converged.
        progress: whether to show a progress bar.

    Returns:
        RitzPairs, the most wanted first; `status` and `converged` tell what has not been reached.

    Raises:
        ArgumentError: for k or a basis too large or too small, an unknown kind, a start that is no vector.

    Source: Stewart 2001, SIAM J. Matrix Anal. Appl. 23, p. 601.

    Example:
        >>> import torch
        >>> A = torch.diag(torch.arange(-50.0, 0.0, dtype=torch.float64))
        >>> found = eigenpairs(lambda x: A @ x, torch.ones(50, dtype=torch.float64), 2, "rightmost")
        >>> found.values.real.round(6), found.status
        (array([-1., -2.]), 'converged')
    """
    search = _Search(matvec, start, k, which, tol, basis, max_products, symmetric=False)
    return search.run(resume, multiple=multiple, on_restart=on_restart, progress=progress)


def symmetric_eigenpairs(
    matvec: Callable[[Tensor], Tensor],
    start: Tensor,
    k: int = 6,
    which: str = "largest_modulus",
    *,
    tol: float = 1e-8,
    basis: int | None = None,
    max_products: int | None = None,
    multiple: bool = False,
    resume: RitzPairs | None = None,
    on_restart: Callable[[int, int], object] | None = None,
    progress: bool = False,
) -> RitzPairs:
    """As `eigenpairs`, of a symmetric operator: Lanczos with thick restart and full reorthogonalisation.

    Arguments as there; "rightmost" are the largest, "leftmost" the smallest. Values are real, residuals bound their
    errors: `|lambda - exact| <= residual`. Symmetry is the caller's word; an operator without it gets large residuals.

    Raises:
        ArgumentError: as there; for "largest_imaginary".

    Source: Wu, Simon 2000, SIAM J. Matrix Anal. Appl. 22, p. 602.

    Example:
        >>> import torch
        >>> A = torch.diag(torch.arange(-50.0, 0.0, dtype=torch.float64))
        >>> found = symmetric_eigenpairs(lambda x: A @ x, torch.ones(50, dtype=torch.float64), 2, "leftmost")
        >>> found.values.real.round(6)
        array([-50., -49.])
    """
    if which == "largest_imaginary":
        raise ArgumentError("which", "a kind that real eigenvalues have", which, "largest_modulus, rightmost, leftmost")
    search = _Search(matvec, start, k, which, tol, basis, max_products, symmetric=True)
    return search.run(resume, multiple=multiple, on_restart=on_restart, progress=progress)


class _Search:
    """One call: the decomposition, and what is wanted of it."""

    def __init__(
        self,
        matvec: Callable[[Tensor], Tensor],
        start: Tensor,
        k: int,
        which: str,
        tol: float,
        basis: int | None,
        max_products: int | None,
        *,
        symmetric: bool,
    ) -> None:
        if not isinstance(start, Tensor) or start.ndim != 1 or not start.is_floating_point():
            got = f"{start.dtype}, shape {tuple(start.shape)}" if isinstance(start, Tensor) else type(start).__name__
            raise ArgumentError("start", "a vector of real floating-point numbers", got)
        n = len(start)
        if positive_int("k", k) > n:
            raise ArgumentError("k", f"at most {n}, the operator's dimension", k)
        size = max(2 * k + 4, 20) if basis is None else positive_int("basis", basis)
        if size < min(n, k + 3):
            raise ArgumentError("basis", f"at least k + 3 = {k + 3}", size, "a larger one needs fewer products")
        self.k, self.which, self.symmetric = k, choice("which", which, tuple(WANTED)), symmetric
        self.tol, self.size = positive("tol", tol), min(size, n)
        check_room(self.size + 1, start, "ask for fewer eigenvalues, or for a smaller basis, which takes more products")
        self.budget = 100 * (k + 2) if max_products is None else positive_int("max_products", max_products)
        self.matvec, self.start, self.restarts = matvec, start.detach(), 0

    def run(self, resume: RitzPairs | None, *, progress: bool, **how: Any) -> RitzPairs:
        """The search, with its bar."""
        off = None if progress else True
        with tqdm(total=self.budget, desc=self.which, unit="product", disable=off) as self._bar:
            return self._run(resume, **how)

    def _run(
        self, resume: RitzPairs | None, *, multiple: bool, on_restart: Callable[[int, int], object] | None
    ) -> RitzPairs:
        """Grow and restart until the wanted have converged; then, if asked, look for copies beside them."""
        at = Decomposition(self.matvec, self.start, self.size)
        if resume is not None:
            expected = f"RitzPairs of this operator, of dimension {at.n}"
            if not isinstance(resume, RitzPairs) or resume.basis.shape[-1] != at.n:
                raise ArgumentError("resume", expected, repr(resume))
            at.restore(resume.basis, resume.projected, resume.norm)
        locked, target = 0, self.k
        while True:
            end = self._grow(at, locked, target)
            form, done = self._form(at, locked, target)
            found = len(done) >= target and bool(done.all())
            if on_restart is not None:
                on_restart(at.products, int(done.sum()))
            if end != "full":
                return self._result(at, "converged" if end == "exhausted" or (found and not multiple) else end)
            ended = found and (not multiple or (locked and not self._better(form, at, locked)))
            if not found:
                form = self._kept(form, int(done.sum()))
            alone = ended and not locked  # all of the basis is left to go on from
            at.rotate(form.Q, form.T, locked, len(form.T) if alone else form.first)
            self.restarts += 1
            if ended:
                return self._result(at, "converged", form.first if alone else None)
            if found:  # of what has converged alone: the rest may be wanted more
                self._cut(at, self.k)
                at.begin_anew()
                locked, target = at.size, 1

    def _grow(self, at: Decomposition, locked: int, target: int) -> str:
        """Expand until the basis is full or the wanted have converged ("full"); or say what came between."""
        begun = at.size
        while at.size < at.limit and not at.exhausted:
            if at.products >= self.budget:
                return "budget"
            if not at.expand():
                return "non_finite"
            self._bar.update()
            look = (at.size - begun) % CHECK_EVERY == 0 and locked + target < at.size < at.limit
            if look and self._form(at, locked, target)[1].all():
                break
        return "exhausted" if at.exhausted else "full"

    def _form(self, at: Decomposition, locked: int, target: int) -> tuple[Ordered, NDArray[np.bool]]:
        """The Schur form of what is not locked, its wanted eigenvalues first, and which have converged."""
        form = ordered(at.square[locked:, locked:], self.which, target, symmetric=self.symmetric)
        _, weights = eigen(form.T[: form.first, : form.first])
        residuals = np.abs(at.out[locked:] @ form.Q[:, : form.first] @ weights)
        return form, residuals <= self.tol * at.scale

    def _kept(self, form: Ordered, converged: int) -> Ordered:
        """What a restart keeps: the wanted, and of the rest more the more have converged (as ARPACK does)."""
        rest = len(form.T) - form.first
        keep = form.first + min(max(converged, int(KEEP * rest)), rest // 2)
        room = max(len(form.T) - 2, 0)  # for a product, though a pair be kept whole: without one it would never end
        return extended(form, self.which, min(keep, room), symmetric=self.symmetric)

    def _better(self, form: Ordered, at: Decomposition, locked: int) -> bool:
        """Whether what was found beside the locked ones is wanted more than the least of them."""
        key = WANTED[self.which]
        new, old = eigen(form.T[: form.first, : form.first])[0], eigen(at.square[:locked, :locked])[0]
        return float(key(new).max()) > float(key(old).min()) + self.tol * at.scale

    def _cut(self, at: Decomposition, count: int) -> None:
        """Keep the `count` most wanted, no more."""
        form = ordered(at.square, self.which, count, symmetric=self.symmetric)
        at.rotate(form.Q, form.T, 0, form.first)

    def _result(self, at: Decomposition, status: str, wanted: int | None = None) -> RitzPairs:
        """Of the first `wanted`, or of as many as are asked for of all."""
        if wanted is None:
            form = ordered(at.square, self.which, self.k, symmetric=self.symmetric)
            at.rotate(form.Q, form.T, 0, at.size)
            wanted = form.first
        small, rows = at.square[:wanted, :wanted].copy(), at.rows[:wanted]
        images = images_of(self.matvec, rows)
        values, residuals, weights = with_residuals(images, rows, small)
        order = wanted_first(values, self.which)
        converged = residuals[order] <= (self.tol + 10 * rounding(rows)) * at.scale
        return RitzPairs(
            values=values[order],
            residuals=residuals[order],
            converged=converged,
            status=borne_out(status, converged),
            norm=at.scale,
            products=at.products,
            residual_products=int(wanted),
            restarts=self.restarts,
            schur=rows,
            small=small,
            vectors_by=weights[:, order],
            basis=at.rows[: at.size + 1],
            projected=at.S[: at.size + 1, : at.size].copy(),
        )
