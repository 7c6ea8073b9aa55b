"""New molecules in any number, with duplicates, filters and requirements counted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from molae.chem.substructure import misses_itself
from molae.datasets.splits import text_key
from molae.densities import LatentDensity
from molae.runs.condition import contexts
from molae.runs.run import Run
from molae.workflows.chains import Walk
from molae.workflows.criteria import Criteria, Verdict, canonical_many, excluded_keys
from molae.workflows.keys import KeySet
from molae.workflows.reading import worker_count

Row = dict[str, Any]

#: Where some draws are dropped: at most so many draws for each molecule that was asked for.
PATIENCE = 100
#: And no more after so many in a row of which none was kept, which takes a minute or so. A pattern
#: may be as rare as one molecule in thousands, so where one is asked for, this many are drawn
#: before giving up at all.
FRUITLESS = 20_000


@dataclass
class Counts:
    """What became of the draws, one by one, as far as the one that gave the last molecule.

    ``drawn`` is ``written`` and all that was dropped, and does not depend on the batch.

    Attributes:
        asked: Molecules asked for.
        drawn: Draws looked at.
        written: Molecules given.
        invalid: Draws that RDKit does not read; 0 under a grammar that promises.
        duplicates: Draws that were given before, if only unique ones are wanted.
        excluded: Draws that are in a file of molecules that are not wanted.
        filtered: Draws that a filter refused, by filter.
        unmet: Draws that fail a requirement, by requirement.
        missing: Draws without a scaffold, by its SMARTS.
        exhausted: Fewer than asked for were found, and no more are looked for.
    """

    asked: int
    drawn: int = 0
    written: int = 0
    invalid: int = 0
    duplicates: int = 0
    excluded: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    unmet: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    exhausted: bool = False

    @property
    def drawn_for_each(self) -> float | None:
        """Draws for each molecule given; None where none was."""
        return self.drawn / self.written if self.written else None

    def lines(self) -> list[tuple[str, int]]:
        """What was dropped and why, the largest first; empty where nothing was."""
        found = {
            "not valid": self.invalid,
            "duplicate": self.duplicates,
            "excluded": self.excluded,
            **{f"filter {name}": count for name, count in self.filtered.items()},
            **{f"not {name}": count for name, count in self.unmet.items()},
            **{f"without {smarts}": count for smarts, count in self.missing.items()},
        }
        kept = [(reason, count) for reason, count in found.items() if count]
        return sorted(kept, key=lambda line: -line[1])


class Generation(Iterator[Row]):
    """The rows of ``generate``, one at a time, and the counts so far.

    Attributes:
        counts: Up to date with the rows that were given.
        columns: Names and types of a row's cells.
    """

    def __init__(self, rows: Iterator[Row], counts: Counts, columns: dict[str, type]) -> None:
        self._rows = rows
        self.counts = counts
        self.columns = columns

    def __next__(self) -> Row:
        return next(self._rows)


@dataclass
class _Wish:
    """What is wanted of the draws, as a whole and one by one."""

    criteria: Criteria
    molecules: bool
    unique: bool
    excluded: KeySet
    seen: KeySet = field(default_factory=KeySet)

    @property
    def drops(self) -> bool:
        """Whether draws may be dropped."""
        return bool(self.unique or self.excluded or self.criteria.drops)


def generate(
    run: Run,
    n: int,
    *,
    seed: int = 0,
    temperature: float | None = None,
    noise: float | None = None,
    density: str | LatentDensity | None = None,
    context: torch.Tensor | None = None,
    walk: Walk | None = None,
    unique: bool = False,
    exclude: Sequence[str | Path] = (),
    exclude_column: str | None = None,
    scaffolds: Sequence[str] = (),
    filters: Sequence[str] = (),
    requirements: Sequence[str] = (),
    properties: Sequence[str] = (),
    batch: int = 4096,
    workers: int | None = None,
    max_draws: int | None = None,
) -> Generation:
    """n molecules as canonical isomeric SMILES, streamed.

    The i-th draw depends on the run, the density, the seed and i only. Memory does not grow with
    n, but for ``unique``, which remembers 8 bytes of each molecule (and 16 for moments), and
    ``exclude``, which remembers as much of each molecule that is not wanted.

    Args:
        run: The model.
        n: Molecules wanted; what is dropped is drawn again.
        seed: Of codes and draws.
        temperature: Of p(x|z); None or 0 takes the most likely rule at every step (None with the
            decoder ``pixelcnn`` draws).
        noise: Standard deviation of the noise that is put on drawn codes and that the decoder is
            told of; None for that of the run.
        density: What codes are drawn from: a name, see ``molae.names.DENSITIES``, or any density
            of that many dimensions, such as ``molae.workflows.like.density_like`` fits.
        context: Of a run with a ``condition``: contexts (m, ...), taken in turn; by default
            labels that are drawn as often as they are in the training data.
        walk: A Markov chain that each draw is the beginning of; what is given is its end.
        unique: Give no molecule twice.
        exclude: Files of molecules not to give.
        exclude_column: SMILES column of those.
        scaffolds: SMARTS patterns that molecules must contain, all of them.
        filters: Names out of ``molae.names.FILTERS`` that molecules must pass.
        requirements: Such as ``"mw<500"``.
        properties: Names out of ``molae.names.PROPERTIES``, a column each.
        batch: Draws at once.
        workers: Processes that look at molecules; None for one a core.
        max_draws: Give up after so many. By default after ``PATIENCE`` times n (with scaffolds
            not before ``FRUITLESS``), or ``FRUITLESS`` in a row of which none was kept.

    Raises:
        ValueError: Something is unknown or makes no sense; nothing has been drawn then.
        DataError: An excluded file cannot be read.
    """
    if n < 0 or batch < 1:
        raise ValueError(f"n is {n} and batch {batch}; expected at least 0 and 1")
    source = _source(run, density)
    criteria = Criteria.typed(scaffolds, requirements, filters, properties)
    if not run.molecules and (criteria != Criteria() or exclude):
        raise ValueError(
            "this run writes no molecules: scaffolds, filters, requirements, properties and "
            "exclusions do not apply"
        )
    for smarts in filter(misses_itself, scaffolds):
        warnings.warn(
            f"{smarts} looks like a SMILES, but as SMARTS it does not even hit that molecule "
            "itself: there, capital letters are aliphatic and lower case is aromatic",
            stacklevel=1,
        )
    count = worker_count(workers)
    wish = _Wish(criteria, run.molecules, unique, excluded_keys(exclude, exclude_column, count))
    counts = Counts(n)
    limits = _Limits.of(n, max_draws, rare=bool(scaffolds))
    noise = run.noise if noise is None else noise
    contexts(run.condition, context, seed, torch.arange(0))  # says now what is missing
    decoded = partial(_decoded, run, source, context, seed, temperature, noise, walk)
    draws = _draws(decoded, counts, wish, batch, limits)
    rows = _rows(draws, counts, wish, limits, count)
    columns: dict[str, type] = {"smiles": str} | dict.fromkeys(criteria.properties, float)
    return Generation(rows, counts, columns)


def _source(run: Run, density: str | LatentDensity | None) -> LatentDensity:
    """What codes are drawn from."""
    if not isinstance(density, LatentDensity):
        return run.density(density)
    if density.size != run.size:
        raise ValueError(
            f"the density is over codes of {density.size} numbers; this run has {run.size}"
        )
    return density


@dataclass(frozen=True)
class _Limits:
    """When to give up: after so many draws, or so many in a row of which none was kept."""

    draws: int
    fruitless: int

    @classmethod
    def of(cls, n: int, max_draws: int | None, *, rare: bool) -> _Limits:
        if max_draws is not None:
            return cls(max_draws, max_draws)
        return cls(max(PATIENCE * n, FRUITLESS if rare else 0), FRUITLESS)


def _decoded(
    run: Run,
    source: LatentDensity,
    context: torch.Tensor | None,
    seed: int,
    temperature: float | None,
    noise: float,
    walk: Walk | None,
    index: torch.Tensor,
) -> list[str | None]:
    """The draws of these numbers, (n,)."""
    told = contexts(run.condition, context, seed, index)
    z = run.given(source, told).sample_rows(seed, index).cpu()
    z = run.blurred(z, noise, seed, index)
    if walk is not None:
        begun = run.drawn(z, index, noise, context=told)
        rows = torch.split(torch.arange(len(index)), run.codec.at_once)
        ends = [
            walk.end(run, x, seed, index[part], None if told is None else told[part])
            for x, part in zip(begun, rows, strict=True)
        ]
        return [text for end in ends for text in run.codec.decode(end.cpu())]
    draws = temperature is not None or getattr(run.model.decoder, "draws", False)
    return run.decode(
        z,
        seed=seed if draws else None,
        temperature=temperature,
        index=index,
        noise=noise,
        context=told,
        canonical=False,
    )


def _draws(
    decoded: Callable[[torch.Tensor], list[str | None]],
    counts: Counts,
    wish: _Wish,
    batch: int,
    limits: _Limits,
) -> Iterator[list[str | None]]:
    """Draws, some at a time, until enough have passed or the limit is reached."""
    start = 0
    while counts.written < counts.asked:
        left = counts.asked - counts.written
        # A full batch where some may be dropped: decoding is fastest in full tiles.
        size = min(batch, limits.draws - start, batch if wish.drops else left)
        if size < 1:
            counts.exhausted = True
            return
        yield decoded(torch.arange(start, start + size))
        start += size


def _rows(
    draws: Iterator[list[str | None]],
    counts: Counts,
    wish: _Wish,
    limits: _Limits,
    workers: int,
) -> Iterator[Row]:
    kept_at = 0  # draws looked at when the last molecule was kept
    for texts in draws:
        spelt = list(canonical_many(texts, workers)) if wish.molecules else texts
        faults = [_fault(text, wish) for text in spelt]
        wanted = [t for t, fault in zip(spelt, faults, strict=True) if not fault and t is not None]
        judged = wish.criteria.judge(wanted, workers)
        # One draw after another, so that what comes after the last molecule is not counted.
        for fault in faults:
            counts.drawn += 1
            row = _row(fault, judged, counts, wish)
            if row is not None:
                kept_at = counts.drawn
                counts.written += 1
                yield row
                if counts.written == counts.asked:
                    return
            elif counts.drawn - kept_at >= limits.fruitless:
                counts.exhausted = True
                return


def _fault(text: str | None, wish: _Wish) -> str:
    """The field of ``Counts`` for a draw that is not valid, excluded or a duplicate; else ""."""
    if text is None:
        return "invalid"
    if not wish.excluded and not wish.unique:
        return ""
    key = text_key(text)
    if key in wish.excluded:
        return "excluded"
    if wish.unique and not wish.seen.add(key):
        return "duplicates"
    return ""


def _row(fault: str, judged: Iterator[Verdict], counts: Counts, wish: _Wish) -> Row | None:
    """The row of the next draw, if it is kept; else it is counted."""
    if fault:
        setattr(counts, fault, getattr(counts, fault) + 1)
        return None
    verdict = next(judged)
    tallies = {
        "filter": counts.filtered,
        "requirement": counts.unmet,
        "scaffold": counts.missing,
    }
    if verdict.kind:
        tallies[verdict.kind][verdict.reason] += 1
        return None
    return {
        "smiles": verdict.smiles,
        **dict(zip(wish.criteria.properties, verdict.values, strict=True)),
    }
