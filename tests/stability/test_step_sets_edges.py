"""Step sets where a small number decides: weak damping, implicit slopes, what is damped."""

from __future__ import annotations

import numpy as np
import pytest

from gamedyn.methods import RungeKutta
from gamedyn.stability import BlockJacobian, amplification, stable_steps

QUARTER = RungeKutta(A=[["1/4"]], b=[1])  # R(z) = (1 + 3z/4) / (1 - z/4)


def test_weak_damping_is_not_taken_for_none():
    # heun2 on -a +- i: |R|^2 = 1 - 2ah + h^4/4 + ..., so h = 2 a^(1/3); rejects: real parts of 1e-8 that count as zero
    steps = stable_steps("heun2", [-1e-8 + 1j, -1e-8 - 1j])
    assert steps.first[1] == pytest.approx(2 * 1e-8 ** (1 / 3), rel=1e-2)
    assert steps.flow_stable is True
    assert stable_steps("heun2", [1j, -1j]).first is None


def test_partitioned_sets_of_a_stable_flow_are_those_of_the_damped():
    # rejects: damped_intervals left empty
    J = BlockJacobian(np.array([[-0.3, -1.0], [1.0, -0.2]]), (1, 1))
    steps = stable_steps("alternating", J)
    assert steps.flow_stable is True
    assert steps.intervals
    assert steps.damped_intervals == steps.intervals
    growing = stable_steps("alternating", BlockJacobian(np.array([[0.3, -1.0], [1.0, -0.2]]), (1, 1)))
    assert growing.growing
    assert growing.damped_intervals == ()


def test_sensitivity_of_an_implicit_method():
    # |R(-h)| = 1 at h = 4, where d ln|R| / d ln h = 4 (3/8 - 1/8) = 1; rejects: the denominator's slope added
    steps = stable_steps(QUARTER, [-1.0])
    assert steps.first == pytest.approx((0.0, 4.0), rel=1e-12)
    assert steps.sensitivity == pytest.approx(1.0, rel=1e-9)
    lam, d = -1 + 0.5j, 1e-6
    steps = stable_steps(QUARTER, [lam, lam.conjugate()])
    end = steps.first[1]
    up, down = (np.log(amplification(QUARTER, end * (1 + s) * lam)) for s in (d, -d))
    assert steps.sensitivity == pytest.approx((up - down) / (2 * d), rel=1e-6)
