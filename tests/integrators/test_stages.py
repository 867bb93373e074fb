"""Where a step keeps its field values: in bfloat16, in the host's memory, shared by processes."""

from __future__ import annotations

import pytest
import torch

import gamedyn as gd
from gamedyn import methods
from gamedyn.core.living import Living
from gamedyn.games.adversarial import mlp
from gamedyn.integrators.dispatch import stepper

DOUBLE = torch.float64


def keeping(what):
    """Names of the explicit methods whose steppers can, and of those that cannot."""
    able, unable = [], []
    for name, method in methods.members().items():
        if method.explicit and ":" not in name:
            (able if getattr(stepper(name), what) else unable).append(name)
    return sorted(able), sorted(unable)


KEEPING, NOT_KEEPING = keeping("keeps_stages")
SHARING, NOT_SHARING = keeping("entrywise")


@pytest.fixture(scope="module")
def flow():
    g = torch.Generator().manual_seed(0)
    G, D = mlp((2, 16, 2), generator=g, dtype=DOUBLE), mlp((2, 16, 1), generator=g, dtype=DOUBLE)
    game = gd.games.gan(G, D)
    return gd.flows.gradient(game, rates={"D": 2.0}).with_term(gd.losses.squared_gradient(0.5))


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(1)
    return torch.randn(32, 2, generator=g, dtype=DOUBLE), torch.randn(32, 2, generator=g, dtype=DOUBLE)


def end(flow, method, batch, stages, **kwargs):
    return gd.solve(flow, method, batch=batch, stages=stages, **{"h": 0.05, "steps": 12, **kwargs}).state.y


def test_there_are_methods_of_every_kind():
    # rejects: a property that no stepper has any more, which would leave the tests below empty
    assert {"euler", "rk4", "ab3", "alternating", "rk4_penalty_first_stage", "ab2"} <= set(KEEPING)
    assert {"euler", "rk4", "rdpk35", "rk4_penalty_first_stage"} <= set(SHARING)
    assert {"ab2", "alternating"} <= set(NOT_SHARING)
    assert "rdpk35" in NOT_KEEPING


class TestBfloat16:
    @pytest.mark.parametrize("name", ["euler", "heun2", "rk4", "dopri5"])
    def test_a_step_is_the_formula_with_rounded_field_values(self, flow, batch, name):
        # rejects: values that are not rounded, or rounded twice; a rounded state, or stage point
        method, y = methods.get(name), flow.game.state().y
        field, h, K = flow.field(batch), 0.3, []
        for row in method.A[: method.needed]:
            point = y + h * sum((float(a) * k for a, k in zip(row, K, strict=False)), torch.zeros_like(y))
            K.append(field(0.0, point).to(torch.bfloat16).to(DOUBLE))
        expected = y + h * sum(float(b) * k for b, k in zip(method.b, K, strict=False))
        found = end(flow, name, batch, "bfloat16", h=h, steps=1)
        assert float((found - expected).norm() / (expected - y).norm()) < 1e-12

    @pytest.mark.parametrize("name", KEEPING)
    def test_a_run_is_near_the_whole_one(self, flow, batch, name):
        # rejects: an option that a family ignores (0), or one that loses more than eight bits of a field value: a
        # history that is rounded again and again, rows of another player
        y, whole, method = flow.game.state().y, end(flow, name, batch, "full"), methods.get(name)
        weights = getattr(method, "beta", None) or getattr(method, "b", ())  # ab6: 23; dop853: 16
        size = 1.0 if isinstance(weights, dict) else max(1.0, sum(abs(float(w)) for w in weights))
        error = float((end(flow, name, batch, "bfloat16") - whole).norm() / (whole - y).norm())
        assert 1e-6 < error < 2.0**-8 * size

    def test_a_run_goes_on_bit_for_bit(self, flow, batch, tmp_path):
        # rejects: a history that a checkpoint brings back in the players' precision
        whole = gd.solve(flow, "ab3", h=0.05, steps=9, batch=batch, stages="bfloat16")
        gd.solve(flow, "ab3", h=0.05, steps=5, batch=batch, stages="bfloat16").save(tmp_path / "run")
        on = gd.solve(flow, "ab3", h=0.05, steps=9, batch=batch, stages="bfloat16", resume=tmp_path / "run")
        assert torch.equal(whole.state.y, on.state.y)
        assert {x.dtype for x in on.memory["fields"]} == {torch.bfloat16}
        with pytest.raises(gd.ArgumentError, match=r"stages: full.*allow=\['stages'\]"):
            gd.solve(flow, "ab3", h=0.05, steps=9, batch=batch, resume=tmp_path / "run")

    def test_the_stages_take_a_quarter_of_float64(self):
        # rejects: rows in the players' precision beside the rounded ones; whole copies of rows in a combination
        def peak(stages):
            g = torch.Generator().manual_seed(0)
            widths = ((2, 200, 200, 2), (2, 200, 200, 1))
            flow = gd.flows.gradient(gd.games.gan(*(mlp(w, generator=g, dtype=DOUBLE) for w in widths)))
            batch = tuple(torch.randn(4, 2, generator=g, dtype=DOUBLE) for _ in range(2))
            field, y = flow.field(batch), flow.game.state().y
            field.keep_stages(stages)
            with Living() as living, torch.no_grad():
                stepper("rk4").step(field, 0.0, y, 0.1, {})
            return living.peak / 8 / flow.game.layout.n

        assert peak("bfloat16") <= peak("full") - 4 + 4 / 4 + 0.1


class TestHost:
    @pytest.mark.parametrize("name", KEEPING)
    def test_the_same_numbers(self, flow, batch, name):
        # on a CPU it is the same memory; tests marked cuda ask it of a GPU
        assert torch.equal(end(flow, name, batch, "host"), end(flow, name, batch, "full"))


class TestSharded:
    @pytest.mark.parametrize("name", SHARING)
    def test_one_process_keeps_all(self, flow, batch, name):
        # rejects: a step that begins from what a stage has written, an order of entries that is not the state's
        assert torch.equal(end(flow, name, batch, "sharded"), end(flow, name, batch, "full"))


class TestRefusals:
    @pytest.mark.parametrize("name", NOT_KEEPING)
    def test_methods_that_read_stages_otherwise(self, flow, batch, name):
        # rejects: an option that is taken and ignored
        with pytest.raises(gd.ArgumentError, match=r'stages: expected "full" for'):
            end(flow, name, batch, "bfloat16")

    @pytest.mark.parametrize("name", NOT_SHARING)
    def test_methods_that_remember_or_move_players(self, flow, batch, name):
        with pytest.raises(gd.ArgumentError, match=r'stages: expected "full" for'):
            end(flow, name, batch, "sharded")

    @pytest.mark.parametrize("stages", ["bfloat16", "host", "sharded"])
    def test_what_takes_whole_stages(self, flow, batch, stages):
        # rejects: an error estimated from rounded stages; a step compiled or captured with whole ones instead
        with pytest.raises(gd.ArgumentError, match=r"stages.*adaptive"):
            end(flow, "dopri5", batch, stages, h=gd.steps.Adaptive(1e-6, 1e-6))
        for execution in ("compiled", "captured"):
            with pytest.raises(gd.ArgumentError, match=rf"stages.*{execution}"):
                end(flow, "rk4", batch, stages, execution=execution)

    def test_an_unknown_name(self, flow, batch):
        with pytest.raises(gd.ArgumentError, match="stages"):
            end(flow, "rk4", batch, "float8")
