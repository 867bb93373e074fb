"""Runs on disk: whole or refused, one writer, what differs is named, and going on is bit for bit."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn._lib.code import digest_of
from gamedyn.core import files
from gamedyn.integrators import CheckpointWarning

DOUBLE = torch.float64


def flow(noise=False):
    inner = gd.games.dirac_gan("nonsaturating", "r1", 0.5)

    def losses(theta, psi, batch):
        shaken = theta + 0.1 * torch.randn(1, dtype=DOUBLE) if noise else theta
        return inner.losses(shaken * batch.mean(), psi)

    return gd.flows.gradient(gd.Game(dict(inner.players), losses))


def stream(seed=1, size=3):
    return gd.batches(torch.linspace(0.5, 1.5, 10, dtype=DOUBLE)[:, None], batch_size=size, seed=seed)


def solve(method="ab3", steps=40, **how):
    return gd.solve(how.pop("flow", None) or flow(), method, **{"h": 0.05, "steps": steps, "batches": stream(), **how})


def same(a, b):
    assert torch.equal(a.state.y, b.state.y)
    assert torch.equal(a.records.step, b.records.step)
    for name, values in a.records.losses.items():
        assert torch.equal(values, b.records.losses[name])
    assert set(a.saved) == set(b.saved)
    for t, state in a.saved.items():
        assert torch.equal(state.y, b.saved[t].y)


class TestFolder:
    def test_what_it_holds(self, tmp_path):
        # rejects: one generation, records rewritten, saved states in each file
        to = gd.Checkpoints(tmp_path / "a" / "run", every_steps=10, keep=3)
        run = solve(steps=50, checkpoint=to, save_at=[0.5, 1.0])
        names = sorted(p.name for p in to.folder.iterdir())
        steps = [f"step-{n:012d}.run" for n in (30, 40, 50)]
        assert names == ["lock", "records.bin", "saved-000000.state", "saved-000001.state", *steps]
        on = solve(steps=80, resume=to.folder, save_at=[0.5, 1.0])
        same(on, solve(steps=80, save_at=[0.5, 1.0]))
        assert run.step == 50

    def test_a_long_run_costs_its_state_and_not_its_length(self, tmp_path):
        # rejects: records in every checkpoint
        to = gd.Checkpoints(tmp_path, every_steps=2000, keep=10)
        solve("euler", steps=10_000, checkpoint=to)
        sizes = [p.stat().st_size for p in sorted(tmp_path.glob("step-*.run"))]
        assert len(sizes) == 5
        assert max(sizes) - min(sizes) <= 128  # the archive aligns its entries to 64 bytes
        per_step = (tmp_path / "records.bin").stat().st_size / 10_000
        assert per_step < 34  # step, time and two losses of 8 bytes

    def test_records_in_memory(self):
        # rejects: a tensor for each record, some 745 bytes a step
        from gamedyn.integrators.drive.records import RecordLog

        log = RecordLog(("G", "D"))
        for n in range(5000):
            log.add(n, 0.1 * n, (torch.tensor(1.0 * n), torch.tensor(2.0 * n)), {"h": 0.1} if n >= 2500 else {})
        held = log.records()
        assert held.losses["D"].tolist() == [2.0 * n for n in range(5000)]
        assert held.figures["h"].isnan().sum() == 2500
        later = log.records(4321)
        assert later.step.tolist() == list(range(4321, 5000))
        assert later.losses["G"].tolist() == [1.0 * n for n in range(4321, 5000)]
        assert len(held.until(100)) == 100
        assert held.until(4321).joined(later).losses["G"].tolist() == held.losses["G"].tolist()

    def test_the_records_of_a_failure_go_no_further_than_its_state(self, tmp_path):
        # rejects: a file of records with those of steps that were taken again
        def leave(view):
            if view.step == 17:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as error:
            solve(steps=40, observers=[leave], check_every=5)
        part = error.value.run
        assert (part.step, len(part.records)) == (15, 17)
        solve(steps=30, resume=part, checkpoint=tmp_path)
        same(solve(steps=40, resume=tmp_path), solve(steps=40))

    def test_two_writers_and_other_runs(self, tmp_path):
        def another(view):
            with pytest.raises(gd.ArgumentError, match="no other run writes"):
                solve(steps=3, checkpoint=tmp_path)

        solve(steps=3, checkpoint=tmp_path, observers=[another])
        with pytest.raises(gd.ArgumentError, match="without another run"):
            solve(steps=3, checkpoint=tmp_path)
        first = gd.Run.load(tmp_path, flow())
        solve(steps=9, checkpoint=tmp_path, resume=first)  # its own
        assert gd.Run.load(tmp_path, flow()).step == 9

    def test_a_disk_that_takes_no_more(self, tmp_path, monkeypatch):
        # rejects: a run ended, or lost, by its checkpoint; a half-written file left
        real = os.fsync

        def full(handle):
            if solving and len(list(tmp_path.glob("step-*.run"))) >= 2:
                raise OSError(28, "No space left on device")
            real(handle)

        solving = True
        monkeypatch.setattr(os, "fsync", full)
        with pytest.warns(CheckpointWarning, match="No space left"):
            run = solve(steps=50, checkpoint=gd.Checkpoints(tmp_path, every_steps=10, keep=5))
        solving = False
        assert (run.status, run.step) == ("done", 50)
        assert "No space left" in run.stats["checkpoint"]
        assert not list(tmp_path.glob(f"{files.PARTIAL}*"))
        assert gd.Run.load(tmp_path, flow()).step == 20
        same(solve(steps=60, resume=tmp_path), solve(steps=60))

    def test_what_a_killed_writer_left_is_cleared(self, tmp_path):
        solve(steps=5, checkpoint=tmp_path)
        (tmp_path / f"{files.PARTIAL}x").write_bytes(b"half")
        solve(steps=9, checkpoint=tmp_path, resume=tmp_path)
        assert not list(tmp_path.glob(f"{files.PARTIAL}*"))

    def test_links_and_modes(self, tmp_path):
        # rejects: the file that a planted link points to overwritten; files that others may not read
        victim = tmp_path / "victim"
        victim.write_text("precious")
        run, path = solve(steps=3), tmp_path / "run"
        path.symlink_to(victim)
        run.save(path)
        assert victim.read_text() == "precious"
        umask = os.umask(0)
        os.umask(umask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


class TestDamage:
    def damaged(self, data, rng):
        data = bytearray(data)
        if rng.random() < 0.3:
            return bytes(data[: rng.randrange(len(data))])
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)

    def test_a_file_is_refused(self, tmp_path):
        # rejects: no digest (400 of 500 flips were read), one that leaves a part out
        path, rng = tmp_path / "run", random.Random(0)
        solve(steps=5, save_at=[0.1]).save(path)
        whole = path.read_bytes()
        for _ in range(500):
            path.write_bytes(self.damaged(whole, rng))
            with pytest.raises(gd.ArgumentError):
                gd.Run.load(path, flow())

    def test_a_damaged_newest_is_passed_over(self, tmp_path):
        solve(steps=40, checkpoint=gd.Checkpoints(tmp_path, every_steps=10, keep=3))
        rng = random.Random(1)
        newest = max(tmp_path.glob("step-*.run"))
        newest.write_bytes(self.damaged(newest.read_bytes(), rng))
        with pytest.warns(CheckpointWarning, match="passed over"):
            on = solve(steps=60, resume=tmp_path)
        same(on, solve(steps=60))

    @pytest.mark.parametrize("name", ["records.bin", "saved-000000.state"])
    def test_damage_beside_it_is_never_read(self, tmp_path, name):
        # rejects: records or saved states without a checksum; an older checkpoint whose records are whole is taken
        run = solve(steps=20, checkpoint=gd.Checkpoints(tmp_path, every_steps=10), save_at=[0.1])
        whole, rng, refused = (tmp_path / name).read_bytes(), random.Random(2), 0
        for _ in range(100):
            (tmp_path / name).write_bytes(self.damaged(whole, rng))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CheckpointWarning)
                try:
                    left = gd.Run.load(tmp_path, flow())
                except gd.ArgumentError:
                    refused += 1
                    continue
            assert name == "records.bin"
            assert left.step == 10
            assert torch.equal(left.records.losses["D"], run.records.losses["D"][:10])
        assert refused > 30

    def test_other_files(self, tmp_path):
        (tmp_path / "text").write_text("gamedyn run 2\n and no more")
        for path in (tmp_path / "text", tmp_path / "none", tmp_path):
            with pytest.raises(gd.ArgumentError):
                gd.Run.load(path, flow())


class TestWhatDiffers:
    def test_it_is_named(self):
        # rejects: what was silently accepted: rates, weights, seeds, data, steps, flows
        run = solve(steps=5)
        other = gd.flows.gradient(flow().game, rates={"G": 2.0})
        for how, named in (
            ({"h": 0.1}, "h: expected the resumed run's 0.05, got 0.1"),
            ({"batches": stream(seed=2)}, "'seed': 2"),
            ({"batches": stream(size=5)}, "'batch_size': 5"),
            ({"flow": other}, "rates: {'G': 2.0"),
            ({"flow": flow().with_term(gd.losses.squared_gradient(0.1))}, "squared_gradient"),
            ({"method": "ab4"}, "method: ab4"),
        ):
            method = how.pop("method", "ab3")
            with pytest.raises(gd.ArgumentError) as error:
                solve(method, steps=9, resume=run, **how)
            assert named in str(error.value)

    @pytest.mark.parametrize("kind", ["losses", "mapped", "custom"])
    def test_code_that_was_edited_is_named(self, kind):
        # rejects: a run that goes on with other losses, or with another function of the flow, and says nothing
        def scaled(k):
            game = gd.games.bilinear()
            if kind == "losses":
                return gd.flows.gradient(gd.Game(dict(game.players), lambda x, y: {"x": k * x @ y, "y": -k * x @ y}))
            if kind == "mapped":
                return gd.flows.mapped(gd.flows.gradient(game), lambda v: {p: k * u for p, u in v.items()})
            return gd.flows.custom(lambda t, state, batch: {p: -k * u for p, u in state.items()}, like=game)

        run = gd.solve(scaled(1.0), "rk4", h=0.1, steps=3)
        assert gd.solve(scaled(1.0), "rk4", h=0.1, steps=5, resume=run).step == 5
        with pytest.raises(gd.ArgumentError, match=r"code: .* if that is meant: allow=\['code'\]"):
            gd.solve(scaled(2.0), "rk4", h=0.1, steps=5, resume=run)
        assert gd.solve(scaled(2.0), "rk4", h=0.1, steps=5, resume=run, allow=["code"]).step == 5

    @pytest.mark.parametrize("kind", ["into", "value", "target", "P", "object", "schedule"])
    def test_what_a_flow_was_given_is_named(self, kind):
        # rejects: a term compared by its type and weight alone; a diagonal, an object, a schedule's function unseen
        class Scaled:
            def __init__(self, k):
                self.k = k

            def __call__(self, v):
                return {p: self.k * u for p, u in v.items()}

        def made(k):
            plain = gd.flows.gradient(gd.games.dirac_gan())
            terms = {
                "into": lambda: gd.losses.squared_gradient(0.1, of="G", into="G" if k == 1 else "D"),
                "value": lambda: gd.losses.LossTerm(
                    "own", "G", 0.1, lambda players, own, batch: k * own["G"][0].square().sum()
                ),
                "target": lambda: gd.losses.gradient_penalty(0.1, target=k),
            }
            if kind in terms:
                return plain.with_term(terms[kind]())
            if kind == "P":
                return gd.flows.preconditioned(plain, torch.tensor([1.0, k], dtype=DOUBLE))
            return gd.flows.mapped(plain, Scaled(k)) if kind == "object" else plain

        def steps(k):
            return gd.steps.Schedule(lambda n: 0.1 / (k + n)) if kind == "schedule" else 0.1

        if kind == "target":
            terms = (made(k).terms["gradient_penalty"] for k in (1.0, 1.0, 2.0))
            first, same, other = (digest_of(term) for term in terms)
            assert (first == same, first == other) == (True, False)
            return
        run = gd.solve(made(1.0), "rk4", h=steps(1.0), steps=3)
        assert gd.solve(made(1.0), "rk4", h=steps(1.0), steps=5, resume=run).step == 5
        with pytest.raises(gd.ArgumentError, match=r"(code|h): .* if that is meant: allow="):
            gd.solve(made(2.0), "rk4", h=steps(2.0), steps=5, resume=run)

    def test_it_is_allowed_by_name(self):
        run = solve("rk4", steps=5)
        other = gd.flows.gradient(flow().game, rates={"G": 2.0})
        assert solve("rk4", steps=9, resume=run, flow=other, h=0.1, allow=["rates", "h"]).step == 9
        with pytest.raises(gd.ArgumentError, match="facts of a run"):
            solve("rk4", steps=9, resume=run, allow=["weather"])

    def test_players_in_another_order(self):
        swapped = gd.Game({"x": torch.ones(2, dtype=DOUBLE), "y": torch.ones(1, dtype=DOUBLE)}, lambda x, y: {})
        one = gd.Game(
            {"y": torch.ones(1, dtype=DOUBLE), "x": torch.ones(2, dtype=DOUBLE)},
            lambda y, x: {"y": (y * y).sum(), "x": (x * x).sum()},
        )
        run = gd.solve(gd.flows.gradient(one), "euler", h=0.1, steps=1)
        with pytest.raises(gd.ArgumentError, match="at place 1 x of shape"):
            gd.solve(gd.flows.gradient(swapped), "euler", h=0.1, steps=2, resume=run)

    def test_numbers_of_numpy(self, tmp_path):
        run = gd.solve(flow(), "rk4", h=np.float64(0.05), steps=np.int64(4), batches=stream())
        run.save(tmp_path / "run")
        assert gd.Run.load(tmp_path / "run", flow()).stats["h"] == 0.05


def test_losses_that_draw_go_on_with_the_next_numbers(tmp_path):
    # rejects: a resumed run that draws what the process happens to draw
    torch.default_generator.manual_seed(4)
    whole = solve("rk4", steps=30, flow=flow(noise=True))
    torch.default_generator.manual_seed(4)
    solve("rk4", steps=11, flow=flow(noise=True), checkpoint=tmp_path)
    torch.randn(17)
    same(solve("rk4", steps=30, flow=flow(noise=True), resume=tmp_path), whole)


def test_a_run_does_not_go_on_with_another_activation(tmp_path):
    # rejects: a digest of the types of modules alone
    def gan(act, slope=0.2):
        g = torch.Generator().manual_seed(0)
        G, D = (gd.games.mlp(sizes, generator=g) for sizes in ((2, 4, 2), (2, 4, 1)))
        G.act = act
        D.append(torch.nn.LeakyReLU(slope))
        return gd.flows.gradient(gd.games.gan(G, D))

    batch = torch.ones(4, 2), torch.ones(4, 2)
    gd.solve(gan(torch.relu), "euler", h=0.1, steps=2, batch=batch, checkpoint=tmp_path / "run")
    on = {"h": 0.1, "steps": 3, "batch": batch, "resume": tmp_path / "run"}
    for other in (gan(torch.tanh), gan(torch.relu, slope=0.9)):
        with pytest.raises(gd.ArgumentError, match="code"):
            gd.solve(other, "euler", **on)
    assert gd.solve(gan(torch.relu), "euler", **on).step == 3


def test_what_was_cut_off_is_not_counted(tmp_path):
    # rejects: images and evaluations of steps after the kept state, made again and counted twice; so a run that is to
    # see so many images ended early where it had been interrupted
    flow, data = gd.flows.gradient(gd.games.dirac_gan()), torch.zeros(40, 1, dtype=torch.float64)

    def losses(theta, psi, batch):
        return flow.game.losses(theta, psi)

    own = gd.flows.gradient(gd.Game(dict(flow.game.players), losses))
    how = {"h": 0.01, "images": 600, "check_every": 10}

    def interrupting(view):
        if view.step == 17:
            raise KeyboardInterrupt

    def stream():
        return gd.batches(data, batch_size=10)

    with pytest.raises(KeyboardInterrupt):
        gd.solve(own, "heun2", batches=stream(), observers=[interrupting], checkpoint=tmp_path / "a", **how)
    cut = gd.Run.load(tmp_path / "a", own)
    assert (cut.step, cut.stats["images"]) == (10, 170)  # what it has cost, and where it stands
    assert cut.place["spent"]["images"] == 100
    counted = []
    on = gd.solve(
        own, "heun2", batches=stream(), resume=tmp_path / "a", allow=["observers"],
        observers=[lambda view: counted.append((view.step, view.images, view.evaluations))], **how,
    )  # fmt: skip
    whole = gd.solve(own, "heun2", batches=stream(), **how)
    assert counted[0] == (11, 110, 22)
    assert on.step == whole.step == 60
    assert (on.stats["images"], on.stats["evaluations"]) == (600, 120)
    assert torch.equal(on.state.y, whole.state.y)
