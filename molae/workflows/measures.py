"""What is measured on a run: what comes back, what is valid, what codes do under decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.codecs import GrammarCodec, Reject
from molae.grammar.machine import GrammarConstraint
from molae.grammar.promise import has_attributes
from molae.metrics import latent
from molae.metrics.reconstruction import decoding_share, exact_share
from molae.repeatable import measuring
from molae.runs.run import Run
from molae.workflows.interpolate import way

#: Encodings of each molecule, and stochastic decodings of each encoding: 10 encodings are the
#: protocol of Kusner et al. 2017, 5 decodings of each that of Dai et al. 2018.
ENCODINGS, DECODINGS = 10, 5
#: Stochastic decodings of each z from the prior (Dai et al. 2018).
PRIOR_DECODINGS = 10
#: Points on an interpolation, ends included.
POINTS = 11
#: Masks by the column they are reported in.
MASKS = {
    "validity_all_masks": {"stack": True, "budget": True, "attributes": True},
    "validity_grammar_masks": {"stack": True, "budget": True, "attributes": False},
    "validity_no_masks": {"stack": False, "budget": False, "attributes": False},
}
#: Sequences that are encoded at once, and codes decoded between two reports of progress.
_ENCODED, _DECODED = 512, 2048

#: ``show(share of a measurement that is done, from 0 to 1)``
Show = Callable[[float], None]


def unseen(_share: float) -> None:
    """Show nothing."""


def chosen(total: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of all rows, chosen at random, in their order."""
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).permutation(total)[:most])


@dataclass(frozen=True)
class Sequences:
    """Texts that were encoded into sequences.

    Attributes:
        x: (n, T) int64.
        texts: Their canonical spelling, as the codec knows them.
        rejects: What could not be encoded.
    """

    x: Tensor
    texts: list[str | None]
    rejects: list[Reject]


def sequences(run: Run, texts: Sequence[str], workers: int = 1) -> Sequences:
    """Parse texts; what the grammar cannot express is listed."""
    encoding = run.codec.parse(texts, workers=workers)
    x = encoding.padded()
    return Sequences(x, run.spelling(run.codec.decode(x)), encoding.rejects)


def decoded(
    run: Run,
    z: Tensor,
    show: Show = unseen,
    *,
    seed: int | None = None,
    noise: float = 0.0,
    canonical: bool = True,
) -> list[str | None]:
    """``run.decode`` of codes (n, D), telling how far it is; the texts are the same."""
    texts: list[str | None] = []
    for rows in torch.arange(len(z)).split(_DECODED):  # type: ignore[no-untyped-call]
        texts += run.decode(z[rows], seed=seed, index=rows, noise=noise, canonical=canonical)
        show(len(texts) / max(1, len(z)))
    return texts


def greedy_share(
    run: Run, data: Sequences, show: Show = unseen, z: Tensor | None = None
) -> float | None:
    """Exact reconstruction: the posterior mean, decoded greedily; what is rejected is missed.

    With ``z`` (n, D) these codes of the data are decoded instead, such as corrected ones.
    """
    if not len(data.x):
        return exact_share([], [], len(data.rejects))
    found = decoded(run, run.codes(data.x) if z is None else z, show)
    return exact_share(data.texts, found, len(data.rejects))


@torch.no_grad()
def distortion(run: Run, data: Sequences) -> float | None:
    """Mean of -log p(x|z) at the posterior mean, in nats a text; None where there is no text."""
    if not len(data.x):
        return None
    total = 0.0
    for rows in data.x.split(_ENCODED):  # type: ignore[no-untyped-call]
        x = rows.to(run.device)
        z = run.codes(rows).to(run.device)
        total -= float(run.model.likelihood(z).log_prob(x).double().sum())
    return total / len(data.x)


def stochastic_share(run: Run, data: Sequences, seed: int, show: Show = unseen) -> float | None:
    """Exact reconstruction as published: draws of q(z|x), several draws of p(x|z) from each."""
    each = ENCODINGS * DECODINGS
    if not len(data.x):
        return decoding_share([], [], each, len(data.rejects))
    z = posterior_draws(run, data.x, ENCODINGS, seed)  # (n, K, D)
    z = z.repeat_interleave(DECODINGS, 1).flatten(0, 1)
    found = decoded(run, z, show, seed=seed)
    return decoding_share(data.texts, found, each, len(data.rejects))


