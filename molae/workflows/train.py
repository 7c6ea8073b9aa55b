"""From files of molecules, texts or images to a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molae.codecs import codec_from_dict
from molae.datasets.arrays import AnyData, DataSet
from molae.datasets.files import explained
from molae.datasets.splits import split_by_key
from molae.objectives import objective_class
from molae.repeatable import seeded
from molae.runs.build import build
from molae.runs.folder import REJECTS, begin, finish
from molae.runs.grow import carry, carry_objective
from molae.runs.places import remember
from molae.runs.run import Run
from molae.training import fit
from molae.types import Schedule
from molae.workflows.asked import Asked
from molae.workflows.closing import card, fit_densities, measure
from molae.workflows.conditions import kept_labels, told
from molae.workflows.data import Say, TrainingData, load_data, medium_of
from molae.workflows.held_out import split_seed
from molae.workflows.place import (
    alone,
    check_same,
    main_process,
    nothing_left_behind,
    under_way,
)
from molae.workflows.reading import worker_count
from molae.workflows.settings import settings
from molae.workflows.targets import agreement, standardised

#: Passes over the data where nothing is said about the length.
EPOCHS = 20.0


def train(
    files: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    start_from: str | Path | None = None,
    objective: str | None = None,
    regularizer: str | None = None,
    gradient: str | None = None,
    encoder: str | None = None,
    head: str | None = None,
    decoder: str | None = None,
    latent_dim: int | None = None,
    codec: str | None = None,
    grammar: str | Path | None = None,
    max_steps: int | None = None,
    properties: Sequence[str] = (),
    property_weight: float | None = None,
    column: str | None = None,
    validation: float = 0.02,
    epochs: float | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    beta: float | Mapping[str, Any] | Schedule | None = None,
    beta_warmup: int | None = None,
    weight: float | None = None,
    noise: float | Sequence[float] | None = None,
    noise_scale: float | None = None,
    encoder_hidden: int | None = None,
    decoder_hidden: int | None = None,
    embedding: int | None = None,
    likelihood: str | None = None,
    sigma: float | None = None,
    width: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    crop: str | None = None,
    prior: str | None = None,
    condition: str | None = None,
    labels: int | None = None,
    options: Mapping[str, Any] | None = None,
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
    """Train a model on files and leave it in a folder, with densities and a card.

    What the files hold decides what is built: molecules and other texts are sequences of rules or
    characters, see ``molae.workflows.usual`` for what is usual of them and of images.

    What cannot be used is written to ``rejects.csv`` in the folder. A training that was killed
    goes on from its last checkpoint with ``resume``.

    With ``start_from`` the architecture, the objective, the properties and the codec are those of
    that run, its rules or characters are kept, and those that the data needs are added. Multiplier
    or critics of the objective go on where its settings are the same, if the run's checkpoint is
    there. What else may be given is said below; an option that contradicts the run is an error.

    Args:
        files: ``.smi .csv .tsv .sdf .parquet``, gzipped or not; ``-`` is standard input. Or
            images: a folder, ``.npz`` and more, see ``molae.datasets.image_files``.
        output: The run's folder.
        start_from: A run to fine-tune, or the name of a shipped model.
        objective: See ``molae.names.OBJECTIVES``; ``rae`` by default.
        regularizer: Of ``rae``; ``l2`` by default, and ``none`` for images.
        gradient: Form of the regulariser ``gp``, see ``molae.names.GRADIENTS``.
        encoder: ``recurrent`` (the default) or ``convolutional``; for images see ``decoder``.
        head: See ``molae.names.HEADS``; None takes the one that suits the objective.
        decoder: See ``molae.names.DECODERS``; ``autoregressive`` by default. For images
            ``image``; a net for images has both halves, and one that is named brings the other.
        latent_dim: D; 56 by default, and 16 for images.
        codec: See ``molae.names.CODECS``; ``grammar`` by default.
        grammar: A shipped name or a ``.cfg`` file; ``smiles`` by default.
        max_steps: Longest derivation, or longest text with its end mark; None takes the longest
            of the data and a quarter more. Not less than that of the run that training starts
            from.
        properties: Names out of ``molae.names.PROPERTIES`` that are learnt with the codes, see
            ``molae.objectives.WithProperties`` and ``Run.predict``. A run that predicts none may
            be trained on with some.
        property_weight: What their part of the loss is multiplied with; 1 by default.
        column: SMILES column of tables.
        validation: Share of the molecules that is held out, chosen by their text.
        epochs: Passes over the data. Give at most one of ``epochs``, ``seconds`` and ``steps``;
            with none it is ``EPOCHS``.
        seconds: Time of the training proper.
        steps: Optimisation steps.
        batch_size: Molecules in a step.
        learning_rate: At its peak; it rises for a hundred steps and falls as a cosine.
        beta: Weight of the rate (``vae``, ``cvvae``; 1 / D by default, which makes it a mean over
            dimensions) or of the code (``rae``; 0.05, or 1e-3 under one level of noise); a
            number, or a schedule, see ``molae.objectives.schedules``. For images beta, weight
            and the noise of ``cvvae`` are by default as published for MNIST, in our units. With
            ``start_from`` this, weight, noise and noise_scale are that run's by default, a
            schedule's at its end, and may be others.
        beta_warmup: Steps in which beta rises from 0 in a straight line; none by default.
        weight: Of the regulariser (``rae``; 1e-5), of the discrepancy (``wae``; 10), or of the
            squared decoder weights (``ae``; 0).
        noise: Standard deviation of noise on codes in training: for ``rae`` the lowest and the
            highest, of which the decoder is told (0.1 and 2; a third number above 1 draws low
            levels more often, see ``RAE``), or one level (0.05 under the decoder
            ``feedforward``, which cannot be told); and that of the posterior under the head
            ``constant`` (``cvvae``; 0.1).
        noise_scale: What the noise of codes is multiplied with before they are decoded, for
            ``vae``; 1 by default. The Grammar VAE was published with 0.01.
        encoder_hidden: Width of the encoder's recurrent or dense layer; 384 by default, and 512
            for images.
        decoder_hidden: Width of the decoder's; None takes the decoder's own default.
        embedding: Width of the rules' embeddings; 128 by default.
        likelihood: Of images, see ``molae.names.LIKELIHOODS``; ``gaussian`` by default.
        sigma: Its standard deviation, see ``molae.nn.image_likelihood.PixelModel``.
        width: What the channels of a net for images are multiplied with; 1 by default.
        image_size: H and W, or both in one number, that images are brought to, larger ones scaled
            down and smaller ones set on black, never enlarged; by default that of the first.
        crop: How images are cut first, see ``molae.pictures.CROPS``; not at all by default.
        prior: p(z) that is learnt with the model, a name out of ``molae.names.DENSITIES``; N(0, I)
            by default.
        condition: What a model of images is told beside the code, see
            ``molae.names.CONDITIONS``; nothing by default.
        labels: So many labels of each class, chosen by the seed, are targets of images that are
            learnt from, for objectives that are taught some (``label_weight``); those of what is
            held out are all known.
        options: Further arguments of the objective's class by name, and of the classes of
            encoder, head, decoder and prior with that word and a dot before, ``head.bound``.
        components: Of the mixture ``gmm``; by default 10, or as in ``start_from``.
        patience: Validations without progress before training stops; None for no early stop.
            For objectives whose losses can be compared, see ``Objective``.
        seed: Of weights, order, noise and split; but what a run that training starts from held out
            of the same data stays held out.
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
    files = [files] if isinstance(files, str | Path) else list(files)
    epochs = _epochs(epochs, seconds, steps)
    _check_share(validation)
    going = under_way(folder, resume)
    old = None if start_from is None else Run.load(start_from, "cpu")
    asked = Asked(
        objective=objective,
        regularizer=regularizer,
        gradient=gradient,
        beta=beta,
        beta_warmup=beta_warmup,
        weight=weight,
        noise=noise,
        noise_scale=noise_scale,
        encoder=encoder,
        head=head,
        decoder=decoder,
        latent_dim=latent_dim,
        encoder_hidden=encoder_hidden,
        decoder_hidden=decoder_hidden,
        embedding=embedding,
        likelihood=likelihood,
        sigma=sigma,
        width=width,
        image_size=image_size,
        crop=crop,
        components=components,
        codec=codec,
        grammar=grammar,
        max_steps=max_steps,
        properties=properties,
        property_weight=property_weight,
        prior=prior,
        condition=condition,
        labels=labels,
        options=options or {},
    )
    config = settings(asked, old, medium_of(files))
    _check_patience(config["objective"]["name"], patience)
    config["training"] = {
        "start_from": None if start_from is None else str(start_from),
        "grammar": config.pop("grammar"),
        "max_steps": max_steps,
        "validation": validation,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "split_seed": seed if old is None else split_seed(old.config),
    } | {
        name: value
        for name, value in (("image_size", image_size), ("labels", labels))
        if value is not None
    }
    data = load_data(
        files,
        grammar=config["training"]["grammar"],
        base=None if old is None else old.codec,
        codec=None if going is None else codec_from_dict(going["codec"]),
        max_steps=max_steps,
        image_size=image_size,
        crop=crop,
        column=column,
        properties=config.get("properties", {}).get("names", ()),
        workers=worker_count(workers),
        cache=cache,
        progress=progress,
    )
    config["data"] = [[source["file"], source["sha256"]] for source in data.sources]
    learnt, held = _parts(config, going, data, old, validation)
    with alone(folder, going, resume):
        run = _begun(config, going, data, old, folder, say)
        with nothing_left_behind(folder), explained(folder):
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
                unit=run.codec.items,
                by_length=not run.objective.mixed_batches,
            )
        fit_densities(run, learnt, seed, say)
        run.card = card(data, learnt, held, result, command, restored=patience is not None)
        run.card["metrics"] = measure(run, learnt, held)
        if run.properties:
            known = held if len(held) else learnt
            run.card["metrics"]["properties"] = agreement(run, known)
        if main_process():
            with explained(folder):
                finish(run, folder)
            if remembered:
                remember(folder)
        run.folder = folder
        return run


