"""The parts of the study `implicit_training`."""
