"""One step as a matrix: from blocks and parts of J, its modified equation, transients, second moments."""

from gamedyn._lib.border import border
from gamedyn.stability.matrices.eigenvalues import BlockJacobian, Eigenvalues
from gamedyn.stability.matrices.jacobian_file import load_jacobian
from gamedyn.stability.matrices.mean_square import mean_square_radius
from gamedyn.stability.matrices.modified import ModifiedEquation, mode_rates, modified_equation
from gamedyn.stability.matrices.spectrum_file import SavedSpectrum, load_spectrum, save_spectrum
from gamedyn.stability.matrices.step_matrix import spectral_radius, step_matrix
from gamedyn.stability.matrices.stochastic import mean_square_growth, mean_square_limit, stationary_covariance
from gamedyn.stability.matrices.transient import (
    Pseudospectrum,
    TransientGrowth,
    numerical_abscissa,
    pseudospectral_abscissa,
    pseudospectrum,
    transient_growth,
)

__all__ = [
    "BlockJacobian",
    "Eigenvalues",
    "ModifiedEquation",
    "Pseudospectrum",
    "SavedSpectrum",
    "TransientGrowth",
    "load_jacobian",
    "load_spectrum",
    "mean_square_growth",
    "mean_square_limit",
    "mean_square_radius",
    "mode_rates",
    "modified_equation",
    "numerical_abscissa",
    "pseudospectral_abscissa",
    "pseudospectrum",
    "save_spectrum",
    "spectral_radius",
    "stationary_covariance",
    "step_matrix",
    "transient_growth",
]

border(globals())
