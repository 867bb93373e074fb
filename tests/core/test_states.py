"""States that stand for one another, and those that do not."""

import pytest
import torch
from torch import nn

import gamedyn as gd


def small():
    g = torch.Generator().manual_seed(0)
    G = nn.Sequential(*gd.games.mlp((2, 3), generator=g), nn.BatchNorm1d(3), nn.Linear(3, 2))
    return gd.games.gan(G, gd.games.mlp((2, 3, 1), generator=g))


def test_a_zero_dimensional_tensor_is_a_player():
    """Rejects: views that cannot take an empty shape."""
    game = gd.Game({"x": torch.tensor(1.0), "y": torch.tensor(1.0)}, lambda x, y: {"x": x * y, "y": -x * y})
    run = gd.solve(gd.flows.gradient(game), "rk4", h=0.1, steps=10)
    assert run.state["x"].shape == ()
    assert float(run.state.y.norm()) == pytest.approx(2**0.5, rel=1e-5)
    many = gd.solve_ensemble(gd.flows.gradient(game), "rk4", h=[0.1, 0.2], steps=10)
    torch.testing.assert_close(many.state.y[0], run.state.y)


def test_modes_are_put_back_after_at():
    """Rejects: an `eval` inside `at` that later training inherits."""
    game = small()
    with game.at(game.state()) as players:
        players["G"].eval()
    assert all(m.training for m in game.modules)


def test_a_run_stands_for_its_state():
    game = small()
    batch = (torch.randn(4, 2, generator=torch.Generator().manual_seed(1)),) * 2
    flow = gd.flows.gradient(game)
    run = gd.solve(flow, "euler", h=0.1, steps=2, batch=batch)
    game.write(run)
    assert torch.equal(game.state().y, run.state.y)
    assert gd.spectrum.linearise(flow, run, batch).norm > 0
    again = gd.solve(flow, "euler", h=0.1, steps=1, batch=batch, y0=run)
    assert again.step == 1
    with pytest.raises(gd.ArgumentError, match="belong to the point"):  # statistics of another point would go with it
        gd.solve(flow, "euler", h=0.1, steps=1, batch=batch, y0=run.state.y)


def test_states_of_other_games_of_the_same_size_are_refused():
    two, other = gd.games.bilinear(), gd.games.rotation(2)
    flow = gd.flows.gradient(two)
    for act in (two.write, lambda s: two.at(s).__enter__(), lambda s: gd.solve(flow, "euler", h=0.1, steps=1, y0=s)):
        with pytest.raises(gd.ArgumentError, match="state: expected a state of bilinear"):
            act(other.state())


def test_a_run_of_another_game_of_the_same_size_is_refused(tmp_path):
    gd.solve(gd.flows.gradient(gd.games.rotation(2)), "euler", h=0.1, steps=1).save(tmp_path / "run.pt")
    with pytest.raises(gd.ArgumentError, match="at place 1"):
        gd.Run.load(tmp_path / "run.pt", gd.flows.gradient(gd.games.bilinear()))


def test_a_checkpoint_that_cannot_be_written_stops_before_the_first_step(tmp_path):
    seen = []
    flow, path = gd.flows.gradient(gd.games.bilinear()), tmp_path / "file" / "run"
    path.parent.write_text("no folder")
    with pytest.raises(gd.ArgumentError, match="folder"):
        gd.solve(flow, "euler", h=0.1, steps=3, checkpoint=path, observers=[seen.append])
    assert not seen


@pytest.mark.parametrize("h", [lambda n: -0.1, lambda n: 0.0, lambda n: None])
def test_a_step_that_a_function_gives_is_checked(h):
    with pytest.raises(gd.ArgumentError, match=r"h\(0\)"):
        gd.solve(gd.flows.gradient(gd.games.bilinear()), "euler", h=h, steps=3)


def test_nan_at_the_start_is_not_blamed_on_the_step():
    flow, start = gd.flows.gradient(gd.games.bilinear()), torch.full((2,), float("nan"), dtype=torch.float64)
    with pytest.raises(gd.SolveError, match="not finite at the start"):
        gd.solve(flow, "euler", h=0.1, steps=3, y0=start)


