"""How far codes are from the prior: one by one (average KL), and all together (marginal KL).

Letters: n examples, D the size of a code, S draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molae.datasets.arrays import DataSet
from molae.distributions import NormalPosterior, Prior, rate
from molae.models import Autoencoder
from molae.repeatable import measuring
from molae.types import Posterior

#: Numbers that are looked at at once: draws times examples times D.
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Divergences:
    """What the codes of n examples are like, in nats.

    With q(z) = 1/n sum of q(z|x_i), 0 <= ``marginal`` <= ``average``, and ``information`` =
    ``average`` - ``marginal`` is the mutual information of number and code, 0 to log n. Estimates
    of ``marginal`` and ``information`` may be beyond 0 by their error.

    Attributes:
        average: Mean over examples of KL(q(z|x) || p(z)).
        marginal: KL(q(z) || p(z)).
        information: I(i; z).
        error: Standard error of ``information``, and of ``marginal``.
        examples: n.
        draws: S.
    """

    average: float
    marginal: float
    information: float
    error: float
    examples: int
    draws: int


@torch.no_grad()
def divergences(
    posteriors: Sequence[Posterior], prior: Prior, draws: int | None = None, seed: int = 0
) -> Divergences:
    """Average and marginal KL of all examples at once.

    The marginal one is estimated as by Rosca, Lakshminarayanan and Mohamed (*Distribution matching
    in variational inference*, 2018): z is drawn from q(z), and log q(z) is the logarithm of the
    mean of q(z|x_i) over all n examples, in chunks; that is S n densities. What is averaged over
    draws is log q(z|x_i) - log q(z), the information, with i the example that z was drawn from: it
    is never above log n, and varies little where codes are told apart. The marginal KL is the
    average one, which is known in closed form for normal posteriors and priors, less that.

    Args:
        posteriors: q(z|x) of all examples, in batches, see ``posteriors_of``.
        prior: p(z).
        draws: S; n by default. Each example has as many as every other, give or take one.
        seed: Of the draws.

    Raises:
        ValueError: There are no examples, or no draws.
        NoDensityError: The posteriors are points.
    """
    sizes = [len(each.center) for each in posteriors]
    n = sum(sizes)
    draws = n if draws is None else draws
    if n < 1 or draws < 1:
        raise ValueError(f"{n} examples and {draws} draws; expected at least one of each")
    device = posteriors[0].center.device
    with measuring(seed, device):
        average = _average(posteriors, [prior] * len(posteriors), max(1, round(draws / n)))
        z, own = _drawn(posteriors, draws)
    gained = own.double() - _log_marginal(posteriors, z, n)
    information = float(gained.mean())
    error = float(gained.std() / math.sqrt(draws)) if draws > 1 else math.nan
    return Divergences(average, average - information, information, error, n, draws)


@torch.no_grad()
def average_kl(
    posteriors: Sequence[Posterior], priors: Sequence[Prior], draws: int = 1, seed: int = 0
) -> float:
    """Mean of KL(q(z|x) || p(z)) where each batch of examples has a prior of its own.

    Args:
        posteriors: q(z|x) of all examples, in batches.
        priors: One for each batch, such as p(z|c) of its contexts.
        draws: Of each example, where there is no closed form.
        seed: Of the draws.

    Raises:
        ValueError: There are no examples.
        NoDensityError: The posteriors are points.
    """
    if not posteriors:
        raise ValueError("there are no examples; expected at least one")
    with measuring(seed, posteriors[0].center.device):
        return _average(posteriors, priors, draws)


@torch.no_grad()
def posteriors_of(model: Autoencoder, data: DataSet, batch_size: int = 512) -> list[Posterior]:
    """q(z|x) of all examples of a data set, in batches, with the model in evaluation.

    Args:
        model: Whose training, or not, is as it was afterwards.
        data: n examples.
        batch_size: Of the batches.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    found = []
    for first in range(0, len(data), batch_size):
        batch = data.batch(range(first, min(first + batch_size, len(data)))).to(device)
        found.append(model.posterior(batch.x, batch.context))
    model.train(training)
    return found


def _average(posteriors: Sequence[Posterior], priors: Sequence[Prior], draws: int) -> float:
    """Mean of KL(q(z|x) || p(z)): in closed form, or of so many draws of each example."""
    total, count = 0.0, 0
    for each, prior in zip(posteriors, priors, strict=True):
        exact = isinstance(each, NormalPosterior) and (
            prior.expected_log_prob(each.center, each.scale) is not None
        )
        z = None if exact else each.rsample((draws,))
        cost: Any = rate(each, prior, z)
        total += float(cost.double().sum()) / (1 if exact else draws)
        count += len(each.center)
    return total / count


def _drawn(posteriors: Sequence[Posterior], draws: int) -> tuple[Tensor, Tensor]:
    """z (S, D) of the mixture of all, and log q(z|x) of the example that each is from, (S,)."""
    n = sum(len(each.center) for each in posteriors)
    times, rest = divmod(draws, n)
    more = torch.randperm(n)[:rest]
    counts = torch.full((n,), times).index_add_(0, more, torch.ones_like(more))
    found, logs, first = [], [], 0
    for each in posteriors:
        mine = counts[first : first + len(each.center)].to(each.center.device)
        first += len(mine)
        for number in range(int(mine.max())):
            # The density of the marginal has the same rounding, so that no bound is crossed.
            z = each.rsample()
            found.append(z[mine > number])
            logs.append(each.log_prob(z)[mine > number])
    return torch.cat(found), torch.cat(logs)


def _log_marginal(posteriors: Sequence[Posterior], z: Tensor, n: int) -> Tensor:
    """log q(z) of z (S, D): the logarithm of the mean of q(z|x_i) over all examples, (S,)."""
    total = torch.full((len(z),), -math.inf, dtype=torch.float64, device=z.device)
    for each in posteriors:
        size, width = each.center.shape
        rows = max(1, _AT_ONCE // (size * width))
        for first in range(0, len(z), rows):
            part = slice(first, first + rows)
            some = z[part].unsqueeze(1).expand(-1, size, width)
            among = torch.logsumexp(each.log_prob(some).double(), 1)
            total[part] = torch.logaddexp(total[part], among)
    return total - math.log(n)
