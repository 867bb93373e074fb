"""One run on several processes, each a real one: that of one, written once, gone on with by any number of them."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

import gamedyn as gd
from gamedyn.training import build, data, read_config, train
from gamedyn.training.ranks import Place, code_digest

CONFIG = """
[data]
name = "digits"
batch_size = 24

[models]
name = "mlp"
widths = [16]
latent = 4

[game]
dtype = "float64"

[flow.r1]
weight = 0.1

[solve]
method = "ab2"
h = 0.05
steps = {steps}
check_every = 10

[observers]
record = {{every = 5}}
ema = {{half_life = 20}}
checkpoint = {{every_steps = 5}}
"""
LIMIT, GRACE = 90, 5


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.toml").write_text(CONFIG.format(steps=40))
    return tmp_path


def started(folder, count, *arguments, code="", files=("run.toml",)):
    """So many processes on a run, as torchrun starts them; not waited for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    running = []
    for rank in range(count):
        own = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = ["train", files[min(rank, len(files) - 1)], "--quiet", *arguments]
        script = f"import sys; from gamedyn.cli import main\n{code}\nsys.exit(main({command!r}))"
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running.append(subprocess.Popen([sys.executable, "-c", script], cwd=folder, env=own, **how))
    return running


def ended(running):
    """Their exit statuses and what they said; where one dies the others are ended after a while, as by torchrun."""
    since = deadline = time.monotonic() + LIMIT
    while any(p.poll() is None for p in running) and time.monotonic() < deadline:
        if since > deadline - 1 and any(p.poll() not in (None, 0) for p in running):
            since = time.monotonic()
            deadline = since + GRACE
        time.sleep(0.05)
    for p in running:
        p.terminate()
    try:
        said = [p.communicate(timeout=LIMIT)[0] for p in running]
    finally:
        for p in running:
            p.kill()
            p.communicate()
    return [p.returncode for p in running], said


def trained(folder, count, *arguments, **how):
    return ended(started(folder, count, *arguments, **how))


def end(folder, name):
    game = build(read_config(folder / "run.toml")).game
    return gd.State.load(folder / name / "last.state", game).y


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process: its last state, what it counted, its records."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "run.toml").write_text(CONFIG.format(steps=40))
    train(folder / "run.toml", folder / "one", progress=False)
    return folder


def test_two_processes_have_the_run_of_one(folder, alone):
    # rejects: shards of other samples, noise of its own for every rank, images of one rank alone counted
    codes, said = trained(folder, 2, "--out", "two")
    assert codes == [0, 0], said
    torch.testing.assert_close(end(alone, "one"), end(folder, "two"), rtol=0, atol=1e-12)
    places = (alone / "one", folder / "two")
    one, two = (json.loads((p / "summary.json").read_text()) for p in places)
    for key in ("images", "evaluations", "batches"):
        assert one["stats"][key] == two["stats"][key]
    rows = [[json.loads(line) for line in (p / "records.jsonl").read_text().splitlines()] for p in places]
    assert [r["step"] for r in rows[0]] == [r["step"] for r in rows[1]]
    assert said[1] == ""  # the first one tells


@pytest.mark.parametrize("counts", [(2, 1), (1, 3)])
def test_any_number_of_processes_goes_on(folder, alone, counts):
    # rejects: checkpoints that hold one rank's place in the stream
    for count, arguments in zip(counts, (["solve.steps=15"], []), strict=True):
        if count == 1:
            resume = (folder / "run").exists()
            train(folder / "run.toml", folder / "run", over=arguments, resume=resume, progress=False)
            continue
        more = ["--set", *arguments] if arguments else ["--resume"]
        codes, said = trained(folder, count, "--out", "run", *more)
        assert codes == [0] * count, said
    torch.testing.assert_close(end(folder, "run"), end(alone, "one"), rtol=0, atol=1e-12)


