"""Methods as data: what users may write, what is refused and how."""

import re
import subprocess
import sys
import time
from fractions import Fraction as F

import pytest

from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods import (
    AdditiveRungeKutta,
    Delegated,
    LinearMultistep,
    Lookahead,
    Partitioned,
    PredictorCorrector,
    RungeKutta,
    Sweep,
    alternating,
    get,
    lookahead,
    maps,
    members,
    optimistic,
    penalty_placed,
    strang,
    table,
)

NAN = float("nan")


def test_strings_fractions_and_short_rows_are_exact():
    ralston = RungeKutta(A=[[0, 0], ["2/3", 0]], b=["1/4", "3/4"])
    assert ralston.A == RungeKutta(A=[[], [F(2, 3)]], b=["0.25", F(3, 4)]).A
    assert (ralston.c, ralston.order, ralston.digits) == ((0, F(2, 3)), 2, None)
    assert ralston.b == get("ralston2").b


def test_floats_are_trusted_to_15_digits():
    """Rejects: exact comparison (order 0 for 1/6 in floats), and a tolerance that forgives 1e-12."""
    weights = [1 / 6, 1 / 3, 1 / 3, 1 / 6]
    A = [[], [0.5], [0, 0.5], [0, 0, 1.0]]
    assert RungeKutta(A=A, b=weights).order == 4
    assert RungeKutta(A=A, b=weights).digits == 15
    assert RungeKutta(A=A, b=[1 / 6 + 1e-12, *weights[1:]]).order == 0
    assert optimistic(0.1).order == 1
    assert LinearMultistep([0, -1, 1], [-0.5, 1.5, 0]).order == 2


def test_derived_facts():
    rk4 = get("rk4")
    assert (rk4.stages, rk4.evaluations, rk4.steps, rk4.explicit, rk4.fsal) == (4, 4, 1, True, False)
    bosh3 = RungeKutta(A=[[], ["1/2"], [0, "3/4"], ["2/9", "1/3", "4/9"]], b=["2/9", "1/3", "4/9", 0])
    assert (bosh3.fsal, bosh3.order) == (True, 3)
    assert not RungeKutta(A=[["1/2"]], b=[1]).explicit
    assert RungeKutta(A=[[], [1]], b=[1, 0], b_hat=[1]).b_hat == (1, 0)


@pytest.mark.parametrize(
    ("name", "near"), [("rk5", "'rk4'"), ("heun", "'heun2'"), ("RK4", "'rk4'"), ("optimstic", "'optimistic'")]
)
def test_unknown_names_offer_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"got {name}; did you mean .*{near}"):
        get(name)


