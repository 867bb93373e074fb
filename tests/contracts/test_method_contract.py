"""What every discovered method must satisfy; a new member is tested without a new test.

Orders are proved anew from the coefficients, and every step is taken by code of this file alone.
"""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import expm

from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import GamedynError
from gamedyn.methods import (
    AdditiveRungeKutta,
    ExponentialRosenbrock,
    LinearlyImplicit,
    LinearMultistep,
    Lookahead,
    Partitioned,
    PredictorCorrector,
    RungeKutta,
    alternating,
    forest_ruth,
    get,
    maps,
    members,
    ruth3,
    strang,
)
from gamedyn.stability import (
    BlockJacobian,
    amplification,
    imaginary_limit,
    order,
    real_limit,
    spectral_radius,
    step_matrix,
)
from gamedyn.stability.properties import rooted_trees
from gamedyn.stability.properties.orders import density

ALL = members()


def of(*families):
    return [n for n, m in ALL.items() if isinstance(m, families)]


RK, LMM, TURNS = of(RungeKutta), of(LinearMultistep), of(Partitioned)
ROSENBROCK = [n for n in of(LinearlyImplicit) if ALL[n].part == "full"]
FAMILIES = (
    RungeKutta,
    LinearMultistep,
    PredictorCorrector,
    Partitioned,
    AdditiveRungeKutta,
    LinearlyImplicit,
    ExponentialRosenbrock,
    Lookahead,
)
RNG = np.random.default_rng(20240607)
POINTS = RNG.uniform(-4, 1, 40) + 1j * RNG.uniform(-4, 4, 40)


# --- discovery and data


def test_members_are_found():
    assert {"euler", "rk4", "ab2", "optimistic", "alternating", "cgd", "exprb32"} <= set(ALL)
    assert all(of(family) for family in FAMILIES)
    assert set(of(*FAMILIES)) == set(ALL)


def test_names_and_aliases_are_unique():
    everything = {**ALL, **maps()}
    labels = [label for m in everything.values() for label in (m.name, *m.aliases)]
    assert len(labels) == len(set(labels))
    for name, method in everything.items():
        assert method.name == name == name.lower()
        assert all(get(label) is method for label in (name, *method.aliases))


def test_registry_refuses_a_second_owner_of_a_name():
    """Rejects: a member that takes another's alias."""
    registry = Registry("gamedyn.methods", RungeKutta, "method")
    found, aliases = {}, {}
    registry._add(found, aliases, get("rk4"), "here")
    thief = RungeKutta(A=[[]], b=[1], name="other", aliases=("rk4",))
    with pytest.raises(GamedynError, match="'rk4' is empty or taken"):
        registry._add(found, aliases, thief, "here")


@pytest.mark.parametrize("name", ALL)
def test_source_and_declaration_are_given(name):
    method = ALL[name]
    assert len(method.source) > 8
    assert method.source != "user"
    assert method.declared is not None
    assert method.digits is None or method.digits >= 12


@pytest.mark.parametrize("name", maps())
def test_maps_declare_nothing_but_their_source(name):
    method = maps()[name]
    assert (method.order, method.declared) == (None, None)
    assert len(method.source) > 8


@pytest.mark.parametrize("name", [*ALL, *maps()])
def test_methods_are_immutable(name):
    for attribute in ("name", "declared", "b", "alpha", "sweeps", "new"):
        with pytest.raises(AttributeError, match="a method is data"):
            setattr(get(name), attribute, 0)


@pytest.mark.parametrize("name", RK)
def test_nodes_are_row_sums(name):
    """Rejects: the second node of torchdiffeq's gl4, a copy of the first; a clock left out."""
    method = ALL[name]
    assert all(c * method.time_scale == sum(row) for c, row in zip(method.c, method.A, strict=True))
    assert len(method.c) == method.stages == len(method.A) == len(method.b)


# --- orders: trees, evaluated here


