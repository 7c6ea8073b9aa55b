"""Strategies by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molae.datasets.readers import Reader, smiles_of
from molae.names import ACQUISITIONS, STRATEGIES, SURROGATES, pick
from molae.optimize import LatentOptimizer
from molae.runs.run import Run
from molae.workflows.campaign.baselines import LocalSearch, Sampling, Screening
from molae.workflows.campaign.latent import LatentStrategy
from molae.workflows.campaign.retrain import Retrainer, parse_retrain
from molae.workflows.campaign.settings import TRAINING, Start, files_of, is_laboratory
from molae.workflows.campaign.strategy import Strategy
from molae.workflows.reading import worker_count

#: Strategies that propose what the model writes, and those that know molecules only.
_OF_MODELS = ("latent", "sampling", "local")
_OF_MOLECULES = ("genetic", "gp_genetic")
#: Strategies that do not know all acquisition functions, with those that they know.
_ON_FINGERPRINTS = {"gp_genetic": {name: ACQUISITIONS[name] for name in ("logei", "ucb")}}
#: Strategies that have no use for a library.
_OF_CODES = {"latent", "sampling"}
#: Between the seeds of optimisers that follow each other in a campaign.
_APART = 1_000_003


def check_strategy(settings: Mapping[str, Any]) -> None:
    """Whether a strategy can be made, as far as that can be seen before anything is loaded.

    Raises:
        ValueError: A name is unknown, or an option does not go with the strategy.
    """
    name = pick(STRATEGIES, settings["strategy"], "strategy")
    pick(SURROGATES, settings["surrogate"], "surrogate")
    if settings["acquisition"] is not None:
        pick(ACQUISITIONS, settings["acquisition"], "acquisition")
        if name in _ON_FINGERPRINTS:
            pick(_ON_FINGERPRINTS[name], settings["acquisition"], f"acquisition of {name!r}")
    if settings["retrain"] is not None:
        parse_retrain(settings["retrain"])
        if name != LatentStrategy.name:
            raise ValueError(
                f"retraining goes with the strategy 'latent', and this is {name!r}: leave it out"
            )


def check_library(settings: Mapping[str, Any], run: Run | None) -> None:
    """Whether there is a library where one is needed: baselines ask for it when calls are made.

    Raises:
        DataError: It cannot be read.
        RunError: The training data of the model are the library, and are not found.
    """
    names = {settings["strategy"], *settings.get("baselines", ())}
    if "screening" in names or (settings["library"] is not None and not names <= _OF_CODES):
        for path in _library(settings, run):
            if path != Path("-"):  # what is read from there is gone
                _opened(path, settings, run).close()


def baselines_of(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each baseline of a campaign, by its strategy: the campaign's own.

    But none is retrained, and one that does not know the acquisition function takes its default.
    """
    found = {}
    for name in settings.get("baselines", ()):
        own = {**settings, "strategy": name, "retrain": None, "baselines": []}
        if own["acquisition"] not in _ON_FINGERPRINTS.get(name, ACQUISITIONS):
            own["acquisition"] = None
        found[name] = own
    return found


def check_baselines(settings: Mapping[str, Any], run: Run | None) -> None:
    """Whether the baselines of a campaign can be made: better now than when it is paid for.

    Their library is not read, see ``check_library``: one molecule stands for it, and for a start.

    Raises:
        ValueError: One does not go with the model, or with a setting.
    """
    for name, own in baselines_of(settings).items():
        if name != Screening.name:
            _made(own, run, [], 1, Screening(["C"]))


def needs_model(settings: Mapping[str, Any]) -> bool:
    """Whether a campaign uses a model: to propose, to begin with draws, or to find its data."""
    names = {settings["strategy"], *settings.get("baselines", ())}
    start, library = settings["start"], settings["library"]
    if not names.isdisjoint(_OF_MODELS) or TRAINING in (start, library):
        return True
    return library is None and ("screening" in names or start is None)


def build(
    settings: Mapping[str, Any], run: Run | None, start: Start, workers: int | None
) -> Strategy:
    """A new strategy.

    Args:
        settings: Of the campaign.
        run: The model, see ``needs_model``. It is not changed.
        start: Texts to start from; scores are such that higher is better.
        workers: Processes that read molecules.

    Raises:
        ValueError: The strategy does not go with the model.
        DataError: The library cannot be read.
        RunError: The training data of the model are the library, and are not found.
    """
    if settings["strategy"] == Screening.name:
        return _screening(settings, run)
    return _made(settings, run, start, workers, None)


