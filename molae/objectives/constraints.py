"""What GECO holds a model to: conditions C <= 0 on reconstructions, Table 1 of *Taming VAEs*.

Letters: B batch, C x H x W image, K classes, F features, k side of a window, L windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from molae.names import CONSTRAINTS, pick
from molae.nn.classifier import ImageClassifier
from molae.types import PAD, Batch, Likelihood

#: Local statistics, which need no net, beside the names and folders of classifiers.
LOCAL = "local"
#: Added to the variance of a window, that its root has a gradient where all values are equal.
_FLAT = 1e-4


class ReconstructionConstraint(ABC):
    """A condition C <= 0 on p(x|z) at the data.

    Args:
        tolerance: kappa.

    Attributes:
        medium: What data it is for.
        usual: kappa where nothing is said.
        unit: What a violation is divided by where the multiplier moves by it: the distance in
            which it goes from as much as is allowed to nothing at all.

    Raises:
        ValueError: The tolerance makes no sense.
    """

    medium: ClassVar[str] = "images"
    usual: ClassVar[float]

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self._check()
        self.unit = self._unit()

    def _check(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance}; expected a number above 0")

    def _unit(self) -> float:
        """An allowed mean square: kappa^2."""
        return self.tolerance**2

    @abstractmethod
    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """By how much each example breaks it.

        Args:
            likelihood: p(x|z) of one code for each example, z (B, D).
            batch: B examples.

        Returns:
            C of each example, (B,), with a gradient, and how many values it is a mean of, (B,).
            C of a batch is the mean over all values of its examples.
        """


class _Floor(ReconstructionConstraint):
    """C = kappa - share, for a share that should be high."""

    def _check(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(
                f"tolerance is {self.tolerance}; here it is the least share that is wanted, above "
                "0 and below 1"
            )

    def _unit(self) -> float:
        """What is left to 1."""
        return 1.0 - self.tolerance


class ReconstructionError(ReconstructionConstraint):
    """``re``: C = mean of (x - g(z))^2 over the values of an example - kappa^2.

    kappa is a root mean squared error, of pixels from 0 to 1 where x is an image.
    """

    usual = 0.1

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared errors; of N values each."""
        return _mean_squares(batch.x, _reconstructions(likelihood, batch), self.unit)


class FeatureError(ReconstructionConstraint):
    """``fre``: C = mean of (f(x) - f(g(z)))^2 over features - kappa^2.

    f is the mean and the standard deviation in windows of k x k pixels, each window half over the
    next (``local``), or the last hidden layer of a classifier.

    Args:
        tolerance: kappa, in units of the features.
        features: ``local``, or the name or the folder of a classifier.
        window: k.
    """

    usual = 0.1

    def __init__(self, tolerance: float, features: str = LOCAL, window: int = 4) -> None:
        super().__init__(tolerance)
        self.window = _side(window)
        self.net = None if features == LOCAL else Judge(features)

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared errors of features; of F values each."""
        made = _reconstructions(likelihood, batch)
        return _mean_squares(self._features(batch.x), self._features(made), self.unit)

    def _features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F)."""
        if self.net is not None:
            return self.net(x)[0]
        return local_statistics(x, self.window)


