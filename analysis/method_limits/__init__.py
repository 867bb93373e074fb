"""The parts of the study `method_limits`."""
