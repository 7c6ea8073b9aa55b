"""From molecule files to a finished run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from molae.codecs import GrammarCodec, codec_from_dict
from molae.datasets.arrays import SequenceData
from molae.datasets.files import explained
from molae.datasets.splits import split_by_key
from molae.runs.build import build
from molae.runs.folder import (
    CARD,
    CONFIG,
    GRAMMAR,
    REJECTS,
    RunError,
    begin,
    finish,
    is_free,
    read_config,
)
from molae.runs.grow import carry
from molae.runs.lock import exclusive
from molae.runs.places import remember
from molae.runs.run import Run
from molae.training import fit
from molae.workflows.closing import card, fit_densities, measure
from molae.workflows.data import Say, TrainingData, load_data
from molae.workflows.reading import worker_count
from molae.workflows.settings import Asked, settings

#: Passes over the data where nothing is said about the length.
EPOCHS = 20.0


def train(
    files: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    start_from: str | Path | None = None,
    objective: str | None = None,
    regularizer: str | None = None,
    encoder: str | None = None,
    head: str | None = None,
    decoder: str | None = None,
    latent_dim: int | None = None,
    grammar: str | Path | None = None,
    max_steps: int | None = None,
    column: str | None = None,
    validation: float = 0.02,
    epochs: float | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    beta: float | None = None,
    weight: float | None = None,
    noise: float | None = None,
    encoder_hidden: int | None = None,
    decoder_hidden: int | None = None,
    embedding: int | None = None,
    components: int | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
    command: str | None = None,
    remembered: bool = True,
    say: Say | None = None,
) -> Run:
    """Train a model on molecule files and leave it in a folder, with densities and a card.

    What cannot be used is written to ``rejects.csv`` in the folder. A training that was killed
    goes on from its last checkpoint with ``resume``.

    With ``start_from`` the architecture, the objective and the grammar are those of that run, its
    rules are kept, and those that the data needs are added. What else may be given is said below;
    an option that contradicts the run is an error.

    Args:
        files: ``.smi .csv .tsv .sdf .parquet``, gzipped or not; ``-`` is standard input.
        output: The run's folder.
        start_from: A run to fine-tune, or the name of a shipped model.
        objective: See ``molae.names.OBJECTIVES``; ``rae`` by default.
        regularizer: Of ``rae``; ``l2`` by default.
        encoder: ``recurrent`` (the default) or ``convolutional``.
        head: See ``molae.names.HEADS``; None takes the one that suits the objective.
        decoder: See ``molae.names.DECODERS``; ``autoregressive`` by default.
        latent_dim: D; 56 by default.
        grammar: A shipped name or a ``.cfg`` file; ``smiles`` by default.
        max_steps: Longest derivation; None takes the longest of the data and a quarter more. Not
            less than that of the run that training starts from.
        column: SMILES column of tables.
        validation: Share of the molecules that is held out, chosen by their text.
        epochs: Passes over the data. Give at most one of ``epochs``, ``seconds`` and ``steps``;
            with none it is ``EPOCHS``.
        seconds: Time of the training proper.
        steps: Optimisation steps.
        batch_size: Molecules in a step.
        learning_rate: At its peak; it rises for a hundred steps and falls as a cosine.
        beta: Weight of the rate (``vae``; 1 / D by default, the Grammar VAE's weight of 1 on its
            mean over dimensions) or of the code (``rae``; 1e-3). With ``start_from`` this, weight
            and noise are that run's by default, and may be others.
        weight: Of the regulariser, for ``rae``; 1e-5.
        noise: Standard deviation of noise on codes in training, for ``rae``; 0.05.
        encoder_hidden: Width of the encoder's recurrent layer; 384 by default.
        decoder_hidden: Width of the decoder's; None takes the decoder's own default.
        embedding: Width of the rules' embeddings; 128 by default.
        components: Of the mixture ``gmm``; by default 10, or as in ``start_from``.
        patience: Validations without progress before training stops; None for no early stop.
        seed: Of weights, order, noise and split.
        device: See ``fit``.
        precision: See ``fit``.
        resume: Go on with an unfinished training in ``output``.
        tensorboard: Write curves.
        progress: Show progress on standard error.
        workers: Processes that read molecules; None for one a core.
        cache: Folder for encoded data, instead of beside the files.
        command: The command line, for the card.
        remembered: Make this the run that is meant where none is named.
        say: Called with a sentence now and then.

    Raises:
        RunError: ``output`` holds another run, or nothing that could be resumed; or an option
            contradicts ``start_from``.
        DataError: A file cannot be read, or the disc is full.
        ValueError: A setting makes no sense.
        TrainingInterrupted: Ctrl-C; the run can be resumed.
        TrainingDiverged: Losses are not finite.
    """
    folder, say = Path(output), say or _silent
    if epochs is None and seconds is None and steps is None:
        epochs = EPOCHS
    if not 0 <= validation < 1:
        raise ValueError(f"validation is {validation}; expected a share from 0 to below 1")
    going = _under_way(folder, resume)
    old = None if start_from is None else Run.load(start_from, "cpu")
    asked = Asked(
        objective=objective,
        regularizer=regularizer,
        beta=beta,
        weight=weight,
        noise=noise,
        encoder=encoder,
        head=head,
        decoder=decoder,
        latent_dim=latent_dim,
        encoder_hidden=encoder_hidden,
        decoder_hidden=decoder_hidden,
        embedding=embedding,
        components=components,
        grammar=grammar,
        max_steps=max_steps,
    )
    config = settings(asked, old)
    config["training"] = {
        "start_from": None if start_from is None else str(start_from),
        "grammar": config.pop("grammar"),
        "max_steps": max_steps,
        "validation": validation,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    data = load_data(
        [files] if isinstance(files, str | Path) else list(files),
        grammar=config["training"]["grammar"],
        base=None if old is None else _grammar_codec(old.codec),
        codec=None if going is None else _grammar_codec(codec_from_dict(going["codec"])),
        max_steps=max_steps,
        column=column,
        workers=worker_count(workers),
        cache=cache,
        progress=progress,
    )
    config["data"] = [[source["file"], source["sha256"]] for source in data.sources]
    with _alone(folder, going, resume):
        run = _begun(config, going, data, old, folder, say)
        learnt, held = hold_out(data.data, validation, seed)
        with _nothing_left_behind(folder), explained(folder):
            result = fit(
                run.model,
                run.objective,
                learnt,
                validation=held if len(held) else None,
                epochs=epochs,
                seconds=seconds,
                steps=steps,
                batch_size=min(batch_size, len(learnt)),
                learning_rate=learning_rate,
                seed=seed,
                device=device,
                precision=precision,
                folder=folder,
                resume=resume,
                patience=patience if len(held) else None,
                tensorboard=tensorboard,
                progress=progress,
                unit="molecules" if run.molecules else "texts",
            )
        fit_densities(run, learnt, seed, say)
        run.card = card(data, learnt, held, result, command, restored=patience is not None)
        run.card["metrics"] = measure(run, learnt, held)
        if _main_process():
            with explained(folder):
                finish(run, folder)
            if remembered:
                remember(folder)
        run.folder = folder
        return run


def _silent(_text: str) -> None:
    """Say nothing."""


def _main_process() -> bool:
    """Whether this process writes files; ``torchrun`` and Accelerate number them so."""
    return os.environ.get("RANK", "0") == "0"


def _grammar_codec(codec: object) -> GrammarCodec:
    if not isinstance(codec, GrammarCodec):
        raise RunError("only runs with a grammar can be trained on from here")
    return codec


# The folder --------------------------------------------------------------------------------------


def _under_way(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The settings of the unfinished training in a folder, or None where there is none.

    Raises:
        RunError: The folder is taken.
    """
    if not _main_process() and not resume:
        return None
    if (folder / CARD).is_file():
        raise RunError(
            f"{folder} holds a finished run: choose another folder with -o, or train on from it "
            f"with --from {folder}"
        )
    if (folder / CONFIG).is_file():
        if not resume:
            raise RunError(
                f"{folder} holds an unfinished training: go on with it by --resume, or choose "
                "another folder with -o"
            )
        return read_config(folder)
    if not is_free(folder):
        raise RunError(f"{folder} exists and is not a run: choose another folder with -o")
    return None


