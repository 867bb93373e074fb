"""The loop that drives steppers: step sizes, observers, checkpoints, the run."""
