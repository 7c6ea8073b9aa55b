"""The molecule column of the table of objectives: the same objectives on SMILES."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cells import Job, Values, fill, jobs_of
from benchmarks.molecules_cell import (
    DATA,
    Parts,
    Protocol,
    data_cell,
    drawn,
    measured,
    run_of,
    size,
    told,
)
from benchmarks.objectives_cell import begun
from benchmarks.objectives_models import MODELS
from benchmarks.trainings import folder_of
from molae.datasets.files import data_digest

#: The folder of these cells, in that of the others.
FOLDER = "molecules"
#: What is usual with each size of the table. ``width`` is of a decoder that no row has.
USUAL: dict[str, dict[str, Any]] = {
    "small": {
        "held": 1000, "molecules": 50_000, "epochs": None, "batch_size": 64,
        "learning_rate": 2e-3, "width": 501, "precision": "auto", "generated": 1000,
        "decoded": 500,
    },
    "full": {
        "held": 5000, "molecules": 2_000_000, "epochs": None, "batch_size": 256,
        "learning_rate": 2e-3, "width": 501, "precision": "auto", "generated": 5000,
        "decoded": 1000,
    },
    "quick": {
        "held": 30, "molecules": 64, "epochs": None, "batch_size": 32, "learning_rate": 2e-3,
        "width": 501, "precision": "fp32", "generated": 40, "decoded": 8,
    },
}  # fmt: skip
#: Smaller nets in a hurry.
NETS: dict[str, dict[str, int]] = {
    "quick": {"encoder_hidden": 32, "decoder_hidden": 32, "embedding": 16, "latent_dim": 8}
}
#: Why a row has no cell unless there is a GPU.
HEAVY = (
    "on molecules, where a decoder takes one step after the other, so many codes of each example "
    "are for --full"
)


def protocol_of(source: Path, size_of_table: str) -> Protocol:
    """What all molecule cells have in common."""
    return Protocol((source.name, data_digest(source)), **USUAL[size_of_table])


def settings_of(model: str, seed: int, protocol: Protocol, size_of_table: str) -> dict[str, Any]:
    """Arguments of ``train`` for a cell; our grammar, encoder and decoder."""
    return {
        "grammar": "smiles",
        **NETS.get(size_of_table, {}),
        **MODELS[model].on_sequences(),
        "batch_size": protocol.batch_size,
        "learning_rate": protocol.learning_rate,
        "precision": protocol.precision,
        "steps": -(-(protocol.molecules or 0) // protocol.batch_size),
        "seed": seed,
        "validation": 0.0,  # what is held out is no part of the file that is trained on
    }


def make(
    source: Path,
    models: list[str],
    seeds: list[int],
    *,
    size_of_table: str,
    out: Path,
    work: Path,
    device: str,
) -> None:
    """Make every molecule cell that is not there yet.

    Raises:
        ValueError: The file is too small, or a cell there is of another protocol.
        TrainingInterrupted: Ctrl-C; the same command goes on.
    """
    work = work / FOLDER
    work.mkdir(parents=True, exist_ok=True)
    protocol = protocol_of(source, size_of_table)
    parts = Parts(source, protocol.held, work, None)
    jobs = [Job(f"{DATA}-0", {}, {"model": DATA, "seed": 0})]
    jobs += jobs_of(
        models, seeds, lambda name, seed: settings_of(name, seed, protocol, size_of_table)
    )

    def cell(job: Job) -> Values:
        model, seed = job.facts["model"], job.facts["seed"]
        if model == DATA:
            return data_cell(parts, protocol.generated)
        if MODELS[model].heavy and size_of_table == "small":
            return {"refused": HEAVY}
        settings = dict(job.settings)
        folder = folder_of(work, model, seed, settings, parts.file.name)
        run, why = begun(lambda: run_of(folder, parts, settings, device))
        if run is None:
            return why
        found = measured(run, parts, protocol, seed)
        densities, own = found["densities"], MODELS[model].own
        prior = densities.pop("prior")
        there = own in run.densities
        densities["own"] = drawn(run, own, parts, protocol, seed) if there else prior
        about = {part: run.card[part] for part in ("counts", "training")}
        return {**about, "size": size(run), **found}

    fill(out / FOLDER, protocol.to_dict(), jobs, cell, told)