def _made(
    settings: Mapping[str, Any],
    run: Run | None,
    start: Start,
    workers: int | None,
    first: Strategy | None,
) -> Strategy:
    """Any strategy but screening; others begin with what ``first`` proposes, see ``_first``."""
    name, seed = settings["strategy"], settings["seed"]
    if run is not None and not run.molecules and name in _OF_MOLECULES:
        raise ValueError(f"the strategy {name!r} is of molecules, and this model writes none")
    if name == "latent":
        return _latent(settings, _there(run), start, worker_count(workers))
    if name == "sampling":
        return Sampling(_there(run), seed=seed, density=settings["density"])
    first = _first(settings, run, start) if first is None else first
    begin = _initial(settings, start)
    if name == "local":
        return LocalSearch(_there(run), first=first, seed=seed, **begin)
    # Imported here: what others need not, takes time.
    from molae.workflows.campaign.genetic import Genetic, GpGenetic, limits_of

    if name == "genetic":
        return Genetic(first, limits=limits_of(settings["requirements"]), seed=seed, **begin)
    return GpGenetic(
        first,
        acquisition=settings["acquisition"] or "ucb",
        limits=limits_of(settings["requirements"]),
        seed=seed,
        **begin,
    )


def _there(run: Run | None) -> Run:
    """The model of a strategy that needs one."""
    if run is None:
        raise ValueError("this strategy needs a model: name one with -m RUN")
    return run


def _initial(settings: Mapping[str, Any], start: Start) -> dict[str, Any]:
    """How many texts with a score strategies begin with that improve on others.

    Where there is a start and nothing else is said, what has a score of it is enough.
    """
    if settings["initial"] is not None:
        return {"initial": settings["initial"]}
    return {"initial": 1} if start and settings["library"] is None else {}


def _first(settings: Mapping[str, Any], run: Run | None, start: Start) -> Strategy:
    """What proposes the first texts of strategies that improve on others."""
    if settings["library"] is not None:
        return _screening(settings, run)
    if run is None:  # the start is all that there is
        return Screening([text for text, _ in start], seed=settings["seed"])
    return Sampling(_there(run), seed=settings["seed"], density=settings["density"])


def _screening(settings: Mapping[str, Any], run: Run | None) -> Screening:
    """The library in random order: a file, or what the model was trained on."""
    texts: list[str] = []
    for path in _library(settings, run):
        with _opened(path, settings, run) as reader:
            texts += smiles_of(reader)
    return Screening(texts, seed=settings["seed"], molecules=run is None or run.molecules)


def _opened(path: Path, settings: Mapping[str, Any], run: Run | None) -> Reader:
    """A file of the library; lines of a list that are no molecules are read whole."""
    whole = run is not None and not run.molecules
    return Reader(path, settings["library_column"], whole_lines=whole)


def _library(settings: Mapping[str, Any], run: Run | None) -> list[Path]:
    """The files of the library; ``molae suggest`` has no option for another one."""
    remedy = "name a file with --library FILE"
    if is_laboratory(settings):
        remedy = "choose another --strategy"
    return files_of(settings["library"] or TRAINING, run, remedy)


def _latent(settings: Mapping[str, Any], run: Run, start: Start, workers: int) -> LatentStrategy:
    seed = settings["seed"]

    def make(run: Run, number: int) -> LatentOptimizer:
        return LatentOptimizer(
            run.density(settings["density"]),
            run.size,
            surrogate=settings["surrogate"],
            acquisition=settings["acquisition"] or "logei",
            plausible=settings["plausible"],
            seed=seed + _APART * number,
            device=run.device,
        )

    retrainer, given = None, {text: a.score for text, a in start if a is not None}
    if settings["retrain"] is not None:
        run = _copy(run)
        asked = parse_retrain(settings["retrain"])
        retrainer = Retrainer(
            run, list(given), list(given.values()), seed=seed, workers=workers, **asked
        )
    return LatentStrategy(
        run, make, retrainer=retrainer, given=len(given), seed=seed, workers=workers
    )


def _copy(run: Run) -> Run:
    """A run whose model and densities can be trained on without changing those of the other."""
    model, goal = copy.deepcopy(run.model), copy.deepcopy(run.objective)
    densities = copy.deepcopy(run.densities)
    return Run(
        run.codec, model, goal, run.config, densities=densities, card=run.card, folder=run.folder
    )
