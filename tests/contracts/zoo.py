"""Awkward players, a game of two each: what users' modules and losses do that a smooth perceptron does not."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

DOUBLE = torch.float64


class Case(NamedTuple):
    """Two players and losses; which columns must be right (the others are refused), and what is special."""

    G: nn.Module
    D: nn.Module
    losses: Any = None
    steps: bool = True
    products: bool = True
    forward: bool | None = None
    held: tuple = ()
    draws: bool = False
    ensemble: bool | None = None
    tol: float = 1e-6
    terms: bool = True


def mlp(*sizes, between=nn.Tanh, last=None):
    layers = [x for a, b in itertools.pairwise(sizes) for x in (nn.Linear(a, b), between())][:-1]
    return nn.Sequential(*layers, *([] if last is None else [last]))


def adversarial(G, D, batch):
    real, fake = D(batch[0]), D(G(batch[1]))
    return {"G": F.softplus(-fake).mean(), "D": F.softplus(fake).mean() + F.softplus(-real).mean()}


def detached(G, D, batch):
    losses, x = adversarial(G, D, batch), G(batch[1]).detach()
    return {**losses, "D": F.softplus(D(x)).mean() + F.softplus(-D(batch[0])).mean()}


def without_grad(G, D, batch):
    with torch.no_grad():
        x = G(batch[1])
    return {**adversarial(G, D, batch), "D": F.softplus(D(x)).mean() + F.softplus(-D(batch[0])).mean()}


def toggled(G, D, batch):
    for p in D.parameters():
        p.requires_grad_(False)
    g = F.softplus(-D(G(batch[1]))).mean()
    for p in D.parameters():
        p.requires_grad_(True)
    return {**adversarial(G, D, batch), "G": g}


def left_off(G, D, batch):
    losses = adversarial(G, D, batch)
    for p in D.parameters():
        p.requires_grad_(False)
    return losses


def own_penalty(cut):
    def losses(G, D, batch):
        fake = G(batch[1])
        x = 0.3 * batch[0] + 0.7 * (fake.detach().requires_grad_() if cut else fake)
        slope = torch.autograd.grad(D(x).sum(), x, create_graph=True)[0]
        return {"G": -D(fake).mean(), "D": D(fake).mean() - D(batch[0]).mean() + ((slope.norm(dim=1) - 1) ** 2).mean()}

    return losses


def clipping(G, D, batch):
    for p in D.parameters():
        p.data.clamp_(-10.0, 10.0)
    return adversarial(G, D, batch)


def logged(G, D, batch):
    losses = adversarial(G, D, batch)
    losses["D"].item()
    return losses


def augmented(draw):
    def losses(G, D, batch):
        return adversarial(G, D, (batch[0] * (1.0 + 0.3 * draw()), batch[1]))

    return losses


class Checkpointed(nn.Module):
    def __init__(self, inner, reentrant):
        super().__init__()
        self.inner, self.reentrant = inner, reentrant

    def forward(self, x):
        x = x if x.requires_grad or not self.reentrant else x.clone().requires_grad_()
        return checkpoint(self.inner, x, use_reentrant=self.reentrant)


class Counting(nn.Module):
    """A buffer of its own, in place or put in its place; it moves the output by what the derivative sees."""

    def __init__(self, rebinds):
        super().__init__()
        self.inner, self.rebinds = mlp(3, 4, 1), rebinds
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        if self.training and self.rebinds:
            self.mean = 0.5 * self.mean + 0.5
        elif self.training:
            self.mean.mul_(0.5).add_(0.5)
        return self.inner(x) * (1 + self.mean)


class OwnSpectral(nn.Linear):
    """Power iterations of one's own: the weight depends on them, and no derivative knows."""

    def __init__(self, i, o, rebinds):
        super().__init__(i, o)
        self.rebinds = rebinds
        self.register_buffer("u", F.normalize(torch.ones(o), dim=0))

    def forward(self, x):
        with torch.no_grad():
            v = F.normalize(self.weight.T @ self.u, dim=0)
            u = F.normalize(self.weight @ v, dim=0)
            if self.training and self.rebinds:
                self.u = u
            elif self.training:
                self.u.copy_(u)
        return F.linear(x, self.weight / (u @ self.weight @ v), self.bias)


