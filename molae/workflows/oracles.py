"""What there is to score, for people: every name, and how names are put together."""

from __future__ import annotations

from collections.abc import Mapping

from molae.names import FUNCTIONS, ORACLES, PROPERTIES, REFERENCES, TASKS

#: How names of oracles of images begin.
_IMAGES = "images:"
#: What kind of thing the names of a table are.
_KINDS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("property", PROPERTIES),
    ("comparison", REFERENCES),
    ("function", FUNCTIONS),
    ("task", TASKS),
    ("image", {name: text for name, text in ORACLES.items() if name.startswith(_IMAGES)}),
    ("expression", {name: text for name, text in ORACLES.items() if not name.startswith(_IMAGES)}),
)

#: What may be typed after ``molae optimize``, and what it means.
EXAMPLES: dict[str, str] = {
    "--oracle qed": "one property; the higher the better",
    "--oracle sa --minimize": "the lower the better",
    '--oracle "qed - 0.2*sa"': "a formula: + - * / ** and brackets over everything listed",
    "--oracle 'similarity(\"c1ccccc1O\") * gauss(mw, 300, 50)'": "comparisons and functions in it",
    '--oracle plogp --require "heavy_atoms<=38"': "no score for what does not meet this",
    "--oracle osimertinib_mpo": "a task; its parts become columns",
    "--oracle score.py:affinity": "your function in a file: list of SMILES in, list of scores out",
    "--oracle mypackage.module:affinity": "your function in a module",
    '--oracle-command "./dock.sh {smiles}"': "your program, run for each molecule, writes a score",
    '--oracle-command "python dock.py"': "your program, reads SMILES, writes a score for each",
    "--oracle 'equation(\"1/3 + x + sin(x*x)\")'": "for a model of expressions: how near it comes",
    "--oracle images:ink": "for a model of images: the brighter the better",
    "--oracle images:class=7": "for a model of images: what the shipped classifier takes for a 7",
}


def oracles() -> list[dict[str, str]]:
    """The names that can stand after ``--oracle``, alone or in a formula, one row each."""
    return [
        {"name": name, "kind": kind, "help": text}
        for kind, table in _KINDS
        for name, text in table.items()
    ]


def oracle_examples() -> list[dict[str, str]]:
    """How names become an oracle, one row for each way."""
    return [{"for example": typed, "means": meaning} for typed, meaning in EXAMPLES.items()]
