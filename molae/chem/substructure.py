"""Patterns in molecules, as SMARTS: what is wrong with one, and which molecules it hits."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from rdkit import Chem, rdBase

from molae.chem.molecules import MAX_LENGTH, MoleculeError, read

_REASON = re.compile(r"Parse Error: (.+?)(?= while parsing| for input|:|$)", re.MULTILINE)
_POSITION = re.compile(r"around position (\d+)")
_RDKIT_LOG = logging.getLogger("rdkit")


class SmartsError(ValueError):
    """A text that is no SMARTS pattern; the message points at the place where that is known.

    Attributes:
        text: The pattern.
        column: Where reading failed, from 0; None where only the whole is known to be wrong.
    """

    def __init__(self, text: str, column: int | None, problem: str) -> None:
        caret = "" if column is None else f"\n  {' ' * column}^"
        super().__init__(
            f"not a SMARTS pattern: {problem}\n  {text}{caret}\n"
            "write for example c1ccncc1 or [NX3;H2][CX4]; lower case is aromatic"
        )
        self.text = text
        self.column = column


@lru_cache(maxsize=64)
def pattern(smarts: str) -> Chem.Mol:
    """The query that a SMARTS stands for; RDKit logs nothing meanwhile.

    Raises:
        SmartsError: (a ValueError) It cannot be read.
    """
    text = smarts.strip()
    if not text:
        raise SmartsError(smarts, None, "it is empty")
    if len(text) > MAX_LENGTH:  # RDKit recurses, as with SMILES
        problem = f"{len(text)} characters, at most {MAX_LENGTH} are read"
        raise SmartsError(text[:60] + "...", None, problem)
    blank = re.search(r"\s", text)
    if blank:  # RDKit would take the rest for a name
        raise SmartsError(text, blank.start(), "blank inside; expected one pattern")
    with rdBase.BlockLogs():
        query = Chem.MolFromSmarts(text)
    if query is None:
        raise _diagnosis(text)
    return query


def hits(mol: Chem.Mol, smarts: str) -> bool:
    """Whether a molecule, as ``molae.chem.molecules.read`` returns it, contains a pattern.

    Stereochemistry that the pattern spells out must be there; where it spells none, any will do.

    Raises:
        SmartsError: As ``pattern``.
    """
    return bool(mol.HasSubstructMatch(pattern(smarts), useChirality=True))


def first_missing(mol: Chem.Mol, patterns: Iterable[str]) -> str | None:
    """The first of the patterns that a molecule does not contain, or None if it has all.

    Raises:
        SmartsError: As ``pattern``.
    """
    return next((smarts for smarts in patterns if not hits(mol, smarts)), None)


def misses_itself(smarts: str) -> bool:
    """Whether a pattern, read as SMILES, is a molecule that the pattern does not hit.

    So it is with Kekulé SMILES: in SMARTS a capital letter is an aliphatic atom, and
    ``C1=CC=CC=C1`` hits no benzene.

    Raises:
        SmartsError: As ``pattern``.
    """
    pattern(smarts)
    try:
        mol = read(smarts)
    except MoleculeError:
        return False
    return not hits(mol, smarts)


def _diagnosis(text: str) -> SmartsError:
    """Why RDKit refused a pattern, and where."""
    with _said() as lines:
        Chem.MolFromSmarts(text)
    said = "\n".join(lines)
    reason = _REASON.search(said)
    problem = reason[1] if reason else "refused by RDKit"
    position = _POSITION.search(said)
    column = int(position[1]) - 1 if position else _open_ring(text)
    return SmartsError(text, column, problem)


def _open_ring(text: str) -> int | None:
    """Where the first ring closure stands that is opened and not closed, outside of brackets."""
    opened: dict[str, int] = {}
    depth = 0
    for match in re.finditer(r"%\(\d+\)|%\d\d|.", text):
        depth += (match[0] == "[") - (match[0] == "]")
        number = match[0].strip("%()")
        if depth == 0 and number.isdigit() and opened.pop(number, None) is None:
            opened[number] = match.start()
    return min(opened.values(), default=None)


@contextmanager
def _said() -> Iterator[list[str]]:
    """What RDKit logs meanwhile: it gives its reasons for a refused pattern nowhere else."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    others = _RDKIT_LOG.handlers[:]
    _RDKIT_LOG.handlers[:] = [handler]
    rdBase.LogToPythonLogger()
    try:
        yield lines
    finally:
        _RDKIT_LOG.handlers[:] = others
        # Back to where it logs by default, which in a notebook is another place.
        if "rdkit.Chem.Draw.IPythonConsole" in sys.modules:
            rdBase.LogToPythonStderr()
        else:
            rdBase.LogToCppStreams()
