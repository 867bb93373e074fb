"""Is the point a Nash equilibrium of a population game? By its own definition: what each strategy earns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gamedyn.spectrum.verdicts.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gamedyn.flows.replicator import PopulationFlow

__all__ = ["population_nash"]


def population_nash(flow: PopulationFlow, parts: Mapping[str, Tensor]) -> Answer | None:
    """Yes if no strategy earns more than the population does, `u_j <= p.u`, no if one does; None: payoffs not known.

    Strict, as the reason says, where a single strategy is played and earns more than every other. A strategy that
    nobody plays and that earns as much, to rounding, leaves it undecided. With a temperature T payoffs carry T times
    the entropy of the shares, which is strictly concave in them: every stationary point is a strict equilibrium.

    Args:
        flow: with its payoffs.
        parts: the players' tensors at a stationary point.

    Source: Hofbauer, Sigmund 1998, Evolutionary Games and Population Dynamics, section 7.2; with entropy: logit
        equilibria, McKelvey, Palfrey 1995.
    """
    if flow.payoffs is None:
        return None
    bounds: dict[str, tuple[float, float]] = {}
    strict, ties, better = True, list[str](), list[str]()
    for name, (shares, earned) in flow.payoffs(parts).items():
        scale = float(earned.abs().max()) or 1.0
        rounding = 1e2 * len(shares) * torch.finfo(shares.dtype).eps
        played = shares > rounding**0.5
        if flow.temperature is not None:
            earned = earned - flow.temperature * shares.clamp_min(torch.finfo(shares.dtype).tiny).log()
            scale = max(scale, flow.temperature)
        gain = earned - (shares * earned).sum()
        margin = rounding * scale + 10 * float((gain * played).abs().max())
        unplayed = gain[~played]
        most = float(unplayed.max()) if len(unplayed) else -float("inf")
        bounds[f"largest gain of a strategy nobody plays, {name}"] = (most - margin, most + margin)
        if most > margin:
            better.append(
                f"{name}: strategy {int(torch.where(played, -torch.inf, gain).argmax())} would gain {most:.3g}"
            )
        elif most > -margin:
            ties.append(name)
        strict &= int(played.sum()) == 1
    if better:
        return Answer("no", "; ".join(better), bounds)
    if ties:
        return Answer("undecided", f"{', '.join(ties)}: a strategy nobody plays earns as much, to rounding", bounds)
    if flow.temperature is not None:
        which = f"by the payoffs with {flow.temperature:g} times the entropy of the shares, not by the payoffs alone"
        return Answer("yes", f"no mixture would gain, {which}: a strict equilibrium", bounds)
    kind = "a strict equilibrium" if strict else "an equilibrium, not strict: the strategies played earn the same"
    return Answer("yes", f"no strategy would gain: {kind}", bounds)
