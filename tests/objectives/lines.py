"""Linear autoencoders of vectors, for objectives whose best weights are known in closed form."""

from __future__ import annotations

import math

import torch
from torch import nn

from molae.densities import StandardNormal
from molae.models import Autoencoder

#: With it -log p(x|z) is the squared error and a constant.
SIGMA = math.sqrt(0.5)


class Same(nn.Module):
    """Data as they are, (B, X): all that is learnt of the encoder is the head's."""

    def forward(self, x, context=None):
        return x


class Normal:
    """x ~ N(mean, sigma^2 I)."""

    def __init__(self, mean, sigma):
        self.mean, self.sigma = mean, sigma

    def log_prob(self, x):
        square = ((x - self.mean) / self.sigma).square()
        return -(0.5 * square + math.log(self.sigma) + 0.5 * math.log(2 * math.pi)).sum(-1)

    def outputs(self, x):
        return self.mean


class Linear(nn.Module):
    """x ~ N(W z + b, sigma^2 I)."""

    def __init__(self, latent, size, sigma):
        super().__init__()
        self.layer, self.sigma = nn.Linear(latent, size), sigma

    def forward(self, z, context=None):
        return Normal(self.layer(z), self.sigma)


def linear(head, size, latent, sigma=SIGMA):
    """A head over the data, and a linear decoder."""
    torch.manual_seed(0)
    decoder = Linear(latent, size, sigma)
    return Autoencoder(Same(), head(size, latent), decoder, StandardNormal(latent))


def learn(model, objective, draw, steps, rate=0.02):
    """Adam with a falling rate, on ``draw()`` at every step."""
    moved = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(moved, rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    objective.train()
    for step in range(steps):
        optimizer.zero_grad()
        objective.terms(model, draw(), step).loss().backward()
        optimizer.step()
        falling.step()
    model.eval()
    objective.eval()


def slope(model):
    """r' of the reconstruction r of one number."""
    with torch.no_grad():
        y = model.likelihood(model.encode(torch.tensor([[-1.0], [1.0]]))).mean
    return float(y[1] - y[0]) / 2
