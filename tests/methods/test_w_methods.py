"""Linearly implicit methods: their orders without trees, with exact and with arbitrary W; competitive gradient descent.

A step on a polynomial field in 80-digit arithmetic against the Taylor series of its solution: the local error is
O(h^(p+1)), read off at steps so small that nothing else is seen.
"""

from decimal import Decimal, localcontext
from fractions import Fraction as F

import numpy as np
import pytest

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearlyImplicit, RungeKutta, get, members
from gamedyn.stability import BlockJacobian, amplification, imaginary_limit, real_limit, spectral_radius, step_matrix

W_METHODS = {n: m for n, m in members().items() if isinstance(m, LinearlyImplicit)}
FACTS = {  # order, order with any W, embedded order, stages
    "rosenbrock_euler": (1, 1, None, 1),
    "cgd": (1, 1, None, 1),
    "imex_sym": (1, 1, None, 1),
    "imex_skew": (1, 1, None, 1),
    "ros2": (2, 2, 1, 2),
    "rodas3": (3, 1, 2, 4),
    "ros34pw2": (3, 3, 2, 4),
}
SIZE = 3


class Cubic:
    """v(y) = a + L y + Q(y, y) + T(y, y, y) with random decimal coefficients."""

    def __init__(self, seed):
        draw = np.random.default_rng(seed)

        def decimals(*shape):
            values = draw.integers(-60, 60, shape)
            return np.array([Decimal(int(x)) / 64 for x in values.ravel()], dtype=object).reshape(shape)

        self.a, self.L = decimals(SIZE), decimals(SIZE, SIZE)
        self.Q, self.T = decimals(SIZE, SIZE, SIZE), decimals(SIZE, SIZE, SIZE, SIZE)
        self.W, self.y0 = decimals(SIZE, SIZE), decimals(SIZE)

    def __call__(self, y):
        return self.a + self.L @ y + (self.Q @ y) @ y + ((self.T @ y) @ y) @ y

    def jacobian(self, y):
        Q = self.Q + self.Q.transpose(0, 2, 1)
        T = self.T + self.T.transpose(0, 2, 1, 3) + self.T.transpose(0, 3, 2, 1)
        return self.L + Q @ y + (T @ y) @ y

    def taylor(self, h, terms=12):
        """y(h): coefficients by the Cauchy products of the series."""
        c = [self.y0]
        for k in range(terms):
            new = self.L @ c[k] + (self.a if k == 0 else 0)
            new = new + sum((self.Q @ c[j]) @ c[i] for i in range(k + 1) for j in [k - i])
            new = new + sum(((self.T @ c[k - i - j]) @ c[j]) @ c[i] for i in range(k + 1) for j in range(k + 1 - i))
            c.append(new / (k + 1))
        return sum(x * h**k for k, x in enumerate(c))


def decimal(x):
    return Decimal(x.numerator) / Decimal(x.denominator)


def solved(M, b):
    """Gaussian elimination with Decimals."""
    M, b = M.copy(), b.copy()
    n = len(b)
    for i in range(n):
        p = max(range(i, n), key=lambda r: abs(M[r, i]))
        M[[i, p]], b[[i, p]] = M[[p, i]], b[[p, i]]
        for r in range(i + 1, n):
            factor = M[r, i] / M[i, i]
            M[r], b[r] = M[r] - factor * M[i], b[r] - factor * b[i]
    for i in range(n - 1, -1, -1):
        b[i] = (b[i] - sum(M[i, j] * b[j] for j in range(i + 1, n))) / M[i, i]
    return b


def step(method, weights, field, W, h):
    eye, k = np.array(np.eye(SIZE, dtype=int), dtype=object), []
    for row, linear in zip(method.A, method.gamma, strict=True):
        point = field.y0 + h * sum((decimal(a) * x for a, x in zip(row, k, strict=False)), 0 * field.y0)
        right = field(point) + h * W @ sum((decimal(g) * x for g, x in zip(linear, k, strict=False)), 0 * field.y0)
        k.append(solved(eye - h * decimal(linear[len(k)]) * W, right))
    return field.y0 + h * sum(decimal(w) * x for w, x in zip(weights, k, strict=True))


