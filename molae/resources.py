"""The only reader of what molae ships: grammars, data cards, demo data, weights, a page frame.

Files are named without folder and suffix, as people type them: ``grammar_text("smiles")``. They
are found through ``importlib.resources``, so that an installed wheel, an editable install and a
zipped one answer alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

#: The shipped model that is meant where none is named and none was trained here.
DEFAULT_MODEL = "zinc"


class ResourceError(ValueError):
    """Nothing of that name is shipped."""


def grammar_names() -> list[str]:
    """Names of the shipped grammars, sorted."""
    return _names(files("molae.grammars"), ".cfg")


def grammar_text(name: str) -> str:
    """The text of a shipped grammar.

    Raises:
        ResourceError: No grammar of that name is shipped.
    """
    return _read("grammar", name, files("molae.grammars"), ".cfg")


def valence_text() -> str:
    """The table of valences that ``molae.chem.valence`` wrote, JSON text."""
    return files("molae.grammars").joinpath("valence.json").read_text(encoding="utf-8")


def card_names() -> list[str]:
    """Names of the shipped data cards, sorted."""
    return _names(files("molae.data"), ".json")


def card_text(name: str) -> str:
    """The text of a shipped data card, JSON.

    Raises:
        ResourceError: No card of that name is shipped.
    """
    return _read("data card", name, files("molae.data"), ".json")


def data_names() -> list[str]:
    """File names of the shipped data (``demo.smi.gz``), sorted."""
    found = files("molae.data").iterdir()
    return sorted(f.name for f in found if f.is_file() and f.name.endswith((".smi.gz", ".csv.gz")))


def report_template() -> str:
    """The frame of an evaluation's page, HTML with ``$title`` and ``$body`` to be filled in."""
    return files("molae.data").joinpath("report.html").read_text(encoding="utf-8")


@contextmanager
def data_path(name: str) -> Iterator[Path]:
    """A shipped data file as a path, for the time of the context.

    Args:
        name: File name with its suffixes, such as ``demo.smi.gz``.

    Raises:
        ResourceError: No file of that name is shipped.
    """
    if name not in data_names():
        raise _unknown("data file", name, data_names())
    with as_file(files("molae.data").joinpath(name)) as path:
        yield path


def weights_names() -> list[str]:
    """Names of the trained models that are shipped, sorted; empty while none are."""
    folder = files("molae.data").joinpath("weights")
    if not folder.is_dir():
        return []
    return sorted(run.name for run in folder.iterdir() if run.joinpath("config.json").is_file())


@contextmanager
def weights_path(name: str) -> Iterator[Path]:
    """The run folder of a shipped model as a path, for the time of the context.

    Raises:
        ResourceError: No model of that name is shipped.
    """
    if name not in weights_names():
        raise _unknown("trained model", name, weights_names())
    with as_file(files("molae.data").joinpath("weights", name)) as path:
        yield path


def features_names() -> list[str]:
    """Names of the shipped nets whose features pictures are compared in, sorted."""
    folder = files("molae.data").joinpath("features")
    if not folder.is_dir():
        return []
    return sorted(net.name for net in folder.iterdir() if net.joinpath("card.json").is_file())


@contextmanager
def features_path(name: str) -> Iterator[Path]:
    """The folder of a shipped feature net as a path, for the time of the context.

    Raises:
        ResourceError: No net of that name is shipped.
    """
    if name not in features_names():
        raise _unknown("feature net", name, features_names())
    with as_file(files("molae.data").joinpath("features", name)) as path:
        yield path


def _names(folder: Traversable, suffix: str) -> list[str]:
    found = folder.iterdir()
    return sorted(f.name.removesuffix(suffix) for f in found if f.name.endswith(suffix))


def _read(kind: str, name: str, folder: Traversable, suffix: str) -> str:
    known = _names(folder, suffix)
    if name not in known:
        raise _unknown(kind, name, known)
    return folder.joinpath(name + suffix).read_text(encoding="utf-8")


def _unknown(kind: str, name: str, known: list[str]) -> ResourceError:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    there = ", ".join(known) if known else "none"
    return ResourceError(f"no {kind} named {name!r} is shipped{hint} There are: {there}.")
