"""Fashion-MNIST: the four IDX files, of the Debian package or of any folder."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as padded

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["FASHION_MNIST"]

DEBIAN = "/usr/share/datasets/fashion-mnist"
HOW = "apt-get install dataset-fashion-mnist, or data.folder = a folder with the four files of the project's page"
CONTENT = {  # SHA-256 of the files, unpacked
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def read_idx(folder: Path, name: str) -> np.ndarray:
    """The array in an IDX file of bytes, packed by gzip or not, its content checked against the published one.

    Raises:
        ArgumentError: if it is missing, cannot be unpacked, or is another.
    """
    path = next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)
    if path is None:
        raise ArgumentError("data.folder", f"a folder with {name}.gz", f"{folder}", HOW)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ArgumentError("data.folder", f"files that can be read, {path.name}", str(error), HOW) from error
    if hashlib.sha256(content).hexdigest() != CONTENT[name]:
        raise ArgumentError("data.folder", f"the published {name}", f"{path}, whose content is another", HOW)
    dimensions = content[3]
    sizes = np.frombuffer(content, ">i4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)


def _fashion(*, folder: str | None = None, pad: int = 0) -> DataSet:
    """60,000 images of clothing, 10,000 to test, 28x28 in [-1, 1].

    `folder`: with the IDX files; None: that of the Debian package. `pad`: pixels of background around (2: 32x32).

    Raises:
        ArgumentError: for files that are missing or damaged, with how to get them.
    """
    where = Path(DEBIAN if folder is None else folder).expanduser()
    around = positive_int("pad", pad, least=0)

    def read(part: str) -> tuple[Tensor, Tensor]:
        images, labels = (read_idx(where, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        x = torch.as_tensor(images.copy())[:, None].float().div_(127.5).sub_(1)
        return padded(x, [around] * 4, value=-1.0), torch.as_tensor(labels.copy()).long()

    samples, labels = read("train")
    about = "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), the published training images"
    return DataSet("fashion_mnist", samples, labels, 10, test=read("t10k"), about=about)


def _shape(*, pad: int = 0, **_: object) -> tuple[tuple[int, ...], int]:
    return (1, 28 + 2 * pad, 28 + 2 * pad), 10


FASHION_MNIST = DataFamily(
    name="fashion_mnist",
    load=_fashion,
    source="Xiao, Rasul, Vollgraf 2017",
    offline=False,
    aliases=("fashion",),
    shape=_shape,
)
