"""What is built where nothing is said, of texts and of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Settings of an objective, or of a slot.
Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Usual:
    """The choices that one kind of data leaves, and the usual ones.

    Attributes:
        data: What the data is called, in the plural.
        encoders: Names of those that fit; the first is the usual one.
        decoders: Likewise.
        latent_dim: D.
        grammar: Its name; None where there is none.
        objectives: Settings of each objective; None is 1 / D.
        regularized: What is other for ``rae`` with a regulariser, by its name.
        untold: What is other for ``rae`` with a decoder that cannot be told of noise.
        slots: Settings of encoders, decoders and heads, by slot and name.
        options: Options that nothing else has, such as a grammar.
    """

    data: str
    encoders: tuple[str, ...]
    decoders: tuple[str, ...]
    latent_dim: int
    grammar: str | None
    objectives: dict[str, Table]
    regularized: dict[str, Table] = field(default_factory=dict)
    untold: Table = field(default_factory=dict)
    slots: dict[str, dict[str, Table]] = field(default_factory=dict)
    options: tuple[str, ...]


#: By what codecs call their ``medium``.
USUAL: Mapping[str, Usual] = {
    "sequences": Usual(
        data="texts",
        encoders=("recurrent", "convolutional"),
        decoders=("autoregressive", "feedforward"),
        latent_dim=56,
        grammar="smiles",
        objectives={
            "rae": {"beta": 0.05, "regularizer": "l2", "weight": 1e-5, "noise": [0.1, 2.0]},
            "vae": {"beta": None, "noise_scale": 1.0},
            "cvvae": {"beta": None},
            "geco": {"constraint": "nats"},
            "wae": {"weight": 10.0},
            "vqvae": {"weight": 0.0},
            "ae": {"weight": 0.0},
        },
        # One level of noise, and a weaker hold on codes, which have less reason to spread.
        untold={"beta": 1e-3, "noise": 0.05},
        slots={
            "encoder": {"recurrent": {"embedding": 128, "hidden": 384}},
            "decoder": {"autoregressive": {"embedding": 128}},
        },
        options=("codec", "grammar", "max_steps", "properties", "property_weight"),
    ),
    # As published for MNIST, 32 x 32 and codes of 16 numbers (Ghosh et al., ICLR 2020), in the
    # units of our objectives, where distortions are summed, for a squared error as it is:
    # ``settings`` makes them another likelihood's. See the docstrings of RAE, VAE and WAE for the
    # conversion. Those for CIFAR-10 and CelebA are others, by up to 65 times (docs/images.md).
    "images": Usual(
        data="images",
        encoders=("image", "image_mnist", "image_celeba", "convdraw"),
        decoders=("image", "image_mnist", "image_celeba", "pixelcnn", "convdraw"),
        latent_dim=16,
        grammar=None,
        objectives={
            "rae": {"beta": 0.064, "regularizer": "none", "weight": 0.0, "noise": 0.0},
            "vae": {"beta": 0.312, "noise_scale": 1.0},
            "cvvae": {"beta": 0.039},
            "geco": {"constraint": "re"},
            "wae": {"weight": 31.0},
            "vqvae": {"weight": 0.0},
            "ae": {"weight": 0.0},
        },
        regularized={
            "l2": {"beta": 0.0128, "weight": 1e-4},
            "gp": {"beta": 0.0128, "weight": 5e-5},
            "sn": {"beta": 1.15, "spectra": "both"},
        },
        slots={"head": {"constant": {"scale": 0.7}}},
        options=("likelihood", "sigma", "width", "image_size", "crop", "condition", "labels"),
    ),
}
