"""The game's Jacobian as an operator: blocks, parts, Schur complements, whole loaders, other points."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.data import DataLoader, IterableDataset

import gamedyn as gd
from gamedyn.jacobian import compiled as traced
from gamedyn.spectrum import GameJacobian

DOUBLE = torch.float64
EXACT = {"rtol": 0, "atol": 1e-12}
seeds = st.integers(0, 2**32 - 1)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def linear_game(A, sizes, dtype=DOUBLE):
    """Players a, b, ... of these sizes with the Jacobian -A, own blocks of A being symmetric."""
    names, A = "abcd"[: len(sizes)], A.to(dtype)
    own = [slice(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))]

    def losses(*players):
        found = {}
        for k, x, mine in zip(names, players, own, strict=True):
            terms = [A[mine, at] @ y / (2 if y is x else 1) for at, y in zip(own, players, strict=True)]
            found[k] = x @ torch.stack(terms).sum(0)
        return found

    players = {k: torch.ones(s, dtype=dtype) for k, s in zip(names, sizes, strict=True)}
    return gd.flows.gradient(gd.Game(players, losses)), own


def matrix_for(sizes, seed):
    A = randn(sum(sizes), sum(sizes), seed=seed)
    at = 0
    for s in sizes:
        block = A[at : at + s, at : at + s]
        A[at : at + s, at : at + s] = (block + block.T) / 2 + 3 * torch.eye(s, dtype=DOUBLE)
        at += s
    return A


def gan(dtype=DOUBLE, D=None, seed=3):
    g = torch.Generator().manual_seed(seed)
    mlp = gd.games.mlp
    D = mlp((2, 4, 1), generator=g, dtype=dtype) if D is None else D
    game = gd.games.gan(mlp((3, 3, 2), generator=g, dtype=dtype), D)
    return game, (randn(6, 2, seed=seed).to(dtype), randn(6, 3, seed=seed + 1).to(dtype))


@pytest.fixture
def penalised():
    game, batch = gan()
    flow = gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.r1(0.5))
    return flow.with_term(gd.losses.squared_gradient(0.2)), batch


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


STRATEGIES = ("kept", "forward", "compiled", "formed")


class TestBlocks:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_blocks_and_their_transposes(self, penalised, strategy, tracing):
        # rejects: rows for columns, J_ji for J_ij^T, the first player's slice for all
        flow, batch = penalised
        J = GameJacobian(flow, flow.initial_state(), batch, strategy=strategy)
        dense, slices = GameJacobian(flow, flow.initial_state(), batch).to_dense(), J.state.layout.slices
        sizes = [s.stop - s.start for s in slices]
        assert sizes[0] != sizes[1]
        for i, row in enumerate("GD"):
            for j, column in enumerate("GD"):
                block, true = J.block(row, column), dense[slices[i], slices[j]]
                assert block.shape == (sizes[i], sizes[j])
                u, w = randn(sizes[j], seed=1), randn(sizes[i], seed=2)
                torch.testing.assert_close(block @ u, true @ u, **EXACT)
                torch.testing.assert_close(block.T @ w, true.T @ w, **EXACT)
        assert J.block("D", "D").skew.to_dense().abs().max() < 1e-13
        assert dense[slices[0], slices[1]].abs().max() > 1e-2

    @settings(max_examples=15, deadline=None)
    @given(seeds, st.lists(st.integers(1, 3), min_size=1, max_size=4), st.sampled_from(["kept", "forward"]))
    def test_parts_linearity_and_adjoint(self, seed, sizes, strategy):
        # rejects: any operator that is not -A, its transposed parts, or not linear
        A, n = matrix_for(sizes, seed), sum(sizes)
        flow, own = linear_game(A, sizes)
        J = GameJacobian(flow, randn(n, seed=seed), strategy=strategy)
        torch.testing.assert_close(J.to_dense(), -A, **EXACT)
        torch.testing.assert_close(J.symmetric.to_dense(), -(A + A.T) / 2, **EXACT)
        torch.testing.assert_close(J.skew.to_dense(), -(A - A.T) / 2, **EXACT)
        u, w, a = randn(n, seed=seed + 1), randn(n, seed=seed + 2), 3.7
        torch.testing.assert_close(J @ (a * u - w), a * (J @ u) - J @ w, rtol=0, atol=1e-11)
        torch.testing.assert_close(J.T @ (a * u - w), a * (J.T @ u) - J.T @ w, rtol=0, atol=1e-11)
        assert abs(float((J @ u) @ w - u @ (J.T @ w))) < 1e-11 * n
        torch.testing.assert_close(J.jvp(torch.stack([u, w])), torch.stack([J @ u, J @ w]), **EXACT)
        torch.testing.assert_close(J.to_scipy() @ u.numpy(), (-A @ u).numpy(), rtol=0, atol=1e-12)
        first, last = "a", "abcd"[len(sizes) - 1]
        torch.testing.assert_close(J.block(first, last).to_dense(), -A[own[0], own[-1]], **EXACT)

    def test_a_player_that_is_not_there(self):
        J = GameJacobian(gd.flows.gradient(gd.games.bilinear()), torch.ones(2, dtype=DOUBLE))
        for ask in (lambda: J.block("x", "z"), lambda: J.schur_complement("z")):
            with pytest.raises(gd.ArgumentError, match="got z; known: x, y"):
                ask()


class TestParts:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_they_add_up(self, penalised, strategy, tracing):
        # rejects: a part with another's weight, the game counted in every part, a part without its rate
        flow, batch = penalised
        y, make = flow.initial_state(), GameJacobian
        whole = make(flow, y, batch)
        parts = {p: make(flow, y, batch, part=p, strategy=strategy) for p in flow.parts}
        assert list(parts) == ["game", "r1", "squared_gradient"]
        u = randn(whole.shape[0], seed=1)
        torch.testing.assert_close(sum(J @ u for J in parts.values()), whole @ u, **EXACT)
        torch.testing.assert_close(sum(J.T @ u for J in parts.values()), whole.T @ u, **EXACT)
        torch.testing.assert_close(sum(J.value for J in parts.values()), whole.value, **EXACT)
        bare = gd.flows.gradient(flow.game, rates={"D": 2.0})
        torch.testing.assert_close(parts["game"] @ u, make(bare, y, batch) @ u, **EXACT)
        r1 = make(bare.with_term(gd.losses.r1(0.5)), y, batch) @ u - make(bare, y, batch) @ u
        torch.testing.assert_close(parts["r1"] @ u, r1, **EXACT)
        assert r1.norm() > 1e-2

    def test_unknown(self, penalised):
        flow, batch = penalised
        with pytest.raises(gd.ArgumentError, match=r"part: .* got r2; did you mean 'r1'"):
            GameJacobian(flow, flow.initial_state(), batch, part="r2")


class TestSchurComplement:
    @pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
    @pytest.mark.parametrize("sizes", [(3, 2), (2, 3, 2), (4,)])
    def test_each_leader(self, sizes, dtype):
        # rejects: a plus for the minus, J_fl and J_lf exchanged, followers behind the leader alone, 1e-10 in float32
        A = matrix_for(sizes, 4)
        flow, own = linear_game(A, sizes, dtype)
        J, tol = GameJacobian(flow, flow.initial_state()), 1e-9 if dtype is DOUBLE else 1e-4
        for name, at in zip("abc", own, strict=False):
            rest = [i for i in range(sum(sizes)) if not at.start <= i < at.stop]
            middle = torch.linalg.solve(-A[rest][:, rest], -A[rest, at]) if rest else A.new_zeros(0, at.stop)
            true = -A[at, at] + A[at][:, rest] @ middle
            schur = J.schur_complement(name)
            torch.testing.assert_close(schur.to_dense().double(), true, rtol=0, atol=tol)
            torch.testing.assert_close(schur.T.to_dense().double(), true.T, rtol=0, atol=tol)

    def test_a_singular_followers_block(self):
        # rejects: a least-squares answer passed off as the complement
        J = GameJacobian(gd.flows.gradient(gd.games.bilinear()), torch.ones(2, dtype=DOUBLE))
        with pytest.raises(gd.SolveError, match="may be singular"):
            J.schur_complement("x") @ torch.ones(1, dtype=DOUBLE)


def regression(dtype=DOUBLE):
    """A mean over samples that is no quadratic: each batch has a J of its own."""

    def losses(x, y, batch):
        value = ((batch @ x) ** 3 * (batch @ y).sin()).mean()
        return {"x": value, "y": -value}

    return gd.Game({"x": torch.full((2,), 0.6, dtype=dtype), "y": torch.ones(2, dtype=dtype)}, losses)


class TestBatches:
    data = randn(11, 2, seed=9)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_the_mean_over_unequal_batches_is_the_whole(self, strategy, tracing, monkeypatch):
        # rejects: equal weights, the second batch ignored (planted below), the last batch dropped
        flow = gd.flows.gradient(regression(), rates={"y": 3.0})
        y, loader = flow.initial_state(), DataLoader(self.data, batch_size=4)
        assert [len(b) for b in loader] == [4, 4, 3]
        whole = GameJacobian(flow, y, self.data)
        J = GameJacobian(flow, y, batches=loader, strategy=strategy)
        u = randn(4, seed=1)
        torch.testing.assert_close(J.value, whole.value, **EXACT)
        torch.testing.assert_close(J.losses, whole.losses, **EXACT)
        torch.testing.assert_close(J.to_dense(), whole.to_dense(), **EXACT)
        torch.testing.assert_close(J @ u, whole @ u, **EXACT)
        torch.testing.assert_close(J.T @ u, whole.T @ u, **EXACT)
        torch.testing.assert_close(J.block("x", "y") @ u[:2], whole.block("x", "y") @ u[:2], **EXACT)
        torch.testing.assert_close(J.block("x", "y").T @ u[:2], whole.block("x", "y").T @ u[:2], **EXACT)
        torch.testing.assert_close(J.at(y.y + 1) @ u, GameJacobian(flow, y.y + 1, self.data) @ u, rtol=1e-12, atol=0)
        first = GameJacobian._products
        monkeypatch.setattr(GameJacobian, "_products", lambda self, batch: first(self, TestBatches.data[:4]))
        mutant = GameJacobian(flow, y, batches=loader, strategy=strategy)
        assert float((mutant @ u - whole @ u).norm() / (whole @ u).norm()) > 1e-2

    def test_one_graph_at_a_time_without_graphs_kept(self):
        # rejects: an estimate that forgets the number of batches, or counts them where none is kept
        flow = gd.flows.gradient(regression())
        alone, many = [self.data], [self.data] * 5
        kept, forward = (
            [GameJacobian(flow, flow.initial_state(), batches=b, strategy=s).memory for b in (alone, many)]
            for s in ("kept", "forward")
        )
        assert kept[1] == pytest.approx(5 * kept[0], rel=1e-3)
        assert forward[1] == forward[0] < kept[0]

    def test_a_flow_that_is_no_mean_over_samples(self, penalised):
        # rejects: the mean of squared gradients of batches, which is not the squared gradient of the mean
        flow, batch = penalised
        half = [tuple(x[:3] for x in batch), tuple(x[3:] for x in batch)]
        for bad in (flow, gd.flows.consensus(gd.flows.gradient(flow.game), 0.1)):
            with pytest.raises(gd.ArgumentError, match="batches: expected one batch"):
                GameJacobian(bad, flow.initial_state(), batches=half)
        GameJacobian(flow, flow.initial_state(), batches=[batch])

    @pytest.mark.parametrize("blank", [False, True])
    def test_a_shuffled_loader(self, blank):
        # rejects: a fingerprint of the first entries, which images with blank edges share
        data = torch.zeros(12, 300, dtype=DOUBLE)
        data[:, 140:160] = randn(12, 20, seed=2)
        game = gd.Game(
            {"x": torch.ones(300, dtype=DOUBLE)}, lambda x, batch: {"x": (batch @ x).pow(4).mean() + x.square().sum()}
        )
        data = data if blank else data[:, 100:]
        order = torch.Generator().manual_seed(1)

        class Shuffled:
            def __len__(self):
                return 3

            def __iter__(self):
                return iter(torch.split(data[torch.randperm(12, generator=order)], 5))

        loader = Shuffled()
        game = game if blank else gd.Game({"x": torch.ones(200, dtype=DOUBLE)}, game.losses)
        J = GameJacobian(gd.flows.gradient(game), game.state(), batches=loader, strategy="forward")
        with pytest.raises(gd.ArgumentError, match="not shuffled"):
            J @ torch.ones(J.shape[0], dtype=DOUBLE)
        kept = GameJacobian(gd.flows.gradient(game), game.state(), batches=loader, strategy="kept")
        u = torch.ones(J.shape[0], dtype=DOUBLE)
        assert torch.equal(kept @ u, kept @ u)  # looks at the loader once
        with pytest.raises(gd.ArgumentError, match="shuffle=False"):
            GameJacobian(gd.flows.gradient(game), game.state(), batches=DataLoader(data, batch_size=5, shuffle=True))

    def test_what_cannot_be_gone_through_again(self):
        flow = gd.flows.gradient(regression())
        stream = gd.batches(self.data, batch_size=2)
        for bad in (stream, iter([self.data]), (x for x in [self.data])):
            with pytest.raises(gd.ArgumentError, match="again and again"):
                GameJacobian(flow, flow.initial_state(), batches=bad)
        with pytest.raises(gd.ArgumentError, match="a list of batches"):
            GameJacobian(flow, flow.initial_state(), batches=3)
        with pytest.raises(gd.ArgumentError, match="at least one batch"):
            GameJacobian(flow, flow.initial_state(), batches=[])
        with pytest.raises(gd.ArgumentError, match="one of the two"):
            GameJacobian(flow, flow.initial_state(), self.data, batches=[self.data])

    def test_a_loader_without_length(self):
        class Items(IterableDataset):
            def __iter__(self):
                return iter(TestBatches.data)

        flow = gd.flows.gradient(regression())
        J = GameJacobian(flow, flow.initial_state(), batches=DataLoader(Items(), batch_size=4), strategy="forward")
        torch.testing.assert_close(J.value, GameJacobian(flow, flow.initial_state(), self.data).value, **EXACT)


class TestAt:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_another_point_is_as_if_made_there(self, penalised, strategy, tracing):
        # rejects: the first point's value, graph or buffers; a second compilation
        flow, batch = penalised
        u, start = randn(flow.game.layout.n, seed=1), flow.initial_state()
        J = GameJacobian(flow, start, batch, strategy=strategy, part="game")
        before, traces = (J @ u, J.T @ u), len(tracing)
        there = J.at(start.y + 0.1)
        fresh = GameJacobian(flow, start.y + 0.1, batch, part="game")
        assert there.strategy == strategy
        torch.testing.assert_close(there @ u, fresh @ u, **EXACT)
        torch.testing.assert_close(there.T @ u, fresh.T @ u, **EXACT)
        torch.testing.assert_close(there.value, fresh.value, **EXACT)
        assert len(tracing) == traces == (3 if strategy == "compiled" else 0)
        assert torch.equal(J @ u, before[0])
        assert not torch.allclose(there @ u, before[0], atol=1e-3)
