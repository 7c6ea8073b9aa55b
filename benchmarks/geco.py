"""Where GECO takes a VAE in the information plane, and what it does to posteriors.

    python -m benchmarks.geco mnist.npz --seeds 0 1 2
    python -m benchmarks.geco --quick                      # digits, about a minute
    python -m benchmarks.geco --table --plane plane.png --micro micro.png

Rezende and Viola, *Taming VAEs*, 2018, figures 3, 4 and 8 and table 2, at a small size. A VAE with
a learnt standard deviation is trained by its bound, by the bound with a beta that rises from 0 to
1 by hand over half of the training, and by GECO under ``re`` with three tolerances, lambda at most
1 / (2 kappa^2), so that the bound with sigma = kappa is what it is at its highest. Each is placed
by the average KL and by -log p per value, under the quantised normal with the sigma that is best
for the training images (appendix D); with the marginal KL of all training images.

Then Micro-MNIST: seven images, codes in a plane, 100 draws of each posterior; bound, two errors
and a probability of the class. The paper's posteriors there are NVP flows (``--micro-head``).

Each way and seed is a cell, a JSON file in ``--out``, written when it is done; one that is there
is not made again. Trainings live in ``--work``: interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.cells import Job, Shown, Values, fill, jobs_of, present, read_cells, spread
from benchmarks.command_line import add_usual, guarded, settle
from benchmarks.geco_cell import (
    MICRO_WAYS,
    PLANE_WAYS,
    WAYS,
    Protocol,
    micro_cell,
    plane_cell,
    usual_ways,
)
from benchmarks.images_cell import Parts
from benchmarks.plots import figure, save
from molae.datasets.image_files import DIGITS, source_digest
from molae.names import HEADS
from molae.pictures import pixels_of

NAME = "geco"
#: The page that the table is written into, between its own marks.
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
#: What is usual, and with --quick.
USUAL: dict[str, tuple[Any, Any]] = {
    "head": ("normal", "normal"),
    "micro_head": ("nvp", "normal"),
    "latent_dim": (64, 8),
    "width": (0.5, 0.5),
    "epochs": (15.0, 16.0),
    "batch_size": (100, 50),
    "learning_rate": (2e-3, 5e-3),
    "step_size": (0.003, 0.02),
    "decay": (0.99, 0.9),
    "draws": (2000, 500),
    "micro_steps": (4000, 300),
    "seeds": ([0, 1, 2], [0]),
}


def make(options: argparse.Namespace) -> None:
    """Make every cell that is not there yet.

    Raises:
        ValueError: There are no such images, or a cell there is of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    fields = [name for name in Protocol.__dataclass_fields__ if name != "data"]
    shared = {name: getattr(options, name) for name in fields}
    protocol = Protocol((Path(options.data).name, source_digest(options.data)), **shared)
    parts = Parts(options.data, None, options.work)
    jobs = jobs_of(options.ways, options.seeds, lambda way, _: dict(WAYS[way].objective), "way")

    def cell(job: Job) -> Values:
        made = micro_cell if job.facts["way"] in MICRO_WAYS else plane_cell
        return made(job.facts["way"], job.facts["seed"], parts, protocol, options.device)

    fill(options.out, protocol.to_dict(), jobs, cell, _told)


def _told(found: Values) -> str:
    """What a cell came to."""
    kl = found["kl"]
    return f"KL {kl['average']:.2f}, marginal {kl['marginal']:.2f}, rmse {found['sigma_opt']:.4f}"


def tables(cells: list[Values]) -> list[Shown]:
    """The information plane, and Micro-MNIST, mean ± standard deviation over seeds."""
    head = ["", "average KL", "marginal KL", "information", "sigma_opt", "1 / lambda"]
    more = ["nats per value", "of test images", "error on them", "active"]
    made = []
    for title, ways, heads in (
        ("Information plane", PLANE_WAYS, [*head, *more]),
        ("Micro-MNIST", MICRO_WAYS, head),
    ):
        rows = []
        for name in ways:
            found = [each for each in cells if each["way"] == name]
            if found:
                rows.append(_row(found, len(heads) > len(head)))
        if rows:
            made.append(Shown(title, (heads, rows), 1))
    return made


def _row(found: list[Values], plane: bool) -> list[str]:
    row = [found[0]["title"]]
    for name in ("average", "marginal", "information"):
        row.append(spread([each["kl"][name] for each in found], 1))
    row.append(spread([each["sigma_opt"] for each in found], 4))
    lambdas = [each["history"].get("multiplier", [None])[-1] for each in found]
    row.append(spread([None if value is None else 1 / value for value in lambdas], 3))
    if plane:
        for name, digits in (("nats", 3), ("test_nats", 3), ("test_error", 4), ("active", 0)):
            row.append(spread([each[name] for each in found], digits))
    return row


def notes(cells: list[Values]) -> list[str]:
    """What is to be known of the numbers."""
    protocol = cells[0]["protocol"]
    worst = max(each["kl"]["error"] for each in cells)
    return [
        f"Images: {protocol['data'][0]}; heads {protocol['head']} and, on seven images, "
        f"{protocol['micro_head']}; {protocol['epochs']:g} passes, batches of "
        f"{protocol['batch_size']}.",
        "KLs in nats, of the training images: average, over all of them; marginal, of their "
        f"mixture ({protocol['draws']} draws; standard error at most {worst:.3f}); information is "
        "their difference, at most log n.",
        "sigma_opt is the root mean squared error of drawn codes, which a tolerance of RE is a "
        "bound of; nats per value are under the quantised normal with it.",
    ]


