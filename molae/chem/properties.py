"""Numbers computed from a molecule, by name: what ``molae.names.PROPERTIES`` lists."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import QED, Descriptors, rdMolDescriptors

from molae.chem.molecules import MoleculeError, read
from molae.chem.workers import map_chunks
from molae.names import PROPERTIES, pick

Kept = TypeVar("Kept")

#: Mean and standard deviation over ZINC250k of logP, -SA and -(long cycles), as published.
#: "plogp": You et al. 2018 (GCPN), also in TDC, hgraph2graph and the DoG models of mol_opt.
#: "plogp_b": Tripp et al. 2020 (weighted retraining), also in LOL-BO and the GP-BO of mol_opt.
CONVENTIONS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "plogp": (
        (2.4570953396190123, 1.434324401111988),
        (-3.0525811293166134, 0.8335207024513095),
        (-0.0485696876403053, 0.2860212110245455),
    ),
    "plogp_b": (
        (2.45777691, 1.43341767),
        (-3.05352042, 0.83460587),
        (-0.04861121, 0.28746695),
    ),
}


class Sheet(dict[str, float]):
    """The properties of one molecule, each computed when it is first asked for.

    ``Sheet(read("CCO"))["mw"]`` is 46.07. A requirement can be held against it, and then costs
    only the properties it names. What is no single number, such as a fingerprint, is kept beside
    them by ``once``.
    """

    def __init__(self, mol: Chem.Mol) -> None:
        super().__init__()
        self.mol = mol
        self._kept: dict[str, Any] = {}

    def __missing__(self, name: str) -> float:
        """Compute ``name``; ValueError with the closest names if there is no such property."""
        value = float(TABLE[pick(PROPERTIES, name, "property")](self))
        self[name] = value
        return value

    def once(self, name: str, compute: Callable[[Chem.Mol], Kept]) -> Kept:
        """``compute`` of the molecule, or what it gave when the name was first asked for."""
        if name not in self._kept:
            self._kept[name] = compute(self.mol)
        kept: Kept = self._kept[name]
        return kept


def longest_cycle(mol: Chem.Mol) -> int:
    """Atoms in the longest cycle of the cycle basis that penalised logP is defined with.

    This is ``networkx.cycle_basis`` (Paton 1969), whose result depends on the root and on the
    order of atoms and neighbours, and differs from the rings chemists count in some molecules
    with fused rings. Here the atoms are taken in the order of the canonical isomeric SMILES, as
    Kusner et al. read theirs, and the root of each part is its first atom: the same result for
    every spelling and every version of networkx.

    Returns:
        The number of atoms, 0 for a molecule without rings.
    """
    if mol.GetRingInfo().NumRings() == 0:
        return 0
    import networkx as nx

    Chem.MolToSmiles(mol)
    order = mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"]
    place = {atom: i for i, atom in enumerate(order)}
    bonds = [(place[b.GetBeginAtomIdx()], place[b.GetEndAtomIdx()]) for b in mol.GetBonds()]
    graph = nx.Graph()
    graph.add_nodes_from(range(len(place)))
    graph.add_edges_from(sorted((min(bond), max(bond)) for bond in bonds))
    longest = 0
    for part in sorted(nx.connected_components(graph), key=min):
        # A copy made by hand: a subgraph view may go through its nodes in another order.
        piece = nx.Graph()
        piece.add_nodes_from(sorted(part))
        piece.add_edges_from((a, b) for a, b in graph.edges if a in part)
        longest = max(longest, *map(len, nx.cycle_basis(piece, min(part))), 0)
    return longest


def _plogp(sheet: Sheet, convention: str) -> float:
    """(logP - m)/s + (-SA - m)/s + (-long - m)/s, long = max(0, longest cycle - 6)."""
    terms = sheet["logp"], -sheet["sa"], -float(max(0, longest_cycle(sheet.mol) - 6))
    scales = CONVENTIONS[convention]
    return sum((term - mean) / sd for term, (mean, sd) in zip(terms, scales, strict=True))


def _sa(sheet: Sheet) -> float:
    from rdkit.Contrib.SA_Score import sascorer  # reads 9 MB of fragment scores when first used

    return float(sascorer.calculateScore(sheet.mol))


@lru_cache(maxsize=1)
def _np_model() -> Any:
    from rdkit.Contrib.NP_Score import npscorer

    with contextlib.redirect_stderr(io.StringIO()):  # it reports on standard error
        return npscorer.readNPModel()


def _np(sheet: Sheet) -> float:
    from rdkit.Contrib.NP_Score import npscorer

    return float(npscorer.scoreMol(sheet.mol, _np_model()))


def _largest_ring(sheet: Sheet) -> int:
    return max((len(ring) for ring in sheet.mol.GetRingInfo().AtomRings()), default=0)


def _stereocentres(sheet: Sheet) -> int:
    return int(rdMolDescriptors.CalcNumAtomStereoCenters(sheet.mol))


#: name -> function of a sheet; the same names as in ``molae.names.PROPERTIES``.
TABLE: dict[str, Callable[[Sheet], float]] = {
    "qed": lambda sheet: QED.qed(sheet.mol),  # type: ignore[no-untyped-call]
    "logp": lambda sheet: rdMolDescriptors.CalcCrippenDescriptors(sheet.mol)[0],
    "sa": _sa,
    "np": _np,
    "mw": lambda sheet: Descriptors.MolWt(sheet.mol),  # type: ignore[attr-defined]
    "tpsa": lambda sheet: rdMolDescriptors.CalcTPSA(sheet.mol),
    "hbd": lambda sheet: rdMolDescriptors.CalcNumHBD(sheet.mol),
    "hba": lambda sheet: rdMolDescriptors.CalcNumHBA(sheet.mol),
    "rotatable_bonds": lambda sheet: rdMolDescriptors.CalcNumRotatableBonds(sheet.mol),
    "rings": lambda sheet: rdMolDescriptors.CalcNumRings(sheet.mol),
    "aromatic_rings": lambda sheet: rdMolDescriptors.CalcNumAromaticRings(sheet.mol),
    "largest_ring": _largest_ring,
    "heavy_atoms": lambda sheet: sheet.mol.GetNumHeavyAtoms(),
    "fsp3": lambda sheet: rdMolDescriptors.CalcFractionCSP3(sheet.mol),
    "charge": lambda sheet: Chem.GetFormalCharge(sheet.mol),
    "stereocentres": _stereocentres,
    "plogp": partial(_plogp, convention="plogp"),
    "plogp_b": partial(_plogp, convention="plogp_b"),
}


def score(
    smiles: Sequence[str], properties: Sequence[str], workers: int = 1
) -> dict[str, NDArray[np.float64]]:
    """Properties of many molecules.

    Args:
        smiles: n SMILES.
        properties: Names out of ``molae.names.PROPERTIES``.
        workers: Processes to share the work.

    Returns:
        name -> (n,) float64, NaN where a SMILES cannot be read.

    Raises:
        ValueError: If a property is unknown, with the closest names.
    """
    names = [pick(PROPERTIES, name, "property") for name in properties]
    blocks = list(map_chunks(partial(_score_chunk, names=names), smiles, workers))
    table = np.concatenate(blocks) if blocks else np.empty((0, len(names)))
    return {name: table[:, column] for column, name in enumerate(names)}


def _score_chunk(smiles: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, len(names)) float64."""
    table = np.full((len(smiles), len(names)), np.nan)
    for row, text in enumerate(smiles):
        with contextlib.suppress(MoleculeError):
            table[row] = values(read(text), names)
    return table


def values(mol: Chem.Mol, names: Sequence[str]) -> list[float]:
    """Properties of one molecule, in the order of ``names``, while RDKit logs nothing.

    Raises:
        ValueError: If a property is unknown, with the closest names.
    """
    sheet = Sheet(mol)
    with rdBase.BlockLogs():
        return [sheet[name] for name in names]
