"""verify: members, users' tableaus and other packages' methods, by proof and by steps."""

from __future__ import annotations

from fractions import Fraction

import pytest
import scipy.integrate

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators.steppers import runge_kutta
from gamedyn.methods import Declared, LinearMultistep, RungeKutta
from gamedyn.spectrum import verify

FAMILIES = {type(m): n for n, m in gd.methods.members().items()}  # one member of each


@pytest.mark.parametrize("name", sorted({*FAMILIES.values(), "rk4", "ndb124", "forest_ruth", "ab3", "gauss4"}))
def test_a_member_of_every_family_is_sound(name):
    report = verify(name)
    assert report.sound, str(report)
    assert {"a step is its matrix", "observed order"} <= {f.check for f in report}
    assert all(f.holds for f in report if f.check in ("a step is its matrix", "observed order"))


class TestMutants:
    def test_a_stepper_with_a_wrong_node(self, monkeypatch):
        # the theory knows nothing of nodes in the stepper: only steps on a field of time find them
        monkeypatch.setattr(runge_kutta, "_time", lambda t, node, h: t)
        faults = {f.check for f in verify("rk4").faults}
        assert faults == {"observed order"}

    def test_a_stepper_with_a_wrong_stage(self, monkeypatch):
        real = runge_kutta.Combination

        def wrong(weights):
            return real([w * Fraction(1001, 1000) for w in weights])

        monkeypatch.setattr(runge_kutta, "Combination", wrong)
        assert "a step is its matrix" in {f.check for f in verify("heun2").faults}

    def test_wrong_declarations(self):
        method = RungeKutta([[], [1]], ["1/2", "1/2"], declared=Declared(order=3, real=2.5, imaginary=1.0))
        assert {f.check for f in verify(method).faults} == {
            "declared order",
            "declared real limit",
            "declared imaginary limit",
        }

    def test_bad_orders(self):
        for bad in ({"order": -1}, {"embedded_order": 0}):
            with pytest.raises(ArgumentError, match=next(iter(bad))):
                verify("rk4", **bad)
        with pytest.raises(ArgumentError, match="no embedded weights"):
            verify("rk4", embedded_order=3)

    def test_a_multistep_method_of_the_user(self):
        ab2 = LinearMultistep(alpha=[0, -1, 1], beta=["-1/2", "3/2", 0])
        assert verify(ab2).sound


class TestOtherPackages:
    def test_fixed_steps_of_torchdiffeq_are_measured(self):
        # its rk4 is the 3/8 rule, whose R(z) is rk4's
        found = {f.check: f.got for f in verify("torchdiffeq:rk4")}
        assert "rk4_38" in found["known R(z)"]
        assert float(found["observed order"]) == pytest.approx(4, abs=0.1)

    def test_the_order_its_adams_ends_at(self):
        # methods.md: the default max_order = 12 ends at AB11, real limit 0.00338254709
        (fault,) = verify("torchdiffeq:explicit_adams").faults
        assert fault.check == "default max_order"
        assert fault.got == "Adams-Bashforth of order 11, real limit 0.00338255"

    def test_its_pairs_are_proved(self):
        assert verify("torchdiffeq:dopri5").sound
        assert {f.check for f in verify("torchdiffeq:adaptive_heun").faults} == {"first same as last"}

    def test_scipy(self):
        assert verify("scipy:RK45").sound
        assert verify("scipy:Radau").sound
        assert verify(scipy.integrate.RK23).sound

    def test_what_has_no_coefficients_is_refused(self):
        for subject in ("normalised", "torch.optim:Adam", "scipy:LSODA", object()):
            with pytest.raises(gd.ArgumentError, match="subject"):
                verify(subject)
