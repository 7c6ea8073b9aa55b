"""Texts that a run has not learnt from, found again among texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from molae.datasets.splits import split_by_text
from molae.runs.run import Run

#: A reference with so many texts that the training would have held out is cut down to them, where
#: it is not known what was learnt from; with fewer all of it is taken, and said to be doubtful.
ENOUGH = 500


@dataclass(frozen=True)
class HeldOut:
    """What a run can be tested on.

    Attributes:
        texts: Not learnt from, as far as can be known.
        learnt: Learnt from, or None where that is not known.
        source: Where the texts are from, a half sentence.
        notes: Sentences on what is doubtful.
    """

    texts: list[str]
    learnt: list[str] | None
    source: str
    notes: list[str] = field(default_factory=list)


def held_out(run: Run, reference: Sequence[str] | None, train: Sequence[str] | None) -> HeldOut:
    """Texts to measure reconstruction on.

    A training holds out texts by a hash of each, with the seed and the share in the run's
    settings, so they are found again in the same file, wherever it is and whatever its order.

    Args:
        run: The model.
        reference: Texts that the model's own are compared with.
        train: The texts of the training file as they stand in it, held-out ones among them.
    """
    settings = run.config.get("training", {})
    share, seed = float(settings.get("validation", 0.0)), split_seed(run.config)
    if train is not None:
        learnt, held = _parts(train, share, seed)
        if held and learnt:
            source = "held out by the training, found again in its file by their hash"
            notes = [*_doubts(run, len(train)), *_overlap(reference, learnt)]
            return HeldOut(held, learnt, source, notes)
        return _beside(run, reference, list(train))
    if reference is None:
        note = (
            "No data was given: what needs molecules that were not learnt from is left out; name "
            "the training file."
        )
        return HeldOut([], None, "nothing was given", [note])
    _, held = _parts(reference, share, seed)
    if len(held) >= ENOUGH:
        source = "those of the reference that this training would have held out, by their hash"
        return HeldOut(held, None, source)
    note = (
        "What the model learnt from was not given, so that molecules of the reference may be "
        "among it; name the training file to be sure."
    )
    return HeldOut(list(reference), None, "the reference", [note])


def split_seed(config: Mapping[str, Any]) -> int:
    """The seed that a run's held-out texts were chosen with.

    A fine-tuning has that of the run it starts from: with another one it would be measured on
    texts that this run has learnt.
    """
    settings = config.get("training", {})
    return int(settings.get("split_seed", settings.get("seed", 0)))


def _parts(texts: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """What is learnt from and what is held out, as ``train.hold_out`` divides it."""
    if not share:
        return list(texts), []
    rows = split_by_text(texts, {"learnt": 1.0 - share, "held": share}, seed)
    return [texts[i] for i in rows["learnt"]], [texts[i] for i in rows["held"]]


def _beside(run: Run, reference: Sequence[str] | None, learnt: list[str]) -> HeldOut:
    """Nothing was held out: the reference without what was learnt from."""
    if reference is None:
        note = "The training held nothing out and no reference was given: what needs other data "
        return HeldOut([], learnt, "nothing was held out", [note + "than it learnt from is None."])
    known = set(run.spelling(learnt))
    spelt = run.spelling(reference)
    texts = [t for t, same in zip(reference, spelt, strict=True) if same not in known or not same]
    source = "the reference without what was learnt from"
    if texts:
        return HeldOut(texts, learnt, source)
    note = "All of the reference was learnt from, so that there is nothing to test the model on."
    return HeldOut([], learnt, source, [note])


def _doubts(run: Run, count: int) -> list[str]:
    """Whether the file that was given can be the one that was learnt from, by its size."""
    files = run.card.get("data", [])
    used = sum(part.get("used", 0) for part in files)
    rejected = sum(part.get("rejected", 0) for part in files)
    if not files or used <= count <= used + rejected:
        return []
    return [
        f"The training file has {count:,} molecules, and the run was made from {used:,} (and "
        f"{rejected:,} rejected): if it is another file, those found to be held out may not be."
    ]


def _overlap(reference: Sequence[str] | None, learnt: Sequence[str]) -> list[str]:
    """Whether a reference is other data than what was learnt from, by its texts as they stand."""
    same = len(set(reference or ()).intersection(learnt))
    if not same:
        return []
    return [
        f"{same:,} molecules of the reference were learnt from: likeness to it says less of what "
        "the model makes of other data."
    ]
