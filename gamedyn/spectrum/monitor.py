"""The spectrum in the loop: outer eigenvalues every so many steps of a run, laid over the running method's region.

The largest stable step is that over the modes that the flow damps: on a trained GAN some mode always grows, and
"no step is stable" is no answer. Growing modes are recorded apart.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn import stability
from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core.protocols import of_flow
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.observers import every as rhythm
from gamedyn.methods import Method, get
from gamedyn.spectrum.outer import KINDS, outer_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Every, View
    from gamedyn.krylov import RitzPairs

__all__ = ["MEASURES", "SpectralMonitor", "SpectralRecord"]

MEASURES = ("real", "leading", "damped")
"""Over which modes a largest step is defined; see SpectralRecord."""

FORMED_UP_TO = 48
"""Parameters up to which all eigenvalues are computed."""

ZERO = 1e-10
"""Share of the largest modulus below which a real part counts as zero: such a mode is neither damped nor growing."""


@dataclass(frozen=True, eq=False)
class SpectralRecord:
    """What the monitor found at one state.

    Attributes:
        step: steps done.
        t: time.
        h: step of the run there.
        eigenvalues: outer ones of J, (k,), leftmost first, conjugates included.
        residuals: `|J x - lambda x| / |x|` of each, from products of their own.
        complete: whether they are all there are.
        status: "ok"; "inexact", the search ended before all had converged; "non_finite", a product was not finite:
            nothing is known then, and there are no eigenvalues.
        limits: largest step by measure: `real`, the method's real interval over the size of the smallest real part;
            `leading`, the largest stable step of the leftmost eigenvalue alone, along its own ray; `damped`, of all
            modes found that the flow damps. inf where nothing binds; None where nothing is known, the method needs the
            players' blocks, or there is no theory of it.
        binding: the damped eigenvalue that ends the last of these, or None.
        growing: eigenvalues found that the flow amplifies. One whose real part is smaller than its residual is
            neither growing nor damped.
        amplification: largest |R(h lambda)| over the damped modes found: above 1, outside the region; None as above.
        products: Jacobian products spent.
        seconds: spent.
        share: part of the wall time since the monitor was first called that it has used; None at that call.
    """

    step: int
    t: float
    h: float
    eigenvalues: NDArray[np.complex128]
    residuals: NDArray[np.float64]
    complete: bool
    status: str
    limits: dict[str, float | None]
    binding: complex | None
    growing: tuple[complex, ...]
    amplification: float | None
    products: int
    seconds: float
    share: float | None

    @property
    def z(self) -> NDArray[np.complex128]:
        """`h lambda`."""
        return self.h * self.eigenvalues

    @property
    def ratios(self) -> dict[str, float | None]:
        """The run's step over the largest one, by measure: 1 on the boundary, 0 where nothing binds."""
        return {k: None if x is None else self.h / x if x else math.inf for k, x in self.limits.items()}

    def to_dict(self) -> dict[str, Any]:
        """For JSON: eigenvalues as pairs, infinite numbers as None."""

        def plain(x: float | None) -> float | None:
            return None if x is None or not math.isfinite(x) else float(x)

        return {
            "step": self.step,
            "t": self.t,
            "h": self.h,
            "eigenvalues": [[float(x.real), float(x.imag)] for x in self.eigenvalues],
            "residuals": [float(x) for x in self.residuals],
            "complete": self.complete,
            "status": self.status,
            "limits": {k: plain(x) for k, x in self.limits.items()},
            "ratios": {k: plain(x) for k, x in self.ratios.items()},
            "binding": None if self.binding is None else [self.binding.real, self.binding.imag],
            "growing": [[x.real, x.imag] for x in self.growing],
            "amplification": plain(self.amplification),
            "products": self.products,
            "seconds": self.seconds,
            "share": self.share,
        }


