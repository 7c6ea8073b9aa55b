"""The model that a command works with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .output import say

if TYPE_CHECKING:
    from molae.runs import Run


def load_model(
    name: str | None, device: str = "auto", *, quiet: bool = False, output: Path | None = None
) -> Run:
    """A run, loaded; says on standard error where nobody named it and it is the shipped one.

    Args:
        name: A run folder, the name of a shipped model, or None for the usual one.
        device: Where it shall compute.
        quiet: Do not say so.
        output: Where what it writes shall go to.

    Raises:
        RunError: There is none, or it cannot be read.
        DataError: What it writes cannot be shown there.
    """
    from molae.runs import Run
    from molae.runs.places import fallback

    if name is None and not quiet and (remark := fallback()):
        say(remark)
    run = Run.load(name, device=device)
    if output is not None:
        from molae.workflows.output import check_suffix

        check_suffix(output, images=run.codec.medium == "images")
    return run
