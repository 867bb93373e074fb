"""Awkward players: for every one, each analysis and each family of methods is right, or refuses it by name.

What is right is told without the package: copies of the modules that hold y, evaluated and differentiated by hand, with
their buffers and generators where they were (`Reference`). A case that is refused says so in `steps` or `products`; a
traceback of PyTorch's own, or a number that is wrong, fails. Rejects whatever gives wrong numbers on a case: modules
bound during the forward pass alone (checkpoints), buffers known by class, products that only agree with each other.
"""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

import gamedyn as gd
from gamedyn.optim import GameOptimizer
from tests.contracts.zoo import DOUBLE, ZOO, adversarial

H = 0.05


def data(case):
    g = torch.Generator().manual_seed(1)
    return torch.randn(7, 3, generator=g, dtype=DOUBLE), torch.randn(7, 2, generator=g, dtype=DOUBLE)


class Reference:
    """v, J and the first step's buffers by hand: copies of the modules, their own parameters, `backward`."""

    def __init__(self, case, batch):
        self.case, self.batch, self.losses = case, batch, case.losses or adversarial
        self.nets = {"G": case.G, "D": case.D}
        self.own = [p for m in self.nets.values() for p in m.parameters() if p.requires_grad]
        self.y = torch.cat([p.detach().reshape(-1) for p in self.own])
        self.start = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002

    def v(self, y, *, stepping=False):
        """Spectral norms by the weight's own singular vectors; while stepping, by the held ones."""
        rewound(self.start)
        nets, losses = copy.deepcopy((self.nets, self.losses))
        own = [[p for p in m.parameters() if p.requires_grad] for m in nets.values()]
        at = 0
        with torch.no_grad():
            for p in [*own[0], *own[1]]:
                p.copy_(y[at : at + p.numel()].view(p.shape))
                at += p.numel()
        for m in [m for net in nets.values() for m in net.modules()]:
            chain = getattr(m, "parametrizations", {})
            if "weight" in chain and type(norm := chain["weight"][0]).__name__ == "_SpectralNorm":
                norm.eval()
                if not stepping:
                    u, _, vh = torch.linalg.svd(chain["weight"].original.detach())
                    norm._u, norm._v = u[:, 0].clone(), vh[0].clone()
        values = losses(*nets.values(), self.batch)
        self.after = [b.clone() for m in nets.values() for b in m.buffers()]
        out = []
        for name, mine in zip(nets, own, strict=True):
            if getattr(nets["D"], "reentrant", False):  # has gradients by `backward` alone
                for p in [*own[0], *own[1]]:
                    p.grad = None
                values[name].backward(retain_graph=True)
                out += [p.grad.clone() for p in mine]
            else:
                out += torch.autograd.grad(values[name], mine, retain_graph=True, materialize_grads=True)
        return -torch.cat([g.reshape(-1) for g in out]).detach()

    def J(self, e=1e-6, *, stepping=False):
        y, held = self.y, {"stepping": stepping}
        eye = torch.eye(len(y), dtype=DOUBLE)
        return torch.stack([(self.v(y + e * u, **held) - self.v(y - e * u, **held)) / (2 * e) for u in eye], 1)


def rewound(start):
    random.setstate(start[0])
    np.random.set_state(start[1])  # noqa: NPY002
    torch.set_rng_state(start[2])


def gap(a, b):
    return float((a - b).norm() / b.norm().clamp_min(1e-8))


def outcome(call, right, start=None):
    """What became of a cell: "right", "refused", or how it was wrong."""
    if start is not None:
        rewound(start)
    try:
        found = call()
    except (gd.ArgumentError, gd.SolveError) as error:
        return "refused", str(error)
    except Exception as error:
        return f"raw {type(error).__name__}", str(error)[:200]
    off = right(found)
    return ("right" if off else "wrong"), str(found)[:100]