class SpectralMonitor:
    """Outer eigenvalues of the Jacobian along a run: `solve(..., observers=[monitor])`.

    Every `every` steps it linearises the flow at a copy of the present state, on one batch (the full data set, where
    that fits), and lays `h lambda` over the stability region of the method that runs. The run goes on bit for bit as
    without it: parameters, buffers, batches and random numbers are left alone. Searches start from the last
    eigenvectors, which on a digits GAN saved some 5 % of the products between points 50 steps apart.

    Args:
        flow: the flow; it may be a float64 copy of the one that is solved, for eigenvalues in double precision.
        method: the method that runs, or its name.
        batch: what the losses take, or None.
        every: steps between computations, or an `Every`.
        k: eigenvalues of each kind.
        kinds: of "rightmost", "leftmost", "largest_modulus", "largest_imaginary". On trained GANs the leftmost
            and the largest cost some 20 products, the rightmost, which crowd, ten times as many; modes that the flow
            amplifies are seen for certain only among them.
        h: another step than the run's.
        tol: residual asked of the eigensolver, relative to |J|; true residuals are recorded in any case.

    Attributes:
        records: one `SpectralRecord` for each computation.

    Raises:
        ArgumentError: for a method without theory, a bad number, kinds that do not exist.

    Example:
        >>> import gamedyn as gd
        >>> flow = gd.flows.gradient(gd.games.dirac_gan("wasserstein", "r1", 1.0))
        >>> monitor = SpectralMonitor(flow, "euler", every=10)
        >>> run = gd.solve(flow, "euler", h=0.5, steps=20, observers=[monitor])
        >>> [(r.step, round(r.ratios["damped"], 6)) for r in monitor.records]
        [(10, 0.5), (20, 0.5)]
    """

    def __init__(
        self,
        flow: Flow,
        method: str | Method,
        *,
        batch: Any = None,
        every: int | Every = 50,
        k: int = 4,
        kinds: Sequence[str] = ("leftmost", "largest_modulus"),
        h: float | None = None,
        tol: float = 1e-5,
    ) -> None:
        self.flow, self.method, self.batch = of_flow(flow), get(method), batch
        if not self.method.has_theory:
            remedy = "measure a map's step with gamedyn.spectrum.step_radius; Adam as a flow: gamedyn.flows.adam"
            raise ArgumentError("method", "a method whose coefficients gamedyn holds", self.method.name, remedy)
        self.every, self.k, self.tol = rhythm(every), positive_int("k", k), positive("tol", tol)
        self.kinds = tuple(choice("kinds", kind, KINDS) for kind in kinds)
        if not self.kinds:
            raise ArgumentError("kinds", "at least one kind of eigenvalue", "none")
        self.h = None if h is None else positive("h", h)
        self.records: list[SpectralRecord] = []
        self._real = _real_interval(self.method)
        self._found: dict[str, RitzPairs] = {}
        self._began: float | None = None
        self._spent = 0.0

    def __repr__(self) -> str:
        return f"SpectralMonitor({label(self.method)}, {self.every}, {len(self.records)} records)"

    def after_step(self, view: View) -> None:
        """See a step; a state that is not finite is passed over."""
        self._began = time.perf_counter() - view.seconds if self._began is None else self._began
        if bool(view.state.y.isfinite().all()):
            self.measure(view.state, float(self.h or view.h), step=view.step, t=view.t, shared=True)

    def measure(
        self, state: State | Tensor, h: float, *, step: int = 0, t: float = 0.0, shared: bool = False
    ) -> SpectralRecord:
        """Compute and record the spectrum at a state, now.

        Args:
            state: the state, or a flat vector (n,).
            h: step.
            step: for the record.
            t: time at which the field is linearised.
            shared: whether the share of the run's time is known.
        """
        began = time.perf_counter()
        positive("h", h)
        status, values, residuals, products, complete = self._eigenvalues(state, t)
        sure = np.maximum(residuals, ZERO * np.abs(values).max(initial=0.0))
        unknown: _Laid = dict.fromkeys(MEASURES), None, None
        laid = (
            unknown if status == "non_finite" else _laid_over(self.method, self._real, values[values.real < -sure], h)
        )
        limits, binding, amplification = laid
        seconds = time.perf_counter() - began
        self._spent += seconds
        whole = 0.0 if self._began is None else time.perf_counter() - self._began
        record = SpectralRecord(
            step=step,
            t=float(t),
            h=float(h),
            eigenvalues=values,
            residuals=residuals,
            complete=complete,
            status=status,
            limits=limits,
            binding=binding,
            growing=tuple(complex(x) for x in values[values.real > sure]),
            amplification=amplification,
            products=products,
            seconds=seconds,
            share=min(1.0, self._spent / whole) if shared and whole else None,
        )
        self.records.append(record)
        return record

    def to_dict(self) -> dict[str, Any]:
        """The method, what was asked, and all records, for JSON; `gamedyn.plot.monitor_ratios` draws it."""
        return {
            "method": label(self.method),
            "real_interval": self._real if self._real is None or math.isfinite(self._real) else None,
            "every": int(self.every.count) if self.every.unit == "steps" else repr(self.every),
            "kinds": list(self.kinds),
            "records": [r.to_dict() for r in self.records],
        }

    def to_json(self, **options: Any) -> str:
        """As text; `options` go to `json.dumps`."""
        return json.dumps(self.to_dict(), **options)

    def _eigenvalues(
        self, state: State | Tensor, t: float
    ) -> tuple[str, NDArray[np.complex128], NDArray[np.float64], int, bool]:
        nothing = "non_finite", np.zeros(0, complex), np.zeros(0)
        frozen = self.flow.at(state, self.batch, t)
        if not frozen.finite_at_start:
            return *nothing, 0, False
        try:
            small = frozen.layout.n <= max(FORMED_UP_TO, self.k + 2)
            J = frozen.jacobian(strategy="formed" if small else "kept")
        except ArgumentError as error:
            if error.argument != "flow":
                raise
            return *nothing, frozen.work.products, False
        if small:
            matrix = J.to_dense().double().cpu().numpy()
            all_values, vectors = np.linalg.eig(matrix)
            off = np.linalg.norm(matrix @ vectors - vectors * all_values, axis=0)
            return "ok", *_sorted(all_values.astype(np.complex128), off), J.work.products, True
        found = outer_pairs(J, self.k, tol=self.tol, kinds=self.kinds, before=self._found)
        ends = {pairs.status for pairs in found.values()}
        if "non_finite" in ends:
            return *nothing, J.work.products, False
        self._found = found
        values, residuals = (
            np.concatenate([getattr(pairs, x) for pairs in self._found.values()]) for x in ("values", "residuals")
        )
        joined = _sorted(*_united(values, residuals))
        return "ok" if ends == {"converged"} else "inexact", *joined, J.work.products, False


