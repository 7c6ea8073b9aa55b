"""All numbers that compare a generated set with a reference, and why one of them is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from molae.metrics.distribution import (
    count_similarity,
    internal_diversity,
    nearest_similarity,
    novelty,
    uniqueness,
    validity,
    wasserstein,
)
from molae.metrics.frechet import FCD_MISSING, frechet_distance, has_chemnet
from molae.metrics.profile import COMPARED, RING_SIZES, Profile

#: Molecules that it takes on each side before two distributions are compared, and before the
#: covariance of 512 features means anything.
LEAST, LEAST_FCD = 20, 100

#: Below so many molecules the bias of FCD is of the size of the differences one looks for.
USUAL_FCD = 5000

#: k of unique@k, and the share of it that must be there: a draw or two that are no molecules shall
#: not cost the number, but from far fewer than k it would say something else.
FIRST, ENOUGH = {"unique_1k": 1000, "unique_10k": 10_000}, 0.9

#: IntDiv_1 and IntDiv_2, which are computed together.
DIVERSITY = ("intdiv1", "intdiv2")

#: The diversity within the reference takes the square of its size, and is left out above this.
LARGEST_OWN = 20_000

Own = Callable[[Profile], float]
Between = Callable[[Profile, Profile], float]


def _share(flag: Callable[[Profile], object]) -> Own:
    """Share of the molecules for which something holds."""
    return lambda one: float(flag(one).mean())  # type: ignore[attr-defined]


def _ring(column: int) -> Own:
    return _share(lambda one: one.rings[:, column])


def _mean(name: str) -> Own:
    return lambda one: float(one.properties[name].mean())


def _unique(first: int) -> tuple[Own, int]:
    return lambda one: uniqueness(one.smiles, min(first, len(one))), int(ENOUGH * first)


def _step(name: str) -> Between:
    return lambda a, b: wasserstein(a.properties[name], b.properties[name])


#: What is said of one set: name -> (function, valid molecules that it takes).
OWN: dict[str, tuple[Own, int]] = {
    "uniqueness": (lambda one: uniqueness(one.smiles), 1),
    **{name: _unique(first) for name, first in FIRST.items()},
    "filters": (_share(lambda one: one.passed), 1),
    "strained": (_share(lambda one: one.strained), 1),
    **{f"ring{size}": (_ring(column), 1) for column, size in enumerate(RING_SIZES)},
    "ring_larger": (_ring(len(RING_SIZES)), 1),
    **{f"mean_{name}": (_mean(name), 1) for name in COMPARED},
}

#: What is said of two sets: name -> (function, valid molecules that it takes on each side).
BETWEEN: dict[str, tuple[Between, int]] = {
    "snn": (lambda a, b: nearest_similarity(a.bits, b.bits), 1),
    "frag": (lambda a, b: count_similarity(a.fragments, b.fragments), LEAST),
    "scaf": (lambda a, b: count_similarity(a.scaffolds, b.scaffolds), LEAST),
    **{f"w1_{name}": (_step(name), LEAST) for name in COMPARED},
    "fcd": (lambda a, b: frechet_distance(a.chemnet, b.chemnet), LEAST_FCD),
}


@dataclass
class Comparison:
    """Metrics of a generated set beside a reference.

    Attributes:
        values: Of the generated set, or of the two; None where it cannot be said.
        reference: The same of the reference alone, where that makes sense.
        notes: Why a value is None, or what to mind about it.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    reference: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def flat(self) -> dict[str, float | None]:
        """All values in one table; those of the reference alone are called ``reference_...``."""
        return self.values | {f"reference_{name}": value for name, value in self.reference.items()}


def compare(
    generated: Profile,
    reference: Profile | None,
    train: Collection[str] | None = None,
    show: Callable[[str], None] = lambda _stage: None,
) -> Comparison:
    """Every metric of ``molae.names.METRICS`` that two sets of molecules allow.

    Args:
        generated: What was drawn.
        reference: What it should be like; molecules that were held out from training. None leaves
            out what is said of two sets.
        train: Canonical SMILES of the training set, for novelty.
        show: Told what is being computed.

    Raises:
        ValueError: Nothing was drawn, or the reference holds no molecule.
    """
    if reference is not None and not len(reference):
        raise ValueError("the reference holds no molecule; expected at least one")
    found = Comparison()
    show("properties")
    found.values["validity"] = validity(generated.drawn)
    for name, (own, least) in OWN.items():
        found.values[name] = _own(found, name, own, least, generated)
    _novelty(found, generated, train)
    show("diversity")
    _diversity(found, generated)
    if reference is None:
        return found
    found.reference = _alone(reference)
    show("similarity")
    for name, (between, least) in BETWEEN.items():
        if name == "fcd":
            show("FCD")
        found.values[name] = _between(found, name, between, least, generated, reference)
    return found


def _alone(reference: Profile) -> dict[str, float | None]:
    """What is said of a generated set, of the reference."""
    values: dict[str, float | None] = {"validity": validity(reference.drawn)}
    for name, (own, least) in OWN.items():
        values[name] = own(reference) if len(reference) >= least else None
    small = len(reference) <= LARGEST_OWN
    diversity = internal_diversity(reference.bits) if small else (None, None)
    return values | dict(zip(DIVERSITY, diversity, strict=True))


def _own(found: Comparison, name: str, function: Own, least: int, one: Profile) -> float | None:
    if len(one) < least:
        found.notes[name] = _too_few(least, one, "were generated")
        return None
    if len(one) < FIRST.get(name, 0):
        found.notes[name] = f"there are only {len(one):,}"
    return function(one)


def _too_few(least: int, one: Profile, where: str) -> str:
    molecules = "valid molecule" if least == 1 else "valid molecules"
    return f"needs at least {least:,} {molecules}; {len(one):,} {where}"


def _novelty(found: Comparison, generated: Profile, train: Collection[str] | None) -> None:
    found.values["novelty"] = None
    if train is None:
        found.notes["novelty"] = "needs the training set"
    elif not len(generated):
        found.notes["novelty"] = _too_few(1, generated, "were generated")
    else:
        found.values["novelty"] = novelty(generated.smiles, train)


def _diversity(found: Comparison, generated: Profile) -> None:
    if len(generated):
        found.values |= zip(DIVERSITY, internal_diversity(generated.bits), strict=True)
        return
    found.values |= dict.fromkeys(DIVERSITY)
    found.notes |= dict.fromkeys(DIVERSITY, _too_few(1, generated, "were generated"))


def _between(
    found: Comparison, name: str, function: Between, least: int, one: Profile, other: Profile
) -> float | None:
    for side, where in ((one, "were generated"), (other, "are in the reference")):
        if len(side) < least:
            found.notes[name] = _too_few(least, side, where)
            return None
    if name == "scaf" and not (one.scaffolds and other.scaffolds):
        found.notes[name] = "needs molecules of two rings or more on both sides"
        return None
    if name == "fcd":
        if not has_chemnet():
            found.notes[name] = FCD_MISSING
            return None
        smaller = min(len(one), len(other))
        if smaller < USUAL_FCD:
            found.notes[name] = (
                f"too high by an amount that depends on the number of molecules ({smaller:,}); "
                f"compare it only with values from as many"
            )
    return function(one, other)