def local_order(method, weights, exact, seed=4):
    """p from the errors of steps of 1/400 and 1/800: the digits of the coefficients bound how small they may be."""
    with localcontext() as context:
        context.prec = 80
        field = Cubic(seed)
        W = field.jacobian(field.y0) if exact else field.W
        errors = [max(map(abs, step(method, weights, field, W, h) - field.taylor(h))) for h in STEPS]
        return float((errors[0] / errors[1]).ln() / Decimal(2).ln()) - 1


STEPS = Decimal(1) / 400, Decimal(1) / 800


@pytest.mark.parametrize("name", W_METHODS)
def test_orders_without_trees(name):
    """Rejects: Rosenbrock's conditions taken for those of any W (rodas3), a gamma off the diagonal left out."""
    method = W_METHODS[name]
    order, w_order, embedded, stages = FACTS[name]
    assert (method.w_order, method.embedded_order, method.stages) == (w_order, embedded, stages)
    assert method.order == (order if method.part == "full" else w_order)
    assert local_order(method, method.b, exact=True) == pytest.approx(order, abs=0.1)
    assert local_order(method, method.b, exact=False) == pytest.approx(w_order, abs=0.1)
    if embedded is not None:
        assert local_order(method, method.b_hat, exact=True) == pytest.approx(embedded, abs=0.1)


def test_members_are_all_here():
    assert set(FACTS) == set(W_METHODS)


def slipped(values, place):
    return [v + F(1, 1000) * (j == place) for j, v in enumerate(values)]


@pytest.mark.parametrize("name", ["ros2", "rodas3", "ros34pw2"])
def test_every_slip_is_rejected(name):
    """One coefficient off by 1/1000: an order falls, or L-stability is lost."""
    method = W_METHODS[name]

    def facts(m):
        growth = round(float(amplification(m, -1e9)), 6)
        return m.order, m.w_order, m.embedded_order, growth

    for i in range(method.stages):
        with pytest.raises(ArgumentError, match="weights that add up to 1"):
            LinearlyImplicit(method.A, method.gamma, slipped(method.b, i), digits=method.digits)
        for j in range(i + 1):
            gamma = [slipped(row, j) if r == i else row for r, row in enumerate(method.gamma)]
            mutants = [LinearlyImplicit(method.A, gamma, method.b, method.b_hat, digits=method.digits)]
            if j < i:
                A = [slipped(row, j) if r == i else row for r, row in enumerate(method.A)]
                mutants.append(LinearlyImplicit(A, method.gamma, method.b, method.b_hat, digits=method.digits))
            assert all(facts(m) != facts(method) for m in mutants)


@pytest.mark.parametrize("name", ["rosenbrock_euler", "ros2", "rodas3", "ros34pw2"])
def test_full_members_are_l_stable(name):
    assert (real_limit(name), imaginary_limit(name)) == (np.inf, np.inf)
    assert amplification(name, -1e8) < 1e-7
    y = np.geomspace(1e-2, 1e4, 300)
    assert np.all(amplification(name, 1j * y) <= 1 + 1e-13)


def test_ros2_gamma():
    """R(z) = (1 + (1 - 2 gamma) z + (gamma^2 - 2 gamma + 1/2) z^2) / (1 - gamma z)^2, 0 before z^2."""
    g = W_METHODS["ros2"].gamma[0][0]
    assert abs(g**2 - 2 * g + F(1, 2)) < F(1, 10**45)
    assert g > 1
    R, z = (lambda z: (1 + (1 - 2 * float(g)) * z) / (1 - float(g) * z) ** 2), np.array([-0.7 + 2j, -5.0, 3j])
    np.testing.assert_allclose(amplification("ros2", z), np.abs(R(z)), rtol=1e-13)


GAME = BlockJacobian(np.array([[-0.4, 0.1, -1.2], [0.1, -0.7, 0.8], [0.9, -0.5, -0.3]]), (2, 1), ("G", "D"))
EYE = np.eye(3)


