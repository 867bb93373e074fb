"""What must be right on a GPU: every family beside the CPU, captured steps, waits, products, resuming, autocast."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import gamedyn as gd

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COUNT", "Check", "checks"]

STEPS = 6
ALLOWED = {torch.float64: 1e-9, torch.float32: 2e-3}
"""Largest difference from the CPU's state, relative: sums in another order, Newton's tolerances, six steps."""
BRIDGES = ("torchdiffeq:rk4", "torch.optim:Adam", "scipy:RK45")


class Check(NamedTuple):
    """One check: what, whether it passed, what was measured and allowed."""

    name: str
    passed: bool
    measured: str
    allowed: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        """For a table."""
        return self.name, "ok" if self.passed else "FAILED", self.measured, self.allowed


def families() -> dict[str, str]:
    """By stepper, the first of its methods; other libraries' by name."""
    found: dict[str, str] = {}
    for name in gd.methods.names():
        method = gd.methods.get(name)
        if not name.startswith("rk4_penalty"):
            found.setdefault(type(gd.integrators.stepper(method)).__name__, name)
    return {**found, "AdditiveStepper": "rk4_penalty_first_stage", **{b: b for b in BRIDGES}}


COUNT = 3 * len(families()) + 6


def pair(device: torch.device, dtype: torch.dtype, **how: Any) -> tuple[gd.flows.Flow, Any]:
    """A GAN of two perceptrons with a penalty, made on the CPU, and a batch."""
    g = torch.Generator().manual_seed(0)
    nets = [gd.games.mlp(w, generator=g).to(device, dtype) for w in ((8, 16, 2), (2, 16, 1))]
    batch = tuple(torch.randn(32, n, generator=g).to(device, dtype) for n in (2, 8))
    flow = gd.flows.gradient(gd.games.gan(*nets, "nonsaturating", **how))
    return flow.with_term(gd.losses.squared_gradient(0.1)), batch


def state(method: str, device: torch.device, dtype: torch.dtype, execution: str = "eager") -> tuple[Any, Any]:
    """Where a run ends, on the CPU in float64; and the run."""
    flow, batch = pair(device, dtype)
    chosen = gd.methods.get(method)
    h = 0.002 if method.startswith("torch.optim") else 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a family is not captured is checked
        run = gd.solve(flow, chosen, h=h, steps=STEPS, batch=batch, execution=execution, check_every=STEPS)
    return run.state.y.double().cpu(), run


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, over the largest entry."""
    return float((a - b).abs().max() / b.abs().max())


def checks(device: torch.device) -> Iterator[Check]:
    """All of them, one after the other."""
    cpu = torch.device("cpu")
    for family, method in families().items():
        for dtype, allowed in ALLOWED.items():
            yield _tried(
                f"{family} ({method}), {str(dtype)[6:]}, beside the CPU", allowed, _beside, method, device, dtype
            )
        yield _tried(f"{family} ({method}), captured beside eager", 1e-12, _captured, method, device)
    yield _tried("an explicit step waits for nothing (sync debug mode)", 0.0, _waits, device)
    yield _tried("J u and J^T u beside the CPU", 1e-10, _products, device, cpu)
    yield _tried("eight eigenvalues beside the CPU", 1e-7, _eigenvalues, device, cpu)
    yield _tried("a run that goes on is the whole run", 0.0, _resumed, device)
    yield _tried("autocast (bfloat16) beside float32", 0.2, _autocast, device)
    yield _tried("an ensemble beside its members", 1e-12, _ensemble, device)


def _tried(name: str, allowed: float, check: Any, *arguments: Any) -> Check:
    try:
        found = check(*arguments)
    except Exception as error:  # a check that ends so has failed, and the others go on
        return Check(name, False, f"{type(error).__name__}: {str(error)[:120]}", f"{allowed:g}")
    return Check(name, bool(found <= allowed), f"{found:.3g}", f"{allowed:g}")


def _beside(method: str, device: torch.device, dtype: torch.dtype) -> float:
    return gap(state(method, device, dtype)[0], state(method, torch.device("cpu"), dtype)[0])


def _captured(method: str, device: torch.device) -> float:
    """Inf where a family that should be captured is not, or one that should not is."""
    one, run = state(method, device, torch.float64, "captured")
    whole = not gd.integrators.stepper(gd.methods.get(method)).host_decides
    if (run.stats["execution"] == "captured") is not whole:
        return float("inf")
    return gap(one, state(method, device, torch.float64)[0])


def _waits(device: torch.device) -> float:
    flow, batch = pair(device, torch.float32)
    how: dict[str, Any] = {"h": 0.01, "batch": batch, "check_every": 1000}
    gd.solve(flow, "rk4", steps=3, **how)
    if device.type != "cuda":
        return float(gd.integrators.step_counts(flow, "rk4", batch).waits)
    seen = 0

    def strict(view: gd.integrators.View) -> None:  # after the first step, until the last
        torch.cuda.set_sync_debug_mode("error" if 2 < view.step < 18 else "default")

    try:
        gd.solve(flow, "rk4", steps=20, observers=[strict], every=100, **how)
    except RuntimeError:
        seen = 1
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return float(seen)


def _held(device: torch.device) -> tuple[Any, Any]:
    flow, batch = pair(device, torch.float64)
    return flow.at(flow.initial_state(), batch), flow


def _products(device: torch.device, cpu: torch.device) -> float:
    found = []
    for where in (device, cpu):
        J = _held(where)[0].jacobian()
        u = torch.linspace(-1, 1, J.shape[0], dtype=torch.float64, device=where)
        found.append(torch.stack([J @ u, J.T @ u]).cpu())
    return gap(*found)


def _eigenvalues(device: torch.device, cpu: torch.device) -> float:
    here, there = (gd.spectrum.outer_eigenvalues(_held(where)[0].jacobian(), 8).values for where in (device, cpu))
    return float(max(min(abs(a - b) for b in there) for a in here) / max(abs(there)))


def _resumed(device: torch.device) -> float:
    flow, batch = pair(device, torch.float32)
    whole, run = gd.solve(flow, "ab3", h=0.02, steps=12, batch=batch), None
    for steps in (5, 12):
        run = gd.solve(flow, "ab3", h=0.02, steps=steps, batch=batch, resume=run)
    return float((run.state.y - whole.state.y).abs().max())  # type: ignore[union-attr]


def _autocast(device: torch.device) -> float:
    ends = []
    for how in ({}, {"autocast": torch.bfloat16}):
        flow, batch = pair(device, torch.float32, **how)
        ends.append(gd.solve(flow, "rk4", h=0.02, steps=STEPS, batch=batch).state.y)
    start = flow.initial_state().y
    return gap(ends[1] - start, ends[0] - start)


def _ensemble(device: torch.device) -> float:
    flow, batch = pair(device, torch.float64)
    sizes = [0.01, 0.02, 0.05]
    rows = gd.solve_ensemble(flow, "rk4", h=sizes, steps=STEPS, batch=batch).state.y
    alone = torch.stack([gd.solve(flow, "rk4", h=h, steps=STEPS, batch=batch).state.y for h in sizes])
    return gap(rows, alone)
