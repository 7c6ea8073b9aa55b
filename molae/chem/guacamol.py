"""The goal-directed tasks of GuacaMol, second suite: 20 tasks, each a score from 0 to 1.

Source: Brown et al., "GuacaMol: Benchmarking Models for de Novo Molecular Design", J. Chem. Inf.
Model. 59 (2019), and where paper and package ``guacamol`` differ, the package, which made the
published numbers. Every part of a task is a number that RDKit computes, put through a modifier;
the score of a task is the geometric mean of its parts, for the two hops the arithmetic one.

The practical molecular optimisation benchmark (Gao et al., NeurIPS 2022) takes its tasks from the
Therapeutics Data Commons (TDC). 20 of its 23 need only RDKit (``PMO``; the others are classifiers
of DRD2, GSK3B and JNK3). Where TDC is or was different, the values here are those of GuacaMol:

- isomers, sitagliptin_mpo, zaleplon_mpo: until August 2022 TDC took for the number of all atoms
  what it found in the SMILES read as a formula, hydrogens left out (kept there as ``..._prev``;
  TDC pull request 171). The values are much lower, and PMO's published ones are of that kind (its
  code recommends PyTDC 0.3.6): random screening of ZINC comes to about 8.8 over the 20 tasks as
  they are defined here, published 7.4. What is in ``PMO_CHANGED`` cannot be compared with them.
- aripiprazole_similarity (not in PMO): TDC has FCFP4, as the first suite had; the second, ECFP4.
- A molecule that RDKit does not read scores -1 in GuacaMol; here it raises, and is no call.

With other versions of RDKit single values move, as perceived aromaticity, logP and TPSA do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem import GraphDescriptors

from molae.chem.formula import Isomer, atoms_of
from molae.chem.guacamol_targets import MOLECULES, PATTERNS
from molae.chem.modifiers import (
    Clipped,
    Gaussian,
    MaxGaussian,
    Mean,
    MinGaussian,
    Modifier,
    arithmetic,
    geometric,
    unchanged,
)
from molae.chem.molecules import MoleculeError, read
from molae.chem.properties import Sheet
from molae.chem.similarity import Similarity
from molae.chem.substructure import hits, pattern
from molae.chem.terms import Term
from molae.names import TASKS, pick

#: GuacaMol's suite, in the order of its tables.
GUACAMOL: tuple[str, ...] = tuple(name for name in TASKS if name != "isomers_c7h8n2o2")

#: What PMO has besides three classifiers; ``qed`` is a property.
PMO: tuple[str, ...] = (
    *(n for n in TASKS if n not in ("aripiprazole_similarity", "isomers_c11h24")),
    "qed",
)

#: Of these, the tasks whose published values in PMO are of another definition, see above.
PMO_CHANGED: tuple[str, ...] = (
    "isomers_c9h10n2o2pf2cl",
    "isomers_c7h8n2o2",
    "sitagliptin_mpo",
    "zaleplon_mpo",
)

#: Molecules over which the scores of a list are averaged.
TOPS: tuple[int, ...] = (1, 10, 100)


@dataclass(frozen=True)
class Contains:
    """1 for a molecule that contains a pattern, 0 for others; stereo where it is spelt out.

    Attributes:
        smarts: The pattern.

    Raises:
        SmartsError: (a ValueError) It cannot be read.
    """

    smarts: str

    def __post_init__(self) -> None:
        pattern(self.smarts)

    def __call__(self, sheet: Sheet) -> float:
        """1 or 0."""
        return float(hits(sheet.mol, self.smarts))


@dataclass(frozen=True)
class Part:
    """One part of a task.

    Attributes:
        name: Of its column.
        term: A number from a molecule.
        modifier: What the number is worth, 0 to 1.
    """

    name: str
    term: Term
    modifier: Modifier = unchanged

    def __call__(self, sheet: Sheet) -> float:
        """What the part is worth in one molecule."""
        return self.modifier(self.term(sheet))


@dataclass(frozen=True)
class Task:
    """What a molecule is to be like.

    Attributes:
        parts: Of the score.
        mean: Of the parts.
        tops: The final score of a list of molecules is the mean, over these numbers k, of the mean
            score of its best k.
    """

    parts: tuple[Part, ...]
    mean: Mean = geometric
    tops: tuple[int, ...] = TOPS

    def __call__(self, sheet: Sheet) -> float:
        """The score of one molecule, 0 to 1."""
        return self.mean([part(sheet) for part in self.parts])


def bertz(sheet: Sheet) -> float:
    """Bertz's index of complexity, of bonds and of heteroatoms (J. Am. Chem. Soc. 103, 1981)."""
    return sheet.once(
        "bertz",
        lambda mol: float(GraphDescriptors.BertzCT(mol)),  # type: ignore[no-untyped-call]
    )


def _property(name: str) -> Term:
    return lambda sheet: sheet[name]


def _number(symbol: str) -> Term:
    return lambda sheet: atoms_of(sheet)[symbol]


def _like(name: str, kind: str, modifier: Modifier = unchanged, column: str = "") -> Part:
    return Part(column or "similarity", Similarity(MOLECULES[name], kind), modifier)


def _with(name: str) -> Part:
    return Part(name, Contains(PATTERNS[name]))


def _without(name: str) -> Part:
    return Part(f"no_{name}", Contains(PATTERNS[name]), lambda there: 1 - there)


def _around(name: str, widths: dict[str, float]) -> tuple[Part, ...]:
    """Gaussians around the properties of a molecule, with these sigmas."""
    sheet = Sheet(read(MOLECULES[name]))
    numbers = {"bertz": bertz} | {key: _property(key) for key in ("logp", "tpsa")}
    return tuple(
        Part(key, numbers[key], Gaussian(numbers[key](sheet), sigma))
        for key, sigma in widths.items()
    )


