"""Work beside bare evaluations of the field, side by side in one process: what asv keeps of every commit.

asv calls `track_...` and keeps what it returns. A ratio to bare evaluations, timed in turns, can be compared between
machines and days; a time cannot.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

import gamedyn as gd
from analysis.benchmarks.step_cost import STEPS, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ensembles", "Products", "Steps", "Theory"]

ROUNDS = 15


def ratio(work: Callable[[], Any], bare: Callable[[], Any], *, rounds: int = ROUNDS) -> float:
    """Median of the one's CPU time over the median of the other's, measured in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in (work, bare):
        run()
    for _ in range(rounds):
        for run, found in zip((work, bare), times, strict=True):
            began = time.process_time()
            run()
            found.append(time.process_time() - began)
    return statistics.median(times[0]) / statistics.median(times[1])


class Steps:
    """A step of a method over as many bare evaluations as it makes."""

    params = ("euler", "heun2", "rk4", "dopri5", "ndb124", "ab3", "optimistic", "heavy_ball")
    param_names = ("method",)
    unit = "ratio"
    timeout = 120

    def setup(self, method: str) -> None:
        """One GAN of 16 Gaussians."""
        torch.set_num_threads(1)
        self.setting = Setting((32, 25, 25, 2), 512)
        self.steps, _, self.work = self.setting.step(method)

    def track_over_bare(self, method: str) -> float:
        """1 is the field alone."""
        bare = STEPS * int(self.work.evaluations)
        return ratio(self.steps, lambda: [self.setting.bare() for _ in range(bare)])


class Products:
    """J u and J^T w over one bare evaluation."""

    unit = "ratio"

    def setup(self) -> None:
        """The same GAN."""
        torch.set_num_threads(1)
        self.setting = Setting((32, 25, 25, 2), 512)
        flow = self.setting.flow
        self.J = gd.spectrum.GameJacobian(flow, flow.initial_state(), self.setting.batch)
        self.u = torch.randn(self.J.shape[1], generator=torch.Generator().manual_seed(1))

    def track_product(self) -> float:
        """J u."""
        return ratio(lambda: self.J @ self.u, self.setting.bare)

    def track_adjoint(self) -> float:
        """J^T w."""
        return ratio(lambda: self.J.T @ self.u, self.setting.bare)


class Ensembles:
    """A step of 64 members at once over 64 bare evaluations."""

    unit = "ratio"

    def setup(self) -> None:
        """A small GAN, 64 steps."""
        torch.set_num_threads(1)
        self.setting = Setting((8, 32, 8), 64)
        self.h = [0.01 + 0.001 * k for k in range(64)]

    def track_euler(self) -> float:
        """Twenty steps of Euler's method."""
        batch = self.setting.batch
        many = lambda: gd.solve_ensemble(self.setting.flow, "euler", h=self.h, steps=20, batch=batch)  # noqa: E731
        return ratio(many, lambda: [self.setting.bare() for _ in range(20 * 64)], rounds=5)


class Theory:
    """Seconds, since no evaluation of a field is in them."""

    timeout = 120

    def time_sheet(self) -> None:
        """The property sheet of rk4, computed."""
        gd.stability.sheet("rk4")

    def time_stable_steps(self) -> None:
        """Step sets of six methods on one spectrum."""
        for method in ("euler", "rk4", "ndb124", "ab3", "bdf3", "gauss4"):
            gd.stability.stable_steps(method, [-1.0, -0.1 + 1j, -0.1 - 1j])
