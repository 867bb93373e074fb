"""What the theory costs: the property sheet of every member, and regions of a thousand by a thousand points.

`python -m analysis.benchmarks.theory_cost` prints seconds, each in this process for the first time (nothing cached of
that member), slowest first.
"""

from __future__ import annotations

import time

import numpy as np
from tqdm import tqdm

import gamedyn as gd

__all__ = ["main"]

SHOWN = 8
NAMED = ("rk4", "ndb124", "bdf6", "gauss6", "forest_ruth", "lookahead5")


def main() -> int:
    """Measure and print."""
    members = gd.methods.members()
    gd.stability.sheet("euler")  # imports
    sheets = {}
    for name in tqdm(members, desc="sheets", disable=None):
        began = time.perf_counter()
        gd.stability.sheet(name)
        sheets[name] = time.perf_counter() - began
    z = np.linspace(-20, 5, 1000)[None, :] + 1j * np.linspace(0, 20, 1000)[:, None]
    regions = {}
    for name, method in tqdm(members.items(), desc="regions", disable=None):
        if method.decouples:
            began = time.perf_counter()
            gd.stability.is_stable(method, z)
            regions[name] = time.perf_counter() - began
    for title, seconds in (("property sheet", sheets), ("region, 1000 x 1000, half plane", regions)):
        slowest = sorted(seconds, key=lambda n: -seconds[n])[:SHOWN]
        print(f"\n{title}, seconds ({len(seconds)} members)")
        for name in dict.fromkeys((*slowest, *(n for n in NAMED if n in seconds))):
            print(f"  {name:24s} {seconds[name]:8.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
