"""The table on images from its cells: numbers, published ones, and what can be said of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import kendalltau
from scipy.stats import t as student

from benchmarks.cells import Rows, Shown, Values, seeds, spread
from benchmarks.images_cell import COMPONENTS, DATA, FLOOR
from benchmarks.images_models import MODELS, NOT_COMPARABLE, PLAIN
from molae.names import WAYS
from molae.workflows.image_evaluation import MIDDLES, READINGS, RECONSTRUCTIONS

#: Columns of sets: what they are called in cells, and in the table.
SETS = {
    RECONSTRUCTIONS: "reconstruction",
    **READINGS,
    "gmm": f"GMM-{COMPONENTS}",
    "bayesian": f"BGMM-{COMPONENTS}",
    "two_stage": "second VAE",
    MIDDLES["linear"]: "midpoint",
}
#: What the Fréchet distance is called, by the features that it is measured in.
DISTANCES = {"classifier": "fd_classifier", "pca": "fd_pca", "inception": "fid"}
#: A number of a cell, None where it has none.
Read = Callable[[Values], float | None]


class Cells:
    """What a folder of cells holds.

    Args:
        values: Of its files, all of one protocol.

    Raises:
        ValueError: There is no cell of a model.
    """

    def __init__(self, values: Sequence[Values]) -> None:
        self.rows: dict[str, list[Values]] = {}
        for name in MODELS:
            found = [one for one in values if one["model"] == name]
            if found:
                self.rows[name] = sorted(found, key=lambda one: int(one["seed"]))
        if not self.rows:
            raise ValueError("there is no cell of a model; make some with a source of images")
        self.data = next((one for one in values if one["model"] == DATA), None)
        self.protocol = values[0]["protocol"]
        self.distance = DISTANCES[self.protocol["features"].partition("=")[0]]

    def whole(self, name: str) -> list[Values]:
        """The cells of a model whose training came to its end."""
        return [cell for cell in self.rows.get(name, []) if "failed" not in cell]

    def title(self, name: str) -> str:
        """The model, and what failed."""
        failed = len(self.rows[name]) - len(self.whole(name))
        lost = f" ({failed} of {len(self.rows[name])} diverged)" if failed else ""
        return MODELS[name].title + lost

    def number(self, kind: str, metric: str | None = None) -> Read:
        """Reads a metric of a set of images; by default the Fréchet distance."""

        def read(cell: Values) -> float | None:
            found: float | None = cell["sets"].get(kind, {}).get(metric or self.distance)
            return found

        return read

    def values(self, name: str, kind: str, metric: str | None = None) -> list[float]:
        """A metric of a set of images of a model, for each seed that has it."""
        found = map(self.number(kind, metric), self.whole(name))
        return [value for value in found if value is not None]


# Tables ------------------------------------------------------------------------------------------


def distances(cells: Cells) -> Rows:
    """The Fréchet distance of each model and set of images; the floor below."""
    rows = [
        [
            cells.title(name),
            seeds(cells.rows[name]),
            *(spread(list(map(cells.number(kind), cells.whole(name)))) for kind in SETS),
        ]
        for name in cells.rows
    ]
    if cells.data is not None:
        floor = cells.number(FLOOR)(cells.data)
        rows.append([f"{FLOOR} (floor)", "", *[spread([floor])] * len(SETS)])
    return ["model", "seeds", *SETS.values()], rows


def published(cells: Cells) -> Rows:
    """The paper's numbers for the same models."""
    head = ["model", "reconstruction", "N", f"GMM-{COMPONENTS}", "midpoint"]
    rows = []
    for name in cells.rows:
        fid = MODELS[name].fid
        values = (fid.reconstruction, fid.normal, fid.mixture, fid.midpoint)
        shown = ["-" if value is None else f"{value:.2f}" for value in values]
        rows.append([MODELS[name].title, *shown])
    return head, rows


