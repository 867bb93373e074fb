"""What the spectrum of a large game costs: `python -m analysis.benchmarks.spectrum_cost`.

Three tables. Eigenvalues of two GANs on real digits, in float64, to true residuals of 1e-6 |J|: Krylov-Schur beside
SciPy's ARPACK on the same operator, from the same starts, with bases of the same size; ARPACK at the loosest tolerance
whose true residuals are small enough. Products are means over the starts; overhead is CPU time (wall time, of several
threads) outside the products, by product. Products: each strategy over a bare field evaluation. Memory: the peak of
each strategy in a process of its own, against the bound it states.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigs, eigsh
from torch import Tensor, nn
from tqdm.auto import tqdm

import gamedyn as gd
from analysis.benchmarks.step_cost import Setting
from analysis.common.digits import digits
from gamedyn.krylov import LinearOperator, eigenpairs, symmetric_eigenpairs
from gamedyn.krylov.ritz_range import ritz_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.spectrum import GameJacobian

__all__ = ["main"]

K, RESIDUAL, BUDGET = 8, 1e-6, 1500
ARPACK_NAMES = {"rightmost": "LR", "largest_modulus": "LM", "leftmost": "SA"}
TOLERANCES = [10.0**-e for e in range(1, 9)]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs="+", default=[120, 502])
    parser.add_argument("--bases", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--steps", type=int, default=300, help="of training before the spectrum is taken")
    parser.add_argument("--starts", type=int, default=3, help="random vectors that every search is begun from")
    parser.add_argument("--only", choices=["eigenvalues", "products", "memory"])
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.peak:
        return peak(*chosen.peak)
    parts = {"eigenvalues": lambda: eigenvalue_table(chosen), "products": product_table, "memory": memory_table}
    for name, part in parts.items():
        if chosen.only in (None, name):
            part()
    return 0


def clock() -> float:
    """CPU seconds; of several threads, which would add up, those of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


# ---- eigenvalues


class Counted:
    """An operator whose products are counted and timed."""

    def __init__(self, operator: LinearOperator) -> None:
        self._operator, self.count, self.seconds = operator, 0, 0.0

    def __call__(self, x: Tensor) -> Tensor:
        began = clock()
        image = self._operator.matvec(x)
        self.seconds += clock() - began
        self.count += 1
        return image


@dataclass
class Search:
    """One way of finding eigenvalues, measured."""

    values: np.ndarray
    products: float
    overhead: float
    residual: float
    note: str = ""


def gan(width: int, steps: int) -> tuple[Any, Any, Any]:
    """A digits GAN in float64: its flow, a point after some training, the batch of 512."""
    g, double = torch.Generator().manual_seed(0), torch.float64
    flow = gd.flows.gradient(
        gd.games.gan(
            gd.games.mlp((16, width, width, 64), generator=g, dtype=double),
            gd.games.mlp((64, width, width, 1), generator=g, dtype=double),
        )
    )
    batch = torch.as_tensor(digits()[:512]), torch.randn(512, 16, generator=g, dtype=double)
    state = gd.solve(flow, "euler", h=0.1, steps=steps, batch=batch).state if steps else flow.initial_state()
    return flow, state, batch


def eigenvalue_table(chosen: Any) -> None:
    """Ours beside ARPACK."""
    print(
        f"\neigenvalues: {K} of each kind to |J x - lambda x| <= {RESIDUAL:g} |J|, float64, {chosen.threads} thread(s)"
    )
    head = f"{'parameters':>10} {'point':>8} {'kind':>25} {'basis':>5}"
    print(f"{head} | {'products':>8} {'ms':>7} | {'ARPACK':>8} {'ms':>7} | ratio")
    for width in chosen.widths:
        for steps in (0, chosen.steps):
            flow, state, batch = gan(width, steps)
            J = gd.spectrum.GameJacobian(flow, state, batch)
            for kind in ("largest_modulus", "rightmost"):
                for basis in chosen.bases:
                    row(J, kind, basis, "trained" if steps else "start", chosen.starts, symmetric=False)
            for player in ("G", "D"):
                row(
                    J.block(player, player).symmetric,
                    "largest_modulus",
                    20,
                    f"block {player}",
                    chosen.starts,
                    symmetric=True,
                )


