"""The spectral monitor, whose findings are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn.integrators import Every, Observer
from gamedyn.spectrum import SpectralMonitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.flows import Flow
    from gamedyn.integrators import View
    from gamedyn.methods import Method
    from gamedyn.training.observers.recorder import Logger

__all__ = ["Stability"]


class Stability(Observer):
    """Outer eigenvalues on the way, and how near the step is to the method's limit, as rows of kind "stability".

    A row has `leftmost`, `ratio` (the step over the largest stable one of the modes that the flow damps; 1 is the
    boundary), `amplification`, and the products spent. With "rightmost" among `kinds` it has `growing`, how many modes
    the flow amplifies (else null), with "largest_imaginary" that. In a resumed run the search begins anew: its figures
    agree to the residuals of the eigenvalues, not to the bit.

    Args:
        flow: the flow.
        method: the method that runs.
        batch: on which it is linearised.
        every: rhythm.
        k: eigenvalues of each kind.
        kinds: as `SpectralMonitor` takes them; "rightmost" costs ten times the products of the others.
        to: what rows go to.

    Attributes:
        monitor: the `gamedyn.spectrum.SpectralMonitor`.

    Raises:
        ArgumentError: for a method without theory.
    """

    def __init__(
        self,
        flow: Flow,
        method: str | Method,
        batch: Any,
        *,
        every: int | Every = 1000,
        k: int = 4,
        kinds: Sequence[str] = ("leftmost", "largest_modulus"),
        to: Sequence[Logger] = (),
    ) -> None:
        self.monitor = SpectralMonitor(flow, method, batch=batch, every=every, k=k, kinds=kinds)
        self.every, self.to = every, list(to)

    def after_step(self, view: View) -> None:
        """Compute the spectrum, and record it."""
        before = len(self.monitor.records)
        self.monitor.after_step(view)
        for found in self.monitor.records[before:]:
            values = found.eigenvalues
            row: dict[str, Any] = {"kind": "stability", "products": found.products, "status": found.status}
            if len(values):
                row["leftmost"] = float(values.real.min())
            ratio = found.ratios["damped"] if found.ratios["damped"] is not None else found.ratios["real"]
            row |= {"ratio": ratio, "amplification": found.amplification}
            row["growing"] = len(found.growing) if found.complete or "rightmost" in self.monitor.kinds else None
            if len(values) and (found.complete or "largest_imaginary" in self.monitor.kinds):
                row["largest_imaginary"] = float(abs(values.imag).max())
            for logger in self.to:
                logger.log({**row, "images": view.images, "evaluations": view.evaluations}, step=view.step)
