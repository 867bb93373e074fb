"""Explicit Runge-Kutta data: orders by trees, limits against the literature, programs against tableaus."""

import math
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import DOP853 as SCIPY_DOP853
from scipy.integrate import RK23, RK45

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import RungeKutta, game
from gamedyn.methods import embedded as pairs
from gamedyn.methods import explicit as ex
from gamedyn.methods import low_storage as low
from gamedyn.methods import strong_stability as ssp
from gamedyn.methods.low_storage import LowStorage
from gamedyn.stability import imaginary_limit, real_limit, stability_function

# method, order, embedded order, stages
ORDERS = [
    (ex.HEUN3, 3, None, 3),
    (ex.RALSTON3, 3, None, 3),
    (ex.MERSON43, 4, 3, 5),
    (ex.KG64, 4, None, 6),
    (ssp.SSP33, 3, None, 3),
    (ssp.SSP43, 3, None, 4),
    (ssp.SSP54, 4, None, 5),
    (ssp.SSP104, 4, None, 10),
    (pairs.BOSH3, 3, 2, 4),
    (pairs.BOGACKI_SHAMPINE5, 5, 4, 8),
    (pairs.DOPRI5, 5, 4, 7),
    (pairs.TSIT5, 5, 4, 7),
    (pairs.DOP853, 8, 5, 12),
    (low.CK54, 4, None, 5),
    (low.NDB124, 4, None, 12),
    (low.KCL43, 3, 2, 4),
    (low.KCL54, 4, 3, 5),
    (low.RDPK35, 3, 2, 5),
    (low.KG32, 2, None, 3),
    (low.KG52, 2, None, 5),
    (low.KG72, 2, None, 7),
    (game.LOOKAHEAD5, 1, None, 5),
]
NEW = [row[0] for row in ORDERS]

# method, real, imaginary, as the reference prints them; "" where it has none
LIMITS = [
    (ex.HEUN3, "2.5127453266", "1.7320508076"),
    (ex.RALSTON3, "2.5127453266", "1.7320508076"),
    (ex.MERSON43, "3.5483223442", "3.4641016151"),
    (ex.KG64, "", "4.8989795"),
    (ssp.SSP33, "2.5127453266", "1.7320508076"),
    (ssp.SSP43, "5.1494861478", "2.1561796402"),
    (ssp.SSP54, "5.3314726", "3.2783556"),
    (ssp.SSP104, "13.917047465", "4.9214530707"),
    (pairs.BOSH3, "2.5127453266", "1.7320508076"),
    (pairs.DOPRI5, "3.3065678926", "0.9971890086"),
    (pairs.TSIT5, "3.5068469938", "0.477978869"),
    (pairs.DOP853, "6.39365152", "5.96035981"),
    (low.CK54, "4.6567571", "3.340718"),
    (low.NDB124, "4.0465", "10.953794"),
    (low.KCL43, "2.7852936", "2.8284271"),
    (low.KCL54, "4.816957", "3.3239301"),
    (low.RDPK35, "4.92828", "2.73934"),
    (low.KG32, "2.0000000000", "2.0000000000"),
    (low.KG52, "2.5911955", "4.0000000000"),
    (low.KG72, "3.0000000000", "6.0000000000"),
    (game.LOOKAHEAD5, "2.2457309", "0.7425797524"),
]
names = {"ids": lambda m: m.name if isinstance(m, RungeKutta) else ""}


def last_digit(text):
    return 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize(("method", "order", "embedded", "stages"), ORDERS, **names)
def test_orders_by_trees(method, order, embedded, stages):
    # rejects: a wrong digit anywhere (see the slips below), weights and embedded weights exchanged
    assert (method.order, method.embedded_order, method.stages) == (order, embedded, stages)
    assert method.declared.order == order
    assert method.explicit


@pytest.mark.parametrize(("method", "real", "imaginary"), LIMITS, **names)
def test_limits_are_those_of_the_reference(method, real, imaginary):
    # rejects: another member of the same order (rk4 for merson43, dopri5 for tsit5); the reference cuts digits
    # off, so one unit of its last digit
    for limit, text in ((real_limit, real), (imaginary_limit, imaginary)):
        if text:
            assert limit(method) == pytest.approx(float(text), rel=0, abs=last_digit(text))