@torch.no_grad()
def posterior_draws(run: Run, x: Tensor, count: int, seed: int) -> Tensor:
    """Draws of q(z|x): x (n, T) -> (n, ``count``, D) float32 on the CPU."""
    run.model.eval()
    drawn = []
    with measuring(seed, run.device):
        for part in torch.split(x, _ENCODED):
            width = max(1, int((part >= 0).sum(1).max()))
            posterior = run.model.posterior(part[:, :width].to(run.device))
            drawn.append(posterior.rsample((count,)).float().cpu())  # (K, B, D)
    return torch.cat(drawn, 1).transpose(0, 1)


@contextmanager
def masks(run: Run, *, stack: bool, budget: bool, attributes: bool) -> Iterator[None]:
    """Let a run's decoder and codec obey other masks for the time of the context.

    Only what is written changes, no weight does. A codec of characters has no such masks and
    stays as it is.
    """
    codec = run.codec
    if not isinstance(codec, GrammarCodec):
        yield
        return
    decoder: Any = run.model.decoder
    before = decoder.constraint, codec.constraint
    changed = GrammarConstraint(
        codec.grammar, codec.max_steps, stack=stack, budget=budget, attributes=attributes
    )
    decoder.constraint = codec.constraint = changed
    try:
        yield
    finally:
        decoder.constraint, codec.constraint = before


def validity(
    run: Run,
    z: Tensor,
    seed: int,
    each: int = 1,
    *,
    noise: float = 0.0,
    show: Show = unseen,
) -> float:
    """Share of draws of p(x|z) that are molecules (sentences, where texts are none).

    Args:
        run: The model.
        z: Codes, (n, D), n at least 1.
        seed: Of the draws.
        each: Draws from each code.
        noise: That the codes carry, see ``Run.decode``.
        show: Told how far it is.
    """
    found = decoded(run, z.repeat_interleave(each, 0), show, seed=seed, noise=noise)
    return sum(text is not None for text in found) / len(found)


def validities(
    run: Run, z: Tensor, seed: int, *, noise: float = 0.0, show: Show = unseen
) -> dict[str, float | None]:
    """Validity with each set of masks, one draw from each code; see ``MASKS`` and ``validity``.

    None where masks do not apply: a codec of characters has none to take away. All masks of a
    grammar without attributes are those of the grammar, which are not asked twice.
    """
    if not isinstance(run.codec, GrammarCodec):
        share = validity(run, z, seed, noise=noise, show=show)
        return dict.fromkeys(MASKS) | {"validity_no_masks": share}
    asked = dict(MASKS)
    if not has_attributes(run.codec.grammar):
        del asked["validity_all_masks"]
    shares: dict[str, float | None] = {}
    for done, (column, wanted) in enumerate(asked.items()):

        def part(share: float, done: int = done) -> None:
            show((done + share) / len(asked))

        with masks(run, **wanted):
            shares[column] = validity(run, z, seed, noise=noise, show=part)
    return {column: shares.get(column, shares["validity_grammar_masks"]) for column in MASKS}


def drift(
    run: Run, z: Tensor, texts: Sequence[str | None], workers: int = 1
) -> dict[str, float | None]:
    """What encoding makes of decoded codes.

    Args:
        run: The model.
        z: Codes, (n, D).
        texts: What they decode to greedily, spelt canonically.
        workers: Processes that parse.

    Returns:
        ``drift``: mean distance of encode(decode(z)) from z, in units of the mean distance of two
        of the codes, over what can be encoded; ``fix_points``: share of all n codes whose text,
        encoded and decoded again, is the same text.
    """
    rows = [row for row, text in enumerate(texts) if text is not None]
    encoding = run.codec.parse([texts[row] or "" for row in rows], workers=workers)
    if not len(encoding.kept):
        return {"drift": None, "fix_points": 0.0 if len(z) else None}
    kept = torch.tensor(rows)[torch.from_numpy(encoding.kept)]
    again = run.codes(encoding.padded())
    wanted = [texts[row] for row in kept.tolist()]
    same = exact_share(wanted, run.decode(again), len(z) - len(kept))
    return {"drift": latent.relative_drift(z[kept], again, z), "fix_points": same}


def ways(
    run: Run, codes: Tensor, count: int, points: int = POINTS, show: Show = unseen
) -> list[list[str | None]]:
    """What lies on straight lines between codes: the first with the second, and so on.

    Args:
        run: The model.
        codes: (n, D); pairs are taken in their order.
        count: Pairs, at most.
        points: On each line, both ends included.
        show: Told how far it is.

    Returns:
        Of each line its greedily decoded texts.
    """
    t = torch.linspace(0, 1, points)
    pairs = [(codes[i], codes[i + 1]) for i in range(0, len(codes) - 1, 2)][:count]
    if not pairs:
        return []
    texts = decoded(run, torch.cat([way(a, b, t) for a, b in pairs]), show)
    return [texts[i : i + points] for i in range(0, len(texts), points)]
