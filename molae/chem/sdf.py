"""SDF files: many molecules with named data fields, one record after another.

Format: CTfile Formats, BIOVIA (V2000 and V3000). Records are cut apart here and handed to RDKit
one by one, so that a damaged record costs itself only and can say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TextIO

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor

from molae.chem.molecules import MAX_LENGTH

_END = "$$$$"


class SdfRecord(NamedTuple):
    """One record of an SDF file.

    Attributes:
        number: From 1.
        smiles: Canonical isomeric SMILES, or None where the record cannot be read.
        name: The title line.
        reason: Why ``smiles`` is None, else "".
        row: The data fields, by name.
    """

    number: int
    smiles: str | None
    name: str
    reason: str
    row: dict[str, str]


def read_sdf(stream: Iterable[str]) -> Iterator[SdfRecord]:
    """The records of an SDF text, in order, including those that cannot be read.

    Args:
        stream: Lines, with or without their ends.
    """
    lines: list[str] = []
    number = 0
    for line in stream:
        text = line.rstrip("\r\n")
        if text.rstrip() == _END:
            number += 1
            yield _record(number, lines)
            lines = []
        else:
            lines.append(text)
    if any(line.strip() for line in lines):  # the last end mark is often forgotten
        yield _record(number + 1, lines)


def _record(number: int, lines: list[str]) -> SdfRecord:
    end = next((i + 1 for i, line in enumerate(lines) if line.startswith("M  END")), None)
    name = lines[0].strip() if lines else ""
    if end is None:
        end = next((i for i, line in enumerate(lines) if line.startswith(">")), len(lines))
        return SdfRecord(number, None, name, "no 'M  END' line", _fields(lines[end:]))
    row = _fields(lines[end:])
    with rdBase.BlockLogs():
        block = "\n".join(lines[:end]) + "\n"
        mol = Chem.MolFromMolBlock(block)
        if mol is None:
            return SdfRecord(number, None, name, _reason(block), row)
        if mol.GetNumAtoms() == 0:
            return SdfRecord(number, None, name, "no atoms", row)
        if mol.GetNumAtoms() > MAX_LENGTH:
            return SdfRecord(number, None, name, "too long", row)
        return SdfRecord(number, Chem.MolToSmiles(mol), name, "", row)


def _reason(block: str) -> str:
    """Why RDKit refuses a mol block, in one line."""
    mol = Chem.MolFromMolBlock(block, sanitize=False)
    if mol is None:
        return "the atom or bond block is damaged"
    try:
        Chem.SanitizeMol(mol)
    except ValueError as error:  # RDKit's sanitisation errors are ValueErrors
        return f"not a possible molecule: {str(error).strip()}"
    return "not a possible molecule"


def _fields(lines: list[str]) -> dict[str, str]:
    """The data items after the mol block: ``> <NAME>``, lines of text, a blank line."""
    fields: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 :].rpartition(">")[0]
            current = fields.setdefault(name, [])
        elif not line.strip():
            current = None
        elif current is not None:
            current.append(line)
    return {name: "\n".join(text) for name, text in fields.items()}


def sdf_block(smiles: str, name: str = "", row: Mapping[str, object] | None = None) -> str:
    """One SDF record with a flat drawing of the molecule and data fields, end mark included.

    Raises:
        ValueError: RDKit does not read ``smiles``.
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(f"cannot write {smiles!r} as SDF: RDKit does not read it as a SMILES")
    rdDepictor.Compute2DCoords(mol)
    mol.SetProp("_Name", " ".join(name.split()))
    parts = [Chem.MolToMolBlock(mol)]
    for key, value in (row or {}).items():
        text = "" if value is None else str(value)
        # A blank line would end the field: none may stand inside.
        body = "\n".join(line for line in text.splitlines() if line.strip())
        parts.append(f">  <{key.replace('<', '(').replace('>', ')')}>\n{body}\n\n")
    parts.append(f"{_END}\n")
    return "".join(parts)


def write_sdf(
    stream: TextIO, smiles: str, name: str = "", row: Mapping[str, object] | None = None
) -> None:
    """Append one record to a text stream; see ``sdf_block``.

    Raises:
        ValueError: RDKit does not read ``smiles``.
    """
    stream.write(sdf_block(smiles, name, row))
