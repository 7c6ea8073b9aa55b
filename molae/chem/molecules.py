"""Reading and writing SMILES: what is wrong with a text, its canonical form, its Kekulé form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

from rdkit import Chem, rdBase
from rdkit.Chem import rdqueries

from molae.chem.valence import is_metal
from molae.chem.workers import map_chunks

#: Characters, about a protein of 200 residues. RDKit's canonicalisation recurses and is quadratic:
#: this much is safe on a stack of 1 MB and takes 0.2 s at worst, while a chain of 50,000 atoms
#: ends the whole process, not the call.
MAX_LENGTH = 2000

#: What RDKit says of a molecule, in the words of our tables of rejects.
_PROBLEMS = {
    "AtomValenceException": "valence",
    "KekulizeException": "kekulisation",
    "AtomKekulizeException": "kekulisation",
}

#: Parts of SMILES that the grammar has no rules for, as RDKit writes them.
_UNSUPPORTED = {
    "*": "dummy atom",
    "$": "quadruple bond",
    "~": "unspecified bond",
    "->": "dative bond",
    "<-": "dative bond",
    "@SP": "non-tetrahedral stereo",
    "@TB": "non-tetrahedral stereo",
    "@OH": "non-tetrahedral stereo",
}
_UNSUPPORTED_PATTERN = re.compile("|".join(re.escape(part) for part in _UNSUPPORTED))

# Where RDKit's own Kekulé form may be refused or read back as another molecule, as of an aryne
# written with aromatic atoms (c1c#cccc1) or of hypervalent aromatic phosphorus. Only these are
# checked: it would double the time for the others, of which none has been found to change.
_RISKY = re.compile(r"#|P|p|B(?!r)|b|Se|se|Te|te|As|as|Si|si")

# Before RDKit 2025, the Kekulé structure that was chosen depended on the order of the atoms.
_KEKULIZES_CANONICALLY = "canonical" in (Chem.Kekulize.__doc__ or "")


class MoleculeError(ValueError):
    """A text that is not a molecule, or not one that can be used here.

    Attributes:
        reason: A few words, the same for all molecules with the same trouble, so that rejects can
            be counted: 'syntax', 'valence', 'kekulisation', 'empty', 'too long', 'radical', ...
        smiles: The text.
        detail: What exactly, or "".
    """

    def __init__(self, reason: str, smiles: str, detail: str = "") -> None:
        super().__init__(reason, smiles, detail)
        self.reason = reason
        self.smiles = smiles
        self.detail = detail

    def __str__(self) -> str:
        shown = self.smiles if len(self.smiles) <= 80 else self.smiles[:77] + "..."
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.reason}: {shown!r}{detail}"


def read(smiles: str) -> Chem.Mol:
    """The molecule that a SMILES stands for, sanitised by RDKit, which logs nothing meanwhile.

    Blanks around the text are dropped. Within it they are an error: names and the extensions of
    CXSMILES, which RDKit would read, could change the molecule unseen.

    Raises:
        MoleculeError: With reason 'empty', 'too long', 'syntax', 'valence' or 'kekulisation'.
    """
    text = smiles.strip()
    if not text:
        raise MoleculeError("empty", smiles)
    if len(text) > MAX_LENGTH:
        detail = f"{len(text)} characters, at most {MAX_LENGTH} are read"
        raise MoleculeError("too long", text, detail)
    if not text.isascii():
        raise MoleculeError("syntax", text, "characters outside ASCII")
    if len(text.split()) > 1:
        raise MoleculeError("syntax", text, "blank inside; expected one SMILES and nothing else")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text)
        if mol is None:
            raise _diagnosis(text)
    if mol.GetNumAtoms() == 0:
        raise MoleculeError("empty", text)
    return mol


def _diagnosis(smiles: str) -> MoleculeError:
    """Why RDKit refused a SMILES."""
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return MoleculeError("syntax", smiles)
    problems = [(p.GetType(), p.Message()) for p in Chem.DetectChemistryProblems(mol)]
    if not problems:  # some are seen only after other steps of sanitisation
        try:
            Chem.SanitizeMol(mol)
        except Chem.MolSanitizeException as error:
            problems = [(type(error).__name__, str(error))]
    kind, message = problems[0] if problems else ("refused by RDKit", "")
    return MoleculeError(_PROBLEMS.get(kind, kind), smiles, message.strip())


def write(mol: Chem.Mol) -> str:
    """The canonical isomeric SMILES of a molecule."""
    return Chem.MolToSmiles(mol)


def canonical(smiles: str) -> str | None:
    """The canonical isomeric SMILES (RDKit's), or None where ``read`` would raise."""
    try:
        return write(read(smiles))
    except MoleculeError:
        return None


def without_maps(mol: Chem.Mol) -> Chem.Mol:
    """The molecule without atom-map numbers, read anew since they take part in stereo."""
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return read(Chem.MolToSmiles(mol))


@lru_cache(maxsize=1)
def _radical_query() -> Chem.rdchem.QueryAtom:
    return rdqueries.NumRadicalElectronsGreaterQueryAtom(0)


def radical_atoms(mol: Chem.Mol) -> list[int]:
    """Indices of atoms with unpaired electrons; metal atoms without neighbours are exempt.

    RDKit calls [Gd+3] a radical, as it counts electrons up to an octet.
    """
    found = mol.GetAtomsMatchingQuery(_radical_query())
    return [a.GetIdx() for a in found if a.GetDegree() or not is_metal(a.GetSymbol())]


def kekule(smiles: str, radicals: bool = False) -> str:
    """The canonical isomeric Kekulé SMILES: double bonds spelt out, no aromatic atoms.

    Its canonical isomeric SMILES is that of the input, and it is the same for every spelling of
    the input. On all of ZINC250k and QM9 (376,496 molecules) no exception is known.

    What RDKit reads but the grammar has no rules for is normalised or refused: atom-map numbers
    are removed, ring digit 0 and explicit [H] atoms are rewritten by RDKit, allene stereo (@AL) is
    dropped by RDKit; dative bonds (->, also where RDKit makes them from a metal next to a
    saturated nitrogen), dummy atoms (*), quadruple ($) and unspecified (~) bonds, and square
    planar, bipyramidal and octahedral stereo (@SP, @TB, @OH) raise.

    Args:
        smiles: Any SMILES that RDKit reads, aromatic or not.
        radicals: Whether atoms with unpaired electrons are let through (lone metal atoms always
            are).

    Raises:
        MoleculeError: With a reason of ``read``, or 'radical', 'dummy atom', 'dative bond',
            'quadruple bond', 'unspecified bond', 'non-tetrahedral stereo'.
    """
    mol = read(smiles)
    if ":" in smiles:
        mol = without_maps(mol)
    # Only an atom in brackets can be short of hydrogens.
    if not radicals and "[" in smiles:
        _refuse_radicals(mol, smiles)
    text = _write_kekule(mol, smiles)
    unsupported = _UNSUPPORTED_PATTERN.search(text)
    if unsupported:
        raise MoleculeError(_UNSUPPORTED[unsupported[0]], smiles)
    # Neutral iodine with three or five bonds: without brackets it means the same, and so the
    # machine writes it (see ``grammar/smiles.py``). RDKit uses them beside hydrogen and metals.
    return text.replace("[IH]", "I").replace("[I]", "I")


def _refuse_radicals(mol: Chem.Mol, smiles: str) -> None:
    found = radical_atoms(mol)
    if found:
        names = ", ".join(f"{mol.GetAtomWithIdx(i).GetSymbol()} (atom {i})" for i in found[:3])
        raise MoleculeError("radical", smiles, f"unpaired electrons on {names}")


def _write_kekule(mol: Chem.Mol, smiles: str) -> str:
    """The Kekulé form of a molecule, which is kekulised in place.

    Raises:
        MoleculeError: If it has none.
    """
    expected = write(mol) if _RISKY.search(smiles) else None
    if not _KEKULIZES_CANONICALLY:
        ranks = list(Chem.CanonicalRankAtoms(mol))
        mol = Chem.RenumberAtoms(mol, sorted(range(len(ranks)), key=ranks.__getitem__))
    try:
        with rdBase.BlockLogs():
            Chem.Kekulize(mol, clearAromaticFlags=True)
            text = Chem.MolToSmiles(mol, kekuleSmiles=True)
    except Chem.KekulizeException as error:
        raise MoleculeError("kekulisation", smiles, str(error)) from None
    if expected is not None and canonical(text) != expected:
        raise MoleculeError("kekulisation", smiles, f"RDKit does not read {text!r} back as it")
    return text


def kekule_many(
    smiles: Sequence[str], workers: int = 1, radicals: bool = False
) -> list[str | MoleculeError]:
    """``kekule`` of each, with the error in place of what raises one.

    Args:
        smiles: SMILES, any number.
        workers: Processes to share the work.
        radicals: As in ``kekule``.
    """
    return list(each(partial(kekule, radicals=radicals), smiles, workers))


def each(
    function: Callable[[str], str], smiles: Sequence[str], workers: int = 1
) -> Iterator[str | MoleculeError]:
    """``function`` of each SMILES, in order, as they become ready; errors are given, not raised.

    Args:
        function: ``kekule``, a ``Preparation``, or anything else that takes a SMILES, returns one
            and raises MoleculeError; it must be importable in another process.
        smiles: SMILES, any number.
        workers: Processes to share the work.
    """
    for results in map_chunks(partial(_each_chunk, function=function), smiles, workers):
        for result in results:
            yield result if isinstance(result, str) else MoleculeError(*result)


def _each_chunk(
    smiles: Sequence[str], function: Callable[[str], str]
) -> list[str | tuple[str, str, str]]:
    """Strings and tuples are what goes back between processes; exceptions would be pickled."""
    results: list[str | tuple[str, str, str]] = []
    for text in smiles:
        try:
            results.append(function(text))
        except MoleculeError as error:
            results.append((error.reason, error.smiles, error.detail))
    return results
