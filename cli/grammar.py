"""``molae grammar``: what a grammar can do, what it makes of a text, what it can say."""

from __future__ import annotations

from typing import Annotated

import typer

from molae.names import GRAMMARS

from .options import Seed, examples, named
from .output import say

app = typer.Typer(no_args_is_help=True, help="Check a grammar, parse with it, draw from it.")

Grammar = Annotated[
    str, typer.Argument(metavar="GRAMMAR", help=f"{named(GRAMMARS)}, or a file (.cfg).")
]

CHECK = examples("molae grammar check smiles", "molae grammar check my.cfg")
PARSE = examples('molae grammar parse smiles "CC(=O)O"', 'molae grammar parse equation "x*x+1"')
SAMPLE = examples(
    "molae grammar sample smiles -n 10", "molae grammar sample my.cfg -n 5 --max-steps 40"
)


@app.command(epilog=CHECK)
def check(grammar: Grammar) -> None:
    """Say what is wrong with a grammar, how large it is, and whether what it says is valid."""
    from molae.workflows.grammar import check as work

    checked = work(grammar)
    for line in checked.lines():
        typer.echo(line)
    if not checked.report.generates:
        raise typer.Exit(1)


@app.command(epilog=PARSE)
def parse(grammar: Grammar, text: Annotated[str, typer.Argument(help="What to parse.")]) -> None:
    """Show the rules that derive a text, in the order of the left-most derivation."""
    from molae.workflows.grammar import parse as work

    for rule in work(grammar, text):
        typer.echo(rule)


@app.command(epilog=SAMPLE)
def sample(
    grammar: Grammar,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 10,
    max_steps: Annotated[int, typer.Option(min=1, help="Rules in the longest derivation.")] = 100,
    seed: Seed = 0,
) -> None:
    """Draw texts with random legal rules, without any model."""
    from molae.workflows.grammar import sample as work

    texts = work(grammar, number, seed=seed, max_steps=max_steps)
    whole = [text for text in texts if text is not None]
    for text in whole:
        typer.echo(text)
    if len(whole) < len(texts):
        say(
            f"{len(texts) - len(whole)} of {len(texts)} derivations did not end or were not valid."
        )