class Classification(_Floor):
    """``cla``: C = kappa - l(x)^T c(g(z)), a floor under the probability of the right class.

    c are the class probabilities that a classifier gives to the reconstruction; l(x) is the label,
    ``batch.y`` where it holds whole numbers, and otherwise the class that the classifier finds for
    x itself. (As printed, without the minus, the constraint would ask for disagreement; a smaller
    kappa is the weaker constraint in the paper too.)

    Args:
        tolerance: kappa, between 0 and 1.
        features: The name or the folder of a classifier.
    """

    usual = 0.9

    def __init__(self, tolerance: float, features: str = "mnist") -> None:
        super().__init__(tolerance)
        self.net = Judge(features)

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """One probability of each example."""
        logits = self.net(_reconstructions(likelihood, batch))[1]
        right = logits.softmax(-1).gather(1, self._labels(batch, logits.shape[1]))
        return self.tolerance - right.squeeze(1), torch.ones_like(right.squeeze(1))

    def _labels(self, batch: Batch, classes: int) -> Tensor:
        """(B, 1) int64."""
        y = batch.y
        if y is None or y.is_floating_point() or y.ndim != 1:
            with torch.no_grad():
                return self.net(batch.x)[1].argmax(-1, keepdim=True)
        if int(y.min()) < 0 or int(y.max()) >= classes:
            raise ValueError(
                f"labels from {int(y.min())} to {int(y.max())}, and the classifier knows "
                f"{classes} classes: name another with features, or leave the labels out"
            )
        return y.long().unsqueeze(1)


class PatchCorrelation(_Floor):
    """``pncc``: C = kappa - mean over i of psi(x, i)^T psi(g(z), i), patches that look alike.

    psi(x, i) is the patch of k x k pixels at place i without its mean and of length 1, so that
    the product is a correlation, from -1 to 1, blind to brightness and contrast. Patches of x in
    which nothing is to be seen have no correlation with anything and are left out; an image of
    only such is taken as it should be.

    Args:
        tolerance: kappa, between 0 and 1.
        window: k; each patch lies half over the next.
    """

    usual = 0.9

    def __init__(self, tolerance: float, window: int = 8) -> None:
        super().__init__(tolerance)
        self.window = _side(window)

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """One mean correlation of each example."""
        made = _reconstructions(likelihood, batch)
        theirs, there = whitened_patches(batch.x, self.window)  # (B, P, L), (B, L)
        alike = (theirs * whitened_patches(made, self.window)[0]).sum(1)
        count = there.sum(1)
        mean = (alike * there).sum(1) / count.clamp(min=1.0)
        return self.tolerance - torch.where(count > 0, mean, 1.0), torch.ones_like(mean)


