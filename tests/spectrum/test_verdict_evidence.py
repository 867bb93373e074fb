"""The evidence of verdicts: abscissas, distances to the axis, margins, and when a matrix is formed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov import LinearOperator
from gamedyn.spectrum import Answer, extent, verdict
from gamedyn.spectrum.verdicts.answers import ANSWERS

DOUBLE = torch.float64


class TestEvidence:
    def test_numerical_abscissa(self):
        # games.md b.4: [[-1, 20], [0, -2]]: -3/2 + sqrt(401)/2
        game = gd.games.quadratic([[1.0, -20.0], [0.0, 2.0]])
        found = verdict(gd.flows.gradient(game), game.equilibrium_state()).flow
        assert found.numerical_abscissa == pytest.approx((8.512492197250394,) * 2, abs=1e-12)
        assert found.abscissa[1] == pytest.approx(-1, abs=1e-12)
        # eigenvectors (1, 0) and (-20, 1)/sqrt(401): condition sqrt(401) of both
        assert found.conditions == pytest.approx([401**0.5] * 2, rel=1e-12)

    @pytest.mark.parametrize("dense", [True, False])
    @pytest.mark.parametrize("m", [4, 6, 8, 10])
    def test_eigenvalues_of_high_multiplicity(self, m, dense):
        # one Jordan block, its basis changed by unimodular integers, so that every entry is exact: rounding splits
        # lambda into a ring of radius eps^(1/m); rejects: margins of a double eigenvalue for it ("no" for -1/1024)
        rng = np.random.default_rng(m)
        L = np.tril(rng.integers(-1, 2, (m, m)), -1) + np.eye(m, dtype=int)
        U = np.triu(rng.integers(-1, 2, (m, m)), 1) + np.eye(m, dtype=int)
        P = L @ U
        inverse = np.round(np.linalg.inv(U) @ np.linalg.inv(L)).astype(int)
        assert (P @ inverse == np.eye(m, dtype=int)).all()
        for value, truth in ((-1.0, "yes"), (-(2.0**-10), "yes"), (-(2.0**-16), "yes"), (0.0, ""), (2.0**-10, "no")):
            J = value * np.eye(m) + P @ np.eye(m, k=1, dtype=int) @ inverse
            game = gd.games.quadratic(torch.as_tensor(-J))
            found = verdict(gd.flows.gradient(game), game.equilibrium_state(), form=dense)
            assert found.stability.answer in (truth, "undecided"), value
            low, high = found.flow.abscissa
            assert low <= value <= high

    def test_distance_to_the_axis_has_no_scale(self):
        # rejects: a tolerance that is not relative (1e-27 for 1e-12), a crossing taken for one that none shows
        for scale in (1e-100, 1e-12, 1.0, 1e12):
            normal = gd.games.quadratic(torch.tensor([[1.0, 3.0], [-3.0, 1.0]], dtype=DOUBLE) * scale)
            found = verdict(gd.flows.gradient(normal), normal.equilibrium_state()).flow
            assert found.axis_distance == pytest.approx((scale, scale), rel=2e-3)
        for damping in (1e-9, 1e-11, 1e-12):  # the exact distance is the damping
            B = np.random.default_rng(0).standard_normal((7, 7))
            B = B - B.T
            game = gd.games.quadratic(torch.as_tensor(B + damping * np.eye(7)))
            low, high = verdict(gd.flows.gradient(game), game.equilibrium_state()).flow.axis_distance
            assert low <= damping * (1 + 1e-3) + 1e-14
            assert high >= damping * (1 - 1e-6) - 1e-14

    def test_distance_to_the_axis(self):
        # against a fine scan of the least singular value
        game = gd.games.quadratic([[1.0, -20.0], [0.0, 2.0]])
        found = verdict(gd.flows.gradient(game), game.equilibrium_state()).flow
        A = np.array([[-1.0, 20.0], [0.0, -2.0]])
        scan = min(np.linalg.svd(A - 1j * w * np.eye(2), compute_uv=False)[-1] for w in np.linspace(-3, 3, 20001))
        low, high = found.axis_distance
        assert low <= scan * (1 + 1e-6)
        assert high == pytest.approx(scan, rel=2e-3)
        normal = gd.games.quadratic([[0.25, 2.0], [-2.0, 0.25]])
        found = verdict(gd.flows.gradient(normal), normal.equilibrium_state()).flow
        assert found.axis_distance == pytest.approx((0.25, 0.25), rel=2e-3)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(2, 8), st.integers(0, 10**6), st.floats(-2, 2))
    def test_random_games(self, n, seed, shift):
        # rejects: margins of the wrong sign; "yes" or "no" against the eigenvalues NumPy finds
        rng = np.random.default_rng(seed)
        H = rng.standard_normal((n, n)) + shift * np.eye(n)
        game = gd.games.quadratic(torch.as_tensor(H))
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        rightmost = np.linalg.eigvals(-H).real.max()
        least = np.diag(H).min()
        if abs(rightmost) > 1e-9:
            assert found.stability == ("yes" if rightmost < 0 else "no")
        if abs(least) > 1e-9:
            assert found.nash == ("yes" if least > 0 else "no")

    @settings(max_examples=25, deadline=None)
    @given(st.integers(60, 200), st.integers(0, 10**6))
    def test_extents_hold_what_they_say(self, n, seed):
        # Lanczos bounds contain the exact ends; rejects: inner bounds swapped, no outer gap
        rng = np.random.default_rng(seed)
        B = rng.standard_normal((n, n))
        A = torch.as_tensor(B + B.T)
        op = LinearOperator((n, n), A.mv, A.mv, dtype=DOUBLE)
        values = np.linalg.eigvalsh(A.numpy())
        found = extent(op, formed=False, basis=40)
        for (low, high), exact in ((found.least, values[0]), (found.largest, values[-1])):
            assert low <= exact + 1e-9
            assert high >= exact - 1e-9
        assert found.least[1] >= values[0] - 1e-9
        assert found.largest[0] <= values[-1] + 1e-9
        assert found.risk == 1e-9
        assert found.null is None

    def test_a_definite_operator_is_seen_to_be_without_the_matrix(self):
        d = torch.linspace(1, 2, 500, dtype=DOUBLE)
        op = LinearOperator((500, 500), lambda x: d * x, lambda x: d * x, dtype=DOUBLE)
        assert extent(op, formed=False, basis=60).sign == "positive"
        assert extent(op * -1.0, formed=False, basis=60).sign == "negative"
        wide = torch.linspace(1e-4, 2, 500, dtype=DOUBLE)  # definite, but not by what sixty steps can tell
        op = LinearOperator((500, 500), lambda x: wide * x, lambda x: wide * x, dtype=DOUBLE)
        assert extent(op, formed=False, basis=60).sign == "unknown"
        assert extent(op, formed=True).sign == "positive"

    def test_missing_eigenvalues_are_not_excluded(self):
        # a large game that is stable, its symmetric part indefinite: undecided, not "yes"
        n = 400
        rng = np.random.default_rng(0)
        H = np.diag(np.linspace(1, 3, n)) + np.triu(rng.standard_normal((n, n)), 1) * 0.5
        H[: n // 2, : n // 2] = np.diag(np.diag(H)[: n // 2])
        H[n // 2 :, n // 2 :] = np.diag(np.diag(H)[n // 2 :])
        game = gd.games.quadratic(torch.as_tensor(H), (n // 2, n // 2))
        formed = verdict(gd.flows.gradient(game), game.equilibrium_state())
        searched = verdict(gd.flows.gradient(game), game.equilibrium_state(), form=False)
        assert formed.stability == "yes"
        assert searched.stability == "undecided"
        assert "excludes none further right" in searched.stability.reason
        assert searched.nash == "yes"  # own blocks are well conditioned: the bounds suffice
        assert searched.nash.risk == 1e-9


class TestForm:
    def test_answers_are_compared_not_converted(self):
        answer = Answer("undecided", "why")
        assert answer == "undecided"
        assert answer != "yes"
        with pytest.raises(TypeError, match="three values"):
            bool(answer)
        assert set(ANSWERS) == {"yes", "no", "undecided"}

    def test_report(self):
        game = gd.games.bilinear()
        found = verdict(gd.flows.gradient(game), game.equilibrium_state())
        text = str(found)
        assert "J = dv/dy" in text
        assert "undecided" in text
        json.dumps(found.to_dict())
        assert found.to_dict()["answers"]["stability"]["answer"] == "undecided"

    def test_refusals(self):
        game = gd.games.bilinear()
        flow, at = gd.flows.gradient(game), game.equilibrium_state()
        for arguments in ({"k": 0}, {"risk": 0.0}, {"stationary": -1.0}, {"tol": 0.0}, {"strategy": "fast"}):
            with pytest.raises((ArgumentError, gd.UnknownNameError)):
                verdict(flow, at, **arguments)
        with pytest.raises(ArgumentError, match="finite"):
            verdict(flow, at.y * torch.nan)
