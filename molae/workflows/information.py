"""What the codes of a run say of data, and what its decoder makes of them, for an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from molae.datasets.images import ImageData
from molae.densities import LatentDensity
from molae.distributions import NormalPosterior
from molae.metrics.injective import pushed_forward
from molae.metrics.kl import average_kl, divergences
from molae.metrics.sigma import sigma_opt
from molae.names import WITHOUT_DENSITY
from molae.runs.run import Run
from molae.types import Posterior
from molae.workflows.evaluation import Evaluation
from molae.workflows.held_images import HeldImages
from molae.workflows.measures import chosen
from molae.workflows.nll import fitted

#: What the numbers are, in sentences.
MEANINGS: dict[str, str] = {
    "average_kl": (
        "Mean of KL(q(z|x) || p(z)) over held-out examples in nats, p the prior that was trained "
        "with: what a code costs, the rate."
    ),
    "marginal_kl": (
        "KL(q(z) || p(z)) in nats, q(z) the mean of q(z|x) over the same examples (Rosca et al. "
        "2018; Rezende and Viola 2018): how far codes as a whole are from the prior. From 0 to "
        "average_kl, by its error; of more examples it is lower."
    ),
    "information": (
        "Average_kl less marginal_kl in nats: what a code says of which of these examples it is "
        "of, from 0 to the logarithm of their number."
    ),
    "sigma_opt": (
        "Root of the mean squared error of a value (0 to 1) between images that were learnt from "
        "and what draws of q(z|x) decode to: the standard deviation under which a normal "
        "likelihood is largest (Rezende and Viola 2018, appendix D)."
    ),
    "injective_bound": (
        "Mean over held-out images of log p(z) - D/2 log(||J||^2 / D) in nats, J the slope of the "
        "decoder at their codes: a lower bound on the log-density of their reconstructions on the "
        "surface that codes decode to (Kumar et al. 2020). It says nothing of what lies off that "
        "surface, and can be compared between models of one D only."
    ),
}
#: Examples behind the KLs at most, and draws, where log q(z|x) of other codes is a formula, and
#: where it takes nets: as many log-densities are computed as the square of it.
_EXAMPLES, _SLOW = 2000, 200
#: Images behind the injective bound, numbers of Jacobians at once, examples encoded together.
_SLOPES, _NUMBERS, _TOGETHER = 200, 1 << 24, 512
#: Intervals reach so many standard errors to each side.
_SIDES = 1.96


@torch.no_grad()
def judge_codes(
    run: Run, x: Tensor, seed: int, done: Evaluation, context: Tensor | None = None
) -> None:
    """Add average and marginal KL to an evaluation, or a note why there are none.

    Args:
        run: The model.
        x: Held-out sequences (n, T) or images (n, C, H, W).
        seed: Of all draws, and of which examples are taken.
        done: Takes what is found.
        context: Of each example, (n, ...), for a run with a ``condition``.
    """
    head = run.config["model"]["head"]["name"]
    if head in WITHOUT_DENSITY:
        done.note(f"average_kl, marginal_kl: q(z|x) of the head {head!r} has no known density.")
        return
    if not len(x):
        return
    prior, most = run.density("prior"), _most(run, x, context)
    rows = torch.from_numpy(chosen(len(x), most, seed))
    told = None if context is None else context[rows]
    posteriors, priors = _beliefs(run, prior, x[rows], told)
    n = sum(len(each.center) for each in posteriors)
    if any(each is not prior for each in priors):
        _add(done, {"average_kl": average_kl(posteriors, priors, seed=seed)}, n)
        done.note(
            "marginal_kl: the prior of this run is another one for each context, so that codes "
            "are held against none of them all together."
        )
        return
    found = divergences(posteriors, prior, most, seed)
    together = {"marginal_kl": found.marginal, "information": found.information}
    _add(done, {"average_kl": found.average} | together, n)
    half = _SIDES * found.error
    if math.isfinite(half):
        done.spans |= {name: (value - half, value + half) for name, value in together.items()}
    if found.information > 0.95 * math.log(n):
        done.note(
            f"marginal_kl: codes tell these {n:,} examples apart, so that information is as good "
            f"as log {n:,} = {math.log(n):.2f}; with more of them marginal_kl would be lower."
        )


def judge_images(run: Run, held: HeldImages, n: int, seed: int, done: Evaluation) -> None:
    """Add what is said of a run of images: the KLs, sigma_opt, and the injective-flow bound.

    Args:
        run: The model.
        held: What it is tested on, and what it has learnt from.
        n: Images that are looked at, at most.
        seed: Of all draws, and of which images are taken.
        done: Takes what is found.
    """
    some = held.data.batch(chosen(len(held.data), min(n, _EXAMPLES), seed))
    judge_codes(run, some.x, seed, done, some.context)
    learnt = held.known
    if learnt is None or not len(learnt):
        learnt = held.data
        done.note("sigma_opt: of held-out images, as those that were learnt from are not known.")
    learnt = learnt.subset(chosen(len(learnt), n, seed))
    try:
        _add(done, {"sigma_opt": sigma_opt(run.model, learnt, seed)}, len(learnt))
    except ValueError as error:
        done.note(f"sigma_opt: {error}.")
    if run.config["model"]["head"]["name"] in ("delta", "stiefel"):
        rows = chosen(len(held.data), min(n, _SLOPES), seed)
        _injective(run, held.data.subset(rows), done)


def _beliefs(
    run: Run, prior: LatentDensity, x: Tensor, context: Tensor | None
) -> tuple[list[Posterior], list[LatentDensity]]:
    """q(z|x) of examples, in batches, and the prior given the contexts of each batch."""
    posteriors: list[Posterior] = []
    priors: list[LatentDensity] = []
    for part, together in run.codec.groups(x, _TOGETHER):
        told = None if context is None else context[part].to(run.device)
        posteriors.append(run.model.posterior(together.to(run.device), told))
        priors.append(run.given(prior, told))
    return posteriors, priors


def _most(run: Run, x: Tensor, context: Tensor | None) -> int:
    """How many examples and draws the KLs may take."""
    told = None if context is None else context[:1].to(run.device)
    one = run.model.eval().posterior(x[:1].to(run.device), told)
    return _EXAMPLES if isinstance(one, NormalPosterior) else _SLOW


def _injective(run: Run, images: ImageData, done: Evaluation) -> None:
    """The bound of images under the mixture or Gaussian of their codes, pushed forward."""
    density = fitted(run)
    if density is None:
        done.note("injective_bound: no 'gmm' or 'gaussian' was fitted to the codes.")
        return
    run.model.eval()
    size = max(1, _NUMBERS // (run.codec.size * run.size))
    parts = []
    try:
        for first in range(0, len(images), size):
            batch = images.batch(range(first, min(first + size, len(images)))).to(run.device)
            found = pushed_forward(run.model, run.density(density), batch.x, batch.context)
            parts.append(found.bound)
    except ValueError as error:
        done.note(f"injective_bound: {error}.")
        return
    bound = torch.cat(parts)
    mean, half = float(bound.mean()), _SIDES * float(bound.std()) / math.sqrt(len(bound))
    _add(done, {"injective_bound": mean}, len(bound))
    done.note(f"injective_bound: codes are taken for drawn from the density {density!r}.")
    if math.isfinite(half):
        done.spans["injective_bound"] = (mean - half, mean + half)


def _add(done: Evaluation, found: Mapping[str, float], n: int) -> None:
    """Numbers that n examples gave; None for what is not finite."""
    done.numbers |= {name: value if np.isfinite(value) else None for name, value in found.items()}
    done.definitions |= {name: MEANINGS[name] for name in found}
    done.sizes |= dict.fromkeys(found, n)
