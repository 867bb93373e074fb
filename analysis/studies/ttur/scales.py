"""The saddle of the TTUR paper, Adam's equations of motion, and thresholds of a ratio of rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common import gans
from analysis.common.parts import Result
from gamedyn.ablation import Setup

__all__ = [
    "PAIRS",
    "adam_errors",
    "adam_part",
    "digits",
    "heavy_ball",
    "noisy",
    "saddle_limit",
    "saddle_spectrum",
    "thresholds",
]

PAIRS = {
    "one rate, 0.01": (0.01, 0.01),
    "one rate, 0.009": (0.009, 0.009),
    "one rate, 0.005": (0.005, 0.005),
    "one rate, 0.001": (0.001, 0.001),
    "TTUR (0.0001, 0.01)": (0.0001, 0.01),
    "reversed (0.01, 0.0001)": (0.01, 0.0001),
}
"""Rates of (x, y) on `f(x, y) = (1 + x^2)(100 - y^2)`, x minimises; the paper's and some between."""


def saddle_flow() -> gd.flows.GradientFlow:
    """The saddle as a game: x descends f, y ascends it; equilibrium (0, 0)."""

    def losses(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        f = ((1 + x**2) * (100 - y**2)).sum()
        return {"x": f, "y": -f}

    zero = torch.zeros(1, dtype=torch.float64)
    return gd.flows.gradient(gd.Game({"x": zero.clone(), "y": zero.clone()}, losses))


def saddle_spectrum() -> np.ndarray:
    """Eigenvalues at the saddle: -200 and -2, no rotation."""
    flow = saddle_flow()
    values: np.ndarray = gd.spectrum.linearise(flow, flow.initial_state()).eigenvalues.values
    return values


def saddle_limit(_: Any, bisections: int = 20) -> Result:
    """The largest step of play in turns that ends at the saddle from near it, by runs."""
    flow = saddle_flow()
    start = flow.initial_state().with_y(torch.tensor([1e-3, -1e-3], dtype=torch.float64))

    def stays(h: float) -> bool:
        run = gd.solve(flow, "alternating", h=h, steps=500, y0=start, throw=False)
        return run.status == "done" and float(run.state.y[0].abs()) < 1e-3

    low, high = 1e-3, 1.0
    for _ in range(bisections):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if stays(middle) else (low, middle)
    return Result({"limit": low})


def noisy(rates: tuple[float, float], runs: int, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """The paper's runs: in turns, from (0.5, -0.4), Gaussian gradient noise of deviation 1.

    Returns the mean distance over the last fifth of each run, and the largest distance (inf: not finite).
    """
    g = np.random.default_rng(0)
    x, y = np.full(runs, 0.5), np.full(runs, -0.4)
    late, largest, tail = np.zeros(runs), np.zeros(runs), iterations // 5
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(iterations):
            x = x - rates[0] * (2 * x * (100 - y**2) + g.standard_normal(runs))
            y = y - rates[1] * (2 * y * (1 + x**2) + g.standard_normal(runs))
            size = np.hypot(x, y)
            largest = np.fmax(largest, np.where(np.isfinite(size), size, np.inf))
            late += size / tail * (i >= iterations - tail)
    return np.where(np.isfinite(late), late, np.inf), largest


def heavy_ball(friction: float, omega: float = 1.0) -> dict[str, float]:
    """Largest real part of `w'' + a w' = v(w)`: on a bowl (v = -w), and on a rotation (v = i omega w)."""
    bowl = np.roots([1.0, friction, 1.0])
    turn = np.roots([1.0, friction, -1j * omega])
    return {"bowl": float(bowl.real.max()), "rotation": float(turn.real.max())}


def adam_errors(hs: tuple[float, ...], time: float = 2.0, a1: float = 2.0, a2: float = 2.0) -> dict[str, list[float]]:
    """Distance of Adam's steps, `beta_k = 1 - h a_k`, to Adam's own flow, and to the heavy ball with friction a1.

    On the bowl `(x^2 + 10 y^2) / 2`; the heavy ball `w'' + a1 w' + a1 grad f = 0` is what the paper's theorem says.
    """
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    game = gd.Game({"w": torch.tensor([1.0, 0.5], dtype=torch.float64)}, lambda w: {"w": (scale * w**2).sum() / 2})
    flow = gd.flows.gradient(game)
    ode = gd.flows.adam(flow, a1=a1, a2=a2, bias_correction=True)
    fine = gd.solve(ode, "heun2", h=time / 4000, steps=4000).state.y[:2]
    w0 = game.state().y
    ball = _heavy_ball_at(w0, scale, a1, time)
    found: dict[str, list[float]] = {"Adam's flow": [], "heavy ball": []}
    for h in hs:
        adam = gd.methods.get("torch.optim:Adam", betas=(1 - h * a1, 1 - h * a2))
        y = gd.solve(flow, adam, h=h, steps=round(time / h)).state.y
        found["Adam's flow"].append(float((y - fine).norm()))
        found["heavy ball"].append(float((y - ball).norm()))
    return found


def adam_part(settings: Any) -> Result:
    """The same, kept."""
    return Result(adam_errors(settings.adam_hs))


def _heavy_ball_at(w0: torch.Tensor, scale: torch.Tensor, a: float, time: float) -> torch.Tensor:
    n = len(w0)
    A = torch.zeros(2 * n, 2 * n, dtype=torch.float64)
    A[:n, n:], A[n:, :n], A[n:, n:] = torch.eye(n), -a * torch.diag(scale), -a * torch.eye(n)
    found: torch.Tensor = (torch.matrix_exp(A * time) @ torch.cat([w0, torch.zeros(n, dtype=torch.float64)]))[:n]
    return found


def thresholds(settings: Any) -> Result:
    """Ratios of the second player's rate from which on a strict local minmax point is stable: predicted, and by runs.

    The quadratic game (-1, 3, -3, 3), whose threshold is 1/3, and the two points of the Stackelberg polynomial game
    that
    are stable but no Nash equilibria.
    """
    rows = []
    quadratic = gd.flows.gradient(gd.games.quadratic([[-1.0, 3.0], [-3.0, 3.0]], (1, 1)))
    polynomial = gd.flows.gradient(gd.games.stackelberg_polynomial())
    points = {
        "quadratic (-1, 3, -3, 3)": (quadratic, (0.0, 0.0)),
        "polynomial, (-13.3, -10.0)": (polynomial, (-13.3392, -9.9917)),
        "polynomial, (-2.5, -2.3)": (polynomial, (-2.5015, -2.3399)),
    }
    for name, (flow, at) in points.items():
        start = flow.initial_state().with_y(torch.tensor(at, dtype=torch.float64))
        state = gd.spectrum.find_equilibrium(flow, start).state
        J = gd.spectrum.linearise(flow, state).J.to_dense().numpy()
        predicted = _predicted(J)
        rows.append(
            {
                "point": name,
                "predicted": predicted,
                "measured": _measured(flow, state, predicted, settings.threshold_steps),
            }
        )
    return Result({"rows": rows})


def _predicted(J: np.ndarray) -> float:
    """The least ratio with all real parts negative: where the trace, or the determinant, changes sign."""
    return float(-J[0, 0] / J[1, 1]) if np.linalg.det(J) > 0 else math.inf


def _measured(flow: Any, state: Any, guess: float, steps: int) -> float:
    """By runs from near the point, at ratios 1 per cent apart: between which they begin to come nearer."""
    first, second = flow.game.players
    kick = torch.tensor([1e-5, -1e-5], dtype=torch.float64)
    ratios = guess * np.linspace(0.9, 1.1, 21)
    start = [state.with_y(state.y + kick)] * len(ratios)
    rates = {first: [1.0] * len(ratios), second: [*ratios]}
    run = gd.solve_ensemble(flow, "rk4", h=[0.1] * len(ratios), steps=steps, y0=start, rates=rates)
    nears = [float((y - state.y).norm()) < float(kick.norm()) for y in run.state.y]
    if True not in nears or nears[0]:
        return math.nan
    k = nears.index(True)
    return float(math.sqrt(ratios[k] * ratios[k - 1]))


def digits(seed: int, ratio: float = 1.0) -> Setup:
    """A digits GAN with R1, D's rate `ratio` times G's, their geometric mean 1."""
    made = gans.setup("digits", seed, penalty="r1")
    made.flow = made.flow.with_rates({"G": ratio**-0.5, "D": ratio**0.5})  # type: ignore[attr-defined]
    return made