def row(operator: Any, kind: str, basis: int, point: str, starts: int, *, symmetric: bool) -> None:
    """One comparison, the two interleaved; mean products, the smallest overheads."""
    pairs = []
    for seed in range(1, starts + 1):
        own = ours(operator, kind, basis, seed, symmetric)
        for tol in TOLERANCES:
            other = arpack(operator, kind, basis, tol, seed, symmetric)
            if other.residual <= RESIDUAL:
                break
        pairs.append((own, other))
    mine, theirs = (
        replace(
            max(found, key=lambda s: s.residual),
            products=float(np.mean([s.products for s in found])),
            overhead=min(s.overhead for s in found),
        )
        for found in zip(*pairs, strict=True)
    )
    left = f"{operator.shape[0]:>10} {point:>8} {'symmetric ' * symmetric + kind:>25} {basis:>5}"
    told = f"{mine.products:>8.1f} {1e3 * mine.overhead:>7.2f} | {theirs.products:>8.1f} {1e3 * theirs.overhead:>7.2f}"
    if symmetric:
        theirs.note += eigenthings(operator)
    print(f"{left} | {told} | {mine.overhead / theirs.overhead:5.2f}  {mine.note} / {theirs.note}", flush=True)


def start_of(operator: Any, seed: int) -> Tensor:
    """The same random vector for both."""
    return torch.randn(operator.shape[0], dtype=operator.dtype, generator=torch.Generator().manual_seed(seed))


def ours(operator: Any, kind: str, basis: int, seed: int, symmetric: bool) -> Search:
    """Krylov-Schur; products of the residuals are not counted, nor are ARPACK's."""
    counted, begin = Counted(operator), start_of(operator, seed)
    solve = symmetric_eigenpairs if symmetric else eigenpairs
    began = clock()
    found = solve(counted, begin, K, kind, tol=RESIDUAL, basis=basis, max_products=BUDGET)
    spent = clock() - began - counted.seconds
    worst = float(found.residuals.max() / found.norm)
    return Search(found.values, found.products, spent / counted.count, worst, f"{found.status}, {worst:.0e}")


