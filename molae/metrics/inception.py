"""Inception-v3, as the Fréchet Inception distance wants it, through torch-fidelity."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

#: The published weights: where they are, and how the SHA-256 of the file begins.
URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
PUBLISHED = "6726825d"
#: The layer of FID: the last pooling, 2,048 features.
LAYER = "2048"
#: Makes ``torch.load`` read tensors and no program, whatever a library asks it for.
_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_BATCH = 50


class InceptionFeatures:
    """The 2,048 features of the net of 2015 that FID is defined with (Heusel et al. 2017).

    Images are scaled to 299 x 299 as TensorFlow 1 did it; grey ones are shown in all three
    channels, as the authors of RAE do. No program in the file of weights is run.

    Args:
        weights: The file; None is refused with a sentence that says where it is to be had.

    Attributes:
        name: ``inception``.
        fd: ``fid``.

    Raises:
        ImportError: The extra ``fid`` is not installed.
        ValueError: There is no such file, or it holds something else.
    """

    name = "inception"
    fd = "fid"

    def __init__(self, weights: Path | None) -> None:
        if weights is None or not weights.is_file():
            what = "no file was named" if weights is None else f"{weights}: there is no such file"
            raise ValueError(
                f"{what}: the weights of Inception-v3 do not ship with molae, and are not fetched "
                f"by it. Put {URL} on this disc and name it with --features inception=FILE, or "
                "use --features classifier or pca"
            )
        self.weights = weights
        self.net = _loaded(weights)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file of weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()

    @property
    def about(self) -> str:
        """A sentence on what it is."""
        if self.digest.startswith(PUBLISHED):
            return "Features of Inception-v3 with the published weights of FID."
        return (
            "Features of Inception-v3 with weights that are not the published ones of FID: "
            "distances cannot be compared with published numbers."
        )

    @torch.no_grad()
    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Images (n, H, W, 1 or 3) uint8 -> (n, 2048)."""
        device = next(self.net.parameters()).device
        parts = [np.zeros((0, int(LAYER)))]
        for first in range(0, len(pixels), _BATCH):
            x = torch.from_numpy(np.ascontiguousarray(pixels[first : first + _BATCH]))
            x = x.permute(0, 3, 1, 2).expand(-1, 3, -1, -1).contiguous()
            (found,) = self.net(x.to(device))
            parts.append(found.double().cpu().numpy())
        return np.concatenate(parts)


def _loaded(weights: Path) -> Any:
    """The net with its weights, on a GPU if there is one."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # the latter of a torchvision for another torch
        raise ImportError(
            "FID is not computed: it needs torch-fidelity; install it with pip install "
            f"'molae[fid]' ({error})"
        ) from error
    try:
        with _tensors_only():
            net = FeatureExtractorInceptionV3(
                "inception-v3-compat", [LAYER], feature_extractor_weights_path=str(weights)
            )
    except Exception as error:  # whatever the reader of tensors makes of a strange file
        raise ValueError(
            f"{weights} does not hold the weights of Inception-v3 as torch-fidelity wants them "
            f"({type(error).__name__}); they are at {URL}"
        ) from error
    return net.to("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _tensors_only() -> Iterator[None]:
    """No file is allowed to bring a program, for the time of the context."""
    before = os.environ.get(_TENSORS_ONLY)
    os.environ[_TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TENSORS_ONLY]
        else:
            os.environ[_TENSORS_ONLY] = before
