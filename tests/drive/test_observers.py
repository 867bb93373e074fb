"""Observers: when they look, what they see, that they cannot change the run, and that they go on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import gamedyn as gd


def gan(dropout=0.0):
    torch.default_generator.manual_seed(0)
    G, D = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1))
    return gd.flows.gradient(gd.games.gan(G, D)), D


def stream(seed=0):
    data = torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    return gd.batches(data, latent=2, batch_size=8, seed=seed)


class Average(gd.Observer):
    """An exponential average of the parameters: what a user writes."""

    def __init__(self, decay):
        self.decay, self.y = decay, None

    def after_step(self, view):
        y = view.state.y
        self.y = y if self.y is None else self.decay * self.y + (1 - self.decay) * y

    def state_dict(self):
        return {"y": self.y}

    def load_state_dict(self, state):
        self.y = state["y"]


class TestRhythms:
    @pytest.mark.parametrize(
        ("rhythm", "expected"),
        [
            (3, [3, 6, 9, 12]),
            (gd.Every(steps=5), [5, 10]),
            (gd.Every(evaluations=10), [3, 5, 8, 10]),
            (gd.Every(images=20), [3, 5, 8, 10]),
            (gd.Every(time=0.35), [4, 7, 11]),
            (gd.Every(seconds=1e-9), list(range(1, 13))),
            (gd.Every(seconds=1e9), []),
        ],
    )
    def test_when_they_look(self, rhythm, expected):
        # rejects: a rhythm counted in calls; one that is due twice when a step passes two multiples
        class Seen(gd.Observer):
            every = rhythm

            def __init__(self):
                self.steps = []

            def after_step(self, view):
                self.steps.append(view.step)

        seen, (flow, _) = Seen(), gan()
        gd.solve(flow, "rk4", h=0.1, steps=12, batches=stream(), observers=[seen])
        assert seen.steps == expected

    def test_functions_and_their_rhythm(self):
        seen, (flow, _) = [], gan()
        gd.solve(
            flow, "euler", h=0.1, steps=9, batches=stream(), observers=[gd.Every(steps=4)(lambda v: seen.append(v.t))]
        )
        assert seen == pytest.approx([0.4, 0.8])

    def test_records_have_their_own(self):
        flow, _ = gan()
        run = gd.solve(
            flow, "rk4", h=0.1, steps=10, batches=stream(), every=gd.Every(images=24), observers=[lambda v: None]
        )
        assert run.records.step.tolist() == [2, 5, 8]  # steps done before, three batches of 8 drawn

    @pytest.mark.parametrize("wrong", [{}, {"steps": 1, "images": 2}, {"steps": 0}, {"seconds": -1.0}, {"images": 1.5}])
    def test_bad_rhythms(self, wrong):
        with pytest.raises(gd.ArgumentError):
            gd.Every(**wrong)


class TestLookingChangesNothing:
    def hostile(self, D):
        def look(view):
            with torch.no_grad():
                view.state.y.clamp_(-1e-3, 1e-3)
                for p in D.parameters():
                    p.fill_(7.0)
            D.eval()
            torch.randn(5)
            np.random.random()  # noqa: NPY002
            for x in view.losses.values():
                x.zero_()

        return look

    @pytest.mark.parametrize("method", ["euler", "rk4", "ab2", "alternating", "implicit_midpoint"])
    def test_whatever_they_do(self, method):
        # rejects: a state that is the run's own, modes read anew, default generators left where a look drew
        runs = []
        for watched in (False, True):
            flow, D = gan(dropout=0.3)
            torch.default_generator.manual_seed(5)
            seen = [self.hostile(D)] if watched else [lambda v: None]
            options = {"solver": gd.integrators.Anderson()} if method == "implicit_midpoint" else {}
            runs.append(gd.solve(flow, method, h=0.05, steps=6, batches=stream(), observers=seen, **options))
        assert torch.equal(runs[0].state.y, runs[1].state.y)
        for name in runs[0].records.losses:
            assert torch.equal(runs[0].records.losses[name], runs[1].records.losses[name])

    def test_a_view_is_over_with_the_step(self):
        kept, (flow, _) = [], gan()
        gd.solve(flow, "euler", h=0.1, steps=2, batches=stream(), observers=[kept.append])
        with pytest.raises(gd.ArgumentError, match="within after_step"):
            kept[0].state  # noqa: B018

    def test_the_state_is_copied_when_asked_for_alone(self):
        # rejects: a copy for observers that only count
        seen, (flow, _) = [], gan()
        gd.solve(flow, "euler", h=0.1, steps=3, batches=stream(), observers=[lambda v: seen.append(v._state is None)])
        assert seen == [True] * 3

    def test_an_average_without_a_copy(self):
        # rejects: a copy, a share of the way back, buffers left as they were, another run than without
        states, copied = [], []

        class Quarter(gd.Observer):
            draws = False

            def after_step(self, view):
                if view.step == 1:
                    self.average = view.state
                else:
                    view.average_into(self.average, 0.25)
                    copied.append(view._state is not None)

        def solved(observers):
            G, D = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 1)
            flow = gd.flows.gradient(gd.games.gan(G, D))
            return gd.solve(flow, "rk4", h=0.1, steps=5, batches=stream(), observers=observers, y0=start(flow))

        def start(flow):
            y = flow.initial_state().y
            return flow.initial_state().with_y(torch.linspace(-1, 1, len(y)))

        quarter = Quarter()
        solved([quarter])
        assert copied == [False] * 4
        solved([lambda view: states.append(view.state)])
        y, buffers = states[0].y, states[0].buffers
        for state in states[1:]:
            y = y + 0.25 * (state.y - y)
            buffers = [
                b + 0.25 * (n - b) if b.is_floating_point() else n for b, n in zip(buffers, state.buffers, strict=True)
            ]
        torch.testing.assert_close(quarter.average.y, y)
        for found, expected in zip(quarter.average.buffers, buffers, strict=True):
            torch.testing.assert_close(found, expected)
        assert len(buffers) == 3

    def test_one_that_draws_nothing_says_so(self):
        # rejects: generators set back for nobody, or not set back because one of several does not draw
        saved = []

        class Still(gd.Observer):
            draws = False

            def after_step(self, view):
                saved.append(torch.default_generator.get_state())

        def drawing(view):
            torch.randn(3)

        flow, _ = gan()
        for observers, back in (([Still()], False), ([Still(), drawing], True)):
            torch.default_generator.manual_seed(5)
            before = torch.default_generator.get_state()
            observers = [*observers, Still()]
            gd.solve(flow, "euler", h=0.1, steps=1, batches=stream(), observers=observers)
            assert torch.equal(torch.default_generator.get_state(), before)
            assert torch.equal(saved[-1], before) != back

    def test_what_an_observer_raises_comes_out_with_the_run(self):
        flow, _ = gan()

        def look(view):
            if view.step == 7:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as error:
            gd.solve(flow, "euler", h=0.1, steps=9, batches=stream(), observers=[look], check_every=5)
        assert (error.value.run.step, error.value.run.status) == (5, "interrupted")


class TestGoingOn:
    def test_an_average_goes_on(self, tmp_path):
        # rejects: an average begun anew, or one that is ahead of the state it is saved with
        flow, _ = gan()
        whole = Average(0.9)
        gd.solve(flow, "rk4", h=0.05, steps=30, batches=stream(), observers=[whole])
        part, on = Average(0.9), Average(0.9)
        gd.solve(flow, "rk4", h=0.05, steps=13, batches=stream(), observers=[part], checkpoint=tmp_path / "run")
        gd.solve(flow, "rk4", h=0.05, steps=30, batches=stream(), observers=[on], resume=tmp_path / "run")
        assert torch.equal(on.y, whole.y)

    def test_other_observers_are_refused(self):
        flow, _ = gan()
        part = gd.solve(flow, "rk4", h=0.05, steps=3, batches=stream(), observers=[Average(0.9)])
        with pytest.raises(gd.ArgumentError, match="Average"):
            gd.solve(flow, "rk4", h=0.05, steps=5, batches=stream(), observers=[gd.Observer()], resume=part)

    def test_a_stop_is_seen_by_all(self):
        flow, _ = gan()
        seen = []
        run = gd.solve(
            flow,
            "euler",
            h=0.1,
            steps=9,
            batches=stream(),
            observers=[lambda v: v.step == 4, lambda v: seen.append(v.step)],
        )
        assert (run.status, run.step, seen) == ("stopped", 4, [1, 2, 3, 4])

    @pytest.mark.parametrize("answer", [np.True_, torch.tensor(True), 1, "yes"])
    def test_whatever_is_true_stops(self, answer):
        flow, _ = gan()
        assert gd.solve(flow, "euler", h=0.1, steps=9, batches=stream(), observers=[lambda v: answer]).step == 1

    def test_what_is_neither_is_refused(self):
        flow, _ = gan()
        with pytest.raises(gd.ArgumentError, match="true or not"):
            gd.solve(flow, "euler", h=0.1, steps=9, batches=stream(), observers=[lambda v: torch.ones(2)])


class TestFigures:
    """What losses return beside the players'."""

    def flow(self, extra):
        flow, _ = gan()
        inner = flow.game.losses
        seen = []

        def losses(G, D, batch):
            found = dict(inner(G, D, batch))
            seen.append(float(batch[0].mean()))
            return {**found, **extra(batch, len(seen))}

        return gd.flows.gradient(gd.Game(dict(flow.game.players), losses)), seen

    def test_they_are_recorded_once_a_step(self):
        # rejects: those of a later stage, or of the check at the start; a value of another step
        flow, _ = self.flow(lambda batch, n: {"mean": batch[0].mean(), "calls": n, "half": 0.5})
        shown = []
        run = gd.solve(
            flow, "rk4", h=0.05, steps=6, batches=stream(), observers=[lambda v: shown.append(float(v.figures["mean"]))]
        )
        expected, items = [], stream()
        for _ in range(6):
            expected.append(float(next(items)[0].mean()))
        assert run.records.figures["mean"].tolist() == pytest.approx(expected, rel=1e-6)
        assert shown == pytest.approx(expected, rel=1e-6)
        assert np.diff(run.records.figures["calls"].numpy()).tolist() == [4.0] * 5
        assert run.records.figures["half"].tolist() == [0.5] * 6

    @pytest.mark.parametrize("method", ["euler", "ab2", "alternating", "implicit_euler", "rosenbrock_euler"])
    def test_they_change_nothing(self, method):
        runs = []
        for extra in (lambda batch, n: {}, lambda batch, n: {"mean": batch[0].mean(), "score": torch.tensor(1.0)}):
            flow, _ = self.flow(extra)
            runs.append(gd.solve(flow, method, h=0.05, steps=4, batches=stream()))
        assert torch.equal(runs[0].state.y, runs[1].state.y)
        assert set(runs[1].records.figures) == {"mean", "score"}
        assert len(runs[1].records.figures["mean"]) == 4

    def test_they_may_come_and_go(self, tmp_path):
        # rejects: columns that shift; a run on disk without them
        flow, _ = self.flow(lambda batch, n: {"rare": batch[0].mean()} if n % 3 == 0 else {})
        run = gd.solve(flow, "euler", h=0.05, steps=12, batches=stream(), checkpoint=tmp_path)
        rare = run.records.figures["rare"]
        assert len(rare) == 12
        assert int(rare.isnan().sum()) == 8
        again = gd.Run.load(tmp_path, flow).records.figures["rare"]
        assert torch.equal(again.nan_to_num(9.0), rare.nan_to_num(9.0))
        assert "rare" in run.records.to_pandas()

    def test_what_is_no_figure_is_refused(self):
        for extra in ({"wide": torch.ones(2)}, {"text": "a"}, {3: 1.0}):
            flow, _ = self.flow(lambda batch, n, extra=extra: extra)
            with pytest.raises(gd.ArgumentError, match="figure"):
                gd.solve(flow, "euler", h=0.05, steps=1, batches=stream())

    def test_ensembles_have_none(self):
        flow, _ = self.flow(lambda batch, n: {"mean": batch[0].mean()})
        data = (torch.randn(8, 2), torch.randn(8, 2))
        run = gd.solve_ensemble(flow, "euler", h=[0.05, 0.1], steps=2, batch=data)
        assert run.records.figures == {}
