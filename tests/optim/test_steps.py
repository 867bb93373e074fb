"""Steps of the optimiser are those of `solve` and, for Euler's method, of torch's SGD."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

import gamedyn as gd
from gamedyn.jacobian import FrozenField
from gamedyn.optim import GameOptimizer

LR = {"G": 0.05, "D": 0.125}


def networks(seed=0, *, norm=False, spectral=False, dropout=0.0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(3, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Dropout(dropout), nn.Tanh()]
    G = nn.Sequential(*layers, nn.Linear(8, 2))
    first = spectral_norm(nn.Linear(2, 8)) if spectral else nn.Linear(2, 8)
    D = nn.Sequential(first, nn.Tanh(), nn.Linear(8, 1))
    for module in (G.to(dtype), D.to(dtype)):
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.dim() == 1 and spectral)]:
            tensor.data = torch.randn(tensor.shape, generator=g, dtype=dtype) * 0.5
    return G, D


def batches(count, dtype=torch.float64, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(16, 2, generator=g, dtype=dtype), torch.randn(16, 3, generator=g, dtype=dtype))
        for _ in range(count)
    ]


def losses(G, D, batch):
    real, z = batch
    fake = D(G(z))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}


def flat(*modules):
    return torch.cat([p.detach().flatten() for m in modules for p in m.parameters()])


def trained(method, count, *, lr=LR, terms=(), scheduler=None, **kind):
    G, D = networks(**kind)
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=lr, terms=terms)
    schedule = scheduler(optimizer) if scheduler else None
    values = []
    for batch in batches(count, kind.get("dtype", torch.float64)):
        values.append(optimizer.step(lambda batch=batch: losses(G, D, batch)))
        if schedule:
            schedule.step()
    return G, D, values, optimizer


def solved(method, count, *, rates=LR, terms=(), **kind):
    G, D = networks(**kind)
    flow = gd.flows.gradient(gd.Game({"G": G, "D": D}, losses), rates=rates)
    for term in terms:
        flow = flow.with_term(term)
    return gd.solve(flow, method, h=1.0, steps=count, batches=iter(batches(count)))


@pytest.mark.parametrize(
    "scheduler",
    [
        None,
        lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25, total_iters=4),
    ],
)
def test_euler_is_sgd_bit_for_bit_at_rates_that_are_powers_of_two(scheduler):
    # rejects: a rate applied twice, one player's rate on both, a scheduler that is read a step late, players in turn
    lr = {"G": 0.0625, "D": 0.25}
    G, D, _, _ = trained("euler", 6, lr=lr, scheduler=scheduler)
    P, Q = networks()
    sgd = torch.optim.SGD([{"params": P.parameters(), "lr": lr["G"]}, {"params": Q.parameters(), "lr": lr["D"]}])
    schedule = scheduler(sgd) if scheduler else None
    for batch in batches(6):
        values = losses(P, Q, batch)
        own = [list(P.parameters()), list(Q.parameters())]
        grads = [
            *torch.autograd.grad(values["G"], own[0], retain_graph=True),
            *torch.autograd.grad(values["D"], own[1]),
        ]
        for p, g in zip(own[0] + own[1], grads, strict=True):
            p.grad = g
        sgd.step()
        if schedule:
            schedule.step()
    # a factor that is a power of two commutes with rounding; LinearLR's are not, and leave 1e-16 a step
    exact = not isinstance(schedule, torch.optim.lr_scheduler.LinearLR)
    assert torch.equal(flat(G, D), flat(P, Q)) if exact else torch.allclose(flat(G, D), flat(P, Q), rtol=0, atol=2e-15)


@pytest.mark.parametrize("method", ["euler", "rk4", "alternating", "ab2", "optimistic", "torchdiffeq:rk4"])
def test_steps_are_those_of_solve_bit_for_bit(method):
    # rejects: a stage at the old parameters, rates in the wrong place, a history that is lost between steps
    G, D, values, _ = trained(method, 6)
    run = solved(method, 6)
    assert torch.equal(flat(G, D), run.state.y)
    for name in ("G", "D"):
        assert torch.equal(torch.stack([v[name] for v in values]), run.records.losses[name])


@pytest.fixture
def random_state():
    """The default generator at a known place; put back afterwards."""
    with torch.random.fork_rng():
        start = torch.Generator().manual_seed(5).get_state()
        torch.set_rng_state(start)
        yield start


@pytest.mark.parametrize("method", ["rk4", "alternating", "ab3"])
def test_norms_and_dropout_advance_once_a_step(method, random_state):
    # rejects: buffers that advance at every stage, at none, or at the first step's trial; masks drawn anew at a stage;
    # random numbers that the trial uses up
    kind = {"norm": True, "spectral": True, "dropout": 0.3}
    G, D = networks(**kind)
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)
    P, Q = networks(**kind)
    flow = gd.flows.gradient(gd.Game({"G": P, "D": Q}, losses), rates=LR)
    torch.set_rng_state(random_state)
    for batch in batches(5):
        optimizer.step(lambda batch=batch: losses(G, D, batch))
    after = torch.get_rng_state()
    torch.set_rng_state(random_state)
    expected = stepped(flow, method, batches(5))
    assert torch.equal(flat(G, D), expected.y)
    for own, there in zip([*G.buffers(), *D.buffers()], expected.buffers, strict=True):
        assert torch.equal(own, there)
    assert torch.equal(after, torch.get_rng_state())
    assert int(G[1].num_batches_tracked) == 5


def stepped(flow, method, given):
    """The same steps by hand, by a field that owns copies of the buffers and replays its randomness."""
    state = flow.initial_state()
    field = FrozenField(flow, state.buffers)
    field.randomness = ("torch",)
    integrator, y = gd.integrators.stepper(method), state.y
    with torch.no_grad():
        memory = integrator.init(field, 0.0, y, 1.0)
        for i, batch in enumerate(given):
            field.begin_step(batch)
            y, memory, _ = integrator.step(field, float(i), y, 1.0, memory)
    return field.state(y)


def test_modes_may_change_between_steps(random_state):
    # rejects: modules that are put into training mode by the step; statistics or masks of a mode that was left
    G, D = networks(norm=True, spectral=True, dropout=0.5)
    G.eval(), D.eval()
    G[1].running_var.fill_(1.0)
    optimizer = GameOptimizer({"G": G, "D": D}, "heun2", lr=LR)
    (batch,) = batches(1)
    held = [b.clone() for b in [*G.buffers(), *D.buffers()]]
    optimizer.step(lambda: losses(G, D, batch))
    assert not any(m.training for m in [*G.modules(), *D.modules()])
    assert all(torch.equal(b, c) for b, c in zip([*G.buffers(), *D.buffers()], held, strict=True))
    G.train(), D.train()
    P, Q = networks(norm=True, spectral=True, dropout=0.5)
    P.load_state_dict(G.state_dict()), Q.load_state_dict(D.state_dict())
    flow = gd.flows.gradient(gd.Game({"G": P, "D": Q}, losses), rates=LR)
    torch.set_rng_state(random_state)
    optimizer.step(lambda: losses(G, D, batch))
    torch.set_rng_state(random_state)
    expected = stepped(flow, "heun2", [batch])
    assert torch.equal(flat(G, D), expected.y)
    assert int(G[1].num_batches_tracked) == 1


def test_noise_of_the_default_generator_inside_the_closure_is_frozen_over_a_step(random_state):
    # rejects: noise drawn anew at every stage; noise that only a later closure draws
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=LR)
    given = batches(3)
    seen = []

    def closure(batch, noisy):
        real, z = batch
        noise = 0.1 * torch.randn(real.shape, dtype=real.dtype) if noisy else torch.zeros_like(real)
        seen.append(noise)
        return losses(G, D, (real + noise, z))

    optimizer.step(lambda: closure(given[0], noisy=False))
    seen.clear()
    for batch in given[1:]:
        optimizer.step(lambda batch=batch: closure(batch, noisy=True))
    assert len(seen) == 8
    assert all(torch.equal(x, seen[0]) for x in seen[:4])
    assert all(torch.equal(x, seen[4]) for x in seen[4:])
    assert not torch.equal(seen[0], seen[4])


def test_what_the_start_of_a_method_draws_is_given_back(random_state):
    # rejects: random numbers used up by a method that evaluates before its first step
    G, D = networks(dropout=0.3)
    trapezoid = gd.methods.LinearMultistep(alpha=["-1", "1"], beta=["1/2", "1/2"])  # keeps v, from the start on
    optimizer = GameOptimizer({"G": G, "D": D}, trapezoid, lr=LR)
    (batch,) = batches(1)
    torch.set_rng_state(random_state)
    losses(G, D, batch)
    once = torch.get_rng_state()
    torch.set_rng_state(random_state)
    optimizer.step(lambda: losses(G, D, batch))
    assert torch.equal(torch.get_rng_state(), once)


class Counted(nn.Module):
    """Counts its own evaluations, which nothing knows how to hold."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.count += 1
        return x


