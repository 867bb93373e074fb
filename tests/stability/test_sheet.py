"""The property sheet: every member has one, known sheets hold; and the borders of the laboratory."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import gamedyn as gd
from gamedyn import stability
from gamedyn.stability import sheet

OWN = dict(gd.methods.members())
KNOWN = {
    "rk4": {
        "order": 4,
        "stage order": 1,
        "A-stable": False,
        "real limit": 2.785293563405282,
        "imaginary limit": 8**0.5,
        "noise gain": Fraction(5, 18),
        "principal error norm": 0.0145045823,
    },
    "bdf6": {
        "zero-stable": True,
        "A(alpha), degrees": 17.8397777922,
        "error constant": Fraction(-1, 7),
        "L-stable": False,
    },
    "gauss6": {"A-stable": True, "symplectic": True, "algebraically stable": True, "|R(inf)|": 1.0, "stage order": 3},
    "radau_iia3": {"L-stable": True, "stiffly accurate": True, "symplectic": False, "algebraically stable": True},
    "forest_ruth": {
        "order": 1,
        "order on separable games": 4,
        "symplectic": True,
        "R(z)": None,
        "imaginary limit": 1.573401947,
    },
    "ndb124": {"evaluations a step": 12, "imaginary limit": 10.953794},
    "lookahead5": {"clock": Fraction(5, 2), "imaginary limit": 0.7425797524},
    "trapezoid": {"A-stable": True, "L-stable": False, "symmetric": True, "algebraically stable": False},
}


@pytest.mark.parametrize("name", OWN)
def test_every_member_has_one(name):
    # rejects: a property that raises what is no ArgumentError, a sheet that cannot be written as JSON
    facts = sheet(name)
    assert facts["order"] == OWN[name].order
    plain = json.loads(facts.json())
    assert plain["name"] == name
    assert "Infinity" not in facts.json()
    assert str(facts).splitlines()[0] == f"{name} ({type(OWN[name]).__name__})"


@pytest.mark.parametrize("name", KNOWN)
def test_known_sheets(name):
    # methods.md b1 to b8; rejects: a line under another's name
    facts = sheet(name)
    for fact, value in KNOWN[name].items():
        expected = pytest.approx(value, rel=1e-7) if isinstance(value, float) else value
        assert facts[fact] == expected, fact


def test_leading_terms_are_written_as_terms():
    text = str(sheet("rk4"))
    assert "-1/144 y^6" in text
    assert "-1/120 y^5" in text


def test_user_made_methods_have_one():
    facts = sheet(gd.methods.RungeKutta([[], ["2/3"]], ["1/4", "3/4"]))
    assert (facts["order"], facts["imaginary limit"]) == (2, 0.0)
    idle = sheet(gd.methods.RungeKutta([[]], [0]))  # R = 1: consistent with nothing, but a method
    assert idle["order"] == 0


def test_maps_and_others_are_refused():
    for name in ("normalised", "torchdiffeq:rk4"):
        with pytest.raises(gd.ArgumentError, match="method: expected a method whose coefficients"):
            sheet(name)


class TestBorders:
    @pytest.mark.parametrize(
        "J", [[[1 + 1j]], [[1.0, 2.0]], np.zeros((0, 0)), [[np.nan]], "J", [[1.0], [1.0, 2.0]], None]
    )
    def test_a_jacobian_that_is_none(self, J):
        # rejects: an imaginary part that is dropped in silence
        calls = (
            lambda: stability.step_matrix("euler", J, 0.1),
            lambda: stability.modified_equation("euler", J),
            lambda: stability.transient_growth("euler", J, 0.1),
            lambda: stability.mean_square_steps("euler", [J, J]),
        )
        for call in calls:
            with pytest.raises(gd.ArgumentError):
                call()

    def test_points_at_infinity_are_on_their_axis(self):
        # rejects: overflow that makes L-stable methods unstable far out
        for name in ("kvaerno5", "rodas3", "radau_iia5", "implicit_euler", "bdf2"):
            assert stability.is_stable(name, [-1e100, -1e300, -np.inf]).all()
        assert not stability.is_stable("rk4", [-1e300, 1e300]).any()
        with pytest.raises(gd.ArgumentError, match="z"):
            stability.is_stable("rk4", np.nan)

    def test_an_annihilated_mode(self):
        (rate,) = stability.mode_rates("euler", [-1.0], 1.0)
        assert (rate.real, rate.imag) == (-np.inf, 0.0)

    def test_files_and_mappings(self):
        for call in (lambda: stability.load_spectrum(None), lambda: stability.save_spectrum(3, [1j])):
            with pytest.raises(gd.ArgumentError, match="path"):
                call()
        for bad in ({"A": [], "b": []}, {"A": None, "b": None}, {"A": [[]], "b": [1], "order": "two"}):
            with pytest.raises(gd.ArgumentError):
                stability.prove(bad)
        assert stability.prove({"A": [[]], "b": [1], "order": 1}).sound

    def test_rankings_say_why(self):
        ranking = stability.rank_methods([1j, -1j], methods=["rk4", "rk4", "alternating"])
        assert len(ranking) == 1
        assert "not ranked: alternating: " in str(ranking)
        with pytest.raises(gd.ArgumentError, match="methods"):
            stability.rank_methods([1j, -1j], methods=3)


@pytest.mark.parametrize("content", [b"", b'{"a": 1}', b"1 2\n3 4\n", b"\x80\x04."])
def test_what_is_no_array_file_is_said_to_be_none(tmp_path, content):
    # rejects: NumPy's advice to load it as a pickle
    path = tmp_path / "J.npy"
    path.write_bytes(content)
    for read in (lambda: stability.load_jacobian(path, {"x": 1, "y": 1}), lambda: stability.load_spectrum(path)):
        with pytest.raises(gd.ArgumentError, match="neither an") as error:
            read()
        assert "pickle" not in str(error.value)
