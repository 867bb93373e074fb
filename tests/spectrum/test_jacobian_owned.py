"""What the game's Jacobian owns and leaves alone; what it chooses and refuses; the compiler itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.parametrizations import spectral_norm

import gamedyn as gd
from gamedyn.jacobian import compiled as traced
from gamedyn.krylov.room import available
from gamedyn.spectrum import GameJacobian

DOUBLE = torch.float64
STRATEGIES = ("kept", "forward", "compiled", "formed")


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def linear(i, o, seed):
    layer = nn.utils.skip_init(nn.Linear, i, o, dtype=DOUBLE)
    layer.weight.data, layer.bias.data = randn(o, i, seed=seed), randn(o, seed=seed + 1)
    return layer


@pytest.fixture
def tracing(monkeypatch):
    """The compiled strategy without its compiler, which takes a minute: the traced graph itself; its traces."""
    traces = []

    def traced_only(function, examples):
        traces.append(examples)
        with torch.enable_grad():
            return make_fx(function)(*examples)

    monkeypatch.setattr(traced, "compiled", traced_only)
    return traces


def with_side_effects(dropout):
    """Batch norm, spectral norm, and dropout where it is wanted: everything that an evaluation could change."""
    with torch.random.fork_rng():
        first = spectral_norm(linear(2, 4, 1))
    drop = nn.Dropout(0.5) if dropout else nn.Identity()
    D = nn.Sequential(first, nn.BatchNorm1d(4, dtype=DOUBLE), drop, nn.Tanh(), linear(4, 1, 3))
    G = nn.Sequential(linear(3, 2, 5), nn.LayerNorm(2, dtype=DOUBLE))
    return gd.games.gan(G, D), (randn(6, 2, seed=7), randn(6, 3, seed=8))


def everything(game):
    """Bits of parameters, gradients and buffers; modes; attributes; the default generator."""
    tensors, plain = [torch.get_rng_state()], []
    for m in game.modules:
        tensors += [x.detach().clone() for x in (*m.parameters(recurse=False), *m.buffers(recurse=False))]
        tensors += [p.grad.clone() for p in m.parameters(recurse=False)]
        plain.append((m.training, sorted(vars(m)), getattr(m, "track_running_stats", None)))
    return tensors, plain


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_users_modules_gradients_and_generators_are_left_alone(strategy, tracing):
    # rejects: gradients gathered in .grad, running statistics advanced, vectors iterated, a forward left shadowed, the
    # generator set back by every product, so that whatever a user draws between them is the same
    game, batch = with_side_effects(dropout=strategy != "compiled")
    for m in game.modules:
        for p in m.parameters(recurse=False):
            p.grad = torch.full_like(p, 3.0)
    flow = gd.flows.gradient(game).with_term(gd.losses.r1(0.3))
    given = [x.clone() for x in batch]
    before = everything(game)
    J = GameJacobian(flow, game.state(), batch, strategy=strategy)
    u = randn(J.shape[0])
    for _ in range(2):
        J @ u, J.T @ u, J.block("D", "G") @ u[: J.block("D", "G").shape[1]], J.value, J.at(J.state)
    J.to_dense()
    after = everything(game)
    assert before[1] == after[1]
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, batch, strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_products_stay_those_of_the_point_whatever_happens_later(strategy, tracing):
    """Rejects: an altered model, a stale or written batch, a buffer written under a kept graph, another mode."""
    game, batch = with_side_effects(dropout=False)
    flow, state = gd.flows.gradient(game), game.state()
    y, D = state.y, game.players["D"]
    u = randn(len(y))
    early, late = (GameJacobian(flow, state, batch, strategy=strategy) for _ in range(2))
    first = (early @ u, early.T @ u, early.block("D", "G").to_dense(), early.value.clone())

    stream = gd.batches(randn(40, 2, seed=4), latent=3, batch_size=6)
    gd.solve(flow, "rk4", h=0.1, steps=3, batches=stream)
    assert torch.equal(early @ u, first[0])  # a run writes its workspaces, not ours
    with torch.no_grad():
        for x in (*D.parameters(), *D.buffers(), *game.players["G"].parameters()):
            x.add_(1)
    y.add_(0.5)
    for x in batch:
        x.mul_(-2)
    D.eval()

    for J in (early, late):  # of the late one no product has been made before
        again = (J @ u, J.T @ u, J.block("D", "G").to_dense(), J.value)
        for a, b in zip(first, again, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
    assert not D.training
    assert not D[1].training
    now = GameJacobian(flow, game.state(), batch, strategy="kept")
    assert float((now @ u - first[0]).norm() / first[0].norm()) > 0.1


def test_a_point_written_later_with_batches():
    # rejects: products made anew at the caller's tensor
    game, batch = with_side_effects(dropout=False)
    state = game.state()
    y = state.y
    J = GameJacobian(gd.flows.gradient(game), state, batches=[batch, batch], strategy="forward")
    u = randn(len(y))
    before = J @ u
    y.add_(1)
    assert torch.equal(J @ u, before)


class TestDraws:
    @pytest.mark.parametrize("strategy", ["kept", "forward"])
    def test_dropout_is_one_mask_and_the_generator_goes_on(self, strategy):
        # rejects: a mask per product (J is then no linear map), the same numbers for a user after every product
        game, batch = with_side_effects(dropout=True)
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(3)
            J = GameJacobian(gd.flows.gradient(game), game.state(), batch, strategy=strategy)
            u, images, drawn = randn(J.shape[0]), [], []
            for _ in range(3):
                images.append(J @ u)
                drawn.append(float(torch.rand(())))
            assert torch.equal(images[0], images[2])
            assert J.adjoint_misfit() < 1e-13
            assert len(set(drawn)) == 3
            torch.default_generator.manual_seed(3)
            assert drawn == [float(torch.rand(())) for _ in range(3)]

    def test_losses_with_a_generator_of_their_own(self):
        # rejects: a Jacobian of another noise at every product
        own = torch.Generator().manual_seed(0)

        def losses(x, y):
            noise = torch.randn(3, generator=own, dtype=DOUBLE)
            return {"x": (x * y * noise).sum(), "y": -(x * y * noise).sum()}

        game = gd.Game({"x": torch.ones(3, dtype=DOUBLE), "y": torch.ones(3, dtype=DOUBLE)}, losses)
        with pytest.raises(gd.ArgumentError, match="deterministic function of players and batch"):
            GameJacobian(gd.flows.gradient(game), game.state())


def small_gan(dtype=DOUBLE, widths=(2, 8, 1)):
    g = torch.Generator().manual_seed(1)
    D = gd.games.mlp(widths, generator=g, dtype=dtype)
    game = gd.games.gan(gd.games.mlp((2, 4, 2), generator=g, dtype=dtype), D)
    return gd.flows.gradient(game), tuple(randn(64, 2, seed=i).to(dtype) for i in (2, 3))


class TestChoice:
    def test_too_small_a_budget_is_refused_with_the_least_that_works(self):
        # rejects: a bound that is refused itself, an error without a number or a way out
        flow, batch = small_gan()
        y = flow.initial_state()
        for strategy in ("kept", "forward", "auto"):
            with pytest.raises(gd.ArgumentError, match=r"memory: expected at least \d+ bytes") as caught:
                GameJacobian(flow, y, batch, strategy=strategy, memory=100)
            least = int(re.search(r"least (\d+)", str(caught.value))[1])
            assert GameJacobian(flow, y, batch, strategy=strategy, memory=least).memory == least
            with pytest.raises(gd.ArgumentError, match="batches"):
                GameJacobian(flow, y, batch, strategy=strategy, memory=least - 1)
        with pytest.raises(gd.ArgumentError, match='strategy="forward"'):
            GameJacobian(flow, y, batch, strategy="kept", memory=least)

    def test_auto(self, tracing):
        # rejects: graphs kept beyond the budget, compiling for a few products, for convolutions or for draws
        flow, batch = small_gan()
        y = flow.initial_state()
        kept, forward = (GameJacobian(flow, y, batch, strategy=s).memory for s in ("kept", "forward"))
        assert forward < kept
        chosen = {m: GameJacobian(flow, y, batch, memory=m).strategy for m in (2 * kept, kept, kept - 1, forward)}
        assert list(chosen.values()) == ["kept", "kept", "forward", "forward"]
        assert not tracing
        many = {"products": 10**6}
        assert GameJacobian(flow, y, batch, **many).strategy == "compiled"
        assert GameJacobian(flow, y, batch, memory=forward, **many).strategy == "compiled"
        game, drawn = with_side_effects(dropout=True)
        assert GameJacobian(gd.flows.gradient(game), game.state(), drawn, **many).strategy == "kept"
        D = nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 1, 2), nn.Flatten()).double()
        conv = gd.games.gan(linear(2, 2, 1), D)
        assert GameJacobian(gd.flows.gradient(conv), conv.state(), batch, **many).strategy == "kept"

    @pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux says so there")
    def test_what_is_free(self):
        # rejects: pages of the file cache counted as taken
        total = 1024 * int(Path("/proc/meminfo").read_text().split()[1])
        assert 0 < available(torch.device("cpu")) <= total


class TestBadInput:
    def test_nan(self):
        flow, batch = small_gan()
        bad = flow.initial_state().y.clone()
        bad[3] = torch.nan
        with pytest.raises(gd.ArgumentError, match="finite state"):
            GameJacobian(flow, bad, batch)
        game = gd.Game({"x": torch.tensor([0.0, 1.0])}, lambda x: {"x": x.sqrt().sum()})
        for strategy in ("kept", "forward"):
            with pytest.raises(gd.ArgumentError, match="the field is finite"):
                GameJacobian(gd.flows.gradient(game), game.state(), strategy=strategy)

    def test_arguments(self):
        flow, batch = small_gan()
        y = flow.initial_state()
        bad = {
            "strategy: .* got keep; .*kept": {"strategy": "keep"},
            "products": {"products": 0},
            "memory": {"memory": -1.0},
        }
        for match, options in bad.items():
            with pytest.raises(gd.ArgumentError, match=match):
                GameJacobian(flow, y, batch, **options)
        with pytest.raises(gd.ArgumentError, match=r"takes the players and the batch.*\(Tensor\(64, 2\)"):
            GameJacobian(flow, y, (batch[0], batch[1][:, :1]))
        with pytest.raises(gd.ArgumentError, match="takes the players and the batch"):
            GameJacobian(flow, y)
        with pytest.raises(gd.ArgumentError, match="state"):
            GameJacobian(flow, gd.games.bilinear().state(), batch)
        with pytest.raises(gd.ArgumentError, match=r"member\(i\)"):
            GameJacobian(flow, y.with_y(torch.stack([y.y, y.y])), batch)
        with pytest.raises(gd.ArgumentError, match=r"flows\.gradient"):
            GameJacobian(flow.game, y, batch)


class TestTheCompiler:
    """With PyTorch's compiler, half a minute for each kind of product."""

    @pytest.fixture
    def compilations(self, monkeypatch):
        calls, real = [], traced.compiled
        monkeypatch.setattr(traced, "compiled", lambda *given: calls.append(0) or real(*given))
        return calls

    @pytest.mark.slow
    def test_once_for_all_points_and_batches_of_a_shape(self, compilations):
        # rejects: y or the batch burnt into the code, a compilation for every point or batch
        flow, batch = small_gan(widths=(2, 1))
        flow = gd.flows.gradient(flow.game, rates={"D": 2.0})
        y, u = flow.initial_state().y, randn(flow.game.layout.n)
        halves = [tuple(x[:32] for x in batch), tuple(x[32:] for x in batch)]
        J = GameJacobian(flow, y, batches=halves, strategy="compiled")
        for point, made in ((y, J), (y + 0.3, J.at(y + 0.3))):
            kept = GameJacobian(flow, point, batch, strategy="kept")
            torch.testing.assert_close(made.value, kept.value, rtol=0, atol=1e-13)
            torch.testing.assert_close(made @ u, kept @ u, rtol=0, atol=1e-13)
            torch.testing.assert_close(made.T @ u, kept.T @ u, rtol=0, atol=1e-13)
        assert len(compilations) == 3

    @pytest.mark.slow
    def test_blocks_and_a_users_penalty(self, compilations):
        # rejects: the penalty's own differentiation left out of the trace; rows beyond the last whole block left out
        def losses(G, D, batch):
            x = batch[0].clone().requires_grad_()
            real, fake = D(x), D(G(batch[1]))
            (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
            return {"G": -fake.mean(), "D": fake.mean() - real.mean() + slope.square().sum(1).mean()}

        D = nn.Sequential(linear(2, 3, 1), nn.Tanh(), linear(3, 1, 2)).float()
        game = gd.Game({"G": linear(2, 2, 3).float(), "D": D}, losses)
        flow, batch = gd.flows.gradient(game), tuple(randn(8, 2, seed=i).float() for i in (4, 5))
        J, kept = (GameJacobian(flow, game.state(), batch, strategy=s, check=False) for s in ("compiled", "kept"))
        U = randn(9, J.shape[0]).float()
        torch.testing.assert_close(J.vjp(U), kept.vjp(U), rtol=0, atol=2e-5 * float(kept.vjp(U).abs().max()))
        assert len(compilations) == 3  # v, J^T u, and J^T of eight
