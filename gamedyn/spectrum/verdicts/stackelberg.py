"""Is the point a differential Stackelberg equilibrium? The leader's total derivatives along the others' best response.

With F = (D_f L_f) of the followers, r their best response to the leader l, and p = (D_f F)^-T D_f L_l:

    Dr = -(D_f F)^-1 D_l F,   total gradient D_l L_l + Dr^T D_f L_l,   total Hessian T^T (D^2 Psi) T,

T = (I, Dr), Psi = L_l - <p, F> with p fixed. (Differentiate F(x, r(x)) = 0 twice: what the second derivative of r adds
to L_l is -<p, d^2 F>.) For a zero-sum game p = 0 at a stationary point, and the total Hessian is the Schur complement.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn._lib.errors import SolveError
from gamedyn.jacobian.differentiation import differentiable, written_out
from gamedyn.krylov import LinearOperator, gmres
from gamedyn.spectrum.verdicts.answers import Answer
from gamedyn.spectrum.verdicts.extent import Extent, extent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gamedyn.jacobian import GameJacobian

__all__ = ["stackelberg"]

RTOL = 1e-9
"""Of the followers' systems where no matrix is formed."""


def stackelberg(
    J: GameJacobian,
    leader: str,
    own: Mapping[str, Extent],
    *,
    formed: bool,
    basis: int,
    risk: float,
    stationary: float,
    scale: float,
    error: float = 0.0,
) -> Answer:
    """Whether followers are at a strict best response and the leader at a strict minimum along it.

    Args:
        J: of the game's gradient flow, rates 1, no penalties.
        leader: its name; all others follow.
        own: extents of the own Hessians.
        formed: whether matrices are formed.
        basis: Lanczos steps otherwise.
        risk: of their bounds.
        stationary: |total gradient| up to which it counts as zero.
        scale: what rounding is relative to.
        error: by how much J may be off besides.

    Source: Fiez, Chasnov, Ratliff 2020, ICML, definition 4.
    """
    bounds = {p: {f"least eigenvalue of D_ii L_i, {p}": own[p].least} for p in own if p != leader}
    for p in bounds:  # one "no" is enough, whatever the others are, and in whatever order
        if own[p].least[1] < 0:
            why = f"follower {p}'s own Hessian has an eigenvalue of at most {own[p].least[1]:.3g}"
            return Answer("no", why, bounds[p], own[p].risk)
    for p in bounds:
        if not own[p].least[0] > 0:
            kind = "zero" if own[p].sign == "zero" else "singular, or not known to be definite"
            why = f"follower {p}'s own Hessian is {kind}: its best response is not unique"
            return Answer("undecided", why, bounds[p])
    try:
        response = _Response(J, leader, formed=formed, scale=scale)
        total = response.total_gradient()
        gradient = float(total.norm())
        if gradient > stationary and gradient > stationary * response.gain(total):  # more than where v is not quite 0
            why = f"the leader's total gradient is {gradient:.3g}: moving with the others' response, it gains"
            return Answer("no", why, {"|total gradient|": (gradient, gradient)})
        found = extent(response.hessian(), formed=formed, basis=basis, risk=risk, scale=scale, error=error)
    except SolveError as error:
        return Answer("undecided", f"the followers' response could not be computed: {error}")
    wrong = math.sqrt(response.size) * response.error
    low, high = found.least[0] - wrong, found.least[1] + wrong
    figures = {"least eigenvalue of the leader's total Hessian": (low, high)}
    if low > 0:
        why = f"followers at a strict best response, the leader's total Hessian at least {low:.3g}"
        return Answer("yes", why, figures, found.risk)
    if high < 0:
        why = f"the leader's total Hessian has an eigenvalue of at most {high:.3g}"
        return Answer("no", why, figures, found.risk)
    between = f"has a least eigenvalue between {low:.3g} and {high:.3g}"
    why = f"is semi-definite to rounding ({found.null} zero eigenvalues)" if found.null else between
    return Answer("undecided", f"the leader's total Hessian {why}", figures, found.risk)


