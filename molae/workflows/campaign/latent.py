"""Optimisation in the space of codes: ask for codes, decode them, learn from what they became."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molae.draws import mixed_seed, normals
from molae.names import REFINE
from molae.oracles.base import Answer
from molae.oracles.ledger import Evaluation
from molae.runs.run import Run
from molae.training.checkpoint import branch, grow
from molae.workflows.campaign.known import Known
from molae.workflows.campaign.strategy import Candidate, State, Strategy
from molae.workflows.neighbors import code_scale

if TYPE_CHECKING:
    from molae.optimize import LatentOptimizer
    from molae.workflows.campaign.retrain import Retrainer

#: ``make(run, number)``: an optimiser of the run's codes that was told nothing yet; the number, of
#: retrainings before, makes its chance another one each time.
Make = Callable[[Run, int], "LatentOptimizer"]
#: Lengths of the steps to the side, in standard deviations of the training codes.
STEPS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


class LatentStrategy(Strategy):
    """Asks a ``LatentOptimizer`` for codes and decodes them greedily, without noise.

    What the optimiser is told of is the code that reproduces the text, encode(decode(z)), and not
    the z that it asked for: one text has one code, and what is learnt from it agrees with what is
    decoded there (Maus et al. 2022, who close this gap by training). Where the encoder's code does
    not give the text back, it is corrected, see ``Run.encode``.

    Many codes decode to the same text. Where one decodes to a text that is known, or to none, a
    step to the side is taken, and longer ones until there is a new text: a trust region would
    else become smaller and smaller within the codes of its best text. Steps do not leave what is
    plausible: one that would is pulled back towards the code asked for. Where even the longest
    step leads to none, a draw of the density may; where that does not, the code asked for is told
    with the score of its text, at no cost.

    Args:
        run: The model.
        make: Makes the optimiser.
        retrainer: Trains the model on now and then, before it is asked; everything that is known
            is then encoded anew, and told to a new optimiser.
        given: How many texts are told first that are no calls: those that the retrainer was made
            with.
        seed: Of steps to the side.
        workers: Processes that parse texts.

    Attributes:
        optimizer: The one of now.
        known: All texts that were told, with their scores.
        unencoded: Texts that were told and that the model cannot encode; nothing is learnt from
            them.
    """

    name = "latent"

    def __init__(
        self,
        run: Run,
        make: Make,
        *,
        retrainer: Retrainer | None = None,
        given: int = 0,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__()
        self.run, self.retrainer, self.given, self.workers = run, retrainer, given, workers
        self._make, self._seed = make, seed
        self.optimizer = make(run, 0)
        self.known = Known()
        self.unencoded = self._steps = 0

    def ask(self, n: int) -> list[Candidate]:
        """n candidates with new texts, as far as they are found.

        After them come the texts, without codes, from which a step to the side led to a new one:
        they are counted as repeats, or as invalid where there is no text. So a code asked for
        counts once or twice: what it decodes to, and the new text that was found beside it. What
        the codes tried between these decode to, up to six, is counted nowhere.
        """
        if self.retrainer is not None and self.retrainer.due(len(self.known) - self.given):
            self._retrain(self.retrainer)
        z = self.optimizer.ask(n)  # (n, D)
        with self.timed("decode"):
            candidates = self._decoded(z)
        self.known.ask(candidate.text for candidate in candidates)
        return candidates

    def _decoded(self, asked: Tensor) -> list[Candidate]:
        """Candidates from codes (n, D)."""
        first = self.run.decode(asked)
        texts, z = list(first), asked.clone()
        for step in (*STEPS, None):
            rows = self._stale(texts)
            if not rows:
                break
            z[rows] = self._beside(asked[rows], step)
            for row, text in zip(rows, self.run.decode(z[rows]), strict=True):
                texts[row] = text
        stale = set(self._stale(texts))
        new = [text for row, text in enumerate(texts) if row not in stale and text is not None]
        own = dict(zip(new, self._codes(new), strict=True))
        found, repeats = [], []
        for row, text in enumerate(texts):
            if row in stale or text is None:
                found.append(Candidate(first[row], asked[row].clone()))
                continue
            code = own[text]
            found.append(Candidate(text, z[row].clone() if code is None else code))
            if text != first[row]:
                repeats.append(Candidate(first[row]))
        return found + repeats

    def _stale(self, texts: Sequence[str | None]) -> list[int]:
        """Places of what is known, repeated or no text."""
        seen: set[str] = set()
        rows = []
        for row, text in enumerate(texts):
            if text is None or text in self.known or text in seen:
                rows.append(row)
            else:
                seen.add(text)
        return rows

    def _beside(self, asked: Tensor, step: float | None) -> Tensor:
        """Plausible codes, a step to the side of those asked (n, D), or anywhere for None."""
        plausible, n = self.optimizer.plausible_set, len(asked)
        if step is not None:
            return plausible.pulled(asked + step * self._noise(n), asked)
        first, self._steps = self._steps, self._steps + n
        # Another seed than the optimiser's: it has asked the draws of its own before.
        return plausible.draws(n, mixed_seed(self._seed) & ((1 << 62) - 1), first)

    def _noise(self, n: int) -> Tensor:
        """Steps of the length of training codes' standard deviations, (n, D), others each time."""
        index = torch.arange(self._steps, self._steps + n)
        self._steps += n
        return (normals(self._seed, index, self.run.size, 0) * code_scale(self.run)).float()

    def candidates(self, texts: Sequence[str]) -> list[Candidate]:
        """Texts from elsewhere, with their codes."""
        with self.timed("decode"):
            return [Candidate(*pair) for pair in zip(texts, self._codes(texts), strict=True)]

    def again(self, texts: Sequence[str], codes: Sequence[Tensor | None]) -> list[Candidate]:
        """Texts with the codes they had, or have since the model was trained on."""
        if self.retrainer is not None and self.retrainer.retrained:
            return self.candidates(texts)
        return super().again(texts, codes)

    def tell(self, candidates: Sequence[Candidate], answers: Sequence[Answer]) -> None:
        """Learn from answers; nothing can be learnt from a candidate without a code."""
        pairs = [
            (c.z, answer.score)
            for c, answer in zip(candidates, answers, strict=True)
            if c.z is not None
        ]
        coded = {c.text for c in candidates if c.z is not None} | self.known.scores.keys()
        self.unencoded += sum(c.text not in coded for c in candidates if c.text is not None)
        self.known.tell(candidates, answers)
        self._learn(pairs)

    def state(self) -> State:
        """What is known, and the states of the optimiser and of the retrainer."""
        tensors, optimizer = self.optimizer.state()
        known, told = self.known.state()
        tensors = grow("optimizer", tensors) | grow("known", known)
        scalars: dict[str, Any] = {"optimizer": optimizer, "known": told}
        scalars |= {"unencoded": self.unencoded, "steps": self._steps}
        if self.retrainer is not None:
            changed, scalars["retrainer"] = self.retrainer.state()
            tensors |= grow("retrainer", changed)
        return tensors, scalars

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Go on from ``state``; the run is as it was when the campaign was begun."""
        self.known.load_state(branch(tensors, "known"), scalars["known"])
        self.unencoded, self._steps = scalars["unencoded"], scalars["steps"]
        if self.retrainer is not None:
            self.retrainer.load_state(branch(tensors, "retrainer"), scalars["retrainer"])
            self.optimizer = self._make(self.run, self.retrainer.retrained)
        self.optimizer.load_state(branch(tensors, "optimizer"), scalars["optimizer"])

    def _retrain(self, retrainer: Retrainer) -> None:
        """Train the model on, and tell a new optimiser all that is known, at the codes of now."""
        found = islice(self.known.scores.items(), self.given, None)
        with self.timed("retrain"):
            retrainer.retrain([Evaluation(i, t, Answer(y)) for i, (t, y) in enumerate(found, 1)])
        self.optimizer = self._make(self.run, retrainer.retrained)
        with self.timed("decode"):
            codes = self._codes(list(self.known.scores))
        pairs = zip(codes, self.known.scores.values(), strict=True)
        self._learn([(z, y) for z, y in pairs if z is not None])

    def _codes(self, texts: Sequence[str]) -> list[Tensor | None]:
        """The code of each text, (D,); None where the model cannot encode it."""
        codes: list[Tensor | None] = [None] * len(texts)
        encoding = self.run.codec.parse(texts, workers=self.workers)
        if not len(encoding.kept):
            return codes
        z = self.run.codes(encoding.padded(), REFINE)
        for at, code in zip(encoding.kept.tolist(), z, strict=True):
            codes[at] = code.clone()
        return codes

    def _learn(self, pairs: Sequence[tuple[Tensor, float]]) -> None:
        if pairs:
            y = torch.tensor([score for _, score in pairs], dtype=torch.float64)
            self.optimizer.tell(torch.stack([z for z, _ in pairs]), y)
