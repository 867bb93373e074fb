"""Linear systems, fixed points and phi-functions from products alone, on torch vectors and callables."""

from gamedyn.krylov.anderson import FixedPoint, anderson
from gamedyn.krylov.gmres import Solution, gmres
from gamedyn.krylov.phi import PhiResult, phi_combination

__all__ = ["FixedPoint", "PhiResult", "Solution", "anderson", "gmres", "phi_combination"]
