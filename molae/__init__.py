"""molae: grammar variational and regularised autoencoders for molecules and images."""

__version__ = "0.1.0"
