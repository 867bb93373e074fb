"""Linear systems, eigenvalues, fixed points and phi-functions from products alone, on torch vectors and callables."""

from gamedyn._lib.border import border
from gamedyn.krylov.gmres import Solution, gmres
from gamedyn.krylov.inverse import nearest_eigenpairs
from gamedyn.krylov.operator import LinearOperator
from gamedyn.krylov.phi import PhiResult, phi_combination
from gamedyn.krylov.ritz import RitzPairs
from gamedyn.krylov.schur import eigenpairs, symmetric_eigenpairs

__all__ = [
    "LinearOperator",
    "PhiResult",
    "RitzPairs",
    "Solution",
    "eigenpairs",
    "gmres",
    "nearest_eigenpairs",
    "phi_combination",
    "symmetric_eigenpairs",
]

border(globals(), skip=("LinearOperator.matvec", "LinearOperator.rmatvec"))
