"""The table of objectives from its cells: numbers, and a sentence where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import Column, Rows, Shown, Values, read_cells, seeds, spread
from benchmarks.objectives_cell import DATA
from benchmarks.objectives_models import MODELS
from benchmarks.objectives_molecules import FOLDER
from molae.metrics.latent import ACTIVE
from molae.workflows.image_evaluation import RECONSTRUCTIONS


class Cells:
    """What a folder of cells holds, on images and on molecules.

    Args:
        folder: Of the cells; those on molecules are in a folder within.

    Raises:
        ValueError: There is no cell of a model, or they were made in several ways.
    """

    def __init__(self, folder: Path) -> None:
        self.images = read_cells(folder) if any(folder.glob("*-*.json")) else []
        within = folder / FOLDER
        self.molecules = read_cells(within) if any(within.glob("*-*.json")) else []
        known = {one["model"] for one in (*self.images, *self.molecules)}
        self.names = [name for name in MODELS if name in known]
        if not self.names:
            raise ValueError(f"there are no cells of models in {folder}")
        self.machines = _machines([*folder.glob("*-*.json"), *within.glob("*-*.json")])

    def rows(self, molecules: bool = False) -> dict[str, list[Values]]:
        """The cells of each model, by its name."""
        among = self.molecules if molecules else self.images
        found = {name: [one for one in among if one["model"] == name] for name in self.names}
        return {
            name: sorted(cells, key=lambda one: int(one["seed"]))
            for name, cells in found.items()
            if cells
        }

    def data(self, molecules: bool = False) -> Values | None:
        """The cell of real images or molecules."""
        among = self.molecules if molecules else self.images
        return next((one for one in among if one["model"] == DATA), None)


def _machines(files: Sequence[Path]) -> list[str]:
    known = [json.loads(path.read_text("utf-8"))["machine"] for path in files]
    return sorted(
        {f"{k['processor']}, {k['cores']} cores, torch {k['versions']['torch']}" for k in known}
    )


class Remarks:
    """Sentences on what is missing, each with a letter that stands in the table."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def mark(self, why: str) -> str:
        """What stands in the table for a sentence."""
        letter = self.known.setdefault(why, letter_of(len(self.known)))
        return f"- ({letter})"

    def told(self) -> list[str]:
        """The sentences."""
        return [f"({letter}) {why}." for why, letter in self.known.items()]


def letter_of(number: int) -> str:
    """a, b, ... z, aa, ab and so on."""
    more, last = divmod(number, 26)
    return (letter_of(more - 1) if more else "") + chr(ord("a") + last)


# Columns -----------------------------------------------------------------------------------------


def text(column: Column, cells: Sequence[Values], remarks: Remarks) -> str:
    """Mean ± deviation over the cells, or the mark of the sentence that says why not."""
    if any(column.read(cell) is not None for cell in cells):
        return column.text(cells)
    return remarks.mark(why(column, cells[0]))


def why(column: Column, cell: Values) -> str:
    """Why a cell has no such number."""
    for lost in ("failed", "refused"):
        if lost in cell:
            return str(cell[lost]).rstrip(".")
    last = column.path[-1]
    said = cell.get("missing", {}).get(last)
    if said is not None:
        return str(said).rstrip(".")
    notes = cell
    for name in column.path[:-2]:
        notes = notes.get(name, {})
    told = notes.get("notes", {}).get(last)
    return f"{column.head}: {told or 'it is no finite number'}"


def of_models() -> list[Column]:
    """Likelihood and codes."""
    return [
        Column("NLL", "numbers", "nll"),
        Column("-ELBO", "numbers", "minus_elbo"),
        Column("samples that count", "numbers", "nll_effective_samples"),
        Column("-log p(x|z)", "numbers", "distortion"),
        Column("wrong pixels %", "numbers", "wrong", digits=2, scale=100.0),
        Column("average KL", "numbers", "average", digits=2),
        Column("marginal KL", "numbers", "marginal", digits=2),
        Column("active units", "numbers", "active", digits=0),
        Column("D", "dimensions", digits=0),
    ]


def of_draws() -> list[Column]:
    """Likeness, and what it cost."""
    return [
        Column("reconstruction", "numbers", RECONSTRUCTIONS, digits=2),
        Column("N(mu, Sigma)", "numbers", "gaussian", digits=2),
        Column("GMM-10", "numbers", "gmm", digits=2),
        Column("own prior", "numbers", "own", digits=2),
        Column("seconds per epoch", "training", "seconds_per_epoch"),
        Column("million numbers", "parameters", digits=2, scale=1e-6),
    ]


def of_molecules() -> list[Column]:
    """The same objectives on SMILES."""

    def of(density: str, called: str) -> list[Column]:
        place = ("densities", density)
        return [
            Column(f"valid %, {called}", *place, "validity_all_masks", scale=100.0),
            Column("no masks %", *place, "validity_no_masks", scale=100.0),
            Column("unique %", *place, "metrics", "uniqueness", scale=100.0),
            Column("FCD", *place, "metrics", "fcd", digits=2),
        ]

    return [
        Column("exact reconstruction %", "reconstruction", "exact", scale=100.0),
        Column("nats", "reconstruction", "nats"),
        *of("own", "own prior"),
        *of("gmm", "GMM-10"),
        Column("seconds to train", "training", "seconds", digits=0),
    ]


