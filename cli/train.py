"""``molae train``: a model from files of molecules, other texts, or images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from .errors import Stopped, UsageError
from .options import (
    Column,
    Config,
    Device,
    Quiet,
    Seed,
    Workers,
    assignments,
    duration,
    examples,
    levels,
    sides,
)
from .output import say, silent, table
from .train_options import (
    BatchSize,
    Beta,
    BetaWarmup,
    Codec,
    Components,
    Condition,
    Constraint,
    Crop,
    Decoder,
    DecoderHidden,
    Embedding,
    Encoder,
    EncoderHidden,
    Epochs,
    Files,
    Gradient,
    Grammar,
    Head,
    ImageSize,
    Labels,
    LatentDim,
    LearningRate,
    Learnt,
    Length,
    Likelihood,
    MaxSteps,
    Noise,
    NoiseScale,
    Objective,
    Patience,
    Precision,
    Prior,
    PropertyWeight,
    Regularizer,
    Resume,
    RunFolder,
    Samples,
    Settings,
    Sigma,
    StartFrom,
    Steps,
    Tensorboard,
    Tolerance,
    Validation,
    Weight,
    Width,
)

EXAMPLES = examples(
    "molae train my.smi -o my-model",
    "molae train my.smi -o my-model --time 30m",
    "molae train actives.csv --column Smiles --from my-model -o tuned --epochs 50",
    "molae train a.smi b.smi -o run --objective vae --beta 0.1 --decoder feedforward",
    "molae train my.smi -o run --codec characters --objective vae --beta-warmup 2000",
    "molae train my.smi -o run --property qed,logp",
    "molae train my.smi -o my-model --resume",
    "molae train images/ -o run --objective rae --regularizer l2 --image-size 32",
    "molae train digits -o run --objective vae --condition label --prior conditional",
    "molae train digits -o run --objective geco --constraint re --tolerance 0.1",
    "molae train digits -o run --objective iwae --samples 50 --set doubly=true",
)


def train(
    files: Files,
    output: RunFolder,
    start_from: StartFrom = None,
    resume: Resume = False,
    column: Column = None,
    validation: Validation = 0.02,
    objective: Objective = None,
    regularizer: Regularizer = None,
    gradient: Gradient = None,
    decoder: Decoder = None,
    head: Head = None,
    encoder: Encoder = None,
    latent_dim: LatentDim = None,
    codec: Codec = None,
    grammar: Grammar = None,
    max_steps: MaxSteps = None,
    property: Learnt = None,
    property_weight: PropertyWeight = None,
    encoder_hidden: EncoderHidden = None,
    decoder_hidden: DecoderHidden = None,
    embedding: Embedding = None,
    image_size: ImageSize = None,
    crop: Crop = None,
    likelihood: Likelihood = None,
    sigma: Sigma = None,
    width: Width = None,
    components: Components = None,
    beta: Beta = None,
    beta_warmup: BetaWarmup = None,
    weight: Weight = None,
    noise: Noise = None,
    prior: Prior = None,
    condition: Condition = None,
    labels: Labels = None,
    constraint: Constraint = None,
    tolerance: Tolerance = None,
    samples: Samples = None,
    options: Settings = None,
    noise_scale: NoiseScale = None,
    epochs: Epochs = None,
    time: Length = None,
    steps: Steps = None,
    patience: Patience = None,
    batch_size: BatchSize = 128,
    learning_rate: LearningRate = 2e-3,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Workers = None,
    tensorboard: Tensorboard = False,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Train a model on molecules, other texts or images, or fine-tune one with --from.

    Stop it with Ctrl-C or kill it: the same command with --resume goes on.
    """
    seconds = duration(time)
    own = {"constraint": constraint, "tolerance": tolerance, "samples": samples}
    given = {name: value for name, value in own.items() if value is not None}
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
            crop=crop, likelihood=likelihood, sigma=sigma, width=width, prior=prior,
            condition=condition, labels=labels,
            options=assignments(options or ()) | given, components=components,
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
