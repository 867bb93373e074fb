"""Every method that contracts are tested on: our own, maps, bridges, some made by users."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.bridges.scipy import scipy_methods
from gamedyn.integrators.bridges.torch_optim import torch_optim_methods
from gamedyn.jacobian import FrozenField as Field
from gamedyn.methods import (
    Delegated,
    LinearMultistep,
    Lookahead,
    Partitioned,
    PredictorCorrector,
    RungeKutta,
)

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
MAPS = {row.name: gd.methods.get(row.name) for row in gd.methods.table() if row.order is None}
IMPLICIT = ("torchdiffeq:implicit_adams", "torchdiffeq:fixed_adams")  # two names of one method
NAMES = {*gd.integrators.torchdiffeq_methods(), *scipy_methods(), *torch_optim_methods()}
NAMES -= {"torch.optim:Muon"}  # takes matrices alone
SECOND_ORDER = ("torchdiffeq:adaptive_heun", "torchdiffeq:fehlberg2")  # at 1e-7 they take a thousand steps for one
OPTIONS = {
    **{name: {"max_iters": 40} for name in IMPLICIT},  # 4 miss the tolerance here
    **{name: {"rtol": 1e-5, "atol": 1e-7} for name in SECOND_ORDER},
}
BRIDGED = {name: gd.methods.get(name, **OPTIONS.get(name, {})) for name in sorted(NAMES)}
MADE = {
    "user: leapfrog": LinearMultistep(alpha=[-1, 0, 1], beta=[0, 2, 0]),  # keeps points as well as fields
    "user: strang": Partitioned(
        [gd.methods.Sweep(1 / 2), gd.methods.Sweep(1 / 2, backward=True)], substep=OWN["heun2"]
    ),
    "user: third order": RungeKutta(A=[[], ["1/3"], [0, "2/3"]], b=["1/4", 0, "3/4"]),
    "user: five to one": gd.methods.alternating(cycles={1: 5, 0: 1}),
    "user: theta": gd.methods.theta("2/3"),
    "user: fifth extragradient": gd.methods.extragradient("1/5"),
    "user: lookahead of bdf2": Lookahead(OWN["bdf2"], 3, "1/2"),
}
EVERY = {**OWN, **MAPS, **BRIDGED, **MADE}


methods = pytest.mark.parametrize("method", list(EVERY.values()), ids=list(EVERY))


def solves(method):
    """Whether a step solves equations to a tolerance, or hands the step to another library's solver."""
    return not isinstance(method, Delegated) and not method.explicit


def inner_of(method):
    return method.inner if isinstance(method, Lookahead) else method


def start_up(method):
    """Steps that the starting rule makes."""
    several = isinstance(method, (LinearMultistep, PredictorCorrector))
    return method.steps - 1 if several and method.start != "rest" else 0


def remembers(method):
    """Whether a step takes more than the point from the step before."""
    field = Field(gd.flows.gradient(gd.games.bilinear()))
    return bool(stepper(method).init(field, 0.0, field.point, 0.1))


def small_gan(loss="nonsaturating", dtype=DOUBLE):
    g = torch.Generator().manual_seed(4)
    return gd.games.gan(
        gd.games.mlp((2, 2), generator=g, dtype=dtype), gd.games.mlp((2, 3, 1), generator=g, dtype=dtype), loss
    )


def flow_of(game, method):
    flow = gd.flows.gradient(game, rates={"D": 2.0})
    return flow.with_term(gd.losses.r1(0.1)) if hasattr(method, "parts") else flow


def data(n=10):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)


def stream():
    return gd.batches(data(), latent=2, batch_size=4, seed=3)


def snapshot(game):
    """Everything of the user's modules: which tensors they hold, their bits, their modes."""
    seen = []
    for player in game.players.values():
        if isinstance(player, torch.Tensor):
            seen.append(("", id(player), player.detach().clone(), player.requires_grad))
            continue
        for name, m in player.named_modules():
            mode = (m.training, getattr(m, "track_running_stats", None), getattr(m, "momentum", None))
            for key, x in (*m._parameters.items(), *m._buffers.items()):
                if x is not None:
                    seen.append((f"{name}.{key}", id(x), x.detach().clone(), x.requires_grad, x.grad is None, *mode))
    return seen


def assert_untouched(game, before):
    after = snapshot(game)
    assert len(after) == len(before)
    for a, b in zip(after, before, strict=True):
        assert a[:2] == b[:2]
        assert torch.equal(a[2], b[2]), a[0]
        assert a[3:] == b[3:], a[0]
