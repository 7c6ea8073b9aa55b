"""For those who think in ``fit``, ``transform`` and ``inverse_transform``."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from molae.names import REFINE
from molae.runs.run import Run
from molae.workflows.train import train


class MoleculeEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """SMILES to codes and back, as a scikit-learn transformer.

    Rows stay where they are: what cannot be used is left out of training, has a code of NaN, and
    comes back as None.

    Args:
        model: A run folder or a shipped name, which ``fit`` only loads; None trains a model on
            what ``fit`` is given.
        epochs: Passes over the data, where it trains.
        latent_dim: D, where it trains.
        seed: Of the training.
        device: Where the model computes.

    Attributes:
        run_: The model, after ``fit``.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        epochs: float = 20.0,
        latent_dim: int = 56,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.model, self.epochs, self.latent_dim = model, epochs, latent_dim
        self.seed, self.device = seed, device

    def fit(self, X: Sequence[str], y: object = None) -> Self:
        """Load the model, or train one on SMILES; those that cannot be used are left out.

        Raises:
            ValueError: The model cannot be loaded, or none of the SMILES can be used.
        """
        if self.model is not None:
            self.run_ = Run.load(self.model, self.device)
            return self
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "training.smi")
            # A list ends SMILES at a blank; what holds one is no SMILES.
            lines = [text for text in X if isinstance(text, str) and text.split() == [text]]
            source.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
            self.run_ = train(
                source,
                Path(folder, "run"),
                epochs=self.epochs,
                latent_dim=self.latent_dim,
                seed=self.seed,
                device=self.device,
                progress=False,
                remembered=False,
            )
        self.run_.folder = None
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float32]:
        """Codes (n, D) of n SMILES; NaN, and one warning, for those that cannot be encoded.

        ``run_.encode`` refuses instead. Like there, codes are corrected where the molecule does
        not come back.
        """
        check_is_fitted(self)
        texts = [text if isinstance(text, str) else "" for text in X]
        codes = np.full((len(texts), self.run_.size), np.nan, np.float32)
        if not texts:
            return codes
        encoding = self.run_.codec.parse(texts)
        if encoding.rejects:
            first = encoding.rejects[0]
            warnings.warn(
                f"{len(encoding.rejects)} of {len(texts)} cannot be encoded and have codes of "
                f"NaN; the first is number {first.index}, {first.text!r}: {first.reason}",
                stacklevel=2,
            )
        if len(encoding.kept):
            codes[encoding.kept] = self.run_.codes(encoding.padded(), REFINE).numpy()
        return codes

    def inverse_transform(self, Z: NDArray[Any]) -> list[str | None]:
        """Canonical SMILES of codes (n, D); None for codes that are not finite."""
        check_is_fitted(self)
        codes = np.asarray(Z, dtype=np.float32)
        texts: list[str | None] = [None] * len(codes)
        rows = np.flatnonzero(np.isfinite(codes).all(-1))
        found = self.run_.decode(torch.from_numpy(codes[rows]))
        for row, text in zip(rows, found, strict=True):
            texts[row] = text
        return texts
