"""The structure rules of the MOSES benchmark that no catalogue of RDKit holds.

Source: Polykovskiy et al., "Molecular Sets (MOSES)", Front. Pharmacol. 11 (2020), and its package
``molsets``. MOSES cleaned its data with them and reports the share of generated molecules that
pass. The medicinal-chemistry filters (MCF) are in no catalogue of RDKit; their patterns are
written anew here, and ``benchmarks/metrics.py`` compares the verdicts with those of ``molsets``.

MOSES asks for PAINS besides. Those are taken from RDKit's own catalogue (``molae.chem.filters``),
which is not the same any more: RDKit has corrected 16 of the 480 patterns since. Because of that
about one molecule in a thousand (of ZINC, of drugs), most of them phenothiazines and benzylamines
with an amino group in para position, passes here and not in MOSES.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from rdkit import Chem

#: Rings of this many atoms and more are refused. (The paper says "more than 8"; its code, which
#: made the published numbers, refuses 8 as well.)
RING = 8

ATOMS = frozenset(("C", "N", "S", "O", "F", "Cl", "Br", "H"))

#: So many halogen atoms in one molecule are too many (rules 20 to 22).
HALOGENS = {"Br": 3, "Cl": 4, "F": 7}

#: The medicinal-chemistry filters 1 to 19, for molecules without explicit hydrogens. Single and
#: double bonds do not match aromatic ones, so that 12, 13 and 15 pass furan, thiophene and
#: aniline as RDKit reads them, and they do so in MOSES.
PATTERNS = {
    "alkene next to a nitrile": "[#6]=!@[#6]-C#N",
    "alkene next to a sulfonyl": "[#6]=!@[#6]-[#16](=O)=O",
    "alkene next to an amide": "[#6]=!@[#6;!H0]-!@[#6](=O)-!@[#7]",
    "primary alkyl halide": "[C;!H0;!H1]([#6])[F,Cl,Br,I]",
    "epoxide": "[#6]1-[#8]-[#6]-1",
    "isocyanate": "[#6]-N=C=O",
    "aldehyde": "[#6;!H0]=O",
    "imine with hydrogen": "[#6](=!@[#7;!H0])-!@[#6,#7,#8,#16]",
    "aziridine": "[#6]1-[#7]-[#6]-1",
    "nitrogen-nitrogen bond in a chain": "[#6]~!@[#7]~!@[#7]~!@[#6]",
    "azo or diazo": "[#7]=!@[#7]",
    "furan, not aromatic": "[#6;!H0]1=[#6;!H0]-[#6]=[#6]-[#8]-1",
    "thiophene, not aromatic": "[#6;!H0]1=[#6;!H0]-[#6]=[#6]-[#16]-1",
    "halogen beside an aromatic heteroatom": "[Cl,Br,I]-c(:*):[!#6]:*",
    "aniline, not aromatic": "[#7;!H0;!H1]-[#6]1=[#6]-[#6]=[#6]-[#6]=[#6]-1",
    "sulfur-sulfur bond": "[#16]~[#16]",
    "three nitrogens in a chain": "[#7]~!@[#7]~!@[#7]",
    "aminal": "[#7]-!@[#6;!H0;!H1]-!@[#7]",
    "acetal": "[#6;!H0](-!@[#8])-!@[#8]",
}


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, Chem.Mol], ...]:
    return tuple((name, Chem.MolFromSmarts(smarts)) for name, smarts in PATTERNS.items())


def broken_rule(mol: Chem.Mol) -> str | None:
    """The first of the rules that a molecule breaks, in words, or None if it keeps all."""
    if any(len(ring) >= RING for ring in mol.GetRingInfo().AtomRings()):
        return f"ring of {RING} atoms or more"
    elements: Counter[str] = Counter()
    for atom in mol.GetAtoms():
        if atom.GetFormalCharge():
            return "charged atom"
        elements[atom.GetSymbol()] += 1
    strange = elements.keys() - ATOMS
    if strange:
        return f"element {min(strange)}"
    for symbol, number in HALOGENS.items():
        if elements[symbol] >= number:
            return f"{number} or more {symbol}"
    return next((name for name, pattern in _patterns() if mol.HasSubstructMatch(pattern)), None)
