"""How many bonds an atom may carry, asked of RDKit, not typed from memory.

The grammar machine never imports RDKit. It reads the table that ``python -m molae.chem.valence``
writes to ``grammars/valence.json``. A *capacity* is the set of sums of bond orders, at most
``MAX_TOTAL``, with which an atom of given element, explicit hydrogens and charge passes
``Chem.MolFromSmiles`` (sanitised) and carries no radical electron.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from rdkit import Chem, rdBase

#: Sums of bond orders above this are not drawn (RDKit sets no bound for metals).
MAX_TOTAL = 8
CHARGES = range(-4, 9)
HYDROGENS = range(0, 7)
#: Atoms that SMILES writes without brackets.
ORGANIC = ("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I")
#: Hydrogens that a metal may carry here; RDKit would take any number.
METAL_HYDROGENS = 4
#: Bonds and explicit hydrogens of a non-metal, and its charge, go no further than this: RDKit
#: knows no valence for some absurd ions and lets them carry anything ([C+3] carries 1, 7 or 8).
NONMETAL_TOTAL = 6
NONMETAL_CHARGE = 4

_NONMETALS = {
    *("H", "He", "B", "C", "N", "O", "F", "Ne", "Si", "P", "S", "Cl", "Ar"),
    *("Ge", "As", "Se", "Br", "Kr", "Te", "I", "Xe", "At", "Rn", "Ts", "Og"),
}


def elements() -> list[str]:
    """Symbols of the 118 elements, in order of atomic number."""
    table = Chem.GetPeriodicTable()
    return [table.GetElementSymbol(number) for number in range(1, 119)]


def is_metal(symbol: str) -> bool:
    """Whether an element counts as a metal here (everything that is no non-metal or metalloid)."""
    return symbol not in _NONMETALS


def spell(symbol: str, hydrogens: int = 0, charge: int = 0) -> str:
    """A bracket atom as SMILES writes it, such as ``[NH3+]`` or ``[Fe+2]``."""
    h = "" if not hydrogens else "H" if hydrogens == 1 else f"H{hydrogens}"
    sign = "+" if charge > 0 else "-"
    c = "" if not charge else sign if abs(charge) == 1 else f"{sign}{abs(charge)}"
    return f"[{symbol}{h}{c}]"


def _holds(atom: str, total: int, metal: bool = False) -> bool:
    """Does RDKit take this atom with ``total`` single bonds to carbon, and without radicals?"""
    mol = Chem.MolFromSmiles(atom + "(C)" * total)
    if mol is None or (total and not metal and _turns_dative(atom, total)):
        return False
    kept = Chem.MolFromSmiles(atom + "(C)" * total, sanitize=False).GetNumAtoms()
    if mol.GetNumAtoms() != kept and total == 0:
        return False  # a hydrogen that vanished into its neighbour is still an atom of the string
    return (metal and not total) or not any(a.GetNumRadicalElectrons() for a in mol.GetAtoms())


def _turns_dative(atom: str, total: int) -> bool:
    """Whether RDKit makes a bond to a metal dative and leaves a radical: [S-] with three bonds."""
    mol = Chem.MolFromSmiles(f"{atom}([Fe])" + "(C)" * (total - 1))
    return atom != "[H]" and (mol is None or mol.GetAtomWithIdx(0).GetNumRadicalElectrons() > 0)


def capacity(symbol: str, hydrogens: int, charge: int) -> list[int]:
    """Admissible sums of bond orders of a bracket atom, ascending; empty if there is none."""
    metal = is_metal(symbol)
    if metal and hydrogens > METAL_HYDROGENS:
        return []
    if not metal and abs(charge) > NONMETAL_CHARGE:
        return []
    if symbol == "H":  # an ion carries no bond; with a second hydrogen it is the molecule [HH]
        return {(0, 0): [1], (0, 1): [0], (0, -1): [0], (1, 0): [0]}.get((hydrogens, charge), [])
    atom = spell(symbol, hydrogens, charge)
    sums = [t for t in range(MAX_TOTAL + 1) if _holds(atom, t, metal)]
    if metal:
        return sums[:1] * (sums[:1] == [0]) + _plausible([t for t in sums if t])
    if sums[-3:] == [6, 7, 8] and len(sums) > 3:
        # No bound at all: RDKit knows no valence for this ion (bare [H+], [Cl-2]). Alone or not.
        return [0] if sums[0] == 0 else []
    most = 1 if symbol == "I" and not charge else NONMETAL_TOTAL  # see smiles.IODINE
    return _plausible([t for t in sums if t + hydrogens <= most])


def _plausible(sums: list[int]) -> list[int]:
    """Sums up to the first wide gap.

    RDKit counts some ions as short of a full shell and offers six to eight bonds beside the usual
    one or two ([Mg]: 2, 6, 7, 8; [P+3]: 2, 6).
    """
    kept = [total for total in sums[:1] if total <= 4]
    for total in sums[1:]:
        if not kept or total - kept[-1] > 2:
            break
        kept.append(total)
    return kept


def organic_capacity(symbol: str) -> int:
    """The largest sum of bond orders of an atom written without brackets.

    Raises:
        ValueError: If a smaller sum is refused, which would break the machine's assumption that
            implicit hydrogens fill any gap.
    """
    totals = [total for total in range(MAX_TOTAL + 1) if _holds(symbol, total)]
    if totals != list(range(len(totals))):
        raise ValueError(f"{symbol} takes bond sums {totals}: expected no gaps")
    return totals[-1]


def probe() -> dict[str, object]:
    """The whole table, as ``grammars/valence.json`` holds it.

    Returns:
        ``rdkit`` (version), ``organic`` {symbol: largest sum}, ``classes`` (list of
        {"hydrogens,charge": [sums]}), ``elements`` {symbol: index of its class}.
    """
    classes: list[dict[str, list[int]]] = []
    members: dict[str, int] = {}
    with rdBase.BlockLogs():
        organic = {symbol: organic_capacity(symbol) for symbol in ORGANIC}
        for symbol in elements():
            table = {
                f"{h},{c}": sums
                for h in HYDROGENS
                for c in CHARGES
                if (sums := capacity(symbol, h, c))
            }
            if table not in classes:
                classes.append(table)
            members[symbol] = classes.index(table)
    return {
        "rdkit": rdBase.rdkitVersion,
        "organic": organic,
        "elements": members,
        "classes": classes,
    }


def differences(table: dict[str, object], symbols: Iterable[str] | None = None) -> list[str]:
    """Where the installed RDKit disagrees with a table: one line each, empty if nowhere."""
    lines = []
    members: dict[str, int] = table["elements"]  # type: ignore[assignment]
    classes: list[dict[str, list[int]]] = table["classes"]  # type: ignore[assignment]
    with rdBase.BlockLogs():
        for symbol in symbols if symbols is not None else members:
            known = classes[members[symbol]]
            for h in HYDROGENS:
                for c in CHARGES:
                    now, then = capacity(symbol, h, c), known.get(f"{h},{c}", [])
                    if now != then:
                        lines.append(f"{spell(symbol, h, c)}: RDKit says {now}, table says {then}")
    return lines


@lru_cache(maxsize=2)
def disagreements(table_text: str) -> tuple[str, ...]:
    """``differences`` to a table as JSON text; none if it was made with this version of RDKit.

    It takes a second where the versions differ, and is asked once per process.
    """
    table = json.loads(table_text)
    return () if table["rdkit"] == rdBase.rdkitVersion else tuple(differences(table))


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "grammars/valence.json")
    target.write_text(json.dumps(probe(), separators=(",", ":")) + "\n")
    print(f"wrote {target} with RDKit {rdBase.rdkitVersion}")
