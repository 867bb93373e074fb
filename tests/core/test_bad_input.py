"""Bad input gets an error that names the argument, what was expected and what came."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gamedyn as gd

X, Y = torch.ones(1), torch.ones(1)


def product(x, y):
    value = (x * y).sum()
    return {"x": value, "y": -value}


def flow(losses=product, **players):
    return gd.flows.gradient(gd.Game({"x": X, "y": Y, **players}, losses))


def solve(f=None, method="euler", **how):
    return gd.solve(flow() if f is None else f, method, **{"h": 0.1, "steps": 2, **how})


def refused(call, *parts):
    with pytest.raises(gd.ArgumentError) as caught:
        call()
    text = str(caught.value)
    assert "expected" in text
    assert "got" in text
    for part in parts:
        assert part in text, text


def test_unknown_names():
    refused(lambda: solve(method="rk44"), "method", "did you mean", "'rk4'")
    refused(lambda: solve(method=3), "method", "got 3")
    refused(lambda: gd.games.dirac_gan("nonsaturing"), "loss", "'nonsaturating'")
    refused(lambda: gd.games.dirac_gan(penalty="r3"), "penalty", "'r1'")
    refused(lambda: gd.flows.gradient(gd.games.bilinear(), rates={"z": 1.0}), "player", "got z")
    refused(lambda: solve(method=gd.methods.alternating(("x", "z"))), "player", "got z")
    refused(lambda: solve(method=gd.methods.get("torchdiffeq:euler", stepsize=1)), "option of torchdiffeq:euler")
    refused(lambda: gd.methods.get("rk4", order=4), "options", "order")
    refused(lambda: solve(sampling="freshh"), "sampling", "'fresh'")
    refused(
        lambda: gd.solve(flow(), "euler", h=0.1, stepz=3), "solve: expected a call as solve(flow, method,", "'stepz'"
    )


@pytest.mark.parametrize("h", [0, 0.0, -0.1, float("nan"), float("inf"), "a", None])
def test_h(h):
    refused(lambda: solve(h=h), "h:", "positive, finite")


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_rates(rate):
    refused(lambda: gd.flows.gradient(gd.games.bilinear(), rates={"x": rate}), "rates['x']", "positive")


@pytest.mark.parametrize(
    ("losses", "parts"),
    [
        (lambda x, y: {"x": (x * y).repeat(2), "y": (x * y).sum()}, ("losses['x']", "scalar", "(2,)", "mean")),
        (lambda x, y: {"x": 1.0, "y": (x * y).sum()}, ("losses['x']", "scalar tensor", "float")),
        (lambda x, y: {"x": (x * y).sum()}, ("losses", "['x', 'y']", "got ['x']")),
        (lambda x, y: {"x": (x * y).sum(), "z": x.sum()}, ("losses", "['x', 'y']", "got ['x', 'z']")),
        (lambda x, y: (x * y).sum(), ("losses", "dict", "Tensor")),
        (lambda x, y: {"x": (x.detach() * y).sum(), "y": (x * y).sum()}, ("losses['x']", "depends on player 'x'")),
        (lambda x, y: {"x": torch.ones(()), "y": (x * y).sum()}, ("losses['x']", "depends")),
        (lambda x: {"x": x.sum()}, ("losses", "takes the players", "TypeError")),
    ],
    ids=["not scalar", "not a tensor", "misses a player", "stranger", "no dict", "detached", "constant", "signature"],
)
def test_losses(losses, parts):
    refused(lambda: solve(flow(losses)), *parts)
    refused(lambda: gd.solve_ensemble(flow(losses), "euler", h=[0.1], steps=2), *parts)


def test_a_loss_that_is_not_deterministic():
    g = torch.Generator().manual_seed(0)

    def losses(x, y):
        value = (x * y * torch.randn(1, generator=g)).sum()
        return {"x": value, "y": -value}

    refused(lambda: solve(flow(losses)), "losses", "deterministic", "differ by", "pass it in the batch")
    refused(lambda: gd.spectrum.linearise(flow(losses), flow().initial_state()), "deterministic")


def test_players():
    shared = nn.Linear(2, 2)
    both = {"G": nn.Sequential(shared), "D": nn.Sequential(shared, nn.Linear(2, 1))}
    refused(lambda: gd.Game(both, product), "players", "one player each", "0.weight", "'G'", "'D'")
    refused(lambda: gd.Game({"x": X, "y": X}, product), "players", "one player each")
    devices = {"x": X, "y": torch.ones(1, device="meta")}
    refused(lambda: gd.Game(devices, product), "players['y']", "parameters with values", "to_empty")
    refused(lambda: gd.Game({"x": X, "y": Y.double()}, product), "one dtype", "y: torch.float64", ".to(dtype=")
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double())
    refused(lambda: gd.Game({"x": X, "G": mixed}, product), "one dtype")
    whole = nn.Parameter(torch.ones(1, dtype=torch.long), requires_grad=False)
    for integer in (torch.ones(1, dtype=torch.long), whole):
        refused(lambda p=integer: gd.Game({"x": p, "y": Y}, product), "players['x']", "floating-point", "torch.int64")
    refused(lambda: gd.Game({}, product), "players", "at least one", "none")
    refused(lambda: gd.Game({"x": torch.ones(0)}, product), "players['x']", "empty")
    refused(lambda: gd.Game({"x": [1.0]}, product), "players['x']", "list")
    frozen = nn.Linear(2, 2).requires_grad_(False)
    refused(lambda: gd.Game({"x": frozen}, product), "players['x']", "requires grad")
    refused(lambda: gd.Game({"x": X}, "loss"), "losses", "function")
    old = {"x": nn.utils.spectral_norm(nn.Linear(2, 2)), "y": Y} if hasattr(nn.utils, "spectral_norm") else {}
    refused(lambda: gd.Game(old, product), "players['x']", "SpectralNorm", "parametrizations")


class TestBatches:
    """Messages say what a batch is."""

    def gan(self):
        return gd.flows.gradient(gd.games.gan(nn.Linear(2, 3), nn.Linear(3, 1)))

    def loader(self, width=3):
        return DataLoader(TensorDataset(torch.ones(8, width), torch.zeros(8, dtype=torch.long)), batch_size=4)

    def test_items_that_the_loss_cannot_take(self):
        what = ("losses", "the batch is", "Tensor(4, 5) float32", "(loader's item, noise)")
        refused(lambda: solve(self.gan(), batches=gd.batches(self.loader(5), latent=2)), *what)
        # labels taken for noise: (images, labels) without latent=
        without = gd.batches(self.loader())
        refused(lambda: solve(self.gan(), batches=without), "losses", "Tensor(4,) int64", "latent=")
        refused(lambda: solve(self.gan()), "losses", "the batch is NoneType")

    def test_sources(self):
        refused(lambda: solve(self.gan(), batches=self.loader()), "batches", "gamedyn.batches", "DataLoader")
        refused(lambda: gd.batches(iter([X])), "source", "again", "iterator")
        refused(lambda: gd.batches(3), "source", "int")
        refused(lambda: gd.batches(torch.ones(3, 2), batch_size=4), "batch_size", "at most the 3")
        refused(lambda: gd.batches(self.loader(), batch_size=4), "batch_size", "loader")
        refused(lambda: gd.batches(torch.ones(3, 2), latent=0), "latent", "at least 1")
        refused(lambda: solve(self.gan(), batches=gd.batches(torch.ones(4, 3), latent=2), batch=X), "one of the two")
        used = iter([(torch.ones(4, 3), torch.ones(4, 2))])
        with pytest.raises(
            gd.SolveError, match=r"the batches ended after step 1 .*gamedyn\.batches\(loader\)"
        ) as error:
            solve(self.gan(), batches=used, steps=3)
        assert (error.value.run.step, error.value.run.status) == (1, "stream_ended")
        refused(lambda: solve(self.gan(), batches=iter(())), "batches", "at least one batch")

    def test_empty_batches(self):
        refused(lambda: gd.batches(torch.ones(0, 3)), "source", "empty batch")
        empty = DataLoader(TensorDataset(torch.ones(0, 3)), batch_size=4)
        refused(lambda: solve(self.gan(), batches=gd.batches(empty, latent=2)), "batches", "at least one item")
        hollow = [[torch.ones(0, 3)]]
        refused(lambda: solve(self.gan(), batches=gd.batches(hollow, latent=2)), "batches", "an empty batch")


def test_multistep_with_a_changing_step():
    for how in ({"h": lambda n: 0.1}, {"h": 0.3, "steps": None, "t_span": (0.0, 1.0)}):
        refused(lambda how=how: solve(method="ab3", **how), "equal", "one-step method")
    run = solve(method="ab3", steps=5)
    refused(lambda: solve(method="ab3", h=0.2, steps=9, resume=run), "h:", "0.1", "0.2", "one-step")
    assert solve(h=0.2, steps=9, resume=solve(steps=5), allow=["h"]).t == pytest.approx(0.5 + 4 * 0.2)


def test_eigenvalues_alone_for_a_partitioned_method():
    refused(lambda: gd.stability.stable_steps("alternating", [-0.5 + 1j, -0.5 - 1j]), "BlockJacobian", "blocks")
    game = gd.games.affine_quadratic_gan(torch.randn(30, 3, generator=torch.Generator().manual_seed(0)), q=2)
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.state(), form=False, k=2)
    refused(lambda: gd.spectrum.stable_steps("alternating", lin), "formed", "step_radius")


def test_states_of_another_size():
    f = gd.flows.gradient(gd.games.bilinear())
    bad = torch.ones(3, dtype=torch.float64)
    refused(lambda: gd.spectrum.linearise(f, bad), "state", "2 parameters", "(3,)")
    refused(lambda: f.at(torch.tensor([1.0, float("nan")])).jacobian().to_dense(), "state", "finite")
    refused(lambda: gd.solve(f, "euler", h=0.1, steps=1, y0={"x": X}), "parts", "['x']")
    refused(lambda: gd.solve(f, "euler", h=0.1, steps=1, y0={"x": X, "y": torch.ones(2)}), "parts['y']", "1 entries")
    refused(lambda: gd.spectrum.step_radius(f, "euler", f.initial_state(), -1.0), "h:", "positive")
    refused(
        lambda: (
            gd.games.rotation(3).equilibrium_state()
            and gd.games.gan(nn.Linear(1, 1), nn.Linear(1, 1)).equilibrium_state()
        ),
        "declares an equilibrium",
    )