def test_the_trial_leaves_every_buffer(random_state):
    # rejects: buffers of modules that are not known, changed by the evaluations before the first step
    G, D = networks()
    G.append(Counted())
    (batch,) = batches(1)
    optimizer = GameOptimizer({"G": G, "D": D}, "euler", lr=LR)
    for count in (1, 2):
        optimizer.step(lambda: losses(G, D, batch))
        assert int(G[-1].count) == count


def test_penalty_terms_join():
    # rejects: terms that are left out, or seen by the wrong player
    terms = (gd.losses.squared_gradient(0.3), gd.losses.weight_decay(0.1, into="G"))
    G, D, _, _ = trained("rk4", 4, terms=terms)
    assert torch.equal(flat(G, D), solved("rk4", 4, terms=terms).state.y)
    assert not torch.allclose(flat(G, D), flat(*trained("rk4", 4)[:2]), rtol=0, atol=1e-6)


def test_r1_closes_over_the_real_samples():
    G, D = networks()
    given = batches(3)
    current = None
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=LR, terms=(gd.losses.r1(1.0, real=lambda _: current[0]),))
    for batch in given:
        current = batch
        optimizer.step(lambda batch=batch: losses(G, D, batch))
    assert torch.equal(flat(G, D), solved("rk4", 3, terms=(gd.losses.r1(1.0),)).state.y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_players(dtype):
    # rejects: a tensor player that closures see at its old value, or whose gradient is lost
    x, y = torch.ones(2, dtype=dtype), torch.full((2,), 0.5, dtype=dtype)
    w = nn.Linear(2, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        w.weight.fill_(0.75)

    def value(x, y, w):
        return {
            "x": torch.stack([x, y]).prod(0).sum() + w(x).sum(),
            "y": -(x * y).sum() + y.square().sum(),
            "w": w(x - y).square().sum(),
        }

    game = gd.Game({"x": x.clone(), "y": y.clone(), "w": w}, value)
    run = gd.solve(gd.flows.gradient(game, rates={"x": 0.1, "y": 0.2, "w": 0.3}), "rk4", h=1.0, steps=3)
    optimizer = GameOptimizer({"x": x, "y": y, "w": w}, "rk4", lr={"x": 0.1, "y": 0.2, "w": 0.3})
    for _ in range(3):
        optimizer.step(lambda: value(x, y, w))
    assert torch.equal(torch.cat([x, y, w.weight.detach().flatten()]), run.state.y)
    assert not x.requires_grad


def test_what_others_write_between_steps_is_respected():
    # rejects: a copy of the parameters kept in the optimiser
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=LR)
    one, two = batches(2)
    optimizer.step(lambda: losses(G, D, one))
    P, Q = networks(seed=7)
    G.load_state_dict(P.state_dict())
    with torch.no_grad():
        for q, d in zip(Q.parameters(), D.parameters(), strict=True):
            d.lerp_(q, 0.5)
            q.copy_(d)
    optimizer.step(lambda: losses(G, D, two))
    GameOptimizer({"G": P, "D": Q}, "rk4", lr=LR).step(lambda: losses(P, Q, two))
    assert torch.equal(flat(G, D), flat(P, Q))


def test_the_same_parameter_objects_hold_the_new_values():
    G, D = networks()
    before = [(p, p.data_ptr(), p.detach().clone()) for m in (G, D) for p in m.parameters()]
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=LR)
    (batch,) = batches(1)
    values = optimizer.step(lambda: losses(G, D, batch))
    optimizer.zero_grad()
    for (p, place, old), now in zip(before, [*G.parameters(), *D.parameters()], strict=True):
        assert p is now
        assert now.data_ptr() == place
        assert now.grad is None
        assert now.is_leaf
        assert not torch.equal(old, now)
    assert not any(x.requires_grad for x in values.values())


