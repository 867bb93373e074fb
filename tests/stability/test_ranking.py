"""Rankings: the affine-quadratic GAN of numerics.md section 1, and the quick limits behind them."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods import Delegated, LinearMultistep, get, heavy_ball, maps, members
from gamedyn.stability import BlockJacobian, Eigenvalues, largest_stable_step, load_jacobian, stable_steps
from gamedyn.stability.steps import first_steps
from gamedyn.stability.steps.first_steps import _harmless, first_limit, outermost
from gamedyn.stability.steps.ranking import rank_methods
from gamedyn.stability.steps.tailoring import tailor

NAMED = ["euler", "heun2", "kutta3", "rk4", "extragradient", "ab2", "ab3", "optimistic", "alternating"]
ROTATION = np.array([-0.01 + 2j, -0.01 - 2j])


@pytest.fixture(scope="module")
def rankings(digits):
    out = {}
    for loss in ("nonsaturating", "wasserstein"):
        game = gd.games.affine_quadratic_gan(digits, q=8, weight_decay=0.02, loss=loss)
        lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
        out[loss] = rank_methods(lin.blocks, methods=NAMED), lin.eigenvalues
    return out


def test_affine_quadratic_gan(rankings):
    """numerics.md section 1: limits to four decimals.

    Rejects: eigenvalues for the blocks of alternating, evaluations left out of the rate, one ranking for both.
    """
    wasserstein, nonsaturating = rankings["wasserstein"][0], rankings["nonsaturating"][0]
    order = ["alternating", "ab3", "rk4", "kutta3", "optimistic", "extragradient", "ab2", "heun2", "euler"]
    assert [r.name for r in wasserstein] == order
    figures = {"alternating": 0.9950, "rk4": 1.4194, "ab3": 0.3610, "ab2": 0.1333, "euler": 0.0050}
    for name, limit in figures.items():
        assert wasserstein[name].limit == pytest.approx(limit, abs=6e-5)
        assert wasserstein[name].rate == pytest.approx(limit / (4 if name == "rk4" else 1), abs=6e-5)
    assert wasserstein["rk4"].binding == pytest.approx(-0.01 + 1j * math.sqrt(4 - 1e-4), abs=1e-8)
    assert wasserstein["alternating"].binding is None
    for name, limit in {"alternating": 0.7298, "rk4": 1.2880, "ab2": 0.4624, "ab3": 0.2522, "euler": 0.3685}.items():
        assert nonsaturating[name].limit == pytest.approx(limit, abs=6e-5)
    assert nonsaturating["ab2"].rate > nonsaturating["ab3"].rate  # stiffness binds
    assert wasserstein["ab2"].rate < wasserstein["ab3"].rate  # rotation binds
    assert wasserstein["alternating"].rate / wasserstein["euler"].rate == pytest.approx(199, abs=0.5)


def test_eigenvalues_alone_leave_out_what_needs_blocks(rankings):
    ranking = rank_methods(rankings["wasserstein"][1])
    assert {n for n, m in members().items() if not m.decouples} <= set(ranking.skipped)
    assert "alternating" not in [r.name for r in ranking]
    # a method for this spectrum beats all of its number of evaluations, and joins the ranking
    made = tailor(rankings["wasserstein"][1], 8, 2)
    joined = rank_methods(rankings["wasserstein"][1], methods=["rk4", "kg72", made.method])
    assert joined[0].limit == made.limit


def test_every_member_has_its_place_or_a_reason():
    ranking = rank_methods(ROTATION)
    listed = [r.name for r in (*ranking.rows, *ranking.unbounded)]
    assert sorted([*listed, *ranking.skipped]) == sorted(members())
    assert all(ranking.skipped.values())
    assert "pass products=" in ranking.skipped["bdf3"]
    rates = [r.rate for r in ranking]
    assert rates == sorted(rates, reverse=True)
    assert ranking[0].name == "ndb124"
    assert ranking.rows[-1].limit == 0  # leapfrog: no stable step, last


def test_few_rays_of_a_full_size_spectrum_are_computed(monkeypatch):
    """1129 eigenvalues, no two in one direction. Rejects: every ray of every method (a minute)."""
    computed = []
    own = first_steps._own_limit
    monkeypatch.setattr(first_steps, "_own_limit", lambda method, ray: computed.append(ray) or own(method, ray))
    rng = np.random.default_rng(0)
    n = 1129
    values = np.linalg.eigvals(rng.normal(size=(n, n)) / np.sqrt(n) - 1.05 * np.eye(n))
    ranking = rank_methods(values)
    assert len(computed) < 200 * len(ranking)
    for name in ("rk4", "ab3", "optimistic"):
        assert ranking[name].limit == pytest.approx(largest_stable_step(name, values), rel=1e-12)


complexes = st.builds(
    lambda r, angle: r * np.exp(1j * np.radians(angle)),
    st.one_of(st.floats(0.001, 0.1), st.floats(0.1, 5)),
    st.one_of(st.floats(90.05, 180), st.sampled_from([180.0, 90.5])),
)


@pytest.mark.filterwarnings("ignore::gamedyn.stability.StabilityWarning")
@pytest.mark.parametrize("family", ["rational", "multistep"])
@settings(derandomize=True, deadline=None, max_examples=4)
@given(values=st.lists(complexes, min_size=20, max_size=40))
def test_quick_limits_are_those_of_stable_steps(family, values):
    # rejects: outer modes alone, a proof that looks at (0, h) of another mode, a missed root
    modes = np.array(values)
    modes = np.where(np.abs(modes.imag) < 1e-12, modes.real + 0j, modes)
    for name, method in members().items():
        if not method.decouples or name.startswith("pece") or hasattr(method, "alpha") != (family == "multistep"):
            continue
        if name.startswith("kvaerno") and name != "kvaerno3":
            continue  # of the same kind, and slow here
        limit, binding = first_limit(method, modes)
        steps = stable_steps(method, modes)
        assert limit == pytest.approx(steps.limit, rel=1e-12, abs=0), name
        assert (binding is None) == math.isinf(limit)
        if binding is not None and limit:
            assert largest_stable_step(method, [binding]) == pytest.approx(limit, rel=1e-12)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(mode=complexes, share=st.floats(0.5, 3))
def test_what_is_called_harmless_is(mode, share):
    # rejects: a proof on a part of (0, h], or on (0, 1] where h is infinite
    modes = np.array([complex(mode.real, mode.imag if abs(mode.imag) > 1e-12 else 0.0)])
    for name, method in members().items():
        if method.decouples and not name.startswith(("pece", "kvaerno")):
            own = first_limit(method, modes)[0]
            for h in (share * own, math.inf):
                if _harmless(method, modes, h)[0]:
                    assert own >= h * (1 - 1e-9), name


def test_harmless_is_not_said_of_nothing():
    """Inside by half, most methods' modes are proved so: rejects a proof that never succeeds, which is only slow."""
    modes = np.array([-1.0 + 0.5j])
    chosen = [m for m in members().values() if m.decouples]
    proved = [_harmless(m, modes, 0.5 * min(first_limit(m, modes)[0], 10))[0] for m in chosen]
    assert sum(proved) > 0.9 * len(chosen)


