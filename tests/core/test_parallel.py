"""Two processes, each with a part of the data, against one that has all of it.

The tests start `pair.py` twice, with a limit on time, and compare what the two wrote.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist

import gamedyn as gd
from gamedyn.core.parallel import data_parallel
from tests.core import pair
from tests.core.pair import (
    AHEAD,
    DEPARTED,
    FLOWS,
    NORMS,
    PAGE,
    SEES,
    SHARDS,
    SHARED,
    adam,
    adaptive,
    convex,
    data,
    dense,
    ensemble,
    gan,
    gradient,
    observed,
    operator,
    optimizer_steps,
    shard,
    solved,
    spectral,
    verdicts,
)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes saw; they are ended when their time is over."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    running = [subprocess.Popen([sys.executable, pair.__file__, str(rank), str(folder)], **pipes) for rank in range(2)]
    try:
        said = [process.communicate(timeout=200)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0, DEPARTED], "\n".join(said)
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2))
    return [{**first, "departed": torch.load(folder / "departed.pt", weights_only=False)}, second]


@pytest.fixture(scope="module")
def whole():
    """One process with all of the data."""
    return {name: observed(make(gan()), data()) for name, make in FLOWS.items()}


def gap(a, b):
    return float((a - b).norm() / b.norm().clamp_min(1.0))


@pytest.mark.parametrize("split", SHARDS)
@pytest.mark.parametrize("name", FLOWS)
class TestEqualities:
    def test_two_processes_equal_one(self, both, whole, split, name):
        # rejects: the mutants of TestMutants; J u of a shard; weights that are not the samples' shares
        for rank in range(2):
            for what, value in whole[name].items():
                assert gap(both[rank]["equalities"][split, name, what], value) < 1e-12, (rank, what)

    def test_ranks_agree_bit_for_bit(self, both, whole, split, name):
        # rejects: ranks that drift apart, and would take different branches one day
        for what in whole[name]:
            assert torch.equal(*[seen["equalities"][split, name, what] for seen in both]), what


class TestUsers:
    @pytest.mark.parametrize("name", ["gradient", "all"])
    def test_dense_jacobian(self, both, name):
        # rejects: rows of a batched backward that are reduced one for all, or not
        J = dense(FLOWS[name](gan()), data())
        assert all(gap(seen["users"]["dense", name], J) < 1e-12 for seen in both)

    @pytest.mark.parametrize("name", ["gradient", "r1"])
    def test_ensemble(self, both, name):
        # rejects: members mixed up in the flat buffer
        y = ensemble(FLOWS[name](gan()), data())
        assert all(gap(seen["users"]["ensemble", name], y) < 1e-12 for seen in both)

    @pytest.mark.parametrize("name", AHEAD)
    def test_sums_that_arrive_late(self, both, whole, name):
        # rejects: a gradient that is multiplied with a rate, or read, before all ranks' parts of it are there
        assert all(gap(seen["users"]["late"][name], whole[name]["field"]) < 1e-12 for seen in both)

    @pytest.mark.parametrize("method", SHARED)
    def test_stages_that_are_shared(self, both, method):
        # rejects: a share put in another place, a stage point of which others' shares are the last one's, a part of a
        # step that begins from what the step has reached
        saves = [0.05, 0.12] if method == "rk4" else ()
        run = solved(SHARED[method](gan()), data(), method, save_at=saves)
        whole = [run.state.y, *(s.y for s in run.saved.values())]
        for seen in both:
            states = seen["users"]["shared stages"][0][method]
            assert len(states) == len(whole)
            assert all(gap(a, b) < 1e-12 for a, b in zip(states, whole, strict=True))

    def test_shared_stages_take_a_share_of_the_memory(self, both):
        # rejects: whole stages, or a whole copy of y, kept by each: 5 registers are half as many; the point, the
        # gradients and what is sent of them, the last checked state and the players' own are whole
        for seen in both:
            full, shared = seen["users"]["shared stages"][1]
            assert shared <= 5 / 2 + 5 + 0.1
            assert full >= shared + 2.4

    def test_converged_spectral_norms(self, both):
        # rejects: the gradient in the vectors, which are functions of the leaves, added to one that is on its way
        flow = gradient(spectral())
        value = flow.field(data())(0.0, flow.game.state().y)
        J = dense(flow, data())
        for seen in both:
            assert gap(seen["users"]["late"]["spectral"], value) < 1e-12
            assert gap(seen["users"]["spectral"], J) < 1e-9

    @pytest.mark.parametrize("strategy", ["forward", "kept"])
    def test_operator(self, both, strategy):
        # rejects: tangents of a shard, in the strategy that has dual numbers
        product = operator(FLOWS["all"](gan()), data(), "kept")
        assert all(gap(seen["users"][strategy], product) < 1e-12 for seen in both)

    def test_what_is_compiled_or_chosen(self, both):
        # rejects: ranks that compile each by itself; a rank that has less memory choosing by itself
        for seen in both:
            kind, text = seen["users"]["compiled"]
            assert kind == "ArgumentError"
            assert "to be traced, got 2 ranks" in text
            assert seen["users"]["least"] == 2.0
        assert (gan().processes.alone, gan().processes.least(3.0)) == (True, 3.0)

    def test_a_flow_of_another_game(self, both):
        # rejects: losses that go past the ranks in the game that adam extends
        y = adam(gradient(gan()), data())
        assert all(gap(seen["users"]["adam"], y) < 1e-12 for seen in both)

    def test_optimizer(self, both):
        # rejects: a closure's losses that stay the shard's
        y = optimizer_steps(gan().players, data())
        assert all(gap(seen["users"]["optimizer"], y) < 1e-12 for seen in both)

    def test_implicit_and_adaptive(self, both):
        # rejects: ranks that iterate or reject differently; 1e-9: Newton's and the controller's own tolerances decide
        newton = solved(FLOWS["r1"](gan()), data(), "implicit_midpoint").state.y
        for what, value in (("implicit", newton), ("adaptive", adaptive(gradient(gan()), data()))):
            assert all(gap(seen["users"][what], value) < 1e-9 for seen in both)
            assert torch.equal(*[seen["users"][what] for seen in both])

    def test_verdict_confirmation_and_monitor(self, both):
        # rejects: the shard's second derivatives in the leader's Hessian, a start or a stop that differs by rank
        for what, flow in (("verdicts", FLOWS["r1"](gan())), ("verdicts, convex", gd.flows.gradient(convex()))):
            found = verdicts(flow, data())
            assert len(found) >= 12
            for seen in both:
                torch.testing.assert_close(seen["users"][what], found, rtol=1e-7, atol=1e-9, equal_nan=True)


class TestMutants:
    """The tests above reject each: by the quantity named, on a rank at least."""

    @pytest.mark.parametrize(
        ("label", "name", "what"),
        [
            ("no reduction backwards", "gradient", "field"),
            ("a reduction without a derivative", "squared_gradient", "field"),
            ("cotangents of gradients not reduced", "gradient", "J u"),
            ("cotangents of gradients not reduced", "squared_gradient", "J^T w"),
            ("a sum that is summed again backwards", "gradient", "J^T w"),
            ("a sum that is summed again backwards", "consensus", "field"),
            ("sums that are not waited for", "gradient", "field"),
            ("sums that are not waited for", "r1", "field"),
            ("sum instead of mean", "gradient", "field"),
            ("penalty of the shard", "squared_gradient", "field"),
        ],
    )
    def test_rejected(self, both, whole, label, name, what):
        assert max(gap(seen["mutants"][label, name, what], whole[name][what]) for seen in both) > 1e-4

    def test_states_that_come_apart_are_told_on_both(self, both):
        for seen in both:
            kind, text = seen["mutants"]["told"]
            assert kind == "ArgumentError"
            assert text.startswith("state: expected one state on all ranks, got another than rank 0's on rank 1")


def told(both, what):
    return [seen["failures"][what] for seen in both]


class TestFailures:
    def test_unequal_starts_are_refused_on_both(self, both):
        for kind, text in told(both, "unequal parameters"):
            assert kind == "ArgumentError"
            assert text.startswith("game: expected equal values on all ranks, got other than on rank 0: D.2.weight on")
        for what in ("unequal y0", "unequal state"):
            for kind, text in told(both, what):
                assert kind == "ArgumentError"
                assert text.startswith("state: expected equal values on all ranks, got other than on rank 0: G.")

    def test_other_arguments_are_refused_on_both(self, both):
        for what, start in {
            "another game": "game: expected one game on all ranks, got other players, shapes or dtype on rank 1",
            "weights": "weight: expected numbers above 0 that add up to 1 over the ranks, got [0.4, 0.4]",
            "one weight": "weight: expected numbers above 0 that add up to 1 over the ranks, got [None, 0.5]",
            "negative weight": "weight: expected numbers above 0 that add up to 1 over the ranks, got [-0.5, 1.5]",
            "twice": "game: expected a game of one process",
        }.items():
            for kind, text in told(both, what):
                assert kind == "ArgumentError", what
                assert text.startswith(start)

    def test_nan_on_one_rank_ends_both(self, both):
        # rejects: a rank that goes on with finite values while the other stops
        assert told(both, "nan") == [("non_finite", 0, True)] * 2
        for kind, text in told(both, "nan thrown"):
            assert kind == "SolveError"
            assert "not finite at the start" in text

    def test_a_batch_that_one_rank_refuses(self, both):
        (kind0, text0), (kind1, text1) = told(both, "batch of one rank")
        assert (kind0, kind1) == ("ArgumentError", "ArgumentError")
        assert text0.startswith("game: expected a game that every rank can evaluate, got on rank 1, ArgumentError")
        assert SEES in text0
        assert text1.startswith("losses: expected a function that takes the players and the batch")

    @pytest.mark.parametrize("name", ["gradient", "r1", "ensemble"])
    def test_a_loss_that_raises_on_one_rank_later(self, both, name):
        # rejects: the other rank waiting for a sum that never comes
        (kind0, text0), (kind1, text1) = told(both, ("breaks", name))
        assert kind0 == "ArgumentError"
        assert text0.startswith("losses: expected losses that every rank can evaluate, got an error on rank 1")
        assert kind1 == ("RuntimeError" if name == "ensemble" else "KeyError")
        assert SEES not in text1

    def test_a_compiled_step_falls_back_on_both(self, both):
        y = solved(gradient(gan()), data()).state.y
        for reason, found in told(both, "compiled"):
            assert reason.startswith("eager, not compiled: ranks wait for one another")
            assert gap(found, y) < 1e-12

    def test_losses_that_draw(self, both):
        # each rank draws its own; the solve is one all the same
        (first, y), (second, z) = told(both, "drawing")
        assert (first, second) == ("done", "done")
        assert torch.equal(y, z)

    def test_a_rank_that_ends_ends_the_other(self, both):
        # rejects: waiting until the group's timeout (the fixture asks for rank 1's exit code)
        kind, text, seconds = both[0]["departed"]
        assert kind.endswith("Error")
        assert text
        assert seconds < 30

    def test_without_a_process_group(self):
        with pytest.raises(gd.ArgumentError, match="init_process_group"):
            data_parallel(gan())


class TestNorms:
    def test_batch_norm_takes_the_shards_statistics(self, both):
        # what the docstring says: the mean of the shards' fields, each at its own statistics; their buffers differ
        fields = []
        for rank in range(2):
            game = gan(NORMS[0][1]())
            fields.append(gradient(game).field(shard(rank, SHARDS["equal"]))(0.0, game.state().y))
        for seen in both:
            assert gap(seen["norms"]["batch"][0], (fields[0] + fields[1]) / 2) < 1e-12
        assert not torch.equal(*[seen["norms"]["batch"][1][0] for seen in both])

    @pytest.mark.parametrize("at", [1, 2])
    def test_other_norms_are_exact(self, both, at):
        name, norm, train = NORMS[at]
        game = gan(norm())
        game.players["D"].train(train)
        value = gradient(game).field(data())(0.0, game.state().y)
        assert all(gap(seen["norms"][name][0], value) < 1e-12 for seen in both)


def test_the_page_runs(tmp_path):
    # rejects: a page whose script fails under torchrun, or whose two processes differ from one
    (script,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    two = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert two.returncode == 0, two.stderr
    alone = 'init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)'
    with contextlib.redirect_stdout(io.StringIO()) as one:
        exec(compile(script.replace('init_process_group("gloo")', alone), "data_parallel.md", "exec"), {})
    assert not dist.is_initialized()
    assert two.stdout == one.getvalue()
    assert re.search(r"done 40 \|v\| = \d", two.stdout)
