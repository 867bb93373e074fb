"""With what a result was made: command, code, versions, machine, time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

from gamedyn._lib.page import table
from gamedyn.ablation.setups import sources, versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["provenance", "provenance_table"]


def provenance(began: float, roots: tuple[Path, ...] = ()) -> dict[str, Any]:
    """For JSON.

    Args:
        began: as `time.time` gave it.
        roots: folders whose sources the result depends on, besides gamedyn's.
    """
    code = sorted(sources(roots).values())
    return {
        "command": _command(),
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
        "seconds": time.time() - began,
        "code": hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16],
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": versions(),
    }


def _command() -> str:
    """As it was given: of `python -m NAME` the arguments begin with the path of the module."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    run = f"python -m {spec.name.removesuffix('.__main__')}" if spec else sys.argv[0]
    return f"{run} {shlex.join(sys.argv[1:])}".rstrip()


def provenance_table(about: Mapping[str, Any], more: Mapping[str, str] | None = None) -> str:
    """The same as a table of a page; `more`: further rows."""
    machine = about["machine"]
    rows = {
        "command": about["command"],
        "begun": about["began"],
        "seconds": f"{about['seconds']:.1f}",
        **(more or {}),
        "digest of the code": about["code"],
        "machine": f"{machine['system']}, {machine['cores']} cores",
        "versions": ", ".join(f"{k} {v}" for k, v in about["versions"].items()),
    }
    return table(["", ""], [[k, v] for k, v in rows.items()])
