"""What objectives with critics share: costs of being told apart, and the critics' players."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from molae.nn.critics import Critic, reader
from molae.nn.implicit_heads import ImplicitHead
from molae.objectives.base import Model
from molae.types import Batch, Player, Terms

#: What a critic lowers: its terms, with the arguments of ``Objective.terms``.
Moved = Callable[[Any, Batch, int], Terms]


def as_true(logits: Tensor) -> Tensor:
    """-log of the probability that these are true, (B,)."""
    return softplus(-logits)


def as_false(logits: Tensor) -> Tensor:
    """-log of the probability that these are false, (B,)."""
    return softplus(logits)


def told_apart(
    true: Tensor, false: Tensor, smoothness: float = 0.0, points: Tensor | None = None
) -> Terms:
    """What a critic lowers: the binary cross-entropy of its logits for both kinds.

    Critics whose slope costs something let the players settle instead of going in circles (R1 of
    Mescheder, Geiger and Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML
    2018).

    Args:
        true, false: Logits, (B,).
        smoothness: Weight of half the squared slope of each true logit at its own point.
        points: Where the true logits were taken, (B, ...), with a gradient.

    Parts: ``true`` and ``false``, (B,), each log 2 where the critic is at chance; ``smoothness``
    (B,) with its weight, if that is not 0. Logged: ``accuracy`` (B,), 0.5 at chance.
    """
    right = 0.5 * ((true > 0).float() + (false < 0).float())
    parts = {"true": as_true(true), "false": as_false(false)}
    if smoothness and points is not None:
        (slope,) = torch.autograd.grad(true.sum(), points, create_graph=True)
        parts["smoothness"] = 0.5 * smoothness * slope.flatten(1).square().sum(1)
    return Terms(parts, {"accuracy": right})


def autoencoder_player(model: Model, terms: Moved, pace: float | None = None) -> Player:
    """The player of the model's weights, and of no others.

    Args:
        model: Whose weights move.
        terms: To be lowered.
        pace: The learning rate, in units of that of the training, where everything that the model
            lowers is a critic's; None where there is a distortion, and the usual optimiser.
    """
    moved = [p for p in model.parameters() if p.requires_grad]
    return Player("autoencoder", moved, terms, None if pace is None else _adam(pace))


def critic_player(name: str, critic: nn.Module, terms: Moved, pace: float) -> Player:
    """The player of a critic's weights.

    Args:
        name: Of the player.
        critic: Whose weights move.
        terms: To be lowered.
        pace: The learning rate, in units of that of the training.
    """
    return Player(name, list(critic.parameters()), terms, _adam(pace))


def _adam(pace: float) -> Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]:
    """Adam with little momentum: what is aimed at moves (Radford, Metz and Chintala 2016)."""
    return lambda parameters, rate: torch.optim.Adam(parameters, pace * rate, betas=(0.5, 0.999))


def pair_critic(model: Model, latent: int, hidden: Sequence[int]) -> Critic:
    """A critic of data beside the first ``latent`` numbers of codes, for the data of a model."""
    context = int(getattr(model.encoder, "context", 0))
    return Critic(latent, reader(model.encoder), hidden=hidden, context=context)


def numbers(model: Model, label_weight: float = 0.0) -> tuple[int, int]:
    """How many numbers of a code are global, and how many of these choose a cluster.

    See ``ImplicitHead``; of all other heads all numbers are global, and none chooses.

    Args:
        model: Its head says it.
        label_weight: Of labels that are to be learnt.

    Raises:
        ValueError: There are labels to learn and no clusters to learn them with.
    """
    head, size = model.head, int(model.prior.size)
    seen, clusters = size, 0
    if isinstance(head, ImplicitHead):
        seen, clusters = size - head.local, head.clusters
    if label_weight and not clusters:
        raise ValueError(
            "label_weight needs codes that choose a cluster: --head implicit "
            "--set head.clusters=10 --prior clusters"
        )
    return seen, clusters


def label_cost(choice: Tensor, labels: Tensor | None) -> Tensor:
    """-log of the share that a code gives to its label, (B,); 0 where the label is not known.

    Args:
        choice: Soft choices of a cluster, (B, K).
        labels: (B,) int64, below 0 where none is known.

    Raises:
        ValueError: There are no labels, or they are no classes, or there are more than clusters.
    """
    if labels is None or labels.shape != choice.shape[:1] or labels.is_floating_point():
        got = "none" if labels is None else f"{tuple(labels.shape)} {labels.dtype}"
        raise ValueError(
            f"label_weight needs a class of each example as whole numbers (B,), below 0 where it "
            f"is not known, and got {got}: give labels, or leave label_weight at 0"
        )
    known = labels >= 0
    share = choice.gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)
    return torch.where(known, -share.clamp(min=1e-30).log(), 0.0)


def check_critics(pace: float, hidden: Sequence[int], **weights: float) -> tuple[int, ...]:
    """The widths of a critic's hidden layers, after a look at them and at weights.

    Raises:
        ValueError: Something is out of range.
    """
    if not pace > 0:
        raise ValueError(f"pace must be above 0, got {pace}")
    if min(hidden, default=1) < 1:
        raise ValueError(f"hidden layers have widths of 1 or more, got {list(hidden)}")
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name} must not be below 0, got {weight}")
    return tuple(hidden)


def there(critic: Critic | None) -> Critic:
    """A critic that ``prepare`` makes.

    Raises:
        ValueError: It was not called.
    """
    if critic is None:
        raise ValueError("there is no critic yet: call prepare(model) of the objective first")
    return critic
