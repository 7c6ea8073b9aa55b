"""The stations that an evaluation of a run goes through; ``evaluate_run`` leads the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from molae.chem.properties import score
from molae.metrics import Profile, compare, latent, profile
from molae.names import METRICS, REFINE
from molae.runs.run import Run
from molae.workflows import measures
from molae.workflows.evaluate import Yardstick
from molae.workflows.evaluation import DATA, HELD_OUT, OF_RUN, REFERENCE, Evaluation, Numbers
from molae.workflows.held_out import HeldOut
from molae.workflows.information import judge_codes
from molae.workflows.interpolate import interpolate
from molae.workflows.nll import EXAMPLES, judge

#: What is measured on less than all n molecules: n divided by so much. At n = 10,000 these are the
#: sizes of the literature: 5,000 molecules to be reconstructed, 1,000 z from the prior.
_PART = {
    "reconstruction": 2,
    "stochastic_reconstruction": 20,
    "prior_validity": 10,
    "masks": 10,
    "drift": 10,
    "smoothness": 100,
}
_OF_TEXTS = ("reconstruction", "refined_reconstruction", "not_encoded")
#: Properties with a histogram, and the one that colours the map of the codes.
PROPERTIES, COLOUR = ("logp", "sa", "qed", "mw"), "logp"
#: Molecules behind a histogram, points of each part of the map, molecules drawn, strips and the
#: points on each.
_COUNTED, _MAPPED, _DRAWN, _STRIPS, _STEPS = 2000, 600, 15, 4, 7
#: Codes drawn at a time.
_BATCH = 4096

#: Called with what begins now; what it gives back is told how far that is.
Stage = Callable[[str], measures.Show]


def _some(texts: Sequence[str], most: int, seed: int) -> list[str]:
    """At most so many, chosen at random, in their order."""
    return [texts[row] for row in measures.chosen(len(texts), most, seed)]


def _numbers(found: Mapping[str, float | None]) -> Numbers:
    """Without nan and infinity, which JSON has no words for."""
    return {
        name: None if value is None or not math.isfinite(value) else value
        for name, value in found.items()
    }


@dataclass
class Bench:
    """One evaluation under way; every method adds to ``done``."""

    run: Run
    held: HeldOut
    done: Evaluation
    n: int
    seed: int
    workers: int
    samples: dict[str, list[str | None]] = field(default_factory=dict)
    codes: dict[str, Tensor] = field(default_factory=dict)
    data: measures.Sequences | None = None

    def share(self, what: str) -> int:
        """How many of n a measurement takes."""
        return max(2, self.n // _PART[what])

    # The model -----------------------------------------------------------------------------------

    def model(self, stage: Stage) -> None:
        """Numbers of the run as a whole."""
        run, numbers, sizes = self.run, self.done.numbers, self.done.sizes
        numbers |= dict.fromkeys(OF_RUN) | {"dimensions": run.size}
        show = stage("prior validity")
        count = self.share("prior_validity")
        z = run.density("prior").sample_rows(self.seed, torch.arange(count))
        numbers["prior_validity"] = measures.validity(
            run, z, self.seed, measures.PRIOR_DECODINGS, show=show
        )
        sizes["prior_validity"] = count
        texts = self._readable(_some(self.held.texts, self.share("reconstruction"), self.seed))
        if not texts:
            return
        show = stage("reconstruction")
        self.data = measures.sequences(run, texts, self.workers)
        rejects = self.data.rejects
        z = run.codes(self.data.x)
        numbers["reconstruction"] = measures.greedy_share(run, self.data, show, z)
        numbers["not_encoded"] = len(rejects) / len(texts)
        show = stage("refined reconstruction")
        better, _ = run.corrected(self.data.x, z, REFINE)
        numbers["refined_reconstruction"] = measures.greedy_share(run, self.data, show, better)
        sizes |= dict.fromkeys(_OF_TEXTS, len(texts))
        if rejects:
            self.done.note(
                f"{len(rejects)} of {len(texts)} held-out molecules cannot be encoded and count "
                f"as misses, such as {rejects[0]}"
            )
        show = stage("stochastic reconstruction")
        fewer = _some(texts, self.share("stochastic_reconstruction"), self.seed)
        numbers["stochastic_reconstruction"] = measures.stochastic_share(
            run, measures.sequences(run, fewer, self.workers), self.seed, show
        )
        sizes["stochastic_reconstruction"] = len(fewer)
        self._of_codes(z, self.data.texts, stage("interpolations"))

    def likelihood(self, stage: Stage, samples: int) -> None:
        """What codes cost, and with ``samples`` how likely held-out molecules are."""
        stage("divergences")
        if self.data is not None:
            judge_codes(self.run, self.data.x, self.seed, self.done)
        if samples and self.held.texts:
            x = measures.sequences(self.run, self.held.texts[:EXAMPLES], self.workers).x
            judge(self.run, x, samples, self.seed, self.done, stage("likelihood"))

    def _readable(self, texts: list[str]) -> list[str]:
        """Texts that are molecules, where they should be: no other can be asked back."""
        known = [t for t, own in zip(texts, self.run.spelling(texts), strict=True) if own]
        if lost := len(texts) - len(known):
            self.done.note(f"{lost} of {len(texts)} held-out lines are no molecules; left out.")
        return known

    def _of_codes(self, z: Tensor, texts: list[str | None], show: measures.Show) -> None:
        """How much of the space codes of held-out molecules use, and what lies between them."""
        done, numbers = self.done, self.done.numbers
        if len(z) < 2:
            done.note("Fewer than 2 held-out molecules were encoded: nothing is said of codes.")
            return
        self.codes[HELD_OUT] = z
        numbers["active_dimensions"] = latent.active_dimensions(z)
        numbers["effective_rank"] = latent.effective_rank(z)
        done.sizes |= {"active_dimensions": len(z), "effective_rank": len(z)}
        if len(z) <= 2 * self.run.size:
            done.note(
                f"{len(z)} codes are few to judge {self.run.size} dimensions by: with more "
                "molecules the active dimensions and the effective rank would be others."
            )
        if self.run.molecules:
            self._between(z, texts, show)

    def _between(self, z: Tensor, texts: list[str | None], show: measures.Show) -> None:
        """Interpolations between held-out molecules, in pairs that chance brings together."""
        order = torch.from_numpy(np.random.default_rng(self.seed).permutation(len(z)))
        pairs = min(self.share("smoothness"), len(z) // 2)
        lines = measures.ways(self.run, z[order], pairs, show=show)
        known = [texts[row] for row in order.tolist()]
        ends = [known[2 * i : 2 * i + 2] for i in range(pairs)]
        self.done.numbers["smoothness"] = latent.smoothness(lines)
        self.done.numbers["pair_similarity"] = latent.smoothness(ends)
        self.done.sizes |= {"smoothness": pairs, "pair_similarity": pairs}
        for first, last in ends[:_STRIPS]:
            if first is not None and last is not None:
                strip = interpolate(self.run, first, last, steps=_STEPS)
                self.done.pictures.strips.append(strip)

    # A density -----------------------------------------------------------------------------------

    def density(self, name: str, stage: Stage) -> None:
        """What one density writes, and what its codes do; ``molecules`` adds to it."""
        run, sizes, noise = self.run, self.done.sizes, self.run.noise
        show = stage(f"{name}: generating")
        began = time.perf_counter()
        z, given, texts = self._generated(name, show)
        seconds = time.perf_counter() - began
        self.codes[name], self.samples[name] = z[:_MAPPED], texts
        show = stage(f"{name}: masks")
        few = self.share("masks")
        numbers = measures.validities(run, given[:few], self.seed, noise=noise, show=show)
        sizes |= dict.fromkeys(measures.MASKS, few)
        stage(f"{name}: drift")
        few = self.share("drift")
        exact = run.decode(z[:few], canonical=False) if noise else texts[:few]
        numbers |= measures.drift(run, z[:few], run.spelling(exact), self.workers)
        sizes |= {"drift": few, "fix_points": few, "molecules_per_second": self.n}
        numbers["held_out_nats"] = self._nats(name)
        numbers["molecules_per_second"] = self.n / seconds
        self.done.densities[name] = _numbers(numbers)

    def _nats(self, name: str) -> float | None:
        """Mean log-density of the held-out codes."""
        if HELD_OUT not in self.codes:
            return None
        z = self.codes[HELD_OUT]
        self.done.sizes["held_out_nats"] = len(z)
        return float(self.run.log_density(z, name).double().mean())

    def _generated(
        self, name: str, show: measures.Show
    ) -> tuple[Tensor, Tensor, list[str | None]]:
        """Codes (n, D), the same with the noise of the run, and what those decode to greedily."""
        run, density, index = self.run, self.run.density(name), torch.arange(self.n)
        parts = index.split(_BATCH)  # type: ignore[no-untyped-call]
        z = torch.cat([density.sample_rows(self.seed, part).cpu() for part in parts])
        given = run.blurred(z, run.noise, self.seed, index)
        return z, given, measures.decoded(run, given, show, noise=run.noise, canonical=False)

    # Molecules -----------------------------------------------------------------------------------

    def molecules(self, reference: Sequence[str] | None, progress: bool) -> None:
        """What the molecules of each density are worth, and what is drawn of them."""
        done, ruler = self.done, self._ruler(reference, progress)
        notes: dict[str, list[str]] = {}
        done.sizes["validity"] = self.n
        for name, texts in self.samples.items():
            found, numbers = self._judged(ruler, name, texts, notes)
            done.densities[name] = numbers | done.densities[name]
            self._seen(name, found)
        for text, names in notes.items():
            where = "" if len(names) == len(self.samples) else f" ({', '.join(names)})"
            done.note(f"{text}{where}.")
        if ruler is not None:
            self._seen(REFERENCE, ruler.reference)
            if self.held.learnt:
                some = _some(self.held.learnt, self.n, self.seed)
                done.data = self._judged(ruler, DATA, some, {})[1]
                done.data.pop("novelty")  # nothing that was learnt from is
        self._map()

    def _ruler(self, reference: Sequence[str] | None, progress: bool) -> Yardstick | None:
        """What molecules are held against, or None, with a note, where there is nothing."""
        if not reference:
            self.done.note(
                "Nothing was given to compare with: what is said of two sets is left out."
            )
            return None
        try:
            return Yardstick(reference, self.held.learnt, workers=self.workers, progress=progress)
        except ValueError as error:  # of all that was given nothing is a molecule
            self.done.note(f"Nothing to compare with: {error}")
            return None

    def _judged(
        self,
        ruler: Yardstick | None,
        name: str,
        texts: Sequence[str | None],
        notes: dict[str, list[str]],
    ) -> tuple[Profile, Numbers]:
        """Every metric of some molecules; ``notes`` learns which are missing, and why."""
        if ruler is None:
            found = profile(texts, self.workers)
            compared = compare(found, None)
        else:
            found = ruler.look(texts, name)
            compared = ruler.measure(found)
        for metric, why in compared.notes.items():
            notes.setdefault(f"{metric}: {why}", []).append(name)
        self.done.reference = _numbers(compared.reference)
        there = [metric for metric in METRICS if metric in compared.values]
        return found, _numbers({metric: compared.values[metric] for metric in there})

    def _seen(self, name: str, found: Profile) -> None:
        """Keep what pictures show of a set of molecules."""
        pictures = self.done.pictures
        pictures.properties[name] = {key: found.properties[key][:_COUNTED] for key in PROPERTIES}
        pictures.molecules[name] = list(dict.fromkeys(found.smiles))[:_DRAWN]
        if name == REFERENCE:
            return
        valid = np.array([text is not None for text in found.drawn])
        values = np.full(len(valid), np.nan)
        values[valid] = found.properties[COLOUR]
        pictures.colours[name] = values[:_MAPPED]

    def _map(self) -> None:
        """All codes on the two axes in which those of the held-out molecules spread most."""
        pictures = self.done.pictures
        if HELD_OUT not in self.codes or self.data is None or self.run.size < 2:
            return
        mean, axes, spread = latent.principal_axes(self.codes[HELD_OUT])
        pictures.spread = tuple(spread.tolist())
        pictures.coloured_by = COLOUR
        known = ["" if text is None else text for text in self.data.texts[:_MAPPED]]
        pictures.colours[HELD_OUT] = score(known, [COLOUR], self.workers)[COLOUR]
        for name, z in self.codes.items():
            pictures.points[name] = ((z[:_MAPPED].double() - mean) @ axes).numpy()
