"""Everything that takes a GPU to prove: correctness, then times by device events, the tests marked cuda, one table.

    python -m analysis.benchmarks.gpu [--out out/gpu.json] [--device cuda] [--brief]

Exit status 0 if every check passes. Without a GPU it says so (status 2); `--device cpu` runs the same checks and a
stopwatch there, to try the command itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from analysis.benchmarks.gpu import correctness, times
from gamedyn._lib.tables import aligned

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and the times; print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/gpu.json"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--brief", action="store_true", help="fewer rounds, small networks")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing was run (--device cpu tries the command itself)", file=sys.stderr)
        return 2
    began = time.perf_counter()
    checks = list(tqdm(correctness.checks(device), total=correctness.COUNT, desc="checks", disable=None))
    measured = times.tables(device, brief=chosen.brief)
    checks += times.goals(measured) if device.type == "cuda" else []
    checks += [_tests()] if device.type == "cuda" else []
    failed = [c for c in checks if not c.passed]
    print(aligned([("check", "", "measured", "allowed"), *(c.row for c in checks)]))
    for name, table in measured.items():
        print(f"\n{name}\n{aligned(times.shown(table))}")
    about = {"device": _name(device), "torch": torch.__version__, "seconds": time.perf_counter() - began}
    print(
        f"\n{about['device']}, torch {about['torch']}, {about['seconds']:.0f} s; {len(failed)} of {len(checks)} failed"
    )
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"about": about, "checks": [c._asdict() for c in checks], "times": measured}
    chosen.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written: {chosen.out}")
    return 1 if failed else 0


def _name(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "CPU"


def _tests() -> correctness.Check:
    """The tests marked cuda."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return correctness.Check("tests marked cuda", done.returncode == 0, lines[-1] if lines else done.stderr[-200:], "")


if __name__ == "__main__":
    sys.exit(main())