def test_frozen_and_tied_parameters():
    # rejects: a frozen parameter that moves, one of two tied places that keeps the old value
    g = torch.Generator().manual_seed(3)
    G = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False), nn.Linear(3, 2)).double()
    G[2].weight = G[0].weight
    G[3].weight.requires_grad_(False)
    D = networks()[1]
    with torch.no_grad():
        for p in G.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    frozen = G[3].weight.clone()
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr=0.1)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 4]
    run = gd.solve(
        gd.flows.gradient(gd.Game({"G": G, "D": D}, losses), rates={"G": 0.1, "D": 0.1}),
        "rk4",
        h=1.0,
        steps=3,
        batches=iter(batches(3)),
    )
    for batch in batches(3):
        optimizer.step(lambda batch=batch: losses(G, D, batch))
    assert torch.equal(torch.cat([p.detach().flatten() for p in optimizer._own]), run.state.y)
    assert torch.equal(G[3].weight, frozen)
    assert G[2].weight is G[0].weight


def test_a_player_with_rate_zero_stands_still_and_can_begin_later():
    # rejects: a rate of 0 that is refused or taken for 1
    G, D = networks()
    optimizer = GameOptimizer({"G": G, "D": D}, "rk4", lr={"G": 0.0, "D": 0.1})
    one, two = batches(2)
    start = flat(G)
    optimizer.step(lambda: losses(G, D, one))
    assert torch.equal(flat(G), start)
    optimizer.param_groups[0]["lr"] = 0.1
    P, Q = networks()
    P.load_state_dict(G.state_dict()), Q.load_state_dict(D.state_dict())
    optimizer.step(lambda: losses(G, D, two))
    GameOptimizer({"G": P, "D": Q}, "rk4", lr=0.1).step(lambda: losses(P, Q, two))
    assert torch.equal(flat(G, D), flat(P, Q))


