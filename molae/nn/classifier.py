"""A small convolutional classifier: its last hidden layer gives features, its answer classes.

One is shipped (``data/features/mnist``). What it is for: distances between sets of pictures are
measured between its features, and an oracle may ask it for the probability of a class.

Letters: n pictures, H x W pixels, C channels, F features, K classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from molae.resources import features_path

#: Files of a folder that a classifier is kept in.
CARD, WEIGHTS = "card.json", "weights.safetensors"
#: Pictures that are looked at together.
_BATCH = 256
#: Weights of red, green and blue in grey (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)


class ImageClassifier(nn.Module):
    """Two convolutions, each with a pooling, a hidden layer of F rectified units, K logits.

    Pictures of any size and of one or three channels are brought to what it learnt on: colours to
    grey, and the size by bilinear scaling, smoothed where it shrinks them.

    Args:
        classes: What its K answers are called.
        size: H and W of the pictures that it learnt on.
        width: Filters of the first convolution; the second has twice as many.
        features: F.

    Attributes:
        card: What is known of it: how it was trained, and how good it is.
        digest: SHA-256 of its weights as they are stored; "" before that.
    """

    def __init__(
        self, classes: Sequence[str], size: int = 28, width: int = 16, features: int = 64
    ) -> None:
        super().__init__()
        if len(classes) < 2 or size < 4 or width < 1 or features < 1:
            raise ValueError(
                f"{len(classes)} classes, size {size}, width {width}, {features} features; "
                "expected at least 2, 4, 1 and 1"
            )
        self.classes = list(classes)
        self.size, self.width, self.count = size, width, features
        self.first = nn.Conv2d(1, width, 5, padding=2)
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.hidden = nn.Linear(2 * width * (size // 4) ** 2, features)
        self.last = nn.Linear(features, len(classes))
        self.card: dict[str, Any] = {}
        self.digest = ""

    @classmethod
    def load(cls, name: str | Path = "mnist") -> Self:
        """One that is shipped, by name, or one in a folder, by its path.

        Raises:
            ValueError: There is none, or it is damaged.
        """
        if Path(name).is_dir():
            return cls._read(Path(name))
        with features_path(str(name)) as folder:
            return cls._read(folder)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            stored = (folder / WEIGHTS).read_bytes()
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: no classifier can be read there ({error})") from error
        digest = hashlib.sha256(stored).hexdigest()
        if not isinstance(card, dict) or digest != card.get("digest"):
            raise ValueError(f"{folder / WEIGHTS} is damaged: its digest is not that of its card")
        try:
            made = cls(**card["settings"])
            made.load_state_dict({name: value.float() for name, value in load(stored).items()})
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder}: card and weights are of no such classifier "
                f"({str(error).splitlines()[0]}); make one with python -m benchmarks.features"
            ) from error
        made.card, made.digest = card, digest
        return made.eval()

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        named = {"size": self.size, "width": self.width, "features": self.count}
        return {"classes": self.classes, **named}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, F) and logits (n, K) of x (n, 1, size, size), values in [0, 1]."""
        x = functional.max_pool2d(functional.relu(self.first(x)), 2)
        x = functional.max_pool2d(functional.relu(self.second(x)), 2)
        features = functional.relu(self.hidden(x.flatten(1)))
        return features, self.last(features)

    def prepared(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pictures (n, H, W, C) as it wants them: (n, 1, size, size) float32 in [0, 1].

        Raises:
            ValueError: They are no such array.
        """
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] not in (1, 3):
            raise ValueError(
                f"pictures of shape {pixels.shape} and type {pixels.dtype}; expected "
                "(n, H, W, 1 or 3) of type uint8"
            )
        x = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255).permute(0, 3, 1, 2)
        return self.scaled(self.grey(x))

    @staticmethod
    def grey(x: Tensor) -> Tensor:
        """Pictures (n, 1 or 3, H, W) without their colours, (n, 1, H, W)."""
        if x.shape[1] == 1:
            return x
        return (x * x.new_tensor(_GREY)[:, None, None]).sum(1, keepdim=True)

    def scaled(self, x: Tensor) -> Tensor:
        """Grey pictures (n, 1, H, W) in the size that it learnt on."""
        if x.shape[2:] == (self.size, self.size):
            return x
        size = (self.size, self.size)
        return functional.interpolate(x, size, mode="bilinear", antialias=True)

    @torch.no_grad()
    def answers(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features (n, F) and class probabilities (n, K) of pictures (n, H, W, C).

        Raises:
            ValueError: They are no pictures.
        """
        self.eval()
        device = next(self.parameters()).device
        features = np.zeros((len(pixels), self.count))
        chances = np.zeros((len(pixels), len(self.classes)))
        for first in range(0, len(pixels), _BATCH):
            rows = slice(first, first + _BATCH)
            seen, logits = self(self.prepared(pixels[rows]).to(device))
            features[rows] = seen.double().cpu().numpy()
            chances[rows] = logits.double().softmax(1).cpu().numpy()
        return features, chances

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The last hidden layer: pictures (n, H, W, C) -> (n, F), none below 0."""
        return self.answers(pixels)[0]

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How likely each class is: pictures (n, H, W, C) -> (n, K), rows that add up to 1."""
        return self.answers(pixels)[1]
