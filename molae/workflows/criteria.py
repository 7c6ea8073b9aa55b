"""What a drawn molecule must be: patterns, requirements and filters, and what must not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from molae.chem.filters import first_failure
from molae.chem.molecules import canonical, read
from molae.chem.properties import Sheet
from molae.chem.requirements import Requirement, first_unmet, parse_requirements
from molae.chem.substructure import first_missing, pattern
from molae.chem.workers import map_chunks
from molae.datasets.readers import read as read_file
from molae.datasets.splits import text_key
from molae.names import FILTERS, PROPERTIES, pick
from molae.workflows.keys import KeySet
from molae.workflows.reading import chunks

#: Molecules judged in one job: some filters take a millisecond each.
_JUDGED = 250


class Verdict(NamedTuple):
    """What is found of one molecule.

    Attributes:
        smiles: Canonical.
        kind: ``"scaffold"``, ``"requirement"`` or ``"filter"`` where one drops it, else ``""``.
        reason: Which one.
        values: Its properties, where nothing drops it.
    """

    smiles: str
    kind: str = ""
    reason: str = ""
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Criteria:
    """What a molecule must meet, and what is told of it; plain values, for other processes.

    Attributes:
        scaffolds: SMARTS patterns, all of which must hit.
        requirements: Comparisons that must hold.
        filters: Names out of ``molae.names.FILTERS`` that must find no fault.
        properties: Names out of ``molae.names.PROPERTIES``.
    """

    scaffolds: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    filters: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    @classmethod
    def typed(
        cls,
        scaffolds: Sequence[str] = (),
        requirements: Sequence[str] = (),
        filters: Sequence[str] = (),
        properties: Sequence[str] = (),
    ) -> Criteria:
        """From what people type.

        Raises:
            ValueError: A pattern or a requirement cannot be read (with a caret where), or a name
                is unknown (with the closest ones).
        """
        for smarts in scaffolds:
            pattern(smarts)
        return cls(
            tuple(scaffolds),
            tuple(parse_requirements(requirements)),
            tuple(pick(FILTERS, name, "filter") for name in filters),
            tuple(pick(PROPERTIES, name, "property") for name in properties),
        )

    @property
    def drops(self) -> bool:
        """Whether a molecule may be dropped."""
        return bool(self.scaffolds or self.requirements or self.filters)

    def judge(self, texts: Sequence[str], workers: int = 1) -> Iterator[Verdict]:
        """What is found of canonical SMILES, in order, as they become ready."""
        if not self.drops and not self.properties:
            yield from map(Verdict, texts)  # RDKit need not look at them
            return
        for piece in map_chunks(partial(_judge_chunk, self), texts, workers, chunk=_JUDGED):
            yield from piece

    def verdict(self, smiles: str) -> Verdict:
        """What is found of one molecule; the first fault counts."""
        sheet = Sheet(read(smiles))
        # In the order of what they cost: a pattern, usually simple numbers, hundreds of patterns.
        missing = first_missing(sheet.mol, self.scaffolds)
        if missing is not None:
            return Verdict(smiles, "scaffold", missing)
        unmet = first_unmet(self.requirements, sheet)
        if unmet is not None:
            return Verdict(smiles, "requirement", str(unmet))
        failed = first_failure(sheet.mol, self.filters)
        if failed is not None:
            return Verdict(smiles, "filter", failed)
        return Verdict(smiles, values=tuple(sheet[name] for name in self.properties))


def _judge_chunk(criteria: Criteria, texts: Sequence[str]) -> list[Verdict]:
    return [criteria.verdict(text) for text in texts]


def canonical_many(texts: Sequence[str | None], workers: int = 1) -> Iterator[str | None]:
    """Canonical isomeric SMILES in order; None stays None, and stands where RDKit refuses."""
    for piece in map_chunks(_canonical_chunk, texts, workers):
        yield from piece


def _canonical_chunk(texts: Sequence[str | None]) -> list[str | None]:
    return [None if text is None else canonical(text) for text in texts]


def excluded_keys(
    files: Sequence[str | Path], column: str | None = None, workers: int = 1
) -> KeySet:
    """Keys of the canonical SMILES in files; lines that RDKit does not read are no molecules."""
    keys = KeySet()
    for file in files:
        with read_file(file, column, reject=lambda _bad: None) as reader:
            for piece in chunks((record.smiles for record in reader), 20_000):
                for text in canonical_many(piece, workers):
                    if text is not None:
                        keys.add(text_key(text))
    return keys