# Pictures ----------------------------------------------------------------------------------------


def plane(cells: list[Values], path: Path) -> None:
    """Draw the information plane, and how GECO got there.

    Raises:
        ValueError: There are no such cells, or no matplotlib.
    """
    found = {name: [c for c in cells if c["way"] == name] for name in PLANE_WAYS}
    found = {name: each for name, each in found.items() if each}
    if not found:
        raise ValueError("there is no cell of the information plane to draw")
    made, ((where, how, held),) = figure(1, 3, (4.6, 3.8))
    beta, bent = held.twinx(), []
    for name, each in found.items():
        nats, rates = [c["nats"] for c in each], [c["kl"]["average"] for c in each]
        (dots,) = where.plot(nats, rates, "o", label=each[0]["title"])
        if "violation" in each[0]["history"]:
            bent.append((mean(nats), mean(rates)))
            kappa = PLANE_WAYS[name].objective["tolerance"]
            _way(each[0]["history"], kappa, dots.get_color(), (how, held, beta))
    where.plot(*np.asarray(bent).reshape(-1, 2).T, color="grey", linewidth=0.8, zorder=0)
    where.legend(fontsize=8)
    for axis in (how, beta):
        axis.set_yscale("log")
    for axis, left in (
        (where, "average KL, nats"),
        (how, "root mean squared error"),
        (held, "average KL, nats"),
        (beta, "beta = 1 / lambda (dotted)"),
    ):
        axis.set_xlabel("-log p per value, nats" if axis is where else "step")
        axis.set_ylabel(left)
    save(made, path)


def _way(history: Values, kappa: float, colour: str, axes: Sequence[Any]) -> None:
    """Error beside its tolerance, rate and beta in the course of a training."""
    how, held, beta = axes
    errors = np.sqrt(np.maximum(np.asarray(history["violation"]) + kappa**2, 0))
    how.plot(history["step"], errors, color=colour)
    how.axhline(kappa, color=colour, linewidth=0.7, linestyle="--")
    held.plot(history["step"], history["rate"], color=colour)
    beta.plot(history["step"], 1 / np.asarray(history["multiplier"]), ":", color=colour)


def micro(cells: list[Values], path: Path) -> None:
    """Draw what posteriors of seven images look like, and the images.

    Raises:
        ValueError: There are no such cells, or no matplotlib.
    """
    first = [next((c for c in cells if c["way"] == name), None) for name in MICRO_WAYS]
    there = [cell for cell in first if cell is not None]
    if not there:
        raise ValueError("there is no cell of Micro-MNIST to draw")
    made, axes = figure(2, len(there), (3.2, 3.2), (1.0, 0.3))
    for cell, (above, below) in zip(there, axes.T, strict=True):
        for number, points in enumerate(cell["codes"]):
            above.plot(*np.asarray(points).T, ".", color=f"C{number}", markersize=3)
        above.set_title(f"{cell['title']}: KL {cell['kl']['average']:.1f}", fontsize=9)
        above.set_xlim(-4, 4)
        above.set_ylim(-4, 4)
        above.set_aspect("equal")
        strips = [pixels_of(cell["pictures"][name]) for name in ("truth", "reconstructions")]
        below.imshow(np.concatenate(strips)[..., 0], cmap="gray", vmin=0, vmax=255)
        below.set_axis_off()
    save(made, path)


# The command line --------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("data", nargs="?", help="images with parts train and test, such as .npz")
    made.add_argument("--quick", action="store_true", help="a minute, with digits of scikit-learn")
    made.add_argument("--ways", nargs="+", choices=WAYS, metavar="NAME",
                      help=", ".join(WAYS))  # fmt: skip
    made.add_argument("--seeds", nargs="+", type=int)
    for option in ("head", "micro-head"):
        made.add_argument(f"--{option}", choices=HEADS, metavar="HEAD")
    for option, kind in (
        ("latent-dim", int), ("width", float), ("epochs", float), ("batch-size", int),
        ("learning-rate", float), ("step-size", float), ("decay", float), ("draws", int),
        ("micro-steps", int), ("threads", int), ("plane", Path),
        ("micro", Path),
    ):  # fmt: skip
        made.add_argument(f"--{option}", type=kind)
    add_usual(made, PAGE, "trainings")
    return made


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with what is usual where nothing is said."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.quick and options.data is None:
        options.data = DIGITS
    if options.data is None and not (options.table or options.markdown):
        parser.error("name a source of images, or give --quick, --table or --markdown")
    options.ways = options.ways or usual_ways(options.quick)
    usual = {option: values[options.quick] for option, values in USUAL.items()}
    called = f"{NAME}_quick" if options.quick else NAME
    return settle(options, parser, called, usual, PAGE, options.quick)


def main(words: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Fill the table and show it; 1 where something is wrong with what was given."""
    options = arguments(words)
    if options.threads:
        torch.set_num_threads(options.threads)

    def work() -> None:
        if not (options.table or options.markdown):
            make(options)
        cells = read_cells(options.out)
        present(options, NAME, tables(cells), notes(cells), console)
        if options.plane is not None:
            plane(cells, options.plane)
        if options.micro is not None:
            micro(cells, options.micro)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
