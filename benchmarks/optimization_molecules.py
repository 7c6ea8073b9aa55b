"""What benchmarks of optimisers on molecules share: the data, its codes, and what was found."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cells import Values
from benchmarks.optimization import proposed, rounded
from molae.chem.properties import score
from molae.datasets.files import data_digest, replacing
from molae.datasets.readers import read, smiles_of
from molae.oracles.base import Oracle
from molae.resources import data_path
from molae.runs import Run
from molae.runs.folder import WEIGHTS, read_card
from molae.runs.places import located
from molae.workflows.campaign.folder import Folder
from molae.workflows.campaign.record import Record
from molae.workflows.criteria import Criteria, canonical_many
from molae.workflows.optimize import optimize
from molae.workflows.reading import worker_count

Floats = NDArray[np.float64]

#: The largest molecule of ZINC250k, in heavy atoms, and what a plausible molecule must not break.
ATOMS, FILTERS = 38, ("moses",)
#: Share of the best in what a campaign starts from, as in weighted retraining (2,000 of 10,000).
BEST = 0.2
#: Best molecules that a cell keeps of each kind, and texts that are encoded at once.
KEPT, CHUNK = 5, 8192

#: What is asked of molecules that are to be believed.
PLAUSIBLE = Criteria.typed(requirements=[f"heavy_atoms<={ATOMS}"], filters=FILTERS)


class Library:
    """Different molecules of a file, and what is computed of them once and kept.

    Args:
        path: The file.
        work: Where to keep it.
        workers: Processes.
    """

    def __init__(self, path: Path, work: Path, workers: int | None) -> None:
        self.path, self.work, self.workers = path, work, worker_count(workers)
        self.digest = data_digest(path)

    @property
    def facts(self) -> tuple[str, str]:
        """Name and sha256 of the file."""
        return self.path.name, self.digest

    @cached_property
    def texts(self) -> list[str]:
        """Canonical SMILES, in the order of the file.

        Raises:
            DataError: The file cannot be read, or holds nothing.
        """
        place = self._place("molecules", "smi")
        if not place.exists():
            with read(self.path) as reader:
                found = canonical_many(list(smiles_of(reader)), self.workers)
                texts = list(dict.fromkeys(text for text in found if text is not None))
            with replacing(place) as part:
                part.write_text("".join(f"{text}\n" for text in texts), "utf-8")
        return place.read_text("utf-8").split()

    @cached_property
    def known(self) -> frozenset[str]:
        """All of them, to be looked up."""
        return frozenset(self.texts)

    def scores(self, name: str) -> Floats:
        """A property of each, (n,), of ``molae.names.PROPERTIES``."""
        place = self._place(name, "npy")
        if not place.exists():
            self._keep(place, score(self.texts, [name], self.workers)[name])
        found: Floats = np.load(place, allow_pickle=False)
        return found

    def codes(self, run: Run) -> Tensor:
        """The code of each, (n, D) float32; NaN where the model cannot encode it."""
        told = hashlib.sha256(f"{model_digest(run.card)} {run.codec.digest}".encode()).hexdigest()
        place = self._place(f"codes-{told[:8]}", "npy")
        if not place.exists():
            pieces = [
                encoded(run, self.texts[first : first + CHUNK], self.workers)
                for first in range(0, len(self.texts), CHUNK)
            ]
            self._keep(place, torch.cat(pieces).numpy())
        return torch.from_numpy(np.load(place, allow_pickle=False))

    def start(self, name: str, limit: int, seed: int, plausible: bool = False) -> list[str]:
        """What a campaign starts from: the best of a property, a fifth, and others by chance.

        Args:
            name: Of the property.
            limit: How many; all where there are no more.
            seed: Of the chance.
            plausible: Whether the best are to be so, see ``PLAUSIBLE``.

        Returns:
            Molecules in the order of the file.
        """
        if len(self.texts) <= limit:
            return list(self.texts)
        order = np.argsort(-self.scores(name), kind="stable")
        ranked = (self.texts[row] for row in order)
        wanted = (text for text in ranked if not plausible or is_plausible(text))
        best = set(islice(wanted, round(BEST * limit)))
        rest = [text for text in self.texts if text not in best]
        drawn = np.random.default_rng(seed).choice(len(rest), limit - len(best), replace=False)
        chosen = best | {rest[row] for row in drawn}
        return [text for text in self.texts if text in chosen]

    def _place(self, name: str, suffix: str) -> Path:
        return self.work / f"{self.digest[:12]}-{name}.{suffix}"

    def _keep(self, place: Path, values: NDArray[Any]) -> None:
        with replacing(place) as part, part.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)


def quick_library(work: Path, count: int) -> Path:
    """A file with the first molecules of those that ship with molae."""
    place = work / f"demo-{count}.smi"
    if not place.exists():
        with data_path("demo.smi.gz") as path, gzip.open(path, "rt", encoding="utf-8") as stream:
            text = "".join(islice(stream, count))
        with replacing(place) as part:
            part.write_text(text, "utf-8")
    return place


# The model ---------------------------------------------------------------------------------------


def model_facts(name: str) -> tuple[str, str | None]:
    """What a model is called, and the digest of its weights.

    Raises:
        RunError: There is none.
    """
    with located(name) as folder:
        return Path(name).name, model_digest(read_card(folder))


def model_digest(card: Mapping[str, Any]) -> str | None:
    """The digest of the weights, as it stands in a card."""
    found = card.get("digests", {}).get(WEIGHTS)
    return None if found is None else str(found)


def encoded(run: Run, texts: Sequence[str], workers: int) -> Tensor:
    """Codes of texts, (n, D) float32; NaN where the model cannot encode one."""
    z = torch.full((len(texts), run.size), torch.nan)
    encoding = run.codec.parse(texts, workers=workers)
    if len(encoding.kept):
        z[torch.from_numpy(encoding.kept)] = run.codes(encoding.padded())
    return z


# Campaigns ---------------------------------------------------------------------------------------


def campaign(place: Path, oracle: str | Oracle, **settings: Any) -> Record:
    """A campaign in a folder, begun or gone on with; arguments as for ``optimize``."""
    return optimize(place, oracle, resume=Folder(place).begun, **settings).record


def spent(record: Record) -> Values:
    """What a campaign cost: counts, seconds by part and in all, also where it was stopped."""
    seconds = rounded(record.seconds)
    return {
        "counts": dict(record.counts),
        "seconds": seconds,
        "wall": round(sum(seconds.values()), 1),
        "ended": record.ended,
    }


def shares(counts: Mapping[str, int]) -> Values:
    """Valid shares of the candidates of a campaign, and different ones of the valid."""
    total = proposed(counts)
    valid = total - counts["invalid"]
    return {
        "valid": valid / total if total else None,
        "unique": counts["calls"] / valid if valid else None,
    }


# What was found ----------------------------------------------------------------------------------


def is_plausible(text: str) -> bool:
    """Whether a molecule is small enough and passes the filters."""
    return not PLAUSIBLE.verdict(text).kind


def best_of(
    scored: Sequence[tuple[float, str]], known: frozenset[str], count: int = KEPT
) -> dict[str, list[list[Any]]]:
    """The best molecules: of all, of the new ones, and of the new ones that are plausible.

    Args:
        scored: Scores with molecules, each once.
        known: Molecules that are not new.
        count: How many of each.

    Returns:
        Lists of score and molecule, the best first, by ``all``, ``new`` and ``plausible``.
    """
    ranked = sorted(scored, key=lambda pair: (-pair[0], pair[1]))
    new = [pair for pair in ranked if pair[1] not in known]
    passing = islice((pair for pair in new if is_plausible(pair[1])), count)
    kinds = {"all": ranked[:count], "new": new[:count], "plausible": passing}
    return {kind: [list(pair) for pair in pairs] for kind, pairs in kinds.items()}


def pooled(cells: Sequence[Values], kind: str, count: int = 3) -> list[list[Any]]:
    """The best different molecules of several cells, the best first."""
    found = {text: value for each in cells for value, text in each["best"][kind]}
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [[value, text] for text, value in ranked[:count]]


def listed(pairs: Sequence[Sequence[Any]], digits: int = 2) -> str:
    """Their scores."""
    return ", ".join(f"{value:.{digits}f}" for value, _ in pairs) or "-"


def alkanes(sizes: Sequence[int], worth: Callable[[str], float]) -> list[tuple[str, float, bool]]:
    """Chains of so many carbon atoms, their scores, and whether they are plausible."""
    return [(f"C{n}H{2 * n + 2}", worth("C" * n), is_plausible("C" * n)) for n in sizes]
