"""Events and saved states: where they are, that they cost the run nothing, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gamedyn as gd
from gamedyn import methods
from gamedyn.integrators import stepper

ONE_STEP = [name for name in methods.names() if stepper(name).changes_h]


def turning():
    """x' = -y, y' = x from (1, 1): angle t + pi/4, so that y rises through 0 at 7 pi/4 and every turn later."""
    return gd.flows.gradient(gd.games.bilinear())


def falling():
    """A ball thrown up at 10, under gravity of 9.8: h' = w, w' = -9.8; back at 0 at t = 2 * 10 / 9.8."""
    like = gd.Game(
        {"h": torch.zeros(1, dtype=torch.float64), "w": torch.full((1,), 10.0, dtype=torch.float64)},
        lambda h, w: {"h": h.sum(), "w": w.sum()},
    )
    return gd.flows.custom(lambda t, s, batch: {"h": s["w"], "w": torch.full_like(s["w"], -9.8)}, like)


def y_of(t, state):
    return state["y"]


FINE = gd.steps.Adaptive(rtol=1e-10, atol=1e-12)


class TestWhere:
    def test_the_times_of_a_turn(self):
        # rejects: a time interpolated linearly (1e-3 off); falling zeros among the rising ones
        run = gd.solve(
            turning(),
            "dopri5",
            h=FINE,
            t_span=(0.0, 14.0),
            events={"up": gd.Event(y_of, 1), "down": gd.Event(y_of, -1), "both": y_of},
        )
        assert run.events["up"] == pytest.approx([7 * math.pi / 4, 15 * math.pi / 4], abs=1e-8)
        assert run.events["down"] == pytest.approx([3 * math.pi / 4, 11 * math.pi / 4], abs=1e-8)
        assert run.events["both"] == sorted(run.events["up"] + run.events["down"])
        for t in run.events["both"]:
            assert abs(float(run.saved[t]["y"])) < 1e-13
            assert float(run.saved[t]["x"].abs()) == pytest.approx(math.sqrt(2), abs=1e-8)

    def test_beside_scipy(self):
        # Lotka-Volterra's prey at its predator's nullcline: a nonlinear game's events, beside SciPy's
        def field(t, z):
            return [z[0] * (1 - z[1]), z[1] * (z[0] - 1)]

        like = gd.Game(
            {"x": torch.full((1,), 2.0, dtype=torch.float64), "y": torch.ones(1, dtype=torch.float64)},
            lambda x, y: {"x": x.sum(), "y": y.sum()},
        )
        flow = gd.flows.custom(lambda t, s, b: {"x": s["x"] * (1 - s["y"]), "y": s["y"] * (s["x"] - 1)}, like)
        event = gd.Event(lambda t, s: s["x"] - 1)
        run = gd.solve(flow, "dop853", h=gd.steps.Adaptive(1e-11, 1e-12), t_span=(0.0, 20.0), events={"x": event})
        theirs = solve_ivp(field, (0, 20), [2.0, 1.0], "DOP853", rtol=1e-12, atol=1e-13, events=lambda t, z: z[0] - 1)
        assert run.events["x"] == pytest.approx(theirs.t_events[0].tolist(), abs=1e-8)

    @pytest.mark.parametrize("method", ["euler", "rk4", "gauss4", "alternating", "ck54", "rosenbrock_euler"])
    def test_the_state_is_a_step_of_the_method_there(self, method):
        # rejects: states of an interpolant
        run = gd.solve(turning(), method, h=0.1, steps=30, events={"y": y_of})
        (when,) = run.events["y"]
        whole = int(when / 0.1)
        before = gd.solve(turning(), method, h=0.1, steps=whole)
        again = gd.solve(turning(), method, h=when - before.t, steps=1, y0=before.state)
        assert torch.allclose(again.state.y, run.saved[when].y, rtol=0, atol=1e-13)

    def test_at_a_node(self):
        # a zero that a step ends on is found once; one that the run begins on, not at all
        clock = gd.Event(lambda t, s: t - 0.5)
        run = gd.solve(turning(), "rk4", h=0.25, steps=4, events={"t": clock, "start": lambda t, s: t})
        assert run.events == {"t": [0.5], "start": []}

    def test_a_jump_is_found(self):
        run = gd.solve(turning(), "rk4", h=0.25, steps=4, events={"t": lambda t, s: 1.0 if t > 0.6 else -1.0})
        assert run.events["t"] == pytest.approx([0.6], abs=1e-14)


class TestStops:
    def test_a_ball_comes_down(self):
        # rejects: a run that goes on, or ends at the step's end
        event = gd.Event(lambda t, s: s["h"], direction=-1, stop=True)
        run = gd.solve(falling(), "dopri5", h=FINE, t_span=(0.0, 10.0), events={"down": event}, save_at=[1.0, 5.0])
        assert (run.status, run.events["down"]) == ("stopped", [run.t])
        assert run.t == pytest.approx(20 / 9.8, abs=1e-12)
        assert float(run.state["w"]) == pytest.approx(-10.0, abs=1e-10)
        assert 5.0 not in run.saved

    def test_the_first_of_two_in_a_step_counts(self):
        late, soon = (gd.Event(lambda t, s, at=at: t - at, stop=True) for at in (0.8, 0.3))
        run = gd.solve(turning(), "rk4", h=1.0, steps=3, events={"late": late, "soon": soon})
        assert run.t == pytest.approx(0.3, abs=1e-15)
        assert run.events["late"] == []

    def test_at_the_nth_and_on(self):
        # the run goes on from there without finding it again; equal to a run that never stopped up to the step's place
        event = gd.Event(y_of, stop=2)
        run = gd.solve(turning(), "dopri5", h=FINE, t_span=(0.0, 14.0), events={"y": event})
        assert len(run.events["y"]) == 2
        on = gd.solve(turning(), "dopri5", h=FINE, t_span=(0.0, 14.0), resume=run, events={"y": gd.Event(y_of)})
        assert on.events["y"] == pytest.approx([(4 * k + 3) * math.pi / 4 for k in range(4)], abs=1e-8)
        assert on.t == 14.0

    def test_on_disk(self, tmp_path):
        events = {"y": gd.Event(y_of)}
        run = gd.solve(turning(), "rk4", h=0.1, steps=60, events=events, checkpoint=tmp_path)
        read = gd.Run.load(tmp_path, turning())
        assert read.events == run.events
        assert all(torch.equal(read.saved[t].y, run.saved[t].y) for t in run.events["y"])


class TestTheRunIsTheSame:
    @pytest.mark.parametrize("method", ONE_STEP)
    def test_whatever_is_looked_at_within_its_steps(self, method):
        # rejects: a part of a step written over the step's end (low-storage methods); work that advances the batch
        plain = gd.solve(turning(), method, h=0.1, steps=30)
        times = [0.03, 0.1, 1.234]
        seen = gd.solve(turning(), method, h=0.1, steps=30, events={"y": y_of}, save_at=times, dense=True)
        assert torch.equal(plain.state.y, seen.state.y)
        assert seen.events["y"]
        assert set(times) <= set(seen.saved)

    def test_a_function_may_write_to_the_state(self):
        def rude(t, state):
            value = float(state["y"])
            state.y.zero_()
            return value

        plain = gd.solve(turning(), "rk4", h=0.1, steps=30)
        assert torch.equal(gd.solve(turning(), "rk4", h=0.1, steps=30, events={"y": rude}).state.y, plain.state.y)


class TestRefused:
    @pytest.mark.parametrize(
        ("events", "parts"),
        [
            ([y_of], ("events", "dict")),
            ({"y": 3}, ("events", "function")),
            ({"y": lambda t, s: s.y}, (r"events\['y'\]", "one number")),
            ({"y": lambda t, s: math.nan}, (r"events\['y'\]", "nan")),
        ],
        ids=["a list", "a number", "a vector", "nan"],
    )
    def test_what_is_no_event(self, events, parts):
        for part in parts:
            with pytest.raises(gd.ArgumentError, match=part):
                gd.solve(turning(), "rk4", h=0.1, steps=3, events=events)

    @pytest.mark.parametrize("method", ["ab2", "heavy_ball", "eag"])
    def test_methods_that_remember(self, method):
        with pytest.raises(gd.ArgumentError, match=r"events: expected none for .* remembers"):
            gd.solve(turning(), method, h=0.1, steps=3, events={"y": y_of})

    @pytest.mark.parametrize("how", [{"events": {"y": y_of}}, {"save_at": [0.05]}, {"dense": True}])
    def test_fresh_batches(self, how):
        # a part of a step on fresh batches would draw others, and the steps after it too
        game = gd.Game({"x": torch.ones(1)}, lambda x, batch: {"x": (x * batch).mean()})
        stream = gd.batches(torch.rand(8, 1), batch_size=2)
        with pytest.raises(gd.ArgumentError, match=r"fresh batches|end of a step"):
            gd.solve(gd.flows.gradient(game), "rk4", h=0.1, steps=3, batches=stream, sampling="fresh", **how)

    def test_a_state_that_is_lost_is_not_the_events_fault(self):
        events = {"x": gd.Event(lambda t, s: s["x"])}
        run = gd.solve(turning(), "euler", h=1e3, steps=600, throw=False, events=events)
        assert run.status == "non_finite"

    @pytest.mark.parametrize("how", [{"direction": 2}, {"stop": -1}, {"stop": "yes"}])
    def test_arguments(self, how):
        with pytest.raises(gd.ArgumentError, match=next(iter(how))):
            gd.Event(y_of, **how)


class TestTrajectory:
    def run(self, game):
        flow = gd.flows.gradient(game)
        return flow, gd.solve(flow, "rk4", h=0.1, steps=10, save_at=[1.0, 0.0, 0.35])

    def test_arrays_in_order_of_time(self):
        flow, run = self.run(gd.games.bilinear())
        found = run.trajectory(flow)
        assert found.t.tolist() == [0.0, 0.35, 1.0]
        exact = np.array([[math.cos(t) - math.sin(t), math.cos(t) + math.sin(t)] for t in found.t])
        assert np.abs(found.y - exact).max() < 1e-5
        assert np.array_equal(found["x"][:, 0], found.y[:, 0])
        assert np.allclose(found.losses["x"], found.y[:, 0] * found.y[:, 1], rtol=1e-12)
        assert list(found.to_pandas().columns) == ["t", "x", "y", "loss x", "loss y"]

    def test_without_a_flow_or_states(self):
        _, run = self.run(gd.games.bilinear(torch.eye(3)))
        found = run.trajectory()
        assert found["y"].shape == (3, 3)
        assert found.losses == {}
        assert list(found.to_pandas().columns) == ["t", *(f"{p} {j}" for p in "xy" for j in range(3))]
        with pytest.raises(gd.ArgumentError, match=r"saved.*save_at"):
            gd.solve(turning(), "rk4", h=0.1, steps=2).trajectory()

    def test_players_may_have_any_name(self):
        # rejects: a player called t, or "loss x", in the place of a column
        names = ("t", "loss t")
        losses = lambda t, u: {"t": (t * u).sum(), "loss t": t.sum() + u.sum()}  # noqa: E731
        game = gd.Game({n: torch.ones(1) for n in names}, losses)
        flow = gd.flows.gradient(game)
        table = gd.solve(flow, "rk4", h=0.1, steps=10, save_at=[0.5, 1.0]).trajectory(flow).to_pandas()
        assert list(table.columns) == ["t", "player t", "loss t", "player loss t", "loss loss t"]
        assert table["t"].tolist() == [0.5, 1.0]

    def test_on_one_batch(self):
        # rejects: losses on no batch, or on the run's
        game = gd.Game({"x": torch.ones(2)}, lambda x, batch: {"x": (x * batch).sum()})
        flow = gd.flows.gradient(game)
        run = gd.solve(flow, "euler", h=0.1, steps=2, batch=torch.ones(2), save_at=[0.2])
        assert run.trajectory(flow, torch.full((2,), 3.0)).losses["x"].tolist() == pytest.approx([2 * 3 * 0.8])
