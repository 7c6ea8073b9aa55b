"""What a campaign is made of: its settings, its model and what it starts from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from molae.chem.molecules import canonical
from molae.chem.requirements import parse_requirements
from molae.datasets.columns import listed
from molae.oracles import Oracle, Required, oracle
from molae.oracles.base import Answer
from molae.runs.folder import WEIGHTS, RunError
from molae.runs.places import shipped_as
from molae.runs.run import Run
from molae.workflows.campaign.folder import EVALUATIONS, CampaignError, Folder
from molae.workflows.campaign.measured import (
    SCORE_NAMES,
    VALUE_NAMES,
    Measured,
    chosen,
    mean,
    read_measured,
)
from molae.workflows.origin import training_files

#: Where nothing is said.
DEFAULTS: dict[str, Any] = {
    "oracle": None,
    "command": None,
    "timeout": 600.0,
    "retries": 0,
    "oracle_batch": None,
    "requirements": [],
    "filters": [],
    "minimize": False,
    "calls": 500,
    "batch": 10,
    "strategy": "latent",
    "model": None,
    "density": None,
    "surrogate": "trust_region",
    "acquisition": None,
    "plausible": 0.01,
    "retrain": None,
    "start": None,
    "start_column": None,
    "start_value": None,
    "start_limit": 10_000,
    "start_free": False,
    "library": None,
    "library_column": None,
    "initial": None,
    "seed": 0,
}
#: ``--start`` or ``--library`` of the files that the model was trained on.
TRAINING = "training"
#: What stands for a start that was given in Python.
GIVEN = "given"

#: What the texts are called that oracles read.
_CALLED = {"texts": "expressions"}

#: Told a remark for people.
Say = Callable[[str], None]
#: Texts to start from, with what is known of them.
Start = list[tuple[str, Answer | None]]


def complete(asked: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a new campaign: what was asked for, and defaults for what is None."""
    known = {name: asked[name] for name in DEFAULTS if asked.get(name) is not None}
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {**DEFAULTS, **known, "date": date, "typed": asked.get("typed")}


def check_same(was: Mapping[str, Any], asked: Mapping[str, Any], free: Sequence[str] = ()) -> None:
    """A campaign goes on with what it was begun with.

    Args:
        was: Its settings.
        asked: What is asked for now; None where nothing is said.
        free: Settings that may change.

    Raises:
        CampaignError: Naming the first difference.
    """
    for name in DEFAULTS:
        now = asked.get(name)
        if name in free or now is None or now == was[name]:
            continue
        raise CampaignError(
            f"a campaign goes on with what it was begun with: {name.replace('_', '-')} was "
            f"{was[name]!r}, and is now {now!r}. Leave it out, or choose another folder with -o"
        )


def is_laboratory(settings: Mapping[str, Any]) -> bool:
    """Whether scores are measured by people."""
    return bool(settings.get("laboratory"))


def check_kind(folder: Folder, laboratory: bool) -> None:
    """Whether what scores in a folder is what is wanted there; nothing where none was begun.

    Args:
        folder: Of the campaign.
        laboratory: Whether people shall measure; else it is an oracle.

    Raises:
        CampaignError: It is the other one, and how to go on with that.
    """
    if not folder.begun or is_laboratory(folder.settings()) == laboratory:
        return
    if laboratory:
        raise CampaignError(
            f"the campaign in {folder.path} has an oracle: go on with it by molae optimize "
            f"--resume, or begin a laboratory of its own: molae suggest -o NEW --start "
            f"{folder.path / EVALUATIONS}"
        )
    raise CampaignError(
        f"the campaign in {folder.path} has no oracle but a laboratory: go on with molae suggest "
        "and molae tell, or choose another folder with -o"
    )