SLOW = """
import time
from gamedyn.integrators.steppers.multistep import MultistepStepper
inner = MultistepStepper.step
def step(self, *arguments):
    time.sleep(0.05)
    return inner(self, *arguments)
MultistepStepper.step = step
"""


def test_a_killed_process_ends_all_and_the_run_goes_on_bit_for_bit(folder):
    # rejects: a checkpoint of one rank ahead of the others'; processes that wait for a dead one for ever
    assert trained(folder, 2, "--out", "whole")[0] == [0, 0]
    draw, checkpoints = random.Random(5), folder / "run" / "checkpoints"
    for kill in (True, True, False):
        before = set(checkpoints.glob("step-*.run"))
        running = started(folder, 2, "--out", "run", *(["--resume"] if before else []), code=SLOW)
        while kill and set(checkpoints.glob("step-*.run")) == before and running[0].poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        if kill:
            running[draw.randrange(2)].send_signal(signal.SIGKILL)
        codes, said = ended(running)
        assert codes == [0, 0] or kill, said
        assert -signal.SIGKILL in codes or not kill, "it was over before it was killed"
    assert torch.equal(end(folder, "run"), end(folder, "whole"))


APART = """
from gamedyn.integrators.steppers.multistep import MultistepStepper
import os
inner, taken = MultistepStepper.step, []
def step(self, *arguments):
    new, memory, info = inner(self, *arguments)
    taken.append(1)
    return (new + 1e-15 if os.environ["RANK"] == "1" and len(taken) == 7 else new), memory, info
MultistepStepper.step = step
"""


def test_states_that_come_apart_stop_all(folder):
    # rejects: ranks that go on from two points, averaging fields of both
    codes, said = trained(folder, 2, "--out", "run", code=APART)
    assert 0 not in codes
    assert all("state: expected one state on all ranks, got another than rank 0's on rank 1" in x for x in said), said


def test_another_configuration_is_named(folder):
    text = (folder / "run.toml").read_text()
    (folder / "other.toml").write_text(text.replace("h = 0.05", "h = 0.06"))
    codes, said = trained(folder, 2, "--out", "run", files=("run.toml", "other.toml"))
    assert codes == [2, 2]
    assert all("configuration: expected the same on all ranks" in x for x in said), said


def test_what_the_first_process_refuses_all_refuse(folder):
    train(folder / "run.toml", folder / "run", over=["solve.steps=3"], progress=False)
    codes, said = trained(folder, 2, "--out", "run")
    assert codes == [2, 2]
    assert all("a folder without a run" in x for x in said)


def test_an_observer_that_stops_stops_all(folder):
    # rejects: a first process that leaves the others waiting
    codes, said = trained(folder, 2, "--out", "run", "--set", "observers.budget={images=240}")
    assert codes == [0, 0], said
    assert json.loads((folder / "run" / "summary.json").read_text())["status"] == "stopped"


def test_what_the_first_process_alone_makes_and_cannot_ends_all(folder):
    # rejects: a second process that waits for the first, or ends by a lost connection
    codes, said = trained(folder, 2, "--out", "run", "--set", "observers.score={measures=['frechett']}")
    assert codes == [2, 2], said
    assert all("did you mean 'frechet'" in x for x in said)


def test_a_spectrum_on_the_way_is_that_of_all(folder):
    # rejects: products that the first process alone takes part in
    more = ["--set", "observers.stability={every=20, batch=64, k=2}"]
    codes, said = trained(folder, 2, "--out", "run", *more)
    assert codes == [0, 0], said
    assert '"stability' in (folder / "run" / "records.jsonl").read_text()


def test_batches_that_cannot_be_shared_evenly(folder):
    codes, said = trained(folder, 2, "--out", "run", "--set", "data.batch_size=25")
    assert codes == [2, 2]
    assert "a multiple of the 2 processes that share a batch" in said[0]


