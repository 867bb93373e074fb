"""A captured step is the eager step bit for bit, on every family that captures and every game; the rest say why not."""

from __future__ import annotations

import gc
import random

import numpy as np
import pytest
import torch

import gamedyn as gd
from gamedyn.integrators import stepper
from gamedyn.integrators.execution.captured import CapturedStep
from gamedyn.jacobian import FrozenField
from tests.contracts.members import EVERY, small_gan
from tests.contracts.test_zoo import rewound
from tests.contracts.zoo import ZOO, adversarial

DOUBLE = torch.float64
CAPTURES = {name: m for name, m in EVERY.items() if not m.host_decides}
GAMES = {f"{name}-{i}": make for name, f in gd.games.members().items() for i, make in enumerate(f.examples)}
EAGER = "ignore:steps run eagerly"


def leaves(x):
    return [v for v in torch.utils._pytree.tree_leaves(x) if isinstance(v, torch.Tensor)]


def moved(batch, n):
    """Another batch of the same kind at every step."""
    change = lambda x: x * (1 + 0.01 * n) if isinstance(x, torch.Tensor) and x.is_floating_point() else x  # noqa: E731
    return torch.utils._pytree.tree_map(change, batch)


def assert_same_steps(flow, method, batch, *, steps=7, h=0.02):
    """As many steps both ways, on changing batches, times, and h where it may change: the same bits."""
    y = flow.initial_state().y
    ways = []
    for make in (lambda s: s, CapturedStep):
        field, own = FrozenField(flow, flow.initial_state().buffers), stepper(method)
        field.open(y, batch)
        ways.append([field, make(own), y.clone(), own.init(field, 0.0, y, h)])
    captured = ways[1][1]
    for n in range(steps + method.steps):
        t = torch.tensor(0.3 + h * n, dtype=DOUBLE)
        span = torch.tensor(h * (1 + 0.1 * n if captured.stepper.changes_h else 1), dtype=y.dtype)
        for way in ways:
            field, by, point, memory = way
            field.begin_step(moved(batch, n), n)
            with field.session(), torch.no_grad():
                way[2], way[3], info = by.step(field, t, point, span, memory)
            assert info.status == "ok"
        (one, _, a, kept), (other, _, b, seen) = ways
        assert torch.equal(a, b), f"step {n}: {float((a - b).abs().max()):.3g}"
        if captured.stepper.started(kept):  # before, some of it is empty
            for x, z in zip(leaves(kept), leaves(seen), strict=True):
                assert torch.equal(x, z)
        for x, z in zip((*one.losses, *one.buffers), (*other.losses, *other.buffers), strict=True):
            assert torch.equal(x, z)
        assert one.work == other.work
    assert captured.report == {"execution": "captured", "captured_kinds": 1}


def fits(method, flow):
    """Whether a method can step a flow at all: what the eager stepper itself says."""
    field = FrozenField(flow)
    try:
        stepper(method).init(field, 0.0, field.point, 0.1)
    except (gd.ArgumentError, gd.UnknownNameError):
        return False
    return True


FEW = ("gan-0", "dirac_gan-0", "cyclic-0")
FAMILIES = {type(stepper(m)).__name__: name for name, m in CAPTURES.items()}


def assert_same_on(name, games):
    done = []
    for label in games:
        game, batch = GAMES[label]()
        method = CAPTURES[name]
        if not fits(method, gd.flows.gradient(game)):
            continue
        try:
            assert_same_steps(gd.flows.gradient(game), method, batch, steps=4)
        except AssertionError as error:
            raise AssertionError(f"{name} on {label}: {error}") from error
        done.append(label)
    return done


@pytest.mark.parametrize("name", [n for n in CAPTURES if not n.startswith("rk4_penalty")])
def test_every_method_is_the_eager_step_bit_for_bit(name):
    # rejects: h, t, a batch or memory burnt in; rooms of the recording that the memory still holds; work not counted
    assert assert_same_on(name, FEW)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "AdditiveStepper"])
def test_every_family_on_every_game(family):
    # rejects: a loss whose host reads are not seen; games of more players, of one, of tensors, of batches
    assert len(assert_same_on(FAMILIES[family], GAMES)) > 8