def test_unknown_name_without_near_miss_lists_all():
    with pytest.raises(UnknownNameError, match="known: ab2, ab3"):
        get("qqqq")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get(3), "method: expected a name or a method object, got 3; names: ab2"),
        (lambda: get("rk4", a=1), "options: expected none for 'rk4', got a; other libraries"),
        (lambda: get("adamw"), "method: .* got adamw; PyTorch's: 'torch.optim:AdamW'"),
        (lambda: get("torchdifeq:rk4"), "library: .* got torchdifeq; did you mean 'torchdiffeq'"),
        (lambda: RungeKutta(A=[[], [1]], b=[1]), "A: expected 1 rows of at most 1 entries, as b has 1, got 2 rows"),
        (lambda: RungeKutta(A=[[1, 2, 3], [1]], b=[1, 0]), "A: expected 2 rows of at most 2 entries"),
        (lambda: RungeKutta(A=[[]], b=[1], b_hat=[1, 2]), "b_hat: expected 1 rows of at most 1 entries"),
        (lambda: RungeKutta(A=[], b=[]), "b: expected at least one stage, got none"),
        (lambda: RungeKutta(A=[1], b=[1]), "A: expected a sequence of coefficients, got 1"),
        (lambda: RungeKutta(A=[[]], b="1"), "b: expected a sequence of coefficients, got 1"),
        (lambda: RungeKutta(A=[[]], b=["x"]), "b: expected a number, a Fraction or a string, got x; write fractions"),
        (lambda: RungeKutta(A=[[]], b=["1/0"]), "b: expected a number, .* got 1/0"),
        (lambda: RungeKutta(A=[[]], b=[True]), "b: expected a number, .* got True"),
        (lambda: RungeKutta(A=[[]], b=[1j]), "b: expected a number, .* got 1j"),
        (lambda: RungeKutta(A=[[NAN]], b=[1]), "A: expected finite coefficients, got nan"),
        (lambda: RungeKutta(A=[[]], b=[float("inf")]), "b: expected finite coefficients, got inf"),
        (lambda: RungeKutta(A=[[]], b=["nan"]), "b: expected a number, .* got nan"),
        (lambda: LinearMultistep([0, -1, 1], [0, 1]), r"beta: expected as many entries as alpha has \(3, .* got 2"),
        (lambda: LinearMultistep([1], [1]), "at least 2"),
        (lambda: LinearMultistep([-1, 1, 0], [1, 0, 0]), "alpha: expected a last entry .* other than 0"),
        (lambda: LinearMultistep([-1, 1], [NAN, 1]), "beta: expected finite coefficients, got nan"),
        (lambda: LinearMultistep([0, -1, 1], [0, 2, 0]), r"\(consistency\), got rho\(1\) = 0, sigma\(1\) = 2, rho'"),
        (lambda: LinearMultistep([-1, 1], [1, 0], time_scale=0), "give the time_scale"),
        (lambda: Partitioned([Sweep()], RungeKutta(A=[[1]], b=[1])), "substep: expected an explicit Runge-Kutta"),
        (lambda: Partitioned([Sweep("a")]), "lengths: expected a number"),
        (lambda: Partitioned(["euler"]), "sweeps: expected a sequence of Sweep"),
        (lambda: Partitioned(None), "sweeps: expected a sequence of Sweep"),
        (lambda: Partitioned([]), "sweeps: expected lengths that add up to 1"),
        (lambda: AdditiveRungeKutta([([[]], [1])]), "tableaus: expected a dict of tableaus"),
        (lambda: AdditiveRungeKutta("rk4"), "tableaus: expected a dict .*penalty_placed"),
        (lambda: AdditiveRungeKutta({"game": get("rk4")}), r"tableaus\['game'\]: expected a tableau .*\(m.A, m.b\)"),
        (lambda: PredictorCorrector(get("rk4"), get("am3")), "predictor: expected an explicit multistep method"),
        (lambda: PredictorCorrector(get("ab2"), get("gauss4")), "corrector: expected an implicit multistep method"),
        (lambda: Lookahead(get("rk4"), 5, "1/2"), r"inner: .*gamedyn\.methods\.lookahead\("),
        (lambda: lookahead(get("ab2"), 5, "1/2"), r"inner: .*gamedyn\.methods\.Lookahead"),
        (lambda: Partitioned([Sweep((1, 1)), Sweep((0, 0, 0))]), r"for one number of players, got \[2, 3\]"),
        (lambda: alternating("GD"), "players: expected a sequence of different player names or places, got GD"),
        (lambda: alternating(("G", "G")), "players: expected a sequence of different player names"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "argument", "name"),
    [
        (lambda: PredictorCorrector("ab2", get("am3")), "predictor", "ab2"),
        (lambda: PredictorCorrector(get("ab2"), "am3"), "corrector", "am3"),
        (lambda: Lookahead("ab2", 5, "1/2"), "inner", "ab2"),
        (lambda: lookahead("rk4", 5, "1/2"), "inner", "rk4"),
        (lambda: Partitioned([Sweep()], "rk4"), "substep", "rk4"),
        (lambda: strang(substep="midpoint"), "substep", "midpoint"),
        (lambda: LinearMultistep([0, -1, 1], ["-1/2", "3/2", 0], start="rk4"), "start", "rk4"),
        (lambda: penalty_placed("rk4", "after_step"), "method", "rk4"),
        (lambda: AdditiveRungeKutta({"game": "rk4"}), "tableaus['game']", "rk4"),
    ],
)
def test_a_name_where_a_method_is_taken(call, argument, name):
    # rejects: AttributeError: 'str' object has no attribute 'explicit'
    with pytest.raises(ArgumentError) as caught:
        call()
    assert (caught.value.argument, caught.value.got) == (argument, name)
    assert f'gamedyn.methods.get("{name}")' in caught.value.remedy