class _Response:
    """The followers' best response to a leader at a point, to second order.

    Attributes:
        error: by how much the products with the total Hessian so far may be wrong, per length of the vector: to first
            order, what the residuals r of the two solves make of it is `<r_1, D_f F^-T y_f>` and `<Dr, r_2>`.
    """

    def __init__(self, J: GameJacobian, leader: str, *, formed: bool, scale: float) -> None:
        self.error, self._gain = 0.0, 1.0
        self._rounding, self._rtol = J.shape[0] * torch.finfo(J.dtype).eps * scale, 0.0 if formed else RTOL
        self.J, layout = J, J.state.layout
        self.place = layout.place(leader)
        self.own = layout.slices[self.place]
        self.n, self.size = J.shape[0], self.own.stop - self.own.start
        self._matrix = J.to_dense() if formed else None
        if self._matrix is not None:
            D = -self._others(self._others(self._matrix).T).T
            *factors, info = torch.linalg.lu_factor_ex(D)
            if int(info):
                raise SolveError("their Jacobian is singular")
            self._factors = tuple(factors)
        self.gradients, self._hessian_product = self._scalars()

    def total_gradient(self) -> Tensor:
        """`D_l L_l + Dr^T D_f L_l = D_l L_l - (D_l F)^T p`, (n_l,)."""
        return self.gradients[self.own] + self.J.rmatvec(self._joined(None, self.p))[self.own]

    def hessian(self) -> LinearOperator:
        """The leader's total Hessian, (n_l, n_l)."""

        def product(u: Tensor) -> Tensor:
            moved = self._others(self.J.matvec(self._joined(u, None)))  # -(D_l F) u: F's derivative is -J's rows
            response = self._solve(moved, transposed=False)
            image = self._hessian_product(self._joined(u, response))
            # T^T y = y_l + Dr^T y_f = y_l - (D_l F)^T (D_f F)^-T y_f
            left = self._others(image)
            pulled = self._solve(left, transposed=True)
            length, *sizes = (float(x.norm()) for x in (u, response, pulled, moved, left))
            gain = 1 + (sizes[0] + sizes[1]) / length
            misfit = self._rounding * gain + self._rtol * (sizes[2] + sizes[3]) / length
            self.error, self._gain = max(self.error, misfit * gain), gain
            return image[self.own] + self.J.rmatvec(self._joined(None, pulled))[self.own]

        return LinearOperator((self.size, self.size), product, product, dtype=self.J.dtype, device=self.J.device)

    def gain(self, u: Tensor) -> float:
        """What a small F adds to the total gradient along u, per length of F, and 1 more, for the leader's own part."""
        self.hessian().matvec(u)
        return self._gain

    def _solve(self, b: Tensor, *, transposed: bool) -> Tensor:
        """`(D_f F)^-1 b` or its transpose's, D_f F = -J_ff."""
        if self._matrix is not None:
            x: Tensor = torch.linalg.lu_solve(*self._factors, b[:, None], adjoint=transposed)[:, 0]
            return x
        J = self.J.T if transposed else self.J
        if not bool(b.any()):
            return torch.zeros_like(b)
        found = gmres(
            lambda x: -self._others(J.matvec(self._joined(None, x))), b, rtol=RTOL, restart=100, max_products=3000
        )
        if not found.converged:
            raise SolveError(f"GMRES: {found.status}, residual {found.residual:.1e}")
        return found.x

    def _scalars(self) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The gradient of L_l, (n,); products with the Hessian of Psi."""
        field, layout = self.J.field, self.J.state.layout
        leaves = [v.clone().requires_grad_() for v in layout.views(self.J.state.y)]
        options: dict[str, Any] = {"create_graph": True, "materialize_grads": True, "allow_unused": True}
        with field.looking(), torch.enable_grad(), written_out(third=True), differentiable():
            losses = field.velocity(self.J.t, leaves, field.asked(create_graph=True)).losses
            slope = torch.autograd.grad(losses[self.place], leaves, **options)
            gradient = layout.flat([g.detach() for g in slope])
            self.p = self._solve(self._others(gradient), transposed=True)
            weights = layout.views(self._joined(None, self.p))
            psi = losses[self.place]
            if bool(self.p.any()):
                for i, at in enumerate(layout.leaf_slices):
                    if i != self.place:
                        F = torch.autograd.grad(losses[i], leaves[at], **options)
                        psi = psi - _inner(F, weights[at])
                slope = torch.autograd.grad(psi, leaves, **options)

        def product(w: Tensor) -> Tensor:
            live = [(g, x) for g, x in zip(slope, layout.views(w), strict=True) if g.requires_grad]
            if not live:
                return torch.zeros_like(w)
            outputs, cotangents = zip(*live, strict=True)
            with field.looking(), differentiable():
                field.flow.game.binding.put(leaves)
                out = torch.autograd.grad(
                    outputs, leaves, cotangents, retain_graph=True, materialize_grads=True, allow_unused=True
                )
            image: Tensor = layout.flat([x.detach() for x in out])
            return image

        return gradient, product

    def _others(self, whole: Tensor) -> Tensor:
        return torch.cat([whole[: self.own.start], whole[self.own.stop :]])

    def _joined(self, leader: Tensor | None, others: Tensor | None) -> Tensor:
        whole = torch.zeros(self.n, dtype=self.J.dtype, device=self.J.device)
        if leader is not None:
            whole[self.own] = leader
        if others is not None:
            whole[: self.own.start], whole[self.own.stop :] = others[: self.own.start], others[self.own.start :]
        return whole


def _inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()
