"""How good generated molecules are: all metrics, from files or lists of SMILES."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from molae.chem.molecules import canonical
from molae.chem.workers import map_chunks
from molae.datasets.files import DataError
from molae.metrics.comparison import Comparison, compare
from molae.metrics.profile import Profile, profile
from molae.names import METRICS
from molae.workflows.reading import Input, bar, worker_count


class Yardstick:
    """A reference that several sets of molecules are held against; it is looked at once.

    Args:
        reference: SMILES that were held out from training; what is no molecule is left out.
        train: SMILES of the training set, for novelty; None if it is not known.
        workers: Processes; None for one a core.
        progress: Show bars.
        names: What messages call the two.

    Attributes:
        reference: The profile of the reference.
        train: Canonical SMILES of the training set, or None.

    Raises:
        DataError: There is no molecule in the reference, or none in the training set.
    """

    def __init__(
        self,
        reference: Sequence[str | None],
        train: Sequence[str | None] | None = None,
        *,
        workers: int | None = None,
        progress: bool = True,
        names: tuple[str, str] = ("the reference", "the training set"),
    ) -> None:
        self.workers, self.progress = worker_count(workers), progress
        self.reference = self.look(reference, "reference")
        if not len(self.reference):
            raise _nothing(names[0], len(reference), self.reference.reasons.most_common(3))
        self.train = None if train is None else self._canonical(train)
        if self.train is not None and not self.train:
            raise _nothing(names[1], len(train or ()))

    def look(self, smiles: Sequence[str | None], label: str = "molecules") -> Profile:
        """The profile of a set of molecules."""
        with bar(label, self.progress) as show:
            total = max(1, len(smiles))
            return profile(smiles, self.workers, lambda done: show(done, done / total))

    def measure(self, generated: Profile) -> Comparison:
        """Every metric of a generated set.

        Raises:
            ValueError: Nothing was drawn.
        """
        with _stages(self.progress) as show:
            return compare(generated, self.reference, self.train, show)

    def _canonical(self, smiles: Sequence[str | None]) -> frozenset[str]:
        found: set[str] = set()
        done = 0
        with bar("training set", self.progress) as show:
            for texts in map_chunks(_canonical_chunk, smiles, self.workers):
                found.update(text for text in texts if text is not None)
                done += len(texts)
                show(done, done / len(smiles))
        return frozenset(found)


def _canonical_chunk(smiles: Sequence[str | None]) -> list[str | None]:
    return [None if text is None else canonical(text) for text in smiles]


@contextmanager
def _stages(progress: bool) -> Iterator[Callable[[str], None]]:
    """A word on standard error, if that is a terminal, for what no bar can show."""
    from rich.console import Console

    console = Console(stderr=True)
    if not progress or not console.is_terminal:
        yield lambda _stage: None
        return
    with console.status("") as status:
        yield lambda stage: status.update(stage)


def evaluate_molecules(
    smiles: Sequence[str | None],
    reference: Sequence[str],
    train: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, float | None]:
    """Every metric of a list of generated molecules.

    To hold several lists against one reference, use ``Yardstick``.

    Args:
        smiles: What was drawn; None, and what RDKit does not read, is invalid.
        reference: Molecules that were held out from training.
        train: The training set, for novelty; None if it is not known.
        workers: Processes; None for one a core.
        progress: Show bars.

    Returns:
        By name out of ``molae.names.METRICS``; ``reference_NAME`` is the same of the reference
        alone, where that makes sense. None is what cannot be computed: from too few molecules, or
        without ChemNet or a training set.

    Raises:
        ValueError: Nothing was drawn, or (DataError) there is no molecule in the reference or in
            the training set.
    """
    ruler = Yardstick(reference, train, workers=workers, progress=progress)
    return ruler.measure(ruler.look(smiles, "generated")).flat()


@dataclass(frozen=True)
class Counted:
    """What a file held.

    Attributes:
        source: The file.
        total: Its records.
        valid: Those that are molecules.
        reasons: How many are not, by reason; not counted for a training set.
    """

    source: str
    total: int
    valid: int
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """What ``evaluate_file`` found.

    Attributes:
        comparison: The metrics.
        generated: The file of generated molecules.
        reference: The file they were compared with.
        train: The training file, if it was given; ``valid`` counts different molecules.
        profiles: Of generated and reference, for pictures.
    """

    comparison: Comparison
    generated: Counted
    reference: Counted
    train: Counted | None
    profiles: tuple[Profile, Profile] = field(repr=False)

    def told(self) -> list[str]:
        """Sentences on what was read."""
        said = []
        for label, one in (("generated", self.generated), ("reference", self.reference)):
            why = ", ".join(f"{count:,} {reason}" for reason, count in one.reasons.items())
            records = f"{label}: {one.valid:,} of {one.total:,} records are molecules"
            said.append(records + (f" ({why})" if why else ""))
        if not self.generated.valid:
            source = self.generated.source
            said.append(f"Nothing in {source} is a molecule: is this the right file and column?")
        return said

    def types(self) -> dict[str, type]:
        """Columns of ``rows``, and what each holds."""
        return {"metric": str, "value": float, "reference": float, "note": str, "meaning": str}

    def rows(self) -> list[dict[str, Any]]:
        """One row for each metric, in the order of ``molae.names.METRICS``."""
        found = self.comparison
        return [
            {
                "metric": name,
                "value": found.values[name],
                "reference": found.reference.get(name),
                "note": found.notes.get(name, ""),
                "meaning": meaning,
            }
            for name, meaning in METRICS.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the profiles, as JSON values."""
        files = {"generated": self.generated, "reference": self.reference, "train": self.train}
        return {
            "files": {name: vars(one) for name, one in files.items() if one is not None},
            "metrics": {row.pop("metric"): row for row in self.rows()},
            "versions": {name: version(name) for name in ("molae", "rdkit", "numpy")},
        }