def numbers(digits):
    """Fractions where coefficients are exact, else Decimals, which are faster; and what counts as zero."""
    if digits is None:
        return (lambda x: x), Fraction(1), Fraction(0)
    return (lambda x: Decimal(x.numerator) / Decimal(x.denominator)), Decimal(1), Decimal(10) ** (2 - digits)


def stage_weights(tree, tables, one, known):
    """Phi(t): the product over the children u of A^(colour of u) Phi(u)."""
    if tree not in known:
        out = np.array([one] * len(tables[0]), dtype=object)
        for child in tree[1]:
            out = out * (tables[child[0]] @ stage_weights(child, tables, one, known))
        known[tree] = out
    return known[tree]


def broken(tables, weights, n, digits, keep=lambda tree: True):
    """Whether some condition of order n fails: one table and one row of weights per colour."""
    with localcontext() as context:
        context.prec = 70
        number, one, zero = numbers(digits)
        A = [np.array([[number(Fraction(a)) for a in row] for row in table], dtype=object) for table in tables]
        b = [np.array([number(Fraction(w)) for w in row], dtype=object) for row in weights]
        known = {}
        residuals = [
            b[tree[0]] @ stage_weights(tree, A, one, known) - one / density(tree)
            for tree in rooted_trees(n, len(A))
            if keep(tree)
        ]
        return any(abs(r) > zero for r in residuals)


def assert_order(p, tables, weights, digits, keep=lambda tree: True):
    assert not any(broken(tables, weights, n, digits, keep) for n in range(1, p + 1))
    assert broken(tables, weights, p + 1, digits, keep)


def on_clock(method, weights):
    s = method.time_scale
    return [[[a / s for a in row] for row in method.A]], [[w / s for w in weights]]


@pytest.mark.parametrize("name", RK)
def test_order_holds_and_the_next_fails(name):
    """Rejects: an order declared one too high or too low, a slip of 10^(3 - digits), a clock left out."""
    method = ALL[name]
    assert_order(method.order, *on_clock(method, method.b), method.digits)


@pytest.mark.parametrize("name", [n for n in RK if ALL[n].b_hat is not None])
def test_embedded_order_holds_and_the_next_fails(name):
    """Rejects: weights and embedded weights exchanged (torchdiffeq's tsit5)."""
    method = ALL[name]
    assert method.embedded_order != method.order
    assert_order(method.embedded_order, *on_clock(method, method.b_hat), method.digits)


def test_embedded_order_of_heun2():
    assert get("heun2").embedded_order == 1


def separable(tree):
    return all(child[0] != tree[0] and separable(child) for child in tree[1])


def moves(method, n):
    """(place, length, repetitions): sweeps written out, neighbours of one player joined."""
    out = []
    for sweep in method.sweeps:
        lengths = sweep.lengths if isinstance(sweep.lengths, tuple) else (sweep.lengths,) * n
        for place in range(n)[::-1] if sweep.backward else range(n):
            if not lengths[place]:
                continue
            if out and out[-1][0] == place:
                out[-1] = (place, out[-1][1] + Fraction(lengths[place]))
            else:
                out.append((place, Fraction(lengths[place])))
    counts = method.cycles or (1,) * n
    return [(place, length / counts[place], counts[place]) for place, length in out]


def coloured(method, n):
    """A table and a row of weights for each of n players."""
    rows, players, done = [], [], []
    for place, length, count in moves(method, n):
        for _ in range(count):
            rows += [[*done, *(length * a for a in row)] for row in method.substep.A]
            players += [place] * method.substep.stages
            done = [*done, *(length * b for b in method.substep.b)]
    rows = [row + [Fraction(0)] * (len(done) - len(row)) for row in rows]

    def own(row, i):
        return [a if p == i else Fraction(0) for a, p in zip(row, players, strict=True)]

    return [[own(row, i) for row in rows] for i in range(n)], [own(done, i) for i in range(n)]


