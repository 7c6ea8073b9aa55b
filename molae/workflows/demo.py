"""The first look: train on the shipped molecules for some minutes, generate, draw."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from molae.chem.molecules import canonical
from molae.chem.properties import score
from molae.datasets.files import DataError, cache_folder, explained
from molae.datasets.readers import read, smiles_of
from molae.datasets.splits import text_key
from molae.resources import data_path
from molae.runs.folder import strangers
from molae.runs.run import Run
from molae.workflows.data import Say
from molae.workflows.output import open_output
from molae.workflows.reading import worker_count
from molae.workflows.summary import Summary, summarise
from molae.workflows.train import train

#: Says that a folder is a demo's, to be replaced by the next one.
MARKER = ".molae-demo"
#: Columns of the table, and how they are shown.
PROPERTIES = {"qed": "QED", "sa": "SA", "logp": "logP", "mw": "MW"}
#: Molecules in the picture, and in a row of it.
DRAWN, PER_ROW = 40, 8
#: A few passes are all there is time for: small steps at a high rate learn most from them (after
#: two passes 12 nats a molecule on held-out data, with twice the batch at half the rate 27).
BATCH, RATE = 128, 2e-3
#: Training molecules whose properties stand for all of them.
COMPARED = 2000


@dataclass(frozen=True)
class Demo:
    """What came of it.

    Attributes:
        numbers: By name, for programs.
        rows: Label and value, for a table.
        files: What was written.
        run: The trained run.
    """

    numbers: dict[str, Any]
    rows: list[tuple[str, str]]
    files: list[Path]
    run: Run


def demo(
    folder: str | Path = "demo",
    *,
    seconds: float = 240.0,
    n: int = 1000,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    workers: int | None = None,
    say: Say | None = None,
) -> Demo:
    """Train on the demo set, generate n molecules, write them, count what can be counted.

    Args:
        folder: Gets ``run/``, ``molecules.smi``, ``molecules.csv`` and ``molecules.png``; what a
            demo before this one left there is replaced, anything else is not.
        seconds: Time of the training.
        n: Molecules to generate.
        seed: Of weights, order and draws.
        device: See ``train``.
        progress: Show progress on standard error.
        workers: Processes that look at molecules.
        say: Called with a sentence now and then.

    Raises:
        DataError: The folder cannot be written or is not a demo's, or n is below 1.
    """
    folder, say = Path(folder), say or (lambda _text: None)
    if n < 1:
        raise DataError(f"n is {n}; expected at least 1")
    count = worker_count(workers)
    _clear(folder)
    with data_path("demo.smi.gz") as data:
        with read(data) as reader:
            known = list(smiles_of(reader))
        say(f"training on {len(known):,} molecules for {seconds:.0f} s")
        run = train(
            data,
            folder / "run",
            seconds=seconds,
            batch_size=BATCH,
            learning_rate=RATE,
            seed=seed,
            device=device,
            progress=progress,
            workers=count,
            cache=cache_folder("encoded"),
            command="molae demo",
            say=say,
        )
    say(f"generating {n:,} molecules")
    start = time.perf_counter()
    raw = run.sample(n, seed, canonical=False)
    pace = n / (time.perf_counter() - start)
    summary = summarise(raw, {text_key(canonical(text) or text) for text in known})
    say("computing properties")
    rows = _table(raw, count)
    if not rows:
        raise RuntimeError("none of the draws is a molecule, which the grammar promises")
    files = _write(folder, rows)
    means = {
        name: float(np.nanmean([row[name] for row in rows] or [np.nan])) for name in PROPERTIES
    }
    theirs = _means(known, seed, count)
    numbers = _numbers(run, summary, pace, means, theirs)
    return Demo(numbers, _shown(numbers), files, run)


def _clear(folder: Path) -> None:
    """Make the folder, mark it as a demo's, and take away the run of the demo before.

    Raises:
        DataError: It was not made by a demo and holds something, or cannot be written.
    """
    run = folder / "run"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).is_file():
            if any(folder.iterdir()):
                raise DataError(
                    f"{folder} holds other things, and a demo replaces what it finds: name a new "
                    "or an empty folder with -o"
                )
            (folder / MARKER).write_text("molae demo replaces what is in this folder.\n")
        if run.is_symlink() or (run.exists() and not run.is_dir()):
            raise DataError(f"{run} is not the run of a demo: move it away, or use another folder")
        if run.is_dir():
            if others := strangers(run):
                raise DataError(
                    f"{run} holds more than the run of a demo, such as {others[0]}: move it away, "
                    "or use another folder"
                )
            shutil.rmtree(run)


def _table(raw: Sequence[str | None], workers: int) -> list[dict[str, Any]]:
    """Canonical SMILES of the draws that are molecules, with properties."""
    texts = [spelt for text in raw if text is not None and (spelt := canonical(text))]
    values = score(texts, list(PROPERTIES), workers)
    return [
        {"smiles": text, **{name: float(values[name][i]) for name in PROPERTIES}}
        for i, text in enumerate(texts)
    ]


def _means(known: Sequence[str], seed: int, workers: int) -> dict[str, float]:
    """Mean properties of the training set, from some of it."""
    rows = np.random.default_rng(seed).permutation(len(known))[:COMPARED]
    values = score([known[i] for i in rows], list(PROPERTIES), workers)
    return {name: float(np.nanmean(column)) for name, column in values.items()}


def _write(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """List, table and picture; the picture holds the first molecules that are different."""
    types: dict[str, type] = {"smiles": str} | dict.fromkeys(PROPERTIES, float)
    files = [folder / f"molecules.{suffix}" for suffix in ("smi", "csv", "png")]
    with open_output(files[0]) as out:
        for row in rows:
            out.write({"smiles": row["smiles"]})
    with open_output(files[1], types) as out:
        for row in rows:
            out.write(row)
    different = list({row["smiles"]: row for row in rows}.values())[:DRAWN]

    def legend(row: Any) -> str:
        return f"QED {row['qed']:.2f}  SA {row['sa']:.1f}"

    with open_output(files[2], types, legend=legend, per_row=PER_ROW) as out:
        for row in different:
            out.write(row)
    return files


def _numbers(
    run: Run, summary: Summary, pace: float, means: dict[str, float], theirs: dict[str, float]
) -> dict[str, Any]:
    training, metrics = run.card["training"], run.card["metrics"]
    return {
        "trained_on": run.card["counts"]["training"],
        "seconds": training["seconds"],
        "epochs": training["epochs"],
        "trained_per_second": training["examples_per_second"],
        "precision": training["precision"],
        "device": training["device"],
        "generated": summary.total,
        "generated_per_second": round(pace),
        "validity": summary.validity,
        "uniqueness": summary.uniqueness,
        "novelty": summary.novelty,
        "reconstruction": metrics["reconstruction"],
        "reconstructed": metrics["measured"],
        "means": means,
        "training_means": theirs,
    }


def _shown(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers as label and value."""
    passes = f"{numbers['epochs']:.1f} passes in {numbers['seconds']:.0f} s"
    device = f"{numbers['device']}, {numbers['precision']}"
    rows = [
        ("trained on", f"{numbers['trained_on']:,} molecules, {passes}"),
        ("training speed", f"{numbers['trained_per_second']:,} molecules/s ({device})"),
        ("generated", f"{numbers['generated']:,}, {numbers['generated_per_second']:,} a second"),
        ("valid (RDKit)", _percent(numbers["validity"])),
        ("unique", _percent(numbers["uniqueness"])),
        ("new (not in the data)", _percent(numbers["novelty"])),
        (
            "exact reconstruction",
            f"{_percent(numbers['reconstruction'])} of {numbers['reconstructed']:,} held out",
        ),
    ]
    for name, label in PROPERTIES.items():
        mine, data = numbers["means"][name], numbers["training_means"][name]
        rows.append((f"mean {label}", f"{mine:.2f}  (data {data:.2f})"))
    return rows


def _percent(share: float) -> str:
    """A share in percent; 100 only where it is all of them."""
    text = f"{100 * share:.1f} %"
    return "99.9 %" if text == "100.0 %" and share < 1 else text
