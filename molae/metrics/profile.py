"""Everything that metrics ask of a set of molecules, in one pass over them.

Letters: N molecules that can be read; S = 1024 bits of a fingerprint; R classes of ring sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from molae.chem.filters import ring_sizes, strained_bond, why
from molae.chem.fingerprints import morgan
from molae.chem.fragments import brics_fragments, murcko_scaffold
from molae.chem.molecules import MoleculeError, read, write
from molae.chem.properties import values
from molae.chem.workers import map_chunks
from molae.metrics.frechet import Moments, chemnet_moments

#: Fingerprints as in MOSES.
RADIUS, BITS = 2, 1024

#: Properties whose distributions are compared.
COMPARED = ("logp", "sa", "qed", "mw", "np")

#: Sizes of rings that are counted one by one; all larger ones are counted together.
RING_SIZES = (3, 4, 5, 6, 7, 8)

#: Molecules handled at a time: about a second.
CHUNK = 250


@dataclass(frozen=True)
class Profile:
    """What metrics need to know of a set of molecules.

    Attributes:
        drawn: For each draw its canonical isomeric SMILES, or None for what is no molecule.
        reasons: How many are no molecules, by reason.
        packed: (N, S / 8) uint8, Morgan fingerprints, eight bits in a byte.
        properties: name -> (N,) float64, for the names in ``COMPARED``.
        rings: (N, R) bool, whether there is a ring of each of ``RING_SIZES``, or a larger one.
        strained: (N,) bool, whether a ring holds a triple, cumulated or bridgehead double bond.
        passed: (N,) bool, whether the molecule keeps the rules of MOSES.
        fragments: How often each BRICS fragment occurs.
        scaffolds: How often each Bemis-Murcko scaffold of two rings or more occurs.
    """

    drawn: list[str | None] = field(repr=False)
    reasons: Counter[str]
    packed: NDArray[np.uint8]
    properties: dict[str, NDArray[np.float64]]
    rings: NDArray[np.bool_]
    strained: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    fragments: Counter[str] = field(repr=False)
    scaffolds: Counter[str] = field(repr=False)

    def __len__(self) -> int:
        """N."""
        return len(self.packed)

    @cached_property
    def smiles(self) -> list[str]:
        """The N molecules in order, repeats included."""
        return [text for text in self.drawn if text is not None]

    @property
    def bits(self) -> NDArray[np.uint8]:
        """(N, S) uint8 of zeros and ones."""
        return np.unpackbits(self.packed, axis=1)

    @cached_property
    def chemnet(self) -> Moments:
        """Moments of ChemNet's features, computed once; errors as of ``chemnet_moments``."""
        return chemnet_moments(self.smiles)


class _Piece(NamedTuple):
    """The profile of a chunk, of what travels cheaply between processes."""

    drawn: list[str | None]
    reasons: Counter[str]
    packed: NDArray[np.uint8]
    numbers: NDArray[np.float64]  # (n, P)
    flags: NDArray[np.bool_]  # (n, R + 2)
    fragments: Counter[str]
    scaffolds: Counter[str]


def profile(
    smiles: Sequence[str | None],
    workers: int = 1,
    show: Callable[[int], None] = lambda _done: None,
) -> Profile:
    """Look at each molecule of a set once.

    Args:
        smiles: SMILES; None, and whatever RDKit does not read, is counted and left out.
        workers: Processes to share the work.
        show: Called with the number of molecules done so far.
    """
    pieces = []
    done = 0
    for piece in map_chunks(_look, smiles, workers, CHUNK):
        pieces.append(piece)
        done += len(piece.drawn)
        show(done)
    pieces = pieces or [_look([])]
    numbers = np.concatenate([piece.numbers for piece in pieces])
    flags = np.concatenate([piece.flags for piece in pieces])
    return Profile(
        drawn=list(chain.from_iterable(piece.drawn for piece in pieces)),
        reasons=_sum(piece.reasons for piece in pieces),
        packed=np.concatenate([piece.packed for piece in pieces]),
        properties={name: numbers[:, column] for column, name in enumerate(COMPARED)},
        rings=flags[:, :-2],
        strained=flags[:, -2],
        passed=flags[:, -1],
        fragments=_sum(piece.fragments for piece in pieces),
        scaffolds=_sum(piece.scaffolds for piece in pieces),
    )


def _sum(tables: Iterable[Iterable[str] | Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    return total


def _look(smiles: Sequence[str | None]) -> _Piece:
    """The profile of one chunk."""
    drawn: list[str | None] = []
    reasons: Counter[str] = Counter()
    molecules = []
    for text in smiles:
        try:
            molecules.append(read(text or ""))
            drawn.append(write(molecules[-1]))
        except MoleculeError as error:
            drawn.append(None)
            reasons["no SMILES" if text is None else error.reason] += 1
    numbers = [values(mol, COMPARED) for mol in molecules]
    flags = [_flags(mol) for mol in molecules]
    return _Piece(
        drawn,
        reasons,
        packed=np.packbits(morgan(molecules, RADIUS, BITS).astype(np.uint8), axis=1),
        numbers=np.asarray(numbers, np.float64).reshape(-1, len(COMPARED)),
        flags=np.asarray(flags, bool).reshape(-1, len(RING_SIZES) + 3),
        fragments=_sum(map(brics_fragments, molecules)),
        scaffolds=Counter(s for mol in molecules if (s := murcko_scaffold(mol)) is not None),
    )


def _flags(mol: Any) -> list[bool]:
    """R + 2 answers: a ring of each size, a strained bond, all rules of MOSES kept."""
    sizes = set(ring_sizes(mol))
    return [
        *(size in sizes for size in RING_SIZES),
        any(size > RING_SIZES[-1] for size in sizes),
        strained_bond(mol) is not None,
        why(mol, "moses") is None,
    ]
