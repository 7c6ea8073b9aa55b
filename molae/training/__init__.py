"""The one loop: ``fit`` trains any model with any objective, and a killed run goes on exactly."""

from __future__ import annotations

from molae.training.checkpoint import CheckpointError
from molae.training.sampler import Data
from molae.training.start import fit
from molae.training.state import TrainingDiverged, TrainingInterrupted, TrainingResult

__all__ = [
    "CheckpointError",
    "Data",
    "TrainingDiverged",
    "TrainingInterrupted",
    "TrainingResult",
    "fit",
]