def test_seconds_are_no_rhythm_of_what_all_do_together(folder):
    # rejects: processes whose clocks differ, one of which waits for the others for ever
    codes, said = trained(folder, 2, "--out", "run", "--set", "observers.stability={every={seconds=0.5}}")
    assert codes == [2, 2]
    assert all("a rhythm that all processes share" in x for x in said), said


def test_even_shares_of_a_penalty_are_those_of_the_whole_batch():
    # rejects: shares of a shard: two processes then have another penalty than one
    x, z = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    G, D = (
        torch.nn.Identity(),
        torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double(),
    )

    def penalty(shard, batch):
        term = gd.losses.gradient_penalty(1.0, shard=shard)
        return term.value({"G": G, "D": D}, {}, batch)

    whole = penalty(None, (x, z))
    parts = [penalty((r, 3), (x[r::3], z[r::3])) for r in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole, rtol=0, atol=1e-14)


class TestShards:
    def test_they_make_up_the_batch(self):
        # rejects: a rank's noise drawn by itself; an epoch that a rank ends earlier
        source = data.load("digits")
        whole = source.batches(12, latent=3, seed=4)
        parts = [source.batches(12, latent=3, seed=4, shard=(r, 3)) for r in range(3)]
        for _ in range(200):  # more than an epoch
            x, z = next(whole)
            shards = [next(p) for p in parts]
            for r, (item, noise) in enumerate(shards):
                assert torch.equal(item, x[r::3])
                assert torch.equal(noise, z[r::3])

    def test_of_a_loader(self):
        samples = torch.arange(24.0).reshape(12, 2)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(samples), batch_size=4, shuffle=True)
        whole, mine = (gd.batches(loader, latent=2, seed=1, shard=s) for s in (None, (1, 2)))
        for _ in range(5):
            (item,), noise = next(whole)
            (own,), part = next(mine)
            assert torch.equal(own, item[1::2])
            assert torch.equal(part, noise[1::2])

    def test_their_place_is_one(self):
        stream = gd.batches(torch.arange(40.0).reshape(20, 2), latent=2, seed=1, batch_size=4, shard=(1, 2))
        for _ in range(7):
            next(stream)
        other = gd.batches(torch.arange(40.0).reshape(20, 2), latent=2, seed=1, batch_size=4, shard=(0, 4))
        whole = gd.batches(torch.arange(40.0).reshape(20, 2), latent=2, seed=1, batch_size=4)
        for s in (other, whole):
            s.load_state_dict(stream.state_dict())
        mine, x = next(stream), next(whole)
        assert torch.equal(mine[0], x[0][1::2])
        assert torch.equal(next(other)[1], x[1][0::4])

    def test_what_is_no_sample_stays_whole_and_text_is_refused(self):
        class Items(torch.utils.data.Dataset):
            def __len__(self):
                return 8

            def __getitem__(self, i):
                return {"x": torch.full((2,), float(i)), "name": f"n{i}"}

        def collate(items):
            return {"x": torch.stack([i["x"] for i in items]), "weights": torch.ones(10)}

        loader = torch.utils.data.DataLoader(Items(), batch_size=4, collate_fn=collate)
        item = next(gd.batches(loader, seed=0, shard=(1, 2)))
        assert item["x"].shape == (2, 2)
        assert item["weights"].shape == (10,)
        with pytest.raises(gd.ArgumentError, match="text"):
            next(gd.batches(torch.utils.data.DataLoader(Items(), batch_size=4), seed=0, shard=(1, 2)))

    @pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
    def test_no_shard(self, shard):
        with pytest.raises(gd.ArgumentError, match="shard"):
            gd.batches(torch.zeros(4, 1), shard=shard)

    def test_uneven(self):
        with pytest.raises(gd.ArgumentError, match="ranks can share evenly"):
            next(gd.batches(torch.zeros(9, 1), batch_size=9, shard=(0, 2)))


def test_alone():
    assert Place().shard is None
    assert Place().first
    assert len(code_digest()) == 16