def evaluate_file(
    generated: str | Path,
    reference: str | Path,
    train: str | Path | None = None,
    *,
    column: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Evaluated:
    """Every metric of a file of generated molecules beside a file of held-out ones.

    Args:
        generated: A molecule file, or ``-``. What is no molecule counts against validity.
        reference: A molecule file. What is no molecule is left out, and counted.
        train: The training file, for novelty.
        column: SMILES column of ``generated``, if it is a table. The others are read by it too
            where they have a column of that name; else it is guessed.
        workers: Processes; None for one a core.
        progress: Show bars.

    Raises:
        DataError: A file is missing, damaged or empty, or reference or training file hold no
            molecule.
    """
    drawn = texts_of(generated, column)
    held, known = _beside(reference, column), None if train is None else _beside(train, column)
    names = str(reference), str(train)
    ruler = Yardstick(held, known, workers=workers, progress=progress, names=names)
    found = ruler.look(drawn, "generated")
    learnt = (
        None
        if known is None or ruler.train is None
        else Counted(str(train), len(known), len(ruler.train))
    )
    return Evaluated(
        comparison=ruler.measure(found),
        generated=_counted(generated, found),
        reference=_counted(reference, ruler.reference),
        train=learnt,
        profiles=(found, ruler.reference),
    )


def texts_of(
    path: str | Path, column: str | None = None, *, whole_lines: bool = False
) -> list[str | None]:
    """The SMILES of a file, not checked, then None for each record that has none.

    Args:
        path: A molecule file, or ``-``.
        column: SMILES column of a table.
        whole_lines: See ``readers.Reader``.

    Raises:
        DataError: It is missing, damaged or empty.
    """
    with Input(path, column, whole_lines=whole_lines) as given:
        texts: list[str | None] = [record.smiles for record in given.reader]
        return texts + [None] * given.rejected.count


def _beside(path: str | Path, column: str | None) -> list[str | None]:
    """The SMILES of a file that may have a column of that name; a number is of another table."""
    if column is None or column.isdecimal():
        return texts_of(path)
    try:
        return texts_of(path, column)
    except DataError:
        return texts_of(path)


def _counted(source: str | Path, found: Profile) -> Counted:
    name = "standard input" if os.fspath(source) == "-" else os.fspath(source)
    return Counted(name, len(found.drawn), len(found), dict(found.reasons.most_common()))


def _nothing(name: str, records: int, reasons: Sequence[tuple[str, int]] = ()) -> DataError:
    """The error where a set that is needed holds no molecule."""
    why = ", ".join(f"{count} {reason}" for reason, count in reasons)
    return DataError(
        f"{name}: none of its {records} records is a molecule{f' ({why})' if why else ''}; "
        "is this the right file and column?"
    )
