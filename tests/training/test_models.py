"""Architectures: sizes as published, weights as said, players of a game in every way that one is used."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn.training import models

MEMBERS = models.members()


def conv(a, b, k, *, bias=True, groups=1):
    return a // groups * b * k * k + b * bias


class TestSizes:
    """Parameters counted by hand from the papers' tables: rejects a layer too many, a wrong kernel, a lost bias."""

    def test_sngan_dcgan_for_cifar(self):
        # Miyato et al. 2018, table 3: 128 -> 4x4x512 -> 256 -> 128 -> 64 -> 3; 64 64 128 128 256 256 512, linear
        made = models.build("dcgan", (3, 32, 32)).sizes
        g = 128 * 8192 + 8192 + sum(2 * c for c in (512, 256, 128, 64))
        g += conv(512, 256, 4) + conv(256, 128, 4) + conv(128, 64, 4) + conv(64, 3, 3)
        d = conv(3, 64, 3) + conv(64, 64, 4) + conv(64, 128, 3) + conv(128, 128, 4) + conv(128, 256, 3)
        d += conv(256, 256, 4) + conv(256, 512, 3) + 8192 + 1
        assert made == {"G": g, "D": d} == {"G": 3_813_379, "D": 2_935_873}

    def test_odegan_has_no_norm_on_its_first_square_and_no_spectral_norm(self):
        # the published generator goes from its linear layer straight to the first transposed convolution
        pair = models.build("odegan", (3, 32, 32))
        assert pair.sizes == {"G": 3_813_379 - 2 * 512, "D": 2_935_873}
        assert not any(nn.utils.parametrize.is_parametrized(m) for m in pair.discriminator.modules())

    def test_sngan_resnet(self):
        # table 4; 4,276,739 is the figure of mimicry's SNGAN-32 as well
        made = models.build("resnet", (3, 32, 32)).sizes
        block = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 4 * 256
        g = 128 * 4096 + 4096 + 3 * block + 2 * 256 + conv(256, 3, 3)
        first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
        halving = 2 * conv(128, 128, 3) + conv(128, 128, 1)
        d = first + halving + 2 * 2 * conv(128, 128, 3) + 128 + 1
        assert made == {"G": g, "D": d}
        assert g == 4_276_739

    @pytest.mark.parametrize(("side", "first"), [(28, 7), (32, 4), (48, 6), (64, 8)])
    def test_dcgan_sides(self, side, first):
        pair = models.build("dcgan", (1, side, side), channels=32)
        assert pair.generator.side == first
        assert pair.generator(torch.zeros(2, 128)).shape == (2, 1, side, side)

    def test_odegan_s_mixture_perceptrons(self):
        # the notebook's: 32-25-25-2 and 2-25-25-1, 2,278 parameters (torch.md, P1)
        pair = models.build("mlp", (2,), latent=32, widths=(25, 25), activation="relu")
        assert sum(pair.sizes.values()) == 2278

    @pytest.mark.parametrize(("shape", "inside"), [((1, 8, 8), True), ((2,), False)])
    def test_perceptrons_of_images_are_bounded(self, shape, inside):
        # rejects: samples of [-1, 1] from a generator that leaves it, points of a plane that cannot
        pair = models.build("mlp", shape, latent=4, widths=(64,))
        made = pair.generator(100 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0)))
        assert bool((made.abs() <= 1).all()) == inside

    def test_r3gan(self):
        pair = models.build("r3gan", (1, 16, 16), widths=(16, 8), latent=4, groups=8, expansion=2, blocks=1)
        block = lambda w: conv(w, 2 * w, 1, bias=False) * 2 + 4 * w + conv(2 * w, 2 * w, 3, bias=False, groups=8)  # noqa: E731
        g = 16 * 64 + 4 * 16 + block(16) + 16 * 8 + block(8) + 8
        d = 8 + block(8) + 8 * 16 + block(16) + 16 * 64 + 16
        assert pair.sizes == {"G": g, "D": d}


