"""What coefficients are worth: order, accuracy, phase, structure, the sheet of all of it, and proofs."""

from gamedyn._lib.border import border
from gamedyn.stability.properties.accuracy import error_constant, noise_gain, principal_error_norm, stage_order
from gamedyn.stability.properties.orders import embedded_order, order, order_residuals, rooted_trees
from gamedyn.stability.properties.phase import Phase, dispersion, dissipation
from gamedyn.stability.properties.proof import Finding, Report, prove
from gamedyn.stability.properties.sheets import Sheet, sheet
from gamedyn.stability.properties.structure import (
    adjoint,
    algebraic_matrix,
    algebraically_stable,
    compose,
    symmetric,
    symplectic,
)
from gamedyn.stability.properties.tableaus import Tableau, read_tableau

__all__ = [
    "Finding",
    "Phase",
    "Report",
    "Sheet",
    "Tableau",
    "adjoint",
    "algebraic_matrix",
    "algebraically_stable",
    "compose",
    "dispersion",
    "dissipation",
    "embedded_order",
    "error_constant",
    "noise_gain",
    "order",
    "order_residuals",
    "principal_error_norm",
    "prove",
    "read_tableau",
    "rooted_trees",
    "sheet",
    "stage_order",
    "symmetric",
    "symplectic",
]

border(globals())
