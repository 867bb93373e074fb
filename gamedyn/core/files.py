"""Files that are whole or refused: a digest at the end, written aside and moved into place."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from gamedyn._lib.errors import ArgumentError

__all__ = ["MAGIC", "PARTIAL", "plain", "read", "write"]

MAGIC = b"gamedyn run 2\n"
PARTIAL = ".partial-"


class _Hashed:
    """A binary file that knows the digest of what has been written."""

    def __init__(self, file: Any) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return int(self._file.write(data))

    def flush(self) -> None:
        self._file.flush()


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a content of tensors, numbers, text and their lists and dicts; a reader sees the old file or the new.

    Raises:
        OSError: if it cannot be written; what was written is removed.
    """
    handle, partial = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC)
            hashed = _Hashed(file)
            try:
                torch.save(plain(content), hashed)  # type: ignore[arg-type]
            except RuntimeError as error:  # PyTorch's word for a file that takes no more
                raise OSError(str(error).splitlines()[0]) from error
            file.write(hashed.digest.digest())
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    _settled(path.parent)


def _settled(folder: Path) -> None:
    """Let the folder's entry outlive a loss of power, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: Path, device: Any) -> dict[str, Any]:
    """What a file holds; tensors on a device.

    Raises:
        ArgumentError: if it is missing, no such file, or damaged.
    """
    try:
        if not path.is_file():
            raise ArgumentError("path", "a file written by a run", str(path), "no such file")
        data = path.read_bytes()
    except OSError as error:
        raise ArgumentError("path", "a file that can be read", f"{path}: {error.strerror}") from None
    if not data.startswith(MAGIC):
        raise ArgumentError(
            "path", "a file written by Run.save or by a run", str(path), "another kind, or another format"
        )
    payload, digest = data[len(MAGIC) : -32], data[-32:]
    if hashlib.sha256(payload).digest() != digest:
        raise ArgumentError(
            "path", "a whole file", f"{path}, which is damaged", "its digest is not that of its content"
        )
    try:
        found: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except Exception as error:  # a digest that fits: then it is what was written, by another version
        raise ArgumentError("path", "a file that this version of PyTorch reads", f"{path}: {error}") from None
    return found


def plain(content: Any) -> Any:
    """The content with numbers of NumPy as Python's, tuples kept: what can be read without trusting the file."""
    if isinstance(content, dict):
        return {plain(k): plain(v) for k, v in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(map(plain, content)) if type(content) in (list, tuple) else tuple(map(plain, content))
    if isinstance(content, torch.Tensor):
        return content
    if type(content).__module__ == "numpy":
        return torch.as_tensor(content) if getattr(content, "ndim", 0) else content.item()
    return content