# Tables ------------------------------------------------------------------------------------------


def with_epochs(cell: Values) -> Values:
    """A cell whose training says how long one pass took."""
    if "training" not in cell:
        return cell
    training = cell["training"]
    each = training["seconds"] / max(training["epochs"], 1e-9)
    return {**cell, "training": {**training, "seconds_per_epoch": each}}


def _rows(found: dict[str, list[Values]], columns: list[Column], remarks: Remarks) -> list[Any]:
    return [
        [
            _title(name, cells),
            seeds(cells),
            *(text(column, [with_epochs(cell) for cell in cells], remarks) for column in columns),
        ]
        for name, cells in found.items()
    ]


def _title(name: str, cells: Sequence[Values]) -> str:
    failed = sum("failed" in cell for cell in cells)
    lost = f" ({failed} of {len(cells)} diverged)" if failed else ""
    surrogate = " *" if any(cell.get("surrogate") for cell in cells) else ""
    return MODELS[name].title + surrogate + lost


def tables(cells: Cells, remarks: Remarks) -> list[Shown]:
    """All tables with their titles; sentences on what is missing are collected."""
    made: list[Shown] = []
    images, molecules = cells.rows(), cells.rows(molecules=True)
    for title, columns in (
        ("Likelihood, in nats an image, and codes", of_models()),
        ("Fréchet distance to test images, 0 is best, and cost", of_draws()),
    ):
        if images:
            rows = _rows(images, columns, remarks)
            made.append(Shown(title, (_heads(columns), rows)))
    floor = cells.data()
    if floor is not None and made:
        shown = [spread([floor["floor"]])] * 4
        made[-1].rows[1].append(["validation images (floor)", "", *shown, "", ""])
    if molecules:
        made.append(Shown("On molecules", _on_molecules(cells, remarks)))
    return made


def _on_molecules(cells: Cells, remarks: Remarks) -> Rows:
    columns = of_molecules()
    rows = _rows(cells.rows(molecules=True), columns, remarks)
    floor = cells.data(molecules=True)
    if floor is not None:
        # A perfect model, whatever it draws from; nothing is encoded, and nothing masked.
        same = {"densities": dict.fromkeys(("own", "gmm"), floor)}
        shown = [column.text([same]) for column in columns]
        rows.append(["training molecules (floor)", "", *(" " if t == "-" else t for t in shown)])
    return _heads(columns), rows


def _heads(columns: list[Column]) -> list[str]:
    return ["objective", "seeds", *(column.head for column in columns)]


# Sentences ---------------------------------------------------------------------------------------


def notes(cells: Cells, remarks: Remarks) -> list[str]:
    """All sentences below the tables."""
    told = []
    if cells.images:
        told += _of_images(cells)
    if cells.molecules:
        told.append(_of_molecules(cells))
    return [*told, f"{'; '.join(cells.machines)}.", *remarks.told()]


def _of_images(cells: Cells) -> list[str]:
    made = cells.images[0]["protocol"]
    size = made["image_size"]
    floor = cells.data()
    counts = "" if floor is None else f" on the same {floor['counts']['learnt']:,} images"
    budget = (
        f"{made['data'][0]} in black and white (a value of 128 or more is white)"
        + (f", {size} x {size}" if size else "")
        + f": net {made['net']!r}, width {made['width']:g}, {made['epochs']:g} passes{counts} in "
        f"batches of {made['batch_size']}, learning rate {made['learning_rate']:g}; weights are "
        "the defaults of molae, beta = 1 for VAE and CV-VAE. GECO: "
        f"{', '.join(f'{name} {value:g}' for name, value in made['geco'].items())}. Not tuned, "
        "and not trained to the end: published numbers are other images and longer trainings."
    )
    return [
        budget,
        f"NLL: {made['nll_samples']:,} samples for each of {made['nll_images']:,} test images, an "
        "upper bound of -log p(x) on average; where few samples count it is far above. Rows with "
        "* have no q(z|x) with a known density: there it is the stated surrogate, the likelihood "
        "of the mixture GMM-10 (of the prior for IAE and AVB) together with the decoder, with "
        "codes proposed around the example's own, and -log p(x|z) is the better part of what the "
        "model was asked for.",
        "-log p(x|z) and wrong pixels are of the example's own code. Images are the likeliest "
        "black and white ones, of PixelVAE draws.",
        f"KL: of {made['kl_images']:,} learnt images (at most all); the marginal one is of their "
        f"mixture and lies between 0 and the average, and no more than log n below it, but for "
        f"the error of {made['kl_draws']:,} draws. Active units: dimensions in which codes of "
        f"test images have a variance above {ACTIVE:g}, which supposes the scale of N(0, I).",
        f"Fréchet: {made['generated']:,} images beside as many test images, in features "
        f"{made['features'].partition('=')[0]!r}. The own prior of VQ-VAE is the density of its "
        "entries that is learnt after training.",
    ]


def _of_molecules(cells: Cells) -> str:
    made = cells.molecules[0]["protocol"]
    return (
        f"Molecules: {made['data'][0]}, {made['molecules']:,} seen in each training, in batches "
        f"of {made['batch_size']}; about {made['held']:,} held out, {made['generated']:,} drawn "
        f"from each density, {made['decoded']:,} codes under each set of masks. Our grammar, "
        "encoder and decoder."
    )
