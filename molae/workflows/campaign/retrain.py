"""Weighted retraining: an autoencoder that moves with a campaign towards what scores well.

Tripp, Daxberger and Hernandez-Lobato, *Sample-Efficient Optimization in the Latent Space of Deep
Generative Models via Weighted Retraining*, NeurIPS 2020: every so many calls the model is trained
on for a short time, on all texts whose scores are known, each weighted by the rank of its score.
More and more of the space of codes is then spent on what is good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from molae.chem.properties import score
from molae.datasets.arrays import DataSet, join
from molae.names import RETRAINING, pick
from molae.objectives import Objective, WithProperties, objective
from molae.objectives.schedules import settled
from molae.repeatable import seeded
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.training import TrainingInterrupted, fit
from molae.training.checkpoint import branch, grow
from molae.workflows.campaign.ranks import Floats, Rows, draw, rank_weights, spread_weights
from molae.workflows.closing import encoded
from molae.workflows.data import data_of

if TYPE_CHECKING:
    from molae.oracles.ledger import Evaluation

#: Where nothing is said: calls between two retrainings, k of the weights, the learning rate.
EVERY, K, RATE = 50, 1e-3, 3e-4
#: Texts that are drawn for a retraining unless epochs are given: a share of all, but, as far as
#: that is one pass, no fewer than this. So the published experiments are both met: a tenth of
#: 220,000 molecules, and one pass over 5,000 expressions.
SHARE, DRAWN = 0.1, 5_000
#: Codes that densities are fitted to, at most, and the noise that is put on them, as a share of
#: their standard deviation: good texts are drawn many times, and a mixture would shrink one of its
#: components onto such a heap.
FITTED, BLUR = 10_000, 0.1


# What is typed -----------------------------------------------------------------------------------


class Asked(TypedDict, total=False):
    """What was asked for with ``--retrain``; arguments of ``Retrainer``."""

    every: int
    k: float
    epochs: float
    rate: float


def parse_retrain(text: str) -> Asked:
    """Read ``every=50,k=1e-3,epochs=0.1,rate=3e-4``; each part may be left out, blanks too.

    Raises:
        ValueError: With what is wrong, and what was expected.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not value:
            raise ValueError(
                f"--retrain {text!r}: expected name=value in place of {part.strip()!r}, such as "
                "every=50,k=1e-3"
            )
        try:
            pick(RETRAINING, name, "part")
        except ValueError as error:
            raise ValueError(f"--retrain {text!r}: {error}") from None
        if name in found:
            raise ValueError(f"--retrain {text!r}: {name} is there twice; give it once")
        found[name] = _number(text, name, value)
    _check(**found)
    whole = {"every": int(found["every"])} if "every" in found else {}
    return cast(Asked, found | whole)


def _number(text: str, name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"--retrain {text!r}: {name} is {value!r}; expected a number") from None


def _check(
    every: float = EVERY, k: float = K, epochs: float | None = None, rate: float = RATE
) -> None:
    """Refuse what makes no sense.

    Raises:
        ValueError: With what was expected.
    """
    if not (every >= 1 and float(every).is_integer()):
        raise ValueError(f"every is {every:g}; expected a whole number of calls, 1 or more")
    if not k > 0:
        raise ValueError(f"k is {k:g}; expected a number above 0, such as 1e-3 (inf: no weights)")
    if epochs is not None and not 0 < epochs < math.inf:
        raise ValueError(f"epochs is {epochs:g}; expected a number above 0, such as 0.1")
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate:g}; expected a learning rate, above 0 and below 1")


# Texts -------------------------------------------------------------------------------------------