@pytest.mark.parametrize(
    "name", ["euler", "rk4", "ab3", "alternating", "kg32", "rk4_penalty_after_step", "rk4_penalty_first_stage"]
)
def test_with_penalties_and_rates_and_their_double_backward(name):
    g = torch.Generator().manual_seed(7)
    batch = (torch.randn(6, 2, dtype=DOUBLE, generator=g), torch.randn(6, 2, dtype=DOUBLE, generator=g))
    flow = gd.flows.gradient(small_gan(), rates={"D": 2.0}).with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
    assert_same_steps(flow.with_term(gd.losses.r1(0.2)), gd.methods.get(name), batch)


@pytest.mark.parametrize("name", ["rk4", "alternating"])
def test_a_field_of_time(name):
    # rejects: t burnt in
    flow = gd.flows.custom(lambda t, s, _: {"x": -t * s["y"], "y": t * t * s["x"]}, like=gd.games.bilinear())
    assert_same_steps(flow, gd.methods.get(name), None)


REFUSED = {
    "Python's random numbers": "losses that draw",
    "NumPy's random numbers": "losses that draw",
    "dropout": "losses that draw",
    "own attribute": "belongs to no state",
    "a net outside with batch norm": "belongs to no state",
}


@pytest.mark.filterwarnings(EAGER)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", list(ZOO))
@pytest.mark.parametrize("method", ["heun2", "ab2", "alternating"])
def test_awkward_modules_are_stepped_alike_or_eagerly(case, method):
    # rejects: buffers that stand still in replays, or advance in every stage; a host's number frozen in
    def run(execution):
        rewound(start)
        made = ZOO[case]()
        game = gd.Game({"G": made.G.double(), "D": made.D.double()}, made.losses or adversarial)
        g = torch.Generator().manual_seed(1)
        stream = [(torch.randn(7, 3, generator=g, dtype=DOUBLE), torch.randn(7, 2, generator=g, dtype=DOUBLE))] * 5
        stream = [moved(b, n) for n, b in enumerate(stream)]
        return gd.solve(gd.flows.gradient(game), method, h=0.05, steps=5, batches=iter(stream), execution=execution)

    start = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    if not ZOO[case]().steps:
        with pytest.raises(gd.ArgumentError):
            run("captured")
        return
    eager, captured = run("eager"), run("captured")
    how = captured.stats["execution"]
    assert how == "captured" or how.startswith("eager, not captured: ")
    tolerance = 0.0 if how != "captured" else 1e-12  # h as a number and as a tensor round differently
    torch.testing.assert_close(captured.state.y, eager.state.y, rtol=0, atol=tolerance)
    for a, b in zip(captured.state.buffers, eager.state.buffers, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
    if case in REFUSED:
        assert how.startswith("eager, not captured: "), how
        assert REFUSED[case] in how


@pytest.mark.filterwarnings(EAGER)
@pytest.mark.parametrize("name", sorted(set(EVERY) - set(CAPTURES)))
def test_families_that_cannot_say_why_in_the_listing_and_step_as_ever(name):
    method = EVERY[name]
    assert method.host_decides
    row = next((r for r in gd.methods.table() if r.name == method.name), None)
    assert row is None or (not row.whole and row.host_decides == method.host_decides)
    if name.startswith(("torchdiffeq:", "scipy:", "torch.optim:")) and name not in (
        "torchdiffeq:rk4",
        "scipy:RK45",
        "torch.optim:Adam",
    ):
        return
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
    if method.fixed_players not in (None, 2) if hasattr(method, "fixed_players") else False:
        return
    if hasattr(method, "parts") and not set(method.parts) <= set(flow.parts):
        return
    eager, captured = (gd.solve(flow, method, h=0.05, steps=3, execution=e) for e in ("eager", "captured"))
    assert captured.stats["execution"].startswith("eager, not captured: ")
    assert method.host_decides in captured.stats["execution"]
    assert torch.equal(eager.state.y, captured.state.y)


def losses_reading(read):
    def losses(x, y):
        value = (x * y).sum()
        return {"x": read(value, x), "y": -value}

    return losses


READING = {
    "item": (lambda v, x: v * float(x.detach().sum() > -100), "reads a tensor on the host"),
    "a branch": (lambda v, x: v if (x.detach() > -9).all() else 2 * v, "reads a tensor on the host"),
    "a mask": (lambda v, x: v + 0 * x[x.detach() > 0].sum(), "reads a tensor on the host"),
    "nonzero": (lambda v, x: v + 0 * len(x.detach().nonzero()), "reads a tensor on the host"),
    "tolist": (lambda v, x: v * (1 + 0 * x.detach().tolist()[0]), "tolist() reads"),
    "numpy": (lambda v, x: v * (1 + 0 * x.detach().numpy()[0]), "numpy() reads"),
    "from_dlpack": (lambda v, x: v * (1 + 0 * float(np.from_dlpack(x.detach())[0])), "__dlpack__() reads"),
    "an inverse": (
        lambda v, x: v + 0 * torch.linalg.inv(torch.eye(2, dtype=DOUBLE)).sum(),
        "_linalg_check_errors reads",
    ),
    "a number made a tensor": (lambda v, x: v * torch.tensor(1.0, dtype=DOUBLE), "made of Python's numbers"),
}


@pytest.mark.parametrize("kind", list(READING))
def test_what_a_gpu_would_wait_for_is_refused_by_name_and_stepped_eagerly(kind):
    # rejects: a value that the host read while recording, held for ever
    read, why = READING[kind]
    x, y = torch.ones(2, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)
    flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses_reading(read)))
    with pytest.warns(UserWarning, match="steps run eagerly, not captured: CannotCaptureError"):
        run = gd.solve(flow, "rk4", h=0.1, steps=4, execution="captured")
    assert why in run.stats["execution"]
    assert torch.equal(run.state.y, gd.solve(flow, "rk4", h=0.1, steps=4).state.y)