class TestWeights:
    def test_dcgan_s_are_normal_of_002_and_biases_zero(self):
        generator = models.build("dcgan", (1, 28, 28), channels=128).generator
        assert float(generator.linear.weight.detach().std()) == pytest.approx(0.02, rel=0.01)
        assert float(generator.up[0].weight.detach().mean()) == pytest.approx(0, abs=3e-4)
        assert not bool(generator.linear.bias.any())

    def test_odegan_s_are_truncated_normal_by_fan_in(self):
        # std of a normal cut at two of its own is .8796 of it; a transposed convolution's fan-in is its input's
        generator = models.build("odegan", (1, 32, 32), channels=128).generator
        for weight, fan_in in ((generator.linear.weight.detach(), 128), (generator.up[0].weight.detach(), 128 * 16)):
            std = 1 / math.sqrt(fan_in)
            assert float(weight.abs().max()) <= 2 * std
            assert float(weight.std()) == pytest.approx(0.8796 * std, rel=0.02)

    def test_r3gan_s_blocks_begin_as_the_identity_and_keep_the_variance(self):
        # rejects: a last weight that is not 0, a gain forgotten: the features' second moment stays near 1
        pair = models.build("r3gan", (3, 32, 32), widths=(64, 64, 64, 64))
        block = pair.discriminator.stages[0][0]
        x = torch.randn(4, 64, 8, 8)
        assert torch.equal(block(x), x)
        assert 0.3 < float(pair.generator(torch.randn(64, 64)).detach().square().mean()) < 3
        inner = nn.Sequential(*list(block.body)[:4])
        scale = 4 ** (-1 / 4)  # of each of the two weights, with four blocks in the player
        found = inner(torch.randn(64, 64, 16, 16))[..., 1:-1, 1:-1].detach()  # zeros come in at the border
        assert float(found.square().mean()) == pytest.approx(scale**4, rel=0.15)

    def test_spectral_norm_is_on_every_layer(self):
        # rejects: vectors of the weights before they were drawn, which leave the norm at another value
        discriminator = models.build("dcgan", (1, 8, 8), channels=16).discriminator
        for layer in discriminator.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                norm = float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).detach())
                assert norm == pytest.approx(1, abs=0.05)

    def test_a_seed_decides_and_the_default_generators_stand_still(self):
        torch.default_generator.manual_seed(3)
        random.seed(3)
        before = torch.get_rng_state(), random.getstate()
        a, b, c = (models.build("dcgan", (1, 8, 8), channels=16, seed=s) for s in (1, 1, 2))
        states = [torch.cat([p.reshape(-1) for p in m.generator.parameters()]) for m in (a, b, c)]
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == random.getstate()


def small(name, classes):
    options = {"dcgan": {"channels": 16}, "odegan": {"channels": 16}, "resnet": {"channels": 8}}.get(name, {})
    if name == "resnet":
        options |= {"discriminator_channels": 8}
    if name == "r3gan":
        options |= {"widths": (8, 8), "groups": 4}
    return models.build(name, MEMBERS[name].example, classes=classes, latent=3, **options)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", sorted(MEMBERS))
class TestContract:
    def game(self, name, classes):
        pair = small(name, classes)
        g = torch.Generator().manual_seed(1)
        x, z = torch.randn(6, *pair.shape, generator=g), torch.randn(6, 3, generator=g)
        for module in (pair.generator, pair.discriminator):
            module.double()
        game = gd.games.gan(pair.generator, pair.discriminator, conditional=bool(classes))
        return game, (((x.double(), torch.arange(6) % 3) if classes else x.double()), z.double())

    def test_shapes_and_labels(self, name, classes):
        pair = small(name, classes)
        labels = [torch.tensor([0, 1, 2, 0, 1])] if classes else []
        made = pair.generator(torch.randn(5, 3), *labels)
        assert made.shape == (5, *pair.shape)
        assert pair.discriminator(made, *labels).shape == (5, 1)
        if classes:
            z = torch.randn(1, 3).expand(5, -1)
            pair.generator.eval()
            if name == "dcgan":  # gains and biases of classes begin equal
                pair.generator.norms[0].bias.weight.data[1] += 1.0
            made = pair.generator(z, *labels)
            equal = name in ("odegan", "resnet")
            assert torch.allclose(made[0], made[1]) == equal
            assert torch.allclose(made[0], made[3])

    def test_a_penalty_s_derivatives_are_those_of_the_field(self, name, classes):
        # rejects: layers that a product cannot be taken through; differences at kinks are the check's own business
        game, batch = self.game(name, classes)
        flow = gd.flows.gradient(game).with_term(gd.losses.squared_gradient(0.1))
        held = flow.at(game.state(), batch)
        held.jacobian()  # raises where it disagrees
        assert held.checked.partition(":")[0] in ("agrees", "undecided")  # some of these have kinks

    def test_channels_last_changes_no_value(self, name, classes):
        game, batch = self.game(name, classes)
        v = gd.flows.gradient(game).field(batch)(0.0, game.state().y)
        models.channels_last(models.Pair(*game.players.values(), 3, MEMBERS[name].example, classes))
        torch.testing.assert_close(gd.flows.gradient(game).field(batch)(0.0, game.state().y), v)


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "shape", "options", "match"),
        [
            ("dcgn", (1, 8, 8), {}, "did you mean 'dcgan'"),
            ("dcgan", (1, 8, 8), {"chanels": 3}, "did you mean 'channels'"),
            ("dcgan", (64,), {}, "square images"),
            ("dcgan", (1, 30, 30), {}, "28, 32, 48 and 64 are usual"),
            ("dcgan", (1, 28, 28), {"channels": 6}, "a multiple of 4"),
            ("resnet", (1, 28, 28), {}, "pad 28 to 32"),
            ("r3gan", (1, 6, 6), {}, "fewer stages"),
            ("r3gan", (1, 8, 8), {"groups": 7}, "divides the"),
            ("mlp", (3,), {"activation": "relus"}, "did you mean 'relu'"),
            ("mlp", (3,), {"widths": (0,)}, "at least 1"),
            ("mlp", (3,), {"classes": 1}, "at least 2"),
        ],
    )
    def test_bad_input(self, name, shape, options, match):
        with pytest.raises(gd.ArgumentError, match=match):
            models.build(name, shape, **options)