class Attribute(nn.Module):
    """A number that counts calls, which is no buffer; the output depends on it."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls = mlp(3, 4, 1), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * (1.0 + 0.1 * (self.calls % 2))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.r, self.o = kind(1, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, x):
        return self.o(self.r(x[..., None])[0][:, -1])


class Attention(nn.Module):
    def __init__(self, math):
        super().__init__()
        self.q, self.o, self.math = nn.Linear(1, 4), nn.Linear(4, 1), math

    def forward(self, x):
        q = self.q(x[..., None])[:, None]
        if self.math:
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                y = F.scaled_dot_product_attention(q, q, q)
        else:
            y = F.scaled_dot_product_attention(q, q, q)
        return self.o(y[:, 0].mean(1))


class Embedded(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.e, self.o = nn.Embedding(4, 3, **options), mlp(3, 4, 1)

    def forward(self, x):
        return self.o(x + self.e(torch.arange(len(x)) % 4))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.o(torch.tanh(self.b(torch.tanh(self.a(x)))))


class Listed(nn.Module):
    """Keeps a list of its parameters and uses it."""

    def __init__(self):
        super().__init__()
        self.inner = mlp(3, 4, 1)
        self.all = list(self.inner.parameters())

    def forward(self, x):
        return self.inner[2](torch.tanh(F.linear(x, self.all[0], self.all[1])))


class Minibatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.o = nn.Linear(3, 4), nn.Linear(1, 1)

    def forward(self, x):
        h = self.a(x)
        return self.o(torch.exp(-(h[:, None] - h).abs().sum(2)).sum(1, keepdim=True))


class Kinked(nn.Module):
    """A norm at its kink: finite, and with a derivative that is not."""

    def __init__(self):
        super().__init__()
        self.a, self.zero = nn.Linear(3, 1), nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.a(x) + torch.linalg.vector_norm(self.zero)


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.a, self.b = function, nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.b(self.function(self.a(x)))


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g


class Once(Cubed):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g


class WrongTwice(Cubed):
    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0].detach() ** 2 * g


def hooked(net, where):
    if where == "parameter":
        net[0].weight.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
    elif where == "accumulated":
        net[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    else:
        net[0].register_full_backward_hook(lambda m, gi, go: None)
    return net


def tensor_hook(G, D, batch):
    x = G(batch[1])
    x.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
    fake = D(x)
    return {"G": F.softplus(-fake).mean(), "D": F.softplus(fake).mean() + F.softplus(-D(batch[0])).mean()}


def captured(net):
    kept = list(net.parameters())

    def losses(G, D, batch):
        found = adversarial(G, D, batch)
        return {**found, "D": found["D"] + 0.1 * sum(p.square().sum() for p in kept)}

    return losses


def with_constant(net):
    def losses(G, D, batch):
        found = adversarial(G, D, batch)
        return {**found, "G": found["G"] + net(G(batch[1])).square().mean()}

    return losses


def generator():
    return mlp(2, 3, 3)


def players(G=None, D=None, **facts):
    return Case(generator() if G is None else G, mlp(3, 4, 1) if D is None else D, **facts)


def norm(layer):
    return nn.Sequential(nn.Linear(2, 4), layer, nn.Tanh(), nn.Linear(4, 3))


def spectral():
    sn = parametrizations.spectral_norm
    D = nn.Sequential(sn(nn.Linear(3, 4)), nn.Tanh(), sn(nn.Linear(4, 1)))
    return players(D=D, held=tuple(m.parametrizations.weight[0] for m in (D[0], D[2])))


def captured_case():
    case = players(steps=False, products=False)
    return case._replace(losses=captured(case.D))


L, S, SN, WN = nn.Linear, nn.Sequential, parametrizations.spectral_norm, parametrizations.weight_norm
REFUSED: dict[str, Any] = {"steps": False, "products": False}

ZOO = {
    "plain": players,
    "detach": lambda: players(losses=detached, products=False),
    "no_grad": lambda: players(losses=without_grad, products=False),
    "requires_grad toggled": lambda: players(losses=toggled, products=False, terms=False),
    "requires_grad left off": lambda: players(losses=left_off, **REFUSED),
    "own penalty": lambda: players(losses=own_penalty(False), forward=None),
    "own penalty, detached": lambda: players(losses=own_penalty(True), products=False),
    "weight clipping": lambda: players(losses=clipping, **REFUSED),
    "logging a loss": lambda: players(losses=logged),
    "Python's random numbers": lambda: players(losses=augmented(random.random), draws=True),
    "NumPy's random numbers": lambda: players(losses=augmented(np.random.rand), draws=True),
    "dropout": lambda: players(D=S(L(3, 8), nn.Dropout(0.3), L(8, 1)), draws=True),
    "weight norm": lambda: players(D=S(WN(L(3, 4)), nn.Tanh(), L(4, 1))),
    "orthogonal": lambda: players(
        D=S(parametrizations.orthogonal(L(3, 3)), nn.Tanh(), L(3, 1)), forward=None, products=None
    ),
    "spectral norm": spectral,
    "own spectral norm, in place": lambda: players(
        D=S(OwnSpectral(3, 4, False), nn.Tanh(), L(4, 1)), products=False, terms=None
    ),
    "own spectral norm, rebound": lambda: players(
        D=S(OwnSpectral(3, 4, True), nn.Tanh(), L(4, 1)), products=False, terms=None
    ),
    "batch norm": lambda: players(norm(nn.BatchNorm1d(4))),
    "batch norm, eval": lambda: players(norm(nn.BatchNorm1d(4).eval())),
    "layer norm": lambda: players(norm(nn.LayerNorm(4))),
    "group norm": lambda: players(norm(nn.GroupNorm(2, 4))),
    "rms norm": lambda: players(norm(nn.RMSNorm(4))),
    "instance norm, tracked": lambda: players(
        norm(S(nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten()))
    ),
    "own buffer, in place": lambda: players(D=Counting(False)),
    "own buffer, rebound": lambda: players(D=Counting(True)),
    "own attribute": lambda: players(D=Attribute()),
    "checkpointed": lambda: players(D=Checkpointed(mlp(3, 4, 1), False)),
    "checkpointed, reentrant": lambda: players(D=Checkpointed(mlp(3, 4, 1), True)),
    "checkpointed batch norm": lambda: players(Checkpointed(norm(nn.BatchNorm1d(4)), False)),
    "GRU": lambda: players(D=Recurrent(nn.GRU)),
    "LSTM": lambda: players(D=Recurrent(nn.LSTM)),
    "attention": lambda: players(D=Attention(False), products=False, terms=False),
    "attention, math": lambda: players(D=Attention(True)),
    "embedding": lambda: players(D=Embedded()),
    "embedding, sparse": lambda: players(D=Embedded(sparse=True), **REFUSED),
    "embedding, max_norm": lambda: players(D=Embedded(max_norm=1.0), **REFUSED),
    "tied weights": lambda: players(D=Tied()),
    "parameters in a list": lambda: players(D=Listed(), **REFUSED),
    "captured parameters": captured_case,
    "a net outside, trainable": lambda: players(losses=with_constant(mlp(3, 1).double()), **REFUSED),
    "a net outside, frozen": lambda: players(losses=with_constant(mlp(3, 2, 1).double().requires_grad_(False))),
    "a net outside with batch norm": lambda: players(
        losses=with_constant(S(L(3, 2), nn.BatchNorm1d(2, eps=1.0)).double().requires_grad_(False))
    ),
    "lazy": lambda: players(D=S(nn.LazyLinear(4), nn.Tanh(), nn.LazyLinear(1)), **REFUSED),
    "parameter hook": lambda: players(D=hooked(mlp(3, 4, 1), "parameter"), **REFUSED),
    "accumulation hook": lambda: players(D=hooked(mlp(3, 4, 1), "accumulated"), **REFUSED),
    "backward hook": lambda: players(D=hooked(mlp(3, 4, 1), "module"), **REFUSED),
    "tensor hook": lambda: players(losses=tensor_hook, **REFUSED),
    "compiled": lambda: players(
        D=torch.compile(mlp(3, 4, 1).double(), backend="aot_eager"), products=False, terms=None
    ),
    "scripted": lambda: players(D=torch.jit.script(mlp(3, 4, 1).double()), products=None, terms=None),
    "minibatch discrimination": lambda: players(D=Minibatch()),
    "a norm at its kink": lambda: players(D=Kinked(), products=False, terms=None),
    "hardsigmoid": lambda: players(D=Apply(F.hardsigmoid), products=None, terms=None),
    "inplace relu": lambda: players(D=S(L(3, 8), nn.ReLU(inplace=True), L(8, 1))),
    "cdist": lambda: players(
        D=Apply(lambda h: torch.cdist(h, h).mean(1, keepdim=True).expand(-1, 4)), products=None, terms=None
    ),
    "own function": lambda: players(D=Apply(Cubed.apply), terms=True),
    "own function, once differentiable": lambda: players(D=Apply(Once.apply), products=False, terms=False),
    "own function, wrong twice": lambda: players(D=Apply(WrongTwice.apply), products=False, terms=None),
}
