"""``molae densities``: what codes can be drawn from."""

from __future__ import annotations

from .options import examples
from .output import table

EXAMPLES = examples("molae densities")


def densities() -> None:
    """List the densities that codes can be drawn from."""
    from molae.workflows.info import densities as work

    rows = work()
    table([list(row.values()) for row in rows], list(rows[0]))
