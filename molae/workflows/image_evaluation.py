"""What is known of a run of images once it has been evaluated, as numbers, tables, definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from molae.metrics.latent import ACTIVE
from molae.metrics.manifold import NEIGHBORS
from molae.metrics.prd import ANGLES, CLUSTERS, RUNS
from molae.names import IMAGE_METRICS, WAYS
from molae.workflows.evaluation import DATA, Evaluation, Numbers

#: What sets of images are called that are not drawn from a density.
RECONSTRUCTIONS = "reconstructions"
MIDDLES = {kind: f"midpoints, {kind}" for kind in WAYS}

#: The three distributions that the column "N" of a table may mean.
READINGS = {"prior": "N(0, I)", "centred": "N(0, Sigma)", "gaussian": "N(mu, Sigma)"}

#: Numbers of the run as a whole, in the order in which they are shown.
OF_RUN: dict[str, str] = {
    "squared_error": (
        "Mean squared error of a pixel's value (0 to 1, rounded to 8 bits) between held-out "
        "images and what their codes (the posterior mean) decode to."
    ),
    "dimensions": "D, the number of dimensions of a code.",
    "active_dimensions": (
        f"Dimensions in which the posterior mean has a variance above {ACTIVE} over the held-out "
        "images (Burda et al. 2016). Made for codes on the scale of N(0, I)."
    ),
    "effective_rank": (
        "Exponential of the entropy of the normalised eigenvalues of the covariance of the "
        "held-out images' codes (Roy and Vetterli 2007): D where they spread alike in all "
        "directions, 1 on a line; does not depend on their scale."
    ),
}

_FRECHET = (
    "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of means and covariances of features, 0 for "
    "equal ones (Heusel et al. 2017). The row of training data is what real images reach that the "
    "model has learnt from, and perhaps the net that makes features, too; a floor between images "
    "that the shipped classifier has not learnt from stands in the notes."
)
_NEAR = f"(k = {NEIGHBORS}, at most 5,000 images on each side)"

#: What is said of each set of images.
OF_SET: dict[str, str] = {
    "fd_classifier": f"Fréchet distance in features of a small classifier, no FID: {_FRECHET}",
    "fid": f"Fréchet Inception distance: {_FRECHET}",
    "fd_pca": f"Fréchet distance in principal components of pixels: {_FRECHET}",
    "kid": (
        "Squared maximum mean discrepancy of the same features, with the kernel (x.y / F + 1)^3 "
        "(Binkowski et al. 2018). Unbiased for any number of images: 0 in expectation for equal "
        "distributions, so that it may be below 0."
    ),
    "kid_error": "Standard error of kid, from blocks of images that share none.",
    "prd_f8": (
        f"Largest F_8 on the curve of precision and recall over {CLUSTERS} clusters of both sets "
        f"({ANGLES} angles, mean of {RUNS} clusterings; Sajjadi et al. 2018): mostly recall."
    ),
    "prd_f1_8": "Largest F_1/8 on the same curve: mostly precision.",
    "precision": f"Share of images in a ball around an image of the reference {_NEAR} that "
    "reaches to its k-th neighbour there (Kynkaanniemi et al. 2019).",
    "recall": "Share of the reference in such a ball around one of the images.",
    "density": (
        "Balls of the reference that an image lies in, over k (Naeem et al. 2020): 1 for equal "
        "distributions, and above 1 where images crowd where the reference is dense."
    ),
    "coverage": "Share of the reference's balls with an image inside (Naeem et al. 2020).",
    "nearest_train": (
        "Median distance, in features, to the nearest image that was learnt from, over that of "
        "the reference: about 1 for new images of the same kind, near 0 for copies."
    ),
    "held_out_nats": (
        "Mean log-density of the codes of held-out images, in nats: how well the density knows "
        "where codes lie. Only densities of one run can be compared by it."
    ),
    "images_per_second": "Images drawn and decoded per second, on the device and machine of "
    "this evaluation.",
}

#: Columns that a screen has no room for; files and the page have them.
_NOT_ON_SCREEN = ("kid_error", "held_out_nats", "images_per_second")


def definitions() -> dict[str, str]:
    """What every number is, in sentences."""
    return OF_RUN | OF_SET


@dataclass
class ImagePictures:
    """What a report draws, each a grid of images as text (see ``molae.pictures.text_of``).

    Attributes:
        truth: Held-out images, and what their codes decode to; or none.
        sets: Of each set of images by name, the first ones.
        ways: What lies between held-out images, a row for each pair; "" for none.
    """

    truth: tuple[str, str] | None = None
    sets: dict[str, str] = field(default_factory=dict)
    ways: str = ""


@dataclass
class ImageEvaluation(Evaluation):
    """What ``evaluate_run`` found of a run of images.

    Attributes:
        others: Of sets of images that no density drew, by name: reconstructions, midpoints.
        images: For the report.
    """

    others: dict[str, Numbers] = field(default_factory=dict)
    images: ImagePictures = field(default_factory=ImagePictures)

    def sets(self) -> dict[str, Numbers]:
        """Numbers of each set of images by name: densities, others, and the training data."""
        data = {DATA: self.data} if self.data else {}
        return self.densities | self.others | data

    def groups(self) -> dict[str, list[str]]:
        """Names of the numbers that some set has, by what they are about."""
        there = {name for row in self.sets().values() for name in row}
        found = {
            "Likeness to the reference": [name for name in IMAGE_METRICS if name in there],
            "Other": [name for name in OF_SET if name in there and name not in IMAGE_METRICS],
        }
        return {head: names for head, names in found.items() if names}

    def types(self) -> dict[str, type]:
        """Columns of ``rows``, and what each holds; ``density`` is a number here."""
        named: dict[str, type] = {"set": str, "n": int, "seed": int}
        return named | dict.fromkeys([*self.columns(), *self.numbers], float)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each set of images: its numbers, then those of the run; for tables.

        Numbers of the run stand in the rows of its densities only.
        """
        columns, rows = self.columns(), []
        for name, numbers in self.sets().items():
            row = {"set": name, "n": self.about["n"], "seed": self.about["seed"]}
            row |= {column: numbers.get(column) for column in columns}
            rows.append(row | (self.numbers if name in self.densities else {}))
        return rows

    def table(self) -> tuple[list[str], list[list[str | float | None]]]:
        """Head and rows for a screen: a set of images in each row, a number in each column."""
        columns = [name for name in self.columns() if name not in _NOT_ON_SCREEN]
        rows: list[list[str | float | None]] = [
            [self.label(name), *(numbers.get(column) for column in columns)]
            for name, numbers in self.sets().items()
        ]
        return ["", *columns], rows

    def label(self, name: str) -> str:
        """A set of images, and what was fitted to draw it."""
        fitted = self.about.get("fitted", {}).get(name, "")
        return f"{name}: {fitted}" if fitted else name

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON values."""
        found = super().to_dict() | {"others": self.others}
        del found["reference"]  # it is what all are measured against
        return found
