"""Steppers of other libraries: SciPy, torchdiffeq, torch.optim."""