def analyses(flow, batch, ref, tol):
    state, n, v_held = flow.game.state(), len(ref.y), ref.v(ref.y, stepping=True)
    u, w = torch.randn(2, n, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)
    J = {}

    def matrix():
        if not J:
            J["J"] = ref.J()
        return J["J"]

    def inside():
        return ref.J(stepping=True) if ref.case.held else matrix()

    def near(x, y, times=1.0):
        return gap(x, y) < times * tol

    def products(strategy):
        def made():
            op = gd.spectrum.GameJacobian(flow, state, batch, strategy=strategy)
            return torch.stack([op @ u, op.T @ w])

        return made, lambda x: near(x, torch.stack([matrix() @ u, matrix().T @ w]), 10)

    def eigenvalues_right(values):
        want = np.linalg.eigvals(matrix().numpy())
        size = max(abs(want).max(), 1e-8)
        return all(min(abs(want - z)) < 1e3 * tol * size for z in values)

    def modified():
        return gd.spectrum.modified_field(flow, "euler", state, batch, terms=2)

    def equilibrium():
        return gd.spectrum.find_equilibrium(flow, state, batch, max_iterations=1, throw=False)

    return {
        "kept": products("kept"),
        "forward": products("forward"),
        "eigenvalues": (lambda: gd.spectrum.linearise(flow, state, batch).eigenvalues.values, eigenvalues_right),
        "outer": (
            lambda: gd.spectrum.linearise(flow, state, batch, form=False, k=2).eigenvalues.values,
            eigenvalues_right,
        ),
        "verdict": (lambda: gd.spectrum.verdict(flow, state, batch).flow.eigenvalues.values, eigenvalues_right),
        "modified field": (modified, lambda x: near(x[1], -matrix() @ ref.v(ref.y) / 2, 100)),
        "equilibrium": (equilibrium, lambda e: abs(e.norm - float(ref.v(e.state.y).norm())) < 1e-6),
        "rk4 tangent": (
            lambda: gd.spectrum.StepTangent(flow, "euler", state, H, batch).matrix(),
            lambda M: near(M, torch.eye(n, dtype=DOUBLE) + H * matrix(), 10),
        ),
        "rosenbrock_euler": (
            lambda: step(flow, "rosenbrock_euler", batch, solver=gd.integrators.Krylov(rtol=1e-12)),
            lambda y: near(y - ref.y, H * torch.linalg.solve(torch.eye(n, dtype=DOUBLE) - H * inside(), v_held), 100),
        ),
        "exponential_rosenbrock_euler": (
            lambda: step(flow, "exponential_rosenbrock_euler", batch, solver=gd.integrators.Krylov(rtol=1e-12)),
            lambda y: near(y - ref.y, torch.tensor(phi(H * inside().numpy()) @ v_held.numpy()) * H, 100),
        ),
    }


def phi(A):
    n = len(A)
    return scipy.linalg.expm(np.block([[A, np.eye(n)], [np.zeros((n, 2 * n))]]))[:n, n:]


def step(flow, method, batch, **options):
    return gd.solve(flow, method, h=H, steps=1, batch=batch, **options).state.y


def families(flow, case, batch, ref, tol):
    """One step from the start; the same method on the field written by hand."""
    like = gd.Game({"y": ref.y.clone()}, lambda y: {"y": y.sum()})
    hand = gd.flows.custom(lambda t, s, b: {"y": ref.v(s["y"])}, like=like)
    explicit = ["euler", "rk4", "ndb124", "ab2", "heavy_ball", "optimistic", "torchdiffeq:rk4", "lookahead_optimistic"]

    def near(method, **options):
        return lambda y: gap(y - ref.y, step(hand, method, None, **options) - ref.y) < tol

    cells = {m: (lambda m=m: step(flow, m, batch), near(m)) for m in explicit}
    solver = gd.integrators.Anderson(rtol=1e-9)
    cells["implicit_midpoint"] = (
        lambda: step(flow, "implicit_midpoint", batch, solver=solver),
        near("implicit_midpoint", solver=solver),
    )
    y = ref.y.clone()

    def alternating(found):
        cut = sum(p.numel() for p in case.G.parameters() if p.requires_grad)
        y[:cut] = (ref.y + H * ref.v(ref.y))[:cut]
        y[cut:] = (ref.y + H * ref.v(y))[cut:]
        return gap(found - ref.y, y - ref.y) < tol

    cells["alternating"] = (lambda: step(flow, "alternating", batch), alternating)
    adam = lambda v: H * v / (v.abs() + 1e-8)  # noqa: E731
    cells["torch.optim:Adam"] = (
        lambda: step(flow, "torch.optim:Adam", batch),
        lambda y: gap(y - ref.y, adam(ref.v(ref.y))) < max(10 * tol, 1e-4),
    )
    cells["ensemble"] = (
        lambda: gd.solve_ensemble(flow, "euler", h=[H, 2 * H], steps=1, batch=batch).state.y[1],
        lambda y: gap(y - ref.y, 2 * H * ref.v(ref.y)) < tol,
    )
    if case.draws:  # every member draws for itself
        del cells["ensemble"]
    return cells


