"""nodepy beside ours: agreement where it is right, and where it is not, what it says and why.

nodepy (1.1.1) works in floating point: 1e-16 in the leading coefficients of R flips the sign of its boundary
polynomial near 0, and its test of order gives up on coefficients of ten digits.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import gamedyn as gd
from gamedyn.stability.properties.tableaus import read_tableau

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    rk = pytest.importorskip("nodepy.runge_kutta_method")
    METHODS = {n: m for n, m in rk.loadRKM().items() if np.allclose(np.triu(np.array(m.A, dtype=float)), 0)}

WRONG_IMAGINARY = {"Tsit5": 0.477978869, "SSP53": 2.6951728, "SSP54": 3.2783556, "CMR6": 2.60926773, "PD8": 0.0}
"""What it is (methods.md b1 and the faults listed there); nodepy gives 0, 1.35e-4, 3.9e-4, 0 and 0.105."""

WRONG_ORDER = {"Tsit5": {4, 5}, "SSP53": {0}}
"""What nodepy says with its default tolerance, of methods of order 5 (the processor's rounding decides) and, to their
ten digits, 3."""


FEW_DIGITS = {"SSP53": 11}
"""Digits that coefficients are really given to, where fewer than a float's."""


def read(name):
    """Our method of its coefficients."""
    tableau = read_tableau(METHODS[name])
    return replace(tableau, digits=FEW_DIGITS.get(name, tableau.digits)).method()


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", METHODS)
def test_limits(name):
    # rejects: another's tableau read with A transposed, floats taken for exact fractions
    theirs, ours = METHODS[name], read(name)
    digits = 1e-7 if name in FEW_DIGITS else 1e-9
    assert gd.stability.real_limit(ours) == pytest.approx(float(theirs.real_stability_interval()), rel=digits)
    limit = gd.stability.imaginary_limit(ours)
    if name in WRONG_IMAGINARY:
        assert limit == pytest.approx(WRONG_IMAGINARY[name], rel=1e-7)
        assert abs(float(theirs.imaginary_stability_interval()) - limit) > 0.05  # theirs would be news
    else:
        assert limit == pytest.approx(float(theirs.imaginary_stability_interval()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "SSP53"])
def test_orders(name):
    theirs, ours = METHODS[name], read(name)
    assert theirs.order() in WRONG_ORDER.get(name, {ours.order})
    if name in WRONG_ORDER:
        assert ours.order == 5


def test_few_digits():
    # to its ten digits of order 3; nodepy says 0
    assert METHODS["SSP53"].order() in WRONG_ORDER["SSP53"]
    assert read("SSP53").order == 3
    assert read_tableau(METHODS["SSP53"]).method().order == 0  # held to a float's digits


@pytest.mark.parametrize("name", ["RK44", "BS3", "DP5", "BS5", "SSP104", "Merson43", "Heun33", "MTE22"])
def test_principal_error_norm_and_stage_order(name):
    theirs, ours = METHODS[name], read(name)
    assert gd.stability.properties.principal_error_norm(ours) == pytest.approx(
        float(theirs.principal_error_norm()), rel=1e-9
    )
    assert gd.stability.properties.stage_order(ours) == theirs.stage_order()


def test_its_objects_can_be_verified():
    assert gd.spectrum.verify(METHODS["Tsit5"], order=5, embedded_order=4).sound
    assert {f.check for f in gd.spectrum.verify(METHODS["Tsit5"], order=4).faults} == {"order"}