class TestListing:
    def test_rows_by_name_and_alias(self):
        listing = table()
        for row in listing:
            assert all(listing[label] is row and label in listing for label in (row.name, *row.aliases))
            assert row in listing
        with pytest.raises(UnknownNameError, match="did you mean 'dopri5'"):
            listing["dopri"]
        assert "dopri" not in listing

    def test_embedded_orders(self):
        # rejects: the order of the pair itself, 0 for none; pairs of one family only
        shown = {row.name: row.embedded for row in table()}
        assert shown == {
            **dict.fromkeys(maps()),
            **{name: getattr(method, "embedded_order", None) for name, method in members().items()},
        }
        some = {
            "rk4": None,
            "bosh3": 2,
            "dopri5": 4,
            "kvaerno5": 4,
            "rodas3": 2,
            "exprb32": 2,
            "rdpk35": 2,
            "ab2": None,
        }
        assert {name: shown[name] for name in some} == some

    def test_they_are_printed(self):
        lines = str(table()).splitlines()
        at = lines[0].index("embedded")
        printed = {line.split()[0]: line[at : at + 8].strip() for line in lines[1:]}
        assert printed["dopri5"] == "4"
        assert printed["rk4"] == printed["normalised"] == "-"
        assert {r["name"]: r["embedded"] for r in table().records()}["dopri5"] == 4


@pytest.mark.parametrize("beta", ["-9/10", "-1/2", "1/2", "9/10"])
def test_heavy_ball_is_a_member_with_its_own_clock(beta):
    """rho = (z - 1)(z - beta), sigma = z: consistent only on the clock 1 / (1 - beta)."""
    b = F(beta)
    method = LinearMultistep([b, -1 - b, 1], [0, 1, 0], time_scale=1 / (1 - b))
    assert method.order == 1
    for wrong in (1, 1 / (1 + b), 1 - b):
        with pytest.raises(ArgumentError, match="consistency"):
            LinearMultistep([b, -1 - b, 1], [0, 1, 0], time_scale=wrong)


def test_complex_momentum_is_a_real_three_step_method():
    """rho = (z-1)(z^2 - 2 Re(b) z + |b|^2), sigma = z (z - Re b); here b = (3 + 4i)/10."""
    re, size = F(3, 10), F(1, 4)
    alpha = [-size, size + 2 * re, -1 - 2 * re, 1]
    method = LinearMultistep(alpha, [0, -re, 1, 0], time_scale=(1 - re) / (1 - 2 * re + size))
    assert (method.steps, method.order) == (3, 1)


def test_multistep_data_are_scaled_to_a_leading_one():
    method = LinearMultistep([0, -2, 2], [-1, 3, 0])
    assert (method.alpha, method.beta) == (get("ab2").alpha, get("ab2").beta)


def test_starting_rules():
    """The optimistic family starts with Euler's step: optax doubled its first step for two years."""
    assert get("optimistic").start is get("euler")
    assert get("ab2").start.order == 2
    assert get("ab3").start.order == 3


def test_optimistic_family():
    assert optimistic("1/2").beta == get("ab2").beta
    assert [optimistic(a).order for a in ("2/5", "1/2", "3/5", 0)] == [1, 2, 1, 1]
    assert optimistic(1).name == "optimistic"
    assert optimistic(2).name == ""
    assert optimistic(2).declared is None


