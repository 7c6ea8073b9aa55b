"""Tables on molecules from their cells: on a screen, and in pages of docs/ between two marks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from benchmarks.cells import Column, Rows, Values, markdown
from benchmarks.cells import show as print_table
from benchmarks.molecules_models import MEMORY, QUOTED, VARIANTS

#: The pages of the table and of the study, and what their marks say.
DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"molecules": DOCS / "results.md", "study": DOCS / "training.md"}
BY = "python -m benchmarks.molecules"
BYS = {"molecules": BY, "study": f"{BY} --study"}
#: What densities are called in the table.
DENSITIES = {"prior": "N(0, I)", "gmm": "GMM-10"}
#: Settings of objectives that the page names.
WEIGHTS = ("regularizer", "weight", "beta", "noise_scale", "noise")
#: The cell that is no model.
DATA = "data"
#: Of what was held out a model gives back so much, or has not learnt enough to compare densities.
LEARNT = 0.05
#: To what a FCD must fall before the mixture is said to have helped; less is called no help.
HELPED = 0.99


def of_models() -> list[Column]:
    """What is said of a model as a whole."""
    of_training = ("reconstruction", "of_training_molecules")
    return [
        Column("exact reconstruction %", "reconstruction", "exact", scale=100.0),
        Column("nats", "reconstruction", "nats"),
        Column("of training molecules %", *of_training, scale=100.0),
        Column("million numbers", "size", "parameters", digits=2, scale=1e-6),
        Column("seconds to train", "training", "seconds", digits=0),
        Column("molecules / s", "training", "molecules_per_second", digits=0),
    ]


def of_draws(density: str) -> list[Column]:
    """What is said of codes of one density."""
    place = ("densities", density)
    metric = (*place, "metrics")
    return [
        Column("valid, all masks %", *place, "validity_all_masks", scale=100.0),
        Column("grammar masks %", *place, "validity_grammar_masks", scale=100.0),
        Column("no masks %", *place, "validity_no_masks", scale=100.0),
        Column("greedy %", *metric, "validity", scale=100.0),
        Column("unique %", *metric, "uniqueness", scale=100.0),
        _fcd(density),
        Column("SNN", *metric, "snn", digits=3),
    ]


def _fcd(density: str) -> Column:
    return Column("FCD", "densities", density, "metrics", "fcd", digits=2)


class Cells:
    """What a folder of cells holds.

    Args:
        folder: Of JSON files.

    Raises:
        ValueError: There is no cell of a model, or they are of several protocols.
    """

    def __init__(self, folder: Path) -> None:
        files = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
        values = [file["values"] for file in files]
        self.rows: dict[str, list[Values]] = {}
        for name in VARIANTS:
            found = [one for one in values if one["model"] == name]
            if found:
                self.rows[name] = sorted(found, key=lambda one: one["seed"])
        if not self.rows:
            raise ValueError(f"there are no cells in {folder}; make them with a file of molecules")
        self.data = next((one for one in values if one["model"] == DATA), None)
        self.protocol = values[0]["protocol"]
        if any(one["protocol"] != self.protocol for one in values):
            raise ValueError(f"the cells in {folder} were made in several ways; move some away")
        self.machines = sorted({_machine(file["machine"]) for file in files})
        self.dates = sorted(file["date"][:10] for file in files)

    def whole(self, name: str) -> list[Values]:
        """The cells of a model whose training came to its end."""
        return [cell for cell in self.rows[name] if "failed" not in cell]

    def title(self, name: str) -> str:
        """The model, with its seeds and what failed."""
        cells = self.rows[name]
        failed = len(cells) - len(self.whole(name))
        return cells[0]["title"] + (f" ({failed} of {len(cells)} diverged)" if failed else "")


def _machine(known: dict[str, Any]) -> str:
    return f"{known['processor']}, {known['cores']} cores, torch {known['versions']['torch']}"


# Rows --------------------------------------------------------------------------------------------


def model_rows(cells: Cells) -> Rows:
    """Head and rows of the models."""
    columns = of_models()
    rows = [
        [cells.title(name), _seeds(cells.rows[name])]
        + [column.text(cells.whole(name)) for column in columns]
        for name in cells.rows
    ]
    return ["model", "seeds", *(column.head for column in columns)], rows


def _seeds(cells: Iterable[Values]) -> str:
    return ", ".join(str(cell["seed"]) for cell in cells)


def draw_rows(cells: Cells) -> Rows:
    """Head and rows of what is drawn: each model with each density, and the data."""
    heads = [column.head for column in of_draws("prior")]
    rows = [
        [cells.title(name), shown, *(column.text(cells.whole(name)) for column in of_draws(key))]
        for name in cells.rows
        for key, shown in DENSITIES.items()
    ]
    if cells.data is not None:
        found = {"densities": {"prior": cells.data}}
        rows.append([cells.data["title"], "", *(one.text([found]) for one in of_draws("prior"))])
    return ["model", "codes from", *heads], rows


def helped(cells: Cells) -> list[str]:
    """For each model a sentence on what the mixture, fitted after training, made of its draws."""
    told = []
    for name in cells.rows:
        means = {
            key: [v for cell in cells.whole(name) if (v := _fcd(key).read(cell)) is not None]
            for key in DENSITIES
        }
        title = cells.title(name)
        if not means["prior"] or not means["gmm"]:
            lost = " and ".join(DENSITIES[key] for key, found in means.items() if not found)
            told.append(f"{title}: from {lost} there were too few molecules for a FCD.")
            continue
        before, after = (mean(means[key]) for key in ("prior", "gmm"))
        word = "it helps" if after < HELPED * before else "it does not help"
        if mean(cell["reconstruction"]["exact"] for cell in cells.whole(name)) < LEARNT:
            word = f"nothing can be said, for it gives back less than {LEARNT:.0%}"
        told.append(f"{title}: {word} (FCD {before:.2f} to {after:.2f}).")
    return told


# Screen and page ---------------------------------------------------------------------------------


def show(cells: Cells, console: Console | None = None) -> None:
    """Print both tables."""
    for rows in (model_rows(cells), draw_rows(cells)):
        print_table(_budget(cells.protocol), rows, console)


def _budget(protocol: dict[str, Any]) -> str:
    """How long everything was trained, in words."""
    if protocol["molecules"] is not None:
        return f"{protocol['molecules']:,} molecules seen in each training"
    return f"{protocol['epochs']:g} passes over the data in each training"


def written(cells: Cells) -> list[str]:
    """The part of docs/results.md that is written from the cells."""
    protocol = cells.protocol
    return [
        f"{made(cells)} The published decoder has GRUs of {protocol['width']}"
        f"{'' if protocol['width'] == 501 else ' here (501 in the paper)'}. "
        f"{protocol['generated']:,} molecules from each density, {protocol['decoded']:,} codes "
        "under each set of masks. ± is the standard deviation over seeds.",
        "",
        *markdown(model_rows(cells)),
        "",
        *markdown(draw_rows(cells)),
        "",
        "*Valid* counts one draw of p(x|z) per code; *greedy* and what follows is said of "
        "greedily decoded molecules. The last row is what training molecules would get: no model "
        "does better. FCD needs 100 molecules, and is too high where few are valid.",
        "",
        "Settings beyond that, weights in our units:",
        "",
        *(f"- {line}" for line in remarks(cells)),
        "",
        "### Does the mixture help?",
        "",
        "By the FCD of GMM-10, fitted to the codes after training, against that of N(0, I):",
        "",
        *(f"- {sentence}" for sentence in helped(cells)),
        "",
        "### Published",
        "",
        "On ZINC250k, by models trained until they stopped learning (the Grammar VAE: 100 passes "
        "over 250,000 molecules, 501 wide). A table of other data or of a smaller budget says how "
        "the variants stand to each other, and is not comparable with these.",
        "",
        *published(),
    ]


def made(cells: Cells) -> str:
    """When, where and how the cells were made."""
    protocol = cells.protocol
    held = next((c["reconstruction"]["molecules"] for c in _all(cells)), protocol["held"])
    return (
        f"Measured {_span(cells.dates)} on {'; '.join(cells.machines)}; data "
        f"`{protocol['data'][0]}`. {_budget(protocol)}, in batches of {protocol['batch_size']}, "
        f"learning rate {protocol['learning_rate']:g}, precision {_precisions(cells)}; {held:,} "
        "molecules held out."
    )


def studied(cells: Cells) -> list[str]:
    """The part of docs/training.md that is written from the cells of the study."""
    metrics = ("densities", "gmm", "metrics")
    columns = [
        *of_models()[:2],
        _fcd("prior"),
        _fcd("gmm"),
        Column("MOSES filters %", *metrics, "filters", scale=100.0),
        Column("mean SA", *metrics, "mean_sa", digits=2),
        Column("rings above 8 %", *metrics, "ring_larger", scale=100.0),
        Column("strained %", *metrics, "strained", scale=100.0),
    ]
    heads = [column.head for column in columns]
    heads[2:4] = [f"FCD, {shown}" for shown in DENSITIES.values()]
    rows = [
        [cells.title(name), *(column.text(cells.whole(name)) for column in columns)]
        for name in cells.rows
    ]
    if cells.data is not None:
        found = {"densities": {"gmm": cells.data}}
        rows.append([cells.data["title"], *(column.text([found]) for column in columns)])
    return [
        f"{made(cells)} {cells.protocol['generated']:,} molecules from each density, greedy; what "
        f"follows the FCD is said of those of {DENSITIES['gmm']}.",
        "",
        *markdown((["what is changed", *heads], rows)),
    ]


def remarks(cells: Cells) -> list[str]:
    """What a reader must know of each model's settings."""
    told = []
    for name, (first, *_) in cells.rows.items():
        config = first.get("config", {})
        known = dict(config.get("objective", {}))
        if known.get("regularizer") in ("none", "sn"):
            del known["weight"]  # of what is not there
        parts = [
            f"{each} {_range(known[each])}" for each in WEIGHTS if known.get(each) not in (None, 0)
        ]
        if config.get("model", {}).get("decoder", {}).get("noise"):
            parts.append("told to the decoder, drawn codes blurred by 1")
        told.append(f"{first['title']}: {', '.join([*parts, VARIANTS[name].remark])}")
    return told


def _range(value: Any) -> str:
    if isinstance(value, list):
        return ":".join(f"{each:g}" for each in value)
    return value if isinstance(value, str) else f"{value:.3g}"


def _all(cells: Cells) -> list[Values]:
    return [cell for name in cells.rows for cell in cells.whole(name)]


def _precisions(cells: Cells) -> str:
    return " and ".join(sorted({cell["training"]["precision"] for cell in _all(cells)})) or "-"


def _span(dates: Sequence[str]) -> str:
    return dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"


def published() -> list[str]:
    """What others have reported, and what was read there."""
    rows = [
        [
            row.title,
            "-" if row.reconstruction is None else f"{row.reconstruction:.1f}",
            f"{row.validity:.1f}",
            row.source if row.checked else f"{row.source}; {MEMORY}",
        ]
        for row in QUOTED
    ]
    return markdown((["model", "reconstruction %", "valid from N(0, I) %", "source"], rows))
