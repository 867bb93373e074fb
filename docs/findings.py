"""Tables of what studies found: `python docs/findings.py OUT/NAME` keeps a run's findings, the build writes tables."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from catalogue import table

__all__ = ["keep", "write"]

KEPT = Path(__file__).parent / "findings"
ABOUT = ("scale", "began", "seconds")
VERSIONS = ("gamedyn", "torch", "numpy", "scipy", "python")


def keep(folder: Path) -> Path:
    """Copy the claims of a run's `findings.json`, and what says when and with what they were made."""
    found = json.loads((folder / "findings.json").read_text("utf-8"))
    about, machine = found["about"], found["about"]["machine"]
    kept = {k: about[k] for k in ABOUT} | {"processor": machine["processor"], "cores": machine["cores"]}
    kept["versions"] = {k: v for k, v in about["versions"].items() if k in VERSIONS}
    target = KEPT / f"{about['study']}.json"
    target.write_text(json.dumps({"claims": found["claims"], "about": kept}, indent=1) + "\n", "utf-8")
    return target


def write(folder: Path) -> None:
    """Write NAME.md, a table of the claims with their numbers, for every study whose findings are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(KEPT.glob("*.json")):
        target, text = folder / f"{path.stem}.md", _page(json.loads(path.read_text("utf-8")))
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


def _page(found: dict[str, Any]) -> str:
    head = ("claim", "", "measured", "95 % interval", "holds if", "whose")
    about, versions = found["about"], found["about"]["versions"]
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    took = f"{about['seconds'] / 60:.0f} minutes" if about["seconds"] > 90 else f"{about['seconds']:.0f} seconds"
    foot = f"*{about['began'][:10]}, scale {about['scale']}, {took} on {about['cores']} cores ({made}).*"
    return f"{table(head, [_row(c) for c in found['claims']])}\n{foot}\n"


def _row(claim: dict[str, Any]) -> tuple[str, ...]:
    """As the study's report shows a claim; of one with no chance in it, no interval."""
    value, low, high = (claim[k] for k in ("value", "low", "high"))
    interval = "" if low == value == high or math.isnan(value) else f"{low:.4g} to {high:.4g}"
    least, most = claim["at_least"], claim["at_most"]
    ends = [f"at least {least:.4g}" if least > -math.inf else "", f"at most {most:.4g}" if most < math.inf else ""]
    whose = claim["source"] or ("theory" if claim["exact"] else "")
    measured = "unknown" if math.isnan(value) else f"{value:.4g}"
    return (claim["text"], claim["verdict"], measured, interval, ", ".join(filter(None, ends)), whose)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(keep(Path(name)))
