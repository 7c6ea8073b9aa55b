"""One cell of the table on expressions: a method and a seed, from data to the best expression."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells import Values
from benchmarks.optimization import curve, rounded
from molae.datasets.files import replacing
from molae.oracles import Equation
from molae.oracles.ledger import Ledger
from molae.runs import Run
from molae.workflows.campaign.folder import Folder
from molae.workflows.campaign.record import Record
from molae.workflows.campaign.trace import best_so_far
from molae.workflows.optimize import optimize
from molae.workflows.train import train

Floats = NDArray[np.float64]

#: A score below this is the optimum, or as good.
GOAL = 0.05
#: Of the answers of the oracle: the published score.
SCORE = "log1p_mse"
#: Calls between two values of a trace that are kept.
KEPT_EVERY = 10
#: What is compared, with arguments of ``optimize``; "screening" has none, it needs no campaign.
#: Every expression is one, so no code is left out as implausible; steps would be too short.
METHODS: dict[str, dict[str, Any]] = {
    "retrained": {"strategy": "latent", "plausible": 0.0, "retrain": "every=50,k=1e-3,epochs=1"},
    "latent": {"strategy": "latent", "plausible": 0.0},
    "local": {"strategy": "local"},
    "sampling": {"strategy": "sampling"},
    "screening": {},
}


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the texts.
        start: Expressions that are known at the beginning.
        calls: New expressions that may be scored.
        batch: Candidates that are asked for at once.
        model: Arguments of ``molae.workflows.train.train``.
    """

    data: tuple[str, str]
    start: int
    calls: int
    batch: int
    model: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "data": list(self.data)}


#: The model: 25 dimensions as published; and one that is trained in seconds.
MODEL: dict[str, Any] = {
    "latent_dim": 25,
    "encoder_hidden": 96,
    "decoder_hidden": 128,
    "embedding": 32,
    "epochs": 15.0,
    "batch_size": 256,
}
QUICK: dict[str, Any] = {
    "latent_dim": 8,
    "encoder_hidden": 24,
    "decoder_hidden": 48,
    "embedding": 16,
    "components": 2,
    "steps": 400,
    "batch_size": 32,
    "learning_rate": 5e-3,
}


# Data --------------------------------------------------------------------------------------------


def read_expressions(path: Path) -> list[str]:
    """Different expressions of a file, without the blanks between tokens.

    Raises:
        ValueError: There is no such file, or nothing in it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        texts = list(dict.fromkeys("".join(line.split()) for line in stream))
    found = [text for text in texts if text]
    if not found:
        raise ValueError(f"{path}: there is nothing in it")
    return found


def written_expressions(count: int, seed: int) -> list[str]:
    """Different expressions of the same language, of two or three terms, drawn at random."""
    rng = np.random.default_rng(seed)

    def term() -> str:
        atom = "x123"[rng.integers(4)]
        other = "x123"[rng.integers(4)]
        return [atom, f"sin({atom}*{other})", f"exp({atom})", f"({atom}/{other})"][rng.integers(4)]

    found: dict[str, None] = {}
    while len(found) < count:
        terms = [term() for _ in range(rng.integers(2, 4))]
        found["+*/"[rng.integers(3)].join(terms)] = None
    return list(found)


def published_scores(texts: Sequence[str]) -> Floats:
    """log(1 + mean squared error) of each, (n,): lower is better, 6.909 for what has no value."""
    return np.array([answer.parts[SCORE] for answer in Equation().answer(texts)])


def worse_half(texts: Sequence[str], place: Path) -> list[str]:
    """Those whose score is the median or worse; found once and kept in a file."""
    if not place.exists():
        scores = published_scores(texts)
        kept = [t for t, y in zip(texts, scores, strict=True) if y >= np.median(scores)]
        with replacing(place) as part:
            part.write_text("".join(f"{text}\n" for text in kept), "utf-8")
    return place.read_text("utf-8").split()


class Parts:
    """The worse half of the expressions, and the model of it.

    Args:
        texts: All expressions.
        protocol: What is the same in all cells.
        work: Where everything lives that takes time to make.
        device: Where to compute.

    Raises:
        ValueError: There are too few.
    """

    def __init__(self, texts: Sequence[str], protocol: Protocol, work: Path, device: str) -> None:
        self.protocol, self.work, self.device = protocol, work, device
        work.mkdir(parents=True, exist_ok=True)
        self.file = work / f"worse-{protocol.data[1][:12]}.txt"
        self.texts = worse_half(texts, self.file)
        if len(self.texts) < protocol.start + protocol.calls:
            raise ValueError(
                f"the worse half has {len(self.texts)} expressions; expected at least "
                f"{protocol.start} to start from and {protocol.calls} more"
            )

    def order(self, seed: int) -> list[str]:
        """The worse half in random order: the start set comes first."""
        rows = np.random.default_rng(seed).permutation(len(self.texts))
        return [self.texts[row] for row in rows]

    def run(self) -> Run:
        """The model: trained, gone on with, or found. Each caller has one of its own."""
        settings = {"grammar": "equation", "learning_rate": 2e-3, "seed": 0, **self.protocol.model}
        told = hashlib.sha256(json.dumps([settings, self.file.name]).encode()).hexdigest()
        folder = self.work / f"model-{told[:8]}"
        if not (folder / "card.json").is_file():
            train(
                self.file,
                folder,
                **settings,
                resume=True,
                device=self.device,
                cache=self.work / "encoded",
                remembered=False,
                command="python -m benchmarks.optimize_expressions",
            )
        return Run.load(folder, self.device)


# Cells -------------------------------------------------------------------------------------------


def cell(method: str, seed: int, parts: Parts) -> Values:
    """What one method comes to with one seed."""
    protocol = parts.protocol
    texts = parts.order(seed)
    start, rest = texts[: protocol.start], texts[protocol.start :]
    if METHODS[method]:
        told = json.dumps([protocol.to_dict(), METHODS[method]], sort_keys=True)
        name = f"{method}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        found = campaign(parts.work / name, method, seed, start, parts)
    else:
        found = screening(start, rest, protocol.calls)
    pairs = [(each.answer.parts[SCORE], each.text) for each in found.evaluations]
    trace = best_so_far([score for score, _ in pairs], minimize=True)
    good = np.flatnonzero(trace < GOAL)
    return {
        "start_best": float(published_scores(start).min()),
        "best": float(trace[-1]),
        "expressions": sorted(pairs)[:10],
        "reached_at": int(good[0]) + 1 if len(good) else None,
        "trace": curve(trace.tolist(), KEPT_EVERY),
        "counts": dict(found.counts),
        "seconds": rounded(found.seconds),
    }


def campaign(place: Path, method: str, seed: int, start: list[str], parts: Parts) -> Record:
    """A campaign in a folder, begun or gone on with."""
    protocol = parts.protocol
    return optimize(
        place,
        Equation(),
        calls=protocol.calls,
        batch=protocol.batch,
        model=parts.run(),
        start=start,
        start_free=True,
        start_limit=len(start),
        seed=seed,
        device=parts.device,
        resume=Folder(place).begun,
        **METHODS[method],
    ).record


def screening(start: list[str], rest: list[str], calls: int) -> Record:
    """Expressions of the worse half in random order."""
    began = time.perf_counter()
    with Ledger(Equation(), calls, known=start) as ledger:
        ledger.evaluate(rest[:calls])
        seconds = {"oracle": time.perf_counter() - began}
        return Record(ledger.evaluations, counts=asdict(ledger.counts), seconds=seconds)
