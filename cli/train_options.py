"""The options of ``molae train``: what is built, what it learns from, and how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molae.names import (
    CODECS,
    CONDITIONS,
    CONSTRAINTS,
    CROPS,
    DECODERS,
    DENSITIES,
    ENCODERS,
    GRADIENTS,
    GRAMMARS,
    HEADS,
    LIKELIHOODS,
    OBJECTIVES,
    PROPERTIES,
    REGULARIZERS,
)

from .options import choice, known_list, named

_MODEL, _LENGTH, _MACHINE = "Model", "Length and speed of learning", "Machine"
_TEXTS, _IMAGES = "Molecules and other texts", "Images"


def _usual(value: str) -> str:
    """What an option is where nothing is said."""
    return f"{value}, or that of --from"


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help=".smi .csv .tsv .sdf .parquet, or -; or images: a folder, .npz, idx, digits.",
    ),
]
RunFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN", help="The folder of the model.")
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Fine-tune this run or shipped model; its layers, objective and codec stay.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the training that RUN holds.")]
Validation = Annotated[float, typer.Option(min=0.0, max=0.9, help="Share held out.")]
Objective = Annotated[
    str | None,
    choice(
        OBJECTIVES,
        "objective",
        _MODEL,
        _usual("rae"),
        f"What is minimised: {named(OBJECTIVES)}; see molae objectives.",
    ),
]
Regularizer = Annotated[
    str | None,
    choice(
        REGULARIZERS,
        "regulariser",
        _MODEL,
        _usual("l2, images none"),
        f"Of rae: {named(REGULARIZERS)}.",
    ),
]
Gradient = Annotated[
    str | None,
    choice(
        GRADIENTS,
        "form of the gradient penalty",
        _MODEL,
        _usual("squared"),
        f"Of the regulariser gp: {named(GRADIENTS)}.",
    ),
]
Decoder = Annotated[
    str | None,
    choice(
        DECODERS,
        "decoder",
        _MODEL,
        _usual("autoregressive, images image"),
        f"{named(DECODERS)}; a net for images has both halves.",
    ),
]
Head = Annotated[
    str | None,
    choice(HEADS, "head", _MODEL, "what the objective needs", f"{named(HEADS)}."),
]
Encoder = Annotated[
    str | None,
    choice(ENCODERS, "encoder", _MODEL, _usual("recurrent, images image"), f"{named(ENCODERS)}."),
]
LatentDim = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_MODEL,
        show_default=_usual("56, images 16"),
        help="Numbers in a code.",
    ),
]
Codec = Annotated[
    str | None,
    choice(
        CODECS,
        "codec",
        _TEXTS,
        _usual("grammar"),
        f"{named(CODECS)}; only a grammar promises valid molecules.",
    ),
]
Grammar = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_TEXTS,
        show_default=_usual("smiles"),
        help=f"{named(GRAMMARS)}, or a grammar file of yours (.cfg).",
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_TEXTS,
        show_default="from the data",
        help="Rules in the longest derivation, or characters of the longest SMILES and its "
        "end mark.",
    ),
]
Learnt = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        "-p",
        metavar="NAMES",
        callback=known_list(PROPERTIES, "property"),
        rich_help_panel=_TEXTS,
        show_default=_usual("none"),
        help=f"Learn these with the codes, with commas: {named(PROPERTIES)}.",
    ),
]
PropertyWeight = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_TEXTS,
        show_default=_usual("1"),
        help="What their half squared errors are multiplied with.",
    ),
]
EncoderHidden = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_MODEL,
        show_default=_usual("384, images 512"),
        help="Width of the encoder.",
    ),
]
DecoderHidden = Annotated[
    int | None,
    typer.Option(
        min=1, rich_help_panel=_MODEL, show_default="by decoder", help="Width of the decoder."
    ),
]
Embedding = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_TEXTS,
        show_default=_usual("128"),
        help="Numbers that stand for a rule.",
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIDE|HxW",
        rich_help_panel=_IMAGES,
        show_default="that of the first",
        help="Bring images to this size, such as 32 for MNIST in the paper's net: larger ones "
        "are scaled down, smaller ones are set on black and never enlarged.",
    ),
]
Crop = Annotated[
    str | None,
    choice(CROPS, "crop", _IMAGES, "none", f"Cut them first: {named(CROPS)}."),
]
Likelihood = Annotated[
    str | None,
    choice(LIKELIHOODS, "likelihood", _IMAGES, _usual("gaussian"), f"{named(LIKELIHOODS)}."),
]
Sigma = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_IMAGES,
        show_default="by likelihood",
        help="Its standard deviation; 0.707, that of gaussian, makes it the squared error.",
    ),
]
Width = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_IMAGES,
        show_default=_usual("1"),
        help="Multiply the channels of the net, such as 0.25 of the paper's.",
    ),
]
Components = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_MODEL,
        show_default=_usual("10"),
        help="Gaussians in the density gmm.",
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_MODEL,
        show_default="rae 0.05, vae and cvvae 1 / latent-dim; images as published for MNIST",
        help="Weight of the rate (vae, cvvae) or of the code penalty (rae).",
    ),
]
BetaWarmup = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="STEPS",
        rich_help_panel=_MODEL,
        show_default="none",
        help="Let beta rise from 0 in a straight line over so many steps.",
    ),
]
Weight = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_MODEL,
        show_default="rae 0.00001, wae 10, ae 0; images as published for MNIST",
        help="Weight of the regulariser (rae), of the MMD (wae) or of the squared decoder "
        "weights (ae).",
    ),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL|LOW:HIGH[:POWER]",
        rich_help_panel=_MODEL,
        show_default="rae 0.1:2, cvvae 0.1; images rae 0, cvvae 0.7",
        help="Standard deviation of the noise on codes while training (rae, cvvae); of a "
        "range, which the decoder is told, each molecule has its own (rae), low "
        "ones more often with a power above 1.",
    ),
]
Prior = Annotated[
    str | None,
    choice(DENSITIES, "density", _MODEL, "N(0, I)", "Learn this p(z) with the model."),
]
Condition = Annotated[
    str | None,
    choice(
        CONDITIONS,
        "condition",
        _IMAGES,
        _usual("nothing"),
        f"Tell encoder and decoder: {named(CONDITIONS)}.",
    ),
]
Labels = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_IMAGES,
        show_default="none",
        help="Teach so many labels of each class (aae and iae with --set label_weight=1).",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=_MODEL,
        show_default="none",
        help="Any other setting of the objective, such as samples=50, or of encoder, head, "
        "decoder or prior, such as head.bound=8; may be repeated.",
    ),
]
NoiseScale = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_MODEL,
        show_default="1",
        help="What the noise of drawn codes is multiplied with (vae); the Grammar VAE was "
        "published with 0.01.",
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_LENGTH,
        show_default="20, if nothing else says how long",
        help="Passes over the data.",
    ),
]
Length = Annotated[
    str | None,
    typer.Option(rich_help_panel=_LENGTH, metavar="30m", help="90s, 30m, 2h or 1h30m in all."),
]
Steps = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=_LENGTH, help="Optimisation steps.")
]
Patience = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=_LENGTH,
        help="Stop after so many validations that got no better; not with geco, aae, avb, ali or "
        "iae.",
    ),
]
BatchSize = Annotated[
    int, typer.Option(min=1, rich_help_panel=_LENGTH, help="Molecules or images in a step.")
]
LearningRate = Annotated[
    float, typer.Option(min=0.0, rich_help_panel=_LENGTH, help="At its highest.")
]
Precision = Annotated[
    str,
    typer.Option(rich_help_panel=_MACHINE, help="auto, fp32 or bf16; auto tries which is faster."),
]
Tensorboard = Annotated[
    bool,
    typer.Option("--tensorboard", rich_help_panel=_MACHINE, help="Write its curves too."),
]
Constraint = Annotated[
    str | None,
    choice(CONSTRAINTS, "constraint", _MODEL, "re, texts nats", f"Of geco: {named(CONSTRAINTS)}."),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        rich_help_panel=_MODEL,
        show_default="by constraint",
        help="How far from perfect the constraint may be (geco); see docs/objectives.md.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=1, rich_help_panel=_MODEL, show_default="5", help="Codes of each example (iwae)."
    ),
]
