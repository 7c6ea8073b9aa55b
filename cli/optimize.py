"""``molae optimize``: better molecules with few oracle calls."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molae.names import ORACLES, PROPERTIES, RETRAINING, STRATEGIES, TASKS

from .campaign_options import (
    HOW,
    START,
    WHAT,
    Acquisition,
    CampaignSeed,
    CodeDensity,
    Filters,
    Folder,
    Initial,
    Minimize,
    Plausible,
    Require,
    Start,
    StartColumn,
    StartLimit,
    StartScore,
    Strategy,
    Surrogate,
)
from .errors import Stopped
from .options import Config, Device, Model, Quiet, duration, examples, known_list, named
from .output import counts, number, say, silent, table

if TYPE_CHECKING:
    from molae.workflows.campaign.campaign import Campaign, Progress

EXAMPLES = examples(
    "molae optimize --oracle qed --calls 500 -o out/",
    "molae optimize --oracle plogp -m tiny --start training --start-free -o out/",
    'molae optimize --oracle "qed - 0.2*sa" --start my.csv --start-score measured -o out/',
    "molae optimize --oracle my_scores.py:affinity --workers 8 --batch 40 -o out/",
    'molae optimize --oracle-command "./dock.sh {smiles}" --timeout 10m --minimize -o out/',
    "molae optimize --oracle median1 --retrain every=50,k=1e-3 --baselines genetic -o out/",
    "molae optimize --oracle images:ink -m my-images --calls 100 -o out/",
    "molae optimize -o out/ --resume",
    "molae optimize -o out/ --resume --calls 1000",
)

_WHO = "Who scores"
#: Texts, and reasons of failures, that are shown at the end.
_SHOWN, _REASONS = 5, 3


def optimize(
    output: Folder,
    oracle: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=WHAT,
            help=f"What scores: a formula such as 'qed - 0.2*sa' of {named(PROPERTIES)}; a task: "
            f"{named(TASKS)}; {named(ORACLES)}; or a Python function, package.module:function or "
            "file.py:function, from a list of SMILES (images as data URIs) to a list of scores. "
            "See molae oracles.",
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--oracle-command",
            metavar="COMMAND",
            rich_help_panel=WHAT,
            help="A program that scores: with {smiles} run for each, else it reads SMILES line by "
            "line and writes a number for each.",
        ),
    ] = None,
    require: Require = None,
    filter: Filters = None,
    minimize: Minimize = False,
    calls: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=WHAT,
            show_default="500",
            help="The budget: new molecules that may be scored.",
        ),
    ] = None,
    model: Model = None,
    strategy: Strategy = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=HOW, show_default="10", help="Proposed at once."),
    ] = None,
    surrogate: Surrogate = None,
    acquisition: Acquisition = None,
    density: CodeDensity = None,
    plausible: Plausible = None,
    retrain: Annotated[
        str | None,
        typer.Option(
            metavar="SETTINGS",
            rich_help_panel=HOW,
            help="Train the model on with what was found, weighted by rank, such as "
            f"every=50,k=1e-3; settings: {named(RETRAINING)}.",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            callback=known_list(STRATEGIES, "strategy"),
            rich_help_panel=HOW,
            help="Strategies to compare with, with commas; each has as many calls.",
        ),
    ] = None,
    start: Start = None,
    start_column: StartColumn = None,
    start_score: StartScore = None,
    start_limit: StartLimit = None,
    start_free: Annotated[
        bool,
        typer.Option(
            "--start-free",
            rich_help_panel=START,
            help="Score the start outside the budget, as published protocols do; what ships with "
            "molae scores all of it, to take the best of more than --start-limit.",
        ),
    ] = False,
    library: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|training",
            rich_help_panel=START,
            show_default="training for screening, if that is here; else the start, or draws from "
            "the model",
            help="Molecules to screen, and that genetic and local strategies begin with besides "
            "those of --start.",
        ),
    ] = None,
    library_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=START,
            show_default="guessed",
            help="Their SMILES column.",
        ),
    ] = None,
    initial: Initial = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=START,
            help="Write what could not be used of the start (.csv).",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, rich_help_panel=_WHO, help="Processes that score.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=_WHO,
            help="A dask scheduler whose cluster scores, such as tcp://node1:8786.",
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="10m",
            rich_help_panel=_WHO,
            show_default="10m",
            help="Longest run of a program, for each molecule it is given: 90s, 30m or 1h30m.",
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            rich_help_panel=_WHO,
            show_default="0",
            help="Repeat a failed run of a program for one molecule so often.",
        ),
    ] = None,
    oracle_batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_WHO,
            show_default="a worker's share of --batch",
            help="Molecules that a Python function, or a program without {smiles}, is given at "
            "once. Of a piece that is cut off nothing is kept.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_WHO,
            show_default="one for all campaigns",
            help="Where scores are kept, so that none is computed twice.",
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", rich_help_panel=_WHO, help="Keep and look up none.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            rich_help_panel=_WHO,
            help="Score again what failed before: with --resume calls of this campaign, which "
            "keep their numbers, and always what the cache knows as failed.",
        ),
    ] = False,
    seed: CampaignSeed = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the campaign in FOLDER.")
    ] = False,
    device: Device = "auto",
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Find molecules, expressions or images with a high score, with few calls of an oracle.

    A call is one new molecule. FOLDER has evaluations.csv, best.smi, best.png, trace.png and
    report.html. Stop it with Ctrl-C or kill it: --resume goes on and needs no other option.
    """
    seconds = duration(timeout, "--timeout")
    from molae.workflows.optimize import default_cache
    from molae.workflows.optimize import optimize as work

    try:
        with _bar(shown=not quiet) as show:
            done = work(
                output, oracle, command=command, timeout=seconds, retries=retries,
                oracle_batch=oracle_batch, requirements=require or None, filters=filter or None,
                minimize=minimize or None, calls=calls, batch=batch,
                strategy=strategy, model=model, density=density, surrogate=surrogate,
                acquisition=acquisition, plausible=plausible, retrain=retrain, start=start,
                start_column=start_column, start_value=start_score, start_limit=start_limit,
                start_free=start_free or None, library=library, library_column=library_column,
                initial=initial, baselines=baselines or (), seed=seed,
                cache=None if no_cache else cache or default_cache(), retry_failed=retry_failed,
                workers=workers, scheduler=scheduler, device=device, resume=resume,
                rejects=rejects, typed=shlex.join(["molae", *sys.argv[1:]]), show=show,
                say=silent if quiet else say,
            )  # fmt: skip
    except KeyboardInterrupt as error:
        raise Stopped(_how_to_go_on(output)) from error
    if not quiet:
        _summary(done, output)


