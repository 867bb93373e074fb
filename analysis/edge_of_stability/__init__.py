"""The parts of the study `edge_of_stability`."""
