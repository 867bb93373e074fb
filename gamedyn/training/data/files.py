"""Samples of one's own: a folder of images, a file or a tensor of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gamedyn._lib.checks import positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["FOLDER", "TENSORS"]

MOST_CLASSES = 100_000
KINDS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class ImageFiles(torch.utils.data.Dataset[Any]):
    """Images read one by one: the shorter side scaled to `size`, the middle cut out, in [-1, 1].

    Args:
        paths: of the files.
        labels: of each, or None.
        size: side.
        channels: 3, or 1 for grey ones.
    """

    def __init__(self, paths: list[Path], labels: list[int] | None, size: int, channels: int) -> None:
        self.paths, self.labels, self.size, self.channels = paths, labels, size, channels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        image = self.read(self.paths[index])
        return image if self.labels is None else (image, self.labels[index])

    def read(self, path: Path) -> Tensor:
        """(channels, size, size).

        Raises:
            ArgumentError: for a file that is no image.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                image = _eight_bits(upright).convert("RGB" if self.channels == 3 else "L")
            image = ImageOps.fit(image, (self.size, self.size), Image.Resampling.LANCZOS)
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise ArgumentError("data.folder", "images that can be read", f"{path}: {error}", "remove it") from error
        pixels = torch.as_tensor(np.array(image, np.uint8)).reshape(self.size, self.size, self.channels)
        return pixels.permute(2, 0, 1).float().div_(127.5).sub_(1)


def _eight_bits(image: Any) -> Any:
    """An image of 16 bits a value scaled to 8, which Pillow would cut off at 255.

    Raises:
        ValueError: for other values, whose range nobody can know.
    """
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"values of mode {image.mode!r} from {values.min()} to {values.max()}, not of 8 or 16 bits")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _folder(
    *,
    folder: str = "",
    size: int = 32,
    channels: int = 3,
    memory_gb: float = 4.0,
    progress: bool = True,
) -> DataSet:
    """All images in a folder and its folders; where each image lies in a folder of the first level, that is its class.

    Hidden files and folders are left out; images stand as their cameras say. `size`: side; `channels`: 3, or 1 for
    grey, of 8 or 16 bits (transparency is dropped); `memory_gb`: up to so many GB they are all read at once, else as
    they are needed.

    Raises:
        ArgumentError: for a folder without images, or an image that cannot be read.
    """
    where = Path(folder).expanduser()
    if not folder or not where.is_dir():
        raise ArgumentError("data.folder", "a folder with images", folder or "none")
    found = (p for p in where.rglob("*") if p.suffix.lower() in KINDS and p.is_file())
    paths = sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(where).parts))
    if not paths:
        raise ArgumentError("data.folder", f"images ({', '.join(KINDS)}) in it", f"{where}, which has none")
    if channels not in (1, 3):
        raise ArgumentError("data.channels", "3, or 1 for grey images", channels)
    kinds = sorted({p.relative_to(where).parts[0] for p in paths if p.parent != where})
    labelled = len(kinds) > 1 and all(p.parent != where for p in paths)
    labels = [kinds.index(p.relative_to(where).parts[0]) for p in paths] if labelled else None
    files = ImageFiles(paths, labels, positive_int("data.size", size), channels)
    about = f"{len(paths):,} images of {where.name}, cut to {size}x{size}"
    facts = {"size": size, "channels": channels, "files": [str(p.relative_to(where)) for p in paths]}
    marks = None if labels is None else torch.tensor(labels)
    if len(paths) * channels * size**2 * 4 > positive("data.memory_gb", memory_gb) * 1e9:
        return DataSet(where.name, files, marks, len(kinds) * labelled, about=about, facts=facts)
    bar = tqdm(paths, "reading images", unit="image", disable=None if progress else True, leave=False, delay=2)
    samples = torch.stack([files.read(p) for p in bar])
    return DataSet(where.name, samples, marks, len(kinds) * labelled, about=about, facts=facts)


def _tensors(*, samples: Any = None, labels: Any = None, file: str = "", name: str = "tensors") -> DataSet:
    """Samples (n, ...) and labels (n,) as tensors or arrays; or a `file`, .npy, .npz or .pt, with these two names.

    Numbers become float32, whole numbers of 8 bits are images' and scaled to [-1, 1]; others stay as they are.

    Raises:
        ArgumentError: for a file that cannot be read, samples that are not finite, labels of another number.
    """
    found = {"samples": samples, "labels": labels}
    if file:
        found |= _contents(Path(file).expanduser())
    if found["samples"] is None:
        raise ArgumentError("data.samples", "samples, or a file with them", "none", "data.file = ...")
    x = torch.as_tensor(found["samples"])
    x = x.float().div(127.5).sub(1) if x.dtype == torch.uint8 else x.float()
    if x.dim() < 2 or not len(x) or not bool(x.isfinite().all()):
        raise ArgumentError("data.samples", "finite samples (n, ...)", f"shape {tuple(x.shape)}")
    if found.get("labels") is None:
        return DataSet(name, x, about=file or "given")
    given = torch.as_tensor(found["labels"])
    y = given.long()
    if y.shape != (len(x),) or int(y.min()) < 0 or int(y.max()) >= MOST_CLASSES or not bool((y == given).all()):
        expected = f"({len(x)},) whole numbers from 0 to less than {MOST_CLASSES:,}"
        raise ArgumentError("data.labels", expected, f"shape {tuple(y.shape)}, {given.min()} to {given.max()}")
    return DataSet(name, x, y, int(y.max()) + 1, about=file or "given")


def _contents(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".pt":
            content = torch.load(path, map_location="cpu", weights_only=True)
        else:
            content = np.load(path, allow_pickle=False)
    except Exception as error:  # of many libraries
        raise ArgumentError("data.file", "a .npy, .npz or .pt file that can be read", f"{path}: {error}") from error
    if isinstance(content, (np.ndarray, Tensor)):
        return {"samples": content}
    if "samples" not in content:
        raise ArgumentError("data.file", 'a file with "samples"', f"{sorted(content)}")
    return {name: content[name] for name in ("samples", "labels") if name in content}


FOLDER = DataFamily(name="folder", load=_folder, source="a folder of images", offline=False, aliases=("images",))
TENSORS = DataFamily(name="tensors", load=_tensors, source="samples given", offline=False, aliases=("tensor", "file"))