@pytest.mark.parametrize("name", TURNS)
def test_partitioned_orders_by_coloured_trees(name):
    """Rejects: neighbouring moves of one player left apart, the order of separable games taken for that of all."""
    method = ALL[name]
    tables, weights = coloured(method, 2)
    assert_order(method.order_separable, tables, weights, method.digits, separable)
    assert_order(method.order_general, tables, weights, method.digits)
    assert method.order == method.order_general <= method.order_separable


@pytest.mark.parametrize("name", TURNS)
def test_partitioned_orders_hold_for_three_players(name):
    """Two players' moves 7/24, 2/3, 3/4, ... make no method of order 3 for three; sweeps and adjoints do."""
    method = ALL[name]
    tables, weights = coloured(method, 3)
    for n in range(1, min(3, method.order_separable) + 1):
        assert not broken(tables, weights, n, method.digits, separable)
        assert n > method.order_general or not broken(tables, weights, n, method.digits)


@pytest.mark.parametrize("name", of(AdditiveRungeKutta))
def test_additive_order_by_coloured_trees(name):
    """Rejects: placements "inside stage one" and "after the step" called order 4."""
    method = ALL[name]
    tables, weights = [method.A[p] for p in method.parts], [method.b[p] for p in method.parts]
    assert_order(method.order, tables, weights, method.digits)


@pytest.mark.parametrize("name", ROSENBROCK)
def test_rosenbrock_order_by_trees(name):
    """HW II, theorem IV.7.4: A + gamma where a vertex has one child, A elsewhere. Rejects: gamma left out."""
    method = ALL[name]
    both = [[a + g for a, g in zip(r, s, strict=True)] for r, s in zip(method.A, method.gamma, strict=True)]

    def mixed(tree):  # colour 0 is multiplied by A, colour 1 by A + gamma: that of the child of a single parent
        return 0, tuple((len(tree[1]) == 1, mixed(child)[1]) for child in tree[1])

    def breaks(weights, n):
        with localcontext() as context:
            context.prec = 70
            number, one, zero = numbers(method.digits)
            A = [np.array([[number(a) for a in row] for row in table], dtype=object) for table in (method.A, both)]
            b, known = np.array([number(w) for w in weights], dtype=object), {}
            gaps = [b @ stage_weights(mixed(t), A, one, known) - one / density(t) for t in rooted_trees(n)]
            return any(abs(gap) > zero for gap in gaps)

    for weights, p in ((method.b, method.order), (method.b_hat, method.embedded_order)):
        if weights is not None:
            assert not any(breaks(weights, n) for n in range(1, p + 1))
            assert breaks(weights, p + 1)


@pytest.mark.parametrize("name", of(ExponentialRosenbrock))
def test_exponential_order_by_the_stiff_conditions(name):
    """sum_i b_i(z) c_i^q = q! phi_{q+1}(z) for q = 2, ..., p - 1, at complex z, and not for q = p."""
    method = ALL[name]

    def phi(k, z):
        return np.exp(z) if k == 0 else (phi(k - 1, z) - 1 / math.factorial(k - 1)) / z

    def gap(q, z):
        left = sum(
            float(c) ** q * sum(float(x) * phi(k, z) for k, x in w) for c, w in zip(method.c, method.b, strict=True)
        )
        return abs(left - math.factorial(q) * phi(q + 1, z))

    for z in (0.8 - 1.1j, -2.0, 3j):
        assert all(gap(q, z) < 1e-13 for q in range(2, method.order))
        assert gap(method.order, z) > 1e-3


@pytest.mark.parametrize("name", LMM)
def test_multistep_is_exact_on_polynomials_up_to_its_order(name):
    """Exact on (t - k)^q iff q <= order. Rejects: an origin-dependent or off-by-one C_q."""
    method = ALL[name]
    k, s = method.steps, method.time_scale

    def defect(q):
        t = [s * (j - k) for j in range(k + 1)]
        slopes = [q * x ** (q - 1) if q else 0 for x in t]
        return sum(a * x**q for a, x in zip(method.alpha, t, strict=True)) - sum(
            b * v for b, v in zip(method.beta, slopes, strict=True)
        )

    zero = 0 if method.digits is None else Fraction(10) ** (2 - method.digits)
    assert all(abs(defect(q)) <= zero for q in range(method.order + 1))
    # LEAD's coupling is a term of order h^2 whatever the polynomials say
    assert abs(defect(method.order + 1)) > zero or method.coupling is not None


