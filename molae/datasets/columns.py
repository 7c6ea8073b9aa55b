"""Which column of a table holds the molecules, and which their names."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from molae.datasets.files import DataError

#: Names of SMILES columns, the likeliest first, as ``plain`` spells them.
SMILES_NAMES = (
    "smiles",
    "canonicalsmiles",
    "isomericsmiles",
    "connectivitysmiles",
    "smi",
    "structure",
    "molecule",
    "mol",
    "rdkitsmiles",
)
#: What a column of images is called, as ``plain`` spells it.
IMAGE_NAME = "image"
_NAME_NAMES = (
    "name",
    "id",
    "title",
    "identifier",
    "moleculename",
    "compoundname",
    "compound",
    "moleculechemblid",
    "chemblid",
    "zincid",
    "cid",
)


def plain(name: str) -> str:
    """A column name without case, blanks, dashes and underscores."""
    return "".join(character for character in name.lower() if character.isalnum())


def known_column(columns: Sequence[str]) -> int | None:
    """The column that is called what SMILES columns are called, or one of images; or None."""
    names = [plain(column) for column in columns]
    for wanted in SMILES_NAMES:
        if wanted in names:
            return names.index(wanted)
    found = next((i for i, name in enumerate(names) if "smiles" in name), None)
    return image_column(columns) if found is None else found


def image_column(columns: Sequence[str]) -> int | None:
    """The column of images, or None."""
    names = [plain(column) for column in columns]
    return names.index(IMAGE_NAME) if IMAGE_NAME in names else None


def name_column(columns: Sequence[str]) -> int | None:
    """The column of molecule names, or None."""
    names = [plain(column) for column in columns]
    return next((names.index(wanted) for wanted in _NAME_NAMES if wanted in names), None)


def asked_column(source: str, columns: Sequence[str], wanted: str) -> int:
    """The column asked for: by its name, its name in other spelling, or its number.

    Raises:
        DataError: There is none; the message lists the columns and the closest name.
    """
    if wanted in columns:
        return list(columns).index(wanted)
    names = [plain(column) for column in columns]
    if plain(wanted) and plain(wanted) in names:
        return names.index(plain(wanted))
    if wanted.isdecimal() and 1 <= int(wanted) <= len(columns):
        return int(wanted) - 1
    close = get_close_matches(plain(wanted), names, 1)
    hint = f" Did you mean {columns[names.index(close[0])]!r}?" if close else ""
    raise DataError(f"{source}: there is no column {wanted!r}.{hint} {listed(columns)}")


def listed(columns: Sequence[str]) -> str:
    """The columns in a sentence, shortened where there are very many."""
    shown = ", ".join(repr(column[:40]) for column in columns[:20])
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return f"The columns are {shown}{more}."


def parses(value: object) -> bool:
    """Whether a cell is a SMILES."""
    from molae.chem.molecules import canonical

    return isinstance(value, str) and bool(value.strip()) and bool(canonical(value.strip()))


def parsing_column(sample: Sequence[Sequence[object]]) -> int | None:
    """The first column of which at least half of the sampled cells parse as SMILES, or None."""
    width = max((len(row) for row in sample), default=0)
    for column in range(width):
        cells = [row[column] for row in sample if len(row) > column]
        texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
        if texts and 2 * sum(parses(text) for text in texts) >= len(cells):
            return column
    return None
