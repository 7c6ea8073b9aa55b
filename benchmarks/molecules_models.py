"""The models of the table on molecules, and what has been published of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Encoder and decoder of Kusner, Paige and Hernandez-Lobato, *Grammar variational autoencoder*,
#: ICML 2017: three convolutions, a dense layer; a dense layer, three GRUs of 501, no teacher.
PUBLISHED: dict[str, Any] = {"encoder": "convolutional", "decoder": "feedforward"}
#: The grammar of that paper for ZINC, without bracket, ring or valence attributes, so that nothing
#: is promised. Sequences are as long as the longest of the data: of ZINC 277 rules, as published.
ZINC: dict[str, Any] = {"grammar": "zinc"} | PUBLISHED
#: V / D, which makes the weights of the KL those of the published code, see ``objectives.VAE``;
#: their ZINC has 76 rules, padding among them, and 35 characters.
RULES, CHARACTERS, DIMENSIONS = 76, 35, 56


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        title: What it is called there.
        settings: Arguments of ``molae.train`` that make it what it is; everything else is the
            product's default and the same for all.
        remark: What a reader must know of its settings.
    """

    title: str
    settings: dict[str, Any] = field(repr=False)
    remark: str


def _rae(regularizer: str, title: str) -> Variant:
    return Variant(
        title,
        ZINC | {"objective": "rae", "regularizer": regularizer, "noise": 0.0},
        "no noise on codes, as in the paper; weights ours",
    )


def _ours(title: str, settings: dict[str, Any]) -> Variant:
    return Variant(
        f"{title}, ours",
        {"grammar": "smiles"} | settings,
        "our grammar, recurrent encoder, autoregressive decoder; defaults of `molae train`",
    )


#: The variants by the name that is typed, in the order of the table.
MODELS: dict[str, Variant] = {
    "cvae": Variant(
        "CVAE",
        PUBLISHED
        | {
            "codec": "characters",
            "objective": "vae",
            "noise_scale": 0.01,
            "beta": round(CHARACTERS / DIMENSIONS, 4),
        },
        "characters; noise and KL weighted as in the published code",
    ),
    "gvae": Variant(
        "GVAE",
        ZINC | {"objective": "vae", "noise_scale": 0.01, "beta": round(RULES / DIMENSIONS, 4)},
        "noise and KL weighted as in the published code",
    ),
    "gcvvae": Variant("GCVVAE", ZINC | {"objective": "cvvae"}, "weights ours"),
    "gwae": Variant("GWAE", ZINC | {"objective": "wae"}, "MMD; its weight ours"),
    "grae-l2": _rae("l2", "GRAE-L2"),
    "grae-gp": _rae("gp", "GRAE-GP"),
    "grae-sn": _rae("sn", "GRAE-SN"),
    "grae-none": _rae("none", "GRAE, no regulariser"),
    "ae": Variant("AE", ZINC | {"objective": "ae"}, "the distortion only"),
    "ours-vae": _ours("VAE", {"objective": "vae"}),
    "ours-cvvae": _ours("CV-VAE", {"objective": "cvvae"}),
    "ours-wae": _ours("WAE", {"objective": "wae"}),
    "ours-l2": _ours("GRAE-L2", {"objective": "rae", "regularizer": "l2"}),
    "ours-gp": _ours("GRAE-GP", {"objective": "rae", "regularizer": "gp"}),
    "ours-sn": _ours("GRAE-SN", {"objective": "rae", "regularizer": "sn"}),
    "ours-none": _ours("GRAE, no regulariser", {"objective": "rae", "regularizer": "none"}),
    "ours-ae": _ours("AE", {"objective": "ae"}),
}


def _but(title: str, **settings: Any) -> Variant:
    return Variant(title, {"grammar": "smiles"} | settings, "")


#: Our model with one thing changed at a time, for docs/training.md. The first is ``molae train``
#: where nothing is said.
STUDY: dict[str, Variant] = {
    "default": _but("default: `rae`, beta 0.05, `l2`, told noise 0.1:2, 56 numbers"),
    "noise-low": _but("one noise of 0.05, beta 0.001", noise=0.05),
    "noise-none": _but("no noise, beta 0.001", noise=0.0),
    "noise-high": _but("one noise of 1, beta 0.05", noise=1.0, beta=0.05),
    "beta-low": _but("beta 0.005", beta=0.005),
    "beta-high": _but("beta 0.5", beta=0.5),
    "latent-28": _but("28 numbers", latent_dim=28),
    "latent-112": _but("112 numbers", latent_dim=112),
    "gp": _but("`gp`", regularizer="gp"),
    "sn": _but("`sn`", regularizer="sn"),
    "none": _but("no regulariser", regularizer="none"),
    "vae": _but("`vae`", objective="vae"),
    "vae-low": _but("`vae`, beta a tenth of the usual", objective="vae", beta=0.0018),
    "wae": _but("`wae`", objective="wae"),
    "geco": _but("`geco`, 0.1 nats a rule", objective="geco"),
}
#: All that may be asked for by name.
VARIANTS = MODELS | STUDY


@dataclass(frozen=True)
class Quoted:
    """What others have reported on ZINC250k, in per cent.

    Attributes:
        title: The model.
        reconstruction: Share of stochastic decodings that give the test molecule back, or None.
        validity: Share of decodings of z ~ N(0, I) that are molecules.
        source: Where from.
        checked: Whether the number was read there; others are from memory.
    """

    title: str
    reconstruction: float | None
    validity: float
    source: str
    checked: bool = False


_PADDLE = "PaddleHelix, apps/molecular_generation/SD_VAE/README"
_DD_VAE = "repository DD-VAE, bo.ipynb"
QUOTED = (
    Quoted("CVAE", 44.6, 0.7, "Gomez-Bombarelli et al. 2018 as in Kusner et al. 2017"),
    Quoted("GVAE", 53.7, 7.2, "Kusner et al. 2017"),
    Quoted("SD-VAE", 76.2, 43.5, "Dai et al. 2018"),
    Quoted("SD-VAE, another implementation", 92.0, 49.0, _PADDLE, checked=True),
    Quoted("JT-VAE", 76.7, 100.0, "Jin et al. 2018"),
    Quoted("RNN VAE, Gaussian proposals", None, 78.3, _DD_VAE, checked=True),
    Quoted("DD-VAE, Gaussian proposals", None, 63.1, _DD_VAE, checked=True),
    Quoted("DD-VAE, tricube proposals", None, 61.4, _DD_VAE, checked=True),
)
#: What stands where a number was not read at its source.
MEMORY = "quoted from memory of the paper, not checked"
