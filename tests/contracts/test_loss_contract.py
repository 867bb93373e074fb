"""Adversarial losses and penalty terms against finite differences and double backward by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import gamedyn as gd

LOSSES = sorted(gd.losses.members())
DOUBLE = torch.float64


@pytest.mark.parametrize("name", LOSSES)
class TestLoss:
    @pytest.mark.parametrize("part", ["real", "fake", "generator"])
    def test_gradient_is_that_of_finite_differences(self, name, part):
        # rejects: a wrong sign, label or factor inside a custom backward; probes stay away from hinge's kinks
        fn = getattr(gd.losses.get(name), part)
        s = torch.tensor([-3.3, -0.7, 0.2, 0.6, 4.1], dtype=DOUBLE, requires_grad=True)
        (g,) = torch.autograd.grad(fn(s).sum(), s)
        h = 1e-6
        with torch.no_grad():
            expected = (fn(s + h) - fn(s - h)) / (2 * h)
        torch.testing.assert_close(g, expected, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
    def test_finite_at_huge_logits(self, name, dtype):
        # rejects: log(1 + exp(s)) and log(sigmoid(s)), which overflow at 1e4
        loss = gd.losses.get(name)
        far = min(1e4, loss.finite_to)
        for sign in (-1.0, 1.0):
            real = torch.full((3, 1), sign * far, dtype=dtype, requires_grad=True)
            fake = torch.full((3, 1), -sign * far, dtype=dtype, requires_grad=True)
            for value in loss(real, fake):
                grads = torch.autograd.grad(value, [real, fake], retain_graph=True, allow_unused=True)
                assert bool(value.isfinite())
                assert all(g is None or bool(g.isfinite().all()) for g in grads)

    def test_zero_sum_flag(self, name, generator):
        # rejects: a flag copied from the minimax loss (mimicry's "minimax" generator is the non-saturating one)
        loss = gd.losses.get(name)
        real, fake = (torch.randn(6, 1, generator=generator, dtype=DOUBLE) for _ in range(2))
        loss_g, loss_d = loss(real, fake)
        if loss.zero_sum:
            assert float(loss_g + loss_d) == 0
            torch.testing.assert_close(loss.generator(fake), -loss.fake(fake))
        else:
            assert abs(float(loss_g + loss_d)) > 0.01

    def test_value_is_a_mean_over_samples_whatever_the_shape(self, name, generator):
        # rejects: a sum over samples, broadcasting (n,) against (n, 1)
        loss = gd.losses.get(name)
        real, fake = (torch.randn(6, generator=generator, dtype=DOUBLE) for _ in range(2))
        flat, column = loss(real, fake), loss(real[:, None], fake[:, None])
        twice = loss(torch.cat([real, real]), torch.cat([fake, fake]))
        for a, b, c in zip(flat, column, twice, strict=True):
            assert a.shape == ()
            torch.testing.assert_close(a, b, rtol=1e-14, atol=0)
            torch.testing.assert_close(a, c, rtol=1e-14, atol=0)


# generator'(0), fake'(0), real'(0), real''(0) + fake''(0), by hand: softplus' = sigmoid, softplus'' = 1/4 at 0
SLOPES = {
    "kl": (-1.0, 1.0, -1.0, 1.0),
    "minimax": (-0.5, 0.5, -0.5, 0.5),
    "neyman": (-2.0, 2.0, -2.0, 2.0),
    "pearson": (-2.0, 2.0, -2.0, 2.0),
    "relativistic": (-0.5, 0.5, -0.5, 0.5),
    "relativistic_average": (-0.5, 0.5, -0.5, 0.5),
    "reverse_kl": (-1.0, 1.0, -1.0, 1.0),
    "squared_hellinger": (-0.5, 0.5, -0.5, 0.5),
    "total_variation": (-0.5, 0.5, -0.5, 0.0),
    "nonsaturating": (-0.5, 0.5, -0.5, 0.5),
    "wasserstein": (-1.0, 1.0, -1.0, 0.0),
    "least_squares": (-1.0, 1.0, -1.0, 2.0),
    "hinge": (-1.0, 1.0, -1.0, 0.0),
}


def test_slopes_at_zero():
    # rejects: labels 0 and 1 in least squares, hinge at another margin; a new loss must add its slopes
    assert sorted(SLOPES) == LOSSES
    for name, expected in SLOPES.items():
        loss, got = gd.losses.get(name), []
        curvature = 0.0
        for part in ("generator", "fake", "real"):
            s = torch.zeros((), dtype=DOUBLE, requires_grad=True)
            value = getattr(loss, part)(s)
            (g,) = torch.autograd.grad(value, s, create_graph=True)
            got.append(float(g.detach()))
            if part != "generator" and g.requires_grad:
                (c,) = torch.autograd.grad(g, s, allow_unused=True)
                curvature += 0.0 if c is None else float(c.detach())
        assert [*got, curvature] == pytest.approx(expected, abs=1e-15), name


def test_names_aliases_and_near_misses():
    assert gd.losses.get("wgan") is gd.losses.get("wasserstein")
    assert gd.losses.get(gd.losses.get("hinge")) is gd.losses.get("hinge")
    with pytest.raises(gd.ArgumentError, match=r"did you mean 'nonsaturating'"):
        gd.losses.get("nonsaturatin")
    with pytest.raises(gd.ArgumentError, match="AdversarialLoss"):
        gd.losses.get(3)


class Toy:
    """A small GAN with its batch; the penalties' gradients are taken by hand."""

    def __init__(self, loss="nonsaturating"):
        g = torch.Generator().manual_seed(7)
        self.G = gd.games.mlp((2, 4, 3), generator=g, dtype=DOUBLE)
        self.D = gd.games.mlp((3, 5, 1), generator=g, dtype=DOUBLE)
        self.batch = (torch.randn(7, 3, generator=g, dtype=DOUBLE), torch.randn(7, 2, generator=g, dtype=DOUBLE))
        self.game = gd.games.gan(self.G, self.D, loss)
        self.flow = gd.flows.gradient(self.game)

    def added(self, term, rates=None):
        """What the term adds to the velocity, per player."""
        flow = gd.flows.gradient(self.game, rates)
        y = self.game.state().y
        with_term = flow.with_term(term).field(self.batch)(0.0, y)
        return self.game.layout.parts(with_term - flow.field(self.batch)(0.0, y))


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


