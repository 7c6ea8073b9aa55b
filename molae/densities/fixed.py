"""Densities that are fixed, not fitted: priors with a shape, for adversarial autoencoders.

All are mixtures of many normals, so that they can be drawn from, and have a density too.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor

from molae.densities.base import LatentDensity, Progress, codes, not_fitted
from molae.densities.normal import affine, normal_log_prob

#: Distance of the normals that a swiss roll is made of, in standard deviations: at this one the
#: density along the line goes up and down by less than a thousandth.
_APART = 1.5


class FixedMixture(LatentDensity):
    """A mixture of K normals with equal weights, at places that were fixed beforehand."""

    #: What people type.
    name: ClassVar[str]

    means: Tensor  # (K, D)
    scale_trils: Tensor  # lower triangular, (K, D, D)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("scale_trils", torch.zeros(0, 0, 0, dtype=torch.float64))

    @abstractmethod
    def _components(self, dim: int) -> tuple[Tensor, Tensor]:
        """Means (K, D) and covariances (K, D, D) in float64."""

    @property
    def dim(self) -> int | None:
        """D, or None if it is not known yet."""
        return self.means.shape[1] or None

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.means):
            raise not_fitted(self.name)
        return self.means.shape[1]

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Learn D from z (N, D), nothing else.

        Raises:
            ValueError: z is nothing that a density could be fitted to.
        """
        self._place(codes(z, self.name).shape[1])
        return self

    def _place(self, dim: int | None) -> None:
        """Put the components in place, once D is known."""
        if dim is None:
            return
        means, covariances = self._components(dim)
        self.means = means.to(self.means.device)
        self.scale_trils = torch.linalg.cholesky(covariances).contiguous().to(self.means.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """log of the mixture's density, (..., D) -> (...)."""
        if not len(self.means):
            raise not_fitted(self.name)
        each = [
            normal_log_prob(z, mean, scale_tril)
            for mean, scale_tril in zip(self.means, self.scale_trils, strict=True)
        ]
        value = torch.logsumexp(torch.stack(each), 0) - math.log(len(each))
        return value.to(z.device, torch.promote_types(z.dtype, torch.float32))

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> draws (n, D); the first column chooses the component."""
        count = len(self.means)
        which = (u[:, 0] * count).long().clamp(max=count - 1)
        return affine(u, which, self.means, self.scale_trils)


class RingMixture(FixedMixture):
    """Normals on a circle around the origin in the first two dimensions, like petals.

    The Gaussian mixture of Makhzani et al., *Adversarial Autoencoders*, 2015, figure 2. Each
    normal is longer along the radius than across. The other dimensions are N(0, 1).

    Args:
        dim: D, or None to learn it from ``fit`` or from what is loaded.
        components: K, the number of petals.
        radius: Of the circle that the means lie on.
        along, across: Standard deviations along the radius and across.

    Raises:
        ValueError: A number is not above 0.
    """

    name = "mixture"

    def __init__(
        self,
        dim: int | None = None,
        components: int = 10,
        radius: float = 4.0,
        along: float = 1.0,
        across: float = 0.4,
    ) -> None:
        super().__init__()
        self.components, self.radius = components, radius
        self.along, self.across = along, across
        if components < 1 or min(radius, along, across) <= 0:
            raise ValueError(
                "components must be 1 or more, and radius, along and across above 0; got "
                f"{components}, {radius}, {along} and {across}"
            )
        self._place(dim)

    def _components(self, dim: int) -> tuple[Tensor, Tensor]:
        angle = 2.0 * math.pi * torch.arange(self.components, dtype=torch.float64)
        angle = angle / self.components
        outward = torch.stack([angle.cos(), angle.sin()], -1)  # (K, 2)
        sideways = torch.stack([-angle.sin(), angle.cos()], -1)
        spread = self.along**2 * _squares(outward) + self.across**2 * _squares(sideways)
        return _widened(self.radius * outward, spread, dim)

    def described(self) -> str:
        """How many petals, and where."""
        return f"{self.components} components on a circle of radius {self.radius:g}"


class SwissRoll(FixedMixture):
    """A spiral in the first two dimensions; the other dimensions are N(0, 1).

    As in Makhzani et al., *Adversarial Autoencoders*, 2015, figure 2: points lie on
    r = radius theta / (2 pi turns), as many on each piece of the same length, up to normal noise.
    The line is made of so many normals that it has no gaps.

    Args:
        dim: D, or None to learn it from ``fit`` or from what is loaded.
        turns: Times that it goes around the origin.
        radius: Of its end.
        thickness: Standard deviation of the noise.

    Raises:
        ValueError: A number is not above 0.
    """

    name = "swiss_roll"

    def __init__(
        self,
        dim: int | None = None,
        turns: float = 2.0,
        radius: float = 4.0,
        thickness: float = 0.15,
    ) -> None:
        super().__init__()
        self.turns, self.radius, self.thickness = turns, radius, thickness
        if min(turns, radius, thickness) <= 0:
            raise ValueError(
                "turns, radius and thickness must be above 0; got "
                f"{turns}, {radius} and {thickness}"
            )
        self._place(dim)

    def _components(self, dim: int) -> tuple[Tensor, Tensor]:
        length = math.pi * self.turns * self.radius
        count = math.ceil(length / (_APART * self.thickness))
        # The length of a spiral from its middle goes with the square of the angle.
        share = ((torch.arange(count, dtype=torch.float64) + 0.5) / count).sqrt()
        angle = 2.0 * math.pi * self.turns * share
        means = self.radius * torch.stack([share * angle.cos(), share * angle.sin()], -1)
        spread = self.thickness**2 * torch.eye(2, dtype=torch.float64)
        return _widened(means, spread.expand(count, 2, 2), dim)

    def described(self) -> str:
        """How long it is."""
        return f"{self.turns:g} turns out to radius {self.radius:g}"


class Clusters(FixedMixture):
    """A cluster out of K and a style beside it: [one-hot y | s], s ~ N(0, I).

    The prior of the clustering and the semi-supervised adversarial autoencoder (Makhzani et al.
    2015, sections 4 and 5), to be used with a head that has as many ``clusters``. The corners have
    a little normal noise around them, without which a critic would tell the best softmax from
    them by the last digit.

    Args:
        dim: D = K + the width of the style, or None to learn it from ``fit`` or from what is
            loaded.
        clusters: K.
        blur: Standard deviation around the corners.

    Raises:
        ValueError: There is no cluster, no blur, or a code has less than K numbers.
    """

    name = "clusters"

    def __init__(self, dim: int | None = None, clusters: int = 10, blur: float = 0.05) -> None:
        super().__init__()
        if clusters < 1 or not blur > 0:
            raise ValueError(
                f"clusters must be 1 or more and blur above 0; got {clusters} and {blur}"
            )
        self.clusters, self.blur = clusters, blur
        self._place(dim)

    def _components(self, dim: int) -> tuple[Tensor, Tensor]:
        if dim < self.clusters:
            raise ValueError(
                f"codes of {dim} numbers cannot choose out of {self.clusters} clusters: give "
                f"--latent-dim {self.clusters} or more, or fewer clusters"
            )
        scale = torch.ones(dim, dtype=torch.float64)
        scale[: self.clusters] = self.blur
        corners = torch.eye(self.clusters, dim, dtype=torch.float64)
        return corners, torch.diag(scale.square()).expand(self.clusters, dim, dim)

    def described(self) -> str:
        """How many clusters."""
        return f"{self.clusters} clusters with a normal style beside them"


def _squares(directions: Tensor) -> Tensor:
    """Outer products of unit vectors with themselves, (K, 2) -> (K, 2, 2)."""
    return directions.unsqueeze(-1) * directions.unsqueeze(-2)


def _widened(means: Tensor, covariances: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Two dimensions brought to D: with N(0, 1) in the others, or seen in the first only."""
    kept = min(dim, 2)
    wide = torch.zeros(len(means), dim, dtype=means.dtype)
    wide[:, :kept] = means[:, :kept]
    spread = torch.eye(dim, dtype=means.dtype).repeat(len(means), 1, 1)
    spread[:, :kept, :kept] = covariances[:, :kept, :kept]
    return wide, spread