def others(cells: Cells) -> Rows:
    """What else is measured: of the model, and of what is drawn from the mixture."""
    # Published KIDs, in features of Inception, come in units of 1/1000.
    kid = ("kid", "KID x 1000", 1e3) if cells.distance == "fid" else ("kid", "KID", 1)
    mixture = [kid, ("prd_f8", "PRD F8", 1), ("prd_f1_8", "F1/8", 1),
               ("fd_pca", "FD of pixels", 1), ("nearest_train", "nearest train", 1)]  # fmt: skip
    columns: list[tuple[str, Read, float, int]] = [
        ("squared error x 1000", lambda cell: _float(cell["numbers"]["squared_error"]), 1e3, 2),
        *((head, cells.number("gmm", name), scale, 3 if scale == 1 else 2)
          for name, head, scale in mixture),
        *((f"midpoint, {kind}", cells.number(MIDDLES[kind]), 1.0, 1)
          for kind in WAYS if kind != "linear"),
        ("million numbers", lambda cell: _float(cell["parameters"]), 1e-6, 2),
        ("seconds to train", lambda cell: _float(cell["training"]["seconds"]), 1.0, 0),
    ]  # fmt: skip
    rows = []
    for name in cells.rows:
        row = [cells.title(name)]
        for _, read, scale, digits in columns:
            found = [read(cell) for cell in cells.whole(name)]
            row.append(spread([None if v is None else scale * v for v in found], digits))
        rows.append(row)
    return ["model", *(head for head, *_ in columns)], rows


def components(cells: Cells) -> Rows:
    """Validation log-density gained over one Gaussian, for each number of components."""
    counts = [int(count) for count in cells.protocol["components"] if count > 1]
    rows = []
    for name in cells.rows:
        gains = [gained(cell) for cell in cells.whole(name) if cell["curve"]]
        if gains:
            shown = [spread([gain.get(count) for gain in gains]) for count in counts]
            rows.append([cells.title(name), *shown])
    return ["model", *(f"GMM-{count}" for count in counts)], rows


def gained(cell: Values) -> dict[int, float]:
    """Nats per validation code over one Gaussian, by number of components.

    Unlike the log-density itself this does not depend on the scale of codes, so that models can
    be compared by it. Empty where the curve does not begin with one component.
    """
    points = {int(point["components"]): float(point["validation"]) for point in cell["curve"]}
    return {count: value - points[1] for count, value in points.items()} if 1 in points else {}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


# Sentences ---------------------------------------------------------------------------------------


def shape(cells: Cells) -> list[str]:
    """Whether the mixture is nearer to the test images than N(0, I), and for whom not."""
    better: list[str] = []
    worse: list[str] = []
    for name in cells.rows:
        pair = [cells.values(name, kind) for kind in ("prior", "gmm")]
        if all(pair):
            (better if mean(pair[1]) < mean(pair[0]) else worse).append(MODELS[name].title)
    told = []
    if better:
        told.append(f"GMM-{COMPONENTS} is nearer than N(0, I) for {', '.join(better)}.")
    if worse:
        told.append(f"GMM-{COMPONENTS} is not nearer than N(0, I) for {', '.join(worse)}.")
    return told


