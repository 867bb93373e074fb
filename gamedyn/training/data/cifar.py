"""CIFAR-10: the published folder of Python batches."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["CIFAR10"]

HOW = "get cifar-10-python.tar.gz from the data set's page (www.cs.toronto.edu/~kriz/cifar.html) and unpack it"
FILES = {  # MD5, as published
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


class _Arrays(pickle.Unpickler):
    """Unpickles arrays, lists, text and numbers, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        arrays = {"_reconstruct", "scalar"} if module.endswith("multiarray") else {"ndarray", "dtype"}
        if module.partition(".")[0] == "numpy" and name in arrays:
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def _read(folder: Path, name: str) -> tuple[Tensor, Tensor]:
    path = folder / name
    if not path.is_file():
        raise ArgumentError("data.folder", f"a folder with {name}", f"{folder}", HOW)
    content = path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != FILES[name]:
        raise ArgumentError("data.folder", f"the published {name}, MD5 {FILES[name]}", f"{path}, MD5 {found}", HOW)
    batch = _Arrays(io.BytesIO(content), encoding="bytes").load()
    pixels = torch.as_tensor(np.array(batch[b"data"], np.uint8)).reshape(-1, 3, 32, 32)
    return pixels.float().div_(127.5).sub_(1), torch.as_tensor(batch[b"labels"])


def _cifar10(*, folder: str = "cifar-10-batches-py") -> DataSet:
    """50,000 images, 10,000 to test, 3x32x32 in [-1, 1], from `folder`.

    Raises:
        ArgumentError: for files that are missing or damaged, with how to get them.
    """
    where = Path(folder).expanduser()
    parts = [_read(where, name) for name in FILES]
    samples, labels = (torch.cat([p[i] for p in parts[:-1]]) for i in range(2))
    return DataSet("cifar10", samples, labels, 10, test=parts[-1], about="CIFAR-10 (Krizhevsky 2009), training images")


def _shape(**_: Any) -> tuple[tuple[int, ...], int]:
    return (3, 32, 32), 10


CIFAR10 = DataFamily(
    name="cifar10", load=_cifar10, source="Krizhevsky 2009", offline=False, aliases=("cifar",), shape=_shape
)
