"""Data cards: what a data set is, where it comes from, under which terms, and how to check it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from molae.datasets.files import DataError
from molae.resources import card_names, card_text


@dataclass(frozen=True)
class Place:
    """One place from which a file can be had.

    Attributes:
        file: Name under which it is kept.
        url: Address, or "" for a file that ships with molae.
        sha256: Of its bytes, or None where nobody has pinned it.
        bytes: Its size, or None.

    Raises:
        DataError: The name is none of a file in a folder, but leads elsewhere.
    """

    file: str
    url: str
    sha256: str | None
    bytes: int | None

    def __post_init__(self) -> None:
        # Both kinds of path, whatever machine this is: a card may come from anywhere.
        plain = PurePosixPath(self.file).name == PureWindowsPath(self.file).name == self.file
        if not plain or self.file in ("", ".", ".."):
            raise DataError(
                f"data card: {self.file!r} is not the plain name of a file; folders do not belong "
                "into it"
            )


@dataclass(frozen=True)
class Card:
    """What is known of a data set.

    Attributes:
        name: What ``molae data get`` calls it.
        description: What it is.
        files: Each file of the set as the places it can be had from, the preferred first. Mirrors
            may be compressed differently: each has its own digest. None where the terms do not
            allow to fetch it; the notes say how to get it.
        rows: Number of examples, or None.
        licence: Terms of use.
        citation: What to cite.
        format: Suffix of the files as ``sources.FORMATS`` knows it, or another format's name.
        column: The SMILES column, or None.
        notes: Anything else, digests included.
    """

    name: str
    description: str
    files: tuple[tuple[Place, ...], ...]
    rows: int | None
    licence: str
    citation: str
    format: str
    column: str | None
    notes: str

    @property
    def shipped(self) -> bool:
        """Whether all of it ships with molae."""
        return bool(self.files) and all(not places[0].url for places in self.files)

    @property
    def origin(self) -> str:
        """Where it comes from, in a word or two."""
        if self.shipped:
            return "ships with molae"
        return "fetched" if self.files else "by hand"


def card(name: str) -> Card:
    """The card of a data set.

    Raises:
        ResourceError: There is none of that name; the message lists those that there are.
        DataError: The card is damaged.
    """
    try:
        return card_from_dict(json.loads(card_text(name)), name)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"data card {name}: damaged ({error!r}). Install molae again.") from error


def cards() -> list[Card]:
    """All shipped cards, by name."""
    return [card(name) for name in card_names()]


def card_from_dict(fields: Mapping[str, Any], name: str = "") -> Card:
    """A card from the fields of its JSON file.

    ``files`` is a list with, for each file, a list of places: ``{"file", "url", "sha256",
    "bytes"}``; ``url`` is left out for a file that ships with molae. Only ``name``,
    ``description`` and ``files`` are needed.

    Raises:
        KeyError: A needed field is missing.
    """
    return Card(
        name=fields.get("name", name),
        description=fields["description"],
        files=tuple(
            tuple(
                Place(p["file"], p.get("url", ""), p.get("sha256"), p.get("bytes")) for p in places
            )
            for places in fields["files"]
        ),
        rows=fields.get("rows"),
        licence=fields.get("licence", "not stated"),
        citation=fields.get("citation", ""),
        format=fields.get("format", ""),
        column=fields.get("column"),
        notes=fields.get("notes", ""),
    )
