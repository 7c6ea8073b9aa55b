"""Files of images beside files of real ones."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike, fspath
from typing import Any

import numpy as np

from molae.datasets.image_files import open_images
from molae.datasets.images import gathered, image_codec
from molae.metrics.features import feature_net
from molae.metrics.images import ImageComparison, ImageYardstick
from molae.names import IMAGE_METRICS
from molae.workflows.evaluate_images import LEARNT, NOT_OF_IMAGES
from molae.workflows.reading import bar

#: Images of each file that are compared, at most; of the training file it is ``LEARNT``.
MOST = 10_000


@dataclass(frozen=True)
class EvaluatedImages:
    """What ``evaluate_pictures`` found.

    Attributes:
        comparison: The metrics.
        files: Of ``generated``, ``reference`` and, if it was given, ``train``: the source, its
            records that were read, those that are images, how many are not, by reason, and how
            many were not read.
        features: What the images were compared in: name, digest, and a sentence.
    """

    comparison: ImageComparison
    files: dict[str, dict[str, Any]]
    features: dict[str, str]

    def told(self) -> list[str]:
        """Sentences on what was read, and in what it was compared."""
        read = []
        for label, one in self.files.items():
            why = ", ".join(f"{count} {reason}" for reason, count in one["reasons"].items())
            read.append(
                f"{label}: {one['valid']:,} of {one['total']:,} records are images"
                + (f" ({why})" if why else "")
            )
            if one["unread"]:
                read.append(f"{label}: {one['unread']:,} more were not read, chosen at random")
        return [*read, self.features["about"], NOT_OF_IMAGES]

    def types(self) -> dict[str, type]:
        """Columns of ``rows``, and what each holds."""
        return {"metric": str, "value": float, "note": str, "meaning": str}

    def rows(self) -> list[dict[str, Any]]:
        """One row for each metric."""
        found = self.comparison
        return [
            {
                "metric": name,
                "value": value,
                "note": found.notes.get(name, ""),
                "meaning": IMAGE_METRICS[name],
            }
            for name, value in found.values.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "files": self.files,
            "features": self.features,
            "metrics": {row.pop("metric"): row for row in self.rows()},
            "versions": {name: version(name) for name in ("molae", "torch", "numpy")},
        }


def evaluate_pictures(
    generated: str | PathLike[str],
    reference: str | PathLike[str],
    train: str | PathLike[str] | None = None,
    *,
    features: str = "classifier",
    seed: int = 0,
    progress: bool = True,
) -> EvaluatedImages:
    """Every metric of a source of generated images beside one of real ones.

    Images are compared at the size and in the channels of the first generated one; those of other
    sizes are left out, and counted. At most 10,000 records of each are read, chosen at random.

    Args:
        generated: See ``molae.datasets.image_files``.
        reference: Images that were held out from training.
        train: What was learnt from, for ``nearest_train``; at most 60,000 records of it.
        features: See ``molae.metrics.features.feature_net``.
        seed: Of what is drawn.
        progress: Show bars.

    Raises:
        DataError: A source cannot be read, or holds no image of the right size.
        ValueError: Unknown features.
    """
    codec = image_codec(open_images(generated))
    named = {"generated": generated, "reference": reference, "train": train}
    files: dict[str, dict[str, Any]] = {}
    pixels = []
    for label, source in named.items():
        if source is None:
            continue
        opened = open_images(source)
        most = LEARNT if label == "train" else MOST
        rows = np.sort(np.random.default_rng(seed).permutation(len(opened))[:most])
        with bar(opened.name, progress) as show:
            found = gathered(codec, opened, progress=show, chosen=rows)
        files[label] = {
            "source": fspath(source), "total": len(rows), "valid": len(found.pixels),
            "reasons": found.lost, "unread": len(opened) - len(rows),
        }  # fmt: skip
        pixels.append(found.pixels)
    drawn, real, *learnt = pixels
    net = feature_net(features, real)
    ruler = ImageYardstick(net, real, learnt[0] if learnt else None, seed)
    about = {"name": net.name, "digest": net.digest, "about": net.about}
    return EvaluatedImages(ruler.measure(drawn), files, about)