def test_schedulers_change_the_rates_of_one_step_methods():
    # rejects: a rate read once, when the optimiser is made
    factors = [1.0, 0.5, 0.25, 0.125, 0.0625]
    G, D, _, _ = trained("rk4", 4, scheduler=lambda o: torch.optim.lr_scheduler.LambdaLR(o, factors.__getitem__))
    P, Q = networks()
    flow = gd.flows.gradient(gd.Game({"G": P, "D": Q}, losses), rates=LR)
    run = gd.solve(flow, "rk4", h=factors.__getitem__, steps=4, batches=iter(batches(4)))
    assert torch.equal(flat(G, D), run.state.y)  # powers of two: h and rate may be exchanged exactly


@pytest.mark.parametrize("method", ["rk4", "gauss4"])
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_autocast(method, where):
    # rejects: weights cast at an earlier stage, or before the step, and kept; stages summed in bfloat16
    G, D = networks(dtype=torch.float32)
    P, Q = networks(dtype=torch.float32)
    optimizer = GameOptimizer({"G": G, "D": D}, method, lr=LR)

    def cast(players, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return losses(*players, batch)

    game = gd.Game({"G": P, "D": Q}, lambda G, D, batch: cast((G, D), batch))
    given = batches(4, torch.float32)
    run = gd.solve(gd.flows.gradient(game, rates=LR), method, h=1.0, steps=4, batches=iter(given))
    for batch in given:
        if where == "inside":
            optimizer.step(lambda batch=batch: cast((G, D), batch))
            continue
        with torch.autocast("cpu", torch.bfloat16):
            D(batch[0])  # keeps casts of the weights
            optimizer.step(lambda batch=batch: losses(G, D, batch))
            assert torch.is_autocast_enabled("cpu")
            within = D(batch[0])
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(within, D(batch[0]))
    assert flat(G, D).dtype == torch.float32
    assert torch.equal(flat(G, D), run.state.y)
    exact = trained(method, 4, dtype=torch.float32)
    assert 0 < float((flat(G, D) - flat(*exact[:2])).norm()) < 0.05  # bfloat16 keeps 8 bits of losses near 1


def test_three_players_in_turn():
    # rejects: parameter groups out of order
    x, y, z = (torch.tensor([v], dtype=torch.float64) for v in (1.0, -0.5, 0.25))

    def value(x, y, z):
        return {"x": (x * y).sum() + (x**2).sum(), "y": (y * z).sum() - (x * y).sum(), "z": (z**2 * x).sum()}

    rates = {"x": 0.1, "y": 0.2, "z": 0.3}
    game = gd.Game({"x": x.clone(), "y": y.clone(), "z": z.clone()}, value)
    run = gd.solve(gd.flows.gradient(game, rates=rates), "alternating", h=1.0, steps=3)
    optimizer = GameOptimizer({"x": x, "y": y, "z": z}, "alternating", lr=rates)
    assert [group["name"] for group in optimizer.param_groups] == ["x", "y", "z"]
    for _ in range(3):
        optimizer.step(lambda: value(x, y, z))
    assert torch.equal(torch.cat([x, y, z]), run.state.y)