@pytest.mark.parametrize("method", NEW, **names)
def test_declared_limits_are_right_to_their_digits(method):
    # rejects: more digits declared than known; half a unit of the last digit, and 1e-6 of it for its own rounding
    declared = method.declared
    for limit, value in ((real_limit, declared.real), (imaginary_limit, declared.imaginary)):
        unit = 10.0 ** (math.floor(math.log10(value)) + 1 - declared.digits)
        assert limit(method) == pytest.approx(value, rel=0, abs=0.500001 * unit)


def test_embedded_weights_have_their_own_limits():
    # rejects: torchdiffeq's tsit5, which advances with these weights; its dopri5 takes Shampine's embedded weights
    # (the reference's 3.8106475), whose estimate is 2/3 of Dormand and Prince's (4.3849863, computed apart)
    shampine = ["1951/21600", 0, "22642/50085", "451/720", "-12231/42400", "649/6300", "1/60"]
    dopri5, tsit5 = pairs.DOPRI5, pairs.TSIT5
    for A, weights, real in (
        (dopri5.A, shampine, 3.8106475),
        (dopri5.A, dopri5.b_hat, 4.3849863),
        (tsit5.A, tsit5.b_hat, 4.0560361),
    ):
        other = RungeKutta(A, weights)
        assert real_limit(other) == pytest.approx(real, abs=1e-7)
        assert imaginary_limit(other) == 0
    ours = [b - x for b, x in zip(dopri5.b, dopri5.b_hat, strict=True)]
    assert [F(3, 2) * (b - F(x)) for b, x in zip(dopri5.b, shampine, strict=True)] == ours
    limits = {pairs.DOPRI5: 1.3350, pairs.TSIT5: 1.2899, pairs.DOP853: 5.9609, ssp.SSP104: 4.9219}
    for method, figure in limits.items():
        assert imaginary_limit(method, tolerance=1e-3) == pytest.approx(figure, abs=1e-4)


@pytest.mark.parametrize(
    ("method", "beyond"),
    [
        (ex.MERSON43, ["1/144"]),
        (ex.KG64, ["1/180", "1/1080"]),
        (ssp.SSP43, ["1/48"]),
        (pairs.DOPRI5, ["1/600"]),
        (low.KG32, ["1/4"]),
        (low.KG52, ["3/16", "1/32", "1/128"]),
        (low.KG72, ["19/108", "1/27", "2/243", "1/1458", "1/8748"]),
    ],
    **names,
)
def test_polynomials_beyond_the_order(method, beyond):
    # rejects: any other method of the same order and stages
    R = stability_function(method)
    p = method.order
    assert R.numerator[: p + 1] == tuple(F(1, math.factorial(k)) for k in range(p + 1))
    assert R.numerator[p + 1 :] == tuple(F(c) for c in beyond)


def test_polynomials_of_decimal_members():
    # rejects: the embedded weights of tsit5 as its weights; figures to their last printed digit
    assert float(stability_function(ssp.SSP54).numerator[5]) == pytest.approx(0.0044777183, abs=5e-11)
    assert stability_function(ssp.SSP104).numerator[5] == F(17, 2160)
    assert float(stability_function(pairs.TSIT5).numerator[6]) == pytest.approx(0.00143221132481, abs=5e-15)
    hat = stability_function(RungeKutta(pairs.TSIT5.A, pairs.TSIT5.b_hat)).numerator[5:]
    np.testing.assert_allclose([float(c) for c in hat], [0.00875980970, 0.00127625801, 2.17e-5], rtol=0, atol=5e-8)


def slipped(values, place):
    return [v + F(1, 1000) * (j == place) for j, v in enumerate(values)]


@pytest.mark.parametrize("method", [m for m in NEW if m.order > 2 and not isinstance(m, LowStorage)], **names)
def test_every_slip_of_a_tableau_lowers_the_order(method):
    # rejects: one coefficient off by 1/1000, whatever it is
    for i in range(method.stages):
        assert RungeKutta(method.A, slipped(method.b, i), digits=method.digits).order < method.order
        if method.b_hat:
            hat = RungeKutta(method.A, method.b, slipped(method.b_hat, i), digits=method.digits)
            assert hat.embedded_order < method.embedded_order
        for j in range(i):
            A = [slipped(row, j) if r == i else row for r, row in enumerate(method.A)]
            mutant = RungeKutta(A, method.b, method.b_hat, digits=method.digits)
            orders = (mutant.order, mutant.embedded_order)
            assert orders != (method.order, method.embedded_order)


