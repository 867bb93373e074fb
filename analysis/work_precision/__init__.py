"""The parts of the study `work_precision`."""
