"""Everything a game declares, on every example of every family."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

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


MUST_DECLARE = [  # families with a table of critical points in games.md
    "bilinear",
    "consensus_counterexample",
    "cyclic",
    "dirac_gan",
    "matching_pennies",
    "quadratic",
    "rock_paper_scissors",
    "rotation",
    "stackelberg_polynomial",
    "tandem",
]


def expansions(game, batch, y):
    """Of every loss: gradient (n,) and Hessian (n, n) in all players' entries."""
    out = {}
    for name in game.layout.players:

        def loss(flat, name=name):
            return own_losses(game, batch, game.layout.views(flat))[name]

        slope = torch.autograd.functional.jacobian(loss, y)
        out[name] = slope.double(), torch.autograd.functional.hessian(loss, y).double()
    return out


def definite(block, tolerance=1e-9):
    """The verdict on a symmetric matrix being positive definite."""
    least = float(torch.linalg.eigvalsh((block + block.T) / 2).min())
    return "yes" if least > tolerance else "no" if least < -tolerance else "undecided"


def leads(parts, slices, leader, follower):
    """The Stackelberg verdict, from dense blocks of both losses (third derivatives are not needed, or refused)."""
    (slope, own), (_, theirs), a, b = parts[leader], parts[follower], slices[leader], slices[follower]
    verdict = definite(theirs[b, b])
    if verdict != "yes":
        return verdict
    response = -torch.linalg.solve(theirs[b, b], theirs[b, a])
    if float((slope[a] + response.T @ slope[b]).abs().max()) > 1e-9:
        return "no"
    assert float(slope[b].abs().max()) <= 1e-9, "the response's second derivative would be needed"
    along = torch.cat([torch.eye(response.shape[1], dtype=response.dtype), response])
    order = [*range(a.start, a.stop), *range(b.start, b.stop)]
    return definite(along.T @ own[order][:, order] @ along)


def eigenvalues_agree(J, point):
    """Matched one by one; of a defective matrix by the coefficients of its characteristic polynomial."""
    found, declared = np.linalg.eigvals(J), np.array(point.eigenvalues)
    assert found.shape == declared.shape
    scale = max(1.0, float(np.abs(found).max()))
    if point.defective:
        difference = np.abs(np.poly(J) - np.poly(declared)).max()
        assert difference <= point.tolerance * scale ** len(J)
    else:
        distance = np.abs(found[:, None] - declared[None])
        assert distance[linear_sum_assignment(distance)].max() <= point.tolerance * scale
    conditioning = np.linalg.cond(np.linalg.eig(J)[1])
    assert (conditioning > 1e6) == point.defective


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
        J = flow.at(state, batch).jacobian().to_dense()
        torch.testing.assert_close(J, game.jacobian, rtol=0, atol=1e-12)

    def test_jacobian_is_the_derivative_of_the_field(self, example, generator):
        # rejects: J^T for J, a Jacobian taken at another point or of the losses before penalties
        game, batch = example()
        flow, y = gd.flows.gradient(game), near(game, generator)
        field, n, h = flow.field(batch), game.layout.n, 1e-5
        columns = []
        for e in torch.eye(n, dtype=y.dtype):
            columns.append((field(0.0, y + h * e) - field(0.0, y - h * e)) / (2 * h))
        J = flow.at(y, batch).jacobian().to_dense()
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

    def test_critical_points(self, example):
        # rejects: another point, eigenvalues of H for those of J, an altered verdict, an undeclared defect
        game, batch = example()
        if not game.critical_points:
            pytest.skip("declares none")
        for point in game.critical_points:
            self.holds_at(game, batch, point)

    def holds_at(self, game, batch, point):
        flow, state = gd.flows.gradient(game), game.state_of(point.point)
        players, own = game.layout.players, dict(zip(game.layout.players, game.layout.slices, strict=True))
        J = flow.at(state, batch).jacobian().to_dense().double()
        v = flow.field(batch)(0.0, state.y)
        assert float(v.norm()) <= 1e-13 * max(1.0, float(J.norm()) * float(state.y.norm()))
        eigenvalues_agree(J.numpy(), point)
        right = float(np.linalg.eigvals(J.numpy()).real.max())
        assert point.stability == ("yes" if right < -1e-9 else "no" if right > 1e-9 else "undecided")
        parts = expansions(game, batch, state.y)
        blocks = [definite(parts[p][1][own[p], own[p]]) for p in players]
        assert point.nash == ("no" if "no" in blocks else "undecided" if "undecided" in blocks else "yes")
        assert set(point.stackelberg) == (set(players) if len(players) == 2 else set())
        for leader, verdict in point.stackelberg.items():
            (follower,) = set(players) - {leader}
            assert verdict == leads(parts, own, leader, follower), leader

    def test_the_equilibrium_is_among_the_critical_points(self, example):
        # rejects: an equilibrium or a Jacobian that contradicts the table
        game, _ = example()
        if not game.critical_points or game.equilibrium is None:
            pytest.skip("declares not both")
        y = game.equilibrium_state().y
        assert any(torch.equal(game.state_of(p.point).y, y) for p in game.critical_points)

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


