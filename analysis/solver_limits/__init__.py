"""The parts of the study `solver_limits`."""
