"""Draw what objectives with critics learn of toys: codes, posteriors, and modes that are covered.

    python -m benchmarks.adversarial_toys
    python -m benchmarks.adversarial_toys --quick --out pictures

Written are benchmarks/results/adversarial_toys.json and, into --out, the same numbers and four
pictures:

- aae.png: codes of an adversarial autoencoder under three priors, each above draws of that prior
  (Makhzani et al. 2015, figure 2). The colours are the classes of the data, 8 x 8 digits.
- four_points.png: posteriors of four points, of a VAE and of AVB (Mescheder et al. 2017, figure
  5).
- iae.png: eight places on a circle; data, draws of a plain GAN, of ALI and of an implicit
  autoencoder (Makhzani 2018, figure 5).
- clusters.png: 8 x 8 digits drawn by a clustering AAE: a row a cluster, a column a style.

With --quick everything is a tenth as long, to see that it runs, and there is no result.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.record import RESULTS, record
from benchmarks.toys import (
    FOUR,
    Vectors,
    autoencoder,
    covered,
    evidence,
    excess,
    modes,
    ring,
    train,
)
from molae.densities import density
from molae.models import Autoencoder
from molae.nn.critics import Critic
from molae.nn.heads import DeltaHead, NormalHead
from molae.nn.implicit_heads import ImplicitHead
from molae.objectives import Model, Objective, objective
from molae.objectives.games import as_true, autoencoder_player, critic_player, told_apart
from molae.pictures import grid, save_png
from molae.types import Batch, Player, Terms

Pixels = NDArray[np.uint8]
Values = dict[str, Any]

#: Side of a panel, and the space around it, in pixels.
PANEL, GAP = 260, 10
#: Colours of classes, in the order of their numbers.
COLOURS = np.array(
    [[66, 105, 208], [239, 177, 24], [255, 114, 92], [60, 169, 81], [156, 107, 78],
     [108, 197, 176], [255, 138, 183], [164, 99, 242], [151, 187, 245], [120, 120, 120]], np.uint8
)  # fmt: skip
#: Steps of each training, how many digits there are, and draws in a picture.
STEPS, DRAWS = 4000, 2000


class GAN(Objective):
    """The plain GAN (Goodfellow et al. 2014), to compare with: the encoder is not used."""

    def __init__(self, pace: float = 1.0, smoothness: float = 0.0) -> None:
        super().__init__()
        self.pace, self.smoothness = pace, smoothness
        self.critic = Critic(2, hidden=(128, 128))

    def players(self, model: Model) -> list[Player]:
        """The decoder and a critic of what it makes."""
        critic = critic_player("critic", self.critic, self._critic_terms, self.pace)
        return [autoencoder_player(model, self.terms, 1.0), critic]

    def terms(self, model: Model, batch: Batch, step: int) -> Terms:
        """-log of the probability that what is made is true."""
        return Terms({"model": as_true(self.critic(self._made(model, batch)))})

    def _critic_terms(self, model: Model, batch: Batch, step: int) -> Terms:
        x = batch.x.clone().requires_grad_()
        with torch.no_grad():
            made = self._made(model, batch)
        return told_apart(self.critic(x), self.critic(made), self.smoothness, x)

    def _made(self, model: Model, batch: Batch) -> Tensor:
        return model.likelihood(model.prior.sample(len(batch.x))).outputs(batch.x)


# Pictures ----------------------------------------------------------------------------------------


def scatter(points: Tensor, colour: Tensor, reach: float) -> Pixels:
    """Points (n, 2) with classes (n,) on white, the plane from -reach to reach: (P, P, 3)."""
    sheet = np.full((PANEL, PANEL, 3), 255, np.uint8)
    place = ((points.numpy() / reach + 1.0) / 2.0 * (PANEL - 2)).round().astype(int)
    seen = ((place >= 0) & (place < PANEL - 2)).all(1)
    for down in (0, 1):
        for right in (0, 1):
            rows, columns = PANEL - 2 - place[seen, 1] + down, place[seen, 0] + right
            sheet[rows.clip(0, PANEL - 1), columns] = COLOURS[colour.numpy()[seen] % len(COLOURS)]
    return sheet


def beside(panels: Sequence[Pixels]) -> Pixels:
    """Panels in a row, with grey space between."""
    space = np.full((panels[0].shape[0], GAP, 3), 230, np.uint8)
    parts = [part for panel in panels for part in (panel, space)]
    return np.concatenate(parts[:-1], 1)


def below(rows: Sequence[Pixels]) -> Pixels:
    """Rows of panels, with grey space between."""
    space = np.full((GAP, rows[0].shape[1], 3), 230, np.uint8)
    parts = [part for row in rows for part in (row, space)]
    return np.concatenate(parts[:-1], 0)


# Toys --------------------------------------------------------------------------------------------


def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, (1797, 64) from 0 to 1, and their classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.from_numpy(found.data / 16.0).float()
    return x, torch.from_numpy(found.target).long()


def aae(steps: int) -> tuple[Pixels, Values]:
    """Codes of digits under three priors."""
    x, y = digits()
    columns, values = [], {}
    for name in ("prior", "mixture", "swiss_roll"):
        model = autoencoder(64, 2, DeltaHead, density(name, dim=2), sigma=0.3)
        goal = objective("aae", weight=40.0, smoothness=0.01, pace=2.0)
        train(model, goal, Vectors(x), steps, rate=2e-3, schedule="cosine")
        with torch.no_grad():
            z, drawn = model.encode(x), model.prior.sample(len(x))
            right = told_apart(goal.critic(drawn), goal.critic(z)).logged
            error = (model.likelihood(z).mean - x).square().sum(1).mean()
        assert right is not None
        values[name] = {
            "critic accuracy": round(right["accuracy"].mean().item(), 3),
            "squared error": round(error.item(), 2),
        }
        reach = 3.5 if name == "prior" else 7.0 if name == "mixture" else 5.0
        grey = torch.full_like(y, 9)
        columns.append(below([scatter(z, y, reach), scatter(drawn, grey, reach)]))
    return beside(columns), values


def four_points(steps: int) -> tuple[Pixels, Values]:
    """Posteriors of four points, of a VAE and of AVB.

    Minus the loss is a bound on log p(x) for the VAE, and an estimate of that bound for AVB.
    """
    data = Vectors(FOUR.repeat(64, 1))
    panels, values = [], {}
    heads: dict[str, Callable[[int, int], nn.Module]] = {"vae": NormalHead, "avb": ImplicitHead}
    for name, head in heads.items():
        model = autoencoder(4, 2, head, sigma=None)
        goal = objective(name) if name == "vae" else objective(name, pace=3.0)
        train(model, goal, data, steps, batch_size=256, rate=2e-3, schedule="cosine")
        with torch.no_grad():
            z = model.posterior(FOUR).rsample((DRAWS // 4,)).flatten(0, 1)
            loss = goal.eval().terms(model, Batch(FOUR.repeat(DRAWS, 1)), steps).loss()
        panels.append(scatter(z, torch.arange(4).repeat(DRAWS // 4), 3.5))
        values[name] = {
            "log p(x), mean": round(evidence(model, FOUR).mean().item(), 4),
            "minus the loss": round(-loss.item(), 4),
            "fourth moment above a normal's": round(excess(model, FOUR).mean().item(), 3),
        }
    values["best"] = {"log p(x), mean": round(-float(np.log(4)), 4)}
    return beside(panels), values


def implicit(steps: int) -> tuple[Pixels, Values]:
    """Eight places on a circle: data, a plain GAN, ALI, IAE.

    A place is covered by half its share of the draws or more.
    """
    x, place = ring(4096)

    def stochastic(hidden: int, latent: int) -> nn.Module:
        return ImplicitHead(hidden, latent, noise=4, local=latent - 1)

    made: dict[str, tuple[Autoencoder, Objective]] = {
        "gan": (autoencoder(2, 3, DeltaHead), GAN()),
        "gan, smooth": (autoencoder(2, 3, DeltaHead), GAN(smoothness=0.1)),
        "ali": (autoencoder(2, 3, ImplicitHead), objective("ali", hidden=[128, 128])),
        "iae": (
            autoencoder(2, 3, stochastic),
            objective("iae", hidden=[128, 128], weight=2.0),
        ),
    }
    panels, values = [scatter(x[:DRAWS], place[:DRAWS], 3.0)], {}
    for name, (model, goal) in made.items():
        train(model, goal, Vectors(x), steps, rate=2e-3, schedule="cosine")
        with torch.no_grad():
            drawn = model.likelihood(model.prior.sample(DRAWS)).mean
        found = modes(drawn)
        share = round(sum(found) / DRAWS, 3)
        values[name] = {
            "modes covered": covered(drawn), "share near a mode": share, "each": found,
        }  # fmt: skip
        panels.append(scatter(drawn, torch.cdist(drawn, ring(8, width=0.0)[0]).argmin(1), 3.0))
    return beside(panels), values


def clusters(steps: int) -> tuple[Pixels, Values]:
    """A clustering AAE of digits, without labels and with a hundred."""
    x, y = digits()
    some = torch.where(torch.arange(len(y)) < 100, y, -1)
    values: Values = {}
    rows: list[Pixels] = []
    for name, weight in (("no labels", 0.0), ("100 labels", 100.0)):
        model = autoencoder(
            64, 16, lambda h, d: ImplicitHead(h, d, noise=0, clusters=10),
            density("clusters", dim=16, clusters=10), sigma=0.3,
        )  # fmt: skip
        goal = objective("aae", pace=2.0, label_weight=weight)
        train(model, goal, Vectors(x, some), steps, rate=2e-3, schedule="cosine")
        with torch.no_grad():
            choice = model.encode(x)[:, :10].argmax(1)
            styles = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
            codes = torch.cat([torch.eye(10)[:, None].expand(-1, 12, -1),
                               styles.expand(10, -1, -1)], -1)  # fmt: skip
            drawn = model.likelihood(codes).mean.clamp(0, 1)  # (10, 12, 64)
        values[name] = {"share named right": round(named_right(choice, y, some), 3)}
        if not weight:
            values[name] = {"share in a cluster of its class": round(majority(choice, y), 3)}
        images = (255 * drawn.view(-1, 8, 8).numpy()).astype(np.uint8)
        rows.append(np.repeat(grid(list(images), len(styles), scale=4), 3, 2))
    return beside(rows), values


def majority(choice: Tensor, y: Tensor) -> float:
    """Share of examples that are of the most frequent class of their cluster."""
    right = [int(torch.bincount(y[choice == k]).max()) for k in choice.unique()]
    return sum(right) / len(y)


def named_right(choice: Tensor, y: Tensor, known: Tensor) -> float:
    """Share of examples without a label whose cluster is their class."""
    unseen = known < 0
    return float((choice[unseen] == y[unseen]).float().mean())


TOYS: dict[str, Callable[[int], tuple[Pixels, Values]]] = {
    "aae": aae,
    "four_points": four_points,
    "iae": implicit,
    "clusters": clusters,
}


def main() -> None:
    """Train and draw all toys, or some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "adversarial_toys")
    parser.add_argument("--only", choices=TOYS, nargs="*", default=list(TOYS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, and no result")
    asked = parser.parse_args()
    steps = max(1, asked.steps // (10 if asked.quick else 1))
    asked.out.mkdir(parents=True, exist_ok=True)
    values: Values = {"steps": steps}
    for name in asked.only:
        start = time.perf_counter()
        picture, found = TOYS[name](steps)
        save_png(picture, asked.out / f"{name}.png")
        values[name] = {**found, "seconds": round(time.perf_counter() - start, 1)}
        print(name, values[name], flush=True)
    (asked.out / "values.json").write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    if not asked.quick and set(asked.only) == set(TOYS):
        print(record("adversarial_toys", values))


if __name__ == "__main__":
    main()
