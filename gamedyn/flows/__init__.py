"""What is solved: the ODE made from a game."""

from gamedyn.flows._types import Flow, of_flow
from gamedyn.flows.custom import CustomFlow, MappedFlow, custom, mapped
from gamedyn.flows.gradient import GradientFlow, gradient

__all__ = ["CustomFlow", "Flow", "GradientFlow", "MappedFlow", "custom", "gradient", "mapped", "of_flow"]
