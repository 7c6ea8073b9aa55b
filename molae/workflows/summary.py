"""A handful of numbers about generated molecules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from molae.chem.molecules import canonical
from molae.datasets.splits import text_key


@dataclass(frozen=True)
class Summary:
    """What ``summarise`` counted.

    Attributes:
        total: Draws.
        validity: Share of draws that RDKit reads.
        uniqueness: Share of the valid ones that are different molecules.
        novelty: Share of the different ones that are not among the known; None without known.
    """

    total: int
    validity: float
    uniqueness: float
    novelty: float | None


def summarise(texts: Sequence[str | None], known: Collection[int] | None = None) -> Summary:
    """Validity, uniqueness and novelty of raw draws, each judged by RDKit, none assumed.

    Args:
        texts: What the model wrote, None for nothing.
        known: Keys (``text_key``) of the canonical SMILES of the training set.

    Raises:
        ValueError: There are no draws.
    """
    if not texts:
        raise ValueError("there is nothing to summarise; draw at least one molecule")
    valid = [spelt for text in texts if text is not None and (spelt := canonical(text))]
    different = set(valid)
    novelty = None
    if known is not None:
        novelty = sum(text_key(t) not in known for t in different) / max(1, len(different))
    return Summary(
        total=len(texts),
        validity=len(valid) / len(texts),
        uniqueness=len(different) / max(1, len(valid)),
        novelty=novelty,
    )