class _Library:
    """Texts as a codec encodes them, each parsed once.

    Args:
        run: Whose codec it is.
        workers: Processes that parse.
    """

    def __init__(self, run: Run, workers: int) -> None:
        self.run, self.workers = run, workers
        self.data: DataSet = data_of(run.codec.parse([]))
        self._rows: dict[str, int] = {}
        self._targets: dict[int, list[float]] = {}

    def rows(self, texts: Sequence[str]) -> Rows:
        """Their rows in ``data``, (n,); -1 for what the codec cannot encode."""
        new = list(dict.fromkeys(text for text in texts if text not in self._rows))
        if new:
            encoding = self.run.codec.parse(new, workers=self.workers)
            first = len(self.data)
            self._rows |= dict.fromkeys(new, -1)
            self._rows |= {new[at]: first + i for i, at in enumerate(encoding.kept.tolist())}
            self.data = join([self.data, data_of(encoding)])
        return np.array([self._rows[text] for text in texts], dtype=np.int64)

    def examples(self, rows: Rows) -> DataSet:
        """What to learn from, with properties as targets where the run predicts any."""
        data = self.data.subset(rows)
        if not self.run.properties:
            return data
        self._compute([row for row in np.unique(rows).tolist() if row not in self._targets])
        wanted = [self._targets[row] for row in rows.tolist()]
        return data.with_targets(np.array(wanted, dtype=np.float32))

    def _compute(self, rows: list[int]) -> None:
        """Standardised properties of rows, kept in ``_targets``; NaN where there is none."""
        if not rows:
            return
        texts = self.run.codec.decode(torch.from_numpy(self.data.array(rows)))
        table = self.run.config["properties"]
        values = score([text or "" for text in texts], table["names"], self.workers)
        raw = np.stack([values[name] for name in table["names"]], 1)  # (n, P)
        scaled = (raw - np.array(table["mean"])) / np.array(table["std"])
        scaled[~np.isfinite(scaled)] = np.nan
        self._targets |= dict(zip(rows, scaled.tolist(), strict=True))


# Retraining --------------------------------------------------------------------------------------