def make_oracle(
    settings: Mapping[str, Any], given: Oracle | None, asked: Mapping[str, Any]
) -> Oracle:
    """The oracle of a campaign.

    Args:
        settings: Of the campaign.
        given: An oracle from Python, which nobody could make from its name.
        asked: What is asked for, None where nothing is said.

    Raises:
        ValueError: It cannot be made, or something is asked for that it would ignore.
        CampaignError: It was given from Python, and is not given now.
    """
    scorer = _oracle(settings, given)
    for name in ("timeout", "retries"):
        if asked[name] is not None and settings["command"] is None:
            raise ValueError(
                f"{name} is for programs (--oracle-command), and the oracle {scorer.name} is "
                "none: leave it out"
            )
    if asked["oracle_batch"] is not None and not scorer.together:
        raise ValueError(
            "oracle-batch is for Python functions and for programs that read a batch on standard "
            f"input, and the oracle {scorer.name} is neither: leave it out"
        )
    return scorer


def _oracle(settings: Mapping[str, Any], given: Oracle | None) -> Oracle:
    """The oracle that was given, or one of the settings."""
    if given is not None:
        if given.name != settings["oracle"]:
            raise CampaignError(
                f"this campaign was begun with the oracle {settings['oracle']!r}, and "
                f"{given.name!r} is given now"
            )
        wanted = parse_requirements(settings["requirements"])
        filters = settings["filters"]
        return Required(given, wanted, filters) if wanted or filters else given
    if settings.get("oracle_given"):
        raise CampaignError(
            f"this campaign was begun in Python with the oracle {settings['oracle']!r}: go on "
            "there with optimize(..., oracle=..., resume=True)"
        )
    return oracle(
        settings["oracle"],
        requirements=settings["requirements"],
        filters=settings["filters"],
        command=settings["command"],
        timeout=settings["timeout"],
        retries=settings["retries"],
    )


def check_fits(scorer: Oracle | None, settings: Mapping[str, Any], items: str) -> None:
    """Whether an oracle can score what a model writes.

    Args:
        scorer: The oracle, or None for a laboratory, which can score anything.
        settings: Of the campaign: only molecules can meet requirements and pass filters.
        items: What the model writes, as its codec calls them.

    Raises:
        ValueError: One is of molecules and the other of expressions or images.
    """
    for demanded in ("requirements", "filters"):
        if settings[demanded] and items != "molecules":
            raise ValueError(f"{demanded} are of molecules, and this model writes none")
    reads = None if scorer is None else scorer.reads
    if scorer is None or reads is None or reads == items:
        return
    if reads == "molecules":
        raise ValueError(f"the oracle {scorer.name} is of molecules, and this model writes none")
    called = _CALLED.get(reads, reads)
    raise ValueError(
        f"the oracle {scorer.name} scores {called}, and this model writes "
        f"{_CALLED.get(items, items)}: name a model of {called} with -m RUN"
    )


# The model ---------------------------------------------------------------------------------------


def named(run: Run) -> dict[str, Any]:
    """The settings by which a model is found again: a shipped name or a folder, and a digest."""
    if run.folder is None:
        return {"model": None, "model_digest": None, "model_given": True}
    name = shipped_as(run.folder) or os.fspath(run.folder.resolve())
    return {"model": name, "model_digest": digest(run)}


def digest(run: Run) -> str | None:
    """The digest of a run's weights, None where it was never saved."""
    found = run.card.get("digests", {}).get(WEIGHTS)
    return None if found is None else str(found)


def load_model(settings: Mapping[str, Any], given: Run | None, device: str) -> Run:
    """The model that a campaign was begun with.

    Raises:
        CampaignError: It is another one now, or was given from Python and is not given now.
        RunError: It cannot be loaded.
    """
    if given is None and settings.get("model_given"):
        raise CampaignError(
            "this campaign was begun in Python with a model that lies in no folder: go on there "
            "with optimize(..., model=..., resume=True)"
        )
    try:
        run = Run.load(settings["model"], device) if given is None else given
    except RunError as error:
        raise RunError(f"the model of this campaign cannot be loaded: {error}") from error
    if digest(run) != settings.get("model_digest"):
        raise CampaignError(
            f"the model {settings['model']} has changed since this campaign was begun, and its "
            "codes with it: begin another campaign, or put the model back"
        )
    return run


# The start ---------------------------------------------------------------------------------------


