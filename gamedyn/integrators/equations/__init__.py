"""Implicit equations and their solvers."""
