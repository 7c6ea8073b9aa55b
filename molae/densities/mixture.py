"""Mixtures of Gaussians: the ex-post density of the RAE paper, and its Bayesian sibling."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from molae.densities.base import LatentDensity, Progress, codes, not_fitted
from molae.densities.normal import affine, normal_log_prob
from molae.draws import inverted
from molae.names import pick

_COVARIANCES = {"full": "a matrix for each component", "diag": "a variance for each dimension"}
#: Steps of the fit between two reports of progress.
_REPORTED = 10
#: Components that hold less than this share of the codes are not counted as in use.
_IN_USE = 1e-3


class Mixture(LatentDensity):
    """A mixture of K Gaussians, fitted by scikit-learn in float64, then held as tensors.

    A component needs D + 1 codes to determine a full covariance (2 for a diagonal one). Where
    there are fewer than that for each of ``components``, fewer components are fitted, with a
    warning.

    Args:
        components: K, at most.
        covariance: ``full`` or ``diag``.
        jitter: Added to the diagonal of every covariance, as a share of the mean variance of a
            dimension of the codes.
        iterations: Of the fit, at most. A mixture that has not settled by then is a density all
            the same (codes without clusters take hundreds for the last hundredths of a nat).
        tolerance: The fit stops when the mean log-density (its bound) rises by less, in nats.
        rows: Fit to this many codes at most, drawn at random from those given. At D = 56 the
            default takes one core a minute at worst, and time grows with the number of codes.
        seed: Of the first guess (k-means) and of the draw.
    """

    #: What people type.
    name: ClassVar[str]

    log_weights: Tensor  # (K,)
    means: Tensor  # (K, D)
    scale_trils: Tensor  # lower triangular, (K, D, D)

    def __init__(
        self,
        components: int,
        covariance: str,
        jitter: float,
        iterations: int,
        tolerance: float,
        rows: int,
        seed: int,
    ) -> None:
        super().__init__()
        if components < 1 or rows < 2 or not jitter > 0:
            raise ValueError(
                "components must be 1 or more, rows 2 or more and jitter above 0, got "
                f"{components}, {rows} and {jitter}"
            )
        if iterations < 1 or not tolerance >= 0:
            raise ValueError(
                "iterations must be 1 or more and tolerance 0 or more, got "
                f"{iterations} and {tolerance}"
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

    @abstractmethod
    def _estimator(self, z: Tensor, **settings: Any) -> Any:
        """scikit-learn's estimator with these settings, for codes z (N, D)."""

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        if not len(self.log_weights):
            raise not_fitted(self.name)
        return self.means.shape[1]

    def described(self) -> str:
        """How many components there are, and how many of them are in use."""
        count, used = len(self.log_weights), int((self.log_weights.exp() >= _IN_USE).sum())
        kind = f"{self.covariance} covariance"
        return f"{count} components, {kind}" + (f", {used} in use" if used < count else "")

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """Expectation and maximisation in turn, from a k-means start, on codes z (N, D).

        Raises:
            ValueError: Fewer than 2 codes, all the same, or not finite.
        """
        z = codes(z, self.name).cpu()
        if len(z) > self.rows:
            chooser = torch.Generator().manual_seed(self.seed)
            z = z[torch.randperm(len(z), generator=chooser)[: self.rows]]
        mixture = self._estimator(
            z,
            n_components=self._affordable(*z.shape),
            covariance_type=self.covariance,
            reg_covar=self.jitter * float(z.var(0, correction=0).mean()),
            tol=self.tolerance,
            random_state=self.seed,
            warm_start=True,  # fits in pieces, each from where the one before stopped
        )
        self._settle(mixture, z, progress)
        covariances = torch.from_numpy(mixture.covariances_)
        if self.covariance == "diag":
            covariances = torch.diag_embed(covariances)
        device = self.means.device
        self.log_weights = torch.from_numpy(mixture.weights_).log().to(device)
        self.means = torch.from_numpy(mixture.means_).to(device)
        self.scale_trils = torch.linalg.cholesky(covariances).contiguous().to(device)
        return self

    def _settle(self, mixture: Any, z: Tensor, progress: Progress | None) -> None:
        """Iterate until nothing changes or there were enough iterations."""
        # Imported here: it takes a second, and only fitting needs it.
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for done in range(0, self.iterations, _REPORTED):
                mixture.max_iter = min(_REPORTED, self.iterations - done)
                mixture.fit(z.numpy())
                if progress is not None:
                    progress((done + mixture.max_iter) / self.iterations)
                if mixture.converged_:
                    return

    def _affordable(self, rows: int, size: int) -> int:
        """How many components ``rows`` codes can determine, at most ``components``."""
        needed = self.codes_needed(size)
        count = min(self.components, max(1, rows // needed))
        if count < self.components or rows < needed:
            warnings.warn(
                f"{rows} codes in {size} dimensions are few for {self.components} components with "
                f"{self.covariance} covariance ({needed} codes each): {count} fitted; "
                "give more codes, or fewer components, or covariance 'diag'",
                stacklevel=3,
            )
        return count

    def codes_needed(self, size: int) -> int:
        """Codes of D = ``size`` dimensions that determine one component."""
        return size + 1 if self.covariance == "full" else 2

    def log_prob(self, z: Tensor) -> Tensor:
        """log of the mixture's density, (..., D) -> (...)."""
        if not len(self.log_weights):
            raise not_fitted(self.name)
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
        which = inverted(self.log_weights.exp(), u[:, 0])
        return affine(u, which, self.means, self.scale_trils)


class GaussianMixture(Mixture):
    """A mixture by maximum likelihood (EM); arguments as for ``Mixture``.

    Ten components with full covariance are the setting of Ghosh et al., *From Variational to
    Deterministic Autoencoders*, ICLR 2020.
    """

    name = "gmm"

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
        super().__init__(components, covariance, jitter, iterations, tolerance, rows, seed)

    def _estimator(self, z: Tensor, **settings: Any) -> Any:
        from sklearn.mixture import GaussianMixture as Reference

        return Reference(**settings)


class BayesianMixture(Mixture):
    """A mixture whose weights have a Dirichlet-process prior, by variational inference.

    The stick-breaking posterior of Blei and Jordan, *Variational inference for Dirichlet process
    mixtures*, Bayesian Analysis 1 (2006), truncated at K components: those that the codes do not
    need are left with next to no weight, so K is a bound rather than a choice. The released code
    of Ghosh et al. (ICLR 2020) fits the same (``GMM_Dirichlet``).

    The density is that of the mixture at the posterior means of weights, means and covariances. It
    is normalised, which the bound that scikit-learn's ``score_samples`` gives is not.

    Args:
        components: K, at most.
        concentration: Of the Dirichlet process; smaller leaves more components empty. None is
            1 / K.
        covariance: As for ``Mixture``; and so are the others.
        jitter: See there.
        iterations: See there.
        tolerance: See there.
        rows: See there.
        seed: See there.
    """

    name = "bayesian"

    def __init__(
        self,
        components: int = 20,
        concentration: float | None = None,
        covariance: str = "full",
        jitter: float = 1e-6,
        iterations: int = 100,
        tolerance: float = 1e-3,
        rows: int = 20_000,
        seed: int = 0,
    ) -> None:
        super().__init__(components, covariance, jitter, iterations, tolerance, rows, seed)
        if concentration is not None and not concentration > 0:
            raise ValueError(f"concentration must be above 0, got {concentration}")
        self.concentration = concentration

    def _estimator(self, z: Tensor, **settings: Any) -> Any:
        from sklearn.mixture import BayesianGaussianMixture as Reference

        # The covariance of all codes, scikit-learn's own choice, but never singular: an empty
        # component has no other.
        prior = torch.cov(z.T).reshape(z.shape[1], z.shape[1])
        prior.diagonal().add_(settings["reg_covar"])
        return Reference(
            weight_concentration_prior=self.concentration,
            covariance_prior=(prior if self.covariance == "full" else prior.diagonal()).numpy(),
            **settings,
        )
