"""Reconstruction against the quality of samples: what density, noise and temperature change.

One run is taken as it is. Its exact reconstruction of the held-out molecules is measured without
noise, from the encoder's codes and from corrected ones (``Run.encode``). Then molecules are drawn
from several densities, with several levels of noise on the codes (which the decoder is told) and
greedily or at a temperature, and compared with the same held-out molecules. Every row is
a cell with a file of its own, so that an interrupted run goes on; one of other weights, or drawn
otherwise, is refused::

    python -m benchmarks.frontier RUN zinc250k_train.smi.gz --noise 0 0.5 1 1.4
    python -m benchmarks.frontier RUN zinc250k_train.smi.gz --densities gmm:10 gmm:100 flow kde
    python -m benchmarks.frontier --table
    python -m benchmarks.frontier --markdown

Densities are fitted to the codes of training molecules that the run learnt from; ``gmm:100`` is
one with 100 components, on ``--rows`` codes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cells import Column, Job, Rows, Values, fill, markdown, rewrite, values_of
from benchmarks.cells import show as print_table
from benchmarks.command_line import guarded
from benchmarks.record import RESULTS, record
from molae.densities import LatentDensity, density
from molae.names import REFINE
from molae.runs.folder import WEIGHTS
from molae.runs.run import Run
from molae.workflows.closing import density_rows, encoded, some
from molae.workflows.data import load_data
from molae.workflows.evaluate import Yardstick
from molae.workflows.generate import generate
from molae.workflows.held_out import split_seed
from molae.workflows.train import hold_out

NAME = "frontier"
#: The cell of exact reconstruction.
EXACT = "reconstruction"
#: The page that the table is written into, and what its marks say.
PAGE = Path(__file__).parents[1] / "docs" / "training.md"
BY = "python -m benchmarks.frontier"
#: Steps of correction after which exact reconstruction is told.
STEPS = (1, 2, 5, 10, REFINE)
#: Columns of the table on the screen.
SHOWN = (
    "fcd",
    "unique_10k",
    "novelty",
    "filters",
    "mean_sa",
    "mean_qed",
    "mean_logp",
    "ring_larger",
    "strained",
    "snn",
)
#: Columns of the page, beside density, nats and noise.
COLUMNS = (
    Column("FCD", "fcd", digits=2),
    Column("unique", "unique_10k", digits=3),
    Column("novel", "novelty", digits=3),
    Column("MOSES filters", "filters", digits=3),
    Column("mean SA", "mean_sa", digits=2),
    Column("rings above 8 %", "ring_larger", scale=100.0),
    Column("strained %", "strained", scale=100.0),
)
#: Densities in words.
TITLES = {"gaussian": "one Gaussian", "two_stage": "second VAE"}


class Subject:
    """A run, the molecules it learnt from and the held-out ones.

    Args:
        run: The run.
        data: The file that it was trained on.
        workers: Processes that look at molecules.
    """

    def __init__(self, run: Run, data: str, workers: int) -> None:
        self.run = run
        found = load_data([data], codec=self.run.codec, workers=workers, progress=True)
        training = self.run.config["training"]
        share, seed = training["validation"], split_seed(self.run.config)
        self.learnt, self.held = hold_out(found.data, share, seed)
        self.workers = workers
        self._yardstick: Yardstick | None = None

    def texts(self, part: Any, rows: Any) -> list[str]:
        """Canonical SMILES of some rows."""
        spelt = self.run.spelling(self.run.codec.decode(torch.from_numpy(part.array(rows))))
        return [text for text in spelt if text is not None]

    @property
    def yardstick(self) -> Yardstick:
        """The held-out molecules (5,000 at most), and all that were learnt from."""
        if self._yardstick is None:
            held = self.texts(self.held, some(len(self.held), 5000, 0))
            learnt = []
            for first in range(0, len(self.learnt), 20_000):
                rows = np.arange(first, min(first + 20_000, len(self.learnt)))
                learnt += self.texts(self.learnt, rows)
            self._yardstick = Yardstick(held, learnt, workers=self.workers)
        return self._yardstick

    def reconstruction(self) -> dict[str, Any]:
        """Exact reconstruction of all held-out molecules, greedily and without noise.

        From the encoder's own codes, and from those that are corrected in so many steps at most:
        one sweep tells all, for a code is left alone once it gives its molecule back.
        """
        x = torch.from_numpy(self.held.array(np.arange(len(self.held))))
        wanted = self.run.spelling(self.run.codec.decode(x))
        start = time.perf_counter()
        z = self.run.codes(x)
        better, taken = self.run.corrected(x, z, REFINE)
        before, after = (self.came_back(wanted, codes) for codes in (z, better))  # (n,)
        return {
            "reconstruction": share(before),
            "corrected": {steps: share(before | after & (taken <= steps)) for steps in STEPS},
            "codes": self.moved(z, better),
            "molecules": len(x),
            "seconds": time.perf_counter() - start,
        }

    def came_back(self, wanted: list[str | None], z: Tensor) -> Tensor:
        """Which codes (n, D) give the molecules that are wanted, (n,) bool."""
        pairs = zip(wanted, self.run.decode(z), strict=True)
        return torch.tensor([text is not None and text == found for text, found in pairs])

    def moved(self, z: Tensor, better: Tensor) -> dict[str, Any]:
        """Where correction took codes: z (n, D) to better (n, D).

        Returns:
            ``moved``, how many; ``distance``, how far, a mean over these, in standard deviations
            of a typical number of a code (two codes lie about sqrt(2D) apart); ``nats``, for each
            density of the run, the mean log-density of all the encoder's codes, and of those that
            were moved, before and after.
        """
        rows = (z != better).any(1)
        deviation = z.double().var(0).mean().sqrt()
        way = (better - z)[rows].double().norm(dim=1)
        parts = {"encoder": z, "moved_from": z[rows], "moved_to": better[rows]}
        return {
            "moved": int(rows.sum()),
            "distance": float((way / deviation).mean()) if len(way) else None,
            "nats": {
                name: {
                    part: float(self.run.log_density(codes, name).double().mean())
                    for part, codes in parts.items()
                    if len(codes)
                }
                for name in self.run.densities
            },
        }

    def fitted(self, label: str, rows: int) -> tuple[LatentDensity, dict[str, Any]]:
        """A density such as ``gmm:100``, fitted to training codes; how likely others are."""
        name, _, components = label.partition(":")
        settings: dict[str, Any] = {"components": int(components)} if components else {}
        if name in ("gmm", "bayesian", "kde"):
            settings["rows"] = rows
        apart = density_rows(self.learnt)
        z = encoded(self.run, self.learnt, some(apart[0], max(rows, 50_000), 0))
        judged = encoded(self.run, self.learnt, some(apart[1], 5000, 0))
        start = time.perf_counter()
        made = density(name, **settings)
        if name != "prior":
            made.fit(z)
        else:
            made = self.run.density("prior")
        return made, {
            "fit_seconds": time.perf_counter() - start,
            "nats": float(made.log_prob(judged).double().mean()),
        }

    def quality(
        self, made: LatentDensity, noise: float, temperature: float | None, n: int, seed: int
    ) -> dict[str, Any]:
        """Every metric of n molecules, and how fast they came."""
        start = time.perf_counter()
        drawn = generate(
            self.run,
            n,
            seed=seed,
            density=made,
            noise=noise,
            temperature=temperature,
            workers=self.workers,
        )
        smiles = [row["smiles"] for row in drawn]
        seconds = time.perf_counter() - start
        yardstick = self.yardstick
        found = yardstick.measure(yardstick.look(smiles)).flat()
        return found | {"invalid": drawn.counts.invalid, "generate_seconds": seconds}


def share(hits: Tensor) -> float:
    """Of hits (n,) bool."""
    return float(hits.double().mean())


def job_of(label: str, noise: float, temperature: float | None) -> Job:
    """The cell of a density, so much noise and a temperature (None is greedy)."""
    drawn = "greedy" if temperature is None else f"t{temperature:g}"
    facts = {"density": label, "noise": noise, "temperature": temperature}
    return Job(f"{label.replace(':', '')}-noise{noise:g}-{drawn}", {}, facts)


def study(options: argparse.Namespace) -> None:
    """Everything that is not there yet.

    Raises:
        ValueError: A cell is there that was made otherwise, or something given is wrong.
    """
    run = Run.load(options.run, "cpu")
    weights = {"weights": run.card["digests"][WEIGHTS]}
    drawn = weights | {"n": options.number, "seed": options.seed, "rows": options.rows}
    jobs = [
        job_of(label, noise, temperature or None)
        for label in options.densities
        for noise in options.noise
        for temperature in options.temperature
    ]

    @cache
    def subject() -> Subject:  # once, and only if there is a cell to make
        return Subject(run, options.data, options.workers)

    @lru_cache(maxsize=1)  # the cells of a density follow each other
    def fitted(label: str) -> tuple[LatentDensity, Values]:
        return subject().fitted(label, options.rows)

    def exact(job: Job) -> Values:
        return subject().reconstruction()

    def cell(job: Job) -> Values:
        made, facts = fitted(job.facts["density"])
        noise, temperature = job.facts["noise"], job.facts["temperature"]
        return facts | subject().quality(made, noise, temperature, options.number, options.seed)

    fill(options.out, weights, [Job(EXACT, {}, {})], exact, _came_back)
    fill(options.out, drawn, jobs, cell, _told)


def _came_back(found: Values) -> str:
    return f"{100 * found['reconstruction']:.1f} % come back"


def _told(found: Values) -> str:
    shown = {name: found[name] for name in SHOWN if found.get(name) is not None}
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items())


def stored(folder: Path) -> tuple[list[Values], Values]:
    """The cells of a folder, and what is exactly reconstructed.

    Raises:
        ValueError: They are not there.
    """
    exact, files = folder / f"{EXACT}.json", sorted(folder.glob("*-*.json"))
    if not files or not exact.is_file():
        raise ValueError(f"there are no cells in {folder}")
    cells = [values_of(path) for path in files]
    cells.sort(key=lambda cell: (cell["density"], cell["temperature"] or 0, cell["noise"]))
    return cells, values_of(exact)


def show(cells: list[dict[str, Any]], exact: dict[str, Any]) -> None:
    """The table on the screen."""
    count = exact["molecules"]
    better = ", ".join(f"{steps} {100 * s:.1f} %" for steps, s in exact["corrected"].items())
    title = (
        f"exact reconstruction {100 * exact['reconstruction']:.1f} % of {count:,} held-out "
        f"molecules; corrected in at most so many steps: {better}"
    )
    rows = [
        [
            cell["density"],
            f"{cell['nats']:.1f}",
            f"{cell['noise']:g}",
            "greedy" if cell["temperature"] is None else f"{cell['temperature']:g}",
            *("" if cell.get(name) is None else f"{cell[name]:.3f}" for name in SHOWN),
        ]
        for cell in cells
    ]
    print_table(title, (["density", "nats", "noise", "temperature", *SHOWN], rows), left=1)
    moved = _moved(exact.get("codes", {}))
    if moved:
        print(moved)


def _moved(codes: dict[str, Any]) -> str | None:
    """Where correction took codes, see ``Subject.moved``; cells of before do not know."""
    if not codes.get("moved"):
        return None
    nats = ", ".join(
        f"{name} {of['moved_from']:.1f} before and {of['moved_to']:.1f} after"
        for name, of in codes["nats"].items()
    )
    return (
        f"{codes['moved']:,} codes were moved by correction, by {codes['distance']:.2f} standard "
        f"deviations; nats: {nats}"
    )


def page_rows(cells: Sequence[Values]) -> Rows:
    """The table of the page: densities from the least likely to the likeliest."""
    nats: dict[str, list[float]] = {}
    for cell in cells:
        nats.setdefault(cell["density"], []).append(cell["nats"])
    order = sorted(nats, key=lambda label: mean(nats[label]))
    rows = [
        [_titled(cell), f"{cell['nats']:.1f}", f"{cell['noise']:g}"]
        + [column.text([cell]) for column in COLUMNS]
        for label in order
        for cell in cells
        if cell["density"] == label
    ]
    heads = ["density", "nats", "noise on drawn codes", *(column.head for column in COLUMNS)]
    return heads, rows


def _titled(cell: Values) -> str:
    """A density in words, and the temperature where there is one."""
    label: str = cell["density"]
    name, _, components = label.partition(":")
    title = f"{components} Gaussians" if name == "gmm" else TITLES.get(name, label)
    return title if cell["temperature"] is None else f"{title}, at {cell['temperature']:g}"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", nargs="?", help="folder of a run, or name of a shipped model")
    parser.add_argument("data", nargs="?", help="the file that it was trained on")
    parser.add_argument("--densities", nargs="+", default=["gaussian", "gmm:10"])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.5, 1.0, 1.4])
    parser.add_argument("--temperature", nargs="+", type=float, default=[0.0], help="0 is greedy")
    parser.add_argument("-n", "--number", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / NAME, help="folder of cells")
    parser.add_argument("--table", action="store_true", help="show what is stored")
    parser.add_argument("--markdown", action="store_true", help="write it into --page")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(words)
    options.make = not (options.table or options.markdown)
    if options.make and (options.run is None or options.data is None):
        parser.error("a run and the file that it was trained on are needed")
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Measure, or show; 1 where something is wrong with what was given."""
    options = arguments(words)

    def work() -> None:
        if options.make:
            study(options)
        cells, exact = stored(options.out)
        if options.make and options.out == RESULTS / NAME:
            told = {"run": options.run, "seed": options.seed}
            record(NAME, {**told, "exact": exact, "cells": cells})
        show(cells, exact)
        if options.markdown:
            rewrite(options.page, NAME, markdown(page_rows(cells)), BY)

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
