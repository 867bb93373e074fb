"""A fixed diagonal preconditioner: P^-1 v, P^-1 J."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd

DOUBLE = torch.float64
F = gd.flows


def toy():
    g = torch.Generator().manual_seed(4)
    game = gd.games.gan(
        gd.games.mlp((2, 3, 2), generator=g, dtype=DOUBLE), gd.games.mlp((2, 3, 1), generator=g, dtype=DOUBLE)
    )
    batch = tuple(torch.randn(6, 2, generator=g, dtype=DOUBLE) for _ in range(2))
    P = 0.1 + torch.rand(game.layout.n, generator=g, dtype=DOUBLE)
    return F.gradient(game, {"D": 2.0}).with_term(gd.losses.r1(0.3)), batch, P


def test_velocity_and_jacobian_are_divided():
    # rejects: a product with P, columns scaled instead of rows
    flow, batch, P = toy()
    y = flow.game.state()
    behind = F.preconditioned(flow, P)
    torch.testing.assert_close(behind.field(batch)(0.0, y.y), flow.field(batch)(0.0, y.y) / P)
    J = flow.at(y, batch).jacobian().to_dense()
    torch.testing.assert_close(behind.at(y, batch).jacobian().to_dense(), J / P[:, None])


def test_by_name_flat_or_shaped():
    # rejects: P in the order of the dict instead of the players'
    game = gd.Game(
        {"a": torch.ones(2, 3), "b": torch.ones(2)}, lambda a, b: {"a": a.square().sum() / 2, "b": b.square().sum() / 2}
    )
    flow, values = F.gradient(game), torch.arange(1.0, 9.0)
    for a in (values[:6], values[:6].view(2, 3)):
        behind = F.preconditioned(flow, {"b": values[6:], "a": a})
        torch.testing.assert_close(behind.P, values)
        torch.testing.assert_close(behind.field()(0.0, torch.ones(8)), -1 / values)


def test_parts_players_and_properties_are_the_inner_flows():
    # rejects: one player's part at the price of all; a part divided twice
    flow, batch, P = toy()
    behind = F.preconditioned(flow, P)
    assert (behind.parts, behind.rates, behind.separates_players) == (flow.parts, flow.rates, True)
    y, mine = flow.game.state().y, flow.game.layout.slices[1]
    field = behind.field(batch)
    torch.testing.assert_close(field.player(1, 0.0, y), field(0.0, y)[mine])
    assert field.work.player_gradients == 3
    penalty = field.weighted({flow.parts[1]: 2.0}, 0.0, y)
    torch.testing.assert_close(penalty, flow.field(batch).weighted({flow.parts[1]: 2.0}, 0.0, y) / P)


@pytest.mark.parametrize("method", ["rk4", "alternating"])
def test_ensembles_are_single_runs(method):
    # rejects: P taken along the members
    flow, batch, P = toy()
    behind = F.preconditioned(flow, P)
    run = gd.solve_ensemble(behind, method, h=[0.01, 0.05, 0.02], steps=4, batch=batch)
    for i, h in enumerate((0.01, 0.05, 0.02)):
        alone = gd.solve(behind, method, h=h, steps=4, batch=batch)
        torch.testing.assert_close(run.state.y[i], alone.state.y, rtol=0, atol=1e-12)


def test_time_scales_are_a_preconditioner():
    # rejects: P applied to the losses; rates r are P = 1/r
    game = gd.games.dirac_gan("minimax", "r1", 0.4)
    P = {"G": torch.ones(1), "D": torch.tensor([0.2], dtype=DOUBLE)}
    runs = [
        gd.solve(f, "rk4", h=0.1, steps=20)
        for f in (
            F.preconditioned(F.gradient(game), P),
            F.gradient(game, {"D": 5.0}),
        )
    ]
    torch.testing.assert_close(runs[0].state.y, runs[1].state.y, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("P", "message"),
    [
        (torch.ones(3), r"P: expected \(2,\), or one tensor per player by name, got shape \(3,\)"),
        (torch.ones(1, 2), r"P: expected \(2,\), or one tensor per player"),
        (torch.tensor([1.0, 0.0]), "P: expected positive, finite entries, got 1 others, the first 0"),
        (torch.tensor([-1.0, 1.0]), "P: expected positive, finite entries, got 1 others, the first -1"),
        (torch.tensor([float("inf"), float("nan")]), "P: expected positive, finite entries, got 2 others"),
        ({"x": torch.ones(1)}, r"P: expected one tensor for each of \['x', 'y'\], got \['x'\]"),
        (
            {"x": torch.ones(1), "z": torch.ones(1)},
            r"P: expected one tensor for each of \['x', 'y'\], got \['x', 'z'\]",
        ),
        ({"x": torch.ones(1), "y": torch.ones(2)}, r"P\['y'\]: expected \(1,\), got shape \(2,\)"),
        ({"x": torch.ones(1), "y": torch.tensor(1.0)}, r"P\['y'\]: expected \(1,\), got shape \(\)"),
        ("diagonal", "P: expected a tensor of positive numbers, got str"),
        (None, "P: expected a tensor of positive numbers, got NoneType"),
    ],
)
def test_bad_input(P, message):
    with pytest.raises(gd.ArgumentError, match=message):
        F.preconditioned(F.gradient(gd.games.bilinear()), P)


def test_not_a_flow():
    with pytest.raises(gd.ArgumentError, match="flow: expected a flow, got Game"):
        F.preconditioned(gd.games.bilinear(), torch.ones(2))
