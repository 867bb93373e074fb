"""Is a method what it says it is? Its coefficients by proof, its stepper by steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import block_diag

from gamedyn import flows, games
from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.core import Game
from gamedyn.integrators import Krylov, NewtonKrylov, solve, stepper
from gamedyn.integrators.bridges.torchdiffeq import adams_default, tableau_of
from gamedyn.jacobian import FrozenField
from gamedyn.losses import weight_decay
from gamedyn.methods import Delegated, Method, RungeKutta, get, members
from gamedyn.spectrum.tangent import step_radius
from gamedyn.stability import BlockJacobian, imaginary_limit, real_limit, stability_function, stable_steps, step_matrix
from gamedyn.stability.matrices.eigenvalues import eigenvalue_array
from gamedyn.stability.properties.proof import Finding, Report, prove
from gamedyn.stability.properties.tableaus import read_tableau
from gamedyn.stability.symbols import products

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["verify"]

SIZES = (2, 1, 3)
"""Parameters of the players of the linear game; of a method for fewer players, the first of them."""

H = 0.2
SERIES = 14
"""Coefficients of R(z) read off a step on a nilpotent J."""


def verify(
    subject: Any,
    *,
    order: int | None = None,
    embedded_order: int | None = None,
    tolerance: float | None = None,
    spectrum: Spectrum | None = None,
) -> Report:
    """Check a method: what is declared against its coefficients, and its stepper against both.

    By proof: nodes are row sums, weights add up, order and embedded order (all conditions, residuals shown), order on
    fields of time with the nodes as given, FSAL, R(z), real and imaginary limit, and whether the weights are those,
    or the embedded ones, of a method that is known. By steps: one step on a linear game of three players against the
    matrix of the theory, and the observed order on a problem that depends on time. With a spectrum the largest stable
    step on it is predicted, and the growth of real steps measured a thousandth below and above.

    Args:
        subject: a name or a method of ours; a mapping `{"A": ..., "b": ..., "c": ..., "b_hat": ..., "order": ...}`; a
            name such as "torchdiffeq:rk4"; or a tableau or solver of torchdiffeq, SciPy, diffrax or nodepy.
        order: order to hold it to, where it does not say.
        embedded_order: that of its embedded method.
        tolerance: residual that counts as zero; None: what the digits of the coefficients allow.
        spectrum: eigenvalues of `J = dv/dy`, or a BlockJacobian, to measure the largest stable step on.

    Returns:
        The report: `str(report)` is a table, `report.faults` what failed, `report.json()` all of it.

    Raises:
        ArgumentError: for a map, or an object without a tableau.

    Example:
        >>> verify("rk4").sound
        True
        >>> print(verify({"A": [[], [1]], "b": [0.5, 0.5], "order": 3}).faults[0].got)
        2 (residual 1.67e-01 at order 3)
    """
    chosen = get(subject) if isinstance(subject, str) else subject
    for name, given in (("order", order), ("embedded_order", embedded_order)):
        if given is not None:
            positive_int(name, given)
    if isinstance(chosen, Method) and chosen.kind == "map":
        raise ArgumentError("subject", "a method that has coefficients", chosen.name, "maps have no order and no R(z)")
    if isinstance(chosen, Delegated):
        return _delegated(chosen, tolerance)
    if isinstance(chosen, Method) and not isinstance(chosen, RungeKutta):
        return Report(chosen.name or repr(chosen), [*_declared(chosen), *_by_steps(chosen), *_limit(chosen, spectrum)])
    tableau = read_tableau(chosen, order=order, embedded_order=embedded_order)
    if embedded_order is not None and tableau.b_hat is None:
        raise ArgumentError("embedded_order", "None: the tableau has no embedded weights", embedded_order, "give b_hat")
    proof = prove(tableau, tolerance=tolerance)
    method = chosen if isinstance(chosen, RungeKutta) else tableau.method()
    declared = _declared(method) if isinstance(chosen, RungeKutta) else []
    if any(f.check == "weights" and f.holds is not True for f in proof):
        return proof  # an inconsistent method is not stepped
    return Report(tableau.name, [*proof, *declared, *_by_steps(method), *_limit(method, spectrum)])


def _declared(method: Method) -> list[Finding]:
    """Order and limits as the literature declares them, against those computed."""
    facts = method.declared
    if facts is None:
        return []
    proved = method.order_separable  # as the literature counts, of partitioned methods
    out = [Finding("declared order", facts.order == proved, str(facts.order), str(proved))]
    for name, said, found in (
        ("real limit", facts.real, real_limit(method)),
        ("imaginary limit", facts.imaginary, imaginary_limit(method)),
    ):
        same = said == found or math.isclose(said, found, rel_tol=10.0 ** (1 - facts.digits), abs_tol=1e-12)
        out.append(Finding(f"declared {name}", same, f"{said:.12g}", f"{found:.12g}"))
    return out


def _by_steps(method: Method) -> list[Finding]:
    agreement = _agreement(method)
    return [agreement] if method.order is None else [agreement, _observed(method, method.order)]


NEAR = 1e-3
"""How far below and above the largest stable step growth is measured."""


def _limit(method: Method, spectrum: Spectrum | None) -> list[Finding]:
    """The largest stable step on a spectrum: by the theory, and by the tangent of real steps on the linear game."""
    if spectrum is None:
        return []
    if method.varies:
        return [Finding("largest stable step", None, "", "of a late step: no one step shows it")]
    if method.named_parts:
        return [Finding("largest stable step", None, "", "of a flow with parts: gamedyn.spectrum.confirm measures it")]
    if not method.decouples and not isinstance(spectrum, BlockJacobian):
        return [Finding("largest stable step", None, "", "of players apart: give a BlockJacobian")]
    blocks = spectrum if isinstance(spectrum, BlockJacobian) else _real_form(eigenvalue_array(spectrum))
    check = "largest stable step"
    try:
        predicted = stable_steps(method, spectrum).limit
    except ArgumentError as error:  # a method that needs blocks, say
        return [Finding(check, None, "", str(error))]
    if not 0 < predicted < math.inf:
        return [Finding(check, None, "", f"{predicted:g}: nothing to measure")]
    J = torch.as_tensor(blocks.matrix)
    sizes = zip(blocks.players, blocks.sizes, strict=True)
    game = Game({p: torch.zeros(size, dtype=J.dtype) for p, size in sizes}, _no_losses)
    flow = flows.custom(lambda t, state, _: game.layout.parts(J @ game.layout.joined(dict(state))), like=game)
    how = _solving(method)
    below, above = (step_radius(flow, method, game.state(), predicted * (1 + s * NEAR), **how) for s in (-1, 1))
    got = f"growth {below:.6g} at {1 - NEAR:g} of it, {above:.6g} at {1 + NEAR:g}"
    return [Finding(check, below <= 1 + 1e-9 < above, f"{predicted:.10g}", got)]


def _no_losses(**players: torch.Tensor) -> dict[str, torch.Tensor]:
    return {p: 0.0 * y.sum() for p, y in players.items()}


def _real_form(values: NDArray[np.complex128]) -> BlockJacobian:
    """A real matrix with these eigenvalues and the conjugates that they lack."""
    pairs = list(dict.fromkeys((x.real, abs(x.imag)) for x in values.tolist()))
    parts = [np.array([[x]]) if not y else np.array([[x, -y], [y, x]]) for x, y in pairs]
    return BlockJacobian(block_diag(*parts), (sum(map(len, parts)),))


def _solving(method: Method) -> dict[str, Any]:
    """Solved far below what is measured."""
    if method.explicit:
        return {}
    return {"solver": NewtonKrylov(rtol=1e-13) if method.solver_decides else Krylov(rtol=1e-13)}


def _agreement(method: Method) -> Finding:
    """Steps on a linear game with a penalty against the theory: the last one, or the product of all of them."""
    rng = np.random.default_rng(7)
    sizes = SIZES[: method.fixed_players]
    flow, blocks = _penalised(rng, sizes)
    field, integrator = FrozenField(flow), stepper(method, **_solving(method))
    y = torch.as_tensor(rng.standard_normal(sum(sizes)))
    with torch.no_grad():
        memory, points = integrator.init(field, 0.0, y, H), [y]
        for n in range(method.steps + 1):
            field.begin_step(None)
            y, memory, _ = integrator.step(field, n * H, y.clone(), H, memory)
            points.append(y.clone())
    if method.varies:
        check, new, history = "its steps are their product", points[-1], points[:1]
        M = products(method).matrix(len(points) - 1, H * blocks.matrix)
    else:
        check, (new, *history) = "a step is its matrix", points[: -method.steps - 2 : -1]
        M = step_matrix(method, blocks, H)[: len(new)]
    past = torch.cat(history).numpy()
    gap = float(np.abs(new.numpy() - M @ past).max() / (np.abs(M) @ np.abs(past)).max())
    allowed = 1e-13 if method.explicit else 1e-11
    return Finding(check, gap <= allowed, "the theory's matrix", "steps taken", gap, allowed)


def _penalised(rng: np.random.Generator, sizes: tuple[int, ...]) -> tuple[flows.Flow, BlockJacobian]:
    """A quadratic game with all blocks, and weight decay of the last player as a part of its own."""
    n = sum(sizes)
    K = rng.standard_normal((n, n))
    ends = np.cumsum(sizes)
    slices = [slice(e - s, e) for e, s in zip(ends, sizes, strict=True)]
    for own in slices:
        K[own, own] = (K[own, own] + K[own, own].T) / 2
    game = games.quadratic(torch.as_tensor(K), sizes=sizes)
    players = game.layout.players
    flow = flows.gradient(game).with_term(weight_decay(0.4, into=players[-1]))
    decay = np.zeros((n, n))
    decay[slices[-1], slices[-1]] = -0.4 * np.eye(sizes[-1])
    return flow, BlockJacobian(decay - K, sizes, players, parts={"game": -K, flow.parts[1]: decay})


def _rhs(t: float, x: Any, y: Any, sin: Any = np.sin) -> tuple[Any, Any]:
    """A pendulum-like rotation with friction, pushed at two frequencies: nonlinear, and dependent on time."""
    return -sin(y) - 0.2 * x + 0.5 * math.sin(2 * t), sin(x) - 0.1 * y + 0.3 * math.cos(3 * t)


def _observed(method: Method, order: int | None) -> Finding:
    """The slope of the error over two halvings of h, at h as small as rounding allows."""
    flow = flows.custom(
        lambda t, s, _: dict(zip(("x", "y"), _rhs(t, s["x"], s["y"], torch.sin), strict=True)), like=games.bilinear()
    )
    clock, errors, n = float(method.time_scale), list[float](), 8
    exact, start = _exact(clock), torch.tensor([1.0, 0.5], dtype=torch.float64)
    while n <= (512 if method.explicit else 64) and not (errors and errors[-1] < 1e-9):
        run = solve(flow, method, h=2 / clock / n, steps=n, y0=start, throw=False, **_solving(method))
        errors.append(float((run.state.y - exact).norm()) if run.status == "done" else math.inf)
        n *= 2
    above = [e for e in errors if 3e-12 < e < 1e-1]
    check, expected = "observed order", "not said" if order is None else f"{order}, on a field of time"
    if len(above) < 2:
        return Finding(check, None, expected, "too few errors above rounding")
    slope = math.log2(above[-2] / above[-1])
    return Finding(check, None if order is None else slope > order - 0.35, expected, f"{slope:.2f}")


def _exact(clock: float) -> torch.Tensor:
    def rhs(t: float, w: NDArray[np.float64]) -> NDArray[np.float64]:
        return clock * np.array(_rhs(t, *w))

    run = solve_ivp(rhs, (0.0, 2 / clock), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14, max_step=0.02 / clock)
    return torch.as_tensor(run.y[:, -1])


def _delegated(method: Delegated, tolerance: float | None) -> Report:
    """Another library's method: its tableau where it shows one, else what its steps do."""
    if method.library == "torchdiffeq":
        known = tableau_of(method.method)
        if known is not None:
            return prove(replace(read_tableau(known), name=method.name), tolerance=tolerance)
        trap = [_default_order()] if method.method == "explicit_adams" else []
        return Report(method.name, [*trap, *_measured_series(method), _observed(method, None)])
    import scipy.integrate

    known = getattr(scipy.integrate, method.method, None)
    if method.library != "scipy" or known is None:
        raise ArgumentError("subject", "a method with coefficients", method.name)
    return prove(replace(read_tableau(known), name=method.name), tolerance=tolerance)


