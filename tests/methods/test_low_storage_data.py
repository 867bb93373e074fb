"""Low-storage programs: they step as their tableaus; the nested family; what is refused."""

import dataclasses
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import low_storage as low
from gamedyn.methods.low_storage import Combine, Evaluate, LowStorage
from gamedyn.stability import imaginary_limit

LOW = [low.CK54, low.NDB124, low.KCL43, low.KCL54, low.RDPK35, low.KG32, low.KG52, low.KG72]
names = {"ids": lambda m: m.name}


@pytest.mark.parametrize("method", [m for m in LOW if m.form != "nested"], **names)
def test_every_slip_of_a_program_lowers_an_order(method):
    # rejects: one weight of one instruction off by 1/1000
    for at, step in enumerate(method.program):
        if isinstance(step, Evaluate):
            continue
        mutants = [dataclasses.replace(step, slope=step.slope + F(1, 1000))]
        for j, (source, weight) in enumerate(step.weights):
            moved = (source, weight + F(1, 1000))
            mutants.append(dataclasses.replace(step, weights=(*step.weights[:j], moved, *step.weights[j + 1 :])))
        for mutant in mutants:
            program = (*method.program[:at], mutant, *method.program[at + 1 :])
            try:
                wrong = LowStorage(program, method.initial, error_register=method.error_register, digits=method.digits)
            except ArgumentError:  # no longer y plus slopes
                continue
            assert (wrong.order, wrong.embedded_order) != (method.order, method.embedded_order)


def test_derived_gamma1_is_the_published_one():
    # rejects: a sum of delta one term too short
    published = (
        "0.2587669070352079020144955303389306026 -0.1324366873994502973977035353758550057"
        " 0.05055601231460399101814291350373559483 0.5670552807902877312521811889846000976"
    )
    own = [
        dict(s.weights)[0]
        for s in low.RDPK35.program
        if isinstance(s, Combine) and s.target == 0 and s.weights[0][0] == 0
    ]
    assert len(own) == 4
    assert all(abs(mine - F(p)) < F(10) ** -35 for mine, p in zip(own, published.split(), strict=True))


def slopes(method):
    return [s.slope for s in method.program if isinstance(s, Combine)]


def times(p, q):
    """Product of complex rationals."""
    return p[0] * q[0] - p[1] * q[1], p[0] * q[1] + p[1] * q[0]


@settings(deadline=None)
@given(k=st.integers(1, 12), u=st.fractions(0, 1, max_denominator=50))
def test_nested_imaginary_has_its_closed_form(k, u):
    # rejects: one alpha off by anything, the alphas reversed; exact, at the rational points of the circle
    sine, cosine = 2 * u / (1 + u**2), (1 - u**2) / (1 + u**2)  # of t/2
    turned = (F(1), F(0))  # exp(i k t)
    for _ in range(2 * k):
        turned = times(turned, (cosine, sine))
    value = (F(1), F(0))
    for alpha in slopes(low.nested_imaginary(2 * k + 1)):
        step = times((F(0), 2 * k * sine * alpha), value)
        value = (1 + step[0], step[1])
    square = value[0] ** 2 + value[1] ** 2
    assert square == turned[0] ** 2 + cosine**2 * turned[1] ** 2
    assert square <= 1


def test_nested_imaginary_family():
    # rejects: alphas reversed; the printed alphas of three members, and the bound s - 1 for every odd s
    printed = {
        3: "1/2 1/2 1",
        5: "1/4 1/6 3/8 1/2 1",
        7: "1/6 1/12 2/9 4/19 19/54 1/2 1",
    }
    for s, alphas in printed.items():
        assert slopes(low.nested_imaginary(s)) == [F(a) for a in alphas.split()]
    for s in (3, 5, 7, 9, 11):
        method = low.nested_imaginary(s)
        assert (method.order, method.stages, method.registers) == (2, s, 4)
        assert imaginary_limit(method) == pytest.approx(s - 1, rel=1e-12)
        for i in range(s - 1):
            mutant = [alpha + F(1, 1000) * (j == i) for j, alpha in enumerate(slopes(method))]
            assert imaginary_limit(low.nested(mutant)) < s - 1 - 1e-6
    for wrong in (1, 4, 5.0, True):
        with pytest.raises(ArgumentError, match="stages"):
            low.nested_imaginary(wrong)


def field(t, y):
    return np.array([-y[1] + np.sin(3 * t) * y[0] ** 2, y[0] + np.cos(y[1]) - t])


def run_program(method, t, y, h):
    """The program on vectors, in place; the nodes are the tableau's."""
    R = [y.copy() if starts else np.zeros_like(y) for starts in method.initial]
    nodes, F_ = iter(method.c), np.full_like(y, np.nan)
    for step in method.program:
        if isinstance(step, Evaluate):
            F_ = field(t + float(next(nodes)) * h, R[0])
        else:
            new = sum((float(w) * R[j] for j, w in step.weights), np.zeros_like(y))
            R[step.target][:] = new + float(step.slope) * h * F_
    return R[0], None if method.error_register is None else R[method.error_register]


