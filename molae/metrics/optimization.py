"""How good the molecules are that an optimiser found, and how soon it found them.

Two conventions: the final score of a list (GuacaMol), and the area under the curve of the best ten
over oracle calls (the practical molecular optimisation benchmark, PMO).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from molae.chem.guacamol import task, without_stereo
from molae.chem.molecules import read
from molae.chem.properties import Sheet

#: What PMO averages and measures by: the best so many, at every so many calls, out of so many.
TOP, EVERY, BUDGET = 10, 100, 10_000


def top_average(scores: Iterable[float], top: int) -> float:
    """The mean of the ``top`` best scores; where there are fewer, zeros stand for the others.

    Raises:
        ValueError: ``top`` is less than 1.
    """
    _at_least_one(top=top)
    best = heapq.nlargest(top, (score for score in scores if not math.isnan(score)))
    return math.fsum(best) / top


def final_score(scores: Iterable[float], tops: Sequence[int] = (1, 10, 100)) -> float:
    """The score of a list of molecules in GuacaMol: the mean of its top-1, top-10, ... averages.

    Source: Brown et al. 2019, section 3.2. Which k a task takes: ``Task.tops``.

    Args:
        scores: Of different molecules, NaN for none; missing molecules count as zero.
        tops: k of the top-k averages.

    Raises:
        ValueError: ``tops`` is empty, or holds less than 1.
    """
    if not tops:
        raise ValueError("tops is empty; expected numbers of molecules such as (1, 10, 100)")
    found = list(scores)
    return math.fsum(top_average(found, top) for top in tops) / len(tops)


def guacamol_score(name: str, smiles: Iterable[str]) -> float:
    """The score that GuacaMol gives a list of molecules for one of its tasks.

    As there, stereochemistry is removed, then duplicates and what RDKit does not read, and what is
    left is scored. A method is to hand over as many molecules as the task asks for, the largest of
    ``Task.tops``; those that are missing count as zero.

    Args:
        name: Of ``molae.names.TASKS``.
        smiles: Molecules.

    Raises:
        ValueError: There is no such task, with the closest names.
    """
    chosen = task(name)
    scores = (chosen(Sheet(read(flat))) for flat in without_stereo(smiles))
    return final_score(scores, chosen.tops)


def top_curve(
    scores: Sequence[float], top: int = TOP, every: int = EVERY
) -> Iterator[tuple[int, float]]:
    """The mean of the best scores so far, after every so many calls and after the last.

    Args:
        scores: One of each call, in order; NaN for a call that failed, which counts as a call and
            is never among the best.
        top: Scores that are averaged; as many as there are, where there are fewer.
        every: Calls between two values.

    Yields:
        Calls made, and the mean; 0 as long as every call failed.

    Raises:
        ValueError: ``top`` or ``every`` is less than 1.
    """
    _at_least_one(top=top, every=every)
    best: list[float] = []
    for call, score in enumerate(scores, 1):
        if not math.isnan(score):
            if len(best) < top:
                heapq.heappush(best, score)
            else:
                heapq.heappushpop(best, score)
        if call % every == 0 or call == len(scores):
            yield call, math.fsum(best) / max(len(best), 1)


def top_auc(
    scores: Sequence[float], budget: int = BUDGET, top: int = TOP, every: int = EVERY
) -> float:
    """Area under ``top_curve`` up to the budget, divided by the budget: PMO's measure.

    Source: Gao et al., "Sample Efficiency Matters: A Benchmark for Practical Molecular
    Optimization", NeurIPS 2022, section 2, and its code: straight lines from 0 at no calls through
    the values at every 100 calls; an optimiser that stopped early keeps its last value. It is
    between 0 and 1 where scores are, and a call is a molecule that was not scored before.

    Args:
        scores: As in ``top_curve``; what lies beyond the budget is left out.
        budget: Calls that the area is taken over.
        top: As in ``top_curve``.
        every: As in ``top_curve``.

    Raises:
        ValueError: ``budget``, ``top`` or ``every`` is less than 1.
    """
    _at_least_one(budget=budget)
    points = [(0, 0.0), *top_curve(scores[:budget], top, every)]
    if points[-1][0] < budget:
        points.append((budget, points[-1][1]))
    slices = pairwise(points)
    return math.fsum((n - m) * (b + a) / 2 for (m, a), (n, b) in slices) / budget


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}: expected at least 1")
