"""Modules with side effects, tied and frozen parameters; rates, mapped and custom flows; states going in and out."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.jacobian import FrozenField as Field

DOUBLE = torch.float64


def linear(i, o, generator):
    layer = nn.Linear(i, o, dtype=DOUBLE)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=DOUBLE) / 2)
    return layer


def game_with(D, generator, **kwargs):
    return gd.games.gan(nn.Sequential(linear(2, 3, generator), nn.Tanh(), linear(3, 2, generator)), D, **kwargs)


def batch_of(generator, n=6):
    return tuple(torch.randn(n, 2, generator=generator, dtype=DOUBLE) for _ in range(2))


@pytest.fixture
def normed(generator):
    D = nn.Sequential(linear(2, 4, generator), nn.BatchNorm1d(4, dtype=DOUBLE), nn.Tanh(), linear(4, 1, generator))
    return game_with(D, generator)


@pytest.fixture
def spectral(generator):
    with torch.random.fork_rng():
        D = nn.Sequential(spectral_norm(linear(2, 4, generator)), nn.Tanh(), spectral_norm(linear(4, 1, generator)))
    return game_with(D, generator)


METHODS = ["euler", "rk4", "ab3", "alternating", "torchdiffeq:rk4"]


@pytest.mark.parametrize("method", METHODS)
class TestBatchNorm:
    def test_statistics_advance_once_a_step_from_the_first_stage(self, normed, generator, method):
        # rejects: 16 advances in 4 steps of rk4; statistics of the last stage; a user's buffer written
        batch, D = batch_of(generator), normed.players["D"]
        untouched = [b.clone() for b in D.buffers()]
        states = [normed.state()]
        run = gd.solve(
            gd.flows.gradient(normed),
            method,
            h=0.1,
            steps=4,
            batch=batch,
            observers=[lambda v: states.append(v.state)],
        )
        assert all(torch.equal(a, b) for a, b in zip(untouched, D.buffers(), strict=True))
        mean, var, count = run.state.buffers
        assert int(count) == 2 * 4  # the losses call D twice a forward: on real, then on generated samples
        mean, var = untouched[0], untouched[1]
        for state in states[:-1]:  # by hand, at the point where each step begins
            with normed.at(state) as players, torch.no_grad():
                for x in (batch[0], players["G"](batch[1])):
                    inner = players["D"][0](x)
                    mean = 0.9 * mean + 0.1 * inner.mean(0)
                    var = 0.9 * var + 0.1 * inner.var(0)
        torch.testing.assert_close(run.state.buffers[0], mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(run.state.buffers[1], var, rtol=0, atol=1e-12)
        normed.write(run.state)
        assert torch.equal(D[1].running_mean, run.state.buffers[0])
        assert torch.equal(normed.state().y, run.state.y)

    def test_restart(self, normed, generator, method, tmp_path):
        flow, batch = gd.flows.gradient(normed), batch_of(generator)
        whole = gd.solve(flow, method, h=0.1, steps=6, batch=batch)
        gd.solve(flow, method, h=0.1, steps=2, batch=batch).save(tmp_path / "r.pt")
        resumed = gd.solve(flow, method, h=0.1, steps=6, batch=batch, resume=tmp_path / "r.pt")
        assert torch.equal(whole.state.y, resumed.state.y)
        assert all(torch.equal(a, b) for a, b in zip(whole.state.buffers, resumed.state.buffers, strict=True))


@pytest.mark.parametrize("method", METHODS)
class TestSpectralNorm:
    def test_one_power_iteration_a_step(self, spectral, generator, method):
        # rejects: an iteration a stage (the field would change within a step), none at all, the user's vectors moved
        batch, D = batch_of(generator), spectral.players["D"]
        start = spectral.state()
        run = gd.solve(gd.flows.gradient(spectral), method, h=0.1, steps=1, batch=batch)
        assert all(torch.equal(a, b) for a, b in zip(start.buffers, spectral.state().buffers, strict=True))
        W, (u, v) = D[0].parametrizations.weight.original.detach(), start.buffers[:2]
        for _ in range(1):
            u = nn.functional.normalize(W @ v, dim=0, eps=1e-12)
            v = nn.functional.normalize(W.T @ u, dim=0, eps=1e-12)
        torch.testing.assert_close(run.state.buffers[0], u, rtol=0, atol=1e-14)
        torch.testing.assert_close(run.state.buffers[1], v, rtol=0, atol=1e-14)

    def test_the_field_is_one_function_within_a_step(self, spectral, generator, method):
        # numerics.md section 9: in training mode it differs at the same point (4.5e-5) unless held
        batch = batch_of(generator)
        field, y = Field(gd.flows.gradient(spectral), spectral.state().buffers), spectral.state().y
        field.begin_step(batch)
        values = [field(0.0, y).clone() for _ in range(3)]
        assert torch.equal(values[0], values[1])
        assert torch.equal(values[1], values[2])
        field.begin_step(batch)
        assert not torch.equal(field(0.0, y), values[0])
        assert stepper(method).method is not None


def test_instance_norm_statistics_are_held_within_a_step(generator):
    # rejects: relying on track_running_stats, which instance norm ignores while training
    norm = nn.InstanceNorm1d(2, track_running_stats=True, dtype=DOUBLE)
    D = nn.Sequential(linear(2, 8, generator), nn.Unflatten(1, (2, 4)), norm, nn.Flatten(), linear(8, 1, generator))
    game, fixed = game_with(D, generator), batch_of(generator)
    a, b = (gd.solve(gd.flows.gradient(game), m, h=0.1, steps=1, batch=fixed).state.buffers for m in ("euler", "rk4"))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert D[2].momentum == 0.1


@pytest.mark.parametrize("method", METHODS)
def test_dropout_is_replayed_within_a_step_and_drawn_anew_in_the_next(generator, method):
    # rejects: another mask in each stage (42 % of the norm, usage.md section 2), one mask for ever
    D = nn.Sequential(linear(2, 16, generator), nn.Dropout(0.5), nn.Tanh(), linear(16, 1, generator))
    game, batch = game_with(D, generator), batch_of(generator)
    field, y = Field(gd.flows.gradient(game)), game.state().y
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(1)
        field.probe(y, batch)
        assert field.draws_randomness
        fields = []
        for _ in range(2):
            field.begin_step(batch)
            a, b = field(0.0, y).clone(), field(0.0, y).clone()
            assert torch.equal(a, b)
            fields.append(a)
        assert float((fields[0] - fields[1]).norm() / fields[0].norm()) > 0.05
        runs = []
        for _ in range(2):
            torch.default_generator.manual_seed(5)
            runs.append(gd.solve(gd.flows.gradient(game), method, h=0.05, steps=3, batch=batch).state.y)
        assert torch.equal(*runs)


def test_tied_parameters_are_one_leaf(generator):
    # rejects: a tied weight stored twice, or bound in one place only
    first = linear(2, 2, generator)
    second = linear(2, 2, generator)
    second.weight = first.weight
    D = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), linear(2, 1, generator))
    game, batch = game_with(D, generator), batch_of(generator)
    assert game.layout.slices[1].stop - game.layout.slices[1].start == 4 + 2 + 2 + 3
    losses = game.losses(game.players["G"], D, batch)
    expected = torch.autograd.grad(losses["D"], list(D.parameters()))
    v = gd.flows.gradient(game).field(batch)(0.0, game.state().y)
    torch.testing.assert_close(v[game.layout.slices[1]], -torch.cat([g.reshape(-1) for g in expected]))
    run = gd.solve(gd.flows.gradient(game), "rk4", h=0.1, steps=2, batch=batch)
    game.write(run.state)
    assert second.weight is first.weight
    assert torch.equal(game.state().y, run.state.y)


def test_frozen_layers_are_not_trained(generator):
    # rejects: named_parameters without looking at requires_grad
    D = nn.Sequential(linear(2, 4, generator), nn.Tanh(), linear(4, 1, generator))
    D[0].requires_grad_(False)
    game = game_with(D, generator)
    kept = D[0].weight.clone()
    game.write(gd.solve(gd.flows.gradient(game), "rk4", h=0.1, steps=3, batch=batch_of(generator)).state)
    assert torch.equal(D[0].weight, kept)
    assert game.layout.slices[1].stop - game.layout.slices[1].start == 5


def test_weight_norm_and_bound_attributes_work(generator):
    # usage.md section 2: D.features(x), D.parameters() and a ModuleDict player, inside the losses
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = weight_norm(linear(2, 3, generator)), linear(3, 1, generator)
            self.width = 3

        def features(self, x):
            return torch.tanh(self.inner(x))

        def forward(self, x):
            return self.head(self.features(x))

    D, G = Features(), nn.ModuleDict({"body": linear(2, 2, generator)})

    def losses(G, D, batch):
        fake = G["body"](batch[1])
        decay = sum(p.square().sum() for p in D.parameters()) / D.width
        score = D(batch[0]).mean() - D(fake).mean() + D.features(fake).mean()
        return {"G": score, "D": -score + decay}

    game, batch = gd.Game({"G": G, "D": D}, losses), batch_of(generator)
    values = losses(G, D, batch)
    expected = [
        torch.autograd.grad(values[k], list(m.parameters()), retain_graph=True) for k, m in game.players.items()
    ]
    v = gd.flows.gradient(game).field(batch)(0.0, game.state().y)
    torch.testing.assert_close(v, -torch.cat([g.reshape(-1) for gs in expected for g in gs]))


def test_rates_are_time_scales():
    # h * rate is a player's learning rate: the velocity of D alone is scaled
    game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
    y = torch.tensor([0.7, -0.4], dtype=DOUBLE)
    plain, ttur = (gd.flows.gradient(game, rates=r).field()(0.0, y) for r in (None, {"D": 4.0}))
    torch.testing.assert_close(ttur, plain * torch.tensor([1.0, 4.0], dtype=DOUBLE), rtol=1e-15, atol=0)


class TestFlows:
    def test_mapped_sees_parts_by_name(self):
        game = gd.games.bilinear([[1.0, 2.0]])
        shapes = {}

        def swap(v):
            shapes.update({k: tuple(x.shape) for k, x in v.items()})
            return {"x": 2 * v["x"], "y": -v["y"]}

        flow = gd.flows.mapped(gd.flows.gradient(game), swap)
        y = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)
        inner = gd.flows.gradient(game).field()(0.0, y)
        expected = inner * torch.tensor([2.0, -1.0, -1.0], dtype=DOUBLE)
        assert torch.equal(flow.field()(0.0, y), expected)
        assert shapes == {"x": (1,), "y": (2,)}
        J = flow.at(y).jacobian().to_dense()
        torch.testing.assert_close(J, torch.diag(expected / inner) @ game.jacobian)
        assert torch.equal(flow.field().player(1, 0.0, y), expected[1:])

    def test_mapped_with_a_wrong_player_or_size(self):
        flow = gd.flows.gradient(gd.games.bilinear())
        for fn in (lambda v: {"x": v["x"]}, lambda v: {"x": v["x"], "y": v["y"].repeat(2)}):
            with pytest.raises(gd.ArgumentError, match="parts"):
                gd.flows.mapped(flow, fn).field()(0.0, torch.ones(2, dtype=DOUBLE))

    def test_custom_flow_does_not_use_the_games_losses(self):
        # rejects: checking losses that need a batch when none is given
        def losses(x, y, batch):
            raise AssertionError("not used")

        game = gd.Game({"x": torch.ones(1), "y": torch.ones(1)}, losses)
        flow = gd.flows.custom(lambda t, s, batch: {"x": -s["x"], "y": -2 * s["y"]}, like=game)
        run = gd.solve(flow, "rk4", h=0.1, steps=10)
        torch.testing.assert_close(run.state.y, torch.exp(torch.tensor([-1.0, -2.0])), rtol=1e-4, atol=0)
        mapped = gd.flows.mapped(flow, lambda v: v)
        assert torch.equal(gd.solve(mapped, "rk4", h=0.1, steps=10).state.y, run.state.y)

    def test_a_constant_component_has_zero_rows_in_the_jacobian(self):
        # rejects: differentiating a velocity that does not depend on the state
        x, y = torch.ones(1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE)
        game = gd.Game({"x": x, "y": y}, lambda x, y: {"x": x.sum(), "y": (x * y * y).sum()})
        lin = gd.spectrum.linearise(gd.flows.gradient(game), game.state())
        expected = torch.tensor([[0.0, 0.0], [-2.0, -2.0]], dtype=DOUBLE)
        torch.testing.assert_close(lin.matrix, expected)
        for u in torch.eye(2, dtype=DOUBLE):
            torch.testing.assert_close(lin.J.jvp(u), expected @ u)
            torch.testing.assert_close(lin.J.vjp(u), expected.T @ u)


def test_at_lends_the_modules_and_takes_them_back(normed, generator):
    flow, batch = gd.flows.gradient(normed), batch_of(generator)
    run = gd.solve(flow, "rk4", h=0.1, steps=3, batch=batch)
    D, before = normed.players["D"], normed.state()
    with normed.at(run.state) as players:
        assert players["D"] is D
        assert torch.equal(torch.cat([p.reshape(-1) for p in D.parameters()]), run.state.y[normed.layout.slices[1]])
        D(batch[0])  # training mode: would advance batch norm
    assert torch.equal(normed.state().y, before.y)
    assert all(torch.equal(a, b) for a, b in zip(normed.state().buffers, before.buffers, strict=True))
    with pytest.raises(ZeroDivisionError), normed.at(run.state):
        raise ZeroDivisionError
    assert torch.equal(normed.state().y, before.y)


def test_state_by_player():
    game = gd.games.gan(nn.Linear(2, 3), nn.Linear(3, 1))
    state = game.state()
    assert set(state["G"]) == {"weight", "bias"}
    assert state["G"]["weight"].shape == (3, 2)
    assert {k: tuple(v.shape) for k, v in state.parts().items()} == {"G": (9,), "D": (4,)}
    with pytest.raises(gd.ArgumentError, match="player"):
        state["E"]


class TestWhatTheLossesLeaveBehind:
    @staticmethod
    def made():
        """D's own loss in the mode it comes in; G's with D in eval, where it stays."""
        draw = torch.Generator().manual_seed(0)
        G = linear(2, 2, draw)
        D = nn.Sequential(linear(2, 8, draw), nn.BatchNorm1d(8, dtype=DOUBLE), nn.Tanh(), linear(8, 1, draw))

        def losses(G, D, batch):
            fake = G(batch[1])
            own = nn.functional.softplus(D(fake)).mean() + nn.functional.softplus(-D(batch[0])).mean()
            D.eval()
            return {"G": nn.functional.softplus(-D(fake)).mean(), "D": own}

        return G, D, losses

    def test_another_mode_is_put_back_after_every_evaluation(self):
        # rejects: modes taken after the losses have been checked; a second stage in the mode that the first left
        G, D, losses = self.made()
        batch = batch_of(torch.Generator().manual_seed(1), 16)
        run = gd.solve(gd.flows.gradient(gd.Game({"G": G, "D": D}, losses)), "midpoint", h=0.1, steps=1, batch=batch)
        assert D.training
        assert int(run.state.buffers[2]) == 2  # of D's two calls in training
        G, D, losses = self.made()

        def velocity(point):
            with torch.no_grad():
                for p, x in zip([*G.parameters(), *D.parameters()], point, strict=True):
                    p.copy_(x)
            D.train()
            D[1].reset_running_stats()
            found = losses(G, D, batch)
            g = torch.autograd.grad(found["G"], list(G.parameters()), retain_graph=True)
            return [-x for x in (*g, *torch.autograd.grad(found["D"], list(D.parameters())))]

        y = [p.detach().clone() for p in (*G.parameters(), *D.parameters())]
        middle = [a + 0.05 * v for a, v in zip(y, velocity(y), strict=True)]
        end = [a + 0.1 * v for a, v in zip(y, velocity(middle), strict=True)]
        torch.testing.assert_close(run.state.y, torch.cat([x.reshape(-1) for x in end]), rtol=1e-10, atol=1e-12)

    def test_own_buffers_are_not_outside(self, normed, generator):
        # rejects: copies that an evaluation is lent taken for tensors outside the game
        run = gd.solve(gd.flows.gradient(normed), "euler", h=0.1, steps=2, batch=batch_of(generator))
        assert "outside" not in run.stats


def test_players_without_values_are_refused():
    with pytest.raises(gd.ArgumentError, match=r"meta.*to_empty"):
        gd.Game({"D": nn.Linear(2, 1, device="meta")}, lambda D: {"D": D.weight.sum()})
