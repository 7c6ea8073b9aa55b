"""Encoders and decoders of sequences, in one place."""

from __future__ import annotations

from molae.nn.autoregressive import AutoregressiveDecoder, double_backward
from molae.nn.encoders import ConvolutionalEncoder, RecurrentEncoder
from molae.nn.feedforward import FeedForwardDecoder
from molae.nn.likelihood import SequenceLikelihood

__all__ = [
    "AutoregressiveDecoder",
    "ConvolutionalEncoder",
    "FeedForwardDecoder",
    "RecurrentEncoder",
    "SequenceLikelihood",
    "double_backward",
]
