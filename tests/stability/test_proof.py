"""Tableaus of other origin: what they hold is read right, and their known faults are found."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import diffrax
import numpy as np
import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st
from torchdiffeq._impl.odeint import SOLVERS

import gamedyn as gd
from gamedyn.methods import RungeKutta
from gamedyn.stability.properties.proof import prove
from gamedyn.stability.properties.tableaus import read_tableau

OWN = {n: m for n, m in gd.methods.members().items() if isinstance(m, RungeKutta)}
OTHERS = {
    "scipy RK23": (scipy.integrate.RK23, 3, 2),
    "scipy RK45": (scipy.integrate.RK45, 5, 4),
    "scipy DOP853": (scipy.integrate.DOP853, 8, None),
    "scipy Radau": (scipy.integrate.Radau, 5, None),
    "torchdiffeq dopri5": (SOLVERS["dopri5"], 5, 4),
    "torchdiffeq bosh3": (SOLVERS["bosh3"], 3, 2),
    "diffrax Tsit5": (diffrax.Tsit5(), 5, 4),
    "diffrax Bosh3": (diffrax.Bosh3(), 3, 2),
    "diffrax Kvaerno3": (diffrax.Kvaerno3(), 3, 2),
    "diffrax Kvaerno5": (diffrax.Kvaerno5(), 5, 4),
}


def faults(tableau, **options):
    return {f.check: f for f in prove(read_tableau(tableau), **options).faults}


@pytest.mark.parametrize("name", OWN)
def test_members_have_no_fault(name):
    # rejects: a check that calls a sound method faulty (clock, decimals, implicit stages)
    assert prove(read_tableau(OWN[name])).sound


@pytest.mark.parametrize("name", OTHERS)
def test_sound_tableaus_of_other_packages(name):
    # rejects: c_error taken for b_hat, the estimate's last stage lost, transposed stages
    subject, order, embedded = OTHERS[name]
    tableau = read_tableau(subject)
    assert tableau.order == order
    report = prove(tableau)
    assert report.sound, str(report)
    if embedded is not None:
        assert tableau.method().embedded_order == embedded


class TestKnownFaults:
    """methods.md, "Other packages' faults": the tableaus written down as they were shipped."""

    def test_gl4_whose_second_node_repeats_the_first(self):
        # torchdiffeq master: order 1 on fields of time, though autonomous problems look fine
        r = 3**0.5 / 6
        A = [[1 / 4, 1 / 4 - r], [1 / 4 + r, 1 / 4]]
        found = faults({"A": A, "b": [0.5, 0.5], "c": [0.5 - r, 0.5 - r], "order": 4})
        assert set(found) == {"nodes", "order of the quadrature"}
        assert found["nodes"].residual == pytest.approx(2 * r, abs=1e-15)
        assert found["order of the quadrature"].got == "1"
        assert not faults({"A": A, "b": [0.5, 0.5], "c": [0.5 - r, 0.5 + r], "order": 4})

    def test_tsit5_that_advances_with_its_embedded_weights(self):
        # torchdiffeq master: declares order 5 and assumes FSAL; the last weight is 1/66
        tsit5 = OWN["tsit5"]
        assert float(tsit5.b_hat[-1]) == pytest.approx(1 / 66, abs=1e-12)
        found = faults({"A": tsit5.A, "b": tsit5.b_hat, "order": 5, "fsal": True, "digits": 15})
        assert {"order", "first same as last", "known method"} <= set(found)
        assert found["order"].got.startswith("4 ")
        assert found["known method"].got == "the embedded weights of tsit5"

    @pytest.mark.parametrize("name", ["adaptive_heun", "fehlberg2"])
    def test_a_last_stage_that_is_not_the_next_first(self, name):
        # torchdiffeq 0.2.5 takes the last stage for v(y+) of every pair; of these two it is not
        assert set(faults(SOLVERS[name])) == {"first same as last"}

    def test_and_what_that_does_to_its_second_step(self):
        # Heun's factor at z = -1/2 is 0.625; the second step is another one: 0.65
        import torch
        from torchdiffeq import odeint

        t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
        how = {"first_step": 0.5, "min_step": 0.5, "max_step": 0.5}
        y = odeint(
            lambda t, y: -y,
            torch.ones(1, dtype=torch.float64),
            t,
            method="adaptive_heun",
            rtol=1e9,
            atol=1e9,
            options=how,
        )
        ratios = (y[1:] / y[:-1]).flatten().tolist()
        assert ratios == pytest.approx([0.625, 0.65], abs=1e-14)

    def test_an_order_that_is_one_though_five_is_said(self):
        # the kind of SciML's CKLLSRK95_4C: R(z) = 1 + z + 0.966 z^2 / 2 + ...
        A = [[], [0.483], [0.0, 1.0]]
        found = faults({"A": A, "b": [0.0, 1.0, 0.0], "order": 5})
        assert found["order"].got.startswith("1 ")
        assert "exp(z) to order 1" in found["R(z)"].got

    def test_an_embedded_order_that_is_too_high(self):
        bosh3 = OWN["bosh3"]
        found = faults({"A": bosh3.A, "b": bosh3.b, "b_hat": bosh3.b_hat, "order": 3, "embedded_order": 3})
        assert set(found) == {"embedded order"}
        same = faults({"A": bosh3.A, "b": bosh3.b, "b_hat": bosh3.b, "order": 3})
        assert set(same) == {"error weights"}


class TestNearMisses:
    def test_few_digits_are_undecided_not_guessed(self):
        # rk4 to six digits: residuals 2.5e-7; at 1e-8 neither yes nor no, at 1e-5 yes
        A = [[], [0.5], [0, 0.5], [0, 0, 1]]
        rounded = {"A": A, "b": [0.166667, 0.333333, 0.333333, 0.166667], "order": 4}
        report = prove(read_tableau(rounded), tolerance=1e-8)
        order = next(f for f in report if f.check == "order")
        assert order.holds is None
        assert "undecided" in order.got
        assert order.residual == pytest.approx(1.7e-7, rel=1)
        assert next(f for f in prove(read_tableau(rounded), tolerance=1e-5) if f.check == "order").holds
        assert next(f for f in prove(read_tableau(rounded), tolerance=1e-12) if f.check == "order").holds is False

    @given(st.integers(0, 2), st.sampled_from([-1, 1]), st.integers(3, 10))
    def test_a_perturbed_node_is_found(self, i, sign, power):
        bosh3 = OWN["bosh3"]
        c = list(bosh3.c)
        c[i + 1] += Fraction(sign, 10**power)
        assert "nodes" in faults({"A": bosh3.A, "b": bosh3.b, "c": c, "order": 3})

    @given(st.integers(0, 3), st.integers(0, 2), st.integers(2, 9))
    def test_a_perturbed_coefficient_is_found(self, i, j, power):
        # rejects: an order taken from the declaration
        rk4 = OWN["rk4"]
        A = [list(r) for r in rk4.A]
        if j >= i:
            return
        A[i][j] += Fraction(1, 10**power)
        assert "order" in faults({"A": A, "b": rk4.b, "order": 4})


class TestBadInput:
    @pytest.mark.parametrize(
        ("subject", "match"),
        [
            ("rk4", "subject: expected a Runge-Kutta tableau"),
            ({"A": [[]]}, "subject: expected the keys A and b"),
            ({"A": [[], [1]], "b": [0.5, 0.5], "weights": 1}, "subject: expected the keys A and b"),
            ({"A": [[], [1]], "b": [1]}, "A: expected 1 rows"),
            ({"A": [[], [1]], "b": [0.5, 0.5], "c": [0]}, "c: expected 2 entries"),
            ({"A": [[], [float("nan")]], "b": [0.5, 0.5]}, "A: expected finite"),
            (scipy.integrate.BDF, "subject: expected a Runge-Kutta tableau"),
        ],
    )
    def test_is_named(self, subject, match):
        with pytest.raises(gd.ArgumentError, match=match):
            read_tableau(subject)

    def test_a_negative_tolerance(self):
        with pytest.raises(gd.ArgumentError, match="tolerance"):
            prove(read_tableau(OWN["rk4"]), tolerance=-1)


def test_nodepy_shapes_are_read():
    # nodepy's objects: arrays A, b, c and perhaps bhat
    held = SimpleNamespace(A=np.array([[0, 0], [1, 0]]), b=np.array([0.5, 0.5]), c=np.array([0, 1]), name="Heun")
    tableau = read_tableau(held)
    assert (tableau.name, tableau.b_hat, tableau.method().order) == ("Heun", None, 2)


def test_the_report_prints_faults_first_and_is_json():
    report = prove(read_tableau({"A": [[], [1]], "b": ["1/2", "1/2"], "c": [0, "1/2"], "order": 2}))
    lines = str(report).splitlines()
    assert lines[0] == "mapping: 2 faults in 7 checks" or "2 faults" in lines[0]
    assert lines[2].startswith("FAULT")
    assert report.records()["sound"] is False
    assert '"check": "nodes"' in report.json()


def test_a_spare_stage_is_no_fault():
    """Euler's method with a stage that it does not use has heun2's embedded weights: a hint, not a fault."""
    report = prove(read_tableau({"A": [[], [1]], "b": [1, 0]}))
    assert report.sound
    assert next(f for f in report if f.check == "known method").mark == "-"
    claimed = prove(read_tableau({"A": [[], [1]], "b": [1, 0], "order": 2}))
    assert {"order", "known method"} <= {f.check for f in claimed.faults}


def test_what_could_not_be_decided_is_marked():
    """Rejects: "-" both where nothing is declared and where digits do not tell."""
    third = 0.3333333333  # neither 1/3 nor clearly another number, to the digits of a float
    report = prove(read_tableau({"A": [[], [third], [0, 2 / 3]], "b": [0.25, 0, 0.75], "order": 3}))
    marks = {f.check: f.mark for f in report}
    assert marks["order"] == "?"
    assert marks["first same as last"] == "-"
    assert "?" in str(report)


def test_an_order_that_nobody_declares_is_not_held_against_itself():
    # rejects: "ok order 1, expected 1" of a tableau with a planted error, the expectation computed from it
    made = RungeKutta(A=[[], ["1/2"], [0, "1/2"], [0, 0, 1]], b=["1/6", "1/3", "1/3", "1/5"])
    (found,) = [f for f in prove(read_tableau(made)).findings if f.check == "order"]
    assert found.holds is None
    assert {f.check for f in gd.spectrum.verify(made, order=4).faults} >= {"weights"}
