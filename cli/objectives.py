"""``molae objectives``: what can be minimised."""

from __future__ import annotations

from .options import examples
from .output import say, table

EXAMPLES = examples("molae objectives")


def objectives() -> None:
    """List the objectives, their regularisers, heads and decoders, and what combines."""
    from molae.workflows.info import conversion
    from molae.workflows.info import objectives as work

    rows = work()
    table([list(row.values()) for row in rows], list(rows[0]))
    say(conversion())