_Laid = tuple[dict[str, float | None], complex | None, float | None]


def _real_interval(method: Method) -> float | None:
    try:
        return stability.real_limit(method)
    except ArgumentError:  # an additive method, say, whose parts are not apart
        return None


def _laid_over(
    method: Method, real: float | None, damped: NDArray[np.complex128], h: float
) -> tuple[dict[str, float | None], complex | None, float | None]:
    """Limits by measure, what binds the last, the largest amplification, over damped modes."""
    limits: dict[str, float | None] = dict.fromkeys(MEASURES)
    decouples = method.decouples
    if not len(damped):
        return {m: math.inf if m == "real" or decouples else None for m in MEASURES}, None, None
    leftmost = complex(damped[damped.real.argmin()])
    limits["real"] = None if real is None else real / -leftmost.real
    if not decouples:
        return limits, None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stability.StabilityWarning)
        limits["leading"] = stability.stable_steps(method, [leftmost, leftmost.conjugate()]).limit
        steps = stability.stable_steps(method, damped)
    limits["damped"] = steps.limit
    return limits, steps.binding, float(stability.amplification(method, h * damped).max())


def _united(
    values: NDArray[np.complex128], residuals: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """One of each, the one with the smaller residual, and every conjugate."""
    values = np.where(values.imag < 0, values.conj(), values)
    scale = float(np.abs(values).max(initial=0.0))
    keep: list[int] = []
    for i in np.argsort(residuals, kind="stable"):
        if all(abs(values[i] - values[j]) > 10 * (residuals[i] + residuals[j]) + 1e-9 * scale for j in keep):
            keep.append(int(i))
    kept, off = values[keep], residuals[keep]
    pairs = kept.imag > 0
    return np.concatenate([kept, kept[pairs].conj()]), np.concatenate([off, off[pairs]])


def _sorted(
    values: NDArray[np.complex128], residuals: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Leftmost first."""
    order = np.lexsort((-values.imag, values.real))
    return values[order], residuals[order]
