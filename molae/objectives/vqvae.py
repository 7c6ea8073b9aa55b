"""The vector-quantised autoencoder."""

from __future__ import annotations

from molae.objectives.rae import AE


class VQVAE(AE):
    """The distortion only, of codes that a quantiser puts together: ``AE`` with the head ``vq``.

    Van den Oord, Vinyals and Kavukcuoglu, *Neural Discrete Representation Learning*, NeurIPS
    2017. Everything that is special about it is the head's, ``molae.nn.quantiser``: the rounding,
    the commitment, which is the part ``penalty``, and the codebook that follows the codes. What is
    drawn afterwards comes from the density ``indices``.

    Args:
        weight: Of the squared decoder weights; 0, as published, leaves them alone.

    Parts: as for ``AE``. Logged: ``code_norm`` (B,) and ``perplexity`` (), how many entries of the
    codebook a batch uses.
    """

    heads = ("vq",)

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__(weight)
