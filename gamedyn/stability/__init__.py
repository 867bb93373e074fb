"""What the coefficients of a method imply. Reads methods' data, never a stepper, never torch.

Sign convention: `J = dv/dy`, stable means eigenvalues in the left half-plane; `h * lambda` is laid over
the region of absolute stability.
"""

from gamedyn._lib.border import border
from gamedyn.stability.accuracy import error_constant, noise_gain, principal_error_norm, stage_order
from gamedyn.stability.amplification import amplification
from gamedyn.stability.angles import a_alpha, disc_radius, sector_radius
from gamedyn.stability.axis import (
    a_stable,
    axis_intervals,
    e_polynomial,
    l_stable,
    r_infinity,
    stiffly_accurate,
    unstable_bands,
)
from gamedyn.stability.eigenvalues import BlockJacobian, Eigenvalues, needs_blocks
from gamedyn.stability.limits import imaginary_limit, real_limit
from gamedyn.stability.mean_square import mean_square_radius, mean_square_steps
from gamedyn.stability.membership import is_stable
from gamedyn.stability.modified import ModifiedEquation, mode_rates, modified_equation
from gamedyn.stability.order import embedded_order, order, order_residuals, rooted_trees
from gamedyn.stability.phase import Phase, dispersion, dissipation
from gamedyn.stability.polynomial import RationalFunction, characteristic_polynomials, stability_function
from gamedyn.stability.proof import Finding, Report, prove
from gamedyn.stability.ranking import Ranked, Ranking, rank_methods
from gamedyn.stability.sheet import Properties, properties
from gamedyn.stability.spectrum_file import SavedSpectrum, load_spectrum, save_spectrum
from gamedyn.stability.step_matrix import spectral_radius, step_matrix
from gamedyn.stability.step_sets import StabilityWarning, StepSet, largest_stable_step, stable_steps
from gamedyn.stability.structure import adjoint, algebraic_matrix, algebraically_stable, compose, symmetric, symplectic
from gamedyn.stability.tableaus import Tableau, read_tableau
from gamedyn.stability.tailoring import Tailored, tailor
from gamedyn.stability.transient import (
    Pseudospectrum,
    TransientGrowth,
    numerical_abscissa,
    pseudospectral_abscissa,
    pseudospectrum,
    transient_growth,
)
from gamedyn.stability.zero_stability import strongly_stable, zero_stable

__all__ = [
    "BlockJacobian",
    "Eigenvalues",
    "Finding",
    "ModifiedEquation",
    "Phase",
    "Properties",
    "Pseudospectrum",
    "Ranked",
    "Ranking",
    "RationalFunction",
    "Report",
    "SavedSpectrum",
    "StabilityWarning",
    "StepSet",
    "Tableau",
    "Tailored",
    "TransientGrowth",
    "a_alpha",
    "a_stable",
    "adjoint",
    "algebraic_matrix",
    "algebraically_stable",
    "amplification",
    "axis_intervals",
    "characteristic_polynomials",
    "compose",
    "disc_radius",
    "dispersion",
    "dissipation",
    "e_polynomial",
    "embedded_order",
    "error_constant",
    "imaginary_limit",
    "is_stable",
    "l_stable",
    "largest_stable_step",
    "load_spectrum",
    "mean_square_radius",
    "mean_square_steps",
    "mode_rates",
    "modified_equation",
    "needs_blocks",
    "noise_gain",
    "numerical_abscissa",
    "order",
    "order_residuals",
    "principal_error_norm",
    "properties",
    "prove",
    "pseudospectral_abscissa",
    "pseudospectrum",
    "r_infinity",
    "rank_methods",
    "read_tableau",
    "real_limit",
    "rooted_trees",
    "save_spectrum",
    "sector_radius",
    "spectral_radius",
    "stability_function",
    "stable_steps",
    "stage_order",
    "step_matrix",
    "stiffly_accurate",
    "strongly_stable",
    "symmetric",
    "symplectic",
    "tailor",
    "transient_growth",
    "unstable_bands",
    "zero_stable",
]

border(globals())
