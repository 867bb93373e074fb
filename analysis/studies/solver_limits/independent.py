"""Limits measured by code that shares nothing with gamedyn: the game written anew, other people's steppers.

euler by torch.optim.SGD on the modules, the 3/8 rule by torchdiffeq's odeint, alternating by a ten-line loop.
The tangent is central differences of the real step, its eigenvalues NumPy's. Only the latents are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import softplus
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torchdiffeq import odeint

from analysis.common.digits import digits
from analysis.common.parts import Result
from analysis.studies.solver_limits.limits import measured_limit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["row", "rows"]

STEPPERS = {"sgd": "euler", "torchdiffeq": "rk4_38", "loop": "alternating"}


def rows(points: tuple[str, ...]) -> list[tuple[str, str]]:
    """(point, stepper) for the affine-quadratic points."""
    return [(p, s) for p in points if p.startswith("affine") for s in STEPPERS]


def row(settings: Any, *, point: str, which: str) -> Result:
    """One measured limit."""
    world = World(settings.q, settings.decay_weight, point.removeprefix("affine_"))
    step = {"sgd": world.sgd, "torchdiffeq": world.torchdiffeq, "loop": world.loop}[which]
    start = world.equilibrium()

    def log_radius(h: float) -> float:
        return float(np.log(np.abs(np.linalg.eigvals(difference_tangent(lambda y: step(y, h), start))).max()))

    return Result(
        {"point": point, "stepper": which, "method": STEPPERS[which], "measured": measured_limit(log_radius)}, {}
    )


def difference_tangent(step: Callable[[torch.Tensor], torch.Tensor], y: torch.Tensor, eps: float = 1e-5) -> np.ndarray:
    """Central differences of a step, (n, n)."""
    columns = []
    for i in range(len(y)):
        e = torch.zeros_like(y)
        e[i] = eps
        columns.append((step(y + e) - step(y - e)) / (2 * eps))
    return torch.stack(columns, 1).numpy()


class World:
    """The affine-quadratic digits GAN from first principles, as plain modules."""

    def __init__(self, q: int, decay: float, loss: str) -> None:
        X = digits() - digits().mean(0)
        _, sizes, directions = np.linalg.svd(X, full_matrices=False)  # the signs matter: see the game's notes
        variances = sizes[:q] ** 2 / len(X)
        self.x = torch.as_tensor(X @ directions[:q].T / np.sqrt(variances[0]))
        z = torch.randn(512, q, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
        z = z - z.mean(0)
        self.z = torch.as_tensor(np.linalg.solve(np.linalg.cholesky(z.T @ z / len(z)), z.T).T)
        self.q, self.decay, self.loss = q, decay, loss
        self.G = torch.nn.ParameterList([torch.zeros(q * (q + 1) // 2), torch.zeros(q)]).double()
        self.D = torch.nn.ParameterList([torch.zeros(q + q * (q + 1) // 2 + 1)]).double()
        self.spread = torch.as_tensor(np.sqrt(variances / variances[0]))

    def equilibrium(self) -> torch.Tensor:
        """Principal components are uncorrelated, so the Cholesky factor is diagonal."""
        L = torch.diag(self.spread)
        return torch.cat(
            [L[tuple(torch.tril_indices(self.q, self.q))], torch.zeros(self.q), torch.zeros(len(self.D[0]))]
        ).double()

    def score(self, x: torch.Tensor) -> torch.Tensor:
        linear, quadratic, constant = self.D[0].split([self.q, self.q * (self.q + 1) // 2, 1])
        U = torch.zeros(self.q, self.q, dtype=torch.float64).index_put(
            tuple(torch.triu_indices(self.q, self.q)), quadratic
        )
        out: torch.Tensor = x @ linear + (x @ U * x).sum(1) + constant
        return out

    def losses(self) -> tuple[torch.Tensor, torch.Tensor]:
        L = torch.zeros(self.q, self.q, dtype=torch.float64).index_put(
            tuple(torch.tril_indices(self.q, self.q)), self.G[0]
        )
        real, fake = self.score(self.x), self.score(self.z @ L.T + self.G[1])
        penalty = 0.5 * self.decay * (self.D[0] ** 2).sum()
        if self.loss == "wasserstein":
            return -fake.mean(), fake.mean() - real.mean() + penalty
        return softplus(-fake).mean(), softplus(-real).mean() + softplus(fake).mean() + penalty

    def place(self, y: torch.Tensor) -> None:
        vector_to_parameters(y.clone(), [*self.G, *self.D])

    def sgd(self, y: torch.Tensor, h: float) -> torch.Tensor:
        """Both players' torch.optim.SGD, stepping at once."""
        self.place(y)
        optimisers = [torch.optim.SGD(self.G, lr=h), torch.optim.SGD(self.D, lr=h)]
        loss_g, loss_d = self.losses()
        for p, g in zip(self.G, torch.autograd.grad(loss_g, list(self.G), retain_graph=True), strict=True):
            p.grad = g
        for p, g in zip(self.D, torch.autograd.grad(loss_d, list(self.D)), strict=True):
            p.grad = g
        for o in optimisers:
            o.step()
        return parameters_to_vector([*self.G, *self.D]).detach()

    def torchdiffeq(self, y: torch.Tensor, h: float) -> torch.Tensor:
        """One step of torchdiffeq's rk4."""

        def f(t: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
            self.place(at)
            loss_g, loss_d = self.losses()
            g = torch.autograd.grad(loss_g, list(self.G), retain_graph=True)
            d = torch.autograd.grad(loss_d, list(self.D))
            return -torch.cat([x.flatten() for x in (*g, *d)])

        path: torch.Tensor = odeint(f, y, torch.tensor([0.0, h], dtype=torch.float64), method="rk4")
        return path[-1].detach()

    def loop(self, y: torch.Tensor, h: float) -> torch.Tensor:
        """The generator moves, then the discriminator."""
        self.place(y)
        for mine, which in ((self.G, 0), (self.D, 1)):
            slopes = torch.autograd.grad(self.losses()[which], list(mine))
            with torch.no_grad():
                for p, g in zip(mine, slopes, strict=True):
                    p -= h * g
        return parameters_to_vector([*self.G, *self.D]).detach()
