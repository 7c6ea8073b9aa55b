"""The state of valence and ring bonds, one row per molecule; ``attributes.py`` moves it on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: An atom that has been left for good carries this bit on top of its residue.
LEFT = 1 << 9
#: The bits of a residue.
BITS = 511
#: Ring bonds that may be open at a time.
SLOTS = 16
#: Ring bonds that one fused ring system may hold (C60 has 31). RDKit's search for rings takes time
#: and memory without bound on lattices of a hundred; such a molecule could be drawn, never read.
MAX_RINGS = 48
#: Ring-bond numbers, 0 for none.
NUMBERS = 100


@dataclass
class AttributeState:
    """n molecules in the making; int64 unless said otherwise.

    Attributes:
        position: (n,), see ``smiles.py``.
        pending: (n,) order of the bond written last, 0 if none; inside a bracket the order of the
            bond that led to it.
        residue: (n,) of the current atom.
        current: (n,) its number.
        count: (n,) atoms so far.
        atoms: (n, A) int16 residues of atoms that are left (with the bit ``LEFT``) or waited for.
        branch: (n, D) atoms to return to.
        depth: (n,) how many these are.
        behind: (n,) free valences of those atoms, summed.
        slot_atom: (n, K) int16 opener of each open ring bond, -1 for a free slot.
        slot_number: (n, K) int16, its ring-bond number, 0 for a free slot.
        slot_order: (n, K) int16, the bond order stated there, 0 if none was.
        slot_blocked: (n, K) bool, whether the current atom may not close it.
        slots_used: (n,) the slots that are not free, as bits.
        rings: (n,) how many are open.
        ring_count: (n,) how many were opened since none was open.
        decade: (n,) tens digit read last.
        bracket: (n,) state of the bracket automaton.
        owed: (n,) steps that open rings and atoms to return to need.
        key: (n,) row of the cost table. This and the two below follow from the rest.
        close_cost: (n, K) int8, what closing each slot costs now.
        debt: (n,) all steps needed beyond what the context-free rules need.
    """

    position: Tensor
    pending: Tensor
    residue: Tensor
    current: Tensor
    count: Tensor
    atoms: Tensor
    branch: Tensor
    depth: Tensor
    behind: Tensor
    slot_atom: Tensor
    slot_number: Tensor
    slot_order: Tensor
    slot_blocked: Tensor
    slots_used: Tensor
    rings: Tensor
    ring_count: Tensor
    decade: Tensor
    bracket: Tensor
    owed: Tensor
    key: Tensor
    close_cost: Tensor
    debt: Tensor
