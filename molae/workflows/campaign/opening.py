"""Beginning a campaign in a folder, or going on with the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from molae.oracles.base import Answer, Oracle, failure
from molae.oracles.cache import Cache
from molae.oracles.ledger import Ledger
from molae.runs.places import fallback
from molae.runs.run import Run
from molae.workflows.campaign.campaign import Campaign, Progress, Show
from molae.workflows.campaign.folder import BASELINES, Folder
from molae.workflows.campaign.report import write_results
from molae.workflows.campaign.settings import (
    DEFAULTS,
    Say,
    Start,
    check_kind,
    check_same,
    complete,
    load_model,
    named,
)
from molae.workflows.campaign.strategies import baselines_of, build, needs_model
from molae.workflows.campaign.trace import Floats, best_so_far


@dataclass(frozen=True)
class Crew:
    """Who scores: an oracle, with what it takes to ask it.

    Attributes:
        oracle: What scores.
        cache: Answers that are known already, or None.
        workers: Processes.
        scheduler: Address of a dask scheduler in place of them, or None.
        retry_failed: Ask again for what failed before, here or in what the cache knows.
        piece: Texts to ask about at once, see ``molae.oracles.workers.Workers``.
    """

    oracle: Oracle
    cache: Cache | None = None
    workers: int = 1
    scheduler: str | None = None
    retry_failed: bool = False
    piece: int | None = None

    def ledger(self, budget: int, known: Sequence[str] = ()) -> Ledger:
        """A new ledger; who asks for it closes it."""
        return Ledger(
            self.oracle,
            budget,
            self.cache,
            self.workers,
            known,
            scheduler=self.scheduler,
            retry_failed=self.retry_failed,
            piece=self.piece,
        )

    def score(self, start: Start, show: Show) -> Start:
        """Texts with what the oracle says of those of which nothing is known."""
        texts = [text for text, answer in start if answer is None]
        if not texts:
            return start

        def tell(done: int, of: int) -> None:
            show(Progress(done, of, None, "scoring the start"))

        with self.ledger(len(texts)) as ledger:
            found = ledger.evaluate(texts, tell)
        answers = {each.text: each.answer for each in found if each is not None}
        return [
            (text, answers.get(text, failure("not scored")) if answer is None else answer)
            for text, answer in start
        ]


def settle(
    folder: Folder,
    asked: Mapping[str, Any],
    resume: bool,
    free: Sequence[str] = (),
    *,
    laboratory: bool = False,
) -> dict[str, Any]:
    """The settings of a campaign: those in the folder, or those of a new one.

    Args:
        folder: Where it is, or shall be.
        asked: What is asked for, None where nothing is said.
        resume: Whether it is there.
        free: Settings that may change when it goes on.
        laboratory: Whether people measure, and no oracle scores.

    Raises:
        CampaignError: The folder is taken, holds none, or one with other settings.
    """
    check_kind(folder, laboratory)
    if not resume:
        folder.check_free()
        return complete(asked)
    was = DEFAULTS | folder.settings()  # an older molae did not know of all of them
    check_same(was, asked, free)
    return was | {name: asked[name] for name in free if asked.get(name) is not None}


def with_model(
    settings: dict[str, Any],
    given: Run | None,
    device: str,
    resume: bool,
    say: Say = lambda _text: None,
) -> tuple[dict[str, Any], Run | None]:
    """The settings with the model that is used, and the model; None where none is needed.

    Raises:
        RunError: There is no such model.
        CampaignError: It is not the one of before.
    """
    if given is None and not needs_model(settings):
        return settings, None
    if resume and "model_digest" in settings:
        return settings, load_model(settings, given, device)
    if given is None and settings["model"] is None and (remark := fallback()):
        say(remark)
    run = Run.load(settings["model"], device) if given is None else given
    return settings | named(run), run


def open_campaign(
    folder: Folder,
    settings: Mapping[str, Any],
    crew: Crew,
    run: Run | None,
    workers: int | None,
    others: Callable[[], Mapping[str, Floats]] = dict,
) -> Campaign:
    """The campaign in a folder that was begun, at the point that it had reached.

    Args:
        folder: Where it is.
        settings: Of it.
        crew: Who scores.
        run: The model.
        workers: Processes that read molecules.
        others: What its trace is drawn beside.

    Raises:
        CampaignError: Something in the folder is damaged.
        ValueError: The strategy cannot be made, or fewer calls are allowed than were made.
    """
    start = folder.start()
    strategy = build(settings, run, signed(start, settings["minimize"]), workers)
    known = [text for text, answer in start if answer is not None]
    molecules = run is None or run.molecules
    campaign = Campaign(
        strategy,
        crew.ledger(settings["calls"], known),
        folder,
        batch=settings["batch"],
        minimize=settings["minimize"],
        refresh=lambda campaign: write_results(
            folder.path, campaign.record, settings, molecules=molecules, others=others()
        ),
    )
    campaign.restore()
    return campaign


def signed(start: Start, minimize: bool) -> Start:
    """A start as strategies know it: higher is better."""
    if not minimize:
        return start
    return [
        (text, None if answer is None else _negative(answer)) for text, answer in start
    ]  # fmt: skip


def _negative(answer: Answer) -> Answer:
    return replace(answer, score=-answer.score)


def run_baselines(
    folder: Folder,
    settings: Mapping[str, Any],
    crew: Crew,
    run: Run | None,
    *,
    workers: int | None,
    show: Show,
) -> dict[str, Floats]:
    """Run strategies beside a campaign, each in a folder of its own, or go on with them.

    Args:
        folder: Of the campaign.
        settings: Of the campaign, with its baselines.
        crew: Who scores.
        run: The model.
        workers: Processes that read molecules.
        show: Told how far they are.

    Returns:
        The best so far of each, (n,).
    """
    traces: dict[str, Floats] = {}
    for name, own in baselines_of(settings).items():
        place = Folder(folder.path / BASELINES / name)
        with place.alone():
            if not (place.begun and place.settings()["calls"] == own["calls"]):
                place.begin(own, folder.start())
            campaign = open_campaign(place, own, crew, run, workers)
            with campaign.ledger:
                campaign.run(lambda p, name=name: show(replace(p, doing=f"{name}: {p.doing}")))  # type: ignore[misc]
        record = campaign.record
        traces[name] = best_so_far(record.scores, minimize=record.minimize)
    return traces
