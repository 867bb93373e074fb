"""What the coefficients of a method imply. Reads methods' data, never a stepper, never torch.

Sign convention: `J = dv/dy`, stable means eigenvalues in the left half-plane; `h * lambda` is laid over
the region of absolute stability.

Five rooms: `symbols` (what a step does to one mode), `regions` (where it is stable), `matrices` (one step as a matrix,
from blocks where modes do not decouple), `steps` (which steps are stable), `properties` (what a method is worth). What
is asked for most is here, too.
"""

from gamedyn.stability import matrices, properties, regions, steps, symbols
from gamedyn.stability.matrices import (
    BlockJacobian,
    Eigenvalues,
    load_jacobian,
    load_spectrum,
    mode_rates,
    modified_equation,
    save_spectrum,
    spectral_radius,
    step_matrix,
    transient_growth,
)
from gamedyn.stability.properties import order, prove, sheet
from gamedyn.stability.regions import amplification, is_stable
from gamedyn.stability.steps import (
    StabilityWarning,
    StepSet,
    imaginary_limit,
    largest_stable_step,
    mean_square_steps,
    rank_methods,
    real_limit,
    stable_steps,
    tailor,
)
from gamedyn.stability.symbols import stability_function, symbol

__all__ = [
    "BlockJacobian",
    "Eigenvalues",
    "StabilityWarning",
    "StepSet",
    "amplification",
    "imaginary_limit",
    "is_stable",
    "largest_stable_step",
    "load_jacobian",
    "load_spectrum",
    "matrices",
    "mean_square_steps",
    "mode_rates",
    "modified_equation",
    "order",
    "properties",
    "prove",
    "rank_methods",
    "real_limit",
    "regions",
    "save_spectrum",
    "sheet",
    "spectral_radius",
    "stability_function",
    "stable_steps",
    "step_matrix",
    "steps",
    "symbol",
    "symbols",
    "tailor",
    "transient_growth",
]