@pytest.mark.parametrize("name", ["pece_ab2_am2", "pece_ab4_am4", "pecece_ab2_am3"])
def test_quick_limits_of_predictor_correctors(name):
    # rejects: Schur-Cohn with the coefficients reversed
    rng = np.random.default_rng(5)
    modes = -rng.uniform(0.01, 2, 12) + 1j * rng.uniform(0, 2, 12)
    assert first_limit(get(name), modes)[0] == pytest.approx(stable_steps(name, modes).limit, rel=1e-12)


def test_one_mode_of_each_direction():
    modes = np.array([-1.0, -3.0, -2.0, -1 + 1j, -2 + 2j])
    assert set(outermost(modes)) == {-3.0, -2 + 2j}


def test_memory_comes_first_where_it_is_the_cost():
    # rejects: the rate first
    ranking = rank_methods([-1.0, -0.3 + 0.7j], "memory")
    usable = [r for r in ranking if r.limit]
    registers = [r.registers for r in usable]
    assert registers == sorted(registers)
    for a, b in pairwise(usable):
        assert a.registers < b.registers or a.rate >= b.rate * (1 - 1e-9)
    front = ranking.front
    assert front[0].registers == min(registers)
    assert all(a.registers < b.registers and a.rate < b.rate for a, b in pairwise(front))
    best = max(usable, key=lambda r: r.rate)
    assert front[-1].rate == best.rate


def test_clock_of_momentum():
    """h stretches by 1/(1 - beta): rejects the step itself as the advance."""
    method = heavy_ball("1/2")
    row = rank_methods([-1.0], methods=[method]).rows[0]
    assert row.limit == pytest.approx(3.0)  # 2 (1 + beta)
    assert row.advance == pytest.approx(row.limit * float(method.time_scale))


def test_cost_of_implicit_steps():
    # rejects: products that cost nothing; solves not counted by stages
    chosen = ["rk4", "am3", "sdirk3", "gauss6", "ros2", "exprb32"]
    work = rank_methods([-1.0], methods=chosen, products=10)
    assert work["am3"].limit == pytest.approx(6, rel=1e-12)
    assert work["am3"].rate == pytest.approx(6 / 11)
    timed = rank_methods([-1.0], "time", methods=chosen, products=10, product_cost=3)
    assert timed["am3"].rate == pytest.approx(6 / 31)
    assert timed["rk4"].rate == work["rk4"].rate
    assert {r.name: r.products for r in work.unbounded} == {"sdirk3": 30, "gauss6": 30, "ros2": 20, "exprb32": 20}
    assert [r.rate for r in work.unbounded] == [math.inf] * 4
    cheapest = [r.evaluations + r.products for r in work.unbounded]
    assert cheapest == sorted(cheapest)
    unknown = rank_methods([-1.0], methods=chosen)
    assert "am3" in unknown.skipped
    assert math.isnan(unknown["sdirk3"].products)


