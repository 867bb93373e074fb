"""Everything a game declares, on every example of every family."""

from __future__ import annotations

import inspect

import pytest
import torch

import gamedyn as gd

CASES = [
    pytest.param(example, id=f"{name}-{i}")
    for name, family in gd.games.members().items()
    for i, example in enumerate(family.examples)
]


def own_field(game, batch, y):
    """-grad_i loss_i by autograd alone: tensors are put into the modules by torch.func.functional_call."""
    leaves = [v.clone().requires_grad_() for v in game.layout.views(y)]
    losses = own_losses(game, batch, leaves)
    out = []
    for i, name in enumerate(game.layout.players):
        mine = leaves[game.layout.leaf_slices[i]]
        grads = torch.autograd.grad(losses[name], mine, retain_graph=True, allow_unused=True)
        out += [torch.zeros_like(x) if g is None else -g for g, x in zip(grads, mine, strict=True)]
    return torch.cat([x.reshape(-1) for x in out])


def own_losses(game, batch, leaves):
    class Joint(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.players = torch.nn.ModuleList([p for p in game.players.values() if isinstance(p, torch.nn.Module)])

        def forward(self, tensors):
            modules = iter(self.players)
            args = [
                next(modules) if isinstance(p, torch.nn.Module) else tensors[i]
                for i, p in enumerate(game.players.values())
            ]
            return game.losses(*args) if batch is None else game.losses(*args, batch)

    named, tensors, module = {}, {}, -1
    for i, (name, player) in enumerate(game.players.items()):
        mine = leaves[game.layout.leaf_slices[i]]
        if not isinstance(player, torch.nn.Module):
            tensors[i] = mine[0]
            continue
        module += 1
        for leaf, x in zip(game.layout.leaves[game.layout.leaf_slices[i]], mine, strict=True):
            named[f"players.{module}.{leaf.name}"] = x
        del name
    return torch.func.functional_call(Joint(), named, (tensors,))


def near(game, generator):
    y = game.state().y
    return y + 0.3 * torch.randn(y.shape, generator=generator, dtype=y.dtype)


@pytest.mark.parametrize("example", CASES)
class TestExample:
    def test_check_passes(self, example):
        game, batch = example()
        game.check(batch)

    def test_field_is_minus_own_gradients(self, example, generator):
        # rejects: a sign error, players swapped, a gradient of the other player's loss, a factor 1/2
        game, batch = example()
        y = near(game, generator)
        v = gd.flows.gradient(game).field(batch)(0.0, y)
        expected = own_field(game, batch, y)
        assert float((v - expected).norm()) <= 1e-13 * max(1.0, float(expected.norm()))

    def test_field_vanishes_at_the_declared_equilibrium(self, example):
        # rejects: an equilibrium off by 1e-12 in any entry that matters
        game, batch = example()
        if game.equilibrium is None:
            pytest.skip("declares none")
        v = gd.flows.gradient(game).field(batch)(0.0, game.equilibrium_state().y)
        assert float(v.norm()) <= 1e-13

    def test_declared_jacobian(self, example):
        # rejects: a transposed or wrongly signed Jacobian, a penalty curvature off by 2
        game, batch = example()
        if game.jacobian is None:
            pytest.skip("declares none")
        flow, state = gd.flows.gradient(game), game.equilibrium_state()
        J = gd.spectrum.dense(flow, state, batch)
        torch.testing.assert_close(J, game.jacobian, rtol=0, atol=1e-12)

    def test_jacobian_is_the_derivative_of_the_field(self, example, generator):
        # rejects: J^T for J, a Jacobian taken at another point or of the losses before penalties
        game, batch = example()
        flow, y = gd.flows.gradient(game), near(game, generator)
        field, n, h = flow.field(batch), game.layout.n, 1e-5
        columns = []
        for e in torch.eye(n, dtype=y.dtype):
            columns.append((field(0.0, y + h * e) - field(0.0, y - h * e)) / (2 * h))
        J = gd.spectrum.dense(flow, y, batch)
        assert float((J - torch.stack(columns, 1)).abs().max()) <= 1e-6 * max(1.0, float(J.abs().max()))

    def test_invariant_is_conserved_by_the_flow(self, example, generator):
        # rejects: x^2 - y^2 for x^2 + y^2, an invariant declared for a damped game
        game, batch = example()
        if game.invariant is None:
            pytest.skip("declares none")
        y = near(game, generator)
        v = gd.flows.gradient(game).field(batch)(0.0, y)
        point = y.clone().requires_grad_()
        (slope,) = torch.autograd.grad(game.invariant(*game.layout.parts(point).values()), point)
        assert float(v.norm()) > 0.1
        assert float(slope.norm()) > 0.1
        assert abs(float(slope @ v)) <= 1e-13 * float(slope.norm() * v.norm())

    def test_zero_sum_losses_add_up_to_zero(self, example, generator):
        # rejects: the non-saturating loss declared zero-sum; and a zero-sum example that is not declared
        game, batch = example()
        leaves = game.layout.views(near(game, generator))
        values = [float(x) for x in own_losses(game, batch, leaves).values()]
        total = abs(sum(values)) / max(map(abs, values))
        if game.zero_sum:
            assert total <= 1e-14
        elif game.name not in ("quadratic", "rotation"):  # 2x2 tables contain zero-sum points by accident
            assert total > 1e-10


def test_every_family_with_a_dtype_keeps_it():
    # rejects: a constant left in float64 or float32 inside a family
    small = torch.randn(30, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    arguments = {"affine_quadratic_gan": (small, 2)}
    for name, family in gd.games.members().items():
        if "dtype" not in inspect.signature(family.make).parameters:
            continue
        fields = []
        for dtype in (torch.float32, torch.float64):
            game = family(*arguments.get(name, ()), dtype=dtype)
            y = game.state().y
            v = gd.flows.gradient(game).field()(0.0, y + 0.25)
            assert y.dtype == v.dtype == dtype, name
            fields.append(v.double())
        scale = float(fields[1].abs().max())
        torch.testing.assert_close(fields[0], fields[1], rtol=0, atol=1e-5 * max(1.0, scale))


def test_families_are_found_by_alias_and_near_misses_are_named():
    assert gd.games.get("dirac") is gd.games.dirac_gan
    with pytest.raises(gd.ArgumentError, match=r"did you mean 'bilinear'"):
        gd.games.get("bilinar")


class TestAffineQuadratic:
    """Its closed form against the data's own moments, computed in the data's space."""

    @pytest.mark.parametrize("q", [3, 8])
    def test_samples_have_the_first_two_moments_of_the_data(self, digits, q):
        # rejects: a Cholesky factor of the uncentred or unscaled covariance, b = 0
        game = gd.games.affine_quadratic_gan(digits, q=q, weight_decay=0.02)
        with game.at(game.equilibrium_state()) as players:
            pixels = players["G"].pixels(game.latents)
        centred = digits - digits.mean(0)
        _, _, V = torch.linalg.svd(centred, full_matrices=False)
        P = V[:q].T @ V[:q]
        torch.testing.assert_close(pixels.mean(0), digits.mean(0), rtol=0, atol=1e-12)
        deviation = pixels - pixels.mean(0)
        made = deviation.T @ deviation / len(pixels)
        torch.testing.assert_close(made, P @ (centred.T @ centred / len(digits)) @ P, rtol=0, atol=1e-10)

    def test_sizes_and_data_checks(self, digits):
        assert gd.games.affine_quadratic_gan(digits, q=8).layout.n == 89  # numerics.md section 1
        with pytest.raises(gd.ArgumentError, match="rank"):
            gd.games.affine_quadratic_gan(torch.ones(20, 4), q=2)
        with pytest.raises(gd.ArgumentError, match="finite"):
            gd.games.affine_quadratic_gan(torch.full((20, 4), float("nan")), q=2)


def test_mutants_are_rejected(generator):
    """The suite itself can fail: a wrong Jacobian, equilibrium, invariant and zero-sum flag are each seen."""
    x, y = torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)

    def example(**declared):
        players = {"x": x, "y": y}
        losses = lambda x, y: {"x": (x * y).sum(), "y": -(x * y).sum() + 0.5 * (y * y).sum()}  # noqa: E731
        return lambda: (gd.Game(players, losses, name="mutant", **declared), None)

    suite = TestExample()
    at = {"x": torch.zeros(1), "y": torch.full((1,), 1e-3)}
    origin = {"x": torch.zeros(1), "y": torch.zeros(1)}
    wrong = torch.tensor([[0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)  # transposed
    with pytest.raises(AssertionError):
        suite.test_field_vanishes_at_the_declared_equilibrium(example(equilibrium=at))
    with pytest.raises(AssertionError):
        suite.test_declared_jacobian(example(equilibrium=origin, jacobian=wrong))
    with pytest.raises(AssertionError):
        suite.test_invariant_is_conserved_by_the_flow(example(invariant=lambda x, y: (x * x + y * y).sum()), generator)
    with pytest.raises(AssertionError):
        suite.test_zero_sum_losses_add_up_to_zero(example(zero_sum=True), generator)