@contextmanager
def _alone(folder: Path, going: dict[str, Any] | None, resume: bool) -> Iterator[None]:
    """Be the only training in a folder.

    Raises:
        RunError: Another one is running there, or was begun while the data was read.
    """
    if not _main_process():
        yield
        return
    with ExitStack() as stack:
        with explained(folder):
            stack.enter_context(exclusive(folder))
        if _under_way(folder, resume) != going:
            raise RunError(f"another training has been in {folder} meanwhile: try again")
        yield


@contextmanager
def _nothing_left_behind(folder: Path) -> Iterator[None]:
    """Take away what was begun where an error comes before there is anything to resume from."""
    try:
        yield
    except BaseException:
        if _main_process() and not (folder / "checkpoint" / "state.json").exists():
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)
            for name in (CONFIG, GRAMMAR, "history.jsonl", REJECTS):
                (folder / name).unlink(missing_ok=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _begun(
    config: dict[str, Any],
    going: dict[str, Any] | None,
    data: TrainingData,
    old: Run | None,
    folder: Path,
    say: Say,
) -> Run:
    """The run as it is before the first step; a resumed one is the same to the last bit."""
    if going is not None:
        _check_same(going, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["training"]["seed"])
        run = build(config, data.codec)
    if old is not None:
        new = carry(old, run)
        say(f"starting from {old.folder}: {new} of {data.codec.size} rules are new")
    if _main_process():
        # The rejects first: once there is a config, this is a training to be resumed.
        rejects = folder / REJECTS
        with _nothing_left_behind(folder), explained(folder):
            if data.rejected and (going is None or not rejects.exists()):
                data.write_rejects(rejects)
            if going is None:
                begin(run, folder)
    if data.rejected:
        total = len(data.data) + data.rejected
        say(f"{data.rejected} of {total} could not be used, see {folder / REJECTS}")
    return run


def _check_same(was: dict[str, Any], now: dict[str, Any]) -> None:
    """A resumed training must be the one that was begun.

    Raises:
        RunError: Naming the first difference.
    """
    now = json.loads(json.dumps(now))
    for part in ("training", "model", "objective", "data"):
        if was.get(part) != now[part]:
            raise RunError(
                f"--resume goes on with what was begun: {part} was {was.get(part)}, and is now "
                f"{now[part]}. Give the same command, or choose another folder with -o"
            )


# Before and after the loop -----------------------------------------------------------------------


def hold_out(data: SequenceData, share: float, seed: int) -> tuple[SequenceData, SequenceData]:
    """What is learnt from, and what is held out: by a hash of each text, so it stays the same."""
    keys = data.keys
    if keys is None:
        raise ValueError("the data has no keys to split it by")
    parts = split_by_key(keys, {"learnt": 1.0 - share, "held": share}, seed)
    if not len(parts["learnt"]):  # a handful of molecules may all fall on the other side
        return data, data.subset([])
    return data.subset(parts["learnt"]), data.subset(parts["held"])
