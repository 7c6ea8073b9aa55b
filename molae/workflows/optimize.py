"""Better molecules with few oracle calls: what ``molae optimize``, ``suggest`` and ``tell`` do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from molae.datasets.files import DataError, cache_folder
from molae.oracles import Equation, Function, Oracle
from molae.oracles.cache import Cache
from molae.oracles.function import Scorer
from molae.oracles.measured import MeasuredOracle
from molae.runs.run import Run
from molae.workflows.campaign.campaign import Campaign, Show
from molae.workflows.campaign.folder import Folder
from molae.workflows.campaign.laboratory import Laboratory, Told, write_suggestions
from molae.workflows.campaign.measured import Measured, nothing_measured, read_measured
from molae.workflows.campaign.opening import (
    Crew,
    open_campaign,
    run_baselines,
    settle,
    signed,
    with_model,
)
from molae.workflows.campaign.report import write_results
from molae.workflows.campaign.settings import (
    GIVEN,
    Say,
    check_fits,
    make_oracle,
    read_start,
)
from molae.workflows.campaign.strategies import (
    baselines_of,
    build,
    check_baselines,
    check_library,
    check_strategy,
)
from molae.workflows.criteria import Criteria


def default_cache() -> Path:
    """The file of answers that all campaigns share.

    Raises:
        DataError: Its folder cannot be made.
    """
    return cache_folder("oracles") / "scores.sqlite"


def optimize(
    output: str | Path,
    oracle: str | Oracle | Scorer | None = None,
    *,
    command: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    oracle_batch: int | None = None,
    requirements: Sequence[str] | None = None,
    filters: Sequence[str] | None = None,
    minimize: bool | None = None,
    calls: int | None = None,
    batch: int | None = None,
    strategy: str | None = None,
    model: str | Path | Run | None = None,
    density: str | None = None,
    surrogate: str | None = None,
    acquisition: str | None = None,
    plausible: float | None = None,
    retrain: str | None = None,
    start: str | Path | Sequence[str] | None = None,
    start_column: str | None = None,
    start_value: str | None = None,
    start_limit: int | None = None,
    start_free: bool | None = None,
    library: str | Path | None = None,
    library_column: str | None = None,
    baselines: Sequence[str] = (),
    initial: int | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
    retry_failed: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    device: str = "auto",
    resume: bool = False,
    rejects: str | Path | None = None,
    typed: str | None = None,
    show: Show = lambda _progress: None,
    say: Say = lambda _text: None,
) -> Campaign:
    """Look for texts with a high score, with few calls of an oracle.

    A call is one new text; repeats and what is not valid are free. Everything is in the folder
    after every batch, and a campaign that was stopped at any moment goes on with ``resume`` as if
    it had not been: then nothing else need be given, and what is given must be as it was, but for
    the number of calls, which may be larger, and ``oracle_batch``.

    None stands for the default, see ``molae.workflows.campaign.settings.DEFAULTS``.

    Args:
        output: The folder.
        oracle: What scores, see ``molae.oracles.oracle``; an oracle; or a function that takes a
            list of texts and returns for each a number or a dict, see ``molae.oracles.Function``.
        command: A program that scores, in place of it, see ``molae.oracles.Command``.
        timeout: Seconds for each text that the program is given; 600.
        retries: How often a failed run of the program for one text is repeated.
        oracle_batch: Texts that a function, or a program that reads them on standard input, is
            given at once, at most; by default its worker's share of ``batch``.
        requirements: Such as ``"mw<500"``; what does not meet them has no score. Genetic
            strategies breed nothing that is outside those of ``heavy_atoms``.
        filters: Names out of ``molae.names.FILTERS``; nor has what they find fault with.
        minimize: Look for a low score.
        calls: The budget; 500.
        batch: Candidates asked for at once; 10.
        strategy: A key of ``molae.names.STRATEGIES``; ``latent``.
        model: A run, its folder or the name of a shipped one; None for the last run made here, or
            the shipped one. Not needed by every strategy.
        density: What is plausible, a density of the run; by default its best.
        surrogate: A key of ``molae.names.SURROGATES``; ``trust_region``.
        acquisition: A key of ``molae.names.ACQUISITIONS``; ``logei``, and ``ucb`` for
            ``gp_genetic``, which does not know ``thompson``.
        plausible: The share of 5,000 codes drawn from the density that are less likely than what
            may be asked; 0.01. Codes of training data are not looked at: a run keeps none.
        retrain: Weighted retraining, see ``molae.workflows.campaign.retrain.parse_retrain``.
        start: Texts to start from: a file, ``training`` for the files that the model was trained
            on, or a list. Where the file has scores these are known and cost nothing; others are
            scored first, and each is a call.
        start_column: Column of texts of the file.
        start_value: Column of scores; by default one that is called ``score``.
        start_limit: Of more texts, the best and others are taken, see
            ``molae.workflows.campaign.measured.chosen``; 10,000. Without scores, any.
        start_free: Score the start outside the budget, as published protocols do. Of one beyond
            the limit all texts are scored where a formula, a task or ``equation`` scores.
        library: Texts to screen, and from which genetic and local strategies take their first
            ones: a file, or ``training``. By default the training data is screened, and the others
            begin with ``start`` alone, or with draws from the model where there is none.
        library_column: Its column of texts.
        initial: Scored texts that these begin with; 50, or as many as ``start`` has.
        baselines: Strategies to compare with, each with as many calls, in folders of their own.
            One that does not know the acquisition takes its own default.
        seed: Of everything that is left to chance.
        cache: File of answers that are known already; None for none.
        retry_failed: Ask again for those that failed before: in this campaign, where the calls
            keep their numbers, and those of which the cache knows a failure.
        workers: Processes that score.
        scheduler: Address of a dask scheduler in place of them.
        device: Of the model and of the surrogate.
        resume: Go on with the campaign in the folder.
        rejects: Where to write what could not be read of the start file.
        typed: The command line, for the report.
        show: Told how far it is.
        say: Told remarks for people.

    Returns:
        The campaign, ended.

    Raises:
        ValueError: An argument makes no sense, or does not go with another.
        CampaignError: The folder holds something else, or a campaign with other settings.
        KeyboardInterrupt: Ctrl-C, or a polite kill; everything is saved.
    """
    given = _given(oracle)
    run = model if isinstance(model, Run) else None
    asked = {
        **{"oracle": oracle if given is None else given.name, "command": command},
        **{"timeout": timeout, "retries": retries, "oracle_batch": oracle_batch},
        **{"requirements": _listed(requirements), "filters": _listed(filters)},
        **{"minimize": minimize, "calls": calls, "batch": batch},
        **{"strategy": strategy},
        **{"model": _named(model), "density": density, "surrogate": surrogate},
        **{"acquisition": acquisition, "plausible": plausible, "retrain": retrain},
        **{"start": _named(start), "start_column": start_column, "start_value": start_value},
        **{"start_limit": start_limit, "start_free": start_free, "library": _named(library)},
        **{"library_column": library_column, "initial": initial, "seed": seed, "typed": typed},
    }
    folder = Folder(Path(output))
    settings = settle(folder, asked, resume, free=("calls", "oracle_batch"))
    settings["baselines"] = list(dict.fromkeys([*settings.get("baselines", ()), *baselines]))
    for each in (settings, *baselines_of(settings).values()):
        check_strategy(each)
    if given is not None:
        settings["oracle_given"] = True
    scorer = make_oracle(settings, given, asked)
    settings, run = with_model(settings, run, device, resume, say)
    check_fits(scorer, settings, _items(run))
    check_library(settings, run)
    check_baselines(settings, run)
    with ExitStack() as stack:
        stack.enter_context(folder.alone())
        kept = None if cache is None else stack.enter_context(Cache(cache))
        crew = Crew(scorer, kept, workers, scheduler, retry_failed, _piece(settings))
        if not resume:
            _begin(folder, settings, crew, run, start, rejects, show, say)
        elif settings != folder.settings():
            folder.begin(settings, folder.start())
        campaign = open_campaign(folder, settings, crew, run, None)
        with campaign.ledger:
            campaign.run(show)
        if settings["baselines"]:
            traces = run_baselines(folder, settings, crew, run, workers=None, show=show)
            molecules = run is None or run.molecules
            write_results(
                folder.path, campaign.record, settings, molecules=molecules, others=traces
            )
        return campaign


def _begin(
    folder: Folder,
    settings: dict[str, Any],
    crew: Crew,
    run: Run | None,
    start: str | Path | Sequence[str] | None,
    rejects: str | Path | None,
    show: Show,
    say: Say,
) -> None:
    """Write what a new campaign begins with."""
    folder.check_free()  # again: now nobody else can begin here
    texts = []
    if start is not None:
        free = partial(crew.score, show=show) if settings["start_free"] else None
        cheap = isinstance(crew.oracle, MeasuredOracle | Equation)
        texts = read_start(
            start, settings, run, rejects=rejects, say=say, score=free if cheap else None
        )
        texts = texts if free is None else free(texts)
    folder.begin(settings, texts)


def _given(oracle: str | Oracle | Scorer | None) -> Oracle | None:
    """An oracle that nobody could make from its name; a function becomes one."""
    if oracle is None or isinstance(oracle, str):
        return None
    return oracle if isinstance(oracle, Oracle) else Function(oracle)


def _named(thing: str | Path | Run | Sequence[str] | None) -> str | None:
    """What a setting calls a file or a model; those from Python have no name."""
    if thing is None or isinstance(thing, Run):
        return None
    if not isinstance(thing, str | Path):
        return GIVEN
    return os.fspath(Path(thing).resolve() if Path(thing).is_dir() else thing)


def _piece(settings: dict[str, Any]) -> int | None:
    """Texts to ask about at once."""
    size: int = settings["oracle_batch"] or settings["batch"]
    return size or None  # a batch of 0 is refused in its own name


def _items(run: Run | None) -> str:
    """What is scored: what the model writes, molecules where there is none."""
    return "molecules" if run is None else run.codec.items


def _listed(texts: Sequence[str] | None) -> list[str] | None:
    return None if texts is None else list(texts)


# The laboratory ----------------------------------------------------------------------------------


def suggest(
    output: str | Path,
    n: int = 24,
    *,
    to: str | Path | None = None,
    requirements: Sequence[str] | None = None,
    filters: Sequence[str] | None = None,
    minimize: bool | None = None,
    strategy: str | None = None,
    model: str | Path | Run | None = None,
    density: str | None = None,
    surrogate: str | None = None,
    acquisition: str | None = None,
    plausible: float | None = None,
    start: str | Path | Sequence[str] | None = None,
    start_column: str | None = None,
    start_value: str | None = None,
    start_limit: int | None = None,
    initial: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    rejects: str | Path | None = None,
    typed: str | None = None,
    say: Say = lambda _text: None,
) -> tuple[Path, list[str]]:
    """Suggest molecules to measure, and write them into a table to be filled in.

    The first call begins the campaign; later ones need the folder only. Arguments as for
    ``optimize``, but:

    Args:
        n: How many.
        to: The table, ``.csv``; by default ``suggestions-1.csv`` and so on in the folder.
        requirements: What a suggestion must meet.
        filters: Which must find no fault with it.
        start: Molecules that are measured already, with their values, or that shall be measured
            first.

    Returns:
        The table, and the molecules.

    Raises:
        ValueError, CampaignError: As for ``optimize``; or the campaign has an oracle.
    """
    asked = {
        **{"requirements": _listed(requirements), "filters": _listed(filters)},
        **{"minimize": minimize, "strategy": strategy},
        **{"model": _named(model), "density": density, "surrogate": surrogate},
        **{"acquisition": acquisition, "plausible": plausible, "start": _named(start)},
        **{"start_column": start_column, "start_value": start_value},
        **{"start_limit": start_limit, "initial": initial, "seed": seed, "typed": typed},
    }
    folder = Folder(Path(output))
    going = folder.begun
    settings = settle(folder, asked, going, laboratory=True)
    settings |= {"laboratory": True, "calls": None}
    check_strategy(settings)
    given = model if isinstance(model, Run) else None
    settings, run = with_model(settings, given, device, going, say)
    check_fits(None, settings, _items(run))
    with folder.alone():
        if not going:
            folder.check_free()
            texts = []
            if start is not None:
                texts = read_start(start, settings, run, rejects=rejects, say=say)
            folder.begin(settings, texts)
        laboratory = _laboratory(folder, settings, run)
        found = laboratory.suggest(n)
        place = folder.path / f"suggestions-{laboratory.round}.csv" if to is None else Path(to)
        if found:
            write_suggestions(place, found, laboratory.round)
        laboratory.save()  # after the table: what could not be written was not suggested
        _write_laboratory(laboratory, settings, run)
    return place, found


def tell(
    output: str | Path,
    results: str | Path,
    *,
    column: str | None = None,
    value: str | None = None,
    model: Run | None = None,
    device: str = "auto",
    workers: int | None = None,
    rejects: str | Path | None = None,
) -> tuple[Measured, Told]:
    """Read measured values back into a laboratory's campaign.

    Rows may come in any order, and be missing. Several values of a molecule are averaged. Rows
    without a value are not measured yet. Molecules that were not suggested are welcome.

    Args:
        output: The folder.
        results: A table with a column of SMILES and one of values.
        column: The column of SMILES; guessed if None.
        value: The column of values; by default one that is called ``score`` or the like.
        model: The model, where the campaign was begun with one that lies in no folder.
        device: Of the model.
        workers: Processes that read molecules.
        rejects: Where to write what could not be used, and why.

    Returns:
        What the table says, and what was new in it.

    Raises:
        DataError: The table cannot be read, has no such column, or no value that can be used.
        CampaignError: There is no such campaign, or it has an oracle.
    """
    folder = Folder(Path(output))
    settings = settle(folder, {}, True, laboratory=True)
    settings, run = with_model(settings, model, device, True)
    molecules = run is None or run.molecules
    with folder.alone():
        measured = read_measured(
            results, molecules=molecules, column=column, value=value, workers=workers,
            rejects=rejects,
        )  # fmt: skip
        if not measured.values:
            raise DataError(nothing_measured(results, measured))
        laboratory = _laboratory(folder, settings, run)
        told = laboratory.tell(measured.values)
        _write_laboratory(laboratory, settings, run)
    return measured, told


def _laboratory(folder: Folder, settings: dict[str, Any], run: Run | None) -> Laboratory:
    """The laboratory of a folder that was begun, at the point that it had reached."""
    start = signed(folder.start(), settings["minimize"])
    laboratory = Laboratory(
        build(settings, run, start, None),
        folder,
        minimize=settings["minimize"],
        criteria=Criteria.typed(
            requirements=settings["requirements"], filters=settings["filters"]
        ),
    )
    laboratory.restore()
    return laboratory


def _write_laboratory(laboratory: Laboratory, settings: dict[str, Any], run: Run | None) -> None:
    molecules = run is None or run.molecules
    write_results(laboratory.folder.path, laboratory.record, settings, molecules=molecules)
