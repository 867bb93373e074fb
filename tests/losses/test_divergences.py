"""The f-GAN losses at their best discriminator, against divergences in closed form and by quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gamedyn as gd

X = torch.linspace(-12.0, 13.0, 200_001, dtype=torch.float64)
P, Q = (torch.exp(-((X - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0.0, 0.7))


def mean(values, density):
    return float(torch.trapezoid(torch.nan_to_num(values) * density, X))


LOG_RATIO = 0.245 - 0.7 * X  # log p/q of N(0, 1), N(0.7, 1)
# closed forms for unit normals at distance m: KL m^2/2; chi^2 exp(m^2) - 1; H^2 2 - 2 exp(-m^2/8); TV 2 Phi(m/2) - 1
M2 = 0.49
KNOWN = {
    "kl": (LOG_RATIO, M2 / 2),
    "reverse_kl": (LOG_RATIO, M2 / 2),
    "pearson": (torch.expm1(LOG_RATIO), math.expm1(M2)),
    "neyman": (LOG_RATIO, math.expm1(M2)),
    "squared_hellinger": (LOG_RATIO, 2 - 2 * math.exp(-M2 / 8)),
    "total_variation": (LOG_RATIO.sign() * 40, math.erf(0.35 / math.sqrt(2))),
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_best_discriminator_gives_the_divergence(name):
    # rejects: a conjugate of another f, T's constant or factor, p and q exchanged (asymmetric where scores differ)
    loss, (best, divergence) = gd.losses.get(name), KNOWN[name]

    def value(scores):
        return -(mean(loss.real(scores), P) + mean(loss.fake(scores), Q))

    assert value(best) == pytest.approx(divergence, rel=1e-7)
    for other in (best + 0.05, best - 0.05, best * 1.03, best * 0.97):  # and no other discriminator gives more
        if name != "total_variation":
            assert value(other) < value(best) - 1e-6


def test_asymmetric_divergences_are_told_apart():
    # rejects: kl and reverse_kl exchanged: normals of standard deviations 1 and 2 have KL log 2 - 3/8 and 3/2 - log 2
    wide = torch.exp(-(X**2) / 8) / (2 * math.sqrt(2 * math.pi))
    score = torch.log(torch.tensor(2.0)) - X**2 * 3 / 8
    for name, value in (("kl", math.log(2) - 3 / 8), ("reverse_kl", 3 / 2 - math.log(2))):
        loss = gd.losses.get(name)
        got = -(mean(loss.real(score), P) + mean(loss.fake(score), wide))
        assert got == pytest.approx(value, abs=2e-6), name  # the wide density is cut at -12


def test_jensen_shannon_is_minimax_up_to_a_constant():
    # T = log 2 - softplus(-s), f* = -log(2 - exp T): the table's own, by hand
    loss, s = gd.losses.get("jensen_shannon"), torch.linspace(-4, 4, 9, dtype=torch.float64)
    T = math.log(2) - torch.nn.functional.softplus(-s)
    torch.testing.assert_close(loss.real(s), -T + math.log(2))
    torch.testing.assert_close(loss.fake(s), -torch.log(2 - torch.exp(T)) + math.log(2))


class TestRelativistic:
    real = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
    fake = torch.tensor([[1.1], [0.4], [-0.5]], dtype=torch.float64)

    def test_paired_is_r3gan_s(self):
        # rejects: pairs in another order, all pairs, the generator's loss with the discriminator's sign
        loss_g, loss_d = gd.losses.get("rpgan")(self.real, self.fake)
        r, f = self.real.numpy(), self.fake.numpy()
        assert float(loss_d) == pytest.approx(np.log1p(np.exp(-(r - f))).mean(), rel=1e-14)
        assert float(loss_g) == pytest.approx(np.log1p(np.exp(-(f - r))).mean(), rel=1e-14)

    def test_average_by_hand(self):
        loss_g, loss_d = gd.losses.get("ragan")(self.real, self.fake)
        r, f = self.real.numpy(), self.fake.numpy()
        a, b = r - f.mean(), f - r.mean()
        assert float(loss_d) == pytest.approx((np.log1p(np.exp(-a)) + np.log1p(np.exp(b)) - 0).mean(), rel=1e-14)
        assert float(loss_g) == pytest.approx((np.log1p(np.exp(-b)) + np.log1p(np.exp(a)) - 0).mean(), rel=1e-14)

    @pytest.mark.parametrize("name", ["relativistic", "relativistic_average"])
    def test_a_constant_added_to_all_scores_changes_nothing(self, name):
        loss = gd.losses.get(name)
        torch.testing.assert_close(loss(self.real + 3, self.fake + 3), loss(self.real, self.fake))

    @pytest.mark.parametrize("kind", ["paired", "average"])
    def test_of_another_loss(self, kind):
        hinge = gd.losses.relativistic(gd.losses.get("hinge"), kind)
        loss_g, loss_d = hinge(self.real, self.fake)
        swapped_g, swapped_d = hinge(self.fake, self.real)
        assert (float(loss_g), float(loss_d)) == pytest.approx((float(swapped_d), float(swapped_g)), rel=1e-14)
        a = self.real - (self.fake if kind == "paired" else self.fake.mean())
        b = self.fake - self.real.mean()
        expected = torch.relu(1 - a).mean() + (0 if kind == "paired" else torch.relu(1 + b).mean())
        assert float(loss_d) == pytest.approx(float(expected), rel=1e-14)

    @pytest.mark.parametrize("kind", ["paired", "average"])
    @pytest.mark.parametrize("base", ["minimax", "hinge", "jensen_shannon"])
    def test_is_declared_zero_sum_only_where_it_is(self, base, kind):
        # rejects: the flag of the loss that it is made of
        loss = gd.losses.relativistic(gd.losses.get(base), kind)
        assert abs(float(sum(loss(self.real, self.fake)))) > 0.01
        assert not loss.zero_sum

    def test_what_cannot_be_paired_is_refused(self):
        with pytest.raises(gd.ArgumentError, match="as many samples as there are real ones"):
            gd.losses.get("rpgan")(self.real, self.fake[:2])
        with pytest.raises(gd.ArgumentError, match="separate scores"):
            gd.losses.relativistic(gd.losses.get("rpgan"))
        with pytest.raises(gd.ArgumentError, match=r"did you mean 'average'"):
            gd.losses.relativistic(gd.losses.get("hinge"), "averge")
        with pytest.raises(gd.ArgumentError, match="separate scores"):
            gd.games.dirac_gan("relativistic", "instance_noise", 0.3)