class NatsPerRule(ReconstructionConstraint):
    """``nats``: C = -log p(x|z) / T - kappa for sequences of T rules (or characters).

    exp(-kappa) is the geometric mean of the probabilities of the right rules.
    """

    medium = "sequences"
    usual = 0.1

    def _unit(self) -> float:
        """kappa."""
        return self.tolerance

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats; of T rules each."""
        count = (batch.x != PAD).sum(1).clamp(min=1)
        missed = -likelihood.log_prob(batch.x)
        return missed / count - self.tolerance, count.to(missed)


class ExactMatch(_Floor):
    """``exact``: C = kappa - share of sequences that greedy decoding gives back.

    A share has no gradient. The multiplier follows the share itself; the gradient is that of
    -log p(x|z), minus the logarithm of the chance that a draw from p(x|z) is exact. That is a
    stand-in: Algorithm 1 with the value of the one and the gradient of the other.
    """

    medium = "sequences"
    usual = 0.9

    def violation(self, likelihood: Likelihood, batch: Batch) -> tuple[Tensor, Tensor]:
        """One share of each example, 0 or 1."""
        missed = -likelihood.log_prob(batch.x)
        value = self.tolerance - likelihood.recovers(batch.x).to(missed)
        return value + missed - missed.detach(), torch.ones_like(missed)


_CLASSES: dict[str, type[ReconstructionConstraint]] = {
    "re": ReconstructionError,
    "fre": FeatureError,
    "cla": Classification,
    "pncc": PatchCorrelation,
    "nats": NatsPerRule,
    "exact": ExactMatch,
}
#: Settings beside the tolerance.
_SETTINGS = {"fre": ("features", "window"), "cla": ("features",), "pncc": ("window",)}


def reconstruction_constraint(
    name: str,
    tolerance: float | None = None,
    features: str | None = None,
    window: int | None = None,
) -> ReconstructionConstraint:
    """A constraint by the name that people type.

    Args:
        name: A key of ``molae.names.CONSTRAINTS``.
        tolerance: kappa; None for what is usual.
        features: Of ``fre`` and ``cla``.
        window: Of ``fre`` and ``pncc``.

    Raises:
        ValueError: Unknown name, a setting that it does not have, or one out of range.
    """
    made = _CLASSES[pick(CONSTRAINTS, name, "constraint")]
    given = {"features": features, "window": window}
    given = {key: value for key, value in given.items() if value is not None}
    for key in given:
        if key not in _SETTINGS.get(name, ()):
            raise ValueError(f"the constraint {name!r} has no {key}; leave it out")
    return made(made.usual if tolerance is None else tolerance, **given)


def constraints_of(medium: str) -> tuple[str, ...]:
    """Names of the constraints on one kind of data, see ``SequenceCodec``."""
    return tuple(name for name, made in _CLASSES.items() if made.medium == medium)


class Judge:
    """A classifier that looks at reconstructions and learns nothing; loaded when it is needed.

    It is no part of the objective's state: it does not change, and a run can be used without it.

    Args:
        name: Of a shipped classifier, or its folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._net: ImageClassifier | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, F) and logits (B, K) of images (B, C, H, W), values in [0, 1].

        Raises:
            ValueError: There is no such classifier.
        """
        if self._net is None:
            self._net = ImageClassifier.load(self.name).requires_grad_(False)
        net = self._net.to(x.device)
        with torch.autocast(x.device.type, enabled=False):
            features, logits = net(net.scaled(net.grey(x.to(net.last.weight.dtype))))
        return features, logits


def local_statistics(x: Tensor, window: int) -> Tensor:
    """Means and standard deviations in windows: x (B, C, H, W) -> (B, 2 C L).

    The standard deviation is the root of the variance and 1e-4, so that it has a gradient.

    Raises:
        ValueError: The window is larger than the image.
    """
    _check_window(x, window)
    step = max(1, window // 2)
    mean = functional.avg_pool2d(x, window, step)
    square = functional.avg_pool2d(x.square(), window, step)
    spread = ((square - mean.square()).clamp(min=0.0) + _FLAT).sqrt()
    return torch.cat([mean.flatten(1), spread.flatten(1)], 1)


def whitened_patches(x: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Patches without their means and of length 1: x (B, C, H, W) -> (B, C k k, L).

    Returns:
        The patches, and for each 1 where something is to be seen, 0 where its variance is not
        above 1e-4, (B, L); those are shorter than 1.

    Raises:
        ValueError: The window is larger than the image.
    """
    _check_window(x, window)
    patches = functional.unfold(x, window, stride=max(1, window // 2))
    patches = patches - patches.mean(1, keepdim=True)
    variance = patches.square().mean(1)
    length = (patches.square().sum(1) + _FLAT).sqrt()
    return patches / length.unsqueeze(1), (variance > _FLAT).to(x.dtype)


def _side(window: int) -> int:
    if window < 2:
        raise ValueError(f"a window of {window} pixels has no spread; expected at least 2")
    return window


def _check_window(x: Tensor, window: int) -> None:
    if x.ndim != 4 or window > min(x.shape[2:]):
        raise ValueError(
            f"a window of {window} x {window} pixels does not fit data of shape {tuple(x.shape)}; "
            "expected images (B, C, H, W) that are larger, or another window"
        )


def _reconstructions(likelihood: Likelihood, batch: Batch) -> Tensor:
    """g(z), in float32 at least: what the decoder puts out, (B, ...)."""
    made = likelihood.outputs(batch.x)
    return made.to(torch.promote_types(made.dtype, torch.float32))


def _mean_squares(x: Tensor, made: Tensor, allowed: float) -> tuple[Tensor, Tensor]:
    """Mean squared error of each example, less what is allowed, and of how many values, (B,)."""
    error = (x.to(made) - made).square().flatten(1)
    return error.mean(1) - allowed, torch.full_like(error[:, 0], error.shape[1])
