"""An autoregressive distribution over what a vector quantiser puts codes together from."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding

from molae.densities.base import LatentDensity, Progress, codes, not_fitted
from molae.densities.trained import TILE, Pace, silenced, train
from molae.distributions import group_size, nearest_entry
from molae.draws import inverted
from molae.repeatable import in_tiles, seeded

#: Different groups of numbers in the codes that are fitted, at most; real codebooks have fewer.
MOST = 8192
#: Codes whose nearest entries are looked for at once, to bound memory.
_ROWS = 512


class IndexDensity(LatentDensity):
    """Quantised codes, one group after the other: p(z) = prod_g p(k_g | k_1 ... k_g-1).

    The second stage of van den Oord, Vinyals and Kavukcuoglu, *Neural Discrete Representation
    Learning*, NeurIPS 2017, whose PixelCNN over a map of entries is a recurrent net (GRU) here,
    over the groups of a code in their order. The codebook is what the codes that it is fitted to
    consist of: their different groups of w numbers. Training begins with independent groups, each
    with the frequencies of its entries, half a code added to each.

    ``log_prob`` is the logarithm of a **mass**, not of a density: codes outside the grid have
    none, and are given that of the nearest code on it. So it is constant almost everywhere, has no
    gradient, and compares with no other density's.

    Args:
        group: w, numbers in a group, as the head ``vq`` has it; None for its usual one, 2 (or 1,
            where D is odd).
        hidden: Width of the net.
        epochs: Passes over the codes, at most; see ``trained.Pace``, and for the next three.
        batch_size: See there.
        learning_rate: See there.
        patience: See there.
        rows: Fit to this many codes at most, drawn at random from those given.
        seed: Of that draw, of weights and order.
    """

    name = "indices"

    codebook: Tensor  # (K, w)
    network: _Groups | None

    def __init__(
        self,
        group: int | None = None,
        hidden: int = 128,
        epochs: int = 60,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        patience: int = 3,
        rows: int = 200_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if hidden < 1 or rows < 2 or (group is not None and group < 1):
            raise ValueError(
                "group and hidden must be 1 or more and rows 2 or more, got "
                f"{group}, {hidden} and {rows}"
            )
        pace = Pace(epochs, batch_size, learning_rate, patience)
        self.group, self.hidden, self.rows, self.seed = group, hidden, rows, seed
        self.epochs, self.batch_size = pace.epochs, pace.batch_size
        self.learning_rate, self.patience = pace.learning_rate, pace.patience
        self.register_buffer("codebook", torch.zeros(0, 0, dtype=torch.float64))
        self.register_module("network", None)

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        return self._fitted().groups * self.codebook.shape[1]

    @property
    def width(self) -> int:
        """Uniforms that a draw takes: one for each group."""
        return self._fitted().groups

    def described(self) -> str:
        """Groups, entries and weights."""
        if self.network is None:
            return ""
        weights = sum(p.numel() for p in self.network.parameters())
        return f"{self.network.groups} groups of {len(self.codebook)} entries, {weights:,} weights"

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Maximum likelihood on nine tenths of quantised codes z (N, D).

        The weights are kept that do best on the others.

        Raises:
            ValueError: Fewer than 2 codes, all the same, not finite, or not quantised.
        """
        device = self.codebook.device
        z = codes(z, self.name).to(device)
        if len(z) > self.rows:
            chooser = torch.Generator().manual_seed(self.seed)
            z = z[torch.randperm(len(z), generator=chooser)[: self.rows].to(device)]
        groups = z.view(-1, group_size(z.shape[1], self.group))
        codebook, found = torch.unique(groups, dim=0, return_inverse=True)
        if len(codebook) > min(MOST, max(2, len(groups) // 2)):
            raise ValueError(
                f"{len(codebook):,} different groups of {groups.shape[1]} numbers in {len(z):,} "
                "codes: these are not quantised, or not in groups of this size; the density "
                "'indices' is for the head 'vq', with its group; other codes need 'gmm' or 'flow'"
            )
        indices = found.view(len(z), -1)
        self.codebook = codebook
        network = self._begin(indices.shape[1], len(codebook))
        network.start(indices)
        network.float().requires_grad_(True)
        pace = Pace(self.epochs, self.batch_size, self.learning_rate, self.patience)
        train(network, lambda k, _: network.cost(k), indices, pace, self.seed, progress)
        network.double()
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """log of the mass of the nearest quantised code in nats, (..., D) -> (...)."""
        network = self._fitted()
        flat = z.detach().to(self.codebook).reshape(-1, self.size)
        value = -torch.cat(
            [network.cost(self._indices(part)) for part in torch.split(flat, _ROWS)]
        )
        return value.reshape(z.shape[:-1]).to(
            z.device, torch.promote_types(z.dtype, torch.float32)
        )

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, G) -> draws (n, D), quantised."""
        network = self._fitted()
        indices = in_tiles(network.draw, u, TILE).long()
        return self.codebook[indices].flatten(1)

    def _indices(self, z: Tensor) -> Tensor:
        """The nearest entries, (n, D) -> (n, G)."""
        groups = z.reshape(-1, self.codebook.shape[1])
        return nearest_entry(groups, self.codebook).view(len(z), -1)

    def _fitted(self) -> _Groups:
        if self.network is None:
            raise not_fitted(self.name)
        return self.network

    def _begin(self, groups: int, entries: int) -> _Groups:
        with seeded(self.seed):
            made = _Groups(groups, entries, self.hidden)
        self.network = made.to(self.codebook).requires_grad_(False)
        return self.network

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make what the codes decided the shape of, then take it back."""
        saved = state_dict.get(prefix + "network.bias")
        if saved is not None:
            self._begin(*saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class _Groups(nn.Module):
    """A GRU over the entries so far, (n, G) int64; each group has a bias of its own.

    Args:
        groups: G.
        entries: K.
        hidden: Width of embeddings and state.
    """

    def __init__(self, groups: int, entries: int, hidden: int) -> None:
        super().__init__()
        self.groups, self.entries = groups, entries
        self.embedding = nn.Embedding(entries + 1, hidden)  # the last one for the beginning
        self.place = nn.Parameter(torch.zeros(groups, hidden))
        self.cell = nn.GRUCell(hidden, hidden)
        self.out = silenced(nn.Linear(hidden, entries))
        self.bias = nn.Parameter(torch.zeros(groups, entries))

    def start(self, indices: Tensor) -> None:
        """Independent groups, with the frequencies in indices (N, G)."""
        counts = torch.stack([column.bincount(minlength=self.entries) for column in indices.T])
        share = (counts + 0.5) / (len(indices) + 0.5 * self.entries)
        self.bias.copy_(share.log())

    def step(self, group: int, before: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, K) of a group from the entry before (n,), and the state after (n, H)."""
        fed = embedding(before, self.embedding.weight) + self.place[group]
        state = self.cell(fed, state)
        return self.out(state) + self.bias[group], state

    def cost(self, indices: Tensor) -> Tensor:
        """-log p of indices (n, G), (n,)."""
        before, state = self._first(len(indices))
        total = torch.zeros_like(state[:, 0])
        for group, target in enumerate(indices.unbind(1)):
            logits, state = self.step(group, before, state)
            total = total + cross_entropy(logits, target, reduction="none")
            before = target
        return total

    def draw(self, u: Tensor) -> Tensor:
        """Entries from uniforms u (n, G), by inverting cumulative distributions; (n, G) float."""
        before, state = self._first(len(u))
        found = torch.zeros_like(u)
        for group in range(self.groups):
            logits, state = self.step(group, before, state)
            before = inverted(torch.softmax(logits, 1), u[:, group])
            found[:, group] = before.to(u)
        return found

    def _first(self, rows: int) -> tuple[Tensor, Tensor]:
        """What comes before the first entry, (n,), and the first state, (n, H)."""
        state = self.place.new_zeros(rows, self.place.shape[1])
        return torch.full((rows,), self.entries, device=state.device), state