def _how_to_go_on(output: Path) -> str:
    if not (output / "campaign.json").is_file():
        return "Nothing was begun yet; run the same command again."
    go_on = shlex.join(["molae", "optimize", "-o", str(output), "--resume"])
    return f"The campaign is saved; go on with: {go_on}"


def _summary(done: Campaign, output: Path) -> None:
    record = done.record
    best = record.best[:_SHOWN]
    if best:
        table(((each.answer.score, each.call, each.text) for each in best), ("score", "call", ""))
    tallies = record.counts
    free = tallies["duplicates"] + tallies["known"]
    told = [("calls", tallies["calls"]), ("failures", tallies["failures"])]
    told += [("duplicates", free), ("invalid", tallies["invalid"])]
    if why := record.failures.most_common(_REASONS):
        more = ", ..." if len(record.failures) > _REASONS else ""
        say(f"Why there was no score: {counts((reason, n) for reason, n in why)}{more}.")
    say(f"{counts(told)}{_cached(done)}; {record.ended}. See {output / 'report.html'}.")


def _cached(done: Campaign) -> str:
    """What is said of scores that nobody computed for this campaign, which may be out of date."""
    found, cache = done.ledger.counts.cached, done.ledger.cache
    if not found:
        return ""
    place = "" if cache is None else f" {cache.path}"
    return f", {found:,} from the cache{place} (--no-cache)"


@contextmanager
def _bar(*, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error, if that is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[doing]}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.fields[budget]} calls, best {task.fields[best]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, doing="loading", budget="-", best="-")

        def show(progress: Progress) -> None:
            best = "-" if progress.best is None else number(progress.best)
            bar.update(
                task,
                total=progress.budget,
                budget=progress.budget,
                completed=progress.calls,
                doing=progress.doing,
                best=best,
            )

        yield show