def inconsistent():
    return gd.methods.RungeKutta(A=[[]], b=["1/2"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gd.solve(gd.games.bilinear(), "euler", h=0.1, steps=1), "flow: expected a flow"),
        (lambda: gd.spectrum.linearise(gd.games.bilinear(), None), "flow: expected a flow"),
        (lambda: gd.flows.gradient(nn.Linear(1, 1)), "game: expected a Game"),
        (lambda: gd.stability.stable_steps("rk4", [[0, 1.0], [-1, 0]]), "eigenvalues: expected a flat array"),
        (lambda: gd.integrators.stepper(inconsistent()), "a consistent method"),
    ],
)
def test_plausible_mistakes_are_named(call, words):
    with pytest.raises(gd.ArgumentError, match=words):
        call()


class TestOnDisk:
    def test_a_state_comes_back_whole(self, tmp_path):
        game = small()
        state = gd.solve(gd.flows.gradient(game), "euler", h=0.1, steps=2, batch=(torch.randn(4, 2),) * 2).state
        state.save(tmp_path / "a.state")
        back = gd.State.load(tmp_path / "a.state", small())
        assert torch.equal(back.y, state.y)
        assert all(torch.equal(a, b) for a, b in zip(back.buffers, state.buffers, strict=True))
        assert list(back.named_buffers()) == ["G.1.running_mean", "G.1.running_var", "G.1.num_batches_tracked"] or [
            k.rsplit(".", 1)[1] for k in back.named_buffers()
        ] == ["running_mean", "running_var", "num_batches_tracked"]
        assert int(list(back.named_buffers().values())[-1]) == 2

    def test_into_another_precision(self, tmp_path):
        game = small()
        game.state().save(tmp_path / "a.state")
        wide = small()
        for module in wide.players.values():
            module.double()
        wide = gd.Game(dict(wide.players), wide.losses)
        back = gd.State.load(tmp_path / "a.state", wide)
        assert back.y.dtype == torch.float64
        assert [b.dtype for b in back.buffers] == [torch.float64, torch.float64, torch.int64]

    def test_what_is_no_state_of_this_game_is_refused(self, tmp_path):
        # rejects: buffers by their place alone, a damaged file, a run's file
        game = small()
        game.state().save(tmp_path / "a.state")
        data = bytearray((tmp_path / "a.state").read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "b.state").write_bytes(data)
        gd.solve(gd.flows.gradient(gd.games.bilinear()), "euler", h=0.1, steps=1).save(tmp_path / "run")
        G = game.players["G"]
        other = nn.Sequential(*G[:-2], nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 2))
        for path, its, words in (
            ("a.state", gd.games.bilinear(), "place 1"),
            (
                "a.state",
                gd.games.gan(other, gd.games.mlp((2, 3, 1), generator=torch.Generator())),
                "buffers 'none'|buffers none",
            ),
            ("b.state", game, "damaged"),
            ("run", gd.games.bilinear(), "Run.load"),
            ("none", game, "no such file"),
        ):
            with pytest.raises(gd.ArgumentError, match=words):
                gd.State.load(tmp_path / path, its)
        with pytest.raises(gd.ArgumentError, match="can be written"):
            game.state().save(tmp_path / "nowhere" / "a.state")


@pytest.mark.parametrize("method", ["rk4", "ab3", "torch.optim:Adam"])
def test_a_run_goes_on_in_another_precision_where_that_is_said(method, tmp_path):
    # rejects: a memory left in the other precision; counters cast with it
    def flow(dtype):
        return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.5, dtype=dtype))

    part = gd.solve(flow(torch.float32), method, h=0.1, steps=5, save_at=[0.0, 0.5])
    part.save(tmp_path / "run")
    with pytest.raises(gd.ArgumentError, match=r"float32.*allow"):
        gd.solve(flow(torch.float64), method, h=0.1, steps=9, resume=part)
    on = gd.solve(flow(torch.float64), method, h=0.1, steps=9, resume=tmp_path / "run", allow=["dtype"])
    whole = gd.solve(flow(torch.float64), method, h=0.1, steps=9)
    assert on.state.y.dtype == torch.float64
    torch.testing.assert_close(on.state.y, whole.state.y, rtol=0, atol=1e-6)
    assert on.saved[0.5].y.dtype == torch.float64