def arpack(operator: Any, kind: str, basis: int, tol: float, seed: int, symmetric: bool) -> Search:
    """SciPy's, and the true residuals of what it returns."""
    counted = Counted(operator)
    wrapped = LinearOperator(operator.shape, counted, counted, dtype=operator.dtype).to_scipy()
    first = start_of(operator, seed).numpy()
    options = {"k": K, "ncv": basis, "tol": tol, "v0": first, "maxiter": BUDGET // (basis - K)}
    began = clock()
    try:
        values, vectors = (eigsh if symmetric else eigs)(wrapped, which=ARPACK_NAMES[kind], **options)
        note = "converged"
    except ArpackError as error:
        values, vectors, note = getattr(error, "eigenvalues", []), getattr(error, "eigenvectors", None), "not converged"
    spent, products = clock() - began - counted.seconds, counted.count
    if not len(values):
        return Search(np.array([]), products, spent / products, np.inf, note)
    residuals = [residual(operator, v, x) for v, x in zip(values, vectors.T, strict=True)]
    size = float(np.abs(values).max())
    norm = max(size, float(ritz_range(operator.matvec, start_of(operator, 1), 4).norm))
    worst = max(residuals) / norm if len(values) >= K else np.inf
    return Search(values, products, spent / products, worst, f"{note} at {tol:.0e}, {worst:.0e}")


def eigenthings(operator: Any) -> str:
    """The package hessian-eigenthings, where installed: Lanczos without restart, as many steps as it takes."""
    try:
        from hessian_eigenthings import LambdaOperator, lanczos
    except ImportError:
        return "; hessian-eigenthings is not installed"
    for steps in range(20, 301, 10):
        counted = Counted(operator)
        peer = LambdaOperator(counted, operator.shape[0], dtype=operator.dtype)
        began = clock()
        found = lanczos(peer, k=K, max_iter=steps, tol=RESIDUAL, which="LM", seed=1, reorthogonalize=True)
        spent = clock() - began - counted.seconds
        vectors, values = found.eigenvectors.T.numpy(), found.eigenvalues.numpy()
        vectors = vectors if vectors.shape[0] == operator.shape[0] else vectors.T
        worst = max(residual(operator, v, x) for v, x in zip(values, vectors.T, strict=True)) / np.abs(values).max()
        if worst <= RESIDUAL:
            return (
                f"; hessian-eigenthings {counted.count} products, {1e3 * spent / counted.count:.2f} ms, basis {steps}"
            )
    return "; hessian-eigenthings: not within 300 steps"


def residual(operator: Any, value: complex, x: np.ndarray) -> float:
    """`|A x - lambda x| / |x|`."""
    parts = [operator.matvec(torch.as_tensor(np.array(p))).numpy() for p in (x.real, x.imag)]
    return float(np.linalg.norm(parts[0] + 1j * parts[1] - value * x) / np.linalg.norm(x))


# ---- products


class DcganSetting:
    """A small DCGAN, 28 x 28, batch 32."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(0)
        self.G = nn.Sequential(
            nn.Linear(64, 64 * 49), nn.Unflatten(1, (64, 7, 7)), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.D = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(64 * 49, 1),
        )  # fmt: skip
        self.batch = torch.randn(32, 1, 28, 28, generator=g), torch.randn(32, 64, generator=g)
        self.flow = gd.flows.gradient(gd.games.gan(self.G, self.D))
        self._own = [list(self.G.parameters()), list(self.D.parameters())]

    def bare(self) -> Any:
        """A hand-written field evaluation."""
        softplus = nn.functional.softplus
        fake = self.D(self.G(self.batch[1]))
        first = torch.autograd.grad(softplus(-fake).mean(), self._own[0], retain_graph=True)
        return first + torch.autograd.grad(
            softplus(fake).mean() + softplus(-self.D(self.batch[0])).mean(), self._own[1]
        )


def product_table() -> None:
    """Each strategy over a bare field."""
    torch.set_num_threads(1)
    print("\nproducts over one bare field evaluation (CPU time, medians of interleaved rounds, float32)")
    settings: dict[str, Any] = {
        "16 Gaussians, batch 512": Setting((32, 25, 25, 2), 512),
        "DCGAN, batch 32": DcganSetting(),
    }
    for name, setting in settings.items():
        small = name.startswith("16")
        flow, state = setting.flow, setting.flow.initial_state()
        u, U = torch.randn(state.layout.n), torch.randn(8, state.layout.n)
        calls: dict[str, tuple[Callable[[], Any], int]] = {"bare": (setting.bare, 1)}
        for strategy in ("kept", "forward", "compiled") if small else ("kept", "forward"):
            J = gd.spectrum.GameJacobian(flow, state, setting.batch, strategy=strategy)
            calls |= {f"J u, {strategy}": (partial(J.jvp, u), 1), f"J^T u, {strategy}": (partial(J.vjp, u), 1)}
            if strategy != "forward":
                calls[f"J U, {strategy}, 8 rows"] = (partial(J.jvp, U), 8)
        medians = timed(calls, 40 if small else 12)
        print(f"  {name}: {state.layout.n} parameters, bare {1e3 * medians['bare']:.2f} ms")
        for key, value in medians.items():
            print(f"    {key:28s} {value / medians['bare']:6.2f}")


def timed(calls: dict[str, tuple[Any, int]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each call, by product."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for _ in tqdm(range(rounds), desc="rounds", disable=None):
        for name, (call, per) in calls.items():
            began = time.process_time()
            call()
            seconds[name].append((time.process_time() - began) / per)
    return {name: float(np.median(x)) for name, x in seconds.items()}


# ---- memory


def memory_table() -> None:
    """The peak of each strategy against its bound."""
    print("\npeak memory, in MB: of graphs and two products, against the bound that is stated")
    for width in ("120", "502"):
        for strategy in ("kept", "forward"):
            command = [sys.executable, "-m", "analysis.benchmarks.spectrum_cost", "--peak", width, strategy]
            subprocess.run(command, check=True)


def peak(width: str, strategy: str) -> int:
    """In a process of its own: the most that is resident beyond what there was before (Linux)."""
    torch.set_num_threads(1)
    with_products(gan(8, 0), strategy)  # what is loaded and allocated once, by the first use
    flow, state, batch = gan(int(width), 0)
    flow.at(state, batch)
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    reset.write_text("5")
    before = resident(status, "VmRSS")
    J = with_products((flow, state, batch), strategy)
    used, bound = resident(status, "VmHWM") - before, J.memory + 8 * state.y.nbytes
    print(f"  {J.shape[0]:>8} parameters, {strategy:8s}: {used / 1e6:7.1f} of {bound / 1e6:7.1f}")
    return 0


def with_products(made: Any, strategy: str) -> GameJacobian:
    """A Jacobian, and a product of either kind."""
    flow, state, batch = made
    J = gd.spectrum.GameJacobian(flow, state, batch, strategy=strategy)
    J @ torch.ones_like(state.y), J.T @ torch.ones_like(state.y)
    return J


def resident(status: Path, name: str) -> int:
    """A line of the process' status, in bytes."""
    return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    sys.exit(main())