@pytest.mark.parametrize("name", ["rk4", "ab2", "kg32", "alternating", "halpern", "normalised"])
def test_replays_allocate_nothing_that_stays(name):
    # rejects: a room, a state or a batch kept for every step
    game = small_gan()
    batches = [(torch.randn(6, 2, dtype=DOUBLE), torch.randn(6, 2, dtype=DOUBLE)) for _ in range(3)]
    flow, method = gd.flows.gradient(game), gd.methods.get(name)
    field, own = FrozenField(flow), stepper(method)
    y = game.state().y
    field.open(y, batches[0])
    step, memory = CapturedStep(own), own.init(field, 0.0, y, 0.01)
    counts, places = [], set()
    for n in range(12):
        field.begin_step(batches[n % 3], n)
        with field.session(), torch.no_grad():
            y, memory, _ = step.step(field, 0.01 * n, y, 0.01, memory)
        if n in (7, 11):
            gc.collect()
            counts.append(sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects()))
        places.add((y.data_ptr(), *(x.data_ptr() for x in leaves(memory))) if n > method.steps else ())
    assert len(set(counts)) == 1, counts
    assert len(places - {()}) == 1  # fixed addresses


@pytest.mark.parametrize("method", ["rk4", "kg32", "alternating", "ab2", "halpern"])
def test_a_shape_of_its_own_is_recorded_anew_and_counted(method):
    # rejects: a point advanced by trial recordings, where the stepper advances it in place
    data = torch.randn(10, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    flow = gd.flows.gradient(small_gan())
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), batch_size=4)  # 4, 4, 2
    batches = [(x, x.flip(0)) for (x,) in loader] * 3
    eager, captured = (
        gd.solve(flow, method, h=0.05, steps=9, batches=iter(batches), execution=e) for e in ("eager", "captured")
    )
    assert captured.stats["captured_kinds"] == 2
    torch.testing.assert_close(eager.state.y, captured.state.y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", ["euler", "kg32", "alternating"])
def test_shapes_without_end_are_given_up(method):
    flow = gd.flows.gradient(small_gan())
    batches = [(torch.randn(n + 2, 2, dtype=DOUBLE),) * 2 for n in range(20)]
    with pytest.warns(UserWarning, match="16 kinds"):
        run = gd.solve(flow, method, h=0.05, steps=20, batches=iter(batches), execution="captured")
    torch.testing.assert_close(
        run.state.y, gd.solve(flow, method, h=0.05, steps=20, batches=iter(batches)).state.y, rtol=0, atol=1e-13
    )


def test_memory_that_others_write_is_seen():
    # rejects: batches taken for the same because their tensor is, as where NumPy fills a buffer again
    a = np.zeros((6, 2))
    t = torch.from_numpy(a)

    def stream():
        draw = np.random.default_rng(0)
        while True:
            a[:] = draw.normal(size=a.shape)
            yield t, t

    flow = gd.flows.gradient(small_gan())
    ends = [gd.solve(flow, "rk4", h=0.05, steps=5, batches=stream(), execution=e) for e in ("eager", "captured")]
    assert ends[1].stats["execution"] == "captured"
    torch.testing.assert_close(ends[0].state.y, ends[1].state.y, rtol=0, atol=1e-13)


def test_numbers_in_a_batch_are_told_apart_by_type_and_objects_refused():
    # rejects: 1, 1.0 and True on one recording; an object's tensors frozen
    x, y = torch.ones(2, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)

    def losses(x, y, batch):
        value = (x * y).sum() * (2.0 if isinstance(batch["k"], float) else 1.0)
        return {"x": value, "y": -value}

    flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
    batches = [{"k": k, "t": torch.ones(2)} for k in (1, 1.0, True, 1)]
    ends = [gd.solve(flow, "rk4", h=0.1, steps=4, batches=iter(batches), execution=e) for e in ("eager", "captured")]
    torch.testing.assert_close(ends[0].state.y, ends[1].state.y, rtol=0, atol=1e-13)

    class Bag:
        value = torch.ones(2)

    def of_bag(x, y, batch):
        value = (x * y * batch[0].value).sum()
        return {"x": value, "y": -value}

    flow, bag = gd.flows.gradient(gd.Game({"x": x, "y": y}, of_bag)), Bag()
    with pytest.warns(UserWarning, match="the batch holds a Bag, whose contents would be frozen"):
        gd.solve(flow, "rk4", h=0.1, steps=3, batches=iter([(bag, torch.ones(2))] * 3), execution="captured")


def test_clipped_flows_are_captured():
    flow = gd.flows.clipped(gd.flows.gradient(small_gan()), norm=0.1)
    batch = (torch.ones(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    ends = [gd.solve(flow, "rk4", h=0.1, steps=4, batch=batch, execution=e) for e in ("eager", "captured")]
    assert ends[1].stats["execution"] == "captured"
    torch.testing.assert_close(ends[0].state.y, ends[1].state.y, rtol=0, atol=1e-13)


class TestInARun:
    def runs(self, **how):
        flow = gd.flows.gradient(small_gan(), rates={"D": 2.0}).with_term(gd.losses.squared_gradient(0.1))
        data = torch.randn(12, 2, generator=torch.Generator().manual_seed(5), dtype=DOUBLE)
        stream = lambda: gd.batches(data, latent=2, batch_size=4, seed=1)  # noqa: E731
        return [gd.solve(flow, batches=stream(), execution=e, **how) for e in ("eager", "captured")]

    @pytest.mark.parametrize("method", ["rk4", "ab3", "kg32", "alternating", "lookahead_alternating"])
    def test_its_records_and_counts_are_the_eager_ones(self, method):
        eager, captured = self.runs(method=method, h=0.05, steps=9)
        assert captured.stats["execution"] == "captured"
        torch.testing.assert_close(eager.state.y, captured.state.y, rtol=0, atol=1e-12)
        for p in "GD":
            torch.testing.assert_close(eager.records.losses[p], captured.records.losses[p], rtol=0, atol=1e-12)
        for key in ("evaluations", "double_backward", "batches", "images"):
            assert eager.stats[key] == captured.stats[key]

    def test_states_that_were_kept_stay(self):
        # rejects: a state handed out that the next replay writes
        seen = []
        how = {"method": "rk4", "h": 0.05, "steps": 6, "observers": [lambda view: seen.append(view.state)]}
        eager, captured = self.runs(**how)
        first, second = seen[:6], seen[6:]
        for a, b in zip(first, second, strict=True):
            torch.testing.assert_close(a.y, b.y, rtol=0, atol=1e-12)
        assert not torch.equal(second[0].y, second[-1].y)
        del eager, captured

    def test_times_within_steps_and_a_last_short_one(self):
        eager, captured = self.runs(method="rk4", h=0.1, t_span=(0.0, 0.55), save_at=[0.17, 0.3])
        assert captured.stats["captured_kinds"] == 1
        for when in (0.17, 0.3):
            torch.testing.assert_close(eager.saved[when].y, captured.saved[when].y, rtol=0, atol=1e-12)
        torch.testing.assert_close(eager.state.y, captured.state.y, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("method", ["rk4", "ab2", "alternating"])
    def test_goes_on_from_an_eager_run_and_back(self, method):
        flow = gd.flows.gradient(small_gan())
        batch = (torch.ones(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
        whole = gd.solve(flow, method, h=0.05, steps=9, batch=batch)
        run = None
        for steps, execution in ((3, "eager"), (6, "captured"), (9, "eager")):
            run = gd.solve(flow, method, h=0.05, steps=steps, batch=batch, resume=run, execution=execution)
        torch.testing.assert_close(run.state.y, whole.state.y, rtol=0, atol=1e-12)

    def test_rates_that_change_and_a_player_that_stands_still(self):
        rates = {"D": lambda step: 0.0 if step == 2 else 1.0 / (1 + step)}
        eager, captured = self.runs(method="heun2", h=0.05, steps=6, rates=rates)
        assert captured.stats["execution"] == "captured"
        torch.testing.assert_close(eager.state.y, captured.state.y, rtol=0, atol=1e-12)

    def test_a_batch_changed_in_place_is_seen(self):
        batch = torch.ones(4, 2, dtype=DOUBLE)

        def batches():
            for n in range(5):
                batch.fill_(1.0 + n)
                yield batch, batch

        flow = gd.flows.gradient(small_gan())
        eager, captured = (
            gd.solve(flow, "rk4", h=0.05, steps=5, batches=batches(), execution=e) for e in ("eager", "captured")
        )
        torch.testing.assert_close(eager.state.y, captured.state.y, rtol=0, atol=1e-12)

    def test_ensembles(self):
        flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.3))
        eager, captured = (
            gd.solve_ensemble(flow, "rk4", h=[0.1, 0.2, 0.3], steps=6, execution=e) for e in ("eager", "captured")
        )
        assert captured.stats["execution"] == "captured"
        assert torch.equal(eager.state.y, captured.state.y)

    def test_figures_that_losses_return(self):
        def losses(x, y):
            value = (x * y).sum()
            return {"x": value, "y": -value, "size": x.detach().norm(), "one": 1.0}

        x, y = torch.ones(2, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)
        flow = gd.flows.gradient(gd.Game({"x": x, "y": y}, losses))
        seen = {"eager": [], "captured": []}
        for execution, found in seen.items():
            look = lambda view, found=found: found.append(float(view.figures["size"]))  # noqa: E731
            run = gd.solve(flow, "euler", h=0.1, steps=4, execution=execution, observers=[look])
            assert run.records.figures["one"].tolist() == [1.0] * 4
        assert seen["captured"] == pytest.approx(seen["eager"], abs=1e-12)

    def test_names(self):
        with pytest.raises(gd.ArgumentError, match="execution"):
            gd.solve(gd.flows.gradient(gd.games.bilinear()), "rk4", h=0.1, steps=1, execution="capture")


def test_a_step_taken_twice_from_one_point_is_the_same_step():
    # rejects: a point thought to lie in its place still, where the step has moved it
    flow = gd.flows.gradient(small_gan())
    batch = (torch.ones(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    field, step = FrozenField(flow), CapturedStep(stepper("rk4"))
    y = flow.initial_state().y
    field.open(y, batch)
    found = []
    for n in range(3):
        field.begin_step(batch, n)
        with field.session(), torch.no_grad():
            found.append(step.step(field, 0.0, y, 0.1, {})[0].clone())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_rooms_of_trials_are_let_go_of():
    # rejects: stages of every warm-up held by the field's views of them
    flow, batch = gd.flows.gradient(small_gan()), (torch.ones(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    field, step = FrozenField(flow), CapturedStep(stepper("rk4"))
    y = flow.initial_state().y
    field.open(y, batch)
    field.begin_step(batch, 0)
    with field.session(), torch.no_grad():
        step.step(field, 0.0, y, 0.1, {})
    assert not field._views


def test_losses_that_somebody_keeps_stay():
    # rejects: losses handed out that the next replay writes
    flow, batch = gd.flows.gradient(small_gan()), (torch.ones(4, 2, dtype=DOUBLE), torch.ones(4, 2, dtype=DOUBLE))
    field, step = FrozenField(flow), CapturedStep(stepper("rk4"))
    y = flow.initial_state().y
    field.open(y, batch)
    kept = []
    for n in range(4):
        field.begin_step(batch, n)
        with field.session(), torch.no_grad():
            y, _, _ = step.step(field, 0.0, y, 0.1, {})
        kept.append((field.losses, [x.clone() for x in field.losses]))
    for held, then in kept:
        assert all(map(torch.equal, held, then))
    assert not torch.equal(kept[0][1][0], kept[-1][1][0])
