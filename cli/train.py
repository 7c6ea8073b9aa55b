"""``molae train``: a model from files of molecules, other texts, or images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from molae.names import (
    CODECS,
    CROPS,
    DECODERS,
    ENCODERS,
    GRADIENTS,
    GRAMMARS,
    HEADS,
    LIKELIHOODS,
    OBJECTIVES,
    PROPERTIES,
    REGULARIZERS,
)

from .errors import Stopped, UsageError
from .options import (
    Column,
    Config,
    Device,
    Quiet,
    Seed,
    Workers,
    choice,
    duration,
    examples,
    known_list,
    named,
    sides,
)
from .output import say, silent, table

EXAMPLES = examples(
    "molae train my.smi -o my-model",
    "molae train my.smi -o my-model --time 30m",
    "molae train actives.csv --column Smiles --from my-model -o tuned --epochs 50",
    "molae train a.smi b.smi -o run --objective vae --beta 0.1 --decoder feedforward",
    "molae train my.smi -o run --codec characters --objective vae --beta-warmup 2000",
    "molae train my.smi -o run --property qed,logp",
    "molae train my.smi -o my-model --resume",
    "molae train images/ -o run --objective rae --regularizer l2 --image-size 32",
)


def levels(text: str | None) -> float | list[float] | None:
    """``0.05`` as a number, ``0.1:2`` as two, ``0.1:2:3`` as three; None stays None.

    Raises:
        typer.BadParameter: It is none of these.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or not all(0 <= number < float("inf") for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is no level of noise; expected a number such as 0.05, or a lowest and a "
            "highest one such as 0.1:2",
            param_hint="'--noise'",
        )
    return numbers[0] if len(numbers) == 1 else numbers


def _usual(value: str) -> str:
    """What an option is where nothing is said."""
    return f"{value}, or that of --from"


_MODEL, _LENGTH, _MACHINE = "Model", "Length and speed of learning", "Machine"
_TEXTS, _IMAGES = "Molecules and other texts", "Images"