def test_ties_go_to_the_higher_order():
    ranking = rank_methods([-1.0], methods=["euler", "extragradient", "heun2", "ab2", "midpoint"])
    assert [r.name for r in ranking] == ["euler", "ab2", "heun2", "midpoint", "extragradient"]
    same = rank_methods(ROTATION, methods=["kcl43", "rk4"])  # one R(z), orders 3 and 4: rejects the name
    assert [r.name for r in same] == ["rk4", "kcl43"]


def test_table_records_and_look_up():
    ranking = rank_methods(ROTATION, methods=["rk4", "euler", "optimistic", "bdf2", "alternating"])
    text = str(ranking)
    assert text.splitlines()[0].split()[:4] == ["name", "order", "limit", "advance"]
    assert "not ranked: alternating: needs a BlockJacobian" in text
    assert ranking["ogda"] is ranking["optimistic"]
    assert len(ranking) == 3
    assert ranking["bdf2"].limit == math.inf
    records = json.loads(json.dumps(ranking.records(), allow_nan=False))
    assert [r["name"] for r in records["rows"]] == ["rk4", "optimistic", "euler"]
    assert records["unbounded"][0]["limit"] is None
    assert records["rows"][0]["binding"] == [-0.01, 2.0]
    with pytest.raises(UnknownNameError):
        ranking["kutta3"]
    part = rank_methods(Eigenvalues(ROTATION, complete=False), methods=["rk4"])
    assert part.complete is False
    assert "upper bounds" in str(part)


def test_others_are_skipped_with_reasons():
    J = BlockJacobian(np.array([[-0.1, -1.0], [1.0, 0.0]]), (1, 1))
    chosen = [next(iter(maps().values())), Delegated("torchdiffeq", "rk4"), "rk4_penalty_after_step", "lead", "rk4"]
    ranking = rank_methods(J, methods=chosen, least_order=1)
    assert {r.name for r in ranking} == {"lead", "rk4"}
    reasons = ranking.skipped
    assert "no coefficients" in reasons["torchdiffeq:rk4"]
    assert "needs the Jacobian of the part" in reasons["rk4_penalty_after_step"]
    assert rank_methods(J, methods=["euler", "rk4"], least_order=2).skipped == {"euler": "of order 1"}
    three = BlockJacobian(-np.eye(3), (1, 1, 1), ("a", "b", "c"))
    assert {r.name for r in rank_methods(three, methods=["alternating", "strang"])} == {"alternating", "strang"}


def test_zero_eigenvalues_and_zero_spectra():
    assert rank_methods([0.0, -1.0], methods=["euler"])["euler"].limit == 2
    assert rank_methods([0.0], methods=["euler"])["euler"].limit == math.inf
    wild = LinearMultistep([2, -3, 1], [0, -1, 0])  # rejects: parasitic roots forgotten where no mode shows them
    assert rank_methods([0.0], methods=[wild]).rows[0].limit == 0


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (([],), {}, "at least one"),
        (([np.inf],), {}, "all finite"),
        (([0.01 + 1j, -1],), {}, r"does not amplify, got 0.01\+1j"),
        (([-1.0], "speed"), {}, "cost"),
        (([-1.0],), {"methods": "rk4"}, r'give \["rk4"\]'),
        (([-1.0],), {"products": 0}, "products"),
        (([-1.0],), {"product_cost": -1}, "product_cost"),
        (([-1.0],), {"least_order": 0}, "least_order"),
    ],
)
def test_refusals(arguments, options, match):
    with pytest.raises(ArgumentError, match=match):
        rank_methods(*arguments, **options)


def test_a_ranking_is_a_sequence():
    ranking = rank_methods([-1 + 1j, -1 - 1j])
    assert ranking[:2] == tuple(ranking)[:2] == (ranking[0], ranking[1])


def test_a_jacobian_without_players_is_its_eigenvalues(tmp_path):
    # rejects: a matrix taken for one player's, on which play in turns would be Euler's method
    J = np.array([[-0.1, -1.0], [1.0, -0.3]])
    np.save(tmp_path / "J.npy", J)
    found = load_jacobian(tmp_path / "J.npy")
    assert isinstance(found, Eigenvalues)
    assert stable_steps("rk4", found).limit == pytest.approx(stable_steps("rk4", np.linalg.eigvals(J)).limit)
    with pytest.raises(ArgumentError, match="BlockJacobian"):
        stable_steps("alternating", found)
    np.save(tmp_path / "K.npy", J[:1])
    with pytest.raises(ArgumentError, match="square matrix"):
        load_jacobian(tmp_path / "K.npy")
