"""Optimisation in latent space: ask for codes, tell what they score."""

from molae.optimize.optimizer import LatentOptimizer

__all__ = ["LatentOptimizer"]