def train(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help=".smi .csv .tsv .sdf .parquet, or -; or images: a folder, .npz, idx, digits.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RUN", help="The folder of the model.")
    ],
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Fine-tune this run or shipped model; its layers, objective and codec stay.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that RUN holds.")
    ] = False,
    column: Column = None,
    validation: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share held out.")] = 0.02,
    objective: Annotated[
        str | None,
        choice(
            OBJECTIVES,
            "objective",
            _MODEL,
            _usual("rae"),
            f"What is minimised: {named(OBJECTIVES)}; see molae objectives.",
        ),
    ] = None,
    regularizer: Annotated[
        str | None,
        choice(
            REGULARIZERS,
            "regulariser",
            _MODEL,
            _usual("l2, images none"),
            f"Of rae: {named(REGULARIZERS)}.",
        ),
    ] = None,
    gradient: Annotated[
        str | None,
        choice(
            GRADIENTS,
            "form of the gradient penalty",
            _MODEL,
            _usual("squared"),
            f"Of the regulariser gp: {named(GRADIENTS)}.",
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        choice(
            DECODERS,
            "decoder",
            _MODEL,
            _usual("autoregressive, images image"),
            f"{named(DECODERS)}; a net for images has both halves.",
        ),
    ] = None,
    head: Annotated[
        str | None,
        choice(HEADS, "head", _MODEL, "what the objective needs", f"{named(HEADS)}."),
    ] = None,
    encoder: Annotated[
        str | None,
        choice(
            ENCODERS, "encoder", _MODEL, _usual("recurrent, images image"), f"{named(ENCODERS)}."
        ),
    ] = None,
    latent_dim: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_MODEL,
            show_default=_usual("56, images 16"),
            help="Numbers in a code.",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        choice(
            CODECS,
            "codec",
            _TEXTS,
            _usual("grammar"),
            f"{named(CODECS)}; only a grammar promises valid molecules.",
        ),
    ] = None,
    grammar: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_TEXTS,
            show_default=_usual("smiles"),
            help=f"{named(GRAMMARS)}, or a grammar file of yours (.cfg).",
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_TEXTS,
            show_default="from the data",
            help="Rules in the longest derivation, or characters of the longest SMILES and its "
            "end mark.",
        ),
    ] = None,
    property: Annotated[
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
    ] = None,
    property_weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_TEXTS,
            show_default=_usual("1"),
            help="What their half squared errors are multiplied with.",
        ),
    ] = None,
    encoder_hidden: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_MODEL,
            show_default=_usual("384, images 512"),
            help="Width of the encoder.",
        ),
    ] = None,
    decoder_hidden: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_MODEL, show_default="by decoder", help="Width of the decoder."
        ),
    ] = None,
    embedding: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_TEXTS,
            show_default=_usual("128"),
            help="Numbers that stand for a rule.",
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HxW",
            rich_help_panel=_IMAGES,
            show_default="that of the first",
            help="Bring images to this size, such as 32 for MNIST in the paper's net.",
        ),
    ] = None,
    crop: Annotated[
        str | None,
        choice(CROPS, "crop", _IMAGES, "none", f"Cut them first: {named(CROPS)}."),
    ] = None,
    likelihood: Annotated[
        str | None,
        choice(LIKELIHOODS, "likelihood", _IMAGES, _usual("gaussian"), f"{named(LIKELIHOODS)}."),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_IMAGES,
            show_default="by likelihood",
            help="Its standard deviation; 0.707, that of gaussian, makes it the squared error.",
        ),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_IMAGES,
            show_default=_usual("1"),
            help="Multiply the channels of the net, such as 0.25 of the paper's.",
        ),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_MODEL,
            show_default=_usual("10"),
            help="Gaussians in the density gmm.",
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_MODEL,
            show_default="rae 0.05, vae and cvvae 1 / latent-dim; images as published for MNIST",
            help="Weight of the rate (vae, cvvae) or of the code penalty (rae).",
        ),
    ] = None,
    beta_warmup: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            rich_help_panel=_MODEL,
            show_default="none",
            help="Let beta rise from 0 in a straight line over so many steps.",
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_MODEL,
            show_default="rae 0.00001, wae 10, ae 0; images as published for MNIST",
            help="Weight of the regulariser (rae), of the MMD (wae) or of the squared decoder "
            "weights (ae).",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL|LOW:HIGH[:POWER]",
            rich_help_panel=_MODEL,
            show_default="rae 0.1:2, cvvae 0.1; images rae 0, cvvae 0.7",
            help="Standard deviation of the noise on codes while training (rae, cvvae); of a "
            "range, which the decoder is told, each molecule has its own (rae), low "
            "ones more often with a power above 1.",
        ),
    ] = None,
    noise_scale: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_MODEL,
            show_default="1",
            help="What the noise of drawn codes is multiplied with (vae); the Grammar VAE was "
            "published with 0.01.",
        ),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            rich_help_panel=_LENGTH,
            show_default="20, if nothing else says how long",
            help="Passes over the data.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(rich_help_panel=_LENGTH, metavar="30m", help="90s, 30m, 2h or 1h30m in all."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_LENGTH, help="Optimisation steps.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_LENGTH,
            help="Stop after so many validations that got no better.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, rich_help_panel=_LENGTH, help="Molecules or images in a step.")
    ] = 128,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, rich_help_panel=_LENGTH, help="At its highest.")
    ] = 2e-3,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            rich_help_panel=_MACHINE, help="auto, fp32 or bf16; auto tries which is faster."
        ),
    ] = "auto",
    workers: Workers = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", rich_help_panel=_MACHINE, help="Write its curves too."),
    ] = False,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Train a model on molecules, other texts or images, or fine-tune one with --from.

    Stop it with Ctrl-C or kill it: the same command with --resume goes on.
    """
    seconds = duration(time)
    _one_length(epochs=epochs, time=seconds, steps=steps)
    from molae.training import TrainingInterrupted
    from molae.workflows.info import info
    from molae.workflows.train import train as work

    try:
        run = work(
            files, output, start_from=start_from, objective=objective, regularizer=regularizer,
            gradient=gradient, encoder=encoder, head=head, decoder=decoder,
            latent_dim=latent_dim, codec=codec, grammar=grammar, max_steps=max_steps,
            properties=property or (), property_weight=property_weight, column=column,
            validation=validation, epochs=epochs, seconds=seconds, steps=steps,
            batch_size=batch_size, learning_rate=learning_rate, beta=beta,
            beta_warmup=beta_warmup, weight=weight, noise=levels(noise),
            noise_scale=noise_scale, encoder_hidden=encoder_hidden,
            decoder_hidden=decoder_hidden, embedding=embedding, image_size=sides(image_size),
            crop=crop, likelihood=likelihood, sigma=sigma, width=width, components=components,
            patience=patience, seed=seed, device=device, precision=precision, resume=resume,
            tensorboard=tensorboard, progress=not quiet, workers=workers,
            command=shlex.join(["molae", *sys.argv[1:]]), say=silent if quiet else say,
        )  # fmt: skip
    except (KeyboardInterrupt, TrainingInterrupted) as error:
        raise Stopped(_how_to_go_on(output)) from error
    if not quiet:
        table(info(run).items())
        say(f"Try: molae generate -m {shlex.quote(str(output))} -n 20 -o {run.codec.items}.png")


def _how_to_go_on(output: Path) -> str:
    """What to type after Ctrl-C."""
    if (output / "card.json").is_file():
        return f"The training was done already, and {output} can be used."
    if not (output / "config.json").is_file():
        return "Nothing was begun yet; run the same command again."
    words = sys.argv[1:] if "--resume" in sys.argv else [*sys.argv[1:], "--resume"]
    return f"The training is saved; go on with: molae {shlex.join(words)}"


def _one_length(**lengths: float | None) -> None:
    given = [f"--{name}" for name, value in lengths.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} both say how long; give one of them")
