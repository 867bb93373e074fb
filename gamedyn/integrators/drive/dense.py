"""The solution between steps: cubic Hermite interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gamedyn._lib.checks import finite
from gamedyn._lib.errors import ArgumentError

__all__ = ["DenseOutput", "hermite"]


@dataclass
class DenseOutput:
    """The solution between the steps of an adaptive solve: cubic Hermite interpolation, of order 3.

    Attributes:
        t: ends of the steps, (k + 1,).
        y: points there, (k + 1, n).
        v: the field there, (k + 1, n).

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.bilinear())
        >>> control = gd.integrators.StepControl(rtol=1e-9, atol=1e-9)
        >>> run = gd.solve(flow, "dopri5", t_span=(0.0, 2.0), adapt=control, dense=True)
        >>> [round(float(x), 4) for x in run.dense(1.0)]  # (cos - sin, cos + sin)
        [-0.3012, 1.3818]
    """

    t: Tensor
    y: Tensor
    v: Tensor

    def __call__(self, when: float) -> Tensor:
        """The state at a time, (n,).

        Raises:
            ArgumentError: outside the solve, or for anything but one number.
        """
        first, last = float(self.t[0]), float(self.t[-1])
        expected = f"a time from {first:g} to {last:g}"
        when = finite("when", when, expected, "one at a time: torch.stack([run.dense(t) for t in times])")
        if not first <= when <= last:
            raise ArgumentError("when", expected, when)
        i = min(int(torch.searchsorted(self.t, when, right=True)) - 1, len(self.t) - 2)
        t, h = float(self.t[i]), float(self.t[i + 1] - self.t[i])
        return hermite(when, t, h, self.y[i], self.v[i], self.y[i + 1], self.v[i + 1])

    def joined(self, later: DenseOutput) -> DenseOutput:
        """This one, and one that begins within it: from there on the later one holds."""
        keep = int((self.t < later.t[0]).sum())
        pairs = ((self.t, later.t), (self.y, later.y), (self.v, later.v))
        return DenseOutput(*(torch.cat([old[:keep], new]) for old, new in pairs))

    def until(self, end: float) -> DenseOutput:
        """The part up to a node."""
        keep = int((self.t <= end).sum())
        return DenseOutput(self.t[:keep], self.y[:keep], self.v[:keep])


def hermite(when: float, t: float, h: float, y0: Tensor, f0: Tensor, y1: Tensor, f1: Tensor) -> Tensor:
    """Cubic Hermite interpolation between two points with their slopes; of order 3.

    Source: Hairer, Norsett, Wanner I, II.6, eq. (6.7).

    Example:
        >>> one, zero = torch.ones(1), torch.zeros(1)
        >>> float(hermite(0.5, 0.0, 1.0, zero, zero, one, 3 * one))  # t^3
        0.125
    """
    s = (when - t) / h
    bent = (1 - 2 * s) * (y1 - y0) + (s - 1) * h * f0 + s * h * f1
    return (1 - s) * y0 + s * y1 + s * (s - 1) * bent