UNIT_ROOTS = {"leapfrog_multistep": 2}


@pytest.mark.parametrize("name", LMM)
def test_multistep_is_zero_stable(name):
    """Roots of rho in the unit disc, 1 alone on the circle (leapfrog: -1 too), all simple. Rejects: BDF7."""
    roots = np.roots([float(a) for a in reversed(ALL[name].alpha)])
    moduli, on = np.sort(np.abs(roots))[::-1], UNIT_ROOTS.get(name, 1)
    assert moduli[:on] == pytest.approx(np.ones(on), abs=1e-12)
    assert np.all(moduli[on:] < 1 - 1e-9)
    assert all(abs(r - q) > 1e-6 for i, r in enumerate(roots) for q in roots[:i] if abs(r) > 1 - 1e-9)


# --- what is declared


@pytest.mark.parametrize("name", ALL)
def test_declared_facts_are_the_computed_ones(name):
    """Rejects: a limit wrong in its last declared digit, an order of separable games declared for none."""
    method = ALL[name]
    assert getattr(method, "order_separable", method.order) == method.declared.order
    assert order(name) == method.order <= method.declared.order
    for limit, value in ((real_limit, method.declared.real), (imaginary_limit, method.declared.imaginary)):
        computed = limit(method)
        assert computed == value or computed == pytest.approx(value, rel=10.0 ** (1 - method.declared.digits), abs=0)


# --- families that see players or parts: their step, taken here


def block_step(method, game, h, Y):
    """One step of the columns Y, newest n rows first; from the data alone."""
    J, n = game.matrix, len(game.matrix)
    if isinstance(method, Lookahead):
        Z = Y
        for _ in range(method.k):
            Z = block_step(method.inner, game, h, Z)
        return Y + float(method.alpha) * (Z - Y)
    if isinstance(method, Partitioned):
        return in_turn(method, game, h, Y)
    if isinstance(method, AdditiveRungeKutta):
        return added(method, game, h, Y)
    if isinstance(method, LinearMultistep):  # LEAD: y+ = sum (-alpha y + h beta J y + h delta W y)
        old = [Y[j * n : (j + 1) * n] for j in range(method.steps)][::-1]
        new = sum(
            -float(a) * y + h * float(b) * J @ y + h * float(d) * game.cross @ y
            for a, b, d, y in zip(method.alpha[:-1], method.beta[:-1], method.coupling, old, strict=True)
        )
        return np.vstack([new, Y[:-n]])
    W = {"cross": game.cross, "sym": (J + J.T) / 2, "skew": (J - J.T) / 2}[method.part]
    k = []
    for row, linear in zip(method.A, method.gamma, strict=True):
        right = J @ (Y + h * sum((float(a) * x for a, x in zip(row, k, strict=False)), 0 * Y))
        right = right + h * W @ sum((float(g) * x for g, x in zip(linear, k, strict=False)), 0 * Y)
        k.append(np.linalg.solve(np.eye(n) - h * float(linear[len(k)]) * W, right))
    return Y + h * sum(float(w) * x for w, x in zip(method.b, k, strict=True))


def in_turn(method, game, h, Y):
    names = list(game.players)
    order_of_play = [names.index(p) if isinstance(p, str) else p for p in method.players or range(len(names))]
    Y = Y.copy()
    for place, length, count in moves(method, len(names)):
        own = game.slices[order_of_play[place]]
        for _ in range(count):
            k = []
            for row in method.substep.A:
                at = Y.copy()
                at[own] += h * float(length) * sum((float(a) * x for a, x in zip(row, k, strict=False)), 0 * Y[own])
                k.append(game.matrix[own] @ at)
            Y[own] += h * float(length) * sum(float(b) * x for b, x in zip(method.substep.b, k, strict=True))
    return Y