def test_tsit5_with_the_wrong_weights_has_order_4():
    wrong = RungeKutta(pairs.TSIT5.A, pairs.TSIT5.b_hat, pairs.TSIT5.b, digits=38)
    assert wrong.b[-1] == F(1, 66)
    assert (wrong.order, wrong.embedded_order) == (4, 5)
    assert (pairs.TSIT5.order, pairs.TSIT5.fsal, wrong.fsal) == (5, True, False)


def test_published_nodes_follow_from_the_coefficients():
    # rejects: a slip in A that the order conditions to declared digits would forgive
    def close(method, nodes, digits):
        for c, published in zip(method.c, nodes, strict=True):
            assert abs(c - F(published)) < F(10) ** -digits

    close(pairs.TSIT5, ["0", "0.161", "0.327", "0.9", "0.9800255409045096857298102862870245954942", "1", "1"], 38)
    nodes = "0.0526001519587677318785587544488 0.0789002279381515978178381316732 0.118350341907227396726757197510"
    nodes += " 0.281649658092772603273242802490 1/3 1/4 4/13"
    nodes += " 0.651282051282051282051282051282 3/5 6/7 1"
    close(pairs.DOP853, ["0", *nodes.split()], 28)
    nodes = "1432997174477/9575080441755 2526269341429/6820363962896 2006345519317/3224310063776"
    close(low.CK54, ["0", *nodes.split(), "2802321613138/2924317926251"], 25)
    nodes = "0 0.0650008435125904 0.0796560563081853 0.1620416710085376 0.2248877362907778 0.2952293985641261"
    nodes += " 0.3318332506149405 0.4094724050198658 0.6356954475753369 0.6806551557645497 0.7143773712418350"
    close(low.NDB124, [*nodes.split(), "0.9032588871651854"], 15)
    nodes = "0 .2300285062878154351930669430512780706 .4050049049262914975700372321130661410"
    nodes += " .8947823877926760224705450466361360720 .7235108137218888081489570284485201518"
    close(low.RDPK35, nodes.split(), 36)


@pytest.mark.parametrize(
    ("method", "theirs", "error"),
    [(pairs.BOSH3, RK23, RK23.E), (pairs.DOPRI5, RK45, RK45.E), (pairs.DOP853, SCIPY_DOP853, SCIPY_DOP853.E5)],
)
def test_scipy_has_the_same_tableaus(method, theirs, error):
    # rejects: a slip common to our reading of A and b; coefficients up to 44, in double precision
    s = theirs.n_stages
    A, b = np.array(method.A, dtype=float), np.array(method.b, dtype=float)
    b_hat = np.array(method.b_hat, dtype=float)
    width = theirs.A.shape[1] if theirs.A.shape[0] == s else s
    np.testing.assert_allclose(A[:s, :width], theirs.A[:s, :width], rtol=0, atol=1e-14)
    assert not A[:s, width:].any()
    np.testing.assert_allclose(b[:s], theirs.B, rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.abs(b - b_hat), np.abs(error[: len(b)]), rtol=0, atol=1e-14)


