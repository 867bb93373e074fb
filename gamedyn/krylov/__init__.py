"""Krylov methods on torch vectors and callables."""

from gamedyn.krylov.gmres import Solution, gmres

__all__ = ["Solution", "gmres"]
