"""Options that several commands share, and what is checked of them before anything is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import OptionInfo

from molae.names import DENSITIES, FILTERS, PROPERTIES, pick
from molae.resources import DEFAULT_MODEL

from .config import read_config

#: What is meant where no model is named, for a line of help.
USUAL_MODEL = f"the last run made here, else {DEFAULT_MODEL}"

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def duration(text: str | None, option: str = "--time") -> float | None:
    """``90s``, ``30m``, ``2h``, ``1h30m`` or a number of seconds, as seconds; None stays None.

    Raises:
        typer.BadParameter: It is none of these, or nothing.
    """
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower().replace(" ", ""))
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise typer.BadParameter(
            f"{text!r} is not a length of time; expected 90s, 30m, 2h or 1h30m",
            param_hint=f"'{option}'",
        )
    return total


def sides(text: str | None) -> int | tuple[int, int] | None:
    """``32`` as a number, ``48x64`` as height and width; None stays None.

    Raises:
        typer.BadParameter: It is neither.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(
            f"{text!r} is no size of images; expected pixels such as 32, or height and width such "
            "as 48x64",
            param_hint="'--image-size'",
        )
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


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


def assignments(texts: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """``a=1`` and ``head.b=x`` as values by name: numbers, lists and truth as JSON, else words.

    Raises:
        typer.BadParameter: One of them has no name or no value.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or not value:
            raise typer.BadParameter(
                f"{text!r} sets nothing; expected a name and a value, such as samples=50",
                param_hint=f"'{option}'",
            )
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


def known(table: Mapping[str, object], kind: str) -> Callable[[str | None], str | None]:
    """A check that a name is in one of the tables of ``molae.names``."""

    def check(name: str | None) -> str | None:
        if name is not None:
            _picked(table, name, kind)
        return name

    return check


def choice(
    table: Mapping[str, object], kind: str, panel: str | None, usual: str, text: str
) -> OptionInfo:
    """An option that takes a name out of a table, or is left out.

    Args:
        table: One of ``molae.names``.
        kind: What the table holds, for errors.
        panel: Of the help that it stands in; None for the first.
        usual: What is meant where it is left out, as the help shows it.
        text: Its line of help.
    """
    option: OptionInfo = typer.Option(
        callback=known(table, kind), rich_help_panel=panel, show_default=usual, help=text
    )
    return option


def known_list(table: Mapping[str, object], kind: str) -> Callable[[list[str] | None], list[str]]:
    """The same for an option that is given several times, or once with commas."""

    def check(texts: list[str] | None) -> list[str]:
        names = split(texts)
        for name in names:
            _picked(table, name, kind)
        return names

    return check


def split(texts: Iterable[str] | None) -> list[str]:
    """``["qed,sa", "mw"]`` as ``["qed", "sa", "mw"]``, each once."""
    names = (name.strip() for text in texts or () for name in text.split(","))
    return list(dict.fromkeys(name for name in names if name))


def _picked(table: Mapping[str, object], name: str, kind: str) -> None:
    try:
        pick(table, name, kind)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def requirements(texts: list[str] | None) -> list[str]:
    """A check that requirements such as ``mw<500`` can be read."""
    if not texts:
        return []
    from molae.chem.requirements import parse_requirements

    try:
        parse_requirements(texts)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return texts


def device_there(name: str) -> str:
    """A check that a device is on this machine, before anything is read or loaded."""
    if name not in ("auto", "cpu"):
        from molae.training.devices import devices

        there = devices()
        if name not in there:
            raise typer.BadParameter(
                f"{name!r} is not there; this machine has {', '.join(there)} (auto takes the best)"
            )
    return name


def named(table: Mapping[str, object]) -> str:
    """The names of a table, for a line of help."""
    return ", ".join(table)


Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="RUN", show_default=USUAL_MODEL,
        help="A run folder, or the name of a shipped model.",
    ),
]  # fmt: skip
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE",
        help="Where to write, by suffix: .smi .csv .tsv .sdf (also .gz) .parquet .png .svg; "
        "- is standard output.",
    ),
]  # fmt: skip
Column = Annotated[
    str | None,
    typer.Option(
        "--column", "-c", metavar="NAME", show_default="guessed",
        help="The SMILES column of a table, by name or number from 1.",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
Device = Annotated[
    str,
    typer.Option(
        "--device", callback=device_there,
        help="auto, cpu, cuda, cuda:1 or mps; auto takes the best.",
    ),
]  # fmt: skip
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, show_default="all cores", help="Processes for chemistry."),
]
Rejects = Annotated[
    Path | None,
    typer.Option(
        "--rejects", metavar="FILE", help="Write what could not be used, and why (.csv)."
    ),
]
Refine = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="STEPS",
        help="Correct a code in so many steps at most where the decoder does not give the "
        "molecule back; 0 takes the encoder's word.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature", min=0.0, show_default="greedy",
        help="How freely each rule is drawn: 0 or nothing takes the likeliest, 1 draws as learnt.",
    ),
]  # fmt: skip
Properties = Annotated[
    list[str] | None,
    typer.Option(
        "--property", "-p", metavar="NAMES", callback=known_list(PROPERTIES, "property"),
        help=f"Numbers to add as columns, with commas: {named(PROPERTIES)}.",
    ),
]  # fmt: skip
Density = Annotated[
    str | None,
    typer.Option(
        "--density", callback=known(DENSITIES, "density"), show_default="the model's best",
        help=f"What codes are drawn from: {named(DENSITIES)}.",
    ),
]  # fmt: skip
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", metavar="NAMES", callback=known_list(FILTERS, "filter"),
        help=f"Drop what these find fault with: {named(FILTERS)}.",
    ),
]  # fmt: skip
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE.toml", is_eager=True, callback=read_config,
        help="Take option values from a TOML file; the command line wins.",
    ),
]  # fmt: skip
