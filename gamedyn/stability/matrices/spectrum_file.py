"""Spectra as files: written once where the game is, read where the theory is, and in the explorer's page."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.stability.matrices.eigenvalues import Eigenvalues, eigenvalue_array, is_complete

if TYPE_CHECKING:
    from os import PathLike

    from gamedyn.stability.matrices.eigenvalues import Spectrum

__all__ = ["FORMAT", "VERSION", "SavedSpectrum", "load_spectrum", "save_spectrum"]

FORMAT, VERSION = "gamedyn spectrum", 1
"""What a file says that it is."""

ARRAYS = (".npy", ".npz")

KNOWN = '{"eigenvalues": [[re, im], ...], "complete": true, "game": "..."}'


@dataclass(frozen=True, eq=False)
class SavedSpectrum(Eigenvalues):
    """Eigenvalues as a file holds them.

    Attributes:
        game: what they are of, in words.
    """

    game: str = ""


def path_of(path: object) -> Path:
    """A path.

    Raises:
        ArgumentError: if it is not one.
    """
    try:
        return Path(path)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError("path", "the name of a file", path) from None


def loaded(source: Path) -> Any:
    """What an .npy or .npz file holds: an array, or an open archive.

    Raises:
        ValueError: for a file of another kind, which NumPy would take for a pickle.
    """
    with source.open("rb") as file:
        start = file.read(6)
    if not start.startswith((b"\x93NUMPY", b"PK")):
        raise ValueError("neither an .npy nor an .npz file; np.save(path, array) writes one")
    return np.load(source, allow_pickle=False)


def save_spectrum(
    path: str | PathLike[str], eigenvalues: Spectrum, *, game: str = "", complete: bool | None = None
) -> Path:
    """Write a spectrum as JSON: `{"eigenvalues": [[re, im], ...], "complete": ..., "game": ...}`.

    Numbers are written so that reading gives the same bits. Residuals are kept where the spectrum has them.

    Args:
        path: file to write.
        eigenvalues: of `J = dv/dy`, (k,) numbers, Eigenvalues, or a BlockJacobian, whose eigenvalues are used.
        game: what they are of, in words.
        complete: whether they are all there are; None: as the Eigenvalues say, else True.

    Returns:
        The path.

    Raises:
        ArgumentError: if there is no eigenvalue, one is not finite, the name is that of an array file, or the
            file cannot be written.

    Source: the format is gamedyn's own; numbers as in RFC 8259, section 6.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     spectrum = load_spectrum(save_spectrum(f"{folder}/rotation.json", [1j, -1j], game="bilinear"))
        >>> spectrum.values.tolist(), spectrum.complete, spectrum.game
        ([1j, (-0-1j)], True, 'bilinear')
    """
    target, values = path_of(path), eigenvalue_array(eigenvalues)
    if target.suffix.lower() in ARRAYS:
        raise ArgumentError("path", "a name that ends in .json", str(path), "arrays are read, JSON is written")
    if not isinstance(game, str):
        raise ArgumentError("game", "text", game)
    if complete is None:
        complete = is_complete(eigenvalues)
    record: dict[str, Any] = {"format": FORMAT, "version": VERSION, "game": game, "complete": bool(complete)}
    record["eigenvalues"] = [[x.real, x.imag] for x in values.tolist()]
    residuals = getattr(eigenvalues, "residuals", None)
    if residuals is not None:
        record["residuals"] = np.asarray(residuals, dtype=float).tolist()
    try:
        target.write_text(json.dumps(record) + "\n", encoding="utf-8")
    except OSError as error:
        raise ArgumentError("path", "a file that can be written", f"{path}: {error.strerror}") from None
    return target


def load_spectrum(path: str | PathLike[str]) -> SavedSpectrum:
    """Read a spectrum: JSON as `save_spectrum` writes it, or a flat array from .npy or .npz.

    Args:
        path: file to read; an .npz holds `eigenvalues`, or one array, and may hold `complete`, `game` and `residuals`.

    Returns:
        Eigenvalues that know their game.

    Raises:
        ArgumentError: if the file cannot be read, is of another format, or holds an entry that is no finite number;
            the message names the entry.

    Source: the formats are gamedyn's own JSON and NumPy's NEP 1.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/spectrum.npy", np.array([-1.0, -2.0]))
        ...     spectrum = load_spectrum(f"{folder}/spectrum.npy")
        >>> spectrum.values.tolist()
        [(-1+0j), (-2+0j)]
    """
    source = path_of(path)
    try:
        record = _array_record(source) if source.suffix.lower() in ARRAYS else _json_record(source)
    except OSError as error:
        raise ArgumentError("path", "a file that can be read", f"{path}: {error.strerror or error}") from None
    values = _numbers(record["eigenvalues"])
    complete, game, residuals = record.get("complete", True), record.get("game", ""), record.get("residuals")
    if not isinstance(complete, bool):
        raise ArgumentError("complete", "true or false", complete)
    if not isinstance(game, str):
        raise ArgumentError("game", "text", game)
    return SavedSpectrum(values, complete, None if residuals is None else _residuals(residuals, len(values)), game)


def _json_record(source: Path) -> dict[str, Any]:
    try:
        record = json.loads(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError("path", f"a JSON file {KNOWN}", f"{source.name}: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("eigenvalues"), list):
        got = f"{source.name}, without a list of eigenvalues"
        raise ArgumentError("path", f"a JSON file {KNOWN}", got, "write it with save_spectrum")
    if record.get("format", FORMAT) != FORMAT or record.get("version", VERSION) != VERSION:
        said = f"{record.get('format')!r}, version {record.get('version')!r}"
        raise ArgumentError("path", f"a {FORMAT}, version {VERSION}", said)
    return record


def _array_record(source: Path) -> dict[str, Any]:
    try:
        content = loaded(source)
        if isinstance(content, np.ndarray):
            return {"eigenvalues": content}
        with content:
            record = {name: content[name] for name in content.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ArgumentError("path", "an array file of numbers", f"{source.name}: {error}") from None
    if "eigenvalues" not in record and len(record) == 1:
        record = {"eigenvalues": next(iter(record.values()))}
    if "eigenvalues" not in record:
        raise ArgumentError("path", "an array called eigenvalues", f"{source.name} with {sorted(record)}")
    plain = ("complete", "game")
    return {k: v.item() if k in plain and v.ndim == 0 else v for k, v in record.items()}


def _numbers(entries: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """Eigenvalues of a file's entries: an array, or numbers and pairs [re, im]."""
    if isinstance(entries, np.ndarray):
        if entries.dtype.kind not in "iufc":
            raise ArgumentError("eigenvalues", "an array of numbers", f"an array of {entries.dtype}")
        return eigenvalue_array(entries)
    values = []
    for i, entry in enumerate(entries, 1):
        pair = entry if isinstance(entry, list) else [entry, 0]
        if len(pair) != 2 or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in pair):
            raise ArgumentError("eigenvalues", f"[re, im] or a number at entry {i}", entry)
        try:
            value = complex(*pair)
        except OverflowError:
            value = complex("inf")
        if not np.isfinite(value):
            raise ArgumentError("eigenvalues", f"finite numbers at entry {i}", entry)
        values.append(value)
    return eigenvalue_array(values)


def _residuals(entries: Any, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    try:
        residuals = np.asarray(entries, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError("residuals", "numbers", entries) from None
    if residuals.shape != (count,):
        raise ArgumentError("residuals", f"{count} numbers, one for each eigenvalue", f"shape {residuals.shape}")
    return residuals
