"""The vector quantiser: codes that are put together from the entries of one codebook."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molae.distributions import QuantisedPosterior, group_size, nearest_entry
from molae.nn.heads import DeltaHead
from molae.repeatable import of_the_first, over_processes


class VectorQuantiser(DeltaHead):
    """A code of D / w groups of w numbers, each the nearest of the K entries of a codebook.

    Van den Oord, Vinyals and Kavukcuoglu, *Neural Discrete Representation Learning*, NeurIPS
    2017. With e the code before and q(e) after rounding, the decoder is given e + sg(q(e) - e):
    q(e), with the gradient of e (sg stops gradients). The encoder is held near the codebook by the
    posterior's penalty, ``commitment`` ||e - sg(q(e))||^2, **summed** over D as distortions are
    over the event (averaged it would be too weak by a factor of D). The codebook follows the codes
    as a moving average instead of a gradient (the paper's appendix A.1): entry k is m_k / n_k,

        n_k <- decay n_k + (1 - decay) N_k,    m_k <- decay m_k + (1 - decay) sum of its e,

    with N_k the groups of a batch that are nearest to it, of all processes together. Both are
    buffers, changed in training only. All groups share the codebook.

    Entries that nothing is near to would be lost for good. One whose n_k falls below ``restart``
    times the mean is moved to a code of the batch, drawn at random; so the codebook also begins on
    codes of the first batch. A batch with codes that are no numbers moves nothing.

    Args:
        hidden: H, the width of the features.
        latent: D, the width of the code.
        entries: K.
        group: w, the numbers in a group; None for 2 (or 1, where D is odd).
        commitment: Weight of the penalty.
        decay: Of the moving averages.
        restart: Share of the mean use below which an entry is moved.

    Raises:
        ValueError: D is no multiple of w, or a number is out of range.
    """

    counts: Tensor  # (K,)
    sums: Tensor  # (K, w)

    def __init__(
        self,
        hidden: int,
        latent: int,
        *,
        entries: int = 512,
        group: int | None = None,
        commitment: float = 0.25,
        decay: float = 0.99,
        restart: float = 0.1,
    ) -> None:
        super().__init__(hidden, latent)
        self.group = group_size(latent, group)
        if entries < 2 or commitment < 0 or not 0 < decay < 1 or not 0 < restart < 1:
            raise ValueError(
                "entries must be 2 or more, commitment not below 0, decay and restart between 0 "
                f"and 1, got {entries}, {commitment}, {decay} and {restart}"
            )
        self.entries, self.commitment = entries, commitment
        self.decay, self.restart = decay, restart
        self.register_buffer("counts", torch.zeros(entries))
        self.register_buffer("sums", torch.randn(entries, self.group))

    @property
    def codebook(self) -> Tensor:
        """The entries, (K, w)."""
        return self.sums / torch.where(self.counts > 0, self.counts, 1.0)[:, None]

    def forward(self, h: Tensor, context: Tensor | None = None) -> QuantisedPosterior:
        """q(z|x) of features h (B, H): a point on the grid that the codebook spans."""
        code = super().forward(h).center
        groups = code.detach().view(len(code), -1, self.group)  # (B, D / w, w)
        codebook = self.codebook
        nearest = nearest_entry(groups.flatten(0, -2), codebook)
        rounded = codebook[nearest].view_as(code)
        if self.training and torch.is_grad_enabled():
            self._follow(groups.flatten(0, -2), nearest)
        return QuantisedPosterior(
            code, rounded, nearest.view(groups.shape[:-1]), self.commitment, self.entries
        )

    @torch.no_grad()
    def _follow(self, groups: Tensor, nearest: Tensor) -> None:
        """Move the entries towards groups (n, w) whose nearest they are, (n,)."""
        with torch.autocast(groups.device.type, enabled=False):
            chosen = one_hot(nearest, self.entries).to(groups.dtype)  # a product sums in order
            found, total = over_processes(chosen.sum(0)), over_processes(chosen.T @ groups)
        # What was there before anything was seen stands for no codes.
        kept = self.decay * (self.counts > 0)
        counts = self.decay * self.counts + (1 - self.decay) * found
        sums = kept[:, None] * self.sums + (1 - self.decay) * total
        dead = counts < self.restart * counts.mean()
        rows = torch.randint(len(groups), (self.entries,), device=groups.device)
        fresh = counts.mean() * of_the_first(groups[rows])
        sums = torch.where(dead[:, None], fresh, sums)
        counts = torch.where(dead, counts.mean(), counts)
        # A batch that gave no number is not remembered; the loop does not learn from it either.
        sound = total.isfinite().all() & sums.isfinite().all()
        self.sums.copy_(torch.where(sound, sums, self.sums))
        self.counts.copy_(torch.where(sound, counts, self.counts))
