"""Fréchet distances between sets, each described by the mean and covariance of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What to say where ChemNet is not there.
FCD_MISSING = "not computed: it needs ChemNet; install it with pip install 'molae[fcd]'"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the features of a set.

    Attributes:
        mean: (D,).
        covariance: (D, D), with N - 1 in the denominator.
    """

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, features: ArrayLike) -> Moments:
        """The moments of features (N, D), N at least 2.

        Raises:
            ValueError: There are fewer than two rows.
        """
        table = np.asarray(features, np.float64)
        if table.ndim != 2 or len(table) < 2:
            raise ValueError(f"features of shape {table.shape}; expected (N, D), N at least 2")
        return cls(table.mean(0), np.atleast_2d(np.cov(table, rowvar=False)))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared distance of two Gaussians.

    Dowson and Landau 1982; the square is what FID (Heusel et al. 2017) and FCD (Preuer et al.
    2018) report. C1 C2 has the eigenvalues of R C2 R with R the root of C1, which is symmetric:
    so everything is real and a singular covariance does no harm.

    Raises:
        ValueError: The features differ in number.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features {a.mean.shape} and {b.mean.shape}; expected the same number")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # (D, D)
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    shared = np.sqrt(np.maximum(product, 0)).sum()
    step = a.mean - b.mean
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * shared
    return max(0.0, float(step @ step + spread))  # of equal sets, rounding may fall below


def has_chemnet() -> bool:
    """Whether the features for FCD can be computed: the extra ``fcd`` is installed."""
    return find_spec("fcd_torch") is not None


def chemnet_moments(smiles: Sequence[str], device: str | None = None) -> Moments:
    """Moments of the last hidden layer of ChemNet (512 features), as FCD compares them.

    ChemNet reads the characters of canonical SMILES: those it does not know are all one to it, and
    of several parts with a dot between it sees the first.

    Args:
        smiles: Canonical SMILES, at least two.
        device: Where to compute; None takes a CUDA GPU if there is one.

    Raises:
        ImportError: The extra ``fcd`` is not installed.
        ValueError: There are fewer than two molecules.
    """
    if len(smiles) < 2:
        raise ValueError(f"{len(smiles)} molecules; expected at least 2 for a covariance")
    try:
        from fcd_torch import FCD
    except ImportError as error:
        raise ImportError(f"FCD is {FCD_MISSING} ({error})") from error
    import torch

    place = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    found = FCD(device=place, n_jobs=1).precalc(list(smiles))
    return Moments(np.asarray(found["mu"], np.float64), np.asarray(found["sigma"], np.float64))


def fcd(generated: Sequence[str], reference: Sequence[str], device: str | None = None) -> float:
    """Fréchet ChemNet distance (Preuer et al. 2018), 0 for equal distributions, in ChemNet units.

    It is biased upwards for small sets: compare only values from equally many molecules.

    Raises:
        ImportError: The extra ``fcd`` is not installed.
        ValueError: There are fewer than two molecules on one side.
    """
    moments = [chemnet_moments(smiles, device) for smiles in (generated, reference)]
    return frechet_distance(*moments)