def test_families_with_known_points_declare_them():
    # rejects: a table that is lost on the way, so that nothing is checked
    for name in MUST_DECLARE:
        assert any(example()[0].critical_points for example in gd.games.get(name).examples), name
    polynomial, zero_sum = gd.games.stackelberg_polynomial(), [[-1.0, 3.0], [-3.0, 3.0]]
    assert len(polynomial.critical_points) == 9
    assert gd.games.quadratic(zero_sum).critical_points[0].stackelberg == {"p1": "yes", "p2": "no"}


def test_every_family_with_a_dtype_keeps_it():
    # rejects: a constant left in float64 or float32 inside a family
    small = torch.randn(30, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    arguments = {"affine_quadratic_gan": (small, 2), "bimatrix": ([[1.0, 3.0], [0.0, 2.0]],)}
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


def test_altered_facts_are_rejected():
    """Every verdict of every declared point, its eigenvalues, its place and its defect, altered one at a time."""
    suite, seen = TestExample(), set()
    for name in MUST_DECLARE:
        for example in gd.games.get(name).examples:
            game, batch = example()
            for point in game.critical_points:
                kind = (name, point.stability, point.nash, tuple(point.stackelberg.values()), point.defective)
                if kind in seen:  # each kind of each family once: 25 of 82 points
                    continue
                seen.add(kind)
                for mutant in mutants(game, point):
                    with pytest.raises(AssertionError):
                        suite.holds_at(game, batch, mutant)
    assert len(seen) >= 20


def mutants(game, point):
    for field in ("stability", "nash"):
        for verdict in {"yes", "no", "undecided"} - {getattr(point, field)}:
            yield dataclasses.replace(point, **{field: verdict})
    for leader, true in point.stackelberg.items():
        for verdict in {"yes", "no", "undecided"} - {true}:
            yield dataclasses.replace(point, stackelberg={**point.stackelberg, leader: verdict})
    first, *rest = point.eigenvalues
    yield dataclasses.replace(point, eigenvalues=(first + 1e-8, *rest))
    yield dataclasses.replace(point, eigenvalues=tuple(rest))
    yield dataclasses.replace(point, defective=not point.defective)
    player = game.layout.players[0]
    if game.name not in ("rock_paper_scissors", "rotation"):  # shifted logits, and n odd: not isolated
        yield dataclasses.replace(point, point={**point.point, player: point.point[player] + 1e-6})


@pytest.mark.parametrize("name", ["tandem", "stackelberg_polynomial", "cyclic", "consensus_counterexample"])
def test_a_loss_with_its_sign_flipped_is_rejected(name):
    # rejects: a player that ascends
    for player in gd.games.get(name)().players:
        game = gd.games.get(name)()
        losses = game.losses
        game.losses = lambda *args, f=losses, p=player: {**f(*args), p: -f(*args)[p]}
        with pytest.raises(AssertionError):
            TestExample().test_critical_points(lambda game=game: (game, None))