@pytest.mark.parametrize("h", [0.1, 1.3])
def test_one_stage_members_are_one_solve(h):
    """numerics.md section 7: CGD is h (I - h W)^-1 v, W the cross-player blocks; IMEX with W = sym J or skew J."""
    J = GAME.matrix
    parts = {"rosenbrock_euler": J, "cgd": GAME.cross, "imex_sym": (J + J.T) / 2, "imex_skew": (J - J.T) / 2}
    for name, W in parts.items():
        hand = EYE + h * np.linalg.inv(EYE - h * W) @ J
        np.testing.assert_allclose(step_matrix(name, GAME, h), hand, rtol=0, atol=1e-14)


def test_cgd_is_the_equilibrium_of_the_local_bilinear_game():
    """Schaefer, Anandkumar: x = -h (grad_x f + D_xy^2 f y) and y likewise, solved together. Rejects: W for W^T."""
    h, J = 0.4, GAME.matrix
    v = J @ np.array([0.7, -0.4, 1.1])
    x, y = np.zeros(2), np.zeros(1)
    for _ in range(400):  # best responses, a contraction for this h
        x, y = h * (v[:2] + J[:2, 2:] @ y), h * (v[2:] + J[2:, :2] @ x)
    moved = np.linalg.solve(EYE - h * GAME.cross, h * v)
    np.testing.assert_allclose(np.concatenate([x, y]), moved, rtol=0, atol=1e-14)


@pytest.mark.parametrize("h", [0.3, 1.0, 7.0])
def test_cgd_on_the_rotation_is_implicit_euler(h):
    """games.md b.3: [[1, -h], [h, 1]] / (1 + h^2), rho = 1/sqrt(1 + h^2)."""
    rotation = BlockJacobian(np.array([[0.0, -1.0], [1.0, 0.0]]), (1, 1))
    hand = np.array([[1, -h], [h, 1]]) / (1 + h * h)
    for name in ("cgd", "implicit_euler", "imex_skew", "rosenbrock_euler"):
        np.testing.assert_allclose(step_matrix(name, rotation, h), hand, rtol=0, atol=1e-14)
        assert spectral_radius(name, rotation, h) == pytest.approx(1 / np.sqrt(1 + h * h), rel=1e-13)
    assert spectral_radius("imex_sym", rotation, h) == pytest.approx(np.sqrt(1 + h * h), rel=1e-13)  # Euler


def test_parts_are_treated_by_those_whose_name_they_bear():
    """Stiffness: imex_sym has no real limit, imex_skew and cgd Euler's; own blocks are explicit in cgd."""
    stiff = BlockJacobian(np.diag([-100.0, -1.0]), (1, 1))
    for name, limit in (("imex_sym", np.inf), ("imex_skew", 0.02), ("cgd", 0.02)):
        assert spectral_radius(name, stiff, min(limit * 0.99, 50.0)) < 1
        assert limit == np.inf or spectral_radius(name, stiff, limit * 1.01) > 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearlyImplicit([[1]], [[1]], [1]), "A: expected a strictly lower triangular table"),
        (lambda: LinearlyImplicit([[], [1]], [[1, 1], [0, 1]], ["1/2", "1/2"]), "gamma: expected a lower triangular"),
        (lambda: LinearlyImplicit([[]], [[1]], [1], part="own"), "part"),
        (lambda: LinearlyImplicit([[]], [[1]], ["1/2"]), "b: expected weights that add up to 1, got a sum of 0.5"),
        (lambda: LinearlyImplicit([[]], [[1]], [1], [1, 0]), "b_hat: expected 1 entries, as b has, got 2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_rosenbrock_method_without_gamma_is_its_explicit_tableau():
    rk4 = get("rk4")
    explicit = LinearlyImplicit(rk4.A, [[0]] * 4, rk4.b)
    assert explicit.order == explicit.w_order == 4
    z = np.array([-0.4 + 0.3j, 1.2j])
    np.testing.assert_allclose(amplification(explicit, z), amplification(RungeKutta(rk4.A, rk4.b), z), rtol=1e-13)
