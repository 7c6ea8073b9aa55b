"""A script for several processes: objectives that look at a whole batch, or remember, or play.

All are trained without noise.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks import toys
from molae.densities import StandardNormal
from molae.distributions import NormalPosterior
from molae.models import Autoencoder
from molae.nn.heads import DeltaHead, NormalHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.quantiser import VectorQuantiser
from molae.nn.stiefel import StiefelHead
from molae.objectives import GECO, objective
from molae.objectives.constraints import ReconstructionError
from molae.training import fit


class Mean(NormalPosterior):
    """Drawn at its mean, so that the number of processes is all that differs."""

    def rsample(self, sample_shape=()):
        return self.center.expand(*sample_shape, *self.center.shape)


class Still(NormalHead):
    def forward(self, h, context=None):
        q = super().forward(h, context)
        return Mean(q.center, q.scale)


class Known(StandardNormal):
    """The same draw each time."""

    def sample(self, n, generator=None):
        return torch.tensor([[0.7, -0.4]]).expand(n, 2)


class Weighted(toys.Vectors):
    def batch(self, index):
        found = super().batch(index)
        return replace(found, weight=1.0 + found.index % 2)


class Uneven(ReconstructionError):
    """Means of different numbers of values, as rules of sequences are."""

    def violation(self, likelihood, batch):
        each, _ = super().violation(likelihood, batch)
        return each, 1.0 + batch.index % 3


def geco(out):
    goal = GECO(tolerance=1.0, decay=0.5, step_size=0.3)
    goal.wanted = Uneven(1.0)
    trained(out, toys.autoencoder(2, 2, Still), goal, Weighted(toys.ring(43)[0]))


def quantised(entries, restart):
    def head(hidden, latent):
        return VectorQuantiser(
            hidden, latent, entries=entries, group=2, decay=0.9, restart=restart
        )

    return toys.autoencoder(2, 4, head)


def vqvae(out):
    model = quantised(4, 1e-6)  # no entry is ever moved, which would be by chance
    model.head.counts.fill_(1.0)
    trained(out, model, objective("vqvae"), toys.Vectors(toys.ring(43)[0]))


def aae(out):
    model = toys.autoencoder(2, 2, DeltaHead, Known(2))
    trained(out, model, objective("aae", hidden=[8]), toys.Vectors(toys.ring(43)[0]))


def wae(out):
    model = toys.autoencoder(2, 2, DeltaHead, Known(2))
    trained(out, model, objective("wae", weight=1000.0), Weighted(toys.ring(43)[0]))


def vcae(out):
    """A limit that the variances of slices lie on both sides of."""
    model = toys.autoencoder(2, 2, DeltaHead)
    goal = objective("vcae", variance=0.13, weight=1000.0)
    trained(out, model, goal, Weighted(toys.ring(43)[0]))


def strkm(out):
    model = toys.autoencoder(2, 2, StiefelHead)
    # What is centred knows of no constant: their slopes are rounding, which Adam makes steps of.
    for layer in (model.encoder.layers[0], model.head.center):
        layer.bias.requires_grad_(False)
    trained(out, model, objective("strkm", weight=1000.0), Weighted(toys.ring(43)[0]))


def free(out):
    """Free bits that the mean rates of slices lie on both sides of."""
    goal = objective("vae", beta=1000.0, free_bits=0.28)
    trained(out, toys.autoencoder(2, 2, Still), goal, Weighted(toys.ring(43)[0]))


def sigma(out):
    """A likelihood whose sigma is that of the batch; too small to have batch normalisation."""
    torch.manual_seed(0)
    shape = (1, 4, 4)
    reads = ImageEncoder(shape, hidden=8)
    writes = ImageDecoder(shape, 2, hidden=8, likelihood="optimal")
    model = Autoencoder(reads, DeltaHead(reads.width, 2), writes, StandardNormal(2))
    x = torch.linspace(0, 1, 43 * 16).view(43, *shape)
    trained(out, model, objective("rae", regularizer="l2", beta=1.0), toys.Vectors(x))


def moved(out):
    """One step: most of 40 entries are near to none of 16 groups, and are moved to some."""
    model, x = quantised(40, 0.1), toys.ring(8)[0]
    codes = model.head.center(model.encoder(x)).detach().view(16, 2)
    train(model, objective("vqvae"), toys.Vectors(x), 1)
    write(out, {"codes": codes, "codebook": model.head.codebook.detach()})


def trained(out, model, goal, data):
    train(model, goal, data, 14)
    write(out, {f"o.{k}": v for k, v in goal.state_dict().items()} | model.state_dict())


def train(model, goal, data, steps):
    fit(
        model, goal, data, steps=steps, batch_size=8, device="cpu", precision="fp32",
        progress=False,
    )  # fmt: skip


def write(out, tensors):
    rank = os.environ.get("RANK", "0")
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{out}-{rank}.safetensors")


def main(out: str) -> None:
    torch.set_num_threads(1)
    Path(out).mkdir(parents=True, exist_ok=True)
    for case in (geco, vqvae, aae, wae, vcae, strkm, free, sigma, moved):
        case(f"{out}/{case.__name__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
