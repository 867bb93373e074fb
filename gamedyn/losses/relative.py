"""Relativistic losses: real and generated scores are compared, so that a constant added to all changes nothing."""

from __future__ import annotations

from dataclasses import replace

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.losses._types import AdversarialLoss
from gamedyn.losses.adversarial import NONSATURATING

__all__ = ["RELATIVISTIC", "RELATIVISTIC_AVERAGE", "relativistic"]

KINDS = {"paired": "eqs. (7), (8)", "average": "eqs. (10), (11)"}


def relativistic(base: AdversarialLoss, kind: str = "paired") -> AdversarialLoss:
    """The relativistic form of a loss of separate scores, such as hinge or least_squares.

    Args:
        base: whose functions `real` and `fake` are applied to compared scores.
        kind: "paired", `L_D = mean real(D(x_i) - D(G(z_i)))`; "average", each score less the mean of the others.

    Raises:
        ArgumentError: for what is no loss of separate scores.
        UnknownNameError: for another kind.

    Source: Jolicoeur-Martineau 2019, *The relativistic discriminator*.

    Example:
        >>> import gamedyn as gd
        >>> relativistic(gd.losses.get("hinge"), "average").name
        'hinge_relativistic_average'
    """
    if not isinstance(base, AdversarialLoss) or base.relative:
        raise ArgumentError("base", "a loss of separate scores", base)
    chosen = choice("kind", kind, tuple(KINDS))
    return replace(
        base,
        name=f"{base.name}_relativistic_{chosen}",
        generator=base.real,
        zero_sum=False,
        source=f"Jolicoeur-Martineau 2019, {KINDS[chosen]}",
        aliases=(),
        relative=chosen,
    )


RELATIVISTIC = replace(
    relativistic(NONSATURATING, "paired"), name="relativistic", aliases=("relativistic_paired", "rpgan")
)
RELATIVISTIC_AVERAGE = replace(relativistic(NONSATURATING, "average"), name="relativistic_average", aliases=("ragan",))
