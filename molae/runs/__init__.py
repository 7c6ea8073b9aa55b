"""Runs: a trained model with everything that belongs to it, built, saved, found and loaded."""

from __future__ import annotations

from molae.runs.build import build
from molae.runs.folder import RunError
from molae.runs.places import find, remember
from molae.runs.run import Run

__all__ = ["Run", "RunError", "build", "find", "remember"]
