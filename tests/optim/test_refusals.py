"""What the optimiser refuses, and how it says so."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import gamedyn as gd
from gamedyn.optim import GameOptimizer


@pytest.fixture
def players():
    g = torch.Generator().manual_seed(0)
    G, D = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    with torch.no_grad():
        for p in [*G.parameters(), *D.parameters()]:
            p.copy_(0.5 * torch.randn(p.shape, generator=g))
    return G, D


@pytest.fixture
def optimizer(players):
    return GameOptimizer(dict(zip("GD", players, strict=True)), "rk4", lr={"G": 0.1, "D": 0.2})


@pytest.fixture
def losses(players):
    G, D = players
    g = torch.Generator().manual_seed(1)
    real, z = torch.randn(8, 2, generator=g), torch.randn(8, 2, generator=g)

    def closure():
        fake = D(G(z))
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}

    return closure


@pytest.fixture
def refused(players, optimizer):
    """A step that is refused with a message, and leaves the parameters as they were."""

    def check(closure, said, by=gd.ArgumentError, optimizer=optimizer):
        before = [p.detach().clone() for m in players for p in m.parameters()]
        with pytest.raises(by, match=said):
            optimizer.step(closure)
        now = [p for m in players for p in m.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
        assert all(p.grad is None for p in now)

    return check


def test_it_is_an_optimizer_with_a_group_per_player(players, optimizer):
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [("G", 0.1), ("D", 0.2)]
    for group, player in zip(optimizer.param_groups, players, strict=True):
        assert all(p is q for p, q in zip(group["params"], player.parameters(), strict=True))
    optimizer.zero_grad()
    assert "name: G" in repr(optimizer)


@pytest.mark.parametrize("closure", [None, 3])
def test_a_step_needs_a_closure(refused, closure):
    refused(closure, "closure: expected a function without arguments")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: None, "one loss for each of .*got NoneType"),
        (lambda x: (x["G"], x["D"]), "got tuple"),
        (lambda x: {"G": x["G"]}, r"got \['G'\]"),
        (lambda x: {**x, "E": x["G"]}, r"got \['G', 'D', 'E'\]"),
        (lambda x: {**x, "D": x["D"].reshape(1)}, r"scalar tensor as loss of 'D', got shape \(1,\)"),
        (lambda x: {**x, "D": 0.5}, "scalar tensor as loss of 'D', got float"),
        (lambda x: {**x, "D": x["D"].detach()}, "depends on player 'D'.*detach"),
    ],
)
def test_what_a_closure_must_return(refused, losses, change, said):
    # rejects: an error from inside autograd, or a step with one player standing still
    refused(lambda: change(losses()), f"closure: expected .*{said}")


def test_a_loss_that_does_not_reach_its_player(players, refused, losses):
    _, D = players
    closure = lambda: {**losses(), "G": D(torch.ones(3, 2)).mean()}  # noqa: E731
    refused(closure, "depends on player 'G', got one that does not")


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("floats", [False, True])
def test_backward_in_the_closure(optimizer, refused, losses, retain, late, floats):
    # rejects: a step on gradients that a freed or an accumulated graph has spoilt
    calls = []

    def closure():
        values = losses()
        calls.append(1)
        if late and len(calls) <= 3 + 4 + 2:  # the trial, a first step, two stages of the second
            return values
        values["D"].backward(retain_graph=retain)
        return {n: v.item() for n, v in values.items()} if floats else values

    if late:
        optimizer.step(closure)
    refused(closure, r"a function that does not call backward.*return the losses")
    assert len(calls) in ((10, 11) if late else (1,))  # a graph that was kept shows at the end of the step
    optimizer.step(losses)  # and nothing of it is left


def test_a_batch_drawn_inside_the_closure(players, refused):
    # rejects: stages on different batches
    G, D = players
    loader = iter(torch.randn(100, 8, 2, generator=torch.Generator().manual_seed(2)))
    z = torch.ones(8, 2)

    def closure():
        fake, real = D(G(z)), next(loader)
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}

    refused(closure, r"closure: expected a deterministic function.*draw the batch before the closure")


def test_noise_of_a_generator_of_its_own_inside_the_closure(players, refused):
    g = torch.Generator().manual_seed(3)
    G, D = players

    def closure():
        fake = D(G(torch.randn(8, 2, generator=g)))
        return {"G": softplus(-fake).mean(), "D": softplus(fake).mean()}

    refused(closure, "noise too, unless it comes from a default generator")


def test_parameters_taken_out_before_the_closure(players, refused, losses):
    # rejects: a decay term that no stage sees
    taken = list(players[0].parameters())

    def closure():
        values = losses()
        return {**values, "G": values["G"] + 0.1 * sum(p.square().sum() for p in taken)}

    refused(closure, r"captured from outside.*list\(D\.parameters\(\)\) there")


def test_errors_of_the_closure_come_through(refused):
    refused(lambda: 1 / 0, "division", by=ZeroDivisionError)


def test_gradient_scaling(optimizer, losses):
    # rejects: a step that ignores the scale, or leaves the scaler's marks on the optimiser
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(()))
    with pytest.raises(gd.GamedynError, match=r"no loss scaling.*got a torch\.amp\.GradScaler"):
        scaler.step(optimizer, losses)
    assert not hasattr(optimizer, "grad_scale")
    assert not hasattr(optimizer, "found_inf")


def test_a_disabled_scaler_is_no_scaler(optimizer, losses):
    values = torch.amp.GradScaler("cpu", enabled=False).step(optimizer, losses)
    assert set(values) == {"G", "D"}


def test_terms_that_need_a_batch(players, refused, losses):
    players = dict(zip("GD", players, strict=True))
    optimizer = GameOptimizer(players, "rk4", lr=0.1, terms=[gd.losses.r1(1.0)])
    refused(losses, r"terms: expected term 'r1'.*real=lambda batch: x", optimizer=optimizer)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"lr": -0.1}, gd.ArgumentError, "lr of 'G': expected a finite number of at least 0"),
        ({"lr": float("nan")}, gd.ArgumentError, "at least 0"),
        ({"lr": "fast"}, gd.ArgumentError, "at least 0"),
        ({"lr": {"G": 0.1}}, gd.ArgumentError, r"none for \['D'\]"),
        ({"lr": {"G": 0.1, "D": 0.1, "E": 0.1}}, gd.UnknownNameError, "known: D, G"),
        ({"lr": {"G": 0.1, "D": -1.0}}, gd.ArgumentError, "lr of 'D'"),
        ({"method": "rk44"}, gd.UnknownNameError, "rk4"),
        ({"solver": 3}, gd.ArgumentError, "solver: expected none"),
        ({"terms": gd.losses.squared_gradient(0.1)}, gd.ArgumentError, "a sequence of terms"),
        ({"terms": [3]}, gd.ArgumentError, "term: expected a term"),
        ({"terms": [gd.losses.squared_gradient(0.1, of="E")]}, gd.UnknownNameError, "known: D, G"),
        ({"players": {}}, gd.ArgumentError, "at least one player"),
    ],
)
def test_what_it_is_made_of(players, given, error, said):
    arguments = {"players": dict(zip("GD", players, strict=True)), "method": "rk4", "lr": 0.1, **given}
    with pytest.raises(error, match=said):
        GameOptimizer(arguments.pop("players"), arguments.pop("method"), **arguments)


def test_rates_that_become_nonsense(optimizer, refused, losses):
    optimizer.param_groups[1]["lr"] = float("inf")
    refused(losses, r"lr of 'D': expected a finite number of at least 0")


@pytest.mark.parametrize("given", [None, 3, [1], {}, {"game": None}, {"game": {"method": "rk4"}}, "adam", "part"])
def test_states_that_are_none(optimizer, given):
    # rejects: AttributeError and KeyError from inside, an optimiser that is half loaded
    if given == "adam":
        given = torch.optim.Adam([torch.ones(1)]).state_dict()
    elif given == "part":
        given = {k: v for k, v in optimizer.state_dict().items() if k != "param_groups"}
    with pytest.raises(gd.ArgumentError, match=r"state_dict: expected one that a GameOptimizer gave, got"):
        optimizer.load_state_dict(given)
    assert optimizer.steps == 0


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o, **how: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=6, **how),
        lambda o, **how: torch.optim.lr_scheduler.CyclicLR(o, 0.05, 0.2, step_size_up=2, **how),
    ],
)
def test_schedules_that_would_cycle_a_momentum(optimizer, losses, schedule):
    # as docs/howto/own_loop.md says
    with pytest.raises(ValueError, match="momentum or beta1 with `cycle_momentum`"):
        schedule(optimizer)
    scheduler, seen = schedule(optimizer, cycle_momentum=False), []
    for _ in range(4):
        optimizer.step(losses)
        scheduler.step()
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert len({lr for _, lr in seen}) > 1
    assert optimizer.steps == 4


def test_groups_cannot_be_added(optimizer):
    with pytest.raises(gd.ArgumentError, match="with all players"):
        optimizer.add_param_group({"params": [torch.ones(1)]})


def test_it_is_kept_by_its_state(optimizer):
    with pytest.raises(gd.ArgumentError, match="its state_dict"):
        copy.deepcopy(optimizer)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda G: G.load_state_dict(copy.deepcopy(G.state_dict()), assign=True), "replaced or taken away"),
        (lambda G: G.double(), "float64 on cpu"),
        (lambda G: G.bias.requires_grad_(False), "frozen since"),
    ],
)
def test_players_that_changed_under_it(players, optimizer, refused, losses, change, said):
    # rejects: steps of parameters that the modules no longer hold, or that were frozen since
    optimizer.step(losses)
    change(players[0])
    refused(losses, f"players: expected .*{said}.*make a new optimiser")
