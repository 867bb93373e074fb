"""What the coefficients of a method imply. Reads methods' data, never a stepper, never torch.

Sign convention: `J = dv/dy`, stable means eigenvalues in the left half-plane; `h * lambda` is laid over
the region of absolute stability.
"""

from gamedyn.stability.amplification import amplification
from gamedyn.stability.eigenvalues import BlockJacobian, Eigenvalues, needs_blocks
from gamedyn.stability.limits import imaginary_limit, real_limit
from gamedyn.stability.order import embedded_order, order, order_residuals, rooted_trees
from gamedyn.stability.polynomial import RationalFunction, characteristic_polynomials, stability_function
from gamedyn.stability.step_matrix import spectral_radius, step_matrix
from gamedyn.stability.step_sets import StabilityWarning, StepSet, largest_stable_step, stable_steps

__all__ = [
    "BlockJacobian",
    "Eigenvalues",
    "RationalFunction",
    "StabilityWarning",
    "StepSet",
    "amplification",
    "characteristic_polynomials",
    "embedded_order",
    "imaginary_limit",
    "largest_stable_step",
    "needs_blocks",
    "order",
    "order_residuals",
    "real_limit",
    "rooted_trees",
    "spectral_radius",
    "stability_function",
    "stable_steps",
    "step_matrix",
]
