"""What the gallery's scripts begin with. Called by sphinx-gallery, which conf.py sets up."""

from __future__ import annotations

from typing import Any

__all__ = ["reset"]


def reset(configuration: Any, name: Any) -> None:
    """One thread, a figure style, the default generator of PyTorch as it is in a new process."""
    import matplotlib.pyplot as plt
    import torch

    torch.set_num_threads(1)
    torch.default_generator.manual_seed(0)
    plt.rcParams.update({"figure.dpi": 110, "axes.titlesize": "medium", "svg.hashsalt": "gamedyn"})
