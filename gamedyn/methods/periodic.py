"""Periodic steps: gradient descent-ascent whose lengths change sign between the players."""

from __future__ import annotations

from gamedyn.methods._periodic import Periodic

__all__ = ["SLINGSHOT"]

SLINGSHOT = Periodic(
    [(1, -1), (-1, 1)],
    name="slingshot",
    source="Shugart, Altschuler 2025, arXiv:2505.01423: of two players, one steps back while the other steps on",
)
