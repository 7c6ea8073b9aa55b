"""From molecule files to a finished run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from molae.codecs import GrammarCodec, codec_from_dict
from molae.datasets.arrays import SequenceData
from molae.datasets.files import explained
from molae.datasets.splits import split_by_key
from molae.names import DECODERS, OBJECTIVES, pick
from molae.runs.build import ENCODERS, USUAL_HEAD, build
from molae.runs.folder import CARD, CONFIG, GRAMMAR, RunError, begin, finish, read_config
from molae.runs.grow import carry
from molae.runs.places import remember
from molae.runs.run import Run
from molae.training import fit
from molae.workflows.closing import card, fit_densities, measure
from molae.workflows.data import Say, TrainingData, load_data
from molae.workflows.reading import worker_count

#: Passes over the data where nothing is said about the length.
EPOCHS = 20.0


def train(
    files: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    start_from: str | Path | None = None,
    objective: str = "rae",
    regularizer: str = "l2",
    encoder: str = "recurrent",
    head: str | None = None,
    decoder: str = "autoregressive",
    latent_dim: int = 56,
    grammar: str | Path = "smiles",
    max_steps: int | None = None,
    column: str | None = None,
    validation: float = 0.02,
    epochs: float | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    beta: float | None = None,
    weight: float | None = None,
    noise: float | None = None,
    encoder_hidden: int = 384,
    decoder_hidden: int | None = None,
    embedding: int = 128,
    components: int = 10,
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

    Args:
        files: ``.smi .csv .tsv .sdf .parquet``, gzipped or not; ``-`` is standard input.
        output: The run's folder.
        start_from: A run to fine-tune: its sizes and its objective's kind of head and decoder are
            taken over, its rules are kept and those that the data needs are added.
        objective: See ``molae.names.OBJECTIVES``.
        regularizer: Of ``rae``.
        encoder: ``recurrent`` or ``convolutional``.
        head: See ``molae.names.HEADS``; None takes the one that suits the objective.
        decoder: See ``molae.names.DECODERS``.
        latent_dim: D.
        grammar: A shipped name or a ``.cfg`` file.
        max_steps: Longest derivation; None takes the longest of the data and a quarter more.
        column: SMILES column of tables.
        validation: Share of the molecules that is held out, chosen by their text.
        epochs: Passes over the data. Give at most one of ``epochs``, ``seconds`` and ``steps``;
            with none it is ``EPOCHS``.
        seconds: Time of the training proper.
        steps: Optimisation steps.
        batch_size: Molecules in a step.
        learning_rate: At its peak; it rises for a hundred steps and falls as a cosine.
        beta: Weight of the rate (``vae``; 1 / D by default, the Grammar VAE's weight of 1 on its
            mean over dimensions) or of the code (``rae``; 1e-3).
        weight: Of the regulariser, for ``rae``; 1e-5.
        noise: Standard deviation of noise on codes in training, for ``rae``; 0.05.
        encoder_hidden: Width of the encoder's recurrent layer.
        decoder_hidden: Width of the decoder's; None takes the decoder's own default.
        embedding: Width of the rules' embeddings.
        components: Of the mixture ``gmm``.
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
        RunError: ``output`` holds another run, or nothing that could be resumed.
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
    config: dict[str, Any] = {
        "model": {
            "latent_dim": latent_dim,
            "encoder": _encoder(encoder, embedding, encoder_hidden),
            "head": {"name": head or USUAL_HEAD[pick(OBJECTIVES, objective, "objective")]},
            "decoder": _decoder(decoder, embedding, decoder_hidden),
        },
        "objective": _objective(objective, regularizer, beta, weight, noise, latent_dim),
        "densities": {"gaussian": {}, "gmm": {"components": components}},
        "training": {
            "start_from": None if start_from is None else str(start_from),
            "grammar": str(grammar),
            "max_steps": max_steps,
            "validation": validation,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        },
    }
    going = _under_way(folder, resume)
    old = None if start_from is None else Run.load(start_from, "cpu")
    if old is not None:
        config["model"] = old.config["model"]
    data = load_data(
        [files] if isinstance(files, str | Path) else list(files),
        grammar=grammar,
        base=None if old is None else _grammar_codec(old.codec),
        codec=None if going is None else _grammar_codec(codec_from_dict(going["codec"])),
        max_steps=max_steps,
        column=column,
        workers=worker_count(workers),
        cache=cache,
        progress=progress,
    )
    config["data"] = [[source["file"], source["sha256"]] for source in data.sources]
    run = _begun(config, going, data, old, folder, say)
    learnt, held = _split(data.data, validation, seed)
    with _nothing_left_behind(folder):
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
    run.card = card(data, learnt, held, result, command)
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


# Settings ----------------------------------------------------------------------------------------


def _objective(
    name: str,
    regularizer: str,
    beta: float | None,
    weight: float | None,
    noise: float | None,
    latent_dim: int,
) -> dict[str, Any]:
    if name == "rae":
        return {
            "name": name,
            "beta": 1e-3 if beta is None else beta,
            "regularizer": regularizer,
            "weight": 1e-5 if weight is None else weight,
            "noise": 0.05 if noise is None else noise,
        }
    unused = {"weight": weight, "noise": noise} | ({"beta": beta} if name == "ae" else {})
    given = [setting for setting, value in unused.items() if value is not None]
    if given:
        raise ValueError(f"the objective {name!r} has no {' and no '.join(given)}; leave it out")
    if name == "vae":
        return {"name": name, "beta": 1.0 / latent_dim if beta is None else beta}
    return {"name": name}


def _encoder(name: str, embedding: int, hidden: int) -> dict[str, Any]:
    if pick(ENCODERS, name, "encoder") == "convolutional":
        return {"name": name}
    return {"name": name, "embedding": embedding, "hidden": hidden}


def _decoder(name: str, embedding: int, hidden: int | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {"name": pick(DECODERS, name, "decoder")}
    if name == "autoregressive":
        wanted["embedding"] = embedding
    if hidden is not None:
        wanted["hidden"] = hidden
    return wanted


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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and is not a run: choose another folder with -o")
    return None


@contextmanager
def _nothing_left_behind(folder: Path) -> Iterator[None]:
    """Take away what was begun where an error comes before there is anything to resume from."""
    try:
        yield
    except BaseException:
        if _main_process() and not (folder / "checkpoint" / "state.json").exists():
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)
            for name in (CONFIG, GRAMMAR, "history.jsonl", "rejects.csv"):
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
    if going is None and _main_process():
        with _nothing_left_behind(folder), explained(folder):
            begin(run, folder)
            if data.rejected:
                data.write_rejects(folder / "rejects.csv")
    if data.rejected:
        total = len(data.data) + data.rejected
        say(f"{data.rejected} of {total} could not be used, see {folder / 'rejects.csv'}")
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


def _split(data: SequenceData, share: float, seed: int) -> tuple[SequenceData, SequenceData]:
    """What is learnt from, and what is held out."""
    keys = data.keys
    if keys is None:
        raise ValueError("the data has no keys to split it by")
    parts = split_by_key(keys, {"learnt": 1.0 - share, "held": share}, seed)
    if not len(parts["learnt"]):  # a handful of molecules may all fall on the other side
        return data, data.subset([])
    return data.subset(parts["learnt"]), data.subset(parts["held"])
