"""Products, dense matrices and outer eigenvalues, with residuals that can be believed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

import gamedyn as gd
from gamedyn.spectrum.outer import KINDS

DOUBLE = torch.float64


def mid_size(generator, loss="nonsaturating"):
    game = gd.games.gan(
        gd.games.mlp((3, 10, 6), generator=generator, dtype=DOUBLE),
        gd.games.mlp((6, 20, 3, 1), generator=generator, dtype=DOUBLE),
        loss,
    )
    batch = tuple(torch.randn(16, k, generator=generator, dtype=DOUBLE) for k in (6, 3))
    flow = gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.r1(0.1))
    return flow.with_term(gd.losses.squared_gradient(0.05)), batch


def test_products_dense_and_differences(generator):
    # rejects: J^T for J (Land's operator), a graph on a buffer written later, a penalty left out of J
    flow, batch = mid_size(generator)
    y = flow.initial_state().y
    lin = gd.spectrum.linearise(flow, y, batch)
    assert 250 < len(y) < 400
    U = torch.randn(3, len(y), generator=generator, dtype=DOUBLE)
    field, h = flow.field(batch), 1e-5
    for u in U:
        difference = (field(0.0, y + h * u) - field(0.0, y - h * u)) / (2 * h)
        torch.testing.assert_close(lin.J.jvp(u), difference, rtol=0, atol=1e-8 * float(u.norm()))
        torch.testing.assert_close(lin.matrix @ u, lin.J.jvp(u), rtol=0, atol=1e-11)
        torch.testing.assert_close(lin.matrix.T @ u, lin.J.vjp(u), rtol=0, atol=1e-11)
    torch.testing.assert_close(lin.J.jvp(U), U @ lin.matrix.T, rtol=0, atol=1e-11)
    torch.testing.assert_close(lin.J @ U[0], lin.J.jvp(U[0]))
    assert float((lin.matrix - lin.matrix.T).norm() / lin.matrix.norm()) > 0.1
    torch.testing.assert_close(lin.value, field(0.0, y))


def test_outer_eigenvalues_are_those_of_the_dense_matrix(generator):
    # rejects: unsorted Ritz values (CoLA 0.0.7), LM alone, residuals that are not true
    flow, batch = mid_size(generator)
    state = flow.initial_state()
    all_of_them = gd.spectrum.linearise(flow, state, batch)
    outer = gd.spectrum.linearise(flow, state, batch, form=False, k=6)
    J, values = all_of_them.matrix.numpy(), all_of_them.eigenvalues.values
    assert all_of_them.complete
    assert not outer.complete
    scale = np.abs(values).max()
    found = outer.eigenvalues.values
    for z, claimed in list(zip(found, outer.eigenvalues.residuals, strict=True))[::9]:
        smallest = np.linalg.svd(J - z * np.eye(len(J)), compute_uv=False)[-1]
        assert smallest <= claimed + 1e-11 * scale
        assert claimed <= 1e-6 * scale
    keys = {
        "rightmost": lambda z: -z.real,
        "leftmost": lambda z: z.real,
        "largest_modulus": lambda z: -abs(z),
        "largest_imaginary": lambda z: -abs(z.imag),
    }
    assert set(keys) == set(KINDS)
    for key in keys.values():
        best = min(values, key=key)
        assert np.abs(found - best).min() <= 1e-6 * scale
    assert all_of_them.eigenvalues.residuals.max() <= 1e-12 * scale
    assert np.all(np.diff(values.real) <= 1e-12)


class TestResiduals:
    def test_those_of_a_formed_non_normal_matrix(self, rng):
        # rejects: residuals of 0; |J x - lambda x| depends on the vectors, so only its size is compared
        H = np.triu(rng.standard_normal((30, 30)), 1) * 3 + np.diag(np.linspace(1, 2, 30))
        game = gd.games.quadratic(torch.as_tensor(H))
        spectrum = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state()).eigenvalues
        values, vectors = scipy.linalg.eig(-H)
        own = np.linalg.norm(-H @ vectors - vectors * values, axis=0)
        assert 0.01 * own.max() < spectrum.residuals.max() < 100 * own.max()


@pytest.mark.parametrize(
    ("kind", "weight", "expected"),
    [
        # games.md b.2: f'(0) = 1/2, f''(0) = -1/4 for the logistic losses
        (("nonsaturating", "none"), 0.0, [0.5j, -0.5j]),
        (("minimax", "none"), 0.0, [0.5j, -0.5j]),
        (("wasserstein", "none"), 0.0, [1j, -1j]),
        (("nonsaturating", "r1"), 0.6, [-0.3 + 0.4j, -0.3 - 0.4j]),
        (("nonsaturating", "r2"), 0.6, [-0.3 + 0.4j, -0.3 - 0.4j]),
        (("nonsaturating", "r1"), 2.5, [-0.1043560763, -2.3956439237]),
        (("nonsaturating", "instance_noise"), 1.2, [-0.36 + 0.3469870315j, -0.36 - 0.3469870315j]),
        (("nonsaturating", "consensus"), 0.4, [-0.1 + 0.5j, -0.1 - 0.5j]),
        (("nonsaturating", "squared_gradient"), 0.8, [-0.2 + 0.4582575695j, -0.2 - 0.4582575695j]),
    ],
)
def test_dirac_gan_spectra(kind, weight, expected):
    # rejects: penalties with or without a 1/2 that is not theirs, the sign of f'(0)
    game = gd.games.dirac_gan(*kind, weight)
    values = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state()).eigenvalues.values
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(expected), rtol=0, atol=1e-9)


def test_r1_with_two_time_scales():
    # games.md b.2: -tau g/2 +- sqrt(tau^2 g^2/4 - tau f'(0)^2)
    tau, g = 4.0, 0.3
    game = gd.games.dirac_gan("nonsaturating", "r1", g)
    lin = gd.spectrum.linearise(gd.flows.gradient(game, rates={"D": tau}), game.equilibrium_state())
    root = np.emath.sqrt(tau**2 * g**2 / 4 - tau / 4)
    np.testing.assert_allclose(lin.eigenvalues.values, [-tau * g / 2 + root, -tau * g / 2 - root], atol=1e-14)


class TestEquilibrium:
    def test_dirac_with_r1(self):
        game = gd.games.dirac_gan("nonsaturating", "r1", 1.0)
        found = gd.spectrum.find_equilibrium(gd.flows.gradient(game), game.state())
        assert found.status == "converged"
        assert found.norm <= 1e-12
        assert float(found.state.y.norm()) < 1e-11
        assert found.norms[0] > 0.1

    @pytest.mark.parametrize("loss", ["nonsaturating", "least_squares"])
    def test_it_ends_as_newtons_method(self, loss):
        # rejects: a pseudo-time step that stops growing, with which the norm falls by a constant factor
        game = gd.games.dirac_gan(loss, "r1", 0.6)
        start = torch.tensor([0.5, 0.4], dtype=DOUBLE)
        found = gd.spectrum.find_equilibrium(gd.flows.gradient(game), start, tol=1e-14)
        falls = [(a, b) for a, b in zip(found.norms, found.norms[1:], strict=False) if a < 0.05]
        assert len(falls) >= 2
        assert all(b <= 20 * a**2 + 1e-15 for a, b in falls)
        assert found.iterations <= 12

    def test_failure_is_reported(self):
        # a field without a zero: |v| >= 1
        game = gd.games.bilinear()
        flow = gd.flows.custom(lambda t, s, _: {"x": 1 + s["x"] ** 2, "y": -s["y"]}, like=game)
        with pytest.raises(gd.SolveError, match=r"not \de-12") as caught:
            gd.spectrum.find_equilibrium(flow, game.state(), max_iterations=15)
        assert caught.value.run.status == "stalled"
        assert caught.value.run.norm >= 1
        again = gd.spectrum.find_equilibrium(flow, game.state(), max_iterations=15, throw=False)
        assert again.status == "stalled"
        assert again.norm == min(again.norms)

    def test_newton_by_gmres_where_the_matrix_is_not_formed(self, monkeypatch, digits):
        from gamedyn.spectrum import equilibrium

        monkeypatch.setattr(equilibrium, "FORMED_UP_TO", 0)
        game = gd.games.affine_quadratic_gan(digits[:200], q=2)
        flow, at = gd.flows.gradient(game), game.equilibrium_state()
        start = at.with_y(at.y + 1e-2)
        found = gd.spectrum.find_equilibrium(flow, start, delta=100.0)
        torch.testing.assert_close(found.state.y, at.y, rtol=0, atol=1e-9)


def test_a_warning_of_the_theory_points_at_the_caller():
    # rejects: a line of gamedyn.spectrum; J has the eigenvalues -0.01 +- i, in the unstable band of bdf4
    flow = gd.flows.gradient(gd.games.quadratic([[0.01, 1.0], [-1.0, 0.01]]))
    with pytest.warns(gd.stability.StabilityWarning) as caught:
        gd.spectrum.stable_steps("bdf4", gd.spectrum.linearise(flow, flow.initial_state()))
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("norm", [torch.nn.BatchNorm1d, torch.nn.LayerNorm])
def test_a_users_penalty_through_a_norm(norm, rng):
    # rejects: PyTorch's fused norms where the loss differentiates them (the Jacobian was 47 % and 16 % off)
    def linear(n_in, n_out):
        layer = torch.nn.Linear(n_in, n_out).double()
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.as_tensor(rng.standard_normal(p.shape)))
        return layer

    D = torch.nn.Sequential(linear(2, 5), norm(5).double(), torch.nn.Tanh(), linear(5, 1))
    softplus = torch.nn.functional.softplus

    def losses(G, D, batch):
        x, z = batch
        fake, x = D(G(z)), x.clone().requires_grad_()
        real = D(x)
        (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
        penalty = slope.square().sum(1).mean()
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-real).mean() + penalty}

    flow = gd.flows.gradient(gd.Game({"G": linear(3, 2), "D": D}, losses))
    batch = tuple(torch.as_tensor(rng.standard_normal((16, n))) for n in (2, 3))
    state, field = flow.initial_state(), flow.field(batch)
    y = state.y
    steps = 1e-5 * torch.eye(len(y), dtype=torch.float64)
    columns = [(field.peek(0.0, y + e) - field.peek(0.0, y - e)) / 2e-5 for e in steps]
    expected = torch.stack(columns, 1)
    for made in (flow.at(state, batch).jacobian().to_dense(), field.linearise(0.0, y).to_dense()):
        assert float((made - expected).abs().max()) < 1e-6 * float(expected.abs().max())
