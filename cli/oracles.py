"""``molae oracles``: what can be scored."""

from __future__ import annotations

import typer

from .options import examples
from .output import table

EXAMPLES = examples("molae oracles", "molae oracles | grep similarity")


def oracles() -> None:
    """List what can be scored: properties, tasks, functions of a formula, and examples."""
    from molae.workflows.oracles import oracle_examples, oracles

    _show(oracles())
    typer.echo()
    _show(oracle_examples())


def _show(rows: list[dict[str, str]]) -> None:
    table([list(row.values()) for row in rows], list(rows[0]))
