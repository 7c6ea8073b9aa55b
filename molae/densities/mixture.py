"""A mixture of Gaussians: the ex-post density of the RAE paper."""

from __future__ import annotations

import warnings
from typing import Self

import torch
from torch import Tensor

from molae.densities.base import LatentDensity, codes, not_fitted
from molae.densities.normal import affine, normal_log_prob
from molae.names import pick

_COVARIANCES = {"full": "a matrix for each component", "diag": "a variance for each dimension"}


class GaussianMixture(LatentDensity):
    """A mixture of K Gaussians, fitted by scikit-learn's EM in float64, then held as tensors.

    Ten components with full covariance are the setting of Ghosh et al., *From Variational to
    Deterministic Autoencoders*, ICLR 2020.

    A component needs D + 1 codes to determine a full covariance (2 for a diagonal one). Where
    there are fewer than that for each of ``components``, fewer components are fitted, with a
    warning.

    Args:
        components: K, at most.
        covariance: ``full`` or ``diag``.
        jitter: Added to the diagonal of every covariance, as a share of the mean variance of a
            dimension of the codes.
        iterations: Of EM, at most. A mixture that has not settled by then is a density all the
            same (codes without clusters take hundreds for the last hundredths of a nat).
        tolerance: EM stops when the mean log-density rises by less, in nats.
        rows: Fit to this many codes at most, drawn at random from those given. At D = 56 the
            default takes one core a minute at worst, and time grows with the number of codes.
        seed: Of the first guess (k-means) and of the draw.
    """

    log_weights: Tensor  # (K,)
    means: Tensor  # (K, D)
    scale_trils: Tensor  # lower triangular, (K, D, D)

    def __init__(
        self,
        components: int = 10,
        covariance: str = "full",
        jitter: float = 1e-6,
        iterations: int = 100,
        tolerance: float = 1e-3,
        rows: int = 20_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if components < 1 or rows < 2 or not jitter > 0:
            raise ValueError(
                "components must be 1 or more, rows 2 or more and jitter above 0, got "
                f"{components}, {rows} and {jitter}"
            )
        self.components = components
        self.covariance = pick(_COVARIANCES, covariance, "covariance")
        self.jitter = jitter
        self.iterations = iterations
        self.tolerance = tolerance
        self.rows = rows
        self.seed = seed
        self.register_buffer("log_weights", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("scale_trils", torch.zeros(0, 0, 0, dtype=torch.float64))

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.log_weights):
            raise not_fitted("gmm")
        return self.means.shape[1]

    def fit(self, z: Tensor) -> Self:
        """EM from a k-means start on codes z (N, D).

        Raises:
            ValueError: Fewer than 2 codes, all the same, or not finite.
        """
        # Imported here: it takes a second, and only fitting needs it.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Reference

        z = codes(z, "gmm").cpu()
        if len(z) > self.rows:
            chooser = torch.Generator().manual_seed(self.seed)
            z = z[torch.randperm(len(z), generator=chooser)[: self.rows]]
        mixture = Reference(
            self._affordable(*z.shape),
            covariance_type=self.covariance,
            reg_covar=self.jitter * float(z.var(0, correction=0).mean()),
            max_iter=self.iterations,
            tol=self.tolerance,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(z.numpy())
        covariances = torch.from_numpy(mixture.covariances_)
        if self.covariance == "diag":
            covariances = torch.diag_embed(covariances)
        device = self.means.device
        self.log_weights = torch.from_numpy(mixture.weights_).log().to(device)
        self.means = torch.from_numpy(mixture.means_).to(device)
        self.scale_trils = torch.linalg.cholesky(covariances).contiguous().to(device)
        return self

    def _affordable(self, rows: int, size: int) -> int:
        """How many components ``rows`` codes can determine, at most ``components``."""
        needed = size + 1 if self.covariance == "full" else 2
        count = min(self.components, max(1, rows // needed))
        if count < self.components or rows < needed:
            warnings.warn(
                f"{rows} codes in {size} dimensions are few for {self.components} components with "
                f"{self.covariance} covariance ({needed} codes each): {count} fitted; "
                "give more codes, or fewer components, or covariance 'diag'",
                stacklevel=3,
            )
        return count

    def log_prob(self, z: Tensor) -> Tensor:
        """log of the mixture's density, (..., D) -> (...)."""
        if not len(self.log_weights):
            raise not_fitted("gmm")
        # One component after the other: K times less memory than all at once.
        each = [
            weight + normal_log_prob(z, mean, scale_tril)
            for weight, mean, scale_tril in zip(
                self.log_weights, self.means, self.scale_trils, strict=True
            )
        ]
        value = torch.logsumexp(torch.stack(each), 0)
        return value.to(z.device, torch.promote_types(z.dtype, torch.float32))

    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D + 1) -> draws (n, D); the first column chooses the component."""
        edges = self.log_weights.exp().cumsum(0)
        which = torch.searchsorted(edges / edges[-1], u[:, 0].contiguous(), right=True)
        return affine(u, which.clamp(max=len(edges) - 1), self.means, self.scale_trils)