def read_start(
    start: str | Path | Sequence[str],
    settings: Mapping[str, Any],
    run: Run | None,
    *,
    workers: int | None = None,
    rejects: str | Path | None = None,
    say: Say = lambda _text: None,
    score: Callable[[Start], Start] | None = None,
) -> Start:
    """Texts to start from, with their scores where the file has them.

    Args:
        start: A file, ``training`` for the files that the model was trained on, or texts.
        settings: Of the campaign: columns, limit, seed.
        run: The model; None where there is none, and texts are molecules.
        workers: Processes that read molecules.
        rejects: Where to write what could not be used.
        say: Told which column has the scores, and what was left out.
        score: Scores texts. Of a start beyond the limit all are, so that the best are among those
            that are taken; None where that would cost too much.

    Raises:
        DataError: A file cannot be read.
        CampaignError: There is nothing in it that can be used.
        RunError: The training files are not found.
    """
    if not isinstance(start, str | Path):
        spelt = [canonical(text) for text in start] if run is None else run.spelling(list(start))
        known: dict[str, Answer | None] = {text: None for text in spelt if text is not None}
    else:
        known = _read_known(start, settings, run, workers, rejects, say)
    if not known:
        raise CampaignError(f"there is nothing in {start} that this campaign could start from")
    limit = settings["start_limit"]
    if score is not None and len(known) > limit:
        say(f"{len(known):,} texts to start from are scored, to take the best of them.")
        known = dict(score(list(known.items())))
    values = {text: None if a is None or a.failed else a.score for text, a in known.items()}
    texts = list(chosen(values, limit, settings["seed"], minimize=settings["minimize"]))
    if len(texts) < len(known):
        best = any(value is not None for value in values.values())
        how = "the best and a random sample" if best else "a random sample, as none has a score"
        of = f"{len(texts):,} of {len(known):,}"
        say(f"{of} texts to start from are used (--start-limit): {how}.")
    calls, unknown = settings["calls"], sum(known[text] is None for text in texts)
    if calls is not None and unknown >= calls and not settings["start_free"]:
        say(
            f"{unknown:,} texts to start from have no score and are a call each, of {calls:,}: no "
            "call is left to do better with. Take fewer (--start-limit), give their scores "
            "(--start-score), or score them outside the budget (--start-free)."
        )
    return [(text, known[text]) for text in texts]


def _read_known(
    start: str | Path,
    settings: Mapping[str, Any],
    run: Run | None,
    workers: int | None,
    rejects: str | Path | None,
    say: Say,
) -> dict[str, Answer | None]:
    """Texts of files, with their scores where these have them; arguments as for ``read_start``.

    Where an oracle gives the scores to come, only a column called ``score``, or the one that is
    named, has scores of the same kind; a laboratory may call its values otherwise.
    """
    known: dict[str, Answer | None] = {}
    for path in files_of(start, run, "name a file with --start FILE"):
        found = read_measured(
            path,
            molecules=run is None or run.molecules,
            column=settings["start_column"],
            value=settings["start_value"],
            names=VALUE_NAMES if is_laboratory(settings) else SCORE_NAMES,
            needed=settings["start_value"] is not None,
            workers=workers,
            rejects=rejects,
        )
        for remark in _remarks(found):
            say(f"{path}: {remark}")
        known |= {text: Answer(mean(v)) if v else None for text, v in found.values.items()}
    return known


def _remarks(found: Measured) -> Iterator[str]:
    """What was taken for scores, and what was left out of a start."""
    if found.column is not None:
        none = f"; {found.unmeasured:,} rows have none and are left out"
        left = none if found.unmeasured else ""
        of = f"{len(found.values):,} texts{left}"
        yield f"column {found.column!r} is taken as the score of {of}."
    elif found.others:
        yield f"no column is taken as the score (--start-score NAME). {listed(found.others)}"
    if found.rejected:
        why = ", ".join(f"{n:,} {reason}" for reason, n in list(found.reasons.items())[:3])
        yield f"{found.rejected:,} rows were left out: {why}."


def files_of(name: str | Path, run: Run | None, remedy: str) -> list[Path]:
    """The files that are meant: one of that name, or those that a model was trained on.

    Args:
        name: A file, or ``training``.
        run: The model, or None.
        remedy: What to do where the files are not found, in the imperative.

    Raises:
        RunError: Those that the model was trained on are not found.
    """
    if os.fspath(name) == TRAINING and not Path(name).exists() and run is not None:
        return training_files(run, remedy)
    return [Path(name)]