def test_order_of_play():
    assert alternating(("D", "G")).order_of_play(("G", "D")) == (1, 0)
    assert alternating((2, 0, 1)).order_of_play(("a", "b", "c")) == (2, 0, 1)
    assert get("alternating").order_of_play(("a", "b", "c")) == (0, 1, 2)
    with pytest.raises(UnknownNameError, match=r"player: .* got X; known: D, G"):
        alternating(("D", "X")).order_of_play(("G", "D"))
    with pytest.raises(UnknownNameError, match="did you mean 'generator'"):
        alternating(("genrator", "D")).order_of_play(("generator", "D"))
    with pytest.raises(ArgumentError, match="a game of 3 players, got 2 players"):
        alternating(("D", "G", "E")).order_of_play(("G", "D"))
    with pytest.raises(ArgumentError, match="players: expected every one of G, D once"):
        alternating((0, "G")).order_of_play(("G", "D"))


def test_moves_carry_time_from_the_predecessor():
    strang = Partitioned([Sweep("1/2"), Sweep("1/2", backward=True)])
    assert [(m.place, m.length, m.node) for m in strang.moves(2)] == [(0, F(1, 2), 0), (1, 1, F(1, 2)), (0, F(1, 2), 1)]
    assert [(m.place, m.length) for m in strang.moves(3)] == [
        (0, F(1, 2)), (1, F(1, 2)), (2, 1), (1, F(1, 2)), (0, F(1, 2)),
    ]  # fmt: skip
    assert [m.place for m in get("alternating").moves(3)] == [0, 1, 2]


def test_neighbouring_moves_of_one_player_are_one():
    """Work: strang takes three moves for two players, not four. Rejects: moves joined over another's move."""
    assert (get("strang").evaluations, get("alternating").evaluations) == (1.5, 1.0)
    halves = Partitioned([Sweep((1, "1/2")), Sweep((0, "1/2"))])
    assert halves.moves(2) == get("alternating").moves(2)
    assert [m.length for m in get("ruth3").moves(2)] == [F(7, 24), F(2, 3), F(3, 4), F(-2, 3), F(-1, 24), 1]


def test_cycles_divide_the_joined_moves():
    """Sub-cycling is kept apart from rate ratios: five steps of a fifth."""
    five = alternating(cycles={"D": 5, "G": 1})
    assert five.order_of_play(("G", "D")) == (1, 0)
    assert [(m.place, m.length, m.node) for m in five.moves(2)] == [(0, F(1, 5), 0)] * 5 + [(1, 1, 1)]
    assert (five.evaluations, five.order, five.order_separable) == (3.0, 1, 1)
    assert [m.length for m in strang(cycles={0: 1, 1: 3}).moves(2)] == [F(1, 2), *[F(1, 3)] * 3, F(1, 2)]
    assert alternating(("D", "G"), cycles={"G": 2, "D": 1}).order_of_play(("G", "D")) == (1, 0)
    for cycles, message in (
        ({"G": 1}, "cycles: expected a count for every player: D, G"),
        ({"G": 1, "D": 0}, "cycles.*expected a whole number of at least 1"),
        ({"G": 1, "D": 1.5}, "cycles.*expected a whole number"),
    ):
        with pytest.raises(ArgumentError, match=message):
            alternating(("D", "G"), cycles=cycles)


def test_delegated_methods_keep_their_options():
    method = get("torchdiffeq:dopri5", rtol=1e-6)
    assert isinstance(method, Delegated)
    assert (method.name, method.options) == ("torchdiffeq:dopri5", {"rtol": 1e-6})


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("gamedyn", ("torch", "numpy", "scipy")),
        ("gamedyn, gamedyn.methods, gamedyn.stability", ("torch", "torchdiffeq")),
    ],
)
def test_theory_never_imports_torch(modules, absent):
    """Rejects: one `import torch` at the top of any module of the left column."""
    begin = time.perf_counter()
    code = f"import sys; import {modules}; print(sorted(m for m in {absent!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    print(f"import {modules}: {time.perf_counter() - begin:.2f} s with the interpreter's start")
    assert re.sub(r"\s", "", done.stdout) == "[]"