USABLE = 0.1
"""A real limit below it leaves a method no step that anyone would take."""


def _default_order() -> Finding:
    """Where torchdiffeq's explicit Adams ends unless `max_order` is given; gamedyn's bridge gives it (`order`, 4)."""
    default = adams_default()
    limit = real_limit(default)
    got = f"Adams-Bashforth of order {default.order}, real limit {limit:.6g}"
    return Finding("default max_order", limit >= USABLE, f"a real limit of at least {USABLE:g}", got)


def _measured_series(method: Delegated) -> list[Finding]:
    """R(z) of a one-step method, read off one step on a nilpotent J; and the members that it is."""
    n = SERIES
    J = np.eye(n, k=1)
    game = games.quadratic(torch.as_tensor(-J), sizes=(1,) * n)
    start = torch.zeros(n, dtype=torch.float64)
    start[-1] = 1.0
    y = solve(flows.gradient(game), method, h=1.0, steps=1, y0=start).state.y.numpy()[::-1]
    coefficients = np.trim_zeros(np.where(np.abs(y) < 1e-14, 0.0, y), "b")
    linear = 0
    while linear + 1 < len(coefficients) and abs(coefficients[linear + 1] - 1 / math.factorial(linear + 1)) < 1e-13:
        linear += 1
    ours = {name: m for name, m in members().items() if isinstance(m, RungeKutta) and m.explicit}
    same = [name for name, m in ours.items() if _same(m, coefficients)]
    text = f"degree {len(coefficients) - 1}, exp(z) to order {linear}"
    found = f"that of {', '.join(same[:6])}" if same else "that of no member"
    return [Finding("R(z) of its first step", None, "", text), Finding("known R(z)", None, "", found)]


def _same(m: RungeKutta, coefficients: NDArray[np.float64]) -> bool:
    own = [float(c) for c in stability_function(m).numerator]
    return m.time_scale == 1 and len(own) == len(coefficients) and bool(np.allclose(own, coefficients, atol=1e-12))
