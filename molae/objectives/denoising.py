"""The denoising autoencoder, and what it corrupts data with."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.distributions import logged
from molae.names import CORRUPTIONS, pick
from molae.objectives.base import Model, Objective, distortion
from molae.types import PAD, Batch, Terms

#: Uniform numbers below this are taken for it: the normal quantile of 0 is infinite.
_LEAST = 2.0**-25


class DAE(Objective):
    """The distortion of clean data, decoded from the codes of corrupted data.

    Minimised is the mean over examples of -log p(x|z) with z the code of x~ ~ C(.|x), see
    ``corrupt`` (Vincent et al., *Extracting and Composing Robust Features with Denoising
    Autoencoders*, ICML 2008). Held-out losses are without corruption. C and p(x|z(x~)) in turn
    are a Markov chain whose states come to be distributed like the data (Bengio et al.,
    *Generalized Denoising Auto-Encoders as Generative Models*, NeurIPS 2013), see
    ``molae.workflows.chains``; of images that takes a likelihood that learns how wrong the decoder
    is, such as ``optimal`` or ``bernoulli``.

    Args:
        corruption: ``masking`` or ``gaussian``, see ``corrupt``; sequences know the first only.
        level: Share of the values that are masked, or standard deviation of the noise.

    Parts: ``distortion`` and ``penalty``, the head's own, each (B,). Logged: ``code_norm`` =
    ||z|| of corrupted data, (B,).

    Raises:
        ValueError: There is no such corruption, or the level is out of range.
    """

    heads = ("delta", "vq", "stiefel")

    def __init__(self, corruption: str = "masking", level: float = 0.25) -> None:
        super().__init__()
        self.corruption = pick(CORRUPTIONS, corruption, "corruption")
        if level < 0 or (corruption == "masking" and level > 1):
            raise ValueError(
                f"level is {level}; expected 0 to 1 (a share) of the corruption 'masking', 0 or "
                "more (a standard deviation) of 'gaussian'"
            )
        self.level = level

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """Parts of the loss; ``step`` is not used."""
        seen = batch.x
        if self.training:
            seen = self.corrupted(model, seen, torch.rand(seen.shape, device=seen.device))
        posterior = model.posterior(seen, batch.context)
        code = posterior.center
        parts = {"distortion": distortion(model, batch, code), "penalty": posterior.penalty()}
        return Terms(parts, {"code_norm": code.detach().norm(dim=-1)} | logged(posterior))

    def corrupted(self, model: Model, x: Tensor, u: Tensor) -> Tensor:
        """Data as the encoder is shown them; u holds uniform numbers, of the shape of x."""
        entries = getattr(model.encoder, "size", None)
        return corrupt(x, self.corruption, self.level, u, entries)


def corrupt(x: Tensor, kind: str, level: float, u: Tensor, entries: int | None = None) -> Tensor:
    """Draw x~ ~ C(.|x), of the shape of x.

    - ``gaussian``: level * e is added, e ~ N(0, I). Values may leave their range.
    - ``masking``: each value becomes 0 with probability ``level``. Of sequences, each entry gives
      way to any of the V, equally likely. What comes out need be no derivation, and need not be:
      encoders read anything. The length stays.

    Args:
        x: (B, ...) float, or sequences (B, T) int64.
        kind: A key of ``molae.names.CORRUPTIONS``.
        level: See above.
        u: Uniform numbers, of the shape of x: all the chance that there is.
        entries: V, for sequences.

    Raises:
        ValueError: Sequences are to be corrupted by normal noise, or nobody says V.
    """
    if x.is_floating_point():
        if kind == "masking":
            return x * (u >= level)
        noise: Tensor = torch.special.ndtri(u.clamp(min=_LEAST))
        return x + level * noise.to(x)
    if kind != "masking" or entries is None:
        raise ValueError(f"sequences cannot be corrupted by {kind!r} noise: use 'masking'")
    # Where u is below the level, u / level is uniform again, and chooses the entry.
    other = (u / max(level, _LEAST) * entries).long().clamp(max=entries - 1)
    return torch.where((u < level) & (x != PAD), other, x)
