"""The explorer: one page, without server or network, in which `h lambda` moves through the regions of stability."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gamedyn._lib.checks import positive
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, members
from gamedyn.plot.explorer_data import FAMILIES, block_data, method_data
from gamedyn.plot.palette import COLOURS, several
from gamedyn.stability import BlockJacobian, Eigenvalues
from gamedyn.stability.matrices.eigenvalues import eigenvalue_array, is_complete
from gamedyn.stability.matrices.spectrum_file import SavedSpectrum, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["write_explorer"]

CHOSEN = ("euler", "extragradient", "optimistic", "rk4")
"""Methods that are ticked when the page opens, unless asked otherwise."""

SCRIPTS = ("explorer_theory.js", "explorer_draw.js", "explorer_page.js")


def write_explorer(
    path: str | PathLike[str],
    *,
    spectrum: Spectrum | None = None,
    methods: Sequence[str | Method] | str | Method | None = None,
    h: float | None = None,
    blocks: BlockJacobian | None = None,
    progress: bool = False,
) -> Path:
    r"""Write the explorer: a page that draws `h lambda` over the regions of every method and names what binds.

    The page computes `max_i |R(h lambda_i)| <= 1` from the coefficients that it holds, and the stable steps of each
    chosen method from its boundary crossings along the ray of every eigenvalue. Another spectrum can be loaded in it
    (a file of `gamedyn.stability.spectrum_file.save_spectrum`) or typed.

    Methods whose modes do not decouple (partitioned, additive, competitive) have no region. Their stable steps and
    the growth of one step are computed here: for the bare rotation `+-i w` always, for a game where `blocks` are
    given. That takes about a second for each of them at 100 parameters and grows with the third power.

    Args:
        path: file to write.
        spectrum: eigenvalues of `J = dv/dy` (k,), Eigenvalues, or a BlockJacobian; None: those of `blocks`, or of the
            bare rotation `+-i`.
        methods: methods, or their names, that are ticked when the page opens; None: a few. All members are offered
            beside them. Where `blocks` are given and `methods` are not, all that need blocks are computed.
        h: step when the page opens; None: the inverse of the largest modulus.
        blocks: the Jacobian with its players, for methods that need them.
        progress: whether to show a progress bar over the methods.

    Returns:
        The path.

    Raises:
        ArgumentError: for an empty or non-finite spectrum, blocks of another spectrum, blocks without the players or
            parts that one of `methods` needs, a method without coefficients, a step that is not positive, or a file
            that cannot be written.

    Source: Hairer, Wanner, Solving ODEs II, IV.2 and V.1: regions of absolute stability.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     page = write_explorer(f"{folder}/explorer.html", spectrum=[-0.1 + 2j, -0.1 - 2j])
        ...     text = page.read_text(encoding="utf-8")
        >>> "https:" in text, text.count("<canvas") >= 2
        (False, True)
    """
    target = path_of(path)
    if isinstance(spectrum, BlockJacobian):
        if blocks is not None and blocks is not spectrum:
            raise ArgumentError("blocks", "None where the spectrum is a BlockJacobian", "another BlockJacobian")
        blocks, spectrum = spectrum, None
    if blocks is not None and not isinstance(blocks, BlockJacobian):
        raise ArgumentError("blocks", "a BlockJacobian", type(blocks).__name__, "BlockJacobian(J, sizes)")
    offered, ticked = _offered(methods)
    records = _records(offered, blocks, None if methods is None else set(ticked), progress)
    others = {str(one["family"]) for one in records} - set(FAMILIES)
    record = {
        "spectrum": _spectrum_record(spectrum, blocks),
        "h": None if h is None else positive("h", h),
        "chosen": ticked,
        "families": [*FAMILIES, *sorted(others)],
        "colours": COLOURS,
        "methods": records,
    }
    try:
        target.write_text(_page(record), encoding="utf-8")
    except OSError as error:
        raise ArgumentError("path", "a file that can be written", f"{path}: {error.strerror}") from None
    return target


def _offered(methods: Sequence[str | Method] | str | Method | None) -> tuple[dict[str, Method], list[str]]:
    """All methods by the name that the page shows, and the names that are ticked."""
    offered: dict[str, Method] = dict(members())
    if methods is None:
        return offered, list(CHOSEN)
    ticked: list[str] = []
    for method in several(methods):
        name = method.name or "user-made"
        if not method.has_theory:
            raise ArgumentError("methods", "methods with a stability function or matrix, no maps", name)
        label, count = name, 1
        while offered.get(label, method) is not method:
            count += 1
            label = f"{name} ({count})"
        offered[label] = method
        if label not in ticked:
            ticked.append(label)
    if not ticked:
        raise ArgumentError("methods", "at least one method", "none")
    return offered, ticked


def _spectrum_record(spectrum: Any, blocks: BlockJacobian | None) -> dict[str, Any]:
    """The spectrum as `save_spectrum` writes it, checked against the blocks."""
    if spectrum is None:
        spectrum = Eigenvalues(np.array([1j, -1j])) if blocks is None else blocks
    values = eigenvalue_array(spectrum)
    complete = is_complete(spectrum)
    game = spectrum.game if isinstance(spectrum, SavedSpectrum) else ""
    if blocks is not None and complete and not isinstance(spectrum, BlockJacobian):
        trace, size = float(np.trace(blocks.matrix)), max(float(np.abs(values).sum()), 1e-300)
        if len(values) != len(blocks.matrix) or abs(values.sum() - trace) > 1e-6 * size:
            got = f"{len(values)} eigenvalues that add up to {values.sum():.6g}, trace {trace:.6g}"
            raise ArgumentError("blocks", "the Jacobian whose eigenvalues the spectrum holds", got)
    return {"eigenvalues": [[x.real, x.imag] for x in values.tolist()], "complete": complete, "game": game}


def _records(
    offered: Mapping[str, Method], blocks: BlockJacobian | None, asked: set[str] | None, progress: bool
) -> list[Any]:
    """Every method's data; `asked` for must fit the blocks, of the others the page says why they do not."""
    out = []
    bar = tqdm(offered.items(), desc="explorer", unit="method", disable=None if progress else True)
    for name, method in bar:
        bar.set_postfix_str(name)
        data = method_data(method, name)
        if not method.decouples:
            try:
                data["rotation"] = block_data(method)
            except ArgumentError as error:  # a user-made method of three players, say
                data["rotation"], data["refused"] = None, str(error)
            if blocks is not None and (asked is None or name in asked):
                try:
                    data["blocks"] = block_data(method, blocks)
                except ArgumentError as error:
                    if asked is not None:
                        raise
                    data["refused"] = str(error)
        out.append(data)
    return out


def _page(record: Mapping[str, Any]) -> str:
    """The template with its styles, scripts and data put in."""
    here = files("gamedyn.plot")
    text = here.joinpath("explorer.html").read_text(encoding="utf-8")
    scripts = "\n".join(here.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    data = json.dumps(record, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"styles": here.joinpath("explorer.css").read_text(encoding="utf-8"), "scripts": scripts, "data": data}
    for name, part in parts.items():
        text = text.replace(f"/*{name}*/", part, 1)
    return text
