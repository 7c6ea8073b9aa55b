"""Pictures of molecules, one or a grid, as .png or .svg; no window, no notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from molae.chem.molecules import MoleculeError, read

#: Pixels that Cairo can hold in one direction.
_MAX_PIXELS = 32_000

#: The longest bond, as a share of the smaller side of a molecule's place: about what hexane gets
#: anyhow, where ethane would fill all of it.
_LONGEST_BOND = 0.2
#: Bonds in the coordinates that RDKit makes; its options count pixels for a length of one.
_BOND = 1.5


def grid(
    smiles: Sequence[str | None],
    path: str | Path,
    legends: Sequence[str] | None = None,
    columns: int = 5,
    size: tuple[int, int] = (260, 220),
) -> Path:
    """Draw molecules in rows and write the picture.

    The file appears under its name only when it is complete.

    Args:
        smiles: Molecules, from left to right and top to bottom. None, or what cannot be read,
            gives a question mark.
        path: Where to write; the suffix, .png or .svg, decides the format.
        legends: A line of text under each molecule, or None.
        columns: Molecules in a row.
        size: Width and height of one molecule in pixels.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is nothing to draw, legends and molecules differ in number, the suffix
            is neither, or the picture would be larger than the format can be.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    _check(len(smiles), path, legends, columns)
    width, height = size
    columns = min(columns, len(smiles))
    rows = -(-len(smiles) // columns)
    full = (columns * width, rows * height)
    suffix = path.suffix.lower()
    if suffix == ".png" and max(full) > _MAX_PIXELS:
        raise ValueError(
            f"a picture of {full[0]} x {full[1]} pixels is too large for .png: write .svg, or draw"
            f" at most {columns * (_MAX_PIXELS // height)} molecules"
        )
    canvas = rdMolDraw2D.MolDraw2DCairo if suffix == ".png" else rdMolDraw2D.MolDraw2DSVG
    drawing = _draw(canvas(*full, *size), size, smiles, legends)
    _write_whole(path, drawing if isinstance(drawing, bytes) else drawing.encode())
    return path


def picture(smiles: str | None, size: tuple[int, int] = (260, 220)) -> str:
    """One molecule as the text of an .svg file; a question mark for None and what cannot be read.

    Args:
        smiles: The molecule.
        size: Width and height in pixels.
    """
    drawing = _draw(rdMolDraw2D.MolDraw2DSVG(*size, *size), size, [smiles], None)
    return drawing if isinstance(drawing, str) else drawing.decode()


def _check(number: int, path: Path, legends: Sequence[str] | None, columns: int) -> None:
    if number == 0:
        raise ValueError("no molecules to draw: expected at least one")
    if columns < 1:
        raise ValueError(f"columns is {columns}: expected at least 1")
    if legends is not None and len(legends) != number:
        raise ValueError(f"{len(legends)} legends for {number} molecules: expected one for each")
    if path.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"cannot draw to {path.name!r}: expected a name ending in .png or .svg")


def _draw(
    canvas: rdMolDraw2D.MolDraw2D,
    size: tuple[int, int],
    smiles: Sequence[str | None],
    legends: Sequence[str] | None,
) -> str | bytes:
    """The text or bytes of the finished picture, each molecule in a place of this size."""
    options: Any = canvas.drawOptions()  # RDKit's stubs call every option a MolDrawOptions
    options.legendFontSize = 16
    options.legendFraction = 0.13 if legends is not None else 0.0
    options.padding = 0.08
    options.bondLineWidth = 1.6
    # One scale for all would shrink every molecule to the size the largest needs; but no bond is
    # longer than this, or two atoms would fill their place.
    options.drawMolsSameScale = False
    options.fixedBondLength = _LONGEST_BOND * min(size) / _BOND
    labels = list(legends) if legends is not None else [""] * len(smiles)
    molecules = []
    with rdBase.BlockLogs():
        for text in smiles:
            mol = _laid_out(text)
            molecules.append(_question_mark() if mol is None else mol)
        canvas.DrawMolecules(molecules, legends=labels)
    canvas.FinishDrawing()
    text_or_bytes: str | bytes = canvas.GetDrawingText()
    return text_or_bytes


def _laid_out(smiles: str | None) -> Chem.Mol | None:
    """A molecule with coordinates, kekulised and wedged, or None if there is none."""
    if smiles is None:
        return None
    try:
        mol = read(smiles)
    except MoleculeError:
        return None
    rdDepictor.Compute2DCoords(mol)
    rdDepictor.StraightenDepiction(mol)
    return rdMolDraw2D.PrepareMolForDrawing(mol)


def _question_mark() -> Chem.Mol:
    """What stands where there is no molecule; RDKit leaves out the legend of an empty one."""
    mol = Chem.MolFromSmiles("*")
    mol.GetAtomWithIdx(0).SetProp("_displayLabel", "?")
    rdDepictor.Compute2DCoords(mol)
    return mol


def _write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name beside the target, then rename: all or nothing."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