def added(method, game, h, Y):
    named = {p: game.parts[p] for p in method.parts if p in game.parts}
    rest = game.matrix - sum(named.values())
    parts = {p: named.get(p, rest) for p in method.parts}
    points = []
    for i in range(method.stages):
        slopes = (
            float(method.A[p][i][j]) * parts[p] @ points[j] for p in method.parts for j in range(i) if method.A[p][i][j]
        )
        points.append(Y + h * sum(slopes, 0 * Y))
    ends = (float(method.b[p][i]) * parts[p] @ points[i] for p in method.parts for i in range(method.stages))
    return Y + h * sum(ends)


CYCLED = {
    "five to one": alternating(cycles={"a": 1, "b": 5}),
    "b first, twice": alternating(("b", "a"), cycles={"a": 1, "b": 2}),
    "strang, three to one": strang(cycles={"b": 3, "a": 1}),
    "ruth3 of heun2, cycled": ruth3(cycles={"a": 2, "b": 1}, substep=get("heun2")),
    "forest_ruth": forest_ruth(("b", "a"), substep=get("midpoint")),
}
BLOCKS = {n: m for n, m in ALL.items() if not m.decouples}
GAMES = {2: ((2, 1), ("a", "b")), 3: ((2, 1, 2), ("a", "b", "c"))}


def block_game(players):
    sizes, names = GAMES[players]
    n = sum(sizes)
    J = np.random.default_rng(3).normal(size=(n, n))
    penalty = np.diag(-np.arange(1.0, n + 1) / n)
    penalty[-1, 0] = 0.7
    return BlockJacobian(J + penalty, sizes, names, parts={"game": J, "penalty": penalty})


@pytest.mark.parametrize("players", GAMES)
@pytest.mark.parametrize("name", [*BLOCKS, *CYCLED])
def test_block_matrix_is_the_step(name, players):
    """Rejects: simultaneous or reversed play, a transposed block, parts exchanged, a whole J for its cross part."""
    method, game, h = {**BLOCKS, **CYCLED}[name], block_game(players), 0.37
    if name in CYCLED and players == 3:
        method = alternating(("c", "a", "b"), cycles={"c": 2, "a": 1, "b": 4}, substep=method.substep)
    M = step_matrix(method, game, h)
    mine = block_step(method, game, h, np.eye(len(M)))
    np.testing.assert_allclose(M, mine, rtol=1e-12, atol=1e-12 * np.abs(mine).max())
    assert np.abs(M[: len(game.matrix), : len(game.matrix)] - np.eye(len(game.matrix)) - h * game.matrix).max() > 1e-3
    assert spectral_radius(method, game, h) == pytest.approx(np.abs(np.linalg.eigvals(mine)).max(), rel=1e-10)


@pytest.mark.parametrize("name", of(ExponentialRosenbrock))
def test_exponential_steps_are_the_flow(name):
    J = block_game(3).matrix
    np.testing.assert_allclose(step_matrix(ALL[name], J, 0.4), expm(0.4 * J), rtol=0, atol=1e-13)
    np.testing.assert_allclose(amplification(ALL[name], POINTS), np.exp(POINTS.real), rtol=1e-13)


@pytest.mark.parametrize("name", [n for n in ALL if ALL[n].decouples])
def test_matrices_have_the_modes_growth(name):
    """Rejects: R at J instead of h J, a companion with a wrong row."""
    J, h = block_game(2).matrix, 0.37
    radius = np.abs(np.linalg.eigvals(step_matrix(ALL[name], J, h))).max()
    assert radius == pytest.approx(amplification(name, h * np.linalg.eigvals(J)).max(), rel=1e-9)