def _silent(_text: str) -> None:
    """Say nothing."""


def _epochs(epochs: float | None, seconds: float | None, steps: int | None) -> float | None:
    """Passes over the data, the usual number where nothing says how long."""
    return EPOCHS if epochs is None and seconds is None and steps is None else epochs


def _check_share(validation: float) -> None:
    """Refuse to hold out all there is, or less than nothing.

    Raises:
        ValueError: It is no share.
    """
    if not 0 <= validation < 1:
        raise ValueError(f"validation is {validation}; expected a share from 0 to below 1")


def _check_patience(objective: str, patience: int | None) -> None:
    """Refuse to stop early by a loss that says nothing of the model.

    Raises:
        ValueError: The losses of the objective at two times cannot be compared.
    """
    if patience is not None and not objective_class(objective).comparable:
        raise ValueError(
            f"losses of the objective {objective!r} at different times cannot be compared, since "
            "what it minimises moves: leave --patience out, and say how long with --epochs"
        )


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
        check_same(going, config)
    with seeded(config["training"]["seed"]):
        run = build(config, data.codec)
    if old is not None:
        _carried(old, run, say)
    if main_process():
        # The rejects first: once there is a config, this is a training to be resumed.
        rejects = folder / REJECTS
        with nothing_left_behind(folder), explained(folder):
            if data.rejected and (going is None or not rejects.exists()):
                data.write_rejects(rejects)
            if going is None:
                begin(run, folder)
    if data.rejected:
        total = len(data.data) + data.rejected
        say(f"{data.rejected} of {total} could not be used, see {folder / REJECTS}")
    for remark in data.remarks:
        say(remark)
    return run