def test_ssp54_is_the_published_convex_combination():
    # rejects: digits carried on to another solution of the order conditions
    rows = {
        1: ({}, "0.391752226571890"),
        2: ({1: "0.555629506348765"}, "0.368410593050371"),
        3: ({2: "0.379898148511597"}, "0.251891774271694"),
        4: ({3: "0.821920045606868"}, "0.544974750228521"),
    }
    stages = {}
    for i, (shares, slope) in rows.items():
        stages[i] = [sum(F(w) * stages[j][q] for j, w in shares.items()) for q in range(5)]
        stages[i][i - 1] += F(slope)
        assert all(abs(x - y) < F(10) ** -13 for x, y in zip(ssp.SSP54.A[i], stages[i], strict=True))
    b = [F("0.517231671970585") * x + F("0.096059710526147") * y + F("0.386708617503269") * z
         for x, y, z in zip(stages[2], stages[3], stages[4], strict=True)]  # fmt: skip
    b[3] += F("0.063692468666290")
    b[4] += F("0.226007483236906")
    assert all(abs(x - y) < F(10) ** -13 for x, y in zip(ssp.SSP54.b, b, strict=True))
    assert all(x >= 0 for m in (ssp.SSP33, ssp.SSP43, ssp.SSP54, ssp.SSP104) for r in (*m.A, m.b) for x in r)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: game.lookahead(ex.EULER, 0, 1), "k: expected a whole number of at least 1"),
        (lambda: game.lookahead(ex.EULER, 2, 0), "alpha: expected a share other than 0"),
        (lambda: game.lookahead("euler", 2, 1), "inner: expected a Runge-Kutta method"),
        (lambda: game.extragradient("x"), "ratio: expected a number"),
        (lambda: game.double_step_extragradient(1, 0), "eta: expected a positive step"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@given(ratio=st.fractions(F(51, 100), 8, max_denominator=100))
def test_extragradient_ratio(ratio):
    # rejects: the ratio put on the weights; limits sqrt(2a - 1)/a and 1/a; the root of E is ill-conditioned near 1/2
    method = game.extragradient(ratio)
    assert stability_function(method).numerator == (1, 1, ratio)
    a = float(ratio)
    assert imaginary_limit(method) == pytest.approx(math.sqrt(2 * a - 1) / a, rel=1e-12)
    assert real_limit(method) == pytest.approx(1 / a, rel=1e-12)


def test_extragradient_and_its_other_parametrisation():
    one = game.extragradient()
    assert (one.A, one.b) == (ex.EXTRAGRADIENT.A, ex.EXTRAGRADIENT.b)
    assert game.double_step_extragradient("3/10", "1/5").A[1][0] == F(3, 2)
    assert game.double_step_extragradient("3/10", "1/5").digits is None
    assert game.double_step_extragradient(0.3, 0.2).digits == 15
    assert imaginary_limit(game.extragradient(1)) > imaginary_limit(game.extragradient("11/10"))


@given(k=st.integers(1, 4), alpha=st.fractions(F(1, 10), 1, max_denominator=10), which=st.integers(0, 3))
def test_lookahead_runs_the_inner_method_and_goes_back(k, alpha, which):
    # rejects: alpha on the inner weights too, one inner step too many
    inner = [ex.EULER, ex.HEUN2, ex.EXTRAGRADIENT, ex.RK4][which]
    method = game.lookahead(inner, k, alpha)
    assert (method.stages, method.time_scale) == (k * inner.stages, k * alpha)

    def flow(_, y):
        return np.array([-y[1] + 0.3 * y[0] ** 2, y[0] - 0.2 * y[1] ** 3])

    def step(m, y, h=0.1):
        stages = []
        for row in m.A:
            stages.append(flow(0, y + h * sum((float(a) * q for a, q in zip(row, stages, strict=False)), 0 * y)))
        return y + h * sum(float(b) * q for b, q in zip(m.b, stages, strict=True))

    y = fast = np.array([0.7, -0.4])
    for _ in range(k):
        fast = step(inner, fast)
    np.testing.assert_allclose(step(method, y), y + float(alpha) * (fast - y), rtol=0, atol=1e-15)


def test_lookahead_facts():
    # rejects: nodes on the inner clock; order of the chain lost at alpha = 1
    assert game.LOOKAHEAD5.c == tuple(F(2 * i, 5) for i in range(5))
    assert [game.lookahead(ex.RK4, 2, a).order for a in (1, "1/2")] == [4, 1]
    assert (game.lookahead(ex.EULER, 5, 0.5).digits, game.lookahead(ex.EULER, 5, 0.5).name) == (15, "lookahead5")
    assert game.lookahead(ex.EULER, 4, "1/2").name == ""
    figures = [
        (ex.EULER, 3, "1/2", 0.8895436175, 5e-11),
        (ex.EULER, 10, "1/2", 0.4360023744, 5e-11),
        (ex.EULER, 2, "1/2", 0.0, 0.0),
        (ex.EULER, 5, "4/5", 0.0, 0.0),
        (ex.EXTRAGRADIENT, 2, "1/2", 1.323696256, 5e-10),
    ]
    for inner, k, alpha, imaginary, unit in figures:
        assert imaginary_limit(game.lookahead(inner, k, alpha)) == pytest.approx(imaginary, rel=0, abs=unit)
