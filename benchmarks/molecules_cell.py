"""One cell of the table on molecules: a model and a seed, trained and measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.molecules_models import PUBLISHED, VARIANTS
from benchmarks.trainings import folder_of, trained
from molae.datasets.files import replacing
from molae.datasets.splits import split_by_text
from molae.runs.run import Run
from molae.training import TrainingDiverged
from molae.workflows import measures
from molae.workflows.evaluate import Yardstick, texts_of
from molae.workflows.reading import worker_count

#: Codes are drawn from the prior, and from the mixture that every training fits.
DENSITIES, COMPONENTS = ("prior", "gmm"), 10
#: The cell of training molecules, measured as if they had been generated.
DATA = "data"


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the file.
        held: Molecules that are held out, about so many.
        molecules: Molecules seen in training, or None where ``epochs`` says how long.
        epochs: Passes over what is not held out, or None.
        batch_size: Molecules in a step.
        learning_rate: At its highest.
        width: Of the published decoder's GRUs, 501 in the paper.
        precision: Asked for; what was taken stands in each cell.
        generated: Molecules decoded greedily from each density.
        decoded: Codes of each density that are decoded under each set of masks.
    """

    data: tuple[str, str]
    held: int
    molecules: int | None
    epochs: float | None
    batch_size: int
    learning_rate: float
    width: int
    precision: str
    generated: int
    decoded: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "data": list(self.data)}

    def training(self, model: str, seed: int) -> dict[str, Any]:
        """Arguments of ``train`` for a cell."""
        settings: dict[str, Any] = {
            **VARIANTS[model].settings,
            "components": COMPONENTS,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "precision": self.precision,
            "seed": seed,
            "validation": 0.0,  # what is held out is no part of the file that is trained on
        }
        if settings.get("decoder") == PUBLISHED["decoder"]:
            settings["decoder_hidden"] = self.width
        if self.molecules is not None:
            return settings | {"steps": -(-self.molecules // self.batch_size)}
        return settings | {"epochs": self.epochs}


class Parts:
    """The file in two: what is learnt from, and what is held out.

    Args:
        source: Molecules.
        held: How many are held out, about.
        work: Where what is learnt from is written to, and kept encoded.
        workers: Processes that look at molecules; None for one a core.

    Raises:
        ValueError: The file has too few for that.
    """

    def __init__(self, source: Path, held: int, work: Path, workers: int | None) -> None:
        texts = [text for text in texts_of(source) if text is not None]
        if not 0 < held < len(texts) / 2:
            raise ValueError(
                f"--held is {held}, and {source} has {len(texts)}: ask for less than half of them"
            )
        shares = {"learnt": 1.0 - held / len(texts), "held": held / len(texts)}
        rows = split_by_text(texts, shares, 0)
        self.learnt = [texts[row] for row in rows["learnt"]]
        self.held = [texts[row] for row in rows["held"]]
        self.workers, self.cache = workers, work / "encoded"
        content = "".join(f"{text}\n" for text in self.learnt)
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        self.file = work / f"learnt-{digest}.smi"
        if not self.file.exists():
            with replacing(self.file) as part:
                part.write_text(content, "utf-8")
        self._sequences: dict[tuple[str, int], measures.Sequences] = {}

    @cached_property
    def ruler(self) -> Yardstick:
        """What generated molecules are held against."""
        return Yardstick(self.held, self.learnt, workers=self.workers, progress=False)

    def sequences(self, run: Run) -> measures.Sequences:
        """What is held out as a run's codec reads it; parsed once for all runs that read alike."""
        key = (run.codec.digest, run.codec.max_steps)
        if key not in self._sequences:
            workers = worker_count(self.workers)
            self._sequences[key] = measures.sequences(run, self.held, workers)
        return self._sequences[key]

    def compared(self, texts: Sequence[str | None]) -> dict[str, Any]:
        """Every metric of some molecules, how many of them there are, and what is missing."""
        found = self.ruler.look(texts)
        judged = self.ruler.measure(found)
        count = {"drawn": len(texts), "molecules": len(found)}
        return count | {"metrics": judged.values, "notes": judged.notes}


# A cell ------------------------------------------------------------------------------------------


def run_of(folder: Path, parts: Parts, settings: dict[str, Any], device: str) -> Run:
    """The run of a cell, see ``trained``."""
    return trained(
        parts.file, folder, settings, "molecules", device=device, workers=parts.workers,
        cache=parts.cache,
    )  # fmt: skip


def measured(run: Run, parts: Parts, protocol: Protocol, seed: int) -> dict[str, Any]:
    """All numbers of a trained run."""
    began = time.perf_counter()
    data = parts.sequences(run)
    return {
        "reconstruction": {
            "molecules": len(parts.held),
            "exact": measures.greedy_share(run, data),
            "nats": measures.distortion(run, data),
            "rejected": len(data.rejects),
            "of_training_molecules": run.card["metrics"]["reconstruction"],
        },
        "densities": {
            name: drawn(run, name, parts, protocol, seed)
            for name in DENSITIES
            if name == "prior" or name in run.densities
        },
        "seconds_evaluating": round(time.perf_counter() - began, 1),
    }


def drawn(run: Run, name: str, parts: Parts, protocol: Protocol, seed: int) -> dict[str, Any]:
    """What one density writes; under each set of masks, too, codes are blurred as usual."""
    index = torch.arange(protocol.decoded)
    z = run.blurred(run.density(name).sample_rows(seed, index), run.noise, seed, index)
    shares = measures.validities(run, z, seed, noise=run.noise)
    began = time.perf_counter()
    texts = run.sample(protocol.generated, seed, density=name, canonical=False)
    seconds = time.perf_counter() - began
    return {
        **shares,
        "codes": protocol.decoded,
        "decoded_per_second": round(protocol.generated / seconds, 1),
        **parts.compared(texts),
    }


def size(run: Run) -> dict[str, int]:
    """Numbers in the model and bytes of its weights."""
    parameters = sum(p.numel() for p in run.model.parameters())
    held = sum(t.numel() * t.element_size() for t in run.model.state_dict().values())
    return {"parameters": parameters, "bytes": held}


def model_cell(
    model: str, seed: int, parts: Parts, protocol: Protocol, work: Path, device: str
) -> dict[str, Any]:
    """Train and measure one model with one seed; a training that diverges is a result too.

    Args:
        model: A key of ``VARIANTS``.
        seed: Of the training, and of what is drawn.
        parts: The data.
        protocol: What is the same in all cells.
        work: Where the training lives, in a folder of its own for each model, seed and protocol.
        device: Where to compute.
    """
    settings = protocol.training(model, seed)
    folder = folder_of(work, model, seed, settings, parts.file.name)
    values: dict[str, Any] = {
        "title": VARIANTS[model].title,
        "remark": VARIANTS[model].remark,
    }
    try:
        run = run_of(folder, parts, settings, device)
    except TrainingDiverged as error:
        return values | {"failed": str(error).split(";")[0]}
    training = run.card["training"]
    seen = {
        "molecules_seen": round(training["epochs"] * run.card["counts"]["training"]),
        "molecules_per_second": training["examples_per_second"],
    }
    return values | {
        "config": {part: run.config[part] for part in ("model", "objective", "densities")},
        "counts": run.card["counts"],
        "training": training | seen,
        "size": size(run),
        **measured(run, parts, protocol, seed),
    }


def data_cell(parts: Parts, count: int) -> dict[str, Any]:
    """So many training molecules measured as generated ones: what a perfect model reaches."""
    step = max(1, len(parts.learnt) // count)
    return {"title": "training molecules", **parts.compared(parts.learnt[::step][:count])}


def told(found: dict[str, Any]) -> str:
    """What a cell came to."""
    for why in ("failed", "refused"):
        if why in found:
            return str(found[why])
    if "reconstruction" not in found:
        return f"{found['drawn']} molecules"
    exact = found["reconstruction"]["exact"]
    return "no reconstruction" if exact is None else f"{exact:.1%} come back"
