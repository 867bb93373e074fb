"""What was solved, by what, on what: a run that goes on is checked against it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from gamedyn._lib.code import digest_of
from gamedyn._lib.errors import ArgumentError, warn_caller
from gamedyn._lib.version import __version__
from gamedyn.core.batches import checksum
from gamedyn.core.state import refuse_another_layout
from gamedyn.integrators._types import label
from gamedyn.integrators.drive.run import Run
from gamedyn.integrators.drive.step_sizes import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gamedyn.flows import Flow
    from gamedyn.integrators._types import Integrator
    from gamedyn.integrators.drive.step_sizes import StepSize

__all__ = ["agreed_on", "compared_with", "facts_of", "past_run"]


def past_run(flow: Flow, resume: Run | str | os.PathLike[str] | None, allow: Iterable[str] = ()) -> Run | None:
    """The run to go on from, read from its file or folder if need be; on the players' device.

    Raises:
        ArgumentError: for one of another game, or in another precision where that is not allowed.
    """
    past = resume if resume is None or isinstance(resume, Run) else Run.load(resume, flow)
    if past is None:
        return None
    layout, kind = past.state.layout, past.state.y.dtype
    refuse_another_layout("resume", layout.signature, layout.buffers, flow.game.layout)
    if kind != flow.game.dtype and "dtype" not in set(allow):
        remedy = 'if that is meant, and all is to be cast: allow=["dtype"]'
        raise ArgumentError("resume", f"a run in the players' {flow.game.dtype}", str(kind), remedy)
    spent = past.place.get("spent", {})  # until its state; what was cut off after it counts no more
    return replace(past.to(flow.game.device, flow.game.dtype), stats={**past.stats, **spent})


def facts_of(
    flow: Flow, integrator: Integrator, size: StepSize, sampling: str, streams: Any, past: Run | None
) -> dict[str, Any]:
    """What a run that goes on is checked against, as text and numbers; and a name that its checkpoints carry."""
    terms = {name: type(term).__name__ for name, term in flow.terms.items()}
    weights = {name: term.weight for name, term in flow.terms.items()}
    terms |= {name: f"{terms[name]}, every {k} steps" for name, k in flow.intervals.items() if name in terms}
    alone = flow.game.processes.alone  # else losses may differ by their rank
    return {
        "run": past.facts["run"] if past is not None and "run" in past.facts else os.urandom(8).hex(),
        "layout": flow.game.layout.signature,
        "buffers": list(flow.game.layout.buffers),
        "dtype": str(flow.game.dtype),
        "method": label(integrator.method),
        "flow": f"{type(flow).__name__}: {flow.law}; terms {terms}",
        **({"code": digest_of(*_computed(flow))} if alone else {}),
        "rates": {k: float(v) for k, v in {**flow.rates, **flow.module_rates}.items()},
        "weights": {k: float(v) for k, v in weights.items()},
        "h": f"{size.shown}{f', code {digest_of(size.fn)}' if isinstance(size, Schedule) else ''}",
        "sampling": sampling,
        "data": None if streams is None else [s.described() for s in streams],
        "versions": f"gamedyn {__version__}, torch {torch.__version__}",
    }


def _computed(flow: Flow | None) -> list[Any]:
    """What a flow computes by: modules, losses, terms but for their weights, and what each flow inside it was given."""
    found: list[Any] = []
    while flow is not None:
        found += [player for player in flow.game.players.values() if isinstance(player, torch.nn.Module)]
        found += [flow.game.losses, *(replace(term, weight=0.0) for _, term in sorted(flow.terms.items()))]
        given = {k: v for k, v in vars(flow).items() if not k.startswith("_") and k not in ("game", "inner")}
        found += [(k, checksum(v) if isinstance(v, torch.Tensor) else v) for k, v in sorted(given.items())]
        flow = getattr(flow, "inner", None)
    return found


def agreed_on(flow: Flow, facts: Mapping[str, Any], past: Run | None) -> None:
    """Where several processes solve one flow: refuse what differs between them, the memory gone on with included.

    Raises:
        ArgumentError: on all of them, with what differs.
    """
    if flow.game.processes.alone:
        return
    known = {k: v for k, v in facts.items() if k not in ("run", "data")}  # each may have data of its own
    if past is not None:
        tensors = [x for x in tree_leaves(past.memory) if isinstance(x, torch.Tensor)]
        known |= {"step": past.step, "memory": [checksum(x) for x in tensors]}
    flow.game.processes.agree_on(known)


def compared_with(past: Run | None, facts: Mapping[str, Any], allow: Iterable[str]) -> None:
    """Refuse a run that differs from what is to go on, in what is not allowed.

    Raises:
        ArgumentError: with what differs, there and here.
    """
    allowed = set(allow)
    known = [*dict.fromkeys([*(k for k in facts if k not in ("run", "layout", "buffers")), "code", "observers"])]
    if unknown := allowed - set(known):
        raise ArgumentError("allow", f"facts of a run: {', '.join(known)}", ", ".join(map(str, unknown)))
    if past is None:
        return
    if past.facts.get("versions") not in (None, facts["versions"]) and "versions" not in allowed:
        warn_caller(
            f"the run gone on from was made by {past.facts['versions']}, this is {facts['versions']}", UserWarning
        )
    known.remove("versions")
    both = [k for k in known if k in past.facts and k in facts and k not in allowed]
    differing = [k for k in both if past.facts[k] != facts[k]]
    if differing:
        there, here = ("; ".join(f"{k}: {found[k]}" for k in differing) for found in (past.facts, facts))
        raise ArgumentError("resume", f"a run of {here}", there, f"if that is meant: allow={differing}")
