"""The tape: operations of a piece of code, recorded and run again into the same memory."""

from __future__ import annotations

import pytest
import torch

from gamedyn.integrators.execution.operations import Operations
from gamedyn.integrators.execution.recorders import CannotCaptureError, Tape


class TestTheTape:
    def test_it_replays_into_the_same_memory(self):
        x, out = torch.ones(3), torch.zeros(3)

        def work():
            out.copy_((x * 2).sin().add_(1))

        recording = Tape().record(work)
        x.fill_(0.5)
        recording.replay()
        assert torch.equal(out, torch.full((3,), 1.0).sin() + 1)

    def test_it_sees_backward_passes(self):
        x = torch.ones(3, requires_grad=True)
        out = torch.zeros(3)

        def work():
            with torch.enable_grad():
                (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
                (g2,) = torch.autograd.grad(g.sum(), x)
            out.copy_(g2)

        recording = Tape().record(work)
        with torch.no_grad():
            x.fill_(2.0)
        recording.replay()
        assert torch.equal(out, torch.full((3,), 12.0))

    def test_it_refuses_what_it_cannot_hold(self):
        with pytest.raises(CannotCaptureError, match="item"):
            Tape().record(lambda: torch.ones(1).item())

    def test_operations_of_a_step(self):
        with Operations() as seen:
            x = torch.empty(4).fill_(1.0)
            y = x.view(2, 2).t().contiguous()
            y[0].add_(1)
        assert [o.name for o in seen if o.runs] == ["fill_", "clone", "add_"]
        assert not seen.reads