def run_tableau(method, t, y, h):
    k = []
    for row, c in zip(method.A, method.c, strict=True):
        k.append(field(t + float(c) * h, y + h * sum((float(a) * q for a, q in zip(row, k, strict=False)), 0 * y)))
    ends = [
        None if w is None else y + h * sum(float(x) * q for x, q in zip(w, k, strict=True))
        for w in (method.b, method.b_hat)
    ]
    return tuple(ends)


def assert_same_step(method):
    y = np.array([0.7, -0.4])
    for mine, theirs in zip(run_program(method, 0.3, y, 0.1), run_tableau(method, 0.3, y, 0.1), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-14)


@pytest.mark.parametrize("method", LOW, **names)
def test_programs_step_as_their_tableaus(method):
    # rejects: weights read from another register, a slope taken before the evaluation, error register lost
    assert_same_step(method)
    assert sum(isinstance(s, Evaluate) for s in method.program) == method.stages


coefficient = st.fractions(F(1, 8), 1, max_denominator=8)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), s=st.integers(2, 5))
def test_any_program_steps_as_its_tableau(data, s):
    # rejects: execution that is right for the members' zeros only
    def draw(n):
        return data.draw(st.lists(coefficient, min_size=n, max_size=n))

    assert_same_step(low.two_n([0, *(-x for x in draw(s - 1))], draw(s)))
    assert_same_step(low.two_r(draw(s - 1), draw(s), draw(s)))
    assert_same_step(low.nested(draw(s)))
    assert_same_step(low.three_s_star([1, *draw(s - 1)], [0, *draw(s - 1)], [1, *draw(s - 1)], draw(s), draw(s)))


def test_registers():
    """Registers R, the field, the last checked state."""
    counts = {"ck54": 4, "ndb124": 4, "kcl43": 5, "kcl54": 5, "rdpk35": 6, "kg32": 4, "kg52": 4, "kg72": 4}
    assert {m.name: m.registers for m in LOW} == counts
    assert low.two_r(["1/2"], [0, 1]).registers == 4
    assert low.three_s_star([1, "1/2"], [0, 0], [1, 0], [1, "1/2"]).registers == 5
    assert {m.name: m.form for m in LOW if m.form != "nested"} == {
        "ck54": "2N", "ndb124": "2N", "kcl43": "2R", "kcl54": "2R", "rdpk35": "3S*",
    }  # fmt: skip


def test_low_storage_floats_are_trusted_to_15_digits():
    assert low.two_n([0.0, -1.0], [1.0, 0.5]).digits == 15
    assert low.nested([0.5, 1]).digits == 15
    assert low.two_r(["1/2"], [0, 1], [0.5, 0.5]).digits == 15
    assert low.nested(["1/2", 1]).digits is None


ONE = F(1)
GO = Evaluate()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LowStorage([GO, Combine(0, ((0, ONE),), ONE)], ()), "initial: expected register 0 to start as a copy"),
        (lambda: LowStorage([GO, Combine(0, ((0, ONE),), ONE)], (False,)), "initial: expected register 0"),
        (lambda: LowStorage([GO, Combine(1, ((0, ONE),), ONE)], (True,)), "program: expected registers 0 to 0"),
        (lambda: LowStorage([GO, Combine(0, ((2, ONE),), ONE)], (True, True)), "program: expected registers 0 to 1"),
        (
            lambda: LowStorage([GO, Combine(0, ((0, 2 * ONE),), ONE)], (True,)),
            "register 0 to be y plus slopes, got 2 y",
        ),
        (lambda: LowStorage([GO], (True,)), "every evaluation to be used, got evaluation 1"),
        (lambda: LowStorage([GO, GO, Combine(0, ((0, ONE),), ONE)], (True,)), "to be used, got evaluation 1"),
        (lambda: LowStorage([], (True,)), "program: expected an evaluation first"),
        (lambda: LowStorage([GO, Combine(0, ((0, ONE),), ONE)], (True,), error_register=0), "error_register"),
        (
            lambda: LowStorage([GO, Combine(0, ((0, ONE),), ONE)], (True, False), error_register=1),
            "error_register: .* 0 y",
        ),
        (lambda: low.two_n([1, 1], [1, 1]), "A: expected 2 coefficients, as many as B, the first 0"),
        (lambda: low.two_n([0], [1, 1]), "A: expected 2 coefficients"),
        (lambda: low.two_r([1, 1], [1, 1]), "a: expected 1 coefficients, one fewer than b, got 2"),
        (lambda: low.two_r([1], [1, 1], [1]), "b_hat: expected 2 weights, as many as b, got 1"),
        (lambda: low.nested([0, 1]), "every evaluation to be used"),
        (lambda: low.three_s_star([1], [0], [1, 1], [1]), "delta: expected 1 coefficients, as many as beta, got 2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