def optimizer(case, batch):
    G, D = copy.deepcopy((case.G, case.D))
    losses = case.losses or adversarial
    GameOptimizer({"G": G, "D": D}, "rk4", lr=H).step(lambda: losses(G, D, batch))
    own = [p for m in (G, D) for p in m.parameters() if p.requires_grad]
    return torch.cat([p.detach().reshape(-1) for p in own])


@pytest.fixture
def case(request):
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(3)
        made = ZOO[request.param]()
        for m in (made.G, made.D):
            if not any(isinstance(p, nn.parameter.UninitializedParameter) for p in m.parameters()):
                m.double()
        yield made


def judged(cells, must, label, start):
    """Every cell right or refused; those that must be right are, those that must be refused are."""
    found = {name: outcome(*cell, start) for name, cell in cells.items()}
    bad = {k: v for k, v in found.items() if v[0] not in ("right", "refused")}
    assert not bad, (label, bad)
    if must is not None:
        expected = "right" if must else "refused"
        other = {k: v for k, v in found.items() if v[0] != expected}
        assert not other, (label, expected, other)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ZOO, indirect=True, ids=lambda name: name.replace(" ", "_"))
def test_every_column(case):
    batch = data(case)
    before = [x.clone() for m in (case.G, case.D) for x in (*m.parameters(), *m.buffers()) if not _lazy(x)]
    if not case.steps:
        with pytest.raises(gd.ArgumentError):
            step(flow_of(case), "rk4", batch)
        with pytest.raises(gd.ArgumentError):
            flow_of(case).field(batch)
        return
    flow = flow_of(case)
    ref = Reference(case, batch)
    if case.held:  # PyTorch's spectral norm is iterated once before a step: compare the field that is held
        assert gap(flow.at(flow.game.state(), batch).value, ref.v(ref.y)) < case.tol
    else:
        judged(families(flow, case, batch, ref, case.tol), True, "families", ref.start)
    found = judged(analyses(flow, batch, ref, case.tol), None, "analyses", ref.start)
    if case.products is not None and not (case.held or case.draws):
        needed = {k: v for k, v in found.items() if k != "forward"}
        expected = "right" if case.products else "refused"
        assert all(v[0] == expected for v in needed.values()), (expected, found)
    elif case.products:
        assert found["kept"][0] == found["eigenvalues"][0] == "right", found
    for term in (gd.losses.squared_gradient(0.3), gd.losses.r1(0.3)):
        with_term = flow.with_term(term)
        cell = outcome(lambda f=with_term: step(f, "rk4", batch), lambda y: bool(y.isfinite().all()))
        assert cell[0] in ("right", "refused"), (term.name, cell)
        if case.terms and term.name == "squared_gradient":
            J = outcome(lambda f=with_term: gd.spectrum.GameJacobian(f, f.game.state(), batch), lambda J: True)
            assert cell[0] == "right", cell
            assert J[0] in ("right", "refused"), J
        if case.terms is False and term.name == "squared_gradient":
            assert cell[0] == "refused", cell
    after = [x for m in (case.G, case.D) for x in (*m.parameters(), *m.buffers())]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    if not (case.held or case.draws) and not isinstance(case.D, torch.jit.ScriptModule):
        y = outcome(lambda: optimizer(case, batch), lambda y: gap(y - ref.y, _rk4(ref) - ref.y) < case.tol)
        assert y[0] == "right", y


def flow_of(case):
    return gd.flows.gradient(gd.Game({"G": case.G, "D": case.D}, case.losses or adversarial))


def _rk4(ref):
    y, h = ref.y, H
    a = ref.v(y)
    b = ref.v(y + h / 2 * a)
    c = ref.v(y + h / 2 * b)
    d = ref.v(y + h * c)
    return y + h / 6 * (a + 2 * b + 2 * c + d)


def _lazy(x):
    return isinstance(x, (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer))