def _carried(old: Run, run: Run, say: Say) -> None:
    """Put what a run starts from in place, and say what that is."""
    new, entries = carry(old, run), run.codec.entries
    what = f": {new} of {len(entries)} {run.codec.entry} are new" if entries else ""
    say(f"starting from {old.folder}{what}")
    if remark := carry_objective(old, run):
        say(remark)


def _parts(
    config: dict[str, Any],
    going: dict[str, Any] | None,
    data: TrainingData,
    old: Run | None,
    validation: float,
) -> tuple[DataSet, DataSet]:
    """What is learnt from, and what is held out; with standardised properties if there are any.

    Their means and standard deviations are put into the settings. Those of a training that goes
    on, or of the run that it starts from, are kept: they are part of what the weights mean.
    What a model is told is put beside images, and into the settings too.
    """
    told(data, config, old)
    learnt, held = hold_out(data.data, validation, split_seed(config))
    if "labels" in config["training"]:
        learnt = kept_labels(learnt, config["training"]["labels"], config["training"]["seed"])
    table = config.get("properties")
    if table is None:
        return learnt, held
    before = (going or {}).get("properties") or {}
    if before.get("names") == table["names"]:
        table |= {name: before[name] for name in ("mean", "std")}
    return standardised(table, learnt, held)


def hold_out(data: AnyData, share: float, seed: int) -> tuple[AnyData, AnyData]:
    """What is learnt from, and what is held out: by a hash of each text, so it stays the same."""
    keys = data.keys
    if keys is None:
        raise ValueError("the data has no keys to split it by")
    parts = split_by_key(keys, {"learnt": 1.0 - share, "held": share}, seed)
    if not len(parts["learnt"]):  # a handful of molecules may all fall on the other side
        return data, data.subset([])
    return data.subset(parts["learnt"]), data.subset(parts["held"])