def against_plain(cells: Cells) -> list[str]:
    """Each model against the plain autoencoder, both with a mixture, seed by seed.

    The difference is given with its 95 % interval by Student's t over the seeds that both have.
    """
    read, plain = cells.number("gmm"), MODELS[PLAIN].title
    base = {cell["seed"]: read(cell) for cell in cells.whole(PLAIN)}
    told = []
    for name in cells.rows:
        if name == PLAIN:
            continue
        pairs = [(read(cell), base.get(cell["seed"])) for cell in cells.whole(name)]
        found = [a - b for a, b in pairs if a is not None and b is not None]
        if len(found) < 2:
            continue
        low, high = interval(found)
        verdict = "better" if high < 0 else "worse" if low > 0 else "no difference shown"
        told.append(
            f"{MODELS[name].title} {mean(found):+.2f} [{low:+.2f}, {high:+.2f}], {verdict}"
        )
    if not told:
        return []
    return [
        f"Does it help to regularise? Under GMM-{COMPONENTS}, minus the plain {plain} of the same "
        f"seed (below 0 is better; 95 % intervals, not corrected for their number): "
        f"{'; '.join(told)}."
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean by Student's t, for two values or more."""
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def agreement(cells: Cells) -> list[str]:
    """Whether features of pixels would put the models in the same order."""
    if cells.distance == "fd_pca":
        return []
    found = [
        [cells.values(name, "gmm", metric) for metric in (cells.distance, "fd_pca")]
        for name in cells.rows
    ]
    tau = concordance([(mean(a), mean(b)) for a, b in found if a and b])
    if tau is None:
        return []
    return [
        f"By components of pixels the order of the models under GMM-{COMPONENTS} is another where "
        f"Kendall's tau, {tau:.2f}, is below 1: trust no rank that both do not give."
    ]


def concordance(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau of two rankings; None where fewer than three are ranked."""
    if len(pairs) < 3:
        return None
    return float(kendalltau(*zip(*pairs, strict=True)).statistic)


def like_published(cells: Cells) -> list[str]:
    """Whether the models stand in the published order, column by column."""
    if not cells.protocol["data"][0].startswith("mnist"):
        return []
    columns = {
        RECONSTRUCTIONS: ("reconstructions", "reconstruction"),
        "prior": ("N(0, I) beside the paper's N", "normal"),
        "gaussian": ("N(mu, Sigma) beside it", "normal"),
        "gmm": (f"GMM-{COMPONENTS}", "mixture"),
        MIDDLES["linear"]: ("midpoints", "midpoint"),
    }
    told = []
    for kind, (shown, column) in columns.items():
        pairs = [
            (mean(ours), theirs)
            for name in cells.rows
            if (ours := cells.values(name, kind))
            and (theirs := getattr(MODELS[name].fid, column)) is not None
        ]
        tau = concordance(pairs)
        if tau is not None:
            told.append(f"{shown} {tau:+.2f}")
    if not told:
        return []
    return [
        "Order of the models beside the published order (Kendall's tau, 1 is the same, 0 is "
        f"chance): {'; '.join(told)}."
    ]


def budget(cells: Cells, machines: Sequence[str]) -> str:
    """How everything was made, in a sentence or two."""
    made, data = cells.protocol, cells.data
    counts = "" if data is None else (
        f" {data['counts']['learnt']:,} images learnt from, {data['counts']['validation']:,} for "
        f"validation, {data['counts']['test']:,} for tests."
    )  # fmt: skip
    rate = made["learning_rate"]
    size = made["image_size"]
    return (
        f"{made['data'][0]}, net {made['net']!r}" + (f" at {size} x {size}" if size else "")
        + (f", width {made['width']:g}" if made["width"] != 1 else "")
        + f": {made['epochs']:g} passes in batches of {made['batch_size']}, learning rate "
        f"{'as published for each model' if rate is None else f'{rate:g}'} at its highest, rising "
        "for a hundred steps and falling as a cosine (the paper halves it on a plateau and keeps "
        f"the best weights; here the last are kept).{counts} {made['generated']:,} images in each "
        f"set; densities fitted to {made['fitted']:,} codes at most. ± is the standard deviation "
        f"over seeds. {'; '.join(machines)}."
    )  # fmt: skip


def tables(cells: Cells) -> list[Shown]:
    """All tables with their titles."""
    named = cells.protocol["features"].partition("=")[0]
    return [
        Shown(
            f"Fréchet distance to test images in features {named!r}, 0 is best", distances(cells)
        ),
        Shown("Published FID on MNIST, not comparable in size", published(cells), 1),
        Shown(f"What else is measured; samples are those of GMM-{COMPONENTS}", others(cells), 1),
        Shown("Nats per validation code gained over one Gaussian", components(cells), 1),
    ]


def notes(cells: Cells, machines: Sequence[str]) -> list[str]:
    """All sentences below them."""
    second = [
        "2sVAE is the VAE of the same seed with a second VAE over its codes instead of a mixture, "
        "so that its reconstructions and midpoints are those of the VAE. The second VAE is as in "
        "the code of the RAE paper: no skip, a variance that the weight of the divergence fixes, "
        "and no noise on draws. Dai and Wipf (ICLR 2019) have a skip, learn it and add the noise."
    ]
    return [
        budget(cells, machines),
        *shape(cells),
        *against_plain(cells),
        *agreement(cells),
        *like_published(cells),
        *(second if "2svae" in cells.rows else []),
        NOT_COMPARABLE,
    ]


def machines(folder: Path) -> list[str]:
    """Where the cells of a folder were made."""
    known = [json.loads(path.read_text("utf-8"))["machine"] for path in folder.glob("*-*.json")]
    return sorted(
        {f"{k['processor']}, {k['cores']} cores, torch {k['versions']['torch']}" for k in known}
    )
