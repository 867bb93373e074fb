"""The check of derivatives against differences of the field, and what it says came of it.

Mutants rejected: an outcome that is "agrees" whatever was found; one that forgets which player; products that are
checked although `check=False`.
"""

import pytest
import torch

import gamedyn as gd
from gamedyn import flows, games


def held(fn, **options):
    """A flow of two players of one number each, held at (1, 1)."""
    flow = flows.custom(lambda t, s, b: fn(s["x"], s["y"]), like=games.bilinear())
    return flow.at(torch.ones(2), **options)


def smooth(x, y):
    return {"x": -x + y, "y": -2 * y}


def rough(x, y):
    """A field that is rounded somewhere inside: differences see the rounding, the shorter the more of it."""
    return {"x": -x + 1e-6 * torch.sin(1e14 * x.detach()), "y": -2 * y}


def cut(x, y):
    return {"x": -x + y.detach(), "y": -2 * y}


def test_nothing_is_said_before_anything_is_differentiated():
    assert held(smooth).checked == "not differentiated"


def test_right_products_agree():
    field = held(smooth)
    field.jacobian()
    assert field.checked == "agrees"


def test_a_player_that_differences_do_not_decide_is_named():
    field = held(rough)
    field.jacobian(strategy="formed")
    assert field.checked == "undecided: x in formed products"


def test_a_wrong_block_is_an_error_that_names_it():
    with pytest.raises(gd.ArgumentError, match="d v_x / d y off by 100%"):
        held(cut).jacobian()


def test_a_field_that_rounding_decides_is_not_accused():
    # rejects: two lengths that agree because both see the same rounding, as 1 - tanh does where it is 1e-12
    flow = flows.custom(lambda t, s, b: {k: 1 - torch.tanh(v) for k, v in s.items()}, like=games.bilinear())
    for at in (10.0, 12.0, 14.0, 15.0, 16.0, 18.0):
        field = flow.at(torch.tensor([at, at + 0.5]))
        assert float(field.jacobian(strategy="formed").to_dense().abs().max()) < 1e-7


def test_it_is_skipped_on_demand_alone():
    field = held(cut, check=False)
    assert field.jacobian().to_dense().tolist() == [[-1.0, 0.0], [0.0, -2.0]]
    assert field.checked == "skipped"


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("euler", {}, "not differentiated"),
        ("implicit_midpoint", {}, "agrees"),
        ("implicit_midpoint", {"check": False}, "skipped"),
    ],
)
def test_a_run_says_what_came_of_it(method, options, said):
    run = gd.solve(flows.gradient(games.bilinear()), method, h=0.1, steps=2, **options)
    assert run.stats["check"] == said


def test_the_check_of_penalties_draws_nothing_of_the_run():
    # rejects: default generators that stand elsewhere after the check, so that only the first solve of a flow differs
    G = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.3), torch.nn.Linear(4, 2))
    D = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.3), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    draw = torch.Generator().manual_seed(0)
    batch = torch.randn(16, 2, generator=draw), torch.randn(16, 2, generator=draw)
    flow = gd.flows.gradient(gd.games.gan(G, D)).with_term(gd.losses.squared_gradient(0.1))
    ends = []
    for check in (True, True, False):
        torch.default_generator.manual_seed(5)
        ends.append(gd.solve(flow, "rk4", h=0.1, steps=3, batch=batch, check=check).state.y)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])
