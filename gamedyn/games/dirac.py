"""The Dirac-GAN: the smallest GAN, with every loss and penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.games._critical import scalar_pair
from gamedyn.games._types import GameFamily, start
from gamedyn.losses import AdversarialLoss, get, names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DIRAC_GAN"]

PENALTIES = ("none", "r1", "r2", "instance_noise", "consensus", "squared_gradient", "gradient_penalty")

SLOPES = {  # of a generated sample's score at 0: L_G', L_D', real'' + fake'' (0 where scores are compared), L_G''
    "hinge": (-1.0, 1.0, 0.0, 0.0),
    "kl": (-1.0, 1.0, 1.0, -1.0),
    "least_squares": (-1.0, 1.0, 2.0, 1.0),
    "minimax": (-0.5, 0.5, 0.5, -0.5),
    "neyman": (-2.0, 2.0, 2.0, 2.0),
    "nonsaturating": (-0.5, 0.5, 0.5, 0.25),
    "pearson": (-2.0, 2.0, 2.0, -2.0),
    "relativistic": (-0.5, 0.5, 0.0, 0.25),
    "relativistic_average": (-1.0, 1.0, 0.0, 0.5),
    "reverse_kl": (-1.0, 1.0, 1.0, 0.0),
    "squared_hellinger": (-0.5, 0.5, 0.5, -0.25),
    "total_variation": (-0.5, 0.5, 0.0, 0.0),
    "wasserstein": (-1.0, 1.0, 0.0, 0.0),
}

CRITICAL_WEIGHTS = [  # where J is defective
    ("nonsaturating", "r1", 1.0),
    ("wasserstein", "r2", 2.0),
    ("minimax", "instance_noise", 2**0.5),
    ("nonsaturating", "squared_gradient", 2.0),
]


def _dirac_gan(
    loss: str | AdversarialLoss = "nonsaturating",
    penalty: str = "none",
    weight: float = 0.0,
    *,
    initial: Sequence[float] = (1.0, 1.0),
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Game:
    """Data at 0, a generator that is a point theta, a discriminator `D(x) = psi x`; equilibrium (0, 0).

    With slopes `a = -generator'(0)`, `b = fake'(0)` the Jacobian there is `[[0, a], [-b, p]]`, p from the
    penalty: 0 for none, `-w` for r1 and r2 (`w/2 psi^2`), `-(real'' + fake'')(0) w^2` for instance noise of
    standard deviation w (by Gauss-Hermite quadrature, so without noise), `-2 w a^2` for the squared
    gradient of ODE-GAN; consensus (`w/2 |xi|^2` to both) adds `-w diag(b^2, a^2)`, xi being the players'
    stacked gradients. gradient_penalty (`w/2 (|psi| - 1)^2`, WGAN-GP) has no differentiable equilibrium.

    The weights at which rotation ends, `w = 2 sqrt(a b)` of r1 and r2 (1 for the GAN, 2 for the WGAN), make J
    defective: a double eigenvalue with one eigenvector. Only consensus curves both own losses: elsewhere the
    generator's own block is zero, and Nash undecided.

    Args:
        loss: an adversarial loss, or its name.
        penalty: one of none, r1, r2, instance_noise, consensus, squared_gradient, gradient_penalty.
        weight: w above.
        initial: first theta and psi.
        dtype: of the players G (theta) and D (psi).
        device: of the players.

    Raises:
        UnknownNameError: for an unknown loss or penalty.

    Source: Mescheder, Geiger, Nowozin 2018, section 2 and appendix.

    Example:
        >>> from gamedyn import games
        >>> torch.linalg.eigvals(games.dirac_gan("wasserstein").jacobian)
        tensor([0.+1.j, 0.-1.j], dtype=torch.complex128)
    """
    chosen, penalty = get(loss), choice("penalty", penalty, PENALTIES)
    w = float(weight)
    std = w if penalty == "instance_noise" else 0.0
    if std and chosen.relative:
        remedy = "an expectation over pairs is another game: take a loss of separate scores"
        raise ArgumentError("penalty", f"one other than instance_noise with {chosen.name}", penalty, remedy)
    nodes, masses = (torch.as_tensor(x, dtype=dtype, device=device) for x in np.polynomial.hermite_e.hermegauss(16))
    masses = masses / masses.sum()

    def outputs(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        """(L_G, L_D) without penalty."""
        if not std:
            return chosen(torch.zeros_like(psi), psi * theta)
        real = (masses * chosen.real(psi * std * nodes)).sum()
        scores = psi * (theta + std * nodes)
        loss_d = real + (masses * chosen.fake(scores)).sum()
        return (-loss_d if chosen.zero_sum else (masses * chosen.generator(scores)).sum()), loss_d

    def losses(theta: Tensor, psi: Tensor) -> dict[str, Tensor]:
        loss_g, loss_d = outputs(theta, psi)
        extra_g, extra_d = _penalties(penalty, w, outputs, theta, psi)
        return {"G": loss_g + extra_g, "D": loss_d + extra_d}

    known = chosen.name in SLOPES and penalty != "gradient_penalty"
    zero = torch.zeros(1, dtype=dtype, device=device)
    origin, J = {"G": zero, "D": zero}, _jacobian(chosen.name, penalty, w) if known else None
    conserves = chosen.zero_sum and penalty == "none"
    return Game(
        {"G": start(initial[:1], 1, dtype, device), "D": start(initial[1:], 1, dtype, device)},
        losses,
        name="dirac_gan",
        equilibrium=None if J is None else origin,
        jacobian=None if J is None else J.to(zero),
        invariant=(lambda theta, psi: (theta.square() + psi.square()).sum()) if conserves else None,
        zero_sum=chosen.zero_sum and penalty in ("none", "instance_noise"),
        critical_points=() if J is None else [scalar_pair(origin, (-J).tolist(), _cross(chosen.name, penalty, w))],
    )


def _penalties(
    penalty: str, w: float, outputs: Callable[..., tuple[Tensor, Tensor]], theta: Tensor, psi: Tensor
) -> tuple[Tensor | float, Tensor | float]:
    """What the penalty adds to L_G and L_D."""
    if penalty in ("r1", "r2"):
        return 0.0, 0.5 * w * psi.square().sum()
    if penalty == "gradient_penalty":
        return 0.0, 0.5 * w * (psi.abs() - 1).square().sum()
    if penalty in ("consensus", "squared_gradient"):
        slope_g = torch.func.grad(lambda x: outputs(x, psi)[0])(theta)
        if penalty == "squared_gradient":
            return 0.0, w * slope_g.square().sum()
        slope_d = torch.func.grad(lambda x: outputs(theta, x)[1])(psi)
        both = 0.5 * w * (slope_g.square().sum() + slope_d.square().sum())
        return both, both
    return 0.0, 0.0


def _jacobian(loss: str, penalty: str, w: float) -> Tensor:
    generator, fake, curvature, _ = SLOPES[loss]
    J = torch.tensor([[0.0, -generator], [-fake, 0.0]], dtype=torch.float64)
    if penalty in ("r1", "r2"):
        J[1, 1] = -w
    elif penalty == "instance_noise":
        J[1, 1] = -curvature * w**2
    elif penalty == "squared_gradient":
        J[1, 1] = -2 * w * generator**2
    elif penalty == "consensus":
        J[0, 0], J[1, 1] = -w * fake**2, -w * generator**2
    return J


def _cross(loss: str, penalty: str, w: float) -> tuple[float, float]:
    """Curvatures at the origin of L_G in psi and of L_D in theta."""
    generator, fake, _, bend = SLOPES[loss]
    if penalty == "consensus":
        return w * generator**2, w * fake**2
    return (bend * w**2, 0.0) if penalty == "instance_noise" else (0.0, 0.0)


def _every_example() -> list[Callable[[], tuple[Game, None]]]:
    cases = [(x, p) for x in names() for p in PENALTIES if not (p == "instance_noise" and get(x).relative)]
    weighted = [(loss, penalty, 0.0 if penalty == "none" else 0.3) for loss, penalty in cases]
    weighted += [*CRITICAL_WEIGHTS, ("nonsaturating", "r1", 3.0)]
    return [lambda c=c: (_dirac_gan(*c), None) for c in weighted]  # type: ignore[misc]


DIRAC_GAN = GameFamily(
    name="dirac_gan",
    make=_dirac_gan,
    examples=tuple(_every_example()),
    source="Mescheder, Geiger, Nowozin 2018",
    aliases=("dirac",),
)
