"""How likely a run finds data that it has not learnt from: -log p(x), in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import signature

import torch
from torch import Tensor

from molae.densities import LatentDensity
from molae.distributions import NoDensityError
from molae.metrics.likelihood import (
    REFUSAL,
    REFUSAL_UNKNOWN,
    Estimate,
    importance_nll,
)
from molae.names import WITHOUT_DENSITY
from molae.repeatable import measuring
from molae.runs.build import DECODERS
from molae.runs.condition import checked
from molae.runs.run import Run
from molae.workflows.evaluation import Evaluation
from molae.workflows.measures import Show, unseen

#: What the numbers of ``Likelihoods`` are, in sentences.
MEANINGS: dict[str, str] = {
    "nll": (
        "-log p(x) of held-out data in nats, by importance sampling from q(z|x) (Burda et al. "
        "2016): an upper bound on average, tighter with more samples."
    ),
    "nll_error": "Standard error of nll over the data.",
    "minus_elbo": "Minus the evidence lower bound of the same data, in nats, from the same draws.",
    "nll_effective_samples": (
        "How many of the samples have a say in nll, on average (1 / sum of squared shares). Near "
        "1 the estimate is too high."
    ),
    "bits_per_value": (
        "nll in bits for each value of an image, where the likelihood is one of 8-bit values."
    ),
}
#: Examples of an evaluation, at most: time grows with them times the samples.
EXAMPLES = 500
#: Examples that are encoded together, and numbers that the decoder puts out at once.
_TOGETHER, _NUMBERS = 32, 1 << 22
#: Draws of a density that tell how far codes lie apart, and widths of a proposal around a code:
#: that distance, a half of it, and so on.
_DRAWS, _WIDTHS = 1000, 9
#: Likelihoods of images that are probabilities of 8-bit values.
_OF_BYTES = ("quantised", "discretised", "logistic")
#: Why a proposal is put around codes.
_WHY_POINTS = "The model is deterministic"
_WHY = {"implicit": "The posterior of this head has no density that is known"}


@dataclass(frozen=True)
class Likelihoods:
    """What ``nll`` found of n examples.

    Attributes:
        estimate: Of each example.
        samples: M.
        density: What codes are drawn from.
        surrogate: Why the proposal was put around the codes, a clause; "" where it is q(z|x).
        values: Numbers in an image whose likelihood is of 8-bit values, else None.
    """

    estimate: Estimate
    samples: int
    density: str
    surrogate: str
    values: int | None

    def numbers(self) -> dict[str, float]:
        """Means over the examples, by the names in ``MEANINGS``."""
        each = self.estimate.nll
        found = {
            "nll": float(each.mean()),
            "nll_error": float(each.std(correction=0)) / math.sqrt(len(each)),
            "minus_elbo": float(self.estimate.minus_elbo.mean()),
            "nll_effective_samples": float(self.estimate.effective.mean()),
        }
        if self.values is not None:
            found["bits_per_value"] = found["nll"] / (self.values * math.log(2.0))
        return found

    def note(self) -> str:
        """How the numbers came about, a sentence."""
        drawn = f"nll: {self.samples:,} samples for each of {len(self.estimate.nll):,} examples"
        if not self.surrogate:
            return f"{drawn}, p(z) is the density {self.density!r}."
        return (
            f"{drawn}. {self.surrogate}: this is the likelihood of the density "
            f"{self.density!r} together with the decoder, by a proposal around each code, and "
            "says nothing of a bound that was trained."
        )


def nll(
    run: Run,
    data: Tensor,
    samples: int = 5000,
    seed: int = 0,
    *,
    density: str | None = None,
    context: Tensor | None = None,
    show: Show = unseen,
) -> Likelihoods:
    """-log p(x) of data under a run, estimated with M samples of q(z|x) for each example.

    Time grows with ``samples`` times the number of examples, as that many codes are decoded: take
    some hundreds of examples. Equal arguments give equal numbers.

    A deterministic model has no p(x), unless a density is named that codes are drawn from. Then
    the generative model is that density and the decoder, and its -log p(x) = -log E_p(z) p(x|z) is
    estimated with codes from a mixture of normals around the example's own, of widths from the
    spread of the density down to 1/256 of it. In many dimensions it is far from tight. The same
    goes for the head ``implicit``, whose posterior can be drawn from and has no known density.

    Args:
        run: The model.
        data: Sequences (n, T) or images (n, C, H, W), as ``run.codec`` encodes them.
        samples: M.
        seed: Of all draws.
        density: p(z): a density of the run; None takes the prior that it was trained with.
        context: Of each example, (n, ...), for a run with a ``condition``: -log p(x|c) is found.
        show: Told how far it is, from 0 to 1.

    Raises:
        NoDensityError: The posterior has no density, and none of codes is named.
        ValueError: There is no data, no sample, or no such density, or it is ``indices``, which
            has masses of entries and no density; or a context is missing or not expected.
    """
    if not len(data):
        raise ValueError("there is no data to find the likelihood of")
    context = checked(run.condition, context, len(data))
    prior = run.density(density or "prior")
    if density == "indices":
        raise ValueError(
            "the density 'indices' gives masses to entries of a codebook and is no density of "
            "codes, so that it cannot be weighed against a proposal: name another, such as "
            "'gmm', or leave out --nll"
        )
    widths, surrogate = None, ""
    head = run.config["model"]["head"]["name"]
    if head in WITHOUT_DENSITY:
        if density is None:
            raise NoDensityError(REFUSAL_UNKNOWN if head == "implicit" else REFUSAL)
        widths, surrogate = _widths(prior, seed), _WHY.get(head, _WHY_POINTS)
    run.model.eval()
    event = run.codec.size * (1 if data.ndim == 4 else data.shape[1])
    parts = torch.zeros(3, len(data), dtype=torch.float64)
    done = 0
    with measuring(seed, run.device):
        for rows, together in run.codec.groups(data, _TOGETHER):
            share, before = len(rows) / len(data), done / len(data)
            told = None if context is None else context[rows].to(run.device)
            found = importance_nll(
                run.model,
                run.given(prior, told),
                together.to(run.device),
                samples,
                context=told,
                at_once=max(1, _NUMBERS // (len(rows) * event)),
                widths=widths,
                show=lambda part, a=before, b=share: show(a + b * part),  # type: ignore[misc]
            )
            parts[:, rows] = torch.stack([found.nll, found.minus_elbo, found.effective])
            done += len(rows)
    decoder = run.config["model"]["decoder"]
    usual = signature(DECODERS[decoder["name"]]).parameters.get("likelihood")
    likelihood = decoder.get("likelihood", None if usual is None else usual.default)
    values = run.codec.size if data.ndim == 4 and likelihood in _OF_BYTES else None
    return Likelihoods(Estimate(*parts), samples, density or "prior", surrogate, values)


def judge(
    run: Run,
    data: Tensor,
    samples: int,
    seed: int,
    done: Evaluation,
    show: Show = unseen,
    context: Tensor | None = None,
) -> None:
    """Add the likelihood of held-out data to an evaluation, or a note why there is none.

    Of a deterministic model it is that of its mixture, or else its Gaussian, and the decoder; of
    the head ``implicit`` that of the prior and the decoder.

    Args:
        run: The model.
        data: See ``nll``.
        samples: M.
        seed: Of all draws.
        done: Takes what is found.
        show: Told how far it is.
        context: See ``nll``.
    """
    density, head = None, run.config["model"]["head"]["name"]
    if head == "implicit":
        density = "prior"
    elif head in WITHOUT_DENSITY:
        density = fitted(run)
    try:
        found = nll(run, data, samples, seed, density=density, context=context, show=show)
    except ValueError as error:
        done.note(f"nll: {error}.")
        return
    done.numbers |= found.numbers()
    done.definitions |= MEANINGS
    done.sizes |= dict.fromkeys(found.numbers(), len(data))
    done.note(found.note())


def fitted(run: Run) -> str | None:
    """What speaks for the codes of a model whose own density is none: its mixture or Gaussian."""
    return next((name for name in ("gmm", "gaussian") if name in run.densities), None)


def _widths(prior: LatentDensity, seed: int) -> list[float]:
    """Widths of the proposal: how far codes spread, and ever smaller."""
    spread = float(prior.sample_rows(seed, torch.arange(_DRAWS)).std(0).square().mean().sqrt())
    return [spread * 0.5**i for i in range(_WIDTHS)]