def _rediscovery(name: str) -> Task:
    return Task((_like(name, "ECFP4", Clipped(1.0)),), tops=(1,))


def _similarity(name: str, kind: str) -> Task:
    return Task((_like(name, kind, Clipped(0.75)),))


def _median(kind: str, *names: str) -> Task:
    return Task(tuple(_like(name, kind, column=name) for name in names))


def _isomers(formula: str, top: int) -> Task:
    """``Isomer``, with a column for each of its terms."""
    isomer = Isomer(formula)
    parts = [Part(f"number_{symbol}", _number(symbol), near) for symbol, near in isomer.elements]
    total = Part("number_atoms", lambda sheet: atoms_of(sheet).total(), isomer.total)
    return Task((*parts, total), tops=(top,))


def _osimertinib() -> Task:
    return Task(
        (
            _like("osimertinib", "FCFP4", Clipped(0.8)),
            _like("osimertinib", "ECFP6", MinGaussian(0.85, 0.1), "difference"),
            Part("tpsa", _property("tpsa"), MaxGaussian(100, 10)),
            Part("logp", _property("logp"), MinGaussian(1, 1)),
        )
    )


def _fexofenadine() -> Task:
    return Task(
        (
            _like("fexofenadine", "AP", Clipped(0.8)),
            Part("tpsa", _property("tpsa"), MaxGaussian(90, 10)),
            Part("logp", _property("logp"), MinGaussian(4, 1)),
        )
    )


def _ranolazine() -> Task:
    return Task(
        (
            _like("ranolazine", "AP", Clipped(0.7)),
            Part("logp", _property("logp"), MaxGaussian(7, 1)),
            Part("tpsa", _property("tpsa"), MaxGaussian(95, 20)),
            Part("fluorines", _number("F"), Gaussian(1, 1)),
        )
    )


def _rings(name: str, column: str, number: int) -> Task:
    rings = Part(column, _property(column), Gaussian(number, 0.5))
    return Task((_like(name, "ECFP4"), rings))


def _sitagliptin() -> Task:
    unlike = _like("sitagliptin", "ECFP4", Gaussian(0, 0.1), "difference")
    same = _around("sitagliptin", {"logp": 0.2, "tpsa": 5})
    return Task((unlike, *same, Part("isomer", Isomer("C16H15F6N5O"))))


def _zaleplon() -> Task:
    return Task((_like("zaleplon", "ECFP4"), Part("isomer", Isomer("C19H17N3O2"))))


def _valsartan() -> Task:
    widths: dict[str, float] = {"logp": 0.2, "tpsa": 5, "bertz": 30}
    return Task((_with("valsartan"), *_around("sitagliptin_isomer", widths)))


def _deco_hop() -> Task:
    like = _like("hop", "PHCO", Clipped(0.85))
    changed = (_without("sulfone"), _without("benzothiazole"))
    return Task((like, *changed, _with("scaffold")), arithmetic)


def _scaffold_hop() -> Task:
    like = _like("hop", "PHCO", Clipped(0.75))
    return Task((like, _with("decoration"), _without("scaffold")), arithmetic)


#: name -> what makes the task; the same names as in ``molae.names.TASKS``.
TABLE: dict[str, Callable[[], Task]] = {
    "celecoxib_rediscovery": lambda: _rediscovery("celecoxib"),
    "troglitazone_rediscovery": lambda: _rediscovery("troglitazone"),
    "thiothixene_rediscovery": lambda: _rediscovery("thiothixene"),
    "aripiprazole_similarity": lambda: _similarity("aripiprazole", "ECFP4"),
    "albuterol_similarity": lambda: _similarity("albuterol", "FCFP4"),
    "mestranol_similarity": lambda: _similarity("mestranol", "AP"),
    "isomers_c11h24": lambda: _isomers("C11H24", 159),
    "isomers_c9h10n2o2pf2cl": lambda: _isomers("C9H10N2O2PF2Cl", 250),
    "isomers_c7h8n2o2": lambda: _isomers("C7H8N2O2", 100),
    "median1": lambda: _median("ECFP4", "camphor", "menthol"),
    "median2": lambda: _median("ECFP6", "tadalafil", "sildenafil"),
    "osimertinib_mpo": _osimertinib,
    "fexofenadine_mpo": _fexofenadine,
    "ranolazine_mpo": _ranolazine,
    "perindopril_mpo": lambda: _rings("perindopril", "aromatic_rings", 2),
    "amlodipine_mpo": lambda: _rings("amlodipine", "rings", 3),
    "sitagliptin_mpo": _sitagliptin,
    "zaleplon_mpo": _zaleplon,
    "valsartan_smarts": _valsartan,
    "deco_hop": _deco_hop,
    "scaffold_hop": _scaffold_hop,
}


@lru_cache(maxsize=len(TABLE))
def task(name: str) -> Task:
    """A task by its name; what it compares with is computed once in each process.

    Raises:
        ValueError: There is no such task, with the closest names.
    """
    with rdBase.BlockLogs():
        return TABLE[pick(TASKS, name, "task")]()


def without_stereo(smiles: Iterable[str]) -> list[str]:
    """The different molecules of a list, once stereochemistry is removed.

    Returns:
        Canonical SMILES in the order of the list; what RDKit does not read is left out.
    """
    flat: dict[str, None] = {}
    for text in smiles:
        with contextlib.suppress(MoleculeError):
            flat[Chem.MolToSmiles(read(text), isomericSmiles=False)] = None
    return list(flat)
