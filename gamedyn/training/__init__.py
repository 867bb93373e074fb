"""Training real GANs on the one loop: models, data, scores, observers, and the command `gamedyn train`."""

from __future__ import annotations

from gamedyn.training import data, models, scores

__all__ = ["data", "models", "scores"]
