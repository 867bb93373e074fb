"""Penalties on input gradients against double backward by hand, in every way a field is evaluated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gamedyn as gd

DOUBLE = torch.float64
N, MIDDLE = 7, 0.45
EVEN = (torch.arange(N, dtype=DOUBLE)[:, None] + 0.5) / N


class Toy:
    def __init__(self, activation=nn.Tanh):
        g = torch.Generator().manual_seed(7)
        self.G = gd.games.mlp((2, 4, 3), generator=g, dtype=DOUBLE)
        self.D = gd.games.mlp((3, 5, 1), generator=g, dtype=DOUBLE)
        self.batch = (torch.randn(N, 3, generator=g, dtype=DOUBLE), torch.randn(N, 2, generator=g, dtype=DOUBLE))
        self.game = gd.games.gan(self.G, self.D)
        self.flow = gd.flows.gradient(self.game)

    def added(self, term):
        y = self.game.state().y
        penalised = self.flow.with_term(term).field(self.batch)(0.0, y)
        return self.game.layout.parts(penalised - self.flow.field(self.batch)(0.0, y))

    def by_hand(self, x, penalty):
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.D(x).sum(), x, create_graph=True)
        grads = torch.autograd.grad(penalty(slope), list(self.D.parameters()), allow_unused=True)
        pairs = zip(grads, self.D.parameters(), strict=True)
        return -torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])


def one_sided(slope):
    return 3.0 * (slope.norm(dim=1) - MIDDLE).relu().square().mean()


CASES = {  # term, where it looks, the penalty on the slopes (N, 3)
    "r2": (gd.losses.r2(0.7), 0.0, lambda s: 0.35 * s.square().sum(1).mean()),
    "wgan_gp": (gd.losses.gradient_penalty(3.0), EVEN, lambda s: 3.0 * (s.norm(dim=1) - 1).square().mean()),
    "one_sided": (gd.losses.gradient_penalty(3.0, target=MIDDLE, one_sided=True), EVEN, one_sided),
    "zero_centred": (gd.losses.gradient_penalty(0.35, target=0), EVEN, lambda s: 0.35 * s.square().sum(1).mean()),
}


def test_one_sided_norms_lie_on_both_sides():
    # rejects: a target that all norms are above, where one side is both
    toy = Toy()
    x = toy.batch[0].lerp(toy.G(toy.batch[1]), 0.5).detach().requires_grad_()
    (slope,) = torch.autograd.grad(toy.D(x).sum(), x)
    assert float(slope.norm(dim=1).min()) < MIDDLE < float(slope.norm(dim=1).max())


@pytest.mark.parametrize("case", sorted(CASES))
def test_is_the_double_backward_by_hand(case):
    # rejects: 1/2 missing or added, one norm for the whole batch, real samples in the place of generated ones
    toy, (term, share, penalty) = Toy(), CASES[case]
    real, fake = toy.batch[0], toy.G(toy.batch[1])
    parts = toy.added(term)
    torch.testing.assert_close(parts["D"], toy.by_hand(share * real + (1 - share) * fake, penalty))
    assert float(parts["D"].abs().max()) > 1e-3
    assert float(parts["G"].abs().max()) == 0  # the generator's gradient does not see it


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_jacobian_has_the_generator_s_block(case):
    # rejects: samples cut off from the generator, which leave J[D, G] without the penalty's share
    toy, (term, _, _) = Toy(), CASES[case]
    flow = toy.flow.with_term(term.scaled(5.0))
    held, u = flow.at(toy.game.state(), toy.batch), torch.zeros(toy.game.layout.n, dtype=DOUBLE)
    u[: toy.game.layout.slices[0].stop] = 1.0  # the generator moves
    y, h = held.at.y, 1e-6
    expected = (held(0.0, y + h * u) - held(0.0, y - h * u)) / (2 * h)
    torch.testing.assert_close(held.jacobian() @ u, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", sorted(CASES))
def test_ensembles_and_compiled_steps_take_it(case):
    toy, (term, _, _) = Toy(), CASES[case]
    flow = toy.flow.with_term(term)
    run = gd.solve(flow, "heun2", h=0.1, steps=3, batch=toy.batch)
    many = gd.solve_ensemble(flow, "heun2", h=[0.1, 0.2], steps=3, batch=toy.batch)
    torch.testing.assert_close(many.state.y[0], run.state.y, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", ["r2", "wgan_gp"])
def test_compiled_steps_take_it(case):
    toy, (term, _, _) = Toy(), CASES[case]
    flow = toy.flow.with_term(term)
    run = gd.solve(flow, "euler", h=0.1, steps=3, batch=toy.batch)
    fast = gd.solve(flow, "euler", h=0.1, steps=3, batch=toy.batch, execution="compiled")
    assert fast.stats["execution"] == "compiled"
    torch.testing.assert_close(fast.state.y, run.state.y, rtol=1e-12, atol=1e-13)


def test_random_shares_are_one_draw_a_step():
    # rejects: a field that is another function at every stage; shares that are one for the batch
    toy = Toy()
    flow = toy.flow.with_term(gd.losses.gradient_penalty(3.0, shares="random"))
    held = flow.at(toy.game.state(), toy.batch)
    assert torch.equal(held(0.0, held.at.y), held(0.0, held.at.y))
    torch.default_generator.manual_seed(5)
    share = torch.rand(N, dtype=DOUBLE)[:, None]
    torch.default_generator.manual_seed(5)
    x = share * toy.batch[0] + (1 - share) * toy.G(toy.batch[1])
    by_hand = toy.by_hand(x, lambda s: 3.0 * (s.norm(dim=1) - 1).square().mean())
    torch.testing.assert_close(toy.added(gd.losses.gradient_penalty(3.0, shares="random"))["D"], by_hand)


def test_even_shares_have_the_mean_of_uniform_ones():
    # the midpoint rule: a linear slope's penalty is quadratic in the share, and its error 1/(12 n^2) of the second
    # derivative; rejects i / n, whose error is O(1/n)
    n, a = 50, 3.0
    shares = (torch.arange(n, dtype=DOUBLE) + 0.5) / n
    even = float((a * shares).square().mean())
    assert even == pytest.approx(a**2 / 3, abs=a**2 / (12 * n**2) * 1.0001)


def test_where_the_discriminator_is_flat_nothing_is_nan():
    toy = Toy()
    with torch.no_grad():
        for p in toy.D.parameters():
            p.zero_()
    for name in ("wgan_gp", "one_sided"):
        assert bool(toy.added(CASES[name][0])["D"].isfinite().all())


class Labelled(nn.Module):
    def __init__(self, widths):
        super().__init__()
        g = torch.Generator().manual_seed(3)
        self.net, self.embed = gd.games.mlp(widths, generator=g, dtype=DOUBLE), nn.Embedding(4, 2, dtype=DOUBLE)

    def forward(self, x, labels):
        return self.net(torch.cat([x, self.embed(labels)], 1))


def test_labelled_players():
    # rejects: a penalty that calls D without its labels, or makes samples of other labels
    torch.default_generator.manual_seed(1)
    G, D = Labelled((4, 5, 3)), Labelled((5, 5, 1))
    x, labels, z = torch.randn(N, 3, dtype=DOUBLE), torch.arange(N) % 4, torch.randn(N, 2, dtype=DOUBLE)
    flow = gd.flows.gradient(gd.games.gan(G, D, conditional=True))
    how = {"real": gd.losses.labelled_samples, "fake": gd.losses.labelled_fakes}
    terms = [gd.losses.r1(0.5, real=how["real"]), gd.losses.r2(0.5, fake=how["fake"])]
    for term in (*terms, gd.losses.gradient_penalty(1.0, **how)):
        flow = flow.with_term(term)
    batch = ((x, labels), z)
    run = gd.solve(flow, "rk4", h=0.05, steps=2, batch=batch)
    assert bool(run.state.y.isfinite().all())
    loss_g, loss_d = gd.losses.get("nonsaturating")(D(x, labels), D(G(z, labels), labels))
    assert run.records.losses["G"][0] == pytest.approx(float(loss_g.detach()), rel=1e-12)
    assert run.records.losses["D"][0] == pytest.approx(float(loss_d.detach()), rel=1e-12)


def test_bad_input():
    for make in (gd.losses.r2, gd.losses.gradient_penalty):
        with pytest.raises(gd.ArgumentError, match="weight: expected a finite number of at least 0"):
            make(-1.0)
    with pytest.raises(gd.ArgumentError, match="target"):
        gd.losses.gradient_penalty(1.0, target=-1.0)
    with pytest.raises(gd.ArgumentError, match="did you mean 'even'"):
        gd.losses.gradient_penalty(1.0, shares="eve")
    toy = Toy()
    with pytest.raises(gd.ArgumentError, match="one generated sample for each real one"):
        toy.flow.with_term(gd.losses.gradient_penalty(1.0)).field((toy.batch[0][:3], toy.batch[1]))
