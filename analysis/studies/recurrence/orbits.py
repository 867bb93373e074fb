"""Long runs of bilinear games and of the Dirac-GAN, and what is kept along them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.parts import Result

__all__ = ["SYMPLECTIC", "coupling", "kept", "orbit", "orders", "threshold"]

SYMPLECTIC = {"alternating": 1, "strang": 2, "ruth3": 3, "forest_ruth": 4}
"""Methods in turns, by order."""


def coupling(settings: Any, seed: int) -> torch.Tensor:
    """A random matrix of largest singular value 1."""
    A = torch.randn(settings.d, settings.d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found: torch.Tensor = A / torch.linalg.matrix_norm(A, 2)
    return found


def _flow(settings: Any, seed: int) -> tuple[Any, torch.Tensor]:
    A = coupling(settings, seed)
    flow = gd.flows.gradient(gd.games.bilinear(A))
    names = list(flow.game.players)
    return flow.with_rates({names[0]: 1.0, names[1]: settings.ratio}), A


def _start(settings: Any, seed: int) -> torch.Tensor:
    y = torch.randn(2 * settings.d, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)
    unit: torch.Tensor = y / y.norm()
    return unit


def kept(settings: Any, *, seed: int) -> Result:
    """The invariant `I = |x|^2 / h + |y|^2 / (r h) - <x, A y>`, the regret and the distance along a run in turns.

    `I >= (1 - h sqrt(r) / 2) |x|^2 / h` as the largest singular value of A is 1, which bounds |x| and with it the
    regret.

    Its sign of the coupling is that of the player who moves first; the regret of x beside a fixed x' counts each of
    its points twice, once for each of the two y that it meets.
    """
    flow, A = _flow(settings, seed)
    d, h, r = settings.d, settings.h, settings.ratio
    y0 = _start(settings, seed)
    points: list[torch.Tensor] = [y0]

    def note(view: Any) -> None:
        points.append(view.state.y.clone())

    gd.solve(flow, "alternating", h=h, steps=settings.steps, y0=flow.initial_state().with_y(y0), observers=[note])
    P = torch.stack(points)
    x, y = P[:, :d], P[:, d:]
    value = (x @ A * y).sum(1)
    invariant = x.square().sum(1) / h + y.square().sum(1) / (r * h) - value
    middle = (x[1:] + x[:-1]) / 2  # x moves first, against y as it was
    regret = ((middle - x[0] - 1.0) @ A * y[:-1]).sum(1).cumsum(0)
    # the invariant bounds |x| from its value at the start, so that the regret has a bound known beforehand
    farthest = (h * float(invariant[0]) / (1 - h * r**0.5 / 2)) ** 0.5
    bound = (farthest + float((x[0] + 1.0).norm())) ** 2 / (2 * h)
    simultaneous = gd.solve(
        flow, "euler", h=h, steps=min(settings.steps, 200), y0=flow.initial_state().with_y(y0), throw=False
    )
    figures = {
        "seed": seed,
        "drift": float((invariant / invariant[0] - 1).abs().max()),
        "largest": float(P.norm(dim=1).max()),
        "regret": float(regret.abs().max()),
        "bound": bound,
        "simultaneous": float(simultaneous.state.y.norm()),
        "simultaneous_steps": simultaneous.step,
    }
    stride = max(1, len(P) // 500)
    return Result(figures, {"norms": P.norm(dim=1)[::stride].numpy(), "regret": regret[::stride].numpy()})


def threshold(settings: Any, *, seed: int) -> Result:
    """Where alternating play stops being bounded: from the blocks, and by runs about it; the volume of a step."""
    flow, A = _flow(settings, seed)
    d, r = settings.d, settings.ratio
    J = np.zeros((2 * d, 2 * d))
    J[:d, d:], J[d:, :d] = -A.numpy(), r * A.numpy().T
    blocks = gd.stability.BlockJacobian(J, (d, d))
    first = gd.stability.stable_steps("alternating", blocks).first
    predicted = first[1] if first else 0.0
    volume = max(abs(np.linalg.det(gd.stability.step_matrix(m, blocks, settings.h)) - 1) for m in SYMPLECTIC)
    y0 = flow.initial_state().with_y(_start(settings, seed))
    ends = {}
    for factor in (0.99, 1.01):
        run = gd.solve(flow, "alternating", h=factor * predicted, steps=2000, y0=y0, throw=False)
        ends[f"{factor:g}"] = float(run.state.y.norm()) if run.status == "done" else float("inf")
    return Result({"seed": seed, "predicted": predicted, "theory": 2 / r**0.5, "volume": volume, "ends": ends})


def orbit(settings: Any, *, method: str) -> Result:
    """A run of the unregularised Dirac-GAN: how far it goes, and how near it comes back to its start.

    Logistic loss, minimax: the flow keeps |y|, but it is not bilinear, and a step does not keep the volume.
    """
    flow = gd.flows.gradient(gd.games.dirac_gan("minimax"))
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    points = [y0]

    def note(view: Any) -> bool:
        points.append(view.state.y.clone())
        return bool(points[-1].norm() > 1e3)

    state = flow.initial_state().with_y(y0)
    gd.solve(flow, method, h=settings.h, steps=settings.orbit_steps, y0=state, observers=[note], throw=False)
    P = torch.stack(points)
    away = (P - y0).norm(dim=1)
    left = int((away > 0.5).nonzero()[0]) if bool((away > 0.5).any()) else len(P)
    tangent = gd.spectrum.StepTangent(flow, method, state, settings.h).matrix()
    figures = {
        "method": method,
        "return": float(away[left:].min()) if left < len(P) else float("nan"),
        "largest": float(P.norm(dim=1).max()),
        "last": float(P[-1].norm()),
        "least": float(P.norm(dim=1).min()),
        "determinant": float(torch.linalg.det(tangent)) if tangent.shape[0] == 2 else float("nan"),
    }
    return Result(figures, {"points": P[:: max(1, len(P) // 4000)].float().numpy()})


def orders(settings: Any) -> Result:
    """Distance to the exact orbit after a turn, and the greatest change of |y|^2 on the way, over h, of a rotation."""
    flow = gd.flows.gradient(gd.games.bilinear())
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    rows = []
    for m in (*SYMPLECTIC, "rk4"):
        distances, energies = [], []
        for h in settings.orders:
            norms: list[float] = []

            def note(view: Any, norms: list[float] = norms) -> None:
                norms.append(float(view.state.y.square().sum()))

            n = round(6 / h)
            run = gd.solve(flow, m, h=h, steps=n, y0=flow.initial_state().with_y(y0), observers=[note])
            t = n * h
            exact = torch.matrix_exp(torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64) * t) @ y0
            distances.append(float((run.state.y - exact).norm()))
            energies.append(max(abs(e - 1) for e in norms))
        slope = [float(np.polyfit(np.log(settings.orders), np.log(e), 1)[0]) for e in (distances, energies)]
        limit = gd.stability.stable_steps(m, gd.stability.BlockJacobian(np.array([[0.0, -1], [1, 0]]), (1, 1))).first
        rows.append({"method": m, "slope": slope[0], "energy": slope[1], "limit": limit[1] if limit else 0.0})
    return Result({"rows": rows})