class Retrainer:
    """Trains the autoencoder of a run on, in place, as a campaign finds better texts.

    A retraining draws texts by weight, with replacement, and trains on them at a small constant
    learning rate, with the objective of the run (its noise included) at the end of its schedules;
    then it fits the densities of the run anew, to codes that are drawn by weight too. Weights on
    the loss (``Batch.weight``) would have the same mean, and so a batch of 64 would be worth the
    three texts in it that have any weight: k = 1e-3 gives half of all weight to the best three
    in a hundred. Drawn by weight, every row of a batch counts.

    Two things guard small sets, and change nothing from 1,000 scored texts on: k is at least
    1 / N, so that the best text alone does not get nearly all of the weight; and no density is
    fitted to fewer codes than determine a covariance, for which k is raised further, or else the
    densities stay as they were.

    Everything depends on the seed, the texts, their scores and the number of retrainings before,
    so that a campaign that goes on from ``state`` is the same to the last bit, on a CPU.

    Args:
        run: The model. It is changed.
        texts: The start set.
        scores: Of the start set, higher is better; NaN where there is none, and the text is not
            used.
        every: Calls between two retrainings. The first is before the first call if there is a
            start set, as published.
        k: See ``rank_weights``.
        epochs: What is drawn each time, in passes over all texts; None for a tenth, but 5,000
            texts at least, as far as that is no more than one pass.
        rate: Learning rate of Adam.
        batch_size: Texts in a step.
        seed: Of draws, order and noise.
        workers: Processes that parse texts.

    Attributes:
        retrained: How many times so far. ``state`` is the same as long as this is.
        skipped: Scored texts that the codec of the run cannot encode, when it was last looked at.

    Raises:
        ValueError: An argument makes no sense.
    """

    def __init__(
        self,
        run: Run,
        texts: Sequence[str] = (),
        scores: Sequence[float] = (),
        *,
        every: int = EVERY,
        k: float = K,
        epochs: float | None = None,
        rate: float = RATE,
        batch_size: int = 64,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        _check(every, k, epochs, rate)
        if len(texts) != len(scores):
            raise ValueError(f"{len(texts)} texts have {len(scores)} scores; expected as many")
        self.run, self.every, self.k, self.epochs, self.rate = run, every, k, epochs, rate
        self.batch_size, self.seed = batch_size, seed
        self.retrained = self.skipped = 0
        self._start = _scored(zip(texts, scores, strict=True))
        self._next = 0 if self._start else every
        self._library = _Library(run, workers)

    def due(self, calls: int) -> bool:
        """Whether it is time, after so many calls."""
        return calls >= self._next

    def retrain(self, evaluations: Sequence[Evaluation]) -> None:
        """Train on, and fit the densities anew; nothing happens with fewer than two texts.

        Stopped by Ctrl-C, or by an error, it leaves the run as it was.

        Args:
            evaluations: All of the campaign so far, one a call; what has no score is passed over.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            TrainingDiverged: The losses are not finite; a lower rate would help.
        """
        rows, scores = self._examples(evaluations)
        if len(rows) > 1:
            rng = np.random.default_rng([self.seed, self.retrained])
            with _whole_or_not_at_all(self.run):
                self._tune(rows, scores, rng)
                self._fit_densities(rows, scores, rng)
            self.retrained += 1
        self._next = (len(evaluations) // self.every + 1) * self.every

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and densities, which the run's folder does not hold, and counts.

        There are no tensors before the first retraining.
        """
        tensors = _tensors(self.run) if self.retrained else {}
        return tensors, {"retrained": self.retrained, "next": self._next, "skipped": self.skipped}

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from ``state``; the run is to be the one that the campaign was begun with.

        Raises:
            RunError: The state is of another run.
        """
        if tensors:
            _put(self.run, tensors)
        self.retrained, self._next = int(scalars["retrained"]), int(scalars["next"])
        self.skipped = int(scalars["skipped"])

    def _examples(self, evaluations: Sequence[Evaluation]) -> tuple[Rows, Floats]:
        """Rows of everything that has a score, each text once, and the scores, both (N,)."""
        found = _scored((each.text, each.answer.score) for each in evaluations)
        every = found | self._start
        texts = [*self._start, *(text for text in found if text not in self._start)]
        rows = self._library.rows(texts)
        known = rows >= 0
        self.skipped = int((~known).sum())
        return rows[known], np.array([every[text] for text in texts], dtype=np.float64)[known]

    def _tune(self, rows: Rows, scores: Floats, rng: np.random.Generator) -> None:
        """Train on texts that are drawn by weight."""
        n = len(rows)
        count = max(SHARE * n, min(n, DRAWN)) if self.epochs is None else self.epochs * n
        weights = rank_weights(scores, max(self.k, 1.0 / n))
        drawn = rows[draw(weights, max(1, round(count)), rng)]
        goal = _settled_objective(self.run)
        device = self.run.device
        # A training seeds the global generators and leaves them wherever it ends.
        with seeded(None, device):
            fit(
                self.run.model,
                goal,
                self._library.examples(drawn),
                epochs=1.0,
                batch_size=min(self.batch_size, len(drawn)),
                learning_rate=self.rate,
                schedule="constant",
                seed=int(rng.integers(2**31)),
                device=str(device),
                precision="fp32",  # the other choice is a matter of timing
                progress=False,
                by_length=not goal.mixed_batches,
            )
        self.run.model.eval()

    def _fit_densities(self, rows: Rows, scores: Floats, rng: np.random.Generator) -> None:
        """Fit every density of the run, in place, to codes that are drawn by weight."""
        n, least = len(rows), 2 * (self.run.size + 1)
        if n < least or not self.run.densities:
            return
        weights = spread_weights(scores, max(self.k, 1.0 / n), min(least, 0.9 * n))
        drawn = draw(weights, min(n, FITTED), rng)
        different, places = np.unique(drawn, return_inverse=True)
        z = encoded(self.run, self._library.data, rows[different])[torch.from_numpy(places)]
        noise = torch.from_numpy(rng.standard_normal(z.shape)).to(z)
        z = z + BLUR * z.std(0) * noise
        for density in self.run.densities.values():
            density.fit(z)


def _scored(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Texts with their scores, the first of each text; those without a score are left out."""
    found: dict[str, float] = {}
    for text, value in pairs:
        if math.isfinite(value):
            found.setdefault(text, float(value))
    return found


def _settled_objective(run: Run) -> Objective:
    """The objective of a run with its schedules at their end: no ramp is climbed again."""
    table = dict(run.config["objective"])
    if "beta" in table:
        table["beta"] = settled(table["beta"])
    goal = objective(**table)
    if not run.properties:
        return goal
    return WithProperties(goal, float(run.config["properties"]["weight"]))


def _tensors(run: Run) -> dict[str, Tensor]:
    """Copies of everything that a retraining changes, on the CPU."""
    tensors = grow("model", run.model.state_dict())
    for name, density in run.densities.items():
        tensors |= grow(f"density/{name}", density.state_dict())
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def _put(run: Run, tensors: dict[str, Tensor]) -> None:
    """Put ``_tensors`` in place.

    Raises:
        RunError: They are of another run.
    """
    run.load_weights(branch(tensors, "model"))
    for name, density in run.densities.items():
        try:
            density.load_state_dict(branch(tensors, f"density/{name}"))
        except RuntimeError as error:
            raise RunError(f"the density {name!r} is of another run: {error}") from error


@contextmanager
def _whole_or_not_at_all(run: Run) -> Iterator[None]:
    """Put a run back as it was where a block does not come to its end."""
    before = _tensors(run)
    try:
        yield
    except TrainingInterrupted:
        _put(run, before)
        # Of a training with a folder it would be told how to go on; a campaign knows that itself.
        raise KeyboardInterrupt from None
    except BaseException:
        _put(run, before)
        raise