class TestR1:
    def by_hand(self, toy, gamma):
        x = toy.batch[0].clone().requires_grad_()
        (slope,) = torch.autograd.grad(toy.D(x).sum(), x, create_graph=True)
        penalty = gamma / 2 * slope.square().sum(1).mean()
        grads = torch.autograd.grad(penalty, list(toy.D.parameters()), allow_unused=True)
        return -flat([torch.zeros_like(p) if g is None else g for g, p in zip(grads, toy.D.parameters(), strict=True)])

    def test_is_gamma_over_two_and_seen_by_the_discriminator_alone(self):
        # rejects: gamma without 1/2, one norm of the whole batch gradient (torchgan), fake samples
        toy = Toy()
        parts = toy.added(gd.losses.r1(0.7))
        torch.testing.assert_close(parts["D"], self.by_hand(toy, 0.7), rtol=1e-11, atol=1e-13)
        assert float(parts["G"].abs().max()) == 0

    def test_is_scaled_by_the_players_rate(self):
        toy = Toy()
        parts = toy.added(gd.losses.r1(0.7), rates={"D": 3.0})
        torch.testing.assert_close(parts["D"], 3 * self.by_hand(toy, 0.7), rtol=1e-11, atol=1e-13)


class TestSquaredGradient:
    def by_hand(self, toy, weight, into):
        (loss_g, _) = gd.losses.get("nonsaturating")(toy.D(toy.batch[0]), toy.D(toy.G(toy.batch[1])))
        own = torch.autograd.grad(loss_g, list(toy.G.parameters()), create_graph=True)
        penalty = weight * sum(g.square().sum() for g in own)
        where = list(getattr(toy, into).parameters())
        grads = torch.autograd.grad(penalty, where, allow_unused=True)
        return -flat([torch.zeros_like(p) if g is None else g for g, p in zip(grads, where, strict=True)])

    def test_no_half_and_differentiated_in_into_alone(self):
        # rejects: a factor 1/2, the norm instead of its square, a part added to the generator
        toy = Toy()
        parts = toy.added(gd.losses.squared_gradient(0.3))
        torch.testing.assert_close(parts["D"], self.by_hand(toy, 0.3, "D"), rtol=1e-11, atol=1e-13)
        assert float(parts["G"].abs().max()) == 0
        assert float(parts["D"].norm()) > 1e-3

    def test_into_its_own_player(self):
        toy = Toy()
        parts = toy.added(gd.losses.squared_gradient(0.3, of="G", into="G"))
        torch.testing.assert_close(parts["G"], self.by_hand(toy, 0.3, "G"), rtol=1e-11, atol=1e-13)
        assert float(parts["D"].abs().max()) == 0

    def test_penalises_the_gradient_without_other_terms(self):
        # rejects: the penalised gradient taken of loss + weight decay
        toy = Toy()
        decayed = toy.flow.with_term(gd.losses.weight_decay(0.5, into="G"))
        y = toy.game.state().y
        both = decayed.with_term(gd.losses.squared_gradient(0.3)).field(toy.batch)(0.0, y)
        added = toy.game.layout.parts(both - decayed.field(toy.batch)(0.0, y))
        torch.testing.assert_close(added["D"], self.by_hand(toy, 0.3, "D"), rtol=1e-11, atol=1e-13)

    def test_on_one_player_alone(self):
        # rejects: field.player forgetting terms, or a reused gradient of the wrong player
        toy = Toy()
        flow = toy.flow.with_term(gd.losses.squared_gradient(0.3)).with_term(gd.losses.r1(0.2))
        y, field = toy.game.state().y, flow.field(toy.batch)
        whole = field(0.0, y)
        for i, at in enumerate(toy.game.layout.slices):
            torch.testing.assert_close(field.player(i, 0.0, y), whole[at], rtol=1e-13, atol=1e-15)


