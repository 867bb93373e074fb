"""The affine-quadratic GAN: real data, an equilibrium in closed form, no collapse."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.games._types import GameFamily
from gamedyn.losses import AdversarialLoss, get

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["AFFINE_QUADRATIC_GAN"]


class AffineGenerator(nn.Module):
    """`x = L z + b`, L lower triangular (its entries row by row), in scaled principal components.

    `pixels(z)` gives the samples in the space of the data.
    """

    def __init__(self, directions: Tensor, offset: Tensor, scale: float) -> None:
        super().__init__()
        q = len(directions)
        rows, columns = torch.tril_indices(q, q, device=directions.device)
        basis = directions.new_zeros(q, q, len(rows))
        basis[rows, columns, torch.arange(len(rows), device=directions.device)] = 1
        self._basis, self._directions, self._offset, self._scale = basis, directions, offset, scale
        self.entries = nn.Parameter(torch.eye(q).to(directions)[rows, columns])
        self.b = nn.Parameter(directions.new_zeros(q))

    def forward(self, z: Tensor) -> Tensor:
        """Samples (n, q) from latents (n, q)."""
        L: Tensor = self._basis @ self.entries
        return z @ L.T + self.b

    def pixels(self, z: Tensor) -> Tensor:
        """Samples in the data's own space, (n, features)."""
        components: Tensor = self(z)
        return components * self._scale @ self._directions + self._offset


class QuadraticDiscriminator(nn.Module):
    """`D(x) = u . (x, x_i x_j for i <= j, 1)`."""

    def __init__(self, q: int, like: Tensor) -> None:
        super().__init__()
        i, j = torch.triu_indices(q, q, device=like.device)
        self._basis = like.new_zeros(q, q, len(i))
        self._basis[i, j, torch.arange(len(i), device=like.device)] = 1
        self.u = nn.Parameter(like.new_zeros(q + len(i) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n,) for samples (n, q)."""
        q = x.shape[-1]
        U: Tensor = self._basis @ self.u[q:-1]
        return x @ self.u[:q] + (x @ U * x).sum(1) + self.u[-1]


def _affine_quadratic_gan(
    data: ArrayLike | Tensor,
    q: int = 8,
    weight_decay: float = 0.02,
    loss: str | AdversarialLoss = "nonsaturating",
    *,
    latents: int = 512,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """A GAN on q principal components of real data whose equilibrium is known in closed form.

    The components are divided by the first's standard deviation. Generator `x = L z + b` on fixed latents,
    whitened exactly; discriminator `u . (x, x_i x_j, 1)` with `weight_decay/2 |u|^2` in its loss. At the
    equilibrium L is the Cholesky factor of the components' covariance, b their mean, u = 0: the generated
    distribution has the data's first two moments. `game.players["G"].pixels(z)` draws samples in the
    data's space; `game.latents` are the latents.

    The signs of the components are those of LAPACK's singular value decomposition. They matter a little: the
    latents are whitened, not symmetric, so a flip is another game (on the digits the non-saturating Euler limit
    then lies between 0.364 and 0.369).

    Args:
        data: (samples, features), for instance the digits scaled to [-1, 1].
        q: number of components; the game has `q (q+1)/2 + q` and `q + q (q+1)/2 + 1` parameters.
        weight_decay: c, on all of u.
        loss: an adversarial loss, or its name.
        latents: number of latents, more than q.
        seed: of the latents.
        dtype: of everything.
        device: of everything.

    Raises:
        ArgumentError: if the data is not a finite matrix of rank at least q, or there are too few latents.

    Example:
        >>> from gamedyn import games
        >>> data = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
        >>> games.affine_quadratic_gan(data, q=2)
        affine_quadratic_gan(G: 5, D: 6)
    """
    X = torch.as_tensor(data).to(device=device, dtype=dtype)
    q = positive_int("q", q)
    if X.dim() != 2 or len(X) <= q or X.shape[1] < q or not bool(X.isfinite().all()):
        raise ArgumentError(
            "data", f"a finite (samples, features) matrix larger than q = {q}", f"shape {tuple(X.shape)}"
        )
    if positive_int("latents", latents) <= q:
        raise ArgumentError("latents", f"more than q = {q} latents", latents)
    chosen = get(loss)
    mean = X.mean(0)
    _, sizes, directions = torch.linalg.svd(X - mean, full_matrices=False)
    if sizes[q - 1] <= 1e-10 * sizes[0]:
        raise ArgumentError("data", f"data of rank at least q = {q}", "data of lower rank")
    scale = float(sizes[0] / len(X) ** 0.5)
    directions = directions[:q]
    real = (X - mean) @ directions.T / scale
    z = whitened(torch.randn(latents, q, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(real)
    G, D = AffineGenerator(directions, mean, scale), QuadraticDiscriminator(q, real)

    def losses(G: AffineGenerator, D: QuadraticDiscriminator) -> dict[str, Tensor]:
        loss_g, loss_d = chosen(D(real), D(G(z)))
        return {"G": loss_g, "D": loss_d + 0.5 * weight_decay * D.u.square().sum()}

    centred = real - real.mean(0)
    L = torch.linalg.cholesky(centred.T @ centred / len(real))
    rows, columns = torch.tril_indices(q, q, device=real.device)
    game = Game(
        {"G": G, "D": D},
        losses,
        name="affine_quadratic_gan",
        equilibrium={"G": torch.cat([L[rows, columns], real.mean(0)]), "D": D.u.detach() * 0},
    )
    game.latents = z  # type: ignore[attr-defined]
    return game


def whitened(z: Tensor) -> Tensor:
    """Samples with mean 0 and covariance exactly the identity."""
    z = z - z.mean(0)
    L: Tensor = torch.linalg.cholesky(z.T @ z / len(z))
    return cast("Tensor", torch.linalg.solve_triangular(L, z.T, upper=False).T)


def _example(loss: str) -> tuple[Game, None]:
    data = torch.randn(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return _affine_quadratic_gan(data * torch.arange(5, 0, -1), q=3, loss=loss, latents=16), None


AFFINE_QUADRATIC_GAN = GameFamily(
    name="affine_quadratic_gan",
    make=_affine_quadratic_gan,
    examples=tuple(partial(_example, loss) for loss in ("nonsaturating", "wasserstein", "least_squares")),
    source="this project: the moment-matching GAN of a Gaussian in principal components",
)