def test_weight_decay_is_half_the_square_of_every_parameter():
    # rejects: decay without 1/2 in the loss (velocity -2 w y), biases left out
    toy = Toy()
    parts, y = toy.added(gd.losses.weight_decay(0.4, into="G")), toy.game.state().parts()
    torch.testing.assert_close(parts["G"], -0.4 * y["G"], rtol=1e-12, atol=1e-14)
    assert float(parts["D"].abs().max()) == 0


def test_terms_have_names_and_weights():
    toy = Toy()
    flow = toy.flow.with_term(gd.losses.r1(0.7))
    with pytest.raises(gd.ArgumentError, match="name"):
        flow.with_term(gd.losses.r1(0.1))
    with pytest.raises(gd.ArgumentError, match="'D'"):
        toy.flow.with_term(gd.losses.r1(0.1, into="DD"))
    with pytest.raises(gd.ArgumentError, match="finite"):
        gd.losses.weight_decay(float("nan"), into="G")
    y = toy.game.state().y
    zero = flow.with_weights(r1=0.0).field(toy.batch)(0.0, y)
    torch.testing.assert_close(zero, toy.flow.field(toy.batch)(0.0, y), rtol=1e-14, atol=1e-16)
    assert flow.double_backward
    assert not toy.flow.with_term(gd.losses.weight_decay(0.1, into="G")).double_backward


PENALTIES = [gd.losses.r1, gd.losses.squared_gradient, lambda weight: gd.losses.weight_decay(weight, into="G")]


@pytest.mark.parametrize("make", PENALTIES)
@pytest.mark.parametrize("weight", [-1, -1e-300, math.nan, math.inf, -math.inf, "1", None, [1.0], torch.ones(2)])
def test_penalties_that_would_reward(make, weight):
    # rejects: a sign slip that makes the gradient norm grow, nan that shows as a diverging game
    with pytest.raises(gd.ArgumentError, match="weight: expected a finite number of at least 0"):
        make(weight)
    assert make(0).weight == 0.0


def test_terms_of_ones_own_take_any_finite_weight():
    term = gd.losses.LossTerm("mine", "D", -0.5, lambda players, parameters, batch: parameters["D"][0].sum())
    assert term.scaled(-1.0).weight == -1.0
    for make in (term.scaled, gd.losses.squared_gradient(0.1).scaled):
        with pytest.raises(gd.ArgumentError, match="weight: expected a finite number"):
            make(math.nan)


def test_a_user_written_penalty_by_autograd_grad_needs_no_term():
    # everybody's R1, inside the losses: equal to the term (usage.md section 2)
    toy = Toy()

    def losses(G, D, batch):
        x = batch[0].clone().requires_grad_()
        real = D(x)
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        loss_g, loss_d = gd.losses.get("nonsaturating")(real, D(G(batch[1])))
        return {"G": loss_g, "D": loss_d + 0.35 * slope.square().sum(1).mean()}

    own = gd.flows.gradient(gd.Game({"G": toy.G, "D": toy.D}, losses))
    y = toy.game.state().y
    ours = toy.flow.with_term(gd.losses.r1(0.7))
    torch.testing.assert_close(own.field(toy.batch)(0.0, y), ours.field(toy.batch)(0.0, y), rtol=1e-11, atol=1e-14)
    u = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    a, b = (gd.spectrum.linearise(f, y, toy.batch, form=False, k=2).J.jvp(u) for f in (own, ours))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert isinstance(toy.D, nn.Module)
